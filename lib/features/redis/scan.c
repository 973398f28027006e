/* scan.c - everything a namespace holds, and the counts of stats.
 *
 * Redis has no read transaction that lasts. So positions and identity are watched while everything is read and handed out, and a scan during which
 * something was learned ends BUSY: what it gave is to be thrown away. Closing by others meanwhile does no harm: rows and heads are the same ones
 * once what is due is applied to them. */
#include "features/redis/redis.h"

#include <stdlib.h>

enum { ROWS_AT_ONCE = 256 };

struct scan {
    reco_features_store *store;
    reco__redis_link *link;
    const reco_features_visitor *visitor;
    const reco_call *call;
    reco_error *err;
    uint32_t board, first;
    int64_t generation;
    bool stop;
};

static void emit_row(void *context, size_t index, const void *data, size_t size) {
    struct scan *scan = context;
    (void)index;
    uint32_t item = scan->board == RECO_BOARD_COVIEW ? scan->first : 0;
    scan->stop = scan->stop || scan->visitor->row(scan->visitor->context, scan->board, scan->generation, item, data, size) != 0;
}

/* Rows of the reply to an MGET: shards of one row, or one row for each item from `first` on. */
static reco_status emit_rows(struct scan *scan, const redisReply *reply) {
    reco_status status = RECO_OK;
    for (size_t i = 0; i < reply->elements && status == RECO_OK && !scan->stop; i++, scan->first++) {
        size_t count = 0;
        if (reco__redis_is_bytes(reply->element[i])) {
            status = reco__redis_row_read(&count, scan->link, reply->element[i]->str, reply->element[i]->len, scan->err);
        }
        if (status == RECO_OK) {
            status = reco__redis_emit(scan->link, count, 0, emit_row, scan, scan->err);
        }
    }
    return status;
}

static reco_status scan_generation(struct scan *scan, const reco__redis_state *state) {
    reco__redis_link *link = scan->link;
    uint32_t values = scan->board == RECO_BOARD_COVIEW ? state->item_count : reco__redis_shards(state);
    reco_status status = RECO_OK;
    for (uint32_t from = 0; from < values && status == RECO_OK && !scan->stop; from += ROWS_AT_ONCE) {
        uint32_t many = values - from < ROWS_AT_ONCE ? values - from : ROWS_AT_ONCE;
        const redisReply *reply;
        reco__redis_command(link, "MGET", 1 + many);
        for (uint32_t i = from; i < from + many; i++) {
            if (scan->board == RECO_BOARD_COVIEW) {
                reco__redis_key_row(link, scan->store, i, scan->generation);
            } else {
                reco__redis_key_popular(link, scan->store, scan->board, scan->generation, i);
            }
        }
        scan->first = from;
        status = reco__redis_send(link, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, scan->err);
        }
        if (status == RECO_OK) {
            status = emit_rows(scan, reply);
        }
        if (status == RECO_OK) {
            status = reco__call_check(scan->call, scan->err);
        }
    }
    return status;
}

static reco_status scan_rows(struct scan *scan, const reco__redis_state *state) {
    reco_status status = RECO_OK;
    for (scan->board = 0; scan->board < RECO_BOARD_COUNT && status == RECO_OK && !scan->stop; scan->board++) {
        size_t count = 0;
        reco__redis_generations_ask(scan->link, scan->store, scan->board);
        status = reco__redis_send(scan->link, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_generations_take(&count, scan->link, scan->err);
        }
        for (size_t i = 0; i < count && status == RECO_OK && !scan->stop; i++) {
            scan->generation = ((int64_t *)scan->link->list.data)[i];
            status = scan_generation(scan, state);
        }
    }
    return status;
}

static reco_status scan_cells(struct scan *scan, uint32_t partition) {
    reco__redis_link *link = scan->link;
    reco__map seen = {0}; /* HSCAN may show a cell twice */
    char cursor[24] = "0";
    reco_status status = RECO_OK;
    do {
        const redisReply *reply;
        reco__redis_command(link, "HSCAN", 5);
        reco__redis_key_number(link, scan->store, "c", partition);
        reco__redis_text(link, cursor);
        reco__redis_text(link, "COUNT");
        reco__redis_text(link, "500");
        status = reco__redis_send(link, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, scan->err);
        }
        if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)) {
            status = reco__redis_strange("the answer to HSCAN", scan->err);
        }
        for (size_t i = 0; status == RECO_OK && !scan->stop && i + 1 < reply->element[1]->elements; i += 2) {
            const redisReply *user = reply->element[1]->element[i], *cell = reply->element[1]->element[i + 1];
            int64_t expires_at;
            bool added = false;
            if (!reco__redis_cell_read(&expires_at, cell)) {
                status = reco__redis_strange("a cell", scan->err);
            } else if (reco__map_put(&seen, user->str, user->len, &added) == RECO__MAP_NONE) {
                status = reco__no_memory(scan->err);
            } else if (added) {
                reco_str id = {user->str, user->len};
                scan->stop = scan->visitor->cell(scan->visitor->context, partition, id, cell->str + 8, cell->len - 8, expires_at) != 0;
            }
        }
        if (status == RECO_OK) {
            snprintf(cursor, sizeof cursor, "%.20s", reply->element[0]->str);
            status = reco__call_check(scan->call, scan->err);
        }
    } while (status == RECO_OK && !scan->stop && strcmp(cursor, "0") != 0);
    reco__map_dispose(&seen);
    return status;
}

/* Heads of a piece, collected so that they come in order: those that are made when asked for come last. */
struct heads {
    reco__buf bytes;
    size_t at[ROWS_AT_ONCE], size[ROWS_AT_ONCE];
};

static void take_head(void *context, size_t index, const uint8_t *version, const void *data, size_t size) {
    struct heads *heads = context;
    (void)version;
    heads->at[index] = heads->bytes.size;
    heads->size[index] = size;
    reco__buf_add(&heads->bytes, data, size);
}

static reco_status scan_heads(struct scan *scan, const reco__redis_state *state) {
    struct heads heads = {.bytes = {0}};
    reco_status status = RECO_OK;
    for (uint32_t from = 0; from < state->item_count && status == RECO_OK && !scan->stop; from += ROWS_AT_ONCE) {
        uint32_t items[ROWS_AT_ONCE], many = state->item_count - from < ROWS_AT_ONCE ? state->item_count - from : ROWS_AT_ONCE;
        for (uint32_t i = 0; i < many; i++) {
            items[i] = from + i;
            heads.size[i] = 0;
        }
        reco__buf_reset(&heads.bytes);
        reco__redis_state now;
        status = reco__redis_heads_read(&now, scan->store, scan->link, items, many, take_head, &heads, scan->err);
        if (status == RECO_OK) {
            status = reco__buf_status(&heads.bytes, scan->err);
        }
        for (uint32_t i = 0; i < many && status == RECO_OK && !scan->stop; i++) {
            if (heads.size[i]) {
                scan->stop = scan->visitor->head(scan->visitor->context, items[i], heads.bytes.data + heads.at[i], heads.size[i]) != 0;
            }
        }
        if (status == RECO_OK) {
            status = reco__call_check(scan->call, scan->err);
        }
    }
    reco__buf_dispose(&heads.bytes);
    return status;
}

/* Fails when something was learned since the positions were watched. */
static reco_status still_true(struct scan *scan) {
    const redisReply *reply;
    bool watching = scan->link->watching;
    reco__redis_command(scan->link, "MULTI", 1);
    reco__redis_command(scan->link, "PING", 1);
    reco__redis_command(scan->link, "EXEC", 1);
    reco_status status = reco__redis_send(scan->link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, scan->link, 1, scan->err);
    }
    return status == RECO_STALE || (status == RECO_OK && !watching)
               ? reco__fail(scan->err, RECO_BUSY, "features", "given up: something was learned during the scan")
               : status;
}

static reco_status scan_all(struct scan *scan) {
    const reco_features_visitor *visitor = scan->visitor;
    reco__redis_state state;
    reco__redis_command(scan->link, "WATCH", 2 + scan->store->partitions);
    reco__redis_key(scan->link, scan->store, "meta");
    for (uint32_t p = 0; p < scan->store->partitions; p++) {
        reco__redis_key_number(scan->link, scan->store, "p", p);
    }
    reco_status status = reco__redis_send(scan->link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_skip(scan->link, 1, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_state_read(&state, scan->link, scan->store, RECO__REDIS_USERS | RECO__REDIS_DUE, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_busy(&state, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_follow(scan->store, scan->link, &state, scan->err);
    }
    if (status == RECO_OK && visitor->state) {
        reco_features_info info;
        reco__redis_info_fill(&info, scan->store, &state);
        scan->stop = visitor->state(visitor->context, &info, state.positions) != 0;
    }
    if (status == RECO_OK && !scan->stop && visitor->row) {
        status = scan_rows(scan, &state);
    }
    for (uint32_t p = 0; p < scan->store->partitions && status == RECO_OK && !scan->stop && visitor->cell; p++) {
        status = scan_cells(scan, p);
    }
    if (status == RECO_OK && !scan->stop && visitor->head) {
        status = scan_heads(scan, &state);
    }
    return status == RECO_OK && !scan->stop ? still_true(scan) : status;
}

reco_status reco__redis_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    struct scan scan = {.store = store, .visitor = visitor, .call = call, .err = err};
    reco_status status = reco__redis_take(&scan.link, store, call, err);
    if (status == RECO_OK) {
        status = scan_all(&scan);
        reco__redis_give(store, scan.link);
    }
    return status;
}

/* --- stats ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status count_keys(uint64_t *rows, uint64_t *heads, reco_features_store *store, reco__redis_link *link, reco_error *err) {
    char cursor[24] = "0";
    reco_status status = RECO_OK;
    do {
        const redisReply *reply;
        reco__redis_command(link, "SCAN", 6);
        reco__redis_text(link, cursor);
        reco__redis_text(link, "COUNT");
        reco__redis_text(link, "1000");
        reco__redis_text(link, "TYPE");
        reco__redis_text(link, "string");
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, err);
        }
        if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)) {
            status = reco__redis_strange("the answer to SCAN", err);
        }
        for (size_t i = 0; status == RECO_OK && i < reply->element[1]->elements; i++) {
            const redisReply *key = reply->element[1]->element[i];
            if (key->len > store->prefix_size && memcmp(key->str, store->prefix, store->prefix_size) == 0) {
                char kind = key->str[store->prefix_size];
                *rows += kind == 'r' || kind == 'q';
                *heads += kind == 'h';
            }
        }
        if (status == RECO_OK) {
            snprintf(cursor, sizeof cursor, "%.20s", reply->element[0]->str);
        }
    } while (status == RECO_OK && strcmp(cursor, "0") != 0);
    return status;
}

reco_status reco__redis_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                              const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    reco__redis_state state;
    const redisReply *reply;
    uint64_t rows = 0, heads = 0, used = 0;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__redis_state_read(&state, link, store, RECO__REDIS_USERS | RECO__REDIS_DUE, err);
    if (status == RECO_OK) {
        status = count_keys(&rows, &heads, store, link, err);
    }
    if (status == RECO_OK) {
        reco__redis_command(link, "INFO", 2);
        reco__redis_text(link, "memory");
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK && reco__redis_is_bytes(reply)) {
        const char *memory = strstr(reply->str, "used_memory:");
        used = memory ? strtoull(memory + 12, NULL, 10) : 0;
    }
    reco__redis_give(store, link);
    if (status == RECO_OK) {
        sink(context, "names_entries", state.item_count);
        sink(context, "cells_entries", state.user_count);
        sink(context, "rows_entries", rows);
        sink(context, "heads_entries", heads > state.dirty ? heads : state.dirty); /* those not current may not be stored yet */
        sink(context, "heads_not_current", state.dirty);
        sink(context, "used_bytes", used);
        sink(context, "names_memory", reco__names_bytes(atomic_load(&store->names)->names));
        sink(context, "trips", atomic_load(&store->trips));
        reco__redis_cache_stats(store, sink, context);
    }
    return status;
}
