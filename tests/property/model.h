/* tests/property/model.h - a small, slow model of the whole engine, written from the public headers and docs/ARCHITECTURE.md.
 *
 * It keeps every addition ever made and works everything out anew, by counting, when it is asked. It knows nothing of batches, transactions, chunks,
 * heads kept ready, caches or numbers: an item is its place in a table of names. Learning is what happens to all that waits when model_learn is
 * called. Ties are broken by xxh64 of the name, as the headers say. It shares no code with the library. */
#ifndef PROPERTY_MODEL_H
#define PROPERTY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <reco/status.h>

enum { USERS = 6, ITEMS = 16, TYPES = 10, PARTS = 4, CATEGORIES = 3, EVENT_ROOM = 6000, ADD_ROOM = 400000, ID_ROOM = 256, SESSION_ROOM = 8 };
enum { HOURS, DAYS, COVIEW };

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

typedef struct type_rule {
    const char *name;
    int weight;
    bool hides, has_least;
    double least;
} type_rule;
extern const type_rule type_rules[TYPES];
extern const char *const user_names[USERS];
extern char item_names[ITEMS][257];
void model_names(void); /* once, before anything else */

/* Settings, as numbers. */
typedef struct rules {
    uint32_t partitions;
    int64_t lateness, skew;
    int64_t coview_length;
    int coview_kept, cut, head, halving;
    int pair_window, recents, history, ids_seen;
    bool pair_session, pair_inverse;
    int64_t ids_window, gap, lifetime;
    int hours_kept, days_kept;
    int64_t window_hours, window_days;
    bool norm_max, recency_power, filter_seen, filter_availability;
    double row_power, popularity_power, recency_value, revisit, weight_coview, weight_popular;
} rules;

/* An accepted event. */
typedef struct happening {
    int user, item, type; /* user -1: a tick */
    uint32_t partition;
    bool has_value;
    double value;
    int session, id; /* 0: none */
    int64_t t, received_at;
} happening;

typedef struct touch {
    int item, weight;
    int64_t t;
} touch;

typedef struct cell {
    int64_t last; /* 0: empty */
    int session, session_count, touch_count, hidden_count, id_count;
    touch touches[ITEMS];
    int hidden[ITEMS];
    struct {
        int id;
        int64_t r;
    } ids[ID_ROOM];
} cell;

typedef struct addition {
    int board, item, member; /* item: of co-views */
    int64_t generation, delta;
} addition;

/* What of popularity had been learned at a moment. */
typedef struct sight {
    size_t adds;
    int64_t clock_low, clock_high;
} sight;

typedef struct document {
    bool there, hidden;
    int64_t from, until;
    unsigned categories; /* a bit each */
} document;

typedef struct model {
    rules rules;
    happening events[EVENT_ROOM];
    size_t count, learned;
    int64_t last_received[PARTS];          /* of the last record appended, for ticks */
    uint64_t appended[PARTS], done[PARTS]; /* records */
    int64_t clock[PARTS];                  /* W */
    cell cells[USERS];
    bool known[ITEMS];
    addition *adds;
    size_t add_count;
    document items[ITEMS];
    int segments[USERS]; /* -1: no document */
    sight now, seen;     /* as learned; as of the last look answers are known to have taken */
} model;

void model_init(model *m, const rules *r);
uint32_t model_partition(const model *m, int user);
/* What one call of ingest accepted; ticks follow by themselves. False when the model is full. */
bool model_append(model *m, const happening *events, size_t count, int64_t received_at);
void model_learn(model *m);

enum { ASK_USER, ASK_RANK, ASK_SIMILAR };

typedef struct asked {
    int kind, user;                  /* -1: nobody */
    happening session[SESSION_ROOM]; /* t 0: now */
    int session_count;
    int items[ITEMS + 2], item_count; /* ITEMS and above: names nobody has heard of */
    int limit;
    int64_t as_of, now;
} asked;

typedef struct expected {
    bool candidate[ITEMS], faint[ITEMS]; /* faint: so little that it may have been rounded to nothing */
    double score[ITEMS];
    bool fallback;
    double tolerance;
    int unknown; /* rank: given items nothing was learned of that may be shown */
    bool not_found;
} expected;
/* `from`: the popularity that the answer was made from. */
void model_ask(expected *e, const model *m, const asked *q, const sight *from);

bool model_available(const model *m, int item, int64_t moment);
bool name_before(int a, int b); /* ties */
/* Sums of a window that ends at `moment` (0: the newest of `time`), in order: best first. Answers how many; -1: no such window. */
int model_popular(int order[ITEMS], int64_t sums[ITEMS], const model *m, int64_t window, int64_t as_of, int category, int64_t now, const sight *from,
                  const sight *time);

#endif
