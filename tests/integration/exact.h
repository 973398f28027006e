/* tests/integration/exact.h - learned = replayed, on one stream by many roads: what test_exact and test_exact_movielens share.
 *
 * A stream is taken in once, into the folder "source"; one process learns it there, and that is the reference. Every other road copies the records as
 * they are into a store of its own, learns them in its own manner and must come to the same state hash and to an equal verify. */
#ifndef TEST_EXACT_H
#define TEST_EXACT_H

#include "support/engine.h"

typedef struct exact_facts {
    uint64_t sent, accepted, late, early, other; /* of ingest */
    uint64_t users;                              /* distinct ones among the accepted */
    uint64_t records;                            /* of the stream, ticks included */
    reco_progress learned;                       /* of the reference */
    uint64_t cells, rows, entries;               /* of the reference, at its end */
    char hash[40];
} exact_facts;

typedef struct exact {
    char dir[256], source[300];
    const char *const *settings;
    exact_facts *facts; /* shared memory */
} exact;

/* Makes the folder, takes the stream in by `fill` and learns it, both in a process of their own. */
void exact_begin(exact *at, const char *const *settings, void (*fill)(reco_engine *source, exact_facts *facts));
void exact_end(exact *at);
/* A store in the folder (NULL: in memory) with the records copied, at most so many of each partition (0: all). */
reco_engine *exact_copy(const exact *at, const char *name, uint64_t most);
/* Asserts the reference's hash and an equal verify, and closes the engine. */
void exact_check_close(const exact *at, reco_engine *engine);

/* --- the roads ------------------------------------------------------------------------------------------------------------------------------ */
void exact_four_processes(const exact *at);
void exact_memory_threads(const exact *at, uint32_t threads, uint32_t batch_events);
void exact_batches(const exact *at, const char *name, uint32_t batch_events);
/* Batches of one record against batches of 20,000, on the beginning of the stream. */
void exact_batches_of_one(const exact *at, const char *name, uint64_t most);
/* A snapshot in the middle: goes on from there in a fresh store and in memory, and is the base of verify. */
void exact_snapshot(const exact *at);

#endif
