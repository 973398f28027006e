/* recommend/recommend.c - the room's object: opening, the pool of columns, metrics. What it answers from is in state.c. */
#include "recommend/internal.h"

#include <time.h>
#include <unistd.h>

/* --- the pool ----------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__candidates_make(reco_candidates **out, reco__recommend *recommend, reco_error *err) {
    reco_candidates *c = reco__zalloc(sizeof(*c));
    uint64_t seed;
    reco_status status = c ? reco__random_bytes(&seed, sizeof(seed), err) : reco__no_memory(err);

    if (status != RECO_OK) {
        reco__release(c);
        return status;
    }
    c->settings = recommend->options.settings;
    c->rules = recommend->options.rules;
    c->features_breaker = &recommend->features_breaker;
    c->records_breaker = &recommend->records_breaker;
    c->features = recommend->options.features;
    c->plan = recommend->plan;
    reco__rand_seed(&c->rand, seed);
    *out = c;
    return RECO_OK;
}

reco_status reco__pool_take(reco_candidates **out, reco__recommend *recommend, reco_error *err) {
    pthread_mutex_lock(&recommend->pool_lock);
    reco_candidates *c = recommend->pool;
    if (c) {
        recommend->pool = c->next;
        recommend->pool_count--;
    }
    pthread_mutex_unlock(&recommend->pool_lock);
    if (c) {
        *out = c;
        return RECO_OK;
    }
    return reco__candidates_make(out, recommend, err);
}

void reco__candidates_free(reco_candidates *c) {
    if (c) {
        reco__candidates_dispose(c);
        reco__release(c);
    }
}

void reco__pool_give(reco__recommend *recommend, reco_candidates *c) {
    pthread_mutex_lock(&recommend->pool_lock);
    if (recommend->pool_count < recommend->pool_most) {
        c->next = recommend->pool;
        recommend->pool = c;
        recommend->pool_count++;
        c = NULL;
    }
    pthread_mutex_unlock(&recommend->pool_lock);
    reco__candidates_free(c);
}

/* --- open and close ----------------------------------------------------------------------------------------------------------------------------- */

static void init_locks(reco__recommend *recommend) {
    pthread_condattr_t attributes;

    pthread_mutex_init(&recommend->lock, NULL);
    pthread_mutex_init(&recommend->pool_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&recommend->refreshed, &attributes);
    pthread_condattr_destroy(&attributes);
}

reco_status reco__recommend_open(reco__recommend **out, const reco__recommend_options *options, const reco_call *call, reco_error *err) {
    reco__recommend *recommend = reco__zalloc(sizeof(*recommend));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (!recommend) {
        return reco__no_memory(err);
    }
    recommend->options = *options;
    recommend->pool_most = cores > 0 ? (uint32_t)cores * 4 : 4;
    init_locks(recommend);
    reco_status status = reco__plan_open(&recommend->plan, options->settings, call, err);
    if (status != RECO_OK) {
        reco__recommend_close(recommend);
        return status;
    }
    *out = recommend;
    return RECO_OK;
}

void reco__recommend_close(reco__recommend *recommend) {
    if (!recommend) {
        return;
    }
    while (recommend->pool) {
        reco_candidates *next = recommend->pool->next;
        reco__candidates_free(recommend->pool);
        recommend->pool = next;
    }
    reco__state_release(recommend->state);
    reco__kept_release(recommend->kept);
    reco__plan_close(recommend->plan);
    pthread_cond_destroy(&recommend->refreshed);
    pthread_mutex_destroy(&recommend->lock);
    pthread_mutex_destroy(&recommend->pool_lock);
    reco__release(recommend);
}

void reco__recommend_sign(reco__recommend *recommend, uint32_t key_number, const uint8_t key[16]) {
    recommend->key_number = key_number;
    memcpy(recommend->key, key, sizeof(recommend->key));
    atomic_store_explicit(&recommend->key_known, true, memory_order_release);
}

/* --- metrics ------------------------------------------------------------------------------------------------------------------------------------ */

static uint64_t read_counter(const atomic_uint_fast64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

void reco__recommend_metrics(const reco__recommend *recommend, reco__metric_sink sink, void *context) {
    static const char *const sieved[RECO__SIEVED_KINDS] = {"exclude", "filters", "caps", "variants", "cursor"};

    for (uint32_t i = 0; i < recommend->plan->count; i++) {
        const reco__stage *stage = &recommend->plan->stages[i];
        if (stage->kind == RECO_STAGE_SOURCE) {
            sink(context, "reco_candidates_total", "source", stage->name, read_counter(&stage->counted));
            sink(context, "reco_source_skipped_total", "source", stage->name, read_counter(&stage->skipped));
        } else if (stage->kind == RECO_STAGE_FILTER || (stage->kind == RECO_STAGE_ARRANGER && !stage->run)) {
            sink(context, "reco_filtered_total", "reason", stage->name, read_counter(&stage->counted));
        }
        sink(context, "reco_stage_failures_total", "stage", stage->name, read_counter(&stage->failures));
        sink(context, "reco_stage_timed_total", "stage", stage->name, read_counter(&stage->timed));
        sink(context, RECO__STAGE_NS, "stage", stage->name, read_counter(&stage->timed_ns));
    }
    for (uint32_t i = 0; i < RECO__SIEVED_KINDS; i++) {
        sink(context, "reco_filtered_total", "reason", sieved[i], read_counter(&recommend->sieved[i]));
    }
    sink(context, "reco_recommendations_total", NULL, NULL, read_counter(&recommend->answers));
    sink(context, "reco_recommendations_failed_total", NULL, NULL, read_counter(&recommend->failed));
    sink(context, "reco_empty_answers_total", NULL, NULL, read_counter(&recommend->empty));
    sink(context, "reco_fallback_total", NULL, NULL, read_counter(&recommend->fallbacks));
    sink(context, "reco_degraded_answers_total", NULL, NULL, read_counter(&recommend->degraded));
    for (uint32_t i = 0; i < RECO__DEGRADED_KINDS; i++) {
        sink(context, "reco_degraded_total", "reason", reco__degraded_name(UINT32_C(1) << i), read_counter(&recommend->degraded_by[i]));
    }
    sink(context, "reco_store_left_alone_total", "store", "features", read_counter(&recommend->features_breaker.kept));
    sink(context, "reco_store_left_alone_total", "store", "records", read_counter(&recommend->records_breaker.kept));
    sink(context, "reco_popular_answers_total", NULL, NULL, read_counter(&recommend->popular_answers));
}

static uint64_t candidates_bytes(const reco_candidates *c) {
    return sizeof(*c) + c->mark_room * sizeof(*c->marks) + c->item_room * (sizeof(*c->items) + sizeof(*c->values)) +
           c->trace_room * 2 * sizeof(*c->trace_members) + c->heads.capacity + c->share_room * 2 * sizeof(*c->shares) +
           c->winner_room * 2 * sizeof(*c->winners) + c->ranked_room * sizeof(*c->ranked) + c->sum_room * sizeof(*c->sums) +
           reco__sieve_bytes(&c->sieve) + reco__person_bytes(&c->person);
}

uint64_t reco__recommend_bytes(const reco__recommend *recommend) {
    reco__recommend *shared = (reco__recommend *)(uintptr_t)recommend; /* its locks are not part of what is const */
    uint64_t bytes = sizeof(*recommend) + sizeof(*recommend->plan);
    bool relearning;
    reco__state *state = reco__state_peek(shared);

    if (state) {
        bytes += atomic_load(&state->catalogue->bytes) + reco__aliases_bytes(state->catalogue->aliases) + reco__popularity_bytes(state->popularity);
        reco__state_release(state);
    }
    reco__kept *kept = reco__kept_hold(&relearning, shared);
    if (kept) {
        bytes += reco__kept_bytes(kept);
        reco__kept_release(kept);
    }
    pthread_mutex_lock(&shared->pool_lock);
    for (const reco_candidates *c = recommend->pool; c; c = c->next) {
        bytes += candidates_bytes(c);
    }
    pthread_mutex_unlock(&shared->pool_lock);
    return bytes;
}
