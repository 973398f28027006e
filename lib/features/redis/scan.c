/* scan.c - everything a namespace holds, at one moment, while it is being learned; and the counts of stats.
 *
 * Redis has no read transaction that lasts. But rows only grow at their end, and cells are only written by batches; so it is enough that each batch
 * says what it changes. A scan begins with one MULTI ... EXEC that sets `scan`, drops old notes, and reads the state and the lists of generations:
 * the moment. Batches watch `scan`; one that sees it notes, in the transaction that learns,
 *
 *   sr   hash: name of a row -> bytes appended since the moment
 *   si   set: items that a row of co-view was added to
 *   scN  hash: user of partition N -> the cell at the moment, empty when there was none; the first note stays
 *
 * A batch that looked before the moment fails at EXEC and looks again. What replaces the beginnings of rows or deletes cells (closing, compaction,
 * expiry, sweeping) rests meanwhile: whoever does it looks at `scan` in the same transaction or function. Hence:
 *
 *   a row of the moment     is what is there less, at its end, the bytes that sr has (both read in one transaction);
 *   a cell of the moment    is what scN has, asked after the cell was read, and else what was read. HSCAN shows every cell that stays; one deleted
 *                           meanwhile is in scN, which is walked at the end;
 *   a head of the moment    is what is stored when the item is not in si and its head is current, and else is made from the rows of the moment and
 *                           what is stored of the closed ones, which does not change while nothing closes.
 *
 * Learning goes on: a batch makes one more trip and a note for each row and cell. Nothing blocks the server for longer than a piece does
 * (ROWS_AT_ONCE rows, CELLS_AT_ONCE cells), and closing waits for as long as the scan takes. `lease` expires when the process of the scan is gone:
 * then whoever comes by takes the scan away. Who finds at the end that `scan` is not theirs, or the epoch another, has nothing: BUSY. One scan at
 * a time: others wait. */
#include "features/redis/redis.h"

#include <stdlib.h>
#include <time.h>

enum { ROWS_AT_ONCE = 128, SHARDS_AT_ONCE = 16, HEADS_AT_ONCE = 64, CELLS_AT_ONCE = 300, LEASE_MS = 10000, TOKEN = 33 };
#define RENEW_NS (INT64_C(1000) * 1000 * 1000)
#define END_NS (INT64_C(100) * 1000 * 1000)
#define PAUSE_NS (INT64_C(10) * 1000 * 1000)

struct scan {
    reco_features_store *store;
    reco__redis_link *link;
    const reco_features_visitor *visitor;
    const reco_call *call;
    reco_error *err;
    char token[TOKEN];
    uint64_t epoch;
    int64_t renewed_ns;
    int64_t *generations[RECO_BOARD_COUNT]; /* of the moment */
    size_t generation_count[RECO_BOARD_COUNT];
    uint32_t board, first;
    int64_t generation;
    bool stop;
};

/* --- what batches note ------------------------------------------------------------------------------------------------------------------- */

/* Rows of popularity are named by shard, those of co-view by item. */
static uint32_t place_of(const reco_add_group *group, size_t at) {
    return group->board == RECO_BOARD_COVIEW ? group->adds[at].item : group->adds[at].member / RECO__REDIS_SHARD;
}

static size_t note_rows(reco__redis_link *link, const reco_features_store *store, const reco_add_group *group) {
    size_t commands = 0;
    for (size_t at = 0, end; at < group->count; at = end, commands++) {
        char tail[RECO__REDIS_TAIL];
        size_t size = 0;
        for (end = at; end < group->count && place_of(group, end) == place_of(group, at); end++) {
            size += reco__redis_delta_size(group->adds[end].delta);
        }
        reco__redis_command(link, "HINCRBY", 4);
        reco__redis_key(link, store, "sr");
        reco__redis_bytes(link, tail, reco__redis_row_tail(tail, group->board, group->generation, place_of(group, at)));
        reco__redis_number(link, (int64_t)size);
    }
    if (commands && group->board == RECO_BOARD_COVIEW) {
        reco__redis_command(link, "SADD", 2 + commands);
        reco__redis_key(link, store, "si");
        for (size_t at = 0; at < group->count; at++) {
            if (at == 0 || group->adds[at - 1].item != group->adds[at].item) {
                reco__redis_number(link, group->adds[at].item);
            }
        }
        commands++;
    }
    return commands;
}

size_t reco__redis_scan_note(reco__redis_link *link, const reco_features_store *store, const reco_batch *batch, const redisReply *old) {
    size_t commands = 0;
    for (size_t i = 0; i < batch->group_count; i++) {
        commands += note_rows(link, store, &batch->groups[i]);
    }
    for (size_t i = 0; i < batch->cell_count; i++, commands++) {
        const redisReply *cell = old->element[i];
        bool there = reco__redis_is_bytes(cell);
        reco__redis_command(link, "HSETNX", 4);
        reco__redis_key_number(link, store, "sc", batch->partition);
        reco__redis_bytes(link, batch->cells[i].user.data, batch->cells[i].user.size);
        reco__redis_bytes(link, there ? cell->str : "", there ? cell->len : 0);
    }
    return commands;
}

/* --- beginning and end -------------------------------------------------------------------------------------------------------------------- */

/* Drops notes; one command. */
static void drop_notes(reco__redis_link *link, const reco_features_store *store) {
    reco__redis_command(link, "UNLINK", 3 + store->partitions);
    reco__redis_key(link, store, "sr");
    reco__redis_key(link, store, "si");
    for (uint32_t p = 0; p < store->partitions; p++) {
        reco__redis_key_number(link, store, "sc", p);
    }
}

reco_status reco__redis_scan_end(reco_features_store *store, reco__redis_link *link, const char *token, reco_error *err) {
    const redisReply *reply;
    reco__redis_unwatch(link);
    reco__redis_command(link, "WATCH", 3);
    reco__redis_key(link, store, "scan");
    reco__redis_key(link, store, "lease");
    reco__redis_command(link, "MGET", 3);
    reco__redis_key(link, store, "scan");
    reco__redis_key(link, store, "lease");
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK && reply->elements != 2) {
        status = reco__redis_strange("a scan", err);
    }
    if (status != RECO_OK) {
        return status;
    }
    bool scanning = reco__redis_is_bytes(reply->element[0]), leased = reco__redis_is_bytes(reply->element[1]);
    if (!scanning || (token ? strcmp(reply->element[0]->str, token) != 0 : leased)) {
        reco__redis_unwatch(link);
        return RECO_OK;
    }
    reco__redis_command(link, "MULTI", 1);
    reco__redis_command(link, "DEL", 3);
    reco__redis_key(link, store, "scan");
    reco__redis_key(link, store, "lease");
    drop_notes(link, store);
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 2, err);
    }
    return status == RECO_STALE ? RECO_OK : status; /* somebody else has seen to it, or the scan is alive */
}

static void put_lease(const struct scan *scan) {
    reco__redis_command(scan->link, "SET", 5);
    reco__redis_key(scan->link, scan->store, "lease");
    reco__redis_text(scan->link, scan->token);
    reco__redis_text(scan->link, "PX");
    reco__redis_number(scan->link, LEASE_MS);
}

static reco_status make_token(struct scan *scan) {
    uint8_t random[TOKEN / 2];
    reco_status status = reco__random_bytes(random, sizeof random, scan->err);
    for (size_t i = 0; status == RECO_OK && i < sizeof random; i++) {
        snprintf(scan->token + 2 * i, 3, "%02x", random[i]);
    }
    return status;
}

static reco_status keep_generations(struct scan *scan, uint32_t board) {
    size_t count;
    reco_status status = reco__redis_generations_take(&count, scan->link, scan->err);
    if (status != RECO_OK) {
        return status;
    }
    scan->generations[board] = reco__alloc_array(count + 1, sizeof *scan->generations[board]);
    if (!scan->generations[board]) {
        return reco__no_memory(scan->err);
    }
    memcpy(scan->generations[board], scan->link->list.data, count * sizeof *scan->generations[board]);
    scan->generation_count[board] = count;
    return RECO_OK;
}

/* The moment; STALE when another scan was faster or the namespace is being replaced. The names of the state must have been followed after. */
static reco_status begin_now(struct scan *scan, reco__redis_state *state) {
    reco__redis_link *link = scan->link;
    const uint32_t what = RECO__REDIS_USERS | RECO__REDIS_DUE;
    const redisReply *reply;
    reco__redis_command(link, "WATCH", 3);
    reco__redis_key(link, scan->store, "scan");
    reco__redis_key(link, scan->store, "meta");
    reco__redis_command(link, "EXISTS", 2);
    reco__redis_key(link, scan->store, "scan");
    reco_status status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, scan->err);
    }
    if (status == RECO_OK && reply->integer) {
        reco__redis_unwatch(link);
        return RECO_STALE;
    }
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_command(link, "MULTI", 1);
    size_t before = link->pending;
    reco__redis_command(link, "SET", 3);
    reco__redis_key(link, scan->store, "scan");
    reco__redis_text(link, scan->token);
    put_lease(scan);
    drop_notes(link, scan->store);
    reco__redis_state_ask(link, scan->store, what);
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        reco__redis_generations_ask(link, scan->store, board);
    }
    size_t queued = link->pending - before;
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, queued, scan->err);
    }
    if (status != RECO_OK) {
        return status;
    }
    scan->renewed_ns = reco__monotonic_ns();
    reco__redis_hold(link);
    status = reco__redis_skip(link, 3, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_state_take(state, link, scan->store, what, scan->err);
    }
    for (uint32_t board = 0; board < RECO_BOARD_COUNT && status == RECO_OK; board++) {
        status = keep_generations(scan, board);
    }
    return status;
}

/* Waits for other scans, and begins. */
static reco_status begin(struct scan *scan, reco__redis_state *state) {
    reco_status status = make_token(scan);
    while (status == RECO_OK) {
        status = reco__redis_state_read(state, scan->link, scan->store, 0, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_busy(state, scan->err);
        }
        if (status == RECO_OK && state->abandoned) {
            status = reco__redis_scan_end(scan->store, scan->link, NULL, scan->err);
        } else if (status == RECO_OK && !state->scanning) {
            status = begin_now(scan, state);
            if (status != RECO_STALE) {
                break;
            }
            status = RECO_OK;
        } else if (status == RECO_OK) {
            const struct timespec pause = {0, PAUSE_NS};
            nanosleep(&pause, NULL);
        }
        if (status == RECO_OK) {
            status = reco__call_check(scan->call, scan->err);
        }
    }
    return status == RECO_OK ? reco__redis_follow(scan->store, scan->link, state, scan->err) : status;
}

static reco_status given_up(const struct scan *scan) {
    return reco__fail(scan->err, RECO_BUSY, "features", "given up: the scan was taken for abandoned, or what is learned was replaced");
}

/* Between pieces: the lease, now and then; the deadline. */
static reco_status go_on(struct scan *scan) {
    if (reco__monotonic_ns() - scan->renewed_ns > RENEW_NS) {
        const redisReply *reply;
        reco__redis_command(scan->link, "GET", 2);
        reco__redis_key(scan->link, scan->store, "scan");
        put_lease(scan);
        reco_status status = reco__redis_send(scan->link, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, scan->link, scan->err);
        }
        if (status == RECO_OK && (!reco__redis_is_bytes(reply) || strcmp(reply->str, scan->token) != 0)) {
            status = given_up(scan);
        }
        if (status == RECO_OK) {
            status = reco__redis_skip(scan->link, 1, scan->err);
        }
        if (status != RECO_OK) {
            return status;
        }
        scan->renewed_ns = reco__monotonic_ns();
    }
    return reco__call_check(scan->call, scan->err);
}

/* It was one scan from the first piece to the last. */
static reco_status still_true(struct scan *scan) {
    const redisReply *reply;
    reco__redis_command(scan->link, "MGET", 3);
    reco__redis_key(scan->link, scan->store, "scan");
    reco__redis_key(scan->link, scan->store, "meta");
    reco_status status = reco__redis_send(scan->link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, scan->link, scan->err);
    }
    if (status != RECO_OK) {
        return status;
    }
    bool same = reply->elements == 2 && reco__redis_is_bytes(reply->element[0]) && strcmp(reply->element[0]->str, scan->token) == 0 &&
                reco__redis_is_bytes(reply->element[1]) && reply->element[1]->len >= 16 &&
                reco__from_be64((const uint8_t *)reply->element[1]->str + 8) == scan->epoch;
    return same ? RECO_OK : given_up(scan);
}

/* --- rows --------------------------------------------------------------------------------------------------------------------------------- */

static void emit_row(void *context, size_t index, const void *data, size_t size) {
    struct scan *scan = context;
    (void)index;
    uint32_t item = scan->board == RECO_BOARD_COVIEW ? scan->first : 0;
    scan->stop = scan->stop || scan->visitor->row(scan->visitor->context, scan->board, scan->generation, item, data, size) != 0;
}

/* Takes what was appended since the moment off the end of a row. */
static reco_status shorten(redisReply *row, const redisReply *note, reco_error *err) {
    if (!reco__redis_is_bytes(note)) {
        return RECO_OK;
    }
    size_t more = strtoull(note->str, NULL, 10);
    if (!reco__redis_is_bytes(row) || row->len < more) {
        return reco__redis_strange("a row that has grown", err);
    }
    row->len -= more;
    return RECO_OK;
}

/* Rows of the reply, as they were: shards of one row, or one row for each item from `first` on. */
static reco_status emit_rows(struct scan *scan, const redisReply *rows, const redisReply *notes) {
    reco_status status = rows->elements == notes->elements ? RECO_OK : reco__redis_strange("rows", scan->err);
    for (size_t i = 0; i < rows->elements && status == RECO_OK && !scan->stop; i++, scan->first++) {
        size_t count = 0;
        status = shorten(rows->element[i], notes->element[i], scan->err);
        if (status == RECO_OK && reco__redis_is_bytes(rows->element[i])) {
            status = reco__redis_row_read(&count, scan->link, rows->element[i]->str, rows->element[i]->len, scan->err);
        }
        if (status == RECO_OK) {
            status = reco__redis_emit(scan->link, count, 0, emit_row, scan, scan->err);
        }
    }
    return status;
}

static void ask_row(const struct scan *scan, uint32_t place, bool note) {
    char tail[RECO__REDIS_TAIL];
    if (note) {
        reco__redis_bytes(scan->link, tail, reco__redis_row_tail(tail, scan->board, scan->generation, place));
    } else if (scan->board == RECO_BOARD_COVIEW) {
        reco__redis_key_row(scan->link, scan->store, place, scan->generation);
    } else {
        reco__redis_key_popular(scan->link, scan->store, scan->board, scan->generation, place);
    }
}

/* Rows and notes on them at one moment. */
static reco_status scan_piece(struct scan *scan, uint32_t from, uint32_t many) {
    reco__redis_link *link = scan->link;
    const redisReply *reply;
    reco__redis_command(link, "MULTI", 1);
    reco__redis_command(link, "MGET", 1 + many);
    for (uint32_t i = 0; i < many; i++) {
        ask_row(scan, from + i, false);
    }
    reco__redis_command(link, "HMGET", 2 + many);
    reco__redis_key(link, scan->store, "sr");
    for (uint32_t i = 0; i < many; i++) {
        ask_row(scan, from + i, true);
    }
    reco__redis_command(link, "EXEC", 1);
    scan->first = from;
    reco_status status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 2, scan->err);
    }
    return status == RECO_OK ? emit_rows(scan, reply->element[0], reply->element[1]) : status;
}

static reco_status scan_rows(struct scan *scan, const reco__redis_state *state) {
    reco_status status = RECO_OK;
    for (scan->board = 0; scan->board < RECO_BOARD_COUNT && status == RECO_OK; scan->board++) {
        bool coview = scan->board == RECO_BOARD_COVIEW;
        uint32_t places = coview ? state->item_count : reco__redis_shards(state), most = coview ? ROWS_AT_ONCE : SHARDS_AT_ONCE;
        for (size_t g = 0; g < scan->generation_count[scan->board] && status == RECO_OK; g++) {
            scan->generation = scan->generations[scan->board][g];
            for (uint32_t from = 0; from < places && status == RECO_OK && !scan->stop; from += most) {
                status = scan_piece(scan, from, places - from < most ? places - from : most);
                if (status == RECO_OK) {
                    status = go_on(scan);
                }
            }
        }
    }
    return status;
}

/* --- cells -------------------------------------------------------------------------------------------------------------------------------- */

/* cell: as it was at the moment; not a cell: there was none. */
static reco_status emit_cell(struct scan *scan, reco__map *seen, uint32_t partition, const redisReply *user, const redisReply *cell) {
    int64_t expires_at;
    bool added = false;
    if (reco__map_put(seen, user->str, user->len, &added) == RECO__MAP_NONE) {
        return reco__no_memory(scan->err);
    }
    if (!added || scan->stop || !reco__redis_is_bytes(cell) || cell->len == 0) {
        return RECO_OK;
    }
    if (!reco__redis_cell_read(&expires_at, cell)) {
        return reco__redis_strange("a cell", scan->err);
    }
    reco_str id = {user->str, user->len};
    scan->stop = scan->visitor->cell(scan->visitor->context, partition, id, cell->str + 8, cell->len - 8, expires_at) != 0;
    return RECO_OK;
}

/* A piece of HSCAN of `key`, held by *piece, which is to be freed. */
static reco_status read_piece(redisReply **piece, char cursor[24], struct scan *scan, const char *key, uint32_t partition) {
    const redisReply *reply;
    reco__redis_command(scan->link, "HSCAN", 5);
    reco__redis_key_number(scan->link, scan->store, key, partition);
    reco__redis_text(scan->link, cursor);
    reco__redis_text(scan->link, "COUNT");
    reco__redis_number(scan->link, CELLS_AT_ONCE);
    reco_status status = reco__redis_send(scan->link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, scan->link, scan->err);
    }
    if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reco__redis_is_bytes(reply->element[0]))) {
        status = reco__redis_strange("the answer to HSCAN", scan->err);
    }
    if (status == RECO_OK) {
        snprintf(cursor, 24, "%.20s", reply->element[0]->str);
        *piece = scan->link->reply;
        scan->link->reply = NULL;
    }
    return status;
}

/* Cells of a piece; `noted`: they are the notes themselves, else those are asked for now, after the cells were read. */
static reco_status emit_cells(struct scan *scan, reco__map *seen, uint32_t partition, const redisReply *cells, bool noted) {
    const redisReply *notes = NULL;
    reco_status status = RECO_OK;
    size_t count = cells->elements / 2;
    if (!noted && count) {
        reco__redis_command(scan->link, "HMGET", 2 + count);
        reco__redis_key_number(scan->link, scan->store, "sc", partition);
        for (size_t i = 0; i < count; i++) {
            reco__redis_bytes(scan->link, cells->element[2 * i]->str, cells->element[2 * i]->len);
        }
        status = reco__redis_send(scan->link, scan->err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&notes, scan->link, scan->err);
        }
        if (status == RECO_OK && notes->elements != count) {
            status = reco__redis_strange("notes on cells", scan->err);
        }
    }
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        bool changed = notes && reco__redis_is_bytes(notes->element[i]);
        status = emit_cell(scan, seen, partition, cells->element[2 * i], changed ? notes->element[i] : cells->element[2 * i + 1]);
    }
    return status;
}

static reco_status scan_cells(struct scan *scan, uint32_t partition) {
    reco__map seen = {0}; /* HSCAN may show a cell twice */
    reco_status status = RECO_OK;
    for (int noted = 0; noted < 2 && status == RECO_OK && !scan->stop; noted++) {
        char cursor[24] = "0";
        do {
            redisReply *piece = NULL;
            status = read_piece(&piece, cursor, scan, noted ? "sc" : "c", partition);
            if (status == RECO_OK) {
                status = emit_cells(scan, &seen, partition, piece->element[1], noted);
                freeReplyObject(piece);
            }
            if (status == RECO_OK) {
                status = go_on(scan);
            }
        } while (status == RECO_OK && !scan->stop && strcmp(cursor, "0") != 0);
    }
    reco__map_dispose(&seen);
    return status;
}

/* --- heads -------------------------------------------------------------------------------------------------------------------------------- */

struct heads {
    uint32_t items[HEADS_AT_ONCE];
    size_t at[HEADS_AT_ONCE], size[HEADS_AT_ONCE];
    bool make[HEADS_AT_ONCE]; /* from rows */
    uint32_t count;
    reco__buf bytes;
};

static void ask_members(const struct scan *scan, const char *set, const struct heads *heads) {
    reco__redis_command(scan->link, "SMISMEMBER", 2 + heads->count);
    reco__redis_key(scan->link, scan->store, set);
    for (uint32_t i = 0; i < heads->count; i++) {
        reco__redis_number(scan->link, heads->items[i]);
    }
}

/* Those that are stored as they were at the moment; finds out which are not. */
static reco_status stored_heads(struct heads *heads, struct scan *scan, const reco__redis_state *state) {
    reco__redis_link *link = scan->link;
    const redisReply *reply;
    reco__redis_command(link, "MULTI", 1);
    ask_members(scan, "d", heads);
    ask_members(scan, "si", heads);
    reco__redis_command(link, "MGET", 1 + heads->count);
    for (uint32_t i = 0; i < heads->count; i++) {
        reco__redis_key_head(link, scan->store, heads->items[i]);
    }
    reco__redis_command(link, "EXEC", 1);
    reco_status status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 3, scan->err);
    }
    for (size_t i = 0; i < 3 && status == RECO_OK; i++) {
        status = reply->element[i]->elements == heads->count ? RECO_OK : reco__redis_strange("heads", scan->err);
    }
    for (uint32_t i = 0; i < heads->count && status == RECO_OK; i++) {
        reco__redis_item item;
        const redisReply *stored = reply->element[2]->element[i];
        heads->make[i] = reply->element[0]->element[i]->integer || reply->element[1]->element[i]->integer;
        status = reco__redis_item_read(&item, heads->items[i], stored, state->closed, scan->err);
        if (status == RECO_OK && !heads->make[i] && item.stored && item.head.generation_count) {
            heads->at[i] = heads->bytes.size;
            heads->size[i] = stored->len - RECO__REDIS_VERSION;
            reco__buf_add(&heads->bytes, stored->str + RECO__REDIS_VERSION, heads->size[i]);
        }
    }
    return status;
}

/* The others. */
static reco_status made_heads(struct heads *heads, struct scan *scan, const reco__redis_state *state) {
    reco__redis_link *link = scan->link;
    const int64_t *generations = scan->generations[RECO_BOARD_COVIEW];
    const redisReply *reply;
    char tail[RECO__REDIS_TAIL];
    size_t count = scan->generation_count[RECO_BOARD_COVIEW];
    reco_status status = RECO_OK;
    for (uint32_t i = 0; i < heads->count && status == RECO_OK; i++) {
        if (!heads->make[i]) {
            continue;
        }
        reco__redis_command(link, "MULTI", 1);
        reco__redis_command(link, "MGET", 2 + count);
        reco__redis_key_head(link, scan->store, heads->items[i]);
        for (size_t g = 0; g < count; g++) {
            reco__redis_key_row(link, scan->store, heads->items[i], generations[g]);
        }
        reco__redis_command(link, "HMGET", 2 + (count ? count : 1));
        reco__redis_key(link, scan->store, "sr");
        for (size_t g = 0; g < count; g++) {
            reco__redis_bytes(link, tail, reco__redis_row_tail(tail, RECO_BOARD_COVIEW, generations[g], heads->items[i]));
        }
        if (count == 0) {
            reco__redis_text(link, "");
        }
        reco__redis_command(link, "EXEC", 1);
    }
    status = reco__redis_send(link, scan->err);
    for (uint32_t i = 0; i < heads->count && status == RECO_OK; i++) {
        if (!heads->make[i]) {
            continue;
        }
        status = reco__redis_exec(&reply, link, 2, scan->err);
        for (size_t g = 0; g < count && status == RECO_OK; g++) {
            status = shorten(reply->element[0]->element[g + 1], reply->element[1]->element[g], scan->err);
        }
        heads->at[i] = heads->bytes.size;
        if (status == RECO_OK) {
            status = reco__redis_head_make(&heads->bytes, scan->store, link, heads->items[i], state->closed, generations, count, reply->element[0],
                                           scan->err);
        }
        heads->size[i] = heads->bytes.size - heads->at[i];
    }
    return status;
}

static reco_status scan_heads(struct scan *scan, const reco__redis_state *state) {
    struct heads heads = {.bytes = {0}};
    reco_status status = RECO_OK;
    for (uint32_t from = 0; from < state->item_count && status == RECO_OK && !scan->stop; from += heads.count) {
        heads.count = state->item_count - from < HEADS_AT_ONCE ? state->item_count - from : HEADS_AT_ONCE;
        for (uint32_t i = 0; i < heads.count; i++) {
            heads.items[i] = from + i;
            heads.size[i] = 0;
        }
        reco__buf_reset(&heads.bytes);
        status = stored_heads(&heads, scan, state);
        if (status == RECO_OK) {
            status = made_heads(&heads, scan, state);
        }
        if (status == RECO_OK) {
            status = reco__buf_status(&heads.bytes, scan->err);
        }
        for (uint32_t i = 0; i < heads.count && status == RECO_OK && !scan->stop; i++) {
            if (heads.size[i]) {
                scan->stop = scan->visitor->head(scan->visitor->context, heads.items[i], heads.bytes.data + heads.at[i], heads.size[i]) != 0;
            }
        }
        if (status == RECO_OK) {
            status = go_on(scan);
        }
    }
    reco__buf_dispose(&heads.bytes);
    return status;
}

/* --- the contract ------------------------------------------------------------------------------------------------------------------------- */

static reco_status scan_all(struct scan *scan, reco__redis_state *state) {
    const reco_features_visitor *visitor = scan->visitor;
    reco_status status = RECO_OK;
    scan->epoch = state->epoch;
    state->scanning = false; /* our own does not count */
    if (visitor->state) {
        reco_features_info info;
        reco__redis_info_fill(&info, scan->store, state);
        scan->stop = visitor->state(visitor->context, &info, state->positions) != 0;
    }
    if (!scan->stop && visitor->row) {
        status = scan_rows(scan, state);
    }
    for (uint32_t p = 0; p < scan->store->partitions && status == RECO_OK && !scan->stop && visitor->cell; p++) {
        status = scan_cells(scan, p);
    }
    if (status == RECO_OK && !scan->stop && visitor->head) {
        status = scan_heads(scan, state);
    }
    return status == RECO_OK && !scan->stop ? still_true(scan) : status;
}

reco_status reco__redis_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    struct scan scan = {.store = store, .visitor = visitor, .call = call, .err = err};
    reco__redis_state state;
    reco_status status = reco__redis_take(&scan.link, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    status = begin(&scan, &state);
    if (status == RECO_OK) {
        status = scan_all(&scan, &state);
    }
    reco__redis_give(store, scan.link);
    reco_call brief = {.struct_size = sizeof brief, .deadline_ns = reco__monotonic_ns() + END_NS};
    if (reco__call_check(call, NULL) == RECO_OK && reco__call_left_ns(call) > END_NS) {
        brief.deadline_ns = 0;
    }
    if (scan.token[0] && reco__redis_take(&scan.link, store, &brief, NULL) == RECO_OK) { /* past the deadline, too; else the lease ends it */
        reco__redis_scan_end(store, scan.link, scan.token, NULL);
        reco__redis_give(store, scan.link);
    }
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        reco__release(scan.generations[board]);
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
