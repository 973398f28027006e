/* tests/integration/test_exact_flips.c - what verify sees: any one field of any tuple in any table of features, changed behind the library's back,
 * changes the state hash or is told as damage; in a head, it fails verify by the head's name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <reco/generate.h>

#include "engine/engine.h"
#include "exact.h"
#include "kv/kv.h"

#define DAY INT64_C(86400000)
#define GRAIN 600000

static const char *const settings[] = {"coview.length",
                                       "1d",
                                       "coview.kept",
                                       "3",
                                       "coview.cut",
                                       "20",
                                       "coview.head",
                                       "8",
                                       "cell.history",
                                       "60",
                                       "cell.recents",
                                       "10",
                                       "popularity.hours_kept",
                                       "30",
                                       "popularity.days_kept",
                                       "4",
                                       "recommend.window_days",
                                       "4d",
                                       NULL};

static exact at;

static void fill(reco_engine *source, exact_facts *facts) {
    enum { MOST = 400 };
    reco_error err = RECO_ERROR_INIT;
    reco_generator *generator = NULL;
    reco_generator_options options = {
        .struct_size = sizeof options, .items = 300, .users = 200, .seed = 7, .events = 6000, .duration = 6 * DAY, .late = 0.05, .duplicate = 0.02};
    reco_event events[MOST];
    reco__arena strings = {0};
    size_t count = 0;
    int64_t received_at, moment = 0;
    bool more = true;

    if (reco_generator_create(&generator, &options, &err) != RECO_OK) {
        test_child_fail("generator", &err);
    }
    while (more) {
        reco_event event;
        more = reco_generator_next(&event, &received_at, generator) == RECO_OK;
        received_at = (received_at + GRAIN - 1) / GRAIN * GRAIN;
        if (count && (!more || received_at != moment || count == MOST)) {
            reco_receipt receipt = {.struct_size = sizeof receipt};
            reco_ingest_options ingest = {.struct_size = sizeof ingest, .received_at = moment};
            (void)reco_ingest(&receipt, source, events, count, sizeof *events, &ingest, NULL, &err);
            facts->accepted += receipt.accepted;
            count = 0;
            reco__arena_reset(&strings);
        }
        if (more) {
            reco_str *texts[] = {&event.user_id, &event.item_id, &event.event_type, &event.session_id, &event.event_id};
            for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                texts[i]->data = reco__arena_copy(&strings, texts[i]->data ? texts[i]->data : "", texts[i]->size);
            }
            events[count++] = event;
            moment = received_at;
        }
    }
    reco_generator_free(generator);
    reco__arena_dispose(&strings);
}

static void setup(void) {
    char command[700];
    exact_begin(&at, settings, fill);
    snprintf(command, sizeof command, "cp -r --sparse=always '%s/features' '%s/whole'", at.source, at.dir);
    if (system(command) != 0) {
        exit(EXIT_FAILURE);
    }
}

static void teardown(void) { exact_end(&at); }

/* --- tuples ----------------------------------------------------------------------------------------------------------------------------------- */

typedef struct tuple {
    const char *table;
    uint8_t key[300], value[16384];
    size_t key_size, size;
} tuple;

static reco__kv *store_open(reco__kv_table *table, const char *name) {
    reco__kv_options options = {.directory = at.source,
                                .name = "features",
                                .flags = RECO__KV_NOSYNC,
                                .map_size = UINT64_C(8) << 30,
                                .format = "reco-features",
                                .format_version = 1};
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = NULL;
    bool fresh = false;
    test_ok(reco__kv_open(&kv, &options, &fresh, &err), &err);
    ck_assert_msg(!fresh, "the features are gone");
    test_ok(reco__kv_table_open(table, kv, name, &err), &err);
    return kv;
}

/* The first tuple, not before the given one, that `wanted` takes; false when there is none. */
static bool find_tuple(tuple *out, const char *table, bool (*wanted)(const tuple *candidate, const void *context), const void *context) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_table id;
    reco__kv *kv = store_open(&id, table);
    reco__kv_txn *txn;
    reco__kv_cursor *cursor;
    reco__kv_value key, value;
    bool found = false;

    test_ok(reco__kv_read_begin(&txn, kv, 0, &err), &err);
    test_ok(reco__kv_cursor_open(&cursor, txn, id, &err), &err);
    for (int how = RECO__KV_FIRST; !found && reco__kv_seek(cursor, how, &key, &value, &err) == RECO_OK; how = RECO__KV_NEXT) {
        ck_assert(key.size <= sizeof out->key && value.size <= sizeof out->value);
        out->table = table;
        memcpy(out->key, key.data, out->key_size = key.size);
        memcpy(out->value, value.data, out->size = value.size);
        found = !wanted || wanted(out, context);
    }
    reco__kv_cursor_close(cursor);
    reco__kv_read_end(txn);
    reco__kv_close(kv);
    return found;
}

static void put_tuple(const tuple *old, const tuple *now) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_table table;
    reco__kv *kv = store_open(&table, old->table);
    reco__kv_txn *txn;

    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    test_ok(reco__kv_delete(txn, table, old->key, old->key_size, &err), &err);
    if (now) {
        test_ok(reco__kv_put(txn, table, now->key, now->key_size, now->value, now->size, &err), &err);
    }
    test_ok(reco__kv_commit(txn, &err), &err);
    reco__kv_close(kv);
}

static void heal(void) {
    char features[400], command[700];
    snprintf(features, sizeof features, "%s/features", at.source);
    test_dir_remove(features);
    snprintf(command, sizeof command, "cp -r --sparse=always '%s/whole' '%s'", at.dir, features);
    ck_assert_int_eq(system(command), 0);
}

/* --- expectations ----------------------------------------------------------------------------------------------------------------------------- */

/* In its place `now` (NULL: nothing): the hash is another or cannot be made for damage, and verify agrees; for heads (head not NULL) the hash is as
 * it was and verify names that head. */
static void expect_seen(const char *what, const tuple *old, const tuple *now, const char *head) {
    reco_error err = RECO_ERROR_INIT;
    reco_verification found = {.struct_size = sizeof found};
    char hash[40] = "";

    put_tuple(old, now);
    reco_engine *engine = test_engine_open(at.source, 0, settings);
    reco_status hashed = reco_state_hash(hash, engine, NULL, &err);
    reco_status verified = reco_verify(&found, engine, NULL, NULL, &err);
    bool same = hashed == RECO_OK && strcmp(hash, at.facts->hash) == 0;
    if (head) {
        char named[300];
        snprintf(named, sizeof named, "head of item \"%s\"", head);
        ck_assert_msg(same, "%s: a head is not part of the hash", what);
        if (verified == RECO_CORRUPT) {
            ck_assert_msg(strstr(err.text, "head") != NULL, "%s: damage without naming the head: %s", what, err.text);
        } else {
            test_ok(verified, &err);
            ck_assert_msg(!found.equal, "%s: verify did not see it", what);
            ck_assert_msg(strstr(found.difference, named) != NULL, "%s: verify says \"%s\", not %s", what, found.difference, named);
        }
    } else {
        ck_assert_msg(!same, "%s: the hash is as it was", what);
        ck_assert_msg(verified != RECO_OK || (!found.equal && found.difference[0]), "%s: verify did not see it", what);
        ck_assert_msg(verified == RECO_OK || (verified == RECO_CORRUPT && err.text[0]), "%s: %s: %s", what, reco_status_name(verified), err.text);
    }
    reco_close(engine);
    heal();
}

static const tuple *with(tuple *now, const tuple *old) {
    *now = *old;
    return now;
}

static void add_le64(uint8_t *bytes, int64_t by) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    value += (uint64_t)by;
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

/* --- rows ------------------------------------------------------------------------------------------------------------------------------------- */

enum { ROW_BOARD = 2, ROW_GENERATION = 3, ROW_ITEM = 11 };

static bool row_of_board(const tuple *candidate, const void *context) {
    reco_entry entries[2000];
    size_t count = 0;
    if (candidate->key[ROW_BOARD] != *(const uint32_t *)context) {
        return false;
    }
    ck_assert_int_eq(reco_board_unpack(&count, entries, 2000, candidate->value, candidate->size), RECO_OK);
    return count >= 3 && reco__from_be64(candidate->key + ROW_GENERATION) > 0;
}

static void row_with(const char *what, const tuple *old, const reco_entry *entries, size_t count) {
    tuple now;
    with(&now, old);
    now.size = reco_board_pack(now.value, entries, count);
    expect_seen(what, old, &now, NULL);
}

START_TEST(rows)
{
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        tuple old, now;
        reco_entry entries[2000];
        size_t count = 0;
        ck_assert(find_tuple(&old, "rows", row_of_board, &board));
        ck_assert_int_eq(reco_board_unpack(&count, entries, 2000, old.value, old.size), RECO_OK);
        entries[0].sum++;
        row_with("sum of a row", &old, entries, count);
        entries[0].sum--;
        entries[count - 1].sum -= 1;
        row_with("last sum of a row", &old, entries, count);
        entries[count - 1].sum += 1;
        entries[count - 1].member++;
        row_with("member of a row", &old, entries, count);
        entries[count - 1].member--;
        row_with("entry left out of a row", &old, entries, count - 1);
        reco__be64(with(&now, &old) ? now.key + ROW_GENERATION : NULL, reco__from_be64(old.key + ROW_GENERATION) + 1);
        expect_seen("generation of a row", &old, &now, NULL);
        with(&now, &old);
        now.key[ROW_BOARD] = (uint8_t)((board + 1) % RECO_BOARD_COUNT);
        expect_seen("board of a row", &old, &now, NULL);
        if (board == RECO_BOARD_COVIEW) {
            with(&now, &old);
            reco__be32(now.key + ROW_ITEM, reco__from_be32(old.key + ROW_ITEM) + 1);
            expect_seen("item of a row", &old, &now, NULL);
        }
        expect_seen("row left out", &old, NULL, NULL);
    }
}
END_TEST

/* --- names ------------------------------------------------------------------------------------------------------------------------------------- */

static bool name_of(const tuple *candidate, const void *context) { return reco__from_be32(candidate->key + 2) == *(const uint32_t *)context; }

START_TEST(names)
{
    uint32_t board = RECO_BOARD_COVIEW;
    tuple row, old, now;
    reco_entry entries[2000];
    size_t count = 0;

    ck_assert(find_tuple(&row, "rows", row_of_board, &board));
    ck_assert_int_eq(reco_board_unpack(&count, entries, 2000, row.value, row.size), RECO_OK);
    uint32_t numbers[] = {reco__from_be32(row.key + ROW_ITEM), entries[0].member};
    for (size_t i = 0; i < 2; i++) {
        ck_assert(find_tuple(&old, "names", name_of, &numbers[i]));
        with(&now, &old);
        now.value[0] = 'x';
        expect_seen("name of an item", &old, &now, NULL);
    }
}
END_TEST

/* --- cells ------------------------------------------------------------------------------------------------------------------------------------- */

enum { CELL_PARTITION = 0, CELL_EXPIRES = 2, CELL_DATA = 10 };

static bool rich_cell(const tuple *candidate, const void *context) {
    reco__cell cell = {0};
    (void)context;
    ck_assert_int_eq(reco__cell_decode(&cell, candidate->value + CELL_DATA, candidate->size - CELL_DATA, NULL), RECO_OK);
    bool rich = cell.touch_count > 12 && cell.hidden_count > 1 && cell.id_count > 1 && cell.session_count > 0 && cell.session_hash;
    reco__cell_dispose(&cell);
    return rich;
}

static void cell_with(const char *what, const tuple *old, const reco__cell *cell) {
    tuple now;
    reco__buf bytes = {0};
    with(&now, old);
    reco__cell_encode(&bytes, cell);
    ck_assert_int_eq(bytes.failed, RECO_OK);
    memcpy(now.value + CELL_DATA, bytes.data, bytes.size);
    now.size = CELL_DATA + bytes.size;
    reco__buf_dispose(&bytes);
    expect_seen(what, old, &now, NULL);
}

/* A number that is neither touched nor hidden. */
static uint32_t other_item(const reco__cell *cell) {
    for (uint32_t number = 0;; number++) {
        bool taken = false;
        for (uint32_t i = 0; i < cell->touch_count; i++) {
            taken = taken || cell->touches[i].item == number;
        }
        for (uint32_t i = 0; i < cell->hidden_count; i++) {
            taken = taken || cell->hidden[i] == number;
        }
        if (!taken) {
            return number;
        }
    }
}

START_TEST(cells)
{
    tuple old, now;
    reco__cell cell = {0};

    ck_assert(find_tuple(&old, "cells", rich_cell, NULL));
    ck_assert_int_eq(reco__cell_decode(&cell, old.value + CELL_DATA, old.size - CELL_DATA, NULL), RECO_OK);
    uint32_t other = other_item(&cell);
#define FLIP(field, changed)                                                                                                                         \
    do {                                                                                                                                             \
        __typeof__(field) kept_ = (field);                                                                                                           \
        (field) = (changed);                                                                                                                         \
        cell_with(#field, &old, &cell);                                                                                                              \
        (field) = kept_;                                                                                                                             \
    } while (0)
    FLIP(cell.last, cell.last + 1);
    FLIP(cell.session_hash, cell.session_hash ^ 1);
    FLIP(cell.session_hash, 0);
    FLIP(cell.session_count, cell.session_count - 1);
    FLIP(cell.touch_count, cell.touch_count - 1);
    FLIP(cell.touches[0].item, other);
    FLIP(cell.touches[0].weight, cell.touches[0].weight + 1);
    FLIP(cell.touches[0].t, cell.touches[0].t + 1);
    FLIP(cell.touches[9].t, cell.touches[9].t + 1);
    FLIP(cell.touches[cell.touch_count - 1].item, other);
    FLIP(cell.touches[cell.touch_count - 1].weight, !cell.touches[cell.touch_count - 1].weight);
    FLIP(cell.hidden[0], other);
    FLIP(cell.hidden_count, cell.hidden_count - 1);
    FLIP(cell.ids[0].hash, cell.ids[0].hash ^ 1);
    FLIP(cell.ids[0].r, cell.ids[0].r - 1);
    FLIP(cell.id_count, cell.id_count - 1);
#undef FLIP
    reco__cell_dispose(&cell);
    with(&now, &old);
    now.value[CELL_PARTITION] = (uint8_t)((now.value[CELL_PARTITION] + 1) % 4);
    expect_seen("partition of a cell", &old, &now, NULL);
    with(&now, &old);
    add_le64(now.value + CELL_EXPIRES, 1);
    expect_seen("expiry of a cell", &old, &now, NULL);
    with(&now, &old);
    memset(now.value + CELL_EXPIRES, 0, 8);
    expect_seen("expiry of a cell, long ago", &old, &now, NULL);
    with(&now, &old);
    now.key[now.key_size++] = 'x';
    expect_seen("user of a cell", &old, &now, NULL);
    expect_seen("cell left out", &old, NULL, NULL);
}
END_TEST

/* --- clocks and positions --------------------------------------------------------------------------------------------------------------------- */

enum { STATE_POSITIONS = 88, STATE_PARTITION = 24 };

static bool is_state(const tuple *candidate, const void *context) {
    (void)context;
    return candidate->key_size == 4 && candidate->key[0] == 1 && candidate->key[3] == 's';
}

START_TEST(clocks)
{
    tuple old, now;

    ck_assert(find_tuple(&old, "meta", is_state, NULL));
    ck_assert_uint_eq(old.size, STATE_POSITIONS + 4 * STATE_PARTITION);
    for (size_t p = 0; p < 4; p++) {
        with(&now, &old);
        add_le64(now.value + STATE_POSITIONS + p * STATE_PARTITION + 8, 1);
        expect_seen("clock of a partition", &old, &now, NULL);
    }
}
END_TEST

/* The offset is no part of the state (another stream has others), but verify replays up to it. */
START_TEST(offsets)
{
    tuple old, now;
    reco_error err = RECO_ERROR_INIT;

    ck_assert(find_tuple(&old, "meta", is_state, NULL));
    for (size_t p = 0; p < 4; p++) {
        reco_verification found = {.struct_size = sizeof found};
        with(&now, &old);
        add_le64(now.value + STATE_POSITIONS + p * STATE_PARTITION, -50);
        put_tuple(&old, &now);
        reco_engine *engine = test_engine_open(at.source, 0, settings);
        test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
        ck_assert_msg(!found.equal && found.difference[0], "verify did not see that partition %zu is learned further than it says", p);
        reco_close(engine);
        heal();
    }
}
END_TEST

/* --- heads ------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct head_parts {
    reco_head head;
    reco_entry open[64], closed[64];
    size_t open_count, closed_count;
    int64_t generations[64];
    size_t generation_count;
} head_parts;

static void head_read(head_parts *out, const tuple *from) {
    ck_assert_int_eq(reco_head_read(&out->head, from->value, from->size), RECO_OK);
    ck_assert_int_eq(reco_board_unpack(&out->open_count, out->open, 64, out->head.open, out->head.open_size), RECO_OK);
    ck_assert_int_eq(reco_board_unpack(&out->closed_count, out->closed, 64, out->head.closed, out->head.closed_size), RECO_OK);
    ck_assert_int_eq(reco_generations_unpack(&out->generation_count, out->generations, 64, out->head.generations, out->head.generations_size),
                     RECO_OK);
}

static bool rich_head(const tuple *candidate, const void *context) {
    head_parts parts;
    (void)context;
    head_read(&parts, candidate);
    return parts.open_count > 3 && parts.closed_count > 3 && parts.generation_count > 2 && parts.open[1].member > parts.open[0].member + 1 &&
           parts.closed[1].member > parts.closed[0].member + 1 && parts.generations[1] == parts.generations[0] + 1;
}

static void head_with(const char *what, const tuple *old, head_parts *parts, const char *name) {
    tuple now;
    uint8_t open[64 * RECO_PACKED_ENTRY_MAX], closed[64 * RECO_PACKED_ENTRY_MAX], generations[640];
    with(&now, old);
    parts->head.open = open;
    parts->head.open_count = (uint32_t)parts->open_count;
    parts->head.open_size = reco_board_pack(open, parts->open, parts->open_count);
    parts->head.closed = closed;
    parts->head.closed_count = (uint32_t)parts->closed_count;
    parts->head.closed_size = reco_board_pack(closed, parts->closed, parts->closed_count);
    parts->head.generations = generations;
    parts->head.generation_count = (uint32_t)parts->generation_count;
    parts->head.generations_size = reco_generations_pack(generations, parts->generations, parts->generation_count);
    now.size = reco_head_write(now.value, sizeof now.value, &parts->head);
    ck_assert_uint_gt(now.size, 0);
    expect_seen(what, old, &now, name);
}

START_TEST(heads)
{
    tuple old, name_tuple;
    head_parts parts;
    char name[260];

    ck_assert(find_tuple(&old, "heads", rich_head, NULL));
    uint32_t number = reco__from_be32(old.key + 2);
    ck_assert(find_tuple(&name_tuple, "names", name_of, &number));
    snprintf(name, sizeof name, "%.*s", (int)name_tuple.size, (const char *)name_tuple.value);
#define FLIP(field, changed)                                                                                                                         \
    do {                                                                                                                                             \
        head_read(&parts, &old);                                                                                                                     \
        (field) = (changed);                                                                                                                         \
        head_with(#field, &old, &parts, name);                                                                                                       \
    } while (0)
    FLIP(parts.head.closed_at, parts.head.closed_at - 1);
    FLIP(parts.head.closed_at, parts.head.closed_at + 1);
    FLIP(parts.head.open_sum, parts.head.open_sum + 1);
    FLIP(parts.head.closed_sum, parts.head.closed_sum - 1);
    FLIP(parts.open[0].sum, parts.open[0].sum + 1);
    FLIP(parts.open[0].member, parts.open[0].member + 1);
    FLIP(parts.open_count, parts.open_count - 1);
    FLIP(parts.closed[0].sum, parts.closed[0].sum + 1);
    FLIP(parts.closed[0].member, parts.closed[0].member + 1);
    FLIP(parts.closed_count, parts.closed_count - 1);
    FLIP(parts.generation_count, parts.generation_count - 1);
    FLIP(parts.generations[0], parts.generations[0] - 1);
#undef FLIP
    expect_seen("head left out", &old, NULL, name);
}
END_TEST

START_TEST(whole_again)
{ exact_check_close(&at, test_engine_open(at.source, 0, settings)); /* the flips are what was seen, not the handling */ }
END_TEST

int main(void) {
    Suite *suite = suite_create("exact_flips");
    TCase *fields = tcase_create("fields");

    tcase_add_unchecked_fixture(fields, setup, teardown);
    tcase_add_test(fields, rows);
    tcase_add_test(fields, names);
    tcase_add_test(fields, cells);
    tcase_add_test(fields, clocks);
    tcase_add_test(fields, offsets);
    tcase_add_test(fields, heads);
    tcase_add_test(fields, whole_again);
    suite_add_tcase(suite, fields);
    return test_run(suite);
}
