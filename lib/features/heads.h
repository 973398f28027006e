/* features/heads.h - what a head is: the one place that makes a head from rows. */
#ifndef RECO__FEATURES_HEADS_H
#define RECO__FEATURES_HEADS_H

#include "base/base.h"
#include <reco/plugin/board.h>

/* Sums by member, in order of first appearance. CONFINED. Zero-initialised is empty. */
typedef struct reco__tally {
    reco_entry *entries;
    size_t count, room;
    uint32_t *slots; /* index + 1 */
    size_t slot_count;
    bool sealed;
} reco__tally;
void reco__tally_reset(reco__tally *tally);
void reco__tally_dispose(reco__tally *tally);
reco_status reco__tally_add(reco__tally *tally, const reco_entry *entries, size_t count, int64_t weight);

/* Makes heads, one after the other, from the rows of an item. CONFINED. */
typedef struct reco__head_maker {
    const reco_board_rules *rules;
    int64_t closed_at;
    int64_t open_sum, closed_sum;
    reco__tally open, closed;
    int64_t generations[RECO_GENERATIONS_MAX * 2]; /* those with rows */
    size_t generation_count;
    uint8_t *bytes; /* the packed lists of the head made last */
    size_t bytes_room;
} reco__head_maker;
void reco__head_begin(reco__head_maker *maker, const reco_board_rules *rules, int64_t closed_at);
/* Rows in ascending order of generation, as they stand: the closed ones (generation <= closed_at) cut, none of them empty or expired. */
reco_status reco__head_add_row(reco__head_maker *maker, int64_t generation, const reco_entry *entries, size_t count, reco_error *err);
/* The head; its pointers are valid until the maker's next head. */
reco_status reco__head_finish(reco_head *out, reco__head_maker *maker, const reco_board_names *names, reco_error *err);
void reco__head_dispose(reco__head_maker *maker);

/* --- for verify and tests ------------------------------------------------------------------------------------------------------------- */
typedef struct reco__features_piece {
    int64_t generation;
    const reco_entry *entries; /* sorted by member */
    size_t count;
} reco__features_piece;

/* The stored form of the head that an item with these rows (one piece each, ascending) has at the newest-closed number `closed_at`: rows that are due
 * to be cut or to expire by then are. Appended to `out`, nothing when there is no row left. */
reco_status reco__features_recompute_head(reco__buf *out, const reco__features_piece *rows, size_t row_count, int64_t closed_at,
                                          const reco_board_rules *rules, const reco_board_names *names, reco_error *err);

#endif
