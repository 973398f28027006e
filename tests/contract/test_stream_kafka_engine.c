/* An engine on a Kafka that others write to as well: what they put into the topic is passed over and kept with the dead letters, offsets that hold
 * nothing are no obstacle, and what is learned is what clean records give. Through libreco.so and the module beside it; the topic is written and read
 * by librdkafka itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include <reco/admin.h>
#include <reco/memory.h>

#include "support/kafka_server.h"
#include "support/support.h"

static kafka_server server;

enum { PARTITIONS = 2 };

#define START INT64_C(1700000000000)

/* --- an engine ------------------------------------------------------------------------------------------------------------------------------ */

static void make_prefix(char prefix[60]) {
    static int serial;
    snprintf(prefix, 60, "e%d-%d", (int)getpid(), serial++);
}

static reco_status try_engine(reco_engine **out, const char *prefix, const char *more, reco_error *err) {
    char url[900];
    reco_settings *given = NULL;
    test_ok(reco_settings_create(&given, err), err);
    bool guarded = more && strstr(more, "sasl.");
    snprintf(url, sizeof url, "kafka://127.0.0.1:%u/%s?heartbeat.interval.ms=100%s", guarded ? server.guarded : server.port, prefix ? prefix : "",
             more ? more : "");
    const char *settings[][2] = {{"limits.map_size", "4GiB"}, {"partitions", "2"},     {"stream", prefix ? url : "memory:"},
                                 {"features", "memory:"},     {"records", "memory:"},      {"namespace", "main"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        test_ok(reco_settings_set(given, settings[i][0], settings[i][1], err), err);
    }
    reco_open_options options = {.struct_size = sizeof options, .settings = given};
    reco_status status = reco_open(out, &options, NULL, err);
    reco_settings_free(given);
    return status;
}

/* prefix NULL: in memory. */
static reco_engine *open_engine(const char *prefix) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    test_ok(try_engine(&engine, prefix, NULL, &err), &err);
    return engine;
}

/* Ten events at the given moment. */
static void tell(reco_engine *engine, int64_t at, const reco_call *call) {
    char users[10][16], items[10][16];
    reco_event events[10];
    reco_error err = RECO_ERROR_INIT;
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_ingest_options options = {.struct_size = sizeof options, .received_at = at};
    memset(events, 0, sizeof events);
    for (int i = 0; i < 10; i++) {
        int user = snprintf(users[i], sizeof users[i], "user-%d", i % 7);
        int item = snprintf(items[i], sizeof items[i], "item-%d", (int)(at / 1000 + i * i) % 13);
        events[i].user_id = (reco_str){users[i], (size_t)user};
        events[i].item_id = (reco_str){items[i], (size_t)item};
        events[i].event_type = (reco_str){"view", 4};
        events[i].timestamp = at;
    }
    test_ok(reco_ingest(&receipt, engine, events, 10, sizeof *events, &options, call, &err), &err);
    ck_assert_uint_eq(receipt.accepted, 10);
}

static void learn(reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    reco_progress progress = {.struct_size = sizeof progress};
    test_ok(reco_process(&progress, engine, NULL, &err), &err);
}

/* The number behind "name": in the statistics. */
static long long number_of(reco_engine *engine, const char *name) {
    char key[60], *json = NULL;
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_stats(&json, engine, NULL, &err), &err);
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(json, key);
    ck_assert_msg(found != NULL, "no %s in %s", name, json);
    long long value = atoll(found + strlen(key));
    reco_free(json);
    return value;
}

/* --- Kafka without libreco ------------------------------------------------------------------------------------------------------------------ */

static rd_kafka_t *raw_client(rd_kafka_type_t type, const char *transactions) {
    char why[200], brokers[40];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(brokers, sizeof brokers, "127.0.0.1:%u", server.port);
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    rd_kafka_conf_set(conf, "message.max.bytes", "2000000", why, sizeof why);
    if (transactions) {
        rd_kafka_conf_set(conf, "transactional.id", transactions, why, sizeof why);
    }
    if (type == RD_KAFKA_CONSUMER) {
        rd_kafka_conf_set(conf, "group.id", "raw", why, sizeof why);
        rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why);
        rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", why, sizeof why);
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    ck_assert_msg(client != NULL, "%s", why);
    return client;
}

static void raw_send(rd_kafka_t *producer, const char *topic, int32_t partition, const void *data, size_t size, int64_t timestamp) {
    union {
        const void *in;
        void *out;
    } value = {data};
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(value.out, size),
                          RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    ck_assert_msg(code == RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(code));
}

static void raw_flush(rd_kafka_t *producer) { ck_assert_int_eq(rd_kafka_flush(producer, 30000), RD_KAFKA_RESP_ERR_NO_ERROR); }

/* All messages of a partition. */
static void raw_read(const char *topic, int32_t partition, void (*take)(void *context, const rd_kafka_message_t *message), void *context) {
    rd_kafka_t *consumer = raw_client(RD_KAFKA_CONSUMER, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    ck_assert_int_eq(rd_kafka_assign(consumer, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    for (bool end = false; !end;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 30000);
        ck_assert_msg(message != NULL, "%s cannot be read", topic);
        end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        ck_assert_msg(end || !message->err, "%s", rd_kafka_err2str(message->err));
        if (!end) {
            take(context, message);
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

static void header_of(char *out, size_t size, const rd_kafka_message_t *message, const char *name) {
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t length = 0;
    out[0] = '\0';
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, name, &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(out, size, "%.*s", (int)length, (const char *)value);
    }
}

/* --- what others write ---------------------------------------------------------------------------------------------------------------------- */

typedef struct stolen {
    char bytes[2000];
    size_t size;
} stolen;

static void steal(void *context, const rd_kafka_message_t *message) {
    stolen *s = context;
    if (message->len > s->size && message->len < sizeof s->bytes) { /* an event, not a tick */
        memcpy(s->bytes, message->payload, message->len);
        s->size = message->len;
    }
}

typedef struct letters {
    int count, wrong_partition, giant, cut, mute;
} letters;

static void take_letter(void *context, const rd_kafka_message_t *message) {
    letters *l = context;
    char partition[20], offset[20], reason[200], size[20], key[60];
    header_of(partition, sizeof partition, message, "partition");
    header_of(offset, sizeof offset, message, "offset");
    header_of(reason, sizeof reason, message, "reason");
    header_of(size, sizeof size, message, "size");
    snprintf(key, sizeof key, "%s:%s", partition, offset);
    ck_assert(message->key_len == strlen(key) && memcmp(message->key, key, message->key_len) == 0);
    l->count++;
    l->mute += reason[0] == '\0';
    l->wrong_partition += strstr(reason, "of another namespace") != NULL;
    l->giant += message->len > 800000;
    l->cut += atoi(size) > 1000000 && message->len < 1000000;
}

static char giant[1100000];

/* Answers how many letters it is worth. */
static int spoil(const char *topic, int64_t now) {
    rd_kafka_t *producer = raw_client(RD_KAFKA_PRODUCER, NULL);
    stolen event = {.size = 0};
    char damaged[2000];
    raw_read(topic, 0, steal, &event);
    ck_assert_uint_gt(event.size, 30);
    memcpy(damaged, event.bytes, event.size);
    damaged[event.size / 2] ^= 1;
    memset(giant, 'g', sizeof giant);
    raw_send(producer, topic, 0, "hello", 5, now);
    raw_send(producer, topic, 1, "{\"user_id\":\"u\"}", 15, now);
    raw_send(producer, topic, 0, NULL, 0, now); /* no value: no letter */
    raw_send(producer, topic, 0, "", 0, 0);
    raw_send(producer, topic, 0, damaged, event.size, now);
    raw_send(producer, topic, 1, event.bytes, event.size, now); /* not the user's partition */
    raw_send(producer, topic, 1, giant, sizeof giant, now);
    raw_send(producer, topic, 1, "\1", 1, now);
    raw_flush(producer);
    raw_send(producer, topic, 0, "from the future", 15, INT64_C(7000000000000)); /* its time counts for nothing */
    raw_flush(producer);
    rd_kafka_destroy(producer);
    return 7;
}

/* Each transaction leaves markers of Kafka's own, which take offsets. */
static int spoil_by_transactions(const char *topic, int64_t now) {
    rd_kafka_t *producer = raw_client(RD_KAFKA_PRODUCER, topic);
    rd_kafka_error_t *error = rd_kafka_init_transactions(producer, 30000);
    ck_assert_msg(!error, "%s", rd_kafka_error_string(error));
    for (int i = 0; i < 4; i++) {
        ck_assert(!rd_kafka_begin_transaction(producer));
        raw_send(producer, topic, 0, "in a transaction", 16, now);
        raw_send(producer, topic, 1, "in a transaction", 16, now);
        raw_flush(producer);
        error = i % 2 ? rd_kafka_abort_transaction(producer, 30000) : rd_kafka_commit_transaction(producer, 30000);
        ck_assert_msg(!error, "%s", rd_kafka_error_string(error));
    }
    rd_kafka_destroy(producer);
    return 8;
}

START_TEST(what_others_write_is_passed_over)
{
    char prefix[60], topic[80], dead[90], hash[40], clean_hash[40];
    reco_error err = RECO_ERROR_INIT;
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    snprintf(dead, sizeof dead, "%s.dead", topic);
    reco_engine *engine = open_engine(prefix), *clean = open_engine(NULL);
    int expected = 0;
    for (int i = 0; i < 6; i++) {
        tell(engine, START + i * 3000, NULL);
        tell(clean, START + i * 3000, NULL);
        expected += i == 1 ? spoil(topic, START + 3000) : i == 2 ? spoil_by_transactions(topic, START + 6000) : 0;
        if (i == 1 || i == 3) {
            learn(engine);
            learn(clean);
        }
    }
    expected += spoil_by_transactions(topic, START + 15000); /* the last offsets are markers */
    learn(engine);
    learn(clean);
    ck_assert_int_eq(number_of(engine, "lag"), 0);
    ck_assert_int_eq(number_of(engine, "dead_letters"), expected);
    test_ok(reco_state_hash(hash, engine, NULL, &err), &err);
    test_ok(reco_state_hash(clean_hash, clean, NULL, &err), &err);
    ck_assert_str_eq(hash, clean_hash);
    reco_verification found = {.struct_size = sizeof found};
    test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
    ck_assert_msg(found.equal == 1, "%s", found.difference);
    ck_assert_int_eq(number_of(engine, "dead_letters"), expected);
    letters l = {0};
    raw_read(dead, 0, take_letter, &l);
    ck_assert_msg(l.count == expected && l.wrong_partition == 1 && l.giant == 1 && l.cut == 1 && l.mute == 0, "%d letters, %d, %d, %d, %d", l.count,
                  l.wrong_partition, l.giant, l.cut, l.mute);
    reco_close(engine);
    reco_close(clean);
}
END_TEST

/* It may be an event that was acknowledged: learning waits for the release that knows it. */
START_TEST(what_a_later_release_wrote_stops_learning)
{
    char prefix[60], topic[80];
    reco_error err = RECO_ERROR_INIT;
    reco_progress progress = {.struct_size = sizeof progress};
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    reco_engine *engine = open_engine(prefix);
    tell(engine, START, NULL);
    rd_kafka_t *producer = raw_client(RD_KAFKA_PRODUCER, NULL);
    raw_send(producer, topic, 0, "\2 of a format to come, whatever it may be", 41, START);
    raw_flush(producer);
    rd_kafka_destroy(producer);
    test_status(RECO_NEWER, reco_process(&progress, engine, NULL, &err));
    ck_assert_int_eq(number_of(engine, "dead_letters"), 0);
    reco_close(engine);
}
END_TEST

/* --- headers -------------------------------------------------------------------------------------------------------------------------------- */

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

typedef struct traces {
    int with, without;
} traces;

static void take_trace(void *context, const rd_kafka_message_t *message) {
    traces *t = context;
    char text[100];
    header_of(text, sizeof text, message, "traceparent");
    t->with += strcmp(text, TRACE) == 0;
    t->without += text[0] == '\0';
}

START_TEST(the_trace_goes_with_the_event)
{
    char prefix[60], topic[80];
    traces t = {0};
    reco_call call = {.struct_size = sizeof call, .traceparent = TRACE};
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    reco_engine *engine = open_engine(prefix);
    tell(engine, START, &call);
    tell(engine, START, NULL);
    reco_close(engine);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        raw_read(topic, p, take_trace, &t);
    }
    ck_assert_int_eq(t.with, 10);
    ck_assert_int_eq(t.without, 10);
}
END_TEST

/* --- topics of others ------------------------------------------------------------------------------------------------------------------------- */

static void raw_topic(const char *name, int partitions, const char *setting, const char *value) {
    char why[200];
    rd_kafka_t *client = raw_client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
    ck_assert_msg(topic != NULL, "%s", why);
    if (setting) {
        rd_kafka_NewTopic_set_config(topic, setting, value);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    ck_assert(event && !rd_kafka_event_error(event));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(client);
}

START_TEST(a_topic_that_would_lose_is_refused)
{
    static const char *const bad[][4] = {{"retention.ms", "604800000", "", "retention.ms"},
                                         {"retention.bytes", "1000000", "&create.retention.ms=1", "retention.bytes"},
                                         {"retention.ms", "86400000", "&create.retention.ms=604800000", "retention.ms"},
                                         {"cleanup.policy", "compact", "&create.retention.ms=1", "cleanup.policy"},
                                         {"message.timestamp.type", "LogAppendTime", "&create.retention.ms=1", "message.timestamp.type"},
                                         {NULL, NULL, "", "retention.ms"}};
    char prefix[60], topic[80];
    reco_engine *engine;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reco_error err = RECO_ERROR_INIT;
        make_prefix(prefix);
        snprintf(topic, sizeof topic, "%s.main", prefix);
        raw_topic(topic, PARTITIONS, bad[i][0], bad[i][1]);
        test_status(RECO_REFUSED, try_engine(&engine, prefix, bad[i][2], &err));
        ck_assert_msg(strstr(err.text, bad[i][3]) != NULL && strstr(err.text, topic) != NULL, "%s", err.text);
    }
    reco_error err = RECO_ERROR_INIT;
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    raw_topic(topic, PARTITIONS + 3, "retention.ms", "-1");
    test_status(RECO_REFUSED, try_engine(&engine, prefix, NULL, &err));
    ck_assert_msg(strstr(err.text, "5 partitions") != NULL, "%s", err.text);
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    raw_topic(topic, PARTITIONS, "retention.ms", "-1");
    test_status(RECO_REFUSED, try_engine(&engine, prefix, "&replication=3", &err));
    ck_assert_msg(strstr(err.text, "has 1 replicas, replication=3") != NULL, "%s", err.text);
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    raw_topic(topic, PARTITIONS, "retention.ms", "604800000");
    test_ok(try_engine(&engine, prefix, "&create.retention.ms=604800000", &err), &err); /* told so */
    reco_close(engine);
}
END_TEST

/* Two processes may have made an identity at once: for both, and for all that come, the first one counts. */
START_TEST(the_first_identity_counts)
{
    char prefix[60], topic[80], key[] = "id/00112233445566778899aabbccddeeff", partitions[4] = {PARTITIONS};
    reco_error err = RECO_ERROR_INIT;
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_event event = {.user_id = {"u", 1}, .item_id = {"i", 1}, .event_type = {"view", 4}};
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main.meta", prefix);
    reco_engine *engine = open_engine(prefix);
    test_ok(reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    reco_close(engine);
    rd_kafka_t *producer = raw_client(RD_KAFKA_PRODUCER, NULL);
    ck_assert(!rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key, sizeof key - 1),
                                 RD_KAFKA_V_VALUE(partitions, sizeof partitions), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    raw_flush(producer);
    rd_kafka_destroy(producer);
    engine = open_engine(prefix);
    learn(engine);
    test_ok(reco_wait(engine, (reco_str){receipt.position, strlen(receipt.position)}, 0, NULL, &err), &err); /* a position of this stream */
    reco_close(engine);
}
END_TEST

/* --- who we are ------------------------------------------------------------------------------------------------------------------------------- */

#define LOGIN "&security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=reco"

START_TEST(a_login_is_passed_on)
{
    char prefix[60], folder[256], path[300], more[600];
    reco_engine *engine;
    reco_error err = RECO_ERROR_INIT;
    make_prefix(prefix);
    test_ok(try_engine(&engine, prefix, LOGIN "&sasl.password=s3%63ret", &err), &err);
    tell(engine, START, NULL);
    learn(engine);
    reco_close(engine);
    test_status(RECO_REFUSED, try_engine(&engine, prefix, LOGIN "&sasl.password=hunter2", &err));
    ck_assert_msg(strstr(err.text, "uthentication") != NULL && !strstr(err.text, "hunter2"), "%s", err.text);
    test_dir_make(folder);
    snprintf(path, sizeof path, "%s/password", folder);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("s3cret\n", file);
    fclose(file);
    snprintf(more, sizeof more, LOGIN "&sasl.password.file=%s", path);
    test_ok(try_engine(&engine, prefix, more, &err), &err);
    ck_assert_int_eq(number_of(engine, "partition_0_records") > 0, 1);
    reco_close(engine);
    test_dir_remove(folder);
    test_status(RECO_INVALID, try_engine(&engine, prefix, more, &err));
    ck_assert_msg(strstr(err.text, "sasl.password") != NULL, "%s", err.text);
}
END_TEST

/* --- a broker that dies ----------------------------------------------------------------------------------------------------------------------- */

static void count_event(void *context, const rd_kafka_message_t *message) { *(int *)context += message->len > 30; }

static reco_status tell_one(reco_engine *engine, int number, reco_error *err) {
    char user[16];
    reco_event event = {.item_id = {"item", 4}, .event_type = {"view", 4}};
    reco_receipt receipt = {.struct_size = sizeof receipt};
    event.user_id = (reco_str){user, (size_t)snprintf(user, sizeof user, "user-%d", number)};
    return reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, err);
}

/* Says so while it is gone, goes on by itself when it is back, and what was acknowledged is there. */
START_TEST(a_broker_is_killed_and_comes_back)
{
    char prefix[60], topic[80];
    int acknowledged = 0, refused = 0, found = 0;
    reco_engine *engine;
    reco_error err = RECO_ERROR_INIT;
    make_prefix(prefix);
    snprintf(topic, sizeof topic, "%s.main", prefix);
    test_ok(try_engine(&engine, prefix, "&message.timeout.ms=1500&socket.timeout.ms=1000", &err), &err);
    for (; acknowledged < 20; acknowledged++) {
        test_ok(tell_one(engine, acknowledged, &err), &err);
    }
    learn(engine);
    kafka_server_kill(&server);
    while (refused < 3) {
        reco_status status = tell_one(engine, acknowledged, &err);
        ck_assert_msg(status == RECO_UNAVAILABLE || status == RECO_BUSY, "%s: %s", reco_status_name(status), err.text);
        refused++;
    }
    ck_assert(kafka_server_again(&server));
    reco_status status;
    int64_t tries = 0;
    while ((status = tell_one(engine, acknowledged, &err)) != RECO_OK && tries++ < 100) {
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    test_ok(status, &err);
    acknowledged++;
    learn(engine);
    ck_assert_int_eq(number_of(engine, "lag"), 0);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        raw_read(topic, p, count_event, &found);
    }
    ck_assert_msg(found >= acknowledged && found <= acknowledged + refused + (int)tries, "%d of %d", found, acknowledged);
    ck_assert_int_ge(number_of(engine, "broker_rtt_us"), 0);
    reco_close(engine);
}
END_TEST

static void start(void) {
    const char *reason = kafka_server_start_guarded(&server, "reco:s3cret");
    if (reason) {
        test_skip(reason);
    }
}

static void stop(void) { kafka_server_stop(&server); }

int main(void) {
    Suite *suite = suite_create("engine on kafka");
    TCase *tests = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_add_unchecked_fixture(tests, start, stop);
    tcase_add_test(tests, what_others_write_is_passed_over);
    tcase_add_test(tests, what_a_later_release_wrote_stops_learning);
    tcase_add_test(tests, the_trace_goes_with_the_event);
    tcase_add_test(tests, a_topic_that_would_lose_is_refused);
    tcase_add_test(tests, the_first_identity_counts);
    tcase_add_test(tests, a_login_is_passed_on);
    tcase_add_test(tests, a_broker_is_killed_and_comes_back); /* the last: the broker that came back is the child's */
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
