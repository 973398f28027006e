/* closing.c - what time brings: publishing of heads, closing of co-view generations, expiry of popularity, sweeping of cells. In steps.
 *
 * A pass of closing goes through the items in order of number, towards the number that was newest closed when it began; the key `closing` keeps how
 * far it came. Several processes may work on it: what it says is true whoever wrote it last, and an item done twice is done once. When the pass is
 * through, nothing is left in generations that expired with it, for no add goes to a closed generation; they leave the list g2.
 *
 * While everything is being read (scan.c) nothing is closed, compacted, swept or expired, and close_step has nothing to do but to publish; settle
 * waits until that is over.
 *
 * Items whose heads are not current are published in rounds, PUBLISH_NS apart, and at once by settle. Several processors would put the same heads
 * again and again: in rounds one of them publishes at a time, the one that holds the key `publisher`, which expires when it is not held on to. */
#include "features/redis/redis.h"

#include <stdlib.h>
#include <time.h>

enum { ITEMS_LOOKED_AT = 128, ITEMS_AT_ONCE = 32, PUBLISHED_AT_ONCE = 48, EXPIRED_AT_ONCE = 64 };
#define PUBLISH_NS (INT64_C(750) * 1000 * 1000)
#define LEASE_NS PUBLISH_NS
#define PATIENT_NS (INT64_C(200) * 1000)

static bool coview_due(const reco_features_store *store, const reco__redis_state *state) {
    return state->closed < reco__redis_newest_closed(store, state->positions, RECO_BOARD_COVIEW);
}

static bool popularity_due(const reco_features_store *store, const reco__redis_state *state, uint32_t board) {
    return state->first[board] >= 0 &&
           reco_board_expired(&store->rules, board, state->first[board], reco__redis_newest_closed(store, state->positions, board));
}

/* Whether or not it can be done now. */
static bool is_due(const reco_features_store *store, const reco__redis_state *state) {
    return state->mark == RECO__REDIS_WHOLE &&
           (coview_due(store, state) || popularity_due(store, state, RECO_BOARD_HOURS) || popularity_due(store, state, RECO_BOARD_DAYS));
}

bool reco__redis_closing_due(const reco_features_store *store, const reco__redis_state *state) { return !state->scanning && is_due(store, state); }

bool reco__redis_publishing_due(const reco_features_store *store, const reco__redis_state *state) {
    return state->mark == RECO__REDIS_WHOLE && state->dirty > 0 && reco__monotonic_ns() - atomic_load(&store->published_ns) >= PUBLISH_NS;
}

/* --- popularity ----------------------------------------------------------------------------------------------------------------------- */

static reco_status expire_one(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, uint32_t board, int64_t generation,
                              reco_error *err) {
    uint32_t shards = reco__redis_shards(state);
    const redisReply *reply;
    reco__redis_command(link, "WATCH", 2);
    reco__redis_key(link, store, "scan");
    reco__redis_command(link, "EXISTS", 2);
    reco__redis_key(link, store, "scan");
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK || reply->integer) {
        reco__redis_unwatch(link);
        return status;
    }
    reco__redis_command(link, "MULTI", 1);
    reco__redis_command(link, "UNLINK", 1 + shards);
    for (uint32_t shard = 0; shard < shards; shard++) {
        reco__redis_key_popular(link, store, board, generation, shard);
    }
    reco__redis_command(link, "SREM", 3);
    reco__redis_key_number(link, store, "neg", board);
    reco__redis_number(link, generation);
    reco__redis_command(link, "ZREM", 3);
    reco__redis_key_number(link, store, "g", board);
    reco__redis_number(link, generation);
    reco__redis_command(link, "EXEC", 1);
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 3, err);
    }
    return status == RECO_STALE ? RECO_OK : status; /* a scan has begun: another time */
}

static reco_status expire(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, uint32_t board, reco_error *err) {
    int64_t newest_closed = reco__redis_newest_closed(store, state->positions, board);
    size_t count;
    reco__redis_generations_ask(link, store, board);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_generations_take(&count, link, err);
    }
    for (size_t i = 0; status == RECO_OK && i < count && i < EXPIRED_AT_ONCE; i++) {
        int64_t generation = ((int64_t *)link->list.data)[i];
        if (!reco_board_expired(&store->rules, board, generation, newest_closed)) {
            break;
        }
        status = expire_one(store, link, state, board, generation, err);
    }
    return status;
}

/* --- co-view -------------------------------------------------------------------------------------------------------------------------- */

/* Keeps the list of generations, which is the next reply. */
static reco_status walk_generations(reco__redis_walk *walk, reco__redis_link *link, reco_error *err) {
    reco_status status = reco__redis_generations_take(&walk->generation_count, link, err);
    if (status == RECO_OK) {
        status = reco__redis_room(&walk->generations, walk->generation_count + 1, sizeof(int64_t), err);
    }
    if (status == RECO_OK) {
        memcpy(walk->generations.data, link->list.data, walk->generation_count * sizeof(int64_t));
    }
    return status;
}

/* Of the items from the cursor on, those that have something to close or to publish, and the generations there are. */
static reco_status find_items(reco__redis_pass *pass, reco_features_store *store, reco__redis_link *link, const reco__redis_state *state,
                              reco_error *err) {
    reco__redis_walk *walk = &pass->walk;
    const redisReply *reply;
    bool dirty[ITEMS_LOOKED_AT];
    const uint32_t from = state->cursor, many = state->item_count - from < ITEMS_LOOKED_AT ? state->item_count - from : ITEMS_LOOKED_AT;
    walk->at = walk->count = 0;
    pass->next = from + many;
    reco_status status = reco__redis_room(&walk->items, ITEMS_LOOKED_AT, sizeof(uint32_t), err);
    if (status != RECO_OK || many == 0) {
        return status;
    }
    reco__redis_command(link, "SMISMEMBER", 2 + many);
    reco__redis_key(link, store, "d");
    for (uint32_t i = 0; i < many; i++) {
        reco__redis_number(link, from + i);
    }
    reco__redis_command(link, "MGET", 1 + many);
    for (uint32_t i = 0; i < many; i++) {
        reco__redis_key_head(link, store, from + i);
    }
    reco__redis_generations_ask(link, store, RECO_BOARD_COVIEW);
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (uint32_t i = 0; i < many && status == RECO_OK; i++) {
        dirty[i] = reply->elements == many && reply->element[i]->integer != 0;
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (uint32_t i = 0; i < many && status == RECO_OK; i++) {
        reco__redis_item item;
        status = reply->elements == many ? reco__redis_item_read(&item, from + i, reply->element[i], state->closed, err)
                                         : reco__redis_strange("heads", err);
        if (status == RECO_OK && (dirty[i] || (item.stored && item.head.generation_count && item.head.closed_at < state->target))) {
            ((uint32_t *)walk->items.data)[walk->count++] = from + i;
        }
    }
    return status == RECO_OK ? walk_generations(walk, link, err) : status;
}

/* Nothing is left in generations that expired with a pass that is through. */
static void finish_pass(reco_features_store *store, reco__redis_link *link, int64_t target) {
    reco__redis_command(link, "ZREMRANGEBYSCORE", 4);
    reco__redis_key_number(link, store, "g", RECO_BOARD_COVIEW);
    reco__redis_text(link, "-inf");
    reco__redis_number(link, target - (int64_t)store->rules.kept[RECO_BOARD_COVIEW]);
}

/* The pass goes on with the items that were found, when nobody else has moved it: what has to be closed by its number was to be seen already. */
static void follow_pass(reco__redis_pass *pass, const reco__redis_link *link, reco__redis_state *state, int64_t target) {
    reco__redis_walk *walk = &pass->walk;
    if (state->target != target) {
        state->target = target;
        state->cursor = 0;
    }
    walk->begun = walk->begun && walk->epoch == state->epoch && walk->run == link->run && walk->closed_at == target && pass->cursor == state->cursor;
    if (!walk->begun) {
        walk->at = walk->count = 0;
        pass->next = state->cursor;
    }
    snprintf(walk->cursor, sizeof walk->cursor, "0"); /* nothing is asked for on the way */
    walk->begun = true;
    walk->epoch = state->epoch;
    walk->run = link->run;
    walk->closed_at = target;
}

/* Some items, at most `most`. False in *moved when somebody learns too fast for them. */
static reco_status close_piece(bool *moved, reco_features_store *store, reco__redis_link *link, reco__redis_state *state, size_t most,
                               reco_error *err) {
    reco__redis_pass *pass = &store->pass;
    reco__redis_walk *walk = &pass->walk;
    size_t left = 0;
    reco_status status = RECO_OK;
    if (walk->at == walk->count && pass->next < state->item_count) {
        state->cursor = pass->next;
        status = find_items(pass, store, link, state, err);
    }
    size_t at = walk->at, many = walk->count - at < most ? walk->count - at : most;
    if (status == RECO_OK) {
        walk->at += many;
        status = reco__redis_publish(&left, store, link, walk, (uint32_t *)walk->items.data + at, many, state->target, state, err);
    }
    *moved = status == RECO_OK && left == 0;
    if (*moved) {
        state->cursor = walk->at < walk->count ? ((uint32_t *)walk->items.data)[walk->at] : pass->next;
        pass->cursor = state->cursor;
    } else {
        walk->begun = false;
    }
    return status;
}

static reco_status close_items(reco_features_store *store, reco__redis_link *link, reco__redis_state *state, int64_t until_ns, size_t most,
                               reco_error *err) {
    int64_t target = reco__redis_newest_closed(store, state->positions, RECO_BOARD_COVIEW);
    follow_pass(&store->pass, link, state, target);
    reco_status status = RECO_OK;
    bool moved, any = false;
    size_t commands = 1;
    do {
        status = close_piece(&moved, store, link, state, most, err);
        any = any || moved;
        if (moved && state->cursor >= state->item_count) {
            state->closed = target;
            state->cursor = 0;
            store->pass.walk.begun = false;
            finish_pass(store, link, target);
            commands++;
        }
    } while (moved && state->closed < target && reco__monotonic_ns() < until_ns);
    if (status != RECO_OK || !any) {
        return status;
    }
    reco__redis_closing_put(link, store, state->closed, target, state->cursor);
    status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_skip(link, commands, err) : status;
}

/* --- publishing ------------------------------------------------------------------------------------------------------------------------- */

bool reco__redis_walk_onward(const reco__redis_walk *walk) { return walk->at == walk->count && strcmp(walk->cursor, "0") != 0; }

/* The server shows each that stays on the list once in a round, or twice. */
void reco__redis_walk_ask(const reco__redis_walk *walk, reco__redis_link *link, const reco_features_store *store) {
    reco__redis_command(link, "SSCAN", 5);
    reco__redis_key(link, store, "d");
    reco__redis_text(link, walk->begun ? walk->cursor : "0");
    reco__redis_text(link, "COUNT");
    reco__redis_number(link, PUBLISHED_AT_ONCE);
    reco__redis_generations_ask(link, store, RECO_BOARD_COVIEW);
}

reco_status reco__redis_walk_take(reco__redis_walk *walk, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    reco_status status = reco__redis_reply(&reply, link, err);
    if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reco__redis_is_bytes(reply->element[0]))) {
        status = reco__redis_strange("the answer to SSCAN", err);
    }
    size_t count = status == RECO_OK ? reply->element[1]->elements : 0;
    if (status == RECO_OK) {
        status = reco__redis_room(&walk->items, count + 1, sizeof(uint32_t), err);
    }
    if (status != RECO_OK) {
        return status;
    }
    snprintf(walk->cursor, sizeof walk->cursor, "%.20s", reply->element[0]->str);
    for (size_t i = 0; i < count; i++) {
        ((uint32_t *)walk->items.data)[i] = (uint32_t)strtoul(reply->element[1]->element[i]->str, NULL, 10);
    }
    walk->at = 0;
    walk->count = count;
    status = walk_generations(walk, link, err);
    walk->begun = status == RECO_OK;
    return status;
}

static reco_status next_piece(reco__redis_walk *walk, reco_features_store *store, reco__redis_link *link, reco_error *err) {
    reco__redis_walk_ask(walk, link, store);
    reco_status status = reco__redis_send(link, err);
    return status == RECO_OK ? reco__redis_walk_take(walk, link, err) : status;
}

/* Whether this store is the one that publishes. */
static reco_status may_publish(bool *may, reco_features_store *store, reco__redis_link *link, reco_error *err) {
    int64_t now = reco__monotonic_ns();
    const redisReply *reply;
    *may = store->lease_ns && now - store->lease_ns < LEASE_NS / 2;
    if (*may) {
        return RECO_OK;
    }
    reco__redis_command(link, "SET", store->lease_ns ? 5 : 6);
    reco__redis_key(link, store, "publisher");
    reco__redis_text(link, "1");
    reco__redis_text(link, "PX");
    reco__redis_number(link, LEASE_NS / 1000000);
    if (!store->lease_ns) {
        reco__redis_text(link, "NX");
    }
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    *may = status == RECO_OK && reply->type == REDIS_REPLY_STATUS;
    store->lease_ns = *may ? now : 0;
    if (status == RECO_OK && !*may) {
        atomic_store(&store->published_ns, now); /* another one does it: look again after a pause */
    }
    return status;
}

/* A round goes through the list once. False in *ended when time is over: the next call goes on where this one has stopped. most: in one request.
 *
 * Items are closed up to what was closed before the list of generations was asked for: a generation that came in later is open there, and `switch`
 * counts the open ones. */
static reco_status publish_round(bool *ended, reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, int64_t until_ns,
                                 size_t most, reco_error *err) {
    reco__redis_walk *walk = &store->publishing;
    const int64_t closed_at = reco__redis_newest_closed(store, state->positions, RECO_BOARD_COVIEW);
    bool same = walk->epoch == state->epoch && walk->run == link->run; /* else the numbers of items may be others' by now */
    walk->begun = walk->begun && same;
    walk->epoch = state->epoch;
    walk->run = link->run;
    reco_status status = RECO_OK;
    if (!walk->begun) {
        walk->closed_at = closed_at;
        status = next_piece(walk, store, link, err);
    }
    *ended = false;
    while (status == RECO_OK && !*ended) {
        size_t at = walk->at, left = walk->count - at, many = left < most + most / 2 ? left : most; /* no trips for a few that are left over */
        walk->at += many;
        if (many) {
            int64_t before = walk->closed_at;
            walk->closed_at = reco__redis_walk_onward(walk) ? closed_at : before;
            status = reco__redis_publish(&left, store, link, walk, (uint32_t *)walk->items.data + at, many, before, state, err);
        } else if (reco__redis_walk_onward(walk)) {
            walk->closed_at = closed_at;
            status = next_piece(walk, store, link, err);
        } else {
            *ended = true;
        }
        if (reco__monotonic_ns() >= until_ns) {
            break;
        }
    }
    *ended = *ended || (status == RECO_OK && walk->at == walk->count && !reco__redis_walk_onward(walk));
    if (*ended || status != RECO_OK) {
        walk->begun = false;
    }
    if (*ended) {
        atomic_store(&store->published_ns, reco__monotonic_ns());
        store->lease_ns = 0;
    }
    return status;
}

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

/* *expired: what the state says of popularity is not so any more. */
static reco_status close_some(bool *expired, reco_features_store *store, reco__redis_link *link, reco__redis_state *state, int64_t until_ns,
                              size_t most, reco_error *err) {
    reco_status status = RECO_OK;
    *expired = false;
    for (uint32_t board = RECO_BOARD_HOURS; board <= RECO_BOARD_DAYS && status == RECO_OK; board++) {
        if (popularity_due(store, state, board)) {
            *expired = true;
            status = expire(store, link, state, board, err);
        }
    }
    return status == RECO_OK && coview_due(store, state) ? close_items(store, link, state, until_ns, most, err) : status;
}

static reco_status step(int *more, reco_features_store *store, reco__redis_link *link, int64_t budget_ns, reco_error *err) {
    reco__redis_state state;
    uint32_t partition;
    bool ended;
    const uint32_t what = RECO__REDIS_USERS | RECO__REDIS_DUE;
    int64_t until_ns = reco__monotonic_ns() + budget_ns;
    size_t most = budget_ns < PATIENT_NS ? 1 : ITEMS_AT_ONCE;
    reco_status status = reco__redis_take_ahead(&state, store) ? RECO_OK : reco__redis_state_read(&state, link, store, what, err);
    if (status == RECO_OK && state.abandoned) {
        status = reco__redis_scan_end(store, link, NULL, err);
        if (status == RECO_OK) {
            status = reco__redis_state_read(&state, link, store, what, err);
        }
    }
    bool closing = status == RECO_OK && reco__redis_closing_due(store, &state), changed = false;
    if (closing || (status == RECO_OK && reco__redis_publishing_due(store, &state))) {
        status = reco__redis_follow(store, link, &state, err);
    }
    if (status == RECO_OK && closing) {
        status = close_some(&changed, store, link, &state, until_ns, most, err);
    } else if (status == RECO_OK && reco__redis_publishing_due(store, &state)) {
        bool may;
        status = may_publish(&may, store, link, err);
        if (may) {
            status = publish_round(&ended, store, link, &state, until_ns, most > 1 ? PUBLISHED_AT_ONCE : 1, err);
        }
    } else if (status == RECO_OK && state.mark == RECO__REDIS_WHOLE && reco__redis_sweep_due(store, &state, &partition)) {
        status = reco__redis_sweep(store, link, partition, err);
        changed = true;
    }
    if (status == RECO_OK && !state.scanning) {
        status = reco__redis_compact(store, link, until_ns, err);
    }
    if (status == RECO_OK && changed) {
        status = reco__redis_state_read(&state, link, store, what, err);
    }
    *more = status == RECO_OK && (reco__redis_closing_due(store, &state) || reco__redis_publishing_due(store, &state) ||
                                  (state.mark == RECO__REDIS_WHOLE && reco__redis_sweep_due(store, &state, &partition)));
    return status;
}

reco_status reco__redis_close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    *more = 0;
    pthread_mutex_lock(&store->closing_lock);
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = step(more, store, link, budget_ns, err);
        reco__redis_give(store, link);
    }
    pthread_mutex_unlock(&store->closing_lock);
    return status;
}

static reco_status wait_for_scan(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, reco_error *err) {
    const struct timespec pause = {0, 5000000};
    if (state->abandoned) {
        return reco__redis_scan_end(store, link, NULL, err);
    }
    nanosleep(&pause, NULL);
    return RECO_OK;
}

static reco_status settle(reco_features_store *store, reco__redis_link *link, const reco_call *call, reco_error *err) {
    const int64_t slice_ns = 50 * 1000 * 1000;
    reco__redis_state state;
    bool ended = false, expired;
    reco_status status = RECO_OK;
    (void)reco__redis_take_ahead(&state, store); /* it will not be so afterwards */
    for (bool closing = true; closing && status == RECO_OK;) {
        status = reco__call_check(call, err);
        if (status == RECO_OK) {
            status = reco__redis_state_read(&state, link, store, RECO__REDIS_DUE, err);
        }
        closing = status == RECO_OK && is_due(store, &state);
        if (closing && state.scanning) {
            status = wait_for_scan(store, link, &state, err);
            continue;
        }
        if (closing) {
            status = reco__redis_follow(store, link, &state, err);
        }
        if (status == RECO_OK && closing) {
            status = close_some(&expired, store, link, &state, reco__monotonic_ns() + slice_ns, ITEMS_AT_ONCE, err);
        }
    }
    if (status == RECO_OK && state.mark == RECO__REDIS_WHOLE && state.dirty) {
        status = reco__redis_follow(store, link, &state, err);
    }
    store->publishing.begun = false; /* a whole round */
    while (status == RECO_OK && state.mark == RECO__REDIS_WHOLE && state.dirty && !ended) {
        status = publish_round(&ended, store, link, &state, reco__monotonic_ns() + slice_ns, PUBLISHED_AT_ONCE, err);
        if (status == RECO_OK && !ended) {
            status = reco__call_check(call, err);
        }
    }
    return status;
}

reco_status reco__redis_settle(reco_features_store *store, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    pthread_mutex_lock(&store->closing_lock);
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = settle(store, link, call, err);
        reco__redis_give(store, link);
        reco__redis_cache_empty(store);
    }
    pthread_mutex_unlock(&store->closing_lock);
    return status;
}
