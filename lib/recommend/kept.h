/* recommend/kept.h - what is popular, by name: it outlives the numbers of items, and so the loss of all that was learned. */
#ifndef RECO__KEPT_H
#define RECO__KEPT_H

#include "recommend/popularity.h"

typedef struct reco__kept_item {
    reco_str name;
    int64_t score;   /* popularity in micro-units, as an answer without anything personal has it */
    int64_t sums[2]; /* by hours, by days */
    int64_t from, until;
    uint32_t number; /* in the epoch it was made in */
} reco__kept_item;

/* FROZEN, counted. Best first by score. What was not available when it was made is not in it. */
typedef struct reco__kept {
    atomic_uint_fast32_t holders;
    uint64_t epoch; /* of features; 0: from a file */
    int64_t moment; /* where its windows end */
    size_t count;
    reco__kept_item *items;
    reco__arena names;
} reco__kept;

/* What a list says, with names. */
reco_status reco__kept_make(reco__kept **out, const reco__popular_list *list, const reco__popularity *popularity, const reco__catalogue *catalogue,
                            reco__features *features, uint64_t epoch, reco_error *err);
void reco__kept_release(reco__kept *kept);
uint64_t reco__kept_bytes(const reco__kept *kept);

#endif
