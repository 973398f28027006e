/* recommend/why.c - what became of the items that are asked about.
 *
 * The walk of a question finds the best and looks at as little else as it can: of what could not win, nobody knows whether it may be in an answer,
 * nor at which place it would stand. So it is looked for here, with the columns as the plan has left them: the arranger is asked for more and more of
 * the best, until all items asked about have a place or turn out to have none. It does then what it does for a larger limit, so that ranks are those
 * that a longer answer shows. What is popular goes on to all items there are, as it would then, too; only an item nobody has looked at in the
 * windows, and that goes with none of the recent ones, is no candidate however long the answer.
 *
 * What the answer is made from stays as it was. An application's arrangers see the best only: beyond those, places are by score. */
#include "recommend/internal.h"
#include "recommend/note.h"

#define FIRST_LOOK 64u
#define LOOK_TIMES 4u

/* --- in words ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status said(bool done, reco_error *err) { return done ? RECO_OK : reco__no_memory(err); }

static void drop(reco__noted *noted, const char *stage) {
    noted->shown.verdict = RECO_VERDICT_DROPPED;
    noted->shown.stage = reco__str_of(stage);
}

static const reco__touch *find_touch(const reco_candidates *c, uint32_t item) {
    for (uint32_t i = 0; i < c->cell.touch_count; i++) {
        if (c->cell.touches[i].item == item) {
            return &c->cell.touches[i];
        }
    }
    return NULL;
}

static bool hides(const reco_candidates *c, uint32_t item) {
    for (uint32_t i = 0; i < c->cell.hidden_count; i++) {
        if (c->cell.hidden[i] == item) {
            return true;
        }
    }
    return false;
}

static bool say_seen(reco__noted *noted, reco__note *note, const reco__touch *touch) {
    char moment[32];

    drop(noted, "seen");
    if (touch->t == 0) { /* so long ago that only the item is kept */
        return reco__note_text(&noted->shown.reason, note, "the user has seen it");
    }
    reco__time_format(touch->t, moment);
    return reco__note_text(&noted->shown.reason, note, "the user has seen it, last at %s", moment);
}

static bool say_availability(reco__noted *noted, reco__note *note, const reco_candidates *c) {
    const reco__catalogue_details *details = reco__catalogue_details_of(c->catalogue, noted->number);
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(c->catalogue, noted->number);
    uint32_t at = noted->number % RECO__CHUNK_ITEMS;
    int64_t from = details ? atomic_load_explicit(&details->from[at], memory_order_relaxed) : 0;
    int64_t until = details ? atomic_load_explicit(&details->until[at], memory_order_relaxed) : 0;
    char moment[32];

    drop(noted, "availability");
    if (!reco__catalogue_known(c->catalogue, noted->number)) {
        return reco__note_text(&noted->shown.reason, note, "the catalogue does not answer, and was not asked about it before");
    }
    if (chunk && atomic_load_explicit(&chunk->flags[at], memory_order_acquire) & RECO__ITEM_HIDDEN) {
        return reco__note_text(&noted->shown.reason, note, "it is hidden from everybody");
    }
    bool early = c->moment < from;
    reco__time_format(early ? from : until, moment);
    return reco__note_text(&noted->shown.reason, note, early ? "it is not available before %s" : "it is available until %s only", moment);
}

static bool say_condition(reco__noted *noted, reco__note *note, const reco_candidates *c, const reco__traits *traits, size_t failing) {
    reco_str name = c->sieve.conditions[failing].given.attribute;

    drop(noted, "filters");
    return reco__note_text(&noted->shown.reason, note,
                           traits && traits->cut ? "the condition on %.*s does not hold for what is known of its attributes"
                                                 : "the condition on %.*s does not hold",
                           (int)name.size, name.data);
}

static bool say_no_candidate(reco__noted *noted, reco__note *note, const reco_candidates *c) {
    const char *popular =
        reco__popular_score(c, noted->number) < 0 ? "nobody has looked at it of late" : "it is not among the most popular that were looked at";

    noted->shown.verdict = RECO_VERDICT_NO_CANDIDATE;
    if (c->recent_count == 0) {
        return reco__note_text(&noted->shown.reason, note, "no source proposed it: there are no recent items that it could go with, and %s", popular);
    }
    return reco__note_text(&noted->shown.reason, note, "no source proposed it: it is not among what goes best with the %u recent items, and %s",
                           c->recent_count, popular);
}

/* --- what drops an item --------------------------------------------------------------------------------------------------------------------- */

/* What the question itself says of it. */
static reco_status blame_selection(reco__noted *noted, reco__note *note, const reco_candidates *c, reco_error *err) {
    const reco__sieve *sieve = &c->sieve;
    const reco__traits *traits = reco__catalogue_traits(c->catalogue, noted->number);
    size_t failing = reco__sieve_failing(sieve, traits, noted->hash);

    if (reco__sieve_excludes(sieve, noted->hash)) {
        drop(noted, "exclude");
        return said(reco__note_text(&noted->shown.reason, note, "the question excludes it"), err);
    }
    if (failing < sieve->condition_count) {
        return said(say_condition(noted, note, c, traits, failing), err);
    }
    if (reco__sieve_shown(sieve, traits, noted->hash)) {
        drop(noted, "cursor");
        return said(reco__note_text(&noted->shown.reason, note, "it was on a page before"), err);
    }
    return RECO_OK;
}

/* The first of the built-in filters, and of what the question says, that an item does not pass; no verdict when it passes them all. */
static reco_status blame(reco__noted *noted, reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err) {
    const reco__touch *touch = c->settings->filter_seen ? find_touch(c, noted->number) : NULL;
    bool fine = true;
    reco_status status = RECO_OK;

    if (touch) {
        return said(say_seen(noted, note, touch), err);
    }
    if (hides(c, noted->number)) {
        drop(noted, "hidden");
        return said(reco__note_text(&noted->shown.reason, note, "the user hides it"), err);
    }
    if (!reco__catalogue_known(c->catalogue, noted->number) && (c->settings->filter_availability || c->sieve.condition_count > 0)) {
        status = reco__ask_about(&fine, c, noted->number, call, err);
    } else {
        fine = !c->settings->filter_availability || reco__catalogue_available(c->catalogue, noted->number, c->moment);
    }
    if (status == RECO_OK && !fine) {
        return said(say_availability(noted, note, c), err);
    }
    return status == RECO_OK ? blame_selection(noted, note, c, err) : status;
}

static reco_status blame_for_drop(reco__noted *noted, reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err) {
    if (noted->by && !noted->by->run) {
        drop(noted, noted->by->name);
        return said(reco__note_text(&noted->shown.reason, note, "a stage of the application left it out"), err);
    }
    reco_status status = blame(noted, note, c, call, err);
    if (status == RECO_OK && noted->shown.verdict == 0) { /* what dropped it is over by now */
        drop(noted, noted->by ? noted->by->name : "top");
    }
    return status;
}

/* --- what nothing was learned of -------------------------------------------------------------------------------------------------------------- */

static int nothing(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)context, (void)sequence, (void)kind, (void)id, (void)document;
    return 0;
}

static reco_status find_record(reco__noted *noted, reco__note *note, reco_candidates *c, reco__records *records, const reco_call *call,
                               reco_error *err) {
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_UNAVAILABLE;
    reco_call own;

    if (reco__breaker_allows(c->records_breaker)) {
        status = reco__records_find(records, RECO_RECORD_ITEM, noted->shown.item_id, nothing, NULL,
                                    reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
        reco__breaker_note(c->records_breaker, status == RECO_NOT_FOUND ? RECO_OK : status, began);
    }
    if (status != RECO_OK && status != RECO_NOT_FOUND && !reco__store_trouble(status)) {
        return reco__fail(err, status, error.field, "%s", error.text);
    }
    noted->shown.verdict = status == RECO_OK ? RECO_VERDICT_NO_CANDIDATE : RECO_VERDICT_UNKNOWN;
    return said(reco__note_text(&noted->shown.reason, note, "%s",
                                status == RECO_OK          ? "the catalogue has it, but no event does: only what was learned of is recommended"
                                : status == RECO_NOT_FOUND ? "no event has it, and the catalogue does not know it"
                                                           : "no event has it, and the catalogue does not answer"),
                err);
}

/* --- places --------------------------------------------------------------------------------------------------------------------------------- */

/* An item that sources left out may still come: what is popular goes on, to the end. */
static bool may_come(const reco__noted *noted, const reco_candidates *c) {
    return !c->plan->own && c->popular_fills && reco__popular_score(c, noted->number) >= 0;
}

static bool is_open(const reco__noted *noted, const reco_candidates *c) {
    return noted->shown.verdict == 0 && (noted->candidate ? !noted->dropped : may_come(noted, c));
}

static bool some_open(const reco__note *note, const reco_candidates *c) {
    for (size_t k = 0; k < note->count; k++) {
        if (is_open(&note->items[k], c)) {
            return true;
        }
    }
    return false;
}

/* Below the cut, at a place that is not known when it is 0. `value`: of what is no candidate, 0. */
static void place_at(reco__noted *noted, const reco_candidates *c, size_t place, uint32_t value, size_t rank) {
    reco__winner *parts = &noted->parts;

    *parts = (reco__winner){.item = noted->number, .place = (uint32_t)place, .value = value};
    reco__hybrid_parts(parts, c, parts->item, parts->value);
    for (size_t g = 0; g < c->given_count && noted->candidate; g++) {
        parts->given += c->given[g].place == place ? c->given[g].score : 0;
    }
    parts->score = parts->coview + parts->popular + parts->revisit + parts->given;
    noted->scored = true;
    noted->shown.verdict = RECO_VERDICT_BELOW_CUT;
    noted->shown.rank = (uint32_t)(rank > 0 && rank <= c->winner_count ? c->winner_count + 1 : rank); /* popularity may have moved on meanwhile */
}

static void place_ranked(reco__note *note, reco_candidates *c, size_t chosen) {
    reco__note_look(note, c);
    for (size_t i = 0; i < chosen; i++) {
        reco__noted *noted = reco__note_find(note, c->ranked[i].item);
        if (noted && noted->shown.verdict == 0) {
            place_at(noted, c, c->ranked[i].place, c->values[c->ranked[i].place], i + 1);
        }
    }
}

/* Until all have a place, or none; or time is over. */
static reco_status look_for_places(reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t all = c->count + c->popular->item_count + 1, chosen, most = (size_t)c->limit * LOOK_TIMES;
    bool whole = false;
    reco_status status = RECO_OK;

    most = most > FIRST_LOOK ? most : FIRST_LOOK;
    while (status == RECO_OK && !whole && some_open(note, c)) {
        reco_error error = RECO_ERROR_INIT;
        status = reco__call_check(call, &error);
        if (status == RECO_TIMEOUT) {
            return RECO_OK;
        }
        if (status != RECO_OK) {
            return reco__fail(err, status, NULL, "%s", error.text);
        }
        most = most < all ? most : all;
        status = reco__look_further(&chosen, &whole, c, most, call, err);
        if (status == RECO_OK) {
            place_ranked(note, c, chosen);
        }
        most *= LOOK_TIMES;
    }
    return status;
}

/* --- verdicts ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status judge_first(reco__noted *noted, reco__note *note, reco_candidates *c, reco__records *records, const reco_call *call,
                               reco_error *err) {
    if (noted->shown.verdict != 0) {
        return RECO_OK;
    }
    if (noted->number == RECO_NO_ITEM) {
        return find_record(noted, note, c, records, call, err);
    }
    if (noted->candidate && noted->dropped) {
        return blame_for_drop(noted, note, c, call, err);
    }
    return noted->candidate ? RECO_OK : blame(noted, note, c, call, err);
}

static reco_status judge_last(reco__noted *noted, reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err) {
    if (noted->shown.verdict != 0) {
        return RECO_OK;
    }
    if (noted->candidate && noted->dropped) {
        return blame_for_drop(noted, note, c, call, err);
    }
    if (!noted->candidate && !(may_come(noted, c) && reco__call_left_ns(call) <= 0)) {
        return said(say_no_candidate(noted, note, c), err);
    }
    place_at(noted, c, noted->place, noted->candidate ? c->values[noted->place] : 0, 0);
    return said(reco__note_text(&noted->shown.reason, note, "there was no time to find its place"), err);
}

static reco_status judge(reco__note *note, reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    reco__note_look(note, c);
    for (size_t k = 0; k < note->count && status == RECO_OK; k++) {
        status = judge_first(&note->items[k], note, c, records, call, err);
    }
    if (status == RECO_OK) {
        status = look_for_places(note, c, call, err);
    }
    for (size_t k = 0; k < note->count && status == RECO_OK; k++) {
        status = judge_last(&note->items[k], note, c, call, err);
    }
    return status;
}

reco_status reco__why(reco__note *note, reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err) {
    const size_t count = c->count;
    const uint32_t degraded = c->degraded, filtered = c->filtered;
    const bool fallback = c->fallback, more = c->more, collapse = c->sieve.collapse;

    reco_status status = note->count > 0 ? judge(note, c, records, call, err) : RECO_OK;
    c->count = count;
    c->degraded = degraded;
    c->filtered = filtered;
    c->fallback = fallback;
    c->more = more;
    c->sieve.collapse = collapse;
    reco__note_pass(note);
    return status;
}

/* --- scores --------------------------------------------------------------------------------------------------------------------------------- */

static void show_score(reco_explained_item *shown, const reco_answer *answer, const reco_answer_item *item) {
    shown->flags |= RECO_EXPLAINED_SCORED | (answer->count > 0 ? RECO_EXPLAINED_CUT : 0);
    shown->score = item->score;
    shown->cut = answer->count > 0 ? answer->items[answer->count - 1].score : 0;
    shown->distance = answer->count > 0 ? shown->cut - item->score : 0;
    shown->reasons = item->reasons;
    shown->reason_count = item->reason_count;
}

reco_status reco__why_scores(reco__note *note, reco_candidates *c, const reco_answer *answer, reco_error *err) {
    size_t made = 0;
    reco_status status = reco__candidates_reserve_winners(c, note->count, err);

    for (size_t k = 0; k < note->count && status == RECO_OK; k++) {
        if (note->items[k].scored && note->items[k].shown.verdict == RECO_VERDICT_BELOW_CUT) {
            c->winners[made++] = note->items[k].parts;
        }
    }
    c->winner_count = made;
    if (status == RECO_OK && made > 0) {
        status = reco__explain(c, note->about, err);
    }
    for (size_t k = 0, i = 0; k < note->count && status == RECO_OK; k++) {
        reco_explained_item *shown = &note->items[k].shown;
        if (shown->verdict == RECO_VERDICT_LISTED) {
            show_score(shown, answer, &answer->items[shown->rank - 1]);
        } else if (note->items[k].kept) {
            show_score(shown, answer, note->items[k].kept);
        } else if (note->items[k].scored && shown->verdict == RECO_VERDICT_BELOW_CUT) {
            show_score(shown, answer, &note->about->shown.items[i++]);
        }
    }
    return status;
}
