/* recommend/sources/popular.c - what is popular at the moment, the best first, without what the user has had: it fills answers that are short and is
 * all there is for people nobody knows.
 *
 * The source lists a few hundred. When the question asks for certain items only, that may be too few: then the arranger has it go on, along the list
 * of the most popular and, when that ends, over all items there are. Where stages of the application are to see all candidates, the source itself
 * looks for as many as fit. */
#include "recommend/candidates.h"

#define LOOK 4096u /* items between two looks at the clock; a chunk has a multiple of it */
#define AHEAD 16u  /* places of the list */

/* What the list was made without, for not being available then, and is now. */
static void list_withheld(reco_candidates *c, const reco__popular_list *list) {
    for (size_t i = 0; i < list->withheld_count; i++) {
        uint32_t item = list->withheld[i];
        if (c->marks[item] != RECO__MARK_DROPPED && reco__catalogue_available(c->catalogue, item, c->moment) && reco__was_there(c, item)) {
            reco__candidates_list(c, item, 0);
        }
    }
}

/* Those of a cell are few; they are marked for the time of a walk, and the marks of candidates are left alone. */
static void mark_item(reco_candidates *c, uint32_t item, bool on) {
    uint32_t from = on ? 0 : RECO__MARK_DROPPED, to = on ? RECO__MARK_DROPPED : 0;

    if (item < c->mark_room && c->marks[item] == from) {
        c->marks[item] = to;
    }
}

/* What the filters would drop anyway is not to use up the places. */
static void mark_known(reco_candidates *c, bool on) {
    for (uint32_t i = 0; i < c->cell.touch_count && c->settings->filter_seen; i++) {
        mark_item(c, c->cell.touches[i].item, on);
    }
    for (uint32_t i = 0; i < c->cell.hidden_count; i++) {
        mark_item(c, c->cell.hidden[i], on);
    }
}

/* Once collected, candidates have no marks; they get them back for the time of a walk. */
static void mark_candidates(reco_candidates *c, bool on) {
    for (size_t i = 0; i < c->count && c->collected; i++) {
        c->marks[c->items[i]] = on ? RECO__MARK_LISTED : 0;
    }
}

static void add(reco_candidates *c, uint32_t item) {
    if (c->collected) {
        c->values[c->count] = RECO__MARK_FITS;
        c->items[c->count++] = item;
        c->marks[item] = RECO__MARK_LISTED;
    } else {
        reco__candidates_list(c, item, 0);
    }
}

/* Whether an item that is no candidate yet may be one. */
static reco_status admits(bool *fine, reco_candidates *c, uint32_t item, const reco_call *call, reco_error *err) {
    *fine = reco__was_there(c, item) && (!c->settings->filter_availability || reco__catalogue_available(c->catalogue, item, c->moment));
    reco_status status = *fine ? reco__item_fits(fine, c, item, call, err) : RECO_OK;
    *fine = *fine && !reco__item_shown(c, item);
    return status;
}

static reco_status extend_along(size_t *added, reco_candidates *c, size_t wanted, const reco_call *call, reco_error *err) {
    const reco__popular_list *list = c->popular;
    reco_status status = RECO_OK;

    for (; c->popular_next < list->count && *added < wanted && status == RECO_OK; c->popular_next++) {
        uint32_t item = list->best[c->popular_next].item;
        bool fine = false;
        if (c->popular_next + AHEAD < list->count) {
            __builtin_prefetch(&c->marks[list->best[c->popular_next + AHEAD].item]);
            reco__catalogue_expect_sign(c->catalogue, list->best[c->popular_next + AHEAD].item);
        }
        if (c->marks[item] == 0) {
            status = admits(&fine, c, item, call, err);
        }
        if (status == RECO_OK && fine) {
            add(c, item);
            ++*added;
        }
    }
    return status;
}

int64_t reco__popular_score(const reco_candidates *c, uint32_t item) {
    const reco__popularity_chunk *chunk = reco__popularity_chunk_of(c->popularity, item);
    const reco__weighing *weighing = chunk ? &chunk->weighing[item % RECO__CHUNK_ITEMS] : NULL;

    if (!weighing) {
        return -1;
    }
    double value = (double)atomic_load_explicit(&weighing->hours, memory_order_relaxed) * c->popular->per_hour +
                   (double)atomic_load_explicit(&weighing->days, memory_order_relaxed) * c->popular->per_day;
    return value > 0 ? (int64_t)(value * RECO_SCORE_UNIT + 0.5) : -1;
}

/* Past the deadline what was found will do. */
static reco_status look_at_clock(bool *over, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__call_check(call, &error);

    *over = status == RECO_TIMEOUT;
    c->degraded |= *over ? RECO_DEGRADED_DEADLINE : 0;
    if (status != RECO_OK && !*over && err) {
        *err = error;
    }
    return *over ? RECO_OK : status;
}

/* The first of [item, end), all of one chunk, that signs do not rule out; `end`: none. */
static uint32_t next_that_may(const reco_candidates *c, uint32_t item, uint32_t end) {
    const reco__catalogue_details *details = reco__catalogue_details_of(c->catalogue, item);
    const uint64_t signs = c->sieve.signs;
    uint32_t known = (uint32_t)atomic_load_explicit(&c->catalogue->known_below, memory_order_acquire); /* records may have more to say of others */
    uint32_t to = !c->sieve.signed_ ? item : known < end ? known : end;

    if (!details) {
        return item < to ? to : item;
    }
    for (; item < to; item++) {
        uint64_t sign = atomic_load_explicit(&details->signs[item % RECO__CHUNK_ITEMS], memory_order_relaxed);
        if ((sign & signs) == signs && reco__sieve_may_hold(&c->sieve, sign)) {
            break;
        }
    }
    return item;
}

/* Offers those of [from, end) that are no candidates yet. */
static reco_status look_through(reco__top *top, reco_candidates *c, uint32_t from, uint32_t end, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    for (uint32_t item = next_that_may(c, from, end); item < end && status == RECO_OK; item = next_that_may(c, item + 1, end)) {
        int64_t score = c->marks[item] == 0 ? reco__popular_score(c, item) : -1;
        bool fine = false;
        if (score >= 0 && !(reco__top_full(top) && score < top->entries[0].score)) {
            status = admits(&fine, c, item, call, err);
        }
        if (status == RECO_OK && fine) {
            reco__top_offer(top, score, item, 0);
        }
    }
    return status;
}

/* The best of all items that are no candidates yet. */
static reco_status extend_over_all(size_t *added, reco_candidates *c, size_t wanted, const reco_call *call, reco_error *err) {
    reco_status status = reco__candidates_reserve_ranked(c, wanted, err);
    reco__top top = {.entries = c->ranked, .limit = wanted, .features = c->features};
    bool over = false;

    for (uint32_t item = 0, all = c->popular->item_count; item < all && status == RECO_OK && !over; item += LOOK) {
        status = look_through(&top, c, item, all - item > LOOK ? item + LOOK : all, call, err);
        if (status == RECO_OK) {
            status = look_at_clock(&over, c, call, err);
        }
    }
    reco__top_sort(&top);
    for (size_t i = 0; i < top.count && status == RECO_OK; i++) {
        add(c, top.entries[i].item);
    }
    *added += top.count;
    c->popular_rest = top.count > 0 ? top.entries[top.count - 1].score : 0;
    c->popular_walked = over || top.count < wanted;
    return status;
}

reco_status reco__popular_extend(size_t *added, reco_candidates *c, size_t wanted, const reco_call *call, reco_error *err) {
    reco_status status = reco__candidates_reserve_items(c, c->count + wanted + 1, err);

    *added = 0;
    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, c->popular->item_count, err);
    }
    if (status != RECO_OK || !c->popular_fills) {
        return status;
    }
    mark_candidates(c, true);
    mark_known(c, true);
    status = extend_along(added, c, wanted, call, err);
    if (status == RECO_OK && *added == 0 && !c->popular->complete && !c->popular_walked) {
        status = extend_over_all(added, c, wanted, call, err);
    }
    mark_known(c, false);
    mark_candidates(c, false);
    return status;
}

int64_t reco__popular_bound(const reco_candidates *c) {
    const reco__popular_list *list = c->popular;

    if (!c->popular_fills || (c->popular_next >= list->count && (list->complete || c->popular_walked))) {
        return -1;
    }
    int64_t most = c->popular_next < list->count ? list->best[c->popular_next].score : c->popular_rest;
    return (int64_t)(((double)most + 0.5) / RECO_SCORE_UNIT * c->popular_scale + 0.5);
}

static reco_status list_fitting(reco_candidates *c, size_t wanted, const reco_call *call, reco_error *err) {
    size_t added, places = wanted * (c->sieve.collapse || c->sieve.cap_count > 0 ? RECO__ARRANGE_TIMES : 1);
    reco_status status = reco__popular_extend(&added, c, places, call, err);

    if (status == RECO_OK && added < places) {
        status = reco__popular_extend(&added, c, places - added, call, err);
    }
    return status;
}

reco_status reco__source_popular(reco_candidates *c, const reco_call *call, reco_error *err) {
    const reco__popular_list *list = c->popular;
    size_t wanted = c->settings->popular_candidates > c->limit ? c->settings->popular_candidates : c->limit;
    reco_status status = reco__candidates_reserve_items(c, c->count + wanted + list->withheld_count + 1, err);

    c->popular_fills = true;
    c->popular_rest = list->count > 0 ? list->best[list->count - 1].score : RECO_SCORE_UNIT;
    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, list->item_count, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    mark_known(c, true);
    list_withheld(c, list);
    mark_known(c, false);
    if (c->plan->own && (c->sieve.asks || c->sieve.collapse || c->sieve.cap_count > 0 || c->sieve.paged_count > 0)) {
        return list_fitting(c, wanted, call, err);
    }
    mark_known(c, true);
    for (; c->popular_next < list->count && wanted > 0; c->popular_next++) {
        uint32_t item = list->best[c->popular_next].item;
        if (c->marks[item] != RECO__MARK_DROPPED && reco__was_there(c, item)) {
            reco__candidates_list(c, item, 0);
            wanted--;
        }
    }
    mark_known(c, false);
    return RECO_OK;
}
