/* engine/hashing.h - the state hash of a features store, and digests of its heads for comparison. */
#ifndef RECO__ENGINE_HASHING_H
#define RECO__ENGINE_HASHING_H

#include "engine/engine.h"

/* What a head says, by names: equal digests, equal heads. */
typedef struct reco__head_digest {
    reco__u128 sum;
    int64_t closed_at;
    uint32_t present, unused;
} reco__head_digest;

/* One run over a store. CONFINED; zero-initialised; dispose frees. */
typedef struct reco__hashing {
    reco__state_hash hash;
    reco_features_info info;
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t heads;
    reco__head_digest *digests; /* by item number of this store */
    uint32_t digest_room;
    uint32_t partitions;
    reco__features *features;
    const reco__stream *stream;
    const reco__learn_rules *rules;
    reco__buf scratch, canonical;
    reco__cell cell;
} reco__hashing;

/* `stream` (NULL: not known) is asked whether cells are where they belong. CORRUPT for what no derivation could have left. */
reco_status reco__hashing_run(reco__hashing *hashing, reco__features *features, const reco__stream *stream, const reco__learn_rules *rules,
                              uint32_t partitions, bool heads, const reco_call *call, reco_error *err);
void reco__hashing_dispose(reco__hashing *hashing);

/* Of one stored head. CORRUPT when it cannot be read. */
reco_status reco__head_digest_make(reco__head_digest *out, reco__features *features, const reco_board_rules *rules, uint32_t item, const void *data,
                                   size_t size, reco_error *err);
/* CORRUPT unless what is stored beside a cell, its expiry, is what the cell says. */
reco_status reco__cell_check_expiry(const reco__cell *cell, const reco__learn_rules *rules, reco_str user, int64_t expires_at, reco_error *err);
/* A stored cell in canonical form, into `out` (reset first). */
reco_status reco__cell_canonical(reco__buf *out, reco__cell *cell, reco__features *features, const void *data, size_t size, reco_error *err);

#endif
