/* learn/cell.h - what the subjects of a derivation share about the cell's arrays. Inside the room only. */
#ifndef RECO__LEARN_CELL_H
#define RECO__LEARN_CELL_H

#include "learn/learn.h"

#define RECO__CELL_LIST_MAX (1u << 20) /* most entries of each list of a cell: decoders refuse more, the derivation never makes more */

/* Room for `need` elements in each list; false when memory is out, the cell unchanged. */
bool reco__cell_room_touches(reco__cell *cell, uint32_t need);
bool reco__cell_room_hidden(reco__cell *cell, uint32_t need);
bool reco__cell_room_ids(reco__cell *cell, uint32_t need);

static inline uint32_t reco__cell_limit(uint32_t limit) { return limit < RECO__CELL_LIST_MAX ? limit : RECO__CELL_LIST_MAX; }

#endif
