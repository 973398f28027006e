/* engine/engine.h - what stands behind reco_engine: the doors it opened, the rules it learns by, its threads. */
#ifndef RECO__ENGINE_H
#define RECO__ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "config/settings.h"
#include "engine/learner.h"
#include "features/features.h"
#include "learn/learn.h"
#include "recommend/recommend.h"
#include "records/records.h"
#include "stream/stream.h"
#include <reco/admin.h>

/* Counters of the process, for stats and metrics. */
#define RECO__INTACT_SLOTS 32u

typedef struct reco__counters {
    atomic_uint_fast64_t accepted, rejected, too_late, too_early, attributed, unattributed;
    atomic_uint_fast64_t records, events, batches, duplicates, clamped, closing_steps, stale, dead_letters;
    atomic_uint_fast64_t archive_records, archive_batches, archive_stale, archive_missed, archive_unreadable, archive_failures;
    atomic_uint_fast64_t effects[RECO__EFFECT_BUCKETS], effect_ms; /* of what is learned, as in reco__learned */
    atomic_uint_fast64_t snapshots, snapshots_verified, snapshots_different, relearned, trimmed;
} reco__counters;

typedef struct reco__ingest_context reco__ingest_context;
typedef struct reco__position_waiter reco__position_waiter;

struct reco_engine {
    reco__settings settings;
    reco__learn_rules rules;
    reco__buf fingerprint;
    char stream_url[1100], features_url[1100], records_url[1100];
    reco__stream *stream;
    reco__features *features;
    reco__records *records;
    reco__recommend *recommend;
    uint32_t partitions;
    bool background, patient;
    bool answers;                    /* questions are kept ready for */
    atomic_uint_fast32_t processors; /* that are open */

    /* the clock of ingest */
    int64_t opened_wall_ms, opened_monotonic_ns;

    /* ingest: pooled contexts, and what is known about room */
    pthread_mutex_t ingest_lock;
    reco__ingest_context *ingest_free;
    atomic_int_fast64_t room_checked_ns; /* when it was looked at, or is to be again */
    atomic_bool items_scarce, users_scarce;
    atomic_bool refusing; /* the last append failed; why and when, under ingest_lock */
    reco_error refusal;
    int64_t refused_ns;

    /* set once, before signing_known is */
    uint32_t signing_number;
    uint8_t signing_key[16];
    atomic_bool signing_known;

    /* reco_process's own processor */
    pthread_mutex_t process_lock;
    reco_processor *processor;

    /* who waits for a position (position.c) */
    pthread_mutex_t learned_lock;
    uint64_t learned_count;                   /* batches of this process */
    reco__position_waiter *waiters, *leading; /* the youngest first; the one that asks */
    int64_t asked_ns, answered_ns;            /* when features were last asked, and when the answer came */

    /* threads */
    pthread_t process_thread, refresh_thread, snapshot_thread;
    bool process_running, refresh_running, snapshot_running;
    atomic_bool stopping;
    volatile int32_t cancel; /* handed to the threads' calls */
    pthread_mutex_t thread_lock;
    pthread_cond_t thread_cond;
    reco_error thread_error; /* what keeps the processor thread from getting on; under thread_lock */

    reco__counters counters;
    atomic_uint_fast64_t intact[RECO__INTACT_SLOTS]; /* what snapshots.c has read from end to end and found whole, by what stat says of it */

    /* where the archive stands, as far as an archiver of this process has seen; archiving: there is or was one */
    atomic_bool archiving;
    atomic_int_fast64_t archived[RECO_PARTITIONS_MAX];
};

/* --- position.c ---------------------------------------------------------------------------------------------------------------------------- */
/* A position token: the offsets after which the touched partitions reflect what was appended; next[p] < 0: not touched. */
void reco__position_encode(char out[RECO_POSITION_MAX], const reco_engine *engine, const int64_t *next);
/* INVALID naming "position" when malformed or of another stream. */
reco_status reco__position_decode(int64_t *next, const reco_engine *engine, reco_str token, const char *field, reco_error *err);
/* Waits until partition `only` (or all, UINT32_MAX) is learned up to next[]; TIMEOUT after wait_ms. */
reco_status reco__position_wait(reco_engine *engine, const int64_t *next, uint32_t only, int64_t wait_ms, const reco_call *call, reco_error *err);
void reco__engine_learned(reco_engine *engine); /* wakes waiters */

/* --- ask.c --------------------------------------------------------------------------------------------------------------------------------- */
/* As reco_recommend, but with the user as `past` says. */
reco_status reco__engine_ask_past(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco__past *past, const reco_call *call,
                                  reco_error *err);
/* Whether a status is about one question alone, and not about all. */
bool reco__engine_is_its_own(reco_status status);

/* --- ingest.c ------------------------------------------------------------------------------------------------------------------------------ */
void reco__ingest_dispose(reco_engine *engine);

/* --- ingest_ready.c ------------------------------------------------------------------------------------------------------------------------ */
/* CLOCK when `now` is further ahead of the monotonic clock than the skew allows. */
reco_status reco__ingest_clock(reco_engine *engine, int64_t now, reco_error *err);
/* What an append of events answered. */
void reco__ingest_outcome(reco_engine *engine, reco_status status, const reco_error *err);

/* --- state.c ------------------------------------------------------------------------------------------------------------------------------- */
/* Entries of a row after what is due was applied to it: absent (count 0), cut, or as it is. */
typedef struct reco__row {
    uint32_t board, item;
    int64_t generation;
    const reco_entry *entries;
    size_t count;
} reco__row;
/* Walks the state in canonical content (not order): due closings applied, expired cells left out. Functions may be NULL; non-OK stops. */
typedef struct reco__state_walker {
    void *context;
    reco_status (*begin)(void *context, const reco_features_info *info, const reco_position *positions, reco_error *err);
    reco_status (*row)(void *context, const reco__row *row, reco_error *err);
    reco_status (*cell)(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at, reco_error *err);
    reco_status (*head)(void *context, uint32_t item, const void *data, size_t size, reco_error *err);
} reco__state_walker;
/* After a walk that ended BUSY (parts of the store did not agree): pauses, and answers whether to walk again. *tries begins at 0. */
bool reco__state_wait(uint32_t *tries, const reco_call *call);
/* The same, but for walks that failed otherwise, or would fail again. */
bool reco__state_again(uint32_t *tries, reco_status status, const reco_error *err, const reco_call *call);
reco_status reco__state_walk(reco__features *features, const reco__learn_rules *rules, uint32_t partitions, const reco__state_walker *walker,
                             const reco_call *call, reco_error *err);

/* The state hash under way: the sum mod 2^128 of a hash per tuple. */
typedef struct reco__state_hash {
    reco__u128 clocks, boards[RECO_BOARD_COUNT], cell_sum; /* by table, so that a difference can be named */
    uint64_t rows, entries, cells;
} reco__state_hash;
reco__u128 reco__state_hash_total(const reco__state_hash *hash);
void reco__state_hash_clocks(reco__state_hash *hash, const reco_position *positions, uint32_t partitions);
reco_status reco__state_hash_row(reco__state_hash *hash, reco__buf *scratch, reco__features *features, const reco__row *row, reco_error *err);
/* `canonical`: the cell in canonical form. */
void reco__state_hash_cell(reco__state_hash *hash, reco__buf *scratch, reco_str user, const void *canonical, size_t size);
void reco__state_hash_text(char out[40], const reco__state_hash *hash);

/* --- snapshot.c ---------------------------------------------------------------------------------------------------------------------------- */
/* Loads a snapshot that fits the engine into an empty (or to be emptied) store. */
reco_status reco__snapshot_load(reco__features *features, reco_engine *engine, const char *path, const reco_call *call, reco_error *err);
/* The same from an open file, from where it stands. */
reco_status reco__snapshot_load_stream(reco__features *features, reco_engine *engine, FILE *file, const reco_call *call, reco_error *err);
/* Takes a snapshot into an unlinked file made beside `beside`, at its beginning; the caller's to close. */
reco_status reco__snapshot_spool(FILE **out, reco_snapshot_result *result, reco_position *positions, reco_engine *engine, const char *beside,
                                 const reco_call *call, reco_error *err);
/* A part of one, into a scratch store: names and popularity, which take a small part of the memory; or cells, with the item
 * numbers of the engine's own features. The store's state is not that of the snapshot, and is not compared with the hash it states. */
reco_status reco__snapshot_load_popular(reco__features *scratch, reco_engine *engine, const char *path, const reco_call *call, reco_error *err);
reco_status reco__snapshot_load_cells(reco__features *scratch, reco_engine *engine, const char *path, const reco_call *call, reco_error *err);

/* Positions a snapshot was taken at. REFUSED when it is of another stream or other settings; the rest of the file is not looked at. */
reco_status reco__snapshot_positions(reco_position *positions, const char *path, reco_str fingerprint, const uint8_t stream_id[16],
                                     uint32_t partitions, reco_error *err);

/* --- verify.c ------------------------------------------------------------------------------------------------------------------------------ */
/* Learns the stream into a store up to the given positions; counts in *out. */
reco_status reco__verify_replay(reco_verification *out, reco_engine *engine, reco__features *scratch, const reco_position *targets,
                                const reco_call *call, reco_error *err);

/* --- open.c -------------------------------------------------------------------------------------------------------------------------------- */
/* Opens features like the engine's own, at another URL. */
reco_status reco__engine_open_features(reco__features **out, reco_engine *engine, const char *url, uint32_t flags, const reco_call *call,
                                       reco_error *err);
/* A borrowed string that may be absent: data without size, size with data, valid UTF-8, at most `most` bytes. INVALID naming the field. */
reco_status reco__engine_text(reco_str text, size_t most, const char *field, reco_error *err);
/* Checks an engine pointer and a call at the beginning of a public function. */
reco_status reco__engine_enter(const reco_engine *engine, const reco_call *call, reco_error *err);

#endif
