/* The rules of the derivation, each with a case made by hand. Times are small numbers; an hour has 100, a day 400, a co-view generation 1,000. */
#include <stdlib.h>

#include "learn/learn.h"
#include "model/event.h"
#include "support/support.h"

enum { A, B, C, D, E, F };

static const reco__event_type types[] = {
    {"view", 1, 0, 0},           {"rating", 2, RECO__TYPE_MIN_VALUE, 4}, {"purchase", 5, 0, 0},     {"impression", 0, 0, 0},
    {"hide", 0, RECO__TYPE_HIDES, 0}, {"return", -3, 0, 0},              {"skip", 3, RECO__TYPE_HIDES, 0}, {"", 7, 0, 0},
};

typedef struct fixture {
    reco__learn_rules rules;
    reco__cell cell;
    reco__adds *adds;
    const reco_add_group *groups;
    size_t group_count, rows;
    int outcome;
} fixture;

static fixture fx;

static void setup(void) {
    memset(&fx, 0, sizeof fx);
    fx.rules.boards.lateness = 50;
    fx.rules.boards.skew = 10;
    fx.rules.boards.length[RECO_BOARD_HOURS] = 100;
    fx.rules.boards.length[RECO_BOARD_DAYS] = 400;
    fx.rules.boards.length[RECO_BOARD_COVIEW] = 1000;
    fx.rules.pair_window = 3;
    fx.rules.recents = 3;
    fx.rules.history = 5;
    fx.rules.ids_seen = 3;
    fx.rules.ids_window = 200;
    fx.rules.session_gap = 30;
    fx.rules.lifetime = 5000;
    fx.rules.types = types;
    fx.rules.type_count = sizeof types / sizeof *types;
    fx.adds = reco__adds_create();
    ck_assert_ptr_nonnull(fx.adds);
}

static void teardown(void) {
    reco__cell_dispose(&fx.cell);
    reco__adds_free(fx.adds);
}

/* One event, at r = its timestamp unless said otherwise; its adds alone stand in fx.groups. */
static void derive(const reco__record *record, uint32_t item, int64_t r) {
    reco_error err = RECO_ERROR_INIT;
    reco__adds_reset(fx.adds);
    test_ok(reco__learn_derive(&fx.outcome, &fx.cell, fx.adds, &fx.rules, record, item, r, &err), &err);
    test_ok(reco__adds_finish(&fx.groups, &fx.group_count, &fx.rows, fx.adds, &err), &err);
}

static reco__record record_of(const char *type, int64_t t) {
    reco__record record = {.type = RECO__RECORD_EVENT, .received_at = t};
    record.event.timestamp = t;
    record.event.event_type = reco__str_of(type);
    return record;
}

static void event(const char *type, uint32_t item, int64_t t) {
    reco__record record = record_of(type, t);
    derive(&record, item, t);
}

static void event_with_id(const char *id, uint32_t item, int64_t t, int64_t r) {
    reco__record record = record_of("view", t);
    record.event.event_id = reco__str_of(id);
    derive(&record, item, r);
}

static void event_in_session(const char *session, uint32_t item, int64_t t) {
    reco__record record = record_of("view", t);
    record.event.session_id = reco__str_of(session);
    derive(&record, item, t);
}

static void rating(double value, uint32_t item, int64_t t) {
    reco__record record = record_of("rating", t);
    record.event.value = value;
    record.event.flags = RECO_EVENT_HAS_VALUE;
    derive(&record, item, t);
}

/* The sum of one place, 0 where there is none. */
static int64_t sum_at(uint32_t board, int64_t generation, uint32_t item, uint32_t member) {
    for (size_t g = 0; g < fx.group_count; g++)
        for (size_t i = 0; fx.groups[g].board == board && fx.groups[g].generation == generation && i < fx.groups[g].count; i++)
            if (fx.groups[g].adds[i].item == item && fx.groups[g].adds[i].member == member)
                return fx.groups[g].adds[i].delta;
    return 0;
}

static size_t pair_count(void) {
    size_t count = 0;
    for (size_t g = 0; g < fx.group_count; g++)
        count += fx.groups[g].board == RECO_BOARD_COVIEW ? fx.groups[g].count : 0;
    return count;
}

static int64_t pair_at(int64_t generation, uint32_t a, uint32_t b) {
    int64_t sum = sum_at(RECO_BOARD_COVIEW, generation, a, b);
    ck_assert_int_eq(sum, sum_at(RECO_BOARD_COVIEW, generation, b, a));
    return sum;
}

/* Items of the recency list, as text: letters, lower case when only seen. */
static const char *list(void) {
    static char text[64];
    for (uint32_t i = 0; i < fx.cell.touch_count; i++)
        text[i] = (char)((fx.cell.touches[i].weight > 0 ? 'A' : 'a') + (int)fx.cell.touches[i].item);
    text[fx.cell.touch_count] = 0;
    return text;
}

static const char *hidden(void) {
    static char text[64];
    for (uint32_t i = 0; i < fx.cell.hidden_count; i++)
        text[i] = (char)('A' + (int)fx.cell.hidden[i]);
    text[fx.cell.hidden_count] = 0;
    return text;
}

START_TEST(popularity_goes_to_the_hour_and_the_day_of_the_timestamp) {
    event("purchase", A, 1234);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 12, 0, A), 5);
    ck_assert_int_eq(sum_at(RECO_BOARD_DAYS, 3, 0, A), 5);
    ck_assert_uint_eq(fx.group_count, 2);
    ck_assert_int_eq(fx.cell.last, 1234);
}
END_TEST

START_TEST(no_timestamp_is_the_moment_of_receipt_not_the_effective_time) {
    reco__record record = record_of("view", 0);
    record.received_at = 1195;
    derive(&record, A, 1210); /* the partition's clock is ahead, but hour 11 is open until 1260 */
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 11, 0, A), 1);
    ck_assert_int_eq(fx.cell.touches[0].t, 1195);
    ck_assert_int_eq(fx.cell.last, 1210);
}
END_TEST

START_TEST(an_add_behind_the_clock_goes_to_the_oldest_open_generation) {
    reco__record record = record_of("view", 1199);
    derive(&record, A, 1259); /* hour 11 ends at 1200 and is open while 1260 > r */
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 11, 0, A), 1);
    derive(&record, B, 1260);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED | RECO__DERIVED_CLAMPED);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 12, 0, B), 1);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 11, 0, B), 0);
    ck_assert_int_eq(sum_at(RECO_BOARD_DAYS, 2, 0, B), 0); /* the day ends at 1200 too */
    ck_assert_int_eq(sum_at(RECO_BOARD_DAYS, 3, 0, B), 1);
}
END_TEST

START_TEST(pairs_are_clamped_by_their_own_board) {
    event("view", A, 990);
    reco__record record = record_of("view", 995);
    derive(&record, B, 1059);
    ck_assert_int_eq(pair_at(0, A, B), 2520);
    derive(&record, C, 1060);
    ck_assert_int_eq(pair_at(1, B, C), 2520);
    ck_assert_int_eq(fx.outcome & RECO__DERIVED_CLAMPED, RECO__DERIVED_CLAMPED);
}
END_TEST

START_TEST(an_early_event_goes_to_its_own_generation) {
    reco__record record = record_of("view", 1205);
    derive(&record, A, 1198);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 12, 0, A), 1);
    ck_assert_int_eq(fx.cell.last, 1198);
}
END_TEST

START_TEST(pairs_reach_the_last_distinct_other_items_both_ways) {
    event("view", A, 10);
    ck_assert_uint_eq(pair_count(), 0);
    event("view", B, 11);
    event("view", C, 12);
    event("view", D, 13);
    ck_assert_str_eq(list(), "DCBA");
    ck_assert_uint_eq(fx.rows, 4);
    event("purchase", E, 14); /* the window is 3 */
    ck_assert_int_eq(pair_at(0, E, D), 5 * 2520);
    ck_assert_int_eq(pair_at(0, E, C), 5 * 2520);
    ck_assert_int_eq(pair_at(0, E, B), 5 * 2520);
    ck_assert_uint_eq(pair_count(), 6);
}
END_TEST

START_TEST(pairs_skip_the_events_own_item_without_counting_it) {
    event("view", A, 10);
    event("view", B, 11);
    event("view", C, 12);
    event("view", D, 13);
    event("view", C, 14); /* list D C B A: others are D, B, A */
    ck_assert_int_eq(pair_at(0, C, D), 2520);
    ck_assert_int_eq(pair_at(0, C, B), 2520);
    ck_assert_int_eq(pair_at(0, C, A), 2520);
    ck_assert_uint_eq(pair_count(), 6);
    ck_assert_str_eq(list(), "CDBA");
    event("view", C, 15);
    ck_assert_str_eq(list(), "CDBA");
    ck_assert_uint_eq(pair_count(), 6);
}
END_TEST

START_TEST(inverse_weight_falls_with_the_distance) {
    fx.rules.pair_inverse = 1;
    event("view", A, 10);
    event("view", B, 11);
    event("view", C, 12);
    event("rating", D, 13); /* without a value: below the minimum */
    event("purchase", E, 14);
    ck_assert_int_eq(pair_at(0, E, C), 5 * 2520);
    ck_assert_int_eq(pair_at(0, E, B), 5 * 1260);
    ck_assert_int_eq(pair_at(0, E, A), 5 * 840);
    ck_assert_int_eq(pair_at(0, E, D), 0);
}
END_TEST

START_TEST(an_inverse_weight_of_nothing_adds_nothing) {
    fx.rules.pair_inverse = 1;
    fx.rules.history = 3000;
    fx.rules.pair_window = 3000;
    for (uint32_t i = 0; i < 2522; i++)
        event("view", i, 10 + (int64_t)i / 100);
    ck_assert_uint_eq(pair_count(), 2 * 2520);
    ck_assert_int_eq(pair_at(0, 2521, 1), 1);
    ck_assert_int_eq(pair_at(0, 2521, 0), 0);
}
END_TEST

START_TEST(a_low_rating_is_seen_only) {
    rating(4, A, 10);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 0, 0, A), 2);
    rating(3.9, B, 11);
    ck_assert_uint_eq(fx.group_count, 0);
    ck_assert_str_eq(list(), "bA");
    event("view", C, 12);
    ck_assert_int_eq(pair_at(0, C, A), 2520);
    ck_assert_int_eq(pair_at(0, C, B), 0);
    rating(1, A, 13); /* the newest event of an item decides */
    ck_assert_str_eq(list(), "aCb");
    event("view", D, 14);
    ck_assert_uint_eq(pair_count(), 2);
    rating(5, B, 15);
    ck_assert_int_eq(pair_at(0, B, D), 2 * 2520);
    ck_assert_str_eq(list(), "BDaC");
}
END_TEST

START_TEST(types_of_no_weight_leave_no_trace_but_time) {
    event("view", A, 10);
    event("impression", B, 20);
    ck_assert_uint_eq(fx.group_count, 0);
    ck_assert_str_eq(list(), "A");
    ck_assert_int_eq(fx.cell.last, 20);
    event("unheard-of", B, 21);
    ck_assert_uint_eq(fx.group_count, 0);
    ck_assert_str_eq(list(), "A");
    event("viewer", B, 22);
    event("vie", B, 22);
    event("", B, 22); /* no type, even where the settings have one without a name */
    ck_assert_str_eq(list(), "A");
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
}
END_TEST

START_TEST(negative_weight_takes_popularity_away_and_never_pairs) {
    event("view", A, 10);
    event("return", B, 11);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 0, 0, B), -3);
    ck_assert_int_eq(sum_at(RECO_BOARD_DAYS, 0, 0, B), -3);
    ck_assert_uint_eq(pair_count(), 0);
    ck_assert_str_eq(list(), "A");
}
END_TEST

START_TEST(hidden_items_move_to_the_newest_and_the_oldest_goes) {
    event("hide", A, 10);
    ck_assert_uint_eq(fx.group_count, 0);
    event("hide", B, 11);
    event("hide", C, 12);
    ck_assert_str_eq(hidden(), "ABC");
    event("hide", A, 13);
    ck_assert_str_eq(hidden(), "BCA");
    event("hide", A, 13);
    ck_assert_str_eq(hidden(), "BCA");
    event("hide", D, 14);
    event("hide", E, 15);
    ck_assert_str_eq(hidden(), "BCADE");
    event("hide", F, 16);
    ck_assert_str_eq(hidden(), "CADEF");
    ck_assert_str_eq(list(), "");
    event("skip", B, 17); /* a type that hides and weighs does both */
    ck_assert_str_eq(hidden(), "ADEFB");
    ck_assert_str_eq(list(), "B");
}
END_TEST

START_TEST(history_holds_the_newest_and_time_only_for_recents) {
    for (uint32_t i = A; i <= F; i++)
        event("purchase", i, 10 + i);
    ck_assert_str_eq(list(), "FEDCB");
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(fx.cell.touches[i].t, 15 - (int64_t)i);
        ck_assert_int_eq(fx.cell.touches[i].weight, 5);
    }
    for (uint32_t i = 3; i < 5; i++) {
        ck_assert_int_eq(fx.cell.touches[i].t, 0);
        ck_assert_int_eq(fx.cell.touches[i].weight, 1);
    }
    event("view", C, 30); /* from beyond the recents to the front */
    ck_assert_str_eq(list(), "CFEDB");
    ck_assert_int_eq(fx.cell.touches[0].t, 30);
    ck_assert_int_eq(fx.cell.touches[3].t, 0);
}
END_TEST

START_TEST(limits_of_nothing_keep_nothing) {
    fx.rules.history = fx.rules.recents = fx.rules.ids_seen = fx.rules.pair_window = 0;
    event_with_id("x", A, 10, 10);
    event_with_id("x", B, 11, 11);
    event("hide", B, 12);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_str_eq(list(), "");
    ck_assert_str_eq(hidden(), "");
    ck_assert_uint_eq(fx.cell.session_count + fx.cell.id_count, 0);
    fx.rules.history = 2;
    event("view", A, 13);
    event("view", B, 14);
    ck_assert_uint_eq(pair_count(), 0);
    ck_assert_int_eq(fx.cell.touches[0].t, 0);
}
END_TEST

START_TEST(a_gap_by_effective_time_begins_a_new_session) {
    event("view", A, 100);
    event("view", B, 130); /* the gap is 30: exactly that goes on */
    ck_assert_uint_eq(fx.cell.session_count, 2);
    event("view", B, 135);
    ck_assert_uint_eq(fx.cell.session_count, 2);
    event("impression", F, 160); /* counts as a sign of life */
    reco__record late = record_of("view", 150);
    derive(&late, C, 190);
    ck_assert_uint_eq(fx.cell.session_count, 3);
    derive(&late, D, 221); /* its timestamp is near, r is not */
    ck_assert_uint_eq(fx.cell.session_count, 1);
    ck_assert_str_eq(list(), "DCBA");
    event("view", B, 222); /* from before the session into it */
    ck_assert_uint_eq(fx.cell.session_count, 2);
}
END_TEST

START_TEST(a_named_session_goes_on_whatever_the_gap) {
    event("view", A, 100);
    event_in_session("s", B, 101); /* differs from none */
    ck_assert_uint_eq(fx.cell.session_count, 1);
    event_in_session("s", C, 900);
    ck_assert_uint_eq(fx.cell.session_count, 2);
    event("view", D, 910); /* names none: goes on */
    ck_assert_uint_eq(fx.cell.session_count, 3);
    event_in_session("s", E, 911);
    ck_assert_uint_eq(fx.cell.session_count, 4);
    event_in_session("u", E, 912);
    ck_assert_uint_eq(fx.cell.session_count, 1);
    uint64_t hash = fx.cell.session_hash;
    ck_assert_uint_eq(hash, reco__hash64("u", 1, 0));
    event("view", A, 943); /* gap: a session without id */
    ck_assert_uint_eq(fx.cell.session_count, 1);
    ck_assert_uint_eq(fx.cell.session_hash, 0);
    event_in_session("u", A, 944);
    ck_assert_uint_eq(fx.cell.session_count, 1);
}
END_TEST

START_TEST(pairs_within_the_session_only) {
    fx.rules.pair_in_session = 1;
    event("view", A, 100);
    event("view", B, 110);
    ck_assert_int_eq(pair_at(0, A, B), 2520);
    event("view", C, 150);
    ck_assert_uint_eq(pair_count(), 0);
    event("view", D, 151);
    ck_assert_int_eq(pair_at(0, C, D), 2520);
    ck_assert_uint_eq(pair_count(), 2);
    event("view", A, 152); /* distance 1 is D, 2 is C; B belongs to the past */
    ck_assert_uint_eq(pair_count(), 4);
    ck_assert_uint_eq(fx.cell.session_count, 3);
}
END_TEST

static void assert_untouched_by_a_duplicate(const char *id, uint32_t item, int64_t r) {
    reco__buf before = {0}, after = {0};
    reco__cell_encode(&before, &fx.cell);
    event_with_id(id, item, r, r);
    reco__cell_encode(&after, &fx.cell);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_DUPLICATE);
    ck_assert_uint_eq(fx.group_count, 0);
    ck_assert_uint_eq(before.size, after.size);
    ck_assert_mem_eq(before.data, after.data, before.size);
    reco__buf_dispose(&before);
    reco__buf_dispose(&after);
}

START_TEST(a_duplicate_changes_nothing) {
    event_with_id("x", A, 1000, 1000);
    event_with_id("y", B, 1010, 1010);
    assert_untouched_by_a_duplicate("x", C, 1020);
    assert_untouched_by_a_duplicate("y", C, 1200); /* x is past its window; it stays until something counts */
    assert_untouched_by_a_duplicate("y", C, 1210); /* 200 after: still within */
    ck_assert_int_eq(fx.cell.last, 1010);
    event_with_id("y", C, 1211, 1211);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_uint_eq(fx.cell.id_count, 1); /* both old ones were dropped */
    ck_assert_str_eq(list(), "CBA");
}
END_TEST

START_TEST(ids_beyond_the_last_few_are_forgotten) {
    event_with_id("a", A, 1000, 1000);
    event_with_id("b", A, 1001, 1001);
    event_with_id("c", A, 1002, 1002);
    event("view", A, 1003); /* without id: takes no place */
    assert_untouched_by_a_duplicate("a", A, 1004);
    event_with_id("d", A, 1005, 1005);
    ck_assert_uint_eq(fx.cell.id_count, 3);
    assert_untouched_by_a_duplicate("b", A, 1006);
    event_with_id("a", A, 1007, 1007);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    event("view", A, 1206); /* an event without id drops those past their window: c at 1002 and d at 1005 */
    ck_assert_uint_eq(fx.cell.id_count, 1);
}
END_TEST

START_TEST(events_without_id_are_never_duplicates) {
    event("view", A, 10);
    event("view", A, 10);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_int_eq(sum_at(RECO_BOARD_HOURS, 0, 0, A), 1);
    ck_assert_uint_eq(fx.cell.id_count, 0);
}
END_TEST

START_TEST(a_cell_past_its_lifetime_is_empty) {
    fx.rules.ids_window = 100000;
    event_with_id("x", A, 1000, 1000);
    event("hide", B, 1000);
    ck_assert_int_eq(reco__cell_expires(&fx.cell, &fx.rules), 6000);
    assert_untouched_by_a_duplicate("x", A, 6000); /* last + lifetime is not before r */
    event_with_id("x", C, 6001, 6001);
    ck_assert_int_eq(fx.outcome, RECO__DERIVED_COUNTED);
    ck_assert_str_eq(list(), "C");
    ck_assert_str_eq(hidden(), "");
    ck_assert_uint_eq(pair_count(), 0);
    ck_assert_uint_eq(fx.cell.id_count, 1);
    ck_assert_uint_eq(fx.cell.session_count, 1);
}
END_TEST

START_TEST(extremes_of_time_do_not_overflow) {
    fx.rules.lifetime = fx.rules.session_gap = fx.rules.ids_window = INT64_MAX;
    event("view", A, 10);
    ck_assert_int_eq(reco__cell_expires(&fx.cell, &fx.rules), INT64_MAX);
    event("view", B, INT64_MAX - 100);
    ck_assert_str_eq(list(), "BA");
    ck_assert_uint_eq(fx.cell.session_count, 2);
    reco__cell_clear(&fx.cell);
    reco__record record = record_of("view", INT64_MIN);
    derive(&record, A, INT64_MIN); /* time begins at 1 */
    ck_assert_int_eq(fx.cell.last, 1);
    ck_assert_str_eq(list(), "A");
}
END_TEST


/* Three events and the sums, everything anew. */
static reco_status derive_some(void *context, reco_error *err) {
    const reco__learn_rules *rules = context;
    static const char *const kinds[] = {"view", "skip", "purchase", "hide"};
    reco__cell cell = {0};
    reco__adds *adds = reco__adds_create();
    reco_status status = adds ? RECO_OK : reco__no_memory(err);
    const reco_add_group *groups;
    size_t count, rows;
    int outcome;
    for (uint32_t i = 0; i < 40 && status == RECO_OK; i++) {
        reco__record record = record_of(kinds[i % 4], 10 + 200 * (int64_t)i);
        char id[2] = {(char)('a' + i), 0};
        record.event.event_id = reco__str_of(id);
        status = reco__learn_derive(&outcome, &cell, adds, rules, &record, i, record.received_at, err);
    }
    if (status == RECO_OK)
        status = reco__adds_finish(&groups, &count, &rows, adds, err);
    reco__cell_dispose(&cell);
    reco__adds_free(adds);
    return status;
}

START_TEST(every_allocation_may_fail) {
    reco__learn_rules rules = fx.rules;
    rules.history = rules.ids_seen = 100;
    rules.ids_window = 100000;
    teardown();
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(derive_some, &rules, false), 10);
    test_memory_restore();
    setup();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn: rules");
    TCase *tests = tcase_create("rules");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, popularity_goes_to_the_hour_and_the_day_of_the_timestamp);
    tcase_add_test(tests, no_timestamp_is_the_moment_of_receipt_not_the_effective_time);
    tcase_add_test(tests, an_add_behind_the_clock_goes_to_the_oldest_open_generation);
    tcase_add_test(tests, pairs_are_clamped_by_their_own_board);
    tcase_add_test(tests, an_early_event_goes_to_its_own_generation);
    tcase_add_test(tests, pairs_reach_the_last_distinct_other_items_both_ways);
    tcase_add_test(tests, pairs_skip_the_events_own_item_without_counting_it);
    tcase_add_test(tests, inverse_weight_falls_with_the_distance);
    tcase_add_test(tests, an_inverse_weight_of_nothing_adds_nothing);
    tcase_add_test(tests, a_low_rating_is_seen_only);
    tcase_add_test(tests, types_of_no_weight_leave_no_trace_but_time);
    tcase_add_test(tests, negative_weight_takes_popularity_away_and_never_pairs);
    tcase_add_test(tests, hidden_items_move_to_the_newest_and_the_oldest_goes);
    tcase_add_test(tests, history_holds_the_newest_and_time_only_for_recents);
    tcase_add_test(tests, limits_of_nothing_keep_nothing);
    tcase_add_test(tests, a_gap_by_effective_time_begins_a_new_session);
    tcase_add_test(tests, a_named_session_goes_on_whatever_the_gap);
    tcase_add_test(tests, pairs_within_the_session_only);
    tcase_add_test(tests, a_duplicate_changes_nothing);
    tcase_add_test(tests, ids_beyond_the_last_few_are_forgotten);
    tcase_add_test(tests, events_without_id_are_never_duplicates);
    tcase_add_test(tests, a_cell_past_its_lifetime_is_empty);
    tcase_add_test(tests, extremes_of_time_do_not_overflow);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
