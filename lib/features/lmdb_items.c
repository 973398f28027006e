/* lmdb_items.c - item numbers.
 *
 * The table holds number -> name only: every process keeps all names in memory anyway (names.c), hashed both ways, so the way back would be stored
 * twice. A process learns of names given by others from the count in the state: what lies between its own count and that is read on in the order of
 * numbers. Numbers are given inside a write transaction and enter memory after the commit, so that a number in memory is always a stored one. A
 * restore gives all numbers up (names_epoch); names lent out before stay valid, for the old table is kept until close. */
#include "features/lmdb.h"

enum { NAME_KEY = 6, NAME_SIZE = 256 };

static void name_key(uint8_t *key, const reco_features_store *store, uint32_t number) {
    reco__be16(key, store->space);
    reco__be32(key + 2, number);
}

static reco__flmdb_names *current(const reco_features_store *store) { return atomic_load_explicit(&store->names, memory_order_acquire); }

/* names_lock held. */
static reco_status change_epoch(reco_features_store *store, uint64_t epoch, reco_error *err) {
    reco__flmdb_names *table = reco__zalloc(sizeof *table);
    if (!table) {
        return reco__no_memory(err);
    }
    table->names = reco__names_create();
    if (!table->names) {
        reco__release(table);
        return reco__no_memory(err);
    }
    table->epoch = epoch;
    table->older = current(store);
    atomic_store_explicit(&store->names, table, memory_order_release);
    return RECO_OK;
}

/* A stored name enters memory. The door let none in that is not of 1 to 256 bytes. */
static reco_status take_name(reco__names *names, reco__kv_value name, reco_error *err) {
    if (name.size == 0 || name.size > NAME_SIZE) {
        return reco__fail(err, RECO_CORRUPT, "features", "the name of item number %u has %zu bytes", reco__names_count(names), name.size);
    }
    return reco__names_add(names, name.data, name.size, err);
}

/* names_lock held. */
static reco_status read_on(reco_features_store *store, reco__kv_txn *txn, reco__names *names, uint32_t count, reco_error *err) {
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, txn, store->names_table, err);
    if (status != RECO_OK) {
        return status;
    }
    uint8_t wanted[NAME_KEY];
    name_key(wanted, store, reco__names_count(names));
    reco__kv_value key = {wanted, sizeof wanted}, value;
    for (int how = RECO__KV_EXACT; status == RECO_OK && reco__names_count(names) < count; how = RECO__KV_NEXT) {
        status = reco__kv_seek(cursor, how, &key, &value, err);
        if (status == RECO_NOT_FOUND) {
            status = reco__fail(err, RECO_CORRUPT, "features", "the name of item number %u is missing", reco__names_count(names));
        } else if (status == RECO_OK) {
            name_key(wanted, store, reco__names_count(names));
            status = key.size == sizeof wanted && memcmp(key.data, wanted, sizeof wanted) == 0
                         ? take_name(names, value, err)
                         : reco__fail(err, RECO_CORRUPT, "features", "the name of item number %u is missing", reco__names_count(names));
        }
    }
    reco__kv_cursor_close(cursor);
    return status;
}

reco_status reco__flmdb_names_follow(reco_features_store *store, reco__kv_txn *txn, const reco__flmdb_state *state, reco_error *err) {
    reco__flmdb_names *table = current(store);
    if (table && table->epoch == state->names_epoch && reco__names_count(table->names) >= state->item_count) {
        return RECO_OK;
    }
    reco_status status = RECO_OK;
    pthread_mutex_lock(&store->names_lock);
    table = current(store);
    if (!table || table->epoch != state->names_epoch) {
        status = change_epoch(store, state->names_epoch, err);
    }
    if (status == RECO_OK) {
        status = read_on(store, txn, current(store)->names, state->item_count, err);
    }
    pthread_mutex_unlock(&store->names_lock);
    return status;
}

void reco__flmdb_names_dispose(reco_features_store *store) {
    reco__flmdb_names *table = current(store);
    while (table) {
        reco__flmdb_names *older = table->older;
        reco__names_free(table->names);
        reco__release(table);
        table = older;
    }
    atomic_store(&store->names, NULL);
}

const reco__names *reco__flmdb_names_now(const reco_features_store *store) { return current(store)->names; }

reco_board_names reco__flmdb_board_names(reco_features_store *store) { return reco__names_board(current(store)->names); }

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

reco_status reco__flmdb_item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number) {
    if (reco__names_get(name, hash, current(store)->names, number)) {
        return RECO_OK;
    }
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, NULL);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__flmdb_names_follow(store, txn, &state, NULL);
    reco__kv_read_end(txn);
    if (status != RECO_OK) {
        return status;
    }
    return reco__names_get(name, hash, current(store)->names, number) ? RECO_OK : RECO_NOT_FOUND;
}

reco_status reco__flmdb_find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                                   reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__flmdb_names_follow(store, txn, &state, err);
    reco__kv_read_end(txn);
    if (status == RECO_OK) {
        reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM);
    }
    return status;
}

/* Puts the names that are new; numbers[i] is RECO_NO_ITEM where names[i] is one of them. */
static reco_status put_new(reco__flmdb_work *work, uint32_t *numbers, const reco_str *names, size_t count, reco_error *err) {
    reco_features_store *store = work->store;
    uint32_t base = work->state.item_count;
    reco__map_reset(&store->new_names);
    reco_status status = reco__names_number(numbers, &store->new_names, names, count, base, store->max_items, err);
    for (size_t i = 0; i < store->new_names.count && status == RECO_OK; i++) {
        const struct reco__map_entry *fresh = &store->new_names.entries[i];
        uint8_t key[NAME_KEY];
        name_key(key, store, base + (uint32_t)i);
        status = reco__kv_put(work->txn, store->names_table, key, sizeof key, fresh->key, fresh->size, err);
    }
    if (status == RECO_OK) {
        work->state.item_count = base + (uint32_t)store->new_names.count;
    }
    return status;
}

/* After the commit: what was stored enters memory, unless another thread has read it already. Without memory for it the call fails, and a later one
 * reads it on. */
static reco_status remember(reco_features_store *store, uint64_t epoch, const reco_str *names, const uint32_t *numbers, size_t count,
                            reco_error *err) {
    reco_status status = RECO_OK;
    pthread_mutex_lock(&store->names_lock);
    reco__flmdb_names *table = current(store);
    for (size_t i = 0; i < count && status == RECO_OK && table->epoch == epoch; i++) {
        if (numbers[i] == reco__names_count(table->names)) {
            status = reco__names_add(table->names, names[i].data, names[i].size, err);
        }
    }
    pthread_mutex_unlock(&store->names_lock);
    return status;
}

static reco_status intern_new(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, reco_error *err) {
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin(&work, store, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__flmdb_names_follow(store, work.txn, &work.state, err);
    if (status == RECO_OK && reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM) == 0) {
        reco__flmdb_abort(&work);
        return RECO_OK;
    }
    if (status == RECO_OK) {
        status = put_new(&work, numbers, names, count, err);
    }
    uint64_t epoch = work.state.names_epoch;
    status = reco__flmdb_end(&work, status, err);
    return status == RECO_OK ? remember(store, epoch, names, numbers, count, err) : status;
}

reco_status reco__flmdb_intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                               reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__flmdb_names_follow(store, txn, &state, err);
    reco__kv_read_end(txn);
    if (status != RECO_OK || reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM) == 0) {
        return status;
    }
    return intern_new(numbers, store, names, count, err);
}
