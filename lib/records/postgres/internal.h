/* records/postgres/internal.h - what the files of the PostgreSQL backend share. */
#ifndef RECO__RECORDS_POSTGRES_INTERNAL_H
#define RECO__RECORDS_POSTGRES_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>
#include <sys/types.h>

#include "base/base.h"
#include <reco/plugin/records.h>

enum {
    RECO__POSTGRES_KINDS = 5,
    RECO__POSTGRES_MONTHS_KNOWN = 4096, /* months since 1970 that can have a partition of the archive */
    RECO__POSTGRES_POOL = 8,            /* connections of a store at most */
    RECO__POSTGRES_CHANGING = 2         /* of them for changes: one that runs, one that waits for its lock; the others are for reading */
};

/* --- statements --------------------------------------------------------------------------------------------------------------------------- */

typedef enum reco__postgres_statement {
    RECO__POSTGRES_FIND, /* + kind - 1; likewise SCAN */
    RECO__POSTGRES_SCAN = RECO__POSTGRES_FIND + RECO__POSTGRES_KINDS,
    RECO__POSTGRES_NEWEST = RECO__POSTGRES_SCAN + RECO__POSTGRES_KINDS,
    RECO__POSTGRES_CHANGES,
    RECO__POSTGRES_CHANGE,
    RECO__POSTGRES_STATS,
    RECO__POSTGRES_ARCHIVED,
    RECO__POSTGRES_ARCHIVE,
    RECO__POSTGRES_MONTHS,
    RECO__POSTGRES_STATEMENTS
} reco__postgres_statement;

enum { RECO__POSTGRES_PARAMS = 24 };

/* Parameters of one statement. Binary ones are in the server's format of their type. Borrowed for the call. */
typedef struct reco__postgres_params {
    const char *values[RECO__POSTGRES_PARAMS];
    int sizes[RECO__POSTGRES_PARAMS], formats[RECO__POSTGRES_PARAMS];
    int count;
    char room[RECO__POSTGRES_PARAMS][24]; /* numbers as text */
} reco__postgres_params;

void reco__postgres_add_number(reco__postgres_params *params, uint64_t value);
void reco__postgres_add_text(reco__postgres_params *params, const char *terminated);
void reco__postgres_add_binary(reco__postgres_params *params, const reco__buf *value);

/* Arrays as binary parameters. The head, of `count` elements that follow; `nulls`: some may be missing. Types are the server's numbers of them. */
enum {
    RECO__POSTGRES_BYTEA = 17,
    RECO__POSTGRES_INT8 = 20,
    RECO__POSTGRES_INT2 = 21,
    RECO__POSTGRES_INT4 = 23,
    RECO__POSTGRES_TEXT = 25,
    RECO__POSTGRES_FLOAT8 = 701,
    RECO__POSTGRES_TIMESTAMPTZ = 1184
};
void reco__postgres_array(reco__buf *array, uint32_t type, size_t count, bool nulls);
void reco__postgres_put_null(reco__buf *array);
void reco__postgres_put_int2(reco__buf *array, uint32_t value);
void reco__postgres_put_int4(reco__buf *array, int32_t value);
void reco__postgres_put_int8(reco__buf *array, int64_t value);
void reco__postgres_put_float8(reco__buf *array, double value);
void reco__postgres_put_text(reco__buf *array, reco_str text); /* data NULL: missing */
/* Whether it can be sent. */
reco_status reco__postgres_array_status(const reco__buf *array, const char *field, reco_error *err);

/* Receives one row of a result, as text; non-zero: no more rows, please. */
typedef int (*reco__postgres_row)(void *context, const PGresult *result, int row);

/* A number of a result; false when the field is NULL. */
bool reco__postgres_number(uint64_t *out, const PGresult *result, int row, int column);

/* --- connections -------------------------------------------------------------------------------------------------------------------------- */

/* CONFINED: taken from the pool by one call at a time. */
typedef struct reco__postgres_connection {
    struct reco__postgres_connection *next;
    PGconn *link;
    uint32_t prepared; /* bit of a statement: this connection knows it */
    bool broken;       /* not to be used again */
} reco__postgres_connection;

struct reco_records_store {
    char *url;
    char *space;
    uint64_t most_bytes; /* of documents in the namespace; 0: no limit */
    pid_t process;
    pthread_mutex_t mutex; /* guards what follows; never held while anything waits for the server */
    pthread_cond_t freed;
    reco__postgres_connection *idle;
    int open, changing;
    int64_t backoff_ns, retry_at_ns;                   /* after a failed attempt to connect: none before retry_at_ns */
    bool lost;                                         /* the last attempt failed: say so once */
    uint64_t months[RECO__POSTGRES_MONTHS_KNOWN / 64]; /* bit of a month since 1970: its partition of the archive is there */
    int64_t months_retry_ns;                           /* none is made before */
};

reco_status reco__postgres_pool_init(reco_records_store *store, reco_error *err);
void reco__postgres_pool_dispose(reco_records_store *store);
reco_status reco__postgres_acquire(reco__postgres_connection **out, reco_records_store *store, bool changes, const reco_call *call, reco_error *err);
void reco__postgres_release(reco_records_store *store, reco__postgres_connection *connection, bool changes);

/* --- talking ------------------------------------------------------------------------------------------------------------------------------ */

/* Waits until the socket of the link is ready for `events` (poll). TIMEOUT `grace_ns` after the deadline of the call, CANCELLED when asked. */
reco_status reco__postgres_wait(PGconn *link, short events, int64_t grace_ns, const reco_call *call, reco_error *err);
/* The failure a result tells of (NULL: that of the link). What the server says is cut to its first line and rid of the password. */
reco_status reco__postgres_fail(reco_error *err, const PGresult *result, PGconn *link, const char *what);
/* Runs SQL without parameters on a link that is not in pipeline mode; rows of all its statements go to `row` (may be NULL). */
reco_status reco__postgres_script(PGconn *link, const char *sql, reco__postgres_row row, void *context, const reco_call *call, reco_error *err);
/* Runs a prepared statement on a connection of the pool, in one trip and one transaction. Reading is tried once more on another connection when the
 * first turns out to be dead before a row came. */
reco_status reco__postgres_run(reco_records_store *store, reco__postgres_statement statement, const reco__postgres_params *params,
                               reco__postgres_row row, void *context, const reco_call *call, reco_error *err);

/* --- the schema --------------------------------------------------------------------------------------------------------------------------- */

/* FROZEN. Version n is element n - 1. */
typedef struct reco__postgres_migration {
    int version;
    const char *file;
    const char *sql;
} reco__postgres_migration;
extern const reco__postgres_migration reco__postgres_migrations[];
extern const int reco__postgres_migration_count;

/* The contract's migrate. */
reco_status reco__postgres_migrate(uint32_t *version, const reco_records_options *options, uint32_t flags, reco_migrate_sink sink, void *context,
                                   const reco_call *call, reco_error *err);
/* The database has the schema this library was built for; a fresh one is set up. NEWER or REFUSED when not. */
reco_status reco__postgres_schema_check(reco_records_store *store, const reco_call *call, reco_error *err);
/* A link of its own, in no pool, and not in pipeline mode. Ended by PQfinish. */
reco_status reco__postgres_connect(PGconn **out, const char *url, const reco_call *call, reco_error *err);
/* INVALID when it is no address of libpq. */
reco_status reco__postgres_check_url(const char *url, reco_error *err);

/* --- the functions of the contract -------------------------------------------------------------------------------------------------------- */

reco_status reco__postgres_change(uint64_t *last_sequence, reco_records_store *store, const reco_record_change *changes, size_t count,
                                  const reco_call *call, reco_error *err);
reco_status reco__postgres_newest(uint64_t *newest, reco_records_store *store, const reco_call *call, reco_error *err);
reco_status reco__postgres_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                                reco_error *err);
reco_status reco__postgres_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                                const reco_call *call, reco_error *err);
reco_status reco__postgres_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                   const reco_call *call, reco_error *err);
reco_status reco__postgres_stats(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                 const reco_call *call, reco_error *err);
reco_status reco__postgres_archive_positions(int64_t *next, reco_records_store *store, const uint8_t stream_id[16], uint32_t partitions,
                                             const reco_call *call, reco_error *err);
reco_status reco__postgres_archive_put(reco_records_store *store, const reco_archive_batch *batch, const reco_call *call, reco_error *err);

#endif
