/* recommend/traits.h - what conditions can ask of an item: the values of its attributes, packed. */
#ifndef RECO__TRAITS_H
#define RECO__TRAITS_H

#include "base/base.h"
#include <reco/filter.h>
#include <reco/item.h>

/* Attributes by number. The first two are not of the attributes bag. */
#define RECO__TRAIT_CATEGORIES 0u
#define RECO__TRAIT_PARENT 1u
#define RECO__TRAIT_NAMES_MAX 16384u /* different names */
#define RECO__TRAIT_NAME_MAX 256u    /* bytes of one */
#define RECO__TRAIT_NONE UINT32_MAX

/* A value on its way: numbers as bits, texts as hashes, booleans as 0 or 1. */
typedef struct reco__trait {
    reco_str name;
    uint32_t number; /* of the name */
    uint32_t type;   /* RECO_VALUE_... */
    uint64_t value;
} reco__trait;

/* The values of an item, in order of (name, type, value). FROZEN. Keys, (number of the name) x 4 + type, follow the struct, values follow them. */
typedef struct reco__traits {
    struct reco__traits *next; /* when nobody may find it any more */
    uint64_t product;          /* xxh64 of its parent's id; 0: it is no variant */
    uint16_t count;
    bool cut; /* there is more than could be held */
} reco__traits;

/* Of an item that could not be held at all. Not to be freed. */
extern const reco__traits reco__traits_unknown;

static inline size_t reco__traits_keys_size(size_t count) { return (count * sizeof(uint16_t) + 7) / 8 * 8; }
static inline size_t reco__traits_size(size_t count) { return sizeof(reco__traits) + reco__traits_keys_size(count) + count * sizeof(uint64_t); }
static inline const uint16_t *reco__traits_keys(const reco__traits *traits) { return (const uint16_t *)(const void *)(traits + 1); }
static inline const uint64_t *reco__traits_values(const reco__traits *traits) {
    return (const uint64_t *)(const void *)((const char *)(traits + 1) + reco__traits_keys_size(traits->count));
}

/* The bits under which a number is held; equal numbers have equal ones. */
uint64_t reco__trait_number(double number);
double reco__trait_double(uint64_t value);
/* What stands for a text. By chance two in 2^64 are the same; the seed is drawn by each process, so that nobody can choose them. */
uint64_t reco__trait_text(reco_str text, uint64_t seed);

/* The values of an item into the arena, `most` at most, names without numbers yet; *cut: there are more. Categories and parent come first. */
reco_status reco__traits_list(reco__trait **out, size_t *count, bool *cut, reco__arena *arena, const reco_item *item, uint32_t most, uint64_t seed,
                              reco_error *err);
/* Packs values whose names have numbers; those of RECO__TRAIT_NONE are left out, which counts as cut. NULL: out of memory. */
reco__traits *reco__traits_pack(reco__trait *list, size_t count, bool cut, uint64_t product);

/* Signs: 64 bits that tell of most items that they lack something, without a look at their traits. A value is three bits, the name of an attribute is
 * one; the sign of an item has those of all its traits. Who lacks one of the bits lacks the value; who has them all may have it. */
static inline uint64_t reco__trait_spread(uint64_t number) { /* the upper bits depend on all of them */
    number *= UINT64_C(0x9e3779b97f4a7c15);
    return (number ^ number >> 32) * UINT64_C(0xd6e8feb86659fd93);
}
static inline uint64_t reco__trait_sign(uint32_t name, uint32_t type, uint64_t value) {
    uint64_t spread = reco__trait_spread(value + reco__trait_spread(name * 4 + type));
    return UINT64_C(1) << (spread >> 58) | UINT64_C(1) << (spread >> 52 & 63) | UINT64_C(1) << (spread >> 46 & 63);
}
static inline uint64_t reco__trait_name_sign(uint32_t name) { return UINT64_C(1) << (reco__trait_spread(name) >> 58); }
/* Of NULL: no bits. */
uint64_t reco__traits_sign(const reco__traits *traits);

/* The values of one attribute: places [*from, *to). */
static inline void reco__traits_find(uint32_t *from, uint32_t *to, const reco__traits *traits, uint32_t name) {
    const uint16_t *keys = reco__traits_keys(traits);
    uint32_t at = 0;

    while (at < traits->count && keys[at] >> 2 < name) {
        at++;
    }
    *from = at;
    while (at < traits->count && keys[at] >> 2 == name) {
        at++;
    }
    *to = at;
}

#endif
