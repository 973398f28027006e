/* tests/integration/test_soak.c - a long run over many closings: memory and disk reach a plateau.
 *
 * A generated stream is ingested with its own moments of receipt, learned as it comes, and looked at 20 times. Generations are short, few are kept,
 * snapshots are taken and the stream is trimmed to them, so that after the first third everything that can grow has grown: from then on anonymous
 * memory (RssAnon of /proc/self/status) and the blocks of all files stay within 15 % and 8 MiB of what they were. What reco_stats says of each
 * store's file is within 5 % of what the kernel says. 300,000 events in the normal run, 20 million with RECO_FULL set; `test_soak EVENTS` for as
 * many. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include <reco/generate.h>

#include "engine/snapshots.h"
#include "support/engine.h"

enum { LOOKS = 20, CALL = 500, LEARN_EVERY = 10 };

static uint64_t events = 300000;
static char dir[256], data_path[320], folder[320];
static reco_engine *engine;
static reco_error err;

/* Bytes the blocks of a folder's files take. */
static uint64_t blocks(const char *path) {
    DIR *open = opendir(path);
    uint64_t sum = 0;
    for (const struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        char name[600];
        struct stat st;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || lstat(name, &st) != 0)
            continue;
        sum += S_ISDIR(st.st_mode) ? blocks(name) : (uint64_t)st.st_blocks * 512;
    }
    if (open)
        closedir(open);
    return sum;
}

static uint64_t anonymous(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %llu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (uint64_t)kib * 1024;
}

static void compare_stats(void) {
    static const char *const stores[] = {"stream", "features", "records"};
    char *text = NULL;
    test_ok(reco_stats(&text, engine, NULL, &err), &err);
    json_t *stats = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(stats);
    for (size_t i = 0; i < 3; i++) {
        char path[400];
        struct stat st;
        const json_t *store = json_object_get(stats, stores[i]);
        snprintf(path, sizeof path, "%s/%s/data.mdb", data_path, stores[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        double disk = (double)st.st_blocks * 512, size = (double)st.st_size;
        double disk_said = (double)json_integer_value(json_object_get(store, "disk_bytes")),
               size_said = (double)json_integer_value(json_object_get(store, "file_bytes")),
               used = (double)json_integer_value(json_object_get(store, "used_bytes"));
        ck_assert_msg(disk_said > disk * 0.95 && disk_said < disk * 1.05, "%s: %.0f bytes on disk, the kernel says %.0f", stores[i], disk_said, disk);
        ck_assert_msg(size_said > size * 0.95 && size_said < size * 1.05, "%s: %.0f bytes, the kernel says %.0f", stores[i], size_said, size);
        ck_assert_msg(used <= disk * 1.05, "%s: %.0f bytes are used of %.0f", stores[i], used, disk);
    }
    json_decref(stats);
    reco_free(text);
}

static void open_engine(void) {
    char every[24]; /* often enough that the first third has seen what a snapshot and its verification need */
    snprintf(every, sizeof every, "%llu", (unsigned long long)(events / 20 > 20000 ? events / 20 : 20000));
    const char *settings[] = {"coview.length",
                              "6h",
                              "coview.kept",
                              "4",
                              "coview.cut",
                              "64",
                              "coview.head",
                              "64",
                              "popularity.hours_kept",
                              "24",
                              "popularity.days_kept",
                              "2",
                              "recommend.window_hours",
                              "12h",
                              "recommend.window_days",
                              "2d",
                              "cell.lifetime",
                              "2d",
                              "cell.history",
                              "100",
                              "snapshots.folder",
                              folder,
                              "snapshots.trim",
                              "yes",
                              "snapshots.every",
                              every,
                              "limits.min_free",
                              "0B",
                              NULL};
    engine = test_engine_open(data_path, 0, settings);
}

/* The next `count` of the generator's, each call at the moment of its first. */
static void ingest(reco_generator *generator, uint64_t count) {
    static char texts[CALL][4][64];
    static reco_event calls[CALL];
    while (count > 0) {
        size_t n = 0;
        int64_t at = 0;
        for (; n < CALL && n < count; n++) {
            reco_event *event = &calls[n];
            int64_t received_at;
            test_status(RECO_OK, reco_generator_next(event, &received_at, generator));
            at = received_at > at ? received_at : at;
            reco_str *names[4] = {&event->user_id, &event->item_id, &event->session_id, &event->event_id};
            for (int i = 0; i < 4; i++) {
                ck_assert_uint_lt(names[i]->size, sizeof texts[n][i]);
                memcpy(texts[n][i], names[i]->data, names[i]->size);
                names[i]->data = texts[n][i];
            }
            event->timestamp = received_at;
        }
        reco_ingest_options options = {.struct_size = sizeof options, .received_at = at};
        test_ok(reco_ingest(NULL, engine, calls, n, sizeof *calls, &options, NULL, &err), &err);
        count -= n;
        static int until_learned;
        if (++until_learned % LEARN_EVERY == 0) {
            test_ok(reco_process(NULL, engine, NULL, &err), &err);
            test_ok(reco__snapshots_step(engine, NULL, &err), &err);
        }
    }
}

static void ask(void) {
    reco_answer *answer = NULL;
    for (int i = 0; i < 50; i++) {
        char user[24];
        reco_query query = {.struct_size = sizeof query, .user_id = {user, (size_t)snprintf(user, sizeof user, "u%d", i)}};
        test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    }
    reco_answer_free(answer);
}

static void plateau(const char *what, const uint64_t *seen) {
    uint64_t early = 0, late = 0;
    for (int i = LOOKS / 3; i < LOOKS * 2 / 3; i++)
        early = seen[i] > early ? seen[i] : early;
    for (int i = LOOKS * 2 / 3; i < LOOKS; i++)
        late = seen[i] > late ? seen[i] : late;
    printf("%s: %.1f MiB after the first third, %.1f MiB at the second, %.1f MiB at most in the last\n", what, (double)seen[LOOKS / 3] / 1048576,
           (double)early / 1048576, (double)late / 1048576);
    ck_assert_msg((double)late <= (double)early * 1.15 + 8388608, "%s still grows: %llu, %llu", what, (unsigned long long)early,
                  (unsigned long long)late);
}

START_TEST(memory_and_disk_reach_a_plateau)
{
    uint64_t memory[LOOKS], disk[LOOKS];
    reco_generator *generator;
    reco_generator_options options = {
        .struct_size = sizeof options, .items = 2000, .users = 3000, .seed = 7, .events = events, .duration = INT64_C(30) * 86400000, .drift = 0.5};
    err = (reco_error)RECO_ERROR_INIT;
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    test_ok(reco_generator_create(&generator, &options, &err), &err);
    open_engine();
    for (int i = 0; i < LOOKS; i++) {
        ingest(generator, events / LOOKS);
        test_ok(reco_process(NULL, engine, NULL, &err), &err);
        ask();
        compare_stats();
        memory[i] = anonymous();
        disk[i] = blocks(dir);
    }
    printf("%llu events over 30 days\n", (unsigned long long)events);
    plateau("anonymous memory", memory);
    plateau("disk", disk);
    reco_close(engine);
    reco_generator_free(generator);
    test_dir_remove(dir);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("soak");
    TCase *tests = tcase_create("soak");
    events = argc > 1 ? strtoull(argv[1], NULL, 10) : test_full() ? 20000000 : 300000;
    tcase_set_timeout(tests, events > 1000000 ? 7200 : 300);
    tcase_add_test(tests, memory_and_disk_reach_a_plateau);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
