/* api/answers.c - recommendations out over HTTP. Parameters are the library's to check: the raw query string or the body goes to it and a ready reply
 * comes back. */
#include <string.h>

#include "api/api.h"

static void ask(http_request *request, reco_engine *engine, reco_ask_input *input, uint32_t flags) {
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    input->struct_size = sizeof *input;
    reco_status status = reco_ask_json(&reply, engine, input, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, flags);
}

static void get(http_request *request, reco_engine *engine, uint32_t kind, uint32_t flags) {
    ask(request, engine, &(reco_ask_input){.kind = kind, .query_string = http_query(request)}, flags);
}

/* A question in a body; only a batch may be given by lines. */
static void post(http_request *request, reco_engine *engine, uint32_t kind) {
    reco_ask_input input = {.kind = kind};
    if (!http_params(request, NULL, 0) || !http_form(request, &input.form))
        return;
    if (kind != RECO_ASK_BATCH && input.form != RECO_JSON_AUTO)
        http_send_problem(request, 415, "Content-Type", "one question is a JSON object: application/json is expected");
    else if (http_body(request, &input.body, &input.body_size))
        ask(request, engine, &input, HTTP_PERSONAL);
}

static void get_recommendations(http_request *request, void *context) { get(request, context, RECO_ASK_RECOMMEND, HTTP_PERSONAL); }
static void get_popular(http_request *request, void *context) { get(request, context, RECO_ASK_POPULAR, HTTP_ETAG); }
static void post_recommendations(http_request *request, void *context) { post(request, context, RECO_ASK_RECOMMEND); }
static void get_explain(http_request *request, void *context) { get(request, context, RECO_ASK_EXPLAIN, HTTP_PERSONAL); }
static void post_explain(http_request *request, void *context) { post(request, context, RECO_ASK_EXPLAIN); }
static void post_batch(http_request *request, void *context) { post(request, context, RECO_ASK_BATCH); }
static void post_rank(http_request *request, void *context) { post(request, context, RECO_ASK_RANK); }
static void post_popular(http_request *request, void *context) { post(request, context, RECO_ASK_POPULAR); }
static void post_similar(http_request *request, void *context) { post(request, context, RECO_ASK_SIMILAR); }

static void get_similar(http_request *request, void *context) {
    reco_ask_input input = {.kind = RECO_ASK_SIMILAR, .query_string = http_query(request)};
    if (http_path_param(request, "item_id", &input.item_id))
        ask(request, context, &input, HTTP_ETAG);
}

void api_answer_routes(http_route *routes, size_t *count, reco_engine *engine) {
    const http_route own[] = {
        {"GET", "/recommendations", get_recommendations, engine, 0},
        {"POST", "/recommendations", post_recommendations, engine, 0},
        {"POST", "/recommendations/batch", post_batch, engine, 0},
        {"POST", "/rank", post_rank, engine, 0},
        {"GET", "/explain", get_explain, engine, 0},
        {"POST", "/explain", post_explain, engine, 0},
        {"GET", "/popular", get_popular, engine, 0},
        {"POST", "/popular", post_popular, engine, 0},
        {"GET", "/items/{item_id}/similar", get_similar, engine, 0},
        {"POST", "/similar", post_similar, engine, 0},
    };
    memcpy(routes + *count, own, sizeof own);
    *count += sizeof own / sizeof *own;
}
