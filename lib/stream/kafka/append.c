/* stream/kafka/append.c - appending by an idempotent producer, acknowledged by all in-sync replicas.
 *
 * An append hands its records to the producer under the store's mutex, so the records of one append lie side by side in each partition as far as this
 * store goes, and the ticks that are due after them. librdkafka puts what several appends bring together into common requests: that is the group
 * commit. One thread takes the delivery reports, in batches, and wakes those who wait.
 *
 * There are no Kafka transactions: each leaves a control record that takes an offset (docs/decisions/0021). So an append that answers OK is durable
 * as a whole; one that fails after it was queued may be there in part, as after any lost answer; whoever appends again does it with the same event
 * ids. An append is refused as a whole (BUSY, UNAVAILABLE) before its first record is queued whenever that can be known. A note is written once the
 * records of its append are durable; the append is done when the note is.
 *
 * Ticks are due by what this store knows: its own appends, and those of others it has accounted for (see scan.c). Two processes may therefore both
 * give a partition a tick where one would do; a tick too many moves no time that is not already past. */
#include "stream/kafka/kafka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct append_job;

/* One message on its way. */
typedef struct message_slot {
    struct append_job *append;
    int64_t offset;
    int64_t received_at;
} message_slot;

typedef struct append_job {
    message_slot *slots; /* of records, then of ticks, then of the note */
    size_t count, used, left;
    char *note_key; /* to be written once nothing is left */
    const void *note;
    size_t note_size;
    bool note_sent, done;
    pthread_cond_t ready; /* it is done: each append wakes its own caller, there may be hundreds */
    struct append_job *next_growing; /* of the store's appends whose note must grow */
    reco_error failure; /* status 0: none */
} append_job;

_Static_assert(sizeof(append_job) <= sizeof(reco_stream_ticket), "a ticket holds an append");

static append_job *append_of(reco_stream_ticket *ticket) {
    void *room = ticket->room;
    return room;
}

/* --- sending, under the mutex --------------------------------------------------------------------------------------------------------------- */

#define MESSAGE_COST 96u /* what librdkafka counts for a message beside its bytes, at least */

typedef struct outgoing {
    rd_kafka_topic_t *topic;
    int32_t partition;
    const void *data, *key;
    size_t size, key_size;
    int64_t received_at;
    int flags;
    const char *traceparent;
    const char *dead_topic;
    rd_kafka_headers_t *headers; /* goes with the message, unless that fails */
} outgoing;

static rd_kafka_resp_err_t produce(reco_stream_store *store, const outgoing *out, message_slot *slot) {
    union {
        const void *in;
        void *out;
    } data = {out->data}, key = {out->key};
#define COMMON                                                                                                                                       \
    RD_KAFKA_V_RKT(out->topic), RD_KAFKA_V_PARTITION(out->partition), RD_KAFKA_V_VALUE(data.out, out->size), RD_KAFKA_V_MSGFLAGS(out->flags),        \
        RD_KAFKA_V_TIMESTAMP(out->received_at), RD_KAFKA_V_OPAQUE(slot)
    rd_kafka_resp_err_t code;
    if (out->dead_topic) {
        code = rd_kafka_producev(store->producer, RD_KAFKA_V_TOPIC(out->dead_topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE(data.out, out->size),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.out, out->key_size), RD_KAFKA_V_OPAQUE(slot),
                                 RD_KAFKA_V_HEADERS(out->headers), RD_KAFKA_V_END);
    } else if (out->key) {
        code = rd_kafka_producev(store->producer, COMMON, RD_KAFKA_V_KEY(key.out, out->key_size), RD_KAFKA_V_END);
    } else if (out->traceparent) {
        code = rd_kafka_producev(store->producer, COMMON, RD_KAFKA_V_HEADER("traceparent", out->traceparent, -1), RD_KAFKA_V_END);
    } else {
        code = rd_kafka_producev(store->producer, COMMON, RD_KAFKA_V_END);
    }
#undef COMMON
    return code;
}

static void fail_append(append_job *append, rd_kafka_resp_err_t code) {
    if (append->failure.status == RECO_OK) {
        reco__kafka_fail(&append->failure, code, "the append failed, it may be there in part");
    }
}

static bool send_one(reco_stream_store *store, append_job *append, const outgoing *out) {
    message_slot *slot = &append->slots[append->used];
    *slot = (message_slot){append, -1, out->received_at};
    rd_kafka_resp_err_t code = produce(store, out, slot);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_append(append, code);
        return false;
    }
    append->used++;
    append->left++;
    store->out_count++;
    store->out_bytes += out->size;
    return true;
}

static bool send_record(reco_stream_store *store, append_job *append, uint32_t partition, outgoing out) {
    kafka_part *part = &store->parts[partition];
    out.topic = store->data_out;
    out.partition = (int32_t)partition;
    if (!send_one(store, append, &out)) {
        return false;
    }
    part->flying++;
    part->view_last = out.received_at;
    part->view_max = out.received_at > part->view_max ? out.received_at : part->view_max;
    return true;
}

static bool send_ticks(reco_stream_store *store, append_job *append, int64_t newest) {
    uint8_t tick[RECO_STREAM_TICK_MAX];
    size_t size = 0;
    for (uint32_t p = 0; p < store->partitions; p++) {
        if (newest - store->parts[p].view_last <= store->tick_ms) {
            continue;
        }
        if (size == 0 && (size = reco_stream_tick_write(tick, newest)) == 0) {
            reco__no_memory(&append->failure);
            return false;
        }
        if (!send_record(store, append, p, (outgoing){.data = tick, .size = size, .received_at = newest, .flags = RD_KAFKA_MSG_F_COPY})) {
            return false;
        }
    }
    return true;
}

static void send_all(reco_stream_store *store, append_job *append, const reco_stream_record *records, uint32_t flags, const char *traceparent) {
    int64_t newest = 0;
    for (size_t i = 0; i < append->count; i++) {
        const reco_stream_record *record = &records[i];
        outgoing out = {.data = record->data, .size = record->size, .received_at = record->received_at, .traceparent = traceparent};
        if (!send_record(store, append, record->partition, out)) {
            return;
        }
        newest = record->received_at > newest ? record->received_at : newest;
    }
    if (!(flags & RECO_APPEND_NO_TICKS)) {
        send_ticks(store, append, newest);
    }
}

/* The note when it is its turn; then the end. */
static void go_on(reco_stream_store *store, append_job *append) {
    if (append->left > 0) {
        return;
    }
    if (append->note_key && !append->note_sent && append->failure.status == RECO_OK) {
        outgoing out = {.topic = store->meta_out,
                        .data = append->note,
                        .size = append->note_size,
                        .key = append->note_key,
                        .key_size = strlen(append->note_key),
                        .received_at = reco__now_ms()};
        append->note_sent = true;
        if (send_one(store, append, &out)) {
            return;
        }
    }
    append->done = true;
    pthread_cond_signal(&append->ready);
}

/* --- admission ------------------------------------------------------------------------------------------------------------------------------ */

static int64_t largest_view(const reco_stream_store *store) {
    int64_t largest = 0;
    for (uint32_t p = 0; p < store->partitions; p++) {
        largest = store->parts[p].view_max > largest ? store->parts[p].view_max : largest;
    }
    return largest;
}

static reco_status admit(const reco_stream_store *store, size_t messages, size_t bytes, reco_error *err) {
    if (store->fatal) {
        return reco__fail(err, RECO_UNAVAILABLE, NULL, "kafka: the producer is being made again");
    }
    if (store->failing && store->out_count > 0) {
        return reco__fail(err, RECO_UNAVAILABLE, NULL, "kafka: the brokers do not answer; an earlier append is waiting for them");
    }
    if (messages > store->out_count_max || bytes > store->out_bytes_max) {
        return reco__fail(err, RECO_TOO_LARGE, "records", "kafka: an append of %zu bytes is larger than the queue (queue.buffering.max.*)", bytes);
    }
    if (store->out_count + messages > store->out_count_max || store->out_bytes + bytes > store->out_bytes_max) {
        return reco__fail(err, RECO_BUSY, NULL, "kafka: %zu records wait for the brokers, the queue is full", store->out_count);
    }
    return RECO_OK;
}

static reco_status prepare(append_job *append, const reco_stream_store *store, size_t count, const char *key, const void *value, size_t value_size,
                           reco_error *err) {
    memset(append, 0, sizeof *append);
    append->count = count;
    append->slots = reco__alloc_array(count + store->partitions + 1, sizeof *append->slots);
    if (key && append->slots) {
        size_t size = strlen(key) + 6;
        append->note_key = reco__alloc(size);
        if (append->note_key) {
            snprintf(append->note_key, size, "note/%s", key);
        }
        append->note = value;
        append->note_size = value_size;
    }
    if (!append->slots || (key && !append->note_key)) {
        reco__release(append->slots);
        reco__release(append->note_key);
        return reco__no_memory(err);
    }
    reco__kafka_condition(&append->ready);
    return RECO_OK;
}

static void release(reco_stream_store *store, append_job *append) {
    pthread_mutex_lock(&store->mutex);
    for (append_job **at = &store->growing; *at; at = &(*at)->next_growing) {
        if (*at == append) {
            *at = append->next_growing;
            break;
        }
    }
    pthread_mutex_unlock(&store->mutex);
    pthread_cond_destroy(&append->ready);
    reco__release(append->slots);
    reco__release(append->note_key);
    append->slots = NULL;
    append->note_key = NULL;
}

static reco_status submit(reco_stream_store *store, append_job *append, const reco_stream_record *records, uint32_t flags, const char *traceparent,
                          reco_error *err) {
    size_t messages = append->count + store->partitions + 1, bytes = append->note_size;
    for (size_t i = 0; i < append->count; i++) {
        bytes += records[i].size;
    }
    pthread_mutex_lock(&store->mutex);
    reco_status status = admit(store, messages, bytes + messages * MESSAGE_COST, err);
    if (status == RECO_OK) {
        int64_t newest = flags & RECO_APPEND_FORWARD ? largest_view(store) : 0;
        if (records && (flags & RECO_APPEND_FORWARD) && records[0].received_at < newest) {
            reco__fail_at(&append->failure, RECO_CONFLICT, 0, "received_at", "%lld is behind %lld, the largest one appended so far",
                          (long long)records[0].received_at, (long long)newest);
        } else {
            send_all(store, append, records, flags, traceparent);
        }
        go_on(store, append);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* --- notes that grow ----------------------------------------------------------------------------------------------------------------------------
 *
 * A note that must grow is compared with the newest durable one before anything is queued, one such append of a store at a time; while one is on its
 * way another of the same key is refused. */

static bool under_way(reco_stream_store *store, const append_job *append) {
    bool found = false;
    pthread_mutex_lock(&store->mutex);
    for (const append_job *other = store->growing; other && !found; other = other->next_growing) {
        found = strcmp(other->note_key, append->note_key) == 0;
    }
    pthread_mutex_unlock(&store->mutex);
    return found;
}

static uint64_t number_of(const void *note) {
    reco__reader reader = reco__reader_of(note, 8);
    return reco__read_u64(&reader);
}

/* OK with append->failure set: it is a conflict, told by `wait` as in a commit. Under grow_mutex. */
static reco_status check_growth(reco_stream_store *store, append_job *append, const reco_call *call, reco_error *err) {
    if (under_way(store, append)) {
        reco__fail(&append->failure, RECO_CONFLICT, "note", "another append of this journal is under way");
        return RECO_OK;
    }
    pthread_mutex_lock(&store->scan_mutex);
    reco_status status = reco__kafka_meta_load(store, call, err);
    const reco__buf *stored = status == RECO_OK ? reco__kafka_meta_find(store, append->note_key) : NULL;
    if (stored && stored->size >= 8 && number_of(stored->data) >= number_of(append->note)) {
        reco__fail(&append->failure, RECO_CONFLICT, "note", "the journal stands at %llu already", (unsigned long long)number_of(stored->data));
    }
    pthread_mutex_unlock(&store->scan_mutex);
    if (status == RECO_OK && append->failure.status == RECO_OK) {
        pthread_mutex_lock(&store->mutex);
        append->next_growing = store->growing;
        store->growing = append;
        pthread_mutex_unlock(&store->mutex);
    }
    return status;
}

/* What is to be known of others' appends, then the append. */
static reco_status check_and_submit(reco_stream_store *store, append_job *append, const reco_stream_record *records, uint32_t flags,
                                    const reco_call *call, reco_error *err) {
    reco_status status = flags & RECO_APPEND_NOTE_GROWS ? check_growth(store, append, call, err) : RECO_OK;
    if (append->failure.status != RECO_OK) {
        append->done = true;
        return status;
    }
    if (status == RECO_OK && (flags & RECO_APPEND_FORWARD)) {
        status = reco__kafka_catch_up(store, call, err);
    }
    return status == RECO_OK ? submit(store, append, records, flags, call ? call->traceparent : NULL, err) : status;
}

reco_status reco__kafka_append_with_note(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count,
                                         uint32_t flags, const char *key, const void *value, size_t value_size, const reco_call *call,
                                         reco_error *err) {
    append_job *append = append_of(ticket);
    bool grows = flags & RECO_APPEND_NOTE_GROWS;
    if (grows && (!key || value_size < 8)) {
        return reco__fail(err, RECO_INVALID, "note", "a note that grows begins with 8 bytes of a number");
    }
    reco_status status = prepare(append, store, count, key, value, value_size, err);
    if (status != RECO_OK) {
        return status;
    }
    if (grows) {
        pthread_mutex_lock(&store->grow_mutex);
    }
    status = check_and_submit(store, append, records, flags, call, err);
    if (grows) {
        pthread_mutex_unlock(&store->grow_mutex);
    }
    if (status != RECO_OK) {
        release(store, append);
    }
    return status;
}

reco_status reco__kafka_append(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count, uint32_t flags,
                               const reco_call *call, reco_error *err) {
    return reco__kafka_append_with_note(ticket, store, records, count, flags, NULL, NULL, 0, call, err);
}

/* --- waiting -------------------------------------------------------------------------------------------------------------------------------- */

/* Until the deadline, looking at `cancel` now and then. Under the mutex. */
static reco_status await(reco_stream_store *store, append_job *append, const reco_call *call, reco_error *err) {
    while (!append->done) {
        reco_status status = reco__call_check(call, err);
        if (status != RECO_OK) {
            return status;
        }
        int64_t left = reco__call_left_ns(call), most = call && call->cancel ? 10000000 : 1000000000;
        int64_t until = reco__monotonic_ns() + (left < most ? left : most);
        struct timespec time = {until / 1000000000, until % 1000000000};
        pthread_cond_timedwait(&append->ready, &store->mutex, &time);
    }
    return RECO_OK;
}

reco_status reco__kafka_wait(int64_t *offsets, reco_stream_ticket *ticket, reco_stream_store *store, const reco_call *call, reco_error *err) {
    append_job *append = append_of(ticket);
    pthread_mutex_lock(&store->mutex);
    reco_status status = await(store, append, call, err);
    pthread_mutex_unlock(&store->mutex);
    if (status != RECO_OK) {
        return status;
    }
    status = (reco_status)append->failure.status;
    if (status != RECO_OK && err) {
        *err = append->failure;
    }
    for (size_t i = 0; status == RECO_OK && offsets && i < append->count; i++) {
        offsets[i] = append->slots[i].offset;
    }
    release(store, append);
    return status;
}

reco_status reco__kafka_meta_put(reco_stream_store *store, const char *key, const void *value, size_t size, const reco_call *call, reco_error *err) {
    reco_stream_ticket ticket;
    append_job *append = append_of(&ticket);
    reco_status status = prepare(append, store, 0, key, value, size, err);
    if (status != RECO_OK) {
        return status;
    }
    snprintf(append->note_key, strlen(key) + 1, "%s", key); /* not a note: without its prefix */
    status = submit(store, append, NULL, RECO_APPEND_NO_TICKS, NULL, err);
    if (status != RECO_OK) {
        release(store, append);
        return status;
    }
    status = reco__kafka_wait(NULL, &ticket, store, call, err);
    while (status == RECO_TIMEOUT || status == RECO_CANCELLED) {
        status = reco__kafka_wait(NULL, &ticket, store, NULL, err); /* value and ticket are the caller's and ours */
    }
    return status;
}

/* --- dead letters --------------------------------------------------------------------------------------------------------------------------- */

#define LETTER_MOST 900000u /* of bytes of a record that are kept: what a broker's own limit lets pass */

static reco_status need_dead_topic(reco_stream_store *store, const reco_call *call, reco_error *err) {
    if (__atomic_load_n(&store->dead_ready, __ATOMIC_ACQUIRE)) {
        return RECO_OK;
    }
    uint32_t count;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(store->scanner, store->dead_topic, NULL);
    if (!topic) {
        return reco__no_memory(err);
    }
    reco_status status = reco__kafka_need_topic(&count, store, topic, 1, KAFKA_DEAD, call, err);
    rd_kafka_topic_destroy(topic);
    __atomic_store_n(&store->dead_ready, status == RECO_OK, __ATOMIC_RELEASE);
    return status;
}

/* How much of a record is kept. */
static size_t letter_size(const reco_stream_store *store, const reco_stream_letter *letter) {
    size_t most = store->message_max > 2000 ? store->message_max - 2000 : 0;
    most = most < LETTER_MOST ? most : LETTER_MOST;
    most = most < store->out_bytes_max / 8 ? most : store->out_bytes_max / 8;
    return letter->size < most ? letter->size : most;
}

static bool send_letter(reco_stream_store *store, append_job *append, uint32_t partition, const reco_stream_letter *letter) {
    char numbers[3][24], key[64];
    snprintf(numbers[0], sizeof numbers[0], "%u", partition);
    snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)letter->offset);
    snprintf(numbers[2], sizeof numbers[2], "%zu", letter->size);
    snprintf(key, sizeof key, "%s:%s", numbers[0], numbers[1]);
    outgoing out = {.dead_topic = store->dead_topic,
                    .data = letter->data,
                    .size = letter_size(store, letter),
                    .key = key,
                    .key_size = strlen(key),
                    .headers = rd_kafka_headers_new(4)};
    rd_kafka_header_add(out.headers, "partition", -1, numbers[0], -1);
    rd_kafka_header_add(out.headers, "offset", -1, numbers[1], -1);
    rd_kafka_header_add(out.headers, "reason", -1, letter->reason, -1);
    if (out.size < letter->size) {
        rd_kafka_header_add(out.headers, "size", -1, numbers[2], -1);
    }
    if (!send_one(store, append, &out)) {
        rd_kafka_headers_destroy(out.headers);
        return false;
    }
    return true;
}

static reco_status send_letters(reco_stream_store *store, uint32_t partition, const reco_stream_letter *letters, size_t count, const reco_call *call,
                                reco_error *err) {
    reco_stream_ticket ticket;
    append_job *append = append_of(&ticket);
    reco_status status = prepare(append, store, count, NULL, NULL, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    size_t bytes = count * MESSAGE_COST;
    for (size_t i = 0; i < count; i++) {
        bytes += letter_size(store, &letters[i]);
    }
    pthread_mutex_lock(&store->mutex);
    status = admit(store, count, bytes, err);
    for (size_t i = 0; status == RECO_OK && i < count && send_letter(store, append, partition, &letters[i]); i++) {
    }
    if (status == RECO_OK) {
        go_on(store, append);
    }
    pthread_mutex_unlock(&store->mutex);
    if (status != RECO_OK) {
        release(store, append);
        return status;
    }
    status = reco__kafka_wait(NULL, &ticket, store, call, err);
    while (status == RECO_TIMEOUT || status == RECO_CANCELLED) {
        status = reco__kafka_wait(NULL, &ticket, store, NULL, err); /* the ticket is ours */
    }
    return status;
}

/* In portions that leave room in the queue. */
reco_status reco__kafka_dead_letters(reco_stream_store *store, uint32_t partition, const reco_stream_letter *letters, size_t count,
                                     const reco_call *call, reco_error *err) {
    reco_status status = need_dead_topic(store, call, err);
    while (status == RECO_OK && count > 0) {
        size_t some = 0, bytes = 0;
        while (some < count && some < 1000 && (some == 0 || bytes + letter_size(store, &letters[some]) <= store->out_bytes_max / 4)) {
            bytes += letter_size(store, &letters[some++]);
        }
        status = send_letters(store, partition, letters, some, call, err);
        letters += some;
        count -= some;
    }
    return status;
}

/* --- delivery reports ----------------------------------------------------------------------------------------------------------------------- */

static void take_report(reco_stream_store *store, const rd_kafka_message_t *message) {
    message_slot *slot = message->_private;
    store->out_count--;
    store->out_bytes -= message->len;
    kafka_part *part = message->rkt == store->data_out ? &store->parts[message->partition] : NULL;
    if (part) {
        part->flying--;
    }
    if (message->err) {
        store->failed++;
        store->failing = true;
        fail_append(slot->append, message->err);
    } else {
        store->delivered++;
        store->failing = false;
        slot->offset = message->offset;
        if (part) {
            reco__kafka_account(part, message->offset, slot->received_at);
            part->acked = message->offset + 1 > part->acked ? message->offset + 1 : part->acked;
        }
    }
    slot->append->left--;
    go_on(store, slot->append);
}

static void take_reports(reco_stream_store *store, rd_kafka_event_t *event) {
    const rd_kafka_message_t *messages[256];
    size_t count;
    pthread_mutex_lock(&store->mutex);
    while ((count = rd_kafka_event_message_array(event, messages, 256)) > 0) {
        for (size_t i = 0; i < count; i++) {
            take_report(store, messages[i]);
        }
    }
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

static void take_error(reco_stream_store *store, rd_kafka_event_t *event) {
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    pthread_mutex_lock(&store->mutex);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        store->failing = true;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(event)) {
        store->fatal = true;
    }
    pthread_mutex_unlock(&store->mutex);
    reco__log(RECO_LOG_WARN, ROOM, "%s", rd_kafka_event_error_string(event));
}

/* librdkafka's statistics are JSON of its own making, a broker's `"rtt":{..."avg":N` in microseconds: enough to be looked for. */
static void take_stats(reco_stream_store *store, rd_kafka_event_t *event) {
    uint64_t slowest = 0;
    for (const char *at = rd_kafka_event_stats(event); at && (at = strstr(at, "\"rtt\":")) != NULL;) {
        const char *average = strstr(at, "\"avg\":");
        long long us = average ? atoll(average + 6) : 0;
        slowest = us > 0 && (uint64_t)us > slowest ? (uint64_t)us : slowest;
        at += 6;
    }
    pthread_mutex_lock(&store->mutex);
    store->rtt_us = slowest ? slowest : store->rtt_us;
    pthread_mutex_unlock(&store->mutex);
}

static void drop_producer(reco_stream_store *store) {
    if (store->reports) {
        rd_kafka_queue_destroy(store->reports);
    }
    if (store->data_out) {
        rd_kafka_topic_destroy(store->data_out);
    }
    if (store->meta_out) {
        rd_kafka_topic_destroy(store->meta_out);
    }
    if (store->producer) {
        rd_kafka_destroy(store->producer);
    }
    store->producer = NULL;
    store->data_out = store->meta_out = NULL;
    store->reports = NULL;
}

static reco_status make_producer(reco_stream_store *store, reco_error *err) {
    reco_status status = reco__kafka_client(&store->producer, &store->url, KAFKA_PRODUCER, NULL, NULL, NULL, err);
    if (status != RECO_OK) {
        return status;
    }
    store->reports = rd_kafka_queue_get_main(store->producer);
    store->data_out = rd_kafka_topic_new(store->producer, store->topic, NULL);
    store->meta_out = rd_kafka_topic_new(store->producer, store->meta_topic, NULL);
    if (!store->data_out || !store->meta_out) {
        drop_producer(store);
        return reco__no_memory(err);
    }
    return RECO_OK;
}

/* After an error the producer cannot go on from, once everything on its way has been reported. Only this thread polls it. */
static void renew_producer(reco_stream_store *store) {
    reco_error err = RECO_ERROR_INIT;
    pthread_mutex_lock(&store->mutex);
    if (store->fatal && store->out_count == 0) {
        drop_producer(store);
        if (make_producer(store, &err) == RECO_OK) {
            store->fatal = false;
            store->renewed++;
        } else {
            reco__log(RECO_LOG_ERROR, ROOM, "%s", err.text);
        }
    }
    pthread_mutex_unlock(&store->mutex);
}

static void *poll_reports(void *context) {
    reco_stream_store *store = context;
    while (!__atomic_load_n(&store->stopping, __ATOMIC_ACQUIRE)) {
        rd_kafka_event_t *event = store->reports ? rd_kafka_queue_poll(store->reports, 100) : NULL;
        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
            take_reports(store, event);
        } else if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            take_error(store, event);
        } else if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_STATS) {
            take_stats(store, event);
        }
        if (event) {
            rd_kafka_event_destroy(event);
        }
        if (store->fatal) {
            renew_producer(store);
            if (!store->reports) {
                nanosleep(&(struct timespec){0, 100000000}, NULL);
            }
        }
    }
    return NULL;
}

static size_t limit_of(const rd_kafka_conf_t *conf, const char *name) {
    char text[32];
    size_t size = sizeof text;
    unsigned long long value = 0;
    if (rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK && sscanf(text, "%llu", &value) == 1) {
        return (size_t)value;
    }
    return 0;
}

reco_status reco__kafka_producer_open(reco_stream_store *store, reco_error *err) {
    store->out_count_max = limit_of(store->url.conf, "queue.buffering.max.messages");
    store->out_count_max = store->out_count_max ? store->out_count_max : SIZE_MAX; /* 0: no limit */
    store->message_max = limit_of(store->url.conf, "message.max.bytes");
    store->out_bytes_max = limit_of(store->url.conf, "queue.buffering.max.kbytes") << 10;
    reco_status status = make_producer(store, err);
    if (status != RECO_OK) {
        return status;
    }
    int error = pthread_create(&store->poller, NULL, poll_reports, store);
    if (error) {
        drop_producer(store);
        return reco__fail_errno(err, error, "kafka: starting a thread");
    }
    store->polling = true;
    return RECO_OK;
}

/* Tickets that were not waited for are given up: what is on its way is dropped. */
void reco__kafka_producer_close(reco_stream_store *store) {
    if (store->polling) {
        __atomic_store_n(&store->stopping, true, __ATOMIC_RELEASE);
        if (store->reports) {
            rd_kafka_queue_yield(store->reports);
        }
        pthread_join(store->poller, NULL);
    }
    if (store->producer) {
        rd_kafka_purge(store->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
    drop_producer(store);
}
