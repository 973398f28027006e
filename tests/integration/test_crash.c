/* tests/integration/test_crash.c - acknowledged means kept. Processes are killed at random points under load of eight connections, each event with an
 * item and an id of its own. After a restart every event that was acknowledged lies in the stream once and counts in popularity once; one that was
 * sent and not acknowledged may have got in or not, and counts once after it is sent again under the same id; and a replay equals what was learned.
 *
 * Who is killed: the whole engine with its threads; of an ingest and a processor one, the other or both, with a successor at work; an application
 * that writes and learns in its own threads. An event is noted as acknowledged in memory shared with the test after reco_ingest has returned, never
 * before. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

enum { CONNECTIONS = 8, EVENTS = 400000, ROUNDS_OF_A_DIRECTORY = 15, USERS = 40 };

typedef struct ledger {
    atomic_uint next, acked_count;
    atomic_uchar sent[EVENTS], acked[EVENTS];
} ledger;

/* What the test finds and does beside it. */
typedef struct audit {
    uint8_t again[EVENTS];
    uint32_t in_stream[EVENTS];
    int64_t hours[EVENTS], days[EVENTS];
} audit;

static ledger *book;

static void make_event(reco_event *event, char text[3][24], uint32_t number) {
    snprintf(text[0], 24, "u%u", number % USERS);
    snprintf(text[1], 24, "i%u", number);
    snprintf(text[2], 24, "e%u", number);
    *event = test_event(text[0], text[1], number % 5 == 0 ? "purchase" : "view");
    event->event_id = (reco_str){text[2], strlen(text[2])};
}

static int64_t weight_of(uint32_t number) { return number % 5 == 0 ? 5 : 1; }

/* --- children ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct connection {
    reco_engine *engine;
    uint64_t seed;
    bool learns;
} connection;

static void *send_for_ever(void *context) {
    enum { MOST = 8 };
    connection *self = context;
    reco__rand rand;
    reco_event events[MOST];
    char texts[MOST][3][24];

    reco__rand_seed(&rand, self->seed);
    for (;;) {
        reco_error err = RECO_ERROR_INIT;
        reco_receipt receipt = {.struct_size = sizeof receipt};
        uint32_t count = 1 + (uint32_t)reco__rand_below(&rand, MOST), first = atomic_fetch_add(&book->next, count);
        if (first + count > EVENTS) {
            return NULL;
        }
        for (uint32_t i = 0; i < count; i++) {
            make_event(&events[i], texts[i], first + i);
            atomic_store(&book->sent[first + i], 1);
        }
        reco_status status = reco_ingest(&receipt, self->engine, events, count, sizeof *events, NULL, NULL, &err);
        if (status != RECO_OK || receipt.accepted != count) {
            test_child_fail("ingest", &err);
        }
        for (uint32_t i = 0; i < count; i++) {
            atomic_store(&book->acked[first + i], 1);
        }
        atomic_fetch_add(&book->acked_count, count);
        if (self->learns && reco__rand_below(&rand, 4) == 0 && reco_process(NULL, self->engine, NULL, &err) != RECO_OK) {
            test_child_fail("process", &err);
        }
    }
}

static pid_t start_writer(const char *path, uint32_t flags, bool learns, uint64_t seed) {
    pid_t child = test_fork();
    if (child) {
        return child;
    }
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    pthread_t threads[CONNECTIONS];
    connection connections[CONNECTIONS];
    if (test_engine_try(&engine, path, flags, NULL, &err) != RECO_OK) {
        test_child_fail("open", &err);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i] = (connection){engine, seed + (uint64_t)i, learns};
        if (pthread_create(&threads[i], NULL, send_for_ever, &connections[i]) != 0) {
            _exit(2);
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (;;) {
        pause();
    }
}

static pid_t start_processor(const char *path, uint32_t batch_events) {
    pid_t child = test_fork();
    if (child) {
        return child;
    }
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_processor *processor = NULL;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = batch_events};
    reco_progress progress = {.struct_size = sizeof progress};
    if (test_engine_try(&engine, path, 0, NULL, &err) != RECO_OK || reco_processor_open(&processor, engine, &options, NULL, &err) != RECO_OK) {
        test_child_fail("processor", &err);
    }
    for (;;) {
        if (reco_processor_step(&progress, processor, NULL, &err) != RECO_OK ||
            (progress.idle && reco_processor_wait(processor, 100, NULL, &err) != RECO_OK)) {
            test_child_fail("step", &err);
        }
    }
}

/* --- the killing ------------------------------------------------------------------------------------------------------------------------------- */

static bool acked_so_many(void *context) { return atomic_load(&book->acked_count) >= *(uint32_t *)context; }

/* Lets some more events through, then a moment of chance. */
static void let_run(reco__rand *rand, uint32_t most) {
    uint32_t target = atomic_load(&book->acked_count) + 1 + (uint32_t)reco__rand_below(rand, most);
    ck_assert_msg(test_wait(acked_so_many, &target, 60000), "no events get through");
    struct timespec moment = {0, (long)reco__rand_below(rand, 3000000)};
    nanosleep(&moment, NULL);
}

static void end_killed(pid_t child) {
    kill(child, SIGKILL);
    int status = test_child_end(child);
    ck_assert_msg(status == -SIGKILL, "a process ended by itself with %d", status);
}

static void run_whole(const char *path, reco__rand *rand) {
    pid_t child = start_writer(path, RECO_OPEN_BACKGROUND, false, reco__rand_next(rand));
    let_run(rand, 200);
    end_killed(child);
}

static void run_application(const char *path, reco__rand *rand) {
    pid_t child = start_writer(path, 0, true, reco__rand_next(rand));
    let_run(rand, 200);
    end_killed(child);
}

static void run_services(const char *path, reco__rand *rand) {
    pid_t ingest = start_writer(path, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, false, reco__rand_next(rand));
    pid_t processor = start_processor(path, 1 + (uint32_t)reco__rand_below(rand, 100));
    uint64_t victim = reco__rand_below(rand, 3);

    let_run(rand, 150);
    if (victim == 0) {
        end_killed(ingest);
        ingest = start_writer(path, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, false, reco__rand_next(rand));
        let_run(rand, 100);
    } else if (victim == 1) {
        end_killed(processor);
        processor = start_processor(path, 1 + (uint32_t)reco__rand_below(rand, 100));
        let_run(rand, 100);
    }
    kill(ingest, SIGKILL);
    end_killed(processor);
    end_killed(ingest);
}

/* --- the audit -----------------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t number_in(reco_str text) {
    char digits[24];
    ck_assert(text.size > 1 && text.size < sizeof digits);
    memcpy(digits, text.data, text.size);
    digits[text.size] = 0;
    unsigned long number = strtoul(digits + 1, NULL, 10);
    ck_assert_uint_lt(number, EVENTS);
    return (uint32_t)number;
}

static int count_record(void *context, int64_t offset, const void *data, size_t size) {
    audit *found = context;
    reco__record record;
    (void)offset;
    ck_assert_int_eq(reco__envelope_decode(&record, data, size, NULL), RECO_OK);
    if (record.type == RECO__RECORD_EVENT) {
        found->in_stream[number_in(record.event.event_id)]++;
    }
    return 0;
}

static reco_engine *audited;

static reco_status count_row(void *context, const reco__row *row, reco_error *err) {
    audit *found = context;
    (void)err;
    if (row->board != RECO_BOARD_COVIEW) {
        for (size_t i = 0; i < row->count; i++) {
            reco_str name;
            uint64_t hash;
            ck_assert_int_eq(reco__features_item_name(&name, &hash, audited->features, row->entries[i].member), RECO_OK);
            (row->board == RECO_BOARD_HOURS ? found->hours : found->days)[number_in(name)] += row->entries[i].sum;
        }
    }
    return RECO_OK;
}

static void count_all(audit *found, reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco__state_walker walker = {.context = found, .row = count_row};

    memset(found->in_stream, 0, sizeof found->in_stream);
    memset(found->hours, 0, sizeof found->hours);
    memset(found->days, 0, sizeof found->days);
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++) {
        for (int64_t from = spans[p].begin; from < spans[p].end; from += 1000) {
            uint32_t count = spans[p].end - from < 1000 ? (uint32_t)(spans[p].end - from) : 1000;
            test_ok(reco__stream_read(engine->stream, p, from, count, 64u << 20, count_record, found, NULL, &err), &err);
        }
    }
    audited = engine;
    test_ok(reco__state_walk(engine->features, &engine->rules, engine->partitions, &walker, NULL, &err), &err);
}

/* Sends about half of what was not acknowledged again, under the same ids. */
static void send_again(audit *found, reco_engine *engine, reco__rand *rand, uint32_t from) {
    for (uint32_t i = from; i < atomic_load(&book->next) && i < EVENTS; i++) {
        if (atomic_load(&book->sent[i]) && !atomic_load(&book->acked[i]) && reco__rand_below(rand, 2)) {
            reco_event event;
            char texts[3][24];
            make_event(&event, texts, i);
            test_engine_tell(NULL, engine, &event);
            atomic_store(&book->acked[i], 1);
            found->again[i] = 1;
        }
    }
}

static void check(audit *found, const char *path, reco__rand *rand, uint32_t from, int round) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = test_engine_open(path, 0, NULL);

    send_again(found, engine, rand, from);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    count_all(found, engine);
    for (uint32_t i = 0; i < atomic_load(&book->next) && i < EVENTS; i++) {
        uint32_t times = found->in_stream[i], expected = times > 0 ? 1 : 0;
        bool acked = atomic_load(&book->acked[i]) != 0;
        ck_assert_msg(times <= (found->again[i] ? 2u : 1u), "round %d: event %u is in the stream %u times", round, i, times);
        ck_assert_msg(!acked || times >= 1, "round %d: event %u was acknowledged and is not in the stream", round, i);
        ck_assert_msg(found->hours[i] == expected * weight_of(i) && found->days[i] == expected * weight_of(i),
                      "round %d: event %u (%u times in the stream) counts %ld by hours, %ld by days, not %ld", round, i, times, (long)found->hours[i],
                      (long)found->days[i], (long)(expected * weight_of(i)));
    }
    test_engine_verify(engine, NULL);
    reco_close(engine);
}

START_TEST(killed_at_random)
{
    static void (*const kinds[])(const char *path, reco__rand *rand) = {run_whole, run_services, run_application};
    int rounds = test_full() ? 500 : 30;
    char path[256] = "";
    uint64_t again = 0;
    reco__rand rand;
    audit *found = calloc(1, sizeof *found);

    ck_assert_ptr_nonnull(found);
    book = test_shared(sizeof *book);
    reco__rand_seed(&rand, 42);
    for (int round = 0; round < rounds; round++) {
        if (round % ROUNDS_OF_A_DIRECTORY == 0) {
            if (path[0]) {
                test_dir_remove(path);
            }
            test_dir_make(path);
            memset(book, 0, sizeof *book);
            memset(found, 0, sizeof *found);
        }
        uint32_t from = atomic_load(&book->next);
        kinds[round % 3](path, &rand);
        check(found, path, &rand, from, round);
        for (uint32_t i = from; i < atomic_load(&book->next); i++) {
            again += found->again[i];
        }
    }
    ck_assert_msg(again > 0, "no event was ever lost on its way and sent again");
    printf("crash: %d rounds, %lu events sent again\n", rounds, (unsigned long)again);
    test_dir_remove(path);
    munmap(book, sizeof *book);
    free(found);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("crash");
    TCase *rounds = tcase_create("rounds");

    tcase_add_test(rounds, killed_at_random);
    suite_add_tcase(suite, rounds);
    return test_run(suite);
}
