/* http/respond.c - answers: head and body leave in one write (two cost a packet more), every error is application/problem+json. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/internal.h"
#include "http/log.h"

static const char *reason(int status) {
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return status < 400 ? "OK" : status < 500 ? "Client Error" : "Server Error";
}

/* What civetweb will do with the connection after this answer, or what it must be made to do. */
static bool keeps(const http_request *request) {
    if (request->close || request->unread || atomic_load_explicit(&request->server->draining, memory_order_relaxed))
        return false;
    if (atomic_load_explicit(&request->server->metrics.connections, memory_order_relaxed) > (int64_t)request->server->threads)
        return false;
    const char *wish = http_header(request, "Connection");
    if (wish)
        return strcasestr(wish, "keep-alive") != NULL;
    return request->info->http_version && strcmp(request->info->http_version, "1.1") == 0;
}

static void date(char out[40]) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    snprintf(out, 40, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + t.tm_wday * 3, t.tm_mday, months + t.tm_mon * 3, t.tm_year + 1900, t.tm_hour,
             t.tm_min, t.tm_sec);
}

static void write_answer(http_request *request, const char *head, size_t head_size, const char *body, size_t size) {
    bool no_body = request->info->request_method && strcmp(request->info->request_method, "HEAD") == 0;
    char *whole = no_body ? NULL : malloc(head_size + size);
    int wanted, written;
    if (whole) {
        memcpy(whole, head, head_size);
        if (size)
            memcpy(whole + head_size, body, size);
        wanted = (int)(head_size + size);
        written = mg_write(request->connection, whole, head_size + size);
        free(whole);
    } else {
        wanted = (int)head_size + (no_body ? 0 : (int)size);
        written = mg_write(request->connection, head, head_size);
        if (!no_body && written == (int)head_size)
            written += mg_write(request->connection, body, size);
    }
    if (written != wanted)
        request->close = true;
}

typedef struct headers {
    const char *content_type;
    uint32_t flags;
    int32_t retry_after;
    const char *location; /* NULL: none */
} headers;

/* The lines of a head, one by one. */
typedef struct head {
    char text[4096];
    size_t size;
} head;

static void __attribute__((format(printf, 2, 3))) add(head *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(to->text + to->size, sizeof to->text - to->size, format, arguments);
    va_end(arguments);
    if (size > 0 && (size_t)size < sizeof to->text - to->size)
        to->size += (size_t)size;
}

/* What pages of other origins may do with the answer, and what caches must look at before they reuse it. */
static void add_cors(head *to, const http_request *request, uint32_t flags) {
    bool configured = *request->server->cors_origins != 0;
    const char *origin = http_cors_origin(request);
    add(to, "Vary: %sAccept-Encoding\r\n", configured ? "Origin, " : "");
    if (!origin)
        return;
    add(to, "Access-Control-Allow-Origin: %s\r\n", origin);
    if (flags & HTTP_PREFLIGHT)
        add(to,
            "Access-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: Content-Type, Content-Encoding, If-None-Match, traceparent\r\n"
            "Access-Control-Max-Age: 600\r\n",
            request->allow);
    else
        add(to, "Access-Control-Expose-Headers: ETag, Retry-After, traceparent\r\n");
}

/* What a browser is to keep a page from. 'none' of trusted types: no script of the page can make markup out of a text. */
static void add_page(head *to, uint32_t flags) {
    if (flags & HTTP_SANDBOX)
        add(to, "Content-Security-Policy: sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; "
                "base-uri 'none'; form-action 'none'\r\n");
    else if (flags & HTTP_PAGE)
        add(to, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'\r\n");
    if (flags & (HTTP_PAGE | HTTP_SANDBOX))
        add(to, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n"
                "Cross-Origin-Resource-Policy: same-origin\r\n");
}

/* The answer as it leaves: `packed` is NULL when it is sent plain. */
static void add_head(head *to, const http_request *request, const headers *with, size_t size, const char *packed, const char *etag, bool keep) {
    char now[40];
    date(now);
    add(to, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n", request->status, reason(request->status), now, keep ? "keep-alive" : "close");
    if (request->status != 204 && request->status != 304) /* have no body */
        add(to, "Content-Type: %s\r\nContent-Length: %zu\r\n%s", with->content_type, size, packed ? "Content-Encoding: gzip\r\n" : "");
    add_cors(to, request, with->flags);
    add_page(to, with->flags);
    if (with->flags & HTTP_PERSONAL)
        add(to, "Cache-Control: private, no-store\r\n");
    if (*etag)
        add(to, "ETag: %s\r\nCache-Control: no-cache\r\n", etag);
    if (with->retry_after > 0)
        add(to, "Retry-After: %d\r\n", with->retry_after);
    if (with->location)
        add(to, "Location: %s\r\n", with->location);
    if (request->status == 405)
        add(to, "Allow: %s\r\n", request->allow);
    if (request->status == 415)
        add(to, "Accept-Encoding: gzip, identity\r\n");
    if (request->traceparent[0])
        add(to, "traceparent: %s\r\n", request->traceparent);
    add(to, "\r\n");
}

static void send_answer(http_request *request, int status, const headers *with, const char *body, size_t size) {
    char etag[HTTP_ETAG_SIZE] = "", *packed = NULL;
    head first = {.size = 0};
    if (request->status) {
        http_log(RECO_LOG_ERROR, "http", NULL, "a handler answered twice");
        return;
    }
    if (status == 200 && with->flags & HTTP_ETAG) {
        http_etag(etag, body, size);
        if (http_client_has(request, etag)) {
            status = 304;
            size = 0;
        }
    }
    if (size > 0 && http_accepts_gzip(request))
        http_gzip(body, size, &packed, &size);
    request->status = status;
    bool keep = keeps(request);
    add_head(&first, request, with, size, packed, etag, keep);
    http_watch_writing(request, http_now_ns() + request->server->request_ms * UINT64_C(1000000));
    write_answer(request, first.text, first.size, packed ? packed : body, size);
    http_watch_reading(request, 0);
    free(packed);
    if (!keep)
        request->close = true;
}

void http_send(http_request *request, int status, const char *content_type, const char *body, size_t size, uint32_t flags) {
    headers with = {content_type, flags, 0, NULL};
    send_answer(request, status, &with, body, size);
}

void http_send_redirect(http_request *request, const char *to) {
    headers with = {"text/plain; charset=utf-8", 0, 0, to};
    send_answer(request, 307, &with, "", 0);
}

void http_send_reply(http_request *request, reco_status status, reco_reply *reply, const reco_error *err, uint32_t flags) {
    if (status != RECO_OK) {
        http_send_error(request, err);
    } else {
        headers with = {reply->content_type ? reply->content_type : HTTP_JSON, flags, reply->retry_after, NULL};
        send_answer(request, reply->http_status, &with, reply->body, reply->size);
    }
    reco_reply_dispose(reply);
}

void http_send_error(http_request *request, const reco_error *err) {
    reco_reply reply = {.struct_size = sizeof reply};
    if (reco_problem_json(&reply, err, NULL) != RECO_OK) {
        http_send_problem(request, reco_status_http(err->status), err->field, "%s", err->text);
        return;
    }
    headers with = {reply.content_type, 0, reply.retry_after, NULL};
    send_answer(request, reply.http_status, &with, reply.body, reply.size);
    reco_reply_dispose(&reply);
}

void http_send_problem(http_request *request, int status, const char *field, const char *format, ...) {
    http_text detail = {0}, body = {0};
    va_list arguments;
    va_start(arguments, format);
    http_text_vprintf(&detail, format, arguments);
    va_end(arguments);
    const char *text = detail.data ? detail.data : reason(status);
    http_text_printf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":", reason(status), status);
    http_text_json(&body, text, strlen(text));
    if (field && *field) {
        http_text_printf(&body, ",\"errors\":[{\"field\":");
        http_text_json(&body, field, strlen(field));
        http_text_printf(&body, ",\"detail\":");
        http_text_json(&body, text, strlen(text));
        http_text_printf(&body, "}]");
    }
    http_text_printf(&body, "}\n");
    headers with = {"application/problem+json", 0, status == 503 || status == 429 ? 1 : 0, NULL};
    if (body.failed)
        send_answer(request, status, &with, "{}", 2);
    else
        send_answer(request, status, &with, body.data, body.size);
    http_text_dispose(&detail);
    http_text_dispose(&body);
}
