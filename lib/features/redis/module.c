/* module.c - the table of functions, and the module. A store is one primary (redis.c) or several of them (several.c): here it is decided which. */
#include "base/module.h"
#include "features/redis/several.h"

static reco_status open_store(reco_features_store **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    if (!reco__several_named(options->url)) {
        return reco__redis_open(out, options, call, err);
    }
    reco_features_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    reco_status status = reco__several_open(&store->several, options, call, err);
    if (status != RECO_OK) {
        reco__release(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}

static void close_store(reco_features_store *store) {
    if (store && store->several) {
        reco__several_close(store->several);
        reco__release(store);
    } else {
        reco__redis_close(store);
    }
}

static reco_status info(reco_features_info *out, reco_features_store *store, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_info(out, store->several, call, err) : reco__redis_info(out, store, call, err);
}

static reco_status intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                          reco_error *err) {
    return store->several ? reco__several_intern(numbers, store->several, names, count, call, err)
                          : reco__redis_intern(numbers, store, names, count, call, err);
}

static reco_status find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                              reco_error *err) {
    return store->several ? reco__several_find_items(numbers, store->several, names, count, call, err)
                          : reco__redis_find_items(numbers, store, names, count, call, err);
}

static reco_status item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number) {
    return store->several ? reco__several_item_name(name, hash, store->several, number) : reco__redis_item_name(name, hash, store, number);
}

static reco_status load(reco_position *position, uint64_t *epoch, reco_features_store *store, uint32_t partition, const reco_str *users, size_t count,
                        reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_load(position, epoch, store->several, partition, users, count, sink, context, call, err)
                          : reco__redis_load(position, epoch, store, partition, users, count, sink, context, call, err);
}

static reco_status positions(reco_position *out, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_positions(out, epoch, store->several, call, err) : reco__redis_positions(out, epoch, store, call, err);
}

/* One primary stands in one place. */
static reco_status spread(reco_spread *out, uint64_t *epoch, reco_features_store *store, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_spread(out, epoch, store->several, call, err) : RECO_UNSUPPORTED;
}

static reco_status apply(reco_features_store *store, const reco_batch *batch, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_apply(store->several, batch, call, err) : reco__redis_apply(store, batch, call, err);
}

static reco_status heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                         const reco_call *call, reco_error *err) {
    return store->several ? reco__several_heads(store->several, items, count, sink, context, call, err)
                          : reco__redis_heads(store, items, count, sink, context, call, err);
}

static reco_status row(reco_features_store *store, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                       const reco_call *call, reco_error *err) {
    return store->several ? reco__several_row_read(store->several, board, generation, item, sink, context, call, err)
                          : reco__redis_row(store, board, generation, item, sink, context, call, err);
}

static reco_status generations(int64_t *out, size_t room, size_t *count, reco_features_store *store, uint32_t board, const reco_call *call,
                               reco_error *err) {
    return store->several ? reco__several_generations(out, room, count, store->several, board, call, err)
                          : reco__redis_generations(out, room, count, store, board, call, err);
}

static reco_status close_step(int *more, reco_features_store *store, int64_t budget_ns, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_close_step(more, store->several, budget_ns, call, err)
                          : reco__redis_close_step(more, store, budget_ns, call, err);
}

static reco_status settle(reco_features_store *store, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_settle(store->several, call, err) : reco__redis_settle(store, call, err);
}

static reco_status scan(reco_features_store *store, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_scan(store->several, visitor, call, err) : reco__redis_scan(store, visitor, call, err);
}

static reco_status restore(reco_features_store *store, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    return store->several ? reco__several_restore(store->several, piece, call, err) : reco__redis_restore(store, piece, call, err);
}

static reco_status stats(reco_features_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                         const reco_call *call, reco_error *err) {
    return store->several ? reco__several_stats(store->several, sink, context, call, err) : reco__redis_stats(store, sink, context, call, err);
}

static const reco_features_backend backend = {
    .struct_size = sizeof backend,
    .contract = RECO_FEATURES_CONTRACT,
    .scheme = "redis",
    .batch_events = 100, /* a longer one would keep everybody else waiting for its EXEC */
    .open = open_store,
    .close = close_store,
    .info = info,
    .intern = intern,
    .find_items = find_items,
    .item_name = item_name,
    .load = load,
    .positions = positions,
    .apply = apply,
    .heads = heads,
    .row = row,
    .generations = generations,
    .close_step = close_step,
    .settle = settle,
    .scan = scan,
    .restore = restore,
    .stats = stats,
    .spread = spread,
};

static reco_status start(const reco_host *host, reco_error *err) { return reco__module_bind(host, err); }

RECO_API extern const reco_module reco_module_v1;
const reco_module reco_module_v1 = {sizeof reco_module_v1, RECO_MODULE_CONTRACT, "redis", "1", start, NULL, &backend, NULL};
