/* records/records.h - the one door to records. */
#ifndef RECO__RECORDS_H
#define RECO__RECORDS_H

#include "base/base.h"
#include <reco/plugin/records.h>

typedef struct reco__records reco__records; /* SHARED */

/* `url`: "lmdb:DIR", "memory:", or a registered scheme. */
/* Open, or opened by a later operation when the store cannot be reached now: until then operations are UNAVAILABLE, saying why. What options point to
 * is borrowed until close. */
reco_status reco__records_open_patient(reco__records **out, const reco_records_options *options, const reco_call *call, reco_error *err);
reco_status reco__records_open(reco__records **out, const reco_records_options *options, const reco_call *call, reco_error *err);
void reco__records_close(reco__records *records);
/* last_sequence may be NULL. */
reco_status reco__records_change(uint64_t *last_sequence, reco__records *records, const reco_record_change *changes, size_t count,
                                 const reco_call *call, reco_error *err);
reco_status reco__records_find(reco__records *records, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                               reco_error *err);
reco_status reco__records_scan(reco__records *records, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                               const reco_call *call, reco_error *err);
reco_status reco__records_changes(uint64_t *newest, reco__records *records, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                  const reco_call *call, reco_error *err);
reco_status reco__records_stats(reco__records *records, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                const reco_call *call, reco_error *err);

/* Checks the batch. UNSUPPORTED when the backend keeps no archive. */
reco_status reco__records_archive_positions(int64_t *next, reco__records *records, const uint8_t stream_id[16], uint32_t partitions,
                                            const reco_call *call, reco_error *err);
reco_status reco__records_archive_put(reco__records *records, const reco_archive_batch *batch, const reco_call *call, reco_error *err);

/* Without opening it, which an old schema refuses. *version is 0 for a backend that has no schema. */
reco_status reco__records_migrate(uint32_t *version, const reco_records_options *options, uint32_t flags, reco_migrate_sink sink, void *context,
                                  const reco_call *call, reco_error *err);

/* The namespace's signing key for recommendation ids: key number 1 of 128 random bits, made by whoever first asks, the same for everybody
 * afterwards. */
reco_status reco__records_signing_key(uint32_t *number, uint8_t key[16], reco__records *records, const reco_call *call, reco_error *err);

/* The embedded backends; the conformance suite calls them without the door. */
extern const reco_records_backend reco__records_lmdb;
extern const reco_records_backend reco__records_memory;

#endif
