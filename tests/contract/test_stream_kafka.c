/* The stream's contract on kafka: against a broker of this test's own, started once, and what happens when brokers are lost or full, on librdkafka's
 * mock cluster or with the broker stopped. RECO_FULL=1: ten times the random operations. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <reco/plugin/module.h>

#include "base/base.h"
#include "contract/stream_suite.h"
#include "support/kafka_server.h"
#include "support/support.h"

extern const reco_module reco_module_v1;

static kafka_server server;
static const reco_stream_backend *kafka;

static void make_url(char url[300], const char *settings) {
    static int serial;
    snprintf(url, 300, "kafka://127.0.0.1:%u/t%d-%d?linger.ms=1&heartbeat.interval.ms=100%s", server.port, (int)getpid(), serial++, settings);
}

START_TEST(kafka_keeps_the_contract)
{
    char room[300], url[300];
    const char *full = getenv("RECO_FULL"), *name = stream_check_name((size_t)_i);
    make_url(url, "&replication=1");
    stream_subject subject = {kafka, url, 1, 0, full && *full == '1' ? 4000 : 400, 44};
    int64_t start = reco__monotonic_ns();
    const char *wrong = stream_run(&subject, name, room, sizeof room);
    if (getenv("RECO_SHOW_TIMES")) {
        fprintf(stderr, "%s: %lld ms\n", name, (long long)(reco__monotonic_ns() - start) / 1000000);
    }
    ck_assert_msg(!wrong, "%s on kafka: %s", name, wrong);
}
END_TEST

static reco_status open_url(reco_stream_store **out, const char *url, uint32_t partitions, reco_error *err) {
    reco_stream_options options = {.struct_size = sizeof options, .partitions = partitions, .url = url, .space = "main", .tick_ms = 1000};
    return kafka->open(out, &options, NULL, err);
}

START_TEST(settings_are_librdkafkas)
{
    static const char *const bad[][2] = {{"?no.such.setting=1", "no.such.setting"},
                                         {"?acks=1", "acks"},
                                         {"?linger.ms=hunter2", "queue.buffering.max.ms"},
                                         {"?replication=0", "replication"},
                                         {"?linger.ms", "name=value"},
                                         {"?sasl.password=hunter2&security.protocol=hunter", "security.protocol"},
                                         {"?security.protocol=SSL&ssl.key.pem=hunter2", "ssl"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reco_error err = RECO_ERROR_INIT;
        reco_stream_store *store;
        char url[200];
        snprintf(url, sizeof url, "kafka://127.0.0.1:1/x%s", bad[i][0]);
        ck_assert_int_eq(open_url(&store, url, 1, &err), RECO_INVALID);
        ck_assert_msg(strstr(err.text, bad[i][1]) != NULL, "'%s' does not name %s", err.text, bad[i][1]);
        ck_assert_msg(!strstr(err.text, "password") && (i == 2 || !strstr(err.text, "hunter2")), "a secret: %s", err.text);
    }
    reco_error err = RECO_ERROR_INIT;
    reco_stream_store *store;
    ck_assert_int_eq(open_url(&store, "kafka://user:hunter2@127.0.0.1:1/x", 1, &err), RECO_INVALID);
    ck_assert(!strstr(err.text, "hunter2"));
}
END_TEST

START_TEST(no_brokers_is_unavailable_in_time)
{
    reco_error err = RECO_ERROR_INIT;
    reco_stream_store *store;
    int64_t start = reco__monotonic_ns();
    reco_call call = {.struct_size = sizeof call, .deadline_ns = start + 500000000};
    reco_stream_options options = {.struct_size = sizeof options, .partitions = 1, .url = "kafka://127.0.0.1:1/x", .space = "main"};
    reco_status status = kafka->open(&store, &options, &call, &err);
    ck_assert(status == RECO_UNAVAILABLE || status == RECO_TIMEOUT);
    ck_assert_int_lt(reco__monotonic_ns() - start, 3000000000);
}
END_TEST

static reco_status append_one(reco_stream_store *store, int64_t received_at, int64_t *offset, reco_error *err) {
    reco_stream_ticket ticket = {{0}};
    reco_stream_record record = {0, 8, "12345678", received_at};
    reco_status status = kafka->append(&ticket, store, &record, 1, RECO_APPEND_NO_TICKS, NULL, err);
    return status == RECO_OK ? kafka->wait(offset, &ticket, store, NULL, err) : status;
}

/* The broker is stopped: a queue that is full says so, an append in time says so, a deadline is kept; and it goes on when it is back. */
START_TEST(a_stopped_broker_is_survived)
{
    char url[300];
    reco_error err = RECO_ERROR_INIT;
    reco_stream_store *store;
    int64_t offset;
    static char big[1000];
    enum { TICKETS = 40 };
    static reco_stream_ticket tickets[TICKETS];
    reco_stream_record record = {0, sizeof big, big, 1000};
    make_url(url, "&replication=1&message.timeout.ms=1500&socket.timeout.ms=1000&queue.buffering.max.kbytes=20");
    test_ok(open_url(&store, url, 1, &err), &err);
    test_ok(append_one(store, 1000, &offset, &err), &err);
    kafka_server_pause(&server, true);
    int queued = 0;
    reco_status status = RECO_OK;
    while (queued < TICKETS && (status = kafka->append(&tickets[queued], store, &record, 1, RECO_APPEND_NO_TICKS, NULL, &err)) == RECO_OK) {
        queued++;
    }
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + 50000000};
    reco_status late = queued ? kafka->wait(NULL, &tickets[0], store, &call, &err) : RECO_OK;
    int failed = 0;
    for (int i = 0; i < queued; i++) {
        failed += kafka->wait(NULL, &tickets[i], store, NULL, &err) == RECO_UNAVAILABLE;
    }
    kafka_server_pause(&server, false);
    ck_assert_int_eq(status, RECO_BUSY);
    ck_assert_int_eq(late, RECO_TIMEOUT);
    ck_assert_int_eq(failed, queued);
    int64_t give_up = reco__monotonic_ns() + 30000000000;
    do {
        status = append_one(store, 2000, &offset, &err);
    } while (status != RECO_OK && reco__monotonic_ns() < give_up);
    test_ok(status, &err);
    kafka->close(store);
}
END_TEST

/* --- three processes' worth of stores --------------------------------------------------------------------------------------------------------- */

START_TEST(another_stores_appends_are_seen)
{
    char url[300];
    reco_error err = RECO_ERROR_INIT;
    reco_stream_store *one, *two;
    reco_stream_span spans[2];
    int64_t offset, ends[2] = {1, 0};
    make_url(url, "&replication=1");
    test_ok(open_url(&one, url, 2, &err), &err);
    test_ok(open_url(&two, url, 2, &err), &err);
    for (int i = 0; i < 20; i++) {
        test_ok(append_one(i % 2 ? one : two, 1000 + i * 10, &offset, &err), &err);
        ck_assert_int_eq(offset, i);
    }
    test_ok(kafka->wait_for(one, ends, 5000000000, NULL, &err), &err);
    test_ok(kafka->spans(spans, one, NULL, &err), &err);
    ck_assert(spans[0].end == 20 && spans[0].last_received_at == 1190 && spans[0].max_received_at == 1190 && spans[1].end == 0);
    reco_stream_ticket ticket = {{0}};
    reco_stream_record record = {1, 8, "12345678", 1185};
    test_ok(kafka->append(&ticket, one, &record, 1, RECO_APPEND_FORWARD, NULL, &err), &err); /* behind what the other appended */
    ck_assert_int_eq(kafka->wait(NULL, &ticket, one, NULL, &err), RECO_CONFLICT);
    kafka->close(one);
    kafka->close(two);
}
END_TEST

/* Far behind: the largest time is not the last one and is found by the time index. */
START_TEST(a_long_partition_is_opened_exactly)
{
    enum { COUNT = 5000 };
    char url[300];
    reco_error err = RECO_ERROR_INIT;
    reco_stream_store *store;
    reco_stream_span spans[1];
    static reco_stream_record records[COUNT];
    reco_stream_ticket ticket = {{0}};
    make_url(url, "&replication=1");
    test_ok(open_url(&store, url, 1, &err), &err);
    for (int i = 0; i < COUNT; i++) {
        records[i] = (reco_stream_record){0, 8, "12345678", 100000 + (i * 7919) % 4000};
    }
    records[2345].received_at = 900000;
    records[COUNT - 1].received_at = 100001;
    test_ok(kafka->append(&ticket, store, records, COUNT, RECO_APPEND_NO_TICKS, NULL, &err), &err);
    test_ok(kafka->wait(NULL, &ticket, store, NULL, &err), &err);
    kafka->close(store);
    test_ok(open_url(&store, url, 0, &err), &err);
    test_ok(kafka->spans(spans, store, NULL, &err), &err);
    ck_assert(spans[0].end == COUNT && spans[0].last_received_at == 100001 && spans[0].max_received_at == 900000);
    kafka->close(store);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stream contract on kafka");
    TCase *tests = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    const char *reason = kafka_server_start(&server);
    if (reason) {
        test_skip(reason);
    }
    kafka = reco_module_v1.stream;
    if (reco_module_start(&reco_module_v1, NULL) != RECO_OK) {
        kafka_server_stop(&server);
        return 1;
    }
    tcase_add_loop_test(tests, kafka_keeps_the_contract, 0, (int)stream_check_count);
    tcase_add_test(tests, settings_are_librdkafkas);
    tcase_add_test(tests, no_brokers_is_unavailable_in_time);
    tcase_add_test(tests, another_stores_appends_are_seen);
    tcase_add_test(tests, a_long_partition_is_opened_exactly);
    tcase_add_test(tests, a_stopped_broker_is_survived);
    suite_add_tcase(suite, tests);
    int result = test_run(suite);
    kafka_server_stop(&server);
    return result;
}
