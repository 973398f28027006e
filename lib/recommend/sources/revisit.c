/* recommend/sources/revisit.c - what the user looked at a moment ago in the running session, where people are known to come back. Its score is for
 * the ranker to give. */
#include "recommend/candidates.h"

reco_status reco__source_revisit(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = reco__candidates_reserve_items(c, c->count + c->recent_count + 1, err);

    (void)call;
    for (uint32_t k = 0; status == RECO_OK && c->session_runs && k < c->recent_count && c->recents[k].session; k++) {
        status = reco__candidates_reserve_marks(c, c->recents[k].item + 1, err);
        if (status == RECO_OK) {
            reco__candidates_list(c, c->recents[k].item, RECO__MARK_REVISIT);
            c->revisited = true;
        }
    }
    return status;
}
