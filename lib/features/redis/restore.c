/* restore.c - loading a snapshot into a namespace.
 *
 * A restore is many transactions, so meta carries a mark from the first to the last of them; nothing is learned meanwhile. FIRST takes a lock (a key
 * that expires, renewed with each piece), sets the mark with a new epoch and deletes every other key of the namespace. Pieces append rows and put
 * cells. LAST makes all heads at the number the positions give and then, in one transaction, writes positions, another epoch and no mark. Who opens a
 * marked namespace whose lock is free finishes what was begun by a process that died: it empties it, and learning starts over. */
#include "features/redis/redis.h"

#include <stdlib.h>

enum { LOCK_MS = 60000, DELETE_AT_ONCE = 1000, PUBLISH_AT_ONCE = 64 };

/* --- the lock ------------------------------------------------------------------------------------------------------------------------- */

static reco_status take_lock(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    uint8_t random[16];
    if (store->restoring) {
        return RECO_OK;
    }
    reco_status status = reco__random_bytes(random, sizeof random, err);
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(store->token + 2 * i, 3, "%02x", random[i]);
    }
    if (status == RECO_OK) {
        reco__redis_command(link, "SET", 6);
        reco__redis_key(link, store, "lock");
        reco__redis_text(link, store->token);
        reco__redis_text(link, "NX");
        reco__redis_text(link, "PX");
        reco__redis_number(link, LOCK_MS);
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK && reply->type == REDIS_REPLY_NIL) {
        status = reco__fail(err, RECO_BUSY, "features", "another process is loading a snapshot");
    }
    store->restoring = status == RECO_OK;
    return status;
}

/* Renews the lock, or finds that it is another's by now. It stays watched. */
static reco_status hold_lock(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    if (!store->restoring) {
        return reco__fail(err, RECO_CONFLICT, "flags", "no restore has begun here");
    }
    reco__redis_unwatch(link);
    reco__redis_command(link, "PEXPIRE", 3);
    reco__redis_key(link, store, "lock");
    reco__redis_number(link, LOCK_MS);
    reco__redis_command(link, "WATCH", 3);
    reco__redis_key(link, store, "lock");
    reco__redis_key(link, store, "meta");
    reco__redis_command(link, "GET", 2);
    reco__redis_key(link, store, "lock");
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 2, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK && (!reco__redis_is_bytes(reply) || strcmp(reply->str, store->token) != 0)) {
        store->restoring = false;
        status = reco__fail(err, RECO_CONFLICT, "flags", "the restore took too long and was given up");
    }
    return status;
}

static reco_status drop_lock(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    reco_status status = hold_lock(store, link, err);
    if (status == RECO_OK) {
        reco__redis_command(link, "MULTI", 1);
        reco__redis_command(link, "DEL", 2);
        reco__redis_key(link, store, "lock");
        reco__redis_command(link, "EXEC", 1);
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 1, err);
    }
    store->restoring = false;
    return status;
}

void reco__redis_unlock(reco_features_store *store) {
    reco__redis_link *link;
    if (store->restoring && reco__redis_take(&link, store, NULL, NULL) == RECO_OK) {
        drop_lock(store, link, NULL); /* a lock that stays ends by itself */
        reco__redis_give(store, link);
    }
}

/* --- emptying ------------------------------------------------------------------------------------------------------------------------- */

static bool is_kept(const reco_features_store *store, const redisReply *key) {
    size_t size = store->prefix_size;
    return key->len < size || memcmp(key->str, store->prefix, size) != 0 || strcmp(key->str + size, "meta") == 0 ||
           strcmp(key->str + size, "lock") == 0;
}

static reco_status delete_all(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    char cursor[24] = "0";
    reco_status status = RECO_OK;
    do {
        const redisReply *reply;
        reco__redis_command(link, "SCAN", 4);
        reco__redis_text(link, cursor);
        reco__redis_text(link, "COUNT");
        reco__redis_number(link, DELETE_AT_ONCE);
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, err);
        }
        if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)) {
            status = reco__redis_strange("the answer to SCAN", err);
        }
        size_t deleted = 0;
        for (size_t i = 0; status == RECO_OK && i < reply->element[1]->elements; i++) {
            const redisReply *key = reply->element[1]->element[i];
            if (!is_kept(store, key)) {
                reco__redis_command(link, "UNLINK", 2);
                reco__redis_bytes(link, key->str, key->len);
                deleted++;
            }
        }
        if (status == RECO_OK) {
            snprintf(cursor, sizeof cursor, "%.20s", reply->element[0]->str);
            status = deleted ? reco__redis_send(link, err) : RECO_OK;
        }
        if (status == RECO_OK) {
            status = reco__redis_skip(link, deleted, err);
        }
    } while (status == RECO_OK && strcmp(cursor, "0") != 0);
    return status;
}

/* Marks the namespace with a new epoch, and deletes what is in it. */
static reco_status empty_all(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    uint64_t epoch;
    reco_status status = reco__redis_new_epoch(&epoch, err);
    if (status == RECO_OK && reco__redis_meta_put(link, store, epoch, epoch, RECO__REDIS_RESTORING) != RECO_OK) {
        status = reco__no_memory(err);
    }
    if (status == RECO_OK) {
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    return status == RECO_OK ? delete_all(store, link, err) : status;
}

/* Positions, another epoch and no mark; the lock is watched. */
static reco_status clear_mark(reco_features_store *store, reco__redis_link *link, const reco_position *positions, reco_error *err) {
    reco__redis_state state;
    const redisReply *reply;
    uint64_t epoch;
    size_t commands = 1;
    reco_status status = reco__redis_state_read(&state, link, store, 0, err);
    if (status == RECO_OK) {
        status = hold_lock(store, link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_new_epoch(&epoch, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_command(link, "MULTI", 1);
    if (reco__redis_meta_put(link, store, epoch, state.names_epoch, RECO__REDIS_WHOLE) != RECO_OK) {
        return reco__no_memory(err);
    }
    for (uint32_t p = 0; positions && p < store->partitions; p++, commands++) {
        reco__redis_position_put(link, store, p, positions[p]);
    }
    if (positions) {
        int64_t closed = reco__redis_newest_closed(store, positions, RECO_BOARD_COVIEW);
        reco__redis_closing_put(link, store, closed, closed, 0);
        commands++;
    }
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_exec(&reply, link, commands, err) : status;
}

reco_status reco__redis_restore_recover(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    reco__redis_state state;
    reco_status status = reco__redis_state_read(&state, link, store, 0, err);
    if (status != RECO_OK || state.mark == RECO__REDIS_WHOLE) {
        return status;
    }
    status = take_lock(store, link, err);
    if (status == RECO_OK) {
        status = empty_all(store, link, err);
    }
    if (status == RECO_OK) {
        status = clear_mark(store, link, NULL, err);
    }
    if (status == RECO_OK) {
        status = drop_lock(store, link, err);
    }
    return status;
}

/* --- pieces --------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_piece(const reco_features_store *store, const reco__redis_state *state, const reco_restore_piece *piece, reco_error *err) {
    if (state->mark != RECO__REDIS_RESTORING) {
        return reco__fail(err, RECO_CONFLICT, "flags", "no restore has begun here");
    }
    for (size_t i = 0; i < piece->cell_count; i++) {
        if (piece->cell_partitions[i] >= store->partitions) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "cell_partitions", "partition %u of %u", piece->cell_partitions[i],
                                 store->partitions);
        }
    }
    if (state->user_count + piece->cell_count > store->max_users) {
        return reco__fail(err, RECO_FULL, "limits.users", "the table of users is full: %llu", (unsigned long long)store->max_users);
    }
    return reco__redis_check_adds(store, state, piece->groups, piece->group_count, err);
}

static reco_status put_piece(reco_features_store *store, reco__redis_link *link, const reco_restore_piece *piece, reco_error *err) {
    reco__redis_state state;
    const redisReply *reply;
    reco_status status = hold_lock(store, link, err);
    if (status == RECO_OK) {
        status = reco__redis_state_read(&state, link, store, RECO__REDIS_USERS, err);
    }
    if (status == RECO_OK) { /* numbers of before are void */
        status = reco__redis_follow(store, link, &state, err);
    }
    if (status == RECO_OK) {
        status = check_piece(store, &state, piece, err);
    }
    if (status != RECO_OK || (piece->group_count == 0 && piece->cell_count == 0)) {
        return status;
    }
    size_t commands = 0;
    reco__redis_command(link, "MULTI", 1);
    for (size_t i = 0; i < piece->group_count; i++) {
        commands += reco__redis_write_group(link, store, &piece->groups[i]);
    }
    for (size_t at = 0, end; at < piece->cell_count; at = end) { /* runs of one partition */
        for (end = at + 1; end < piece->cell_count && piece->cell_partitions[end] == piece->cell_partitions[at];) {
            end++;
        }
        commands += reco__redis_write_cells(link, store, piece->cell_partitions[at], piece->cells + at, end - at);
    }
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_exec(&reply, link, commands, err) : status;
}

static reco_status finish(reco_features_store *store, reco__redis_link *link, const reco_position *positions, const reco_call *call,
                          reco_error *err) {
    int64_t closed_at = reco__redis_newest_closed(store, positions, RECO_BOARD_COVIEW);
    reco__redis_state state;
    reco_status status = reco__redis_state_read(&state, link, store, 0, err);
    if (status == RECO_OK) {
        status = reco__redis_follow(store, link, &state, err);
    }
    for (size_t count = 1; status == RECO_OK && count > 0;) {
        const redisReply *reply;
        uint32_t items[PUBLISH_AT_ONCE];
        size_t left;
        reco__redis_command(link, "SRANDMEMBER", 3);
        reco__redis_key(link, store, "d");
        reco__redis_number(link, PUBLISH_AT_ONCE);
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, err);
        }
        for (count = 0; status == RECO_OK && count < reply->elements && count < PUBLISH_AT_ONCE; count++) {
            items[count] = (uint32_t)strtoul(reply->element[count]->str, NULL, 10);
        }
        if (status == RECO_OK) {
            status = reco__redis_publish(&left, store, link, NULL, items, count, closed_at, &state, err);
        }
        if (status == RECO_OK) {
            status = reco__call_check(call, err);
        }
    }
    return status == RECO_OK ? clear_mark(store, link, positions, err) : status;
}

static reco_status restore(reco_features_store *store, reco__redis_link *link, const reco_restore_piece *piece, const reco_call *call,
                           reco_error *err) {
    reco_status status = RECO_OK;
    if (piece->flags & RECO_RESTORE_FIRST) {
        status = take_lock(store, link, err);
        if (status == RECO_OK) {
            status = empty_all(store, link, err);
        }
    }
    if (status == RECO_OK) {
        status = put_piece(store, link, piece, err);
    }
    if (status == RECO_OK && (piece->flags & RECO_RESTORE_LAST)) {
        status = finish(store, link, piece->positions, call, err);
        if (status == RECO_OK) {
            status = drop_lock(store, link, err);
        }
    }
    return status;
}

reco_status reco__redis_restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    pthread_mutex_lock(&store->closing_lock);
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = restore(store, link, piece, call, err);
        reco__redis_give(store, link);
    }
    pthread_mutex_unlock(&store->closing_lock);
    return status;
}
