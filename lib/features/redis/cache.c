/* cache.c - heads in memory, so that an answer costs one trip: position and cell.
 *
 * A head is handed out when it was asked for less than stale_ms ago (a parameter of the URL, one second unless it says otherwise; 0: no cache); what
 * an item does not have is remembered too. Cells are never kept: what a user did counts at once. A thread, which only stores with background have,
 * asks again for those that are in use before they are too old: for many of them at a time whether their version is still the one in memory (a head
 * changes its version whenever it is put, publish.c), and then only for those that have changed or are not current. Those nobody has asked for during
 * IDLE_NS are dropped, and when memory is full those not used within a second; what does not fit then is asked for each time.
 *
 * Everything is dropped when what was learned is replaced or lost, when another server answers, and when one has gone back (see and meet, in state.c
 * and connection.c): numbers of items may mean others then. An answer that was under way meanwhile is not kept: it has another `turn`. settle drops
 * everything, too: it promises that heads are current.
 *
 * Who reads heads takes the lock to read and copies; nobody asks Redis while holding it. */
#include "features/redis/redis.h"

#include <time.h>

enum { BUCKETS_MIN = 1024, PROBED_AT_ONCE = 256, READ_AT_ONCE = 128 };
#define IDLE_NS (INT64_C(10) * 1000 * 1000 * 1000)
#define SHORT_NS (INT64_C(1000) * 1000 * 1000)

typedef struct entry {
    struct entry *next; /* of its bucket */
    uint32_t item, size;
    _Atomic int64_t read_ns, used_ns;
    bool stored; /* version is that of Redis; else the head was made from rows, or there is none */
    uint8_t version[RECO__REDIS_VERSION];
    uint8_t data[];
} entry;

struct reco__redis_cache {
    pthread_rwlock_t lock; /* guards entries */
    entry **buckets;
    size_t bucket_count, count;
    uint64_t turn; /* raised each time it is emptied */
    uint64_t bytes, limit;
    int64_t stale_ns;
    _Atomic uint64_t hits, misses, refreshed;

    pthread_t thread;
    pthread_mutex_t stop_lock;
    pthread_cond_t stop_cond;
    bool stopping;
    int32_t cancel; /* for the thread's own calls */
};

/* --- entries ---------------------------------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const reco__redis_cache *cache, uint32_t item) {
    return (size_t)((item * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (cache->bucket_count - 1);
}

static entry **place_of(const reco__redis_cache *cache, uint32_t item) {
    entry **at = &cache->buckets[bucket_of(cache, item)];
    while (*at && (*at)->item != item) {
        at = &(*at)->next;
    }
    return at;
}

static void drop(reco__redis_cache *cache, entry **place) {
    entry *gone = *place;
    *place = gone->next;
    cache->count--;
    cache->bytes -= sizeof *gone + gone->size;
    reco__release(gone);
}

static void drop_all(reco__redis_cache *cache) {
    for (size_t b = 0; b < cache->bucket_count; b++) {
        while (cache->buckets[b]) {
            drop(cache, &cache->buckets[b]);
        }
    }
}

/* Twice the buckets; without memory chains just get longer. */
static void grow(reco__redis_cache *cache) {
    size_t before = cache->bucket_count, count = before * 2;
    entry **buckets = reco__alloc_array(count, sizeof *buckets), **old = cache->buckets;
    if (!buckets) {
        return;
    }
    memset(buckets, 0, count * sizeof *buckets);
    cache->buckets = buckets;
    cache->bucket_count = count;
    for (size_t b = 0; b < before; b++) {
        for (entry *at = old[b], *next; at; at = next) {
            next = at->next;
            size_t bucket = bucket_of(cache, at->item);
            at->next = buckets[bucket];
            buckets[bucket] = at;
        }
    }
    reco__release(old);
}

static uint64_t size_of(const reco__redis_cache *cache) { return cache->bytes + cache->bucket_count * sizeof *cache->buckets; }

/* --- used by heads ---------------------------------------------------------------------------------------------------------------------- */

void reco__redis_cache_find(uint32_t *places, size_t *missing, uint64_t *turn, reco_features_store *store, const uint32_t *items, size_t count,
                            reco_features_sink sink, void *context) {
    reco__redis_cache *cache = store->cache;
    int64_t now = reco__monotonic_ns();
    size_t misses = 0;
    pthread_rwlock_rdlock(&cache->lock);
    *turn = cache->turn;
    for (size_t i = 0; i < count; i++) {
        entry *found = *place_of(cache, items[i]);
        if (found) {
            atomic_store_explicit(&found->used_ns, now, memory_order_relaxed);
        }
        if (!found || now - atomic_load_explicit(&found->read_ns, memory_order_relaxed) > cache->stale_ns) {
            places[misses++] = (uint32_t)i;
        } else if (found->size) {
            sink(context, i, found->data, found->size);
        }
    }
    pthread_rwlock_unlock(&cache->lock);
    *missing = misses;
    atomic_fetch_add_explicit(&cache->misses, misses, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->hits, count - misses, memory_order_relaxed);
}

void reco__redis_cache_put(reco_features_store *store, uint64_t turn, int64_t read_ns, uint32_t item, const uint8_t *version, const void *data,
                           size_t size) {
    reco__redis_cache *cache = store->cache;
    entry *made = reco__alloc(sizeof *made + size);
    if (!made) {
        return; /* it is asked for again */
    }
    *made = (entry){.item = item, .size = (uint32_t)size, .stored = version != NULL};
    atomic_store(&made->read_ns, read_ns);
    atomic_store(&made->used_ns, read_ns);
    if (version) {
        memcpy(made->version, version, sizeof made->version);
    }
    if (size) {
        memcpy(made->data, data, size);
    }
    pthread_rwlock_wrlock(&cache->lock);
    entry **place = place_of(cache, item);
    bool keep = cache->turn == turn && (!*place || atomic_load(&(*place)->read_ns) <= read_ns);
    if (keep && *place) {
        atomic_store(&made->used_ns, atomic_load(&(*place)->used_ns));
        drop(cache, place);
    }
    keep = keep && size_of(cache) + sizeof *made + size <= cache->limit;
    if (keep) {
        made->next = *place;
        *place = made;
        cache->count++;
        cache->bytes += sizeof *made + size;
        if (cache->count > cache->bucket_count && size_of(cache) + cache->bucket_count * sizeof *cache->buckets <= cache->limit) {
            grow(cache);
        }
    }
    pthread_rwlock_unlock(&cache->lock);
    if (!keep) {
        reco__release(made);
    }
}

void reco__redis_cache_empty(reco_features_store *store) {
    reco__redis_cache *cache = store->cache;
    if (cache) {
        pthread_rwlock_wrlock(&cache->lock);
        cache->turn++;
        drop_all(cache);
        pthread_rwlock_unlock(&cache->lock);
    }
}

void reco__redis_cache_stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context) {
    reco__redis_cache *cache = store->cache;
    if (cache) {
        pthread_rwlock_rdlock(&cache->lock);
        uint64_t count = cache->count, bytes = size_of(cache);
        pthread_rwlock_unlock(&cache->lock);
        sink(context, "cache_entries", count);
        sink(context, "cache_bytes", bytes);
        sink(context, "cache_hits", atomic_load(&cache->hits));
        sink(context, "cache_misses", atomic_load(&cache->misses));
        sink(context, "cache_refreshed", atomic_load(&cache->refreshed));
    }
}

/* --- refreshing --------------------------------------------------------------------------------------------------------------------------- */

/* What a round is to ask for, and what it is about to find. */
struct round {
    reco_features_store *store;
    uint64_t turn;
    int64_t read_ns;
    uint32_t items[PROBED_AT_ONCE];
    bool stored[PROBED_AT_ONCE];
    uint8_t versions[PROBED_AT_ONCE][RECO__REDIS_VERSION];
    size_t count;
    uint32_t changed[PROBED_AT_ONCE];
    size_t changed_count;
};

/* Drops what is not used, from bucket *next on, and collects what will soon be too old; true when there may be more. */
static bool collect(struct round *round, size_t *next, reco__redis_cache *cache) {
    int64_t now = reco__monotonic_ns();
    round->count = round->changed_count = 0;
    pthread_rwlock_wrlock(&cache->lock);
    round->turn = cache->turn;
    int64_t idle_ns = size_of(cache) > cache->limit / 8 * 7 ? SHORT_NS : IDLE_NS;
    idle_ns = idle_ns > cache->stale_ns ? idle_ns : cache->stale_ns;
    for (; *next < cache->bucket_count && round->count < PROBED_AT_ONCE; (*next)++) {
        for (entry **at = &cache->buckets[*next]; *at;) {
            if (now - atomic_load(&(*at)->used_ns) > idle_ns) {
                drop(cache, at);
                continue;
            }
            if (now - atomic_load(&(*at)->read_ns) > cache->stale_ns / 2 && round->count < PROBED_AT_ONCE) {
                round->items[round->count] = (*at)->item;
                round->stored[round->count] = (*at)->stored;
                memcpy(round->versions[round->count++], (*at)->version, RECO__REDIS_VERSION);
            }
            at = &(*at)->next;
        }
    }
    bool more = *next < cache->bucket_count;
    pthread_rwlock_unlock(&cache->lock);
    return more;
}

/* Those whose version is the same are as good as new. */
static void renew(struct round *round, const uint32_t *items, size_t count) {
    reco__redis_cache *cache = round->store->cache;
    pthread_rwlock_rdlock(&cache->lock);
    for (size_t i = 0; i < count && cache->turn == round->turn; i++) {
        entry *found = *place_of(cache, items[i]);
        if (found && atomic_load(&found->read_ns) < round->read_ns) {
            atomic_store(&found->read_ns, round->read_ns);
        }
    }
    pthread_rwlock_unlock(&cache->lock);
    atomic_fetch_add(&cache->refreshed, count);
}

/* Asks which have changed. */
static reco_status probe(struct round *round, reco__redis_link *link, reco_error *err) {
    reco__redis_state state;
    const redisReply *reply;
    uint32_t same[PROBED_AT_ONCE];
    bool dirty[PROBED_AT_ONCE] = {false};
    size_t same_count = 0;
    round->read_ns = reco__monotonic_ns();
    reco__redis_state_ask(link, round->store, 0);
    reco__redis_command(link, "SMISMEMBER", 2 + round->count);
    reco__redis_key(link, round->store, "d");
    for (size_t i = 0; i < round->count; i++) {
        reco__redis_number(link, round->items[i]);
    }
    for (size_t i = 0; i < round->count; i++) {
        reco__redis_command(link, "GETRANGE", 4);
        reco__redis_key_head(link, round->store, round->items[i]);
        reco__redis_text(link, "0");
        reco__redis_number(link, RECO__REDIS_VERSION - 1);
    }
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_state_take(&state, link, round->store, 0, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (size_t i = 0; status == RECO_OK && i < round->count && i < reply->elements; i++) {
        dirty[i] = reply->element[i]->integer != 0;
    }
    for (size_t i = 0; status == RECO_OK && i < round->count; i++) {
        status = reco__redis_reply(&reply, link, err);
        if (status == RECO_OK) {
            size_t size = round->stored[i] ? RECO__REDIS_VERSION : 0;
            bool current = !dirty[i] && reco__redis_is_bytes(reply) && reply->len == size && memcmp(reply->str, round->versions[i], size) == 0;
            if (current) {
                same[same_count++] = round->items[i];
            } else {
                round->changed[round->changed_count++] = round->items[i];
            }
        }
    }
    if (status == RECO_OK && same_count) {
        renew(round, same, same_count);
    }
    return status;
}

struct piece {
    const struct round *round;
    const uint32_t *items;
};

static void keep(void *context, size_t index, const uint8_t *version, const void *data, size_t size) {
    const struct piece *piece = context;
    const struct round *round = piece->round;
    reco__redis_cache_put(round->store, round->turn, round->read_ns, piece->items[index], version, data, size);
    atomic_fetch_add(&round->store->cache->refreshed, 1);
}

static reco_status refresh_piece(struct round *round, const reco_call *call) {
    reco__redis_link *link;
    reco__redis_state state;
    reco_status status = reco__redis_take(&link, round->store, call, NULL);
    if (status != RECO_OK) {
        return status;
    }
    status = probe(round, link, NULL);
    for (size_t at = 0; at < round->changed_count && status == RECO_OK; at += READ_AT_ONCE) {
        size_t many = round->changed_count - at < READ_AT_ONCE ? round->changed_count - at : READ_AT_ONCE;
        struct piece piece = {round, round->changed + at};
        round->read_ns = reco__monotonic_ns();
        status = reco__redis_heads_read(&state, round->store, link, piece.items, many, keep, &piece, NULL);
    }
    reco__redis_give(round->store, link);
    return status;
}

/* Sleeps for a part of the staleness; false when the store is being closed. */
static bool pause_round(reco__redis_cache *cache) {
    int64_t pause_ns = cache->stale_ns / 4 > 5000000 ? cache->stale_ns / 4 : 5000000;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pause_ns += until.tv_nsec;
    until.tv_sec += (time_t)(pause_ns / 1000000000);
    until.tv_nsec = (long)(pause_ns % 1000000000);
    pthread_mutex_lock(&cache->stop_lock);
    while (!cache->stopping && pthread_cond_timedwait(&cache->stop_cond, &cache->stop_lock, &until) == 0) {
    }
    bool go_on = !cache->stopping;
    pthread_mutex_unlock(&cache->stop_lock);
    return go_on;
}

/* A server that is away is not complained about here: whoever needs it will. */
static void *refresh_thread(void *context) {
    reco_features_store *store = context;
    reco__redis_cache *cache = store->cache;
    reco_call call = {.struct_size = sizeof call, .cancel = &cache->cancel};
    struct round round = {.store = store};
    while (pause_round(cache)) {
        size_t next = 0;
        bool more = true;
        while (more) {
            more = collect(&round, &next, cache);
            more = (round.count == 0 || refresh_piece(&round, &call) == RECO_OK) && more;
        }
    }
    return NULL;
}

/* --- open and close ----------------------------------------------------------------------------------------------------------------------- */

static void cache_free(reco__redis_cache *cache) {
    drop_all(cache);
    reco__release(cache->buckets);
    pthread_rwlock_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->stop_lock);
    pthread_cond_destroy(&cache->stop_cond);
    reco__release(cache);
}

reco_status reco__redis_cache_open(reco_features_store *store, reco_error *err) {
    reco__redis_cache *cache = reco__zalloc(sizeof *cache);
    if (!cache) {
        return reco__no_memory(err);
    }
    cache->buckets = reco__alloc_array(BUCKETS_MIN, sizeof *cache->buckets);
    if (!cache->buckets) {
        reco__release(cache);
        return reco__no_memory(err);
    }
    memset(cache->buckets, 0, BUCKETS_MIN * sizeof *cache->buckets);
    cache->bucket_count = BUCKETS_MIN;
    cache->limit = (uint64_t)store->url.cache_mb << 20;
    cache->stale_ns = (int64_t)store->url.stale_ms * 1000000;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_rwlock_init(&cache->lock, NULL);
    pthread_mutex_init(&cache->stop_lock, NULL);
    pthread_cond_init(&cache->stop_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    store->cache = cache;
    int failed = pthread_create(&cache->thread, NULL, refresh_thread, store);
    if (failed) {
        store->cache = NULL;
        cache_free(cache);
        return reco__fail_errno(err, failed, "starting a thread");
    }
    return RECO_OK;
}

void reco__redis_cache_close(reco_features_store *store) {
    reco__redis_cache *cache = store->cache;
    if (cache) {
        pthread_mutex_lock(&cache->stop_lock);
        cache->stopping = true;
        __atomic_store_n(&cache->cancel, 1, __ATOMIC_RELAXED); /* as reco__call_check reads it */
        pthread_cond_broadcast(&cache->stop_cond);
        pthread_mutex_unlock(&cache->stop_lock);
        pthread_join(cache->thread, NULL);
        store->cache = NULL;
        cache_free(cache);
    }
}
