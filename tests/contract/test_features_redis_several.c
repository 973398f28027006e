/* The features suite, as it is, on three Redis primaries behind one URL; and what is peculiar to them: their list, and what each does with a batch
 * when they stand apart. */
#include <reco/plugin/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "contract/features_suite.h"
#include "support/redis_server.h"
#include "support/support.h"

enum { PRIMARIES = 3 };

extern const reco_module reco_module_v1;
static const reco_features_backend *backend;
static test_redis servers[PRIMARIES];

static char all[128];

static void refuse(reco_status expected, const char *url, const char *said) {
    reco_features_store *store;
    reco_error err = RECO_ERROR_INIT;
    test_status(expected, fixture_open_url(&store, backend, url, &err));
    ck_assert_msg(strstr(err.text, said) != NULL, "%s: %s", url, err.text);
}

/* How many there are and in which order is part of what they hold. */
START_TEST(the_list_is_checked)
{
    char url[128];
    reco_features_store *store;
    reco_error err = RECO_ERROR_INIT;
    test_ok(fixture_open_url(&store, backend, all, &err), &err);
    backend->close(store);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", servers[0].port, servers[2].port, servers[1].port);
    refuse(RECO_REFUSED, url, "redis.primary");
    snprintf(url, sizeof url, "redis://127.0.0.1:%d,127.0.0.1:%d", servers[0].port, servers[1].port);
    refuse(RECO_REFUSED, url, "redis.primaries");
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", servers[0].port);
    refuse(RECO_REFUSED, url, "redis.primar");
    snprintf(url, sizeof url, "redis://127.0.0.1:%d,127.0.0.1:%d?prefix=twice:", servers[0].port, servers[0].port);
    refuse(RECO_REFUSED, url, "redis.primary");
    refuse(RECO_INVALID, "redis://a:1,,b:2", "empty");
    refuse(RECO_INVALID, "redis://a:1,b:x", "port");
    refuse(RECO_INVALID, "redis://a:1,b:2?sentinel=one,,two", "empty");
    refuse(RECO_UNAVAILABLE, "redis://127.0.0.1:1,127.0.0.1:2?sentinel=one,two", "cannot connect");
}
END_TEST

static reco_spread spread_of(fixture *f) {
    reco_spread spread;
    uint64_t epoch;
    test_ok(f->backend->spread(&spread, &epoch, f->store, NULL, &f->err), &f->err);
    ck_assert_uint_eq(epoch, f->epoch);
    return spread;
}

/* A member for each item, so that every primary has some. */
static void make_batch(batch_adds *b) {
    b->count = b->cell_count = 0;
    for (uint32_t member = 0; member < 12; member++) {
        batch_add(b, RECO_BOARD_HOURS, 0, 0, member, 1);
        batch_add(b, RECO_BOARD_COVIEW, 0, member, (member + 1) % 12, 3);
    }
    batch_cell(b, 0, "cell", 4, 1000);
}

/* A batch breaks off before its last primary; somebody goes on with batches that end elsewhere, and a zombie comes with the first one again. */
START_TEST(batches_break_off_and_are_taken_up)
{
    static fixture f;
    static batch_adds b;
    fixture_prepare(&f, 1, 16);
    fixture_open(&f);
    fixture_items(&f, 12);
    for (uint64_t write = 1; write <= PRIMARIES; write++) {
        int64_t at = f.model.positions[0].offset;
        make_batch(&b);
        reco__fault_plant("features.redis.primary", write, 0, RECO_UNAVAILABLE);
        test_status(RECO_UNAVAILABLE, batch_apply(&f, &b, 0, -1, at + 10, 1)); /* the model has none of it */
        reco__fault_plant("features.redis.primary", 0, 0, RECO_OK);
        reco_spread spread = spread_of(&f);
        ck_assert_int_eq(spread.cells.offset, at);
        ck_assert_int_eq(spread.low, at);
        ck_assert_int_eq(spread.fence, write > 1 ? at + 10 : INT64_MAX);
        if (write > 1) {
            test_status(RECO_STALE, batch_apply(&f, &b, 0, -1, at + 15, 1)); /* beyond the fence */
        }
        make_batch(&b);
        test_ok(batch_apply(&f, &b, 0, -1, at + 10, 1), &f.err); /* the same records, derived by another */
        make_batch(&b);
        test_status(RECO_STALE, batch_apply(&f, &b, 0, at, at + 10, 1)); /* the zombie */
        check_all(&f, 0);
    }
    fixture_settle(&f);
    check_all(&f, 1);
    fixture_done(&f);
}
END_TEST

/* While primaries stand apart there is no whole to be read, and no cells go with healing. */
START_TEST(apart_they_are_no_whole)
{
    static fixture f;
    static batch_adds b;
    fixture_prepare(&f, 1, 16);
    fixture_open(&f);
    fixture_items(&f, 12);
    make_batch(&b);
    reco__fault_plant("features.redis.primary", 2, 0, RECO_UNAVAILABLE);
    test_status(RECO_UNAVAILABLE, batch_apply(&f, &b, 0, -1, 10, 1));
    reco__fault_plant("features.redis.primary", 0, 0, RECO_OK);
    reco_features_visitor visitor = {.context = NULL};
    test_status(RECO_BUSY, f.backend->scan(f.store, &visitor, NULL, &f.err));
    make_batch(&b);
    test_ok(batch_apply(&f, &b, 0, -1, 10, 1), &f.err);
    test_ok(f.backend->scan(f.store, &visitor, NULL, &f.err), &f.err);
    reco_batch healing = {.struct_size = sizeof healing, .epoch = f.epoch, .from = 0, .to = 10, .clock = 1, .flags = RECO_BATCH_HEAL};
    test_ok(f.backend->apply(f.store, &healing, NULL, &f.err), &f.err); /* all have it */
    check_all(&f, 0);
    healing.from = 5;
    healing.to = 15;
    test_status(RECO_STALE, f.backend->apply(f.store, &healing, NULL, &f.err)); /* nobody is caught within it */
    fixture_done(&f);
}
END_TEST

static Suite *make_suite(void) {
    Suite *suite = features_suite(backend, all, FEATURES_SUITE_SLOWER);
    TCase *tcase = tcase_create("several primaries");
    tcase_add_test(tcase, the_list_is_checked);
    tcase_add_test(tcase, batches_break_off_and_are_taken_up);
    tcase_add_test(tcase, apart_they_are_no_whole);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    if (reco_module_start(&reco_module_v1, &err) != RECO_OK) {
        fprintf(stderr, "the module does not start: %s\n", err.text);
        return EXIT_FAILURE;
    }
    backend = reco_module_v1.features;
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_start(&servers[k], NULL);
    }
    snprintf(all, sizeof all, "redis://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", servers[0].port, servers[1].port, servers[2].port);
    int result = test_run(make_suite());
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_stop(&servers[k]);
        test_dir_remove(servers[k].folder);
    }
    return result;
}
