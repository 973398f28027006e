/* stream/stream.h - the one door to a stream: checks, deadlines, metrics and planted faults live here; behind it, a backend. */
#ifndef RECO__STREAM_H
#define RECO__STREAM_H

#include "base/base.h"
#include <reco/plugin/stream.h>

typedef struct reco__stream reco__stream;               /* SHARED */
typedef struct reco__stream_member reco__stream_member; /* CONFINED */

/* `url`: "lmdb:DIR", "memory:", or a registered scheme. */
reco_status reco__stream_open(reco__stream **out, const reco_stream_options *options, const reco_call *call, reco_error *err);
void reco__stream_close(reco__stream *stream);
uint32_t reco__stream_partitions(const reco__stream *stream);
const uint8_t *reco__stream_id(const reco__stream *stream); /* 16 bytes, valid until close */
/* xxh64(namespace, user) mod P: XXH64 of the user's id, seeded by XXH64 of the namespace. */
uint32_t reco__stream_partition(const reco__stream *stream, const char *user, size_t user_size);

/* append and wait in one; note_key NULL: none. offsets may be NULL. */
reco_status reco__stream_append(int64_t *offsets, reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags,
                                const char *note_key, const void *note, size_t note_size, const reco_call *call, reco_error *err);
reco_status reco__stream_submit(reco_stream_ticket *ticket, reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags,
                                const reco_call *call, reco_error *err);
reco_status reco__stream_wait(int64_t *offsets, size_t count, reco_stream_ticket *ticket, reco__stream *stream, const reco_call *call,
                              reco_error *err);
reco_status reco__stream_read(reco__stream *stream, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes, reco_stream_sink sink,
                              void *context, const reco_call *call, reco_error *err);
reco_status reco__stream_spans(reco_stream_span *spans, reco__stream *stream, const reco_call *call, reco_error *err);
/* begin and end alone; the times are not to be looked at. */
reco_status reco__stream_bounds(reco_stream_span *spans, reco__stream *stream, const reco_call *call, reco_error *err);
/* Up to where each partition can be read without waiting, 0 where that is not known. False: the stream has no such difference. */
bool reco__stream_ready(int64_t *ends, reco__stream *stream);
reco_status reco__stream_wait_for(reco__stream *stream, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err);
reco_status reco__stream_trim(reco__stream *stream, uint32_t partition, int64_t before, const reco_call *call, reco_error *err);
/* Whether others may write to the stream, so that a record that cannot be read is theirs and is put aside by the second. */
bool reco__stream_takes_letters(const reco__stream *stream);
reco_status reco__stream_dead_letters(reco__stream *stream, uint32_t partition, const reco_stream_letter *letters, size_t count,
                                      const reco_call *call, reco_error *err);
reco_status reco__stream_note(reco__stream *stream, const char *key, reco__buf *out, const reco_call *call, reco_error *err);
reco_status reco__stream_member_open(reco__stream_member **out, reco__stream *stream, const reco_call *call, reco_error *err);
void reco__stream_member_close(reco__stream_member *member);
reco_status reco__stream_member_assign(uint32_t *partitions, uint32_t *count, reco__stream_member *member, const reco_call *call, reco_error *err);
reco_status reco__stream_member_owned(uint8_t *owned, reco__stream_member *member, const reco_call *call, reco_error *err);
reco_status reco__stream_stats(reco__stream *stream, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                               const reco_call *call, reco_error *err);

#endif
