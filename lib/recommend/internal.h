/* recommend/internal.h - what the files of this room share: the room's object, and the state of a moment that answers are made from. */
#ifndef RECO__RECOMMEND_INTERNAL_H
#define RECO__RECOMMEND_INTERNAL_H

#include "recommend/answer.h"
#include "recommend/breaker.h"
#include "recommend/candidates.h"
#include "recommend/kept.h"
#include "recommend/recommend.h"

#define RECO__PARTITIONS_MOST 64u
#define RECO__DEGRADED_KINDS 6u /* bits of RECO_DEGRADED_... */
#define RECO__MOMENTS_MAX 4u    /* popularity of other moments that is kept for the next question */

/* Everything that goes by item numbers of one epoch of features. SHARED, counted. */
typedef struct reco__state {
    atomic_uint_fast32_t holders;
    uint64_t epoch;
    reco__catalogue *catalogue;
    reco__popularity *popularity;
    pthread_mutex_t lock;                         /* of `moments` */
    reco__popularity *moments[RECO__MOMENTS_MAX]; /* of as_of questions; taken out while in use */
    uint32_t moment_count;
} reco__state;

struct reco__recommend {
    reco__recommend_options options;
    reco__plan *plan;
    uint32_t key_number;
    uint8_t key[16];
    atomic_bool key_known; /* set after the two */

    pthread_mutex_t lock; /* of what follows, down to the pool; never held while a door is called */
    pthread_cond_t refreshed;
    reco__state *state; /* NULL: nothing loaded yet */
    bool refreshing;
    int64_t refreshed_ns; /* when it was tried last */
    int64_t current_ns;   /* when it went well last */
    reco_error trouble;   /* why it did not go well the last time; status OK: it did */
    bool relearning;      /* features have lost what they had, and have not learned as much again */
    bool records_behind;  /* records could not be followed */
    reco__kept *kept;     /* NULL: none yet */

    /* of who has the turn to refresh */
    reco_position learned[RECO__PARTITIONS_MOST]; /* how far features had learned what answers were made from */
    uint64_t kept_signature;                      /* of the list that `kept` was made from */
    bool recalled;                                /* what was learned once was looked for */

    reco__breaker features_breaker, records_breaker;

    pthread_mutex_t pool_lock;
    reco_candidates *pool;
    uint32_t pool_count, pool_most;

    atomic_uint_fast64_t answers, empty, fallbacks, degraded, failed, popular_answers, candidates;
    atomic_uint_fast64_t degraded_by[RECO__DEGRADED_KINDS];
    atomic_uint_fast64_t sieved[RECO__SIEVED_KINDS];
};

/* state.c: the state to answer from, to be given back. Loads it when there is none, looks after its age; where a thread does that, it is only waited
 * for, and what keeps the thread from it is answered. STALE: features learn anew what they had, there is nothing to answer from but what was kept.
 * *degraded gets bits of RECO_DEGRADED_... for what is not as it should be. */
reco_status reco__state_hold(reco__state **out, uint32_t *degraded, reco__recommend *recommend, const reco_call *call, reco_error *err);
/* The state whatever it is good for; NULL: none. To be given back. */
reco__state *reco__state_peek(reco__recommend *recommend);
bool reco__is_relearning(reco__recommend *recommend);
/* ask_kept.c: fills an answer from what was kept, in the given order (NULL: as it lies). Scores are those of the items, or of the sums of a window.
 */
#define RECO__KEPT_SCORE UINT32_MAX
reco_status reco__kept_fill(reco__answer *answer, reco_candidates *c, const reco__kept *kept, const reco__state *state,
                            const reco__kept_item *const *order, size_t count, uint32_t window, reco_error *err);
/* What becomes of the items asked about in such an answer, before it is filled. */
reco_status reco__kept_explain(struct reco__note *note, reco_candidates *c, const reco__kept *kept, const reco__state *state, reco_error *err);
/* Whether something kept may be recommended at a moment: by the catalogue, as long as the numbers hold, else by what was known when it was kept. */
bool reco__kept_available(const reco__kept *kept, const reco__kept_item *item, const reco__state *state, int64_t moment);
/* What was kept for when features cannot be asked; NULL: nothing. To be released. *relearning: they have lost what they had. */
reco__kept *reco__kept_hold(bool *relearning, reco__recommend *recommend);
void reco__state_release(reco__state *state);
/* Popularity of another moment: taken out, brought to it, and put back. */
reco_status reco__state_moment(reco__popularity **out, reco__recommend *recommend, reco__state *state, int64_t moment, const reco_call *call,
                               reco_error *err);
void reco__state_moment_done(reco__state *state, reco__popularity *popularity);
/* Follows the change log, unless it is far away. STALE: it no longer reaches back, and the state is to be loaded anew. When records do not answer,
 * what is known is gone on with, and *degraded says so. */
reco_status reco__state_follow(uint32_t *degraded, reco__recommend *recommend, reco__state *state, const reco_call *call, reco_error *err);

/* ask.c: what a question ends with, in words for who asked. */
reco_status reco__not_answered(reco_status status, reco_error *error, reco_error *err);
/* ask.c: the call with only a part of the time it has left; `own` is what it is made in. */
const reco_call *reco__call_part(reco_call *own, const reco_call *call, uint32_t percent);
#define RECO__STORES_PERCENT 90u  /* of a question's time: the rest is for what needs no store */
#define RECO__RECORDS_PERCENT 25u /* for following records: the answer can do without */
/* A sum of popularity as a score. */
static inline int64_t reco__sum_score(int64_t sum) { return sum < INT64_MAX / RECO_SCORE_UNIT ? sum * RECO_SCORE_UNIT : INT64_MAX; }
/* run.c: the question through the stages of its plan; c->winners are the answer, cut to the limit. */
reco_status reco__plan_run(reco_candidates *c, const reco_call *call, reco_error *err);
/* A question that was cancelled, or is out of memory, is over; whatever else a stage or store reports is its own failure. */
static inline bool reco__ends_question(reco_status status) { return status == RECO_NO_MEMORY || status == RECO_CANCELLED; }
static inline void reco__count(atomic_uint_fast64_t *counter, uint64_t by) { atomic_fetch_add_explicit(counter, by, memory_order_relaxed); }
/* ask.c: counts what a question's selection has left out. */
void reco__count_sieved(reco__recommend *recommend, const reco_candidates *c);
/* ask.c: counts a degraded answer by its reasons. */
void reco__count_degraded(reco__recommend *recommend, uint32_t degraded);

/* person.c: the user's ids into `person`; what records do not say now counts as no alias, and *degraded says so. */
reco_status reco__person_find(reco__person *person, uint32_t *degraded, reco__recommend *recommend, reco__aliases *aliases, reco_str user,
                              uint32_t partition, const reco_call *call, reco_error *err);

/* recommend.c: columns for one question, from the pool. */
reco_status reco__pool_take(reco_candidates **out, reco__recommend *recommend, reco_error *err);
void reco__pool_give(reco__recommend *recommend, reco_candidates *c);
/* Columns that are not pooled: what asks for more than answers do is not to leave its memory there. */
reco_status reco__candidates_make(reco_candidates **out, reco__recommend *recommend, reco_error *err);
void reco__candidates_free(reco_candidates *c);

/* Checks shared by both kinds of questions. */
reco_status reco__limit_check(uint32_t *limit, const reco__settings *settings, uint32_t asked, reco_error *err);

#endif
