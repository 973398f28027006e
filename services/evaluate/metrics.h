/* evaluate/metrics.h - how good lists are. Nothing is sampled: every item of the training part could have been in every list.
 *
 * Of a question with the hidden items T and a list, hits being the items of T in it:
 *
 *     ndcg@k    sum over the hits at rank r <= k of 1/log2(r + 1), divided by that sum when the first min(|T|, k) places are hits
 *     recall@k  hits among the first k / |T|
 *     hr@k      1 when there is a hit among the first k
 *     mrr@k     1 / rank of the first hit among the first k, else 0
 *     map@k     sum over the hits at rank r <= k of (hits up to r) / r, divided by min(|T|, k)
 *
 * and of all lists together, of their first ten places:
 *
 *     coverage@10   items that are in any / items of the training part
 *     novelty@10    mean of -log2(share of the training part's users who have the item): how far from what everybody knows
 *                   (Castells, Hurley, Vargas: Novelty and Diversity in Recommender Systems, 2022)
 *     diversity@10  mean over the lists of the mean of 1 - cosine between two items of a list, items being sets of users
 *     gini@10       how unequally the places are shared among all items of the training part: 0 all alike, 1 all to one */
#ifndef EVALUATE_METRICS_H
#define EVALUATE_METRICS_H

#include "evaluate/data.h"
#include "evaluate/lists.h"

/* Those of single questions, in the order they are printed. */
#define EVALUATE_METRICS(X)                                                                                                                          \
    X(NDCG10, "ndcg@10")                                                                                                                             \
    X(NDCG20, "ndcg@20")                                                                                                                             \
    X(RECALL10, "recall@10")                                                                                                                         \
    X(RECALL20, "recall@20")                                                                                                                         \
    X(HR10, "hr@10")                                                                                                                                 \
    X(HR20, "hr@20")                                                                                                                                 \
    X(MRR10, "mrr@10")                                                                                                                               \
    X(MRR20, "mrr@20")                                                                                                                               \
    X(MAP10, "map@10")                                                                                                                               \
    X(MAP20, "map@20")

#define EVALUATE_ENUM(symbol, name) EVALUATE_##symbol,
enum { EVALUATE_METRICS(EVALUATE_ENUM) EVALUATE_METRIC_COUNT };
#undef EVALUATE_ENUM
#define EVALUATE_TOP 10u
#define EVALUATE_RANKS 20u

extern const char *const evaluate_metric_names[EVALUATE_METRIC_COUNT];
/* EVALUATE_METRIC_COUNT when no metric is called so. */
unsigned evaluate_metric_find(const char *name);

typedef struct evaluate_metrics {
    size_t count;                          /* of questions */
    double *values[EVALUATE_METRIC_COUNT]; /* by question */
    double means[EVALUATE_METRIC_COUNT];
    double coverage, novelty, diversity, gini;
    uint64_t first_hits[EVALUATE_RANKS + 1]; /* questions by the rank of their first hit; [0]: none */
    uint32_t *shown;                         /* by item: in how many lists it is among the first ten */
} evaluate_metrics;

/* Those of all lists together, in the order they are printed. */
#define EVALUATE_TOGETHER_COUNT 4u
typedef struct evaluate_together {
    const char *name;
    size_t at; /* of evaluate_metrics */
} evaluate_together;
extern const evaluate_together evaluate_togethers[EVALUATE_TOGETHER_COUNT];
static inline double evaluate_together_of(const evaluate_metrics *metrics, const evaluate_together *which) {
    return *(const double *)(const void *)((const char *)metrics + which->at);
}

/* NO_MEMORY. To be disposed of in any case. */
reco_status evaluate_metrics_make(evaluate_metrics *out, const evaluate_data *data, const evaluate_lists *lists, reco_error *err);
void evaluate_metrics_dispose(evaluate_metrics *metrics);

#endif
