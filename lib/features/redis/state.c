/* state.c - the small keys of a namespace: who it is, how far it has learned, what is due.
 *
 *   meta      u32 version, u32 partitions, u64 epoch, u64 names_epoch, u32 mark, stream id, fingerprint
 *   pN        u64 offset, u64 clock of partition N
 *   closing   u64 closed, u64 target, u32 cursor
 *   scan, lease   who reads everything (scan.c), and a key that expires when its process is gone
 *   wN        u64 swept_at, u64 cursor of HSCAN, u64 earliest expiry found, of the sweep of partition N; due: a zset of the earliest expiries known
 *
 * Numbers are big-endian. A server that was emptied has no meta: the namespace is founded again with another epoch, which tells everybody that what
 * they know is void; learning begins again where the stream begins.
 *
 * Positions only grow within an epoch. One that is below what was seen before it was asked for tells that the server has gone back (a replica took
 * over, a file was restored): that is another run (connection.c), and nothing that was kept in memory counts any more. */
#include "features/redis/redis.h"

#include "config/settings.h"

enum { META_VERSION = 1, META_SIZE = 44, FIXED_KEYS = 4 };

static int64_t get64(const char *bytes) { return (int64_t)reco__from_be64((const uint8_t *)bytes); }

reco_status reco__redis_new_epoch(uint64_t *epoch, reco_error *err) {
    do {
        reco_status status = reco__random_bytes(epoch, sizeof *epoch, err);
        if (status != RECO_OK) {
            return status;
        }
    } while (*epoch == 0);
    return RECO_OK;
}

int64_t reco__redis_newest_closed(const reco_features_store *store, const reco_position *positions, uint32_t board) {
    int64_t least = positions[0].clock;
    for (uint32_t p = 1; p < store->partitions; p++) {
        least = positions[p].clock < least ? positions[p].clock : least;
    }
    return reco_board_newest_closed(&store->rules, board, least);
}

reco_status reco__redis_busy(const reco__redis_state *state, reco_error *err) {
    return state->mark == RECO__REDIS_WHOLE ? RECO_OK : reco__fail(err, RECO_BUSY, "features", "a snapshot is being loaded");
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__redis_meta_put(reco__redis_link *link, const reco_features_store *store, uint64_t epoch, uint64_t names_epoch, uint32_t mark) {
    reco__buf value = {0};
    uint8_t fixed[META_SIZE];
    reco__be32(fixed, META_VERSION);
    reco__be32(fixed + 4, store->partitions);
    reco__be64(fixed + 8, epoch);
    reco__be64(fixed + 16, names_epoch);
    reco__be32(fixed + 24, mark);
    memcpy(fixed + 28, store->stream_id, 16);
    reco__buf_add(&value, fixed, sizeof fixed);
    reco__buf_add(&value, store->fingerprint, store->fingerprint_size);
    reco_status status = reco__buf_status(&value, NULL);
    if (status == RECO_OK) {
        reco__redis_command(link, "SET", 3);
        reco__redis_key(link, store, "meta");
        reco__redis_bytes(link, value.data, value.size);
    }
    reco__buf_dispose(&value);
    return status;
}

void reco__redis_closing_put(reco__redis_link *link, const reco_features_store *store, int64_t closed, int64_t target, uint32_t cursor) {
    uint8_t value[20];
    reco__be64(value, (uint64_t)closed);
    reco__be64(value + 8, (uint64_t)target);
    reco__be32(value + 16, cursor);
    reco__redis_command(link, "SET", 3);
    reco__redis_key(link, store, "closing");
    reco__redis_bytes(link, value, sizeof value);
}

void reco__redis_position_put(reco__redis_link *link, const reco_features_store *store, uint32_t partition, reco_position position) {
    uint8_t value[16];
    reco__be64(value, (uint64_t)position.offset);
    reco__be64(value + 8, (uint64_t)position.clock);
    reco__redis_command(link, "SET", 3);
    reco__redis_key_number(link, store, "p", partition);
    reco__redis_bytes(link, value, sizeof value);
}

/* --- reading -------------------------------------------------------------------------------------------------------------------------- */

void reco__redis_state_ask(reco__redis_link *link, reco_features_store *store, uint32_t what) {
    pthread_mutex_lock(&store->seen_lock);
    link->seen_resets = store->seen_resets;
    memcpy(link->seen, store->seen, store->partitions * sizeof *store->seen);
    pthread_mutex_unlock(&store->seen_lock);
    reco__redis_command(link, "MGET", 1 + FIXED_KEYS + store->partitions * (what & RECO__REDIS_DUE ? 2 : 1));
    reco__redis_key(link, store, "meta");
    reco__redis_key(link, store, "closing");
    reco__redis_key(link, store, "scan");
    reco__redis_key(link, store, "lease");
    for (uint32_t p = 0; p < store->partitions; p++) {
        reco__redis_key_number(link, store, "p", p);
    }
    for (uint32_t p = 0; what & RECO__REDIS_DUE && p < store->partitions; p++) {
        reco__redis_key_number(link, store, "w", p);
    }
    reco__redis_command(link, "LLEN", 2);
    reco__redis_key(link, store, "n");
    for (uint32_t p = 0; what & RECO__REDIS_USERS && p < store->partitions; p++) {
        reco__redis_command(link, "HLEN", 2);
        reco__redis_key_number(link, store, "c", p);
    }
    if (what & RECO__REDIS_DUE) {
        reco__redis_command(link, "SCARD", 2);
        reco__redis_key(link, store, "d");
        reco__redis_command(link, "ZRANGE", 5);
        reco__redis_key(link, store, "due");
        reco__redis_text(link, "0");
        reco__redis_text(link, "-1");
        reco__redis_text(link, "WITHSCORES");
        for (uint32_t board = RECO_BOARD_HOURS; board <= RECO_BOARD_DAYS; board++) {
            reco__redis_command(link, "ZRANGE", 4);
            reco__redis_key_number(link, store, "g", board);
            reco__redis_text(link, "0");
            reco__redis_text(link, "0");
        }
    }
}

static reco_status take_identity(const reco_features_store *store, const char *meta, size_t size, reco_error *err) {
    uint32_t version = reco__from_be32((const uint8_t *)meta), partitions = reco__from_be32((const uint8_t *)meta + 4);
    if (version != META_VERSION || size < META_SIZE) {
        return reco__fail(err, version > META_VERSION ? RECO_NEWER : RECO_CORRUPT, "features", "the identity of the namespace is of version %u",
                          version);
    }
    if (partitions != store->partitions) {
        return reco__fail(err, RECO_REFUSED, "partitions", "learned with %u partitions, opened with %u", partitions, store->partitions);
    }
    if (memcmp(meta + 28, store->stream_id, 16) != 0) {
        return reco__fail(err, RECO_REFUSED, "stream", "these features were learned from another stream");
    }
    reco_str stored = {meta + META_SIZE, size - META_SIZE}, ours = {store->fingerprint, store->fingerprint_size};
    char difference[160];
    if (!reco__str_equal(stored, ours)) {
        if (!reco__fingerprint_difference(stored, ours, difference, sizeof difference)) {
            memcpy(difference, "the settings differ", sizeof "the settings differ");
        }
        return reco__fail(err, RECO_REFUSED, "fingerprint", "learned with other settings: %s", difference);
    }
    return RECO_OK;
}

/* meta, closing, positions, sweeps: the reply to MGET. NOT_FOUND when there is no meta. */
static reco_status take_values(reco__redis_state *state, const redisReply *reply, const reco_features_store *store, uint32_t what, reco_error *err) {
    uint32_t partitions = store->partitions;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != FIXED_KEYS + partitions * (what & RECO__REDIS_DUE ? 2 : 1)) {
        return reco__redis_strange("the state", err);
    }
    const redisReply *meta = reply->element[0], *closing = reply->element[1];
    if (!reco__redis_is_bytes(meta)) {
        return reco__fail(err, RECO_NOT_FOUND, "features", "the namespace is gone from redis");
    }
    reco_status status = meta->len < 28 ? reco__redis_strange("the identity", err) : take_identity(store, meta->str, meta->len, err);
    if (status != RECO_OK) {
        return status;
    }
    state->epoch = (uint64_t)get64(meta->str + 8);
    state->names_epoch = (uint64_t)get64(meta->str + 16);
    state->mark = reco__from_be32((const uint8_t *)meta->str + 24);
    state->scanning = reco__redis_is_bytes(reply->element[2]);
    state->abandoned = state->scanning && !reco__redis_is_bytes(reply->element[3]);
    bool closed = reco__redis_is_bytes(closing) && closing->len == 20;
    state->closed = closed ? get64(closing->str) : RECO_BOARD_NONE_CLOSED;
    state->target = closed ? get64(closing->str + 8) : RECO_BOARD_NONE_CLOSED;
    state->cursor = closed ? reco__from_be32((const uint8_t *)closing->str + 16) : 0;
    for (uint32_t p = 0; p < partitions; p++) {
        const redisReply *position = reply->element[FIXED_KEYS + p];
        bool there = reco__redis_is_bytes(position) && position->len == 16;
        state->positions[p].offset = there ? get64(position->str) : 0;
        state->positions[p].clock = there ? get64(position->str + 8) : 0;
        state->due[p] = INT64_MAX;
        state->swept_at[p] = 0;
        state->sweeping[p] = false;
        if (what & RECO__REDIS_DUE) {
            const redisReply *sweep = reply->element[FIXED_KEYS + partitions + p];
            if (reco__redis_is_bytes(sweep) && sweep->len >= 8) {
                state->swept_at[p] = get64(sweep->str);
                state->sweeping[p] = sweep->len == 24;
            }
        }
    }
    return RECO_OK;
}

/* Compares with what was seen before; the cache is emptied when that is void. */
static void see(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state) {
    bool other = false, back = false;
    pthread_mutex_lock(&store->seen_lock);
    if (link->seen_resets == store->seen_resets) { /* else somebody has seen to it since */
        other = store->seen_epoch != state->epoch;
        for (uint32_t p = 0; p < store->partitions; p++) {
            int64_t offset = state->positions[p].offset;
            back = back || (!other && offset < link->seen[p]);
        }
        for (uint32_t p = 0; p < store->partitions; p++) {
            int64_t offset = state->positions[p].offset;
            store->seen[p] = other || back || offset > store->seen[p] ? offset : store->seen[p];
        }
        store->seen_resets += other || back;
        store->seen_epoch = state->epoch;
    }
    pthread_mutex_unlock(&store->seen_lock);
    if (back) {
        reco__log(RECO_LOG_WARN, "features", "redis has gone back to an earlier position: what is missing is learned again");
        pthread_mutex_lock(&store->pool_lock);
        link->run = atomic_load(&store->run) + 1;
        atomic_store(&store->run, link->run);
        pthread_mutex_unlock(&store->pool_lock);
    }
    if (other || back) {
        reco__redis_cache_empty(store);
    }
}

static reco_status take_integer(uint64_t *out, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    reco_status status = reco__redis_reply(&reply, link, err);
    if (status == RECO_OK && reply->type != REDIS_REPLY_INTEGER) {
        status = reco__redis_strange("a count", err);
    }
    if (status == RECO_OK) {
        *out = (uint64_t)reply->integer;
    }
    return status;
}

static reco_status take_due(reco__redis_state *state, reco__redis_link *link, const reco_features_store *store, reco_error *err) {
    const redisReply *reply;
    reco_status status = take_integer(&state->dirty, link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (size_t i = 0; status == RECO_OK && i + 1 < reply->elements; i += 2) {
        unsigned long p = strtoul(reply->element[i]->str, NULL, 10);
        if (p < store->partitions) {
            state->due[p] = (int64_t)strtod(reply->element[i + 1]->str, NULL);
        }
    }
    for (uint32_t board = RECO_BOARD_HOURS; board <= RECO_BOARD_DAYS && status == RECO_OK; board++) {
        status = reco__redis_reply(&reply, link, err);
        if (status == RECO_OK) {
            state->first[board] = reply->elements ? strtoll(reply->element[0]->str, NULL, 10) : -1;
        }
    }
    return status;
}

reco_status reco__redis_state_from(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, const redisReply *values,
                                   const redisReply *names, reco_error *err) {
    reco_status status = take_values(state, values, store, 0, err);
    if (status == RECO_OK && names->type != REDIS_REPLY_INTEGER) {
        status = reco__redis_strange("a count", err);
    }
    if (status == RECO_OK) {
        state->item_count = (uint32_t)names->integer;
        state->user_count = 0;
        see(store, link, state);
    }
    return status;
}

uint64_t reco__redis_epoch(const reco_features_store *store, const reco__redis_state *state) {
    return state->epoch ^ (atomic_load(&store->renamed) * UINT64_C(0x9e3779b97f4a7c15));
}

reco_status reco__redis_state_take(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, uint32_t what, reco_error *err) {
    const redisReply *reply;
    uint64_t count = 0;
    reco_status status = reco__redis_reply(&reply, link, err), found = RECO_OK;
    if (status == RECO_OK) {
        found = take_values(state, reply, store, what, err);
        status = take_integer(&count, link, found == RECO_OK ? err : NULL);
    }
    state->item_count = (uint32_t)count;
    state->user_count = 0;
    for (uint32_t p = 0; what & RECO__REDIS_USERS && p < store->partitions && status == RECO_OK; p++) {
        status = take_integer(&count, link, found == RECO_OK ? err : NULL);
        state->user_count += count;
    }
    if (status == RECO_OK && what & RECO__REDIS_DUE) {
        status = take_due(state, link, store, found == RECO_OK ? err : NULL);
    }
    if (found == RECO_OK && status == RECO_OK) {
        see(store, link, state);
    }
    return found == RECO_OK ? status : found;
}

reco_status reco__redis_state_read(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, uint32_t what, reco_error *err) {
    for (int attempt = 0;; attempt++) {
        reco__redis_state_ask(link, store, what);
        reco_status status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_state_take(state, link, store, what, err);
        }
        if (status != RECO_NOT_FOUND || attempt == 1) {
            return status == RECO_NOT_FOUND ? RECO_UNAVAILABLE : status;
        }
        reco__log(RECO_LOG_WARN, "features", "redis has lost what was learned: it is learned again");
        status = reco__redis_found(link, store, err);
        if (status != RECO_OK) {
            return status;
        }
    }
}

/* --- founding ------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__redis_found(reco__redis_link *link, reco_features_store *store, reco_error *err) {
    uint64_t epoch;
    const redisReply *reply;
    reco_status status = reco__redis_new_epoch(&epoch, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_command(link, "WATCH", 2);
    reco__redis_key(link, store, "meta");
    reco__redis_command(link, "GET", 2);
    reco__redis_key(link, store, "meta");
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (reco__redis_is_bytes(reply)) {
        reco__redis_unwatch(link);
        return reply->len < 28 ? reco__redis_strange("the identity", err) : take_identity(store, reply->str, reply->len, err);
    }
    reco__redis_command(link, "MULTI", 1);
    status = reco__redis_meta_put(link, store, epoch, epoch, RECO__REDIS_WHOLE);
    if (status != RECO_OK) {
        return reco__no_memory(err);
    }
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 1, err);
    }
    return status == RECO_STALE ? reco__redis_found(link, store, err) : status; /* somebody else was faster: it must be the same */
}

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

void reco__redis_info_fill(reco_features_info *out, const reco_features_store *store, const reco__redis_state *state) {
    uint32_t partition;
    out->struct_size = sizeof *out;
    out->partitions = store->partitions;
    out->epoch = reco__redis_epoch(store, state);
    out->item_count = state->item_count;
    out->user_count = state->user_count;
    out->closings_due =
        reco__redis_closing_due(store, state) || reco__redis_publishing_due(store, state) || reco__redis_sweep_due(store, state, &partition);
}

static reco_status read_state(reco__redis_state *state, reco_features_store *store, uint32_t what, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = reco__redis_state_read(state, link, store, what, err);
        if (status == RECO_OK && reco__redis_doubtful(store, link, state)) {
            status = reco__redis_follow(store, link, state, err);
        }
        reco__redis_give(store, link);
    }
    return status;
}

reco_status reco__redis_info(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err) {
    reco__redis_state state;
    reco_status status = read_state(&state, store, RECO__REDIS_USERS | RECO__REDIS_DUE, call, err);
    if (status == RECO_OK) {
        reco__redis_info_fill(out, store, &state);
    }
    return status;
}

reco_status reco__redis_positions(reco_position *positions, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err) {
    reco__redis_state state;
    reco_status status = read_state(&state, store, 0, call, err);
    if (status == RECO_OK) {
        memcpy(positions, state.positions, store->partitions * sizeof *positions);
        *epoch = reco__redis_epoch(store, &state);
    }
    return status;
}
