/* evaluate/workers.h - the same work on many numbers by several threads. */
#ifndef EVALUATE_WORKERS_H
#define EVALUATE_WORKERS_H

#include <stddef.h>

#include <reco/status.h>

#define EVALUATE_THREADS_MAX 256u

/* Calls `work` for each number below `count`, each once, from `threads` threads; `state` is that of the thread, states + thread * state_size. The
 * first failure ends it and is answered. Fewer threads do when more cannot be started. `told`, NULL allowed, gets how many are done. */
typedef reco_status (*evaluate_work)(void *context, void *state, size_t number, reco_error *err);
typedef struct evaluate_job {
    evaluate_work work;
    void *context, *states;
    size_t state_size, count, chunk; /* chunk: numbers taken at once, 0: 16 */
    unsigned threads;
    const reco_call *call; /* cancel flag and deadline, and who is told; NULL allowed */
    const char *what;      /* what is told of, in questions */
} evaluate_job;
reco_status evaluate_workers_run(const evaluate_job *job, reco_error *err);

/* CANCELLED or TIMEOUT when the call is to end; NULL never is. */
reco_status evaluate_call_check(const reco_call *call, reco_error *err);

#endif
