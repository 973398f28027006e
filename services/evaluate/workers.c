#include "evaluate/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "http/clock.h"
#include "http/options.h"

typedef struct shared {
    const evaluate_job *job;
    atomic_size_t next, done;
    atomic_bool failed;
    pthread_mutex_t lock; /* of err */
    reco_error err;
} shared;

typedef struct worker {
    shared *all;
    void *state;
    bool tells; /* the thread that called */
} worker;

static void fail(shared *all, const reco_error *err) {
    pthread_mutex_lock(&all->lock);
    if (!atomic_exchange(&all->failed, true))
        all->err = *err;
    pthread_mutex_unlock(&all->lock);
}

reco_status evaluate_call_check(const reco_call *call, reco_error *err) {
    if (call && call->cancel && __atomic_load_n(call->cancel, __ATOMIC_RELAXED))
        return options_fail(err, RECO_CANCELLED, "", "%s", reco_status_text(RECO_CANCELLED));
    if (call && call->deadline_ns && http_monotonic_ns() > call->deadline_ns)
        return options_fail(err, RECO_TIMEOUT, "", "%s", reco_status_text(RECO_TIMEOUT));
    return RECO_OK;
}

static void tell(const shared *all) {
    const reco_call *call = all->job->call;
    if (call && call->progress) {
        reco_work work = {sizeof work, 0, all->job->what, "questions", atomic_load(&all->done), all->job->count};
        call->progress(call->progress_context, &work);
    }
}

static void *run(void *argument) {
    worker *self = argument;
    shared *all = self->all;
    const evaluate_job *job = all->job;
    size_t chunk = job->chunk ? job->chunk : 16;
    while (!atomic_load(&all->failed)) {
        size_t from = atomic_fetch_add(&all->next, chunk), to = from + chunk < job->count ? from + chunk : job->count;
        reco_error err = RECO_ERROR_INIT;
        if (from >= job->count)
            break;
        reco_status status = evaluate_call_check(job->call, &err);
        for (size_t i = from; i < to && status == RECO_OK; i++)
            status = job->work(job->context, self->state, i, &err);
        if (status != RECO_OK)
            fail(all, &err);
        atomic_fetch_add(&all->done, to - from);
        if (self->tells)
            tell(all);
    }
    return NULL;
}

reco_status evaluate_workers_run(const evaluate_job *job, reco_error *err) {
    shared all = {.job = job, .lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned wanted = job->threads < 1 ? 1 : job->threads > EVALUATE_THREADS_MAX ? EVALUATE_THREADS_MAX : job->threads, started = 0;
    pthread_t threads[EVALUATE_THREADS_MAX];
    worker workers[EVALUATE_THREADS_MAX];
    for (unsigned i = 0; i < wanted; i++)
        workers[i] = (worker){&all, job->state_size ? (char *)job->states + i * job->state_size : NULL, i == 0};
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, run, &workers[started + 1]) == 0)
        started++;
    run(&workers[0]);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    tell(&all);
    pthread_mutex_destroy(&all.lock);
    if (!atomic_load(&all.failed))
        return RECO_OK;
    if (err)
        *err = all.err;
    return (reco_status)all.err.status;
}
