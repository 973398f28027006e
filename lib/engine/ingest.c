/* engine/ingest.c - events in: check, stamp, append, answer a position.
 *
 * Each event is checked by itself; what is bad is named and left out (or, ATOMIC, refuses all). received_at is one moment for the whole call. What is
 * accepted goes to the stream as one append, so that it becomes durable together; several callers share a commit there. */
#include "engine/engine.h"
#include "engine/reply.h"

/* Memory of one call, pooled by the engine: steady state allocates nothing. CONFINED. */
struct reco__ingest_context {
    reco__ingest_context *next_free;
    reco__buf bytes;
    reco_stream_record *records;
    size_t *starts; /* of each record in `bytes` */
    int64_t *offsets;
    size_t room;
    reco__buf scratch;
    reco__arena arena;
};

static reco__ingest_context *context_take(reco_engine *engine) {
    pthread_mutex_lock(&engine->ingest_lock);
    reco__ingest_context *context = engine->ingest_free;
    if (context)
        engine->ingest_free = context->next_free;
    pthread_mutex_unlock(&engine->ingest_lock);
    return context ? context : reco__zalloc(sizeof *context);
}

static void context_drop(reco__ingest_context *context) {
    reco__buf_dispose(&context->bytes);
    reco__release(context->records);
    reco__release(context->starts);
    reco__release(context->offsets);
    reco__buf_dispose(&context->scratch);
    reco__arena_dispose(&context->arena);
    reco__release(context);
}

static void context_give(reco_engine *engine, reco__ingest_context *context) {
    if (context->bytes.capacity > (4u << 20) || context->arena.reserved > (8u << 20)) {
        context_drop(context);
        return;
    }
    pthread_mutex_lock(&engine->ingest_lock);
    context->next_free = engine->ingest_free;
    engine->ingest_free = context;
    pthread_mutex_unlock(&engine->ingest_lock);
}

void reco__ingest_dispose(reco_engine *engine) {
    while (engine->ingest_free) {
        reco__ingest_context *next = engine->ingest_free->next_free;
        context_drop(engine->ingest_free);
        engine->ingest_free = next;
    }
}

static bool context_room(reco__ingest_context *context, size_t count) {
    if (count <= context->room)
        return true;
    reco_stream_record *records = reco__realloc_array(context->records, count, sizeof *records);
    if (records)
        context->records = records;
    size_t *starts = reco__realloc_array(context->starts, count, sizeof *starts);
    if (starts)
        context->starts = starts;
    int64_t *offsets = reco__realloc_array(context->offsets, count, sizeof *offsets);
    if (offsets)
        context->offsets = offsets;
    if (!records || !starts || !offsets)
        return false;
    context->room = count;
    return true;
}

/* --- limits ------------------------------------------------------------------------------------------------------------------------------- */

#define ROOM_AGE_NS 100000000

/* A table with little room left, and features that cannot say whether they know an item or a user: the event is taken. */
static bool room_unknown(reco_status status) { return status == RECO_UNAVAILABLE || status == RECO_TIMEOUT || status == RECO_BUSY; }

/* Whether the tables of items and users are so full that unknown ones are to be refused; asked of features by one caller, at most ten times a second.
 * Features that cannot be reached or are slow do not keep an event from the stream: what was known last goes on to hold, and learning, which waits
 * when a table is full, is the backstop. */
static reco_status room_check(reco_engine *engine, const reco_call *call, reco_error *err) {
    int64_t now = reco__monotonic_ns(), checked = atomic_load(&engine->room_checked_ns);
    if ((checked && now - checked < ROOM_AGE_NS) || !atomic_compare_exchange_strong(&engine->room_checked_ns, &checked, now))
        return RECO_OK;
    reco_features_info info = {.struct_size = sizeof info};
    reco_call brief = {.struct_size = sizeof brief, .deadline_ns = now + ROOM_AGE_NS, .cancel = call ? call->cancel : NULL};
    reco_error why = RECO_ERROR_INIT;
    reco_status status = reco__features_info(&info, engine->features, &brief, &why);
    bool unreachable = room_unknown(status);
    atomic_store(&engine->room_checked_ns, status == RECO_OK || unreachable ? reco__monotonic_ns() : 0);
    if (unreachable)
        return reco__call_check(call, err);
    if (status != RECO_OK)
        return reco__fail_as(err, &why);
    uint64_t items = engine->settings.max_items, users = engine->settings.max_users;
    uint64_t item_reserve = items / 100 < 10000 ? items / 100 : 10000, user_reserve = users / 100 < 10000 ? users / 100 : 10000;
    atomic_store(&engine->items_scarce, info.item_count >= items - item_reserve);
    atomic_store(&engine->users_scarce, info.user_count >= users - user_reserve);
    return RECO_OK;
}

static void cell_seen(void *context, size_t index, const void *data, size_t size) {
    (void)index, (void)data, (void)size;
    *(bool *)context = true;
}

/* FULL for an event whose item or user would need a new place in a table that has none to spare. */
static reco_status room_for(reco_engine *engine, const reco_event *event, uint32_t partition, int32_t index, const reco_call *call, reco_error *err) {
    if (atomic_load(&engine->items_scarce)) {
        uint32_t number;
        reco_status status = reco__features_find_items(&number, engine->features, &event->item_id, 1, call, err);
        if (status != RECO_OK)
            return room_unknown(status) ? RECO_OK : status;
        if (number == RECO_NO_ITEM)
            return reco__fail_at(err, RECO_FULL, index, "item_id", "the table of items is full (limits.items %u): only known items are accepted",
                                 engine->settings.max_items);
    }
    if (atomic_load(&engine->users_scarce)) {
        bool known = false;
        reco_position position;
        uint64_t epoch;
        reco_status status = reco__features_load(&position, &epoch, engine->features, partition, &event->user_id, 1, cell_seen, &known, call, err);
        if (status != RECO_OK)
            return room_unknown(status) ? RECO_OK : status;
        if (!known)
            return reco__fail_at(err, RECO_FULL, index, "user_id", "the table of users is full (limits.users %llu): only known users are accepted",
                                 (unsigned long long)engine->settings.max_users);
    }
    return RECO_OK;
}

/* --- time --------------------------------------------------------------------------------------------------------------------------------- */

static reco_status clock_stamp(int64_t *received_at, reco_engine *engine, int64_t given, reco_error *err) {
    *received_at = given ? given : reco__now_ms();
    if (given < 0 || given > RECO__TIME_MAX)
        return reco__fail(err, RECO_INVALID, "received_at", "milliseconds from 1970 to 9999 are expected");
    return given ? RECO_OK : reco__ingest_clock(engine, *received_at, err);
}

static reco_status time_check(reco_engine *engine, const reco_event *event, int64_t received_at, int32_t index, reco_error *err) {
    const reco__settings *settings = &engine->settings;
    if (event->timestamp == 0)
        return RECO_OK;
    if (event->timestamp < received_at - settings->lateness) {
        atomic_fetch_add(&engine->counters.too_late, 1);
        return reco__fail_at(err, RECO_TOO_LATE, index, "timestamp", "%lld ms before the moment of receipt; at most %lld are allowed (lateness)",
                             (long long)(received_at - event->timestamp), (long long)settings->lateness);
    }
    if (event->timestamp > received_at + settings->skew) {
        atomic_fetch_add(&engine->counters.too_early, 1);
        return reco__fail_at(err, RECO_TOO_EARLY, index, "timestamp", "%lld ms after the moment of receipt; at most %lld are allowed (skew)",
                             (long long)(event->timestamp - received_at), (long long)settings->skew);
    }
    return RECO_OK;
}

/* --- the call ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct ingest_call {
    reco_engine *engine;
    reco__ingest_context *context;
    const reco_call *call;
    reco_ingest_options options;
    int64_t received_at;
    size_t accepted, rejected, error_count;
    bool refused;     /* the call failed because of its events, not because of the stream */
    reco_error first; /* the first error of a single event */
} ingest_call;

static void ingest_reject(ingest_call *in, const reco_error *error) {
    if (in->rejected++ == 0)
        in->first = *error;
    if (in->error_count < in->options.errors_room && in->options.errors)
        in->options.errors[in->error_count++] = *error;
}

static reco_status ingest_take(ingest_call *in, const reco_event *given, int32_t index, reco_error *err) {
    reco_engine *engine = in->engine;
    reco_status status = reco__event_check(given, index, engine->settings.types, engine->settings.type_count, err);
    if (status == RECO_OK)
        status = time_check(engine, given, in->received_at, index, err);
    if (status != RECO_OK)
        return status;
    reco_event event = *given;
    if (event.timestamp == 0 && !(event.flags & RECO_EVENT_UNDO)) /* an undo without one takes that of its event */
        event.timestamp = in->received_at;
    if (event.recommendation_id.size) {
        bool genuine = atomic_load(&engine->signing_known) && reco__recommendation_id_check(NULL, &in->context->scratch, event.recommendation_id,
                                                                                            engine->signing_number, engine->signing_key);
        atomic_fetch_add(genuine ? &engine->counters.attributed : &engine->counters.unattributed, 1);
        if (!genuine)
            event.recommendation_id = (reco_str){NULL, 0};
    }
    uint32_t partition = reco__stream_partition(engine->stream, event.user_id.data, event.user_id.size);
    status = room_for(engine, &event, partition, index, in->call, err);
    if (status != RECO_OK)
        return status;
    reco__ingest_context *context = in->context;
    size_t start = context->bytes.size;
    reco__envelope_event(&context->bytes, &event, (reco_str){NULL, 0}, in->received_at);
    if (context->bytes.failed)
        return reco__buf_status(&context->bytes, err);
    context->starts[in->accepted] = start;
    context->records[in->accepted++] =
        (reco_stream_record){.partition = partition, .size = (uint32_t)(context->bytes.size - start), .received_at = in->received_at};
    return RECO_OK;
}

/* Errors of one event are its own; anything else ends the call. */
static bool ingest_is_rejection(reco_status status) {
    return status == RECO_INVALID || status == RECO_TOO_LARGE || status == RECO_TOO_LATE || status == RECO_TOO_EARLY || status == RECO_FULL;
}

static reco_status ingest_append(ingest_call *in, int64_t *next, reco_error *err) {
    reco__ingest_context *context = in->context;
    for (uint32_t p = 0; p < in->engine->partitions; p++)
        next[p] = -1;
    if (in->accepted == 0)
        return RECO_OK;
    for (size_t i = 0; i < in->accepted; i++)
        context->records[i].data = context->bytes.data + context->starts[i];
    reco_error why = RECO_ERROR_INIT;
    reco_status status = reco__stream_append(context->offsets, in->engine->stream, context->records, in->accepted, 0, NULL, NULL, 0, in->call, &why);
    reco__ingest_outcome(in->engine, status, &why);
    if (status != RECO_OK && err)
        *err = why;
    for (size_t i = 0; status == RECO_OK && i < in->accepted; i++)
        if (context->offsets[i] + 1 > next[context->records[i].partition])
            next[context->records[i].partition] = context->offsets[i] + 1;
    return status;
}

static reco_status ingest_all(ingest_call *in, const reco_event *events, size_t count, size_t event_size, int64_t *next, reco_error *err) {
    reco__buf_reset(&in->context->bytes);
    if (!context_room(in->context, count ? count : 1))
        return reco__no_memory(err);
    for (size_t i = 0; i < count; i++) {
        reco_event event;
        reco_error error = RECO_ERROR_INIT;
        reco_status status = reco__struct_copy(&event, sizeof event, (const char *)events + i * event_size, event_size, "event", &error);
        if (status == RECO_OK)
            status = ingest_take(in, &event, (int32_t)i, &error);
        if (status == RECO_OK)
            continue;
        if (!ingest_is_rejection(status))
            return reco__fail_as(err, &error);
        error.index = (int32_t)i;
        ingest_reject(in, &error);
    }
    if (in->rejected && (in->accepted == 0 || (in->options.flags & RECO_INGEST_ATOMIC))) {
        in->accepted = 0;
        in->refused = true;
        return reco__fail_as(err, &in->first);
    }
    return ingest_append(in, next, err);
}

static reco_status ingest_check(ingest_call *in, const reco_receipt *receipt, const reco_event *events, size_t count, size_t event_size,
                                const reco_ingest_options *options, reco_error *err) {
    reco_status status = reco__engine_enter(in->engine, in->call, err);
    if (status == RECO_OK)
        status = reco__struct_copy(&in->options, sizeof in->options, options, options ? options->struct_size : 0, "options", err);
    if (status != RECO_OK)
        return status;
    if (in->options.flags & ~RECO_INGEST_ATOMIC)
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", in->options.flags);
    if (receipt && receipt->struct_size < sizeof *receipt)
        return reco__fail(err, RECO_INVALID, "receipt", "struct_size is not set");
    if (count && !events)
        return reco__fail(err, RECO_INVALID, "events", "no events are given");
    if (count > 100000)
        return reco__fail(err, RECO_TOO_LARGE, "count", "at most 100000 events in one call");
    if (count && (event_size < offsetof(reco_event, session_id) || event_size > 4096))
        return reco__fail(err, RECO_INVALID, "event_size", "sizeof(reco_event) is expected");
    return clock_stamp(&in->received_at, in->engine, in->options.received_at, err);
}

static reco_status ingest_run(bool *refused, reco_receipt *receipt, reco_engine *engine, const reco_event *events, size_t count, size_t event_size,
                              const reco_ingest_options *options, const reco_call *call, reco_error *err) {
    ingest_call in = {.engine = engine, .call = call};
    int64_t next[RECO_PARTITIONS_MAX];
    reco_status status = ingest_check(&in, receipt, events, count, event_size, options, err);
    if (status == RECO_OK)
        status = room_check(engine, call, err);
    if (status != RECO_OK)
        return status;
    in.context = context_take(engine);
    if (!in.context)
        return reco__no_memory(err);
    status = ingest_all(&in, events, count, event_size, next, err);
    atomic_fetch_add(&engine->counters.rejected, in.rejected);
    if (status == RECO_OK)
        atomic_fetch_add(&engine->counters.accepted, in.accepted);
    if (receipt) {
        receipt->accepted = status == RECO_OK ? (uint32_t)in.accepted : 0;
        receipt->rejected = (uint32_t)in.rejected;
        receipt->error_count = (uint32_t)in.error_count;
        receipt->position[0] = 0;
        if (status == RECO_OK)
            reco__position_encode(receipt->position, engine, next);
    }
    *refused = in.refused;
    context_give(engine, in.context);
    return status;
}

reco_status reco_ingest(reco_receipt *receipt, reco_engine *engine, const reco_event *events, size_t count, size_t event_size,
                        const reco_ingest_options *options, const reco_call *call, reco_error *err) {
    bool refused;
    return ingest_run(&refused, receipt, engine, events, count, event_size, options, call, err);
}

/* --- JSON --------------------------------------------------------------------------------------------------------------------------------- */

/* The errors of parsing and of checking, in order of index. `map` gives the position in the input of each parsed event. */
static void json_rejections(reco__buf *body, const reco__event_batch *batch, const reco_error *errors, size_t count) {
    size_t a = 0, b = 0;
    while (a < batch->error_count || b < count) {
        bool parsed = b >= count || (a < batch->error_count && batch->errors[a].index < batch->index[errors[b].index]);
        const reco_error *error = parsed ? &batch->errors[a] : &errors[b];
        reco__reply_rejected(body, error, parsed ? error->index : batch->index[error->index], a + b == 0);
        *(parsed ? &a : &b) += 1;
    }
}

/* Rejections decide the HTTP status when nothing was accepted: 422 for bad events, 507 when a table was full for all of them. */
static int32_t json_http_status(const reco__event_batch *batch, const reco_error *errors, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (errors[i].status != RECO_FULL)
            return 422;
    return batch->error_count || count == 0 ? 422 : 507;
}

static reco_status json_reply(reco_reply *reply, const reco_receipt *receipt, const reco__event_batch *batch, const reco_error *errors,
                              size_t error_count, reco_error *err) {
    reco__buf body = {.limit = 64u << 20};
    bool none = receipt->accepted == 0 && batch->error_count + error_count > 0;
    reply->http_status = none ? json_http_status(batch, errors, error_count) : 202;
    reply->content_type = none ? "application/problem+json" : "application/json";
    reply->retry_after = reply->http_status == 507 ? 60 : 0;
    if (none) {
        reco__buf_printf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"no event was accepted\",\"errors\":[",
                         reply->http_status == 507 ? "full" : "no event was accepted", (int)reply->http_status);
        reply->status = reply->http_status == 507 ? RECO_FULL : RECO_INVALID;
    } else {
        reco__buf_printf(&body, "{\"accepted\":%u,\"rejected\":[", receipt->accepted);
    }
    json_rejections(&body, batch, errors, error_count);
    reco__buf_byte(&body, ']');
    if (!none) {
        reco__buf_text(&body, ",\"position\":");
        reco__json_string(&body, receipt->position, strlen(receipt->position));
    }
    reco__buf_byte(&body, '}');
    return reco__reply_body(reply, &body, err);
}

static reco_status json_ingest(reco_reply *reply, reco_engine *engine, reco__arena *arena, const char *text, size_t size, uint32_t form,
                               uint32_t flags, const reco_call *call, reco_error *err) {
    reco__event_batch batch = {0};
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = reco__events_parse(&batch, arena, text, size, form == RECO_JSON_NDJSON ? RECO__JSON_NDJSON : RECO__JSON_AUTO,
                                            engine->settings.http_events_max, engine->settings.types, engine->settings.type_count, err);
    if (status != RECO_OK)
        return status;
    reco_error *errors = reco__arena_alloc(arena, (batch.count ? batch.count : 1) * sizeof *errors);
    if (!errors)
        return reco__no_memory(err);
    reco_ingest_options options = {.struct_size = sizeof options, .flags = flags, .errors = errors, .errors_room = batch.count};
    bool hold = (flags & RECO_INGEST_ATOMIC) && batch.error_count > 0;
    if (!hold) {
        bool refused = false;
        status = ingest_run(&refused, &receipt, engine, batch.events, batch.count, sizeof *batch.events, &options, call, err);
        if (status != RECO_OK && !refused)
            return status; /* nobody may take the good events of the batch for bad ones */
    }
    atomic_fetch_add(&engine->counters.rejected, batch.error_count);
    return json_reply(reply, &receipt, &batch, errors, receipt.error_count, err);
}

reco_status reco_ingest_json(reco_reply *reply, reco_engine *engine, const char *text, size_t size, uint32_t form, uint32_t flags,
                             const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = reco__engine_enter(engine, call, &error);
    if (status == RECO_OK && form > RECO_JSON_NDJSON)
        status = reco__fail(&error, RECO_INVALID, "form", "unknown form of JSON");
    if (status == RECO_OK && !text && size)
        status = reco__fail(&error, RECO_INVALID, "text", "there is none");
    if (status == RECO_OK && (flags & ~RECO_INGEST_ATOMIC))
        status = reco__fail(&error, RECO_INVALID, "flags", "unknown flags 0x%x", flags);
    reco__ingest_context *context = status == RECO_OK ? context_take(engine) : NULL;
    if (status == RECO_OK && !context)
        status = reco__no_memory(&error);
    if (status == RECO_OK) {
        reco__arena_reset(&context->arena);
        status = json_ingest(reply, engine, &context->arena, text, size, form, flags, call, &error);
    }
    if (context)
        context_give(engine, context);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}
