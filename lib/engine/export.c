/* engine/export.c - a namespace as lines of JSON, for people, for other programs, and for another directory or backend (import_export.c).
 *
 * The records of all partitions come in the order in which time went by (walk.h); what is known is read afterwards, page by page, as it is then. No
 * transaction is open while a line is handed out: whoever takes them may be slow.
 *
 * What it does not do: tell keys (tokens of another namespace are none here), or what was learned from records that the stream has dropped. */
#include "engine/export.h"

#include "engine/walk.h"
#include "model/envelope.h"
#include "model/event.h"
#include "model/elements.h"

enum { PAGE_RECORDS = 1000 };
#define PAGE_BYTES (4u << 20)
#define OUT_BYTES (64u << 10)

const reco__export_kind reco__export_kinds[RECO__EXPORT_KINDS] = {{RECO_RECORD_ITEM, "item", offsetof(reco__export_counts, items)},
                                                                  {RECO_RECORD_USER, "user", offsetof(reco__export_counts, users)},
                                                                  {RECO_RECORD_MODEL, "model", offsetof(reco__export_counts, models)},
                                                                  {RECO_RECORD_EXPERIMENT, "experiment", offsetof(reco__export_counts, experiments)}};

const reco__export_count reco__export_count_names[RECO__EXPORT_COUNTS] = {{"events", offsetof(reco__export_counts, events)},
                                                                          {"ticks", offsetof(reco__export_counts, ticks)},
                                                                          {"erasures", offsetof(reco__export_counts, erasures)},
                                                                          {"items", offsetof(reco__export_counts, items)},
                                                                          {"users", offsetof(reco__export_counts, users)},
                                                                          {"models", offsetof(reco__export_counts, models)},
                                                                          {"experiments", offsetof(reco__export_counts, experiments)}};

typedef struct exporting {
    reco_engine *engine;
    const reco_call *call;
    reco_export_sink sink;
    void *context;
    reco__walk walk;
    reco__buf out;
    size_t digested; /* of `out`: what is in the digest already */
    reco__u128 digest;
    reco__export_counts counts;
} exporting;

/* --- writing ------------------------------------------------------------------------------------------------------------------------------ */

/* All lines that are whole. */
static void digest(exporting *e) {
    const char *at = e->out.data + e->digested, *end = e->out.data + e->out.size, *stop;
    for (; at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1)
        reco__export_digest(&e->digest, at, (size_t)(stop - at));
    e->digested = e->out.size;
}

static reco_status flush(exporting *e, size_t least, reco_error *err) {
    reco_status status = reco__buf_status(&e->out, err);
    if (status != RECO_OK || e->out.size < least || e->out.size == 0)
        return status;
    digest(e);
    e->digested = 0;
    int stopped = e->sink(e->context, e->out.data, e->out.size);
    reco__buf_reset(&e->out);
    return stopped ? reco__fail(err, RECO_CANCELLED, "export", "whoever takes the lines has stopped") : RECO_OK;
}

static void put_text(reco__buf *out, const char *name, reco_str text) {
    if (text.size == 0)
        return;
    reco__buf_printf(out, ",\"%s\":", name);
    reco__json_string(out, text.data, text.size);
}

static void put_number(reco__buf *out, const char *name, int64_t number) {
    reco__buf_printf(out, ",\"%s\":", name);
    reco__json_int(out, number);
}

/* JSON as it is where that is an object that stays on its line, else as a string. */
static void put_json(reco__buf *out, const char *name, reco_str text, size_t most) {
    reco_status status = RECO_INVALID;
    if (text.size > 0 && text.data[0] == '{' && !memchr(text.data, '\n', text.size) && !memchr(text.data, '\r', text.size) &&
        reco__utf8_valid(text.data, text.size))
        status = reco__json_check_object(text, most, -1, name, NULL);
    if (status == RECO_NO_MEMORY)
        out->failed = status;
    reco__buf_printf(out, ",\"%s\":", name);
    if (status == RECO_OK)
        reco__buf_add(out, text.data, text.size);
    else
        reco__json_string(out, text.data, text.size);
}

static void put_begin(reco__buf *out, const char *type, uint32_t partition, int64_t received_at) {
    reco__buf_printf(out, "{\"type\":\"%s\"", type);
    put_number(out, "partition", partition);
    put_number(out, "received_at", received_at);
}

_Static_assert(RECO_EVENT_FLAGS == (RECO_EVENT_HAS_VALUE | RECO_EVENT_HAS_POSITION | RECO_EVENT_UNDO),
               "a new flag of events is exported and imported");

static void put_event(reco__buf *out, uint32_t partition, const reco__record *record) {
    const reco_event *event = &record->event;
    put_begin(out, "event", partition, record->received_at);
    put_text(out, "user_id", event->user_id);
    put_text(out, "item_id", event->item_id);
    put_text(out, "event_type", event->event_type);
    if (event->timestamp != 0)
        put_number(out, "timestamp", event->timestamp);
    if (event->flags & RECO_EVENT_HAS_VALUE) {
        reco__buf_text(out, ",\"value\":");
        reco__json_double(out, event->value);
    }
    if (event->flags & RECO_EVENT_HAS_POSITION)
        put_number(out, "position", event->position);
    put_text(out, "session_id", event->session_id);
    put_text(out, "event_id", event->event_id);
    put_text(out, "recommendation_id", event->recommendation_id);
    put_text(out, "segments", record->segments);
    if (event->flags & RECO_EVENT_UNDO)
        reco__buf_text(out, ",\"undo\":true");
    if (event->properties.size > 0)
        put_json(out, "properties", event->properties, RECO__PROPERTIES_MAX);
    reco__buf_text(out, "}\n");
}

static void put_record(exporting *e, uint32_t partition, const reco__record *record) {
    if (record->type == RECO__RECORD_EVENT) {
        put_event(&e->out, partition, record);
        e->counts.events++;
    } else if (record->type == RECO__RECORD_TICK) {
        put_begin(&e->out, "tick", partition, record->received_at);
        reco__buf_text(&e->out, "}\n");
        e->counts.ticks++;
    } else {
        put_begin(&e->out, "erase", partition, record->received_at);
        put_text(&e->out, "user_id", record->event.user_id);
        reco__buf_text(&e->out, "}\n");
        e->counts.erasures++;
    }
}

/* --- the stream --------------------------------------------------------------------------------------------------------------------------- */

static reco_status export_stream(exporting *e, reco_error *err) {
    reco__walk_step step;
    reco_status status = reco__walk_next(&step, &e->walk, err);
    while (status == RECO_OK && step.record) {
        put_record(e, step.partition, step.record);
        status = flush(e, OUT_BYTES, err);
        if (status == RECO_OK)
            status = reco__walk_next(&step, &e->walk, err);
    }
    return status;
}

/* --- what is known ------------------------------------------------------------------------------------------------------------------------ */

typedef struct page {
    exporting *e;
    const reco__export_kind *kind;
    char last[RECO__ID_MAX];
    size_t last_size;
    uint32_t count;
} page;

static int take_document(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    page *to = context;
    (void)sequence, (void)kind;
    reco__buf_printf(&to->e->out, "{\"type\":\"%s\"", to->kind->type);
    put_text(&to->e->out, "id", id);
    put_json(&to->e->out, "document", document, RECO_RECORDS_DOCUMENT_MAX);
    reco__buf_text(&to->e->out, "}\n");
    memcpy(to->last, id.data, id.size);
    to->last_size = id.size;
    to->count++;
    ++*reco__export_count_of(&to->e->counts, to->kind->count);
    return to->e->out.size >= PAGE_BYTES || to->e->out.failed != RECO_OK;
}

static reco_status export_kind(exporting *e, const reco__export_kind *kind, reco_error *err) {
    page to = {.e = e, .kind = kind};
    reco_status status;
    do {
        to.count = 0;
        status = reco__call_check(e->call, err);
        if (status == RECO_OK)
            status =
                reco__records_scan(e->engine->records, kind->kind, (reco_str){to.last, to.last_size}, PAGE_RECORDS, take_document, &to, e->call, err);
        if (status == RECO_OK)
            status = flush(e, 0, err);
        if (status == RECO_OK && to.count)
            reco__call_progress(e->call, "exporting", kind->type, *reco__export_count_of(&e->counts, kind->count), 0);
    } while (status == RECO_OK && to.count > 0);
    return status;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------------- */

static void put_header(exporting *e) {
    reco_engine *engine = e->engine;
    const uint8_t *id = reco__stream_id(engine->stream);
    char now[32];
    reco__time_format(reco__now_ms(), now);
    reco__buf_printf(&e->out, "{\"type\":\"export\",\"format\":\"reco\",\"version\":%d", RECO__EXPORT_VERSION);
    put_text(&e->out, "namespace", reco__str_of(engine->settings.space));
    put_number(&e->out, "partitions", engine->partitions);
    reco__buf_text(&e->out, ",\"stream_id\":\"");
    for (int i = 0; i < 16; i++)
        reco__buf_printf(&e->out, "%02x", id[i]);
    reco__buf_byte(&e->out, '"');
    put_number(&e->out, "records", (int64_t)e->walk.total);
    put_number(&e->out, "missing", (int64_t)e->walk.missing);
    put_text(&e->out, "library", reco__str_of(reco_version()));
    put_text(&e->out, "created_at", reco__str_of(now));
    put_text(&e->out, "settings", (reco_str){engine->fingerprint.data, engine->fingerprint.size});
    reco__buf_text(&e->out, "}\n");
}

static void put_end(exporting *e) {
    char text[RECO__EXPORT_DIGEST_SIZE + 1];
    if (e->out.size > e->digested)
        digest(e);
    reco__export_digest_text(text, e->digest);
    reco__buf_text(&e->out, "{\"type\":\"end\"");
    for (size_t i = 0; i < RECO__EXPORT_COUNTS; i++)
        put_number(&e->out, reco__export_count_names[i].name, (int64_t)*reco__export_count_of(&e->counts, reco__export_count_names[i].at));
    put_text(&e->out, "digest", reco__str_of(text));
    reco__buf_text(&e->out, "}\n");
}

static reco_status run(exporting *e, reco_error *err) {
    reco_status status = reco__walk_begin(&e->walk, e->engine, "exporting", e->call, err);
    if (status == RECO_OK) {
        put_header(e);
        e->digested = e->out.size; /* two exports of the same differ in it alone */
        status = export_stream(e, err);
    }
    for (size_t i = 0; i < RECO__EXPORT_KINDS && status == RECO_OK; i++)
        status = export_kind(e, &reco__export_kinds[i], err);
    if (status != RECO_OK)
        return status;
    put_end(e);
    return flush(e, 0, err);
}

reco_status reco_export(reco_export_result *out, reco_engine *engine, reco_export_sink sink, void *context, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && !sink)
        status = reco__fail(err, RECO_INVALID, "sink", "it is needed");
    if (status != RECO_OK)
        return status;
    exporting e = {.engine = engine, .call = call, .sink = sink, .context = context};
    status = run(&e, err);
    if (status == RECO_OK && out) {
        const reco__export_counts *n = &e.counts;
        *out = (reco_export_result){.struct_size = out->struct_size,
                                    .partitions = engine->partitions,
                                    .events = n->events,
                                    .ticks = n->ticks,
                                    .erasures = n->erasures,
                                    .items = n->items,
                                    .users = n->users,
                                    .models = n->models,
                                    .experiments = n->experiments,
                                    .missing = e.walk.missing,
                                    .unreadable = e.walk.unreadable};
    }
    reco__walk_dispose(&e.walk);
    reco__buf_dispose(&e.out);
    return status;
}
