/* Users from JSON, and the document under which they are kept. */
#include <check.h>

#include "model/event.h"
#include "model/user.h"
#include "support/support.h"

static reco__arena arena;
static reco__user_batch batch;
static reco_error err;

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }
static void teardown(void) { reco__arena_dispose(&arena); }

static reco_status parse(const char *text, const char *id) {
    return reco__users_parse(&batch, &arena, text, strlen(text), RECO__JSON_AUTO, 10, reco__str_of(id), &err);
}

static void ck_document(const reco_user *user, const char *expected) {
    reco__buf buf = {0};
    reco__user_document(&buf, user);
    ck_assert_str_eq(reco__buf_cstr(&buf), expected);
    reco__buf_dispose(&buf);
}

START_TEST(json_to_document)
{
    test_ok(parse("[{\"user_id\":\"a/1\",\"segment\":\"n\\\"ew\",\"attributes\":{ \"age\" : 3.10 },\"city\":\"Graz\"},"
                  "{\"user_id\":\"b\",\"segment\":null,\"attributes\":null},{\"user_id\":\"c\",\"attributes\":{}}]",
                  ""),
            &err);
    ck_assert_uint_eq(batch.count, 3);
    ck_document(&batch.users[0], "{\"segment\":\"n\\\"ew\",\"attributes\":{\"age\":3.10,\"city\":\"Graz\"}}");
    ck_document(&batch.users[1], "{}");
    ck_document(&batch.users[2], "{\"attributes\":{}}");
    test_ok(parse("[{\"user_id\":\"a\",\"aliases\":[\"x\\\"\",\"y\"],\"segment\":\"s\",\"b\":1},{\"user_id\":\"b\",\"aliases\":[]},{\"user_id\":"
                  "\"c\",\"aliases\":null}]",
                  ""),
            &err);
    ck_assert_uint_eq(batch.count, 3);
    ck_document(&batch.users[0], "{\"segment\":\"s\",\"aliases\":[\"x\\\"\",\"y\"],\"attributes\":{\"b\":1}}");
    ck_document(&batch.users[1], "{}");
    ck_document(&batch.users[2], "{}");
}
END_TEST

START_TEST(documents_are_read_back)
{
    reco_user user;
    const reco_str id = reco__str_of("u");
    test_ok(reco__user_read(&user, &arena, id, reco__str_of("{\"aliases\":[\"a\",\"b\"],\"attributes\":{\"c\":1.50}}"), &err), &err);
    ck_assert(reco__str_equal(user.user_id, id));
    ck_assert_uint_eq(user.alias_count, 2);
    ck_assert(reco__str_equal(user.aliases[1], reco__str_of("b")));
    ck_document(&user, "{\"aliases\":[\"a\",\"b\"],\"attributes\":{\"c\":1.50}}");
    static const char *const bad[] = {"", "[]", "{", "{\"aliases\":7}", "{\"aliases\":[\"u\"]}", "{}{}", "[{},{}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        test_status(RECO_CORRUPT, reco__user_read(&user, &arena, id, reco__str_of(bad[i]), &err));
}
END_TEST

START_TEST(the_id_may_be_given_beside)
{
    test_ok(parse("{}", "a"), &err);
    ck_assert_uint_eq(batch.count, 1);
    ck_assert(reco__str_equal(batch.users[0].user_id, reco__str_of("a")));
    test_ok(parse("{\"user_id\":\"a\"}", "a"), &err);
    ck_assert_uint_eq(batch.count, 1);
    test_ok(parse("{\"user_id\":\"b\"}", "a"), &err);
    ck_assert_uint_eq(batch.error_count, 1);
    ck_assert_str_eq(batch.errors[0].field, "user_id");
}
END_TEST

START_TEST(bad_users_name_their_field)
{
    static const struct {
        const char *element, *field;
    } cases[] = {{"{}", "user_id"},
                 {"{\"user_id\":7}", "user_id"},
                 {"{\"user_id\":\"\"}", "user_id"},
                 {"{\"user_id\":\"u\\u0000\"}", "user_id"},
                 {"{\"user_id\":\"u\",\"segment\":[]}", "segment"},
                 {"{\"user_id\":\"u\",\"attributes\":\"{}\"}", "attributes"},
                 {"{\"user_id\":\"u\",\"aliases\":\"a\"}", "aliases"},
                 {"{\"user_id\":\"u\",\"aliases\":[\"a\",7]}", "aliases"},
                 {"{\"user_id\":\"u\",\"aliases\":[\"a\",\"\"]}", "aliases"},
                 {"{\"user_id\":\"u\",\"aliases\":[\"a\",\"a\"]}", "aliases"},
                 {"{\"user_id\":\"u\",\"aliases\":[\"a\",\"u\"]}", "aliases"},
                 {"{\"user_id\":\"u\",\"aliases\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "aliases"},
                 {"{\"user_id\":\"u\",\"age\":1,\"attributes\":{\"age\":1}}", "age"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_ok(parse(cases[i].element, ""), &err);
        ck_assert_msg(batch.count == 0 && batch.error_count == 1, "%s was accepted", cases[i].element);
        ck_assert_str_eq(batch.errors[0].field, cases[i].field);
    }
}
END_TEST

START_TEST(structs_are_checked_like_json)
{
    const reco_user good = {.user_id = reco__str_of("u"), .segment = reco__str_of("s"), .attributes = reco__str_of("{\"a\":1}")};
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    struct {
        reco_user user;
        const char *field;
    } cases[] = {{good, "user_id"}, {good, "user_id"},  {good, "segment"}, {good, "segment"}, {good, "attributes"}, {good, "attributes"},
                 {good, "flags"},   {good, "reserved"}, {good, "aliases"}, {good, "aliases"}, {good, "aliases"}};
    reco_str aliases[RECO_USER_ALIASES_MAX + 1] = {reco__str_of("u")};
    cases[8].user.alias_count = 1;
    cases[9].user.aliases = cases[10].user.aliases = aliases;
    cases[9].user.alias_count = 1;
    cases[10].user.alias_count = RECO_USER_ALIASES_MAX + 1;
    cases[0].user.user_id.size = 0;
    cases[1].user.user_id = (reco_str){long_text, sizeof long_text};
    cases[2].user.segment = (reco_str){long_text, sizeof long_text};
    cases[3].user.segment = reco__str_of("\xff");
    cases[4].user.attributes = reco__str_of("[]");
    cases[5].user.attributes = reco__str_of("\xff");
    cases[6].user.flags = 1;
    cases[7].user.reserved = 1;
    test_ok(reco__user_check(&good, -1, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_ne(reco__user_check(&cases[i].user, 5, &err), RECO_OK);
        ck_assert_str_eq(err.field, cases[i].field);
        ck_assert_int_eq(err.index, 5);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("model users");
    TCase *tests = tcase_create("users");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, json_to_document);
    tcase_add_test(tests, documents_are_read_back);
    tcase_add_test(tests, the_id_may_be_given_beside);
    tcase_add_test(tests, bad_users_name_their_field);
    tcase_add_test(tests, structs_are_checked_like_json);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
