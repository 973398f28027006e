/* recommend/explanation.h - what stands behind reco_explanation. */
#ifndef RECO__EXPLANATION_H
#define RECO__EXPLANATION_H

#include "recommend/answer.h"

/* CONFINED. What the public part points to lies in the arena of `about`, in `answer`, or is static. */
typedef struct reco__explanation {
    reco_explanation shown; /* first: a reco_explanation is one of these */
    reco_answer *answer;
    reco__answer about; /* reasons of items that are not in the answer */
    reco__buf json;
} reco__explanation;

/* The object behind *shown, emptied, its answer kept for the next; made when it is NULL (then *made). NULL: out of memory. */
reco__explanation *reco__explanation_begin(reco_explanation *shown, bool *made);

static inline reco__explanation *reco__explanation_of(reco_explanation *shown) { return (reco__explanation *)(void *)shown; }

#endif
