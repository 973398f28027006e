/* tests/integration/test_retention.c - the stream is kept as long, or as large, as the settings say, and never less than something needs: what was
 * learned can always be learned again from the base that is kept. */
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/retention.h"
#include "engine/snapshots.h"
#include "support/engine.h"

#define HOUR INT64_C(3600000)

static char dir[256], folder[300], data_path[300];
static reco_engine *engine;
static reco_error err;
static int64_t clock_ms; /* of what is told */
static int told;

static void setup(void) {
    test_dir_make(dir);
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
    told = 0;
    clock_ms = reco__now_ms() - 100 * HOUR;
}

static void teardown(void) {
    reco_close(engine);
    engine = NULL;
    test_dir_remove(dir);
}

static void open_with(const char *age, const char *bytes, const char *kept) {
    const char *settings[] = {"snapshots.folder",
                              folder,
                              "snapshots.every",
                              "40",
                              "snapshots.kept",
                              kept,
                              "retention.age",
                              age,
                              "retention.bytes",
                              bytes,
                              "partitions",
                              "2",
                              NULL};
    engine = test_engine_open(data_path, 0, settings);
}

static void view(const char *user, const char *item) {
    reco_event event = test_event(user, item, "view");
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = clock_ms};
    event.timestamp = clock_ms;
    test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, &options, NULL, &err), &err);
    clock_ms += HOUR;
}

/* So many events, an hour after one another; learned, and a snapshot of it taken and verified. */
static void tell(int count, bool snapshot) {
    char user[16], item[16];
    for (int i = 0; i < count; i++, told++) {
        snprintf(user, sizeof user, "u%d", told % 7);
        snprintf(item, sizeof item, "i%d", told % 11);
        view(user, item);
    }
    test_engine_learn(engine, 0, NULL);
    if (snapshot)
        test_ok(reco__snapshots_step(engine, NULL, &err), &err);
}

static reco_trim_result trim(int64_t age, uint64_t bytes, uint32_t flags) {
    reco_trim_options options = {.struct_size = sizeof options, .flags = flags, .age = age, .bytes = bytes};
    reco_trim_result result = {.struct_size = sizeof result};
    test_ok(reco_trim(&result, engine, &options, NULL, &err), &err);
    return result;
}

/* The verified snapshot that is oldest, and how many there are. */
static int base(char out[600]) {
    DIR *open = opendir(folder);
    char first[256] = "";
    int count = 0;
    for (const struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        if (!strstr(entry->d_name, ".snapshot"))
            continue;
        count++;
        if (!first[0] || strcmp(entry->d_name, first) < 0)
            snprintf(first, sizeof first, "%s", entry->d_name);
    }
    if (open)
        closedir(open);
    snprintf(out, 600, "%s/%s", folder, first);
    return count;
}

static void still_exact(void) {
    char path[600];
    ck_assert_int_gt(base(path), 0);
    test_engine_verify(engine, path);
}

static void ends(int64_t *begin, int64_t *end) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    *begin = *end = 0;
    for (uint32_t p = 0; p < engine->partitions; p++) {
        *begin += spans[p].begin;
        *end += spans[p].end;
    }
}

/* --- by age -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(by_age)
{
    int64_t begin, end;
    open_with("0", "0", "1");
    tell(100, true); /* the last an hour ago */
    reco_trim_result would = trim(50 * HOUR, 0, RECO_TRIM_DRY_RUN);
    ck_assert_uint_ge(would.records, 50);
    ck_assert_str_eq(would.held_by, "");
    ends(&begin, &end);
    ck_assert_int_eq(begin, 0);
    reco_trim_result did = trim(50 * HOUR, 0, 0);
    ck_assert_uint_eq(did.records, would.records);
    ck_assert_uint_eq(did.left, would.left);
    ck_assert_int_ge(did.oldest, reco__now_ms() - 51 * HOUR);
    ck_assert_int_le(did.oldest, reco__now_ms() - 48 * HOUR);
    ends(&begin, &end);
    ck_assert_int_eq(begin, (int64_t)did.records);
    ck_assert_int_eq(end - begin, (int64_t)did.left);
    ck_assert_uint_eq(trim(50 * HOUR, 0, 0).records, 0);
    still_exact();
    tell(1, false);
    still_exact();
    ck_assert_uint_eq(atomic_load(&engine->counters.trimmed), did.records);
}
END_TEST

/* An item that only the dropped part of the stream shows was there before; one that comes later on was not. */
static int look_for(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    bool *found = context;
    ck_assert_msg(status == RECO_OK, "question %zu: %s", index, error ? error->text : "");
    for (size_t i = 0; i < answer->count; i++) {
        const char *name = answer->items[i].item_id.data;
        found[0] |= strncmp(name, "old", 3) == 0;
        found[1] |= strncmp(name, "new", 3) == 0;
    }
    return 0;
}

START_TEST(going_back_over_what_was_trimmed)
{
    bool found[2] = {false, false};
    reco_rewind_result result = {.struct_size = sizeof result};
    open_with("0", "0", "1");
    view("u6", "old");
    tell(90, false);
    reco_query query = {.struct_size = sizeof query, .user_id = {"u3", 2}, .as_of = clock_ms - 1, .limit = 50};
    view("u6", "new");
    tell(8, true);
    ck_assert_uint_gt(trim(50 * HOUR, 0, 0).records, 0);
    test_ok(reco_rewind(&result, engine, &query, 1, sizeof query, look_for, found, NULL, &err), &err);
    ck_assert_uint_gt(result.missing, 0);
    ck_assert(found[0] && !found[1]);
    query.as_of += 1;
    test_ok(reco_rewind(&result, engine, &query, 1, sizeof query, look_for, found, NULL, &err), &err);
    ck_assert(found[1]);
}
END_TEST

/* --- what holds -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_is_needed_stays)
{
    int64_t begin, end, before;
    char *json = NULL;
    open_with("1ms", "0", "2");
    tell(10, true); /* not due yet */
    reco_trim_result held = trim(0, 0, 0);
    ck_assert_uint_eq(held.records, 0);
    ck_assert_str_eq(held.held_by, "no verified snapshot");
    tell(30, true);
    reco_trim_result first = trim(0, 0, 0); /* to the snapshot, which is all there was */
    ck_assert_uint_ge(first.records, 40);
    ends(&before, &end);
    tell(60, true); /* two are kept: the first is still the base */
    held = trim(0, 0, 0);
    ck_assert_uint_eq(held.records, 0);
    ck_assert_str_eq(held.held_by, "snapshot");
    ck_assert_uint_ge(held.left, 60);
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    ck_assert_msg(strstr(json, "\"held_by\":\"snapshot\"") && strstr(json, "\"age_ms\":1,"), "%s", json);
    reco_free(json);
    still_exact();
    tell(60, true);
    test_ok(reco__retention_step(engine, NULL, &err), &err);
    ends(&begin, &end);
    ck_assert_int_gt(begin, before);
    ck_assert_int_lt(begin, end);
    still_exact();
}
END_TEST

/* The newest file in the folder of snapshots. */
static void newest_snapshot(char out[800]) {
    char place[500];
    struct dirent **names;
    snprintf(place, sizeof place, "%s/snapshots", dir);
    int found = scandir(place, &names, NULL, alphasort);
    ck_assert_int_gt(found, 0);
    out[0] = 0;
    for (int i = 0; i < found; i++) {
        if (strstr(names[i]->d_name, ".snapshot"))
            snprintf(out, 800, "%s/%s", place, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    ck_assert_msg(out[0], "there is no snapshot in %s", place);
}

/* A base that was damaged since holds everything back, however little is missing. */
START_TEST(not_to_a_damaged_base)
{
    char path[800];
    int64_t begin, end;
    struct stat whole;
    open_with("1ms", "0", "1");
    tell(60, true);
    newest_snapshot(path);
    ck_assert_int_eq(stat(path, &whole), 0);
    for (int i = 0; i < 3; i++) {
        FILE *file = fopen(path, "r+b");
        ck_assert_ptr_nonnull(file);
        if (i < 2) { /* a byte in the middle, or the last */
            ck_assert_int_eq(fseek(file, i ? -1 : (long)whole.st_size / 2, i ? SEEK_END : SEEK_SET), 0);
            int byte = getc(file);
            ck_assert_int_eq(fseek(file, -1, SEEK_CUR), 0);
            ck_assert_int_ne(putc(byte ^ 1, file), EOF);
        } else
            ck_assert_int_eq(ftruncate(fileno(file), whole.st_size - 100), 0);
        ck_assert_int_eq(fclose(file), 0);
        reco_trim_result held = trim(0, 0, 0);
        ck_assert_uint_eq(held.records, 0);
        ck_assert_str_eq(held.held_by, "no verified snapshot");
    }
    ends(&begin, &end);
    ck_assert_int_eq(begin, 0);
    ck_assert_int_gt(end, 0);
}
END_TEST

START_TEST(not_beyond_the_archive)
{
    open_with("1ms", "0", "1");
    tell(60, true);
    snprintf(engine->settings.archive, sizeof engine->settings.archive, "postgresql://nowhere");
    reco_trim_result held = trim(0, 0, 0);
    ck_assert_uint_eq(held.records, 0);
    ck_assert_str_eq(held.held_by, "archive");
    atomic_store(&engine->archiving, true);
    atomic_store(&engine->archived[0], 3);
    atomic_store(&engine->archived[1], 2);
    held = trim(0, 0, 0);
    ck_assert_uint_eq(held.records, 5);
    ck_assert_str_eq(held.held_by, "archive");
    still_exact();
}
END_TEST

/* --- by bytes -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(by_bytes)
{
    reco_trim_result did;
    open_with("0", "0", "1");
    tell(1000, true);
    did = trim(0, 1u << 30, 0);
    ck_assert_uint_eq(did.records, 0);
    ck_assert_str_eq(did.held_by, "");
    did = trim(0, 32u << 10, 0);
    ck_assert_uint_gt(did.records, 250);
    ck_assert_uint_gt(did.left, 100);
    ck_assert_str_eq(did.held_by, "");
    reco__retention plan;
    test_ok(reco__retention_plan(&plan, engine, 0, 32u << 10, reco__now_ms(), UINT64_MAX, NULL, &err), &err);
    ck_assert_msg(plan.stream_bytes <= (48u << 10) && plan.stream_bytes >= (16u << 10), "%lu bytes are left", (unsigned long)plan.stream_bytes);
    still_exact();
    did = trim(0, 1, 0); /* less than can be */
    ck_assert_str_eq(did.held_by, "");
    tell(10, false);
    did = trim(0, 1, 0);
    ck_assert_str_eq(did.held_by, "snapshot");
    still_exact();
}
END_TEST

/* The oldest go first, whichever partition they are in. */
START_TEST(the_oldest_first)
{
    open_with("0", "0", "1");
    tell(1000, true);
    reco_trim_result did = trim(0, 50u << 10, 0);
    ck_assert_uint_gt(did.records, 100);
    reco__retention plan;
    test_ok(reco__retention_plan(&plan, engine, 1, 0, did.oldest, UINT64_MAX, NULL, &err), &err); /* older than the oldest: none */
    ck_assert_uint_eq(plan.records, 0);
    test_ok(reco__retention_plan(&plan, engine, 1, 0, did.oldest + 20 * HOUR, UINT64_MAX, NULL, &err), &err);
    for (uint32_t p = 0; p < 2; p++) /* both have some of the next hours: each has given up to about the same time */
        ck_assert_int_gt(plan.cut[p], plan.begin[p]);
}
END_TEST

/* --- refused, and by itself ----------------------------------------------------------------------------------------------------------------- */

START_TEST(refused)
{
    static const char *const alone[] = {"retention.age", "1d", NULL};
    reco_trim_options options = {.struct_size = sizeof options, .flags = 8};
    test_status(RECO_INVALID, test_engine_try(&engine, data_path, 0, alone, &err));
    ck_assert_str_eq(err.field, "retention.age");
    engine = test_engine_open("memory:", 0, NULL);
    test_status(RECO_INVALID, reco_trim(NULL, engine, NULL, NULL, &err));
    ck_assert_str_eq(err.field, "age");
    test_status(RECO_INVALID, reco_trim(NULL, engine, &options, NULL, &err));
    ck_assert_str_eq(err.field, "flags");
    options.flags = 0;
    options.age = -1;
    test_status(RECO_INVALID, reco_trim(NULL, engine, &options, NULL, &err));
    options.age = 1;
    test_status(RECO_INVALID, reco_trim(NULL, engine, &options, NULL, &err));
    ck_assert_str_eq(err.field, "snapshots.folder");
    reco_close(engine);
    open_with("0", "0", "1");
    tell(60, true);
    int lock = -1;
    test_ok(reco__snapshots_lock(&lock, engine, &err), &err);
    test_status(RECO_BUSY, reco_trim(NULL, engine, &options, NULL, &err));
    close(lock);
    test_ok(reco_trim(NULL, engine, &options, NULL, &err), &err);
}
END_TEST

static bool trimmed_by_itself(void *context) {
    (void)context;
    return atomic_load(&engine->counters.trimmed) > 0;
}

START_TEST(by_itself)
{
    const char *settings[] = {"snapshots.folder", folder, "snapshots.every", "40", "retention.age", "50h", "partitions", "2", NULL};
    open_with("0", "0", "1");
    tell(100, true);
    reco_close(engine);
    engine = test_engine_open(data_path, RECO_OPEN_BACKGROUND, settings);
    ck_assert(test_wait(trimmed_by_itself, NULL, 30000));
    still_exact();
}
END_TEST

/* What a child that trims tells: that it is open, and how many calls dropped something. */
typedef struct telling {
    atomic_int open, dropped;
} telling;

static bool is_open(void *context) { return atomic_load(&((telling *)context)->open) != 0; }
static bool has_dropped(void *context) { return atomic_load(&((telling *)context)->dropped) != 0; }

static void trim_more_and_more(telling *tells, int round) {
    open_with("0", "0", "1");
    atomic_store(&tells->open, 1);
    for (int64_t age = (750 - round % 12 * 50) * HOUR; age > 0; age -= 5 * HOUR) {
        reco_trim_result result = {.struct_size = sizeof result};
        if (reco_trim(&result, engine, &(reco_trim_options){.struct_size = sizeof(reco_trim_options), .age = age}, NULL, &err) != RECO_OK)
            test_child_fail("trim", &err);
        atomic_fetch_add(&tells->dropped, result.records > 0);
    }
    _exit(0);
}

/* Killed while it trims: what is left is whole, and the rest goes with the next. */
START_TEST(killed)
{
    uint64_t seed = 3;
    int64_t begin = 0, before = 0, end;
    telling *tells = test_shared(sizeof *tells); /* before the child trims, killing proves nothing */
    open_with("0", "0", "1");
    tell(800, true);
    reco_close(engine);
    engine = NULL;
    for (int round = 0; round < (test_full() ? 100 : 12); round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        atomic_store(&tells->open, 0);
        atomic_store(&tells->dropped, 0);
        pid_t child = test_fork();
        if (child == 0)
            trim_more_and_more(tells, round);
        bool drops = round >= 6 && before == 0; /* a slow machine drops nothing in 40 ms, and may have done so each time */
        ck_assert(test_wait(drops ? has_dropped : is_open, tells, 60000));
        nanosleep(&(struct timespec){0, (long)((seed >> 33) % 40000000)}, NULL);
        kill(child, SIGKILL);
        test_child_end(child);
        open_with("0", "0", "1");
        ends(&begin, &end);
        ck_assert_int_ge(begin, before);
        before = begin;
        if (round % 4 == 3)
            still_exact();
        reco_close(engine);
        engine = NULL;
    }
    ck_assert_int_gt(begin, 0);
    open_with("0", "0", "1");
    (void)trim(HOUR, 0, 0);
    still_exact();
    tell(60, true);
    still_exact();
}
END_TEST

static reco_status trim_all(void *context, reco_error *error) {
    reco_trim_options options = {.struct_size = sizeof options, .flags = RECO_TRIM_DRY_RUN, .age = 50 * HOUR, .bytes = 1000};
    (void)context;
    return reco_trim(NULL, engine, &options, NULL, error);
}

static int ignore_answer(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    (void)context, (void)index, (void)answer;
    ck_assert_msg(status == RECO_OK, "%s", error ? error->text : "");
    return 0;
}

/* Without the nth allocation; false: there are fewer. Some only keep what another question would look up again: the call may go through. */
static bool go_back_without(uint64_t nth) {
    const reco_query query = {.struct_size = sizeof query, .user_id = {"u3", 2}, .as_of = clock_ms - 10 * HOUR, .limit = 5};
    reco_rewind_result result = {.struct_size = sizeof result};
    test_memory_fail(nth, false);
    reco_status status = reco_rewind(&result, engine, &query, 1, sizeof query, ignore_answer, NULL, NULL, &err);
    bool fired = test_memory_fired() > 0;
    test_memory_fail(0, false);
    ck_assert_msg(status == RECO_OK || (fired && status == RECO_NO_MEMORY), "allocation %lu: %s", (unsigned long)nth, err.text);
    ck_assert(status != RECO_OK || result.missing > 0);
    return fired;
}

START_TEST(no_memory)
{
    open_with("0", "0", "1");
    tell(60, true);
    ck_assert_uint_gt(trim(70 * HOUR, 0, 0).records, 0);
    reco_close(engine);
    test_memory_install();
    int64_t live = test_memory_live();
    open_with("0", "0", "1");
    test_every_allocation(trim_all, NULL, false);
    for (uint64_t nth = 1; go_back_without(nth); nth++)
        ;
    reco_close(engine);
    ck_assert_int_eq(test_memory_live(), live);
    engine = NULL;
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("retention");
    TCase *tests = tcase_create("retention");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, by_age);
    tcase_add_test(tests, going_back_over_what_was_trimmed);
    tcase_add_test(tests, what_is_needed_stays);
    tcase_add_test(tests, not_to_a_damaged_base);
    tcase_add_test(tests, not_beyond_the_archive);
    tcase_add_test(tests, by_bytes);
    tcase_add_test(tests, the_oldest_first);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, by_itself);
    tcase_add_test(tests, killed);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
