/* recommend/filters/selection.c - what the question itself says of items: its exclude list, conditions, pages, caps and variants.
 *
 * Looking at the attributes of thousands of candidates costs more than all the rest of an answer. So nobody does: what could win is asked about, in
 * the order in which it could, by the ranker (whose best candidate has to fit) and by the arranger; the answer is the same. Only where stages of the
 * application see all candidates, all are asked about before.
 *
 * What is asked for may be so rare that nearly all candidates would have their turn. Then the signs of their traits (traits.h) are looked at before,
 * one after the other, and what they rule out is passed over by all that follows. The first few hundred tell whether it is rare. */
#include "recommend/answer.h"
#include "recommend/candidates.h"
#include "recommend/cursor.h"
#include "recommend/note.h"

#define AHEAD 24u   /* candidates whose signs are on their way while those before them are looked at */
#define SAMPLE 256u /* candidates by which is told how rare it is what is asked for */
#define RARE 16u    /* no more than one of so many */

static void count_sieved(reco_candidates *c, uint32_t kind) {
    c->filtered++;
    c->sieve.sieved[kind]++;
}

/* False when the item has no name any more. */
static bool hash_of(uint64_t *hash, const reco_candidates *c, uint32_t item) {
    reco_str name;
    return reco__features_item_name(&name, hash, c->features, item) == RECO_OK;
}

reco_status reco__item_fits(bool *fine, reco_candidates *c, uint32_t item, const reco_call *call, reco_error *err) {
    const reco__sieve *sieve = &c->sieve;
    uint64_t hash = 0;

    *fine = true;
    if (!sieve->asks) {
        return RECO_OK;
    }
    bool known = reco__catalogue_known(c->catalogue, item);
    if (known && sieve->signed_ && !reco__sieve_may_hold(sieve, reco__catalogue_sign(c->catalogue, item))) {
        *fine = false;
        count_sieved(c, RECO__SIEVED_FILTERS);
        return RECO_OK;
    }
    if (sieve->by_id && (!hash_of(&hash, c, item) || reco__sieve_excludes(sieve, hash))) {
        *fine = false;
        count_sieved(c, RECO__SIEVED_EXCLUDE);
        return RECO_OK;
    }
    if (sieve->condition_count == 0) {
        return RECO_OK;
    }
    if (!known) {
        reco_status status = reco__ask_about(fine, c, item, call, err);
        if (status != RECO_OK || !*fine) {
            c->filtered += status == RECO_OK;
            return status;
        }
    }
    *fine = reco__sieve_holds(sieve, reco__catalogue_traits(c->catalogue, item), hash);
    if (!*fine) {
        count_sieved(c, RECO__SIEVED_FILTERS);
    }
    return RECO_OK;
}

reco_status reco__candidate_fits(bool *fine, reco_candidates *c, size_t place, const reco_call *call, reco_error *err) {
    uint32_t value = c->values[place];

    *fine = !(value & RECO__MARK_DROPPED);
    if (!*fine || value & RECO__MARK_FITS) {
        return RECO_OK;
    }
    reco_status status = reco__item_fits(fine, c, c->items[place], call, err);
    if (status == RECO_OK) {
        c->values[place] |= *fine ? RECO__MARK_FITS : RECO__MARK_DROPPED;
    }
    return status;
}

void reco__candidates_sift(reco_candidates *c) {
    const reco__sieve *sieve = &c->sieve;
    uint32_t known = (uint32_t)atomic_load_explicit(&c->catalogue->known_below, memory_order_acquire); /* records may have more to say of others */

    for (size_t i = 0, left = 0; i < c->count && sieve->signed_ && left <= SAMPLE / RARE + i / RARE; i++) {
        uint32_t item = c->items[i];
        if (i + AHEAD < c->count) {
            reco__catalogue_expect_sign(c->catalogue, c->items[i + AHEAD]);
        }
        if (item >= known || reco__sieve_may_hold(sieve, reco__catalogue_sign(c->catalogue, item))) {
            left++;
        } else if (!(c->values[i] & RECO__MARK_DROPPED)) {
            c->values[i] = RECO__MARK_DROPPED;
            count_sieved(c, RECO__SIEVED_FILTERS);
        }
    }
}

bool reco__item_shown(reco_candidates *c, uint32_t item) {
    uint64_t hash;

    if (c->sieve.paged_count == 0) {
        return false;
    }
    if (hash_of(&hash, c, item) && !reco__sieve_shown(&c->sieve, reco__catalogue_traits(c->catalogue, item), hash)) {
        return false;
    }
    count_sieved(c, RECO__SIEVED_CURSOR);
    return true;
}

reco_status reco__filter_selection(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    for (size_t i = 0; i < c->count && c->sieve.asks && status == RECO_OK; i++) {
        uint32_t item = c->items[i];
        bool fine = true;
        if (!(c->marks[item] & RECO__MARK_DROPPED) && (c->sieve.condition_count == 0 || reco__catalogue_known(c->catalogue, item))) {
            status = reco__item_fits(&fine, c, item, call, err);
        }
        c->marks[item] |= fine ? 0 : RECO__MARK_DROPPED;
    }
    return status;
}

/* --- caps, variants, pages ---------------------------------------------------------------------------------------------------------------------- */

static reco_status take(uint32_t *kind, reco_candidates *c, uint32_t item, reco_error *err) {
    uint64_t hash = 0;

    if (c->sieve.collapse && !hash_of(&hash, c, item)) {
        hash = item;
    }
    bool asked = c->sieve.collapse || c->sieve.cap_count > 0; /* else traits are better left alone: they lie far away */
    return reco__sieve_take(kind, &c->sieve, asked ? reco__catalogue_traits(c->catalogue, item) : NULL, hash, err);
}

/* What goes with an item is not another variant of it. */
static reco_status begin(reco_candidates *c, reco_error *err) {
    reco_status status = RECO_OK;

    reco__sieve_begin(&c->sieve);
    for (uint32_t k = 0; k < c->recent_count && c->question == RECO__ASK_SIMILAR && c->sieve.collapse && status == RECO_OK; k++) {
        uint64_t hash;
        if (hash_of(&hash, c, c->recents[k].item)) {
            status = reco__sieve_occupy(&c->sieve, reco__catalogue_traits(c->catalogue, c->recents[k].item), hash, err);
        }
    }
    return status;
}

reco_status reco__choose(size_t *chosen, reco_candidates *c, size_t count, size_t limit, bool whole, reco_error *err) {
    uint32_t left[RECO__SIEVED_KINDS + 1] = {0};
    size_t made = 0;
    reco_status status = begin(c, err);

    if (status != RECO_OK) {
        return status;
    }
    c->more = false;
    for (size_t i = 0; i < count && !(c->more && made == limit) && status == RECO_OK; i++) {
        uint32_t kind;
        status = take(&kind, c, c->ranked[i].item, err);
        if (status != RECO_OK) {
            return status;
        }
        c->more = c->more || kind == RECO__SIEVED_CAPS || (kind == RECO__SIEVED_KINDS && made == limit);
        left[kind] += made < limit;
        if (c->note && kind != RECO__SIEVED_KINDS) {
            status = reco__note_refused(c->note, c, c->ranked[i].item, kind, made, err);
        }
        if (kind == RECO__SIEVED_KINDS && made < limit) {
            c->ranked[made++] = c->ranked[i];
        }
    }
    c->more = c->more || !whole;
    for (uint32_t kind = 0; kind < RECO__SIEVED_KINDS && (made == limit || whole); kind++) {
        c->sieve.sieved[kind] += left[kind];
        c->filtered += left[kind];
    }
    *chosen = made;
    return status;
}

reco_status reco__note_shown(reco_candidates *c, uint32_t item, reco_error *err) {
    const reco__traits *traits = c->sieve.collapse ? reco__catalogue_traits(c->catalogue, item) : NULL;
    uint64_t hash;

    if (!c->more || !hash_of(&hash, c, item)) {
        return RECO_OK;
    }
    return reco__cursor_add(&c->sieve, hash, traits ? traits->product : 0, err);
}

reco_status reco__make_next(reco__answer *answer, reco_candidates *c, reco_error *err) {
    if (!c->more) {
        return RECO_OK;
    }
    reco__cursor_write(&answer->next, &c->scratch, &c->sieve);
    reco_status status = reco__buf_status(&answer->next, err);
    if (status == RECO_OK) {
        answer->shown.next = (reco_str){answer->next.data, answer->next.size};
    }
    return status;
}
