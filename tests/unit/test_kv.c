/* lib/kv in one process: opening and what is refused, tables, cursors against a model, the pool of readers, the gate, memory running out. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "test_kv.h"

/* A slot that is given up loses the transaction's memory: LMDB frees it only together with a write to the slot. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default"), used));
const char *__lsan_default_suppressions(void) { return "leak:mdb_txn_begin"; }

static char dir[256];

static void setup(void) { test_dir_make(dir); }
static void teardown(void) { test_dir_remove(dir); }

static void file_path(char out[400], const char *name) { snprintf(out, 400, "%s/store/%s", dir, name); }

static reco_status open_status(reco__kv_options *options, reco_error *err) {
    reco__kv *kv;
    bool fresh;
    memset(err, 0, sizeof *err);
    reco_status status = reco__kv_open(&kv, options, &fresh, err);
    ck_assert(status == RECO_OK || (kv == NULL && err->text[0] != '\0'));
    reco__kv_close(kv);
    return status;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_is_written_is_there_after_opening_again)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    reco__kv *kv;
    bool fresh = false;
    uint8_t id[16], again[16];
    test_ok(reco__kv_open(&kv, &options, &fresh, &err), &err);
    ck_assert(fresh);
    reco__kv_id(kv, id);
    kv_set(kv, kv_table(kv, "a"), 7, "seven", 5);
    reco__kv_close(kv);
    test_ok(reco__kv_open(&kv, &options, &fresh, &err), &err);
    ck_assert(!fresh);
    reco__kv_id(kv, again);
    ck_assert_mem_eq(id, again, 16);
    ck_assert(kv_has(kv, kv_table(kv, "a"), 7));
    ck_assert(!kv_has(kv, kv_table(kv, "b"), 7));
    reco__kv_close(kv);
}
END_TEST

START_TEST(one_process_has_one_handle)
{
    reco_error err = RECO_ERROR_INIT;
    char other[300];
    reco__kv *one = kv_open(dir, 0), *two;
    snprintf(other, sizeof other, "%s/../%s/", dir, strrchr(dir, '/') + 1);
    reco__kv_options options = kv_options(other, 0);
    test_ok(reco__kv_open(&two, &options, NULL, &err), &err);
    ck_assert_ptr_eq(one, two);
    options.flags = RECO__KV_NOSYNC;
    test_status(RECO_INVALID, open_status(&options, &err));
    ck_assert_str_eq(err.field, "flags");
    options.flags = 0;
    options.format = "else";
    test_status(RECO_REFUSED, open_status(&options, &err));
    void *block, *same;
    test_ok(reco__kv_share(&block, one, "x", 100, NULL, &err), &err);
    test_ok(reco__kv_share(&same, two, "x", 100, NULL, &err), &err);
    ck_assert_ptr_eq(block, same);
    test_status(RECO_INTERNAL, reco__kv_share(&same, two, "x", 101, NULL, &err));
    reco__kv_close(one);
    kv_set(two, kv_table(two, "a"), 1, "x", 1);
    reco__kv_close(two);
}
END_TEST

START_TEST(bad_options_are_named)
{
    reco_error err;
    reco__kv_options options = kv_options(NULL, 0);
    test_status(RECO_INVALID, open_status(&options, &err));
    ck_assert_str_eq(err.field, "directory");
    options = kv_options(dir, 0);
    options.name = "a/b";
    test_status(RECO_INVALID, open_status(&options, &err));
    options = kv_options(dir, 0);
    options.format = "";
    test_status(RECO_INVALID, open_status(&options, &err));
    options = kv_options("/dev/null/x", 0);
    test_status(RECO_IO, open_status(&options, &err));
    options = kv_options(dir, RECO__KV_READONLY);
    test_status(RECO_NOT_FOUND, open_status(&options, &err));
}
END_TEST

START_TEST(another_format_or_version_is_refused)
{
    reco_error err;
    reco__kv_close(kv_open(dir, 0));
    reco__kv_options options = kv_options(dir, 0);
    options.format = "else";
    test_status(RECO_REFUSED, open_status(&options, &err));
    options.format = "test";
    options.format_version = 2;
    test_status(RECO_REFUSED, open_status(&options, &err));
    options.format_version = 1;
    test_status(RECO_OK, open_status(&options, &err));
}
END_TEST

START_TEST(a_newer_version_is_refused)
{
    reco_error err;
    reco__kv_options options = kv_options(dir, 0);
    options.format_version = 3;
    test_status(RECO_OK, open_status(&options, &err));
    options.format_version = 2;
    test_status(RECO_NEWER, open_status(&options, &err));
}
END_TEST

START_TEST(the_store_of_another_program_is_refused)
{
    char folder[400];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    reco_error err;
    snprintf(folder, sizeof folder, "%s/store", dir);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 2), 0);
    ck_assert_int_eq(mdb_env_open(env, folder, 0, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "theirs", MDB_CREATE, &dbi), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    reco__kv_options options = kv_options(dir, 0);
    test_status(RECO_REFUSED, open_status(&options, &err));
}
END_TEST

/* Some hundred pages, closed. */
static void fill(uint32_t flags) {
    char value[3000];
    memset(value, 'v', sizeof value);
    reco__kv *kv = kv_open(dir, flags);
    reco__kv_table table = kv_table(kv, "a");
    for (uint64_t i = 0; i < 200; i++) {
        kv_set(kv, table, i, value, sizeof value);
    }
    reco__kv_close(kv);
}

START_TEST(a_truncated_file_is_refused)
{
    static const off_t sizes[] = {1, 100, 4096, 5000, 8192, 100000, 400000};
    char path[400];
    reco_error err;
    reco__kv_options options = kv_options(dir, 0);
    file_path(path, "data.mdb");
    fill(0);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_gt(st.st_size, 64 << 20); /* kept long, so that shorter means truncated */
    for (size_t i = sizeof sizes / sizeof sizes[0]; i-- > 0;) {
        ck_assert_int_eq(truncate(path, sizes[i]), 0);
        test_status(RECO_CORRUPT, open_status(&options, &err));
        ck_assert_msg(strstr(err.text, "truncated") != NULL, "%s", err.text);
    }
}
END_TEST

static void write_trust(const char *line);

/* The file of a store that was there before may not be empty, or gone, and begin anew as if nothing had been. */
START_TEST(an_empty_or_missing_file_is_a_loss)
{
    static const uint32_t flags[] = {0, RECO__KV_NOSYNC, RECO__KV_READONLY, RECO__KV_NOSYNC | RECO__KV_READONLY};
    uint32_t kind = flags[_i] & RECO__KV_NOSYNC;
    char path[400];
    reco_error err;
    file_path(path, "data.mdb");
    fill(kind);
    reco__kv_options options = kv_options(dir, flags[_i]);
    for (int again = 0; again < 2; again++) { /* refusing changes nothing */
        ck_assert_int_eq(truncate(path, 0), 0);
        test_status(RECO_CORRUPT, open_status(&options, &err));
        ck_assert_msg(strstr(err.text, "truncated") != NULL, "%s", err.text);
    }
    ck_assert_int_eq(truncate(path, 8192), 0); /* zeros */
    test_status(RECO_CORRUPT, open_status(&options, &err));
    ck_assert_int_eq(unlink(path), 0);
    test_status(RECO_CORRUPT, open_status(&options, &err));
    ck_assert_msg(strstr(err.text, "missing") != NULL, "%s", err.text);
    if (flags[_i] == RECO__KV_NOSYNC) { /* of another boot: discarded, whatever is left of it */
        write_trust("open 00000000-0000-0000-0000-000000000000");
        test_status(RECO_OK, open_status(&options, &err));
    }
}
END_TEST

/* The making was cut short before its first transaction was durable: nothing is lost. One cut short right after it is marked when opened next. */
START_TEST(a_making_that_was_cut_short_begins_again)
{
    char path[400], mark[400];
    reco_error err;
    reco__kv_options options = kv_options(dir, 0);
    file_path(path, "data.mdb");
    file_path(mark, "made");
    fill(0);
    ck_assert_int_eq(unlink(mark), 0);
    test_status(RECO_OK, open_status(&options, &err));
    ck_assert_int_eq(access(mark, F_OK), 0);
    ck_assert_int_eq(unlink(mark), 0);
    ck_assert_int_eq(truncate(path, 0), 0);
    test_status(RECO_OK, open_status(&options, &err));
    ck_assert_int_eq(access(mark, F_OK), 0);
    ck_assert_int_eq(unlink(mark), 0);
    ck_assert_int_eq(unlink(path), 0);
    test_status(RECO_OK, open_status(&options, &err));
}
END_TEST

static void poke(const char *path, off_t at, uint8_t byte) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static uint8_t peek(const char *path, off_t at) {
    uint8_t byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    close(fd);
    return byte;
}

/* Each byte of what is checked in either meta page, damaged: refused, or opened and read to the end. */
START_TEST(damaged_meta_pages_are_refused)
{
    char path[400];
    reco_error err;
    reco__kv_options options = kv_options(dir, 0);
    file_path(path, "data.mdb");
    fill(0);
    unsigned refused = 0;
    for (off_t page = 0; page < 2; page++) {
        static const off_t fields[] = {10, 16, 20, 40, 41, 46, 80, 81, 94, 128, 129, 136, 140, 144};
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            off_t at = page * 4096 + fields[i];
            uint8_t before = peek(path, at);
            poke(path, at, before ^ 0x55);
            reco_status status = open_status(&options, &err);
            ck_assert_msg(status == RECO_OK || status == RECO_CORRUPT || status == RECO_NEWER, "%s: %s", reco_status_name(status), err.text);
            refused += status != RECO_OK;
            poke(path, at, before);
        }
    }
    ck_assert_uint_ge(refused, 18);
    test_status(RECO_OK, open_status(&options, &err));
}
END_TEST

START_TEST(a_damaged_root_is_refused)
{
    char path[400];
    reco_error err;
    reco__kv_options options = kv_options(dir, 0);
    file_path(path, "data.mdb");
    fill(0);
    int newest = peek(path, 144) < peek(path, 4096 + 144); /* fewer than 256 transactions */
    uint64_t root = 0;
    for (int i = 7; i >= 0; i--) {
        root = root << 8 | peek(path, (off_t)newest * 4096 + 88 + 40 + i);
    }
    uint8_t flags = peek(path, (off_t)(root * 4096 + 10));
    poke(path, (off_t)(root * 4096 + 10), 4);
    test_status(RECO_CORRUPT, open_status(&options, &err));
    poke(path, (off_t)(root * 4096 + 10), flags);
    test_status(RECO_OK, open_status(&options, &err));
}
END_TEST

/* --- without sync ---------------------------------------------------------------------------------------------------------------------------- */

static void write_trust(const char *line) {
    char path[400];
    file_path(path, "trust");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%-47s\n", line);
    ck_assert_int_eq(fclose(file), 0);
}

static bool opens_fresh(uint32_t flags) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, flags);
    reco__kv *kv;
    bool fresh;
    test_ok(reco__kv_open(&kv, &options, &fresh, &err), &err);
    ck_assert(fresh == !kv_has(kv, kv_table(kv, "a"), 5));
    reco__kv_close(kv);
    return fresh;
}

START_TEST(unsynced_content_of_another_boot_is_discarded)
{
    reco_error err;
    fill(RECO__KV_NOSYNC);
    ck_assert(!opens_fresh(RECO__KV_NOSYNC));
    write_trust("open 00000000-0000-0000-0000-000000000000");
    reco__kv_options options = kv_options(dir, RECO__KV_NOSYNC | RECO__KV_READONLY);
    test_status(RECO_CORRUPT, open_status(&options, &err));
    ck_assert(opens_fresh(RECO__KV_NOSYNC));
    fill(RECO__KV_NOSYNC);
    write_trust("clean");
    ck_assert(!opens_fresh(RECO__KV_NOSYNC));
    write_trust("cle");
    ck_assert(opens_fresh(RECO__KV_NOSYNC));
    fill(RECO__KV_NOSYNC);
    char path[400];
    file_path(path, "trust");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(opens_fresh(RECO__KV_NOSYNC));
}
END_TEST

/* --- reading and writing ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(a_reader_sees_one_moment)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    reco__kv_txn *txn;
    reco__kv_value value;
    uint8_t key[8];
    reco__be64(key, 1);
    test_ok(reco__kv_read_begin(&txn, kv, RECO__KV_LONG, &err), &err);
    kv_set(kv, table, 1, "x", 1);
    test_status(RECO_NOT_FOUND, reco__kv_get(&value, txn, table, key, 8, &err));
    ck_assert_uint_eq(err.text[0], 0);
    for (uint64_t i = 0; i < 100; i++) {
        kv_set(kv, table, i, "x", 1);
    }
    ck_assert_uint_gt(reco__kv_grown(txn), 0);
    reco__kv_read_end(txn);
    reco__kv_close(kv);
}
END_TEST

START_TEST(writes_are_one_at_a_time)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    reco__kv_txn *txn, *nested, *reader;
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    test_status(RECO_INTERNAL, reco__kv_write_begin(&nested, kv, &err));
    test_ok(reco__kv_put(txn, table, "k", 1, "v", 1, &err), &err);
    reco__kv_abort(txn);
    test_ok(reco__kv_read_begin(&reader, kv, 0, &err), &err);
    test_status(RECO_INTERNAL, reco__kv_put(reader, table, "k", 1, "v", 1, &err));
    reco__kv_read_end(reader);
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    test_ok(reco__kv_append(txn, table, "b", 1, "v", 1, &err), &err);
    test_status(RECO_CONFLICT, reco__kv_append(txn, table, "a", 1, "v", 1, &err));
    test_status(RECO_TOO_LARGE, reco__kv_put(txn, table, dir, 0, "v", 1, &err));
    test_ok(reco__kv_delete(txn, table, "zz", 2, &err), &err);
    void *room;
    test_ok(reco__kv_reserve(&room, txn, table, "r", 1, 3, &err), &err);
    memcpy(room, "abc", 3);
    test_ok(reco__kv_commit(txn, &err), &err);
    uint64_t entries, bytes;
    test_ok(reco__kv_table_stat(&entries, &bytes, kv, table, &err), &err);
    ck_assert_uint_eq(entries, 2);
    reco__kv_stats stats;
    test_ok(reco__kv_stat(&stats, kv, &err), &err);
    ck_assert_uint_gt(stats.file_bytes, stats.disk_bytes);
    ck_assert_uint_ge(stats.file_bytes, stats.used_bytes);
    ck_assert_uint_gt(stats.used_bytes, 0);
    reco__kv_close(kv);
}
END_TEST

/* Random operations on a table against an array, through cursors and directly, across transactions that are committed or given up. */
enum { KEYS = 400, ROUNDS = 150, STEPS = 200 };
typedef struct model {
    uint16_t size[KEYS]; /* 0: missing */
    uint8_t byte[KEYS];
} model;

static void check_value(const model *m, unsigned key, reco__kv_value value) {
    ck_assert_uint_eq(value.size, m->size[key]);
    ck_assert(value.size == 0 || ((const uint8_t *)value.data)[value.size - 1] == m->byte[key]);
}

static void walk(reco__kv_txn *txn, reco__kv_table table, const model *m) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_cursor *cursor;
    reco__kv_value key, value;
    test_ok(reco__kv_cursor_open(&cursor, txn, table, &err), &err);
    reco_status status = reco__kv_seek(cursor, RECO__KV_FIRST, &key, &value, &err);
    for (unsigned i = 0; i < KEYS; i++) {
        if (m->size[i]) {
            test_ok(status, &err);
            ck_assert_uint_eq(reco__from_be64(key.data), i);
            check_value(m, i, value);
            status = reco__kv_seek(cursor, RECO__KV_NEXT, &key, &value, &err);
        }
    }
    test_status(RECO_NOT_FOUND, status);
    reco__kv_cursor_close(cursor);
}

static unsigned next_key(const model *m, unsigned key) {
    while (key < KEYS && !m->size[key]) {
        key++;
    }
    return key;
}

/* A walk from a random key that replaces, reserves or deletes what it passes. */
static void sweep(reco__kv_txn *txn, reco__kv_table table, model *m, reco__rand *rand, uint8_t *buffer) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_cursor *cursor;
    uint8_t from[8];
    unsigned at = (unsigned)reco__rand_below(rand, KEYS);
    reco__be64(from, at);
    reco__kv_value key = {from, 8}, value;
    test_ok(reco__kv_cursor_open(&cursor, txn, table, &err), &err);
    reco_status status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, &err);
    for (int steps = 0; steps < 20; steps++) {
        at = next_key(m, at);
        ck_assert_int_eq(status == RECO_OK, at < KEYS);
        if (status != RECO_OK) {
            break;
        }
        ck_assert_uint_eq(reco__from_be64(key.data), at);
        check_value(m, at, value);
        reco__be64(from, at);
        uint16_t size = (uint16_t)(1 + reco__rand_below(rand, 1500));
        uint8_t byte = (uint8_t)reco__rand_next(rand);
        void *room;
        switch (reco__rand_below(rand, 4)) {
        case 0:
            test_ok(reco__kv_cursor_delete(cursor, &err), &err);
            m->size[at] = 0;
            break;
        case 1:
            memset(buffer, byte, size);
            test_ok(reco__kv_cursor_replace(cursor, from, 8, buffer, size, &err), &err);
            m->size[at] = size;
            m->byte[at] = byte;
            break;
        case 2:
            test_ok(reco__kv_cursor_reserve(&room, cursor, from, 8, size, &err), &err);
            memset(room, byte, size);
            m->size[at] = size;
            m->byte[at] = byte;
            break;
        default:
            break;
        }
        at++;
        status = reco__kv_seek(cursor, RECO__KV_NEXT, &key, &value, &err);
    }
    reco__kv_cursor_close(cursor);
}

static void change(reco__kv_txn *txn, reco__kv_table table, model *m, reco__rand *rand) {
    reco_error err = RECO_ERROR_INIT;
    static uint8_t buffer[4096];
    uint8_t key[8];
    for (int step = 0; step < STEPS; step++) {
        unsigned at = (unsigned)reco__rand_below(rand, KEYS);
        reco__be64(key, at);
        reco__kv_value value;
        uint64_t what = reco__rand_below(rand, 10);
        if (what < 5) {
            uint16_t size = (uint16_t)(1 + reco__rand_below(rand, 1500));
            m->byte[at] = (uint8_t)reco__rand_next(rand);
            m->size[at] = size;
            memset(buffer, m->byte[at], size);
            test_ok(reco__kv_put(txn, table, key, 8, buffer, size, &err), &err);
        } else if (what < 7) {
            test_ok(reco__kv_delete(txn, table, key, 8, &err), &err);
            m->size[at] = 0;
        } else if (what < 9) {
            test_status(m->size[at] ? RECO_OK : RECO_NOT_FOUND, reco__kv_get(&value, txn, table, key, 8, &err));
        } else {
            sweep(txn, table, m, rand, buffer);
        }
    }
}

START_TEST(cursors_agree_with_a_model)
{
    reco_error err = RECO_ERROR_INIT;
    static model m, saved;
    memset(&m, 0, sizeof m);
    reco__kv *kv = kv_open(NULL, RECO__KV_MEMORY);
    reco__kv_table table = kv_table(kv, "a"), others[12];
    for (unsigned i = 0; i < 12; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        others[i] = kv_table(kv, name);
    }
    reco__rand rand;
    reco__rand_seed(&rand, 11);
    for (int round = 0; round < ROUNDS; round++) {
        reco__kv_txn *txn;
        saved = m;
        test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
        change(txn, table, &m, &rand);
        walk(txn, table, &m);
        if (reco__rand_below(&rand, 4) == 0) {
            reco__kv_abort(txn);
            m = saved;
        } else {
            test_ok(reco__kv_commit(txn, &err), &err);
        }
        reco__kv_cursor *cursors[12];
        test_ok(reco__kv_read_begin(&txn, kv, 0, &err), &err);
        for (unsigned i = 0; i < 12; i++) { /* more than a transaction keeps */
            test_ok(reco__kv_cursor_open(&cursors[i], txn, others[(i + (unsigned)round) % 12], &err), &err);
        }
        walk(txn, table, &m);
        for (unsigned i = 0; i < 12; i += 2) {
            reco__kv_cursor_close(cursors[i]);
        }
        reco__kv_read_end(txn);
    }
    reco__kv_close(kv);
}
END_TEST

/* --- the pool and the gate --------------------------------------------------------------------------------------------------------------------- */

static void *end_soon(void *context) {
    usleep(50000);
    reco__kv_read_end(context);
    return NULL;
}

START_TEST(readers_wait_for_the_pool_and_are_told_busy)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    options.max_readers = 3;
    reco__kv *kv;
    reco__kv_txn *txns[4];
    pthread_t thread;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    for (int i = 0; i < 3; i++) {
        test_ok(reco__kv_read_begin(&txns[i], kv, 0, &err), &err);
    }
    test_status(RECO_BUSY, reco__kv_read_begin(&txns[3], kv, 0, &err));
    ck_assert_str_eq(err.field, "max_readers");
    ck_assert_int_eq(pthread_create(&thread, NULL, end_soon, txns[0]), 0);
    test_ok(reco__kv_read_begin(&txns[0], kv, 0, &err), &err);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++) {
        reco__kv_read_end(txns[i]);
    }
    reco__kv_close(kv);
}
END_TEST

typedef struct churn {
    reco__kv *kv;
    reco__kv_table table;
    int stop; /* atomic */
    uint64_t reads;
} churn;

static void *read_on(void *context) {
    churn *c = context;
    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
        ck_assert(kv_has(c->kv, c->table, 5));
        c->reads++;
    }
    return NULL;
}

START_TEST(it_is_opened_again_under_readers)
{
    reco_error err = RECO_ERROR_INIT;
    fill(0);
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table extra = kv_table(kv, "0 sorts before the others"), table = kv_table(kv, "a");
    churn readers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = (churn){kv, table, 0, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < 20; i++) {
        test_ok(reco__kv_reopen(kv, &err), &err);
        kv_set(kv, extra, i, "x", 1);
        test_ok(reco__kv_adopt_size(kv, &err), &err);
    }
    for (int i = 0; i < 3; i++) {
        __atomic_store_n(&readers[i].stop, 1, __ATOMIC_RELAXED);
        pthread_join(threads[i], NULL);
    }
    ck_assert(!kv_has(kv, table, 200) && kv_has(kv, extra, 19));
    reco__kv_txn *txn;
    test_ok(reco__kv_read_begin(&txn, kv, 0, &err), &err);
    test_status(RECO_BUSY, reco__kv_reopen(kv, &err));
    reco__kv_read_end(txn);
    test_ok(reco__kv_reopen(kv, &err), &err);
    reco__kv_close(kv);
}
END_TEST

/* A slot of a process in LMDB's table of readers: 64 bytes, first the transaction (8), then the process (4). Returns its place, -1: there is none. */
static off_t find_slot(int fd, int32_t pid, off_t from) {
    int32_t there;
    for (off_t at = from; pread(fd, &there, 4, at + 8) == 4; at += 64)
        if (there == pid)
            return at;
    return -1;
}

/* Begins and ends two readers at once, so that the pool holds two slots. */
static void read_twice(reco__kv *kv) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_txn *one, *two;
    test_ok(reco__kv_read_begin(&one, kv, 0, &err), &err);
    test_ok(reco__kv_read_begin(&two, kv, 0, &err), &err);
    reco__kv_read_end(one);
    reco__kv_read_end(two);
}

START_TEST(a_slot_that_another_process_took_is_given_up)
{
    char path[400];
    int32_t nobody = 0, other = 1;
    uint64_t held = 5;
    uint8_t before[16], after[16];
    reco__kv *kv = kv_open(dir, 0);
    kv_set(kv, kv_table(kv, "a"), 7, "seven", 5);
    read_twice(kv);
    file_path(path, "lock.mdb");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; i < 3; i++) { /* emptied */
        off_t at = find_slot(fd, getpid(), 128);
        ck_assert(at >= 0);
        ck_assert_int_eq(pwrite(fd, &nobody, 4, at + 8), 4);
        read_twice(kv);
        ck_assert(kv_has(kv, kv_table(kv, "a"), 7));
    }
    /* given to another, who reads: it is not touched, neither by reading nor by closing */
    off_t at = find_slot(fd, getpid(), 128), own;
    ck_assert_int_eq(pwrite(fd, &held, 8, at), 8);
    ck_assert_int_eq(pwrite(fd, &other, 4, at + 8), 4);
    ck_assert_int_eq(pread(fd, before, 16, at), 16);
    reco__kv_close(kv);
    ck_assert_int_eq(pread(fd, after, 16, at), 16);
    ck_assert_mem_eq(before, after, 16);
    own = find_slot(fd, getpid(), 128);
    ck_assert_msg(own < 0, "a slot of ours is left at %ld", (long)own);
    close(fd);
}
END_TEST

START_TEST(a_full_map_is_reported_and_survived)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    options.map_size = 1 << 20;
    reco__kv *kv;
    reco__kv_txn *txn;
    static uint8_t value[100000];
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    reco__kv_table table = kv_table(kv, "a");
    reco_status status = RECO_OK;
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    for (uint8_t i = 0; status == RECO_OK && i < 100; i++) {
        status = reco__kv_put(txn, table, &i, 1, value, sizeof value, &err);
    }
    test_status(RECO_FULL, status);
    ck_assert_str_eq(err.field, "map_size");
    test_status(RECO_FULL, reco__kv_commit(txn, &err));
    kv_set(kv, table, 1, "x", 1);
    reco__kv_close(kv);
}
END_TEST

START_TEST(min_free_refuses_writes_but_not_freeing)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    options.min_free = UINT64_MAX / 4;
    reco__kv *kv;
    reco__kv_txn *txn;
    reco__kv_job job = {0};
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    test_status(RECO_FULL, reco__kv_write_begin(&txn, kv, &err));
    ck_assert_str_eq(err.field, "min_free");
    test_status(RECO_FULL, reco__kv_submit(kv, &job, &err));
    test_ok(reco__kv_write_begin_freeing(&txn, kv, &err), &err);
    reco__kv_abort(txn);
    reco__kv_close(kv);
}
END_TEST

/* A transaction of many times the slack: the file is at every moment longer than what the meta page will say. */
START_TEST(the_file_grows_ahead_of_large_transactions)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    options.slack = 1 << 20;
    reco__kv *kv;
    reco__kv_txn *txn;
    char path[400];
    struct stat st;
    static uint8_t value[2000];
    file_path(path, "data.mdb");
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    reco__kv_table table = kv_table(kv, "a");
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t key = i * 0x9E3779B97F4A7C15u;
        test_ok(reco__kv_put(txn, table, &key, 8, value, sizeof value, &err), &err);
        if (i % 100 == 0) {
            ck_assert_int_eq(stat(path, &st), 0);
            ck_assert_uint_gt((uint64_t)st.st_size, i * sizeof value + 4096);
        }
    }
    test_ok(reco__kv_commit(txn, &err), &err);
    reco__kv_close(kv);
    test_status(RECO_OK, open_status(&options, &err));
}
END_TEST

START_TEST(a_signal_wakes)
{
    reco__kv *kv = kv_open(dir, 0);
    uint32_t seen = reco__kv_signal_value(kv);
    int64_t start = reco__monotonic_ns();
    reco__kv_signal_wait(kv, seen, 2000000);
    ck_assert_int_ge(reco__monotonic_ns() - start, 1000000);
    reco__kv_signal_bump(kv);
    ck_assert_uint_ne(reco__kv_signal_value(kv), seen);
    reco__kv_signal_wait(kv, seen, INT64_MAX); /* returns at once, and in any case within 10 ms */
    reco__kv_close(kv);
}
END_TEST

static void lock_checks(uint32_t flags) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, flags);
    reco__kv_lock *one, *two;
    test_ok(reco__kv_lock_open(&one, kv, &err), &err);
    test_ok(reco__kv_lock_open(&two, kv, &err), &err);
    ck_assert(reco__kv_lock_try(one, 3) && reco__kv_lock_try(one, UINT32_MAX));
    ck_assert(!reco__kv_lock_try(two, 3) && reco__kv_lock_try(two, 4));
    ck_assert(reco__kv_lock_held_elsewhere(two, 3) && !reco__kv_lock_held_elsewhere(one, 3) && reco__kv_lock_held_elsewhere(one, 4));
    reco__kv_lock_release(one, 3);
    ck_assert(reco__kv_lock_try(two, 3));
    reco__kv_lock_close(two);
    ck_assert(reco__kv_lock_try(one, 4) && reco__kv_lock_try(one, 3));
    reco__kv_lock_close(one);
    reco__kv_close(kv);
}

START_TEST(locks_exclude_each_other_in_one_process)
{
    lock_checks(0);
    lock_checks(RECO__KV_MEMORY);
}
END_TEST

/* --- what fails --------------------------------------------------------------------------------------------------------------------------------- */

static reco_status use(uint32_t flags, reco_error *err) {
    reco__kv_options options = kv_options(dir, flags);
    options.max_readers = 2;
    reco__kv *kv;
    reco__kv_txn *txn;
    reco__kv_table table;
    reco__kv_lock *lock = NULL;
    reco__kv_value value;
    void *block;
    reco_status status = reco__kv_open(&kv, &options, NULL, err);
    if (status != RECO_OK) {
        return status;
    }
    if ((status = reco__kv_share(&block, kv, "s", 10, NULL, err)) == RECO_OK && (status = reco__kv_lock_open(&lock, kv, err)) == RECO_OK &&
        (status = reco__kv_table_open(&table, kv, "t", err)) == RECO_OK && (status = reco__kv_write_begin(&txn, kv, err)) == RECO_OK) {
        status = reco__kv_put(txn, table, "k", 1, "v", 1, err);
        if (status == RECO_OK) {
            status = reco__kv_commit(txn, err);
        } else {
            reco__kv_abort(txn);
        }
    }
    if (status == RECO_OK && (status = reco__kv_read_begin(&txn, kv, 0, err)) == RECO_OK) {
        reco__kv_cursor *cursors[KV_CURSORS + 2];
        status = reco__kv_get(&value, txn, table, "k", 1, err);
        for (unsigned i = 0; status == RECO_OK && i < KV_CURSORS + 2; i++) {
            status = reco__kv_cursor_open(&cursors[i], txn, table, err);
        }
        reco__kv_read_end(txn);
    }
    reco__kv_lock_close(lock);
    reco__kv_close(kv);
    return status;
}

static reco_status use_memory(void *context, reco_error *err) {
    (void)context;
    return use(RECO__KV_MEMORY, err);
}

static reco_status use_disk(void *context, reco_error *err) {
    (void)context;
    return use(0, err);
}

START_TEST(every_allocation_may_fail)
{
    test_memory_install();
    test_every_allocation(use_memory, NULL, false);
    test_every_allocation(use_disk, NULL, false);
    test_memory_restore();
}
END_TEST

START_TEST(every_planted_fault_is_reported)
{
    static const char *const points[] = {"kv.open",   "kv.lock_open",  "kv.table_open", "kv.write_begin", "kv.put",
                                         "kv.commit", "kv.read_begin", "kv.get",        "kv.cursor"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            reco_error err = RECO_ERROR_INIT;
            reco__fault_plant(points[i], 1, for_ever, RECO_IO);
            test_status(RECO_IO, use(0, &err));
            ck_assert(err.text[0] != '\0');
            ck_assert_uint_ge(reco__fault_plant(NULL, 0, 0, RECO_OK), 1);
        }
    }
    reco_error err = RECO_ERROR_INIT;
    test_ok(use(0, &err), &err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kv");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_is_there_after_opening_again);
    tcase_add_test(tests, one_process_has_one_handle);
    tcase_add_test(tests, bad_options_are_named);
    tcase_add_test(tests, another_format_or_version_is_refused);
    tcase_add_test(tests, a_newer_version_is_refused);
    tcase_add_test(tests, the_store_of_another_program_is_refused);
    tcase_add_test(tests, a_truncated_file_is_refused);
    tcase_add_loop_test(tests, an_empty_or_missing_file_is_a_loss, 0, 4);
    tcase_add_test(tests, a_making_that_was_cut_short_begins_again);
    tcase_add_test(tests, damaged_meta_pages_are_refused);
    tcase_add_test(tests, a_damaged_root_is_refused);
    tcase_add_test(tests, unsynced_content_of_another_boot_is_discarded);
    tcase_add_test(tests, a_reader_sees_one_moment);
    tcase_add_test(tests, writes_are_one_at_a_time);
    tcase_add_test(tests, cursors_agree_with_a_model);
    tcase_add_test(tests, readers_wait_for_the_pool_and_are_told_busy);
    tcase_add_test(tests, it_is_opened_again_under_readers);
    tcase_add_test(tests, a_slot_that_another_process_took_is_given_up);
    tcase_add_test(tests, a_full_map_is_reported_and_survived);
    tcase_add_test(tests, min_free_refuses_writes_but_not_freeing);
    tcase_add_test(tests, the_file_grows_ahead_of_large_transactions);
    tcase_add_test(tests, a_signal_wakes);
    tcase_add_test(tests, locks_exclude_each_other_in_one_process);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, every_planted_fault_is_reported);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
