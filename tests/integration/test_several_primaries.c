/* Features on three real Redis primaries, through an engine: the state is that of one clean learning of the same records, wherever processors died
 * between two primaries, and whichever primary was emptied, or came back with what it had saved long before. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <reco/generate.h>
#include <reco/plugin/module.h>

#include "engine/snapshots.h"
#include "support/engine.h"
#include "support/redis_server.h"

#define DAY INT64_C(86400000)
#define GRAIN INT64_C(3600000)

enum { PRIMARIES = 3, EVENTS = 2500 };

extern const reco_module reco_module_v1;
static test_redis servers[PRIMARIES];
static char reference[40];

static const char *const settings[] = {"partitions",
                                       "4",
                                       "lateness",
                                       "6h",
                                       "coview.length",
                                       "3d",
                                       "coview.kept",
                                       "4",
                                       "coview.cut",
                                       "8",
                                       "coview.head",
                                       "6",
                                       "coview.halving",
                                       "2",
                                       "pairs.window",
                                       "4",
                                       "cell.lifetime",
                                       "20d",
                                       "cell.history",
                                       "40",
                                       "cell.recents",
                                       "20",
                                       "popularity.hours_kept",
                                       "72",
                                       "recommend.window_days",
                                       "20d",
                                       "recommend.window_hours",
                                       "72h",
                                       "popularity.days_kept",
                                       "20",
                                       NULL};

/* --- the records ------------------------------------------------------------------------------------------------------------------------------ */

static void fill(reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    reco_generator *generator = NULL;
    reco_generator_options options = {.struct_size = sizeof options,
                                      .items = 150,
                                      .users = 80,
                                      .seed = 20261122,
                                      .events = EVENTS,
                                      .duration = 40 * DAY,
                                      .drift = 0.5,
                                      .late = 0.05,
                                      .early = 0.02,
                                      .duplicate = 0.05,
                                      .reordered = 0.03};
    reco_event event;
    int64_t received_at;
    test_ok(reco_generator_create(&generator, &options, &err), &err);
    while (reco_generator_next(&event, &received_at, generator) == RECO_OK) {
        reco_receipt receipt = {.struct_size = sizeof receipt};
        reco_ingest_options how = {.struct_size = sizeof how, .received_at = (received_at + GRAIN - 1) / GRAIN * GRAIN};
        reco_status status = reco_ingest(&receipt, engine, &event, 1, sizeof event, &how, NULL, &err);
        ck_assert_msg(status == RECO_OK || receipt.rejected == 1, "%s", err.text);
    }
    reco_generator_free(generator);
}

/* The source of all records, learned in one go. */
static reco_engine *make_source(void) {
    reco_engine *source = test_engine_open("memory:", 0, settings);
    fill(source);
    test_engine_learn(source, 0, NULL);
    test_engine_hash(reference, source);
    return source;
}

static void url_of(char url[200], test_redis *on, const char *prefix) {
    snprintf(url, 200, "redis://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d?prefix=%s:", on[0].port, on[1].port, on[2].port, prefix);
}

/* An engine with the records, nothing of them learned, features on the primaries; with a folder it takes snapshots and trims to them. */
static reco_engine *make_engine_with(reco_engine *source, const char *url, const char *folder) {
    const char *own[64] = {"features", url, "snapshots.folder", folder, "snapshots.every", "100", "snapshots.trim", "yes"};
    size_t count = folder ? 8 : 2;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        own[i + count] = settings[i];
    }
    reco_engine *engine = test_engine_open("memory:", 0, own);
    ck_assert_uint_gt(test_engine_copy(engine, source, 0), EVENTS / 2);
    return engine;
}

static reco_engine *make_engine(reco_engine *source, const char *url) { return make_engine_with(source, url, NULL); }

static uint64_t stat_of(reco_engine *engine, const char *name) {
    char *json = NULL, wanted[64];
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *at = strstr(json, wanted);
    ck_assert_msg(at != NULL, "no %s in %s", name, json);
    uint64_t value = strtoull(at + strlen(wanted), NULL, 10);
    reco_free(json);
    return value;
}

static void check_state(reco_engine *engine) {
    char hash[40];
    ck_assert_uint_eq(stat_of(engine, "primaries"), PRIMARIES);
    ck_assert_uint_eq(stat_of(engine, "primaries_behind"), 0);
    test_engine_hash(hash, engine);
    ck_assert_str_eq(hash, reference);
    test_engine_verify(engine, NULL);
}

/* --- a word with a server ------------------------------------------------------------------------------------------------------------------------
 */

static void tell(const test_redis *server, const char *command) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    char reply[64] = {0};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(dprintf(fd, "%s\r\n", command), (int)strlen(command) + 2);
    ck_assert_int_gt(recv(fd, reply, sizeof reply - 1, 0), 0);
    ck_assert_msg(reply[0] == '+', "%s: %s", command, reply);
    close(fd);
}

/* Learns all that is left; a server that has just come back may be refused a moment longer. */
struct learning {
    reco_processor *processor;
    reco_status status;
    reco_error err;
};

static bool learned_all(void *context) {
    struct learning *learning = context;
    reco_progress progress = {.struct_size = sizeof progress};
    do {
        learning->status = reco_processor_step(&progress, learning->processor, NULL, &learning->err);
    } while (learning->status == RECO_OK && !progress.idle);
    return learning->status == RECO_OK;
}

static void learn_patiently(reco_engine *engine, uint32_t batch_events) {
    struct learning learning = {.err = RECO_ERROR_INIT};
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = batch_events};
    test_ok(reco_processor_open(&learning.processor, engine, &options, NULL, &learning.err), &learning.err);
    ck_assert_msg(test_wait(learned_all, &learning, 30000), "%s: %s", reco_status_name(learning.status), learning.err.text);
    reco_processor_close(learning.processor);
}

/* --- tests ----------------------------------------------------------------------------------------------------------------------------------------
 */

START_TEST(undisturbed_it_is_the_same)
{
    reco_engine *source = make_source();
    char url[200];
    url_of(url, servers, "plain");
    reco_engine *engine = make_engine(source, url);
    test_engine_learn(engine, 100, NULL);
    check_state(engine);
    ck_assert_uint_eq(stat_of(engine, "primaries_healed_batches"), 0);
    reco_close(engine);
    reco_close(source);
}
END_TEST

/* Each processor dies at a write, the first, second, third ... from its beginning; the next one has batches of another size. */
START_TEST(processors_die_between_primaries)
{
    static const uint32_t sizes[] = {37, 100, 13, 211, 64};
    reco_engine *source = make_source();
    char url[200];
    url_of(url, servers, "dying");
    reco_engine *engine = make_engine(source, url);
    reco_status status;
    uint64_t deaths = 0;
    do {
        reco_error err = RECO_ERROR_INIT;
        reco_processor *processor = NULL;
        reco_processor_options options = {.struct_size = sizeof options, .batch_events = sizes[deaths % 5]};
        reco_progress progress = {.struct_size = sizeof progress};
        test_ok(reco_processor_open(&processor, engine, &options, NULL, &err), &err);
        reco__fault_plant("features.redis.primary", 1 + deaths % 7, 0, RECO_UNAVAILABLE);
        do {
            status = reco_processor_step(&progress, processor, NULL, &err);
        } while (status == RECO_OK && !progress.idle);
        ck_assert_msg(status == RECO_OK || status == RECO_UNAVAILABLE, "%s: %s", reco_status_name(status), err.text);
        reco_processor_close(processor);
        deaths += status != RECO_OK;
        ck_assert_uint_lt(deaths, 2000);
    } while (status != RECO_OK);
    reco__fault_plant("features.redis.primary", 0, 0, RECO_OK);
    printf("%llu processors died between two primaries\n", (unsigned long long)deaths);
    ck_assert_uint_gt(deaths, 10);
    check_state(engine);
    ck_assert_uint_eq(stat_of(engine, "primaries_healed_batches"), 0); /* boards first leaves nobody behind */
    reco_close(engine);
    reco_close(source);
}
END_TEST

/* Each of them in turn loses all it had. The first is the one that numbers names. */
START_TEST(an_emptied_primary_is_healed)
{
    reco_engine *source = make_source();
    char url[200], prefix[16];
    snprintf(prefix, sizeof prefix, "empty%d", _i);
    url_of(url, servers, prefix);
    reco_engine *engine = make_engine(source, url);
    test_engine_learn_some(engine, 150, EVENTS / 2);
    tell(&servers[_i], "FLUSHALL");
    learn_patiently(engine, 90);
    check_state(engine);
    ck_assert_uint_gt(stat_of(engine, "primaries_healed_batches"), 0);
    reco_close(engine);
    reco_close(source);
}
END_TEST

/* The primary comes back with what it has now, after the others have learned all there is; then learning goes on. */
static void fall_back(reco_engine *engine, test_redis *primary) {
    tell(primary, "SAVE");
    test_engine_learn(engine, 120, NULL);
    test_redis_stop(primary);
    test_redis_restart(primary, NULL);
    learn_patiently(engine, 70);
}

/* Killed, and started again with what was saved when it had learned less. Nothing is learned after it: healing alone must be enough. */
START_TEST(an_older_state_is_healed)
{
    test_redis own[PRIMARIES];
    reco_engine *source = make_source();
    char url[200];
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_start(&own[k], NULL);
    }
    url_of(url, own, "older");
    reco_engine *engine = make_engine(source, url);
    test_engine_learn_some(engine, 100, EVENTS / 3);
    fall_back(engine, &own[_i]);
    check_state(engine);
    ck_assert_uint_gt(stat_of(engine, "primaries_healed_batches"), 0);
    reco_close(engine);
    reco_close(source);
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_stop(&own[k]);
        test_dir_remove(own[k].folder);
    }
}
END_TEST

/* The same where the stream begins at a snapshot: healing begins there, too. */
START_TEST(an_older_state_is_healed_from_a_snapshot)
{
    test_redis own[PRIMARIES];
    reco_engine *source = make_source();
    char url[200], folder[256], hash[40];
    reco_error err = RECO_ERROR_INIT;
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_start(&own[k], NULL);
    }
    test_dir_make(folder);
    url_of(url, own, "based");
    reco_engine *engine = make_engine_with(source, url, folder);
    test_engine_learn_some(engine, 100, EVENTS / 3);
    test_ok(reco__snapshots_step(engine, NULL, &err), &err);
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    ck_assert_int_gt(spans[0].begin + spans[1].begin + spans[2].begin + spans[3].begin, 0);
    test_engine_learn_some(engine, 100, EVENTS / 3);
    fall_back(engine, &own[_i]);
    ck_assert_uint_gt(stat_of(engine, "primaries_healed_batches"), 0);
    ck_assert_uint_eq(stat_of(engine, "primaries_behind"), 0);
    ck_assert_uint_eq(stat_of(engine, "relearned"), 0);
    test_engine_hash(hash, engine);
    ck_assert_str_eq(hash, reference);
    reco_close(engine);
    reco_close(source);
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_stop(&own[k]);
        test_dir_remove(own[k].folder);
    }
    test_dir_remove(folder);
}
END_TEST

/* A snapshot of primaries goes into primaries, and into another process's view of them. */
START_TEST(snapshots_go_both_ways)
{
    reco_engine *source = make_source();
    char url[200], folder[256], path[300];
    reco_error err = RECO_ERROR_INIT;
    test_dir_make(folder);
    snprintf(path, sizeof path, "%s/half", folder);
    url_of(url, servers, "snap");
    reco_engine *engine = make_engine(source, url);
    test_engine_learn_some(engine, 100, EVENTS / 2);
    test_ok(reco_snapshot(NULL, engine, path, NULL, &err), &err);
    test_engine_learn(engine, 100, NULL);
    test_engine_verify(engine, path);
    test_ok(reco__snapshot_load(engine->features, engine, path, NULL, &err), &err);
    test_engine_learn(engine, 40, NULL);
    check_state(engine);
    reco_close(engine);
    reco_close(source);
    test_dir_remove(folder);
}
END_TEST

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    if (reco_module_start(&reco_module_v1, &err) != RECO_OK) {
        fprintf(stderr, "the module does not start: %s\n", err.text);
        return EXIT_FAILURE;
    }
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_start(&servers[k], NULL);
    }
    Suite *suite = suite_create("several primaries");
    TCase *tcase = tcase_create("several primaries");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, undisturbed_it_is_the_same);
    tcase_add_test(tcase, processors_die_between_primaries);
    tcase_add_loop_test(tcase, an_emptied_primary_is_healed, 0, PRIMARIES);
    tcase_add_loop_test(tcase, an_older_state_is_healed, 0, PRIMARIES);
    tcase_add_loop_test(tcase, an_older_state_is_healed_from_a_snapshot, 0, PRIMARIES);
    tcase_add_test(tcase, snapshots_go_both_ways);
    suite_add_tcase(suite, tcase);
    int result = test_run(suite);
    for (int k = 0; k < PRIMARIES; k++) {
        test_redis_stop(&servers[k]);
        test_dir_remove(servers[k].folder);
    }
    return result;
}
