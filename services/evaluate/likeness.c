#include "evaluate/likeness.h"

#include <math.h>
#include <string.h>

#include "http/options.h"

#define PERSISTENCE .9

const char *const evaluate_likeness_names[EVALUATE_LIKENESSES] = {"overlap", "rbo", "tau"};

typedef struct one {
    const uint32_t *items;
    uint32_t count;
} one;

static one list_of(const evaluate_lists *lists, size_t question) { return (one){evaluate_list(lists, question), lists->counts[question]}; }

/* Where an item stands, the count when it does not. */
static uint32_t rank_of(one list, uint32_t item) {
    uint32_t at = 0;
    while (at < list.count && list.items[at] != item)
        at++;
    return at;
}

/* Of which one has an item at least, as in all that follows. */
static double rbo(one a, one b) {
    uint32_t depth = a.count > b.count ? a.count : b.count, both = 0;
    double sum = 0, weight = 1;
    for (uint32_t d = 0; d < depth; d++) {
        both += d < a.count && rank_of(b, a.items[d]) <= d && rank_of(b, a.items[d]) < b.count;
        both += d < b.count && rank_of(a, b.items[d]) < d && rank_of(a, b.items[d]) < a.count;
        weight *= PERSISTENCE;
        sum += weight * both / (d + 1);
    }
    return weight * both / depth + (1 - PERSISTENCE) / PERSISTENCE * sum;
}

/* NAN when fewer than two items are in both. */
static double tau(one a, one b) {
    uint32_t ranks[EVALUATE_DEPTH_MAX], both = 0;
    int64_t balance = 0;
    for (uint32_t i = 0; i < a.count; i++) {
        uint32_t rank = rank_of(b, a.items[i]);
        if (rank == b.count)
            continue;
        for (uint32_t k = 0; k < both; k++)
            balance += ranks[k] < rank ? 1 : -1;
        ranks[both++] = rank;
    }
    return both > 1 ? (double)balance / ((double)both * (both - 1) / 2) : NAN;
}

static void judge(evaluate_likeness *out, size_t question, one a, one b) {
    uint32_t both = 0, longer = a.count > b.count ? a.count : b.count;
    double correlation = tau(a, b);
    for (uint32_t i = 0; i < a.count; i++)
        both += rank_of(b, a.items[i]) < b.count;
    out->questions[out->count] = question;
    out->values[EVALUATE_OVERLAP][out->count] = (double)both / longer;
    out->values[EVALUATE_RBO][out->count++] = rbo(a, b);
    if (!isnan(correlation))
        out->values[EVALUATE_TAU][out->ranked++] = correlation;
    out->identical += a.count == b.count && memcmp(a.items, b.items, a.count * sizeof *a.items) == 0;
    out->same_first += a.count > 0 && b.count > 0 && a.items[0] == b.items[0];
}

static void judge_all(evaluate_likeness *out, const evaluate_lists *first, const evaluate_lists *second) {
    for (size_t q = 0; q < first->count; q++) {
        one a = list_of(first, q), b = list_of(second, q);
        if (a.count == 0 || b.count == 0)
            out->unanswered[b.count > 0 ? EVALUATE_BY_FIRST : a.count > 0 ? EVALUATE_BY_SECOND : EVALUATE_BY_BOTH]++;
        if (a.count > 0 || b.count > 0)
            judge(out, q, a, b);
    }
}

/* --- places --------------------------------------------------------------------------------------------------------------------------------- */

static void count_places(evaluate_places *places, uint32_t side, const evaluate_lists *lists) {
    for (size_t q = 0; q < lists->count; q++)
        for (uint32_t i = 0; i < lists->counts[q]; i++)
            places[evaluate_list(lists, q)[i]].places[side]++;
}

static int64_t gain(const evaluate_places *of) { return (int64_t)of->places[1] - of->places[0]; }

static int by_gain(const void *a, const void *b) {
    const evaluate_places *x = a, *y = b;
    if (gain(x) != gain(y))
        return gain(x) > gain(y) ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static reco_status share(evaluate_likeness *out, const evaluate_lists *a, const evaluate_lists *b, uint32_t item_count, reco_error *err) {
    out->places = calloc((size_t)item_count + 1, sizeof *out->places);
    if (!out->places)
        return options_no_memory(err);
    count_places(out->places, 0, a);
    count_places(out->places, 1, b);
    for (uint32_t i = 0; i < item_count; i++) {
        out->places[i].item = i;
        out->items[0] += out->places[i].places[0] > 0;
        out->items[1] += out->places[i].places[1] > 0;
    }
    qsort(out->places, item_count, sizeof *out->places, by_gain);
    out->place_count = item_count;
    return RECO_OK;
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------------ */

static double mean(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return count > 0 ? sum / (double)count : NAN;
}

static reco_status resample(evaluate_likeness *out, const evaluate_resampling *how, reco_error *err) {
    reco_status status = RECO_OK;
    for (size_t i = 0; i < EVALUATE_LIKENESSES && status == RECO_OK; i++) {
        size_t count = i == EVALUATE_TAU ? out->ranked : out->count;
        out->means[i] = mean(out->values[i], count);
        if (count > 0)
            status = evaluate_bootstrap(&out->intervals[i], &out->values[i], 1, count, how, err);
    }
    return status;
}

reco_status evaluate_likeness_make(evaluate_likeness *out, const evaluate_lists *a, const evaluate_lists *b, uint32_t item_count,
                                   const evaluate_resampling *how, reco_error *err) {
    *out = (evaluate_likeness){.questions = malloc((a->count + 1) * sizeof *out->questions)};
    if (!out->questions)
        return options_no_memory(err);
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++) {
        out->values[i] = malloc((a->count + 1) * sizeof *out->values[i]);
        if (!out->values[i])
            return options_no_memory(err);
    }
    judge_all(out, a, b);
    reco_status status = share(out, a, b, item_count, err);
    return status == RECO_OK ? resample(out, how, err) : status;
}

void evaluate_likeness_dispose(evaluate_likeness *likeness) {
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++)
        free(likeness->values[i]);
    free(likeness->questions);
    free(likeness->places);
    *likeness = (evaluate_likeness){.count = 0};
}
