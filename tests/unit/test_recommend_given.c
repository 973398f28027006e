/* test_recommend_given.c - questions that bring something along: a session, items to put in order, items that something similar is looked for. */
#include "recommend_fixture.h"

#define MICRO 1e6
#define UNIT 2520

enum { VIEW, HIDE, LOW, TYPE_COUNT };
static const reco__event_type types[TYPE_COUNT] = {{.name = "view", .weight = 1},
                                                   {.name = "hide", .flags = RECO__TYPE_HIDES},
                                                   {.name = "rating", .weight = 2, .flags = RECO__TYPE_MIN_VALUE, .min_value = 4}};

/* User 0 looked at item 1, then at 0; both have rows. User 1 is known for nothing. */
static void begin(fixture *f, world *w) {
    fixture_open(f, "default");
    f->rules.types = types;
    f->rules.type_count = TYPE_COUNT;
    memset(w, 0, sizeof(*w));
    w->items = 8;
    w->open[0][2] = 4 * UNIT;
    w->open[0][3] = UNIT;
    w->closed[0][3] = 2 * UNIT;
    w->open[1][3] = UNIT;
    w->open[1][4] = 3 * UNIT;
    w->days[2] = 64;
    w->hours[5] = 10;
    w->user_count = 2;
    w->users[0] = (struct world_user){.touch_count = 2, .session_count = 2, .touches = {{0, 1, f->now - 1000}, {1, 1, f->now - 5000}}};
    fixture_start(f);
    world_load(f, w, NULL);
}

static reco_event event_of(char room[16], uint32_t item, const char *type) {
    return (reco_event){.item_id = item_name(room, item), .event_type = reco__str_of(type)};
}

static reco_status ask_session(fixture *f, const reco_event *events, size_t count, reco_query query) {
    query.struct_size = sizeof(query);
    query.session = events;
    query.session_count = count;
    query.event_size = sizeof(*events);
    return reco__recommend_ask(&f->answer, f->recommend, &query, f->now, 0, 0, NULL, &f->err);
}

/* The same items, scores and reasons. */
static void same_answer(const reco_answer *a, const char *text) {
    const char *other;
    size_t size;
    reco_error err = RECO_ERROR_INIT;
    reco_answer *shown = (reco_answer *)(uintptr_t)a;
    test_ok(reco__answer_json(&other, &size, shown, &err), &err);
    const char *items = strstr(other, "\"items\"");
    ck_assert_ptr_nonnull(items);
    ck_assert_str_eq(items, text);
}

static char *items_of(reco_answer *answer) {
    const char *text;
    size_t size;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco__answer_json(&text, &size, answer, &err), &err);
    char *copy = strdup(strstr(text, "\"items\""));
    ck_assert_ptr_nonnull(copy);
    return copy;
}

START_TEST(a_session_is_as_if_it_had_been_learned)
{
    fixture f;
    world w;
    char rooms[3][16];
    begin(&f, &w);
    ask(&f, 0, (reco_query){.limit = 10});
    char *learned = items_of(f.answer);
    reco_event events[] = {event_of(rooms[0], 1, NULL), event_of(rooms[1], 0, "view")};
    test_ok(ask_session(&f, events, 2, (reco_query){.limit = 10}), &f.err);
    same_answer(f.answer, learned);
    ck_assert_uint_eq(f.answer->position.size, 0);
    ck_assert_uint_eq(f.answer->flags, 0);

    /* on top of what a user did: 1 was learned, 0 is told */
    w.users[1] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{1, 1, f.now - 5000}}};
    world_load(&f, &w, NULL);
    char room[16];
    test_ok(ask_session(&f, &events[1], 1, (reco_query){.limit = 10, .user_id = user_name(room, 1)}), &f.err);
    free(learned);
    ck_assert_uint_eq(f.answer->items[0].reasons[0].because.size, 6);
    ck_assert_uint_eq(f.answer->count, 4);
    for (size_t i = 0; i < f.answer->count; i++) {
        ck_assert(index_of(f.answer->items[i].item_id) > 1);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(events_of_a_session_count_by_their_type)
{
    fixture f;
    world w;
    char rooms[4][16];
    begin(&f, &w);
    reco_event events[] = {event_of(rooms[0], 0, "view"), event_of(rooms[1], 2, "hide"), event_of(rooms[2], 1, "rating"),
                           event_of(rooms[3], 63, "view")};
    events[2].value = 3; /* below what counts: seen, but no source */
    events[2].flags = RECO_EVENT_HAS_VALUE;
    test_ok(ask_session(&f, events, 4, (reco_query){.limit = 10}), &f.err);
    ck_assert_uint_eq(f.answer->count, 2); /* 3 by co-view, 5 for being popular; not 2, which was hidden, nor 4, which goes with 1 */
    ck_assert_uint_eq(index_of(f.answer->items[0].item_id), 3);
    ck_assert_uint_eq(index_of(f.answer->items[1].item_id), 5);
    check_reasons(f.answer);
    /* of nothing but items nobody knows: popular */
    test_ok(ask_session(&f, &events[3], 1, (reco_query){.limit = 10}), &f.err);
    ck_assert_uint_eq(f.answer->flags, RECO_ANSWER_FALLBACK);
    ck_assert_uint_eq(f.answer->count, 2);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_sessions_are_refused_by_name)
{
    fixture f;
    world w;
    char rooms[2][16], field[64];
    begin(&f, &w);
    struct {
        const char *field;
        reco_event event;
    } bad[] = {{"item_id", {.item_id = {NULL, 0}}},
               {"event_type", event_of(rooms[1], 1, "stare")},
               {"timestamp", event_of(rooms[1], 1, "view")},
               {"value", event_of(rooms[1], 1, "rating")}};
    bad[2].event.timestamp = -1;
    bad[3].event.value = NAN;
    bad[3].event.flags = RECO_EVENT_HAS_VALUE;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        reco_event events[] = {event_of(rooms[0], 0, "view"), bad[i].event};
        test_status(RECO_INVALID, ask_session(&f, events, 2, (reco_query){.limit = 10}));
        snprintf(field, sizeof(field), "session[1].%s", bad[i].field);
        ck_assert_str_eq(f.err.field, field);
    }
    reco_query nobody = {.struct_size = sizeof(nobody)};
    test_status(RECO_INVALID, reco__recommend_ask(&f.answer, f.recommend, &nobody, f.now, 0, 0, NULL, &f.err));
    ck_assert_str_eq(f.err.field, "user_id");
    fixture_close(&f);
}
END_TEST

static reco_status ask_similar(fixture *f, const uint32_t *items, size_t count, reco_similar_query query) {
    static char rooms[8][16];
    reco_str names[8];
    for (size_t i = 0; i < count; i++) {
        names[i] = item_name(rooms[i], items[i]);
    }
    query.struct_size = sizeof(query);
    query.items = names;
    query.item_count = count;
    return reco__recommend_similar(&f->answer, f->recommend, &query, f->now, NULL, &f->err);
}

START_TEST(similar_by_hand)
{
    fixture f;
    world w;
    begin(&f, &w);
    test_ok(ask_similar(&f, (uint32_t[]){0}, 1, (reco_similar_query){.limit = 10}), &f.err);
    double two = 8 * pow(64, -0.2), three = 4, best = fmax(two, three);
    check_items(f.answer, two > three ? (uint32_t[]){2, 3} : (uint32_t[]){3, 2}, 2);
    ck_assert_int_eq(f.answer->items[0].score, RECO_SCORE_UNIT);
    ck_assert(llabs(f.answer->items[1].score - (int64_t)(fmin(two, three) / best * MICRO + 0.5)) <= 1);
    check_reasons(f.answer);
    ck_assert_uint_eq(f.answer->recommendation_id.size, 0);

    /* both together: each with the same weight, neither in the answer */
    test_ok(ask_similar(&f, (uint32_t[]){1, 0}, 2, (reco_similar_query){.limit = 10}), &f.err);
    double norm0 = sqrt(12), norm1 = sqrt(8), sums[5] = {0, 0, 8 / norm0 * pow(64, -0.2), 4 / norm0 + 2 / norm1, 6 / norm1};
    best = fmax(sums[2], fmax(sums[3], sums[4]));
    ck_assert_uint_eq(f.answer->count, 3);
    for (size_t i = 0; i < 3; i++) {
        uint32_t index = index_of(f.answer->items[i].item_id);
        ck_assert(llabs(f.answer->items[i].score - (int64_t)(sums[index] / best * MICRO + 0.5)) <= 1);
    }
    test_ok(ask_similar(&f, (uint32_t[]){0, 1}, 2, (reco_similar_query){.limit = 1}), &f.err);
    ck_assert_uint_eq(f.answer->count, 1);
    test_ok(ask_similar(&f, (uint32_t[]){7}, 1, (reco_similar_query){.limit = 10}),
            &f.err); /* known, with nothing beside it: nothing popular either */
    ck_assert_uint_eq(f.answer->count, 0);
    ck_assert_uint_eq(f.answer->flags, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(similar_to_what_is_not_learned)
{
    fixture f;
    world w;
    begin(&f, &w);
    test_status(RECO_NOT_FOUND, ask_similar(&f, (uint32_t[]){40, 41}, 2, (reco_similar_query){.limit = 10}));
    ck_assert_str_eq(f.err.field, "items");
    put_item(&f, 41, 0, 0, 0, NULL);
    test_ok(ask_similar(&f, (uint32_t[]){40, 41}, 2, (reco_similar_query){.limit = 10}), &f.err);
    ck_assert_uint_eq(f.answer->count, 0);
    test_ok(ask_similar(&f, (uint32_t[]){40, 0}, 2, (reco_similar_query){.limit = 10}), &f.err);
    ck_assert_uint_eq(f.answer->count, 2);
    put_item(&f, 2, RECO_ITEM_HIDDEN, 0, 0, NULL);
    test_ok(ask_similar(&f, (uint32_t[]){0}, 1, (reco_similar_query){.limit = 10}), &f.err);
    check_items(f.answer, (uint32_t[]){3}, 1);
    fixture_close(&f);
}
END_TEST

static reco_status ask_rank(fixture *f, uint32_t user, const uint32_t *items, size_t count, reco_query query) {
    static char rooms[16][16];
    char name[16];
    reco_str names[16];
    for (size_t i = 0; i < count; i++) {
        names[i] = item_name(rooms[i], items[i]);
    }
    query.struct_size = sizeof(query);
    query.user_id = user_name(name, user);
    return reco__recommend_rank(&f->answer, f->recommend, &query, names, count, f->now, user_partition(user), 0, NULL, &f->err);
}

START_TEST(given_items_are_put_in_order)
{
    fixture f;
    world w;
    begin(&f, &w);
    ask(&f, 0, (reco_query){.limit = 10});
    int64_t scores[TEST_ITEMS] = {0};
    for (size_t i = 0; i < f.answer->count; i++) {
        scores[index_of(f.answer->items[i].item_id)] = f.answer->items[i].score;
    }
    /* what the user has seen stays, what nothing was learned of comes last and in the order given */
    const uint32_t given[] = {50, 5, 4, 0, 40, 2, 3};
    test_ok(ask_rank(&f, 0, given, 7, (reco_query){.limit = 0}), &f.err);
    ck_assert_uint_eq(f.answer->count, 7);
    for (size_t i = 0; i < 4; i++) {
        uint32_t index = index_of(f.answer->items[i].item_id);
        ck_assert_int_eq(f.answer->items[i].score, scores[index]);
        ck_assert(i == 0 || f.answer->items[i].score <= f.answer->items[i - 1].score);
    }
    ck_assert_uint_eq(index_of(f.answer->items[4].item_id), 0);
    ck_assert_uint_eq(index_of(f.answer->items[5].item_id), 50);
    ck_assert_uint_eq(index_of(f.answer->items[6].item_id), 40);
    ck_assert_uint_eq(f.answer->items[6].rank, 7);
    check_reasons(f.answer);
    test_ok(ask_rank(&f, 0, given, 7, (reco_query){.limit = 5}), &f.err);
    ck_assert_uint_eq(f.answer->count, 5);
    /* the best of those given sets the scale */
    test_ok(ask_rank(&f, 0, (uint32_t[]){3, 5}, 2, (reco_query){.limit = 0}), &f.err);
    check_items(f.answer, (uint32_t[]){3, 5}, 2);
    ck_assert_int_eq(f.answer->items[0].score, RECO_SCORE_UNIT);
    /* somebody nobody knows: by popularity */
    test_ok(ask_rank(&f, 7, (uint32_t[]){7, 5, 2}, 3, (reco_query){.limit = 0}), &f.err);
    ck_assert_uint_eq(index_of(f.answer->items[2].item_id), 7);
    ck_assert_uint_eq(f.answer->flags, RECO_ANSWER_FALLBACK);
    fixture_close(&f);
}
END_TEST

START_TEST(given_items_that_must_not_be_shown_go)
{
    fixture f;
    world w;
    begin(&f, &w);
    w.users[0].hidden[0] = 4;
    w.users[0].hidden_count = 1;
    world_load(&f, &w, NULL);
    put_item(&f, 2, RECO_ITEM_HIDDEN, 0, 0, NULL);              /* known by number */
    put_item(&f, 40, RECO_ITEM_HIDDEN, 0, 0, NULL);             /* by name only */
    put_item(&f, 41, 0, f.now + 1000, 0, NULL);                 /* not yet */
    put_item(&f, 42, 0, f.now - 1000, f.now + TEST_HOUR, NULL); /* now */
    test_ok(ask_rank(&f, 0, (uint32_t[]){41, 42, 40, 2, 4, 3}, 6, (reco_query){.limit = 0}), &f.err);
    check_items(f.answer, (uint32_t[]){3, 42}, 2);
    ck_assert_uint_eq(f.answer->filtered, 4);
    ck_assert_uint_eq(f.answer->candidates, 6);
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend_given");
    TCase *tcase = tcase_create("given");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, a_session_is_as_if_it_had_been_learned);
    tcase_add_test(tcase, events_of_a_session_count_by_their_type);
    tcase_add_test(tcase, bad_sessions_are_refused_by_name);
    tcase_add_test(tcase, similar_by_hand);
    tcase_add_test(tcase, similar_to_what_is_not_learned);
    tcase_add_test(tcase, given_items_are_put_in_order);
    tcase_add_test(tcase, given_items_that_must_not_be_shown_go);
    return test_run(suite);
}
