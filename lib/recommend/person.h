/* recommend/person.h - whom a question is about: the id it names and the aliases of that id, and what was learned of all of them. */
#ifndef RECO__PERSON_H
#define RECO__PERSON_H

#include "learn/learn.h"
#include "recommend/aliases.h"
#include <reco/user.h>

#define RECO__IDS_MOST (RECO_USER_ALIASES_MAX + 1)

/* How far a partition was learned when it was read. */
typedef struct reco__place {
    uint32_t partition;
    reco_position position;
} reco__place;

/* CONFINED. Memory stays for the next question. */
typedef struct reco__person {
    reco_str ids[RECO__IDS_MOST]; /* the one asked for, then its aliases, in `names` */
    uint32_t partitions[RECO__IDS_MOST];
    size_t count; /* 0: nobody */
    reco__buf names, scratch;
    reco__cell cells[RECO__IDS_MOST];
    reco__place places[RECO__IDS_MOST];
    size_t place_count;
} reco__person;

/* What is asked instead of features, for answers about the past: `load`, for cells, has the shape and meaning of reco__features_load; `had` tells
 * whether there was such an item already: what was not is left out. */
typedef struct reco__past {
    reco_status (*load)(reco_position *position, uint64_t *epoch, void *context, uint32_t partition, const reco_str *users, size_t count,
                        reco_features_sink sink, void *sink_context, const reco_call *call, reco_error *err);
    bool (*had)(void *context, uint32_t item);
    void *context;
} reco__past;

struct reco_candidates;

void reco__person_dispose(reco__person *person);
uint64_t reco__person_bytes(const reco__person *person);
/* Reads the cells of all ids into c->cell, each empty once it has expired by the clock of its own partition. Fills `places`, for nobody the partition
 * asked about, and the epoch. STALE when what was learned was replaced between two reads. */
reco_status reco__person_load(struct reco_candidates *c, const reco_call *call, reco_error *err);

#endif
