/* tests/integration/test_export.c - a namespace as lines, and back: the same is learned and the same is known; what is not whole is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "model/envelope.h"
#include "support/engine.h"

static char dir[256], path[300];
static reco_error err;
static reco__buf text; /* of an export */

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/export.ndjson", dir);
}

static void teardown(void) {
    reco__buf_dispose(&text);
    test_dir_remove(dir);
}

static reco_engine *open_named(const char *name, const char *const *settings) {
    char data[300];
    snprintf(data, sizeof data, "%s/%s", dir, name);
    return test_engine_open(data, 0, settings);
}

static void put(reco_engine *engine, uint32_t kind, const char *id, const char *document) {
    reco_record_change change = {.kind = kind, .id = reco__str_of(id), .document = reco__str_of(document)};
    test_ok(reco__records_change(NULL, engine->records, &change, 1, NULL, &err), &err);
}

/* Events of all shapes, what is known in all kinds, valid or not. */
static void fill(reco_engine *engine, int events) {
    char deep[200] = "";
    for (int i = 0; i < 32; i++)
        strcat(deep, i < 31 ? "{\"a\":" : "{}");
    for (int i = 0; i < 31; i++)
        strcat(deep, "}");
    for (int i = 0; i < events; i++) {
        char user[32], item[32], id[32];
        snprintf(user, sizeof user, i % 50 == 0 ? "caf\xc3\xa9 \"%d\" \\\n/" : "u%d", i % 13);
        snprintf(item, sizeof item, "i%d", i * 7 % 31);
        snprintf(id, sizeof id, "e%d", i % 90); /* some twice */
        reco_event event = test_event(user, item, i % 5 == 0 ? "rating" : i % 17 == 0 ? "hide" : "view");
        event.event_id = reco__str_of(id);
        if (i % 40 == 39) { /* takes back the one before */
            snprintf(user, sizeof user, "u%d", (i - 1) % 13);
            snprintf(item, sizeof item, "i%d", (i - 1) * 7 % 31);
            snprintf(id, sizeof id, "e%d", (i - 1) % 90);
            event = test_event(user, item, (i - 1) % 5 == 0 ? "rating" : (i - 1) % 17 == 0 ? "hide" : "view");
            event.event_id = reco__str_of(id);
            event.flags = RECO_EVENT_UNDO;
            test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
            continue;
        }
        event.flags = i % 5 == 0 ? RECO_EVENT_HAS_VALUE : i % 3 == 0 ? RECO_EVENT_HAS_POSITION : 0;
        event.value = i % 2 ? 1e22 : i % 4 ? -0.0 : 0.1 + i;
        event.position = i + 1;
        event.session_id = reco__str_of(i % 2 ? "s\xe2\x82\xac" : "");
        event.properties = reco__str_of(i % 7 == 0   ? "{\"x\" :\n 1.50}"
                                        : i % 7 == 1 ? deep
                                        : i % 7 == 2 ? "{\"big\":123456789012345678,\"z\":\"\\u0000\"}"
                                                     : "");
        test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    put(engine, RECO_RECORD_ITEM, "a/b", "{\"title\":\"\\u00e9 \\\"\",\"parent\":\"p\",\"categories\":[\"x\"],\"attributes\":{\"n\":1.50}}");
    put(engine, RECO_RECORD_ITEM, "b", "{}");
    put(engine, RECO_RECORD_ITEM, "by hand", "{\"title\" :\n\"T\"}");
    put(engine, RECO_RECORD_USER, "u1", "{\"segment\":\"new\"}");
    put(engine, RECO_RECORD_USER, "none", "no JSON\tat all");
    put(engine, RECO_RECORD_MODEL, "m", "\"a text\"");
    put(engine, RECO_RECORD_EXPERIMENT, "e", "{\"state\":\"draft\",\"v\":[1.0,2]}");
    put(engine, RECO_RECORD_KEY, "secret", "{\"key\":\"never told\"}");
}

static int take(void *context, const char *lines, size_t size) {
    reco__buf_add(context, lines, size);
    return size == 0 || lines[size - 1] != '\n'; /* whole lines */
}

static void export(reco_engine *engine, reco_export_result *result) {
    *result = (reco_export_result){.struct_size = sizeof *result};
    reco__buf_reset(&text);
    test_ok(reco_export(result, engine, take, &text, NULL, &err), &err);
    ck_assert_ptr_nonnull(reco__buf_cstr(&text));
}

static void write_file(const char *data, size_t size) {
    FILE *file = fopen(path, "w");
    ck_assert(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static reco_status import(reco_import_result *result, reco_engine *engine) {
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "reco", .paths = paths, .path_count = 1};
    *result = (reco_import_result){.struct_size = sizeof *result};
    err = (reco_error)RECO_ERROR_INIT;
    return reco_import(result, engine, &options, NULL, &err);
}

static void equal(reco_engine *first, reco_engine *second) {
    char one[40], other[40];
    test_engine_hash(one, first);
    test_engine_hash(other, second);
    ck_assert_str_eq(one, other);
    test_engine_verify(second, NULL);
}

/* The lines behind the first, which tells when and from where. */
static char *rest(void) { return strchr(text.data, '\n') + 1; }

static const char *const in_memory[] = {"stream", "memory:", "features", "memory:", "records", "memory:", NULL};

START_TEST(there_and_back)
{
    reco_engine *from = open_named("from", _i ? in_memory : NULL), *to = open_named("to", _i ? NULL : in_memory);
    reco_export_result result;
    reco_import_result imported;
    fill(from, 300);
    export(from, &result);
    ck_assert_uint_eq(result.events, 300);
    ck_assert(result.erasures == 0 && result.items == 3 && result.users == 2 && result.models == 1 && result.experiments == 1);
    ck_assert(result.missing == 0 && result.unreadable == 0 && result.partitions == 4);
    ck_assert_ptr_null(strstr(text.data, "never told"));
    ck_assert_ptr_nonnull(strstr(text.data, "\"undo\":true"));
    char *lines = strdup(rest());
    write_file(text.data, text.size);
    test_ok(import(&imported, to), &err);
    ck_assert(imported.events == 300 && imported.items == 3 && imported.users == 2 && imported.others == 2 && !imported.already);
    ck_assert_str_eq(imported.warning, "");
    equal(from, to);
    export(to, &result);
    ck_assert_str_eq(rest(), lines); /* documents letter by letter, records one by one */
    test_ok(import(&imported, to), &err);
    ck_assert(imported.already && imported.events == 0 && imported.items == 0);
    char *json = NULL;
    test_ok(reco_item_patch(NULL, to, reco__str_of("b"), "{\"title\":\"new\"}", 15, NULL, &err), &err);
    test_ok(import(&imported, to), &err); /* what was changed since stays */
    test_ok(reco_item_get(&json, to, reco__str_of("b"), NULL, &err), &err);
    ck_assert_ptr_nonnull(strstr(json, "new"));
    reco_free(json);
    free(lines);
    reco_close(from);
    reco_close(to);
}
END_TEST

START_TEST(of_nothing)
{
    reco_engine *from = open_named("from", NULL), *to = open_named("to", NULL);
    reco_export_result result;
    reco_import_result imported;
    export(from, &result);
    ck_assert(result.events == 0 && result.ticks == 0 && result.items == 0);
    write_file(text.data, text.size);
    test_ok(import(&imported, to), &err);
    test_ok(import(&imported, to), &err);
    put(from, RECO_RECORD_ITEM, "only", "{}");
    export(from, &result);
    write_file(text.data, text.size);
    test_ok(import(&imported, to), &err);
    ck_assert_uint_eq(imported.items, 1);
    test_status(RECO_CONFLICT, import(&imported, to)); /* there is no note of what holds no record of the stream */
    ck_assert_str_eq(err.field, "records");
    reco_close(from);
    reco_close(to);
}
END_TEST

static size_t line_start(int number) {
    const char *at = text.data;
    for (int i = 1; i < number; i++)
        at = strchr(at, '\n') + 1;
    return (size_t)(at - text.data);
}

/* Cut off anywhere, it is refused; a later import of the whole file goes on from what is in. */
START_TEST(cut_off_and_resumed)
{
    reco_engine *from = open_named("from", in_memory), *to = open_named("to", NULL);
    reco_export_result result;
    reco_import_result imported;
    fill(from, 2600);
    export(from, &result);
    const size_t cuts[] = {0, 10, line_start(2), line_start(3) - 5, line_start(1500), line_start(2300) + 20, text.size - 30};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_file(text.data, cuts[i]);
        test_status(RECO_INVALID, import(&imported, to));
        ck_assert_msg(strstr(err.text, "cut off") || strstr(err.text, "line "), "%s", err.text);
    }
    char *letter = strstr(text.data + line_start(700), "user_id") + 10;
    (*letter)++;
    write_file(text.data, text.size);
    ck_assert_int_ne(import(&imported, to), RECO_OK); /* another user's, or no longer what was imported */
    (*letter)--;
    write_file(text.data, text.size);
    test_ok(import(&imported, to), &err);
    ck_assert_msg(imported.events > 0 && imported.events < 1600, "%llu events were missing", (unsigned long long)imported.events);
    ck_assert_uint_eq(imported.items, 3);
    equal(from, to);
    test_ok(import(&imported, to), &err);
    ck_assert(imported.already);
    write_file(text.data, line_start(900));
    ck_assert_int_ne(import(&imported, to), RECO_OK);
    reco_close(from);
    reco_close(to);
}
END_TEST

/* An altered line in the part that is in already. */
START_TEST(altered_behind)
{
    reco_engine *from = open_named("from", in_memory), *to = open_named("to", NULL);
    reco_export_result result;
    reco_import_result imported;
    fill(from, 1300);
    export(from, &result);
    write_file(text.data, line_start(1250));
    test_status(RECO_INVALID, import(&imported, to));
    char *digit = strstr(text.data + line_start(500), "\"item_id\":\"i") + 12;
    *digit = *digit == '1' ? '2' : '1';
    write_file(text.data, text.size);
    test_status(RECO_CONFLICT, import(&imported, to));
    ck_assert_ptr_nonnull(strstr(err.text, "altered"));
    reco_close(from);
    reco_close(to);
}
END_TEST

static void with_line(const char *line) {
    reco__buf made = {0};
    size_t at = line_start(4);
    reco__buf_add(&made, text.data, at);
    reco__buf_text(&made, line);
    reco__buf_byte(&made, '\n');
    reco__buf_add(&made, text.data + at, text.size - at);
    write_file(made.data, made.size);
    reco__buf_dispose(&made);
}

START_TEST(bad_lines)
{
    static const struct {
        const char *line, *field;
        reco_status status;
    } cases[] = {
        {"{", "", RECO_INVALID},
        {"[]", "", RECO_INVALID},
        {"{}", "type", RECO_INVALID},
        {"{\"type\":7}", "type", RECO_INVALID},
        {"{\"type\":\"export\",\"version\":1}", "type", RECO_INVALID},
        {"{\"type\":\"wish\"}", "type", RECO_INVALID},
        {"{\"type\":\"tick\",\"partition\":4,\"received_at\":1}", "partition", RECO_INVALID},
        {"{\"type\":\"tick\",\"partition\":0}", "received_at", RECO_INVALID},
        {"{\"type\":\"tick\",\"partition\":0,\"received_at\":0}", "received_at", RECO_INVALID},
        {"{\"type\":\"tick\",\"partition\":0,\"received_at\":1e3}", "received_at", RECO_INVALID},
        {"{\"type\":\"tick\",\"partition\":0,\"received_at\":99999999999999}", "received_at", RECO_TOO_EARLY},
        {"{\"type\":\"tick\",\"partition\":0,\"received_at\":1,\"x\":1}", "x", RECO_INVALID},
        {"{\"type\":\"erase\",\"partition\":0,\"received_at\":1}", "user_id", RECO_INVALID},
        {"{\"type\":\"event\",\"partition\":0,\"received_at\":1,\"user_id\":\"u\",\"event_type\":\"view\"}", "item_id", RECO_INVALID},
        {"{\"type\":\"event\",\"partition\":0,\"received_at\":1,\"user_id\":7,\"item_id\":\"i\",\"event_type\":\"view\"}", "user_id", RECO_INVALID},
        {"{\"type\":\"event\",\"partition\":0,\"received_at\":1,\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"value\":\"4\"}",
         "value", RECO_INVALID},
        {"{\"type\":\"event\",\"partition\":0,\"received_at\":1,\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"position\":0}",
         "position", RECO_INVALID},
        {"{\"type\":\"event\",\"partition\":0,\"received_at\":1,\"user_id\":\"u\",\"item_id\":\"\\u0000\",\"event_type\":\"view\"}", "item_id",
         RECO_INVALID},
        {"{\"type\":\"item\",\"id\":\"x\",\"document\":{}}", "type", RECO_INVALID}, /* the line behind it is of the stream */
        {"{\"type\":\"item\",\"id\":\"\",\"document\":{}}", "id", RECO_INVALID},
        {"{\"type\":\"item\",\"id\":\"x\"}", "document", RECO_INVALID},
        {"{\"type\":\"item\",\"id\":\"x\",\"document\":{\"title\":7}}", "title", RECO_INVALID},
        {"{\"type\":\"user\",\"id\":\"x\",\"document\":{\"segment\":[]}}", "segment", RECO_INVALID},
        {"{\"type\":\"item\",\"id\":\"x\",\"document\":{},\"y\":1}", "y", RECO_INVALID},
        {"{\"type\":\"end\",\"events\":99}", "events", RECO_INVALID},
        {"{\"type\":\"key\",\"id\":\"x\",\"document\":{}}", "type", RECO_INVALID}};
    reco_engine *from = open_named("from", in_memory);
    reco_export_result result;
    reco_import_result imported;
    fill(from, 20);
    export(from, &result);
    reco_close(from);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "to%zu", i);
        reco_engine *to = open_named(name, in_memory);
        with_line(cases[i].line);
        reco_status status = import(&imported, to);
        ck_assert_msg(status == cases[i].status && strcmp(err.field, cases[i].field) == 0, "%s: %s, %s: %s", cases[i].line, reco_status_name(status),
                      err.field, err.text);
        ck_assert_msg(strstr(err.text, "line 4") || strstr(err.text, "line 5"), "%s", err.text);
        reco_close(to);
    }
    /* a user in a partition that is not theirs */
    reco_engine *to = open_named("to", in_memory);
    char line[200];
    uint32_t own = reco__stream_partition(to->stream, "u", 1);
    snprintf(line, sizeof line, "{\"type\":\"erase\",\"partition\":%u,\"received_at\":1,\"user_id\":\"u\"}", (own + 1) % 4);
    with_line(line);
    test_status(RECO_INVALID, import(&imported, to));
    ck_assert_str_eq(err.field, "partition");
    reco_close(to);
    to = open_named("to", in_memory);
    snprintf(line, sizeof line, "{\"type\":\"erase\",\"partition\":%u,\"received_at\":1,\"user_id\":\"u\"}", own);
    with_line(line); /* good, but not counted */
    test_status(RECO_INVALID, import(&imported, to));
    ck_assert_str_eq(err.field, "erasures");
    reco__buf_text(&text, "{\"type\":\"tick\",\"partition\":0,\"received_at\":1}\n");
    write_file(text.data, text.size);
    reco_close(to);
    to = open_named("to", in_memory);
    test_status(RECO_INVALID, import(&imported, to));
    ck_assert_ptr_nonnull(strstr(err.text, "behind the last line"));
    reco_close(to);
}
END_TEST

/* Replaces the first `old` of the first line. */
static void with_header(const char *old, const char *new) {
    reco__buf made = {0};
    char *at = strstr(text.data, old);
    ck_assert(at && at < rest());
    reco__buf_add(&made, text.data, (size_t)(at - text.data));
    reco__buf_text(&made, new);
    reco__buf_text(&made, at + strlen(old));
    write_file(made.data, made.size);
    reco__buf_dispose(&made);
}

START_TEST(places_that_do_not_fit)
{
    static const char *const eight[] = {"partitions", "8", NULL}, *const other[] = {"namespace", "other", NULL},
                             *const fewer[] = {"coview.kept", "3", NULL};
    reco_engine *from = open_named("from", in_memory), *to = open_named("to", NULL);
    reco_export_result result;
    reco_import_result imported;
    fill(from, 30);
    export(from, &result);
    with_header("\"version\":1", "\"version\":2,\"new\":true");
    test_status(RECO_NEWER, import(&imported, to));
    with_header("\"format\":\"reco\"", "\"format\":\"csv\"");
    test_status(RECO_INVALID, import(&imported, to));
    with_header("\"library\"", "\"libary\"");
    test_status(RECO_INVALID, import(&imported, to));
    write_file(text.data, text.size);
    put(to, RECO_RECORD_USER, "u", "{}");
    test_status(RECO_CONFLICT, import(&imported, to));
    ck_assert_str_eq(err.field, "records");
    reco_close(to);
    to = open_named("with_events", NULL);
    reco_event event = test_event("u", "i", "view");
    test_ok(reco_ingest(NULL, to, &event, 1, sizeof event, NULL, NULL, &err), &err);
    test_status(RECO_CONFLICT, import(&imported, to));
    ck_assert_str_eq(err.field, "stream");
    reco_close(to);
    to = open_named("partitions", eight);
    test_status(RECO_REFUSED, import(&imported, to));
    ck_assert_str_eq(err.field, "partitions");
    reco_close(to);
    to = open_named("namespace", other);
    test_status(RECO_REFUSED, import(&imported, to));
    ck_assert_str_eq(err.field, "namespace");
    reco_close(to);
    to = open_named("settings", fewer);
    test_ok(import(&imported, to), &err);
    ck_assert_msg(strstr(imported.warning, "coview.kept"), "%s", imported.warning);
    with_header("\"created_at\":\"2", "\"created_at\":\"3"); /* of another export */
    test_status(RECO_CONFLICT, import(&imported, to));
    ck_assert_str_eq(err.field, "path");
    const char *none[] = {"/nowhere/at/all"};
    reco_import_options options = {.struct_size = sizeof options, .format = "reco", .paths = none, .path_count = 1};
    test_status(RECO_NOT_FOUND, reco_import(NULL, to, &options, NULL, &err));
    options.flags = RECO_IMPORT_SHIFT_TIME;
    test_status(RECO_INVALID, reco_import(NULL, to, &options, NULL, &err));
    reco_close(to);
    reco_close(from);
}
END_TEST

static int stop(void *context, const char *lines, size_t size) {
    (void)context, (void)lines, (void)size;
    return 1;
}

/* This release writes none and cannot learn them; they are told nonetheless. */
START_TEST(an_erasure)
{
    reco_engine *engine = open_named("from", in_memory);
    reco_export_result result;
    fill(engine, 5);
    reco__buf bytes = {0};
    reco_str gone = reco__str_of("u3");
    int64_t now = reco__now_ms();
    reco__envelope_erase(&bytes, gone, now);
    reco_stream_record erase = {reco__stream_partition(engine->stream, gone.data, gone.size), (uint32_t)bytes.size, bytes.data, now};
    test_ok(reco__stream_append(NULL, engine->stream, &erase, 1, 0, NULL, NULL, 0, NULL, &err), &err);
    reco__buf_dispose(&bytes);
    export(engine, &result);
    ck_assert(result.erasures == 1 && result.events == 5);
    ck_assert_ptr_nonnull(strstr(text.data, "\"user_id\":\"u3\"}\n"));
    reco_close(engine);
}
END_TEST

START_TEST(who_takes_may_stop)
{
    reco_engine *from = open_named("from", in_memory);
    fill(from, 10);
    test_status(RECO_CANCELLED, reco_export(NULL, from, stop, NULL, NULL, &err));
    test_status(RECO_INVALID, reco_export(NULL, from, NULL, NULL, NULL, &err));
    reco_export_result small = {.struct_size = 4};
    test_status(RECO_INVALID, reco_export(&small, from, take, &text, NULL, &err));
    reco_close(from);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("export");
    TCase *tests = tcase_create("export");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, there_and_back, 0, 2);
    tcase_add_test(tests, of_nothing);
    tcase_add_test(tests, cut_off_and_resumed);
    tcase_add_test(tests, altered_behind);
    tcase_add_test(tests, bad_lines);
    tcase_add_test(tests, places_that_do_not_fit);
    tcase_add_test(tests, an_erasure);
    tcase_add_test(tests, who_takes_may_stop);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
