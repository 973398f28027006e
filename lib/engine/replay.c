/* engine/replay.c - the stream learned again by other settings, into features of their own, beside the engine that runs.
 *
 * What is learned is a function of the records and of the settings the fingerprint covers, so other settings need other features, and nothing else:
 * the stream stays, with its identity and offsets, and so do records. An engine on the new settings, with `features` at the new address, is opened
 * here as the services will open it later, and learns without being a member of the stream: the processors that run keep their partitions. Learning
 * is the same atomic step with a position as everywhere, so it may be killed and begun again, and a processor on the new features may come up beside
 * it: whoever is slower is STALE and looks again.
 *
 * The switch is the configuration: processes that are opened on the new settings and address answer from the new features, others from the old ones,
 * and as both are kept up while they are restarted one by one (the old ones by their processors, the new ones from here), a position given out by
 * either is waited for by either. Going back is the same. Nothing in the directory says which is current, for nothing needs to. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/engine.h"
#include "kv/kv.h"

#define SAMPLE_RECORDS 20000u
#define SLOWER 2 /* than a small sample in memory is what has grown, on a disk */
#define SAMPLE_NS INT64_C(2000000000)
#define NEARLY 100u /* records that are left: as current as can be while others write all the time */
#define FOLLOW_NS INT64_C(100000000)

typedef struct replaying {
    const reco_settings *settings;
    reco_replay_options options;
    const reco_call *call;
    char url[1100]; /* of the new features */
    reco_engine *engine;
    reco__learner *learner;
    uint32_t batch;
    reco_position at[RECO_PARTITIONS_MAX];
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    uint64_t learned, first; /* records by this call; left when it began */
} replaying;

/* --- the engine on the new settings ---------------------------------------------------------------------------------------------------------- */

/* Cuts names off the end of a path until it is of something that is there. */
static void cut_to_existing(char *path, size_t room) {
    struct stat st;
    while (stat(path, &st) != 0) {
        char *slash = strrchr(path, '/');
        if (slash && slash != path)
            *slash = 0;
        else
            snprintf(path, room, "%s", slash ? "/" : ".");
    }
}

static bool has_store(const char *directory, const char *name) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s%s/data.mdb", directory, name);
    return access(path, F_OK) == 0;
}

/* New features may lie in a folder of their own, also where some are that are to be gone on with, but not within what is the stores' own. */
static reco_status check_place(const char url[1100], reco_error *err) {
    char path[1100], real[PATH_MAX];
    if (strncmp(url, "lmdb:", 5) != 0)
        return RECO_OK;
    memcpy(path, url + 5, sizeof path - 5);
    cut_to_existing(path, sizeof path);
    bool itself = strcmp(path, url + 5) == 0;
    if (!realpath(path, real))
        return reco__fail_errno(err, errno, path);
    for (char *slash = real; slash; itself = false) {
        if (has_store(real, "") || (!itself && (has_store(real, "/stream") || has_store(real, "/features") || has_store(real, "/records"))))
            return reco__fail(err, RECO_INVALID, "into", "it lies within %.120s, which stores have for themselves: name a place beside it", real);
        slash = strrchr(real, '/');
        if (slash)
            *slash = 0;
    }
    return RECO_OK;
}

/* A directory, or the address of features: a scheme and a colon. */
static reco_status make_url(replaying *r, reco_error *err) {
    const char *into = r->options.into;
    size_t scheme = strspn(into, "abcdefghijklmnopqrstuvwxyz0123456789+");
    bool address = scheme > 1 && into[scheme] == ':';
    int size = snprintf(r->url, sizeof r->url, "%s%s", address ? "" : "lmdb:", into);
    if (size < 0 || (size_t)size >= sizeof r->url || (size_t)size >= sizeof r->settings->values.features)
        return reco__fail(err, RECO_TOO_LARGE, "into", "the address is too long");
    if (strncmp(r->url, "memory:", 7) == 0)
        return reco__fail(err, RECO_INVALID, "into", "features in memory end with this process: name a directory or an address");
    const reco__settings *values = &r->settings->values;
    if (!values->stream[0] && strcmp(values->data, "memory:") == 0)
        return reco__fail(err, RECO_INVALID, "data", "a stream in memory is seen by its own process alone");
    const char *own = values->features[0] ? values->features : values->data;
    if (strcmp(own, into) == 0 || strcmp(own, r->url) == 0)
        return reco__fail(err, RECO_INVALID, "into", "it is where the features of the settings are: name another place, beside them");
    return check_place(r->url, err);
}

static reco_status open_engine(replaying *r, const char *features, reco_error *err) {
    reco_settings *settings = reco__alloc(sizeof *settings);
    if (!settings)
        return reco__no_memory(err);
    *settings = *r->settings;
    reco__settings *values = &settings->values;
    values->background = 0;
    values->snapshots_folder[0] = values->archive[0] = 0;
    values->retention_age = 0;
    values->retention_bytes = 0;
    snprintf(values->features, sizeof values->features, "%s", features);
    reco_open_options options = {.struct_size = sizeof options, .flags = RECO_OPEN_NO_ANSWERS, .settings = settings};
    reco_status status = reco_open(&r->engine, &options, r->call, err);
    reco__release(settings);
    if (status == RECO_OK)
        status = reco__learner_create(&r->learner, r->engine->stream, r->engine->features, &r->engine->rules, err);
    if (status == RECO_OK)
        r->batch = reco__features_batch_events(r->engine->features);
    return status;
}

static void close_engine(replaying *r) {
    reco__learner_free(r->learner);
    reco_close(r->engine);
    r->learner = NULL;
    r->engine = NULL;
}

/* --- learning ---------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t left(const replaying *r) {
    uint64_t records = 0;
    for (uint32_t p = 0; p < r->engine->partitions; p++)
        if (r->spans[p].end > r->at[p].offset)
            records += (uint64_t)(r->spans[p].end - r->at[p].offset);
    return records;
}

static reco_status look(replaying *r, reco_error *err) {
    uint64_t epoch;
    reco_status status = reco__stream_bounds(r->spans, r->engine->stream, r->call, err);
    if (status == RECO_OK)
        status = reco__features_positions(r->at, &epoch, r->engine->features, r->call, err);
    for (uint32_t p = 0; status == RECO_OK && p < r->engine->partitions; p++)
        if (r->at[p].offset < r->spans[p].begin)
            status = reco__fail(err, RECO_REFUSED, "stream",
                                "partition %u begins at %lld: what came before was trimmed, and cannot be learned by other settings", p,
                                (long long)r->spans[p].begin);
    return status;
}

/* The partition with the oldest clock that has something, or UINT32_MAX. */
static uint32_t next(const replaying *r) {
    uint32_t best = UINT32_MAX;
    for (uint32_t p = 0; p < r->engine->partitions; p++)
        if (r->at[p].offset < r->spans[p].end && (best == UINT32_MAX || r->at[p].clock < r->at[best].clock))
            best = p;
    return best;
}

static reco_status close_due(replaying *r, reco_error *err) {
    int more = 1;
    reco_status status = RECO_OK;
    while (more && status == RECO_OK)
        status = reco__features_close_step(&more, r->engine->features, INT64_C(100000000), r->call, err);
    return status;
}

/* A batch of the partition that is furthest behind in time. */
static reco_status step(replaying *r, uint32_t partition, uint32_t most, reco_error *err) {
    reco__learned done = {0};
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__learner_batch(&done, r->learner, partition, NULL, most, r->spans[partition].end, r->call, &error);
    if (status == RECO_STALE) /* another one learns there as well */
        return look(r, err);
    if (status == RECO_OK && done.records == 0 && done.to <= r->at[partition].offset)
        status = reco__fail(&error, RECO_CORRUPT, "stream", "partition %u ends at %lld before its end", partition, (long long)done.to);
    if (status != RECO_OK) {
        if (err)
            *err = error;
        return status;
    }
    r->at[partition] = (reco_position){done.to, done.clock};
    r->learned += done.records;
    return close_due(r, err);
}

/* Until all is learned that was durable when it was looked at last. */
static reco_status catch_up(replaying *r, reco_error *err) {
    reco_status status = look(r, err);
    uint64_t total = status == RECO_OK ? r->learned + left(r) : 0;
    for (uint32_t p; status == RECO_OK && (p = next(r)) != UINT32_MAX;) {
        status = step(r, p, r->batch, err);
        reco__call_progress(r->call, "learning", "records", r->learned, total > r->learned ? total : r->learned);
        if (status == RECO_OK)
            status = reco__call_check(r->call, err);
        if (status == RECO_OK && next(r) == UINT32_MAX) {
            status = look(r, err); /* what came meanwhile */
            total = r->learned + (status == RECO_OK ? left(r) : 0);
            if (status == RECO_OK && left(r) < NEARLY)
                break;
        }
    }
    return status;
}

static reco_status follow(replaying *r, reco_error *err) {
    int64_t ends[RECO_PARTITIONS_MAX];
    for (;;) {
        reco_status status = catch_up(r, err);
        if (status != RECO_OK || !r->options.current || r->options.current(r->options.context, r->learned))
            return status;
        for (uint32_t p = 0; p < r->engine->partitions; p++)
            ends[p] = r->at[p].offset;
        status = reco__stream_wait_for(r->engine->stream, ends, FOLLOW_NS, r->call, err);
        if (status == RECO_OK)
            status = reco__call_check(r->call, err);
        if (status != RECO_OK)
            return status;
    }
}

/* --- what it will take ---------------------------------------------------------------------------------------------------------------------------
 */

static void take_used(void *context, const char *name, uint64_t value) {
    if (strcmp(name, "used_bytes") == 0)
        *(uint64_t *)context = value;
}

/* The beginning of the stream, learned in memory: how fast, and how much room it took. */
static reco_status sample(replaying *r, double *rate, uint64_t *bytes, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_status status = look(r, err);
    r->first = status == RECO_OK ? left(r) : 0;
    for (uint32_t p; status == RECO_OK && r->learned < SAMPLE_RECORDS && reco__monotonic_ns() - began < SAMPLE_NS && (p = next(r)) != UINT32_MAX;)
        status = step(r, p, 1000, err);
    double seconds = (double)(reco__monotonic_ns() - began) / 1e9;
    *rate = seconds > 0 ? (double)r->learned / seconds / SLOWER : 0;
    return status == RECO_OK ? reco__features_stats(r->engine->features, take_used, bytes, r->call, err) : status;
}

static uint64_t free_at(const char url[1100]) {
    char path[1100];
    struct statvfs vfs;
    if (strncmp(url, "lmdb:", 5) != 0)
        return 0;
    memcpy(path, url + 5, sizeof path - 5);
    cut_to_existing(path, sizeof path); /* what it will be made in */
    return statvfs(path, &vfs) == 0 ? (uint64_t)vfs.f_bavail * vfs.f_frsize : 0;
}

/* Room as the features that are there take, where they are embedded; else as the sample did for each record, which is too much for long streams. */
static uint64_t room_needed(const replaying *r, uint64_t sampled) {
    const reco__settings *values = &r->settings->values;
    const char *directory = !values->features[0] ? values->data : strncmp(values->features, "lmdb:", 5) == 0 ? values->features + 5 : "";
    reco__kv_place place = {0};
    if (directory[0] && reco__kv_place_look(&place, directory, "features", NULL) == RECO_OK && place.used_bytes > sampled)
        return place.used_bytes;
    double each = r->learned ? (double)sampled / (double)r->learned : 0;
    return (uint64_t)(each * (double)r->first);
}

static reco_status estimate(replaying *r, reco_replay_result *out, reco_error *err) {
    double rate = 0;
    uint64_t bytes = 0;
    reco_status status = open_engine(r, "memory:", err);
    if (status == RECO_OK)
        status = sample(r, &rate, &bytes, err);
    close_engine(r);
    if (status != RECO_OK)
        return status;
    out->records = r->first;
    out->rate = (uint64_t)rate;
    out->estimated_ms = rate > 0 ? (int64_t)((double)r->first / rate * 1000) : 0;
    out->estimated_bytes = room_needed(r, bytes);
    out->free_bytes = free_at(r->url);
    return RECO_OK;
}

static reco_status run(replaying *r, reco_replay_result *out, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_status status = open_engine(r, r->url, err);
    if (status == RECO_OK)
        status = look(r, err);
    out->records = status == RECO_OK ? left(r) : 0;
    if (status == RECO_OK)
        status = follow(r, err);
    if (status == RECO_OK)
        status = reco__stream_bounds(r->spans, r->engine->stream, r->call, err);
    out->lag = status == RECO_OK ? left(r) : 0;
    out->learned = r->learned;
    double seconds = (double)(reco__monotonic_ns() - began) / 1e9;
    out->rate = seconds > 0 ? (uint64_t)((double)r->learned / seconds) : 0;
    close_engine(r);
    return status;
}

reco_status reco_replay(reco_replay_result *out, const reco_settings *settings, const reco_replay_options *options, const reco_call *call,
                        reco_error *err) {
    replaying r = {.settings = settings, .call = call};
    reco_replay_result result = {0};
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && !settings)
        status = reco__fail(err, RECO_INVALID, "settings", "they are needed");
    if (status == RECO_OK)
        status = reco__struct_copy(&r.options, sizeof r.options, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && (r.options.flags & ~RECO_REPLAY_ESTIMATE))
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", r.options.flags);
    if (status == RECO_OK && (!r.options.into || !r.options.into[0]))
        status = reco__fail(err, RECO_INVALID, "into", "a place for the new features is needed");
    if (status == RECO_OK)
        status = make_url(&r, err);
    if (status == RECO_OK)
        status = r.options.flags & RECO_REPLAY_ESTIMATE ? estimate(&r, &result, err) : run(&r, &result, err);
    if (status == RECO_OK && out) {
        result.struct_size = out->struct_size;
        *out = result;
    }
    return status;
}
