/* recommend/catalogue.h - what records say of the items features has numbers for: whether they may be recommended, their categories, and what
 * conditions can ask of them. */
#ifndef RECO__CATALOGUE_H
#define RECO__CATALOGUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "config/settings.h"
#include "features/features.h"
#include "recommend/aliases.h"
#include "recommend/traits.h"
#include "records/records.h"

#define RECO__CHUNK_BITS 14u
#define RECO__CHUNK_ITEMS (1u << RECO__CHUNK_BITS)

#define RECO__ITEM_KNOWN 1u /* records were asked */
#define RECO__ITEM_HIDDEN 2u
#define RECO__ITEM_WINDOWED 4u /* available from or until */

/* Only of chunks that have an item with a record. Signs, moments and traits are read without the lock, the
 * rest under it. */
typedef struct reco__catalogue_details {
    _Atomic uint64_t signs[RECO__CHUNK_ITEMS]; /* of the traits */
    atomic_int_fast64_t from[RECO__CHUNK_ITEMS], until[RECO__CHUNK_ITEMS];
    _Atomic(const reco__traits *) traits[RECO__CHUNK_ITEMS]; /* NULL: none */
    uint64_t sequence[RECO__CHUNK_ITEMS];                    /* of the change that is shown; 0: none */
    uint32_t *categories[RECO__CHUNK_ITEMS];                 /* how many, then the numbers; NULL: none */
} reco__catalogue_details;

typedef struct reco__catalogue_chunk {
    atomic_uint_fast8_t flags[RECO__CHUNK_ITEMS];
    _Atomic uint64_t restricted[RECO__CHUNK_ITEMS / 64]; /* a bit for each hidden or windowed item */
    _Atomic(reco__catalogue_details *) details;
} reco__catalogue_chunk;

/* Readers of one of two kinds, a line of memory away from the others: memory of an application's allocator is aligned to 16 bytes, no more. */
typedef struct reco__catalogue_readers {
    atomic_uint_fast32_t count;
    char apart[64 - sizeof(atomic_uint_fast32_t)];
} reco__catalogue_readers;

typedef struct reco__category {
    uint32_t *items;
    size_t count, room;
} reco__category;

/* SHARED. Numbers belong to one epoch of features: another epoch, another catalogue. */
typedef struct reco__catalogue {
    reco__features *features;
    reco__records *records;
    reco__aliases *aliases; /* of users, which follow the same change log */
    uint32_t chunk_count;
    _Atomic(reco__catalogue_chunk *) *chunks;
    atomic_uint_fast32_t restricted;  /* how many items are hidden or windowed */
    atomic_uint_fast32_t known_below; /* all numbers below are known */
    atomic_uint_fast64_t sequence;    /* changes up to here are applied */
    atomic_uint_fast64_t version;     /* raised by every change of flags */
    atomic_uint_fast64_t bytes;
    uint32_t item_values;              /* most of an item */
    uint64_t attribute_bytes;          /* most that traits take */
    uint64_t seed;                     /* of texts in traits */
    atomic_uint_fast64_t traits_bytes; /* part of `bytes`; what is retired included */
    atomic_int_fast32_t unheld;        /* items that are not known in full */
    atomic_int_fast32_t variants;      /* items that have a parent */
    atomic_uint_fast64_t round;        /* see catalogue.c, 'Letting go' */
    reco__catalogue_readers readers[2];
    pthread_mutex_t lock; /* of writers, and of readers of categories; never held while a door is called */
    reco__map category_names;
    reco__category *categories;
    size_t category_room;
    reco__map trait_names;
    reco__traits *retired[2];
    bool told_full; /* that traits are full was logged */
} reco__catalogue;

reco_status reco__catalogue_create(reco__catalogue **out, const reco__settings *settings, reco__features *features, reco__records *records,
                                   reco_error *err);
void reco__catalogue_free(reco__catalogue *catalogue);
/* Everything records have, by scan. Once, before anyone else has the catalogue. */
reco_status reco__catalogue_load(reco__catalogue *catalogue, const reco_call *call, reco_error *err);
/* What the change log has beyond `sequence`. NOT_FOUND when it no longer reaches back: load a new one. */
reco_status reco__catalogue_follow(reco__catalogue *catalogue, const reco_call *call, reco_error *err);
/* Asks records about the numbers below `item_count` that are not known. */
reco_status reco__catalogue_catch_up(reco__catalogue *catalogue, uint32_t item_count, const reco_call *call, reco_error *err);
static inline bool reco__catalogue_caught_up(const reco__catalogue *catalogue, uint32_t item_count) {
    return atomic_load_explicit(&catalogue->known_below, memory_order_acquire) >= item_count;
}
/* About one number. */
reco_status reco__catalogue_learn(reco__catalogue *catalogue, uint32_t item, const reco_call *call, reco_error *err);
/* The items of a category, in any order; appended as u32 to `out`. */
void reco__catalogue_category(reco__buf *out, reco__catalogue *catalogue, reco_str category);

static inline reco__catalogue_chunk *reco__catalogue_chunk_of(const reco__catalogue *catalogue, uint32_t item) {
    uint32_t chunk = item >> RECO__CHUNK_BITS;
    return chunk < catalogue->chunk_count ? atomic_load_explicit(&catalogue->chunks[chunk], memory_order_acquire) : NULL;
}

static inline bool reco__catalogue_known(const reco__catalogue *catalogue, uint32_t item) {
    if (item < atomic_load_explicit(&catalogue->known_below, memory_order_acquire)) { /* nearly always, and no look into memory far away */
        return true;
    }
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, item);
    return chunk && atomic_load_explicit(&chunk->flags[item % RECO__CHUNK_ITEMS], memory_order_acquire) != 0;
}

/* Whether it is hidden or windowed. */
static inline bool reco__catalogue_restricted(const reco__catalogue *catalogue, uint32_t item) {
    if (atomic_load_explicit(&catalogue->restricted, memory_order_relaxed) == 0) {
        return false;
    }
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, item);
    uint32_t at = item % RECO__CHUNK_ITEMS;
    return chunk && (atomic_load_explicit(&chunk->restricted[at / 64], memory_order_relaxed) >> (at % 64) & 1);
}

/* Whether it may be recommended at a moment; an item records know nothing of may. */
bool reco__catalogue_available(const reco__catalogue *catalogue, uint32_t item, int64_t moment);

/* Between the two, traits that were found stay as they are. `ticket` is what enter answered. */
uint32_t reco__catalogue_enter(reco__catalogue *catalogue);
void reco__catalogue_leave(reco__catalogue *catalogue, uint32_t ticket);
/* The traits of an item that has no number, for the caller to release. */
reco_status reco__catalogue_describe(reco__traits **out, reco__catalogue *catalogue, reco__arena *arena, const reco_item *item, reco_error *err);
/* The number of an attribute; RECO__TRAIT_NONE when no item has it. */
uint32_t reco__catalogue_attribute(reco__catalogue *catalogue, reco_str name);

/* NULL: no item of its chunk has a record. */
static inline const reco__catalogue_details *reco__catalogue_details_of(const reco__catalogue *catalogue, uint32_t item) {
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, item);
    return chunk ? atomic_load_explicit(&chunk->details, memory_order_acquire) : NULL;
}

/* The sign of an item's traits (traits.h). */
static inline uint64_t reco__catalogue_sign(const reco__catalogue *catalogue, uint32_t item) {
    const reco__catalogue_details *details = reco__catalogue_details_of(catalogue, item);
    return details ? atomic_load_explicit(&details->signs[item % RECO__CHUNK_ITEMS], memory_order_relaxed) : 0;
}

/* Asks memory for it. */
static inline void reco__catalogue_expect_sign(const reco__catalogue *catalogue, uint32_t item) {
    const reco__catalogue_details *details = reco__catalogue_details_of(catalogue, item);
    __builtin_prefetch(details ? &details->signs[item % RECO__CHUNK_ITEMS] : NULL); /* harmless where there is none */
}

/* Where the traits of an item are to be found; NULL: nowhere. */
static inline const _Atomic(const reco__traits *) *reco__catalogue_traits_slot(const reco__catalogue *catalogue, uint32_t item) {
    const reco__catalogue_details *details = reco__catalogue_details_of(catalogue, item);
    return details ? &details->traits[item % RECO__CHUNK_ITEMS] : NULL;
}

/* NULL: records say nothing that conditions ask. Valid until the reader leaves. */
static inline const reco__traits *reco__catalogue_traits(const reco__catalogue *catalogue, uint32_t item) {
    const _Atomic(const reco__traits *) *slot = reco__catalogue_traits_slot(catalogue, item);
    return slot ? atomic_load_explicit(slot, memory_order_acquire) : NULL;
}

#endif
