/* recommend/plan.h - what an answer goes through, fixed when the engine is opened. */
#ifndef RECO__PLAN_H
#define RECO__PLAN_H

#include <stdatomic.h>

#include "config/settings.h"
#include <reco/plugin/stage.h>

#define RECO__STAGES_MAX 32u

/* One step: built in (`run`), or the application's (`backend`, `own`). */
typedef struct reco__stage {
    uint32_t kind;
    const char *name;
    reco_status (*run)(reco_candidates *candidates, const reco_call *call, reco_error *err);
    reco_stage_backend backend;
    reco_stage *own;
    atomic_uint_fast64_t counted;         /* candidates added, or dropped */
    atomic_uint_fast64_t failures;        /* runs that failed */
    atomic_uint_fast64_t skipped;         /* runs the deadline left out */
    atomic_uint_fast64_t timed, timed_ns; /* runs for which the clock was read, and how long they took */
} reco__stage;

/* FROZEN but for its counters. */
typedef struct reco__plan {
    reco__stage stages[RECO__STAGES_MAX]; /* sources, filters, rankers, arrangers */
    uint32_t count;
    bool own;      /* some are the application's: candidates are laid out for them */
    uint64_t hash; /* of all that decides what the plan answers */
    const char *model;
    double *recency; /* weight of the k-th recent item; `recents` of them */
    uint32_t recents;
} reco__plan;

/* INVALID naming recommend.stages for a stage nobody registered. */
reco_status reco__plan_open(reco__plan **out, const reco__settings *settings, const reco_call *call, reco_error *err);
void reco__plan_close(reco__plan *plan);

/* --- stages.c: what applications registered ----------------------------------------------------------------------------------------------------- */
bool reco__stage_find(reco_stage_backend *out, const char *name, size_t size);

/* --- the built-in stages ------------------------------------------------------------------------------------------------------------------------ */
reco_status reco__source_coview(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__source_revisit(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__source_popular(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__filter_seen(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__filter_hidden(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__filter_availability(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__ranker_hybrid(reco_candidates *candidates, const reco_call *call, reco_error *err);
reco_status reco__arranger_top(reco_candidates *candidates, const reco_call *call, reco_error *err);

#endif
