/* learn/undo.c - taking back one event: its adds, negated, and what the cell shows of it.
 *
 * Nobody keeps what an event added. The type tells its popularity. Its pairs follow from the recency list as long as the item stands where the event
 * put it: the items behind it are those it paired with, as far as they were not touched since, and those before it came later and paired with it. So
 * the pairs are exact when nothing was touched twice in between, as when somebody takes back what they have just done, and close otherwise. When the
 * item was touched again after the event, it keeps its place, and the pairs stay.
 *
 * A record without a timestamp takes that of the touch, so that what it takes away comes off the generations that it was added to. */
#include "learn/steps.h"

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
    uint32_t at = reco__recents_find(cell, step->item);
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
        reco__recents_remove(cell, at);
    if (step->hides)
        reco__recents_unhide(cell, step->item);
    return status;
}
