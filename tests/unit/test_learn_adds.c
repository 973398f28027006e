/* The additions of a batch: whatever was put comes out once, sorted and summed. */
#include <stdlib.h>

#include "learn/learn.h"
#include "support/support.h"

typedef struct put {
    uint32_t board;
    int64_t generation;
    uint32_t item, member;
    int64_t delta;
} put;

static reco__rand chance;

static int compare(const void *a, const void *b) {
    const put *x = a, *y = b;
    if (x->board != y->board)
        return x->board < y->board ? -1 : 1;
    if (x->generation != y->generation)
        return x->generation < y->generation ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->member < y->member ? -1 : x->member > y->member;
}

/* The plain way: sort the puts, sum equal neighbours, leave zeros out. Returns how many are left. */
static size_t plain_sums(put *puts, size_t count) {
    size_t left = 0;
    qsort(puts, count, sizeof *puts, compare);
    for (size_t i = 0; i < count;) {
        put sum = puts[i];
        while (++i < count && compare(&puts[i], &sum) == 0)
            sum.delta += puts[i].delta;
        if (sum.delta != 0)
            puts[left++] = sum;
    }
    return left;
}

/* Takes one group off the front of `expected`; false when it is not there. Counts its rows. */
static bool take_group(const reco_add_group *group, const put *expected, size_t count, size_t *rows) {
    if (group->count == 0 || group->count > count || group->flags != 0)
        return false;
    for (size_t i = 0; i < group->count; i++) {
        const reco_add *add = &group->adds[i];
        const put got = {group->board, group->generation, add->item, add->member, add->delta};
        if (compare(&got, &expected[i]) != 0 || got.delta != expected[i].delta)
            return false;
        *rows += got.board == RECO_BOARD_COVIEW && (i == 0 || add->item != expected[i - 1].item);
    }
    return true;
}

static void assert_sums(reco__adds *adds, const put *expected, size_t count) {
    const reco_add_group *groups;
    size_t group_count, rows, at = 0, expected_rows = 0;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__adds_finish(&groups, &group_count, &rows, adds, &err), &err);
    for (size_t g = 0; g < group_count; at += groups[g++].count) {
        ck_assert(take_group(&groups[g], expected + at, count - at, &expected_rows));
        const reco_add_group *before = &groups[g > 0 ? g - 1 : 0], *group = &groups[g];
        ck_assert(g == 0 || before->board < group->board || (before->board == group->board && before->generation < group->generation));
    }
    ck_assert_uint_eq(at, count);
    ck_assert_uint_eq(rows, expected_rows);
}

static void random_round(reco__adds *adds, size_t count, unsigned item_bits, unsigned member_bits, uint64_t generations) {
    put *puts = malloc((count + 1) * sizeof *puts);
    size_t refused = 0;
    ck_assert_ptr_nonnull(puts);
    for (size_t i = 0; i < count; i++) {
        put *p = &puts[i];
        p->board = (uint32_t)reco__rand_below(&chance, RECO_BOARD_COUNT);
        p->generation = (int64_t)reco__rand_below(&chance, generations) - 2;
        p->item = p->board == RECO_BOARD_COVIEW && item_bits > 0 ? (uint32_t)(reco__rand_next(&chance) >> (64 - item_bits)) : 0;
        p->member = member_bits > 0 ? (uint32_t)(reco__rand_next(&chance) >> (64 - member_bits)) : 0;
        p->delta = (int64_t)reco__rand_below(&chance, 5) - 2;
        refused += reco__adds_put(adds, p->board, p->generation, p->item, p->member, p->delta) != RECO_OK;
    }
    ck_assert_uint_eq(refused, 0);
    assert_sums(adds, puts, plain_sums(puts, count));
    free(puts);
}

START_TEST(random_batches_sum_as_the_plain_way) {
    static const size_t counts[] = {0, 1, 2, 3, 48, 49, 200, 3000, 20000, 60000};
    static const unsigned bits[] = {0, 1, 5, 11, 16, 20, 32};
    reco__adds *adds = reco__adds_create();
    reco__rand_seed(&chance, 1);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int round = 0; round < 12; round++) {
            unsigned items = bits[reco__rand_below(&chance, 7)], members = bits[reco__rand_below(&chance, 7)];
            reco__adds_reset(adds);
            random_round(adds, counts[c], items, members, round % 4 == 0 ? 1 : round % 4 == 3 ? 3000 : 4);
        }
    reco__adds_free(adds);
}
END_TEST

START_TEST(nothing_gives_no_groups) {
    reco__adds *adds = reco__adds_create();
    assert_sums(adds, NULL, 0);
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_COVIEW, 1, 2, 3, 0));
    assert_sums(adds, NULL, 0);
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_COVIEW, 1, 2, 3, 4));
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_COVIEW, 1, 2, 3, -4));
    assert_sums(adds, NULL, 0);
    reco__adds_free(adds);
    reco__adds_free(NULL);
}
END_TEST

START_TEST(finish_twice_says_the_same_and_a_put_begins_anew) {
    const put first[] = {{RECO_BOARD_HOURS, 5, 0, 9, 2}, {RECO_BOARD_COVIEW, 1, 2, 3, 4}}, second = {RECO_BOARD_DAYS, 1, 0, 1, 1};
    reco__adds *adds = reco__adds_create();
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_COVIEW, 1, 2, 3, 4));
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_HOURS, 5, 0, 9, 2));
    assert_sums(adds, first, 2);
    assert_sums(adds, first, 2);
    test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_DAYS, 1, 0, 1, 1));
    assert_sums(adds, &second, 1);
    reco__adds_reset(adds);
    assert_sums(adds, NULL, 0);
    reco__adds_free(adds);
}
END_TEST

START_TEST(an_unknown_board_is_refused) {
    reco__adds *adds = reco__adds_create();
    test_status(RECO_INVALID, reco__adds_put(adds, RECO_BOARD_COUNT, 1, 0, 3, 1));
    assert_sums(adds, NULL, 0);
    reco__adds_free(adds);
}
END_TEST

static reco_status some_puts(void *context, reco_error *err) {
    const reco_add_group *groups;
    size_t count, rows;
    (void)context;
    reco__adds *adds = reco__adds_create();
    reco_status status = adds ? RECO_OK : reco__no_memory(err);
    for (uint32_t i = 0; i < 10000 && status == RECO_OK; i++)
        if (reco__adds_put(adds, i % 3, i % 100, i % 3 == 2 ? i % 7 : 0, i % 11, 1) != RECO_OK)
            status = reco__no_memory(err);
    if (status == RECO_OK)
        status = reco__adds_finish(&groups, &count, &rows, adds, err);
    reco__adds_free(adds);
    return status;
}

START_TEST(every_allocation_may_fail) {
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(some_puts, NULL, false), 10);
    test_memory_restore();
}
END_TEST

/* After a failure, reset gives a good accumulator again. */
START_TEST(reset_heals_a_failed_put) {
    const put expected = {RECO_BOARD_COVIEW, 77, 5, 6, 7};
    for (uint64_t nth = 1; nth < 12; nth++) {
        test_memory_install();
        reco__adds *adds = reco__adds_create();
        test_memory_fail(nth, false);
        for (uint32_t i = 0; i < 9000; i++)
            if (reco__adds_put(adds, 2, i % 40, i, i, 1) != RECO_OK)
                break;
        test_memory_fail(0, false);
        reco__adds_reset(adds);
        test_status(RECO_OK, reco__adds_put(adds, RECO_BOARD_COVIEW, 77, 5, 6, 7));
        assert_sums(adds, &expected, 1);
        reco__adds_free(adds);
        ck_assert_int_eq(test_memory_live(), 0);
        test_memory_restore();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn: adds");
    TCase *tests = tcase_create("adds");
    tcase_add_test(tests, random_batches_sum_as_the_plain_way);
    tcase_add_test(tests, nothing_gives_no_groups);
    tcase_add_test(tests, finish_twice_says_the_same_and_a_put_begins_anew);
    tcase_add_test(tests, an_unknown_board_is_refused);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, reset_heals_a_failed_put);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
