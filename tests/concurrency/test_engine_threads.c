/* tests/concurrency/test_engine_threads.c - everything at once: writers, readers, items, snapshots, verification and statistics beside a background
 * processor; engines opened and closed on one directory; two namespaces. For ThreadSanitizer, and for what holds at the end: every event counts once,
 * and a replay equals what was learned. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

enum { WRITERS = 4, READERS = 4, CALLS = 120, CALL_EVENTS = 5, ROUNDS = 12 };

static char dir[256], data_path[300];

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
}

static void teardown(void) { test_dir_remove(dir); }

/* A thread of the test: what it works on, and its first failure. */
typedef struct worker {
    pthread_t thread;
    reco_engine *engine;
    const char *space;
    uint32_t number, done;
    atomic_bool *over; /* readers go on until the writers are through */
    reco_status status;
    reco_error err;
} worker;

static void start(worker *workers, uint32_t count, void *(*run)(void *), reco_engine *engine, atomic_bool *over) {
    for (uint32_t i = 0; i < count; i++) {
        workers[i] = (worker){.engine = engine, .number = i, .over = over, .err = RECO_ERROR_INIT};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
}

static void finish(worker *workers, uint32_t count, const char *what) {
    for (uint32_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_msg(workers[i].status == RECO_OK, "%s %u: %s: %s: %s", what, i, reco_status_name(workers[i].status), workers[i].err.field,
                      workers[i].err.text);
}

/* --- everything at once ---------------------------------------------------------------------------------------------------------------------------
 */

/* Events of users and items shared by all writers; each writer asks after its own clicks now and then. */
static void *write_events(void *context) {
    worker *self = context;
    char user[CALL_EVENTS][16], item[CALL_EVENTS][16];
    reco_answer *answer = NULL;

    for (uint32_t call = 0; call < CALLS && self->status == RECO_OK; call++) {
        reco_event events[CALL_EVENTS];
        reco_receipt receipt = {.struct_size = sizeof receipt};
        for (uint32_t i = 0; i < CALL_EVENTS; i++) {
            uint32_t n = (self->number * CALLS + call) * CALL_EVENTS + i;
            snprintf(user[i], sizeof user[i], "u%u", n * 7 % 23);
            snprintf(item[i], sizeof item[i], "i%u", n * 13 % 101);
            events[i] = test_event(user[i], item[i], n % 17 == 0 ? "hide" : "view");
        }
        self->status = reco_ingest(&receipt, self->engine, events, CALL_EVENTS, sizeof *events, NULL, NULL, &self->err);
        if (self->status == RECO_OK && call % 10 == 0) {
            reco_query query = {.struct_size = sizeof query,
                                .user_id = events[0].user_id,
                                .min_position = {receipt.position, strlen(receipt.position)},
                                .wait_ms = 2000};
            self->status = reco_recommend(&answer, self->engine, &query, NULL, &self->err);
        }
        self->done += CALL_EVENTS;
    }
    reco_answer_free(answer);
    return NULL;
}

static void *ask(void *context) {
    worker *self = context;
    reco_answer *answer = NULL;
    const char *text;
    size_t size;

    for (; self->status == RECO_OK && (self->done < 20 || !atomic_load(self->over)); self->done++) {
        char user[16];
        snprintf(user, sizeof user, "u%u", self->done % 30);
        reco_query query = {.struct_size = sizeof query, .user_id = {user, strlen(user)}};
        reco_popular_query popular = {.struct_size = sizeof popular, .window = self->done % 3 ? 0 : 7200000};
        self->status = self->done % 4 ? reco_recommend(&answer, self->engine, &query, NULL, &self->err)
                                      : reco_popular(&answer, self->engine, &popular, NULL, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_answer_json(&text, &size, answer, &self->err);
        for (size_t i = 0; self->status == RECO_OK && i < answer->count; i++) {
            int64_t sum = 0;
            for (uint32_t r = 0; r < answer->items[i].reason_count; r++)
                sum += answer->items[i].reasons[r].score;
            if (answer->items[i].reason_count && sum != answer->items[i].score)
                self->status =
                    reco__fail(&self->err, RECO_INTERNAL, "reasons", "they sum to %lld, not %lld", (long long)sum, (long long)answer->items[i].score);
        }
    }
    reco_answer_free(answer);
    return NULL;
}

static void *change_items(void *context) {
    worker *self = context;

    for (; self->status == RECO_OK && (self->done < 20 || !atomic_load(self->over)); self->done++) {
        char id[16];
        char *json = NULL;
        snprintf(id, sizeof id, "i%u", self->done % 101);
        reco_item item = {.item_id = {id, strlen(id)}, .title = {id, strlen(id)}, .flags = self->done % 3 == 0 ? RECO_ITEM_HIDDEN : 0};
        self->status = reco_items_put(self->engine, &item, 1, sizeof item, NULL, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_item_get(&json, self->engine, item.item_id, NULL, &self->err);
        reco_free(json);
        if (self->status == RECO_OK && self->done % 5 == 0)
            self->status = reco_item_delete(self->engine, item.item_id, NULL, &self->err);
    }
    return NULL;
}

static void ignore_metric(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    (void)context, (void)name, (void)labels, (void)value, (void)type, (void)help;
}

static void *look_after(void *context) {
    worker *self = context;

    for (; self->status == RECO_OK && (self->done < 3 || !atomic_load(self->over)); self->done++) {
        char path[320], hash[40], *json = NULL;
        int64_t lag;
        reco_verification found = {.struct_size = sizeof found};
        snprintf(path, sizeof path, "%s/%u.snapshot", dir, self->done);
        self->status = reco_stats(&json, self->engine, NULL, &self->err);
        reco_free(json);
        if (self->status == RECO_OK)
            self->status = reco_metrics(self->engine, ignore_metric, NULL, NULL, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_ready(&lag, NULL, self->engine, NULL, &self->err);
        if (self->status == RECO_BUSY) /* what answers are made from is being loaded for the first time */
            self->status = RECO_OK;
        if (self->status == RECO_OK)
            self->status = reco_state_hash(hash, self->engine, NULL, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_snapshot(NULL, self->engine, path, NULL, &self->err);
        reco_verify_options options = {.struct_size = sizeof options, .snapshot = self->done % 2 ? path : NULL};
        if (self->status == RECO_OK)
            self->status = reco_verify(&found, self->engine, &options, NULL, &self->err);
        if (self->status == RECO_OK && !found.equal)
            self->status = reco__fail(&self->err, RECO_INTERNAL, "verify", "%.200s", found.difference);
        unlink(path);
    }
    return NULL;
}

static uint64_t events_learned(reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    reco_verification found = {.struct_size = sizeof found};
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
    ck_assert_msg(found.equal, "not equal: %s", found.difference);
    return found.events;
}

START_TEST(everything_at_once)
{
    reco_engine *engine = test_engine_open(_i == 0 ? "memory:" : data_path, RECO_OPEN_BACKGROUND, NULL);
    worker writers[WRITERS], readers[READERS], clerk[1], keeper[1];
    atomic_bool over = false;

    start(writers, WRITERS, write_events, engine, NULL);
    start(readers, READERS, ask, engine, &over);
    start(clerk, 1, change_items, engine, &over);
    start(keeper, 1, look_after, engine, &over);
    finish(writers, WRITERS, "writer");
    atomic_store(&over, true);
    finish(readers, READERS, "reader");
    finish(clerk, 1, "clerk");
    finish(keeper, 1, "keeper");
    ck_assert_uint_eq(events_learned(engine), (uint64_t)WRITERS * CALLS * CALL_EVENTS);
    reco_close(engine);
}
END_TEST

/* --- without background: threads that learn for themselves
 * ------------------------------------------------------------------------------------------ */

static void *write_and_learn(void *context) {
    worker *self = context;

    for (uint32_t i = 0; i < CALLS / 2 && self->status == RECO_OK; i++) {
        char user[16], item[16];
        snprintf(user, sizeof user, "u%u", (self->number * 31 + i) % 11);
        snprintf(item, sizeof item, "i%u", i % 19);
        reco_event event = test_event(user, item, "view");
        reco_receipt receipt = {.struct_size = sizeof receipt};
        self->status = reco_ingest(&receipt, self->engine, &event, 1, sizeof event, NULL, NULL, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_process(NULL, self->engine, NULL, &self->err);
        if (self->status == RECO_OK) /* learned, whoever did it */
            self->status = reco_wait(self->engine, (reco_str){receipt.position, strlen(receipt.position)}, 0, NULL, &self->err);
    }
    return NULL;
}

START_TEST(each_learns_for_all)
{
    reco_engine *engine = test_engine_open(_i == 0 ? "memory:" : data_path, 0, NULL);
    worker writers[WRITERS];

    start(writers, WRITERS, write_and_learn, engine, NULL);
    finish(writers, WRITERS, "writer");
    ck_assert_uint_eq(events_learned(engine), (uint64_t)WRITERS * (CALLS / 2));
    reco_close(engine);
}
END_TEST

/* --- opening and closing
 * ---------------------------------------------------------------------------------------------------------------------------- */

/* The same for all engines on a directory in one process: the store refuses a mixture. */
static uint32_t open_flags;

static void *open_use_close(void *context) {
    worker *self = context;

    for (uint32_t round = 0; round < ROUNDS && self->status == RECO_OK; round++) {
        reco_engine *engine = NULL;
        char user[16];
        snprintf(user, sizeof user, "u%u", self->number);
        reco_event event = test_event(user, round % 2 ? "a" : "b", "view");
        const char *settings[] = {"namespace", self->space ? self->space : "default", NULL};
        self->status = test_engine_try(&engine, data_path, open_flags, settings, &self->err);
        if (self->status == RECO_OK)
            self->status = reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &self->err);
        if (self->status == RECO_OK && round % 2)
            self->status = reco_process(NULL, engine, NULL, &self->err);
        if (self->status == RECO_OK) {
            reco_answer *answer = NULL;
            reco_query query = {.struct_size = sizeof query, .user_id = event.user_id};
            self->status = reco_recommend(&answer, engine, &query, NULL, &self->err);
            reco_answer_free(answer);
        }
        reco_close(engine);
        self->done += self->status == RECO_OK;
    }
    return NULL;
}

START_TEST(opened_and_closed_by_many)
{
    worker workers[6];

    open_flags = _i == 0 ? 0 : RECO_OPEN_BACKGROUND;
    start(workers, 6, open_use_close, NULL, NULL);
    finish(workers, 6, "user");
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    ck_assert_uint_eq(events_learned(engine), 6 * ROUNDS);
    reco_close(engine);
}
END_TEST

START_TEST(namespaces_keep_apart)
{
    worker workers[4];
    static const char *const spaces[] = {"shop", "blog"};

    open_flags = _i == 0 ? 0 : RECO_OPEN_BACKGROUND;
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (worker){.number = i, .space = spaces[i % 2], .err = RECO_ERROR_INIT};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, open_use_close, &workers[i]), 0);
    }
    finish(workers, 4, "user");
    for (uint32_t i = 0; i < 2; i++) {
        const char *settings[] = {"namespace", spaces[i], NULL};
        reco_engine *engine = test_engine_open(data_path, 0, settings);
        ck_assert_uint_eq(events_learned(engine), 2 * ROUNDS);
        for (uint32_t user = 0; user < 4; user++) { /* users of the other one are strangers */
            char id[16];
            reco_error err = RECO_ERROR_INIT;
            reco_answer *answer = NULL;
            snprintf(id, sizeof id, "u%u", user);
            reco_query query = {.struct_size = sizeof query, .user_id = {id, strlen(id)}};
            test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
            ck_assert_msg((answer->flags & RECO_ANSWER_FALLBACK || answer->count > 0) && (user % 2 == i || answer->flags & RECO_ANSWER_FALLBACK),
                          "user %u in %s", user, spaces[i]);
            reco_answer_free(answer);
        }
        reco_close(engine);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine_threads");
    TCase *threads = tcase_create("threads");

    tcase_add_checked_fixture(threads, setup, teardown);
    tcase_add_loop_test(threads, everything_at_once, 0, 2);
    tcase_add_loop_test(threads, each_learns_for_all, 0, 2);
    tcase_add_loop_test(threads, opened_and_closed_by_many, 0, 2);
    tcase_add_loop_test(threads, namespaces_keep_apart, 0, 2);
    suite_add_tcase(suite, threads);
    return test_run(suite);
}
