#include "http/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t bounds[HTTP_BUCKETS] = {500000,    1000000,   2500000,   5000000,    10000000,   25000000,   50000000,
                                              100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000};
static const char *const bound_text[HTTP_BUCKETS + 1] = {"0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
                                                         "0.25",   "0.5",   "1",      "2.5",   "5",    "10",    "+Inf"};
/* Methods that get a label of their own: the label must not be the client's to invent. */
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"};

static uint32_t method_number(const char *method) {
    uint32_t number = 0;
    while (number + 1 < sizeof methods / sizeof *methods && strcmp(methods[number], method) != 0)
        number++;
    return number;
}

static http_series *find_series(http_metrics *metrics, uint32_t key) {
    uint32_t slot = key * 2654435761u % HTTP_SERIES;
    for (uint32_t tries = 0; tries < HTTP_SERIES; tries++, slot = (slot + 1) % HTTP_SERIES) {
        uint32_t there = atomic_load_explicit(&metrics->series[slot].key, memory_order_acquire);
        if (there == 0 && atomic_compare_exchange_strong(&metrics->series[slot].key, &there, key))
            return &metrics->series[slot];
        if (there == key)
            return &metrics->series[slot];
    }
    return NULL;
}

void http_metrics_count(http_metrics *metrics, const char *method, uint32_t route, int status, uint64_t nanoseconds) {
    uint32_t key = 1 + (route << 16 | method_number(method) << 12 | ((uint32_t)status & 0xfff));
    http_series *series = find_series(metrics, key);
    if (!series) {
        atomic_fetch_add_explicit(&metrics->lost, 1, memory_order_relaxed);
        return;
    }
    uint32_t bucket = 0;
    while (bucket < HTTP_BUCKETS && nanoseconds > bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->nanoseconds, nanoseconds, memory_order_relaxed);
}

/* Labels of a series, "" for a free one. */
static bool labels_of(char *out, size_t room, const http_series *series, const char *(*path)(void *context, uint32_t route), void *context) {
    uint32_t key = atomic_load_explicit(&series->key, memory_order_acquire);
    if (key == 0)
        return false;
    key--;
    uint32_t route = key >> 16;
    snprintf(out, room, "method=\"%s\",route=\"%s\",status=\"%u\"", methods[key >> 12 & 0xf], route == HTTP_NO_ROUTE ? "" : path(context, route),
             key & 0xfff);
    return true;
}

static void write_totals(http_text *out, http_metrics *metrics, const char *(*path)(void *context, uint32_t route), void *context) {
    http_text_printf(out, "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n");
    for (uint32_t i = 0; i < HTTP_SERIES; i++) {
        char labels[320];
        if (!labels_of(labels, sizeof labels, &metrics->series[i], path, context))
            continue;
        uint64_t count = 0;
        for (uint32_t k = 0; k <= HTTP_BUCKETS; k++)
            count += atomic_load_explicit(&metrics->series[i].buckets[k], memory_order_relaxed);
        http_text_printf(out, "http_requests_total{%s} %" PRIu64 "\n", labels, count);
    }
}

static void write_durations(http_text *out, http_metrics *metrics, const char *(*path)(void *context, uint32_t route), void *context) {
    http_text_printf(out, "# HELP http_request_duration_seconds Time from the head of a request to the end of its answer.\n"
                          "# TYPE http_request_duration_seconds histogram\n");
    for (uint32_t i = 0; i < HTTP_SERIES; i++) {
        char labels[320];
        if (!labels_of(labels, sizeof labels, &metrics->series[i], path, context))
            continue;
        uint64_t count = 0;
        for (uint32_t k = 0; k <= HTTP_BUCKETS; k++) {
            count += atomic_load_explicit(&metrics->series[i].buckets[k], memory_order_relaxed);
            http_text_printf(out, "http_request_duration_seconds_bucket{%s,le=\"%s\"} %" PRIu64 "\n", labels, bound_text[k], count);
        }
        double seconds = (double)atomic_load_explicit(&metrics->series[i].nanoseconds, memory_order_relaxed) / 1e9;
        http_text_printf(out, "http_request_duration_seconds_sum{%s} %.9g\nhttp_request_duration_seconds_count{%s} %" PRIu64 "\n", labels, seconds,
                         labels, count);
    }
}

void http_metrics_write(http_text *out, http_metrics *metrics, const char *(*path)(void *context, uint32_t route), void *context) {
    write_totals(out, metrics, path, context);
    write_durations(out, metrics, path, context);
    http_text_printf(out, "# HELP http_connections Connections open.\n# TYPE http_connections gauge\nhttp_connections %" PRId64 "\n",
                     atomic_load_explicit(&metrics->connections, memory_order_relaxed));
    http_text_printf(out,
                     "# HELP http_connections_given_up_total Idle connections closed for waiting ones.\n"
                     "# TYPE http_connections_given_up_total counter\nhttp_connections_given_up_total %" PRIu64 "\n",
                     atomic_load_explicit(&metrics->given_up, memory_order_relaxed));
    http_text_printf(
        out, "# HELP http_requests_in_flight Requests being answered.\n# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight %" PRId64 "\n",
        atomic_load_explicit(&metrics->in_flight, memory_order_relaxed));
    http_text_printf(out,
                     "# HELP http_requests_uncounted_total Requests no series had room for.\n# TYPE http_requests_uncounted_total counter\n"
                     "http_requests_uncounted_total %" PRIu64 "\n",
                     atomic_load_explicit(&metrics->lost, memory_order_relaxed));
}

static struct http_family *find_family(http_families *families, const char *name) {
    for (size_t i = 0; i < families->count; i++)
        if (strcmp(families->list[i].name, name) == 0)
            return &families->list[i];
    if (families->count == families->room) {
        size_t room = families->room ? families->room * 2 : 32;
        struct http_family *list = realloc(families->list, room * sizeof *list);
        if (!list) {
            families->failed = true;
            return NULL;
        }
        families->list = list;
        families->room = room;
    }
    struct http_family *family = &families->list[families->count++];
    memset(family, 0, sizeof *family);
    snprintf(family->name, sizeof family->name, "%s", name);
    return family;
}

/* Line ends and backslashes are escaped in help texts. */
static void add_help(http_text *out, const char *help) {
    for (; *help; help++) {
        if (*help == '\\' || *help == '\n')
            http_text_add(out, *help == '\n' ? "\\n" : "\\\\", 2);
        else
            http_text_add(out, help, 1);
    }
}

static void add_value(http_text *out, double value) {
    if (value == floor(value) && fabs(value) < 1e15)
        http_text_printf(out, "%.0f\n", value);
    else if (isnan(value))
        http_text_printf(out, "NaN\n");
    else if (isinf(value))
        http_text_printf(out, "%sInf\n", value < 0 ? "-" : "+");
    else
        http_text_printf(out, "%.15g\n", value);
}

/* Samples of a histogram are named after it. */
static void family_name(char out[80], const char *name, const char *type) {
    snprintf(out, 80, "%s", name);
    char *end = strcmp(type, "histogram") == 0 ? strrchr(out, '_') : NULL;
    if (end)
        *end = 0;
}

void http_families_sink(void *families, const char *name, const char *labels, double value, const char *type, const char *help) {
    char of[80];
    family_name(of, name, type);
    struct http_family *family = find_family(families, of);
    if (!family)
        return;
    if (!family->type[0]) {
        snprintf(family->type, sizeof family->type, "%s", type);
        add_help(&family->help, help);
    }
    if (labels && *labels)
        http_text_printf(&family->samples, "%s{%s} ", name, labels);
    else
        http_text_printf(&family->samples, "%s ", name);
    add_value(&family->samples, value);
}

void http_families_write(http_text *out, http_families *families) {
    for (size_t i = 0; i < families->count; i++) {
        struct http_family *family = &families->list[i];
        if (family->samples.failed || !family->samples.data)
            out->failed = true;
        else
            http_text_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s", family->name, family->help.data ? family->help.data : "", family->name,
                             family->type, family->samples.data);
    }
    if (families->failed)
        out->failed = true;
}

void http_families_dispose(http_families *families) {
    for (size_t i = 0; i < families->count; i++) {
        http_text_dispose(&families->list[i].help);
        http_text_dispose(&families->list[i].samples);
    }
    free(families->list);
    memset(families, 0, sizeof *families);
}
