/* lib/kv between processes: fork, two writers, a writer killed, dead readers, a map that another process made larger, a full disk, another PID
 * namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test_kv.h"

static char dir[256];

static void setup(void) { test_dir_make(dir); }
static void teardown(void) { test_dir_remove(dir); }

/* In children: says what failed and ends the child; the parent asserts its exit. */
#define child_need(condition)                                                                                                                        \
    do {                                                                                                                                             \
        if (!(condition)) {                                                                                                                          \
            fprintf(stderr, "child: %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                                   \
            _exit(1);                                                                                                                                \
        }                                                                                                                                            \
    } while (0)

enum { SKIPPED = 77 };

static pid_t spawn(void (*body)(void *context), void *context) {
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body(context);
        _exit(0);
    }
    return pid;
}

static int exit_of(pid_t pid) {
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kill_child(pid_t pid) {
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(exit_of(pid), 128 + SIGKILL);
}

/* As kv_open, in a child. */
static reco__kv *child_open(uint32_t flags, uint64_t map_size) {
    reco__kv_options options = kv_options(dir, flags);
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv;
    options.map_size = map_size;
    if (reco__kv_open(&kv, &options, NULL, &err) != RECO_OK) {
        fprintf(stderr, "child: %s\n", err.text);
        _exit(1);
    }
    return kv;
}

static void child_put(reco__kv *kv, reco__kv_table table, uint64_t number, const void *value, size_t size) {
    reco__kv_txn *txn;
    uint8_t key[8];
    reco__be64(key, number);
    child_need(reco__kv_write_begin(&txn, kv, NULL) == RECO_OK);
    child_need(reco__kv_put(txn, table, key, 8, value, size, NULL) == RECO_OK);
    child_need(reco__kv_commit(txn, NULL) == RECO_OK);
}

/* --- fork --------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct inherited {
    reco__kv *kv, *memory;
    reco__kv_table table;
    reco__kv_lock *lock;
    int tell, wait;
} inherited;

static void in_forked_child(void *context) {
    inherited *in = context;
    reco__kv_txn *txn;
    reco__kv_table table;
    reco__kv_lock *lock;
    reco__kv_job job = {0};
    reco_error err = RECO_ERROR_INIT;
    child_need(reco__kv_read_begin(&txn, in->kv, 0, &err) == RECO_FORKED && err.text[0]);
    child_need(reco__kv_write_begin(&txn, in->kv, &err) == RECO_FORKED);
    child_need(reco__kv_table_open(&table, in->kv, "a", &err) == RECO_FORKED);
    child_need(reco__kv_submit(in->kv, &job, &err) == RECO_FORKED);
    child_need(reco__kv_lock_open(&lock, in->kv, &err) == RECO_FORKED);
    child_need(!reco__kv_lock_try(in->lock, 9));
    child_need(reco__kv_read_begin(&txn, in->memory, 0, &err) == RECO_FORKED);
    reco__kv_close(in->memory);
    reco__kv_close(in->kv);
    reco__kv *kv = child_open(0, 1u << 30);
    child_need(reco__kv_table_open(&table, kv, "a", &err) == RECO_OK);
    child_put(kv, table, 2, "child", 5);
    reco__kv_close(kv);
    char byte = 'x';
    child_need(write(in->tell, &byte, 1) == 1 && read(in->wait, &byte, 1) == 1);
}

START_TEST(a_forked_child_is_told_and_may_open_anew)
{
    reco_error err = RECO_ERROR_INIT;
    int up[2], down[2];
    char byte = 'x';
    ck_assert(pipe(up) == 0 && pipe(down) == 0);
    inherited in = {kv_open(dir, 0), kv_open(NULL, RECO__KV_MEMORY), 0, NULL, up[1], down[0]};
    in.table = kv_table(in.kv, "a");
    kv_set(in.kv, in.table, 1, "parent", 6);
    test_ok(reco__kv_lock_open(&in.lock, in.kv, &err), &err);
    ck_assert(reco__kv_lock_try(in.lock, 7));
    pid_t pid = spawn(in_forked_child, &in);
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    /* The child lives: our handles go on, and it does not hold on to our locks. */
    ck_assert(kv_has(in.kv, in.table, 1) && kv_has(in.kv, in.table, 2));
    kv_set(in.kv, in.table, 3, "parent", 6);
    reco__kv_lock_close(in.lock);
    test_ok(reco__kv_lock_open(&in.lock, in.kv, &err), &err);
    ck_assert(reco__kv_lock_try(in.lock, 7));
    ck_assert_int_eq(write(down[1], &byte, 1), 1);
    ck_assert_int_eq(exit_of(pid), 0);
    reco__kv_lock_close(in.lock);
    reco__kv_close(in.memory);
    reco__kv_close(in.kv);
    close(up[0]);
    close(up[1]);
    close(down[0]);
    close(down[1]);
}
END_TEST

/* --- two writers -----------------------------------------------------------------------------------------------------------------------------------
 */

enum { EACH = 150 };

static void write_evens(void *context) {
    (void)context;
    reco__kv *kv = child_open(0, 1u << 30);
    reco__kv_table table;
    child_need(reco__kv_table_open(&table, kv, "a", NULL) == RECO_OK);
    for (uint64_t i = 0; i < EACH; i++) {
        child_put(kv, table, 2 * i, "even", 4);
    }
    reco__kv_close(kv);
}

START_TEST(two_processes_write_one_store)
{
    pid_t pid = spawn(write_evens, NULL);
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    for (uint64_t i = 0; i < EACH; i++) {
        kv_set(kv, table, 2 * i + 1, "odd", 3);
    }
    ck_assert_int_eq(exit_of(pid), 0);
    for (uint64_t i = 0; i < 2 * EACH; i++) {
        ck_assert(kv_has(kv, table, i));
    }
    reco__kv_close(kv);
}
END_TEST

/* --- a killed writer
 * ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct writer {
    uint64_t first;
    int tell;
    uint32_t flags;
} writer;

static void write_and_tell(void *context) {
    writer *w = context;
    reco__kv *kv = child_open(w->flags, 1u << 30);
    reco__kv_table table;
    static char value[3000];
    child_need(reco__kv_table_open(&table, kv, "a", NULL) == RECO_OK);
    for (uint64_t i = w->first;; i++) {
        child_put(kv, table, i, value, sizeof value);
        child_need(write(w->tell, &i, sizeof i) == sizeof i);
    }
}

/* Rounds of: a child writes and acknowledges by a pipe, and is killed at some moment. What was acknowledged is there. */
static void killed_writer(uint32_t flags, bool keep_open) {
    reco__kv *kv = keep_open ? kv_open(dir, flags) : NULL;
    reco__rand rand;
    uint64_t next = 0;
    reco__rand_seed(&rand, flags + keep_open);
    for (int round = 0; round < 10; round++) {
        int pipes[2];
        uint64_t last = UINT64_MAX, seen;
        ck_assert_int_eq(pipe(pipes), 0);
        writer w = {next, pipes[1], flags};
        pid_t pid = spawn(write_and_tell, &w);
        close(pipes[1]);
        uint64_t wanted = 1 + reco__rand_below(&rand, 30);
        for (uint64_t i = 0; i < wanted; i++) {
            ck_assert_int_eq(read(pipes[0], &last, sizeof last), sizeof last);
        }
        usleep((useconds_t)reco__rand_below(&rand, 2000));
        kill_child(pid);
        while (read(pipes[0], &seen, sizeof seen) == sizeof seen) {
            last = seen;
        }
        close(pipes[0]);
        if (!keep_open) {
            kv = kv_open(dir, flags);
        }
        reco__kv_table table = kv_table(kv, "a");
        for (uint64_t i = 0; i <= last; i++) {
            ck_assert(kv_has(kv, table, i));
        }
        kv_set(kv, table, last + 2, "parent", 6);
        next = last + 3;
        for (uint64_t i = last + 1; i < next; i++) { /* so that all up to next are there */
            kv_set(kv, table, i, "parent", 6);
        }
        if (!keep_open) {
            reco__kv_close(kv);
        }
    }
    if (keep_open) {
        reco__kv_close(kv);
    }
}

START_TEST(what_a_killed_writer_acknowledged_is_there)
{
    killed_writer(0, false);
    killed_writer(0, true);
}
END_TEST

START_TEST(without_sync_too)
{ killed_writer(RECO__KV_NOSYNC, false); }
END_TEST

static void die_in_a_transaction(void *context) {
    int tell = *(int *)context;
    reco__kv *kv = child_open(0, 1u << 30);
    reco__kv_table table;
    reco__kv_txn *txn;
    child_need(reco__kv_table_open(&table, kv, "a", NULL) == RECO_OK);
    child_need(reco__kv_write_begin(&txn, kv, NULL) == RECO_OK);
    child_need(reco__kv_put(txn, table, "lost", 4, "x", 1, NULL) == RECO_OK);
    child_need(write(tell, "x", 1) == 1);
    pause();
}

START_TEST(a_writer_killed_within_a_transaction_leaves_no_lock)
{
    int pipes[2];
    char byte;
    ck_assert_int_eq(pipe(pipes), 0);
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    pid_t pid = spawn(die_in_a_transaction, &pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    kill_child(pid);
    kv_set(kv, table, 1, "x", 1);
    uint64_t entries, bytes;
    ck_assert_int_eq(reco__kv_table_stat(&entries, &bytes, kv, table, NULL), RECO_OK);
    ck_assert_uint_eq(entries, 1);
    reco__kv_close(kv);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

/* --- maps and readers
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static void write_beyond_the_map(void *context) {
    (void)context;
    static char value[100000];
    reco__kv *kv = child_open(0, 64u << 20);
    reco__kv_table table;
    child_need(reco__kv_table_open(&table, kv, "a", NULL) == RECO_OK);
    for (uint64_t i = 0; i < 100; i++) {
        child_put(kv, table, i, value, sizeof value);
    }
    reco__kv_close(kv);
}

START_TEST(a_map_made_larger_by_another_process_is_adopted)
{
    reco_error err = RECO_ERROR_INIT;
    for (int writes_first = 0; writes_first < 2; writes_first++) {
        reco__kv_options options = kv_options(dir, 0);
        options.map_size = 1u << 20;
        reco__kv *kv;
        test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
        reco__kv_table table = kv_table(kv, "a");
        ck_assert_int_eq(exit_of(spawn(write_beyond_the_map, NULL)), 0);
        if (writes_first) {
            kv_set(kv, table, 1000, "x", 1);
        }
        for (uint64_t i = 0; i < 100; i++) {
            ck_assert(kv_has(kv, table, i));
        }
        kv_set(kv, table, 1001, "x", 1);
        reco__kv_close(kv);
        test_dir_remove(dir);
        ck_assert_int_eq(mkdir(dir, 0700), 0);
    }
}
END_TEST

static void die_reading(void *context) {
    int tell = *(int *)context;
    reco__kv *kv = child_open(0, 4u << 20);
    reco__kv_txn *txn;
    child_need(reco__kv_read_begin(&txn, kv, RECO__KV_LONG, NULL) == RECO_OK);
    child_need(write(tell, "x", 1) == 1);
    pause();
}

static reco_status fill_some(reco__kv_txn *txn, reco__kv_job *job, reco_error *err) {
    static char value[400000];
    return reco__kv_put(txn, *(reco__kv_table *)job->context, "k", 1, value, sizeof value, err);
}

START_TEST(pages_held_by_a_dead_reader_come_free)
{
    reco_error err = RECO_ERROR_INIT;
    int pipes[2];
    char byte;
    ck_assert_int_eq(pipe(pipes), 0);
    reco__kv_options options = kv_options(dir, 0);
    options.map_size = 4u << 20;
    reco__kv *kv;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    reco__kv_table table = kv_table(kv, "a");
    pid_t pid = spawn(die_reading, &pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    reco_status status = RECO_OK;
    for (int i = 0; i < 100 && status == RECO_OK; i++) { /* the map of 4 MiB fills up while the reader lives */
        reco__kv_job job = {.run = fill_some, .context = &table, .records = 1};
        test_ok(reco__kv_submit(kv, &job, &err), &err);
        status = reco__kv_wait(kv, &job, NULL, &err);
    }
    test_status(RECO_FULL, status);
    kill_child(pid);
    for (int i = 0; i < 100; i++) {
        reco__kv_job job = {.run = fill_some, .context = &table, .records = 1};
        test_ok(reco__kv_submit(kv, &job, &err), &err);
        test_ok(reco__kv_wait(kv, &job, NULL, &err), &err);
    }
    reco__kv_close(kv);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

/* --- where it may lie
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static void report_skip(const char *what, int error) {
    printf("skipped: %s (%s)\n", what, strerror(error));
    fflush(stdout); /* _exit does not */
}

/* In a mount namespace of the child's own: a tmpfs of 16 MiB, filled by a ballast file and the store. */
static void on_a_small_disk(void *context) {
    (void)context;
    static char value[50000], block[1 << 20];
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("tmpfs", dir, "tmpfs", 0, "size=16m") != 0) {
        report_skip("a small disk needs a mount of its own", errno);
        _exit(SKIPPED);
    }
    char ballast[300];
    snprintf(ballast, sizeof ballast, "%s/ballast", dir);
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 8; i++) {
        child_need(write(fd, block, sizeof block) == (ssize_t)sizeof block);
    }
    close(fd);
    reco__kv *kv = child_open(0, 1u << 30);
    reco__kv_table table;
    child_need(reco__kv_table_open(&table, kv, "a", NULL) == RECO_OK);
    for (int round = 0; round < 2; round++) {
        reco_status status = RECO_OK;
        reco_error err = RECO_ERROR_INIT;
        uint64_t written = 0;
        while (status == RECO_OK && written < 1000) {
            reco__kv_txn *txn;
            uint8_t key[8];
            reco__be64(key, (uint64_t)round * 1000 + written);
            child_need(reco__kv_write_begin(&txn, kv, &err) == RECO_OK);
            child_need(reco__kv_put(txn, table, key, 8, value, sizeof value, &err) == RECO_OK);
            status = reco__kv_commit(txn, &err);
            written += status == RECO_OK;
        }
        child_need(status == RECO_FULL && err.text[0]);
        child_need(written > 50 && written < 1000);
        reco__kv_txn *txn;
        child_need(reco__kv_read_begin(&txn, kv, 0, &err) == RECO_OK);
        for (uint64_t i = 0; i < written; i++) {
            uint8_t key[8];
            reco__kv_value found;
            reco__be64(key, (uint64_t)round * 1000 + i);
            child_need(reco__kv_get(&found, txn, table, key, 8, &err) == RECO_OK && found.size == sizeof value);
        }
        reco__kv_read_end(txn);
        unlink(ballast); /* and it goes on */
    }
    reco__kv_close(kv);
    kv = child_open(0, 1u << 30);
    reco__kv_close(kv);
    child_need(umount2(dir, MNT_DETACH) == 0);
}

START_TEST(a_full_disk_is_full_and_nothing_worse)
{
    int result = exit_of(spawn(on_a_small_disk, NULL));
    ck_assert(result == 0 || result == SKIPPED);
}
END_TEST

static void open_in_another_namespace(void *context) {
    reco_status expected = *(reco_status *)context;
    if (unshare(CLONE_NEWPID) != 0) {
        report_skip("another PID namespace", errno);
        _exit(SKIPPED);
    }
    pid_t pid = fork();
    child_need(pid >= 0);
    if (pid == 0) {
        reco__kv_options options = kv_options(dir, 0);
        reco_error err = RECO_ERROR_INIT;
        reco__kv *kv;
        reco_status status = reco__kv_open(&kv, &options, NULL, &err);
        if (status != expected) {
            fprintf(stderr, "child: %s: %s\n", reco_status_name((int32_t)status), err.text);
        }
        reco__kv_close(kv);
        _exit(status != expected);
    }
    int status;
    child_need(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(another_pid_namespace_is_refused_while_we_live)
{
    reco_status refused = RECO_REFUSED, ok = RECO_OK;
    reco__kv *kv = kv_open(dir, 0);
    int result = exit_of(spawn(open_in_another_namespace, &refused));
    ck_assert(result == 0 || result == SKIPPED);
    reco__kv_close(kv);
    result = exit_of(spawn(open_in_another_namespace, &ok));
    ck_assert(result == 0 || result == SKIPPED);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kv process");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_forked_child_is_told_and_may_open_anew);
    tcase_add_test(tests, two_processes_write_one_store);
    tcase_add_test(tests, what_a_killed_writer_acknowledged_is_there);
    tcase_add_test(tests, without_sync_too);
    tcase_add_test(tests, a_writer_killed_within_a_transaction_leaves_no_lock);
    tcase_add_test(tests, a_map_made_larger_by_another_process_is_adopted);
    tcase_add_test(tests, pages_held_by_a_dead_reader_come_free);
    tcase_add_test(tests, a_full_disk_is_full_and_nothing_worse);
    tcase_add_test(tests, another_pid_namespace_is_refused_while_we_live);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
