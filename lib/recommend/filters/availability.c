/* recommend/filters/availability.c - drops what records say is hidden or not available at the moment asked about. Costs nothing while no item is
 * restricted. Items so new that records were not asked yet count as available here; the arranger asks before one of them gets into an answer. */
#include "recommend/candidates.h"

static bool restricted(const reco_candidates *c, uint32_t item) {
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(c->catalogue, item);
    uint32_t at = item % RECO__CHUNK_ITEMS;
    return chunk && (atomic_load_explicit(&chunk->restricted[at / 64], memory_order_relaxed) >> (at % 64) & 1);
}

reco_status reco__filter_availability(reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    if (atomic_load_explicit(&c->catalogue->restricted, memory_order_relaxed) == 0) {
        return RECO_OK;
    }
    for (size_t i = 0; i < c->count; i++) {
        uint32_t item = c->items[i];
        if (restricted(c, item) && !(c->marks[item] & RECO__MARK_DROPPED) && !reco__catalogue_available(c->catalogue, item, c->moment)) {
            c->marks[item] |= RECO__MARK_DROPPED;
            c->filtered++;
        }
    }
    return RECO_OK;
}
