/* stream_suite_inner.h - what the files of the stream's suite share. */
#ifndef STREAM_SUITE_INNER_H
#define STREAM_SUITE_INNER_H

#include "contract/stream_model.h"
#include "contract/stream_suite.h"

#include <stdbool.h>
#include <string.h>

enum { STORES = 8, MEMBERS = 16, TICK_MS = 1000 };

typedef struct suite {
    const stream_subject *subject;
    const reco_stream_backend *b;
    reco_stream_store *stores[STORES]; /* closed when the check is over */
    reco_stream_member *members[MEMBERS];
    stream_model model;
    char space[40];
    uint64_t serial; /* of the record made last */
    reco_error err;
    char *room; /* what was wrong */
    size_t size;
} suite;

/* Ends a check: `return FAIL(s, "...", ...)`. */
bool suite_fail(suite *s, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define NEED(s, condition)                                                                                                                           \
    do {                                                                                                                                             \
        if (!(condition)) {                                                                                                                          \
            return suite_fail(s, __LINE__, "%s", #condition);                                                                                        \
        }                                                                                                                                            \
    } while (0)
#define NEED_OK(s, call)                                                                                                                             \
    do {                                                                                                                                             \
        reco_status got_ = (call);                                                                                                                   \
        if (got_ != RECO_OK) {                                                                                                                       \
            return suite_fail(s, __LINE__, "%s: %s: %s", #call, reco_status_name((int32_t)got_), (s)->err.text);                                     \
        }                                                                                                                                            \
    } while (0)
#define TRY(call)                                                                                                                                    \
    do {                                                                                                                                             \
        if (!(call)) {                                                                                                                               \
            return false;                                                                                                                            \
        }                                                                                                                                            \
    } while (0)

reco_status suite_open(reco_stream_store **out, suite *s, const char *space, uint32_t partitions);
void suite_close(suite *s, reco_stream_store *store);
/* Opens the check's own namespace with a model beside it. */
bool suite_begin(reco_stream_store **out, suite *s, uint32_t partitions);
reco_status suite_join(reco_stream_member **out, suite *s, reco_stream_store *store);
void suite_leave(suite *s, reco_stream_member *member);

/* One record to be: of a partition and a time. */
typedef struct want {
    uint32_t partition;
    int64_t received_at;
    uint32_t size; /* 0: 20 */
} want;
enum { WANTS = 64, WANT_SIZE = 600 };

/* Records of `wants` with new serial numbers, bytes in `bytes`. */
void suite_make(suite *s, reco_stream_record *records, uint64_t *serials, char bytes[][WANT_SIZE], const want *wants, size_t count);
/* Appends and waits; the model follows, and the offsets must be its own. `expected`: OK or CONFLICT. note_key NULL: none. */
bool suite_append(suite *s, reco_stream_store *store, const want *wants, size_t count, uint32_t flags, const char *note_key, const char *note,
                  reco_status expected);
/* All partitions against the model: spans, and every record from begin to end. */
bool suite_compare(suite *s, reco_stream_store *store);
bool suite_compare_part(suite *s, reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes);
bool suite_compare_spans(suite *s, reco_stream_store *store);

int64_t suite_now_ns(void);
uint64_t suite_random(uint64_t *state, uint64_t bound); /* 0 .. bound - 1 */

bool check_threads(suite *s);
bool check_random(suite *s);

#endif
