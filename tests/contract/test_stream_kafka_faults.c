/* kafka: against librdkafka's mock cluster, which answers with errors on request: refused and lost requests are made again without a record lost,
 * doubled or out of order; brokers that are down are UNAVAILABLE in time, and the store goes on when they are back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <reco/plugin/module.h>
#include <reco/plugin/stream.h>

#include "base/base.h"
#include "support/support.h"

enum { BROKERS = 3, P = 2, PRODUCE = 0, FETCH = 1, LIST_OFFSETS = 2, METADATA = 3 };

extern const reco_module reco_module_v1;

static const reco_stream_backend *kafka;
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static reco_stream_store *store;

static void setup(void) {
    char why[200], url[600];
    reco_error err = RECO_ERROR_INIT;
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    ck_assert_msg(host != NULL, "%s", why);
    cluster = rd_kafka_mock_cluster_new(host, BROKERS);
    ck_assert(cluster != NULL);
    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, "t.main", P, 3), 0);
    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, "t.main.meta", 1, 3), 0);
    snprintf(url, sizeof url, "kafka://%s/t?check=no&message.timeout.ms=3000&socket.timeout.ms=1000&retry.backoff.ms=20&reconnect.backoff.max.ms=200",
             rd_kafka_mock_cluster_bootstraps(cluster));
    reco_stream_options options = {.struct_size = sizeof options, .partitions = P, .url = url, .space = "main", .tick_ms = 1000};
    test_ok(kafka->open(&store, &options, NULL, &err), &err);
}

static void teardown(void) {
    kafka->close(store);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

static reco_status append_numbers(uint64_t *next, uint32_t count, reco_error *err) {
    reco_stream_record records[64];
    uint64_t numbers[64];
    int64_t offsets[64];
    reco_stream_ticket ticket = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = *next + i;
        records[i] = (reco_stream_record){0, sizeof numbers[i], &numbers[i], 1000};
    }
    reco_status status = kafka->append(&ticket, store, records, count, RECO_APPEND_NO_TICKS, NULL, err);
    if (status == RECO_OK) {
        status = kafka->wait(offsets, &ticket, store, NULL, err);
    }
    *next += status == RECO_OK ? count : 0;
    return status;
}

static int take_number(void *context, int64_t offset, const void *data, size_t size) {
    uint64_t *expected = context, number;
    ck_assert_uint_eq(size, sizeof number);
    memcpy(&number, data, sizeof number);
    ck_assert_uint_eq(number, *expected);
    ck_assert_int_eq(offset, (int64_t)number);
    ++*expected;
    return 0;
}

static void read_numbers(uint64_t count) {
    reco_error err = RECO_ERROR_INIT;
    uint64_t expected = 0;
    test_ok(kafka->read(store, 0, 0, UINT32_MAX, UINT64_MAX, take_number, &expected, NULL, &err), &err);
    ck_assert_uint_eq(expected, count);
}

START_TEST(refused_requests_are_made_again)
{
    reco_error err = RECO_ERROR_INIT;
    uint64_t next = 0;
    for (int round = 0; round < 5; round++) {
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                          RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
        test_ok(append_numbers(&next, 50, &err), &err);
    }
    rd_kafka_mock_push_request_errors(cluster, FETCH, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
    read_numbers(250);
    reco_stream_span spans[P];
    rd_kafka_mock_push_request_errors(cluster, LIST_OFFSETS, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    test_ok(kafka->spans(spans, store, NULL, &err), &err);
    ck_assert_int_eq(spans[0].end, 250);
}
END_TEST

START_TEST(a_lost_connection_is_made_again)
{
    reco_error err = RECO_ERROR_INIT;
    uint64_t next = 0;
    for (int round = 0; round < 5; round++) {
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
        test_ok(append_numbers(&next, 20, &err), &err);
    }
    read_numbers(100);
}
END_TEST

START_TEST(what_cannot_succeed_is_answered)
{
    reco_error err = RECO_ERROR_INIT;
    uint64_t next = 0;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    ck_assert_int_eq(append_numbers(&next, 1, &err), RECO_REFUSED);
    ck_assert(err.text[0] != '\0');
    reco_status status = append_numbers(&next, 1, &err); /* and the store is of use again */
    int64_t give_up = reco__monotonic_ns() + 10000000000;
    while (status != RECO_OK && reco__monotonic_ns() < give_up) {
        status = append_numbers(&next, 1, &err);
    }
    test_ok(status, &err);
}
END_TEST

START_TEST(brokers_go_and_come_back)
{
    reco_error err = RECO_ERROR_INIT;
    uint64_t next = 0;
    test_ok(append_numbers(&next, 10, &err), &err);
    for (int32_t i = 1; i <= BROKERS; i++) {
        rd_kafka_mock_broker_set_down(cluster, i);
    }
    int64_t start = reco__monotonic_ns();
    ck_assert_int_eq(append_numbers(&next, 10, &err), RECO_UNAVAILABLE);
    ck_assert_int_lt(reco__monotonic_ns() - start, 10000000000);
    /* one append finds out, the next ones are refused at once as long as it does */
    reco_stream_ticket ticket = {{0}};
    reco_stream_record record = {1, 8, "12345678", 1000};
    test_ok(kafka->append(&ticket, store, &record, 1, RECO_APPEND_NO_TICKS, NULL, &err), &err);
    start = reco__monotonic_ns();
    ck_assert_int_eq(append_numbers(&next, 1, &err), RECO_UNAVAILABLE);
    ck_assert_int_lt(reco__monotonic_ns() - start, 1000000000);
    for (int32_t i = 1; i <= BROKERS; i++) {
        rd_kafka_mock_broker_set_up(cluster, i);
    }
    kafka->wait(NULL, &ticket, store, NULL, &err);
    reco_status status = RECO_UNAVAILABLE;
    int64_t give_up = reco__monotonic_ns() + 30000000000;
    while (status != RECO_OK && reco__monotonic_ns() < give_up) {
        status = append_numbers(&next, 10, &err);
    }
    test_ok(status, &err);
    read_numbers(20);
}
END_TEST

static void take_renewed(void *context, const char *name, uint64_t value) {
    if (strcmp(name, "renewed_producers") == 0) {
        *(uint64_t *)context = value;
    }
}

static uint64_t renewed(void) {
    reco_error err = RECO_ERROR_INIT;
    uint64_t count = 0;
    test_ok(kafka->stats(store, take_renewed, &count, NULL, &err), &err);
    return count;
}

/* An idempotent producer that lost its place cannot go on; the store makes a new one. */
START_TEST(a_producer_that_cannot_go_on_is_made_again)
{
    reco_error err = RECO_ERROR_INIT;
    uint64_t next = 0;
    static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
                                                RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER};
    test_ok(append_numbers(&next, 10, &err), &err);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 2, codes[i], codes[i]);
        reco_status status = append_numbers(&next, 10, &err);
        ck_assert_msg(status == RECO_OK || status == RECO_UNAVAILABLE, "%s: %s", reco_status_name(status), err.text);
        int64_t give_up = reco__monotonic_ns() + 30000000000;
        while (status != RECO_OK && reco__monotonic_ns() < give_up) {
            status = append_numbers(&next, 10, &err);
        }
        test_ok(status, &err);
    }
    ck_assert_uint_eq(next, 40);
    ck_assert_uint_ge(renewed(), 1);
}
END_TEST

START_TEST(a_deadline_is_kept)
{
    reco_error err = RECO_ERROR_INIT;
    reco_stream_ticket ticket = {{0}};
    reco_stream_record record = {0, 8, "12345678", 1000};
    for (int32_t i = 1; i <= BROKERS; i++) {
        rd_kafka_mock_broker_set_rtt(cluster, i, 700);
    }
    int64_t start = reco__monotonic_ns();
    reco_call call = {.struct_size = sizeof call, .deadline_ns = start + 100000000};
    test_ok(kafka->append(&ticket, store, &record, 1, 0, &call, &err), &err);
    ck_assert_int_eq(kafka->wait(NULL, &ticket, store, &call, &err), RECO_TIMEOUT);
    ck_assert_int_lt(reco__monotonic_ns() - start, 500000000);
    test_ok(kafka->wait(NULL, &ticket, store, NULL, &err), &err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kafka: faults");
    TCase *tests = tcase_create("all");
    kafka = reco_module_v1.stream;
    if (reco_module_start(&reco_module_v1, NULL) != RECO_OK) {
        return 1;
    }
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, refused_requests_are_made_again);
    tcase_add_test(tests, a_lost_connection_is_made_again);
    tcase_add_test(tests, what_cannot_succeed_is_answered);
    tcase_add_test(tests, brokers_go_and_come_back);
    tcase_add_test(tests, a_producer_that_cannot_go_on_is_made_again);
    tcase_add_test(tests, a_deadline_is_kept);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
