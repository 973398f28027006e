/* Features on redis: while others are at work on the same namespace: heads from memory, answers in one trip. */
#include <reco/admin.h>
#include <reco/plugin/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "contract/features_suite.h"
#include "support/engine.h"
#include "support/redis_server.h"
#include "support/support.h"

extern const reco_module reco_module_v1;
static const reco_features_backend *backend;
static test_redis server;
static char server_url[128];

/* --- what is counted ------------------------------------------------------------------------------------------------------------------ */

struct wanted {
    const char *name;
    uint64_t value;
};

static void pick(void *context, const char *name, uint64_t value) {
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

static uint64_t counted(reco_features_store *store, const char *name) {
    struct wanted wanted = {name, 0};
    reco_error err = RECO_ERROR_INIT;
    test_ok(backend->stats(store, pick, &wanted, NULL, &err), &err);
    return wanted.value;
}

/* Stats make trips of their own: as many each time. */
static uint64_t trips_of_stats(reco_features_store *store) {
    uint64_t before = counted(store, "trips");
    return counted(store, "trips") - before;
}

/* --- heads from memory ---------------------------------------------------------------------------------------------------------------- */

/* A reader of the fixture's namespace with a cache of its own. */
static reco_features_store *open_reader(fixture *f, const char *options) {
    reco_features_store *store;
    reco_features_options own = f->options;
    char url[256];
    snprintf(url, sizeof url, "%s?%s", server_url, options);
    own.url = url;
    own.background = 1;
    test_ok(backend->open(&store, &own, NULL, &f->err), &f->err);
    return store;
}

struct head {
    size_t size;
    uint8_t bytes[512];
};

static void take_head(void *context, size_t index, const void *data, size_t size) {
    struct head *heads = context;
    ck_assert_uint_le(size, sizeof heads[index].bytes);
    heads[index].size = size;
    memcpy(heads[index].bytes, data, size);
}

static struct head head_of(reco_features_store *store, uint32_t item) {
    struct head head = {0, {0}};
    reco_error err = RECO_ERROR_INIT;
    test_ok(backend->heads(store, &item, 1, take_head, &head, NULL, &err), &err);
    return head;
}

static bool same_head(const struct head *a, const struct head *b) { return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0; }

struct compared {
    reco_features_store *reader, *writer;
    uint32_t item;
};

static bool heads_agree(void *context) {
    const struct compared *compared = context;
    struct head seen = head_of(compared->reader, compared->item), true_one = head_of(compared->writer, compared->item);
    return same_head(&seen, &true_one);
}

static void add_pairs(fixture *f, uint32_t item, int64_t delta) {
    static batch_adds b;
    b.count = b.cell_count = 0;
    for (uint32_t member = 0; member < 4; member++) {
        batch_add(&b, RECO_BOARD_COVIEW, 0, item, member + 8, delta + member);
    }
    test_ok(batch_apply(f, &b, 0, -1, f->model.positions[0].offset + 1, 1), &f->err);
}

START_TEST(heads_come_from_memory)
{
    static fixture f;
    fixture_prepare(&f, 2, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 5);
    reco_features_store *reader = open_reader(&f, "stale_ms=600000");
    uint32_t items[] = {3, 4, 5};
    struct head heads[3] = {{0, {0}}};
    test_ok(backend->heads(reader, items, 3, take_head, heads, NULL, &f.err), &f.err);
    struct head first = head_of(f.store, 3);
    ck_assert(same_head(&heads[0], &first) && first.size > 0 && heads[1].size == 0);
    uint64_t own = trips_of_stats(reader), before = counted(reader, "trips");
    for (int i = 0; i < 100; i++) { /* what is there, and what is known not to be */
        test_ok(backend->heads(reader, items, 3, take_head, heads, NULL, &f.err), &f.err);
    }
    ck_assert_uint_eq(counted(reader, "trips"), before + own);
    ck_assert_uint_eq(counted(reader, "cache_entries"), 3);
    ck_assert_uint_ge(counted(reader, "cache_bytes"), first.size);
    ck_assert_uint_ge(counted(reader, "cache_hits"), 300);
    ck_assert_uint_eq(counted(reader, "cache_misses"), 3);
    add_pairs(&f, 3, 5); /* it may be that old */
    struct head old = head_of(reader, 3);
    ck_assert(same_head(&old, &first));
    test_ok(backend->settle(reader, NULL, &f.err), &f.err); /* after which heads are current */
    struct compared compared = {reader, f.store, 3};
    ck_assert(heads_agree(&compared));
    old = head_of(reader, 3);
    ck_assert(!same_head(&old, &first));
    /* The cell of a user is never that old. */
    static batch_adds b;
    b.count = b.cell_count = 0;
    batch_cell(&b, 0, "x", 1, 1000);
    test_ok(batch_apply(&f, &b, 0, -1, f.model.positions[0].offset + 1, 1), &f.err);
    reco_position position;
    uint64_t epoch;
    char user[16];
    fixture_user(user, 0);
    reco_str id = {user, strlen(user)};
    before = counted(reader, "trips");
    struct head cell = {0, {0}};
    test_ok(backend->load(&position, &epoch, reader, 0, &id, 1, take_head, &cell, NULL, &f.err), &f.err);
    ck_assert(cell.size == 1 && cell.bytes[0] == 'x' && position.offset == f.model.positions[0].offset);
    ck_assert_uint_eq(counted(reader, "trips"), before + own + 1);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

/* Used heads are kept fresh without anybody waiting; those of others follow what is learned, published or not. */
START_TEST(heads_are_refreshed)
{
    static fixture f;
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 1);
    reco_features_store *reader = open_reader(&f, "stale_ms=100");
    struct compared compared = {reader, f.store, 3};
    for (int round = 0; round < 12; round++) {
        add_pairs(&f, 3, round + 1);
        if (round % 3 == 2) {
            fixture_settle(&f);
        }
        ck_assert(test_wait(heads_agree, &compared, 20000));
        if (round == 4) { /* a generation closes */
            fixture_clock(&f, 1000);
            f.model.positions[0].clock = 1000;
            break;
        }
    }
    fixture_settle(&f);
    ck_assert(test_wait(heads_agree, &compared, 20000));
    ck_assert_uint_gt(counted(reader, "cache_refreshed"), 0);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

START_TEST(memory_for_heads_is_bounded)
{
    static fixture f;
    enum { ITEMS = 30000 };
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    reco_features_store *reader = open_reader(&f, "stale_ms=600000&cache_mb=1");
    for (uint32_t from = 0; from < ITEMS; from += 100) {
        uint32_t items[100];
        for (uint32_t i = 0; i < 100; i++) {
            items[i] = from + i;
        }
        struct head none;
        test_ok(backend->heads(reader, items, 100, take_head, &none, NULL, &f.err), &f.err);
    }
    ck_assert_uint_le(counted(reader, "cache_bytes"), 1 << 20);
    ck_assert_uint_gt(counted(reader, "cache_entries"), 1000);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

/* Everything in memory is thrown away when the namespace is replaced or lost. */
START_TEST(memory_is_emptied)
{
    static fixture f;
    test_redis own;
    char url[64];
    test_redis_start(&own, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?stale_ms=600000", own.port);
    fixture_prepare(&f, 1, 32);
    f.options.url = url;
    f.options.background = 1;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 5);
    ck_assert_uint_gt(head_of(f.store, 3).size, 0);
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = RECO_RESTORE_FIRST};
    test_ok(backend->restore(f.store, &piece, NULL, &f.err), &f.err);
    piece.flags = RECO_RESTORE_LAST;
    reco_position nowhere = {0, 0};
    piece.positions = &nowhere;
    test_ok(backend->restore(f.store, &piece, NULL, &f.err), &f.err);
    for (int i = 0; i < 2; i++) { /* the first one finds out that the epoch is another */
        ck_assert_uint_eq(head_of(f.store, 3).size, 0);
    }
    test_redis_stop(&own);
    ck_assert_uint_eq(head_of(f.store, 3).size, 0); /* from memory */
    reco_position position;
    uint64_t epoch;
    test_redis_restart(&own, NULL);
    reco_status status = RECO_UNAVAILABLE;
    for (int64_t until = reco__monotonic_ns() + INT64_C(20000000000); status == RECO_UNAVAILABLE && reco__monotonic_ns() < until;) {
        status = backend->positions(&position, &epoch, f.store, NULL, NULL);
    }
    test_status(RECO_OK, status);
    ck_assert_uint_eq(counted(f.store, "cache_entries"), 0);
    backend->close(f.store);
    f.store = NULL;
    fixture_done(&f);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

/* --- answers -------------------------------------------------------------------------------------------------------------------------- */

static uint64_t engine_counts(reco_engine *engine, const char *name) {
    reco_error err = RECO_ERROR_INIT;
    char *json = NULL, wanted[64];
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *features = strstr(json, "\"features\":{"), *at = features ? strstr(features, wanted) : NULL;
    ck_assert_msg(at != NULL, "%s is not in %s", name, json);
    uint64_t value = strtoull(at + strlen(wanted), NULL, 10);
    reco_free(json);
    return value;
}

/* One answer, one trip: position and cell. Others (the thread that refreshes, stats) make some, too, so the best of several rounds counts. */
START_TEST(an_answer_is_one_trip)
{
    enum { ANSWERS = 200, ROUNDS = 10 };
    char url[160];
    snprintf(url, sizeof url, "%s?prefix=trip:&stale_ms=60000", server_url);
    const char *settings[] = {"stream", "memory:", "features", url, "records", "memory:", NULL};
    reco_engine *engine = test_engine_open(NULL, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    reco_error err = RECO_ERROR_INIT;
    for (int user = 0; user < 6; user++) {
        for (int item = 0; item < 8; item++) {
            char user_id[16], item_id[16], position[RECO_POSITION_MAX];
            snprintf(user_id, sizeof user_id, "u%d", user);
            snprintf(item_id, sizeof item_id, "i%d", (user + item) % 20);
            reco_event event = test_event(user_id, item_id, "view");
            test_engine_tell(position, engine, &event);
        }
    }
    test_engine_learn(engine, 0, NULL);
    reco_query query = {.struct_size = sizeof query, .user_id = {"u0", 2}, .limit = 10, .seed = 7};
    reco_answer *answer = NULL;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_gt(answer->count, 0);
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t before = engine_counts(engine, "trips"), own = engine_counts(engine, "trips") - before;
        for (int i = 0; i < ANSWERS; i++) {
            test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
        }
        uint64_t trips = engine_counts(engine, "trips") - before - 2 * own;
        best = trips < best ? trips : best;
    }
    ck_assert_msg(best >= ANSWERS && best <= ANSWERS + 2, "%d answers in %llu trips", ANSWERS, (unsigned long long)best);
    ck_assert_uint_gt(engine_counts(engine, "cache_hits"), 0);
    reco_answer_free(answer);
    reco_close(engine);
}
END_TEST

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    if (reco_module_start(&reco_module_v1, &err) != RECO_OK) {
        fprintf(stderr, "the module does not start: %s\n", err.text);
        return EXIT_FAILURE;
    }
    backend = reco_module_v1.features;
    test_redis_start(&server, NULL);
    snprintf(server_url, sizeof server_url, "redis://127.0.0.1:%d", server.port);
    srunner_free(srunner_create(features_suite(backend, server_url, 0))); /* for its fixture */
    Suite *suite = suite_create("redis, live");
    TCase *memory = tcase_create("heads in memory");
    tcase_add_test(memory, heads_come_from_memory);
    tcase_add_test(memory, heads_are_refreshed);
    tcase_add_test(memory, memory_for_heads_is_bounded);
    tcase_add_test(memory, memory_is_emptied);
    tcase_add_test(memory, an_answer_is_one_trip);
    tcase_set_timeout(memory, 120);
    suite_add_tcase(suite, memory);
    int result = test_run(suite);
    test_redis_stop(&server);
    test_dir_remove(server.folder);
    return result;
}
