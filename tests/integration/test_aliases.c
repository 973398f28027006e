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

int main(void) {
    Suite *suite = suite_create("aliases");
    TCase *storing = tcase_create("storing");
    suite_add_tcase(suite, storing);
    tcase_add_checked_fixture(storing, setup, teardown);
    tcase_add_test(storing, aliases_are_added);
    tcase_add_test(storing, aliases_by_json);
    tcase_add_test(storing, aliases_at_the_same_time);
    return test_run(suite);
}
