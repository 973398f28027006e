/* model/zipf.h - ranks drawn by Zipf's law, each in constant time. */
#ifndef RECO__MODEL_ZIPF_H
#define RECO__MODEL_ZIPF_H

#include "base/base.h"

/* FROZEN once made. */
typedef struct reco__zipf {
    struct reco__zipf_column { uint32_t threshold, other; } *columns;
    uint32_t count;
} reco__zipf;

/* Ranks 0 .. count - 1, rank k with weight 1 / (k + 1) ^ exponent; count > 0. NO_MEMORY. */
reco_status reco__zipf_init(reco__zipf *zipf, uint32_t count, double exponent, reco_error *err);
void reco__zipf_dispose(reco__zipf *zipf);

/* The rank that 64 random bits give. */
static inline uint32_t reco__zipf_rank(const reco__zipf *zipf, uint64_t bits) {
    uint32_t at = (uint32_t)(((bits >> 32) * zipf->count) >> 32);
    return (uint32_t)bits <= zipf->columns[at].threshold ? at : zipf->columns[at].other;
}

#endif
