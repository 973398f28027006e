/* tests/integration/test_exact.c - learned = replayed, on a generated stream with late, early, repeated and re-ordered events over ten days, under
 * settings tight enough that generations close, are cut and expire and that cells go: the same state hash by every road. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <reco/generate.h>

#include "engine/engine.h"
#include "exact.h"

#define DAY INT64_C(86400000)
#define MINUTE 60000
#define GRAIN (5 * MINUTE) /* the clock of receipt goes in such steps here, so that calls carry more than one event */

static const char *const settings[] = {"coview.length",
                                       "1d",
                                       "coview.kept",
                                       "3",
                                       "coview.cut",
                                       "8",
                                       "coview.head",
                                       "6",
                                       "coview.halving",
                                       "1",
                                       "pairs.window",
                                       "6",
                                       "cell.lifetime",
                                       "2d",
                                       "cell.history",
                                       "60",
                                       "cell.recents",
                                       "10",
                                       "cell.ids_seen",
                                       "24",
                                       "cell.ids_window",
                                       "2h",
                                       "popularity.hours_kept",
                                       "30",
                                       "popularity.days_kept",
                                       "4",
                                       "recommend.window_days",
                                       "4d",
                                       NULL};

static exact at;

/* --- taking the stream in ------------------------------------------------------------------------------------------------------------------- */

enum { CALL_EVENTS = 2000 };

typedef struct feed {
    reco_engine *engine;
    exact_facts *facts;
    reco_event events[CALL_EVENTS];
    reco_error errors[CALL_EVENTS];
    size_t count;
    int64_t received_at;
    reco__arena strings;
    reco__map users;
} feed;

static reco_str keep(feed *to, reco_str text) { return (reco_str){reco__arena_copy(&to->strings, text.data ? text.data : "", text.size), text.size}; }

static void flush(feed *to) {
    reco_error err = RECO_ERROR_INIT;
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_ingest_options options = {.struct_size = sizeof options, .errors = to->errors, .errors_room = CALL_EVENTS, .received_at = to->received_at};
    bool refused[CALL_EVENTS] = {false};

    if (to->count == 0) {
        return;
    }
    reco_status status = reco_ingest(&receipt, to->engine, to->events, to->count, sizeof *to->events, &options, NULL, &err);
    if (receipt.accepted + receipt.rejected != to->count || receipt.error_count != receipt.rejected || (status != RECO_OK && receipt.accepted)) {
        test_child_fail("ingest", &err);
    }
    for (uint32_t i = 0; i < receipt.error_count; i++) {
        refused[to->errors[i].index] = true;
        to->facts->late += to->errors[i].status == RECO_TOO_LATE;
        to->facts->early += to->errors[i].status == RECO_TOO_EARLY;
        to->facts->other += to->errors[i].status != RECO_TOO_LATE && to->errors[i].status != RECO_TOO_EARLY;
    }
    for (size_t i = 0; i < to->count; i++) {
        if (!refused[i]) {
            reco__map_put(&to->users, to->events[i].user_id.data, to->events[i].user_id.size, NULL);
        }
    }
    to->facts->accepted += receipt.accepted;
    to->facts->sent += to->count;
    to->count = 0;
    reco__arena_reset(&to->strings);
}

static void take(feed *to, const reco_event *given, int64_t received_at) {
    if (to->count == CALL_EVENTS || (to->count && received_at != to->received_at)) {
        flush(to);
    }
    reco_event *event = &to->events[to->count++];
    *event = *given;
    event->user_id = keep(to, given->user_id);
    event->item_id = keep(to, given->item_id);
    event->event_type = keep(to, given->event_type);
    event->session_id = keep(to, given->session_id);
    event->event_id = keep(to, given->event_id);
    to->received_at = received_at;
}

static void fill(reco_engine *source, exact_facts *facts) {
    reco_error err = RECO_ERROR_INIT;
    reco_generator *generator = NULL;
    reco_generator_options options = {.struct_size = sizeof options,
                                      .items = 2000,
                                      .users = test_full() ? 40000 : 4000,
                                      .seed = 20260301,
                                      .events = test_full() ? 2000000 : 200000,
                                      .duration = 10 * DAY,
                                      .drift = 0.5,
                                      .late = 0.05,
                                      .early = 0.02,
                                      .duplicate = 0.04,
                                      .reordered = 0.02};
    feed *to = calloc(1, sizeof *to);
    reco_event event;
    int64_t received_at;
    uint64_t number = 0;

    if (!to || reco_generator_create(&generator, &options, &err) != RECO_OK) {
        test_child_fail("generator", &err);
    }
    to->engine = source;
    to->facts = facts;
    while (reco_generator_next(&event, &received_at, generator) == RECO_OK) {
        number++;
        if (number % 200 == 0) { /* from a collector that runs 40 minutes behind; every other one of an event that was old already */
            received_at -= 40 * MINUTE;
            event.timestamp -= number % 400 == 0 ? 90 * MINUTE : 40 * MINUTE;
        }
        take(to, &event, (received_at + GRAIN - 1) / GRAIN * GRAIN);
    }
    flush(to);
    facts->users = to->users.count;
    reco_generator_free(generator);
    reco__map_dispose(&to->users);
    reco__arena_dispose(&to->strings);
    free(to);
}

static void setup(void) { exact_begin(&at, settings, fill); }
static void teardown(void) { exact_end(&at); }

/* --- what the stream holds ------------------------------------------------------------------------------------------------------------------ */

/* A look at the store as it lies, in the middle and at the end. */
typedef struct look {
    const reco_board_rules *rules;
    uint64_t long_rows; /* co-view rows longer than a closed one may be */
    int64_t oldest[RECO_BOARD_COUNT], newest_closed[RECO_BOARD_COUNT];
    uint32_t board, item;
    int64_t generation;
    size_t entries;
} look;

static int look_state(void *context, const reco_features_info *info, const reco_position *positions) {
    look *to = context;
    int64_t clock = INT64_MAX;
    for (uint32_t p = 0; p < info->partitions; p++) {
        clock = positions[p].clock < clock ? positions[p].clock : clock;
    }
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        to->newest_closed[board] = reco_board_newest_closed(to->rules, board, clock);
        to->oldest[board] = INT64_MAX;
    }
    return 0;
}

static int look_row(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    look *to = context;
    reco_entry entries[4096];
    size_t count = 0;
    bool same = to->entries && board == to->board && generation == to->generation && item == to->item;
    ck_assert_int_eq(reco_board_unpack(&count, entries, 4096, packed, size), RECO_OK);
    size_t before = same ? to->entries : 0;
    to->long_rows += board == RECO_BOARD_COVIEW && before <= to->rules->cut && before + count > to->rules->cut;
    to->entries = before + count;
    to->board = board;
    to->generation = generation;
    to->item = item;
    to->oldest[board] = generation < to->oldest[board] ? generation : to->oldest[board];
    return 0;
}

static look look_at(reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    look to = {.rules = &engine->rules.boards};
    reco_features_visitor visitor = {.context = &to, .state = look_state, .row = look_row};
    test_ok(reco__features_settle(engine->features, NULL, &err), &err);
    test_ok(reco__features_scan(engine->features, &visitor, NULL, &err), &err);
    return to;
}

/* All that the rules have to deal with does happen in this stream; otherwise the roads would prove little. */
START_TEST(stream_has_it_all)
{
    const exact_facts *facts = at.facts;
    reco_engine *engine = exact_copy(&at, NULL, 0);

    ck_assert_uint_eq(facts->sent, test_full() ? 2000000 : 200000);
    ck_assert_uint_eq(facts->accepted + facts->late + facts->early, facts->sent);
    ck_assert_uint_eq(facts->other, 0);
    ck_assert_uint_gt(facts->late, facts->sent / 1000);
    ck_assert_uint_gt(facts->early, facts->sent / 1000);
    ck_assert_uint_eq(facts->learned.events, facts->accepted);
    ck_assert_uint_eq(facts->learned.records, facts->records);
    ck_assert_uint_gt(facts->records, facts->learned.events); /* ticks */
    ck_assert_uint_gt(facts->learned.duplicates, facts->sent / 1000);
    ck_assert_uint_gt(facts->learned.clamped, 100);
    ck_assert_msg(facts->cells + 100 < facts->users, "cells that expired: %lu of %lu are there", (unsigned long)facts->cells,
                  (unsigned long)facts->users);

    test_engine_learn_some(engine, 2000, facts->records / 2);
    look middle = look_at(engine);
    test_engine_learn(engine, 20000, NULL);
    look end = look_at(engine);
    ck_assert_msg(middle.long_rows > 100, "rows longer than the cut in the middle: %lu", (unsigned long)middle.long_rows);
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        ck_assert_msg(end.newest_closed[board] >= middle.newest_closed[board] + 3, "board %u: too few closings", board);
        ck_assert_msg(reco_board_expired(end.rules, board, middle.oldest[board], end.newest_closed[board]), "board %u: nothing expired", board);
        ck_assert_msg(!reco_board_expired(end.rules, board, end.oldest[board], end.newest_closed[board]), "board %u: what expired is still there",
                      board);
    }
    printf(
        "stream: %lu events, %lu accepted, %lu too late, %lu too early, %lu duplicates, %lu clamped, %lu records, %lu of %lu cells, %lu long rows\n",
        (unsigned long)facts->sent, (unsigned long)facts->accepted, (unsigned long)facts->late, (unsigned long)facts->early,
        (unsigned long)facts->learned.duplicates, (unsigned long)facts->learned.clamped, (unsigned long)facts->records, (unsigned long)facts->cells,
        (unsigned long)facts->users, (unsigned long)middle.long_rows);
    exact_check_close(&at, engine);
}
END_TEST

/* --- the roads ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(one_process_on_lmdb)
{ exact_check_close(&at, test_engine_open(at.source, 0, settings)); }
END_TEST

START_TEST(four_processes_on_lmdb_one_killed)
{ exact_four_processes(&at); }
END_TEST

START_TEST(memory_one_thread)
{ exact_memory_threads(&at, 1, 20000); }
END_TEST

START_TEST(memory_four_threads)
{ exact_memory_threads(&at, 4, 1000); }
END_TEST

START_TEST(batches_of_100)
{ exact_batches(&at, NULL, 100); }
END_TEST

START_TEST(batches_of_1)
{
    exact_batches_of_one(&at, NULL, test_full() ? 50000 : 5000);
    exact_batches_of_one(&at, "one", test_full() ? 20000 : 2000);
}
END_TEST

START_TEST(from_a_snapshot_in_the_middle)
{ exact_snapshot(&at); }
END_TEST

int main(void) {
    Suite *suite = suite_create("exact");
    TCase *roads = tcase_create("roads");

    tcase_add_unchecked_fixture(roads, setup, teardown);
    tcase_add_test(roads, stream_has_it_all);
    tcase_add_test(roads, one_process_on_lmdb);
    tcase_add_test(roads, four_processes_on_lmdb_one_killed);
    tcase_add_test(roads, memory_one_thread);
    tcase_add_test(roads, memory_four_threads);
    tcase_add_test(roads, batches_of_100);
    tcase_add_test(roads, batches_of_1);
    tcase_add_test(roads, from_a_snapshot_in_the_middle);
    suite_add_tcase(suite, roads);
    return test_run(suite);
}
