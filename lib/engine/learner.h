/* engine/learner.h - one batch of learning: read, derive, apply. Used by processors and, on a scratch store, by verify.
 *
 * A batch is a function of the records from a partition's stored position on: the records are read and decoded; effective times are the running
 * maximum of the partition's clock and received_at; records are taken user by user, each user's in their order, which gives the same cells and adds
 * as record by record because a derivation sees nothing but its own user's cell; one apply makes everything visible at once, or STALE when another
 * processor was faster.
 *
 * A stream others write to (Kafka) may hold anything. A record that is no envelope, or of a user of another partition, is passed over: it changes
 * nothing but the position, and its bytes are put with the dead letters first. So is an offset that holds nothing, which leaves no letter. What a
 * later release wrote is no garbage: it stops learning, as damage in a stream of our own does. */
#ifndef RECO__ENGINE_LEARNER_H
#define RECO__ENGINE_LEARNER_H

#include "base/base.h"
#include "features/features.h"
#include "learn/learn.h"
#include "stream/stream.h"

typedef struct reco__learner reco__learner; /* CONFINED */

/* Milliseconds from an event's receipt to its effect: at most so many, and more. */
#define RECO__EFFECT_BOUNDS                                                                                                                          \
    { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000 }
#define RECO__EFFECT_BUCKETS 15u

typedef struct reco__learned {
    uint64_t records, events, duplicates, clamped, letters;
    uint64_t effects[RECO__EFFECT_BUCKETS], effect_ms; /* of the events that were no duplicates: each in its bucket, and all of them */
    int64_t from, to;                                  /* offsets */
    int64_t clock;                                     /* W after it */
} reco__learned;

/* Stream, features and rules are borrowed until free. */
reco_status reco__learner_create(reco__learner **out, reco__stream *stream, reco__features *features, const reco__learn_rules *rules,
                                 reco_error *err);
/* Told by processors: records passed over are put with the dead letters and logged; else (verify) they are passed over in silence. */
void reco__learner_write_letters(reco__learner *learner);
void reco__learner_free(reco__learner *learner);

/* Makes it one that heals: `features` of create is a scratch store for cells alone, what they add goes to `target`. Once, before anything else. */
reco_status reco__learner_heals(reco__learner *learner, reco__features *target, const reco_call *call, reco_error *err);
/* Derives at most `max_records` from the scratch store's position on, none at or beyond `upto`. `gives`: what they add is given to those parts of the
 * target that stand at the batch's beginning; else nothing is. STALE: the target's numbers are no longer those of the scratch store's cells, or
 * somebody else gave it something. */
reco_status reco__learner_heal_batch(reco__learned *done, reco__learner *learner, uint32_t partition, uint32_t max_records, int64_t upto, bool gives,
                                     const reco_call *call, reco_error *err);

/* Learns at most `max_records` of a partition from its stored position on, none at or beyond `upto` (INT64_MAX: no bound). `known`: that position, as
 * far as the caller knows, which saves asking for it; STALE when it is another. NULL, and always where parts of features stand apart: it is asked
 * for. *done all zero but from/to/clock when there was nothing. STALE: nothing happened, try again. FULL: a table is full; the records before the
 * one that did not fit are learned first, by smaller batches. Where parts of features stand apart (spread), a batch ends at the fence. */
reco_status reco__learner_batch(reco__learned *done, reco__learner *learner, uint32_t partition, const reco_position *known, uint32_t max_records,
                                int64_t upto, const reco_call *call, reco_error *err);

#endif
