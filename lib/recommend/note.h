/* recommend/note.h - what happens to a question while it is answered, for who wants it explained.
 *
 * An ordinary question has no note (c->note is NULL), and looks for one a few times: that is all an explanation costs those who do not ask for it.
 * With a note the walk is the same, and what it does is written down between its steps: how long each took, how many candidates it left, and what
 * became of the items that are asked about. What the walk did not have to find out, for nothing of it could win, is looked for afterwards (why.c),
 * before the answer is written and without touching what that is made from. */
#ifndef RECO__NOTE_H
#define RECO__NOTE_H

#include "recommend/answer.h"
#include "recommend/candidates.h"
#include "recommend/plan.h"

#define RECO__STEPS_MAX (RECO__STAGES_MAX + 8u)

/* An item that is asked about. What is shown has a verdict once it is known what became of the item. */
typedef struct reco__noted {
    reco_explained_item shown;
    uint64_t hash;   /* of its id */
    uint32_t number; /* RECO_NO_ITEM: nothing was learned of it */
    uint32_t place;  /* in the columns, once they are collected */
    bool candidate, dropped;
    const reco__stage *by;  /* which dropped it; NULL: what the question says of items, or nobody */
    bool scored;            /* parts are known */
    reco__winner parts;     /* what its score is made of */
    reco_answer_item *kept; /* what it would be in a longer answer from what was kept */
} reco__noted;

/* CONFINED. Of one question; begun anew when the question is tried again. */
typedef struct reco__note {
    reco__arena *arena;  /* of the explanation */
    reco__answer *about; /* the same, with the reasons of items that are not in the answer */
    reco__noted *items;
    size_t count;
    reco_explained_stage *steps; /* RECO__STEPS_MAX */
    size_t step_count;
    int64_t since_ns; /* end of the last step */
    uint32_t outcome; /* of the step that runs, RECO_STEP_... */
    uint64_t candidates_before, dropped_before;
    bool noted_own; /* the application's arrangers had their say: winners are in their order */

    /* of the user */
    bool known, session_runs;
    int64_t last;
    reco_recent *recents;
    size_t recent_count;
    reco_str *hidden;
    size_t hidden_count;
} reco__note;

/* The answer is begun, or begun again. */
void reco__note_begin(reco__note *note);
/* One of the steps before the plan, behind it, or between its stages has ended, if the question is explained. NULL: the next of those before the
 * plan. */
void reco__note_step(const reco_candidates *c, const char *name);
/* How the step that runs ends (RECO_STEP_...), if the question is explained. */
void reco__note_outcome(const reco_candidates *c, uint32_t outcome);
/* What was learned of the user, and which items are asked about; before anything is a candidate. */
reco_status reco__note_user(reco__note *note, reco_candidates *c, const reco_call *call, reco_error *err);
/* The recent items and those that are hidden. */
reco_status reco__note_recents(reco__note *note, reco_candidates *c, reco_error *err);
/* A stage has ended. */
void reco__note_stage(reco__note *note, reco_candidates *c, const reco__stage *stage);
/* Time until now belongs to no step. */
void reco__note_pass(reco__note *note);
/* filters/selection.c: an item has no place beside the `chosen` that stand first in c->ranked, for a cap or a variant. */
reco_status reco__note_refused(reco__note *note, reco_candidates *c, uint32_t item, uint32_t kind, size_t chosen, reco_error *err);
/* run.c: the walk has ended; c->winners are in order and not yet cut to the limit. */
void reco__note_order(reco__note *note, reco_candidates *c);

/* Where the items asked about stand among the candidates, and whether they were dropped. */
void reco__note_look(reco__note *note, reco_candidates *c);
/* Text in the arena; false when memory is out. */
bool reco__note_text(reco_str *out, reco__note *note, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* An item asked about by its number; NULL: it is none of them. */
reco__noted *reco__note_find(reco__note *note, uint32_t item);

/* why.c: what became of those nobody knows it of yet, between walk and answer. */
reco_status reco__why(reco__note *note, reco_candidates *c, reco__records *records, const reco_call *call, reco_error *err);
/* Scores and reasons of those that have one, once the answer is written. */
reco_status reco__why_scores(reco__note *note, reco_candidates *c, const reco_answer *answer, reco_error *err);

#endif
