/* stream/kafka/kafka.h - what the files of the Kafka stream share.
 *
 * A stream is two topics: PREFIX.SPACE with P partitions, whose records are the envelopes as they are (timestamp: received_at), and
 * PREFIX.SPACE.meta, one compacted partition: "id/<16 bytes in hex>"  u32 P, little-endian; the one at the lowest offset is the stream's identity,
 * should two have made it at once "note/<key>"            a note "span/<partition>"      i64 last, i64 largest received_at of what was trimmed,
 * written before it is dropped
 *
 * PREFIX.SPACE.dead, one partition, made when it is needed, has what was found in the data topic and is no envelope: key "<partition>:<offset>",
 * headers `partition`, `offset`, `reason`, and `size` when the value is cut.
 *
 * A store has up to three clients of librdkafka: a producer; a scanner, which reads the meta topic and the ends of partitions, asks for offsets and
 * sends administrative requests; and a reader for `read`, made with the first one. */
#ifndef RECO__STREAM_KAFKA_H
#define RECO__STREAM_KAFKA_H

#include <pthread.h>

#include <librdkafka/rdkafka.h>

#include "base/base.h"
#include <reco/plugin/stream.h>

#define ROOM "kafka"
#define TOPIC_SIZE 250u
#define SCAN_MOST 1000            /* records read to learn what a partition's newest are; beyond it its time index is asked */
#define PATIENCE_NS 30000000000ll /* of calls without a deadline */

/* As the URL says. FROZEN. */
typedef struct kafka_url {
    char *brokers, *prefix;
    rd_kafka_conf_t *conf; /* settings of the user's, for all clients; copied for each */
    struct kafka_setting {
        char *name, *value;
    } * create; /* configuration of a topic that is made, "create." taken off */
    size_t create_count;
    int replication; /* -1: the broker's default */
    bool unchecked;  /* topics are taken as they are */
} kafka_url;

/* One partition of the data topic. Under the store's mutex. */
typedef struct kafka_part {
    int64_t begin;                     /* as last heard */
    int64_t end;                       /* the largest one heard of */
    int64_t seen, seen_last, seen_max; /* records below `seen` are accounted for in the two times */
    int64_t acked;                     /* after the newest record of ours that is durable */
    int64_t view_last, view_max;       /* the same times with what is on its way */
    uint32_t flying;                   /* records of ours on their way */
} kafka_part;

/* The reader's place in a partition. */
typedef struct kafka_cursor {
    pthread_mutex_t mutex;
    bool started;
    int64_t next;             /* offset that is given next */
    int64_t empty;            /* while nothing is held: there is no record from `next` up to this one */
    rd_kafka_message_t *held; /* received, but not wanted yet: the first at or after `next`, or an error */
} kafka_cursor;

typedef struct kafka_meta {
    reco__map keys;
    reco__buf *values; /* by index of the key */
    size_t capacity;
    int64_t next; /* offset that is read next */
    bool has_id;
    uint8_t id[16];
    uint32_t partitions;
} kafka_meta;

struct reco_stream_store {
    kafka_url url;
    char topic[TOPIC_SIZE], meta_topic[TOPIC_SIZE], dead_topic[TOPIC_SIZE], group[TOPIC_SIZE];
    uint32_t partitions;
    int64_t tick_ms;

    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t changed; /* records of ours are durable, an end has moved, or the reader was given something */
    uint64_t given;         /* how often it was */
    kafka_part parts[RECO_PARTITIONS_MAX];
    rd_kafka_t *producer;
    rd_kafka_topic_t *data_out, *meta_out;
    rd_kafka_queue_t *reports;
    size_t out_count, out_bytes, out_count_max, out_bytes_max, message_max;
    bool failing; /* brokers lost: one append at a time finds out whether they are back */
    bool dead_ready;
    bool fatal;   /* the producer is to be made again once nothing is on its way */
    bool stopping;
    uint64_t delivered, failed, renewed;
    uint64_t rtt_us; /* the slowest broker's, on average lately */
    struct append_job *growing; /* those whose note must grow, until they were waited for */

    pthread_mutex_t grow_mutex; /* one of those at a time is checked and queued; taken before scan_mutex */

    uint32_t members; /* atomic: open ones */

    pthread_t poller;
    bool polling;

    pthread_mutex_t scan_mutex; /* one scan at a time; taken before `mutex` */
    rd_kafka_t *scanner;
    char denied[160]; /* while opening: the brokers do not accept who we say we are */
    rd_kafka_topic_t *data_scan, *meta_scan;
    rd_kafka_queue_t *scan_queue;
    kafka_meta meta; /* under scan_mutex */

    pthread_mutex_t reader_mutex; /* of making the reader */
    rd_kafka_t *reader;           /* atomic */
    rd_kafka_topic_t *data_in;
    int64_t begins_at; /* atomic: when the beginnings were asked for `bounds` */
    kafka_cursor cursors[RECO_PARTITIONS_MAX];
};

/* conf.c */
reco_status reco__kafka_url_parse(kafka_url *out, const char *url, reco_error *err);
void reco__kafka_url_dispose(kafka_url *url);
typedef enum kafka_role { KAFKA_PRODUCER, KAFKA_SCANNER, KAFKA_READER, KAFKA_MEMBER } kafka_role;
/* A client with the user's settings and those of its role. group: of a member; opaque: given to callbacks, of a scanner the store. */
reco_status reco__kafka_client(rd_kafka_t **out, const kafka_url *url, kafka_role role, const char *group,
                               void (*rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *opaque,
                               reco_error *err);
reco_status reco__kafka_fail(reco_error *err, rd_kafka_resp_err_t code, const char *what);
reco_status reco__kafka_status(rd_kafka_resp_err_t code);
/* Milliseconds left for a request of this call. */
int reco__kafka_left_ms(const reco_call *call);

/* append.c */
reco_status reco__kafka_producer_open(reco_stream_store *store, reco_error *err);
void reco__kafka_producer_close(reco_stream_store *store);
reco_status reco__kafka_append(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count, uint32_t flags,
                               const reco_call *call, reco_error *err);
reco_status reco__kafka_append_with_note(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count,
                                         uint32_t flags, const char *key, const void *value, size_t value_size, const reco_call *call,
                                         reco_error *err);
reco_status reco__kafka_wait(int64_t *offsets, reco_stream_ticket *ticket, reco_stream_store *store, const reco_call *call, reco_error *err);
/* One value to the meta topic, until durable. */
reco_status reco__kafka_meta_put(reco_stream_store *store, const char *key, const void *value, size_t size, const reco_call *call, reco_error *err);

/* scan.c */
/* The newest (or oldest) offsets of all partitions, or the first with a timestamp from `times` (-1: none). */
reco_status reco__kafka_ends(int64_t *ends, reco_stream_store *store, const reco_call *call, reco_error *err);
reco_status reco__kafka_begins(int64_t *begins, reco_stream_store *store, const reco_call *call, reco_error *err);
reco_status reco__kafka_meta_end(int64_t *end, reco_stream_store *store, const reco_call *call, reco_error *err);
/* Reads ranges of partitions (from >= to: none) with the scanner, in no order between partitions. Under scan_mutex. */
typedef struct kafka_range {
    int64_t from, to;
} kafka_range;
typedef reco_status (*kafka_take)(void *context, const rd_kafka_message_t *message, reco_error *err);
reco_status reco__kafka_scan(reco_stream_store *store, rd_kafka_topic_t *topic, const kafka_range *ranges, uint32_t count, kafka_take take,
                             void *context, const reco_call *call, reco_error *err);
/* Accounts for what others have appended: afterwards parts[].seen is the end of each partition as it was when called. */
reco_status reco__kafka_catch_up(reco_stream_store *store, const reco_call *call, reco_error *err);
reco_status reco__kafka_spans(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err);
reco_status reco__kafka_bounds(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err);
reco_status reco__kafka_wait_for(reco_stream_store *store, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err);
reco_status reco__kafka_trim(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err);
/* Under `mutex`: a record at this offset is durable. */
void reco__kafka_account(kafka_part *part, int64_t offset, int64_t received_at);

/* meta.c */
/* Reads what is new in the meta topic. Under scan_mutex. */
reco_status reco__kafka_meta_load(reco_stream_store *store, const reco_call *call, reco_error *err);
/* The value of a key, NULL when there is none. Under scan_mutex. */
const reco__buf *reco__kafka_meta_find(const reco_stream_store *store, const char *key);
void reco__kafka_meta_dispose(kafka_meta *meta);
reco_status reco__kafka_note_get(reco_stream_store *store, const char *key, reco_stream_sink sink, void *context, const reco_call *call,
                                 reco_error *err);

/* Records to the dead letters, until durable. */
reco_status reco__kafka_dead_letters(reco_stream_store *store, uint32_t partition, const reco_stream_letter *letters, size_t count,
                                     const reco_call *call, reco_error *err);

/* check.c */
/* REFUSED when the configuration of a topic of the store's (`topic`, `meta_topic`) would lose what the stream keeps. */
reco_status reco__kafka_check_topic(reco_stream_store *store, const char *topic, const reco_call *call, reco_error *err);

/* open.c */
/* Finds a topic or makes it with so many partitions (0: it must be there), and waits until each has a leader. */
typedef enum kafka_topic_kind { KAFKA_DATA, KAFKA_META, KAFKA_DEAD } kafka_topic_kind;
reco_status reco__kafka_need_topic(uint32_t *count, reco_stream_store *store, rd_kafka_topic_t *topic, uint32_t partitions, kafka_topic_kind kind,
                                   const reco_call *call, reco_error *err);
reco_status reco__kafka_open(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err);
void reco__kafka_close(reco_stream_store *store);
/* A condition that is waited for by the monotonic clock. */
void reco__kafka_condition(pthread_cond_t *condition);

/* read.c */
reco_status reco__kafka_read(reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes,
                             reco_stream_sink sink, void *context, const reco_call *call, reco_error *err);
void reco__kafka_reader_close(reco_stream_store *store);
/* Ends that the reader has heard of while it fetches, without asking anybody; it begins to fetch where it does not yet. True when it fetches from all
 * partitions with ends[p] < INT64_MAX; then what comes next is told by `given`. */
bool reco__kafka_hear(reco_stream_store *store, const int64_t *ends);
/* What the reader has fetched, or is about to: beyond it `read` waits for the next answer to a fetch, however long it is durable. */
void reco__kafka_ready(int64_t *ends, reco_stream_store *store);

/* members.c */
reco_status reco__kafka_member_open(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err);
void reco__kafka_member_close(reco_stream_member *member);
reco_status reco__kafka_member_assign(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call, reco_error *err);
reco_status reco__kafka_member_owned(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err);

#endif
