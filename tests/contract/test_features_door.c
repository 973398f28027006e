/* The door to features: registration, checks of arguments, deadlines, planted faults, memory that runs out. */
#include <stdio.h>
#include <string.h>

#include "contract/features_suite.h"
#include "features/features.h"
#include "kv/kv.h"
#include "support/support.h"

static reco_board_rules rules;
static reco_error err;

static reco_features_options options_for(const char *url) {
    fixture_rules(&rules);
    reco_features_options options = {.struct_size = sizeof options,
                                     .partitions = 2,
                                     .url = url,
                                     .space = "door",
                                     .rules = &rules,
                                     .max_items = 100,
                                     .max_users = 100,
                                     .map_size = (uint64_t)1 << 28};
    return options;
}

static reco__features *open_memory(void) {
    reco_features_options options = options_for("memory:");
    reco__features *features;
    test_ok(reco__features_open(&features, &options, NULL, &err), &err);
    return features;
}

/* --- registration --------------------------------------------------------------------------------------------------------------------- */

START_TEST(registration_names_what_is_missing)
{
    static reco_features_backend backend; /* borrowed for the life of the process */
    backend = *reco__features_builtin(0);
    test_status(RECO_CONFLICT, reco_register_features(&backend, &err));
    backend.scheme = "door-test";
    backend.restore = NULL;
    test_status(RECO_INVALID, reco_register_features(&backend, &err));
    ck_assert_str_eq(err.field, "restore");
    backend = *reco__features_builtin(0);
    backend.scheme = "door-test";
    backend.contract++;
    test_status(RECO_UNSUPPORTED, reco_register_features(&backend, &err));
    backend.contract--;
    backend.struct_size = offsetof(reco_features_backend, spread) - 8; /* what follows is optional */
    test_status(RECO_INVALID, reco_register_features(&backend, &err));
    backend.struct_size = sizeof backend;
    test_ok(reco_register_features(&backend, &err), &err);
    test_status(RECO_CONFLICT, reco_register_features(&backend, &err));
    test_status(RECO_INVALID, reco_register_features(NULL, &err));
}
END_TEST

/* A backend that answers a number and not a word. */
static reco_status answered;
static reco_status bare_open(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *error) {
    reco_features_options own = *options;
    own.url = "memory:";
    return answered == RECO_BUSY ? answered : reco__features_builtin(1)->open(out, &own, call, error);
}
static reco_status bare_settle(reco_features_store *store, const reco_call *call, reco_error *error) {
    (void)store, (void)call, (void)error;
    return answered;
}
static reco_status bare_positions(reco_position *out, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *error) {
    (void)out, (void)epoch;
    return bare_settle(store, call, error);
}

START_TEST(a_backend_without_words_is_given_some)
{
    static reco_features_backend bare;
    const reco_status given[] = {RECO_UNAVAILABLE, (reco_status)999}, expected[] = {RECO_UNAVAILABLE, RECO_INTERNAL};
    reco_features_options options = options_for("bare:");
    reco__features *features;
    bare = *reco__features_builtin(1);
    bare.scheme = "bare";
    bare.open = bare_open;
    bare.settle = bare_settle;
    bare.positions = bare_positions;
    test_ok(reco_register_features(&bare, &err), &err);
    answered = RECO_BUSY;
    test_status(RECO_BUSY, reco__features_open(&features, &options, NULL, &err));
    ck_assert_msg(strstr(err.text, "features: ") == err.text, "%s", err.text);
    answered = RECO_OK;
    test_ok(reco__features_open(&features, &options, NULL, &err), &err);
    for (int i = 0; i < 4; i++) {
        reco_position positions[2];
        uint64_t epoch;
        answered = given[i / 2];
        err = (reco_error)RECO_ERROR_INIT;
        test_status(expected[i / 2],
                    i % 2 ? reco__features_settle(features, NULL, &err) : reco__features_positions(positions, &epoch, features, NULL, &err));
        ck_assert_int_eq(err.status, expected[i / 2]);
        ck_assert_msg(strstr(err.text, "features: ") == err.text && strlen(err.text) > 10, "%s", err.text);
    }
    reco__features_close(features);
    err = (reco_error)RECO_ERROR_INIT;
}
END_TEST

START_TEST(options_are_checked)
{
    reco__features *features;
    const struct {
        const char *url, *field;
        reco_status status;
    } urls[] = {{"nowhere", "url", RECO_INVALID}, {"other:x", "features", RECO_UNSUPPORTED}, {"lmdb:", "features", RECO_INVALID}};
    for (size_t i = 0; i < 3; i++) {
        reco_features_options options = options_for(urls[i].url);
        test_status(urls[i].status, reco__features_open(&features, &options, NULL, &err));
        ck_assert_str_eq(err.field, urls[i].field);
    }
    reco_features_options options = options_for("memory:");
    rules.cut = 0;
    test_status(RECO_INVALID, reco__features_open(&features, &options, NULL, &err));
    options = options_for("memory:");
    rules.weight[511] = -1;
    test_status(RECO_INVALID, reco__features_open(&features, &options, NULL, &err));
    options = options_for("memory:");
    options.partitions = 65;
    test_status(RECO_INVALID, reco__features_open(&features, &options, NULL, &err));
    options = options_for("memory:");
    options.struct_size = 8; /* a shorter, older struct: the rest is 0, which these options do not allow */
    test_status(RECO_INVALID, reco__features_open(&features, &options, NULL, &err));
}
END_TEST

/* --- batches -------------------------------------------------------------------------------------------------------------------------- */

static reco_batch good_batch(reco__features *features) {
    reco_position positions[2];
    reco_batch batch = {.struct_size = sizeof batch, .to = 1, .clock = 1};
    test_ok(reco__features_positions(positions, &batch.epoch, features, NULL, &err), &err);
    batch.from = positions[0].offset;
    batch.to = batch.from + 1;
    return batch;
}

static void intern_some(reco__features *features) {
    const reco_str names[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    uint32_t numbers[3];
    test_ok(reco__features_intern(numbers, features, names, 3, NULL, &err), &err);
}

START_TEST(batches_are_sorted_and_distinct)
{
    reco__features *features = open_memory();
    intern_some(features);
    reco_batch batch = good_batch(features);
    const reco_add twice[] = {{0, 1, 1}, {0, 1, 1}}, falling[] = {{1, 0, 1}, {0, 1, 1}}, zero[] = {{0, 1, 0}},
                   good[] = {{0, 1, 1}, {0, 2, 1}, {1, 0, -1}};
    const reco_add_group bad[] = {{2, 0, 0, twice, 2}, {2, 0, 0, falling, 2}, {2, 0, 0, zero, 1}, {0, 0, 0, good, 3},
                                  {3, 0, 0, good, 3},  {2, 1, 0, good, 3},    {2, 0, 0, NULL, 3}};
    batch.group_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        batch.groups = &bad[i];
        test_status(RECO_INVALID, reco__features_apply(features, &batch, NULL, &err));
        ck_assert_str_eq(err.field, "groups");
        ck_assert_int_eq(err.index, 0);
    }
    const reco_add_group order[] = {{2, 0, 1, good, 3}, {2, 0, 0, good, 3}}, right[] = {{2, 0, 0, good, 3}, {2, 0, 1, good, 3}};
    batch.group_count = 2;
    batch.groups = order;
    test_status(RECO_INVALID, reco__features_apply(features, &batch, NULL, &err));
    ck_assert_int_eq(err.index, 1);
    const reco_cell_put cells[] = {{{"v", 1}, "x", 1, 9}, {{"u", 1}, "x", 1, 9}};
    batch.groups = right;
    batch.cells = cells;
    batch.cell_count = 2;
    test_status(RECO_INVALID, reco__features_apply(features, &batch, NULL, &err));
    ck_assert_str_eq(err.field, "cells");
    batch.cell_count = 1;
    batch.partition = 2;
    test_status(RECO_INVALID, reco__features_apply(features, &batch, NULL, &err));
    batch.partition = 0;
    batch.to = batch.from - 1;
    test_status(RECO_INVALID, reco__features_apply(features, &batch, NULL, &err));
    batch.to = batch.from + 1;
    test_ok(reco__features_apply(features, &batch, NULL, &err), &err);
    reco__features_close(features);
}
END_TEST

START_TEST(deadlines_and_faults_stop_before_the_backend)
{
    reco__features *features = open_memory();
    intern_some(features);
    reco_batch batch = good_batch(features);
    volatile int32_t cancel = 1;
    reco_call late = {.struct_size = sizeof late, .deadline_ns = 1}, cancelled = {.struct_size = sizeof cancelled, .cancel = &cancel};
    test_status(RECO_TIMEOUT, reco__features_apply(features, &batch, &late, &err));
    test_status(RECO_CANCELLED, reco__features_apply(features, &batch, &cancelled, &err));
    reco__fault_plant("features.apply", 1, 0, RECO_IO);
    test_status(RECO_IO, reco__features_apply(features, &batch, NULL, &err));
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_ok(reco__features_apply(features, &batch, NULL, &err), &err);
    reco__features_close(features);
}
END_TEST

/* --- damage --------------------------------------------------------------------------------------------------------------------------- */

static void store_name(const char *dir, const char *name, size_t size) {
    static const uint8_t key[] = {0, 1, 0, 0, 0, 0}; /* namespace 1, item 0 */
    reco__kv_options options = {.directory = dir,
                                .name = "features",
                                .flags = RECO__KV_NOSYNC,
                                .map_size = (uint64_t)1 << 28,
                                .format = "reco-features",
                                .format_version = 1};
    reco__kv *kv;
    reco__kv_table table;
    reco__kv_txn *txn;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    test_ok(reco__kv_table_open(&table, kv, "names", &err), &err);
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    test_ok(reco__kv_put(txn, table, key, sizeof key, name, size, &err), &err);
    test_ok(reco__kv_commit(txn, &err), &err);
    reco__kv_close(kv);
}

START_TEST(a_damaged_name_is_corrupt)
{
    static const size_t sizes[] = {1, 256, 0, 257, 1000, 70000};
    static char name[70000];
    char dir[256], url[300];
    test_dir_make(dir);
    snprintf(url, sizeof url, "lmdb:%s", dir);
    reco_features_options options = options_for(url);
    reco__features *features;
    const reco_str item = {"a", 1};
    uint32_t number;
    memset(name, 'n', sizeof name);
    test_ok(reco__features_open(&features, &options, NULL, &err), &err);
    test_ok(reco__features_intern(&number, features, &item, 1, NULL, &err), &err);
    reco__features_close(features);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        store_name(dir, name, sizes[i]);
        err = (reco_error)RECO_ERROR_INIT;
        test_status(i < 2 ? RECO_OK : RECO_CORRUPT, reco__features_open(&features, &options, NULL, &err));
        if (i < 2) {
            reco__features_close(features);
        } else {
            ck_assert_msg(strstr(err.text, "item number 0") != NULL, "%s", err.text);
        }
    }
    test_dir_remove(dir);
}
END_TEST

/* --- memory --------------------------------------------------------------------------------------------------------------------------- */

static void ignore(void *context, size_t index, const void *data, size_t size) { (void)context, (void)index, (void)data, (void)size; }

/* Everything a store does, once. */
static reco_status live_once(void *context, reco_error *error) {
    (void)context;
    reco_features_options options = options_for("memory:");
    reco__features *features;
    reco_status status = reco__features_open(&features, &options, NULL, error);
    if (status != RECO_OK) {
        return status;
    }
    const reco_str names[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    const reco_add adds[] = {{0, 1, 5}, {0, 2, 1}, {1, 0, 2}};
    const reco_add_group groups[] = {{RECO_BOARD_COVIEW, 0, 0, adds, 3}, {RECO_BOARD_COVIEW, 0, 1, adds, 3}};
    const reco_cell_put cell = {{"u", 1}, "x", 1, 9};
    uint32_t numbers[3], items[] = {0, 1, 2};
    reco_position positions[2];
    reco_batch batch = {.struct_size = sizeof batch, .to = 1, .clock = 50, .groups = groups, .group_count = 2, .cells = &cell, .cell_count = 1};
    status = reco__features_intern(numbers, features, names, 3, NULL, error);
    status = status == RECO_OK ? reco__features_positions(positions, &batch.epoch, features, NULL, error) : status;
    status = status == RECO_OK ? reco__features_apply(features, &batch, NULL, error) : status;
    batch.partition = 1;
    batch.group_count = batch.cell_count = 0;
    status = status == RECO_OK ? reco__features_apply(features, &batch, NULL, error) : status;
    status = status == RECO_OK ? reco__features_row(features, RECO_BOARD_COVIEW, 1, 0, ignore, NULL, NULL, error) : status;
    status = status == RECO_OK ? reco__features_settle(features, NULL, error) : status;
    status = status == RECO_OK ? reco__features_heads(features, items, 3, ignore, NULL, NULL, error) : status;
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = RECO_RESTORE_FIRST | RECO_RESTORE_LAST, .positions = positions};
    status = status == RECO_OK ? reco__features_restore(features, &piece, NULL, error) : status;
    reco__features_close(features);
    return status;
}

START_TEST(memory_may_run_out_anywhere)
{
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(live_once, NULL, false), 10);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("features door");
    TCase *tcase = tcase_create("door");
    tcase_add_test(tcase, registration_names_what_is_missing);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, a_backend_without_words_is_given_some);
    tcase_add_test(tcase, batches_are_sorted_and_distinct);
    tcase_add_test(tcase, deadlines_and_faults_stop_before_the_backend);
    tcase_add_test(tcase, a_damaged_name_is_corrupt);
    tcase_add_test(tcase, memory_may_run_out_anywhere);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
