/* records/postgres/read.c - finding, scanning, following the log, accounting.
 *
 * Scans and the log are read in steps of STEP records, each a statement of its own: no snapshot of the server is held for long, which would keep its
 * vacuum from its work. A scan is thus not one moment: records that change meanwhile show up in the log. */
#include "records/postgres/internal.h"

enum { STEP = 1000, ID_MAX = 256 };

/* Rows of all statements begin with sequence and document. */
static reco_str document_of(const PGresult *result, int row) {
    if (PQgetisnull(result, row, 1))
        return (reco_str){NULL, 0};
    return (reco_str){PQgetvalue(result, row, 1), (size_t)PQgetlength(result, row, 1)};
}

static reco_str id_of(const PGresult *result, int row) { return (reco_str){PQgetvalue(result, row, 2), (size_t)PQgetlength(result, row, 2)}; }

static void add_id(reco__postgres_params *params, char room[ID_MAX + 1], reco_str id) {
    size_t size = id.size < ID_MAX ? id.size : ID_MAX;
    if (size > 0)
        memcpy(room, id.data, size);
    room[size] = '\0';
    reco__postgres_add_text(params, room);
}

/* What is read: to whom it goes, and where it stands. */
typedef struct reading {
    reco_records_sink sink;
    void *context;
    uint32_t kind, left;
    uint32_t rows; /* of this step */
    bool done;     /* the sink has enough */
    bool torn;     /* the log lacks a number */
    reco_str id;   /* find: as it was asked for */
    char after[ID_MAX + 1];
    uint64_t since;
} reading;

static int hand_out(reading *in, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    in->left--;
    in->done = in->sink(in->context, sequence, kind, id, document) != 0;
    return in->done;
}

/* --- find --------------------------------------------------------------------------------------------------------------------------------- */

static int take_found(void *context, const PGresult *result, int row) {
    reading *in = context;
    uint64_t sequence;
    in->rows++;
    reco__postgres_number(&sequence, result, row, 0);
    return hand_out(in, sequence, in->kind, in->id, document_of(result, row));
}

reco_status reco__postgres_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                                reco_error *err) {
    char room[ID_MAX + 1];
    reco__postgres_params params = {.count = 0};
    reading in = {.sink = sink, .context = context, .kind = kind, .id = id, .left = 1};
    reco__postgres_add_text(&params, store->space);
    add_id(&params, room, id);
    reco_status status = reco__postgres_run(store, (reco__postgres_statement)(RECO__POSTGRES_FIND + kind - 1), &params, take_found, &in, call, err);
    if (status == RECO_OK && in.rows == 0)
        status = reco__fail(err, RECO_NOT_FOUND, "id", "there is no such record");
    return status;
}

/* --- scan --------------------------------------------------------------------------------------------------------------------------------- */

static int take_scanned(void *context, const PGresult *result, int row) {
    reading *in = context;
    reco_str id = id_of(result, row);
    uint64_t sequence;
    in->rows++;
    reco__postgres_number(&sequence, result, row, 0);
    if (id.size > ID_MAX)
        return 0; /* put there by hand: no id of ours */
    memcpy(in->after, id.data, id.size);
    in->after[id.size] = '\0';
    return hand_out(in, sequence, in->kind, id, document_of(result, row));
}

reco_status reco__postgres_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                                const reco_call *call, reco_error *err) {
    reading in = {.sink = sink, .context = context, .kind = kind, .left = limit};
    reco_status status = RECO_OK;
    if (after.size > ID_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "after", "%zu bytes, at most %d are allowed", after.size, ID_MAX);
    if (after.size > 0)
        memcpy(in.after, after.data, after.size);
    while (status == RECO_OK && !in.done && in.left > 0) {
        reco__postgres_params params = {.count = 0};
        uint32_t wanted = in.left < STEP ? in.left : STEP;
        char from[ID_MAX + 1];
        memcpy(from, in.after, sizeof from); /* `after` moves while the statement runs */
        in.rows = 0;
        reco__postgres_add_text(&params, store->space);
        reco__postgres_add_text(&params, from);
        reco__postgres_add_number(&params, wanted);
        status = reco__postgres_run(store, (reco__postgres_statement)(RECO__POSTGRES_SCAN + kind - 1), &params, take_scanned, &in, call, err);
        if (in.rows < wanted)
            break;
    }
    return status;
}

/* --- the log ------------------------------------------------------------------------------------------------------------------------------ */

static int take_number(void *context, const PGresult *result, int row) {
    uint64_t *to = context;
    reco__postgres_number(to, result, row, 0);
    return 0;
}

reco_status reco__postgres_newest(uint64_t *newest, reco_records_store *store, const reco_call *call, reco_error *err) {
    reco__postgres_params params = {.count = 0};
    uint64_t number = 0;
    reco__postgres_add_text(&params, store->space);
    reco_status status = reco__postgres_run(store, RECO__POSTGRES_NEWEST, &params, take_number, &number, call, err);
    if (status == RECO_OK)
        *newest = number;
    return status;
}

static int take_change(void *context, const PGresult *result, int row) {
    reading *in = context;
    uint64_t sequence, kind;
    reco__postgres_number(&sequence, result, row, 0);
    reco__postgres_number(&kind, result, row, 3);
    in->rows++;
    if (sequence != in->since + 1) {
        in->torn = true;
        return 1;
    }
    in->since = sequence;
    if (kind == RECO_RECORD_KEY)
        return 0;
    return hand_out(in, sequence, (uint32_t)kind, id_of(result, row), document_of(result, row));
}

static reco_status out_of_log(uint64_t since, reco_error *err) {
    return reco__fail(err, RECO_NOT_FOUND, NULL, "the change log no longer holds what follows number %llu", (unsigned long long)since);
}

/* The newest number is read first: all up to it are there then, since they are given under a lock. A step that finds a number missing has been
 * overtaken by the trimming of the log. */
reco_status reco__postgres_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                   const reco_call *call, reco_error *err) {
    reading in = {.sink = sink, .context = context, .left = limit, .since = since};
    uint64_t last = 0;
    reco_status status = reco__postgres_newest(&last, store, call, err);
    if (status == RECO_OK && (since > last || last - since > RECO_RECORDS_LOG_MAX))
        status = out_of_log(since, err);
    while (status == RECO_OK && !in.done && in.left > 0 && in.since < last) {
        reco__postgres_params params = {.count = 0};
        in.rows = 0;
        reco__postgres_add_text(&params, store->space);
        reco__postgres_add_number(&params, in.since);
        reco__postgres_add_number(&params, last);
        reco__postgres_add_number(&params, in.left < STEP ? in.left : STEP);
        status = reco__postgres_run(store, RECO__POSTGRES_CHANGES, &params, take_change, &in, call, err);
        if (status == RECO_OK && (in.torn || in.rows == 0))
            status = out_of_log(in.since, err);
    }
    *newest = last; /* also for those who are told to reload */
    return status;
}

/* --- accounting --------------------------------------------------------------------------------------------------------------------------- */

typedef struct account {
    uint64_t sequence, documents, documents_bytes, file_bytes;
} account;

static int take_account(void *context, const PGresult *result, int row) {
    account *to = context;
    reco__postgres_number(&to->sequence, result, row, 0);
    reco__postgres_number(&to->documents, result, row, 1);
    reco__postgres_number(&to->documents_bytes, result, row, 2);
    reco__postgres_number(&to->file_bytes, result, row, 3);
    return 0;
}

reco_status reco__postgres_stats(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                 const reco_call *call, reco_error *err) {
    account found = {0};
    reco__postgres_params params = {.count = 0};
    reco__postgres_add_text(&params, store->space);
    reco_status status = reco__postgres_run(store, RECO__POSTGRES_STATS, &params, take_account, &found, call, err);
    if (status != RECO_OK)
        return status;
    pthread_mutex_lock(&store->mutex);
    int open = store->open;
    pthread_mutex_unlock(&store->mutex);
    sink(context, "sequence", found.sequence);
    sink(context, "documents", found.documents);
    sink(context, "documents_bytes", found.documents_bytes);
    sink(context, "changes", found.sequence < RECO_RECORDS_LOG_MAX ? found.sequence : RECO_RECORDS_LOG_MAX);
    sink(context, "file_bytes", found.file_bytes);
    sink(context, "connections", (uint64_t)open);
    return RECO_OK;
}
