/* recommend/ask.c - a question for one user, step by step: the user's cell, the recent items that count, the stages of the plan (run.c), the answer.
 * Nothing is written. */
#include <math.h>
#include <stdio.h>

#include "recommend/explanation.h"
#include "recommend/given.h"
#include "recommend/internal.h"
#include "recommend/note.h"

#define TRIES 3         /* how often what was learned may be replaced under a question */
#define TIMED_ONE_OF 64 /* questions: reading the clock around every stage of every one would be 1 % of them */

/* --- the user ----------------------------------------------------------------------------------------------------------------------------------- */

/* A session runs on for the gap after its last event; asked about another moment, after the newest touch before it. */
static bool session_runs(const reco_candidates *c, const reco__touch *newest) {
    int64_t last = c->as_of ? newest->t : c->cell.last;
    return c->moment - last <= c->rules->session_gap;
}

/* Appends the touches from `from` on that count, `most` at most. */
static void choose(reco_candidates *c, uint32_t from, uint32_t to, uint32_t most) {
    for (uint32_t i = from; i < to && c->recent_count < most; i++) {
        const reco__touch *touch = &c->cell.touches[i];
        if (touch->weight > 0 && !(c->as_of && touch->t > c->moment)) {
            c->recents[c->recent_count++] =
                (reco__recent){.item = touch->item, .weight = touch->weight, .t = touch->t, .session = c->session_runs && i < c->cell.session_count};
        }
    }
}

reco_status reco__recents_choose(reco_candidates *c, reco_error *err) {
    uint32_t kept = c->rules->recents < c->cell.touch_count ? c->rules->recents : c->cell.touch_count, first = 0;

    if (kept > c->recent_room) {
        reco__recent *recents = reco__realloc_array(c->recents, kept, sizeof(*recents));
        if (!recents) {
            return reco__no_memory(err);
        }
        c->recents = recents;
        c->recent_room = kept;
    }
    while (first < kept && c->as_of && c->cell.touches[first].t > c->moment) {
        first++;
    }
    c->recent_count = 0;
    c->session_runs = first < kept && first < c->cell.session_count && session_runs(c, &c->cell.touches[first]);
    if (c->settings->pair_within == RECO__WITHIN_SESSION && c->session_runs) {
        choose(c, first, c->cell.session_count < kept ? c->cell.session_count : kept, kept);
    }
    if (c->recent_count == 0) {
        choose(c, first, kept, kept);
    }
    return RECO_OK;
}

/* --- the answer --------------------------------------------------------------------------------------------------------------------------------- */

static reco_status name_answer(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, uint64_t nonce, int64_t now_ms,
                               reco_error *err) {
    if (!atomic_load_explicit(&recommend->key_known, memory_order_acquire)) {
        c->degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    reco__recommendation_id id = {.key_number = recommend->key_number,
                                  .plan = c->plan->hash,
                                  .nonce = nonce,
                                  .time = now_ms,
                                  .scenario = c->scenario,
                                  .model = reco__str_of(c->plan->model)};

    reco__recommendation_id_make(&answer->id, &id, recommend->key);
    reco_status status = reco__buf_status(&answer->id, err);
    if (status == RECO_OK) {
        answer->shown.recommendation_id = (reco_str){answer->id.data, answer->id.size};
    }
    return status;
}

static void flag_answer(reco__answer *answer, const reco_candidates *c, int behind) {
    answer->shown.flags = (c->fallback ? RECO_ANSWER_FALLBACK : 0) | (behind ? RECO_ANSWER_BEHIND : 0) | (c->degraded ? RECO_ANSWER_DEGRADED : 0);
    answer->shown.degraded = c->degraded;
}

static reco_status fill_answer(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, int behind, const reco_call *call,
                               reco_error *err) {
    answer->shown.model = reco__str_of(c->plan->model);
    answer->shown.as_of = c->moment;
    answer->shown.candidates = (uint32_t)c->count;
    answer->shown.filtered = c->filtered;
    answer->dated = c->as_of;
    answer->place_count = c->user.size > 0 ? c->person.place_count : 0;
    memcpy(answer->places, c->person.places, answer->place_count * sizeof(*answer->places));
    if (!reco__answer_copy(&answer->shown.scenario, answer, c->scenario)) {
        return reco__no_memory(err);
    }
    reco_status status = reco__explain(c, answer, err);
    if (status == RECO_OK && c->question == RECO__ASK_RANK) {
        status = reco__given_rest(answer, c, recommend->options.records, call, err);
    }
    for (size_t i = 0; i < c->winner_count && status == RECO_OK; i++) {
        status = reco__note_shown(c, c->winners[i].item, err);
    }
    flag_answer(answer, c, behind);
    return status == RECO_OK ? reco__make_next(answer, c, err) : status;
}

static bool scenario_valid(reco_str scenario) {
    bool valid = scenario.size <= 64;

    for (size_t i = 0; i < scenario.size && valid; i++) {
        char ch = scenario.data[i];
        valid = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '.' || ch == '-';
    }
    return valid;
}

reco_status reco__limit_check(uint32_t *limit, const reco__settings *settings, uint32_t asked, reco_error *err) {
    *limit = asked > 0 ? asked : settings->limit_default;
    if (*limit > settings->limit_max) {
        return reco__fail(err, RECO_INVALID, "limit", "at most %u", settings->limit_max);
    }
    return RECO_OK;
}

/* What is asked: of whom, and about which items. */
typedef struct question {
    uint32_t kind; /* RECO__ASK_... */
    const reco_query *query;
    const reco_str *items;
    size_t item_count;
    const reco__past *past;
    reco__note *note; /* NULL: it is not to be explained */
} question;

static reco_status check_event(const reco_candidates *c, const reco_event *event, size_t index, reco_error *err) {
    const char *wrong = NULL;
    reco_error error = RECO_ERROR_INIT;
    char field[64];

    if (reco__check_id(event->item_id, -1, "item_id", &error) != RECO_OK) {
        wrong = "item_id";
    } else if (event->event_type.size > 0 && !reco__learn_has_type(c->rules, event->event_type)) {
        wrong = "event_type";
        reco__fail(&error, RECO_INVALID, wrong, "it is none of the event types that are configured");
    } else if (event->timestamp < 0 || event->timestamp > RECO__TIME_MAX) {
        wrong = "timestamp";
        reco__fail(&error, RECO_INVALID, wrong, "milliseconds of the years 1970 to 9999 are expected");
    } else if (event->flags & RECO_EVENT_HAS_VALUE && !isfinite(event->value)) {
        wrong = "value";
        reco__fail(&error, RECO_INVALID, wrong, "a finite number is expected");
    }
    if (!wrong) {
        return RECO_OK;
    }
    snprintf(field, sizeof(field), "session[%zu].%s", index, wrong);
    return reco__fail(err, error.status, field, "%s", error.text);
}

static reco_status read_who(reco_candidates *c, const question *asked, reco_error *err) {
    const reco_query *query = asked->query;
    bool required = asked->kind != RECO__ASK_SIMILAR && query->session_count == 0;
    reco_status status = query->user_id.size > 0 || required ? reco__check_id(query->user_id, -1, "user_id", err) : RECO_OK;

    for (size_t i = 0; i < query->session_count && status == RECO_OK; i++) {
        status = check_event(c, &query->session[i], i, err);
    }
    c->question = asked->kind;
    c->note = asked->note;
    c->user = query->user_id;
    c->session = query->session;
    c->session_count = query->session_count;
    c->asked = asked->items;
    c->asked_count = asked->item_count;
    c->past = asked->past;
    return status;
}

/* Who is asked for, where, when and about what. What a session holds may grow from page to page. */
static uint64_t hash_question(const reco_candidates *c, const reco_query *query) {
    const reco_str texts[] = {c->user, c->scenario};
    uint64_t hash = reco__question_hash(c->question, texts, 2, query->as_of);

    return c->asked_count > 0 ? reco__question_hash(hash, c->asked, c->asked_count, 0) : hash;
}

static reco_status read_query(reco_candidates *c, const question *asked, int64_t now_ms, reco_error *err) {
    const reco_query *query = asked->query;
    reco_status status = read_who(c, asked, err);

    if (status == RECO_OK && !scenario_valid(query->scenario)) {
        status = reco__fail(err, RECO_INVALID, "scenario", "up to 64 characters of A-Z a-z 0-9 _ . -");
    }
    if (status == RECO_OK && query->as_of < 0) {
        status = reco__fail(err, RECO_INVALID, "as_of", "before 1970");
    }
    if (status == RECO_OK && query->flags & ~RECO_QUERY_NO_REASONS) {
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", query->flags);
    }
    c->scenario = query->scenario.size > 0 ? query->scenario : reco__str_of("default");
    c->as_of = query->as_of != 0;
    c->moment = c->as_of ? query->as_of : now_ms;
    c->reasons = !(query->flags & RECO_QUERY_NO_REASONS);
    c->degraded = 0;
    uint32_t limit = asked->kind == RECO__ASK_RANK && query->limit == 0 ? (uint32_t)asked->item_count : query->limit;
    if (status == RECO_OK) {
        status = reco__sieve_read(&c->sieve, query->selection, hash_question(c, query), err);
    }
    return status == RECO_OK ? reco__limit_check(&c->limit, c->settings, limit, err) : status;
}

/* Popularity as of the moment: the one that is kept, unless windows end elsewhere. *own: to be put back. */
static reco_status choose_popularity(bool *own, reco_candidates *c, reco__recommend *recommend, reco__state *state, const reco_call *call,
                                     reco_error *err) {
    const reco_board_rules *rules = &c->rules->boards;

    *own = false;
    c->popularity = state->popularity;
    c->popular = reco__popularity_hold(c->popularity);
    if (!c->as_of || (c->popular && reco_board_generation(rules, RECO_BOARD_HOURS, c->moment) == c->popular->end[0] &&
                      reco_board_generation(rules, RECO_BOARD_DAYS, c->moment) == c->popular->end[1])) {
        return RECO_OK;
    }
    reco_error error = RECO_ERROR_INIT;
    reco__popularity *moment = NULL;
    reco_status status = reco__state_moment(&moment, recommend, state, c->moment, call, &error);
    if (status == RECO_OK) {
        reco__popularity_release(c->popular);
        *own = true;
        c->popularity = moment;
        c->popular = reco__popularity_hold(moment);
    } else if (c->popular && reco__store_trouble(status) && status != RECO_STALE) { /* what is popular now will do */
        c->degraded |= RECO_DEGRADED_FEATURES;
        return RECO_OK;
    } else if (err) {
        *err = error;
    }
    return status;
}

/* What was learned of the user, unless features are left alone for making questions wait. */
static reco_status ask_user(reco_candidates *c, reco__recommend *recommend, const reco_call *call, reco_error *err) {
    if (!reco__breaker_allows(&recommend->features_breaker)) {
        return reco__fail(err, RECO_UNAVAILABLE, "features", "features did not answer in time a moment ago");
    }
    int64_t began = reco__monotonic_ns();
    reco_status status = reco__person_load(c, call, err);
    reco__breaker_note(&recommend->features_breaker, status, began);
    return status;
}

/* Answers from one state. STALE: what was learned was replaced, ask again. */
static reco_status answer_from(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, reco__state *state, int behind,
                               const reco_call *call, reco_error *err) {
    bool own = false;
    reco__note_step(c, NULL);
    reco_status status = reco__person_find(&c->person, &c->degraded, recommend, state->catalogue->aliases, c->user, c->partition, call, err);
    if (status == RECO_OK) {
        status = ask_user(c, recommend, call, err);
    }
    if (status == RECO_OK && c->epoch != state->epoch) {
        status = reco__fail(err, RECO_STALE, NULL, "what was learned was replaced meanwhile");
    }
    if (status == RECO_OK && c->note) {
        reco__note_step(c, NULL);
        status = reco__note_user(c->note, c, call, err);
    }
    if (status == RECO_OK && c->session_count > 0) {
        status = reco__given_session(c, call, err);
    }
    if (status == RECO_OK) {
        status = c->question == RECO__ASK_SIMILAR ? reco__given_similar(c, recommend->options.records, call, err) : reco__recents_choose(c, err);
    }
    if (status == RECO_OK) {
        c->catalogue = state->catalogue;
        status = reco__sieve_open(&c->sieve, state->catalogue, err);
    }
    if (c->question == RECO__ASK_RANK) { /* variants of which nothing was learned are not in the catalogue */
        c->sieve.collapse = !(c->sieve.flags & RECO_SELECTION_VARIANTS);
    }
    if (status == RECO_OK && c->note) {
        reco__note_step(c, NULL);
        status = reco__note_recents(c->note, c, err);
    }
    if (status == RECO_OK) {
        status = choose_popularity(&own, c, recommend, state, call, err);
    }
    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, c->popular->item_count, err);
    }
    if (status == RECO_OK) {
        reco__note_step(c, NULL);
        status = reco__plan_run(c, call, err);
    }
    if (status == RECO_OK && c->note) {
        status = reco__why(c->note, c, recommend->options.records, call, err);
    }
    if (status == RECO_OK) {
        status = fill_answer(answer, recommend, c, behind, call, err);
    }
    if (status == RECO_OK && c->note) {
        reco__note_step(c, "reasons");
        status = reco__why_scores(c->note, c, &answer->shown, err);
    }
    reco__popularity_release(c->popular);
    c->popular = NULL;
    if (own) {
        reco__state_moment_done(state, c->popularity);
    }
    uint32_t degraded = c->degraded;
    reco__sieve_close(&c->sieve);
    reco__candidates_reset(c);
    c->degraded = status == RECO_OK ? 0 : degraded; /* what answers instead says it too */
    return status;
}

static reco_status try_answer(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, int behind, const reco_call *call,
                              reco_error *err) {
    reco__state *state;
    reco_status status = reco__state_hold(&state, &c->degraded, recommend, call, err);

    if (status != RECO_OK) {
        return status;
    }
    status = reco__state_follow(&c->degraded, recommend, state, call, err);
    if (status == RECO_OK) {
        status = answer_from(answer, recommend, c, state, behind, call, err);
    }
    reco__state_release(state);
    return status;
}

/* --- without features --------------------------------------------------------------------------------------------------------------------------- */

/* Filters of the application go by item numbers, and what is kept has none that hold. */
static bool has_own_filters(const reco__plan *plan) {
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->stages[i].kind == RECO_STAGE_FILTER && !plan->stages[i].run) {
            return true;
        }
    }
    return false;
}

/* What is popular, as it was kept, for a question that features cannot answer with `status`, which is answered when nothing is kept. */
static reco_status answer_kept(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, int behind, reco_status status,
                               reco_error *err) {
    bool relearning;
    bool helps = c->question == RECO__ASK_USER && !has_own_filters(c->plan); /* what is popular is no answer to the others */
    reco__kept *kept = helps ? reco__kept_hold(&relearning, recommend) : NULL;

    if (!kept) {
        return status;
    }
    c->degraded |= relearning ? RECO_DEGRADED_RELEARNING : RECO_DEGRADED_FEATURES;
    c->degraded |= status == RECO_TIMEOUT ? RECO_DEGRADED_DEADLINE : 0;
    answer->shown.flags = RECO_ANSWER_FALLBACK | RECO_ANSWER_DEGRADED | (behind ? RECO_ANSWER_BEHIND : 0);
    answer->shown.degraded = c->degraded;
    answer->shown.model = reco__str_of(c->plan->model);
    answer->shown.as_of = c->moment;
    answer->shown.filtered = 0;
    answer->dated = c->as_of;
    reco__state *state = reco__state_peek(recommend);
    reco__note_outcome(c, RECO_STEP_FAILED);
    reco__note_step(c, NULL);
    status = reco__answer_copy(&answer->shown.scenario, answer, c->scenario) ? RECO_OK : reco__no_memory(err);
    if (status == RECO_OK && c->note) {
        status = reco__kept_explain(c->note, c, kept, state, err);
    }
    if (status == RECO_OK) {
        status = reco__kept_fill(answer, c, kept, state, NULL, kept->count, RECO__KEPT_SCORE, err);
    }
    reco__note_step(c, "kept");
    if (status == RECO_OK && c->note) {
        status = reco__why_scores(c->note, c, &answer->shown, err);
    }
    reco__state_release(state);
    reco__kept_release(kept);
    return status;
}

reco_status reco__not_answered(reco_status status, reco_error *error, reco_error *err) {
    if (status == RECO_STALE) { /* the stores' word among themselves; who asks may try again later */
        status = RECO_UNAVAILABLE;
        error->status = RECO_UNAVAILABLE;
    }
    if (status != RECO_OK && err) {
        *err = *error;
    }
    return status;
}

const reco_call *reco__call_part(reco_call *own, const reco_call *call, uint32_t percent) {
    int64_t left = reco__call_left_ns(call);

    if (left == INT64_MAX) {
        return call;
    }
    *own = (reco_call){.struct_size = sizeof(*own),
                       .deadline_ns = call->deadline_ns - left / 100 * (100 - percent),
                       .cancel = call->cancel,
                       .traceparent = call->traceparent};
    return own;
}

static reco_status answer_query(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, const question *asked, int64_t now_ms,
                                uint32_t partition, int behind, const reco_call *call, reco_error *err) {
    uint64_t nonce = reco__rand_next(&c->rand);
    reco_call own;
    reco_error error = RECO_ERROR_INIT;
    reco_status status = read_query(c, asked, now_ms, err);

    if (status != RECO_OK) {
        return status;
    }
    c->partition = partition;
    c->seed = asked->query->seed != 0 ? asked->query->seed : nonce;
    c->timed = nonce % TIMED_ONE_OF == 0;
    answer->bare = asked->kind == RECO__ASK_SIMILAR;
    status = answer->bare ? RECO_OK : name_answer(answer, recommend, c, nonce, now_ms, err);
    if (status != RECO_OK) {
        return status;
    }
    const reco_call *spared = reco__call_part(&own, call, RECO__STORES_PERCENT);
    uint32_t unsigned_id = c->degraded;
    for (int i = 0; i < TRIES; i++) {
        c->degraded = unsigned_id;
        if (c->note) {
            reco__note_begin(c->note);
        }
        status = try_answer(answer, recommend, c, behind, spared, &error);
        if (status != RECO_STALE || i + 1 == TRIES || reco__is_relearning(recommend)) {
            break;
        }
        status = reco__recommend_refresh(recommend, true, spared, &error);
        if (status != RECO_OK) {
            break;
        }
    }
    if (reco__store_trouble(status)) {
        status = answer_kept(answer, recommend, c, behind, status, &error);
    }
    return reco__not_answered(status, &error, err);
}

static void count_answer(reco__recommend *recommend, const reco_answer *answer) {
    reco__count(&recommend->answers, 1);
    reco__count(&recommend->candidates, answer->candidates);
    reco__count(&recommend->empty, answer->count == 0);
    reco__count(&recommend->fallbacks, (answer->flags & RECO_ANSWER_FALLBACK) != 0);
    reco__count_degraded(recommend, answer->degraded);
}

void reco__count_sieved(reco__recommend *recommend, const reco_candidates *c) {
    for (uint32_t kind = 0; kind < RECO__SIEVED_KINDS; kind++) {
        if (c->sieve.sieved[kind] > 0) {
            reco__count(&recommend->sieved[kind], c->sieve.sieved[kind]);
        }
    }
}

void reco__count_degraded(reco__recommend *recommend, uint32_t degraded) {
    reco__count(&recommend->degraded, degraded != 0);
    for (uint32_t i = 0; i < RECO__DEGRADED_KINDS; i++) {
        reco__count(&recommend->degraded_by[i], degraded >> i & 1);
    }
}

static reco_status answer_question(reco_answer **answer, reco__recommend *recommend, const question *asked, int64_t now_ms, uint32_t partition,
                                   int behind, const reco_call *call, reco_error *err) {
    reco_candidates *c;
    bool made;
    reco_status status = reco__pool_take(&c, recommend, err);

    if (status != RECO_OK) {
        return status;
    }
    reco__answer *begun = reco__answer_begin(*answer, &made);
    memset(c->sieve.sieved, 0, sizeof(c->sieve.sieved));
    status = begun ? answer_query(begun, recommend, c, asked, now_ms, partition, behind, call, err) : reco__no_memory(err);
    reco__count_sieved(recommend, c);
    reco__pool_give(recommend, c);
    if (status == RECO_OK) {
        count_answer(recommend, &begun->shown);
        *answer = &begun->shown;
        return RECO_OK;
    }
    reco__count(&recommend->failed, 1);
    if (made && begun) {
        reco__answer_free(&begun->shown);
    }
    return status;
}

reco_status reco__recommend_ask(reco_answer **answer, reco__recommend *recommend, const reco_query *query, int64_t now_ms, uint32_t partition,
                                int behind, const reco_call *call, reco_error *err) {
    const question asked = {.kind = RECO__ASK_USER, .query = query};
    return answer_question(answer, recommend, &asked, now_ms, partition, behind, call, err);
}

reco_status reco__recommend_ask_past(reco_answer **answer, reco__recommend *recommend, const reco_query *query, const reco__past *past,
                                     int64_t now_ms, uint32_t partition, const reco_call *call, reco_error *err) {
    const question asked = {.kind = RECO__ASK_USER, .query = query, .past = past};
    return answer_question(answer, recommend, &asked, now_ms, partition, 0, call, err);
}

reco_status reco__recommend_rank(reco_answer **answer, reco__recommend *recommend, const reco_query *query, const reco_str *items, size_t item_count,
                                 int64_t now_ms, uint32_t partition, int behind, const reco_call *call, reco_error *err) {
    const question asked = {.kind = RECO__ASK_RANK, .query = query, .items = items, .item_count = item_count};
    return answer_question(answer, recommend, &asked, now_ms, partition, behind, call, err);
}

reco_status reco__recommend_similar(reco_answer **answer, reco__recommend *recommend, const reco_similar_query *query, int64_t now_ms,
                                    const reco_call *call, reco_error *err) {
    const reco_query plain = {
        .struct_size = sizeof(plain), .flags = query->flags, .limit = query->limit, .as_of = query->as_of, .selection = query->selection};
    const question asked = {.kind = RECO__ASK_SIMILAR, .query = &plain, .items = query->items, .item_count = query->item_count};
    return answer_question(answer, recommend, &asked, now_ms, 0, 0, call, err);
}

/* --- explained ---------------------------------------------------------------------------------------------------------------------------------- */

static reco_status make_note(reco__note *note, reco__explanation *explanation, const reco_query *query, const reco_str *items, size_t count,
                             reco_error *err) {
    reco__arena *arena = &explanation->about.arena;

    *note = (reco__note){.arena = arena, .about = &explanation->about, .count = count};
    note->items = reco__arena_zalloc(arena, (count + 1) * sizeof(*note->items));
    note->steps = reco__arena_zalloc(arena, RECO__STEPS_MAX * sizeof(*note->steps));
    bool made = note->items && note->steps && reco__answer_copy(&explanation->shown.user_id, &explanation->about, query->user_id);
    for (size_t i = 0; i < count && made; i++) {
        made = reco__answer_copy(&note->items[i].shown.item_id, &explanation->about, items[i]);
    }
    reco__note_pass(note);
    return made ? RECO_OK : reco__no_memory(err);
}

/* What was noted, for who asked. */
static reco_status show_note(reco__explanation *explanation, const reco__note *note, reco_error *err) {
    reco_explanation *shown = &explanation->shown;
    reco_explained_item *items = reco__arena_zalloc(note->arena, (note->count + 1) * sizeof(*items));

    if (!items) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < note->count; i++) {
        items[i] = note->items[i].shown;
    }
    shown->flags = (note->known ? RECO_EXPLANATION_KNOWN : 0) | (note->session_runs ? RECO_EXPLANATION_SESSION_RUNS : 0);
    shown->answer = explanation->answer;
    shown->last = note->last;
    shown->recents = note->recents;
    shown->recent_count = note->recent_count;
    shown->hidden = note->hidden;
    shown->hidden_count = note->hidden_count;
    shown->stages = note->steps;
    shown->stage_count = note->step_count;
    for (size_t i = 0; i < note->step_count; i++) {
        shown->nanoseconds += note->steps[i].nanoseconds;
    }
    shown->items = items;
    shown->item_count = note->count;
    return RECO_OK;
}

/* Nothing of it is counted with the answers, which people see. */
static reco_status explain_question(reco__explanation *explanation, reco__recommend *recommend, const question *asked, int64_t now_ms,
                                    uint32_t partition, int behind, const reco_call *call, reco_error *err) {
    reco_candidates *c;
    bool made;
    reco_status status = reco__candidates_make(&c, recommend, err);

    if (status != RECO_OK) {
        return status;
    }
    reco__answer *begun = reco__answer_begin(explanation->answer, &made);
    status = begun ? answer_query(begun, recommend, c, asked, now_ms, partition, behind, call, err) : reco__no_memory(err);
    explanation->answer = begun ? &begun->shown : explanation->answer;
    reco__candidates_free(c);
    return status == RECO_OK ? show_note(explanation, asked->note, err) : status;
}

reco_status reco__recommend_explain(reco_explanation **out, reco__recommend *recommend, const reco_query *query, const reco_str *items,
                                    size_t item_count, int64_t now_ms, uint32_t partition, int behind, const reco_call *call, reco_error *err) {
    bool made;
    reco__note note;
    const question asked = {.kind = RECO__ASK_USER, .query = query, .note = &note};
    reco__explanation *explanation = reco__explanation_begin(*out, &made);
    reco_status status = explanation ? make_note(&note, explanation, query, items, item_count, err) : reco__no_memory(err);

    if (status == RECO_OK) {
        status = explain_question(explanation, recommend, &asked, now_ms, partition, behind, call, err);
    }
    if (status == RECO_OK) {
        *out = &explanation->shown;
    } else if (made && explanation) {
        reco__explanation_free(&explanation->shown);
    }
    return status;
}

reco_status reco__recommend_person(reco__person *person, reco__recommend *recommend, reco_str user, uint32_t partition, const reco_call *call,
                                   reco_error *err) {
    reco__state *state;
    uint32_t degraded = 0;
    reco_error error = RECO_ERROR_INIT;

    person->count = 1;
    person->ids[0] = user;
    person->partitions[0] = partition;
    if (!recommend->options.partition_of) {
        return RECO_OK;
    }
    reco_status status = reco__state_hold(&state, &degraded, recommend, call, &error);
    if (status == RECO_OK) {
        status = reco__state_follow(&degraded, recommend, state, call, &error);
        if (status == RECO_OK) {
            status = reco__person_find(person, &degraded, recommend, state->catalogue->aliases, user, partition, call, &error);
        }
        reco__state_release(state);
    }
    if (reco__ends_question(status) && err) {
        *err = error;
    }
    return reco__ends_question(status) ? status : RECO_OK; /* else the answer itself will tell what is the matter */
}

reco_status reco__recommend_partitions(uint64_t *out, reco__recommend *recommend, reco_str user, uint32_t partition, const reco_call *call,
                                       reco_error *err) {
    reco__person person = {.count = 0};
    reco_status status = reco__recommend_person(&person, recommend, user, partition, call, err);

    *out = 0;
    for (size_t i = 0; i < person.count; i++) {
        *out |= UINT64_C(1) << person.partitions[i];
    }
    reco__person_dispose(&person);
    return status;
}
