/* recommend/answer.h - what stands behind reco_answer. */
#ifndef RECO__ANSWER_H
#define RECO__ANSWER_H

#include "base/base.h"
#include "recommend/person.h"
#include <reco/answer.h>

/* CONFINED. Everything the public part points to lies in the arena, or is static. */
typedef struct reco__answer {
    reco_answer shown; /* first: a reco_answer is one of these */
    reco__arena arena;
    reco__buf json, id, next;
    bool bare;                          /* the same for everybody: nothing of a user, no id */
    bool dated;                         /* the moment is told */
    reco__place places[RECO__IDS_MOST]; /* what it reflects */
    size_t place_count;
} reco__answer;

/* The object behind *answer, emptied; made when *answer is NULL (then *made). NULL: out of memory. */
reco__answer *reco__answer_begin(reco_answer *answer, bool *made);
/* A copy in the arena; {NULL, 0} for an empty one. False when memory is out. */
bool reco__answer_copy(reco_str *out, reco__answer *answer, reco_str text);

/* answer_json.c: an array of reasons. */
void reco__answer_add_reasons(reco__buf *out, const reco_reason *reasons, uint32_t count);

static inline reco__answer *reco__answer_of(reco_answer *answer) { return (reco__answer *)(void *)answer; }

#endif
