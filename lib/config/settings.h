/* config/settings.h - every setting, from one table: parser (YAML, environment), defaults, presets, help and reference come from it. FROZEN once
 * read. */
#ifndef RECO__SETTINGS_H
#define RECO__SETTINGS_H

#include "base/base.h"
#include "model/event.h"
#include <reco/settings.h>

#define RECO__WINDOWS_MAX 8u

/* Durations are milliseconds. In YAML and environment: an integer with unit ms, s, m, h, d ("30m"). */
typedef struct reco__settings {
    /* stores */
    char stream[1024], features[1024], records[1024]; /* URLs; empty: lmdb: of `data` (or memory: when data is "memory:") */
    char archive[1024];                               /* URL of the archive; empty: none */
    char modules[1024];                               /* folder of further modules; empty: none */
    char data[1024];                                  /* the directory, or "memory:"; "reco-data" */
    char space[65];                                   /* namespace; "default" */
    uint32_t partitions;                              /* 4 */
    uint64_t map_size;                                /* 256 GiB */
    uint64_t min_free;                                /* 64 MiB */
    uint32_t background;                              /* 0: the library starts no threads */
    /* the stream's time */
    int64_t lateness, skew; /* 1 h, 60 s */
    /* boards */
    uint32_t hours_kept, days_kept; /* 48, 60 */
    int64_t coview_length;          /* 7 d */
    uint32_t coview_kept;           /* 26 */
    uint32_t coview_cut;            /* 512 */
    uint32_t coview_head;           /* 128 */
    uint32_t coview_halving;        /* weight by generation age halves every N generations; 0: 1 for every age */
    /* pairs and cells */
    uint32_t pair_window;      /* 10 */
    uint32_t pair_within;      /* RECO__WITHIN_HISTORY or _SESSION */
    uint32_t pair_weight;      /* RECO__PAIR_FLAT (2520) or RECO__PAIR_INVERSE (2520/d) */
    uint32_t recents, history; /* 50, 1,000 */
    uint32_t ids_seen;         /* 128 */
    int64_t ids_window;        /* 24 h */
    int64_t session_gap;       /* 30 min */
    int64_t cell_lifetime;     /* 365 d */
    reco__event_type types[RECO__EVENT_TYPES_MAX];
    uint32_t type_count;
    /* limits */
    uint32_t max_items;       /* 10,000,000 */
    uint64_t max_users;       /* 100,000,000 */
    uint32_t item_values;     /* 128: values of an item that filters know */
    uint64_t attribute_bytes; /* 1 GiB: of all items, in memory */
    /* snapshots */
    char snapshots_folder[1024]; /* empty: none */
    uint64_t snapshots_every;    /* 1,000,000 */
    uint32_t snapshots_kept;     /* 2 */
    uint32_t snapshots_trim;     /* 0 */
    /* how much of the stream is kept; 0: all */
    int64_t retention_age;
    uint64_t retention_bytes;
    /* asking */
    uint32_t normalise;           /* RECO__NORM_SUM (row sum ^ row_power) or RECO__NORM_MAX (row maximum) */
    double row_power;             /* .5 */
    double popularity_power;      /* .2 */
    uint32_t recency;             /* RECO__RECENCY_EXP (exp(-rank / recency_value)) or RECO__RECENCY_POWER (recency_value ^ rank) */
    double recency_value;         /* 5 */
    double revisit;               /* 0; sessions: 2 (adds revisit / position from the end) */
    double weight_coview;         /* 1 */
    double weight_popular;        /* .01 */
    uint32_t filter_seen;         /* 1; sessions: 0 */
    uint32_t filter_availability; /* 1 */
    uint32_t popular_candidates;  /* 200: how many the popular source adds */
    int64_t window_hours;         /* 24 h: the window of popularity by hours */
    int64_t window_days;          /* 60 d: by days; also the popularity that damps */
    char stages[512]; /* the application's stages that take part: registered names, comma separated, each perhaps followed by a JSON object of options
                       */
    uint32_t limit_default, limit_max; /* 20, 500 */
    int64_t wait_max;                  /* 2 s: most that wait_ms may ask */
    int64_t answer_deadline;           /* 1 s: of an answer as JSON */
    /* services */
    char ingest_listen[128], processor_listen[128], api_listen[128]; /* 127.0.0.1:8080, :8082, :8081 */
    uint32_t http_threads;                                           /* 64 */
    uint64_t http_body_max;                                          /* 2 MiB */
    uint32_t http_events_max;                                        /* 1,000 */
    int64_t http_request_timeout;                                    /* 10 s */
    char cors_origins[1024];                                         /* empty: none */
    char hosts[1024];                                                /* empty: none on loopback addresses, elsewhere any */
    uint32_t console;                                                /* RECO__CONSOLE_READ */
    char reports[1024];                                              /* empty: none */
    uint32_t log_level;                                              /* RECO_LOG_INFO */
    char preset[32];
} reco__settings;

enum { RECO__WITHIN_HISTORY, RECO__WITHIN_SESSION };
enum { RECO__PAIR_FLAT, RECO__PAIR_INVERSE };
enum { RECO__NORM_SUM, RECO__NORM_MAX };
enum { RECO__RECENCY_EXP, RECO__RECENCY_POWER };
enum { RECO__CONSOLE_OFF, RECO__CONSOLE_READ, RECO__CONSOLE_WRITE };

/* What the public handle holds. */
struct reco_settings {
    reco__settings values;
};

/* Defaults of the table. */
void reco__settings_init(reco__settings *settings);
/* Sets one by its dotted name ("coview.length", "event_types.view.weight"), from text. INVALID naming the setting when unknown or out of range.
 * "preset" applies that preset's values over what is there. */
reco_status reco__settings_set(reco__settings *settings, const char *name, const char *value, reco_error *err);
/* YAML file or text; a preset named anywhere in it is applied first. Unknown settings are errors with line numbers. */
reco_status reco__settings_file(reco__settings *settings, const char *path, reco_error *err);
reco_status reco__settings_yaml(reco__settings *settings, const char *text, size_t size, reco_error *err);
/* RECO_* of the environment: RECO_COVIEW_LENGTH for coview.length. Unknown RECO_ names are errors, but RECO_CONFIG, RECO_BUILD_DIR and
 * RECO_SOURCE_DIR. */
reco_status reco__settings_environment(reco__settings *settings, const char *const *environment, reco_error *err);
/* Cross checks of the whole. */
reco_status reco__settings_check(const reco__settings *settings, reco_error *err);
/* One line a setting: name, default, unit, what it does; `markdown`: the reference, by groups. */
void reco__settings_help(reco__buf *out, bool markdown);
/* The value of one as text, terminated. INVALID when unknown, TOO_LARGE when it does not fit. */
reco_status reco__settings_get(char *out, size_t room, const reco__settings *settings, const char *name, reco_error *err);
/* The current values as YAML. */
void reco__settings_print(reco__buf *out, const reco__settings *settings);

/* The learning fingerprint: "name=value\n" lines, sorted, of all that decides what is learned: derivation version, P, cut, kept, lengths, lateness,
 * skew, lifetime, windows, weights ... Two are compared by reco__fingerprint_difference, which names the first setting that differs ("coview.length:
 * stored 7d, given 1d"). */
void reco__settings_fingerprint(reco__buf *out, const reco__settings *settings, uint32_t partitions);
bool reco__fingerprint_difference(reco_str stored, reco_str given, char *out, size_t room);

#endif
