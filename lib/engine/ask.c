/* engine/ask.c - questions: waiting for a position, asking the recommend room, naming the position of the answer. */
#include "engine/engine.h"

static reco_status answer_locate(reco_engine *engine, reco_answer *answer, reco_error *err) {
    uint32_t partition;
    reco_position position;
    if (!reco__answer_where(&partition, &position, answer))
        return RECO_OK;
    int64_t next[RECO_PARTITIONS_MAX];
    char token[RECO_POSITION_MAX];
    for (uint32_t p = 0; p < engine->partitions; p++)
        next[p] = -1;
    next[partition] = position.offset;
    reco__position_encode(token, engine, next);
    return reco__answer_set_position(answer, reco__str_of(token), err);
}

#define LOOK_MS 50 /* for a look at the positions, when no time is given to wait */

/* Waits for min_position in the user's own partition; *behind when it was not reached in time, or nobody could say. */
static reco_status query_wait(int *behind, reco_engine *engine, const reco_query *query, uint32_t partition, const reco_call *call, reco_error *err) {
    int64_t next[RECO_PARTITIONS_MAX];
    *behind = 0;
    if (query->wait_ms > engine->settings.wait_max)
        return reco__fail(err, RECO_INVALID, "wait_ms", "0 to %lld milliseconds", (long long)engine->settings.wait_max);
    if (query->min_position.size == 0)
        return RECO_OK;
    reco_status status = reco__position_decode(next, engine, query->min_position, "min_position", err);
    if (status != RECO_OK)
        return status;
    reco_error waiting = RECO_ERROR_INIT;
    reco_call own = {.struct_size = sizeof own, .deadline_ns = reco__monotonic_ns() + (query->wait_ms + LOOK_MS) * INT64_C(1000000)};
    if (call) {
        own.cancel = call->cancel;
        own.traceparent = call->traceparent;
        own.deadline_ns = call->deadline_ns && call->deadline_ns < own.deadline_ns ? call->deadline_ns : own.deadline_ns;
    }
    status = reco__position_wait(engine, next, partition, query->wait_ms, &own, &waiting);
    if (status == RECO_CANCELLED || status == RECO_NO_MEMORY || status == RECO_CORRUPT) {
        if (err)
            *err = waiting;
        return status;
    }
    *behind = status != RECO_OK;
    return RECO_OK;
}

reco_status reco_recommend(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_call *call, reco_error *err) {
    reco_query given;
    int behind = 0;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && (!answer || !query))
        status = reco__fail(err, RECO_INVALID, answer ? "query" : "answer", "it is needed");
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, query, query->struct_size, "query", err);
    if (status == RECO_OK)
        status = reco__check_id(given.user_id, -1, "user_id", err);
    if (status == RECO_OK)
        status = reco__engine_text(given.scenario, 64, "scenario", err);
    if (status == RECO_OK)
        status = reco__engine_text(given.min_position, RECO_POSITION_MAX, "min_position", err);
    if (status != RECO_OK)
        return status;
    uint32_t partition = reco__stream_partition(engine->stream, given.user_id.data, given.user_id.size);
    status = query_wait(&behind, engine, &given, partition, call, err);
    if (status == RECO_OK)
        status = reco__recommend_ask(answer, engine->recommend, &given, reco__now_ms(), partition, behind, call, err);
    return status == RECO_OK ? answer_locate(engine, *answer, err) : status;
}

reco_status reco_popular(reco_answer **answer, reco_engine *engine, const reco_popular_query *query, const reco_call *call, reco_error *err) {
    reco_popular_query given;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !answer)
        status = reco__fail(err, RECO_INVALID, "answer", "it is needed");
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, query, query ? query->struct_size : 0, "query", err);
    if (status == RECO_OK && given.reserved)
        status = reco__fail(err, RECO_INVALID, "reserved", "0 is expected");
    if (status == RECO_OK)
        status = reco__engine_text(given.category, 256, "category", err);
    return status == RECO_OK ? reco__recommend_popular(answer, engine->recommend, &given, reco__now_ms(), call, err) : status;
}

void reco_answer_free(reco_answer *answer) { reco__answer_free(answer); }

reco_status reco_answer_json(const char **text, size_t *size, reco_answer *answer, reco_error *err) {
    if (!text || !size || !answer)
        return reco__fail(err, RECO_INVALID, !answer ? "answer" : !text ? "text" : "size", "it is needed");
    return reco__answer_json(text, size, answer, err);
}
