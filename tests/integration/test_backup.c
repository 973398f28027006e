/* tests/integration/test_backup.c - backup and restore: what was acknowledged before is in it, what it holds fits together, and nothing half-made is
 * taken for a whole, whoever writes, is killed, alters the file or fills the disk meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

static char dir[256], data_path[320], backup_path[320], copy_path[320];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    snprintf(backup_path, sizeof backup_path, "%s/backup", dir);
    snprintf(copy_path, sizeof copy_path, "%s/copy", dir);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) { test_dir_remove(dir); }

static bool there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* "name", "value", ..., NULL over the usual ones. */
static reco_settings *settings_of(const char *data, const char *const *more) {
    reco_settings *settings = NULL;
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "limits.map_size", "8GiB", &err), &err);
    test_ok(reco_settings_set(settings, "data", data, &err), &err);
    for (size_t i = 0; more && more[i]; i += 2)
        test_ok(reco_settings_set(settings, more[i], more[i + 1], &err), &err);
    return settings;
}

static reco_status restore_with(const char *from, const char *to, const char *const *more) {
    reco_settings *settings = settings_of(to, more);
    err = (reco_error)RECO_ERROR_INIT;
    reco_status status = reco_restore(NULL, from, settings, 0, NULL, &err);
    reco_settings_free(settings);
    return status;
}

static reco_status restore_to(const char *from, const char *to) { return restore_with(from, to, NULL); }

static reco_status check(reco_backup_result *out, const char *path) {
    *out = (reco_backup_result){.struct_size = sizeof *out};
    err = (reco_error)RECO_ERROR_INIT;
    return reco_restore(out, path, NULL, RECO_RESTORE_CHECK, NULL, &err);
}

static void tell_many(reco_engine *engine, const char *who, int from, int to) {
    char user[32], item[32], id[48];
    for (int i = from; i < to; i++) {
        snprintf(user, sizeof user, "%s%d", who, i % 17);
        snprintf(item, sizeof item, "item%d", i * 7 % 23);
        snprintf(id, sizeof id, "%s-%d", who, i);
        reco_event event = test_event(user, item, "view");
        event.event_id = reco__str_of(id);
        test_engine_tell(NULL, engine, &event);
    }
}

static void know_some(reco_engine *engine) {
    reco_item item = {.item_id = {"item7", 5}, .title = {"Seven", 5}};
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
}

static void make_source(void) {
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    know_some(engine);
    tell_many(engine, "u", 0, 300);
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
}

static void make_backup(void) {
    make_source();
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_ok(reco_backup(NULL, engine, backup_path, NULL, &err), &err);
    reco_close(engine);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_copy_is_the_same)
{
    char source[40], copy[40], position[RECO_POSITION_MAX];
    char *json = NULL;
    reco_backup_result result = {.struct_size = sizeof result}, looked;
    make_source();
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    tell_many(engine, "v", 0, 100); /* in the stream, and not learned */
    reco_event event = test_event("late", "item1", "view");
    test_engine_tell(position, engine, &event);
    test_ok(reco_backup(&result, engine, backup_path, NULL, &err), &err);
    ck_assert_uint_ge(result.records, 401);
    ck_assert_uint_ge(result.unlearned, 101);
    ck_assert_uint_ge(result.documents, 2); /* the item and the key */
    ck_assert_uint_eq(result.namespaces, 1);
    ck_assert_str_eq(result.space, "default");
    test_engine_hash(source, engine);
    ck_assert_str_eq(result.hash, source);
    test_ok(check(&looked, backup_path), &err);
    ck_assert_mem_eq(&looked, &result, sizeof result);
    ck_assert_uint_eq(looked.bytes, result.bytes);

    test_ok(restore_to(backup_path, copy_path), &err);
    reco_engine *restored = test_engine_open(copy_path, 0, NULL);
    test_engine_hash(copy, restored);
    ck_assert_str_eq(copy, source);
    test_engine_verify(restored, NULL);
    test_engine_learn(restored, 0, NULL);
    test_engine_learn(engine, 0, NULL);
    test_engine_hash(source, engine);
    test_engine_hash(copy, restored);
    ck_assert_str_eq(copy, source);
    test_engine_verify(restored, NULL);
    /* Positions given out before mean the same; items are known; the same key signs; it goes on. */
    test_ok(reco_wait(restored, reco__str_of(position), 0, NULL, &err), &err);
    test_ok(reco_item_get(&json, restored, (reco_str){"item7", 5}, NULL, &err), &err);
    ck_assert_ptr_nonnull(strstr(json, "Seven"));
    reco_free(json);
    ck_assert_mem_eq(restored->signing_key, engine->signing_key, 16);
    tell_many(restored, "w", 0, 50);
    test_engine_learn(restored, 0, NULL);
    test_engine_verify(restored, NULL);
    reco_close(restored);
    reco_close(engine);
    engine = test_engine_open(data_path, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(nothing_is_a_state_too)
{
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_ok(reco_backup(NULL, engine, backup_path, NULL, &err), &err);
    reco_close(engine);
    ck_assert_int_eq(mkdir(copy_path, 0700), 0); /* an empty directory will do */
    test_ok(restore_to(backup_path, copy_path), &err);
    engine = test_engine_open(copy_path, 0, NULL);
    tell_many(engine, "u", 0, 20);
    test_engine_learn(engine, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(all_namespaces_are_in_it)
{
    static const char *const other[] = {"namespace", "other", "partitions", "2", NULL};
    char hash[40], again[40];
    make_source();
    reco_engine *second = test_engine_open(data_path, 0, other);
    tell_many(second, "o", 0, 60);
    test_engine_learn(second, 0, NULL);
    test_engine_hash(hash, second);
    reco_close(second);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    reco_backup_result result = {.struct_size = sizeof result};
    test_ok(reco_backup(&result, engine, backup_path, NULL, &err), &err);
    ck_assert_uint_eq(result.namespaces, 2);
    reco_close(engine);
    test_status(RECO_REFUSED, restore_with(backup_path, copy_path, other));
    ck_assert_str_eq(err.field, "namespace");
    test_ok(restore_to(backup_path, copy_path), &err);
    second = test_engine_open(copy_path, 0, other);
    test_engine_learn(second, 0, NULL); /* again, from its stream */
    test_engine_hash(again, second);
    ck_assert_str_eq(again, hash);
    reco_close(second);
    engine = test_engine_open(copy_path, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

/* A stream that was trimmed keeps its offsets, and what was learned of what is gone. */
START_TEST(a_trimmed_stream)
{
    char source[40], copy[40];
    make_source();
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    for (uint32_t p = 0; p < engine->partitions; p++)
        test_ok(reco__stream_trim(engine->stream, p, p == 0 ? INT64_MAX : 10, NULL, &err), &err);
    test_ok(reco_backup(NULL, engine, backup_path, NULL, &err), &err);
    test_engine_hash(source, engine);
    reco_close(engine);
    test_ok(restore_to(backup_path, copy_path), &err);
    engine = test_engine_open(copy_path, 0, NULL);
    test_engine_hash(copy, engine);
    ck_assert_str_eq(copy, source);
    tell_many(engine, "w", 0, 50);
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
}
END_TEST

/* --- beside writers ------------------------------------------------------------------------------------------------------------------------- */

enum { WRITERS = 2, ROUNDS = 4 };

typedef struct shared {
    atomic_uint_fast64_t told[WRITERS]; /* acknowledged */
    atomic_bool stop;
} shared;

static void write_on(shared *all, int writer) {
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    char user[32], item[48];
    for (uint64_t n = 0; !atomic_load(&all->stop); n++) {
        snprintf(user, sizeof user, "w%d", writer);
        snprintf(item, sizeof item, "%llu", (unsigned long long)n);
        reco_event event = test_event(user, item, "view");
        test_engine_tell(NULL, engine, &event);
        atomic_store(&all->told[writer], n + 1);
    }
    reco_close(engine);
}

static void learn_on(shared *all) {
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    while (!atomic_load(&all->stop))
        test_engine_learn(engine, 100, NULL);
    reco_close(engine);
}

typedef struct seen {
    uint64_t counts[WRITERS];
} seen;

static int see(void *context, int64_t offset, const void *bytes, size_t size) {
    seen *all = context;
    reco__record record;
    (void)offset;
    ck_assert_int_eq(reco__envelope_decode(&record, bytes, size, NULL), RECO_OK);
    if (record.type == RECO__RECORD_EVENT && record.event.user_id.size == 2 && record.event.user_id.data[0] == 'w')
        all->counts[record.event.user_id.data[1] - '0']++;
    return 0;
}

static void check_copy(const uint64_t *least) {
    reco_engine *engine = test_engine_open(copy_path, 0, NULL);
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    seen all = {{0}};
    test_engine_verify(engine, NULL);
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++)
        for (int64_t at = spans[p].begin; at < spans[p].end; at += 1000)
            test_ok(reco__stream_read(engine->stream, p, at, 1000, 64u << 20, see, &all, NULL, &err), &err);
    for (int w = 0; w < WRITERS; w++)
        ck_assert_msg(all.counts[w] >= least[w], "writer %d: %llu of %llu acknowledged before", w, (unsigned long long)all.counts[w],
                      (unsigned long long)least[w]);
    test_engine_learn(engine, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}

static bool all_tell(void *context) {
    shared *all = context;
    for (int w = 0; w < WRITERS; w++)
        if (atomic_load(&all->told[w]) == 0)
            return false;
    return true;
}

START_TEST(beside_writers)
{
    shared *all = test_shared(sizeof *all);
    pid_t children[WRITERS + 1];
    make_source();
    for (int i = 0; i <= WRITERS; i++) {
        children[i] = test_fork();
        if (children[i] == 0) {
            if (i < WRITERS)
                write_on(all, i);
            else
                learn_on(all);
            _exit(0);
        }
    }
    ck_assert(test_wait(all_tell, all, 20000));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t least[WRITERS];
        reco_engine *engine = test_engine_open(data_path, 0, NULL);
        for (int w = 0; w < WRITERS; w++)
            least[w] = atomic_load(&all->told[w]);
        test_ok(reco_backup(NULL, engine, backup_path, NULL, &err), &err);
        reco_close(engine);
        test_ok(restore_to(backup_path, copy_path), &err);
        check_copy(least);
        test_dir_remove(copy_path);
        ck_assert_int_eq(unlink(backup_path), 0);
    }
    atomic_store(&all->stop, true);
    for (int i = 0; i <= WRITERS; i++)
        ck_assert_int_eq(test_child_end(children[i]), 0);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

/* --- killed --------------------------------------------------------------------------------------------------------------------------------- */

static int64_t spent_us(int64_t since_ns) { return (reco__monotonic_ns() - since_ns) / 1000; }

static void pause_us(int64_t us) { nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL); }

/* Ends a child that does something of about `whole_us` at a random moment of it. */
static void kill_within(pid_t child, int64_t whole_us, uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    pause_us((int64_t)((*seed >> 33) % (uint64_t)(whole_us + whole_us / 4 + 1)));
    kill(child, SIGKILL);
    test_child_end(child);
}

static void child_backup(void) {
    reco_engine *engine = NULL;
    if (test_engine_try(&engine, data_path, 0, NULL, &err) != RECO_OK || reco_backup(NULL, engine, backup_path, NULL, &err) != RECO_OK)
        test_child_fail("backup", &err);
    reco_close(engine);
    _exit(0);
}

START_TEST(a_killed_backup_is_none)
{
    char partial[340], before[40], after[40];
    uint64_t seed = 7, whole = 0, cut = 0;
    reco_backup_result found;
    snprintf(partial, sizeof partial, "%s.partial", backup_path);
    make_source();
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_engine_hash(before, engine);
    reco_close(engine);
    int64_t began = reco__monotonic_ns();
    pid_t child = test_fork();
    if (child == 0)
        child_backup();
    ck_assert_int_eq(test_child_end(child), 0);
    int64_t whole_us = spent_us(began);
    for (int round = 0; round < (test_full() ? 200 : 12); round++) {
        unlink(backup_path);
        child = test_fork();
        if (child == 0)
            child_backup();
        kill_within(child, whole_us, &seed);
        if (there(backup_path)) {
            test_ok(check(&found, backup_path), &err);
            ck_assert_str_eq(found.hash, before);
            whole++;
        } else if (there(partial)) {
            reco_status status = check(&found, partial);
            ck_assert_msg(status == RECO_CORRUPT || status == RECO_OK, "%s", reco_status_name(status)); /* OK: only the renaming was missing */
            cut++;
        }
    }
    printf("backups killed: %llu whole, %llu cut off\n", (unsigned long long)whole, (unsigned long long)cut);
    unlink(backup_path);
    engine = test_engine_open(data_path, 0, NULL);
    test_ok(reco_backup(NULL, engine, backup_path, NULL, &err), &err); /* over whatever was left */
    ck_assert(!there(partial));
    test_engine_hash(after, engine);
    ck_assert_str_eq(after, before);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

START_TEST(a_killed_restore_is_none)
{
    char partial[340];
    uint64_t seed = 11, whole = 0, cut = 0;
    snprintf(partial, sizeof partial, "%s.partial", copy_path);
    make_backup();
    int64_t began = reco__monotonic_ns();
    test_ok(restore_to(backup_path, copy_path), &err);
    int64_t whole_us = spent_us(began);
    for (int round = 0; round < (test_full() ? 200 : 12); round++) {
        test_dir_remove(copy_path);
        pid_t child = test_fork();
        if (child == 0)
            _exit(restore_to(backup_path, copy_path) == RECO_OK ? 0 : 2);
        kill_within(child, whole_us, &seed);
        cut += there(partial);
        if (there(copy_path)) {
            reco_engine *engine = test_engine_open(copy_path, 0, NULL);
            test_engine_verify(engine, NULL);
            reco_close(engine);
            whole++;
        }
    }
    printf("restores killed: %llu whole, %llu cut off\n", (unsigned long long)whole, (unsigned long long)cut);
    test_dir_remove(copy_path);
    test_ok(restore_to(backup_path, copy_path), &err); /* over whatever was left */
    ck_assert(!there(partial));
    reco_engine *engine = test_engine_open(copy_path, 0, NULL);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

/* --- altered -------------------------------------------------------------------------------------------------------------------------------- */

static char *read_file(size_t *size) {
    FILE *file = fopen(backup_path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void refused(const char *path, const char *what, size_t at) {
    reco_status status = restore_to(path, copy_path);
    ck_assert_msg(status == RECO_CORRUPT || status == RECO_NEWER, "%s at %zu: %s %s", what, at, reco_status_name(status), err.text);
    ck_assert_str_eq(err.field, "backup");
    ck_assert_msg(err.text[0], "%s at %zu: no words", what, at);
    ck_assert_msg(!there(copy_path), "%s at %zu: something was made", what, at);
}

START_TEST(altered_and_cut_off)
{
    char altered[320], partial[340];
    size_t size;
    make_backup();
    char *bytes = read_file(&size);
    snprintf(altered, sizeof altered, "%s/altered", dir);
    snprintf(partial, sizeof partial, "%s.partial", copy_path);
    size_t step = test_full() ? 1 : size / 100 + 1;
    for (size_t at = 0; at < size; at += at < 32 || at + 32 > size ? 1 : step) {
        bytes[at] ^= 0x20;
        write_file(altered, bytes, size);
        refused(altered, "a byte altered", at);
        bytes[at] ^= 0x20;
        write_file(altered, bytes, at);
        refused(altered, "cut off", at);
    }
    bytes[size] = 'x';
    write_file(altered, bytes, size + 1);
    refused(altered, "a byte more", size);
    bytes[8]++; /* the version */
    write_file(altered, bytes, size);
    test_status(RECO_NEWER, restore_to(altered, copy_path));
    ck_assert(!there(partial));
    bytes[8]--;
    write_file(altered, bytes, size); /* and as it was it is good */
    test_ok(restore_to(altered, copy_path), &err);
    free(bytes);
}
END_TEST

/* --- refused -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_cannot_be)
{
    static const char *const rules[] = {"coview.length", "1d", NULL}, *const server[] = {"stream", "lmdb:/elsewhere", NULL};
    char path[360], inside[400];
    make_backup();
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    err = (reco_error)RECO_ERROR_INIT;
    test_status(RECO_CONFLICT, reco_backup(NULL, engine, backup_path, NULL, &err));
    test_status(RECO_INVALID, reco_backup(NULL, engine, "", NULL, &err));
    test_status(RECO_INVALID, reco_backup(NULL, engine, NULL, NULL, &err));
    snprintf(path, sizeof path, "%s/none/such", dir);
    test_status(RECO_IO, reco_backup(NULL, engine, path, NULL, &err));
    /* Two to one name at once. */
    snprintf(path, sizeof path, "%s/second", dir);
    snprintf(inside, sizeof inside, "%s.partial", path);
    int fd = open(inside, O_RDWR | O_CREAT, 0600);
    ck_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    test_status(RECO_BUSY, reco_backup(NULL, engine, path, NULL, &err));
    close(fd);
    test_ok(reco_backup(NULL, engine, path, NULL, &err), &err);
    volatile int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    snprintf(path, sizeof path, "%s/third", dir);
    test_status(RECO_CANCELLED, reco_backup(NULL, engine, path, &call, &err));
    ck_assert(!there(path));
    reco_close(engine);

    engine = test_engine_open("memory:", 0, NULL);
    test_status(RECO_UNSUPPORTED, reco_backup(NULL, engine, path, NULL, &err));
    ck_assert_msg(strstr(err.text, "memory") != NULL, "%s", err.text);
    reco_close(engine);

    test_status(RECO_CONFLICT, restore_to(backup_path, data_path));
    ck_assert_str_eq(err.field, "data");
    test_status(RECO_REFUSED, restore_with(backup_path, copy_path, rules));
    ck_assert_msg(strstr(err.text, "coview.length") != NULL, "%s", err.text);
    ck_assert(!there(copy_path));
    test_status(RECO_UNSUPPORTED, restore_with(backup_path, copy_path, server));
    test_status(RECO_INVALID, restore_to(backup_path, "memory:"));
    snprintf(path, sizeof path, "%s/none", dir);
    test_status(RECO_NOT_FOUND, restore_to(path, copy_path));
    test_status(RECO_INVALID, restore_to(dir, copy_path));
    write_file(copy_path, "x", 1);
    test_status(RECO_CONFLICT, restore_to(backup_path, copy_path));
    unlink(copy_path);
    /* What nobody but a restore has made is not removed. */
    snprintf(path, sizeof path, "%s.partial", copy_path);
    snprintf(inside, sizeof inside, "%s.partial/letters", copy_path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_file(inside, "dear", 4);
    test_status(RECO_CONFLICT, restore_to(backup_path, copy_path));
    ck_assert(there(inside));
    unlink(inside);
    test_status(RECO_CONFLICT, restore_to(backup_path, "/proc/self/"));
    test_ok(restore_to(backup_path, copy_path), &err);
}
END_TEST

/* --- a disk that is full -------------------------------------------------------------------------------------------------------------------- */

static void fill_up(const char *path, uint64_t leave) {
    static char zeros[65536];
    char name[400];
    snprintf(name, sizeof name, "%s/filler", path);
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    while (write(fd, zeros, sizeof zeros) > 0)
        continue;
    struct stat st;
    if (fstat(fd, &st) != 0 || ftruncate(fd, st.st_size > (off_t)leave ? st.st_size - (off_t)leave : 0) != 0)
        _exit(3);
    close(fd);
}

static void expect_full(reco_status status, const char *path, const char *what) {
    char partial[400];
    snprintf(partial, sizeof partial, "%s.partial", path);
    if (status != RECO_FULL || there(path) || there(partial)) {
        fprintf(stderr, "%s: %s %s\n", what, reco_status_name(status), err.text);
        _exit(4);
    }
}

static void on_a_small_disk(void) {
    char small[320], path[360], restored[360];
    snprintf(small, sizeof small, "%s/small", dir);
    snprintf(path, sizeof path, "%s/backup", small);
    snprintf(restored, sizeof restored, "%s/copy", small);
    mkdir(small, 0700);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("none", small, "tmpfs", 0, "size=16m") != 0)
        _exit(77); /* not allowed here */
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    for (uint64_t leave = 0; leave <= 40960; leave += 8192) {
        fill_up(small, leave);
        err = (reco_error)RECO_ERROR_INIT;
        reco_status status = reco_backup(NULL, engine, path, NULL, &err);
        if (leave < 16384 || status != RECO_OK)
            expect_full(status, path, "backup");
        unlink(path);
    }
    test_engine_verify(engine, NULL);
    reco_close(engine);
    static const char *const any[] = {"limits.min_free", "0", NULL};
    for (uint64_t leave = 0; leave < 262144; leave += 32768) {
        fill_up(small, leave);
        reco_status status = restore_with(backup_path, restored, any);
        if (leave < 65536 || status != RECO_OK)
            expect_full(status, restored, "restore");
        if (status == RECO_OK)
            test_dir_remove(restored);
    }
    fill_up(small, 8u << 20);
    expect_full(restore_to(backup_path, restored), restored, "restore below min_free");
    test_ok(restore_with(backup_path, restored, any), &err);
    test_status(RECO_CONFLICT, restore_to(backup_path, small)); /* where the disk is mounted */
    _exit(0);
}

START_TEST(a_full_disk)
{
    make_backup();
    pid_t child = test_fork();
    if (child == 0)
        on_a_small_disk();
    int end = test_child_end(child);
    ck_assert_msg(end == 0 || end == 77, "the child ended with %d", end);
    /* On the disk of the stores it stops where they are to have room. */
    static const char *const much[] = {"limits.min_free", "1TiB", NULL};
    char path[320];
    snprintf(path, sizeof path, "%s/another", dir);
    reco_engine *engine = test_engine_open(data_path, 0, much);
    err = (reco_error)RECO_ERROR_INIT;
    test_status(RECO_FULL, reco_backup(NULL, engine, path, NULL, &err));
    ck_assert_str_eq(err.field, "min_free");
    ck_assert(!there(path));
    reco_close(engine);
}
END_TEST

/* --- no memory ------------------------------------------------------------------------------------------------------------------------------ */

static reco_engine *under;

static reco_status back_up(void *context, reco_error *error) {
    (void)context;
    reco_status status = reco_backup(NULL, under, backup_path, NULL, error);
    ck_assert(there(backup_path) == (status == RECO_OK));
    unlink(backup_path);
    return status;
}

static reco_status bring_back(void *context, reco_error *error) {
    reco_status status = reco_restore(NULL, backup_path, context, 0, NULL, error);
    ck_assert(there(copy_path) == (status == RECO_OK));
    test_dir_remove(copy_path);
    return status;
}

START_TEST(no_memory)
{
    static const char *const little[] = {"limits.map_size", "64MiB", NULL};
    if (access("/dev/shm", W_OK) == 0) { /* hundreds of times: where a sync costs nothing */
        teardown();
        setenv("TMPDIR", "/dev/shm", 1);
        setup();
    }
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    tell_many(engine, "u", 0, 20);
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
    test_memory_install();
    under = test_engine_open(data_path, 0, little);
    test_every_allocation(back_up, NULL, false);
    test_ok(reco_backup(NULL, under, backup_path, NULL, &err), &err);
    reco_close(under);
    reco_settings *settings = settings_of(copy_path, little);
    test_every_allocation(bring_back, settings, false);
    reco_settings_free(settings);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("backup");
    TCase *tests = tcase_create("backup");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_copy_is_the_same);
    tcase_add_test(tests, nothing_is_a_state_too);
    tcase_add_test(tests, all_namespaces_are_in_it);
    tcase_add_test(tests, a_trimmed_stream);
    tcase_add_test(tests, beside_writers);
    tcase_add_test(tests, a_killed_backup_is_none);
    tcase_add_test(tests, a_killed_restore_is_none);
    tcase_add_test(tests, altered_and_cut_off);
    tcase_add_test(tests, what_cannot_be);
    tcase_add_test(tests, a_full_disk);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
