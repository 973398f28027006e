/* tests/integration/test_soak.c - a long run over many closings: memory and disk reach a plateau.
 *
 * A generated stream is ingested with its own moments of receipt, learned as it comes, and looked at 20 times. Generations are short, few are kept,
 * snapshots are taken and the stream is trimmed to them, so that after the first third everything that can grow has grown: from then on anonymous
 * memory and the blocks of all files stay within 15 % and 8 MiB of what they were, and what libreco itself holds within 2 % and 1 MiB.
 *
 * What reco_stats says is within 5 % of what the kernel says. Of files that is their size and their blocks. Of memory it is three things:
 *   - the pages of the process, which reco_stats takes from the kernel's counters, against those the kernel finds in its page tables (smaps_rollup);
 *   - what malloc has in use and keeps for later, against the pages, both since the engine was opened: LMDB reserves lists of some MiB then and does
 *     not touch them;
 *   - what libreco allocated, by its own count, and what malloc keeps for later, against the pages, while nothing else grows in the process: a
 *     catalogue of items with large attributes is loaded by a question.
 * For both, malloc is told to map large blocks by themselves for ever. It would learn not to, and what LMDB reserved in the scratch stores of a
 * verification and did not touch would be kept by malloc without being memory.
 *
 * The catalogue stays, and some of its items change all the time. When the engine is closed, nothing is left of what libreco allocated.
 *
 * 160,000 events in the normal run, 20 million with RECO_FULL set; `test_soak EVENTS` for as many. */
#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include <reco/generate.h>

#include "base/base.h"
#include "engine/snapshots.h"
#include "support/engine.h"

enum { LOOKS = 20, CALL = 500, LEARN_EVERY = 10, ITEMS = 4000, CHANGED = 50, VALUES = 1000, GROUP = 50 };

static uint64_t events = 160000;
static char dir[256], data_path[320], folder[320];
static reco_engine *engine;
static reco_generator *generator;
static double worst; /* relative difference of what is said */
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

/* By the page tables, not by the counters that reco_stats reads. */
static uint64_t anonymous(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    unsigned long long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Anonymous: %llu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    ck_assert_uint_gt(kib, 0);
    return (uint64_t)kib * 1024;
}

static double number(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    ck_assert_msg(json_is_integer(value), "%s is missing", name);
    return (double)json_integer_value(value);
}

static void near(const char *what, const char *where, double said, double kernel) {
    ck_assert_msg(said > kernel * 0.95 && said < kernel * 1.05, "%s: %.0f bytes %s, the kernel says %.0f", where, said, what, kernel);
    double off = kernel > 0 ? said / kernel - 1 : 0;
    worst = fabs(off) > worst ? fabs(off) : worst;
}

static json_t *ask_stats(void) {
    char *text = NULL;
    test_ok(reco_stats(&text, engine, NULL, &err), &err);
    json_t *stats = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(stats);
    reco_free(text);
    return stats;
}

/* Memory at a moment, in bytes. */
typedef struct moment {
    double pages;             /* says the kernel */
    double allocated, malloc; /* says reco_stats: by libreco; by malloc, in use or kept */
    double unused;            /* of the latter: kept */
} moment;

static moment opened; /* when the engine was */

static moment memory_of(const json_t *stats) {
    const json_t *memory = json_object_get(stats, "memory");
    moment now = {.pages = (double)anonymous(), .allocated = number(memory, "allocated_bytes"), .malloc = number(memory, "heap_bytes")};
    ck_assert_msg(now.malloc >= now.allocated, "%.0f bytes are allocated, and %.0f in use", now.allocated, now.malloc);
    now.unused = number(memory, "heap_free_bytes");
    now.malloc += now.unused;
    near("anonymous", "memory", number(memory, "anonymous_bytes"), now.pages);
    return now;
}

static moment memory_now(void) {
    json_t *stats = ask_stats();
    moment now = memory_of(stats);
    json_decref(stats);
    return now;
}

/* Answers what libreco holds. */
static uint64_t compare_stats(void) {
    static const char *const stores[] = {"stream", "features", "records"};
    json_t *stats = ask_stats();
    for (size_t i = 0; i < 3; i++) {
        char path[400];
        struct stat st;
        const json_t *store = json_object_get(stats, stores[i]);
        snprintf(path, sizeof path, "%s/%s/data.mdb", data_path, stores[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        double disk = (double)st.st_blocks * 512, used = number(store, "used_bytes");
        near("on disk", stores[i], number(store, "disk_bytes"), disk);
        near("long", stores[i], number(store, "file_bytes"), (double)st.st_size);
        ck_assert_msg(used <= disk * 1.05, "%s: %.0f bytes are used of %.0f", stores[i], used, disk);
    }
    moment now = memory_of(stats);
    printf("%.1f MiB of pages since it was opened; malloc %.1f MiB, of which %.1f are kept, and %.1f in all libreco's\n",
           (now.pages - opened.pages) / 1048576, (now.malloc - opened.malloc) / 1048576, now.unused / 1048576, now.allocated / 1048576);
    near("of malloc", "memory", now.malloc - opened.malloc, now.pages - opened.pages);
    json_decref(stats);
    return (uint64_t)now.allocated;
}

/* Attributes that fill what filters hold of an item. `round` makes them others. */
static void put_items(int first, int count, int round) {
    static char attributes[GROUP][16000], ids[GROUP][24];
    static reco_item items[GROUP];
    for (int i = 0; i < count; i++) {
        int at = i % GROUP;
        size_t size = (size_t)snprintf(attributes[at], sizeof *attributes, "{\"t\":[");
        for (int value = 0; value < VALUES; value++)
            size += (size_t)snprintf(attributes[at] + size, sizeof *attributes - size, "%s%d", value ? "," : "",
                                     10000 + value * 80 + (first + i + round) % 80);
        size += (size_t)snprintf(attributes[at] + size, sizeof *attributes - size, "]}");
        items[at] = (reco_item){.item_id = {ids[at], (size_t)snprintf(ids[at], sizeof *ids, "i%d", first + i)}, .attributes = {attributes[at], size}};
        if (at == GROUP - 1 || i == count - 1)
            test_ok(reco_items_put(engine, items, (size_t)at + 1, sizeof *items, NULL, &err), &err);
    }
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
                              "limits.item_values",
                              "1000",
                              NULL};
    engine = test_engine_open(data_path, 0, settings);
}

/* The next `count` of the generator's, each call at the moment of its newest, the last of which it answers. */
static int64_t ingest(uint64_t count) {
    static char texts[CALL][4][64];
    static reco_event calls[CALL];
    int64_t at = 0;
    while (count > 0) {
        size_t n = 0;
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
    return at;
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

/* One event of every item: what is known of an item is loaded when it was seen. */
static void see_all_items(int64_t at) {
    static char ids[GROUP][24], users[GROUP][24];
    static reco_event seen[GROUP];
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = at};
    for (int i = 0; i < ITEMS; i++) {
        int n = i % GROUP;
        seen[n] = test_event("", "", "view");
        seen[n].timestamp = at;
        seen[n].item_id = (reco_str){ids[n], (size_t)snprintf(ids[n], sizeof *ids, "i%d", i + 1)};
        seen[n].user_id = (reco_str){users[n], (size_t)snprintf(users[n], sizeof *users, "visitor%d", i % 500)};
        if (n == GROUP - 1)
            test_ok(reco_ingest(NULL, engine, seen, GROUP, sizeof *seen, &options, NULL, &err), &err);
    }
}

/* A question loads what is known of the items that were seen, and with them nothing but libreco's memory grows. */
static void load_catalogue(void) {
    see_all_items(ingest(events / LOOKS));
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    ask();
    put_items(1, ITEMS, 0);
    moment before = memory_now();
    ask();
    moment after = memory_now();
    double allocated = after.allocated - before.allocated, unused = after.unused - before.unused, pages = after.pages - before.pages;
    printf("a catalogue: %.1f MiB allocated, %.1f MiB kept by malloc, %.1f MiB of pages\n", allocated / 1048576, unused / 1048576, pages / 1048576);
    ck_assert_msg(allocated > 16777216, "it is too small to tell");
    near("allocated or kept", "a catalogue", allocated + unused, pages);
}

static void plateau(const char *what, const uint64_t *seen, double percent, double bytes) {
    uint64_t early = 0, late = 0;
    for (int i = LOOKS / 3; i < LOOKS * 2 / 3; i++)
        early = seen[i] > early ? seen[i] : early;
    for (int i = LOOKS * 2 / 3; i < LOOKS; i++)
        late = seen[i] > late ? seen[i] : late;
    printf("%s: %.1f MiB after the first third, %.1f MiB at the second, %.1f MiB at most in the last\n", what, (double)seen[LOOKS / 3] / 1048576,
           (double)early / 1048576, (double)late / 1048576);
    ck_assert_msg((double)late <= (double)early * (1 + percent / 100) + bytes, "%s still grows: %llu, %llu", what, (unsigned long long)early,
                  (unsigned long long)late);
}

static uint64_t memory[LOOKS], allocated[LOOKS], disk[LOOKS];
static int looked; /* so often without a failure */

static void setup(void) {
    reco_generator_options options = {
        .struct_size = sizeof options, .items = ITEMS, .users = 3000, .seed = 7, .events = events, .duration = INT64_C(30) * 86400000, .drift = 0.5};
    err = (reco_error)RECO_ERROR_INIT;
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    snprintf(folder, sizeof folder, "%s/snapshots", dir);
    test_ok(reco_generator_create(&generator, &options, &err), &err);
}

static void teardown(void) {
    reco_generator_free(generator);
    reco_close(engine);
    test_dir_remove(dir);
}

START_TEST(a_look)
{
    ck_assert_int_eq(looked, _i);
    if (_i == 0) {
        open_engine();
        opened = memory_now();
        load_catalogue();
    } else {
        ingest(events / LOOKS);
    }
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    put_items(1 + _i * CHANGED, CHANGED, _i);
    ask();
    allocated[_i] = compare_stats();
    memory[_i] = anonymous();
    disk[_i] = blocks(dir);
    looked++;
}
END_TEST

START_TEST(memory_and_disk_reach_a_plateau)
{
    uint64_t left;
    ck_assert_int_eq(looked, LOOKS);
    printf("%llu events over 30 days\n", (unsigned long long)events);
    plateau("anonymous memory", memory, 15, 8388608);
    plateau("allocated by libreco", allocated, 2, 1048576);
    plateau("disk", disk, 15, 8388608);
    printf("stats and the kernel differ by %.2f %% at most\n", worst * 100);
    reco_generator_free(generator);
    generator = NULL;
    reco_close(engine);
    engine = NULL;
    ck_assert(reco__memory_held(&left));
    ck_assert_msg(left < 65536, "%llu bytes are held when nothing is open", (unsigned long long)left);
}
END_TEST

/* In one process, in which each look is a case: Check cannot count how long a case of more than half an hour took. */
int main(int argc, char **argv) {
    Suite *suite = suite_create("soak");
    TCase *tests = tcase_create("soak");
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* a failed look is to be seen beside those before it */
    events = argc > 1 ? strtoull(argv[1], NULL, 10) : test_full() ? 20000000 : 160000;
    tcase_add_unchecked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_look, 0, LOOKS);
    tcase_add_test(tests, memory_and_disk_reach_a_plateau);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
