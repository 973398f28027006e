/* records/postgres/talk.c - one exchange with the server: what is sent, how long it is waited for, what its answer means.
 *
 * Connections are in pipeline mode and never block. An exchange is up to three commands and a sync, sent in one go and run by the server as one
 * transaction: the time that is left of the call's deadline as statement_timeout of this transaction, the statement's preparation when this
 * connection has not run it before, the statement. It has succeeded when the answer to the sync came without an error before it: by then the
 * transaction is committed. Rows are handed on one by one as they arrive, so that a scan of large documents takes no more memory than one of them.
 *
 * The server keeps the deadline; the client waits a little longer for its word, which is definite, before it gives up the connection. */
#include "records/postgres/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS 1000000000ll
#define GRACE_NS SECOND_NS
enum { SLICE_MS = 50, TEXT_SIZE = 240 };

/* --- statements --------------------------------------------------------------------------------------------------------------------------- */

#define FIND(table, id) "SELECT sequence, document FROM reco." table " WHERE space = $1 AND " id " = $2"
#define SCAN(table, id) "SELECT sequence, document, " id " FROM reco." table " WHERE space = $1 AND " id " > $2 ORDER BY " id " LIMIT $3"
#define NOW(kind, table, id) " WHEN " kind " THEN (SELECT t.document FROM reco." table " t WHERE t.space = c.space AND t." id " = c.id)"

static const char *const statements[RECO__POSTGRES_STATEMENTS] = {
    FIND("items", "item_id"),
    FIND("users", "user_id"),
    FIND("models", "model_id"),
    FIND("experiments", "experiment_id"),
    FIND("keys", "key_id"),
    SCAN("items", "item_id"),
    SCAN("users", "user_id"),
    SCAN("models", "model_id"),
    SCAN("experiments", "experiment_id"),
    SCAN("keys", "key_id"),
    [RECO__POSTGRES_NEWEST] = "SELECT newest FROM reco.spaces WHERE space = $1",
    [RECO__POSTGRES_CHANGES] =
        ("SELECT c.sequence, CASE c.kind" NOW("1", "items", "item_id") NOW("2", "users", "user_id") NOW("3", "models", "model_id")
             NOW("4", "experiments",
                 "experiment_id") " END, c.id, c.kind"
                                  " FROM reco.changes c WHERE c.space = $1 AND c.sequence > $2 AND c.sequence <= $3 ORDER BY c.sequence LIMIT $4"),
    [RECO__POSTGRES_CHANGE] = "SELECT reco.change($1, $2, $3, $4, $5, $6, $7)",
    [RECO__POSTGRES_STATS] = ("SELECT s.newest, s.documents, s.bytes, d.bytes"
                              " FROM (SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class"
                              " WHERE relnamespace = 'reco'::regnamespace AND relkind = 'r') d LEFT JOIN reco.spaces s ON s.space = $1"),
    [RECO__POSTGRES_ARCHIVED] = ("SELECT p.partition, p.next_position FROM reco.archive_positions p JOIN reco.streams s USING (stream)"
                                 " WHERE s.space = $1 AND s.stream_id = $2"),
    [RECO__POSTGRES_ARCHIVE] = ("SELECT reco.archive($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
                                " $21)"),
    [RECO__POSTGRES_MONTHS] = "SELECT reco.events_months($1, $1)",
};

static void add(reco__postgres_params *params, const char *value, int size, int format) {
    params->values[params->count] = value;
    params->sizes[params->count] = size;
    params->formats[params->count++] = format;
}

void reco__postgres_add_number(reco__postgres_params *params, uint64_t value) {
    char *room = params->room[params->count];
    snprintf(room, sizeof params->room[0], "%" PRIu64, value);
    add(params, room, 0, 0);
}

void reco__postgres_add_text(reco__postgres_params *params, const char *terminated) { add(params, terminated, 0, 0); }

void reco__postgres_add_binary(reco__postgres_params *params, const reco__buf *value) { add(params, value->data, (int)value->size, 1); }

bool reco__postgres_number(uint64_t *out, const PGresult *result, int row, int column) {
    *out = 0;
    if (column >= PQnfields(result) || PQgetisnull(result, row, column))
        return false;
    *out = strtoull(PQgetvalue(result, row, column), NULL, 10);
    return true;
}

/* --- failures ----------------------------------------------------------------------------------------------------------------------------- */

/* Replaces what must not be seen. Short ones too: a garbled message is better than a told password. */
static void hide(char *text, const char *secret) {
    size_t size = secret ? strlen(secret) : 0;
    if (size == 0)
        return;
    for (char *at = text; (at = strstr(at, secret)) != NULL;) {
        memset(at, '*', size);
        at += size;
    }
}

static void tidy(char out[TEXT_SIZE], const char *message, PGconn *link) {
    char room[1024];
    snprintf(room, sizeof room, "%s", message && *message ? message : "the connection was lost");
    hide(room, PQpass(link));
    size_t size = strcspn(room, "\n") < TEXT_SIZE - 1 ? strcspn(room, "\n") : TEXT_SIZE - 1;
    memcpy(out, room, size);
    out[size] = '\0';
}

static reco_status status_of(const char *state) {
    static const struct {
        const char *state;
        reco_status status;
    } rows[] = {{"RC001", RECO_FULL},     {"RC002", RECO_STALE},     {"RC003", RECO_CONFLICT},    {"53100", RECO_FULL},    {"53", RECO_UNAVAILABLE},
                {"08", RECO_UNAVAILABLE}, {"57P", RECO_UNAVAILABLE}, {"25006", RECO_UNAVAILABLE}, {"57014", RECO_TIMEOUT}, {"40", RECO_BUSY},
                {"55P03", RECO_BUSY},     {"XX0", RECO_CORRUPT},     {"42501", RECO_REFUSED},     {"28", RECO_REFUSED},    {"3D000", RECO_REFUSED},
                {"3F000", RECO_REFUSED},  {"42P01", RECO_REFUSED},   {"42883", RECO_REFUSED},     {"42703", RECO_REFUSED}};
    for (size_t i = 0; state && i < sizeof rows / sizeof *rows; i++)
        if (strncmp(state, rows[i].state, strlen(rows[i].state)) == 0)
            return strcmp(state, "XX000") == 0 ? RECO_IO : rows[i].status;
    return RECO_IO;
}

reco_status reco__postgres_fail(reco_error *err, const PGresult *result, PGconn *link, const char *what) {
    char text[TEXT_SIZE];
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (!state) { /* not the server's word: the connection's */
        tidy(text, result ? PQresultErrorMessage(result) : PQerrorMessage(link), link);
        return reco__fail(err, RECO_UNAVAILABLE, "records", "PostgreSQL: %s: %s", what, text);
    }
    tidy(text, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), link);
    return reco__fail(err, status_of(state), "records", "PostgreSQL: %s: %s (%s)", what, text, state);
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------------------ */

/* Milliseconds to poll for, -1: without end. */
static int slice_ms(int64_t grace_ns, const reco_call *call) {
    int64_t left = reco__call_left_ns(call);
    int ms = -1;
    if (left != INT64_MAX) {
        int64_t until = call->deadline_ns + grace_ns - reco__monotonic_ns();
        ms = until <= 0 ? 0 : until > 3600 * SECOND_NS ? 3600000 : (int)(until / 1000000) + 1;
    }
    if (call && call->cancel && (ms < 0 || ms > SLICE_MS))
        ms = SLICE_MS;
    return ms;
}

reco_status reco__postgres_wait(PGconn *link, short events, int64_t grace_ns, const reco_call *call, reco_error *err) {
    for (;;) {
        struct pollfd ready = {.fd = PQsocket(link), .events = events};
        int ms = slice_ms(grace_ns, call);
        if (ready.fd < 0)
            return reco__postgres_fail(err, NULL, link, "waiting");
        int count = poll(&ready, 1, ms);
        if (count > 0)
            return RECO_OK;
        if (count < 0 && errno != EINTR)
            return reco__fail_errno(err, errno, "waiting for PostgreSQL");
        if (reco__call_is_cancelled(call))
            return reco__fail(err, RECO_CANCELLED, NULL, "cancelled while waiting for PostgreSQL");
        if (count == 0 && ms == 0)
            return reco__fail(err, RECO_TIMEOUT, NULL, "the deadline passed without an answer of PostgreSQL");
    }
}

/* Until a result can be taken without waiting; sends what is still to be sent. */
static reco_status wait_for_result(PGconn *link, const reco_call *call, reco_error *err) {
    for (;;) {
        int flush = PQflush(link);
        if (flush < 0 && PQstatus(link) == CONNECTION_BAD)
            return RECO_OK; /* PQgetResult tells why */
        if (!PQisBusy(link))
            return RECO_OK;
        reco_status status = reco__postgres_wait(link, flush > 0 ? POLLIN | POLLOUT : POLLIN, GRACE_NS, call, err);
        if (status != RECO_OK)
            return status;
        if (!PQconsumeInput(link))
            return PQisBusy(link) ? reco__postgres_fail(err, NULL, link, "reading") : RECO_OK;
    }
}

/* --- scripts ------------------------------------------------------------------------------------------------------------------------------ */

reco_status reco__postgres_script(PGconn *link, const char *sql, reco__postgres_row row, void *context, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    if (!PQsendQuery(link, sql))
        return reco__postgres_fail(err, NULL, link, "sending");
    for (;;) {
        reco_status waited = wait_for_result(link, call, err);
        if (waited != RECO_OK)
            return waited;
        PGresult *result = PQgetResult(link);
        if (!result)
            return status;
        ExecStatusType type = PQresultStatus(result);
        if (type == PGRES_TUPLES_OK)
            for (int i = 0; row && i < PQntuples(result); i++)
                row(context, result, i);
        else if (type != PGRES_COMMAND_OK && status == RECO_OK)
            status = reco__postgres_fail(err, result, link, "schema");
        PQclear(result);
    }
}

/* --- exchanges ---------------------------------------------------------------------------------------------------------------------------- */

/* What an exchange is made of and how far it has come. */
typedef struct exchange {
    reco__postgres_connection *connection;
    reco__postgres_statement statement;
    const reco__postgres_params *params;
    reco__postgres_row row;
    void *context;
    const reco_call *call;
    int prepare_at, run_at; /* which command of the exchange; prepare_at -1: none */
    int at;
    uint64_t rows;
    bool stopped, done;
    reco_status status;
} exchange;

static bool send_all(exchange *x) {
    PGconn *link = x->connection->link;
    const char *sql = statements[x->statement];
    const reco__postgres_params *p = x->params;
    char name[16], ms[24];
    const char *values[] = {ms};
    int64_t left = reco__call_left_ns(x->call);
    bool sent = true;
    snprintf(name, sizeof name, "reco%d", (int)x->statement);
    if (left != INT64_MAX) {
        int64_t whole = left / 1000000 + 1;
        snprintf(ms, sizeof ms, "%" PRId64, whole < INT32_MAX ? whole : INT32_MAX);
        sent = PQsendQueryParams(link, "SELECT set_config('statement_timeout', $1, true)", 1, NULL, values, NULL, NULL, 0);
        x->run_at++;
    }
    if (!(x->connection->prepared & 1u << x->statement)) {
        sent = sent && PQsendPrepare(link, name, sql, 0, NULL);
        x->prepare_at = x->run_at++;
    }
    return sent && PQsendQueryPrepared(link, name, p->count, p->values, p->sizes, p->formats, 0) && PQpipelineSync(link);
}

static void take_rows(exchange *x, const PGresult *result) {
    if (x->at != x->run_at)
        return;
    for (int i = 0; i < PQntuples(result); i++) {
        x->rows++;
        if (x->row && !x->stopped && x->row(x->context, result, i) != 0)
            x->stopped = true;
    }
}

static void take_result(exchange *x, const PGresult *result, reco_error *err) {
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        x->done = true;
        break;
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
        take_rows(x, result);
        break;
    case PGRES_COMMAND_OK:
        if (x->at == x->prepare_at)
            x->connection->prepared |= 1u << x->statement;
        break;
    case PGRES_PIPELINE_ABORTED: /* follows the error that is kept */
        break;
    default:
        if (x->status == RECO_OK)
            x->status = reco__postgres_fail(err, result, x->connection->link, "statement");
        break;
    }
}

static reco_status converse(exchange *x, reco_error *err) {
    PGconn *link = x->connection->link;
    if (!send_all(x))
        return reco__postgres_fail(err, NULL, link, "sending");
    if (x->run_at == 0)
        PQsetSingleRowMode(link);
    while (!x->done) {
        reco_status status = wait_for_result(link, x->call, err);
        if (status != RECO_OK)
            return status;
        PGresult *result = PQgetResult(link);
        if (result) {
            take_result(x, result, err);
            PQclear(result);
        } else if (PQstatus(link) == CONNECTION_BAD) {
            return x->status != RECO_OK ? x->status : reco__postgres_fail(err, NULL, link, "the connection");
        } else if (++x->at == x->run_at) {
            PQsetSingleRowMode(link);
        }
    }
    return x->status;
}

/* A broken connection says so by its state, its missing sync, or the server's word that it is on its way out. */
static bool is_broken(const exchange *x) {
    return !x->done || PQstatus(x->connection->link) == CONNECTION_BAD || x->status == RECO_UNAVAILABLE || x->status == RECO_REFUSED;
}

reco_status reco__postgres_run(reco_records_store *store, reco__postgres_statement statement, const reco__postgres_params *params,
                               reco__postgres_row row, void *context, const reco_call *call, reco_error *err) {
    bool changes = statement == RECO__POSTGRES_CHANGE || statement == RECO__POSTGRES_ARCHIVE || statement == RECO__POSTGRES_MONTHS;
    reco_call patient = {.struct_size = sizeof patient};
    if (call && changes) /* what is sent is done, or undone by the deadline; a cancel would leave it unknown */
        patient.deadline_ns = call->deadline_ns;
    for (int attempt = 0;; attempt++) {
        exchange x = {.statement = statement, .params = params, .row = row, .context = context, .call = changes ? &patient : call, .prepare_at = -1};
        reco_status status = reco__postgres_acquire(&x.connection, store, changes, call, err);
        if (status != RECO_OK)
            return status;
        status = converse(&x, err);
        x.connection->broken = is_broken(&x);
        reco__postgres_release(store, x.connection, changes);
        if (status != RECO_UNAVAILABLE || changes || x.rows > 0 || attempt > 0)
            return status;
    }
}
