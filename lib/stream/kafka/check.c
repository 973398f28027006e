/* stream/kafka/check.c - whether the configuration of a topic that is there lets the stream keep what it promises.
 *
 * A topic made by libreco is right. One that was made by hand has the cluster's defaults, most often seven days of retention: Kafka would delete
 * records nobody has learned or snapshotted yet. Such a topic is refused by name, with the value that is wanted. What cannot be asked (the brokers do
 * not allow it, or are too old) is not known to be wrong and is logged. */
#include "stream/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK_MS 5000

/* What a topic's configuration must be; NULL ends. at_least: a number, -1 being without limit. What is said of copies counts where the URL says that
 * there are three or more: with fewer nobody could lose one. */
typedef struct rule {
    const char *name, *value;
    bool at_least;
    const char *why;
} rule;

static const rule data_rules[] = {{"cleanup.policy", "delete", false, "compaction takes records out of the history"},
                                  {"retention.ms", "-1", true, "records are deleted before libreco trims them"},
                                  {"retention.bytes", "-1", true, "records are deleted before libreco trims them"},
                                  {"message.timestamp.type", "CreateTime", false, "a record's time is when it was received"},
                                  {"min.insync.replicas", "2", true, "acknowledged by one copy alone would not be kept"},
                                  {NULL, NULL, false, NULL}};
static const rule meta_rules[] = {{"cleanup.policy", "compact", false, "the stream's identity and journals are kept for ever"},
                                  {"message.timestamp.type", "CreateTime", false, "a record's time is when it was received"},
                                  {"min.insync.replicas", "2", true, "acknowledged by one copy alone would not be kept"},
                                  {NULL, NULL, false, NULL}};

/* What the URL wants for new topics is right for one that is there, too. */
static const char *wanted(const reco_stream_store *store, const rule *what, bool data) {
    for (size_t i = 0; data && i < store->url.create_count; i++) {
        if (strcmp(store->url.create[i].name, what->name) == 0) {
            return store->url.create[i].value;
        }
    }
    return what->value;
}

static bool enough(const char *value, const char *least) {
    long long has = atoll(value), wants = atoll(least);
    return has < 0 || (wants >= 0 && has >= wants);
}

static reco_status check_entry(const reco_stream_store *store, const char *topic, const rule *rules, const rd_kafka_ConfigEntry_t *entry,
                               reco_error *err) {
    const char *name = rd_kafka_ConfigEntry_name(entry), *value = rd_kafka_ConfigEntry_value(entry);
    for (; rules->name; rules++) {
        if (!value || strcmp(rules->name, name) != 0 || (store->url.replication < 3 && strcmp(name, "min.insync.replicas") == 0)) {
            continue;
        }
        const char *wants = wanted(store, rules, topic == store->topic);
        if (rules->at_least ? !enough(value, wants) : strcmp(value, wants) != 0) {
            return reco__fail(err, RECO_REFUSED, "url", "kafka: topic '%.60s' has %s=%.20s, wanted is %.20s: %s", topic, name, value, wants,
                              rules->why);
        }
    }
    return RECO_OK;
}

static reco_status check_result(const reco_stream_store *store, const char *topic, const rule *rules, rd_kafka_event_t *event, reco_error *err) {
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_DescribeConfigs_result_t *result = code ? NULL : rd_kafka_event_DescribeConfigs_result(event);
    size_t count = 0, entry_count = 0;
    const rd_kafka_ConfigResource_t **resources = result ? rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    if (count > 0) {
        code = rd_kafka_ConfigResource_error(resources[0]);
    }
    if (code) {
        reco__log(RECO_LOG_INFO, ROOM, "the configuration of topic %s cannot be checked: %s", topic, rd_kafka_err2str(code));
        return RECO_OK;
    }
    const rd_kafka_ConfigEntry_t **entries = count ? rd_kafka_ConfigResource_configs(resources[0], &entry_count) : NULL;
    reco_status status = RECO_OK;
    for (size_t i = 0; status == RECO_OK && i < entry_count; i++) {
        status = check_entry(store, topic, rules, entries[i], err);
    }
    return status;
}

reco_status reco__kafka_check_topic(reco_stream_store *store, const char *topic, const reco_call *call, reco_error *err) {
    char why[100];
    int left_ms = reco__kafka_left_ms(call);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->scanner);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(store->scanner, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_event_t *event = NULL;
    if (!rd_kafka_AdminOptions_set_request_timeout(options, left_ms < CHECK_MS ? left_ms : CHECK_MS, why, sizeof why)) {
        rd_kafka_DescribeConfigs(store->scanner, &resource, 1, options, queue);
        event = rd_kafka_queue_poll(queue, -1);
    }
    reco_status status = check_result(store, topic, topic == store->topic ? data_rules : meta_rules, event, err);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
