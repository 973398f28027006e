/* records/postgres/pool.c - connections: made when one is wanted and none is idle, kept, thrown away when they broke.
 *
 * An idle connection whose socket has something to say has been closed by the server (it speaks unasked only then); it is replaced before a statement
 * is trusted to it, so that a restart of the server costs no change. After an attempt to connect that failed, further ones fail at once until
 * a pause is over that doubles up to two seconds: callers get their 503 without a wait, and the server is not stormed when it comes back. */
#include "records/postgres/internal.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_MIN_NS 50000000ll
#define BACKOFF_MAX_NS 2000000000ll
#define CONNECT_NS 5000000000ll
#define SLICE_NS 50000000ll
enum { SERVER_MIN = 150000, UNASKED_MAX = 16 };

/* What a session is to be like whatever the role's and database's own settings are. A change is answered when it is on disk. */
static const char session[] = "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;"
                              " SET default_transaction_deferrable = off; SET statement_timeout = 0; SET lock_timeout = 0; SET jit = off;"
                              " SET TimeZone = 'UTC'; SELECT set_config('synchronous_commit', 'on', false)"
                              " WHERE current_setting('synchronous_commit') = 'off'";

/* --- connecting --------------------------------------------------------------------------------------------------------------------------- */

static void quiet(void *context, const char *message) { (void)context, (void)message; }

static PGconn *begin_connect(const char *url) {
    /* What the address says comes later and wins over the defaults before it. */
    static const char *const keywords[] = {"fallback_application_name",
                                           "keepalives_idle",
                                           "keepalives_interval",
                                           "keepalives_count",
                                           "tcp_user_timeout",
                                           "target_session_attrs",
                                           "dbname",
                                           "client_encoding",
                                           NULL};
    const char *values[] = {"libreco", "30", "10", "3", "20000", "read-write", url, "UTF8", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

static reco_status finish_connect(PGconn *link, const reco_call *call, reco_error *err) {
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (PQstatus(link) != CONNECTION_BAD && step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
        reco_status status = reco__postgres_wait(link, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0, call, err);
        if (status != RECO_OK)
            return status;
        step = PQconnectPoll(link);
    }
    return PQstatus(link) == CONNECTION_OK ? RECO_OK : reco__postgres_fail(err, NULL, link, "connecting");
}

static reco_status check_server(PGconn *link, reco_error *err) {
    const char *encoding = PQparameterStatus(link, "server_encoding");
    if (PQserverVersion(link) < SERVER_MIN)
        return reco__fail(err, RECO_UNSUPPORTED, "records", "PostgreSQL %d or later is needed, the server has %d", SERVER_MIN / 10000,
                          PQserverVersion(link) / 10000);
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return reco__fail(err, RECO_REFUSED, "records", "the database must have the encoding UTF8, it has %s", encoding ? encoding : "another");
    return RECO_OK;
}

reco_status reco__postgres_connect(PGconn **out, const char *url, const reco_call *call, reco_error *err) {
    reco_call limited;
    bool hurried = reco__call_left_ns(call) < CONNECT_NS;
    reco__call_within(&limited, call, CONNECT_NS);
    PGconn *link = begin_connect(url);
    if (!link)
        return reco__no_memory(err);
    PQsetNoticeProcessor(link, quiet, NULL);
    reco_status status = finish_connect(link, &limited, err);
    if (status == RECO_OK)
        status = check_server(link, err);
    if (status == RECO_OK)
        status = reco__postgres_script(link, session, NULL, NULL, &limited, err);
    if (status == RECO_OK) {
        *out = link;
        return RECO_OK;
    }
    if (status == RECO_TIMEOUT && !hurried)
        status = reco__fail(err, RECO_UNAVAILABLE, "records", "PostgreSQL: no connection within %lld seconds", CONNECT_NS / 1000000000ll);
    PQfinish(link);
    return status;
}

static void discard(reco__postgres_connection *connection) {
    PQfinish(connection->link);
    reco__release(connection);
}

static reco_status open_connection(reco__postgres_connection **out, reco_records_store *store, const reco_call *call, reco_error *err) {
    reco__postgres_connection *connection = reco__zalloc(sizeof *connection);
    if (!connection)
        return reco__no_memory(err);
    reco_status status = reco__postgres_connect(&connection->link, store->url, call, err);
    if (status == RECO_OK && (PQsetnonblocking(connection->link, 1) != 0 || !PQenterPipelineMode(connection->link)))
        status = reco__postgres_fail(err, NULL, connection->link, "connecting");
    if (status == RECO_OK)
        *out = connection;
    else
        discard(connection);
    return status;
}

/* --- the pool ----------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__postgres_pool_init(reco_records_store *store, reco_error *err) {
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return reco__no_memory(err);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int failed = pthread_cond_init(&store->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (failed)
        return reco__no_memory(err);
    if (pthread_mutex_init(&store->mutex, NULL) != 0) {
        pthread_cond_destroy(&store->freed);
        return reco__no_memory(err);
    }
    store->process = getpid();
    return RECO_OK;
}

void reco__postgres_pool_dispose(reco_records_store *store) {
    while (store->idle) {
        reco__postgres_connection *connection = store->idle;
        store->idle = connection->next;
        if (store->process == getpid())
            discard(connection);
    }
    pthread_cond_destroy(&store->freed);
    pthread_mutex_destroy(&store->mutex);
}

/* The server may have sent its last words before the end: all there is to read is read. */
static bool is_alive(reco__postgres_connection *connection) {
    struct pollfd socket = {.fd = PQsocket(connection->link), .events = POLLIN};
    for (int i = 0; i < UNASKED_MAX && PQstatus(connection->link) == CONNECTION_OK; i++) {
        if (poll(&socket, 1, 0) <= 0)
            return true;
        if (!PQconsumeInput(connection->link))
            return false;
    }
    return false;
}

/* Under the mutex; ends without it: the place for a connection is taken already. */
static reco_status connect_and_tell(reco__postgres_connection **out, reco_records_store *store, const reco_call *call, reco_error *err) {
    reco_status status = open_connection(out, store, call, err);
    int64_t now = reco__monotonic_ns();
    pthread_mutex_lock(&store->mutex);
    bool was_lost = store->lost;
    if (status == RECO_OK) {
        store->backoff_ns = store->retry_at_ns = 0;
        store->lost = false;
    } else {
        store->open--;
        if (status == RECO_UNAVAILABLE) {
            int64_t pause = store->backoff_ns * 2;
            store->backoff_ns = pause < BACKOFF_MIN_NS ? BACKOFF_MIN_NS : pause > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : pause;
            store->retry_at_ns = now + store->backoff_ns;
            store->lost = true;
        }
        pthread_cond_broadcast(&store->freed);
    }
    bool is_lost = store->lost;
    pthread_mutex_unlock(&store->mutex);
    if (is_lost != was_lost)
        reco__log(is_lost ? RECO_LOG_WARN : RECO_LOG_INFO, "records", is_lost ? "PostgreSQL cannot be reached" : "PostgreSQL is reached again");
    return status;
}

/* Takes an idle connection, or a place for a new one (*out NULL). False when the caller has to wait. Under the mutex. */
static bool take(reco__postgres_connection **out, reco_records_store *store, bool changes) {
    *out = store->idle;
    if ((changes && store->changing == RECO__POSTGRES_CHANGING) || (!*out && store->open == RECO__POSTGRES_POOL))
        return false;
    if (*out)
        store->idle = (*out)->next;
    else
        store->open++;
    store->changing += changes;
    return true;
}

static void wait_for_place(reco_records_store *store, const reco_call *call) {
    struct timespec until;
    int64_t left = reco__call_left_ns(call), at = reco__monotonic_ns() + (left < SLICE_NS ? left : SLICE_NS);
    until.tv_sec = (time_t)(at / 1000000000ll);
    until.tv_nsec = (long)(at % 1000000000ll);
    pthread_cond_timedwait(&store->freed, &store->mutex, &until);
}

static void give_back_place(reco_records_store *store, bool changes) {
    pthread_mutex_lock(&store->mutex);
    store->changing -= changes;
    pthread_cond_broadcast(&store->freed);
    pthread_mutex_unlock(&store->mutex);
}

reco_status reco__postgres_acquire(reco__postgres_connection **out, reco_records_store *store, bool changes, const reco_call *call, reco_error *err) {
    if (store->process != getpid())
        return reco__fail(err, RECO_FORKED, NULL, "records were opened before a fork: open them in the child");
    reco_status status = RECO_OK;
    pthread_mutex_lock(&store->mutex);
    while (!take(out, store, changes)) {
        wait_for_place(store, call);
        status = reco__call_check(call, err);
        if (status != RECO_OK) {
            pthread_mutex_unlock(&store->mutex);
            return status;
        }
    }
    while (*out && !is_alive(*out)) {
        discard(*out);
        *out = store->idle;
        if (*out)
            store->idle = (*out)->next, store->open--;
    }
    int64_t pause = *out ? 0 : store->retry_at_ns - reco__monotonic_ns();
    if (pause > 0)
        store->open--;
    pthread_mutex_unlock(&store->mutex);
    if (pause > 0)
        status = reco__fail(err, RECO_UNAVAILABLE, "records", "PostgreSQL cannot be reached; the next attempt is in %lld ms",
                            (long long)(pause / 1000000 + 1));
    else if (!*out)
        status = connect_and_tell(out, store, call, err);
    if (status != RECO_OK)
        give_back_place(store, changes);
    return status;
}

void reco__postgres_release(reco_records_store *store, reco__postgres_connection *connection, bool changes) {
    bool broken = connection->broken;
    pthread_mutex_lock(&store->mutex);
    store->changing -= changes;
    if (broken) {
        store->open--;
    } else {
        connection->next = store->idle;
        store->idle = connection;
    }
    pthread_cond_broadcast(&store->freed);
    pthread_mutex_unlock(&store->mutex);
    if (broken)
        discard(connection);
}
