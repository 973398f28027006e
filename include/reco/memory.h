/* reco/memory.h - the allocator and the log of the whole library: two of its few globals. */
#ifndef RECO_MEMORY_H
#define RECO_MEMORY_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The three functions every allocation of libreco goes through. `context` is handed back. resize(NULL, n) allocates. They may be called from any
 * thread and may answer NULL: libreco then reports RECO_NO_MEMORY and nothing has changed. */
typedef struct reco_allocator {
    uint32_t struct_size;
    uint32_t flags; /* 0 */
    void *context;
    void *(*allocate)(void *context, size_t size);
    void *(*resize)(void *context, void *block, size_t size);
    void (*release)(void *context, void *block);
    /* Bytes that a block takes, as malloc_usable_size tells them of malloc's. NULL: stats then do not tell what libreco holds. Called in each
     * allocation and release, so it is to be quick. */
    size_t (*usable)(void *context, void *block);
} reco_allocator;

/* Installs an allocator for the process; NULL restores malloc. Call it before anything is open: RECO_BUSY while an engine is open.
 * The struct is copied. Not thread safe against itself. */
RECO_API reco_status reco_set_allocator(const reco_allocator *allocator, reco_error *err);

/* Levels of log lines, as in syslog. */
#define RECO_LOG_ERROR 3
#define RECO_LOG_WARN 4
#define RECO_LOG_INFO 6
#define RECO_LOG_DEBUG 7

/* Receives one line; `message` is terminated, without line end, valid during the call. May be called from any thread, never while libreco holds
 * a lock of its own. */
typedef void (*reco_log_fn)(void *context, int level, const char *room, const char *message);

/* Sets where log lines go (NULL: nowhere, the default) and the most verbose level wanted. SHARED. */
RECO_API void reco_set_log(reco_log_fn log, void *context, int level);

/* Frees memory that a function of libreco handed out and documented as "free with reco_free". NULL is allowed. SHARED. */
RECO_API void reco_free(void *block);

/* The version of the library, "MAJOR.MINOR.PATCH", static. SHARED. */
RECO_API const char *reco_version(void);
/* Version, commit where known, compiler, LMDB, jansson, libyaml and xxHash versions in one line; static. SHARED. */
RECO_API const char *reco_build_info(void);

#ifdef __cplusplus
}
#endif
#endif
