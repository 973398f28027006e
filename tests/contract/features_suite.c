/* features_suite.c - the suite's fixture: a store, the model beside it, batches, comparisons. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract/features_suite.h"
#include "support/support.h"

static const reco_features_backend *suite_backend;
static const char *suite_url;
unsigned features_suite_flags;
static char suite_folder[256];
static unsigned suite_spaces;

/* --- fixture -------------------------------------------------------------------------------------------------------------------------- */

/* Everything small, so that a handful of adds closes, cuts and expires: co-view generations of 10 ms of which 3 are kept, 4 entries after the cut,
 * heads of 3. */
void fixture_rules(reco_board_rules *rules) {
    memset(rules, 0, sizeof *rules);
    rules->struct_size = sizeof *rules;
    rules->cut = 4;
    rules->head = 3;
    rules->lateness = 5;
    rules->skew = 3;
    rules->length[RECO_BOARD_HOURS] = 4;
    rules->length[RECO_BOARD_DAYS] = 20;
    rules->length[RECO_BOARD_COVIEW] = 10;
    rules->kept[RECO_BOARD_HOURS] = 4;
    rules->kept[RECO_BOARD_DAYS] = 3;
    rules->kept[RECO_BOARD_COVIEW] = 3;
    for (int age = 0; age < (int)RECO_GENERATIONS_MAX; age++) {
        rules->weight[age] = age < 3 ? 3 - age : 0;
    }
}

reco_status fixture_open_url(reco_features_store **store, const reco_features_backend *backend, const char *url, reco_error *err) {
    static reco_board_rules rules;
    fixture_rules(&rules);
    reco_features_options options = {.struct_size = sizeof options,
                                     .partitions = 1,
                                     .url = url,
                                     .space = "own",
                                     .fingerprint = {"a=1\n", 4},
                                     .rules = &rules,
                                     .max_items = 10,
                                     .max_users = 10};
    return backend->open(store, &options, NULL, err);
}

void fixture_prepare(fixture *f, uint32_t partitions, uint32_t item_room) {
    memset(f, 0, sizeof *f);
    fixture_rules(&f->rules);
    f->backend = suite_backend;
    model_init(&f->model, &f->rules, partitions, item_room);
    snprintf(f->space, sizeof f->space, "s%ld-%u", (long)getpid(), suite_spaces++);
    if (strstr(suite_url, "%s")) {
        if (!suite_folder[0]) {
            test_dir_make(suite_folder);
        }
        const char *place = strstr(suite_url, "%s");
        snprintf(f->url, sizeof f->url, "%.*s%s%s", (int)(place - suite_url), suite_url, suite_folder, place + 2);
    } else {
        snprintf(f->url, sizeof f->url, "%s", suite_url);
    }
    f->options.struct_size = sizeof f->options;
    f->options.partitions = partitions;
    f->options.url = f->url;
    f->options.space = f->space;
    memset(f->options.stream_id, 7, sizeof f->options.stream_id);
    f->options.fingerprint = (reco_str){"coview.cut=4\n", 13};
    f->options.rules = &f->rules;
    f->options.max_items = item_room;
    f->options.max_users = 1000;
    f->options.map_size = (uint64_t)1 << 30;
}

void fixture_open(fixture *f) {
    test_ok(f->backend->open(&f->store, &f->options, NULL, &f->err), &f->err);
    reco_position positions[64];
    test_ok(f->backend->positions(positions, &f->epoch, f->store, NULL, &f->err), &f->err);
}

void fixture_close(fixture *f) {
    f->backend->close(f->store);
    f->store = NULL;
}

void fixture_done(fixture *f) {
    if (f->store) {
        fixture_close(f);
    }
    model_free(&f->model);
}

void fixture_items(fixture *f, uint32_t count) {
    uint32_t first = f->model.item_count, more = count - first;
    reco_str *names = calloc(more, sizeof *names);
    uint32_t *numbers = calloc(more, sizeof *numbers);
    ck_assert_ptr_nonnull(names);
    ck_assert_ptr_nonnull(numbers);
    for (uint32_t i = 0; i < more; i++) {
        char name[24];
        snprintf(name, sizeof name, "item-%u", (first + i) * 7919u);
        model_name(&f->model, name);
        names[i] = (reco_str){f->model.names[first + i], strlen(name)};
    }
    test_ok(f->backend->intern(numbers, f->store, names, more, NULL, &f->err), &f->err);
    for (uint32_t i = 0; i < more; i++) {
        ck_assert_uint_eq(numbers[i], first + i);
    }
    free(names);
    free(numbers);
}

void fixture_user(char out[16], uint32_t user) { snprintf(out, 16, "u%u", user); }

/* --- batches -------------------------------------------------------------------------------------------------------------------------- */

void batch_add(batch_adds *b, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta) {
    ck_assert(b->count < sizeof b->adds / sizeof b->adds[0]);
    b->adds[b->count].board = board;
    b->adds[b->count].generation = generation;
    b->adds[b->count++].add = (reco_add){item, member, delta};
}

void batch_cell(batch_adds *b, uint32_t user, const void *data, size_t size, int64_t expires_at) {
    char *name = b->users[b->cell_count];
    fixture_user(name, user);
    b->cells[b->cell_count++] = (reco_cell_put){{name, strlen(name)}, data, size, expires_at};
}

static int by_key(const void *a, const void *b) {
    const struct {
        uint32_t board;
        int64_t generation;
        reco_add add;
    } *x = a, *y = b;
    if (x->board != y->board) {
        return x->board < y->board ? -1 : 1;
    }
    if (x->generation != y->generation) {
        return x->generation < y->generation ? -1 : 1;
    }
    if (x->add.item != y->add.item) {
        return x->add.item < y->add.item ? -1 : 1;
    }
    return x->add.member < y->add.member ? -1 : x->add.member > y->add.member;
}

static int by_user(const void *a, const void *b) { return strcmp(((const reco_cell_put *)a)->user.data, ((const reco_cell_put *)b)->user.data); }

/* Sorts, sums what is there more than once, drops zeros; groups. Returns the number of groups. */
static size_t group_up(batch_adds *b, reco_add *adds, reco_add_group *groups) {
    size_t kept = 0, count = 0;
    qsort(b->adds, b->count, sizeof b->adds[0], by_key);
    for (size_t i = 0; i < b->count; i++) {
        if (kept && by_key(&b->adds[kept - 1], &b->adds[i]) == 0) {
            b->adds[kept - 1].add.delta += b->adds[i].add.delta;
        } else {
            b->adds[kept++] = b->adds[i];
        }
    }
    b->count = 0;
    for (size_t i = 0; i < kept; i++) {
        if (b->adds[i].add.delta == 0) {
            continue;
        }
        size_t at = b->count++;
        b->adds[at] = b->adds[i];
        adds[at] = b->adds[at].add;
        if (count == 0 || groups[count - 1].board != b->adds[at].board || groups[count - 1].generation != b->adds[at].generation) {
            groups[count++] = (reco_add_group){b->adds[at].board, 0, b->adds[at].generation, &adds[at], 0};
        }
        groups[count - 1].count++;
    }
    return count;
}

static void model_take(fixture *f, const batch_adds *b, uint32_t partition, int64_t to, int64_t clock) {
    for (size_t i = 0; i < b->count; i++) {
        model_add(&f->model, b->adds[i].board, b->adds[i].generation, b->adds[i].add.item, b->adds[i].add.member, b->adds[i].add.delta);
    }
    for (size_t i = 0; i < b->cell_count; i++) {
        model_cell *cell = &f->model.cells[atoi(b->cells[i].user.data + 1)];
        cell->there = b->cells[i].size > 0;
        cell->size = (uint8_t)b->cells[i].size;
        cell->expires_at = b->cells[i].expires_at;
        if (cell->there) {
            memcpy(cell->data, b->cells[i].data, b->cells[i].size);
        }
    }
    f->model.positions[partition] = (reco_position){to, clock};
}

reco_status batch_apply(fixture *f, batch_adds *b, uint32_t partition, int64_t from, int64_t to, int64_t clock) {
    static reco_add adds[sizeof b->adds / sizeof b->adds[0]];
    static reco_add_group groups[sizeof b->adds / sizeof b->adds[0]];
    size_t group_count = group_up(b, adds, groups);
    qsort(b->cells, b->cell_count, sizeof b->cells[0], by_user);
    reco_batch batch = {.struct_size = sizeof batch,
                        .partition = partition,
                        .epoch = f->epoch,
                        .from = from < 0 ? f->model.positions[partition].offset : from,
                        .to = to,
                        .clock = clock,
                        .cells = b->cells,
                        .cell_count = b->cell_count,
                        .groups = groups,
                        .group_count = group_count};
    reco_status status = f->backend->apply(f->store, &batch, NULL, &f->err);
    if (status == RECO_OK) {
        model_take(f, b, partition, to, clock);
    }
    return status;
}

void fixture_step(fixture *f, uint32_t partition, int64_t clock, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta) {
    static batch_adds b;
    b.count = b.cell_count = 0;
    if (delta) {
        batch_add(&b, board, generation, item, member, delta);
    }
    test_ok(batch_apply(f, &b, partition, -1, f->model.positions[partition].offset + 1, clock), &f->err);
}

void fixture_clock(fixture *f, int64_t clock) {
    for (uint32_t p = 0; p < f->model.partitions; p++) {
        fixture_step(f, p, clock, 0, 0, 0, 0, 0);
    }
}

void fixture_settle(fixture *f) { test_ok(f->backend->settle(f->store, NULL, &f->err), &f->err); }

/* --- comparisons ---------------------------------------------------------------------------------------------------------------------- */

/* A row being collected from pieces. */
struct pieces {
    reco_entry *entries;
    size_t count, room, next;
};

static void take_piece(void *context, size_t index, const void *data, size_t size) {
    struct pieces *pieces = context;
    size_t more;
    ck_assert_uint_eq(index, pieces->next++);
    ck_assert_int_eq(reco_board_unpack(&more, pieces->entries + pieces->count, pieces->room - pieces->count, data, size), RECO_OK);
    ck_assert_uint_gt(more, 0);
    pieces->count += more;
}

static void same_entries(const char *what, uint32_t item, int64_t generation, const reco_entry *got, size_t got_count, const reco_entry *want,
                         size_t want_count) {
    ck_assert_msg(got_count == want_count, "%s of item %u, generation %lld: %zu entries, not %zu", what, item, (long long)generation, got_count,
                  want_count);
    for (size_t i = 0; i < got_count; i++) {
        ck_assert_msg(got[i].member == want[i].member && got[i].sum == want[i].sum,
                      "%s of item %u, generation %lld: entry %zu is %u: %lld, not %u: %lld", what, item, (long long)generation, i, got[i].member,
                      (long long)got[i].sum, want[i].member, (long long)want[i].sum);
    }
}

static reco_entry *room_for(const fixture *f) {
    reco_entry *entries = calloc(f->model.item_room + 1, sizeof *entries);
    ck_assert_ptr_nonnull(entries);
    return entries;
}

void check_positions(fixture *f) {
    reco_position positions[64];
    uint64_t epoch;
    test_ok(f->backend->positions(positions, &epoch, f->store, NULL, &f->err), &f->err);
    ck_assert_uint_eq(epoch, f->epoch);
    for (uint32_t p = 0; p < f->model.partitions; p++) {
        ck_assert_msg(positions[p].offset == f->model.positions[p].offset && positions[p].clock == f->model.positions[p].clock,
                      "partition %u stands at %lld (clock %lld), not at %lld (%lld)", p, (long long)positions[p].offset,
                      (long long)positions[p].clock, (long long)f->model.positions[p].offset, (long long)f->model.positions[p].clock);
    }
}

void check_row(fixture *f, uint32_t board, int64_t generation, uint32_t item) {
    struct pieces got = {room_for(f), 0, f->model.item_room, 0};
    reco_entry *want = room_for(f);
    test_ok(f->backend->row(f->store, board, generation, item, take_piece, &got, NULL, &f->err), &f->err);
    size_t count = model_row_at(&f->model, want, board, generation, item, model_newest_closed(&f->model, board, model_clock(&f->model)));
    same_entries("row", item, generation, got.entries, got.count, want, count);
    free(got.entries);
    free(want);
}

void check_generations(fixture *f, uint32_t board) {
    int64_t got[256], closed = model_newest_closed(&f->model, board, model_clock(&f->model));
    size_t count, seen = 0;
    reco_entry *row = room_for(f);
    test_ok(f->backend->generations(got, 256, &count, f->store, board, NULL, &f->err), &f->err);
    ck_assert_uint_le(count, 256);
    for (size_t i = 0; i < f->model.row_count; i++) {
        const model_row *r = &f->model.rows[i];
        if (r->board != board || model_row_at(&f->model, row, board, r->generation, 0, closed) == 0) {
            continue;
        }
        bool found = false;
        for (size_t j = 0; j < count; j++) {
            found |= got[j] == r->generation;
        }
        ck_assert_msg(found, "generation %lld of board %u is not listed", (long long)r->generation, board);
        seen++;
    }
    ck_assert_msg(seen == count, "board %u lists %zu generations, not %zu", board, count, seen);
    for (size_t j = 1; j < count; j++) {
        ck_assert_int_lt(got[j - 1], got[j]);
    }
    free(row);
}

/* One stored head against the model's at the number it was made at. */
static void same_head(fixture *f, uint32_t item, const void *data, size_t size) {
    reco_head head;
    model_head want;
    int64_t generations[2048];
    size_t generation_count, open, closed;
    reco_entry *entries = room_for(f);
    ck_assert_int_eq(reco_head_read(&head, data, size), RECO_OK);
    ck_assert_int_le(head.closed_at, model_newest_closed(&f->model, RECO_BOARD_COVIEW, model_clock(&f->model)));
    model_head_init(&want, &f->model);
    model_head_at(&f->model, &want, item, head.closed_at);
    ck_assert_msg(want.there, "item %u has a head at %lld and no row", item, (long long)head.closed_at);
    ck_assert_int_eq(reco_board_unpack(&open, entries, f->model.item_room, head.open, head.open_size), RECO_OK);
    same_entries("open head", item, head.closed_at, entries, open, want.open, want.open_count);
    ck_assert_int_eq(reco_board_unpack(&closed, entries, f->model.item_room, head.closed, head.closed_size), RECO_OK);
    same_entries("closed head", item, head.closed_at, entries, closed, want.closed, want.closed_count);
    ck_assert_uint_eq(head.open_count, open);
    ck_assert_uint_eq(head.closed_count, closed);
    ck_assert_msg(head.open_sum == want.open_sum && head.closed_sum == want.closed_sum,
                  "head of item %u at %lld: sums %lld and %lld, not %lld and %lld", item, (long long)head.closed_at, (long long)head.open_sum,
                  (long long)head.closed_sum, (long long)want.open_sum, (long long)want.closed_sum);
    ck_assert_int_eq(reco_generations_unpack(&generation_count, generations, 2048, head.generations, head.generations_size), RECO_OK);
    ck_assert_uint_eq(generation_count, head.generation_count);
    ck_assert_msg(generation_count == want.generation_count && memcmp(generations, want.generations, generation_count * sizeof generations[0]) == 0,
                  "head of item %u at %lld lists %zu generations, not the %zu that have rows", item, (long long)head.closed_at, generation_count,
                  want.generation_count);
    model_head_free(&want);
    free(entries);
}

struct one_head {
    fixture *f;
    uint32_t item;
    int seen;
};

static void take_head(void *context, size_t index, const void *data, size_t size) {
    struct one_head *one = context;
    ck_assert_uint_eq(index, 0);
    same_head(one->f, one->item, data, size);
    one->seen++;
}

void check_head(fixture *f, uint32_t item) {
    struct one_head one = {f, item, 0};
    test_ok(f->backend->heads(f->store, &item, 1, take_head, &one, NULL, &f->err), &f->err);
    if (!one.seen) {
        model_head want;
        model_head_init(&want, &f->model);
        model_head_at(&f->model, &want, item, model_newest_closed(&f->model, RECO_BOARD_COVIEW, model_clock(&f->model)));
        ck_assert_msg(!want.there, "item %u has rows and no head", item);
        model_head_free(&want);
    }
}

struct one_cell {
    const model_cell *want;
    int seen;
};

static void take_cell(void *context, size_t index, const void *data, size_t size) {
    struct one_cell *one = context;
    ck_assert_uint_eq(index, 0);
    ck_assert_msg(size == one->want->size && memcmp(data, one->want->data, size) == 0, "a cell is not what was put");
    one->seen++;
}

static bool cell_lives(const fixture *f, uint32_t user) {
    const model_cell *cell = &f->model.cells[user];
    return cell->there && cell->expires_at >= f->model.positions[user % f->model.partitions].clock;
}

void check_cell(fixture *f, uint32_t user) {
    struct one_cell one = {&f->model.cells[user], 0};
    char name[16];
    fixture_user(name, user);
    reco_str id = {name, strlen(name)};
    reco_position position;
    uint64_t epoch;
    uint32_t partition = user % f->model.partitions;
    test_ok(f->backend->load(&position, &epoch, f->store, partition, &id, 1, take_cell, &one, NULL, &f->err), &f->err);
    ck_assert_uint_eq(epoch, f->epoch);
    ck_assert_int_eq(position.offset, f->model.positions[partition].offset);
    ck_assert_int_eq(position.clock, f->model.positions[partition].clock);
    ck_assert_msg(one.seen == cell_lives(f, user), "the cell of user %u is %s", user, one.seen ? "still there" : "gone");
}

/* --- scan ----------------------------------------------------------------------------------------------------------------------------- */

struct scan {
    fixture *f;
    int settled, cells_seen;
    int64_t *closed_at; /* by item; -2: no head */
    struct pieces row;
    bool has_row;
    uint32_t board, item;
    int64_t generation;
    size_t rows_seen;
    bool *cell_seen;
};

static int scan_head(void *context, uint32_t item, const void *data, size_t size) {
    struct scan *scan = context;
    reco_head head;
    same_head(scan->f, item, data, size);
    ck_assert_int_eq(reco_head_read(&head, data, size), RECO_OK);
    scan->closed_at[item] = head.closed_at;
    if (scan->settled) {
        ck_assert_int_eq(head.closed_at, model_newest_closed(&scan->f->model, RECO_BOARD_COVIEW, model_clock(&scan->f->model)));
    }
    return 0;
}

static void finish_row(struct scan *scan) {
    const model *m = &scan->f->model;
    if (!scan->has_row) {
        return;
    }
    int64_t closed = model_newest_closed(m, scan->board, model_clock(m));
    bool popularity = scan->board != RECO_BOARD_COVIEW;
    if (!popularity) {
        ck_assert_msg(scan->closed_at[scan->item] != -2, "item %u has a row and no head", scan->item);
        closed = scan->closed_at[scan->item];
    }
    reco_entry *want = room_for(scan->f);
    size_t count = model_row_at(m, want, scan->board, scan->generation, scan->item, popularity && !scan->settled ? -1 : closed);
    bool expired_long_ago = popularity && !scan->settled && scan->generation <= closed - (int64_t)m->rules->kept[scan->board];
    if (!expired_long_ago) {
        same_entries("stored row", scan->item, scan->generation, scan->row.entries, scan->row.count, want, count);
        scan->rows_seen++;
    }
    free(want);
    scan->row.count = scan->row.next = 0;
}

static int scan_row(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    struct scan *scan = context;
    if (!scan->has_row || board != scan->board || generation != scan->generation || item != scan->item) {
        bool after = !scan->has_row || board > scan->board || (board == scan->board && generation > scan->generation) ||
                     (board == scan->board && generation == scan->generation && item > scan->item);
        ck_assert_msg(after, "rows are not in order");
        finish_row(scan);
        scan->has_row = true;
        scan->board = board;
        scan->generation = generation;
        scan->item = item;
    }
    take_piece(&scan->row, scan->row.next, packed, size);
    return 0;
}

static int scan_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    struct scan *scan = context;
    char name[16] = {0};
    ck_assert_uint_lt(user.size, sizeof name);
    memcpy(name, user.data, user.size);
    uint32_t number = (uint32_t)atoi(name + 1);
    const model_cell *cell = &scan->f->model.cells[number];
    ck_assert_uint_lt(number, MODEL_USERS);
    ck_assert_uint_eq(partition, number % scan->f->model.partitions);
    ck_assert(cell->there && cell->expires_at == expires_at && cell->size == size && memcmp(cell->data, data, size) == 0);
    scan->cell_seen[number] = true;
    return 0;
}

static int scan_debt(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    (void)context, (void)board, (void)generation, (void)item, (void)packed, (void)size;
    ck_abort_msg("a debt nobody made");
    return 1;
}

static int scan_state(void *context, const reco_features_info *info, const reco_position *positions) {
    struct scan *scan = context;
    ck_assert_uint_eq(info->partitions, scan->f->model.partitions);
    ck_assert_uint_eq(info->item_count, scan->f->model.item_count);
    ck_assert_uint_eq(info->epoch, scan->f->epoch);
    ck_assert_int_eq(memcmp(positions, scan->f->model.positions, info->partitions * sizeof *positions), 0);
    return 0;
}

/* Rows that must have been seen: those that stand at the number of their item's head. */
static void count_rows(struct scan *scan) {
    const model *m = &scan->f->model;
    reco_entry *row = room_for(scan->f);
    size_t expected = 0;
    for (size_t i = 0; i < m->row_count; i++) {
        const model_row *r = &m->rows[i];
        int64_t closed = model_newest_closed(m, r->board, model_clock(m));
        if (r->board == RECO_BOARD_COVIEW && scan->closed_at[r->item] != -2) {
            closed = scan->closed_at[r->item];
        }
        expected += model_row_at(m, row, r->board, r->generation, r->item, closed) > 0;
    }
    free(row);
    ck_assert_msg(expected == scan->rows_seen, "%zu rows are stored, not %zu", scan->rows_seen, expected);
}

void check_all(fixture *f, int settled) {
    struct scan scan = {.f = f, .settled = settled, .row = {room_for(f), 0, f->model.item_room, 0}};
    scan.closed_at = calloc(f->model.item_room, sizeof *scan.closed_at);
    bool cell_seen[MODEL_USERS] = {false};
    scan.cell_seen = cell_seen;
    ck_assert_ptr_nonnull(scan.closed_at);
    for (uint32_t i = 0; i < f->model.item_room; i++) {
        scan.closed_at[i] = -2;
    }
    reco_features_visitor heads = {.context = &scan, .state = scan_state, .head = scan_head};
    test_ok(f->backend->scan(f->store, &heads, NULL, &f->err), &f->err);
    reco_features_visitor rest = {.context = &scan, .row = scan_row, .debt = scan_debt, .cell = scan_cell};
    test_ok(f->backend->scan(f->store, &rest, NULL, &f->err), &f->err);
    finish_row(&scan);
    count_rows(&scan);
    for (uint32_t user = 0; user < MODEL_USERS; user++) {
        ck_assert_msg(cell_seen[user] || !cell_lives(f, user), "the cell of user %u is missing", user);
    }
    free(scan.row.entries);
    free(scan.closed_at);
}

/* --- suite ---------------------------------------------------------------------------------------------------------------------------- */

Suite *features_suite(const reco_features_backend *backend, const char *url, unsigned flags) {
    suite_backend = backend;
    suite_url = url;
    features_suite_flags = flags;
    Suite *suite = suite_create("features");
    TCase *random = tcase_create("random");
    features_suite_rules(suite);
    features_suite_random(random);
    suite_add_tcase(suite, random);
    return suite;
}

int features_suite_run(const reco_features_backend *backend, const char *url, unsigned flags) {
    if (strstr(url, "%s")) {
        test_dir_make(suite_folder);
    }
    int result = test_run(features_suite(backend, url, flags));
    if (suite_folder[0]) {
        test_dir_remove(suite_folder);
        suite_folder[0] = 0;
    }
    return result;
}
