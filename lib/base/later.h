/* base/later.h - opening a store later, when it could not be reached at first: whose turn it is to try, and what the last try met. */
#ifndef RECO__LATER_H
#define RECO__LATER_H

#include <stdatomic.h>

#include "base/base.h"

/* SHARED after begin. */
typedef struct reco__later {
    atomic_flag trying;
    atomic_int_fast64_t again_ns; /* nobody tries before */
    atomic_int status;            /* of the last try */
    char text[240];               /* of the last try; written by who has the turn, before `again_ns` */
} reco__later;

/* Whether a failure to open says that it may go well later without anybody changing anything. */
bool reco__later_worth(reco_status status);
/* Before the object is shared. `err` (NULL allowed): what the first try met, when status is not OK. */
void reco__later_begin(reco__later *later, reco_status status, const reco_error *err);
/* OK: the turn to try is the caller's, until done. Else UNAVAILABLE at once: somebody tries, or did a moment ago. */
reco_status reco__later_turn(reco__later *later, reco_error *err);
void reco__later_done(reco__later *later, reco_status status, const reco_error *err);

#endif
