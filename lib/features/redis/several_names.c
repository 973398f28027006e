/* several_names.c - item numbers over several primaries.
 *
 * Each primary numbers the names it holds by itself. The numbers told to the engine are this process's own: those of the first primary, in its order,
 * and behind them whatever other names another primary was found to have. Every name goes to the first primary before it gets a number, so its list
 * is the one that counts, and its limit the limit over all.
 *
 * Numbers of one combination of epochs make an era. When the epoch of any primary is another one (it was emptied, a snapshot was loaded, it went back
 * and its numbers have other names), the era is over: all numbers are given anew and the epoch that is told changes, so that batches and caches of
 * before are void. What a primary answers is told in the numbers of the table of names it has at that moment; an answer counts when that table is
 * still the era's afterwards. */
#include "features/redis/several.h"

static reco__redis_names *table_of(const reco_features_store *store) {
    return atomic_load_explicit(&((reco_features_store *)(uintptr_t)store)->names, memory_order_acquire);
}

/* --- maps ------------------------------------------------------------------------------------------------------------------------------- */

static unsigned slab_of(uint32_t number, size_t *at) {
    uint64_t shifted = (uint64_t)number + (1u << RECO__NAMES_FIRST_BITS);
    unsigned bits = 63u - (unsigned)__builtin_clzll(shifted);
    *at = (size_t)(shifted - (UINT64_C(1) << bits));
    return bits - RECO__NAMES_FIRST_BITS;
}

static uint32_t map_get(const reco__several_map *map, uint32_t number) {
    size_t at;
    unsigned slab = slab_of(number, &at);
    _Atomic uint32_t *entries = atomic_load_explicit(&((reco__several_map *)(uintptr_t)map)->slabs[slab], memory_order_acquire);
    uint32_t found = entries ? atomic_load_explicit(&entries[at], memory_order_relaxed) : 0;
    return found ? found - 1 : RECO_NO_ITEM;
}

/* Without memory nothing is kept: it is looked up again. */
static void map_set(reco__several_map *map, uint32_t number, uint32_t to) {
    size_t at;
    unsigned slab = slab_of(number, &at);
    _Atomic uint32_t *entries = atomic_load_explicit(&map->slabs[slab], memory_order_acquire);
    if (!entries) {
        _Atomic uint32_t *made = reco__zalloc(((size_t)1 << (slab + RECO__NAMES_FIRST_BITS)) * sizeof *made);
        if (!made) {
            return;
        }
        if (atomic_compare_exchange_strong(&map->slabs[slab], &entries, made)) {
            entries = made;
        } else {
            reco__release((void *)(uintptr_t)made);
        }
    }
    atomic_store_explicit(&entries[at], to + 1, memory_order_relaxed);
}

static void map_dispose(reco__several_map *map) {
    for (unsigned i = 0; i < RECO__NAMES_SLABS; i++) {
        reco__release((void *)(uintptr_t)atomic_load(&map->slabs[i]));
    }
}

/* --- eras ------------------------------------------------------------------------------------------------------------------------------- */

static void era_free(reco__several_era *era) {
    for (uint32_t k = 0; k < RECO__SEVERAL_MAX; k++) {
        map_dispose(&era->to[k]);
        map_dispose(&era->from[k]);
    }
    reco__names_free(era->names);
    reco__release(era);
}

void reco__several_names_dispose(reco__several *several) {
    for (reco__several_era *era = reco__several_now(several), *older; era; era = older) {
        older = era->older;
        era_free(era);
    }
    atomic_store(&several->era, NULL);
}

/* Takes in what the first primary has more. era_lock held. */
static reco_status absorb(reco__several_era *era, reco_error *err) {
    const reco__names *theirs = era->tables[0]->names;
    uint32_t count = reco__names_count(theirs);
    reco_status status = RECO_OK;
    while (era->absorbed < count && status == RECO_OK) {
        reco_str name;
        uint32_t number;
        reco__names_get(&name, NULL, theirs, era->absorbed);
        if (reco__names_find(&number, era->names, &name, 1, RECO_NO_ITEM) > 0) {
            number = reco__names_count(era->names);
            status = reco__names_add(era->names, name.data, name.size, err);
        }
        if (status == RECO_OK) {
            map_set(&era->to[0], number, era->absorbed);
            map_set(&era->from[0], era->absorbed++, number);
        }
    }
    return status;
}

/* The epoch of primary k with the table of names that goes with it. */
static reco_status meet(uint64_t *epoch, reco__redis_names **table, reco__several *several, uint32_t k, const reco_call *call, reco_error *err) {
    reco_features_store *store = several->primaries[k];
    reco_position positions[RECO__REDIS_PARTITIONS];
    for (int tries = 0; tries < RECO__SEVERAL_TRIES; tries++) {
        uint64_t before;
        reco_status status = reco__redis_positions(positions, &before, store, call, err);
        if (status == RECO_OK) {
            status = reco__redis_find_items(NULL, store, NULL, 0, call, err); /* reads on the names */
        }
        *table = table_of(store);
        if (status == RECO_OK) {
            status = reco__redis_positions(positions, epoch, store, call, err);
        }
        if (status != RECO_OK || *epoch == before) {
            return status;
        }
    }
    return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primary %u is emptied or loaded again and again", k);
}

/* era_lock held. */
static reco_status era_make(reco__several_era **out, reco__several *several, const reco_call *call, reco_error *err) {
    reco__several_era *era = reco__zalloc(sizeof *era);
    if (!era) {
        return reco__no_memory(err);
    }
    reco_status status = RECO_OK;
    era->names = reco__names_create();
    if (!era->names) {
        status = reco__no_memory(err);
    }
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = meet(&era->epochs[k], &era->tables[k], several, k, call, err);
    }
    if (status == RECO_OK) {
        status = absorb(era, err);
    }
    if (status != RECO_OK) {
        era_free(era);
        return status;
    }
    era->epoch = reco__hash64(era->epochs, several->count * sizeof era->epochs[0], 0) | 1;
    *out = era;
    return RECO_OK;
}

static bool same_content(const reco__several *several, const reco__several_era *a, const reco__several_era *b) {
    for (uint32_t k = 0; k < several->count; k++) {
        if (a->epochs[k] != b->epochs[k] || a->tables[k] != b->tables[k]) {
            return false;
        }
    }
    return true;
}

reco_status reco__several_renew(reco__several *several, const reco__several_era *seen, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    pthread_mutex_lock(&several->era_lock);
    reco__several_era *now = reco__several_now(several), *made = NULL;
    if (now == seen) {
        status = era_make(&made, several, call, err);
        if (status == RECO_OK && now && same_content(several, now, made)) {
            era_free(made); /* it had passed already */
        } else if (status == RECO_OK) {
            if (now) {
                reco__log(RECO_LOG_INFO, "features", "redis: the content of a primary is another one: item numbers are given anew");
            }
            made->older = now;
            atomic_store_explicit(&several->era, made, memory_order_release);
        }
    }
    pthread_mutex_unlock(&several->era_lock);
    return status;
}

bool reco__several_holds(const reco__several *several, const reco__several_era *era, uint32_t k) {
    return table_of(several->primaries[k]) == era->tables[k];
}

/* --- from number to number ---------------------------------------------------------------------------------------------------------------- */

uint32_t reco__several_owner(const reco__several *several, const reco__several_era *era, uint32_t number) {
    return (uint32_t)(reco__names_hash(reco__names_hashes_of(era->names), number) % several->count);
}

uint32_t reco__several_number(reco__several_era *era, uint32_t k, uint32_t number) {
    reco_str name;
    uint32_t found = map_get(&era->to[k], number);
    if (found == RECO_NO_ITEM && reco__names_get(&name, NULL, era->names, number) &&
        reco__names_find(&found, era->tables[k]->names, &name, 1, RECO_NO_ITEM) == 0) {
        map_set(&era->to[k], number, found);
    }
    return found;
}

reco_status reco__several_seek(uint32_t *out, reco__several *several, reco__several_era *era, uint32_t k, uint32_t number, const reco_call *call,
                               reco_error *err) {
    *out = reco__several_number(era, k, number);
    if (*out != RECO_NO_ITEM) {
        return RECO_OK;
    }
    reco_status status = reco__redis_find_items(NULL, several->primaries[k], NULL, 0, call, err);
    if (status == RECO_OK) {
        *out = reco__several_number(era, k, number);
    }
    return status;
}

/* False for a number whose name has not been read. */
static bool back(uint32_t *out, reco_status *status, reco__several *several, reco__several_era *era, uint32_t k, uint32_t number, reco_error *err) {
    reco_str name;
    *out = map_get(&era->from[k], number);
    if (*out != RECO_NO_ITEM) {
        return true;
    }
    if (!reco__names_get(&name, NULL, era->tables[k]->names, number)) {
        return false;
    }
    if (reco__names_find(out, era->names, &name, 1, RECO_NO_ITEM) > 0) {
        pthread_mutex_lock(&several->era_lock);
        *status = absorb(era, err);
        if (*status == RECO_OK && reco__names_find(out, era->names, &name, 1, RECO_NO_ITEM) > 0) {
            *out = reco__names_count(era->names); /* the first primary has lost it, or is about to tell */
            *status = reco__names_add(era->names, name.data, name.size, err);
        }
        pthread_mutex_unlock(&several->era_lock);
    }
    if (*status == RECO_OK) {
        map_set(&era->from[k], number, *out);
        map_set(&era->to[k], *out, number);
    }
    return true;
}

reco_status reco__several_back(uint32_t *out, reco__several *several, reco__several_era *era, uint32_t k, uint32_t number, const reco_call *call,
                               reco_error *err) {
    reco_status status = RECO_OK;
    if (back(out, &status, several, era, k, number, err)) {
        return status;
    }
    status = reco__redis_find_items(NULL, several->primaries[k], NULL, 0, call, err);
    if (status != RECO_OK) {
        return status;
    }
    bool known = back(out, &status, several, era, k, number, err);
    return known ? status : reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primary %u has lost the names of items", k);
}

reco_status reco__several_give(reco__several *several, reco__several_era *era, uint32_t k, const uint32_t *numbers, size_t count,
                               const reco_call *call, reco_error *err) {
    if (count == 0) {
        return RECO_OK;
    }
    reco_str *names = reco__alloc_array(count, sizeof *names);
    uint32_t *given = reco__alloc_array(count, sizeof *given);
    reco_status status = names && given ? RECO_OK : reco__no_memory(err);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        if (!reco__names_get(&names[i], NULL, era->names, numbers[i])) {
            status = reco__fail(err, RECO_INVALID, "groups", "item number %u has no name", numbers[i]);
        }
    }
    if (status == RECO_OK) {
        status = reco__redis_intern(given, several->primaries[k], names, count, call, err);
    }
    if (status == RECO_OK && !reco__several_holds(several, era, k)) {
        status = reco__fail(err, RECO_STALE, "epoch", "primary %u was emptied or restored meanwhile", k);
    }
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        map_set(&era->to[k], numbers[i], given[i]);
        map_set(&era->from[k], given[i], numbers[i]);
    }
    reco__release(names);
    reco__release(given);
    return status;
}

/* --- the contract ------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__several_follow(reco__several *several, reco__several_era *era, const reco_call *call, reco_error *err) {
    reco_status status = reco__redis_find_items(NULL, several->primaries[0], NULL, 0, call, err);
    if (status == RECO_OK) {
        pthread_mutex_lock(&several->era_lock);
        status = absorb(era, err);
        pthread_mutex_unlock(&several->era_lock);
    }
    return status;
}

reco_status reco__several_intern(uint32_t *numbers, reco__several *several, const reco_str *names, size_t count, const reco_call *call,
                                 reco_error *err) {
    for (int tries = 0; tries < RECO__SEVERAL_TRIES; tries++) {
        reco__several_era *era = reco__several_now(several);
        if (reco__names_find(numbers, era->tables[0]->names, names, count, RECO_NO_ITEM) == 0 &&
            reco__names_find(numbers, era->names, names, count, RECO_NO_ITEM) == 0) {
            return RECO_OK;
        }
        reco_status status = reco__redis_intern(numbers, several->primaries[0], names, count, call, err);
        if (status != RECO_OK) {
            return status;
        }
        pthread_mutex_lock(&several->era_lock);
        status = absorb(era, err);
        pthread_mutex_unlock(&several->era_lock);
        if (status != RECO_OK) {
            return status;
        }
        if (reco__several_holds(several, era, 0) && reco__names_find(numbers, era->names, names, count, RECO_NO_ITEM) == 0) {
            return RECO_OK;
        }
        status = reco__several_renew(several, era, call, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: the names of items come and go");
}

reco_status reco__several_find_items(uint32_t *numbers, reco__several *several, const reco_str *names, size_t count, const reco_call *call,
                                     reco_error *err) {
    reco__several_era *era = reco__several_now(several);
    if (reco__names_find(numbers, era->names, names, count, RECO_NO_ITEM) == 0) {
        return RECO_OK;
    }
    reco_status status = reco__several_follow(several, era, call, err);
    if (status == RECO_OK && !reco__several_holds(several, era, 0)) {
        status = reco__several_renew(several, era, call, err);
    }
    if (status == RECO_OK) {
        reco__names_find(numbers, reco__several_now(several)->names, names, count, RECO_NO_ITEM);
    }
    return status;
}

reco_status reco__several_item_name(reco_str *name, uint64_t *hash, reco__several *several, uint32_t number) {
    reco__several_era *era = reco__several_now(several);
    if (reco__names_get(name, hash, era->names, number)) {
        return RECO_OK;
    }
    reco_status status = reco__several_follow(several, era, NULL, NULL);
    if (status != RECO_OK) {
        return status;
    }
    return reco__names_get(name, hash, era->names, number) ? RECO_OK : RECO_NOT_FOUND;
}
