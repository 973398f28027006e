/* Events from JSON: what is accepted, what is refused, and how precisely that is said. */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "model/elements.h"
#include "model/event.h"
#include "model/item.h"
#include "support/support.h"

static const reco__event_type TYPES[] = {{"view", 1, 0, 0}, {"rating", 1, RECO__TYPE_MIN_VALUE, 4}, {"hide", 0, RECO__TYPE_HIDES, 0}};
enum { TYPE_COUNT = 3 };

static reco__arena arena;
static reco__event_batch batch;
static reco_error err;

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }

static void teardown(void) { reco__arena_dispose(&arena); }

static reco_status parse_as(const char *text, int form) {
    err = (reco_error)RECO_ERROR_INIT;
    return reco__events_parse(&batch, &arena, text, strlen(text), form, 100, TYPES, TYPE_COUNT, &err);
}

static reco_status parse(const char *text) { return parse_as(text, RECO__JSON_AUTO); }

static void ck_str(reco_str got, const char *expected) {
    ck_assert_msg(reco__str_equal(got, reco__str_of(expected)), "expected %s, got %.*s", expected, (int)got.size, got.data ? got.data : "");
}

START_TEST(one_object_with_everything)
{
    test_ok(
        parse(
            " {\"user_id\":\"ann\",\"item_id\":\"caf\\u00e9\",\"event_type\":\"rating\",\"timestamp\":\"2026-01-31T10:00:00.5+01:00\",\"value\":4.5,"
            "\"session_id\":\"s\",\"event_id\":\"e\",\"recommendation_id\":\"r\",\"position\":3,\"properties\":{\"device\": \"tv\"}}\n"),
        &err);
    ck_assert_uint_eq(batch.total, 1);
    ck_assert_uint_eq(batch.count, 1);
    ck_assert_uint_eq(batch.error_count, 0);
    const reco_event *event = batch.events;
    ck_str(event->user_id, "ann");
    ck_str(event->item_id, "caf\xc3\xa9");
    ck_str(event->event_type, "rating");
    ck_str(event->session_id, "s");
    ck_str(event->event_id, "e");
    ck_str(event->recommendation_id, "r");
    ck_str(event->properties, "{\"device\":\"tv\"}");
    ck_assert_int_eq(event->timestamp, 1769850000500);
    ck_assert(event->value == 4.5);
    ck_assert_int_eq(event->position, 3);
    ck_assert_uint_eq(event->flags, RECO_EVENT_HAS_VALUE | RECO_EVENT_HAS_POSITION);
}
END_TEST

#define REQUIRED "\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\""

START_TEST(null_is_absent)
{
    test_ok(parse("{" REQUIRED ",\"value\":null,\"position\":null,\"timestamp\":null,\"session_id\":null,\"properties\":null}"), &err);
    ck_assert_uint_eq(batch.count, 1);
    ck_assert_uint_eq(batch.events->flags, 0);
    ck_assert_int_eq(batch.events->timestamp, 0);
    ck_assert_uint_eq(batch.events->properties.size, 0);
}
END_TEST

START_TEST(unknown_fields_become_properties)
{
    test_ok(parse("{\"n\" : [1, 2.50, 1e3],\"a\\u0062\":\"x \\\" y\"," REQUIRED "}"), &err);
    ck_str(batch.events->properties, "{\"n\":[1,2.50,1e3],\"a\\u0062\":\"x \\\" y\"}");
    test_ok(parse("{\"color\":\"red\"," REQUIRED ",\"properties\" : { \"size\" : 12345678901234567 }, \"last\" : { } }"), &err);
    ck_str(batch.events->properties, "{\"size\":12345678901234567,\"color\":\"red\",\"last\":{}}");
    test_ok(parse("{\"color\":\"red\"," REQUIRED ",\"properties\":{}}"), &err);
    ck_str(batch.events->properties, "{\"color\":\"red\"}");
    test_ok(parse("{" REQUIRED ",\"properties\":{}}"), &err);
    ck_str(batch.events->properties, "{}");
}
END_TEST

/* Each is rejected alone, naming the field and a part of the text. */
START_TEST(bad_elements_name_their_field)
{
    static const struct {
        const char *element, *field, *text;
    } cases[] = {
        {"{\"item_id\":\"i\",\"event_type\":\"view\"}", "user_id", "required"},
        {"{\"user_id\":\"\",\"item_id\":\"i\",\"event_type\":\"view\"}", "user_id", "required"},
        {"{\"user_id\":\"u\",\"event_type\":\"view\"}", "item_id", "required"},
        {"{\"user_id\":\"u\",\"item_id\":\"i\"}", "event_type", "required"},
        {"{\"user_id\":5,\"item_id\":\"i\",\"event_type\":\"view\"}", "user_id", "string"},
        {"{\"user_id\":\"a\\u0000b\",\"item_id\":\"i\",\"event_type\":\"view\"}", "user_id", ""},
        {"{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"buy\"}", "event_type", "\"buy\" is not a known type; known are view, rating, hide"},
        {"{" REQUIRED ",\"timestamp\":-1}", "timestamp", "0 and 253402300799999"},
        {"{" REQUIRED ",\"timestamp\":253402300800000}", "timestamp", "0 and 253402300799999"},
        {"{" REQUIRED ",\"timestamp\":1.5}", "timestamp", "RFC 3339"},
        {"{" REQUIRED ",\"timestamp\":\"2026-01-31T10:00:00\"}", "timestamp", "offset"},
        {"{" REQUIRED ",\"timestamp\":true}", "timestamp", "RFC 3339"},
        {"{" REQUIRED ",\"timestamp\":99999999999999999999}", "timestamp", "too big"},
        {"{" REQUIRED ",\"value\":\"4\"}", "value", "number or null"},
        {"{" REQUIRED ",\"value\":1e999}", "value", "overflow"},
        {"{" REQUIRED ",\"position\":0}", "position", "1 and 1000000"},
        {"{" REQUIRED ",\"position\":1000001}", "position", "1 and 1000000"},
        {"{" REQUIRED ",\"position\":1.0}", "position", "integer"},
        {"{" REQUIRED ",\"properties\":[]}", "properties", "object"},
        {"{" REQUIRED ",\"event_id\":\"e\",\"undo\":1}", "undo", "true or false"},
        {"{" REQUIRED ",\"undo\":true}", "event_id", "takes back"},
        {"{" REQUIRED ",\"color\":1,\"properties\":{\"color\":2}}", "color", "beside and inside"},
        {"{" REQUIRED ",\"user_id\":\"v\"}", "user_id", "duplicate"},
        {"{" REQUIRED ",\"x\":{\"a\":1,\"a\":2}}", "x.a", "duplicate"},
        {"{" REQUIRED ",\"x\":\"\xff\"}", "x", "line 1, column"},
        {"{" REQUIRED ",\"x\":\"\\ud800\"}", "x", "invalid Unicode"},
        {"{" REQUIRED ",\"x\":\"\\ud800\\u0041\"}", "x", "invalid Unicode"},
        {"{" REQUIRED ",\"\\udc00\":1}", "\\udc00", "invalid Unicode"},
        {"\"\\ud800\"", "", "invalid Unicode"},
        {"7", "", "object"},
        {"[1]", "", "object"},
        {"\"x\"", "", "object"},
        {"null", "", "object"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        snprintf(text, sizeof text, "[{" REQUIRED "},%s , {" REQUIRED "}]", cases[i].element);
        test_ok(parse(text), &err);
        ck_assert_uint_eq(batch.total, 3);
        ck_assert_msg(batch.count == 2 && batch.error_count == 1, "%s: %zu accepted", cases[i].element, batch.count);
        ck_assert_int_eq(batch.index[0], 0);
        ck_assert_int_eq(batch.index[1], 2);
        const reco_error *error = batch.errors;
        ck_assert_int_eq(error->index, 1);
        ck_assert_msg(strcmp(error->field, cases[i].field) == 0, "%s: field is '%s'", cases[i].element, error->field);
        ck_assert_msg(error->text[0] && strstr(error->text, cases[i].text), "%s: text is '%s'", cases[i].element, error->text);
    }
}
END_TEST

START_TEST(text_that_is_not_json)
{
    static const struct {
        const char *text, *part;
    } cases[] = {{"", "line 1, column 1"},
                 {" \n ", "blank"},
                 {"[", "does not end"},
                 {"[{" REQUIRED "}", "does not end"},
                 {"[{" REQUIRED "},]", "missing"},
                 {"[,{" REQUIRED "}]", "missing"},
                 {"[{" REQUIRED "} {" REQUIRED "}]", "expected ','"},
                 {"[{" REQUIRED "}] x", "after the array"},
                 {"[{" REQUIRED "},\n {\"a\" 1}]", "line 2, column"},
                 {"{\"a\":", "line 1"},
                 {"{" REQUIRED, "line 1"},
                 {"nonsense", "line 1"},
                 {"]", "line 1"},
                 {"[{\"a\":[}]", ""},
                 {"[\"abc]", "does not end"},
                 {"[1 2]", "expected"},
                 {"{" REQUIRED "} x", ""},
                 {"[\"a\\", "does not end"},
                 {"}", "line 1"},
                 {"[{]}]", ""},
                 {"[{" REQUIRED ",\"x\":\"\\ud80\"}]", "line 1"},
                 {"[:]", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco_status status = parse(cases[i].text);
        if (strcmp(cases[i].text, "{" REQUIRED "} x") == 0) { /* read as lines: its only line is bad */
            ck_assert_int_eq(status, RECO_INVALID);
            continue;
        }
        ck_assert_msg(status == RECO_INVALID, "%s gave %s", cases[i].text, reco_status_name(status));
        ck_assert_msg(err.text[0] && strstr(err.text, cases[i].part), "%s: %s", cases[i].text, err.text);
        ck_assert_int_eq(err.index, -1);
        ck_assert_uint_eq(batch.count + batch.total, 0);
    }
}
END_TEST

START_TEST(zero_bytes_are_not_json)
{
    static const char array[] = "[{" REQUIRED ",\"value\":2\0}]", lines[] = "{" REQUIRED ",\"value\":2\0}\n{" REQUIRED "}";
    test_status(RECO_INVALID, reco__events_parse(&batch, &arena, array, sizeof array - 1, RECO__JSON_AUTO, 10, TYPES, TYPE_COUNT, &err));
    ck_assert_msg(strstr(err.text, "line 1, column") && strstr(err.text, "zero byte"), "%s", err.text);
    test_ok(reco__events_parse(&batch, &arena, lines, sizeof lines - 1, RECO__JSON_NDJSON, 10, TYPES, TYPE_COUNT, &err), &err);
    ck_assert_uint_eq(batch.count, 1);
    ck_assert_uint_eq(batch.error_count, 1);
}
END_TEST

START_TEST(empty_array_is_fine)
{
    test_ok(parse(" [ ] "), &err);
    ck_assert_uint_eq(batch.total, 0);
}
END_TEST

START_TEST(lines)
{
    static const char text[] = "{" REQUIRED "}\r\n\n{\"user_id\":\n{" REQUIRED ",\"value\":2}\n{\"user_id\":\"u\"}";
    test_ok(parse_as(text, RECO__JSON_NDJSON), &err);
    ck_assert_uint_eq(batch.total, 4);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert_int_eq(batch.index[0], 0);
    ck_assert_int_eq(batch.index[1], 3);
    ck_assert_uint_eq(batch.error_count, 2);
    ck_assert_int_eq(batch.errors[0].index, 2);
    ck_assert_msg(strstr(batch.errors[0].text, "line 3"), "%s", batch.errors[0].text);
    ck_assert_int_eq(batch.errors[1].index, 4);
    test_ok(parse("{" REQUIRED "}\n{" REQUIRED "}\n"), &err); /* lines are recognised */
    ck_assert_uint_eq(batch.count, 2);
    test_ok(parse("{\n " REQUIRED "\n}\n"), &err); /* and so is one object on several */
    ck_assert_uint_eq(batch.count, 1);
    ck_assert_int_eq(parse_as("x\n{\ny", RECO__JSON_NDJSON), RECO_INVALID);
    ck_assert_msg(strstr(err.text, "line 1"), "%s", err.text);
    test_ok(parse_as("{}\nx\n", RECO__JSON_NDJSON), &err); /* one can be read, so the text as a whole can */
    ck_assert_uint_eq(batch.error_count, 2);
}
END_TEST

static char *repeat(char *at, const char *text, int times) {
    for (; times > 0; times--) {
        memcpy(at, text, strlen(text));
        at += strlen(text);
    }
    return at;
}

START_TEST(limits)
{
    static char text[100000];
    char *at;
    for (int deep = 31; deep <= 3000; deep = deep == 31 ? 32 : 3000) { /* the event itself is one level */
        at = repeat(text, "{" REQUIRED ",\"x\":", 1);
        at = repeat(at, "[", deep);
        at = repeat(at, "]", deep);
        strcpy(at, "}");
        test_ok(parse(text), &err);
        ck_assert_msg((batch.count == 1) == (deep == 31), "%d levels", deep);
        if (deep > 31)
            ck_assert_msg(strstr(batch.errors[0].text, "nested deeper than 32"), "%s", batch.errors[0].text);
        if (deep == 3000)
            break;
    }
    for (int size = 256; size <= 257; size++) {
        at = repeat(text, "{\"item_id\":\"i\",\"event_type\":\"view\",\"user_id\":\"", 1);
        at = repeat(at, "x", size);
        strcpy(at, "\"}");
        test_ok(parse(text), &err);
        ck_assert_uint_eq(batch.count, size == 256);
        if (size == 257)
            ck_assert_str_eq(batch.errors[0].field, "user_id");
    }
    for (int size = 16384; size <= 16385; size++) {
        at = repeat(text, "{" REQUIRED ",\"x\":\"", 1);
        at = repeat(at, "y", size - 8);
        strcpy(at, "\"}");
        test_ok(parse(text), &err);
        ck_assert_uint_eq(batch.count, size == 16384);
        if (size == 16385)
            ck_assert_str_eq(batch.errors[0].field, "properties");
    }
    at = repeat(text, "[", 1);
    at = repeat(at, "{},", 100);
    strcpy(at, "{}]");
    ck_assert_int_eq(parse(text), RECO_TOO_LARGE);
    strcpy(at - 1, "]");
    test_ok(parse(text), &err);
    ck_assert_uint_eq(batch.error_count, 100);
}
END_TEST

START_TEST(unknown_type_lists_what_fits)
{
    reco__event_type types[RECO__EVENT_TYPES_MAX];
    for (size_t i = 0; i < RECO__EVENT_TYPES_MAX; i++)
        snprintf(types[i].name, sizeof types[i].name, "a-rather-long-name-of-a-type-%zu", i);
    reco_event event = {.user_id = reco__str_of("u"), .item_id = reco__str_of("i"), .event_type = reco__str_of("x")};
    ck_assert_int_eq(reco__event_check(&event, 7, types, RECO__EVENT_TYPES_MAX, &err), RECO_INVALID);
    ck_assert_int_eq(err.index, 7);
    ck_assert_msg(strstr(err.text, "type-0, ") && strstr(err.text, ", ..."), "%s", err.text);
    test_ok(reco__event_check(&event, -1, NULL, 0, &err), &err);
}
END_TEST

START_TEST(structs_are_checked_like_json)
{
    const reco_event good = {.user_id = reco__str_of("u"), .item_id = reco__str_of("i"), .event_type = reco__str_of("view")};
    static const struct {
        const char *properties;
        bool fine;
    } cases[] = {{"{}", true},
                 {" {\"a\":{}} ", true},
                 {"{", false},
                 {"[]", false},
                 {"{} {}", false},
                 {"{\"a\":1,\"a\":1}", false},
                 {"{\"\xc0\x80\":1}", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco_event event = good;
        event.properties = reco__str_of(cases[i].properties);
        ck_assert_msg((reco__event_check(&event, -1, TYPES, TYPE_COUNT, &err) == RECO_OK) == cases[i].fine, "%s", cases[i].properties);
        if (!cases[i].fine)
            ck_assert_str_eq(err.field, "properties");
    }
    struct {
        reco_event event;
        const char *field;
    } bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i].event = good;
    bad[0].event.flags = 8, bad[0].field = "flags";
    bad[1].event.flags = RECO_EVENT_HAS_VALUE, bad[1].event.value = NAN, bad[1].field = "value";
    bad[2].event.flags = RECO_EVENT_HAS_POSITION, bad[2].field = "position";
    bad[3].event.timestamp = -1, bad[3].field = "timestamp";
    bad[4].event.session_id = (reco_str){"\xed\xa0\x80", 3}, bad[4].field = "session_id";
    bad[5].event.event_id = (reco_str){NULL, 3}, bad[5].field = "event_id";
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(reco__event_check(&bad[i].event, -1, TYPES, TYPE_COUNT, &err), RECO_INVALID);
        ck_assert_str_eq(err.field, bad[i].field);
    }
}
END_TEST

/* --- nesting, on a thread whose stack does not bear a parser that goes down with it ------------------------------------------------------- */

enum { DEEP = 100000 };

static char deep_text[2 * DEEP + 200];

/* What is nested `depth` deep as an element, without the braces around it; unless `closed`, the second half is missing. */
static void nest(const char *before, const char *name, int depth, bool closed, const char *after) {
    char *at = repeat(deep_text, before, 1);
    at = repeat(at, name, 1);
    at = repeat(at, "[", depth);
    at = repeat(at, "]", closed ? depth : 0);
    *repeat(at, after, 1) = 0;
}

static reco_status read_items(reco__item_batch *out) {
    return reco__items_parse(out, &arena, deep_text, strlen(deep_text), RECO__JSON_AUTO, 10, (reco_str){NULL, 0}, &err);
}

static const char *too_deep(int form, const char *before, const char *after, int depth) {
    nest(before, "\"x\":", depth, true, after);
    if (parse_as(deep_text, form) != RECO_OK || batch.error_count != 1 || !strstr(batch.errors[0].text, "nested deeper than 32"))
        return before;
    return NULL;
}

/* Returns what went wrong. */
static const char *try_depth(int depth) {
    reco__item_batch items;
    const char *bad = too_deep(RECO__JSON_AUTO, "[{" REQUIRED ",", "}]", depth);
    bad = bad ? bad : too_deep(RECO__JSON_AUTO, "{" REQUIRED ",", "}", depth);
    bad = bad ? bad : too_deep(RECO__JSON_NDJSON, "{" REQUIRED ",", "}\n{" REQUIRED "}", depth);
    bad = bad ? bad : too_deep(RECO__JSON_AUTO, "[{" REQUIRED ",\"properties\":{", "}}]", depth);
    if (bad)
        return bad;
    nest("[", "", depth + 1, true, "]");
    if (parse(deep_text) != RECO_OK || batch.error_count != 1 || !strstr(batch.errors[0].text, "nested deeper"))
        return "an array as the only element";
    nest("", "", depth, false, "");
    if (parse(deep_text) != RECO_INVALID)
        return "an array without end";
    nest("[{\"item_id\":\"i\",\"attributes\":{", "\"x\":", depth, true, "}}]");
    if (read_items(&items) != RECO_OK || items.error_count != 1 || !strstr(items.errors[0].text, "nested deeper"))
        return "an item";
    nest("{", "\"x\":", depth, true, "}");
    reco_str text = {deep_text, strlen(deep_text)};
    if (reco__json_check_object(text, sizeof deep_text, -1, "properties", &err) != RECO_INVALID || !strstr(err.text, "nested deeper"))
        return "properties of a struct";
    text.size -= (size_t)depth + 1;
    return reco__json_check_object(text, sizeof deep_text, -1, "properties", &err) == RECO_INVALID ? NULL : "properties without end";
}

static void *try_depths(void *context) {
    static const int depths[] = {32, 1000, 2000, DEEP}; /* the object around them makes one more */
    for (size_t i = 0; i < sizeof depths / sizeof *depths && !*(const char **)context; i++)
        *(const char **)context = try_depth(depths[i]);
    return NULL;
}

START_TEST(nesting_needs_no_stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    const char *wrong = NULL;
    size_t size = PTHREAD_STACK_MIN > 65536 ? (size_t)PTHREAD_STACK_MIN : 65536;
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, size), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, try_depths, &wrong), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    ck_assert_msg(!wrong, "%s", wrong);
    nest("[{" REQUIRED ",", "\"x\":", 31, true, "}]"); /* the deepest that is allowed */
    test_ok(parse(deep_text), &err);
    ck_assert_uint_eq(batch.count, 1);
}
END_TEST

static reco_status parse_some(void *context, reco_error *error) {
    const char *text = context;
    reco__arena mine = {0};
    reco__event_batch out;
    reco_status status = reco__events_parse(&out, &mine, text, strlen(text), RECO__JSON_AUTO, 100, TYPES, TYPE_COUNT, error);
    reco__arena_dispose(&mine);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    static char text[8000];
    char *at = repeat(text, "[", 1);
    at = repeat(at, "{" REQUIRED ",\"x\":1,\"properties\":{\"y\":2}},{},", 40);
    strcpy(at, "{}]");
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(parse_some, text, false), 3);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("events");
    TCase *tests = tcase_create("events");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, one_object_with_everything);
    tcase_add_test(tests, null_is_absent);
    tcase_add_test(tests, unknown_fields_become_properties);
    tcase_add_test(tests, bad_elements_name_their_field);
    tcase_add_test(tests, text_that_is_not_json);
    tcase_add_test(tests, zero_bytes_are_not_json);
    tcase_add_test(tests, empty_array_is_fine);
    tcase_add_test(tests, lines);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, nesting_needs_no_stack);
    tcase_add_test(tests, unknown_type_lists_what_fits);
    tcase_add_test(tests, structs_are_checked_like_json);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
