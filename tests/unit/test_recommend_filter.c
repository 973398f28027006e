/* test_recommend_filter.c - exclude lists, conditions, caps, variants and pages against brute force.
 *
 * Two engines know the same world. One is asked with a selection. In the other, what the plain model below says does not hold is hidden, and it is
 * asked for everything without any selection: what is left, taken in order by the plain rules of caps, variants and pages, is what the first has to
 * answer, to the last score and reason. */
#include "recommend_fixture.h"
#include <reco/plugin/stage.h>

enum { ROUNDS = 50, ROUNDS_FULL = 1000, QUESTIONS = 12, TAGS = 4 };

/* --- what items are ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct thing {
    bool record;
    int brand, price, stock; /* -1: not set */
    int colors[3], color_count;
    int tag; /* 0: none, 1: the text "1", 2: the number 1, 3: true */
    int categories[2], category_count;
    int parent; /* -1: none */
} thing;

static const char *const brands[] = {"acme", "Acme", "b\\u00e4r", "zeta"}, *const brand_texts[] = {"acme", "Acme", "b\xc3\xa4r", "zeta"};
static const char *const colors[] = {"red", "green", "blue", "black", ""};
static const char *const categories[] = {"shoes", "hats", "sale"};

static int maybe(reco__rand *rand, int count) { return reco__rand_below(rand, 4) == 0 ? -1 : (int)reco__rand_below(rand, (uint64_t)count); }

/* Every eighth may be a parent, and has none. */
static void random_thing(thing *t, reco__rand *rand, uint32_t index) {
    *t = (thing){.record = reco__rand_below(rand, 8) != 0, .brand = -1, .price = -1, .stock = -1, .parent = -1};
    if (!t->record) {
        return;
    }
    t->brand = maybe(rand, 4);
    t->price = maybe(rand, 6);
    t->stock = maybe(rand, 2);
    t->color_count = (int)reco__rand_below(rand, 4);
    for (int i = 0; i < t->color_count; i++) {
        t->colors[i] = (int)reco__rand_below(rand, 5);
    }
    t->tag = (int)reco__rand_below(rand, TAGS);
    t->category_count = (int)reco__rand_below(rand, 3);
    t->categories[0] = (int)reco__rand_below(rand, 3);
    t->categories[1] = (t->categories[0] + 1) % 3;
    t->parent = index % 8 != 0 && reco__rand_below(rand, 3) == 0 ? (int)reco__rand_below(rand, TEST_ITEMS / 8) * 8 : -1;
}

static void write_attributes(reco__buf *out, const thing *t) {
    static const char *const tags[TAGS] = {"null", "\"1\"", "1", "true"};
    reco__buf_printf(out, "{\"deep\":{\"brand\":\"acme\"},\"tag\":%s,\"color\":[", tags[t->tag]);
    for (int i = 0; i < t->color_count; i++) {
        reco__buf_printf(out, "%s\"%s\"", i ? "," : "", colors[t->colors[i]]);
    }
    reco__buf_text(out, "]");
    if (t->brand >= 0) {
        reco__buf_printf(out, ",\"brand\":\"%s\"", brands[t->brand]);
    }
    if (t->price >= 0) {
        reco__buf_printf(out, ",\"price\":%d.50", t->price);
    }
    if (t->stock >= 0) {
        reco__buf_printf(out, ",\"stock\":%s", t->stock ? "true" : "false");
    }
    reco__buf_text(out, "}");
}

static void put_thing(fixture *f, uint32_t index, const thing *t, bool hidden) {
    char room[16], above[16];
    reco_str names[2];
    reco__buf attributes = {0}, document = {0};
    uint64_t sequence;
    reco_item item = {.item_id = item_name(room, index), .flags = hidden ? RECO_ITEM_HIDDEN : 0, .categories = names};
    if (!hidden && !t->record) {
        delete_item(f, index);
        return;
    }
    for (int i = 0; i < t->category_count; i++) {
        names[i] = reco__str_of(categories[t->categories[i]]);
    }
    item.category_count = (size_t)t->category_count;
    if (t->parent >= 0) {
        item.parent = item_name(above, (uint32_t)t->parent);
    }
    write_attributes(&attributes, t);
    item.attributes = (reco_str){attributes.data, attributes.size};
    reco__item_document(&document, &item);
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {document.data, document.size}};
    test_ok(reco__records_change(&sequence, f->records, &change, 1, NULL, &f->err), &f->err);
    reco__buf_dispose(&attributes);
    reco__buf_dispose(&document);
}

/* Only whether it is hidden: the other engine knows nothing else. */
static void hide_thing(fixture *f, uint32_t index, bool hidden) { put_item(f, index, hidden ? RECO_ITEM_HIDDEN : 0, 0, 0, NULL); }

/* --- the plain model ---------------------------------------------------------------------------------------------------------------------------- */

/* The values of an attribute. */
static size_t values_of(reco_value *values, const thing *t, uint32_t index, const char *name) {
    static char rooms[TEST_ITEMS][16];
    size_t count = 0;
    if (strcmp(name, "brand") == 0 && t->brand >= 0) {
        values[count++] = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(brand_texts[t->brand])};
    } else if (strcmp(name, "price") == 0 && t->price >= 0) {
        values[count++] = (reco_value){.type = RECO_VALUE_NUMBER, .number = t->price + 0.5};
    } else if (strcmp(name, "stock") == 0 && t->stock >= 0) {
        values[count++] = (reco_value){.type = RECO_VALUE_BOOLEAN, .boolean = (uint32_t)t->stock};
    } else if (strcmp(name, "color") == 0) {
        for (int i = 0; i < t->color_count; i++) {
            values[count++] = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(colors[t->colors[i]])};
        }
    } else if (strcmp(name, "tag") == 0 && t->tag > 0) {
        values[count++] = (reco_value){.type = (uint32_t)t->tag, .number = 1, .boolean = 1, .text = reco__str_of("1")};
    } else if (strcmp(name, "categories") == 0 || strcmp(name, "category") == 0) {
        for (int i = 0; i < t->category_count; i++) {
            values[count++] = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(categories[t->categories[i]])};
        }
    } else if (strcmp(name, "parent") == 0 && t->parent >= 0) {
        values[count++] = (reco_value){.type = RECO_VALUE_STRING, .text = item_name(rooms[t->parent], (uint32_t)t->parent)};
    } else if (strcmp(name, "item_id") == 0) {
        values[count++] = (reco_value){.type = RECO_VALUE_STRING, .text = item_name(rooms[index], index)};
    }
    return count;
}

static bool equal_values(const reco_value *a, const reco_value *b) {
    return a->type == b->type && (a->type == RECO_VALUE_STRING   ? reco__str_equal(a->text, b->text)
                                  : a->type == RECO_VALUE_NUMBER ? a->number == b->number
                                                                 : a->boolean == b->boolean);
}

static bool value_hits(const reco_filter *filter, const reco_value *value) {
    if (filter->op == RECO_FILTER_RANGE) {
        bool low = filter->flags & RECO_FILTER_MIN_OUTSIDE ? value->number > filter->min : value->number >= filter->min;
        bool high = filter->flags & RECO_FILTER_MAX_OUTSIDE ? value->number < filter->max : value->number <= filter->max;
        return value->type == RECO_VALUE_NUMBER && (low || !(filter->flags & RECO_FILTER_MIN)) && (high || !(filter->flags & RECO_FILTER_MAX));
    }
    for (size_t i = 0; i < filter->value_count; i++) {
        if (equal_values(value, &filter->values[i])) {
            return true;
        }
    }
    return false;
}

static bool holds(const reco_filter *filter, const thing *t, uint32_t index) {
    char name[32] = {0};
    reco_value values[4];
    bool hit = false;
    memcpy(name, filter->attribute.data, filter->attribute.size);
    size_t count = values_of(values, t, index, name);
    for (size_t i = 0; i < count; i++) {
        hit = hit || value_hits(filter, &values[i]);
    }
    if (count == 0) {
        return filter->flags & RECO_FILTER_MISSING;
    }
    return hit != ((filter->flags & RECO_FILTER_NOT) != 0);
}

static bool may_be_answered(const reco_selection *selection, const thing *t, uint32_t index) {
    char room[16];
    bool fine = true;
    for (size_t i = 0; i < selection->filter_count; i++) {
        fine = fine && holds(&selection->filters[i], t, index);
    }
    for (size_t i = 0; i < selection->exclude_count; i++) {
        fine = fine && !reco__str_equal(selection->exclude[i], item_name(room, index));
    }
    return fine;
}

static uint32_t product_of(const thing *things, uint32_t index) { return things[index].parent >= 0 ? (uint32_t)things[index].parent : index; }

/* Whether it may stand beside those chosen already. */
static bool fits_beside(const reco_selection *selection, const thing *things, const uint32_t *chosen, size_t count, uint32_t index) {
    for (size_t k = 0; k < count && !(selection->flags & RECO_SELECTION_VARIANTS); k++) {
        if (product_of(things, chosen[k]) == product_of(things, index)) {
            return false;
        }
    }
    for (size_t c = 0; c < selection->cap_count; c++) {
        char name[32] = {0};
        reco_value mine[4], theirs[4];
        memcpy(name, selection->caps[c].attribute.data, selection->caps[c].attribute.size);
        size_t own = values_of(mine, &things[index], index, name);
        for (size_t i = 0; i < own; i++) {
            uint32_t sharing = 0;
            for (size_t k = 0; k < count; k++) {
                size_t other = values_of(theirs, &things[chosen[k]], chosen[k], name);
                bool shares = false;
                for (size_t j = 0; j < other; j++) {
                    reco_value copy = mine[i];
                    shares = shares || equal_values(&copy, &theirs[j]);
                }
                sharing += shares;
            }
            if (sharing >= selection->caps[c].most) {
                return false;
            }
        }
    }
    return true;
}

/* --- questions ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct asked {
    reco_selection selection;
    reco_filter filters[3];
    reco_value values[3][12];
    reco_cap caps[2];
    reco_str exclude[8];
    char rooms[64][16];
    uint32_t used;
} asked;

static reco_str some_item(asked *a, reco__rand *rand) { return item_name(a->rooms[a->used++ % 64], (uint32_t)reco__rand_below(rand, TEST_ITEMS)); }

static reco_value random_value(asked *a, reco__rand *rand, const char *name) {
    bool id = strcmp(name, "parent") == 0 || strcmp(name, "item_id") == 0;
    reco_value value = {.type = RECO_VALUE_STRING, .number = (double)reco__rand_below(rand, 6) + 0.5, .boolean = (uint32_t)reco__rand_below(rand, 2)};
    if (strcmp(name, "price") == 0) {
        value.type = RECO_VALUE_NUMBER;
    } else if (strcmp(name, "stock") == 0) {
        value.type = RECO_VALUE_BOOLEAN;
    } else if (strcmp(name, "tag") == 0) {
        value = (reco_value){.type = 1 + (uint32_t)reco__rand_below(rand, 3), .number = 1, .boolean = 1, .text = reco__str_of("1")};
    }
    if (value.type == RECO_VALUE_STRING && strcmp(name, "tag") != 0) {
        value.text = id                           ? some_item(a, rand)
                     : strcmp(name, "brand") == 0 ? reco__str_of(brand_texts[reco__rand_below(rand, 4)])
                     : strcmp(name, "color") == 0 ? reco__str_of(colors[reco__rand_below(rand, 5)])
                                                  : reco__str_of(categories[reco__rand_below(rand, 3)]);
    }
    return value;
}

static void random_filter(asked *a, size_t index, reco__rand *rand) {
    static const char *const names[] = {"brand", "price", "stock", "color", "tag", "categories", "category", "parent", "item_id", "missing"};
    reco_filter *filter = &a->filters[index];
    const char *name = names[reco__rand_below(rand, 10)];
    *filter = (reco_filter){.attribute = reco__str_of(name), .op = RECO_FILTER_ANY_OF, .flags = (uint32_t)reco__rand_below(rand, 4)};
    if (strcmp(name, "item_id") != 0 && (strcmp(name, "price") == 0 || reco__rand_below(rand, 8) == 0)) {
        filter->op = RECO_FILTER_RANGE;
        filter->flags |= 4 * (1 + (uint32_t)reco__rand_below(rand, 3)) | 16 * (uint32_t)reco__rand_below(rand, 4);
        filter->min = (double)reco__rand_below(rand, 4) + 0.5;
        filter->max = filter->min + (double)reco__rand_below(rand, 4);
        return;
    }
    filter->values = a->values[index];
    filter->value_count = 1 + reco__rand_below(rand, reco__rand_below(rand, 4) == 0 ? 12 : 3);
    for (size_t i = 0; i < filter->value_count; i++) {
        a->values[index][i] = random_value(a, rand, name);
    }
}

static void random_selection(asked *a, reco__rand *rand) {
    static const char *const names[] = {"brand", "color", "categories", "tag", "parent"};
    memset(a, 0, sizeof(*a));
    reco_selection *selection = &a->selection;
    selection->struct_size = sizeof(*selection);
    selection->flags = (uint32_t)reco__rand_below(rand, 2);
    selection->filters = a->filters;
    selection->filter_count = reco__rand_below(rand, 4);
    selection->filter_size = sizeof(reco_filter);
    for (size_t i = 0; i < selection->filter_count; i++) {
        random_filter(a, i, rand);
    }
    selection->exclude = a->exclude;
    selection->exclude_count = reco__rand_below(rand, 9);
    for (size_t i = 0; i < selection->exclude_count; i++) {
        a->exclude[i] = i == 0 ? reco__str_of("nobody knows it") : some_item(a, rand);
    }
    selection->caps = a->caps;
    selection->cap_count = reco__rand_below(rand, 3);
    selection->cap_size = sizeof(reco_cap);
    for (size_t i = 0; i < selection->cap_count; i++) {
        a->caps[i] = (reco_cap){.attribute = reco__str_of(names[reco__rand_below(rand, 5)]), .most = 1 + (uint32_t)reco__rand_below(rand, 3)};
    }
}

/* --- comparing ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct trial {
    fixture filtered, plain; /* asked with a selection; hides */
    thing things[TEST_ITEMS];
    world w;
    reco__rand rand;
    uint64_t items, short_ones, pages, capped;
} trial;

static void same_item(const reco_answer_item *a, const reco_answer_item *b) {
    ck_assert(reco__str_equal(a->item_id, b->item_id));
    ck_assert_int_eq(a->score, b->score);
    ck_assert_uint_eq(a->reason_count, b->reason_count);
    for (uint32_t r = 0; r < a->reason_count; r++) {
        ck_assert(a->reasons[r].kind == b->reasons[r].kind && a->reasons[r].score == b->reasons[r].score &&
                  reco__str_equal(a->reasons[r].because, b->reasons[r].because));
    }
}

/* What follows of `whole` when what is `shown` was on pages before; takes it out of what is left. */
static size_t next_page(size_t *places, const trial *t, const reco_selection *selection, const reco_answer *whole, uint32_t limit, bool *shown) {
    uint32_t chosen[TEST_ITEMS];
    size_t count = 0;
    bool before[TEST_ITEMS];
    memcpy(before, shown, sizeof(before));
    for (size_t i = 0; i < whole->count && count < limit; i++) {
        uint32_t index = index_of(whole->items[i].item_id);
        bool seen = before[index];
        for (uint32_t j = 0; j < TEST_ITEMS && !(selection->flags & RECO_SELECTION_VARIANTS); j++) {
            seen = seen || (before[j] && product_of(t->things, j) == product_of(t->things, index));
        }
        if (!seen && fits_beside(selection, t->things, chosen, count, index)) {
            places[count] = i;
            chosen[count++] = index;
            shown[index] = true;
        }
    }
    return count;
}

static reco_answer *ask_either(fixture *f, bool popular, uint32_t user, reco_query query, const reco_selection *selection) {
    query.selection = selection;
    if (!popular) {
        ask(f, user, query);
    } else {
        ask_popular(f, (reco_popular_query){.limit = query.limit, .selection = selection});
    }
    return f->answer;
}

static void compare_pages(trial *t, asked *a, bool popular, uint32_t user) {
    bool shown[TEST_ITEMS] = {false};
    char cursor[8000];
    const reco_answer *whole = ask_either(&t->plain, popular, user, (reco_query){.limit = TEST_ITEMS}, NULL);
    uint32_t limit = 1 + (uint32_t)reco__rand_below(&t->rand, 12);
    for (int page = 0; page < TEST_ITEMS; page++) {
        size_t places[TEST_ITEMS], count = next_page(places, t, &a->selection, whole, limit, shown);
        const reco_answer *answer = ask_either(&t->filtered, popular, user, (reco_query){.limit = limit}, &a->selection);
        ck_assert_uint_eq(answer->count, count);
        for (size_t i = 0; i < count; i++) {
            same_item(&answer->items[i], &whole->items[places[i]]);
        }
        ck_assert_int_eq(answer->flags, whole->flags);
        check_reasons(answer);
        t->items += count;
        t->pages += page > 0 && count > 0;
        t->short_ones += count < limit && count > 0;
        ck_assert(answer->next.size > 0 || count <= limit);
        if (answer->next.size == 0) { /* then nothing follows */
            ck_assert_uint_eq(next_page(places, t, &a->selection, whole, limit, shown), 0);
            break;
        }
        ck_assert_uint_lt(answer->next.size, sizeof(cursor));
        memcpy(cursor, answer->next.data, answer->next.size);
        a->selection.cursor = (reco_str){cursor, answer->next.size};
        if (reco__rand_below(&t->rand, 3) == 0) {
            break;
        }
    }
    a->selection.cursor = (reco_str){NULL, 0};
}

static void random_world(trial *t) {
    world *w = &t->w;
    memset(w, 0, sizeof(*w));
    w->items = TEST_ITEMS;
    w->user_count = TEST_USERS;
    for (uint32_t i = 0; i < w->items; i++) {
        for (uint32_t j = 0; j < w->items; j++) {
            if (i != j && reco__rand_below(&t->rand, 3) == 0) {
                w->open[i][j] = (int64_t)(2520 * (1 + reco__rand_below(&t->rand, 20)));
            }
        }
        w->days[i] = (int64_t)reco__rand_below(&t->rand, 40);
        w->hours[i] = w->days[i] / 2;
        random_thing(&t->things[i], &t->rand, i);
    }
    for (uint32_t u = 0; u < TEST_USERS; u++) { /* the first knows nothing, the second one thing */
        struct world_user *user = &w->users[u];
        user->touch_count = u < 2 ? u : (uint32_t)reco__rand_below(&t->rand, 8);
        user->session_count = user->touch_count > 0;
        for (uint32_t i = 0; i < user->touch_count; i++) {
            user->touches[i] = (reco__touch){(uint32_t)(i * 8 + reco__rand_below(&t->rand, 8)), 1, t->filtered.now - 1000 * (int64_t)i};
        }
        user->hidden_count = u > 4;
        user->hidden[0] = (uint32_t)reco__rand_below(&t->rand, TEST_ITEMS);
    }
}

static void set_settings(trial *t, int round) {
    reco__settings *all[] = {&t->filtered.settings, &t->plain.settings};
    uint32_t few = round % 2 ? 1 + (uint32_t)reco__rand_below(&t->rand, 10) : TEST_ITEMS, seen = (uint32_t)reco__rand_below(&t->rand, 2);
    double revisit = (double)reco__rand_below(&t->rand, 2), weight = reco__rand_below(&t->rand, 2) ? 0.01 : 1;
    for (int i = 0; i < 2; i++) {
        all[i]->limit_max = TEST_ITEMS;
        all[i]->popular_candidates = i == 0 ? few : TEST_ITEMS;
        all[i]->filter_seen = seen;
        all[i]->revisit = revisit;
        all[i]->weight_popular = weight;
    }
    /* with a stage of the application everything is asked about before it runs */
    snprintf(t->filtered.settings.stages, sizeof(t->filtered.settings.stages), round % 4 == 2 ? "nothing" : "");
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

START_TEST(brute_force)
{
    static trial t;
    static asked a;
    reco_error err = RECO_ERROR_INIT;
    const reco_stage_backend nothing = {sizeof(nothing), RECO_STAGE_CONTRACT, RECO_STAGE_RANKER, 0,
                                        "nothing",       nothing_create,      nothing_destroy,   nothing_run};

    memset(&t, 0, sizeof(t));
    fixture_open(&t.filtered, "default");
    fixture_open(&t.plain, "default");
    test_ok(reco_register_stage(&nothing, &err), &err);
    reco__rand_seed(&t.rand, 5);
    int rounds = getenv("RECO_FULL") ? ROUNDS_FULL : ROUNDS;
    for (int round = 0; round < rounds; round++) {
        random_world(&t);
        set_settings(&t, round);
        world_load(&t.filtered, &t.w, NULL);
        world_load(&t.plain, &t.w, NULL);
        fixture_start(&t.filtered);
        fixture_start(&t.plain);
        for (uint32_t i = 0; i < TEST_ITEMS; i++) {
            put_thing(&t.filtered, i, &t.things[i], false);
        }
        for (int q = 0; q < QUESTIONS; q++) {
            random_selection(&a, &t.rand);
            for (uint32_t i = 0; i < TEST_ITEMS; i++) {
                hide_thing(&t.plain, i, !may_be_answered(&a.selection, &t.things[i], i));
            }
            test_ok(reco__recommend_refresh(t.plain.recommend, true, NULL, &err), &err); /* the list of popular items is of now */
            compare_pages(&t, &a, false, (uint32_t)reco__rand_below(&t.rand, TEST_USERS));
            compare_pages(&t, &a, false, (uint32_t)reco__rand_below(&t.rand, 2));
            compare_pages(&t, &a, true, 0);
            uint32_t changed = (uint32_t)reco__rand_below(&t.rand, TEST_ITEMS); /* is seen by the next question */
            random_thing(&t.things[changed], &t.rand, changed);
            put_thing(&t.filtered, changed, &t.things[changed], false);
        }
    }
    ck_assert_uint_gt(t.items, 5000);
    ck_assert_uint_gt(t.pages, 500);
    ck_assert_uint_gt(t.short_ones, 100);
    fixture_close(&t.filtered);
    fixture_close(&t.plain);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend filter");
    TCase *tests = tcase_create("random");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, brute_force);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
