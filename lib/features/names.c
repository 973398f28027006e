/* names.c - the table of item names of one store.
 *
 * Numbers index slabs that double in size (1,024, 2,048, 4,096 ... entries), so that nothing ever moves: a reader that has seen count > n reads entry
 * n without a lock, for the count is published after the entry. An entry is the hash of the name (xxh64, seed 0: the one that breaks ties) and a
 * pointer to its bytes, which stand behind their length in blocks of 64 KiB. Hashes and pointers lie in slabs of their own: the settling of ties
 * reads hashes alone, at random, and half as many cache lines hold them all. The way back is one open-addressing array of numbers, at most two thirds
 * full, behind a reader-writer lock; it compares hashes of entries before bytes. An item costs 16 bytes, its name and 2, and 6 to 12 for the way
 * back. Nothing is ever removed. */
#include <pthread.h>
#include <stdatomic.h>

#include "features/names.h"

enum { FIRST_SLAB_BITS = RECO__NAMES_FIRST_BITS, SLABS = RECO__NAMES_SLABS, BLOCK = 65536, LENGTH = 2, NAME_MAX = 65535 };

struct block {
    struct block *next;
    size_t used, size;
    uint8_t data[];
};

struct reco__names {
    pthread_rwlock_t lock; /* the slots */
    _Atomic uint32_t count;
    reco__names_hashes hashes;       /* slabs are written before the count that makes them visible */
    const uint8_t **bytes_of[SLABS]; /* u16 length, bytes */
    struct block *blocks;
    uint32_t *slots;   /* number + 1; 0: empty */
    size_t slot_count; /* a power of two */
    _Atomic uint64_t bytes;
};

/* Where the entry of a number is. */
struct place {
    unsigned slab;
    size_t at;
};

static inline struct place place_of(uint32_t number) {
    uint64_t shifted = (uint64_t)number + (1u << FIRST_SLAB_BITS);
    unsigned bits = 63u - (unsigned)__builtin_clzll(shifted);
    struct place place = {bits - FIRST_SLAB_BITS, (size_t)(shifted - (UINT64_C(1) << bits))};
    return place;
}

static inline uint64_t hash_at(const reco__names *names, uint32_t number) { return reco__names_hash(&names->hashes, number); }

static inline reco_str name_at(const reco__names *names, uint32_t number) {
    struct place place = place_of(number);
    const uint8_t *bytes = names->bytes_of[place.slab][place.at];
    reco_str name = {(const char *)bytes + LENGTH, (size_t)bytes[0] | (size_t)bytes[1] << 8};
    return name;
}

reco__names *reco__names_create(void) {
    reco__names *names = reco__zalloc(sizeof *names);
    if (names && pthread_rwlock_init(&names->lock, NULL) != 0) {
        reco__release(names);
        return NULL;
    }
    return names;
}

void reco__names_free(reco__names *names) {
    if (!names) {
        return;
    }
    for (int i = 0; i < SLABS; i++) {
        reco__release(names->hashes.slabs[i]);
        reco__release(names->bytes_of[i]);
    }
    while (names->blocks) {
        struct block *next = names->blocks->next;
        reco__release(names->blocks);
        names->blocks = next;
    }
    reco__release(names->slots);
    pthread_rwlock_destroy(&names->lock);
    reco__release(names);
}

uint32_t reco__names_count(const reco__names *names) { return atomic_load_explicit(&names->count, memory_order_acquire); }

static reco_status reserve_slabs(reco__names *names, uint64_t count, reco_error *err) {
    for (unsigned i = 0; i < SLABS && ((UINT64_C(1) << i) - 1) << FIRST_SLAB_BITS < count; i++) {
        size_t entries = (size_t)1 << (i + FIRST_SLAB_BITS);
        if (!names->hashes.slabs[i]) {
            names->hashes.slabs[i] = reco__alloc_array(entries, sizeof *names->hashes.slabs[i]);
        }
        if (names->hashes.slabs[i] && !names->bytes_of[i]) {
            names->bytes_of[i] = reco__alloc_array(entries, sizeof *names->bytes_of[i]);
            names->bytes += entries * (sizeof *names->hashes.slabs[i] + sizeof *names->bytes_of[i]);
        }
        if (!names->bytes_of[i]) {
            return reco__no_memory(err);
        }
    }
    return RECO_OK;
}

static void fill_slots(const reco__names *names, uint32_t *slots, size_t slot_count) {
    uint32_t count = reco__names_count(names);
    for (uint32_t number = 0; number < count; number++) {
        size_t at = (size_t)hash_at(names, number) & (slot_count - 1);
        while (slots[at]) {
            at = (at + 1) & (slot_count - 1);
        }
        slots[at] = number + 1;
    }
}

static reco_status reserve_slots(reco__names *names, uint64_t count, reco_error *err) {
    size_t wanted = names->slot_count ? names->slot_count : 1024;
    while (wanted / 3 * 2 < count) {
        wanted *= 2;
    }
    if (wanted == names->slot_count) {
        return RECO_OK;
    }
    uint32_t *slots = reco__alloc_array(wanted, sizeof *slots);
    if (!slots) {
        return reco__no_memory(err);
    }
    memset(slots, 0, wanted * sizeof *slots);
    fill_slots(names, slots, wanted);
    pthread_rwlock_wrlock(&names->lock);
    uint32_t *old = names->slots;
    names->bytes += (wanted - names->slot_count) * sizeof *slots;
    names->slots = slots;
    names->slot_count = wanted;
    pthread_rwlock_unlock(&names->lock);
    reco__release(old);
    return RECO_OK;
}

static reco_status reserve_bytes(reco__names *names, size_t bytes, reco_error *err) {
    if (names->blocks && names->blocks->size - names->blocks->used >= bytes) {
        return RECO_OK;
    }
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    struct block *block = reco__alloc(sizeof *block + size);
    if (!block) {
        return reco__no_memory(err);
    }
    block->next = names->blocks;
    block->used = 0;
    block->size = size;
    names->blocks = block;
    names->bytes += sizeof *block + size;
    return RECO_OK;
}

reco_status reco__names_reserve(reco__names *names, size_t count, size_t bytes, reco_error *err) {
    uint64_t total = (uint64_t)reco__names_count(names) + count;
    if (total > UINT32_MAX - 1) {
        return reco__fail(err, RECO_FULL, "limits.items", "there are no more item numbers");
    }
    reco_status status = reserve_slabs(names, total, err);
    if (status == RECO_OK) {
        status = reserve_slots(names, total, err);
    }
    return status == RECO_OK ? reserve_bytes(names, bytes + count * LENGTH, err) : status;
}

reco_status reco__names_add(reco__names *names, const void *name, size_t size, reco_error *err) {
    if (size == 0 || size > NAME_MAX) {
        return reco__fail(err, RECO_INVALID, "item_id", "a name of %zu bytes", size);
    }
    reco_status status = reco__names_reserve(names, 1, size, err);
    if (status != RECO_OK) {
        return status;
    }
    uint32_t number = reco__names_count(names);
    uint8_t *place = names->blocks->data + names->blocks->used;
    names->blocks->used += size + LENGTH;
    place[0] = (uint8_t)size;
    place[1] = (uint8_t)(size >> 8);
    memcpy(place + LENGTH, name, size);
    struct place entry = place_of(number);
    uint64_t hash = reco__hash64(name, size, 0);
    names->hashes.slabs[entry.slab][entry.at] = hash;
    names->bytes_of[entry.slab][entry.at] = place;
    pthread_rwlock_wrlock(&names->lock);
    size_t at = (size_t)hash & (names->slot_count - 1);
    while (names->slots[at]) {
        at = (at + 1) & (names->slot_count - 1);
    }
    names->slots[at] = number + 1;
    atomic_store_explicit(&names->count, number + 1, memory_order_release);
    pthread_rwlock_unlock(&names->lock);
    return RECO_OK;
}

static uint32_t find_one(const reco__names *names, reco_str wanted, uint32_t missing) {
    if (!names->slot_count) {
        return missing;
    }
    uint64_t hash = reco__hash64(wanted.data, wanted.size, 0);
    for (size_t at = (size_t)hash & (names->slot_count - 1); names->slots[at]; at = (at + 1) & (names->slot_count - 1)) {
        uint32_t number = names->slots[at] - 1;
        if (hash_at(names, number) == hash && reco__str_equal(name_at(names, number), wanted)) {
            return number;
        }
    }
    return missing;
}

size_t reco__names_find(uint32_t *numbers, reco__names *names, const reco_str *wanted, size_t count, uint32_t missing) {
    size_t misses = 0;
    pthread_rwlock_rdlock(&names->lock);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = find_one(names, wanted[i], missing);
        misses += numbers[i] == missing;
    }
    pthread_rwlock_unlock(&names->lock);
    return misses;
}

bool reco__names_get(reco_str *name, uint64_t *hash, const reco__names *names, uint32_t number) {
    if (number >= reco__names_count(names)) {
        return false;
    }
    if (name) {
        *name = name_at(names, number);
    }
    if (hash) {
        *hash = hash_at(names, number);
    }
    return true;
}

reco_status reco__names_number(uint32_t *numbers, reco__map *fresh, const reco_str *names, size_t count, uint32_t base, uint32_t max,
                               reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] != RECO_NO_ITEM) {
            continue;
        }
        bool added;
        uint32_t index = reco__map_put(fresh, names[i].data, names[i].size, &added);
        if (index == RECO__MAP_NONE) {
            return reco__no_memory(err);
        }
        if (added && (uint64_t)base + index >= max) {
            return reco__fail_at(err, RECO_FULL, (int32_t)i, "limits.items", "the table of items is full: %u of %u", base, max);
        }
        numbers[i] = base + index;
    }
    return RECO_OK;
}

static uint64_t tie_hash(void *context, uint32_t member) {
    return member < reco__names_count(context) ? reco__names_hash(reco__names_hashes_of(context), member) : 0;
}

static int tie_compare(void *context, uint32_t a, uint32_t b) {
    reco_str name_a = {NULL, 0}, name_b = {NULL, 0};
    reco__names_get(&name_a, NULL, context, a);
    reco__names_get(&name_b, NULL, context, b);
    return reco__str_compare(name_a, name_b);
}

reco_board_names reco__names_board(reco__names *names) { return (reco_board_names){names, tie_hash, tie_compare}; }

const reco__names_hashes *reco__names_hashes_of(const reco__names *names) { return &names->hashes; }

uint64_t reco__names_bytes(const reco__names *names) { return atomic_load(&names->bytes); }
