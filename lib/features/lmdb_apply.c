/* lmdb_apply.c - one atomic step of learning: cells, adds, position and clock in one write transaction.
 *
 * Popularity rows are added to group by group, in key order. Co-view rows go item by item over all groups, so that each item's head is touched once;
 * within a group that is key order too, and each group has a cursor of its own that mostly stays on the page it is on. Nothing is allocated per row:
 * the arrays belong to the store and its writer.
 *
 * The clocks that decide what is closed are those before the batch: it was derived with clocks no older than its partition's own, so a group that is
 * closed by them is a mistake of the caller, not a race. The batch's own clock holds from the next transaction on. */
#include "features/lmdb.h"

static reco_status check_members(const reco__flmdb_state *state, const reco_add_group *group, size_t index, reco_error *err) {
    uint32_t largest = 0;
    for (size_t i = 0; i < group->count; i++) {
        uint32_t larger = group->adds[i].item > group->adds[i].member ? group->adds[i].item : group->adds[i].member;
        largest = larger > largest ? larger : largest;
    }
    if (group->count && largest >= state->item_count) {
        return reco__fail_at(err, RECO_INVALID, (int32_t)index, "groups", "item number %u has no name", largest);
    }
    return RECO_OK;
}

reco_status reco__flmdb_check_adds(const reco_features_store *store, const reco__flmdb_state *state, const reco_add_group *groups, size_t count,
                                   reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (groups[i].generation < 0 || groups[i].generation <= reco__flmdb_newest_closed(store, state, groups[i].board)) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "groups", "generation %lld of board %u is closed", (long long)groups[i].generation,
                                 groups[i].board);
        }
        reco_status status = check_members(state, &groups[i], i, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    return RECO_OK;
}

static reco_status check(const reco__flmdb_work *work, const reco_batch *batch, reco_error *err) {
    const reco__flmdb_state *state = &work->state;
    const reco_position *position = &state->positions[batch->partition];
    if (state->epoch != batch->epoch) {
        return reco__fail(err, RECO_STALE, "epoch", "the store was emptied or restored since the batch was begun");
    }
    if (state->mark != RECO__FLMDB_WHOLE) {
        return reco__fail(err, RECO_BUSY, "features", "a snapshot is being loaded");
    }
    if (position->offset != batch->from) {
        return reco__fail(err, RECO_STALE, "from", "partition %u stands at %lld, not at %lld", batch->partition, (long long)position->offset,
                          (long long)batch->from);
    }
    if (batch->clock < position->clock) {
        return reco__fail(err, RECO_INVALID, "clock", "the clock of partition %u would go back from %lld to %lld", batch->partition,
                          (long long)position->clock, (long long)batch->clock);
    }
    return reco__flmdb_check_adds(work->store, state, batch->groups, batch->group_count, err);
}

/* --- popularity ----------------------------------------------------------------------------------------------------------------------- */

static reco_status add_popularity(reco__flmdb_work *work, const reco_add_group *group, reco_error *err) {
    reco_features_store *store = work->store;
    reco__kv_cursor *cursor;
    reco_status status = reco__flmdb_room(&store->totals, group->count, sizeof(int64_t), err);
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&cursor, work->txn, store->rows, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    bool shrunk = false;
    status = reco__flmdb_row_add(store, cursor, group->board, group->generation, 0, group->adds, group->count, store->totals.data, &shrunk, err);
    reco__kv_cursor_close(cursor);
    return status;
}

/* --- co-view -------------------------------------------------------------------------------------------------------------------------- */

/* Co-view groups being walked side by side. */
struct walk {
    reco__flmdb_work *work;
    reco__kv_cursor *heads;
    const reco_add_group *groups;
    size_t count;
    struct lane { /* one a group */
        reco__kv_cursor *rows;
        size_t at;
    } * lanes;
    int64_t closed_at;
};

/* Adds of the item in the group, from where the lane stands. */
static size_t lane_span(const struct walk *walk, size_t lane, uint32_t item) {
    const reco_add_group *group = &walk->groups[lane];
    size_t at = walk->lanes[lane].at, end = at;
    while (end < group->count && group->adds[end].item == item) {
        end++;
    }
    return end - at;
}

static reco_status add_item(struct walk *walk, uint32_t item, reco_error *err) {
    reco_features_store *store = walk->work->store;
    reco__flmdb_span *spans = store->spans.data;
    size_t span_count = 0, total = 0;
    for (size_t i = 0; i < walk->count; i++) {
        total += lane_span(walk, i, item);
    }
    reco_status status = reco__flmdb_room(&store->totals, total, sizeof(int64_t), err);
    int64_t *totals = store->totals.data;
    reco__kv_cursor *rows = NULL;
    for (size_t i = 0; i < walk->count && status == RECO_OK; i++) {
        struct lane *lane = &walk->lanes[i];
        size_t count = lane_span(walk, i, item);
        if (count == 0) {
            continue;
        }
        reco__flmdb_span *span = &spans[span_count++];
        *span = (reco__flmdb_span){walk->groups[i].generation, walk->groups[i].adds + lane->at, totals, count, false};
        rows = lane->rows;
        status = reco__flmdb_row_add(store, rows, RECO_BOARD_COVIEW, span->generation, item, span->adds, count, totals, &span->shrunk, err);
        totals += count;
        lane->at += count;
    }
    return status == RECO_OK ? reco__flmdb_head_update(walk->work, walk->heads, rows, item, spans, span_count, walk->closed_at, err) : status;
}

static bool next_item(const struct walk *walk, uint32_t *item) {
    bool any = false;
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->lanes[i].at < walk->groups[i].count) {
            uint32_t candidate = walk->groups[i].adds[walk->lanes[i].at].item;
            *item = any && *item < candidate ? *item : candidate;
            any = true;
        }
    }
    return any;
}

static reco_status walk_open(struct walk *walk, reco__flmdb_work *work, const reco_add_group *groups, size_t count, reco_error *err) {
    reco_features_store *store = work->store;
    memset(walk, 0, sizeof *walk);
    walk->work = work;
    walk->groups = groups;
    walk->closed_at = reco__flmdb_newest_closed(store, &work->state, RECO_BOARD_COVIEW);
    reco_status status = reco__flmdb_room(&store->cursors, count, sizeof *walk->lanes, err);
    if (status == RECO_OK) {
        status = reco__flmdb_room(&store->spans, count, sizeof(reco__flmdb_span), err);
    }
    if (status == RECO_OK) {
        status = reco__kv_cursor_open(&walk->heads, work->txn, store->heads, err);
    }
    walk->lanes = store->cursors.data;
    for (; status == RECO_OK && walk->count < count; walk->count++) {
        walk->lanes[walk->count].at = 0;
        status = reco__kv_cursor_open(&walk->lanes[walk->count].rows, work->txn, store->rows, err);
        if (status != RECO_OK) {
            break;
        }
    }
    return status;
}

static void walk_close(struct walk *walk) {
    for (size_t i = 0; i < walk->count; i++) {
        reco__kv_cursor_close(walk->lanes[i].rows);
    }
    if (walk->heads) {
        reco__kv_cursor_close(walk->heads);
    }
}

static reco_status add_coview(reco__flmdb_work *work, const reco_add_group *groups, size_t count, reco_error *err) {
    if (count == 0) {
        return RECO_OK;
    }
    struct walk walk;
    reco_status status = walk_open(&walk, work, groups, count, err);
    uint32_t item = 0;
    while (status == RECO_OK && next_item(&walk, &item)) {
        status = add_item(&walk, item, err);
    }
    walk_close(&walk);
    return status;
}

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

static reco_status apply(reco__flmdb_work *work, const reco_batch *batch, reco_error *err) {
    reco_status status = check(work, batch, err);
    if (status == RECO_OK) {
        status = reco__flmdb_names_follow(work->store, work->txn, &work->state, err);
    }
    if (status == RECO_OK) {
        status = reco__flmdb_cells_put(work, batch->cells, NULL, batch->partition, batch->cell_count, err);
    }
    size_t at = 0;
    for (; at < batch->group_count && batch->groups[at].board != RECO_BOARD_COVIEW && status == RECO_OK; at++) {
        status = add_popularity(work, &batch->groups[at], err);
    }
    if (status == RECO_OK && at < batch->group_count) {
        status = add_coview(work, batch->groups + at, batch->group_count - at, err);
    }
    work->state.positions[batch->partition] = (reco_position){batch->to, batch->clock};
    return status;
}

reco_status reco__flmdb_apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err) {
    (void)call;
    reco__flmdb_work work;
    reco_status status = reco__flmdb_begin(&work, store, err);
    return status == RECO_OK ? reco__flmdb_end(&work, apply(&work, batch, err), err) : status;
}
