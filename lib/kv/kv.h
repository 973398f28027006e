/* kv/kv.h - LMDB, wrapped once, by the rules of docs/ARCHITECTURE.md, "The embedded store".
 *
 * An environment is a folder with one data file (or, for `memory:`, the same on unlinked files in shared memory). Tables are LMDB's named databases.
 * Values handed out by get and cursors point into the memory map and are valid until the transaction ends (read) or until the next write in the
 * same transaction (write). SHARED: reco__kv. CONFINED: transactions and cursors. */
#ifndef RECO__KV_H
#define RECO__KV_H

#include "base/base.h"

typedef struct reco__kv reco__kv;
typedef struct reco__kv_txn reco__kv_txn;
typedef struct reco__kv_cursor reco__kv_cursor;
typedef uint32_t reco__kv_table;

#define RECO__KV_MEMORY 1u     /* unlinked files in shared memory; this process only */
#define RECO__KV_NOSYNC 2u     /* features: no fsync; boot id and clean-close mark decide at open whether the content may be trusted */
#define RECO__KV_BACKGROUND 4u /* a committer thread; else the first waiter commits for all */
#define RECO__KV_READONLY 8u
/* Looks at what is there beside whoever has it open, and leaves no trace: no presence, no file, no mark. With READONLY. NOT_FOUND when there is
 * nothing; otherwise as open. Where this process has the environment open already it is shared, whatever its flags; while it is looked at it cannot
 * be opened otherwise by this process. */
#define RECO__KV_LOOK 16u

typedef struct reco__kv_options {
    const char *directory; /* the libreco directory, created when missing; ignored with RECO__KV_MEMORY */
    const char *name;      /* "stream", "features", "records": the sub-folder */
    uint32_t flags;
    uint32_t max_tables;     /* 0: 64 */
    uint64_t map_size;       /* bytes of address space; 0: 256 GiB (in memory: twice the RAM when that is less) */
    uint64_t min_free;       /* write jobs answer FULL below this many free bytes on the disk; 0: none; not for memory */
    uint64_t slack;          /* bytes the file is kept (sparse) ahead of the last page: more than one transaction can allocate; 0: 64 MiB */
    uint32_t job_records;    /* a commit takes up to this many records of queued jobs; 0: 1,000 */
    uint32_t max_readers;    /* pooled read transactions; 0: cores x 4, at least 16 */
    const char *format;      /* checked at open: name of the format held, such as "reco-stream"; refused when another */
    uint32_t format_version; /* NEWER when the stored one is larger; refused when smaller (a migration is another door's work) */
} reco__kv_options;

/* Opens, or shares the environment this process already has open on the same folder (registry by device and inode; counted; differing flags are
 * refused). *fresh (may be NULL) tells that it was created now, or, with NOSYNC, that what was there could not be trusted and was discarded.
 * Errors: CORRUPT (truncated or damaged), NEWER, REFUSED (network file system, another PID namespace), BUSY, FULL, IO, FORKED. */
reco_status reco__kv_open(reco__kv **out, const reco__kv_options *options, bool *fresh, reco_error *err);
void reco__kv_close(reco__kv *kv);

/* 16 random bytes made with the environment: its identity. */
void reco__kv_id(const reco__kv *kv, uint8_t out[16]);
/* OK in the process that opened it, FORKED in a child of it. */
reco_status reco__kv_alive(const reco__kv *kv, reco_error *err);
/* A block of `size` bytes kept with the environment under a name, the same for all who open the environment in this process; freed at the last close.
 * The first caller makes it, a copy of `initial` (NULL: cleared). INTERNAL when it exists with another size. */
reco_status reco__kv_share(void **out, reco__kv *kv, const char *name, size_t size, const void *initial, reco_error *err);
/* Folder of the environment, terminated; "" for memory. Valid until close. */
const char *reco__kv_path(const reco__kv *kv);

/* Opens or creates a table by name (once per process and environment; cheap when known). Not inside a transaction of the caller. */
reco_status reco__kv_table_open(reco__kv_table *out, reco__kv *kv, const char *name, reco_error *err);

/* The names of all tables, terminated, in order; from a transaction of its own, within which the sink is called. */
reco_status reco__kv_tables(reco__kv *kv, void (*sink)(void *context, const char *name), void *context, reco_error *err);

/* --- reading ----------------------------------------------------------------------------------------------------------------------------- */
/* Pooled, renewed. To be ended within 100 ms except for scans that say RECO__KV_LONG and check reco__kv_grown. */
#define RECO__KV_LONG 1u
reco_status reco__kv_read_begin(reco__kv_txn **out, reco__kv *kv, uint32_t flags, reco_error *err);
void reco__kv_read_end(reco__kv_txn *txn);
/* Bytes by which the file has grown since this read transaction began. */
uint64_t reco__kv_grown(const reco__kv_txn *txn);

/* --- writing ----------------------------------------------------------------------------------------------------------------------------- */
/* One write transaction at a time per environment, over all processes; never nested (INTERNAL). begin waits for the writer lock. A write transaction
 * belongs to the thread that began it. FULL below min_free. */
reco_status reco__kv_write_begin(reco__kv_txn **out, reco__kv *kv, reco_error *err);
/* The same for a transaction that frees space (trimming, sweeping, closing): allowed below min_free. */
reco_status reco__kv_write_begin_freeing(reco__kv_txn **out, reco__kv *kv, reco_error *err);
reco_status reco__kv_commit(reco__kv_txn *txn, reco_error *err); /* ends it either way */
void reco__kv_abort(reco__kv_txn *txn);

/* Group commit. A job is the caller's struct, alive until wait (or a failed submit) returned. `run` is called inside a transaction shared with other
 * jobs, perhaps more than once (when another job of the same transaction failed and everything is run again without it), so it must start from its
 * inputs each time. `run` returning non-OK takes this job out; its writes are undone. Results are valid after wait returned OK, when the transaction
 * is durable. */
typedef struct reco__kv_job {
    reco_status (*run)(reco__kv_txn *txn, struct reco__kv_job *job, reco_error *err);
    void *context;
    uint32_t records; /* weight of the job for job_records */
    /* the rest belongs to kv */
    struct reco__kv_job *next;
    int32_t state;
    reco_error error;
} reco__kv_job;
/* Queues; returns at once. BUSY when the queue holds more than 64 x job_records, FULL below min_free. */
reco_status reco__kv_submit(reco__kv *kv, reco__kv_job *job, reco_error *err);
/* Until the job's transaction is durable, or the job failed. A job whose wait times out (call deadline) goes on: wait again, or it is lost to the
 * caller's knowledge but not undone; the job must stay alive until a wait has returned something else than TIMEOUT or CANCELLED. */
reco_status reco__kv_wait(reco__kv *kv, reco__kv_job *job, const reco_call *call, reco_error *err);

/* Called by the committer inside each group transaction after its jobs, before the commit; and after a successful commit, outside it. Set once after
 * open. */
typedef struct reco__kv_hooks {
    void *context;
    reco_status (*before_commit)(void *context, reco__kv_txn *txn, reco_error *err);
    void (*after_commit)(void *context);
} reco__kv_hooks;
void reco__kv_set_hooks(reco__kv *kv, const reco__kv_hooks *hooks);
/* The same for one transaction: a job's `run` adds its hooks to the transaction it runs in (once: a node already there is left alone). The node is
 * the caller's, alive until the environment is closed (in a reco__kv_share block, say). Nodes are forgotten when the transaction ends or is run
 * again. */
typedef struct reco__kv_enlisted {
    reco__kv_hooks hooks;
    struct reco__kv_enlisted *next;
} reco__kv_enlisted;
bool reco__kv_enlist(reco__kv_txn *txn, reco__kv_enlisted *node); /* true when it was not there yet */

/* --- keys and values ---------------------------------------------------------------------------------------------------------------------- */
typedef struct reco__kv_value {
    const void *data;
    size_t size;
} reco__kv_value;

/* NOT_FOUND without touching err when the key is missing. */
reco_status reco__kv_get(reco__kv_value *out, reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, reco_error *err);
reco_status reco__kv_put(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, const void *value, size_t size, reco_error *err);
/* Key is larger than every one in the table. CONFLICT when it is not. */
reco_status reco__kv_append(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, const void *value, size_t size,
                            reco_error *err);
/* Space for `size` bytes to be filled by the caller before the next write of the transaction (MDB_RESERVE). */
reco_status reco__kv_reserve(void **out, reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, size_t size, reco_error *err);
/* OK also when the key was not there. */
reco_status reco__kv_delete(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, reco_error *err);

reco_status reco__kv_cursor_open(reco__kv_cursor **out, reco__kv_txn *txn, reco__kv_table table, reco_error *err);
void reco__kv_cursor_close(reco__kv_cursor *cursor);
enum { RECO__KV_FIRST, RECO__KV_LAST, RECO__KV_NEXT, RECO__KV_PREVIOUS, RECO__KV_EXACT /* key equals */, RECO__KV_FROM /* first key >= key */ };
/* Moves; NOT_FOUND at the ends. `key` is read for EXACT and FROM (not for the others, where it may be NULL on input...) and set to the key found;
 * both may be NULL on output. */
reco_status reco__kv_seek(reco__kv_cursor *cursor, int how, reco__kv_value *key, reco__kv_value *value, reco_error *err);
/* At the cursor: replaces the value of the current key; deletes the current key (a following NEXT then gives its successor). */
reco_status reco__kv_cursor_put(reco__kv_cursor *cursor, const void *key, size_t key_size, const void *value, size_t size, reco_error *err);
reco_status reco__kv_cursor_replace(reco__kv_cursor *cursor, const void *key, size_t key_size, const void *value, size_t size, reco_error *err);
/* Like replace, for a value to be filled in by the caller; of the same key the cursor stands on. */
reco_status reco__kv_cursor_reserve(void **out, reco__kv_cursor *cursor, const void *key, size_t key_size, size_t size, reco_error *err);
reco_status reco__kv_cursor_delete(reco__kv_cursor *cursor, reco_error *err);

/* --- accounting --------------------------------------------------------------------------------------------------------------------------- */
typedef struct reco__kv_stats {
    uint64_t file_bytes; /* apparent size */
    uint64_t disk_bytes; /* blocks x 512 */
    uint64_t used_bytes; /* pages in use x page size */
    uint64_t commits, jobs, records;
    uint32_t readers;
} reco__kv_stats;
reco_status reco__kv_stat(reco__kv_stats *out, reco__kv *kv, reco_error *err);
reco_status reco__kv_table_stat(uint64_t *entries, uint64_t *bytes, reco__kv *kv, reco__kv_table table, reco_error *err);

/* --- looking at a folder (look.c) ---------------------------------------------------------------------------------------------------------- */

enum { RECO__KV_NEVER, RECO__KV_CLEAN, RECO__KV_THIS_BOOT, RECO__KV_OTHER_BOOT }; /* how a NOSYNC environment was left */
#define RECO__KV_HOLDERS 16u

/* What can be seen of an environment's folder without opening it. */
typedef struct reco__kv_place {
    bool exists;         /* the folder */
    bool has_data, made; /* the file, and the mark that it was made whole */
    bool held;           /* a process has it open */
    bool foreign;        /* of another PID namespace */
    int left;            /* RECO__KV_NEVER ... */
    int64_t clock_jump;  /* ms the wall clock was set forward, against the monotonic one, since the last commit that woke others; 0: not known */
    uint64_t file_bytes;
    uint64_t map_size;                 /* as the last writer had it; 0: not known */
    uint64_t used_bytes;               /* up to the last page; 0: not known */
    int32_t holders[RECO__KV_HOLDERS]; /* processes that have it open, as far as /proc shows them */
    uint32_t holder_count;
} reco__kv_place;
/* REFUSED on a network file system; IO when it cannot be looked into. */
reco_status reco__kv_place_look(reco__kv_place *out, const char *directory, const char *name, reco_error *err);
/* CORRUPT, NEWER: what opening it would say about its data file. */
reco_status reco__kv_place_check(const char *directory, const char *name, reco_error *err);

/* Readers in the lock file: those of processes that are gone, and the one that holds the oldest transaction. */
typedef struct reco__kv_readers {
    uint32_t count, stale;
    int32_t oldest_pid;
    uint64_t oldest_behind; /* transactions; 0: none is held */
} reco__kv_readers;
reco_status reco__kv_readers_look(reco__kv_readers *out, reco__kv *kv, reco_error *err);

/* --- wake-up between processes ------------------------------------------------------------------------------------------------------------ */
/* A counter in a shared file (futex), bumped after each commit by the owner of the hooks; wait returns when it differs from `seen`, on timeout, or
 * after 10 ms at most as the fallback. */
uint32_t reco__kv_signal_value(const reco__kv *kv);
void reco__kv_signal_bump(reco__kv *kv);
void reco__kv_signal_wait(reco__kv *kv, uint32_t seen, int64_t timeout_ns);

/* --- locks between processes and threads --------------------------------------------------------------------------------------------------- */
/* OFD locks on single bytes of a lock file beside the environment (for memory: of an unlinked file). Each reco__kv_lock is an open file description
 * of its own, so that locks of two of them exclude each other even in one process; the kernel drops them at kill -9. CONFINED. */
typedef struct reco__kv_lock reco__kv_lock;
reco_status reco__kv_lock_open(reco__kv_lock **out, reco__kv *kv, reco_error *err);
void reco__kv_lock_close(reco__kv_lock *lock); /* releases all its bytes */
bool reco__kv_lock_try(reco__kv_lock *lock, uint32_t byte);
void reco__kv_lock_release(reco__kv_lock *lock, uint32_t byte);
bool reco__kv_lock_held_elsewhere(reco__kv_lock *lock, uint32_t byte);
bool reco__kv_lock_any_elsewhere(reco__kv_lock *lock, uint32_t first, uint32_t count);

#endif
