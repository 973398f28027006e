/* base/map.c - bytes to dense numbers.
 *
 * `entries` are in order of insertion and hold the hash and the key; `slots` are a table of index + 1 with linear probing, at most half full. Keys
 * come from outside, so the hash is seeded by where the map's first block of keys happens to lie: input made to collide in one process does not in
 * another. Nothing that is stored or answered depends on the hash. The map does not delete.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/base.h"

#define ENTRIES_MIN 16u

static inline uint64_t hash_of(const reco__map *map, const void *key, size_t size) {
    return XXH3_64bits_withSeed(key, size, (uint64_t)(uintptr_t)map->keys.first);
}

/* The slot that holds the key, or the empty one where it belongs. */
static inline size_t find_slot(const reco__map *map, uint64_t hash, const void *key, size_t size) {
    size_t slot = hash & map->slot_mask;

    while (map->slots[slot] != 0) {
        const struct reco__map_entry *entry = &map->entries[map->slots[slot] - 1];
        if (entry->hash == hash && entry->size == size && (size == 0 || memcmp(entry->key, key, size) == 0)) {
            return slot;
        }
        slot = (slot + 1) & map->slot_mask;
    }
    return slot;
}

static bool grow_entries(reco__map *map) {
    size_t capacity = map->entry_capacity > 0 ? map->entry_capacity * 2 : ENTRIES_MIN;
    struct reco__map_entry *entries = reco__realloc_array(map->entries, capacity, sizeof(*entries));

    if (!entries) {
        return false;
    }
    map->entries = entries;
    map->entry_capacity = capacity;
    return true;
}

static bool grow_slots(reco__map *map) {
    size_t count = map->slot_mask > 0 ? (map->slot_mask + 1) * 2 : ENTRIES_MIN * 2, mask = count - 1;
    uint32_t *slots = count <= SIZE_MAX / sizeof(*slots) ? reco__zalloc(count * sizeof(*slots)) : NULL;

    if (!slots) {
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        size_t slot = map->entries[i].hash & mask;
        while (slots[slot] != 0) {
            slot = (slot + 1) & mask;
        }
        slots[slot] = (uint32_t)(i + 1);
    }
    reco__release(map->slots);
    map->slots = slots;
    map->slot_mask = mask;
    return true;
}

/* Room for one more, so that nothing can fail once the key is copied. The first call also gives the hash its seed. */
static bool make_room(reco__map *map) {
    if (!map->keys.first) {
        if (!reco__arena_alloc(&map->keys, 0)) {
            return false;
        }
        reco__arena_reset(&map->keys);
    }
    if (map->count == map->entry_capacity && !grow_entries(map)) {
        return false;
    }
    return (map->slot_mask > 0 && map->count < (map->slot_mask + 1) / 2) || grow_slots(map);
}

uint32_t reco__map_put(reco__map *map, const void *key, size_t size, bool *added) {
    if (added) {
        *added = false;
    }
    if (size > UINT32_MAX || map->count >= RECO__MAP_NONE - 1 || !make_room(map)) {
        return RECO__MAP_NONE;
    }
    uint64_t hash = hash_of(map, key, size);
    size_t slot = find_slot(map, hash, key, size);
    if (map->slots[slot] != 0) {
        return map->slots[slot] - 1;
    }
    const char *copy = reco__arena_copy(&map->keys, key, size);
    if (!copy) {
        return RECO__MAP_NONE;
    }
    map->entries[map->count] = (struct reco__map_entry){hash, copy, (uint32_t)size, 0};
    map->slots[slot] = (uint32_t)++map->count;
    if (added) {
        *added = true;
    }
    return (uint32_t)(map->count - 1);
}

uint32_t reco__map_find(const reco__map *map, const void *key, size_t size) {
    if (map->count == 0) {
        return RECO__MAP_NONE;
    }
    uint32_t found = map->slots[find_slot(map, hash_of(map, key, size), key, size)];
    return found != 0 ? found - 1 : RECO__MAP_NONE;
}

void reco__map_reset(reco__map *map) {
    if (map->slots) {
        memset(map->slots, 0, (map->slot_mask + 1) * sizeof(*map->slots));
    }
    map->count = 0;
    reco__arena_reset(&map->keys);
}

void reco__map_dispose(reco__map *map) {
    reco__release(map->entries);
    reco__release(map->slots);
    reco__arena_dispose(&map->keys);
    memset(map, 0, sizeof(*map));
}
