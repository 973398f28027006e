/* tests/integration/test_engine_trouble.c - full tables, a stream that refuses, two imports at once, odd pointers: clear answers, nothing lost,
 * nothing doubled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

#define HOUR INT64_C(3600000)
#define START INT64_C(1767225600000) /* 2026-01-01 */

static char dir[256], data_path[320];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) {
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_dir_remove(dir);
}

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

static reco_status tell_at(reco_engine *engine, const char *user, const char *item, int64_t at) {
    reco_event event = test_event(user, item, "view");
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = at};
    return reco_ingest(NULL, engine, &event, 1, sizeof event, &options, NULL, &err);
}

/* Users whose lifetime is over make room for new ones, without anybody raising the limit. */
START_TEST(a_full_table_heals_by_expiry)
{
    const char *const settings[] = {
        "limits.users", "200", "cell.lifetime", "1h", "cell.ids_window", "1h", "coview.length", "1h", "partitions", "1", NULL};
    reco_engine *engine = test_engine_open("memory:", 0, settings);
    char user[32];
    for (int i = 0; i < 199; i++) {
        snprintf(user, sizeof user, "old%d", i);
        test_ok(tell_at(engine, user, "film", START), &err);
    }
    for (int i = 0; i < 50; i++) { /* accepted before anything is learned: nobody knows yet that the table will be full */
        snprintf(user, sizeof user, "new%d", i);
        test_ok(tell_at(engine, user, "film", START + 10 * HOUR), &err);
    }
    reco_progress done = {.struct_size = sizeof done};
    test_ok(reco_process(&done, engine, NULL, &err), &err);
    ck_assert_uint_eq(done.events, 249);
    ck_assert_uint_eq(test_engine_verify(engine, NULL).events, 249);
    reco_close(engine);
}
END_TEST

/* The thread that learns cannot get on: whoever waits for it is told why. */
START_TEST(waiting_for_a_stuck_thread_ends)
{
    const char *const settings[] = {"limits.items", "50", NULL};
    reco_engine *engine = test_engine_open("memory:", RECO_OPEN_BACKGROUND, settings);
    static reco_event events[200];
    static char items[200][16];
    for (int i = 0; i < 200; i++) {
        snprintf(items[i], sizeof items[i], "film%d", i);
        events[i] = test_event("ann", items[i], "view");
    }
    test_ok(reco_ingest(NULL, engine, events, 200, sizeof *events, NULL, NULL, &err), &err);
    test_status(RECO_FULL, reco_process(NULL, engine, NULL, &err));
    ck_assert(err.text[0] != 0);
    test_status(RECO_FULL, reco_ready(NULL, NULL, engine, NULL, &err));
    reco_close(engine);
}
END_TEST

/* Good events of a batch whose append failed are never answered as if they had been looked at and found bad. */
START_TEST(a_refusing_stream_is_no_bad_event)
{
    static const char body[] =
        "[{\"user_id\":\"ann\",\"item_id\":\"film\",\"event_type\":\"view\"},{\"user_id\":\"ann\",\"item_id\":\"film\",\"event_type\":\"nothing\"},"
        "{\"user_id\":\"ann\",\"item_id\":\"film\",\"event_type\":\"view\",\"timestamp\":1000}]";
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    reco_reply reply = {.struct_size = sizeof reply};
    const struct {
        reco_status status;
        int http;
    } cases[] = {{RECO_FULL, 507}, {RECO_BUSY, 503}, {RECO_UNAVAILABLE, 503}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco__fault_plant("stream.append", 1, 1, cases[i].status);
        test_ok(reco_ingest_json(&reply, engine, body, sizeof body - 1, RECO_JSON_AUTO, 0, NULL, &err), &err);
        ck_assert_int_eq(reply.http_status, cases[i].http);
        ck_assert_int_gt(reply.retry_after, 0);
        reco_reply_dispose(&reply);
        reco__fault_plant(NULL, 0, 0, RECO_OK);
    }
    test_ok(reco_ingest_json(&reply, engine, body, sizeof body - 1, RECO_JSON_AUTO, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 202);
    reco_reply_dispose(&reply);
    reco_close(engine);
}
END_TEST

typedef struct seen_metrics {
    int down, up;
    bool accepted, lag, items;
} seen_metrics;

static void see_metric(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    seen_metrics *seen = context;
    (void)labels, (void)type, (void)help;
    if (strcmp(name, "reco_store_up") == 0)
        *(value > 0 ? &seen->up : &seen->down) += 1;
    seen->accepted = seen->accepted || (strcmp(name, "reco_events_accepted_total") == 0 && value > 0);
    seen->lag = seen->lag || strcmp(name, "reco_stream_lag") == 0;
    seen->items = seen->items || strcmp(name, "reco_items") == 0;
}

/* Monitoring is needed most when a store is away: counters are told, and which store it is. */
START_TEST(metrics_outlive_the_stores)
{
    const struct {
        const char *point;
        int down;
        bool lag, items;
    } cases[] = {{NULL, 0, true, true},
                 {"stream.spans", 1, false, true},
                 {"features.positions", 1, false, false},
                 {"features.stats", 1, false, false},
                 {"records.stats", 1, true, true}};
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    test_ok(tell_at(engine, "ann", "film", START), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen_metrics seen = {0};
        reco__fault_plant(cases[i].point, 1, 1, RECO_UNAVAILABLE);
        test_ok(reco_metrics(engine, see_metric, &seen, NULL, &err), &err);
        reco__fault_plant(NULL, 0, 0, RECO_OK);
        ck_assert(seen.accepted);
        ck_assert_int_eq(seen.down, cases[i].down);
        ck_assert_int_eq(seen.up, 3 - cases[i].down);
        ck_assert_msg(seen.lag == cases[i].lag && seen.items == cases[i].items, "%s", cases[i].point ? cases[i].point : "well");
    }
    reco_close(engine);
}
END_TEST

static void write_history(const char *path, int rows) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "user_id,item_id,event_type,timestamp\n");
    for (int i = 0; i < rows; i++)
        fprintf(file, "u%d,i%d,view,%lld\n", i % 50, i % 70, (long long)START);
    fclose(file);
}

/* All rows have one timestamp, so order alone would let a second importer in between. */
START_TEST(two_imports_at_once_count_once)
{
    char path[320];
    snprintf(path, sizeof path, "%s/history.csv", dir);
    write_history(path, 5000);
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = test_fork();
        if (children[i] == 0) {
            const char *const paths[] = {path};
            reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1};
            reco_engine *engine = NULL;
            reco_status status = test_engine_try(&engine, data_path, 0, NULL, &err);
            if (status == RECO_OK)
                status = reco_import(NULL, engine, &options, NULL, &err);
            if (status != RECO_OK && status != RECO_CONFLICT)
                test_child_fail("import", &err);
            reco_close(engine);
            _exit(0);
        }
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(test_child_end(children[i]), 0);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ck_assert_uint_eq(test_engine_verify(engine, NULL).events, 5000);
    reco_close(engine);
}
END_TEST

START_TEST(an_import_that_was_overtaken_says_how_far_it_came)
{
    char path[320];
    snprintf(path, sizeof path, "%s/history.csv", dir);
    write_history(path, 3000);
    const char *const paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1};
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    reco__fault_plant("stream.append", 3, 1, RECO_IO);
    test_status(RECO_IO, reco_import(NULL, engine, &options, NULL, &err));
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_ok(tell_at(engine, "ann", "film", START + HOUR), &err);
    test_status(RECO_CONFLICT, reco_import(NULL, engine, &options, NULL, &err));
    ck_assert_msg(strstr(err.text, "2000 of 3000") != NULL, "%s", err.text);
    reco_close(engine);
}
END_TEST

/* Sizes without data, outputs without a place, times beyond all calendars. */
START_TEST(odd_pointers_are_named)
{
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    reco_answer *answer = NULL;
    reco_reply reply = {.struct_size = sizeof reply};
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann"), .scenario = {NULL, 4}};
    test_status(RECO_INVALID, reco_recommend(&answer, engine, &query, NULL, &err));
    ck_assert_str_eq(err.field, "scenario");
    query.scenario = (reco_str){NULL, 0};
    query.min_position = (reco_str){NULL, 9};
    test_status(RECO_INVALID, reco_recommend(&answer, engine, &query, NULL, &err));
    ck_assert_str_eq(err.field, "min_position");
    reco_popular_query popular = {.struct_size = sizeof popular, .category = {NULL, 3}};
    test_status(RECO_INVALID, reco_popular(&answer, engine, &popular, NULL, &err));
    popular.category = (reco_str){"\xff", 1};
    test_status(RECO_INVALID, reco_popular(&answer, engine, &popular, NULL, &err));
    ck_assert_str_eq(err.field, "category");
    popular = (reco_popular_query){.struct_size = sizeof popular, .reserved = 1};
    test_status(RECO_INVALID, reco_popular(&answer, engine, &popular, NULL, &err));
    ck_assert_str_eq(err.field, "reserved");
    test_ok(reco_ingest_json(&reply, engine, NULL, 5, RECO_JSON_AUTO, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 400);
    reco_reply_dispose(&reply);
    test_status(RECO_INVALID, reco_items_put_json(NULL, engine, NULL, 5, RECO_JSON_AUTO, NULL, &err));
    test_status(RECO_INVALID, reco_state_hash(NULL, engine, NULL, &err));
    test_status(RECO_INVALID, tell_at(engine, "ann", "film", INT64_MAX));
    ck_assert_str_eq(err.field, "received_at");
    test_status(RECO_INVALID, tell_at(engine, "ann", "film", -1));
    reco_close(engine);
}
END_TEST

START_TEST(verify_tells_what_is_not_learned)
{
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    test_ok(tell_at(engine, "ann", "film", START), &err);
    ck_assert_uint_ge(test_engine_verify(engine, NULL).unlearned, 1);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ck_assert_uint_eq(test_engine_verify(engine, NULL).unlearned, 0);
    reco_close(engine);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine in trouble");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_full_table_heals_by_expiry);
    tcase_add_test(tests, waiting_for_a_stuck_thread_ends);
    tcase_add_test(tests, a_refusing_stream_is_no_bad_event);
    tcase_add_test(tests, metrics_outlive_the_stores);
    tcase_add_test(tests, two_imports_at_once_count_once);
    tcase_add_test(tests, an_import_that_was_overtaken_says_how_far_it_came);
    tcase_add_test(tests, odd_pointers_are_named);
    tcase_add_test(tests, verify_tells_what_is_not_learned);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
