/* features/lmdb.h - features on lib/kv: what its files share. */
#ifndef RECO__FEATURES_LMDB_H
#define RECO__FEATURES_LMDB_H

#include <pthread.h>
#include <stdatomic.h>

#include "features/heads.h"
#include "features/names.h"
#include "kv/kv.h"
#include <reco/plugin/features.h>

enum {
    RECO__FLMDB_PARTITIONS = 64,
    RECO__FLMDB_CHUNK = 2000, /* bytes of a chunk of a row: above it a value takes pages of its own */
    RECO__FLMDB_SPLIT = 1400, /* what the pieces of a chunk that has grown beyond that are made of */
    RECO__FLMDB_KEYS = 10000, /* keys deleted in one transaction */
    RECO__FLMDB_GENERATIONS = RECO_GENERATIONS_MAX * 2,
    RECO__FLMDB_ROW_PREFIX = 15,
    RECO__FLMDB_ROW_KEY = 19,
    RECO__FLMDB_HEAD_KEY = 6,
    RECO__FLMDB_CELL_HEADER = 10,
    RECO__FLMDB_USER_MAX = 256
};

enum { RECO__FLMDB_WHOLE, RECO__FLMDB_RESTORING };

/* The small things of a namespace, one value: read and written with each transaction. */
typedef struct reco__flmdb_state {
    uint64_t epoch;
    uint64_t names_epoch; /* changes when item numbers were given up */
    uint64_t user_count;  /* cells stored */
    uint32_t item_count;
    uint32_t mark;      /* RECO__FLMDB_... */
    int64_t closed;     /* every head is at this number or a newer one */
    int64_t closing;    /* the number the pass of closing is going to; equal to `closed`: none */
    uint32_t cursor;    /* the pass has done the items below it */
    uint32_t sweeping;  /* 1: a round of sweeping is under way */
    int64_t expired[2]; /* hours, days: rows expired at this newest-closed number are gone */
    int64_t swept_at;   /* the largest clock when the last round of sweeping began */
    reco_position positions[RECO__FLMDB_PARTITIONS];
    int64_t due[RECO__FLMDB_PARTITIONS]; /* no cell of the partition expires before it */
} reco__flmdb_state;

/* Names of one names_epoch; older ones are kept until close, for they were lent out. */
typedef struct reco__flmdb_names {
    reco__names *names;
    uint64_t epoch;
    struct reco__flmdb_names *older;
} reco__flmdb_names;

/* An array that grows and is used again. */
typedef struct reco__flmdb_array {
    void *data;
    size_t room; /* elements */
} reco__flmdb_array;

struct reco_features_store {
    reco__kv *kv;
    reco__kv_table names_table, cells, rows, heads, debts, meta;
    uint16_t space; /* number of the namespace: the first two bytes of every key */
    uint32_t partitions;
    uint32_t max_items;
    uint64_t max_users;
    reco_board_rules rules;
    bool flat; /* every age has the same weight */
    _Atomic(reco__flmdb_names *) names;
    pthread_mutex_t names_lock;  /* who adds names or changes epoch */
    reco__kv_lock *restore_lock; /* held while this store restores */

    pthread_mutex_t write_lock; /* one writer of this store; guards what follows */
    reco__flmdb_array totals, members, looked_up, chunk, head_entries, head_merged, head_bytes, head_copy, hashes, row, spans, cursors;
    reco__head_maker maker;
    reco__map new_names;
};

/* How the environment at `directory` is opened, by whomever. */
reco__kv_options reco__features_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free);
/* Positions of the namespace in an environment that is looked at. NOT_FOUND: it has none; REFUSED as open. */
reco_status reco__features_lmdb_look(reco_position *positions, reco__kv *kv, const reco_features_options *options, reco_error *err);

/* Room for `count` elements of `size` bytes, contents kept; NO_MEMORY. */
reco_status reco__flmdb_room(reco__flmdb_array *array, size_t count, size_t size, reco_error *err);

/* --- lmdb_state.c: transactions with the state ---------------------------------------------------------------------------------------- */
typedef struct reco__flmdb_work {
    reco_features_store *store;
    reco__kv_txn *txn;
    reco__flmdb_state state; /* written back by commit */
} reco__flmdb_work;
reco_status reco__flmdb_begin(reco__flmdb_work *work, reco_features_store *store, reco_error *err);
/* For closing and sweeping, which make room: also below min_free. */
reco_status reco__flmdb_begin_freeing(reco__flmdb_work *work, reco_features_store *store, reco_error *err);
reco_status reco__flmdb_commit(reco__flmdb_work *work, reco_error *err); /* ends it either way */
void reco__flmdb_abort(reco__flmdb_work *work);
/* Commits when `status` is OK, else aborts and answers it. */
reco_status reco__flmdb_end(reco__flmdb_work *work, reco_status status, reco_error *err);
/* A read transaction and the state in it. */
reco_status reco__flmdb_read(reco__kv_txn **txn, reco__flmdb_state *state, reco_features_store *store, uint32_t flags, reco_error *err);
reco_status reco__flmdb_state_read(reco__flmdb_state *state, reco_features_store *store, reco__kv_txn *txn, reco_error *err);
reco_status reco__flmdb_state_write(reco_features_store *store, reco__kv_txn *txn, const reco__flmdb_state *state, reco_error *err);
/* C, and the newest closed generation of a board by it. */
int64_t reco__flmdb_clock(const reco_features_store *store, const reco__flmdb_state *state);
int64_t reco__flmdb_newest_closed(const reco_features_store *store, const reco__flmdb_state *state, uint32_t board);
void reco__flmdb_state_init(reco__flmdb_state *state);
reco_status reco__flmdb_new_epoch(uint64_t *epoch, reco_error *err);
reco_status reco__flmdb_meta_get(reco__kv_value *out, reco_features_store *store, reco__kv_txn *txn, char kind, reco_error *err);
reco_status reco__flmdb_meta_put(reco_features_store *store, reco__kv_txn *txn, char kind, const void *data, size_t size, reco_error *err);
reco_status reco__flmdb_meta_delete(reco_features_store *store, reco__kv_txn *txn, char kind, reco_error *err);
enum { RECO__FLMDB_META_IDENTITY = 'i', RECO__FLMDB_META_STATE = 's', RECO__FLMDB_META_SWEEP = 'w' };

/* --- lmdb_items.c --------------------------------------------------------------------------------------------------------------------- */
/* Reads on the names that the transaction shows and this process has not seen. */
reco_status reco__flmdb_names_follow(reco_features_store *store, reco__kv_txn *txn, const reco__flmdb_state *state, reco_error *err);
/* Names for ties. */
reco_board_names reco__flmdb_board_names(reco_features_store *store);
const reco__names *reco__flmdb_names_now(const reco_features_store *store);
void reco__flmdb_names_dispose(reco_features_store *store);
reco_status reco__flmdb_intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                               reco_error *err);
reco_status reco__flmdb_find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                                   reco_error *err);
reco_status reco__flmdb_item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number);

/* --- lmdb_cells.c --------------------------------------------------------------------------------------------------------------------- */
reco_status reco__flmdb_load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users,
                             size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err);
reco_status reco__flmdb_cells_put(reco__flmdb_work *work, const reco_cell_put *cells, const uint32_t *partitions, uint32_t partition, size_t count,
                                  reco_error *err);
typedef struct reco__flmdb_cell {
    reco_str user;
    uint32_t partition;
    int64_t expires_at;
    const void *data;
    size_t size;
} reco__flmdb_cell;
reco_status reco__flmdb_cell_read(reco__flmdb_cell *out, reco__kv_value key, reco__kv_value value, reco_error *err);
bool reco__flmdb_sweep_due(const reco_features_store *store, const reco__flmdb_state *state);
/* Sweeps until the time is over or the round is done. */
reco_status reco__flmdb_sweep(reco__flmdb_work *work, int64_t until_ns, reco_error *err);

/* --- lmdb_rows.c ---------------------------------------------------------------------------------------------------------------------- */
void reco__flmdb_info_fill(reco_features_info *out, const reco_features_store *store, const reco__flmdb_state *state);
void reco__flmdb_row_key(uint8_t *key, const reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, uint32_t bound);
/* Sums adds into a row; totals[i] is the member's sum afterwards; *shrunk is set when a chunk went away. */
reco_status reco__flmdb_row_add(reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                const reco_add *adds, size_t count, int64_t *totals, bool *shrunk, reco_error *err);
reco_status reco__flmdb_row_exists(bool *exists, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation,
                                   uint32_t item, reco_error *err);
/* The whole row, unpacked into `row`. */
reco_status reco__flmdb_row_load(reco__flmdb_array *row, size_t *count, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board,
                                 int64_t generation, uint32_t item, reco_error *err);
reco_status reco__flmdb_row_delete(const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                   reco_error *err);
/* Writes a row that is not there. */
reco_status reco__flmdb_row_write(reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation, uint32_t item,
                                  const reco_entry *entries, size_t count, reco_error *err);
/* Adds to totals[i] the sum of members[i] (ascending) in the row. */
reco_status reco__flmdb_row_look_up(int64_t *totals, const reco_features_store *store, reco__kv_cursor *cursor, uint32_t board, int64_t generation,
                                    uint32_t item, const uint32_t *members, size_t count, reco_error *err);
/* What a row's key and value say; CORRUPT. False in *mine when the key is of another namespace. */
typedef struct reco__flmdb_row_place {
    uint32_t board, item, bound;
    int64_t generation;
} reco__flmdb_row_place;
reco_status reco__flmdb_row_place_read(reco__flmdb_row_place *out, bool *mine, const reco_features_store *store, reco__kv_value key, reco_error *err);
reco_status reco__flmdb_row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                            const reco_call *call, reco_error *err);
reco_status reco__flmdb_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board,
                                    const reco_call *call, reco_error *err);

/* --- lmdb_heads.c --------------------------------------------------------------------------------------------------------------------- */
/* The adds of a batch to one co-view row, and the sums after them. */
typedef struct reco__flmdb_span {
    int64_t generation;
    const reco_add *adds;
    const int64_t *totals;
    size_t count;
    bool shrunk;
} reco__flmdb_span;
/* Brings the head of an item up to date after its rows were changed by `spans` (ascending by generation). closed_at: for an item without head. */
reco_status reco__flmdb_head_update(reco__flmdb_work *work, reco__kv_cursor *heads, reco__kv_cursor *rows, uint32_t item,
                                    const reco__flmdb_span *spans, size_t span_count, int64_t closed_at, reco_error *err);
/* Closes an item up to the number: cuts, expires, makes the head anew. The heads cursor stands on it. */
reco_status reco__flmdb_head_close(reco__flmdb_work *work, reco__kv_cursor *heads, reco__kv_cursor *rows, uint32_t item, reco__kv_value value,
                                   int64_t closed_at, reco_error *err);
/* Notes a generation of an item that is being restored. */
reco_status reco__flmdb_head_note(reco__flmdb_work *work, reco__kv_cursor *heads, uint32_t item, int64_t generation, reco_error *err);
void reco__flmdb_head_key(uint8_t *key, const reco_features_store *store, uint32_t item);
reco_status reco__flmdb_heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                              const reco_call *call, reco_error *err);

/* --- lmdb_apply.c, lmdb_close.c, lmdb_scan.c, lmdb_restore.c -------------------------------------------------------------------------- */
reco_status reco__flmdb_apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err);
reco_status reco__flmdb_check_adds(const reco_features_store *store, const reco__flmdb_state *state, const reco_add_group *groups, size_t count,
                                   reco_error *err);
bool reco__flmdb_closing_due(const reco_features_store *store, const reco__flmdb_state *state);
reco_status reco__flmdb_close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err);
reco_status reco__flmdb_settle(reco_features_store *store, const reco_call *call, reco_error *err);
reco_status reco__flmdb_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err);
reco_status reco__flmdb_restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err);
/* Finishes what a killed restore left: empties the namespace. BUSY while another process restores it. */
reco_status reco__flmdb_restore_recover(reco_features_store *store, reco_error *err);
reco_status reco__flmdb_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                              const reco_call *call, reco_error *err);

#endif
