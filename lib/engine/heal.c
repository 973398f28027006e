/* engine/heal.c - see heal.h. A learner on a scratch store in memory derives the cells; the item numbers in them are those of the running store, so
 * that what they add can be given to it as it is. They hold for one epoch: under another one everything begins again. */
#include "engine/heal.h"

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

static reco_status begin(reco__heal *heal, const reco_call *call, reco_error *err) {
    reco_engine *engine = heal->engine;
    if (heal->scratch)
        return RECO_OK;
    reco_status status = reco__engine_open_features(&heal->scratch, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
    if (status == RECO_OK)
        status = reco__learner_create(&heal->learner, engine->stream, heal->scratch, &engine->rules, err);
    if (status == RECO_OK)
        status = reco__learner_heals(heal->learner, engine->features, call, err);
    if (status != RECO_OK)
        reco__heal_rest(heal);
    return status;
}

/* Says once what is going on; refuses what cannot be derived any more. */
static reco_status tell(reco__heal *heal, uint32_t partition, const reco_spread *spread, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    if (heal->told[partition])
        return RECO_OK;
    reco_status status = reco__stream_spans(spans, heal->engine->stream, call, err);
    if (status != RECO_OK)
        return status;
    if (spans[partition].begin > 0)
        return reco__fail(err, RECO_CORRUPT, "position",
                          "a part of features has lost partition %u from %lld on, and the stream holds nothing before %lld: load a snapshot",
                          partition, (long long)spread->low, (long long)spans[partition].begin);
    reco__log(RECO_LOG_WARN, "engine", "a part of features has lost partition %u from %lld to %lld: it is derived again", partition,
              (long long)spread->low, (long long)spread->cells.offset);
    heal->told[partition] = true;
    return RECO_OK;
}

reco_status reco__heal_step(reco__heal *heal, uint32_t partition, const reco_spread *spread, uint32_t max_records, const reco_call *call,
                            reco_error *err) {
    reco_position at;
    uint64_t epoch;
    reco__learned done;
    reco_status status = tell(heal, partition, spread, call, err);
    if (status == RECO_OK)
        status = begin(heal, call, err);
    if (status == RECO_OK)
        status = reco__features_load(&at, &epoch, heal->scratch, partition, NULL, 0, NULL, NULL, call, err);
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
