/* reco/plugin/records.h - the contract of records: what is known. Items, users, models, experiments, keys; the system of record; it speaks names
 * only.
 *
 * A record is a JSON document under (kind, id). Every change is written to a change log in the change's own transaction, so that readers can follow.
 * Rules of calls and memory: as in reco/plugin/stream.h. */
#ifndef RECO_PLUGIN_RECORDS_H
#define RECO_PLUGIN_RECORDS_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_RECORDS_CONTRACT 2u /* 2: RECO_RECORD_IF_SEQUENCE, and the member for it */

#define RECO_RECORD_ITEM 1u
#define RECO_RECORD_USER 2u
#define RECO_RECORD_MODEL 3u
#define RECO_RECORD_EXPERIMENT 4u
#define RECO_RECORD_KEY 5u /* secrets of the namespace; never exported, never in the change log's documents */

#define RECO_RECORDS_LOG_MAX 100000u          /* newest changes that the log keeps */
#define RECO_RECORDS_CHANGES_MAX 20000u       /* most changes of one call */
#define RECO_RECORDS_DOCUMENT_MAX (1u << 20)  /* bytes of one document */
#define RECO_RECORDS_CHANGE_BYTES (64u << 20) /* bytes of all documents of one call */

typedef struct reco_records_store reco_records_store; /* SHARED; defined by the backend */

typedef struct reco_records_options {
    uint32_t struct_size;
    uint32_t background;
    const char *url;
    const char *space;
    uint64_t min_free;
    uint64_t map_size;
} reco_records_options;

/* One change to make. document {NULL, 0}: delete. Its size belongs to the number of the contract. */
typedef struct reco_record_change {
    uint32_t kind;
    uint32_t flags; /* RECO_RECORD_IF_..., one of them at most; deletes go with IF_SEQUENCE only */
    reco_str id;
    reco_str document;
    uint64_t sequence; /* with IF_SEQUENCE: of the record's last change before this call, 0: there is no such record; else 0 */
} reco_record_change;
#define RECO_RECORD_IF_ABSENT 1u /* leave an existing record alone */
#define RECO_RECORD_IF_SEQUENCE                                                                                                                      \
    2u /* only when nobody has changed the record since it was read: else nothing of the call is done, and it is CONFLICT */

/* Receives one record; non-zero stops. document {NULL, 0}: deleted. Strings valid during the call. The store must not be called from it. */
typedef int (*reco_records_sink)(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document);

/* --- the archive ---------------------------------------------------------------------------------------------------------------------------
 *
 * A place where each record of a stream is kept once, for queries of people. Optional: a backend that can be one has both functions. Whoever archives
 * reads where a partition stands and puts what follows; the rows and the new position are one transaction, so that a batch is there whole or not at
 * all, and of two that carry the same records one is refused. */

#define RECO_ARCHIVE_UNREADABLE 0u /* only offset, received_at and raw are given */
#define RECO_ARCHIVE_EVENT 1u
#define RECO_ARCHIVE_TICK 2u
#define RECO_ARCHIVE_ERASE 3u /* user_id is given */

#define RECO_ARCHIVE_HAS_VALUE 1u
#define RECO_ARCHIVE_HAS_SHOWN_AT 2u

#define RECO_ARCHIVE_ROWS_MAX 20000u
#define RECO_ARCHIVE_BYTES_MAX (64u << 20) /* raw bytes of one batch */

/* One record of the stream. Strings are valid UTF-8 without NUL, {NULL, 0} when absent. Times are milliseconds since 1970. */
typedef struct reco_archive_row {
    int64_t offset;
    int64_t received_at; /* UNREADABLE: the moment it was read */
    int64_t happened_at; /* EVENT: its timestamp, or received_at when it had none; else 0 */
    uint32_t type;       /* RECO_ARCHIVE_EVENT ... */
    uint32_t flags;      /* RECO_ARCHIVE_HAS_... */
    double value;
    int32_t shown_at; /* the event's position in a list */
    uint32_t reserved;
    reco_str user_id, item_id, event_type, session_id, event_id, recommendation_id, segments, properties;
    reco_str raw; /* the record, byte by byte */
} reco_archive_row;

typedef struct reco_archive_batch {
    uint32_t struct_size;
    uint32_t row_size; /* of one element of rows */
    uint8_t stream_id[16];
    uint32_t partitions, partition;
    int64_t from, to;             /* the archive stands at `from`; after the batch at `to` */
    const reco_archive_row *rows; /* offsets ascend within from .. to - 1; those that lack were dropped by the stream before they could be read */
    size_t count;
} reco_archive_batch;

/* --- the schema ---------------------------------------------------------------------------------------------------------------------------- */

#define RECO_SCHEMA_CHECK 1u   /* changes nothing; tells what is missing */
#define RECO_SCHEMA_DRY_RUN 2u /* does all that is missing, then undoes it */

/* Told of each step in order: its version, its name, whether it was done now (0: it is missing still, with CHECK). */
typedef void (*reco_migrate_sink)(void *context, uint32_t version, const char *name, int32_t done);

typedef struct reco_records_backend {
    uint32_t struct_size; /* at least up to `stats`; what follows is optional, and NULL when not there */
    uint32_t contract;
    const char *scheme;

    reco_status (*open)(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err);
    void (*close)(reco_records_store *store);

    /* All changes in one durable transaction, or none, in the given order; each gets the next sequence number (from 1). A change that finds nothing
     * to do (IF_ABSENT of an existing record, delete of a missing one) gets none. *last_sequence: the newest sequence there is afterwards. CONFLICT:
     * a record was not at the sequence of its IF_SEQUENCE as the call found it, that is before the first of its changes; none was made. */
    reco_status (*change)(uint64_t *last_sequence, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                          reco_error *err);
    /* NOT_FOUND without a sink call when missing. `sequence` is that of the record's last change. */
    reco_status (*find)(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                        reco_error *err);
    /* Records of a kind in bytewise order of id (shorter first), after `after` (empty: from the first), at most limit. */
    reco_status (*scan)(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                        const reco_call *call, reco_error *err);
    /* Changes with sequence > since, oldest first, at most limit; each with its own sequence and the record as it is now. KEY records are left out.
     * NOT_FOUND when the log no longer reaches back that far (it keeps the newest RECO_RECORDS_LOG_MAX), or when `since` is beyond the newest: reload
     * by scan. *newest: the newest sequence there is, set with NOT_FOUND too: a reader that reloads follows from there. One that was handed fewer
     * than limit has arrived there. */
    reco_status (*changes)(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                           const reco_call *call, reco_error *err);
    /* Bytes and counts as "name value" pairs. */
    reco_status (*stats)(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                         const reco_call *call, reco_error *err);

    /* Where the archive of a stream stands: next[p] is the offset after the newest record of partition p, -1 when it has none (array of
     * `partitions`). */
    reco_status (*archive_positions)(int64_t *next, reco_records_store *store, const uint8_t stream_id[16], uint32_t partitions,
                                     const reco_call *call, reco_error *err);
    /* Adds the rows and moves the position in one durable transaction, or does nothing: STALE when the partition does not stand at batch->from (one
     * without position stands anywhere). After another failure it may have been done: read the position. */
    reco_status (*archive_put)(reco_records_store *store, const reco_archive_batch *batch, const reco_call *call, reco_error *err);

    /* Brings the schema of the place the options name to the version of this backend, in one transaction, so that runs at the same time do it once;
     * *version: where it stands afterwards, with DRY_RUN where it would. NEWER when it knows less than is there. Optional. */
    reco_status (*migrate)(uint32_t *version, const reco_records_options *options, uint32_t flags, reco_migrate_sink sink, void *context,
                           const reco_call *call, reco_error *err);
} reco_records_backend;

/* Registers a backend by its scheme before an engine is opened. INVALID naming the missing function; CONFLICT when the scheme is taken. The table is
 * borrowed for the life of the process. SHARED. */
RECO_API reco_status reco_register_records(const reco_records_backend *backend, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
