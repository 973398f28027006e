/* http/metrics.h - counters of one server, and Prometheus text (version 0.0.4). */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include <reco/admin.h>

#include "http/text.h"

#define HTTP_BUCKETS 14u
#define HTTP_SERIES 512u

/* Requests of one method, route and status. SHARED: only atomic adds. */
typedef struct http_series {
    _Atomic uint32_t key; /* 0: free; else 1 + route << 16 | method << 12 | status */
    _Atomic uint64_t buckets[HTTP_BUCKETS + 1];
    _Atomic uint64_t nanoseconds;
} http_series;

/* Open addressing without locks: a series is claimed by one compare-and-swap and never given back. What finds no room is counted as lost. SHARED. */
typedef struct http_metrics {
    http_series series[HTTP_SERIES];
    _Atomic uint64_t lost;
    _Atomic uint64_t given_up; /* idle connections closed for waiting ones */
    _Atomic int64_t connections, in_flight;
} http_metrics;

/* `route` is the index of the route, or HTTP_NO_ROUTE. */
#define HTTP_NO_ROUTE 0xffu
void http_metrics_count(http_metrics *metrics, const char *method, uint32_t route, int status, uint64_t nanoseconds);
/* http_requests_total, http_request_duration_seconds and what the server is doing. `path` names a route. */
void http_metrics_write(http_text *out, http_metrics *metrics, const char *(*path)(void *context, uint32_t route), void *context);

/* Gathers single values from a reco_metric_sink and writes every family once, with its HELP and TYPE. CONFINED. Zero-initialised is empty. */
typedef struct http_families {
    struct http_family {
        char name[80], type[16];
        http_text help, samples;
    } * list;
    size_t count, room;
    bool failed;
} http_families;
void http_families_sink(void *families, const char *name, const char *labels, double value, const char *type, const char *help);
void http_families_write(http_text *out, http_families *families);
void http_families_dispose(http_families *families);

/* process_... of this process, and reco_build_info. */
void http_process_metrics(http_families *families);

#endif
