/* features/redis/several.h - features on several Redis primaries: what several*.c share. several.c says how it works and why it holds. */
#ifndef RECO__FEATURES_REDIS_SEVERAL_H
#define RECO__FEATURES_REDIS_SEVERAL_H

#include "features/redis/redis.h"

enum { RECO__SEVERAL_MAX = 32, RECO__SEVERAL_TRIES = 4 };

/* number -> number + 1, 0 while unknown. Filled while it is read; slabs as in names.h. */
typedef struct reco__several_map {
    _Atomic(_Atomic uint32_t *) slabs[RECO__NAMES_SLABS];
} reco__several_map;

/* The numbers of one combination of epochs: this process's, and the way to those of each primary and back. Kept until close, for names are lent out.
 * FROZEN but for names that come in and maps that fill. */
typedef struct reco__several_era {
    uint64_t epoch;                     /* as it is told: the combination */
    uint64_t epochs[RECO__SEVERAL_MAX]; /* of the primaries */
    reco__redis_names *tables[RECO__SEVERAL_MAX];
    reco__names *names;
    reco__several_map to[RECO__SEVERAL_MAX], from[RECO__SEVERAL_MAX];
    uint32_t absorbed; /* names of the first primary that are in `names`; era_lock */
    struct reco__several_era *older;
} reco__several_era;

typedef struct reco__several {
    uint32_t count, partitions;
    reco_features_store *primaries[RECO__SEVERAL_MAX];
    reco_board_rules rules;
    uint64_t max_users;
    reco_cell_renumber renumber; /* NULL: cells hold no numbers */

    _Atomic(reco__several_era *) era;
    pthread_mutex_t era_lock; /* who makes an era, or adds a name to one */

    pthread_mutex_t users_lock; /* guards the next two */
    uint64_t users[RECO__SEVERAL_MAX];
    int64_t users_ns; /* when they were counted; 0: never */

    pthread_mutex_t restore_lock; /* one restore at a time */
    _Atomic uint64_t behind;      /* partitions, by primary, that stood behind their cells when last looked */
    _Atomic uint64_t healed;      /* batches of healing written */
} reco__several;

static inline uint32_t reco__several_home(const reco__several *several, uint32_t partition) { return partition % several->count; }

/* --- several_names.c ---------------------------------------------------------------------------------------------------------------------- */
static inline reco__several_era *reco__several_now(const reco__several *several) {
    return atomic_load_explicit(&((reco__several *)(uintptr_t)several)->era, memory_order_acquire);
}
/* Another era unless somebody has made one since `seen`. */
reco_status reco__several_renew(reco__several *several, const reco__several_era *seen, const reco_call *call, reco_error *err);
/* Whether what primary k was just found to hold is told in the numbers of this era. */
bool reco__several_holds(const reco__several *several, const reco__several_era *era, uint32_t k);
/* The primary an item's rows are on. The number is known. */
uint32_t reco__several_owner(const reco__several *several, const reco__several_era *era, uint32_t number);
/* The number of primary k for one of ours; RECO_NO_ITEM when it has none, or is not known to have one. */
uint32_t reco__several_number(reco__several_era *era, uint32_t k, uint32_t number);
/* The same, after reading on the names of k when there seems to be none. */
reco_status reco__several_seek(uint32_t *out, reco__several *several, reco__several_era *era, uint32_t k, uint32_t number, const reco_call *call,
                               reco_error *err);
/* Ours for one of primary k's. */
reco_status reco__several_back(uint32_t *out, reco__several *several, reco__several_era *era, uint32_t k, uint32_t number, const reco_call *call,
                               reco_error *err);
/* Gives numbers of primary k to those of ours that have none. STALE when the era is over. */
reco_status reco__several_give(reco__several *several, reco__several_era *era, uint32_t k, const uint32_t *numbers, size_t count,
                               const reco_call *call, reco_error *err);
/* Reads on the names of the first primary: those that count. */
reco_status reco__several_follow(reco__several *several, reco__several_era *era, const reco_call *call, reco_error *err);
void reco__several_names_dispose(reco__several *several);
reco_status reco__several_intern(uint32_t *numbers, reco__several *several, const reco_str *names, size_t count, const reco_call *call,
                                 reco_error *err);
reco_status reco__several_find_items(uint32_t *numbers, reco__several *several, const reco_str *names, size_t count, const reco_call *call,
                                     reco_error *err);
reco_status reco__several_item_name(reco_str *name, uint64_t *hash, reco__several *several, uint32_t number);

/* --- several_apply.c ---------------------------------------------------------------------------------------------------------------------- */
/* Where every primary stands: count x partitions positions, and the era they were read in. */
typedef struct reco__several_look {
    reco__several_era *era;
    reco_position at[RECO__SEVERAL_MAX][RECO__REDIS_PARTITIONS];
} reco__several_look;
/* The states of all, asked for at once. */
reco_status reco__several_states(reco__redis_state *states, reco__several *several, uint32_t what, const reco_call *call, reco_error *err);
bool reco__several_same_epochs(const reco__several *several, const reco__several_era *era, const reco__redis_state *states);
reco_status reco__several_look_at(reco__several_look *out, reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_load(reco_position *position, uint64_t *epoch, reco__several *several, uint32_t partition, const reco_str *users,
                               size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err);
reco_status reco__several_positions(reco_position *positions, uint64_t *epoch, reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_spread(reco_spread *spread, uint64_t *epoch, reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_count_users(uint64_t users[RECO__SEVERAL_MAX], reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_apply(reco__several *several, const reco_batch *batch, const reco_call *call, reco_error *err);

/* --- several_split.c: a batch or a piece of a snapshot, as one primary is to get it ---------------------------------------------------------- */
typedef struct reco__several_split {
    reco_add *adds;
    reco_add_group *groups;
    uint32_t *missing;
    size_t group_count, missing_count, missing_room;
    reco__buf cell_bytes;
    reco_cell_put *cells;
    uint32_t *cell_partitions;
    size_t cell_count;
} reco__several_split;
/* The groups of primary k, in its numbers. Numbers that are not known are INVALID. */
reco_status reco__several_split_groups(reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k,
                                       const reco_add_group *groups, size_t count, const reco_call *call, reco_error *err);
/* The cells of primary k, in its numbers. partitions NULL: all are of `partition`. */
reco_status reco__several_split_cells(reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k,
                                      const reco_cell_put *cells, const uint32_t *partitions, uint32_t partition, size_t count, const reco_call *call,
                                      reco_error *err);
void reco__several_split_dispose(reco__several_split *split);
/* A cell of primary k in our numbers, appended to `out`. */
reco_status reco__several_cell_back(reco__buf *out, reco__several *several, reco__several_era *era, uint32_t k, const void *data, size_t size,
                                    const reco_call *call, reco_error *err);

/* --- several_read.c ----------------------------------------------------------------------------------------------------------------------- */
/* Entries of a row put together. */
typedef struct reco__several_row {
    reco_entry *entries;
    size_t count, room;
} reco__several_row;
/* Adds entries told in the numbers of primary k. */
reco_status reco__several_row_add(reco__several_row *row, reco__several *several, reco__several_era *era, uint32_t k, const reco_entry *entries,
                                  size_t count, const reco_call *call, reco_error *err);
/* Sorts by member and hands over in pieces; empties it. */
typedef int (*reco__several_piece)(void *context, size_t index, const void *packed, size_t size);
reco_status reco__several_row_emit(reco__several_row *row, reco__several_piece take, void *context, reco_error *err);
/* A head of primary k in our numbers, appended to `out`. */
reco_status reco__several_head_back(reco__buf *out, reco__several *several, reco__several_era *era, uint32_t k, const void *data, size_t size,
                                    const reco_call *call, reco_error *err);
reco_status reco__several_heads(reco__several *several, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                                const reco_call *call, reco_error *err);
reco_status reco__several_row_read(reco__several *several, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                                   const reco_call *call, reco_error *err);
reco_status reco__several_generations(int64_t *generations, size_t room, size_t *count, reco__several *several, uint32_t board, const reco_call *call,
                                      reco_error *err);
reco_status reco__several_info(reco_features_info *out, reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_close_step(int *more, reco__several *several, int64_t budget_ns, const reco_call *call, reco_error *err);
reco_status reco__several_settle(reco__several *several, const reco_call *call, reco_error *err);
reco_status reco__several_stats(reco__several *several, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                const reco_call *call, reco_error *err);

/* --- several_scan.c ----------------------------------------------------------------------------------------------------------------------- */
reco_status reco__several_scan(reco__several *several, const reco_features_visitor *visitor, const reco_call *call, reco_error *err);
reco_status reco__several_restore(reco__several *several, const reco_restore_piece *piece, const reco_call *call, reco_error *err);

/* --- several.c ---------------------------------------------------------------------------------------------------------------------------- */
bool reco__several_named(const char *url); /* whether a URL names several primaries */
reco_status reco__several_open(reco__several **out, const reco_features_options *options, const reco_call *call, reco_error *err);
void reco__several_close(reco__several *several);

#endif
