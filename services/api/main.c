/* reco-api: recommendations out, over HTTP. */
#include "api/api.h"
#include "http/program.h"

typedef struct state {
    const char *console; /* of the command line */
    api_service service;
} state;

static const option_spec options[] = {
    {"console", 0, OPTION_TEXT, offsetof(state, console), "off|read|write", API_CONSOLE_HELP},
};

static reco_status settle(void *context, const reco_settings *settings, reco_error *err) {
    state *self = context;
    return api_settle(&self->service, self->console, settings, err);
}

static reco_status start(void *context, http_route *routes, size_t *count, http_standard *standard, reco_error *err) {
    state *self = context;
    (void)err;
    api_routes(routes, count, &self->service, standard->engine);
    standard->takes_events = api_takes_events(&self->service);
    return RECO_OK;
}

int main(int argc, char **argv) {
    state self = {.console = NULL};
    const program_service service = {
        .name = "reco-api",
        .summary = "answers what to recommend to whom",
        .paths = "/recommendations, /popular, /rank, /similar, /items/{item_id}/similar, GET|PUT|PATCH|DELETE /items/{item_id} and /users/{user_id}, "
                 "POST /items and /users, / (a console)",
        .listen_setting = "services.api_listen",
        .listen_default = "127.0.0.1:8081",
        .openapi = self.service.openapi,
        .open_flags = RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_PATIENT,
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .option_target = &self,
        .settle = settle,
        .start = start,
        .context = &self,
    };
    return program_main(&service, argc, argv);
}
