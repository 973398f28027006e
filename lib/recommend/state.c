/* recommend/state.c - the state that answers are made from: making it, holding it, refreshing it, other moments.
 *
 * A state is everything that goes by item numbers: the catalogue and the popularity sums. It is made when the first question comes (that one waits),
 * kept up to date in place by a refresh every second, and replaced as a whole when features have lost or replaced what they had (another epoch: other
 * numbers) or when the change log no longer reaches back. Whoever answers holds the state he began with; the last one to let go of an old one frees
 * it. One thread refreshes at a time; others go on with what is there.
 *
 * Stores fail. Records that do not answer leave the catalogue as it is known. Features that do not answer leave what is popular, by name (kept.c),
 * and so do features that have lost what they had (another epoch, behind the positions that answers were made from) until they have learned it
 * again; a process that begins in such a moment takes it from a snapshot, where there are any. A store that makes questions wait is left alone for a
 * while (breaker.h). With a background thread questions never load: they wait for it within their deadline, or go without.
 *
 * Lock order: `lock` and `pool_lock` are never held together, and no door is called under either. */
#include "recommend/internal.h"

#include <stdlib.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)
#define FOLLOW_NS (2 * SECOND_NS) /* for following records, of one refresh: popularity does not wait for them */
#define OLD_NS (10 * SECOND_NS)   /* sums that were not refreshed for so long are called stale */

/* --- states ------------------------------------------------------------------------------------------------------------------------------------- */

static void free_state(reco__state *state) {
    for (uint32_t i = 0; i < state->moment_count; i++) {
        reco__popularity_free(state->moments[i]);
    }
    reco__catalogue_free(state->catalogue);
    reco__popularity_free(state->popularity);
    pthread_mutex_destroy(&state->lock);
    reco__release(state);
}

void reco__state_release(reco__state *state) {
    if (state && atomic_fetch_sub_explicit(&state->holders, 1, memory_order_acq_rel) == 1) {
        free_state(state);
    }
}

static reco_status refresh_popularity(reco__recommend *recommend, reco__popularity *popularity, reco__state *state, int64_t moment,
                                      const reco_call *call, reco_error *err) {
    return reco__popularity_refresh(popularity, state->catalogue, state->epoch, recommend->options.partitions, moment,
                                    moment > 0 ? moment : reco__now_ms(), call, err);
}

static reco_status fill_state(reco__recommend *recommend, reco__state *state, reco__features *features, const reco_call *call, reco_error *err) {
    const reco__recommend_options *options = &recommend->options;
    reco_status status = reco__catalogue_create(&state->catalogue, options->settings, features, options->records, err);

    if (status == RECO_OK) {
        status = reco__popularity_create(&state->popularity, options->settings, &options->rules->boards, features, err);
    }
    if (status == RECO_OK) {
        status = reco__catalogue_load(state->catalogue, call, err);
    }
    return status == RECO_OK ? refresh_popularity(recommend, state->popularity, state, 0, call, err) : status;
}

static reco_status make_state(reco__state **out, reco__recommend *recommend, reco__features *features, uint64_t epoch, const reco_call *call,
                              reco_error *err) {
    reco__state *state = reco__zalloc(sizeof(*state));

    if (!state) {
        return reco__no_memory(err);
    }
    pthread_mutex_init(&state->lock, NULL);
    atomic_store(&state->holders, 1);
    state->epoch = epoch;
    reco_status status = fill_state(recommend, state, features, call, err);
    if (status != RECO_OK) {
        free_state(state);
        return status;
    }
    *out = state;
    return RECO_OK;
}

/* Under the lock. */
static reco__state *hold(reco__state *state) {
    if (state) {
        atomic_fetch_add_explicit(&state->holders, 1, memory_order_relaxed);
    }
    return state;
}

/* The state as it stands, if it is good for anything. *age_ns: since the last look at the stores; 0: there was none yet. */
static reco__state *hold_current(reco__recommend *recommend, bool *relearning, int64_t *age_ns) {
    pthread_mutex_lock(&recommend->lock);
    reco__state *state = recommend->relearning ? NULL : hold(recommend->state);
    *relearning = recommend->relearning;
    *age_ns = recommend->refreshed_ns > 0 ? reco__monotonic_ns() - recommend->refreshed_ns : 0;
    pthread_mutex_unlock(&recommend->lock);
    return state;
}

reco__kept *reco__kept_hold(bool *relearning, reco__recommend *recommend) {
    pthread_mutex_lock(&recommend->lock);
    reco__kept *kept = recommend->kept;
    if (kept) {
        atomic_fetch_add_explicit(&kept->holders, 1, memory_order_relaxed);
    }
    *relearning = recommend->relearning;
    pthread_mutex_unlock(&recommend->lock);
    return kept;
}

reco__state *reco__state_peek(reco__recommend *recommend) {
    pthread_mutex_lock(&recommend->lock);
    reco__state *state = hold(recommend->state);
    pthread_mutex_unlock(&recommend->lock);
    return state;
}

bool reco__is_relearning(reco__recommend *recommend) {
    pthread_mutex_lock(&recommend->lock);
    bool relearning = recommend->relearning;
    pthread_mutex_unlock(&recommend->lock);
    return relearning;
}

bool reco__kept_available(const reco__kept *kept, const reco__kept_item *item, const reco__state *state, int64_t moment) {
    if (state && state->epoch == kept->epoch) {
        return reco__catalogue_available(state->catalogue, item->number, moment);
    }
    return moment >= item->from && (item->until == 0 || moment < item->until);
}

/* Waits until nobody refreshes, or for 10 ms. */
static void wait_refreshed(reco__recommend *recommend) {
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 10000000;
    until.tv_sec += until.tv_nsec / SECOND_NS;
    until.tv_nsec %= SECOND_NS;
    pthread_cond_timedwait(&recommend->refreshed, &recommend->lock, &until);
}

/* Until the thread that refreshes has loaded something, or has said why it cannot. */
static reco_status wait_loaded(reco__recommend *recommend, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    pthread_mutex_lock(&recommend->lock);
    while (!recommend->state && !recommend->relearning && recommend->trouble.status == RECO_OK && status == RECO_OK) {
        wait_refreshed(recommend);
        status = reco__call_check(call, err);
    }
    if (status == RECO_OK && recommend->relearning) {
        status = reco__fail(err, RECO_STALE, "features", "what was learned is being learned anew");
    } else if (status == RECO_OK && !recommend->state) {
        status = (reco_status)recommend->trouble.status;
        if (err) {
            *err = recommend->trouble;
        }
    }
    pthread_mutex_unlock(&recommend->lock);
    return status;
}

/* Brings the state up to date, when nobody does it in the background. A failure is not the question's: what is there will do. */
static void look_after(reco__recommend *recommend, const reco_call *call) {
    reco_error error = RECO_ERROR_INIT;

    if (reco__breaker_allows(&recommend->features_breaker) && reco__recommend_refresh(recommend, false, call, &error) != RECO_OK) {
        reco__log(RECO_LOG_WARN, "recommend", "refresh failed: %s", error.text);
    }
}

/* What is not as it should be about the state. */
static uint32_t shortcomings(reco__recommend *recommend) {
    pthread_mutex_lock(&recommend->lock);
    uint32_t found = recommend->records_behind ? RECO_DEGRADED_RECORDS : 0;
    if (recommend->current_ns != 0 && reco__monotonic_ns() - recommend->current_ns > OLD_NS && recommend->trouble.status != RECO_OK) {
        found |= RECO_DEGRADED_POPULAR;
    }
    pthread_mutex_unlock(&recommend->lock);
    return found;
}

/* Loads, or waits for who does. */
static reco_status load_state(reco__recommend *recommend, const reco_call *call, reco_error *err) {
    if (recommend->options.settings->background) {
        return wait_loaded(recommend, call, err);
    }
    if (!reco__breaker_allows(&recommend->features_breaker)) {
        return reco__fail(err, RECO_UNAVAILABLE, "features", "features did not answer in time a moment ago");
    }
    return reco__recommend_refresh(recommend, true, call, err);
}

reco_status reco__state_hold(reco__state **out, uint32_t *degraded, reco__recommend *recommend, const reco_call *call, reco_error *err) {
    int64_t age;
    bool relearning;
    reco__state *state = hold_current(recommend, &relearning, &age);

    if ((state || relearning) && age > SECOND_NS && !recommend->options.settings->background) {
        look_after(recommend, call);
        reco__state_release(state);
        state = hold_current(recommend, &relearning, &age);
    }
    if (!state && !relearning) {
        reco_status status = load_state(recommend, call, err);
        if (status != RECO_OK) {
            return status;
        }
        state = hold_current(recommend, &relearning, &age);
    }
    *degraded |= shortcomings(recommend);
    *out = state;
    return state ? RECO_OK : reco__fail(err, RECO_STALE, "features", "what was learned is being learned anew");
}

/* --- refreshing --------------------------------------------------------------------------------------------------------------------------------- */

/* Records. What they do not say now they say later: what is known of them is gone on with. */
static reco_status follow_records(bool *behind, reco__recommend *recommend, reco__state *state, uint32_t item_count, const reco_call *call,
                                  reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_call own, part = {.struct_size = sizeof(part), .deadline_ns = began + FOLLOW_NS, .cancel = call ? call->cancel : NULL};

    if (reco__call_left_ns(call) < 4 * FOLLOW_NS) {
        call = reco__call_part(&own, call, RECO__RECORDS_PERCENT);
    } else {
        call = &part;
    }
    reco_status status = reco__catalogue_follow(state->catalogue, call, &error);
    if (status == RECO_NOT_FOUND) {
        return reco__fail(err, RECO_STALE, NULL, "the change log of records does not reach back to what is loaded");
    }
    if (status == RECO_OK) {
        status = reco__catalogue_catch_up(state->catalogue, item_count, call, &error);
    }
    reco__breaker_note(&recommend->records_breaker, status, began);
    *behind = reco__store_trouble(status);
    if (status == RECO_OK || *behind) {
        return RECO_OK;
    }
    if (err) {
        *err = error;
    }
    return status;
}

static reco_status update_state(reco__recommend *recommend, reco__state *state, const reco_features_info *info, const reco_call *call,
                                reco_error *err) {
    bool behind = false;
    reco_status status = follow_records(&behind, recommend, state, info->item_count, call, err);

    if (status == RECO_OK) {
        pthread_mutex_lock(&recommend->lock);
        recommend->records_behind = behind;
        pthread_mutex_unlock(&recommend->lock);
        status = refresh_popularity(recommend, state->popularity, state, 0, call, err);
    }
    return status;
}

/* Whether features of another epoch have yet to learn what answers were made from before. Their state is that of a loss, not of something else. */
static bool relearns(const reco__recommend *recommend, const reco_position *positions) {
    bool behind = false;

    for (uint32_t p = 0; p < recommend->options.partitions; p++) {
        behind = behind || positions[p].offset < recommend->learned[p].offset;
    }
    return behind;
}

static void set_relearning(reco__recommend *recommend, bool relearning) {
    pthread_mutex_lock(&recommend->lock);
    bool changed = recommend->relearning != relearning;
    recommend->relearning = relearning;
    pthread_mutex_unlock(&recommend->lock);
    if (changed) {
        reco__log(RECO_LOG_WARN, "recommend",
                  relearning ? "features have lost what they had learned: answers are what is popular, as it was kept, until it is learned again"
                             : "features have learned again what they had lost");
    }
}

static void keep_made(reco__recommend *recommend, reco__kept *made) {
    pthread_mutex_lock(&recommend->lock);
    reco__kept *old = recommend->kept;
    recommend->kept = made;
    pthread_mutex_unlock(&recommend->lock);
    reco__kept_release(old);
}

/* Keeps what is popular by name, and how far features had learned, for the time when they cannot be asked. */
static reco_status keep(reco__recommend *recommend, reco__state *state, const reco_position *positions, reco_error *err) {
    uint64_t signature = reco__hash64(&state->epoch, sizeof(state->epoch), state->popularity->list_signature);
    reco__kept *made = NULL;

    memcpy(recommend->learned, positions, recommend->options.partitions * sizeof(*positions));
    if (signature == recommend->kept_signature) {
        return RECO_OK;
    }
    reco_status status =
        reco__kept_make(&made, state->popularity->list, state->popularity, state->catalogue, recommend->options.features, state->epoch, err);
    if (status != RECO_OK) {
        return status;
    }
    recommend->kept_signature = signature;
    keep_made(recommend, made);
    return RECO_OK;
}

/* What is popular in a store that is not the one answers are made from. */
static reco_status keep_recalled(reco__recommend *recommend, reco__features *features, const reco_call *call, reco_error *err) {
    reco_features_info info = {.struct_size = sizeof(info)};
    reco__state *state = NULL;
    reco__kept *made;
    reco_status status = reco__features_info(&info, features, call, err);

    if (status == RECO_OK) {
        status = make_state(&state, recommend, features, info.epoch, call, err);
    }
    if (status == RECO_OK) {
        status = reco__kept_make(&made, state->popularity->list, state->popularity, state->catalogue, features, 0, err);
    }
    if (status == RECO_OK) {
        keep_made(recommend, made);
    }
    reco__state_release(state);
    return status;
}

/* Who begins while features are out of reach, or have lost what they had, has no answers of his own to have kept anything from: a snapshot will do.
 * `now`: how far features have learned, NULL when they do not say. Going on without is not a failure. */
static void recall(reco__recommend *recommend, const reco_position *now, const reco_call *call) {
    const reco__recommend_options *options = &recommend->options;
    reco_position then[RECO__PARTITIONS_MOST];
    reco__features *features = NULL;
    reco_error error = RECO_ERROR_INIT;

    if (!options->recall || recommend->recalled || recommend->state || recommend->kept) {
        return;
    }
    recommend->recalled = true;
    reco_status status = options->recall(&features, then, options->recall_context, now, call, &error);
    if (status == RECO_OK) {
        status = keep_recalled(recommend, features, call, &error);
    }
    reco__features_close(features);
    if (status == RECO_OK) {
        memcpy(recommend->learned, then, options->partitions * sizeof(*then));
    } else if (status != RECO_NOT_FOUND) {
        reco__log(RECO_LOG_WARN, "recommend", "what was popular when a snapshot was taken is not to be had: %s", error.text);
    }
}

/* One look at features. *made: another state than `state`. STALE: it was replaced meanwhile. */
static reco_status renew_once(reco__state **made, reco__recommend *recommend, reco__state *state, const reco_call *call, reco_error *err) {
    reco_features_info info = {.struct_size = sizeof(info)};
    reco_position positions[RECO__PARTITIONS_MOST];
    uint64_t epoch;
    int64_t began = reco__monotonic_ns();
    reco_status status = reco__features_info(&info, recommend->options.features, call, err);

    if (status == RECO_OK) {
        status = reco__features_positions(positions, &epoch, recommend->options.features, call, err);
    }
    reco__breaker_note(&recommend->features_breaker, status, began);
    if (status == RECO_OK || reco__store_trouble(status)) {
        recall(recommend, status == RECO_OK ? positions : NULL, call);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (state && state->epoch == info.epoch) {
        status = update_state(recommend, state, &info, call, err);
    } else if (relearns(recommend, positions)) {
        set_relearning(recommend, true);
        return RECO_OK;
    } else {
        status = make_state(made, recommend, recommend->options.features, info.epoch, call, err);
    }
    if (status == RECO_OK) {
        status = keep(recommend, *made ? *made : state, positions, err);
    }
    if (status == RECO_OK) {
        set_relearning(recommend, false);
    }
    return status;
}

/* Brings `state` (NULL: none) up to date, or makes another; *made: the other. */
static reco_status renew(reco__state **made, reco__recommend *recommend, reco__state *state, const reco_call *call, reco_error *err) {
    reco_status status = RECO_STALE;

    *made = NULL;
    for (int i = 0; i < 3 && status == RECO_STALE; i++) { /* what was learned may be replaced between two looks */
        status = renew_once(made, recommend, state, call, err);
        if (status != RECO_OK) {
            reco__state_release(*made);
            *made = NULL;
        }
        state = status == RECO_STALE ? NULL : state;
    }
    return status;
}

/* Takes the turn to refresh. *mine: it is ours to do. */
static reco_status take_turn(bool *mine, reco__recommend *recommend, bool force, const reco_call *call, reco_error *err) {
    int64_t begun = reco__monotonic_ns();
    reco_status status = RECO_OK;

    *mine = false;
    pthread_mutex_lock(&recommend->lock);
    while (recommend->refreshing && (force || !recommend->state) && status == RECO_OK) {
        wait_refreshed(recommend);
        status = reco__call_check(call, err);
    }
    bool fresh = recommend->state && !force && begun - recommend->refreshed_ns < SECOND_NS;
    if (status == RECO_OK && !recommend->refreshing && !fresh) {
        *mine = recommend->refreshing = true;
    }
    pthread_mutex_unlock(&recommend->lock);
    return status;
}

reco_status reco__recommend_refresh(reco__recommend *recommend, bool force, const reco_call *call, reco_error *err) {
    reco__state *made, *old = NULL;
    bool mine;
    reco_status status = take_turn(&mine, recommend, force, call, err);

    if (status != RECO_OK || !mine) {
        return status;
    }
    reco_error error = RECO_ERROR_INIT;
    status = renew(&made, recommend, recommend->state, call, &error); /* only who has the turn changes the pointer */
    error.status = (int32_t)status;
    if (status != RECO_OK && err) {
        *err = error;
    }
    pthread_mutex_lock(&recommend->lock);
    if (status == RECO_OK && made) {
        old = recommend->state;
        recommend->state = made;
        recommend->records_behind = false;
    }
    recommend->trouble = error;
    recommend->refreshing = false;
    recommend->refreshed_ns = reco__monotonic_ns();
    recommend->current_ns = status == RECO_OK ? recommend->refreshed_ns : recommend->current_ns;
    pthread_cond_broadcast(&recommend->refreshed);
    pthread_mutex_unlock(&recommend->lock);
    reco__state_release(old);
    return status;
}

reco_status reco__recommend_follow(reco__recommend *recommend, const reco_call *call, reco_error *err) {
    bool relearning;
    int64_t age;
    reco__state *state = hold_current(recommend, &relearning, &age);
    if (!state) {
        return RECO_OK;
    }
    const reco_call part = {.struct_size = sizeof(part), .deadline_ns = reco__monotonic_ns() + FOLLOW_NS, .cancel = call ? call->cancel : NULL};
    reco_status status = reco__catalogue_follow(state->catalogue, &part, err);
    reco__state_release(state);
    return status == RECO_NOT_FOUND ? RECO_OK : status; /* the refresh loads anew */
}

reco_status reco__state_follow(uint32_t *degraded, reco__recommend *recommend, reco__state *state, const reco_call *call, reco_error *err) {
    if (recommend->options.records_far) {
        return RECO_OK;
    }
    if (!reco__breaker_allows(&recommend->records_breaker)) {
        *degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_call own;
    reco_status status = reco__catalogue_follow(state->catalogue, reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
    reco__breaker_note(&recommend->records_breaker, status, began);
    if (status == RECO_NOT_FOUND) {
        return reco__fail(err, RECO_STALE, NULL, "the change log of records does not reach back to what is loaded");
    }
    if (reco__store_trouble(status)) {
        *degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    return status;
}

uint32_t reco__recommend_lacking(reco__recommend *recommend) {
    uint32_t lacking = shortcomings(recommend) | (atomic_load(&recommend->key_known) ? 0 : RECO_DEGRADED_RECORDS);

    pthread_mutex_lock(&recommend->lock);
    lacking |= recommend->relearning ? RECO_DEGRADED_RELEARNING : recommend->trouble.status != RECO_OK ? RECO_DEGRADED_FEATURES : 0;
    pthread_mutex_unlock(&recommend->lock);
    return lacking;
}

reco_status reco__recommend_ready(reco__recommend *recommend, reco_error *err) {
    pthread_mutex_lock(&recommend->lock);
    reco_status status = recommend->kept ? RECO_OK : (reco_status)recommend->trouble.status;
    if (status != RECO_OK && err) {
        *err = recommend->trouble;
    }
    bool first = !recommend->kept && status == RECO_OK;
    pthread_mutex_unlock(&recommend->lock);
    return first ? reco__fail(err, RECO_BUSY, "features", "what answers are made from is being loaded") : status;
}

/* --- other moments ------------------------------------------------------------------------------------------------------------------------------ */

static reco__popularity *take_moment(reco__state *state, int64_t moment) {
    reco__popularity *found = NULL;
    uint32_t best = 0;

    pthread_mutex_lock(&state->lock);
    for (uint32_t i = 0; i < state->moment_count; i++) { /* the nearest has the least to change */
        if (i == 0 || llabs(state->moments[i]->list->moment - moment) < llabs(state->moments[best]->list->moment - moment)) {
            best = i;
        }
    }
    if (state->moment_count > 0) {
        found = state->moments[best];
        state->moments[best] = state->moments[--state->moment_count];
    }
    pthread_mutex_unlock(&state->lock);
    return found;
}

reco_status reco__state_moment(reco__popularity **out, reco__recommend *recommend, reco__state *state, int64_t moment, const reco_call *call,
                               reco_error *err) {
    const reco__recommend_options *options = &recommend->options;
    reco__popularity *popularity = take_moment(state, moment);
    reco_status status =
        popularity ? RECO_OK : reco__popularity_create(&popularity, options->settings, &options->rules->boards, options->features, err);

    if (status == RECO_OK) {
        status = refresh_popularity(recommend, popularity, state, moment, call, err);
        if (status != RECO_OK) {
            reco__popularity_free(popularity);
        } else {
            *out = popularity;
        }
    }
    return status;
}

void reco__state_moment_done(reco__state *state, reco__popularity *popularity) {
    pthread_mutex_lock(&state->lock);
    if (state->moment_count < RECO__MOMENTS_MAX) {
        state->moments[state->moment_count++] = popularity;
        popularity = NULL;
    }
    pthread_mutex_unlock(&state->lock);
    reco__popularity_free(popularity);
}
