/* Taking events back: each rule with a case made by hand, and random histories in which the last event is taken back at once, after which nothing of
 * it is left. What undo.c does about older events is compared with tests/model/sim.py (test_oracle). */
#include <stdio.h>
#include <stdlib.h>

#include "learn/learn.h"
#include "model/event.h"
#include "support/support.h"

enum { A, B, C, D };

static const reco__event_type types[] = {
    {"view", 1, 0, 0}, {"rating", 2, RECO__TYPE_MIN_VALUE, 4}, {"hide", 0, RECO__TYPE_HIDES, 0}, {"return", -3, 0, 0}};

static reco__learn_rules rules;
static reco__cell cell;
static reco__adds *adds;
static int outcome;

static void setup(void) {
    memset(&rules, 0, sizeof rules);
    rules.boards.lateness = 50;
    rules.boards.skew = 10;
    rules.boards.length[RECO_BOARD_HOURS] = 100;
    rules.boards.length[RECO_BOARD_DAYS] = 400;
    rules.boards.length[RECO_BOARD_COVIEW] = 1000;
    rules.pair_window = 3;
    rules.recents = 4;
    rules.history = 8;
    rules.ids_seen = 8;
    rules.ids_window = 500;
    rules.session_gap = 30;
    rules.lifetime = 5000;
    rules.types = types;
    rules.type_count = sizeof types / sizeof *types;
    adds = reco__adds_create();
    ck_assert_ptr_nonnull(adds);
}

static void teardown(void) {
    reco__cell_dispose(&cell);
    reco__adds_free(adds);
}

static void derive(const char *type, uint32_t item, const char *id, int64_t t, int64_t r, uint32_t flags) {
    reco__record record = {.type = RECO__RECORD_EVENT, .received_at = r};
    reco_error err = RECO_ERROR_INIT;
    record.event = (reco_event){.event_type = reco__str_of(type), .event_id = reco__str_of(id), .timestamp = t, .value = 5};
    record.event.flags = flags | RECO_EVENT_HAS_VALUE;
    test_ok(reco__learn_derive(&outcome, &cell, adds, &rules, &record, item, r, &err), &err);
}

static void see(const char *type, uint32_t item, const char *id, int64_t t) { derive(type, item, id, t, t, 0); }
static void undo(const char *type, uint32_t item, const char *id, int64_t t, int64_t r) { derive(type, item, id, t, r, RECO_EVENT_UNDO); }

/* The adds since the last call come to so many entries that are not 0. */
static size_t left(void) {
    const reco_add_group *groups;
    size_t count, rows, entries = 0;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__adds_finish(&groups, &count, &rows, adds, &err), &err);
    for (size_t i = 0; i < count; i++)
        entries += groups[i].count;
    reco__adds_reset(adds);
    return entries;
}

static void items_are(const char *expected) {
    char got[16] = "";
    for (uint32_t i = 0; i < cell.touch_count; i++)
        got[i] = (char)('A' + cell.touches[i].item);
    got[cell.touch_count] = 0;
    ck_assert_str_eq(got, expected);
}

START_TEST(what_was_just_done_leaves_nothing)
{
    see("view", A, "1", 1000);
    see("rating", B, "2", 1001);
    left();
    see("view", C, "3", 1002);
    undo("view", C, "3", 1002, 1003);
    ck_assert_int_eq(outcome, RECO__DERIVED_COUNTED);
    ck_assert_uint_eq(left(), 0);
    items_are("BA");
    ck_assert_uint_eq(cell.session_count, 2);
    see("rating", C, "4", 1004);
    undo("rating", C, "4", 0, 1100); /* without a time: that of the touch, though its hour is over */
    ck_assert_uint_eq(left(), 0);
    see("hide", D, "5", 1101);
    ck_assert_uint_eq(cell.hidden_count, 1);
    undo("hide", D, "5", 1101, 1102);
    ck_assert_uint_eq(cell.hidden_count, 0);
    see("return", A, "6", 1103);
    undo("return", A, "6", 1103, 1104);
    ck_assert_uint_eq(left(), 0);
    items_are("BA");
}
END_TEST

START_TEST(an_undo_counts_once)
{
    see("view", A, "1", 1000);
    undo("view", A, "1", 1000, 1001);
    left();
    undo("view", A, "1", 1000, 1002);
    ck_assert_int_eq(outcome, RECO__DERIVED_DUPLICATE);
    ck_assert_uint_eq(left(), 0);
    see("view", A, "1", 1003); /* and the event stays a duplicate */
    ck_assert_int_eq(outcome, RECO__DERIVED_DUPLICATE);
    items_are("");
}
END_TEST

START_TEST(an_undo_that_comes_first_wins)
{
    see("view", A, "1", 1000);
    left();
    undo("view", B, "2", 1001, 1001);
    ck_assert_int_eq(outcome, RECO__DERIVED_COUNTED);
    ck_assert_uint_eq(left(), 0);
    see("view", B, "2", 1001);
    ck_assert_int_eq(outcome, RECO__DERIVED_DUPLICATE);
    items_are("A");
}
END_TEST

START_TEST(what_was_touched_again_stays)
{
    see("view", A, "1", 1000);
    see("view", B, "2", 1001);
    see("view", A, "3", 1002);
    left();
    undo("view", A, "1", 1000, 1003);
    items_are("AB");
    ck_assert_uint_eq(left(), 2); /* its popularity only: hour and day */
    undo("view", B, "2", 1001, 1004);
    items_are("A");
    ck_assert_uint_eq(left(), 4); /* and the pair with A, which came later */
}
END_TEST

START_TEST(pairs_with_what_came_later_go_too)
{
    see("view", A, "1", 1000);
    see("view", B, "2", 1001);
    see("view", C, "3", 1002);
    undo("view", B, "2", 1001, 1003);
    undo("view", C, "3", 1002, 1004);
    undo("view", A, "1", 1000, 1005);
    ck_assert_uint_eq(left(), 0);
    items_are("");
}
END_TEST

START_TEST(random_last_events)
{
    static const char *const kinds[] = {"view", "rating", "hide", "return", "unknown"};
    reco__rand chance;
    reco__rand_seed(&chance, 5);
    for (int round = 0; round < 3000; round++) {
        int64_t now = 1000;
        char id[16], before[16];
        reco__cell_clear(&cell);
        rules.pair_in_session = (uint32_t)reco__rand_below(&chance, 2);
        rules.pair_inverse = (uint32_t)reco__rand_below(&chance, 2);
        for (int i = 0, count = (int)reco__rand_below(&chance, 12); i < count; i++) {
            snprintf(id, sizeof id, "e%d", i);
            see(kinds[reco__rand_below(&chance, 5)], (uint32_t)reco__rand_below(&chance, 7), id, now += (int64_t)reco__rand_below(&chance, 40));
        }
        uint32_t touches = cell.touch_count, hidden = cell.hidden_count, item = 10 + (uint32_t)reco__rand_below(&chance, 3);
        bool full = touches == rules.history;
        const char *kind = kinds[reco__rand_below(&chance, 5)];
        for (uint32_t i = 0; i < touches; i++)
            before[i] = (char)cell.touches[i].item;
        left();
        see(kind, item, "last", now);
        undo(kind, item, "last", reco__rand_below(&chance, 2) ? now : 0, now);
        ck_assert_msg(left() == 0, "round %d: something is left", round);
        ck_assert_uint_eq(cell.hidden_count, hidden);
        ck_assert_uint_ge(cell.touch_count, touches - full);
        for (uint32_t i = 0; i < cell.touch_count; i++)
            ck_assert_int_eq((char)cell.touches[i].item, before[i]);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn: undo");
    TCase *tests = tcase_create("undo");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_just_done_leaves_nothing);
    tcase_add_test(tests, an_undo_counts_once);
    tcase_add_test(tests, an_undo_that_comes_first_wins);
    tcase_add_test(tests, what_was_touched_again_stays);
    tcase_add_test(tests, pairs_with_what_came_later_go_too);
    tcase_add_test(tests, random_last_events);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
