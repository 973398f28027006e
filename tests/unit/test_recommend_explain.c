/* test_recommend_explain.c - why an item is, or is not, in an answer: random worlds against longer answers and a plain reading of what drops what,
 * stages of the application, what was kept, faults. */
#include "recommend_fixture.h"
#include <reco/plugin/stage.h>

enum { ROUNDS = 60, LIMIT_MOST = 9 };

static reco_explanation *explanation; /* of one test at a time; kept from question to question */

static reco_status explain_query(fixture *f, const char *user, reco_query query, const reco_str *items, size_t count, const reco_call *call) {
    query.struct_size = sizeof(query);
    query.user_id = reco__str_of(user);
    uint32_t partition = user ? fixture_partition_of(NULL, query.user_id) : 0;
    return reco__recommend_explain(&explanation, f->recommend, &query, items, count, f->now, partition, 0, call, &f->err);
}

static const reco_explained_item *explain_one(fixture *f, reco_query query, const char *item) {
    const reco_str asked = reco__str_of(item);
    test_ok(explain_query(f, "user-0", query, &asked, 1, NULL), &f->err);
    ck_assert_uint_eq(explanation->item_count, 1);
    ck_assert(reco__str_equal(explanation->items[0].item_id, asked));
    return &explanation->items[0];
}

static void check_text(reco_str text, const char *expected) {
    ck_assert_msg(reco__str_equal(text, reco__str_of(expected)), "\"%.*s\", expected \"%s\"", (int)text.size, text.data ? text.data : "", expected);
}

static void check_dropped(fixture *f, reco_query query, const char *item, const char *stage, const char *reason) {
    const reco_explained_item *told = explain_one(f, query, item);
    ck_assert_uint_eq(told->verdict, RECO_VERDICT_DROPPED);
    ck_assert_uint_eq(told->flags, 0);
    ck_assert_uint_eq(told->rank, 0);
    check_text(told->stage, stage);
    check_text(told->reason, reason);
}

/* --- random worlds ------------------------------------------------------------------------------------------------------------------------------ */

/* What records say of an item. */
typedef struct thing {
    int color, size; /* 0: none, 1, 2 */
    int parent;      /* -1: none */
    bool hidden, early, late;
} thing;

static void put_thing(fixture *f, uint32_t index, const thing *t) {
    char room[16], above[16], attributes[64];
    static const char *const colors[] = {"null", "\"red\"", "\"blue\""};
    snprintf(attributes, sizeof(attributes), "{\"color\":%s,\"size\":%s}", colors[t->color], t->size == 0 ? "null" : t->size == 1 ? "1" : "2");
    reco_item item = {.item_id = item_name(room, index),
                      .flags = t->hidden ? RECO_ITEM_HIDDEN : 0,
                      .available_from = t->early ? f->now + 1 : 0,
                      .available_until = t->late ? f->now : 0,
                      .attributes = reco__str_of(attributes)};
    reco__buf document = {0};
    if (t->parent >= 0) {
        item.parent = item_name(above, (uint32_t)t->parent);
    }
    reco__item_document(&document, &item);
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {document.data, document.size}};
    test_ok(reco__records_change(NULL, f->records, &change, 1, NULL, &f->err), &f->err);
    reco__buf_dispose(&document);
}

static void random_things(thing things[TEST_ITEMS], fixture *f, uint32_t count, reco__rand *rand) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t chance = reco__rand_below(rand, 24);
        things[i] = (thing){.color = (int)reco__rand_below(rand, 3),
                            .size = (int)reco__rand_below(rand, 3),
                            .parent = i >= 4 && reco__rand_below(rand, 4) == 0 ? (int)reco__rand_below(rand, 4) : -1,
                            .hidden = chance == 0,
                            .early = chance == 1,
                            .late = chance == 2};
        put_thing(f, i, &things[i]);
    }
}

/* A question about a world, and all it says. */
typedef struct asked {
    reco_query query;
    reco_selection selection;
    reco_str exclude[4];
    char names[4][16];
    uint32_t excluded[4];
    reco_value value;
    reco_filter filter;
    reco_cap cap;
    char cursor[2000];
    bool shown[TEST_ITEMS];
} asked;

static void random_question(asked *a, fixture *f, const world *w, uint32_t user, reco__rand *rand) {
    memset(a, 0, sizeof(*a));
    a->selection = (reco_selection){.struct_size = sizeof(a->selection),
                                    .flags = reco__rand_below(rand, 2) ? RECO_SELECTION_VARIANTS : 0,
                                    .exclude = a->exclude,
                                    .exclude_count = reco__rand_below(rand, 5),
                                    .filters = &a->filter,
                                    .filter_count = reco__rand_below(rand, 2),
                                    .filter_size = sizeof(a->filter),
                                    .caps = &a->cap,
                                    .cap_count = reco__rand_below(rand, 2),
                                    .cap_size = sizeof(a->cap)};
    for (size_t i = 0; i < a->selection.exclude_count; i++) {
        a->excluded[i] = (uint32_t)reco__rand_below(rand, w->items);
        a->exclude[i] = item_name(a->names[i], a->excluded[i]);
    }
    a->value = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of("red")};
    a->filter = (reco_filter){.attribute = reco__str_of("color"), .op = RECO_FILTER_ANY_OF, .values = &a->value, .value_count = 1};
    a->cap = (reco_cap){.attribute = reco__str_of("size"), .most = 1 + (uint32_t)reco__rand_below(rand, 3)};
    a->query = (reco_query){.limit = 1 + (uint32_t)reco__rand_below(rand, LIMIT_MOST), .seed = 5, .selection = &a->selection};
    if (reco__rand_below(rand, 3) == 0) { /* the second page */
        const reco_answer *first = ask(f, user, a->query);
        for (size_t i = 0; i < first->count && first->next.size > 0; i++) {
            a->shown[index_of(first->items[i].item_id)] = true;
        }
        ck_assert_uint_lt(first->next.size, sizeof(a->cursor));
        memcpy(a->cursor, first->next.data ? first->next.data : "", first->next.size);
        a->selection.cursor = (reco_str){a->cursor, first->next.size};
    }
}

static bool touched(const struct world_user *user, uint32_t item) {
    for (uint32_t i = 0; i < user->touch_count; i++) {
        if (user->touches[i].item == item) {
            return true;
        }
    }
    return false;
}

static bool hidden_by(const struct world_user *user, uint32_t item) {
    for (uint32_t i = 0; i < user->hidden_count; i++) {
        if (user->hidden[i] == item) {
            return true;
        }
    }
    return false;
}

static bool excluded(const asked *a, uint32_t item) {
    for (size_t i = 0; i < a->selection.exclude_count; i++) {
        if (a->excluded[i] == item) {
            return true;
        }
    }
    return false;
}

/* With variants of one thing collapsed, what was shown stands for all of them. */
static bool on_page_before(const asked *a, const thing *things, const world *w, uint32_t item) {
    uint32_t product = things[item].parent >= 0 ? (uint32_t)things[item].parent : item;
    for (uint32_t i = 0; i < w->items; i++) {
        uint32_t other = things[i].parent >= 0 ? (uint32_t)things[i].parent : i;
        if (a->shown[i] && (i == item || (!(a->selection.flags & RECO_SELECTION_VARIANTS) && other == product))) {
            return true;
        }
    }
    return false;
}

/* The stage that drops an item whatever else there is; NULL: none. */
static const char *dropped_by(const fixture *f, const world *w, const struct world_user *user, const thing *things, const asked *a, uint32_t item) {
    const thing *t = &things[item];
    if (f->settings.filter_seen && touched(user, item)) {
        return "seen";
    }
    if (hidden_by(user, item)) {
        return "hidden";
    }
    if (t->hidden || t->early || t->late) {
        return "availability";
    }
    if (excluded(a, item)) {
        return "exclude";
    }
    if (a->selection.filter_count > 0 && t->color != 1) {
        return "filters";
    }
    return on_page_before(a, things, w, item) ? "cursor" : NULL;
}

/* Whether a source that counts goes with it, or somebody has looked at it. */
static bool proposed(const fixture *f, const world *w, uint32_t item) {
    bool revisits = f->settings.revisit > 0 && !f->settings.filter_seen;
    if (w->hours[item] + w->days[item] > 0) {
        return true;
    }
    for (size_t k = 0; k < explanation->recent_count; k++) {
        uint32_t source = index_of(explanation->recents[k].item_id);
        if (w->open[source][item] + w->closed[source][item] > 0 || (revisits && source == item && explanation->recents[k].session)) {
            return true;
        }
    }
    return false;
}

static uint64_t verdicts[RECO_VERDICT_UNKNOWN + 1], drops[16];
static const char *const stages_of_drops[] = {"seen", "hidden", "availability", "exclude", "filters", "cursor", "caps", "variants"};

static void count_drop(reco_str stage) {
    for (size_t i = 0; i < sizeof(stages_of_drops) / sizeof(*stages_of_drops); i++) {
        drops[i] += reco__str_equal(stage, reco__str_of(stages_of_drops[i]));
    }
}

static void same_reasons(const reco_reason *a, uint32_t a_count, const reco_reason *b, uint32_t b_count) {
    ck_assert_uint_eq(a_count, b_count);
    for (uint32_t r = 0; r < a_count; r++) {
        ck_assert(a[r].kind == b[r].kind && a[r].score == b[r].score && reco__str_equal(a[r].because, b[r].because));
    }
}

/* One that a longer answer has. */
static void check_placed(const reco_explained_item *told, const reco_answer *whole, size_t at, uint32_t limit) {
    const reco_answer_item *item = &whole->items[at];
    const reco_answer *answer = explanation->answer;
    ck_assert_uint_eq(told->verdict, at < limit ? RECO_VERDICT_LISTED : RECO_VERDICT_BELOW_CUT);
    ck_assert_uint_eq(told->rank, at + 1);
    ck_assert_int_eq(told->score, item->score);
    ck_assert_uint_eq(told->flags, RECO_EXPLAINED_SCORED | RECO_EXPLAINED_CUT);
    ck_assert_int_eq(told->cut, answer->items[answer->count - 1].score);
    ck_assert_int_eq(told->distance, told->cut - told->score);
    same_reasons(told->reasons, told->reason_count, item->reasons, item->reason_count);
}

static void check_absent(const reco_explained_item *told, const char *stage, bool candidate, const asked *a) {
    ck_assert_uint_eq(told->flags, 0);
    ck_assert_uint_gt(told->reason.size, 0);
    if (stage) {
        ck_assert_uint_eq(told->verdict, RECO_VERDICT_DROPPED);
        check_text(told->stage, stage);
    } else if (candidate) {
        bool caps = reco__str_equal(told->stage, reco__str_of("caps")), variants = reco__str_equal(told->stage, reco__str_of("variants"));
        ck_assert_uint_eq(told->verdict, RECO_VERDICT_DROPPED);
        ck_assert((caps && a->selection.cap_count > 0) || (variants && !(a->selection.flags & RECO_SELECTION_VARIANTS)));
    } else {
        ck_assert_uint_eq(told->verdict, RECO_VERDICT_NO_CANDIDATE);
    }
}

/* The text of an answer behind its id. */
static const char *behind_id(reco_answer *answer, fixture *f) {
    const char *text;
    size_t size;
    test_ok(reco__answer_json(&text, &size, answer, &f->err), &f->err);
    return strstr(text, ",\"scenario\"");
}

static void check_steps(void) {
    int64_t sum = 0;
    for (size_t i = 0; i < explanation->stage_count; i++) {
        const reco_explained_stage *step = &explanation->stages[i];
        ck_assert_int_ge(step->nanoseconds, 0);
        ck_assert_uint_eq(step->status, RECO_STEP_OK);
        uint64_t before = i > 0 ? explanation->stages[i - 1].candidates : 0;
        ck_assert_uint_eq(step->candidates, before + step->added - step->dropped);
        sum += step->nanoseconds;
    }
    ck_assert_int_eq(sum, explanation->nanoseconds);
    ck_assert_uint_gt(explanation->stage_count, 8);
}

static void check_question(fixture *f, const world *w, const thing *things, uint32_t user, asked *a) {
    char names[TEST_ITEMS][16], who[16];
    reco_str items[TEST_ITEMS];
    for (uint32_t i = 0; i < w->items; i++) {
        items[i] = item_name(names[i], i);
    }
    user_name(who, user);
    test_ok(explain_query(f, who, a->query, items, w->items, NULL), &f->err);
    ask(f, user, a->query);
    ck_assert_str_eq(behind_id(f->answer, f), behind_id(reco__explanation_answer(explanation), f));
    ck_assert_uint_eq(f->answer->candidates, explanation->answer->candidates);
    ck_assert_uint_eq(f->answer->filtered, explanation->answer->filtered);
    check_steps();
    uint32_t limit = a->query.limit;
    a->query.limit = TEST_ITEMS;
    const reco_answer *whole = ask(f, user, a->query);
    for (uint32_t i = 0; i < w->items; i++) {
        const reco_explained_item *told = &explanation->items[i];
        size_t at = 0;
        while (at < whole->count && index_of(whole->items[at].item_id) != i) {
            at++;
        }
        verdicts[told->verdict]++;
        count_drop(told->stage);
        if (at < whole->count) {
            check_placed(told, whole, at, limit);
        } else {
            check_absent(told, dropped_by(f, w, &w->users[user], things, a, i), proposed(f, w, i), a);
        }
    }
}

static reco_status nothing_create(reco_stage **out, reco_str options, const reco_call *call, reco_error *err) {
    (void)out, (void)options, (void)call, (void)err;
    return RECO_OK;
}
static void nothing_destroy(reco_stage *stage) { (void)stage; }
static reco_status nothing_run(reco_stage *stage, reco_candidates *candidates, const reco_call *call, reco_error *err) {
    (void)stage, (void)candidates, (void)call, (void)err;
    return RECO_OK;
}

/* Nobody has looked at some items. */
static void forget_some(world *w, reco__rand *rand) {
    for (uint32_t i = 0; i < w->items; i++) {
        if (reco__rand_below(rand, 5) == 0) {
            w->hours[i] = w->days[i] = 0;
            for (uint32_t j = 0; j < w->items; j++) {
                w->open[j][i] = w->closed[j][i] = 0;
            }
        }
    }
}

/* Every item of every world, by both roads through the plan. */
START_TEST(random_worlds)
{
    static world w;
    static asked a;
    thing things[TEST_ITEMS];
    fixture f;
    reco__rand rand;
    const reco_stage_backend nothing = {sizeof(nothing), RECO_STAGE_CONTRACT, RECO_STAGE_RANKER, 0,
                                        "nothing",       nothing_create,      nothing_destroy,   nothing_run};
    test_ok(reco_register_stage(&nothing, &f.err), &f.err);
    fixture_open(&f, "default");
    f.settings.limit_max = TEST_ITEMS;
    reco__rand_seed(&rand, 20261123);
    for (int round = 0; round < ROUNDS; round++) {
        world_random(&w, &f, &rand);
        forget_some(&w, &rand);
        settings_random(&f.settings, &rand);
        bool own = round % 4 == 3;
        f.settings.popular_candidates = own ? TEST_ITEMS : f.settings.popular_candidates; /* by that road, what it lists is all there is */
        snprintf(f.settings.stages, sizeof(f.settings.stages), own ? "nothing" : "");
        random_things(things, &f, w.items, &rand);
        fixture_start(&f);
        world_load(&f, &w, NULL);
        for (uint32_t u = 0; u < TEST_USERS; u++) {
            random_question(&a, &f, &w, u, &rand);
            check_question(&f, &w, things, u, &a);
        }
    }
    for (uint32_t verdict = RECO_VERDICT_LISTED; verdict < RECO_VERDICT_UNKNOWN; verdict++) {
        ck_assert_msg(verdicts[verdict] > 100, "verdict %u came %llu times", verdict, (unsigned long long)verdicts[verdict]);
    }
    for (size_t i = 0; i < sizeof(stages_of_drops) / sizeof(*stages_of_drops); i++) {
        ck_assert_msg(drops[i] > 50, "%s dropped %llu times", stages_of_drops[i], (unsigned long long)drops[i]);
    }
    reco__explanation_free(explanation);
    explanation = NULL;
    fixture_close(&f);
}
END_TEST

/* --- in words ----------------------------------------------------------------------------------------------------------------------------------- */

/* Whoever looks at item 0 looks at 1 to 9, most of all at 1; item 10 was looked at, items 11 and 12 never. */
static void plain_world(world *w, const fixture *f) {
    memset(w, 0, sizeof(*w));
    w->items = 13;
    for (uint32_t i = 1; i < 10; i++) {
        w->open[0][i] = (int64_t)(20 - i) * 2520;
        w->days[i] = w->hours[i] = 30 - i;
    }
    w->days[0] = w->hours[0] = w->days[10] = w->hours[10] = 1;
    w->user_count = 1;
    w->users[0] = (struct world_user){.touch_count = 1, .session_count = 1, .hidden_count = 2, .last = f->now};
    w->users[0].touches[0] = (reco__touch){0, 1, f->now - 1000};
    w->users[0].hidden[0] = 12;
    w->users[0].hidden[1] = 1;
}

static const reco__event_type types[] = {{.name = "view", .weight = 1}};

static void open_plain(fixture *f, world *w) {
    fixture_open(f, "default");
    f->rules.types = types;
    f->rules.type_count = 1;
    plain_world(w, f);
    world_load(f, w, NULL);
}

static void close_plain(fixture *f) {
    reco__explanation_free(explanation);
    explanation = NULL;
    fixture_close(f);
}

START_TEST(in_words)
{
    static world w;
    fixture f;
    open_plain(&f, &w);
    put_item(&f, 2, RECO_ITEM_HIDDEN, 0, 0, NULL);
    put_item(&f, 3, 0, f.now + 1000, 0, NULL);
    put_item(&f, 4, 0, 0, f.now - 1000, NULL);
    put_attributes(&f, 5, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 6, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 7, "{\"color\":\"blue\"}", 8);
    put_item(&f, 40, 0, 0, 0, NULL);
    fixture_start(&f);
    const reco_str out = reco__str_of("item-9");
    const reco_value red = {.type = RECO_VALUE_STRING, .text = reco__str_of("red")};
    const reco_filter filter = {.attribute = reco__str_of("color"), .op = RECO_FILTER_ANY_OF, .values = &red, .value_count = 1};
    const reco_cap cap = {.attribute = reco__str_of("color"), .most = 1};
    const reco_selection exclude = {.struct_size = sizeof(exclude), .exclude = &out, .exclude_count = 1},
                         only_red = {.struct_size = sizeof(only_red), .filters = &filter, .filter_count = 1, .filter_size = sizeof(filter)},
                         capped = {.struct_size = sizeof(capped), .caps = &cap, .cap_count = 1, .cap_size = sizeof(cap)};
    check_dropped(&f, (reco_query){0}, "item-0", "seen", "the user has seen it, last at 1971-12-06T11:59:59.000Z");
    check_dropped(&f, (reco_query){0}, "item-1", "hidden", "the user hides it");
    check_dropped(&f, (reco_query){0}, "item-12", "hidden", "the user hides it");
    check_dropped(&f, (reco_query){0}, "item-2", "availability", "it is hidden from everybody");
    check_dropped(&f, (reco_query){0}, "item-3", "availability", "it is not available before 1971-12-06T12:00:01.000Z");
    check_dropped(&f, (reco_query){0}, "item-4", "availability", "it is available until 1971-12-06T11:59:59.000Z only");
    check_dropped(&f, (reco_query){.selection = &exclude}, "item-9", "exclude", "the question excludes it");
    check_dropped(&f, (reco_query){.selection = &only_red}, "item-7", "filters", "the condition on color does not hold");
    check_dropped(&f, (reco_query){.selection = &capped}, "item-6", "caps", "the cap of color: 1 with the same value are better");
    check_dropped(&f, (reco_query){0}, "item-8", "variants", "another variant of it is better: item-7");
    const reco_explained_item *told = explain_one(&f, (reco_query){0}, "item-11");
    ck_assert_uint_eq(told->verdict, RECO_VERDICT_NO_CANDIDATE);
    check_text(told->reason, "no source proposed it: it is not among what goes best with the 1 recent items, and nobody has looked at it of late");
    told = explain_one(&f, (reco_query){0}, "item-40");
    ck_assert_uint_eq(told->verdict, RECO_VERDICT_NO_CANDIDATE);
    check_text(told->reason, "the catalogue has it, but no event does: only what was learned of is recommended");
    told = explain_one(&f, (reco_query){0}, "item-41");
    ck_assert_uint_eq(told->verdict, RECO_VERDICT_UNKNOWN);
    check_text(told->reason, "no event has it, and the catalogue does not know it");
    told = explain_one(&f, (reco_query){.limit = 1, .flags = RECO_QUERY_NO_REASONS}, "item-10");
    ck_assert_uint_eq(told->verdict, RECO_VERDICT_BELOW_CUT);
    ck_assert_uint_eq(told->reason_count, 0);
    ck_assert_uint_eq(told->rank, 5); /* behind 5, 6, 7, 9 */
    close_plain(&f);
}
END_TEST

START_TEST(of_the_user)
{
    static world w;
    fixture f;
    open_plain(&f, &w);
    fixture_start(&f);
    test_ok(explain_query(&f, "user-0", (reco_query){0}, NULL, 0, NULL), &f.err);
    ck_assert_uint_eq(explanation->item_count, 0);
    ck_assert_uint_eq(explanation->flags, RECO_EXPLANATION_KNOWN | RECO_EXPLANATION_SESSION_RUNS);
    ck_assert_int_eq(explanation->last, f.now);
    ck_assert_uint_eq(explanation->recent_count, 1);
    check_text(explanation->recents[0].item_id, "item-0");
    ck_assert(explanation->recents[0].timestamp == f.now - 1000 && explanation->recents[0].weight == 1 && explanation->recents[0].session);
    ck_assert_uint_eq(explanation->hidden_count, 2);
    check_text(explanation->hidden[0], "item-1");
    check_text(explanation->hidden[1], "item-12");
    check_text(explanation->user_id, "user-0");
    test_ok(explain_query(&f, "nobody-0", (reco_query){0}, NULL, 0, NULL), &f.err);
    ck_assert_uint_eq(explanation->flags | explanation->recent_count | explanation->hidden_count, 0);
    ck_assert_uint_eq(explanation->answer->flags, RECO_ANSWER_FALLBACK);
    const reco_event event = {.item_id = reco__str_of("item-0")};
    const reco_str zero = reco__str_of("item-0");
    test_ok(explain_query(&f, NULL, (reco_query){.session = &event, .session_count = 1, .event_size = sizeof(event)}, &zero, 1, NULL), &f.err);
    ck_assert_uint_eq(explanation->user_id.size, 0);
    ck_assert_uint_eq(explanation->flags, RECO_EXPLANATION_SESSION_RUNS);
    ck_assert_uint_eq(explanation->recent_count, 1);
    check_text(explanation->items[0].stage, "seen");
    const char *text;
    size_t size;
    test_ok(reco__explanation_json(&text, &size, explanation, &f.err), &f.err);
    ck_assert_ptr_nonnull(strstr(text, "\"user\":{\"user_id\":null,\"known\":false,\"last\":null,\"session_runs\":true}"));
    close_plain(&f);
}
END_TEST

/* --- stages of the application ------------------------------------------------------------------------------------------------------------------ */

static reco_status drop_five(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)stage, (void)call;
    for (size_t i = 0; i < reco_candidates_count(c); i++) {
        if (reco__str_equal(reco_candidates_item(c, i), reco__str_of("item-5"))) {
            return reco_candidates_drop(c, i, err);
        }
    }
    return RECO_OK;
}

static reco_status last_first(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t count = reco_candidates_count(c);
    (void)stage, (void)call;
    reco_status status = reco_candidates_move(c, count - 1, 0, err);
    return status == RECO_OK ? reco_candidates_drop(c, 1, err) : status;
}

static reco_status fails(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    (void)stage, (void)c, (void)call, (void)err;
    return RECO_IO;
}

static void register_stage(uint32_t kind, const char *name, reco_status (*run)(reco_stage *, reco_candidates *, const reco_call *, reco_error *)) {
    reco_error err = RECO_ERROR_INIT;
    const reco_stage_backend stage = {sizeof(stage), RECO_STAGE_CONTRACT, kind, 0, name, nothing_create, nothing_destroy, run};
    test_ok(reco_register_stage(&stage, &err), &err);
}

static const reco_explained_stage *step_named(const char *name) {
    for (size_t i = 0; i < explanation->stage_count; i++) {
        if (reco__str_equal(explanation->stages[i].stage, reco__str_of(name))) {
            return &explanation->stages[i];
        }
    }
    ck_abort_msg("there is no step %s", name);
    return NULL;
}

START_TEST(stages_of_the_application)
{
    static world w;
    fixture f;
    reco_str items[4] = {reco__str_of("item-5"), reco__str_of("item-2"), reco__str_of("item-10"), reco__str_of("item-3")};
    register_stage(RECO_STAGE_FILTER, "house-rules", drop_five);
    register_stage(RECO_STAGE_ARRANGER, "upside-down", last_first);
    register_stage(RECO_STAGE_SOURCE, "broken", fails);
    open_plain(&f, &w);
    snprintf(f.settings.stages, sizeof(f.settings.stages), "broken,house-rules,upside-down");
    fixture_start(&f);
    test_ok(explain_query(&f, "user-0", (reco_query){.limit = 2}, items, 4, NULL), &f.err);
    const reco_explained_item *told = explanation->items;
    ck_assert_uint_eq(told[0].verdict, RECO_VERDICT_DROPPED);
    check_text(told[0].stage, "house-rules");
    check_text(told[0].reason, "a stage of the application left it out");
    ck_assert_uint_eq(told[1].verdict, RECO_VERDICT_DROPPED); /* the best, moved to the second place and dropped */
    check_text(told[1].stage, "upside-down");
    ck_assert_uint_eq(told[2].verdict, RECO_VERDICT_LISTED);
    ck_assert_uint_eq(told[2].rank, 1);
    ck_assert_uint_eq(told[3].verdict, RECO_VERDICT_LISTED);
    ck_assert_uint_eq(step_named("broken")->status, RECO_STEP_FAILED);
    ck_assert_uint_eq(step_named("house-rules")->dropped, 1);
    ck_assert_uint_eq(step_named("upside-down")->dropped, 1);
    ck_assert_uint_eq(step_named("upside-down")->kind, RECO_STAGE_ARRANGER);
    ck_assert_uint_eq(explanation->answer->degraded, RECO_DEGRADED_STAGE);
    items[0] = reco__str_of("item-7"); /* below the cut, as the arranger left it */
    test_ok(explain_query(&f, "user-0", (reco_query){.limit = 2}, items, 1, NULL), &f.err);
    ck_assert_uint_eq(explanation->items[0].verdict, RECO_VERDICT_BELOW_CUT);
    ck_assert_uint_eq(explanation->items[0].rank, 5); /* 10, 3, 4, 6, 7 */
    const reco_call late = {.struct_size = sizeof(late), .deadline_ns = 1};
    reco_status status = explain_query(&f, "user-0", (reco_query){.limit = 2}, items, 1, &late);
    ck_assert(status == RECO_TIMEOUT || status == RECO_OK);
    close_plain(&f);
}
END_TEST

/* --- what was kept ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(without_features)
{
    static world w;
    fixture f;
    reco_str items[4] = {reco__str_of("item-1"), reco__str_of("item-10"), reco__str_of("item-11"), reco__str_of("item-9")};
    const reco_selection exclude = {.struct_size = sizeof(exclude), .exclude = &items[3], .exclude_count = 1};
    const reco_query query = {.limit = 2, .seed = 3, .selection = &exclude};
    open_plain(&f, &w);
    fixture_start(&f);
    ask(&f, 0, query);
    reco__fault_plant("features.load", 1, true, RECO_UNAVAILABLE);
    test_ok(explain_query(&f, "user-0", query, items, 4, NULL), &f.err);
    ask(&f, 0, query);
    ck_assert_str_eq(behind_id(f.answer, &f), behind_id(reco__explanation_answer(explanation), &f));
    reco_query longer = query;
    longer.limit = 20;
    const reco_answer *whole = ask(&f, 0, longer);
    ck_assert_uint_eq(whole->count, 10);
    const reco_explained_item *told = explanation->items;
    ck_assert_uint_eq(told[0].verdict, RECO_VERDICT_LISTED);
    ck_assert_uint_eq(told[0].rank, 1);
    ck_assert_uint_eq(told[1].verdict, RECO_VERDICT_BELOW_CUT);
    ck_assert_uint_eq(index_of(whole->items[told[1].rank - 1].item_id), 10);
    ck_assert_int_eq(told[1].score, whole->items[told[1].rank - 1].score);
    ck_assert_int_eq(told[1].distance, explanation->answer->items[1].score - told[1].score);
    ck_assert_uint_eq(told[1].reason_count, 1);
    ck_assert_uint_eq(told[2].verdict, RECO_VERDICT_NO_CANDIDATE);
    check_text(told[3].stage, "exclude");
    ck_assert_uint_eq(step_named("user")->status, RECO_STEP_FAILED);
    ck_assert_uint_eq(step_named("kept")->status, RECO_STEP_OK);
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    close_plain(&f);
}
END_TEST

/* --- faults ------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status whole_way(void *context, reco_error *err) {
    fixture *f = context;
    reco__recommend *recommend = NULL;
    reco_explanation *out = NULL;
    reco__recommend_options options = {.settings = &f->settings, .rules = &f->rules, .features = f->features, .records = f->records, .partitions = 2};
    const reco_str items[] = {reco__str_of("item-0"), reco__str_of("item-1"), reco__str_of("item-5"),  reco__str_of("item-10"),
                              reco__str_of("item-6"), reco__str_of("item-8"), reco__str_of("item-11"), reco__str_of("item-41")};
    const reco_cap cap = {.attribute = reco__str_of("color"), .most = 1};
    const reco_selection capped = {.struct_size = sizeof(capped), .caps = &cap, .cap_count = 1, .cap_size = sizeof(cap)};
    const reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .limit = 1, .selection = &capped};
    const char *text;
    size_t size;
    reco_status status = reco__recommend_open(&recommend, &options, NULL, err);
    if (status == RECO_OK) {
        reco__recommend_sign(recommend, 1, test_key);
        status = reco__recommend_explain(&out, recommend, &query, items, sizeof(items) / sizeof(*items), f->now, 0, 0, NULL, err);
    }
    if (status == RECO_OK) {
        ck_assert_uint_eq(out->items[3].verdict, RECO_VERDICT_BELOW_CUT);
        status = reco__explanation_json(&text, &size, out, err);
    }
    if (status == RECO_OK) { /* again, into the same */
        status = reco__recommend_explain(&out, recommend, &query, items, 1, f->now, 0, 0, NULL, err);
    }
    reco__explanation_free(out);
    reco__recommend_close(recommend);
    return status;
}

START_TEST(every_allocation)
{
    static world w;
    fixture f;
    test_memory_install();
    open_plain(&f, &w);
    put_attributes(&f, 5, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 6, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 7, "{\"color\":\"blue\"}", 8);
    ck_assert_uint_gt(test_every_allocation(whole_way, &f, false), 50);
    fixture_close(&f);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

/* Each door fails once: the explanation says so, or there is none; it never says what is not so. */
START_TEST(every_door)
{
    static world w;
    static const char *const points[] = {"features.find_items", "features.load", "features.heads", "records.find", "records.changes"};
    const reco_str items[] = {reco__str_of("item-10"), reco__str_of("item-41")};
    fixture f;
    open_plain(&f, &w);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        uint64_t fired = 1;
        for (uint64_t nth = 1; fired > 0; nth++) {
            fixture_start(&f);
            ask(&f, 0, (reco_query){.limit = 1});
            reco__fault_plant(points[i], nth, 0, RECO_UNAVAILABLE);
            test_ok(explain_query(&f, "user-0", (reco_query){.limit = 1}, items, 2, NULL), &f.err);
            fired = reco__fault_plant(NULL, 0, 0, RECO_OK);
            bool find = reco__str_equal(reco__str_of(points[i]), reco__str_of("records.find"));
            ck_assert(fired == 0 || find || explanation->answer->flags & RECO_ANSWER_DEGRADED);
            ck_assert_uint_eq(explanation->items[0].verdict, RECO_VERDICT_BELOW_CUT);
            ck_assert(nth > 1 || fired > 0);
        }
    }
    close_plain(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend explain");
    TCase *tests = tcase_create("explain");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, random_worlds);
    tcase_add_test(tests, in_words);
    tcase_add_test(tests, of_the_user);
    tcase_add_test(tests, stages_of_the_application);
    tcase_add_test(tests, without_features);
    tcase_add_test(tests, every_allocation);
    tcase_add_test(tests, every_door);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
