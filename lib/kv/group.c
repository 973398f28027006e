/* kv/group.c - group commit without a timer.
 *
 * Jobs queue up; whoever waits first while nobody commits becomes the leader, takes what is queued (up to job_records records, 5 ms of work), runs it
 * in one transaction and makes it durable for all; meanwhile the queue fills for the next one. A leader goes on until its own job is done, then hands
 * over to a waiter whose job is still queued. With RECO__KV_BACKGROUND a thread does the same and callers only wait.
 *
 * A job that fails before it wrote anything is left out. One that fails later has spoiled the transaction: it is given up, and the others run again
 * without it. (Nested transactions would do, but each costs LMDB an allocation of 2 MB.)
 *
 * A job's state is a futex word: QUEUED -> WAITED (someone sleeps on it) -> LEAD (that one is to lead) -> DONE or FAILED. States before DONE change
 * under queue_mutex only; the last one is written without it, and the job is not touched afterwards. */
#include "kv/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { QUEUED = 1, WAITED, LEAD, DONE, FAILED };

#define QUEUE_FACTOR 64
#define CANCEL_POLL_NS 10000000ll

static void job_wake(reco__kv_job *job) { syscall(SYS_futex, &job->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static void job_sleep(reco__kv_job *job, int32_t seen, int64_t timeout_ns) {
    struct timespec timeout = {timeout_ns / 1000000000, (long)(timeout_ns % 1000000000)};
    syscall(SYS_futex, &job->state, FUTEX_WAIT_PRIVATE, seen, timeout_ns == INT64_MAX ? NULL : &timeout, NULL, 0);
}

static uint64_t weight(const reco__kv_job *job) { return job->records ? job->records : 1; }

/* --- one transaction
 * ---------------------------------------------------------------------------------------------------------------------------------- */

static bool is_out(const reco__kv_job *job) { return job->error.status != RECO_OK; }

static void take_out(reco__kv_job *job, reco_status status) {
    if (job->error.status != (int32_t)status || job->error.text[0] == '\0') {
        reco__fail(&job->error, status, NULL, "%s", reco_status_text((int32_t)status));
    }
}

static void fail_all(reco__kv_job *first, reco_status status, const reco_error *error) {
    for (reco__kv_job *job = first; job; job = job->next) {
        if (!is_out(job)) {
            job->error = *error;
            take_out(job, status);
        }
    }
}

/* What is left of a batch whose time is up goes back to the front of the queue. */
static void put_back(reco__kv *kv, reco__kv_job *last) {
    reco__kv_job *rest = last->next, *end = rest;
    last->next = NULL;
    uint64_t records = weight(rest);
    while (end->next) {
        end = end->next;
        records += weight(end);
    }
    pthread_mutex_lock(&kv->queue_mutex);
    end->next = kv->head;
    kv->head = rest;
    if (!kv->tail) {
        kv->tail = end;
    }
    kv->queued_records += records;
    pthread_mutex_unlock(&kv->queue_mutex);
}

/* Runs the jobs that are still in; false when the transaction is spoiled by one, which has been taken out. */
static bool run_jobs(reco__kv *kv, reco__kv_txn *txn, reco__kv_job *first, bool may_stop, unsigned *alive) {
    int64_t start = reco__monotonic_ns();
    *alive = 0;
    for (reco__kv_job *job = first; job; job = job->next) {
        if (is_out(job)) {
            continue;
        }
        uint64_t before = txn->writes;
        reco_status status = job->run(txn, job, &job->error);
        if (status == RECO_OK && txn->failed != RECO_OK) {
            status = txn->failed;
        }
        if (status != RECO_OK) {
            take_out(job, status);
            if (txn->writes != before || txn->failed != RECO_OK) {
                return false;
            }
            continue;
        }
        memset(&job->error, 0, sizeof job->error);
        ++*alive;
        if (may_stop && job->next && reco__monotonic_ns() - start > KV_COMMIT_NS) {
            put_back(kv, job);
        }
    }
    return true;
}

static reco_status call_hooks(reco__kv *kv, reco__kv_txn *txn, reco_error *err) {
    reco_status status = RECO_OK;
    for (reco__kv_enlisted *node = txn->enlisted; node && status == RECO_OK; node = node->next) {
        if (node->hooks.before_commit) {
            status = node->hooks.before_commit(node->hooks.context, txn, err);
        }
    }
    if (status == RECO_OK && kv->hooks.before_commit) {
        status = kv->hooks.before_commit(kv->hooks.context, txn, err);
    }
    return status;
}

static void count(reco__kv *kv, const reco__kv_job *first) {
    uint64_t jobs = 0, records = 0;
    for (; first; first = first->next) {
        if (!is_out(first)) {
            jobs++;
            records += first->records;
        }
    }
    __atomic_add_fetch(&kv->jobs, jobs, __ATOMIC_RELAXED);
    __atomic_add_fetch(&kv->records, records, __ATOMIC_RELAXED);
}

/* One round: the status that befalls all jobs that are still in; BUSY with *again when the others are to be run anew. */
static reco_status round_of(reco__kv *kv, reco__kv_job *first, bool may_stop, bool *again, reco_error *err) {
    reco__kv_txn *txn;
    unsigned alive;
    *again = false;
    reco_status status = reco__fault("kv.write_begin", err);
    if (status == RECO_OK) {
        status = reco__kv_write_start(kv, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    txn = &kv->writer;
    if (!run_jobs(kv, txn, first, may_stop, &alive)) {
        reco__kv_abort(txn);
        *again = true;
        return RECO_OK;
    }
    if (alive == 0) {
        reco__kv_abort(txn);
        return RECO_OK;
    }
    status = call_hooks(kv, txn, err);
    if (status != RECO_OK) {
        reco__kv_abort(txn);
        return status;
    }
    reco__kv_enlisted *enlisted = txn->enlisted;
    status = reco__kv_commit(txn, err);
    if (status == RECO_OK) {
        count(kv, first);
        for (; enlisted; enlisted = enlisted->next) {
            if (enlisted->hooks.after_commit) {
                enlisted->hooks.after_commit(enlisted->hooks.context);
            }
        }
        if (kv->hooks.after_commit) {
            kv->hooks.after_commit(kv->hooks.context);
        }
    }
    return status;
}

static bool any_in(const reco__kv_job *first) {
    while (first && is_out(first)) {
        first = first->next;
    }
    return first != NULL;
}

/* Pages that dead readers held come free with the check that follows a full map: once per batch, jobs that found no room try again. */
static bool forgive_full(reco__kv *kv, reco__kv_job *first) {
    bool any = false;
    if (!__atomic_exchange_n(&kv->map_full, 0, __ATOMIC_RELAXED)) {
        return false;
    }
    for (; first; first = first->next) {
        if (first->error.status == RECO_FULL) {
            memset(&first->error, 0, sizeof first->error);
            any = true;
        }
    }
    return any;
}

static void run_batch(reco__kv *kv, reco__kv_job *first) {
    bool again = true, forgiven = false;
    __atomic_store_n(&kv->map_full, 0, __ATOMIC_RELAXED);
    for (unsigned rounds = 0; again && any_in(first); rounds++) {
        reco_error error = RECO_ERROR_INIT;
        reco_status status = round_of(kv, first, rounds == 0, &again, &error);
        if (status != RECO_OK) {
            fail_all(first, status, &error);
        }
        if (!forgiven && forgive_full(kv, first)) {
            forgiven = again = true;
        }
    }
}

/* --- the queue
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

/* Under queue_mutex. */
static reco__kv_job *take_batch(reco__kv *kv) {
    reco__kv_job *first = kv->head, *last = first;
    if (!first) {
        return NULL;
    }
    uint64_t records = weight(first);
    while (last->next && records + weight(last->next) <= kv->options.job_records) {
        last = last->next;
        records += weight(last);
    }
    kv->head = last->next;
    if (!kv->head) {
        kv->tail = NULL;
    }
    last->next = NULL;
    kv->queued_records -= records;
    return first;
}

static void publish(reco__kv_job *first) {
    while (first) {
        reco__kv_job *next = first->next;
        int32_t before = __atomic_exchange_n(&first->state, is_out(first) ? FAILED : DONE, __ATOMIC_ACQ_REL);
        if (before == WAITED) {
            job_wake(first);
        }
        first = next;
    }
}

/* Under queue_mutex: the next leader, or none. */
static void hand_over(reco__kv *kv) {
    for (reco__kv_job *job = kv->head; job; job = job->next) {
        if (__atomic_load_n(&job->state, __ATOMIC_RELAXED) == WAITED) {
            __atomic_store_n(&job->state, LEAD, __ATOMIC_RELEASE);
            job_wake(job);
            return;
        }
    }
    kv->leading = false;
}

static int32_t state_of(const reco__kv_job *job) { return __atomic_load_n(&job->state, __ATOMIC_ACQUIRE); }

/* The caller has been made leader: commits until its own job is done, then hands over. */
static void lead(reco__kv *kv, reco__kv_job *own) {
    while (state_of(own) < DONE) {
        pthread_mutex_lock(&kv->queue_mutex);
        reco__kv_job *first = take_batch(kv);
        pthread_mutex_unlock(&kv->queue_mutex);
        run_batch(kv, first);
        publish(first);
    }
    pthread_mutex_lock(&kv->queue_mutex);
    hand_over(kv);
    pthread_mutex_unlock(&kv->queue_mutex);
}

reco_status reco__kv_submit(reco__kv *kv, reco__kv_job *job, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK || (status = reco__fault("kv.submit", err)) != RECO_OK || (status = reco__kv_check_space(kv, err)) != RECO_OK) {
        return status;
    }
    if (kv->flags & RECO__KV_READONLY) {
        return reco__fail(err, RECO_UNSUPPORTED, NULL, "the store is open for reading only");
    }
    job->next = NULL;
    memset(&job->error, 0, sizeof job->error);
    __atomic_store_n(&job->state, QUEUED, __ATOMIC_RELAXED);
    pthread_mutex_lock(&kv->queue_mutex);
    if (kv->head && kv->queued_records + weight(job) > (uint64_t)QUEUE_FACTOR * kv->options.job_records) {
        pthread_mutex_unlock(&kv->queue_mutex);
        return reco__fail(err, RECO_BUSY, NULL, "too many records wait for the disk");
    }
    if (kv->tail) {
        kv->tail->next = job;
    } else {
        kv->head = job;
    }
    kv->tail = job;
    kv->queued_records += weight(job);
    if (kv->threaded) {
        pthread_cond_signal(&kv->queue_cond);
    }
    pthread_mutex_unlock(&kv->queue_mutex);
    return RECO_OK;
}

/* Under queue_mutex: whether this caller leads now; else it is marked as waiting. */
static bool claim(reco__kv *kv, reco__kv_job *job) {
    int32_t state = state_of(job);
    if (state == LEAD) {
        return true;
    }
    if (state >= DONE) {
        return false;
    }
    if (!kv->leading && !kv->threaded) {
        kv->leading = true;
        return true;
    }
    int32_t queued = QUEUED;
    __atomic_compare_exchange_n(&job->state, &queued, WAITED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return false;
}

/* The caller goes away: nobody shall hand the lead to it. False when there is a result, or the lead, to be dealt with first. */
static bool give_up(reco__kv *kv, reco__kv_job *job) {
    int32_t waited = WAITED;
    pthread_mutex_lock(&kv->queue_mutex);
    bool gone = __atomic_compare_exchange_n(&job->state, &waited, QUEUED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) || waited == QUEUED;
    pthread_mutex_unlock(&kv->queue_mutex);
    return gone;
}

static reco_status result(const reco__kv_job *job, reco_error *err) {
    if (state_of(job) == DONE) {
        return RECO_OK;
    }
    if (err) {
        *err = job->error;
    }
    return (reco_status)job->error.status;
}

reco_status reco__kv_wait(reco__kv *kv, reco__kv_job *job, const reco_call *call, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK) {
        return status;
    }
    while (state_of(job) < DONE) {
        pthread_mutex_lock(&kv->queue_mutex);
        bool leads = claim(kv, job);
        pthread_mutex_unlock(&kv->queue_mutex);
        if (leads) {
            lead(kv, job);
            break;
        }
        status = reco__call_check(call, err);
        if (status != RECO_OK && give_up(kv, job)) {
            return status;
        }
        int64_t left = status == RECO_OK ? reco__call_left_ns(call) : 0;
        if (call && call->cancel && left > CANCEL_POLL_NS) {
            left = CANCEL_POLL_NS;
        }
        job_sleep(job, WAITED, left);
    }
    return result(job, err);
}

void reco__kv_set_hooks(reco__kv *kv, const reco__kv_hooks *hooks) { kv->hooks = *hooks; }

bool reco__kv_enlist(reco__kv_txn *txn, reco__kv_enlisted *node) {
    for (const reco__kv_enlisted *known = txn->enlisted; known; known = known->next) {
        if (known == node) {
            return false;
        }
    }
    node->next = txn->enlisted;
    txn->enlisted = node;
    return true;
}

/* --- the committer thread
 * ------------------------------------------------------------------------------------------------------------------------------- */

static void *commit_for_all(void *context) {
    reco__kv *kv = context;
    pthread_mutex_lock(&kv->queue_mutex);
    while (kv->head || !kv->stopping) {
        reco__kv_job *first = take_batch(kv);
        if (!first) {
            pthread_cond_wait(&kv->queue_cond, &kv->queue_mutex);
            continue;
        }
        pthread_mutex_unlock(&kv->queue_mutex);
        run_batch(kv, first);
        publish(first);
        pthread_mutex_lock(&kv->queue_mutex);
    }
    pthread_mutex_unlock(&kv->queue_mutex);
    return NULL;
}

reco_status reco__kv_group_start(reco__kv *kv, reco_error *err) {
    if ((kv->flags & (RECO__KV_BACKGROUND | RECO__KV_READONLY)) != RECO__KV_BACKGROUND) {
        return RECO_OK;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the application's */
    int error = pthread_create(&kv->thread, NULL, commit_for_all, kv);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return reco__fail_errno(err, error, "committer thread");
    }
    kv->threaded = true;
    return RECO_OK;
}

void reco__kv_group_stop(reco__kv *kv) {
    if (!kv->threaded) {
        return;
    }
    pthread_mutex_lock(&kv->queue_mutex);
    kv->stopping = true;
    pthread_cond_signal(&kv->queue_cond);
    pthread_mutex_unlock(&kv->queue_mutex);
    pthread_join(kv->thread, NULL);
}
