/* recommend/filters/availability.c - drops what records say is hidden or not available at the moment asked about. Costs nothing while no item is
 * restricted. Items so new that records were not asked yet count as available here; the arranger asks before one of them gets into an answer. */
#include "recommend/candidates.h"

reco_status reco__filter_availability(reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    if (atomic_load_explicit(&c->catalogue->restricted, memory_order_relaxed) == 0) {
        return RECO_OK;
    }
    for (size_t i = 0; i < c->count; i++) {
        uint32_t item = c->items[i];
        if (!reco__catalogue_available(c->catalogue, item, c->moment) && !(c->marks[item] & RECO__MARK_DROPPED)) {
            c->marks[item] |= RECO__MARK_DROPPED;
            c->filtered++;
        }
    }
    return RECO_OK;
}
