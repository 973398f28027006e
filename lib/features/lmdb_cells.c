/* lmdb_cells.c - cells of users.
 *
 * key: u16 namespace, user bytes. value: u16 partition, i64 expires_at (little-endian), then the cell as the derivation wrote it.
 *
 * A cell is gone once the clock of its partition is past expires_at, whether it still lies there or not; load and scan say so. Sweeping is only
 * housekeeping: a round walks all cells in small steps. It begins when a clock has passed the earliest expiry known for its partition and has moved a
 * generation of the hours board since the last round, so that a steady trickle of expiries does not keep it walking; or at once when the table is
 * full. The round finds the next expiry of each partition; cells put meanwhile lower it. Value "sweep" while a round runs: u16 size of the cursor,
 * the user after which to go on, then i64 earliest expiry found so far, for each partition. */
#include "features/lmdb.h"

enum { CELL_KEY_MAX = 2 + RECO__FLMDB_USER_MAX };

static size_t cell_key(uint8_t *key, const reco_features_store *store, reco_str user) {
    reco__be16(key, store->space);
    if (user.size) {
        memcpy(key + 2, user.data, user.size);
    }
    return user.size + 2;
}

reco_status reco__flmdb_cell_read(reco__flmdb_cell *out, reco__kv_value key, reco__kv_value value, reco_error *err) {
    if (value.size < RECO__FLMDB_CELL_HEADER || key.size < 3) {
        return reco__fail(err, RECO_CORRUPT, "features", "a cell of %zu bytes", value.size);
    }
    reco__reader in = reco__reader_of(value.data, value.size);
    out->partition = reco__read_u16(&in);
    out->expires_at = (int64_t)reco__read_u64(&in);
    out->data = in.at;
    out->size = value.size - RECO__FLMDB_CELL_HEADER;
    out->user.data = (const char *)key.data + 2;
    out->user.size = key.size - 2;
    return RECO_OK;
}

static reco_status load_one(reco_features_store *store, reco__kv_txn *txn, const reco__flmdb_state *state, reco_str user, size_t index,
                            reco_features_sink sink, void *context, reco_error *err) {
    uint8_t key[CELL_KEY_MAX];
    if (user.size == 0 || user.size > RECO__FLMDB_USER_MAX) {
        return reco__fail_at(err, RECO_INVALID, (int32_t)index, "user_id", "an id of %zu bytes", user.size);
    }
    reco__kv_value stored_key = {key, cell_key(key, store, user)}, value;
    reco_status status = reco__kv_get(&value, txn, store->cells, key, stored_key.size, err);
    if (status != RECO_OK) {
        return status == RECO_NOT_FOUND ? RECO_OK : status;
    }
    reco__flmdb_cell cell;
    status = reco__flmdb_cell_read(&cell, stored_key, value, err);
    if (status == RECO_OK && cell.partition < store->partitions && cell.expires_at >= state->positions[cell.partition].clock) {
        sink(context, index, cell.data, cell.size);
    }
    return status;
}

reco_status reco__flmdb_load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users,
                             size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    if (state.mark != RECO__FLMDB_WHOLE) {
        status = reco__fail(err, RECO_BUSY, "features", "a snapshot is being loaded");
    }
    *position = state.positions[partition];
    *epoch = state.epoch;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        status = load_one(store, txn, &state, users[i], i, sink, context, err);
    }
    reco__kv_read_end(txn);
    return status;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------- */

static reco_status put_one(reco__flmdb_work *work, reco__kv_cursor *cursor, const reco_cell_put *put, uint32_t partition, reco_error *err) {
    reco_features_store *store = work->store;
    uint8_t bytes[CELL_KEY_MAX];
    size_t size = cell_key(bytes, store, put->user);
    reco__kv_value key = {bytes, size};
    reco_status status = reco__kv_seek(cursor, RECO__KV_EXACT, &key, NULL, err);
    bool found = status == RECO_OK;
    if (!found && status != RECO_NOT_FOUND) {
        return status;
    }
    if (put->size == 0) {
        work->state.user_count -= found;
        return found ? reco__kv_cursor_delete(cursor, err) : RECO_OK;
    }
    if (!found && work->state.user_count >= store->max_users) {
        return reco__fail(err, RECO_FULL, "limits.users", "the table of users is full: %llu", (unsigned long long)store->max_users);
    }
    work->state.user_count += !found;
    if (put->expires_at < work->state.due[partition]) {
        work->state.due[partition] = put->expires_at;
    }
    void *place;
    status = reco__kv_reserve(&place, work->txn, store->cells, bytes, size, put->size + RECO__FLMDB_CELL_HEADER, err);
    if (status != RECO_OK) {
        return status;
    }
    uint8_t *at = place;
    *at++ = (uint8_t)partition;
    *at++ = (uint8_t)(partition >> 8);
    for (int i = 0; i < 8; i++) {
        *at++ = (uint8_t)((uint64_t)put->expires_at >> (8 * i));
    }
    memcpy(at, put->data, put->size);
    return RECO_OK;
}

reco_status reco__flmdb_cells_put(reco__flmdb_work *work, const reco_cell_put *cells, const uint32_t *partitions, uint32_t partition, size_t count,
                                  reco_error *err) {
    if (count == 0) {
        return RECO_OK;
    }
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, work->txn, work->store->cells, err);
    if (status != RECO_OK) {
        return status;
    }
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        status = put_one(work, cursor, &cells[i], partitions ? partitions[i] : partition, err);
    }
    reco__kv_cursor_close(cursor);
    return status;
}

/* --- sweeping ------------------------------------------------------------------------------------------------------------------------- */

static int64_t newest_clock(const reco_features_store *store, const reco__flmdb_state *state) {
    int64_t newest = 0;
    for (uint32_t p = 0; p < store->partitions; p++) {
        newest = state->positions[p].clock > newest ? state->positions[p].clock : newest;
    }
    return newest;
}

bool reco__flmdb_sweep_due(const reco_features_store *store, const reco__flmdb_state *state) {
    if (state->sweeping) {
        return true;
    }
    bool full = state->user_count >= store->max_users;
    if (!full && newest_clock(store, state) - state->swept_at < store->rules.length[RECO_BOARD_HOURS]) {
        return false;
    }
    for (uint32_t p = 0; p < store->partitions; p++) {
        if (state->due[p] < state->positions[p].clock) {
            return true;
        }
    }
    return false;
}

/* Where a round stands. */
struct round {
    uint8_t key[CELL_KEY_MAX]; /* the cell looked at last */
    size_t key_size;
    int64_t earliest[RECO__FLMDB_PARTITIONS];
};

static reco_status round_read(struct round *round, reco__flmdb_work *work, reco_error *err) {
    reco_features_store *store = work->store;
    reco__kv_value value;
    reco_status status = reco__flmdb_meta_get(&value, store, work->txn, RECO__FLMDB_META_SWEEP, err);
    if (status != RECO_OK) {
        return status == RECO_NOT_FOUND ? reco__fail(err, RECO_CORRUPT, "features", "the place of the sweep is missing") : status;
    }
    reco__reader in = reco__reader_of(value.data, value.size);
    reco_str user = {NULL, reco__read_u16(&in)};
    user.data = (const char *)reco__read_bytes(&in, user.size);
    for (uint32_t p = 0; p < store->partitions; p++) {
        round->earliest[p] = (int64_t)reco__read_u64(&in);
    }
    if (in.bad || user.size > RECO__FLMDB_USER_MAX) {
        return reco__fail(err, RECO_CORRUPT, "features", "the place of the sweep is damaged");
    }
    round->key_size = cell_key(round->key, store, user);
    return RECO_OK;
}

static reco_status round_write(const struct round *round, reco__flmdb_work *work, reco_error *err) {
    reco__buf bytes = {0};
    reco__buf_u16(&bytes, (uint16_t)(round->key_size - 2));
    reco__buf_add(&bytes, round->key + 2, round->key_size - 2);
    for (uint32_t p = 0; p < work->store->partitions; p++) {
        reco__buf_u64(&bytes, (uint64_t)round->earliest[p]);
    }
    reco_status status = reco__buf_status(&bytes, err);
    if (status == RECO_OK) {
        status = reco__flmdb_meta_put(work->store, work->txn, RECO__FLMDB_META_SWEEP, bytes.data, bytes.size, err);
    }
    reco__buf_dispose(&bytes);
    return status;
}

static void round_begin(struct round *round, reco__flmdb_work *work) {
    reco_str none = {NULL, 0};
    round->key_size = cell_key(round->key, work->store, none);
    for (uint32_t p = 0; p < work->store->partitions; p++) {
        round->earliest[p] = INT64_MAX;
        work->state.due[p] = INT64_MAX; /* from here on: of cells put during the round */
    }
    work->state.sweeping = 1;
    work->state.swept_at = newest_clock(work->store, &work->state);
}

static reco_status round_finish(const struct round *round, reco__flmdb_work *work, reco_error *err) {
    for (uint32_t p = 0; p < work->store->partitions; p++) {
        work->state.due[p] = round->earliest[p] < work->state.due[p] ? round->earliest[p] : work->state.due[p];
    }
    work->state.sweeping = 0;
    return reco__flmdb_meta_delete(work->store, work->txn, RECO__FLMDB_META_SWEEP, err);
}

/* Looks at the cell under the cursor. */
static reco_status sweep_one(struct round *round, reco__flmdb_work *work, reco__kv_cursor *cursor, reco__kv_value key, reco__kv_value value,
                             uint32_t *deleted, reco_error *err) {
    reco__flmdb_cell cell;
    reco_status status = reco__flmdb_cell_read(&cell, key, value, err);
    if (status != RECO_OK) {
        return status;
    }
    if (key.size > CELL_KEY_MAX || cell.partition >= work->store->partitions) {
        return reco__fail(err, RECO_CORRUPT, "features", "a cell of partition %u", cell.partition);
    }
    memcpy(round->key, key.data, key.size);
    round->key_size = key.size;
    if (cell.expires_at < work->state.positions[cell.partition].clock) {
        work->state.user_count--;
        (*deleted)++;
        return reco__kv_cursor_delete(cursor, err);
    }
    if (cell.expires_at < round->earliest[cell.partition]) {
        round->earliest[cell.partition] = cell.expires_at;
    }
    return RECO_OK;
}

/* Walks on from where the round stands. *done: the end was reached. */
static reco_status walk(struct round *round, reco__flmdb_work *work, int64_t until_ns, bool *done, reco_error *err) {
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, work->txn, work->store->cells, err);
    uint32_t looked_at = 0, deleted = 0;
    *done = false;
    while (status == RECO_OK) {
        uint8_t from[CELL_KEY_MAX + 1];
        memcpy(from, round->key, round->key_size);
        from[round->key_size] = 0; /* the first key after it */
        reco__kv_value key = {from, round->key_size + 1}, value;
        if (round->key_size == 2) {
            key.size = 2;
        }
        status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
        if (status == RECO_NOT_FOUND || (status == RECO_OK && (key.size < 3 || reco__from_be16(key.data) != work->store->space))) {
            *done = true;
            status = RECO_OK;
            break;
        }
        if (status == RECO_OK) {
            status = sweep_one(round, work, cursor, key, value, &deleted, err);
        }
        if (deleted == RECO__FLMDB_KEYS || (++looked_at % 32 == 0 && reco__monotonic_ns() >= until_ns)) {
            break;
        }
    }
    reco__kv_cursor_close(cursor);
    return status;
}

reco_status reco__flmdb_sweep(reco__flmdb_work *work, int64_t until_ns, reco_error *err) {
    struct round round;
    reco_status status = RECO_OK;
    if (work->state.sweeping) {
        status = round_read(&round, work, err);
    } else {
        round_begin(&round, work);
    }
    bool done = false;
    if (status == RECO_OK) {
        status = walk(&round, work, until_ns, &done, err);
    }
    if (status == RECO_OK) {
        status = done ? round_finish(&round, work, err) : round_write(&round, work, err);
    }
    return status;
}
