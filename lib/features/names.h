/* features/names.h - the table of item names: number -> name and hash without a lock, name -> number. */
#ifndef RECO__FEATURES_NAMES_H
#define RECO__FEATURES_NAMES_H

#include "base/base.h"
#include <reco/plugin/features.h>

/* SHARED. Numbers are given densely in order of addition; what get hands out is valid until free. */
typedef struct reco__names reco__names;

/* Where the hashes are, for those who read many: slab k holds 1,024 << k of them. */
enum { RECO__NAMES_FIRST_BITS = 10, RECO__NAMES_SLABS = 33 - RECO__NAMES_FIRST_BITS };
typedef struct reco__names_hashes {
    uint64_t *slabs[RECO__NAMES_SLABS];
} reco__names_hashes;
const reco__names_hashes *reco__names_hashes_of(const reco__names *names);
/* Hash of the name of a number below count. */
static inline uint64_t reco__names_hash(const reco__names_hashes *hashes, uint32_t number) {
    uint64_t shifted = (uint64_t)number + (1u << RECO__NAMES_FIRST_BITS);
    unsigned bits = 63u - (unsigned)__builtin_clzll(shifted);
    return hashes->slabs[bits - RECO__NAMES_FIRST_BITS][shifted - (UINT64_C(1) << bits)];
}

reco__names *reco__names_create(void); /* NULL: out of memory */
void reco__names_free(reco__names *names);
uint32_t reco__names_count(const reco__names *names);

/* Makes room so that `count` more names of `bytes` together can be added without failing. Callers of reserve and add exclude each other. */
reco_status reco__names_reserve(reco__names *names, size_t count, size_t bytes, reco_error *err);
/* Gives the next number to a name of 1..65,535 bytes that has none. */
reco_status reco__names_add(reco__names *names, const void *name, size_t size, reco_error *err);

/* Numbers of names, `missing` where there is none; returns how many are missing. */
size_t reco__names_find(uint32_t *numbers, reco__names *names, const reco_str *wanted, size_t count, uint32_t missing);
/* False for a number never given. */
bool reco__names_get(reco_str *name, uint64_t *hash, const reco__names *names, uint32_t number);
/* Numbers from `base` on for the names that have none (numbers[i] is RECO_NO_ITEM), the same for the same name; the new ones stand in `fresh`, in
 * order of their numbers. FULL, naming limits.items, when one would be `max` or more. */
reco_status reco__names_number(uint32_t *numbers, reco__map *fresh, const reco_str *names, size_t count, uint32_t base, uint32_t max,
                               reco_error *err);
/* How ties are settled by these names. Borrows the table. */
reco_board_names reco__names_board(reco__names *names);
/* Bytes held. */
uint64_t reco__names_bytes(const reco__names *names);

#endif
