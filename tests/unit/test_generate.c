/* The generator: the same stream for the same seed, valid events, and the shares that were asked for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <reco/generate.h>

#include "base/base.h"
#include "model/event.h"
#include "model/zipf.h"
#include "support/support.h"

enum { HOUR = 3600000, MINUTE = 60000 };

static reco_generator *open_generator(const reco_generator_options *options) {
    reco_generator *generator;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_generator_create(&generator, options, &err), &err);
    return generator;
}

static uint64_t add_str(uint64_t sum, reco_str text) { return reco__hash64(text.data, text.size, sum + text.size); }

/* One number for a whole stream. */
static uint64_t checksum(const reco_generator_options *options, uint64_t *count) {
    reco_generator *generator = open_generator(options);
    reco_event event;
    int64_t at;
    uint64_t sum = 0;
    for (*count = 0; reco_generator_next(&event, &at, generator) == RECO_OK; ++*count) {
        const int64_t numbers[] = {at, event.timestamp, event.position, event.flags, (int64_t)(event.value * 100)};
        sum = add_str(add_str(add_str(sum, event.user_id), event.item_id), event.event_type);
        sum = add_str(add_str(sum, event.session_id), event.event_id);
        sum = reco__hash64(numbers, sizeof numbers, sum);
    }
    test_status(RECO_NOT_FOUND, reco_generator_next(&event, &at, generator));
    reco_generator_free(generator);
    return sum;
}

static reco_generator_options troubled(uint64_t events) {
    reco_generator_options o = {.struct_size = sizeof o, .events = events, .users = 3000, .items = 2000, .seed = 7};
    o.duration = (int64_t)events * 100;
    o.late = .08;
    o.early = .04;
    o.duplicate = .1;
    o.reordered = .05;
    o.drift = .5;
    return o;
}

START_TEST(the_same_seed_gives_the_same_stream) {
    reco_generator_options o = troubled(20000);
    uint64_t count, first = checksum(&o, &count);
    ck_assert_uint_eq(count, 20000);
    ck_assert_uint_eq(checksum(&o, &count), first);
    o.seed = 8;
    ck_assert_uint_ne(checksum(&o, &count), first);
    ck_assert_uint_eq(first, UINT64_C(12447437341270729148)); /* on every machine and in every release of the 0.1 line */
}
END_TEST

START_TEST(defaults_give_a_stream) {
    uint64_t count;
    ck_assert_uint_ne(checksum(NULL, &count), 0);
    ck_assert_uint_eq(count, 100000);
}
END_TEST

/* What a stream was made of. */
typedef struct tally {
    uint64_t events, late, too_late, early, too_early, again, back, sessions, open_most;
    uint64_t kinds[16];
} tally;

static const reco__event_type types[] = {{"view", 1, 0, 0},   {"click", 1, 0, 0},      {"cart", 3, 0, 0}, {"purchase", 5, 0, 0},
                                         {"rating", 1, 0, 0}, {"impression", 0, 0, 0}, {"like", 2, 0, 0}, {"dislike", 0, 1, 0},
                                         {"hide", 0, 1, 0}};
enum { TYPES = sizeof types / sizeof *types };

static void tally_kind(tally *t, const reco_event *event) {
    for (size_t i = 0; i < TYPES; i++)
        t->kinds[i] += reco__str_equal(event->event_type, reco__str_of(types[i].name));
}

static void tally_time(tally *t, int64_t late) {
    t->late += late >= 5000 && late <= HOUR;
    t->too_late += late > HOUR;
    t->early += late < 0 && late >= -MINUTE;
    t->too_early += late < -MINUTE;
}

/* Remembers what each event id stood for, to see that a repetition is whole. */
typedef struct first {
    uint64_t hash;
    int64_t at;
} first;

static uint64_t hash_of(const reco_event *event) {
    const int64_t numbers[] = {event->timestamp, event->position, event->flags, (int64_t)(event->value * 100)};
    uint64_t sum = add_str(add_str(add_str(0, event->user_id), event->item_id), event->event_type);
    return reco__hash64(numbers, sizeof numbers, add_str(sum, event->session_id));
}

/* 1 for a repetition. */
static bool is_again(reco__map *seen, first *firsts, const reco_event *event, int64_t at) {
    bool added;
    uint32_t index = reco__map_put(seen, event->event_id.data, event->event_id.size, &added);
    ck_assert_uint_ne(index, RECO__MAP_NONE);
    if (added) {
        firsts[index] = (first){hash_of(event), at};
        return false;
    }
    ck_assert(firsts[index].hash == hash_of(event) && at - firsts[index].at < HOUR);
    return true;
}

static tally count_stream(const reco_generator_options *options, uint64_t events) {
    reco_generator *generator = open_generator(options);
    reco_error err = RECO_ERROR_INIT;
    reco__map seen = {0}, sessions = {0};
    first *firsts = calloc(events, sizeof *firsts);
    reco_event event;
    tally t = {0};
    int64_t at, newest = 0;
    while (reco_generator_next(&event, &at, generator) == RECO_OK) {
        bool again = is_again(&seen, firsts, &event, at);
        test_ok(reco__event_check(&event, -1, types, TYPES, &err), &err);
        t.events++;
        t.again += again;
        t.back += at < newest;
        ck_assert_int_ge(at, newest - 30000);
        newest = at > newest ? at : newest;
        if (again)
            continue;
        tally_kind(&t, &event);
        tally_time(&t, at - event.timestamp);
        reco__map_put(&sessions, event.session_id.data, event.session_id.size, NULL);
    }
    t.sessions = sessions.count;
    reco__map_dispose(&seen);
    reco__map_dispose(&sessions);
    free(firsts);
    reco_generator_free(generator);
    return t;
}

static void assert_share(uint64_t part, uint64_t whole, double expected) {
    double share = (double)part / (double)whole, slack = 5 * sqrt(expected * (1 - expected) / (double)whole) + 1e-9;
    ck_assert_msg(share > expected - slack && share < expected + slack, "a share of %.4f, expected %.4f +- %.4f", share, expected, slack);
}

START_TEST(events_are_valid_and_shares_as_asked) {
    enum { EVENTS = 60000 };
    reco_generator_options o = troubled(EVENTS);
    tally t = count_stream(&o, EVENTS);
    uint64_t fresh = t.events - t.again;
    ck_assert_uint_eq(t.events, EVENTS);
    assert_share(t.again, t.events, .1);
    assert_share(t.late, fresh, .06);
    assert_share(t.too_late, fresh, .02);
    assert_share(t.early, fresh, .03);
    assert_share(t.too_early, fresh, .01);
    ck_assert_uint_gt(t.back, EVENTS / 25); /* 5 %, less those that were behind none */
    ck_assert_uint_le(t.back, EVENTS / 18);
    assert_share(t.kinds[0], fresh, .64);
    for (size_t i = 1; i < TYPES; i++)
        ck_assert_uint_gt(t.kinds[i], fresh / 200);
    ck_assert_uint_gt(fresh / t.sessions, 6);
    ck_assert_uint_lt(fresh / t.sessions, 10);
}
END_TEST

START_TEST(no_trouble_unless_asked) {
    enum { EVENTS = 30000 };
    reco_generator_options o = {.struct_size = sizeof o, .events = EVENTS, .duration = 3000000};
    tally t = count_stream(&o, EVENTS);
    ck_assert_uint_eq(t.late + t.too_late + t.early + t.too_early + t.again + t.back, 0);
    assert_share(t.kinds[0], EVENTS, .64);
}
END_TEST

START_TEST(all_trouble_when_asked) {
    enum { EVENTS = 5000 };
    reco_generator_options o = {.struct_size = sizeof o, .events = EVENTS, .duration = 50000, .late = .5, .early = .5, .reordered = 1};
    o.session_events = 1;
    tally t = count_stream(&o, EVENTS);
    ck_assert_uint_eq(t.late + t.too_late + t.early + t.too_early, EVENTS);
    ck_assert_uint_eq(t.sessions, EVENTS);
    o.duplicate = 1;
    ck_assert_uint_eq(count_stream(&o, EVENTS).again, EVENTS - 1);
}
END_TEST

/* How many sessions are between their first and last event, at most. */
START_TEST(hundreds_of_sessions_overlap) {
    enum { EVENTS = 40000 };
    reco_generator_options o = {.struct_size = sizeof o, .events = EVENTS, .duration = EVENTS * 200};
    reco_generator *generator = open_generator(&o);
    reco__map sessions = {0};
    static uint32_t begins[EVENTS], ends[EVENTS];
    static int32_t change[EVENTS + 1];
    reco_event event;
    int64_t at;
    for (uint32_t i = 0; reco_generator_next(&event, &at, generator) == RECO_OK; i++) {
        bool added;
        uint32_t index = reco__map_put(&sessions, event.session_id.data, event.session_id.size, &added);
        begins[index] = added ? i : begins[index];
        ends[index] = i;
    }
    for (size_t s = 0; s < sessions.count; s++) {
        change[begins[s]]++;
        change[ends[s] + 1]--;
    }
    int32_t open = 0, most = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        open += change[i];
        most = open > most ? open : most;
    }
    ck_assert_int_gt(most, 300);
    reco__map_dispose(&sessions);
    reco_generator_free(generator);
}
END_TEST

START_TEST(without_ids) {
    reco_generator_options o = {.struct_size = sizeof o, .events = 100, .no_ids = 1};
    reco_generator *generator = open_generator(&o);
    reco_event event;
    int64_t at;
    while (reco_generator_next(&event, &at, generator) == RECO_OK)
        ck_assert_uint_eq(event.event_id.size, 0);
    reco_generator_free(generator);
}
END_TEST

static int more(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

static uint32_t number_of(reco_str id) {
    uint32_t number = 0;
    for (size_t i = 1; i < id.size; i++)
        number = number * 10 + (uint32_t)(id.data[i] - '0');
    return number;
}

/* How often each item is viewed, the most frequent first, over a stretch of the stream. */
static uint32_t *view_counts(const reco_generator_options *o, uint64_t from, uint64_t to, bool sorted) {
    uint32_t *counts = calloc(o->items, sizeof *counts);
    reco_generator *generator = open_generator(o);
    reco_event event;
    int64_t at;
    for (uint64_t i = 0; reco_generator_next(&event, &at, generator) == RECO_OK; i++)
        if (i >= from && i < to && event.event_type.data[0] == 'v')
            counts[number_of(event.item_id) - 1]++;
    if (sorted)
        qsort(counts, o->items, sizeof *counts, more);
    reco_generator_free(generator);
    return counts;
}

START_TEST(items_of_a_cluster_follow_zipf) {
    enum { EVENTS = 300000, ITEMS = 1000 };
    reco_generator_options o = {.struct_size = sizeof o, .events = EVENTS, .items = ITEMS, .clusters = 1, .zipf = 1.0};
    uint32_t *counts = view_counts(&o, 0, EVENTS, true);
    double all = 0, harmonic = 0;
    for (int i = 0; i < ITEMS; i++) {
        all += counts[i];
        harmonic += 1.0 / (i + 1);
    }
    for (int rank = 1; rank <= 20; rank++) {
        double expected = 1 / harmonic / rank, share = counts[rank - 1] / all;
        ck_assert_msg(fabs(share / expected - 1) < .1, "rank %d: share %.4f, expected %.4f", rank, share, expected);
    }
    double tail = 0, tail_expected = 0;
    for (int rank = 501; rank <= ITEMS; rank++) {
        tail += counts[rank - 1] / all;
        tail_expected += 1 / harmonic / rank;
    }
    ck_assert(fabs(tail / tail_expected - 1) < .05);
    free(counts);
}
END_TEST

START_TEST(drift_makes_other_items_popular) {
    enum { EVENTS = 100000, ITEMS = 100 };
    reco_generator_options o = {.struct_size = sizeof o, .events = EVENTS, .items = ITEMS, .clusters = 1};
    for (int drifting = 0; drifting < 2; drifting++) {
        o.drift = drifting;
        uint32_t *early = view_counts(&o, 0, EVENTS / 10, false), *late = view_counts(&o, EVENTS * 9 / 10, EVENTS, false);
        uint32_t first_early = 0, first_late = 0;
        for (uint32_t i = 1; i < ITEMS; i++) {
            first_early = early[i] > early[first_early] ? i : first_early;
            first_late = late[i] > late[first_late] ? i : first_late;
        }
        ck_assert_int_eq(first_early == first_late, !drifting);
        free(early);
        free(late);
    }
}
END_TEST

START_TEST(the_table_gives_each_rank_its_weight) {
    static const double exponents[] = {.01, .7, 1, 2.5, 10};
    static const uint32_t counts[] = {1, 2, 3, 10, 257};
    for (size_t e = 0; e < 5; e++)
        for (size_t c = 0; c < 5; c++) {
            double share[257] = {0}, sum = 0;
            reco__zipf zipf;
            test_status(RECO_OK, reco__zipf_init(&zipf, counts[c], exponents[e], NULL));
            for (uint32_t i = 0; i < zipf.count; i++) {
                double own = ((double)zipf.columns[i].threshold + 1) / 4294967296.0;
                ck_assert_uint_lt(zipf.columns[i].other, zipf.count);
                share[i] += own / zipf.count;
                share[zipf.columns[i].other] += (1 - own) / zipf.count;
                sum += pow(i + 1, -exponents[e]);
            }
            for (uint32_t i = 0; i < zipf.count; i++)
                ck_assert_msg(fabs(share[i] - pow(i + 1, -exponents[e]) / sum) < 1e-6, "%u of %u: %g", i, zipf.count, share[i]);
            reco__zipf_dispose(&zipf);
        }
}
END_TEST

START_TEST(options_out_of_range_are_refused_by_name) {
    static const struct {
        const char *field;
        reco_generator_options options;
    } cases[] = {
        {"options", {.struct_size = 0}},
        {"late", {.late = -.1}},
        {"late", {.late = .6, .early = .5}},
        {"early", {.early = 1.1}},
        {"duplicate", {.duplicate = 2}},
        {"reordered", {.reordered = NAN}},
        {"drift", {.drift = -1}},
        {"zipf", {.zipf = -1}},
        {"zipf", {.zipf = NAN}},
        {"session_events", {.session_events = .5}},
        {"start", {.start = -1}},
        {"start", {.start = RECO__TIME_MAX + 1}},
        {"duration", {.duration = -1}},
        {"duration", {.duration = INT64_MAX}},
        {"no_ids", {.no_ids = 2}},
        {"reserved", {.reserved = 1}},
        {"items", {.items = 4000000000u}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco_generator_options o = cases[i].options;
        reco_error err = RECO_ERROR_INIT;
        reco_generator *generator = (void *)&o;
        o.struct_size = i == 0 ? 0 : sizeof o;
        test_status(RECO_INVALID, reco_generator_create(&generator, &o, &err));
        ck_assert_str_eq(err.field, cases[i].field);
        ck_assert_ptr_null(generator);
    }
    reco_generator_free(NULL);
}
END_TEST

static reco_status some_events(void *context, reco_error *err) {
    reco_generator *generator;
    reco_event event;
    int64_t at;
    reco_status status = reco_generator_create(&generator, context, err);
    for (int i = 0; i < 100 && status == RECO_OK; i++)
        status = reco_generator_next(&event, &at, generator);
    reco_generator_free(generator);
    return status;
}

START_TEST(every_allocation_may_fail) {
    reco_generator_options o = troubled(1000);
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(some_events, &o, false), 4);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("generate");
    TCase *tests = tcase_create("generate");
    tcase_add_test(tests, the_same_seed_gives_the_same_stream);
    tcase_add_test(tests, defaults_give_a_stream);
    tcase_add_test(tests, events_are_valid_and_shares_as_asked);
    tcase_add_test(tests, no_trouble_unless_asked);
    tcase_add_test(tests, all_trouble_when_asked);
    tcase_add_test(tests, hundreds_of_sessions_overlap);
    tcase_add_test(tests, without_ids);
    tcase_add_test(tests, items_of_a_cluster_follow_zipf);
    tcase_add_test(tests, drift_makes_other_items_popular);
    tcase_add_test(tests, the_table_gives_each_rank_its_weight);
    tcase_add_test(tests, options_out_of_range_are_refused_by_name);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
