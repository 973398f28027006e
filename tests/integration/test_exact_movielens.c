/* tests/integration/test_exact_movielens.c - learned = replayed on MovieLens 100K, taken in by import. The data is not part of the project: it is
 * looked for in $RECO_DATA_DIR, then in ../shared/data beside the source folder; without it the test is skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exact.h"

static const char *const settings[] = {"preset", "long-history", NULL};

static exact at;
static char data[1024];

static bool find_data(void) {
    const char *folder = getenv("RECO_DATA_DIR"), *source = getenv("RECO_SOURCE_DIR");
    struct stat info;

    if (folder) {
        snprintf(data, sizeof data, "%s/ml100k/events.tsv.gz", folder);
    } else {
        snprintf(data, sizeof data, "%s/../shared/data/ml100k/events.tsv.gz", source ? source : ".");
    }
    return stat(data, &info) == 0;
}

/* Lines of "user item seconds rating" as csv. */
static void write_csv(const char *path) {
    char command[1100], user[32], item[32];
    long long seconds;
    int rating;

    snprintf(command, sizeof command, "gzip -dc '%s'", data);
    FILE *from = popen(command, "r"), *to = fopen(path, "w");
    if (!from || !to) {
        perror(path);
        _exit(2);
    }
    fprintf(to, "user_id,item_id,event_type,timestamp,value\n");
    while (fscanf(from, "%31s %31s %lld %d", user, item, &seconds, &rating) == 4) {
        fprintf(to, "%s,%s,rating,%lld000,%d\n", user, item, seconds, rating);
    }
    pclose(from);
    fclose(to);
}

static void fill(reco_engine *source, exact_facts *facts) {
    reco_error err = RECO_ERROR_INIT;
    reco_import_result result = {.struct_size = sizeof result};
    char path[320];

    snprintf(path, sizeof path, "%s/ratings.csv", at.dir);
    write_csv(path);
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1};
    if (reco_import(&result, source, &options, NULL, &err) != RECO_OK) {
        test_child_fail("import", &err);
    }
    facts->sent = facts->accepted = result.events;
}

static void setup(void) { exact_begin(&at, settings, fill); }
static void teardown(void) { exact_end(&at); }

START_TEST(history_is_all_there)
{
    reco_error err = RECO_ERROR_INIT;
    char path[320];
    reco_import_result again = {.struct_size = sizeof again};

    ck_assert_uint_eq(at.facts->sent, 100000);
    ck_assert_uint_ge(at.facts->records, 100000 + 4); /* a tick at the end of each partition */
    ck_assert_uint_eq(at.facts->learned.records, 0);  /* import had learned it all */
    ck_assert_uint_eq(at.facts->cells, 943);
    ck_assert_uint_gt(at.facts->entries, 100000);
    snprintf(path, sizeof path, "%s/ratings.csv", at.dir);
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1};
    reco_engine *engine = test_engine_open(at.source, 0, settings);
    test_ok(reco_import(&again, engine, &options, NULL, &err), &err);
    ck_assert_uint_eq(again.already, 1);
    ck_assert_uint_eq(again.events, 0);
    exact_check_close(&at, engine);
}
END_TEST

START_TEST(four_processes_on_lmdb_one_killed)
{ exact_four_processes(&at); }
END_TEST

START_TEST(memory_one_thread)
{ exact_memory_threads(&at, 1, 20000); }
END_TEST

START_TEST(memory_four_threads)
{ exact_memory_threads(&at, 4, 1000); }
END_TEST

START_TEST(batches_of_1)
{ exact_batches_of_one(&at, NULL, test_full() ? 0 : 1000); }
END_TEST

START_TEST(from_a_snapshot_in_the_middle)
{ exact_snapshot(&at); }
END_TEST

int main(void) {
    Suite *suite = suite_create("exact_movielens");
    TCase *roads = tcase_create("roads");

    if (!find_data()) {
        test_skip("no data: MovieLens 100K is in neither $RECO_DATA_DIR nor ../shared/data");
    }
    tcase_add_unchecked_fixture(roads, setup, teardown);
    tcase_add_test(roads, history_is_all_there);
    tcase_add_test(roads, four_processes_on_lmdb_one_killed);
    tcase_add_test(roads, memory_one_thread);
    tcase_add_test(roads, memory_four_threads);
    tcase_add_test(roads, batches_of_1);
    tcase_add_test(roads, from_a_snapshot_in_the_middle);
    suite_add_tcase(suite, roads);
    return test_run(suite);
}
