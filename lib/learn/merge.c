/* learn/merge.c - the cells of one person who was known under several ids, read as one. Nothing is learned from it, and nobody stores it.
 *
 * A recency list is in the order in which its events were learned, and an event may be told late: its timestamp can be older than those behind it. It
 * was learned after them nonetheless, so a touch counts as being as new as the newest of itself and all behind it. By that the lists are merged: each
 * keeps its own order, and a person of whom only one cell holds anything has just that cell. Touches beyond the recents, which have no time, come
 * last, cell after cell. Of an item that stands in several cells the newest touch is taken.
 *
 * The running session is what the person did a moment ago under whatever id: the first touches of the merged list that all belong to a session that
 * still runs. What is hidden under one id is hidden. Lists may get longer than that of any one cell: what was seen under one id is not to come back
 * because much was seen under another. */
#include "learn/cell.h"

#define EMPTY UINT32_MAX /* is no item's number: RECO_NO_ITEM */

/* A cell that is being merged. */
typedef struct lane {
    const reco__cell *cell;
    int64_t *keys; /* of the touches with a time */
    uint32_t timed, next;
    bool session; /* its session counts */
} lane;

/* Item numbers, open addressing. */
typedef struct numbers {
    uint32_t *slots, mask;
} numbers;

static bool add_number(numbers *to, uint32_t item) {
    uint32_t slot = item * 2654435761u & to->mask;
    while (to->slots[slot] != EMPTY) {
        if (to->slots[slot] == item)
            return false;
        slot = (slot + 1) & to->mask;
    }
    to->slots[slot] = item;
    return true;
}

static bool runs(const reco__cell *cell, const reco__learn_rules *rules, int64_t moment, bool as_of) {
    uint32_t first = 0;
    if (!as_of)
        return cell->session_count > 0 && moment - cell->last <= rules->session_gap;
    while (first < cell->session_count && cell->touches[first].t > moment)
        first++;
    return first < cell->session_count && moment - cell->touches[first].t <= rules->session_gap;
}

/* The cell of the newest event; NULL: all are empty. */
static const reco__cell *newest_of(const reco__cell *const *cells, size_t count) {
    const reco__cell *newest = NULL;
    for (size_t i = 0; i < count; i++)
        if (cells[i]->last != 0 && (!newest || cells[i]->last > newest->last))
            newest = cells[i];
    return newest;
}

static void begin_lane(lane *out, const reco__cell *cell, int64_t *keys) {
    int64_t key = 0;
    *out = (lane){.cell = cell, .keys = keys, .timed = cell->touch_count};
    while (out->timed > 0 && cell->touches[out->timed - 1].t == 0)
        out->timed--;
    for (uint32_t i = out->timed; i-- > 0;) {
        key = cell->touches[i].t > key ? cell->touches[i].t : key;
        keys[i] = key;
    }
}

static void put_touch(reco__cell *out, bool *in_session, numbers *seen, const lane *from, uint32_t at, int64_t moment, bool as_of) {
    const reco__touch *touch = &from->cell->touches[at];
    if (!add_number(seen, touch->item))
        return;
    out->touches[out->touch_count++] = *touch;
    *in_session = *in_session && ((from->session && at < from->cell->session_count) || (as_of && touch->t > moment));
    out->session_count += *in_session;
}

static void merge_touches(reco__cell *out, lane *lanes, size_t count, numbers *seen, int64_t moment, bool as_of) {
    bool in_session = true;
    for (;;) {
        lane *best = NULL;
        for (size_t i = 0; i < count; i++)
            if (lanes[i].next < lanes[i].timed && (!best || lanes[i].keys[lanes[i].next] > best->keys[best->next]))
                best = &lanes[i];
        if (!best)
            break;
        put_touch(out, &in_session, seen, best, best->next++, moment, as_of);
    }
    for (size_t i = 0; i < count; i++)
        for (uint32_t at = lanes[i].timed; at < lanes[i].cell->touch_count; at++)
            put_touch(out, &in_session, seen, &lanes[i], at, moment, as_of);
}

/* The own ones last, where the newest stand. */
static void merge_hidden(reco__cell *out, const lane *lanes, size_t count, numbers *seen) {
    memset(seen->slots, 0xff, ((size_t)seen->mask + 1) * sizeof *seen->slots);
    for (size_t i = count; i-- > 0;)
        for (uint32_t at = 0; at < lanes[i].cell->hidden_count; at++)
            if (add_number(seen, lanes[i].cell->hidden[at]))
                out->hidden[out->hidden_count++] = lanes[i].cell->hidden[at];
}

/* What merging needs for itself, in one piece. */
typedef struct workspace {
    lane *lanes;
    int64_t *keys;
    numbers seen;
} workspace;

static bool workspace_make(workspace *out, reco__buf *scratch, size_t count, size_t touches, size_t items) {
    size_t slots = 16;
    while (slots < items * 2)
        slots *= 2;
    reco__buf_reset(scratch);
    if (!reco__buf_reserve(scratch, count * sizeof *out->lanes + touches * sizeof *out->keys + slots * sizeof *out->seen.slots))
        return false;
    out->lanes = (lane *)(void *)scratch->data;
    out->keys = (int64_t *)(void *)(out->lanes + count);
    out->seen = (numbers){(uint32_t *)(void *)(out->keys + touches), (uint32_t)slots - 1};
    memset(out->seen.slots, 0xff, slots * sizeof *out->seen.slots);
    return true;
}

reco_status reco__cell_merge(reco__cell *out, reco__buf *scratch, const reco__cell *const *cells, size_t count, const reco__learn_rules *rules,
                             int64_t moment, bool as_of, reco_error *err) {
    const reco__cell *newest = newest_of(cells, count);
    size_t touches = 0, hidden = 0;
    workspace work;
    reco__cell_clear(out);
    for (size_t i = 0; i < count; i++) {
        touches += cells[i]->touch_count;
        hidden += cells[i]->hidden_count;
    }
    if (!newest)
        return RECO_OK;
    if (!workspace_make(&work, scratch, count, touches, touches > hidden ? touches : hidden) ||
        !reco__cell_room_touches(out, (uint32_t)touches + 1) || !reco__cell_room_hidden(out, (uint32_t)hidden))
        return reco__no_memory(err);
    int64_t *keys = work.keys;
    for (size_t i = 0; i < count; i++) {
        begin_lane(&work.lanes[i], cells[i], keys);
        work.lanes[i].session = runs(cells[i], rules, moment, as_of) || (!as_of && cells[i] == newest);
        keys += cells[i]->touch_count;
    }
    merge_touches(out, work.lanes, count, &work.seen, moment, as_of);
    merge_hidden(out, work.lanes, count, &work.seen);
    out->last = newest->last;
    out->session_hash = newest->session_hash;
    return RECO_OK;
}
