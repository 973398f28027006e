/* tests/integration/test_questions.c - what can be asked, in C and as JSON: sessions, given items, something similar, many at once; and what is
 * refused, by name. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "support/engine.h"

static reco_error err;
static reco_engine *engine;
static reco_answer *answer;

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

static void tell(const char *user, const char *item) {
    reco_event event = test_event(user, item, "view");
    test_engine_tell(NULL, engine, &event);
}

/* People who look at "a" look at "b" too, and fewer of them at "c"; "p" is what everybody looks at. */
static void setup(void) {
    char user[16];
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, NULL);
    for (int i = 0; i < 8; i++) {
        snprintf(user, sizeof user, "u%d", i);
        tell(user, "a");
        tell(user, i < 6 ? "b" : "c");
    }
    for (int i = 0; i < 20; i++) {
        snprintf(user, sizeof user, "v%d", i);
        tell(user, "p");
    }
    tell("ann", "a");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void teardown(void) {
    reco_answer_free(answer);
    answer = NULL;
    reco_close(engine);
}

static void answered(const char *items) {
    char got[256] = "";
    for (size_t i = 0; i < answer->count; i++) {
        size_t used = strlen(got);
        int64_t sum = 0;
        snprintf(got + used, sizeof got - used, "%s%.*s", i ? " " : "", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
        for (uint32_t r = 0; r < answer->items[i].reason_count; r++)
            sum += answer->items[i].reasons[r].score;
        ck_assert_int_eq(sum, answer->items[i].score);
    }
    ck_assert_str_eq(got, items);
}

#define refused(expected, named, call)                                                                                                               \
    do {                                                                                                                                             \
        err = (reco_error)RECO_ERROR_INIT;                                                                                                           \
        ck_assert_int_eq((call), expected);                                                                                                          \
        ck_assert_str_eq(err.field, named);                                                                                                          \
        ck_assert(err.text[0] != 0);                                                                                                                 \
    } while (0)

START_TEST(sessions)
{
    const reco_event events[] = {{.item_id = str("a")}, {.item_id = str("b"), .event_type = str("cart")}};
    reco_query query = {.struct_size = sizeof query, .session = events, .session_count = 1, .event_size = sizeof *events, .limit = 3};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("b c p");
    ck_assert_uint_eq(answer->position.size, 0);
    query.session_count = 2;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("c p"); /* what the session has seen is not recommended again */
    query.user_id = str("ann");
    query.session = events + 1;
    query.session_count = 1;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("c p");
    ck_assert_uint_gt(answer->position.size, 0);
    query.session_count = 0; /* and nothing of it was kept */
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("b c p");

    /* events of another size, as an older or newer program has them */
    struct {
        reco_event event;
        uint64_t more;
    } wide[2] = {{events[0], 0}, {events[1], 0}};
    query = (reco_query){.struct_size = sizeof query, .session = &wide[0].event, .session_count = 2, .event_size = sizeof *wide};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("c p");
    wide[1].more = 1;
    refused(RECO_INVALID, "event", reco_recommend(&answer, engine, &query, NULL, &err));
    query.session = NULL;
    refused(RECO_INVALID, "session", reco_recommend(&answer, engine, &query, NULL, &err));
    query.session = events;
    query.session_count = RECO_SESSION_MAX + 1;
    refused(RECO_TOO_LARGE, "session", reco_recommend(&answer, engine, &query, NULL, &err));
    query.session_count = 1;
    query.min_position = str("x");
    refused(RECO_INVALID, "min_position", reco_recommend(&answer, engine, &query, NULL, &err));
}
END_TEST

/* Nothing is popular at that moment, so that nothing is known of any number yet; the first item of all is found nevertheless. */
START_TEST(at_another_moment)
{
    reco_engine *other = test_engine_open("memory:", 0, NULL);
    const char *const items[] = {"first", "second"};
    for (int i = 0; i < 3; i++) {
        reco_event event = test_event(i < 2 ? "ann" : "ben", items[i % 2 == 0 && i < 2 ? 0 : 1], "view");
        test_engine_tell(NULL, other, &event);
    }
    test_ok(reco_process(NULL, other, NULL, &err), &err);
    reco_query query = {.struct_size = sizeof query, .user_id = str("ben"), .as_of = INT64_C(4102444800000)};
    test_ok(reco_recommend(&answer, other, &query, NULL, &err), &err);
    answered("first");
    reco_close(other);
}
END_TEST

/* What was not available when the list of what is popular was made is in the next answer once it is. */
START_TEST(available_again)
{
    reco_item item = {.item_id = str("p"), .flags = RECO_ITEM_HIDDEN};
    reco_query query = {.struct_size = sizeof query, .user_id = str("somebody"), .limit = 1};
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("a");
    item.flags = 0;
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("p");
}
END_TEST

START_TEST(given_items)
{
    const reco_str items[] = {str("unheard of"), str("p"), str("c"), str("a"), str("b"), str("b"), str("")};
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann")};
    test_ok(reco_rank(&answer, engine, &query, items, 5, NULL, &err), &err);
    ck_assert_uint_eq(answer->count, 5);
    answered("b c p a unheard of");
    ck_assert_uint_gt(answer->recommendation_id.size, 0);
    query.limit = 2;
    test_ok(reco_rank(&answer, engine, &query, items, 5, NULL, &err), &err);
    answered("b c");
    refused(RECO_INVALID, "items[5]", reco_rank(&answer, engine, &query, items, 6, NULL, &err));
    refused(RECO_INVALID, "items[1]", reco_rank(&answer, engine, &query, items + 5, 2, NULL, &err));
    refused(RECO_INVALID, "items", reco_rank(&answer, engine, &query, items, 0, NULL, &err));
    refused(RECO_TOO_LARGE, "items", reco_rank(&answer, engine, &query, items, 100000, NULL, &err));
    refused(RECO_INVALID, "query", reco_rank(&answer, engine, NULL, items, 1, NULL, &err));
    const reco_item hidden = {.item_id = items[0], .flags = RECO_ITEM_HIDDEN};
    test_ok(reco_items_put(engine, &hidden, 1, sizeof hidden, NULL, &err), &err);
    query.limit = 0;
    test_ok(reco_rank(&answer, engine, &query, items, 5, NULL, &err), &err);
    answered("b c p a");
}
END_TEST

START_TEST(something_similar)
{
    const reco_str items[] = {str("a"), str("unheard of"), str("a")};
    reco_similar_query query = {.struct_size = sizeof query, .items = items, .item_count = 2};
    test_ok(reco_similar(&answer, engine, &query, NULL, &err), &err);
    answered("b c");
    query.limit = 1;
    test_ok(reco_similar(&answer, engine, &query, NULL, &err), &err);
    answered("b");
    query.items = items + 1;
    query.item_count = 1;
    refused(RECO_NOT_FOUND, "items", reco_similar(&answer, engine, &query, NULL, &err));
    query.items = items;
    query.item_count = 3;
    refused(RECO_INVALID, "items[2]", reco_similar(&answer, engine, &query, NULL, &err));
    query.item_count = RECO_SIMILAR_MAX + 1;
    refused(RECO_TOO_LARGE, "items", reco_similar(&answer, engine, &query, NULL, &err));
    query.item_count = 0;
    refused(RECO_INVALID, "items", reco_similar(&answer, engine, &query, NULL, &err));
    query.item_count = 1;
    query.reserved = 1;
    refused(RECO_INVALID, "reserved", reco_similar(&answer, engine, &query, NULL, &err));
}
END_TEST

typedef struct heard {
    size_t answers, refusals, last, until;
} heard;

static int hear(void *context, size_t index, reco_status status, reco_answer *given, const reco_error *error) {
    heard *h = context;
    ck_assert_int_eq(given != NULL, status == RECO_OK);
    ck_assert_int_eq(error != NULL, status != RECO_OK);
    h->answers += status == RECO_OK;
    h->refusals += status == RECO_INVALID;
    h->last = index;
    return index + 1 == h->until;
}

START_TEST(many_at_once)
{
    reco_query queries[4] = {{.user_id = str("ann")}, {.user_id = str("")}, {.user_id = str("u1")}, {.user_id = str("u2"), .limit = 100000}};
    heard h = {.until = 0};
    test_ok(reco_recommend_batch(engine, queries, 4, sizeof *queries, hear, &h, NULL, &err), &err);
    ck_assert_uint_eq(h.answers, 2);
    ck_assert_uint_eq(h.refusals, 2);
    ck_assert_uint_eq(h.last, 3);
    h = (heard){.until = 2};
    test_ok(reco_recommend_batch(engine, queries, 4, sizeof *queries, hear, &h, NULL, &err), &err);
    ck_assert_uint_eq(h.last, 1);
    test_ok(reco_recommend_batch(engine, NULL, 0, sizeof *queries, hear, &h, NULL, &err), &err);
    refused(RECO_INVALID, "sink", reco_recommend_batch(engine, queries, 4, sizeof *queries, NULL, NULL, NULL, &err));
    refused(RECO_INVALID, "queries", reco_recommend_batch(engine, NULL, 1, sizeof *queries, hear, &h, NULL, &err));
    int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    refused(RECO_CANCELLED, "", reco_recommend_batch(engine, queries, 4, sizeof *queries, hear, &h, &call, &err));
}
END_TEST

START_TEST(an_event_is_taken_back)
{
    reco_event view = test_event("ann", "b", "view"), hide = test_event("ann", "c", "hide");
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann")};
    view.event_id = str("e1");
    hide.event_id = str("e2");
    test_engine_tell(NULL, engine, &view);
    test_engine_tell(NULL, engine, &hide);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("p");
    char position[RECO_POSITION_MAX];
    view.flags = hide.flags = RECO_EVENT_UNDO;
    test_engine_tell(NULL, engine, &view);
    test_engine_tell(NULL, engine, &view);
    test_engine_tell(position, engine, &hide);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    query.min_position = str(position);
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered("b c p");
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
    reco_popular_query popular = {.struct_size = sizeof popular, .window = 7200000};
    test_ok(reco_popular(&answer, engine, &popular, NULL, &err), &err);
    for (size_t i = 0; i < answer->count; i++)
        if (answer->items[i].item_id.data[0] == 'b')
            ck_assert_int_eq(answer->items[i].score, 6 * RECO_SCORE_UNIT);
    test_engine_verify(engine, NULL);
    view.event_id = str("");
    refused(RECO_INVALID, "event_id", reco_ingest(NULL, engine, &view, 1, sizeof view, NULL, NULL, &err));
}
END_TEST

/* --- as JSON ------------------------------------------------------------------------------------------------------------------------------- */

static json_t *reply_to(int *status, reco_ask_input input) {
    reco_reply reply = {.struct_size = sizeof reply};
    input.struct_size = sizeof input;
    test_ok(reco_ask_json(&reply, engine, &input, NULL, &err), &err);
    *status = reply.http_status;
    json_t *body = json_loadb(reply.body, reply.size, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(body != NULL, "not JSON: %s", reply.body);
    reco_reply_dispose(&reply);
    return body;
}

static json_t *reply_to_body(int *status, uint32_t kind, const char *body) {
    return reply_to(status, (reco_ask_input){.kind = kind, .body = body, .body_size = strlen(body)});
}

START_TEST(bodies_say_what_query_strings_say)
{
    static const struct {
        uint32_t kind;
        const char *query, *body;
    } same[] = {
        {RECO_ASK_RECOMMEND, "user_id=ann&limit=2&seed=7&as_of=2100-01-01T00:00:00Z",
         "{\"user_id\":\"ann\",\"limit\":2,\"seed\":7,\"as_of\":4102444800000}"},
        {RECO_ASK_RECOMMEND, "user_id=new&session=a&session=b&reasons=false",
         "{\"user_id\":\"new\",\"session\":[\"a\",{\"item_id\":\"b\",\"event_type\":\"view\"}],\"reasons\":false}"},
        {RECO_ASK_POPULAR, "limit=2&window=2h", "{\"limit\":2,\"window\":\"2h\",\"category\":null}"},
        {RECO_ASK_POPULAR, "window=7200000", "{\"window\":7200000}"},
        {RECO_ASK_SIMILAR, "items=a&items=p&limit=9", "{\"items\":[\"a\",\"p\"],\"limit\":9}"},
        {RECO_ASK_RANK, "user_id=ann&items=p&items=b", "{\"user_id\":\"ann\",\"items\":[\"p\",\"b\"]}"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        int status;
        json_t *one = reply_to(&status, (reco_ask_input){.kind = same[i].kind, .query_string = same[i].query});
        ck_assert_int_eq(status, 200);
        json_t *other = reply_to_body(&status, same[i].kind, same[i].body);
        ck_assert_int_eq(status, 200);
        ck_assert_msg(json_array_size(json_object_get(one, "items")) > 0, "%s: nothing", same[i].query);
        ck_assert_msg(json_equal(json_object_get(one, "items"), json_object_get(other, "items")), "%s", same[i].query);
        json_decref(one);
        json_decref(other);
    }
}
END_TEST

static const struct {
    uint32_t kind;
    int http_status;
    const char *named, *body;
} refusals[] = {
    {RECO_ASK_RECOMMEND, 400, "user_id", "{}"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"user_id\":\"\"}"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"user_id\":7}"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"user_id\":\"a\\u0000b\"}"},
    {RECO_ASK_RECOMMEND, 400, "colour", "{\"user_id\":\"a\",\"colour\":\"red\"}"},
    {RECO_ASK_RECOMMEND, 400, "items", "{\"user_id\":\"a\",\"items\":[\"b\"]}"},
    {RECO_ASK_RECOMMEND, 400, "limit", "{\"user_id\":\"a\",\"limit\":\"2\"}"},
    {RECO_ASK_RECOMMEND, 400, "limit", "{\"user_id\":\"a\",\"limit\":0}"},
    {RECO_ASK_RECOMMEND, 400, "limit", "{\"user_id\":\"a\",\"limit\":-1}"},
    {RECO_ASK_RECOMMEND, 400, "limit", "{\"user_id\":\"a\",\"limit\":1.5}"},
    {RECO_ASK_RECOMMEND, 400, "reasons", "{\"user_id\":\"a\",\"reasons\":1}"},
    {RECO_ASK_RECOMMEND, 400, "as_of", "{\"user_id\":\"a\",\"as_of\":\"noon\"}"},
    {RECO_ASK_RECOMMEND, 400, "as_of", "{\"user_id\":\"a\",\"as_of\":[]}"},
    {RECO_ASK_RECOMMEND, 400, "session", "{\"session\":\"a\"}"},
    {RECO_ASK_RECOMMEND, 400, "session[0]", "{\"session\":[7]}"},
    {RECO_ASK_RECOMMEND, 400, "session[0].item_id", "{\"session\":[{}]}"},
    {RECO_ASK_RECOMMEND, 400, "session[1].event_type", "{\"session\":[\"a\",{\"item_id\":\"b\",\"event_type\":\"stare\"}]}"},
    {RECO_ASK_RECOMMEND, 400, "session[0].value", "{\"session\":[{\"item_id\":\"b\",\"value\":\"much\"}]}"},
    {RECO_ASK_RECOMMEND, 400, "session[0].shape", "{\"session\":[{\"item_id\":\"b\",\"shape\":1}]}"},
    {RECO_ASK_RECOMMEND, 400, "body", "[]"},
    {RECO_ASK_RECOMMEND, 413, "body", "[{\"user_id\":\"a\"},{\"user_id\":\"b\"}]"},
    {RECO_ASK_RECOMMEND, 400, "body", "7"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"user_id\":"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"user_id\":\"a\",\"user_id\":\"b\"}"},
    {RECO_ASK_RECOMMEND, 400, "body", ""},
    {RECO_ASK_POPULAR, 400, "window", "{\"window\":-1}"},
    {RECO_ASK_POPULAR, 400, "window", "{\"window\":\"3w\"}"},
    {RECO_ASK_POPULAR, 400, "category", "{\"category\":[]}"},
    {RECO_ASK_SIMILAR, 400, "items", "{}"},
    {RECO_ASK_SIMILAR, 400, "items", "{\"items\":[]}"},
    {RECO_ASK_SIMILAR, 400, "items[1]", "{\"items\":[\"a\",7]}"},
    {RECO_ASK_SIMILAR, 400, "items[1]", "{\"items\":[\"a\",\"a\"]}"},
    {RECO_ASK_SIMILAR, 404, "items", "{\"items\":[\"unheard of\"]}"},
    {RECO_ASK_RECOMMEND, 400, "user_id", "{\"session\":[]}"},
    {RECO_ASK_RECOMMEND, 400, "exclude[1]", "{\"user_id\":\"a\",\"exclude\":[\"x\",5]}"},
    {RECO_ASK_RANK, 400, "items", "{\"user_id\":\"a\"}"},
    {RECO_ASK_RANK, 400, "items[1]", "{\"user_id\":\"a\",\"items\":[\"x\",5]}"},
    {RECO_ASK_RANK, 400, "items[0]", "{\"user_id\":\"a\",\"items\":[\"\"]}"},
    {99, 400, "kind", "{}"},
};

START_TEST(bad_bodies)
{
    int status;
    json_t *body = reply_to_body(&status, refusals[_i].kind, refusals[_i].body);
    char *text = json_dumps(body, 0);
    ck_assert_msg(status == refusals[_i].http_status, "%s: %d %s", refusals[_i].body, status, text);
    const char *named = json_string_value(json_object_get(json_array_get(json_object_get(body, "errors"), 0), "field"));
    ck_assert_msg(named && strcmp(named, refusals[_i].named) == 0, "%s: %s", refusals[_i].body, text);
    free(text);
    json_decref(body);
}
END_TEST

START_TEST(bodies_that_are_too_much)
{
    static char body[200000];
    int status;
    memset(body, '[', 5000);
    json_decref(reply_to_body(&status, RECO_ASK_RECOMMEND, body));
    ck_assert_int_eq(status, 400);
    size_t used = (size_t)snprintf(body, sizeof body, "{\"session\":[\"a\"");
    for (unsigned i = 0; i < RECO_SESSION_MAX; i++)
        used += (size_t)snprintf(body + used, sizeof body - used, ",\"i%u\"", i);
    snprintf(body + used, sizeof body - used, "]}");
    json_decref(reply_to_body(&status, RECO_ASK_RECOMMEND, body));
    ck_assert_int_eq(status, 413);
    used = (size_t)snprintf(body, sizeof body, "[");
    for (unsigned i = 0; i <= RECO_BATCH_MAX; i++)
        used += (size_t)snprintf(body + used, sizeof body - used, "%s{\"user_id\":\"u\",\"limit\":1}", i ? "," : "");
    snprintf(body + used, sizeof body - used, "]");
    json_decref(reply_to_body(&status, RECO_ASK_BATCH, body));
    ck_assert_int_eq(status, 413);
    json_decref(reply_to(&status, (reco_ask_input){.kind = RECO_ASK_RECOMMEND, .body = "{}", .body_size = 2, .query_string = "user_id=a"}));
    ck_assert_int_eq(status, 400);
}
END_TEST

START_TEST(batches)
{
    int status;
    json_t *body =
        reply_to_body(&status, RECO_ASK_BATCH, "[{\"user_id\":\"ann\",\"limit\":1},{\"user_id\":\"ann\",\"limit\":0},7,{\"session\":[\"a\"]}]");
    ck_assert_int_eq(status, 200);
    json_t *answers = json_object_get(body, "answers"), *rejected = json_object_get(body, "rejected");
    ck_assert_uint_eq(json_array_size(answers), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(answers, 0), "index")), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(json_array_get(answers, 0), "answer"), "items")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(answers, 1), "index")), 3);
    ck_assert_uint_eq(json_array_size(rejected), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(rejected, 0), "index")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(rejected, 0), "field")), "limit");
    json_decref(body);
    const char *lines = "{\"user_id\":\"ann\"}\n\n{\"user_id\":\"u1\"}\n";
    body = reply_to(&status, (reco_ask_input){.kind = RECO_ASK_BATCH, .body = lines, .body_size = strlen(lines), .form = RECO_JSON_NDJSON});
    ck_assert_int_eq(status, 200);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(body, "answers"), 1), "index")), 2);
    json_decref(body);
    json_decref(reply_to_body(&status, RECO_ASK_BATCH, "[{}]"));
    ck_assert_int_eq(status, 422);
    json_decref(reply_to_body(&status, RECO_ASK_BATCH, "[]"));
    ck_assert_int_eq(status, 200);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("questions");
    TCase *tests = tcase_create("questions");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, sessions);
    tcase_add_test(tests, at_another_moment);
    tcase_add_test(tests, available_again);
    tcase_add_test(tests, given_items);
    tcase_add_test(tests, something_similar);
    tcase_add_test(tests, many_at_once);
    tcase_add_test(tests, bodies_say_what_query_strings_say);
    tcase_add_test(tests, an_event_is_taken_back);
    tcase_add_loop_test(tests, bad_bodies, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, bodies_that_are_too_much);
    tcase_add_test(tests, batches);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
