/* reco/generate.h - synthetic streams for trying, testing and measuring: Zipf items in taste clusters, sessions, drift, and stated shares of trouble;
 * the same for the same seed. */
#ifndef RECO_GENERATE_H
#define RECO_GENERATE_H

#include <reco/event.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reco_generator reco_generator; /* CONFINED */

typedef struct reco_generator_options {
    uint32_t struct_size;
    uint32_t items;           /* 0: 10,000 */
    uint32_t users;           /* 0: 10,000 */
    uint32_t clusters;        /* taste clusters; 0: items / 500, at least 4 */
    uint64_t seed;
    uint64_t events;          /* how many; 0: 100,000 */
    int64_t start;            /* received_at of the first, ms; 0: 2026-01-01 UTC */
    int64_t duration;         /* ms over which they are spread; 0: 28 days */
    double zipf;              /* exponent within a cluster; 0: 1.0 */
    double session_events;    /* mean events of a session; 0: 8 */
    double drift;             /* 0..1: how far popularity moves to other items over the whole duration */
    double late, early;       /* shares with a timestamp late (within and beyond an hour: 1 in 4 too late) or early (up to 60 s; 1 in 4 too early) */
    double duplicate;         /* share sent again with the same event_id, within the hour */
    double reordered;         /* share whose received_at steps back by up to 30 s */
    uint32_t no_ids;          /* 1: without event_id */
    uint32_t reserved;
} reco_generator_options;

RECO_API reco_status reco_generator_create(reco_generator **out, const reco_generator_options *options, reco_error *err);
RECO_API void reco_generator_free(reco_generator *generator);
/* The next event and the moment it is received (ms). Strings valid until the next call. NOT_FOUND after the last; INVALID when something is NULL. */
RECO_API reco_status reco_generator_next(reco_event *event, int64_t *received_at, reco_generator *generator);

#ifdef __cplusplus
}
#endif
#endif
