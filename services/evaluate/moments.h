/* evaluate/moments.h - moments of real traffic: who did something that counts, and when. CONFINED. */
#ifndef EVALUATE_MOMENTS_H
#define EVALUATE_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include <reco.h>

#include "evaluate/names.h"

typedef struct evaluate_moment {
    uint32_t user; /* of users */
    int64_t at;    /* ms: the one before the event was received, so that an answer as of it knows what came before the event, and not the event */
} evaluate_moment;

typedef struct evaluate_moments {
    evaluate_names users;
    evaluate_moment *list;
    size_t count;
    uint64_t met;     /* events that were moments, of which `count` were drawn */
    int64_t from, to; /* as they were given, or the day before the newest event */
} evaluate_moments;

/* Draws at most `most` of the events received from `from` on and before `to` whose type weighs something; each is as likely as any other, and the
 * same seed draws the same. 0 for one of the two: a day before or after the other; for both: the last day. NO_MEMORY, and what reading the stream
 * says. */
reco_status evaluate_moments_draw(evaluate_moments *out, reco_engine *engine, int64_t from, int64_t to, size_t most, uint64_t seed,
                                  const reco_call *call, reco_error *err);
void evaluate_moments_dispose(evaluate_moments *moments);

#endif
