/* tests/integration/test_aliases.c - ids a user had before they were known: how they are stored, and that answers know of all of them. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "support/engine.h"

static reco_error err;
static reco_engine *engine;

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, NULL);
}

static void teardown(void) { reco_close(engine); }

#define refused(expected, named, call)                                                                                                               \
    do {                                                                                                                                             \
        err = (reco_error)RECO_ERROR_INIT;                                                                                                           \
        test_status(expected, call);                                                                                                                 \
        ck_assert_str_eq(err.field, named);                                                                                                          \
    } while (0)

/* --- storing ------------------------------------------------------------------------------------------------------------------------------- */

static void stored(const char *expected) {
    char *json = NULL;
    test_ok(reco_user_get(&json, engine, str("ann"), NULL, &err), &err);
    ck_assert_str_eq(json, expected);
    reco_free(json);
}

START_TEST(aliases_are_added)
{
    char *json = NULL;
    refused(RECO_INVALID, "user_id", reco_user_alias(&json, engine, str(""), str("v1"), NULL, &err));
    refused(RECO_INVALID, "anonymous_id", reco_user_alias(&json, engine, str("ann"), str(""), NULL, &err));
    refused(RECO_INVALID, "anonymous_id", reco_user_alias(&json, engine, str("ann"), str("ann"), NULL, &err));
    refused(RECO_NOT_FOUND, "user_id", reco_user_get(&json, engine, str("ann"), NULL, &err));
    test_ok(reco_user_alias(&json, engine, str("ann"), str("v1"), NULL, &err), &err);
    ck_assert_str_eq(json, "{\"user_id\":\"ann\",\"aliases\":[\"v1\"]}");
    reco_free(json);
    test_ok(reco_user_alias(NULL, engine, str("ann"), str("v1"), NULL, &err), &err); /* it is there already */
    stored("{\"user_id\":\"ann\",\"aliases\":[\"v1\"]}");
    test_ok(reco_user_patch(NULL, engine, str("ann"), "{\"segment\":\"s\",\"city\":\"Graz\"}", 29, NULL, &err), &err);
    test_ok(reco_user_alias(NULL, engine, str("ann"), str("v2"), NULL, &err), &err);
    stored("{\"user_id\":\"ann\",\"segment\":\"s\",\"aliases\":[\"v1\",\"v2\"],\"attributes\":{\"city\":\"Graz\"}}");
    test_ok(reco_user_patch(NULL, engine, str("ann"), "{\"aliases\":[\"v2\"],\"attributes\":null,\"segment\":null}", 51, NULL, &err), &err);
    stored("{\"user_id\":\"ann\",\"aliases\":[\"v2\"]}");

    /* as many as there may be */
    const reco_str one[] = {str("v2")};
    const reco_user whole = {.user_id = str("ann"), .aliases = one, .alias_count = 1};
    test_ok(reco_users_put(engine, &whole, 1, sizeof whole, NULL, &err), &err);
    for (unsigned i = 1; i < RECO_USER_ALIASES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        test_ok(reco_user_alias(NULL, engine, str("ann"), str(name), NULL, &err), &err);
    }
    refused(RECO_CONFLICT, "aliases", reco_user_alias(&json, engine, str("ann"), str("more"), NULL, &err));
    test_ok(reco_user_alias(NULL, engine, str("ann"), str("w3"), NULL, &err), &err);
    test_ok(reco_user_patch(NULL, engine, str("ann"), "{\"aliases\":null}", 16, NULL, &err), &err);
    stored("{\"user_id\":\"ann\"}");
}
END_TEST

static void reply_is(const char *body, int http_status, const char *expected) {
    reco_reply reply = {.struct_size = sizeof reply};
    test_ok(reco_user_alias_json(&reply, engine, str("ann"), body, strlen(body), NULL, &err), &err);
    ck_assert_msg(reply.http_status == http_status, "%s: %d: %s", body, reply.http_status, reply.body);
    ck_assert_msg(strstr(reply.body, expected) != NULL, "%s: %s", body, reply.body);
    reco_reply_dispose(&reply);
}

START_TEST(aliases_by_json)
{
    static const char *const bad[] = {"{\"anonymous_id\":7}", "{\"anonymous_id\":\"\"}", "{\"anonymous_id\":\"ann\"}", "{\"anonymous_id\":null}",
                                      "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        reply_is(bad[i], 400, "\"field\":\"anonymous_id\"");
    reply_is("{\"anonymous_id\":\"a\",\"colour\":1}", 400, "\"field\":\"colour\"");
    reply_is("[]", 400, "one object");
    reply_is("", 400, "detail");
    reply_is("{", 400, "detail");
    reply_is("7", 400, "detail");
    reply_is("{\"anonymous_id\":\"caf\\u00e9\"}", 200, "{\"user_id\":\"ann\",\"aliases\":[\"caf\xc3\xa9\"]}");
    for (unsigned i = 1; i < RECO_USER_ALIASES_MAX; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"anonymous_id\":\"w%u\"}", i);
        reply_is(body, 200, "\"aliases\"");
    }
    reply_is("{\"anonymous_id\":\"more\"}", 409, "\"field\":\"aliases\"");
}
END_TEST

enum { ADDERS = 4, ADDED_EACH = 4 };

static void *add_some(void *context) {
    for (int i = 0; i < ADDED_EACH; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d-%d", *(int *)context, i);
        if (reco_user_alias(NULL, engine, str("ann"), str(name), NULL, NULL) != RECO_OK)
            return NULL;
    }
    return context;
}

/* Also with no document to begin with: none of them is lost to another. */
START_TEST(aliases_at_the_same_time)
{
    pthread_t threads[ADDERS];
    int numbers[ADDERS];
    char *json = NULL;
    for (int i = 0; i < ADDERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_some, &numbers[i]), 0);
    }
    for (int i = 0; i < ADDERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        ck_assert_msg(result != NULL, "adding in thread %d failed", i);
    }
    test_ok(reco_user_get(&json, engine, str("ann"), NULL, &err), &err);
    json_t *document = json_loads(json, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(document, "aliases")), ADDERS * ADDED_EACH);
    json_decref(document);
    reco_free(json);
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------------------------------------------------- */

static reco_answer *answer;

static void tell_as(const char *user, const char *item, const char *type) {
    reco_event event = test_event(user, item, type);
    test_engine_tell(NULL, engine, &event);
}

/* People who look at "a" look at "b" too, those who look at "c" at "d"; "p" is what everybody looks at. */
static void setup_answers(void) {
    char user[16];
    setup();
    for (int i = 0; i < 8; i++) {
        snprintf(user, sizeof user, "u%d", i);
        tell_as(user, i % 2 ? "a" : "c", "view");
        tell_as(user, i % 2 ? "b" : "d", "view");
        tell_as(user, "p", "view");
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void teardown_answers(void) {
    reco_answer_free(answer);
    answer = NULL;
    teardown();
}

static const reco_answer *ask_for(const char *user, reco_query query) {
    query.struct_size = sizeof query;
    query.user_id = str(user);
    query.limit = query.limit ? query.limit : 10;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    return answer;
}

/* The item's place from 1, 0 when it is not in the answer. */
static uint32_t place_of(const char *item) {
    for (size_t i = 0; i < answer->count; i++)
        if (answer->items[i].item_id.size == strlen(item) && memcmp(answer->items[i].item_id.data, item, strlen(item)) == 0)
            return answer->items[i].rank;
    return 0;
}

/* Somebody looks around, hides something, and logs in. */
START_TEST(who_logs_in_keeps_what_they_did)
{
    tell_as("visitor", "a", "view");
    tell_as("visitor", "p", "hide");
    tell_as("ann", "c", "view");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(place_of("d") && place_of("p") && !place_of("c"));
    ck_assert(answer->items[0].reasons[0].kind == RECO_REASON_COVIEW && place_of("d") == 1);
    char before[40], after[40];
    test_engine_hash(before, engine);
    test_ok(reco_user_alias(NULL, engine, str("ann"), str("visitor"), NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(place_of("d") && place_of("b") && !place_of("a") && !place_of("c") && !place_of("p"));
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after); /* nothing of what was learned moved */
    const reco_str given[] = {str("p"), str("b"), str("d")};
    const reco_query query = {.struct_size = sizeof query, .user_id = str("ann")};
    test_ok(reco_rank(&answer, engine, &query, given, 3, NULL, &err), &err);
    ck_assert(answer->count == 2 && place_of("b") && place_of("d"));
    /* what the visitor does afterwards counts too: they are one */
    tell_as("visitor", "d", "hide");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(place_of("b") && !place_of("d"));
    /* the visitor is not ann */
    ask_for("visitor", (reco_query){0});
    ck_assert(place_of("c") || place_of("p") || place_of("b"));
    ck_assert(!place_of("d") && !place_of("a"));
    test_ok(reco_user_patch(NULL, engine, str("ann"), "{\"aliases\":null}", 16, NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(place_of("d") && place_of("p"));
    test_ok(reco_user_alias(NULL, engine, str("ann"), str("visitor"), NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(!place_of("d") && !place_of("p"));
    test_ok(reco_user_delete(engine, str("ann"), NULL, &err), &err);
    ask_for("ann", (reco_query){0});
    ck_assert(place_of("d") && place_of("p"));
}
END_TEST

/* A visitor of another partition than ann. */
static const char *visitor_elsewhere(void) {
    static char name[16];
    reco_receipt receipt = {.struct_size = sizeof receipt};
    char own[RECO_POSITION_MAX];
    reco_event event = test_event("ann", "c", "view");
    test_engine_tell(own, engine, &event);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ask_for("ann", (reco_query){.min_position = str(own)});
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "visitor%d", i);
        event = test_event(name, "a", "view");
        test_ok(reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
        ask_for("ann", (reco_query){.min_position = str(receipt.position)});
        if (!(answer->flags & RECO_ANSWER_BEHIND))
            return name; /* it is nothing ann has to wait for */
        test_ok(reco_process(NULL, engine, NULL, &err), &err);
    }
    ck_abort_msg("all visitors are of one partition");
    return NULL;
}

START_TEST(positions_of_all_ids_are_waited_for)
{
    char position[RECO_POSITION_MAX], joint[RECO_POSITION_MAX];
    const char *visitor = visitor_elsewhere();
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    reco_event event = test_event(visitor, "b", "hide");
    test_engine_tell(position, engine, &event);
    ask_for("ann", (reco_query){.min_position = str(position)});
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
    size_t alone = answer->position.size;
    test_ok(reco_user_alias(NULL, engine, str("ann"), str(visitor), NULL, &err), &err);
    ask_for("ann", (reco_query){.min_position = str(position)});
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, RECO_ANSWER_BEHIND);
    ck_assert(place_of("b"));
    ck_assert_uint_gt(answer->position.size, alone);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ask_for("ann", (reco_query){.min_position = str(position)});
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
    ck_assert(!place_of("b"));
    /* the token of the answer stands for both */
    snprintf(joint, sizeof joint, "%.*s", (int)answer->position.size, answer->position.data);
    test_ok(reco_wait(engine, str(joint), 0, NULL, &err), &err);
    ask_for("ann", (reco_query){.min_position = str(joint)});
    ck_assert_uint_eq(answer->flags & RECO_ANSWER_BEHIND, 0);
}
END_TEST

/* Threads ask while others add and take away: each answer is one or the other. */
enum { ASKERS = 3, CHANGES = 60 };

static void *ask_often(void *context) {
    reco_answer *own = NULL;
    const reco_query query = {.struct_size = sizeof query, .user_id = str("ann"), .limit = 10};
    bool good = true;
    while (good && !__atomic_load_n((int *)context, __ATOMIC_RELAXED))
        good = reco_recommend(&own, engine, &query, NULL, NULL) == RECO_OK && !(own->flags & RECO_ANSWER_DEGRADED) && own->count > 0;
    reco_answer_free(own);
    return good ? context : NULL;
}

START_TEST(asked_while_it_changes)
{
    pthread_t threads[ASKERS];
    int over = 0;
    tell_as("visitor", "p", "hide");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    for (int i = 0; i < ASKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &over), 0);
    for (int i = 0; i < CHANGES; i++) {
        test_ok(reco_user_alias(NULL, engine, str("ann"), str("visitor"), NULL, &err), &err);
        ask_for("ann", (reco_query){0});
        ck_assert_uint_eq(place_of("p"), 0);
        test_ok(reco_user_patch(NULL, engine, str("ann"), "{\"aliases\":null}", 16, NULL, &err), &err);
        ask_for("ann", (reco_query){0});
        ck_assert_uint_ne(place_of("p"), 0);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < ASKERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        ck_assert_msg(result != NULL, "asking in thread %d failed", i);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("aliases");
    TCase *storing = tcase_create("storing");
    suite_add_tcase(suite, storing);
    tcase_add_checked_fixture(storing, setup, teardown);
    tcase_add_test(storing, aliases_are_added);
    tcase_add_test(storing, aliases_by_json);
    tcase_add_test(storing, aliases_at_the_same_time);
    TCase *answers = tcase_create("answers");
    suite_add_tcase(suite, answers);
    tcase_set_timeout(answers, 60);
    tcase_add_checked_fixture(answers, setup_answers, teardown_answers);
    tcase_add_test(answers, who_logs_in_keeps_what_they_did);
    tcase_add_test(answers, positions_of_all_ids_are_waited_for);
    tcase_add_test(answers, asked_while_it_changes);
    return test_run(suite);
}
