/* test_model_filter.c - filters and caps as JSON: what each form becomes, and what is refused with which name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/filter.h"
#include "support/support.h"

static reco__arena arena;
static reco_error err;
static const reco_filter *filters;
static const reco_cap *caps;
static size_t count;

static reco_status parse(const char *text) {
    err = (reco_error)RECO_ERROR_INIT;
    return reco__filters_parse(&filters, &count, &arena, reco__str_of(text), "filter", &err);
}

static void good(const char *text, size_t expected) {
    test_ok(parse(text), &err);
    ck_assert_uint_eq(count, expected);
}

START_TEST(forms)
{
    good("{}", 0);
    good("{\"brand\":\"acme\"}", 1);
    ck_assert(reco__str_equal(filters[0].attribute, reco__str_of("brand")) && filters[0].op == RECO_FILTER_ANY_OF && filters[0].flags == 0);
    ck_assert(filters[0].value_count == 1 && filters[0].values[0].type == RECO_VALUE_STRING);
    ck_assert(reco__str_equal(filters[0].values[0].text, reco__str_of("acme")));
    good("{\"a\":[1,\"1\",true,false,\"\"]}", 1);
    ck_assert_uint_eq(filters[0].value_count, 5);
    ck_assert(filters[0].values[0].type == RECO_VALUE_NUMBER && filters[0].values[0].number == 1);
    ck_assert(filters[0].values[2].type == RECO_VALUE_BOOLEAN && filters[0].values[2].boolean == 1);
    ck_assert(filters[0].values[3].type == RECO_VALUE_BOOLEAN && filters[0].values[3].boolean == 0);
    ck_assert(filters[0].values[4].type == RECO_VALUE_STRING && filters[0].values[4].text.size == 0);
    good("{\"price\":{\"gte\":10,\"lt\":49.5}}", 1);
    ck_assert(filters[0].op == RECO_FILTER_RANGE && filters[0].min == 10 && filters[0].max == 49.5);
    ck_assert_uint_eq(filters[0].flags, RECO_FILTER_MIN | RECO_FILTER_MAX | RECO_FILTER_MAX_OUTSIDE);
    good("{\"price\":{\"gt\":-1e3,\"missing\":true}}", 1);
    ck_assert_uint_eq(filters[0].flags, RECO_FILTER_MIN | RECO_FILTER_MIN_OUTSIDE | RECO_FILTER_MISSING);
    good("{\"price\":{\"lte\":5,\"missing\":false}}", 1);
    ck_assert_uint_eq(filters[0].flags, RECO_FILTER_MAX);
    good("{\"size\":{\"not\":\"XL\"}}", 1);
    ck_assert(filters[0].op == RECO_FILTER_ANY_OF && filters[0].flags == RECO_FILTER_NOT && filters[0].value_count == 1);
    good("{\"size\":{\"missing\":true,\"not\":[\"XL\",2]}}", 1);
    ck_assert(filters[0].flags == (RECO_FILTER_NOT | RECO_FILTER_MISSING) && filters[0].value_count == 2);
    good("{\"price\":{\"not\":{\"gte\":1,\"lte\":1}}}", 1);
    ck_assert_uint_eq(filters[0].flags, RECO_FILTER_NOT | RECO_FILTER_MIN | RECO_FILTER_MAX);
    good("{\"a\":{\"in\":[1,2],\"not\":3,\"gt\":0,\"missing\":true},\"b\":true}", 4);
    ck_assert(reco__str_equal(filters[3].attribute, reco__str_of("b")) && filters[2].flags & RECO_FILTER_MISSING);
    good("{\"r\\u00e9d\":\"\\ud83d\\ude00\"}", 1);
    ck_assert(reco__str_equal(filters[0].values[0].text, reco__str_of("\xf0\x9f\x98\x80")));
    test_ok(reco__caps_parse(&caps, &count, &arena, reco__str_of("{\"brand\":2,\"category\":4294967295}"), "caps", &err), &err);
    ck_assert(count == 2 && caps[0].most == 2 && caps[1].most == UINT32_MAX && reco__str_equal(caps[1].attribute, reco__str_of("category")));
    test_ok(reco__caps_parse(&caps, &count, &arena, reco__str_of("{}"), "caps", &err), &err);
    ck_assert_uint_eq(count, 0);
    reco__arena_dispose(&arena);
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *text, *field;
        reco_status status;
    } bad[] = {
        {"", "filter", RECO_INVALID},
        {"x", "filter", RECO_INVALID},
        {"[]", "filter", RECO_INVALID},
        {"\"brand\"", "filter", RECO_INVALID},
        {"{\"a\":1,\"a\":2}", "filter", RECO_INVALID},
        {"{\"a\":1e999}", "filter", RECO_INVALID},
        {"{\"a\":\"\xff\"}", "filter", RECO_INVALID},
        {"{\"\":1}", "filter", RECO_INVALID},
        {"{\"a\":null}", "filter.a", RECO_INVALID},
        {"{\"a\":[]}", "filter.a", RECO_INVALID},
        {"{\"a\":[null]}", "filter.a", RECO_INVALID},
        {"{\"a\":[[1]]}", "filter.a", RECO_INVALID},
        {"{\"a\":[{\"gt\":1}]}", "filter.a", RECO_INVALID},
        {"{\"a\":{}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"missing\":true}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"missing\":1,\"gt\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"near\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"gt\":1,\"near\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"gt\":\"1\"}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"gt\":null}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"gt\":1,\"gte\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"lt\":1,\"lte\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"gt\":2,\"lt\":1}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"in\":[]}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"not\":[]}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"not\":{}}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"not\":{\"not\":1}}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"not\":{\"gt\":1,\"missing\":true}}}", "filter.a", RECO_INVALID},
        {"{\"a\":{\"not\":{\"gt\":2,\"lt\":1}}}", "filter.a", RECO_INVALID},
        {"{\"a\":\"b\\u0000c\"}", "filter.a", RECO_INVALID},
        {"{\"b\":1,\"a\":{\"in\":{\"x\":1}}}", "filter.a", RECO_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(parse(bad[i].text) == bad[i].status, "%s: %s", bad[i].text, err.text);
        ck_assert_msg(strcmp(err.field, bad[i].field) == 0, "%s: field %s", bad[i].text, err.field);
        ck_assert_uint_gt(strlen(err.text), 0);
    }
    static const char *const bad_caps[] = {"{\"a\":0}",    "{\"a\":-1}",         "{\"a\":1.5}", "{\"a\":\"1\"}",
                                           "{\"a\":null}", "{\"a\":4294967296}", "{\"a\":[1]}"};
    for (size_t i = 0; i < sizeof bad_caps / sizeof *bad_caps; i++) {
        ck_assert_int_eq(reco__caps_parse(&caps, &count, &arena, reco__str_of(bad_caps[i]), "caps", &err), RECO_INVALID);
        ck_assert_str_eq(err.field, "caps.a");
    }
    ck_assert_int_eq(reco__caps_parse(&caps, &count, &arena, reco__str_of("3"), "caps", &err), RECO_INVALID);
    ck_assert_str_eq(err.field, "caps");
    reco__arena_dispose(&arena);
}
END_TEST

/* An object of `members` members, each with `value`; names are numbers. */
static void many(reco__buf *out, int members, const char *value) {
    reco__buf_reset(out);
    reco__buf_byte(out, '{');
    for (int i = 0; i < members; i++)
        reco__buf_printf(out, "%s\"%d\":%s", i ? "," : "", i, value);
    reco__buf_byte(out, '}');
}

START_TEST(limits)
{
    reco__buf text = {0}, values = {0};
    many(&text, RECO_FILTERS_MAX, "1");
    good(reco__buf_cstr(&text), RECO_FILTERS_MAX);
    many(&text, RECO_FILTERS_MAX + 1, "1");
    ck_assert_int_eq(parse(reco__buf_cstr(&text)), RECO_TOO_LARGE);
    ck_assert_str_eq(err.field, "filter");
    many(&text, RECO_FILTERS_MAX / 3 + 1, "{\"in\":1,\"not\":2,\"gt\":0}");
    ck_assert_int_eq(parse(reco__buf_cstr(&text)), RECO_TOO_LARGE);
    many(&text, RECO_CAPS_MAX + 1, "1");
    ck_assert_int_eq(reco__caps_parse(&caps, &count, &arena, reco__str_of(reco__buf_cstr(&text)), "caps", &err), RECO_TOO_LARGE);
    for (size_t most = RECO_FILTER_VALUES_MAX; most <= RECO_FILTER_VALUES_MAX + 1; most++) {
        reco__buf_reset(&values);
        reco__buf_text(&values, "{\"a\":[");
        for (size_t i = 0; i < most; i++)
            reco__buf_printf(&values, "%s%zu", i ? "," : "", i);
        reco__buf_text(&values, "]}");
        ck_assert_int_eq(parse(reco__buf_cstr(&values)), most > RECO_FILTER_VALUES_MAX ? RECO_TOO_LARGE : RECO_OK);
    }
    for (size_t most = 256; most <= 257; most++) {
        reco__buf_reset(&values);
        reco__buf_printf(&values, "{\"%0*d\":1}", (int)most, 0);
        ck_assert_int_eq(parse(reco__buf_cstr(&values)), most > 256 ? RECO_TOO_LARGE : RECO_OK);
        ck_assert_uint_lt(strlen(err.field), 60);
    }
    for (size_t most = 1024; most <= 1025; most++) {
        reco__buf_reset(&values);
        reco__buf_printf(&values, "{\"a\":\"%0*d\"}", (int)most, 0);
        ck_assert_int_eq(parse(reco__buf_cstr(&values)), most > 1024 ? RECO_TOO_LARGE : RECO_OK);
    }
    reco__buf_dispose(&text);
    reco__buf_dispose(&values);
    reco__arena_dispose(&arena);
}
END_TEST

static void no_selection(const char *text, reco_status status, const char *field) {
    reco_selection *selection = NULL;
    err = (reco_error)RECO_ERROR_INIT;
    ck_assert_int_eq(reco_selection_parse(&selection, text, text ? strlen(text) : 1, &err), status);
    ck_assert_str_eq(err.field, field);
    ck_assert_ptr_null(selection);
}

START_TEST(selections)
{
    static const char text[] = "{\"exclude\":[\"a\",\"b\"],\"filter\":{\"x\":1},\"caps\":{\"y\":2},\"variants\":true,\"cursor\":\"c\"}";
    reco_selection *selection = NULL;
    test_ok(reco_selection_parse(&selection, text, sizeof text - 1, &err), &err);
    ck_assert(selection->struct_size == sizeof *selection && selection->flags == RECO_SELECTION_VARIANTS);
    ck_assert(selection->exclude_count == 2 && reco__str_equal(selection->exclude[1], reco__str_of("b")));
    ck_assert(selection->filter_count == 1 && selection->filter_size == sizeof(reco_filter) && selection->filters[0].values[0].number == 1);
    ck_assert(selection->cap_count == 1 && selection->cap_size == sizeof(reco_cap) && selection->caps[0].most == 2);
    ck_assert(reco__str_equal(selection->cursor, reco__str_of("c")));
    reco_selection_free(selection);
    selection = NULL;
    test_ok(reco_selection_parse(&selection, "{}", 2, &err), &err);
    ck_assert(selection->struct_size == sizeof *selection && selection->exclude_count + selection->filter_count + selection->cap_count == 0);
    reco_selection_free(selection);
    reco_selection_free(NULL);
    no_selection("", RECO_INVALID, "selection");
    no_selection("[]", RECO_INVALID, "selection");
    no_selection("{\"exclude\":7}", RECO_INVALID, "exclude");
    no_selection("{\"filter\":{\"a\":[]}}", RECO_INVALID, "filter.a");
    no_selection("{\"caps\":{\"a\":0}}", RECO_INVALID, "caps.a");
    no_selection("{\"variants\":1}", RECO_INVALID, "variants");
    no_selection("{\"cursor\":\"\"}", RECO_INVALID, "cursor");
    no_selection("{\"else\":1}", RECO_INVALID, "else");
    no_selection(NULL, RECO_INVALID, "json");
    ck_assert_int_eq(reco_selection_parse(NULL, "{}", 2, &err), RECO_INVALID);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("model filter");
    TCase *tests = tcase_create("filter");
    tcase_add_test(tests, forms);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, selections);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
