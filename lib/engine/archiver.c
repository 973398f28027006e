/* engine/archiver.c - from the stream to the archive, partition by partition, batch by batch.
 *
 * Where a partition of the archive stands is kept by the archive, and moves in the transaction that adds the records. So an archiver has nothing to
 * lose: after any failure it asks again where the archive stands and goes on from there, and of two that bring the same records one is told so
 * (STALE) and asks as well. They need no agreement beyond that; each begins its round at another partition to be seldom in the other's way.
 *
 * Learning must not notice. The archiver reads through a handle of its own where a backend keeps a cursor for each partition (all but the embedded
 * ones), holds nothing of the engine while it waits for the database, and begins a batch of its own accord at most every quarter of a second.
 *
 * A record that cannot be read is archived as bytes: the archive is there to keep what was written, and it must not stop where learning may have to.
 * Records that the stream dropped too early are counted as missed; the archive then goes on at the oldest there is. */
#include "engine/engine.h"

#include <stdio.h>
#include <time.h>

#include "model/envelope.h"

#define BATCH_RECORDS 5000u
#define BATCH_BYTES (8u << 20)
#define PACE_NS 250000000ll
#define SLICE_NS 20000000ll
#define LOOK_NS 1000000000ll /* others archive too: look again where it stands */

struct reco_archiver {
    reco_engine *engine;
    reco__stream *stream; /* the engine's, or one of its own */
    bool own_stream;
    reco__records *archive; /* NULL: not reached yet */
    uint32_t batch_records;
    bool placed; /* next[] is known */
    int64_t next[RECO_PARTITIONS_MAX], ends[RECO_PARTITIONS_MAX];
    uint32_t turn;               /* partition to look at first */
    int64_t begun_ns, placed_ns; /* the last step; when next[] was asked for */
    reco_archive_row *rows;
    size_t count, *begins; /* rows read; where each begins in bytes */
    reco__buf bytes;
    reco_archived total;
};

/* --- opening ------------------------------------------------------------------------------------------------------------------------------- */

static bool is_embedded(const char *url) { return strncmp(url, "lmdb:", 5) == 0 || strncmp(url, "memory:", 7) == 0; }

static reco_status open_stream(reco_archiver *archiver, const reco_call *call, reco_error *err) {
    const reco_engine *engine = archiver->engine;
    archiver->stream = engine->stream;
    if (is_embedded(engine->stream_url))
        return RECO_OK;
    reco_stream_options options = {
        .struct_size = sizeof options,
        .partitions = engine->partitions,
        .url = engine->stream_url,
        .space = engine->settings.space,
        .min_free = engine->settings.min_free,
        .map_size = engine->settings.map_size,
        .background = engine->background,
    };
    reco_status status = reco__stream_open(&archiver->stream, &options, call, err);
    archiver->own_stream = status == RECO_OK;
    return status;
}

static reco_status make_room(reco_archiver *archiver, reco_error *err) {
    archiver->rows = reco__alloc_array(archiver->batch_records, sizeof *archiver->rows);
    archiver->begins = reco__alloc_array((size_t)archiver->batch_records + 1, sizeof *archiver->begins);
    return archiver->rows && archiver->begins ? RECO_OK : reco__no_memory(err);
}

static void first_turn(reco_archiver *archiver) {
    uint32_t chance = 0;
    if (reco__random_bytes(&chance, sizeof chance, NULL) == RECO_OK)
        archiver->turn = chance % archiver->engine->partitions;
}

reco_status reco_archiver_open(reco_archiver **out, reco_engine *engine, const reco_archiver_options *options, const reco_call *call,
                               reco_error *err) {
    reco_archiver_options given;
    if (!out)
        return reco__fail(err, RECO_INVALID, "out", "a place for the archiver is needed");
    *out = NULL;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && given.batch_records > RECO_ARCHIVE_ROWS_MAX)
        status = reco__fail(err, RECO_INVALID, "batch_records", "at most %u", RECO_ARCHIVE_ROWS_MAX);
    if (status == RECO_OK && !engine->settings.archive[0])
        status = reco__fail(err, RECO_INVALID, "archive", "no archive is set: postgresql://user@host/database is the form");
    if (status != RECO_OK)
        return status;
    reco_archiver *archiver = reco__zalloc(sizeof *archiver);
    if (!archiver)
        return reco__no_memory(err);
    archiver->engine = engine;
    archiver->batch_records = given.batch_records ? given.batch_records : BATCH_RECORDS;
    first_turn(archiver);
    status = make_room(archiver, err);
    if (status == RECO_OK)
        status = open_stream(archiver, call, err);
    if (status != RECO_OK) {
        reco_archiver_close(archiver);
        return status;
    }
    if (!atomic_load(&engine->archiving)) {
        for (uint32_t p = 0; p < engine->partitions; p++)
            atomic_store(&engine->archived[p], -1);
        atomic_store(&engine->archiving, true);
    }
    *out = archiver;
    return RECO_OK;
}

void reco_archiver_close(reco_archiver *archiver) {
    if (!archiver)
        return;
    reco__records_close(archiver->archive);
    if (archiver->own_stream)
        reco__stream_close(archiver->stream);
    reco__buf_dispose(&archiver->bytes);
    reco__release(archiver->begins);
    reco__release(archiver->rows);
    reco__release(archiver);
}

/* --- where things stand -------------------------------------------------------------------------------------------------------------------- */

static reco_status reach(reco_archiver *archiver, const reco_call *call, reco_error *err) {
    const reco__settings *settings = &archiver->engine->settings;
    reco_records_options options = {.struct_size = sizeof options, .url = settings->archive, .space = settings->space};
    return archiver->archive ? RECO_OK : reco__records_open(&archiver->archive, &options, call, err);
}

static reco_status place(reco_archiver *archiver, const reco_call *call, reco_error *err) {
    reco_engine *engine = archiver->engine;
    if (archiver->placed)
        return RECO_OK;
    reco_status status =
        reco__records_archive_positions(archiver->next, archiver->archive, reco__stream_id(archiver->stream), engine->partitions, call, err);
    archiver->placed = status == RECO_OK;
    archiver->placed_ns = reco__monotonic_ns();
    for (uint32_t p = 0; p < engine->partitions && status == RECO_OK; p++)
        atomic_store(&engine->archived[p], archiver->next[p]);
    return status;
}

static reco_status out_of_step(uint32_t partition, int64_t next, int64_t end, reco_error *err) {
    return reco__fail(err, RECO_CORRUPT, "archive", "the archive has partition %u up to %lld, but the stream ends at %lld", partition,
                      (long long)next, (long long)end);
}

/* The partition to archive next, UINT32_MAX: none. One where the archive is ahead of the stream keeps no other from its turn, and is told of when
 * nothing else is left. */
static reco_status choose(uint32_t *partition, reco_archiver *archiver, const reco_stream_span *spans, reco_error *err) {
    uint32_t partitions = archiver->engine->partitions, odd = UINT32_MAX;
    *partition = UINT32_MAX;
    archiver->total.lag = 0;
    for (uint32_t i = 0; i < partitions; i++) {
        uint32_t p = (archiver->turn + i) % partitions;
        int64_t from = archiver->next[p] < spans[p].begin ? spans[p].begin : archiver->next[p];
        archiver->ends[p] = spans[p].end;
        if (from > spans[p].end)
            odd = p;
        else if (from < spans[p].end && *partition == UINT32_MAX)
            *partition = p;
        archiver->total.lag += from < spans[p].end ? spans[p].end - from : 0;
    }
    if (*partition == UINT32_MAX && odd != UINT32_MAX)
        return out_of_step(odd, archiver->next[odd], spans[odd].end, err);
    return RECO_OK;
}

/* --- one batch ----------------------------------------------------------------------------------------------------------------------------- */

static int take_record(void *context, int64_t offset, const void *data, size_t size) {
    reco_archiver *archiver = context;
    archiver->begins[archiver->count] = archiver->bytes.size;
    archiver->rows[archiver->count].offset = offset;
    reco__buf_add(&archiver->bytes, data, size);
    archiver->begins[++archiver->count] = archiver->bytes.size;
    return archiver->count == archiver->batch_records || archiver->bytes.failed != RECO_OK;
}

static bool text_fits(reco_str *text) {
    if (text->size == 0)
        *text = (reco_str){NULL, 0};
    return reco__utf8_valid(text->data, text->size);
}

/* False when a text is none: it was not written by us. */
static bool columns_of(reco_archive_row *row, const reco__record *record) {
    static const uint32_t types[] = {
        [RECO__RECORD_EVENT] = RECO_ARCHIVE_EVENT, [RECO__RECORD_TICK] = RECO_ARCHIVE_TICK, [RECO__RECORD_ERASE] = RECO_ARCHIVE_ERASE};
    const reco_event *event = &record->event;
    *row = (reco_archive_row){.offset = row->offset,
                              .received_at = record->received_at,
                              .type = types[record->type],
                              .value = event->value,
                              .shown_at = event->position,
                              .user_id = event->user_id,
                              .item_id = event->item_id,
                              .event_type = event->event_type,
                              .session_id = event->session_id,
                              .event_id = event->event_id,
                              .recommendation_id = event->recommendation_id,
                              .segments = record->segments,
                              .properties = event->properties,
                              .raw = row->raw};
    if (record->type == RECO__RECORD_EVENT)
        row->happened_at = event->timestamp ? event->timestamp : record->received_at;
    if (event->flags & RECO_EVENT_HAS_VALUE)
        row->flags |= RECO_ARCHIVE_HAS_VALUE;
    if (event->flags & RECO_EVENT_HAS_POSITION)
        row->flags |= RECO_ARCHIVE_HAS_SHOWN_AT;
    reco_str *const texts[] = {&row->user_id,  &row->item_id,           &row->event_type, &row->session_id,
                               &row->event_id, &row->recommendation_id, &row->segments,   &row->properties};
    bool fit = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fit = text_fits(texts[i]) && fit;
    return fit;
}

/* Rows of the bytes that were read; answers how many of them are unreadable. */
static uint64_t decode(reco_archiver *archiver) {
    uint64_t unreadable = 0;
    for (size_t i = 0; i < archiver->count; i++) {
        reco_archive_row *row = &archiver->rows[i];
        reco__record record;
        row->raw = (reco_str){archiver->bytes.data + archiver->begins[i], archiver->begins[i + 1] - archiver->begins[i]};
        if (reco__envelope_decode(&record, row->raw.data, row->raw.size, NULL) == RECO_OK && columns_of(row, &record))
            continue;
        *row = (reco_archive_row){.offset = row->offset, .received_at = reco__now_ms(), .type = RECO_ARCHIVE_UNREADABLE, .raw = row->raw};
        unreadable++;
    }
    return unreadable;
}

static reco_status read_batch(reco_archiver *archiver, uint32_t partition, int64_t from, const reco_call *call, reco_error *err) {
    archiver->count = 0;
    reco__buf_reset(&archiver->bytes);
    reco_status status = reco__stream_read(archiver->stream, partition, from, archiver->batch_records, BATCH_BYTES, take_record, archiver, call, err);
    if ((status == RECO_TIMEOUT || status == RECO_CANCELLED) && archiver->count > 0)
        status = RECO_OK;
    return status == RECO_OK ? reco__buf_status(&archiver->bytes, err) : status;
}

static void tell_missed(uint32_t partition, const reco_archive_batch *batch) {
    uint64_t missed = (uint64_t)(batch->to - batch->from) - batch->count;
    if (missed > 0)
        reco__log(RECO_LOG_ERROR, "engine", "the archive lacks %llu records of partition %u from %lld on: the stream had dropped them",
                  (unsigned long long)missed, partition, (long long)batch->from);
}

static void count_batch(reco_archiver *archiver, const reco_archive_batch *batch, uint64_t unreadable) {
    reco__counters *counters = &archiver->engine->counters;
    uint64_t missed = (uint64_t)(batch->to - batch->from) - batch->count;
    archiver->next[batch->partition] = batch->to;
    atomic_store(&archiver->engine->archived[batch->partition], batch->to);
    archiver->total.records += batch->count;
    archiver->total.batches++;
    archiver->total.missed += missed;
    archiver->total.unreadable += unreadable;
    archiver->total.lag -= (int64_t)batch->count;
    atomic_fetch_add(&counters->archive_records, batch->count);
    atomic_fetch_add(&counters->archive_batches, 1);
    atomic_fetch_add(&counters->archive_missed, missed);
    atomic_fetch_add(&counters->archive_unreadable, unreadable);
}

static reco_status archive_some(reco_archiver *archiver, uint32_t partition, const reco_stream_span *span, const reco_call *call, reco_error *err) {
    reco_archive_batch batch = {.struct_size = sizeof batch,
                                .row_size = sizeof *archiver->rows,
                                .partitions = archiver->engine->partitions,
                                .partition = partition,
                                .from = archiver->next[partition],
                                .rows = archiver->rows};
    int64_t first = batch.from < span->begin ? span->begin : batch.from;
    reco_status status = read_batch(archiver, partition, first, call, err);
    if (status == RECO_NOT_FOUND) /* trimmed meanwhile: the next look tells */
        return RECO_OK;
    if (status != RECO_OK || archiver->count == 0)
        return status;
    uint64_t unreadable = decode(archiver);
    memcpy(batch.stream_id, reco__stream_id(archiver->stream), sizeof batch.stream_id);
    batch.count = archiver->count;
    batch.from = batch.from < 0 ? archiver->rows[0].offset : batch.from;
    batch.to = archiver->rows[archiver->count - 1].offset + 1;
    status = reco__records_archive_put(archiver->archive, &batch, call, err);
    if (status == RECO_OK) {
        count_batch(archiver, &batch, unreadable);
        tell_missed(partition, &batch);
    }
    return status;
}

static reco_status step(reco_archiver *archiver, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    uint32_t partition = UINT32_MAX;
    int64_t now = reco__monotonic_ns();
    if (archiver->total.idle && now - archiver->placed_ns > LOOK_NS)
        archiver->placed = false;
    reco_status status = reach(archiver, call, err);
    if (status == RECO_OK)
        status = place(archiver, call, err);
    if (status == RECO_OK)
        status = reco__stream_spans(spans, archiver->stream, call, err);
    if (status == RECO_OK)
        status = choose(&partition, archiver, spans, err);
    if (status != RECO_OK)
        return status;
    archiver->total.idle = partition == UINT32_MAX;
    archiver->begun_ns = now;
    if (partition == UINT32_MAX)
        return RECO_OK;
    archiver->turn = (partition + 1) % archiver->engine->partitions;
    return archive_some(archiver, partition, &spans[partition], call, err);
}

reco_status reco_archiver_step(reco_archived *out, reco_archiver *archiver, const reco_call *call, reco_error *err) {
    if (!archiver)
        return reco__fail(err, RECO_INVALID, "archiver", "no archiver is given");
    if (out && out->struct_size < sizeof *out)
        return reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK)
        status = step(archiver, call, err);
    if (status == RECO_STALE) {
        atomic_fetch_add(&archiver->engine->counters.archive_stale, 1);
        archiver->total.stale++;
        archiver->total.idle = 1;
        archiver->placed = false;
        status = RECO_OK;
    } else if (status != RECO_OK) {
        archiver->placed = false;
        if (err && strcmp(err->field, "records") == 0) /* these records are the archive's */
            snprintf(err->field, sizeof err->field, "archive");
        if (status != RECO_CANCELLED)
            atomic_fetch_add(&archiver->engine->counters.archive_failures, 1);
    }
    if (status == RECO_OK && out) {
        uint32_t struct_size = out->struct_size;
        *out = archiver->total;
        out->struct_size = struct_size;
    }
    return status;
}

reco_status reco_archiver_wait(reco_archiver *archiver, int64_t timeout_ms, const reco_call *call, reco_error *err) {
    if (!archiver)
        return reco__fail(err, RECO_INVALID, "archiver", "no archiver is given");
    if (timeout_ms < 0)
        return reco__fail(err, RECO_INVALID, "timeout_ms", "negative");
    int64_t timeout_ns = timeout_ms > 86400000 ? INT64_C(86400000) * 1000000 : timeout_ms * 1000000, until = reco__monotonic_ns() + timeout_ns;
    reco_status status = reco__stream_wait_for(archiver->stream, archiver->ends, timeout_ns, call, err);
    until = until < archiver->begun_ns + PACE_NS ? until : archiver->begun_ns + PACE_NS;
    while (status == RECO_OK && reco__monotonic_ns() < until) {
        int64_t left = until - reco__monotonic_ns();
        struct timespec pause = {0, (long)(left < SLICE_NS ? left > 0 ? left : 0 : SLICE_NS)};
        nanosleep(&pause, NULL);
        status = reco__call_check(call, err);
    }
    return status;
}
