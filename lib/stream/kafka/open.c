/* stream/kafka/open.c - finding or making the two topics of a stream, and its identity. */
#include "stream/kafka/kafka.h"

#include <stdio.h>
#include <time.h>

/* --- topics --------------------------------------------------------------------------------------------------------------------------------- */

#define DENIED_MS 500 /* between two looks whether brokers refuse us: to a request they are then merely not there */

static rd_kafka_resp_err_t ask_metadata(const struct rd_kafka_metadata **metadata, reco_stream_store *store, rd_kafka_topic_t *topic,
                                        const reco_call *call) {
    int64_t give_up = reco__monotonic_ns() + reco__kafka_left_ms(call) * INT64_C(1000000);
    rd_kafka_resp_err_t code;
    do {
        int64_t left_ms = (give_up - reco__monotonic_ns()) / 1000000;
        code = rd_kafka_metadata(store->scanner, 0, topic, metadata, left_ms < DENIED_MS ? left_ms < 1 ? 1 : (int)left_ms : DENIED_MS);
        rd_kafka_poll(store->scanner, 0);
    } while ((code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT) && !store->denied[0] && reco__monotonic_ns() < give_up);
    return code;
}

/* Acknowledged means kept by as many as the URL says, also in a topic that somebody else has made. */
static reco_status check_copies(const reco_stream_store *store, const rd_kafka_metadata_topic_t *found, reco_error *err) {
    bool ours = strcmp(found->topic, store->topic) == 0 || strcmp(found->topic, store->meta_topic) == 0;
    for (int i = 0; ours && !store->url.unchecked && i < found->partition_cnt; i++) {
        if (found->partitions[i].replica_cnt < store->url.replication) {
            return reco__fail(err, RECO_REFUSED, "url", "kafka: partition %d of topic '%.60s' has %d replicas, replication=%d is wanted",
                              found->partitions[i].id, found->topic, found->partitions[i].replica_cnt, store->url.replication);
        }
    }
    return RECO_OK;
}

/* How many partitions a topic has, 0: there is none of that name (yet). `ready`: each has a leader. */
static reco_status count_partitions(uint32_t *count, bool *ready, reco_stream_store *store, rd_kafka_topic_t *topic, const reco_call *call,
                                    reco_error *err) {
    const struct rd_kafka_metadata *metadata = NULL;
    reco_status status = RECO_OK;
    *count = 0;
    *ready = false;
    rd_kafka_resp_err_t code = ask_metadata(&metadata, store, topic, call);
    if (store->denied[0]) {
        return reco__fail(err, RECO_REFUSED, "url", "kafka: the brokers do not accept us: %s", store->denied);
    }
    if (!code && metadata->topic_cnt == 1) {
        const rd_kafka_metadata_topic_t *found = &metadata->topics[0];
        code = found->err;
        *count = (uint32_t)found->partition_cnt;
        *ready = !code && found->partition_cnt > 0;
        for (int i = 0; !code && i < found->partition_cnt; i++) {
            *ready = *ready && found->partitions[i].leader >= 0;
        }
        status = *ready ? check_copies(store, found, err) : RECO_OK;
    }
    if (metadata) {
        rd_kafka_metadata_destroy(metadata);
    }
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        *count = code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ? *count : 0;
        return RECO_OK;
    }
    return code ? reco__kafka_fail(err, code, "asking for the topic") : status;
}

static rd_kafka_NewTopic_t *describe_topic(const reco_stream_store *store, const char *name, uint32_t partitions, kafka_topic_kind kind, char *why,
                                           size_t size) {
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, (int)partitions, store->url.replication, why, size);
    if (!topic) {
        return NULL;
    }
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", kind == KAFKA_META ? "compact" : "delete");
    rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "CreateTime");
    if (kind != KAFKA_DEAD && store->url.replication >= 3) {
        rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", "2"); /* acknowledged by one copy alone would not be kept */
    }
    if (kind == KAFKA_DATA) {
        rd_kafka_NewTopic_set_config(topic, "retention.ms", "-1"); /* libreco trims; "create.retention.ms" changes it */
        rd_kafka_NewTopic_set_config(topic, "retention.bytes", "-1");
        rd_kafka_NewTopic_set_config(topic, "max.message.bytes", "1200000");
    } else if (kind == KAFKA_DEAD) {
        rd_kafka_NewTopic_set_config(topic, "retention.ms", "2592000000"); /* 30 days for people to look */
    }
    for (size_t i = 0; kind == KAFKA_DATA && i < store->url.create_count; i++) {
        rd_kafka_NewTopic_set_config(topic, store->url.create[i].name, store->url.create[i].value);
    }
    return topic;
}

static reco_status created(rd_kafka_event_t *event, reco_error *err) {
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_CreateTopics_result_t *result = code ? NULL : rd_kafka_event_CreateTopics_result(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **topics = result ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t its = rd_kafka_topic_result_error(topics[i]);
        if (its && its != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) { /* another process was faster */
            const char *text = rd_kafka_topic_result_error_string(topics[i]);
            return reco__fail(err, reco__kafka_status(its), NULL, "kafka: making topic %s: %s", rd_kafka_topic_result_name(topics[i]),
                              text ? text : rd_kafka_err2str(its));
        }
    }
    return code ? reco__kafka_fail(err, code, "making topics") : RECO_OK;
}

static reco_status create_topic(reco_stream_store *store, const char *name, uint32_t partitions, kafka_topic_kind kind, const reco_call *call,
                                reco_error *err) {
    char why[150];
    rd_kafka_NewTopic_t *topic = describe_topic(store, name, partitions, kind, why, sizeof why);
    if (!topic) {
        return reco__fail(err, RECO_INVALID, "url", "kafka: %s", why);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->scanner);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(store->scanner, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_resp_err_t code = rd_kafka_AdminOptions_set_request_timeout(options, reco__kafka_left_ms(call), why, sizeof why);
    reco_status status = code ? reco__kafka_fail(err, code, "making topics") : RECO_OK;
    if (status == RECO_OK) {
        rd_kafka_CreateTopics(store->scanner, &topic, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
        status = created(event, err);
        if (event) {
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return status;
}

reco_status reco__kafka_need_topic(uint32_t *count, reco_stream_store *store, rd_kafka_topic_t *topic, uint32_t partitions, kafka_topic_kind kind,
                              const reco_call *call, reco_error *err) {
    bool ready, asked = false;
    int64_t give_up = reco__monotonic_ns() + PATIENCE_NS;
    for (;;) {
        reco_status status = count_partitions(count, &ready, store, topic, call, err);
        if (status != RECO_OK || ready) {
            return status;
        }
        if (*count == 0 && !asked) {
            if (partitions == 0) {
                return reco__fail(err, RECO_INVALID, "partitions", "a new stream needs a number of partitions");
            }
            status = create_topic(store, rd_kafka_topic_name(topic), partitions, kind, call, err);
            asked = true;
        } else {
            status = reco__call_check(call, err);
            if (status == RECO_OK && reco__monotonic_ns() > give_up) {
                status = reco__fail(err, RECO_UNAVAILABLE, NULL, "kafka: topic %s has partitions without a leader", rd_kafka_topic_name(topic));
            }
            nanosleep(&(struct timespec){0, 20000000}, NULL);
        }
        if (status != RECO_OK) {
            return status;
        }
    }
}

/* --- identity ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status make_id(reco_stream_store *store, const reco_call *call, reco_error *err) {
    uint8_t id[16], value[4];
    char key[40] = "id/";
    reco_status status = reco__random_bytes(id, sizeof id, err);
    for (int i = 0; i < 16; i++) {
        snprintf(key + 3 + i * 2, 3, "%02x", id[i]);
    }
    for (int i = 0; i < 4; i++) {
        value[i] = (uint8_t)(store->partitions >> (8 * i));
    }
    if (status == RECO_OK) {
        status = reco__kafka_meta_put(store, key, value, sizeof value, call, err);
    }
    return status == RECO_OK ? reco__kafka_meta_load(store, call, err) : status;
}

static void take_trimmed(reco_stream_store *store) {
    for (uint32_t p = 0; p < store->partitions; p++) {
        char key[32];
        snprintf(key, sizeof key, "span/%u", p);
        const reco__buf *value = reco__kafka_meta_find(store, key);
        if (value && value->size == 16) {
            reco__reader reader = reco__reader_of(value->data, value->size);
            store->parts[p].seen_last = (int64_t)reco__read_u64(&reader);
            store->parts[p].seen_max = (int64_t)reco__read_u64(&reader);
        }
    }
}

static reco_status identify(reco_stream_store *store, const reco_call *call, reco_error *err) {
    pthread_mutex_lock(&store->scan_mutex);
    reco_status status = reco__kafka_meta_load(store, call, err);
    if (status == RECO_OK && !store->meta.has_id) {
        status = make_id(store, call, err);
    }
    if (status == RECO_OK && (!store->meta.has_id || store->meta.partitions != store->partitions)) {
        status = reco__fail(err, RECO_REFUSED, "partitions", "stream '%s' was made with %u partitions, its topic has %u", store->topic,
                            store->meta.partitions, store->partitions);
    }
    if (status == RECO_OK) {
        take_trimmed(store);
    }
    pthread_mutex_unlock(&store->scan_mutex);
    return status;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status name_topics(reco_stream_store *store, const char *space, reco_error *err) {
    size_t size = strlen(space);
    if (size >= 5 && (strcmp(space + size - 5, ".meta") == 0 || strcmp(space + size - 5, ".dead") == 0)) {
        return reco__fail(err, RECO_INVALID, "space", "kafka: a namespace does not end in .meta or .dead, which are another's topics");
    }
    snprintf(store->topic, sizeof store->topic, "%s.%s", store->url.prefix, space);
    snprintf(store->meta_topic, sizeof store->meta_topic, "%.200s.meta", store->topic);
    snprintf(store->dead_topic, sizeof store->dead_topic, "%.200s.dead", store->topic);
    snprintf(store->group, sizeof store->group, "%.200s.processors", store->topic);
    return RECO_OK;
}

static reco_status make_scanner(reco_stream_store *store, reco_error *err) {
    reco_status status = reco__kafka_client(&store->scanner, &store->url, KAFKA_SCANNER, NULL, NULL, store, err);
    if (status != RECO_OK) {
        return status;
    }
    store->data_scan = rd_kafka_topic_new(store->scanner, store->topic, NULL);
    store->meta_scan = rd_kafka_topic_new(store->scanner, store->meta_topic, NULL);
    store->scan_queue = rd_kafka_queue_new(store->scanner);
    return store->data_scan && store->meta_scan && store->scan_queue ? RECO_OK : reco__no_memory(err);
}

static reco_status open_store(reco_stream_store *store, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    uint32_t meta_partitions;
    reco_status status = reco__kafka_url_parse(&store->url, options->url, err);
    if (status == RECO_OK) {
        status = name_topics(store, options->space, err);
    }
    if (status == RECO_OK) {
        status = make_scanner(store, err);
    }
    if (status == RECO_OK) {
        status = reco__kafka_need_topic(&store->partitions, store, store->data_scan, options->partitions, KAFKA_DATA, call, err);
    }
    if (status == RECO_OK && options->partitions && options->partitions != store->partitions) {
        status = reco__fail(err, RECO_REFUSED, "partitions", "stream '%s' has %u partitions for its life, not %u", store->topic, store->partitions,
                            options->partitions);
    }
    if (status == RECO_OK && store->partitions > RECO_PARTITIONS_MAX) {
        status = reco__fail(err, RECO_REFUSED, "partitions", "topic '%s' has %u partitions, at most %u are served", store->topic, store->partitions,
                            RECO_PARTITIONS_MAX);
    }
    if (status == RECO_OK) {
        status = reco__kafka_need_topic(&meta_partitions, store, store->meta_scan, 1, KAFKA_META, call, err);
    }
    if (status == RECO_OK && meta_partitions != 1) {
        status = reco__fail(err, RECO_REFUSED, NULL, "kafka: topic '%s' has %u partitions, it must have one", store->meta_topic, meta_partitions);
    }
    if (status == RECO_OK && !store->url.unchecked) {
        status = reco__kafka_check_topic(store, store->topic, call, err);
    }
    if (status == RECO_OK && !store->url.unchecked) {
        status = reco__kafka_check_topic(store, store->meta_topic, call, err);
    }
    if (status == RECO_OK) {
        status = reco__kafka_producer_open(store, err);
    }
    if (status == RECO_OK) {
        status = identify(store, call, err);
    }
    return status == RECO_OK ? reco__kafka_catch_up(store, call, err) : status;
}

void reco__kafka_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void init_locks(reco_stream_store *store) {
    reco__kafka_condition(&store->changed);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->scan_mutex, NULL);
    pthread_mutex_init(&store->grow_mutex, NULL);
    pthread_mutex_init(&store->reader_mutex, NULL);
    for (uint32_t p = 0; p < RECO_PARTITIONS_MAX; p++) {
        pthread_mutex_init(&store->cursors[p].mutex, NULL);
    }
}

static void destroy_locks(reco_stream_store *store) {
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->scan_mutex);
    pthread_mutex_destroy(&store->grow_mutex);
    pthread_mutex_destroy(&store->reader_mutex);
    for (uint32_t p = 0; p < RECO_PARTITIONS_MAX; p++) {
        pthread_mutex_destroy(&store->cursors[p].mutex);
    }
}

reco_status reco__kafka_open(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    reco_stream_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    init_locks(store);
    store->tick_ms = options->tick_ms ? options->tick_ms : 1000;
    reco_status status = open_store(store, options, call, err);
    if (status != RECO_OK) {
        reco__kafka_close(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}

void reco__kafka_close(reco_stream_store *store) {
    reco__kafka_producer_close(store);
    reco__kafka_reader_close(store);
    if (store->scan_queue) {
        rd_kafka_queue_destroy(store->scan_queue);
    }
    if (store->data_scan) {
        rd_kafka_topic_destroy(store->data_scan);
    }
    if (store->meta_scan) {
        rd_kafka_topic_destroy(store->meta_scan);
    }
    if (store->scanner) {
        rd_kafka_destroy(store->scanner);
    }
    reco__kafka_meta_dispose(&store->meta);
    reco__kafka_url_dispose(&store->url);
    destroy_locks(store);
    reco__release(store);
}
