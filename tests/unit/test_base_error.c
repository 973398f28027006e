/* Statuses, errors, growing structs, the call context, the log and planted faults. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/base.h"
#include "support/support.h"

START_TEST(statuses_come_from_one_table)
{
    ck_assert_str_eq(reco_status_name(RECO_TOO_LATE), "TOO_LATE");
    ck_assert_str_eq(reco_status_text(RECO_OK), "ok");
    ck_assert_int_eq(reco_status_http(RECO_FULL), 507);
    ck_assert_int_eq(reco_status_retriable(RECO_STALE), 1);
    ck_assert_int_eq(reco_status_retriable(RECO_CORRUPT), 0);
    ck_assert_str_eq(reco_status_text(9999), "unknown status");
    ck_assert_str_eq(reco_status_name(-1), "UNKNOWN");
    ck_assert_int_eq(reco_status_http(9999), 500);
    ck_assert_int_eq(reco_status_retriable(9999), 0);
}
END_TEST

START_TEST(a_failure_fills_the_error)
{
    reco_error err = RECO_ERROR_INIT;

    ck_assert_int_eq(reco__fail(NULL, RECO_INVALID, "limit", "must be %d", 1), RECO_INVALID);
    test_status(RECO_INVALID, reco__fail(&err, RECO_INVALID, "limit", "must be at most %d", 100));
    ck_assert_int_eq(err.status, RECO_INVALID);
    ck_assert_int_eq(err.index, -1);
    ck_assert_str_eq(err.field, "limit");
    ck_assert_str_eq(err.text, "must be at most 100");
    test_status(RECO_TOO_LARGE, reco__fail_at(&err, RECO_TOO_LARGE, 7, NULL, "event is larger than %d", 3));
    ck_assert_int_eq(err.index, 7);
    ck_assert_str_eq(err.field, "");
}
END_TEST

START_TEST(an_error_can_be_wrapped_into_itself)
{
    reco_error err = RECO_ERROR_INIT;
    reco__fail(&err, RECO_IO, "file", "disk gone");
    reco__fail(&err, RECO_IO, err.field, "while opening: %s", err.text);
    ck_assert_str_eq(err.text, "while opening: disk gone");
    ck_assert_str_eq(err.field, "file");
}
END_TEST

START_TEST(a_failure_is_never_without_text)
{
    reco_error err = RECO_ERROR_INIT;
    reco__fail(&err, RECO_FULL, NULL, "%s", "");
    ck_assert_str_eq(err.text, "full");
}
END_TEST

/* Any number of bytes before, characters of 1 to 4 bytes: the text stays valid and is cut by less than one character. */
START_TEST(long_text_is_cut_at_a_character)
{
    static const char *const characters[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    char text[600], field[600];
    reco_error err;

    for (int c = 0; c < 4; c++) {
        for (int before = 0; before < 8; before++) {
            size_t size = (size_t)before;
            memset(text, 'a', sizeof(text));
            while (size + 8 < sizeof(text)) {
                memcpy(text + size, characters[c], strlen(characters[c]));
                size += strlen(characters[c]);
            }
            text[size] = '\0';
            memcpy(field, text, sizeof(text));
            memset(&err, 0xFF, sizeof(err));
            reco__fail(&err, RECO_INVALID, field, "%s", text);
            ck_assert(reco__utf8_valid(err.text, strlen(err.text)));
            ck_assert(reco__utf8_valid(err.field, strlen(err.field)));
            ck_assert_uint_gt(strlen(err.text), sizeof(err.text) - 1 - strlen(characters[c]));
            ck_assert_uint_gt(strlen(err.field), sizeof(err.field) - 1 - strlen(characters[c]));
        }
    }
    memset(text, 'a', sizeof(text));
    text[239] = '\0';
    reco__fail(&err, RECO_INVALID, NULL, "%s", text);
    ck_assert_uint_eq(strlen(err.text), 239); /* what fits exactly is not cut */
}
END_TEST

START_TEST(errno_becomes_a_status)
{
    reco_error err = RECO_ERROR_INIT;
    test_status(RECO_FULL, reco__fail_errno(&err, ENOSPC, "write events.mdb"));
    ck_assert_ptr_nonnull(strstr(err.text, "write events.mdb: No space left"));
    test_status(RECO_FULL, reco__fail_errno(NULL, EDQUOT, "write"));
    test_status(RECO_NO_MEMORY, reco__fail_errno(NULL, ENOMEM, "map"));
    test_status(RECO_IO, reco__fail_errno(NULL, EACCES, "open"));
    test_status(RECO_IO, reco__fail_errno(&err, 99999, "open"));
    ck_assert_str_ne(err.text, "");
}
END_TEST

typedef struct options {
    uint32_t struct_size;
    uint32_t limit;
    uint64_t later;
} options;

START_TEST(structs_grow)
{
    reco_error err = RECO_ERROR_INIT;
    struct {
        options known;
        uint64_t unknown;
        uint64_t last;
    } newer = {{sizeof(newer), 5, 6}, 0, 0};
    options out;

    memset(&out, 0xFF, sizeof(out));
    test_ok(reco__struct_copy(&out, sizeof(out), NULL, 0, "options", &err), &err);
    ck_assert(out.struct_size == 0 && out.limit == 0 && out.later == 0);
    memset(&out, 0xFF, sizeof(out));
    test_ok(reco__struct_copy_since(&out, sizeof(out), 8, &newer, 8, "options", &err), &err); /* an older caller */
    ck_assert(out.limit == 5 && out.later == 0);
    test_ok(reco__struct_copy(&out, sizeof(out), &newer, sizeof(newer), "options", &err), &err); /* a newer caller that asks for nothing new */
    ck_assert(out.limit == 5 && out.later == 6);
    for (size_t size = 1; size < 8; size++) { /* no release had so little; 8 is that of a pointer, too */
        test_status(RECO_INVALID, reco__struct_copy_since(&out, sizeof(out), 8, &newer, size, "options", &err));
    }
    test_status(RECO_INVALID, reco__struct_copy(&out, sizeof(out), &newer, 8, "options", &err));
    newer.last = 1;
    test_status(RECO_INVALID, reco__struct_copy(&out, sizeof(out), &newer, sizeof(newer), "options", &err));
    ck_assert_str_eq(err.field, "options");
    test_status(RECO_INVALID, reco__struct_copy(&out, sizeof(out), &newer, 0, "options", &err));
    test_status(RECO_INVALID, reco__struct_copy(&out, sizeof(out), &newer, 0xCCCCCCCC, "options", &err));
}
END_TEST

START_TEST(a_call_has_a_deadline_and_can_be_cancelled)
{
    reco_error err = RECO_ERROR_INIT;
    int32_t cancel = 0;
    reco_call call = {.struct_size = sizeof(call), .cancel = &cancel};

    test_ok(reco__call_check(NULL, &err), &err);
    test_ok(reco__call_check(&call, &err), &err);
    ck_assert(reco__call_left_ns(NULL) == INT64_MAX && reco__call_left_ns(&call) == INT64_MAX);
    call.deadline_ns = reco__monotonic_ns() + INT64_C(60000000000);
    test_ok(reco__call_check(&call, &err), &err);
    ck_assert(reco__call_left_ns(&call) > INT64_C(50000000000));
    call.deadline_ns = 1;
    test_status(RECO_TIMEOUT, reco__call_check(&call, &err));
    ck_assert(reco__call_left_ns(&call) == 0);
    cancel = 1;
    test_status(RECO_CANCELLED, reco__call_check(&call, &err));
    cancel = 0;
    call.deadline_ns = 0;
    call.flags = 1;
    test_status(RECO_INVALID, reco__call_check(&call, &err));
    call.flags = 0;
    call.struct_size = 8;
    test_status(RECO_INVALID, reco__call_check(&call, &err));
}
END_TEST

static void keep_work(void *context, const reco_work *work) {
    reco_work *kept = context;
    ck_assert_uint_eq(work->struct_size, sizeof *work);
    *kept = *work;
}

/* Told where wanted; programs built before it was known pass a shorter struct, and what lies behind it is not looked at. */
START_TEST(a_call_within_a_time)
{
    volatile int32_t cancel = 0;
    reco_call own, call = {.struct_size = sizeof(call), .cancel = &cancel, .traceparent = "t"};
    int64_t now = reco__monotonic_ns();
    ck_assert_ptr_eq(reco__call_within(&own, NULL, 1000), &own);
    ck_assert(own.deadline_ns >= now + 1000 && !own.cancel);
    reco__call_within(&own, &call, 1000);
    ck_assert(own.deadline_ns >= now + 1000 && own.cancel == &cancel && strcmp(own.traceparent, "t") == 0);
    call.deadline_ns = now + INT64_C(60000000000);
    reco__call_within(&own, &call, INT64_C(90000000000));
    ck_assert(own.deadline_ns == call.deadline_ns);
    reco__call_within(&own, &call, INT64_C(30000000000));
    ck_assert(own.deadline_ns < call.deadline_ns && own.deadline_ns >= now + INT64_C(30000000000));
}
END_TEST

START_TEST(an_error_is_handed_on)
{
    reco_error err = RECO_ERROR_INIT, other = RECO_ERROR_INIT;
    reco__fail_at(&other, RECO_FULL, 3, "field", "text");
    ck_assert_int_eq(reco__fail_as(NULL, &other), RECO_FULL);
    ck_assert_int_eq(reco__fail_as(&err, &other), RECO_FULL);
    ck_assert(err.index == 3 && strcmp(err.field, "field") == 0 && strcmp(err.text, "text") == 0);
}
END_TEST

START_TEST(progress)
{
    reco_error err = RECO_ERROR_INIT;
    reco_work kept = {0};
    reco_call call = {.struct_size = sizeof call, .progress = keep_work, .progress_context = &kept};
    reco__call_progress(NULL, "reading", "bytes", 1, 2);
    reco__call_progress(&call, "reading", "bytes", 1, 2);
    ck_assert_str_eq(kept.what, "reading");
    ck_assert_str_eq(kept.unit, "bytes");
    ck_assert(kept.done == 1 && kept.total == 2);
    call.struct_size = offsetof(reco_call, progress);
    test_ok(reco__call_check(&call, &err), &err);
    reco__call_progress(&call, "reading", "bytes", 2, 2);
    ck_assert_uint_eq(kept.done, 1);
    call.deadline_ns = 1;
    test_status(RECO_TIMEOUT, reco__call_check(&call, &err));
}
END_TEST

typedef struct line {
    int level, count;
    char room[32], message[1100];
} line;

static void keep_line(void *context, int level, const char *room, const char *message) {
    line *kept = context;
    kept->level = level;
    kept->count++;
    snprintf(kept->room, sizeof(kept->room), "%s", room);
    snprintf(kept->message, sizeof(kept->message), "%s", message);
}

/* Would hang if the library held its lock during the call. */
static void turn_off(void *context, int level, const char *room, const char *message) {
    keep_line(context, level, room, message);
    reco_set_log(NULL, NULL, 0);
}

START_TEST(log_lines_reach_the_application)
{
    line kept = {0};
    char big[3000];

    reco__log(RECO_LOG_ERROR, "base", "nowhere");
    ck_assert(!reco__log_wanted(RECO_LOG_ERROR));
    reco_set_log(keep_line, &kept, RECO_LOG_WARN);
    ck_assert(reco__log_wanted(RECO_LOG_ERROR) && reco__log_wanted(RECO_LOG_WARN) && !reco__log_wanted(RECO_LOG_INFO));
    reco__log(RECO_LOG_INFO, "base", "too verbose");
    ck_assert_int_eq(kept.count, 0);
    reco__log(RECO_LOG_WARN, "base", "id %s", "a\nb\x7F");
    ck_assert_str_eq(kept.message, "id a b "); /* one line, whatever the input */
    ck_assert_str_eq(kept.room, "base");
    ck_assert_int_eq(kept.level, RECO_LOG_WARN);
    for (size_t i = 0; i + 2 < sizeof(big); i += 2) {
        memcpy(big + i, "\xC3\xA9", 2);
    }
    big[sizeof(big) - 2] = '\0';
    reco__log(RECO_LOG_ERROR, "base", "x%s", big);
    ck_assert(reco__utf8_valid(kept.message, strlen(kept.message)));
    ck_assert_uint_ge(strlen(kept.message), 1000);
    reco_set_log(turn_off, &kept, RECO_LOG_DEBUG);
    kept.count = 0;
    reco__log(RECO_LOG_DEBUG, "base", "last");
    reco__log(RECO_LOG_DEBUG, "base", "after");
    ck_assert_int_eq(kept.count, 1);
}
END_TEST

static void drop_line(void *context, int level, const char *room, const char *message) {
    (void)context;
    (void)level;
    (void)room;
    (void)message;
}

static void *log_much(void *context) {
    for (int i = 0; i < 2000; i++) {
        reco__log(RECO_LOG_ERROR, "base", "line %d", i);
        reco_set_log(i % 2 ? drop_line : NULL, context, RECO_LOG_ERROR);
    }
    return NULL;
}

START_TEST(log_is_shared_by_threads)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_much, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    reco_set_log(NULL, NULL, 0);
}
END_TEST

START_TEST(faults_fire_where_planted)
{
    reco_error err = RECO_ERROR_INIT;

    test_ok(reco__fault("stream.append", &err), &err);
    ck_assert_uint_eq(reco__fault_plant("stream.append", 2, 0, RECO_IO), 0);
    test_ok(reco__fault("stream.append", &err), &err);
    test_ok(reco__fault("features.apply", &err), &err);
    test_status(RECO_IO, reco__fault("stream.append", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "stream.append"));
    test_ok(reco__fault("stream.append", &err), &err);
    ck_assert_uint_eq(reco__fault_plant("stream.append", 0, 0, RECO_OK), 1);
    ck_assert_uint_eq(reco__fault_plant("stream.append", 1, 1, RECO_UNAVAILABLE), 1);
    for (int i = 0; i < 3; i++) {
        test_status(RECO_UNAVAILABLE, reco__fault("stream.append", &err));
    }
    ck_assert_uint_eq(reco__fault_plant("features.apply", 1, 0, RECO_FULL), 0);
    test_status(RECO_FULL, reco__fault("features.apply", &err));
    ck_assert_uint_eq(reco__fault_plant(NULL, 0, 0, RECO_OK), 4);
    test_ok(reco__fault("stream.append", &err), &err);
}
END_TEST

START_TEST(the_version_is_told)
{
    ck_assert_str_ne(reco_version(), "");
    ck_assert_ptr_nonnull(strstr(reco_build_info(), reco_version()));
    ck_assert_ptr_nonnull(strstr(reco_build_info(), "LMDB 0."));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base error");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, statuses_come_from_one_table);
    tcase_add_test(tests, a_failure_fills_the_error);
    tcase_add_test(tests, an_error_can_be_wrapped_into_itself);
    tcase_add_test(tests, a_failure_is_never_without_text);
    tcase_add_test(tests, long_text_is_cut_at_a_character);
    tcase_add_test(tests, errno_becomes_a_status);
    tcase_add_test(tests, structs_grow);
    tcase_add_test(tests, a_call_has_a_deadline_and_can_be_cancelled);
    tcase_add_test(tests, progress);
    tcase_add_test(tests, log_lines_reach_the_application);
    tcase_add_test(tests, log_is_shared_by_threads);
    tcase_add_test(tests, faults_fire_where_planted);
    tcase_add_test(tests, a_call_within_a_time);
    tcase_add_test(tests, an_error_is_handed_on);
    tcase_add_test(tests, the_version_is_told);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
