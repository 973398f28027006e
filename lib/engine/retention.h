/* engine/retention.h - how much of the stream is kept. */
#ifndef RECO__ENGINE_RETENTION_H
#define RECO__ENGINE_RETENTION_H

#include "engine/engine.h"

/* What is to go, and what keeps it. */
typedef struct reco__retention {
    int64_t begin[RECO_PARTITIONS_MAX], end[RECO_PARTITIONS_MAX], cut[RECO_PARTITIONS_MAX]; /* cut: records below go */
    uint64_t records, bytes;                                                                /* that go; bytes about */
    uint64_t stream_bytes;                                                                  /* 0: the stream does not tell */
    int64_t oldest;                                                                         /* received_at of the oldest record that stays; 0: none */
    const char *held_by;                                                                    /* "": nothing; static */
} reco__retention;

bool reco__retention_wanted(const reco_engine *engine);
/* Looks at no more than `most` records of a partition; 0 for an age or a number of bytes: no limit. */
reco_status reco__retention_plan(reco__retention *out, reco_engine *engine, int64_t age, uint64_t bytes, int64_t now, uint64_t most,
                                 const reco_call *call, reco_error *err);
/* Trims as the settings say, once; nothing while another process does. */
reco_status reco__retention_step(reco_engine *engine, const reco_call *call, reco_error *err);

#endif
