/* engine/ask.c - questions: waiting for a position, asking the recommend room, naming the position of the answer. */
#include "engine/engine.h"

#include <stdio.h>

#include "model/event.h"

/* Tells how far the answer reflects the partitions of the user, and of the user's aliases; `wanted`: how far it should. */
static reco_status answer_locate(reco_engine *engine, reco_answer *answer, const int64_t *wanted, reco_error *err) {
    const reco__place *places;
    size_t count = reco__answer_where(&places, answer);
    int64_t next[RECO_PARTITIONS_MAX];
    char token[RECO_POSITION_MAX];
    if (count == 0)
        return RECO_OK;
    for (uint32_t p = 0; p < engine->partitions; p++)
        next[p] = -1;
    for (size_t i = 0; i < count; i++) {
        next[places[i].partition] = places[i].position.offset;
        if (wanted[places[i].partition] > places[i].position.offset)
            answer->flags |= RECO_ANSWER_BEHIND; /* an alias that came while it was waited for the others */
    }
    reco__position_encode(token, engine, next);
    return reco__answer_set_position(answer, reco__str_of(token), err);
}

#define LOOK_MS 50 /* for a look at the positions, when no time is given to wait */

/* Leaves of the positions those of the partitions that have what the question is about. */
static reco_status query_partitions(int64_t *next, reco_engine *engine, const reco_query *query, uint32_t partition, const reco_call *call,
                                    reco_error *err) {
    uint64_t partitions;
    reco_status status = reco__recommend_partitions(&partitions, engine->recommend, query->user_id, partition, call, err);
    for (uint32_t p = 0; p < engine->partitions && status == RECO_OK; p++)
        next[p] = partitions >> p & 1 ? next[p] : -1;
    return status;
}

/* Waits for min_position in the partitions of the user and of the user's aliases; *behind when it was not reached in time, or nobody could say.
 * *next: the positions. */
static reco_status query_wait(int *behind, int64_t *next, reco_engine *engine, const reco_query *query, uint32_t partition, const reco_call *call,
                              reco_error *err) {
    *behind = 0;
    for (uint32_t p = 0; p < engine->partitions; p++)
        next[p] = -1;
    if (query->wait_ms > engine->settings.wait_max)
        return reco__fail(err, RECO_INVALID, "wait_ms", "0 to %lld milliseconds", (long long)engine->settings.wait_max);
    if (query->min_position.size == 0)
        return RECO_OK;
    int64_t needed[RECO_PARTITIONS_MAX];
    reco_status status = reco__position_decode(next, engine, query->min_position, "min_position", err);
    memcpy(needed, next, sizeof needed);
    if (status == RECO_OK)
        status = query_partitions(needed, engine, query, partition, call, err);
    if (status != RECO_OK)
        return status;
    reco_error waiting = RECO_ERROR_INIT;
    reco_call own;
    status = reco__position_wait(engine, needed, UINT32_MAX, query->wait_ms,
                                 reco__call_within(&own, call, (query->wait_ms + LOOK_MS) * INT64_C(1000000)), &waiting);
    if (status == RECO_CANCELLED || status == RECO_NO_MEMORY || status == RECO_CORRUPT) {
        if (err)
            *err = waiting;
        return status;
    }
    *behind = status != RECO_OK;
    return RECO_OK;
}

/* --- what is asked ------------------------------------------------------------------------------------------------------------------------- */

/* A session in events of the size this library knows. *own: to be released. */
static reco_status take_session(reco_event **own, reco_query *given, reco_error *err) {
    *own = NULL;
    if (given->session_count == 0)
        return RECO_OK;
    if (!given->session)
        return reco__fail(err, RECO_INVALID, "session", "%zu events are announced and none given", given->session_count);
    if (given->session_count > RECO_SESSION_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "session", "%zu are given, at most %u are allowed", given->session_count, RECO_SESSION_MAX);
    if (given->event_size == sizeof(reco_event))
        return RECO_OK;
    *own = reco__alloc_array(given->session_count, sizeof **own);
    if (!*own)
        return reco__no_memory(err);
    reco_status status = RECO_OK;
    for (size_t i = 0; i < given->session_count && status == RECO_OK; i++)
        status = reco__struct_copy(*own + i, sizeof **own, (const char *)given->session + i * given->event_size, given->event_size, "event", err);
    given->session = *own;
    return status;
}

static reco_status check_moment(int64_t as_of, reco_error *err) {
    if (as_of >= 0 && as_of <= RECO__TIME_MAX)
        return RECO_OK;
    return reco__fail(err, RECO_INVALID, "as_of", "milliseconds from 1970 to 9999 are expected");
}

static reco_status take_query(reco_query *given, reco_event **own, const reco_query *query, reco_error *err) {
    *own = NULL;
    if (!query)
        return reco__fail(err, RECO_INVALID, "query", "it is needed");
    reco_status status = reco__struct_copy(given, sizeof *given, query, query->struct_size, "query", err);
    if (status == RECO_OK && (given->user_id.size > 0 || given->session_count == 0))
        status = reco__check_id(given->user_id, -1, "user_id", err);
    if (status == RECO_OK)
        status = check_moment(given->as_of, err);
    if (status == RECO_OK)
        status = reco__engine_text(given->scenario, 64, "scenario", err);
    if (status == RECO_OK)
        status = reco__engine_text(given->min_position, RECO_POSITION_MAX, "min_position", err);
    if (status == RECO_OK && given->user_id.size == 0 && given->min_position.size > 0)
        status = reco__fail(err, RECO_INVALID, "min_position", "it says how far a user is learned: it needs a user_id");
    return status == RECO_OK ? take_session(own, given, err) : status;
}

/* Different ids, at least `least`. */
static reco_status check_items(const reco_str *items, size_t count, size_t least, size_t most, reco_error *err) {
    reco__map seen = {0};
    reco_status status = RECO_OK;
    if (count < least)
        return reco__fail(err, RECO_INVALID, "items", "at least one is needed");
    if (count > 0 && !items)
        return reco__fail(err, RECO_INVALID, "items", "NULL, though there are to be %zu", count);
    if (count > most)
        return reco__fail(err, RECO_TOO_LARGE, "items", "%zu are given, at most %zu are allowed", count, most);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        char field[32];
        bool added = false;
        snprintf(field, sizeof field, "items[%zu]", i);
        status = reco__check_id(items[i], -1, field, err);
        if (status == RECO_OK && reco__map_put(&seen, items[i].data, items[i].size, &added) == RECO__MAP_NONE)
            status = reco__no_memory(err);
        else if (status == RECO_OK && !added)
            status = reco__fail(err, RECO_INVALID, field, "given twice");
    }
    reco__map_dispose(&seen);
    return status;
}

/* --- questions ----------------------------------------------------------------------------------------------------------------------------- */

/* A question for somebody on its way. */
typedef struct asked {
    reco_query query;
    reco_event *own;                   /* to be released */
    int64_t next[RECO_PARTITIONS_MAX]; /* how far the answer is to reflect the partitions */
    uint32_t partition;
    int behind;
} asked;

/* Checks the question, and waits for its position. To be released also when it fails. */
static reco_status take(asked *a, reco_engine *engine, const reco_query *query, const reco_call *call, reco_error *err) {
    reco_status status = take_query(&a->query, &a->own, query, err);
    a->partition = 0;
    a->behind = 0;
    if (status == RECO_OK && a->query.user_id.size > 0)
        a->partition = reco__stream_partition(engine->stream, a->query.user_id.data, a->query.user_id.size);
    return status == RECO_OK ? query_wait(&a->behind, a->next, engine, &a->query, a->partition, call, err) : status;
}

/* items NULL: whatever suits; else these alone. */
static reco_status ask(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_str *items, size_t count, const reco_call *call,
                       reco_error *err) {
    asked a;
    reco_status status = take(&a, engine, query, call, err);
    if (status == RECO_OK && items)
        status = reco__recommend_rank(answer, engine->recommend, &a.query, items, count, reco__now_ms(), a.partition, a.behind, call, err);
    else if (status == RECO_OK)
        status = reco__recommend_ask(answer, engine->recommend, &a.query, reco__now_ms(), a.partition, a.behind, call, err);
    reco__release(a.own);
    return status == RECO_OK ? answer_locate(engine, *answer, a.next, err) : status;
}

static reco_status enter(reco_answer **answer, const reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    return status == RECO_OK && !answer ? reco__fail(err, RECO_INVALID, "answer", "it is needed") : status;
}

reco_status reco_recommend(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_call *call, reco_error *err) {
    reco_status status = enter(answer, engine, call, err);
    return status == RECO_OK ? ask(answer, engine, query, NULL, 0, call, err) : status;
}

reco_status reco_rank(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco_str *items, size_t item_count,
                      const reco_call *call, reco_error *err) {
    reco_status status = enter(answer, engine, call, err);
    if (status == RECO_OK)
        status = check_items(items, item_count, 1, engine->settings.limit_max, err);
    return status == RECO_OK ? ask(answer, engine, query, items, item_count, call, err) : status;
}

reco_status reco_explain(reco_explanation **out, reco_engine *engine, const reco_query *query, const reco_str *items, size_t item_count,
                         const reco_call *call, reco_error *err) {
    asked a = {.own = NULL};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !out)
        status = reco__fail(err, RECO_INVALID, "out", "it is needed");
    if (status == RECO_OK)
        status = check_items(items, item_count, 0, RECO_EXPLAIN_MAX, err);
    if (status == RECO_OK)
        status = take(&a, engine, query, call, err);
    if (status == RECO_OK)
        status = reco__recommend_explain(out, engine->recommend, &a.query, items, item_count, reco__now_ms(), a.partition, a.behind, call, err);
    reco__release(a.own);
    return status == RECO_OK ? answer_locate(engine, reco__explanation_answer(*out), a.next, err) : status;
}

reco_status reco_similar(reco_answer **answer, reco_engine *engine, const reco_similar_query *query, const reco_call *call, reco_error *err) {
    reco_similar_query given;
    reco_status status = enter(answer, engine, call, err);
    if (status == RECO_OK && !query)
        status = reco__fail(err, RECO_INVALID, "query", "it is needed");
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, query, query->struct_size, "query", err);
    if (status == RECO_OK && given.reserved)
        status = reco__fail(err, RECO_INVALID, "reserved", "0 is expected");
    if (status == RECO_OK)
        status = check_moment(given.as_of, err);
    if (status == RECO_OK)
        status = check_items(given.items, given.item_count, 1, RECO_SIMILAR_MAX, err);
    return status == RECO_OK ? reco__recommend_similar(answer, engine->recommend, &given, reco__now_ms(), call, err) : status;
}

reco_status reco__engine_ask_past(reco_answer **answer, reco_engine *engine, const reco_query *query, const reco__past *past, const reco_call *call,
                                  reco_error *err) {
    asked a;
    reco_status status = take(&a, engine, query, call, err);
    if (status == RECO_OK)
        status = reco__recommend_ask_past(answer, engine->recommend, &a.query, past, reco__now_ms(), a.partition, call, err);
    reco__release(a.own);
    return status == RECO_OK ? answer_locate(engine, *answer, a.next, err) : status;
}

bool reco__engine_is_its_own(reco_status status) { return status == RECO_INVALID || status == RECO_TOO_LARGE; }

reco_status reco_recommend_batch(reco_engine *engine, const reco_query *queries, size_t count, size_t query_size, reco_answer_sink sink,
                                 void *context, const reco_call *call, reco_error *err) {
    reco_answer *answer = NULL;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && (!sink || (count > 0 && !queries)))
        status = reco__fail(err, RECO_INVALID, sink ? "queries" : "sink", "it is needed");
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        reco_query query;
        reco_error error = RECO_ERROR_INIT;
        status = reco__call_check(call, err);
        if (status == RECO_OK)
            status = reco__struct_copy(&query, sizeof query, (const char *)queries + i * query_size, query_size, "query", err);
        if (status != RECO_OK)
            break;
        query.struct_size = sizeof query;
        status = ask(&answer, engine, &query, NULL, 0, call, &error);
        if (status != RECO_OK && !reco__engine_is_its_own(status)) {
            if (err)
                *err = error;
            break;
        }
        int stop = sink(context, i, status, status == RECO_OK ? answer : NULL, status == RECO_OK ? NULL : &error);
        status = RECO_OK;
        if (stop)
            break;
    }
    reco_answer_free(answer);
    return status;
}

reco_status reco_popular(reco_answer **answer, reco_engine *engine, const reco_popular_query *query, const reco_call *call, reco_error *err) {
    reco_popular_query given;
    reco_status status = enter(answer, engine, call, err);
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, query, query ? query->struct_size : 0, "query", err);
    if (status == RECO_OK && given.reserved)
        status = reco__fail(err, RECO_INVALID, "reserved", "0 is expected");
    if (status == RECO_OK)
        status = check_moment(given.as_of, err);
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

void reco_explanation_free(reco_explanation *explanation) { reco__explanation_free(explanation); }

reco_status reco_explanation_json(const char **text, size_t *size, reco_explanation *explanation, reco_error *err) {
    if (!text || !size || !explanation)
        return reco__fail(err, RECO_INVALID, !explanation ? "explanation" : !text ? "text" : "size", "it is needed");
    return reco__explanation_json(text, size, explanation, err);
}
