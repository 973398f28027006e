/* tests/integration/exact.c - see exact.h. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "exact.h"

/* --- the reference -------------------------------------------------------------------------------------------------------------------------- */

static void reference(const exact *at, void (*fill)(reco_engine *source, exact_facts *facts)) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_processor *processor = NULL;
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_snapshot_result result = {.struct_size = sizeof result};
    char path[320];

    snprintf(path, sizeof path, "%s/reference.snapshot", at->dir);
    if (test_engine_try(&engine, at->source, 0, at->settings, &err) != RECO_OK) {
        test_child_fail("open", &err);
    }
    fill(engine, at->facts);
    if (reco_processor_open(&processor, engine, NULL, NULL, &err) != RECO_OK) {
        test_child_fail("processor", &err);
    }
    at->facts->learned.struct_size = sizeof at->facts->learned;
    do {
        if (reco_processor_step(&at->facts->learned, processor, NULL, &err) != RECO_OK) {
            test_child_fail("step", &err);
        }
    } while (!at->facts->learned.idle);
    reco_processor_close(processor);
    if (reco__stream_spans(spans, engine->stream, NULL, &err) != RECO_OK) {
        test_child_fail("spans", &err);
    }
    for (uint32_t p = 0; p < engine->partitions; p++) {
        at->facts->records += (uint64_t)spans[p].end;
    }
    if (reco_state_hash(at->facts->hash, engine, NULL, &err) != RECO_OK || reco_snapshot(&result, engine, path, NULL, &err) != RECO_OK) {
        test_child_fail("hash", &err);
    }
    at->facts->cells = result.cells;
    at->facts->rows = result.rows;
    at->facts->entries = result.entries;
    if (strcmp(result.hash, at->facts->hash) != 0) {
        snprintf(err.text, sizeof err.text, "the snapshot says %s, the store %s", result.hash, at->facts->hash);
        test_child_fail("snapshot", &err);
    }
    reco_close(engine);
    _exit(0);
}

void exact_begin(exact *at, const char *const *settings, void (*fill)(reco_engine *source, exact_facts *facts)) {
    test_dir_make(at->dir);
    snprintf(at->source, sizeof at->source, "%s/source", at->dir);
    at->settings = settings;
    at->facts = test_shared(sizeof *at->facts);
    pid_t child = test_fork();
    if (child == 0) {
        reference(at, fill);
    }
    int status = test_child_end(child);
    if (status != 0) {
        fprintf(stderr, "the reference ended with %d\n", status);
        test_dir_remove(at->dir);
        exit(EXIT_FAILURE);
    }
}

void exact_end(exact *at) {
    test_dir_remove(at->dir);
    munmap(at->facts, sizeof *at->facts);
}

static void place(char path[320], const exact *at, const char *name) { snprintf(path, 320, "%s/%s", at->dir, name); }

reco_engine *exact_copy(const exact *at, const char *name, uint64_t most) {
    char path[320] = "memory:";
    if (name) {
        place(path, at, name);
    }
    reco_engine *source = test_engine_open(at->source, 0, at->settings), *engine = test_engine_open(path, 0, at->settings);
    uint64_t records = test_engine_copy(engine, source, most);
    if (most == 0) {
        ck_assert_uint_eq(records, at->facts->records);
    }
    reco_close(source);
    return engine;
}

void exact_check_close(const exact *at, reco_engine *engine) {
    char hash[40];
    test_engine_hash(hash, engine);
    ck_assert_str_eq(hash, at->facts->hash);
    reco_verification found = test_engine_verify(engine, NULL);
    ck_assert_uint_eq(found.records, at->facts->records);
    ck_assert_str_eq(found.hash, at->facts->hash);
    ck_assert_uint_gt(found.heads, 0);
    reco_close(engine);
}

/* --- batches -------------------------------------------------------------------------------------------------------------------------------- */

void exact_batches(const exact *at, const char *name, uint32_t batch_events) {
    reco_engine *engine = exact_copy(at, name, 0);
    reco_progress total;

    test_engine_learn(engine, batch_events, &total);
    ck_assert_uint_eq(total.records, at->facts->records);
    ck_assert_uint_eq(total.events, at->facts->learned.events);
    ck_assert_uint_eq(total.duplicates, at->facts->learned.duplicates);
    ck_assert_uint_eq(total.clamped, at->facts->learned.clamped);
    ck_assert_uint_ge(total.batches, at->facts->records / batch_events);
    exact_check_close(at, engine);
}

void exact_batches_of_one(const exact *at, const char *name, uint64_t most) {
    reco_engine *large = exact_copy(at, NULL, most), *small = exact_copy(at, name, most);
    char expected[40], hash[40];
    reco_progress total;

    test_engine_learn(large, 20000, NULL);
    test_engine_learn(small, 1, &total);
    ck_assert_uint_eq(total.batches, total.records);
    test_engine_hash(expected, large);
    test_engine_hash(hash, small);
    ck_assert_str_eq(hash, expected);
    test_engine_verify(small, NULL);
    reco_close(large);
    reco_close(small);
}

/* --- threads -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    reco_engine *engine;
    pthread_barrier_t *begin;
    uint32_t batch_events;
    reco_progress progress;
    reco_status status;
    reco_error err;
} worker;

static bool all_learned(reco_engine *engine, reco_status *status, reco_error *err) {
    int64_t lag = 0;
    *status = reco_ready(&lag, NULL, engine, NULL, err);
    return *status == RECO_OK && lag == 0;
}

static void *work(void *context) {
    worker *self = context;
    reco_processor *processor = NULL;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = self->batch_events};

    self->progress.struct_size = sizeof self->progress;
    self->status = reco_processor_open(&processor, self->engine, &options, NULL, &self->err);
    pthread_barrier_wait(self->begin);
    while (self->status == RECO_OK) {
        self->status = reco_processor_step(&self->progress, processor, NULL, &self->err);
        if (self->status != RECO_OK || !self->progress.idle) {
            continue;
        }
        if (all_learned(self->engine, &self->status, &self->err)) {
            break;
        }
        if (self->status == RECO_OK) {
            self->status = reco_processor_wait(processor, 10, NULL, &self->err);
        }
    }
    reco_processor_close(processor);
    return NULL;
}

void exact_memory_threads(const exact *at, uint32_t threads, uint32_t batch_events) {
    reco_engine *engine = exact_copy(at, NULL, 0);
    pthread_barrier_t begin;
    worker workers[8];
    uint64_t records = 0;

    ck_assert_uint_le(threads, 8);
    ck_assert_int_eq(pthread_barrier_init(&begin, NULL, threads), 0);
    for (uint32_t i = 0; i < threads; i++) {
        workers[i] = (worker){.engine = engine, .begin = &begin, .batch_events = batch_events, .err = RECO_ERROR_INIT};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&begin);
    for (uint32_t i = 0; i < threads; i++) {
        test_ok(workers[i].status, &workers[i].err);
        ck_assert_msg(workers[i].progress.batches > 0, "thread %u had nothing to do", i);
        records += workers[i].progress.records;
    }
    ck_assert_uint_eq(records, at->facts->records);
    exact_check_close(at, engine);
}

/* --- processes ------------------------------------------------------------------------------------------------------------------------------ */

enum { PROCESSES = 4, VICTIM = 1, BATCHES_A_TURN = 40 };

typedef struct board {
    atomic_uint ready;
    atomic_uint_fast64_t batches[PROCESSES], records[PROCESSES];
} board;

/* Turns with batches of a size drawn anew for each. Between turns the processor is closed and its partitions go to others. */
static void process(const exact *at, const char *path, board *shared, uint32_t self) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco__rand rand;
    reco_status status = test_engine_try(&engine, path, 0, at->settings, &err);

    reco__rand_seed(&rand, 100 + self);
    for (bool first = true, done = false; status == RECO_OK && !done; first = false) {
        reco_processor *processor = NULL;
        reco_progress before = {0}, progress = {.struct_size = sizeof progress};
        reco_processor_options options = {.struct_size = sizeof options, .batch_events = 1 + (uint32_t)reco__rand_below(&rand, 250)};
        status = reco_processor_open(&processor, engine, &options, NULL, &err);
        if (status == RECO_OK && first) {
            atomic_fetch_add(&shared->ready, 1);
            for (int i = 0; i < 300000 && atomic_load(&shared->ready) < PROCESSES; i++) {
                usleep(100);
            }
        }
        while (status == RECO_OK && !done && progress.batches < BATCHES_A_TURN) {
            status = reco_processor_step(&progress, processor, NULL, &err);
            if (status != RECO_OK) {
                break;
            }
            atomic_fetch_add(&shared->batches[self], progress.batches - before.batches);
            atomic_fetch_add(&shared->records[self], progress.records - before.records);
            before = progress;
            if (progress.idle) {
                done = all_learned(engine, &status, &err);
                if (status == RECO_OK && !done) {
                    status = reco_processor_wait(processor, 10, NULL, &err);
                }
            }
        }
        reco_processor_close(processor);
    }
    if (status != RECO_OK) {
        test_child_fail("processor", &err);
    }
    reco_close(engine);
    _exit(0);
}

typedef struct progress_wait {
    board *shared;
    uint64_t records;
} progress_wait;

static bool learned_so_many(void *context) {
    progress_wait *wait = context;
    uint64_t records = 0;
    for (int i = 0; i < PROCESSES; i++) {
        records += atomic_load(&wait->shared->records[i]);
    }
    return records >= wait->records;
}

void exact_four_processes(const exact *at) {
    board *shared = test_shared(sizeof *shared);
    char path[320];
    pid_t children[PROCESSES];
    uint64_t batches = 0;

    place(path, at, "processes");
    reco_close(exact_copy(at, "processes", 0));
    for (uint32_t i = 0; i < PROCESSES; i++) {
        children[i] = test_fork();
        if (children[i] == 0) {
            process(at, path, shared, i);
        }
    }
    progress_wait wait = {shared, at->facts->records * 6 / 10};
    bool reached = test_wait(learned_so_many, &wait, 120000);
    kill(children[VICTIM], SIGKILL);
    for (int i = 0; !reached && i < PROCESSES; i++) {
        kill(children[i], SIGKILL);
    }
    ck_assert_msg(reached, "four processes did not get so far");
    for (int i = 0; i < PROCESSES; i++) {
        int status = test_child_end(children[i]);
        ck_assert_msg(status == (i == VICTIM ? -SIGKILL : 0), "process %d ended with %d", i, status);
        batches += atomic_load(&shared->batches[i]);
    }
    for (int i = 0; i < PROCESSES; i++) {
        uint64_t own = atomic_load(&shared->batches[i]);
        ck_assert_msg(own * 10 >= batches, "process %d handled %lu of %lu batches", i, (unsigned long)own, (unsigned long)batches);
    }
    exact_check_close(at, test_engine_open(path, 0, at->settings));
    munmap(shared, sizeof *shared);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------------------------------ */

static void load(reco_engine *engine, const char *snapshot) {
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__snapshot_load(engine->features, engine, snapshot, NULL, &err), &err);
}

/* Loads the snapshot into what is empty, checks that this is the state it was taken of, learns the rest. */
static void go_on(const exact *at, reco_engine *engine, const char *snapshot, const char *middle) {
    char hash[40];
    reco_progress rest;

    load(engine, snapshot);
    test_engine_hash(hash, engine);
    ck_assert_str_eq(hash, middle);
    test_engine_learn(engine, 5000, &rest);
    ck_assert_uint_gt(rest.records, at->facts->records / 4);
    ck_assert_uint_lt(rest.records, at->facts->records);
    exact_check_close(at, engine);
}

void exact_snapshot(const exact *at) {
    reco_error err = RECO_ERROR_INIT;
    char path[320], features[340], snapshot[340], middle[40], hash[40];
    const char *split[40];
    size_t count = 0;
    reco_snapshot_result result = {.struct_size = sizeof result};

    place(path, at, "snapshot");
    snprintf(features, sizeof features, "%s/features", path);
    snprintf(snapshot, sizeof snapshot, "%s/middle.snapshot", at->dir);
    reco_engine *engine = exact_copy(at, "snapshot", 0);
    test_engine_learn_some(engine, 3000, at->facts->records / 2);
    test_ok(reco_snapshot(&result, engine, snapshot, NULL, &err), &err);
    test_engine_hash(middle, engine);
    ck_assert_str_eq(result.hash, middle);
    ck_assert_str_ne(middle, at->facts->hash);
    test_engine_verify(engine, snapshot); /* of the state it was taken of: nothing to replay */
    test_engine_learn(engine, 20000, NULL);
    test_engine_hash(hash, engine);
    ck_assert_str_eq(hash, at->facts->hash);
    reco_verification found = test_engine_verify(engine, snapshot);
    ck_assert_uint_gt(found.records, 0);
    ck_assert_uint_lt(found.records, at->facts->records);
    reco_close(engine);

    test_dir_remove(features);
    go_on(at, test_engine_open(path, 0, at->settings), snapshot, middle);

    while (at->settings[count]) {
        split[count] = at->settings[count];
        count++;
    }
    ck_assert_uint_lt(count + 3, sizeof split / sizeof *split);
    split[count] = "features";
    split[count + 1] = "memory:";
    split[count + 2] = NULL;
    go_on(at, test_engine_open(path, 0, split), snapshot, middle);
}
