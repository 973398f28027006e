/* engine/ask_json.c - questions as query strings or bodies, answers as replies: what the paths of the API that ask something say. */
#include "engine/engine.h"
#include "engine/params.h"
#include "engine/reply.h"
#include "engine/selection.h"
#include "model/elements.h"
#include "model/event.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A question on its way. */
typedef struct asking {
    reco_engine *engine;
    const reco_ask_input *input;
    reco_answer *answer;           /* of the last one */
    reco_explanation *explanation; /* the same */
    const reco_call *call;
} asking;

typedef reco_status (*ask_fn)(asking *a, const reco__sent *sent, reco_error *err);

/* The call with what the settings allow an answer, after `wait_ms` of waiting that was asked for. Without threads of its own an engine loads what it
 * answers from with the first question, which takes the time it takes. */
static const reco_call *within_deadline(reco_call *own, const asking *a, uint32_t wait_ms) {
    const reco_call *call = a->call;
    if (!a->engine->background)
        return call;
    return reco__call_within(own, call, (a->engine->settings.answer_deadline + wait_ms) * 1000000);
}

/* --- what questions have in common --------------------------------------------------------------------------------------------------------- */

static reco_status read_limit(uint32_t *out, const asking *a, const reco__param *from, const reco__sent *sent, reco_error *err) {
    uint64_t limit = 0;
    reco_status status = reco__param_number(&limit, from, 1, a->engine->settings.limit_max, sent, err);
    *out = (uint32_t)limit;
    return status;
}

static reco_status read_reasons(uint32_t *flags, const reco__param *from, const reco__sent *sent, reco_error *err) {
    bool reasons = true;
    reco_status status = reco__param_flag(&reasons, from, sent, err);
    *flags |= reasons ? 0 : RECO_QUERY_NO_REASONS;
    return status;
}

/* --- sessions ------------------------------------------------------------------------------------------------------------------------------ */

enum { S_ITEM, S_TYPE, S_VALUE, S_TIME, S_COUNT };

static reco_status read_event(reco_event *event, const json_t *value, const reco__sent *sent, reco_error *err) {
    reco__param given[S_COUNT] = {{.name = "item_id"}, {.name = "event_type"}, {.name = "value"}, {.name = "timestamp"}};
    const reco__sent inner = {.object = value, .index = sent->index, .arena = sent->arena};
    if (json_is_string(value)) {
        event->item_id = (reco_str){json_string_value(value), json_string_length(value)};
        return RECO_OK;
    }
    if (!json_is_object(value))
        return reco__fail_at(err, RECO_INVALID, sent->index, "session", "an array of item ids or of objects with an item_id is expected");
    reco_status status = reco__params_read(given, S_COUNT, &inner, err);
    if (status == RECO_OK)
        status = reco__param_text(&event->item_id, &given[S_ITEM], &inner, err);
    if (status == RECO_OK)
        status = reco__param_text(&event->event_type, &given[S_TYPE], &inner, err);
    if (status == RECO_OK)
        status = reco__param_moment(&event->timestamp, &given[S_TIME], &inner, err);
    if (status == RECO_OK && given[S_VALUE].given && !json_is_number(given[S_VALUE].json))
        status = reco__fail_at(err, RECO_INVALID, sent->index, "value", "a number is expected");
    if (status == RECO_OK && given[S_VALUE].given) {
        event->value = json_number_value(given[S_VALUE].json);
        event->flags |= RECO_EVENT_HAS_VALUE;
    }
    return status;
}

/* The same, with errors that say which event they are about. */
static reco_status read_event_at(reco_event *event, size_t at, const json_t *value, const reco__sent *sent, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    char field[sizeof error.field];
    reco_status status = read_event(event, value, sent, &error);
    if (status == RECO_OK)
        return RECO_OK;
    if (json_is_object(value) && error.field[0])
        snprintf(field, sizeof field, "session[%zu].%.*s", at, (int)sizeof field - 32, error.field);
    else
        snprintf(field, sizeof field, "session[%zu]", at);
    return reco__fail_at(err, status, error.index, field, "%s", error.text);
}

/* Item ids, or objects in a body; the oldest first. */
static reco_status read_session(reco_query *query, const reco__param *from, const reco__sent *sent, reco_error *err) {
    if (!from->given)
        return RECO_OK;
    if (from->json && !json_is_array(from->json))
        return reco__fail_at(err, RECO_INVALID, sent->index, "session", "an array of item ids or of objects with an item_id is expected");
    size_t count = from->json ? json_array_size(from->json) : from->count;
    if (count > RECO_SESSION_MAX)
        return reco__fail_at(err, RECO_TOO_LARGE, sent->index, "session", "%zu are given, at most %u are allowed", count, RECO_SESSION_MAX);
    reco_event *events = reco__arena_zalloc(sent->arena, (count + 1) * sizeof *events);
    reco_status status = events ? RECO_OK : reco__no_memory(err);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        if (from->json)
            status = read_event_at(&events[i], i, json_array_get(from->json, i), sent, err);
        else
            events[i].item_id = from->texts[i];
    }
    query->session = events;
    query->session_count = count;
    query->event_size = sizeof *events;
    return status;
}

/* --- for a user ---------------------------------------------------------------------------------------------------------------------------- */

enum {
    P_USER,
    P_SESSION,
    P_LIMIT,
    P_SCENARIO,
    P_POSITION,
    P_WAIT,
    P_AS_OF,
    P_SEED,
    P_REASONS,
    P_SELECTION,
    P_ITEMS = P_SELECTION + RECO__SELECTION_PARAMS,
    P_COUNT
};

static const reco__param user_params[P_COUNT] = {{.name = "user_id"},
                                                 {.name = "session", .list = true},
                                                 {.name = "limit"},
                                                 {.name = "scenario"},
                                                 {.name = "min_position"},
                                                 {.name = "wait_ms"},
                                                 {.name = "as_of"},
                                                 {.name = "seed"},
                                                 {.name = "reasons"},
                                                 RECO__SELECTION_TABLE,
                                                 {.name = "items", .list = true}};

static reco_status read_times(reco_query *query, const asking *a, const reco__param *given, const reco__sent *sent, reco_error *err) {
    uint64_t wait_ms = 0;
    reco_status status = reco__param_number(&wait_ms, &given[P_WAIT], 0, (uint64_t)a->engine->settings.wait_max, sent, err);
    if (status == RECO_OK)
        status = reco__param_moment(&query->as_of, &given[P_AS_OF], sent, err);
    query->wait_ms = (uint32_t)wait_ms;
    return status;
}

static reco_status read_query(reco_query *query, reco_selection *selection, const asking *a, const reco__param *given, const reco__sent *sent,
                              reco_error *err) {
    query->struct_size = sizeof *query;
    reco_status status = reco__param_text(&query->user_id, &given[P_USER], sent, err);
    if (status == RECO_OK)
        status = read_session(query, &given[P_SESSION], sent, err);
    if (status == RECO_OK && !given[P_USER].given && (!sent->object || query->session_count == 0))
        status = reco__fail_at(err, RECO_INVALID, sent->index, "user_id",
                               sent->object ? "it is required, or a session with at least one event" : "it is required");
    if (status == RECO_OK && given[P_USER].given && query->user_id.size == 0)
        status = reco__fail_at(err, RECO_INVALID, sent->index, "user_id", "it is empty");
    if (status == RECO_OK)
        status = read_limit(&query->limit, a, &given[P_LIMIT], sent, err);
    if (status == RECO_OK)
        status = read_times(query, a, given, sent, err);
    if (status == RECO_OK)
        status = reco__param_number(&query->seed, &given[P_SEED], 0, INT64_MAX, sent, err);
    if (status == RECO_OK)
        status = read_reasons(&query->flags, &given[P_REASONS], sent, err);
    if (status == RECO_OK)
        status = reco__selection_read(&query->selection, selection, given + P_SELECTION, sent, err);
    if (status == RECO_OK)
        status = reco__param_text(&query->scenario, &given[P_SCENARIO], sent, err);
    return status == RECO_OK ? reco__param_text(&query->min_position, &given[P_POSITION], sent, err) : status;
}

static reco_status ask_recommend(asking *a, const reco__sent *sent, reco_error *err) {
    reco__param given[P_COUNT];
    reco_query query = {0};
    reco_selection selection;
    reco_call own;
    memcpy(given, user_params, sizeof given);
    reco_status status = reco__params_read(given, P_ITEMS, sent, err);
    if (status == RECO_OK)
        status = read_query(&query, &selection, a, given, sent, err);
    return status == RECO_OK ? reco_recommend(&a->answer, a->engine, &query, within_deadline(&own, a, query.wait_ms), err) : status;
}

static reco_status ask_rank(asking *a, const reco__sent *sent, reco_error *err) {
    reco__param given[P_COUNT];
    reco_query query = {0};
    reco_selection selection;
    reco_call own;
    const reco_str *items = NULL;
    size_t count = 0;
    memcpy(given, user_params, sizeof given);
    reco_status status = reco__params_read(given, P_COUNT, sent, err);
    if (status == RECO_OK)
        status = read_query(&query, &selection, a, given, sent, err);
    if (status == RECO_OK && !given[P_ITEMS].given)
        status = reco__fail_at(err, RECO_INVALID, sent->index, "items", "it is required");
    if (status == RECO_OK)
        status = reco__param_list(&items, &count, &given[P_ITEMS], a->engine->settings.limit_max, sent, err);
    return status == RECO_OK ? reco_rank(&a->answer, a->engine, &query, items, count, within_deadline(&own, a, query.wait_ms), err) : status;
}

/* In a query string a list is named by one of its elements, and so is what is wrong with one. */
static reco_status explain_named(asking *a, const reco_query *query, const reco_str *items, size_t count, reco_error *err) {
    static const char named[] = "item_id";
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_OK;
    reco_call own;
    for (size_t i = 0; i < count && status == RECO_OK; i++)
        status = reco__check_id(items[i], -1, named, &error);
    if (status == RECO_OK)
        status = reco_explain(&a->explanation, a->engine, query, items, count, within_deadline(&own, a, query->wait_ms), &error);
    if (strncmp(error.field, "items[", 6) == 0)
        memcpy(error.field, named, sizeof named);
    return status == RECO_OK ? RECO_OK : reco__fail_as(err, &error);
}

static reco_status ask_explain(asking *a, const reco__sent *sent, reco_error *err) {
    reco__param given[P_COUNT];
    reco_query query = {0};
    reco_selection selection;
    const reco_str *items = NULL;
    size_t count = 0;
    reco_call own;
    memcpy(given, user_params, sizeof given);
    given[P_ITEMS].name = sent->object ? "items" : "item_id";
    reco_status status = reco__params_read(given, P_COUNT, sent, err);
    if (status == RECO_OK)
        status = read_query(&query, &selection, a, given, sent, err);
    if (status == RECO_OK && given[P_ITEMS].given)
        status = reco__param_list(&items, &count, &given[P_ITEMS], RECO_EXPLAIN_MAX, sent, err);
    if (status == RECO_OK && !sent->object)
        return explain_named(a, &query, items, count, err);
    return status == RECO_OK ? reco_explain(&a->explanation, a->engine, &query, items, count, within_deadline(&own, a, query.wait_ms), err) : status;
}

/* --- for nobody in particular -------------------------------------------------------------------------------------------------------------- */

enum {
    Q_LIMIT,
    Q_AS_OF,
    Q_REASONS,
    Q_SELECTION,
    Q_WINDOW = Q_SELECTION + RECO__SELECTION_PARAMS,
    Q_CATEGORY,
    Q_POPULAR,
    Q_ITEMS = Q_WINDOW,
    Q_SIMILAR
};

static reco_status ask_popular(asking *a, const reco__sent *sent, reco_error *err) {
    reco__param given[Q_POPULAR] = {{.name = "limit"},     {.name = "as_of"},  {.name = "reasons"},
                                    RECO__SELECTION_TABLE, {.name = "window"}, {.name = "category"}};
    reco_popular_query query = {.struct_size = sizeof query};
    reco_selection selection;
    reco_call own;
    reco_status status = reco__params_read(given, Q_POPULAR, sent, err);
    if (status == RECO_OK)
        status = read_limit(&query.limit, a, &given[Q_LIMIT], sent, err);
    if (status == RECO_OK)
        status = reco__param_span(&query.window, &given[Q_WINDOW], sent, err);
    if (status == RECO_OK)
        status = reco__param_moment(&query.as_of, &given[Q_AS_OF], sent, err);
    if (status == RECO_OK)
        status = read_reasons(&query.flags, &given[Q_REASONS], sent, err);
    if (status == RECO_OK)
        status = reco__selection_read(&query.selection, &selection, given + Q_SELECTION, sent, err);
    if (status == RECO_OK)
        status = reco__param_text(&query.category, &given[Q_CATEGORY], sent, err);
    if (status == RECO_OK && given[Q_CATEGORY].given && query.category.size == 0)
        status = reco__fail_at(err, RECO_INVALID, sent->index, "category", "it is empty");
    return status == RECO_OK ? reco_popular(&a->answer, a->engine, &query, within_deadline(&own, a, 0), err) : status;
}

static reco_status ask_similar(asking *a, const reco__sent *sent, reco_error *err) {
    reco__param given[Q_SIMILAR] = {
        {.name = "limit"}, {.name = "as_of"}, {.name = "reasons"}, RECO__SELECTION_TABLE, {.name = "items", .list = true}};
    const reco_str *one = &a->input->item_id;
    reco_similar_query query = {.struct_size = sizeof query};
    reco_selection selection;
    reco_call own;
    reco_status status = reco__params_read(given, one->size > 0 ? Q_ITEMS : Q_SIMILAR, sent, err);
    if (status == RECO_OK)
        status = read_limit(&query.limit, a, &given[Q_LIMIT], sent, err);
    if (status == RECO_OK)
        status = reco__param_moment(&query.as_of, &given[Q_AS_OF], sent, err);
    if (status == RECO_OK)
        status = read_reasons(&query.flags, &given[Q_REASONS], sent, err);
    if (status == RECO_OK)
        status = reco__selection_read(&query.selection, &selection, given + Q_SELECTION, sent, err);
    if (status == RECO_OK && one->size == 0 && !given[Q_ITEMS].given)
        status = reco__fail_at(err, RECO_INVALID, sent->index, "items", "it is required");
    if (status == RECO_OK && one->size == 0)
        status = reco__param_list(&query.items, &query.item_count, &given[Q_ITEMS], RECO_SIMILAR_MAX, sent, err);
    if (status == RECO_OK && one->size > 0)
        status = reco__check_id(*one, -1, "item_id", err); /* else it would be named as one of a list */
    if (status == RECO_OK && one->size > 0) {
        query.items = one;
        query.item_count = 1;
    }
    return status == RECO_OK ? reco_similar(&a->answer, a->engine, &query, within_deadline(&own, a, 0), err) : status;
}

/* --- replies ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status reply_answer(reco_reply *reply, const asking *a, reco_error *err) {
    const char *text;
    reco_status status =
        a->explanation ? reco__explanation_json(&text, &reply->size, a->explanation, err) : reco__answer_json(&text, &reply->size, a->answer, err);
    if (status != RECO_OK)
        return status;
    reply->body = reco__strndup(text, reply->size);
    reply->http_status = 200;
    reply->content_type = "application/json";
    return reply->body ? RECO_OK : reco__no_memory(err);
}

/* A body with one question. */
typedef struct single {
    asking *a;
    ask_fn ask;
    reco__arena *arena;
    bool asked;
} single;

static reco_status accept_one(void *context, const reco__element *element, reco_error *err) {
    single *one = context;
    const reco__sent sent = {.query = one->a->input->query_string, .object = element->object, .index = -1, .arena = one->arena};
    reco_status status = one->ask(one->a, &sent, err);
    one->asked = status == RECO_OK;
    return status;
}

static reco_status ask_body(asking *a, ask_fn ask, reco__arena *arena, reco_error *err) {
    single one = {.a = a, .ask = ask, .arena = arena};
    reco__rejects rejects = {.arena = arena};
    size_t total = 0;
    reco_status status = reco__elements_read(&total, &rejects, a->input->body, a->input->body_size, RECO__JSON_AUTO, 1, accept_one, &one, err);
    if (status != RECO_OK || one.asked)
        return status;
    if (rejects.count == 0)
        return reco__fail(err, RECO_INVALID, NULL, "one object is expected");
    rejects.errors[0].index = -1;
    return reco__fail_as(err, rejects.errors);
}

static reco_status ask_one(reco_reply *reply, asking *a, ask_fn ask, reco__arena *arena, reco_error *err) {
    const reco__sent sent = {.query = a->input->query_string, .index = -1, .arena = arena};
    reco_status status = a->input->body ? ask_body(a, ask, arena, err) : ask(a, &sent, err);
    return status == RECO_OK ? reply_answer(reply, a, err) : status;
}

/* --- many at once -------------------------------------------------------------------------------------------------------------------------- */

typedef struct many {
    asking *a;
    reco__buf body;
    size_t answered;
} many;

static reco_status accept_each(void *context, const reco__element *element, reco_error *err) {
    many *all = context;
    reco__arena arena = {0};
    const reco__sent sent = {.object = element->object, .index = element->index, .arena = &arena};
    const char *text;
    size_t size;
    reco_status status = ask_recommend(all->a, &sent, err);
    if (status == RECO_OK)
        status = reco__answer_json(&text, &size, all->a->answer, err);
    if (status == RECO_OK) {
        reco__buf_printf(&all->body, "%s{\"index\":%d,\"answer\":", all->answered++ ? "," : "", (int)element->index);
        reco__buf_add(&all->body, text, size);
        reco__buf_byte(&all->body, '}');
        status = reco__buf_status(&all->body, err);
    } else if (err && (status == RECO_INVALID || status == RECO_TOO_LARGE)) {
        err->index = element->index;
    }
    reco__arena_dispose(&arena);
    return status;
}

static reco_status ask_many(reco_reply *reply, asking *a, reco__arena *arena, reco_error *err) {
    many all = {.a = a, .body = {.limit = 64u << 20}};
    reco__rejects rejects = {.arena = arena};
    size_t total = 0;
    reco__buf_text(&all.body, "{\"answers\":[");
    reco_status status =
        reco__elements_read(&total, &rejects, a->input->body, a->input->body_size,
                            a->input->form == RECO_JSON_NDJSON ? RECO__JSON_NDJSON : RECO__JSON_AUTO, RECO_BATCH_MAX, accept_each, &all, err);
    if (status != RECO_OK) {
        reco__buf_dispose(&all.body);
        return status;
    }
    bool none = all.answered == 0 && rejects.count > 0;
    if (none)
        reco__buf_reset(&all.body);
    reco__buf_text(&all.body, none ? "{\"type\":\"about:blank\",\"title\":\"no question was answered\",\"status\":422,"
                                     "\"detail\":\"no question is valid\",\"errors\":["
                                   : "],\"rejected\":[");
    for (size_t i = 0; i < rejects.count; i++)
        reco__reply_rejected(&all.body, &rejects.errors[i], rejects.errors[i].index, i == 0);
    reco__buf_text(&all.body, "]}");
    reply->http_status = none ? 422 : 200;
    reply->status = none ? RECO_INVALID : RECO_OK;
    reply->content_type = none ? "application/problem+json" : "application/json";
    return reco__reply_body(reply, &all.body, err);
}

/* --- the door ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status ask(reco_reply *reply, asking *a, reco__arena *arena, reco_error *err) {
    static const ask_fn kinds[] = {NULL, ask_recommend, ask_popular, ask_similar, ask_rank, NULL, ask_explain};
    uint32_t kind = a->input->kind;
    if (kind == RECO_ASK_BATCH)
        return a->input->body ? ask_many(reply, a, arena, err) : reco__fail(err, RECO_INVALID, "body", "it is needed");
    if (kind >= COUNT_OF(kinds) || !kinds[kind])
        return reco__fail(err, RECO_INVALID, "kind", "%u is no kind of question", kind);
    return ask_one(reply, a, kinds[kind], arena, err);
}

reco_status reco_ask_json(reco_reply *reply, reco_engine *engine, const reco_ask_input *input, const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco__arena arena = {0};
    reco_ask_input given;
    asking a = {.engine = engine, .input = &given, .call = call};
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = reco__engine_enter(engine, call, &error);
    if (status == RECO_OK && !input)
        status = reco__fail(&error, RECO_INVALID, "input", "it is needed");
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, input, input->struct_size, "input", &error);
    if (status == RECO_OK && (given.form > RECO_JSON_NDJSON || given.reserved))
        status = reco__fail(&error, RECO_INVALID, given.reserved ? "reserved" : "form", given.reserved ? "0 is expected" : "unknown form of JSON");
    if (status == RECO_OK)
        status = ask(reply, &a, &arena, &error);
    reco_answer_free(a.answer);
    reco_explanation_free(a.explanation);
    reco__arena_dispose(&arena);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}
