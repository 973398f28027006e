/* http/cors.c - what a browser may do with our answers from pages of other origins: nothing, unless the setting lists the origin.
 *
 * No answer allows credentials: there are none here. So "*" in the list is harmless in itself; it still lets every page of the world ask. */
#include <string.h>

#include "http/internal.h"

const char *http_cors_origin(const http_request *request) {
    const char *list = request->server->cors_origins, *origin = *list ? http_header(request, "Origin") : NULL;
    if (!origin)
        return NULL;
    return http_list_has(list, "*", 1) ? "*" : http_list_has(list, origin, strlen(origin)) ? origin : NULL;
}

bool http_cors_preflight(http_request *request) {
    if (!*request->server->cors_origins || strcmp(request->info->request_method, "OPTIONS") != 0 || !http_header(request, "Origin") ||
        !http_header(request, "Access-Control-Request-Method"))
        return false;
    if (http_cors_origin(request))
        http_send(request, 204, NULL, "", 0, HTTP_PREFLIGHT);
    else
        http_send_problem(request, 403, "Origin", "this origin is not in services.cors_origins");
    return true;
}

/* scheme://host[:port], in which nothing can end a header line; or "*". */
static bool is_origin(const char *text, size_t size) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    size_t scheme = strspn(text, letters);
    if (size == 1 && *text == '*')
        return true;
    if (scheme == 0 || scheme + 3 >= size || memcmp(text + scheme, "://", 3) != 0)
        return false;
    for (size_t i = scheme + 3; i < size; i++)
        if (!strchr(letters, text[i]) && !strchr(":[]_", text[i]))
            return false;
    return true;
}

reco_status http_cors_check(const char *list, reco_error *err) {
    return http_list_check("services.cors_origins", list, HTTP_ORIGINS_MAX, is_origin, "an origin is scheme://host or scheme://host:port", err);
}
