/* recommend/run.c - a question goes through the stages of its plan: sources, filters, rankers, arrangers. A stage of the application that fails is
 * left out, and the answer says so; a built-in one fails with its store. */
#include "recommend/given.h"
#include "recommend/internal.h"
#include "recommend/note.h"

static reco_status call_stage(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    if (stage->run) {
        return stage->run(c, call, err);
    }
    c->running = stage->kind;
    c->running_index = (uint32_t)(stage - c->plan->stages);
    reco_error error = RECO_ERROR_INIT;
    reco_status status = stage->backend.run(stage->own, c, call, &error);
    c->running = 0;
    return status == RECO_OK
               ? RECO_OK
               : reco__fail(err, status, error.field, "stage %s: %s", stage->name, error.text[0] ? error.text : reco_status_text(status));
}

static reco_status run_stage(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    if (!c->timed) {
        return call_stage(stage, c, call, err);
    }
    int64_t began = reco__monotonic_ns();
    reco_status status = call_stage(stage, c, call, err);
    reco__count(&stage->timed_ns, (uint64_t)(reco__monotonic_ns() - began));
    reco__count(&stage->timed, 1);
    return status;
}

static void log_failure(const reco__stage *stage, reco_status status, const reco_error *error) {
    reco__log(RECO_LOG_WARN, "recommend", "stage %s failed: %s: %s", stage->name, reco_status_text(status), error->text);
}

static reco_status end_question(reco_error *err, reco_status status, const reco_error *error) {
    if (err) {
        *err = *error;
    }
    return status;
}

/* Past the deadline sources are skipped, but for the last built-in one: what is popular costs next to nothing, and an answer is better than none. */
static reco_status run_source(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t before = c->count, given = c->given_count;
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__call_check(call, &error);

    if (status == RECO_TIMEOUT && stage->run != reco__source_popular) {
        reco__count(&stage->skipped, 1);
        reco__note_outcome(c, RECO_STEP_SKIPPED);
        c->degraded |= RECO_DEGRADED_DEADLINE;
        return RECO_OK;
    }
    int64_t began = stage->run == reco__source_coview ? reco__monotonic_ns() : 0;
    if (status != RECO_CANCELLED) {
        status = run_stage(stage, c, call, &error);
    }
    if (began != 0 && c->features_breaker) {
        reco__breaker_note(c->features_breaker, status, began);
    }
    if (status == RECO_OK) {
        reco__count(&stage->counted, c->count - before);
        return RECO_OK;
    }
    if (reco__ends_question(status)) {
        return end_question(err, status, &error);
    }
    reco__candidates_unmark(c, before);
    c->given_count = given;
    c->degraded |= stage->run ? RECO_DEGRADED_FEATURES : RECO_DEGRADED_STAGE;
    reco__count(&stage->failures, 1);
    reco__note_outcome(c, RECO_STEP_FAILED);
    log_failure(stage, status, &error);
    return RECO_OK;
}

static reco_status run_filter(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    uint32_t before = c->filtered;

    if (!stage->run && !c->collected) {
        reco__candidates_collect(c);
    }
    reco_status status = run_stage(stage, c, call, err);
    if (status == RECO_OK) {
        reco__count(&stage->counted, c->filtered - before);
    } else {
        reco__count(&stage->failures, 1);
    }
    return status;
}

/* Takes back what a ranker or arranger of the application did before it failed. */
static void take_back(reco_candidates *c, const reco__stage *stage, size_t given, size_t winners, uint32_t filtered) {
    while (c->given_count > given) {
        const reco__given *last = &c->given[--c->given_count];
        c->scores[last->place] -= stage->kind == RECO_STAGE_RANKER ? last->score : 0;
    }
    if (stage->kind == RECO_STAGE_ARRANGER) {
        for (size_t i = 0; i < winners; i++) {
            c->winners[i] = c->winners_before[i];
            c->values[c->winners[i].place] &= ~RECO__MARK_DROPPED;
        }
        c->winner_count = winners;
        c->filtered = filtered;
    }
}

/* The arranger's work becomes the order: dropped ones leave. */
static void close_ranks(reco_candidates *c) {
    size_t kept = 0;

    for (size_t i = 0; i < c->winner_count; i++) {
        if (!(c->values[c->winners[i].place] & RECO__MARK_DROPPED)) {
            c->winners[kept++] = c->winners[i];
        }
    }
    c->winner_count = kept;
}

static reco_status run_order(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t given = c->given_count, winners = c->winner_count;
    uint32_t filtered = c->filtered;
    reco_error error = RECO_ERROR_INIT;

    if (stage->kind == RECO_STAGE_ARRANGER && winners > 0) {
        memcpy(c->winners_before, c->winners, winners * sizeof(*c->winners));
    }
    reco_status status = run_stage(stage, c, call, &error);
    if (status == RECO_OK) {
        if (!stage->run && stage->kind == RECO_STAGE_ARRANGER) {
            close_ranks(c);
            reco__count(&stage->counted, c->filtered - filtered);
        }
        return RECO_OK;
    }
    reco__count(&stage->failures, 1);
    if (reco__ends_question(status) || stage->run) { /* a built-in one fails only with its store */
        return end_question(err, status, &error);
    }
    take_back(c, stage, given, winners, filtered);
    c->degraded |= RECO_DEGRADED_STAGE;
    reco__note_outcome(c, RECO_STEP_FAILED);
    log_failure(stage, status, &error);
    return RECO_OK;
}

/* Items that are given are neither filled up with others nor left out for being known; what is similar to them is nobody's in particular. */
static bool takes_part(const reco__stage *stage, const reco_candidates *c) {
    if (c->question == RECO__ASK_RANK) {
        return stage->run != reco__source_popular && stage->run != reco__filter_seen;
    }
    return c->question == RECO__ASK_USER || (stage->run != reco__source_popular && stage->run != reco__source_revisit &&
                                             stage->run != reco__filter_seen && stage->run != reco__filter_hidden);
}

static reco_status run_kind(reco__stage *stage, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = stage->kind == RECO_STAGE_SOURCE   ? run_source(stage, c, call, err)
                         : stage->kind == RECO_STAGE_FILTER ? run_filter(stage, c, call, err)
                                                            : run_order(stage, c, call, err);

    if (c->note && status == RECO_OK) {
        reco__note_stage(c->note, c, stage);
    }
    return status;
}

/* Drops what came only after the past that is asked about. */
static void leave_out_later(reco_candidates *c) {
    for (size_t i = 0; i < c->count && c->past; i++) {
        if (!reco__was_there(c, c->items[i])) {
            c->marks[c->items[i]] |= RECO__MARK_DROPPED;
            c->filtered++;
        }
    }
}

reco_status reco__plan_run(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    for (uint32_t kind = RECO_STAGE_SOURCE; kind <= RECO_STAGE_ARRANGER; kind++) {
        if (kind == RECO_STAGE_FILTER) {
            status = reco__given_narrow(c, call, err);
            leave_out_later(c);
        }
        if (kind == RECO_STAGE_FILTER && c->plan->own && status == RECO_OK) { /* others ask about what could win only */
            status = reco__filter_selection(c, call, err);
            reco__note_step(c, "selection");
        }
        if (kind == RECO_STAGE_RANKER && !c->collected) {
            reco__candidates_collect(c);
            reco__candidates_sift(c);
            if (c->sieve.signed_) {
                reco__note_step(c, "selection");
            }
        }
        for (uint32_t i = 0; i < c->plan->count && status == RECO_OK; i++) {
            reco__stage *stage = &c->plan->stages[i];
            if (stage->kind == kind && takes_part(stage, c)) {
                status = run_kind(stage, c, call, err);
            }
        }
        if (status != RECO_OK) {
            return status;
        }
    }
    if (c->note) {
        reco__note_order(c->note, c);
    }
    c->more = c->more || c->winner_count > c->limit;
    c->winner_count = c->winner_count < c->limit ? c->winner_count : c->limit;
    return RECO_OK;
}
