/* http/standard.c - the routes every service has: /health says the process answers, /ready that its stores do, /metrics counts, /openapi.json tells
 * what can be asked. */
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

static void health(http_request *request, void *context) {
    (void)context;
    static const char body[] = "{\"status\":\"ok\"}\n";
    if (http_params(request, NULL, 0))
        http_send(request, 200, HTTP_JSON, body, sizeof body - 1, 0);
}

static bool verbose(http_request *request, bool *out) {
    http_param params[] = {{"verbose", NULL}};
    if (!http_params(request, params, 1))
        return false;
    const char *value = params[0].value;
    *out = value && strcmp(value, "false") != 0;
    if (!value || !*value || strcmp(value, "true") == 0 || !*out)
        return true;
    http_send_problem(request, 400, "verbose", "must be true or false");
    return false;
}

/* ,"degraded_reasons":[...] when answers lack something; else nothing. */
static void lacking(char *out, size_t room, reco_engine *engine) {
    uint32_t reasons = reco_lacking(engine);
    size_t used = 0;
    out[0] = 0;
    for (uint32_t bit = 1; bit && bit <= reasons; bit <<= 1)
        if (reasons & bit && used < room)
            used += (size_t)snprintf(out + used, room - used, "%s\"%s\"", used ? "," : ",\"degraded_reasons\":[", reco_lacking_word(bit));
    if (used && used < room)
        snprintf(out + used, room - used, "]");
}

static void ready(http_request *request, void *context) {
    const http_standard *standard = context;
    reco_error err = RECO_ERROR_INIT;
    int64_t lag = 0, lag_ms = 0;
    bool details = false;
    char body[512], words[256];
    if (!verbose(request, &details))
        return;
    if (http_server_draining(request->server)) {
        http_send_problem(request, 503, NULL, "the service is shutting down");
        return;
    }
    if (http_server_is_waiting(request))
        return;
    reco_status status = reco_ready(&lag, &lag_ms, standard->engine, http_call(request), &err);
    if (status == RECO_OK && standard->takes_events)
        status = reco_ingest_ready(standard->engine, http_call(request), &err);
    if (status != RECO_OK) {
        http_send_error(request, &err);
        return;
    }
    if (!details) {
        static const char brief[] = "{\"status\":\"ready\"}\n";
        http_send(request, 200, HTTP_JSON, brief, sizeof brief - 1, 0);
        return;
    }
    lacking(words, sizeof words, standard->engine);
    int size = snprintf(body, sizeof body, "{\"status\":\"ready\",\"service\":\"%s\",\"version\":\"%s\",\"lag\":%lld,\"lag_ms\":%lld%s}\n",
                        request->server->name, reco_version(), (long long)lag, (long long)lag_ms, words);
    http_send(request, 200, HTTP_JSON, body, (size_t)size, 0);
}

static void metrics(http_request *request, void *context) {
    const http_standard *standard = context;
    reco_error err = RECO_ERROR_INIT;
    http_families families = {0};
    http_text body = {0};
    if (!http_params(request, NULL, 0) || http_server_is_waiting(request))
        return;
    http_process_metrics(&families);
    reco_status status = reco_metrics(standard->engine, http_families_sink, &families, http_call(request), &err);
    if (standard->metrics)
        standard->metrics(standard->metrics_context, http_families_sink, &families);
    http_server_metrics(&body, request->server);
    http_families_write(&body, &families);
    http_families_dispose(&families);
    if (status != RECO_OK)
        http_send_error(request, &err);
    else if (body.failed)
        http_send_problem(request, 503, NULL, "out of memory");
    else
        http_send(request, 200, "text/plain; version=0.0.4; charset=utf-8", body.data, body.size, 0);
    http_text_dispose(&body);
}

void http_standard_routes(http_route *routes, size_t *count, http_standard *standard) {
    routes[(*count)++] = (http_route){"GET", "/health", health, standard, HTTP_ROUTE_ALWAYS};
    routes[(*count)++] = (http_route){"GET", "/ready", ready, standard, HTTP_ROUTE_ALWAYS};
    routes[(*count)++] = (http_route){"GET", "/metrics", metrics, standard, HTTP_ROUTE_ALWAYS};
    routes[(*count)++] = (http_route){"GET", "/openapi.json", http_document_send, standard, HTTP_ROUTE_ALWAYS};
}
