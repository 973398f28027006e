/* api/api.h - GET /recommendations and /popular; items and users; the console. */
#ifndef API_API_H
#define API_API_H

#include "console/console.h"

/* The service as the settings want it. Lives as long as the server. FROZEN once the server is open. */
typedef struct api_service {
    console console;
    const char *openapi[4]; /* for http_options: what /openapi.json says of its routes */
} api_service;

/* `console_mode` NULL: that of the setting. INVALID as console_settle. */
reco_status api_settle(api_service *self, const char *console_mode, const reco_settings *settings, reco_error *err);
/* Appends the routes; the engine must outlive the server. */
void api_routes(http_route *routes, size_t *count, api_service *self, reco_engine *engine);
/* Whether POST /events is among them: /ready has to ask for those, too. */
bool api_takes_events(const api_service *self);
/* Those of questions, and those of items and users, alone. */
void api_answer_routes(http_route *routes, size_t *count, reco_engine *engine);
void api_known_routes(http_route *routes, size_t *count, reco_engine *engine);
/* openapi.json beside this file. */
extern const char api_openapi[];

#define API_CONSOLE_HELP "the console at /; write takes POST /events, too"

#endif
