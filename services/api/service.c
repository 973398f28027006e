/* api/service.c - the service as a whole: what it answers always, the console, and with the console in the mode `write` the events that it posts. */
#include "api/api.h"
#include "ingest/ingest.h"

bool api_takes_events(const api_service *self) { return self->console.mode == CONSOLE_WRITE; }

reco_status api_settle(api_service *self, const char *console_mode, const reco_settings *settings, reco_error *err) {
    size_t pieces = 0;
    reco_status status = console_settle(&self->console, console_mode, settings, err);
    if (status != RECO_OK)
        return status;
    self->openapi[pieces++] = api_openapi;
    if (self->console.mode != CONSOLE_OFF)
        self->openapi[pieces++] = console_openapi;
    if (api_takes_events(self))
        self->openapi[pieces++] = ingest_openapi;
    self->openapi[pieces] = NULL;
    return RECO_OK;
}

void api_routes(http_route *routes, size_t *count, api_service *self, reco_engine *engine) {
    api_answer_routes(routes, count, engine);
    api_known_routes(routes, count, engine);
    console_routes(routes, count, &self->console, engine);
    if (api_takes_events(self)) {
        ingest_routes(routes, count, engine);
        routes[*count - 1].flags |= HTTP_ROUTE_OWN_PAGES; /* for the console's page; ingest is for the pages of an application */
    }
}
