/* learn/steps.h - the subjects of a derivation, in the order in which derive.c takes them. Inside the room only. */
#ifndef RECO__LEARN_STEPS_H
#define RECO__LEARN_STEPS_H

#include "learn/cell.h"

/* One event as the subjects see it. */
typedef struct reco__step {
    const reco__learn_rules *rules;
    uint32_t item;
    int32_t weight;  /* effective */
    bool listed;     /* enters the recency list */
    bool hides;
    int64_t t;       /* the event's timestamp */
    int64_t r;       /* effective time */
    bool clamped;    /* out: an add went to a newer generation than t's */
} reco__step;

/* ids.c: the ids seen. find: whether the id was seen and still counts at r; changes nothing. */
bool reco__ids_find(const reco__cell *cell, const reco__learn_rules *rules, uint64_t hash, int64_t r);
void reco__ids_expire(reco__cell *cell, const reco__learn_rules *rules, int64_t r);
reco_status reco__ids_add(reco__cell *cell, const reco__learn_rules *rules, uint64_t hash, int64_t r, reco_error *err);

/* sessions.c: begins a new session when one is due. Before anything else of the cell is changed. */
void reco__sessions_step(reco__cell *cell, const reco__learn_rules *rules, reco_str session_id, int64_t r);

/* popularity.c, coview.c: the adds. coview looks at the recency list before this event is in it. */
reco_status reco__popularity_step(reco__adds *adds, reco__step *step, reco_error *err);
reco_status reco__coview_step(reco__adds *adds, const reco__cell *cell, reco__step *step, reco_error *err);
/* One pair, both directions, by the weight of an event of the step's time at that distance. */
reco_status reco__coview_put(reco__adds *adds, reco__step *step, uint32_t a, uint32_t b, int64_t weight, uint32_t distance, reco_error *err);

/* undo.c: takes back an event; its id and the session are left to derive.c. */
reco_status reco__undo_step(reco__cell *cell, reco__adds *adds, reco__step *step, bool dated, reco_error *err);

/* recents.c: the recency list and the hidden list. */
reco_status reco__recents_touch(reco__cell *cell, const reco__step *step, reco_error *err);
reco_status reco__recents_hide(reco__cell *cell, const reco__step *step, reco_error *err);
uint32_t reco__recents_find(const reco__cell *cell, uint32_t item); /* its place in the list, or touch_count */
void reco__recents_remove(reco__cell *cell, uint32_t at);
void reco__recents_unhide(reco__cell *cell, uint32_t item);

/* The generation an add of this event goes to: that of its timestamp, or the oldest its partition's clock has not passed. */
static inline int64_t reco__step_generation(reco__step *step, uint32_t board) {
    const reco_board_rules *boards = &step->rules->boards;
    int64_t own = reco_board_generation(boards, board, step->t);
    int64_t oldest = reco_board_oldest_open(boards, board, step->r);
    if (own >= oldest)
        return own;
    step->clamped = true;
    return oldest;
}

#endif
