/* tests/integration/test_bad_calls.c - every exported function, called wrongly: nothing given, too much given, sizes that are not set, numbers that
 * are none, text that is none. The answer is a status with the field named, and nothing has changed. A function that is exported and not here fails
 * the test. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reco/generate.h>
#include <reco/plugin/board.h>
#include <reco/plugin/features.h>
#include <reco/plugin/module.h>
#include <reco/plugin/records.h>
#include <reco/plugin/stage.h>
#include <reco/plugin/stream.h>

#include "support/engine.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static reco_error err;
static reco_engine *engine;
static char dir[256], long_text[70000];

/* --- what was called ----------------------------------------------------------------------------------------------------------------------- */

static const char *called[256];
static size_t called_count;

static void note(const char *function) {
    for (size_t i = 0; i < called_count; i++)
        if (strcmp(called[i], function) == 0)
            return;
    ck_assert_uint_lt(called_count, COUNT_OF(called));
    called[called_count++] = function;
}

static bool was_called(const char *function) {
    for (size_t i = 0; i < called_count; i++)
        if (strcmp(called[i], function) == 0)
            return true;
    return false;
}

static size_t wrong; /* calls that were not answered as expected: all are told, then the test fails */

static void check(const char *function, int line, reco_status got, reco_status expected, const char *named) {
    note(function);
    if (got != expected || err.status != (int32_t)got || strcmp(err.field, named) != 0 || err.text[0] == 0) {
        fprintf(stderr, "line %d: %s answers %s, naming \"%s\" (%s); expected %s, naming \"%s\"\n", line, function, reco_status_name(got), err.field,
                err.text, reco_status_name(expected), named);
        wrong++;
    }
    err = (reco_error)RECO_ERROR_INIT;
}

/* The last argument of the call is `&err`. */
#define BAD(expected, named, function, ...) check(#function, __LINE__, function(__VA_ARGS__), expected, named)
/* Called without harm: what there is to see of it. */
#define HARMLESS(function, expression)                                                                                                               \
    do {                                                                                                                                             \
        note(#function);                                                                                                                             \
        ck_assert_msg(expression, "%s", #function);                                                                                                  \
    } while (0)

/* A reply with a problem, which names the field. */
static void reply_is(const char *function, int line, reco_status got, reco_reply *reply, int status, const char *named) {
    if (got != RECO_OK || reply->http_status != status || !reply->body || !strstr(reply->body, named)) {
        fprintf(stderr, "line %d: %.60s answers %s, %d: %s; expected %d, naming %s\n", line, function, reco_status_name(got), (int)reply->http_status,
                reply->body ? reply->body : "", status, named);
        wrong++;
    }
    reco_reply_dispose(reply);
    *reply = (reco_reply){.struct_size = sizeof *reply};
    err = (reco_error)RECO_ERROR_INIT;
}
#define replied(call, reply, status, named) reply_is(#call, __LINE__, call, reply, status, named)

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }
static reco_str of_size(size_t size) { return (reco_str){long_text, size}; }
static const reco_str broken = {"a\xff", 2}, zeroed = {"a\0b", 3}, absent = {NULL, 3};

static void setup(void) {
    test_dir_make(dir);
    memset(long_text, 'x', sizeof long_text - 1);
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, NULL);
    reco_event event = test_event("ann", "tea", "view");
    reco_item item = {.item_id = str("tea"), .title = str("Tea")};
    test_engine_tell(NULL, engine, &event);
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void teardown(void) {
    reco_close(engine);
    test_dir_remove(dir);
}

/* --- opening ------------------------------------------------------------------------------------------------------------------------------- */

static void opening(void) {
    reco_engine *none = NULL;
    char file[300];
    snprintf(file, sizeof file, "%s/file", dir);
    FILE *out = fopen(file, "w");
    fclose(out);
    BAD(RECO_INVALID, "out", reco_open, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "options", reco_open, &none, &(reco_open_options){.data = "memory:"}, NULL, &err);
    BAD(RECO_INVALID, "options", reco_open, &none, &(reco_open_options){.struct_size = 100000, .data = "memory:"}, NULL, &err);
    BAD(RECO_INVALID, "options", reco_open, &none, &(reco_open_options){.struct_size = sizeof(void *), .data = "memory:"}, NULL, &err);
    BAD(RECO_INVALID, "flags", reco_open, &none, &(reco_open_options){.struct_size = sizeof(reco_open_options), .data = "memory:", .flags = 1u << 31},
        NULL, &err);
    BAD(RECO_NOT_FOUND, "config", reco_open, &none,
        &(reco_open_options){.struct_size = sizeof(reco_open_options), .data = "memory:", .config = "/nowhere/reco.yaml"}, NULL, &err);
    BAD(RECO_IO, "", reco_open, &none, &(reco_open_options){.struct_size = sizeof(reco_open_options), .data = file}, NULL, &err);
    BAD(RECO_INVALID, "call", reco_open, &none, &(reco_open_options){.struct_size = sizeof(reco_open_options), .data = "memory:"},
        &(reco_call){.flags = 1}, &err);
    ck_assert_ptr_null(none);
    HARMLESS(reco_close, (reco_close(NULL), true));
}

/* --- events -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status ingest(const reco_event *event) { return reco_ingest(NULL, engine, event, 1, sizeof *event, NULL, NULL, &err); }

static void bad_event(reco_event event, reco_status expected, const char *named) { check("reco_ingest", __LINE__, ingest(&event), expected, named); }

static void events(void) {
    const reco_event good = test_event("ann", "tea", "view");
    reco_event event;
    reco_receipt receipt = {.struct_size = 4};
    reco_ingest_options options = {.struct_size = sizeof options, .flags = 1u << 30};
    BAD(RECO_INVALID, "engine", reco_ingest, NULL, NULL, &good, 1, sizeof good, NULL, NULL, &err);
    BAD(RECO_INVALID, "events", reco_ingest, NULL, engine, NULL, 1, sizeof good, NULL, NULL, &err);
    BAD(RECO_INVALID, "event_size", reco_ingest, NULL, engine, &good, 1, 0, NULL, NULL, &err);
    BAD(RECO_INVALID, "receipt", reco_ingest, &receipt, engine, &good, 1, sizeof good, NULL, NULL, &err);
    BAD(RECO_INVALID, "flags", reco_ingest, NULL, engine, &good, 1, sizeof good, &options, NULL, &err);
    const struct {
        size_t at;
        const char *named;
        bool required;
    } ids[] = {{offsetof(reco_event, user_id), "user_id", true},       {offsetof(reco_event, item_id), "item_id", true},
               {offsetof(reco_event, event_type), "event_type", true}, {offsetof(reco_event, session_id), "session_id", false},
               {offsetof(reco_event, event_id), "event_id", false},    {offsetof(reco_event, recommendation_id), "recommendation_id", false}};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        const reco_str bad[] = {broken, zeroed, absent, of_size(257), {NULL, 0}, {"", 0}};
        for (size_t j = 0; j < COUNT_OF(bad) - (ids[i].required ? 0 : 2); j++) {
            event = good;
            memcpy((char *)&event + ids[i].at, &bad[j], sizeof bad[j]);
            check("reco_ingest", __LINE__, ingest(&event), bad[j].size == 257 ? RECO_TOO_LARGE : RECO_INVALID, ids[i].named);
        }
    }
    event = good, event.event_type = str("stare"), bad_event(event, RECO_INVALID, "event_type");
    event = good, event.timestamp = -1, bad_event(event, RECO_INVALID, "timestamp");
    event = good, event.timestamp = INT64_MAX, bad_event(event, RECO_INVALID, "timestamp");
    event = good, event.timestamp = INT64_C(4000000000000), bad_event(event, RECO_TOO_EARLY, "timestamp");
    event = good, event.timestamp = 1, bad_event(event, RECO_TOO_LATE, "timestamp");
    event = good, event.flags = RECO_EVENT_HAS_VALUE, event.value = NAN, bad_event(event, RECO_INVALID, "value");
    event = good, event.flags = RECO_EVENT_HAS_VALUE, event.value = INFINITY, bad_event(event, RECO_INVALID, "value");
    event = good, event.flags = RECO_EVENT_HAS_POSITION, event.position = -1, bad_event(event, RECO_INVALID, "position");
    event = good, event.flags = RECO_EVENT_UNDO, bad_event(event, RECO_INVALID, "event_id");
    event = good, event.flags = 1u << 31, bad_event(event, RECO_INVALID, "flags");
    event = good, event.properties = str("[]"), bad_event(event, RECO_INVALID, "properties");
    event = good, event.properties = str("{\"a\":"), bad_event(event, RECO_INVALID, "properties");
    event = good, event.properties = of_size(16385), bad_event(event, RECO_TOO_LARGE, "properties");

    reco_reply reply = {.struct_size = sizeof reply}, small = {.struct_size = 4};
    BAD(RECO_INVALID, "reply", reco_ingest_json, NULL, engine, "{}", 2, RECO_JSON_AUTO, 0, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_ingest_json, &small, engine, "{}", 2, RECO_JSON_AUTO, 0, NULL, &err);
    const struct {
        const char *text;
        size_t size;
        uint32_t form, flags;
        int status;
    } bodies[] = {{NULL, 5, 0, 0, 400}, {"", 0, 0, 0, 400},    {"{", 1, 0, 0, 400},      {"{}", 2, 9, 0, 400},  {"{}", 2, 0, 1u << 30, 400},
                  {"{}", 2, 0, 0, 422}, {"[]]", 3, 0, 0, 400}, {"\0\0\0", 3, 0, 0, 400}, {"nul", 3, 0, 0, 400}, {"[[[[[[[[", 8, 1, 0, 400}};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        test_ok(reco_ingest_json(&reply, engine, bodies[i].text, bodies[i].size, bodies[i].form, bodies[i].flags, NULL, &err), &err);
        ck_assert_msg(reply.http_status == bodies[i].status, "body %zu: %d %s", i, reply.http_status, reply.body);
        reco_reply_dispose(&reply);
    }
    HARMLESS(reco_reply_dispose, (reco_reply_dispose(NULL), true));
}

/* --- learning ------------------------------------------------------------------------------------------------------------------------------ */

static void learning(void) {
    reco_processor *processor = NULL;
    reco_progress progress = {.struct_size = 8};
    BAD(RECO_INVALID, "engine", reco_process, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "out", reco_process, &progress, engine, NULL, &err);
    BAD(RECO_INVALID, "out", reco_processor_open, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_processor_open, &processor, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "options", reco_processor_open, &processor, engine, &(reco_processor_options){.batch_events = 5}, NULL, &err);
    BAD(RECO_INVALID, "processor", reco_processor_step, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "processor", reco_processor_wait, NULL, 0, NULL, &err);
    test_ok(reco_processor_open(&processor, engine, NULL, NULL, &err), &err);
    BAD(RECO_INVALID, "timeout_ms", reco_processor_wait, processor, -1, NULL, &err);
    reco_processor_close(processor);
    HARMLESS(reco_processor_close, (reco_processor_close(NULL), true));
    BAD(RECO_INVALID, "engine", reco_wait, NULL, str(""), 0, NULL, &err);
    BAD(RECO_INVALID, "position", reco_wait, engine, str("!"), 0, NULL, &err);
    BAD(RECO_INVALID, "position", reco_wait, engine, broken, 0, NULL, &err);
    BAD(RECO_INVALID, "position", reco_wait, engine, absent, 0, NULL, &err);
    BAD(RECO_TOO_LARGE, "position", reco_wait, engine, of_size(5000), 0, NULL, &err);
    BAD(RECO_INVALID, "wait_ms", reco_wait, engine, str(""), -1, NULL, &err);
}

/* --- questions ----------------------------------------------------------------------------------------------------------------------------- */

static void bad_query(reco_query query, reco_status expected, const char *named) {
    reco_answer *answer = NULL;
    query.struct_size = sizeof query;
    check("reco_recommend", __LINE__, reco_recommend(&answer, engine, &query, NULL, &err), expected, named);
    ck_assert_ptr_null(answer);
}

static int stop(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    (void)context, (void)index, (void)status, (void)answer, (void)error;
    return 1;
}

static void questions(void) {
    reco_answer *answer = NULL;
    reco_explanation *why = NULL;
    const reco_query ann = {.struct_size = sizeof ann, .user_id = str("ann")};
    const reco_str tea = str("tea");
    const char *text;
    size_t size;
    BAD(RECO_INVALID, "engine", reco_recommend, &answer, NULL, &ann, NULL, &err);
    BAD(RECO_INVALID, "answer", reco_recommend, NULL, engine, &ann, NULL, &err);
    BAD(RECO_INVALID, "query", reco_recommend, &answer, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "query", reco_recommend, &answer, engine, &(reco_query){.user_id = tea}, NULL, &err);
    bad_query((reco_query){.user_id = {NULL, 0}}, RECO_INVALID, "user_id");
    bad_query((reco_query){.user_id = broken}, RECO_INVALID, "user_id");
    bad_query((reco_query){.user_id = zeroed}, RECO_INVALID, "user_id");
    bad_query((reco_query){.user_id = of_size(257)}, RECO_TOO_LARGE, "user_id");
    bad_query((reco_query){.user_id = tea, .scenario = str("a b")}, RECO_INVALID, "scenario");
    bad_query((reco_query){.user_id = tea, .scenario = of_size(65)}, RECO_TOO_LARGE, "scenario");
    bad_query((reco_query){.user_id = tea, .min_position = str("?")}, RECO_INVALID, "min_position");
    bad_query((reco_query){.user_id = tea, .as_of = -1}, RECO_INVALID, "as_of");
    bad_query((reco_query){.user_id = tea, .limit = UINT32_MAX}, RECO_INVALID, "limit");
    bad_query((reco_query){.user_id = tea, .wait_ms = UINT32_MAX}, RECO_INVALID, "wait_ms");
    bad_query((reco_query){.user_id = tea, .flags = 1u << 31}, RECO_INVALID, "flags");
    bad_query((reco_query){.session_count = 1}, RECO_INVALID, "session");
    bad_query((reco_query){.session = (reco_event[]){{.item_id = tea}}, .session_count = 1}, RECO_INVALID, "event");
    BAD(RECO_INVALID, "items", reco_rank, &answer, engine, &ann, NULL, 1, NULL, &err);
    BAD(RECO_INVALID, "items[0]", reco_rank, &answer, engine, &ann, &absent, 1, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_rank, &answer, NULL, &ann, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_explain, &why, NULL, &ann, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "out", reco_explain, NULL, engine, &ann, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "query", reco_explain, &why, engine, NULL, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "items", reco_explain, &why, engine, &ann, NULL, 1, NULL, &err);
    BAD(RECO_INVALID, "items[0]", reco_explain, &why, engine, &ann, &absent, 1, NULL, &err);
    BAD(RECO_INVALID, "items[1]", reco_explain, &why, engine, &ann, (reco_str[]){tea, tea}, 2, NULL, &err);
    BAD(RECO_TOO_LARGE, "items", reco_explain, &why, engine, &ann, &tea, RECO_EXPLAIN_MAX + 1, NULL, &err);
    BAD(RECO_INVALID, "limit", reco_explain, &why, engine, &(reco_query){.struct_size = sizeof(reco_query), .user_id = tea, .limit = UINT32_MAX},
        NULL, 0, NULL, &err);
    ck_assert_ptr_null(why);
    BAD(RECO_INVALID, "explanation", reco_explanation_json, &text, &size, NULL, &err);
    HARMLESS(reco_explanation_free, (reco_explanation_free(NULL), true));
    BAD(RECO_INVALID, "query", reco_similar, &answer, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "items", reco_similar, &answer, engine, &(reco_similar_query){.struct_size = sizeof(reco_similar_query)}, NULL, &err);
    BAD(RECO_INVALID, "sink", reco_recommend_batch, engine, &ann, 1, sizeof ann, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "query", reco_recommend_batch, engine, &ann, 1, 0, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "sink", reco_rewind, NULL, engine, &ann, 1, sizeof ann, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "query", reco_rewind, NULL, engine, &ann, 1, 0, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "answer", reco_popular, NULL, engine, NULL, NULL, &err);
    const reco_popular_query bad[] = {{.window = -1},        {.window = INT64_MAX}, {.as_of = -1},
                                      {.limit = UINT32_MAX}, {.flags = 1u << 31},   {.reserved = 1}};
    const char *const named[] = {"window", "window", "as_of", "limit", "flags", "reserved"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        reco_popular_query query = bad[i];
        query.struct_size = sizeof query;
        BAD(RECO_INVALID, named[i], reco_popular, &answer, engine, &query, NULL, &err);
    }
    BAD(RECO_INVALID, "as_of", reco_popular, &answer, engine, &(reco_popular_query){.struct_size = sizeof(reco_popular_query), .as_of = INT64_MAX},
        NULL, &err);
    BAD(RECO_INVALID, "as_of", reco_recommend, &answer, engine,
        &(reco_query){.struct_size = sizeof(reco_query), .user_id = str("ann"), .as_of = INT64_MAX}, NULL, &err);
    BAD(RECO_INVALID, "category", reco_popular, &answer, engine, &(reco_popular_query){.struct_size = sizeof(reco_popular_query), .category = broken},
        NULL, &err);
    ck_assert_ptr_null(answer);
    BAD(RECO_INVALID, "answer", reco_answer_json, &text, &size, NULL, &err);
    HARMLESS(reco_answer_free, (reco_answer_free(NULL), true));

    reco_reply reply = {.struct_size = sizeof reply};
    BAD(RECO_INVALID, "reply", reco_ask_json, NULL, engine, &(reco_ask_input){.struct_size = sizeof(reco_ask_input)}, NULL, &err);
    const reco_ask_input odd[] = {{.struct_size = sizeof *odd, .kind = RECO_ASK_BATCH, .body = "[]", .body_size = 2, .form = 8},
                                  {.struct_size = sizeof *odd, .kind = RECO_ASK_BATCH, .body = "[]", .body_size = 2, .reserved = 3}};
    for (size_t i = 0; i < 2; i++) {
        test_ok(reco_ask_json(&reply, engine, &odd[i], NULL, &err), &err);
        ck_assert_int_eq(reply.http_status, 400);
        ck_assert_ptr_nonnull(strstr(reply.body, i ? "\"reserved\"" : "\"form\""));
        reco_reply_dispose(&reply);
    }
    test_ok(reco_ask_json(&reply, NULL, NULL, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 400);
    reco_reply_dispose(&reply);
    test_ok(reco_ask_json(&reply, engine, NULL, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 400);
    HARMLESS(reco_problem_json, reco_problem_json(NULL, &err, NULL) == RECO_INVALID && reco_problem_json(&reply, NULL, NULL) == RECO_INVALID);
    reco_reply_dispose(&reply);
}

/* --- what is known ------------------------------------------------------------------------------------------------------------------------- */

static void bad_item(reco_item item, reco_status expected, const char *named) {
    check("reco_items_put", __LINE__, reco_items_put(engine, &item, 1, sizeof item, NULL, &err), expected, named);
}

static void known(void) {
    const reco_item good = {.item_id = str("tea")};
    const reco_user user = {.user_id = str("ann")};
    const reco_str twice[] = {str("a"), str("a")};
    reco_item item;
    char *json = NULL;
    reco_reply reply = {.struct_size = sizeof reply}, small = {.struct_size = 4};
    BAD(RECO_INVALID, "engine", reco_items_put, NULL, &good, 1, sizeof good, NULL, &err);
    BAD(RECO_INVALID, "items", reco_items_put, engine, NULL, 1, sizeof good, NULL, &err);
    BAD(RECO_INVALID, "size", reco_items_put, engine, &good, 1, 0, NULL, &err);
    bad_item((reco_item){.item_id = {NULL, 0}}, RECO_INVALID, "item_id");
    bad_item((reco_item){.item_id = broken}, RECO_INVALID, "item_id");
    bad_item((reco_item){.item_id = of_size(257)}, RECO_TOO_LARGE, "item_id");
    item = good, item.title = of_size(1025), bad_item(item, RECO_TOO_LARGE, "title");
    item = good, item.title = broken, bad_item(item, RECO_INVALID, "title");
    item = good, item.category_count = 1, bad_item(item, RECO_INVALID, "categories");
    item = good, item.categories = twice, item.category_count = 2, bad_item(item, RECO_INVALID, "categories");
    item = good, item.categories = twice, item.category_count = SIZE_MAX, bad_item(item, RECO_TOO_LARGE, "categories");
    item = good, item.parent = good.item_id, bad_item(item, RECO_INVALID, "parent");
    item = good, item.available_from = -1, bad_item(item, RECO_INVALID, "available_from");
    item = good, item.available_from = 5, item.available_until = 5, bad_item(item, RECO_INVALID, "available_until");
    item = good, item.attributes = str("7"), bad_item(item, RECO_INVALID, "attributes");
    item = good, item.attributes = of_size(20000), bad_item(item, RECO_TOO_LARGE, "attributes");
    item = good, item.flags = 1u << 31, bad_item(item, RECO_INVALID, "flags");
    BAD(RECO_INVALID, "json", reco_item_get, NULL, engine, str("tea"), NULL, &err);
    BAD(RECO_NOT_FOUND, "item_id", reco_item_get, &json, engine, str("none"), NULL, &err);
    BAD(RECO_INVALID, "item_id", reco_item_get, &json, engine, broken, NULL, &err);
    BAD(RECO_INVALID, "item_id", reco_item_delete, engine, absent, NULL, &err);
    BAD(RECO_INVALID, "users", reco_users_put, engine, NULL, 1, sizeof user, NULL, &err);
    BAD(RECO_INVALID, "user_id", reco_users_put, engine, &(reco_user){.segment = str("s")}, 1, sizeof user, NULL, &err);
    BAD(RECO_INVALID, "segment", reco_users_put, engine, &(reco_user){.user_id = str("a"), .segment = broken}, 1, sizeof user, NULL, &err);
    BAD(RECO_INVALID, "flags", reco_users_put, engine, &(reco_user){.user_id = str("a"), .flags = 1}, 1, sizeof user, NULL, &err);
    BAD(RECO_NOT_FOUND, "user_id", reco_user_get, &json, engine, str("none"), NULL, &err);
    BAD(RECO_TOO_LARGE, "user_id", reco_user_delete, engine, of_size(300), NULL, &err);
    BAD(RECO_NOT_FOUND, "item_id", reco_item_patch, NULL, engine, str("none"), "{}", 2, NULL, &err);
    BAD(RECO_NOT_FOUND, "user_id", reco_user_patch, NULL, engine, str("none"), "{}", 2, NULL, &err);
    BAD(RECO_INVALID, "anonymous_id", reco_user_alias, NULL, engine, str("ann"), broken, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_user_alias_json, &small, engine, str("ann"), "{}", 2, NULL, &err);
    BAD(RECO_INVALID, "", reco_items_put_json, NULL, engine, "", 0, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "", reco_users_put_json, NULL, engine, "{", 1, RECO_JSON_NDJSON, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_known_json, &small, engine, RECO_KNOWN_ITEMS, str(""), "{}", 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_known_patch_json, NULL, engine, RECO_KNOWN_ITEMS, str("tea"), "{}", 2, NULL, &err);
    test_ok(reco_known_json(&reply, engine, 99, str(""), "{}", 2, RECO_JSON_AUTO, NULL, &err), &err);
    ck_assert_int_eq(reply.http_status, 400);
    reco_reply_dispose(&reply);
}

/* --- looking after it ---------------------------------------------------------------------------------------------------------------------- */

static int no_lines(void *context, const char *text, size_t size) { return (void)context, (void)text, (void)size, 0; }
static void no_metric(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    (void)context, (void)name, (void)labels, (void)value, (void)type, (void)help;
}
static void no_finding(void *context, const reco_finding *finding) { (void)context, (void)finding; }
static void no_step(void *context, const char *setting, uint32_t version, const char *name, int32_t done) {
    (void)context, (void)setting, (void)version, (void)name, (void)done;
}

static void care(void) {
    char *json = NULL, hash[40], value[4], path[300];
    int64_t lag, lag_ms;
    reco_archiver *archiver = NULL;
    snprintf(path, sizeof path, "%s/none/here", dir);
    BAD(RECO_INVALID, "engine", reco_stats, &json, NULL, NULL, &err);
    BAD(RECO_INVALID, "json", reco_stats, NULL, engine, NULL, &err);
    BAD(RECO_INVALID, "path", reco_snapshot, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "path", reco_snapshot, NULL, engine, "", NULL, &err);
    BAD(RECO_INVALID, "out", reco_snapshot, &(reco_snapshot_result){.struct_size = 4}, engine, path, NULL, &err);
    BAD(RECO_INVALID, "out", reco_verify, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "out", reco_state_hash, NULL, engine, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_state_hash, hash, NULL, NULL, &err);
    BAD(RECO_INVALID, "path", reco_backup, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "backup", reco_restore, NULL, NULL, NULL, 0, NULL, &err);
    BAD(RECO_NOT_FOUND, "backup", reco_restore, NULL, path, NULL, RECO_RESTORE_CHECK, NULL, &err);
    BAD(RECO_INVALID, "options", reco_trim, NULL, engine, &(reco_trim_options){.flags = 1}, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_doctor, NULL, NULL, no_finding, NULL, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_migrate, NULL, NULL, 0, no_step, NULL, NULL, &err);
    BAD(RECO_INVALID, "format", reco_import, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "format", reco_import, NULL, engine, &(reco_import_options){.struct_size = sizeof(reco_import_options), .format = "xml"}, NULL,
        &err);
    BAD(RECO_INVALID, "path", reco_import, NULL, engine,
        &(reco_import_options){.struct_size = sizeof(reco_import_options), .format = "csv", .paths = &(const char *const){NULL}, .path_count = 1},
        NULL, &err);
    BAD(RECO_INVALID, "out", reco_selection_parse, NULL, "{}", 2, &err);
    HARMLESS(reco_selection_free, (reco_selection_free(NULL), true));
    BAD(RECO_INVALID, "sink", reco_export, NULL, engine, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_replay, NULL, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "archive", reco_archiver_open, &archiver, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "archiver", reco_archiver_step, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "archiver", reco_archiver_wait, NULL, -5, NULL, &err);
    HARMLESS(reco_archiver_close, (reco_archiver_close(NULL), true));
    BAD(RECO_INVALID, "engine", reco_ready, &lag, &lag_ms, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_ready, NULL, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_ingest_ready, NULL, NULL, &err);
    BAD(RECO_INVALID, "sink", reco_metrics, engine, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "no.such", reco_setting_get, value, sizeof value, engine, "no.such", &err);
    BAD(RECO_TOO_LARGE, "namespace", reco_setting_get, value, sizeof value, engine, "namespace", &err);
    HARMLESS(reco_lacking, reco_lacking(NULL) == 0);
    HARMLESS(reco_lacking_word, reco_lacking_word(1u << 31)[0] == 0 && reco_lacking_word(0)[0] == 0);
}

static void settings(void) {
    reco_settings *made = NULL;
    char value[64], *text = NULL;
    BAD(RECO_INVALID, "out", reco_settings_create, NULL, &err);
    test_ok(reco_settings_create(&made, &err), &err);
    BAD(RECO_INVALID, "no.such", reco_settings_set, made, "no.such", "1", &err);
    BAD(RECO_INVALID, "partitions", reco_settings_set, made, "partitions", "many", &err);
    BAD(RECO_INVALID, "name", reco_settings_set, made, NULL, "1", &err);
    BAD(RECO_INVALID, "value", reco_settings_set, made, "partitions", NULL, &err);
    BAD(RECO_INVALID, "settings", reco_settings_set, NULL, "partitions", "1", &err);
    BAD(RECO_NOT_FOUND, "config", reco_settings_load_file, made, "/nowhere/reco.yaml", &err);
    BAD(RECO_INVALID, "no", reco_settings_load_text, made, "no: such", 8, &err);
    BAD(RECO_INVALID, "RECO_NO_SUCH", reco_settings_load_environment, made, ((const char *const[]){"RECO_NO_SUCH=1", NULL}), &err);
    BAD(RECO_INVALID, "no.such", reco_settings_get, value, sizeof value, made, "no.such", &err);
    BAD(RECO_TOO_LARGE, "partitions", reco_settings_get, value, 1, made, "partitions", &err);
    BAD(RECO_INVALID, "settings", reco_settings_check, NULL, &err);
    BAD(RECO_INVALID, "text", reco_settings_help, NULL, 0, &err);
    BAD(RECO_INVALID, "text", reco_settings_print, NULL, made, &err);
    BAD(RECO_INVALID, "settings", reco_settings_print, &text, NULL, &err);
    reco_settings_free(made);
    HARMLESS(reco_settings_free, (reco_settings_free(NULL), true));
}

static void the_rest(void) {
    reco_generator *generator = NULL;
    BAD(RECO_INVALID, "out", reco_generator_create, NULL, NULL, &err);
    BAD(RECO_INVALID, "zipf", reco_generator_create, &generator,
        &(reco_generator_options){.struct_size = sizeof(reco_generator_options), .zipf = NAN}, &err);
    HARMLESS(reco_generator_free, (reco_generator_free(NULL), true));
    HARMLESS(reco_generator_next, reco_generator_next(NULL, NULL, NULL) == RECO_INVALID);
    BAD(RECO_BUSY, "", reco_set_allocator, NULL, &err); /* an engine is open */
    HARMLESS(reco_set_log, (reco_set_log(NULL, NULL, 99), true));
    HARMLESS(reco_free, (reco_free(NULL), true));
    HARMLESS(reco_status_text, strcmp(reco_status_text(-5), "unknown status") == 0);
    HARMLESS(reco_status_name, reco_status_name(12345)[0] != 0);
    HARMLESS(reco_status_http, reco_status_http(12345) == 500);
    HARMLESS(reco_status_retriable, reco_status_retriable(12345) == 0);
    HARMLESS(reco_version, reco_version()[0] != 0);
    HARMLESS(reco_build_info, reco_build_info()[0] != 0);
    BAD(RECO_INVALID, "struct_size", reco_register_stream, NULL, &err);
    BAD(RECO_INVALID, "backend", reco_register_features, NULL, &err);
    BAD(RECO_INVALID, "backend", reco_register_records, NULL, &err);
    BAD(RECO_INVALID, "struct_size", reco_register_stage, NULL, &err);
    BAD(RECO_INVALID, "struct_size", reco_module_start, NULL, &err);
}

/* --- the same to many ----------------------------------------------------------------------------------------------------------------------- */

/* The checks that are made of every id: by bad_calls.py, ids[i] stands for all of these. */
static void ids_everywhere(void) {
    const reco_str ids[] = {broken, zeroed, absent, of_size(257)};
    char *json = NULL;
    reco_answer *answer = NULL;
    reco_explanation *why = NULL;
    reco_reply reply = {.struct_size = sizeof reply};
    const reco_query ann = {.struct_size = sizeof ann, .user_id = str("ann")};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        reco_status due = ids[i].size == 257 ? RECO_TOO_LARGE : RECO_INVALID;
        BAD(due, "item_id", reco_item_get, &json, engine, ids[i], NULL, &err);
        BAD(due, "item_id", reco_item_delete, engine, ids[i], NULL, &err);
        BAD(due, "item_id", reco_item_patch, &json, engine, ids[i], "{}", 2, NULL, &err);
        BAD(due, "user_id", reco_user_get, &json, engine, ids[i], NULL, &err);
        BAD(due, "user_id", reco_user_delete, engine, ids[i], NULL, &err);
        BAD(due, "user_id", reco_user_patch, &json, engine, ids[i], "{}", 2, NULL, &err);
        BAD(due, "user_id", reco_user_alias, &json, engine, ids[i], str("v"), NULL, &err);
        BAD(due, "anonymous_id", reco_user_alias, &json, engine, str("ann"), ids[i], NULL, &err);
        BAD(due, "items[0]", reco_rank, &answer, engine, &ann, &ids[i], 1, NULL, &err);
        BAD(due, "items[0]", reco_explain, &why, engine, &ann, &ids[i], 1, NULL, &err);
        for (uint32_t what = RECO_KNOWN_ITEMS; what <= RECO_KNOWN_USERS; what++) {
            const char *field = what == RECO_KNOWN_ITEMS ? "\"item_id\"" : "\"user_id\"";
            replied(reco_known_json(&reply, engine, what, ids[i], "{}", 2, RECO_JSON_AUTO, NULL, &err), &reply, reco_status_http(due), field);
            replied(reco_known_patch_json(&reply, engine, what, ids[i], "{}", 2, NULL, &err), &reply, reco_status_http(due), field);
        }
        replied(reco_user_alias_json(&reply, engine, ids[i], "{\"anonymous_id\":\"v\"}", 20, NULL, &err), &reply, reco_status_http(due),
                "\"user_id\"");
    }
    ck_assert_ptr_null(json);
    ck_assert_ptr_null(answer);
    ck_assert_ptr_null(why);
}

static void no_engine(void) {
    char *json = NULL, value[64];
    reco_answer *answer = NULL;
    reco_archiver *archiver = NULL;
    reco_reply reply = {.struct_size = sizeof reply};
    reco_verification verified = {.struct_size = sizeof verified};
    const reco_query ann = {.struct_size = sizeof ann, .user_id = str("ann")};
    const reco_str tea = str("tea");
    const reco_user user = {.user_id = str("ann")};
    int64_t lag, lag_ms;
    BAD(RECO_INVALID, "engine", reco_archiver_open, &archiver, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_backup, NULL, NULL, "/nowhere/b", NULL, &err);
    BAD(RECO_INVALID, "engine", reco_export, NULL, NULL, no_lines, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_import, NULL, NULL, &(reco_import_options){.struct_size = sizeof(reco_import_options), .format = "csv"}, NULL,
        &err);
    BAD(RECO_INVALID, "engine", reco_item_delete, NULL, tea, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_item_get, &json, NULL, tea, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_item_patch, &json, NULL, tea, "{}", 2, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_items_put_json, NULL, NULL, "{}", 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_metrics, NULL, no_metric, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_popular, &answer, NULL, &(reco_popular_query){.struct_size = sizeof(reco_popular_query)}, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_ready, &lag, &lag_ms, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_recommend_batch, NULL, &ann, 1, sizeof ann, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_rewind, NULL, NULL, &ann, 1, sizeof ann, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_setting_get, value, sizeof value, NULL, "namespace", &err);
    BAD(RECO_INVALID, "engine", reco_similar, &answer, NULL,
        &(reco_similar_query){.struct_size = sizeof(reco_similar_query), .items = &tea, .item_count = 1}, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_snapshot, NULL, NULL, "/nowhere/s", NULL, &err);
    BAD(RECO_INVALID, "engine", reco_trim, NULL, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_user_alias, &json, NULL, str("ann"), str("v"), NULL, &err);
    BAD(RECO_INVALID, "engine", reco_user_delete, NULL, str("ann"), NULL, &err);
    BAD(RECO_INVALID, "engine", reco_user_get, &json, NULL, str("ann"), NULL, &err);
    BAD(RECO_INVALID, "engine", reco_user_patch, &json, NULL, str("ann"), "{}", 2, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_users_put, NULL, &user, 1, sizeof user, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_users_put_json, NULL, NULL, "{}", 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "engine", reco_verify, &verified, NULL, NULL, NULL, &err);
    replied(reco_ingest_json(&reply, NULL, "{}", 2, RECO_JSON_AUTO, 0, NULL, &err), &reply, 400, "");
    replied(reco_known_json(&reply, NULL, RECO_KNOWN_ITEMS, tea, "{}", 2, RECO_JSON_AUTO, NULL, &err), &reply, 400, "engine");
    replied(reco_known_patch_json(&reply, NULL, RECO_KNOWN_ITEMS, tea, "{}", 2, NULL, &err), &reply, 400, "engine");
    replied(reco_user_alias_json(&reply, NULL, str("ann"), "{}", 2, NULL, &err), &reply, 400, "");
}

static void nothing_given(void) {
    reco_answer *answer = NULL;
    reco_explanation *why = NULL;
    reco_selection *selection = NULL;
    reco_reply reply = {.struct_size = sizeof reply};
    reco_settings *made = NULL;
    reco_generator *generator = NULL;
    const reco_query ann = {.struct_size = sizeof ann, .user_id = str("ann")};
    const reco_str tea = str("tea");
    const reco_user user = {.user_id = str("ann")};
    const char *text;
    char value[64];
    size_t size;
    test_ok(reco_settings_create(&made, &err), &err);
    BAD(RECO_INVALID, "out", reco_archiver_open, NULL, engine, NULL, NULL, &err);
    BAD(RECO_INVALID, "sink", reco_doctor, NULL, made, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "flags", reco_migrate, NULL, made, 1u << 31, NULL, NULL, NULL, &err);
    BAD(RECO_INVALID, "flags", reco_restore, NULL, "/nowhere/b", made, 1u << 31, NULL, &err);
    BAD(RECO_INVALID, "answer", reco_rank, NULL, engine, &ann, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "query", reco_rank, &answer, engine, NULL, &tea, 1, NULL, &err);
    BAD(RECO_INVALID, "queries", reco_recommend_batch, engine, NULL, 1, sizeof ann, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "queries", reco_rewind, NULL, engine, NULL, 1, sizeof ann, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "out", reco_rewind, &(reco_rewind_result){.struct_size = 4}, engine, &ann, 1, sizeof ann, stop, NULL, NULL, &err);
    BAD(RECO_INVALID, "json", reco_selection_parse, &selection, NULL, 2, &err);
    BAD(RECO_INVALID, "out", reco_setting_get, NULL, 5, engine, "namespace", &err);
    BAD(RECO_INVALID, "name", reco_setting_get, value, sizeof value, engine, NULL, &err);
    BAD(RECO_INVALID, "out", reco_settings_get, NULL, 5, made, "partitions", &err);
    BAD(RECO_INVALID, "settings", reco_settings_get, value, sizeof value, NULL, "partitions", &err);
    BAD(RECO_INVALID, "name", reco_settings_get, value, sizeof value, made, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_settings_load_environment, NULL, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_settings_load_file, NULL, "/nowhere", &err);
    BAD(RECO_INVALID, "path", reco_settings_load_file, made, NULL, &err);
    BAD(RECO_INVALID, "settings", reco_settings_load_text, NULL, "a: 1", 4, &err);
    BAD(RECO_INVALID, "text", reco_settings_load_text, made, NULL, 4, &err);
    BAD(RECO_INVALID, "answer", reco_similar, NULL, engine,
        &(reco_similar_query){.struct_size = sizeof(reco_similar_query), .items = &tea, .item_count = 1}, NULL, &err);
    BAD(RECO_INVALID, "json", reco_user_get, NULL, engine, str("ann"), NULL, &err);
    BAD(RECO_INVALID, "size", reco_users_put, engine, &user, 1, 0, NULL, &err);
    BAD(RECO_INVALID, "patch", reco_item_patch, NULL, engine, tea, NULL, 2, NULL, &err);
    BAD(RECO_INVALID, "patch", reco_user_patch, NULL, engine, str("ann"), NULL, 2, NULL, &err);
    BAD(RECO_INVALID, "text", reco_items_put_json, NULL, engine, NULL, 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "form", reco_items_put_json, NULL, engine, "{}", 2, 99, NULL, &err);
    BAD(RECO_INVALID, "text", reco_users_put_json, NULL, engine, NULL, 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "form", reco_users_put_json, NULL, engine, "{}", 2, 99, NULL, &err);
    BAD(RECO_INVALID, "position", reco_wait, engine, zeroed, 0, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_known_json, NULL, engine, RECO_KNOWN_ITEMS, tea, "{}", 2, RECO_JSON_AUTO, NULL, &err);
    BAD(RECO_INVALID, "reply", reco_user_alias_json, NULL, engine, str("ann"), "{}", 2, NULL, &err);
    test_ok(reco_popular(&answer, engine, &(reco_popular_query){.struct_size = sizeof(reco_popular_query)}, NULL, &err), &err);
    BAD(RECO_INVALID, "text", reco_answer_json, NULL, &size, answer, &err);
    BAD(RECO_INVALID, "size", reco_answer_json, &text, NULL, answer, &err);
    reco_answer_free(answer);
    test_ok(reco_explain(&why, engine, &ann, NULL, 0, NULL, &err), &err);
    BAD(RECO_INVALID, "text", reco_explanation_json, NULL, &size, why, &err);
    BAD(RECO_INVALID, "size", reco_explanation_json, &text, NULL, why, &err);
    reco_explanation_free(why);
    replied(reco_ingest_json(&reply, engine, NULL, 2, RECO_JSON_AUTO, 0, NULL, &err), &reply, 400, "");
    replied(reco_ingest_json(&reply, engine, "{}", 2, 99, 0, NULL, &err), &reply, 400, "form");
    replied(reco_ingest_json(&reply, engine, "{}", 2, RECO_JSON_AUTO, 1u << 31, NULL, &err), &reply, 400, "flags");
    replied(reco_known_json(&reply, engine, RECO_KNOWN_ITEMS, tea, NULL, 2, RECO_JSON_AUTO, NULL, &err), &reply, 400, "");
    replied(reco_known_json(&reply, engine, RECO_KNOWN_ITEMS, str(""), "{}", 2, 99, NULL, &err), &reply, 400, "form");
    replied(reco_known_patch_json(&reply, engine, 99, tea, "{}", 2, NULL, &err), &reply, 400, "what");
    replied(reco_known_patch_json(&reply, engine, RECO_KNOWN_ITEMS, tea, NULL, 2, NULL, &err), &reply, 400, "");
    replied(reco_user_alias_json(&reply, engine, str("ann"), NULL, 2, NULL, &err), &reply, 400, "");
    test_ok(reco_generator_create(&generator, NULL, &err), &err);
    HARMLESS(reco_generator_next, reco_generator_next(NULL, NULL, generator) == RECO_INVALID);
    reco_generator_free(generator);
    reco_settings_free(made);
}

/* --- all of them --------------------------------------------------------------------------------------------------------------------------- */

/* Those of stages and backends are called by plugins with what libreco hands them; their suites are elsewhere. */
static bool is_for_plugins(const char *name) {
    static const char *const prefixes[] = {"reco_board_", "reco_candidates_", "reco_generations_", "reco_head_", "reco_stream_tick_"};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void all_were_called(void) {
    char line[128];
    const char *source = getenv("RECO_SOURCE_DIR");
    snprintf(line, sizeof line, "%s/tests/abi/exports.txt", source ? source : ".");
    FILE *file = fopen(line, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", line);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        ck_assert_msg(is_for_plugins(line) || was_called(line), "%s is exported and not called wrongly here", line);
    }
    fclose(file);
}

START_TEST(every_function_says_what_is_wrong)
{
    char before[40], after[40], *item = NULL, *same = NULL;
    test_engine_hash(before, engine);
    test_ok(reco_item_get(&item, engine, str("tea"), NULL, &err), &err);
    opening();
    events();
    learning();
    questions();
    known();
    care();
    settings();
    the_rest();
    ids_everywhere();
    no_engine();
    nothing_given();
    all_were_called();
    ck_assert_msg(wrong == 0, "%zu calls were not answered as expected", wrong);

    reco_verification found = test_engine_verify(engine, NULL);
    ck_assert_uint_eq(found.events, 1);
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after);
    test_ok(reco_item_get(&same, engine, str("tea"), NULL, &err), &err);
    ck_assert_str_eq(item, same);
    reco_free(item);
    reco_free(same);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bad calls");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_function_says_what_is_wrong);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
