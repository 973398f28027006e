/* tests/integration/test_engine.c - what reco.h and reco/admin.h promise, function by function, on both embedded stores. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/engine.h"
#include "support/engine.h"

static char dir[256], data_path[320];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) { test_dir_remove(dir); }

/* Loop tests: 0 in memory, 1 in a directory. */
static reco_engine *open_store(int kind, uint32_t flags, const char *const *settings) {
    return test_engine_open(kind == 0 ? "memory:" : data_path, flags, settings);
}

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

static bool is(reco_str got, const char *expected) { return got.size == strlen(expected) && memcmp(got.data, expected, got.size) == 0; }

#define refused(expected, named, call)                                                                                                               \
    do {                                                                                                                                             \
        err = (reco_error)RECO_ERROR_INIT;                                                                                                           \
        reco_status got_ = (call);                                                                                                                   \
        ck_assert_msg(got_ == (expected), "%s: expected %s, got %s: %s", #call, reco_status_name(expected), reco_status_name(got_), err.text);       \
        ck_assert_msg(strcmp(err.field, named) == 0, "%s: names \"%s\" (%s), not \"%s\"", #call, err.field, err.text, named);                        \
        ck_assert_int_eq(err.status, expected);                                                                                                      \
        ck_assert_msg(err.text[0] != 0, "%s: no text", #call);                                                                                       \
    } while (0)

static void tell(reco_engine *engine, const char *user, const char *item, const char *type) {
    reco_event event = test_event(user, item, type);
    test_engine_tell(NULL, engine, &event);
}

static void process(reco_engine *engine) { test_ok(reco_process(NULL, engine, NULL, &err), &err); }

static json_t *parse(const char *text, size_t size) {
    json_error_t problem;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    ck_assert_msg(json != NULL, "not JSON: %s at %d in %.*s", problem.text, problem.position, (int)size, text);
    return json;
}

static const reco_answer_item *find(const reco_answer *answer, const char *item) {
    for (size_t i = 0; i < answer->count; i++)
        if (is(answer->items[i].item_id, item))
            return &answer->items[i];
    return NULL;
}

static void ask(reco_answer **answer, reco_engine *engine, const char *user) {
    reco_query query = {.struct_size = sizeof query, .user_id = str(user)};
    test_ok(reco_recommend(answer, engine, &query, NULL, &err), &err);
}

/* Reasons add up, scores do not rise, ranks count. */
static void check_answer(const reco_answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        const reco_answer_item *item = &answer->items[i];
        int64_t sum = 0;
        for (uint32_t r = 0; r < item->reason_count; r++) {
            sum += item->reasons[r].score;
            ck_assert(r == 0 || item->reasons[r].kind == RECO_REASON_OTHER || item->reasons[r].score <= item->reasons[r - 1].score);
        }
        ck_assert_int_eq(sum, item->score);
        ck_assert_uint_eq(item->rank, i + 1);
        ck_assert(i == 0 || item->score <= answer->items[i - 1].score);
    }
}

/* Some users who watch a and b, and b and c. */
static void teach(reco_engine *engine) {
    static const char *const pairs[][2] = {{"a", "b"}, {"a", "b"}, {"a", "b"}, {"b", "c"}, {"b", "c"}, {"d", "e"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char user[16];
        snprintf(user, sizeof user, "t%zu", i);
        tell(engine, user, pairs[i][0], "view");
        tell(engine, user, pairs[i][1], "view");
    }
    process(engine);
}

/* --- open -----------------------------------------------------------------------------------------------------------------------------------------
 */

START_TEST(open_checks_its_options)
{
    reco_engine *engine = (reco_engine *)(uintptr_t)1;
    struct {
        reco_open_options options;
        uint64_t tail[2];
    } longer = {.options = {.struct_size = sizeof longer, .data = "memory:"}};
    reco_settings *settings = NULL;
    char path[400];

    refused(RECO_INVALID, "out", reco_open(NULL, &longer.options, NULL, &err));
    test_ok(reco_open(&engine, &longer.options, NULL, &err), &err); /* a newer program's struct with nothing new in it */
    reco_close(engine);
    longer.tail[1] = 1;
    refused(RECO_INVALID, "options", reco_open(&engine, &longer.options, NULL, &err));
    ck_assert_ptr_null(engine);
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .flags = 64};
    refused(RECO_INVALID, "flags", reco_open(&engine, &options, NULL, &err));
    options = (reco_open_options){.struct_size = sizeof options, .data = ""};
    refused(RECO_INVALID, "data", reco_open(&engine, &options, NULL, &err));
    options = (reco_open_options){.struct_size = sizeof options, .data = "memory:", .config = "/nonexistent/reco.yaml"};
    ck_assert_int_eq(reco_open(&engine, &options, NULL, &err), RECO_NOT_FOUND);
    int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    options.config = NULL;
    ck_assert_int_eq(reco_open(&engine, &options, &call, &err), RECO_CANCELLED);

    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "recommend.window_days", "400d", &err), &err); /* longer than what is kept */
    options.settings = settings;
    refused(RECO_INVALID, "recommend.window_days", reco_open(&engine, &options, NULL, &err));
    test_ok(reco_settings_set(settings, "recommend.window_days", "60d", &err), &err);
    test_ok(reco_settings_set(settings, "stream", "carrier-pigeon:loft", &err), &err);
    ck_assert_int_ne(reco_open(&engine, &options, NULL, &err), RECO_OK);
    ck_assert_msg(strstr(err.text, "carrier-pigeon") != NULL, "the scheme is not named: %s", err.text);
    reco_settings_free(settings);

    snprintf(path, sizeof path, "%s/reco.yaml", dir);
    FILE *file = fopen(path, "w");
    fputs("data: \"memory:\"\ncoview:\n  length: 3d\n  colour: red\n", file);
    fclose(file);
    options = (reco_open_options){.struct_size = sizeof options, .config = path};
    refused(RECO_INVALID, "coview.colour", reco_open(&engine, &options, NULL, &err));
    file = fopen(path, "w");
    fputs("data: \"memory:\"\ncoview:\n  length: 3d\n", file);
    fclose(file);
    test_ok(reco_open(&engine, &options, NULL, &err), &err);
    char value[32];
    test_ok(reco_setting_get(value, sizeof value, engine, "coview.length", &err), &err);
    ck_assert_str_eq(value, "3d");
    reco_close(engine);
    reco_close(NULL);
}
END_TEST

START_TEST(reopened_with_other_rules_is_refused)
{
    static const char *const other[] = {"coview.length", "1d", NULL}, *const fewer[] = {"partitions", "2", NULL},
                             *const same[] = {"recommend.limit_default", "7", NULL};
    reco_engine *engine = open_store(1, 0, NULL);
    tell(engine, "u", "i", "view");
    process(engine);
    reco_close(engine);

    err = (reco_error)RECO_ERROR_INIT;
    ck_assert_int_eq(test_engine_try(&engine, data_path, 0, other, &err), RECO_REFUSED);
    ck_assert_msg(strstr(err.text, "coview.length") && strstr(err.text, "7d") && strstr(err.text, "1d"), "the difference is not named: %s", err.text);
    ck_assert_msg(strstr(err.text, "reco replay --into"), "the way out is not named: %s", err.text);
    err = (reco_error)RECO_ERROR_INIT;
    ck_assert_int_eq(test_engine_try(&engine, data_path, 0, fewer, &err), RECO_REFUSED);
    ck_assert_msg(strstr(err.text, "partitions") || strcmp(err.field, "partitions") == 0, "partitions are not named: %s: %s", err.field, err.text);
    engine = open_store(1, 0, same); /* how to answer is not a rule of learning */
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(null_engines)
{
    char hash[40], *json = NULL;
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = str("u")};
    reco_event event = test_event("u", "i", "view");
    reco_verification found = {.struct_size = sizeof found};

    refused(RECO_INVALID, "engine", reco_ingest(NULL, NULL, &event, 1, sizeof event, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_process(NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_recommend(&answer, NULL, &query, NULL, &err));
    refused(RECO_INVALID, "engine", reco_popular(&answer, NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_stats(&json, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_snapshot(NULL, NULL, "x", NULL, &err));
    refused(RECO_INVALID, "engine", reco_verify(&found, NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_state_hash(hash, NULL, NULL, &err));
    refused(RECO_INVALID, "engine", reco_wait(NULL, str("x"), 0, NULL, &err));
    refused(RECO_INVALID, "engine", reco_import(NULL, NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "processor", reco_processor_step(NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "processor", reco_processor_wait(NULL, 0, NULL, &err));
    reco_processor_close(NULL);
    reco_answer_free(NULL);
    reco_reply_dispose(NULL);
}
END_TEST

/* --- ingest
 * ----------------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(bad_events_are_named_one_by_one)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    int64_t now = reco__now_ms();
    reco_event events[6] = {test_event("u", "a", "view"), test_event("", "a", "view"),  test_event("u", "b", "sneeze"),
                            test_event("u", "c", "view"), test_event("u", "d", "view"), test_event("u", "e", "view")};
    reco_error errors[8];
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_ingest_options options = {.struct_size = sizeof options, .errors = errors, .errors_room = 8};
    const struct {
        int32_t index, status;
        const char *field;
    } expected[] = {{1, RECO_INVALID, "user_id"}, {2, RECO_INVALID, "event_type"}, {3, RECO_TOO_LATE, "timestamp"}, {4, RECO_TOO_EARLY, "timestamp"}};

    events[3].timestamp = now - 3601 * 1000 - 5000;
    events[4].timestamp = now + 61 * 1000 + 5000;
    events[5].timestamp = now - 3590 * 1000;
    test_ok(reco_ingest(&receipt, engine, events, 6, sizeof *events, &options, NULL, &err), &err);
    ck_assert_uint_eq(receipt.accepted, 2);
    ck_assert_uint_eq(receipt.rejected, 4);
    ck_assert_uint_eq(receipt.error_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(errors[i].index, expected[i].index);
        ck_assert_int_eq(errors[i].status, expected[i].status);
        ck_assert_str_eq(errors[i].field, expected[i].field);
        ck_assert_msg(errors[i].text[0] != 0, "error %zu has no text", i);
    }
    ck_assert_msg(receipt.position[0] != 0, "no position");
    options.errors_room = 1;
    test_ok(reco_ingest(&receipt, engine, events, 6, sizeof *events, &options, NULL, &err), &err);
    ck_assert_uint_eq(receipt.error_count, 1);
    ck_assert_uint_eq(receipt.rejected, 4);

    options = (reco_ingest_options){.struct_size = sizeof options, .flags = RECO_INGEST_ATOMIC, .errors = errors, .errors_room = 8};
    refused(RECO_INVALID, "user_id", reco_ingest(&receipt, engine, events, 6, sizeof *events, &options, NULL, &err));
    ck_assert_int_eq(err.index, 1);
    ck_assert_uint_eq(receipt.accepted, 0);
    ck_assert_uint_eq(receipt.error_count, 4);
    ck_assert_uint_eq(receipt.position[0], 0);
    refused(RECO_INVALID, "event_type", reco_ingest(&receipt, engine, events + 2, 3, sizeof *events, NULL, NULL, &err)); /* none of them good */
    ck_assert_uint_eq(receipt.rejected, 3);

    reco_progress progress = {.struct_size = sizeof progress};
    test_ok(reco_process(&progress, engine, NULL, &err), &err);
    ck_assert_uint_eq(progress.events, 4); /* twice two, and nothing of what was refused */
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(arguments_of_ingest)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_event event = test_event("u", "a", "view");
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_ingest_options options = {.struct_size = sizeof options, .flags = 8};
    struct {
        reco_event event;
        uint64_t tail;
    } longer[2] = {{.event = event, .tail = 0}, {.event = event, .tail = 9}};

    refused(RECO_INVALID, "flags", reco_ingest(&receipt, engine, &event, 1, sizeof event, &options, NULL, &err));
    refused(RECO_INVALID, "events", reco_ingest(&receipt, engine, NULL, 1, sizeof event, NULL, NULL, &err));
    refused(RECO_INVALID, "event_size", reco_ingest(&receipt, engine, &event, 1, 3, NULL, NULL, &err));
    refused(RECO_TOO_LARGE, "count", reco_ingest(&receipt, engine, &event, 100001, sizeof event, NULL, NULL, &err));
    receipt.struct_size = 4;
    refused(RECO_INVALID, "receipt", reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, &err));
    receipt.struct_size = sizeof receipt;
    options = (reco_ingest_options){.struct_size = sizeof options, .received_at = -5};
    refused(RECO_INVALID, "received_at", reco_ingest(&receipt, engine, &event, 1, sizeof event, &options, NULL, &err));
    test_ok(reco_ingest(&receipt, engine, NULL, 0, sizeof event, NULL, NULL, &err), &err);
    ck_assert_uint_eq(receipt.accepted + receipt.rejected, 0);
    test_ok(reco_ingest(&receipt, engine, &longer[0].event, 2, sizeof longer[0], NULL, NULL, &err), &err);
    ck_assert_uint_eq(receipt.accepted, 1); /* the second has a tail that means something to somebody */
    ck_assert_uint_eq(receipt.rejected, 1);
    test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    reco_close(engine);
}
END_TEST

START_TEST(ingest_by_json)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_reply reply = {.struct_size = sizeof reply};
    const char *good = "[{\"user_id\":\"u\",\"item_id\":\"a\",\"event_type\":\"view\"},{\"user_id\":\"u\",\"item_id\":\"b\",\"event_type\":\"nod\"}]";
    const char *lines =
        "{\"user_id\":\"u\",\"item_id\":\"a\",\"event_type\":\"view\"}\n{broken\n{\"user_id\":\"u\",\"item_id\":\"c\",\"event_type\":\"like\"}\n";

    test_ok(reco_ingest_json(&reply, engine, good, strlen(good), RECO_JSON_AUTO, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 202);
    json_t *body = parse(reply.body, reply.size);
    ck_assert_int_eq(json_integer_value(json_object_get(body, "accepted")), 1);
    json_t *rejected = json_array_get(json_object_get(body, "rejected"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(rejected, "index")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(rejected, "field")), "event_type");
    process(engine);
    test_ok(reco_wait(engine, str(json_string_value(json_object_get(body, "position"))), 0, NULL, &err), &err);
    json_decref(body);
    reco_reply_dispose(&reply);

    test_ok(reco_ingest_json(&reply, engine, good, strlen(good), RECO_JSON_AUTO, RECO_INGEST_ATOMIC, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 422);
    ck_assert_str_eq(reply.content_type, "application/problem+json");
    body = parse(reply.body, reply.size);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(body, "errors"), 0), "index")), 1);
    json_decref(body);
    reco_reply_dispose(&reply);

    test_ok(reco_ingest_json(&reply, engine, lines, strlen(lines), RECO_JSON_NDJSON, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 202);
    body = parse(reply.body, reply.size);
    ck_assert_int_eq(json_integer_value(json_object_get(body, "accepted")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(body, "rejected"), 0), "index")), 1);
    json_decref(body);
    reco_reply_dispose(&reply);

    test_ok(reco_ingest_json(&reply, engine, "[{", 2, RECO_JSON_AUTO, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 400);
    json_decref(parse(reply.body, reply.size));
    reco_reply_dispose(&reply);
    reco_close(engine);
}
END_TEST

START_TEST(full_tables)
{
    static const char *const tight[] = {"limits.items", "3", NULL};
    reco_engine *engine = open_store(_i, 0, tight);
    reco_event known = test_event("u", "a", "view"), unknown = test_event("u", "new", "view");
    reco_reply reply = {.struct_size = sizeof reply};
    const char *text = "{\"user_id\":\"u\",\"item_id\":\"new\",\"event_type\":\"view\"}";

    tell(engine, "u", "a", "view");
    tell(engine, "u", "b", "view");
    tell(engine, "u", "c", "view");
    process(engine);
    atomic_store(&engine->room_checked_ns, 0); /* looked at ten times a second otherwise */
    refused(RECO_FULL, "item_id", reco_ingest(NULL, engine, &unknown, 1, sizeof unknown, NULL, NULL, &err));
    ck_assert_msg(strstr(err.text, "limits.items"), "the limit is not named: %s", err.text);
    test_ok(reco_ingest_json(&reply, engine, text, strlen(text), RECO_JSON_AUTO, 0, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 507);
    ck_assert_int_gt(reply.retry_after, 0);
    reco_reply_dispose(&reply);
    test_ok(reco_ingest(NULL, engine, &known, 1, sizeof known, NULL, NULL, &err), &err);
    process(engine);

    atomic_store(&engine->items_scarce, false); /* as if it had been let through: learning stops there, and says why */
    atomic_store(&engine->room_checked_ns, reco__monotonic_ns());
    test_ok(reco_ingest(NULL, engine, &unknown, 1, sizeof unknown, NULL, NULL, &err), &err);
    ck_assert_int_eq(reco_process(NULL, engine, NULL, &err), RECO_FULL);
    ck_assert_msg(strstr(err.text, "limits.items") || strstr(err.field, "limits.items"), "the limit is not named: %s: %s", err.field, err.text);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(erase_records_wait_for_a_newer_libreco)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    reco__buf bytes = {0};

    tell(engine, "u", "a", "view");
    process(engine);
    reco__envelope_erase(&bytes, str("u"), reco__now_ms());
    reco_stream_record record = {
        .partition = reco__stream_partition(engine->stream, "u", 1), .size = (uint32_t)bytes.size, .data = bytes.data, .received_at = reco__now_ms()};
    test_ok(reco__stream_append(NULL, engine->stream, &record, 1, 0, NULL, NULL, 0, NULL, &err), &err);
    reco__buf_dispose(&bytes);
    ck_assert_int_eq(reco_process(NULL, engine, NULL, &err), RECO_UNSUPPORTED);
    ck_assert_msg(strstr(err.text, "erase"), "erase is not named: %s", err.text);
    test_engine_verify(engine, NULL); /* up to there nothing has happened */
    reco_close(engine);
}
END_TEST

/* --- positions
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(positions)
{
    reco_engine *engine = open_store(0, 0, NULL), *other = open_store(0, 0, NULL);
    char first[RECO_POSITION_MAX], second[RECO_POSITION_MAX], long_one[RECO_POSITION_MAX + 10];
    reco_event event = test_event("u", "a", "view");
    static const char *const malformed[] = {"", "x", "!!!!", "AAAA", "AQ", "////////////////", "AQIDBAUGBwgJCgsMDQ4PEBESExQ"};

    test_engine_tell(first, engine, &event);
    refused(RECO_TIMEOUT, "position", reco_wait(engine, str(first), 1, NULL, &err));
    process(engine);
    test_ok(reco_wait(engine, str(first), 0, NULL, &err), &err);
    test_engine_tell(second, engine, &event);
    refused(RECO_TIMEOUT, "position", reco_wait(engine, str(second), 0, NULL, &err));
    test_ok(reco_wait(engine, str(first), 0, NULL, &err), &err);

    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        refused(RECO_INVALID, "position", reco_wait(engine, str(malformed[i]), 0, NULL, &err));
    memset(long_one, 'A', sizeof long_one);
    refused(RECO_TOO_LARGE, "position", reco_wait(engine, (reco_str){long_one, sizeof long_one}, 0, NULL, &err));
    for (size_t cut = 1; cut < strlen(first); cut++) /* the front of a position is never another position of the same touch */
        (void)reco_wait(engine, (reco_str){first, cut}, 0, NULL, &err);
    refused(RECO_INVALID, "position", reco_wait(other, str(first), 0, NULL, &err));
    ck_assert_msg(strstr(err.text, "another stream"), "%s", err.text);
    refused(RECO_INVALID, "wait_ms", reco_wait(engine, str(first), -1, NULL, &err));
    int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    ck_assert_int_eq(reco_wait(engine, str(second), 1000, &call, &err), RECO_CANCELLED);
    reco_close(engine);
    reco_close(other);
}
END_TEST

START_TEST(a_click_counts_in_the_next_answer)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    reco_answer *answer = NULL;

    teach(engine);
    ask(&answer, engine, "me");
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_FALLBACK, RECO_ANSWER_FALLBACK);
    ck_assert_uint_gt(answer->count, 0);
    check_answer(answer);
    tell(engine, "me", "a", "view");
    ask(&answer, engine, "me");
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_FALLBACK, RECO_ANSWER_FALLBACK); /* not learned yet */
    process(engine);
    ask(&answer, engine, "me");
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_FALLBACK, 0);
    check_answer(answer);
    ck_assert_ptr_null(find(answer, "a"));
    ck_assert(answer->count > 0 && is(answer->items[0].item_id, "b"));
    const reco_reason *why = &answer->items[0].reasons[0];
    ck_assert_uint_eq(why->kind, RECO_REASON_COVIEW);
    ck_assert(is(why->because, "a"));
    ck_assert_msg(answer->recommendation_id.size > 0, "no recommendation_id");

    /* a click that carries it is attributed; one that carries another loses that and stays */
    reco_event click = test_event("me", "b", "click");
    click.recommendation_id = answer->recommendation_id;
    test_engine_tell(NULL, engine, &click);
    click.recommendation_id = str("made-up");
    test_engine_tell(NULL, engine, &click);
    ck_assert_uint_eq(atomic_load(&engine->counters.attributed), 1);
    ck_assert_uint_eq(atomic_load(&engine->counters.unattributed), 1);
    process(engine);
    tell(engine, "me", "c", "hide");
    process(engine);
    ask(&answer, engine, "me");
    ck_assert_ptr_null(find(answer, "c"));
    reco_answer_free(answer);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(the_answer_waits_for_the_click)
{
    reco_engine *engine = open_store(_i, RECO_OPEN_BACKGROUND, NULL);
    reco_answer *answer = NULL;
    char position[RECO_POSITION_MAX];

    teach(engine);
    for (int i = 0; i < 20; i++) {
        char user[16];
        snprintf(user, sizeof user, "me%d", i);
        reco_event event = test_event(user, "a", "view");
        test_engine_tell(position, engine, &event);
        reco_query query = {.struct_size = sizeof query, .user_id = str(user), .min_position = str(position), .wait_ms = 2000};
        test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
        ck_assert_uint_eq(answer->flags & (RECO_ANSWER_FALLBACK | RECO_ANSWER_BEHIND), 0);
        ck_assert_ptr_null(find(answer, "a"));
        ck_assert_ptr_nonnull(find(answer, "b"));
        test_ok(reco_wait(engine, answer->position, 0, NULL, &err), &err);
    }
    reco_answer_free(answer);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(the_answer_says_it_is_behind)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_answer *answer = NULL;
    char position[RECO_POSITION_MAX];
    reco_event event = test_event("me", "a", "view");

    teach(engine);
    test_engine_tell(position, engine, &event);
    reco_query query = {.struct_size = sizeof query, .user_id = str("me"), .min_position = str(position), .wait_ms = 1};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, RECO_ANSWER_BEHIND);
    process(engine);
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
    query.wait_ms = 2001;
    refused(RECO_INVALID, "wait_ms", reco_recommend(&answer, engine, &query, NULL, &err));
    query.wait_ms = 0;
    query.min_position = str("nonsense");
    refused(RECO_INVALID, "min_position", reco_recommend(&answer, engine, &query, NULL, &err));
    query.min_position = (reco_str){NULL, 0};
    query.user_id = str("");
    refused(RECO_INVALID, "user_id", reco_recommend(&answer, engine, &query, NULL, &err));
    query.user_id = str("me");
    query.limit = 501;
    refused(RECO_INVALID, "limit", reco_recommend(&answer, engine, &query, NULL, &err));
    query.limit = 1;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->count, 1);
    query.flags = RECO_QUERY_NO_REASONS;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->items[0].reason_count, 0);
    query.flags = 128;
    refused(RECO_INVALID, "flags", reco_recommend(&answer, engine, &query, NULL, &err));
    refused(RECO_INVALID, "query", reco_recommend(&answer, engine, NULL, NULL, &err));
    refused(RECO_INVALID, "answer", reco_recommend(NULL, engine, &query, NULL, &err));
    reco_answer_free(answer);
    reco_close(engine);
}
END_TEST

/* --- popular, JSON
 * ----------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(popular_and_items)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    reco_answer *answer = NULL;
    reco_str crime = str("crime");
    reco_item items[2] = {
        {.item_id = str("b"), .title = str("B \"quoted\""), .categories = &crime, .category_count = 1, .attributes = str("{\"year\":1999}")},
        {.item_id = str("a"), .flags = RECO_ITEM_HIDDEN}};
    char *json = NULL;

    teach(engine);
    reco_popular_query query = {.struct_size = sizeof query};
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->count, 5);
    ck_assert(is(answer->items[0].item_id, "b"));
    ck_assert_int_eq(answer->items[0].score, INT64_C(5) * RECO_SCORE_UNIT);
    ck_assert_uint_eq(answer->recommendation_id.size, 0);

    test_ok(reco_items_put(engine, items, 2, sizeof *items, NULL, &err), &err); /* effective at the next answer */
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_ptr_null(find(answer, "a"));
    ck_assert_uint_eq(answer->count, 4);
    query.category = crime;
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->count, 1);
    ck_assert(is(answer->items[0].item_id, "b"));
    query.category = (reco_str){NULL, 0};
    test_ok(reco_item_get(&json, engine, str("b"), NULL, &err), &err);
    json_t *document = parse(json, strlen(json));
    ck_assert_str_eq(json_string_value(json_object_get(document, "item_id")), "b");
    ck_assert_str_eq(json_string_value(json_object_get(document, "title")), "B \"quoted\"");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(document, "attributes"), "year")), 1999);
    json_decref(document);
    reco_free(json);

    items[1].flags = 0;
    items[1].available_until = 1;
    test_ok(reco_items_put(engine, items + 1, 1, sizeof *items, NULL, &err), &err);
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_ptr_null(find(answer, "a"));
    test_ok(reco_item_delete(engine, str("a"), NULL, &err), &err);
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_ptr_nonnull(find(answer, "a"));
    refused(RECO_NOT_FOUND, "item_id", reco_item_get(&json, engine, str("a"), NULL, &err));
    test_ok(reco_item_delete(engine, str("a"), NULL, &err), &err);

    items[0].item_id = str("e"); /* all or none */
    items[1] = (reco_item){.item_id = str("")};
    refused(RECO_INVALID, "item_id", reco_items_put(engine, items, 2, sizeof *items, NULL, &err));
    ck_assert_int_eq(err.index, 1);
    refused(RECO_NOT_FOUND, "item_id", reco_item_get(&json, engine, str("e"), NULL, &err));
    size_t count = 0;
    const char *lines = "{\"item_id\":\"d\",\"hidden\":true}\n{\"item_id\":\"e\",\"title\":\"E\"}\n";
    test_ok(reco_items_put_json(&count, engine, lines, strlen(lines), RECO_JSON_NDJSON, NULL, &err), &err);
    ck_assert_uint_eq(count, 2);
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_ptr_null(find(answer, "d"));
    ck_assert_int_eq(reco_items_put_json(&count, engine, "[{\"item_id\":7}]", 15, RECO_JSON_AUTO, NULL, &err), RECO_INVALID);
    query.window = INT64_C(4000) * 86400000;
    refused(RECO_INVALID, "window", reco_popular(&answer, engine, &query, NULL, &err));
    reco_answer_free(answer);
    reco_close(engine);
}
END_TEST

/* --- patches ------------------------------------------------------------------------------------------------------------------------------- */

static void patched(reco_engine *engine, const char *patch, const char *expected) {
    char *json = NULL;
    test_ok(reco_item_patch(&json, engine, str("shirt"), patch, strlen(patch), NULL, &err), &err);
    ck_assert_str_eq(json, expected);
    reco_free(json);
    json = NULL;
    test_ok(reco_item_get(&json, engine, str("shirt"), NULL, &err), &err);
    ck_assert_str_eq(json, expected);
    reco_free(json);
}

START_TEST(a_part_is_changed)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    static const struct {
        const char *patch, *field;
    } bad[] = {{"{\"title\":7}", "title"},
               {"{\"parent\":\"shirt\"}", "parent"},
               {"{\"item_id\":\"other\"}", "item_id"},
               {"{\"attributes\":7}", "attributes"},
               {"{\"available_from\":9,\"available_until\":8}", "available_until"},
               {"{\"categories\":[\"a\",\"a\"],\"title\":\"new\"}", "categories"},
               {"{", ""},
               {"[]", ""},
               {"7", ""}};
    reco_item shirt = {.item_id = str("shirt"), .title = str("Shirt"), .attributes = str("{\"sizes\":{\"m\":1,\"l\":2},\"price\":9.90}")};
    char *json = NULL;
    refused(RECO_NOT_FOUND, "item_id", reco_item_patch(&json, engine, shirt.item_id, "{}", 2, NULL, &err));
    refused(RECO_INVALID, "item_id", reco_item_patch(&json, engine, str(""), "{}", 2, NULL, &err));
    refused(RECO_INVALID, "patch", reco_item_patch(&json, engine, shirt.item_id, NULL, 2, NULL, &err));
    test_ok(reco_items_put(engine, &shirt, 1, sizeof shirt, NULL, &err), &err);
    patched(engine, "{}", "{\"item_id\":\"shirt\",\"title\":\"Shirt\",\"attributes\":{\"sizes\":{\"m\":1,\"l\":2},\"price\":9.90}}");
    patched(engine, "{\"title\":null,\"parent\":\"shirts\",\"attributes\":{\"sizes\":{\"l\":null}},\"colour\":\"red\",\"item_id\":\"shirt\"}",
            "{\"item_id\":\"shirt\",\"parent\":\"shirts\",\"attributes\":{\"sizes\":{\"m\":1},\"price\":9.90,\"colour\":\"red\"}}");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (reco_error)RECO_ERROR_INIT;
        test_status(RECO_INVALID, reco_item_patch(&json, engine, shirt.item_id, bad[i].patch, strlen(bad[i].patch), NULL, &err));
        ck_assert_msg(strcmp(err.field, bad[i].field) == 0, "%s names %s", bad[i].patch, err.field);
        ck_assert_ptr_null(json);
    }
    static char large[20000] = "{\"x\":\"";
    memset(large + 6, 'x', sizeof large - 8);
    memcpy(large + sizeof large - 2, "\"}", 2);
    refused(RECO_TOO_LARGE, "attributes", reco_item_patch(&json, engine, shirt.item_id, large, sizeof large, NULL, &err));
    patched(engine, "{\"attributes\":null}", "{\"item_id\":\"shirt\",\"parent\":\"shirts\"}"); /* nothing of the bad ones stayed */
    test_ok(reco_item_patch(NULL, engine, shirt.item_id, "{\"parent\":null}", 15, NULL, &err), &err);
    patched(engine, "{}", "{\"item_id\":\"shirt\"}");
    refused(RECO_NOT_FOUND, "user_id", reco_user_patch(&json, engine, str("u"), "{}", 2, NULL, &err));
    reco_close(engine);
}
END_TEST

enum { PATCHERS = 4, PATCHES_EACH = 25 };

typedef struct patcher {
    reco_engine *engine;
    int number;
} patcher;

static void *patch_often(void *context) {
    const patcher *self = context;
    for (int i = 0; i < PATCHES_EACH; i++) {
        char patch[64];
        snprintf(patch, sizeof patch, "{\"a%d_%d\":true}", self->number, i);
        if (reco_user_patch(NULL, self->engine, str("u"), patch, strlen(patch), NULL, NULL) != RECO_OK)
            return NULL;
    }
    return context;
}

/* Nothing that one of them stored is lost to another. */
START_TEST(patches_at_the_same_time)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    pthread_t threads[PATCHERS];
    patcher all[PATCHERS];
    reco_user user = {.user_id = str("u"), .segment = str("s")};
    char *json = NULL;
    test_ok(reco_users_put(engine, &user, 1, sizeof user, NULL, &err), &err);
    for (int i = 0; i < PATCHERS; i++) {
        all[i] = (patcher){engine, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, patch_often, &all[i]), 0);
    }
    for (int i = 0; i < PATCHERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        ck_assert_msg(result != NULL, "patching in thread %d failed", i);
    }
    test_ok(reco_user_get(&json, engine, user.user_id, NULL, &err), &err);
    json_t *document = parse(json, strlen(json));
    ck_assert_uint_eq(json_object_size(json_object_get(document, "attributes")), PATCHERS * PATCHES_EACH);
    ck_assert_str_eq(json_string_value(json_object_get(document, "segment")), "s");
    json_decref(document);
    reco_free(json);
    reco_close(engine);
}
END_TEST

static void reply_is(reco_reply *reply, int http_status, const char *named) {
    ck_assert_msg(reply->http_status == http_status, "%d: %s", reply->http_status, reply->body);
    json_t *body = parse(reply->body, reply->size);
    if (named) {
        ck_assert_str_eq(reply->content_type, "application/problem+json");
        ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(body, "errors"), 0), "field")), named);
    } else {
        ck_assert_ptr_nonnull(json_object_get(body, "items"));
    }
    json_decref(body);
    reco_reply_dispose(reply);
}

START_TEST(answers_by_query_string)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_reply reply = {.struct_size = sizeof reply};
    const struct {
        const char *query, *named;
    } recommend[] = {{"user_id=t0&limit=3", NULL},
                     {"user_id=caf%C3%A9&reasons=false&seed=7&scenario=home&wait_ms=5&as_of=2026-01-01T00:00:00Z", NULL},
                     {"", "user_id"},
                     {"user_id=a&user_id=b", "user_id"},
                     {"user_id=a&colour=red", "colour"},
                     {"user_id=a&limit=0", "limit"},
                     {"user_id=a&limit=ten", "limit"},
                     {"user_id=%zz", "user_id"},
                     {"%zz=a", "query"},
                     {"user_id=%ff", "user_id"},
                     {"user_id=a&reasons=maybe", "reasons"},
                     {"user_id=a&as_of=yesterday", "as_of"},
                     {"user_id=a&min_position=x", "min_position"},
                     {"user_id=a&scenario=a%20b", "scenario"}};
    const struct {
        const char *query, *named;
    } popular[] = {{"", NULL}, {"limit=2&window=24h", NULL}, {"window=3w", "window"}, {"category=", "category"}, {"limit=1000000", "limit"},
                   {"x", "x"}};

    teach(engine);
    for (size_t i = 0; i < sizeof recommend / sizeof *recommend; i++) {
        test_ok(test_ask(&reply, engine, RECO_ASK_RECOMMEND, recommend[i].query, NULL, &err), &err);
        reply_is(&reply, recommend[i].named ? 400 : 200, recommend[i].named);
    }
    for (size_t i = 0; i < sizeof popular / sizeof *popular; i++) {
        test_ok(test_ask(&reply, engine, RECO_ASK_POPULAR, popular[i].query, NULL, &err), &err);
        reply_is(&reply, popular[i].named ? 400 : 200, popular[i].named);
    }
    reco_reply small = {.struct_size = 4};
    refused(RECO_INVALID, "reply", test_ask(&small, engine, RECO_ASK_POPULAR, "", NULL, &err));
    reco_answer *answer = NULL;
    const char *text;
    size_t size;
    ask(&answer, engine, "t0");
    test_ok(reco_answer_json(&text, &size, answer, &err), &err);
    ck_assert_uint_eq(strlen(text), size);
    json_decref(parse(text, size));
    reco_answer_free(answer);
    reco_close(engine);
}
END_TEST

/* --- looking after it
 * ----------------------------------------------------------------------------------------------------------------------------------- */

static void count_metric(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    (void)value;
    ck_assert(strncmp(name, "reco_", 5) == 0 && labels && help && help[0]);
    ck_assert(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
    ck_assert_msg(strcmp(type, "counter") != 0 || strcmp(name + strlen(name) - 6, "_total") == 0, "%s", name);
    ++*(int *)context;
}

START_TEST(stats_and_metrics)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    char *json = NULL, value[64];
    int64_t lag = -1, lag_ms = -1;
    int metrics = 0;

    teach(engine);
    tell(engine, "late", "a", "view");
    test_ok(reco_ready(&lag, &lag_ms, engine, NULL, &err), &err);
    ck_assert_int_gt(lag, 0);
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    json_t *stats = parse(json, strlen(json));
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "items")), 5);
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "users")), 6);
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "lag")), lag);
    ck_assert_uint_eq(json_array_size(json_object_get(stats, "partitions")), 4);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(stats, "process"), "accepted")), 13);
    static const char *const stores[] = {"stream", "features", "records"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(json_object_size(json_object_get(stats, stores[i])) > 0, "nothing about %s", stores[i]);
    const json_t *memory = json_object_get(stats, "memory");
    ck_assert_int_gt(json_integer_value(json_object_get(memory, "allocated_bytes")),
                     json_integer_value(json_object_get(memory, "recommend_bytes"))); /* it is a part */
    ck_assert_int_gt(json_integer_value(json_object_get(memory, "anonymous_bytes")), 0);
    json_decref(stats);
    reco_free(json);
    process(engine);
    test_ok(reco_ready(&lag, NULL, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, 0);
    test_ok(reco_metrics(engine, count_metric, &metrics, NULL, &err), &err);
    ck_assert_int_gt(metrics, 15);
    test_ok(reco_setting_get(value, sizeof value, engine, "lateness", &err), &err);
    ck_assert_str_eq(value, "1h");
    ck_assert_int_eq(reco_setting_get(value, sizeof value, engine, "no.such", &err), RECO_INVALID);
    ck_assert_int_eq(reco_setting_get(value, 1, engine, "lateness", &err), RECO_TOO_LARGE);
    reco_close(engine);
}
END_TEST

/* The histogram of events to their effect, as it is told: cumulative. */
typedef struct effects {
    double count, sum, below[2], all; /* at most 2.5 s and 5 s */
} effects;

static void take_effect(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    static const char metric[] = "reco_event_to_effect_seconds";
    effects *out = context;
    (void)help;
    if (strncmp(name, metric, strlen(metric)) != 0)
        return;
    ck_assert_str_eq(type, "histogram");
    const char *end = name + strlen(metric);
    double *at = strcmp(end, "_count") == 0           ? &out->count
                 : strcmp(end, "_sum") == 0           ? &out->sum
                 : strcmp(labels, "le=\"2.5\"") == 0  ? &out->below[0]
                 : strcmp(labels, "le=\"5\"") == 0    ? &out->below[1]
                 : strcmp(labels, "le=\"+Inf\"") == 0 ? &out->all
                                                      : NULL;
    if (at)
        *at = value;
}

/* Of events that have one: not of those left out because their id was seen. */
START_TEST(event_to_effect)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    int64_t now = reco__now_ms(), ages[] = {3000, 2000, 0, 0};
    for (size_t i = 0; i < 4; i++) { /* the last two are one */
        reco_event event = test_event("u", "a", "view");
        reco_receipt receipt = {.struct_size = sizeof receipt};
        reco_ingest_options options = {.struct_size = sizeof options, .received_at = now - ages[i]};
        event.event_id = i < 2 ? (reco_str){NULL, 0} : str("once");
        test_ok(reco_ingest(&receipt, engine, &event, 1, sizeof event, &options, NULL, &err), &err);
        ck_assert_int_eq(receipt.accepted, 1);
    }
    effects found = {.count = -1};
    test_ok(reco_metrics(engine, take_effect, &found, NULL, &err), &err);
    ck_assert_double_eq(found.count, 0);
    process(engine);
    test_ok(reco_metrics(engine, take_effect, &found, NULL, &err), &err);
    double took = (double)(reco__now_ms() - now) / 1000;
    ck_assert_double_eq(found.count, 3);
    ck_assert_double_eq(found.all, 3);
    ck_assert_double_ge(found.sum, 5);
    ck_assert_double_le(found.sum, 5 + 3 * took + 0.01);
    if (took < 0.5) { /* a machine that took longer has them in other buckets */
        ck_assert_double_eq(found.below[0], 2);
        ck_assert_double_eq(found.below[1], 3);
    }
    reco_close(engine);
}
END_TEST

START_TEST(snapshots)
{
    reco_engine *engine = open_store(_i, 0, NULL), *other = open_store(0, 0, NULL);
    char path[320], second[320], hash[40];
    reco_snapshot_result result = {.struct_size = sizeof result}, again = {.struct_size = sizeof again};
    reco_verification found = {.struct_size = sizeof found};
    struct stat info;

    snprintf(path, sizeof path, "%s/a.snapshot", dir);
    snprintf(second, sizeof second, "%s/b.snapshot", dir);
    teach(engine);
    test_ok(reco_snapshot(&result, engine, path, NULL, &err), &err);
    test_engine_hash(hash, engine);
    ck_assert_str_eq(result.hash, hash);
    ck_assert_uint_eq(result.items, 5);
    ck_assert_uint_eq(result.cells, 6);
    ck_assert_uint_gt(result.rows, 0);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq((uint64_t)info.st_size, result.bytes);
    refused(RECO_CONFLICT, "path", reco_snapshot(&result, engine, path, NULL, &err));
    refused(RECO_INVALID, "path", reco_snapshot(&result, engine, "", NULL, &err));
    ck_assert_int_ne(reco_snapshot(&result, engine, "/nonexistent/x", NULL, &err), RECO_OK);
    test_ok(reco_snapshot(&again, engine, second, NULL, &err), &err);
    ck_assert_uint_eq(again.bytes, result.bytes);
    test_engine_verify(engine, path);
    tell(engine, "u", "z", "view");
    process(engine);
    ck_assert_uint_eq(test_engine_verify(engine, path).events, 1);

    reco_verify_options options = {.struct_size = sizeof options, .snapshot = path};
    teach(other);
    ck_assert_int_eq(reco_verify(&found, other, &options, NULL, &err), RECO_REFUSED);
    ck_assert_msg(strstr(err.text, "another stream"), "%s", err.text);
    FILE *file = fopen(path, "r+");
    fseek(file, -10, SEEK_END);
    int altered = fgetc(file) ^ 1;
    fseek(file, -10, SEEK_END);
    fputc(altered, file);
    fclose(file);
    ck_assert_int_eq(reco_verify(&found, engine, &options, NULL, &err), RECO_CORRUPT);
    ck_assert_int_eq(truncate(path, info.st_size / 2), 0);
    ck_assert_int_eq(reco_verify(&found, engine, &options, NULL, &err), RECO_CORRUPT);
    options.snapshot = "/nonexistent/x";
    ck_assert_int_eq(reco_verify(&found, engine, &options, NULL, &err), RECO_NOT_FOUND);
    options = (reco_verify_options){.struct_size = sizeof options, .flags = 1};
    refused(RECO_INVALID, "flags", reco_verify(&found, engine, &options, NULL, &err));
    test_engine_verify(engine, NULL);
    reco_close(engine);
    reco_close(other);
}
END_TEST

START_TEST(processors)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    reco_processor *one = NULL, *two = NULL;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = 2000000};
    reco_progress progress = {.struct_size = sizeof progress};

    refused(RECO_INVALID, "batch_events", reco_processor_open(&one, engine, &options, NULL, &err));
    refused(RECO_INVALID, "out", reco_processor_open(NULL, engine, NULL, NULL, &err));
    for (int i = 0; i < 40; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        tell(engine, user, "a", "view");
    }
    options.batch_events = 1;
    test_ok(reco_processor_open(&one, engine, &options, NULL, &err), &err);
    test_ok(reco_processor_open(&two, engine, NULL, NULL, &err), &err);
    test_ok(reco_processor_step(&progress, one, NULL, &err), &err);
    ck_assert_uint_eq(progress.partitions, 2); /* half of four */
    ck_assert_uint_eq(progress.records, 1);
    ck_assert_int_gt(progress.lag, 0);
    uint64_t events = progress.events; /* none when it was a tick */
    progress.struct_size = 1;
    refused(RECO_INVALID, "out", reco_processor_step(&progress, one, NULL, &err));
    progress.struct_size = sizeof progress;
    test_ok(reco_processor_step(&progress, two, NULL, &err), &err);
    ck_assert_uint_eq(progress.partitions, 2);
    reco_processor_close(one);
    do {
        test_ok(reco_processor_step(&progress, two, NULL, &err), &err);
    } while (!progress.idle);
    ck_assert_uint_eq(progress.partitions, 4); /* what the other one had */
    ck_assert_int_eq(progress.lag, 0);
    ck_assert_uint_eq(progress.events + events, 40);
    refused(RECO_INVALID, "timeout_ms", reco_processor_wait(two, -1, NULL, &err));
    test_ok(reco_processor_wait(two, 1, NULL, &err), &err);
    tell(engine, "u0", "b", "view");
    test_ok(reco_processor_wait(two, 60000, NULL, &err), &err);
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + 20000000};
    while (reco_processor_step(&progress, two, NULL, &err) == RECO_OK && !progress.idle)
        continue;
    tell(engine, "u0", "c", "view");
    refused(RECO_TIMEOUT, err.field, reco_process(NULL, engine, &call, &err)); /* the other one owns half, and does not step */
    reco_processor_close(two);
    process(engine);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

/* --- import
 * ------------------------------------------------------------------------------------------------------------------------------------------------ */

static void write_file(char path[320], const char *name, const char *text) {
    snprintf(path, 320, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static reco_status import(reco_import_result *result, reco_engine *engine, const char *format, const char *path, uint32_t flags) {
    reco_import_options options = {.struct_size = sizeof options, .format = format, .paths = &path, .path_count = 1, .flags = flags};
    *result = (reco_import_result){.struct_size = sizeof *result};
    err = (reco_error)RECO_ERROR_INIT;
    return reco_import(result, engine, &options, NULL, &err);
}

static const char *const csv = "user_id,item_id,event_type,timestamp,value\n"
                               "u1,\"a, the first\",view,1700000002000,\n"
                               "u1,b,rating,1700000003000,5\n"
                               "\n"
                               "u2,b,view,1700000001000,\r\n";

START_TEST(imports_csv)
{
    reco_engine *engine = open_store(_i, 0, NULL);
    reco_import_result result;
    char path[320], hash[40], again[40];

    write_file(path, "events.csv", csv);
    test_ok(import(&result, engine, "csv", path, 0), &err);
    ck_assert_uint_eq(result.events, 3);
    ck_assert_uint_eq(result.already, 0);
    ck_assert_int_eq(result.first, 1700000001000);
    ck_assert_int_eq(result.last, 1700000003000);
    ck_assert_msg(result.warning[0] != 0, "that it will all expire goes without saying");
    test_engine_hash(hash, engine);
    test_ok(import(&result, engine, "csv", path, 0), &err);
    ck_assert_uint_eq(result.events, 0);
    ck_assert_uint_eq(result.already, 1);
    test_engine_hash(again, engine);
    ck_assert_str_eq(hash, again);
    write_file(path, "earlier.csv", "user_id,item_id,event_type,timestamp\nu,a,view,1600000000000\n");
    refused(RECO_CONFLICT, "timestamp", import(&result, engine, "csv", path, 0));
    ck_assert_msg(strstr(err.text, "new directory"), "%s", err.text);
    test_engine_hash(again, engine);
    ck_assert_str_eq(hash, again);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(import_moves_time_to_now)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_import_result result;
    char path[320];
    int64_t before = reco__now_ms();

    write_file(path, "events.csv", csv);
    test_ok(import(&result, engine, "csv", path, RECO_IMPORT_SHIFT_TIME), &err);
    ck_assert_int_ge(result.last, before);
    ck_assert_int_le(result.last, reco__now_ms());
    ck_assert_int_eq(result.last - result.first, 2000);
    ck_assert_uint_eq(result.warning[0], 0);
    test_ok(import(&result, engine, "csv", path, RECO_IMPORT_SHIFT_TIME), &err);
    ck_assert_uint_eq(result.already, 1);
    tell(engine, "u1", "b", "view"); /* live events follow */
    process(engine);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(imports_ndjson)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_import_result result;
    char path[320];

    write_file(path, "events.ndjson",
               "{\"user_id\":\"u\",\"item_id\":\"a\",\"event_type\":\"view\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n"
               "{\"user_id\":\"u\",\"item_id\":\"b\",\"event_type\":\"view\",\"timestamp\":1735689601000,\"session_id\":\"s\"}\n");
    test_ok(import(&result, engine, "ndjson", path, 0), &err);
    ck_assert_uint_eq(result.events, 2);
    ck_assert_int_eq(result.first, 1735689600000);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(imports_movielens)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_import_result result;
    char path[320], *json = NULL;

    write_file(path, "u.data", "1\t10\t5\t881250949\n1\t11\t3\t881250950\n2\t10\t4\t881250951\n");
    write_file(path, "u.genre", "unknown|0\nAction|1\nComedy|2\n\n");
    write_file(path, "u.item", "10|Caf\xe9 Noir (1995)|01-Jan-1995||http://x|0|1|1\n11|Two (1996)|||\xe9|1|0|0\n");
    test_ok(import(&result, engine, "movielens", dir, RECO_IMPORT_SHIFT_TIME), &err);
    ck_assert_uint_eq(result.events, 3);
    ck_assert_uint_eq(result.items, 2);
    test_ok(reco_item_get(&json, engine, str("10"), NULL, &err), &err);
    json_t *document = parse(json, strlen(json));
    ck_assert_str_eq(json_string_value(json_object_get(document, "title")), "Caf\xc3\xa9 Noir (1995)");
    ck_assert_uint_eq(json_array_size(json_object_get(document, "categories")), 2);
    json_decref(document);
    reco_free(json);
    reco_answer *answer = NULL;
    ask(&answer, engine, "2");
    reco_answer_free(answer);
    test_engine_verify(engine, NULL);
    write_file(path, "u.data", "1\t10\t5\n");
    ck_assert_int_eq(import(&result, engine, "movielens", dir, 0), RECO_INVALID);
    ck_assert_msg(strstr(err.text, "u.data line 1"), "%s", err.text);
    reco_close(engine);
}
END_TEST

START_TEST(bad_lines_are_named_and_nothing_is_added)
{
    reco_engine *engine = open_store(0, 0, NULL);
    reco_import_result result;
    char path[320], hash[40], after[40], where[340];
    const struct {
        const char *format, *text, *field;
        int line;
    } bad[] = {{"csv", "user_id,item_id,event_type,timestamp\nu,a,view,1700000000000\nu,a,view,soon\n", "timestamp", 3},
               {"csv", "user_id,item_id,event_type,timestamp\n\nu,a,view,1700000000000\nu,a,view\n", "csv", 4},
               {"csv", "user_id,item_id,event_type,timestamp\nu,a,view,1700000000000,x\n", "csv", 2},
               {"csv", "user_id,item_id,event_type,timestamp\nu,\"a,view,1700000000000\n", "csv", 2},
               {"csv", "user_id,item_id,event_type,timestamp\n,a,view,1700000000000\n", "user_id", 2},
               {"csv", "user_id,item_id,event_type,timestamp\nu,a,nod,1700000000000\n", "event_type", 2},
               {"csv", "user_id,item_id,event_type,timestamp,value\nu,a,view,1700000000000,much\n", "value", 2},
               {"csv", "user_id,item_id,event_type\nu,a,view\n", "timestamp", 0},
               {"csv", "user_id,item_id,user_id,event_type,timestamp\n", "user_id", 0},
               {"csv", "", "csv", 0},
               {"csv", "user_id,item_id,event_type,timestamp\n", "path", 0},
               {"ndjson", "{\"user_id\":\"u\",\"item_id\":\"a\",\"event_type\":\"view\",\"timestamp\":1}\n{\"user_id\"\n", NULL, 2},
               {"ndjson", "{\"user_id\":\"u\",\"item_id\":\"a\",\"event_type\":\"view\"}\n", "timestamp", 1}};

    test_engine_hash(hash, engine);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(path, "bad", bad[i].text);
        reco_status status = import(&result, engine, bad[i].format, path, 0);
        ck_assert_msg(status == RECO_INVALID, "file %zu: %s: %s", i, reco_status_name(status), err.text);
        ck_assert_msg(!bad[i].field || strcmp(err.field, bad[i].field) == 0, "file %zu: names %s: %s", i, err.field, err.text);
        snprintf(where, sizeof where, "%s line %d:", path, bad[i].line);
        ck_assert_msg(bad[i].line == 0 || strstr(err.text, where), "file %zu: %s", i, err.text);
        process(engine);
        test_engine_hash(after, engine);
        ck_assert_str_eq(hash, after);
    }
    refused(RECO_INVALID, "format", import(&result, engine, "xml", path, 0));
    ck_assert_int_eq(import(&result, engine, "csv", "/nonexistent/file", 0), RECO_NOT_FOUND);
    ck_assert_int_eq(import(&result, engine, "csv", dir, 0), RECO_INVALID);
    write_file(path, "future.csv", "user_id,item_id,event_type,timestamp\nu,a,view,4000000000000\n");
    refused(RECO_TOO_EARLY, "timestamp", import(&result, engine, "csv", path, 0));
    reco_close(engine);
}
END_TEST

static void kill_in_the_middle(void *context, const reco_work *work) {
    if (strcmp(work->what, "appending") == 0 && work->done >= *(uint64_t *)context) {
        _exit(9);
    }
}

START_TEST(import_killed_in_the_middle_goes_on)
{
    enum { LINES = 5500 };
    char path[320], whole_path[320], hash[40], resumed[40];
    reco_import_result result;

    snprintf(path, sizeof path, "%s/long.csv", dir);
    snprintf(whole_path, sizeof whole_path, "%s/whole", dir);
    FILE *file = fopen(path, "w");
    fputs("user_id,item_id,event_type,timestamp\n", file);
    for (int i = 0; i < LINES; i++)
        fprintf(file, "u%d,i%d,view,%lld\n", i % 37, i % 101, 1700000000000LL + (long long)(i * 7919 % LINES) * 1000);
    fclose(file);
    uint64_t stops[] = {1000, 4000};
    for (size_t i = 0; i < 2; i++) {
        pid_t child = test_fork();
        if (child == 0) {
            reco_engine *engine = NULL;
            const char *paths[] = {path};
            reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1};
            reco_call call = {.struct_size = sizeof call, .progress = kill_in_the_middle, .progress_context = &stops[i]};
            if (test_engine_try(&engine, data_path, 0, NULL, &err) == RECO_OK)
                (void)reco_import(NULL, engine, &options, &call, &err);
            test_child_fail("import", &err);
        }
        ck_assert_int_eq(test_child_end(child), 9);
    }
    reco_engine *engine = open_store(1, 0, NULL), *whole = test_engine_open(whole_path, 0, NULL);
    test_ok(import(&result, engine, "csv", path, 0), &err);
    ck_assert_uint_eq(result.events, LINES - 4000);
    test_ok(import(&result, engine, "csv", path, 0), &err);
    ck_assert_uint_eq(result.already, 1);
    test_ok(import(&result, whole, "csv", path, 0), &err);
    ck_assert_uint_eq(result.events, LINES);
    test_engine_hash(resumed, engine);
    test_engine_hash(hash, whole);
    ck_assert_str_eq(resumed, hash);
    test_engine_verify(engine, NULL);
    reco_close(engine);
    reco_close(whole);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine");
    TCase *face = tcase_create("face");

    tcase_add_checked_fixture(face, setup, teardown);
    tcase_add_test(face, open_checks_its_options);
    tcase_add_test(face, reopened_with_other_rules_is_refused);
    tcase_add_test(face, null_engines);
    tcase_add_loop_test(face, bad_events_are_named_one_by_one, 0, 2);
    tcase_add_test(face, arguments_of_ingest);
    tcase_add_test(face, ingest_by_json);
    tcase_add_loop_test(face, full_tables, 0, 2);
    tcase_add_loop_test(face, erase_records_wait_for_a_newer_libreco, 0, 2);
    tcase_add_test(face, positions);
    tcase_add_loop_test(face, a_click_counts_in_the_next_answer, 0, 2);
    tcase_add_loop_test(face, the_answer_waits_for_the_click, 0, 2);
    tcase_add_test(face, the_answer_says_it_is_behind);
    tcase_add_loop_test(face, popular_and_items, 0, 2);
    tcase_add_loop_test(face, a_part_is_changed, 0, 2);
    tcase_add_loop_test(face, patches_at_the_same_time, 0, 2);
    tcase_add_test(face, answers_by_query_string);
    tcase_add_loop_test(face, stats_and_metrics, 0, 2);
    tcase_add_loop_test(face, event_to_effect, 0, 2);
    tcase_add_loop_test(face, snapshots, 0, 2);
    tcase_add_loop_test(face, processors, 0, 2);
    tcase_add_loop_test(face, imports_csv, 0, 2);
    tcase_add_test(face, import_moves_time_to_now);
    tcase_add_test(face, imports_ndjson);
    tcase_add_test(face, imports_movielens);
    tcase_add_test(face, bad_lines_are_named_and_nothing_is_added);
    tcase_add_test(face, import_killed_in_the_middle_goes_on);
    suite_add_tcase(suite, face);
    return test_run(suite);
}
