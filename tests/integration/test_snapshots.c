/* tests/integration/test_snapshots.c - snapshots taken by the way: verified against a replay, tidied, the stream trimmed to one of them; and features
 * that were emptied or are ahead of what the stream still has learn again from the newest that fits. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/snapshots.h"
#include "support/engine.h"
#include "support/trouble.h"

static char dir[256], folder[300], data_path[300];
static reco_engine *engine;
static reco_error err = RECO_ERROR_INIT;
static int told;

static void setup(void) {
    test_trouble_register();
    test_trouble_features(0, RECO_OK);
    test_dir_make(dir);
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
}

static void teardown(void) {
    reco_close(engine);
    engine = NULL;
    test_dir_remove(dir);
}

static void open_with(const char *features, const char *trim, uint32_t flags) {
    const char *settings[] = {"snapshots.folder", folder, "snapshots.every", "20", "snapshots.trim", trim, "features", features, NULL};
    engine = test_engine_open(data_path, flags, settings);
}

static void tell(int count) {
    char user[16], item[16];
    for (int i = 0; i < count; i++, told++) {
        snprintf(user, sizeof user, "u%d", told % 7);
        snprintf(item, sizeof item, "i%d", told % 11);
        reco_event event = test_event(user, item, "view");
        test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    }
}

/* Files that end so; the newest one in `newest` (NULL allowed). */
static int files(const char *ending, char newest[600]) {
    DIR *open = opendir(folder);
    char last[256] = "";
    int count = 0;
    for (const struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        size_t size = strlen(entry->d_name), end = strlen(ending);
        if (size > end && strcmp(entry->d_name + size - end, ending) == 0) {
            count++;
            if (strcmp(entry->d_name, last) > 0)
                snprintf(last, sizeof last, "%s", entry->d_name);
        }
    }
    if (open)
        closedir(open);
    if (newest)
        snprintf(newest, 600, "%s/%s", folder, last);
    return count;
}

static void step(void) { test_ok(reco__snapshots_step(engine, NULL, &err), &err); }

static int64_t oldest_record(void) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    int64_t sum = 0;
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++)
        sum += spans[p].begin;
    return sum;
}

/* Taken when due, verified, two stay; the stream is trimmed to the older of them, and is all that is needed with it. */
START_TEST(taken_verified_trimmed)
{
    char path[600];
    open_with("", _i ? "yes" : "no", 0);
    tell(10);
    test_engine_learn(engine, 0, NULL);
    step();
    ck_assert_int_eq(files(".snapshot", NULL), 0); /* not due */
    for (int i = 1; i <= 4; i++) {
        tell(30);
        test_engine_learn(engine, 0, NULL);
        step();
        step(); /* nothing is due any more */
        ck_assert_int_eq(files(".snapshot", path), i < 2 ? i : 2);
        ck_assert_int_eq(files(".unverified", NULL), 0);
        ck_assert_uint_eq(atomic_load(&engine->counters.snapshots_verified), (uint64_t)i);
        ck_assert(_i ? i == 1 || oldest_record() > 0 : oldest_record() == 0);
    }
    ck_assert_int_eq(files(".XXXXXX", NULL), 0);
    tell(5);
    test_engine_learn(engine, 0, NULL);
    test_engine_verify(engine, path);
}
END_TEST

/* What was learned is not what the stream says: the snapshot is named so, and trims nothing. */
START_TEST(a_difference_is_found)
{
    char path[600];
    const uint32_t number = 0;
    const reco_add add = {0, number, 5};
    open_with("", "yes", 0);
    tell(30);
    test_engine_learn(engine, 0, NULL);
    reco_position position;
    uint64_t epoch;
    test_ok(reco__features_load(&position, &epoch, engine->features, 0, NULL, 0, NULL, NULL, NULL, &err), &err);
    reco_add_group group = {RECO_BOARD_DAYS, 0, reco_board_generation(&engine->rules.boards, RECO_BOARD_DAYS, position.clock), &add, 1};
    reco_batch batch = {.struct_size = sizeof batch, .epoch = epoch, .from = position.offset, .to = position.offset, .clock = position.clock};
    batch.groups = &group;
    batch.group_count = 1;
    test_ok(reco__features_apply(engine->features, &batch, NULL, &err), &err);
    step();
    ck_assert_int_eq(files(".differs", path), 1);
    ck_assert_int_eq(files(".snapshot", NULL), 0);
    ck_assert_int_eq(oldest_record(), 0);
}
END_TEST

/* Features are emptied: the newest snapshot is loaded, the rest comes from the stream, trimmed or not, and the state is what it was. A file that is
 * damaged is passed over for an older one. */
START_TEST(learned_again)
{
    char before[40], after[40], path[600];
    bool trim = _i & 1, damage = _i & 2;
    open_with("troubled:", trim ? "yes" : "no", 0);
    for (int i = 0; i < 3; i++) {
        tell(30);
        test_engine_learn(engine, 0, NULL);
        step();
    }
    tell(7);
    test_engine_learn(engine, 0, NULL);
    test_engine_hash(before, engine);
    ck_assert_int_eq(files(".snapshot", path), 2);
    if (damage)
        ck_assert_int_eq(truncate(path, 300), 0);
    test_trouble_flush();
    test_engine_learn(engine, 0, NULL);
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(atomic_load(&engine->counters.relearned), 1);
    char *json = NULL;
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    ck_assert_ptr_nonnull(strstr(json, "\"relearned\":1"));
    reco_free(json);
    tell(30);
    test_engine_learn(engine, 0, NULL);
    if (damage)
        unlink(path); /* nothing can be verified against it; the older one serves */
    step();
    ck_assert_uint_eq(atomic_load(&engine->counters.snapshots_different), 0);
}
END_TEST

/* Nothing fits: without a snapshot learning begins where the stream does, and waits, saying why, where that is gone. */
START_TEST(nothing_to_learn_from)
{
    char before[40], after[40], path[600];
    open_with("troubled:", "no", 0);
    tell(30);
    test_engine_learn(engine, 0, NULL);
    test_engine_hash(before, engine);
    test_trouble_flush();
    test_engine_learn(engine, 0, NULL);
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(atomic_load(&engine->counters.relearned), 0);

    step();
    ck_assert_int_eq(files(".snapshot", path), 1);
    for (uint32_t p = 0; p < engine->partitions; p++)
        test_ok(reco__stream_trim(engine->stream, p, 1, NULL, &err), &err);
    ck_assert_int_eq(truncate(path, 200), 0);
    test_trouble_flush();
    reco_processor *processor = NULL;
    reco_progress progress = {.struct_size = sizeof progress};
    test_ok(reco_processor_open(&processor, engine, NULL, NULL, &err), &err);
    test_status(RECO_CORRUPT, reco_processor_step(&progress, processor, NULL, &err));
    ck_assert_str_eq(err.field, "position");
    reco_processor_close(processor);
}
END_TEST

static bool is_taken(void *context) {
    (void)context;
    return files(".snapshot", NULL) > 0;
}

static bool is_relearned(void *context) {
    (void)context;
    return atomic_load(&engine->counters.relearned) == 1;
}

/* With threads all of it happens by itself. */
START_TEST(by_itself)
{
    char before[40], after[40];
    open_with("troubled:", "yes", RECO_OPEN_BACKGROUND);
    tell(50);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ck_assert(test_wait(is_taken, NULL, 20000));
    test_engine_hash(before, engine);
    test_trouble_flush();
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after);
    ck_assert(test_wait(is_relearned, NULL, 20000)); /* what was loaded is hashed before it is called so */
}
END_TEST

/* The items of an answer to somebody unknown, best first, and what the answer lacks. */
static uint32_t ask(char names[8][16], size_t *count) {
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {"nobody", 6}, .limit = 8};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    uint32_t degraded = answer->degraded;
    *count = answer->count;
    for (size_t i = 0; i < answer->count; i++)
        snprintf(names[i], 16, "%.*s", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
    reco_answer_free(answer);
    return degraded;
}

/* Another process begins to answer while features are empty (0) or out of reach (1): what is popular comes from the snapshot, and is called what it
 * is. Without a folder there is nothing, and where features have learned as much it is not looked at. */
START_TEST(popular_from_a_snapshot)
{
    char before[8][16], after[8][16];
    size_t had, has;
    open_with("troubled:", "no", 0);
    tell(40);
    test_engine_learn(engine, 0, NULL);
    step();
    ck_assert_int_eq(files(".snapshot", NULL), 1);
    ck_assert_uint_eq(ask(before, &had), 0);
    ck_assert_uint_eq(had, 8);
    reco_close(engine);
    engine = NULL;

    open_with("troubled:", "no", RECO_OPEN_NO_PROCESSOR);
    reco__features *recalled = NULL; /* an API process need not have the memory for all that was learned */
    reco_position then[RECO_PARTITIONS_MAX];
    reco_features_info info = {.struct_size = sizeof info};
    test_ok(reco__snapshots_recall(&recalled, then, engine, NULL, NULL, &err), &err);
    test_ok(reco__features_info(&info, recalled, NULL, &err), &err);
    ck_assert(info.item_count >= 8 && info.user_count == 0);
    reco__features_close(recalled);
    if (_i == 1)
        test_trouble_features(0, RECO_UNAVAILABLE);
    uint32_t degraded = ask(after, &has);
    ck_assert_uint_eq(degraded, _i == 1 ? RECO_DEGRADED_FEATURES : RECO_DEGRADED_RELEARNING);
    ck_assert_uint_eq(has, had);
    for (size_t i = 0; i < has; i++)
        ck_assert_str_eq(after[i], before[i]);
    reco_answer *answer = NULL;
    reco_popular_query query = {.struct_size = sizeof query, .limit = 8};
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_eq(answer->count, 8);
    ck_assert_uint_eq(answer->degraded, degraded);
    reco_answer_free(answer);

    test_trouble_features(0, RECO_OK); /* learned again: whole answers again */
    test_engine_learn(engine, 0, NULL);
    ck_assert_uint_eq(atomic_load(&engine->counters.relearned), 1);
    while (ask(after, &has) != 0) /* features are looked at once a second */
        usleep(20000);
    for (size_t i = 0; i < has; i++)
        ck_assert_str_eq(after[i], before[i]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("snapshots");
    TCase *tests = tcase_create("folder");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, taken_verified_trimmed, 0, 2);
    tcase_add_test(tests, a_difference_is_found);
    tcase_add_loop_test(tests, learned_again, 0, 4);
    tcase_add_test(tests, nothing_to_learn_from);
    tcase_add_test(tests, by_itself);
    tcase_add_loop_test(tests, popular_from_a_snapshot, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
