/* Time in and out, and the two sources of chance. */
#include "base/base.h"
#include "support/support.h"

static const struct {
    const char *text;
    int64_t ms; /* -1: refused */
} cases[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"2026-01-31T10:00:00.5+01:00", INT64_C(1769850000500)},
    {"2026-01-31T09:00:00Z", INT64_C(1769850000000)},
    {"2026-01-31t09:00:00z", INT64_C(1769850000000)},
    {"2026-01-31T03:30:00-05:30", INT64_C(1769850000000)},
    {"2026-01-31T09:00:00-00:00", INT64_C(1769850000000)},
    {"2026-01-31T09:00:00.123999999999999999999Z", INT64_C(1769850000123)},
    {"2000-02-29T12:00:00Z", INT64_C(951825600000)},
    {"2024-02-29T23:59:59Z", INT64_C(1709251199000)},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    {"1969-12-31T23:30:00-01:00", 1800000},
    {"1970-01-01T00:00:00+00:01", -1}, /* before 1970 */
    {"9999-12-31T23:59:59-00:01", -1}, /* after 9999 */
    {"2023-02-29T00:00:00Z", -1},
    {"2100-02-29T00:00:00Z", -1},
    {"2026-04-31T00:00:00Z", -1},
    {"2026-00-01T00:00:00Z", -1},
    {"2026-13-01T00:00:00Z", -1},
    {"2026-01-00T00:00:00Z", -1},
    {"2026-01-01T24:00:00Z", -1},
    {"2026-01-01T23:60:00Z", -1},
    {"2026-06-30T23:59:60Z", -1},
    {"2026-01-01T00:00:00", -1},
    {"2026-01-01T00:00:00.5", -1},
    {"2026-01-01T00:00:00.Z", -1},
    {"2026-01-01T00:00:00,5Z", -1},
    {"2026-01-01T00:00:00+24:00", -1},
    {"2026-01-01T00:00:00+01:60", -1},
    {"2026-01-01T00:00:00+0100", -1},
    {"2026-01-01T00:00:00+01", -1},
    {"2026-01-01T00:00:00Z ", -1},
    {" 2026-01-01T00:00:00Z", -1},
    {"2026-01-01 00:00:00Z", -1},
    {"2026-01-01T00:00Z", -1},
    {"2026-1-01T00:00:00Z", -1},
    {"2026-01-01", -1},
    {"20260101T000000Z", -1},
    {"-2026-01-01T00:00:00Z", -1},
    {"2026-01-01T00:00:0:Z", -1},
    {"1769850000000", -1},
    {"", -1},
};

START_TEST(times_are_parsed) {
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 42;
        bool parsed = reco__time_parse(cases[i].text, strlen(cases[i].text), &ms);
        ck_assert_msg(parsed == (cases[i].ms >= 0), "'%s'", cases[i].text);
        ck_assert_msg(ms == (parsed ? cases[i].ms : 42), "'%s' became %lld", cases[i].text, (long long)ms);
    }
}
END_TEST

START_TEST(a_cut_time_is_refused) {
    const char *text = "2026-01-31T10:00:00.5+01:00";
    int64_t ms;
    for (size_t size = 0; size < strlen(text); size++) {
        ck_assert(!reco__time_parse(text, size, &ms));
    }
}
END_TEST

START_TEST(times_are_written) {
    char out[32];

    reco__time_format(INT64_C(1769850000500), out);
    ck_assert_str_eq(out, "2026-01-31T09:00:00.500Z");
    reco__time_format(0, out);
    ck_assert_str_eq(out, "1970-01-01T00:00:00.000Z");
    reco__time_format(INT64_MAX, out);
    ck_assert_str_eq(out, "9999-12-31T23:59:59.999Z");
    reco__time_format(INT64_MIN, out);
    ck_assert_str_eq(out, "1970-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(every_day_comes_back) {
    char out[32];
    int64_t back;
    for (int64_t ms = 0; ms < INT64_C(253402300800000); ms += 86400000 - 1) { /* every day, ever earlier within it */
        reco__time_format(ms, out);
        if (strlen(out) != 24 || !reco__time_parse(out, 24, &back) || back != ms) {
            ck_abort_msg("%lld became %s", (long long)ms, out);
        }
    }
}
END_TEST

START_TEST(clocks_move) {
    int64_t before = reco__monotonic_ns();
    ck_assert(reco__now_ms() > INT64_C(1700000000000));
    ck_assert(reco__monotonic_ns() >= before);
}
END_TEST

/* The numbers are those of another implementation: generated data sets must be the same everywhere. */
START_TEST(seeded_numbers_never_change) {
    static const uint64_t seed_0[] = {UINT64_C(0x99ec5f36cb75f2b4), UINT64_C(0xbf6e1f784956452a), UINT64_C(0x1a5f849d4933e6e0)};
    static const uint64_t seed_42[] = {UINT64_C(0x15780b2e0c2ec716), UINT64_C(0x6104d9866d113a7e), UINT64_C(0xae17533239e499a1)};
    reco__rand a, b;

    reco__rand_seed(&a, 0);
    reco__rand_seed(&b, 42);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(reco__rand_next(&a), seed_0[i]);
        ck_assert_uint_eq(reco__rand_next(&b), seed_42[i]);
    }
}
END_TEST

START_TEST(bounded_numbers_are_fair) {
    enum { BOUND = 6, DRAWS = 60000 };
    int counts[BOUND] = {0};
    reco__rand rand;

    reco__rand_seed(&rand, 7);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t drawn = reco__rand_below(&rand, BOUND);
        if (drawn >= BOUND) {
            ck_abort_msg("%llu is out of bounds", (unsigned long long)drawn);
        }
        counts[drawn]++;
    }
    for (int i = 0; i < BOUND; i++) {
        ck_assert(counts[i] > DRAWS / BOUND - 400 && counts[i] < DRAWS / BOUND + 400);
    }
    for (int i = 0; i < 1000; i++) {
        double unit = reco__rand_unit(&rand);
        ck_assert(unit >= 0 && unit < 1);
        ck_assert_uint_eq(reco__rand_below(&rand, 1), 0);
        ck_assert_uint_lt(reco__rand_below(&rand, ((uint64_t)1 << 63) + 1), ((uint64_t)1 << 63) + 1);
    }
}
END_TEST

START_TEST(the_kernel_gives_chance) {
    uint8_t a[500] = {0}, b[500] = {0};
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__random_bytes(a, sizeof(a), &err), &err);
    test_ok(reco__random_bytes(b, sizeof(b), &err), &err);
    ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
    test_ok(reco__random_bytes(NULL, 0, &err), &err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base time");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, times_are_parsed);
    tcase_add_test(tests, a_cut_time_is_refused);
    tcase_add_test(tests, times_are_written);
    tcase_add_test(tests, every_day_comes_back);
    tcase_add_test(tests, clocks_move);
    tcase_add_test(tests, seeded_numbers_never_change);
    tcase_add_test(tests, bounded_numbers_are_fair);
    tcase_add_test(tests, the_kernel_gives_chance);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
