/* reco/status.h - what every function of libreco answers: a status, and on request an error with the details.
 *
 * One table lists the statuses; the enumeration, the texts, the retriable flag and the HTTP status all come from it, so that they cannot drift
 * apart. Numbers are part of the ABI: they are never reused.
 *
 * Part of libreco, MIT licence. */
#ifndef RECO_STATUS_H
#define RECO_STATUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RECO_API __attribute__((visibility("default")))
#else
#define RECO_API
#endif

/* X(NAME, number, retriable, http, "text") */
#define RECO_STATUS_MAP(X)                                                                                                                           \
    X(OK, 0, 0, 200, "ok")                                                                                                                           \
    X(INVALID, 1, 0, 400, "invalid argument")                                                                                                        \
    X(NOT_FOUND, 2, 0, 404, "not found")                                                                                                             \
    X(CONFLICT, 3, 0, 409, "conflict")                                                                                                               \
    X(TOO_LATE, 4, 0, 422, "timestamp too late for the configured lateness")                                                                         \
    X(TOO_EARLY, 5, 0, 422, "timestamp too far in the future")                                                                                       \
    X(TOO_LARGE, 6, 0, 413, "larger than the limit")                                                                                                 \
    X(UNSUPPORTED, 7, 0, 501, "not supported")                                                                                                       \
    X(STALE, 8, 1, 409, "position is stale")                                                                                                         \
    X(REFUSED, 9, 0, 409, "refused: the stored identity or settings differ")                                                                         \
    X(FULL, 10, 1, 507, "full")                                                                                                                      \
    X(BUSY, 11, 1, 503, "busy")                                                                                                                      \
    X(TIMEOUT, 12, 1, 503, "deadline passed")                                                                                                        \
    X(CANCELLED, 13, 0, 503, "cancelled")                                                                                                            \
    X(CLOCK, 14, 1, 503, "the wall clock jumped ahead")                                                                                              \
    X(UNAVAILABLE, 15, 1, 503, "backend unavailable")                                                                                                \
    X(IO, 16, 1, 500, "input/output error")                                                                                                          \
    X(CORRUPT, 17, 0, 500, "corrupt data")                                                                                                           \
    X(NEWER, 18, 0, 500, "written by a newer format than this library reads")                                                                        \
    X(NO_MEMORY, 19, 1, 503, "out of memory")                                                                                                        \
    X(FORKED, 20, 0, 500, "handle used in a forked child")                                                                                           \
    X(INTERNAL, 21, 0, 500, "internal error")

typedef enum reco_status {
#define RECO_STATUS_ENUM(name, number, retriable, http, text) RECO_##name = number,
    RECO_STATUS_MAP(RECO_STATUS_ENUM)
#undef RECO_STATUS_ENUM
        RECO_STATUS_FORCE_INT32 = 0x7fffffff
} reco_status;

/* A borrowed string: `size` bytes at `data`, not terminated. {NULL, 0} is absent. */
typedef struct reco_str {
    const char *data;
    size_t size;
} reco_str;

/* Details of a failure. The caller's fixed struct: initialise with RECO_ERROR_INIT or memset 0; every function that takes one writes it only
 * when it fails. Strings are terminated, never empty after a failure, and hold no secret. CONFINED. */
typedef struct reco_error {
    int32_t status; /* a reco_status */
    int32_t index;  /* which element of an array argument, or -1 */
    char field[64]; /* which field or setting, or "" */
    char text[240]; /* one sentence for people */
} reco_error;

#define RECO_ERROR_INIT                                                                                                                              \
    {                                                                                                                                                \
        0, -1, {0}, { 0 }                                                                                                                            \
    }

/* How far a long piece of work has come. Borrowed while it is told; the strings are static. */
typedef struct reco_work {
    uint32_t struct_size;
    uint32_t reserved;
    const char *what;     /* what is being done: "replaying" */
    const char *unit;     /* of what: "records" */
    uint64_t done, total; /* total 0: not known */
} reco_work;
typedef void (*reco_work_sink)(void *context, const reco_work *work);

/* How one call is to be made. NULL stands for all defaults. Borrowed for the duration of the call. */
typedef struct reco_call {
    uint32_t struct_size;           /* sizeof(reco_call) */
    uint32_t flags;                 /* 0 */
    int64_t deadline_ns;            /* absolute, CLOCK_MONOTONIC, nanoseconds; 0: none */
    const volatile int32_t *cancel; /* a non-zero value asks the call to stop with RECO_CANCELLED; NULL: none */
    const char *traceparent;        /* W3C trace context, terminated; NULL: none */
    /* Told by what can take long (import, process, verify, snapshot, backup, restore, replay), many times a second, from the thread that calls: to be
     * quick about it. NULL: none. */
    reco_work_sink progress;
    void *progress_context;
} reco_call;

/* Text of a status, static, never NULL (an unknown number answers "unknown status"). SHARED. */
RECO_API const char *reco_status_text(int32_t status);
/* Name of a status, such as "TOO_LATE"; static, never NULL. SHARED. */
RECO_API const char *reco_status_name(int32_t status);
/* 1 when the same call may succeed later without change, else 0. SHARED. */
RECO_API int reco_status_retriable(int32_t status);
/* The HTTP status that says the same; 500 for an unknown number. SHARED. */
RECO_API int reco_status_http(int32_t status);

#ifdef __cplusplus
}
#endif
#endif
