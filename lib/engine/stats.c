/* engine/stats.c - numbers for people and for monitoring. */
#include "engine/engine.h"
#include "engine/retention.h"

#include <stdio.h>

#define PROBE_NS 2000000000ll /* three stores in less than a scraper waits */
#define RETENTION_LOOK 1u     /* records of a partition: whether its oldest should have gone */

/* Where the stream and what was learned of it stand. */
typedef struct survey {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_position positions[RECO_PARTITIONS_MAX];
    reco_features_info info;
    int64_t lag, lag_ms, oldest, newest;
} survey;

static int64_t partition_lag(const survey *at, uint32_t p) {
    int64_t behind = at->spans[p].end - at->positions[p].offset;
    return behind > 0 ? behind : 0;
}

/* From the last record learned to the last one there is, ms; 0 when nothing is left to be learned. */
static int64_t partition_age(const survey *at, uint32_t p) {
    int64_t age = at->spans[p].last_received_at - at->positions[p].clock;
    return partition_lag(at, p) > 0 && age > 0 ? age : 0;
}

static void take_lag(survey *out, uint32_t partitions) {
    for (uint32_t p = 0; p < partitions; p++) {
        int64_t age = partition_age(out, p);
        out->lag += partition_lag(out, p);
        out->lag_ms = age > out->lag_ms ? age : out->lag_ms;
        out->oldest = out->positions[p].clock < out->oldest ? out->positions[p].clock : out->oldest;
        out->newest = out->positions[p].clock > out->newest ? out->positions[p].clock : out->newest;
    }
}

/* What a probe gives a store: monitoring is asked for most when a store is away, and must not be away with it. */
static const reco_call *probe_call(reco_call *own, const reco_call *call) { return reco__call_within(own, call, PROBE_NS); }

static reco_status look_at_features(survey *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    uint64_t epoch;
    reco_status status = reco__features_positions(out->positions, &epoch, engine->features, call, err);
    return status == RECO_OK ? reco__features_info(&out->info, engine->features, call, err) : status;
}

static reco_status look(survey *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    *out = (survey){.info.struct_size = sizeof out->info, .oldest = INT64_MAX};
    reco_status status = reco__stream_spans(out->spans, engine->stream, call, err);
    if (status == RECO_OK)
        status = look_at_features(out, engine, call, err);
    if (status == RECO_OK)
        take_lag(out, engine->partitions);
    return status;
}

uint32_t reco_lacking(reco_engine *engine) { return engine && engine->answers ? reco__recommend_lacking(engine->recommend) : 0; }

const char *reco_lacking_word(uint32_t reason) { return reco__degraded_name(reason); }

/* Whether a process that can do without features or the stream for a while is ready nonetheless. `why`: what it could not do. */
static reco_status ready_without(reco_engine *engine, reco_status why, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    if (!engine->background || why == RECO_CANCELLED || atomic_load(&engine->processors) > 0 || engine->process_running)
        return why;
    if (engine->answers)
        return reco__recommend_ready(engine->recommend, err);
    return reco__stream_spans(spans, engine->stream, call, err);
}

reco_status reco_ready(int64_t *lag, int64_t *lag_ms, reco_engine *engine, const reco_call *call, reco_error *err) {
    survey at = {.lag = -1, .lag_ms = -1};
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status != RECO_OK)
        return status;
    reco_call own;
    status = look(&at, engine, probe_call(&own, call), &error);
    if (status != RECO_OK) {
        at.lag = at.lag_ms = -1;
        status = ready_without(engine, status, probe_call(&own, call), &error);
    } else if (engine->background && engine->answers) {
        status = reco__recommend_ready(engine->recommend, &error);
    }
    if (status != RECO_OK && err)
        *err = error;
    if (status == RECO_OK) {
        if (lag)
            *lag = at.lag;
        if (lag_ms)
            *lag_ms = at.lag_ms;
        pthread_mutex_lock(&engine->thread_lock);
        reco_error failed = engine->thread_error;
        pthread_mutex_unlock(&engine->thread_lock);
        if (failed.status != RECO_OK)
            status = reco__fail(err, (reco_status)failed.status, "processor", "learning waits: %s", failed.text);
    }
    return status;
}

reco_status reco_setting_get(char *out, size_t room, reco_engine *engine, const char *name, reco_error *err) {
    reco_status status = reco__engine_enter(engine, NULL, err);
    if (status == RECO_OK && (!out || !name))
        status = reco__fail(err, RECO_INVALID, out ? "name" : "out", "it is needed");
    return status == RECO_OK ? reco__settings_get(out, room, &engine->settings, name, err) : status;
}

/* --- JSON --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct table_sink {
    reco__buf *out;
    bool first;
} table_sink;

static void table_json(void *context, const char *name, uint64_t value) {
    table_sink *sink = context;
    if (!sink->first)
        reco__buf_byte(sink->out, ',');
    sink->first = false;
    reco__json_string(sink->out, name, strlen(name));
    reco__buf_printf(sink->out, ":%llu", (unsigned long long)value);
}

static void json_time(reco__buf *out, int64_t ms) {
    char text[32];
    if (ms <= 0) {
        reco__buf_text(out, "null");
        return;
    }
    reco__time_format(ms, text);
    reco__json_string(out, text, strlen(text));
}

static void json_partitions(reco__buf *out, const reco_engine *engine, const survey *at) {
    reco__buf_text(out, "\"partitions\":[");
    for (uint32_t p = 0; p < engine->partitions; p++) {
        reco__buf_printf(out, "%s{\"begin\":%lld,\"end\":%lld,\"learned\":%lld,\"lag\":%lld,\"clock\":", p ? "," : "", (long long)at->spans[p].begin,
                         (long long)at->spans[p].end, (long long)at->positions[p].offset, (long long)partition_lag(at, p));
        json_time(out, at->positions[p].clock);
        reco__buf_byte(out, '}');
    }
    reco__buf_byte(out, ']');
}

static void json_counters(reco__buf *out, reco_engine *engine) {
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"accepted", atomic_load(&engine->counters.accepted)},
        {"rejected", atomic_load(&engine->counters.rejected)},
        {"too_late", atomic_load(&engine->counters.too_late)},
        {"too_early", atomic_load(&engine->counters.too_early)},
        {"attributed", atomic_load(&engine->counters.attributed)},
        {"unattributed", atomic_load(&engine->counters.unattributed)},
        {"records", atomic_load(&engine->counters.records)},
        {"events", atomic_load(&engine->counters.events)},
        {"batches", atomic_load(&engine->counters.batches)},
        {"duplicates", atomic_load(&engine->counters.duplicates)},
        {"clamped", atomic_load(&engine->counters.clamped)},
        {"closing_steps", atomic_load(&engine->counters.closing_steps)},
        {"stale", atomic_load(&engine->counters.stale)},
        {"dead_letters", atomic_load(&engine->counters.dead_letters)},
        {"snapshots", atomic_load(&engine->counters.snapshots)},
        {"snapshots_verified", atomic_load(&engine->counters.snapshots_verified)},
        {"snapshots_different", atomic_load(&engine->counters.snapshots_different)},
        {"relearned", atomic_load(&engine->counters.relearned)},
        {"trimmed", atomic_load(&engine->counters.trimmed)},
    };
    table_sink sink = {out, true};
    reco__buf_text(out, "\"process\":{");
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        table_json(&sink, counters[i].name, counters[i].value);
    reco__buf_byte(out, '}');
}

/* What is wanted, how far it is from it, and what holds it back. */
static void json_retention(reco__buf *out, reco_engine *engine, const reco_call *call) {
    reco__retention plan;
    reco_error err = RECO_ERROR_INIT;
    if (!reco__retention_wanted(engine))
        return;
    reco_status status = reco__retention_plan(&plan, engine, engine->settings.retention_age, engine->settings.retention_bytes, reco__now_ms(),
                                              RETENTION_LOOK, call, &err);
    reco__buf_printf(out, "\"retention\":{\"age_ms\":%lld,\"bytes\":%llu,", (long long)engine->settings.retention_age,
                     (unsigned long long)engine->settings.retention_bytes);
    if (status == RECO_OK) {
        reco__buf_printf(out, "\"stream_bytes\":%llu,\"oldest\":", (unsigned long long)plan.stream_bytes);
        json_time(out, plan.oldest);
        reco__buf_byte(out, ',');
    }
    reco__buf_text(out, "\"held_by\":");
    const char *held_by = status == RECO_OK ? plan.held_by : err.text;
    reco__json_string(out, held_by, strlen(held_by));
    reco__buf_text(out, "},");
}

static reco_status json_stores(reco__buf *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    table_sink sink = {out, true};
    reco__buf_text(out, "\"stream\":{");
    reco_status status = reco__stream_stats(engine->stream, table_json, &sink, call, err);
    reco__buf_text(out, "},\"features\":{");
    sink.first = true;
    if (status == RECO_OK)
        status = reco__features_stats(engine->features, table_json, &sink, call, err);
    reco__buf_text(out, "},\"records\":{");
    sink.first = true;
    if (status == RECO_OK)
        status = reco__records_stats(engine->records, table_json, &sink, call, err);
    reco__buf_byte(out, '}');
    return status;
}

/* Of the whole process but for the first, which is of this engine. What is not known is left out. */
static void json_memory(reco__buf *out, reco_engine *engine) {
    table_sink sink = {out, true};
    reco__footprint footprint;
    reco__footprint_look(&footprint);
    reco__buf_text(out, ",\"memory\":{");
    table_json(&sink, "recommend_bytes", reco__recommend_bytes(engine->recommend));
    if (footprint.counted)
        table_json(&sink, "allocated_bytes", footprint.allocated);
    if (footprint.heap) {
        table_json(&sink, "heap_bytes", footprint.heap);
        table_json(&sink, "heap_free_bytes", footprint.heap_free);
    }
    if (footprint.anonymous)
        table_json(&sink, "anonymous_bytes", footprint.anonymous);
    reco__buf_byte(out, '}');
}

reco_status reco_stats(char **json, reco_engine *engine, const reco_call *call, reco_error *err) {
    survey at;
    reco__buf out = {.limit = 4u << 20};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !json)
        status = reco__fail(err, RECO_INVALID, "json", "it is needed");
    if (status == RECO_OK)
        status = look(&at, engine, call, err);
    if (status != RECO_OK)
        return status;
    const reco_board_rules *rules = &engine->rules.boards;
    reco__buf_text(&out, "{\"version\":");
    reco__json_string(&out, reco_version(), strlen(reco_version()));
    reco__buf_text(&out, ",\"namespace\":");
    reco__json_string(&out, engine->settings.space, strlen(engine->settings.space));
    reco__buf_printf(&out, ",\"items\":%u,\"users\":%llu,\"lag\":%lld,\"lag_ms\":%lld,", at.info.item_count, (unsigned long long)at.info.user_count,
                     (long long)at.lag, (long long)at.lag_ms);
    json_partitions(&out, engine, &at);
    reco__buf_printf(&out, ",\"closing\":{\"due\":%s,\"coview_newest_closed\":%lld,\"clock\":", at.info.closings_due ? "true" : "false",
                     (long long)reco_board_newest_closed(rules, RECO_BOARD_COVIEW, at.oldest));
    json_time(&out, at.oldest);
    reco__buf_text(&out, "},");
    json_counters(&out, engine);
    reco__buf_byte(&out, ',');
    json_retention(&out, engine, call);
    status = json_stores(&out, engine, call, err);
    json_memory(&out, engine);
    reco__buf_byte(&out, '}');
    if (status == RECO_OK && !reco__buf_cstr(&out))
        status = reco__buf_status(&out, err);
    if (status == RECO_OK)
        *json = out.data;
    else
        reco__buf_dispose(&out);
    return status;
}

/* --- metrics ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct metric_relay {
    reco_metric_sink sink;
    void *context;
    const char *store;
} metric_relay;

static void relay_bytes(void *context, const char *name, uint64_t value) {
    metric_relay *relay = context;
    char labels[160];
    size_t size = strlen(name);
    if (size > 6 && strcmp(name + size - 6, "_bytes") == 0) {
        snprintf(labels, sizeof labels, "store=\"%s\",table=\"%.*s\"", relay->store, (int)(size - 6 < 80 ? size - 6 : 80), name);
        relay->sink(relay->context, "reco_store_bytes", labels, (double)value, "gauge", "Bytes held by a table of a store.");
    }
}

static void relay_recommend(void *context, const char *name, const char *label, const char *value, uint64_t count) {
    metric_relay *relay = context;
    char labels[160] = "";
    if (label && label[0])
        snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
    if (strcmp(name, RECO__STAGE_NS) == 0)
        relay->sink(relay->context, name, labels, (double)count / 1e9, "counter", "Time of the runs of a stage that were timed: one question of 64.");
    else
        relay->sink(relay->context, name, labels, (double)count, "counter", "Counted while answering.");
}

static void relay_counters(metric_relay *relay, reco_engine *engine) {
    const struct {
        const char *name, *labels, *help;
        uint64_t value;
    } counters[] = {
        {"reco_events_accepted_total", "", "Events accepted by this process.", atomic_load(&engine->counters.accepted)},
        {"reco_events_rejected_total", "", "Events rejected by this process.", atomic_load(&engine->counters.rejected)},
        {"reco_events_out_of_time_total", "reason=\"too_late\"", "Events rejected for their timestamp.", atomic_load(&engine->counters.too_late)},
        {"reco_events_out_of_time_total", "reason=\"too_early\"", "Events rejected for their timestamp.", atomic_load(&engine->counters.too_early)},
        {"reco_attributions_total", "result=\"genuine\"", "Events that carried a recommendation_id.", atomic_load(&engine->counters.attributed)},
        {"reco_attributions_total", "result=\"dropped\"", "Events that carried a recommendation_id.", atomic_load(&engine->counters.unattributed)},
        {"reco_records_learned_total", "", "Stream records learned by this process.", atomic_load(&engine->counters.records)},
        {"reco_events_learned_total", "", "Events learned by this process.", atomic_load(&engine->counters.events)},
        {"reco_events_duplicate_total", "", "Events left out because their id was seen.", atomic_load(&engine->counters.duplicates)},
        {"reco_events_clamped_total", "", "Events counted in a newer generation than their own.", atomic_load(&engine->counters.clamped)},
        {"reco_batches_total", "", "Batches applied by this process.", atomic_load(&engine->counters.batches)},
        {"reco_batches_stale_total", "", "Batches that another processor was faster with.", atomic_load(&engine->counters.stale)},
        {"reco_stream_trimmed_records_total", "", "Records this process dropped from the stream.", atomic_load(&engine->counters.trimmed)},
        {"reco_snapshots_total", "result=\"taken\"", "Snapshots taken by this process.", atomic_load(&engine->counters.snapshots)},
        {"reco_snapshots_total", "result=\"verified\"", "Snapshots taken by this process.", atomic_load(&engine->counters.snapshots_verified)},
        {"reco_snapshots_total", "result=\"different\"", "Snapshots taken by this process.", atomic_load(&engine->counters.snapshots_different)},
        {"reco_relearned_total", "", "Times this process loaded a snapshot into features that had lost what they had.",
         atomic_load(&engine->counters.relearned)},
        {"reco_dead_letters_total", "", "Stream records that cannot be read, put aside by this process.",
         atomic_load(&engine->counters.dead_letters)},
        {"reco_closing_steps_total", "", "Steps of closing done by this process.", atomic_load(&engine->counters.closing_steps)},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        relay->sink(relay->context, counters[i].name, counters[i].labels, (double)counters[i].value, "counter", counters[i].help);
}

/* From received_at to the commit of what was learned: from then on each answer to the user has it. */
static void relay_effects(metric_relay *relay, reco_engine *engine) {
    static const int bounds[RECO__EFFECT_BUCKETS - 1] = RECO__EFFECT_BOUNDS;
    static const char help[] = "From an event's receipt to its effect on answers, of the events learned by this process.";
    uint64_t count = 0;
    for (size_t i = 0; i < RECO__EFFECT_BUCKETS; i++) {
        char label[32] = "le=\"+Inf\"";
        if (i < RECO__EFFECT_BUCKETS - 1)
            snprintf(label, sizeof label, "le=\"%g\"", bounds[i] / 1000.0);
        count += atomic_load(&engine->counters.effects[i]);
        relay->sink(relay->context, "reco_event_to_effect_seconds_bucket", label, (double)count, "histogram", help);
    }
    relay->sink(relay->context, "reco_event_to_effect_seconds_sum", "", (double)atomic_load(&engine->counters.effect_ms) / 1000, "histogram", help);
    relay->sink(relay->context, "reco_event_to_effect_seconds_count", "", (double)count, "histogram", help);
}

static void relay_archive(metric_relay *relay, reco_engine *engine) {
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"reco_archive_records_total", "Records archived by this process.", atomic_load(&engine->counters.archive_records)},
        {"reco_archive_batches_total", "Transactions of the archive by this process.", atomic_load(&engine->counters.archive_batches)},
        {"reco_archive_stale_total", "Batches that another archiver was faster with.", atomic_load(&engine->counters.archive_stale)},
        {"reco_archive_missed_total", "Records dropped by the stream before they were archived.", atomic_load(&engine->counters.archive_missed)},
        {"reco_archive_unreadable_total", "Records archived as bytes only.", atomic_load(&engine->counters.archive_unreadable)},
        {"reco_archive_failures_total", "Attempts to archive that failed.", atomic_load(&engine->counters.archive_failures)},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        relay->sink(relay->context, counters[i].name, "", (double)counters[i].value, "counter", counters[i].help);
}

/* The lag is that of the stream as it is now against what an archiver of this process last knew: it grows while the archive is out of reach. */
static void relay_archive_lag(metric_relay *relay, reco_engine *engine, const survey *at) {
    int64_t lag = 0;
    for (uint32_t p = 0; p < engine->partitions; p++) {
        int64_t next = atomic_load(&engine->archived[p]), from = next > at->spans[p].begin ? next : at->spans[p].begin;
        lag += at->spans[p].end > from ? at->spans[p].end - from : 0;
    }
    relay->sink(relay->context, "reco_archive_lag", "", (double)lag, "gauge", "Records durable and not yet archived.");
}

static void relay_lag(metric_relay *relay, reco_engine *engine, const survey *at) {
    relay->sink(relay->context, "reco_stream_lag", "", (double)at->lag, "gauge", "Records durable and not yet learned.");
    relay->sink(relay->context, "reco_stream_lag_seconds", "", (double)at->lag_ms / 1000, "gauge", "Age of the oldest partition's lag.");
    for (uint32_t p = 0; p < engine->partitions; p++) {
        char label[32];
        snprintf(label, sizeof label, "partition=\"%u\"", p);
        relay->sink(relay->context, "reco_stream_partition_lag", label, (double)partition_lag(at, p), "gauge",
                    "Records of a partition durable and not yet learned.");
        relay->sink(relay->context, "reco_stream_partition_lag_seconds", label, (double)partition_age(at, p) / 1000, "gauge",
                    "Age of the lag of a partition.");
        relay->sink(relay->context, "reco_stream_partition_end", label, (double)at->spans[p].end, "gauge",
                    "Records a partition has had, those dropped since included.");
    }
}

static void relay_info(metric_relay *relay, const reco_features_info *info) {
    relay->sink(relay->context, "reco_items", "", info->item_count, "gauge", "Items known to features.");
    relay->sink(relay->context, "reco_users", "", (double)info->user_count, "gauge", "Users with a cell.");
    relay->sink(relay->context, "reco_closing_due", "", info->closings_due, "gauge", "1 while a generation is being closed.");
}

/* The names that reco_stats has; what is not known is left out. */
static void relay_memory(metric_relay *relay, reco_engine *engine) {
    reco__footprint footprint;
    reco__footprint_look(&footprint);
    const struct {
        const char *labels;
        uint64_t value;
        bool known;
    } gauges[] = {
        {"kind=\"recommend\"", reco__recommend_bytes(engine->recommend), true},
        {"kind=\"allocated\"", footprint.allocated, footprint.counted},
        {"kind=\"heap\"", footprint.heap, footprint.heap > 0},
        {"kind=\"heap_free\"", footprint.heap_free, footprint.heap > 0},
        {"kind=\"anonymous\"", footprint.anonymous, footprint.anonymous > 0},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        if (gauges[i].known)
            relay->sink(relay->context, "reco_memory_bytes", gauges[i].labels, (double)gauges[i].value, "gauge",
                        "Memory of this process, files aside, as counted by libreco, malloc and the kernel.");
}

static bool relay_up(metric_relay *relay, const char *store, reco_status status) {
    char label[32];
    snprintf(label, sizeof label, "store=\"%s\"", store);
    relay->sink(relay->context, "reco_store_up", label, status == RECO_OK, "gauge", "1 when a store answered just now.");
    return status == RECO_OK;
}

/* What needs a store that does not answer is left out. */
static void relay_stores(metric_relay *relay, reco_engine *engine, const reco_call *call) {
    survey at = {.info.struct_size = sizeof at.info, .oldest = INT64_MAX};
    reco_call own;
    const reco_call *part = probe_call(&own, call);
    relay->store = "stream";
    reco_status status = reco__stream_spans(at.spans, engine->stream, part, NULL);
    if (status == RECO_OK)
        status = reco__stream_stats(engine->stream, relay_bytes, relay, part, NULL);
    bool streams = relay_up(relay, "stream", status);
    if (streams && atomic_load(&engine->archiving))
        relay_archive_lag(relay, engine, &at);
    part = probe_call(&own, call);
    relay->store = "features";
    status = look_at_features(&at, engine, part, NULL);
    if (status == RECO_OK)
        status = reco__features_stats(engine->features, relay_bytes, relay, part, NULL);
    if (relay_up(relay, "features", status)) {
        relay_info(relay, &at.info);
        take_lag(&at, engine->partitions);
        if (streams)
            relay_lag(relay, engine, &at);
    }
    relay->store = "records";
    relay_up(relay, "records", reco__records_stats(engine->records, relay_bytes, relay, probe_call(&own, call), NULL));
}

reco_status reco_metrics(reco_engine *engine, reco_metric_sink sink, void *context, const reco_call *call, reco_error *err) {
    metric_relay relay = {sink, context, ""};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !sink)
        status = reco__fail(err, RECO_INVALID, "sink", "it is needed");
    if (status != RECO_OK)
        return status;
    relay_counters(&relay, engine);
    relay_effects(&relay, engine);
    if (atomic_load(&engine->archiving))
        relay_archive(&relay, engine);
    reco__recommend_metrics(engine->recommend, relay_recommend, &relay);
    relay_memory(&relay, engine);
    relay_stores(&relay, engine, call);
    return RECO_OK;
}
