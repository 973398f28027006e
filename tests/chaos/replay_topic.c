/* replay_topic.c - the judge of the chaos tests: replay_topic BROKERS TOPIC FOLDER [NAME=VALUE]...
 *
 * Reads every record of a topic with nothing but librdkafka's consumer, copies each as it is into an embedded stream under FOLDER, learns that stream
 * with an embedded engine from the beginning, and prints the state hash. It shares no code with the backends that it judges. Settings of learning are
 * given as those of the services; partitions are the topic's.
 *
 * Output: one line "PARTITION OFFSET BYTES event USER ITEM TYPE EVENT_ID", "... tick" or "... erase" for each record, BYTES in hexadecimal, then
 * "hash HASH". Strings are as the tests make them, without spaces; an event without an id has "-". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include <reco.h>
#include <reco/admin.h>

#include "base/base.h"
#include "model/envelope.h"
#include "stream/stream.h"

#define PATIENCE_MS 30000
#define BATCH 1000u

typedef struct judge {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    reco__stream *copy;
    uint32_t partitions;
    rd_kafka_message_t *held[BATCH]; /* of the append to come */
    reco_stream_record records[BATCH];
    uint32_t count;
} judge;

static void die(const char *what, const char *why) {
    fprintf(stderr, "replay_topic: %s: %s\n", what, why);
    exit(1);
}

static void need(reco_status status, const char *what, const reco_error *err) {
    if (status != RECO_OK)
        die(what, err->text);
}

static void kafka_open(judge *self, const char *brokers, const char *topic) {
    char why[200];
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "auto.offset.reset", "error", why, sizeof why) != RD_KAFKA_CONF_OK)
        die("settings", why);
    self->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!self->client)
        die("client", why);
    self->topic = rd_kafka_topic_new(self->client, topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(self->client, 0, self->topic, &metadata, PATIENCE_MS);
    if (code || metadata->topic_cnt != 1 || metadata->topics[0].err)
        die(topic, rd_kafka_err2str(code ? code : metadata->topics[0].err));
    self->partitions = (uint32_t)metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
}

static void stream_open(judge *self, const char *folder) {
    char url[1024];
    reco_error err = RECO_ERROR_INIT;
    snprintf(url, sizeof url, "lmdb:%s", folder);
    reco_stream_options options = {.struct_size = sizeof options, .partitions = self->partitions, .url = url, .space = "default"};
    need(reco__stream_open(&self->copy, &options, NULL, &err), "opening the copy", &err);
}

static void flush(judge *self) {
    reco_error err = RECO_ERROR_INIT;
    int64_t offsets[BATCH];
    need(reco__stream_append(offsets, self->copy, self->records, self->count, RECO_APPEND_NO_TICKS, NULL, NULL, 0, NULL, &err), "copying", &err);
    for (uint32_t i = 0; i < self->count; i++) {
        if (offsets[i] != self->held[i]->offset)
            die("copying", "the topic's offsets have gaps");
        rd_kafka_message_destroy(self->held[i]);
    }
    self->count = 0;
}

static void print_record(const rd_kafka_message_t *message, const reco__record *record) {
    const reco_event *event = &record->event;
    const uint8_t *bytes = message->payload;
    printf("%d %lld ", (int)message->partition, (long long)message->offset);
    for (size_t i = 0; i < message->len; i++)
        printf("%02x", bytes[i]);
    putchar(' ');
    if (record->type != RECO__RECORD_EVENT)
        printf("%s\n", record->type == RECO__RECORD_TICK ? "tick" : "erase");
    else
        printf("event %.*s %.*s %.*s %.*s\n", (int)event->user_id.size, event->user_id.data, (int)event->item_id.size, event->item_id.data,
               (int)event->event_type.size, event->event_type.data, event->event_id.size ? (int)event->event_id.size : 1,
               event->event_id.size ? event->event_id.data : "-");
}

static void take(judge *self, rd_kafka_message_t *message) {
    reco__record record;
    reco_error err = RECO_ERROR_INIT;
    need(reco__envelope_decode(&record, message->payload, message->len, &err), "a record of the topic", &err);
    print_record(message, &record);
    self->records[self->count] = (reco_stream_record){.partition = (uint32_t)message->partition,
                                                      .size = (uint32_t)message->len,
                                                      .data = message->payload,
                                                      .received_at = record.received_at};
    self->held[self->count++] = message;
    if (self->count == BATCH)
        flush(self);
}

static void copy_partition(judge *self, int32_t partition) {
    if (rd_kafka_consume_start(self->topic, partition, RD_KAFKA_OFFSET_BEGINNING) != 0)
        die("reading", rd_kafka_err2str(rd_kafka_last_error()));
    bool at_end = false;
    while (!at_end) {
        rd_kafka_message_t *message = rd_kafka_consume(self->topic, partition, PATIENCE_MS);
        if (!message)
            die("reading", "the brokers do not answer");
        if (!message->err) {
            take(self, message);
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            die("reading", rd_kafka_message_errstr(message));
        at_end = true;
        rd_kafka_message_destroy(message);
    }
    if (self->count > 0)
        flush(self);
    rd_kafka_consume_stop(self->topic, partition);
}

static void set(reco_settings *settings, const char *pair) {
    char name[128];
    reco_error err = RECO_ERROR_INIT;
    const char *equals = strchr(pair, '=');
    if (!equals || (size_t)(equals - pair) >= sizeof name)
        die(pair, "NAME=VALUE is wanted");
    snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
    need(reco_settings_set(settings, name, equals + 1, &err), name, &err);
}

static void learn(const char *folder, const char *partitions, char **given, int count) {
    char hash[40];
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    reco_engine *engine = NULL;
    need(reco_settings_create(&settings, &err), "settings", &err);
    set(settings, partitions);
    for (int i = 0; i < count; i++)
        set(settings, given[i]);
    reco_open_options options = {.struct_size = sizeof options, .data = folder, .settings = settings};
    need(reco_open(&engine, &options, NULL, &err), "opening the engine", &err);
    need(reco_process(NULL, engine, NULL, &err), "learning", &err);
    need(reco_state_hash(hash, engine, NULL, &err), "hashing", &err);
    printf("hash %s\n", hash);
    reco_close(engine);
    reco_settings_free(settings);
}

int main(int argc, char **argv) {
    judge *self = calloc(1, sizeof *self);
    char partitions[32];
    if (!self || argc < 4)
        die("usage", "replay_topic BROKERS TOPIC FOLDER [NAME=VALUE]...");
    kafka_open(self, argv[1], argv[2]);
    stream_open(self, argv[3]);
    for (uint32_t p = 0; p < self->partitions; p++)
        copy_partition(self, (int32_t)p);
    reco__stream_close(self->copy);
    rd_kafka_topic_destroy(self->topic);
    rd_kafka_destroy(self->client);
    snprintf(partitions, sizeof partitions, "partitions=%u", self->partitions);
    free(self);
    learn(argv[3], partitions, argv + 4, argc - 4);
    return fflush(stdout) == 0 ? 0 : 1;
}
