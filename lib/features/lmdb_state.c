/* lmdb_state.c - the state of a namespace and the transactions that carry it.
 *
 * One value holds what every step of learning reads and most of them change: epoch, positions with the partition clocks, counts, where closing and
 * sweeping stand. A write transaction begins by reading it and ends by writing it, so that it is always of one piece with the rows and cells beside
 * it. Little-endian, fixed width; P entries of positions and dues. */
#include "features/lmdb.h"

enum { STATE_VERSION = 1 };

reco_status reco__flmdb_room(reco__flmdb_array *array, size_t count, size_t size, reco_error *err) {
    if (array->room >= count) {
        return RECO_OK;
    }
    size_t room = array->room ? array->room : 64;
    while (room < count) {
        room *= 2;
    }
    void *data = reco__realloc_array(array->data, room, size);
    if (!data) {
        return reco__no_memory(err);
    }
    array->data = data;
    array->room = room;
    return RECO_OK;
}

/* --- meta ----------------------------------------------------------------------------------------------------------------------------- */

enum { META_KEY = 4 };

static void meta_key(uint8_t *key, const reco_features_store *store, char kind) {
    key[0] = 1;
    reco__be16(key + 1, store->space);
    key[3] = (uint8_t)kind;
}

reco_status reco__flmdb_meta_get(reco__kv_value *out, reco_features_store *store, reco__kv_txn *txn, char kind, reco_error *err) {
    uint8_t key[META_KEY];
    meta_key(key, store, kind);
    return reco__kv_get(out, txn, store->meta, key, sizeof key, err);
}

reco_status reco__flmdb_meta_put(reco_features_store *store, reco__kv_txn *txn, char kind, const void *data, size_t size, reco_error *err) {
    uint8_t key[META_KEY];
    meta_key(key, store, kind);
    return reco__kv_put(txn, store->meta, key, sizeof key, data, size, err);
}

reco_status reco__flmdb_meta_delete(reco_features_store *store, reco__kv_txn *txn, char kind, reco_error *err) {
    uint8_t key[META_KEY];
    meta_key(key, store, kind);
    return reco__kv_delete(txn, store->meta, key, sizeof key, err);
}

/* --- state ---------------------------------------------------------------------------------------------------------------------------- */

static uint8_t *put64(uint8_t *out, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    return out + 8;
}

static uint8_t *put32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    return out + 4;
}

reco_status reco__flmdb_state_write(reco_features_store *store, reco__kv_txn *txn, const reco__flmdb_state *state, reco_error *err) {
    uint8_t bytes[128 + RECO__FLMDB_PARTITIONS * 24], *at = bytes;
    at = put32(at, STATE_VERSION);
    at = put32(at, store->partitions);
    at = put64(at, state->epoch);
    at = put64(at, state->names_epoch);
    at = put64(at, state->user_count);
    at = put32(at, state->item_count);
    at = put32(at, state->mark);
    at = put64(at, (uint64_t)state->closed);
    at = put64(at, (uint64_t)state->closing);
    at = put32(at, state->cursor);
    at = put32(at, state->sweeping);
    at = put64(at, (uint64_t)state->expired[0]);
    at = put64(at, (uint64_t)state->expired[1]);
    at = put64(at, (uint64_t)state->swept_at);
    for (uint32_t p = 0; p < store->partitions; p++) {
        at = put64(at, (uint64_t)state->positions[p].offset);
        at = put64(at, (uint64_t)state->positions[p].clock);
        at = put64(at, (uint64_t)state->due[p]);
    }
    return reco__flmdb_meta_put(store, txn, RECO__FLMDB_META_STATE, bytes, (size_t)(at - bytes), err);
}

reco_status reco__flmdb_state_read(reco__flmdb_state *state, reco_features_store *store, reco__kv_txn *txn, reco_error *err) {
    reco__kv_value value;
    reco_status status = reco__flmdb_meta_get(&value, store, txn, RECO__FLMDB_META_STATE, err);
    if (status != RECO_OK) {
        return status == RECO_NOT_FOUND ? reco__fail(err, RECO_CORRUPT, "features", "the state of the namespace is missing") : status;
    }
    reco__reader in = reco__reader_of(value.data, value.size);
    uint32_t version = reco__read_u32(&in), partitions = reco__read_u32(&in);
    if (version != STATE_VERSION || partitions != store->partitions) {
        return reco__fail(err, version > STATE_VERSION ? RECO_NEWER : RECO_CORRUPT, "features", "the state is of version %u with %u partitions",
                          version, partitions);
    }
    state->epoch = reco__read_u64(&in);
    state->names_epoch = reco__read_u64(&in);
    state->user_count = reco__read_u64(&in);
    state->item_count = reco__read_u32(&in);
    state->mark = reco__read_u32(&in);
    state->closed = (int64_t)reco__read_u64(&in);
    state->closing = (int64_t)reco__read_u64(&in);
    state->cursor = reco__read_u32(&in);
    state->sweeping = reco__read_u32(&in);
    state->expired[0] = (int64_t)reco__read_u64(&in);
    state->expired[1] = (int64_t)reco__read_u64(&in);
    state->swept_at = (int64_t)reco__read_u64(&in);
    for (uint32_t p = 0; p < partitions; p++) {
        state->positions[p].offset = (int64_t)reco__read_u64(&in);
        state->positions[p].clock = (int64_t)reco__read_u64(&in);
        state->due[p] = (int64_t)reco__read_u64(&in);
    }
    return in.bad || in.at != in.end ? reco__fail(err, RECO_CORRUPT, "features", "the state of the namespace is damaged") : RECO_OK;
}

void reco__flmdb_state_init(reco__flmdb_state *state) {
    memset(state, 0, sizeof *state);
    state->closed = state->closing = RECO_BOARD_NONE_CLOSED;
    state->expired[0] = state->expired[1] = RECO_BOARD_NONE_CLOSED;
    for (int p = 0; p < RECO__FLMDB_PARTITIONS; p++) {
        state->due[p] = INT64_MAX;
    }
}

reco_status reco__flmdb_new_epoch(uint64_t *epoch, reco_error *err) {
    do {
        reco_status status = reco__random_bytes(epoch, sizeof *epoch, err);
        if (status != RECO_OK) {
            return status;
        }
    } while (*epoch == 0);
    return RECO_OK;
}

int64_t reco__flmdb_clock(const reco_features_store *store, const reco__flmdb_state *state) {
    int64_t least = state->positions[0].clock;
    for (uint32_t p = 1; p < store->partitions; p++) {
        least = state->positions[p].clock < least ? state->positions[p].clock : least;
    }
    return least;
}

int64_t reco__flmdb_newest_closed(const reco_features_store *store, const reco__flmdb_state *state, uint32_t board) {
    return reco_board_newest_closed(&store->rules, board, reco__flmdb_clock(store, state));
}

/* --- transactions --------------------------------------------------------------------------------------------------------------------- */

static reco_status begin(reco__flmdb_work *work, reco_features_store *store, bool freeing, reco_error *err) {
    work->store = store;
    pthread_mutex_lock(&store->write_lock);
    reco_status status = freeing ? reco__kv_write_begin_freeing(&work->txn, store->kv, err) : reco__kv_write_begin(&work->txn, store->kv, err);
    if (status != RECO_OK) {
        pthread_mutex_unlock(&store->write_lock);
        return status;
    }
    status = reco__flmdb_state_read(&work->state, store, work->txn, err);
    if (status != RECO_OK) {
        reco__flmdb_abort(work);
    }
    return status;
}

reco_status reco__flmdb_begin(reco__flmdb_work *work, reco_features_store *store, reco_error *err) { return begin(work, store, false, err); }

reco_status reco__flmdb_begin_freeing(reco__flmdb_work *work, reco_features_store *store, reco_error *err) { return begin(work, store, true, err); }

void reco__flmdb_abort(reco__flmdb_work *work) {
    reco__kv_abort(work->txn);
    pthread_mutex_unlock(&work->store->write_lock);
}

reco_status reco__flmdb_commit(reco__flmdb_work *work, reco_error *err) {
    reco_status status = reco__flmdb_state_write(work->store, work->txn, &work->state, err);
    if (status != RECO_OK) {
        reco__flmdb_abort(work);
        return status;
    }
    status = reco__kv_commit(work->txn, err);
    pthread_mutex_unlock(&work->store->write_lock);
    return status;
}

reco_status reco__flmdb_end(reco__flmdb_work *work, reco_status status, reco_error *err) {
    if (status == RECO_OK) {
        return reco__flmdb_commit(work, err);
    }
    reco__flmdb_abort(work);
    return status;
}

reco_status reco__flmdb_read(reco__kv_txn **txn, reco__flmdb_state *state, reco_features_store *store, uint32_t flags, reco_error *err) {
    reco_status status = reco__kv_read_begin(txn, store->kv, flags, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__flmdb_state_read(state, store, *txn, err);
    if (status != RECO_OK) {
        reco__kv_read_end(*txn);
    }
    return status;
}
