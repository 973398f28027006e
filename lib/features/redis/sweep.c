/* sweep.c - deleting cells that are gone anyway.
 *
 * A cell is gone once the clock of its partition is past expires_at; load says so. Sweeping is housekeeping. Key `due` has for each partition the
 * earliest expiry known, lowered by whoever puts cells. When the clock has passed it and has moved a generation of the hours board since the last
 * round, or the table is full, a round walks the partition's cells by HSCAN, a piece a step. It begins by taking the partition out of `due` and ends
 * by putting in what it has found; cells put meanwhile put themselves in. A piece is read and its cells deleted under WATCH of the partition's
 * position: when the partition has learned meanwhile, nothing was done. */
#include "features/redis/redis.h"

#include <stdlib.h>

enum { PIECE = 512 };
#define DUE_MAX (INT64_C(1) << 53)

bool reco__redis_sweep_due(const reco_features_store *store, const reco__redis_state *state, uint32_t *partition) {
    if (state->scanning) {
        return false;
    }
    bool full = state->user_count >= store->max_users;
    for (uint32_t p = 0; p < store->partitions; p++) {
        int64_t clock = state->positions[p].clock;
        bool rested = full || clock - state->swept_at[p] >= store->rules.length[RECO_BOARD_HOURS];
        if (state->sweeping[p] || (rested && state->due[p] < clock)) {
            *partition = p;
            return true;
        }
    }
    return false;
}

struct round {
    int64_t swept_at, earliest;
    uint64_t cursor;
    bool running;
};

static void round_put(reco__redis_link *link, const reco_features_store *store, uint32_t partition, const struct round *round) {
    uint8_t value[24];
    reco__be64(value, (uint64_t)round->swept_at);
    reco__be64(value + 8, round->cursor);
    reco__be64(value + 16, (uint64_t)round->earliest);
    reco__redis_command(link, "SET", 3);
    reco__redis_key_number(link, store, "w", partition);
    reco__redis_bytes(link, value, round->running ? 24 : 8);
}

static reco_status round_read(struct round *round, int64_t *clock, reco__redis_link *link, const reco_features_store *store, uint32_t partition,
                              reco_error *err) {
    const redisReply *reply;
    reco__redis_command(link, "WATCH", 4);
    reco__redis_key(link, store, "scan");
    reco__redis_key_number(link, store, "p", partition);
    reco__redis_key_number(link, store, "w", partition);
    reco__redis_command(link, "MGET", 4);
    reco__redis_key_number(link, store, "p", partition);
    reco__redis_key_number(link, store, "w", partition);
    reco__redis_key(link, store, "scan");
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (reply->elements != 3) {
        return reco__redis_strange("a sweep", err);
    }
    if (reco__redis_is_bytes(reply->element[2])) {
        return reco__fail(err, RECO_STALE, "features", "everything is being read");
    }
    const redisReply *position = reply->element[0], *sweep = reply->element[1];
    memset(round, 0, sizeof *round);
    *clock = reco__redis_is_bytes(position) && position->len == 16 ? (int64_t)reco__from_be64((const uint8_t *)position->str + 8) : 0;
    round->running = reco__redis_is_bytes(sweep) && sweep->len == 24;
    if (round->running) {
        round->swept_at = (int64_t)reco__from_be64((const uint8_t *)sweep->str);
        round->cursor = reco__from_be64((const uint8_t *)sweep->str + 8);
        round->earliest = (int64_t)reco__from_be64((const uint8_t *)sweep->str + 16);
    } else {
        round->swept_at = *clock;
        round->earliest = INT64_MAX;
    }
    return RECO_OK;
}

/* Looks at the cells of a piece; writes HDEL for those that are gone. */
static size_t look_at(struct round *round, reco__redis_link *link, const reco_features_store *store, uint32_t partition, int64_t clock,
                      const redisReply *cells) {
    size_t gone = 0;
    int64_t expires_at;
    for (size_t i = 0; i + 1 < cells->elements; i += 2) {
        if (!reco__redis_cell_read(&expires_at, cells->element[i + 1]) || expires_at < clock) {
            gone++;
        } else if (expires_at < round->earliest) {
            round->earliest = expires_at;
        }
    }
    if (gone) {
        reco__redis_command(link, "HDEL", 2 + gone);
        reco__redis_key_number(link, store, "c", partition);
    }
    for (size_t i = 0; gone && i + 1 < cells->elements; i += 2) {
        if (!reco__redis_cell_read(&expires_at, cells->element[i + 1]) || expires_at < clock) {
            reco__redis_bytes(link, cells->element[i]->str, cells->element[i]->len);
        }
    }
    return gone > 0;
}

/* A round that begins takes the partition out of `due` before it looks at anything. */
static reco_status begin_round(struct round *round, reco__redis_link *link, const reco_features_store *store, uint32_t partition, reco_error *err) {
    const redisReply *reply;
    round->running = true;
    reco__redis_command(link, "MULTI", 1);
    reco__redis_command(link, "ZREM", 3);
    reco__redis_key(link, store, "due");
    reco__redis_number(link, partition);
    round_put(link, store, partition, round);
    reco__redis_command(link, "EXEC", 1);
    reco_status status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_exec(&reply, link, 2, err) : status;
}

static reco_status sweep_piece(struct round *round, int64_t clock, reco__redis_link *link, const reco_features_store *store, uint32_t partition,
                               reco_error *err) {
    const redisReply *reply;
    char cursor[24];
    snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)round->cursor);
    reco__redis_command(link, "HSCAN", 5);
    reco__redis_key_number(link, store, "c", partition);
    reco__redis_text(link, cursor);
    reco__redis_text(link, "COUNT");
    reco__redis_number(link, PIECE);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)) {
        status = reco__redis_strange("the answer to HSCAN", err);
    }
    if (status != RECO_OK) {
        return status;
    }
    size_t commands = 1;
    round->cursor = strtoull(reply->element[0]->str, NULL, 10);
    round->running = round->cursor != 0;
    reco__redis_command(link, "MULTI", 1);
    commands += look_at(round, link, store, partition, clock, reply->element[1]);
    round_put(link, store, partition, round);
    if (!round->running && round->earliest != INT64_MAX) {
        reco__redis_command(link, "ZADD", 5);
        reco__redis_key(link, store, "due");
        reco__redis_text(link, "LT");
        reco__redis_number(link, round->earliest < DUE_MAX ? round->earliest : DUE_MAX);
        reco__redis_number(link, partition);
        commands++;
    }
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_exec(&reply, link, commands, err) : status;
}

reco_status reco__redis_sweep(reco_features_store *store, reco__redis_link *link, uint32_t partition, reco_error *err) {
    struct round round;
    int64_t clock;
    reco_status status = round_read(&round, &clock, link, store, partition, err);
    if (status == RECO_OK && !round.running) {
        status = begin_round(&round, link, store, partition, err);
        if (status == RECO_OK) {
            status = round_read(&round, &clock, link, store, partition, err);
        }
    }
    if (status == RECO_OK && round.running) {
        status = sweep_piece(&round, clock, link, store, partition, err);
    }
    return status == RECO_STALE ? RECO_OK : status; /* the partition learned meanwhile: another time */
}
