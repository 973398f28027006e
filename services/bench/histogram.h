/* bench/histogram.h - how often which value came, in constant room: an integer histogram that is linear within each power of two and logarithmic over
 * them, as HdrHistogram has it (Gil Tene, 2012).
 *
 * Values below 256 have a place each; above, every power of two has 128 places, so that a place is narrower than 1/128 of the values in it. Every
 * uint64_t has a place: nothing is clamped, and counts of several histograms add up to that of all values together. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_FINE 128u
#define BENCH_PLACES (BENCH_FINE * 58u) /* 256 values below 2^8, and 56 powers of two */

/* CONFINED. Zeroed, it is empty. */
typedef struct bench_histogram {
    uint64_t count, least, most; /* least and most as they came, not by place; count 0: neither is known */
    double sum;
    uint64_t places[BENCH_PLACES];
} bench_histogram;

void bench_histogram_add(bench_histogram *histogram, uint64_t value);
void bench_histogram_merge(bench_histogram *into, const bench_histogram *from);

/* The value that at least `part` (0 to 1) of all are not above: the largest that could have come of its place, so at most 1/128 more than the one
 * that came; never above `most`. 0 when it is empty. */
uint64_t bench_histogram_at(const bench_histogram *histogram, double part);
/* How many are at least `value`, which is to be the beginning of a place (else those of its whole place count). */
uint64_t bench_histogram_from(const bench_histogram *histogram, uint64_t value);
double bench_histogram_mean(const bench_histogram *histogram);

/* The place of a value, and the least value of a place. */
size_t bench_place(uint64_t value);
uint64_t bench_place_begin(size_t place);

#endif
