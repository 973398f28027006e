/* reco/plugin/stage.h - the contract of a stage: one step of answering. A source adds candidates, a filter drops some, a ranker changes scores, an
 * arranger changes the order.
 *
 * For applications that add a step of their own. A stage is a table of functions registered by name; the setting recommend.stages says which of the
 * registered ones take part: names separated by commas, each followed, where it wants options, by one JSON object ("boost{\"by\":2},house-rules").
 * Own sources run after the built-in ones, own filters after the built-in ones, own rankers after the built-in ranker, own arrangers last, each kind
 * in the order of the setting.
 *
 * What a failure means: a source that fails is left out (what it had added goes with it) and the answer says DEGRADED; a filter that fails fails the
 * request; a ranker or an arranger that fails leaves scores and order as they were before it, and the answer says DEGRADED. Sources are skipped once
 * the call's deadline has passed.
 *
 * Scores are integers in micro-units (RECO_SCORE_UNIT). What a stage adds to or takes from a score becomes a reason of its own, so that the reasons
 * of an item always sum to its score. run may be called from several threads at once on one stage, each time with candidates of its own. Strings and
 * handles are borrowed for the call. */
#ifndef RECO_PLUGIN_STAGE_H
#define RECO_PLUGIN_STAGE_H

#include <reco/answer.h>
#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_STAGE_CONTRACT 1u

#define RECO_STAGE_SOURCE 1u
#define RECO_STAGE_FILTER 2u
#define RECO_STAGE_RANKER 3u
#define RECO_STAGE_ARRANGER 4u

typedef struct reco_stage reco_stage;           /* SHARED; defined by the stage: its options, tables, connections */
typedef struct reco_candidates reco_candidates; /* CONFINED; one question on its way to an answer, valid during run */

typedef struct reco_stage_backend {
    uint32_t struct_size;
    uint32_t contract; /* RECO_STAGE_CONTRACT */
    uint32_t kind;     /* RECO_STAGE_... */
    uint32_t flags;    /* 0 */
    const char *name;  /* [A-Za-z0-9_.-], up to 64 bytes; what recommend.stages and reasons call it; borrowed for the life of the process */

    /* Made once per plan that names the stage. `options`: the JSON object of the setting, or absent. *out may be left NULL when there is nothing to
     * keep. */
    reco_status (*create)(reco_stage **out, reco_str options, const reco_call *call, reco_error *err);
    void (*destroy)(reco_stage *stage); /* stage may be NULL when create left it so */
    reco_status (*run)(reco_stage *stage, reco_candidates *candidates, const reco_call *call, reco_error *err);
} reco_stage_backend;

/* The table is copied. CONFLICT when the name is taken, INVALID naming the field that is missing or wrong. Before an engine is opened that names it.
 * SHARED. */
RECO_API reco_status reco_register_stage(const reco_stage_backend *backend, reco_error *err);

/* --- the question ------------------------------------------------------------------------------------------------------------------------------- */

RECO_API reco_str reco_candidates_user(const reco_candidates *candidates);
RECO_API reco_str reco_candidates_scenario(const reco_candidates *candidates);
RECO_API int64_t reco_candidates_moment(const reco_candidates *candidates); /* ms: as_of, or now */
RECO_API uint64_t reco_candidates_seed(const reco_candidates *candidates);  /* of whatever is random: equal seeds, equal answers */
RECO_API uint32_t reco_candidates_limit(const reco_candidates *candidates); /* how many items the answer may have */

/* The recent items of the user that count as sources, newest first (reco/answer.h). */
RECO_API size_t reco_candidates_recent_count(const reco_candidates *candidates);
/* NOT_FOUND beyond the count. */
RECO_API reco_status reco_candidates_recent(reco_recent *out, const reco_candidates *candidates, size_t index);

/* --- the candidates ----------------------------------------------------------------------------------------------------------------------------- */

/* How many there are, dropped ones included; indexes stay what they are until an arranger runs. For arrangers: the best ones in order, at least four
 * times the limit where there are so many, none of them dropped before. */
RECO_API size_t reco_candidates_count(const reco_candidates *candidates);
RECO_API reco_str reco_candidates_item(const reco_candidates *candidates, size_t index);   /* {NULL, 0} beyond the count */
RECO_API int32_t reco_candidates_dropped(const reco_candidates *candidates, size_t index); /* 1: dropped (or beyond the count) */
RECO_API int64_t reco_candidates_score(const reco_candidates *candidates, size_t index);   /* 0 before the ranker */

/* Sources: adds `score` to an item, making it a candidate. `because` names the item that gave the reason, or is absent. NOT_FOUND, adding nothing,
 * for an item without events: only what was learned about can be recommended. INVALID outside a source. */
RECO_API reco_status reco_candidates_add(reco_candidates *candidates, reco_str item_id, int64_t score, reco_str because, reco_error *err);
/* Filters and arrangers: leaves a candidate out. INVALID elsewhere, or beyond the count. */
RECO_API reco_status reco_candidates_drop(reco_candidates *candidates, size_t index, reco_error *err);
/* Rankers and arrangers: the score is `score` from now on. The order of an arranger's candidates stays. */
RECO_API reco_status reco_candidates_set_score(reco_candidates *candidates, size_t index, int64_t score, reco_error *err);
/* Arrangers: moves a candidate to another place; those between move up or down. */
RECO_API reco_status reco_candidates_move(reco_candidates *candidates, size_t from, size_t to, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
