/* Prints "SERVICE METHOD PATH" for every route the services register, for openapi.py. */
#include <stdio.h>

#include "api/api.h"
#include "ingest/ingest.h"

static void print(const char *service, http_route *routes, size_t count) {
    http_standard_routes(routes, &count, NULL);
    for (size_t i = 0; i < count; i++)
        printf("%s %s %s\n", service, routes[i].method, routes[i].path);
}

int main(void) {
    http_route routes[HTTP_ROUTES_MAX];
    api_service api = {.console = {.mode = CONSOLE_READ}};
    size_t count = 0;
    ingest_routes(routes, &count, NULL);
    print("ingest", routes, count);
    count = 0;
    api_routes(routes, &count, &api, NULL);
    print("api", routes, count);
    print("processor", routes, 0);
    return 0;
}
