/* stream/kafka/module.c - libreco-kafka: the stream kafka:, see kafka.h for how it lies in Kafka. */
#include "stream/kafka/kafka.h"

#include <stdio.h>

#include "base/module.h"

static reco_status kafka_info(reco_stream_info *out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    (void)err;
    out->partitions = store->partitions;
    memcpy(out->id, store->meta.id, sizeof out->id);
    return RECO_OK;
}

static reco_status kafka_stats(reco_stream_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                               const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_status status = reco__kafka_spans(spans, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&store->mutex);
    uint64_t values[] = {store->delivered, store->failed, store->out_count, store->out_bytes, store->failing, store->rtt_us, store->renewed};
    pthread_mutex_unlock(&store->mutex);
    static const char *const names[] = {"delivered_records", "failed_records", "queued_records",   "queued_bytes",
                                        "brokers_lost",      "broker_rtt_us",  "renewed_producers"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sink(context, names[i], values[i]);
    }
    for (uint32_t p = 0; p < store->partitions; p++) {
        char name[48];
        snprintf(name, sizeof name, "partition_%u_records", p);
        sink(context, name, (uint64_t)(spans[p].end - spans[p].begin));
    }
    return RECO_OK;
}

static const reco_stream_backend backend = {.struct_size = sizeof backend,
                                            .contract = RECO_STREAM_CONTRACT,
                                            .scheme = "kafka",
                                            .open = reco__kafka_open,
                                            .close = reco__kafka_close,
                                            .info = kafka_info,
                                            .append = reco__kafka_append,
                                            .wait = reco__kafka_wait,
                                            .read = reco__kafka_read,
                                            .spans = reco__kafka_spans,
                                            .bounds = reco__kafka_bounds,
                                            .ready = reco__kafka_ready,
                                            .wait_for = reco__kafka_wait_for,
                                            .trim = reco__kafka_trim,
                                            .member_open = reco__kafka_member_open,
                                            .member_close = reco__kafka_member_close,
                                            .member_assign = reco__kafka_member_assign,
                                            .member_owned = reco__kafka_member_owned,
                                            .stats = kafka_stats,
                                            .note_get = reco__kafka_note_get,
                                            .append_with_note = reco__kafka_append_with_note,
                                            .dead_letters = reco__kafka_dead_letters};

static reco_status start(const reco_host *host, reco_error *err) { return reco__module_bind(host, err); }

RECO_API extern const reco_module reco_module_v1;
const reco_module reco_module_v1 = {
    .struct_size = sizeof reco_module_v1, .contract = RECO_MODULE_CONTRACT, .name = "kafka", .version = "0.1.0", .start = start, .stream = &backend};
