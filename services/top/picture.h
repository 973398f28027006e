/* top/picture.h - how a system of services does: made of what each of them answered twice, and of the time between. */
#ifndef TOP_PICTURE_H
#define TOP_PICTURE_H

#include <stdint.h>

#include "http/text.h"
#include "top/samples.h"

#define TOP_SERVICES_MAX 16u
#define TOP_STAGES_MAX 64u
#define TOP_REASONS_MAX 16u
#define TOP_PARTITIONS_MAX 1024u
#define TOP_STORES 3u
#define TOP_KINDS_MAX 8u
#define TOP_NAME 48u
#define TOP_WORDS 256u

/* What a service answered, or why it did not. */
typedef struct top_look {
    bool up;
    char error[TOP_WORDS]; /* when it is not up */
    int64_t at_ns;
    top_samples samples;
} top_look;

typedef struct top_service {
    const char *name; /* URL or path */
    top_look now, before;
} top_service;

/* Latencies, ms; known false: there were none. */
typedef struct top_times {
    bool known;
    double p50, p99;
} top_times;

typedef struct top_line {
    const char *name, *error; /* error NULL: it is up */
    bool process;             /* the next three are known: it is a process, not a data directory */
    bool foreign;             /* a URL that answers, and tells nothing of a process: no service of ours */
    double uptime, cpu, resident, connections, requests, failed;
    top_times times;
} top_line;

typedef struct top_named {
    char name[TOP_NAME];
    double value;
} top_named;

typedef struct top_partition {
    char name[TOP_NAME];
    double lag, seconds; /* records, and the age of what it lags */
} top_partition;

/* One question of 64 is timed, so that an interval may have none: `seconds` and `timed` are of all since the start, then. */
typedef struct top_stage {
    char name[TOP_NAME];
    double seconds, timed; /* of a run; runs for which it is known */
    bool since_start;
    double failures, counted, skipped; /* a second */
} top_stage;

typedef struct top_store {
    const char *name;
    unsigned up, down; /* services to which it answered, or did not */
    double bytes;      /* on disk, or what the store counts */
} top_store;

/* Rates are a second; what nobody tells, or told but once, is NAN. CONFINED. */
typedef struct top_picture {
    double seconds; /* between the two looks; 0: there is but one, and rates are not known */
    top_line lines[TOP_SERVICES_MAX];
    size_t line_count;
    double accepted, rejected, out_of_time, appended, learned, duplicates;
    double answers, degraded, fallbacks, empty, failed;
    top_times times;
    top_times effect; /* from an event's acceptance to its effect */
    bool lag_known;
    double lag, lag_seconds, items, users;
    top_partition partitions[TOP_PARTITIONS_MAX]; /* those with the most records first */
    size_t partition_count;
    top_store stores[TOP_STORES];
    bool closing, closing_known;
    double closing_steps;
    top_stage stages[TOP_STAGES_MAX]; /* the slowest first */
    size_t stage_count;
    top_named reasons[TOP_REASONS_MAX]; /* degraded answers by reason */
    size_t reason_count;
    top_named memory[TOP_KINDS_MAX];
    size_t memory_count;
    size_t bad; /* lines that were none of Prometheus' */
} top_picture;

/* `now`: seconds since 1970. */
void top_picture_make(top_picture *out, const top_service *services, size_t count, double now);

/* A screen of at most `rows` lines of at most `columns` places, each ended by a line feed. `styled`: with colours. rows 0: as many as there are. */
typedef struct top_screen {
    unsigned columns, rows;
    bool styled;
    const char *title; /* behind "reco top" */
} top_screen;
void top_picture_text(http_text *out, const top_picture *picture, const top_screen *screen);
/* One object and a line end. */
void top_picture_json(http_text *out, const top_picture *picture, int64_t at_ms);

#endif
