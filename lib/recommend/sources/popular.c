/* recommend/sources/popular.c - what is popular at the moment, the best first, without what the user has had: it fills answers that are short and is
 * all there is for people nobody knows. */
#include "recommend/candidates.h"

/* What the filters would drop anyway is not to use up the places. Those of a cell are few; they are marked for the time of the walk, and the marks of
 * candidates are left alone. */
static void mark_known(reco_candidates *c, bool on) {
    uint32_t from = on ? 0 : RECO__MARK_DROPPED, to = on ? RECO__MARK_DROPPED : 0;

    for (uint32_t i = 0; i < c->cell.touch_count && c->settings->filter_seen; i++) {
        uint32_t item = c->cell.touches[i].item;
        if (item < c->mark_room && c->marks[item] == from) {
            c->marks[item] = to;
        }
    }
    for (uint32_t i = 0; i < c->cell.hidden_count; i++) {
        uint32_t item = c->cell.hidden[i];
        if (item < c->mark_room && c->marks[item] == from) {
            c->marks[item] = to;
        }
    }
}

reco_status reco__source_popular(reco_candidates *c, const reco_call *call, reco_error *err) {
    const reco__popular_list *list = c->popular;
    size_t wanted = c->settings->popular_candidates > c->limit ? c->settings->popular_candidates : c->limit;
    reco_status status = reco__candidates_reserve_items(c, c->count + wanted + 1, err);

    (void)call;
    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, list->item_count, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    mark_known(c, true);
    for (size_t i = 0; i < list->count && wanted > 0; i++) {
        if (c->marks[list->best[i].item] != RECO__MARK_DROPPED) {
            reco__candidates_list(c, list->best[i].item, 0);
            wanted--;
        }
    }
    mark_known(c, false);
    return RECO_OK;
}
