/* rows.c - rows as packed deltas, and reading them.
 *
 * A row is a string of {u32 member, i32 delta}, little-endian, in the order in which they were learned; its sums are what they add up to. A delta
 * that does not fit has INT32_MIN in its place and follows in 8 bytes more. Learning is APPEND alone. Now and then a row is compacted: replaced by
 * its sums in the same form, sorted by member. Rows of popularity are split by member / 4,096, so that no value grows without bound and compacting
 * one blocks nobody for long.
 *
 * A generation of popularity whose adds were all positive is not empty while it is listed; only those of which something was taken away (neg0, neg1)
 * have to be summed up to know. */
#include "features/redis/redis.h"

#include <stdlib.h>

#include "features/varint.h"

enum { COMPACT_MIN = 4096 };

/* --- deltas --------------------------------------------------------------------------------------------------------------------------- */

static bool is_small(int64_t delta) { return delta > INT32_MIN && delta <= INT32_MAX; }

size_t reco__redis_delta_size(int64_t delta) { return is_small(delta) ? RECO__REDIS_ENTRY : RECO__REDIS_ENTRY * 2; }

void reco__redis_delta(reco__buf *out, uint32_t member, int64_t delta) {
    uint8_t bytes[RECO__REDIS_ENTRY * 2];
    reco__store32(bytes, member);
    if (is_small(delta)) {
        reco__store32(bytes + 4, (uint32_t)(int32_t)delta);
    } else {
        reco__store32(bytes + 4, (uint32_t)INT32_MIN);
        reco__store32(bytes + 8, (uint32_t)((uint64_t)delta & UINT32_MAX));
        reco__store32(bytes + 12, (uint32_t)((uint64_t)delta >> 32));
    }
    reco__buf_add(out, bytes, reco__redis_delta_size(delta));
}

static int by_member(const void *a, const void *b) {
    const reco_entry *x = a, *y = b;
    return x->member < y->member ? -1 : x->member > y->member;
}

/* Sums up neighbours with the same member. */
static size_t sum_up(reco_entry *entries, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept && entries[kept - 1].member == entries[i].member) {
            entries[kept - 1].sum = reco__sum_add(entries[kept - 1].sum, entries[i].sum);
        } else {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

reco_status reco__redis_row_read(size_t *count, reco__redis_link *link, const void *data, size_t size, reco_error *err) {
    size_t most = size / RECO__REDIS_ENTRY, n = 0, sorted = 0;
    *count = 0;
    reco_status status = reco__redis_room(&link->tail, most + 1, sizeof(reco_entry), err);
    if (status == RECO_OK) {
        status = reco__redis_room(&link->row, most + 1, sizeof(reco_entry), err);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco_entry *entries = link->tail.data;
    const uint8_t *at = data, *end = at + size;
    for (; end - at >= RECO__REDIS_ENTRY; at += RECO__REDIS_ENTRY) {
        int64_t delta = (int32_t)reco__load32(at + 4);
        entries[n] = (reco_entry){reco__load32(at), 0, delta};
        if (delta == INT32_MIN) {
            if (end - at < 2 * RECO__REDIS_ENTRY) {
                break;
            }
            at += RECO__REDIS_ENTRY;
            entries[n].sum = (int64_t)(reco__load32(at) | (uint64_t)reco__load32(at + 4) << 32);
        }
        if (sorted == n && (n == 0 || entries[n - 1].member < entries[n].member)) {
            sorted++;
        }
        n++;
    }
    if (at != end) {
        return reco__redis_strange("a row", err);
    }
    qsort(entries + sorted, n - sorted, sizeof *entries, by_member); /* mostly a short tail behind what was compacted */
    size_t rest = sum_up(entries + sorted, n - sorted);
    *count = reco_board_merge(link->row.data, entries, sorted, entries + sorted, rest, 1);
    return RECO_OK;
}

reco_status reco__redis_emit(reco__redis_link *link, size_t count, size_t index, reco_features_sink sink, void *context, reco_error *err) {
    if (count == 0) {
        return RECO_OK;
    }
    reco_status status = reco__redis_room(&link->bytes, count * RECO_PACKED_ENTRY_MAX, 1, err);
    if (status == RECO_OK) {
        sink(context, index, link->bytes.data, reco_board_pack(link->bytes.data, link->row.data, count));
    }
    return status;
}

/* --- generations ---------------------------------------------------------------------------------------------------------------------- */

void reco__redis_generations_ask(reco__redis_link *link, const reco_features_store *store, uint32_t board) {
    reco__redis_command(link, "ZRANGE", 4);
    reco__redis_key_number(link, store, "g", board);
    reco__redis_text(link, "0");
    reco__redis_text(link, "-1");
}

reco_status reco__redis_generations_take(size_t *count, reco__redis_link *link, reco_error *err) {
    const redisReply *reply;
    reco_status status = reco__redis_reply(&reply, link, err);
    if (status == RECO_OK && reply->type != REDIS_REPLY_ARRAY) {
        status = reco__redis_strange("the list of generations", err);
    }
    if (status == RECO_OK) {
        status = reco__redis_room(&link->list, reply->elements + 1, sizeof(int64_t), err);
    }
    for (size_t i = 0; status == RECO_OK && i < reply->elements; i++) {
        ((int64_t *)link->list.data)[i] = strtoll(reply->element[i]->str, NULL, 10);
    }
    *count = status == RECO_OK ? reply->elements : 0;
    return status;
}

uint32_t reco__redis_shards(const reco__redis_state *state) { return state->item_count / RECO__REDIS_SHARD + 1; }

static void ask_popular(reco__redis_link *link, const reco_features_store *store, uint32_t board, int64_t generation, uint32_t shards) {
    reco__redis_command(link, "MGET", 1 + shards);
    for (uint32_t shard = 0; shard < shards; shard++) {
        reco__redis_key_popular(link, store, board, generation, shard);
    }
}

static reco_status exists(bool *there, reco_features_store *store, reco__redis_link *link, uint32_t board, int64_t generation, uint32_t shards,
                          reco_error *err) {
    const redisReply *reply;
    *there = false;
    ask_popular(link, store, board, generation, shards);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (size_t i = 0; status == RECO_OK && !*there && i < reply->elements; i++) {
        size_t count = 0;
        if (reco__redis_is_bytes(reply->element[i])) {
            status = reco__redis_row_read(&count, link, reply->element[i]->str, reply->element[i]->len, err);
        }
        *there = count > 0;
    }
    return status;
}

static bool is_listed(const int64_t *list, size_t count, int64_t generation) {
    for (size_t i = 0; i < count; i++) {
        if (list[i] == generation) {
            return true;
        }
    }
    return false;
}

static reco_status list_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, reco__redis_link *link,
                                    uint32_t board, reco_error *err) {
    reco__redis_state state;
    size_t listed = 0, lowered = 0;
    const redisReply *reply;
    reco_status status = reco__redis_state_read(&state, link, store, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_generations_ask(link, store, board);
    reco__redis_command(link, "SMEMBERS", 2);
    reco__redis_key_number(link, store, "neg", board);
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_generations_take(&listed, link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_room(&link->places, reply->elements + 1, sizeof(int64_t), err);
    }
    for (; status == RECO_OK && lowered < reply->elements; lowered++) {
        ((int64_t *)link->places.data)[lowered] = strtoll(reply->element[lowered]->str, NULL, 10);
    }
    int64_t newest_closed = reco__redis_newest_closed(store, state.positions, board);
    for (size_t i = 0; status == RECO_OK && i < listed; i++) {
        int64_t generation = ((int64_t *)link->list.data)[i];
        bool there = !reco_board_expired(&store->rules, board, generation, newest_closed);
        if (there && is_listed(link->places.data, lowered, generation)) {
            status = exists(&there, store, link, board, generation, reco__redis_shards(&state), err);
        }
        if (there && *count < room) {
            generations[*count] = generation;
        }
        *count += there;
    }
    return status;
}

reco_status reco__redis_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board,
                                    const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    *count = 0;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = list_generations(generations, room, count, store, link, board, err);
        reco__redis_give(store, link);
    }
    return status;
}

/* --- one row -------------------------------------------------------------------------------------------------------------------------- */

/* The pieces of a row of popularity, or the one of co-view: the elements of an MGET. */
static reco_status emit_values(const redisReply *reply, reco_features_store *store, reco__redis_link *link, bool cut, reco_features_sink sink,
                               void *context, reco_error *err) {
    size_t emitted = 0;
    reco_status status = RECO_OK;
    for (size_t i = 0; i < reply->elements && status == RECO_OK; i++) {
        size_t count = 0;
        if (!reco__redis_is_bytes(reply->element[i])) {
            continue;
        }
        status = reco__redis_row_read(&count, link, reply->element[i]->str, reply->element[i]->len, err);
        if (status == RECO_OK && cut) {
            reco_board_names names = reco__redis_board_names(store);
            count = reco_board_cut(link->row.data, count, store->rules.cut, 1, &names);
        }
        if (status == RECO_OK) {
            status = reco__redis_emit(link, count, emitted, sink, context, err);
            emitted += count > 0;
        }
    }
    return status;
}

static reco_status read_row(reco_features_store *store, reco__redis_link *link, uint32_t board, int64_t generation, uint32_t item,
                            reco_features_sink sink, void *context, reco_error *err) {
    reco__redis_state state;
    const redisReply *reply;
    reco_status status = reco__redis_state_read(&state, link, store, 0, err);
    if (status == RECO_OK) {
        status = reco__redis_follow(store, link, &state, err);
    }
    int64_t newest_closed = reco__redis_newest_closed(store, state.positions, board);
    if (status != RECO_OK || reco_board_expired(&store->rules, board, generation, newest_closed)) {
        return status;
    }
    if (board == RECO_BOARD_COVIEW) {
        reco__redis_command(link, "MGET", 2);
        reco__redis_key_row(link, store, item, generation);
    } else {
        ask_popular(link, store, board, generation, reco__redis_shards(&state));
    }
    status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    bool cut = board == RECO_BOARD_COVIEW && generation <= newest_closed;
    return status == RECO_OK ? emit_values(reply, store, link, cut, sink, context, err) : status;
}

reco_status reco__redis_row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                            const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status == RECO_OK) {
        status = read_row(store, link, board, generation, item, sink, context, err);
        reco__redis_give(store, link);
    }
    return status;
}

/* --- compaction ----------------------------------------------------------------------------------------------------------------------- */

static uint64_t *length_of(reco_features_store *store, uint32_t board, int64_t generation, uint32_t shard) {
    const uint64_t place[3] = {board, (uint64_t)generation, shard};
    return &store->lengths[reco__hash64(place, sizeof place, 0) % RECO__REDIS_LENGTHS];
}

void reco__redis_note_long(reco_features_store *store, uint32_t board, int64_t generation, uint32_t shard, uint64_t size) {
    if (size < COMPACT_MIN) {
        return;
    }
    pthread_mutex_lock(&store->long_lock);
    bool noted = size < 2 * *length_of(store, board, generation, shard);
    for (uint32_t i = 0; i < store->long_count && !noted; i++) {
        const reco__redis_long_row *row = &store->long_rows[i];
        noted = row->board == board && row->generation == generation && row->shard == shard;
    }
    if (!noted && store->long_count < RECO__REDIS_LONG_ROWS) {
        store->long_rows[store->long_count++] = (reco__redis_long_row){board, shard, generation, size};
    }
    pthread_mutex_unlock(&store->long_lock);
}

static reco_status compact_one(reco_features_store *store, reco__redis_link *link, const reco__redis_long_row *row, reco_error *err) {
    const redisReply *reply;
    reco__redis_command(link, "GET", 2);
    reco__redis_key_popular(link, store, row->board, row->generation, row->shard);
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK || !reco__redis_is_bytes(reply)) {
        return status;
    }
    size_t count;
    status = reco__redis_row_read(&count, link, reply->str, reply->len, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__buf put = {0};
    const reco_entry *entries = link->row.data;
    for (size_t i = 0; i < count; i++) {
        reco__redis_delta(&put, entries[i].member, entries[i].sum);
    }
    reco__redis_command(link, "FCALL", 7);
    reco__redis_text(link, RECO__REDIS_COMPACT);
    reco__redis_text(link, "2");
    reco__redis_key_popular(link, store, row->board, row->generation, row->shard);
    reco__redis_key(link, store, "scan");
    reco__redis_bytes(link, reply->str, reply->len);
    reco__redis_bytes(link, put.data ? put.data : "", put.size);
    pthread_mutex_lock(&store->long_lock);
    *length_of(store, row->board, row->generation, row->shard) = put.size;
    pthread_mutex_unlock(&store->long_lock);
    status = reco__buf_status(&put, err);
    reco__buf_dispose(&put);
    if (status == RECO_OK) {
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    return status == RECO_NOT_FOUND ? reco__redis_script_load(link, err) : status; /* the row is noted again when it grows on */
}

reco_status reco__redis_compact(reco_features_store *store, reco__redis_link *link, int64_t until_ns, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK) {
        reco__redis_long_row row;
        pthread_mutex_lock(&store->long_lock);
        bool any = store->long_count > 0;
        if (any) {
            row = store->long_rows[--store->long_count];
        }
        pthread_mutex_unlock(&store->long_lock);
        if (!any) {
            break;
        }
        status = compact_one(store, link, &row, err);
        if (reco__monotonic_ns() >= until_ns) {
            break;
        }
    }
    return status;
}
