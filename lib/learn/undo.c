/* learn/undo.c - taking back one event: its adds, negated, and what the cell shows of it.
 *
 * Nobody keeps what an event added. The type tells its popularity. Its pairs follow from the recency list as long as the item stands where the event
 * put it: the items behind it are those it paired with, as far as they were not touched since, and those before it came later and paired with it. So
 * the pairs are exact when nothing was touched twice in between, as when somebody takes back what they have just done, and close otherwise. When the
 * item was touched again after the event, it keeps its place, and the pairs stay.
 *
 * A record without a timestamp takes that of the touch, so that what it takes away comes off the generations that it was added to. */
#include "learn/steps.h"

static uint32_t find_touch(const reco__cell *cell, uint32_t item) {
    uint32_t i = 0;
    while (i < cell->touch_count && cell->touches[i].item != item)
        i++;
    return i;
}

static void remove_touch(reco__cell *cell, uint32_t at) {
    memmove(cell->touches + at, cell->touches + at + 1, (cell->touch_count - at - 1) * sizeof *cell->touches);
    cell->touch_count--;
    cell->session_count -= at < cell->session_count;
}

static void remove_hidden(reco__cell *cell, uint32_t item) {
    uint32_t at = 0;
    while (at < cell->hidden_count && cell->hidden[at] != item)
        at++;
    if (at < cell->hidden_count) {
        memmove(cell->hidden + at, cell->hidden + at + 1, (cell->hidden_count - at - 1) * sizeof *cell->hidden);
        cell->hidden_count--;
    }
}

/* The pairs with the items before `at`, which came later: each by the weight and time of its own touch. */
static reco_status take_back_later(reco__cell *cell, reco__adds *adds, reco__step *step, uint32_t at, reco_error *err) {
    const reco__learn_rules *rules = step->rules;
    uint32_t distance = 0;
    reco_status status = RECO_OK;
    if (rules->pair_in_session && at >= cell->session_count)
        return RECO_OK;
    for (uint32_t i = at; i-- > 0 && distance < rules->pair_window && status == RECO_OK;) {
        const reco__touch *later = &cell->touches[i];
        reco__step own = *step;
        if (later->weight <= 0)
            continue;
        own.t = later->t != 0 ? later->t : step->t;
        status = reco__coview_put(adds, &own, step->item, later->item, -(int64_t)later->weight, ++distance, err);
        step->clamped |= own.clamped;
    }
    return status;
}

/* The pairs with the items behind `at`. */
static reco_status take_back_own(reco__cell *cell, reco__adds *adds, reco__step *step, uint32_t at, reco_error *err) {
    const reco__learn_rules *rules = step->rules;
    uint32_t end = rules->pair_in_session ? cell->session_count : cell->touch_count, distance = 0;
    reco_status status = RECO_OK;
    for (uint32_t i = at + 1; i < end && distance < rules->pair_window && status == RECO_OK; i++)
        if (cell->touches[i].weight > 0)
            status = reco__coview_put(adds, step, step->item, cell->touches[i].item, step->weight, ++distance, err);
    return status;
}

reco_status reco__undo_step(reco__cell *cell, reco__adds *adds, reco__step *step, bool dated, reco_error *err) {
    uint32_t at = find_touch(cell, step->item);
    const reco__touch *touch = step->listed && at < cell->touch_count ? &cell->touches[at] : NULL;
    reco_status status = RECO_OK;
    if (touch && dated && touch->t != 0 && touch->t != step->t)
        touch = NULL; /* touched again since */
    if (touch && !dated && touch->t != 0)
        step->t = touch->t;
    step->weight = -step->weight;
    status = reco__popularity_step(adds, step, err);
    if (status == RECO_OK && touch && touch->weight > 0 && step->weight < 0) {
        status = take_back_own(cell, adds, step, at, err);
        if (status == RECO_OK)
            status = take_back_later(cell, adds, step, at, err);
    }
    if (touch)
        remove_touch(cell, at);
    if (step->hides)
        remove_hidden(cell, step->item);
    return status;
}
