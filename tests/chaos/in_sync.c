/* in_sync.c - in_sync BROKERS COUNT: ends with 0 when a cluster has COUNT brokers and each partition of each topic has a leader and all of its
 * replicas in sync; else with 1. */
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#define PATIENCE_MS 5000

static int topic_in_sync(const rd_kafka_metadata_topic_t *topic) {
    for (int p = 0; p < topic->partition_cnt; p++) {
        const rd_kafka_metadata_partition_t *partition = &topic->partitions[p];
        if (partition->leader < 0 || partition->isr_cnt != partition->replica_cnt)
            return 0;
    }
    return topic->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int cluster_in_sync(rd_kafka_t *client, int count) {
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(client, 1, NULL, &metadata, PATIENCE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    int good = metadata->broker_cnt == count;
    for (int t = 0; t < metadata->topic_cnt; t++)
        good = good && topic_in_sync(&metadata->topics[t]);
    rd_kafka_metadata_destroy(metadata);
    return good;
}

int main(int argc, char **argv) {
    char why[200] = "usage: in_sync BROKERS COUNT";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *client = NULL;
    if (argc == 3 && rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof why) == RD_KAFKA_CONF_OK)
        client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!client) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    int good = cluster_in_sync(client, atoi(argv[2]));
    rd_kafka_destroy(client);
    return !good;
}
