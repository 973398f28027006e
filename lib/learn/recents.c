/* learn/recents.c - the recency list: what the user touched, each item once, the last touched first; and the items hidden from the user.
 *
 * The running session is a prefix of the list: each of its events brings its item to the front. */
#include "learn/steps.h"

uint32_t reco__recents_find(const reco__cell *cell, uint32_t item) {
    uint32_t i = 0;
    while (i < cell->touch_count && cell->touches[i].item != item)
        i++;
    return i;
}

/* The touch that has just left the recents keeps what pairs need. */
static void reduce(reco__touch *touch) {
    touch->weight = touch->weight > 0;
    touch->t = 0;
}

reco_status reco__recents_touch(reco__cell *cell, const reco__step *step, reco_error *err) {
    uint32_t limit = reco__cell_limit(step->rules->history), recents = step->rules->recents;
    if (limit == 0)
        return RECO_OK;
    uint32_t at = reco__recents_find(cell, step->item);
    if (at >= cell->session_count)
        cell->session_count++;
    if (at == cell->touch_count) {
        if (!reco__cell_room_touches(cell, at + 1))
            return reco__no_memory(err);
        cell->touch_count++;
    }
    memmove(cell->touches + 1, cell->touches, at * sizeof *cell->touches);
    cell->touches[0] = (reco__touch){step->item, step->weight, step->t};
    if (cell->touch_count > limit)
        cell->touch_count = limit;
    if (cell->session_count > cell->touch_count)
        cell->session_count = cell->touch_count;
    if (recents < cell->touch_count)
        reduce(&cell->touches[recents]);
    return RECO_OK;
}

void reco__recents_remove(reco__cell *cell, uint32_t at) {
    memmove(cell->touches + at, cell->touches + at + 1, (cell->touch_count - at - 1) * sizeof *cell->touches);
    cell->touch_count--;
    cell->session_count -= at < cell->session_count;
}

/* Place among the hidden items, or hidden_count. */
static uint32_t find_hidden(const reco__cell *cell, uint32_t item) {
    uint32_t at = 0;
    while (at < cell->hidden_count && cell->hidden[at] != item)
        at++;
    return at;
}

void reco__recents_unhide(reco__cell *cell, uint32_t item) {
    uint32_t at = find_hidden(cell, item);
    if (at == cell->hidden_count)
        return;
    memmove(cell->hidden + at, cell->hidden + at + 1, (cell->hidden_count - at - 1) * sizeof *cell->hidden);
    cell->hidden_count--;
}

reco_status reco__recents_hide(reco__cell *cell, const reco__step *step, reco_error *err) {
    uint32_t limit = reco__cell_limit(step->rules->history);
    if (limit == 0)
        return RECO_OK;
    uint32_t at = find_hidden(cell, step->item);
    if (at == cell->hidden_count && cell->hidden_count >= limit)
        at = 0; /* the oldest makes room */
    else if (at == cell->hidden_count && !reco__cell_room_hidden(cell, ++cell->hidden_count)) {
        cell->hidden_count--;
        return reco__no_memory(err);
    }
    memmove(cell->hidden + at, cell->hidden + at + 1, (cell->hidden_count - at - 1) * sizeof *cell->hidden);
    cell->hidden[cell->hidden_count - 1] = step->item;
    return RECO_OK;
}
