/* test_recommend_sieve.c - selections at their edges: what is refused, more items than the list of popular ones has, attributes that could not be
 * held, new items, stores that are away, cursors of others, and other kinds of questions. */
#include "recommend_fixture.h"

#define UNIT 2520
enum { MANY = 4000 };

/* User 0 looked at items 0 and 1, which go with 2 to 31; all have popularity, the first most. User 1 is known for nothing. */
static void begin(fixture *f, world *w) {
    fixture_open(f, "default");
    memset(w, 0, sizeof(*w));
    w->items = 40;
    for (uint32_t i = 0; i < w->items; i++) {
        w->open[0][i] = i >= 2 && i < 32 ? (int64_t)(40 - i) * UNIT : 0;
        w->days[i] = 100 - i;
    }
    w->user_count = 2;
    w->users[0] = (struct world_user){.touch_count = 2, .session_count = 2, .touches = {{0, 1, f->now - 1000}, {1, 1, f->now - 5000}}};
    fixture_start(f);
    world_load(f, w, NULL);
}

static reco_value text_value(const char *text) { return (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(text)}; }

static reco_filter any_of(const char *attribute, const reco_value *values, size_t count, uint32_t flags) {
    return (reco_filter){.attribute = reco__str_of(attribute), .op = RECO_FILTER_ANY_OF, .flags = flags, .values = values, .value_count = count};
}

static reco_selection of_filters(const reco_filter *filters, size_t count) {
    return (reco_selection){.struct_size = sizeof(reco_selection), .filters = filters, .filter_count = count, .filter_size = sizeof(reco_filter)};
}

/* --- what is refused ---------------------------------------------------------------------------------------------------------------------------- */

static void refused(fixture *f, const reco_selection *selection, reco_status status, const char *field) {
    reco_query query = {.limit = 5, .selection = selection};
    reco_popular_query popular = {.struct_size = sizeof(popular), .selection = selection};
    ck_assert_int_eq(ask_query(f, 0, query), status);
    ck_assert_str_eq(f->err.field, field);
    ck_assert_uint_gt(strlen(f->err.text), 0);
    ck_assert_int_eq(reco__recommend_popular(&f->answer, f->recommend, &popular, f->now, NULL, &f->err), status);
    ck_assert_str_eq(f->err.field, field);
}

static void refused_filter(fixture *f, reco_filter filter, reco_status status, const char *field) {
    const reco_value one = text_value("x");
    reco_filter both[2] = {any_of("fine", &one, 1, 0), filter};
    reco_selection selection = of_filters(both, 2);
    refused(f, &selection, status, field);
}

START_TEST(bad_filters)
{
    fixture f;
    world w;
    static reco_value many[RECO_FILTER_VALUES_MAX + 1];
    static reco_filter filters[RECO_FILTERS_MAX + 1];
    static char long_text[1025], long_name[257];
    const reco_value values[] = {text_value("x"),
                                 {.type = 9},
                                 {.type = RECO_VALUE_NUMBER, .number = NAN},
                                 {.type = RECO_VALUE_BOOLEAN, .boolean = 2},
                                 {.type = RECO_VALUE_STRING, .text = {long_text, 1025}},
                                 {.type = RECO_VALUE_STRING, .text = {"\xff", 1}}};
    begin(&f, &w);
    memset(long_text, 'x', sizeof(long_text));
    memset(long_name, 'x', sizeof(long_name));
    for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++) {
        many[i] = values[0];
    }
    for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
        filters[i] = any_of("a", values, 1, RECO_FILTER_MISSING);
    }
    const char *const value_fields[] = {
        "", "filters[1].values[1]", "filters[1].values[1]", "filters[1].values[1]", "filters[1].values[1]", "filters[1].values[1]"};
    for (size_t i = 1; i < 6; i++) {
        reco_value two[2] = {values[0], values[i]};
        refused_filter(&f, any_of("a", two, 2, 0), i == 4 ? RECO_TOO_LARGE : RECO_INVALID, value_fields[i]);
    }
    refused_filter(&f, any_of("", values, 1, 0), RECO_INVALID, "filters[1].attribute");
    refused_filter(&f, any_of("\xc0", values, 1, 0), RECO_INVALID, "filters[1].attribute");
    reco_filter long_one = any_of("a", values, 1, 0);
    long_one.attribute = (reco_str){long_name, 257};
    refused_filter(&f, long_one, RECO_TOO_LARGE, "filters[1].attribute");
    refused_filter(&f, any_of("a", values, 1, 64), RECO_INVALID, "filters[1].flags");
    refused_filter(&f, any_of("a", values, 1, RECO_FILTER_MIN), RECO_INVALID, "filters[1].flags");
    refused_filter(&f, any_of("a", values, 0, 0), RECO_INVALID, "filters[1].values");
    refused_filter(&f, any_of("a", NULL, 1, 0), RECO_INVALID, "filters[1].values");
    refused_filter(&f, any_of("a", many, RECO_FILTER_VALUES_MAX + 1, 0), RECO_TOO_LARGE, "filters[1].values");
    reco_filter range = {.attribute = reco__str_of("a"), .op = RECO_FILTER_RANGE};
    refused_filter(&f, range, RECO_INVALID, "filters[1].min");
    range.flags = RECO_FILTER_MIN | RECO_FILTER_MAX;
    range.min = 2;
    range.max = 1;
    refused_filter(&f, range, RECO_INVALID, "filters[1].max");
    range.max = INFINITY;
    refused_filter(&f, range, RECO_INVALID, "filters[1].max");
    range.min = NAN;
    refused_filter(&f, range, RECO_INVALID, "filters[1].min");
    range.min = range.max = 1;
    range.value_count = 1;
    refused_filter(&f, range, RECO_INVALID, "filters[1].values");
    range.value_count = 0;
    range.attribute = reco__str_of("item_id");
    refused_filter(&f, range, RECO_INVALID, "filters[1].op");
    range.op = 7;
    refused_filter(&f, range, RECO_INVALID, "filters[1].op");
    reco_selection selection = of_filters(filters, RECO_FILTERS_MAX + 1);
    refused(&f, &selection, RECO_TOO_LARGE, "filters");
    selection = of_filters(filters, RECO_FILTERS_MAX);
    ask(&f, 0, (reco_query){.limit = 5, .selection = &selection});
    ck_assert_uint_eq(f.answer->count, 5);
    selection = of_filters(NULL, 1);
    refused(&f, &selection, RECO_INVALID, "filters");
    selection = of_filters(filters, 1);
    selection.filter_size = 0;
    refused(&f, &selection, RECO_INVALID, "filter_size");
    fixture_close(&f);
}
END_TEST

START_TEST(bad_selections)
{
    fixture f;
    world w;
    static reco_str names[RECO_EXCLUDE_MAX + 1];
    reco_cap caps[RECO_CAPS_MAX + 1];
    begin(&f, &w);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        names[i] = reco__str_of("item-2");
    }
    for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
        caps[i] = (reco_cap){.attribute = reco__str_of("brand"), .most = 1};
    }
    reco_selection selection = {.struct_size = sizeof(selection), .flags = 2};
    refused(&f, &selection, RECO_INVALID, "selection.flags");
    selection = (reco_selection){.struct_size = 0};
    refused(&f, &selection, RECO_INVALID, "selection");
    selection = (reco_selection){.struct_size = sizeof(selection), .exclude = names, .exclude_count = RECO_EXCLUDE_MAX + 1};
    refused(&f, &selection, RECO_TOO_LARGE, "exclude");
    selection.exclude_count = RECO_EXCLUDE_MAX;
    ask(&f, 0, (reco_query){.limit = 1, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){3}, 1);
    names[17] = (reco_str){NULL, 0};
    refused(&f, &selection, RECO_INVALID, "exclude[17]");
    selection = (reco_selection){.struct_size = sizeof(selection), .caps = caps, .cap_count = RECO_CAPS_MAX + 1, .cap_size = sizeof(*caps)};
    refused(&f, &selection, RECO_TOO_LARGE, "caps");
    selection.cap_count = RECO_CAPS_MAX;
    caps[3].most = 0;
    refused(&f, &selection, RECO_INVALID, "caps[3].most");
    caps[3] = (reco_cap){.attribute = reco__str_of("item_id"), .most = 1};
    refused(&f, &selection, RECO_INVALID, "caps[3].attribute");
    caps[3] = (reco_cap){.attribute = reco__str_of("x"), .most = 1, .reserved = 1};
    refused(&f, &selection, RECO_INVALID, "caps[3].reserved");
    selection.caps = NULL;
    refused(&f, &selection, RECO_INVALID, "caps");
    const char *const cursors[] = {"x", "AAAA", "!!!!", "AAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof(cursors) / sizeof(*cursors); i++) {
        selection = (reco_selection){.struct_size = sizeof(selection), .cursor = reco__str_of(cursors[i])};
        refused(&f, &selection, RECO_INVALID, "cursor");
    }
    static char endless[20000];
    memset(endless, 'A', sizeof(endless));
    selection.cursor = (reco_str){endless, sizeof(endless)};
    refused(&f, &selection, RECO_INVALID, "cursor");
    fixture_close(&f);
}
END_TEST

/* --- pages -------------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(cursors_of_other_questions)
{
    fixture f;
    world w;
    char next[200];
    const reco_value red = text_value("red");
    begin(&f, &w);
    ask(&f, 0, (reco_query){.limit = 5});
    ck_assert_uint_lt(f.answer->next.size, sizeof(next));
    memcpy(next, f.answer->next.data, f.answer->next.size);
    reco_selection selection = {.struct_size = sizeof(selection), .cursor = {next, f.answer->next.size}};
    ask(&f, 0, (reco_query){.limit = 3, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){7, 8, 9}, 3);
    ck_assert_int_eq(ask_query(&f, 1, (reco_query){.selection = &selection}), RECO_INVALID);
    ck_assert_str_eq(f.err.field, "cursor");
    ck_assert_int_eq(ask_query(&f, 0, (reco_query){.selection = &selection, .scenario = reco__str_of("home")}), RECO_INVALID);
    ck_assert_int_eq(ask_query(&f, 0, (reco_query){.selection = &selection, .as_of = f.now}), RECO_INVALID);
    reco_popular_query popular = {.struct_size = sizeof(popular), .selection = &selection};
    ck_assert_int_eq(reco__recommend_popular(&f.answer, f.recommend, &popular, f.now, NULL, &f.err), RECO_INVALID);
    const reco_filter filter = any_of("color", &red, 1, RECO_FILTER_MISSING);
    reco_selection narrower = of_filters(&filter, 1);
    narrower.cursor = selection.cursor;
    ck_assert_int_eq(ask_query(&f, 0, (reco_query){.selection = &narrower}), RECO_INVALID);
    selection.flags = RECO_SELECTION_VARIANTS;
    ck_assert_int_eq(ask_query(&f, 0, (reco_query){.selection = &selection}), RECO_INVALID);
    selection.flags = 0;
    reco_str more = reco__str_of("item-8"); /* what is excluded may grow */
    selection.exclude = &more;
    selection.exclude_count = 1;
    ask(&f, 0, (reco_query){.limit = 3, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){7, 9, 10}, 3);
    next[4] = next[4] == 'A' ? 'B' : 'A';
    ck_assert_int_eq(ask_query(&f, 0, (reco_query){.selection = &selection}), RECO_INVALID);
    fixture_close(&f);
}
END_TEST

/* Between pages everything changes; nothing comes twice. */
START_TEST(pages_while_things_change)
{
    fixture f;
    world w;
    bool shown[TEST_ITEMS] = {false}, family[TEST_ITEMS] = {false};
    char next[2000];
    reco_selection selection = {.struct_size = sizeof(selection)};
    size_t total = 0;
    begin(&f, &w);
    for (uint32_t i = 2; i < 40; i++) {
        put_attributes(&f, i, "{}", i % 4 == 3 ? (int)i - 1 : -1);
    }
    for (int page = 0; page < 10; page++) {
        ask(&f, 0, (reco_query){.limit = 4, .selection = &selection});
        for (size_t i = 0; i < f.answer->count; i++) {
            uint32_t index = index_of(f.answer->items[i].item_id), head = index % 4 == 3 ? index - 1 : index;
            ck_assert(!shown[index] && !family[head]);
            shown[index] = family[head] = true;
            total++;
        }
        if (f.answer->next.size == 0) {
            break;
        }
        memcpy(next, f.answer->next.data, f.answer->next.size);
        selection.cursor = (reco_str){next, f.answer->next.size};
        for (uint32_t i = 0; i < 40; i++) { /* other scores, another order */
            w.open[0][i] = i >= 2 && i < 32 ? (int64_t)(1 + (i * 7 + (uint32_t)page * 11) % 37) * UNIT : 0;
            w.days[i] = 1 + (i * 5 + (uint32_t)page) % 41;
        }
        world_load(&f, &w, NULL);
        test_ok(reco__recommend_refresh(f.recommend, true, NULL, &f.err), &f.err);
    }
    ck_assert_uint_eq(total, 28); /* 40 without the two that were seen; of ten pairs one each */
    fixture_close(&f);
}
END_TEST

START_TEST(pages_end)
{
    fixture f;
    world w;
    static char next[9000];
    reco_selection selection = {.struct_size = sizeof(selection)};
    size_t total = 0, pages = 0;
    begin(&f, &w);
    static char names[MANY][16];
    reco_add *adds = malloc(MANY * sizeof(*adds));
    for (uint32_t i = 0; i < MANY; i++) {
        reco_str name = {names[i], (size_t)snprintf(names[i], sizeof(names[i]), "more-%u", i)};
        adds[i] = (reco_add){0, 0, MANY - i + 100};
        test_ok(reco__features_intern(&adds[i].member, f.features, &name, 1, NULL, &f.err), &f.err);
    }
    reco_features_info info = {.struct_size = sizeof(info)};
    test_ok(reco__features_info(&info, f.features, NULL, &f.err), &f.err);
    reco_add_group group = {RECO_BOARD_DAYS, 0, f.now / TEST_DAY, adds, MANY};
    reco_batch batch = {.struct_size = sizeof(batch), .epoch = info.epoch, .from = 10, .to = 11, .clock = f.now, .groups = &group, .group_count = 1};
    test_ok(reco__features_apply(f.features, &batch, NULL, &f.err), &f.err);
    free(adds);
    do {
        ask(&f, 1, (reco_query){.limit = 90, .selection = &selection});
        for (size_t i = 0; i < f.answer->count; i++) {
            ck_assert_uint_eq(index_of(f.answer->items[i].item_id), total + i);
        }
        total += f.answer->count;
        ck_assert_uint_lt(f.answer->next.size, 6000);
        memcpy(next, f.answer->next.data, f.answer->next.size);
        selection.cursor = (reco_str){next, f.answer->next.size};
        pages++;
    } while (selection.cursor.size > 0);
    ck_assert_uint_eq(pages, 12);
    ck_assert_uint_eq(total, 12 * 90); /* beyond the 1,000 that a cursor holds there is no next */

    /* what only the last few have, which no list of popular items holds */
    const reco_value rare = text_value("rare");
    const reco_filter filter = any_of("kind", &rare, 1, 0);
    for (uint32_t i = 0; i < 5; i++) {
        char room[16];
        reco_item item = {.item_id = {room, (size_t)snprintf(room, sizeof(room), "more-%u", MANY - 1 - i)},
                          .attributes = reco__str_of("{\"kind\":[\"usual\",\"rare\"]}")};
        reco__buf document = {0};
        uint64_t sequence;
        reco__item_document(&document, &item);
        reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {document.data, document.size}};
        test_ok(reco__records_change(&sequence, f.records, &change, 1, NULL, &f.err), &f.err);
        reco__buf_dispose(&document);
    }
    selection = of_filters(&filter, 1);
    ask(&f, 1, (reco_query){.limit = 3, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){MANY - 5, MANY - 4, MANY - 3}, 3);
    memcpy(next, f.answer->next.data, f.answer->next.size);
    selection.cursor = (reco_str){next, f.answer->next.size};
    ask(&f, 1, (reco_query){.limit = 3, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){MANY - 2, MANY - 1}, 2);
    ck_assert_uint_eq(f.answer->next.size, 0);
    selection.cursor = (reco_str){NULL, 0};
    ask_popular(&f, (reco_popular_query){.limit = 10, .selection = &selection, .window = 60 * TEST_DAY});
    check_items(f.answer, (const uint32_t[]){MANY - 5, MANY - 4, MANY - 3, MANY - 2, MANY - 1}, 5);
    ask(&f, 0, (reco_query){.limit = 10, .selection = &selection}); /* whatever else the user likes */
    ck_assert_uint_eq(f.answer->count, 5);
    ck_assert_uint_eq(f.answer->flags, RECO_ANSWER_FALLBACK);
    reco_call past = {.struct_size = sizeof(past), .deadline_ns = 1};
    reco_query late = {.struct_size = sizeof(late), .user_id = reco__str_of("user-1"), .selection = &selection};
    reco_status status = reco__recommend_ask(&f.answer, f.recommend, &late, f.now, 1, 0, &past, &f.err);
    ck_assert(status == RECO_TIMEOUT || (status == RECO_OK && f.answer->flags & RECO_ANSWER_DEGRADED));
    fixture_close(&f);
}
END_TEST

/* --- what is not known -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_could_not_be_held)
{
    fixture f;
    world w;
    const reco_value red = text_value("red"), blue = text_value("blue");
    begin(&f, &w);
    f.settings.item_values = 2;
    fixture_start(&f);
    put_attributes(&f, 2, "{\"color\":[\"red\",\"red\",\"green\",\"blue\"]}", -1); /* blue could not be held */
    put_attributes(&f, 3, "{\"color\":\"green\"}", -1);
    reco_filter filter = any_of("color", &red, 1, 0);
    reco_selection selection = of_filters(&filter, 1);
    ask(&f, 0, (reco_query){.limit = 9, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){2}, 1);
    filter = any_of("color", &blue, 1, 0);
    ask(&f, 0, (reco_query){.limit = 9, .selection = &selection});
    ck_assert_uint_eq(f.answer->count, 0);
    filter = any_of("color", &blue, 1, RECO_FILTER_NOT); /* nobody can tell that it is not blue */
    ask(&f, 0, (reco_query){.limit = 9, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){3}, 1);
    filter = any_of("size", &blue, 1, RECO_FILTER_MISSING);
    ask(&f, 0, (reco_query){.limit = 1, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){3}, 1);
    f.settings.item_values = 128;
    f.settings.attribute_bytes = 200;
    fixture_start(&f);
    for (uint32_t i = 2; i < 12; i++) {
        put_attributes(&f, i, "{\"color\":\"red\"}", -1);
    }
    filter = any_of("color", &red, 1, 0);
    ask(&f, 0, (reco_query){.limit = 20, .selection = &selection});
    ck_assert(f.answer->count > 2 && f.answer->count < 8);
    size_t held = f.answer->count;
    for (int round = 0; round < 50; round++) { /* what is let go makes room */
        for (uint32_t i = 2; i < 12; i++) {
            put_attributes(&f, i, round % 2 ? "{\"color\":\"red\"}" : "{}", -1);
        }
        ask(&f, 0, (reco_query){.limit = 20, .selection = &selection});
        ck_assert_uint_eq(f.answer->count, round % 2 ? held : 0);
    }
    fixture_close(&f);
}
END_TEST

/* Items that get a number after everything was loaded are asked about before they are answered. */
START_TEST(new_items)
{
    fixture f;
    world w;
    char room[16];
    const reco_value red = text_value("red");
    const reco_filter filter = any_of("color", &red, 1, 0);
    reco_selection selection = of_filters(&filter, 1);
    reco_features_info info = {.struct_size = sizeof(info)};
    begin(&f, &w);
    put_attributes(&f, 40, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 41, "{\"color\":\"blue\"}", -1);
    put_attributes(&f, 5, "{\"color\":\"red\"}", -1);
    ask(&f, 0, (reco_query){.limit = 9, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){5}, 1);
    reco_add adds[3];
    for (uint32_t i = 0; i < 3; i++) {
        reco_str name = item_name(room, 40 + i);
        test_ok(reco__features_intern(&f.numbers[40 + i], f.features, &name, 1, NULL, &f.err), &f.err);
        adds[i] = (reco_add){f.numbers[0], f.numbers[40 + i], 900 * UNIT};
    }
    test_ok(reco__features_info(&info, f.features, NULL, &f.err), &f.err);
    reco_add_group group = {RECO_BOARD_COVIEW, 0, f.now / (7 * TEST_DAY), adds, 3};
    reco_batch batch = {.struct_size = sizeof(batch), .epoch = info.epoch, .from = 10, .to = 11, .clock = f.now, .groups = &group, .group_count = 1};
    test_ok(reco__features_apply(f.features, &batch, NULL, &f.err), &f.err);
    ask(&f, 0, (reco_query){.limit = 9, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){40, 5}, 2);
    ck_assert_int_ge(f.answer->items[0].score, RECO_SCORE_UNIT); /* the best of those that may be answered */
    ck_assert_int_lt(f.answer->items[0].score, RECO_SCORE_UNIT + 20000);
    fixture_close(&f);
}
END_TEST

START_TEST(features_are_away)
{
    fixture f;
    world w;
    char next[200];
    const reco_value red = text_value("red");
    const reco_filter filter = any_of("color", &red, 1, 0);
    reco_selection selection = of_filters(&filter, 1);
    begin(&f, &w);
    put_attributes(&f, 5, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 6, "{\"color\":\"red\"}", 5);
    put_attributes(&f, 7, "{\"color\":\"red\"}", -1);
    put_attributes(&f, 8, "{\"color\":\"red\"}", -1);
    ask(&f, 1, (reco_query){.limit = 1});
    reco_str excluded = reco__str_of("item-7");
    selection.exclude = &excluded;
    selection.exclude_count = 1;
    reco__fault_plant("features.load", 1, 1, RECO_UNAVAILABLE);
    ask(&f, 1, (reco_query){.limit = 9, .selection = &selection});
    ck_assert_uint_eq(f.answer->degraded, RECO_DEGRADED_FEATURES);
    check_items(f.answer, (const uint32_t[]){5, 8}, 2);
    ask(&f, 1, (reco_query){.limit = 1, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){5}, 1);
    memcpy(next, f.answer->next.data, f.answer->next.size);
    selection.cursor = (reco_str){next, f.answer->next.size};
    ask(&f, 1, (reco_query){.limit = 1, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){8}, 1);
    ck_assert_uint_eq(f.answer->next.size, 0);
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    ask(&f, 1, (reco_query){.limit = 1, .selection = &selection}); /* pages go on when features are back */
    check_items(f.answer, (const uint32_t[]){8}, 1);
    fixture_close(&f);
}
END_TEST

/* --- other kinds of questions, and figures ------------------------------------------------------------------------------------------------------ */

START_TEST(given_items)
{
    fixture f;
    world w;
    char rooms[8][16];
    reco_str items[8];
    const uint32_t asked[8] = {9, 50, 3, 51, 4, 52, 5, 53}; /* of those from 50 on nothing was learned */
    const reco_value red = text_value("red");
    const reco_filter filter = any_of("color", &red, 1, 0);
    reco_selection selection = of_filters(&filter, 1);
    reco_query query = {.struct_size = sizeof(query), .user_id = reco__str_of("user-0"), .selection = &selection};
    begin(&f, &w);
    for (int i = 0; i < 8; i++) {
        items[i] = item_name(rooms[i], asked[i]);
        put_attributes(&f, asked[i], i % 4 == 2 ? "{\"color\":\"blue\"}" : "{\"color\":\"red\",\"brand\":\"b\"}", -1);
    }
    test_ok(reco__recommend_rank(&f.answer, f.recommend, &query, items, 8, f.now, 0, 0, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){4, 9, 50, 51, 52, 53}, 6);
    put_attributes(&f, 51, "{\"color\":\"red\",\"brand\":\"b\"}", 50);
    delete_item(&f, 52);
    test_ok(reco__recommend_rank(&f.answer, f.recommend, &query, items, 8, f.now, 0, 0, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){4, 9, 50, 53}, 4); /* 51 is a variant of 50, though nobody who has a number names a parent */
    const reco_cap cap = {.attribute = reco__str_of("brand"), .most = 3};
    selection.caps = &cap;
    selection.cap_count = 1;
    selection.cap_size = sizeof(cap);
    test_ok(reco__recommend_rank(&f.answer, f.recommend, &query, items, 8, f.now, 0, 0, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){4, 9, 50}, 3);
    ck_assert_uint_gt(f.answer->next.size, 0);
    char next[200];
    memcpy(next, f.answer->next.data, f.answer->next.size);
    selection.cursor = (reco_str){next, f.answer->next.size};
    test_ok(reco__recommend_rank(&f.answer, f.recommend, &query, items, 8, f.now, 0, 0, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){53}, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(similar_items)
{
    fixture f;
    world w;
    reco_str item = reco__str_of("item-0");
    reco_selection selection = {.struct_size = sizeof(selection)};
    reco_similar_query query = {.struct_size = sizeof(query), .items = &item, .item_count = 1, .limit = 3, .selection = &selection};
    begin(&f, &w);
    put_attributes(&f, 2, "{}", 0);
    put_attributes(&f, 4, "{}", 3);
    test_ok(reco__recommend_similar(&f.answer, f.recommend, &query, f.now, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){3, 5, 6}, 3); /* no variant of what is asked about, and of others one */
    selection.flags = RECO_SELECTION_VARIANTS;
    test_ok(reco__recommend_similar(&f.answer, f.recommend, &query, f.now, NULL, &f.err), &f.err);
    check_items(f.answer, (const uint32_t[]){2, 3, 4}, 3);
    fixture_close(&f);
}
END_TEST

typedef struct counts {
    uint64_t exclude, filters, caps, variants, cursor;
} counts;

static void count_metric(void *context, const char *name, const char *label, const char *value, uint64_t count) {
    counts *c = context;
    (void)label;
    if (strcmp(name, "reco_filtered_total") == 0) {
        c->exclude += strcmp(value, "exclude") == 0 ? count : 0;
        c->filters += strcmp(value, "filters") == 0 ? count : 0;
        c->caps += strcmp(value, "caps") == 0 ? count : 0;
        c->variants += strcmp(value, "variants") == 0 ? count : 0;
        c->cursor += strcmp(value, "cursor") == 0 ? count : 0;
    }
}

START_TEST(counted_by_reason)
{
    fixture f;
    world w;
    char next[200];
    counts c = {0};
    const reco_value red = text_value("red");
    const reco_filter filter = any_of("color", &red, 1, 0);
    const reco_cap cap = {.attribute = reco__str_of("brand"), .most = 1};
    const reco_str out = reco__str_of("item-2");
    reco_selection selection = of_filters(&filter, 1);
    begin(&f, &w);
    selection.exclude = &out;
    selection.exclude_count = 1;
    selection.caps = &cap;
    selection.cap_count = 1;
    selection.cap_size = sizeof(cap);
    for (uint32_t i = 2; i < 12; i++) { /* 2 left out for its id alone, 3 red b, 4 blue, 5 red b, 6 a variant of 3, 7 red c ... */
        put_attributes(&f, i,
                       i == 4   ? "{\"color\":\"blue\"}"
                       : i == 7 ? "{\"color\":\"red\",\"brand\":\"c\"}"
                                : "{\"color\":\"red\",\"brand\":\"b\"}",
                       i == 6 ? 3 : -1);
    }
    ask(&f, 0, (reco_query){.limit = 2, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){3, 7}, 2);
    ck_assert_uint_ge(f.answer->filtered, 4);
    reco__recommend_metrics(f.recommend, count_metric, &c);
    ck_assert(c.exclude >= 1 && c.filters >= 1 && c.caps >= 1 && c.variants >= 1 && c.cursor == 0);
    memcpy(next, f.answer->next.data, f.answer->next.size);
    selection.cursor = (reco_str){next, f.answer->next.size};
    ask(&f, 0, (reco_query){.limit = 2, .selection = &selection});
    check_items(f.answer, (const uint32_t[]){5}, 1);
    memset(&c, 0, sizeof(c));
    reco__recommend_metrics(f.recommend, count_metric, &c);
    ck_assert_uint_ge(c.cursor, 2);
    ck_assert_uint_gt(reco__recommend_bytes(f.recommend), 0);
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend sieve");
    TCase *tests = tcase_create("edges");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, bad_filters);
    tcase_add_test(tests, bad_selections);
    tcase_add_test(tests, cursors_of_other_questions);
    tcase_add_test(tests, pages_while_things_change);
    tcase_add_test(tests, pages_end);
    tcase_add_test(tests, what_could_not_be_held);
    tcase_add_test(tests, new_items);
    tcase_add_test(tests, features_are_away);
    tcase_add_test(tests, given_items);
    tcase_add_test(tests, similar_items);
    tcase_add_test(tests, counted_by_reason);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
