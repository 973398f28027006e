/* JSON merge patches on documents. */
#include <check.h>

#include "model/event.h"
#include "model/item.h"
#include "model/patch.h"
#include "model/user.h"
#include "support/support.h"

static const char *const LETTERS[] = {"a", "b", "c", "e", NULL};

static reco__arena arena;
static reco__rejects rejects;
static reco__buf out;
static reco_error err;

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    rejects = (reco__rejects){.arena = &arena};
}

static void teardown(void) {
    reco__buf_dispose(&out);
    reco__arena_dispose(&arena);
}

static reco_status patched(const char *document, const char *patch, const char *const *known) {
    reco__buf_reset(&out);
    rejects.count = 0;
    return reco__patch_apply(&out, &rejects, reco__str_of(document), reco__str_of(patch), known, &err);
}

/* The examples of RFC 7396, as far as they are about objects, and what else its algorithm says. */
START_TEST(as_the_rfc_says)
{
    static const struct {
        const char *document, *patch, *result;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":\"c\"}", "{\"a\":{\"b\":1,\"c\":null}}", "{\"a\":{\"b\":1}}"},
        {"{\"a\":{\"x\":{\"y\":1,\"z\":2}},\"b\":3}", "{\"a\":{\"x\":{\"z\":null,\"w\":[null]}}}", "{\"a\":{\"x\":{\"y\":1,\"w\":[null]}},\"b\":3}"},
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{\"a\":1}", " {\n\"b\" : null , \"c\" : { \"d\" : \"x y\" } } ", "{\"a\":1,\"c\":{\"d\":\"x y\"}}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_ok(patched(cases[i].document, cases[i].patch, LETTERS), &err);
        ck_assert_uint_eq(rejects.count, 0);
        ck_assert_str_eq(reco__buf_cstr(&out), cases[i].result);
    }
}
END_TEST

/* Through a tree they would come out as other numbers, or not at all. */
START_TEST(numbers_keep_their_digits)
{
    test_ok(patched("{\"a\":{\"x\":1.50,\"y\":0.12345678901234567890},\"b\":1e2}", "{\"a\":{\"z\":3.140,\"\\u0078\":2.0},\"c\":-0}", LETTERS), &err);
    ck_assert_str_eq(reco__buf_cstr(&out), "{\"a\":{\"x\":2.0,\"y\":0.12345678901234567890,\"z\":3.140},\"b\":1e2,\"c\":-0}");
}
END_TEST

static void item_becomes(const char *document, const char *patch, const char *result) {
    reco__buf_reset(&out);
    rejects.count = 0;
    test_ok(reco__item_patch(&out, &rejects, reco__str_of(document), reco__str_of(patch), &err), &err);
    ck_assert_uint_eq(rejects.count, 0);
    ck_assert_str_eq(reco__buf_cstr(&out), result);
}

START_TEST(unknown_members_are_attributes)
{
    item_becomes("{\"title\":\"T\"}", "{\"year\":1979}", "{\"title\":\"T\",\"attributes\":{\"year\":1979}}");
    item_becomes("{\"attributes\":{\"year\":1979,\"x\":1}}", "{\"year\":null,\"title\":\"T\",\"attributes\":{\"y\":{\"z\":null}}}",
                 "{\"attributes\":{\"x\":1,\"y\":{}},\"title\":\"T\"}");
    item_becomes("{\"attributes\":{\"x\":1}}", "{\"attributes\":null,\"parent\":\"p\"}", "{\"parent\":\"p\"}");
    test_ok(reco__user_patch(&out, &rejects, reco__str_of("{\"segment\":\"s\"}"), reco__str_of("{\"title\":\"Dr\",\"segment\":null}"), &err), &err);
    static const char *const bad[] = {"{\"year\":1,\"attributes\":null}", "{\"year\":1,\"attributes\":[]}"};
    for (size_t i = 0; i < 2; i++) {
        reco__buf_reset(&out);
        rejects.count = 0;
        test_ok(reco__item_patch(&out, &rejects, reco__str_of("{}"), reco__str_of(bad[i]), &err), &err);
        ck_assert_uint_eq(rejects.count, 1);
        ck_assert_str_eq(rejects.errors[0].field, "attributes");
        ck_assert_uint_eq(out.size, 0);
    }
    test_ok(reco__item_patch(&out, &rejects, reco__str_of("{}"), reco__str_of("{\"year\":1,\"attributes\":{\"year\":2}}"), &err), &err);
    ck_assert_str_eq(rejects.errors[1].field, "year");
}
END_TEST

START_TEST(what_is_no_patch)
{
    static char large[RECO__PATCH_MAX + 2];
    static const char *const not_read[] = {"", "  ", "{", "{\"a\":}", "[]", " [{\"a\":1}]", "{\"a\":1}x"};
    static const char *const not_taken[] = {
        "7", "null", "\"x\"", "{\"a\":1,\"a\":2}", "{\"a\":\"\\ud800\"}", "{\"a\":1e999}", "{\"a\":1}\n{\"a\":2}"};
    for (size_t i = 0; i < sizeof not_read / sizeof *not_read; i++) {
        ck_assert_msg(patched("{}", not_read[i], LETTERS) == RECO_INVALID || rejects.count > 0, "%s was taken", not_read[i]);
        ck_assert_uint_eq(out.size, 0);
    }
    for (size_t i = 0; i < sizeof not_taken / sizeof *not_taken; i++) {
        test_ok(patched("{}", not_taken[i], LETTERS), &err);
        ck_assert_msg(rejects.count == 1, "%s was taken", not_taken[i]);
        ck_assert_uint_eq(out.size, 0);
    }
    memset(large, ' ', sizeof large - 1);
    memcpy(large, "{}", 2);
    test_status(RECO_TOO_LARGE, patched("{}", large, LETTERS));
    large[RECO__PATCH_MAX] = '\0';
    test_ok(patched("{}", large, LETTERS), &err);
    reco__buf deep = {0};
    for (unsigned i = 0; i <= RECO__NESTING_MAX; i++)
        reco__buf_text(&deep, "{\"a\":");
    reco__buf_text(&deep, "1");
    for (unsigned i = 0; i <= RECO__NESTING_MAX; i++)
        reco__buf_text(&deep, "}");
    test_ok(patched("{}", reco__buf_cstr(&deep), LETTERS), &err);
    ck_assert_uint_eq(rejects.count, 1);
    reco__buf_dispose(&deep);
    test_status(RECO_CORRUPT, patched("{\"a\":", "{}", LETTERS));
    test_status(RECO_CORRUPT, patched("[]", "{}", LETTERS));
}
END_TEST

static reco_status patch_once(void *context, reco_error *error) {
    (void)context;
    reco__arena mine = {0};
    reco__rejects refused = {.arena = &mine};
    reco__buf result = {0};
    reco_status status = reco__item_patch(&result, &refused, reco__str_of("{\"title\":\"T\",\"attributes\":{\"a\":{\"b\":1}}}"),
                                          reco__str_of("{\"year\":1,\"attributes\":{\"a\":{\"c\":{\"d\":2}}},\"title\":null}"), error);
    if (status == RECO_OK && refused.count == 0)
        ck_assert_str_eq(reco__buf_cstr(&result), "{\"attributes\":{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"year\":1}}");
    reco__buf_dispose(&result);
    reco__arena_dispose(&mine);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(patch_once, NULL, false), 5);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("patches");
    TCase *tests = tcase_create("patches");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, as_the_rfc_says);
    tcase_add_test(tests, numbers_keep_their_digits);
    tcase_add_test(tests, unknown_members_are_attributes);
    tcase_add_test(tests, what_is_no_patch);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
