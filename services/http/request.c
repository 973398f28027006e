/* http/request.c - what a handler may ask of its request: headers, parameters, the body within its limit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/internal.h"

#define DISCARD_MAX (16u << 20)
#define DISCARD_NS UINT64_C(2000000000)

http_server *http_request_server(http_request *request) { return request->server; }

const char *http_query(const http_request *request) { return request->info->query_string ? request->info->query_string : ""; }

const char *http_header(const http_request *request, const char *name) { return mg_get_header(request->connection, name); }

const reco_call *http_call(http_request *request) { return &request->call; }

bool http_path_param(http_request *request, const char *field, reco_str *out) {
    reco_str raw = http_route_param(request->server->routes[request->route].path, request->info->local_uri_raw);
    size_t size = raw.size;
    free(request->segment);
    request->segment = malloc(size + 1);
    if (!request->segment) {
        http_send_problem(request, 503, NULL, "out of memory");
        return false;
    }
    if (size)
        memcpy(request->segment, raw.data, size);
    if (!http_decode(request->segment, &size, false)) {
        http_send_problem(request, 400, field, "not a valid percent-encoding");
        return false;
    }
    request->segment[size] = 0;
    *out = (reco_str){request->segment, size};
    return true;
}

/* Takes one "name=value" of `size` bytes, decoding in place. */
static bool take_param(http_request *request, char *text, size_t size, http_param *params, size_t count) {
    char *equals = memchr(text, '=', size);
    size_t name_size = equals ? (size_t)(equals - text) : size;
    char *value = equals ? equals + 1 : text + size;
    size_t value_size = (size_t)(text + size - value);
    bool named = http_decode(text, &name_size, true);
    if (!named || !http_decode(value, &value_size, true)) {
        text[name_size] = 0;
        http_send_problem(request, 400, named && name_size ? text : "query", "the query string is not valid percent-encoding");
        return false;
    }
    text[name_size] = 0;
    value[value_size] = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(params[i].name, text) != 0)
            continue;
        if (params[i].value) {
            http_send_problem(request, 400, params[i].name, "parameter is given twice");
            return false;
        }
        params[i].value = value;
        return true;
    }
    http_send_problem(request, 400, name_size ? text : "query", "unknown query parameter");
    return false;
}

bool http_params(http_request *request, http_param *params, size_t count) {
    for (size_t i = 0; i < count; i++)
        params[i].value = NULL;
    if (!*http_query(request))
        return true;
    free(request->decoded);
    request->decoded = strdup(http_query(request));
    if (!request->decoded) {
        http_send_problem(request, 503, NULL, "out of memory");
        return false;
    }
    char *at = request->decoded;
    while (at) {
        char *next = strchr(at, '&');
        size_t size = next ? (size_t)(next - at) : strlen(at);
        if (next)
            *next++ = 0;
        if (size && !take_param(request, at, size, params, count))
            return false;
        at = next;
    }
    return true;
}

/* --- the body ------------------------------------------------------------------------------------------------------------------------------- */

/* Reads up to `room` bytes, which may come in pieces; -1: broken off. */
static long long read_some(http_request *request, char *out, size_t room) {
    size_t size = 0;
    while (size < room) {
        size_t part = room - size < (1u << 20) ? room - size : 1u << 20;
        int got = mg_read(request->connection, out + size, part);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return (long long)size;
}

static bool is_overdue(const http_request *request) { return atomic_load_explicit(&request->overdue, memory_order_relaxed); }

static bool broken_off(http_request *request, const char *how) {
    request->close = true;
    request->unread = false;
    if (is_overdue(request))
        http_send_problem(request, 408, "body", "the body did not arrive within %u ms", request->server->request_ms);
    else
        http_send_problem(request, 400, "body", "%s", how);
    return false;
}

static bool read_sized(http_request *request, uint64_t length, size_t *size) {
    request->body = malloc((size_t)length + 1);
    if (!request->body) {
        http_send_problem(request, 503, NULL, "out of memory");
        return false;
    }
    long long got = read_some(request, request->body, (size_t)length);
    if (got < 0 || (uint64_t)got < length)
        return broken_off(request, "the body ended before its Content-Length");
    *size = (size_t)length;
    return true;
}

/* Takes in what a client is still sending, within bounds: closing on it would reset the connection, and the answer would be lost with it. */
static void discard(http_request *request) {
    char piece[8192];
    size_t left = DISCARD_MAX;
    while (left > 0 && !is_overdue(request)) {
        int got = mg_read(request->connection, piece, sizeof piece);
        if (got <= 0)
            break;
        left -= (size_t)got < left ? (size_t)got : left;
    }
}

static bool too_large(http_request *request) {
    http_send_problem(request, 413, "body", "the body is larger than %llu bytes", (unsigned long long)request->server->body_max);
    if (!http_header(request, "Expect")) {
        http_watch_reading(request, http_now_ns() + DISCARD_NS);
        discard(request);
    }
    return false;
}

/* Chunks: doubles a buffer until the end or one byte past the limit. */
static bool read_chunks(http_request *request, size_t *size) {
    size_t room = 0, used = 0, most = (size_t)request->server->body_max + 1;
    for (;;) {
        size_t next = room ? room * 2 : 16384;
        room = next < most ? next : most;
        char *grown = realloc(request->body, room + 1);
        if (!grown) {
            http_send_problem(request, 503, NULL, "out of memory");
            return false;
        }
        request->body = grown;
        long long got = read_some(request, request->body + used, room - used);
        if (got < 0 || is_overdue(request)) /* civetweb 1.15 takes the bytes of a chunk's extension and gives up: they cannot be had again */
            return broken_off(request, "the chunked body is malformed, has chunk extensions, or is broken off");
        used += (size_t)got;
        if (used < room) {
            *size = used;
            return true;
        }
        if (used == most)
            return too_large(request);
    }
}

static bool unpack(http_request *request, size_t *size) {
    int status = http_gunzip(&request->body, size, request->server->body_max);
    if (status == 413)
        http_send_problem(request, 413, "body", "the body unpacks to more than %llu bytes", (unsigned long long)request->server->body_max);
    else if (status != 200)
        http_send_problem(request, status, "Content-Encoding", "%s", status == 400 ? "the body is not valid gzip" : "out of memory");
    return status == 200;
}

bool http_body(http_request *request, const char **text, size_t *size) {
    const char *length = http_header(request, "Content-Length");
    const char *expect = http_header(request, "Expect");
    bool chunked = http_header(request, "Transfer-Encoding") != NULL;
    if (!length && !chunked) {
        http_send_problem(request, 411, "Content-Length", "a body with Content-Length or Transfer-Encoding: chunked is needed");
        return false;
    }
    if (expect && strcasecmp(expect, "100-continue") != 0) {
        http_send_problem(request, 417, "Expect", "only Expect: 100-continue is understood");
        return false;
    }
    uint64_t bytes = length ? strtoull(length, NULL, 10) : 0;
    if (bytes > request->server->body_max)
        return too_large(request);
    if (expect && mg_write(request->connection, "HTTP/1.1 100 Continue\r\n\r\n", 25) != 25) {
        request->close = true;
        http_send_problem(request, 400, "body", "broken off");
        return false;
    }
    size_t got = 0;
    http_watch_reading(request, http_now_ns() + request->server->request_ms * UINT64_C(1000000));
    if (!(chunked ? read_chunks(request, &got) : read_sized(request, bytes, &got)))
        return false;
    http_watch_reading(request, 0);
    request->unread = false;
    if (http_body_encoding(request) == HTTP_GZIPPED && !unpack(request, &got))
        return false;
    request->body[got] = 0;
    *text = request->body;
    *size = got;
    return true;
}

/* Whether the header names this media type, whatever its parameters. */
static bool is_type(const char *header, const char *type) {
    size_t size = strcspn(header, "; \t");
    return size == strlen(type) && strncasecmp(header, type, size) == 0;
}

static bool is_readable(http_request *request) {
    if (http_body_encoding(request) != HTTP_FOREIGN)
        return true;
    http_send_problem(request, 415, "Content-Encoding", "must be gzip or identity");
    return false;
}

bool http_form(http_request *request, uint32_t *form) {
    const char *type = http_header(request, "Content-Type");
    if (!is_readable(request))
        return false;
    if (type && is_type(type, "application/json"))
        *form = RECO_JSON_AUTO;
    else if (type && is_type(type, "application/x-ndjson"))
        *form = RECO_JSON_NDJSON;
    else {
        http_send_problem(request, 415, "Content-Type", "must be application/json or application/x-ndjson");
        return false;
    }
    return true;
}

bool http_patch_form(http_request *request) {
    const char *type = http_header(request, "Content-Type");
    if (!is_readable(request))
        return false;
    if (type && (is_type(type, "application/merge-patch+json") || is_type(type, "application/json")))
        return true;
    http_send_problem(request, 415, "Content-Type", "must be application/merge-patch+json or application/json");
    return false;
}
