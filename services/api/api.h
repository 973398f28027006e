/* api/api.h - GET /recommendations and /popular; items and users. */
#ifndef API_API_H
#define API_API_H

#include "http/http.h"

/* Appends the routes; the engine must outlive the server. */
void api_routes(http_route *routes, size_t *count, reco_engine *engine);
/* What /openapi.json says of them: openapi.json beside this file. */
extern const char api_openapi[];
/* Those of items and users alone. */
void api_known_routes(http_route *routes, size_t *count, reco_engine *engine);

#endif
