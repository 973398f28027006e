/* tests/property/model.h - a small, slow model of the whole engine, written from the public headers and docs/ARCHITECTURE.md.
 *
 * It keeps every addition ever made and works everything out anew, by counting, when it is asked. It knows nothing of batches, transactions, chunks,
 * heads kept ready, caches or numbers: an item is its place in a table of names. Learning is what happens to all that waits when model_learn is
 * called. Ties are broken by xxh64 of the name, as the headers say. It shares no code with the library.
 *
 * model.c learns and scores; model_items.c says which items may be in an answer. */
#ifndef PROPERTY_MODEL_H
#define PROPERTY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <reco/status.h>

enum { USERS = 8, STRANGERS = 12, ALIASES = 16, ITEMS = 16, NOBODY_KNOWS = 2, NAMES = ITEMS + NOBODY_KNOWS, TYPES = 10, PARTS = 4, CATEGORIES = 3 };
enum { EVENT_ROOM = 6000, ADD_ROOM = 400000, ID_ROOM = 256, SESSION_ROOM = 8 };
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
extern const char *const user_names[USERS + STRANGERS]; /* strangers do nothing: they are aliases only */
extern char item_names[NAMES][257];                     /* from ITEMS on: names nobody has heard of */
extern const char *const category_names[CATEGORIES];
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
    bool undo;       /* takes back; t 0: it names no time */
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

/* --- what is known ------------------------------------------------------------------------------------------------------------------------------ */

enum { ATTRIBUTES = 4, LITERALS = 17, VALUES_MOST = 4 };
/* What can be asked about: the first ATTRIBUTES stand in documents, nobody has NOTHING_OF. */
enum { NOTHING_OF = ATTRIBUTES, CATEGORIES_OF, CATEGORY_OF, PARENT_OF, ID_OF, ASKABLE };
extern const char *const attribute_names[ASKABLE];

typedef struct trait {
    uint32_t type; /* RECO_VALUE_... */
    double number; /* of a boolean, too */
    const char *text;
} trait;

/* What an attribute may be in a document, and the values that makes. The first one stands for an attribute that is not there. */
typedef struct literal {
    const char *json;
    int count;
    trait values[3];
} literal;
extern const literal literals[LITERALS];

typedef struct document {
    bool there, hidden;
    int64_t from, until;
    unsigned categories; /* a bit each */
    int parent;          /* 0: none; else the item and 1 */
    int attributes[ATTRIBUTES];
} document;

typedef struct profile {
    bool there;
    int segment, alias_count;
    int aliases[ALIASES];
} profile;

/* --- which items ------------------------------------------------------------------------------------------------------------------------------- */

enum { CONDITIONS = 3, WANTED = 4, CAPS = 2 };

typedef struct condition {
    int attribute, count;
    bool range, not, missing, has_min, has_max, min_outside, max_outside;
    double min, max;
    trait values[WANTED];
} condition;

typedef struct selection {
    bool variants;
    bool excluded[NAMES];
    condition conditions[CONDITIONS];
    int condition_count;
    struct {
        int attribute, most;
    } caps[CAPS];
    int cap_count;
    bool shown[NAMES]; /* on the pages before, items and what they are variants of */
} selection;

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
    profile users[USERS];
    sight now, seen; /* as learned; as of the last look answers are known to have taken */
} model;

void model_init(model *m, const rules *r);
uint32_t model_partition(const model *m, int user); /* or stranger */
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
    selection select;
} asked;

typedef struct expected {
    bool candidate[ITEMS], faint[ITEMS]; /* faint: so little that it may have been rounded to nothing */
    double score[ITEMS];
    bool fallback;
    double tolerance;
    bool not_found;
} expected; /* caps and variants are not in it: they depend on the order */
/* `from`: the popularity that the answer was made from. */
void model_ask(expected *e, const model *m, const asked *q, const sight *from);

bool model_available(const model *m, int item, int64_t moment);
bool name_before(int a, int b); /* ties */

typedef struct asked_popular {
    int64_t window, as_of, now;
    int category; /* -1: all */
    selection select;
} asked_popular;
/* Sums of a window that ends at `as_of` (0: the newest of `time`), in order: best first. Answers how many may be answered, *capped is how many caps
 * leave out; -1: no such window. */
int model_popular(int order[ITEMS], int64_t sums[ITEMS], int *capped, const model *m, const asked_popular *q, const sight *from, const sight *time);

/* Whether what was not excluded holds all conditions. */
bool model_fits(const model *m, const selection *s, int item);
bool model_was_shown(const model *m, const selection *s, int item);
void model_note_shown(selection *s, const model *m, int item);
enum { FREE, VARIANT, CAPPED };
/* What keeps an item out of an answer that has those that are `taken` already; of variants of those it is `about` none is answered (NULL: none). */
int model_blocked(const model *m, const selection *s, const bool taken[NAMES], const bool about[NAMES], int item);

#endif
