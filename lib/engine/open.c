/* engine/open.c - opening and closing an engine: settings, doors, threads. */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/later.h"
#include "base/module.h"
#include "config/settings.h"
#include "engine/retention.h"
#include "engine/snapshots.h"

#define RETENTION_PASSES 10u /* of a second each */

static void rules_fill(reco__learn_rules *rules, const reco__settings *settings) {
    reco_board_rules *boards = &rules->boards;
    boards->struct_size = sizeof *boards;
    boards->cut = settings->coview_cut;
    boards->head = settings->coview_head;
    boards->lateness = settings->lateness;
    boards->skew = settings->skew;
    boards->length[RECO_BOARD_HOURS] = INT64_C(3600000);
    boards->length[RECO_BOARD_DAYS] = INT64_C(86400000);
    boards->length[RECO_BOARD_COVIEW] = settings->coview_length;
    boards->kept[RECO_BOARD_HOURS] = settings->hours_kept;
    boards->kept[RECO_BOARD_DAYS] = settings->days_kept;
    boards->kept[RECO_BOARD_COVIEW] = settings->coview_kept;
    uint32_t halving = settings->coview_halving, oldest = settings->coview_kept ? settings->coview_kept - 1 : 0;
    for (uint32_t age = 0; age < settings->coview_kept; age++) {
        uint32_t halvings = halving ? oldest / halving - age / halving : 0;
        boards->weight[age] = (int32_t)(UINT32_C(1) << (halvings < 20 ? halvings : 20));
    }
    rules->pair_window = settings->pair_window;
    rules->pair_in_session = settings->pair_within == RECO__WITHIN_SESSION;
    rules->pair_inverse = settings->pair_weight == RECO__PAIR_INVERSE;
    rules->recents = settings->recents;
    rules->history = settings->history;
    rules->ids_seen = settings->ids_seen;
    rules->ids_window = settings->ids_window;
    rules->session_gap = settings->session_gap;
    rules->lifetime = settings->cell_lifetime;
    rules->types = settings->types;
    rules->type_count = settings->type_count;
}

/* A store's URL: as set, or the embedded one of the data directory. */
static reco_status store_url(char *out, size_t room, const char *given, const char *data, const char *name, reco_error *err) {
    int size;
    if (given[0])
        size = snprintf(out, room, "%s", given);
    else if (strcmp(data, "memory:") == 0)
        size = snprintf(out, room, "memory:");
    else
        size = snprintf(out, room, "lmdb:%s", data);
    if (size < 0 || (size_t)size >= room)
        return reco__fail(err, RECO_TOO_LARGE, name, "the address of the store is too long");
    return RECO_OK;
}

static reco_status settings_collect(reco_engine *engine, const reco_open_options *options, reco_error *err) {
    reco__settings *settings = &engine->settings;
    reco_status status = RECO_OK;
    if (options->settings)
        *settings = options->settings->values;
    else
        reco__settings_init(settings);
    if (options->config)
        status = reco__settings_file(settings, options->config, err);
    if (status == RECO_OK && options->data)
        status = reco__settings_set(settings, "data", options->data, err);
    if (status == RECO_OK && (options->flags & RECO_OPEN_BACKGROUND))
        settings->background = 1;
    if (status == RECO_OK)
        status = reco__settings_check(settings, err);
    if (status == RECO_OK)
        status = reco__module_folder(settings->modules, err);
    if (status == RECO_OK && !settings->data[0] && !(settings->stream[0] && settings->features[0] && settings->records[0]))
        status = reco__fail(err, RECO_INVALID, "data", "a directory (or \"memory:\") is needed");
    if (status == RECO_OK)
        status = store_url(engine->stream_url, sizeof engine->stream_url, settings->stream, settings->data, "stream", err);
    if (status == RECO_OK)
        status = store_url(engine->features_url, sizeof engine->features_url, settings->features, settings->data, "features", err);
    if (status == RECO_OK)
        status = store_url(engine->records_url, sizeof engine->records_url, settings->records, settings->data, "records", err);
    return status;
}

reco_status reco__engine_open_features(reco__features **out, reco_engine *engine, const char *url, uint32_t flags, const reco_call *call,
                                       reco_error *err) {
    reco_features_options options = {
        .struct_size = sizeof options,
        .partitions = engine->partitions,
        .url = url,
        .space = engine->settings.space,
        .fingerprint = {engine->fingerprint.data, engine->fingerprint.size},
        .rules = &engine->rules.boards,
        .max_items = engine->settings.max_items,
        .max_users = engine->settings.max_users,
        .min_free = engine->settings.min_free,
        .map_size = engine->settings.map_size,
        .background = engine->background,
        .flags = flags,
        .renumber = reco__cell_renumber,
    };
    memcpy(options.stream_id, reco__stream_id(engine->stream), 16);
    return engine->patient && !(flags & RECO_FEATURES_SCRATCH) ? reco__features_open_patient(out, &options, call, err)
                                                               : reco__features_open(out, &options, call, err);
}

static reco_status stream_open(reco_engine *engine, const reco_call *call, reco_error *err) {
    const reco__settings *settings = &engine->settings;
    reco_stream_options options = {
        .struct_size = sizeof options,
        .partitions = settings->partitions,
        .url = engine->stream_url,
        .space = settings->space,
        .min_free = settings->min_free,
        .map_size = settings->map_size,
        .background = engine->background,
    };
    reco_status status = reco__stream_open(&engine->stream, &options, call, err);
    if (status == RECO_OK)
        engine->partitions = reco__stream_partitions(engine->stream);
    return status;
}

static reco_status records_open(reco_engine *engine, const reco_call *call, reco_error *err) {
    const reco__settings *settings = &engine->settings;
    reco_records_options options = {
        .struct_size = sizeof options,
        .background = engine->background,
        .url = engine->records_url,
        .space = settings->space,
        .min_free = settings->min_free,
        .map_size = settings->map_size,
    };
    return engine->patient ? reco__records_open_patient(&engine->records, &options, call, err)
                           : reco__records_open(&engine->records, &options, call, err);
}

/* The key that recommendation ids are signed with. While records cannot be reached there is none: ids are left out, and attributions dropped. */
static reco_status signing_open(reco_engine *engine, const reco_call *call, reco_error *err) {
    if (atomic_load(&engine->signing_known))
        return RECO_OK;
    reco_status status = reco__records_signing_key(&engine->signing_number, engine->signing_key, engine->records, call, err);
    if (status == RECO_OK) {
        atomic_store(&engine->signing_known, true);
        if (engine->recommend)
            reco__recommend_sign(engine->recommend, engine->signing_number, engine->signing_key);
    }
    return status == RECO_OK || !engine->patient || !reco__later_worth(status) ? status : RECO_OK;
}

/* --- threads ------------------------------------------------------------------------------------------------------------------------------ */

/* Sleeps up to `ms`, shorter when the engine is being closed. */
static void thread_pause(reco_engine *engine, int64_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&engine->thread_lock);
    while (!atomic_load(&engine->stopping) && pthread_cond_timedwait(&engine->thread_cond, &engine->thread_lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&engine->thread_lock);
}

/* Keeps what the processor thread last met; true when it is a failure of another kind than before. */
static bool thread_note(reco_engine *engine, reco_status status, const reco_error *err) {
    pthread_mutex_lock(&engine->thread_lock);
    bool other = (int32_t)status != engine->thread_error.status;
    engine->thread_error = *err;
    engine->thread_error.status = (int32_t)status;
    pthread_mutex_unlock(&engine->thread_lock);
    return other && status != RECO_OK;
}

/* Learning in the background. A failure is logged once per kind and tried again: a full disk may be emptied, a limit raised. */
static void *process_thread(void *context) {
    reco_engine *engine = context;
    reco_processor *processor = NULL;
    reco_error err = RECO_ERROR_INIT;
    reco_call call = {.struct_size = sizeof call, .cancel = &engine->cancel};
    while (!atomic_load(&engine->stopping)) {
        reco_progress progress = {.struct_size = sizeof progress};
        reco_status status = processor ? RECO_OK : reco_processor_open(&processor, engine, NULL, &call, &err);
        if (status == RECO_OK)
            status = reco_processor_step(&progress, processor, &call, &err);
        if (status == RECO_OK && progress.idle)
            status = reco_processor_wait(processor, 1000, &call, &err);
        if (status == RECO_CANCELLED)
            break;
        if (thread_note(engine, status, &err))
            reco__log(RECO_LOG_ERROR, "engine", "learning waits: %s: %s", reco_status_name(status), err.text);
        if (status != RECO_OK)
            thread_pause(engine, 100);
    }
    reco_processor_close(processor);
    return NULL;
}

/* What needs looking after now and then: the key, and what answers are made from. A failure is logged once per kind. */
static void *refresh_thread(void *context) {
    reco_engine *engine = context;
    reco_status before = RECO_OK;
    reco_call call = {.struct_size = sizeof call, .cancel = &engine->cancel};
    while (!atomic_load(&engine->stopping)) {
        reco_error err = RECO_ERROR_INIT;
        reco_status status = signing_open(engine, &call, &err);
        if (engine->answers)
            (void)reco__recommend_follow(engine->recommend, &call, NULL); /* what fails here, the refresh tells of */
        if (engine->answers)
            status = reco__recommend_refresh(engine->recommend, 0, &call, &err);
        if (status != before && status != RECO_OK && status != RECO_CANCELLED)
            reco__log(RECO_LOG_WARN, "engine", "answers are not kept up to date: %s: %s", reco_status_name(status), err.text);
        else if (status != before && status == RECO_OK)
            reco__log(RECO_LOG_INFO, "engine", "answers are kept up to date again");
        before = status;
        thread_pause(engine, 500);
    }
    return NULL;
}

/* Snapshots, where there are processors. A failure is logged once per kind and tried again. */
static void *snapshot_thread(void *context) {
    reco_engine *engine = context;
    uint32_t passes = 0;
    reco_status before = RECO_OK;
    reco_call call = {.struct_size = sizeof call, .cancel = &engine->cancel};
    while (!atomic_load(&engine->stopping)) {
        reco_error err = RECO_ERROR_INIT;
        bool learns = atomic_load(&engine->processors) > 0;
        reco_status status = learns ? reco__snapshots_step(engine, &call, &err) : RECO_OK;
        if (status == RECO_OK && learns && passes++ % RETENTION_PASSES == 0)
            status = reco__retention_step(engine, &call, &err);
        if (status != before && status != RECO_OK && status != RECO_CANCELLED)
            reco__log(RECO_LOG_WARN, "snapshots", "no snapshot was taken, or the stream not trimmed: %s: %s", reco_status_name(status), err.text);
        before = status;
        thread_pause(engine, 1000);
    }
    return NULL;
}

static reco_status threads_start(reco_engine *engine, bool processor, reco_error *err) {
    int failed = pthread_create(&engine->refresh_thread, NULL, refresh_thread, engine);
    engine->refresh_running = failed == 0;
    if (!failed && processor) {
        failed = pthread_create(&engine->process_thread, NULL, process_thread, engine);
        engine->process_running = failed == 0;
    }
    if (!failed && reco__snapshots_wanted(engine)) {
        failed = pthread_create(&engine->snapshot_thread, NULL, snapshot_thread, engine);
        engine->snapshot_running = failed == 0;
    }
    return failed ? reco__fail_errno(err, failed, "starting a thread") : RECO_OK;
}

static void threads_stop(reco_engine *engine) {
    pthread_mutex_lock(&engine->thread_lock);
    atomic_store(&engine->stopping, true);
    __atomic_store_n(&engine->cancel, 1, __ATOMIC_RELAXED); /* as reco__call_check reads it */
    pthread_cond_broadcast(&engine->thread_cond);
    pthread_mutex_unlock(&engine->thread_lock);
    if (engine->process_running)
        pthread_join(engine->process_thread, NULL);
    if (engine->refresh_running)
        pthread_join(engine->refresh_thread, NULL);
    if (engine->snapshot_running)
        pthread_join(engine->snapshot_thread, NULL);
}

/* --- open and close ----------------------------------------------------------------------------------------------------------------------- */

static bool locks_init(reco_engine *engine) {
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    bool ok = pthread_mutex_init(&engine->ingest_lock, NULL) == 0 && pthread_mutex_init(&engine->process_lock, NULL) == 0 &&
              pthread_mutex_init(&engine->learned_lock, NULL) == 0 && pthread_mutex_init(&engine->thread_lock, NULL) == 0 &&
              pthread_cond_init(&engine->thread_cond, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    return ok;
}

/* Says what to do about stored settings that differ, whichever backend refused. */
static reco_status refused_advice(reco_status status, reco_error *err) {
    const char *advice = status != RECO_REFUSED || !err           ? ""
                         : strcmp(err->field, "fingerprint") == 0 ? "; reco replay --into learns the stream by other settings beside this"
                         : strcmp(err->field, "partitions") == 0  ? "; import the events into a new directory to divide them otherwise"
                                                                  : "";
    size_t size = *advice ? strlen(err->text) : 0, more = strlen(advice) + 1;
    if (*advice && size + more <= sizeof err->text)
        memcpy(err->text + size, advice, more);
    return status;
}

static uint32_t partition_of(const void *context, reco_str user) { return reco__stream_partition(context, user.data, user.size); }

static reco_status doors_open(reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_status status = refused_advice(stream_open(engine, call, err), err);
    if (status != RECO_OK)
        return status;
    reco__settings_fingerprint(&engine->fingerprint, &engine->settings, engine->partitions);
    status = reco__buf_status(&engine->fingerprint, err);
    if (status == RECO_OK)
        status = records_open(engine, call, err);
    if (status == RECO_OK)
        status = signing_open(engine, call, err);
    if (status == RECO_OK)
        status = refused_advice(reco__engine_open_features(&engine->features, engine, engine->features_url, 0, call, err), err);
    if (status != RECO_OK)
        return status;
    reco__recommend_options options = {
        .settings = &engine->settings,
        .rules = &engine->rules,
        .features = engine->features,
        .records = engine->records,
        .partitions = engine->partitions,
        .records_far = strncmp(engine->records_url, "lmdb:", 5) != 0 && strncmp(engine->records_url, "memory:", 7) != 0,
        .partition_of = partition_of,
        .partition_context = engine->stream,
        .recall = reco__snapshots_wanted(engine) ? reco__snapshots_recall : NULL,
        .recall_context = engine,
    };
    status = reco__recommend_open(&engine->recommend, &options, call, err);
    if (status == RECO_OK && atomic_load(&engine->signing_known))
        reco__recommend_sign(engine->recommend, engine->signing_number, engine->signing_key);
    return status;
}

reco_status reco_open(reco_engine **out, const reco_open_options *options, const reco_call *call, reco_error *err) {
    reco_open_options given;
    if (!out)
        return reco__fail(err, RECO_INVALID, "out", "a place for the engine is needed");
    *out = NULL;
    reco_status status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && (given.flags & ~(RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_PATIENT | RECO_OPEN_NO_ANSWERS)))
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", given.flags);
    if (status == RECO_OK)
        status = reco__call_check(call, err);
    if (status != RECO_OK)
        return status;
    reco_engine *engine = reco__zalloc(sizeof *engine);
    if (!engine || !locks_init(engine)) {
        reco__release(engine);
        return reco__no_memory(err);
    }
    reco__memory_pin(1);
    engine->opened_wall_ms = reco__now_ms();
    engine->opened_monotonic_ns = reco__monotonic_ns();
    status = settings_collect(engine, &given, err);
    if (status == RECO_OK) {
        engine->background = engine->settings.background != 0;
        engine->patient = engine->background && (given.flags & RECO_OPEN_PATIENT);
        engine->answers = !(given.flags & RECO_OPEN_NO_ANSWERS);
        rules_fill(&engine->rules, &engine->settings);
        status = doors_open(engine, call, err);
    }
    if (status == RECO_OK && engine->background)
        status = threads_start(engine, !(given.flags & RECO_OPEN_NO_PROCESSOR), err);
    if (status != RECO_OK) {
        reco_close(engine);
        return status;
    }
    *out = engine;
    return RECO_OK;
}

void reco_close(reco_engine *engine) {
    if (!engine)
        return;
    threads_stop(engine);
    reco_processor_close(engine->processor);
    reco__recommend_close(engine->recommend);
    reco__features_close(engine->features);
    reco__records_close(engine->records);
    reco__stream_close(engine->stream);
    reco__ingest_dispose(engine);
    reco__buf_dispose(&engine->fingerprint);
    pthread_mutex_destroy(&engine->ingest_lock);
    pthread_mutex_destroy(&engine->process_lock);
    pthread_mutex_destroy(&engine->learned_lock);
    pthread_mutex_destroy(&engine->thread_lock);
    pthread_cond_destroy(&engine->thread_cond);
    reco__release(engine);
    reco__memory_pin(-1);
}

reco_status reco__engine_text(reco_str text, size_t most, const char *field, reco_error *err) {
    if (!text.data && text.size)
        return reco__fail(err, RECO_INVALID, field, "%zu bytes are announced and none given", text.size);
    if (text.size > most)
        return reco__fail(err, RECO_TOO_LARGE, field, "at most %zu bytes, not %zu", most, text.size);
    return reco__utf8_valid(text.data, text.size) ? RECO_OK : reco__fail(err, RECO_INVALID, field, "not valid UTF-8");
}

reco_status reco__engine_enter(const reco_engine *engine, const reco_call *call, reco_error *err) {
    if (!engine)
        return reco__fail(err, RECO_INVALID, "engine", "no engine is given");
    return reco__call_check(call, err);
}
