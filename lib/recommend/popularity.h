/* recommend/popularity.h - how much everything is looked at: exact sums of the two configured windows by item number, and what ranking needs of them.
 */
#ifndef RECO__POPULARITY_H
#define RECO__POPULARITY_H

#include <pthread.h>
#include <stdatomic.h>

#include "config/settings.h"
#include "features/features.h"
#include "recommend/catalogue.h"
#include "recommend/top.h"
#include <reco/answer.h>

/* What ranking reads of an item: one cache line at most. */
typedef struct reco__weighing {
    _Atomic float damp; /* max(sum by days, 1) ^ -popularity_power */
    _Atomic float hours, days;
    float unused;
} reco__weighing;

typedef struct reco__popularity_chunk {
    reco__weighing weighing[RECO__CHUNK_ITEMS];
    atomic_int_fast64_t sums[2][RECO__CHUNK_ITEMS]; /* by hours, by days */
    uint64_t dirty[RECO__CHUNK_ITEMS / 64];         /* the refresher's: weighing is to be made anew */
} reco__popularity_chunk;

#define RECO__WITHHELD_MOST 64u

/* The best of a moment. FROZEN, counted. */
typedef struct reco__popular_list {
    atomic_uint_fast32_t holders;
    double per_hour, per_day; /* popularity of an item, 0 to 1: hours x per_hour + days x per_day */
    int64_t end[2];           /* newest generation of each window */
    int64_t moment;           /* ms: where the windows end */
    uint32_t item_count;      /* numbers below have sums */
    size_t count;             /* of `best` */
    bool complete;            /* `best` has all there are */
    size_t withheld_count;    /* at most RECO__WITHHELD_MOST */
    struct reco__popular_item {
        uint32_t item;
        int64_t score;
    } * best;          /* best first, by popularity in micro-units */
    uint32_t withheld[RECO__WITHHELD_MOST]; /* the best of what was not available: it may be by the next question, or at the moment that asks about */
} reco__popular_list;

typedef struct reco__popularity reco__popularity; /* one refresher at a time, any number of readers */

reco_status reco__popularity_create(reco__popularity **out, const reco__settings *settings, const reco_board_rules *rules, reco__features *features,
                                    reco_error *err);
void reco__popularity_free(reco__popularity *popularity);
uint64_t reco__popularity_bytes(const reco__popularity *popularity);

/* Brings the sums up to date and publishes a new list, without what is not available at `now_ms`. `moment`: where the windows end; 0: the newest
 * learned clock. STALE when features have another epoch than `epoch`. After a failure the old list stands. */
reco_status reco__popularity_refresh(reco__popularity *popularity, reco__catalogue *catalogue, uint64_t epoch, uint32_t partitions, int64_t moment,
                                     int64_t now_ms, const reco_call *call, reco_error *err);

/* The list of now; NULL before the first refresh. To be given back. */
reco__popular_list *reco__popularity_hold(reco__popularity *popularity);
void reco__popularity_release(reco__popular_list *list);

/* Exact sums over a span of generations, for windows that are not kept: `sums` (of `room` items) is added to. */
reco_status reco__popularity_sum(int64_t *sums, uint32_t room, reco__features *features, uint32_t board, int64_t first, int64_t last,
                                 const reco_call *call, reco_error *err);

/* Whether the window by hours (RECO_BOARD_HOURS), or by days, that ends at `moment` reaches back to sums that are not kept any more, when the clock
 * that closes is at `clock`. What is older than `begun` never was. */
bool reco__popularity_gone(const reco__settings *settings, const reco_board_rules *rules, uint32_t board, int64_t moment, int64_t begun,
                           int64_t clock);

struct reco__popularity {
    const reco__settings *settings;
    const reco_board_rules *rules;
    reco__features *features;
    uint32_t chunk_count;
    _Atomic(reco__popularity_chunk *) *chunks;
    struct reco__popular_window *windows; /* two */
    atomic_uint_fast64_t bytes;
    uint64_t signature;      /* of the positions and moment that the sums are of */
    uint64_t list_signature; /* of what the list was made from */
    bool valid;              /* false: sums are to be made from nothing */
    uint32_t item_count;
    pthread_mutex_t lock; /* of `list` */
    reco__popular_list *list;
};

static inline reco__popularity_chunk *reco__popularity_chunk_of(const reco__popularity *popularity, uint32_t item) {
    uint32_t chunk = item >> RECO__CHUNK_BITS;
    return chunk < popularity->chunk_count ? atomic_load_explicit(&popularity->chunks[chunk], memory_order_acquire) : NULL;
}

static inline int64_t reco__popularity_of(const reco__popularity *popularity, unsigned window, uint32_t item) {
    const reco__popularity_chunk *chunk = reco__popularity_chunk_of(popularity, item);
    return chunk ? atomic_load_explicit(&chunk->sums[window][item % RECO__CHUNK_ITEMS], memory_order_relaxed) : 0;
}

#endif
