/* tests/integration/test_explain.c - explanations by the public face: ranks far below the cut against another engine, which answers with everything,
 * for users, a user with aliases, a session and nobody; what of an explanation is in its JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "support/engine.h"

enum { ITEMS = 6000, USERS = 300, EVENTS = 24000, PIECE = 500, ASKED = 60 };

static reco_error err;
static reco_explanation *told;
static reco_answer *answer, *whole;

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }
static bool same(reco_str a, reco_str b) { return a.size == b.size && memcmp(a.data, b.data, a.size) == 0; }
static bool is(reco_str text, const char *expected) { return same(text, str(expected)); }

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }

static void teardown(void) {
    reco_explanation_free(told);
    reco_answer_free(answer);
    reco_answer_free(whole);
    told = NULL;
    answer = whole = NULL;
}

/* --- ranks ---------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *seed, uint32_t below) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

/* Few items are looked at often, most of them hardly ever. */
static void fill(reco_engine *engine) {
    static char names[PIECE][2][16];
    static reco_event events[PIECE];
    uint64_t seed = 5;
    for (uint32_t done = 0; done < EVENTS; done += PIECE) {
        for (uint32_t i = 0; i < PIECE; i++) {
            double far = (double)draw(&seed, 100000) / 100000;
            snprintf(names[i][0], sizeof names[i][0], "u%u", draw(&seed, USERS));
            snprintf(names[i][1], sizeof names[i][1], "i%u", (unsigned)(far * far * ITEMS));
            events[i] = test_event(names[i][0], names[i][1], "view");
        }
        test_ok(reco_ingest(NULL, engine, events, PIECE, sizeof *events, NULL, NULL, &err), &err);
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

/* The answer behind its id, which differs from one to the next. */
static const char *behind_id(reco_answer *of) {
    const char *text;
    size_t size;
    test_ok(reco_answer_json(&text, &size, of, &err), &err);
    return strstr(text, ",\"scenario\"");
}

static size_t place_of(reco_str item) {
    size_t at = 0;
    while (at < whole->count && !same(whole->items[at].item_id, item))
        at++;
    return at;
}

static void check_item(const reco_explained_item *item) {
    size_t at = place_of(item->item_id);
    if (at == whole->count) {
        ck_assert(item->verdict == RECO_VERDICT_UNKNOWN || (item->verdict == RECO_VERDICT_DROPPED && is(item->stage, "seen")));
        return;
    }
    ck_assert_uint_eq(item->verdict, at < answer->count ? RECO_VERDICT_LISTED : RECO_VERDICT_BELOW_CUT);
    ck_assert_uint_eq(item->rank, at + 1);
    ck_assert_int_eq(item->score, whole->items[at].score);
    ck_assert_uint_eq(item->reason_count, whole->items[at].reason_count);
    ck_assert_int_eq(item->cut, answer->items[answer->count - 1].score);
    ck_assert_int_eq(item->distance, item->cut - item->score);
}

/* `few` has a list of popular items that ends long before the catalogue does, `all` one that has them all. */
static void check_question(reco_engine *few, reco_engine *all, reco_query query, uint64_t *seed, uint32_t *deep) {
    static char names[ASKED][16];
    reco_str items[ASKED];
    query.struct_size = sizeof query;
    query.seed = 3;
    query.limit = 10000;
    test_ok(reco_recommend(&whole, all, &query, NULL, &err), &err);
    query.limit = 10;
    test_ok(reco_recommend(&answer, few, &query, NULL, &err), &err);
    for (uint32_t i = 0; i < ASKED; i++) { /* different ones, from all over */
        snprintf(names[i], sizeof names[i], "i%u", i * (ITEMS / ASKED) + draw(seed, ITEMS / ASKED));
        items[i] = str(names[i]);
    }
    items[0] = answer->items[9].item_id;
    items[1] = whole->items[10].item_id;
    items[2] = whole->items[whole->count - 1].item_id;
    for (uint32_t i = 3; i < ASKED; i++)
        if (same(items[i], items[0]) || same(items[i], items[1]) || same(items[i], items[2]))
            items[i] = str("unknown");
    test_ok(reco_explain(&told, few, &query, items, ASKED, NULL, &err), &err);
    ck_assert_uint_eq(told->item_count, ASKED);
    ck_assert_str_eq(behind_id((reco_answer *)(uintptr_t)told->answer), behind_id(answer));
    for (uint32_t i = 0; i < ASKED; i++) {
        check_item(&told->items[i]);
        *deep += told->items[i].rank > 2000;
    }
    ck_assert_uint_eq(told->items[2].rank, whole->count);
}

START_TEST(ranks_far_below)
{
    char dir[256];
    const reco_event session[] = {{.item_id = str("i10")}, {.item_id = str("i700")}};
    const reco_query visitor = {.session = session, .session_count = 2, .event_size = sizeof *session};
    const char *const few_settings[] = {"recommend.popular_candidates", "5", "recommend.limit_max", "20", NULL};
    const char *const all_settings[] = {"recommend.limit_max", "10000", NULL};
    uint64_t seed = 77;
    uint32_t deep = 0;
    test_dir_make(dir);
    reco_engine *few = test_engine_open(dir, 0, few_settings);
    fill(few);
    test_ok(reco_user_alias(NULL, few, str("u1"), str("u2"), NULL, &err), &err);
    reco_engine *all = test_engine_open(dir, 0, all_settings);
    for (int i = 0; i < 8; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        check_question(few, all, (reco_query){.user_id = str(user)}, &seed, &deep);
    }
    check_question(few, all, (reco_query){.user_id = str("nobody")}, &seed, &deep);
    check_question(few, all, (reco_query){.user_id = str("u3"), .as_of = told->answer->as_of - 3600000}, &seed, &deep);
    check_question(few, all, visitor, &seed, &deep);
    ck_assert_uint_gt(deep, 100);
    reco_close(all);
    reco_close(few);
    test_dir_remove(dir);
}
END_TEST

/* --- JSON ----------------------------------------------------------------------------------------------------------------------------------- */

static json_t *explain_json(reco_engine *engine, reco_query query, const reco_str *items, size_t count) {
    const char *text;
    size_t size;
    query.struct_size = sizeof query;
    test_ok(reco_explain(&told, engine, &query, items, count, NULL, &err), &err);
    test_ok(reco_explanation_json(&text, &size, told, &err), &err);
    ck_assert_uint_eq(strlen(text), size);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(root);
    return root;
}

static const char *text_in(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

START_TEST(as_json)
{
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    const char *const looks[][2] = {{"a", "tea"}, {"a", "cup"}, {"b", "tea"}, {"b", "cup"}, {"b", "pot"}, {"ann", "tea"}, {"ann", "old"}};
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        const reco_event event = test_event(looks[i][0], looks[i][1], i == 6 ? "dislike" : "view");
        test_engine_tell(NULL, engine, &event);
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    const reco_str items[] = {str("cup"), str("pot"), str("old"), str("tea"), str("unknown")};
    json_t *root = explain_json(engine, (reco_query){.user_id = str("ann"), .limit = 1}, items, 5);
    json_t *user = json_object_get(root, "user"), *listed = json_object_get(root, "items");
    ck_assert_str_eq(text_in(user, "user_id"), "ann");
    ck_assert(json_is_true(json_object_get(user, "known")) && json_is_true(json_object_get(user, "session_runs")));
    ck_assert_uint_eq(strlen(text_in(user, "last")), 24);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(root, "hidden"), 0)), "old");
    ck_assert_uint_eq(json_array_size(json_object_get(root, "recents")), 1);
    ck_assert_str_eq(text_in(json_array_get(listed, 0), "verdict"), "listed");
    ck_assert_str_eq(text_in(json_array_get(listed, 1), "verdict"), "below_cut");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(listed, 1), "rank")), 2);
    ck_assert_str_eq(text_in(json_array_get(listed, 2), "stage"), "hidden");
    ck_assert_str_eq(text_in(json_array_get(listed, 3), "stage"), "seen");
    ck_assert_ptr_null(json_object_get(json_array_get(listed, 3), "score"));
    ck_assert_str_eq(text_in(json_array_get(listed, 4), "verdict"), "unknown");
    ck_assert_str_eq(text_in(json_array_get(json_object_get(root, "stages"), 0), "stage"), "state");
    ck_assert_double_gt(json_number_value(json_object_get(root, "microseconds")), 0);
    json_decref(root);
    reco_close(engine);
}
END_TEST

START_TEST(items_that_are_not_there)
{
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    const reco_query query = {.struct_size = sizeof query, .user_id = str("ann")};
    ck_assert_int_eq(reco_explain(&told, engine, &query, NULL, 3, NULL, &err), RECO_INVALID);
    ck_assert_str_eq(err.field, "items");
    ck_assert_str_eq(err.text, "NULL, though there are to be 3");
    ck_assert_int_eq(reco_rank(&answer, engine, &query, NULL, 0, NULL, &err), RECO_INVALID);
    ck_assert_str_eq(err.text, "at least one is needed");
    test_ok(reco_explain(&told, engine, &query, NULL, 0, NULL, &err), &err);
    reco_close(engine);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("explain");
    TCase *tests = tcase_create("explain");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, ranks_far_below);
    tcase_add_test(tests, as_json);
    tcase_add_test(tests, items_that_are_not_there);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
