/* Boards: generations and clocks, the cut and its ties, merging, packed lists, the frame of heads. */
#include <stdlib.h>
#include <string.h>

#include "features/heads.h"
#include "features/varint.h"
#include "support/support.h"

static reco_board_rules rules;

static void small_rules(void) {
    memset(&rules, 0, sizeof rules);
    rules.struct_size = sizeof rules;
    rules.cut = 3;
    rules.head = 2;
    rules.lateness = 5;
    rules.skew = 3;
    for (int board = 0; board < (int)RECO_BOARD_COUNT; board++) {
        rules.length[board] = 10;
        rules.kept[board] = 3;
    }
    rules.weight[0] = 3;
    rules.weight[1] = 2;
    rules.weight[2] = 1;
}

/* --- generations ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(generations_divide_time)
{
    small_rules();
    const struct { int64_t t, generation; } cases[] = {{-1, 0}, {0, 0}, {9, 0}, {10, 1}, {INT64_MAX, INT64_MAX / 10}, {INT64_MIN, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(reco_board_generation(&rules, 0, cases[i].t), cases[i].generation);
    }
}
END_TEST

START_TEST(closed_means_end_and_slack_passed)
{
    small_rules();
    for (int64_t clock = -30; clock < 200; clock++) {
        int64_t oldest_open = reco_board_oldest_open(&rules, 2, clock);
        ck_assert_int_ge(oldest_open, 0);
        ck_assert_int_gt((oldest_open + 1) * 10 + 8, clock);          /* it is open */
        ck_assert(oldest_open == 0 || oldest_open * 10 + 8 <= clock); /* and the one before is not */
        ck_assert_int_eq(reco_board_newest_closed(&rules, 2, clock), oldest_open - 1);
    }
    ck_assert_int_eq(reco_board_newest_closed(&rules, 2, INT64_MIN), RECO_BOARD_NONE_CLOSED);
    ck_assert_int_eq(reco_board_newest_closed(&rules, 2, 17), RECO_BOARD_NONE_CLOSED);
    ck_assert_int_eq(reco_board_newest_closed(&rules, 2, 18), 0);
    ck_assert(!reco_board_expired(&rules, 2, 0, 2));
    ck_assert(reco_board_expired(&rules, 2, 0, 3));
    ck_assert(!reco_board_expired(&rules, 2, 0, RECO_BOARD_NONE_CLOSED));
}
END_TEST

/* --- order ---------------------------------------------------------------------------------------------------------------------------- */

/* Members in runs of 4 share a hash; then the larger number has the smaller name. */
static uint64_t fake_hash(void *context, uint32_t member) {
    (void)context;
    return (member / 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static int fake_compare(void *context, uint32_t a, uint32_t b) {
    (void)context;
    return a < b ? 1 : a > b ? -1 : 0;
}

static const reco_board_names fake_names = {NULL, fake_hash, fake_compare};

static int by_rank(const void *a, const void *b) {
    const reco_entry *x = a, *y = b;
    if (x->sum != y->sum) {
        return x->sum > y->sum ? -1 : 1;
    }
    uint64_t hx = fake_hash(NULL, x->member), hy = fake_hash(NULL, y->member);
    return hx != hy ? (hx < hy ? -1 : 1) : fake_compare(NULL, x->member, y->member);
}

static int by_member(const void *a, const void *b) { return ((const reco_entry *)a)->member < ((const reco_entry *)b)->member ? -1 : 1; }

static size_t random_entries(reco__rand *chance, reco_entry *entries, size_t most, int shuffled) {
    size_t count = reco__rand_below(chance, most + 1);
    uint32_t member = 0;
    uint64_t spread = 1 + reco__rand_below(chance, 30);
    for (size_t i = 0; i < count; i++) {
        member += 1 + (uint32_t)reco__rand_below(chance, 3);
        entries[i] = (reco_entry){member, 0, (int64_t)reco__rand_below(chance, spread) - 3};
    }
    for (size_t i = count; shuffled && i > 1; i--) {
        size_t j = reco__rand_below(chance, i);
        reco_entry t = entries[i - 1];
        entries[i - 1] = entries[j];
        entries[j] = t;
    }
    return count;
}

START_TEST(cut_keeps_the_first_of_the_ranking)
{
    enum { MOST = 400 };
    reco_entry entries[MOST], expected[MOST];
    reco__rand chance;
    reco__rand_seed(&chance, 7);
    for (int round = 0; round < 4000; round++) {
        size_t count = random_entries(&chance, entries, round % 10 ? 40 : MOST, round % 2), n = reco__rand_below(&chance, 50), want = 0;
        int positive = (int)reco__rand_below(&chance, 2);
        for (size_t i = 0; i < count; i++) {
            if (!positive || entries[i].sum > 0) {
                expected[want++] = entries[i];
            }
        }
        qsort(expected, want, sizeof expected[0], by_rank);
        want = want < n ? want : n;
        qsort(expected, want, sizeof expected[0], by_member);
        ck_assert_uint_eq(reco_board_cut(entries, count, n, positive, &fake_names), want);
        ck_assert_int_eq(want ? memcmp(entries, expected, want * sizeof entries[0]) : 0, 0);
    }
}
END_TEST

START_TEST(rank_sorts_by_sum_hash_name)
{
    enum { MOST = 300 };
    reco_entry entries[MOST], expected[MOST];
    reco__rand chance;
    reco__rand_seed(&chance, 8);
    for (int round = 0; round < 500; round++) {
        size_t count = random_entries(&chance, entries, MOST, 1);
        memcpy(expected, entries, count * sizeof entries[0]);
        qsort(expected, count, sizeof expected[0], by_rank);
        reco_board_rank(entries, count, &fake_names);
        ck_assert_int_eq(count ? memcmp(entries, expected, count * sizeof entries[0]) : 0, 0);
    }
}
END_TEST

START_TEST(merge_adds_weighted)
{
    const reco_entry a[] = {{1, 0, 5}, {3, 0, 6}, {9, 0, -4}}, b[] = {{0, 0, 1}, {3, 0, -2}, {9, 0, 2}, {10, 0, 7}};
    reco_entry out[7];
    const reco_entry plain[] = {{0, 0, 1}, {1, 0, 5}, {3, 0, 4}, {9, 0, -2}, {10, 0, 7}}, doubled[] = {{0, 0, 2}, {1, 0, 5}, {3, 0, 2}, {10, 0, 14}};
    ck_assert_uint_eq(reco_board_merge(out, a, 3, b, 4, 1), 5);
    ck_assert_int_eq(memcmp(out, plain, sizeof plain), 0);
    ck_assert_uint_eq(reco_board_merge(out, a, 3, b, 4, 2), 4); /* -4 + 2 x 2 is gone */
    ck_assert_int_eq(memcmp(out, doubled, sizeof doubled), 0);
    ck_assert_uint_eq(reco_board_merge(out, NULL, 0, b, 4, 0), 0);
}
END_TEST

/* --- packed --------------------------------------------------------------------------------------------------------------------------- */

START_TEST(packed_lists_read_back)
{
    const int64_t sums[] = {1, -1, 63, -64, 64, 8191, -8193, 1048575, -1048577, INT64_C(1) << 40, INT64_MAX, INT64_MIN};
    enum { COUNT = sizeof sums / sizeof sums[0] };
    reco_entry entries[COUNT], back[COUNT];
    uint8_t bytes[COUNT * RECO_PACKED_ENTRY_MAX];
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i] = (reco_entry){i * 0x01020304u, 0, sums[i]};
    }
    size_t size = reco_board_pack(bytes, entries, COUNT), count;
    ck_assert_uint_le(size, sizeof bytes);
    ck_assert_int_eq(reco_board_unpack(&count, back, COUNT, bytes, size), RECO_OK);
    ck_assert_uint_eq(count, COUNT);
    ck_assert_int_eq(memcmp(entries, back, sizeof entries), 0);
    ck_assert_int_eq(reco_board_unpack(&count, back, COUNT - 1, bytes, size), RECO_CORRUPT);
    for (size_t cut = 1; cut < 5; cut++) {
        ck_assert_int_eq(reco_board_unpack(&count, back, COUNT, bytes, size - cut), RECO_CORRUPT);
    }
    ck_assert_int_eq(reco_board_unpack(&count, back, COUNT, bytes, 0), RECO_OK);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(long_varints_are_refused)
{
    const uint8_t overlong[][14] = {{1, 0, 0, 0, 0x80, 0},
                                    {1, 0, 0, 0, 0x80, 0x80, 0},
                                    {1, 0, 0, 0, 0x80, 0x80, 0x80, 0},
                                    {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}};
    const size_t sizes[] = {6, 7, 8, 14};
    reco_entry out[4];
    size_t count;
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(reco_board_unpack(&count, out, 4, overlong[i], sizes[i]), RECO_CORRUPT);
    }
}
END_TEST

START_TEST(generations_read_back)
{
    const int64_t list[] = {0, 1, 5, 1000000, INT64_MAX};
    int64_t back[5];
    uint8_t bytes[50];
    size_t size = reco_generations_pack(bytes, list, 5), count;
    ck_assert_int_eq(reco_generations_unpack(&count, back, 5, bytes, size), RECO_OK);
    ck_assert_uint_eq(count, 5);
    ck_assert_int_eq(memcmp(list, back, sizeof list), 0);
    ck_assert_int_eq(reco_generations_unpack(&count, back, 4, bytes, size), RECO_CORRUPT);
    const uint8_t falling[] = {4, 1}, equal[] = {4, 0};
    ck_assert_int_eq(reco_generations_unpack(&count, back, 5, falling, 2), RECO_CORRUPT);
    ck_assert_int_eq(reco_generations_unpack(&count, back, 5, equal, 2), RECO_CORRUPT);
}
END_TEST

START_TEST(heads_read_back)
{
    const uint8_t lists[] = {4, 2, 1, 0, 0, 0, 9, 7, 0, 0, 0, 8, 8};
    reco_head head = {.closed_at = -1,
                      .open_sum = -77,
                      .closed_sum = INT64_MIN,
                      .open_count = 1,
                      .closed_count = 3,
                      .open = lists + 2,
                      .open_size = 5,
                      .closed = lists + 7,
                      .closed_size = 6,
                      .generations = lists,
                      .generations_size = 2,
                      .generation_count = 2},
              back;
    uint8_t bytes[128];
    size_t size = reco_head_write(bytes, sizeof bytes, &head);
    ck_assert_uint_gt(size, 0);
    ck_assert_uint_eq(reco_head_write(bytes, size - 1, &head), 0);
    ck_assert_uint_eq(reco_head_write(bytes, size, &head), size);
    ck_assert_int_eq(reco_head_read(&back, bytes, size), RECO_OK);
    ck_assert(back.closed_at == -1 && back.open_sum == -77 && back.closed_sum == INT64_MIN && back.open_count == 1 && back.closed_count == 3 &&
              back.generation_count == 2);
    ck_assert(back.open_size == 5 && memcmp(back.open, lists + 2, 5) == 0 && back.closed_size == 6 && memcmp(back.closed, lists + 7, 6) == 0);
    ck_assert(back.generations_size == 2 && memcmp(back.generations, lists, 2) == 0);
    for (size_t shorter = 0; shorter < size; shorter++) {
        ck_assert_int_eq(reco_head_read(&back, bytes, shorter), RECO_CORRUPT);
    }
    bytes[size] = 0;
    ck_assert_int_eq(reco_head_read(&back, bytes, size + 1), RECO_CORRUPT);
    bytes[0] = 2;
    ck_assert_int_eq(reco_head_read(&back, bytes, size), RECO_NEWER);
    bytes[0] = 0;
    ck_assert_int_eq(reco_head_read(&back, bytes, size), RECO_CORRUPT);
}
END_TEST

/* --- heads from rows ------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_head_is_recomputed_from_rows)
{
    small_rules();
    /* At number 4: generation 1 is expired; 2 (weight 1) and 4 (weight 3) are closed and cut to 3; 5 and 6 are open. */
    const reco_entry g1[] = {{0, 0, 99}}, g2[] = {{1, 0, 4}, {2, 0, 3}, {3, 0, 2}, {4, 0, 1}}, g4[] = {{2, 0, 1}, {5, 0, -2}},
                     g5[] = {{1, 0, 2}, {7, 0, 9}}, g6[] = {{1, 0, 3}, {7, 0, -20}, {8, 0, 4}};
    const reco__features_piece rows[] = {{1, g1, 1}, {2, g2, 4}, {4, g4, 2}, {5, g5, 2}, {6, g6, 3}};
    reco_error err = RECO_ERROR_INIT;
    reco__buf out = {0};
    reco_head head;
    reco_entry entries[4];
    int64_t generations[8];
    size_t count;
    test_ok(reco__features_recompute_head(&out, rows, 5, 4, &rules, &fake_names, &err), &err);
    ck_assert_int_eq(reco_head_read(&head, out.data, out.size), RECO_OK);
    ck_assert_int_eq(head.closed_at, 4);
    ck_assert_int_eq(head.open_sum, 3 * (2 + 9 + 3 - 20 + 4));
    ck_assert_int_eq(head.closed_sum, 1 * (4 + 3 + 2) + 3 * 1);
    ck_assert_int_eq(reco_board_unpack(&count, entries, 4, head.open, head.open_size), RECO_OK);
    ck_assert(count == 2 && entries[0].member == 1 && entries[0].sum == 5 && entries[1].member == 8 && entries[1].sum == 4);
    ck_assert_int_eq(reco_board_unpack(&count, entries, 4, head.closed, head.closed_size), RECO_OK);
    ck_assert(count == 2 && entries[0].member == 1 && entries[0].sum == 4 && entries[1].member == 2 && entries[1].sum == 6);
    ck_assert_int_eq(reco_generations_unpack(&count, generations, 8, head.generations, head.generations_size), RECO_OK);
    ck_assert(count == 4 && generations[0] == 2 && generations[1] == 4 && generations[2] == 5 && generations[3] == 6);
    reco__buf_reset(&out);
    test_ok(reco__features_recompute_head(&out, rows, 1, 4, &rules, &fake_names, &err), &err);
    ck_assert_uint_eq(out.size, 0);
    reco__buf_dispose(&out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("board");
    tcase_add_test(tcase, generations_divide_time);
    tcase_add_test(tcase, closed_means_end_and_slack_passed);
    tcase_add_test(tcase, cut_keeps_the_first_of_the_ranking);
    tcase_add_test(tcase, rank_sorts_by_sum_hash_name);
    tcase_add_test(tcase, merge_adds_weighted);
    tcase_add_test(tcase, packed_lists_read_back);
    tcase_add_test(tcase, long_varints_are_refused);
    tcase_add_test(tcase, generations_read_back);
    tcase_add_test(tcase, heads_read_back);
    tcase_add_test(tcase, a_head_is_recomputed_from_rows);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
