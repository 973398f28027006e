/* lmdb_close.c - what time brings: closing of co-view generations, expiry of popularity, sweeping of cells. In steps, each a write transaction
 * bounded by time.
 *
 * A pass of closing goes through the heads in the order of items, towards the number that was newest closed when it began; the state keeps how far it
 * came. When the clocks close another generation meanwhile, the pass begins again with the new number: items done are passed over at the cost of a
 * look, or cut once more. Items that come into being during a pass start at the number of their moment, which is no older than the pass's. When the
 * pass is through, `closed` says so, and nothing is due until the clocks move on. Nobody waits for any of this: reads of rows and the state hash
 * apply what is due themselves. */
#include "features/lmdb.h"

static bool coview_due(const reco_features_store *store, const reco__flmdb_state *state) {
    return state->closed < reco__flmdb_newest_closed(store, state, RECO_BOARD_COVIEW);
}

static bool popularity_due(const reco_features_store *store, const reco__flmdb_state *state, uint32_t board) {
    return state->expired[board] < reco__flmdb_newest_closed(store, state, board);
}

bool reco__flmdb_closing_due(const reco_features_store *store, const reco__flmdb_state *state) {
    return state->mark == RECO__FLMDB_WHOLE &&
           (coview_due(store, state) || popularity_due(store, state, RECO_BOARD_HOURS) || popularity_due(store, state, RECO_BOARD_DAYS));
}

/* --- popularity ----------------------------------------------------------------------------------------------------------------------- */

static reco_status expire_popularity(reco__flmdb_work *work, reco__kv_cursor *cursor, uint32_t board, int64_t until_ns, uint32_t *deleted,
                                     reco_error *err) {
    reco_features_store *store = work->store;
    int64_t newest_closed = reco__flmdb_newest_closed(store, &work->state, board);
    for (;;) {
        uint8_t wanted[RECO__FLMDB_ROW_KEY];
        reco__flmdb_row_key(wanted, store, board, 0, 0, 0);
        reco__kv_value key = {wanted, sizeof wanted}, value;
        reco__flmdb_row_place place;
        bool mine = false;
        reco_status status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
        if (status == RECO_OK) {
            status = reco__flmdb_row_place_read(&place, &mine, store, key, err);
        } else if (status == RECO_NOT_FOUND) {
            status = RECO_OK;
        }
        if (status != RECO_OK) {
            return status;
        }
        if (!mine || place.board != board || !reco_board_expired(&store->rules, board, place.generation, newest_closed)) {
            work->state.expired[board] = newest_closed;
            return RECO_OK;
        }
        if (*deleted == RECO__FLMDB_KEYS || (*deleted % 64 == 63 && reco__monotonic_ns() >= until_ns)) {
            return RECO_OK;
        }
        status = reco__kv_cursor_delete(cursor, err);
        if (status != RECO_OK) {
            return status;
        }
        (*deleted)++;
    }
}

/* --- co-view -------------------------------------------------------------------------------------------------------------------------- */

static reco_status close_items(reco__flmdb_work *work, reco__kv_cursor *heads, reco__kv_cursor *rows, int64_t until_ns, reco_error *err) {
    reco_features_store *store = work->store;
    reco__flmdb_state *state = &work->state;
    int64_t target = reco__flmdb_newest_closed(store, state, RECO_BOARD_COVIEW);
    if (state->closing != target) {
        state->closing = target;
        state->cursor = 0;
    }
    for (;;) {
        uint8_t wanted[RECO__FLMDB_HEAD_KEY];
        reco__flmdb_head_key(wanted, store, state->cursor);
        reco__kv_value key = {wanted, sizeof wanted}, value;
        reco_status status = reco__kv_seek(heads, RECO__KV_FROM, &key, &value, err);
        if (status == RECO_NOT_FOUND || (status == RECO_OK && (key.size != sizeof wanted || memcmp(key.data, wanted, 2) != 0))) {
            state->closed = target;
            state->cursor = 0;
            return RECO_OK;
        }
        if (status != RECO_OK) {
            return status;
        }
        uint32_t item = reco__from_be32((const uint8_t *)key.data + 2);
        status = reco__flmdb_head_close(work, heads, rows, item, value, target, err);
        if (status != RECO_OK) {
            return status;
        }
        state->cursor = item + 1;
        if (reco__monotonic_ns() >= until_ns) {
            return RECO_OK;
        }
    }
}

static reco_status close_some(reco__flmdb_work *work, int64_t until_ns, reco_error *err) {
    reco_features_store *store = work->store;
    reco__kv_cursor *heads = NULL, *rows = NULL;
    uint32_t deleted = 0;
    reco_status status = reco__flmdb_names_follow(store, work->txn, &work->state, err);
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&rows, work->txn, store->rows, err);
    }
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&heads, work->txn, store->heads, err);
    }
    for (uint32_t board = RECO_BOARD_HOURS; board <= RECO_BOARD_DAYS && status == RECO_OK; board++) {
        if (popularity_due(store, &work->state, board)) {
            status = expire_popularity(work, rows, board, until_ns, &deleted, err);
        }
    }
    if (status == RECO_OK && coview_due(store, &work->state)) {
        status = close_items(work, heads, rows, until_ns, err);
    }
    if (heads) {
        reco__kv_cursor_close(heads);
    }
    if (rows) {
        reco__kv_cursor_close(rows);
    }
    return status;
}

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

static reco_status due_now(bool *closing, bool *sweeping, reco_features_store *store, reco_error *err) {
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status == RECO_OK) {
        reco__kv_read_end(txn);
        *closing = reco__flmdb_closing_due(store, &state);
        *sweeping = state.mark == RECO__FLMDB_WHOLE && reco__flmdb_sweep_due(store, &state);
    }
    return status;
}

/* One transaction of it. */
static reco_status step(bool *closing, bool *sweeping, reco_features_store *store, int64_t until_ns, bool sweep, reco_error *err) {
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin_freeing(&work, store, err);
    if (status != RECO_OK) {
        return status;
    }
    if (reco__flmdb_closing_due(store, &work.state)) {
        status = close_some(&work, until_ns, err);
    } else if (sweep && work.state.mark == RECO__FLMDB_WHOLE && reco__flmdb_sweep_due(store, &work.state)) {
        status = reco__flmdb_sweep(&work, until_ns, err);
    }
    *closing = reco__flmdb_closing_due(store, &work.state);
    *sweeping = work.state.mark == RECO__FLMDB_WHOLE && reco__flmdb_sweep_due(store, &work.state);
    return reco__flmdb_end(&work, status, err);
}

reco_status reco__flmdb_close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err) {
    (void)call;
    bool closing = false, sweeping = false;
    int64_t until_ns = reco__monotonic_ns() + budget_ns;
    *more = 0;
    reco_status status = due_now(&closing, &sweeping, store, err);
    if (status == RECO_OK && (closing || sweeping)) {
        status = step(&closing, &sweeping, store, until_ns, true, err);
    }
    *more = status == RECO_OK && (closing || sweeping);
    return status;
}

reco_status reco__flmdb_settle(reco_features_store *store, const reco_call *call, reco_error *err) {
    const int64_t slice_ns = 50 * 1000 * 1000;
    bool closing = false, sweeping = false;
    reco_status status = due_now(&closing, &sweeping, store, err);
    while (status == RECO_OK && closing) {
        status = step(&closing, &sweeping, store, reco__monotonic_ns() + slice_ns, false, err);
        if (status == RECO_OK) {
            status = reco__call_check(call, err);
        }
    }
    return status;
}
