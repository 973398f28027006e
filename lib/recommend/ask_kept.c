/* recommend/ask_kept.c - an answer from what was kept (kept.c), when features cannot be asked.
 *
 * What the question says of items holds here as well. The catalogue is in memory: as long as it is of the numbers that were kept, conditions are
 * asked of it. Where it is not, nothing is known of an item but its id, and what is not known does not hold: the answer is short, or empty, but never
 * has what was asked to be left out. */
#include "recommend/cursor.h"
#include "recommend/internal.h"
#include "recommend/note.h"

typedef struct filling {
    reco__answer *answer;
    reco_candidates *c;
    const reco__kept *kept;
    const reco__state *state;
    reco_answer_item *items;
    reco_reason *reasons;
    size_t made;
    uint32_t window;
} filling;

static const reco__traits *traits_of(const filling *f, const reco__kept_item *item) {
    bool known = f->state && f->state->epoch == f->kept->epoch && reco__catalogue_known(f->state->catalogue, item->number);
    return known ? reco__catalogue_traits(f->state->catalogue, item->number) : &reco__traits_unknown;
}

#define UNAVAILABLE (RECO__SIEVED_KINDS + 1u)

/* What keeps it from the answer: a kind of selection, or UNAVAILABLE; RECO__SIEVED_KINDS: nothing, and it has place beside what is there. */
static reco_status sift(uint32_t *kind, filling *f, const reco__kept_item *item, const reco__traits *traits, uint64_t hash, reco_error *err) {
    reco_status status = RECO_OK;

    *kind = RECO__SIEVED_KINDS;
    if (f->c->settings->filter_availability && !reco__kept_available(f->kept, item, f->state, f->c->moment)) {
        *kind = UNAVAILABLE;
    } else {
        status = reco__sieve_pass(kind, &f->c->sieve, traits, hash, err);
        f->c->more = f->c->more || *kind == RECO__SIEVED_CAPS;
    }
    return status;
}

static reco_status admits(bool *fine, filling *f, const reco__kept_item *item, const reco__traits *traits, uint64_t hash, reco_error *err) {
    uint32_t kind;
    reco_status status = sift(&kind, f, item, traits, hash, err);

    *fine = status == RECO_OK && kind == RECO__SIEVED_KINDS;
    if (status == RECO_OK && !*fine) {
        if (kind < RECO__SIEVED_KINDS) {
            f->c->sieve.sieved[kind]++;
        }
        f->answer->shown.filtered++;
    }
    return status;
}

static reco_status put(filling *f, const reco__kept_item *item, reco_error *err) {
    reco_answer_item *to = &f->items[f->made];
    reco_reason *reason = &f->reasons[f->made];

    if (!reco__answer_copy(&to->item_id, f->answer, item->name)) {
        return reco__no_memory(err);
    }
    to->score = f->window == RECO__KEPT_SCORE ? item->score : reco__sum_score(item->sums[f->window]);
    to->rank = (uint32_t)++f->made;
    *reason = (reco_reason){.kind = RECO_REASON_POPULAR, .source = reco__str_of("popular"), .score = to->score};
    to->reasons = reason;
    to->reason_count = f->c->reasons;
    return RECO_OK;
}

static reco_status offer(filling *f, const reco__kept_item *item, size_t most, reco_error *err) {
    const reco__traits *traits = traits_of(f, item);
    uint64_t hash = reco__hash64(item->name.data, item->name.size, 0);
    bool fine;
    reco_status status = admits(&fine, f, item, traits, hash, err);

    if (status != RECO_OK || !fine) {
        return status;
    }
    if (f->made == most) {
        f->c->more = true;
        return RECO_OK;
    }
    status = put(f, item, err);
    return status == RECO_OK ? reco__cursor_add(&f->c->sieve, hash, traits && f->c->sieve.collapse ? traits->product : 0, err) : status;
}

reco_status reco__kept_fill(reco__answer *answer, reco_candidates *c, const reco__kept *kept, const reco__state *state,
                            const reco__kept_item *const *order, size_t count, uint32_t window, reco_error *err) {
    size_t most = kept->count < c->limit ? kept->count : c->limit;
    filling f = {.answer = answer, .c = c, .kept = kept, .state = state, .window = window};
    reco_status status = reco__sieve_open(&c->sieve, state ? state->catalogue : NULL, err);

    f.items = reco__arena_zalloc(&answer->arena, most * sizeof(*f.items));
    f.reasons = reco__arena_zalloc(&answer->arena, most * sizeof(*f.reasons));
    if (status == RECO_OK && (!f.items || !f.reasons)) {
        status = reco__no_memory(err);
    }
    c->more = false;
    reco__sieve_begin(&c->sieve);
    for (size_t i = 0; i < count && status == RECO_OK && !(c->more && f.made == most); i++) {
        status = offer(&f, order ? order[i] : &kept->items[i], most, err);
    }
    answer->shown.items = f.items;
    answer->shown.count = f.made;
    answer->shown.candidates = (uint32_t)count;
    if (status == RECO_OK) {
        status = reco__make_next(answer, c, err);
    }
    c->more = false;
    reco__sieve_close(&c->sieve);
    return status;
}

/* --- explained ------------------------------------------------------------------------------------------------------------------------------ */

static reco__noted *find_noted(const reco__note *note, uint64_t hash, reco_str name) {
    for (size_t k = 0; k < note->count; k++) {
        if (note->items[k].hash == hash && reco__str_equal(note->items[k].shown.item_id, name)) {
            return &note->items[k];
        }
    }
    return NULL;
}

static reco_status note_place(reco__noted *noted, reco__note *note, const reco_candidates *c, const reco__kept_item *item, uint32_t rank,
                              reco_error *err) {
    reco_reason *reason = reco__arena_zalloc(note->arena, sizeof(*reason));

    noted->kept = reco__arena_zalloc(note->arena, sizeof(*noted->kept));
    if (!reason || !noted->kept) {
        return reco__no_memory(err);
    }
    *reason = (reco_reason){.kind = RECO_REASON_POPULAR, .source = reco__str_of("popular"), .score = item->score};
    *noted->kept = (reco_answer_item){.score = item->score, .rank = rank, .reasons = reason, .reason_count = c->reasons};
    noted->shown.verdict = rank <= c->limit ? RECO_VERDICT_LISTED : RECO_VERDICT_BELOW_CUT;
    noted->shown.rank = rank;
    return RECO_OK;
}

static void note_drop(reco__noted *noted, uint32_t kind) {
    static const struct {
        const char *stage, *reason;
    } words[] = {[RECO__SIEVED_EXCLUDE] = {"exclude", "the question excludes it"},
                 [RECO__SIEVED_FILTERS] = {"filters", "a condition does not hold for what is known of it"},
                 [RECO__SIEVED_CAPS] = {"caps", "a cap: as many with the same value are better"},
                 [RECO__SIEVED_VARIANTS] = {"variants", "another variant of it is better"},
                 [RECO__SIEVED_CURSOR] = {"cursor", "it was on a page before"},
                 [UNAVAILABLE] = {"availability", "it is hidden from everybody, or not available at the moment asked about"}};

    noted->shown.verdict = RECO_VERDICT_DROPPED;
    noted->shown.stage = reco__str_of(words[kind].stage);
    noted->shown.reason = reco__str_of(words[kind].reason);
}

static reco_status note_kept(reco__note *note, filling *f, const reco__kept_item *item, uint32_t *rank, reco_error *err) {
    uint64_t hash = reco__hash64(item->name.data, item->name.size, 0);
    reco__noted *noted = find_noted(note, hash, item->name);
    uint32_t kind;
    reco_status status = sift(&kind, f, item, traits_of(f, item), hash, err);

    if (status != RECO_OK) {
        return status;
    }
    *rank += kind == RECO__SIEVED_KINDS;
    if (noted && kind == RECO__SIEVED_KINDS) {
        return note_place(noted, note, f->c, item, *rank, err);
    }
    if (noted) {
        note_drop(noted, kind);
    }
    return RECO_OK;
}

/* Such an answer looks neither at the user nor at what goes with what. */
reco_status reco__kept_explain(reco__note *note, reco_candidates *c, const reco__kept *kept, const reco__state *state, reco_error *err) {
    filling f = {.c = c, .kept = kept, .state = state};
    uint32_t rank = 0;
    reco_status status = reco__sieve_open(&c->sieve, state ? state->catalogue : NULL, err);

    reco__sieve_begin(&c->sieve);
    for (size_t i = 0; i < kept->count && note->count > 0 && status == RECO_OK; i++) {
        status = note_kept(note, &f, &kept->items[i], &rank, err);
    }
    for (size_t k = 0; k < note->count; k++) {
        if (note->items[k].shown.verdict == 0) {
            note->items[k].shown.verdict = RECO_VERDICT_NO_CANDIDATE;
            note->items[k].shown.reason =
                reco__str_of("what was learned cannot be read: all there is are the popular items that were kept, and it is none of them");
        }
    }
    reco__sieve_close(&c->sieve);
    reco__note_pass(note);
    return status;
}
