/* records/postgres/archive.c - the archive: a batch is one call of reco.archive() (infra/postgres/migrations), columns as arrays.
 *
 * Partitions of the table are by month of receipt. Those a batch needs, and the one after the newest of them, are made before the batch, each in
 * a transaction of its own that gives up soon: a report that holds a lock must not keep the archive from its work, and what has no partition yet goes
 * to the net and moves later. Which months there are is remembered by the store. Times beyond the year 9999 and before 1970 stand at these in their
 * columns; the raw record keeps what was said. */
#include "records/postgres/internal.h"

#include <stdio.h>
#include <time.h>

#define LAST_MS INT64_C(253402300799999)         /* 9999-12-31T23:59:59.999Z */
#define SERVER_EPOCH_US INT64_C(946684800000000) /* 2000-01-01, from which the server counts */
#define MONTHS_PAUSE_NS 30000000000ll
enum { ID_TEXT = 33 };

static void id_text(char out[ID_TEXT], const uint8_t id[16]) {
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", id[i]);
}

/* --- where it stands ----------------------------------------------------------------------------------------------------------------------- */

typedef struct places {
    int64_t *next;
    uint32_t partitions;
} places;

static int take_place(void *context, const PGresult *result, int row) {
    places *to = context;
    uint64_t partition, next;
    if (reco__postgres_number(&partition, result, row, 0) && reco__postgres_number(&next, result, row, 1) && partition < to->partitions)
        to->next[partition] = (int64_t)next;
    return 0;
}

reco_status reco__postgres_archive_positions(int64_t *next, reco_records_store *store, const uint8_t stream_id[16], uint32_t partitions,
                                             const reco_call *call, reco_error *err) {
    char id[ID_TEXT];
    reco__postgres_params params = {.count = 0};
    places to = {next, partitions};
    id_text(id, stream_id);
    for (uint32_t p = 0; p < partitions; p++)
        next[p] = -1;
    reco__postgres_add_text(&params, store->space);
    reco__postgres_add_text(&params, id);
    return reco__postgres_run(store, RECO__POSTGRES_ARCHIVED, &params, take_place, &to, call, err);
}

/* --- months -------------------------------------------------------------------------------------------------------------------------------- */

static int64_t within(int64_t ms) { return ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms; }

/* Number of a month, 0 for January 1970. */
static int month_of(int64_t ms) {
    time_t seconds = (time_t)(within(ms) / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    return (parts.tm_year - 70) * 12 + parts.tm_mon;
}

static bool month_wanted(reco_records_store *store, int month) {
    pthread_mutex_lock(&store->mutex);
    bool wanted =
        month < RECO__POSTGRES_MONTHS_KNOWN && !(store->months[month / 64] >> month % 64 & 1) && reco__monotonic_ns() >= store->months_retry_ns;
    pthread_mutex_unlock(&store->mutex);
    return wanted;
}

static void note_month(reco_records_store *store, int month, bool made) {
    pthread_mutex_lock(&store->mutex);
    if (made)
        store->months[month / 64] |= UINT64_C(1) << month % 64;
    else
        store->months_retry_ns = reco__monotonic_ns() + MONTHS_PAUSE_NS;
    pthread_mutex_unlock(&store->mutex);
}

static reco_status make_month(reco_records_store *store, int month, const reco_call *call, reco_error *err) {
    char day[32];
    reco__postgres_params params = {.count = 0};
    reco_error error = RECO_ERROR_INIT;
    if (!month_wanted(store, month))
        return RECO_OK;
    snprintf(day, sizeof day, "%04d-%02d-01", 1970 + month / 12, month % 12 + 1);
    reco__postgres_add_text(&params, day);
    reco_status status = reco__postgres_run(store, RECO__POSTGRES_MONTHS, &params, NULL, NULL, call, &error);
    note_month(store, month, status == RECO_OK);
    if (status != RECO_OK && status != RECO_BUSY && status != RECO_TIMEOUT) {
        if (err)
            *err = error;
        return status;
    }
    if (status != RECO_OK)
        reco__log(RECO_LOG_WARN, "records", "the archive's partition of %.7s could not be made yet: %s", day, error.text);
    return reco__call_check(call, err);
}

static reco_status make_months(reco_records_store *store, const reco_archive_batch *batch, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    int last = -1, newest = -1;
    for (size_t i = 0; i < batch->count && status == RECO_OK; i++) {
        int month = month_of(batch->rows[i].received_at);
        if (month != last)
            status = make_month(store, month, call, err);
        last = month;
        newest = month > newest ? month : newest;
    }
    return status == RECO_OK && newest >= 0 ? make_month(store, newest + 1, call, err) : status;
}

/* --- rows ---------------------------------------------------------------------------------------------------------------------------------- */

enum {
    POSITION,
    RECEIVED,
    TYPE,
    HAPPENED,
    EVENT_TYPE,
    USER,
    ITEM,
    SESSION,
    EVENT_ID,
    RECOMMENDATION,
    VALUE,
    SHOWN,
    SEGMENTS,
    PROPERTIES,
    RAW,
    COLUMNS
};

static const struct {
    uint32_t type;
    bool nulls;
} columns[COLUMNS] = {
    [POSITION] = {RECO__POSTGRES_INT8, false},  [RECEIVED] = {RECO__POSTGRES_TIMESTAMPTZ, false},
    [TYPE] = {RECO__POSTGRES_TEXT, false},      [HAPPENED] = {RECO__POSTGRES_TIMESTAMPTZ, true},
    [EVENT_TYPE] = {RECO__POSTGRES_TEXT, true}, [USER] = {RECO__POSTGRES_TEXT, true},
    [ITEM] = {RECO__POSTGRES_TEXT, true},       [SESSION] = {RECO__POSTGRES_TEXT, true},
    [EVENT_ID] = {RECO__POSTGRES_TEXT, true},   [RECOMMENDATION] = {RECO__POSTGRES_TEXT, true},
    [VALUE] = {RECO__POSTGRES_FLOAT8, true},    [SHOWN] = {RECO__POSTGRES_INT4, true},
    [SEGMENTS] = {RECO__POSTGRES_TEXT, true},   [PROPERTIES] = {RECO__POSTGRES_TEXT, true},
    [RAW] = {RECO__POSTGRES_BYTEA, false},
};

static void put_time(reco__buf *array, int64_t ms) { reco__postgres_put_int8(array, within(ms) * 1000 - SERVER_EPOCH_US); }

static void put_row(reco__buf *to, const reco_archive_row *row) {
    static const char *const types[] = {"unreadable", "event", "tick", "erase"};
    const struct {
        int column;
        reco_str text;
    } texts[] = {{EVENT_TYPE, row->event_type}, {USER, row->user_id},         {ITEM, row->item_id},
                 {SESSION, row->session_id},    {EVENT_ID, row->event_id},    {RECOMMENDATION, row->recommendation_id},
                 {SEGMENTS, row->segments},     {PROPERTIES, row->properties}};
    reco__postgres_put_int8(&to[POSITION], row->offset);
    put_time(&to[RECEIVED], row->received_at);
    reco__postgres_put_text(&to[TYPE], reco__str_of(types[row->type]));
    if (row->happened_at > 0)
        put_time(&to[HAPPENED], row->happened_at);
    else
        reco__postgres_put_null(&to[HAPPENED]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        reco__postgres_put_text(&to[texts[i].column], texts[i].text);
    if (row->flags & RECO_ARCHIVE_HAS_VALUE)
        reco__postgres_put_float8(&to[VALUE], row->value);
    else
        reco__postgres_put_null(&to[VALUE]);
    if (row->flags & RECO_ARCHIVE_HAS_SHOWN_AT)
        reco__postgres_put_int4(&to[SHOWN], row->shown_at);
    else
        reco__postgres_put_null(&to[SHOWN]);
    reco__postgres_put_text(&to[RAW], row->raw);
}

static reco_status fill(reco__buf *to, const reco_archive_batch *batch, reco_error *err) {
    reco_status status = RECO_OK;
    for (int c = 0; c < COLUMNS; c++)
        reco__postgres_array(&to[c], columns[c].type, batch->count, columns[c].nulls);
    for (size_t i = 0; i < batch->count; i++)
        put_row(to, &batch->rows[i]);
    for (int c = 0; c < COLUMNS && status == RECO_OK; c++)
        status = reco__postgres_array_status(&to[c], "rows", err);
    return status;
}

/* --- the call ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status send_batch(reco_records_store *store, const reco_archive_batch *batch, const reco__buf *arrays, const reco_call *call,
                              reco_error *err) {
    char id[ID_TEXT];
    reco__postgres_params params = {.count = 0};
    id_text(id, batch->stream_id);
    reco__postgres_add_text(&params, store->space);
    reco__postgres_add_text(&params, id);
    reco__postgres_add_number(&params, batch->partitions);
    reco__postgres_add_number(&params, batch->partition);
    reco__postgres_add_number(&params, (uint64_t)batch->from);
    reco__postgres_add_number(&params, (uint64_t)batch->to);
    for (int c = 0; c < COLUMNS; c++)
        reco__postgres_add_binary(&params, &arrays[c]);
    return reco__postgres_run(store, RECO__POSTGRES_ARCHIVE, &params, NULL, NULL, call, err);
}

reco_status reco__postgres_archive_put(reco_records_store *store, const reco_archive_batch *batch, const reco_call *call, reco_error *err) {
    reco__buf arrays[COLUMNS] = {{0}};
    reco_status status = fill(arrays, batch, err);
    if (status == RECO_OK)
        status = make_months(store, batch, call, err);
    if (status == RECO_OK)
        status = send_batch(store, batch, arrays, call, err);
    for (int c = 0; c < COLUMNS; c++)
        reco__buf_dispose(&arrays[c]);
    return status;
}
