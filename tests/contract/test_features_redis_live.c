/* Features on redis: while others are at work on the same namespace: heads from memory, answers in one trip. */
#include <pthread.h>
#include <reco/admin.h>
#include <reco/plugin/module.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "contract/features_suite.h"
#include "features/heads.h"
#include "support/engine.h"
#include "support/redis_server.h"
#include "support/support.h"

extern const reco_module reco_module_v1;
static const reco_features_backend *backend;
static test_redis server;
static char server_url[128];

/* --- what is counted ------------------------------------------------------------------------------------------------------------------ */

struct wanted {
    const char *name;
    uint64_t value;
};

static void pick(void *context, const char *name, uint64_t value) {
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

static uint64_t counted(reco_features_store *store, const char *name) {
    struct wanted wanted = {name, 0};
    reco_error err = RECO_ERROR_INIT;
    test_ok(backend->stats(store, pick, &wanted, NULL, &err), &err);
    return wanted.value;
}

/* Stats make trips of their own: as many each time. */
static uint64_t trips_of_stats(reco_features_store *store) {
    uint64_t before = counted(store, "trips");
    return counted(store, "trips") - before;
}

/* --- heads from memory ---------------------------------------------------------------------------------------------------------------- */

/* A reader of the fixture's namespace with a cache of its own. */
static reco_features_store *open_reader(fixture *f, const char *options) {
    reco_features_store *store;
    reco_features_options own = f->options;
    char url[256];
    snprintf(url, sizeof url, "%s?%s", server_url, options);
    own.url = url;
    own.background = 1;
    test_ok(backend->open(&store, &own, NULL, &f->err), &f->err);
    return store;
}

struct head {
    size_t size;
    uint8_t bytes[512];
};

static void take_head(void *context, size_t index, const void *data, size_t size) {
    struct head *heads = context;
    ck_assert_uint_le(size, sizeof heads[index].bytes);
    heads[index].size = size;
    memcpy(heads[index].bytes, data, size);
}

static struct head head_of(reco_features_store *store, uint32_t item) {
    struct head head = {0, {0}};
    reco_error err = RECO_ERROR_INIT;
    test_ok(backend->heads(store, &item, 1, take_head, &head, NULL, &err), &err);
    return head;
}

static bool same_head(const struct head *a, const struct head *b) { return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0; }

struct compared {
    reco_features_store *reader, *writer;
    uint32_t item;
};

static bool heads_agree(void *context) {
    const struct compared *compared = context;
    struct head seen = head_of(compared->reader, compared->item), true_one = head_of(compared->writer, compared->item);
    return same_head(&seen, &true_one);
}

static void add_pairs(fixture *f, uint32_t item, int64_t delta) {
    static batch_adds b;
    b.count = b.cell_count = 0;
    for (uint32_t member = 0; member < 4; member++) {
        batch_add(&b, RECO_BOARD_COVIEW, 0, item, member + 8, delta + member);
    }
    test_ok(batch_apply(f, &b, 0, -1, f->model.positions[0].offset + 1, 1), &f->err);
}

START_TEST(heads_come_from_memory)
{
    static fixture f;
    fixture_prepare(&f, 2, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 5);
    reco_features_store *reader = open_reader(&f, "stale_ms=600000");
    uint32_t items[] = {3, 4, 5};
    struct head heads[3] = {{0, {0}}};
    test_ok(backend->heads(reader, items, 3, take_head, heads, NULL, &f.err), &f.err);
    struct head first = head_of(f.store, 3);
    ck_assert(same_head(&heads[0], &first) && first.size > 0 && heads[1].size == 0);
    uint64_t own = trips_of_stats(reader), before = counted(reader, "trips");
    for (int i = 0; i < 100; i++) { /* what is there, and what is known not to be */
        test_ok(backend->heads(reader, items, 3, take_head, heads, NULL, &f.err), &f.err);
    }
    ck_assert_uint_eq(counted(reader, "trips"), before + own);
    ck_assert_uint_eq(counted(reader, "cache_entries"), 3);
    ck_assert_uint_ge(counted(reader, "cache_bytes"), first.size);
    ck_assert_uint_ge(counted(reader, "cache_hits"), 300);
    ck_assert_uint_eq(counted(reader, "cache_misses"), 3);
    add_pairs(&f, 3, 5); /* it may be that old */
    struct head old = head_of(reader, 3);
    ck_assert(same_head(&old, &first));
    test_ok(backend->settle(reader, NULL, &f.err), &f.err); /* after which heads are current */
    struct compared compared = {reader, f.store, 3};
    ck_assert(heads_agree(&compared));
    old = head_of(reader, 3);
    ck_assert(!same_head(&old, &first));
    /* The cell of a user is never that old. */
    static batch_adds b;
    b.count = b.cell_count = 0;
    batch_cell(&b, 0, "x", 1, 1000);
    test_ok(batch_apply(&f, &b, 0, -1, f.model.positions[0].offset + 1, 1), &f.err);
    reco_position position;
    uint64_t epoch;
    char user[16];
    fixture_user(user, 0);
    reco_str id = {user, strlen(user)};
    before = counted(reader, "trips");
    struct head cell = {0, {0}};
    test_ok(backend->load(&position, &epoch, reader, 0, &id, 1, take_head, &cell, NULL, &f.err), &f.err);
    ck_assert(cell.size == 1 && cell.bytes[0] == 'x' && position.offset == f.model.positions[0].offset);
    ck_assert_uint_eq(counted(reader, "trips"), before + own + 1);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

/* Used heads are kept fresh without anybody waiting; those of others follow what is learned, published or not. */
START_TEST(heads_are_refreshed)
{
    static fixture f;
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 1);
    reco_features_store *reader = open_reader(&f, "stale_ms=100");
    struct compared compared = {reader, f.store, 3};
    for (int round = 0; round < 12; round++) {
        add_pairs(&f, 3, round + 1);
        if (round % 3 == 2) {
            fixture_settle(&f);
        }
        ck_assert(test_wait(heads_agree, &compared, 20000));
        if (round == 4) { /* a generation closes */
            fixture_clock(&f, 1000);
            f.model.positions[0].clock = 1000;
            break;
        }
    }
    fixture_settle(&f);
    ck_assert(test_wait(heads_agree, &compared, 20000));
    ck_assert_uint_gt(counted(reader, "cache_refreshed"), 0);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

START_TEST(memory_for_heads_is_bounded)
{
    static fixture f;
    enum { ITEMS = 30000 };
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    reco_features_store *reader = open_reader(&f, "stale_ms=600000&cache_mb=1");
    for (uint32_t from = 0; from < ITEMS; from += 100) {
        uint32_t items[100];
        for (uint32_t i = 0; i < 100; i++) {
            items[i] = from + i;
        }
        struct head none;
        test_ok(backend->heads(reader, items, 100, take_head, &none, NULL, &f.err), &f.err);
    }
    ck_assert_uint_le(counted(reader, "cache_bytes"), 1 << 20);
    ck_assert_uint_gt(counted(reader, "cache_entries"), 1000);
    backend->close(reader);
    fixture_done(&f);
}
END_TEST

/* Everything in memory is thrown away when the namespace is replaced or lost. */
START_TEST(memory_is_emptied)
{
    static fixture f;
    test_redis own;
    char url[64];
    test_redis_start(&own, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?stale_ms=600000", own.port);
    fixture_prepare(&f, 1, 32);
    f.options.url = url;
    f.options.background = 1;
    fixture_open(&f);
    fixture_items(&f, 32);
    add_pairs(&f, 3, 5);
    ck_assert_uint_gt(head_of(f.store, 3).size, 0);
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = RECO_RESTORE_FIRST};
    test_ok(backend->restore(f.store, &piece, NULL, &f.err), &f.err);
    piece.flags = RECO_RESTORE_LAST;
    reco_position nowhere = {0, 0};
    piece.positions = &nowhere;
    test_ok(backend->restore(f.store, &piece, NULL, &f.err), &f.err);
    for (int i = 0; i < 2; i++) { /* the first one finds out that the epoch is another */
        ck_assert_uint_eq(head_of(f.store, 3).size, 0);
    }
    test_redis_stop(&own);
    ck_assert_uint_eq(head_of(f.store, 3).size, 0); /* from memory */
    reco_position position;
    uint64_t epoch;
    test_redis_restart(&own, NULL);
    reco_status status = RECO_UNAVAILABLE;
    for (int64_t until = reco__monotonic_ns() + INT64_C(20000000000); status == RECO_UNAVAILABLE && reco__monotonic_ns() < until;) {
        status = backend->positions(&position, &epoch, f.store, NULL, NULL);
    }
    test_status(RECO_OK, status);
    ck_assert_uint_eq(counted(f.store, "cache_entries"), 0);
    backend->close(f.store);
    f.store = NULL;
    fixture_done(&f);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

/* --- a scan beside writers ------------------------------------------------------------------------------------------------------------ */

enum { WRITERS = 3, BATCHES = 60000, ITEMS = 24, ADDS = 6, CELLS = 2 };

/* One batch as it was learned: a group for each board. */
typedef struct learned {
    int64_t clock, generation[RECO_BOARD_COUNT];
    reco_add adds[RECO_BOARD_COUNT][ADDS];
    uint8_t add_count[RECO_BOARD_COUNT], cell_count;
    struct {
        uint32_t user;
        uint8_t size, data[8];
        int64_t expires_at;
    } cells[CELLS];
} learned;

struct writer {
    fixture *f;
    uint32_t partition;
    pthread_t thread;
    learned *log; /* batch i takes the partition from i to i + 1 */
    uint64_t retried;
    reco_status status;
    reco_error err;
};

static struct writer writers[WRITERS];
static _Atomic bool stop_writing;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static uint8_t random_adds(reco_add *adds, reco__rand *chance, uint32_t board) {
    uint8_t count = 0;
    uint32_t item = board == RECO_BOARD_COVIEW ? (uint32_t)reco__rand_below(chance, ITEMS) : 0, member = (uint32_t)reco__rand_below(chance, 4);
    while (count < ADDS && member < ITEMS) {
        int64_t delta = reco__rand_below(chance, 4) ? 1 + (int64_t)reco__rand_below(chance, 3) : -1 - (int64_t)reco__rand_below(chance, 2);
        adds[count++] = (reco_add){item, member, delta};
        member += 1 + (uint32_t)reco__rand_below(chance, 6);
        if (board == RECO_BOARD_COVIEW && item + 1 < ITEMS && reco__rand_below(chance, 3) == 0) {
            item++;
            member = (uint32_t)reco__rand_below(chance, 4);
        }
    }
    return count;
}

static void random_batch(learned *out, const struct writer *writer, reco__rand *chance, int64_t clock) {
    const reco_board_rules *rules = &writer->f->rules;
    out->clock = clock;
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        int64_t oldest = reco_board_newest_closed(rules, board, clock) + 1, newest = (clock + rules->skew) / rules->length[board];
        out->generation[board] = oldest + (int64_t)reco__rand_below(chance, (uint64_t)(newest - oldest) + 1);
        out->add_count[board] = random_adds(out->adds[board], chance, board);
    }
    out->cell_count = CELLS;
    uint32_t most = MODEL_USERS / WRITERS, first = (uint32_t)reco__rand_below(chance, most - 1);
    for (uint32_t i = 0; i < CELLS; i++) {
        out->cells[i].user = (first + i) * WRITERS + writer->partition;
        out->cells[i].size = reco__rand_below(chance, 4) ? 8 : 0;
        uint64_t bytes = reco__rand_next(chance);
        memcpy(out->cells[i].data, &bytes, 8);
        out->cells[i].expires_at = clock + (int64_t)reco__rand_below(chance, 40);
    }
}

/* In order of user, as bytes. */
static size_t cell_puts(reco_cell_put *puts, char names[CELLS][16], const learned *batch) {
    for (size_t i = 0; i < batch->cell_count; i++) {
        fixture_user(names[i], batch->cells[i].user);
        puts[i] = (reco_cell_put){{names[i], strlen(names[i])}, batch->cells[i].data, batch->cells[i].size, batch->cells[i].expires_at};
    }
    if (batch->cell_count == 2 && strcmp(names[0], names[1]) > 0) {
        reco_cell_put first = puts[0];
        puts[0] = puts[1];
        puts[1] = first;
    }
    return batch->cell_count;
}

static void *write_on(void *context) {
    struct writer *writer = context;
    reco__rand chance;
    int64_t clock = 1;
    reco__rand_seed(&chance, 77 + writer->partition);
    for (int64_t at = 0; at < BATCHES && !atomic_load(&stop_writing); at++) {
        reco_add_group groups[RECO_BOARD_COUNT];
        reco_cell_put puts[CELLS];
        char names[CELLS][16];
        size_t count = 0;
        clock += reco__rand_below(&chance, 12) == 0;
        pthread_mutex_lock(&log_lock);
        learned *batch = &writer->log[at];
        random_batch(batch, writer, &chance, clock);
        pthread_mutex_unlock(&log_lock);
        for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
            if (batch->add_count[board]) {
                groups[count++] = (reco_add_group){board, 0, batch->generation[board], batch->adds[board], batch->add_count[board]};
            }
        }
        reco_batch put = {.struct_size = sizeof put,
                          .partition = writer->partition,
                          .epoch = writer->f->epoch,
                          .from = at,
                          .to = at + 1,
                          .clock = clock,
                          .cells = puts,
                          .cell_count = cell_puts(puts, names, batch),
                          .groups = groups,
                          .group_count = count};
        writer->status = backend->apply(writer->f->store, &put, NULL, &writer->err);
        if (writer->status != RECO_OK) {
            return NULL;
        }
    }
    return NULL;
}

static void *close_on(void *context) {
    fixture *f = context;
    while (!atomic_load(&stop_writing)) {
        int more;
        reco_error err = RECO_ERROR_INIT;
        test_ok(backend->close_step(&more, f->store, 1000000, NULL, &err), &err);
    }
    return NULL;
}

/* What a scan gave. */
typedef struct seen_row {
    uint32_t board, item, count;
    int64_t generation;
    reco_entry entries[ITEMS];
} seen_row;

struct seen {
    reco_features_store *store;
    reco_position positions[WRITERS];
    seen_row *rows;
    size_t row_count, row_room;
    reco__buf heads; /* u32 item, u32 size, bytes */
    struct {
        bool there;
        int64_t expires_at;
        size_t size;
        uint8_t data[8];
    } cells[MODEL_USERS];
};

static int see_state(void *context, const reco_features_info *info, const reco_position *positions) {
    struct seen *seen = context;
    ck_assert_uint_eq(info->partitions, WRITERS);
    memcpy(seen->positions, positions, sizeof seen->positions);
    return 0;
}

static int see_row(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    struct seen *seen = context;
    if (seen->row_count == seen->row_room) {
        seen->row_room = seen->row_room ? seen->row_room * 2 : 256;
        seen->rows = realloc(seen->rows, seen->row_room * sizeof *seen->rows);
        ck_assert_ptr_nonnull(seen->rows);
    }
    seen_row *row = &seen->rows[seen->row_count++];
    *row = (seen_row){.board = board, .item = item, .generation = generation};
    size_t count;
    ck_assert_int_eq(reco_board_unpack(&count, row->entries, ITEMS, packed, size), RECO_OK);
    row->count = (uint32_t)count;
    if (seen->row_count % 16 == 0) { /* time passes: others are at work */
        struct timespec pause = {0, 200000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int see_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    struct seen *seen = context;
    char name[16] = {0};
    memcpy(name, user.data, user.size < 15 ? user.size : 15);
    unsigned number = (unsigned)atoi(name + 1);
    ck_assert(number < MODEL_USERS && number % WRITERS == partition && size == 8 && !seen->cells[number].there);
    seen->cells[number].there = true;
    seen->cells[number].expires_at = expires_at;
    memcpy(seen->cells[number].data, data, size);
    return 0;
}

static int see_head(void *context, uint32_t item, const void *data, size_t size) {
    struct seen *seen = context;
    reco__buf_u32(&seen->heads, item);
    reco__buf_u32(&seen->heads, (uint32_t)size);
    reco__buf_add(&seen->heads, data, size);
    return 0;
}

/* The clean replay: the same batches up to the positions, learned by the model. */
static void replay(model *m, fixture *f, const reco_position *positions) {
    model_init(m, &f->rules, WRITERS, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        model_name(m, f->model.names[i]);
    }
    pthread_mutex_lock(&log_lock);
    for (uint32_t p = 0; p < WRITERS; p++) {
        for (int64_t at = 0; at < positions[p].offset; at++) {
            const learned *batch = &writers[p].log[at];
            for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
                for (size_t i = 0; i < batch->add_count[board]; i++) {
                    const reco_add *add = &batch->adds[board][i];
                    model_add(m, board, batch->generation[board], add->item, add->member, add->delta);
                }
            }
            for (size_t i = 0; i < batch->cell_count; i++) {
                model_cell *cell = &m->cells[batch->cells[i].user];
                cell->there = batch->cells[i].size > 0;
                cell->expires_at = batch->cells[i].expires_at;
                memcpy(cell->data, batch->cells[i].data, 8);
            }
            m->positions[p] = (reco_position){at + 1, batch->clock};
        }
    }
    pthread_mutex_unlock(&log_lock);
}

static uint64_t name_hash(void *context, uint32_t member) {
    reco_str name;
    uint64_t hash = 0;
    backend->item_name(&name, &hash, context, member);
    return hash;
}

static int name_compare(void *context, uint32_t a, uint32_t b) {
    reco_str left = {NULL, 0}, right = {NULL, 0};
    uint64_t hash;
    backend->item_name(&left, &hash, context, a);
    backend->item_name(&right, &hash, context, b);
    return reco__str_compare(left, right);
}

/* Rows with what is due applied, against the replay; every row the replay has must have been seen. */
static void compare_rows(const struct seen *seen, const model *m) {
    const reco_board_names names = {seen->store, name_hash, name_compare};
    size_t expected = 0, found = 0;
    reco_entry want[ITEMS], got[ITEMS];
    for (size_t i = 0; i < m->row_count; i++) {
        const model_row *row = &m->rows[i];
        expected += model_row_at(m, want, row->board, row->generation, row->item, model_newest_closed(m, row->board, model_clock(m))) > 0;
    }
    for (size_t i = 0; i < seen->row_count; i++) {
        const seen_row *row = &seen->rows[i];
        int64_t closed = model_newest_closed(m, row->board, model_clock(m));
        size_t count = row->count;
        memcpy(got, row->entries, sizeof got);
        if (reco_board_expired(m->rules, row->board, row->generation, closed)) {
            continue;
        }
        if (row->board == RECO_BOARD_COVIEW && row->generation <= closed) {
            count = reco_board_cut(got, count, m->rules->cut, 1, &names);
        }
        size_t wanted = model_row_at(m, want, row->board, row->generation, row->item, closed);
        ck_assert_msg(count == wanted, "board %u, generation %lld, item %u: %zu entries, not %zu", row->board, (long long)row->generation, row->item,
                      count, wanted);
        for (size_t e = 0; e < count; e++) {
            ck_assert_msg(got[e].member == want[e].member && got[e].sum == want[e].sum,
                          "board %u, generation %lld, item %u, member %u: %lld, not %lld", row->board, (long long)row->generation, row->item,
                          got[e].member, (long long)got[e].sum, (long long)want[e].sum);
        }
        found += count > 0;
    }
    ck_assert_uint_eq(found, expected);
}

static void compare_cells(const struct seen *seen, const model *m) {
    for (uint32_t user = 0; user < MODEL_USERS; user++) {
        const model_cell *want = &m->cells[user];
        int64_t clock = m->positions[user % WRITERS].clock;
        bool wanted = want->there && want->expires_at >= clock, got = seen->cells[user].there && seen->cells[user].expires_at >= clock;
        ck_assert_msg(wanted == got, "the cell of user %u is %s", user, got ? "there" : "missing");
        ck_assert_msg(!got || (want->expires_at == seen->cells[user].expires_at && memcmp(want->data, seen->cells[user].data, 8) == 0),
                      "the cell of user %u is of another moment", user);
    }
}

/* Each head against the rows of the same scan. */
static size_t compare_heads(const struct seen *seen, const model *m) {
    const reco_board_names names = {seen->store, name_hash, name_compare};
    reco__reader reader = reco__reader_of(seen->heads.data, seen->heads.size);
    size_t heads = 0;
    while (reader.at < reader.end) {
        reco__features_piece pieces[64];
        size_t count = 0;
        reco__buf want = {0};
        uint32_t item = reco__read_u32(&reader), size = reco__read_u32(&reader);
        const uint8_t *bytes = reco__read_bytes(&reader, size);
        reco_head head;
        reco_error err = RECO_ERROR_INIT;
        ck_assert_int_eq(reco_head_read(&head, bytes, size), RECO_OK);
        for (size_t i = 0; i < seen->row_count; i++) {
            const seen_row *row = &seen->rows[i];
            if (row->board == RECO_BOARD_COVIEW && row->item == item) {
                pieces[count++] = (reco__features_piece){row->generation, row->entries, row->count};
            }
        }
        test_ok(reco__features_recompute_head(&want, pieces, count, head.closed_at, m->rules, &names, &err), &err);
        ck_assert_msg(want.size == size && memcmp(want.data, bytes, size) == 0, "the head of item %u is of another moment", item);
        reco__buf_dispose(&want);
        heads++;
    }
    return heads;
}

static void scan_and_compare(reco_features_store *store, fixture *f, struct seen *seen) {
    const reco_features_visitor visitor = {.context = seen, .state = see_state, .row = see_row, .cell = see_cell, .head = see_head};
    reco_error err = RECO_ERROR_INIT;
    model m;
    seen->store = store;
    seen->row_count = 0;
    memset(seen->cells, 0, sizeof seen->cells);
    reco__buf_reset(&seen->heads);
    test_ok(backend->scan(store, &visitor, NULL, &err), &err);
    replay(&m, f, seen->positions);
    compare_rows(seen, &m);
    compare_cells(seen, &m);
    ck_assert_uint_gt(compare_heads(seen, &m), 0);
    model_free(&m);
}

struct progress {
    reco_features_store *store;
    int64_t wanted[WRITERS];
};

/* All writers have come further. */
static bool have_moved(void *context) {
    const struct progress *progress = context;
    reco_position now[WRITERS];
    uint64_t epoch;
    reco_error err = RECO_ERROR_INIT;
    bool moved = true;
    test_ok(backend->positions(now, &epoch, progress->store, NULL, &err), &err);
    for (uint32_t p = 0; p < WRITERS; p++) {
        moved = moved && now[p].offset >= progress->wanted[p];
    }
    return moved;
}

START_TEST(a_scan_is_one_moment)
{
    static fixture f;
    static struct seen seen;
    pthread_t closer;
    int64_t first[WRITERS];
    fixture_prepare(&f, WRITERS, ITEMS);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, ITEMS);
    reco_features_store *other = open_reader(&f, "stale_ms=0");
    atomic_store(&stop_writing, false);
    for (uint32_t p = 0; p < WRITERS; p++) {
        writers[p] = (struct writer){.f = &f, .partition = p, .err = RECO_ERROR_INIT};
        writers[p].log = calloc(BATCHES, sizeof *writers[p].log);
        ck_assert_ptr_nonnull(writers[p].log);
        ck_assert_int_eq(pthread_create(&writers[p].thread, NULL, write_on, &writers[p]), 0);
    }
    ck_assert_int_eq(pthread_create(&closer, NULL, close_on, &f), 0);
    int scans = test_full() ? 200 : 25;
    uint64_t moved = 0;
    struct progress progress = {.store = other};
    for (int i = 0; i < scans; i++) {
        uint64_t epoch;
        reco_position now[WRITERS];
        for (uint32_t p = 0; p < WRITERS; p++) {
            progress.wanted[p] = i == 0 ? 50 : seen.positions[p].offset + 5;
        }
        ck_assert(test_wait(have_moved, &progress, 60000));
        scan_and_compare(other, &f, &seen);
        test_ok(backend->positions(now, &epoch, other, NULL, &f.err), &f.err);
        for (uint32_t p = 0; p < WRITERS; p++) {
            first[p] = i == 0 ? seen.positions[p].offset : first[p];
            moved += (uint64_t)(now[p].offset - seen.positions[p].offset); /* while it was scanned */
        }
    }
    atomic_store(&stop_writing, true);
    for (uint32_t p = 0; p < WRITERS; p++) {
        pthread_join(writers[p].thread, NULL);
        test_ok(writers[p].status, &writers[p].err);
        ck_assert_int_gt(seen.positions[p].offset, first[p]);
    }
    ck_assert_uint_gt(moved, 0);
    pthread_join(closer, NULL);
    test_ok(backend->settle(other, NULL, &f.err), &f.err);
    scan_and_compare(other, &f, &seen);
    for (uint32_t p = 0; p < WRITERS; p++) {
        free(writers[p].log);
    }
    free(seen.rows);
    reco__buf_dispose(&seen.heads);
    backend->close(other);
    fixture_done(&f);
}
END_TEST

/* --- scans that end badly, and what waits for them -------------------------------------------------------------------------------------- */

static int stop_here(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    (void)partition, (void)user, (void)data, (void)size, (void)expires_at;
    ++*(int *)context;
    return 1;
}

struct scanning {
    fixture *f;
    reco_features_store *store;
    pthread_t thread;
    _Atomic bool begun, go_on;
    reco_status status;
};

static int wait_inside(void *context, const reco_features_info *info, const reco_position *positions) {
    struct scanning *scanning = context;
    (void)info, (void)positions;
    atomic_store(&scanning->begun, true);
    while (!atomic_load(&scanning->go_on)) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void *scan_slowly(void *context) {
    struct scanning *scanning = context;
    const reco_features_visitor visitor = {.context = scanning, .state = wait_inside};
    scanning->status = backend->scan(scanning->store, &visitor, NULL, NULL);
    return NULL;
}

static bool has_begun(void *context) { return atomic_load(&((struct scanning *)context)->begun); }

static reco_status scan_briefly(reco_features_store *store, int64_t patience_ns) {
    int cells = 0;
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + patience_ns};
    const reco_features_visitor visitor = {.context = &cells, .cell = stop_here};
    reco_status status = backend->scan(store, &visitor, &call, NULL);
    ck_assert(status != RECO_OK || cells == 1);
    return status;
}

START_TEST(scans_wait_for_each_other)
{
    static fixture f;
    static batch_adds b;
    char command[256], reply[512];
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    b.count = b.cell_count = 0;
    batch_add(&b, RECO_BOARD_COVIEW, 0, 1, 2, 3);
    batch_cell(&b, 0, "x", 1, 100000);
    test_ok(batch_apply(&f, &b, 0, -1, 1, 1), &f.err);
    struct scanning scanning = {.f = &f, .store = open_reader(&f, "stale_ms=0")};
    ck_assert_int_eq(pthread_create(&scanning.thread, NULL, scan_slowly, &scanning), 0);
    ck_assert(test_wait(has_begun, &scanning, 20000));
    test_status(RECO_TIMEOUT, scan_briefly(f.store, 50000000)); /* one at a time */
    fixture_clock(&f, 1000);                                    /* closing rests; learning does not */
    int more = 1;
    test_ok(backend->close_step(&more, f.store, 1000000, NULL, &f.err), &f.err);
    ck_assert_int_eq(more, 0);
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + 50000000};
    test_status(RECO_TIMEOUT, backend->settle(f.store, &call, NULL));
    /* Its process is taken for dead: closing goes on, and the scan finds out. */
    snprintf(command, sizeof command, "DEL reco:{%s}:lease", f.space);
    test_redis_say(reply, &server, command);
    ck_assert_str_eq(reply, ":1\r\n");
    fixture_settle(&f);
    atomic_store(&scanning.go_on, true);
    pthread_join(scanning.thread, NULL);
    test_status(RECO_BUSY, scanning.status);
    check_all(&f, 1);
    test_ok(scan_briefly(f.store, INT64_C(20000000000)), &f.err); /* one that stops leaves nothing behind */
    test_ok(scan_briefly(f.store, INT64_C(20000000000)), &f.err);
    backend->close(scanning.store);
    fixture_done(&f);
}
END_TEST

/* --- two processors ---------------------------------------------------------------------------------------------------------------------- */

struct processor {
    fixture *f;
    reco_features_store *store;
    pthread_t thread;
    pthread_barrier_t *start;
    uint32_t partition;
    uint64_t applied, stale;
    reco_status status;
};

enum { RACED = 1000 };

/* Learns partition 0 up to RACED, as a processor does that others compete with. */
static void *race(void *context) {
    struct processor *processor = context;
    pthread_barrier_wait(processor->start);
    for (;;) {
        reco_position position;
        uint64_t epoch;
        reco_status status = backend->load(&position, &epoch, processor->store, 0, NULL, 0, NULL, NULL, NULL, NULL);
        if (status != RECO_OK || position.offset >= RACED) {
            processor->status = status;
            return NULL;
        }
        const reco_add add = {1, 2 + (uint32_t)(position.offset % 8), 1};
        const reco_add_group group = {RECO_BOARD_COVIEW, 0, 0, &add, 1};
        reco_batch batch = {.struct_size = sizeof batch,
                            .epoch = epoch,
                            .from = position.offset,
                            .to = position.offset + 1,
                            .clock = 1,
                            .groups = &group,
                            .group_count = 1};
        status = backend->apply(processor->store, &batch, NULL, NULL);
        processor->applied += status == RECO_OK;
        processor->stale += status == RECO_STALE;
        if (status != RECO_OK && status != RECO_STALE) {
            processor->status = status;
            return NULL;
        }
    }
}

START_TEST(two_processors_of_one_partition)
{
    static fixture f;
    fixture_prepare(&f, 1, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 32);
    pthread_barrier_t start;
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, 2), 0);
    struct processor processors[2] = {{.f = &f, .store = f.store, .start = &start},
                                      {.f = &f, .store = open_reader(&f, "stale_ms=0"), .start = &start}};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&processors[i].thread, NULL, race, &processors[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(processors[i].thread, NULL);
        test_status(RECO_OK, processors[i].status);
    }
    pthread_barrier_destroy(&start);
    ck_assert_uint_eq(processors[0].applied + processors[1].applied, RACED);
    ck_assert_uint_gt(processors[0].stale + processors[1].stale, 0);
    for (uint32_t i = 0; i < RACED; i++) {
        model_add(&f.model, RECO_BOARD_COVIEW, 0, 1, 2 + i % 8, 1);
    }
    f.model.positions[0] = (reco_position){RACED, 1};
    fixture_settle(&f);
    check_all(&f, 1);
    backend->close(processors[1].store);
    fixture_done(&f);
}
END_TEST

/* Puts new users into its partition until the table is full. */
static void *fill(void *context) {
    struct processor *processor = context;
    for (int64_t at = 0;; at++) {
        char user[40];
        snprintf(user, sizeof user, "p%u-%lld", processor->partition, (long long)at);
        const reco_cell_put put = {{user, strlen(user)}, "x", 1, 1000000};
        reco_batch batch = {.struct_size = sizeof batch,
                            .partition = processor->partition,
                            .epoch = processor->f->epoch,
                            .from = at,
                            .to = at + 1,
                            .clock = 1,
                            .cells = &put,
                            .cell_count = 1};
        processor->status = backend->apply(processor->store, &batch, NULL, NULL);
        if (processor->status != RECO_OK) {
            return NULL;
        }
        processor->applied++;
    }
}

/* The limit is looked at before a batch goes: partitions that learn at the same moment pass it by a batch each, no more. */
START_TEST(the_limit_of_users_holds_for_all_partitions)
{
    static fixture f;
    enum { LIMIT = 200 };
    for (int round = 0; round < 3; round++) {
        fixture_prepare(&f, 2, 32);
        f.options.url = server_url;
        f.options.max_users = LIMIT;
        fixture_open(&f);
        struct processor processors[2] = {{.f = &f, .store = f.store}, {.f = &f, .store = f.store, .partition = 1}};
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(pthread_create(&processors[i].thread, NULL, fill, &processors[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(processors[i].thread, NULL);
            test_status(RECO_FULL, processors[i].status);
        }
        uint64_t users = processors[0].applied + processors[1].applied;
        ck_assert_msg(users >= LIMIT && users <= LIMIT + 1, "%llu users of %d", (unsigned long long)users, LIMIT);
        fixture_done(&f);
    }
}
END_TEST

/* --- servers that are replaced ----------------------------------------------------------------------------------------------------------- */

/* A server that is started again from what it had a while ago: positions, cells, rows and names of then. */
START_TEST(a_server_that_goes_back)
{
    static fixture f;
    test_redis own;
    char url[64], reply[512];
    test_redis_start(&own, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?stale_ms=600000", own.port);
    fixture_prepare(&f, 1, 32);
    f.options.url = url;
    f.options.background = 1;
    fixture_open(&f);
    fixture_items(&f, 16);
    add_pairs(&f, 3, 5);
    struct head first = head_of(f.store, 3);
    test_redis_say(reply, &own, "SAVE");
    ck_assert_str_eq(reply, "+OK\r\n");
    reco_position kept = f.model.positions[0], position;
    const reco_str names[] = {{"lost-1", 6}, {"lost-2", 6}, {"other", 5}};
    uint32_t numbers[3];
    test_ok(backend->intern(numbers, f.store, names, 2, NULL, &f.err), &f.err);
    ck_assert_uint_eq(numbers[1], 17);
    add_pairs(&f, 3, 5);
    test_ok(backend->settle(f.store, NULL, &f.err), &f.err);
    struct head second = head_of(f.store, 3);
    ck_assert(!same_head(&first, &second));
    test_redis_stop(&own);
    test_redis_restart(&own, NULL);
    /* Somebody else is faster, and gives the numbers to others. */
    reco_features_store *other;
    f.options.background = 0;
    test_ok(backend->open(&other, &f.options, NULL, &f.err), &f.err);
    test_ok(backend->intern(numbers, other, names + 2, 1, NULL, &f.err), &f.err);
    ck_assert_uint_eq(numbers[0], 16);
    /* A batch made before, with the old numbers. */
    const reco_add adds[] = {{16, 17, 1}};
    const reco_add_group group = {RECO_BOARD_COVIEW, 0, 0, adds, 1};
    reco_batch batch = {.struct_size = sizeof batch, .epoch = f.epoch, .from = kept.offset, .to = 9, .clock = 1, .groups = &group, .group_count = 1};
    reco_status status = RECO_UNAVAILABLE;
    for (int64_t until = reco__monotonic_ns() + INT64_C(20000000000); status == RECO_UNAVAILABLE && reco__monotonic_ns() < until;) {
        status = backend->apply(f.store, &batch, NULL, &f.err);
    }
    test_status(RECO_STALE, status);
    uint64_t epoch;
    test_ok(backend->positions(&position, &epoch, f.store, NULL, &f.err), &f.err);
    ck_assert_int_eq(position.offset, kept.offset);
    ck_assert_uint_ne(epoch, f.epoch); /* numbers have changed their names */
    struct head now = head_of(f.store, 3);
    ck_assert(same_head(&now, &first));
    test_ok(backend->find_items(numbers, f.store, names, 3, NULL, &f.err), &f.err);
    ck_assert(numbers[0] == RECO_NO_ITEM && numbers[1] == RECO_NO_ITEM && numbers[2] == 16);
    reco_str name;
    uint64_t hash;
    test_ok(backend->item_name(&name, &hash, f.store, 16), &f.err);
    ck_assert(name.size == 5 && memcmp(name.data, "other", 5) == 0);
    test_ok(backend->intern(numbers, f.store, names, 2, NULL, &f.err), &f.err);
    ck_assert(numbers[0] == 17 && numbers[1] == 18);
    batch.epoch = epoch;
    batch.to = batch.from + 1;
    test_ok(backend->apply(f.store, &batch, NULL, &f.err), &f.err);
    backend->close(other);
    backend->close(f.store);
    f.store = NULL;
    fixture_done(&f);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

struct watched {
    test_redis *server;
    const char *section, *line;
};

static bool says(void *context) {
    const struct watched *watched = context;
    char reply[512];
    test_redis_say(reply, watched->server, watched->section);
    return strstr(reply, watched->line) != NULL;
}

/* Deterministic by where it begins, as what is derived from records is. */
static reco_status learn_next(reco_features_store *store, int64_t *offset) {
    reco_position position;
    uint64_t epoch;
    uint32_t numbers[2];
    char item[2][40];
    reco_status status = backend->load(&position, &epoch, store, 0, NULL, 0, NULL, NULL, NULL, NULL);
    if (status != RECO_OK) {
        return status;
    }
    reco_str names[2];
    for (int i = 0; i < 2; i++) {
        snprintf(item[i], sizeof item[i], "item-%lld", (long long)(position.offset * 3 + i * 7) % 20);
        names[i] = (reco_str){item[i], strlen(item[i])};
    }
    status = backend->intern(numbers, store, names, 2, NULL, NULL);
    const reco_add add = {numbers[0], numbers[1], 1 + position.offset % 5};
    const reco_add_group group = {RECO_BOARD_COVIEW, 0, 0, &add, 1};
    const reco_cell_put cell = {{"user", 4}, &position.offset, sizeof position.offset, 1000000};
    reco_batch batch = {.struct_size = sizeof batch,
                        .epoch = epoch,
                        .from = position.offset,
                        .to = position.offset + 1,
                        .clock = 1,
                        .cells = &cell,
                        .cell_count = 1,
                        .groups = &group,
                        .group_count = 1};
    status = status == RECO_OK ? backend->apply(store, &batch, NULL, NULL) : status;
    *offset = status == RECO_OK ? position.offset + 1 : position.offset;
    return status;
}

static void learn_until(reco_features_store *store, int64_t until) {
    int64_t offset = 0, deadline = reco__monotonic_ns() + INT64_C(60000000000);
    while (offset < until) {
        reco_status status = learn_next(store, &offset);
        ck_assert_msg(status == RECO_OK || status == RECO_STALE || status == RECO_UNAVAILABLE || status == RECO_BUSY, "%s",
                      reco_status_name(status));
        ck_assert_msg(reco__monotonic_ns() < deadline, "%lld of %lld are learned, then %s", (long long)offset, (long long)until,
                      reco_status_name(status));
    }
}

static void add_sums(void *context, size_t index, const void *data, size_t size) {
    int64_t *sum = context;
    reco_entry entries[64];
    size_t count;
    (void)index;
    ck_assert_int_eq(reco_board_unpack(&count, entries, 64, data, size), RECO_OK);
    for (size_t i = 0; i < count; i++) {
        *sum += entries[i].sum;
    }
}

/* Sentinel promotes the replica when the primary is killed; learning goes on there, from what the replica has. */
START_TEST(a_failover_is_followed)
{
    test_redis primary, replica, sentinel;
    char port[16], url[160];
    enum { BEFORE = 300, AFTER = 600 };
    test_redis_start(&primary, NULL);
    snprintf(port, sizeof port, "%d", primary.port);
    const char *follows[] = {"--replicaof", "127.0.0.1", port, NULL};
    test_redis_start(&replica, follows);
    struct watched linked = {&replica, "INFO replication", "master_link_status:up"};
    ck_assert(test_wait(says, &linked, 30000));
    test_redis_watch(&sentinel, &primary);
    struct watched known = {&sentinel, "INFO sentinel", "slaves=1"};
    ck_assert(test_wait(says, &known, 30000));

    snprintf(url, sizeof url, "redis://127.0.0.1:1,127.0.0.1:%d?sentinel=reco&timeout_ms=2000", sentinel.port); /* the first is not there */
    reco_board_rules rules;
    fixture_rules(&rules);
    reco_features_options options = {.struct_size = sizeof options,
                                     .partitions = 1,
                                     .url = url,
                                     .space = "own",
                                     .fingerprint = {"a=1\n", 4},
                                     .rules = &rules,
                                     .max_items = 100,
                                     .max_users = 10};
    reco_features_store *store;
    reco_error err = RECO_ERROR_INIT;
    test_ok(backend->open(&store, &options, NULL, &err), &err);
    learn_until(store, BEFORE);
    test_redis_stop(&primary);
    int64_t began = reco__monotonic_ns(), offset;
    reco_call brief = {.struct_size = sizeof brief, .deadline_ns = began + 200000000};
    reco_position position;
    uint64_t epoch;
    ck_assert(backend->positions(&position, &epoch, store, &brief, NULL) != RECO_OK);
    ck_assert_int_lt(reco__monotonic_ns() - began, INT64_C(1500000000)); /* it did not wait for the failover */
    learn_until(store, AFTER);
    test_ok(backend->settle(store, NULL, &err), &err);
    /* What is there is what the batches add up to, each once. */
    reco_features_info info;
    int64_t sum = 0, expected = 0;
    test_ok(backend->info(&info, store, NULL, &err), &err);
    for (uint32_t item = 0; item < info.item_count; item++) {
        test_ok(backend->row(store, RECO_BOARD_COVIEW, 0, item, add_sums, &sum, NULL, &err), &err);
    }
    for (offset = 0; offset < AFTER; offset++) {
        expected += 1 + offset % 5;
    }
    ck_assert_int_eq(sum, expected);
    backend->close(store);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?sentinel=nobody", sentinel.port);
    test_status(RECO_UNAVAILABLE, backend->open(&store, &options, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "nobody"));
    test_redis_stop(&sentinel);
    test_redis_stop(&replica);
    test_dir_remove(sentinel.folder);
    test_dir_remove(replica.folder);
    test_dir_remove(primary.folder);
}
END_TEST

/* --- answers -------------------------------------------------------------------------------------------------------------------------- */

static uint64_t engine_counts(reco_engine *engine, const char *name) {
    reco_error err = RECO_ERROR_INIT;
    char *json = NULL, wanted[64];
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *features = strstr(json, "\"features\":{"), *at = features ? strstr(features, wanted) : NULL;
    ck_assert_msg(at != NULL, "%s is not in %s", name, json);
    uint64_t value = strtoull(at + strlen(wanted), NULL, 10);
    reco_free(json);
    return value;
}

/* One answer, one trip: position and cell. Others (the thread that refreshes, stats) make some, too, so the best of several rounds counts. */
START_TEST(an_answer_is_one_trip)
{
    enum { ANSWERS = 200, ROUNDS = 10 };
    char url[160];
    snprintf(url, sizeof url, "%s?prefix=trip:&stale_ms=60000", server_url);
    const char *settings[] = {"stream", "memory:", "features", url, "records", "memory:", NULL};
    reco_engine *engine = test_engine_open(NULL, RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    reco_error err = RECO_ERROR_INIT;
    for (int user = 0; user < 6; user++) {
        for (int item = 0; item < 8; item++) {
            char user_id[16], item_id[16], position[RECO_POSITION_MAX];
            snprintf(user_id, sizeof user_id, "u%d", user);
            snprintf(item_id, sizeof item_id, "i%d", (user + item) % 20);
            reco_event event = test_event(user_id, item_id, "view");
            test_engine_tell(position, engine, &event);
        }
    }
    test_engine_learn(engine, 0, NULL);
    reco_query query = {.struct_size = sizeof query, .user_id = {"u0", 2}, .limit = 10, .seed = 7};
    reco_answer *answer = NULL;
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_gt(answer->count, 0);
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t before = engine_counts(engine, "trips"), own = engine_counts(engine, "trips") - before;
        for (int i = 0; i < ANSWERS; i++) {
            test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
        }
        uint64_t trips = engine_counts(engine, "trips") - before - 2 * own;
        best = trips < best ? trips : best;
    }
    ck_assert_msg(best >= ANSWERS && best <= ANSWERS + 2, "%d answers in %llu trips", ANSWERS, (unsigned long long)best);
    ck_assert_uint_gt(engine_counts(engine, "cache_hits"), 0);
    reco_answer_free(answer);
    reco_close(engine);
}
END_TEST

/* One batch, one trip, though another processor learns another partition; new names are one more. What is watched for too long is looked at again, so
 * the best of several rounds counts. A batch of somebody else in between is noticed all the same. */
START_TEST(a_batch_is_one_trip)
{
    enum { TRIPS = 20, ROUNDS = 10 };
    static fixture f;
    fixture_prepare(&f, 2, 32);
    f.options.url = server_url;
    fixture_open(&f);
    fixture_items(&f, 16);
    reco_features_store *other = open_reader(&f, "stale_ms=0"), *own = f.store;
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t stats = trips_of_stats(own), before = counted(own, "trips");
        for (int i = 0; i < TRIPS; i++) {
            add_pairs(&f, (uint32_t)i % 8, i + 1);
            f.store = other;
            fixture_step(&f, 1, 1, RECO_BOARD_COVIEW, 0, (uint32_t)i % 8, 9, 1);
            f.store = own;
        }
        uint64_t trips = counted(own, "trips") - before - stats;
        best = trips < best ? trips : best;
    }
    ck_assert_msg(best >= TRIPS && best <= TRIPS + 1, "%d batches in %llu trips", TRIPS, (unsigned long long)best);
    uint64_t stats = trips_of_stats(own), before = counted(own, "trips");
    fixture_items(&f, 32);
    ck_assert_uint_eq(counted(own, "trips") - before, stats + 1);
    add_pairs(&f, 20, 1); /* an item that the last batch did not know */
    f.store = other;
    add_pairs(&f, 3, 1);
    f.store = own;
    static batch_adds b;
    b.count = b.cell_count = 0;
    int64_t stands = f.model.positions[0].offset;
    test_status(RECO_STALE, batch_apply(&f, &b, 0, stands - 1, stands, 1));
    add_pairs(&f, 4, 1);
    check_all(&f, 1);
    backend->close(other);
    fixture_done(&f);
}
END_TEST

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    if (reco_module_start(&reco_module_v1, &err) != RECO_OK) {
        fprintf(stderr, "the module does not start: %s\n", err.text);
        return EXIT_FAILURE;
    }
    backend = reco_module_v1.features;
    test_redis_start(&server, NULL);
    snprintf(server_url, sizeof server_url, "redis://127.0.0.1:%d", server.port);
    srunner_free(srunner_create(features_suite(backend, server_url, 0))); /* for its fixture */
    Suite *suite = suite_create("redis, live");
    TCase *memory = tcase_create("heads in memory");
    tcase_add_test(memory, heads_come_from_memory);
    tcase_add_test(memory, heads_are_refreshed);
    tcase_add_test(memory, memory_for_heads_is_bounded);
    tcase_add_test(memory, memory_is_emptied);
    tcase_add_test(memory, an_answer_is_one_trip);
    tcase_set_timeout(memory, 120);
    suite_add_tcase(suite, memory);
    TCase *scans = tcase_create("scans");
    tcase_add_test(scans, a_scan_is_one_moment);
    tcase_add_test(scans, scans_wait_for_each_other);
    tcase_set_timeout(scans, 240);
    suite_add_tcase(suite, scans);
    TCase *processors = tcase_create("processors");
    tcase_add_test(processors, a_batch_is_one_trip);
    tcase_add_test(processors, two_processors_of_one_partition);
    tcase_add_test(processors, the_limit_of_users_holds_for_all_partitions);
    tcase_set_timeout(processors, 120);
    suite_add_tcase(suite, processors);
    TCase *servers = tcase_create("servers");
    tcase_add_test(servers, a_server_that_goes_back);
    tcase_add_test(servers, a_failover_is_followed);
    tcase_set_timeout(servers, 180);
    suite_add_tcase(suite, servers);
    int result = test_run(suite);
    test_redis_stop(&server);
    test_dir_remove(server.folder);
    return result;
}
