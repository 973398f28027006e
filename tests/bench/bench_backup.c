/* bench_backup.c - what a backup costs those who ask and those who write: answers and ingests, alone and beside another process that makes one backup
 * after the other.
 *
 *     bench_backup [--events N] [--seconds N] [--data FOLDER]       1,000,000 events, 5 s a part, a temporary folder
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

enum { USERS = 20000, MOST = 2000000 };

static double *asks, *tells;

static void __attribute__((noreturn)) back_up(const char *data) {
    char path[400];
    bench_need(nice(10) != -1, "nice"); /* as the command does */
    reco_error err = RECO_ERROR_INIT;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    reco_engine *engine = bench_open(data, 0, NULL);
    snprintf(path, sizeof path, "%s/../backup", data);
    for (int i = 0;; i++) {
        reco_backup_result result = {.struct_size = sizeof result};
        int64_t began = bench_now_ns();
        unlink(path);
        bench_ok(reco_backup(&result, engine, path, NULL, &err), &err);
        if (i == 0)
            printf("a backup: %.2f s, %.1f MB, %llu records\n", (double)(bench_now_ns() - began) / 1e9, (double)result.bytes / 1e6,
                   (unsigned long long)result.records);
        fflush(stdout);
    }
}

static void ask_one(reco_engine *engine, reco_answer **answer, uint64_t n) {
    char user[32];
    reco_error err = RECO_ERROR_INIT;
    reco_query query = {.struct_size = sizeof query,
                        .limit = 20,
                        .user_id = {user, (size_t)snprintf(user, sizeof user, "u%llu", (unsigned long long)(n * 7919 % USERS))}};
    bench_ok(reco_recommend(answer, engine, &query, NULL, &err), &err);
}

static void tell_one(reco_engine *engine, uint64_t n) {
    char user[32], item[32];
    reco_error err = RECO_ERROR_INIT;
    reco_event event = {.user_id = {user, (size_t)snprintf(user, sizeof user, "u%llu", (unsigned long long)(n % USERS))},
                        .item_id = {item, (size_t)snprintf(item, sizeof item, "i%llu", (unsigned long long)(n % 1000))},
                        .event_type = {"view", 4}};
    bench_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
}

/* Ten answers, then one event, for so long. */
static void run(const char *name, reco_engine *engine, double seconds) {
    reco_answer *answer = NULL;
    size_t asked = 0, told = 0;
    int64_t end = bench_now_ns() + (int64_t)(seconds * 1e9);
    while (bench_now_ns() < end && asked < MOST) {
        int64_t began = bench_now_ns();
        ask_one(engine, &answer, asked);
        asks[asked++] = (double)(bench_now_ns() - began) / 1e3;
        if (asked % 10)
            continue;
        began = bench_now_ns();
        tell_one(engine, told);
        tells[told++] = (double)(bench_now_ns() - began) / 1e3;
    }
    reco_answer_free(answer);
    printf("%-16s %8zu answers: p50 %6.1f  p99 %7.1f us;  %7zu events: p50 %7.1f  p99 %8.1f us\n", name, asked, bench_percentile(asks, asked, .5),
           bench_percentile(asks, asked, .99), told, bench_percentile(tells, told, .5), bench_percentile(tells, told, .99));
    fflush(stdout);
}

int main(int count, char **arguments) {
    char folder[256] = "/tmp/bench-backup-XXXXXX", data[300];
    bench_options options = bench_options_begin(count, arguments);
    uint64_t events = bench_number(&options, "--events", 1000000), seconds = bench_number(&options, "--seconds", 5);
    const char *given = bench_text(&options, "--data", NULL);
    bench_options_end(&options, "bench_backup [--events N] [--seconds N] [--data FOLDER]");
    bench_need(given || mkdtemp(folder), "a temporary folder");
    snprintf(data, sizeof data, "%s/data", given ? given : folder);
    asks = malloc(MOST * sizeof *asks);
    tells = malloc(MOST * sizeof *tells);
    bench_need(asks && tells, "memory");
    reco_engine *engine = bench_open(data, 0, NULL);
    bench_feed *feed = bench_feed_open(50000, USERS, events, 1);
    bench_ingest(engine, feed, events, 1000);
    bench_feed_close(feed);
    bench_learn(engine, 0);
    reco_close(engine);

    for (int round = 0; round < 6; round++) { /* in turns, for other programs come and go */
        pid_t child = round % 2 ? fork() : -1;
        if (child == 0)
            back_up(data);
        engine = bench_open(data, 0, NULL);
        run(round % 2 ? "beside backups" : "alone", engine, (double)seconds);
        reco_close(engine);
        if (child > 0) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
    }
    if (!given) {
        char command[400];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        bench_need(system(command) == 0, "removing the folder");
    }
    return 0;
}
