/* bench/report.h - what was measured, as a table for people and as JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench/load.h"

typedef struct bench_report {
    const bench_plan *plan;
    const bench_counts *counts;
    bool stopped; /* by a signal */
} bench_report;

void bench_report_text(http_text *out, const bench_report *what);
/* One object and a line end. */
void bench_report_json(http_text *out, const bench_report *what);

#endif
