/* reco.h - libreco: a real-time recommender as one library. Events go in, recommendations come out, changed by the very last click.
 *
 *     reco_engine *engine = NULL;
 *     reco_open(&engine, &(reco_open_options){.struct_size = sizeof(reco_open_options), .data = "shop.reco"}, NULL, &err);
 *     reco_ingest(&receipt, engine, &event, 1, sizeof event, NULL, NULL, &err);
 *     reco_process(NULL, engine, NULL, &err);
 *     reco_recommend(&answer, engine, &query, NULL, &err);
 *
 * Every function answers a reco_status; on failure `err` (NULL allowed) tells the details and nothing has changed. `call` (NULL allowed) carries a
 * deadline, a cancel flag and trace context. Structs begin with struct_size = sizeof; zero is the default of every field; a size smaller than that of
 * the first release is refused, and so is an unknown non-zero tail. Thread words: SHARED (any thread), CONFINED (one thread at a time), FROZEN (never
 * changes). */
#ifndef RECO_H
#define RECO_H

#include <reco/answer.h>
#include <reco/event.h>
#include <reco/item.h>
#include <reco/memory.h>
#include <reco/settings.h>
#include <reco/status.h>
#include <reco/user.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reco_engine reco_engine;       /* SHARED */
typedef struct reco_processor reco_processor; /* CONFINED */

typedef struct reco_open_options {
    uint32_t struct_size;
    uint32_t flags;                /* RECO_OPEN_... */
    const char *data;              /* directory (created when missing) or "memory:"; NULL: as the settings say */
    const char *config;            /* YAML file; NULL: none */
    const reco_settings *settings; /* NULL: defaults; `config` and `data` are applied over a copy */
} reco_open_options;
#define RECO_OPEN_BACKGROUND                                                                                                                         \
    1u /* start threads: committer, processor, refresher. Without it the library starts none and the application calls reco_process */
#define RECO_OPEN_NO_PROCESSOR 2u /* with BACKGROUND: all threads but the processor (services that run one beside) */
/* With BACKGROUND: features and records that cannot be reached are opened when they can be, and UNAVAILABLE until then. The stream must be there. */
#define RECO_OPEN_PATIENT 4u
#define RECO_OPEN_NO_ANSWERS 8u /* questions will not be asked: nothing is kept ready for them */

/* Opens an engine on one directory and namespace. Errors: INVALID naming the setting, REFUSED when the stored settings of learning differ (import
 * into a new directory), CORRUPT, NEWER, BUSY, FULL, IO. Several engines and processes may share a directory; those of one process must agree on
 * RECO_OPEN_BACKGROUND. */
RECO_API reco_status reco_open(reco_engine **out, const reco_open_options *options, const reco_call *call, reco_error *err);
/* Stops threads, closes the stores, frees. NULL is allowed. No other call may be under way. */
RECO_API void reco_close(reco_engine *engine);

/* --- events in ---------------------------------------------------------------------------------------------------------------------------- */

#define RECO_POSITION_MAX 1024

typedef struct reco_ingest_options {
    uint32_t struct_size;
    uint32_t flags;     /* RECO_INGEST_ATOMIC: all events or none */
    reco_error *errors; /* room for errors of single events, each with its index; NULL: not wanted */
    size_t errors_room;
    int64_t received_at; /* ms: moment of receipt for simulation and copying; 0: the clock */
} reco_ingest_options;
#define RECO_INGEST_ATOMIC 1u

typedef struct reco_receipt {
    uint32_t struct_size;
    uint32_t accepted;
    uint32_t rejected;
    uint32_t error_count;             /* how many of options.errors were filled */
    char position[RECO_POSITION_MAX]; /* opaque, terminated: for reco_wait and min_position */
} reco_receipt;

/* Checks, stamps and appends events; returns when they are durable. Bad events are rejected one by one (unless ATOMIC); OK when at least one was
 * accepted or count is 0, else the status of the first error. TOO_LATE and TOO_EARLY by lateness and skew; FULL when a table is; CLOCK while the wall
 * clock runs ahead. SHARED. `event_size` = sizeof(reco_event). `receipt` may be NULL; its struct_size must be set. */
RECO_API reco_status reco_ingest(reco_receipt *receipt, reco_engine *engine, const reco_event *events, size_t count, size_t event_size,
                                 const reco_ingest_options *options, const reco_call *call, reco_error *err);

/* A ready reply for HTTP. `body` is freed by reco_reply_dispose. */
typedef struct reco_reply {
    uint32_t struct_size;
    int32_t http_status;
    char *body;
    size_t size;
    const char *content_type; /* static */
    int32_t retry_after;      /* seconds; 0: none */
    int32_t status;           /* the reco_status behind it */
} reco_reply;
RECO_API void reco_reply_dispose(reco_reply *reply);

/* Which form a JSON body has. */
#define RECO_JSON_AUTO 0u   /* one object or an array of objects */
#define RECO_JSON_NDJSON 1u /* one object a line */
/* JSON in, reply out: 202 {"accepted":n,"rejected":[{"index","field","detail"}],"position":"..."}; 422 when none is accepted; 400 when nothing can be
 * parsed; 413, 503, 507. Returns OK whenever a reply was made. flags: RECO_INGEST_ATOMIC. SHARED. */
RECO_API reco_status reco_ingest_json(reco_reply *reply, reco_engine *engine, const char *text, size_t size, uint32_t form, uint32_t flags,
                                      const reco_call *call, reco_error *err);

/* --- learning ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct reco_processor_options {
    uint32_t struct_size;
    uint32_t batch_events; /* most records of a batch; 0: what suits features: 20,000, on Redis 100 */
} reco_processor_options;

typedef struct reco_progress {
    uint32_t struct_size;
    uint32_t partitions;                                                   /* owned at the moment */
    uint64_t records, events, batches, duplicates, clamped, closing_steps; /* since the processor was opened; for reco_process: of this call */
    int64_t lag;                                                           /* records appended and not yet learned, in owned partitions */
    uint32_t idle;                                                         /* step: 1 when there was nothing to do */
    uint32_t reserved;
} reco_progress;

/* Learns everything that is durable when it is called (as far as other processors do not own the partitions: then it waits for them, until the
 * deadline). `out` may be NULL. SHARED. */
RECO_API reco_status reco_process(reco_progress *out, reco_engine *engine, const reco_call *call, reco_error *err);

/* A processor of one's own, for services and threads: takes its share of the partitions, step by step; others take over when it is closed or killed.
 */
RECO_API reco_status reco_processor_open(reco_processor **out, reco_engine *engine, const reco_processor_options *options, const reco_call *call,
                                         reco_error *err);
/* One batch of one partition and whatever closing is due. */
RECO_API reco_status reco_processor_step(reco_progress *out, reco_processor *processor, const reco_call *call, reco_error *err);
/* Waits until there may be something to do, at most timeout_ms. */
RECO_API reco_status reco_processor_wait(reco_processor *processor, int64_t timeout_ms, const reco_call *call, reco_error *err);
RECO_API void reco_processor_close(reco_processor *processor);

/* Waits until a position is learned; TIMEOUT after wait_ms. INVALID for a malformed position or one of another stream. SHARED. */
RECO_API reco_status reco_wait(reco_engine *engine, reco_str position, int64_t wait_ms, const reco_call *call, reco_error *err);

/* --- answers ------------------------------------------------------------------------------------------------------------------------------- */

/* *answer NULL: made; else reused (its old content is gone). Free with reco_answer_free. Nothing is written. An unknown user gets the fallback.
 * SHARED engine. */
RECO_API reco_status reco_recommend(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_call *call, reco_error *err);
/* Puts the given items in order for a user (or session): they alone are the candidates. What is hidden, from everybody or by this user, or not
 * available is left out, what the user has seen is not; items of which nothing was learned come last, with a score of 0, in the order given.
 * Otherwise as reco_recommend; a limit of 0 is the number of items. INVALID naming items[i] that is no id or given twice; TOO_LARGE with more items
 * than the configured maximum of a limit. SHARED engine. */
RECO_API reco_status reco_rank(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_str *items, size_t item_count,
                               const reco_call *call, reco_error *err);
/* NOT_FOUND naming items when nothing is known of any of them, neither learned nor told. SHARED engine. */
RECO_API reco_status reco_similar(reco_answer **answer, reco_engine *engine, const reco_similar_query *query, const reco_call *call, reco_error *err);

/* Gets the answer to one of many questions: `status` and `error` say why there is none (answer NULL). It is valid during the call. Non-zero ends the
 * batch. */
typedef int (*reco_answer_sink)(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error);
/* Many questions, one after the other; the sink is told of each. A question that is not valid fails alone; what would fail every question (stores,
 * memory, deadline, cancel) ends the batch. `query_size` = sizeof(reco_query). SHARED engine. */
RECO_API reco_status reco_recommend_batch(reco_engine *engine, const reco_query *queries, size_t count, size_t query_size, reco_answer_sink sink,
                                          void *context, const reco_call *call, reco_error *err);
RECO_API reco_status reco_popular(reco_answer **answer, reco_engine *engine, const reco_popular_query *query, const reco_call *call, reco_error *err);
RECO_API void reco_answer_free(reco_answer *answer);
/* The answer as JSON; text is terminated, valid until the answer is reused or freed. */
RECO_API reco_status reco_answer_json(const char **text, size_t *size, reco_answer *answer, reco_error *err);

/* Answers a question as reco_recommend does at this moment, and tells how the answer came about: what is known of the user, what each stage did and
 * how long it took, and of each of the given items (none, or up to RECO_EXPLAIN_MAX different ones) why it is, or is not, in the answer. It costs
 * several times what the answer does, at most a look at all items there are; a rank that would take longer than the deadline allows is left out.
 * INVALID naming items[i] that is no id or given twice. *out NULL: made; else reused (its old content is gone). Free with reco_explanation_free.
 * SHARED engine. */
RECO_API reco_status reco_explain(reco_explanation **out, reco_engine *engine, const reco_query *query, const reco_str *items, size_t item_count,
                                  const reco_call *call, reco_error *err);
RECO_API void reco_explanation_free(reco_explanation *explanation);
/* The explanation as JSON; its `answer` is what reco_answer_json makes of it. Text is terminated, valid until the explanation is reused or freed. */
RECO_API reco_status reco_explanation_json(const char **text, size_t *size, reco_explanation *explanation, reco_error *err);

/* --- what is known ------------------------------------------------------------------------------------------------------------------------- */

/* Creates or replaces items: all or none. `item_size` = sizeof(reco_item). SHARED. */
RECO_API reco_status reco_items_put(reco_engine *engine, const reco_item *items, size_t count, size_t item_size, const reco_call *call,
                                    reco_error *err);
/* The document of an item as JSON, to be freed with reco_free. NOT_FOUND. SHARED. */
RECO_API reco_status reco_item_get(char **json, reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err);
/* Changes a part of the document by a JSON merge patch (RFC 7396), an object of up to 64 KiB: null removes a member, an object is merged member by
 * member, anything else replaces; members that libreco does not know are taken for attributes, as in a whole item. All of it or nothing: NOT_FOUND
 * when there is no document, INVALID or TOO_LARGE naming the field when the result were no item. Patches at the same time, in any process, all take
 * effect. *json (may be NULL) is the document as it is now, to be freed with reco_free. SHARED. */
RECO_API reco_status reco_item_patch(char **json, reco_engine *engine, reco_str item_id, const char *patch, size_t size, const reco_call *call,
                                     reco_error *err);
/* Forgets the document; what was learned of the item stays. OK also when there is none. SHARED. */
RECO_API reco_status reco_item_delete(reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err);

/* The same of users: what the application knows of them. Deleting it forgets the document, not what was learned from their events. SHARED. */
RECO_API reco_status reco_users_put(reco_engine *engine, const reco_user *users, size_t count, size_t user_size, const reco_call *call,
                                    reco_error *err);
RECO_API reco_status reco_user_get(char **json, reco_engine *engine, reco_str user_id, const reco_call *call, reco_error *err);
RECO_API reco_status reco_user_patch(char **json, reco_engine *engine, reco_str user_id, const char *patch, size_t size, const reco_call *call,
                                     reco_error *err);
RECO_API reco_status reco_user_delete(reco_engine *engine, reco_str user_id, const reco_call *call, reco_error *err);
/* Adds an id under which the user was known before: from the next answer on (within a second where records are on another machine), answers to the
 * user take what was learned of both together, and nothing that was learned moves. The document is made when there is none; an alias that is there
 * already is left as it is. CONFLICT naming aliases when there are RECO_USER_ALIASES_MAX; INVALID naming anonymous_id. Aliases are taken away by a
 * patch. Calls at the same time, in any process, all take effect. *json as in reco_user_patch. SHARED. */
RECO_API reco_status reco_user_alias(char **json, reco_engine *engine, reco_str user_id, reco_str anonymous_id, const reco_call *call,
                                     reco_error *err);

/* --- looking after it ---------------------------------------------------------------------------------------------------------------------- */

/* Counters, positions, lags, closings, memory and the bytes of every table, as one JSON object, to be freed with reco_free. Memory is that of the
 * process, in bytes: allocated_bytes libreco holds through its allocator; heap_bytes are in use of malloc, by libreco, the libraries it uses (LMDB
 * reserves lists that it may never touch) and the application; heap_free_bytes malloc keeps for later; anonymous_bytes are the pages that the kernel
 * counts. What cannot be told (see reco_allocator) is left out. SHARED. */
RECO_API reco_status reco_stats(char **json, reco_engine *engine, const reco_call *call, reco_error *err);

typedef struct reco_snapshot_result {
    uint32_t struct_size;
    uint32_t items;
    uint64_t rows, entries, cells, bytes;
    char hash[40]; /* state hash, 32 hexadecimal digits, terminated */
} reco_snapshot_result;
/* Writes the canonical form of what is learned to a new file (through a temporary name; CONFLICT when it exists). `out` may be NULL. SHARED. */
RECO_API reco_status reco_snapshot(reco_snapshot_result *out, reco_engine *engine, const char *path, const reco_call *call, reco_error *err);

typedef struct reco_verify_options {
    uint32_t struct_size;
    uint32_t flags;
    const char *snapshot; /* replay from this file instead of the beginning; NULL: from the beginning */
} reco_verify_options;
typedef struct reco_verification {
    uint32_t struct_size;
    uint32_t equal; /* 1: state and heads equal a clean replay */
    uint64_t records, events, heads;
    uint64_t unlearned; /* records the stream holds that were not learned yet when it was compared */
    char hash[40], replayed[40];
    char difference[256]; /* "" or the first difference in words */
} reco_verification;
/* Replays the stream up to the learned positions into a scratch store and compares the state hash; recomputes every stored head. OK also when
 * unequal: see `equal`. SHARED. */
RECO_API reco_status reco_verify(reco_verification *out, reco_engine *engine, const reco_verify_options *options, const reco_call *call,
                                 reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
