/* recommend/given.h - what a question brings along: a session, items to put in order, items that something similar is looked for. */
#ifndef RECO__GIVEN_H
#define RECO__GIVEN_H

#include "recommend/candidates.h"

/* The events of c->session happen to c->cell, as if they had just been learned. */
reco_status reco__given_session(reco_candidates *c, const reco_call *call, reco_error *err);
/* The asked items become the recent items, all with the same weight. NOT_FOUND when nothing is known of any. */
reco_status reco__given_similar(reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err);
/* After the sources: for SIMILAR, the asked items and what has nothing to do with them are no candidates; for RANK, the asked items are all there is.
 */
reco_status reco__given_narrow(reco_candidates *c, const reco_call *call, reco_error *err);
/* For RANK: appends what nothing was learned of to the answer, as far as it may be recommended. */
struct reco__answer;
reco_status reco__given_rest(struct reco__answer *answer, reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err);

#endif
