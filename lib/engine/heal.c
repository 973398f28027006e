/* engine/heal.c - see heal.h. A learner on a scratch store in memory derives the cells; the item numbers in them are those of the running store, so
 * that what they add can be given to it as it is. They hold for one epoch: under another one everything begins again. */
#include "engine/heal.h"

#include "engine/snapshots.h"

struct reco__heal {
    reco_engine *engine;
    reco__features *scratch; /* NULL: nothing is being healed */
    reco__learner *learner;
    bool told[RECO_PARTITIONS_MAX]; /* it stands in the log */
};

reco_status reco__heal_create(reco__heal **out, reco_engine *engine, reco_error *err) {
    reco__heal *heal = reco__zalloc(sizeof *heal);
    if (!heal)
        return reco__no_memory(err);
    heal->engine = engine;
    *out = heal;
    return RECO_OK;
}

void reco__heal_rest(reco__heal *heal) {
    reco__learner_free(heal->learner);
    reco__features_close(heal->scratch);
    heal->learner = NULL;
    heal->scratch = NULL;
    memset(heal->told, 0, sizeof heal->told);
}

void reco__heal_free(reco__heal *heal) {
    if (!heal)
        return;
    reco__heal_rest(heal);
    reco__release(heal);
}

/* Where every part has learned what came before: the least position of any, by partition. */
static reco_status least(int64_t *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_spread spread[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__features_spread(spread, &epoch, engine->features, call, err);
    for (uint32_t p = 0; p < engine->partitions && status == RECO_OK; p++)
        out[p] = spread[p].low < spread[p].cells.offset ? spread[p].low : spread[p].cells.offset;
    return status;
}

/* The scratch store begins with the cells of a snapshot, or where the stream does. */
static reco_status load_base(reco__heal *heal, const reco_call *call, reco_error *err) {
    int64_t low[RECO_PARTITIONS_MAX];
    reco_status status = least(low, heal->engine, call, err);
    if (status == RECO_OK)
        status = reco__snapshots_base(heal->scratch, heal->engine, low, call, err);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

static reco_status begin(reco__heal *heal, const reco_call *call, reco_error *err) {
    reco_engine *engine = heal->engine;
    if (heal->scratch)
        return RECO_OK;
    reco_status status = reco__engine_open_features(&heal->scratch, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
    if (status == RECO_OK)
        status = reco__learner_create(&heal->learner, engine->stream, heal->scratch, &engine->rules, err);
    if (status == RECO_OK)
        status = reco__learner_heals(heal->learner, engine->features, call, err);
    if (status == RECO_OK)
        status = load_base(heal, call, err);
    if (status != RECO_OK)
        reco__heal_rest(heal);
    return status;
}

/* Says once what is going on; refuses what cannot be derived any more. */
static reco_status tell(reco__heal *heal, uint32_t partition, const reco_spread *spread, int64_t from, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    if (heal->told[partition])
        return RECO_OK;
    reco_status status = reco__stream_spans(spans, heal->engine->stream, call, err);
    if (status != RECO_OK)
        return status;
    if (spans[partition].begin > from)
        return reco__fail(
            err, RECO_CORRUPT, "position",
            "a part of features has lost partition %u from %lld on, the stream holds nothing before %lld, and no verified snapshot lies "
            "between: load a snapshot",
            partition, (long long)spread->low, (long long)spans[partition].begin);
    reco__log(RECO_LOG_WARN, "engine", "a part of features has lost partition %u from %lld to %lld: it is derived again from %lld on", partition,
              (long long)spread->low, (long long)spread->cells.offset, (long long)from);
    heal->told[partition] = true;
    return RECO_OK;
}

reco_status reco__heal_step(reco__heal *heal, uint32_t partition, const reco_spread *spread, uint32_t max_records, const reco_call *call,
                            reco_error *err) {
    reco_position at;
    uint64_t epoch;
    reco__learned done;
    reco_status status = begin(heal, call, err);
    if (status == RECO_OK)
        status = reco__features_load(&at, &epoch, heal->scratch, partition, NULL, 0, NULL, NULL, call, err);
    if (status == RECO_OK)
        status = tell(heal, partition, spread, at.offset, call, err);
    if (status != RECO_OK)
        return status;
    if (at.offset > spread->low) { /* something was lost again, further back */
        reco__heal_rest(heal);
        return RECO_OK;
    }
    bool catching_up = at.offset < spread->low;
    int64_t upto = catching_up ? spread->low : spread->low_fence < spread->cells.offset ? spread->low_fence : spread->cells.offset;
    status = reco__learner_heal_batch(&done, heal->learner, partition, max_records, upto, !catching_up, call, err);
    if (status == RECO_STALE)
        reco__heal_rest(heal);
    if (status == RECO_OK && done.records == 0)
        status = reco__fail(err, RECO_CORRUPT, "stream", "partition %u ends at %lld but %lld is learned", partition, (long long)done.to,
                            (long long)spread->cells.offset);
    return status;
}
