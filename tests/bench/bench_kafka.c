/* bench_kafka.c - durable ingest into Kafka beside a raw producer: processor time of the client an event.
 *
 *   bench_kafka [--quick] [--batches N] [--batch N] [--pairs N] [--partitions N]
 *
 * reco_ingest appends batches and answers when all replicas have them. The floor is a producer of librdkafka's own with the settings of the stream
 * (lib/stream/kafka/conf.c), which sends the very same records, read back from the topic, in the same batches to the same partitions of a second
 * topic, and waits for each batch. Both in turn on the same broker; the ratio is the median over pairs. The broker runs on this machine: its own
 * processor time is told, too. */
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "bench/measure.h"
#include "support/kafka_server.h"
#include "support/support.h"

enum { SAMPLES = 20000, PAIRS_MAX = 32 };

typedef struct record {
    void *data;
    size_t size;
    int32_t partition;
} record;

typedef struct bench {
    kafka_server server;
    uint32_t batches, batch, partitions;
    char brokers[64];
    record *records;
    size_t record_count, record_bytes;
} bench;

typedef struct cost {
    double client, broker, seconds; /* us an event; in all */
} cost;

static const char *const same_settings[][2] = {{"client.id", "libreco"},
                                               {"linger.ms", "5"},
                                               {"message.timeout.ms", "10000"},
                                               {"message.max.bytes", "1200000"},
                                               {"queue.buffering.max.messages", "1100000"},
                                               {"queue.buffering.max.kbytes", "262144"},
                                               {"socket.nagle.disable", "true"},
                                               {"enable.idempotence", "true"},
                                               {"acks", "all"}};

static reco_engine *open_stream(const bench *b, const char *prefix) {
    char url[128], partitions[16];
    snprintf(url, sizeof url, "kafka://%s/%s?replication=1", b->brokers, prefix);
    snprintf(partitions, sizeof partitions, "%u", b->partitions);
    const char *settings[] = {"stream", url, "partitions", partitions, NULL};
    return bench_open("memory:", 0, settings);
}

/* --- through the engine ------------------------------------------------------------------------------------------------------------------- */

static cost run_ingest(const bench *b, reco_engine *engine, bench_feed *feed) {
    reco_error err = RECO_ERROR_INIT;
    cost spent = {0, 0, 0};
    for (uint32_t i = 0; i < b->batches; i++) {
        const reco_event *events;
        reco_ingest_options options = {.struct_size = sizeof options};
        size_t count = bench_feed_next(&events, &options.received_at, feed, b->batch); /* making them is not counted */
        bench_need(count == b->batch, "too few events were generated");
        double client = bench_cpu_us();
        int64_t began = bench_now_ns();
        bench_ok(reco_ingest(NULL, engine, events, count, sizeof *events, &options, NULL, &err), &err);
        spent.seconds += (double)(bench_now_ns() - began) / 1e9;
        spent.client += bench_cpu_us() - client;
    }
    spent.client /= (double)b->batches * b->batch;
    return spent;
}

/* --- the raw producer --------------------------------------------------------------------------------------------------------------------- */

static rd_kafka_t *new_client(const bench *b, rd_kafka_type_t type, void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                              void *context) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bench_need(rd_kafka_conf_set(conf, "bootstrap.servers", b->brokers, why, sizeof why) == RD_KAFKA_CONF_OK, why);
    for (size_t i = 0; type == RD_KAFKA_PRODUCER && i < sizeof same_settings / sizeof same_settings[0]; i++) {
        bench_need(rd_kafka_conf_set(conf, same_settings[i][0], same_settings[i][1], why, sizeof why) == RD_KAFKA_CONF_OK, why);
    }
    rd_kafka_conf_set_opaque(conf, context);
    if (delivered) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    bench_need(client, why);
    return client;
}

static void count_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *context) {
    (void)client;
    bench_need(!message->err, "a record was not delivered");
    ++*(size_t *)context;
}

static void send_batch(const bench *b, rd_kafka_t *producer, rd_kafka_topic_t *topic, size_t first, size_t *delivered) {
    *delivered = 0;
    for (uint32_t i = 0; i < b->batch; i++) {
        const record *one = &b->records[(first + i) % b->record_count];
        bench_need(rd_kafka_produce(topic, one->partition, 0, one->data, one->size, NULL, 0, NULL) == 0, "a record was not taken");
    }
    while (*delivered < b->batch) {
        rd_kafka_poll(producer, 100);
    }
}

static cost run_raw(const bench *b, rd_kafka_t *producer, rd_kafka_topic_t *topic, size_t *delivered) {
    cost spent = {bench_cpu_us(), 0, 0};
    int64_t began = bench_now_ns();
    for (uint32_t i = 0; i < b->batches; i++) {
        send_batch(b, producer, topic, (size_t)i * b->batch, delivered);
    }
    spent.seconds = (double)(bench_now_ns() - began) / 1e9;
    spent.client = (bench_cpu_us() - spent.client) / ((double)b->batches * b->batch);
    return spent;
}

/* They were read partition by partition; a batch goes to all partitions, as users come. */
static void shuffle_records(bench *b) {
    uint64_t state = 88172645463325252u;
    for (size_t i = b->record_count; i > 1; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t other = (size_t)(state % i);
        record kept = b->records[i - 1];
        b->records[i - 1] = b->records[other];
        b->records[other] = kept;
    }
}

/* Reads back what an engine has appended. */
static void read_records(bench *b, const char *topic_name, size_t want) {
    rd_kafka_t *consumer = new_client(b, RD_KAFKA_CONSUMER, NULL, NULL);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, topic_name, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer);
    b->records = calloc(want, sizeof *b->records);
    bench_need(b->records && queue, "out of memory");
    for (uint32_t p = 0; p < b->partitions; p++) {
        bench_need(rd_kafka_consume_start_queue(topic, (int32_t)p, RD_KAFKA_OFFSET_BEGINNING, queue) == 0, "the topic cannot be read");
    }
    while (b->record_count < want) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(queue, 20000);
        bench_need(message, "the topic has too few records");
        if (!message->err) {
            record *one = &b->records[b->record_count++];
            *one = (record){malloc(message->len), message->len, message->partition};
            bench_need(one->data, "out of memory");
            memcpy(one->data, message->payload, message->len);
            b->record_bytes += message->len;
        }
        rd_kafka_message_destroy(message);
    }
    for (uint32_t p = 0; p < b->partitions; p++) {
        rd_kafka_consume_stop(topic, (int32_t)p);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(consumer);
    shuffle_records(b);
}

/* --- both --------------------------------------------------------------------------------------------------------------------------------- */

static void find_topic(const bench *b, char *out, size_t room, const char *prefix) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *client = new_client(b, RD_KAFKA_CONSUMER, NULL, NULL);
    out[0] = 0;
    bench_need(rd_kafka_metadata(client, 1, NULL, &metadata, 20000) == 0, "no metadata");
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *topic = &metadata->topics[i];
        if (strncmp(topic->topic, prefix, strlen(prefix)) == 0 && (uint32_t)topic->partition_cnt == b->partitions && b->partitions > 1) {
            snprintf(out, room, "%s", topic->topic);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(client);
    bench_need(out[0], "the topic of the stream is not there");
}

static void measure(bench *b, uint32_t pairs) {
    double ours[PAIRS_MAX], raws[PAIRS_MAX], ratios[PAIRS_MAX], ours_ms[PAIRS_MAX], raws_ms[PAIRS_MAX], broker_ours = 0, broker_raw = 0;
    char topic_name[256];
    size_t delivered = 0;
    uint64_t events = (uint64_t)b->batches * b->batch;
    bench_feed *feed = bench_feed_open(20000, 20000, events * (pairs + 1), 1);
    reco_engine *engine = open_stream(b, "ours");
    run_ingest(b, engine, feed); /* warm, and what the raw producer is to send */
    find_topic(b, topic_name, sizeof topic_name, "ours");
    read_records(b, topic_name, events < SAMPLES ? (size_t)events : SAMPLES);
    reco_close(open_stream(b, "raw")); /* makes the second topic just as the first */
    find_topic(b, topic_name, sizeof topic_name, "raw");
    for (uint32_t i = 0; i < pairs; i++) {
        double broker = bench_cpu_of_us(b->server.pid);
        cost own = run_ingest(b, engine, feed);
        double between = bench_cpu_of_us(b->server.pid);
        broker_ours += between - broker;
        rd_kafka_t *producer = new_client(b, RD_KAFKA_PRODUCER, count_delivery, &delivered);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, topic_name, NULL);
        for (int warm = 0; warm < 20; warm++) {
            send_batch(b, producer, topic, 0, &delivered);
        }
        between = bench_cpu_of_us(b->server.pid);
        cost raw = run_raw(b, producer, topic, &delivered);
        broker_raw += bench_cpu_of_us(b->server.pid) - between;
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(producer);
        ours[i] = own.client;
        raws[i] = raw.client;
        ratios[i] = own.client / raw.client;
        ours_ms[i] = own.seconds * 1e3 / b->batches;
        raws_ms[i] = raw.seconds * 1e3 / b->batches;
    }
    reco_close(engine);
    bench_feed_close(feed);
    double total = (double)events * pairs;
    printf("durable ingest into Kafka: batches of %u, %u batches, %u partitions, %u pairs, one broker, records of %.0f bytes\n", b->batch, b->batches,
           b->partitions, pairs, (double)b->record_bytes / (double)b->record_count);
    printf("  client %.2f us CPU an event; raw producer, same settings, records and batches %.2f; ratio %.2f (goal 3)\n", bench_median(ours, pairs),
           bench_median(raws, pairs), bench_median(ratios, pairs));
    printf("  a batch takes %.2f ms, raw %.2f ms; the broker spends %.2f us CPU an event, raw %.2f\n", bench_median(ours_ms, pairs),
           bench_median(raws_ms, pairs), broker_ours / total, broker_raw / total);
}

int main(int argc, char **argv) {
    static bench b;
    bench_options options = bench_options_begin(argc, argv);
    bool quick = bench_flag(&options, "--quick");
    b.batches = (uint32_t)bench_number(&options, "--batches", quick ? 10 : 400);
    b.batch = (uint32_t)bench_number(&options, "--batch", 100);
    b.partitions = (uint32_t)bench_number(&options, "--partitions", 4);
    uint32_t pairs = (uint32_t)bench_number(&options, "--pairs", quick ? 1 : 7);
    bench_options_end(&options, "bench_kafka [--quick] [--batches N] [--batch N up to 1000] [--pairs N up to 32] [--partitions N from 2]");
    bench_need(pairs >= 1 && pairs <= PAIRS_MAX && b.batch >= 1 && b.batch <= 1000 && b.batches >= 1 && b.partitions >= 2, "out of range");
    const char *missing = kafka_server_start(&b.server);
    if (missing) {
        test_skip(missing);
    }
    snprintf(b.brokers, sizeof b.brokers, "127.0.0.1:%u", b.server.port);
    measure(&b, pairs);
    kafka_server_stop(&b.server);
    for (size_t i = 0; i < b.record_count; i++) {
        free(b.records[i].data);
    }
    free(b.records);
    return 0;
}
