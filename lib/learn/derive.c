/* learn/derive.c - one event, from record to cell and adds.
 *
 * The order matters and is part of the derivation version:
 *
 *   1. A cell whose last event lies more than the lifetime before r is empty.
 *   2. An event whose id was seen is a duplicate: nothing changes, neither cell nor adds. (Ids past their window go with the next event that counts.)
 *   3. Its id is noted, the session decided.
 *   4. Its type gives the weight: 0 for a type unknown here, and for a value below the type's minimum.
 *   5. Adds: popularity, then pairs with the recency list as it was.
 *   6. The item comes to the front of the recency list, with the effective weight, when its type has a positive weight in the settings: a low rating
 *      is "seen only", an impression is nothing. Types that hide put the item on the hidden list.
 *   7. last = r. Every event counted does this, those that weigh nothing too.
 *
 * A record that takes an event back (RECO_EVENT_UNDO) goes by 1; it is a duplicate when the same was taken back before; that is noted beside the id
 * of the event, which is noted too when it was not seen, so that the event no longer counts when it comes late; the session goes on as it was; when
 * the id was seen, undo.c takes back what steps 5 and 6 did; 7.
 *
 * The generation of an add comes from the timestamp and r, never from a clock; everything else of time compares with r. Time begins at 1: an earlier
 * r counts as 1, because 0 marks the empty cell. r never falls within a cell's life; the caller sees to it (the partition clock). */
#include "learn/steps.h"

static bool type_named(const reco__event_type *type, reco_str name) {
    return name.size < sizeof type->name && memcmp(type->name, name.data, name.size) == 0 && type->name[name.size] == 0;
}

static void apply_type(reco__step *step, const reco__event_type *type, const reco_event *event) {
    bool counts = !(type->flags & RECO__TYPE_MIN_VALUE) || ((event->flags & RECO_EVENT_HAS_VALUE) && event->value >= type->min_value);
    step->weight = counts ? type->weight : 0;
    step->listed = type->weight > 0;
    step->hides = (type->flags & RECO__TYPE_HIDES) != 0;
}

static const reco__event_type *find_type(const reco__learn_rules *rules, reco_str name) {
    for (size_t i = 0; i < rules->type_count && name.size > 0; i++)
        if (type_named(&rules->types[i], name))
            return &rules->types[i];
    return NULL;
}

static void look_up_type(reco__step *step, const reco_event *event, reco_str name) {
    const reco__event_type *type = find_type(step->rules, name);
    if (type)
        apply_type(step, type, event);
}

#define UNDONE 1 /* seed of the hash of an id whose event was taken back */

static uint64_t id_hash(reco_str id, uint64_t seed) { return reco__hash64(id.data, id.size, seed); }

/* Steps 2 and 3 of an undo. False when it is a duplicate; *seen: there is something to take back. */
static bool admit_undo(reco_status *status, bool *seen, reco__cell *cell, const reco__learn_rules *rules, const reco_event *event, int64_t r,
                       reco_error *err) {
    uint64_t hash = id_hash(event->event_id, 0), undone = id_hash(event->event_id, UNDONE);
    if (reco__ids_find(cell, rules, undone, r))
        return false;
    *seen = reco__ids_find(cell, rules, hash, r);
    reco__ids_expire(cell, rules, r);
    *status = *seen ? RECO_OK : reco__ids_add(cell, rules, hash, r, err);
    if (*status == RECO_OK)
        *status = reco__ids_add(cell, rules, undone, r, err);
    return true;
}

/* Steps 2 and 3. False when the event is a duplicate. */
static bool admit(reco_status *status, reco__cell *cell, const reco__learn_rules *rules, const reco_event *event, int64_t r, reco_error *err) {
    uint64_t hash = 0;
    if (event->event_id.size > 0) {
        hash = id_hash(event->event_id, 0);
        if (reco__ids_find(cell, rules, hash, r))
            return false;
    }
    reco__ids_expire(cell, rules, r);
    if (event->event_id.size > 0)
        *status = reco__ids_add(cell, rules, hash, r, err);
    reco__sessions_step(cell, rules, event->session_id, r);
    return true;
}

/* Step 6. */
static reco_status list(reco__cell *cell, const reco__step *step, reco_error *err) {
    reco_status status = step->listed ? reco__recents_touch(cell, step, err) : RECO_OK;
    return status == RECO_OK && step->hides ? reco__recents_hide(cell, step, err) : status;
}

reco_status reco__learn_derive(int *outcome, reco__cell *cell, reco__adds *adds, const reco__learn_rules *rules, const reco__record *record,
                               uint32_t item, int64_t r, reco_error *err) {
    const reco_event *event = &record->event;
    reco__step step = {.rules = rules, .item = item, .t = event->timestamp != 0 ? event->timestamp : record->received_at, .r = r > 0 ? r : 1};
    reco_status status = RECO_OK;
    bool undo = (event->flags & RECO_EVENT_UNDO) != 0, seen = false;
    if (cell->last != 0 && step.r - cell->last > rules->lifetime)
        reco__cell_clear(cell);
    if (!(undo ? admit_undo(&status, &seen, cell, rules, event, step.r, err) : admit(&status, cell, rules, event, step.r, err))) {
        *outcome = RECO__DERIVED_DUPLICATE;
        return RECO_OK;
    }
    look_up_type(&step, event, event->event_type);
    if (status == RECO_OK && undo && seen)
        status = reco__undo_step(cell, adds, &step, event->timestamp != 0, err);
    if (status == RECO_OK && !undo)
        status = reco__popularity_step(adds, &step, err);
    if (status == RECO_OK && !undo)
        status = reco__coview_step(adds, cell, &step, err);
    if (status == RECO_OK && !undo)
        status = list(cell, &step, err);
    cell->last = step.r;
    *outcome = RECO__DERIVED_COUNTED | (step.clamped ? RECO__DERIVED_CLAMPED : 0);
    return status;
}

bool reco__learn_has_type(const reco__learn_rules *rules, reco_str name) { return find_type(rules, name) != NULL; }

reco_status reco__learn_glance(reco__cell *cell, const reco__learn_rules *rules, const reco_event *event, uint32_t item, int64_t r, reco_error *err) {
    reco__step step = {.rules = rules, .item = item, .t = event->timestamp != 0 ? event->timestamp : r, .r = r > 0 ? r : 1};
    reco__sessions_step(cell, rules, (reco_str){NULL, 0}, step.r); /* one session, whatever each of its events says */
    look_up_type(&step, event, event->event_type.size > 0 ? event->event_type : reco__str_of("view"));
    reco_status status = list(cell, &step, err);
    cell->last = step.r;
    return status;
}
