/* evaluate/report.h - what came out, as a table for people, as JSON, as a page, and as lists for other programs. */
#ifndef EVALUATE_REPORT_H
#define EVALUATE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "evaluate/tune.h"
#include "http/text.h"

typedef struct report_side {
    const char *label;             /* "preset sessions" */
    const reco_settings *settings; /* NULL: lists of others, nothing was asked */
    const evaluation *done;
} report_side;

typedef struct report {
    const evaluate_data *data;
    const char *train, *test; /* paths, as they were given */
    uint32_t depth;
    uint64_t seed;
    uint32_t resamples;
    report_side sides[2];
    size_t side_count;
    evaluate_difference differences[EVALUATE_METRIC_COUNT]; /* of two sides: the second less the first */
    const tuning *tuned;                                    /* NULL: it was not */
    unsigned objective;                                     /* of the tuning */
} report;

extern const char *const report_protocols[]; /* by EVALUATE_P1 ... : "p1", "p2", "p2-novel" */

void report_text(FILE *out, const report *what);
/* One object and a line end. */
void report_json(http_text *out, const report *what);
/* A page that needs nothing beside it. */
void report_html(http_text *out, const report *what);
/* Whether lists of all items can be written: there is nothing to quote a comma with. INVALID naming the item. */
reco_status report_lists_check(const evaluate_data *data, const char *option, reco_error *err);
/* A line a question: name, tab, items between commas. FULL or IO naming the path. */
reco_status report_lists(const char *path, const evaluate_data *data, const evaluate_lists *lists, reco_error *err);
/* Writes all of a text to a new file or over an old one. */
reco_status report_write(const char *path, const http_text *text, reco_error *err);

#endif
