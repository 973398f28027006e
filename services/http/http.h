/* http/http.h - the HTTP kit of the services: one civetweb server with routes, limits, problem+json, metrics and an orderly end.
 *
 * A service makes a table of routes and hands it to http_server_open; everything that is the same for all of them is done here, once: matching of
 * method and raw path, the body within its limit, headers of the answer, errors as application/problem+json (RFC 9457), counting by method, route and
 * status, traceparent, overload and draining. It never speaks TLS (a proxy in front does). It sees libreco through its public headers only.
 *
 * civetweb serves each connection with one thread for as long as the connection lives. So that more connections than threads are still answered, the
 * server has HTTP_SPARE_THREADS more threads than connections it keeps: a connection beyond that gets one answer, with "Connection: close". */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <reco/admin.h>

typedef struct http_server http_server;   /* SHARED */
typedef struct http_request http_request; /* CONFINED to the handler's call */

/* Answers one request by exactly one http_send_... */
typedef void (*http_handler)(http_request *request, void *context);

#define HTTP_ROUTE_ALWAYS 1u    /* answered also while overloaded or draining, and by whatever name it is asked */
#define HTTP_ROUTE_OWN_PAGES 2u /* not for pages of other origins, unless the settings list them */

/* One route. `path` is a template on the raw, still percent-encoded path: "/items/{item_id}" takes exactly one segment, whatever is encoded in it.
 * A GET route answers HEAD too. Borrowed until close. FROZEN. */
typedef struct http_route {
    const char *method;
    const char *path;
    http_handler handler;
    void *context;
    uint32_t flags;
} http_route;

#define HTTP_ROUTES_MAX 64u
#define HTTP_ORIGINS_MAX 1024u /* bytes of the list, its end included */
#define HTTP_HOSTS_MAX 1024u
#define HTTP_SPARE_THREADS 8u

typedef struct http_options {
    const char *name;         /* of the service, for logs */
    const char *listen;       /* "ADDRESS:PORT", an IPv4 address; port 0: a free one */
    uint32_t threads;         /* connections kept and requests answered at once; 0: 64 */
    uint64_t body_max;        /* bytes; 0: 2 MiB */
    uint32_t keep_alive_ms;   /* an idle connection is closed after; 0: 60,000 */
    uint32_t request_ms;      /* for a request to arrive and an answer to leave; 0: 10,000 */
    const char *cors_origins; /* origins whose pages may ask, with commas or spaces between; "*": all; NULL or empty: none */
    const char *hosts;        /* names it is asked by, besides localhost and addresses; "*": any; NULL or empty: any but on a loopback address */
    const http_route *routes;
    size_t route_count;
    const char *waiting;        /* not NULL: what the service waits for; see http_server_begin */
    const char *const *openapi; /* what the document says of routes beside those of http_standard_routes: pieces of JSON, ended by NULL */
} http_options;

/* Opens and serves at once. INVALID naming `listen`, `services.cors_origins` or `services.hosts`, BUSY when the port is taken, FULL with more than
 * HTTP_ROUTES_MAX routes, NO_MEMORY. */
reco_status http_server_open(http_server **out, const http_options *options, reco_error *err);
/* The address it listens on, with the port it got; valid until close. */
const char *http_server_address(const http_server *server);
/* A server opened with `waiting` answers 503 with its words to everything but /health until http_server_begin, which may add routes behind those it
 * was opened with: `route_count` is how many there are now. http_server_waits changes the words. */
void http_server_waits(http_server *server, const char *waiting);
void http_server_begin(http_server *server, size_t route_count);
/* From now on everything but HTTP_ROUTE_ALWAYS is answered 503; returns when no request is under way, or after timeout_ms. */
void http_server_drain(http_server *server, int64_t timeout_ms);
bool http_server_draining(const http_server *server);
/* Ends the server (up to two seconds: civetweb looks that often) and frees it. NULL is allowed. */
void http_server_close(http_server *server);

/* --- the request ---------------------------------------------------------------------------------------------------------------------------- */

http_server *http_request_server(http_request *request);
const char *http_query(const http_request *request);                    /* raw query string, "" when there is none */
const char *http_header(const http_request *request, const char *name); /* NULL when there is none */
/* Reads the body, and unpacks it when it is gzip. false: it could not be had and the error (400, 411, 413 ...) is already sent. Terminated; valid
 * during the handler's call. */
bool http_body(http_request *request, const char **text, size_t *size);
/* How the body is to be read: RECO_JSON_AUTO for application/json, RECO_JSON_NDJSON for application/x-ndjson. false: it is something else, or its
 * Content-Encoding is neither gzip nor identity, and 415 is already sent. */
bool http_form(http_request *request, uint32_t *form);
/* The same of a body that is a JSON merge patch. */
bool http_patch_form(http_request *request);
/* The decoded segment of the template's only {parameter}. false: it is no valid encoding and 400 is already sent. Valid during the handler's call. */
bool http_path_param(http_request *request, const char *field, reco_str *out);
/* Deadline and trace of the request, for calls of libreco. Valid during the handler's call. */
const reco_call *http_call(http_request *request);

/* Parameters a route knows. http_params fills `value` (NULL: not given), or answers 400 naming an unknown, doubled or badly encoded one and returns
 * false. */
typedef struct http_param {
    const char *name;
    const char *value; /* decoded, terminated, valid during the handler's call */
} http_param;
bool http_params(http_request *request, http_param *params, size_t count);

/* --- the answer ----------------------------------------------------------------------------------------------------------------------------- */

#define HTTP_JSON "application/json"
#define HTTP_PERSONAL 1u  /* Cache-Control: private, no-store */
#define HTTP_ETAG 2u      /* carries an ETag of its body; 304 to a client that has it */
#define HTTP_PREFLIGHT 4u /* of the kit itself: what other origins may ask */
#define HTTP_PAGE 8u      /* for a browser to show: it takes nothing from elsewhere, and no page of elsewhere frames it */
#define HTTP_SANDBOX 16u  /* a page that somebody else wrote: it runs nothing and has no origin */

void http_send(http_request *request, int status, const char *content_type, const char *body, size_t size, uint32_t flags);
/* 307: what was asked for is at `to`, an address as it stands in Location; relative to the one asked, it holds below any path of a proxy. */
void http_send_redirect(http_request *request, const char *to);
/* What libreco made; disposes it. `status` not OK: an error was met instead, `err` is sent. */
void http_send_reply(http_request *request, reco_status status, reco_reply *reply, const reco_error *err, uint32_t flags);
void http_send_error(http_request *request, const reco_error *err);
/* A problem of HTTP itself; `field` is NULL when it is not the request's, which is to say 500 and above. 503 and 429 get Retry-After: 1. */
void http_send_problem(http_request *request, int status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* --- /health, /ready, /metrics, /openapi.json ----------------------------------------------------------------------------------------------- */

/* Further metrics of a program, written after those of the server and the engine. */
typedef void (*http_metrics_fn)(void *context, reco_metric_sink sink, void *sink_context);

/* What these routes need. Lives as long as the server. FROZEN. */
typedef struct http_standard {
    reco_engine *engine;
    bool takes_events;       /* while they are refused, it is not ready */
    http_metrics_fn metrics; /* NULL: none */
    void *metrics_context;
} http_standard;
/* Appends the four routes; *count grows by 4. */
void http_standard_routes(http_route *routes, size_t *count, http_standard *standard);

#endif
