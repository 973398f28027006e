/* test_recommend_stages.c - stages of the application: one of each kind, what they may and may not do, and what a failure of any stage means. */
#include "recommend_fixture.h"
#include <reco/plugin/stage.h>

#define UNIT 2520

/* What the test's stages do; one test at a time. */
static struct {
    reco_status fail;
    const char *text;
    uint32_t runs, created, destroyed;
    int64_t score;
    char options[64];
    reco_error err;
} told;

struct reco_stage {
    int unused;
};

static reco_status make(reco_stage **out, reco_str options, const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    *out = NULL;
    told.created++;
    snprintf(told.options, sizeof(told.options), "%.*s", (int)options.size, options.data ? options.data : "");
    return RECO_OK;
}

static void destroy(reco_stage *stage) {
    (void)stage;
    told.destroyed++;
}

static reco_status finish(reco_error *err) {
    told.runs++;
    if (told.fail != RECO_OK && told.text && err) {
        snprintf(err->text, sizeof(err->text), "%s", told.text);
    }
    return told.fail;
}

/* Adds item 7 because of the newest recent item, item 3 without a reason, and one nobody knows. */
static reco_status add_some(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_recent recent = {.weight = 0};
    reco_error ignored;
    (void)stage, (void)call;
    reco_status status = reco_candidates_recent(&recent, c, 0);
    ck_assert(status == RECO_OK || reco_candidates_recent_count(c) == 0);
    test_ok(reco_candidates_add(c, reco__str_of("item-7"), told.score, recent.item_id, err), err);
    test_ok(reco_candidates_add(c, reco__str_of("item-3"), 1000, (reco_str){NULL, 0}, err), err);
    test_status(RECO_NOT_FOUND, reco_candidates_add(c, reco__str_of("item-77"), 1, (reco_str){NULL, 0}, &ignored));
    test_status(RECO_INVALID, reco_candidates_add(c, reco__str_of(""), 1, (reco_str){NULL, 0}, &ignored));
    test_status(RECO_INVALID, reco_candidates_add(c, reco__str_of("item-3"), INT64_MAX, (reco_str){NULL, 0}, &ignored));
    test_status(RECO_INVALID, reco_candidates_drop(c, 0, &ignored));
    test_status(RECO_INVALID, reco_candidates_set_score(c, 0, 1, &ignored));
    test_status(RECO_INVALID, reco_candidates_move(c, 0, 0, &ignored));
    ck_assert_str_eq(reco_candidates_user(c).data, "user-0");
    ck_assert_uint_eq(reco_candidates_limit(c), 10);
    ck_assert_uint_eq(reco_candidates_seed(c), 99);
    return finish(err);
}

static reco_status drop_four(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_error ignored;
    (void)stage, (void)call;
    for (size_t i = 0; i < reco_candidates_count(c); i++) {
        if (reco__str_equal(reco_candidates_item(c, i), reco__str_of("item-4"))) {
            test_ok(reco_candidates_drop(c, i, err), err);
            ck_assert(reco_candidates_dropped(c, i));
        }
    }
    test_status(RECO_INVALID, reco_candidates_drop(c, reco_candidates_count(c), &ignored));
    test_status(RECO_INVALID, reco_candidates_add(c, reco__str_of("item-5"), 1, (reco_str){NULL, 0}, &ignored));
    return finish(err);
}

static reco_status raise_three(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)stage, (void)call;
    for (size_t i = 0; i < reco_candidates_count(c); i++) {
        if (reco__str_equal(reco_candidates_item(c, i), reco__str_of("item-3"))) {
            test_ok(reco_candidates_set_score(c, i, reco_candidates_score(c, i) + 5000000, err), err);
        }
    }
    return finish(err);
}

/* The last comes first and loses a micro-unit, the second goes. */
static reco_status turn_around(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t count = reco_candidates_count(c);
    (void)stage, (void)call;
    for (size_t i = 1; i < count; i++) {
        ck_assert_int_le(reco_candidates_score(c, i), reco_candidates_score(c, i - 1));
    }
    test_ok(reco_candidates_move(c, count - 1, 0, err), err);
    test_ok(reco_candidates_set_score(c, 0, reco_candidates_score(c, 0) - 1, err), err);
    test_ok(reco_candidates_drop(c, 1, err), err);
    return finish(err);
}

/* A source that takes until the deadline has passed. */
static reco_status outlast(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)stage, (void)c;
    while (call && reco__monotonic_ns() <= call->deadline_ns) {
    }
    return finish(err);
}

#define STAGE(kind, name, run)                                                                                                                       \
    { sizeof(reco_stage_backend), RECO_STAGE_CONTRACT, kind, 0, name, make, destroy, run }
static const reco_stage_backend stages[] = {STAGE(RECO_STAGE_SOURCE, "adds", add_some), STAGE(RECO_STAGE_FILTER, "drops", drop_four),
                                            STAGE(RECO_STAGE_RANKER, "raises", raise_three), STAGE(RECO_STAGE_ARRANGER, "turns", turn_around),
                                            STAGE(RECO_STAGE_SOURCE, "outlasts", outlast)};

static void open_world(fixture *f, const char *names) {
    static world w;
    reco_error err = RECO_ERROR_INIT;
    fixture_open(f, "default");
    memset(&w, 0, sizeof(w));
    memset(&told, 0, sizeof(told));
    told.score = 300000;
    w.items = 8;
    w.open[0][2] = 4 * UNIT;
    w.open[0][3] = 2 * UNIT;
    w.open[0][4] = UNIT;
    w.user_count = 1;
    w.users[0] = (struct world_user){.touch_count = 1, .session_count = 1, .touches = {{0, 1, f->now}}};
    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        reco_status status = reco_register_stage(&stages[i], &err);
        ck_assert(status == RECO_OK || status == RECO_CONFLICT);
    }
    snprintf(f->settings.stages, sizeof(f->settings.stages), "%s", names);
    fixture_start(f);
    world_load(f, &w, NULL);
}

static const reco_answer *ask_seeded(fixture *f) { return ask(f, 0, (reco_query){.limit = 10, .seed = 99}); }

START_TEST(a_source_adds)
{
    fixture f;
    open_world(&f, " adds{\"by\":[2,{\"a\":\"}\\\"\"}]} ");
    ck_assert_str_eq(told.options, "{\"by\":[2,{\"a\":\"}\\\"\"}]}");
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){2, 3, 7, 4}, 4);
    check_reasons(answer);
    ck_assert_int_eq(answer->items[2].score, 300000);
    ck_assert_uint_eq(answer->items[2].reasons[0].kind, RECO_REASON_STAGE);
    ck_assert_str_eq(answer->items[2].reasons[0].source.data, "adds");
    ck_assert_uint_eq(index_of(answer->items[2].reasons[0].because), 0);
    ck_assert_uint_eq(answer->items[1].reason_count, 2);
    ck_assert_int_eq(answer->items[1].reasons[1].score, 1000);
    fixture_close(&f);
    ck_assert_uint_eq(told.created, told.destroyed);
}
END_TEST

START_TEST(a_filter_drops)
{
    fixture f;
    open_world(&f, "drops");
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){2, 3}, 2);
    ck_assert_uint_eq(answer->filtered, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_ranker_changes_scores)
{
    fixture f;
    open_world(&f, "raises");
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){3, 2, 4}, 3);
    ck_assert_int_eq(answer->items[0].score, 5500000);
    ck_assert_int_eq(answer->items[0].reasons[0].score, 5000000);
    check_reasons(answer);
    fixture_close(&f);
}
END_TEST

START_TEST(an_arranger_changes_the_order)
{
    fixture f;
    open_world(&f, "turns");
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){4, 3}, 2); /* 2 3 4 -> 4 2 3 -> 4 3 */
    ck_assert_int_eq(answer->items[0].score, 249999);
    int64_t sum = answer->items[0].reasons[0].score + answer->items[0].reasons[1].score;
    ck_assert_int_eq(sum, 249999);
    answer = ask(&f, 0, (reco_query){.limit = 1}); /* it sees more than the limit */
    check_items(answer, (const uint32_t[]){4}, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(all_together)
{
    fixture f;
    open_world(&f, "turns, raises,drops ,adds");
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){7, 2}, 2); /* 3 2 7 -> 7 3 2 -> 7 2 */
    ck_assert_int_eq(answer->items[0].score, 299999);
    ck_assert_uint_eq(told.runs, 4);
    fixture_close(&f);
}
END_TEST

START_TEST(failures_mean_what_is_promised)
{
    fixture f;
    told.text = NULL;
    open_world(&f, "adds");
    told.fail = RECO_UNAVAILABLE; /* a source: left out with what it added */
    const reco_answer *answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){2, 3, 4}, 3);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_DEGRADED);
    ck_assert_uint_eq(answer->candidates, 3);
    check_reasons(answer);
    fixture_close(&f);

    open_world(&f, "drops");
    told.fail = RECO_UNAVAILABLE; /* a filter: fails the request, with a text even when it gave none */
    test_status(RECO_UNAVAILABLE, ask_query(&f, 0, (reco_query){0}));
    ck_assert_str_eq(f.err.text, "stage drops: backend unavailable");
    ck_assert_ptr_null(f.answer);
    told.text = "the rules are away";
    test_status(RECO_UNAVAILABLE, ask_query(&f, 0, (reco_query){0}));
    ck_assert_str_eq(f.err.text, "stage drops: the rules are away");
    told.fail = RECO_OK;
    ck_assert_uint_eq(ask_seeded(&f)->count, 2); /* and leaves nothing behind */
    fixture_close(&f);

    open_world(&f, "raises");
    told.fail = RECO_UNAVAILABLE; /* a ranker: earlier scores stand */
    answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){2, 3, 4}, 3);
    ck_assert_int_eq(answer->items[1].score, 500000);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_DEGRADED);
    check_reasons(answer);
    fixture_close(&f);

    open_world(&f, "turns");
    told.fail = RECO_UNAVAILABLE; /* an arranger: the earlier order */
    answer = ask_seeded(&f);
    check_items(answer, (const uint32_t[]){2, 3, 4}, 3);
    ck_assert_int_eq(answer->items[2].score, 250000);
    ck_assert_uint_eq(answer->filtered, 0);
    check_reasons(answer);
    fixture_close(&f);
}
END_TEST

static void count_failures(void *context, const char *name, const char *label, const char *value, uint64_t count) {
    uint64_t *found = context;
    (void)label;
    found[0] += strcmp(name, "reco_stage_failures_total") == 0 && strcmp(value, "coview") == 0 ? count : 0;
    found[1] += strcmp(name, "reco_source_skipped_total") == 0 && strcmp(value, "adds") == 0 ? count : 0;
}

static void count_times(void *context, const char *name, const char *label, const char *value, uint64_t count) {
    uint64_t *found = context;
    (void)label;
    found[0] += strcmp(name, "reco_stage_timed_total") == 0 && strcmp(value, "coview") == 0 ? count : 0;
    found[1] += strcmp(name, RECO__STAGE_NS) == 0 && strcmp(value, "coview") == 0 ? count : 0;
}

/* About one of 64: 2,000 questions make 31, and hardly ever less than 5 or more than 100. */
START_TEST(some_questions_are_timed)
{
    fixture f;
    uint64_t found[2] = {0};
    open_world(&f, "");
    int64_t began = reco__monotonic_ns();
    for (int i = 0; i < 2000; i++) {
        ask_seeded(&f);
    }
    int64_t took = reco__monotonic_ns() - began;
    reco__recommend_metrics(f.recommend, count_times, found);
    ck_assert_uint_ge(found[0], 5);
    ck_assert_uint_le(found[0], 100);
    ck_assert_uint_gt(found[1], 0);
    ck_assert_uint_lt(found[1], (uint64_t)took);
    fixture_close(&f);
}
END_TEST

/* The co-view source cannot read its heads: what is popular is left, and the answer says so. */
START_TEST(a_built_in_source_may_fail)
{
    fixture f;
    uint64_t found[2] = {0};
    open_world(&f, "");
    ask_seeded(&f);
    reco__fault_plant("features.heads", 1, 0, RECO_UNAVAILABLE);
    const reco_answer *answer = ask_seeded(&f);
    ck_assert_uint_eq(reco__fault_plant(NULL, 0, 0, RECO_OK), 1);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_DEGRADED | RECO_ANSWER_FALLBACK);
    ck_assert_uint_eq(ask_seeded(&f)->flags, 0);
    reco__recommend_metrics(f.recommend, count_failures, found);
    ck_assert_uint_eq(found[0], 1);
    reco__fault_plant("features.load", 1, 0, RECO_UNAVAILABLE); /* without a cell there is what was kept */
    answer = ask_seeded(&f);
    ck_assert_uint_eq(reco__fault_plant(NULL, 0, 0, RECO_OK), 1);
    ck_assert_uint_eq(answer->flags, RECO_ANSWER_DEGRADED | RECO_ANSWER_FALLBACK);
    ck_assert_uint_eq(answer->degraded, RECO_DEGRADED_FEATURES);
    check_reasons(answer);
    ck_assert_uint_eq(ask_seeded(&f)->flags, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(plans_are_checked_at_open)
{
    fixture f;
    reco__recommend *recommend = NULL;
    const struct {
        const char *stages, *text;
    } bad[] = {{"adds,missing", "no stage missing is registered"},
               {"adds,adds", "adds takes part already"},
               {"adds{\"by\":2", "the options of adds do not end"},
               {"{}", "no stage  is registered"}};
    open_world(&f, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        reco__recommend_options options = {.settings = &f.settings, .rules = &f.rules, .features = f.features, .records = f.records, .partitions = 2};
        snprintf(f.settings.stages, sizeof(f.settings.stages), "%s", bad[i].stages);
        test_status(RECO_INVALID, reco__recommend_open(&recommend, &options, NULL, &f.err));
        ck_assert_str_eq(f.err.field, "recommend.stages");
        ck_assert_str_eq(f.err.text, bad[i].text);
    }
    ck_assert_uint_eq(told.created, told.destroyed);
    fixture_close(&f);
}
END_TEST

START_TEST(tables_are_checked)
{
    reco_error err = RECO_ERROR_INIT;
    const struct {
        reco_stage_backend table;
        reco_status status;
        const char *field;
    } bad[] = {{{sizeof(reco_stage_backend) - 1, RECO_STAGE_CONTRACT, 1, 0, "x", make, destroy, add_some}, RECO_INVALID, "struct_size"},
               {{sizeof(reco_stage_backend), 99, 1, 0, "x", make, destroy, add_some}, RECO_UNSUPPORTED, "contract"},
               {{sizeof(reco_stage_backend), RECO_STAGE_CONTRACT, 5, 0, "x", make, destroy, add_some}, RECO_INVALID, "kind"},
               {{sizeof(reco_stage_backend), RECO_STAGE_CONTRACT, 1, 0, "a b", make, destroy, add_some}, RECO_INVALID, "name"},
               {{sizeof(reco_stage_backend), RECO_STAGE_CONTRACT, 1, 0, "coview", make, destroy, add_some}, RECO_CONFLICT, "name"},
               {{sizeof(reco_stage_backend), RECO_STAGE_CONTRACT, 1, 0, "x", make, destroy, NULL}, RECO_INVALID, "run"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        test_status(bad[i].status, reco_register_stage(&bad[i].table, &err));
        ck_assert_str_eq(err.field, bad[i].field);
    }
    test_status(RECO_INVALID, reco_register_stage(NULL, &err));
}
END_TEST

/* Past the deadline sources are skipped, and the answer says so; a question that is cancelled is over. */
START_TEST(deadlines_skip_sources)
{
    fixture f;
    uint64_t found[2] = {0};
    open_world(&f, "outlasts,adds");
    ask_seeded(&f); /* loads */
    told.runs = 0;
    reco_call call = {.struct_size = sizeof(call), .deadline_ns = reco__monotonic_ns() + 50000000};
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0")};
    test_ok(reco__recommend_ask(&f.answer, f.recommend, &query, f.now, 0, 0, &call, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){2, 3, 4}, 3);
    ck_assert_uint_eq(f.answer->flags, RECO_ANSWER_DEGRADED);
    ck_assert_uint_eq(told.runs, 1);
    reco__recommend_metrics(f.recommend, count_failures, found);
    ck_assert_uint_eq(found[1], 1);

    int32_t cancelled = 1;
    call = (reco_call){.struct_size = sizeof(call), .cancel = &cancelled};
    test_status(RECO_CANCELLED, reco__recommend_ask(&f.answer, f.recommend, &query, f.now, 0, 0, &call, &f.err));
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend stages");
    TCase *tests = tcase_create("stages");
    tcase_add_test(tests, a_source_adds);
    tcase_add_test(tests, a_filter_drops);
    tcase_add_test(tests, a_ranker_changes_scores);
    tcase_add_test(tests, an_arranger_changes_the_order);
    tcase_add_test(tests, all_together);
    tcase_add_test(tests, failures_mean_what_is_promised);
    tcase_add_test(tests, a_built_in_source_may_fail);
    tcase_add_test(tests, some_questions_are_timed);
    tcase_add_test(tests, plans_are_checked_at_open);
    tcase_add_test(tests, tables_are_checked);
    tcase_add_test(tests, deadlines_skip_sources);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
