/* tests/integration/test_selections.c - which items are in an answer, with which scores: what the model of tests/property found the engine
 * to get wrong once. */
#include <stdio.h>
#include <string.h>

#include "support/engine.h"

static reco_error err;
static reco_engine *engine;
static reco_answer *answer;

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

static void tell(const char *user, const char *item, const char *type) {
    reco_event event = test_event(user, item, type);
    test_engine_tell(NULL, engine, &event);
}

/* So many people look at both. */
static void look_at(const char *item, const char *other, int people) {
    char user[64];
    for (int i = 0; i < people; i++) {
        snprintf(user, sizeof user, "%s-%s-%d", item, other, i);
        tell(user, item, "view");
        tell(user, other, "view");
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void put(const char *id, const char *parent, const char *attributes, uint32_t flags) {
    reco_item item = {.item_id = str(id), .parent = str(parent), .attributes = str(attributes), .flags = flags};
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
}

/* People who look at "a" look at "b", and fewer of them at "c"; ann has looked at "a". */
static void begin(const char *availability) {
    const char *const settings[] = {"recommend.filter_availability", availability, NULL};
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, settings);
    tell("ann", "a", "view");
    look_at("a", "b", 4);
    look_at("a", "c", 2);
}

static void end(void) {
    reco_answer_free(answer);
    answer = NULL;
    reco_close(engine);
    engine = NULL;
}

static void answered(const char *items) {
    char got[256] = "";
    for (size_t i = 0; i < answer->count; i++) {
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%.*s", i ? " " : "", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
    }
    ck_assert_str_eq(got, items);
}

static void recommend(const char *items, uint32_t limit, const reco_selection *selection) {
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann"), .limit = limit, .selection = selection};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    answered(items);
}

START_TEST(a_cap_behind_one_that_nobody_has)
{
    begin("yes");
    const reco_cap caps[] = {{.attribute = str("nothing"), .most = 1}, {.attribute = str("brand"), .most = 1}};
    const reco_selection selection = {.struct_size = sizeof selection, .caps = caps, .cap_count = 2, .cap_size = sizeof *caps};
    put("b", "", "{\"brand\":\"x\"}", 0);
    put("c", "", "{\"brand\":\"x\"}", 0);
    recommend("b c", 5, NULL);
    recommend("b", 5, &selection);
    end();
}
END_TEST

START_TEST(given_variants_of_which_nothing_was_learned)
{
    begin("yes");
    const reco_str items[] = {str("new"), str("new-red"), str("new-blue"), str("b")};
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann")};
    put("new-red", "new", "", 0);
    put("new-blue", "new", "", 0);
    test_ok(reco_rank(&answer, engine, &query, items, 4, NULL, &err), &err);
    answered("b new");
    const reco_selection both = {.struct_size = sizeof both, .flags = RECO_SELECTION_VARIANTS};
    query.selection = &both;
    test_ok(reco_rank(&answer, engine, &query, items, 4, NULL, &err), &err);
    answered("b new new-red new-blue");
    end();
}
END_TEST

/* The catalogue hears of an item's document with the next refresh, or when it is asked for: nothing may depend on which. */
START_TEST(variants_learned_a_moment_ago)
{
    static const char *const switches[] = {"yes", "no"};
    const reco_str d = str("d");
    for (int i = 0; i < 2; i++) {
        begin(switches[i]);
        put("d", "b", "{\"size\":1}", 0);
        recommend("b c", 5, NULL);
        look_at("a", "d", 3);
        recommend("b c", 5, NULL);
        reco_similar_query query = {.struct_size = sizeof query, .items = &d, .item_count = 1};
        end();
        begin(switches[i]);
        put("d", "b", "", 0);
        recommend("b c", 5, NULL);
        look_at("d", "b", 3);
        look_at("d", "c", 1);
        test_ok(reco_similar(&answer, engine, &query, NULL, &err), &err);
        answered("c");
        end();
    }
}
END_TEST

START_TEST(attributes_learned_a_moment_ago)
{
    begin("no");
    const reco_cap cap = {.attribute = str("size"), .most = 1};
    const reco_selection selection = {.struct_size = sizeof selection, .caps = &cap, .cap_count = 1, .cap_size = sizeof cap};
    put("d", "", "{\"size\":1}", 0);
    put("e", "", "{\"size\":1}", RECO_ITEM_HIDDEN);
    recommend("b c", 5, &selection);
    look_at("a", "d", 3);
    look_at("a", "e", 1);
    recommend("b d c", 5, &selection);
    end();
}
END_TEST

START_TEST(categories_learned_a_moment_ago)
{
    const reco_str category = str("tea");
    reco_item item = {.item_id = str("d"), .categories = &category, .category_count = 1};
    reco_popular_query query = {.struct_size = sizeof query, .category = category, .window = 3600000};
    begin("no");
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    recommend("b c", 5, NULL);
    look_at("a", "d", 1);
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    answered("d");
    end();
}
END_TEST

/* The first variants there are, in a category, of another moment than the one that is kept. */
START_TEST(variants_of_a_category_learned_a_moment_ago)
{
    const reco_str category = str("shoes");
    const char *const variants[] = {"red", "blue"};
    begin("no");
    reco_popular_query query = {.struct_size = sizeof query, .category = category, .as_of = INT64_C(4102444800000)};
    for (int i = 0; i < 2; i++) {
        reco_item item = {.item_id = str(variants[i]), .parent = str("boot"), .categories = &category, .category_count = 1};
        test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    }
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    look_at("red", "blue", 3);
    tell("ann", "red", "view");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    query.as_of = 0;
    query.window = 3600000;
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    answered("red");
    end();
}
END_TEST

START_TEST(pages_with_what_was_learned_a_moment_ago)
{
    char cursor[1000];
    begin("yes");
    put("d", "b", "", 0);
    put("hidden", "", "", RECO_ITEM_HIDDEN);
    recommend("b", 1, NULL);
    snprintf(cursor, sizeof cursor, "%.*s", (int)answer->next.size, answer->next.data);
    look_at("a", "d", 3);
    look_at("a", "hidden", 5);
    recommend("b c", 5, NULL);
    int64_t score = answer->items[1].score;
    const reco_selection next = {.struct_size = sizeof next, .cursor = str(cursor)};
    recommend("c", 5, &next);
    ck_assert_int_eq(answer->items[0].score, score); /* measured as on the first page */
    end();

    begin("yes"); /* the same, without anybody who asks about the hidden one before */
    put("hidden", "", "", RECO_ITEM_HIDDEN);
    recommend("b", 1, NULL);
    snprintf(cursor, sizeof cursor, "%.*s", (int)answer->next.size, answer->next.data);
    look_at("a", "hidden", 5);
    recommend("c", 5, &(reco_selection){.struct_size = sizeof(reco_selection), .cursor = str(cursor)});
    score = answer->items[0].score;
    recommend("b c", 5, NULL);
    ck_assert_int_eq(answer->items[1].score, score);
    end();
}
END_TEST

/* Two events are taken back when their generation is closed, and cut to what is larger: in the open one they stand below 0, and the sum of the row
 * is less than what single members have. */
START_TEST(rows_with_sums_below_nothing)
{
    const char *const settings[] = {"coview.length", "10m", "coview.cut", "1", "coview.head", "1", "recommend.popularity_power", "0", NULL};
    static const struct {
        const char *user, *item, *type, *id;
        bool later, undo;
    } events[] = {{"u1", "x", "view", "", false, false},   {"u1", "y1", "cart", "1", false, false}, {"u2", "x", "view", "", false, false},
                  {"u2", "y2", "cart", "2", false, false}, {"u3", "x", "view", "", false, false},   {"u3", "w", "purchase", "", false, false},
                  {"u4", "x", "view", "", true, false},    {"u4", "z", "cart", "", true, false},    {"u1", "y1", "cart", "1", true, true},
                  {"u2", "y2", "cart", "2", true, true}};
    const int64_t begun = INT64_C(1767225600000);
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, settings);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        reco_event event = {.user_id = str(events[i].user),
                            .item_id = str(events[i].item),
                            .event_type = str(events[i].type),
                            .event_id = str(events[i].id),
                            .flags = events[i].undo ? RECO_EVENT_UNDO : 0};
        reco_ingest_options options = {.struct_size = sizeof options, .received_at = begun + (events[i].later ? 7200000 : 0)};
        test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, &options, NULL, &err), &err);
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    const reco_str x = str("x");
    reco_similar_query query = {.struct_size = sizeof query, .items = &x, .item_count = 1};
    test_ok(reco_similar(&answer, engine, &query, NULL, &err), &err);
    answered("w z");
    ck_assert_int_eq(answer->items[0].score, RECO_SCORE_UNIT);
    ck_assert_int_ge(answer->items[1].score, 599999);
    ck_assert_int_le(answer->items[1].score, 600001);
    test_engine_verify(engine, NULL);
    end();
}
END_TEST

static bool nothing_is_popular(void *context) {
    reco_popular_query query = {.struct_size = sizeof query};
    (void)context;
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    return answer->count == 0;
}

/* The only row of popularity comes to nothing, and is not listed any more: what was added of it goes all the same. */
START_TEST(popularity_that_came_to_nothing)
{
    reco_event event = test_event("ann", "a", "view");
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, NULL);
    event.event_id = str("1");
    test_engine_tell(NULL, engine, &event);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ck_assert(!nothing_is_popular(NULL));
    event.flags |= RECO_EVENT_UNDO;
    test_engine_tell(NULL, engine, &event);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ck_assert(test_wait(nothing_is_popular, NULL, 20000));
    end();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("selections");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_cap_behind_one_that_nobody_has);
    tcase_add_test(tests, given_variants_of_which_nothing_was_learned);
    tcase_add_test(tests, variants_learned_a_moment_ago);
    tcase_add_test(tests, attributes_learned_a_moment_ago);
    tcase_add_test(tests, categories_learned_a_moment_ago);
    tcase_add_test(tests, variants_of_a_category_learned_a_moment_ago);
    tcase_add_test(tests, pages_with_what_was_learned_a_moment_ago);
    tcase_add_test(tests, rows_with_sums_below_nothing);
    tcase_add_test(tests, popularity_that_came_to_nothing);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
