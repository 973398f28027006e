/* Items from JSON, and the document under which they are kept. */
#include <check.h>
#include <stdio.h>

#include "model/event.h"
#include "model/item.h"
#include "support/support.h"

static reco__arena arena;
static reco__item_batch batch;
static reco_error err;

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }

static void teardown(void) { reco__arena_dispose(&arena); }

static reco_status parse(const char *text) {
    return reco__items_parse(&batch, &arena, text, strlen(text), RECO__JSON_AUTO, 10, (reco_str){NULL, 0}, &err);
}

#define FULL                                                                                                                                         \
    "{\"title\":\"Alien \\\"8\\\"\",\"parent\":\"alien\",\"categories\":[\"Horror\",\"Sci-Fi\"],\"available_from\":5,"                               \
    "\"available_until\":1769850000500,\"hidden\":true,\"attributes\":{\"year\":1979,\"x\":1.50}}"

static void ck_document(const reco_item *item, const char *expected) {
    reco__buf buf = {0};
    reco__item_document(&buf, item);
    ck_assert_str_eq(reco__buf_cstr(&buf), expected);
    reco__buf_dispose(&buf);
}

START_TEST(json_to_document_and_back)
{
    test_ok(parse("[{\"item_id\":\"a/1\",\"title\":\"Alien \\\"8\\\"\",\"categories\":[\"Horror\",\"Sci-Fi\"],\"available_from\":5,\"hidden\":true,"
                  "\"available_until\":\"2026-01-31T10:00:00.5+01:00\",\"attributes\":{ \"year\" : 1979 }, \"parent\":\"alien\","
                  "\"x\":1.50},{\"item_id\":\"b\",\"title\":null,\"parent\":null,\"hidden\":false}]"),
            &err);
    ck_assert_uint_eq(batch.count, 2);
    ck_document(&batch.items[0], FULL);
    ck_document(&batch.items[1], "{}");
    reco_item item;
    test_ok(reco__item_read(&item, &arena, reco__str_of("a/1"), reco__str_of(FULL), &err), &err);
    test_ok(reco__item_check(&item, -1, &err), &err);
    ck_assert(reco__str_equal(item.item_id, reco__str_of("a/1")));
    ck_assert_uint_eq(item.category_count, 2);
    ck_assert(reco__str_equal(item.categories[1], reco__str_of("Sci-Fi")));
    ck_assert(reco__str_equal(item.parent, reco__str_of("alien")));
    ck_document(&item, FULL);
}
END_TEST

START_TEST(bad_items_name_their_field)
{
    static const struct {
        const char *element, *field;
    } cases[] = {{"{}", "item_id"},
                 {"{\"item_id\":7}", "item_id"},
                 {"{\"item_id\":\"i\",\"title\":[]}", "title"},
                 {"{\"item_id\":\"i\",\"title\":\"\\u0000\"}", "title"},
                 {"{\"item_id\":\"i\",\"categories\":\"x\"}", "categories"},
                 {"{\"item_id\":\"i\",\"categories\":[null]}", "categories"},
                 {"{\"item_id\":\"i\",\"categories\":[\"\"]}", "categories"},
                 {"{\"item_id\":\"i\",\"categories\":[\"x\",\"y\",\"x\"]}", "categories"},
                 {"{\"item_id\":\"i\",\"available_from\":-1}", "available_from"},
                 {"{\"item_id\":\"i\",\"available_from\":9,\"available_until\":9}", "available_until"},
                 {"{\"item_id\":\"i\",\"available_until\":0}", "available_until"},
                 {"{\"item_id\":\"i\",\"available_until\":\"1970-01-01T00:00:00Z\"}", "available_until"},
                 {"{\"item_id\":\"i\",\"hidden\":1}", "hidden"},
                 {"{\"item_id\":\"i\",\"parent\":7}", "parent"},
                 {"{\"item_id\":\"i\",\"parent\":\"i\"}", "parent"},
                 {"{\"item_id\":\"i\",\"parent\":\"\\u0000\"}", "parent"},
                 {"{\"item_id\":\"i\",\"attributes\":\"{}\"}", "attributes"},
                 {"{\"item_id\":\"i\",\"year\":1,\"attributes\":{\"year\":1}}", "year"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_ok(parse(cases[i].element), &err);
        ck_assert_msg(batch.count == 0 && batch.error_count == 1, "%s was accepted", cases[i].element);
        ck_assert_str_eq(batch.errors[0].field, cases[i].field);
        ck_assert(batch.errors[0].text[0] != '\0');
    }
}
END_TEST

#define NAME_64 "0123456789012345678901234567890123456789012345678901234567890123"

/* What could never be asked for, or never be compared. */
START_TEST(attributes_name_what_is_wrong)
{
    static const struct {
        const char *attributes, *field;
    } cases[] = {{"{\"a\":1,\"price\":1e999,\"b\":2}", "attributes.price"},
                 {"{\"price\":-1e999}", "attributes.price"},
                 {"{\"a\":{\"price\":[1,1e999]},\"b\":1}", "attributes.a"},
                 {"{\"a\":\"x,y\", \"big\" : 123456789012345678901234567890 }", "attributes.big"},
                 {"{\"" NAME_64 "x\":1}", "attributes.0123456789012345678901234567890123456789012345678901"},
                 {"{\"\":1}", "attributes."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char element[400];
        reco_item item = {.item_id = reco__str_of("i"), .attributes = reco__str_of(cases[i].attributes)};
        snprintf(element, sizeof element, "{\"item_id\":\"i\",\"attributes\":%s}", cases[i].attributes);
        test_ok(parse(element), &err);
        ck_assert_msg(batch.count == 0 && batch.error_count == 1, "%s was accepted", element);
        ck_assert_str_eq(batch.errors[0].field, cases[i].field);
        ck_assert_msg(reco__item_check(&item, 3, &err) == (reco_status)batch.errors[0].status, "%s was accepted", element);
        ck_assert_str_eq(err.field, cases[i].field);
        ck_assert_int_eq(err.index, 3);
    }
    test_ok(parse("[{\"item_id\":\"i\",\"" NAME_64 "\":1,\"attributes\":{\"" NAME_64 "y\":1}},{\"item_id\":\"i\",\"" NAME_64 "\":1e308},"
                  "{\"item_id\":\"i\",\"x\":1e309},{\"item_id\":\"i\",\"" NAME_64 "z\":1}]"),
            &err);
    ck_assert_uint_eq(batch.count, 1);
    ck_assert_str_eq(batch.errors[1].field, "x");
    ck_assert_int_eq(strncmp(batch.errors[2].field, NAME_64, 63), 0);
    reco__buf many = {0};
    for (int round = 0; round < 2; round++) {
        reco__buf_reset(&many);
        reco__buf_text(&many, "{\"item_id\":\"i\",\"beside\":0,\"attributes\":{\"a\":0");
        for (int i = 0; i < 254 + round; i++)
            reco__buf_printf(&many, ",\"n%d\":%d", i, i);
        reco__buf_text(&many, "}}");
        test_ok(parse(reco__buf_cstr(&many)), &err);
        ck_assert_uint_eq(batch.error_count, (size_t)round);
        reco_item item = {.item_id = reco__str_of("i")};
        if (round == 0)
            test_ok(reco__item_check(&batch.items[0], -1, &err), &err);
        else
            ck_assert_str_eq(batch.errors[0].field, "attributes");
        reco__buf_reset(&many);
        reco__buf_text(&many, "{\"a\":0");
        for (int i = 0; i < 255 + round; i++)
            reco__buf_printf(&many, ",\"n%d\":%d", i, i);
        reco__buf_text(&many, "}");
        item.attributes = (reco_str){many.data, many.size};
        ck_assert_int_eq(reco__item_check(&item, -1, &err), round == 0 ? RECO_OK : RECO_TOO_LARGE);
    }
    reco__buf_dispose(&many);
}
END_TEST

/* As deep as they may be, the document can still be read. */
START_TEST(attributes_are_as_deep_as_a_document_takes)
{
    for (int depth = RECO__NESTING_MAX - 1; depth <= (int)RECO__NESTING_MAX; depth++) {
        reco__buf deep = {0}, document = {0};
        for (int i = 0; i < depth; i++)
            reco__buf_text(&deep, i < depth - 1 ? "{\"a\":" : "{}");
        for (int i = 0; i < depth - 1; i++)
            reco__buf_byte(&deep, '}');
        reco_item item = {.item_id = reco__str_of("i"), .attributes = {deep.data, deep.size}}, read;
        reco__item_document(&document, &item);
        bool taken = reco__item_check(&item, -1, &err) == RECO_OK;
        ck_assert_int_eq(taken, depth < (int)RECO__NESTING_MAX);
        ck_assert_int_eq(taken, reco__item_read(&read, &arena, item.item_id, (reco_str){document.data, document.size}, &err) == RECO_OK);
        /* The same beside the bag, into which they are gathered; the others of the array do not hide it. */
        reco__buf array = {0};
        reco__buf_printf(&array, "[{\"item_id\":\"first\"},{\"item_id\":\"i\",%.*s,{}]", (int)deep.size - 1, deep.data + 1);
        reco__buf_byte(&array, 0);
        test_ok(parse(array.data), &err);
        ck_assert_uint_eq(batch.count, taken ? 2 : 1);
        ck_assert_uint_eq(batch.error_count, taken ? 1 : 2);
        ck_assert_int_eq(batch.errors[0].index, taken ? 2 : 1);
        ck_assert_str_eq(batch.errors[0].field, taken ? "item_id" : "attributes");
        reco__buf_dispose(&array);
        reco__buf_dispose(&deep);
        reco__buf_dispose(&document);
    }
}
END_TEST

START_TEST(structs_are_checked_like_json)
{
    reco_str one = reco__str_of("x");
    const reco_item good = {.item_id = reco__str_of("i")};
    struct {
        reco_item item;
        const char *field;
    } bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i].item = good;
    test_ok(reco__item_check(&good, -1, &err), &err);
    bad[0].item.flags = 2, bad[0].field = "flags";
    bad[1].item.category_count = 1, bad[1].field = "categories";
    bad[2].item.categories = &one, bad[2].item.category_count = 65, bad[2].field = "categories";
    bad[3].item.attributes = reco__str_of("[1]"), bad[3].field = "attributes";
    bad[4].item.attributes = reco__str_of("{\"a\":}"), bad[4].field = "attributes";
    bad[5].item.title = (reco_str){"\xff", 1}, bad[5].field = "title";
    bad[6].item.reserved = 1, bad[6].field = "reserved";
    bad[7].item.parent = good.item_id, bad[7].field = "parent";
    bad[8].item.parent = (reco_str){"\xff", 1}, bad[8].field = "parent";
    for (size_t i = 0; i < 9; i++) {
        ck_assert_int_ne(reco__item_check(&bad[i].item, 3, &err), RECO_OK);
        ck_assert_str_eq(err.field, bad[i].field);
        ck_assert_int_eq(err.index, 3);
    }
}
END_TEST

START_TEST(damaged_documents_are_corrupt)
{
    static const char *const documents[] = {"", "{", "[]", "7", "{\"title\":7}", "{\"available_from\":\"x\"}"};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        reco_item item;
        ck_assert_int_eq(reco__item_read(&item, &arena, reco__str_of("i"), reco__str_of(documents[i]), &err), RECO_CORRUPT);
        ck_assert_msg(strstr(err.text, "\"i\""), "%s", err.text);
    }
}
END_TEST

START_TEST(available)
{
    reco_item item = {.item_id = reco__str_of("i")};
    ck_assert(reco__item_available(&item, 0));
    item.available_from = 10, item.available_until = 20;
    ck_assert(!reco__item_available(&item, 9) && reco__item_available(&item, 10) && reco__item_available(&item, 19) &&
              !reco__item_available(&item, 20));
    item.flags = RECO_ITEM_HIDDEN;
    ck_assert(!reco__item_available(&item, 15));
}
END_TEST

static reco_status parse_and_read(void *context, reco_error *error) {
    (void)context;
    static const char text[] = "[{\"item_id\":\"i\",\"categories\":[\"x\"],\"year\":1,\"attributes\":{\"z\":1}},{}]";
    reco__arena mine = {0};
    reco__item_batch out;
    reco_item item;
    reco_status status = reco__items_parse(&out, &mine, text, sizeof text - 1, RECO__JSON_AUTO, 10, (reco_str){NULL, 0}, error);
    if (status == RECO_OK)
        status = reco__item_read(&item, &mine, reco__str_of("i"), reco__str_of(FULL), error);
    reco__arena_dispose(&mine);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(parse_and_read, NULL, false), 3);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("items");
    TCase *tests = tcase_create("items");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, json_to_document_and_back);
    tcase_add_test(tests, bad_items_name_their_field);
    tcase_add_test(tests, attributes_name_what_is_wrong);
    tcase_add_test(tests, attributes_are_as_deep_as_a_document_takes);
    tcase_add_test(tests, structs_are_checked_like_json);
    tcase_add_test(tests, damaged_documents_are_corrupt);
    tcase_add_test(tests, available);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
