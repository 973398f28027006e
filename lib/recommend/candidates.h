/* recommend/candidates.h - one question on its way to an answer: who asks, what they touched, and the candidates in columns.
 *
 * A candidate is an item number in `items`; its place there is its index in every column. While sources run, what is known of an item lies in
 * `marks`, a dense array by item number, so that adding to a candidate needs no look-up: three flags, and above them the co-view value, a fixed-point
 * number of 29 bits whose unit is chosen per question. A mark that is 0 says that the item is no candidate; the end of collecting leaves all marks 0,
 * so nothing is ever cleared but what was touched. Collecting moves the marks into the column `values`.
 *
 * Values are integers, so that their sum does not depend on the order of additions, and the share of each recent item in it is exact. */
#ifndef RECO__CANDIDATES_H
#define RECO__CANDIDATES_H

#include "learn/learn.h"
#include "recommend/breaker.h"
#include "recommend/catalogue.h"
#include "recommend/person.h"
#include "recommend/plan.h"
#include "recommend/popularity.h"
#include "recommend/sieve.h"
#include "recommend/top.h"

#define RECO__MARK_LISTED 1u
#define RECO__MARK_DROPPED 2u
#define RECO__MARK_FITS 1u /* in the column `values`: what the question says of items holds for it; else nobody has looked, or it is dropped */
#define RECO__MARK_REVISIT 4u
#define RECO__MARK_FLAGS 3u /* bits below the value */
/* Dropped, though it fits: it was on a page before. What scores are measured by still counts it. */
static inline bool reco__mark_shown(uint32_t value) {
    return (value & (RECO__MARK_DROPPED | RECO__MARK_FITS)) == (RECO__MARK_DROPPED | RECO__MARK_FITS);
}
#define RECO__VALUE_MOST 536870000.0 /* what all values together stay below, < 2^29 */

/* What a question is for. */
enum { RECO__ASK_USER, RECO__ASK_RANK, RECO__ASK_SIMILAR, RECO__ASK_POPULAR };

#define RECO__ARRANGE_LEAST 100u /* how many candidates an application's arranger sees at least */
#define RECO__ARRANGE_TIMES 4u   /* and in terms of the limit */
#define RECO__REASONS_MOST 10u
#define RECO__AHEAD 16u          /* candidates whose memory is on its way at once */
#define RECO__FILTER_SLOTS 4096u /* a power of two */

/* A recent item that counts as a source. */
typedef struct reco__recent {
    uint32_t item;
    int32_t weight;
    int64_t t;
    bool session;
    reco_str name; /* while reasons are made */
    bool copied;   /* the name is the answer's */
} reco__recent;

/* A packed list of a head in `heads`. */
typedef struct reco__list {
    const uint8_t *at, *end;
    uint64_t factor; /* value of one unit of sum, times 2^28 */
    uint32_t count;
    uint32_t source; /* which recent */
    uint32_t trace;  /* where its entries stand in the trace */
} reco__list;

/* What an own stage added to the score of a candidate. */
typedef struct reco__given {
    uint32_t place, stage;
    uint32_t because; /* item, or RECO_NO_ITEM */
    int64_t score;
} reco__given;

/* A candidate that was chosen. */
typedef struct reco__winner {
    uint32_t item, place, value; /* value as in the column, flags included */
    int64_t coview, popular, revisit, given;
    int64_t score; /* their sum */
} reco__winner;

/* What a winner owes to a recent item. */
typedef struct reco__share {
    uint32_t winner, source, value;
} reco__share;

/* A head as it lies in `heads`. */
typedef struct reco__head_copy {
    size_t open_at, open_size, closed_at, closed_size;
    uint32_t open_count, closed_count;
    int64_t open_sum, closed_sum;
    bool found;
} reco__head_copy;

/* CONFINED. Pooled: arrays grow and stay. */
struct reco_candidates {
    struct reco_candidates *next; /* in the pool */
    struct reco__note *note;      /* of a question that is to be explained (note.h); else NULL */

    /* what stays for a whole engine */
    const reco__settings *settings;
    const reco__learn_rules *rules;
    reco__plan *plan;
    reco__features *features;
    reco__breaker *features_breaker, *records_breaker;
    reco__rand rand;

    /* the question */
    uint32_t question;       /* RECO__ASK_... */
    reco_str user, scenario; /* user: empty for a session alone, and for SIMILAR */
    const reco_event *session;
    size_t session_count;
    const reco_str *asked; /* RANK: the candidates, SIMILAR: what they are to be similar to */
    size_t asked_count;
    uint32_t *asked_numbers; /* RECO_NO_ITEM: nothing was learned of it */
    size_t asked_room;
    int64_t moment; /* as_of, or now */
    bool as_of;     /* it was given */
    bool reasons;
    uint32_t limit;
    uint64_t seed;
    reco__catalogue *catalogue;
    reco__popularity *popularity;
    reco__popular_list *popular;
    reco__sieve sieve;

    /* the user */
    uint32_t partition;
    const reco__past *past; /* NULL: what was learned up to now */
    reco__person person;
    uint64_t epoch;
    reco__cell cell; /* of all ids; empty when there is none, or it has expired */
    reco__recent *recents;
    uint32_t recent_count, recent_room;
    bool session_runs;
    bool revisited; /* some candidates are marked REVISIT */

    /* the co-view source's */
    reco__buf heads;
    reco__head_copy *copies;
    uint32_t *head_items;
    reco__list *lists;
    uint32_t list_count, copy_room;
    uint32_t *trace_members, *trace_values; /* what each entry added to which item, list after list */
    size_t trace_count, trace_room;
    reco_status heads_status;

    /* candidates */
    uint32_t *marks; /* by item number */
    uint32_t mark_room;
    uint32_t *items;
    size_t count, item_room;
    bool collected;
    uint32_t *values; /* after collecting; as long as item_room */
    int64_t *scores;  /* with own stages: after the ranker; as long as item_room */
    uint32_t *places; /* with own sources: place by item number, to be checked against items */
    uint32_t place_room;

    /* ranking */
    double best_coview;   /* largest value x damp among those not dropped */
    double coview_scale;  /* micro-units per value x damp */
    double popular_scale; /* micro-units of the most popular */
    bool fallback;
    uint32_t degraded; /* RECO_DEGRADED_... */
    bool timed;        /* how long each stage takes is looked at */
    uint32_t filtered;
    bool popular_fills;   /* what is popular goes on where the source has stopped, when the answer would be short */
    size_t popular_next;  /* of the list */
    int64_t popular_rest; /* most that items beyond the list, and beyond the last walk over all, can have, in micro-units */
    bool popular_walked;  /* over all there are, to the end */
    bool more;            /* there may be more after this answer */

    /* own stages */
    uint32_t running; /* kind of the one that runs; 0: none */
    uint32_t running_index;
    reco__given *given;
    size_t given_count, given_room;

    /* the answer */
    reco__ranked *ranked;
    size_t ranked_room;
    reco__winner *winners, *winners_before;
    size_t winner_count, winner_room;
    reco__share *shares, *shares_by_winner;
    size_t share_room;
    uint32_t *share_begin;
    struct reco__piece *pieces;
    size_t piece_room;
    uint8_t *filter; /* RECO__FILTER_SLOTS, all 0 between uses */
    int64_t *sums;   /* popular: of windows that are not kept; all 0 between uses */
    uint32_t sum_room;
    reco__buf scratch;
};

void reco__candidates_dispose(reco_candidates *c);
/* Ready for another question; marks are cleared. */
void reco__candidates_reset(reco_candidates *c);

/* Room for so many; NO_MEMORY. */
reco_status reco__candidates_reserve_items(reco_candidates *c, size_t count, reco_error *err);
reco_status reco__candidates_reserve_marks(reco_candidates *c, uint32_t items, reco_error *err);
reco_status reco__candidates_reserve_winners(reco_candidates *c, size_t count, reco_error *err);
reco_status reco__candidates_reserve_ranked(reco_candidates *c, size_t count, reco_error *err);
/* Grows an array to hold `count` elements; old content is kept. */
bool reco__candidates_grow(void **array, size_t *room, size_t count, size_t size);
/* Takes the marks off everything that is listed from `from` on. */
void reco__candidates_unmark(reco_candidates *c, size_t from);
/* Moves the marks into `values`. */
void reco__candidates_collect(reco_candidates *c);

/* Makes an item a candidate, or finds it one already. Room was reserved; before collecting only. */
static inline void reco__candidates_list(reco_candidates *c, uint32_t item, uint32_t flags) {
    uint32_t mark = c->marks[item];
    c->items[c->count] = item;
    c->count += mark == 0;
    c->marks[item] = mark | RECO__MARK_LISTED | flags;
}

/* Four values at a time. */
typedef uint32_t reco__four __attribute__((vector_size(16)));

/* The first place from `from` on whose value is at least `least`; `count` when there is none. Most are not, so eight are looked at together. */
static inline size_t reco__candidates_next(const uint32_t *values, size_t from, size_t count, uint32_t least) {
    const reco__four bound = {least, least, least, least};
    reco__four a, b;
    uint64_t found[2];

    for (; from + 8 <= count; from += 8) {
        memcpy(&a, values + from, sizeof(a));
        memcpy(&b, values + from + 4, sizeof(b));
        reco__four either = (reco__four)(a >= bound) | (reco__four)(b >= bound);
        memcpy(found, &either, sizeof(found));
        if (found[0] | found[1]) {
            break;
        }
    }
    while (from < count && values[from] < least) {
        from++;
    }
    return from;
}

/* False for what came only after the past that is asked about. */
static inline bool reco__was_there(const reco_candidates *c, uint32_t item) { return !c->past || c->past->had(c->past->context, item); }

/* The parts of a candidate's score, in micro-units. */
void reco__hybrid_parts(reco__winner *parts, const reco_candidates *c, uint32_t item, uint32_t value);

/* ask.c: which of the user's touches count as sources. */
reco_status reco__recents_choose(reco_candidates *c, reco_error *err);

/* arrangers/top.c: asks records about an item nobody has asked about yet; *fine: it may be recommended. While records do not answer it may not, and
 * the answer is degraded. */
reco_status reco__ask_about(bool *fine, reco_candidates *c, uint32_t item, const reco_call *call, reco_error *err);

/* filters/selection.c: whether an item may be in the answer by what the question says of items. Records are asked about one that nobody knows. What
 * does not fit is counted. */
reco_status reco__item_fits(bool *fine, reco_candidates *c, uint32_t item, const reco_call *call, reco_error *err);
/* The same of a place in the columns, once; what does not fit is dropped. */
reco_status reco__candidate_fits(bool *fine, reco_candidates *c, size_t place, const reco_call *call, reco_error *err);
/* Drops what the signs of traits (traits.h) say does not fit, after collecting. */
void reco__candidates_sift(reco_candidates *c);
/* The next RECO__AHEAD places, at most, from *from on whose value is at least `least` and that are not dropped, but for having been shown; how many.
 * What ranking and conditions will want to know of them lies anywhere in memory: it is asked for here, for all of them at once, so that the waits
 * overlap. */
size_t reco__candidates_ahead(uint32_t *places, const reco_candidates *c, size_t *from, uint32_t least);
/* Whether it was on a page before; counted. */
bool reco__item_shown(reco_candidates *c, uint32_t item);
/* Drops all that does not fit, for stages of the application; but not what records were not asked about yet. */
reco_status reco__filter_selection(reco_candidates *c, const reco_call *call, reco_error *err);
/* Of the `count` in `ranked`, which are sorted, moves those to its front that caps and variants let stand together, `limit` at most. `whole`: there
 * are no others than these. c->more: some were left over that may be on a page that follows. */
reco_status reco__choose(size_t *chosen, reco_candidates *c, size_t count, size_t limit, bool whole, reco_error *err);
/* arrangers/top.c: the best that may be in an answer of `most`, after the plan has run: `chosen` of them stand first in c->ranked. *whole: there are
 * no others. */
reco_status reco__look_further(size_t *chosen, bool *whole, reco_candidates *c, size_t most, const reco_call *call, reco_error *err);
/* When there is more: notes an item of the answer for the cursor; then the cursor itself. */
struct reco__answer;
reco_status reco__note_shown(reco_candidates *c, uint32_t item, reco_error *err);
reco_status reco__make_next(struct reco__answer *answer, reco_candidates *c, reco_error *err);

/* sources/popular.c: makes up to `wanted` more popular items candidates, the best first; *added: how many. None: there are no more. */
reco_status reco__popular_extend(size_t *added, reco_candidates *c, size_t wanted, const reco_call *call, reco_error *err);
/* Popularity in micro-units; -1: nobody has looked at it in the windows, and it is never added. */
int64_t reco__popular_score(const reco_candidates *c, uint32_t item);
/* No item that could be added has a larger popular part of the score. */
int64_t reco__popular_bound(const reco_candidates *c);

/* Reasons of the winners into the answer's arena. */
reco_status reco__explain(reco_candidates *c, struct reco__answer *answer, reco_error *err);

#endif
