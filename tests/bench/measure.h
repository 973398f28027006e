/* tests/bench/measure.h - what the benches of the modules share: processor time, engines by their public face, generated events in batches, figures
 * in order. These programs see include/ only and load the modules as applications do. CONFINED, all of it. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <reco/admin.h>

/* Ends the program with a message unless `ok`. */
void bench_need(bool ok, const char *what);
#define bench_ok(call, err) bench_need((call) == RECO_OK, (err)->text)

int64_t bench_now_ns(void);
void bench_wait_until(int64_t moment_ns);
/* User and system time in microseconds: of this process with all its threads; of another one (0 when it is gone). */
double bench_cpu_us(void);
double bench_cpu_of_us(pid_t pid);
/* Sorts the values. */
double bench_percentile(double *values, size_t count, double part);
double bench_median(double *values, size_t count);

/* An engine with settings "name", "value", ..., NULL; data is a folder or "memory:". */
reco_engine *bench_open(const char *data, uint32_t flags, const char *const *settings);

/* --- events --------------------------------------------------------------------------------------------------------------------------- */

typedef struct bench_feed bench_feed;
/* Generated events (Zipf 1.0, taste clusters, sessions, event ids), SPACING ms apart, the last one about now. */
#define BENCH_SPACING 6000
bench_feed *bench_feed_open(uint32_t items, uint32_t users, uint64_t events, uint64_t seed);
void bench_feed_close(bench_feed *feed);
/* The next batch, valid until the next call; how many: fewer than `most` only at the end. *received_at: of its last event. */
size_t bench_feed_next(const reco_event **events, int64_t *received_at, bench_feed *feed, size_t most);
/* Ingests so many events in batches; answers how many there were. */
uint64_t bench_ingest(reco_engine *engine, bench_feed *feed, uint64_t events, size_t batch);
/* Learns all there is with one processor; answers its progress. */
reco_progress bench_learn(reco_engine *engine, uint32_t batch_events);

/* --- options -------------------------------------------------------------------------------------------------------------------------- */

/* "--name VALUE" of the arguments, or the default; "--name" alone for bench_flag. Unknown ones are found by bench_options_end. */
typedef struct bench_options {
    int count;
    char **arguments;
    bool used[64];
} bench_options;
bench_options bench_options_begin(int count, char **arguments);
uint64_t bench_number(bench_options *options, const char *name, uint64_t initial);
const char *bench_text(bench_options *options, const char *name, const char *initial);
bool bench_flag(bench_options *options, const char *name);
void bench_options_end(const bench_options *options, const char *usage);

#endif
