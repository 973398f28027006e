/* kv/txn.c - transactions: a pool of renewed readers, the writer, and the gate.
 *
 * Every transaction is counted in at the gate. What LMDB allows only while no transaction is open in the process (adopting a map that another process
 * has made larger, opening again after a fatal error) closes the gate, waits for those inside to leave, works, and opens it. A thread that holds a
 * transaction while another waits at the gate for it would wait for itself: so every wait has an end, and answers BUSY.
 *
 * The writer keeps the file longer than its last page (sparse), because a file that ends early is how truncation is told (precheck.c): at the
 * beginning of each transaction by `slack`, and during it whenever the estimate of what was allocated has used that up. Only the holder of the writer
 * lock changes the length.
 *
 * A reader has a slot in LMDB's table of readers, in a file that all processes write. One that another process has emptied or given away, because it
 * took this process for dead, is refused as MDB_BAD_RSLOT, for ever. It is given up then, without a write to what may be somebody else's by now: the
 * transaction's memory is lost, and the next one takes another slot. */
#include "kv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct timespec gate_deadline(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += KV_GATE_WAIT_MS / 1000;
    at.tv_nsec += KV_GATE_WAIT_MS % 1000 * 1000000l;
    if (at.tv_nsec >= 1000000000l) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000l;
    }
    return at;
}

/* One more inside; with a transaction from the pool when `out` is given. */
static reco_status enter(reco__kv_txn **out, reco__kv *kv, reco_error *err) {
    struct timespec deadline = {0, 0};
    pthread_mutex_lock(&kv->gate_mutex);
    while (kv->gate_closed || (out && !kv->free)) {
        if (deadline.tv_sec == 0) {
            deadline = gate_deadline();
        }
        if (pthread_cond_timedwait(&kv->gate_cond, &kv->gate_mutex, &deadline) == ETIMEDOUT && (kv->gate_closed || (out && !kv->free))) {
            bool closed = kv->gate_closed;
            pthread_mutex_unlock(&kv->gate_mutex);
            return closed ? reco__fail(err, RECO_BUSY, NULL, "the map is being changed")
                          : reco__fail(err, RECO_BUSY, "max_readers", "all %u read transactions are in use", kv->options.max_readers);
        }
    }
    kv->active++;
    if (out) {
        *out = kv->free;
        kv->free = kv->free->next_free;
    }
    pthread_mutex_unlock(&kv->gate_mutex);
    return RECO_OK;
}

static void leave(reco__kv *kv, reco__kv_txn *txn) {
    pthread_mutex_lock(&kv->gate_mutex);
    kv->active--;
    if (txn) {
        txn->next_free = kv->free;
        kv->free = txn;
    }
    /* One waiter for a transaction, or the one who waits at the closed gate among them. */
    bool closed = kv->gate_closed;
    pthread_mutex_unlock(&kv->gate_mutex);
    if (closed) {
        pthread_cond_broadcast(&kv->gate_cond);
    } else {
        pthread_cond_signal(&kv->gate_cond);
    }
}

/* --- behind the gate -----------------------------------------------------------------------------------------------------------------------------
 */

/* *mine tells that the gate is closed by us; else another thread has just done such work. */
static reco_status close_gate(bool *mine, reco__kv *kv, reco_error *err) {
    struct timespec deadline = gate_deadline();
    int rc = 0;
    reco_status status = RECO_OK;
    pthread_mutex_lock(&kv->gate_mutex);
    *mine = !kv->gate_closed;
    kv->gate_closed = true;
    while (rc != ETIMEDOUT && (*mine ? kv->active > 0 : kv->gate_closed)) {
        rc = pthread_cond_timedwait(&kv->gate_cond, &kv->gate_mutex, &deadline);
    }
    if (*mine ? kv->active > 0 : kv->gate_closed) {
        status = reco__fail(err, RECO_BUSY, "map_size", "the map is to be changed, and a transaction is open");
        if (*mine) {
            kv->gate_closed = false;
            pthread_cond_broadcast(&kv->gate_cond);
        }
    }
    pthread_mutex_unlock(&kv->gate_mutex);
    return status;
}

static void open_gate(reco__kv *kv) {
    pthread_mutex_lock(&kv->gate_mutex);
    kv->gate_closed = false;
    pthread_cond_broadcast(&kv->gate_cond);
    pthread_mutex_unlock(&kv->gate_mutex);
}

reco_status reco__kv_adopt_size(reco__kv *kv, reco_error *err) {
    bool mine;
    reco_status status = close_gate(&mine, kv, err);
    if (status != RECO_OK || !mine) {
        return status;
    }
    if (kv->env) {
        int rc = mdb_env_set_mapsize(kv->env, 0);
        status = rc == 0 ? RECO_OK : reco__kv_fail(kv, rc, "map size", err);
    }
    open_gate(kv);
    return status;
}

static void drop_cursors(reco__kv_txn *txn) {
    for (uint32_t c = 0; c < KV_CURSORS; c++) {
        if (txn->cursors[c].mc) {
            mdb_cursor_close(txn->cursors[c].mc);
            txn->cursors[c].mc = NULL;
        }
    }
}

/* A line of LMDB's list of readers begins with the process. */
static int count_own(const char *line, void *context) {
    uint32_t *own = context;
    *own += strtol(line, NULL, 10) == (long)getpid();
    return 0;
}

/* Whether the table of readers has all slots that the pool holds; true where there is no table. */
static bool slots_are_there(const reco__kv *kv) {
    uint32_t held = 0, own = 0;
    unsigned flags = 0;
    if (!kv->env || mdb_env_get_flags(kv->env, &flags) != 0 || (flags & MDB_NOLOCK)) {
        return true;
    }
    for (uint32_t i = 0; i < kv->options.max_readers; i++) {
        held += kv->pool[i].mt != NULL;
    }
    return held == 0 || (mdb_reader_list(kv->env, count_own, &own) >= 0 && own >= held);
}

void reco__kv_pool_drop(reco__kv *kv) {
    bool there = slots_are_there(kv);
    for (uint32_t i = 0; i < kv->options.max_readers; i++) {
        reco__kv_txn *txn = &kv->pool[i];
        drop_cursors(txn);
        if (txn->mt && there) { /* it empties its slot, which closing the environment does, too, for those that are ours */
            mdb_txn_abort(txn->mt);
        }
        txn->mt = NULL;
    }
}

static int find_tables_again(reco__kv *kv) {
    MDB_txn *mt;
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &mt);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < kv->table_count && rc == 0; i++) {
        rc = mdb_dbi_open(mt, kv->tables[i].name, 0, &kv->tables[i].dbi);
    }
    if (rc != 0) {
        mdb_txn_abort(mt);
        return rc;
    }
    return mdb_txn_commit(mt);
}

static reco_status reopen_behind_gate(reco__kv *kv, reco_error *err) {
    reco__kv_env_close(kv);
    reco_status status = reco__kv_env_open(kv, err);
    if (status != RECO_OK) {
        return status;
    }
    int rc = find_tables_again(kv);
    if (rc != 0) {
        reco__kv_env_close(kv);
        return reco__kv_fail(kv, rc, "opening again", err);
    }
    return RECO_OK;
}

reco_status reco__kv_reopen(reco__kv *kv, reco_error *err) {
    bool mine;
    if (kv->flags & RECO__KV_MEMORY) {
        return reco__fail(err, RECO_IO, NULL, "the store in memory failed");
    }
    reco_status status = close_gate(&mine, kv, err);
    if (status != RECO_OK || !mine) {
        return status;
    }
    status = reopen_behind_gate(kv, err);
    open_gate(kv);
    return status;
}

/* What can be mended when a transaction cannot begin: true to try again. */
static bool mend(reco_status *status, reco__kv *kv, int rc, reco_error *err) {
    switch (rc) {
    case MDB_MAP_RESIZED:
        *status = reco__kv_adopt_size(kv, err);
        break;
    case MDB_PANIC:
        *status = reco__kv_reopen(kv, err);
        break;
    case MDB_READERS_FULL:
        reco__kv_reader_check(kv);
        *status = RECO_OK;
        break;
    case MDB_BAD_RSLOT: /* given up by the caller, who had it */
        *status = RECO_OK;
        break;
    default:
        *status = reco__kv_fail(kv, rc, "transaction", err);
        return false;
    }
    return *status == RECO_OK;
}

void reco__kv_reader_check(reco__kv *kv) {
    int dead;
    __atomic_store_n(&kv->checked_ns, reco__monotonic_ns(), __ATOMIC_RELAXED);
    mdb_reader_check(kv->env, &dead);
}

void reco__kv_map_full(reco__kv *kv) {
    reco__kv_reader_check(kv);
    __atomic_store_n(&kv->map_full, 1, __ATOMIC_RELAXED);
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------------------------
 */

static uint64_t last_page(reco__kv *kv) {
    MDB_envinfo info;
    mdb_env_info(kv->env, &info);
    return info.me_last_pgno;
}

static int begin_reading(reco__kv *kv, reco__kv_txn *txn) {
    if (!kv->env) {
        return MDB_PANIC;
    }
    int rc = txn->mt ? mdb_txn_renew(txn->mt) : mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn->mt);
    if (rc == 0) {
        txn->last_page = last_page(kv);
    }
    return rc;
}

static void give_up_slot(const reco__kv *kv, reco__kv_txn *txn) {
    drop_cursors(txn);
    txn->mt = NULL;
    reco__log(RECO_LOG_WARN, "kv", "%s: another process emptied a slot of ours in the table of readers; it is given up", kv->path);
}

/* The flag RECO__KV_LONG is a promise of the caller; there is nothing to be done differently. */
reco_status reco__kv_read_begin(reco__kv_txn **out, reco__kv *kv, uint32_t flags, reco_error *err) {
    (void)flags;
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK || (status = reco__fault("kv.read_begin", err)) != RECO_OK) {
        return status;
    }
    for (int tries = 0;; tries++) {
        reco__kv_txn *txn;
        status = enter(&txn, kv, err);
        if (status != RECO_OK) {
            return status;
        }
        int rc = begin_reading(kv, txn);
        if (rc == 0) {
            *out = txn;
            return RECO_OK;
        }
        if (rc == MDB_BAD_RSLOT) {
            give_up_slot(kv, txn);
        }
        leave(kv, txn);
        if (tries == 3) {
            return reco__kv_fail(kv, rc, "read transaction", err);
        }
        if (!mend(&status, kv, rc, err)) {
            return status;
        }
    }
}

static void close_cursors(reco__kv_txn *txn) {
    for (uint32_t i = 0; i < KV_CURSORS; i++) {
        txn->cursors[i].used = false;
    }
    while (txn->extra) {
        reco__kv_cursor *next = txn->extra->next;
        if (!txn->write) {
            mdb_cursor_close(txn->extra->mc);
        }
        reco__release(txn->extra);
        txn->extra = next;
    }
}

void reco__kv_read_end(reco__kv_txn *txn) {
    if (!txn || reco__kv_alive(txn->kv, NULL) != RECO_OK) {
        return;
    }
    close_cursors(txn);
    mdb_txn_reset(txn->mt);
    leave(txn->kv, txn);
}

uint64_t reco__kv_grown(const reco__kv_txn *txn) {
    uint64_t now = last_page(txn->kv);
    return now > txn->last_page ? (now - txn->last_page) * txn->kv->page_size : 0;
}

/* --- writing ---------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status lengthen(reco__kv *kv, uint64_t wanted, reco_error *err) {
    int fd;
    struct stat st;
    if (kv->file_size >= wanted) {
        return RECO_OK;
    }
    if (mdb_env_get_fd(kv->env, &fd) != 0 || fstat(fd, &st) != 0) {
        return reco__fail_errno(err, errno, "data.mdb");
    }
    if ((uint64_t)st.st_size < wanted) {
        if (ftruncate(fd, (off_t)wanted) != 0) {
            return reco__fail_errno(err, errno, "data.mdb");
        }
        kv->file_size = wanted;
    } else {
        kv->file_size = (uint64_t)st.st_size;
    }
    return RECO_OK;
}

static reco_status extend_at_begin(reco__kv_txn *txn, reco_error *err) {
    reco__kv *kv = txn->kv;
    uint64_t end = (txn->last_page + 1) * kv->page_size + kv->options.slack, step = kv->options.slack / 4 + 1;
    if (kv->file_size >= end) {
        return RECO_OK;
    }
    return lengthen(kv, (end + step) / 4096 * 4096, err);
}

/* Zeros beyond the last page, so that the commits of small transactions only overwrite: a sync that has to allocate blocks waits for the file
 * system's journal, which costs several times as much. Nobody reads or writes there while we hold the writer lock. A failure costs only speed. */
static void write_ahead(reco__kv_txn *txn) {
    static const char zeros[65536];
    reco__kv *kv = txn->kv;
    int fd;
    uint64_t *shared = (uint64_t *)(void *)kv->signal + KV_WRITTEN, written = __atomic_load_n(shared, __ATOMIC_RELAXED);
    uint64_t end = (txn->last_page + 1) * kv->page_size, taken = txn->last_page - kv->begun_page;
    bool bulk = kv->begun_page == 0 || taken > KV_SMALL_PAGES;
    kv->begun_page = txn->last_page;
    if ((kv->flags & (RECO__KV_NOSYNC | RECO__KV_MEMORY)) || bulk || (written >= end + KV_AHEAD / 4 && written <= end + 2 * KV_AHEAD) ||
        mdb_env_get_fd(kv->env, &fd) != 0)
        return;
    uint64_t at = written > end && written <= end + 2 * KV_AHEAD ? written : end;
    for (uint64_t stop = at + KV_AHEAD; at < stop; at += sizeof zeros) {
        if (pwrite(fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros)
            return;
    }
    __atomic_store_n(shared, at, __ATOMIC_RELAXED);
}

/* The transaction has allocated more than it was expected to. */
reco_status reco__kv_extend(reco__kv_txn *txn) {
    reco__kv *kv = txn->kv;
    uint64_t room = txn->bytes + kv->options.slack;
    reco_status status = lengthen(kv, (txn->last_page + 1) * kv->page_size + room, NULL);
    if (status == RECO_OK) {
        txn->room = room;
    }
    return status;
}

/* Who may write is settled before LMDB's mutex is touched, by a lock the kernel keeps. That mutex loses a wake-up when a waiter is killed after it
 * was woken and a third process takes the mutex in between: the others then sleep on a mutex that is free, for ever if nobody contends for it again.
 */
static reco_status take_turn(reco__kv *kv, reco_error *err) {
    pthread_mutex_lock(&kv->writer_mutex);
    int error = kv->flags & RECO__KV_MEMORY ? 0 : reco__kv_byte_wait(kv->lock_fd, KV_BYTE_WRITER);
    if (error != 0) {
        pthread_mutex_unlock(&kv->writer_mutex);
    }
    return error == 0 ? RECO_OK : reco__fail_errno(err, error, "reco.lock");
}

static void end_turn(reco__kv *kv) {
    if (!(kv->flags & RECO__KV_MEMORY)) {
        reco__kv_byte_lock(kv->lock_fd, KV_BYTE_WRITER, F_UNLCK);
    }
    pthread_mutex_unlock(&kv->writer_mutex);
}

static reco_status take_writer(reco__kv *kv, reco_error *err) {
    for (int tries = 0;; tries++) {
        MDB_txn *mt;
        reco_status status = enter(NULL, kv, err);
        if (status != RECO_OK) {
            return status;
        }
        int rc = kv->env ? mdb_txn_begin(kv->env, NULL, 0, &mt) : MDB_PANIC;
        if (rc == 0) {
            kv->writer.mt = mt; /* LMDB's writer lock is ours, and with it kv->writer */
            return RECO_OK;
        }
        leave(kv, NULL);
        if (tries == 3) {
            return reco__kv_fail(kv, rc, "write transaction", err);
        }
        if (!mend(&status, kv, rc, err)) {
            return status;
        }
    }
}

/* Without the check for space, which is the callers'. */
reco_status reco__kv_write_start(reco__kv *kv, reco_error *err) {
    uintptr_t self = (uintptr_t)pthread_self();
    if (__atomic_load_n(&kv->writer_thread, __ATOMIC_RELAXED) == self) {
        return reco__fail(err, RECO_INTERNAL, NULL, "a write transaction within another");
    }
    reco_status status = take_turn(kv, err);
    if (status != RECO_OK) {
        return status;
    }
    status = take_writer(kv, err);
    if (status != RECO_OK) {
        end_turn(kv);
        return status;
    }
    reco__kv_txn *txn = &kv->writer;
    txn->failed = RECO_OK;
    txn->writes = txn->bytes = 0;
    txn->room = kv->options.slack;
    txn->enlisted = NULL;
    txn->last_page = last_page(kv);
    __atomic_store_n(&kv->writer_thread, self, __ATOMIC_RELAXED);
    if (reco__monotonic_ns() - __atomic_load_n(&kv->checked_ns, __ATOMIC_RELAXED) > KV_CHECK_NS) {
        reco__kv_reader_check(kv);
    }
    status = extend_at_begin(txn, err);
    if (status != RECO_OK) {
        reco__kv_abort(txn);
    } else {
        write_ahead(txn);
    }
    return status;
}

reco_status reco__kv_write_begin_freeing(reco__kv_txn **out, reco__kv *kv, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status == RECO_OK) {
        status = reco__fault("kv.write_begin", err);
    }
    if (status == RECO_OK) {
        status = reco__kv_write_start(kv, err);
    }
    if (status == RECO_OK) {
        *out = &kv->writer;
    }
    return status;
}

reco_status reco__kv_write_begin(reco__kv_txn **out, reco__kv *kv, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status == RECO_OK) {
        status = reco__kv_check_space(kv, err);
    }
    return status == RECO_OK ? reco__kv_write_begin_freeing(out, kv, err) : status;
}

/* LMDB frees the cursors of a write transaction with it. */
static void forget_cursors(reco__kv_txn *txn) {
    close_cursors(txn);
    for (uint32_t i = 0; i < KV_CURSORS; i++) {
        txn->cursors[i].mc = NULL;
    }
}

/* Ends our part in kv->writer: with LMDB's transaction goes the lock, and kv->writer is another thread's. */
static MDB_txn *give_away(reco__kv_txn *txn) {
    MDB_txn *mt = txn->mt;
    forget_cursors(txn);
    txn->mt = NULL;
    txn->enlisted = NULL;
    __atomic_store_n(&txn->kv->writer_thread, 0, __ATOMIC_RELAXED);
    return mt;
}

static reco_status refuse_commit(reco__kv_txn *txn, reco_status status) {
    reco__kv_abort(txn);
    return status;
}

reco_status reco__kv_commit(reco__kv_txn *txn, reco_error *err) {
    reco__kv *kv = txn->kv;
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK) {
        return status;
    }
    if (txn->failed != RECO_OK) {
        return refuse_commit(txn, reco__fail(err, txn->failed, NULL, "an operation of the transaction failed"));
    }
    if ((status = reco__fault("kv.commit", err)) != RECO_OK) {
        return refuse_commit(txn, status);
    }
    MDB_txn *mt = give_away(txn);
    int rc = mdb_txn_commit(mt);
    if (rc == 0) {
        __atomic_add_fetch(&kv->commits, 1, __ATOMIC_RELAXED);
    } else if (rc == MDB_MAP_FULL) {
        reco__kv_map_full(kv);
    }
    leave(kv, NULL);
    end_turn(kv);
    return rc == 0 ? RECO_OK : reco__kv_fail(kv, rc, "commit", err);
}

void reco__kv_abort(reco__kv_txn *txn) {
    if (!txn || reco__kv_alive(txn->kv, NULL) != RECO_OK) {
        return;
    }
    MDB_txn *mt = give_away(txn);
    mdb_txn_abort(mt);
    leave(txn->kv, NULL);
    end_turn(txn->kv);
}
