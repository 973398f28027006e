/* reco/plugin/features.h - the contract of features: what was learned. Item numbers, positions with the partition clock, cells, boards, heads;
 * rebuilt from the stream.
 *
 * Rules of calls and memory: as in reco/plugin/stream.h. Every rule of closing, cutting and heads stands in reco/plugin/board.h and
 * docs/ARCHITECTURE.md; a backend decides only when the work is done, never what comes out. */
#ifndef RECO_PLUGIN_FEATURES_H
#define RECO_PLUGIN_FEATURES_H

#include <reco/plugin/board.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_FEATURES_CONTRACT 1u
#define RECO_NO_ITEM UINT32_MAX

typedef struct reco_features_store reco_features_store; /* SHARED; defined by the backend */

/* Receives bytes for element `index` of the request; valid during the call; not called for what is missing. */
typedef void (*reco_features_sink)(void *context, size_t index, const void *data, size_t size);

/* Rewrites a cell, asking `number` for each item number in it, and gives the result to the sink as element 0. Whatever `number` answers is taken.
 * CORRUPT when the bytes are no cell. */
typedef reco_status (*reco_cell_renumber)(reco_features_sink sink, void *context, const void *cell, size_t size,
                                          uint32_t (*number)(void *numbers, uint32_t number), void *numbers, reco_error *err);

typedef struct reco_features_options {
    uint32_t struct_size;
    uint32_t partitions;
    const char *url;
    const char *space;             /* namespace */
    uint8_t stream_id[16];         /* the stream these features are learned from: REFUSED when the stored one differs */
    reco_str fingerprint;          /* "name=value\n" lines; REFUSED, naming the first difference, when the stored one differs */
    const reco_board_rules *rules; /* borrowed until close */
    uint32_t max_items;            /* intern beyond it is FULL */
    uint32_t background;
    uint64_t max_users; /* cells beyond it make apply FULL */
    uint64_t min_free, map_size;
    uint32_t flags; /* RECO_FEATURES_... */
    uint32_t reserved;
    reco_cell_renumber renumber; /* for backends that keep cells with other numbers than those they answer; NULL: there are no numbers in cells */
} reco_features_options;
#define RECO_FEATURES_SCRATCH 1u /* throw-away store (verify): nothing needs to outlive the process */

/* Where a partition stands: records before `offset` are learned, `clock` is W, the largest received_at among them. */
typedef struct reco_position {
    int64_t offset;
    int64_t clock;
} reco_position;

typedef struct reco_features_info {
    uint32_t struct_size;
    uint32_t partitions;
    uint64_t epoch;        /* changes when content was lost or replaced: caches of the reader are void */
    uint32_t item_count;   /* numbers 0 .. item_count - 1 have names */
    uint32_t closings_due; /* 1 while close_step has something to do */
    uint64_t user_count;
} reco_features_info;

/* The cell of a user as the derivation wrote it, opaque to the backend. size 0: delete it. */
typedef struct reco_cell_put {
    reco_str user;
    const void *data;
    size_t size;
    int64_t expires_at; /* last + lifetime: absent from scans once the partition's clock is greater, and swept some time */
} reco_cell_put;

/* One atomic step of learning. Everything sorted and distinct: cells by user bytewise; groups by (board, generation); adds by (item, member). */
typedef struct reco_batch {
    uint32_t struct_size;
    uint32_t partition;
    uint64_t epoch;   /* as load answered: STALE when it changed */
    int64_t from, to; /* STALE when the stored offset is not `from` */
    int64_t clock;    /* W after the batch */
    const reco_cell_put *cells;
    size_t cell_count;
    const reco_add_group *groups;
    size_t group_count;
    uint32_t flags; /* RECO_BATCH_... */
    uint32_t reserved;
} reco_batch;
/* For backends with `spread`: additions of records that the cells have already, for the parts of the store that stand at `from`. No cells. */
#define RECO_BATCH_HEAL 1u

/* Where the parts of a store stand that keeps a partition in several places, each with a position of its own. */
typedef struct reco_spread {
    reco_position cells; /* as load and positions answer it */
    int64_t low;         /* smallest offset of any part; below cells.offset: it has lost records, and batches are refused until it is healed */
    int64_t low_fence;   /* smallest offset of a part above `low`; INT64_MAX without one. A healing batch from `low` goes no further */
    int64_t fence;       /* smallest offset of a part above cells.offset; INT64_MAX without one. A batch goes no further */
} reco_spread;

/* What scan emits, in this order. Non-zero stops. Rows come in order of (board, generation, item), each as one or more packed pieces in member order.
 */
typedef struct reco_features_visitor {
    void *context;
    int (*state)(void *context, const reco_features_info *info, const reco_position *positions /* P of them */);
    int (*row)(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size);
    int (*debt)(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size);
    int (*cell)(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at);
    int (*head)(void *context, uint32_t item, const void *data, size_t size);
} reco_features_visitor; /* functions may be NULL: that part is left out */

/* A piece of a snapshot being loaded. Rows are given as groups (several pieces may carry the same generation, never the same row), cells with their
 * partition. */
typedef struct reco_restore_piece {
    uint32_t struct_size;
    uint32_t flags; /* RECO_RESTORE_FIRST empties the store and changes its epoch; RECO_RESTORE_LAST sets positions and makes heads */
    const reco_add_group *groups;
    size_t group_count;
    const reco_cell_put *cells;
    const uint32_t *cell_partitions;
    size_t cell_count;
    const reco_position *positions; /* with LAST: P of them */
} reco_restore_piece;
#define RECO_RESTORE_FIRST 1u
#define RECO_RESTORE_LAST 2u

typedef struct reco_features_backend {
    uint32_t struct_size;
    uint32_t contract; /* RECO_FEATURES_CONTRACT */
    const char *scheme;
    uint32_t batch_events; /* most events of a batch, when the application does not say; 0: 20,000 */
    uint32_t reserved;

    reco_status (*open)(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err);
    void (*close)(reco_features_store *store);
    reco_status (*info)(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err);

    /* Numbers for names, made when missing, the same for ever within an epoch. FULL (naming limits.items) changes nothing. */
    reco_status (*intern)(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call, reco_error *err);
    /* Numbers of known names; RECO_NO_ITEM for others. */
    reco_status (*find_items)(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                              reco_error *err);
    /* Name and its xxh64 (seed 0); borrowed, valid until close. NOT_FOUND for a number never given. Cheap: called per answer item and tie. */
    reco_status (*item_name)(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number);

    /* Position of the partition and the cells of some of its users, in one transaction. */
    reco_status (*load)(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users, size_t count,
                        reco_features_sink sink, void *context, const reco_call *call, reco_error *err);
    reco_status (*positions)(reco_position *positions, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err);
    /* All of the batch or nothing. STALE, FULL, INVALID (an add to a generation that is closed by the clocks, unsorted input). */
    reco_status (*apply)(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err);

    /* Stored heads (reco_head_read) of co-view items. */
    reco_status (*heads)(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                         const reco_call *call, reco_error *err);
    /* One row as it is to be read: a closed co-view row is cut, an expired one absent, due closings applied to what is emitted. Pieces in member
     * order, index 0, 1, ... */
    reco_status (*row)(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                       const reco_call *call, reco_error *err);
    /* Generations in which a popularity board has rows, ascending; at most `room`; *count is what there is. */
    reco_status (*generations)(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board, const reco_call *call,
                               reco_error *err);

    /* Does some of the closing, expiry and sweeping that is due, within about budget_ns. *more: 1 when something is left. */
    reco_status (*close_step)(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err);
    /* Finishes every due closing and makes all heads current (publishes them, where they are published). */
    reco_status (*settle)(reco_features_store *store, const reco_call *call, reco_error *err);

    /* Everything, under one read transaction. Rows and cells are emitted as stored: what is due (closing, expiry, lifetime) is applied by the caller.
     */
    reco_status (*scan)(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err);
    reco_status (*restore)(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err);
    reco_status (*stats)(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                         const reco_call *call, reco_error *err);

    /* Optional from here on: NULL, or beyond struct_size. */

    /* Of each partition where its parts stand: P answers. A part at q takes only batches from q on; one that is asked to take records that it has
     * lets them pass; a batch that begins below a part and ends above it is STALE. UNSUPPORTED, for good: this store stands in one place. */
    reco_status (*spread)(reco_spread *spread, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err);
} reco_features_backend;

RECO_API reco_status reco_register_features(const reco_features_backend *backend, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
