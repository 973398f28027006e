/* recommend/internal.h - what the files of this room share: the room's object, and the state of a moment that answers are made from. */
#ifndef RECO__RECOMMEND_INTERNAL_H
#define RECO__RECOMMEND_INTERNAL_H

#include "recommend/answer.h"
#include "recommend/candidates.h"
#include "recommend/recommend.h"

#define RECO__MOMENTS_MAX 4u /* popularity of other moments that is kept for the next question */

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

    pthread_mutex_t lock; /* of what follows, down to the pool; never held while a door is called */
    pthread_cond_t refreshed;
    reco__state *state; /* NULL: nothing loaded yet */
    bool refreshing;
    int64_t refreshed_ns; /* when it was done last */

    pthread_mutex_t pool_lock;
    reco_candidates *pool;
    uint32_t pool_count, pool_most;

    atomic_uint_fast64_t answers, empty, fallbacks, degraded, failed, popular_answers, candidates;
};

/* The state to answer from; loads it when there is none, and, when nobody does it in the background, looks after its age. To be given back. */
reco_status reco__state_hold(reco__state **out, reco__recommend *recommend, const reco_call *call, reco_error *err);
void reco__state_release(reco__state *state);
/* Popularity of another moment: taken out, brought to it, and put back. */
reco_status reco__state_moment(reco__popularity **out, reco__recommend *recommend, reco__state *state, int64_t moment, const reco_call *call,
                               reco_error *err);
void reco__state_moment_done(reco__state *state, reco__popularity *popularity);
/* Follows the change log, unless it is far away. STALE: it no longer reaches back, and the state is to be loaded anew. */
reco_status reco__state_follow(reco__recommend *recommend, reco__state *state, const reco_call *call, reco_error *err);

/* Columns for one question, from the pool. */
reco_status reco__pool_take(reco_candidates **out, reco__recommend *recommend, reco_error *err);
void reco__pool_give(reco__recommend *recommend, reco_candidates *c);

/* Checks shared by both kinds of questions. */
reco_status reco__limit_check(uint32_t *limit, const reco__settings *settings, uint32_t asked, reco_error *err);

#endif
