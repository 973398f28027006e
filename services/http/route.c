/* http/route.c - which handler a method and a path belong to. Paths are compared raw: an encoded slash in an id is not a separator. */
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

static bool is_param(const char *segment) { return segment[0] == '{'; }

static bool match(const char *pattern, const char *path) {
    while (*pattern && *path) {
        if (is_param(pattern)) {
            size_t length = strcspn(path, "/");
            if (length == 0)
                return false;
            pattern += strcspn(pattern, "/");
            path += length;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == *path;
}

reco_str http_route_param(const char *pattern, const char *path) {
    while (*pattern && *path && !is_param(pattern)) {
        pattern++;
        path++;
    }
    return is_param(pattern) ? (reco_str){path, strcspn(path, "/")} : (reco_str){NULL, 0};
}

static void allow(http_request *request, const char *method) {
    size_t used = strlen(request->allow);
    bool get = strcmp(method, "GET") == 0;
    snprintf(request->allow + used, sizeof request->allow - used, "%s%s%s", used ? ", " : "", method, get ? ", HEAD" : "");
}

int http_route_find(http_request *request, const char *method, const char *path) {
    const http_server *server = request->server;
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    request->allow[0] = 0;
    for (size_t i = 0; i < server->route_count; i++) {
        const http_route *route = &server->routes[i];
        if (!match(route->path, path))
            continue;
        request->route = (uint32_t)i;
        if (strcmp(route->method, wanted) == 0)
            return 200;
        allow(request, route->method);
    }
    return request->allow[0] ? 405 : 404;
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool http_decode(char *text, size_t *size, bool plus) {
    size_t out = 0;
    for (size_t i = 0; i < *size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 1 < *size ? digit(text[i + 1]) : -1;
            int low = i + 2 < *size ? digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0)
            return false;
        text[out++] = c;
    }
    *size = out;
    return true;
}
