/* stream/kafka/scan.c - what Kafka can be asked: where partitions begin and end, and the times of their newest records.
 *
 * A record's Kafka timestamp is its received_at. For each partition the store keeps an offset `seen` below which all records are accounted for in the
 * newest and the largest received_at. Delivery reports move it on while nobody else writes; when others do, catching up reads what is between `seen`
 * and the end. Far behind (a large stream that is opened) it reads the last record and asks the partition's time index for the first record later
 * than the largest time known, until there is none: exact, and a handful of requests whatever the size. What was trimmed is told by "span/<p>". */
#include "stream/kafka/kafka.h"

#include <stdio.h>
#include <time.h>

#define BEGINS_NS 1000000000 /* how old the beginnings of `bounds` may be */
#define GATHER_NS 1000000    /* in which the other partitions of one answer come to the reader */
#define ASK_NS 2000000       /* between two questions to the brokers, at first, later, and when the reader hears of all */
#define ASK_LATER_NS 20000000
#define ASK_RARELY_NS 100000000

/* --- offsets -------------------------------------------------------------------------------------------------------------------------------- */

#define MOVED_NS 5000000000ll /* a new leader is waited for, at most */

/* The leader has moved, or the topic is so new that not all brokers know it. */
static bool has_moved(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH || code == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH ||
           code == RD_KAFKA_RESP_ERR__TRANSPORT;
}

static rd_kafka_resp_err_t ask_once(int64_t *offsets, reco_stream_store *store, const char *topic, uint32_t count, const reco_call *call) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)p)->offset = offsets[p];
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(store->scanner, list, reco__kafka_left_ms(call));
    for (int i = 0; !code && i < list->cnt; i++) {
        code = list->elems[i].err;
    }
    for (int i = 0; !code && i < list->cnt; i++) {
        offsets[list->elems[i].partition] = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* `offsets` hold the times to ask for and receive what is found, -1 for none. */
static reco_status ask_offsets(int64_t *offsets, reco_stream_store *store, const char *topic, uint32_t count, const reco_call *call,
                               reco_error *err) {
    int64_t give_up = reco__monotonic_ns() + MOVED_NS;
    for (;;) {
        rd_kafka_resp_err_t code = ask_once(offsets, store, topic, count, call);
        if (!code) {
            return RECO_OK;
        }
        if (!has_moved(code) || reco__monotonic_ns() > give_up || reco__call_left_ns(call) < 50000000) {
            return reco__kafka_fail(err, code, "asking for offsets");
        }
        nanosleep(&(struct timespec){0, 20000000}, NULL);
        const struct rd_kafka_metadata *metadata = NULL; /* asking makes the client learn who leads now */
        if (rd_kafka_metadata(store->scanner, 0, topic == store->topic ? store->data_scan : store->meta_scan, &metadata,
                              reco__kafka_left_ms(call) < 1000 ? reco__kafka_left_ms(call) : 1000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
        }
    }
}

static reco_status ask_all(int64_t *offsets, reco_stream_store *store, int64_t time, const reco_call *call, reco_error *err) {
    for (uint32_t p = 0; p < store->partitions; p++) {
        offsets[p] = time;
    }
    return ask_offsets(offsets, store, store->topic, store->partitions, call, err);
}

reco_status reco__kafka_ends(int64_t *ends, reco_stream_store *store, const reco_call *call, reco_error *err) {
    reco_status status = ask_all(ends, store, RD_KAFKA_OFFSET_END, call, err);
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; status == RECO_OK && p < store->partitions; p++) {
        kafka_part *part = &store->parts[p];
        part->end = ends[p] > part->end ? ends[p] : part->end;
        ends[p] = part->end;
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

reco_status reco__kafka_begins(int64_t *begins, reco_stream_store *store, const reco_call *call, reco_error *err) {
    reco_status status = ask_all(begins, store, RD_KAFKA_OFFSET_BEGINNING, call, err);
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; status == RECO_OK && p < store->partitions; p++) {
        kafka_part *part = &store->parts[p];
        part->begin = begins[p] > part->begin ? begins[p] : part->begin;
        begins[p] = part->begin;
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

reco_status reco__kafka_meta_end(int64_t *end, reco_stream_store *store, const reco_call *call, reco_error *err) {
    *end = RD_KAFKA_OFFSET_END;
    return ask_offsets(end, store, store->meta_topic, 1, call, err);
}

/* --- reading ranges ------------------------------------------------------------------------------------------------------------------------- */

/* The end of a range is its last record, or the end of the partition should that record be no more. */
static reco_status take_message(bool *reached, const rd_kafka_message_t *message, const kafka_range *range, kafka_take take, void *context,
                                reco_error *err) {
    *reached = false;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *reached = message->offset >= range->to;
        return RECO_OK;
    }
    if (message->err) {
        return reco__kafka_fail(err, message->err, "reading");
    }
    *reached = message->offset + 1 >= range->to;
    return message->offset < range->to && message->offset >= range->from ? take(context, message, err) : RECO_OK;
}

static reco_status drain(reco_stream_store *store, const kafka_range *ranges, uint32_t open, kafka_take take, void *context, const reco_call *call,
                         reco_error *err) {
    bool finished[RECO_PARTITIONS_MAX] = {false};
    int64_t give_up = reco__monotonic_ns() + PATIENCE_NS;
    while (open > 0) {
        reco_status status = reco__call_check(call, err);
        if (status == RECO_OK && reco__monotonic_ns() > give_up) {
            status = reco__fail(err, RECO_UNAVAILABLE, NULL, "kafka: the brokers do not answer");
        }
        rd_kafka_message_t *message = status == RECO_OK ? rd_kafka_consume_queue(store->scan_queue, 50) : NULL;
        if (message) {
            bool reached = false;
            int32_t p = message->partition;
            if (!finished[p]) {
                status = take_message(&reached, message, &ranges[p], take, context, err);
                finished[p] = reached;
                open -= reached;
            }
            give_up = reco__monotonic_ns() + PATIENCE_NS;
            rd_kafka_message_destroy(message);
        }
        if (status != RECO_OK) {
            return status;
        }
    }
    return RECO_OK;
}

reco_status reco__kafka_scan(reco_stream_store *store, rd_kafka_topic_t *topic, const kafka_range *ranges, uint32_t count, kafka_take take,
                             void *context, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    uint32_t started = 0, open = 0;
    for (; status == RECO_OK && started < count; started++) {
        if (ranges[started].from < ranges[started].to) {
            if (rd_kafka_consume_start_queue(topic, (int32_t)started, ranges[started].from, store->scan_queue) != 0) {
                status = reco__kafka_fail(err, rd_kafka_last_error(), "reading");
                break;
            }
            open++;
        }
    }
    if (status == RECO_OK) {
        status = drain(store, ranges, open, take, context, call, err);
    }
    for (uint32_t p = 0; p < started; p++) {
        if (ranges[p].from < ranges[p].to) {
            rd_kafka_consume_stop(topic, (int32_t)p);
        }
    }
    rd_kafka_message_t *late;
    while ((late = rd_kafka_consume_queue(store->scan_queue, 0)) != NULL) {
        rd_kafka_message_destroy(late);
    }
    return status;
}

/* --- catching up ---------------------------------------------------------------------------------------------------------------------------- */

#define AHEAD_MS 86400000

typedef struct newest {
    int64_t last[RECO_PARTITIONS_MAX], max[RECO_PARTITIONS_MAX], at[RECO_PARTITIONS_MAX];
    int64_t horizon; /* what others wrote may carry any time; one beyond this does not count */
} newest;

static reco_status take_time(void *context, const rd_kafka_message_t *message, reco_error *err) {
    newest *n = context;
    rd_kafka_timestamp_type_t type;
    int64_t time = rd_kafka_message_timestamp(message, &type);
    int32_t p = message->partition;
    if (type != RD_KAFKA_TIMESTAMP_CREATE_TIME) {
        return reco__fail(err, RECO_REFUSED, NULL, "kafka: the topic must have message.timestamp.type=CreateTime");
    }
    if (time > n->horizon) { /* not one of ours: no clock of libreco is that far ahead */
        time = 0;
    }
    if (message->offset >= n->at[p]) {
        n->last[p] = time;
        n->at[p] = message->offset;
    }
    n->max[p] = time > n->max[p] ? time : n->max[p];
    return RECO_OK;
}

/* Records later than the largest time known, found by the time index, of partitions too far behind to be read. */
static reco_status ask_index(newest *n, reco_stream_store *store, kafka_range *far, const reco_call *call, reco_error *err) {
    for (;;) {
        int64_t found[RECO_PARTITIONS_MAX];
        kafka_range ranges[RECO_PARTITIONS_MAX];
        bool any = false;
        for (uint32_t p = 0; p < store->partitions; p++) {
            found[p] = n->max[p] + 1;
        }
        reco_status status = ask_offsets(found, store, store->topic, store->partitions, call, err);
        for (uint32_t p = 0; status == RECO_OK && p < store->partitions; p++) {
            bool more = far[p].from < far[p].to && found[p] >= 0 && found[p] < far[p].to;
            int64_t from = found[p] > far[p].from ? found[p] : far[p].from; /* a time that does not count is found again and again: read on */
            int64_t to = from + SCAN_MOST < far[p].to ? from + SCAN_MOST : far[p].to;
            ranges[p] = more ? (kafka_range){from, to} : (kafka_range){0, 0};
            far[p].from = more ? to : far[p].from;
            any = any || more;
        }
        if (status != RECO_OK || !any) {
            return status;
        }
        status = reco__kafka_scan(store, store->data_scan, ranges, store->partitions, take_time, n, call, err);
        if (status != RECO_OK) {
            return status;
        }
    }
}

void reco__kafka_account(kafka_part *part, int64_t offset, int64_t received_at) {
    if (offset == part->seen) {
        part->seen++;
        part->seen_last = received_at;
        part->seen_max = received_at > part->seen_max ? received_at : part->seen_max;
    }
    part->end = offset + 1 > part->end ? offset + 1 : part->end;
}

/* What was read up to `to`; reports may have come further in the meantime. */
static void merge(kafka_part *part, int64_t to, int64_t last, int64_t max) {
    part->seen_max = max > part->seen_max ? max : part->seen_max;
    if (to > part->seen) {
        part->seen = to;
        part->seen_last = last;
    }
    part->view_max = part->seen_max > part->view_max ? part->seen_max : part->view_max;
    if (part->flying == 0 && part->seen >= part->acked) {
        part->view_last = part->seen_last;
        part->view_max = part->seen_max;
    }
}

static reco_status read_newest(newest *n, reco_stream_store *store, kafka_range *near, const reco_call *call, reco_error *err) {
    kafka_range far[RECO_PARTITIONS_MAX];
    bool any = false, any_far = false;
    n->horizon = reco__now_ms() + AHEAD_MS;
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; p < store->partitions; p++) {
        kafka_part *part = &store->parts[p];
        near[p].from = part->seen > part->begin ? part->seen : part->begin;
        n->last[p] = part->seen_last;
        n->max[p] = part->seen_max;
        n->at[p] = 0;
        far[p] = near[p].to - near[p].from > SCAN_MOST ? near[p] : (kafka_range){0, 0};
        if (far[p].to) {
            near[p].from = near[p].to - 1;
            any_far = true;
        }
        any = any || near[p].from < near[p].to;
    }
    pthread_mutex_unlock(&store->mutex);
    reco_status status = any ? reco__kafka_scan(store, store->data_scan, near, store->partitions, take_time, n, call, err) : RECO_OK;
    return status == RECO_OK && any_far ? ask_index(n, store, far, call, err) : status;
}

static reco_status catch_up(int64_t *ends, reco_stream_store *store, const reco_call *call, reco_error *err) {
    newest n;
    kafka_range ranges[RECO_PARTITIONS_MAX];
    reco_status status = reco__kafka_ends(ends, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    for (uint32_t p = 0; p < store->partitions; p++) {
        ranges[p].to = ends[p];
    }
    status = read_newest(&n, store, ranges, call, err);
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; status == RECO_OK && p < store->partitions; p++) {
        merge(&store->parts[p], ends[p], n.last[p], n.max[p]);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

reco_status reco__kafka_catch_up(reco_stream_store *store, const reco_call *call, reco_error *err) {
    int64_t ends[RECO_PARTITIONS_MAX], begins[RECO_PARTITIONS_MAX];
    pthread_mutex_lock(&store->scan_mutex);
    reco_status status = reco__kafka_begins(begins, store, call, err);
    if (status == RECO_OK) {
        status = catch_up(ends, store, call, err);
    }
    pthread_mutex_unlock(&store->scan_mutex);
    return status;
}

reco_status reco__kafka_spans(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err) {
    reco_status status = reco__kafka_catch_up(store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; p < store->partitions; p++) {
        const kafka_part *part = &store->parts[p];
        spans[p] = (reco_stream_span){part->begin, part->seen, part->seen_last, part->seen_max};
    }
    pthread_mutex_unlock(&store->mutex);
    return RECO_OK;
}

/* Beginnings move rarely and only forwards; who reads below one is told by `read`. */
reco_status reco__kafka_bounds(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err) {
    int64_t ends[RECO_PARTITIONS_MAX], begins[RECO_PARTITIONS_MAX], now = reco__monotonic_ns();
    reco_status status = RECO_OK;
    if (now - __atomic_load_n(&store->begins_at, __ATOMIC_RELAXED) > BEGINS_NS) {
        status = reco__kafka_begins(begins, store, call, err);
        if (status == RECO_OK) {
            __atomic_store_n(&store->begins_at, now, __ATOMIC_RELAXED);
        }
    }
    if (status == RECO_OK) {
        status = reco__kafka_ends(ends, store, call, err);
    }
    pthread_mutex_lock(&store->mutex);
    for (uint32_t p = 0; status == RECO_OK && p < store->partitions; p++) {
        spans[p] = (reco_stream_span){.begin = store->parts[p].begin, .end = ends[p]};
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* --- waiting -------------------------------------------------------------------------------------------------------------------------------- */

static bool any_beyond(reco_stream_store *store, const int64_t *ends) {
    for (uint32_t p = 0; p < store->partitions; p++) {
        if (store->parts[p].end > ends[p]) {
            return true;
        }
    }
    return false;
}

/* Whether the end of a partition is known to be beyond. What one answer brings comes partition by partition: it is waited for, so that they are
 * learned together. */
static bool heard(bool *hears, reco_stream_store *store, const int64_t *ends, bool gathers) {
    *hears = reco__kafka_hear(store, ends);
    pthread_mutex_lock(&store->mutex);
    bool beyond = any_beyond(store, ends);
    pthread_mutex_unlock(&store->mutex);
    if (beyond && gathers) {
        nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
        reco__kafka_hear(store, ends);
    }
    return beyond;
}

/* Appends of this store wake at once. Others' are heard of by the reader, for a fetch is always waiting at the end of each partition; until it
 * fetches everywhere the brokers are asked, more often at first than after a while. */
reco_status reco__kafka_wait_for(reco_stream_store *store, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err) {
    int64_t give_up = reco__monotonic_ns() + timeout_ns, pause = ASK_NS, ask_at = 0;
    bool hears, slept = false;
    for (;;) {
        int64_t now[RECO_PARTITIONS_MAX];
        pthread_mutex_lock(&store->mutex);
        uint64_t given = store->given;
        pthread_mutex_unlock(&store->mutex);
        if (heard(&hears, store, ends, slept) || reco__call_check(call, NULL) != RECO_OK) {
            return RECO_OK;
        }
        if (ask_at == 0 && hears) {
            ask_at = reco__monotonic_ns() + ASK_RARELY_NS;
        }
        if (reco__monotonic_ns() >= ask_at) {
            reco_status status = reco__kafka_ends(now, store, NULL, err);
            if (status != RECO_OK) {
                return status;
            }
            ask_at = reco__monotonic_ns() + (hears ? ASK_RARELY_NS : pause);
            pause = pause < ASK_LATER_NS ? pause + pause / 4 : ASK_LATER_NS;
        }
        int64_t left = give_up - reco__monotonic_ns(), allowed = reco__call_left_ns(call), nap = ask_at - reco__monotonic_ns();
        left = allowed < left ? allowed : left;
        pthread_mutex_lock(&store->mutex);
        bool beyond = any_beyond(store, ends);
        if (!beyond && left > 0 && (!hears || store->given == given)) {
            int64_t until = reco__monotonic_ns() + (left < nap ? left : nap);
            struct timespec time = {until / 1000000000, until % 1000000000};
            pthread_cond_timedwait(&store->changed, &store->mutex, &time);
            slept = true;
            beyond = any_beyond(store, ends);
        }
        pthread_mutex_unlock(&store->mutex);
        if (beyond || left <= 0) {
            return RECO_OK;
        }
    }
}

/* --- trimming ------------------------------------------------------------------------------------------------------------------------------- */

static void put_i64(uint8_t *out, int64_t value) {
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)((uint64_t)value >> (8 * i));
    }
}

static rd_kafka_resp_err_t result_of(rd_kafka_event_t *event) {
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_DeleteRecords_result_t *result = code ? NULL : rd_kafka_event_DeleteRecords_result(event);
    const rd_kafka_topic_partition_list_t *list = result ? rd_kafka_DeleteRecords_result_offsets(result) : NULL;
    return list && list->cnt ? list->elems[0].err : code;
}

static reco_status delete_records(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, store->topic, (int32_t)partition)->offset = before;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->scanner);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(store->scanner, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    char why[100];
    rd_kafka_resp_err_t code = rd_kafka_AdminOptions_set_request_timeout(options, reco__kafka_left_ms(call), why, sizeof why);
    if (!code) {
        rd_kafka_DeleteRecords(store->scanner, &request, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
        code = event ? result_of(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (event) {
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    return code ? reco__kafka_fail(err, code, "deleting records") : RECO_OK;
}

reco_status reco__kafka_trim(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err) {
    char key[32];
    uint8_t value[16];
    reco_status status = reco__kafka_catch_up(store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&store->mutex);
    kafka_part *part = &store->parts[partition];
    before = before > part->seen ? part->seen : before;
    bool nothing = before <= part->begin;
    put_i64(value, part->seen_last);
    put_i64(value + 8, part->seen_max);
    pthread_mutex_unlock(&store->mutex);
    if (nothing) {
        return RECO_OK;
    }
    snprintf(key, sizeof key, "span/%u", partition);
    status = reco__kafka_meta_put(store, key, value, sizeof value, call, err);
    if (status == RECO_OK) {
        status = delete_records(store, partition, before, call, err);
    }
    if (status == RECO_OK) {
        pthread_mutex_lock(&store->mutex);
        part->begin = before > part->begin ? before : part->begin;
        pthread_mutex_unlock(&store->mutex);
    }
    return status;
}
