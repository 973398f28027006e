/* ingest/events.c - events in over HTTP: one object or an array as application/json, one object a line as application/x-ndjson. The library parses,
 * checks, stores and words the answer; requests under way at the same time share its commits. */
#include <string.h>
#include <strings.h>

#include "ingest/ingest.h"

/* Whether the header names this media type, whatever its parameters. */
static bool is_type(const char *header, const char *type) {
    size_t size = strcspn(header, "; \t");
    return size == strlen(type) && strncasecmp(header, type, size) == 0;
}

static bool find_form(http_request *request, uint32_t *form) {
    const char *type = http_header(request, "Content-Type"), *encoding = http_header(request, "Content-Encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        http_send_problem(request, 415, "Content-Encoding", "bodies are taken as they are, not compressed");
        return false;
    }
    if (type && is_type(type, "application/json"))
        *form = RECO_JSON_AUTO;
    else if (type && is_type(type, "application/x-ndjson"))
        *form = RECO_JSON_NDJSON;
    else {
        http_send_problem(request, 415, "Content-Type", "must be application/json or application/x-ndjson");
        return false;
    }
    return true;
}

static bool find_flags(http_request *request, uint32_t *flags) {
    http_param params[] = {{"atomic", NULL}};
    if (!http_params(request, params, 1))
        return false;
    const char *atomic = params[0].value;
    if (atomic && strcmp(atomic, "true") != 0 && strcmp(atomic, "false") != 0) {
        http_send_problem(request, 400, "atomic", "must be true or false");
        return false;
    }
    *flags = atomic && strcmp(atomic, "true") == 0 ? RECO_INGEST_ATOMIC : 0;
    return true;
}

static void post_events(http_request *request, void *context) {
    reco_engine *engine = context;
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    uint32_t flags = 0, form = 0;
    const char *text = NULL;
    size_t size = 0;
    if (!find_flags(request, &flags) || !find_form(request, &form) || !http_body(request, &text, &size))
        return;
    reco_status status = reco_ingest_json(&reply, engine, text, size, form, flags, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, 0);
}

void ingest_routes(http_route *routes, size_t *count, reco_engine *engine) {
    routes[(*count)++] = (http_route){"POST", "/events", post_events, engine, 0};
}
