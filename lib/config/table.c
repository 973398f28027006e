/* config/table.c - the table of settings and the presets. A new setting is a member of reco__settings and a row here; parser, environment, help,
 * reference, printing and the fingerprint follow. */
#include "config/table.h"

#define SECOND 1000.0
#define HOUR (3600.0 * SECOND)
#define DAY (24.0 * HOUR)
#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)
#define TIB (1024.0 * GIB)

#define AT(member) (uint32_t) offsetof(reco__settings, member)
#define ROOM(member) (uint16_t)sizeof(((reco__settings *)0)->member)

#define TEXT(name, member, initial, help)                                                                                                            \
    { name, KIND_TEXT, 0, ROOM(member), AT(member), 0, 0, initial, NULL, help }
#define NUMBER(kind, flags, name, member, least, most, initial, help)                                                                                \
    { name, kind, flags, 0, AT(member), least, most, initial, NULL, help }
#define COUNT(flags, name, member, least, most, initial, help) NUMBER(KIND_COUNT, flags, name, member, least, most, initial, help)
#define DURATION(flags, name, member, least, most, initial, help) NUMBER(KIND_DURATION, flags, name, member, least, most, initial, help)
#define REAL(name, member, least, most, initial, help) NUMBER(KIND_REAL, 0, name, member, least, most, initial, help)
#define SWITCH(name, member, initial, help) NUMBER(KIND_SWITCH, 0, name, member, 0, 1, initial, help)
#define CHOICE(flags, name, member, choices, initial, help)                                                                                          \
    { name, KIND_CHOICE, flags, 0, AT(member), 0, 0, initial, choices, help }

static const choice within[] = {{"history", RECO__WITHIN_HISTORY}, {"session", RECO__WITHIN_SESSION}, {NULL, 0}};
static const choice pair_weight[] = {{"flat", RECO__PAIR_FLAT}, {"inverse", RECO__PAIR_INVERSE}, {NULL, 0}};
static const choice normalise[] = {{"sum", RECO__NORM_SUM}, {"max", RECO__NORM_MAX}, {NULL, 0}};
static const choice recency[] = {{"exp", RECO__RECENCY_EXP}, {"power", RECO__RECENCY_POWER}, {NULL, 0}};
static const choice console[] = {{"off", RECO__CONSOLE_OFF}, {"read", RECO__CONSOLE_READ}, {"write", RECO__CONSOLE_WRITE}, {NULL, 0}};
static const choice log_level[] = {{"error", RECO_LOG_ERROR}, {"warn", RECO_LOG_WARN}, {"info", RECO_LOG_INFO}, {"debug", RECO_LOG_DEBUG}, {NULL, 0}};

const setting reco__config_table[] = {
    {"preset", KIND_PRESET, 0, ROOM(preset), AT(preset), 0, 0, "default", NULL,
     "named set of settings to begin with: default, sessions, long-history, catalogue-small or shop"},
    TEXT("data", data, "reco-data", "directory of the embedded stores, or memory: for none"),
    {"namespace", KIND_NAME, 0, ROOM(space), AT(space), 0, 0, "default", NULL, "name that keeps the data of several applications apart"},
    TEXT("stream", stream, "", "address of the stream; empty: in the data directory"),
    TEXT("features", features, "", "address of the features; empty: in the data directory"),
    TEXT("records", records, "", "address of the records; empty: in the data directory"),
    TEXT("archive", archive, "", "address of the archive of raw records (postgresql:); empty: none"),
    TEXT("modules", modules, "", "folder where modules of others (libreco-NAME.so) are looked for, an absolute path; empty: beside libreco only"),
    SWITCH("background", background, "no", "start threads: committer, processor, refresher"),
    COUNT(0, "partitions", partitions, 1, 64, "4", "partitions of a new stream, fixed for its life; also how many processors can share the work"),
    DURATION(LEARNS, "lateness", lateness, 0, 14 * DAY, "1h", "how old an event may be when it arrives"),
    DURATION(LEARNS, "skew", skew, 0, DAY, "1m", "how far in the future an event may be when it arrives"),

    COUNT(LEARNS, "popularity.hours_kept", hours_kept, 1, 512, "48", "hours of popularity kept one by one"),
    COUNT(LEARNS, "popularity.days_kept", days_kept, 1, 512, "60", "days of popularity kept one by one"),

    DURATION(LEARNS, "coview.length", coview_length, SECOND, 3650 * DAY, "7d", "length of a co-view generation"),
    COUNT(LEARNS, "coview.kept", coview_kept, 1, 512, "26", "closed co-view generations kept"),
    COUNT(LEARNS, "coview.cut", coview_cut, 1, 65536, "512", "entries a co-view row keeps when its generation closes"),
    COUNT(LEARNS, "coview.head", coview_head, 1, 1024, "128", "entries of a row that are ready for answers"),
    COUNT(LEARNS, "coview.halving", coview_halving, 0, 512, "0", "generations after which a co-view counts half; 0: always full"),

    COUNT(LEARNS, "pairs.window", pair_window, 1, 1000, "10", "distinct earlier items an event is paired with"),
    CHOICE(LEARNS, "pairs.within", pair_within, within, "history", "where those items are looked for"),
    CHOICE(LEARNS, "pairs.weight", pair_weight, pair_weight, "flat", "whether a pair counts the same at every distance, or by 1/distance"),

    COUNT(LEARNS, "cell.recents", recents, 1, 1000, "50", "recent items of a user that answers start from"),
    COUNT(LEARNS, "cell.history", history, 1, 10000, "1000", "items of a user that are remembered"),
    COUNT(LEARNS, "cell.ids_seen", ids_seen, 0, 10000, "128", "event ids of a user remembered to count each once"),
    DURATION(LEARNS, "cell.ids_window", ids_window, 0, 365 * DAY, "24h", "how long they are remembered"),
    DURATION(LEARNS, "cell.session_gap", session_gap, SECOND, 30 * DAY, "30m", "silence that ends a session"),
    DURATION(LEARNS, "cell.lifetime", cell_lifetime, SECOND, 3650 * DAY, "365d", "silence after which a user is forgotten"),

    COUNT(0, "limits.items", max_items, 1, 4294967295.0, "10000000", "most items"),
    NUMBER(KIND_LARGE, 0, "limits.users", max_users, 1, 1e15, "100000000", "most users"),
    COUNT(0, "limits.item_values", item_values, 0, 1000, "128", "most values of an item's attributes, parent and categories that filters know"),
    NUMBER(KIND_BYTES, 0, "limits.attributes", attribute_bytes, 0, 16 * TIB, "1GiB", "most memory that attributes of items take in a process"),
    NUMBER(KIND_BYTES, 0, "limits.min_free", min_free, 0, TIB, "64MiB", "free disk space below which events are refused"),
    NUMBER(KIND_BYTES, 0, "limits.map_size", map_size, MIB, 64 * TIB, "256GiB", "address space of each embedded store, the same in all processes"),

    TEXT("snapshots.folder", snapshots_folder, "", "folder where processors keep snapshots, and learn again from; empty: none"),
    NUMBER(KIND_LARGE, 0, "snapshots.every", snapshots_every, 0, 1e15, "1000000", "records learned between two snapshots; 0: take none"),
    COUNT(0, "snapshots.kept", snapshots_kept, 1, 32, "2", "verified snapshots that are kept"),
    SWITCH("snapshots.trim", snapshots_trim, "no", "trim the stream to the oldest verified snapshot that is kept"),

    DURATION(0, "retention.age", retention_age, 0, 3650 * DAY, "0",
             "records of the stream that are older are dropped, no further than the oldest verified snapshot that is kept; 0: none are"),
    NUMBER(KIND_BYTES, 0, "retention.bytes", retention_bytes, 0, 1024 * TIB, "0",
           "the oldest records of the stream are dropped when it takes more, no further than that snapshot; 0: none are"),

    CHOICE(0, "recommend.normalise", normalise, normalise, "sum",
           "what a co-view is divided by: the sum of its row to row_power, or the maximum of the row"),
    REAL("recommend.row_power", row_power, 0, 2, "0.5", "power of the sum of the row"),
    REAL("recommend.popularity_power", popularity_power, 0, 2, "0.2", "how strongly popular candidates are damped"),
    CHOICE(0, "recommend.recency", recency, recency, "exp", "weight of the n-th most recent item: exp(-n / recency_value), or recency_value ^ n"),
    REAL("recommend.recency_value", recency_value, 1e-6, 1e6, "5", "see recommend.recency"),
    REAL("recommend.revisit", revisit, 0, 1e6, "0", "weight of the user's own recent items as candidates, divided by their position"),
    REAL("recommend.weight_coview", weight_coview, 0, 1e6, "1", "weight of co-views in the score"),
    REAL("recommend.weight_popular", weight_popular, 0, 1e6, "0.01", "weight of popularity in the score"),
    SWITCH("recommend.filter_seen", filter_seen, "yes", "leave out what the user has seen"),
    SWITCH("recommend.filter_availability", filter_availability, "yes", "leave out what is hidden or not available"),
    COUNT(0, "recommend.popular_candidates", popular_candidates, 0, 100000, "200", "popular items taken as candidates"),
    DURATION(0, "recommend.window_hours", window_hours, HOUR, 512 * HOUR, "24h", "window of popularity by hours"),
    DURATION(0, "recommend.window_days", window_days, DAY, 512 * DAY, "60d", "window of popularity by days; also the popularity that damps"),
    TEXT("recommend.stages", stages, "",
         "the application's own stages that take part: registered names, comma separated, each perhaps followed by a JSON object"),
    COUNT(0, "recommend.limit_default", limit_default, 1, 10000, "20", "length of an answer when none is asked"),
    COUNT(0, "recommend.limit_max", limit_max, 1, 10000, "500", "longest answer that may be asked"),
    DURATION(0, "recommend.wait_max", wait_max, 0, 60 * SECOND, "2s", "longest wait for a position that may be asked"),
    DURATION(0, "recommend.deadline", answer_deadline, 10, 60 * SECOND, "1s",
             "time an answer over HTTP may take, waiting for a position aside; what is not there by then is left out, and the answer says so"),

    TEXT("services.ingest_listen", ingest_listen, "127.0.0.1:8080", "address and port of ingest"),
    TEXT("services.processor_listen", processor_listen, "127.0.0.1:8082", "address and port of the processor"),
    TEXT("services.api_listen", api_listen, "127.0.0.1:8081", "address and port of the API"),
    COUNT(0, "services.http_threads", http_threads, 1, 4096, "64", "threads that answer requests"),
    NUMBER(KIND_BYTES, 0, "services.body_max", http_body_max, 1 * KIB, GIB, "2MiB", "largest body of a request"),
    COUNT(0, "services.events_max", http_events_max, 1, 1000000, "1000", "most events in one request"),
    DURATION(0, "services.request_timeout", http_request_timeout, 100, HOUR, "10s", "time a client has to send a request and to take its answer"),
    TEXT("services.cors_origins", cors_origins, "", "origins (https://shop.example) whose pages may ask, comma separated; * for all; empty: none"),
    TEXT("services.hosts", hosts, "",
         "names (reco.example) that services are asked by, comma separated, besides localhost, IP addresses and names without a dot; * for any; "
         "empty: none where they listen on a loopback address, else any"),
    CHOICE(0, "services.console", console, console, "read", "the console at / of the API: off, read, or write: it may post events"),
    TEXT("services.reports", reports, "", "folder of the reports of `reco evaluate` that the console shows; empty: none"),
    CHOICE(0, "log.level", log_level, log_level, "info", "most verbose lines wanted: error, warn, info or debug"),
};
const size_t reco__config_count = sizeof reco__config_table / sizeof *reco__config_table;

static const char *const default_values[] = {NULL};
static const char *const sessions_values[] = {"coview.length",
                                              "1d",
                                              "coview.kept",
                                              "30",
                                              "coview.halving",
                                              "7",
                                              "pairs.within",
                                              "session",
                                              "pairs.weight",
                                              "inverse",
                                              "recommend.popularity_power",
                                              "0.15",
                                              "recommend.recency",
                                              "power",
                                              "recommend.recency_value",
                                              "0.5",
                                              "recommend.revisit",
                                              "2",
                                              "recommend.filter_seen",
                                              "no",
                                              NULL};
static const char *const long_history_values[] = {"coview.length", "90d", "coview.kept", "12", NULL};
static const char *const catalogue_small_values[] = {"coview.length",
                                                     "30d",
                                                     "coview.cut",
                                                     "2048",
                                                     "coview.head",
                                                     "512",
                                                     "pairs.window",
                                                     "20",
                                                     "pairs.weight",
                                                     "inverse",
                                                     "recommend.normalise",
                                                     "max",
                                                     "recommend.recency",
                                                     "power",
                                                     "recommend.recency_value",
                                                     "0.8",
                                                     NULL};
static const char *const shop_values[] = {"coview.halving",
                                          "8",
                                          "pairs.weight",
                                          "inverse",
                                          "recommend.popularity_power",
                                          "0.1",
                                          "recommend.recency",
                                          "power",
                                          "recommend.recency_value",
                                          "0.7",
                                          "recommend.revisit",
                                          "2",
                                          "recommend.filter_seen",
                                          "no",
                                          NULL};

const preset reco__config_presets[] = {{"default", default_values},
                                       {"sessions", sessions_values},
                                       {"long-history", long_history_values},
                                       {"catalogue-small", catalogue_small_values},
                                       {"shop", shop_values}};
const size_t reco__config_preset_count = sizeof reco__config_presets / sizeof *reco__config_presets;

const setting *reco__config_find(const char *name) {
    for (size_t i = 0; i < reco__config_count; i++)
        if (strcmp(reco__config_table[i].name, name) == 0)
            return &reco__config_table[i];
    return NULL;
}
