/* reco-api: recommendations out, over HTTP. */
#include "api/api.h"
#include "http/program.h"

static reco_status start(void *context, http_route *routes, size_t *count, http_standard *standard, reco_error *err) {
    (void)context;
    (void)err;
    api_routes(routes, count, standard->engine);
    return RECO_OK;
}

int main(int argc, char **argv) {
    const program_service service = {
        .name = "reco-api",
        .summary = "answers what to recommend to whom",
        .paths = "/recommendations, /popular, /rank, /similar, /items/{item_id}/similar, GET|PUT|PATCH|DELETE /items/{item_id} and /users/{user_id}, "
                 "POST /items and /users",
        .listen_setting = "services.api_listen",
        .listen_default = "127.0.0.1:8081",
        .openapi = api_openapi,
        .open_flags = RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_PATIENT,
        .start = start,
    };
    return program_main(&service, argc, argv);
}
