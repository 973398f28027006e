/* model/event.h - events from outside: validation and JSON. */
#ifndef RECO__MODEL_EVENT_H
#define RECO__MODEL_EVENT_H

#include "base/base.h"
#include <reco/event.h>

#define RECO__ID_MAX 256u
#define RECO__PROPERTIES_MAX 16384u
#define RECO__SEGMENTS_MAX 4096u
#define RECO__POSITION_MAX 1000000
#define RECO__TIME_MAX 253402300799999 /* 9999-12-31T23:59:59.999Z */
#define RECO__NESTING_MAX 32u

/* Part of the fingerprint: raised when the same records and settings come to teach something else. Here, where both who derives and who writes the
 * fingerprint see it. */
#define RECO__DERIVATION_VERSION 1u

/* What an event type does. Part of the settings. */
typedef struct reco__event_type {
    char name[64];
    int32_t weight;   /* -1000..1000; <= 0 never pairs */
    int32_t flags;    /* RECO__TYPE_... */
    double min_value; /* with RECO__TYPE_MIN_VALUE: the weight holds only for value >= min_value, else 0; a missing value counts as below */
} reco__event_type;
#define RECO__TYPE_HIDES 1
#define RECO__TYPE_MIN_VALUE 2
#define RECO__EVENT_TYPES_MAX 64u

/* Checks one event that came from outside (not its time against the clock): required fields, ids, UTF-8, sizes, finite value, flags, properties being
 * one JSON object. `types` may be NULL (any type). */
reco_status reco__event_check(const reco_event *event, int32_t index, const reco__event_type *types, size_t type_count, reco_error *err);

/* A parsed batch of events. CONFINED. Strings live in the arena. */
typedef struct reco__event_batch {
    reco_event *events; /* `count` of them */
    int32_t *index;     /* position of each in the input */
    size_t count;
    reco_error *errors; /* `error_count` rejected ones: index, field, text */
    size_t error_count;
    size_t total; /* elements in the input */
} reco__event_batch;

enum { RECO__JSON_AUTO, RECO__JSON_NDJSON };
/* One object, an array of objects, or NDJSON (a bad line rejects that line only). INVALID when nothing can be parsed at all, TOO_LARGE beyond
 * max_events. Unknown fields are gathered into properties. Limits: nesting 32. timestamp: RFC 3339 with offset or integer milliseconds. */
reco_status reco__events_parse(reco__event_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_events,
                               const reco__event_type *types, size_t type_count, reco_error *err);

#endif
