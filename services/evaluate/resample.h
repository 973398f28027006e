/* evaluate/resample.h - how sure means are: intervals and paired tests by resampling, the same for the same seed whatever the number of threads.
 *
 * Intervals: the bootstrap by percentiles (Efron, Tibshirani: An Introduction to the Bootstrap, 1993, ch. 13) over questions, 95 %. Paired test: two
 * lists of values for the same questions, whose differences have no direction when the two are equally good; so signs are flipped at random, and p is
 * the share of flips whose mean is at least as far from 0 (Smucker, Allan, Carterette: A Comparison of Statistical Significance Tests for Information
 * Retrieval Evaluation, CIKM 2007, sec. 3.3). Questions are taken as independent; those of one visit are not quite. */
#ifndef EVALUATE_RESAMPLE_H
#define EVALUATE_RESAMPLE_H

#include <reco/status.h>

typedef struct evaluate_interval {
    double low, high;
} evaluate_interval;

typedef struct evaluate_resampling {
    uint64_t seed;
    uint32_t resamples;
    unsigned threads;
    const reco_call *call; /* resampling is cancelled by it, and not told */
} evaluate_resampling;

/* Of the means of `column_count` columns of `count` values each; the same questions are drawn for all columns. */
reco_status evaluate_bootstrap(evaluate_interval *out, double *const *columns, size_t column_count, size_t count, const evaluate_resampling *how,
                               reco_error *err);

typedef struct evaluate_difference {
    double mean; /* of b - a */
    evaluate_interval interval;
    double p;
    size_t better, worse; /* questions in which b has more, or less */
} evaluate_difference;
reco_status evaluate_paired(evaluate_difference *out, const double *a, const double *b, size_t count, const evaluate_resampling *how,
                            reco_error *err);

/* For qsort: doubles, ascending. */
int evaluate_by_value(const void *a, const void *b);

/* A stream of numbers for a seed (SplitMix64: Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). */
static inline uint64_t evaluate_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static inline size_t evaluate_random_below(uint64_t *state, size_t bound) {
    __extension__ typedef unsigned __int128 wide;
    return (size_t)((wide)evaluate_random(state) * bound >> 64);
}

#endif
