/* processor/workers.c - one thread, one processor: step while there is something to do, else wait to be told. A step that fails is logged and tried
 * again after a second: learning waits, it never skips. What fails again with the same words is not logged again. */
#include "processor/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/log.h"
#include "http/options.h"

#define WAIT_MS 500
#define PAUSE_MS 1000

typedef struct worker {
    pthread_t thread;
    workers *all;
    reco_processor *processor;
    _Atomic uint64_t records, events, batches, duplicates, failures;
    _Atomic uint32_t partitions;
    char said[240]; /* the last failure that was logged */
} worker;

struct workers {
    reco_engine *engine;
    volatile int32_t cancel;
    uint32_t started;
    worker list[WORKERS_MAX];
};

static void note(worker *self, const reco_progress *progress) {
    atomic_store_explicit(&self->records, progress->records, memory_order_relaxed);
    atomic_store_explicit(&self->events, progress->events, memory_order_relaxed);
    atomic_store_explicit(&self->batches, progress->batches, memory_order_relaxed);
    atomic_store_explicit(&self->duplicates, progress->duplicates, memory_order_relaxed);
    atomic_store_explicit(&self->partitions, progress->partitions, memory_order_relaxed);
}

static void failed(worker *self, const reco_error *err) {
    atomic_fetch_add_explicit(&self->failures, 1, memory_order_relaxed);
    if (strcmp(self->said, err->text) != 0)
        http_log(RECO_LOG_ERROR, "processor", NULL, "learning waits: %s", err->text);
    snprintf(self->said, sizeof self->said, "%s", err->text);
    for (int waited = 0; waited < PAUSE_MS && !__atomic_load_n(&self->all->cancel, __ATOMIC_SEQ_CST); waited += 20)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void *work(void *argument) {
    worker *self = argument;
    const reco_call call = {.struct_size = sizeof call, .cancel = &self->all->cancel};
    while (!__atomic_load_n(&self->all->cancel, __ATOMIC_SEQ_CST)) {
        reco_progress progress = {.struct_size = sizeof progress};
        reco_error err = RECO_ERROR_INIT;
        reco_status status = reco_processor_step(&progress, self->processor, &call, &err);
        if (status == RECO_OK) {
            note(self, &progress);
            self->said[0] = 0;
            if (progress.idle)
                status = reco_processor_wait(self->processor, WAIT_MS, &call, &err);
        }
        if (status != RECO_OK && status != RECO_CANCELLED && status != RECO_TIMEOUT)
            failed(self, &err);
    }
    return NULL;
}

static reco_status start_one(workers *all, uint32_t batch_events, reco_error *err) {
    worker *self = &all->list[all->started];
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = batch_events};
    reco_status status = reco_processor_open(&self->processor, all->engine, &options, NULL, err);
    if (status != RECO_OK)
        return status;
    self->all = all;
    if (pthread_create(&self->thread, NULL, work, self) != 0) {
        reco_processor_close(self->processor);
        return options_fail(err, RECO_NO_MEMORY, "threads", "cannot start a thread");
    }
    all->started++;
    return RECO_OK;
}

reco_status workers_start(workers **out, reco_engine *engine, uint32_t count, uint32_t batch_events, reco_error *err) {
    if (count == 0 || count > WORKERS_MAX)
        return options_fail(err, RECO_INVALID, "threads", "must be from 1 to %u", WORKERS_MAX);
    workers *all = calloc(1, sizeof *all);
    if (!all)
        return options_no_memory(err);
    all->engine = engine;
    for (uint32_t i = 0; i < count; i++) {
        reco_status status = start_one(all, batch_events, err);
        if (status != RECO_OK) {
            workers_stop(all);
            return status;
        }
    }
    *out = all;
    return RECO_OK;
}

void workers_stop(workers *all) {
    if (!all)
        return;
    __atomic_store_n(&all->cancel, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < all->started; i++)
        pthread_join(all->list[i].thread, NULL);
    for (uint32_t i = 0; i < all->started; i++)
        reco_processor_close(all->list[i].processor);
    free(all);
}

void workers_metrics(void *context, reco_metric_sink sink, void *sink_context) {
    workers *all = context;
    uint64_t records = 0, events = 0, batches = 0, duplicates = 0, failures = 0, partitions = 0;
    for (uint32_t i = 0; i < all->started; i++) {
        worker *one = &all->list[i];
        records += atomic_load_explicit(&one->records, memory_order_relaxed);
        events += atomic_load_explicit(&one->events, memory_order_relaxed);
        batches += atomic_load_explicit(&one->batches, memory_order_relaxed);
        duplicates += atomic_load_explicit(&one->duplicates, memory_order_relaxed);
        failures += atomic_load_explicit(&one->failures, memory_order_relaxed);
        partitions += atomic_load_explicit(&one->partitions, memory_order_relaxed);
    }
    sink(sink_context, "reco_processor_records_total", "", (double)records, "counter", "Records learned by this process.");
    sink(sink_context, "reco_processor_events_total", "", (double)events, "counter", "Events learned by this process.");
    sink(sink_context, "reco_processor_batches_total", "", (double)batches, "counter", "Batches applied by this process.");
    sink(sink_context, "reco_processor_duplicates_total", "", (double)duplicates, "counter", "Events that had been counted before.");
    sink(sink_context, "reco_processor_failures_total", "", (double)failures, "counter", "Steps that failed and were tried again.");
    sink(sink_context, "reco_processor_partitions", "", (double)partitions, "gauge", "Partitions this process owns.");
}
