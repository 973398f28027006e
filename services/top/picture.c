#include "top/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MAX 64u

/* Routes that are answers. */
static const char *const questions[] = {"/recommendations", "/recommendations/batch", "/rank", "/popular", "/similar", "/items/{item_id}/similar"};
static const char *const store_names[TOP_STORES] = {"stream", "features", "records"};

/* All that a picture is made from. */
typedef struct maker {
    top_picture *out;
    const top_service *services;
    size_t count;
    bool twin[TOP_SERVICES_MAX]; /* its process has been counted: the services of reco serve share an engine */
} maker;

static bool is_question(reco_str route) {
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (strlen(questions[i]) == route.size && memcmp(questions[i], route.data, route.size) == 0)
            return true;
    return false;
}

/* A name of somebody's, so that it can be shown. */
static void keep_name(char out[TOP_NAME], reco_str name) {
    size_t size = name.size < TOP_NAME - 1 ? name.size : TOP_NAME - 1;
    if (size)
        memcpy(out, name.data, size);
    out[size] = 0;
}

/* --- differences ------------------------------------------------------------------------------------------------------------------------------ */

static double seconds_of(const top_service *service) {
    return service->now.up && service->before.up ? (double)(service->now.at_ns - service->before.at_ns) / 1e9 : 0;
}

/* A counter that went down began anew. */
static double grown(double now, double before) { return now >= before ? now - before : now; }

static double rate_of(const top_service *service, const char *name, const char *label, const char *value) {
    double seconds = seconds_of(service);
    bool told;
    double now = top_sum(&told, &service->now.samples, name, label, value);
    return seconds > 0 && told ? grown(now, top_sum(NULL, &service->before.samples, name, label, value)) / seconds : NAN;
}

/* NAN is "not known": of two, what is known. */
static double sum_known(double a, double b) { return isnan(a) ? b : isnan(b) ? a : a + b; }
static double most_known(double a, double b) { return isnan(a) || b > a ? b : a; }

/* Of all processes. */
static double rate(const maker *m, const char *name, const char *label, const char *value) {
    double sum = NAN;
    for (size_t i = 0; i < m->count; i++)
        if (!m->twin[i])
            sum = sum_known(sum, rate_of(&m->services[i], name, label, value));
    return sum;
}

/* What it was counted to by all processes. */
static double total(const maker *m, const char *name, const char *label, const char *value) {
    double sum = 0;
    for (size_t i = 0; i < m->count; i++)
        if (!m->twin[i])
            sum += top_sum(NULL, &m->services[i].now.samples, name, label, value);
    return sum;
}

/* The largest that a service tells of what all of them share. */
static double largest(const maker *m, const char *name) {
    double most = NAN;
    for (size_t i = 0; i < m->count; i++) {
        bool here = false;
        double value = m->services[i].now.up ? top_sum(&here, &m->services[i].now.samples, name, NULL, NULL) : 0;
        most = here ? most_known(most, value) : most;
    }
    return most;
}

/* --- latencies -------------------------------------------------------------------------------------------------------------------------------- */

#define REQUESTS "http_request_duration_seconds"
#define EFFECT "reco_event_to_effect_seconds"

/* Buckets of a histogram in the interval: how many took at most so long. */
typedef struct durations {
    double bounds[BUCKETS_MAX], counts[BUCKETS_MAX];
    size_t count;
    double all;
} durations;

static void add_bucket(durations *out, double bound, double by) {
    size_t at = 0;
    if (!isfinite(bound))
        return;
    while (at < out->count && out->bounds[at] < bound)
        at++;
    if (at == out->count || out->bounds[at] > bound) {
        if (out->count == BUCKETS_MAX)
            return;
        memmove(out->bounds + at + 1, out->bounds + at, (out->count - at) * sizeof *out->bounds);
        memmove(out->counts + at + 1, out->counts + at, (out->count - at) * sizeof *out->counts);
        out->bounds[at] = bound;
        out->counts[at] = 0;
        out->count++;
    }
    out->counts[at] += by;
}

static void add_durations(durations *out, const top_samples *samples, const char *name, bool only_questions, double sign) {
    char counts[64], buckets[64];
    snprintf(counts, sizeof counts, "%s_count", name);
    snprintf(buckets, sizeof buckets, "%s_bucket", name);
    for (size_t i = 0; i < samples->count; i++) {
        const top_sample *sample = &samples->list[i];
        reco_str route, le;
        bool count = top_is(sample, counts, NULL, NULL);
        if ((!count && !top_is(sample, buckets, NULL, NULL)) || (only_questions && !(top_label(&route, sample, "route") && is_question(route))))
            continue;
        if (count)
            out->all += sign * sample->value;
        else if (top_label(&le, sample, "le") && le.size && le.data[0] != '+') /* the quote behind it ends the number */
            add_bucket(out, strtod(le.data, NULL), sign * sample->value);
    }
}

/* Within the bucket by its width, as if they were spread evenly. */
static double percentile(const durations *from, double part) {
    double wanted = part * from->all, below = 0, low = 0;
    for (size_t i = 0; i < from->count; i++) {
        if (from->counts[i] >= wanted && from->counts[i] > below)
            return 1000 * (low + (from->bounds[i] - low) * (wanted - below) / (from->counts[i] - below));
        below = from->counts[i] > below ? from->counts[i] : below;
        low = from->bounds[i];
    }
    return 1000 * low;
}

static top_times times_of(const durations *from) {
    top_times times = {.known = from->all >= 1 && from->count > 0};
    if (times.known) {
        times.p50 = percentile(from, 0.5);
        times.p99 = percentile(from, 0.99);
    }
    return times;
}

/* `counter`: goes down when the service began anew. */
static void add_service(durations *out, const top_service *service, const char *name, const char *counter, bool only_questions) {
    if (seconds_of(service) <= 0)
        return;
    add_durations(out, &service->now.samples, name, only_questions, 1);
    if (top_sum(NULL, &service->now.samples, counter, NULL, NULL) >= top_sum(NULL, &service->before.samples, counter, NULL, NULL))
        add_durations(out, &service->before.samples, name, only_questions, -1);
}

/* --- services --------------------------------------------------------------------------------------------------------------------------------- */

static double failed_of(const top_samples *samples) {
    double sum = 0;
    reco_str status;
    for (size_t i = 0; i < samples->count; i++)
        if (top_is(&samples->list[i], "http_requests_total", NULL, NULL) && top_label(&status, &samples->list[i], "status") && status.size == 3 &&
            status.data[0] == '5')
            sum += samples->list[i].value;
    return sum;
}

static void make_line(top_line *out, const top_service *service, double now) {
    durations of = {.count = 0};
    const top_samples *samples = &service->now.samples;
    double seconds = seconds_of(service);
    *out = (top_line){.name = service->name, .error = service->now.up ? NULL : service->now.error};
    if (!service->now.up)
        return;
    double start = top_sum(&out->process, samples, "process_start_time_seconds", NULL, NULL);
    out->foreign = !out->process && strstr(service->name, "://");
    out->uptime = out->process && now > start ? now - start : 0;
    out->resident = top_sum(NULL, samples, "process_resident_memory_bytes", NULL, NULL);
    out->connections = top_sum(NULL, samples, "http_connections", NULL, NULL);
    out->cpu = rate_of(service, "process_cpu_seconds_total", NULL, NULL);
    out->requests = rate_of(service, "http_requests_total", NULL, NULL);
    out->failed = seconds > 0 ? grown(failed_of(samples), failed_of(&service->before.samples)) / seconds : NAN;
    add_service(&of, service, REQUESTS, "http_requests_total", false);
    out->times = times_of(&of);
}

/* Host of a URL, or the whole of what is none. */
static reco_str host_of(const char *name) {
    const char *host = strstr(name, "://");
    host = host ? host + 3 : name;
    const char *end = strrchr(host, ':');
    return (reco_str){host, end ? (size_t)(end - host) : strlen(host)};
}

static void find_twins(maker *m) {
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < i && !m->twin[i]; k++) {
            bool one, other;
            reco_str a = host_of(m->services[i].name), b = host_of(m->services[k].name);
            double mine = top_sum(&one, &m->services[i].now.samples, "reco_process_id", NULL, NULL);
            double theirs = top_sum(&other, &m->services[k].now.samples, "reco_process_id", NULL, NULL);
            m->twin[i] = one && other && mine == theirs && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
        }
}

/* --- the system ------------------------------------------------------------------------------------------------------------------------------- */

static void make_events(const maker *m) {
    top_picture *out = m->out;
    durations effect = {.count = 0};
    for (size_t i = 0; i < m->count; i++)
        if (!m->twin[i])
            add_service(&effect, &m->services[i], EFFECT, EFFECT "_count", false);
    out->effect = times_of(&effect);
    out->accepted = rate(m, "reco_events_accepted_total", NULL, NULL);
    out->rejected = rate(m, "reco_events_rejected_total", NULL, NULL);
    out->out_of_time = rate(m, "reco_events_out_of_time_total", NULL, NULL);
    out->learned = rate(m, "reco_events_learned_total", NULL, NULL);
    out->duplicates = rate(m, "reco_events_duplicate_total", NULL, NULL);
    out->closing_steps = rate(m, "reco_closing_steps_total", NULL, NULL);
    out->appended = NAN;
    for (size_t i = 0; i < m->count; i++) /* shared by all: who tells most knows best */
        out->appended = most_known(out->appended, rate_of(&m->services[i], "reco_stream_partition_end", NULL, NULL));
}

static void make_answers(const maker *m) {
    top_picture *out = m->out;
    durations of = {.count = 0};
    out->answers = sum_known(rate(m, "reco_recommendations_total", NULL, NULL), rate(m, "reco_popular_answers_total", NULL, NULL));
    out->degraded = rate(m, "reco_degraded_answers_total", NULL, NULL);
    out->fallbacks = rate(m, "reco_fallback_total", NULL, NULL);
    out->empty = rate(m, "reco_empty_answers_total", NULL, NULL);
    out->failed = rate(m, "reco_recommendations_failed_total", NULL, NULL);
    for (size_t i = 0; i < m->count; i++)
        add_service(&of, &m->services[i], REQUESTS, "http_requests_total", true);
    out->times = times_of(&of);
}

static int by_value(const void *a, const void *b) {
    const top_named *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : strcmp(x->name, y->name);
}

/* Samples of a metric by a label: the largest any service tells. */
static void gather(top_named *list, size_t *count, size_t most, const maker *m, const char *metric, const char *label) {
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->services[i].now.samples.count; k++) {
            const top_sample *sample = &m->services[i].now.samples.list[k];
            reco_str value;
            char name[TOP_NAME];
            size_t at = 0;
            if (!top_is(sample, metric, NULL, NULL) || !top_label(&value, sample, label))
                continue;
            keep_name(name, value);
            while (at < *count && strcmp(list[at].name, name) != 0)
                at++;
            if (at == most)
                continue;
            if (at == *count) {
                memcpy(list[at].name, name, sizeof list[at].name);
                list[(*count)++].value = sample->value;
            }
            list[at].value = sample->value > list[at].value ? sample->value : list[at].value;
        }
}

static int by_lag(const void *a, const void *b) {
    const top_partition *x = a, *y = b;
    return x->lag > y->lag ? -1 : x->lag < y->lag ? 1 : strcmp(x->name, y->name);
}

static void make_partitions(const maker *m) {
    top_picture *out = m->out;
    top_named lags[TOP_PARTITIONS_MAX], ages[TOP_PARTITIONS_MAX];
    size_t age_count = 0;
    gather(lags, &out->partition_count, TOP_PARTITIONS_MAX, m, "reco_stream_partition_lag", "partition");
    gather(ages, &age_count, TOP_PARTITIONS_MAX, m, "reco_stream_partition_lag_seconds", "partition");
    for (size_t i = 0; i < out->partition_count; i++) {
        top_partition *partition = &out->partitions[i];
        partition->lag = lags[i].value;
        memcpy(partition->name, lags[i].name, sizeof partition->name);
        for (size_t k = 0; k < age_count; k++)
            if (strcmp(ages[k].name, partition->name) == 0)
                partition->seconds = ages[k].value;
    }
    qsort(out->partitions, out->partition_count, sizeof *out->partitions, by_lag);
}

static void make_learning(const maker *m) {
    top_picture *out = m->out;
    double closing = largest(m, "reco_closing_due");
    out->lag = largest(m, "reco_stream_lag");
    out->lag_known = !isnan(out->lag);
    out->lag_seconds = largest(m, "reco_stream_lag_seconds");
    out->closing = closing > 0;
    out->closing_known = !isnan(closing);
    out->items = largest(m, "reco_items");
    out->users = largest(m, "reco_users");
    make_partitions(m);
}

/* What a store takes: on disk, else what it says is used, else the sum of its tables. */
static double store_bytes(const top_samples *samples, const char *store) {
    double disk = 0, used = 0, sum = 0;
    for (size_t i = 0; i < samples->count; i++) {
        const top_sample *sample = &samples->list[i];
        reco_str table;
        if (!top_is(sample, "reco_store_bytes", "store", store) || !top_label(&table, sample, "table"))
            continue;
        if (table.size == 4 && memcmp(table.data, "disk", 4) == 0)
            disk = sample->value;
        else if (table.size == 4 && memcmp(table.data, "used", 4) == 0)
            used = sample->value;
        sum += sample->value;
    }
    return disk > 0 ? disk : used > 0 ? used : sum;
}

static void make_store(const maker *m, top_store *out, const char *name) {
    *out = (top_store){.name = name};
    for (size_t i = 0; i < m->count; i++) {
        bool told = false;
        const top_samples *samples = &m->services[i].now.samples;
        double up = m->services[i].now.up ? top_sum(&told, samples, "reco_store_up", "store", name) : 0, bytes = store_bytes(samples, name);
        out->up += told && up > 0;
        out->down += told && up <= 0;
        out->bytes = bytes > out->bytes ? bytes : out->bytes;
    }
}

static int by_time(const void *a, const void *b) {
    const top_stage *x = a, *y = b;
    return x->seconds > y->seconds ? -1 : x->seconds < y->seconds ? 1 : strcmp(x->name, y->name);
}

static void make_stages(const maker *m) {
    top_picture *out = m->out;
    top_named names[TOP_STAGES_MAX];
    gather(names, &out->stage_count, TOP_STAGES_MAX, m, "reco_stage_failures_total", "stage");
    for (size_t i = 0; i < out->stage_count; i++) {
        top_stage *stage = &out->stages[i];
        double timed = rate(m, "reco_stage_timed_total", "stage", names[i].name) * out->seconds,
               took = rate(m, "reco_stage_timed_seconds_total", "stage", names[i].name) * out->seconds;
        memcpy(stage->name, names[i].name, sizeof stage->name);
        stage->since_start = !(timed > 0);
        if (stage->since_start) {
            timed = total(m, "reco_stage_timed_total", "stage", names[i].name);
            took = total(m, "reco_stage_timed_seconds_total", "stage", names[i].name);
        }
        stage->timed = timed;
        stage->seconds = timed > 0 ? took / timed : 0;
        stage->failures = rate(m, "reco_stage_failures_total", "stage", stage->name);
        stage->skipped = rate(m, "reco_source_skipped_total", "source", stage->name);
        stage->counted = sum_known(rate(m, "reco_candidates_total", "source", stage->name), rate(m, "reco_filtered_total", "reason", stage->name));
    }
    qsort(out->stages, out->stage_count, sizeof *out->stages, by_time);
}

static void make_reasons(const maker *m) {
    top_picture *out = m->out;
    if (out->seconds <= 0)
        return;
    gather(out->reasons, &out->reason_count, TOP_REASONS_MAX, m, "reco_degraded_total", "reason");
    for (size_t i = 0; i < out->reason_count; i++)
        out->reasons[i].value = sum_known(rate(m, "reco_degraded_total", "reason", out->reasons[i].name), 0);
    qsort(out->reasons, out->reason_count, sizeof *out->reasons, by_value);
}

/* By kind, of all processes. */
static void make_memory(const maker *m) {
    top_picture *out = m->out;
    gather(out->memory, &out->memory_count, TOP_KINDS_MAX, m, "reco_memory_bytes", "kind");
    for (size_t i = 0; i < out->memory_count; i++) {
        out->memory[i].value = 0;
        for (size_t k = 0; k < m->count; k++)
            if (!m->twin[k])
                out->memory[i].value += top_sum(NULL, &m->services[k].now.samples, "reco_memory_bytes", "kind", out->memory[i].name);
    }
    qsort(out->memory, out->memory_count, sizeof *out->memory, by_value);
}

void top_picture_make(top_picture *out, const top_service *services, size_t count, double now) {
    maker m = {.out = out, .services = services, .count = count < TOP_SERVICES_MAX ? count : TOP_SERVICES_MAX};
    memset(out, 0, sizeof *out);
    find_twins(&m);
    for (size_t i = 0; i < m.count; i++) {
        double seconds = seconds_of(&services[i]);
        out->seconds = seconds > out->seconds ? seconds : out->seconds;
        out->bad += services[i].now.samples.bad;
        make_line(&out->lines[out->line_count++], &services[i], now);
    }
    make_events(&m);
    make_answers(&m);
    make_learning(&m);
    for (size_t i = 0; i < TOP_STORES; i++)
        make_store(&m, &out->stores[i], store_names[i]);
    make_stages(&m);
    make_reasons(&m);
    make_memory(&m);
}
