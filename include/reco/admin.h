/* reco/admin.h - what operators and programs of ours need beyond reco.h. */
#ifndef RECO_ADMIN_H
#define RECO_ADMIN_H

#include <reco.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Questions as HTTP clients put them, answers as replies. The parameters of each kind are those of its struct in reco.h by the same names: in a query
 * string (percent-encoded, without '?', lists by repeating the name), or as the members of one JSON object. Unknown parameters, doubled ones and bad
 * values are 400 naming the parameter. Every kind also has the selection (reco/filter.h): exclude, variants, cursor, and as JSON objects
 * filter {"brand":["a","b"],"price":{"gte":1,"lt":5},"size":{"not":"XL","missing":true}} and caps {"brand":2}. */
#define RECO_ASK_RECOMMEND 1u /* user_id (or, in a body, session alone), session, limit, scenario, min_position, wait_ms, as_of, seed, reasons */
#define RECO_ASK_POPULAR 2u   /* limit, as_of, reasons, window, category */
#define RECO_ASK_SIMILAR 3u   /* limit, as_of, reasons; items, unless item_id is given */
#define RECO_ASK_RANK 4u      /* as RECOMMEND; items */
/* The body is an array of what RECOMMEND takes, or a line for each. {"answers":[{"index":0,"answer":{...}}],"rejected":[{"index":1,"field":...,
 * "detail":...}]}; when none is valid a problem, 422, with the same as "errors". */
#define RECO_ASK_BATCH 5u
#define RECO_ASK_EXPLAIN 6u /* as RECOMMEND; item_id (repeated) in a query string, items in a body: those asked about */
#define RECO_BATCH_MAX 1000u /* most questions of a batch */
typedef struct reco_ask_input {
    uint32_t struct_size;
    uint32_t kind;            /* RECO_ASK_... */
    const char *query_string; /* NULL: none */
    const char *body;         /* NULL: none; with one, parameters are to be in it */
    size_t body_size;
    reco_str item_id; /* SIMILAR: of the path */
    uint32_t form;    /* BATCH: RECO_JSON_... */
    uint32_t reserved;
} reco_ask_input;
/* Returns OK whenever a reply was made. SHARED. */
RECO_API reco_status reco_ask_json(reco_reply *reply, reco_engine *engine, const reco_ask_input *input, const reco_call *call, reco_error *err);

/* application/problem+json (RFC 9457) for an error. SHARED. */
RECO_API reco_status reco_problem_json(reco_reply *reply, const reco_error *error, const char *instance);

/* Bulk items as JSON: one object, an array, or NDJSON (form as in reco_ingest_json). All or none. *count (may be NULL) is how many. SHARED. */
RECO_API reco_status reco_items_put_json(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                                         reco_error *err);

RECO_API reco_status reco_users_put_json(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                                         reco_error *err);

/* Body in, reply out, for POST /items and PUT /items/{item_id}, and the same of users. Without an id: as many as there are, all or none; 200 with
 * {"items":N}, or 422 with an error for each that is not valid. With an id: one object, which may leave its own id out; 200 with what is stored.
 * Returns OK whenever a reply was made. SHARED. */
#define RECO_KNOWN_ITEMS 1u
#define RECO_KNOWN_USERS 2u
RECO_API reco_status reco_known_json(reco_reply *reply, reco_engine *engine, uint32_t what, reco_str id, const char *text, size_t size, uint32_t form,
                                     const reco_call *call, reco_error *err);
/* The same for PATCH /items/{item_id} and PATCH /users/{user_id}, see reco_item_patch: 200 with what is stored, or 422. SHARED. */
RECO_API reco_status reco_known_patch_json(reco_reply *reply, reco_engine *engine, uint32_t what, reco_str id, const char *patch, size_t size,
                                           const reco_call *call, reco_error *err);
/* The same for POST /users/{user_id}/aliases, whose body is {"anonymous_id":"..."}, see reco_user_alias: 200 with what is stored, or 409. SHARED. */
RECO_API reco_status reco_user_alias_json(reco_reply *reply, reco_engine *engine, reco_str user_id, const char *text, size_t size,
                                          const reco_call *call, reco_error *err);

typedef struct reco_import_options {
    uint32_t struct_size;
    uint32_t flags;           /* RECO_IMPORT_SHIFT_TIME: move the newest event to now */
    const char *format;       /* "csv", "ndjson", "movielens" or "reco" (what reco_export wrote) */
    const char *const *paths; /* files; for movielens the folder of ml-100k; for reco one file, which may be a pipe */
    size_t path_count;
} reco_import_options;
#define RECO_IMPORT_SHIFT_TIME 1u
typedef struct reco_import_result {
    uint32_t struct_size;
    uint32_t already; /* 1: the file had been imported before; nothing was added */
    uint64_t events, rejected, items;
    int64_t first, last; /* timestamps, ms */
    char warning[240];
    uint64_t users, others; /* reco: what is known of users; models and experiments */
} reco_import_result;
/* Imports history: sorted by time, received_at = timestamp; returns when all is learned. Repeating or resuming adds nothing twice. CONFLICT behind
 * the largest received_at appended. A line that cannot be read fails the import naming file and line before anything is added. SHARED. */
RECO_API reco_status reco_import(reco_import_result *out, reco_engine *engine, const reco_import_options *options, const reco_call *call,
                                 reco_error *err);

/* --- export ---------------------------------------------------------------------------------------------------------------------------------
 *
 * A namespace as lines of JSON, each an object with a `type`: first what this export is (format, version, namespace, partitions), then events, ticks
 * and erasures of the stream in the order of time, each with its received_at, then items, users, models and experiments, last how many of each there
 * were. Secret keys are not in it. Imported with format "reco" into an empty directory (or empty stores of any other kind) of the same namespace and
 * number of partitions, it teaches what had been learned here: with the same settings the state hashes are equal.
 *
 * That import appends events in batches with a note how far it is, and keeps the last of them back until the rest of the file is in. One that was
 * killed goes on when it is repeated; one that was complete adds nothing. CONFLICT when anything else is in the stores, or when another export was
 * begun in them; REFUSED, naming namespace or partitions; NEWER; INVALID, naming the line, when a line cannot be read, or the last is missing or does
 * not agree with what was read: the file was cut off or altered. Its warning names the first setting that was another where it was learned. */
typedef struct reco_export_result {
    uint32_t struct_size;
    uint32_t partitions;
    uint64_t events, ticks, erasures, items, users, models, experiments;
    uint64_t missing;    /* records that the stream had dropped already: what was learned from them is in a backup only */
    uint64_t unreadable; /* records of others, which learning passed over too */
} reco_export_result;
/* Takes some lines, whole ones; non-zero stops, which answers CANCELLED. No lock is held, and no transaction open. */
typedef int (*reco_export_sink)(void *context, const char *text, size_t size);
/* What was acknowledged before is in it; what is known is told as it is when its turn comes. `out` may be NULL. SHARED. */
RECO_API reco_status reco_export(reco_export_result *out, reco_engine *engine, reco_export_sink sink, void *context, const reco_call *call,
                                 reco_error *err);

/* --- what would have been shown --------------------------------------------------------------------------------------------------------------
 *
 * A question with as_of asks about another moment, of the user as they are now but for what they did later. Here each user is put back to what they
 * were: recent items, session, hidden items and what they had seen are derived again from the stream up to as_of, events of that very millisecond
 * with it, and not one event further. What others have taught since stays, and so does what is known of items; but an item whose first event comes
 * later is in no answer. Availability is that of the moment, and so is popularity, to the hour and the day, as far as its sums are kept
 * (popularity.hours_kept, days_kept).
 *
 * Of a stream that was trimmed the first event that is left with an item need not be its first. The item counts as having been there from the oldest
 * day on that popularity by days has it, of those until the newest record that is gone; without one, from its first event that is left; without
 * either, always. Where less than half of the popularity.days_kept lie before that, all items count as having been there. So what popularity has
 * of a moment is not lost, an old item that nobody looked at in the days that are kept counts as new until it comes back, and an item that is new
 * may count as having been there. */
typedef struct reco_rewind_result {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t answers;
    uint64_t events;     /* of the users asked about, that were derived again */
    uint64_t missing;    /* records the stream had dropped already: what users did there is not counted, and not all items that are new can be told */
    int64_t learned;     /* ms: the newest moment that was learned, which pairs of items are of; 0: nothing was asked */
    uint64_t hours_gone; /* answers whose window of popularity by hours reaches back to what is not kept any more */
    uint64_t days_gone;  /* and by days */
} reco_rewind_result;
/* Many such questions, as in reco_recommend_batch; the sink is told of those that are not valid first, then of the others in the order of their
 * moments. Every question needs user_id and as_of; min_position and wait_ms are INVALID. One walk over the stream answers all of them, in the thread
 * that calls, and is told of as "going back". `out` may be NULL. SHARED. */
RECO_API reco_status reco_rewind(reco_rewind_result *out, reco_engine *engine, const reco_query *queries, size_t count, size_t query_size,
                                 reco_answer_sink sink, void *context, const reco_call *call, reco_error *err);

/* --- the archive ---------------------------------------------------------------------------------------------------------------------------
 *
 * With the setting `archive` (postgresql://...), every record of the stream, ticks included, is kept in that database as it was, beside columns for
 * queries. An archiver reads the stream for itself and keeps its position in the archive's own transactions: learning knows nothing of it, and each
 * record is there once however many archivers run and whatever ends them.
 *
 *     while (reco_archiver_step(&done, archiver, &call, &err) == RECO_OK) {
 *         if (done.idle) reco_archiver_wait(archiver, 1000, &call, &err);
 *     }
 */
typedef struct reco_archiver reco_archiver; /* CONFINED */
typedef struct reco_archiver_options {
    uint32_t struct_size;
    uint32_t batch_records; /* most records of a transaction; 0: 5,000; at most 20,000 */
} reco_archiver_options;
/* Totals since the archiver was opened. */
typedef struct reco_archived {
    uint32_t struct_size;
    uint32_t idle;       /* 1: nothing to archive, or another archiver is at it */
    uint64_t records;    /* archived by this archiver */
    uint64_t batches;    /* transactions */
    uint64_t stale;      /* batches that another archiver was faster with */
    uint64_t missed;     /* records that the stream had dropped before they could be archived */
    uint64_t unreadable; /* of records: kept as bytes only */
    int64_t lag;         /* records of all partitions that are in the stream and, as far as known, not in the archive */
} reco_archived;
/* INVALID naming "archive" when the setting is empty. The database is reached for by the first step: it may be down. */
RECO_API reco_status reco_archiver_open(reco_archiver **out, reco_engine *engine, const reco_archiver_options *options, const reco_call *call,
                                        reco_error *err);
/* One batch of one partition. After a failure the next step goes on from where the archive then stands. *out may be NULL. */
RECO_API reco_status reco_archiver_step(reco_archived *out, reco_archiver *archiver, const reco_call *call, reco_error *err);
/* Until the stream has more, at most timeout_ms; and until a quarter of a second has passed since the last batch began, so that a trickle of events
 * does not become as many transactions. */
RECO_API reco_status reco_archiver_wait(reco_archiver *archiver, int64_t timeout_ms, const reco_call *call, reco_error *err);
RECO_API void reco_archiver_close(reco_archiver *archiver); /* NULL is allowed */

/* --- backup and restore -------------------------------------------------------------------------------------------------------------------
 *
 * A backup is one file: the streams and records of all namespaces of a directory, and what was learned in the namespace of the engine (in others it
 * is learned again from their streams). What was acknowledged before the backup began is in it, and nothing is learned in it that its stream does not
 * hold. It is taken beside any number of processes that write, and holds nobody up. It also holds the key that recommendation ids are signed with:
 * keep it as safe as the directory. Stores on servers are not covered: UNSUPPORTED, naming the store. */
typedef struct reco_backup_result {
    uint32_t struct_size;
    uint32_t partitions;
    uint32_t namespaces; /* whose streams it holds */
    uint32_t reserved;
    int64_t created_at; /* ms */
    uint64_t bytes;     /* of the file */
    uint64_t records;   /* of the streams */
    uint64_t documents; /* items, users and what else records keep */
    uint64_t unlearned; /* records in it that were not learned yet when it was taken */
    char hash[40];      /* state hash of what was learned */
    char space[72];     /* the namespace */
    char library[32];   /* version of libreco that wrote it */
} reco_backup_result;
/* Writes a backup to a new file (through PATH.partial; CONFLICT when PATH exists, BUSY while another backup is written to it). BUSY naming "growth"
 * when a store grew by more than 1 GiB while features were read, or 256 MiB while records were, for pages cannot be used again meanwhile; FULL when
 * the disk would be left with less than limits.min_free. `out` may be NULL. SHARED. */
RECO_API reco_status reco_backup(reco_backup_result *out, reco_engine *engine, const char *path, const reco_call *call, reco_error *err);

#define RECO_RESTORE_CHECK 1u /* only look at the file: whether it is whole, and what it holds; settings may be NULL */
/* Makes the directory `data` of the settings, which must be empty or missing (CONFLICT), from a backup. The whole file is checked before anything is
 * made; all is made under the name DIRECTORY.partial, which an earlier restore that was killed may have left, and renamed at the end. The settings
 * must be those the backup was learned with (REFUSED, naming the one that differs, the namespace among them). CORRUPT for a file that is cut off or
 * altered; NEWER for one of a newer libreco. `out` may be NULL. SHARED. */
RECO_API reco_status reco_restore(reco_backup_result *out, const char *path, const reco_settings *settings, uint32_t flags, const reco_call *call,
                                  reco_error *err);

/* --- trimming --------------------------------------------------------------------------------------------------------------------------------
 *
 * With retention.age or retention.bytes, processes with a processor drop the oldest records of the stream every ten seconds, no further than the
 * oldest verified snapshot that is kept, what is learned, and what the archive has read. This does it once, or tells what it would do. */
typedef struct reco_trim_options {
    uint32_t struct_size;
    uint32_t flags; /* RECO_TRIM_DRY_RUN */
    int64_t age;    /* ms; 0 and bytes 0: as the settings say */
    uint64_t bytes;
} reco_trim_options;
#define RECO_TRIM_DRY_RUN 1u
typedef struct reco_trim_result {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t records; /* that were dropped, or would be */
    uint64_t bytes;   /* they took, about; 0 where the stream does not tell */
    uint64_t left;    /* records that stay */
    int64_t oldest;   /* when the oldest of them was received, ms; 0: there is none */
    char held_by[64]; /* what keeps records that should go: "snapshot", "no verified snapshot", "archive", "learning"; "": nothing */
} reco_trim_result;
/* INVALID naming "snapshots.folder" where there is none, or "age" when nothing says what is to be kept; BUSY while another process takes a snapshot.
 * `options` and `out` may be NULL. SHARED. */
RECO_API reco_status reco_trim(reco_trim_result *out, reco_engine *engine, const reco_trim_options *options, const reco_call *call, reco_error *err);

/* --- other settings of learning ------------------------------------------------------------------------------------------------------------
 *
 * What was learned holds for the settings it was learned by; others need features of their own. reco_replay learns the stream by `settings` into
 * features at another place while engines on the old ones run, and keeps them current while processes are restarted, one by one, with the new
 * settings and `features` at that place. The stream stays as it is: positions given out before mean the same afterwards. */
typedef struct reco_replay_options {
    uint32_t struct_size;
    uint32_t flags;   /* RECO_REPLAY_ESTIMATE */
    const char *into; /* a directory (made when missing), or the address of features ("redis://..."); not where the old ones are */
    /* Called whenever all is learned that was durable at the last look; other than 0 ends the call, 0: it goes on following the stream. NULL: ends.
     */
    int32_t (*current)(void *context, uint64_t learned);
    void *context;
} reco_replay_options;
#define RECO_REPLAY_ESTIMATE 1u /* only say what it will take: a part is learned in memory, nothing is made */
typedef struct reco_replay_result {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t records;         /* that were to be learned when it began */
    uint64_t learned;         /* by this call */
    uint64_t lag;             /* that came since and are not learned yet */
    uint64_t rate;            /* records a second */
    int64_t estimated_ms;     /* with ESTIMATE: the time, from a sample */
    uint64_t estimated_bytes; /* and the room, about: as much as the old features take, or as the sample took for each record */
    uint64_t free_bytes;      /* where it is to be made; 0: not known */
} reco_replay_result;
/* May be ended at any moment and begun again: it goes on from where it was. REFUSED naming "stream" when its beginning was trimmed, or as reco_open
 * when what is at `into` was learned by yet other settings or from another stream; INVALID naming "into". `out` may be NULL. SHARED. */
RECO_API reco_status reco_replay(reco_replay_result *out, const reco_settings *settings, const reco_replay_options *options, const reco_call *call,
                                 reco_error *err);

/* --- what is wrong ------------------------------------------------------------------------------------------------------------------------- */

#define RECO_FINDING_NOTE 1u    /* good to know */
#define RECO_FINDING_WARNING 2u /* works, and will not for ever */
#define RECO_FINDING_ERROR 3u   /* does not work, or what it says is wrong */
typedef struct reco_finding {
    uint32_t struct_size;
    uint32_t severity;
    const char *id;     /* a word for programs, such as "disk_full"; docs/DEPLOYMENT.md lists them */
    const char *text;   /* what was found, one sentence */
    const char *advice; /* what to do about it; "" when there is nothing */
} reco_finding;
/* Strings are borrowed during the call. */
typedef void (*reco_finding_sink)(void *context, const reco_finding *finding);
/* Looks for common trouble with the stores that the settings name, without opening them for writing and beside whoever has them open: it makes no
 * file, takes no lock and changes nothing. Tells what it finds; *worst (may be NULL) is the largest severity, 0: nothing. Answers OK when it could
 * look, whatever it found. Engines on the same directory must not be opened by this process meanwhile. SHARED. */
RECO_API reco_status reco_doctor(uint32_t *worst, const reco_settings *settings, reco_finding_sink sink, void *context, const reco_call *call,
                                 reco_error *err);

/* --- schemas ------------------------------------------------------------------------------------------------------------------------------- */

#define RECO_MIGRATE_CHECK 1u   /* change nothing, tell what is missing */
#define RECO_MIGRATE_DRY_RUN 2u /* do what is missing, then undo it */
/* Told of each missing step: the setting that names the database ("records", "archive"), the version and name of the step, and whether it was done.
 */
typedef void (*reco_migration_sink)(void *context, const char *setting, uint32_t version, const char *name, int32_t done);
/* Brings the schemas of the databases that `records` and `archive` name to the versions this library knows, each in one transaction; runs at the same
 * time do it once. Stores without a schema are left alone. *missing: steps that are missing afterwards. NEWER, naming the version, when a database
 * is ahead of this library. SHARED. */
RECO_API reco_status reco_migrate(uint32_t *missing, const reco_settings *settings, uint32_t flags, reco_migration_sink sink, void *context,
                                  const reco_call *call, reco_error *err);

/* Health for /ready: OK, or the reason; *lag: records not yet learned; *lag_ms their age. What counts is what the process is for: with threads in the
 * background one that answers is ready while it has something to answer with, one that only takes in (NO_ANSWERS, no processor) while the stream
 * does; what they lack besides is told by reco_lacking, and the lag is -1 when nobody can tell it. Stores are given two seconds to say. SHARED. */
RECO_API reco_status reco_ready(int64_t *lag, int64_t *lag_ms, reco_engine *engine, const reco_call *call, reco_error *err);
/* The rest of it for who takes in: OK, or why events would be refused now. CLOCK: the wall clock ran ahead. UNAVAILABLE or FULL, naming "stream": the
 * last append failed, at most ten seconds ago, and none succeeded since. Asks no store. SHARED. */
RECO_API reco_status reco_ingest_ready(reco_engine *engine, const reco_call *call, reco_error *err);

/* RECO_DEGRADED_... of answers that are given now; 0: they are whole. SHARED. */
RECO_API uint32_t reco_lacking(reco_engine *engine);
/* The word for one of them, such as "relearning"; "" for what is none. Static. SHARED. */
RECO_API const char *reco_lacking_word(uint32_t reason);

/* Counters for /metrics: calls the sink with Prometheus name, label text ("source=\"coview\"" or ""), value, type ("counter", "gauge", "histogram")
 * and help. A histogram comes as its samples: name_bucket with its `le`, cumulative, then name_sum and name_count. Each store is asked for at most
 * two seconds: reco_store_up{store="features"} is 0 when it did not answer, and what needs it is left out. SHARED. */
typedef void (*reco_metric_sink)(void *context, const char *name, const char *labels, double value, const char *type, const char *help);
RECO_API reco_status reco_metrics(reco_engine *engine, reco_metric_sink sink, void *context, const reco_call *call, reco_error *err);

/* A setting as this engine has it, as text; "" for unknown ones. Valid until close is not promised: copied into out. */
RECO_API reco_status reco_setting_get(char *out, size_t room, reco_engine *engine, const char *name, reco_error *err);

/* The state hash of what is learned, as in reco_verification.hash. SHARED. */
RECO_API reco_status reco_state_hash(char out[40], reco_engine *engine, const reco_call *call, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
