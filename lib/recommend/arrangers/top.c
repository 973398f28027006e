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

static void offer_value(reco__top *top, const reco_candidates *c, size_t place) {
    reco__winner parts;

    if (c->values[place] & RECO__MARK_DROPPED) {
        return;
    }
    reco__hybrid_parts(&parts, c, c->items[place], c->values[place]);
    int64_t score = parts.coview + parts.popular + parts.revisit;
    if (!reco__top_full(top) || score >= top->entries[0].score) {
        reco__top_offer(top, score, c->items[place], (uint32_t)place);
    }
}

/* What the session has can be among the best whatever its value; it is offered first. */
static void select_by_value(reco__top *top, const reco_candidates *c) {
    uint32_t least = 0;

    for (size_t i = 0; i < c->count && c->revisited; i++) {
        if (c->values[i] & RECO__MARK_REVISIT) {
            offer_value(top, c, i);
        }
    }
    for (size_t i = reco__candidates_next(c->values, 0, c->count, least); i < c->count;
         i = reco__candidates_next(c->values, i + 1, c->count, least)) {
        if (!(c->values[i] & RECO__MARK_REVISIT)) {
            offer_value(top, c, i);
            least = reco__top_full(top) ? least_mark(c, top->entries[0].score) : 0;
        }
    }
}

static void select_by_score(reco__top *top, const reco_candidates *c) {
    for (size_t i = 0; i < c->count; i++) {
        if (!(c->values[i] & RECO__MARK_DROPPED)) {
            reco__top_offer(top, c->scores[i], c->items[i], (uint32_t)i);
        }
    }
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
    *fine = status == RECO_OK && reco__catalogue_available(c->catalogue, item, c->moment);
    if (reco__store_trouble(status)) {
        c->degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    return status;
}

/* Asks about winners; *again: one of them must not be recommended. */
static reco_status ask_about_new(bool *again, reco_candidates *c, const reco__top *top, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    *again = false;
    for (size_t i = 0; i < top->count && c->settings->filter_availability && status == RECO_OK; i++) {
        uint32_t item = top->entries[i].item;
        if (reco__catalogue_known(c->catalogue, item)) {
            continue;
        }
        bool fine;
        status = reco__ask_about(&fine, c, item, call, err);
        if (status == RECO_OK && !fine) {
            c->values[top->entries[i].place] |= RECO__MARK_DROPPED;
            c->filtered++;
            *again = true;
        }
    }
    return status;
}

reco_status reco__arranger_top(reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t limit = c->limit, seen_by_own = (size_t)c->limit * RECO__ARRANGE_TIMES;
    bool again = true;

    if (c->plan->own) {
        limit = seen_by_own > RECO__ARRANGE_LEAST ? seen_by_own : RECO__ARRANGE_LEAST;
    }
    reco_status status = reco__candidates_reserve_winners(c, limit, err);
    reco__top top = {.limit = limit, .features = c->features};
    while (status == RECO_OK && again) {
        top.entries = c->ranked;
        top.count = 0;
        if (c->plan->own) {
            select_by_score(&top, c);
        } else {
            select_by_value(&top, c);
        }
        status = ask_about_new(&again, c, &top, call, err);
    }
    if (status == RECO_OK) {
        reco__top_sort(&top);
        take_winners(c, &top);
        reorder(c, &top);
    }
    return status;
}
