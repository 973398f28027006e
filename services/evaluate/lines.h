/* evaluate/lines.h - a file of lines with columns between tabs, plain or compressed by gzip. CONFINED. */
#ifndef EVALUATE_LINES_H
#define EVALUATE_LINES_H

#include <stdbool.h>

#include <reco/status.h>

#define EVALUATE_COLUMNS 4u

#define EVALUATE_LINES_CHECK 4096u /* lines between two looks at a call */

typedef struct evaluate_lines {
    const char *path;
    const reco_call *call; /* ends the reading; NULL allowed */
    void *file;            /* gzFile */
    char *text;
    size_t room;
    uint64_t number;                    /* of the line that was read, from 1 */
    reco_str columns[EVALUATE_COLUMNS]; /* valid until the next line; further columns are passed over */
    size_t column_count;
} evaluate_lines;

/* NOT_FOUND or IO naming the path. */
reco_status evaluate_lines_open(evaluate_lines *out, const char *path, const reco_call *call, reco_error *err);
/* The next line that is not empty, of `least` columns at least, none of the first two empty; *end instead when there is none. INVALID naming the
 * line; IO for a compressed file that is cut off; what the call says. */
reco_status evaluate_lines_next(bool *end, evaluate_lines *lines, size_t least, reco_error *err);
/* Whether a column, from 0, can be an id of the engine's. INVALID naming the line. */
reco_status evaluate_lines_check_id(const evaluate_lines *lines, size_t column, reco_error *err);
/* Says it of the line that was read. */
reco_status evaluate_lines_fail(const evaluate_lines *lines, reco_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void evaluate_lines_close(evaluate_lines *lines);

#endif
