/* bench/engine.c - questions asked of an engine in this process; each thread is a connection. */
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <reco/admin.h>

#include "bench/load.h"

#define LOOK_NS INT64_C(100000000)

typedef struct asker {
    bench_shared *shared;
    bench_counts *counts;
    bench_questions *questions;
    int64_t free_since;
} asker;

static void close_asker(void *worker) {
    asker *self = worker;
    bench_questions_free(self->questions);
    free(self);
}

static void *open_asker(bench_shared *shared, unsigned thread, bench_counts *counts, reco_error *err) {
    asker *self = calloc(1, sizeof *self);
    if (!self) {
        options_no_memory(err);
        return NULL;
    }
    *self = (asker){.shared = shared, .counts = counts};
    if (bench_questions_create(&self->questions, shared->plan, thread, shared->plan->connections, err) == RECO_OK)
        return self;
    free(self);
    return NULL;
}

static uint32_t kind_of(const bench_question *question) {
    switch (question->kind) {
    case BENCH_SIMILAR:
        return RECO_ASK_SIMILAR;
    case BENCH_POPULAR:
        return RECO_ASK_POPULAR;
    default:
        return RECO_ASK_RECOMMEND;
    }
}

static reco_status ask(reco_reply *reply, const asker *self, const bench_question *question, const reco_call *call, reco_error *err) {
    reco_engine *engine = self->shared->plan->engine;
    if (question->kind == BENCH_EVENTS)
        return reco_ingest_json(reply, engine, question->body.data, question->body.size, RECO_JSON_AUTO, 0, call, err);
    reco_ask_input input = {.struct_size = sizeof input, .kind = kind_of(question), .item_id = question->item};
    if (question->body.size) {
        input.body = question->body.data;
        input.body_size = question->body.size;
    } else {
        input.query_string = question->query.size ? question->query.data : "";
    }
    return reco_ask_json(reply, engine, &input, call, err);
}

/* False when it is stopped before. */
static bool wait_until(const bench_shared *shared, int64_t moment) {
    for (int64_t now; (now = http_monotonic_ns()) < moment;) {
        int64_t until = moment < now + LOOK_NS ? moment : now + LOOK_NS;
        const struct timespec when = {until / 1000000000, until % 1000000000};
        if (atomic_load(&shared->stop))
            return false;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
    }
    return !atomic_load(&shared->stop);
}

static reco_status ask_one(asker *self, int64_t due, reco_error *err) {
    const bench_plan *plan = self->shared->plan;
    const bench_question *question;
    reco_reply reply = {.struct_size = sizeof reply};
    bool counted = due >= self->shared->measure_ns;
    reco_status status = bench_questions_next(&question, self->questions, err);
    if (status != RECO_OK)
        return status;
    int64_t sent = http_monotonic_ns();
    reco_call call = {.struct_size = sizeof call, .deadline_ns = sent + plan->timeout_ns};
    if (counted)
        bench_count_sent(self->counts, due, plan->rate > 0 ? self->free_since : due, sent);
    status = ask(&reply, self, question, &call, err);
    int64_t now = http_monotonic_ns();
    if (status == RECO_OK && counted) {
        bool answered = reply.http_status >= 200 && reply.http_status < 300;
        self->counts->answered += answered;
        self->counts->statuses[reply.http_status > 0 && reply.http_status < (int32_t)BENCH_STATUSES ? reply.http_status : 0]++;
        self->counts->bytes_in += reply.size;
        self->counts->bytes_out += question->body.size;
        self->counts->end_ns = now;
        if (answered)
            bench_count_latency(self->counts, question->kind, due, sent, now);
        else
            bench_count_refused(self->counts, due, now);
    }
    reco_reply_dispose(&reply);
    self->free_since = now;
    atomic_fetch_add_explicit(&self->shared->done, 1, memory_order_relaxed);
    return status;
}

/* The bound on requests: each takes one of those that may count. */
static bool is_enough(bench_shared *shared, int64_t due) {
    return shared->plan->requests > 0 && due >= shared->measure_ns && atomic_fetch_add(&shared->counted, 1) >= shared->plan->requests;
}

/* Of the next request: of the schedule, or in a closed loop now. */
static int64_t next_due(bench_shared *shared) {
    int64_t now = http_monotonic_ns();
    if (shared->plan->rate > 0)
        return bench_due(shared, atomic_fetch_add(&shared->ticket, 1));
    return now > shared->begin_ns ? now : shared->begin_ns;
}

static reco_status run_asker(void *worker, reco_error *err) {
    asker *self = worker;
    bench_shared *shared = self->shared;
    reco_status status = RECO_OK;
    int64_t cpu = -1;
    prctl(PR_SET_TIMERSLACK, 1UL);
    self->free_since = shared->begin_ns;
    for (int64_t due; status == RECO_OK && (due = next_due(shared)) < shared->end_ns && !is_enough(shared, due);) {
        bool wanted = wait_until(shared, due) && http_monotonic_ns() < shared->cut_ns;
        if (cpu < 0 && due >= shared->measure_ns)
            cpu = bench_cpu();
        if (wanted)
            status = ask_one(self, due, err);
        else if (shared->plan->rate > 0 && due < http_monotonic_ns())
            bench_count_unsent(self->counts, shared, due, http_monotonic_ns());
        else
            break;
    }
    self->counts->cpu_ns = cpu < 0 ? 0 : bench_cpu() - cpu;
    if (self->counts->end_ns == 0)
        self->counts->end_ns = http_monotonic_ns();
    return status;
}

const bench_worker bench_by_engine = {open_asker, run_asker, close_asker};
