/* features.c - the one door to features: checks of arguments, deadlines, planted faults. Behind it, a backend.
 *
 * What is checked here no backend checks again: sizes, order, duplicates, ranges of boards and partitions. What only the store knows (positions,
 * epochs, clocks, numbers given, limits) the backend checks in its own transaction. */
#include "features/features.h"

#include <stdatomic.h>

#include "base/later.h"
#include "base/module.h"
#include "features/registry.h"

enum { PARTITIONS_MAX = 64, SPACE_MAX = 64, BATCH_EVENTS = 20000 };

struct reco__features {
    const reco_features_backend *backend;
    _Atomic(reco_features_store *) store; /* NULL: to be opened later */
    reco_board_rules rules;
    uint32_t partitions;
    _Atomic bool spreads;          /* its parts may stand apart, as far as is known */
    reco_features_options options; /* for opening later */
    reco__later later;
};

/* --- open ----------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_rules(const reco_board_rules *rules, reco_error *err) {
    if (!rules || rules->struct_size != sizeof *rules) {
        return reco__fail(err, RECO_INVALID, "rules", "rules are missing or of another size");
    }
    if (rules->cut == 0 || rules->head == 0 || rules->head > RECO_HEAD_MAX) {
        return reco__fail(err, RECO_INVALID, "rules", "cut %u and head %u: both at least 1, head at most %u", rules->cut, rules->head, RECO_HEAD_MAX);
    }
    if (rules->lateness < 0 || rules->skew < 0 || rules->lateness > INT64_MAX / 4 || rules->skew > INT64_MAX / 4) {
        return reco__fail(err, RECO_INVALID, "rules", "lateness and skew are not negative");
    }
    for (int board = 0; board < (int)RECO_BOARD_COUNT; board++) {
        if (rules->length[board] <= 0 || rules->kept[board] == 0 || rules->kept[board] > RECO_GENERATIONS_MAX) {
            return reco__fail(err, RECO_INVALID, "rules", "board %d: generations of %lld ms, %u of them kept (1 to %u)", board,
                              (long long)rules->length[board], rules->kept[board], RECO_GENERATIONS_MAX);
        }
    }
    for (uint32_t age = 0; age < RECO_GENERATIONS_MAX; age++) {
        if (rules->weight[age] < 0) {
            return reco__fail(err, RECO_INVALID, "rules", "the weight of age %u is negative", age);
        }
    }
    return RECO_OK;
}

static reco_status check_options(const reco_features_options *options, reco_error *err) {
    if (!options->url || !strchr(options->url, ':')) {
        return reco__fail(err, RECO_INVALID, "url", "a URL begins with a scheme and a colon");
    }
    if (!options->space || options->space[0] == 0 || strlen(options->space) > SPACE_MAX) {
        return reco__fail(err, RECO_INVALID, "namespace", "a namespace has 1 to %d bytes", SPACE_MAX);
    }
    if (options->partitions == 0 || options->partitions > PARTITIONS_MAX) {
        return reco__fail(err, RECO_INVALID, "partitions", "%u partitions: 1 to %d", options->partitions, PARTITIONS_MAX);
    }
    if (options->max_items == 0 || options->max_users == 0) {
        return reco__fail(err, RECO_INVALID, options->max_items ? "max_users" : "max_items", "a limit of 0");
    }
    return check_rules(options->rules, err);
}

static reco_status open_features(reco__features **out, const reco_features_options *options, bool patient, const reco_call *call, reco_error *err) {
    reco_features_options own;
    if (!options) {
        return reco__fail(err, RECO_INVALID, "options", "options are missing");
    }
    reco_status status = reco__struct_copy(&own, sizeof own, options, options->struct_size, "features options", err);
    if (status == RECO_OK) {
        status = check_options(&own, err);
    }
    if (status == RECO_OK) {
        status = reco__fault("features.open", err);
    }
    if (status != RECO_OK) {
        return status;
    }
    size_t scheme = (size_t)(strchr(own.url, ':') - own.url);
    const reco_features_backend *backend = reco__features_registered(own.url, scheme);
    if (!backend) {
        const reco_module *module;
        status = reco__module_find(&module, own.url, scheme, err);
        if (status == RECO_OK && module->features) {
            status = reco_register_features(module->features, err);
        }
        if (status != RECO_OK && status != RECO_CONFLICT && status != RECO_NOT_FOUND) {
            return status;
        }
        backend = reco__features_registered(own.url, scheme); /* CONFLICT: another thread was faster */
    }
    if (!backend) {
        return reco__fail(err, RECO_UNSUPPORTED, "features",
                          "there is no features backend '%.*s', and no module with one beside libreco or where modules says",
                          (int)(scheme < 32 ? scheme : 32), own.url);
    }
    reco__features *features = reco__zalloc(sizeof *features);
    if (!features) {
        return reco__no_memory(err);
    }
    features->backend = backend;
    features->rules = *own.rules;
    features->partitions = own.partitions;
    features->spreads = backend->struct_size > offsetof(reco_features_backend, spread) && backend->spread;
    own.rules = &features->rules;
    reco_features_store *store = NULL;
    status = reco__backend_status("features", backend->open(&store, &own, call, err), err);
    if (status == RECO_OK || (patient && reco__later_worth(status))) {
        atomic_store(&features->store, store);
        features->options = own;
        reco__later_begin(&features->later, status, err);
        *out = features;
        return RECO_OK;
    }
    reco__release(features);
    return status;
}

reco_status reco__features_open(reco__features **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    return open_features(out, options, false, call, err);
}

reco_status reco__features_open_patient(reco__features **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    return open_features(out, options, true, call, err);
}

void reco__features_close(reco__features *features) {
    if (features) {
        reco_features_store *store = atomic_load(&features->store);
        if (store) {
            features->backend->close(store);
        }
        reco__release(features);
    }
}

uint32_t reco__features_batch_events(const reco__features *features) {
    return features->backend->batch_events ? features->backend->batch_events : BATCH_EVENTS;
}

const reco_board_rules *reco__features_rules(const reco__features *features) { return &features->rules; }

static reco_features_store *store_of(const reco__features *features) { return atomic_load_explicit(&features->store, memory_order_acquire); }

/* Opens what could not be opened before. */
static reco_status open_now(reco__features *features, const reco_call *call, reco_error *err) {
    reco_features_store *store = NULL;
    reco_status status = reco__later_turn(&features->later, err);
    if (status != RECO_OK) {
        return status;
    }
    if (!store_of(features)) {
        status = reco__fault("features.open", err);
        if (status == RECO_OK) {
            status = reco__backend_status("features", features->backend->open(&store, &features->options, call, err), err);
        }
        if (status == RECO_OK) {
            atomic_store_explicit(&features->store, store, memory_order_release);
        }
    }
    reco__later_done(&features->later, status, err);
    return status;
}

/* Before each operation. */
static reco_status enter(reco__features *features, const char *point, const reco_call *call, reco_error *err) {
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK && !store_of(features)) {
        status = open_now(features, call, err);
    }
    return status == RECO_OK ? reco__fault(point, err) : status;
}

/* After it. */
static reco_status leave(reco_status status, reco_error *err) { return reco__backend_status("features", status, err); }

reco_status reco__features_info(reco_features_info *out, reco__features *features, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.info", call, err);
    return status == RECO_OK ? leave(features->backend->info(out, store_of(features), call, err), err) : status;
}

/* --- items ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_names(const reco_str *names, size_t count, reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (!names[i].data || names[i].size == 0 || names[i].size > 256) {
            return reco__fail_at(err, RECO_INVALID, i > INT32_MAX ? -1 : (int32_t)i, "item_id", "an id of %zu bytes: 1 to 256", names[i].size);
        }
    }
    return RECO_OK;
}

reco_status reco__features_intern(uint32_t *numbers, reco__features *features, const reco_str *names, size_t count, const reco_call *call,
                                  reco_error *err) {
    reco_status status = enter(features, "features.intern", call, err);
    if (status == RECO_OK) {
        status = check_names(names, count, err);
    }
    return status == RECO_OK && count ? leave(features->backend->intern(numbers, store_of(features), names, count, call, err), err) : status;
}

reco_status reco__features_find_items(uint32_t *numbers, reco__features *features, const reco_str *names, size_t count, const reco_call *call,
                                      reco_error *err) {
    reco_status status = enter(features, "features.find_items", call, err);
    if (status == RECO_OK) {
        status = check_names(names, count, err);
    }
    return status == RECO_OK && count ? leave(features->backend->find_items(numbers, store_of(features), names, count, call, err), err) : status;
}

reco_status reco__features_item_name(reco_str *name, uint64_t *hash, reco__features *features, uint32_t number) {
    reco_features_store *store = store_of(features);
    return store ? leave(features->backend->item_name(name, hash, store, number), NULL) : RECO_UNAVAILABLE;
}

static uint64_t tie_hash(void *context, uint32_t member) {
    uint64_t hash = 0;
    reco_str name;
    return reco__features_item_name(&name, &hash, context, member) == RECO_OK ? hash : 0;
}

static int tie_compare(void *context, uint32_t a, uint32_t b) {
    reco_str name_a = {NULL, 0}, name_b = {NULL, 0};
    uint64_t hash;
    if (reco__features_item_name(&name_a, &hash, context, a) != RECO_OK || reco__features_item_name(&name_b, &hash, context, b) != RECO_OK) {
        return 0;
    }
    return reco__str_compare(name_a, name_b);
}

reco_board_names reco__features_names(reco__features *features) {
    reco_board_names names = {features, tie_hash, tie_compare};
    return names;
}

/* --- learning ------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_partition(const reco__features *features, uint32_t partition, reco_error *err) {
    return partition < features->partitions ? RECO_OK
                                            : reco__fail(err, RECO_INVALID, "partition", "partition %u of %u", partition, features->partitions);
}

reco_status reco__features_load(reco_position *position, uint64_t *epoch, reco__features *features, uint32_t partition, const reco_str *users,
                                size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.load", call, err);
    if (status == RECO_OK) {
        status = check_partition(features, partition, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    return leave(features->backend->load(position, epoch, store_of(features), partition, users, count, sink, context, call, err), err);
}

reco_status reco__features_positions(reco_position *positions, uint64_t *epoch, reco__features *features, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.positions", call, err);
    return status == RECO_OK ? leave(features->backend->positions(positions, epoch, store_of(features), call, err), err) : status;
}

bool reco__features_spreads(const reco__features *features) { return features->spreads; }

reco_status reco__features_spread(reco_spread *spread, uint64_t *epoch, reco__features *features, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.spread", call, err);
    if (status == RECO_OK && features->spreads) {
        status = features->backend->spread(spread, epoch, store_of(features), call, err);
        if (status != RECO_UNSUPPORTED) {
            return leave(status, err);
        }
        features->spreads = false;
        status = RECO_OK;
    }
    reco_position positions[PARTITIONS_MAX];
    if (status == RECO_OK) {
        status = leave(features->backend->positions(positions, epoch, store_of(features), call, err), err);
    }
    for (uint32_t p = 0; p < features->partitions && status == RECO_OK; p++) {
        spread[p] = (reco_spread){positions[p], positions[p].offset, INT64_MAX, INT64_MAX};
    }
    return status;
}

static reco_status check_adds(const reco_add_group *group, int32_t index, reco_error *err) {
    const reco_add *adds = group->adds;
    bool popularity = group->board != RECO_BOARD_COVIEW;
    for (size_t i = 0; i < group->count; i++) {
        if (adds[i].delta == 0) {
            return reco__fail_at(err, RECO_INVALID, index, "groups", "an add of 0");
        }
        if (popularity && adds[i].item != 0) {
            return reco__fail_at(err, RECO_INVALID, index, "groups", "item %u in a board of popularity", adds[i].item);
        }
        if (i > 0 && (adds[i - 1].item > adds[i].item || (adds[i - 1].item == adds[i].item && adds[i - 1].member >= adds[i].member))) {
            return reco__fail_at(err, RECO_INVALID, index, "groups", "adds are not sorted and distinct");
        }
    }
    return RECO_OK;
}

static reco_status check_groups(const reco_add_group *groups, size_t count, reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        int32_t index = i > INT32_MAX ? -1 : (int32_t)i;
        if (groups[i].board >= RECO_BOARD_COUNT || groups[i].flags != 0 || (groups[i].count && !groups[i].adds)) {
            return reco__fail_at(err, RECO_INVALID, index, "groups", "board %u with flags %u", groups[i].board, groups[i].flags);
        }
        if (i > 0 &&
            (groups[i - 1].board > groups[i].board || (groups[i - 1].board == groups[i].board && groups[i - 1].generation >= groups[i].generation))) {
            return reco__fail_at(err, RECO_INVALID, index, "groups", "groups are not sorted and distinct");
        }
        reco_status status = check_adds(&groups[i], index, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    return RECO_OK;
}

static reco_status check_cells(const reco_cell_put *cells, size_t count, bool sorted, reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        int32_t index = i > INT32_MAX ? -1 : (int32_t)i;
        if (!cells[i].user.data || cells[i].user.size == 0 || cells[i].user.size > 256) {
            return reco__fail_at(err, RECO_INVALID, index, "cells", "a user id of %zu bytes: 1 to 256", cells[i].user.size);
        }
        if (cells[i].size && !cells[i].data) {
            return reco__fail_at(err, RECO_INVALID, index, "cells", "%zu bytes at NULL", cells[i].size);
        }
        if (sorted && i > 0 && reco__str_compare(cells[i - 1].user, cells[i].user) >= 0) {
            return reco__fail_at(err, RECO_INVALID, index, "cells", "cells are not sorted by user and distinct");
        }
    }
    return RECO_OK;
}

static reco_status check_batch(const reco__features *features, const reco_batch *batch, reco_error *err) {
    reco_status status = check_partition(features, batch->partition, err);
    if (status != RECO_OK) {
        return status;
    }
    if (batch->from < 0 || batch->to < batch->from || batch->clock < 0) {
        return reco__fail(err, RECO_INVALID, "to", "from %lld to %lld at clock %lld", (long long)batch->from, (long long)batch->to,
                          (long long)batch->clock);
    }
    if (batch->flags & ~RECO_BATCH_HEAL || (batch->flags && (batch->cell_count || !features->spreads))) {
        return reco__fail(err, RECO_INVALID, "flags", "flags 0x%x of a batch with %zu cells", batch->flags, batch->cell_count);
    }
    status = check_cells(batch->cells, batch->cell_count, true, err);
    return status == RECO_OK ? check_groups(batch->groups, batch->group_count, err) : status;
}

reco_status reco__features_apply(reco__features *features, const reco_batch *batch, const reco_call *call, reco_error *err) {
    reco_batch own;
    reco_status status = enter(features, "features.apply", call, err);
    if (status == RECO_OK) {
        status = reco__struct_copy(&own, sizeof own, batch, batch->struct_size, "batch", err);
    }
    if (status == RECO_OK) {
        status = check_batch(features, &own, err);
    }
    return status == RECO_OK ? leave(features->backend->apply(store_of(features), &own, call, err), err) : status;
}

/* --- reading -------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__features_heads(reco__features *features, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.heads", call, err);
    return status == RECO_OK && count ? leave(features->backend->heads(store_of(features), items, count, sink, context, call, err), err) : status;
}

reco_status reco__features_row(reco__features *features, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                               const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.row", call, err);
    if (status == RECO_OK && (board >= RECO_BOARD_COUNT || (board != RECO_BOARD_COVIEW && item != 0))) {
        status = reco__fail(err, RECO_INVALID, "board", "item %u of board %u", item, board);
    }
    if (status != RECO_OK || generation < 0) {
        return status;
    }
    return leave(features->backend->row(store_of(features), board, generation, item, sink, context, call, err), err);
}

reco_status reco__features_generations(int64_t *generations, size_t room, size_t *count, reco__features *features, uint32_t board,
                                       const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.generations", call, err);
    if (status == RECO_OK && board >= RECO_BOARD_COVIEW) {
        status = reco__fail(err, RECO_INVALID, "board", "board %u is not one of popularity", board);
    }
    return status == RECO_OK ? leave(features->backend->generations(generations, room, count, store_of(features), board, call, err), err) : status;
}

/* --- keeping -------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__features_close_step(int *more, reco__features *features, int64_t budget_ns, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.close_step", call, err);
    return status == RECO_OK ? leave(features->backend->close_step(more, store_of(features), budget_ns > 0 ? budget_ns : 0, call, err), err) : status;
}

reco_status reco__features_settle(reco__features *features, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.settle", call, err);
    return status == RECO_OK ? leave(features->backend->settle(store_of(features), call, err), err) : status;
}

reco_status reco__features_scan(reco__features *features, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.scan", call, err);
    return status == RECO_OK ? leave(features->backend->scan(store_of(features), visitor, call, err), err) : status;
}

static reco_status check_piece(const reco__features *features, const reco_restore_piece *piece, reco_error *err) {
    if (piece->flags & ~(RECO_RESTORE_FIRST | RECO_RESTORE_LAST)) {
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags %u", piece->flags);
    }
    if ((piece->flags & RECO_RESTORE_LAST) && !piece->positions) {
        return reco__fail(err, RECO_INVALID, "positions", "the last piece carries the positions");
    }
    if (piece->cell_count && !piece->cell_partitions) {
        return reco__fail(err, RECO_INVALID, "cell_partitions", "cells come with their partitions");
    }
    for (uint32_t p = 0; (piece->flags & RECO_RESTORE_LAST) && p < features->partitions; p++) {
        if (piece->positions[p].offset < 0 || piece->positions[p].clock < 0) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)p, "positions", "a negative position or clock");
        }
    }
    reco_status status = check_cells(piece->cells, piece->cell_count, false, err);
    return status == RECO_OK ? check_groups(piece->groups, piece->group_count, err) : status;
}

reco_status reco__features_restore(reco__features *features, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    reco_restore_piece own;
    reco_status status = enter(features, "features.restore", call, err);
    if (status == RECO_OK) {
        status = reco__struct_copy(&own, sizeof own, piece, piece->struct_size, "restore piece", err);
    }
    if (status == RECO_OK) {
        status = check_piece(features, &own, err);
    }
    return status == RECO_OK ? leave(features->backend->restore(store_of(features), &own, call, err), err) : status;
}

reco_status reco__features_stats(reco__features *features, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                 const reco_call *call, reco_error *err) {
    reco_status status = enter(features, "features.stats", call, err);
    return status == RECO_OK ? leave(features->backend->stats(store_of(features), sink, context, call, err), err) : status;
}
