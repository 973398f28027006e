/* recommend/rankers/hybrid.c - the score of a candidate.
 *
 *     weight_coview x coview / best coview  +  weight_popular x popularity  +  revisit / place in the session          in micro-units
 *
 * coview: its value times max(popularity by days, 1) ^ -popularity_power; the best one is that of the candidates that were not dropped. popularity: 1
 * for the most popular item there is. When nothing personal is left, popularity is all and weighs 1: the fallback.
 *
 * Without stages of the application nobody needs the score of every candidate: here only the best co-view is found, and the arranger scores those
 * that can still be among the best. Damping only ever lowers, so the undamped value is a bound, and most candidates are passed over without looking
 * at their popularity.
 */
#include "recommend/candidates.h"

static const reco__weighing nothing_known = {.damp = 1.0f};

static inline const reco__weighing *weighing_of(const reco_candidates *c, uint32_t item) {
    const reco__popularity_chunk *chunk = reco__popularity_chunk_of(c->popularity, item);
    return chunk ? &chunk->weighing[item % RECO__CHUNK_ITEMS] : &nothing_known;
}

static inline double load(const _Atomic float *value) { return (double)atomic_load_explicit(value, memory_order_relaxed); }

static int64_t revisit_of(const reco_candidates *c, uint32_t item) {
    for (uint32_t k = 0; k < c->recent_count; k++) {
        if (c->recents[k].item == item) {
            return (int64_t)(c->settings->revisit * RECO_SCORE_UNIT / (double)(k + 1) + 0.5);
        }
    }
    return 0;
}

void reco__hybrid_parts(reco__winner *parts, const reco_candidates *c, uint32_t item, uint32_t value) {
    const reco__weighing *weighing = weighing_of(c, item);
    double popularity = load(&weighing->hours) * c->popular->per_hour + load(&weighing->days) * c->popular->per_day;

    popularity = popularity < 1 ? popularity : 1;
    parts->coview = (int64_t)((double)(value >> RECO__MARK_FLAGS) * load(&weighing->damp) * c->coview_scale + 0.5);
    parts->popular = (int64_t)(popularity * c->popular_scale + 0.5);
    parts->revisit = value & RECO__MARK_REVISIT ? revisit_of(c, item) : 0;
}

static double damped(const reco_candidates *c, size_t place) {
    return (double)(c->values[place] >> RECO__MARK_FLAGS) * load(&weighing_of(c, c->items[place])->damp);
}

/* The largest value x damp of those that may be in the answer, or were on a page before: all pages are measured alike. Values below its integer part
 * cannot be better, and only what is better is asked about. */
static reco_status find_best(reco_candidates *c, const reco_call *call, reco_error *err) {
    double best = 0;
    uint32_t places[RECO__AHEAD], least = 1u << RECO__MARK_FLAGS;
    size_t from = 0, count;
    reco_status status = RECO_OK;

    do {
        count = reco__candidates_ahead(places, c, &from, least);
        for (size_t i = 0; i < count && status == RECO_OK; i++) {
            double value = damped(c, places[i]);
            bool fine = value > best;
            if (fine && c->sieve.asks && !reco__mark_shown(c->values[places[i]])) {
                status = reco__candidate_fits(&fine, c, places[i], call, err);
            }
            if (fine) {
                best = value;
                least = best >= 1 ? (uint32_t)best << RECO__MARK_FLAGS : least;
            }
        }
    } while (count > 0 && status == RECO_OK);
    c->best_coview = best;
    return status;
}

/* Whether something is left that the session has. */
static reco_status revisits_left(bool *left, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    *left = false;
    for (size_t i = 0; i < c->count && c->revisited && !*left && status == RECO_OK; i++) {
        if (c->values[i] & RECO__MARK_REVISIT) {
            *left = reco__mark_shown(c->values[i]);
            status = *left ? RECO_OK : reco__candidate_fits(left, c, i, call, err);
        }
    }
    return status;
}

static void score_all(reco_candidates *c) {
    for (size_t i = 0; i < c->count; i++) {
        reco__winner parts;
        reco__hybrid_parts(&parts, c, c->items[i], c->values[i]);
        c->scores[i] = parts.coview + parts.popular + parts.revisit;
    }
    for (size_t g = 0; g < c->given_count; g++) {
        c->scores[c->given[g].place] += c->given[g].score;
    }
}

/* Whether something an own source gave a score to is left. */
static bool gifts_left(const reco_candidates *c) {
    for (size_t g = 0; g < c->given_count; g++) {
        if (!(c->values[c->given[g].place] & RECO__MARK_DROPPED)) {
            return true;
        }
    }
    return false;
}

reco_status reco__ranker_hybrid(reco_candidates *c, const reco_call *call, reco_error *err) {
    bool similar = c->question == RECO__ASK_SIMILAR, revisits = false; /* popularity has no say in what is similar */
    reco_status status = find_best(c, call, err);

    if (status == RECO_OK && c->best_coview <= 0) {
        status = revisits_left(&revisits, c, call, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    c->fallback = !similar && c->best_coview <= 0 && !revisits && !gifts_left(c);
    c->coview_scale = c->best_coview > 0 ? c->settings->weight_coview * RECO_SCORE_UNIT / c->best_coview : 0;
    c->popular_scale = (c->fallback ? 1 : similar ? 0 : c->settings->weight_popular) * RECO_SCORE_UNIT;
    if (c->plan->own) {
        score_all(c);
    }
    return RECO_OK;
}
