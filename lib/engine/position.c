/* engine/position.c - positions given to clients, and waiting for them.
 *
 * A token is base64url of: u8 version 1, the first 4 bytes of the stream's id, then for each touched partition, ascending: varint partition, varint
 * next, where `next` is the offset up to which the partition must be learned. It is opaque to clients and holds no secret. */
#include "engine/engine.h"

#define TOKEN_VERSION 1u

void reco__position_encode(char out[RECO_POSITION_MAX], const reco_engine *engine, const int64_t *next) {
    uint8_t raw[5 + RECO_PARTITIONS_MAX * 11];
    reco__buf bytes = {.data = (char *)raw, .capacity = sizeof raw, .limit = sizeof raw};
    out[0] = 0;
    reco__buf_byte(&bytes, TOKEN_VERSION);
    reco__buf_add(&bytes, reco__stream_id(engine->stream), 4);
    for (uint32_t p = 0; p < engine->partitions; p++) {
        if (next[p] < 0)
            continue;
        reco__buf_varint(&bytes, p);
        reco__buf_varint(&bytes, (uint64_t)next[p]);
    }
    reco__buf text = {.data = out, .capacity = RECO_POSITION_MAX, .limit = RECO_POSITION_MAX};
    reco__base64_encode(&text, bytes.data, bytes.size);
    out[text.size < RECO_POSITION_MAX ? text.size : RECO_POSITION_MAX - 1] = 0;
}

static reco_status position_parse(int64_t *next, const reco_engine *engine, reco__reader reader, const char *field, reco_error *err) {
    const uint8_t *id;
    if (reco__read_u8(&reader) != TOKEN_VERSION || (id = reco__read_bytes(&reader, 4)) == NULL)
        return reco__fail(err, RECO_INVALID, field, "not a position");
    if (memcmp(id, reco__stream_id(engine->stream), 4) != 0)
        return reco__fail(err, RECO_INVALID, field, "the position belongs to another stream");
    while (reader.at < reader.end && !reader.bad) {
        uint64_t p = reco__read_varint(&reader), offset = reco__read_varint(&reader);
        if (reader.bad || p >= engine->partitions || offset > INT64_MAX)
            return reco__fail(err, RECO_INVALID, field, "not a position");
        next[p] = (int64_t)offset;
    }
    return reader.bad ? reco__fail(err, RECO_INVALID, field, "not a position") : RECO_OK;
}

reco_status reco__position_decode(int64_t *next, const reco_engine *engine, reco_str token, const char *field, reco_error *err) {
    for (uint32_t p = 0; p < engine->partitions; p++)
        next[p] = -1;
    if (token.size >= RECO_POSITION_MAX)
        return reco__fail(err, RECO_INVALID, field, "longer than any position");
    reco__buf bytes = {.limit = RECO_POSITION_MAX};
    bool good = token.size > 0 && reco__base64_decode(&bytes, token.data, token.size);
    reco_status status = bytes.failed == RECO_NO_MEMORY ? reco__no_memory(err) : RECO_OK;
    if (status == RECO_OK)
        status = good ? position_parse(next, engine, reco__reader_of(bytes.data, bytes.size), field, err)
                      : reco__fail(err, RECO_INVALID, field, "not a position");
    reco__buf_dispose(&bytes);
    return status;
}

static reco_status position_reached(bool *reached, reco_engine *engine, const int64_t *next, uint32_t only, const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__features_positions(positions, &epoch, engine->features, call, err);
    *reached = true;
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        if ((only == UINT32_MAX || only == p) && next[p] > positions[p].offset)
            *reached = false;
    return status;
}

void reco__engine_learned(reco_engine *engine) {
    pthread_mutex_lock(&engine->learned_lock);
    engine->learned_count++;
    pthread_cond_broadcast(&engine->learned_cond);
    pthread_mutex_unlock(&engine->learned_lock);
}

#define PAUSE_MIN_NS 1000000
#define PAUSE_MAX_NS 20000000

/* Until a batch of this process is learned after `seen`, or a while is over, for another process may be the one that learns: a quarter of what was
 * waited already, so that many who wait long do not ask the store all the time. */
static void position_pause(reco_engine *engine, uint64_t seen, int64_t waited_ns) {
    int64_t pause = waited_ns / 4 < PAUSE_MIN_NS ? PAUSE_MIN_NS : waited_ns / 4 > PAUSE_MAX_NS ? PAUSE_MAX_NS : waited_ns / 4;
    pause += reco__monotonic_ns();
    struct timespec until = {pause / 1000000000, pause % 1000000000};
    pthread_mutex_lock(&engine->learned_lock);
    while (engine->learned_count == seen)
        if (pthread_cond_timedwait(&engine->learned_cond, &engine->learned_lock, &until) != 0)
            break;
    pthread_mutex_unlock(&engine->learned_lock);
}

reco_status reco__position_wait(reco_engine *engine, const int64_t *next, uint32_t only, int64_t wait_ms, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns(), until = began + wait_ms * 1000000;
    for (;;) {
        pthread_mutex_lock(&engine->learned_lock);
        uint64_t seen = engine->learned_count;
        pthread_mutex_unlock(&engine->learned_lock);
        bool reached;
        reco_status status = position_reached(&reached, engine, next, only, call, err);
        if (status != RECO_OK || reached)
            return status;
        if ((status = reco__call_check(call, err)) != RECO_OK)
            return status;
        if (reco__monotonic_ns() >= until)
            return reco__fail(err, RECO_TIMEOUT, "position", "not learned within %lld ms", (long long)wait_ms);
        position_pause(engine, seen, reco__monotonic_ns() - began);
    }
}

reco_status reco_wait(reco_engine *engine, reco_str position, int64_t wait_ms, const reco_call *call, reco_error *err) {
    int64_t next[RECO_PARTITIONS_MAX];
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && (wait_ms < 0 || wait_ms > INT64_C(86400000)))
        status = reco__fail(err, RECO_INVALID, "wait_ms", "0 to 86400000 milliseconds");
    if (status == RECO_OK)
        status = reco__position_decode(next, engine, position, "position", err);
    return status == RECO_OK ? reco__position_wait(engine, next, UINT32_MAX, wait_ms, call, err) : status;
}
