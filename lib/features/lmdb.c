/* lmdb.c - features on lib/kv: opening, identity, and the two tables of functions, `lmdb:DIR` and `memory:`.
 *
 * One environment, "features", without fsync: what another boot without a clean close left is discarded by lib/kv and learned again from the stream.
 * Several namespaces may live in it; each has a number, the first two bytes of every key.
 *
 *   names  u16 space, u32 number                                     -> name                              lmdb_items.c
 *   cells  u16 space, user                                           -> partition, expires_at, cell       lmdb_cells.c
 *   rows   u16 space, u8 board, i64 generation, u32 item, u32 bound  -> packed chunk                      lmdb_rows.c
 *   heads  u16 space, u32 item                                       -> head                              lmdb_heads.c
 *   debts  as rows                                                   -> packed chunk; empty until erasure is built
 *   meta   0, name of a namespace -> u16 space | 1, u16 space, 'i' identity, 's' state (lmdb_state.c), 'w' where a sweep stands
 *
 * Numbers in keys are big-endian. Identity: u32 version, u32 partitions, 16 bytes stream id, the fingerprint.
 *
 * Writers: one transaction at a time over all processes, taken through lmdb_state.c. Lock order: write_lock of the store, the environment's writer
 * lock, names_lock, the lock inside names.c. Readers take none of them but the last, and names_lock when they meet a new name. Not done here: checks
 * of arguments (features.c is the only caller), group commit (a batch is a transaction), any TTL. */
#include "features/lmdb.h"

#include "config/settings.h"
#include "features/features.h"

enum { IDENTITY_VERSION = 1, FORMAT_VERSION = 1, SPACE_MAX = 64 };

/* --- namespace and identity ----------------------------------------------------------------------------------------------------------- */

static size_t space_key(uint8_t *key, const char *space) {
    size_t size = strlen(space);
    key[0] = 0;
    memcpy(key + 1, space, size);
    return size + 1;
}

/* Number of the namespace; NOT_FOUND, without touching err, when it has none. */
static reco_status find_space(reco_features_store *store, reco__kv_txn *txn, const char *space, reco_error *err) {
    uint8_t key[1 + SPACE_MAX];
    reco__kv_value value;
    reco_status status = reco__kv_get(&value, txn, store->meta, key, space_key(key, space), err);
    if (status == RECO_OK && value.size != 2) {
        status = reco__fail(err, RECO_CORRUPT, "features", "the number of namespace %s is damaged", space);
    }
    if (status == RECO_OK) {
        store->space = reco__from_be16(value.data);
    }
    return status;
}

static reco_status add_space(reco_features_store *store, reco__kv_txn *txn, const char *space, reco_error *err) {
    static const uint8_t counter[] = {2};
    uint8_t key[1 + SPACE_MAX], number[2];
    reco__kv_value value;
    reco_status status = reco__kv_get(&value, txn, store->meta, counter, sizeof counter, err);
    if (status != RECO_OK && status != RECO_NOT_FOUND) {
        return status;
    }
    uint32_t last = status == RECO_OK && value.size == 2 ? reco__from_be16(value.data) : 0;
    if (last == UINT16_MAX) {
        return reco__fail(err, RECO_FULL, "namespace", "there are no more namespace numbers");
    }
    store->space = (uint16_t)(last + 1);
    reco__be16(number, store->space);
    status = reco__kv_put(txn, store->meta, counter, sizeof counter, number, sizeof number, err);
    return status == RECO_OK ? reco__kv_put(txn, store->meta, key, space_key(key, space), number, sizeof number, err) : status;
}

static reco_status identity_write(reco_features_store *store, reco__kv_txn *txn, const reco_features_options *options, reco_error *err) {
    reco__buf bytes = {0};
    reco__buf_u32(&bytes, IDENTITY_VERSION);
    reco__buf_u32(&bytes, options->partitions);
    reco__buf_add(&bytes, options->stream_id, sizeof options->stream_id);
    reco__buf_add(&bytes, options->fingerprint.data, options->fingerprint.size);
    reco_status status = reco__buf_status(&bytes, err);
    if (status == RECO_OK) {
        status = reco__flmdb_meta_put(store, txn, RECO__FLMDB_META_IDENTITY, bytes.data, bytes.size, err);
    }
    reco__buf_dispose(&bytes);
    return status;
}

static reco_status identity_check(reco_features_store *store, reco__kv_txn *txn, const reco_features_options *options, reco_error *err) {
    reco__kv_value value;
    reco_status status = reco__flmdb_meta_get(&value, store, txn, RECO__FLMDB_META_IDENTITY, err);
    if (status != RECO_OK) {
        return status == RECO_NOT_FOUND ? reco__fail(err, RECO_CORRUPT, "features", "the identity of the namespace is missing") : status;
    }
    reco__reader in = reco__reader_of(value.data, value.size);
    uint32_t version = reco__read_u32(&in), partitions = reco__read_u32(&in);
    const uint8_t *stream_id = reco__read_bytes(&in, sizeof options->stream_id);
    if (in.bad || version != IDENTITY_VERSION) {
        return reco__fail(err, !in.bad && version > IDENTITY_VERSION ? RECO_NEWER : RECO_CORRUPT, "features", "the identity is of version %u",
                          version);
    }
    if (partitions != options->partitions) {
        return reco__fail(err, RECO_REFUSED, "partitions", "learned with %u partitions, opened with %u", partitions, options->partitions);
    }
    if (memcmp(stream_id, options->stream_id, sizeof options->stream_id) != 0) {
        return reco__fail(err, RECO_REFUSED, "stream", "these features were learned from another stream");
    }
    reco_str stored = {(const char *)in.at, (size_t)(in.end - in.at)};
    char difference[160];
    if (!reco__str_equal(stored, options->fingerprint)) {
        if (!reco__fingerprint_difference(stored, options->fingerprint, difference, sizeof difference)) {
            memcpy(difference, "the settings differ", sizeof "the settings differ");
        }
        return reco__fail(err, RECO_REFUSED, "fingerprint", "learned with other settings: %s", difference);
    }
    return RECO_OK;
}

static reco_status begin_state(reco_features_store *store, reco__kv_txn *txn, reco__flmdb_state *state, reco_error *err) {
    reco__flmdb_state_init(state);
    reco_status status = reco__flmdb_new_epoch(&state->epoch, err);
    state->names_epoch = state->epoch;
    return status == RECO_OK ? reco__flmdb_state_write(store, txn, state, err) : status;
}

static reco_status make_space(reco_features_store *store, const reco_features_options *options, reco_error *err) {
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__kv_write_begin(&txn, store->kv, err);
    if (status != RECO_OK) {
        return status;
    }
    status = find_space(store, txn, options->space, err); /* another process may have been faster */
    if (status != RECO_NOT_FOUND) {
        if (status == RECO_OK) {
            status = identity_check(store, txn, options, err);
        }
        reco__kv_abort(txn);
        return status;
    }
    status = add_space(store, txn, options->space, err);
    if (status == RECO_OK) {
        status = identity_write(store, txn, options, err);
    }
    if (status == RECO_OK) {
        status = begin_state(store, txn, &state, err);
    }
    if (status == RECO_OK) {
        return reco__kv_commit(txn, err);
    }
    reco__kv_abort(txn);
    return status;
}

/* Looks first: what is there opens on a full disk, and without waiting for a writer. */
static reco_status enter_space(reco_features_store *store, const reco_features_options *options, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    status = find_space(store, txn, options->space, err);
    bool missing = status == RECO_NOT_FOUND;
    if (status == RECO_OK) {
        status = identity_check(store, txn, options, err);
    }
    reco__kv_read_end(txn);
    return missing ? make_space(store, options, err) : status;
}

/* --- open and close ------------------------------------------------------------------------------------------------------------------- */

static reco_status open_tables(reco_features_store *store, reco_error *err) {
    const struct {
        const char *name;
        reco__kv_table *table;
    } tables[] = {{"names", &store->names_table}, {"cells", &store->cells}, {"rows", &store->rows},
                  {"heads", &store->heads},       {"debts", &store->debts}, {"meta", &store->meta}};
    reco_status status = RECO_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && status == RECO_OK; i++) {
        status = reco__kv_table_open(tables[i].table, store->kv, tables[i].name, err);
    }
    return status;
}

static reco_status open_names(reco_features_store *store, reco_error *err) {
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, RECO__KV_LONG, err);
    if (status == RECO_OK) {
        status = reco__flmdb_names_follow(store, txn, &state, err);
        reco__kv_read_end(txn);
    }
    return status;
}

reco__kv_options reco__features_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free) {
    return (reco__kv_options){.directory = directory,
                              .name = "features",
                              .flags = RECO__KV_NOSYNC | flags,
                              .map_size = map_size,
                              .min_free = min_free,
                              .format = "reco-features",
                              .format_version = FORMAT_VERSION};
}

static reco_status open_environment(reco_features_store *store, const reco_features_options *options, reco_error *err) {
    const char *colon = strchr(options->url, ':');
    bool memory = strncmp(options->url, "memory:", 7) == 0;
    reco__kv_options kv = reco__features_lmdb_kv(memory ? NULL : colon ? colon + 1 : "", memory ? RECO__KV_MEMORY : 0, options->map_size,
                                                 options->flags & RECO_FEATURES_SCRATCH ? 0 : options->min_free);
    if (!memory && kv.directory[0] == 0) {
        return reco__fail(err, RECO_INVALID, "features", "%s names no directory", options->url);
    }
    return reco__kv_open(&store->kv, &kv, NULL, err);
}

static void close_store(reco_features_store *store) {
    if (!store) {
        return;
    }
    if (store->restore_lock) {
        reco__kv_lock_close(store->restore_lock);
    }
    if (store->kv) {
        reco__kv_close(store->kv);
    }
    reco__flmdb_names_dispose(store);
    reco__flmdb_array *arrays[] = {&store->totals,     &store->members,   &store->looked_up, &store->chunk, &store->head_entries, &store->head_merged,
                                   &store->head_bytes, &store->head_copy, &store->hashes,    &store->row,   &store->spans,        &store->cursors};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        reco__release(arrays[i]->data);
    }
    reco__head_dispose(&store->maker);
    reco__map_dispose(&store->new_names);
    pthread_mutex_destroy(&store->write_lock);
    pthread_mutex_destroy(&store->names_lock);
    reco__release(store);
}

static bool all_equal(const reco_board_rules *rules) {
    for (uint32_t age = 1; age < rules->kept[RECO_BOARD_COVIEW]; age++) {
        if (rules->weight[age] != rules->weight[0]) {
            return false;
        }
    }
    return true;
}

static reco_status open_store(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    (void)call;
    reco_features_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    pthread_mutex_init(&store->write_lock, NULL);
    pthread_mutex_init(&store->names_lock, NULL);
    store->partitions = options->partitions;
    store->max_items = options->max_items;
    store->max_users = options->max_users;
    store->rules = *options->rules;
    store->flat = all_equal(options->rules);
    reco_status status = open_environment(store, options, err);
    if (status == RECO_OK) {
        status = open_tables(store, err);
    }
    if (status == RECO_OK) {
        status = enter_space(store, options, err);
    }
    if (status == RECO_OK) {
        status = reco__flmdb_restore_recover(store, err);
    }
    if (status == RECO_OK) {
        status = open_names(store, err);
    }
    if (status != RECO_OK) {
        close_store(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}

reco_status reco__features_lmdb_look(reco_position *positions, reco__kv *kv, const reco_features_options *options, reco_error *err) {
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_features_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    store->kv = kv;
    store->partitions = options->partitions;
    reco_status status = reco__kv_table_open(&store->meta, kv, "meta", err);
    if (status == RECO_OK && (status = reco__kv_read_begin(&txn, kv, 0, err)) == RECO_OK) {
        status = find_space(store, txn, options->space, err);
        if (status == RECO_OK) {
            status = identity_check(store, txn, options, err);
        }
        if (status == RECO_OK) {
            status = reco__flmdb_state_read(&state, store, txn, err);
        }
        reco__kv_read_end(txn);
    }
    if (status == RECO_OK) {
        memcpy(positions, state.positions, options->partitions * sizeof *positions);
    }
    reco__release(store);
    return status;
}

/* --- the contract
 * -------------------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status info(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status == RECO_OK) {
        reco__kv_read_end(txn);
        reco__flmdb_info_fill(out, store, &state);
    }
    return status;
}

static reco_status positions(reco_position *out, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__flmdb_state state;
    reco_status status = reco__flmdb_read(&txn, &state, store, 0, err);
    if (status == RECO_OK) {
        reco__kv_read_end(txn);
        memcpy(out, state.positions, store->partitions * sizeof *out);
        *epoch = state.epoch;
    }
    return status;
}

#define FUNCTIONS                                                                                                                                    \
    .struct_size = sizeof(reco_features_backend), .contract = RECO_FEATURES_CONTRACT, .open = open_store, .close = close_store, .info = info,        \
    .intern = reco__flmdb_intern, .find_items = reco__flmdb_find_items, .item_name = reco__flmdb_item_name, .load = reco__flmdb_load,                \
    .positions = positions, .apply = reco__flmdb_apply, .heads = reco__flmdb_heads, .row = reco__flmdb_row, .generations = reco__flmdb_generations,  \
    .close_step = reco__flmdb_close_step, .settle = reco__flmdb_settle, .scan = reco__flmdb_scan, .restore = reco__flmdb_restore,                    \
    .stats = reco__flmdb_stats

static const reco_features_backend lmdb_backend = {.scheme = "lmdb", FUNCTIONS};
static const reco_features_backend memory_backend = {.scheme = "memory", FUNCTIONS};

const reco_features_backend *reco__features_builtin(size_t index) {
    const reco_features_backend *const builtins[] = {&lmdb_backend, &memory_backend};
    return index < sizeof builtins / sizeof builtins[0] ? builtins[index] : NULL;
}
