/* The histogram of reco bench: every value has its place, percentiles against sorting, merging, what is counted from a bound. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bench/histogram.h"
#include "support/support.h"

static bench_histogram *make(void) {
    bench_histogram *histogram = calloc(1, sizeof *histogram);
    ck_assert_ptr_nonnull(histogram);
    return histogram;
}

static void check_place(uint64_t value) {
    size_t place = bench_place(value);
    ck_assert_uint_lt(place, BENCH_PLACES);
    uint64_t begin = bench_place_begin(place);
    ck_assert(begin <= value);
    ck_assert(place + 1 == BENCH_PLACES || value < bench_place_begin(place + 1));
    if (value < 256)
        ck_assert_uint_eq(begin, value);
    else /* narrower than 1/128 of what is in it */
        ck_assert(value - begin < (begin + 127) / 128);
}

START_TEST(every_value_has_its_place)
{
    for (uint64_t value = 0; value < 100000; value++)
        check_place(value);
    for (unsigned bit = 17; bit < 64; bit++)
        for (int step = -3; step <= 3; step++)
            check_place((UINT64_C(1) << bit) + (uint64_t)step);
    check_place(UINT64_MAX);
    ck_assert_uint_eq(bench_place(UINT64_MAX), BENCH_PLACES - 1);
    for (size_t place = 0; place < BENCH_PLACES; place++)
        ck_assert_uint_eq(bench_place(bench_place_begin(place)), place);
}
END_TEST

static int by_value(const void *a, const void *b) {
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* The smallest of the values that at least `part` of them are not above. */
static uint64_t by_sorting(const uint64_t *sorted, size_t count, double part) {
    size_t wanted = (size_t)ceil(part * (double)count);
    return sorted[wanted > 0 ? wanted - 1 : 0];
}

static void compare(const bench_histogram *histogram, uint64_t *values, size_t count) {
    static const double parts[] = {0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1};
    double sum = 0;
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t exact = by_sorting(values, count, parts[i]), told = bench_histogram_at(histogram, parts[i]);
        ck_assert_msg(told >= exact && told - exact <= exact / 128, "part %g: %llu for %llu", parts[i], (unsigned long long)told,
                      (unsigned long long)exact);
        ck_assert(told <= values[count - 1]);
    }
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    ck_assert_uint_eq(histogram->count, count);
    ck_assert_uint_eq(histogram->least, values[0]);
    ck_assert_uint_eq(histogram->most, values[count - 1]);
    ck_assert_double_eq_tol(bench_histogram_mean(histogram), sum / (double)count, sum / (double)count * 1e-12 + 1e-12);
    uint64_t bound = bench_place_begin(bench_place(values[count / 3])), from = 0;
    for (size_t i = 0; i < count; i++)
        from += values[i] >= bound;
    ck_assert_uint_eq(bench_histogram_from(histogram, bound), from);
}

/* Values of all sizes: as many of 10 bits as of 40. */
START_TEST(percentiles_are_those_of_sorting)
{
    enum { COUNT = 20000 };
    uint64_t *values = calloc(COUNT, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (unsigned seed = 0; seed < 8; seed++) {
        reco__rand random;
        bench_histogram *histogram = make(), *halves[2] = {make(), make()};
        size_t count = seed < 2 ? seed + 1 : seed == 2 ? 100 : COUNT;
        reco__rand_seed(&random, seed);
        for (size_t i = 0; i < count; i++) {
            values[i] = reco__rand_next(&random) >> (reco__rand_next(&random) % 64);
            bench_histogram_add(histogram, values[i]);
            bench_histogram_add(halves[i % 2], values[i]);
        }
        bench_histogram_merge(halves[0], halves[1]);
        ck_assert_mem_eq(halves[0]->places, histogram->places, sizeof histogram->places);
        compare(histogram, values, count);
        compare(halves[0], values, count);
        free(histogram);
        free(halves[0]);
        free(halves[1]);
    }
    free(values);
}
END_TEST

START_TEST(nothing_and_next_to_nothing)
{
    bench_histogram *none = make(), *one = make();
    ck_assert_uint_eq(bench_histogram_at(none, 0.99), 0);
    ck_assert_double_eq(bench_histogram_mean(none), 0);
    ck_assert_uint_eq(bench_histogram_from(none, 0), 0);
    bench_histogram_add(one, 7);
    bench_histogram_merge(one, none);
    ck_assert_uint_eq(one->count, 1);
    ck_assert_uint_eq(one->least, 7);
    bench_histogram_merge(none, one);
    ck_assert_uint_eq(none->least, 7);
    ck_assert_uint_eq(bench_histogram_at(none, 0.5), 7);
    free(none);
    free(one);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bench_histogram");
    TCase *tests = tcase_create("bench_histogram");
    tcase_add_test(tests, every_value_has_its_place);
    tcase_add_test(tests, percentiles_are_those_of_sorting);
    tcase_add_test(tests, nothing_and_next_to_nothing);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
