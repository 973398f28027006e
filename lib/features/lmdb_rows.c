/* lmdb_rows.c - rows in chunks.
 *
 * key, big-endian: u16 namespace, u8 board, i64 generation, u32 item, u32 bound. value: a packed list of at most 2,000 bytes.
 * A chunk holds the members up to its bound that are above the bound of the chunk before; the last chunk of a row has the bound 0xffffffff. So one
 * seek to (row, member) finds the chunk a member belongs to, whether it is there or not; a first-member key would need a step back, and a rewrite of
 * the key when a smaller member comes. A chunk that outgrows 2,000 bytes is divided into pieces of about 1,400: the pieces before get keys of their
 * own, the last keeps the bound. A row without its last chunk is a row all the same: the next larger member begins a new one. Empty chunks and empty
 * rows do not exist. */
#include "features/lmdb.h"

#include "features/chunk.h"

void reco__flmdb_row_key(uint8_t *key, const reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, uint32_t bound) {
    reco__be16(key, store->space);
    key[2] = (uint8_t)board;
    reco__be64(key + 3, (uint64_t)generation);
    reco__be32(key + 11, item);
    reco__be32(key + 15, bound);
}

reco_status reco__flmdb_row_place_read(reco__flmdb_row_place *out, bool *mine, const reco_features_store *store, reco__kv_value key,
                                       reco_error *err) {
    const uint8_t *at = key.data;
    *mine = key.size >= 2 && reco__from_be16(at) == store->space;
    if (!*mine) {
        return RECO_OK;
    }
    if (key.size != RECO__FLMDB_ROW_KEY || at[2] >= RECO_BOARD_COUNT) {
        return reco__fail(err, RECO_CORRUPT, "features", "a row's key of %zu bytes", key.size);
    }
    out->board = at[2];
    out->generation = (int64_t)reco__from_be64(at + 3);
    out->item = reco__from_be32(at + 11);
    out->bound = reco__from_be32(at + 15);
    return RECO_OK;
}

static reco_status corrupt(const uint8_t *key, reco_error *err) {
    return reco__fail(err, RECO_CORRUPT, "features", "a damaged row: board %u, generation %lld, item %u", key[2], (long long)reco__from_be64(key + 3),
                      reco__from_be32(key + 11));
}

/* The first chunk of the row with a bound >= that of `key`. */
static reco_status seek_chunk(reco__kv_cursor *cursor, const uint8_t *key, uint32_t *bound, reco__kv_value *value, reco_error *err) {
    reco__kv_value found = {key, RECO__FLMDB_ROW_KEY};
    reco_status status = reco__kv_seek(cursor, RECO__KV_FROM, &found, value, err);
    if (status != RECO_OK) {
        return status;
    }
    if (found.size != RECO__FLMDB_ROW_KEY || memcmp(found.data, key, RECO__FLMDB_ROW_PREFIX) != 0) {
        return RECO_NOT_FOUND;
    }
    *bound = reco__from_be32((const uint8_t *)found.data + RECO__FLMDB_ROW_PREFIX);
    return RECO_OK;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------- */

/* Writes a list that is too long for one chunk as pieces; the last one under the key as it is. */
static reco_status put_pieces(reco__kv_cursor *cursor, uint8_t *key, const uint8_t *bytes, size_t size, reco_error *err) {
    uint32_t bound = reco__from_be32(key + RECO__FLMDB_ROW_PREFIX);
    size_t pieces = size / RECO__FLMDB_SPLIT + 1, target = size / pieces + RECO_PACKED_ENTRY_MAX;
    reco_status status = RECO_OK;
    while (size > 0 && status == RECO_OK) {
        uint32_t last;
        size_t piece = reco__chunk_piece(&last, bytes, size, target);
        reco__be32(key + RECO__FLMDB_ROW_PREFIX, piece == size ? bound : last);
        status = reco__kv_cursor_put(cursor, key, RECO__FLMDB_ROW_KEY, bytes, piece, err);
        bytes += piece;
        size -= piece;
    }
    return status;
}

/* Puts a list in the place of the chunk the cursor stands on (found), or as a new one. */
static reco_status put_chunk(reco__kv_cursor *cursor, uint8_t *key, bool found, const uint8_t *bytes, size_t size, reco_error *err) {
    if (size == 0) {
        return found ? reco__kv_cursor_delete(cursor, err) : RECO_OK;
    }
    if (size > RECO__FLMDB_CHUNK) {
        return put_pieces(cursor, key, bytes, size, err);
    }
    return found ? reco__kv_cursor_replace(cursor, key, RECO__FLMDB_ROW_KEY, bytes, size, err)
                 : reco__kv_cursor_put(cursor, key, RECO__FLMDB_ROW_KEY, bytes, size, err);
}

reco_status reco__flmdb_row_add(reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                const reco_add *adds, size_t count, int64_t *totals, bool *shrunk, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    reco__flmdb_row_key(key, store, board, generation, item, 0);
    for (size_t done = 0, end; done < count; done = end) {
        uint32_t bound = UINT32_MAX;
        reco__kv_value value = {NULL, 0};
        reco__be32(key + RECO__FLMDB_ROW_PREFIX, adds[done].member);
        reco_status status = seek_chunk(cursor, key, &bound, &value, err);
        bool found = status == RECO_OK;
        if (!found && status != RECO_NOT_FOUND) {
            return status;
        }
        for (end = done + 1; end < count && adds[end].member <= bound;) {
            end++;
        }
        size_t size;
        status = reco__flmdb_room(&store->chunk, value.size * found + (end - done) * RECO_PACKED_ENTRY_MAX, 1, err);
        if (status != RECO_OK) {
            return status;
        }
        if (reco__chunk_add(&size, store->chunk.data, totals + done, value.data, found ? value.size : 0, adds + done, end - done) != RECO_OK) {
            return corrupt(key, err);
        }
        reco__be32(key + RECO__FLMDB_ROW_PREFIX, bound);
        *shrunk |= size == 0;
        status = put_chunk(cursor, key, found, store->chunk.data, size, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    return RECO_OK;
}

reco_status reco__flmdb_row_write(reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                  const reco_entry *entries, size_t count, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    reco_status status = reco__flmdb_room(&store->chunk, count * RECO_PACKED_ENTRY_MAX, 1, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__flmdb_row_key(key, store, board, generation, item, UINT32_MAX);
    return put_chunk(cursor, key, false, store->chunk.data, reco_board_pack(store->chunk.data, entries, count), err);
}

reco_status reco__flmdb_row_delete(const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                   reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    reco__flmdb_row_key(key, store, board, generation, item, 0);
    for (;;) {
        uint32_t bound;
        reco__kv_value value;
        reco_status status = seek_chunk(cursor, key, &bound, &value, err);
        if (status == RECO_OK) {
            status = reco__kv_cursor_delete(cursor, err);
        }
        if (status != RECO_OK) {
            return status == RECO_NOT_FOUND ? RECO_OK : status;
        }
    }
}

/* --- reading -------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__flmdb_row_exists(bool *exists, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation,
                                   uint32_t item, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    uint32_t bound;
    reco__kv_value value;
    reco__flmdb_row_key(key, store, board, generation, item, 0);
    reco_status status = seek_chunk(cursor, key, &bound, &value, err);
    *exists = status == RECO_OK;
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

reco_status reco__flmdb_row_load(reco__flmdb_array *row, size_t *count, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board,
                                 int64_t generation, uint32_t item, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    uint32_t bound = 0;
    *count = 0;
    for (;;) {
        reco__kv_value value;
        reco__flmdb_row_key(key, store, board, generation, item, bound);
        reco_status status = seek_chunk(cursor, key, &bound, &value, err);
        if (status != RECO_OK) {
            return status == RECO_NOT_FOUND ? RECO_OK : status;
        }
        size_t more;
        status = reco__flmdb_room(row, *count + value.size / 5 + 1, sizeof(reco_entry), err);
        if (status != RECO_OK) {
            return status;
        }
        if (reco_board_unpack(&more, (reco_entry *)row->data + *count, row->room - *count, value.data, value.size) != RECO_OK) {
            return corrupt(key, err);
        }
        *count += more;
        if (bound == UINT32_MAX) {
            return RECO_OK;
        }
        bound++;
    }
}

reco_status reco__flmdb_row_look_up(int64_t *totals, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation,
                                    uint32_t item, const uint32_t *members, size_t count, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    for (size_t next = 0; next < count;) {
        uint32_t bound;
        reco__kv_value value;
        reco__flmdb_row_key(key, store, board, generation, item, members[next]);
        reco_status status = seek_chunk(cursor, key, &bound, &value, err);
        if (status != RECO_OK) {
            return status == RECO_NOT_FOUND ? RECO_OK : status;
        }
        if (reco__chunk_look_up(totals, &next, members, count, value.data, value.size) != RECO_OK) {
            return corrupt(key, err);
        }
        while (next < count && members[next] <= bound) {
            next++; /* beyond the last entry of this chunk, yet within its bound: not there */
        }
    }
    return RECO_OK;
}

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

/* Emits the chunks of a row as they lie. */
static reco_status emit_chunks(reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                               reco_features_sink sink, void *context, reco_error *err) {
    uint8_t key[RECO__FLMDB_ROW_KEY];
    uint32_t bound = 0;
    for (size_t index = 0;; index++) {
        reco__kv_value value;
        reco__flmdb_row_key(key, store, board, generation, item, bound);
        reco_status status = seek_chunk(cursor, key, &bound, &value, err);
        if (status != RECO_OK) {
            return status == RECO_NOT_FOUND ? RECO_OK : status;
        }
        sink(context, index, value.data, value.size);
        if (bound++ == UINT32_MAX) {
            return RECO_OK;
        }
    }
}

/* Emits a closed row, cut. */
static reco_status emit_cut(reco_features_store *store, reco__kv_cursor *cursor, int64_t generation, uint32_t item, reco_features_sink sink,
                            void *context, reco_error *err) {
    reco__flmdb_array row = {NULL, 0};
    size_t count;
    reco_status status = reco__flmdb_row_load(&row, &count, store, cursor, RECO_BOARD_COVIEW, generation, item, err);
    if (status == RECO_OK && count) {
        reco_board_names names = reco__flmdb_board_names(store);
        count = reco_board_cut(row.data, count, store->rules.cut, 1, &names);
    }
    if (status == RECO_OK && count) {
        uint8_t *bytes = reco__alloc_array(count, RECO_PACKED_ENTRY_MAX);
        status = bytes ? RECO_OK : reco__no_memory(err);
        if (bytes) {
            sink(context, 0, bytes, reco_board_pack(bytes, row.data, count));
        }
        reco__release(bytes);
    }
    reco__release(row.data);
    return status;
}

reco_status reco__flmdb_row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                            const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    int64_t newest_closed = reco__flmdb_newest_closed(store, &state, board);
    reco__kv_cursor *cursor = NULL;
    if (!reco_board_expired(&store->rules, board, generation, newest_closed)) {
        status = reco__flmdb_names_follow(store, txn, &state, err);
        if (status == RECO_OK) {
            status = reco__kv_cursor_open(&cursor, txn, store->rows, err);
        }
        if (status == RECO_OK) {
            status = board == RECO_BOARD_COVIEW && generation <= newest_closed
                         ? emit_cut(store, cursor, generation, item, sink, context, err)
                         : emit_chunks(store, cursor, board, generation, item, sink, context, err);
        }
    }
    if (cursor) {
        reco__kv_cursor_close(cursor);
    }
    reco__kv_read_end(txn);
    return status;
}

static reco_status list_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, reco__kv_cursor *cursor,
                                    uint32_t board, int64_t from, reco_error *err) {
    for (;;) {
        uint8_t wanted[RECO__FLMDB_ROW_KEY];
        reco__flmdb_row_key(wanted, store, board, from, 0, 0);
        reco__kv_value key = {wanted, sizeof wanted}, value;
        reco__flmdb_row_place place;
        bool mine = false;
        reco_status status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
        if (status == RECO_OK) {
            status = reco__flmdb_row_place_read(&place, &mine, store, key, err);
        }
        if (status != RECO_OK || !mine || place.board != board) {
            return status == RECO_NOT_FOUND ? RECO_OK : status;
        }
        if (*count < room) {
            generations[*count] = place.generation;
        }
        (*count)++;
        from = place.generation + 1;
    }
}

reco_status reco__flmdb_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board,
                                    const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    *count = 0;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    int64_t oldest = reco__flmdb_newest_closed(store, &state, board) - (int64_t)store->rules.kept[board] + 1;
    reco__kv_cursor *cursor;
    status = reco__kv_cursor_open(&cursor, txn, store->rows, err);
    if (status == RECO_OK) {
        status = list_generations(generations, room, count, store, cursor, board, oldest > 0 ? oldest : 0, err);
        reco__kv_cursor_close(cursor);
    }
    reco__kv_read_end(txn);
    return status;
}
