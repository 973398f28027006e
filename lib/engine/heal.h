/* engine/heal.h - parts of the features store that have lost records get them again.
 *
 * Features that are kept in several places (several Redis primaries) keep a position in each. A place that went back, or was emptied, stands behind
 * the cells: no batch can be applied before it has caught up. What it lacks is derived again: the cells in memory, from a verified snapshot
 * that is no newer than what any place has (snapshots.h), or from the beginning of the stream, and from the place's position on what they add is
 * given as batches with RECO_BATCH_HEAL. Additions are a function of the records, so they are the ones that were lost. */
#ifndef RECO__ENGINE_HEAL_H
#define RECO__ENGINE_HEAL_H

#include "engine/engine.h"

typedef struct reco__heal reco__heal; /* CONFINED */

reco_status reco__heal_create(reco__heal **out, reco_engine *engine, reco_error *err);
void reco__heal_free(reco__heal *heal);

/* Does a piece of the healing of a partition whose spread has low < cells.offset: derives at most `max_records`. STALE: nothing happened, look again.
 * CORRUPT when the stream no longer holds the records. */
reco_status reco__heal_step(reco__heal *heal, uint32_t partition, const reco_spread *spread, uint32_t max_records, const reco_call *call,
                            reco_error *err);
/* Nothing is left to heal: gives back the memory. */
void reco__heal_rest(reco__heal *heal);

#endif
