/* http/respond.c - answers: head and body leave in one write (two cost a packet more), every error is application/problem+json. */
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

/* A hash of the body (FNV-1a, 64 bits) in quotes; true when the client says that it has it. */
static bool make_etag(const http_request *request, const char *body, size_t size, char etag[24]) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)body[i]) * UINT64_C(0x100000001b3);
    snprintf(etag, 24, "\"%016llx\"", (unsigned long long)hash);
    const char *has = http_header(request, "If-None-Match");
    return has && (strcmp(has, "*") == 0 || strstr(has, etag));
}

typedef struct headers {
    const char *content_type;
    uint32_t flags;
    int32_t retry_after;
} headers;

static void send_answer(http_request *request, int status, const headers *with, const char *body, size_t size) {
    char head[1024], now[40], etag[24] = "";
    if (request->status) {
        http_log(RECO_LOG_ERROR, "http", NULL, "a handler answered twice");
        return;
    }
    size_t length = size; /* a 304 states the length the body would have */
    if (status == 200 && with->flags & HTTP_ETAG && make_etag(request, body, size, etag)) {
        status = 304;
        size = 0;
    }
    request->status = status;
    bool keep = keeps(request);
    date(now);
    int used =
        snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n", status, reason(status), now, keep ? "keep-alive" : "close");
    if (status != 204) /* has neither */
        used += snprintf(head + used, sizeof head - (size_t)used, "Content-Type: %s\r\nContent-Length: %zu\r\n", with->content_type, length);
    if (with->flags & HTTP_PERSONAL)
        used += snprintf(head + used, sizeof head - (size_t)used, "Cache-Control: private, no-store\r\n");
    if (etag[0])
        used += snprintf(head + used, sizeof head - (size_t)used, "ETag: %s\r\nCache-Control: no-cache\r\n", etag);
    if (with->retry_after > 0)
        used += snprintf(head + used, sizeof head - (size_t)used, "Retry-After: %d\r\n", with->retry_after);
    if (status == 405)
        used += snprintf(head + used, sizeof head - (size_t)used, "Allow: %s\r\n", request->allow);
    if (request->traceparent[0])
        used += snprintf(head + used, sizeof head - (size_t)used, "traceparent: %s\r\n", request->traceparent);
    used += snprintf(head + used, sizeof head - (size_t)used, "\r\n");
    write_answer(request, head, (size_t)used, body, size);
    if (!keep)
        request->close = true;
}

void http_send(http_request *request, int status, const char *content_type, const char *body, size_t size, uint32_t flags) {
    headers with = {content_type, flags, 0};
    send_answer(request, status, &with, body, size);
}

void http_send_reply(http_request *request, reco_status status, reco_reply *reply, const reco_error *err, uint32_t flags) {
    if (status != RECO_OK) {
        http_send_error(request, err);
    } else {
        headers with = {reply->content_type ? reply->content_type : HTTP_JSON, flags, reply->retry_after};
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
    headers with = {reply.content_type, 0, reply.retry_after};
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
    headers with = {"application/problem+json", 0, status == 503 || status == 429 ? 1 : 0};
    if (body.failed)
        send_answer(request, status, &with, "{}", 2);
    else
        send_answer(request, status, &with, body.data, body.size);
    http_text_dispose(&detail);
    http_text_dispose(&body);
}
