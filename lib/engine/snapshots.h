/* engine/snapshots.h - the folder of snapshots: what is in it, taking another, learning from the newest again. */
#ifndef RECO__ENGINE_SNAPSHOTS_H
#define RECO__ENGINE_SNAPSHOTS_H

#include "engine/engine.h"

#define RECO__SNAPSHOTS_MOST 64u /* files of a namespace that are looked at */

/* Whether a folder is set. */
bool reco__snapshots_wanted(const reco_engine *engine);
/* Takes, verifies and trims when `snapshots.every` records were learned since the newest snapshot; else nothing. One process does at a time. */
reco_status reco__snapshots_step(reco_engine *engine, const reco_call *call, reco_error *err);
/* Positions of the oldest verified snapshot of those that stay and are undamaged. NOT_FOUND, without touching err: there is none that fits. */
reco_status reco__snapshots_oldest(reco_position *positions, reco_engine *engine, reco_error *err);
/* What may be dropped of the stream below the offset as far as the archive has read it. */
int64_t reco__snapshots_archived(const reco_engine *engine, uint32_t partition, int64_t offset);
/* The lock that lets one process at a time take and trim: a descriptor to be closed; < 0: another one has it. */
reco_status reco__snapshots_lock(int *fd, const reco_engine *engine, reco_error *err);
/* Loads the newest snapshot that fits the stream as it stands into features. NOT_FOUND when there is none; BUSY while another process loads. */
reco_status reco__snapshots_relearn(reco_engine *engine, const reco_call *call, reco_error *err);
/* What is popular by the newest snapshot, in a store in memory that the caller closes, and its positions. NOT_FOUND when there is none, or `now`
 * (NULL: unknown) is as far. `engine`: a reco_engine; as reco__recommend_options wants it. */
reco_status reco__snapshots_recall(reco__features **out, reco_position *then, void *engine, const reco_position *now, const reco_call *call,
                                   reco_error *err);
/* The cells of the newest verified snapshot that lies within the stream and at or below `most` in every partition, into a scratch store, with the
 * item numbers of the engine's features. NOT_FOUND: there is none. */
reco_status reco__snapshots_base(reco__features *scratch, reco_engine *engine, const int64_t *most, const reco_call *call, reco_error *err);

#endif
