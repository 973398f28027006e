/* features_suite_rules.c - one test a rule, named so that a broken rule names itself. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/features_suite.h"
#include "support/support.h"

#define HOURS RECO_BOARD_HOURS
#define DAYS RECO_BOARD_DAYS
#define COVIEW RECO_BOARD_COVIEW

static fixture f;
static batch_adds b;

static void begin(uint32_t partitions, uint32_t items) {
    fixture_prepare(&f, partitions, 32);
    fixture_open(&f);
    fixture_items(&f, items);
    b.count = b.cell_count = 0;
}

static void end(void) {
    check_positions(&f);
    check_all(&f, 0);
    fixture_settle(&f);
    check_all(&f, 1);
    fixture_done(&f);
}

/* Adds `delta` of members first..last to the co-view row of item 0 in one batch of partition 0. */
static void grow(int64_t clock, int64_t generation, uint32_t first, uint32_t last, int64_t delta) {
    b.count = b.cell_count = 0;
    for (uint32_t member = first; member <= last; member++) {
        batch_add(&b, COVIEW, generation, 0, member, delta);
    }
    test_ok(batch_apply(&f, &b, 0, -1, f.model.positions[0].offset + 1, clock), &f.err);
}

/* --- apply ---------------------------------------------------------------------------------------------------------------------------- */

START_TEST(adds_sum_up)
{
    begin(1, 4);
    for (int i = 1; i <= 3; i++) {
        fixture_step(&f, 0, i, COVIEW, 0, 1, 2, i);
        fixture_step(&f, 0, i, HOURS, 0, 0, 3, i);
    }
    check_row(&f, COVIEW, 0, 1);
    check_row(&f, HOURS, 0, 0);
    check_head(&f, 1);
    end();
}
END_TEST

START_TEST(zero_sums_vanish)
{
    begin(1, 4);
    fixture_step(&f, 0, 1, COVIEW, 0, 1, 2, 5);
    fixture_step(&f, 0, 1, COVIEW, 0, 1, 3, 5);
    fixture_step(&f, 0, 1, COVIEW, 0, 1, 2, -5);
    check_row(&f, COVIEW, 0, 1);
    fixture_step(&f, 0, 1, COVIEW, 0, 1, 3, -5); /* the row, and the head with it */
    check_row(&f, COVIEW, 0, 1);
    check_head(&f, 1);
    fixture_step(&f, 0, 1, HOURS, 0, 0, 1, 1);
    fixture_step(&f, 0, 1, HOURS, 0, 0, 1, -1);
    check_generations(&f, HOURS);
    end();
}
END_TEST

START_TEST(long_rows_are_whole)
{
    fixture_prepare(&f, 1, 1500);
    fixture_open(&f);
    fixture_items(&f, 1500);
    for (uint32_t round = 0; round < 4; round++) { /* rows of many chunks: dense, then in between, then huge sums, then emptied but for a few */
        b.count = b.cell_count = 0;
        for (uint32_t member = round % 2; member < 1500; member += round == 3 ? 1 : 2) {
            int64_t delta = round == 2 ? INT64_C(1) << 50 : round == 3 ? (member % 2 ? -1 : -((INT64_C(1) << 50) + 1)) : 1;
            batch_add(&b, COVIEW, 0, 7, member, member % 100 == 42 && round == 3 ? 5 : delta);
            batch_add(&b, HOURS, 0, 0, member, delta);
        }
        test_ok(batch_apply(&f, &b, 0, -1, round + 1, 1), &f.err);
        check_row(&f, COVIEW, 0, 7);
        check_row(&f, HOURS, 0, 0);
        check_head(&f, 7);
    }
    end();
}
END_TEST

START_TEST(stale_changes_nothing)
{
    begin(2, 4);
    fixture_step(&f, 0, 10, COVIEW, 1, 0, 1, 3);
    const int64_t wrong[] = {0, 2, 100};
    for (int i = 0; i < 3; i++) {
        b.count = b.cell_count = 0;
        batch_add(&b, COVIEW, 1, 0, 1, 1);
        batch_cell(&b, 0, "x", 1, 50);
        test_status(RECO_STALE, batch_apply(&f, &b, 0, wrong[i], 101, 20));
        ck_assert_str_ne(f.err.text, "");
    }
    f.epoch++;
    test_status(RECO_STALE, batch_apply(&f, &b, 0, 1, 2, 20));
    f.epoch--;
    check_cell(&f, 0);
    end();
}
END_TEST

START_TEST(full_changes_nothing)
{
    fixture_prepare(&f, 1, 8);
    f.options.max_users = 2;
    fixture_open(&f);
    fixture_items(&f, 8);
    b.count = b.cell_count = 0;
    batch_cell(&b, 1, "a", 1, 50);
    test_ok(batch_apply(&f, &b, 0, -1, 1, 1), &f.err);
    batch_cell(&b, 2, "b", 1, 50);
    batch_cell(&b, 3, "c", 1, 50);
    batch_add(&b, COVIEW, 0, 0, 1, 1);
    batch_add(&b, HOURS, 0, 0, 1, 1);
    test_status(RECO_FULL, batch_apply(&f, &b, 0, -1, 2, 2));
    ck_assert_str_eq(f.err.field, "limits.users");
    check_positions(&f);
    check_cell(&f, 2);
    check_row(&f, COVIEW, 0, 0);
    b.cell_count = 0;
    batch_cell(&b, 1, "again", 5, 60); /* one that is there takes no room, and one that goes makes some */
    test_ok(batch_apply(&f, &b, 0, -1, 2, 2), &f.err);
    b.cell_count = b.count = 0;
    batch_cell(&b, 1, NULL, 0, 0);
    test_ok(batch_apply(&f, &b, 0, -1, 3, 3), &f.err);
    batch_cell(&b, 2, "b", 1, 50);
    batch_cell(&b, 3, "c", 1, 50);
    b.cells[0] = b.cells[2];
    b.cell_count = 1;
    test_ok(batch_apply(&f, &b, 0, -1, 4, 4), &f.err);
    end();
}
END_TEST

START_TEST(closed_generations_refuse_adds)
{
    begin(2, 4);
    fixture_step(&f, 0, 18, COVIEW, 0, 0, 1, 1);
    fixture_step(&f, 1, 18, COVIEW, 0, 0, 1, 1); /* closes generation 0 with itself: the clocks before the batch count */
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        b.count = b.cell_count = 0;
        batch_add(&b, board, model_newest_closed(&f.model, board, 18), 0, 1, 1);
        if (board == DAYS) {
            continue; /* nothing of it is closed yet */
        }
        test_status(RECO_INVALID, batch_apply(&f, &b, 0, -1, 2, 18));
    }
    b.count = 0;
    batch_add(&b, COVIEW, 1, 0, 31, 1);
    test_status(RECO_INVALID, batch_apply(&f, &b, 0, -1, 2, 18)); /* a number without a name */
    b.count = 0;
    test_status(RECO_INVALID, batch_apply(&f, &b, 0, -1, 2, 17)); /* a clock that goes back */
    end();
}
END_TEST

/* --- order, cut, heads ---------------------------------------------------------------------------------------------------------------- */

START_TEST(ties_are_broken_by_name)
{
    begin(1, 20);
    grow(1, 0, 0, 19, 7); /* all equal: three of twenty are in the head, four survive the cut */
    check_head(&f, 0);
    fixture_clock(&f, 18);
    check_row(&f, COVIEW, 0, 0);
    end();
}
END_TEST

START_TEST(the_cut_keeps_exactly_n)
{
    begin(1, 20);
    for (uint32_t member = 0; member < 10; member++) {
        fixture_step(&f, 0, 1, COVIEW, 0, 0, member, member + 1);
    }
    fixture_step(&f, 0, 1, COVIEW, 0, 1, 2, -3); /* not positive: dropped, and the row with it */
    for (uint32_t member = 0; member < 4; member++) {
        fixture_step(&f, 0, 1, COVIEW, 0, 2, member, 1); /* exactly n */
    }
    check_row(&f, COVIEW, 0, 0);
    fixture_clock(&f, 17);
    check_row(&f, COVIEW, 0, 0); /* one ms before: uncut */
    fixture_clock(&f, 18);
    for (uint32_t item = 0; item < 3; item++) {
        check_row(&f, COVIEW, 0, item);
    }
    fixture_settle(&f);
    check_all(&f, 1);
    for (uint32_t item = 0; item < 3; item++) {
        check_row(&f, COVIEW, 0, item);
        check_head(&f, item);
    }
    end();
}
END_TEST

START_TEST(a_head_is_lowered)
{
    begin(1, 20);
    for (uint32_t member = 1; member < 10; member++) {
        fixture_step(&f, 0, 1, COVIEW, 0, 0, member, member);
    }
    check_head(&f, 0);
    fixture_step(&f, 0, 1, COVIEW, 0, 0, 9, -8); /* below those outside */
    check_head(&f, 0);
    fixture_step(&f, 0, 1, COVIEW, 0, 0, 8, -8); /* gone */
    check_head(&f, 0);
    fixture_step(&f, 0, 1, COVIEW, 0, 0, 7, -100); /* negative */
    check_head(&f, 0);
    end();
}
END_TEST

START_TEST(heads_sum_open_generations)
{
    begin(1, 20);
    grow(1, 0, 1, 3, 10);
    grow(1, 1, 4, 6, 9);
    grow(1, 1, 1, 1, -1);
    grow(1, 2, 6, 6, 5);
    check_head(&f, 0);
    grow(1, 0, 5, 5, 3); /* to the oldest alone, of a member outside the head that has more in a younger one */
    check_head(&f, 0);
    b.count = b.cell_count = 0;
    for (uint32_t member = 1; member < 12; member++) { /* several generations in one batch */
        batch_add(&b, COVIEW, member % 3, 0, member, 2);
        batch_add(&b, COVIEW, 2, 0, member, member);
    }
    test_ok(batch_apply(&f, &b, 0, -1, 9, 2), &f.err);
    check_head(&f, 0);
    end();
}
END_TEST

START_TEST(weights_follow_age)
{
    begin(1, 20);
    for (int64_t g = 0; g < 5; g++) {
        grow(10 * g + 1, g, (uint32_t)g + 1, (uint32_t)g + 3, 10 + g);
        fixture_settle(&f);
        check_head(&f, 0);
    }
    for (int64_t clock = 50; clock < 120; clock += 5) {
        fixture_clock(&f, clock);
        fixture_settle(&f);
        check_head(&f, 0);
    }
    end();
}
END_TEST

/* --- closing, expiry ------------------------------------------------------------------------------------------------------------------ */

START_TEST(closing_waits_for_all_partitions)
{
    begin(3, 20);
    grow(1, 0, 1, 10, 1);
    for (uint32_t p = 0; p < 3; p++) {
        reco_features_info info;
        check_row(&f, COVIEW, 0, 0);
        fixture_settle(&f);
        check_all(&f, 1);
        test_ok(f.backend->info(&info, f.store, NULL, &f.err), &f.err);
        ck_assert_uint_eq(info.closings_due, 0);
        fixture_step(&f, p, 500, COVIEW, 60, 1, 2, 1);
    }
    check_row(&f, COVIEW, 0, 0);
    end();
}
END_TEST

START_TEST(expiry_is_exact)
{
    begin(1, 20);
    grow(1, 0, 1, 6, 1);
    for (uint32_t member = 0; member < 6; member++) {
        fixture_step(&f, 0, 1, HOURS, 0, 0, member, 1);
        fixture_step(&f, 0, 1, DAYS, 0, 0, member, 1);
    }
    for (int64_t clock = 2; clock < 120; clock++) {
        fixture_clock(&f, clock);
        check_row(&f, COVIEW, 0, 0);
        check_row(&f, HOURS, 0, 0);
        check_row(&f, DAYS, 0, 0);
        check_generations(&f, HOURS);
        check_generations(&f, DAYS);
        if (clock % 3 == 0) {
            fixture_settle(&f);
            check_all(&f, 1);
            check_head(&f, 0);
        }
    }
    end();
}
END_TEST

START_TEST(closing_remakes_heads)
{
    begin(1, 20);
    grow(1, 0, 1, 9, 3);
    grow(1, 1, 5, 12, 2);
    fixture_clock(&f, 18);
    check_head(&f, 0); /* not closed yet: at the old number */
    fixture_settle(&f);
    check_head(&f, 0);
    check_all(&f, 1);
    fixture_clock(&f, 28);
    fixture_settle(&f);
    check_head(&f, 0);
    end();
}
END_TEST

START_TEST(steps_of_closing_mix_with_learning)
{
    begin(2, 20);
    int64_t clock = 1;
    for (int round = 0; round < 60; round++) {
        int more;
        b.count = b.cell_count = 0;
        for (uint32_t item = 0; item < 20; item += 3) {
            batch_add(&b, COVIEW, clock / 10, item, (item + (uint32_t)round) % 20, 1);
        }
        clock += round % 4;
        uint32_t p = (uint32_t)round % 2;
        test_ok(batch_apply(&f, &b, p, -1, f.model.positions[p].offset + 1, clock), &f.err);
        test_ok(f.backend->close_step(&more, f.store, 0, NULL, &f.err), &f.err);
        check_all(&f, 0);
    }
    end();
}
END_TEST

START_TEST(an_item_comes_back)
{
    begin(1, 6);
    grow(1, 0, 1, 3, 1);
    fixture_clock(&f, 100);
    fixture_settle(&f);
    check_head(&f, 0);
    grow(100, 10, 2, 4, 1);
    check_head(&f, 0);
    end();
}
END_TEST

/* --- cells ---------------------------------------------------------------------------------------------------------------------------- */

START_TEST(cells_live_by_their_partition)
{
    begin(2, 4);
    const uint8_t data[] = {1, 0, 2};
    for (uint32_t user = 0; user < 8; user++) {
        b.count = b.cell_count = 0;
        batch_cell(&b, user, data, sizeof data, 20 + user);
        test_ok(batch_apply(&f, &b, user % 2, -1, f.model.positions[user % 2].offset + 1, 1), &f.err);
    }
    for (int64_t clock = 1; clock < 60; clock += 1) {
        fixture_step(&f, 1, clock, 0, 0, 0, 0, 0); /* only partition 1 */
        for (int i = 0; i < 6; i++) {
            int more;
            test_ok(f.backend->close_step(&more, f.store, 1000000, NULL, &f.err), &f.err);
        }
        for (uint32_t user = 0; user < 8; user++) {
            check_cell(&f, user);
        }
    }
    check_all(&f, 0);
    reco_features_info info;
    test_ok(f.backend->info(&info, f.store, NULL, &f.err), &f.err);
    ck_assert_uint_eq(info.user_count, 4); /* those of partition 1 were swept */
    ck_assert_uint_eq(info.closings_due, 0);
    end();
}
END_TEST

/* --- numbers -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(intern_gives_a_number_once)
{
    begin(1, 10);
    uint32_t numbers[6];
    reco_str names[6] = {{"new", 3},   {f.model.names[3], strlen(f.model.names[3])}, {"new", 3},
                         {"newer", 5}, {f.model.names[3], strlen(f.model.names[3])}, {"new", 3}};
    for (int round = 0; round < 3; round++) {
        test_ok(f.backend->intern(numbers, f.store, names, 6, NULL, &f.err), &f.err);
        const uint32_t want[] = {10, 3, 10, 11, 3, 10};
        ck_assert_int_eq(memcmp(numbers, want, sizeof want), 0);
    }
    reco_features_info info;
    test_ok(f.backend->info(&info, f.store, NULL, &f.err), &f.err);
    ck_assert_uint_eq(info.item_count, 12);
    names[1] = (reco_str){"unknown", 7};
    test_ok(f.backend->find_items(numbers, f.store, names, 6, NULL, &f.err), &f.err);
    const uint32_t want[] = {10, RECO_NO_ITEM, 10, 11, 3, 10};
    ck_assert_int_eq(memcmp(numbers, want, sizeof want), 0);
    reco_str name;
    uint64_t hash;
    test_ok(f.backend->item_name(&name, &hash, f.store, 11), &f.err);
    ck_assert(name.size == 5 && memcmp(name.data, "newer", 5) == 0);
    test_status(RECO_NOT_FOUND, f.backend->item_name(&name, &hash, f.store, 12));
    model_name(&f.model, "new");
    model_name(&f.model, "newer");
    end();
}
END_TEST

START_TEST(items_have_a_limit)
{
    fixture_prepare(&f, 1, 4);
    fixture_open(&f);
    fixture_items(&f, 3);
    uint32_t numbers[2];
    reco_str names[2] = {{"x", 1}, {"y", 1}};
    test_status(RECO_FULL, f.backend->intern(numbers, f.store, names, 2, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "limits.items");
    test_ok(f.backend->find_items(numbers, f.store, names, 2, NULL, &f.err), &f.err);
    ck_assert(numbers[0] == RECO_NO_ITEM && numbers[1] == RECO_NO_ITEM);
    test_ok(f.backend->intern(numbers, f.store, names, 1, NULL, &f.err), &f.err);
    ck_assert_uint_eq(numbers[0], 3);
    model_name(&f.model, "x");
    end();
}
END_TEST

START_TEST(two_handles_see_each_other)
{
    if (features_suite_flags & FEATURES_SUITE_VOLATILE) {
        return; /* each handle of a volatile store is a store of its own */
    }
    begin(1, 4);
    reco_features_store *second;
    test_ok(f.backend->open(&second, &f.options, NULL, &f.err), &f.err);
    fixture_items(&f, 9);
    reco_str name;
    uint64_t hash;
    test_ok(f.backend->item_name(&name, &hash, second, 8), &f.err);
    ck_assert(name.size == strlen(f.model.names[8]) && memcmp(name.data, f.model.names[8], name.size) == 0);
    reco_str more[2] = {{"from the second", 15}, {f.model.names[7], strlen(f.model.names[7])}};
    uint32_t numbers[2];
    test_ok(f.backend->intern(numbers, second, more, 2, NULL, &f.err), &f.err);
    ck_assert(numbers[0] == 9 && numbers[1] == 7);
    model_name(&f.model, "from the second");
    fixture_items(&f, 11);
    grow(1, 0, 1, 10, 1);
    f.backend->close(f.store);
    f.store = second;
    check_head(&f, 0);
    end();
}
END_TEST

START_TEST(namespaces_are_apart)
{
    begin(1, 8);
    static fixture g;
    fixture_prepare(&g, 2, 32);
    fixture_open(&g);
    fixture_items(&g, 3);
    grow(1, 0, 1, 7, 1);
    fixture_step(&g, 1, 5, COVIEW, 0, 0, 1, 9);
    fixture_step(&g, 0, 200, COVIEW, 20, 0, 2, 9);
    check_all(&g, 0);
    check_all(&f, 0);
    fixture_settle(&g);
    check_all(&g, 1);
    fixture_done(&g);
    end();
}
END_TEST

/* --- identity ------------------------------------------------------------------------------------------------------------------------- */

START_TEST(another_identity_is_refused)
{
    if (features_suite_flags & FEATURES_SUITE_VOLATILE) {
        return;
    }
    begin(2, 4);
    reco_features_store *other;
    reco_features_options options = f.options;
    options.partitions = 3;
    test_status(RECO_REFUSED, f.backend->open(&other, &options, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "partitions");
    options = f.options;
    options.stream_id[3]++;
    test_status(RECO_REFUSED, f.backend->open(&other, &options, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "stream");
    options = f.options;
    options.fingerprint = (reco_str){"coview.cut=9\n", 13};
    test_status(RECO_REFUSED, f.backend->open(&other, &options, NULL, &f.err));
    ck_assert_ptr_nonnull(strstr(f.err.text, "coview.cut"));
    end();
}
END_TEST

START_TEST(content_survives_closing_the_store)
{
    if (features_suite_flags & FEATURES_SUITE_VOLATILE) {
        return;
    }
    begin(2, 12);
    grow(1, 0, 1, 11, 2);
    batch_cell(&b, 5, "cell", 4, 90);
    b.count = 0;
    test_ok(batch_apply(&f, &b, 1, -1, 7, 4), &f.err);
    uint64_t epoch = f.epoch;
    fixture_close(&f);
    fixture_open(&f);
    ck_assert_uint_eq(epoch, f.epoch);
    check_cell(&f, 5);
    end();
}
END_TEST

/* --- restore -------------------------------------------------------------------------------------------------------------------------- */

static void restore_piece(uint32_t flags, const reco_add_group *groups, size_t group_count, const reco_position *positions) {
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = flags, .groups = groups, .group_count = group_count, .positions = positions};
    test_ok(f.backend->restore(f.store, &piece, NULL, &f.err), &f.err);
}

static void restore_begin(void) {
    restore_piece(RECO_RESTORE_FIRST, NULL, 0, NULL);
    model_free(&f.model);
    model_init(&f.model, &f.rules, f.options.partitions, 32);
    uint64_t before = f.epoch;
    reco_position positions[64];
    test_ok(f.backend->positions(positions, &f.epoch, f.store, NULL, &f.err), &f.err);
    ck_assert_uint_ne(before, f.epoch);
}

START_TEST(restore_replaces_everything)
{
    begin(1, 12);
    grow(1, 4, 1, 11, 2); /* not expired where the restore goes to */
    reco_str old_name;
    uint64_t hash;
    test_ok(f.backend->item_name(&old_name, &hash, f.store, 2), &f.err);
    char copy[32] = {0};
    memcpy(copy, old_name.data, old_name.size);
    restore_begin();
    reco_position position;
    uint64_t epoch;
    test_status(RECO_BUSY, f.backend->load(&position, &epoch, f.store, 0, NULL, 0, NULL, NULL, NULL, &f.err));
    fixture_items(&f, 6);
    ck_assert_int_eq(memcmp(copy, old_name.data, old_name.size), 0); /* names lent out stay valid */
    const reco_add adds[] = {{1, 2, 5}, {1, 3, 4}, {3, 0, 7}}, later[] = {{1, 0, 2}, {1, 4, -1}}, popular[] = {{0, 3, 3}};
    const reco_add_group groups[] = {{HOURS, 0, 12, popular, 1}, {COVIEW, 0, 3, adds, 2}, {COVIEW, 0, 4, later, 2}},
                         more = {COVIEW, 0, 3, adds + 2, 1};
    restore_piece(0, groups, 3, NULL);
    position = (reco_position){77, 50};
    restore_piece(RECO_RESTORE_LAST, &more, 1, &position);
    for (size_t i = 0; i < 2; i++) {
        model_add(&f.model, COVIEW, 3, 1, adds[i].member, adds[i].delta);
        model_add(&f.model, COVIEW, 4, 1, later[i].member, later[i].delta);
    }
    model_add(&f.model, COVIEW, 3, 3, 0, 7);
    model_add(&f.model, HOURS, 12, 0, 3, 3);
    f.model.positions[0] = position;
    test_ok(f.backend->positions(&position, &f.epoch, f.store, NULL, &f.err), &f.err);
    check_positions(&f);
    check_all(&f, 0);
    for (uint32_t item = 0; item < 6; item++) {
        check_head(&f, item);
    }
    fixture_step(&f, 0, 52, COVIEW, 5, 1, 5, 1);
    end();
}
END_TEST

START_TEST(a_broken_restore_is_emptied)
{
    if (features_suite_flags & FEATURES_SUITE_VOLATILE) {
        return;
    }
    begin(1, 12);
    grow(1, 0, 1, 11, 2);
    restore_begin();
    fixture_items(&f, 6);
    const reco_add adds[] = {{1, 2, 5}};
    const reco_add_group group = {COVIEW, 0, 3, adds, 1};
    restore_piece(0, &group, 1, NULL);
    reco_features_store *other;
    fixture_close(&f); /* as if the process had ended */
    model_free(&f.model);
    model_init(&f.model, &f.rules, f.options.partitions, 32);
    fixture_open(&f);
    test_ok(f.backend->open(&other, &f.options, NULL, &f.err), &f.err);
    f.backend->close(other);
    check_all(&f, 0);
    fixture_items(&f, 3);
    grow(1, 0, 1, 2, 2);
    end();
}
END_TEST

/* --- threads -------------------------------------------------------------------------------------------------------------------------- */

struct reader {
    pthread_t thread;
    _Atomic int stop;
    uint64_t rounds;
    const char *wrong;
};

static void well_formed(void *context, size_t index, const void *data, size_t size) {
    struct reader *reader = context;
    reco_head head;
    (void)index;
    if (reco_head_read(&head, data, size) != RECO_OK) {
        reader->wrong = "a head that cannot be read";
    }
}

static void ignore_piece(void *context, size_t index, const void *data, size_t size) { (void)context, (void)index, (void)data, (void)size; }

/* Asks for what a request asks for, until told to stop. */
static void *read_on(void *context) {
    struct reader *reader = context;
    while (!atomic_load(&reader->stop) && !reader->wrong) {
        uint32_t items[8], number;
        reco_str name = {f.model.names[0], strlen(f.model.names[0])}, got;
        reco_features_info info;
        uint64_t hash;
        reco_error err = RECO_ERROR_INIT;
        for (uint32_t i = 0; i < 8; i++) {
            items[i] = i;
        }
        if (f.backend->info(&info, f.store, NULL, &err) != RECO_OK || f.backend->find_items(&number, f.store, &name, 1, NULL, &err) != RECO_OK ||
            number != 0) {
            reader->wrong = "find_items or info";
        } else if (info.item_count && f.backend->item_name(&got, &hash, f.store, info.item_count - 1) != RECO_OK) {
            reader->wrong = "item_name of a number that was given";
        } else if (f.backend->heads(f.store, items, 8, well_formed, reader, NULL, &err) != RECO_OK ||
                   f.backend->row(f.store, COVIEW, 0, 1, ignore_piece, reader, NULL, &err) != RECO_OK) {
            reader->wrong = "heads or row";
        }
        reader->rounds++;
    }
    return NULL;
}

START_TEST(readers_run_beside_a_writer)
{
    static struct reader readers[2];
    fixture_prepare(&f, 1, 1000);
    fixture_open(&f);
    fixture_items(&f, 10);
    b.count = b.cell_count = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    int64_t clock = 1;
    for (int round = 0; round < 300; round++) {
        int more;
        fixture_items(&f, f.model.item_count + 3);
        b.count = 0;
        for (uint32_t item = 0; item < 8; item++) {
            batch_add(&b, COVIEW, clock / 10, item, (uint32_t)round % f.model.item_count, 1);
        }
        clock += round % 3 == 0;
        test_ok(batch_apply(&f, &b, 0, -1, round + 1, clock), &f.err);
        test_ok(f.backend->close_step(&more, f.store, 10000, NULL, &f.err), &f.err);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i].stop, 1);
        pthread_join(readers[i].thread, NULL);
        ck_assert_msg(!readers[i].wrong, "%s", readers[i].wrong);
        ck_assert_uint_gt(readers[i].rounds, 0);
    }
    end();
}
END_TEST

static void add_up(void *context, const char *name, uint64_t value) {
    if (strcmp(name, "heads_entries") == 0 || strcmp(name, "rows_entries") == 0) {
        *(uint64_t *)context += value;
    }
}

START_TEST(stats_count)
{
    begin(1, 12);
    grow(1, 0, 1, 11, 2);
    uint64_t entries = 0;
    test_ok(f.backend->stats(f.store, add_up, &entries, NULL, &f.err), &f.err);
    ck_assert_uint_ge(entries, 2);
    end();
}
END_TEST

/* A case of its own for each, so that one can be run by its name. */
void features_suite_rules(Suite *suite) {
#define RULE(name)                                                                                                                                   \
    { #name, name }
    const struct {
        const char *name;
        const TTest *test;
    } rules[] = {
        RULE(adds_sum_up),
        RULE(zero_sums_vanish),
        RULE(long_rows_are_whole),
        RULE(stale_changes_nothing),
        RULE(full_changes_nothing),
        RULE(closed_generations_refuse_adds),
        RULE(ties_are_broken_by_name),
        RULE(the_cut_keeps_exactly_n),
        RULE(a_head_is_lowered),
        RULE(heads_sum_open_generations),
        RULE(weights_follow_age),
        RULE(closing_waits_for_all_partitions),
        RULE(expiry_is_exact),
        RULE(closing_remakes_heads),
        RULE(steps_of_closing_mix_with_learning),
        RULE(an_item_comes_back),
        RULE(cells_live_by_their_partition),
        RULE(intern_gives_a_number_once),
        RULE(items_have_a_limit),
        RULE(two_handles_see_each_other),
        RULE(namespaces_are_apart),
        RULE(another_identity_is_refused),
        RULE(content_survives_closing_the_store),
        RULE(restore_replaces_everything),
        RULE(a_broken_restore_is_emptied),
        RULE(readers_run_beside_a_writer),
        RULE(stats_count),
    };
#undef RULE
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        TCase *tcase = tcase_create(rules[i].name);
        tcase_add_test(tcase, rules[i].test);
        if (features_suite_flags & (FEATURES_SUITE_SLOW | FEATURES_SUITE_SLOWER)) {
            tcase_set_timeout(tcase, 60);
        }
        suite_add_tcase(suite, tcase);
    }
}
