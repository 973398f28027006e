/* recommend/filters/seen.c - drops what the user has touched, and what the user has hidden. A cell has few items, so they are looked up among the
 * candidates and not the other way round. */
#include "recommend/candidates.h"

static void drop(reco_candidates *c, uint32_t item) {
    if (item < c->mark_room && (c->marks[item] & (RECO__MARK_LISTED | RECO__MARK_DROPPED)) == RECO__MARK_LISTED) {
        c->marks[item] |= RECO__MARK_DROPPED;
        c->filtered++;
    }
}

reco_status reco__filter_seen(reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    for (uint32_t i = 0; i < c->cell.touch_count; i++) {
        drop(c, c->cell.touches[i].item);
    }
    return RECO_OK;
}

reco_status reco__filter_hidden(reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    for (uint32_t i = 0; i < c->cell.hidden_count; i++) {
        drop(c, c->cell.hidden[i]);
    }
    return RECO_OK;
}
