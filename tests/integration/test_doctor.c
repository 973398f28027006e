/* tests/integration/test_doctor.c - each finding, made and found; and that looking leaves no trace.
 *
 * This program has its own clock_gettime, fstatfs, statvfs, open, openat and fopen in place of the C library's, for LMDB too, so that clocks jump,
 * and disks are of another kind, full or broken, when it says so: also where no disk may be mounted. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "features/lmdb.h"
#include "stream/lmdb.h"
#include "support/engine.h"

/* --- in place of the C library's ----------------------------------------------------------------------------------------------------------- */

/* Not hidden, for what is hidden in a program a shared library does not find. */
#pragma GCC visibility push(default)

static struct {
    int64_t wall_jump_ms;
    uint32_t magic;        /* of all file systems; 0: their own */
    const char *mountinfo; /* NULL: the kernel's */
    const char *broken;    /* files whose path ends so cannot be opened: EIO; NULL: none */
    bool read_only;
    uint64_t free_bytes; /* of all disks; 0: what they have */
} pretend;

int clock_gettime(clockid_t clock, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, clock, out);
    if (failed == 0 && clock == CLOCK_REALTIME)
        out->tv_sec += pretend.wall_jump_ms / 1000;
    return failed;
}

int fstatfs(int fd, struct statfs *out) {
    int failed = (int)syscall(SYS_fstatfs, fd, out);
    if (failed == 0 && pretend.magic)
        out->f_type = (__typeof__(out->f_type))pretend.magic;
    return failed;
}

int statvfs(const char *path, struct statvfs *out) {
    struct statfs fs;
    if (syscall(SYS_statfs, path, &fs) != 0)
        return -1;
    *out = (struct statvfs){
        .f_bsize = 1, .f_frsize = 1, .f_bavail = (fsblkcnt_t)fs.f_bavail * (uint64_t)fs.f_bsize, .f_flag = (unsigned long)fs.f_flags};
    if (pretend.free_bytes)
        out->f_bavail = pretend.free_bytes;
    if (pretend.read_only)
        out->f_flag |= ST_RDONLY;
    return 0;
}

static bool is_broken(const char *path) {
    size_t size = strlen(path), ending = pretend.broken ? strlen(pretend.broken) : 0;
    if (!ending || size < ending || strcmp(path + size - ending, pretend.broken) != 0)
        return false;
    errno = EIO;
    return true;
}

static int open_at(int folder, const char *path, int flags, va_list more) {
    return is_broken(path) ? -1 : (int)syscall(SYS_openat, folder, path, flags, flags & O_CREAT ? va_arg(more, mode_t) : 0);
}

int openat(int folder, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int fd = open_at(folder, path, flags, more);
    va_end(more);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int fd = open_at(AT_FDCWD, path, flags, more);
    va_end(more);
    return fd;
}

FILE *fopen(const char *path, const char *mode) {
    if (pretend.mountinfo && strcmp(path, "/proc/self/mountinfo") == 0)
        return fmemopen((void *)(uintptr_t)pretend.mountinfo, strlen(pretend.mountinfo), "r");
    int flags = *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (*mode == 'a' ? O_APPEND : O_TRUNC);
    int fd = is_broken(path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fdopen(fd, mode);
}

#pragma GCC visibility pop

/* --- asking -------------------------------------------------------------------------------------------------------------------------------- */

static char dir[256], data_path[300];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) {
    memset(&pretend, 0, sizeof pretend);
    test_dir_remove(dir);
}

typedef struct found {
    uint32_t severity;
    char id[40], text[520], advice[300];
} found;
static found all[64];
static size_t count;
static uint32_t worst;

static void take(void *context, const reco_finding *finding) {
    (void)context;
    ck_assert_uint_lt(count, 64);
    found *one = &all[count++];
    one->severity = finding->severity;
    snprintf(one->id, sizeof one->id, "%s", finding->id);
    snprintf(one->text, sizeof one->text, "%s", finding->text);
    snprintf(one->advice, sizeof one->advice, "%s", finding->advice);
}

static reco_status ask(const char *data, const char *const *more, reco_error *error) {
    reco_settings *settings = NULL;
    count = 0;
    worst = 99;
    test_ok(reco_settings_create(&settings, error), error);
    test_ok(reco_settings_set(settings, "limits.map_size", "8GiB", error), error);
    test_ok(reco_settings_set(settings, "limits.min_free", "4KiB", error), error);
    test_ok(reco_settings_set(settings, "data", data, error), error);
    for (size_t i = 0; more && more[i]; i += 2)
        test_ok(reco_settings_set(settings, more[i], more[i + 1], error), error);
    reco_status status = reco_doctor(&worst, settings, take, NULL, NULL, error);
    reco_settings_free(settings);
    return status;
}

static void doctor(const char *const *more) { test_ok(ask(data_path, more, &err), &err); }

static const found *find(const char *id) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].id, id) == 0)
            return &all[i];
    return NULL;
}

static void print_all(void) {
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%u %s: %s | %s\n", all[i].severity, all[i].id, all[i].text, all[i].advice);
}

/* It is there, as grave as that, says `words`, and what to do about it; nothing is graver. */
static void expect(const char *id, uint32_t severity, const char *words) {
    const found *one = find(id);
    if (!one || one->severity != severity || !strstr(one->text, words) || worst < severity)
        print_all();
    ck_assert_msg(one != NULL, "%s was not found", id);
    ck_assert_uint_eq(one->severity, severity);
    ck_assert_msg(strstr(one->text, words) != NULL, "%s: %s", id, one->text);
    ck_assert_uint_ge(worst, severity);
    ck_assert_msg(one->advice[0] || severity == RECO_FINDING_NOTE, "%s: no advice", id);
}

static void only(const char *id, uint32_t severity, const char *words) {
    expect(id, severity, words);
    if (count != 1)
        print_all();
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(worst, severity);
}

static void nothing(void) {
    if (count)
        print_all();
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(worst, 0);
}

/* --- the patient --------------------------------------------------------------------------------------------------------------------------- */

static void make(const char *const *settings, bool learned) {
    reco_engine *engine = test_engine_open(data_path, 0, settings);
    for (int i = 0; i < 30; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        reco_event event = test_event(user, "tea", "view");
        test_engine_tell(NULL, engine, &event);
    }
    if (learned)
        test_engine_learn(engine, 0, NULL);
    reco_close(engine);
}

static void make_large(void) {
    static char properties[16000];
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    memset(properties, 'x', sizeof properties);
    memcpy(properties, "{\"x\":\"", 6);
    memcpy(properties + sizeof properties - 2, "\"}", 2);
    for (int i = 0; i < 100; i++) {
        reco_event event = test_event("u", "tea", "view");
        event.properties = (reco_str){properties, sizeof properties};
        test_engine_tell(NULL, engine, &event);
    }
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
}

static void path_in(char out[400], const char *name) { snprintf(out, 400, "%s/%s", data_path, name); }

static void overwrite(const char *name, const char *text) {
    char path[400];
    path_in(path, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void rename_in(const char *from, const char *to) {
    char a[400], b[400];
    path_in(a, from);
    path_in(b, to);
    ck_assert_int_eq(rename(a, b), 0);
}

/* --- nothing is wrong ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(nothing_is_wrong_and_nothing_is_changed)
{
    char path[400];
    struct stat before, after;
    make(NULL, true);
    path_in(path, "features/trust");
    ck_assert_int_eq(stat(path, &before), 0);
    doctor(NULL);
    nothing();
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec && after.st_mtim.tv_sec == before.st_mtim.tv_sec);
    path_in(path, "stream/lock.mdb"); /* no file is made, even where one is missing */
    ck_assert_int_eq(unlink(path), 0);
    doctor(NULL);
    nothing();
    ck_assert_int_ne(access(path, F_OK), 0);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    doctor(NULL); /* also in the process that has it open */
    ck_assert_uint_eq(worst, RECO_FINDING_NOTE);
    expect("in_use", RECO_FINDING_NOTE, "test_doctor");
    test_engine_verify(engine, NULL);
    reco_close(engine);
    test_status(RECO_INVALID, reco_doctor(NULL, NULL, take, NULL, NULL, &err));
    ck_assert_str_eq(err.field, "settings");
}
END_TEST

/* --- where it lies ------------------------------------------------------------------------------------------------------------------------- */

START_TEST(where_it_lies)
{
    static const char *const server[] = {"stream", "kafka://localhost/topic", NULL}, *const much[] = {"limits.min_free", "1TiB", NULL};
    static const char *const wrong[] = {"coview.head", "600", NULL};
    char partial[320], missing[320];
    doctor(NULL);
    only("missing", RECO_FINDING_NOTE, data_path);
    snprintf(missing, sizeof missing, "%s/none/such", dir);
    test_ok(ask(missing, NULL, &err), &err);
    only("no_parent", RECO_FINDING_ERROR, missing);
    test_ok(ask("memory:", NULL, &err), &err);
    expect("memory", RECO_FINDING_NOTE, "memory");
    make(NULL, true);
    doctor(server);
    expect("server", RECO_FINDING_NOTE, "kafka");
    doctor(wrong);
    expect("settings", RECO_FINDING_ERROR, "coview.head");
    doctor(much);
    expect("disk_full", RECO_FINDING_ERROR, "1.0 TiB");
    snprintf(partial, sizeof partial, "%s.partial", data_path);
    ck_assert_int_eq(mkdir(partial, 0700), 0);
    doctor(NULL);
    only("leftover", RECO_FINDING_NOTE, partial);
    rmdir(partial);
    snprintf(missing, sizeof missing, "%s/stream/data.mdb", data_path);
    test_ok(ask(missing, NULL, &err), &err);
    only("not_a_directory", RECO_FINDING_ERROR, "data.mdb");
}
END_TEST

static void in_a_child(void (*body)(void)) {
    pid_t child = test_fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    int end = test_child_end(child);
    ck_assert_msg(end == 0 || end == 77, "the child ended with %d", end);
}

static void on_small_disks(void) {
    static const char *const wanted[] = {"limits.min_free", "1MiB", NULL};
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(77); /* not allowed here */
    char small[320];
    snprintf(small, sizeof small, "%s/small", dir);
    mkdir(small, 0700);
    if (mount("none", small, "tmpfs", 0, "size=3m") != 0)
        _exit(77);
    test_ok(ask(small, wanted, &err), &err);
    only("disk_nearly_full", RECO_FINDING_WARNING, "3.0 MiB left");
    if (mount(NULL, small, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
        _exit(77);
    test_ok(ask(small, wanted, &err), &err);
    only("read_only", RECO_FINDING_ERROR, small);
}

static void as_nobody(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(77);
    doctor(NULL);
    expect("permissions", RECO_FINDING_ERROR, "");
    ck_assert_ptr_null(find("unreadable")); /* the disk has nothing to do with it */
}

static void as_nobody_with_a_file(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(77);
    doctor(NULL);
    expect("permissions", RECO_FINDING_ERROR, "stream/data.mdb");
}

static void as_nobody_without_reading(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(77);
    doctor(NULL);
    expect("permissions", RECO_FINDING_ERROR, "stream/data.mdb");
    expect("unreadable", RECO_FINDING_ERROR, "Permission denied");
    ck_assert_ptr_null(find("damaged"));
}

static void as_nobody_in_root(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(77);
    test_ok(ask("/proc/reco", NULL, &err), &err);
    expect("permissions", RECO_FINDING_ERROR, "cannot be made");
}

START_TEST(disks_of_all_kinds)
{
    static const char *const wanted[] = {"limits.min_free", "64MiB", NULL};
    static const struct {
        uint32_t magic;
        const char *name;
    } networks[] = {{0x6969, "NFS"}, {0xFF534D42, "CIFS"}, {0x01021997, "9p"}, {0x00C36400, "Ceph"}};
    char info[500];
    struct stat st;
    make(NULL, true);
    pretend.free_bytes = 63 << 20;
    doctor(wanted);
    only("disk_full", RECO_FINDING_ERROR, "63.0 MiB left");
    pretend.free_bytes = 200 << 20;
    doctor(wanted);
    only("disk_nearly_full", RECO_FINDING_WARNING, "200 MiB left");
    pretend.free_bytes = (uint64_t)256 << 20;
    doctor(wanted);
    nothing();
    pretend.read_only = true;
    doctor(NULL);
    only("read_only", RECO_FINDING_ERROR, data_path);
    pretend.read_only = false;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        pretend.magic = networks[i].magic;
        doctor(NULL);
        ck_assert_uint_eq(count, 3); /* each store */
        expect("network_disk", RECO_FINDING_ERROR, networks[i].name);
        reco_engine *engine = NULL; /* which is what an engine says */
        test_status(RECO_REFUSED, test_engine_try(&engine, data_path, 0, NULL, &err));
        ck_assert_msg(strstr(err.text, networks[i].name) != NULL, "%s", err.text);
    }
    /* FUSE is what the kernel calls it; by its device, not by another's. */
    pretend.magic = 0x65735546;
    ck_assert_int_eq(stat(data_path, &st), 0);
    static const char form[] = "21 1 %u:%u / %s rw,relatime shared:1 - %s nobody@host:/ rw\n30 1 0:9999 / /else rw - %s there rw\n";
    snprintf(info, sizeof info, form, major(st.st_dev), minor(st.st_dev), dir, "fuse.sshfs", "fuse.mergerfs");
    pretend.mountinfo = info;
    doctor(NULL);
    expect("network_disk", RECO_FINDING_ERROR, "FUSE");
    snprintf(info, sizeof info, form, major(st.st_dev), minor(st.st_dev), dir, "fuse.mergerfs", "fuse.sshfs");
    doctor(NULL);
    nothing();
    snprintf(info, sizeof info, form, major(st.st_dev), minor(st.st_dev), dir, "fuse.sshfs-like", "fuse.sshfs");
    doctor(NULL);
    nothing();
}
END_TEST

START_TEST(what_cannot_be_read)
{
    static const char *const stores[] = {"stream", "features", "records"};
    char ending[64];
    make(NULL, true);
    for (size_t i = 0; i < 3; i++) { /* by LMDB, which names the whole path; last by the check before */
        snprintf(ending, sizeof ending, "%s/data.mdb", stores[i]);
        pretend.broken = ending;
        doctor(NULL);
        expect("unreadable", RECO_FINDING_ERROR, stores[i]);
        ck_assert_msg(strstr(find("unreadable")->text, "Input/output error") != NULL, "%s", find("unreadable")->text);
        ck_assert_ptr_null(find("damaged")); /* nobody shall restore a backup for that */
    }
    pretend.broken = "data.mdb";
    doctor(NULL);
    ck_assert_uint_eq(count, 3);
    expect("unreadable", RECO_FINDING_ERROR, "cannot be read");
    pretend.broken = NULL;
    doctor(NULL);
    nothing();
}
END_TEST

START_TEST(disks_and_users)
{
    char path[400];
    in_a_child(on_small_disks);
    in_a_child(as_nobody_in_root);
    make(NULL, true);
    in_a_child(as_nobody);
    /* All may be entered and read, and one file not written. */
    ck_assert(chmod(dir, 0777) == 0 && chmod(data_path, 0777) == 0);
    path_in(path, "stream");
    ck_assert_int_eq(chmod(path, 0777), 0);
    path_in(path, "stream/data.mdb");
    ck_assert_int_eq(chmod(path, geteuid() == 0 ? 0644 : 0444), 0);
    in_a_child(as_nobody_with_a_file);
    ck_assert_int_eq(chmod(path, 0), 0);
    in_a_child(as_nobody_without_reading);
    ck_assert_int_eq(chmod(path, 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 65534, 65534), 0);
        doctor(NULL);
        only("owner", RECO_FINDING_WARNING, "65534");
    }
}
END_TEST

/* --- who has it open ----------------------------------------------------------------------------------------------------------------------- */

static int ready[2], stop[2];

static void pipes_make(void) { ck_assert(pipe2(ready, O_CLOEXEC) == 0 && pipe2(stop, O_CLOEXEC) == 0); }

/* In the child: has it open until it is told to end. */
static void hold(const char *data, const char *const *settings) {
    char byte = 1;
    reco_engine *engine = test_engine_open(data, 0, settings);
    if (write(ready[1], &byte, 1) != 1 || read(stop[0], &byte, 1) < 0)
        _exit(3);
    reco_close(engine);
    _exit(0);
}

static void wait_ready(void) {
    char byte;
    ck_assert_int_eq((int)read(ready[0], &byte, 1), 1);
}

static void end_holder(pid_t child) {
    ck_assert_int_eq((int)write(stop[1], "x", 1), 1);
    ck_assert_int_eq(test_child_end(child), 0);
}

START_TEST(another_process)
{
    static const char *const map[] = {"limits.map_size", "4GiB", NULL};
    char pid[24];
    make(NULL, true);
    pipes_make();
    pid_t child = test_fork();
    if (child == 0)
        hold(data_path, NULL);
    wait_ready();
    doctor(NULL);
    snprintf(pid, sizeof pid, "process %d", (int)child);
    expect("in_use", RECO_FINDING_NOTE, pid);
    ck_assert_uint_eq(worst, RECO_FINDING_NOTE);
    doctor(map);
    expect("map_size", RECO_FINDING_WARNING, "8.0 GiB");
    end_holder(child);
    doctor(NULL);
    nothing();
}
END_TEST

START_TEST(another_container)
{
    make(NULL, true);
    pipes_make();
    pid_t child = test_fork();
    if (child == 0) {
        if (unshare(CLONE_NEWPID) != 0) {
            if (write(ready[1], "n", 1) != 1)
                _exit(3);
            _exit(77);
        }
        pid_t inner = fork();
        if (inner == 0)
            hold(data_path, NULL);
        int status;
        waitpid(inner, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
    }
    char byte;
    ck_assert_int_eq((int)read(ready[0], &byte, 1), 1);
    if (byte == 'n') {
        test_child_end(child);
        return; /* not allowed here */
    }
    doctor(NULL);
    expect("other_container", RECO_FINDING_ERROR, "another container");
    end_holder(child);
    doctor(NULL);
    nothing();
}
END_TEST

START_TEST(readers)
{
    reco__kv_options options = reco__stream_lmdb_kv(data_path, 0, UINT64_C(8) << 30, 0);
    reco__kv *kv = NULL;
    reco__kv_table table;
    make(NULL, true);
    pipes_make();
    pid_t holder = test_fork(); /* the last to leave would take all readers with it */
    if (holder == 0)
        hold(data_path, NULL);
    wait_ready();
    pid_t child = test_fork();
    if (child == 0) { /* reads, and goes on holding what it read */
        reco__kv_txn *txn;
        char byte = 1;
        if (reco__kv_open(&kv, &options, NULL, &err) != RECO_OK || reco__kv_read_begin(&txn, kv, RECO__KV_LONG, &err) != RECO_OK ||
            write(ready[1], &byte, 1) != 1)
            _exit(3);
        pause();
        _exit(0);
    }
    wait_ready();
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    test_ok(reco__kv_table_open(&table, kv, "test", &err), &err);
    for (int i = 0; i < 1100; i++) {
        reco__kv_txn *txn;
        test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
        test_ok(reco__kv_put(txn, table, "k", 1, &i, sizeof i, &err), &err);
        test_ok(reco__kv_commit(txn, &err), &err);
    }
    reco__kv_close(kv);
    doctor(NULL);
    expect("old_reader", RECO_FINDING_WARNING, "transactions");
    kill(child, SIGKILL);
    test_child_end(child);
    doctor(NULL);
    expect("stale_readers", RECO_FINDING_WARNING, "1 readers of the stream");
    end_holder(holder);
    doctor(NULL);
    nothing();
}
END_TEST

/* --- how it was left ----------------------------------------------------------------------------------------------------------------------- */

static void truncate_in(const char *name, off_t size) {
    char path[400];
    path_in(path, name);
    ck_assert_int_eq(truncate(path, size), 0);
}

START_TEST(how_it_was_left)
{
    make(NULL, true);
    char mark[64];
    snprintf(mark, sizeof mark, "%-47s\n", "open 00000000-0000-0000-0000-000000000000");
    overwrite("features/trust", mark);
    doctor(NULL);
    only("unclean", RECO_FINDING_WARNING, "restarted");
    snprintf(mark, sizeof mark, "%-47s\n", "clean");
    overwrite("features/trust", mark);
    truncate_in("features/data.mdb", 20000);
    doctor(NULL);
    only("damaged", RECO_FINDING_ERROR, "truncated");
    truncate_in("stream/data.mdb", 0);
    doctor(NULL);
    expect("damaged", RECO_FINDING_ERROR, "stream is damaged");
    char path[400];
    path_in(path, "stream/data.mdb");
    unlink(path);
    doctor(NULL);
    expect("damaged", RECO_FINDING_ERROR, "missing");
}
END_TEST

static void make_store(const char *format, uint32_t version) {
    reco__kv_options options = {.directory = data_path, .name = "records", .format = format, .format_version = version, .map_size = 1u << 30};
    reco__kv *kv;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    reco__kv_close(kv);
}

START_TEST(what_it_is)
{
    make(NULL, true);
    rename_in("records", "put-away");
    make_store("reco-records", 2);
    doctor(NULL);
    only("newer", RECO_FINDING_ERROR, "version 2");
    rename_in("records", "newer");
    make_store("something", 1);
    doctor(NULL);
    only("another_program", RECO_FINDING_ERROR, "something");
}
END_TEST

/* --- what is in it ------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_is_in_it)
{
    static const char *const four[] = {"partitions", "8", NULL}, *const rules[] = {"coview.length", "1d", NULL};
    static const char *const other[] = {"namespace", "other", NULL}, *const small[] = {"limits.map_size", "1MiB", NULL};
    char elsewhere[320];
    make(NULL, false);
    doctor(NULL);
    only("not_learned", RECO_FINDING_WARNING, "nobody");
    pipes_make();
    pid_t child = test_fork();
    if (child == 0)
        hold(data_path, NULL);
    wait_ready();
    doctor(NULL);
    expect("lag", RECO_FINDING_WARNING, "not learned yet");
    end_holder(child);
    make(NULL, true);
    doctor(four);
    only("partitions", RECO_FINDING_ERROR, "has 4");
    doctor(rules);
    only("settings_differ", RECO_FINDING_ERROR, "coview.length");
    doctor(other);
    only("no_namespace", RECO_FINDING_WARNING, "default");
    make_large();
    doctor(small);
    expect("map_full", RECO_FINDING_ERROR, "1.0 MiB");
    make(other, true);
    doctor(NULL);
    only("namespaces", RECO_FINDING_NOTE, "other");
    /* Features of another stream. */
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", dir);
    ck_assert_int_eq(rename(data_path, elsewhere), 0);
    make(NULL, true);
    rename_in("features", "put-away");
    char from[400], to[400];
    snprintf(from, sizeof from, "%s/features", elsewhere);
    path_in(to, "features");
    ck_assert_int_eq(rename(from, to), 0);
    doctor(NULL);
    only("another_stream", RECO_FINDING_ERROR, "another stream");
}
END_TEST

START_TEST(clocks)
{
    make(NULL, true);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    reco_event event = test_event("u", "tea", "view");
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = reco__now_ms() + 3600000};
    event.timestamp = options.received_at;
    test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, &options, NULL, &err), &err);
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
    doctor(NULL);
    only("clock", RECO_FINDING_ERROR, "received at");
}
END_TEST

static void tell_one(reco_engine *engine, reco_status status) {
    reco_event event = test_event("u", "tea", "view");
    test_status(status, reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err));
    if (status == RECO_OK)
        test_engine_learn(engine, 0, NULL);
}

START_TEST(clocks_that_jump)
{
    make(NULL, true);
    pretend.wall_jump_ms = 59000; /* less than the skew */
    doctor(NULL);
    nothing();
    pretend.wall_jump_ms = 7530000; /* nobody is harmed */
    doctor(NULL);
    only("clock_jumped", RECO_FINDING_NOTE, "set forward by 2 hours 5 minutes");
    pretend.wall_jump_ms = 0;
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    tell_one(engine, RECO_OK);
    pretend.wall_jump_ms = 3 * INT64_C(86400000) + 60000;
    tell_one(engine, RECO_CLOCK); /* as the advice says */
    doctor(NULL);
    expect("clock_jumped", RECO_FINDING_WARNING, "set forward by 3 days 0 hours");
    ck_assert_msg(strstr(find("clock_jumped")->advice, "restart the processes") != NULL, "%s", find("clock_jumped")->advice);
    ck_assert_uint_eq(worst, RECO_FINDING_WARNING);
    reco_close(engine);
    engine = test_engine_open(data_path, 0, NULL); /* restarted: it goes on, and there is nothing to say any more */
    tell_one(engine, RECO_OK);
    doctor(NULL);
    expect("in_use", RECO_FINDING_NOTE, "");
    ck_assert_uint_eq(worst, RECO_FINDING_NOTE);
    ck_assert_ptr_null(find("clock_jumped"));
    pretend.wall_jump_ms = 0; /* back again: what was received seems to come from the future, too */
    doctor(NULL);
    expect("clock_jumped", RECO_FINDING_WARNING, "set back by 3 days 0 hours");
    expect("clock", RECO_FINDING_ERROR, "received at");
    reco_close(engine);
    /* Of another boot nothing is known: its monotonic clock was another. */
    char path[400];
    uint64_t other = 1;
    path_in(path, "stream/wake");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert(fd >= 0 && pwrite(fd, &other, sizeof other, 16 * 8) == (ssize_t)sizeof other && close(fd) == 0);
    doctor(NULL);
    ck_assert_ptr_null(find("clock_jumped"));
    expect("clock", RECO_FINDING_ERROR, "received at");
}
END_TEST

START_TEST(a_trimmed_stream)
{
    make(NULL, false);
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    for (uint32_t p = 0; p < engine->partitions; p++)
        test_ok(reco__stream_trim(engine->stream, p, 3, NULL, &err), &err);
    reco_close(engine);
    doctor(NULL);
    expect("trimmed_away", RECO_FINDING_ERROR, "begins at 3");
    expect("no_base", RECO_FINDING_WARNING, "lost its beginning");
}
END_TEST

START_TEST(snapshots)
{
    char folder[320], file[400];
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    const char *const set[] = {"snapshots.folder", folder, NULL};
    make(NULL, true);
    doctor(set);
    only("snapshots_missing", RECO_FINDING_NOTE, folder);
    FILE *made = fopen(folder, "wb");
    ck_assert(made && fclose(made) == 0);
    doctor(set);
    only("snapshots_folder", RECO_FINDING_ERROR, folder);
    ck_assert(unlink(folder) == 0 && mkdir(folder, 0700) == 0);
    doctor(set);
    nothing();
    snprintf(file, sizeof file, "%s/default-1700000000000.differs", folder);
    made = fopen(file, "wb");
    ck_assert(made && fclose(made) == 0);
    doctor(set);
    only("snapshots_differ", RECO_FINDING_ERROR, "1 snapshots");
    ck_assert_int_eq(unlink(file), 0);
    snprintf(file, sizeof file, "%s/default-1700000000000.snapshot", folder);
    made = fopen(file, "wb");
    ck_assert(made && fputs("RECOSNAP", made) >= 0 && fclose(made) == 0);
    doctor(set);
    only("snapshot_damaged", RECO_FINDING_ERROR, file);
}
END_TEST

static reco_status ask_again(void *context, reco_error *error) {
    (void)context;
    count = 0;
    return reco_doctor(NULL, context, take, NULL, NULL, error);
}

START_TEST(no_memory)
{
    reco_settings *settings = NULL;
    make(NULL, false);
    test_memory_install();
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "limits.map_size", "64MiB", &err), &err);
    test_ok(reco_settings_set(settings, "data", data_path, &err), &err);
    test_every_allocation(ask_again, settings, false);
    reco_settings_free(settings);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("doctor");
    TCase *tests = tcase_create("doctor");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, nothing_is_wrong_and_nothing_is_changed);
    tcase_add_test(tests, where_it_lies);
    tcase_add_test(tests, disks_of_all_kinds);
    tcase_add_test(tests, what_cannot_be_read);
    tcase_add_test(tests, disks_and_users);
    tcase_add_test(tests, another_process);
    tcase_add_test(tests, another_container);
    tcase_add_test(tests, readers);
    tcase_add_test(tests, how_it_was_left);
    tcase_add_test(tests, what_it_is);
    tcase_add_test(tests, what_is_in_it);
    tcase_add_test(tests, clocks);
    tcase_add_test(tests, clocks_that_jump);
    tcase_add_test(tests, a_trimmed_stream);
    tcase_add_test(tests, snapshots);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
