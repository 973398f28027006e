/* test_recommend.c - answers computed by hand: scores, filters, ties, other moments, fallback, sessions, what is popular, ids. */
#include "recommend_fixture.h"

#define MICRO 1e6
#define UNIT 2520

/* User 0 looked at item 1, then at 0; both have rows. */
static void small_world(world *w, const fixture *f) {
    memset(w, 0, sizeof(*w));
    w->items = 8;
    w->open[0][2] = 4 * UNIT;
    w->open[0][3] = UNIT;
    w->closed[0][3] = 2 * UNIT;
    w->open[1][3] = UNIT;
    w->open[1][4] = 3 * UNIT;
    w->user_count = 2;
    w->users[0] = (struct world_user){.touch_count = 2, .session_count = 2, .touches = {{0, 1, f->now - 1000}, {1, 1, f->now - 5000}}};
}

static int64_t near(double value) { return (int64_t)(value + 0.5); }

START_TEST(scores_by_hand)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.days[2] = 32;
    w.hours[5] = 10;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});

    /* open sums weigh 2, closed ones 1; norm: square root of the row's sum; the older item exp(-1/5) */
    double norm0 = sqrt(UNIT * (8 + 2 + 2)), norm1 = sqrt(UNIT * (2 + 6)), older = exp(-0.2);
    double two = UNIT * 8 / norm0 * pow(32, -0.2), three = UNIT * 4 / norm0 + older * UNIT * 2 / norm1, four = older * UNIT * 6 / norm1;
    double best = fmax(two, fmax(three, four));
    /* popularity: item 5 is the most popular by hours, 2 by days: 1 each; 10,000 micro-units */
    double expected[8] = {0, 0, two / best * MICRO + 10000, three / best * MICRO, four / best * MICRO, 10000};
    ck_assert_uint_eq(answer->count, 4);
    for (size_t i = 0; i < answer->count; i++) {
        uint32_t index = index_of(answer->items[i].item_id);
        ck_assert_msg(llabs(answer->items[i].score - near(expected[index])) <= 1, "item %u: %lld, expected %lld", index,
                      (long long)answer->items[i].score, (long long)near(expected[index]));
    }
    ck_assert_uint_eq(answer->flags, 0);
    ck_assert_uint_eq(answer->candidates, 4);
    check_reasons(answer);
    ck_assert_str_eq(answer->scenario.data, "default");
    fixture_close(&f);
}
END_TEST

START_TEST(reasons_name_what_was_seen)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
    const reco_answer_item *item = NULL;
    for (size_t i = 0; i < answer->count; i++) {
        item = index_of(answer->items[i].item_id) == 3 ? &answer->items[i] : item;
    }
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->reason_count, 2); /* from 0 and from 1; nothing is popular */
    double from0 = 4 / sqrt(12), from1 = exp(-0.2) * 2 / sqrt(8);
    bool first0 = from0 > from1;
    ck_assert_uint_eq(index_of(item->reasons[0].because), first0 ? 0 : 1);
    ck_assert_uint_eq(index_of(item->reasons[1].because), first0 ? 1 : 0);
    ck_assert(llabs(item->reasons[0].score - near((double)item->score * fmax(from0, from1) / (from0 + from1))) <= 1);
    ck_assert_uint_eq(item->reasons[0].kind, RECO_REASON_COVIEW);
    ck_assert_str_eq(item->reasons[0].source.data, "coview");
    answer = ask(&f, 0, (reco_query){.flags = RECO_QUERY_NO_REASONS});
    ck_assert_uint_eq(answer->items[0].reason_count, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(seen_and_hidden_stay_out)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.open[0][1] = 50 * UNIT;
    w.users[0].touches[2] = (reco__touch){4, 0, 0}; /* only seen */
    w.users[0].touch_count = 3;
    w.users[0].hidden[0] = 2;
    w.users[0].hidden_count = 1;
    for (int i = 0; i < 8; i++) {
        w.days[i] = 1;
    }
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert_uint_eq(index_of(answer->items[0].item_id), 3);
    ck_assert_uint_eq(answer->count, 4);    /* 3, and 5, 6, 7 for being popular */
    ck_assert_uint_eq(answer->filtered, 3); /* 1, 2 and 4 came from rows */
    f.settings.filter_seen = 0;
    fixture_start(&f);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert_uint_eq(answer->count, 7); /* all but the hidden one */
    ck_assert_uint_eq(answer->filtered, 1);
    fixture_close(&f);
}
END_TEST

/* Item 1 is the best there is, 3 the next, then 4, then 2 only when 4 is out. */
START_TEST(availability_follows_records)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    put_item(&f, 4, RECO_ITEM_HIDDEN, 0, 0, NULL); /* known before the first question */
    world_load(&f, &w, NULL);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 2);
    ck_assert_uint_eq(f.answer->filtered, 1);
    put_item(&f, 4, 0, 0, 0, NULL); /* and each change counts in the next answer */
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 3);
    put_item(&f, 3, 0, f.now + 1, 0, NULL);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 2);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){.as_of = f.now + 1})->count, 3);
    put_item(&f, 2, 0, f.now - 10, f.now, NULL); /* until is exclusive */
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 1);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){.as_of = f.now - 1})->count, 2);
    delete_item(&f, 2);
    delete_item(&f, 3);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 3);
    put_item(&f, 3, RECO_ITEM_HIDDEN, 0, 0, NULL);
    f.settings.filter_availability = 0;
    fixture_start(&f);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 3);
    fixture_close(&f);
}
END_TEST

/* An item gets its number after everything was loaded; its record was there before. */
START_TEST(new_numbers_are_looked_up)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    put_item(&f, 9, RECO_ITEM_HIDDEN, 0, 0, NULL);
    world_load(&f, &w, NULL);
    ask(&f, 0, (reco_query){0});

    char room[2][16];
    uint32_t numbers[2];
    reco_str names[2] = {item_name(room[0], 9), item_name(room[1], 10)};
    test_ok(reco__features_intern(numbers, f.features, names, 2, NULL, &f.err), &f.err);
    reco_add adds[2] = {{f.numbers[0], numbers[0], 100 * UNIT}, {f.numbers[0], numbers[1], 90 * UNIT}};
    reco_add_group group = {RECO_BOARD_COVIEW, 0, 100, adds, 2};
    reco_features_info info = {.struct_size = sizeof(info)};
    test_ok(reco__features_info(&info, f.features, NULL, &f.err), &f.err);
    reco_batch batch = {
        .struct_size = sizeof(batch), .partition = 0, .epoch = info.epoch, .from = 10, .to = 11, .clock = f.now, .groups = &group, .group_count = 1};
    test_ok(reco__features_apply(f.features, &batch, NULL, &f.err), &f.err);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 1});
    ck_assert_uint_eq(answer->count, 1);
    ck_assert_uint_eq(index_of(answer->items[0].item_id), 10);
    const reco__place *places;
    ck_assert_uint_eq(reco__answer_where(&places, answer), 1);
    ck_assert_int_eq(places[0].position.offset, 11);
    ck_assert_uint_eq(places[0].partition, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(ties_go_by_the_hash_of_the_name)
{
    fixture f;
    world w = {.items = 40, .user_count = 1};
    uint32_t order[40];
    fixture_open(&f, "default");
    w.users[0] = (struct world_user){.touch_count = 1, .touches = {{0, 1, f.now}}};
    for (uint32_t i = 1; i < 40; i++) {
        w.open[0][i] = UNIT;
    }
    fixture_start(&f);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            order[i] = round == 0 ? i : 39 - i;
        }
        world_load(&f, &w, order);
        const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 15});
        ck_assert_uint_eq(answer->count, 15);
        uint64_t before = 0;
        uint32_t smaller = 0;
        for (size_t i = 0; i < 15; i++) {
            uint64_t hash = reco__hash64(answer->items[i].item_id.data, answer->items[i].item_id.size, 0);
            ck_assert_uint_ge(hash, before);
            before = hash;
        }
        for (uint32_t i = 1; i < 40; i++) { /* exactly 15 have a hash up to the last one's */
            char room[16];
            reco_str name = item_name(room, i);
            smaller += reco__hash64(name.data, name.size, 0) <= before;
        }
        ck_assert_uint_eq(smaller, 15);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(as_of_leaves_later_touches_out)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 0, (reco_query){.as_of = f.now - 2000}); /* item 0 was not looked at yet; it counts as seen all the same */
    check_items(answer, (const uint32_t[]){4, 3}, 2);
    ck_assert_int_eq(answer->items[0].score, 1000000);
    ck_assert_int_eq(answer->as_of, f.now - 2000);
    answer = ask(&f, 0, (reco_query){.as_of = f.now - 6000}); /* neither was; nothing is popular */
    ck_assert_uint_eq(answer->count, 0);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_FALLBACK);
    fixture_close(&f);
}
END_TEST

START_TEST(unknown_users_get_what_is_popular)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.hours[5] = 10;
    w.days[5] = 10;
    w.hours[6] = 8;
    w.days[6] = 10;
    w.days[7] = 1;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 1, (reco_query){0}); /* user 1 has a cell without touches, user 7 none */
    check_items(answer, (const uint32_t[]){5, 6, 7}, 3);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_FALLBACK);
    ck_assert_int_eq(answer->items[0].score, 1000000);
    ck_assert_int_eq(answer->items[1].score, 900000);
    ck_assert_int_eq(answer->items[2].score, 50000);
    check_reasons(answer);
    answer = ask(&f, 7, (reco_query){.limit = 2});
    check_items(answer, (const uint32_t[]){5, 6}, 2);
    fixture_close(&f);
}
END_TEST

START_TEST(expired_cells_are_gone)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.users[0].last = f.now - f.rules.lifetime;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->count, 3);
    w.users[0].last--;
    world_load(&f, &w, NULL);
    ck_assert_uint_eq(ask(&f, 0, (reco_query){0})->flags, RECO_ANSWER_FALLBACK);
    fixture_close(&f);
}
END_TEST

/* The preset, but for what makes sums easy: only the running session counts, rows by their maximum, what the session has is a candidate. */
START_TEST(sessions_by_hand)
{
    fixture f;
    world w;
    fixture_open(&f, "sessions");
    f.settings.normalise = RECO__NORM_MAX;
    f.settings.recency_value = 0.6;
    small_world(&w, &f);
    w.users[0].session_count = 1;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
    /* only item 0: 2 has 8, 3 has 2 + 2 of a maximum of 8; revisiting 0 is worth 2 */
    check_items(answer, (const uint32_t[]){0, 2, 3}, 3);
    ck_assert_int_eq(answer->items[0].score, 2000000);
    ck_assert_uint_eq(answer->items[0].reasons[0].kind, RECO_REASON_REVISIT);
    ck_assert_int_eq(answer->items[1].score, 1000000);
    ck_assert(llabs(answer->items[2].score - 500000) <= 1);
    check_reasons(answer);

    w.users[0].session_count = 2; /* both: 1 is the second from the end; .6 ^ rank */
    world_load(&f, &w, NULL);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert_int_eq(answer->items[0].score, 2000000);
    check_reasons(answer);
    double three = 0.5 + 0.6 / 3, four = 0.6;
    for (size_t i = 1; i < answer->count; i++) {
        uint32_t index = index_of(answer->items[i].item_id);
        double expected = index == 1 ? 1 : index == 2 ? 1 : index == 3 ? three : four;
        ck_assert(llabs(answer->items[i].score - near(expected * MICRO)) <= 1);
    }
    ck_assert_uint_eq(answer->count, 5);

    w.users[0].last = f.now - f.rules.session_gap - 1; /* the session is over: all touches count, none is revisited */
    world_load(&f, &w, NULL);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    check_items(answer, (const uint32_t[]){2, 3, 4}, 3);
    fixture_close(&f);
}
END_TEST

START_TEST(popular_is_exact)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.hours[1] = 7;
    w.hours[2] = 9;
    w.hours[3] = 9;
    w.days[4] = 100;
    w.days[2] = 9;
    fixture_start(&f);
    put_item(&f, 2, 0, 0, 0, "comedy");
    put_item(&f, 4, 0, 0, 0, "comedy");
    put_item(&f, 6, 0, 0, 0, "comedy");
    world_load(&f, &w, NULL);
    const reco_answer *answer = ask_popular(&f, (reco_popular_query){0});
    ck_assert_uint_eq(answer->count, 3);
    ck_assert_int_eq(answer->items[0].score, 9000000);
    ck_assert_int_eq(answer->items[2].score, 7000000);
    ck_assert_int_eq(answer->as_of, f.now);
    answer = ask_popular(&f, (reco_popular_query){.window = f.settings.window_days});
    check_items(answer, (const uint32_t[]){4, 2}, 2);
    answer = ask_popular(&f, (reco_popular_query){.window = 3 * TEST_HOUR, .limit = 1, .category = reco__str_of("comedy")});
    check_items(answer, (const uint32_t[]){2}, 1);
    answer = ask_popular(&f, (reco_popular_query){.as_of = f.now + 2 * TEST_HOUR, .window = 2 * TEST_HOUR});
    ck_assert_uint_eq(answer->count, 0);
    answer = ask_popular(&f, (reco_popular_query){.as_of = f.now + 2 * TEST_HOUR, .window = 3 * TEST_HOUR});
    ck_assert_uint_eq(answer->count, 3);
    put_item(&f, 2, RECO_ITEM_HIDDEN, 0, 0, "comedy");
    answer = ask_popular(&f, (reco_popular_query){.category = reco__str_of("comedy"), .window = f.settings.window_days});
    check_items(answer, (const uint32_t[]){4}, 1);
    put_item(&f, 4, 0, 0, 0, "drama");
    answer = ask_popular(&f, (reco_popular_query){.category = reco__str_of("comedy"), .window = f.settings.window_days});
    ck_assert_uint_eq(answer->count, 0);
    reco_popular_query query = {.struct_size = sizeof(query), .window = 61 * TEST_DAY};
    test_status(RECO_INVALID, reco__recommend_popular(&f.answer, f.recommend, &query, f.now, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "window");
    fixture_close(&f);
}
END_TEST

/* Hours pass: what leaves the window is subtracted, what is added to an open hour counts. */
START_TEST(windows_move_with_the_clock)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.hours[2] = 5;
    w.days[2] = 5;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    ck_assert_int_eq(ask_popular(&f, (reco_popular_query){0})->items[0].score, 5000000);
    reco_features_info info = {.struct_size = sizeof(info)};
    test_ok(reco__features_info(&info, f.features, NULL, &f.err), &f.err);
    int64_t offsets[2] = {10, 20};
    for (int hour = 0; hour < 30; hour++) {
        reco_add add = {0, f.numbers[3], 1};
        int64_t clock = f.now + hour * TEST_HOUR;
        for (uint32_t p = 0; p < 2; p++) {
            reco_add_group groups[2] = {{RECO_BOARD_HOURS, 0, clock / TEST_HOUR, &add, 1}, {RECO_BOARD_DAYS, 0, clock / TEST_DAY, &add, 1}};
            reco_batch batch = {.struct_size = sizeof(batch),
                                .partition = p,
                                .epoch = info.epoch,
                                .from = offsets[p],
                                .to = offsets[p] + 1,
                                .clock = clock,
                                .groups = groups,
                                .group_count = 2};
            test_ok(reco__features_apply(f.features, &batch, NULL, &f.err), &f.err);
            offsets[p]++;
        }
        test_ok(reco__recommend_refresh(f.recommend, true, NULL, &f.err), &f.err);
        const reco_answer *answer = ask_popular(&f, (reco_popular_query){0});
        int64_t three = 2 * (hour < 24 ? hour + 1 : 24), two = hour < 24 ? 5 : 0;
        for (size_t i = 0; i < answer->count; i++) {
            ck_assert_int_eq(answer->items[i].score, (index_of(answer->items[i].item_id) == 3 ? three : two) * 1000000);
        }
        ck_assert_uint_eq(answer->count, two > 0 ? 2 : 1);
        answer = ask_popular(&f, (reco_popular_query){.window = 2 * TEST_HOUR}); /* summed when asked */
        ck_assert_int_eq(answer->items[0].score, hour == 0 ? 5000000 : hour == 1 ? 5000000 : 4000000);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(bad_questions_are_refused)
{
    fixture f;
    world w;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    world_load(&f, &w, NULL);
    const struct {
        reco_query query;
        const char *field;
    } bad[] = {{{.limit = f.settings.limit_max + 1}, "limit"},
               {{.scenario = reco__str_of("a b")}, "scenario"},
               {{.as_of = -1}, "as_of"},
               {{.flags = 8}, "flags"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        test_status(RECO_INVALID, ask_query(&f, 0, bad[i].query));
        ck_assert_str_eq(f.err.field, bad[i].field);
        ck_assert_ptr_null(f.answer);
    }
    reco_query query = {.struct_size = sizeof(query)};
    test_status(RECO_INVALID, reco__recommend_ask(&f.answer, f.recommend, &query, f.now, 0, 0, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "user_id");
    fixture_close(&f);
}
END_TEST

START_TEST(ids_are_signed)
{
    reco__buf text = {0}, scratch = {0};
    reco__recommendation_id id = {.key_number = 7,
                                  .plan = 0x1122334455667788,
                                  .nonce = 42,
                                  .time = 1700000000123,
                                  .scenario = reco__str_of("home"),
                                  .model = reco__str_of("hybrid"),
                                  .variant = reco__str_of("b")},
                            found;
    reco__recommendation_id_make(&text, &id, test_key);
    ck_assert_uint_eq(text.failed, RECO_OK);
    ck_assert(reco__recommendation_id_check(&found, &scratch, (reco_str){text.data, text.size}, 7, test_key));
    ck_assert(found.plan == id.plan && found.nonce == 42 && found.time == id.time && reco__str_equal(found.scenario, id.scenario) &&
              reco__str_equal(found.variant, id.variant));
    ck_assert(!reco__recommendation_id_check(NULL, &scratch, (reco_str){text.data, text.size}, 8, test_key));
    uint8_t other[16] = {0};
    ck_assert(!reco__recommendation_id_check(NULL, &scratch, (reco_str){text.data, text.size}, 7, other));
    for (size_t i = 0; i < text.size; i++) {
        char kept = text.data[i];
        text.data[i] = kept == 'A' ? 'B' : 'A';
        ck_assert(!reco__recommendation_id_check(NULL, &scratch, (reco_str){text.data, text.size}, 7, test_key));
        text.data[i] = kept;
        ck_assert(!reco__recommendation_id_check(NULL, &scratch, (reco_str){text.data, i}, 7, test_key));
    }
    reco__buf_dispose(&text);
    reco__buf_dispose(&scratch);
}
END_TEST

START_TEST(json_is_as_promised)
{
    fixture f;
    world w;
    const char *text;
    size_t size;
    fixture_open(&f, "default");
    small_world(&w, &f);
    fixture_start(&f);
    world_load(&f, &w, NULL);
    ask(&f, 0, (reco_query){.limit = 1, .scenario = reco__str_of("home"), .as_of = f.now});
    test_ok(reco__answer_set_position(f.answer, reco__str_of("p0.10"), &f.err), &f.err);
    test_ok(reco__answer_json(&text, &size, f.answer, &f.err), &f.err);
    ck_assert_uint_eq(strlen(text), size);
    reco__buf scratch = {0};
    ck_assert(reco__recommendation_id_check(NULL, &scratch, f.answer->recommendation_id, 7, test_key));
    reco__buf_dispose(&scratch);
    char expected[700];
    snprintf(expected, sizeof(expected),
             "{\"recommendation_id\":\"%.*s\",\"scenario\":\"home\",\"model\":\"hybrid\",\"fallback\":false,\"behind\":false,\"degraded\":false,"
             "\"position\":\"p0.10\","
             "\"as_of\":\"1971-12-06T12:00:00.000Z\",\"items\":[{\"item_id\":\"item-2\",\"score\":1000000,\"rank\":1,"
             "\"reasons\":[{\"type\":\"coview\",\"source\":\"coview\",\"because\":\"item-0\",\"score\":1000000}]}],\"next\":\"%.*s\"}",
             (int)f.answer->recommendation_id.size, f.answer->recommendation_id.data, (int)f.answer->next.size, f.answer->next.data);
    ck_assert_uint_gt(f.answer->next.size, 0);
    ck_assert_str_eq(text, expected);
    fixture_close(&f);
}
END_TEST

static void count_metric(void *context, const char *name, const char *label, const char *value, uint64_t count) {
    uint64_t *found = context;
    found[0] += strcmp(name, "reco_candidates_total") == 0 && label && strcmp(value, "coview") == 0 ? count : 0;
    found[1] += strcmp(name, "reco_filtered_total") == 0 && strcmp(value, "hidden") == 0 ? count : 0;
    found[2] += strcmp(name, "reco_fallback_total") == 0 ? count : 0;
    found[3] += strcmp(name, "reco_empty_answers_total") == 0 ? count : 0;
}

START_TEST(answers_are_counted)
{
    fixture f;
    world w;
    uint64_t found[4] = {0};
    fixture_open(&f, "default");
    small_world(&w, &f);
    w.users[0].hidden[0] = 2;
    w.users[0].hidden_count = 1;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    ask(&f, 0, (reco_query){0});
    ask(&f, 7, (reco_query){0});
    reco__recommend_metrics(f.recommend, count_metric, found);
    ck_assert_uint_eq(found[0], 3);
    ck_assert_uint_eq(found[1], 1);
    ck_assert_uint_eq(found[2], 1);
    ck_assert_uint_eq(found[3], 1);
    ck_assert_uint_gt(reco__recommend_bytes(f.recommend), 1000);
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend");
    TCase *tests = tcase_create("answers");
    tcase_add_test(tests, scores_by_hand);
    tcase_add_test(tests, reasons_name_what_was_seen);
    tcase_add_test(tests, seen_and_hidden_stay_out);
    tcase_add_test(tests, availability_follows_records);
    tcase_add_test(tests, new_numbers_are_looked_up);
    tcase_add_test(tests, ties_go_by_the_hash_of_the_name);
    tcase_add_test(tests, as_of_leaves_later_touches_out);
    tcase_add_test(tests, unknown_users_get_what_is_popular);
    tcase_add_test(tests, expired_cells_are_gone);
    tcase_add_test(tests, sessions_by_hand);
    tcase_add_test(tests, popular_is_exact);
    tcase_add_test(tests, windows_move_with_the_clock);
    tcase_add_test(tests, bad_questions_are_refused);
    tcase_add_test(tests, ids_are_signed);
    tcase_add_test(tests, json_is_as_promised);
    tcase_add_test(tests, answers_are_counted);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
