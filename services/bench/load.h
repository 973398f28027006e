/* bench/load.h - requests sent to services, or questions asked of an engine in this process, and how long each took.
 *
 * Closed loop: each connection sends its next request once the one before is answered. A server that stalls is then asked nothing while it does, so
 * that the stall is one slow answer among many: right for "how much can it carry", wrong for "what do users wait".
 *
 * Open loop: requests are due by a schedule that knows nothing of the answers, as those of many users are. One that finds no connection free is sent
 * late, and its latency counts from when it was due all the same. So a stall shows in every request that was due meanwhile, and the percentiles are
 * those a user would see; leaving them out is what Gil Tene called coordinated omission.
 *
 * Counted as latency: answers 2xx, and requests that got none in time, with the time they waited until then. Other statuses and connections that
 * failed have times of their own: that a refusal comes quickly is no merit, and that it took long is to be seen. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include <reco.h>
#include <reco/generate.h>

#include "bench/histogram.h"
#include "client/curl.h"
#include "http/clock.h"
#include "http/options.h"
#include "http/text.h"

/* What can be asked. */
#define BENCH_KINDS(X)                                                                                                                               \
    X(RECOMMENDATIONS, "recommendations")                                                                                                            \
    X(SESSION, "session")                                                                                                                            \
    X(SIMILAR, "similar")                                                                                                                            \
    X(POPULAR, "popular")                                                                                                                            \
    X(EVENTS, "events")                                                                                                                              \
    X(HEALTH, "health")
#define BENCH_ENUM(symbol, name) BENCH_##symbol,
enum { BENCH_KINDS(BENCH_ENUM) BENCH_KIND_COUNT };
#undef BENCH_ENUM
extern const char *const bench_kind_names[BENCH_KIND_COUNT];

/* Ids, one a line of a file. FROZEN. */
typedef struct bench_names {
    char *text;
    reco_str *list;
    size_t count;
} bench_names;
/* NOT_FOUND, IO, TOO_LARGE (256 MiB), or INVALID naming a line that is no id or a file without any. */
reco_status bench_names_read(bench_names *out, const char *path, reco_error *err);
void bench_names_dispose(bench_names *names);

#define BENCH_CONNECTIONS_MAX 4096u
#define BENCH_THREADS_MAX 64u
#define BENCH_REQUESTS_MAX UINT64_C(100000000) /* of a schedule */

/* What is to be done. FROZEN while it is. */
typedef struct bench_plan {
    const client_curl *curl;
    const char *api, *ingest; /* base URLs */
    reco_engine *engine;      /* instead of them: in this process; else NULL */
    const option_list *headers;
    uint32_t connections, threads; /* threads: that carry the connections; in this process a thread is a connection */
    double rate;                   /* a second; 0: closed loop */
    int64_t warmup_ns, duration_ns, timeout_ns;
    uint64_t requests; /* at most; 0: no bound */
    uint32_t mix[BENCH_KIND_COUNT];
    uint32_t limit; /* of questions; 0: not stated */
    reco_generator_options generator;
    bench_names users, items; /* instead of those of the generator; empty: not */
    const reco_call *call;    /* is told; NULL allowed */
} bench_plan;

#define BENCH_STATUSES 600u
#define BENCH_FAILURES 128u

/* What came of it, of the requests after the warm-up. One for each thread, then merged. */
typedef struct bench_counts {
    uint64_t requests; /* that were due */
    uint64_t answered, unsent;
    uint64_t statuses[BENCH_STATUSES]; /* of answers; [0]: none of HTTP's */
    uint64_t failures[BENCH_FAILURES]; /* of requests without an answer, by CURLcode */
    uint64_t bytes_in, bytes_out, connects;
    uint64_t waited, waited_most_ns;         /* found all connections busy; how long until they were sent */
    uint64_t late, late_most_ns;             /* sent over 1 ms late although a connection was free: this side was slow */
    int64_t begin_ns, end_ns;                /* from the first that counts to the last answer */
    int64_t cpu_ns, busiest_cpu_ns;          /* of all threads that ask, and of the busiest one */
    bench_histogram latency, service;        /* ns, from when it was due; from when it was sent */
    bench_histogram refused;                 /* from when it was due, of answers that are not 2xx and of requests that failed before their time */
    bench_histogram kinds[BENCH_KIND_COUNT]; /* latency */
} bench_counts;

/* What threads share. */
typedef struct bench_shared {
    const bench_plan *plan;
    int64_t begin_ns, measure_ns, end_ns, cut_ns; /* begin, end of warm-up, end of what is due, end of patience */
    atomic_bool stop;
    _Atomic uint64_t done;            /* answers, counted or not, for who is told */
    _Atomic uint64_t ticket, counted; /* of the engine's threads: next of the schedule; how many count */
} bench_shared;

/* Runs the plan; SIGINT and SIGTERM, to be held by program_hold_signals, end it early (*stopped), and what was measured until then is good. Free
 * *out with free. IO when a service does not answer before it begins; NO_MEMORY. */
reco_status bench_run(bench_counts **out, bool *stopped, const bench_plan *plan, reco_error *err);

/* --- within bench ----------------------------------------------------------------------------------------------------------------------------- */

/* The next question. Texts valid until the next one is made. */
typedef struct bench_question {
    unsigned kind;
    http_text path, query, body; /* path with its slash in front; query without '?'; both encoded. body empty: GET */
    reco_str item;               /* of SIMILAR */
} bench_question;
typedef struct bench_questions bench_questions; /* CONFINED */
/* `thread` of `threads`: each draws others. */
reco_status bench_questions_create(bench_questions **out, const bench_plan *plan, unsigned thread, unsigned threads, reco_error *err);
void bench_questions_free(bench_questions *questions);
reco_status bench_questions_next(const bench_question **out, bench_questions *questions, reco_error *err);

/* A thread of bench_run: makes ready, runs, frees. */
typedef struct bench_worker {
    void *(*open)(bench_shared *shared, unsigned thread, bench_counts *counts, reco_error *err); /* NULL and err when it fails */
    reco_status (*run)(void *worker, reco_error *err);
    void (*close)(void *worker);
} bench_worker;
extern const bench_worker bench_by_http, bench_by_engine;

int64_t bench_cpu(void); /* of this thread, ns */
/* When the nth request of the schedule is due. */
int64_t bench_due(const bench_shared *shared, uint64_t number);
/* A request ends now that was due at `due` and sent at `sent`. */
void bench_count_latency(bench_counts *counts, unsigned kind, int64_t due, int64_t sent, int64_t now);
/* The same of one that was answered, but not with 2xx, or failed. */
void bench_count_refused(bench_counts *counts, int64_t due, int64_t now);
/* One is sent now that was due at `due`, by a connection free since `free_since`. */
void bench_count_sent(bench_counts *counts, int64_t due, int64_t free_since, int64_t now);
/* One of the schedule, due at `due`, will never be sent: it has waited until now. */
void bench_count_unsent(bench_counts *counts, const bench_shared *shared, int64_t due, int64_t now);

#endif
