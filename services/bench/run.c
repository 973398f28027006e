/* bench/run.c - threads that ask, from one beginning, and their counts put together. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/load.h"
#include "http/program.h"

#define SETTLE_NS INT64_C(20000000) /* for the threads to be there when it begins */
#define LATE_NS 1000000
#define LOOK_MS 100

typedef struct runner {
    pthread_t thread;
    bench_shared *shared;
    const bench_worker *how;
    void *worker;
    bench_counts *counts;
    atomic_bool ended;
    bool started;
    reco_status status;
    reco_error err;
} runner;

int64_t bench_cpu(void) { return http_clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int64_t bench_due(const bench_shared *shared, uint64_t number) { return shared->begin_ns + (int64_t)((double)number * 1e9 / shared->plan->rate); }

/* --- counts --------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t since(int64_t from, int64_t now) { return now > from ? (uint64_t)(now - from) : 0; }

void bench_count_latency(bench_counts *counts, unsigned kind, int64_t due, int64_t sent, int64_t now) {
    bench_histogram_add(&counts->latency, since(due, now));
    bench_histogram_add(&counts->kinds[kind], since(due, now));
    bench_histogram_add(&counts->service, since(sent, now));
}

void bench_count_refused(bench_counts *counts, int64_t due, int64_t now) { bench_histogram_add(&counts->refused, since(due, now)); }

void bench_count_sent(bench_counts *counts, int64_t due, int64_t free_since, int64_t now) {
    uint64_t waited = since(due, now), late = since(due > free_since ? due : free_since, now);
    counts->requests++;
    if (free_since > due) {
        counts->waited++;
        counts->waited_most_ns = waited > counts->waited_most_ns ? waited : counts->waited_most_ns;
    }
    counts->late += late > LATE_NS;
    counts->late_most_ns = late > counts->late_most_ns ? late : counts->late_most_ns;
}

void bench_count_unsent(bench_counts *counts, const bench_shared *shared, int64_t due, int64_t now) {
    if (due < shared->measure_ns)
        return;
    counts->requests++;
    counts->unsent++;
    bench_histogram_add(&counts->latency, since(due, now));
}

static void merge(bench_counts *into, const bench_counts *from) {
    into->requests += from->requests;
    into->answered += from->answered;
    into->unsent += from->unsent;
    for (size_t i = 0; i < BENCH_STATUSES; i++)
        into->statuses[i] += from->statuses[i];
    for (size_t i = 0; i < BENCH_FAILURES; i++)
        into->failures[i] += from->failures[i];
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->connects += from->connects;
    into->waited += from->waited;
    into->waited_most_ns = from->waited_most_ns > into->waited_most_ns ? from->waited_most_ns : into->waited_most_ns;
    into->late += from->late;
    into->late_most_ns = from->late_most_ns > into->late_most_ns ? from->late_most_ns : into->late_most_ns;
    into->end_ns = from->end_ns > into->end_ns ? from->end_ns : into->end_ns;
    into->cpu_ns += from->cpu_ns;
    into->busiest_cpu_ns = from->cpu_ns > into->busiest_cpu_ns ? from->cpu_ns : into->busiest_cpu_ns;
    bench_histogram_merge(&into->latency, &from->latency);
    bench_histogram_merge(&into->service, &from->service);
    bench_histogram_merge(&into->refused, &from->refused);
    for (size_t i = 0; i < BENCH_KIND_COUNT; i++)
        bench_histogram_merge(&into->kinds[i], &from->kinds[i]);
}

/* --- threads -------------------------------------------------------------------------------------------------------------------------------- */

static void *run_one(void *context) {
    runner *self = context;
    self->status = self->how->run(self->worker, &self->err);
    if (self->status != RECO_OK)
        atomic_store(&self->shared->stop, true);
    atomic_store(&self->ended, true);
    return NULL;
}

static bool all_ended(runner *runners, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (runners[i].started && !atomic_load(&runners[i].ended))
            return false;
    return true;
}

static void tell(const bench_shared *shared) {
    const bench_plan *plan = shared->plan;
    int64_t now = http_monotonic_ns();
    if (!plan->call || !plan->call->progress)
        return;
    reco_work work = {.struct_size = sizeof work, .what = now < shared->measure_ns ? "warming up" : "asking", .unit = "requests"};
    work.done = atomic_load(&shared->done);
    plan->call->progress(plan->call->progress_context, &work);
}

static void set_moments(bench_shared *shared) {
    shared->begin_ns = http_monotonic_ns() + SETTLE_NS;
    shared->measure_ns = shared->begin_ns + shared->plan->warmup_ns;
    shared->end_ns = shared->measure_ns + shared->plan->duration_ns;
    shared->cut_ns = shared->end_ns + shared->plan->timeout_ns;
}

static reco_status open_all(runner *runners, unsigned count, bench_shared *shared, reco_error *err) {
    const bench_worker *how = shared->plan->engine ? &bench_by_engine : &bench_by_http;
    for (unsigned i = 0; i < count; i++) {
        runners[i] = (runner){.shared = shared, .how = how, .counts = calloc(1, sizeof *runners[i].counts)};
        if (!runners[i].counts)
            return options_no_memory(err);
        runners[i].worker = how->open(shared, i, runners[i].counts, err);
        if (!runners[i].worker)
            return (reco_status)err->status;
    }
    return RECO_OK;
}

/* Until all are at their end, or a signal comes. */
static bool watch(runner *runners, unsigned count, bench_shared *shared) {
    bool stopped = false;
    while (!all_ended(runners, count)) {
        if (program_signal_within(LOOK_MS)) {
            stopped = true;
            atomic_store(&shared->stop, true);
        }
        tell(shared);
    }
    return stopped;
}

static reco_status run_all(runner *runners, unsigned count, bench_shared *shared, bool *stopped, reco_error *err) {
    reco_status status = RECO_OK;
    set_moments(shared);
    for (unsigned i = 0; i < count && status == RECO_OK; i++) {
        runners[i].started = pthread_create(&runners[i].thread, NULL, run_one, &runners[i]) == 0;
        if (!runners[i].started) {
            status = options_fail(err, RECO_NO_MEMORY, "threads", "only %u could be started", i);
            atomic_store(&shared->stop, true);
        }
    }
    *stopped = watch(runners, count, shared);
    for (unsigned i = 0; i < count; i++) {
        if (!runners[i].started)
            continue;
        pthread_join(runners[i].thread, NULL);
        if (status == RECO_OK && runners[i].status != RECO_OK) {
            status = runners[i].status;
            *err = runners[i].err;
        }
    }
    return status;
}

static void close_all(runner *runners, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (runners[i].worker)
            runners[i].how->close(runners[i].worker);
        free(runners[i].counts);
    }
    free(runners);
}

reco_status bench_run(bench_counts **out, bool *stopped, const bench_plan *plan, reco_error *err) {
    unsigned count = plan->engine ? plan->connections : plan->threads;
    bench_shared shared = {.plan = plan};
    bench_counts *all = calloc(1, sizeof *all);
    runner *runners = calloc(count, sizeof *runners);
    reco_status status = all && runners ? open_all(runners, count, &shared, err) : options_no_memory(err);
    if (status == RECO_OK)
        status = run_all(runners, count, &shared, stopped, err);
    for (unsigned i = 0; i < count && status == RECO_OK; i++)
        merge(all, runners[i].counts);
    if (runners)
        close_all(runners, count);
    if (status != RECO_OK) {
        free(all);
        return status;
    }
    all->begin_ns = shared.measure_ns;
    *out = all;
    return RECO_OK;
}
