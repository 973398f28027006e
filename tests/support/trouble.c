/* tests/support/trouble.c - see trouble.h. Names that were handed out stay valid: emptied stores are closed with the store that had them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "features/registry.h"
#include "records/records.h"
#include "support/support.h"
#include "support/trouble.h"

enum { FLUSHES = 8 };

typedef struct trouble {
    atomic_int delay_ms, status;
} trouble;

typedef struct troubled {
    _Atomic(reco_features_store *) store;
    reco_features_store *emptied[FLUSHES];
    int emptied_count;
    atomic_int flushes; /* those it has followed */
    pthread_mutex_t lock;
    reco_features_options options;
    char fingerprint[4096];
} troubled;

static trouble features_trouble, records_trouble;
static atomic_uint_fast64_t asked;
static atomic_int flushes;
static const reco_features_backend *features;
static const reco_records_backend *records;

static reco_status meet(trouble *with, const reco_call *call, reco_error *err) {
    int64_t until = reco__monotonic_ns() + (int64_t)atomic_load(&with->delay_ms) * 1000000;

    atomic_fetch_add(&asked, 1);
    while (reco__monotonic_ns() < until) {
        if (reco__call_left_ns(call) == 0) {
            return reco__fail(err, RECO_UNAVAILABLE, NULL, "no answer in time");
        }
        reco_status status = reco__call_check(call, err);
        if (status != RECO_OK) {
            return status;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    reco_status status = (reco_status)atomic_load(&with->status);
    return status == RECO_OK ? RECO_OK : reco__fail(err, status, NULL, "trouble was asked for");
}

/* --- features ------------------------------------------------------------------------------------------------------------------------------- */

static troubled *own(reco_features_store *store) { return (troubled *)(void *)store; }

/* The store of the moment; another, empty one after a flush. */
static reco_features_store *inner(reco_features_store *given) {
    troubled *store = own(given);

    if (atomic_load(&flushes) != atomic_load(&store->flushes)) {
        pthread_mutex_lock(&store->lock);
        if (atomic_load(&flushes) != atomic_load(&store->flushes)) {
            reco_features_store *fresh = NULL;
            ck_assert_int_lt(store->emptied_count, FLUSHES);
            ck_assert_int_eq(features->open(&fresh, &store->options, NULL, NULL), RECO_OK);
            store->emptied[store->emptied_count++] = atomic_load(&store->store);
            atomic_store(&store->store, fresh);
            atomic_store(&store->flushes, atomic_load(&flushes));
        }
        pthread_mutex_unlock(&store->lock);
    }
    return atomic_load(&store->store);
}

static reco_status f_open(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    reco_status status = meet(&features_trouble, call, err);
    if (status != RECO_OK) {
        return status;
    }
    troubled *store = calloc(1, sizeof *store);
    ck_assert_ptr_nonnull(store);
    pthread_mutex_init(&store->lock, NULL);
    store->options = *options;
    store->options.url = "memory:";
    ck_assert_uint_lt(options->fingerprint.size, sizeof store->fingerprint);
    memcpy(store->fingerprint, options->fingerprint.data, options->fingerprint.size);
    store->options.fingerprint.data = store->fingerprint;
    store->options.space = strdup(options->space);
    atomic_store(&store->flushes, atomic_load(&flushes));
    reco_features_store *made = NULL;
    status = features->open(&made, &store->options, call, err);
    ck_assert_int_eq(status, RECO_OK);
    atomic_store(&store->store, made);
    *out = (reco_features_store *)(void *)store;
    return RECO_OK;
}

static void f_close(reco_features_store *given) {
    troubled *store = own(given);
    for (int i = 0; i < store->emptied_count; i++) {
        features->close(store->emptied[i]);
    }
    features->close(atomic_load(&store->store));
    pthread_mutex_destroy(&store->lock);
    free((char *)(uintptr_t)store->options.space);
    free(store);
}

#define MEET(trouble)                                                                                                                                \
    reco_status met = meet(&trouble, call, err);                                                                                                     \
    if (met != RECO_OK)                                                                                                                              \
    return met

static reco_status f_info(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->info(out, inner(store), call, err);
}

static reco_status f_intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                            reco_error *err) {
    MEET(features_trouble);
    return features->intern(numbers, inner(store), names, count, call, err);
}

static reco_status f_find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                                reco_error *err) {
    MEET(features_trouble);
    return features->find_items(numbers, inner(store), names, count, call, err);
}

static reco_status f_item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number) {
    return features->item_name(name, hash, inner(store), number); /* from memory, as backends have it */
}

static reco_status f_load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users,
                          size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->load(position, epoch, inner(store), partition, users, count, sink, context, call, err);
}

static reco_status f_positions(reco_position *positions, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->positions(positions, epoch, inner(store), call, err);
}

static reco_status f_apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->apply(inner(store), batch, call, err);
}

static reco_status f_heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                           const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->heads(inner(store), items, count, sink, context, call, err);
}

static reco_status f_row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                         const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->row(inner(store), board, generation, item, sink, context, call, err);
}

static reco_status f_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board, const reco_call *call,
                                 reco_error *err) {
    MEET(features_trouble);
    return features->generations(generations, room, count, inner(store), board, call, err);
}

static reco_status f_close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->close_step(more, inner(store), budget_ns, call, err);
}

static reco_status f_settle(reco_features_store *store, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->settle(inner(store), call, err);
}

static reco_status f_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->scan(inner(store), visitor, call, err);
}

static reco_status f_restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->restore(inner(store), piece, call, err);
}

static reco_status f_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                           const reco_call *call, reco_error *err) {
    MEET(features_trouble);
    return features->stats(inner(store), sink, context, call, err);
}

/* --- records -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status r_open(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    reco_records_options with = *options;
    MEET(records_trouble);
    with.url = "memory:";
    return records->open(out, &with, call, err);
}

static void r_close(reco_records_store *store) { records->close(store); }

static reco_status r_change(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                            reco_error *err) {
    MEET(records_trouble);
    return records->change(last, store, changes, count, call, err);
}

static reco_status r_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                          reco_error *err) {
    MEET(records_trouble);
    return records->find(store, kind, id, sink, context, call, err);
}

static reco_status r_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                          const reco_call *call, reco_error *err) {
    MEET(records_trouble);
    return records->scan(store, kind, after, limit, sink, context, call, err);
}

static reco_status r_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                             const reco_call *call, reco_error *err) {
    MEET(records_trouble);
    return records->changes(newest, store, since, limit, sink, context, call, err);
}

static reco_status r_stats(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                           const reco_call *call, reco_error *err) {
    MEET(records_trouble);
    return records->stats(store, sink, context, call, err);
}

/* --- what tests say ------------------------------------------------------------------------------------------------------------------------- */

void test_trouble_register(void) {
    static reco_features_backend troubled_features;
    static reco_records_backend troubled_records;

    if (features) {
        return;
    }
    features = reco__features_registered("memory", 6);
    records = &reco__records_memory;
    troubled_features = *features;
    troubled_features.struct_size = sizeof troubled_features;
    troubled_features.scheme = "troubled";
    troubled_features.open = f_open;
    troubled_features.close = f_close;
    troubled_features.info = f_info;
    troubled_features.intern = f_intern;
    troubled_features.find_items = f_find_items;
    troubled_features.item_name = f_item_name;
    troubled_features.load = f_load;
    troubled_features.positions = f_positions;
    troubled_features.apply = f_apply;
    troubled_features.heads = f_heads;
    troubled_features.row = f_row;
    troubled_features.generations = f_generations;
    troubled_features.close_step = f_close_step;
    troubled_features.settle = f_settle;
    troubled_features.scan = f_scan;
    troubled_features.restore = f_restore;
    troubled_features.stats = f_stats;
    troubled_records = (reco_records_backend){.struct_size = sizeof troubled_records,
                                              .contract = RECO_RECORDS_CONTRACT,
                                              .scheme = "troubled",
                                              .open = r_open,
                                              .close = r_close,
                                              .change = r_change,
                                              .find = r_find,
                                              .scan = r_scan,
                                              .changes = r_changes,
                                              .stats = r_stats};
    ck_assert_int_eq(reco_register_features(&troubled_features, NULL), RECO_OK);
    ck_assert_int_eq(reco_register_records(&troubled_records, NULL), RECO_OK);
}

static void set(trouble *with, int delay_ms, reco_status status) {
    atomic_store(&with->delay_ms, delay_ms);
    atomic_store(&with->status, (int)status);
}

void test_trouble_features(int delay_ms, reco_status status) { set(&features_trouble, delay_ms, status); }
void test_trouble_records(int delay_ms, reco_status status) { set(&records_trouble, delay_ms, status); }
uint64_t test_trouble_asked(void) { return atomic_exchange(&asked, 0); }
void test_trouble_flush(void) { atomic_fetch_add(&flushes, 1); }
