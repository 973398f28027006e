/* The features suite on redis:, and what is peculiar to a server: it goes away and comes back empty, refuses logins, is set up wrongly. */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <reco/plugin/module.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract/features_suite.h"
#include "support/redis_server.h"
#include "support/support.h"

extern const reco_module reco_module_v1;
static const reco_features_backend *backend;
static test_redis server;

static void refuse(reco_status expected, const char *url, const char *said) {
    reco_features_store *store;
    reco_error err = RECO_ERROR_INIT;
    test_status(expected, fixture_open_url(&store, backend, url, &err));
    ck_assert_msg(strstr(err.text, said) != NULL, "%s: %s", url, err.text);
    ck_assert_msg(strstr(err.text, "s3cret") == NULL, "the password is shown: %s", err.text);
}

START_TEST(urls_are_checked)
{
    refuse(RECO_INVALID, "redis://", "host");
    refuse(RECO_INVALID, "redis://h:0", "port");
    refuse(RECO_INVALID, "redis://h:99999", "port");
    refuse(RECO_INVALID, "redis://u:s3cret%zz@h", "login");
    refuse(RECO_INVALID, "redis://h/x", "database");
    refuse(RECO_INVALID, "redis://h?colour=red", "option");
    refuse(RECO_INVALID, "redis://a:1,,b:2?sentinel=x", "host");
    refuse(RECO_INVALID, "redis://a:1,b:0?sentinel=x", "port");
    refuse(RECO_INVALID, "redis://a:1?sentinel=", "sentinel");
    refuse(RECO_INVALID, "redis:///a/socket?sentinel=x", "host");
    refuse(RECO_UNAVAILABLE, "redis://u:s3cret@127.0.0.1:1,127.0.0.1:2?sentinel=x&sentinel_password=s3cret", "cannot connect");
    refuse(RECO_UNAVAILABLE, "redis://u:s3cret@127.0.0.1:1", "cannot connect");
    refuse(RECO_UNAVAILABLE, "redis:///nowhere/socket", "cannot connect");
}
END_TEST

START_TEST(a_login_is_needed)
{
    test_redis own;
    const char *arguments[] = {"--requirepass", "s3cret/@", NULL};
    char url[128];
    test_redis_start(&own, arguments);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", own.port);
    refuse(RECO_REFUSED, url, "NOAUTH");
    snprintf(url, sizeof url, "redis://:s3cret@127.0.0.1:%d", own.port);
    refuse(RECO_REFUSED, url, "WRONGPASS");
    snprintf(url, sizeof url, "redis://default:s3cret%%2F%%40@127.0.0.1:%d/3?prefix=x:", own.port);
    reco_features_store *store;
    reco_error err = RECO_ERROR_INIT;
    test_ok(fixture_open_url(&store, backend, url, &err), &err);
    backend->close(store);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

START_TEST(servers_that_forget_are_refused)
{
    test_redis own;
    const char *forgetful[] = {"--maxmemory-policy", "allkeys-lru", NULL}, *cluster[] = {"--cluster-enabled", "yes", NULL};
    char url[128];
    test_redis_start(&own, forgetful);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", own.port);
    refuse(RECO_REFUSED, url, "maxmemory-policy");
    test_redis_stop(&own);
    test_redis_restart(&own, cluster);
    refuse(RECO_UNSUPPORTED, url, "Cluster");
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

struct asked {
    reco_features_store *store;
    reco_status status;
    uint64_t epoch;
};

static bool is_back(void *context) {
    struct asked *asked = context;
    reco_position position;
    asked->status = backend->positions(&position, &asked->epoch, asked->store, NULL, NULL);
    return asked->status == RECO_OK;
}

START_TEST(a_server_goes_and_comes_back)
{
    test_redis own;
    char url[128];
    test_redis_start(&own, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?timeout_ms=1000", own.port);
    struct asked asked = {0};
    reco_error err = RECO_ERROR_INIT;
    test_ok(fixture_open_url(&asked.store, backend, url, &err), &err);
    ck_assert(is_back(&asked));
    uint64_t epoch = asked.epoch;
    reco_batch batch = {.struct_size = sizeof batch, .epoch = epoch, .to = 5, .clock = 5};
    test_ok(backend->apply(asked.store, &batch, NULL, &err), &err);
    test_redis_stop(&own);
    batch.from = 5;
    test_status(RECO_UNAVAILABLE, backend->apply(asked.store, &batch, NULL, &err));
    test_status(RECO_UNAVAILABLE, backend->apply(asked.store, &batch, NULL, &err));
    test_redis_restart(&own, NULL);
    ck_assert_msg(test_wait(is_back, &asked, 5000), "%s", reco_status_name(asked.status));
    ck_assert_uint_ne(asked.epoch, epoch); /* it has lost everything, and says so */
    test_status(RECO_STALE, backend->apply(asked.store, &batch, NULL, &err));
    batch.epoch = asked.epoch;
    batch.from = 0;
    test_ok(backend->apply(asked.store, &batch, NULL, &err), &err);
    backend->close(asked.store);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

static void *ask_once(void *context) {
    is_back(context);
    return NULL;
}

/* Connections of the server, but for the one that asks. */
static int connections(const test_redis *of) {
    redisContext *link = redisConnect("127.0.0.1", of->port);
    ck_assert(link && !link->err);
    redisReply *reply = redisCommand(link, "INFO clients");
    ck_assert(reply && reply->type == REDIS_REPLY_STRING);
    const char *count = strstr(reply->str, "connected_clients:");
    ck_assert_ptr_nonnull(count);
    int clients = atoi(count + 18) - 1;
    freeReplyObject(reply);
    redisFree(link);
    return clients;
}

static bool one_is_left(void *of) { return connections(of) == 1; }

/* A server that is gone without a word is found out once, not by each idle connection in its turn. */
START_TEST(silence_makes_all_suspect)
{
    enum { ASKERS = 4 };
    test_redis own;
    pthread_t threads[ASKERS];
    struct asked asked[ASKERS] = {{0}};
    char url[128];
    reco_error err = RECO_ERROR_INIT;
    test_redis_start(&own, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?timeout_ms=1000", own.port);
    test_ok(fixture_open_url(&asked[0].store, backend, url, &err), &err);
    for (int tries = 0; connections(&own) < 3; tries++) { /* several at once need several connections */
        ck_assert_int_lt(tries, 20);
        kill(own.pid, SIGSTOP);
        for (int i = 0; i < ASKERS; i++) {
            asked[i].store = asked[0].store;
            ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_once, &asked[i]), 0);
        }
        usleep(200000);
        kill(own.pid, SIGCONT);
        for (int i = 0; i < ASKERS; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    kill(own.pid, SIGSTOP);
    ck_assert(!is_back(&asked[0]));
    test_status(RECO_UNAVAILABLE, asked[0].status);
    kill(own.pid, SIGCONT);
    ck_assert(test_wait(is_back, &asked[0], 5000));
    ck_assert(test_wait(one_is_left, &own, 5000));
    backend->close(asked[0].store);
    test_redis_stop(&own);
    test_dir_remove(own.folder);
}
END_TEST

/* One row of popularity and one of co-view, grown until they are compacted, twice over. */
START_TEST(rows_are_compacted)
{
    static fixture f;
    static batch_adds b;
    fixture_prepare(&f, 1, 32);
    fixture_open(&f);
    fixture_items(&f, 32);
    for (int round = 0; round < 2000; round++) {
        b.count = b.cell_count = 0;
        for (uint32_t member = 0; member < 4; member++) {
            batch_add(&b, RECO_BOARD_HOURS, 0, 0, (member * 7 + (uint32_t)round) % 32, 1);
            batch_add(&b, RECO_BOARD_COVIEW, 0, 3, (member * 5 + (uint32_t)round) % 32, 2);
        }
        test_ok(batch_apply(&f, &b, 0, -1, round + 1, 1), &f.err);
        if (round % 50 == 49) {
            int more;
            test_ok(f.backend->close_step(&more, f.store, 1000000, NULL, &f.err), &f.err);
        }
        if (round % 500 == 499) {
            fixture_settle(&f);
            check_row(&f, RECO_BOARD_HOURS, 0, 0);
            check_row(&f, RECO_BOARD_COVIEW, 0, 3);
            check_all(&f, 1);
        }
    }
    fixture_done(&f);
}
END_TEST

static void own_cases(Suite *suite) {
    TCase *tcase = tcase_create("redis");
    tcase_add_test(tcase, urls_are_checked);
    tcase_add_test(tcase, a_login_is_needed);
    tcase_add_test(tcase, servers_that_forget_are_refused);
    tcase_add_test(tcase, a_server_goes_and_comes_back);
    tcase_add_test(tcase, silence_makes_all_suspect);
    tcase_add_test(tcase, rows_are_compacted);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    char url[300];
    if (reco_module_start(&reco_module_v1, &err) != RECO_OK) {
        fprintf(stderr, "the module does not start: %s\n", err.text);
        return EXIT_FAILURE;
    }
    backend = reco_module_v1.features;
    test_redis_start(&server, NULL);
    snprintf(url, sizeof url, "redis://%s/redis.sock", server.folder);
    Suite *suite = features_suite(backend, url, FEATURES_SUITE_SLOW);
    own_cases(suite);
    int result = test_run(suite);
    test_redis_stop(&server);
    test_dir_remove(server.folder);
    return result;
}
