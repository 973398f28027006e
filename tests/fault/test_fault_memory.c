/* tests/fault/test_fault_memory.c - every allocation of ours fails, once and for ever, through the whole life of an engine: no crash, no leak, no
 * empty error text, and a failure that fired is never answered by OK.
 *
 * There are no exceptions: a question that runs out of memory is not answered by a lesser answer. Whatever failed can be asked again and then
 * succeeds, and a replay equals what was learned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "engine/engine.h"
#include "support/engine.h"

static char dir[256], data_path[300];

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    test_memory_install();
}

static void teardown(void) {
    test_memory_restore();
    test_dir_remove(dir);
}

/* Settings and files of the test are not what fails. */
static reco_settings *settings;

static reco_status open_engine(reco_engine **out, const char *data, reco_error *err) {
    reco_open_options options = {.struct_size = sizeof options, .data = data, .settings = settings};
    return reco_open(out, &options, NULL, err);
}

static reco_event events[40];
static char names[40][2][8];

static void make_events(void) {
    for (int i = 0; i < 40; i++) {
        snprintf(names[i][0], 8, "u%d", i % 6);
        snprintf(names[i][1], 8, "i%d", i * 7 % 11);
        events[i] = test_event(names[i][0], names[i][1], i % 9 == 0 ? "hide" : "view");
    }
}

static reco_status ingest(reco_engine *engine, reco_error *err) {
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = reco_ingest(&receipt, engine, events, 40, sizeof *events, NULL, NULL, err);
    ck_assert_msg(status != RECO_OK || (receipt.accepted == 40 && receipt.position[0]), "OK without all that was sent");
    ck_assert_msg(status == RECO_OK || receipt.accepted == 0, "%s with events accepted", reco_status_name(status));
    return status;
}

static reco_status recommend(reco_engine *engine, reco_error *err) {
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {"u1", 2}};
    const char *text;
    size_t size;
    reco_status status = reco_recommend(&answer, engine, &query, NULL, err);
    if (status == RECO_OK) {
        ck_assert_msg(!(answer->flags & RECO_ANSWER_DEGRADED), "out of memory passed for a lesser answer");
        status = reco_answer_json(&text, &size, answer, err);
    }
    reco_answer_free(answer);
    return status;
}

static int ignore_answer(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    (void)context, (void)index, (void)error;
    ck_assert_msg(status == RECO_OK && !(answer->flags & RECO_ANSWER_DEGRADED), "out of memory passed for a lesser answer");
    return 0;
}

static reco_status going_back(reco_engine *engine, reco_error *err) {
    const reco_query queries[] = {{.struct_size = sizeof *queries, .user_id = {"u1", 2}, .as_of = INT64_C(4102444800000)},
                                  {.struct_size = sizeof *queries, .user_id = {"u2", 2}, .as_of = 1}};
    return reco_rewind(NULL, engine, queries, 2, sizeof *queries, ignore_answer, NULL, NULL, err);
}

static reco_status popular(reco_engine *engine, reco_error *err) {
    reco_answer *answer = NULL;
    reco_popular_query query = {.struct_size = sizeof query, .window = 7200000};
    reco_status status = reco_popular(&answer, engine, &query, NULL, err);
    reco_answer_free(answer);
    return status;
}

static reco_status reply_status(reco_status status, reco_reply *reply, reco_error *err) {
    if (status == RECO_OK && reply->http_status >= 300) {
        ck_assert_msg(reply->body && reply->size > 0, "a reply without a body");
        status = reco__fail(err, (reco_status)reply->status, "reply", "%.200s", reply->body);
    }
    reco_reply_dispose(reply);
    return status;
}

static reco_status by_json(reco_engine *engine, reco_error *err) {
    static const char event[] = "[{\"user_id\":\"u1\",\"item_id\":\"i1\",\"event_type\":\"view\",\"properties\":{\"a\":1}}]";
    reco_reply reply = {.struct_size = sizeof reply};
    reco_status status = reply_status(reco_ingest_json(&reply, engine, event, sizeof event - 1, RECO_JSON_AUTO, 0, NULL, err), &reply, err);
    if (status == RECO_OK)
        status = reply_status(test_ask(&reply, engine, RECO_ASK_RECOMMEND, "user_id=u%31&limit=5", NULL, err), &reply, err);
    if (status == RECO_OK)
        status = reply_status(test_ask(&reply, engine, RECO_ASK_POPULAR, "limit=5", NULL, err), &reply, err);
    return status;
}

/* Questions in bodies: a session, given items, something similar, many at once. */
static reco_status questions(reco_engine *engine, reco_error *err) {
    static const struct {
        uint32_t kind;
        const char *body;
    } asked[] = {{RECO_ASK_RECOMMEND, "{\"user_id\":\"u1\",\"session\":[\"i2\",{\"item_id\":\"i3\",\"event_type\":\"cart\"}]}"},
                 {RECO_ASK_RECOMMEND, "{\"user_id\":\"u1\",\"exclude\":[\"i2\"],\"caps\":{\"size\":2},\"limit\":1,"
                                      "\"filter\":{\"a\":{\"lt\":2,\"not\":[\"x\",true],\"missing\":true}}}"},
                 {RECO_ASK_RANK, "{\"user_id\":\"u1\",\"items\":[\"i1\",\"nobody knows\",\"i2\"]}"},
                 {RECO_ASK_SIMILAR, "{\"items\":[\"i1\",\"i2\"]}"},
                 {RECO_ASK_BATCH, "[{\"user_id\":\"u1\"},{\"user_id\":7},{\"session\":[\"i1\"]}]"}};
    reco_status status = RECO_OK;
    for (size_t i = 0; i < sizeof asked / sizeof *asked && status == RECO_OK; i++) {
        reco_reply reply = {.struct_size = sizeof reply};
        const reco_ask_input input = {.struct_size = sizeof input, .kind = asked[i].kind, .body = asked[i].body, .body_size = strlen(asked[i].body)};
        status = reply_status(reco_ask_json(&reply, engine, &input, NULL, err), &reply, err);
    }
    return status;
}

static reco_status items(reco_engine *engine, reco_error *err) {
    reco_str category = {"kind", 4};
    reco_item item = {.item_id = {"i1", 2}, .title = {"One", 3}, .categories = &category, .category_count = 1, .attributes = {"{\"a\":1}", 7}};
    static const char text[] = "[{\"item_id\":\"i2\",\"title\":\"Two\"},{\"item_id\":\"i3\",\"hidden\":true}]";
    static const char patch[] = "{\"title\":null,\"parent\":\"p\",\"attributes\":{\"b\":2}}";
    char *json = NULL;
    size_t count;
    reco_status status = reco_items_put(engine, &item, 1, sizeof item, NULL, err);
    if (status == RECO_OK)
        status = reco_item_get(&json, engine, item.item_id, NULL, err);
    reco_free(json);
    json = NULL;
    if (status == RECO_OK)
        status = reco_item_patch(&json, engine, item.item_id, patch, sizeof patch - 1, NULL, err);
    reco_free(json);
    if (status == RECO_OK)
        status = reco_items_put_json(&count, engine, text, sizeof text - 1, RECO_JSON_AUTO, NULL, err);
    if (status == RECO_OK)
        status = reco_item_delete(engine, (reco_str){"i3", 2}, NULL, err);
    return status;
}

/* The reply of good users and of bad ones. */
static reco_status users(reco_engine *engine, reco_error *err) {
    static const char good[] = "{\"segment\":\"new\",\"city\":\"Graz\"}", bad[] = "[{\"user_id\":\"u2\"},{\"user_id\":7}]";
    static const char patch[] = "{\"city\":\"Linz\",\"segment\":null}";
    reco_user user = {.user_id = {"u3", 2}, .segment = {"old", 3}, .attributes = {"{}", 2}};
    reco_reply reply = {.struct_size = sizeof reply};
    reco_status status = reco_users_put(engine, &user, 1, sizeof user, NULL, err);
    if (status == RECO_OK)
        status = reply_status(
            reco_known_json(&reply, engine, RECO_KNOWN_USERS, (reco_str){"u1", 2}, good, sizeof good - 1, RECO_JSON_AUTO, NULL, err), &reply, err);
    if (status == RECO_OK) {
        status = reply_status(reco_known_json(&reply, engine, RECO_KNOWN_USERS, (reco_str){NULL, 0}, bad, sizeof bad - 1, RECO_JSON_AUTO, NULL, err),
                              &reply, err);
        status = status == RECO_INVALID ? RECO_OK : status;
    }
    if (status == RECO_OK)
        status = reply_status(reco_known_patch_json(&reply, engine, RECO_KNOWN_USERS, (reco_str){"u1", 2}, patch, sizeof patch - 1, NULL, err),
                              &reply, err);
    return status == RECO_OK ? reco_user_delete(engine, user.user_id, NULL, err) : status;
}

/* A user with two ids more, asked for. */
static reco_status aliases(reco_engine *engine, reco_error *err) {
    static const char body[] = "{\"anonymous_id\":\"u2\"}";
    reco_reply reply = {.struct_size = sizeof reply};
    char *json = NULL;
    reco_status status = reco_user_alias(&json, engine, (reco_str){"u1", 2}, (reco_str){"u4", 2}, NULL, err);
    reco_free(json);
    if (status == RECO_OK)
        status = reply_status(reco_user_alias_json(&reply, engine, (reco_str){"u1", 2}, body, sizeof body - 1, NULL, err), &reply, err);
    return status == RECO_OK ? recommend(engine, err) : status;
}

static reco_status snapshot(reco_engine *engine, reco_error *err) {
    char path[320];
    snprintf(path, sizeof path, "%s/snapshot", dir);
    reco_status status = reco_snapshot(NULL, engine, path, NULL, err);
    ck_assert_msg((unlink(path) == 0) == (status == RECO_OK), "%s, and the file says otherwise", reco_status_name(status));
    return status;
}

/* A snapshot that stays, of what is learned before a second helping. */
static reco_status keep_snapshot(reco_engine *engine, reco_error *err) {
    char path[320];
    snprintf(path, sizeof path, "%s/kept", dir);
    unlink(path);
    return reco_snapshot(NULL, engine, path, NULL, err);
}

static reco_status verify_from_snapshot(reco_engine *engine, reco_error *err) {
    char path[320];
    reco_verification found = {.struct_size = sizeof found};
    reco_verify_options options = {.struct_size = sizeof options, .snapshot = path};
    snprintf(path, sizeof path, "%s/kept", dir);
    reco_status status = reco_verify(&found, engine, &options, NULL, err);
    ck_assert_msg(status != RECO_OK || found.equal, "not equal: %s", found.difference);
    return status;
}

static reco_status verify(reco_engine *engine, reco_error *err) {
    reco_verification found = {.struct_size = sizeof found};
    reco_status status = reco_verify(&found, engine, NULL, NULL, err);
    ck_assert_msg(status != RECO_OK || found.equal, "not equal: %s", found.difference);
    return status;
}

static reco_status stats(reco_engine *engine, reco_error *err) {
    char *json = NULL, hash[40];
    reco_status status = reco_stats(&json, engine, NULL, err);
    reco_free(json);
    return status == RECO_OK ? reco_state_hash(hash, engine, NULL, err) : status;
}

static reco_status process(reco_engine *engine, reco_error *err) { return reco_process(NULL, engine, NULL, err); }

static reco_status import(reco_engine *engine, reco_error *err) {
    char path[320];
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1, .flags = RECO_IMPORT_SHIFT_TIME};
    snprintf(path, sizeof path, "%s/events.csv", dir);
    return reco_import(NULL, engine, &options, NULL, err);
}

static int ignore_lines(void *context, const char *text, size_t size) {
    (void)context, (void)text, (void)size;
    return 0;
}

static reco_status export(reco_engine *engine, reco_error *err) { return reco_export(NULL, engine, ignore_lines, NULL, NULL, err); }

/* An export of one record of each kind. */
static reco_status import_export(reco_engine *engine, reco_error *err) {
    char path[320];
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "reco", .paths = paths, .path_count = 1};
    snprintf(path, sizeof path, "%s/export.ndjson", dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "{\"type\":\"export\",\"format\":\"reco\",\"version\":1,\"namespace\":\"default\",\"partitions\":%u,\"records\":2}\n"
            "{\"type\":\"event\",\"partition\":%u,\"received_at\":1700000000000,\"user_id\":\"u1\",\"item_id\":\"i1\",\"event_type\":\"view\","
            "\"properties\":{\"a\":1}}\n"
            "{\"type\":\"tick\",\"partition\":0,\"received_at\":1700000000000}\n"
            "{\"type\":\"item\",\"id\":\"i1\",\"document\":{\"title\":\"One\"}}\n"
            "{\"type\":\"user\",\"id\":\"u1\",\"document\":\"no object\"}\n"
            "{\"type\":\"end\",\"events\":1,\"ticks\":1,\"erasures\":0,\"items\":1,\"users\":1,\"models\":0,\"experiments\":0}\n",
            engine->partitions, reco__stream_partition(engine->stream, "u1", 2));
    fclose(file);
    return reco_import(NULL, engine, &options, NULL, err);
}

/* --- one operation at a time ----------------------------------------------------------------------------------------------------------------------
 */

typedef reco_status (*operation)(reco_engine *engine, reco_error *err);

/* What came before the operation whose allocations fail, on a fresh engine each time. */
typedef struct scene {
    const char *name;
    operation before[4], under;
    const char *data;
} scene;

static const scene scenes[] = {
    {"ingest", {NULL}, ingest, "memory:"},
    {"process", {ingest}, process, "memory:"},
    {"recommend", {ingest, process}, recommend, "memory:"},
    {"popular", {ingest, process}, popular, "memory:"},
    {"json", {ingest, process}, by_json, "memory:"},
    {"questions", {ingest, process}, questions, "memory:"},
    {"items", {NULL}, items, "memory:"},
    {"users", {NULL}, users, "memory:"},
    {"aliases", {ingest, process}, aliases, "memory:"},
    {"snapshot", {ingest, process}, snapshot, "memory:"},
    {"verify", {ingest, process}, verify, "memory:"},
    {"verify from a snapshot", {ingest, process, keep_snapshot}, verify_from_snapshot, "memory:"},
    {"stats", {ingest, process}, stats, "memory:"},
    {"import", {NULL}, import, "memory:"},
    {"questions about the past", {ingest, process, users, aliases}, going_back, "memory:"},
    {"export", {ingest, process, items, users}, export, "memory:"},
    {"import of an export", {NULL}, import_export, "memory:"},
};

static void check_whole(reco_engine *engine, const char *name) {
    reco_error err = RECO_ERROR_INIT;
    test_ok(process(engine, &err), &err);
    test_ok(ingest(engine, &err), &err);
    test_ok(process(engine, &err), &err);
    test_ok(recommend(engine, &err), &err);
    reco_verification found = {.struct_size = sizeof found};
    test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
    ck_assert_msg(found.equal, "%s: after a failure not equal: %s", name, found.difference);
}

/* The scene with its nth allocation failing; false when it has fewer. Every tenth time the engine goes on living and is looked at closely. */
static bool play(const scene *at, uint64_t nth, bool for_ever) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    int64_t before = test_memory_live();

    test_ok(open_engine(&engine, at->data, &err), &err);
    for (size_t i = 0; i < 4 && at->before[i]; i++)
        test_ok(at->before[i](engine, &err), &err);
    test_memory_fail(nth, for_ever);
    reco_status status = at->under(engine, &err);
    bool fired = test_memory_fired() > 0;
    test_memory_fail(0, false);
    const char *when = for_ever ? " and all later" : "";
    ck_assert_msg(!fired || status != RECO_OK, "%s: allocation %lu%s failed and the call answered OK", at->name, (unsigned long)nth, when);
    ck_assert_msg(fired || status == RECO_OK, "%s: no allocation failed and the call answered %s: %s", at->name, reco_status_name(status), err.text);
    ck_assert_msg(status == RECO_OK || (err.status == (int32_t)status && err.text[0]), "%s: allocation %lu: %s without a text", at->name,
                  (unsigned long)nth, reco_status_name(status));
    ck_assert_msg(status == RECO_OK || status == RECO_NO_MEMORY, "%s: allocation %lu%s: %s: %s", at->name, (unsigned long)nth, when,
                  reco_status_name(status), err.text);
    if (fired && status != RECO_OK)
        test_ok(at->under(engine, &err), &err); /* and now it goes through */
    if (nth % 10 == 1)
        check_whole(engine, at->name);
    reco_close(engine);
    ck_assert_msg(test_memory_live() == before, "%s: allocation %lu%s: %ld blocks leaked", at->name, (unsigned long)nth, when,
                  (long)(test_memory_live() - before));
    return fired;
}

static void write_csv(void) {
    char path[320];
    snprintf(path, sizeof path, "%s/events.csv", dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("user_id,item_id,event_type,timestamp\n", file);
    for (int i = 0; i < 30; i++)
        fprintf(file, "u%d,\"i%d\",view,%lld\n", i % 5, i % 7, 1700000000000LL + i);
    fclose(file);
}

static void prepare(void) {
    reco_error err = RECO_ERROR_INIT;
    make_events();
    write_csv();
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "limits.map_size", "64MiB", &err), &err);
}

START_TEST(operations)
{
    const scene *at = &scenes[_i];
    prepare();
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        uint64_t nth = 1;
        while (play(at, nth, for_ever != 0))
            nth++;
        ck_assert_msg(nth > 1, "%s allocates nothing: the scene proves nothing", at->name);
        if (for_ever)
            printf("%s: %lu allocations\n", at->name, (unsigned long)(nth - 1));
    }
    reco_settings_free(settings);
}
END_TEST

/* --- opening --------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status open_and_close(void *context, reco_error *err) {
    reco_engine *engine = (reco_engine *)(uintptr_t)1;
    reco_status status = open_engine(&engine, context, err);
    ck_assert_msg(status == RECO_OK || engine == NULL, "%s with an engine", reco_status_name(status));
    reco_close(engine);
    return status;
}

START_TEST(opening)
{
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;

    prepare();
    test_every_allocation(open_and_close, data_path, false); /* the first time makes it, the later ones find it */
    test_every_allocation(open_and_close, (void *)(uintptr_t) "memory:", false);
    test_ok(open_engine(&engine, data_path, &err), &err);
    check_whole(engine, "opening");
    reco_close(engine);
    test_every_allocation(open_and_close, data_path, false); /* with something in it */
    test_ok(open_engine(&engine, data_path, &err), &err);
    check_whole(engine, "opening");
    reco_close(engine);
    reco_settings_free(settings);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault_memory");
    TCase *life = tcase_create("life");

    tcase_add_checked_fixture(life, setup, teardown);
    tcase_add_test(life, opening);
    tcase_add_loop_test(life, operations, 0, sizeof scenes / sizeof *scenes);
    suite_add_tcase(suite, life);
    return test_run(suite);
}
