#include "recommend/candidates.h"

bool reco__candidates_grow(void **array, size_t *room, size_t count, size_t size) {
    if (count <= *room) {
        return true;
    }
    size_t wanted = *room * 2 > count ? *room * 2 : count;
    void *grown = reco__realloc_array(*array, wanted, size);
    if (!grown) {
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

void reco__candidates_dispose(reco_candidates *c) {
    void *blocks[] = {
        c->recents, c->copies,           c->head_items,  c->lists,  c->trace_members, c->trace_values, c->marks,         c->items,
        c->values,  c->scores,           c->places,      c->given,  c->ranked,        c->winners,      c->asked_numbers, c->winners_before,
        c->shares,  c->shares_by_winner, c->share_begin, c->pieces, c->filter,        c->sums};

    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        reco__release(blocks[i]);
    }
    reco__sieve_dispose(&c->sieve);
    reco__cell_dispose(&c->cell);
    reco__person_dispose(&c->person);
    reco__buf_dispose(&c->heads);
    reco__buf_dispose(&c->scratch);
}

void reco__candidates_unmark(reco_candidates *c, size_t from) {
    for (size_t i = from; i < c->count; i++) {
        c->marks[c->items[i]] = 0;
    }
    c->count = from;
}

void reco__candidates_reset(reco_candidates *c) {
    if (!c->collected) {
        reco__candidates_unmark(c, 0);
    }
    c->collected = false;
    c->count = c->trace_count = c->given_count = c->winner_count = 0;
    c->list_count = c->recent_count = c->filtered = 0;
    c->degraded = 0;
    c->fallback = c->session_runs = c->revisited = c->popular_fills = c->popular_walked = c->more = false;
    c->popular_next = 0;
    c->running = 0;
    c->best_coview = c->coview_scale = c->popular_scale = 0;
    reco__cell_clear(&c->cell);
    reco__buf_reset(&c->heads);
}

reco_status reco__candidates_reserve_items(reco_candidates *c, size_t count, reco_error *err) {
    size_t room = c->item_room, wanted = room * 2 > count ? room * 2 : count;

    if (count <= room) {
        return RECO_OK;
    }
    uint32_t *items = reco__realloc_array(c->items, wanted, sizeof(*items));
    c->items = items ? items : c->items;
    uint32_t *values = items ? reco__realloc_array(c->values, wanted, sizeof(*values)) : NULL;
    c->values = values ? values : c->values;
    int64_t *scores = values && c->plan->own ? reco__realloc_array(c->scores, wanted, sizeof(*scores)) : NULL;
    c->scores = scores ? scores : c->scores;
    if (!values || (c->plan->own && !scores)) {
        return reco__no_memory(err);
    }
    c->item_room = wanted;
    return RECO_OK;
}

reco_status reco__candidates_reserve_marks(reco_candidates *c, uint32_t items, reco_error *err) {
    if (items <= c->mark_room) {
        return RECO_OK;
    }
    uint32_t *marks = reco__realloc_array(c->marks, items, sizeof(*marks));
    if (!marks) {
        return reco__no_memory(err);
    }
    memset(marks + c->mark_room, 0, (items - c->mark_room) * sizeof(*marks));
    c->marks = marks;
    c->mark_room = items;
    return RECO_OK;
}

reco_status reco__candidates_reserve_winners(reco_candidates *c, size_t count, reco_error *err) {
    if (count <= c->winner_room) {
        return RECO_OK;
    }
    reco__winner *winners = reco__realloc_array(c->winners, count, sizeof(*winners));
    c->winners = winners ? winners : c->winners;
    reco__winner *before = winners ? reco__realloc_array(c->winners_before, count, sizeof(*before)) : NULL;
    c->winners_before = before ? before : c->winners_before;
    uint32_t *begin = before ? reco__realloc_array(c->share_begin, count + 1, sizeof(*begin)) : NULL;
    c->share_begin = begin ? begin : c->share_begin;
    if (!begin) {
        return reco__no_memory(err);
    }
    c->winner_room = count;
    return RECO_OK;
}

reco_status reco__candidates_reserve_ranked(reco_candidates *c, size_t count, reco_error *err) {
    void *ranked = c->ranked;
    bool grown = reco__candidates_grow(&ranked, &c->ranked_room, count, sizeof(*c->ranked));

    c->ranked = ranked;
    return grown ? RECO_OK : reco__no_memory(err);
}

void reco__candidates_collect(reco_candidates *c) {
    uint32_t *marks = c->marks, *values = c->values;
    const uint32_t *items = c->items;

    for (size_t i = 0; i < c->count; i++) {
        uint32_t item = items[i], value = marks[item];
        values[i] = value & ~RECO__MARK_LISTED; /* which is RECO__MARK_FITS from here on */
        marks[item] = 0;
    }
    c->collected = true;
}

/* Of those whose signs, which are there by now, do not rule them out: first where traits are to be found, then these. */
static void expect_traits(const uint32_t *places, size_t count, const reco_candidates *c) {
    uint32_t items[RECO__AHEAD];
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t item = c->items[places[i]];
        if (!(c->values[places[i]] & RECO__MARK_FITS) && reco__sieve_may_hold(&c->sieve, reco__catalogue_sign(c->catalogue, item))) {
            __builtin_prefetch(reco__catalogue_traits_slot(c->catalogue, item));
            items[left++] = item;
        }
    }
    for (size_t i = 0; i < left; i++) {
        uintptr_t traits = (uintptr_t)reco__catalogue_traits(c->catalogue, items[i]); /* a number: there may be none */
        __builtin_prefetch((const void *)traits);
        __builtin_prefetch((const void *)(traits + 64)); /* harmless where there is none */
    }
}

size_t reco__candidates_ahead(uint32_t *places, const reco_candidates *c, size_t *from, uint32_t least) {
    size_t count = 0;

    for (; count < RECO__AHEAD; ++*from) {
        *from = reco__candidates_next(c->values, *from, c->count, least);
        if (*from == c->count) {
            break;
        }
        if (c->values[*from] & RECO__MARK_DROPPED && !reco__mark_shown(c->values[*from])) { /* while anything is good enough */
            continue;
        }
        uint32_t item = c->items[*from];
        const reco__popularity_chunk *chunk = reco__popularity_chunk_of(c->popularity, item);
        __builtin_prefetch(chunk ? &chunk->weighing[item % RECO__CHUNK_ITEMS] : NULL);
        if (c->sieve.condition_count > 0) {
            reco__catalogue_expect_sign(c->catalogue, item);
        }
        places[count++] = (uint32_t)*from;
    }
    if (c->sieve.condition_count > 0) {
        expect_traits(places, count, c);
    }
    return count;
}
