/* engine/export.h - the form in which a namespace is exported: one JSON object a line.
 *
 *   {"type":"export","format":"reco","version":1,"namespace":"default","partitions":4,"stream_id":"...","records":N,"missing":N,"library":"...",
 *    "created_at":"...","settings":"..."}                                        the first line; settings: what decides what is learned, as text
 *   {"type":"event","partition":2,"received_at":MS,"user_id":...,...}            what happened, in the order of time; partitions as they were
 *   {"type":"tick","partition":0,"received_at":MS}
 *   {"type":"erase","partition":1,"received_at":MS,"user_id":...}
 *   {"type":"item","id":...,"document":{...}}                                    what is known: item, user, model, experiment
 *   {"type":"end","events":N,"ticks":N,"erasures":N,"items":N,"users":N,"models":N,"experiments":N,
 *    "digest":"..."}                                                              of all lines between, as a chain (reco__export_digest)
 *
 * Members that are absent have their default. A document or properties that is no JSON object on one line is given as a string: its text. */
#ifndef RECO__ENGINE_EXPORT_H
#define RECO__ENGINE_EXPORT_H

#include <stdio.h>

#include "engine/engine.h"

#define RECO__EXPORT_VERSION 1
#define RECO__EXPORT_LINE_MAX (8u << 20) /* a document of 1 MiB, all of it escaped */

typedef struct reco__export_counts {
    uint64_t events, ticks, erasures, items, users, models, experiments;
} reco__export_counts;

/* Kinds of records that are exported, and how a line calls them. Keys are not. */
typedef struct reco__export_kind {
    uint32_t kind;
    const char *type;
    size_t count; /* where of reco__export_counts */
} reco__export_kind;
#define RECO__EXPORT_KINDS 4u
extern const reco__export_kind reco__export_kinds[RECO__EXPORT_KINDS];

/* The counts of the last line by name, for both sides. */
#define RECO__EXPORT_COUNTS 7u
typedef struct reco__export_count {
    const char *name;
    size_t at;
} reco__export_count;
extern const reco__export_count reco__export_count_names[RECO__EXPORT_COUNTS];
static inline uint64_t *reco__export_count_of(reco__export_counts *counts, size_t at) { return (uint64_t *)(void *)((char *)counts + at); }

/* Takes a line, without its end, into the digest of those before it, 0 at first. An import that meets another digest refuses the file; without one,
 * as somebody may want it who has changed lines by intention, only the numbers have to agree. */
static inline void reco__export_digest(reco__u128 *digest, const char *line, size_t size) {
    reco__u128 own = reco__hash128(line, size);
    const uint64_t link[4] = {digest->low, digest->high, own.low, own.high};
    *digest = reco__hash128(link, sizeof link);
}
#define RECO__EXPORT_DIGEST_SIZE 32u
static inline void reco__export_digest_text(char out[RECO__EXPORT_DIGEST_SIZE + 1], reco__u128 digest) {
    snprintf(out, RECO__EXPORT_DIGEST_SIZE + 1, "%016llx%016llx", (unsigned long long)digest.high, (unsigned long long)digest.low);
}

/* Reads an export into an engine that is empty. */
reco_status reco__export_import(reco_import_result *out, reco_engine *engine, const reco_import_options *options, const reco_call *call,
                                reco_error *err);

#endif
