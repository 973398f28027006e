/* engine/ingest_ready.c - whether events are taken at the moment, as far as can be told without sending one.
 *
 * Two things keep all events out while every store answers questions: a wall clock that ran away, and a stream that can be read and not be written.
 * The clock is looked at when asked. Writing is not tried, for who asks must not write: what the last append said holds until one succeeds, but no
 * longer than REFUSAL_NS, since a service that is left out for it gets no event that could show otherwise. */
#include "engine/engine.h"

#define REFUSAL_NS INT64_C(10000000000)

reco_status reco__ingest_clock(reco_engine *engine, int64_t now, reco_error *err) {
    int64_t steady = engine->opened_wall_ms + (reco__monotonic_ns() - engine->opened_monotonic_ns) / 1000000;
    if (now - steady <= engine->settings.skew)
        return RECO_OK;
    return reco__fail(err, RECO_CLOCK, "received_at",
                      "the wall clock runs %lld ms ahead of the monotonic clock since open; events are refused until it is right again",
                      (long long)(now - steady));
}

/* Of an append that was given up or found the stream busy, the next one knows nothing. */
static bool is_refusal(reco_status status) {
    return status != RECO_OK && status != RECO_CANCELLED && status != RECO_TIMEOUT && status != RECO_BUSY && status != RECO_NO_MEMORY;
}

void reco__ingest_outcome(reco_engine *engine, reco_status status, const reco_error *err) {
    bool refused = is_refusal(status);
    if (!refused && (status != RECO_OK || !atomic_load_explicit(&engine->refusing, memory_order_relaxed)))
        return;
    pthread_mutex_lock(&engine->ingest_lock);
    if (refused) {
        engine->refusal = *err;
        engine->refused_ns = reco__monotonic_ns();
    }
    atomic_store(&engine->refusing, refused);
    pthread_mutex_unlock(&engine->ingest_lock);
}

/* What the last append said, when it still holds. */
static bool find_refusal(reco_error *out, reco_engine *engine) {
    if (!atomic_load_explicit(&engine->refusing, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&engine->ingest_lock);
    bool holds = atomic_load(&engine->refusing) && reco__monotonic_ns() - engine->refused_ns < REFUSAL_NS;
    *out = engine->refusal;
    pthread_mutex_unlock(&engine->ingest_lock);
    return holds;
}

reco_status reco_ingest_ready(reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_error refusal;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__ingest_clock(engine, reco__now_ms(), err);
    if (status != RECO_OK || !find_refusal(&refusal, engine))
        return status;
    return reco__fail(err, refusal.status == RECO_FULL ? RECO_FULL : RECO_UNAVAILABLE, "stream", "events are refused: %s", refusal.text);
}
