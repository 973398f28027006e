/* features/redis/redis.h - features on Redis: what its files share. redis.c says what lies where. */
#ifndef RECO__FEATURES_REDIS_H
#define RECO__FEATURES_REDIS_H

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>

#include "features/heads.h"
#include "features/names.h"
#include <reco/plugin/features.h>

enum {
    RECO__REDIS_PARTITIONS = 64,
    RECO__REDIS_SHARD = 4096,                           /* members of a row of popularity in one value */
    RECO__REDIS_GENERATIONS = RECO_GENERATIONS_MAX * 2, /* of one board that are read at once */
    RECO__REDIS_ENTRY = 8,                              /* bytes of a delta in a row */
    RECO__REDIS_VERSION = 8                             /* bytes before the frame of a stored head */
};

enum { RECO__REDIS_WHOLE, RECO__REDIS_RESTORING };

/* --- url.c ---------------------------------------------------------------------------------------------------------------------------- */
enum { RECO__REDIS_HOSTS = 8 };
typedef struct reco__redis_host {
    char name[256];
    int port; /* 0: the usual one */
} reco__redis_host;
typedef struct reco__redis_url {
    char path[108], user[128], password[256], prefix[64];
    char sentinel[128], sentinel_password[256]; /* the name sentinels have for the primary; "": hosts[0] is the primary */
    reco__redis_host hosts[RECO__REDIS_HOSTS];
    uint32_t host_count;
    int db;
    uint32_t timeout_ms;
    uint32_t stale_ms; /* how old a head may be that is answered from memory; 0: none is */
    uint32_t cache_mb;
} reco__redis_url;
/* INVALID or UNSUPPORTED; what is wrong is named, never the password. */
reco_status reco__redis_url_parse(reco__redis_url *out, const char *url, reco_error *err);

/* --- connection.c --------------------------------------------------------------------------------------------------------------------- */

/* An array that grows and is used again. */
typedef struct reco__redis_array {
    void *data;
    size_t room; /* elements */
} reco__redis_array;
reco_status reco__redis_room(reco__redis_array *array, size_t count, size_t size, reco_error *err);

/* One connection with what its user needs at hand. CONFINED between take and give. */
typedef struct reco__redis_link {
    struct reco__redis_link *next;
    redisContext *context;
    reco__buf out;      /* commands not sent yet */
    size_t pending;     /* replies owed for what was sent or is in `out` */
    size_t forget;      /* the first of them nobody asks for */
    bool watching;      /* a WATCH is held */
    bool patient;       /* the socket waits for more than a byte */
    uint32_t silent_ms; /* how long the server may say nothing */
    bool doomed;        /* not to be used again: the server is not the primary any more */
    uint64_t run;       /* of the server: see state.c */
    int64_t heard_ns;   /* when it was last seen to work */
    reco_features_store *store;
    const reco_call *call; /* whose deadline counts; while taken */
    redisReply *reply;     /* the one handed out last */
    redisReply *held;      /* whose elements are handed out as replies, from held_at on */
    size_t held_at;
    uint64_t seen_resets; /* what was known when the state was asked for */
    int64_t seen[RECO__REDIS_PARTITIONS];
    reco__head_maker maker;
    reco__redis_array row, tail, list, bytes, places, puts; /* each of one type */
} reco__redis_link;

/* A connection nobody has said anything on; closed by disconnect. */
reco_status reco__redis_connect(reco__redis_link **out, reco_features_store *store, const reco__redis_host *host /* NULL: the socket of the URL */,
                                uint32_t silent_ms, const reco_call *call, reco_error *err);
void reco__redis_disconnect(reco__redis_link *link);
reco_status reco__redis_take(reco__redis_link **out, reco_features_store *store, const reco_call *call, reco_error *err);
void reco__redis_give(reco_features_store *store, reco__redis_link *link);
void reco__redis_pool_dispose(reco_features_store *store);
/* A link that watches what a batch of the partition will be held against, and the state it saw then. NULL: there is none that is fresh. */
typedef struct reco__redis_ready reco__redis_ready;
reco__redis_ready *reco__redis_take_ready(reco_features_store *store, uint32_t partition, const reco_call *call);
void reco__redis_keep_ready(reco_features_store *store, uint32_t partition, reco__redis_ready *ready);
/* The state that the last batch left behind, a moment ago; once. */
struct reco__redis_state;
bool reco__redis_take_ahead(struct reco__redis_state *state, reco_features_store *store);
/* Commands are written one argument after the other; `arguments` counts all of them, the name included. */
void reco__redis_command(reco__redis_link *link, const char *name, size_t arguments);
void reco__redis_bytes(reco__redis_link *link, const void *data, size_t size);
void reco__redis_text(reco__redis_link *link, const char *text);
void reco__redis_number(reco__redis_link *link, int64_t number);
/* Gives up a WATCH. No reply may be owed. */
void reco__redis_unwatch(reco__redis_link *link);
reco_status reco__redis_send(reco__redis_link *link, reco_error *err);
/* Skips replies until none is owed. */
reco_status reco__redis_drain(reco__redis_link *link, reco_error *err);
/* The next reply; valid until the next one of this link is asked for. An error reply is a failure; NOT_FOUND when a function is not loaded. */
reco_status reco__redis_reply(const redisReply **out, reco__redis_link *link, reco_error *err);
reco_status reco__redis_skip(reco__redis_link *link, size_t count, reco_error *err);
/* The elements of the reply handed out last, an array, are the next replies. */
void reco__redis_hold(reco__redis_link *link);
/* EXEC is sent and its `queued` commands answered: the array. STALE when it did not run. */
reco_status reco__redis_exec(const redisReply **out, reco__redis_link *link, size_t queued, reco_error *err);
/* CORRUPT, for a reply that is not what it should be. */
reco_status reco__redis_strange(const char *what, reco_error *err);
static inline bool reco__redis_is_bytes(const redisReply *reply) { return reply->type == REDIS_REPLY_STRING; }

/* --- sentinel.c ------------------------------------------------------------------------------------------------------------------------- */
/* Asks the sentinels of the URL where the primary is. */
reco_status reco__redis_find_primary(reco__redis_host *out, reco_features_store *store, const reco_call *call, reco_error *err);

/* --- opening, keys: redis.c ------------------------------------------------------------------------------------------------------------- */
reco_status reco__redis_open(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err);
void reco__redis_close(reco_features_store *store);
void reco__redis_key(reco__redis_link *link, const reco_features_store *store, const char *name);
void reco__redis_key_number(reco__redis_link *link, const reco_features_store *store, const char *name, uint32_t number);
void reco__redis_key_head(reco__redis_link *link, const reco_features_store *store, uint32_t item);
void reco__redis_key_row(reco__redis_link *link, const reco_features_store *store, uint32_t item, int64_t generation);
void reco__redis_key_popular(reco__redis_link *link, const reco_features_store *store, uint32_t board, int64_t generation, uint32_t shard);

/* --- script.c --------------------------------------------------------------------------------------------------------------------------- */
#define RECO__REDIS_SWITCH "reco3_switch"
#define RECO__REDIS_COMPACT "reco3_compact"
#define RECO__REDIS_INTERN "reco3_intern"
/* Loads the functions, over whatever is there of this version. */
reco_status reco__redis_script_load(reco__redis_link *link, reco_error *err);

/* --- the store -------------------------------------------------------------------------------------------------------------------------- */

/* Names of one names_epoch; older ones are kept until close, for they were lent out. */
typedef struct reco__redis_names {
    reco__names *names;
    uint64_t epoch;
    _Atomic uint64_t run; /* of the server that was seen to have them */
    struct reco__redis_names *older;
} reco__redis_names;

typedef struct reco__redis_cache reco__redis_cache;

enum { RECO__REDIS_LONG_ROWS = 64, RECO__REDIS_LENGTHS = 1024 };
/* A row of popularity that has grown. */
typedef struct reco__redis_long_row {
    uint32_t board, shard;
    int64_t generation;
    uint64_t size;
} reco__redis_long_row;

/* Through the list of items whose heads are not current, piece by piece. */
typedef struct reco__redis_walk {
    bool begun;
    uint64_t epoch, run;                  /* of what is walked through */
    int64_t closed_at;                    /* what was closed when the piece was asked for */
    char cursor[24];                      /* of the next piece; "0": there is none */
    size_t at, count, generation_count;   /* the items from `at` on are still to be done */
    reco__redis_array items, generations; /* uint32_t; int64_t, those of co-view there were */
} reco__redis_walk;

/* A pass of closing: the items that were found to be due, up to `next`. */
typedef struct reco__redis_pass {
    reco__redis_walk walk;
    uint32_t next, cursor; /* cursor: where this store left it */
} reco__redis_pass;

struct reco_features_store {
    struct reco__several *several; /* several.h; then nothing of what follows is set */
    reco__redis_url url;
    char *prefix; /* of all keys */
    size_t prefix_size;
    uint32_t partitions, max_items;
    uint64_t max_users;
    reco_board_rules rules;
    uint8_t stream_id[16];
    char *fingerprint;
    size_t fingerprint_size;

    pthread_mutex_t pool_lock; /* guards what follows up to names */
    reco__redis_link *idle;
    uint32_t idle_count, failures;
    reco__redis_ready *ready[RECO__REDIS_PARTITIONS]; /* for the next batch of each */
    uint32_t ahead;                                   /* the partition last learned, + 1; 0: its state was looked at */
    int64_t retry_at_ns;                              /* nobody connects before it */
    uint64_t server;                                  /* whom the last connection met */
    uint32_t sentinel;                                /* which one answered last */
    reco__redis_host primary;                         /* as it said */
    _Atomic int64_t silent_ns; /* when a connection was last found silent: those not seen to work since are not trusted */
    _Atomic uint64_t run; /* raised when another server answers, or one that has gone back: what was read before is void */

    pthread_mutex_t seen_lock; /* guards the next three: how far learning was seen to be */
    uint64_t seen_epoch, seen_resets;
    int64_t seen[RECO__REDIS_PARTITIONS];

    reco__redis_cache *cache; /* NULL: none */
    _Atomic uint64_t trips;   /* requests sent */
    _Atomic uint64_t renamed; /* how often names were found to be others within an epoch */

    _Atomic(reco__redis_names *) names;
    pthread_mutex_t names_lock; /* who adds names or changes their epoch */

    pthread_mutex_t long_lock; /* guards the rows to be compacted */
    reco__redis_long_row long_rows[RECO__REDIS_LONG_ROWS];
    uint32_t long_count;
    uint64_t lengths[RECO__REDIS_LENGTHS]; /* what rows were compacted to, by hash of their place; a guess that is wrong costs a compaction */

    pthread_mutex_t closing_lock; /* one thread of this store closes at a time; guards what follows */
    _Atomic int64_t published_ns; /* when the last round of publishing ended */
    int64_t lease_ns;             /* since when this store is the one that publishes, or 0 */
    reco__redis_walk publishing;
    reco__redis_pass pass;
    bool restoring;
    char token[33]; /* of the lock held while restoring */
};

/* --- state.c ---------------------------------------------------------------------------------------------------------------------------- */
typedef struct reco__redis_state {
    uint64_t epoch, names_epoch;
    uint32_t mark;
    uint32_t item_count;
    uint64_t user_count;
    reco_position positions[RECO__REDIS_PARTITIONS];
    bool scanning, abandoned; /* everything is being read; by somebody who is gone */
    /* with RECO__REDIS_DUE: */
    int64_t closed, target; /* every head that was there is at `closed`; where the pass goes */
    uint32_t cursor;        /* the pass has done the items below it */
    int64_t due[RECO__REDIS_PARTITIONS], swept_at[RECO__REDIS_PARTITIONS];
    bool sweeping[RECO__REDIS_PARTITIONS];
    uint64_t dirty;   /* items whose head is not current */
    int64_t first[2]; /* oldest generation of popularity, -1 without any */
} reco__redis_state;
enum { RECO__REDIS_USERS = 1, RECO__REDIS_DUE = 2 };
struct reco__redis_ready {
    reco__redis_link *link;
    int64_t asked_ns; /* when it was asked for */
    reco__redis_state state;
};
/* Writes the commands that read the state, and takes their replies. */
void reco__redis_state_ask(reco__redis_link *link, reco_features_store *store, uint32_t what);
reco_status reco__redis_state_take(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, uint32_t what, reco_error *err);
/* Both, in a trip of its own. A namespace that is gone is founded anew, with another epoch. */
reco_status reco__redis_state_read(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, uint32_t what, reco_error *err);
/* Founds the namespace when it is not there; REFUSED when it was learned from something else. */
reco_status reco__redis_found(reco__redis_link *link, reco_features_store *store, reco_error *err);
reco_status reco__redis_meta_put(reco__redis_link *link, const reco_features_store *store, uint64_t epoch, uint64_t names_epoch, uint32_t mark);
reco_status reco__redis_new_epoch(uint64_t *epoch, reco_error *err);
int64_t reco__redis_newest_closed(const reco_features_store *store, const reco_position *positions, uint32_t board);
reco_status reco__redis_busy(const reco__redis_state *state, reco_error *err); /* BUSY while a snapshot is being loaded */
void reco__redis_closing_put(reco__redis_link *link, const reco_features_store *store, int64_t closed, int64_t target, uint32_t cursor);
void reco__redis_position_put(reco__redis_link *link, const reco_features_store *store, uint32_t partition, reco_position position);
/* The epoch as it is told: another one, too, when the numbers of items have changed their names. */
uint64_t reco__redis_epoch(const reco_features_store *store, const reco__redis_state *state);
/* The state out of the replies to the two commands that `ask` writes for `what` 0. */
reco_status reco__redis_state_from(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, const redisReply *values,
                                   const redisReply *names, reco_error *err);
void reco__redis_info_fill(reco_features_info *out, const reco_features_store *store, const reco__redis_state *state);
reco_status reco__redis_info(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err);
reco_status reco__redis_positions(reco_position *positions, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err);

/* --- items.c ---------------------------------------------------------------------------------------------------------------------------- */
/* Reads on the names that the state shows and this process has not seen. */
reco_status reco__redis_follow(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, reco_error *err);
/* The names known may be others than those of the state: follow finds out. */
bool reco__redis_doubtful(const reco_features_store *store, const reco__redis_link *link, const reco__redis_state *state);
/* How many names are known. */
uint32_t reco__redis_named(const reco_features_store *store);
reco_board_names reco__redis_board_names(const reco_features_store *store);
void reco__redis_names_dispose(reco_features_store *store);
reco_status reco__redis_intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                               reco_error *err);
reco_status reco__redis_find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                                   reco_error *err);
reco_status reco__redis_item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number);

/* --- rows.c ----------------------------------------------------------------------------------------------------------------------------- */
/* Appends one delta in the form of rows. */
void reco__redis_delta(reco__buf *out, uint32_t member, int64_t delta);
size_t reco__redis_delta_size(int64_t delta);
/* Sums up a stored row into link->row, sorted by member, without zeros. */
reco_status reco__redis_row_read(size_t *count, reco__redis_link *link, const void *data, size_t size, reco_error *err);
/* The generations of a board that may have rows, ascending, in link->list. */
void reco__redis_generations_ask(reco__redis_link *link, const reco_features_store *store, uint32_t board);
reco_status reco__redis_generations_take(size_t *count, reco__redis_link *link, reco_error *err);
uint32_t reco__redis_shards(const reco__redis_state *state);
/* Packs link->row and hands it over. */
reco_status reco__redis_emit(reco__redis_link *link, size_t count, size_t index, reco_features_sink sink, void *context, reco_error *err);
reco_status reco__redis_row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                            const reco_call *call, reco_error *err);
reco_status reco__redis_generations(int64_t *generations, size_t room, size_t *count, reco_features_store *store, uint32_t board,
                                    const reco_call *call, reco_error *err);
/* The name of a row within the namespace; returns its size. */
enum { RECO__REDIS_TAIL = 64 };
size_t reco__redis_row_tail(char tail[RECO__REDIS_TAIL], uint32_t board, int64_t generation, uint32_t place /* item, or shard */);
/* Compacts the rows that were noted as long. */
void reco__redis_note_long(reco_features_store *store, uint32_t board, int64_t generation, uint32_t shard, uint64_t size);
reco_status reco__redis_compact(reco_features_store *store, reco__redis_link *link, int64_t until_ns, reco_error *err);

/* --- publish.c -------------------------------------------------------------------------------------------------------------------------- */
/* What is stored of an item: its head, and its rows in some generations. */
typedef struct reco__redis_item {
    uint32_t item;
    bool stored;
    uint8_t version[RECO__REDIS_VERSION];
    reco_head head; /* with `stored`; pointers go into the reply */
} reco__redis_item;
/* closed: what the pass of closing that is through went to. An item without head has no rows up to there, and counts as closed up to it. */
reco_status reco__redis_item_read(reco__redis_item *out, uint32_t item, const redisReply *stored, int64_t closed, reco_error *err);
/* Makes the heads of items current, closing what is closed by `closed_at`; *left: how many changed meanwhile and are still to be done. walk, or NULL:
 * where the items were found; the next piece is asked for on the way when these are the last. */
reco_status reco__redis_publish(size_t *left, reco_features_store *store, reco__redis_link *link, reco__redis_walk *walk, const uint32_t *items,
                                size_t count, int64_t closed_at, const reco__redis_state *state, reco_error *err);
reco_status reco__redis_heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                              const reco_call *call, reco_error *err);
/* Receives the head of items[index]; size 0: it has none. version: of the stored one; NULL when the head was made from rows. */
typedef void (*reco__redis_head_sink)(void *context, size_t index, const uint8_t *version, const void *data, size_t size);
/* Heads as they are now, in one trip, or two when some are not current. */
reco_status reco__redis_heads_read(reco__redis_state *state, reco_features_store *store, reco__redis_link *link, const uint32_t *items, size_t count,
                                   reco__redis_head_sink sink, void *context, reco_error *err);

/* The stored form of one head made from what is stored of it and from its open rows: `reply` has the head and the rows of `generations`, which may
 * have been shortened. Appended to `frame`; nothing when there are no rows. */
reco_status reco__redis_head_make(reco__buf *frame, reco_features_store *store, reco__redis_link *link, uint32_t item, int64_t closed,
                                  const int64_t *generations, size_t count, const redisReply *reply, reco_error *err);

/* --- cache.c ---------------------------------------------------------------------------------------------------------------------------- */
reco_status reco__redis_cache_open(reco_features_store *store, reco_error *err); /* starts the thread that refreshes */
void reco__redis_cache_close(reco_features_store *store);
void reco__redis_cache_empty(reco_features_store *store);
/* Hands over the heads that are fresh enough; places[] of the others, *missing of them. `turn`: for put. */
void reco__redis_cache_find(uint32_t *places, size_t *missing, uint64_t *turn, reco_features_store *store, const uint32_t *items, size_t count,
                            reco_features_sink sink, void *context);
/* Keeps a head that was asked for at read_ns, unless the cache was emptied since `turn`. */
void reco__redis_cache_put(reco_features_store *store, uint64_t turn, int64_t read_ns, uint32_t item, const uint8_t *version, const void *data,
                           size_t size);
void reco__redis_cache_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context);

/* --- apply.c, closing.c, sweep.c, scan.c, restore.c -------------------------------------------------------------------------------------- */
reco_status reco__redis_load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users,
                             size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err);
reco_status reco__redis_apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err);
reco_status reco__redis_check_adds(const reco_features_store *store, const reco__redis_state *state, const reco_add_group *groups, size_t count,
                                   reco_error *err);
/* Writes the commands for groups and cells; returns how many. */
size_t reco__redis_write_group(reco__redis_link *link, const reco_features_store *store, const reco_add_group *group);
size_t reco__redis_write_cells(reco__redis_link *link, const reco_features_store *store, uint32_t partition, const reco_cell_put *cells,
                               size_t count);
bool reco__redis_closing_due(const reco_features_store *store, const reco__redis_state *state);
bool reco__redis_publishing_due(const reco_features_store *store, const reco__redis_state *state);
/* Another piece follows when this one is done. */
bool reco__redis_walk_onward(const reco__redis_walk *walk);
void reco__redis_walk_ask(const reco__redis_walk *walk, reco__redis_link *link, const reco_features_store *store);
reco_status reco__redis_walk_take(reco__redis_walk *walk, reco__redis_link *link, reco_error *err);
reco_status reco__redis_close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err);
reco_status reco__redis_settle(reco_features_store *store, const reco_call *call, reco_error *err);
bool reco__redis_sweep_due(const reco_features_store *store, const reco__redis_state *state, uint32_t *partition);
/* Sweeps a piece of one partition. */
reco_status reco__redis_sweep(reco_features_store *store, reco__redis_link *link, uint32_t partition, reco_error *err);
/* expires_at of a stored cell; false when it is none. */
bool reco__redis_cell_read(int64_t *expires_at, const redisReply *cell);
/* Notes for a scan that is going on what a batch is about to do; returns how many commands. old: the cells there were. */
size_t reco__redis_scan_note(reco__redis_link *link, const reco_features_store *store, const reco_batch *batch, const redisReply *old);
/* Ends a scan: the one of `token`; NULL: one whose process is gone. */
reco_status reco__redis_scan_end(reco_features_store *store, reco__redis_link *link, const char *token, reco_error *err);
reco_status reco__redis_scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err);
reco_status reco__redis_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                              const reco_call *call, reco_error *err);
reco_status reco__redis_restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err);
reco_status reco__redis_restore_recover(reco_features_store *store, reco__redis_link *link, reco_error *err);
void reco__redis_unlock(reco_features_store *store);

#endif
