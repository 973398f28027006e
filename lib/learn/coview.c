/* learn/coview.c - an event's adds to the board of pairs.
 *
 * The event's item pairs with each of the last `pair_window` distinct other items the user touched, the nearest at distance 1, in both directions, by
 * the weight of this event; within the running session only where the rules say so. Items only seen are passed over and not counted. The recency list
 * holds each item once, at its newest touch, so "distinct" and "nearest" come for free. */
#include "learn/steps.h"

static reco_status put_pair(reco__adds *adds, int64_t generation, uint32_t a, uint32_t b, int64_t delta) {
    reco_status status = reco__adds_put(adds, RECO_BOARD_COVIEW, generation, a, b, delta);
    return status == RECO_OK ? reco__adds_put(adds, RECO_BOARD_COVIEW, generation, b, a, delta) : status;
}

/* What a pair at a distance counts, for an event of weight 1. */
static int64_t share(const reco__learn_rules *rules, uint32_t distance) { return rules->pair_inverse ? RECO__PAIR_UNIT / distance : RECO__PAIR_UNIT; }

reco_status reco__coview_put(reco__adds *adds, reco__step *step, uint32_t a, uint32_t b, int64_t weight, uint32_t distance, reco_error *err) {
    int64_t generation = reco__step_generation(step, RECO_BOARD_COVIEW);
    return put_pair(adds, generation, a, b, weight * share(step->rules, distance)) == RECO_OK ? RECO_OK : reco__no_memory(err);
}

reco_status reco__coview_step(reco__adds *adds, const reco__cell *cell, reco__step *step, reco_error *err) {
    const reco__learn_rules *rules = step->rules;
    uint32_t end = rules->pair_in_session ? cell->session_count : cell->touch_count;
    uint32_t distance = 0;
    int64_t generation = 0;
    if (step->weight <= 0)
        return RECO_OK;
    for (uint32_t i = 0; i < end && distance < rules->pair_window; i++) {
        const reco__touch *touch = &cell->touches[i];
        if (touch->item == step->item || touch->weight <= 0)
            continue;
        if (++distance == 1)
            generation = reco__step_generation(step, RECO_BOARD_COVIEW);
        if (put_pair(adds, generation, step->item, touch->item, step->weight * share(rules, distance)) != RECO_OK)
            return reco__no_memory(err);
    }
    return RECO_OK;
}
