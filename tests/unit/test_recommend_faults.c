/* test_recommend_faults.c - every allocation fails once and for ever, every door fails once: no leak, a clear error, and the next answer is right. */
#include "recommend_fixture.h"

#define UNIT 2520

static void make_world(fixture *f, world *w) {
    memset(w, 0, sizeof(*w));
    w->items = 30;
    for (uint32_t i = 0; i < 10; i++) {
        for (uint32_t j = 10; j < 30; j++) {
            w->open[i][j] = (int64_t)(i + j) * UNIT;
            w->closed[i][j] = (int64_t)j * UNIT;
        }
    }
    for (uint32_t i = 0; i < 30; i++) {
        w->days[i] = i;
        w->hours[i] = 30 - i;
    }
    w->user_count = 1;
    w->users[0].touch_count = w->users[0].session_count = 10;
    for (uint32_t i = 0; i < 10; i++) {
        w->users[0].touches[i] = (reco__touch){i, 1, f->now - i};
    }
}

/* A selection with all there is, twice: the second page. */
static reco_status ask_selected(reco_answer **answer, reco__recommend *recommend, const fixture *f, reco_error *err) {
    static char next[400];
    const reco_value values[] = {{.type = RECO_VALUE_STRING, .text = reco__str_of("red")}, {.type = RECO_VALUE_NUMBER, .number = 3}};
    const reco_filter filter = {.attribute = reco__str_of("color"), .op = RECO_FILTER_ANY_OF, .values = values, .value_count = 2};
    const reco_cap cap = {.attribute = reco__str_of("size"), .most = 1};
    const reco_str out = reco__str_of("item-12");
    reco_selection selection = {.struct_size = sizeof(selection),
                                .exclude = &out,
                                .exclude_count = 1,
                                .filters = &filter,
                                .filter_count = 1,
                                .filter_size = sizeof(filter),
                                .caps = &cap,
                                .cap_count = 1,
                                .cap_size = sizeof(cap)};
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .limit = 2, .selection = &selection};
    reco_popular_query popular = {.struct_size = sizeof(popular), .limit = 2, .selection = &selection};
    reco_status status = reco__recommend_ask(answer, recommend, &query, f->now, 0, 0, NULL, err);
    if (status == RECO_OK) {
        ck_assert_uint_eq((*answer)->count, 2);
        ck_assert_uint_gt((*answer)->next.size, 0);
        memcpy(next, (*answer)->next.data, (*answer)->next.size);
        selection.cursor = (reco_str){next, (*answer)->next.size};
        status = reco__recommend_ask(answer, recommend, &query, f->now, 0, 0, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert_uint_eq((*answer)->count, 2);
        selection.cursor = (reco_str){NULL, 0};
        status = reco__recommend_popular(answer, recommend, &popular, f->now, NULL, err);
    }
    return status;
}

/* Opens the room, asks both kinds of questions, closes it. What is loaded and pooled is made anew each time. */
static reco_status whole_way(void *context, reco_error *err) {
    fixture *f = context;
    reco__recommend *recommend = NULL;
    reco_answer *answer = NULL;
    reco__recommend_options options = {.settings = &f->settings, .rules = &f->rules, .features = f->features, .records = f->records, .partitions = 2};
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .limit = 15};
    reco_popular_query popular = {.struct_size = sizeof(popular), .window = 2 * TEST_HOUR, .category = reco__str_of("comedy")};
    const char *text;
    size_t size;
    reco_status status = reco__recommend_open(&recommend, &options, NULL, err);
    if (status == RECO_OK) {
        reco__recommend_sign(recommend, 1, test_key);
        status = reco__recommend_ask(&answer, recommend, &query, f->now, 0, 0, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert_uint_eq(answer->count, 15);
        ck_assert_uint_eq(answer->flags, 0);
        check_reasons(answer);
        status = reco__answer_json(&text, &size, answer, err);
    }
    if (status == RECO_OK) {
        query.as_of = f->now - TEST_DAY;
        status = reco__recommend_ask(&answer, recommend, &query, f->now, 0, 0, NULL, err);
    }
    if (status == RECO_OK) {
        status = reco__recommend_popular(&answer, recommend, &popular, f->now, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert_uint_eq(answer->count, 1);
        status = ask_selected(&answer, recommend, f, err);
    }
    reco__answer_free(answer);
    reco__recommend_close(recommend);
    return status;
}

START_TEST(every_allocation)
{
    static world w;
    fixture f;
    test_memory_install();
    fixture_open(&f, "default");
    make_world(&f, &w);
    put_item(&f, 3, 0, 0, f.now + 1, "comedy");
    put_item(&f, 4, RECO_ITEM_HIDDEN, 0, 0, "comedy");
    for (uint32_t i = 10; i < 30; i++) {
        put_attributes(&f, i,
                       i % 3   ? "{\"color\":[\"red\",3],\"size\":\"L\"}"
                       : i % 2 ? "{\"color\":[\"red\",3]}"
                               : "{\"color\":3,\"size\":1}",
                       i % 5 ? -1 : 11);
    }
    world_load(&f, &w, NULL);
    uint64_t runs = test_every_allocation(whole_way, &f, false);
    ck_assert_uint_gt(runs, 50);
    fixture_close(&f);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

/* In steady state a question allocates nothing. */
START_TEST(no_allocation_in_steady_state)
{
    static world w;
    fixture f;
    test_memory_install();
    fixture_open(&f, "default");
    make_world(&f, &w);
    world_load(&f, &w, NULL);
    fixture_start(&f);
    for (int i = 0; i < 3; i++) {
        ask(&f, 0, (reco_query){.limit = 15});
    }
    test_memory_fail(1, true);
    ask(&f, 0, (reco_query){.limit = 15});
    ck_assert_uint_eq(test_memory_fired(), 0);
    test_memory_fail(0, false);
    fixture_close(&f);
    test_memory_restore();
}
END_TEST

static void check_once(fixture *f, const char *point, reco_status status) {
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .limit = 15};
    for (uint64_t nth = 1;; nth++) {
        reco_answer *answer = NULL;
        fixture_start(f);
        memset(&f->err, 0, sizeof(f->err));
        reco__fault_plant(point, nth, 0, status);
        reco_status got = reco__recommend_ask(&answer, f->recommend, &query, f->now, 0, 0, NULL, &f->err);
        uint64_t fired = reco__fault_plant(NULL, 0, 0, RECO_OK);
        if (got == RECO_OK) {
            ck_assert(fired == 0 || answer->flags & RECO_ANSWER_DEGRADED);
        } else {
            ck_assert_int_eq(got, status);
            ck_assert_int_ne(f->err.text[0], 0);
        }
        test_ok(reco__recommend_ask(&answer, f->recommend, &query, f->now, 0, 0, NULL, &f->err), &f->err);
        ck_assert_uint_eq(answer->count, 15);
        ck_assert_uint_eq(answer->flags, 0);
        reco__answer_free(answer);
        if (fired == 0) {
            ck_assert_uint_gt(nth, 1);
            return;
        }
    }
}

START_TEST(every_door)
{
    static world w;
    static const char *const points[] = {"features.info", "features.find_items",  "features.load", "features.positions", "features.heads",
                                         "features.row",  "features.generations", "records.scan",  "records.changes"};
    fixture f;
    fixture_open(&f, "default");
    make_world(&f, &w);
    put_item(&f, 4, 0, 0, 0, "comedy");
    world_load(&f, &w, NULL);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        check_once(&f, points[i], RECO_UNAVAILABLE);
    }
    fixture_close(&f);
}
END_TEST

/* What was learned is replaced between two questions: other numbers, another epoch. */
START_TEST(another_epoch)
{
    static world w;
    fixture f;
    uint32_t order[TEST_ITEMS];
    fixture_open(&f, "default");
    make_world(&f, &w);
    fixture_start(&f);
    world_load(&f, &w, NULL);
    put_item(&f, 29, RECO_ITEM_HIDDEN, 0, 0, NULL);
    ask(&f, 0, (reco_query){.limit = 1});
    ck_assert_uint_eq(index_of(f.answer->items[0].item_id), 28);
    for (uint32_t i = 0; i < 30; i++) {
        order[i] = 29 - i;
    }
    world_load(&f, &w, order);
    ask(&f, 0, (reco_query){.limit = 1});
    ck_assert_uint_eq(index_of(f.answer->items[0].item_id), 28);
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend faults");
    TCase *tests = tcase_create("faults");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_allocation);
    tcase_add_test(tests, no_allocation_in_steady_state);
    tcase_add_test(tests, every_door);
    tcase_add_test(tests, another_epoch);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
