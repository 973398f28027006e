/* engine/ask_json.c - questions as query strings, answers as replies: what GET /recommendations and GET /popular say. */
#include "engine/engine.h"
#include "engine/reply.h"

#include <stdio.h>

#define QUERY_STRING_MAX 8192u

typedef struct parameter {
    const char *name;
    bool given;
    reco_str value; /* decoded, in the arena */
} parameter;

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes in the manner of forms ('+' is a space). */
static reco_status decode(reco_str *out, reco__arena *arena, const char *text, size_t size, reco_error *err) {
    char *to = reco__arena_alloc(arena, size + 1);
    if (!to)
        return reco__no_memory(err);
    *out = (reco_str){to, 0};
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1, low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return reco__fail(err, RECO_INVALID, "query", "a percent escape is cut off or not hexadecimal");
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        to[out->size++] = c;
    }
    return RECO_OK;
}

static reco_status take_parameter(parameter *parameters, size_t count, reco__arena *arena, const char *part, size_t size, reco_error *err) {
    const char *equals = memchr(part, '=', size);
    size_t name_size = equals ? (size_t)(equals - part) : size;
    reco_str name, value;
    reco_status status = decode(&name, arena, part, name_size, err);
    if (status == RECO_OK)
        status = decode(&value, arena, part + name_size + (equals != NULL), size - name_size - (equals != NULL), err);
    if (status != RECO_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (!reco__str_equal(name, reco__str_of(parameters[i].name)))
            continue;
        if (parameters[i].given)
            return reco__fail(err, RECO_INVALID, parameters[i].name, "given twice");
        if (!reco__utf8_valid(value.data, value.size))
            return reco__fail(err, RECO_INVALID, parameters[i].name, "not valid UTF-8");
        parameters[i].given = true;
        parameters[i].value = value;
        return RECO_OK;
    }
    char shown[64];
    size_t cut = name.size < 40 ? name.size : 40;
    memcpy(shown, name.data, cut);
    shown[cut] = 0;
    return reco__fail(err, RECO_INVALID, reco__utf8_valid(shown, cut) ? shown : "query", "unknown parameter");
}

static reco_status parse_query(parameter *parameters, size_t count, reco__arena *arena, const char *text, reco_error *err) {
    size_t size = text ? strnlen(text, QUERY_STRING_MAX + 1) : 0;
    if (size > QUERY_STRING_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "query", "a query string of more than %u bytes", QUERY_STRING_MAX);
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '&', size - at);
        size_t part = end ? (size_t)(end - text) - at : size - at;
        if (part) {
            reco_status status = take_parameter(parameters, count, arena, text + at, part, err);
            if (status != RECO_OK)
                return status;
        }
        at += part + 1;
    }
    return RECO_OK;
}

/* --- values ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status whole_number(uint64_t *out, const parameter *from, uint64_t least, uint64_t most, reco_error *err) {
    uint64_t value = 0;
    bool good = from->value.size > 0 && from->value.size < 20;
    for (size_t i = 0; good && i < from->value.size; i++) {
        char c = from->value.data[i];
        good = c >= '0' && c <= '9';
        value = value * 10 + (uint64_t)(c - '0');
    }
    if (!good || value < least || value > most)
        return reco__fail(err, RECO_INVALID, from->name, "a whole number from %llu to %llu is expected", (unsigned long long)least,
                          (unsigned long long)most);
    *out = value;
    return RECO_OK;
}

static reco_status moment(int64_t *out, const parameter *from, reco_error *err) {
    uint64_t number;
    if (reco__time_parse(from->value.data, from->value.size, out))
        return RECO_OK;
    if (whole_number(&number, from, 1, UINT64_C(253402300799999), NULL) != RECO_OK)
        return reco__fail(err, RECO_INVALID, from->name, "RFC 3339 with offset or whole milliseconds since 1970 are expected");
    *out = (int64_t)number;
    return RECO_OK;
}

static reco_status span(int64_t *out, const parameter *from, reco_error *err) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1}};
    size_t digits = 0;
    while (digits < from->value.size && from->value.data[digits] >= '0' && from->value.data[digits] <= '9')
        digits++;
    parameter number = {from->name, true, {from->value.data, digits}};
    reco_str unit = {from->value.data + digits, from->value.size - digits};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t value;
        if (!reco__str_equal(unit, reco__str_of(units[i].unit)))
            continue;
        if (whole_number(&value, &number, 1, UINT64_C(4000000000000) / (uint64_t)units[i].ms, NULL) != RECO_OK)
            break;
        *out = (int64_t)value * units[i].ms;
        return RECO_OK;
    }
    return reco__fail(err, RECO_INVALID, from->name, "a span such as 90m, 24h or 7d (or milliseconds) is expected");
}

/* --- replies ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status reply_answer(reco_reply *reply, reco_answer *answer, reco_error *err) {
    const char *text;
    reco_status status = reco__answer_json(&text, &reply->size, answer, err);
    if (status != RECO_OK)
        return status;
    reply->body = reco__strndup(text, reply->size);
    reply->http_status = 200;
    reply->content_type = "application/json";
    return reply->body ? RECO_OK : reco__no_memory(err);
}

/* The call with what the settings allow an answer, after `wait_ms` of waiting that was asked for. Without threads of its own an engine loads what it
 * answers from with the first question, which takes the time it takes. */
static const reco_call *within_deadline(reco_call *own, const reco_engine *engine, const reco_call *call, uint32_t wait_ms) {
    if (!engine->background)
        return call;
    *own = (reco_call){.struct_size = sizeof *own};
    own->deadline_ns = reco__monotonic_ns() + (engine->settings.answer_deadline + wait_ms) * 1000000;
    if (call) {
        own->cancel = call->cancel;
        own->traceparent = call->traceparent;
        own->deadline_ns = call->deadline_ns && call->deadline_ns < own->deadline_ns ? call->deadline_ns : own->deadline_ns;
    }
    return own;
}

enum { P_USER, P_LIMIT, P_SCENARIO, P_POSITION, P_WAIT, P_AS_OF, P_SEED, P_REASONS, P_COUNT };

static reco_status recommend_query(reco_query *query, reco_engine *engine, reco__arena *arena, const char *text, reco_error *err) {
    parameter given[P_COUNT] = {{.name = "user_id"}, {.name = "limit"}, {.name = "scenario"}, {.name = "min_position"},
                                {.name = "wait_ms"}, {.name = "as_of"}, {.name = "seed"},     {.name = "reasons"}};
    uint64_t limit = 0, wait_ms = 0;
    reco_status status = parse_query(given, P_COUNT, arena, text, err);
    if (status == RECO_OK && !given[P_USER].given)
        status = reco__fail(err, RECO_INVALID, "user_id", "it is required");
    if (status == RECO_OK && given[P_LIMIT].given)
        status = whole_number(&limit, &given[P_LIMIT], 1, engine->settings.limit_max, err);
    if (status == RECO_OK && given[P_WAIT].given)
        status = whole_number(&wait_ms, &given[P_WAIT], 0, (uint64_t)engine->settings.wait_max, err);
    if (status == RECO_OK && given[P_AS_OF].given)
        status = moment(&query->as_of, &given[P_AS_OF], err);
    if (status == RECO_OK && given[P_SEED].given)
        status = whole_number(&query->seed, &given[P_SEED], 0, UINT64_C(9999999999999999999), err);
    if (status == RECO_OK && given[P_REASONS].given) {
        if (reco__str_equal(given[P_REASONS].value, reco__str_of("false")))
            query->flags |= RECO_QUERY_NO_REASONS;
        else if (!reco__str_equal(given[P_REASONS].value, reco__str_of("true")))
            status = reco__fail(err, RECO_INVALID, "reasons", "true or false is expected");
    }
    query->struct_size = sizeof *query;
    query->user_id = given[P_USER].value;
    query->scenario = given[P_SCENARIO].value;
    query->min_position = given[P_POSITION].value;
    query->limit = (uint32_t)limit;
    query->wait_ms = (uint32_t)wait_ms;
    return status;
}

reco_status reco_recommend_json(reco_reply *reply, reco_engine *engine, const char *query_string, const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco__arena arena = {0};
    reco_answer *answer = NULL;
    reco_query query = {0};
    reco_call own;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = reco__engine_enter(engine, call, &error);
    if (status == RECO_OK)
        status = recommend_query(&query, engine, &arena, query_string, &error);
    if (status == RECO_OK)
        status = reco_recommend(&answer, engine, &query, within_deadline(&own, engine, call, query.wait_ms), &error);
    if (status == RECO_OK)
        status = reply_answer(reply, answer, &error);
    reco_answer_free(answer);
    reco__arena_dispose(&arena);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}

enum { Q_LIMIT, Q_WINDOW, Q_CATEGORY, Q_AS_OF, Q_COUNT };

static reco_status popular_query(reco_popular_query *query, reco_engine *engine, reco__arena *arena, const char *text, reco_error *err) {
    parameter given[Q_COUNT] = {{.name = "limit"}, {.name = "window"}, {.name = "category"}, {.name = "as_of"}};
    uint64_t limit = 0;
    reco_status status = parse_query(given, Q_COUNT, arena, text, err);
    if (status == RECO_OK && given[Q_LIMIT].given)
        status = whole_number(&limit, &given[Q_LIMIT], 1, engine->settings.limit_max, err);
    if (status == RECO_OK && given[Q_WINDOW].given)
        status = span(&query->window, &given[Q_WINDOW], err);
    if (status == RECO_OK && given[Q_AS_OF].given)
        status = moment(&query->as_of, &given[Q_AS_OF], err);
    if (status == RECO_OK && given[Q_CATEGORY].given && given[Q_CATEGORY].value.size == 0)
        status = reco__fail(err, RECO_INVALID, "category", "it is empty");
    query->struct_size = sizeof *query;
    query->limit = (uint32_t)limit;
    query->category = given[Q_CATEGORY].value;
    return status;
}

reco_status reco_popular_json(reco_reply *reply, reco_engine *engine, const char *query_string, const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco__arena arena = {0};
    reco_answer *answer = NULL;
    reco_popular_query query = {0};
    reco_call own;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = reco__engine_enter(engine, call, &error);
    if (status == RECO_OK)
        status = popular_query(&query, engine, &arena, query_string, &error);
    if (status == RECO_OK)
        status = reco_popular(&answer, engine, &query, within_deadline(&own, engine, call, 0), &error);
    if (status == RECO_OK)
        status = reply_answer(reply, answer, &error);
    reco_answer_free(answer);
    reco__arena_dispose(&arena);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}
