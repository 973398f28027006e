/* stream_suite.h - the contract of a stream as named checks, for any backend.
 *
 * A check drives a backend through its table of functions alone and answers NULL, or what was wrong. For backends of others too: link stream_suite.c,
 * stream_suite_random.c and stream_model.c, and run each check by name. The checks are complete when each of the mutants in stream_mutants.c is
 * caught by the check named for it. */
#ifndef STREAM_SUITE_H
#define STREAM_SUITE_H

#include <reco/plugin/stream.h>

typedef struct stream_subject {
    const reco_stream_backend *backend;
    const char *url;     /* of an empty store, terminated; each check uses namespaces of its own */
    int keeps;           /* what was appended is there after close and open, and a second handle sees the same */
    uint64_t map_size;   /* handed on in the options */
    uint64_t operations; /* of the random check */
    uint64_t seed;
} stream_subject;

extern const size_t stream_check_count;
const char *stream_check_name(size_t i);

/* Runs the check of that name; NULL when it passed, else the reason, written to `room`. Not to be run by two threads at once. */
const char *stream_run(const stream_subject *subject, const char *name, char *room, size_t size);

typedef struct stream_mutant {
    const char *name, *killed_by;
} stream_mutant;
extern const stream_mutant stream_mutants[];
extern const size_t stream_mutant_count;
/* A backend that makes the mistake of that number on top of a sound one; SIZE_MAX: none, the detour alone. One at a time. */
const reco_stream_backend *stream_mutant_of(const reco_stream_backend *sound, size_t mutant);

#endif
