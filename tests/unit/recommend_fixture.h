/* recommend_fixture.h - a small world that is loaded into memory: stores and asked about: rows, popularity and cells by item index, whatever numbers
 * the items get. */
#ifndef TEST_RECOMMEND_FIXTURE_H
#define TEST_RECOMMEND_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/item.h"
#include "model/user.h"
#include "recommend/recommend.h"
#include "support/support.h"

#define TEST_UNUSED __attribute__((unused))
#define TEST_ITEMS 64
#define TEST_USERS 8
#define TEST_TOUCHES 32
#define TEST_HOUR INT64_C(3600000)
#define TEST_DAY INT64_C(86400000)

/* What was learned, by index of item. */
typedef struct world {
    uint32_t items;
    int64_t open[TEST_ITEMS][TEST_ITEMS], closed[TEST_ITEMS][TEST_ITEMS];
    int64_t hours[TEST_ITEMS], days[TEST_ITEMS];
    struct world_user {
        uint32_t touch_count, session_count, hidden_count;
        reco__touch touches[TEST_TOUCHES]; /* newest first; item: index */
        uint32_t hidden[TEST_TOUCHES];
        int64_t last;
    } users[TEST_USERS];
    uint32_t user_count;
} world;

typedef struct fixture {
    reco__settings settings;
    reco__learn_rules rules;
    reco__features *features;
    reco__records *records;
    reco__recommend *recommend;
    int64_t now;
    uint32_t numbers[TEST_ITEMS]; /* by index */
    reco_answer *answer;
    reco_error err;
} fixture;

static const uint8_t test_key[16] TEST_UNUSED = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST_UNUSED static reco_str item_name(char room[16], uint32_t index) { return (reco_str){room, (size_t)snprintf(room, 16, "item-%u", index)}; }
TEST_UNUSED static reco_str user_name(char room[16], uint32_t user) { return (reco_str){room, (size_t)snprintf(room, 16, "user-%u", user)}; }

/* Index of an item by its name. */
TEST_UNUSED static uint32_t index_of(reco_str name) {
    char text[16] = {0};
    memcpy(text, name.data, name.size < 15 ? name.size : 15);
    return (uint32_t)strtoul(text + 5, NULL, 10);
}

/* Rules as the settings say; `now` lies in the middle of day 704 of generation 100. */
TEST_UNUSED static void fixture_rules(fixture *f) {
    reco_board_rules *boards = &f->rules.boards;
    *boards = (reco_board_rules){.struct_size = sizeof(*boards),
                                 .cut = f->settings.coview_cut,
                                 .head = f->settings.coview_head,
                                 .lateness = f->settings.lateness,
                                 .skew = f->settings.skew,
                                 .length = {TEST_HOUR, TEST_DAY, 7 * TEST_DAY},
                                 .kept = {f->settings.hours_kept, f->settings.days_kept, 26}};
    for (int i = 0; i < 26; i++) {
        boards->weight[i] = i == 0 ? 2 : 1;
    }
    f->rules.recents = f->settings.recents;
    f->rules.history = f->settings.history;
    f->rules.session_gap = f->settings.session_gap;
    f->rules.lifetime = f->settings.cell_lifetime;
    f->now = 704 * TEST_DAY + 12 * TEST_HOUR;
}

/* Opens the stores; settings are the defaults with `preset`. */
TEST_UNUSED static void fixture_open(fixture *f, const char *preset) {
    memset(f, 0, sizeof(*f));
    reco__settings_init(&f->settings);
    test_ok(reco__settings_set(&f->settings, "preset", preset, &f->err), &f->err);
    f->settings.max_items = 100000;
    f->settings.map_size = (uint64_t)256 << 20;
    fixture_rules(f);
    reco_features_options options = {.struct_size = sizeof(options),
                                     .partitions = 2,
                                     .url = "memory:",
                                     .space = "test",
                                     .fingerprint = reco__str_of("test=1\n"),
                                     .rules = &f->rules.boards,
                                     .max_items = f->settings.max_items,
                                     .max_users = 1000,
                                     .map_size = f->settings.map_size};
    test_ok(reco__features_open(&f->features, &options, NULL, &f->err), &f->err);
    reco_records_options known = {.struct_size = sizeof(known), .url = "memory:", .space = "test", .map_size = f->settings.map_size};
    test_ok(reco__records_open(&f->records, &known, NULL, &f->err), &f->err);
}

static uint32_t user_partition(uint32_t user) { return user % 2; }
static uint32_t fixture_partition_of(const void *context, reco_str user) {
    (void)context;
    return user_partition((uint32_t)(user.data[user.size - 1] - '0'));
}

/* Opens the room; again, when settings were changed. */
TEST_UNUSED static void fixture_start(fixture *f) {
    reco__recommend_options options = {.settings = &f->settings,
                                       .rules = &f->rules,
                                       .features = f->features,
                                       .records = f->records,
                                       .partitions = 2,
                                       .partition_of = fixture_partition_of};
    reco__recommend_close(f->recommend);
    f->recommend = NULL;
    test_ok(reco__recommend_open(&f->recommend, &options, NULL, &f->err), &f->err);
    reco__recommend_sign(f->recommend, 7, test_key);
}

TEST_UNUSED static void fixture_close(fixture *f) {
    reco__answer_free(f->answer);
    reco__recommend_close(f->recommend);
    reco__features_close(f->features);
    reco__records_close(f->records);
}

static int by_place(const void *a, const void *b) {
    const reco_add *left = a, *right = b;
    return left->item != right->item ? (left->item < right->item ? -1 : 1) : left->member < right->member ? -1 : left->member > right->member;
}

/* Appends the rows of a matrix in order of the items' numbers; answers how many adds. */
TEST_UNUSED static size_t world_rows(reco_add *adds, const fixture *f, const world *w, int64_t matrix[TEST_ITEMS][TEST_ITEMS]) {
    size_t count = 0;
    for (uint32_t i = 0; i < w->items; i++) {
        for (uint32_t j = 0; j < w->items; j++) {
            if (matrix[i][j] != 0) {
                adds[count++] = (reco_add){f->numbers[i], f->numbers[j], matrix[i][j]};
            }
        }
    }
    qsort(adds, count, sizeof(*adds), by_place);
    return count;
}

TEST_UNUSED static size_t world_sums(reco_add *adds, const fixture *f, const world *w, const int64_t *sums) {
    size_t count = 0;
    for (uint32_t i = 0; i < w->items; i++) {
        if (sums[i] != 0) {
            adds[count++] = (reco_add){0, f->numbers[i], sums[i]};
        }
    }
    qsort(adds, count, sizeof(*adds), by_place);
    return count;
}

TEST_UNUSED static void world_groups(fixture *f, world *w) {
    reco_add *adds = malloc((size_t)2 * (TEST_ITEMS + 1) * TEST_ITEMS * sizeof(*adds)), *at = adds;
    struct {
        uint32_t board;
        int64_t generation;
        size_t count;
    } parts[4] = {
        {RECO_BOARD_HOURS, f->now / TEST_HOUR, 0}, {RECO_BOARD_DAYS, f->now / TEST_DAY, 0}, {RECO_BOARD_COVIEW, 98, 0}, {RECO_BOARD_COVIEW, 100, 0}};
    reco_add_group groups[4];
    size_t made = 0;
    for (int i = 0; i < 4; i++) {
        parts[i].count = i == 0   ? world_sums(at, f, w, w->hours)
                         : i == 1 ? world_sums(at, f, w, w->days)
                                  : world_rows(at, f, w, i == 2 ? w->closed : w->open);
        if (parts[i].count > 0) {
            groups[made++] = (reco_add_group){parts[i].board, 0, parts[i].generation, at, parts[i].count};
        }
        at += parts[i].count;
    }
    reco_restore_piece piece = {.struct_size = sizeof(piece), .groups = groups, .group_count = made};
    if (made > 0) {
        test_ok(reco__features_restore(f->features, &piece, NULL, &f->err), &f->err);
    }
    free(adds);
}

TEST_UNUSED static void world_cells(fixture *f, const world *w) {
    reco_cell_put puts[TEST_USERS];
    uint32_t partitions[TEST_USERS];
    char names[TEST_USERS][16];
    reco__buf bytes[TEST_USERS] = {{0}};
    reco_position positions[2] = {{10, f->now}, {20, f->now}};
    for (uint32_t u = 0; u < w->user_count; u++) {
        struct world_user user = w->users[u];
        for (uint32_t i = 0; i < user.touch_count; i++) {
            user.touches[i].item = f->numbers[user.touches[i].item];
        }
        for (uint32_t i = 0; i < user.hidden_count; i++) {
            user.hidden[i] = f->numbers[user.hidden[i]];
        }
        reco__cell cell = {.last = user.last ? user.last : f->now,
                           .touches = user.touches,
                           .touch_count = user.touch_count,
                           .session_count = user.session_count,
                           .hidden = user.hidden,
                           .hidden_count = user.hidden_count};
        reco__cell_encode(&bytes[u], &cell);
        puts[u] = (reco_cell_put){
            .user = user_name(names[u], u), .data = bytes[u].data, .size = bytes[u].size, .expires_at = reco__cell_expires(&cell, &f->rules)};
        partitions[u] = user_partition(u);
    }
    reco_restore_piece piece = {.struct_size = sizeof(piece),
                                .flags = RECO_RESTORE_LAST,
                                .cells = puts,
                                .cell_partitions = partitions,
                                .cell_count = w->user_count,
                                .positions = positions};
    test_ok(reco__features_restore(f->features, &piece, NULL, &f->err), &f->err);
    for (uint32_t u = 0; u < w->user_count; u++) {
        reco__buf_dispose(&bytes[u]);
    }
}

/* Loads the world; items get their numbers in the order of `order` (NULL: by index). */
TEST_UNUSED static void world_load(fixture *f, world *w, const uint32_t *order) {
    reco_restore_piece first = {.struct_size = sizeof(first), .flags = RECO_RESTORE_FIRST};
    test_ok(reco__features_restore(f->features, &first, NULL, &f->err), &f->err);
    for (uint32_t i = 0; i < w->items; i++) {
        char room[16];
        uint32_t index = order ? order[i] : i;
        reco_str name = item_name(room, index);
        test_ok(reco__features_intern(&f->numbers[index], f->features, &name, 1, NULL, &f->err), &f->err);
    }
    world_groups(f, w);
    world_cells(f, w);
}

/* Any world, and any settings that decide scores. */
TEST_UNUSED static void world_random(world *w, const fixture *f, reco__rand *rand) {
    memset(w, 0, sizeof(*w));
    w->items = 5 + (uint32_t)reco__rand_below(rand, TEST_ITEMS - 5);
    uint64_t dense = 1 + reco__rand_below(rand, 10), large = reco__rand_below(rand, 4) == 0 ? 1000000007 : 2520;
    for (uint32_t i = 0; i < w->items; i++) {
        for (uint32_t j = 0; j < w->items; j++) {
            if (i != j && reco__rand_below(rand, 10) < dense) {
                w->open[i][j] = (int64_t)reco__rand_below(rand, 3) * (int64_t)(1 + reco__rand_below(rand, large));
                w->closed[i][j] = (int64_t)reco__rand_below(rand, 3) * (int64_t)(1 + reco__rand_below(rand, large));
            }
        }
        w->hours[i] = (int64_t)reco__rand_below(rand, 3) * (int64_t)reco__rand_below(rand, 50);
        w->days[i] = w->hours[i] + (int64_t)reco__rand_below(rand, 100);
    }
    w->user_count = TEST_USERS;
    for (uint32_t u = 0; u < TEST_USERS; u++) {
        struct world_user *user = &w->users[u];
        bool taken[TEST_ITEMS] = {false};
        uint32_t most = w->items < TEST_TOUCHES ? w->items : TEST_TOUCHES;
        int64_t t = f->now + 30000;
        user->touch_count = (uint32_t)reco__rand_below(rand, most / 2 + 1);
        for (uint32_t i = 0; i < user->touch_count;) {
            uint32_t item = (uint32_t)reco__rand_below(rand, w->items);
            if (!taken[item]) {
                taken[item] = true;
                t -= (int64_t)reco__rand_below(rand, 60000);
                user->touches[i++] = (reco__touch){item, (int32_t)reco__rand_below(rand, 4), t};
            }
        }
        user->session_count = user->touch_count > 0 ? 1 + (uint32_t)reco__rand_below(rand, user->touch_count) : 0;
        user->hidden_count = (uint32_t)reco__rand_below(rand, 3);
        for (uint32_t i = 0; i < user->hidden_count; i++) {
            user->hidden[i] = (uint32_t)(i * w->items / 2 + reco__rand_below(rand, w->items / 2));
        }
    }
}

TEST_UNUSED static void settings_random(reco__settings *settings, reco__rand *rand) {
    settings->normalise = (uint32_t)reco__rand_below(rand, 2);
    settings->recency = (uint32_t)reco__rand_below(rand, 2);
    settings->recency_value = settings->recency == RECO__RECENCY_EXP ? 1 + (double)reco__rand_below(rand, 9) : 0.3 + 0.7 * reco__rand_unit(rand);
    settings->row_power = reco__rand_below(rand, 2) ? 0.5 : reco__rand_unit(rand);
    settings->popularity_power = reco__rand_unit(rand);
    settings->pair_within = (uint32_t)reco__rand_below(rand, 2);
    settings->filter_seen = (uint32_t)reco__rand_below(rand, 2);
    settings->revisit = (double)reco__rand_below(rand, 3);
    settings->weight_popular = reco__rand_below(rand, 2) ? 0.01 : reco__rand_unit(rand);
    settings->popular_candidates = (uint32_t)reco__rand_below(rand, 20);
}

TEST_UNUSED static reco_status ask_query(fixture *f, uint32_t user, reco_query query) {
    char room[16];
    query.struct_size = sizeof(query);
    query.user_id = user_name(room, user);
    return reco__recommend_ask(&f->answer, f->recommend, &query, f->now, user_partition(user), 0, NULL, &f->err);
}

/* Asks; the answer stands in f->answer. */
TEST_UNUSED static const reco_answer *ask(fixture *f, uint32_t user, reco_query query) {
    test_ok(ask_query(f, user, query), &f->err);
    return f->answer;
}

TEST_UNUSED static const reco_answer *ask_popular(fixture *f, reco_popular_query query) {
    query.struct_size = sizeof(query);
    test_ok(reco__recommend_popular(&f->answer, f->recommend, &query, f->now, NULL, &f->err), &f->err);
    return f->answer;
}

/* Makes an item's record; flags and times as in reco_item. */
TEST_UNUSED static void put_item(fixture *f, uint32_t index, uint32_t flags, int64_t from, int64_t until, const char *category) {
    char room[16];
    reco_str categories[1] = {reco__str_of(category)};
    reco_item item = {.item_id = item_name(room, index),
                      .flags = flags,
                      .available_from = from,
                      .available_until = until,
                      .categories = categories,
                      .category_count = category ? 1 : 0};
    reco__buf document = {0};
    uint64_t sequence;
    reco__item_document(&document, &item);
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {document.data, document.size}};
    test_ok(reco__records_change(&sequence, f->records, &change, 1, NULL, &f->err), &f->err);
    reco__buf_dispose(&document);
}

/* An item's record with attributes, and a parent by index (-1: none). */
TEST_UNUSED static void put_attributes(fixture *f, uint32_t index, const char *attributes, int parent) {
    char room[16], above[16];
    reco_item item = {.item_id = item_name(room, index), .attributes = reco__str_of(attributes)};
    reco__buf document = {0};
    uint64_t sequence;
    if (parent >= 0) {
        item.parent = item_name(above, (uint32_t)parent);
    }
    reco__item_document(&document, &item);
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {document.data, document.size}};
    test_ok(reco__records_change(&sequence, f->records, &change, 1, NULL, &f->err), &f->err);
    reco__buf_dispose(&document);
}

/* Makes a user's record with these users as aliases. */
TEST_UNUSED static void put_user(fixture *f, uint32_t user, const uint32_t *aliases, size_t count) {
    char name[16], rooms[TEST_USERS][16];
    reco_str names[TEST_USERS];
    for (size_t i = 0; i < count; i++) {
        names[i] = user_name(rooms[i], aliases[i]);
    }
    reco_user known = {.user_id = user_name(name, user), .aliases = names, .alias_count = count};
    reco__buf document = {0};
    reco__user_document(&document, &known);
    reco_record_change change = {.kind = RECO_RECORD_USER, .id = known.user_id, .document = {document.data, document.size}};
    test_ok(reco__records_change(NULL, f->records, &change, 1, NULL, &f->err), &f->err);
    reco__buf_dispose(&document);
}

TEST_UNUSED static void delete_item(fixture *f, uint32_t index) {
    char room[16];
    uint64_t sequence;
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item_name(room, index)};
    test_ok(reco__records_change(&sequence, f->records, &change, 1, NULL, &f->err), &f->err);
}

/* The answer has these items, by index, in this order. */
TEST_UNUSED static void check_items(const reco_answer *answer, const uint32_t *expected, size_t count) {
    ck_assert_uint_eq(answer->count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(index_of(answer->items[i].item_id), expected[i]);
        ck_assert_uint_eq(answer->items[i].rank, i + 1);
    }
}

/* Reasons sum exactly to the score, the largest first, at most ten and the rest. */
TEST_UNUSED static void check_reasons(const reco_answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        const reco_answer_item *item = &answer->items[i];
        int64_t sum = 0;
        ck_assert_uint_le(item->reason_count, 11);
        for (uint32_t r = 0; r < item->reason_count; r++) {
            sum += item->reasons[r].score;
            ck_assert_int_eq(item->reasons[r].kind == RECO_REASON_OTHER, r == 10);
            ck_assert(r == 0 || r == 10 || item->reasons[r].score <= item->reasons[r - 1].score);
            ck_assert(item->reasons[r].kind != RECO_REASON_COVIEW || item->reasons[r].because.size > 0);
        }
        ck_assert_int_eq(sum, item->score);
    }
}

#endif
