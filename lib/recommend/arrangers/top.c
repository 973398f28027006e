/* recommend/arrangers/top.c - the best, in order: by score, then by the hash of the name, then by the name.
 *
 * A candidate is scored only when its value says that it can still be among the best (see rankers/hybrid.c); `least` is the smallest mark that can.
 */
#include "recommend/internal.h"

static uint32_t least_mark(const reco_candidates *c, int64_t worst) {
    double needed = (double)worst - c->popular_scale - 2;

    if (needed <= 0 || c->coview_scale <= 0) {
        return 0;
    }
    needed /= c->coview_scale;
    return needed < RECO__VALUE_MOST ? (uint32_t)needed << RECO__MARK_FLAGS : (uint32_t)RECO__VALUE_MOST << RECO__MARK_FLAGS;
}

/* Whether a candidate that could win may, and was on no page before. */
static reco_status admits(bool *fine, reco_candidates *c, size_t place, const reco_call *call, reco_error *err) {
    reco_status status = reco__candidate_fits(fine, c, place, call, err);

    if (status == RECO_OK && *fine && reco__item_shown(c, c->items[place])) {
        c->values[place] |= RECO__MARK_DROPPED; /* still FITS: see reco__mark_shown */
        *fine = false;
    }
    return status;
}

/* Takes part of a question's selection, while the best are looked for. */
typedef struct selecting {
    reco_candidates *c;
    reco__top *top;
    bool asks; /* what could win is asked about */
    const reco_call *call;
    reco_error *err;
} selecting;

static reco_status offer(const selecting *s, size_t place, int64_t score) {
    reco_candidates *c = s->c;
    bool fine = !reco__top_full(s->top) || score >= s->top->entries[0].score;
    reco_status status = fine && s->asks ? admits(&fine, c, place, s->call, s->err) : RECO_OK;

    if (status == RECO_OK && fine) {
        reco__top_offer(s->top, score, c->items[place], (uint32_t)place);
    }
    return status;
}

static reco_status offer_value(const selecting *s, size_t place) {
    reco__winner parts;

    if (s->c->values[place] & RECO__MARK_DROPPED) {
        return RECO_OK;
    }
    reco__hybrid_parts(&parts, s->c, s->c->items[place], s->c->values[place]);
    return offer(s, place, parts.coview + parts.popular + parts.revisit);
}

/* What the session has can be among the best whatever its value; it is offered first. */
static reco_status select_by_value(const selecting *s) {
    reco_candidates *c = s->c;
    reco_status status = RECO_OK;
    uint32_t places[RECO__AHEAD], least = 0;
    size_t from = 0, count;

    for (size_t i = 0; i < c->count && c->revisited && status == RECO_OK; i++) {
        if (c->values[i] & RECO__MARK_REVISIT) {
            status = offer_value(s, i);
        }
    }
    do {
        count = reco__candidates_ahead(places, c, &from, least);
        for (size_t i = 0; i < count && status == RECO_OK; i++) {
            uint32_t value = c->values[places[i]];
            if (value >= least && !(value & RECO__MARK_REVISIT)) {
                status = offer_value(s, places[i]);
                least = reco__top_full(s->top) ? least_mark(c, s->top->entries[0].score) : 0;
            }
        }
    } while (count > 0 && status == RECO_OK);
    return status;
}

static reco_status select_by_score(const selecting *s) {
    reco_status status = RECO_OK;

    for (size_t i = 0; i < s->c->count && status == RECO_OK; i++) {
        if (!(s->c->values[i] & RECO__MARK_DROPPED)) {
            status = offer(s, i, s->c->scores[i]);
        }
    }
    return status;
}

/* Popularity may have moved on since candidates were compared: the parts are taken once, here, and the score is their sum. */
static void take_winners(reco_candidates *c, reco__top *top) {
    for (size_t i = 0; i < top->count; i++) {
        reco__ranked *ranked = &top->entries[i];
        reco__winner *winner = &c->winners[i];
        *winner = (reco__winner){.item = ranked->item, .place = ranked->place, .value = c->values[ranked->place]};
        reco__hybrid_parts(winner, c, winner->item, winner->value);
        winner->score = winner->coview + winner->popular + winner->revisit;
    }
    for (size_t g = 0; g < c->given_count; g++) {
        for (size_t i = 0; i < top->count; i++) {
            if (c->winners[i].place == c->given[g].place) {
                c->winners[i].given += c->given[g].score;
                c->winners[i].score += c->given[g].score;
            }
        }
    }
    c->winner_count = top->count;
}

static void reorder(reco_candidates *c, reco__top *top) {
    bool moved = false;

    for (size_t i = 0; i < top->count; i++) {
        moved |= top->entries[i].score != c->winners[i].score;
    }
    if (!moved) {
        return;
    }
    reco__top again = {.entries = top->entries, .limit = top->count, .features = c->features};
    memcpy(c->winners_before, c->winners, c->winner_count * sizeof(*c->winners));
    for (size_t i = 0; i < c->winner_count; i++) {
        reco__top_offer(&again, c->winners_before[i].score, c->winners_before[i].item, (uint32_t)i);
    }
    reco__top_sort(&again);
    for (size_t i = 0; i < c->winner_count; i++) {
        c->winners[i] = c->winners_before[again.entries[i].place];
    }
}

reco_status reco__ask_about(bool *fine, reco_candidates *c, uint32_t item, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_UNAVAILABLE;

    if (reco__breaker_allows(c->records_breaker)) {
        reco_call own;
        status = reco__catalogue_learn(c->catalogue, item, reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
        reco__breaker_note(c->records_breaker, status, began);
    }
    if (status == RECO_OK) {
        reco__sieve_renumber(&c->sieve); /* its attributes may be the first of their names, its parent the first there is */
    }
    *fine = status == RECO_OK && (!c->settings->filter_availability || reco__catalogue_available(c->catalogue, item, c->moment));
    if (reco__store_trouble(status)) {
        c->degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    return status;
}

/* Asks about winners nobody knows yet; *again: one of them must not be recommended, or is a variant of what was on a page before. */
static reco_status ask_about_new(bool *again, reco_candidates *c, const reco__top *top, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    *again = false;
    for (size_t i = 0; i < top->count && status == RECO_OK; i++) {
        uint32_t item = top->entries[i].item, *value = &c->values[top->entries[i].place];
        bool fine;
        if (reco__catalogue_known(c->catalogue, item)) {
            continue;
        }
        status = reco__ask_about(&fine, c, item, call, err);
        if (status == RECO_OK && !fine) {
            *value = (*value & ~RECO__MARK_FITS) | RECO__MARK_DROPPED;
            c->filtered++;
        } else if (status == RECO_OK && reco__item_shown(c, item)) {
            *value |= RECO__MARK_DROPPED | RECO__MARK_FITS;
            fine = false;
        }
        *again = *again || (status == RECO_OK && !fine);
    }
    return status;
}

/* What is popular goes on when what it has left could be among the best. */
static reco_status extend(bool *again, reco_candidates *c, const reco__top *top, const reco_call *call, reco_error *err) {
    int64_t bound = c->plan->own ? -1 : reco__popular_bound(c);
    size_t added = 0;
    reco_status status = RECO_OK;

    if (bound >= 0 && (!reco__top_full(top) || top->entries[0].score < bound)) {
        status = reco__popular_extend(&added, c, top->limit, call, err);
    }
    *again = added > 0;
    return status;
}

/* The best `most`, sorted, into `ranked`; all of them may be in the answer. */
static reco_status select_best(reco__top *top, reco_candidates *c, size_t most, const reco_call *call, reco_error *err) {
    const selecting s = {.c = c, .top = top, .asks = c->sieve.asks || c->sieve.paged_count > 0, .call = call, .err = err};
    bool again = true;
    reco_status status = RECO_OK;

    while (status == RECO_OK && again) {
        status = reco__candidates_reserve_ranked(c, most, err);
        if (status != RECO_OK) {
            break;
        }
        *top = (reco__top){.entries = c->ranked, .limit = most, .features = c->features};
        status = c->plan->own ? select_by_score(&s) : select_by_value(&s);
        if (status == RECO_OK) {
            status = ask_about_new(&again, c, top, call, err);
        }
        if (status == RECO_OK && again && !c->plan->own) {
            status = reco__ranker_hybrid(c, call, err); /* the best may be among those that went */
        }
        if (status == RECO_OK && !again) {
            status = extend(&again, c, top, call, err);
        }
    }
    if (status == RECO_OK) {
        reco__top_sort(top);
    }
    return status;
}

reco_status reco__arranger_top(reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t limit = c->limit, seen_by_own = (size_t)c->limit * RECO__ARRANGE_TIMES, chosen = 0;
    reco__top top = {.limit = 0};
    bool whole = false;

    if (c->plan->own) {
        limit = seen_by_own > RECO__ARRANGE_LEAST ? seen_by_own : RECO__ARRANGE_LEAST;
    }
    reco_status status = reco__candidates_reserve_winners(c, limit, err);
    for (size_t most = limit + 1; status == RECO_OK && chosen < limit && !whole; most *= RECO__ARRANGE_TIMES) {
        status = select_best(&top, c, most, call, err);
        whole = top.count < most;
        if (status == RECO_OK) {
            status = reco__choose(&chosen, c, top.count, limit, whole, err);
        }
    }
    if (status == RECO_OK) {
        top.count = chosen;
        take_winners(c, &top);
        reorder(c, &top);
    }
    return status;
}

reco_status reco__look_further(size_t *chosen, bool *whole, reco_candidates *c, size_t most, const reco_call *call, reco_error *err) {
    reco__top top = {.limit = 0};
    reco_status status = select_best(&top, c, most + 1, call, err);

    *chosen = 0;
    *whole = top.count <= most;
    return status == RECO_OK ? reco__choose(chosen, c, top.count, most, *whole, err) : status;
}
