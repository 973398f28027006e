/* http/internal.h - what the files of the kit share. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <civetweb.h>
#include <pthread.h>

#include "http/http.h"
#include "http/metrics.h"

struct http_server {
    struct mg_context *context;
    http_metrics metrics;
    const http_route *routes;
    _Atomic size_t route_count;
    _Atomic int waiting; /* 1: for `waits_for` */
    pthread_mutex_t waits_lock;
    char waits_for[240];
    uint32_t threads;
    uint64_t body_max;
    uint32_t request_ms;
    uint64_t span_seed; /* of the span ids this server makes up */
    _Atomic uint64_t spans;
    _Atomic int draining;
    char *document; /* /openapi.json */
    size_t document_size;
    char cors_origins[HTTP_ORIGINS_MAX];
    char hosts[HTTP_HOSTS_MAX];
    bool loopback; /* it listens on an address of this machine alone */
    uint16_t port;
    /* watch.c */
    pthread_t watcher;
    pthread_mutex_t watch_lock;
    pthread_cond_t watch_wakes;
    http_request *watched; /* requests under way; with the lock */
    bool watching, watch_ends;
    char name[32];
    char address[96];
};

struct http_request {
    http_server *server;
    struct mg_connection *connection;
    const struct mg_request_info *info;
    uint32_t route;                 /* index, or HTTP_NO_ROUTE */
    int status;                     /* sent; 0: nothing yet */
    bool unread;                    /* a body may be on its way in that is not worth waiting for: the connection ends with the answer */
    bool close;                     /* the connection ends with this answer */
    char *body, *decoded, *segment; /* freed at the end */
    char allow[64];                 /* methods of the path, for 405 */
    char traceparent[56];
    reco_call call;
    /* watch.c */
    http_request *watched_next, **watched_at;
    _Atomic uint64_t watched_until; /* 0: the client is not waited for */
    _Atomic bool writing, overdue;
};

/* server.c: answers 503 and true while the service waits for what it needs to begin. */
bool http_server_is_waiting(http_request *request);
/* route.c: finds the route and fills request->route; 404 or 405 (then `allow` is filled) or 200. */
int http_route_find(http_request *request, const char *method, const char *path);
/* The part of `path` that stands for the template's {parameter}; absent when it has none. */
reco_str http_route_param(const char *pattern, const char *path);
/* Decodes %XX, and '+' to a space when `plus`, in place; false for bad escapes and for NUL. */
bool http_decode(char *text, size_t *size, bool plus);

/* trace.c: takes over a valid traceparent with a span of our own. */
void http_trace_accept(http_request *request);

/* head.c: 0, or the status that says that *wrong is wrong with *field of the head. */
int http_head_check(const struct mg_request_info *info, const char **field, const char **wrong);

/* listen.c: "ADDRESS:PORT" into its parts; tries the address, because civetweb only says that it did not start; and an error that is filled in. */
reco_status http_listen_parse(const char *listen, char address[64], unsigned *port, reco_error *err);
bool http_listen_is_loopback(const char *address);
reco_status http_listen_try(const char *address, unsigned port, reco_error *err);
reco_status http_fail(reco_error *err, reco_status status, const char *field, const char *text);

/* encoding.c: every element of the lists in all headers of this name, without blanks around it. */
void http_header_list(const http_request *request, const char *name, void (*take)(void *context, const char *element, size_t size), void *context);
bool http_accepts_gzip(const http_request *request);
/* Packs what is worth it; *packed is freed by the caller. false: send it plain; *size is as it was. */
bool http_gzip(const char *body, size_t body_size, char **packed, size_t *size);
/* How the body is encoded, by its headers. */
#define HTTP_PLAIN 0
#define HTTP_GZIPPED 1
#define HTTP_FOREIGN 2
int http_body_encoding(const http_request *request);
/* Replaces a body, which malloc made, by what it unpacks to: 200; 400 it is broken, 413 it is more than `most`, 503 no memory: nothing changed. */
int http_gunzip(char **body, size_t *size, uint64_t most);

/* conditional.c: the tag of a body; whether If-None-Match has it. */
#define HTTP_ETAG_SIZE 24
void http_etag(char out[HTTP_ETAG_SIZE], const char *body, size_t size);
bool http_client_has(const http_request *request, const char *etag);

/* cors.c: what Access-Control-Allow-Origin is to say; NULL: nothing. */
const char *http_cors_origin(const http_request *request);
/* Answers a preflight to a path whose methods request->allow has; false: it is none, or there is no list of origins. */
bool http_cors_preflight(http_request *request);
/* INVALID naming the setting when the list has something that is no origin. NULL is allowed. */
reco_status http_cors_check(const char *list, reco_error *err);

/* host.c: whether the request was sent to a name of ours; whether a page that may post here sent it. false: answered 403. */
bool http_host_accept(http_request *request);
bool http_origin_accept(http_request *request);
/* INVALID naming the setting when the list has something that is no name. NULL is allowed. */
reco_status http_hosts_check(const char *list, reco_error *err);

/* list.c: whether a list has this element, in whatever case; INVALID naming the setting and what is not of this form, or when the list is longer than
 * its room. */
bool http_list_has(const char *list, const char *text, size_t size);
reco_status http_list_check(const char *setting, const char *list, size_t room, bool (*fits)(const char *text, size_t size), const char *form,
                            reco_error *err);

/* watch.c: a request is on the list between begin and end, which comes before its connection is closed. From `reading` or `writing` until it is told
 * otherwise (0), the client has until then to send or to take what is due; else `overdue` is set and reads and writes end. */
void http_watch_prepare(http_server *server);
bool http_watch_start(http_server *server); /* once the port is known */
void http_watch_stop(http_server *server);
void http_watch_begin(http_request *request);
void http_watch_end(http_request *request);
void http_watch_reading(http_request *request, uint64_t until_ns);
void http_watch_writing(http_request *request, uint64_t until_ns);

/* document.c: makes server->document of the common piece and those of the service; false: out of memory. And the route that sends it. */
bool http_document_make(http_server *server, const char *const *own);
void http_document_send(http_request *request, void *context);

/* server.c: the metrics of the server itself. */
void http_server_metrics(http_text *out, http_server *server);
uint64_t http_now_ns(void);

#endif
