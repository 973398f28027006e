/* apply.c - one atomic step of learning, and the reading that goes before it.
 *
 * The position of the partition and the identity of the namespace are watched on the connection that applies; then everything goes in one MULTI ...
 * EXEC: APPEND to rows, the generations touched, the items whose heads are not current any more, cells, the position. Partitions have a key each, so
 * they do not disturb each other. EXEC that does not run is STALE. A connection that is lost after EXEC was sent leaves open whether it ran: the
 * caller reads the position again. Behind EXEC, in the same trip, the same is watched and read for the next batch of the partition: it goes out on
 * this connection without another look when it begins where this one has ended. Closing takes the state that was read, too, once.
 *
 * Cells of a partition are one hash, user -> i64 expires_at (big-endian), cell: its size is the number of users. The limit of users is looked at
 * before EXEC, near it at each cell; two partitions that learn at the same moment may pass it by what one batch adds.
 *
 * While everything is being read (scan.c) a batch also notes what it changes, cells as they were before; `scan` is watched, too. A nil EXEC is no
 * verdict: positions are looked at again, and the batch is STALE when its own has moved. */
#include "features/redis/redis.h"

enum { CELL_HEADER = 8, ATTEMPTS = 8, NEAR = 64 /* a part of the limit of users */ };
#define DUE_MAX (INT64_C(1) << 53) /* scores of sorted sets are doubles */

bool reco__redis_cell_read(int64_t *expires_at, const redisReply *cell) {
    if (!reco__redis_is_bytes(cell) || cell->len < CELL_HEADER) {
        return false;
    }
    *expires_at = (int64_t)reco__from_be64((const uint8_t *)cell->str);
    return true;
}

/* --- reading -------------------------------------------------------------------------------------------------------------------------- */

static void ask_cells(reco__redis_link *link, const reco_features_store *store, uint32_t partition, const reco_str *users, size_t count) {
    reco__redis_command(link, "HMGET", 2 + count);
    reco__redis_key_number(link, store, "c", partition);
    for (size_t i = 0; i < count; i++) {
        reco__redis_bytes(link, users[i].data, users[i].size);
    }
}

/* State and cells at one moment, in one trip. *cells is the reply's. NOT_FOUND: the namespace is gone. */
static reco_status load_once(reco__redis_state *state, const redisReply **cells, reco_features_store *store, reco__redis_link *link,
                             uint32_t partition, const reco_str *users, size_t count, reco_error *err) {
    const redisReply *reply;
    reco__redis_command(link, "MULTI", 1);
    reco__redis_state_ask(link, store, 0);
    ask_cells(link, store, partition, users, count);
    reco__redis_command(link, "EXEC", 1);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 3, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_state_from(state, link, store, reply->element[0], reply->element[1], err);
    }
    if (status == RECO_OK) {
        *cells = reply->element[2];
        status = (*cells)->type == REDIS_REPLY_ARRAY && (*cells)->elements == count ? RECO_OK : reco__redis_strange("a cell", err);
    }
    return status;
}

static reco_status load(reco__redis_state *state, reco_features_store *store, reco__redis_link *link, uint32_t partition, const reco_str *users,
                        size_t count, reco_features_sink sink, void *context, reco_error *err) {
    const redisReply *cells = NULL;
    reco_status status = RECO_NOT_FOUND;
    bool known = false; /* that the names are those of this server */
    for (int attempt = 0; !known && attempt < 3; attempt++) {
        status = count && attempt < 2 ? load_once(state, &cells, store, link, partition, users, count, err) : RECO_NOT_FOUND;
        if (status == RECO_NOT_FOUND) { /* no cells are wanted, or the namespace is to be founded */
            status = reco__redis_state_read(state, link, store, 0, err);
            cells = NULL;
        }
        if (status != RECO_OK) {
            return status;
        }
        known = !reco__redis_doubtful(store, link, state) && (cells || count == 0);
        if (!known) {
            status = reco__redis_follow(store, link, state, err);
        }
        if (status != RECO_OK) {
            return status;
        }
    }
    status = known ? reco__redis_busy(state, err) : reco__fail(err, RECO_UNAVAILABLE, "features", "redis: what it holds comes and goes");
    int64_t clock = state->positions[partition].clock;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        int64_t expires_at;
        const redisReply *cell = cells->element[i];
        if (reco__redis_cell_read(&expires_at, cell) && expires_at >= clock) {
            sink(context, i, cell->str + CELL_HEADER, cell->len - CELL_HEADER);
        }
    }
    return status;
}

reco_status reco__redis_load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users,
                             size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        reco__redis_state state;
        status = load(&state, store, link, partition, users, count, sink, context, err);
        *epoch = status == RECO_OK ? reco__redis_epoch(store, &state) : 0;
        *position = status == RECO_OK ? state.positions[partition] : (reco_position){0, 0};
        reco__redis_give(store, link);
    }
    return status;
}

/* --- checks --------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__redis_check_adds(const reco_features_store *store, const reco__redis_state *state, const reco_add_group *groups, size_t count,
                                   reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        const reco_add_group *group = &groups[i];
        if (group->generation < 0 || group->generation <= reco__redis_newest_closed(store, state->positions, group->board)) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "groups", "generation %lld of board %u is closed", (long long)group->generation,
                                 group->board);
        }
        for (size_t a = 0; a < group->count; a++) {
            uint32_t item = group->adds[a].item, member = group->adds[a].member, largest = item > member ? item : member;
            if (largest >= state->item_count) {
                return reco__fail_at(err, RECO_INVALID, (int32_t)i, "groups", "item number %u has no name", largest);
            }
        }
    }
    return RECO_OK;
}

static reco_status check(const reco_features_store *store, const reco__redis_state *state, const reco_batch *batch, reco_error *err) {
    const reco_position *position = &state->positions[batch->partition];
    if (reco__redis_epoch(store, state) != batch->epoch) {
        return reco__fail(err, RECO_STALE, "epoch", "the store was emptied or restored since the batch was begun");
    }
    reco_status status = reco__redis_busy(state, err);
    if (status != RECO_OK) {
        return status;
    }
    if (position->offset != batch->from) {
        return reco__fail(err, RECO_STALE, "from", "partition %u stands at %lld, not at %lld", batch->partition, (long long)position->offset,
                          (long long)batch->from);
    }
    if (batch->clock < position->clock) {
        return reco__fail(err, RECO_INVALID, "clock", "the clock of partition %u would go back from %lld to %lld", batch->partition,
                          (long long)position->clock, (long long)batch->clock);
    }
    return reco__redis_check_adds(store, state, batch->groups, batch->group_count, err);
}

/* Near the limit each cell is asked for; else counting is enough. */
static reco_status check_users(const reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, const reco_batch *batch,
                               reco_error *err) {
    if (batch->cell_count == 0 || state->user_count + batch->cell_count <= store->max_users) {
        return RECO_OK;
    }
    for (size_t i = 0; i < batch->cell_count; i++) {
        reco__redis_command(link, "HEXISTS", 3);
        reco__redis_key_number(link, store, "c", batch->partition);
        reco__redis_bytes(link, batch->cells[i].user.data, batch->cells[i].user.size);
    }
    reco_status status = reco__redis_send(link, err);
    uint64_t users = state->user_count;
    bool added = false;
    for (size_t i = 0; i < batch->cell_count && status == RECO_OK; i++) {
        const redisReply *reply;
        status = reco__redis_reply(&reply, link, err);
        if (status == RECO_OK) {
            bool there = reply->integer != 0, put = batch->cells[i].size > 0;
            users = users + (put && !there) - (!put && there);
            added |= put && !there;
        }
    }
    if (status == RECO_OK && added && users > store->max_users) {
        return reco__fail(err, RECO_FULL, "limits.users", "the table of users is full: %llu", (unsigned long long)store->max_users);
    }
    return status;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------- */

/* Where a run of adds ends that go to one value. */
static size_t run_end(const reco_add_group *group, size_t at) {
    size_t end = at;
    bool coview = group->board == RECO_BOARD_COVIEW;
    while (end < group->count && (coview ? group->adds[end].item == group->adds[at].item
                                         : group->adds[end].member / RECO__REDIS_SHARD == group->adds[at].member / RECO__REDIS_SHARD)) {
        end++;
    }
    return end;
}

static void write_run(reco__redis_link *link, const reco_features_store *store, const reco_add_group *group, size_t at, size_t end) {
    size_t size = 0;
    for (size_t i = at; i < end; i++) {
        size += reco__redis_delta_size(group->adds[i].delta);
    }
    reco__redis_command(link, "APPEND", 3);
    if (group->board == RECO_BOARD_COVIEW) {
        reco__redis_key_row(link, store, group->adds[at].item, group->generation);
    } else {
        reco__redis_key_popular(link, store, group->board, group->generation, group->adds[at].member / RECO__REDIS_SHARD);
    }
    reco__buf_printf(&link->out, "$%zu\r\n", size);
    for (size_t i = at; i < end; i++) {
        reco__redis_delta(&link->out, group->adds[i].member, group->adds[i].delta);
    }
    reco__buf_add(&link->out, "\r\n", 2);
}

static size_t write_dirty(reco__redis_link *link, const reco_features_store *store, const reco_add_group *group, size_t rows) {
    reco__redis_command(link, "SADD", 2 + rows);
    reco__redis_key(link, store, "d");
    for (size_t at = 0; at < group->count; at = run_end(group, at)) {
        reco__redis_number(link, group->adds[at].item);
    }
    return 1;
}

size_t reco__redis_write_group(reco__redis_link *link, const reco_features_store *store, const reco_add_group *group) {
    size_t rows = 0, commands = 0;
    bool lowered = false;
    for (size_t i = 0; i < group->count; i++) {
        lowered |= group->adds[i].delta < 0;
    }
    for (size_t at = 0, end; at < group->count; at = end, rows++) {
        end = run_end(group, at);
        write_run(link, store, group, at, end);
    }
    if (rows == 0) {
        return 0;
    }
    reco__redis_command(link, "ZADD", 4);
    reco__redis_key_number(link, store, "g", group->board);
    reco__redis_number(link, group->generation);
    reco__redis_number(link, group->generation);
    commands = rows + 1;
    if (group->board == RECO_BOARD_COVIEW) {
        commands += write_dirty(link, store, group, rows);
    } else if (lowered) {
        reco__redis_command(link, "SADD", 3);
        reco__redis_key_number(link, store, "neg", group->board);
        reco__redis_number(link, group->generation);
        commands++;
    }
    return commands;
}

size_t reco__redis_write_cells(reco__redis_link *link, const reco_features_store *store, uint32_t partition, const reco_cell_put *cells,
                               size_t count) {
    size_t puts = 0, commands = 0;
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        puts += cells[i].size > 0;
        earliest = cells[i].size && cells[i].expires_at < earliest ? cells[i].expires_at : earliest;
    }
    if (puts) {
        reco__redis_command(link, "HSET", 2 + 2 * puts);
        reco__redis_key_number(link, store, "c", partition);
        for (size_t i = 0; i < count; i++) {
            if (cells[i].size) {
                uint8_t header[CELL_HEADER];
                reco__be64(header, (uint64_t)cells[i].expires_at);
                reco__redis_bytes(link, cells[i].user.data, cells[i].user.size);
                reco__buf_printf(&link->out, "$%zu\r\n", cells[i].size + CELL_HEADER);
                reco__buf_add(&link->out, header, sizeof header);
                reco__buf_add(&link->out, cells[i].data, cells[i].size);
                reco__buf_add(&link->out, "\r\n", 2);
            }
        }
        reco__redis_command(link, "ZADD", 5);
        reco__redis_key(link, store, "due");
        reco__redis_text(link, "LT");
        reco__redis_number(link, earliest < DUE_MAX ? earliest : DUE_MAX);
        reco__redis_number(link, partition);
        commands += 2;
    }
    if (puts < count) {
        reco__redis_command(link, "HDEL", 2 + count - puts);
        reco__redis_key_number(link, store, "c", partition);
        for (size_t i = 0; i < count; i++) {
            if (!cells[i].size) {
                reco__redis_bytes(link, cells[i].user.data, cells[i].user.size);
            }
        }
        commands++;
    }
    return commands;
}

/* Lengths of rows of popularity, as APPEND answered them: the first commands of each group. */
static void note_lengths(reco_features_store *store, const reco_batch *batch, const redisReply *reply) {
    size_t next = 0;
    for (size_t g = 0; g < batch->group_count; g++) {
        const reco_add_group *group = &batch->groups[g];
        if (group->board == RECO_BOARD_COVIEW) {
            return; /* the last board; its rows are compacted when heads are published */
        }
        bool lowered = false;
        for (size_t at = 0; at < group->count; at = run_end(group, at)) {
            uint32_t shard = group->adds[at].member / RECO__REDIS_SHARD;
            reco__redis_note_long(store, group->board, group->generation, shard, (uint64_t)reply->element[next++]->integer);
        }
        for (size_t i = 0; i < group->count; i++) {
            lowered |= group->adds[i].delta < 0;
        }
        next += group->count ? 1 + (size_t)lowered : 0;
    }
}

/* The cells as they are, held by the link. */
static reco_status old_cells(const redisReply **out, reco_features_store *store, reco__redis_link *link, const reco_batch *batch, reco_error *err) {
    reco__redis_command(link, "HMGET", 2 + batch->cell_count);
    reco__redis_key_number(link, store, "c", batch->partition);
    for (size_t i = 0; i < batch->cell_count; i++) {
        reco__redis_bytes(link, batch->cells[i].user.data, batch->cells[i].user.size);
    }
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(out, link, err);
    }
    return status == RECO_OK && (*out)->elements != batch->cell_count ? reco__redis_strange("a cell", err) : status;
}

/* What a batch is held against is watched from here on, and read. */
static void ask_watched(reco__redis_link *link, reco_features_store *store, uint32_t partition, uint32_t what) {
    reco__redis_command(link, "WATCH", 4);
    reco__redis_key(link, store, "meta");
    reco__redis_key(link, store, "scan");
    reco__redis_key_number(link, store, "p", partition);
    reco__redis_state_ask(link, store, what);
}

/* Watches and checks; *old: the cells there were, when a scan wants them. */
static reco_status begin(reco__redis_state *state, const redisReply **old, reco_features_store *store, reco__redis_link *link,
                         const reco_batch *batch, reco_error *err) {
    uint32_t what = batch->cell_count ? RECO__REDIS_USERS : 0;
    ask_watched(link, store, batch->partition, what);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_state_take(state, link, store, what, err);
    }
    if (status == RECO_NOT_FOUND) {
        return reco__fail(err, RECO_STALE, "epoch", "redis has lost what was learned");
    }
    if (status == RECO_OK && reco__redis_doubtful(store, link, state)) {
        status = reco__redis_follow(store, link, state, err);
    }
    if (status == RECO_OK) {
        status = check(store, state, batch, err);
    }
    if (status == RECO_OK) {
        status = check_users(store, link, state, batch, err);
    }
    if (status == RECO_OK && state->scanning && batch->cell_count) {
        status = old_cells(old, store, link, batch, err);
    }
    return status;
}

/* After EXEC: what the next batch of the partition will be held against, in ready->state. False when there is nothing to go on with. */
static bool take_next(reco__redis_ready *ready, reco_features_store *store) {
    reco__redis_link *link = ready->link;
    reco_status status = reco__redis_skip(link, 1, NULL);
    if (status == RECO_OK) {
        status = reco__redis_state_take(&ready->state, link, store, RECO__REDIS_USERS | RECO__REDIS_DUE, NULL);
    }
    link->watching = true;
    return status == RECO_OK && !ready->state.scanning && ready->state.mark == RECO__REDIS_WHOLE;
}

/* Learns the batch on a link that watches, and watches for the next one. *again: somebody touched what was watched, which need not mean that the
 * batch is stale. *next: the state is good for the next batch. */
static reco_status learn(bool *again, bool *next, reco_features_store *store, reco__redis_ready *ready, const reco_batch *batch,
                         const redisReply *old, reco_error *err) {
    reco__redis_link *link = ready->link;
    const redisReply *reply;
    size_t commands = 1;
    reco__redis_command(link, "MULTI", 1);
    for (size_t i = 0; i < batch->group_count; i++) {
        commands += reco__redis_write_group(link, store, &batch->groups[i]);
    }
    commands += reco__redis_write_cells(link, store, batch->partition, batch->cells, batch->cell_count);
    commands += ready->state.scanning ? reco__redis_scan_note(link, store, batch, old) : 0;
    reco__redis_position_put(link, store, batch->partition, (reco_position){batch->to, batch->clock});
    reco__redis_command(link, "EXEC", 1);
    ready->asked_ns = reco__monotonic_ns();
    ask_watched(link, store, batch->partition, RECO__REDIS_USERS | RECO__REDIS_DUE);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, commands, err);
        *again = status == RECO_STALE;
    }
    if (status == RECO_OK) {
        note_lengths(store, batch, reply);
        *next = take_next(ready, store);
    } else if (*again && reco__redis_drain(link, NULL) == RECO_OK) {
        link->watching = true;
        reco__redis_unwatch(link);
    }
    return status;
}

/* Whether a batch adds to a generation that the clock of its own partition has passed. Only then can others' clocks, which are not watched, say that
 * it is closed. */
static bool adds_behind(const reco_features_store *store, const reco_batch *batch, reco_position own) {
    for (size_t i = 0; i < batch->group_count; i++) {
        if (batch->groups[i].generation <= reco_board_newest_closed(&store->rules, batch->groups[i].board, own.clock)) {
            return true;
        }
    }
    return false;
}

/* Whether the batch goes on from the state that was watched when the one before it was learned. What does not is looked at anew. */
static bool goes_on(reco_features_store *store, reco__redis_ready *ready, const reco_batch *batch) {
    reco__redis_state *state = &ready->state;
    if (reco__redis_doubtful(store, ready->link, state)) {
        return false;
    }
    uint32_t named = reco__redis_named(store); /* names may have been added since */
    state->item_count = state->item_count > named ? state->item_count : named;
    return !adds_behind(store, batch, state->positions[batch->partition]) && check(store, state, batch, NULL) == RECO_OK &&
           state->user_count + batch->cell_count + store->max_users / NEAR <= store->max_users; /* others may have added some since */
}

static reco_status apply(bool *next, reco_features_store *store, reco__redis_ready *ready, bool watched, const reco_batch *batch, reco_error *err) {
    bool again = true;
    reco_status status = RECO_STALE;
    for (int attempt = 0; again && attempt < ATTEMPTS; attempt++) {
        const redisReply *old = NULL;
        again = false;
        status = watched ? RECO_OK : begin(&ready->state, &old, store, ready->link, batch, err);
        if (status == RECO_OK) {
            status = learn(&again, next, store, ready, batch, old, err);
        }
        watched = false;
    }
    return status;
}

/* A link that watches already, or any. */
static reco_status take(reco__redis_ready **out, bool *watched, reco_features_store *store, const reco_batch *batch, const reco_call *call,
                        reco_error *err) {
    reco_status status = reco__call_check(call, err);
    *out = status == RECO_OK ? reco__redis_take_ready(store, batch->partition, call) : NULL;
    *watched = *out && goes_on(store, *out, batch);
    if (*out || status != RECO_OK) {
        if (*out && !*watched) {
            reco__redis_unwatch((*out)->link);
        }
        return status;
    }
    reco__redis_ready *ready = reco__zalloc(sizeof *ready);
    if (!ready) {
        return reco__no_memory(err);
    }
    status = reco__redis_take(&ready->link, store, call, err);
    if (status != RECO_OK) {
        reco__release(ready);
        return status;
    }
    *out = ready;
    return RECO_OK;
}

reco_status reco__redis_apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err) {
    reco__redis_ready *ready;
    bool watched, next = false;
    reco_status status = take(&ready, &watched, store, batch, call, err);
    if (status != RECO_OK) {
        return status;
    }
    status = apply(&next, store, ready, watched, batch, err);
    if (next) {
        reco__redis_keep_ready(store, batch->partition, ready);
    } else {
        reco__redis_give(store, ready->link);
        reco__release(ready);
    }
    return status;
}
