#include "bench/histogram.h"

#include <math.h>

/* A value of more than 8 bits keeps its first 8: those, of which the first is set, and how many were dropped make the place. */
size_t bench_place(uint64_t value) {
    if (value < 2 * BENCH_FINE)
        return (size_t)value;
    unsigned dropped = 56u - (unsigned)__builtin_clzll(value);
    return dropped * BENCH_FINE + (size_t)(value >> dropped);
}

uint64_t bench_place_begin(size_t place) {
    if (place < 2 * BENCH_FINE)
        return place;
    size_t dropped = place / BENCH_FINE - 1;
    return (uint64_t)(place - dropped * BENCH_FINE) << dropped;
}

void bench_histogram_add(bench_histogram *histogram, uint64_t value) {
    histogram->places[bench_place(value)]++;
    histogram->sum += (double)value;
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->most)
        histogram->most = value;
    histogram->count++;
}

void bench_histogram_merge(bench_histogram *into, const bench_histogram *from) {
    if (from->count == 0)
        return;
    for (size_t i = 0; i < BENCH_PLACES; i++)
        into->places[i] += from->places[i];
    if (into->count == 0 || from->least < into->least)
        into->least = from->least;
    if (from->most > into->most)
        into->most = from->most;
    into->count += from->count;
    into->sum += from->sum;
}

uint64_t bench_histogram_at(const bench_histogram *histogram, double part) {
    uint64_t wanted = (uint64_t)ceil(part * (double)histogram->count), below = 0;
    if (wanted >= histogram->count)
        return histogram->most;
    for (size_t i = 0; i < BENCH_PLACES; i++) {
        below += histogram->places[i];
        if (below >= wanted && below > 0) {
            uint64_t end = i + 1 < BENCH_PLACES ? bench_place_begin(i + 1) - 1 : UINT64_MAX;
            return end < histogram->most ? end : histogram->most;
        }
    }
    return histogram->most;
}

uint64_t bench_histogram_from(const bench_histogram *histogram, uint64_t value) {
    uint64_t count = 0;
    for (size_t i = bench_place(value); i < BENCH_PLACES; i++)
        count += histogram->places[i];
    return count;
}

double bench_histogram_mean(const bench_histogram *histogram) { return histogram->count ? histogram->sum / (double)histogram->count : 0; }
