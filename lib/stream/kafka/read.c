/* stream/kafka/read.c - reading by librdkafka's simple consumer: a cursor for each partition, which prefetches while it is read in order and begins
 * anew when it is read from elsewhere. Two who read one partition at different places take turns on its cursor. */
#include "stream/kafka/kafka.h"

static reco_status make_reader(reco_stream_store *store, reco_error *err) {
    rd_kafka_t *reader;
    reco_status status = reco__kafka_client(&reader, &store->url, KAFKA_READER, NULL, NULL, NULL, err);
    if (status != RECO_OK) {
        return status;
    }
    store->data_in = rd_kafka_topic_new(reader, store->topic, NULL);
    if (!store->data_in) {
        rd_kafka_destroy(reader);
        return reco__no_memory(err);
    }
    __atomic_store_n(&store->reader, reader, __ATOMIC_RELEASE);
    return RECO_OK;
}

static reco_status need_reader(reco_stream_store *store, reco_error *err) {
    if (__atomic_load_n(&store->reader, __ATOMIC_ACQUIRE)) {
        return RECO_OK;
    }
    pthread_mutex_lock(&store->reader_mutex);
    reco_status status = store->reader ? RECO_OK : make_reader(store, err);
    pthread_mutex_unlock(&store->reader_mutex);
    return status;
}

static void halt(reco_stream_store *store, uint32_t partition) {
    kafka_cursor *cursor = &store->cursors[partition];
    if (cursor->held) {
        rd_kafka_message_destroy(cursor->held);
        cursor->held = NULL;
    }
    if (cursor->started) {
        rd_kafka_consume_stop(store->data_in, (int32_t)partition);
        __atomic_store_n(&cursor->started, false, __ATOMIC_RELAXED);
    }
}

void reco__kafka_reader_close(reco_stream_store *store) {
    if (!store->reader) {
        return;
    }
    for (uint32_t p = 0; p < store->partitions; p++) {
        halt(store, p);
    }
    rd_kafka_topic_destroy(store->data_in);
    rd_kafka_destroy(store->reader);
}

/* Called by a thread of the reader's when something comes into an empty queue, whose lock it holds. */
static void take_given(rd_kafka_t *client, void *opaque) {
    reco_stream_store *store = opaque;
    (void)client;
    pthread_mutex_lock(&store->mutex);
    store->given++;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

static reco_status place(reco_stream_store *store, uint32_t partition, int64_t from, reco_error *err) {
    kafka_cursor *cursor = &store->cursors[partition];
    if (cursor->started && cursor->next == from) {
        return RECO_OK;
    }
    halt(store, partition);
    if (rd_kafka_consume_start(store->data_in, (int32_t)partition, from) != 0) {
        return reco__kafka_fail(err, rd_kafka_last_error(), "reading");
    }
    __atomic_store_n(&cursor->started, true, __ATOMIC_RELAXED);
    cursor->next = cursor->empty = from;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(store->reader, store->topic, (int32_t)partition);
    if (queue) {
        rd_kafka_queue_cb_event_enable(queue, take_given, store);
        rd_kafka_queue_destroy(queue);
    }
    return RECO_OK;
}

/* What the reader was given: the first record at or after the cursor's place, or an error, is held; that there is none is noted. */
static void take(kafka_cursor *cursor, rd_kafka_message_t *message) {
    bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (end) {
        cursor->empty = message->offset;
    }
    if (!end && (message->err || message->offset >= cursor->next)) {
        cursor->held = message;
    } else {
        rd_kafka_message_destroy(message);
    }
}

/* A partition is fetched from where it is known to end, and what came is taken: only an empty queue tells of what comes next. False while there is
 * no telling. */
static bool hear_one(reco_stream_store *store, uint32_t partition, int64_t end) {
    kafka_cursor *cursor = &store->cursors[partition];
    int64_t low, high;
    if (pthread_mutex_trylock(&cursor->mutex) != 0) {
        return false;
    }
    bool fetches = cursor->started || place(store, partition, end, NULL) == RECO_OK;
    rd_kafka_message_t *message;
    while (fetches && !cursor->held && (message = rd_kafka_consume(store->data_in, (int32_t)partition, 0)) != NULL) {
        take(cursor, message);
    }
    pthread_mutex_unlock(&cursor->mutex);
    fetches = fetches && rd_kafka_get_watermark_offsets(store->reader, store->topic, (int32_t)partition, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fetches && high >= 0) {
        pthread_mutex_lock(&store->mutex);
        store->parts[partition].end = high > store->parts[partition].end ? high : store->parts[partition].end;
        pthread_mutex_unlock(&store->mutex);
    }
    return fetches && high >= 0;
}

bool reco__kafka_hear(reco_stream_store *store, const int64_t *ends) {
    if (need_reader(store, NULL) != RECO_OK) {
        return false;
    }
    bool all = true;
    for (uint32_t p = 0; p < store->partitions; p++) {
        all = (ends[p] == INT64_MAX || hear_one(store, p, ends[p])) && all;
    }
    return all;
}

void reco__kafka_ready(int64_t *ends, reco_stream_store *store) {
    rd_kafka_t *reader = __atomic_load_n(&store->reader, __ATOMIC_ACQUIRE);
    for (uint32_t p = 0; p < store->partitions; p++) {
        int64_t low, high = 0;
        bool fetches = reader && __atomic_load_n(&store->cursors[p].started, __ATOMIC_RELAXED) &&
                       rd_kafka_get_watermark_offsets(reader, store->topic, (int32_t)p, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR;
        ends[p] = fetches && high > 0 ? high : 0;
    }
}

/* Holds the first record at or after the cursor's place; without one when there is none before `end`. It stays the cursor's. */
static reco_status next_record(reco_stream_store *store, uint32_t partition, int64_t end, const reco_call *call, reco_error *err) {
    kafka_cursor *cursor = &store->cursors[partition];
    int64_t give_up = reco__monotonic_ns() + PATIENCE_NS;
    while (!cursor->held && cursor->empty < end) {
        reco_status status = reco__call_check(call, err);
        if (status != RECO_OK) {
            return status;
        }
        if (reco__monotonic_ns() > give_up) {
            return reco__fail(err, RECO_UNAVAILABLE, NULL, "kafka: the brokers do not answer");
        }
        int wait_ms = reco__kafka_left_ms(call);
        rd_kafka_message_t *message = rd_kafka_consume(store->data_in, (int32_t)partition, wait_ms < 100 ? wait_ms : 100);
        if (message) {
            take(cursor, message);
        }
    }
    return cursor->held && cursor->held->err ? reco__kafka_fail(err, cursor->held->err, "reading") : RECO_OK;
}

static reco_status pass(reco_stream_store *store, uint32_t partition, int64_t end, uint32_t max_records, uint64_t max_bytes, reco_stream_sink sink,
                        void *context, const reco_call *call, reco_error *err) {
    kafka_cursor *cursor = &store->cursors[partition];
    uint64_t passed = 0;
    for (uint32_t count = 0; count < max_records && cursor->next < end; count++) {
        reco_status status = next_record(store, partition, end, call, err);
        rd_kafka_message_t *message = cursor->held;
        if (status != RECO_OK || (message && message->offset == cursor->next && count > 0 && passed + message->len > max_bytes)) {
            return count > 0 && (status == RECO_TIMEOUT || status == RECO_CANCELLED) ? RECO_OK : status;
        }
        int64_t offset = cursor->next++;
        if (!message || message->offset > offset) { /* a marker of Kafka's own, or compacted away */
            if (sink(context, offset, "", 0)) {
                break;
            }
            continue;
        }
        passed += message->len;
        cursor->held = NULL;
        int stop = sink(context, offset, message->payload ? message->payload : "", message->len);
        rd_kafka_message_destroy(message);
        if (stop) {
            break;
        }
    }
    return RECO_OK;
}

/* Where the partition begins and ends; brokers are asked for the end only when what is known may not be enough. */
static reco_status bounds(int64_t *begin, int64_t *end, reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records,
                          const reco_call *call, reco_error *err) {
    const kafka_part *part = &store->parts[partition];
    int64_t ends[RECO_PARTITIONS_MAX];
    pthread_mutex_lock(&store->mutex);
    *begin = part->begin;
    *end = part->end;
    pthread_mutex_unlock(&store->mutex);
    reco_status status = RECO_OK;
    if (from >= *begin && *end - from < (int64_t)max_records) {
        status = reco__kafka_ends(ends, store, call, err);
        *end = ends[partition];
    }
    return status;
}

static reco_status trimmed(int64_t from, uint32_t partition, int64_t begin, reco_error *err) {
    return reco__fail(err, RECO_NOT_FOUND, "from", "record %lld of partition %u has been trimmed; the oldest is %lld", (long long)from, partition,
                      (long long)begin);
}

/* An error of the cursor: another process may have trimmed what was asked for. */
static reco_status explain(reco_status status, reco_stream_store *store, uint32_t partition, int64_t from, const reco_call *call, reco_error *err) {
    int64_t begins[RECO_PARTITIONS_MAX];
    if (reco__kafka_begins(begins, store, call, NULL) == RECO_OK && from < begins[partition]) {
        return trimmed(from, partition, begins[partition], err);
    }
    return status;
}

reco_status reco__kafka_read(reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes,
                             reco_stream_sink sink, void *context, const reco_call *call, reco_error *err) {
    int64_t begin, end;
    reco_status status = need_reader(store, err);
    if (status == RECO_OK) {
        status = bounds(&begin, &end, store, partition, from, max_records, call, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (from < begin) {
        return trimmed(from, partition, begin, err);
    }
    if (from >= end || max_records == 0) {
        return RECO_OK;
    }
    kafka_cursor *cursor = &store->cursors[partition];
    pthread_mutex_lock(&cursor->mutex);
    status = place(store, partition, from, err);
    if (status == RECO_OK) {
        status = pass(store, partition, end, max_records, max_bytes, sink, context, call, err);
    }
    if (status != RECO_OK) {
        halt(store, partition);
    }
    pthread_mutex_unlock(&cursor->mutex);
    return status == RECO_OK || status == RECO_TIMEOUT || status == RECO_CANCELLED ? status : explain(status, store, partition, from, call, err);
}
