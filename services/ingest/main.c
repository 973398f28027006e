/* reco-ingest: events in, over HTTP. */
#include "http/program.h"
#include "ingest/ingest.h"

static reco_status start(void *context, http_route *routes, size_t *count, http_standard *standard, reco_error *err) {
    (void)context;
    (void)err;
    ingest_routes(routes, count, standard->engine);
    standard->takes_events = true;
    return RECO_OK;
}

int main(int argc, char **argv) {
    const program_service service = {
        .name = "reco-ingest",
        .summary = "takes events and answers once they are durable",
        .paths = "POST /events (object or array as application/json, lines as application/x-ndjson; ?atomic=true: all or none)",
        .listen_setting = "services.ingest_listen",
        .listen_default = "127.0.0.1:8080",
        .openapi = (const char *const[]){ingest_openapi, NULL},
        .open_flags = RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_PATIENT | RECO_OPEN_NO_ANSWERS,
        .start = start,
    };
    return program_main(&service, argc, argv);
}
