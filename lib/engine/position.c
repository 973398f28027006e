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

/* --- waiting ------------------------------------------------------------------------------------------------------------------------------
 *
 * Positions are asked of features, which may be a server. However many wait, one of them asks, for all: it leads. Whose position is reached is woken,
 * and nobody else; a leader that leaves makes the youngest its successor. */

#define PAUSE_MIN_NS 1000000
#define PAUSE_MAX_NS 20000000
#define IDLE_NS 1000000000
#define ASKING_SHARE 16 /* asking takes at most one part in so many of the time */

struct reco__position_waiter {
    const int64_t *next;
    uint32_t only;
    int64_t began;
    bool reached;
    pthread_cond_t wake;
    reco__position_waiter *older;
};

static bool position_reached(const reco_engine *engine, const reco_position *positions, const int64_t *next, uint32_t only) {
    for (uint32_t p = 0; p < engine->partitions; p++)
        if ((only == UINT32_MAX || only == p) && next[p] > positions[p].offset)
            return false;
    return true;
}

static reco_status position_look(bool *reached, reco_engine *engine, const int64_t *next, uint32_t only, const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__features_positions(positions, &epoch, engine->features, call, err);
    *reached = status == RECO_OK && position_reached(engine, positions, next, only);
    return status;
}

/* For all who wait. The lock is held, but not while features are asked; who came meanwhile may take the answer, too: what was learned stays so. */
static reco_status position_ask(reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    engine->asked_ns = reco__monotonic_ns();
    pthread_mutex_unlock(&engine->learned_lock);
    reco_status status = reco__features_positions(positions, &epoch, engine->features, call, err);
    pthread_mutex_lock(&engine->learned_lock);
    engine->answered_ns = reco__monotonic_ns();
    for (reco__position_waiter *one = engine->waiters; status == RECO_OK && one; one = one->older)
        if (!one->reached && position_reached(engine, positions, one->next, one->only)) {
            one->reached = true;
            pthread_cond_signal(&one->wake);
        }
    return status;
}

/* When the leader asks again: after a quarter of the time the youngest has waited, for another process may be the one that learns, and many who wait
 * long are not to ask the store all the time; at once for one who has just come. */
static int64_t position_ask_at(const reco_engine *engine, int64_t now) {
    int64_t least = (engine->answered_ns - engine->asked_ns) * ASKING_SHARE, pause = (now - engine->waiters->began) / 4;
    if (engine->waiters->began > engine->asked_ns)
        pause = least;
    else if (pause < PAUSE_MIN_NS)
        pause = PAUSE_MIN_NS;
    pause = pause < least ? least : pause;
    return engine->answered_ns + (pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS);
}

static void waiter_sleep(reco_engine *engine, reco__position_waiter *self, int64_t until) {
    struct timespec time = {until / 1000000000, until % 1000000000};
    pthread_cond_timedwait(&self->wake, &engine->learned_lock, &time);
}

/* Until it is reached, the time is over (TIMEOUT without words) or something fails. Under the lock. */
static reco_status waiter_run(reco_engine *engine, reco__position_waiter *self, int64_t until, const reco_call *call, reco_error *err) {
    uint64_t learned = engine->learned_count;
    while (!self->reached) {
        int64_t now = reco__monotonic_ns(), left = reco__call_left_ns(call), most = call && call->cancel ? PAUSE_MAX_NS : IDLE_NS;
        int64_t look = now + (left < most ? left : most);
        reco_status status = reco__call_check(call, err);
        if (status != RECO_OK)
            return status;
        if (now >= until)
            return RECO_TIMEOUT;
        look = look < until ? look : until;
        if (engine->leading == self) {
            int64_t at = learned == engine->learned_count ? position_ask_at(engine, now) : now;
            if (at <= now) {
                learned = engine->learned_count;
                status = position_ask(engine, call, err);
                if (status != RECO_OK)
                    return status;
                continue;
            }
            look = at < look ? at : look;
        }
        waiter_sleep(engine, self, look);
    }
    return RECO_OK;
}

static void waiter_leave(reco_engine *engine, reco__position_waiter *self) {
    reco__position_waiter **at = &engine->waiters;
    while (*at != self)
        at = &(*at)->older;
    *at = self->older;
    if (engine->leading == self) {
        engine->leading = engine->waiters;
        if (engine->leading)
            pthread_cond_signal(&engine->leading->wake);
    }
}

/* Among the others. */
static reco_status position_queue(reco_engine *engine, const int64_t *next, uint32_t only, int64_t until, const reco_call *call, reco_error *err) {
    reco__position_waiter self = {.next = next, .only = only, .began = reco__monotonic_ns()};
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return reco__no_memory(err);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&engine->learned_lock);
    self.older = engine->waiters;
    engine->waiters = &self;
    if (!engine->leading)
        engine->leading = &self;
    else
        pthread_cond_signal(&engine->leading->wake); /* it reckons anew when to ask */
    reco_status status = waiter_run(engine, &self, until, call, err);
    waiter_leave(engine, &self);
    pthread_mutex_unlock(&engine->learned_lock);
    pthread_cond_destroy(&self.wake);
    return status;
}

void reco__engine_learned(reco_engine *engine) {
    pthread_mutex_lock(&engine->learned_lock);
    engine->learned_count++;
    if (engine->leading)
        pthread_cond_signal(&engine->leading->wake);
    pthread_mutex_unlock(&engine->learned_lock);
}

reco_status reco__position_wait(reco_engine *engine, const int64_t *next, uint32_t only, int64_t wait_ms, const reco_call *call, reco_error *err) {
    bool reached = false;
    reco_status status = wait_ms > 0 ? position_queue(engine, next, only, reco__monotonic_ns() + wait_ms * 1000000, call, err) : RECO_TIMEOUT;
    if (status == RECO_TIMEOUT && (status = reco__call_check(call, err)) == RECO_OK) {
        status = position_look(&reached, engine, next, only, call, err);
        if (status == RECO_OK && !reached)
            status = reco__fail(err, RECO_TIMEOUT, "position", "not learned within %lld ms", (long long)wait_ms);
    }
    return status;
}

reco_status reco_wait(reco_engine *engine, reco_str position, int64_t wait_ms, const reco_call *call, reco_error *err) {
    int64_t next[RECO_PARTITIONS_MAX];
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && (wait_ms < 0 || wait_ms > INT64_C(86400000)))
        status = reco__fail(err, RECO_INVALID, "wait_ms", "0 to 86400000 milliseconds");
    if (status == RECO_OK)
        status = reco__engine_text(position, RECO_POSITION_MAX, "position", err);
    if (status == RECO_OK)
        status = reco__position_decode(next, engine, position, "position", err);
    return status == RECO_OK ? reco__position_wait(engine, next, UINT32_MAX, wait_ms, call, err) : status;
}
