/* ingest/events.c - events in over HTTP: one object or an array as application/json, one object a line as application/x-ndjson. The library parses,
 * checks, stores and words the answer; requests under way at the same time share its commits. */
#include <string.h>

#include "ingest/ingest.h"

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
    if (!find_flags(request, &flags) || !http_form(request, &form) || !http_body(request, &text, &size))
        return;
    reco_status status = reco_ingest_json(&reply, engine, text, size, form, flags, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, 0);
}

void ingest_routes(http_route *routes, size_t *count, reco_engine *engine) {
    routes[(*count)++] = (http_route){"POST", "/events", post_events, engine, 0};
}
