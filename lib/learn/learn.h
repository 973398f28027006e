/* learn/learn.h - the pure derivation: (record, effective time, the user's cell) -> cell, adds. No input or output, clock, chance, item attributes,
 * other users.
 *
 * Rules: docs/ARCHITECTURE.md, "Learned = replayed". Everything here is a function of its arguments, and of item numbers only through equality:
 * renaming the numbers renames the result. */
#ifndef RECO__LEARN_H
#define RECO__LEARN_H

#include "base/base.h"
#include "model/envelope.h"
#include "model/event.h"
#include <reco/plugin/board.h>
#include <reco/plugin/features.h>

#define RECO__PAIR_UNIT 2520 /* divisible by 1..10 */

/* FROZEN. */
typedef struct reco__learn_rules {
    reco_board_rules boards;
    uint32_t pair_window;
    uint32_t pair_in_session;   /* 1: pairs within the running session only */
    uint32_t pair_inverse;      /* 1: weight 2520 / d, else 2520 */
    uint32_t recents, history, ids_seen;
    int64_t ids_window, session_gap, lifetime;
    const reco__event_type *types;
    size_t type_count;
} reco__learn_rules;

/* One item of the user's recency list. The first `recents` entries are whole; of those beyond only what later pairs need is kept. */
typedef struct reco__touch {
    uint32_t item;
    int32_t weight;   /* effective weight of the newest event; 0: seen only (a rating below min_value): never pairs, is no source, but counts as seen.
                         Beyond `recents`: 0 as before, 1 for any other */
    int64_t t;        /* its timestamp; 0 beyond `recents` */
} reco__touch;

/* A user's cell, decoded. Distinct items, the last touched first. CONFINED; arrays grow and are reused; dispose frees. */
typedef struct reco__cell {
    int64_t last;              /* effective time of the last event counted; 0: the cell is empty */
    uint64_t session_hash;     /* of the running session's id; 0: none given */
    uint32_t session_count;    /* the first so many touches belong to the running session */
    uint32_t touch_count;      /* <= history */
    reco__touch *touches;
    uint32_t hidden_count;     /* <= history, oldest first */
    uint32_t *hidden;
    uint32_t id_count;         /* <= ids_seen, oldest first */
    struct reco__seen_id { uint64_t hash; int64_t r; } *ids;
    uint32_t touch_room, hidden_room, id_room;
} reco__cell;

void reco__cell_dispose(reco__cell *cell);
void reco__cell_clear(reco__cell *cell); /* empty again, memory kept */
/* The stored form v1 (with numbers). decode: CORRUPT, NEWER, NO_MEMORY, and the cell is then empty; no bytes are the empty cell. encode of an empty
 * cell adds nothing. */
reco_status reco__cell_decode(reco__cell *cell, const void *data, size_t size, reco_error *err);
void reco__cell_encode(reco__buf *out, const reco__cell *cell);
/* A stored cell with other numbers for its items: reco_cell_renumber of the contract of features. */
reco_status reco__cell_renumber(reco_features_sink sink, void *context, const void *data, size_t size,
                                uint32_t (*number)(void *numbers, uint32_t number), void *numbers, reco_error *err);
/* When the cell goes: last + lifetime; it is absent once the clock is greater. */
int64_t reco__cell_expires(const reco__cell *cell, const reco__learn_rules *rules);

/* Several cells of one person, the one of the id asked for first, as one, for answers at a moment (`as_of`: not now): see merge.c. Empty cells are
 * allowed; ids seen are left out. `out` is none of them; `scratch` is reset and used. NO_MEMORY leaves it empty. */
reco_status reco__cell_merge(reco__cell *out, reco__buf *scratch, const reco__cell *const *cells, size_t count, const reco__learn_rules *rules,
                             int64_t moment, bool as_of, reco_error *err);

/* The canonical form v1 (with names), for hash and snapshot; the same cell gives the same bytes on every backend. */
typedef reco_status (*reco__cell_name)(void *context, uint32_t number, reco_str *name);
typedef reco_status (*reco__cell_number)(void *context, reco_str name, uint32_t *number);
reco_status reco__cell_to_canonical(reco__buf *out, const reco__cell *cell, reco__cell_name name, void *context, reco_error *err);
reco_status reco__cell_from_canonical(reco__cell *cell, const void *data, size_t size, reco__cell_number number, void *context, reco_error *err);

/* Additions of a batch, summed by (board, generation, item, member). CONFINED. */
typedef struct reco__adds reco__adds;
reco__adds *reco__adds_create(void); /* NULL: out of memory */
void reco__adds_free(reco__adds *adds);
void reco__adds_reset(reco__adds *adds);
/* A put after finish begins anew. NO_MEMORY: the additions are void until reset. */
reco_status reco__adds_put(reco__adds *adds, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta);
/* Sorted and summed, sums of 0 and groups without adds left out; valid until the next put, reset or free. *rows: distinct co-view rows. */
reco_status reco__adds_finish(const reco_add_group **groups, size_t *group_count, size_t *rows, reco__adds *adds, reco_error *err);

/* What became of a record. */
enum { RECO__DERIVED_COUNTED, RECO__DERIVED_DUPLICATE };
#define RECO__DERIVED_CLAMPED 0x100 /* or-ed: an add went to a newer generation than that of its timestamp */

/* What an event that is only told with a question makes of the cell, as far as answers look at it: the session, the recency list, hidden items. Its
 * ids, and what it would add for others, are left aside. An event without a type is a view. */
reco_status reco__learn_glance(reco__cell *cell, const reco__learn_rules *rules, const reco_event *event, uint32_t item, int64_t r, reco_error *err);
/* Whether the rules have a type of that name. */
bool reco__learn_has_type(const reco__learn_rules *rules, reco_str name);

/* Derives one event. `item`: its number; `r`: effective time, max(W before, received_at). The cell is changed in place. On NO_MEMORY cell and adds
 * are void: reset both. */
reco_status reco__learn_derive(int *outcome, reco__cell *cell, reco__adds *adds, const reco__learn_rules *rules, const reco__record *record,
                               uint32_t item, int64_t r, reco_error *err);

#endif
