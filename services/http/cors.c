/* http/cors.c - what a browser may do with our answers from pages of other origins: nothing, unless the setting lists the origin.
 *
 * No answer allows credentials: there are none here. So "*" in the list is harmless in itself; it still lets every page of the world ask. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

#define SEPARATORS ", "

/* One of the list, or "*" where that is in it; NULL. */
static const char *listed(const char *list, const char *origin) {
    for (const char *at = list + strspn(list, SEPARATORS); *at; at += strspn(at, SEPARATORS)) {
        size_t size = strcspn(at, SEPARATORS);
        if (size == 1 && *at == '*')
            return "*";
        if (size == strlen(origin) && strncasecmp(at, origin, size) == 0)
            return origin;
        at += size;
    }
    return NULL;
}

const char *http_cors_origin(const http_request *request) {
    const char *origin = *request->server->cors_origins ? http_header(request, "Origin") : NULL;
    return origin ? listed(request->server->cors_origins, origin) : NULL;
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

/* scheme://host[:port], in which nothing can end a header line. */
static bool is_origin(const char *text, size_t size) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    size_t scheme = strspn(text, letters);
    if (scheme == 0 || scheme + 3 >= size || memcmp(text + scheme, "://", 3) != 0)
        return false;
    for (size_t i = scheme + 3; i < size; i++)
        if (!strchr(letters, text[i]) && !strchr(":[]_", text[i]))
            return false;
    return true;
}

static bool valid(const char *list, const char **bad, size_t *bad_size) {
    for (const char *at = list + strspn(list, SEPARATORS); *at; at += strspn(at, SEPARATORS)) {
        size_t size = strcspn(at, SEPARATORS);
        if (!(size == 1 && *at == '*') && !is_origin(at, size)) {
            *bad = at;
            *bad_size = size;
            return false;
        }
        at += size;
    }
    return true;
}

reco_status http_cors_check(const char *list, reco_error *err) {
    const char *bad;
    size_t size;
    char text[200];
    if (!list || (strlen(list) < HTTP_ORIGINS_MAX && valid(list, &bad, &size)))
        return RECO_OK;
    if (strlen(list) >= HTTP_ORIGINS_MAX)
        return http_fail(err, RECO_INVALID, "services.cors_origins", "the list is too long");
    snprintf(text, sizeof text, "an origin is scheme://host or scheme://host:port, not \"%.*s\"", (int)(size < 80 ? size : 80), bad);
    return http_fail(err, RECO_INVALID, "services.cors_origins", text);
}
