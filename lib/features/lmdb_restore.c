/* lmdb_restore.c - loading a snapshot into a namespace.
 *
 * A restore is many transactions, so the state carries a mark from the first to the last of them; nothing is learned meanwhile. FIRST takes a lock of
 * the namespace (an OFD lock, which the kernel drops with the process), sets the mark with new epochs and empties all tables. Pieces put rows and
 * cells, and note in each item's head which generations it has. LAST makes the heads at the number the positions give, in slices, and then, in one
 * transaction, writes positions, another epoch and no mark. Who opens a marked namespace whose lock is free finishes what was begun by a process that
 * died: it empties it, and learning starts over. */
#include "features/lmdb.h"

enum { SLICE_NS = 50 * 1000 * 1000 };

/* --- emptying ------------------------------------------------------------------------------------------------------------------------- */

/* Deletes keys of the namespace in one table, at most `*left` of them. */
static reco_status empty_table(reco__flmdb_work *work, reco__kv_table table, uint32_t *left, reco_error *err) {
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, work->txn, table, err);
    if (status != RECO_OK) {
        return status;
    }
    uint8_t space[2];
    reco__be16(space, work->store->space);
    while (*left > 0) {
        reco__kv_value key = {space, sizeof space}, value;
        status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
        if (status != RECO_OK || key.size < 2 || memcmp(key.data, space, 2) != 0) {
            status = status == RECO_NOT_FOUND ? RECO_OK : status;
            break;
        }
        status = reco__kv_cursor_delete(cursor, err);
        if (status != RECO_OK) {
            break;
        }
        (*left)--;
    }
    reco__kv_cursor_close(cursor);
    return status;
}

static reco_status empty_some(reco__flmdb_work *work, bool *done, reco_error *err) {
    reco_features_store *store = work->store;
    const reco__kv_table tables[] = {store->names_table, store->cells, store->rows, store->heads, store->debts};
    uint32_t left = RECO__FLMDB_KEYS;
    reco_status status = RECO_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && status == RECO_OK; i++) {
        status = empty_table(work, tables[i], &left, err);
    }
    *done = left > 0;
    return status;
}

/* Marks the namespace, with new epochs and nothing in its state. */
static reco_status set_mark(reco_features_store *store, reco_error *err) {
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin(&work, store, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__flmdb_state_init(&work.state);
    work.state.mark = RECO__FLMDB_RESTORING;
    status = reco__flmdb_new_epoch(&work.state.epoch, err);
    work.state.names_epoch = work.state.epoch;
    if (status == RECO_OK) {
        status = reco__flmdb_meta_delete(store, work.txn, RECO__FLMDB_META_SWEEP, err);
    }
    return reco__flmdb_end(&work, status, err);
}

static reco_status empty_all(reco_features_store *store, reco_error *err) {
    reco_status status = set_mark(store, err);
    for (bool done = false; status == RECO_OK && !done;) {
        reco__flmdb_work work;
        status = reco__flmdb_begin(&work, store, err);
        if (status == RECO_OK) {
            status = reco__flmdb_end(&work, empty_some(&work, &done, err), err);
        }
    }
    return status;
}

static reco_status clear_mark(reco_features_store *store, const reco_position *positions, reco_error *err) {
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin(&work, store, err);
    if (status != RECO_OK) {
        return status;
    }
    if (positions) {
        memcpy(work.state.positions, positions, store->partitions * sizeof *positions);
        work.state.closed = work.state.closing = reco__flmdb_newest_closed(store, &work.state, RECO_BOARD_COVIEW);
    }
    work.state.mark = RECO__FLMDB_WHOLE;
    return reco__flmdb_end(&work, reco__flmdb_new_epoch(&work.state.epoch, err), err);
}

/* --- the lock ------------------------------------------------------------------------------------------------------------------------- */

static reco_status take_lock(reco_features_store *store, reco_error *err) {
    if (store->restore_lock) {
        return RECO_OK;
    }
    reco__kv_lock *lock;
    reco_status status = reco__kv_lock_open(&lock, store->kv, err);
    if (status != RECO_OK) {
        return status;
    }
    if (!reco__kv_lock_try(lock, store->space)) {
        reco__kv_lock_close(lock);
        return reco__fail(err, RECO_BUSY, "features", "another process is loading a snapshot");
    }
    store->restore_lock = lock;
    return RECO_OK;
}

static void drop_lock(reco_features_store *store) {
    if (store->restore_lock) {
        reco__kv_lock_close(store->restore_lock);
        store->restore_lock = NULL;
    }
}

reco_status reco__flmdb_restore_recover(reco_features_store *store, reco_error *err) {
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__kv_read_end(txn);
    if (state.mark == RECO__FLMDB_WHOLE) {
        return RECO_OK;
    }
    status = take_lock(store, err);
    if (status == RECO_OK) {
        status = empty_all(store, err);
    }
    if (status == RECO_OK) {
        status = clear_mark(store, NULL, err);
    }
    drop_lock(store);
    return status;
}

/* --- pieces
 * -------------------------------------------------------------------------------------------------------------------------------------------------
 */

/* Writes one row of a piece: `count` adds of one item. */
static reco_status put_row(reco__flmdb_work *work, reco__kv_cursor *rows, reco__kv_cursor *heads, const reco_add_group *group, size_t at,
                           size_t count, reco_error *err) {
    reco_features_store *store = work->store;
    uint32_t item = group->adds[at].item;
    reco_status status = reco__flmdb_room(&store->row, count, sizeof(reco_entry), err);
    if (status != RECO_OK) {
        return status;
    }
    reco_entry *entries = store->row.data;
    for (size_t i = 0; i < count; i++) {
        entries[i] = (reco_entry){group->adds[at + i].member, 0, group->adds[at + i].delta};
    }
    bool exists;
    status = reco__flmdb_row_exists(&exists, store, rows, group->board, group->generation, item, err);
    if (status == RECO_OK && exists) {
        status = reco__fail(err, RECO_INVALID, "groups", "the row of item %u in generation %lld comes twice", item, (long long)group->generation);
    }
    if (status == RECO_OK) {
        status = reco__flmdb_row_write(store, rows, group->board, group->generation, item, entries, count, err);
    }
    return status == RECO_OK && group->board == RECO_BOARD_COVIEW ? reco__flmdb_head_note(work, heads, item, group->generation, err) : status;
}

static reco_status put_group(reco__flmdb_work *work, reco__kv_cursor *rows, reco__kv_cursor *heads, const reco_add_group *group, reco_error *err) {
    reco_status status = RECO_OK;
    for (size_t at = 0, end; at < group->count && status == RECO_OK; at = end) {
        for (end = at + 1; end < group->count && group->adds[end].item == group->adds[at].item;) {
            end++;
        }
        status = put_row(work, rows, heads, group, at, end - at, err);
    }
    return status;
}

static reco_status put_groups(reco__flmdb_work *work, const reco_restore_piece *piece, reco_error *err) {
    reco__kv_cursor *rows = NULL, *heads = NULL;
    reco_status status = reco__flmdb_check_adds(work->store, &work->state, piece->groups, piece->group_count, err);
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&rows, work->txn, work->store->rows, err);
    }
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&heads, work->txn, work->store->heads, err);
    }
    for (size_t i = 0; i < piece->group_count && status == RECO_OK; i++) {
        status = put_group(work, rows, heads, &piece->groups[i], err);
    }
    if (heads) {
        reco__kv_cursor_close(heads);
    }
    if (rows) {
        reco__kv_cursor_close(rows);
    }
    return status;
}

static reco_status put_piece(reco_features_store *store, const reco_restore_piece *piece, reco_error *err) {
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin(&work, store, err);
    if (status != RECO_OK) {
        return status;
    }
    if (work.state.mark != RECO__FLMDB_RESTORING || !store->restore_lock) {
        status = reco__fail(err, RECO_CONFLICT, "flags", "no restore has begun here");
    }
    for (size_t i = 0; i < piece->cell_count && status == RECO_OK; i++) {
        if (piece->cell_partitions[i] >= store->partitions) {
            status =
                reco__fail_at(err, RECO_INVALID, (int32_t)i, "cell_partitions", "partition %u of %u", piece->cell_partitions[i], store->partitions);
        }
    }
    if (status == RECO_OK) {
        status = put_groups(&work, piece, err);
    }
    if (status == RECO_OK) {
        status = reco__flmdb_cells_put(&work, piece->cells, piece->cell_partitions, 0, piece->cell_count, err);
    }
    return reco__flmdb_end(&work, status, err);
}

/* --- heads
 * ---------------------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status make_heads(reco__flmdb_work *work, uint32_t *from, int64_t closed_at, bool *done, reco_error *err) {
    reco_features_store *store = work->store;
    reco__kv_cursor *rows = NULL, *heads = NULL;
    int64_t until_ns = reco__monotonic_ns() + SLICE_NS;
    reco_status status = reco__flmdb_names_follow(store, work->txn, &work->state, err);
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&rows, work->txn, store->rows, err);
    }
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&heads, work->txn, store->heads, err);
    }
    while (status == RECO_OK && reco__monotonic_ns() < until_ns) {
        uint8_t wanted[RECO__FLMDB_HEAD_KEY];
        reco__flmdb_head_key(wanted, store, *from);
        reco__kv_value key = {wanted, sizeof wanted}, value;
        status = reco__kv_seek(heads, RECO__KV_FROM, &key, &value, err);
        if (status == RECO_NOT_FOUND || (status == RECO_OK && (key.size != sizeof wanted || memcmp(key.data, wanted, 2) != 0))) {
            *done = true;
            status = RECO_OK;
            break;
        }
        if (status == RECO_OK) {
            uint32_t item = reco__from_be32((const uint8_t *)key.data + 2);
            status = reco__flmdb_head_close(work, heads, rows, item, value, closed_at, err);
            *from = item + 1;
        }
    }
    if (heads) {
        reco__kv_cursor_close(heads);
    }
    if (rows) {
        reco__kv_cursor_close(rows);
    }
    return status;
}

static reco_status finish(reco_features_store *store, const reco_position *positions, const reco_call *call, reco_error *err) {
    reco__flmdb_state state;
    memcpy(state.positions, positions, store->partitions * sizeof *positions);
    int64_t closed_at = reco__flmdb_newest_closed(store, &state, RECO_BOARD_COVIEW);
    reco_status status = RECO_OK;
    uint32_t from = 0;
    for (bool done = false; !done && status == RECO_OK;) {
        reco__flmdb_work work;
        status = reco__flmdb_begin(&work, store, err);
        if (status == RECO_OK) {
            status = reco__flmdb_end(&work, make_heads(&work, &from, closed_at, &done, err), err);
        }
        if (status == RECO_OK) {
            status = reco__call_check(call, err);
        }
    }
    return status == RECO_OK ? clear_mark(store, positions, err) : status;
}

reco_status reco__flmdb_restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    if (piece->flags & RECO_RESTORE_FIRST) {
        status = take_lock(store, err);
        if (status == RECO_OK) {
            status = empty_all(store, err);
        }
    }
    if (status == RECO_OK) {
        status = put_piece(store, piece, err);
    }
    if (status == RECO_OK && (piece->flags & RECO_RESTORE_LAST)) {
        status = finish(store, piece->positions, call, err);
        if (status == RECO_OK) {
            drop_lock(store);
        }
    }
    return status;
}
