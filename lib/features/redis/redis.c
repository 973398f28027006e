/* redis.c - features on one Redis primary: opening and keys. Several primaries are several.c; the table of functions is in module.c.
 *
 * All keys begin with PREFIX{NAMESPACE}: (prefix "reco:" unless the URL says otherwise); numbers in them are big-endian unless written out.
 *
 *   meta, pN, closing, due, wN   identity, positions, what is due                                        state.c, sweep.c
 *   n                            list of item names; the place is the number                             items.c
 *   cN                           cells of partition N: hash of user -> i64 expires_at, cell              apply.c
 *   r, u32 item, i64 generation  a row of co-view: packed deltas                                         rows.c
 *   q, board, generation, shard  a row of popularity, members 4,096 x shard and up: packed deltas        rows.c
 *   gB, negB                     generations of board B that may have rows; those something was taken from
 *   h, u32 item                  head; d: items whose head is not current                                publish.c
 *   lock                         who loads a snapshot                                                    restore.c
 *   publisher                    who publishes heads, for less than a second                             closing.c
 *   scan, lease, sr, si, scN     who reads everything, and what was changed under it                     scan.c
 *
 * Learning is APPEND and SET in one MULTI ... EXEC under WATCH (apply.c). Everything else is done beside it by two small functions inside Redis that
 * compare with what was seen (script.c). Heads may be answered from memory (cache.c). Lock order: closing_lock, names_lock, then pool_lock,
 * seen_lock, long_lock or those of the cache, which are leaves. Not here: TLS. */
#include "features/redis/redis.h"

#include <stdio.h>

enum { ROW_TAIL = 13 };

/* --- keys ----------------------------------------------------------------------------------------------------------------------------- */

static void key_of(reco__redis_link *link, const reco_features_store *store, const void *tail, size_t size) {
    reco__buf_printf(&link->out, "$%zu\r\n", store->prefix_size + size);
    reco__buf_add(&link->out, store->prefix, store->prefix_size);
    reco__buf_add(&link->out, tail, size);
    reco__buf_add(&link->out, "\r\n", 2);
}

void reco__redis_key(reco__redis_link *link, const reco_features_store *store, const char *name) { key_of(link, store, name, strlen(name)); }

void reco__redis_key_number(reco__redis_link *link, const reco_features_store *store, const char *name, uint32_t number) {
    char tail[24];
    int size = snprintf(tail, sizeof tail, "%s%u", name, number);
    key_of(link, store, tail, (size_t)size);
}

void reco__redis_key_head(reco__redis_link *link, const reco_features_store *store, uint32_t item) {
    uint8_t tail[5] = {'h'};
    reco__be32(tail + 1, item);
    key_of(link, store, tail, sizeof tail);
}

void reco__redis_key_row(reco__redis_link *link, const reco_features_store *store, uint32_t item, int64_t generation) {
    char tail[RECO__REDIS_TAIL];
    key_of(link, store, tail, reco__redis_row_tail(tail, RECO_BOARD_COVIEW, generation, item));
}

void reco__redis_key_popular(reco__redis_link *link, const reco_features_store *store, uint32_t board, int64_t generation, uint32_t shard) {
    char tail[RECO__REDIS_TAIL];
    key_of(link, store, tail, reco__redis_row_tail(tail, board, generation, shard));
}

size_t reco__redis_row_tail(char tail[RECO__REDIS_TAIL], uint32_t board, int64_t generation, uint32_t place) {
    if (board != RECO_BOARD_COVIEW) {
        return (size_t)snprintf(tail, RECO__REDIS_TAIL, "q%u:%lld:%u", board, (long long)generation, place);
    }
    tail[0] = 'r';
    reco__be32((uint8_t *)tail + 1, place);
    reco__be64((uint8_t *)tail + 5, (uint64_t)generation);
    return ROW_TAIL;
}

/* --- open and close ------------------------------------------------------------------------------------------------------------------- */

void reco__redis_close(reco_features_store *store) {
    if (!store) {
        return;
    }
    reco__redis_cache_close(store);
    reco__redis_unlock(store);
    reco__redis_pool_dispose(store);
    reco__redis_names_dispose(store);
    pthread_mutex_destroy(&store->pool_lock);
    pthread_mutex_destroy(&store->seen_lock);
    pthread_mutex_destroy(&store->names_lock);
    pthread_mutex_destroy(&store->long_lock);
    pthread_mutex_destroy(&store->closing_lock);
    explicit_bzero(store->url.password, sizeof store->url.password);
    explicit_bzero(store->url.sentinel_password, sizeof store->url.sentinel_password);
    reco__redis_walk *walks[] = {&store->publishing, &store->pass.walk};
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        reco__release(walks[i]->items.data);
        reco__release(walks[i]->generations.data);
    }
    reco__release(store->prefix);
    reco__release(store->fingerprint);
    reco__release(store);
}

static reco_status set_options(reco_features_store *store, const reco_features_options *options, reco_error *err) {
    store->partitions = options->partitions;
    store->max_items = options->max_items;
    store->max_users = options->max_users;
    store->rules = *options->rules;
    memcpy(store->stream_id, options->stream_id, sizeof store->stream_id);
    store->fingerprint_size = options->fingerprint.size;
    store->fingerprint = reco__strndup(options->fingerprint.data ? options->fingerprint.data : "", options->fingerprint.size);
    reco_status status = reco__redis_url_parse(&store->url, options->url, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__buf prefix = {0};
    reco__buf_printf(&prefix, "%s{%s}:", store->url.prefix, options->space);
    store->prefix_size = prefix.size;
    store->prefix = prefix.failed == RECO_OK ? reco__strndup(prefix.data, prefix.size) : NULL;
    reco__buf_dispose(&prefix);
    return store->prefix && store->fingerprint ? RECO_OK : reco__no_memory(err);
}

/* Founds or checks the namespace, loads the functions, reads the names. */
static reco_status enter_space(reco_features_store *store, reco__redis_link *link, reco_error *err) {
    reco__redis_state state;
    reco_status status = reco__redis_script_load(link, err);
    if (status == RECO_OK) {
        status = reco__redis_found(link, store, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_restore_recover(store, link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_state_read(&state, link, store, 0, err);
    }
    return status == RECO_OK ? reco__redis_follow(store, link, &state, err) : status;
}

reco_status reco__redis_open(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    reco_features_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    pthread_mutex_init(&store->pool_lock, NULL);
    pthread_mutex_init(&store->seen_lock, NULL);
    pthread_mutex_init(&store->names_lock, NULL);
    pthread_mutex_init(&store->long_lock, NULL);
    pthread_mutex_init(&store->closing_lock, NULL);
    reco__redis_link *link;
    reco_status status = set_options(store, options, err);
    if (status == RECO_OK) {
        status = reco__redis_take(&link, store, call, err);
        if (status == RECO_OK) {
            status = enter_space(store, link, err);
            reco__redis_give(store, link);
        }
    }
    if (status == RECO_OK && options->background && store->url.stale_ms) {
        status = reco__redis_cache_open(store, err);
    }
    if (status != RECO_OK) {
        reco__redis_close(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}
