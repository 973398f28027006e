/* kv/internal.h - what the files of lib/kv share. Nobody else includes it (tests may). */
#ifndef RECO__KV_INTERNAL_H
#define RECO__KV_INTERNAL_H

#include "kv/kv.h"
#include <lmdb.h>
#include <pthread.h>
#include <sys/types.h>

#define KV_CURSORS 8u        /* cursors kept in a transaction; more are allocated */
#define KV_GATE_WAIT_MS 1000 /* longest wait for a pooled read transaction, or for readers to leave before the map is changed */
#define KV_CHECK_NS 10000000000ll
#define KV_COMMIT_NS 5000000ll
#define KV_NEARLY_FULL (16u << 20) /* an EIO with less than this left on the disk was a full disk */
#define KV_MAX_READERS 1022u       /* slots in LMDB's lock file, for all processes */
#define KV_META_TABLE "_kv"
#define KV_WRITTEN 8u            /* u64 index in the shared page; likewise the two below */
#define KV_BOOT 16u
#define KV_CLOCK 17u
#define KV_AHEAD (1u << 20)      /* bytes written ahead of a synced file at a time */
#define KV_SMALL_PAGES 64u       /* a transaction that takes more is bulk: its commit is dear anyway */

/* Bytes of our lock file. Those of callers are 0 .. 2^32-1. */
#define KV_BYTE_GUARD ((int64_t)1 << 40)          /* held while an environment is opened or closed */
#define KV_BYTE_PRESENCE (((int64_t)1 << 40) + 1) /* held shared by every process that has it open */
#define KV_BYTE_WRITER (((int64_t)1 << 40) + 2)   /* held by the process that writes */

struct reco__kv_cursor {
    MDB_cursor *mc; /* NULL: none yet */
    reco__kv_txn *txn;
    reco__kv_cursor *next; /* in txn->extra */
    reco__kv_table table;
    bool used, heap;
};

struct reco__kv_txn {
    MDB_txn *mt; /* of a pooled read transaction: kept, reset, between uses */
    reco__kv *kv;
    bool write;
    reco_status failed;   /* write: the first operation that spoiled it */
    uint64_t writes;      /* write operations so far: tells whether a failed job left anything behind */
    uint64_t last_page;   /* of the file, when it began */
    uint64_t bytes, room; /* write: estimate of what was allocated, and how much the file was extended for */
    reco__kv_enlisted *enlisted;
    reco__kv_txn *next_free;
    reco__kv_cursor cursors[KV_CURSORS];
    reco__kv_cursor *extra;
};

struct kv_table {
    char *name;
    MDB_dbi dbi;
};

struct kv_shared {
    struct kv_shared *next;
    char *name;
    void *block;
    size_t size;
};

struct reco__kv_lock {
    reco__kv *kv;
    reco__kv_lock *next; /* in kv->locks, under the registry's mutex */
    int fd;
};

struct reco__kv {
    /* identity: fixed after open */
    reco__kv *next; /* in the registry */
    dev_t device;
    ino_t inode;
    unsigned count; /* opens, under the registry's mutex */
    pid_t pid;
    uint32_t *alive; /* a page that a forked child sees as zero; NULL: compare pids */
    uint32_t flags;
    reco__kv_options options; /* strings point below */
    char *path;               /* folder */
    char *memory_folder;      /* memory: where the files were; NULL on disk */
    char *format;
    uint8_t id[16];
    int folder_fd; /* -1 for memory */
    int lock_fd;
    /* Shared mapping of one page: the futex word; at KV_WRITTEN how far the file has been written ahead; at KV_CLOCK the milliseconds that the wall
     * clock was ahead of the monotonic one when the word was bumped last, in the boot of KV_BOOT. */
    uint32_t *signal;
    uint64_t boot; /* 0: not known */
    uint64_t page_size;

    MDB_env *env;       /* NULL after a reopen that failed; changed only behind the gate */
    uint64_t file_size; /* known lower bound; only the writer touches it */
    uint64_t begun_page; /* last page when this process began its transaction before; only the writer touches it */
    int64_t checked_ns; /* last check for dead readers */

    pthread_mutex_t tables_mutex;
    struct kv_table *tables; /* options.max_tables of them; entries below table_count never change but for dbi behind the gate */
    uint32_t table_count;

    /* the gate and the pool */
    pthread_mutex_t gate_mutex;
    pthread_cond_t gate_cond;
    bool gate_closed;
    unsigned active; /* transactions that are open or about to be */
    reco__kv_txn *pool, *free;

    /* the writer */
    pthread_mutex_t writer_mutex; /* among the threads of this process; with KV_BYTE_WRITER among processes; before LMDB's own */
    reco__kv_txn writer;
    uintptr_t writer_thread; /* atomic */
    int map_full;            /* atomic: a write found the map full, and dead readers have been looked for since */

    /* group commit */
    pthread_mutex_t queue_mutex;
    pthread_cond_t queue_cond;
    reco__kv_job *head, *tail;
    uint64_t queued_records;
    bool leading, stopping, threaded;
    pthread_t thread;
    reco__kv_hooks hooks;
    uint64_t commits, jobs, records; /* atomic */

    reco__kv_lock *locks;     /* under the registry's mutex */
    struct kv_shared *shared; /* under tables_mutex */
};

/* fail.c */
reco_status reco__kv_fail(reco__kv *kv, int rc, const char *what, reco_error *err);
uint64_t reco__kv_free_bytes(const reco__kv *kv);
reco_status reco__kv_check_space(const reco__kv *kv, reco_error *err);

/* place.c: the folder and the small files beside the data */
reco_status reco__kv_folder_open(int *folder_fd, char **path, const reco__kv_options *options, reco_error *err);
reco_status reco__kv_guard_take(int lock_fd, reco_error *err);
void reco__kv_guard_drop(int lock_fd);
/* Takes the presence of this process; *alone when no other has it open. REFUSED when processes of another PID namespace have. */
reco_status reco__kv_presence_take(bool *alone, int lock_fd, reco_error *err);
/* Whether this process, which holds its presence, is the only one. */
bool reco__kv_presence_alone(int lock_fd);
int reco__kv_byte_lock(int fd, int64_t byte, short type);
int reco__kv_byte_wait(int fd, int64_t byte); /* takes it for writing, however long it takes */
/* NOSYNC: whether the content may be trusted; then marks it as open under this boot, or as closed cleanly. */
bool reco__kv_trusted(int folder_fd);
reco_status reco__kv_mark_open(int folder_fd, reco_error *err);
void reco__kv_mark_clean(int folder_fd);
/* Whether the environment was once made whole; the mark of it. */
bool reco__kv_made(int folder_fd);
reco_status reco__kv_mark_made(int folder_fd, reco_error *err);
uint64_t reco__kv_boot(void); /* a hash of the boot id; 0: not known */
reco_status reco__kv_signal_map(uint32_t **out, int folder_fd, reco_error *err);
reco_status reco__kv_memory_folder(char **path, int *lock_fd, reco_error *err);
void reco__kv_memory_unlink(const char *path);

/* look.c: what the folder shows */
void reco__kv_place_of(reco__kv_place *out, int folder_fd);

/* precheck.c: *missing when there is no file, or one whose making was cut short; CORRUPT instead when the environment was `made` before. */
/* The map size and the bytes up to the last page as the newest meta page has them; false when it cannot be read. */
bool reco__kv_meta_look(uint64_t *map_size, uint64_t *used_bytes, int folder_fd);
reco_status reco__kv_precheck(bool *missing, int folder_fd, bool made, bool alone, const char *path, reco_error *err);

/* env.c */
reco_status reco__kv_env_open(reco__kv *kv, reco_error *err);
void reco__kv_env_close(reco__kv *kv);

/* txn.c */
/* Closes the gate, waits until nobody is inside and adopts the map size of another process, or closes and opens the environment again. */
reco_status reco__kv_adopt_size(reco__kv *kv, reco_error *err);
reco_status reco__kv_reopen(reco__kv *kv, reco_error *err);
void reco__kv_pool_drop(reco__kv *kv); /* ends pooled transactions; behind the gate or at close */
reco_status reco__kv_write_start(reco__kv *kv, reco_error *err);
reco_status reco__kv_extend(reco__kv_txn *txn);
void reco__kv_reader_check(reco__kv *kv);
void reco__kv_map_full(reco__kv *kv); /* dead readers may hold pages: frees them for the next transaction */

/* group.c */
reco_status reco__kv_group_start(reco__kv *kv, reco_error *err);
void reco__kv_group_stop(reco__kv *kv);

/* env.c: the registry's mutex, which also guards the lists of locks */
void reco__kv_registry_lock(void);
void reco__kv_registry_unlock(void);

#endif
