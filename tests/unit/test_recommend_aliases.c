/* test_recommend_aliases.c - answers to users who were known under other ids before: what was learned of all of them counts, from the next answer on,
 * and until the alias is taken away. */
#include "recommend_fixture.h"

#define UNIT 2520

/* 0 is the known user, 1 and 2 are ids from before (of partitions 1 and 0); 3 is somebody else. */
static void begin(fixture *f, world *w) {
    fixture_open(f, "default");
    memset(w, 0, sizeof(*w));
    w->items = 10;
    w->open[0][5] = 4 * UNIT;
    w->open[1][6] = 3 * UNIT;
    w->open[2][7] = 2 * UNIT;
    w->open[1][2] = UNIT;
    w->hours[9] = 10;
    w->user_count = 4;
    w->users[0] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{0, 1, f->now - 1000}}};
    w->users[1] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{1, 1, f->now - 5000}}};
    w->users[2] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{2, 1, f->now - 9000}}};
    w->users[3] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{1, 1, f->now - 5000}}};
    fixture_start(f);
    world_load(f, w, NULL);
}

static bool offers(const reco_answer *answer, uint32_t item) {
    bool found = false;
    for (size_t i = 0; i < answer->count; i++) {
        found = found || index_of(answer->items[i].item_id) == item;
    }
    return found;
}

static const reco__place *places_of(const reco_answer *answer, size_t count) {
    const reco__place *places;
    ck_assert_uint_eq(reco__answer_where(&places, answer), count);
    return places;
}

START_TEST(all_ids_count)
{
    fixture f;
    world w;
    begin(&f, &w);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert(offers(answer, 5) && offers(answer, 9) && !offers(answer, 6) && !offers(answer, 7));
    places_of(answer, 1);

    put_user(&f, 0, (uint32_t[]){1}, 1);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert(offers(answer, 5) && offers(answer, 6) && offers(answer, 2) && !offers(answer, 7) && !offers(answer, 1) && !offers(answer, 0));
    check_reasons(answer);
    const reco__place *places = places_of(answer, 2);
    ck_assert_uint_eq(places[0].partition, 0);
    ck_assert_int_eq(places[0].position.offset, 10);
    ck_assert_uint_eq(places[1].partition, 1);
    ck_assert_int_eq(places[1].position.offset, 20);

    put_user(&f, 0, (uint32_t[]){1, 2}, 2);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert(offers(answer, 5) && offers(answer, 6) && offers(answer, 7) && !offers(answer, 2));
    places_of(answer, 2); /* 0 and 2 are of one partition */
    /* the others are who they were */
    ck_assert(!offers(ask(&f, 1, (reco_query){.limit = 10}), 5));
    ck_assert(!offers(ask(&f, 3, (reco_query){.limit = 10}), 7));

    put_user(&f, 0, NULL, 0);
    answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert(offers(answer, 5) && !offers(answer, 6) && !offers(answer, 7));
    places_of(answer, 1);
    fixture_close(&f);
}
END_TEST

/* Whoever touched all of it under one id gets the same answer. */
START_TEST(as_if_it_had_been_one)
{
    fixture f;
    world w;
    const char *text;
    size_t size;
    begin(&f, &w);
    w.users[1].hidden[0] = 6;
    w.users[1].hidden_count = 1;
    w.users[3] = (struct world_user){.touch_count = 3,
                                     .session_count = 3,
                                     .hidden = {6},
                                     .hidden_count = 1,
                                     .touches = {{0, 1, f.now - 1000}, {1, 1, f.now - 5000}, {2, 1, f.now - 9000}}};
    world_load(&f, &w, NULL);
    put_user(&f, 0, (uint32_t[]){2, 1}, 2);
    const reco_query questions[] = {{.limit = 10}, {.limit = 10, .as_of = f.now - 2000}, {.limit = 2, .as_of = f.now - 20000}};
    for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
        ask(&f, 3, questions[i]);
        test_ok(reco__answer_json(&text, &size, f.answer, &f.err), &f.err);
        char *expected = strdup(strstr(text, "\"items\""));
        ask(&f, 0, questions[i]);
        test_ok(reco__answer_json(&text, &size, f.answer, &f.err), &f.err);
        ck_assert_str_eq(strstr(text, "\"items\""), expected);
        ck_assert(!offers(f.answer, 6));
        free(expected);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(expired_cells_are_empty)
{
    fixture f;
    world w;
    begin(&f, &w);
    w.users[1].last = f.now - f.rules.lifetime - 1;
    world_load(&f, &w, NULL);
    put_user(&f, 0, (uint32_t[]){1, 2}, 2);
    const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
    ck_assert(offers(answer, 5) && offers(answer, 7) && !offers(answer, 6));
    fixture_close(&f);
}
END_TEST

/* A session told with the question comes on top, and cuts nothing that is not to be shown. */
START_TEST(a_session_on_top)
{
    fixture f;
    world w;
    char room[16];
    begin(&f, &w);
    f.rules.history = 1;
    w.users[1].hidden[0] = 6;
    w.users[2].hidden[0] = 7;
    w.users[1].hidden_count = w.users[2].hidden_count = 1;
    static const reco__event_type types[] = {{.name = "view", .weight = 1}, {.name = "hide", .flags = RECO__TYPE_HIDES}};
    f.rules.types = types;
    f.rules.type_count = 2;
    fixture_start(&f);
    world_load(&f, &w, NULL);
    put_user(&f, 0, (uint32_t[]){1, 2}, 2);
    const reco_event events[] = {{.item_id = item_name(room, 5), .event_type = reco__str_of("hide")}};
    const reco_query query = {.limit = 10, .session = events, .session_count = 1, .event_size = sizeof(*events)};
    const reco_answer *answer = ask(&f, 0, query);
    for (uint32_t item = 0; item < 8; item++) {
        ck_assert_msg(!offers(answer, item), "item %u", item);
    }
    ck_assert(offers(answer, 9));
    fixture_close(&f);
}
END_TEST

START_TEST(documents_that_name_none)
{
    static const char *const documents[] = {"{}", "{\"attributes\":{\"aliases\":[\"user-1\"]}}", "{\"aliases\":7}", "\"aliases\""};
    fixture f;
    world w;
    begin(&f, &w);
    for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
        reco_record_change change = {.kind = RECO_RECORD_USER, .id = reco__str_of("user-0"), .document = reco__str_of(documents[i])};
        test_ok(reco__records_change(NULL, f.records, &change, 1, NULL, &f.err), &f.err);
        const reco_answer *answer = ask(&f, 0, (reco_query){.limit = 10});
        ck_assert(!offers(answer, 6));
        ck_assert_uint_eq(answer->flags, 0);
    }
    fixture_close(&f);
}
END_TEST

/* --- what is kept --------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_is_kept_needs_no_records)
{
    fixture f;
    world w;
    begin(&f, &w);
    put_user(&f, 0, (uint32_t[]){1}, 1);
    ask(&f, 0, (reco_query){.limit = 10});
    ask(&f, 3, (reco_query){.limit = 10});
    reco__fault_plant("records.find", 1, 1, RECO_UNAVAILABLE);
    ck_assert(offers(ask(&f, 0, (reco_query){.limit = 10}), 6));
    ck_assert_uint_eq(f.answer->degraded, 0);
    ask(&f, 3, (reco_query){.limit = 10}); /* that somebody has none is kept, too */
    ck_assert_uint_eq(f.answer->degraded, 0);
    ck_assert(!offers(ask(&f, 2, (reco_query){.limit = 10}), 6));
    ck_assert_uint_eq(f.answer->degraded, RECO_DEGRADED_RECORDS); /* nobody asked about this one yet */
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    ask(&f, 2, (reco_query){.limit = 10});
    ck_assert_uint_eq(f.answer->degraded, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(without_users_records_are_not_asked)
{
    fixture f;
    world w;
    begin(&f, &w);
    reco__fault_plant("records.find", 1, 1, RECO_UNAVAILABLE);
    ask(&f, 0, (reco_query){.limit = 10});
    ck_assert_uint_eq(f.answer->degraded, 0);
    ck_assert_uint_eq(reco__fault_plant(NULL, 0, 0, RECO_OK), 0);
    fixture_close(&f);
}
END_TEST

/* Far away: seen when somebody follows, and not before. */
START_TEST(far_records_are_followed)
{
    fixture f;
    world w;
    begin(&f, &w);
    reco__recommend_options options = {.settings = &f.settings,
                                       .rules = &f.rules,
                                       .features = f.features,
                                       .records = f.records,
                                       .partitions = 2,
                                       .partition_of = fixture_partition_of,
                                       .records_far = true};
    reco__recommend_close(f.recommend);
    test_ok(reco__recommend_open(&f.recommend, &options, NULL, &f.err), &f.err);
    reco__recommend_sign(f.recommend, 7, test_key);
    put_user(&f, 0, NULL, 0);
    ck_assert(!offers(ask(&f, 0, (reco_query){.limit = 10}), 6));
    put_user(&f, 0, (uint32_t[]){1}, 1);
    test_ok(reco__recommend_follow(f.recommend, NULL, &f.err), &f.err);
    ck_assert(offers(ask(&f, 0, (reco_query){.limit = 10}), 6));
    put_user(&f, 0, NULL, 0);
    test_ok(reco__recommend_follow(f.recommend, NULL, &f.err), &f.err);
    ck_assert(!offers(ask(&f, 0, (reco_query){.limit = 10}), 6));
    fixture_close(&f);
}
END_TEST

/* More users than there is room for: memory stays within its bound, and what is told stays right. */
START_TEST(memory_is_bounded)
{
    enum { USERS = 90000 };
    fixture f;
    reco__aliases *aliases;
    reco__breaker breaker = {0};
    reco__buf names = {0};
    uint16_t sizes[RECO_USER_ALIASES_MAX];
    size_t count;
    char name[256];
    fixture_open(&f, "default");
    put_user(&f, 1, (uint32_t[]){2, 3}, 2);
    test_ok(reco__aliases_create(&aliases, f.records, &f.err), &f.err);
    test_ok(reco__aliases_load(aliases, NULL, &f.err), &f.err);
    memset(name, 'n', sizeof(name));
    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof(name), "%d", i);
        name[strlen(name)] = 'n';
        reco__buf_reset(&names);
        reco_status status = reco__aliases_find(&count, sizes, &names, aliases, (reco_str){name, sizeof(name)}, &breaker, NULL, &f.err);
        if (status != RECO_OK || count != 0) {
            ck_abort_msg("user %d: %s, %zu aliases", i, reco_status_name(status), count);
        }
        if (i % 1000 == 0) {
            test_ok(reco__aliases_find(&count, sizes, &names, aliases, reco__str_of("user-1"), &breaker, NULL, &f.err), &f.err);
            ck_assert_uint_eq(count, 2);
            ck_assert_uint_eq(names.size, 12);
            ck_assert_uint_eq(sizes[1], 6);
            ck_assert_int_eq(memcmp(names.data, "user-2user-3", 12), 0);
            ck_assert_uint_le(reco__aliases_bytes(aliases), RECO__ALIASES_BYTES);
        }
        memset(name, 'n', 8);
    }
    ck_assert_uint_gt(reco__aliases_bytes(aliases), RECO__ALIASES_BYTES - 2000);
    reco__aliases_free(aliases);
    reco__buf_dispose(&names);
    reco__features_close(f.features);
    reco__records_close(f.records);
}
END_TEST

/* --- trouble -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status ask_anew(void *context, reco_error *err) {
    fixture *f = context;
    reco__recommend *recommend = NULL;
    reco_answer *answer = NULL;
    uint64_t partitions = 0;
    reco__recommend_options options = {.settings = &f->settings,
                                       .rules = &f->rules,
                                       .features = f->features,
                                       .records = f->records,
                                       .partitions = 2,
                                       .partition_of = fixture_partition_of};
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .limit = 10};
    reco_status status = reco__recommend_open(&recommend, &options, NULL, err);
    if (status == RECO_OK) {
        reco__recommend_sign(recommend, 1, test_key);
        status = reco__recommend_partitions(&partitions, recommend, query.user_id, 0, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert_uint_eq(partitions, 3);
        status = reco__recommend_ask(&answer, recommend, &query, f->now, 0, 0, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert(offers(answer, 5) && offers(answer, 6) && offers(answer, 7));
    }
    reco__answer_free(answer);
    reco__recommend_close(recommend);
    return status;
}

START_TEST(every_allocation)
{
    fixture f;
    world w;
    test_memory_install();
    begin(&f, &w);
    put_user(&f, 0, (uint32_t[]){1, 2}, 2);
    ck_assert_uint_gt(test_every_allocation(ask_anew, &f, false), 50);
    fixture_close(&f);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

START_TEST(no_allocation_in_steady_state)
{
    fixture f;
    world w;
    test_memory_install();
    begin(&f, &w);
    put_user(&f, 0, (uint32_t[]){1, 2}, 2);
    for (int i = 0; i < 3; i++) {
        ask(&f, 0, (reco_query){.limit = 10});
    }
    test_memory_fail(1, true);
    ask(&f, 0, (reco_query){.limit = 10});
    ck_assert_uint_eq(test_memory_fired(), 0);
    test_memory_fail(0, false);
    fixture_close(&f);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend_aliases");
    TCase *tcase = tcase_create("aliases");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, all_ids_count);
    tcase_add_test(tcase, as_if_it_had_been_one);
    tcase_add_test(tcase, expired_cells_are_empty);
    tcase_add_test(tcase, a_session_on_top);
    tcase_add_test(tcase, documents_that_name_none);
    tcase_add_test(tcase, what_is_kept_needs_no_records);
    tcase_add_test(tcase, without_users_records_are_not_asked);
    tcase_add_test(tcase, far_records_are_followed);
    tcase_add_test(tcase, memory_is_bounded);
    tcase_add_test(tcase, every_allocation);
    tcase_add_test(tcase, no_allocation_in_steady_state);
    return test_run(suite);
}
