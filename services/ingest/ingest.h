/* ingest/ingest.h - POST /events. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "http/http.h"

/* Appends the routes; the engine must outlive the server. */
void ingest_routes(http_route *routes, size_t *count, reco_engine *engine);
/* What /openapi.json says of them: openapi.json beside this file. */
extern const char ingest_openapi[];

#endif
