/* stream/kafka/meta.c - the meta topic in memory: small values by key, the newest of each; see kafka.h for the keys. */
#include "stream/kafka/kafka.h"

#include <stdio.h>

/* The first identity in the log stays, whoever came second; it is never written again, so compaction keeps it where it is. */
static bool take_id(kafka_meta *meta, const rd_kafka_message_t *message) {
    if (message->key_len != 3 + 32 || memcmp(message->key, "id/", 3) != 0) {
        return false;
    }
    if (!meta->has_id && message->len == 4) {
        reco__reader reader = reco__reader_of(message->payload, message->len);
        char hex[33];
        memcpy(hex, (const char *)message->key + 3, 32);
        hex[32] = '\0';
        meta->has_id = true;
        for (int i = 0; i < 16; i++) {
            unsigned byte = 0;
            meta->has_id = meta->has_id && sscanf(hex + i * 2, "%2x", &byte) == 1;
            meta->id[i] = (uint8_t)byte;
        }
        meta->partitions = reco__read_u32(&reader);
    }
    return true;
}

static reco_status take_value(void *context, const rd_kafka_message_t *message, reco_error *err) {
    kafka_meta *meta = context;
    meta->next = message->offset + 1;
    if (!message->key || take_id(meta, message)) {
        return RECO_OK;
    }
    bool added;
    uint32_t i = reco__map_put(&meta->keys, message->key, message->key_len, &added);
    if (i == RECO__MAP_NONE) {
        return reco__no_memory(err);
    }
    if (i >= meta->capacity) {
        size_t capacity = meta->capacity ? meta->capacity * 2 : 64;
        reco__buf *more = reco__realloc_array(meta->values, capacity, sizeof *more);
        if (!more) {
            return reco__no_memory(err);
        }
        memset(more + meta->capacity, 0, (capacity - meta->capacity) * sizeof *more);
        meta->values = more;
        meta->capacity = capacity;
    }
    reco__buf_reset(&meta->values[i]);
    reco__buf_add(&meta->values[i], message->payload, message->len);
    return reco__buf_status(&meta->values[i], err);
}

reco_status reco__kafka_meta_load(reco_stream_store *store, const reco_call *call, reco_error *err) {
    int64_t end;
    reco_status status = reco__kafka_meta_end(&end, store, call, err);
    if (status != RECO_OK || store->meta.next >= end) {
        return status;
    }
    kafka_range range = {store->meta.next, end};
    if (range.from == 0) {
        range.from = RD_KAFKA_OFFSET_BEGINNING; /* compaction may have moved the beginning */
    }
    status = reco__kafka_scan(store, store->meta_scan, &range, 1, take_value, &store->meta, call, err);
    store->meta.next = status == RECO_OK ? end : 0; /* again from the beginning, should a value be lost */
    return status;
}

const reco__buf *reco__kafka_meta_find(const reco_stream_store *store, const char *key) {
    uint32_t i = reco__map_find(&store->meta.keys, key, strlen(key));
    return i == RECO__MAP_NONE || i >= store->meta.capacity ? NULL : &store->meta.values[i];
}

void reco__kafka_meta_dispose(kafka_meta *meta) {
    for (size_t i = 0; i < meta->capacity; i++) {
        reco__buf_dispose(&meta->values[i]);
    }
    reco__release(meta->values);
    reco__map_dispose(&meta->keys);
}

reco_status reco__kafka_note_get(reco_stream_store *store, const char *key, reco_stream_sink sink, void *context, const reco_call *call,
                                 reco_error *err) {
    char full[256];
    reco__buf copy = {0};
    snprintf(full, sizeof full, "note/%s", key);
    pthread_mutex_lock(&store->scan_mutex);
    reco_status status = reco__kafka_meta_load(store, call, err);
    const reco__buf *value = status == RECO_OK ? reco__kafka_meta_find(store, full) : NULL;
    if (value) {
        reco__buf_add(&copy, value->data, value->size);
    }
    pthread_mutex_unlock(&store->scan_mutex);
    if (status == RECO_OK && !value) {
        status = RECO_NOT_FOUND;
    } else if (status == RECO_OK && (status = reco__buf_status(&copy, err)) == RECO_OK) {
        sink(context, 0, copy.size ? copy.data : "", copy.size);
    }
    reco__buf_dispose(&copy);
    return status;
}
