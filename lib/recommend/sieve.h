/* recommend/sieve.h - the reco_selection of a question, made ready: which items may be in the answer. */
#ifndef RECO__SIEVE_H
#define RECO__SIEVE_H

#include "recommend/catalogue.h"
#include <reco/filter.h>

/* Why a candidate is not in the answer, by the name of what asked for it. */
enum { RECO__SIEVED_EXCLUDE, RECO__SIEVED_FILTERS, RECO__SIEVED_CAPS, RECO__SIEVED_VARIANTS, RECO__SIEVED_CURSOR, RECO__SIEVED_KINDS };

/* A value of a condition, as traits hold it. */
typedef struct reco__sieve_value {
    uint32_t type;
    uint64_t value, sign;
} reco__sieve_value;

typedef struct reco__condition {
    reco_filter given;   /* borrowed for the question */
    uint32_t attribute;  /* of the catalogue that is open */
    bool ids;            /* item_id, which is no trait */
    size_t first, count; /* of its values; sorted */
    bool any;            /* it holds for nothing that has none of the signs of its values */
} reco__condition;

typedef struct reco__cap_rule {
    reco_str name;
    uint32_t attribute, most;
} reco__cap_rule;

/* How many of the answer have something: a product, or a value under a cap. */
typedef struct reco__tally {
    uint64_t key; /* 0: free */
    uint32_t count;
} reco__tally;

/* CONFINED. Pooled with the columns: arrays grow and stay. */
typedef struct reco__sieve {
    /* of the question */
    uint32_t flags;
    const reco_str *exclude;
    size_t exclude_count;
    reco__condition *conditions;
    size_t condition_count, condition_room;
    reco__cap_rule caps[RECO_CAPS_MAX];
    size_t cap_count;
    uint64_t question; /* hash of what has to be the same from page to page */
    uint32_t *shown;   /* hashes of items, and of their products: first those of the pages before, sorted */
    size_t paged_count, shown_count, shown_room;
    bool asks;  /* of each item, whether it is excluded and the conditions hold */
    bool by_id; /* for that its id is needed */

    /* of the catalogue that is open */
    reco__catalogue *catalogue; /* NULL: none */
    uint32_t ticket;
    bool collapse; /* there are variants, and of each product only one may be in the answer */
    reco__sieve_value *values;
    size_t value_count, value_room;
    uint64_t signs;     /* what all have that the conditions hold for */
    bool signed_;       /* signs rule something out */
    uint64_t *excluded; /* xxh64 of ids; sorted */
    size_t excluded_room;

    /* of the answer that is being chosen */
    reco__tally *tallies;
    size_t tally_room, tally_count; /* room: a power of two */
    uint32_t sieved[RECO__SIEVED_KINDS];
} reco__sieve;

/* What makes a question another one than the next, beside its selection. `begun`: its kind, or a hash that goes on. */
uint64_t reco__question_hash(uint64_t begun, const reco_str *texts, size_t text_count, int64_t moment);

/* Checks a selection (NULL: none) and takes it in: INVALID, or TOO_LARGE, naming the field. What it points to stays borrowed until the end of the
 * question. */
reco_status reco__sieve_read(reco__sieve *sieve, const reco_selection *selection, uint64_t question, reco_error *err);
/* Ready to be asked about items of a catalogue (NULL: of none), which is read from now on until close. */
reco_status reco__sieve_open(reco__sieve *sieve, reco__catalogue *catalogue, reco_error *err);
/* After something was learned of an item: attributes that nobody had when it was opened may have numbers now, and there may be variants. */
void reco__sieve_renumber(reco__sieve *sieve);
/* May be closed already. */
void reco__sieve_close(reco__sieve *sieve);
void reco__sieve_dispose(reco__sieve *sieve);
uint64_t reco__sieve_bytes(const reco__sieve *sieve);

/* Whether all conditions hold for an item, as the catalogue knows it; `hash`: xxh64 of its id. */
bool reco__sieve_holds(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash);
/* False: the conditions do not hold for an item of this sign (traits.h). */
static inline bool reco__sieve_may_hold(const reco__sieve *sieve, uint64_t sign) {
    if ((sign & sieve->signs) != sieve->signs) {
        return false;
    }
    for (size_t i = 0; i < sieve->condition_count; i++) {
        const reco__condition *condition = &sieve->conditions[i];
        bool has = !condition->any;
        for (size_t k = condition->first; k < condition->first + condition->count && !has; k++) {
            has = (sign & sieve->values[k].sign) == sieve->values[k].sign;
        }
        if (!has) {
            return false;
        }
    }
    return true;
}
bool reco__sieve_excludes(const reco__sieve *sieve, uint64_t hash);
/* Whether it, or with `collapse` its product, was on a page before. */
bool reco__sieve_shown(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash);

/* Choosing an answer, the best first: begin forgets what was taken. */
void reco__sieve_begin(reco__sieve *sieve);
/* Takes the place of a product, for something that is not in the answer itself. */
reco_status reco__sieve_occupy(reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err);
/* Takes an item, or says which kind does not let it (RECO__SIEVED_CAPS or _VARIANTS; RECO__SIEVED_KINDS: it was taken). */
reco_status reco__sieve_take(uint32_t *kind, reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err);
/* What a question says of an item, all of it: takes it, or says which kind does not let it. */
reco_status reco__sieve_pass(uint32_t *kind, reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err);
/* After it was not let in for CAPS: 1 + the number of the cap that is full. */
size_t reco__sieve_full_cap(reco__sieve *sieve, const reco__traits *traits);
/* The number of the first condition that does not hold; their count: all do. */
size_t reco__sieve_failing(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash);

#endif
