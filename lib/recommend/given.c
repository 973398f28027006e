#include "recommend/given.h"

#include "model/item.h"
#include "recommend/answer.h"
#include "recommend/cursor.h"
#include "recommend/internal.h"

/* Numbers of `count` names into c->asked_numbers; RECO_NO_ITEM for those features does not know. */
static reco_status number(reco_candidates *c, const reco_str *names, size_t count, const reco_call *call, reco_error *err) {
    void *numbers = c->asked_numbers;
    bool grown = reco__candidates_grow(&numbers, &c->asked_room, count, sizeof(*c->asked_numbers));

    c->asked_numbers = numbers;
    return grown ? reco__features_find_items(c->asked_numbers, c->features, names, count, call, err) : reco__no_memory(err);
}

/* --- a session ------------------------------------------------------------------------------------------------------------------------------------
 */

reco_status reco__given_session(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_str names[RECO_SESSION_MAX];
    reco__learn_rules rules = *c->rules;
    reco_status status;

    if (c->person.count > 1) { /* lists that were merged may be longer than those of one id, and are not to be cut to that */
        uint32_t most = (c->cell.touch_count > c->cell.hidden_count ? c->cell.touch_count : c->cell.hidden_count) + (uint32_t)c->session_count;
        rules.history = rules.history > most ? rules.history : most;
    }
    for (size_t i = 0; i < c->session_count; i++) {
        names[i] = c->session[i].item_id;
    }
    status = number(c, names, c->session_count, call, err);
    for (size_t i = 0; i < c->session_count && status == RECO_OK; i++) {
        if (c->asked_numbers[i] != RECO_NO_ITEM) {
            int64_t r = c->moment > c->cell.last ? c->moment : c->cell.last;
            status = reco__learn_glance(&c->cell, &rules, &c->session[i], c->asked_numbers[i], r, err);
        }
    }
    return status;
}

/* --- something similar
 * ------------------------------------------------------------------------------------------------------------------------------ */

static int nothing(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)context, (void)sequence, (void)kind, (void)id, (void)document;
    return 0;
}

/* Whether records know one of them. */
static reco_status known_at_all(const reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err) {
    reco_status status = RECO_NOT_FOUND;

    for (size_t i = 0; i < c->asked_count && status == RECO_NOT_FOUND; i++) {
        status = reco__records_find(records, RECO_RECORD_ITEM, c->asked[i], nothing, NULL, call, err);
    }
    return status == RECO_NOT_FOUND
               ? reco__fail(err, RECO_NOT_FOUND, "items", "nothing is known of %s", c->asked_count > 1 ? "any of these items" : "this item")
               : status;
}

reco_status reco__given_similar(reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err) {
    void *recents = c->recents;
    size_t room = c->recent_room;
    reco_status status = number(c, c->asked, c->asked_count, call, err);

    if (status != RECO_OK) {
        return status;
    }
    bool grown = reco__candidates_grow(&recents, &room, c->asked_count, sizeof(*c->recents));
    c->recents = recents;
    c->recent_room = (uint32_t)room;
    if (!grown) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < c->asked_count; i++) {
        if (c->asked_numbers[i] != RECO_NO_ITEM) {
            c->recents[c->recent_count++] = (reco__recent){.item = c->asked_numbers[i], .weight = 1, .t = c->moment};
        }
    }
    return c->recent_count > 0 ? RECO_OK : known_at_all(c, records, call, err);
}

/* --- the candidates -------------------------------------------------------------------------------------------------------------------------------
 */

/* What they are variants of decides about others, and records may know it of items the catalogue does not have yet. */
static reco_status know_recents(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    for (uint32_t k = 0; k < c->recent_count && !(c->sieve.flags & RECO_SELECTION_VARIANTS) && status == RECO_OK; k++) {
        bool fine;
        if (!reco__catalogue_known(c->catalogue, c->recents[k].item)) {
            status = reco__ask_about(&fine, c, c->recents[k].item, call, err);
        }
    }
    return status;
}

static void narrow_similar(reco_candidates *c) {
    for (uint32_t k = 0; k < c->recent_count; k++) {
        uint32_t item = c->recents[k].item;
        if (item < c->mark_room && c->marks[item] != 0) {
            c->marks[item] |= RECO__MARK_DROPPED;
        }
    }
    for (size_t i = 0; i < c->count && !c->plan->own; i++) {
        if (c->marks[c->items[i]] >> RECO__MARK_FLAGS == 0) {
            c->marks[c->items[i]] |= RECO__MARK_DROPPED;
        }
    }
}

/* What own sources gave is by place: it moves along with its item, or goes. `places`: of the asked items in the new order, by their marks' order. */
static void keep_given(reco_candidates *c, const uint32_t *before) {
    size_t kept = 0;

    for (size_t g = 0; g < c->given_count; g++) {
        uint32_t item = before[c->given[g].place];
        for (size_t i = 0; i < c->count; i++) {
            if (c->items[i] == item) {
                c->given[kept] = c->given[g];
                c->given[kept++].place = (uint32_t)i;
                break;
            }
        }
    }
    c->given_count = kept;
}

/* The marks of asked items are put aside, all others are taken off, and the asked ones listed anew. The items that were listed stand in `scratch`
 * meanwhile. */
static reco_status narrow_rank(reco_candidates *c, reco_error *err) {
    reco_status status = reco__candidates_reserve_items(c, c->asked_count + 1, err);
    uint32_t beyond = 0, *marks;

    for (size_t i = 0; i < c->asked_count; i++) {
        uint32_t item = c->asked_numbers[i];
        beyond = item != RECO_NO_ITEM && item >= beyond ? item + 1 : beyond;
    }
    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, beyond, err);
    }
    reco__buf_reset(&c->scratch);
    reco__buf_add(&c->scratch, c->items, c->given_count > 0 ? c->count * sizeof(*c->items) : 0);
    if (status == RECO_OK && !reco__buf_reserve(&c->scratch, c->asked_count * sizeof(*marks))) {
        status = reco__no_memory(err);
    }
    if (status != RECO_OK) {
        return status;
    }
    marks = (uint32_t *)(void *)(c->scratch.data + c->scratch.size);
    for (size_t i = 0; i < c->asked_count; i++) {
        marks[i] = c->asked_numbers[i] != RECO_NO_ITEM ? c->marks[c->asked_numbers[i]] : 0;
    }
    reco__candidates_unmark(c, 0);
    for (size_t i = 0; i < c->asked_count; i++) {
        if (c->asked_numbers[i] != RECO_NO_ITEM) {
            reco__candidates_list(c, c->asked_numbers[i], marks[i]);
        }
    }
    if (c->given_count > 0) {
        keep_given(c, (const uint32_t *)(const void *)c->scratch.data);
    }
    return RECO_OK;
}

reco_status reco__given_narrow(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    if (c->question == RECO__ASK_SIMILAR) {
        status = know_recents(c, call, err);
        narrow_similar(c);
    } else if (c->question == RECO__ASK_RANK) {
        status = number(c, c->asked, c->asked_count, call, err);
        status = status == RECO_OK ? narrow_rank(c, err) : status;
    }
    return status;
}

/* --- what nothing was learned of
 * -------------------------------------------------------------------------------------------------------------------- */

typedef struct looking {
    reco_candidates *c;
    bool fine;
    reco__traits *traits; /* own; NULL: there are none */
    bool unread;          /* the document cannot be read */
    reco_status status;
    reco_error *err;
} looking;

/* Whether the question asks for more than the id. */
static bool describes(const reco_candidates *c) { return c->sieve.condition_count > 0 || c->sieve.cap_count > 0 || c->sieve.collapse; }

static int look(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    looking *l = context;
    reco__arena arena = {0};
    reco_item item;

    (void)sequence, (void)kind;
    l->status = reco__item_read(&item, &arena, id, document, l->err);
    l->unread = l->status != RECO_OK;
    l->fine = l->unread || !l->c->settings->filter_availability || reco__item_available(&item, l->c->moment);
    if (!l->unread && l->fine && describes(l->c)) {
        l->status = reco__catalogue_describe(&l->traits, l->c->catalogue, &arena, &item, l->err);
    }
    l->status = l->status == RECO_NO_MEMORY ? l->status : RECO_OK; /* one that cannot be read hides nothing, as in the catalogue */
    reco__arena_dispose(&arena);
    return 0;
}

/* l->fine: it may be recommended, by its document. While records do not answer it may not. */
static reco_status ask_records(looking *l, reco__records *records, reco_str name, const reco_call *call) {
    reco_candidates *c = l->c;
    int64_t began = reco__monotonic_ns();
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_UNAVAILABLE;

    if (reco__breaker_allows(c->records_breaker)) {
        reco_call own;
        status = reco__records_find(records, RECO_RECORD_ITEM, name, look, l, reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
        reco__breaker_note(c->records_breaker, status == RECO_NOT_FOUND ? RECO_OK : status, began);
    }
    l->fine = status == RECO_NOT_FOUND || (status == RECO_OK && l->fine);
    if (reco__store_trouble(status)) {
        c->degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    return status == RECO_NOT_FOUND ? RECO_OK : status == RECO_OK ? l->status : reco__fail(l->err, status, error.field, "%s", error.text);
}

/* What the question says of items, as of those that have numbers. */
static reco_status sieve_rest(looking *l, reco_str name) {
    reco__sieve *sieve = &l->c->sieve;
    const reco__traits *traits = l->unread ? &reco__traits_unknown : l->traits;
    uint64_t hash = reco__hash64(name.data, name.size, 0);
    uint32_t kind = RECO__SIEVED_KINDS;

    reco__sieve_renumber(sieve);
    reco_status status = reco__sieve_pass(&kind, sieve, traits, hash, l->err);
    l->c->more = l->c->more || kind == RECO__SIEVED_CAPS;
    l->fine = kind == RECO__SIEVED_KINDS;
    if (status == RECO_OK && !l->fine) {
        sieve->sieved[kind]++;
    } else if (status == RECO_OK) {
        status = reco__cursor_add(sieve, hash, traits && sieve->collapse ? traits->product : 0, l->err);
    }
    return status;
}

static reco_status admit_rest(bool *fine, reco_candidates *c, reco__records *records, reco_str name, const reco_call *call, reco_error *err) {
    looking l = {.c = c, .fine = true, .err = err};
    reco_status status = RECO_OK;

    if (c->settings->filter_availability || describes(c)) {
        status = ask_records(&l, records, name, call);
    }
    if (status == RECO_OK && l.fine) {
        status = sieve_rest(&l, name);
    }
    reco__release(l.traits);
    *fine = l.fine;
    return status;
}

/* The items that were chosen keep their places. */
static reco_status take_chosen(reco_candidates *c, reco_error *err) {
    reco_status status = RECO_OK;

    reco__sieve_begin(&c->sieve);
    for (size_t i = 0; i < c->winner_count && status == RECO_OK; i++) {
        uint32_t kind;
        uint64_t hash = 0;
        reco_str name;
        reco__features_item_name(&name, &hash, c->features, c->winners[i].item);
        status = reco__sieve_take(&kind, &c->sieve, reco__catalogue_traits(c->catalogue, c->winners[i].item), hash, err);
    }
    return status;
}

reco_status reco__given_rest(struct reco__answer *answer, reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err) {
    size_t made = answer->shown.count;
    reco_answer_item *items = reco__arena_zalloc(&answer->arena, (made + c->asked_count) * sizeof(*items));
    reco_status status = items ? take_chosen(c, err) : reco__no_memory(err);

    if (status == RECO_OK && made > 0) {
        memcpy(items, answer->shown.items, made * sizeof(*items));
    }
    for (size_t i = 0; i < c->asked_count && status == RECO_OK; i++) {
        bool fine = true;
        if (c->asked_numbers[i] != RECO_NO_ITEM) {
            continue;
        }
        if (made == c->limit) {
            c->more = true;
            break;
        }
        answer->shown.candidates++;
        status = admit_rest(&fine, c, records, c->asked[i], call, err);
        if (status == RECO_OK && !fine) {
            answer->shown.filtered++;
        } else if (status == RECO_OK) {
            status = reco__answer_copy(&items[made].item_id, answer, c->asked[i]) ? RECO_OK : reco__no_memory(err);
            items[made].rank = (uint32_t)made + 1;
            made++;
        }
    }
    answer->shown.items = items;
    answer->shown.count = status == RECO_OK ? made : 0;
    return status;
}
