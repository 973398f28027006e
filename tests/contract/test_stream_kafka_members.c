/* Processors in processes of their own share the partitions of a stream on Kafka: evenly; what a killed one had is taken over once its session is
 * over; one that was stopped for so long that it was taken for dead does no harm when it goes on. What was learned equals a replay. Through
 * libreco.so and the module beside it; features on LMDB, which the processes share. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <reco/admin.h>
#include <reco/memory.h>

#include "support/kafka_server.h"
#include "support/support.h"

enum { PARTITIONS = 6, PROCESSORS = 3 };

static kafka_server server;
static char folder[256];

/* What a processor says of itself, in memory that all share. */
typedef struct report {
    uint32_t partitions;
    uint64_t records;
} report;

static report *reports;

static reco_engine *open_engine(void) {
    char stream[200], features[300];
    reco_error err = RECO_ERROR_INIT;
    reco_settings *given = NULL;
    reco_engine *engine = NULL;
    snprintf(stream, sizeof stream, "kafka://127.0.0.1:%u/members?heartbeat.interval.ms=300&session.timeout.ms=6000", server.port);
    snprintf(features, sizeof features, "lmdb:%s/features", folder);
    const char *settings[][2] = {{"limits.map_size", "4GiB"}, {"partitions", "6"},     {"stream", stream},
                                 {"features", features},      {"records", "memory:"}, {"namespace", "main"}};
    test_ok(reco_settings_create(&given, &err), &err);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        test_ok(reco_settings_set(given, settings[i][0], settings[i][1], &err), &err);
    }
    reco_open_options options = {.struct_size = sizeof options, .settings = given};
    test_ok(reco_open(&engine, &options, NULL, &err), &err);
    reco_settings_free(given);
    return engine;
}

static void process(report *mine) {
    reco_error err = RECO_ERROR_INIT;
    reco_processor *processor = NULL;
    reco_engine *engine = open_engine();
    test_ok(reco_processor_open(&processor, engine, NULL, NULL, &err), &err);
    for (;;) {
        reco_progress progress = {.struct_size = sizeof progress};
        reco_status status = reco_processor_step(&progress, processor, NULL, &err);
        if (status == RECO_OK) {
            __atomic_store_n(&mine->partitions, progress.partitions, __ATOMIC_RELAXED);
            __atomic_store_n(&mine->records, progress.records, __ATOMIC_RELAXED);
        } else if (!reco_status_retriable((int32_t)status)) {
            fprintf(stderr, "a processor: %s: %s\n", reco_status_name((int32_t)status), err.text);
            _exit(1);
        }
        if (status != RECO_OK || progress.idle) {
            reco_processor_wait(processor, 100, NULL, &err);
        }
    }
}

static pid_t start_processor(report *mine) {
    pid_t parent = getpid(), pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            process(mine);
        }
        _exit(1);
    }
    return pid;
}

static void tell(reco_engine *engine, int count) {
    static int number;
    reco_error err = RECO_ERROR_INIT;
    for (int i = 0; i < count; i++, number++) {
        char user[24], item[24];
        reco_event event = {.event_type = {"view", 4}};
        reco_receipt receipt = {.struct_size = sizeof receipt};
        event.user_id = (reco_str){user, (size_t)snprintf(user, sizeof user, "user-%d", number % 40)};
        event.item_id = (reco_str){item, (size_t)snprintf(item, sizeof item, "item-%d", number * 7 % 23)};
        test_ok(reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    }
}

static bool all_learned(void *context) {
    int64_t lag = 1, lag_ms;
    return reco_ready(&lag, &lag_ms, context, NULL, NULL) == RECO_OK && lag == 0;
}

typedef struct share {
    uint32_t of[PROCESSORS];
} share;

static bool shares_are(void *context) {
    const share *wanted = context;
    bool same = true;
    for (int i = 0; i < PROCESSORS; i++) {
        same = same && __atomic_load_n(&reports[i].partitions, __ATOMIC_RELAXED) == wanted->of[i];
    }
    return same;
}

static void expect_shares(share wanted, const char *when) {
    bool same = test_wait(shares_are, &wanted, 60000);
    ck_assert_msg(same, "%s: the shares are %u, %u and %u, not %u, %u and %u", when, reports[0].partitions, reports[1].partitions,
                  reports[2].partitions, wanted.of[0], wanted.of[1], wanted.of[2]);
}

static void end(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

START_TEST(processors_share_and_take_over)
{
    pid_t pids[PROCESSORS];
    reports = mmap(NULL, sizeof *reports * PROCESSORS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(reports != MAP_FAILED);
    for (int i = 0; i < PROCESSORS; i++) {
        pids[i] = start_processor(&reports[i]);
    }
    reco_engine *engine = open_engine();
    tell(engine, 60);
    expect_shares((share){{2, 2, 2}}, "at first");
    ck_assert(test_wait(all_learned, engine, 60000));
    tell(engine, 120);
    ck_assert(test_wait(all_learned, engine, 60000));
    for (int i = 0; i < PROCESSORS; i++) {
        ck_assert_uint_gt(reports[i].records, 0);
    }

    end(pids[0]); /* its partitions are nobody's until the session is over: 6 seconds */
    reports[0].partitions = 0;
    tell(engine, 60);
    expect_shares((share){{0, 3, 3}}, "after one was killed");
    ck_assert(test_wait(all_learned, engine, 60000));

    kill(pids[1], SIGSTOP);
    tell(engine, 60);
    ck_assert(test_wait(all_learned, engine, 60000)); /* by the last one */
    kill(pids[1], SIGCONT);
    tell(engine, 60);
    ck_assert(test_wait(all_learned, engine, 60000));
    expect_shares((share){{0, 3, 3}}, "after one was taken for dead");
    tell(engine, 60);
    ck_assert(test_wait(all_learned, engine, 60000));

    int status;
    ck_assert_int_eq(waitpid(pids[1], &status, WNOHANG), 0);
    ck_assert_int_eq(waitpid(pids[2], &status, WNOHANG), 0);
    end(pids[1]);
    end(pids[2]);
    reco_error err = RECO_ERROR_INIT;
    reco_verification found = {.struct_size = sizeof found};
    test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
    ck_assert_msg(found.equal == 1 && found.unlearned == 0 && found.events == 420, "%s, %llu events", found.difference,
                  (unsigned long long)found.events);
    reco_close(engine);
}
END_TEST

static void start(void) {
    const char *reason = kafka_server_start(&server);
    if (reason) {
        test_skip(reason);
    }
    test_dir_make(folder);
}

static void stop(void) {
    kafka_server_stop(&server);
    test_dir_remove(folder);
}

int main(void) {
    Suite *suite = suite_create("processors on kafka");
    TCase *tests = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_add_unchecked_fixture(tests, start, stop);
    tcase_add_test(tests, processors_share_and_take_over);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
