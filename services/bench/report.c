#include "bench/report.h"

#include <stdarg.h>
#include <string.h>

#define BAR 40
#define MS 1e6
#define NOTES_MAX 8u
#define NOTE_SIZE 240u

static const double parts[] = {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999};
static const char *const part_names[] = {"p50", "p90", "p95", "p99", "p99.9", "p99.99"};
#define PARTS (sizeof parts / sizeof *parts)

static unsigned long long wide(uint64_t number) { return (unsigned long long)number; }

static double seconds_of(const bench_counts *counts) {
    return counts->end_ns > counts->begin_ns ? (double)(counts->end_ns - counts->begin_ns) / 1e9 : 0;
}

static double per_second(uint64_t count, double seconds) { return seconds > 0 ? (double)count / seconds : 0; }

static uint64_t without_answer(const bench_counts *counts) {
    uint64_t sum = 0;
    for (size_t i = 0; i < BENCH_FAILURES; i++)
        sum += counts->failures[i];
    return sum;
}

/* Requests that a signal found under way: they have no outcome. */
static uint64_t under_way(const bench_counts *counts) {
    uint64_t ended = without_answer(counts) + counts->unsent;
    for (size_t i = 0; i < BENCH_STATUSES; i++)
        ended += counts->statuses[i];
    return counts->requests > ended ? counts->requests - ended : 0;
}

/* --- in plain words ------------------------------------------------------------------------------------------------------------------------- */

typedef struct notes {
    char text[NOTES_MAX][NOTE_SIZE];
    size_t count;
} notes;

static void note(notes *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(notes *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (out->count < NOTES_MAX)
        vsnprintf(out->text[out->count++], NOTE_SIZE, format, arguments);
    va_end(arguments);
}

static void note_this_side(notes *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    double seconds = seconds_of(counts), share = seconds > 0 ? (double)counts->busiest_cpu_ns / 1e9 / seconds : 0;
    if (counts->late * 100 > counts->requests)
        note(out,
             "This side was itself slow: %llu requests were sent over 1 ms late although a connection was free (at most %.1f ms). What is told here "
             "is of this machine too; measure from another one, or ask for less.",
             wide(counts->late), (double)counts->late_most_ns / MS);
    if (share > 0.9 && !what->plan->engine)
        note(out, "This side may be what is measured: a thread that asks was busy for %.0f %% of the time. Give it --threads.", share * 100);
}

static void make_notes(notes *out, const bench_report *what) {
    const bench_plan *plan = what->plan;
    const bench_counts *counts = what->counts;
    double reached = per_second(counts->answered, seconds_of(counts));
    if (what->stopped)
        note(out, "Stopped before its end: this is what was measured until then.");
    note_this_side(out, what);
    if (plan->rate > 0 && counts->requests > 0 && reached < 0.98 * plan->rate && plan->requests == 0 && !what->stopped)
        note(out, "The rate was not reached: asked %.10g a second, answered %.1f with 2xx.", plan->rate, reached);
    if (counts->refused.count)
        note(out, "%llu of %llu requests were not answered with 2xx: how long they took is in \"not 2xx\" alone, in no other percentile.",
             wide(counts->refused.count), wide(counts->requests));
    if (counts->waited)
        note(
            out,
            "%llu of %llu requests found no connection of %u free and were sent late, at most %.1f ms; their latency counts from when they were due.",
            wide(counts->waited), wide(counts->requests), plan->connections, (double)counts->waited_most_ns / MS);
    if (counts->unsent)
        note(out, "%llu requests were due and never sent; the time they waited is in the percentiles.", wide(counts->unsent));
    if (counts->answered && counts->latency.count < 1000)
        note(out, "%llu are few for the percentiles above p99.", wide(counts->latency.count));
}

/* --- buckets -------------------------------------------------------------------------------------------------------------------------------- */

/* Ends of buckets: 1, 2 and 5 of each power of ten, from 1 us. */
static uint64_t bucket_end(size_t number) {
    static const uint64_t steps[] = {1, 2, 5};
    uint64_t end = 1000 * steps[number % 3];
    for (size_t i = 0; i < number / 3; i++)
        end *= 10;
    return end;
}

typedef struct buckets {
    uint64_t counts[48];
    size_t first, end; /* that are not empty */
} buckets;
#define BUCKETS (sizeof((buckets *)0)->counts / sizeof *((buckets *)0)->counts)

/* A place that lies across an end counts below it: it is narrower than 1/128 of that. */
static void fill_buckets(buckets *out, const bench_histogram *histogram) {
    size_t at = 0;
    *out = (buckets){.first = BUCKETS};
    for (size_t place = 0; place < BENCH_PLACES; place++) {
        if (!histogram->places[place])
            continue;
        while (at + 1 < BUCKETS && bench_place_begin(place) >= bucket_end(at))
            at++;
        out->counts[at] += histogram->places[place];
        out->first = at < out->first ? at : out->first;
        out->end = at + 1;
    }
}

/* --- for people ----------------------------------------------------------------------------------------------------------------------------- */

static void add_bytes(http_text *out, double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1024;
    http_text_printf(out, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void print_mix(http_text *out, const bench_plan *plan) {
    bool first = true;
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        if (plan->mix[i]) {
            http_text_printf(out, "%s%s=%u", first ? "" : ",", bench_kind_names[i], plan->mix[i]);
            first = false;
        }
}

static void print_head(http_text *out, const bench_report *what) {
    const bench_plan *plan = what->plan;
    if (plan->rate > 0)
        http_text_printf(out, "open loop, %.10g requests a second", plan->rate);
    else
        http_text_printf(out, "closed loop");
    if (plan->engine)
        http_text_printf(out, ", %u threads in this process: ", plan->connections);
    else
        http_text_printf(out, ", %u connection%s of %u thread%s to %s: ", plan->connections, plan->connections == 1 ? "" : "s", plan->threads,
                         plan->threads == 1 ? "" : "s", plan->api);
    print_mix(out, plan);
    http_text_printf(out, "\n");
}

static void print_counts(http_text *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    double seconds = seconds_of(counts);
    http_text_printf(out, "  %llu requests, %llu answered in %.2f s: %.1f a second", wide(counts->requests), wide(counts->answered), seconds,
                     per_second(counts->answered, seconds));
    if (what->plan->rate > 0)
        http_text_printf(out, " of %.10g asked", what->plan->rate);
    http_text_printf(out, "\n  ");
    add_bytes(out, (double)counts->bytes_in);
    http_text_printf(out, " received (");
    add_bytes(out, seconds > 0 ? (double)counts->bytes_in / seconds : 0);
    http_text_printf(out, "/s), ");
    add_bytes(out, (double)counts->bytes_out);
    http_text_printf(out, " sent");
    if (!what->plan->engine)
        http_text_printf(out, ", %llu connections opened", wide(counts->connects));
    http_text_printf(out, "; asking took %.0f %% of a core\n", seconds > 0 ? (double)counts->cpu_ns / 1e7 / seconds : 0);
}

static void print_row(http_text *out, const char *name, const bench_histogram *histogram) {
    if (histogram->count == 0)
        return;
    http_text_printf(out, "  %-17s %10llu", name, wide(histogram->count));
    for (size_t i = 0; i + 1 < PARTS; i++)
        http_text_printf(out, " %9.3f", (double)bench_histogram_at(histogram, parts[i]) / MS);
    http_text_printf(out, " %9.3f %9.3f\n", (double)histogram->most / MS, bench_histogram_mean(histogram) / MS);
}

static void print_latencies(http_text *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    unsigned kinds = 0;
    http_text_printf(out, "\n  %-17s %10s", "latency in ms", "count");
    for (size_t i = 0; i + 1 < PARTS; i++)
        http_text_printf(out, " %9s", part_names[i]);
    http_text_printf(out, " %9s %9s\n", "max", "mean");
    print_row(out, what->plan->rate > 0 ? "from when due" : counts->refused.count ? "2xx and timeouts" : "all", &counts->latency);
    if (what->plan->rate > 0)
        print_row(out, "from when sent", &counts->service);
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        kinds += counts->kinds[i].count > 0;
    for (unsigned i = 0; i < BENCH_KIND_COUNT && kinds > 1; i++)
        print_row(out, bench_kind_names[i], &counts->kinds[i]);
    print_row(out, "not 2xx", &counts->refused);
}

static void print_buckets(http_text *out, const bench_histogram *histogram) {
    static const char bar[BAR + 1] = "########################################";
    buckets all;
    uint64_t most = 1;
    fill_buckets(&all, histogram);
    for (size_t i = all.first; i < all.end; i++)
        most = all.counts[i] > most ? all.counts[i] : most;
    if (all.first < all.end)
        http_text_printf(out, "\n  %9s%*s\n", "below ms", BAR + 21, "count, and of all");
    for (size_t i = all.first; i < all.end; i++) {
        int length = (int)(all.counts[i] * BAR / most);
        http_text_printf(out, "  %9.10g %-*.*s %10llu %7.3f %%\n", (double)bucket_end(i) / MS, BAR, length ? length : all.counts[i] > 0, bar,
                         wide(all.counts[i]), 100.0 * (double)all.counts[i] / (double)histogram->count);
    }
}

static void print_errors(http_text *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    uint64_t failed = without_answer(counts), stopped = under_way(counts);
    if (counts->requests == counts->answered)
        return;
    http_text_printf(out, "\n  not answered with 2xx\n");
    for (size_t i = 0; i < BENCH_STATUSES; i++)
        if ((i < 200 || i >= 300) && counts->statuses[i])
            http_text_printf(out, "  %10llu  status %zu\n", wide(counts->statuses[i]), i);
    for (size_t i = 0; i < BENCH_FAILURES && failed; i++)
        if (counts->failures[i])
            http_text_printf(out, "  %10llu  %s\n", wide(counts->failures[i]), what->plan->curl->easy_strerror((CURLcode)i));
    if (counts->unsent)
        http_text_printf(out, "  %10llu  never sent\n", wide(counts->unsent));
    if (stopped)
        http_text_printf(out, "  %10llu  under way when it was stopped\n", wide(stopped));
}

void bench_report_text(http_text *out, const bench_report *what) {
    notes all = {.count = 0};
    make_notes(&all, what);
    print_head(out, what);
    print_counts(out, what);
    print_latencies(out, what);
    print_buckets(out, &what->counts->latency);
    print_errors(out, what);
    for (size_t i = 0; i < all.count; i++)
        http_text_printf(out, "%s%s\n", i ? "" : "\n", all.text[i]);
}

/* --- for programs --------------------------------------------------------------------------------------------------------------------------- */

static void add_text(http_text *out, const char *text) { http_text_json(out, text, strlen(text)); }

static void json_latency(http_text *out, const char *name, const bench_histogram *histogram) {
    http_text_printf(out, "\"%s\":{\"count\":%llu", name, wide(histogram->count));
    if (histogram->count) {
        http_text_printf(out, ",\"mean\":%.6g,\"min\":%.6g", bench_histogram_mean(histogram) / MS, (double)histogram->least / MS);
        for (size_t i = 0; i < PARTS; i++)
            http_text_printf(out, ",\"%s\":%.6g", part_names[i], (double)bench_histogram_at(histogram, parts[i]) / MS);
        http_text_printf(out, ",\"max\":%.6g", (double)histogram->most / MS);
    }
    http_text_printf(out, "}");
}

static void json_kinds(http_text *out, const bench_counts *counts) {
    bool first = true;
    http_text_printf(out, ",\"kinds\":{");
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++) {
        if (counts->kinds[i].count == 0)
            continue;
        http_text_add(out, ",", first ? 0 : 1);
        json_latency(out, bench_kind_names[i], &counts->kinds[i]);
        first = false;
    }
    http_text_printf(out, "}");
}

static void json_buckets(http_text *out, const bench_histogram *histogram) {
    buckets all;
    fill_buckets(&all, histogram);
    http_text_printf(out, ",\"histogram\":[");
    for (size_t i = all.first; i < all.end; i++)
        http_text_printf(out, "%s{\"from_ms\":%.10g,\"below_ms\":%.10g,\"count\":%llu}", i == all.first ? "" : ",",
                         i ? (double)bucket_end(i - 1) / MS : 0.0, (double)bucket_end(i) / MS, wide(all.counts[i]));
    http_text_printf(out, "]");
}

static void json_plan(http_text *out, const bench_plan *plan) {
    bool first = true;
    http_text_printf(out, "{\"loop\":\"%s\",\"connections\":%u,\"warmup_ms\":%lld,\"duration_ms\":%lld,\"timeout_ms\":%lld",
                     plan->rate > 0 ? "open" : "closed", plan->connections, (long long)(plan->warmup_ns / 1000000),
                     (long long)(plan->duration_ns / 1000000), (long long)(plan->timeout_ns / 1000000));
    if (!plan->engine) {
        http_text_printf(out, ",\"threads\":%u,\"url\":", plan->threads);
        add_text(out, plan->api);
        http_text_printf(out, ",\"ingest_url\":");
        add_text(out, plan->ingest);
    }
    http_text_printf(out, ",\"seed\":%llu,\"mix\":{", wide(plan->generator.seed));
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        if (plan->mix[i]) {
            http_text_printf(out, "%s\"%s\":%u", first ? "" : ",", bench_kind_names[i], plan->mix[i]);
            first = false;
        }
    http_text_printf(out, "}");
    if (plan->rate > 0)
        http_text_printf(out, ",\"rate_asked\":%.10g", plan->rate);
}

static void json_statuses(http_text *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    bool first = true;
    http_text_printf(out, ",\"statuses\":{");
    for (size_t i = 0; i < BENCH_STATUSES; i++)
        if (counts->statuses[i]) {
            http_text_printf(out, "%s\"%zu\":%llu", first ? "" : ",", i, wide(counts->statuses[i]));
            first = false;
        }
    http_text_printf(out, "},\"errors\":{");
    first = true;
    for (size_t i = 0; i < BENCH_FAILURES; i++)
        if (counts->failures[i]) {
            http_text_printf(out, "%s", first ? "" : ",");
            add_text(out, what->plan->curl->easy_strerror((CURLcode)i));
            http_text_printf(out, ":%llu", wide(counts->failures[i]));
            first = false;
        }
    http_text_printf(out, "}");
}

void bench_report_json(http_text *out, const bench_report *what) {
    const bench_counts *counts = what->counts;
    double seconds = seconds_of(counts);
    notes all = {.count = 0};
    make_notes(&all, what);
    json_plan(out, what->plan);
    http_text_printf(out, ",\"stopped\":%s,\"seconds\":%.6g,\"requests\":%llu,\"answered\":%llu,\"failed\":%llu,\"unsent\":%llu,\"rate\":%.6g",
                     what->stopped ? "true" : "false", seconds, wide(counts->requests), wide(counts->answered), wide(without_answer(counts)),
                     wide(counts->unsent), per_second(counts->answered, seconds));
    json_statuses(out, what);
    http_text_printf(out, ",\"bytes_received\":%llu,\"bytes_sent\":%llu,\"connections_opened\":%llu", wide(counts->bytes_in), wide(counts->bytes_out),
                     wide(counts->connects));
    http_text_printf(out, ",\"waited\":%llu,\"waited_most_ms\":%.6g,\"late\":%llu,\"late_most_ms\":%.6g,\"cpu_share\":%.4g", wide(counts->waited),
                     (double)counts->waited_most_ns / MS, wide(counts->late), (double)counts->late_most_ns / MS,
                     seconds > 0 ? (double)counts->cpu_ns / 1e9 / seconds : 0.0);
    http_text_add(out, ",", 1);
    json_latency(out, "latency_ms", &counts->latency);
    http_text_add(out, ",", 1);
    json_latency(out, "service_ms", &counts->service);
    http_text_add(out, ",", 1);
    json_latency(out, "not_2xx_ms", &counts->refused);
    json_kinds(out, counts);
    json_buckets(out, &counts->latency);
    http_text_printf(out, ",\"notes\":[");
    for (size_t i = 0; i < all.count; i++) {
        http_text_printf(out, "%s", i ? "," : "");
        add_text(out, all.text[i]);
    }
    http_text_printf(out, "]}\n");
}
