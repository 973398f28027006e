/* recommend/top.h - the best n of many by (score descending, xxh64 of the name, name): the order of every answer, whatever numbers the items have. */
#ifndef RECO__TOP_H
#define RECO__TOP_H

#include "features/features.h"

typedef struct reco__ranked {
    int64_t score;
    uint64_t hash; /* of the name, once a tie asked for it */
    uint32_t item;
    uint32_t place; /* the caller's */
    bool hashed;
} reco__ranked;

/* CONFINED. A heap whose first element is the worst of those kept. `entries` belongs to the caller and has room for `limit`. */
typedef struct reco__top {
    reco__ranked *entries;
    size_t count, limit;
    reco__features *features;
} reco__top;

static inline bool reco__top_full(const reco__top *top) { return top->count == top->limit; }
/* Offers one; kept when there is room or it is better than the worst. */
void reco__top_offer(reco__top *top, int64_t score, uint32_t item, uint32_t place);
/* Best first; nothing can be offered afterwards. */
void reco__top_sort(reco__top *top);

#endif
