/* engine/shown.h - which items a stream has shown by a moment, for who goes back (rewind.c). Records are met in the order of time, and moments asked
 * about only go on. */
#ifndef RECO__SHOWN_H
#define RECO__SHOWN_H

#include "engine/engine.h"

typedef struct reco__met reco__met;

/* CONFINED. */
typedef struct reco__shown {
    reco__features *features;
    bool trimmed;    /* what the stream does not show may have been in what it has dropped */
    reco__map items; /* names met in events */
    reco__met *met;  /* by index in items */
    size_t room;
    uint8_t *there; /* bits by number, of items that were there at a moment that was asked about */
    uint32_t numbers;
} reco__shown;

/* `numbers`: items have smaller ones. NO_MEMORY. To be disposed of in any case. */
reco_status reco__shown_open(reco__shown *out, reco__features *features, uint32_t numbers, bool trimmed, reco_error *err);
/* An event with the item, at the partition's clock. *at: the index of its name. NO_MEMORY. */
reco_status reco__shown_meet(uint32_t *at, reco__shown *shown, reco_str item, int64_t clock, reco_error *err);
/* The number of an item that was met, RECO_NO_ITEM for one that is not learned yet; looked up once. */
reco_status reco__shown_number(uint32_t *out, reco__shown *shown, uint32_t at, reco_str item, const reco_call *call, reco_error *err);
/* Whether the first event with the item came before the moment. */
bool reco__shown_before(reco__shown *shown, uint32_t number, int64_t moment);
void reco__shown_dispose(reco__shown *shown);

#endif
