#include "recommend/note.h"

#include <stdarg.h>
#include <stdio.h>

#include "recommend/sieve.h"

/* --- steps ---------------------------------------------------------------------------------------------------------------------------------- */

void reco__note_begin(reco__note *note) {
    note->step_count = 0;
    note->outcome = RECO_STEP_OK;
    note->candidates_before = note->dropped_before = 0;
    note->noted_own = note->known = note->session_runs = false;
    note->last = 0;
    note->recent_count = note->hidden_count = 0;
    for (size_t i = 0; i < note->count; i++) {
        const reco_str id = note->items[i].shown.item_id;
        note->items[i] = (reco__noted){.shown = {.item_id = id}, .hash = reco__hash64(id.data, id.size, 0), .number = RECO_NO_ITEM};
    }
}

void reco__note_pass(reco__note *note) { note->since_ns = reco__monotonic_ns(); }

static uint64_t count_dropped(const reco_candidates *c) {
    uint64_t dropped = 0;

    for (size_t i = 0; i < c->count; i++) {
        dropped += ((c->collected ? c->values[i] : c->marks[c->items[i]]) & RECO__MARK_DROPPED) != 0;
    }
    return dropped;
}

static void add_step(reco__note *note, const reco_candidates *c, const char *name, uint32_t kind) {
    uint64_t dropped = count_dropped(c);
    int64_t now = reco__monotonic_ns();

    if (note->step_count < RECO__STEPS_MAX) {
        note->steps[note->step_count++] = (reco_explained_stage){.stage = reco__str_of(name),
                                                                 .kind = kind,
                                                                 .status = note->outcome,
                                                                 .nanoseconds = now - note->since_ns,
                                                                 .added = c->count > note->candidates_before ? c->count - note->candidates_before : 0,
                                                                 .dropped = dropped > note->dropped_before ? dropped - note->dropped_before : 0,
                                                                 .candidates = c->count - dropped};
    }
    note->outcome = RECO_STEP_OK;
    note->candidates_before = c->count;
    note->dropped_before = dropped;
    reco__note_pass(note);
}

void reco__note_step(const reco_candidates *c, const char *name) {
    static const char *const before_plan[] = {"state", "user", "recents", "popularity"};

    if (c->note) {
        bool first = c->note->step_count < sizeof(before_plan) / sizeof(*before_plan);
        add_step(c->note, c, name ? name : first ? before_plan[c->note->step_count] : "answer", 0);
    }
}

void reco__note_outcome(const reco_candidates *c, uint32_t outcome) {
    if (c->note) {
        c->note->outcome = outcome;
    }
}

/* --- the user ------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__note_user(reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err) {
    reco_str names[RECO_EXPLAIN_MAX];
    uint32_t numbers[RECO_EXPLAIN_MAX];
    reco_status status = RECO_OK;

    note->known = c->cell.last != 0;
    note->last = c->cell.last;
    for (size_t i = 0; i < note->count; i++) {
        names[i] = note->items[i].shown.item_id;
    }
    if (note->count > 0) {
        status = reco__features_find_items(numbers, c->features, names, note->count, call, err);
    }
    for (size_t i = 0; i < note->count && status == RECO_OK; i++) {
        note->items[i].number = numbers[i];
    }
    return status;
}

static bool name_item(reco_str *out, reco__note *note, const reco_candidates *c, uint32_t item) {
    reco_str name = {NULL, 0};
    uint64_t hash;
    char *copy = reco__features_item_name(&name, &hash, c->features, item) == RECO_OK ? reco__arena_string(note->arena, name.data, name.size) : NULL;

    *out = (reco_str){copy, copy ? name.size : 0};
    return copy != NULL || name.size == 0;
}

reco_status reco__note_recents(reco__note *note, reco_candidates *c, reco_error *err) {
    uint32_t hidden = c->cell.hidden_count < RECO_EXPLAIN_MAX ? c->cell.hidden_count : RECO_EXPLAIN_MAX;

    note->session_runs = c->session_runs;
    note->recents = reco__arena_alloc(note->arena, (c->recent_count + 1) * sizeof(*note->recents));
    note->hidden = reco__arena_alloc(note->arena, (hidden + 1) * sizeof(*note->hidden));
    if (!note->recents || !note->hidden) {
        return reco__no_memory(err);
    }
    for (uint32_t i = 0; i < c->recent_count; i++) {
        const reco__recent *from = &c->recents[i];
        reco_recent *to = &note->recents[i];
        *to = (reco_recent){.timestamp = from->t, .weight = from->weight, .session = from->session};
        if (!name_item(&to->item_id, note, c, from->item)) {
            return reco__no_memory(err);
        }
    }
    for (uint32_t i = 0; i < hidden; i++) {
        if (!name_item(&note->hidden[i], note, c, c->cell.hidden[c->cell.hidden_count - 1 - i])) {
            return reco__no_memory(err);
        }
    }
    note->recent_count = c->recent_count;
    note->hidden_count = hidden;
    return RECO_OK;
}

/* --- items asked about ------------------------------------------------------------------------------------------------------------------------ */

reco__noted *reco__note_find(reco__note *note, uint32_t item) {
    for (size_t i = 0; i < note->count; i++) {
        if (note->items[i].number == item) {
            return &note->items[i];
        }
    }
    return NULL;
}

/* Once candidates are collected all marks are 0: the ones asked about are marked for the time of a walk along the columns. */
static void find_places(reco__note *note, reco_candidates *c) {
    for (size_t k = 0; k < note->count; k++) {
        note->items[k].candidate = false;
        if (note->items[k].number < c->mark_room) {
            c->marks[note->items[k].number] = (uint32_t)k + 1;
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        uint32_t k = c->marks[c->items[i]];
        if (k != 0) {
            note->items[k - 1].candidate = true;
            note->items[k - 1].place = (uint32_t)i;
        }
    }
    for (size_t k = 0; k < note->count; k++) {
        if (note->items[k].number < c->mark_room) {
            c->marks[note->items[k].number] = 0;
        }
    }
}

void reco__note_look(reco__note *note, reco_candidates *c) {
    if (c->collected) {
        find_places(note, c);
    }
    for (size_t k = 0; k < note->count; k++) {
        reco__noted *noted = &note->items[k];
        uint32_t mark = !c->collected && noted->number < c->mark_room ? c->marks[noted->number] : 0;
        noted->candidate = c->collected ? noted->candidate : (mark & RECO__MARK_LISTED) != 0;
        mark = c->collected && noted->candidate ? c->values[noted->place] : mark;
        noted->dropped = noted->candidate && (noted->dropped || mark & RECO__MARK_DROPPED);
    }
}

void reco__note_stage(reco__note *note, reco_candidates *c, const reco__stage *stage) {
    bool was_dropped[RECO_EXPLAIN_MAX];
    bool blamed = !stage->run || stage->kind == RECO_STAGE_FILTER; /* ranker and arranger ask what the question says of items */

    add_step(note, c, stage->name, stage->kind);
    for (size_t k = 0; k < note->count; k++) {
        was_dropped[k] = note->items[k].dropped;
    }
    reco__note_look(note, c);
    for (size_t k = 0; k < note->count && blamed; k++) {
        note->items[k].by = note->items[k].dropped && !was_dropped[k] ? stage : note->items[k].by;
    }
    note->noted_own = note->noted_own || (!stage->run && stage->kind == RECO_STAGE_ARRANGER);
    reco__note_pass(note);
}

/* --- the choice ------------------------------------------------------------------------------------------------------------------------------- */

/* What an item is a variant of, or itself. */
static uint64_t product_of(const reco_candidates *c, uint32_t item) {
    const reco__traits *traits = reco__catalogue_traits(c->catalogue, item);
    reco_str name;
    uint64_t hash = 0;

    if (traits && traits->product != 0) {
        return traits->product;
    }
    return reco__features_item_name(&name, &hash, c->features, item) == RECO_OK ? hash : 0;
}

static bool say_variant(reco__noted *noted, reco__note *note, const reco_candidates *c, size_t chosen) {
    uint64_t product = product_of(c, noted->number);
    reco_str other = {"", 0};
    uint64_t hash;

    for (size_t i = 0; i < chosen && other.size == 0; i++) {
        if (product_of(c, c->ranked[i].item) == product) {
            reco__features_item_name(&other, &hash, c->features, c->ranked[i].item);
        }
    }
    return reco__note_text(&noted->shown.reason, note, "another variant of it is better: %.*s", (int)other.size, other.data);
}

static bool say_cap(reco__noted *noted, reco__note *note, reco_candidates *c) {
    size_t full = reco__sieve_full_cap(&c->sieve, reco__catalogue_traits(c->catalogue, noted->number));
    const reco__cap_rule *cap = &c->sieve.caps[full > 0 ? full - 1 : 0];

    return reco__note_text(&noted->shown.reason, note, "the cap of %.*s: %u with the same value are better", (int)cap->name.size, cap->name.data,
                           cap->most);
}

reco_status reco__note_refused(reco__note *note, reco_candidates *c, uint32_t item, uint32_t kind, size_t chosen, reco_error *err) {
    reco__noted *noted = reco__note_find(note, item);
    bool cap = kind == RECO__SIEVED_CAPS;

    if (!noted || noted->shown.verdict != 0) {
        return RECO_OK;
    }
    noted->shown.verdict = RECO_VERDICT_DROPPED;
    noted->shown.stage = reco__str_of(cap ? "caps" : "variants");
    return (cap ? say_cap(noted, note, c) : say_variant(noted, note, c, chosen)) ? RECO_OK : reco__no_memory(err);
}

void reco__note_order(reco__note *note, reco_candidates *c) {
    for (size_t i = 0; i < c->winner_count && (i < c->limit || note->noted_own); i++) {
        reco__noted *noted = reco__note_find(note, c->winners[i].item);
        if (noted) {
            noted->shown.verdict = i < c->limit ? RECO_VERDICT_LISTED : RECO_VERDICT_BELOW_CUT;
            noted->shown.rank = (uint32_t)i + 1;
            noted->parts = c->winners[i];
            noted->scored = true;
        }
    }
}

bool reco__note_text(reco_str *out, reco__note *note, const char *format, ...) {
    char text[1024]; /* an id and the name of an attribute fit */
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size = size < (int)sizeof(text) ? size : (int)sizeof(text) - 1;
    char *copy = size >= 0 ? reco__arena_string(note->arena, text, (size_t)size) : NULL;
    *out = (reco_str){copy, copy ? (size_t)size : 0};
    return copy != NULL;
}
