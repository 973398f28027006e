/* The stream between processes: what a killed ingest acknowledged is there, a killed processor's partitions are taken over, waiting sees others'
 * appends. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream/stream.h"
#include "support/support.h"

enum { P = 4 };

static char dir[256], url[300];

static void setup(void) {
    test_dir_make(dir);
    snprintf(url, sizeof url, "lmdb:%s", dir);
}

static void teardown(void) { test_dir_remove(dir); }

#define child_need(condition)                                                                                                                        \
    do {                                                                                                                                             \
        if (!(condition)) {                                                                                                                          \
            fprintf(stderr, "child: %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                                   \
            _exit(1);                                                                                                                                \
        }                                                                                                                                            \
    } while (0)

static reco_status open_stream(reco__stream **out, uint32_t background) {
    reco_stream_options options = {
        .struct_size = sizeof options, .partitions = P, .url = url, .space = "main", .map_size = 1u << 30, .background = background};
    return reco__stream_open(out, &options, NULL, NULL);
}

static pid_t spawn(void (*body)(int tell), int *from) {
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(pipes[0]);
        body(pipes[1]);
        _exit(0);
    }
    close(pipes[1]);
    *from = pipes[0];
    return pid;
}

static void kill_child(pid_t pid) {
    int status;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

/* --- a killed ingest ---------------------------------------------------------------------------------------------------------------------------- */

/* Each record is the partition and offset it was told by append: what is read back must say where it lies. */
typedef struct told {
    uint32_t partition, unused;
    int64_t offset;
    uint64_t serial;
} told;

static void append_and_tell(int tell) {
    reco__stream *stream;
    uint64_t serial = (uint64_t)getpid() << 32;
    child_need(open_stream(&stream, getpid() % 2) == RECO_OK);
    for (;;) {
        reco_stream_record records[10];
        uint64_t serials[10];
        int64_t offsets[10];
        for (uint32_t i = 0; i < 10; i++) {
            serials[i] = ++serial;
            records[i] = (reco_stream_record){(uint32_t)(serial * 7 % P), sizeof serial, &serials[i], reco__now_ms()};
        }
        child_need(reco__stream_append(offsets, stream, records, 10, 0, NULL, NULL, 0, NULL, NULL) == RECO_OK);
        for (uint32_t i = 0; i < 10; i++) {
            told t = {records[i].partition, 0, offsets[i], serials[i]};
            child_need(write(tell, &t, sizeof t) == sizeof t);
        }
    }
}

typedef struct found {
    uint64_t serial;
    int64_t offset;
} found;

static int take(void *context, int64_t offset, const void *data, size_t size) {
    found *f = context;
    f->offset = offset;
    if (size == sizeof f->serial) {
        memcpy(&f->serial, data, size);
    }
    return 1;
}

static void check_told(reco__stream *stream, const told *all, size_t count) {
    reco_error err = RECO_ERROR_INIT;
    for (size_t i = 0; i < count; i++) {
        found f = {0, -1};
        test_ok(reco__stream_read(stream, all[i].partition, all[i].offset, 1, 1000, take, &f, NULL, &err), &err);
        ck_assert(f.offset == all[i].offset && f.serial == all[i].serial);
    }
}

START_TEST(what_a_killed_ingest_acknowledged_is_there)
{
    enum { MOST = 100000 };
    static told all[MOST];
    size_t count = 0;
    reco__rand rand;
    reco__rand_seed(&rand, 5);
    for (int round = 0; round < 6; round++) {
        int from[2];
        pid_t pids[2] = {spawn(append_and_tell, &from[0]), spawn(append_and_tell, &from[1])};
        size_t wanted = count + 50 + reco__rand_below(&rand, 500);
        for (int c = 0; c < 2; c++) {
            while (count < wanted && read(from[c], &all[count], sizeof *all) == sizeof *all) {
                count++;
            }
            kill_child(pids[c]);
            while (count < MOST && read(from[c], &all[count], sizeof *all) == sizeof *all) {
                count++;
            }
            close(from[c]);
        }
        reco__stream *stream;
        ck_assert_int_eq(open_stream(&stream, 0), RECO_OK);
        check_told(stream, all, count);
        reco__stream_close(stream);
    }
    ck_assert_uint_gt(count, 100);
}
END_TEST

/* --- a killed processor ----------------------------------------------------------------------------------------------------------------------------
 */

static void own_and_tell(int tell) {
    reco__stream *stream;
    reco__stream_member *member;
    uint32_t owned[P], count;
    child_need(open_stream(&stream, 0) == RECO_OK && reco__stream_member_open(&member, stream, NULL, NULL) == RECO_OK);
    for (;;) {
        child_need(reco__stream_member_assign(owned, &count, member, NULL, NULL) == RECO_OK);
        uint8_t byte = (uint8_t)count;
        child_need(write(tell, &byte, 1) == 1);
        usleep(1000);
    }
}

typedef struct settling {
    reco__stream_member *member;
    uint32_t wanted, count;
} settling;

static bool settled(void *context) {
    settling *s = context;
    uint32_t owned[P];
    return reco__stream_member_assign(owned, &s->count, s->member, NULL, NULL) == RECO_OK && s->count == s->wanted;
}

START_TEST(a_killed_processor_is_taken_over)
{
    reco_error err = RECO_ERROR_INIT;
    reco__stream *stream;
    reco__stream_member *member;
    int from[3];
    pid_t pids[3];
    ck_assert_int_eq(open_stream(&stream, 0), RECO_OK);
    test_ok(reco__stream_member_open(&member, stream, NULL, &err), &err);
    settling s = {member, P, 0};
    ck_assert(test_wait(settled, &s, 5000));
    for (int i = 0; i < 3; i++) {
        pids[i] = spawn(own_and_tell, &from[i]);
    }
    s.wanted = 1;
    ck_assert(test_wait(settled, &s, 10000));
    for (int i = 0; i < 3; i++) { /* each of them has one */
        uint8_t count = 0;
        while (count != 1) {
            ck_assert(!settled(&s) || s.count == 1);
            ck_assert_int_eq(read(from[i], &count, 1), 1);
        }
    }
    kill_child(pids[1]);
    s.wanted = 2; /* one of those left has two; ours, being the first */
    ck_assert(test_wait(settled, &s, 10000));
    kill_child(pids[0]);
    kill_child(pids[2]);
    s.wanted = P;
    ck_assert(test_wait(settled, &s, 10000));
    uint8_t owners[P];
    test_ok(reco__stream_member_owned(owners, member, NULL, &err), &err);
    ck_assert(owners[0] && owners[1] && owners[2] && owners[3]);
    for (int i = 0; i < 3; i++) {
        close(from[i]);
    }
    reco__stream_member_close(member);
    reco__stream_close(stream);
}
END_TEST

/* --- waiting
 * ------------------------------------------------------------------------------------------------------------------------------------------- */

static void append_one(int tell) {
    reco__stream *stream;
    reco_stream_record record = {1, 1, "x", 1000};
    child_need(open_stream(&stream, 0) == RECO_OK);
    usleep(50000);
    child_need(reco__stream_append(NULL, stream, &record, 1, 0, NULL, NULL, 0, NULL, NULL) == RECO_OK);
    child_need(write(tell, "x", 1) == 1);
    reco__stream_close(stream);
}

START_TEST(waiting_sees_what_another_process_appends)
{
    reco_error err = RECO_ERROR_INIT;
    reco__stream *stream;
    reco_stream_span spans[P];
    int64_t ends[P] = {0};
    int from, status;
    ck_assert_int_eq(open_stream(&stream, 0), RECO_OK);
    pid_t pid = spawn(append_one, &from);
    test_ok(reco__stream_wait_for(stream, ends, 10000000000, NULL, &err), &err);
    test_ok(reco__stream_spans(spans, stream, NULL, &err), &err);
    ck_assert_int_eq(spans[1].end, 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(from);
    reco__stream_close(stream);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stream process");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_a_killed_ingest_acknowledged_is_there);
    tcase_add_test(tests, a_killed_processor_is_taken_over);
    tcase_add_test(tests, waiting_sees_what_another_process_appends);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
