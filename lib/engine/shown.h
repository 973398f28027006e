/* engine/shown.h - which items a stream has shown by a moment, for who goes back (rewind.c). Records are met in the order of time, and moments asked
 * about only go on.
 *
 * Of a stream that was trimmed the first event that is left with an item need not be its first. So what popularity by days has of the time that is
 * gone counts as well: an item was there from the oldest of these days on. An item that nothing shows later either was there always. And where less
 * than half of the days that popularity.days_kept tells of lie before a moment, they prove nothing: all items were there. */
#ifndef RECO__SHOWN_H
#define RECO__SHOWN_H

#include "engine/engine.h"

typedef struct reco__met reco__met;

/* CONFINED. */
typedef struct reco__shown {
    reco__features *features;
    bool trimmed;    /* what the stream does not show may have been in what it has dropped */
    int64_t dropped; /* when trimmed: the clock of no record that is gone is newer */
    int64_t told;    /* when trimmed: before, popularity by days tells too little of what there was */
    int64_t *since;  /* when trimmed, by number: the day popularity has it from */
    uint32_t since_count;
    reco__map items; /* names met in events */
    reco__met *met;  /* by index in items */
    size_t room;
    uint8_t *there; /* bits by number, of items that were there at a moment that was asked about */
    uint32_t numbers;
} reco__shown;

/* `numbers`: items have smaller ones. NO_MEMORY. To be disposed of in any case. */
reco_status reco__shown_open(reco__shown *out, reco__features *features, uint32_t numbers, bool trimmed, reco_error *err);
/* Of a trimmed stream, before the first question: what is left of the time until `dropped` in popularity by days, as kept when the clock that closes
 * is at `clock`. What a store says; NO_MEMORY. */
reco_status reco__shown_look_back(reco__shown *shown, int64_t dropped, int64_t clock, const reco_call *call, reco_error *err);
/* An event with the item, at the partition's clock. *at: the index of its name. NO_MEMORY. */
reco_status reco__shown_meet(uint32_t *at, reco__shown *shown, reco_str item, int64_t clock, reco_error *err);
/* The number of an item that was met, RECO_NO_ITEM for one that is not learned yet; looked up once. */
reco_status reco__shown_number(uint32_t *out, reco__shown *shown, uint32_t at, reco_str item, const reco_call *call, reco_error *err);
/* Whether the item was there at the moment. */
bool reco__shown_before(reco__shown *shown, uint32_t number, int64_t moment);
void reco__shown_dispose(reco__shown *shown);

#endif
