/* The stream's door: what it refuses, planted faults, allocations that fail, deadlines, accounting, registration. */
#include <stdio.h>
#include <stdlib.h>

#include "stream/registry.h"
#include "stream/stream.h"
#include "support/support.h"

static reco_stream_options options_of(uint32_t partitions) {
    reco_stream_options options = {.struct_size = sizeof options, .partitions = partitions, .url = "memory:", .space = "main", .map_size = 1u << 28};
    return options;
}

static reco__stream *open_stream(uint32_t partitions) {
    reco_stream_options options = options_of(partitions);
    reco_error err = RECO_ERROR_INIT;
    reco__stream *stream;
    test_ok(reco__stream_open(&stream, &options, NULL, &err), &err);
    return stream;
}

static reco_stream_record record_of(uint32_t partition, int64_t received_at) { return (reco_stream_record){partition, 5, "bytes", received_at}; }

/* --- opening -------------------------------------------------------------------------------------------------------------------------------- */

static void refused(const reco_stream_options *options, reco_status expected, const char *field) {
    reco_error err = RECO_ERROR_INIT;
    reco__stream *stream;
    test_status(expected, reco__stream_open(&stream, options, NULL, &err));
    ck_assert_ptr_null(stream);
    ck_assert_str_eq(err.field, field);
    ck_assert(err.text[0] != '\0');
}

START_TEST(bad_options_are_named)
{
    char space[80];
    reco_stream_options options = options_of(4);
    options.url = NULL;
    refused(&options, RECO_INVALID, "url");
    options.url = "nowhere";
    refused(&options, RECO_INVALID, "url");
    options.url = "nothing:x";
    refused(&options, RECO_NOT_FOUND, "url");
    options.url = "lmdb:";
    refused(&options, RECO_INVALID, "url");
    options = options_of(65);
    refused(&options, RECO_INVALID, "partitions");
    options = options_of(0);
    refused(&options, RECO_INVALID, "partitions");
    options = options_of(4);
    options.space = "a/b";
    refused(&options, RECO_INVALID, "space");
    options.space = "";
    refused(&options, RECO_INVALID, "space");
    memset(space, 'a', sizeof space);
    space[65] = '\0';
    options.space = space;
    refused(&options, RECO_INVALID, "space");
    space[64] = '\0';
    reco__stream *stream;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__stream_open(&stream, &options, NULL, &err), &err);
    reco__stream_close(stream);
    options.background = 2;
    refused(&options, RECO_INVALID, "background");
}
END_TEST

START_TEST(a_longer_struct_with_a_tail_is_refused)
{
    struct {
        reco_stream_options options;
        uint64_t later;
    } newer = {options_of(4), 0};
    reco_error err = RECO_ERROR_INIT;
    reco__stream *stream;
    newer.options.struct_size = sizeof newer;
    test_ok(reco__stream_open(&stream, &newer.options, NULL, &err), &err);
    reco__stream_close(stream);
    newer.later = 1;
    test_status(RECO_INVALID, reco__stream_open(&stream, &newer.options, NULL, &err));
}
END_TEST

/* --- arguments ------------------------------------------------------------------------------------------------------------------------------- */

static void append_refused(reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags, const char *key,
                           reco_status expected, const char *field, int32_t index) {
    reco_error err = RECO_ERROR_INIT;
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    test_status(expected, reco__stream_append(NULL, stream, records, count, flags, key, "x", 1, NULL, &err));
    ck_assert_str_eq(err.field, field);
    ck_assert_int_eq(err.index, index);
    test_ok(reco__stream_spans(spans, stream, NULL, &err), &err);
    ck_assert_int_eq(spans[0].end, 0);
}

START_TEST(bad_records_are_named)
{
    reco__stream *stream = open_stream(2);
    reco_stream_record records[3] = {record_of(0, 1000), record_of(1, 1000), record_of(0, 1000)};
    char key[300];
    append_refused(stream, records, 0, 0, NULL, RECO_INVALID, "records", -1);
    append_refused(stream, records, 3, 8, NULL, RECO_INVALID, "flags", -1);
    records[2].partition = 2;
    append_refused(stream, records, 3, 0, NULL, RECO_INVALID, "partition", 2);
    records[2] = record_of(0, 0);
    append_refused(stream, records, 3, 0, NULL, RECO_INVALID, "received_at", 2);
    records[2] = record_of(0, 1000);
    records[1].size = 0;
    append_refused(stream, records, 3, 0, NULL, RECO_INVALID, "data", 1);
    records[1].size = 2u << 20;
    append_refused(stream, records, 3, 0, NULL, RECO_TOO_LARGE, "size", 1);
    records[1] = record_of(1, 1000);
    memset(key, 'k', sizeof key);
    key[299] = '\0';
    append_refused(stream, records, 3, 0, key, RECO_INVALID, "note_key", -1);
    append_refused(stream, records, 3, 0, "", RECO_INVALID, "note_key", -1);
    reco_error err = RECO_ERROR_INIT;
    test_status(RECO_INVALID, reco__stream_read(stream, 2, 0, 1, 1, NULL, NULL, NULL, &err));
    test_status(RECO_INVALID, reco__stream_read(stream, 0, -1, 1, 1, NULL, NULL, NULL, &err));
    test_status(RECO_INVALID, reco__stream_trim(stream, 9, 1, NULL, &err));
    test_status(RECO_INVALID, reco__stream_trim(stream, 0, -1, NULL, &err));
    reco__stream_close(stream);
}
END_TEST

START_TEST(users_have_a_partition_for_life)
{
    reco__stream *stream = open_stream(4);
    unsigned counts[4] = {0};
    for (int i = 0; i < 4000; i++) {
        char user[20];
        int size = snprintf(user, sizeof user, "user-%d", i);
        uint32_t p = reco__stream_partition(stream, user, (size_t)size);
        ck_assert_uint_eq(p, reco__hash64(user, (size_t)size, reco__hash64("main", 4, 0)) % 4);
        counts[p]++;
    }
    for (int p = 0; p < 4; p++) {
        ck_assert_uint_gt(counts[p], 800);
    }
    reco__stream_close(stream);
}
END_TEST

/* --- faults ---------------------------------------------------------------------------------------------------------------------------------- */

static int ignore(void *context, int64_t offset, const void *data, size_t size) {
    (void)context;
    (void)offset;
    (void)data;
    (void)size;
    return 0;
}

static void ignore_value(void *context, const char *name, uint64_t value) {
    ck_assert(name[0] != '\0');
    if (strcmp(name, context) == 0) {
        ck_assert_uint_gt(value, 0);
    }
}

/* Every call of the door once. */
static reco_status use(void *context, reco_error *err) {
    reco_stream_options options = options_of(2);
    reco_stream_record records[2] = {record_of(0, 100000), record_of(1, 90000)};
    reco__stream *stream;
    reco__stream_member *member = NULL;
    reco_stream_span spans[2];
    reco__buf note = {0};
    int64_t offsets[2], ends[2] = {0, 0};
    uint32_t owned[2], count;
    uint8_t owners[2];
    (void)context;
    reco_status status = reco__stream_open(&stream, &options, NULL, err);
    if (status != RECO_OK) {
        return status;
    }
    if ((status = reco__stream_append(offsets, stream, records, 2, 0, "note", "text", 4, NULL, err)) == RECO_OK &&
        (status = reco__stream_read(stream, 0, 0, 10, 1000, ignore, NULL, NULL, err)) == RECO_OK &&
        (status = reco__stream_spans(spans, stream, NULL, err)) == RECO_OK &&
        (status = reco__stream_wait_for(stream, ends, 1000000, NULL, err)) == RECO_OK &&
        (status = reco__stream_note(stream, "note", &note, NULL, err)) == RECO_OK &&
        (status = reco__stream_member_open(&member, stream, NULL, err)) == RECO_OK &&
        (status = reco__stream_member_assign(owned, &count, member, NULL, err)) == RECO_OK &&
        (status = reco__stream_member_owned(owners, member, NULL, err)) == RECO_OK &&
        (status = reco__stream_trim(stream, 0, 1, NULL, err)) == RECO_OK) {
        status = reco__stream_stats(stream, ignore_value, (void *)(uintptr_t) "appended_records", NULL, err);
    }
    reco__buf_dispose(&note);
    reco__stream_member_close(member);
    reco__stream_close(stream);
    return status;
}

START_TEST(every_planted_fault_is_reported)
{
    static const char *const points[] = {"stream.open",
                                         "stream.append",
                                         "stream.wait",
                                         "stream.read",
                                         "stream.spans",
                                         "stream.wait_for",
                                         "stream.note",
                                         "stream.member_open",
                                         "stream.member_assign",
                                         "stream.member_owned",
                                         "stream.trim",
                                         "stream.stats",
                                         "kv.submit",
                                         "kv.commit",
                                         "kv.put",
                                         "kv.get",
                                         "kv.seek",
                                         "kv.cursor",
                                         "kv.delete",
                                         "kv.read_begin",
                                         "kv.write_begin",
                                         "kv.table_open",
                                         "kv.lock_open",
                                         "kv.open"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (uint64_t nth = 1;; nth++) {
            reco_error err = RECO_ERROR_INIT;
            reco__fault_plant(points[i], nth, 0, RECO_IO);
            reco_status status = use(NULL, &err);
            uint64_t fired = reco__fault_plant(NULL, 0, 0, RECO_OK);
            ck_assert_msg(fired ? status != RECO_OK && err.text[0] : status == RECO_OK, "%s %llu: %s", points[i], (unsigned long long)nth,
                          reco_status_name((int32_t)status));
            if (!fired) {
                ck_assert_msg(nth > 1, "%s is never asked", points[i]);
                break;
            }
        }
    }
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    test_memory_install();
    test_every_allocation(use, NULL, false);
    test_memory_restore();
}
END_TEST

START_TEST(a_lost_answer_is_an_error_though_all_is_there)
{
    reco__stream *stream = open_stream(1);
    reco_error err = RECO_ERROR_INIT;
    reco_stream_record record = record_of(0, 1000);
    reco_stream_span span;
    reco__fault_plant("stream.wait", 1, 0, RECO_UNAVAILABLE);
    test_status(RECO_UNAVAILABLE, reco__stream_append(NULL, stream, &record, 1, 0, NULL, NULL, 0, NULL, &err));
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_ok(reco__stream_spans(&span, stream, NULL, &err), &err);
    ck_assert_int_eq(span.end, 1);
    reco__stream_close(stream);
}
END_TEST

START_TEST(deadlines_are_kept)
{
    reco__stream *stream = open_stream(1);
    reco_error err = RECO_ERROR_INIT;
    reco_stream_record record = record_of(0, 1000);
    reco_stream_span span;
    volatile int32_t cancel = 1;
    reco_call late = {.struct_size = sizeof late, .deadline_ns = 1}, cancelled = {.struct_size = sizeof cancelled, .cancel = &cancel};
    test_status(RECO_TIMEOUT, reco__stream_append(NULL, stream, &record, 1, 0, NULL, NULL, 0, &late, &err));
    test_status(RECO_CANCELLED, reco__stream_read(stream, 0, 0, 1, 1, ignore, NULL, &cancelled, &err));
    test_status(RECO_TIMEOUT, reco__stream_trim(stream, 0, 1, &late, &err));
    test_ok(reco__stream_spans(&span, stream, NULL, &err), &err);
    ck_assert_int_eq(span.end, 0);
    reco__stream_close(stream);
}
END_TEST

/* Tickets in flight: waited for in another order than submitted. */
START_TEST(tickets_are_waited_for_in_any_order)
{
    enum { TICKETS = 20 };
    reco__stream *stream = open_stream(2);
    reco_error err = RECO_ERROR_INIT;
    reco_stream_ticket tickets[TICKETS];
    reco_stream_record records[TICKETS];
    for (uint32_t i = 0; i < TICKETS; i++) {
        records[i] = record_of(i % 2, 1000 + i);
        test_ok(reco__stream_submit(&tickets[i], stream, &records[i], 1, 0, NULL, &err), &err);
    }
    for (uint32_t i = TICKETS; i-- > 0;) {
        int64_t offset;
        test_ok(reco__stream_wait(&offset, 1, &tickets[i], stream, NULL, &err), &err);
        ck_assert_int_eq(offset, i / 2);
    }
    reco__stream_close(stream);
}
END_TEST

/* --- registration ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_table_that_lacks_a_function_is_refused)
{
    static reco_stream_backend backend;
    reco_error err = RECO_ERROR_INIT;
    test_status(RECO_INVALID, reco_register_stream(NULL, &err));
    backend = reco__stream_memory;
    backend.scheme = "mine";
    backend.wait = NULL;
    test_status(RECO_INVALID, reco_register_stream(&backend, &err));
    ck_assert_str_eq(err.field, "wait");
    backend.wait = reco__stream_memory.wait;
    backend.append_with_note = NULL;
    test_status(RECO_INVALID, reco_register_stream(&backend, &err));
    ck_assert_str_eq(err.field, "append_with_note");
    backend = reco__stream_memory;
    test_status(RECO_CONFLICT, reco_register_stream(&backend, &err));
    backend.scheme = "Mine";
    test_status(RECO_INVALID, reco_register_stream(&backend, &err));
    ck_assert_str_eq(err.field, "scheme");
    backend.scheme = "mine";
    backend.contract = 2;
    test_status(RECO_INVALID, reco_register_stream(&backend, &err));
    backend.contract = RECO_STREAM_CONTRACT;
    backend.struct_size = 16;
    test_status(RECO_INVALID, reco_register_stream(&backend, &err));
    backend.struct_size = offsetof(reco_stream_backend, dead_letters); /* of before that function was there */
    test_ok(reco_register_stream(&backend, &err), &err);
    test_status(RECO_CONFLICT, reco_register_stream(&backend, &err));
    reco_stream_options options = options_of(3);
    options.url = "mine:";
    reco__stream *stream;
    test_ok(reco__stream_open(&stream, &options, NULL, &err), &err);
    ck_assert_uint_eq(reco__stream_partitions(stream), 3);
    ck_assert(!reco__stream_takes_letters(stream));
    reco_stream_letter letter = {0, "x", 1, "why"};
    test_status(RECO_UNSUPPORTED, reco__stream_dead_letters(stream, 0, &letter, 1, NULL, &err));
    reco__stream_close(stream);
}
END_TEST

/* A backend that answers a number and not a word. */
static reco_status answered;
static reco_status bare_spans(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)spans, (void)store, (void)call, (void)err;
    return answered;
}

START_TEST(a_backend_without_words_is_given_some)
{
    static reco_stream_backend bare;
    static const reco_status given[] = {RECO_UNAVAILABLE, (reco_status)999}, expected[] = {RECO_UNAVAILABLE, RECO_INTERNAL};
    reco_error err = RECO_ERROR_INIT;
    reco_stream_options options = options_of(3);
    reco_stream_span spans[3];
    reco__stream *stream;
    bare = reco__stream_memory;
    bare.scheme = "bare";
    bare.spans = bare_spans;
    options.url = "bare:";
    test_ok(reco_register_stream(&bare, &err), &err);
    test_ok(reco__stream_open(&stream, &options, NULL, &err), &err);
    for (int i = 0; i < 2; i++) {
        answered = given[i];
        test_status(expected[i], reco__stream_spans(spans, stream, NULL, &err));
        ck_assert_int_eq(err.status, expected[i]);
        ck_assert_msg(strstr(err.text, "stream: ") == err.text && strlen(err.text) > 8, "%s", err.text);
    }
    reco__stream_close(stream);
}
END_TEST

START_TEST(a_tick_is_told_from_other_records)
{
    uint8_t tick[RECO_STREAM_TICK_MAX];
    int64_t at = 0;
    size_t size = reco_stream_tick_write(tick, 1700000000123);
    ck_assert_uint_gt(size, 0);
    ck_assert(reco_stream_tick_read(&at, tick, size) == 1 && at == 1700000000123);
    ck_assert(reco_stream_tick_read(NULL, tick, size) == 1);
    ck_assert(reco_stream_tick_read(&at, tick, size - 1) == 0);
    for (size_t i = 0; i < size; i++) {
        tick[i] ^= 1;
        ck_assert(reco_stream_tick_read(&at, tick, size) == 0);
        tick[i] ^= 1;
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stream door");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, bad_options_are_named);
    tcase_add_test(tests, a_longer_struct_with_a_tail_is_refused);
    tcase_add_test(tests, bad_records_are_named);
    tcase_add_test(tests, users_have_a_partition_for_life);
    tcase_add_test(tests, every_planted_fault_is_reported);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, a_lost_answer_is_an_error_though_all_is_there);
    tcase_add_test(tests, deadlines_are_kept);
    tcase_add_test(tests, tickets_are_waited_for_in_any_order);
    tcase_add_test(tests, a_table_that_lacks_a_function_is_refused);
    tcase_add_test(tests, a_backend_without_words_is_given_some);
    tcase_add_test(tests, a_tick_is_told_from_other_records);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
