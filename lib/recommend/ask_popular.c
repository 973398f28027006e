/* recommend/ask_popular.c - what is popular: exact sums over a window, of everything or of a category.
 *
 * The windows that are configured are kept as sums by item (popularity.c). Any other window, and any other moment, is summed from its rows when
 * asked: by hours when the hours that are kept can cover it, by days otherwise. A window is a whole number of generations, the one it ends in
 * included, rounded up. */
#include "recommend/internal.h"

#include <stdlib.h>

#define LOOK 4096u /* items between two looks at the clock */

/* What is asked, worked out. */
typedef struct span {
    uint32_t board;
    int64_t first, last; /* generations */
    bool kept;           /* the sums of window 0 or 1 are those */
    unsigned window;
    uint32_t item_count; /* that features had, when it was summed from rows */
} span;

static reco_status choose_span(span *out, const reco__recommend *recommend, const reco_popular_query *query, const reco__popular_list *list,
                               reco_error *err) {
    const reco__settings *settings = recommend->options.settings;
    const reco_board_rules *rules = &recommend->options.rules->boards;
    int64_t window = query->window > 0 ? query->window : settings->window_hours, moment = query->as_of > 0 ? query->as_of : list->moment;
    int64_t hours = rules->length[RECO_BOARD_HOURS] * (int64_t)rules->kept[RECO_BOARD_HOURS],
            days = rules->length[RECO_BOARD_DAYS] * (int64_t)rules->kept[RECO_BOARD_DAYS];

    if (query->window < 0 || (window > hours && window > days)) {
        return reco__fail(err, RECO_INVALID, "window", "1 to %lld milliseconds", (long long)(hours > days ? hours : days));
    }
    out->board = window <= hours ? RECO_BOARD_HOURS : RECO_BOARD_DAYS;
    out->last = reco_board_generation(rules, out->board, moment);
    out->first = out->last - (window + rules->length[out->board] - 1) / rules->length[out->board] + 1;
    out->window = out->board == RECO_BOARD_HOURS ? 0 : 1;
    out->kept = out->last == list->end[out->window] && window == (out->window == 0 ? settings->window_hours : settings->window_days);
    return RECO_OK;
}

/* Sums of a span that is not kept, in c->sums; they are to be cleared. */
static reco_status sum_span(reco_candidates *c, span *s, const reco_call *call, reco_error *err) {
    reco_features_info info = {.struct_size = sizeof(info)};
    reco_status status = reco__features_info(&info, c->features, call, err);

    if (status == RECO_OK && info.item_count > c->sum_room) {
        int64_t *sums = reco__realloc_array(c->sums, info.item_count, sizeof(*sums));
        if (!sums) {
            return reco__no_memory(err);
        }
        memset(sums + c->sum_room, 0, (info.item_count - c->sum_room) * sizeof(*sums));
        c->sums = sums;
        c->sum_room = info.item_count;
    }
    s->item_count = info.item_count;
    return status == RECO_OK ? reco__popularity_sum(c->sums, c->sum_room, c->features, s->board, s->first, s->last, call, err) : status;
}

/* The best so far; those that are not available are left out, and asked about when nobody knows them yet. */
typedef struct picking {
    reco_candidates *c;
    const reco__popularity *popularity; /* NULL: c->sums */
    unsigned window;
    int64_t moment;
    reco__top top;
    uint32_t considered;
    bool over; /* past the deadline */
    const reco_call *call;
    reco_error *err;
} picking;

/* Whether an item that could win may. */
static reco_status admits(bool *fine, picking *p, uint32_t item) {
    reco_candidates *c = p->c;
    reco_status status = RECO_OK;

    *fine = !c->settings->filter_availability || reco__catalogue_available(c->catalogue, item, p->moment);
    if (!reco__catalogue_known(c->catalogue, item)) {
        status = reco__ask_about(fine, c, item, p->call, p->err);
    }
    c->filtered += status == RECO_OK && !*fine;
    if (status == RECO_OK && *fine) {
        status = reco__item_fits(fine, c, item, p->call, p->err);
    }
    *fine = *fine && !reco__item_shown(c, item);
    return status;
}

static reco_status pick(picking *p, uint32_t item) {
    int64_t sum = p->popularity ? reco__popularity_of(p->popularity, p->window, item) : item < p->c->sum_room ? p->c->sums[item] : 0;
    bool fine;

    if (sum <= 0) {
        return RECO_OK;
    }
    p->considered++;
    if (reco__top_full(&p->top) && sum < p->top.entries[0].score) {
        return RECO_OK;
    }
    reco_status status = admits(&fine, p, item);
    if (status == RECO_OK && fine) {
        reco__top_offer(&p->top, sum, item, 0);
    }
    return status;
}

/* Past the deadline what was found will do. */
static reco_status look_at_clock(picking *p) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__call_check(p->call, &error);

    p->over = status == RECO_TIMEOUT;
    p->c->degraded |= p->over ? RECO_DEGRADED_DEADLINE : 0;
    if (status != RECO_OK && !p->over && p->err) {
        *p->err = error;
    }
    return p->over ? RECO_OK : status;
}

static reco_status pick_all(picking *p, uint32_t item_count) {
    reco_status status = RECO_OK;

    for (uint32_t item = 0; item < item_count && status == RECO_OK && !p->over; item++) {
        status = pick(p, item);
        if (item % LOOK == LOOK - 1 && status == RECO_OK) {
            status = look_at_clock(p);
        }
    }
    return status;
}

static reco_status pick_category(picking *p, reco_str category) {
    reco__buf *items = &p->c->scratch;
    reco_status status;

    reco__buf_reset(items);
    reco__catalogue_category(items, p->c->catalogue, category);
    status = reco__buf_status(items, p->err);
    for (size_t i = 0; i + sizeof(uint32_t) <= items->size && status == RECO_OK; i += sizeof(uint32_t)) {
        uint32_t item;
        memcpy(&item, items->data + i, sizeof(item));
        status = pick(p, item);
    }
    return status;
}

/* Picks until as many as the limit can stand together, or there are no more. */
static reco_status pick_answer(picking *p, uint32_t item_count, reco_str category, size_t *chosen) {
    reco_candidates *c = p->c;
    reco_status status = RECO_OK;
    bool whole = false;

    *chosen = 0;
    for (size_t most = (size_t)c->limit + 1; status == RECO_OK && *chosen < c->limit && !whole; most *= RECO__ARRANGE_TIMES) {
        status = reco__candidates_reserve_ranked(c, most, p->err);
        if (status != RECO_OK) {
            break;
        }
        p->top = (reco__top){.entries = c->ranked, .limit = most, .features = c->features};
        p->considered = 0;
        status = category.size > 0 ? pick_category(p, category) : pick_all(p, item_count);
        whole = p->top.count < most || p->over;
        reco__top_sort(&p->top);
        if (status == RECO_OK) {
            status = reco__choose(chosen, c, p->top.count, c->limit, whole, p->err);
        }
    }
    p->top.count = *chosen;
    return status;
}

static reco_status note_page(reco__answer *answer, const reco__top *top, reco_candidates *c, reco_error *err) {
    reco_status status = RECO_OK;

    for (size_t i = 0; i < top->count && status == RECO_OK; i++) {
        status = reco__note_shown(c, top->entries[i].item, err);
    }
    return status == RECO_OK ? reco__make_next(answer, c, err) : status;
}

static reco_status fill_items(reco__answer *answer, const reco__top *top, reco_candidates *c, reco_error *err) {
    reco_answer_item *items = reco__arena_zalloc(&answer->arena, top->count * sizeof(*items));
    reco_reason *reasons = reco__arena_zalloc(&answer->arena, top->count * sizeof(*reasons));

    if (!items || !reasons) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < top->count; i++) {
        reco_str name;
        uint64_t hash;
        reco_status status = reco__features_item_name(&name, &hash, c->features, top->entries[i].item);
        if (status != RECO_OK || !reco__answer_copy(&items[i].item_id, answer, name)) {
            return status == RECO_OK ? reco__no_memory(err) : reco__fail(err, status, NULL, "an item has no name");
        }
        items[i].score = reco__sum_score(top->entries[i].score);
        items[i].rank = (uint32_t)i + 1;
        reasons[i] = (reco_reason){.kind = RECO_REASON_POPULAR, .source = reco__str_of("popular"), .score = items[i].score};
        items[i].reasons = &reasons[i];
        items[i].reason_count = c->reasons;
    }
    answer->shown.items = items;
    answer->shown.count = top->count;
    return note_page(answer, top, c, err);
}

/* Sums of a span that is not kept; when features do not answer, the kept window of the same board will do. */
static reco_status get_span(reco_candidates *c, span *s, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_UNAVAILABLE;

    if (reco__breaker_allows(c->features_breaker)) {
        status = sum_span(c, s, call, &error);
        reco__breaker_note(c->features_breaker, status, began);
    }
    if (reco__store_trouble(status) && status != RECO_STALE) {
        c->degraded |= RECO_DEGRADED_FEATURES | (status == RECO_TIMEOUT ? RECO_DEGRADED_DEADLINE : 0);
        s->kept = true;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    return status;
}

/* What is in a category is known of items the catalogue has; those features have just given a number are asked about first. */
static reco_status know_new(reco_candidates *c, uint32_t item_count, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_UNAVAILABLE;

    if (reco__breaker_allows(c->records_breaker)) {
        reco_call own;
        status = reco__catalogue_catch_up(c->catalogue, item_count, reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
        reco__breaker_note(c->records_breaker, status, began);
    }
    if (reco__store_trouble(status)) {
        c->degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    return status;
}

static reco_status answer_span(reco__answer *answer, reco_candidates *c, const reco__state *state, const reco__popular_list *list, span *s,
                               const reco_popular_query *query, const reco_call *call, reco_error *err) {
    picking p = {.c = c, .window = s->window, .moment = c->moment, .call = call, .err = err};
    bool sum = !s->kept;
    size_t chosen;
    reco_status status = sum ? get_span(c, s, call, err) : RECO_OK;

    uint32_t item_count = s->kept ? list->item_count : s->item_count;
    p.popularity = s->kept ? state->popularity : NULL;
    if (status == RECO_OK && query->category.size > 0 && !reco__catalogue_caught_up(c->catalogue, item_count)) {
        status = know_new(c, item_count, call, err);
        reco__sieve_renumber(&c->sieve);
    }
    if (status == RECO_OK) {
        status = pick_answer(&p, s->kept ? list->item_count : c->sum_room, query->category, &chosen);
    }
    if (sum && c->sum_room > 0) {
        memset(c->sums, 0, c->sum_room * sizeof(*c->sums));
    }
    if (status == RECO_OK) {
        answer->shown.candidates = p.considered;
        answer->shown.filtered = c->filtered;
        status = fill_items(answer, &p.top, c, err);
    }
    return status;
}

/* Where the windows end; before anything was learned, nothing is popular as of now. */
static int64_t shown_moment(int64_t moment, int64_t now_ms) { return moment > 0 ? moment : now_ms; }

static reco_status answer_from(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, reco__state *state,
                               const reco_popular_query *query, int64_t now_ms, const reco_call *call, reco_error *err) {
    reco__popular_list *list = reco__popularity_hold(state->popularity);
    span s = {.board = RECO_BOARD_HOURS};
    reco_status status = choose_span(&s, recommend, query, list, err);

    c->catalogue = state->catalogue;
    c->moment = query->as_of > 0 ? query->as_of : now_ms;
    answer->shown.as_of = query->as_of > 0 ? query->as_of : shown_moment(list->moment, now_ms);
    if (status == RECO_OK) {
        status = reco__sieve_open(&c->sieve, state->catalogue, err);
    }
    if (status == RECO_OK) {
        status = answer_span(answer, c, state, list, &s, query, call, err);
    }
    reco__sieve_close(&c->sieve);
    reco__popularity_release(list);
    return status;
}

static reco_status check_query(reco_candidates *c, const reco_popular_query *query, reco_error *err) {
    if (query->flags & ~RECO_QUERY_NO_REASONS) {
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", query->flags);
    }
    if (query->as_of < 0) {
        return reco__fail(err, RECO_INVALID, "as_of", "before 1970");
    }
    if (query->category.size > 256) {
        return reco__fail(err, RECO_INVALID, "category", "up to 256 bytes");
    }
    c->degraded = 0;
    c->reasons = !(query->flags & RECO_QUERY_NO_REASONS);
    uint64_t question = reco__question_hash((uint64_t)query->window << 8 | RECO__ASK_POPULAR, &query->category, 1, query->as_of);
    reco_status status = reco__sieve_read(&c->sieve, query->selection, question, err);
    return status == RECO_OK ? reco__limit_check(&c->limit, c->settings, query->limit, err) : status;
}

static reco_status answer_state(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, const reco_popular_query *query, int64_t now_ms,
                                const reco_call *call, reco_error *err) {
    reco__state *state;
    reco_status status = reco__state_hold(&state, &c->degraded, recommend, call, err);

    if (status != RECO_OK) {
        return status;
    }
    status = reco__state_follow(&c->degraded, recommend, state, call, err);
    if (status == RECO_OK) {
        status = answer_from(answer, recommend, c, state, query, now_ms, call, err);
    }
    reco__state_release(state);
    return status;
}

/* --- without features --------------------------------------------------------------------------------------------------------------------------- */

static int by_sum(const void *a, const void *b, void *context) {
    const reco__kept_item *left = *(const reco__kept_item *const *)a, *right = *(const reco__kept_item *const *)b;
    unsigned window = *(const unsigned *)context;

    if (left->sums[window] != right->sums[window]) {
        return left->sums[window] > right->sums[window] ? -1 : 1;
    }
    return reco__str_compare(left->name, right->name);
}

/* In the order of the window. */
static reco_status fill_kept(reco__answer *answer, reco_candidates *c, const reco__kept *kept, const reco__state *state, unsigned window,
                             reco_error *err) {
    size_t count = 0;
    const reco__kept_item **sorted = reco__arena_alloc(&answer->arena, (kept->count + 1) * sizeof(*sorted));

    if (!sorted) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < kept->count; i++) {
        if (kept->items[i].sums[window] > 0) {
            sorted[count++] = &kept->items[i];
        }
    }
    qsort_r(sorted, count, sizeof(*sorted), by_sum, &window);
    return reco__kept_fill(answer, c, kept, state, sorted, count, window, err);
}

/* What was kept, for a question that features cannot answer with `status`, which is answered when nothing is kept that says anything about it. */
static reco_status answer_kept(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, const reco_popular_query *query, int64_t now_ms,
                               reco_status status, reco_error *err) {
    const reco_board_rules *rules = &recommend->options.rules->boards;
    bool relearning;
    reco__kept *kept = query->category.size > 0 ? NULL : reco__kept_hold(&relearning, recommend);

    if (!kept) {
        return status;
    }
    int64_t hours = rules->length[RECO_BOARD_HOURS] * (int64_t)rules->kept[RECO_BOARD_HOURS];
    c->degraded |= relearning ? RECO_DEGRADED_RELEARNING : RECO_DEGRADED_FEATURES;
    c->moment = query->as_of > 0 ? query->as_of : now_ms;
    answer->shown.as_of = shown_moment(kept->moment, now_ms);
    reco__state *state = reco__state_peek(recommend);
    status = fill_kept(answer, c, kept, state, query->window > hours ? 1 : 0, err);
    reco__state_release(state);
    reco__kept_release(kept);
    return status;
}

static reco_status answer_query(reco__answer *answer, reco__recommend *recommend, reco_candidates *c, const reco_popular_query *query, int64_t now_ms,
                                const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_call own;
    reco_status status = check_query(c, query, err);

    if (status != RECO_OK) {
        return status;
    }
    answer->bare = answer->dated = true;
    call = reco__call_part(&own, call, RECO__STORES_PERCENT);
    status = answer_state(answer, recommend, c, query, now_ms, call, &error);
    if (status == RECO_STALE && !reco__is_relearning(recommend)) { /* the change log left us behind: load anew, and ask again */
        status = reco__recommend_refresh(recommend, true, call, &error);
        if (status == RECO_OK) {
            status = answer_state(answer, recommend, c, query, now_ms, call, &error);
        }
    }
    if (reco__store_trouble(status)) {
        status = answer_kept(answer, recommend, c, query, now_ms, status, &error);
    }
    answer->shown.degraded = c->degraded;
    answer->shown.flags = c->degraded ? RECO_ANSWER_DEGRADED : 0;
    return reco__not_answered(status, &error, err);
}

reco_status reco__recommend_popular(reco_answer **answer, reco__recommend *recommend, const reco_popular_query *query, int64_t now_ms,
                                    const reco_call *call, reco_error *err) {
    reco_candidates *c;
    bool made;
    reco_status status = reco__pool_take(&c, recommend, err);

    if (status != RECO_OK) {
        return status;
    }
    reco__answer *begun = reco__answer_begin(*answer, &made);
    memset(c->sieve.sieved, 0, sizeof(c->sieve.sieved));
    status = begun ? answer_query(begun, recommend, c, query, now_ms, call, err) : reco__no_memory(err);
    reco__count_sieved(recommend, c);
    reco__candidates_reset(c);
    reco__pool_give(recommend, c);
    if (status == RECO_OK) {
        atomic_fetch_add_explicit(&recommend->popular_answers, 1, memory_order_relaxed);
        reco__count_degraded(recommend, begun->shown.degraded);
        *answer = &begun->shown;
    } else if (made && begun) {
        reco__answer_free(&begun->shown);
    }
    return status;
}
