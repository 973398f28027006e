/* tests/integration/test_failures.c - what goes wrong around an engine on one machine: disks that fill up or fail, files that were cut, folders that
 * may not be written, containers, clocks that jump, and processes killed while they close generations and trim the stream.
 *
 * The table of each kind names the status and the words that are expected. Behind every failure stands the same audit: what was acknowledged is in
 * the stream or was learned, the rest of the engine goes on or opens again, and verify finds it equal.
 *
 * This program has its own pwrite, pwritev, fdatasync, fsync, msync and clock_gettime in place of the C library's, for LMDB and the engine too, so
 * that they fail, and clocks jump, when it says so. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/snapshots.h"
#include "support/engine.h"

/* --- in place of the C library's --------------------------------------------------------------------------------------------------------------- */

enum { WRITES = 1, SYNCS = 2 };

static struct {
    int what;  /* WRITES, SYNCS */
    int after; /* so many first */
    int error; /* 0: none fails */
    int fired;
} trouble;

static int64_t wall_jump_ms, steady_jump_ms;

/* What is hidden in a program, as everything here is by default, a shared library does not find: LMDB would go on to call the C library's. */
#pragma GCC visibility push(default)

static bool fails(int what) {
    if (!trouble.error || !(trouble.what & what) || trouble.after-- > 0)
        return false;
    trouble.fired++;
    errno = trouble.error;
    return true;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return fails(WRITES) ? -1 : syscall(SYS_pwrite64, fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return fails(WRITES) ? -1 : syscall(SYS_pwritev, fd, parts, count, at, (off_t)0);
}
int fdatasync(int fd) { return fails(SYNCS) ? -1 : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return fails(SYNCS) ? -1 : (int)syscall(SYS_fsync, fd); }
int msync(void *data, size_t size, int flags) { return fails(SYNCS) ? -1 : (int)syscall(SYS_msync, data, size, flags); }

int clock_gettime(clockid_t clock, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, clock, out);
    if (failed == 0 && clock == CLOCK_REALTIME)
        out->tv_sec += wall_jump_ms / 1000;
    if (failed == 0 && clock == CLOCK_MONOTONIC)
        out->tv_sec += steady_jump_ms / 1000;
    return failed;
}

#pragma GCC visibility pop

/* --- the engine under test --------------------------------------------------------------------------------------------------------------------- */

enum { EVENTS = 40000 };
static const char *const plain[] = {"limits.min_free", "0B", NULL};

static char dir[256], data_path[320];
static reco_error err;
static reco_engine *engine;
static uint8_t *acked; /* by number of the event */
static int next_event;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
    acked = test_shared(EVENTS);
}

static void teardown(void) {
    trouble.error = 0;
    reco_close(engine);
    engine = NULL;
    test_dir_remove(dir);
}

/* One event, with `size` bytes of properties. */
static reco_status tell_one(size_t size) {
    static char bytes[16000];
    char user[16], item[16], id[16];
    int number = next_event++;
    ck_assert_int_lt(number, EVENTS);
    snprintf(user, sizeof user, "u%d", number % 7);
    snprintf(item, sizeof item, "i%d", number % 11);
    snprintf(id, sizeof id, "e%d", number);
    reco_event event = test_event(user, item, "view");
    event.event_id = (reco_str){id, strlen(id)};
    if (size) {
        memset(bytes, 'x', size);
        memcpy(bytes, "{\"x\":\"", 6);
        memcpy(bytes + size - 2, "\"}", 2);
        event.properties = (reco_str){bytes, size};
    }
    err = (reco_error)RECO_ERROR_INIT;
    reco_status status = reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err);
    acked[number] = status == RECO_OK;
    return status;
}

static void tell(int count) {
    for (int i = 0; i < count; i++)
        test_ok(tell_one(0), &err);
}

static reco_status put_item(void) {
    reco_item item = {.item_id = {"bread", 5}, .title = {"Bread", 5}};
    err = (reco_error)RECO_ERROR_INIT;
    return reco_items_put(engine, &item, 1, sizeof item, NULL, &err);
}

static reco_status process(void) {
    err = (reco_error)RECO_ERROR_INIT;
    return reco_process(NULL, engine, NULL, &err);
}

static int mark_event(void *context, int64_t offset, const void *data, size_t size) {
    uint8_t *there = context;
    reco__record record;
    (void)offset;
    ck_assert_int_eq(reco__envelope_decode(&record, data, size, NULL), RECO_OK);
    if (record.type == RECO__RECORD_EVENT) {
        char digits[16] = "";
        memcpy(digits, record.event.event_id.data + 1, record.event.event_id.size - 1);
        there[atoi(digits)]++;
    }
    return 0;
}

/* What was acknowledged is in the stream, once; all of it can be learned; it is what a replay says. */
static void audit(void) {
    static uint8_t there[EVENTS];
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    memset(there, 0, sizeof there);
    test_ok(process(), &err);
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++)
        for (int64_t at = spans[p].begin; at < spans[p].end; at += 1000)
            test_ok(reco__stream_read(engine->stream, p, at, spans[p].end - at < 1000 ? (uint32_t)(spans[p].end - at) : 1000, 64u << 20, mark_event,
                                      there, NULL, &err),
                    &err);
    for (int i = 0; i < next_event; i++)
        ck_assert_msg(there[i] <= 1 && (there[i] || !acked[i]), "event %d, acknowledged: %d, is in the stream %d times", i, acked[i], there[i]);
    test_engine_verify(engine, NULL);
}

static void reopen(void) {
    reco_close(engine);
    engine = test_engine_open(data_path, 0, plain);
}

static void says(const char *what, reco_status got, reco_status status, const char *field, const char *words) {
    ck_assert_msg(got == status && strcmp(err.field, field) == 0 && strstr(err.text, words), "%s: %s of \"%s\": %s; expected %s of \"%s\": %s", what,
                  reco_status_name(got), err.field, err.text, reco_status_name(status), field, words);
}

/* In LMDB's words or in ours, by the call that failed. */
static void says_full(const char *what, reco_status got) {
    says(what, got, RECO_FULL, "", strstr(err.text, "No space") ? "No space left on device" : "the disk is full");
}

/* --- a file system of one's own ---------------------------------------------------------------------------------------------------------------- */

/* Runs body in a child with mounts of its own, where that is allowed. */
static void with_mounts(void (*body)(void)) {
    pid_t child = test_fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(77);
        body();
        reco_close(engine);
        _exit(0);
    }
    int end = test_child_end(child);
    ck_assert_msg(end == 0 || end == 77, "the child ended with %d", end);
    if (end == 77)
        printf("a part is left out: mounts of one's own are not allowed here\n");
}

static void mount_disk(const char *size) {
    char options[32];
    snprintf(options, sizeof options, "size=%s", size);
    if (mount("none", dir, "tmpfs", engine ? MS_REMOUNT : 0, options) != 0)
        _exit(77);
}

/* What is tried on a disk that is quite full, and what comes of it. */
static void fill_disk(void) {
    reco_status status = RECO_OK;
    mount_disk("3m");
    engine = test_engine_open(data_path, 0, plain);
    tell(200);
    test_ok(process(), &err);
    test_ok(put_item(), &err);
    while (status == RECO_OK)
        status = tell_one(4000);
    says_full("ingest", status);
    for (int i = 0; i < 20; i++) { /* again and again, and in between what needs no new page */
        status = tell_one(4000);
        if (status != RECO_OK)
            says_full("ingest again", status);
    }
    status = process();
    if (status != RECO_OK)
        says_full("process", status);
    status = put_item();
    if (status != RECO_OK)
        says_full("items", status);
    err = (reco_error)RECO_ERROR_INIT;
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {"somebody", 8}};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_gt(answer->count, 0);
    reco_answer_free(answer);
    reopen(); /* closing and opening need no room */
    test_ok(reco_stats(&(char *){NULL}, engine, NULL, &err), &err);
    mount_disk("64m");
    tell(10);
    test_ok(put_item(), &err);
    audit();
    reopen();
    audit();
}

START_TEST(disk_full)
{ with_mounts(fill_disk); }
END_TEST

static void forbid_writing(void) {
    reco_engine *other = NULL;
    engine = test_engine_open(data_path, 0, plain);
    tell(20);
    test_ok(process(), &err);
    reco_close(engine);
    engine = NULL;
    if (mount(dir, dir, NULL, MS_BIND, NULL) != 0 || mount("none", dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
        _exit(77);
    says("open", test_engine_try(&other, data_path, 0, plain, &err), RECO_IO, "", "Read-only file system");
    ck_assert_ptr_null(other);
    if (mount("none", dir, NULL, MS_REMOUNT | MS_BIND, NULL) != 0)
        _exit(77);
    engine = test_engine_open(data_path, 0, plain);
    audit();
}

START_TEST(read_only_folder)
{ with_mounts(forbid_writing); }
END_TEST

/* --- another container ------------------------------------------------------------------------------------------------------------------------- */

START_TEST(second_pid_namespace)
{
    engine = test_engine_open(data_path, 0, plain);
    tell(20);
    reco_close(engine);
    engine = NULL;
    int ready[2], go[2];
    char byte;
    ck_assert(pipe(ready) == 0 && pipe(go) == 0);
    pid_t holder = test_fork();
    if (holder == 0) {
        engine = test_engine_open(data_path, 0, plain);
        if (write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) >= 0)
            reco_close(engine);
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    pid_t child = test_fork();
    if (child == 0) {
        if (unshare(CLONE_NEWPID) != 0)
            _exit(77);
        pid_t inside = fork();
        if (inside == 0) {
            reco_engine *other = NULL;
            reco_status status = test_engine_try(&other, data_path, 0, plain, &err);
            _exit(status == RECO_REFUSED && strcmp(err.field, "directory") == 0 && strstr(err.text, "another PID namespace") ? 0 : 3);
        }
        _exit(test_child_end(inside));
    }
    int end = test_child_end(child);
    ck_assert_msg(end == 0 || end == 77, "the child ended with %d", end);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    ck_assert_int_eq(test_child_end(holder), 0);
    engine = test_engine_open(data_path, 0, plain);
    audit();
}
END_TEST

/* --- files that were cut ----------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *store;
    int left; /* pages; -1: no file */
    const char *words;
} cuts[] = {
    {"stream", 3, "is truncated"},   {"stream", 1, "is truncated"},   {"stream", 0, "is truncated"},   {"stream", -1, "is missing"},
    {"features", 3, "is truncated"}, {"features", 1, "is truncated"}, {"features", 0, "is truncated"}, {"features", -1, "is missing"},
    {"records", 3, "is truncated"},  {"records", 1, "is truncated"},  {"records", 0, "is truncated"},  {"records", -1, "is missing"},
};

START_TEST(files_that_were_cut)
{
    char path[400], kept[420];
    engine = test_engine_open(data_path, 0, plain);
    tell(300);
    test_ok(put_item(), &err);
    test_ok(process(), &err);
    reco_close(engine);
    engine = NULL;
    snprintf(path, sizeof path, "%s/%s/data.mdb", data_path, cuts[_i].store);
    snprintf(kept, sizeof kept, "%s.kept", path);
    ck_assert_msg(rename(path, kept) == 0, "%s: %s", path, strerror(errno));
    if (cuts[_i].left >= 0) {
        off_t size = cuts[_i].left * (off_t)4096;
        int from = open(kept, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        static char bytes[4096];
        for (off_t at = 0; at < size; at += (off_t)sizeof bytes) {
            ssize_t got = pread(from, bytes, sizeof bytes, at);
            ck_assert(got > 0 && syscall(SYS_pwrite64, to, bytes, (size_t)got, at) == got);
        }
        close(from);
        close(to);
    }
    reco_engine *other = NULL;
    says(cuts[_i].store, test_engine_try(&other, data_path, 0, plain, &err), RECO_CORRUPT, "", cuts[_i].words);
    ck_assert_ptr_null(other);
    ck_assert(rename(kept, path) == 0); /* nothing else was touched */
    engine = test_engine_open(data_path, 0, plain);
    audit();
}
END_TEST

/* --- a disk that fails ------------------------------------------------------------------------------------------------------------------------- */

typedef enum doing { INGEST, LEARN, ITEMS, OPEN, CLOSE, TRIM, SNAPSHOT, BACKUP, RESTORE, REPLAY } doing;
static const char *const doing_names[] = {"ingest", "learn", "items", "open", "close", "trim", "snapshot", "backup", "restore", "replay"};

static const struct {
    doing doing;
    int what, after;
} failures[] = {
    {INGEST, WRITES, 0}, {INGEST, WRITES, 1},  {INGEST, WRITES, 2}, {INGEST, SYNCS, 0},   {LEARN, WRITES, 0},
    {LEARN, WRITES, 1},  {LEARN, WRITES, 5},   {ITEMS, WRITES, 0},  {ITEMS, WRITES, 1},   {ITEMS, SYNCS, 0},
    {OPEN, WRITES, 0},   {OPEN, SYNCS, 0},     {CLOSE, SYNCS, 0},   {TRIM, WRITES, 0},    {TRIM, WRITES, 1},
    {TRIM, SYNCS, 0},    {SNAPSHOT, SYNCS, 0}, {BACKUP, SYNCS, 0},  {RESTORE, WRITES, 0}, {RESTORE, WRITES, 9},
    {RESTORE, SYNCS, 0}, {RESTORE, SYNCS, 9},  {REPLAY, WRITES, 0}, {REPLAY, WRITES, 9},  {REPLAY, SYNCS, 0},
};

static char made[400], backup[400]; /* what the doing is to make; of what it makes it */

static void make_ready(doing what) {
    snprintf(made, sizeof made, "%s/made", dir);
    snprintf(backup, sizeof backup, "%s/backup", dir);
    if (what == RESTORE)
        test_ok(reco_backup(NULL, engine, backup, NULL, &err), &err);
}

static reco_status with_settings(doing what) {
    reco_settings *settings = NULL;
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "limits.map_size", "8GiB", &err), &err);
    test_ok(reco_settings_set(settings, "limits.min_free", "0B", &err), &err);
    test_ok(reco_settings_set(settings, "data", what == RESTORE ? made : data_path, &err), &err);
    if (what == REPLAY)
        test_ok(reco_settings_set(settings, "pairs.window", "3", &err), &err);
    reco_replay_options options = {.struct_size = sizeof options, .into = made};
    reco_status status = what == RESTORE ? reco_restore(NULL, backup, settings, 0, NULL, &err) : reco_replay(NULL, settings, &options, NULL, &err);
    reco_settings_free(settings);
    return status;
}

static reco_status trim_some(void) {
    reco_status status = RECO_OK;
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        status = reco__stream_trim(engine->stream, p, 5, NULL, &err);
    return status;
}

static reco_status do_it(doing what) {
    reco_engine *other = NULL;
    switch (what) {
    case INGEST:
        return tell_one(3000);
    case LEARN:
        return process();
    case ITEMS:
        return put_item();
    case OPEN:
    case CLOSE:
        if (what == CLOSE)
            test_ok(process(), &err);
        reco_close(engine);
        engine = NULL;
        err = (reco_error)RECO_ERROR_INIT;
        return test_engine_try(&other, data_path, 0, plain, &err) == RECO_OK ? (engine = other, RECO_OK) : (reco_status)err.status;
    case TRIM:
        return trim_some();
    case SNAPSHOT:
        return reco_snapshot(NULL, engine, made, NULL, &err);
    case BACKUP:
        return reco_backup(NULL, engine, made, NULL, &err);
    case RESTORE:
    case REPLAY:
        return with_settings(what);
    default:
        return RECO_OK;
    }
}

START_TEST(a_disk_that_fails)
{
    const char *name = doing_names[failures[_i].doing];
    engine = test_engine_open(data_path, 0, plain);
    tell(60);
    test_ok(put_item(), &err);
    test_ok(process(), &err);
    make_ready(failures[_i].doing);
    tell(60);
    trouble.what = failures[_i].what;
    trouble.after = failures[_i].after;
    trouble.error = EIO;
    trouble.fired = 0;
    reco_status status = do_it(failures[_i].doing);
    trouble.error = 0;
    ck_assert_msg(trouble.fired > 0, "%s: nothing failed", name);
    if (status == RECO_OK) /* nothing depended on it */
        ck_assert_msg(failures[_i].doing == CLOSE, "%s: a failure was passed over", name);
    else
        says(name, status, RECO_IO, "", "Input/output error");
    if (failures[_i].doing >= SNAPSHOT && failures[_i].doing <= RESTORE)
        ck_assert_msg(access(made, F_OK) != 0, "%s: what failed is there", name);
    if (failures[_i].doing >= SNAPSHOT) /* over what was left */
        test_ok(do_it(failures[_i].doing), &err);
    if (!engine)
        engine = test_engine_open(data_path, 0, plain);
    status = tell_one(0); /* the same engine goes on, or says that it is to be opened again */
    if (status != RECO_OK)
        says("afterwards", status, RECO_UNAVAILABLE, "", "is to be opened again");
    reopen();
    tell(10);
    test_ok(put_item(), &err);
    audit();
}
END_TEST

/* Readiness says what the last events met, until some are taken or it is too old to hold. */
START_TEST(readiness_of_a_failing_stream)
{
    static const struct {
        reco_status met, said;
    } cases[] = {
        {RECO_IO, RECO_UNAVAILABLE}, {RECO_CORRUPT, RECO_UNAVAILABLE}, {RECO_FULL, RECO_FULL}, {RECO_TIMEOUT, RECO_OK}, {RECO_BUSY, RECO_OK}};
    engine = test_engine_open(data_path, 0, plain);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco__fault_plant("stream.append", 1, 1, cases[i].met);
        test_status(cases[i].met, tell_one(0));
        reco__fault_plant(NULL, 0, 0, RECO_OK);
        test_status(cases[i].said, reco_ingest_ready(engine, NULL, &err));
        if (cases[i].said != RECO_OK)
            says("not ready", (reco_status)err.status, cases[i].said, "stream", "events are refused: ");
        test_ok(reco_ready(NULL, NULL, engine, NULL, &err), &err);
        if (i == 0) {
            steady_jump_ms = 11000;
            test_ok(reco_ingest_ready(engine, NULL, &err), &err);
            steady_jump_ms = 0;
            test_status(RECO_UNAVAILABLE, reco_ingest_ready(engine, NULL, &err));
        }
        tell(1);
        test_ok(reco_ingest_ready(engine, NULL, &err), &err);
    }
    audit();
}
END_TEST

/* --- clocks that jump -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(clocks_that_jump)
{
    engine = test_engine_open(data_path, 0, plain);
    tell(20);
    wall_jump_ms = 61000; /* more than the skew */
    says("ahead", tell_one(0), RECO_CLOCK, "received_at", "ahead of the monotonic clock");
    says("not ready", reco_ingest_ready(engine, NULL, &err), RECO_CLOCK, "received_at", "ahead of the monotonic clock");
    test_ok(reco_ready(NULL, NULL, engine, NULL, &err), &err); /* for all else */
    test_ok(process(), &err);
    wall_jump_ms = 50000;
    test_ok(reco_ingest_ready(engine, NULL, &err), &err);
    tell(20);
    wall_jump_ms = -3600000; /* back: what was stamped before stays ahead, and time stands still for learning until it is reached again */
    tell(20);
    test_ok(process(), &err);
    wall_jump_ms = -400 * INT64_C(86400000);
    tell(20);
    wall_jump_ms = 0;
    tell(20);
    audit();
    wall_jump_ms = 400 * INT64_C(86400000); /* between two runs, nobody can tell */
    reopen();
    tell(20);
    wall_jump_ms = 0;
    reopen();
    tell(20);
    audit();
    reopen();
    audit();
}
END_TEST

/* --- killed while closing and trimming --------------------------------------------------------------------------------------------------------- */

typedef struct progress {
    _Atomic int told, trimmed;
} progress;

static progress *book;
static char folder[320];

static void open_closing(void) {
    const char *settings[] = {"limits.min_free",
                              "0B",
                              "coview.length",
                              "1m",
                              "coview.kept",
                              "3",
                              "lateness",
                              "0ms",
                              "snapshots.every",
                              "60",
                              "snapshots.trim",
                              "yes",
                              "partitions",
                              "2",
                              "snapshots.folder",
                              folder,
                              "recommend.limit_default",
                              "5",
                              NULL};
    engine = test_engine_open(data_path, 0, settings);
}

/* Each event is a minute later than the one before: every one of them closes a generation. */
static reco_status tell_later(int number) {
    char user[16], item[16];
    snprintf(user, sizeof user, "u%d", number % 3);
    snprintf(item, sizeof item, "i%d", number % 5);
    reco_event event = test_event(user, item, "view");
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = INT64_C(1700000000000) + number * INT64_C(60000)};
    return reco_ingest(NULL, engine, &event, 1, sizeof event, &options, NULL, &err);
}

static int64_t begin_of_stream(void) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    int64_t sum = 0;
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++)
        sum += spans[p].begin;
    return sum;
}

static void close_and_trim_for_ever(void) {
    open_closing();
    for (;;) {
        if (tell_later(atomic_load(&book->told)) != RECO_OK)
            test_child_fail("ingest", &err);
        atomic_fetch_add(&book->told, 1);
        if (reco_process(NULL, engine, NULL, &err) != RECO_OK || reco__snapshots_step(engine, NULL, &err) != RECO_OK)
            test_child_fail("learning", &err);
    }
}

static bool told_enough(void *context) { return atomic_load(&book->told) >= *(int *)context; }

static bool newest_snapshot(char path[600]) {
    DIR *open = opendir(folder);
    char last[256] = "";
    for (const struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        size_t size = strlen(entry->d_name);
        if (size > 9 && strcmp(entry->d_name + size - 9, ".snapshot") == 0 && strcmp(entry->d_name, last) > 0)
            snprintf(last, sizeof last, "%s", entry->d_name);
    }
    if (open)
        closedir(open);
    snprintf(path, 600, "%s/%s", folder, last);
    return last[0] != 0;
}

/* The views of all items; each event is one. */
static int64_t views(void) {
    reco_answer *answer = NULL;
    reco_popular_query query = {.struct_size = sizeof query, .limit = 20, .window = INT64_C(60) * 86400000};
    int64_t sum = 0;
    test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
    for (size_t i = 0; i < answer->count; i++)
        sum += answer->items[i].score / RECO_SCORE_UNIT;
    reco_answer_free(answer);
    return sum;
}

START_TEST(killed_while_closing_and_trimming)
{
    int rounds = test_full() ? 200 : 10;
    int64_t trimmed = 0;
    book = test_shared(sizeof *book);
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    for (int round = 0; round < rounds; round++) {
        pid_t child = test_fork();
        if (child == 0)
            close_and_trim_for_ever();
        int enough = atomic_load(&book->told) + 1 + (round * 37) % 90;
        ck_assert_msg(test_wait(told_enough, &enough, 60000), "nothing gets on");
        struct timespec moment = {0, round * 777777 % 4000000};
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        ck_assert_int_eq(test_child_end(child), -SIGKILL);
        open_closing();
        test_ok(process(), &err);
        int64_t told = atomic_load(&book->told), seen = views(); /* the one under way may be there, too */
        ck_assert_msg(seen == told || seen == told + 1, "round %d: %lld events were acknowledged, %lld are counted", round, (long long)told,
                      (long long)seen);
        atomic_store(&book->told, (int)seen);
        trimmed = begin_of_stream();
        char path[600];
        test_engine_verify(engine, trimmed > 0 && newest_snapshot(path) ? path : NULL); /* what was trimmed is in a snapshot that was verified */
        reco_close(engine);
        engine = NULL;
    }
    ck_assert_msg(trimmed > 0, "the stream was never trimmed");
    printf("killed %d times, %d events, %lld records trimmed\n", rounds, atomic_load(&book->told), (long long)trimmed);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("failures");
    TCase *tests = tcase_create("failures");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, test_full() ? 600 : 120);
    tcase_add_test(tests, disk_full);
    tcase_add_test(tests, read_only_folder);
    tcase_add_test(tests, second_pid_namespace);
    tcase_add_loop_test(tests, files_that_were_cut, 0, (int)(sizeof cuts / sizeof *cuts));
    tcase_add_loop_test(tests, a_disk_that_fails, 0, (int)(sizeof failures / sizeof *failures));
    tcase_add_test(tests, readiness_of_a_failing_stream);
    tcase_add_test(tests, clocks_that_jump);
    tcase_add_test(tests, killed_while_closing_and_trimming);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
