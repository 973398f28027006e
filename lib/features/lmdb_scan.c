/* lmdb_scan.c - everything a namespace holds, under one read transaction: the source of snapshots and of verify; and the counts of stats.
 *
 * A read transaction that is held keeps the pages it sees from being used again, so the file grows while others write. Past SCAN_GROWTH the scan
 * gives up with BUSY. */
#include "features/lmdb.h"

#define SCAN_GROWTH ((uint64_t)1 << 30)

struct scan {
    reco_features_store *store;
    reco__kv_txn *txn;
    const reco_features_visitor *visitor;
    const reco_call *call;
    reco_error *err;
    uint32_t seen;
};

/* Emits one key and value; *stop when the visitor has had enough. */
typedef reco_status (*scan_emit)(struct scan *scan, reco__kv_value key, reco__kv_value value, bool *stop);

static reco_status may_go_on(struct scan *scan) {
    if (++scan->seen % 256 != 0) {
        return RECO_OK;
    }
    if (reco__kv_grown(scan->txn) > SCAN_GROWTH) {
        return reco__fail(scan->err, RECO_BUSY, "growth", "given up: the file grew by more than %llu MiB during the scan",
                          (unsigned long long)(SCAN_GROWTH >> 20));
    }
    return reco__call_check(scan->call, scan->err);
}

static reco_status scan_table(struct scan *scan, reco__kv_table table, scan_emit emit, bool *stop) {
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, scan->txn, table, scan->err);
    if (status != RECO_OK) {
        return status;
    }
    uint8_t space[2];
    reco__be16(space, scan->store->space);
    reco__kv_value key = {space, sizeof space}, value;
    for (int how = RECO__KV_FROM; status == RECO_OK && !*stop; how = RECO__KV_NEXT) {
        status = reco__kv_seek(cursor, how, &key, &value, scan->err);
        if (status == RECO_NOT_FOUND || (status == RECO_OK && (key.size < 2 || memcmp(key.data, space, 2) != 0))) {
            status = RECO_OK;
            break;
        }
        if (status == RECO_OK) {
            status = may_go_on(scan);
        }
        if (status == RECO_OK) {
            status = emit(scan, key, value, stop);
        }
    }
    reco__kv_cursor_close(cursor);
    return status;
}

static reco_status emit_row(struct scan *scan, reco__kv_value key, reco__kv_value value, bool *stop) {
    reco__flmdb_row_place place;
    bool mine;
    reco_status status = reco__flmdb_row_place_read(&place, &mine, scan->store, key, scan->err);
    if (status == RECO_OK) {
        *stop = scan->visitor->row(scan->visitor->context, place.board, place.generation, place.item, value.data, value.size) != 0;
    }
    return status;
}

static reco_status emit_debt(struct scan *scan, reco__kv_value key, reco__kv_value value, bool *stop) {
    reco__flmdb_row_place place;
    bool mine;
    reco_status status = reco__flmdb_row_place_read(&place, &mine, scan->store, key, scan->err);
    if (status == RECO_OK) {
        *stop = scan->visitor->debt(scan->visitor->context, place.board, place.generation, place.item, value.data, value.size) != 0;
    }
    return status;
}

static reco_status emit_cell(struct scan *scan, reco__kv_value key, reco__kv_value value, bool *stop) {
    reco__flmdb_cell cell;
    reco_status status = reco__flmdb_cell_read(&cell, key, value, scan->err);
    if (status == RECO_OK) {
        *stop = scan->visitor->cell(scan->visitor->context, cell.partition, cell.user, cell.data, cell.size, cell.expires_at) != 0;
    }
    return status;
}

static reco_status emit_head(struct scan *scan, reco__kv_value key, reco__kv_value value, bool *stop) {
    if (key.size != RECO__FLMDB_HEAD_KEY) {
        return reco__fail(scan->err, RECO_CORRUPT, "features", "a head's key of %zu bytes", key.size);
    }
    *stop = scan->visitor->head(scan->visitor->context, reco__from_be32((const uint8_t *)key.data + 2), value.data, value.size) != 0;
    return RECO_OK;
}

void reco__flmdb_info_fill(reco_features_info *out, const reco_features_store *store, const reco__flmdb_state *state) {
    out->struct_size = sizeof *out;
    out->partitions = store->partitions;
    out->epoch = state->epoch;
    out->item_count = state->item_count;
    out->user_count = state->user_count;
    out->closings_due = reco__flmdb_closing_due(store, state) || (state->mark == RECO__FLMDB_WHOLE && reco__flmdb_sweep_due(store, state));
}

static reco_status scan_all(struct scan *scan, const reco__flmdb_state *state) {
    const reco_features_visitor *visitor = scan->visitor;
    bool stop = false;
    reco_status status = reco__flmdb_names_follow(scan->store, scan->txn, state, scan->err);
    if (status == RECO_OK && visitor->state) {
        reco_features_info info;
        reco__flmdb_info_fill(&info, scan->store, state);
        stop = visitor->state(visitor->context, &info, state->positions) != 0;
    }
    if (status == RECO_OK && !stop && visitor->row) {
        status = scan_table(scan, scan->store->rows, emit_row, &stop);
    }
    if (status == RECO_OK && !stop && visitor->debt) {
        status = scan_table(scan, scan->store->debts, emit_debt, &stop);
    }
    if (status == RECO_OK && !stop && visitor->cell) {
        status = scan_table(scan, scan->store->cells, emit_cell, &stop);
    }
    if (status == RECO_OK && !stop && visitor->head) {
        status = scan_table(scan, scan->store->heads, emit_head, &stop);
    }
    return status;
}

reco_status reco__flmdb_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    struct scan scan = {store, NULL, visitor, call, err, 0};
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&scan.txn, &state, store, RECO__KV_LONG, err);
    if (status != RECO_OK) {
        return status;
    }
    if (state.mark != RECO__FLMDB_WHOLE) {
        status = reco__fail(err, RECO_BUSY, "features", "a snapshot is being loaded");
    } else {
        status = scan_all(&scan, &state);
    }
    reco__kv_read_end(scan.txn);
    return status;
}

/* --- stats ---------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__flmdb_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                              const reco_call *call, reco_error *err) {
    (void)call;
    const struct {
        const char *entries, *bytes;
        reco__kv_table table;
    } tables[] = {{"names_entries", "names_bytes", store->names_table}, {"cells_entries", "cells_bytes", store->cells},
                  {"rows_entries", "rows_bytes", store->rows},          {"heads_entries", "heads_bytes", store->heads},
                  {"debts_entries", "debts_bytes", store->debts},       {"meta_entries", "meta_bytes", store->meta}};
    reco__kv_stats kv;
    reco_status status = reco__kv_stat(&kv, store->kv, err);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && status == RECO_OK; i++) {
        uint64_t entries, bytes;
        status = reco__kv_table_stat(&entries, &bytes, store->kv, tables[i].table, err);
        if (status == RECO_OK) {
            sink(context, tables[i].entries, entries);
            sink(context, tables[i].bytes, bytes);
        }
    }
    if (status != RECO_OK) {
        return status;
    }
    sink(context, "file_bytes", kv.file_bytes);
    sink(context, "disk_bytes", kv.disk_bytes);
    sink(context, "used_bytes", kv.used_bytes);
    sink(context, "commits", kv.commits);
    sink(context, "names_memory", reco__names_bytes(atomic_load(&store->names)->names));
    return RECO_OK;
}
