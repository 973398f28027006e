/* bench_backup.c - what a backup costs those who ask and those who write: answers and ingests, alone and beside another process that makes one backup
 * after the other.
 *
 *     bench_backup [--events N] [--seconds N] [--turns N] [--data FOLDER]       1,000,000 events, 5 s a part, a temporary folder
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

/* us, of one turn. */
enum { ASK_P50, ASK_P99, TELL_P50, TELL_P99, FIGURES };
enum { TURNS_MOST = 25 };

/* Ten answers, then one event, for so long. */
static void run(double figures[FIGURES][TURNS_MOST], size_t turn, const char *name, reco_engine *engine, double seconds) {
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
    figures[ASK_P50][turn] = bench_percentile(asks, asked, .5);
    figures[ASK_P99][turn] = bench_percentile(asks, asked, .99);
    figures[TELL_P50][turn] = bench_percentile(tells, told, .5);
    figures[TELL_P99][turn] = bench_percentile(tells, told, .99);
    printf("%-16s %8zu answers: p50 %6.1f  p99 %7.1f us;  %7zu events: p50 %7.1f  p99 %8.1f us\n", name, asked, figures[ASK_P50][turn],
           figures[ASK_P99][turn], told, figures[TELL_P50][turn], figures[TELL_P99][turn]);
    fflush(stdout);
}

static void compare(const char *name, double *alone, double *beside, size_t turns) {
    double first = bench_median(alone, turns), second = bench_median(beside, turns);
    printf("  %-12s %8.1f us alone  %8.1f us beside backups  ratio %.2f\n", name, first, second, second / first);
}

int main(int count, char **arguments) {
    static double figures[2][FIGURES][TURNS_MOST]; /* alone, beside */
    char folder[256] = "/tmp/bench-backup-XXXXXX", data[300];
    bench_options options = bench_options_begin(count, arguments);
    uint64_t events = bench_number(&options, "--events", 1000000), seconds = bench_number(&options, "--seconds", 3);
    size_t turns = bench_number(&options, "--turns", 5);
    const char *given = bench_text(&options, "--data", NULL);
    bench_options_end(&options, "bench_backup [--events N] [--seconds N] [--turns N] [--data FOLDER]");
    bench_need(given || mkdtemp(folder), "a temporary folder");
    bench_need(turns >= 1 && turns <= TURNS_MOST, "1 to 25 turns");
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

    for (size_t round = 0; round < 2 * turns; round++) { /* in turns, for other programs come and go */
        pid_t child = round % 2 ? fork() : -1;
        if (child == 0)
            back_up(data);
        engine = bench_open(data, 0, NULL);
        run(figures[round % 2], round / 2, round % 2 ? "beside backups" : "alone", engine, (double)seconds);
        reco_close(engine);
        if (child > 0) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
    }
    printf("medians of %zu turns of each kind:\n", turns);
    for (int i = 0; i < FIGURES; i++) {
        static const char *const names[] = {"answer p50", "answer p99", "event p50", "event p99"};
        compare(names[i], figures[0][i], figures[1][i], turns);
    }
    if (!given) {
        char command[400];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        bench_need(system(command) == 0, "removing the folder");
    }
    return 0;
}
