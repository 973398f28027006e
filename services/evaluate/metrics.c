#include "evaluate/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/options.h"

#define NAME(symbol, name) name,
const char *const evaluate_metric_names[EVALUATE_METRIC_COUNT] = {EVALUATE_METRICS(NAME)};
#undef NAME

const evaluate_together evaluate_togethers[EVALUATE_TOGETHER_COUNT] = {{"coverage@10", offsetof(evaluate_metrics, coverage)},
                                                                       {"novelty@10", offsetof(evaluate_metrics, novelty)},
                                                                       {"diversity@10", offsetof(evaluate_metrics, diversity)},
                                                                       {"gini@10", offsetof(evaluate_metrics, gini)}};

unsigned evaluate_metric_find(const char *name) {
    unsigned at = 0;
    while (at < EVALUATE_METRIC_COUNT && strcmp(evaluate_metric_names[at], name) != 0)
        at++;
    return at;
}

/* --- of one question ------------------------------------------------------------------------------------------------------------------------ */

typedef struct hits {
    unsigned count, first;  /* first: rank, 0 when there is none */
    double gain, precision; /* sums of 1/log2(r + 1), and of (hits up to r) / r */
} hits;

static double discount(unsigned rank) { return 1 / log2(rank + 1.0); }

static double ideal_gain(size_t places) {
    double sum = 0;
    for (unsigned rank = 1; rank <= places; rank++)
        sum += discount(rank);
    return sum;
}

static void put_cut(double *ndcg, double *recall, double *hr, double *mrr, double *map, const hits *found, size_t targets, unsigned cut) {
    size_t best = targets < cut ? targets : cut;
    *ndcg = found->gain / ideal_gain(best);
    *recall = (double)found->count / (double)targets;
    *hr = found->count > 0;
    *mrr = found->first > 0 ? 1.0 / found->first : 0;
    *map = found->precision / (double)best;
}

/* All of one question's values; returns the rank of its first hit among the first EVALUATE_RANKS. */
static unsigned judge(evaluate_metrics *m, size_t at, const evaluate_data *data, const uint32_t *list, uint32_t length) {
    evaluate_range range = data->questions[at].targets;
    size_t targets = range.end - range.begin;
    hits found = {0}, ten = {0};
    for (unsigned rank = 1; rank <= EVALUATE_RANKS; rank++) {
        if (rank <= length && evaluate_among(data->targets, range, list[rank - 1])) {
            found.count++;
            found.first = found.first ? found.first : rank;
            found.gain += discount(rank);
            found.precision += (double)found.count / rank;
        }
        if (rank == 10)
            ten = found;
    }
    double *v[EVALUATE_METRIC_COUNT];
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++)
        v[i] = &m->values[i][at];
    put_cut(v[EVALUATE_NDCG10], v[EVALUATE_RECALL10], v[EVALUATE_HR10], v[EVALUATE_MRR10], v[EVALUATE_MAP10], &ten, targets, 10);
    put_cut(v[EVALUATE_NDCG20], v[EVALUATE_RECALL20], v[EVALUATE_HR20], v[EVALUATE_MRR20], v[EVALUATE_MAP20], &found, targets, 20);
    return found.first;
}

/* --- of all lists --------------------------------------------------------------------------------------------------------------------------- */

static size_t both(const evaluate_data *data, evaluate_range a, evaluate_range b) {
    size_t count = 0;
    while (a.begin < a.end && b.begin < b.end) {
        uint32_t left = data->fan_users[a.begin], right = data->fan_users[b.begin];
        count += left == right;
        a.begin += left <= right;
        b.begin += right <= left;
    }
    return count;
}

static double distance(const evaluate_data *data, uint32_t a, uint32_t b) {
    evaluate_range left = data->fans[a], right = data->fans[b];
    double size = (double)(left.end - left.begin) * (double)(right.end - right.begin);
    return 1 - (double)both(data, left, right) / sqrt(size);
}

/* Mean over the pairs of a list. */
static double spread(const evaluate_data *data, const uint32_t *list, uint32_t length) {
    double sum = 0;
    for (uint32_t i = 0; i < length; i++)
        for (uint32_t k = i + 1; k < length; k++)
            sum += distance(data, list[i], list[k]);
    return sum / ((double)length * (length - 1) / 2);
}

static double rarity(const evaluate_data *data, uint32_t item) {
    return -log2((double)(data->fans[item].end - data->fans[item].begin) / data->users.count);
}

static reco_status judge_shares(evaluate_metrics *m, const evaluate_data *data, reco_error *err) {
    size_t count = data->items.count, covered = 0;
    double sum = 0, weighted = 0;
    uint32_t *sizes = malloc(count * sizeof *sizes);
    if (!sizes)
        return options_no_memory(err);
    memcpy(sizes, m->shown, count * sizeof *sizes);
    qsort(sizes, count, sizeof *sizes, evaluate_by_number);
    for (size_t i = 0; i < count; i++) {
        covered += sizes[i] > 0;
        sum += sizes[i];
        weighted += (2.0 * (double)(i + 1) - (double)count - 1) * sizes[i];
    }
    free(sizes);
    m->coverage = (double)covered / (double)count;
    m->gini = sum > 0 ? weighted / ((double)count * sum) : 0;
    return RECO_OK;
}

/* The first places, but for items of others that nothing is known of. */
static uint32_t known_of(uint32_t list[EVALUATE_TOP], const evaluate_data *data, const evaluate_lists *lists, size_t q) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < EVALUATE_TOP && i < lists->counts[q]; i++)
        if (evaluate_list(lists, q)[i] < data->items.count)
            list[count++] = evaluate_list(lists, q)[i];
    return count;
}

static reco_status judge_together(evaluate_metrics *m, const evaluate_data *data, const evaluate_lists *lists, reco_error *err) {
    double rarities = 0, spreads = 0;
    size_t places = 0, spread_lists = 0;
    for (size_t q = 0; q < m->count; q++) {
        uint32_t list[EVALUATE_TOP], length = known_of(list, data, lists, q);
        for (uint32_t i = 0; i < length; i++) {
            rarities += rarity(data, list[i]);
            m->shown[list[i]]++;
        }
        places += length;
        if (length > 1) {
            spreads += spread(data, list, length);
            spread_lists++;
        }
    }
    m->novelty = places ? rarities / (double)places : 0;
    m->diversity = spread_lists ? spreads / (double)spread_lists : 0;
    return judge_shares(m, data, err);
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------------------ */

reco_status evaluate_metrics_make(evaluate_metrics *out, const evaluate_data *data, const evaluate_lists *lists, reco_error *err) {
    *out = (evaluate_metrics){.count = data->question_count};
    out->shown = calloc(data->items.count, sizeof *out->shown);
    if (!out->shown)
        return options_no_memory(err);
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++)
        if (!(out->values[i] = calloc(out->count, sizeof **out->values)))
            return options_no_memory(err);
    for (size_t q = 0; q < out->count; q++)
        out->first_hits[judge(out, q, data, evaluate_list(lists, q), lists->counts[q])]++;
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++) {
        double sum = 0;
        for (size_t q = 0; q < out->count; q++)
            sum += out->values[i][q];
        out->means[i] = sum / (double)out->count;
    }
    return judge_together(out, data, lists, err);
}

void evaluate_metrics_dispose(evaluate_metrics *metrics) {
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++)
        free(metrics->values[i]);
    free(metrics->shown);
    *metrics = (evaluate_metrics){0};
}
