/* engine/walk.h - the records of all partitions of a stream, one after the other, in the order of the partitions' clocks: that in which time went by.
 * Each partition's records keep their order. How far it goes is fixed in the beginning. No transaction is open between two records. */
#ifndef RECO__WALK_H
#define RECO__WALK_H

#include "engine/engine.h"

typedef struct reco__walk_feed reco__walk_feed;

/* CONFINED. */
typedef struct reco__walk {
    reco_engine *engine;
    const reco_call *call;
    const char *what;       /* progress is told as this, in records */
    reco__walk_feed *feeds; /* one a partition */
    uint32_t partition;     /* whose record was handed out last; P: none yet */
    uint64_t missing;       /* records the stream had dropped before it began */
    uint64_t unreadable;    /* records of others, which were passed over */
    uint64_t total, done, told;
} reco__walk;

/* One record of a walk. Valid until the next. */
typedef struct reco__walk_step {
    const reco__record *record; /* NULL: there is none left */
    uint32_t partition;
    int64_t clock; /* the partition's, with this record: the record's effective time */
    int64_t next;  /* the offset behind it */
} reco__walk_step;

/* To be disposed of in any case. */
reco_status reco__walk_begin(reco__walk *walk, reco_engine *engine, const char *what, const reco_call *call, reco_error *err);
/* BUSY when the stream was trimmed meanwhile; CORRUPT, NEWER for a record that cannot be read; what the call says. */
reco_status reco__walk_next(reco__walk_step *out, reco__walk *walk, reco_error *err);
/* The clock of the record that comes next, before the first was taken; 0: there is none. */
int64_t reco__walk_clock(const reco__walk *walk);
/* Before the first record was taken: a clock that no record the stream had dropped is newer than, where what is learned stands at `learned`; 0: none
 * was dropped. */
int64_t reco__walk_dropped(const reco__walk *walk, const reco_position *learned);
void reco__walk_dispose(reco__walk *walk);

#endif
