/* engine/state.c - the state as a function of the records: one walk over what a features backend stores, with everything that is due applied to what
 * is emitted and nothing written; and the state hash.
 *
 * C is the smallest clock. A co-view row whose generation is closed at C is cut, a row that has expired is left out, a cell whose lifetime is over by
 * its own partition's clock is left out. Whether a backend has already done that work makes no difference.
 *
 * The hash covers rows, debts, cells and clocks; not heads, stream id, epoch, offsets, numbers. Each tuple is hashed alone (XXH3-128 of a tagged,
 * length-prefixed form with names) and the hashes are added mod 2^128, so that order does not matter and no table can be mistaken for another. */
#include "engine/engine.h"

#include <time.h>

#define WAIT_NS 20000000
#define WAITS 250u /* without a deadline */
#define TELL_EVERY 4096u

typedef struct walk {
    const reco__state_walker *walker;
    const reco__learn_rules *rules;
    reco_board_names names;
    uint32_t partitions;
    int64_t clocks[RECO_PARTITIONS_MAX];
    int64_t newest_closed[RECO_BOARD_COUNT];
    bool begun;
    /* the row being gathered from its pieces */
    bool open;
    uint32_t board, item;
    int64_t generation;
    reco_entry *entries;
    size_t count, room;
    uint64_t rows, cells, users;
    const reco_call *call;
    reco_status status;
    reco_error error;
} walk;

static int walk_stop(walk *at, reco_status status) {
    at->status = status;
    return status != RECO_OK;
}

static int walk_flush(walk *at) {
    if (!at->open)
        return 0;
    at->open = false;
    if (reco_board_expired(&at->rules->boards, at->board, at->generation, at->newest_closed[at->board]))
        return 0;
    size_t count = at->count;
    if (at->board == RECO_BOARD_COVIEW && at->generation <= at->newest_closed[at->board])
        count = reco_board_cut(at->entries, count, at->rules->boards.cut, 1, &at->names);
    if (count == 0)
        return 0;
    if (++at->rows % TELL_EVERY == 0)
        reco__call_progress(at->call, "reading", "rows", at->rows, 0);
    reco__row row = {at->board, at->item, at->generation, at->entries, count};
    return walk_stop(at, at->walker->row(at->walker->context, &row, &at->error));
}

static int walk_state(void *context, const reco_features_info *info, const reco_position *positions) {
    walk *at = context;
    int64_t oldest = INT64_MAX;
    for (uint32_t p = 0; p < at->partitions; p++) {
        at->clocks[p] = positions[p].clock;
        oldest = positions[p].clock < oldest ? positions[p].clock : oldest;
    }
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++)
        at->newest_closed[board] = reco_board_newest_closed(&at->rules->boards, board, oldest);
    at->begun = true;
    at->users = info->user_count;
    return at->walker->begin ? walk_stop(at, at->walker->begin(at->walker->context, info, positions, &at->error)) : 0;
}

static int walk_row(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    walk *at = context;
    if (!at->walker->row)
        return 0;
    if (at->open && (at->board != board || at->generation != generation || at->item != item) && walk_flush(at))
        return 1;
    if (!at->open) {
        at->open = true;
        at->board = board;
        at->generation = generation;
        at->item = item;
        at->count = 0;
    }
    size_t most = size / 5 + 1; /* an entry takes at least 5 bytes */
    if (at->count + most > at->room) {
        size_t room = (at->count + most) * 2;
        reco_entry *entries = reco__realloc_array(at->entries, room, sizeof *entries);
        if (!entries)
            return walk_stop(at, reco__no_memory(&at->error));
        at->entries = entries;
        at->room = room;
    }
    size_t count = 0;
    if (reco_board_unpack(&count, at->entries + at->count, at->room - at->count, packed, size) != RECO_OK)
        return walk_stop(at, reco__fail(&at->error, RECO_CORRUPT, "row", "a row of board %u, generation %lld, item %u is damaged", board,
                                        (long long)generation, item));
    at->count += count;
    return 0;
}

static int walk_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    walk *at = context;
    if (walk_flush(at))
        return 1;
    if (partition >= at->partitions)
        return walk_stop(at, reco__fail(&at->error, RECO_CORRUPT, "cell", "a cell claims partition %u of %u", partition, at->partitions));
    if (++at->cells % TELL_EVERY == 0)
        reco__call_progress(at->call, "reading", "cells", at->cells, at->users < at->cells ? at->cells : at->users);
    if (!at->walker->cell || expires_at < at->clocks[partition])
        return 0;
    return walk_stop(at, at->walker->cell(at->walker->context, partition, user, data, size, expires_at, &at->error));
}

static int walk_head(void *context, uint32_t item, const void *data, size_t size) {
    walk *at = context;
    if (walk_flush(at))
        return 1;
    return walk_stop(at, at->walker->head(at->walker->context, item, data, size, &at->error));
}

reco_status reco__state_walk(reco__features *features, const reco__learn_rules *rules, uint32_t partitions, const reco__state_walker *walker,
                             const reco_call *call, reco_error *err) {
    walk at = {.walker = walker, .rules = rules, .names = reco__features_names(features), .partitions = partitions, .call = call};
    reco_features_visitor visitor = {
        .context = &at, .state = walk_state, .row = walk_row, .cell = walk_cell, .head = walker->head ? walk_head : NULL};
    reco_status status = reco__features_scan(features, &visitor, call, err);
    if (status == RECO_OK && at.status == RECO_OK)
        walk_flush(&at);
    reco__release(at.entries);
    if (status == RECO_OK && at.status != RECO_OK) {
        if (err)
            *err = at.error;
        return at.status;
    }
    return status;
}

/* A scan that was given up because the file grew too much meanwhile would be given up again. */
bool reco__state_again(uint32_t *tries, reco_status status, const reco_error *err, const reco_call *call) {
    return status == RECO_BUSY && strcmp(err->field, "growth") != 0 && reco__state_wait(tries, call);
}

bool reco__state_wait(uint32_t *tries, const reco_call *call) {
    const struct timespec pause = {0, WAIT_NS};
    if (++*tries > WAITS || reco__call_check(call, NULL) != RECO_OK)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/* --- the hash ----------------------------------------------------------------------------------------------------------------------------- */

void reco__state_hash_clocks(reco__state_hash *hash, const reco_position *positions, uint32_t partitions) {
    for (uint32_t p = 0; p < partitions; p++) {
        uint8_t raw[13] = {'w'};
        reco__be32(raw + 1, p);
        reco__be64(raw + 5, (uint64_t)positions[p].clock);
        reco__u128_add(&hash->clocks, reco__hash128(raw, sizeof raw));
    }
}

static reco_status hash_name(reco__buf *scratch, reco__features *features, uint32_t number, reco_error *err) {
    reco_str name;
    uint64_t unused;
    reco_status status = reco__features_item_name(&name, &unused, features, number);
    if (status != RECO_OK)
        return reco__fail(err, RECO_CORRUPT, "item", "a row names item number %u, which has no name", number);
    reco__buf_str(scratch, name.data, name.size);
    return RECO_OK;
}

reco_status reco__state_hash_row(reco__state_hash *hash, reco__buf *scratch, reco__features *features, const reco__row *row, reco_error *err) {
    reco__buf_reset(scratch);
    reco__buf_byte(scratch, 'r');
    reco__buf_byte(scratch, (uint8_t)row->board);
    reco__buf_u64(scratch, (uint64_t)row->generation);
    reco_status status = RECO_OK;
    if (row->board == RECO_BOARD_COVIEW)
        status = hash_name(scratch, features, row->item, err);
    else
        reco__buf_str(scratch, "", 0);
    size_t prefix = scratch->size;
    for (size_t i = 0; status == RECO_OK && i < row->count; i++) {
        scratch->size = prefix;
        status = hash_name(scratch, features, row->entries[i].member, err);
        reco__buf_u64(scratch, (uint64_t)row->entries[i].sum);
        if (scratch->failed)
            return reco__buf_status(scratch, err);
        reco__u128_add(&hash->boards[row->board], reco__hash128(scratch->data, scratch->size));
    }
    hash->rows++;
    hash->entries += row->count;
    return status;
}

void reco__state_hash_cell(reco__state_hash *hash, reco__buf *scratch, reco_str user, const void *canonical, size_t size) {
    reco__buf_reset(scratch);
    reco__buf_byte(scratch, 'c');
    reco__buf_str(scratch, user.data, user.size);
    reco__buf_str(scratch, canonical, size);
    if (!scratch->failed)
        reco__u128_add(&hash->cell_sum, reco__hash128(scratch->data, scratch->size));
    hash->cells++;
}

reco__u128 reco__state_hash_total(const reco__state_hash *hash) {
    reco__u128 total = hash->clocks;
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++)
        reco__u128_add(&total, hash->boards[board]);
    reco__u128_add(&total, hash->cell_sum);
    return total;
}

void reco__state_hash_text(char out[40], const reco__state_hash *hash) {
    reco__u128 total = reco__state_hash_total(hash);
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[15 - i] = digits[total.high >> (4 * i) & 15];
        out[31 - i] = digits[total.low >> (4 * i) & 15];
    }
    out[32] = 0;
}
