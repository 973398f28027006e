/* tests/support/engine.h - an engine under test: opening with settings, learning, hashing, verifying, copying a stream, processes beside the test's
 * own. */
#ifndef TEST_ENGINE_H
#define TEST_ENGINE_H

#include <sys/types.h>

#include <reco/admin.h>

#include "support/support.h"

/* Settings are "name", "value", ..., NULL; NULL: defaults. The address space of each store is kept small, for sanitizers and machines that count it.
 */
reco_status test_engine_try(reco_engine **out, const char *data, uint32_t flags, const char *const *settings, reco_error *err);
reco_engine *test_engine_open(const char *data, uint32_t flags, const char *const *settings);

/* Learns all there is, in batches of the given size (0: the default), and adds up what happened in *total (NULL allowed). */
void test_engine_learn(reco_engine *engine, uint32_t batch_events, reco_progress *total);
/* Learns until about this many records of the stream are learned. */
void test_engine_learn_some(reco_engine *engine, uint32_t batch_events, uint64_t records);

void test_engine_hash(char out[40], reco_engine *engine);
/* Asserts that a replay, from the beginning or from a snapshot, equals what is learned; answers what was found. */
reco_verification test_engine_verify(reco_engine *engine, const char *snapshot);

/* Appends the records of one stream to another as they are, at most so many of each partition (0: all); answers how many. */
uint64_t test_engine_copy(reco_engine *to, reco_engine *from, uint64_t most);

/* One event, with an id of the event and a timestamp where given (NULL, 0: none). */
reco_event test_event(const char *user, const char *item, const char *type);
/* Ingests one event and answers its position. */
void test_engine_tell(char position[RECO_POSITION_MAX], reco_engine *engine, const reco_event *event);

/* A question as a query string. */
reco_status test_ask(reco_reply *reply, reco_engine *engine, uint32_t kind, const char *query, const reco_call *call, reco_error *err);

/* fork; the child dies with the test. No engine may be open. */
pid_t test_fork(void);
/* In a child: says what went wrong and ends it with status 2. */
void test_child_fail(const char *what, const reco_error *err) __attribute__((noreturn));
/* Waits for a child; its exit status, or minus the signal that ended it. */
int test_child_end(pid_t child);
/* Memory that children share; the kernel frees it with the process. */
void *test_shared(size_t size);

/* RECO_FULL is set: the long variant is wanted. */
bool test_full(void);

#endif
