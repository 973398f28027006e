/* engine/import_export.c - an export (export.h) read into an engine that is empty.
 *
 * Records go to the stream as they were: same partitions, same order, same received_at, ticks and all, so that the same is learned. They are appended
 * in batches, each with a note in its own transaction: how many lines of the stream are in, and a hash of all of them, so that an import that was
 * killed goes on where it stood, and only with the same file. The last batch is kept back until everything else is in and the last line agrees: while
 * the note lacks a line, the import is not complete. What is known is put in between; putting it twice changes nothing.
 *
 * One line is in memory at a time, and one batch. */
#include "engine/export.h"

#include <errno.h>
#include <stdio.h>

#include "model/elements.h"
#include "model/envelope.h"
#include "model/event.h"
#include "model/item.h"
#include "model/user.h"

enum { BATCH = 1000, NOTE_SIZE = 8 + 16 + 16, NESTING_MORE = 2 };
#define BATCH_BYTES (4u << 20)
#define NOTE "import/reco"

typedef enum phase { HEADER, STREAM, KNOWN, ENDED } phase;

typedef struct arriving {
    reco_engine *engine;
    const reco_import_options *options;
    const reco_call *call;
    const char *path;
    FILE *file;
    reco__buf line;
    uint64_t number, total; /* of the line; records that the first line announces */
    phase phase;
    int64_t now;

    uint64_t seen, done, before; /* lines of the stream: read, in it, in it as this import began */
    reco__u128 digest;           /* of all lines so far but the first */
    reco__u128 header;           /* hash of the first line */
    reco__u128 chain, previous;  /* of all lines of the stream so far, and without the last of them */
    reco__u128 noted_chain;      /* as the note had it when this import began */
    bool noted, whole;           /* there was a note; it said that everything was in */

    reco__buf bytes; /* of the batch under way */
    reco_stream_record records[BATCH];
    size_t starts[BATCH], count;

    reco__buf documents; /* ids and documents to be put */
    reco_record_change changes[BATCH];
    size_t id_at[BATCH], document_at[BATCH], change_count;

    reco__arena arena; /* of one line */
    reco__export_counts counts;
    reco_import_result result;
} arriving;

/* One line: its tree, and the texts that must stay as they are. */
typedef struct parsed {
    json_t *tree;
    reco_str type, text;
} parsed;

/* --- lines -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status bad_line(const arriving *in, reco_status status, const reco_error *why, reco_error *err) {
    return reco__fail(err, status, why->field[0] ? why->field : NULL, "%.100s line %llu: %.120s", in->path, (unsigned long long)in->number,
                      why->text);
}

/* False at the end of the file. */
static bool next_line(arriving *in, reco_status *status, reco_error *err) {
    *status = RECO_OK;
    do {
        int c;
        reco__buf_reset(&in->line);
        in->number++;
        while ((c = getc_unlocked(in->file)) != EOF && c != '\n')
            reco__buf_byte(&in->line, (uint8_t)c);
        if (ferror(in->file)) {
            *status = reco__fail_errno(err, errno, in->path);
            return false;
        }
        if (in->line.failed != RECO_OK) {
            *status = reco__fail(err, in->line.failed, NULL, "%.100s line %llu: longer than %u bytes", in->path, (unsigned long long)in->number,
                                 RECO__EXPORT_LINE_MAX);
            return false;
        }
        if (c == EOF && in->line.size == 0)
            return false;
    } while (in->line.size == 0);
    return true;
}

static reco_str text_of(const json_t *value) {
    return json_is_string(value) ? (reco_str){json_string_value(value), json_string_length(value)} : (reco_str){NULL, 0};
}

static reco_status parse(parsed *out, const arriving *in, reco_error *err) {
    reco_str text = {in->line.data, in->line.size};
    while (text.size > 0 && (text.data[text.size - 1] == '\r' || text.data[text.size - 1] == ' '))
        text.size--;
    *out = (parsed){.text = text};
    reco_status status = reco__json_nested(&out->tree, text, RECO__EXPORT_LINE_MAX, RECO__NESTING_MAX + NESTING_MORE, -1, NULL, err);
    if (status != RECO_OK)
        return status;
    out->type = text_of(json_object_get(out->tree, "type"));
    return out->type.size ? RECO_OK : reco__fail(err, RECO_INVALID, "type", "is required");
}

static bool is(const parsed *line, const char *type) { return reco__str_equal(line->type, reco__str_of(type)); }

/* Every member has to be known: one that is not would be lost. */
static reco_status only(const parsed *line, const char *const *names, reco_error *err) {
    const char *name;
    json_t *ignored;
    json_object_foreach(line->tree, name, ignored) {
        if (!reco__json_among(name, names))
            return reco__fail(err, RECO_INVALID, name, "is not known in a line of type %.*s", (int)line->type.size, line->type.data);
    }
    return RECO_OK;
}

static reco_status take_number(int64_t *out, const parsed *line, const char *name, int64_t least, int64_t most, reco_error *err) {
    const json_t *value = json_object_get(line->tree, name);
    *out = (int64_t)json_integer_value(value);
    if (!json_is_integer(value) || *out < least || *out > most)
        return reco__fail(err, RECO_INVALID, name, "must be an integer within %lld and %lld", (long long)least, (long long)most);
    return RECO_OK;
}

static reco_status take_text(reco_str *out, const parsed *line, const char *name, size_t most, reco_error *err) {
    const json_t *value = json_object_get(line->tree, name);
    *out = text_of(value);
    if (value && !json_is_string(value))
        return reco__fail(err, RECO_INVALID, name, "must be a string");
    if (out->size > most)
        return reco__fail(err, RECO_TOO_LARGE, name, "%zu bytes, at most %zu are allowed", out->size, most);
    return RECO_OK;
}

/* JSON that is a member, letter by letter; what was given as a string is its text. */
static reco_str take_json(const parsed *line, const char *name) {
    const char *at = line->text.data + 1, *end = line->text.data + line->text.size, *other;
    json_t *value;
    json_object_foreach(line->tree, other, value) {
        reco_str text;
        reco__json_next_member(&at, end, &text);
        if (strcmp(other, name) == 0)
            return json_is_string(value) ? text_of(value) : text;
    }
    return (reco_str){NULL, 0};
}

/* --- the stream --------------------------------------------------------------------------------------------------------------------------- */

static void put_u64(uint8_t *at, uint64_t value) {
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static reco_status read_note(arriving *in, reco_error *err) {
    reco__buf note = {0};
    reco_status status = reco__stream_note(in->engine->stream, NOTE, &note, in->call, err);
    in->noted = status == RECO_OK;
    if (status == RECO_OK) {
        reco__reader reader = reco__reader_of(note.data, note.size);
        in->before = in->done = reco__read_u64(&reader);
        reco__u128 header = {reco__read_u64(&reader), 0};
        header.high = reco__read_u64(&reader);
        in->noted_chain.low = reco__read_u64(&reader);
        in->noted_chain.high = reco__read_u64(&reader);
        if (reader.bad)
            status = reco__fail(err, RECO_CORRUPT, "import", "the journal of this import is damaged");
        else if (header.low != in->header.low || header.high != in->header.high)
            status = reco__fail(err, RECO_CONFLICT, "path", "another export was imported here, or is being: import into an empty directory");
    }
    reco__buf_dispose(&note);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

/* Whether the stream holds what the note says and nothing else. */
static reco_status check_stream(const arriving *in, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    uint64_t records = 0;
    reco_status status = reco__stream_bounds(spans, in->engine->stream, in->call, err);
    for (uint32_t p = 0; status == RECO_OK && p < in->engine->partitions; p++)
        records += (uint64_t)spans[p].end;
    if (status == RECO_OK && records != in->done)
        return reco__fail(err, RECO_CONFLICT, "stream", "it holds %llu records that are not of this export: import into an empty directory",
                          (unsigned long long)(records > in->done ? records - in->done : records));
    return status;
}

static reco_status append(arriving *in, size_t count, reco__u128 chain, reco_error *err) {
    uint8_t note[NOTE_SIZE];
    reco_error error = RECO_ERROR_INIT;
    if (count == 0)
        return RECO_OK;
    reco_status status = in->done == in->before ? check_stream(in, err) : RECO_OK;
    if (status == RECO_OK)
        status = reco__buf_status(&in->bytes, err);
    if (status != RECO_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        in->records[i].data = in->bytes.data + in->starts[i];
    put_u64(note, in->done + count);
    put_u64(note + 8, in->header.low);
    put_u64(note + 16, in->header.high);
    put_u64(note + 24, chain.low);
    put_u64(note + 32, chain.high);
    status = reco__stream_append(NULL, in->engine->stream, in->records, count, RECO_APPEND_NO_TICKS | RECO_APPEND_NOTE_GROWS, NOTE, note, sizeof note,
                                 in->call, &error);
    if (status == RECO_CONFLICT)
        return reco__fail(err, RECO_CONFLICT, "path", "another import of this export is under way");
    if (status != RECO_OK) {
        if (err)
            *err = error;
        return status;
    }
    in->done += count;
    return RECO_OK;
}

/* Appends the batch but for its last record, which stays: with it the import would be complete. */
static reco_status append_all_but_one(arriving *in, reco_error *err) {
    if (in->count < 2)
        return RECO_OK;
    size_t last = in->count - 1, start = in->starts[last], size = in->bytes.size - start;
    reco_status status = append(in, last, in->previous, err);
    if (status != RECO_OK)
        return status;
    memmove(in->bytes.data, in->bytes.data + start, size);
    in->bytes.size = size;
    in->records[0] = in->records[last];
    in->starts[0] = 0;
    in->count = 1;
    return RECO_OK;
}

static reco_status take_event(reco_event *event, reco_str *segments, const parsed *line, reco_error *err) {
    static const char *const names[] = {"type",     "partition",  "received_at", "user_id",           "item_id",  "event_type", "timestamp", "value",
                                        "position", "session_id", "event_id",    "recommendation_id", "segments", "properties", "undo",      NULL};
    const struct {
        const char *name;
        reco_str *at;
    } texts[] = {{"user_id", &event->user_id},       {"item_id", &event->item_id},   {"event_type", &event->event_type},
                 {"session_id", &event->session_id}, {"event_id", &event->event_id}, {"recommendation_id", &event->recommendation_id}};
    int64_t number;
    *event = (reco_event){0};
    reco_status status = only(line, names, err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == RECO_OK; i++)
        status = take_text(texts[i].at, line, texts[i].name, RECO__ID_MAX, err);
    if (status == RECO_OK)
        status = take_text(segments, line, "segments", RECO__SEGMENTS_MAX, err);
    if (status == RECO_OK && json_object_get(line->tree, "timestamp"))
        status = take_number(&event->timestamp, line, "timestamp", 0, RECO__TIME_MAX, err);
    if (status == RECO_OK && json_object_get(line->tree, "position")) {
        status = take_number(&number, line, "position", 1, INT32_MAX, err);
        event->position = (int32_t)number;
        event->flags |= RECO_EVENT_HAS_POSITION;
    }
    const json_t *value = json_object_get(line->tree, "value");
    if (status == RECO_OK && value && !json_is_number(value))
        status = reco__fail(err, RECO_INVALID, "value", "must be a number");
    if (status != RECO_OK)
        return status;
    const json_t *undo = json_object_get(line->tree, "undo");
    if (undo && !json_is_boolean(undo))
        return reco__fail(err, RECO_INVALID, "undo", "must be true or false");
    event->flags |= json_is_true(undo) ? RECO_EVENT_UNDO : 0;
    event->flags |= value ? RECO_EVENT_HAS_VALUE : 0;
    event->value = json_number_value(value);
    reco_str properties = take_json(line, "properties");
    if (properties.size > RECO__PROPERTIES_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "properties", "%zu bytes, at most %u are allowed", properties.size, RECO__PROPERTIES_MAX);
    status = reco__event_check(event, -1, NULL, 0, err);
    event->properties = properties;
    return status;
}

static reco_status check_partition(const arriving *in, reco_str user, int64_t partition, reco_error *err) {
    uint32_t own = reco__stream_partition(in->engine->stream, user.data, user.size);
    if (own == (uint32_t)partition)
        return RECO_OK;
    return reco__fail(err, RECO_INVALID, "partition", "user \"%.*s\" belongs to partition %u", reco__shown(user, 40), user.data, own);
}

static reco_status put_event(arriving *in, const parsed *line, int64_t partition, int64_t received_at, reco_error *err) {
    reco_event event;
    reco_str segments = {NULL, 0};
    reco_status status = take_event(&event, &segments, line, err);
    if (status == RECO_OK)
        status = check_partition(in, event.user_id, partition, err);
    if (status == RECO_OK)
        reco__envelope_event(&in->bytes, &event, segments, received_at);
    in->counts.events++;
    in->result.events += in->seen >= in->before;
    return status;
}

static reco_status put_erase(arriving *in, const parsed *line, int64_t partition, int64_t received_at, reco_error *err) {
    static const char *const names[] = {"type", "partition", "received_at", "user_id", NULL};
    reco_str user;
    reco_status status = only(line, names, err);
    if (status == RECO_OK)
        status = take_text(&user, line, "user_id", RECO__ID_MAX, err);
    if (status == RECO_OK)
        status = reco__check_id(user, -1, "user_id", err);
    if (status == RECO_OK)
        status = check_partition(in, user, partition, err);
    if (status == RECO_OK)
        reco__envelope_erase(&in->bytes, user, received_at);
    in->counts.erasures++;
    return status;
}

static reco_status put_tick(arriving *in, const parsed *line, int64_t received_at, reco_error *err) {
    static const char *const names[] = {"type", "partition", "received_at", NULL};
    reco_status status = only(line, names, err);
    if (status == RECO_OK)
        reco__envelope_tick(&in->bytes, received_at);
    in->counts.ticks++;
    return status;
}

/* The hash of all lines so far goes on; where the note stands it must be the note's. */
static reco_status chain_line(arriving *in, reco_str text, reco_error *err) {
    in->previous = in->chain;
    reco__export_digest(&in->chain, text.data, text.size);
    in->seen++;
    if (in->seen == in->before && (in->chain.low != in->noted_chain.low || in->chain.high != in->noted_chain.high))
        return reco__fail(err, RECO_CONFLICT, "path", "the lines before are not those that were imported: the file was altered since");
    return RECO_OK;
}

/* A line of the stream: only counted when it is in already, else added to the batch. */
static reco_status take_record(arriving *in, const parsed *line, reco_error *err) {
    int64_t partition, received_at;
    if (in->phase != STREAM)
        return reco__fail(err, RECO_INVALID, "type", "lines of the stream stand before those of what is known");
    reco_status status = take_number(&partition, line, "partition", 0, in->engine->partitions - 1, err);
    if (status == RECO_OK)
        status = take_number(&received_at, line, "received_at", 1, RECO__TIME_MAX, err);
    if (status == RECO_OK && received_at > in->now + in->engine->rules.boards.skew)
        return reco__fail(err, RECO_TOO_EARLY, "received_at", "lies %lld ms in the future", (long long)(received_at - in->now));
    if (status == RECO_OK && (in->count == BATCH || in->bytes.size > BATCH_BYTES)) {
        status = append(in, in->count, in->chain, err);
        in->count = 0;
        reco__buf_reset(&in->bytes);
    }
    if (status != RECO_OK)
        return status;
    size_t start = in->bytes.size;
    if (is(line, "event"))
        status = put_event(in, line, partition, received_at, err);
    else if (is(line, "erase"))
        status = put_erase(in, line, partition, received_at, err);
    else
        status = put_tick(in, line, received_at, err);
    if (status != RECO_OK)
        return status;
    in->result.first = in->seen == 0 || received_at < in->result.first ? received_at : in->result.first;
    in->result.last = received_at > in->result.last ? received_at : in->result.last;
    if (in->seen < in->before) {
        in->bytes.size = start;
    } else {
        in->starts[in->count] = start;
        in->records[in->count++] =
            (reco_stream_record){.partition = (uint32_t)partition, .size = (uint32_t)(in->bytes.size - start), .received_at = received_at};
    }
    return chain_line(in, line->text, err);
}

/* The stream has been read: whether there is anything new, and all but the last of it in. */
static reco_status end_stream(arriving *in, reco_error *err) {
    if (in->phase != STREAM)
        return RECO_OK;
    in->phase = KNOWN;
    if (in->seen < in->before)
        return reco__fail(err, RECO_CONFLICT, "path", "%llu records of this export are in, and the file holds %llu: it was altered since",
                          (unsigned long long)in->before, (unsigned long long)in->seen);
    in->whole = in->noted && in->seen == in->before;
    return append_all_but_one(in, err);
}

/* --- what is known ------------------------------------------------------------------------------------------------------------------------ */

static reco_status put_changes(arriving *in, reco_error *err) {
    reco_status status = reco__buf_status(&in->documents, err);
    for (size_t i = 0; status == RECO_OK && i < in->change_count; i++) {
        in->changes[i].id.data = in->documents.data + in->id_at[i];
        in->changes[i].document.data = in->documents.data + in->document_at[i];
    }
    if (status == RECO_OK && in->change_count)
        status = reco__records_change(NULL, in->engine->records, in->changes, in->change_count, in->call, err);
    in->change_count = 0;
    reco__buf_reset(&in->documents);
    return status;
}

/* What an item or user says must be possible. Attributes are let through as they are: they may be older than their limits. */
static reco_status check_document(arriving *in, uint32_t kind, reco_str id, reco_str document, reco_error *err) {
    reco__item_batch items = {0};
    reco__user_batch users = {0};
    reco_status status = RECO_OK;
    const reco_error *wrong = NULL;
    if (kind == RECO_RECORD_ITEM)
        status = reco__items_parse(&items, &in->arena, document.data, document.size, RECO__JSON_AUTO, 1, id, err);
    else if (kind == RECO_RECORD_USER)
        status = reco__users_parse(&users, &in->arena, document.data, document.size, RECO__JSON_AUTO, 1, id, err);
    if (items.error_count)
        wrong = items.errors;
    if (users.error_count)
        wrong = users.errors;
    if (status != RECO_OK || !wrong || strncmp(wrong->field, "attributes", 10) == 0)
        return status;
    return reco__fail(err, (reco_status)wrong->status, wrong->field, "%s", wrong->text);
}

static reco_status take_known(arriving *in, const parsed *line, const reco__export_kind *kind, reco_error *err) {
    static const char *const names[] = {"type", "id", "document", NULL};
    reco_str id;
    reco_status status = end_stream(in, err);
    if (status == RECO_OK)
        status = only(line, names, err);
    if (status == RECO_OK)
        status = take_text(&id, line, "id", RECO__ID_MAX, err);
    if (status == RECO_OK)
        status = reco__check_id(id, -1, "id", err);
    if (status != RECO_OK)
        return status;
    reco_str document = take_json(line, "document");
    if (document.size == 0 || document.size > RECO_RECORDS_DOCUMENT_MAX)
        return reco__fail(err, RECO_INVALID, "document", "1 to %u bytes are expected", RECO_RECORDS_DOCUMENT_MAX);
    if (json_is_object(json_object_get(line->tree, "document")))
        status = check_document(in, kind->kind, id, document, err);
    if (status != RECO_OK)
        return status;
    ++*reco__export_count_of(&in->counts, kind->count);
    if (in->whole)
        return RECO_OK;
    if (in->change_count == BATCH || in->documents.size > BATCH_BYTES)
        status = put_changes(in, err);
    in->id_at[in->change_count] = in->documents.size;
    reco__buf_add(&in->documents, id.data, id.size);
    in->document_at[in->change_count] = in->documents.size;
    reco__buf_add(&in->documents, document.data, document.size);
    in->changes[in->change_count++] = (reco_record_change){.kind = kind->kind, .id = {NULL, id.size}, .document = {NULL, document.size}};
    return status;
}

/* --- the first line and the last ---------------------------------------------------------------------------------------------------------- */

static int found_any(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)sequence, (void)kind, (void)id, (void)document;
    *(bool *)context = true;
    return 1;
}

/* What is begun afresh begins in empty stores. */
static reco_status check_empty(const arriving *in, reco_error *err) {
    reco_status status = check_stream(in, err);
    bool any = false;
    for (size_t i = 0; i < RECO__EXPORT_KINDS && status == RECO_OK && !any; i++)
        status = reco__records_scan(in->engine->records, reco__export_kinds[i].kind, (reco_str){NULL, 0}, 1, found_any, &any, in->call, err);
    if (status == RECO_OK && any)
        return reco__fail(err, RECO_CONFLICT, "records", "there are items, users, models or experiments already: import into an empty directory");
    return status;
}

static reco_status check_place(arriving *in, const parsed *line, reco_error *err) {
    const reco_engine *engine = in->engine;
    int64_t partitions, records;
    reco_str space, settings;
    char difference[160];
    reco_status status = take_text(&space, line, "namespace", 64, err);
    if (status == RECO_OK)
        status = take_number(&partitions, line, "partitions", 1, RECO_PARTITIONS_MAX, err);
    if (status == RECO_OK)
        status = take_number(&records, line, "records", 0, INT64_MAX, err);
    if (status == RECO_OK)
        status = take_text(&settings, line, "settings", 1u << 20, err);
    if (status != RECO_OK)
        return status;
    if (!reco__str_equal(space, reco__str_of(engine->settings.space)))
        return reco__fail(err, RECO_REFUSED, "namespace", "the export is of namespace %.*s; this one is %s, where users fall into other partitions",
                          (int)space.size, space.data, engine->settings.space);
    if (partitions != engine->partitions)
        return reco__fail(err, RECO_REFUSED, "partitions",
                          "the export is of %lld partitions, the stream has %u; what is learned is the same with as many only", (long long)partitions,
                          engine->partitions);
    in->total = (uint64_t)records;
    if (settings.size &&
        reco__fingerprint_difference(settings, (reco_str){engine->fingerprint.data, engine->fingerprint.size}, difference, sizeof difference))
        snprintf(in->result.warning, sizeof in->result.warning, "learned with other settings than where it was exported: %s", difference);
    return RECO_OK;
}

static reco_status take_header(arriving *in, const parsed *line, reco_error *err) {
    static const char *const names[] = {"type",    "format",  "version", "namespace",  "partitions", "stream_id",
                                        "records", "missing", "library", "created_at", "settings",   NULL};
    int64_t version;
    if (!is(line, "export") || !reco__str_equal(text_of(json_object_get(line->tree, "format")), reco__str_of("reco")))
        return reco__fail(err, RECO_INVALID, "format", "the first line is not that of an export");
    reco_status status = take_number(&version, line, "version", 1, INT64_MAX, err);
    if (status == RECO_OK && version > RECO__EXPORT_VERSION)
        return reco__fail(err, RECO_NEWER, "version", "the export has version %lld, this library reads %d", (long long)version, RECO__EXPORT_VERSION);
    if (status == RECO_OK)
        status = only(line, names, err);
    if (status == RECO_OK)
        status = check_place(in, line, err);
    if (status != RECO_OK)
        return status;
    in->header = in->chain = reco__hash128(line->text.data, line->text.size);
    in->phase = STREAM;
    status = read_note(in, err);
    return status == RECO_OK && !in->noted ? check_empty(in, err) : status;
}

static reco_status check_digest(const arriving *in, const parsed *line, reco_error *err) {
    char text[RECO__EXPORT_DIGEST_SIZE + 1];
    const json_t *said = json_object_get(line->tree, "digest");
    reco__export_digest_text(text, in->digest);
    if (!said || reco__str_equal(text_of(said), reco__str_of(text)))
        return RECO_OK;
    return reco__fail(err, RECO_INVALID, "digest", "a line before is not as it was exported; where that is meant, take the digest off");
}

static reco_status take_end(arriving *in, const parsed *line, reco_error *err) {
    reco_status status = end_stream(in, err);
    for (size_t i = 0; i < RECO__EXPORT_COUNTS && status == RECO_OK; i++) {
        uint64_t is = *reco__export_count_of(&in->counts, reco__export_count_names[i].at);
        int64_t said = 0;
        status = take_number(&said, line, reco__export_count_names[i].name, 0, INT64_MAX, err);
        if (status == RECO_OK && (uint64_t)said != is)
            status = reco__fail(err, RECO_INVALID, reco__export_count_names[i].name, "%lld are told of, %llu were there", (long long)said,
                                (unsigned long long)is);
    }
    in->phase = ENDED;
    return status == RECO_OK ? check_digest(in, line, err) : status;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status take(arriving *in, const parsed *line, reco_error *err) {
    if (in->phase == HEADER)
        return take_header(in, line, err);
    if (in->phase == ENDED)
        return reco__fail(err, RECO_INVALID, "type", "there is something behind the last line");
    if (is(line, "event") || is(line, "tick") || is(line, "erase"))
        return take_record(in, line, err);
    for (size_t i = 0; i < RECO__EXPORT_KINDS; i++)
        if (is(line, reco__export_kinds[i].type))
            return take_known(in, line, &reco__export_kinds[i], err);
    if (is(line, "end"))
        return take_end(in, line, err);
    return reco__fail(err, RECO_INVALID, "type", "\"%.*s\" is not a type of lines", reco__shown(line->type, 40), line->type.data);
}

/* What is about the line is told with its number, what stores say is not. */
static bool about_line(reco_status status) {
    return status == RECO_INVALID || status == RECO_TOO_LARGE || status == RECO_TOO_EARLY || status == RECO_NEWER;
}

static reco_status take_line(arriving *in, reco_error *err) {
    parsed line;
    reco_error why = RECO_ERROR_INIT;
    reco__arena_reset(&in->arena);
    reco_status status = parse(&line, in, &why);
    if (status == RECO_INVALID && feof(in->file))
        status = reco__fail(&why, RECO_INVALID, NULL, "the line does not end: the file was cut off");
    if (status == RECO_OK)
        status = take(in, &line, &why);
    if (status == RECO_OK && !is(&line, "export"))
        reco__export_digest(&in->digest, line.text.data, line.text.size);
    json_decref(line.tree);
    if (status == RECO_OK)
        return RECO_OK;
    if (about_line(status))
        return bad_line(in, status, &why, err);
    if (err)
        *err = why;
    return status;
}

static void tell(const arriving *in) {
    if (in->seen < in->total) /* how many documents follow is in the last line */
        reco__call_progress(in->call, "importing", "records", in->seen, in->total);
    else
        reco__call_progress(in->call, "importing what is known", "lines", in->number, 0);
}

static reco_status read_all(arriving *in, reco_error *err) {
    reco_status status;
    while (next_line(in, &status, err)) {
        status = take_line(in, err);
        if (status == RECO_OK && in->number % 1024 == 0) {
            tell(in);
            status = reco__call_check(in->call, err);
        }
        if (status != RECO_OK)
            return status;
    }
    if (status == RECO_OK && in->phase != ENDED)
        return reco__fail(err, RECO_INVALID, NULL, "%.100s ends behind line %llu without the last line of an export: it was cut off", in->path,
                          (unsigned long long)in->number - 1);
    return status;
}

static reco_status run(arriving *in, reco_error *err) {
    reco_status status = read_all(in, err);
    if (status == RECO_OK)
        status = put_changes(in, err);
    if (status == RECO_OK)
        status = append(in, in->count, in->chain, err);
    if (status != RECO_OK)
        return status;
    tell(in);
    in->result.already = in->whole;
    if (!in->whole) {
        in->result.items = in->counts.items;
        in->result.users = in->counts.users;
        in->result.others = in->counts.models + in->counts.experiments;
    }
    return reco_process(NULL, in->engine, in->call, err);
}

static reco_status open_path(arriving *in, reco_error *err) {
    in->file = fopen(in->path, "re");
    if (in->file)
        return RECO_OK;
    return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "path", "%.200s: there is no such file", in->path)
                           : reco__fail_errno(err, errno, in->path);
}

reco_status reco__export_import(reco_import_result *out, reco_engine *engine, const reco_import_options *options, const reco_call *call,
                                reco_error *err) {
    if (options->path_count != 1)
        return reco__fail(err, RECO_INVALID, "path", "one export at a time");
    if (options->flags & RECO_IMPORT_SHIFT_TIME)
        return reco__fail(err, RECO_INVALID, "shift-time", "an export comes in as it is");
    arriving *in = reco__zalloc(sizeof *in);
    if (!in)
        return reco__no_memory(err);
    in->engine = engine;
    in->options = options;
    in->call = call;
    in->path = options->paths[0];
    in->now = reco__now_ms();
    in->line.limit = RECO__EXPORT_LINE_MAX;
    reco_status status = open_path(in, err);
    if (status == RECO_OK)
        status = run(in, err);
    if (status == RECO_OK)
        *out = in->result;
    if (in->file)
        fclose(in->file);
    reco__buf_dispose(&in->line);
    reco__buf_dispose(&in->bytes);
    reco__buf_dispose(&in->documents);
    reco__arena_dispose(&in->arena);
    reco__release(in);
    return status;
}
