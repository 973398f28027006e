/* top/view.c - a picture as a screen of text, and as JSON. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "top/picture.h"

#define LINE_MAX_BYTES 1024u
#define FOREIGN "no libreco service: it tells nothing of its process"
#define LISTED 8 /* partitions and reasons on a line */

enum style { PLAIN, HEADING, TROUBLE, FAINT };

/* A screen that is being filled. */
typedef struct filling {
    http_text *out;
    const top_screen *screen;
    unsigned rows; /* that are written */
} filling;

/* --- lines -------------------------------------------------------------------------------------------------------------------------------- */

/* At most so many places of it; what may not be shown is a question mark: names come from whoever answered. */
static void add_cut(http_text *out, const char *text, unsigned columns) {
    for (unsigned place = 0; *text && place < columns; place++) {
        size_t size = http_text_visible(text, strnlen(text, 4));
        http_text_add(out, size ? text : "?", size ? size : 1);
        text += size ? size : 1;
    }
}

static void put(filling *to, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void put(filling *to, enum style style, const char *format, ...) {
    static const char *const begins[] = {"", "\033[1m", "\033[31m", "\033[2m"};
    char line[LINE_MAX_BYTES];
    va_list arguments;
    if (to->screen->rows && to->rows == to->screen->rows)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (to->screen->styled)
        http_text_printf(to->out, "%s", begins[style]);
    add_cut(to->out, line, to->screen->columns);
    http_text_printf(to->out, "%s\n", to->screen->styled && style != PLAIN ? "\033[0m" : "");
    to->rows++;
}

/* --- values -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct short_text {
    char text[24];
} short_text;

static short_text bytes_of(double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    short_text out;
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 5; unit++)
        bytes /= 1024;
    snprintf(out.text, sizeof out.text, "%.*f %s", unit && bytes < 100, bytes < 1e6 ? bytes : 1e6, units[unit]);
    return out;
}

/* 12, 1234, 567k; five places or less, up to a million millions. */
static short_text scaled(double value, bool fraction) {
    static const char *const units[] = {"", "k", "M", "G", "T"};
    short_text out;
    size_t unit = 0;
    for (; value >= 99999.5 && unit < 4; unit++)
        value /= 1000;
    if (isnan(value))
        snprintf(out.text, sizeof out.text, "-");
    else
        snprintf(out.text, sizeof out.text, "%.*f%s", fraction && value > 0 && value < 9.95, value < 1e6 ? value : 1e6, units[unit]);
    return out;
}

static short_text whole_of(double value) { return scaled(value, false); }
/* Of rates, which may be below 1: 0.5. */
static short_text rate_of(double value) { return scaled(value, true); }
/* In a sentence: 0.5/s. */
static short_text per_second(double value) {
    short_text out = scaled(value, true);
    return isnan(value) ? out : (strcat(out.text, "/s"), out);
}

static short_text percent_of(double share) {
    short_text out;
    if (isnan(share))
        snprintf(out.text, sizeof out.text, "-");
    else
        snprintf(out.text, sizeof out.text, "%.0f %%", 100 * (share < 1e6 ? share : 1e6));
    return out;
}

static short_text age_of(double seconds) {
    short_text out;
    if (isnan(seconds))
        snprintf(out.text, sizeof out.text, "-");
    else if (seconds < 120)
        snprintf(out.text, sizeof out.text, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(out.text, sizeof out.text, "%.0f min", seconds / 60);
    else if (seconds < 172800)
        snprintf(out.text, sizeof out.text, "%.0f h", seconds / 3600);
    else
        snprintf(out.text, sizeof out.text, "%.0f d", seconds < 1e12 ? seconds / 86400 : 1e7);
    return out;
}

static short_text time_of(bool known, double ms) {
    short_text out;
    if (!known)
        snprintf(out.text, sizeof out.text, "-");
    else if (ms < 0.0995)
        snprintf(out.text, sizeof out.text, "%.*f us", ms < 0.00995 ? 1 : 0, 1000 * ms);
    else
        snprintf(out.text, sizeof out.text, "%.*f ms", ms < 10 ? 2 : ms < 100 ? 1 : 0, ms < 1e9 ? ms : 1e9);
    return out;
}

/* --- the screen ------------------------------------------------------------------------------------------------------------------------------ */

static void put_services(filling *to, const top_picture *picture) {
    put(to, HEADING, "%-20s %7s %5s %8s %5s %6s %5s %8s %8s", "service", "up", "cpu", "memory", "conns", "req/s", "5xx/s", "p50", "p99");
    for (size_t i = 0; i < picture->line_count; i++) {
        const top_line *line = &picture->lines[i];
        const char *host = strstr(line->name, "://");
        host = host ? host + 3 : line->name;
        if (line->error)
            put(to, TROUBLE, "%-20.60s down: %s", host, line->error);
        else if (line->foreign)
            put(to, TROUBLE, "%-20.60s answers, but is " FOREIGN, host);
        else if (!line->process)
            put(to, PLAIN, "%-20.60s read by this process: what is stored, and no rates of services", host);
        else
            put(to, line->failed > 0 ? TROUBLE : PLAIN, "%-20.60s %7s %5s %8s %5s %6s %5s %8s %8s", host, age_of(line->uptime).text,
                percent_of(line->cpu).text, bytes_of(line->resident).text, whole_of(line->connections).text, rate_of(line->requests).text,
                rate_of(line->failed).text, time_of(line->times.known, line->times.p50).text, time_of(line->times.known, line->times.p99).text);
    }
}

static void put_flows(filling *to, const top_picture *picture) {
    put(to, PLAIN, "%s", "");
    put(to, PLAIN, "events    %s accepted, %s appended, %s learned", per_second(picture->accepted).text, per_second(picture->appended).text,
        per_second(picture->learned).text);
    put(to, picture->rejected > 0 ? TROUBLE : FAINT, "          %s rejected, %s out of time, %s duplicates", per_second(picture->rejected).text,
        per_second(picture->out_of_time).text, per_second(picture->duplicates).text);
    put(to, PLAIN, "          seen in answers after p50 %s, p99 %s", time_of(picture->effect.known, picture->effect.p50).text,
        time_of(picture->effect.known, picture->effect.p99).text);
    put(to, PLAIN, "answers   %s, p50 %s, p99 %s", per_second(picture->answers).text, time_of(picture->times.known, picture->times.p50).text,
        time_of(picture->times.known, picture->times.p99).text);
    put(to, picture->degraded > 0 ? TROUBLE : FAINT, "          %s degraded, %s failed, %s fallback, %s empty", per_second(picture->degraded).text,
        per_second(picture->failed).text, per_second(picture->fallbacks).text, per_second(picture->empty).text);
}

/* Names and values of those above 0, the largest first. */
static bool list_named(char *out, size_t room, const top_named *list, size_t count, const char *unit) {
    size_t used = 0, more = 0;
    out[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(list[i].value > 0))
            continue;
        if (more++ < LISTED && used < room)
            used += (size_t)snprintf(out + used, room - used, "%s%s: %s%s", used ? ", " : "", list[i].name, rate_of(list[i].value).text, unit);
    }
    if (more > LISTED && used < room)
        snprintf(out + used, room - used, " and %zu more", more - LISTED);
    return more > 0;
}

static bool list_partitions(char *out, size_t room, const top_picture *picture) {
    size_t used = 0, i = 0;
    out[0] = 0;
    for (; i < picture->partition_count && picture->partitions[i].lag > 0; i++)
        if (i < LISTED && used < room)
            used += (size_t)snprintf(out + used, room - used, "%s%s: %s, %s", i ? "; " : "", picture->partitions[i].name,
                                     whole_of(picture->partitions[i].lag).text, age_of(picture->partitions[i].seconds).text);
    if (i > LISTED && used < room)
        snprintf(out + used, room - used, " and %zu more", i - LISTED);
    return i > 0;
}

static void put_learning(filling *to, const top_picture *picture) {
    char list[LINE_MAX_BYTES / 2];
    if (!picture->lag_known)
        put(to, TROUBLE, "learning  how far it is behind is not known");
    else
        put(to, picture->lag_seconds > 5 ? TROUBLE : PLAIN, "learning  %s records and %.1f s behind; %s items, %s users; %s",
            whole_of(picture->lag).text, picture->lag_seconds < 1e9 ? picture->lag_seconds : 1e9, whole_of(picture->items).text,
            whole_of(picture->users).text,
            picture->closing         ? "a generation is being closed"
            : picture->closing_known ? "no closing is due"
                                     : "closing is not known");
    if (list_partitions(list, sizeof list, picture))
        put(to, PLAIN, "          by partition: %s", list);
    if (picture->closing_steps > 0)
        put(to, PLAIN, "          %s/s steps of closing", rate_of(picture->closing_steps).text);
    if (list_named(list, sizeof list, picture->reasons, picture->reason_count, "/s"))
        put(to, TROUBLE, "degraded  %s", list);
}

static void put_stores(filling *to, const top_picture *picture) {
    for (size_t i = 0; i < TOP_STORES; i++) {
        const top_store *store = &picture->stores[i];
        const char *begin = i ? "" : "stores";
        if (store->down)
            put(to, TROUBLE, "%-9s %-9s does not answer %u of %u services", begin, store->name, store->down, store->down + store->up);
        else if (store->up)
            put(to, PLAIN, "%-9s %-9s up, %s", begin, store->name, bytes_of(store->bytes).text);
        else
            put(to, FAINT, "%-9s %-9s not known", begin, store->name);
    }
}

static void put_memory(filling *to, const top_picture *picture) {
    char list[LINE_MAX_BYTES / 2];
    size_t used = 0;
    for (size_t i = 0; i < picture->memory_count && used < sizeof list; i++) {
        if (strcmp(picture->memory[i].name, "heap_free") == 0) /* JSON has it */
            continue;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s %s", used ? ", " : "", picture->memory[i].name,
                                 bytes_of(picture->memory[i].value).text);
    }
    if (used)
        put(to, PLAIN, "memory    %s", list);
}

static void put_stages(filling *to, const top_picture *picture) {
    double timed = 0;
    if (picture->stage_count == 0)
        return;
    put(to, PLAIN, "%s", "");
    put(to, HEADING, "%-24s %10s %14s %10s %10s %10s", "stage, the slowest first", "a run", "timed", "items/s", "skipped/s", "failed/s");
    for (size_t i = 0; i < picture->stage_count; i++) {
        const top_stage *stage = &picture->stages[i];
        bool old = stage->since_start && stage->timed > 0;
        timed += stage->timed;
        put(to, stage->failures > 0 ? TROUBLE : PLAIN, "%-24.40s %10s %8s%6s %10s %10s %10s", stage->name,
            time_of(stage->timed > 0, stage->seconds * 1000).text, whole_of(stage->timed).text, old ? " ever" : "", rate_of(stage->counted).text,
            rate_of(stage->skipped).text, rate_of(stage->failures).text);
    }
    if (timed <= 0)
        put(to, FAINT, "no question was timed yet: one in 64 is");
}

void top_picture_text(http_text *out, const top_picture *picture, const top_screen *screen) {
    filling to = {.out = out, .screen = screen};
    put(&to, HEADING, "reco top  %s", screen->title);
    if (picture->seconds <= 0 && picture->lag_known)
        put(&to, FAINT, "rates come with the second look");
    put_services(&to, picture);
    put_flows(&to, picture);
    put_learning(&to, picture);
    put_stores(&to, picture);
    put_memory(&to, picture);
    if (picture->bad)
        put(&to, TROUBLE, "%zu lines of what was answered are not Prometheus'", picture->bad);
    put_stages(&to, picture);
}

/* --- JSON -------------------------------------------------------------------------------------------------------------------------------------- */

static void add_text(http_text *out, const char *text) { http_text_json(out, text, strlen(text)); }

/* A member of the object that was begun. */
static void add_member(http_text *out, const char *name, const char *value) {
    http_text_printf(out, "%s", out->size && out->data[out->size - 1] == '{' ? "" : ",");
    add_text(out, name);
    http_text_printf(out, ":%s", value);
}

static void add_words(http_text *out, const char *name, const char *value) {
    add_member(out, name, "");
    add_text(out, value);
}

/* What is not known is left out. */
static void add_number(http_text *out, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (isfinite(value))
        add_member(out, name, text);
}

static void add_named(http_text *out, const char *name, const top_named *list, size_t count) {
    add_member(out, name, "{");
    for (size_t i = 0; i < count; i++)
        add_number(out, list[i].name, list[i].value);
    http_text_printf(out, "}");
}

static void add_times(http_text *out, const char *of, top_times times) {
    char names[2][24];
    snprintf(names[0], sizeof names[0], "%sp50_ms", of);
    snprintf(names[1], sizeof names[1], "%sp99_ms", of);
    add_number(out, names[0], times.known ? times.p50 : NAN);
    add_number(out, names[1], times.known ? times.p99 : NAN);
}

static void add_service(http_text *out, const top_line *line) {
    add_words(out, "name", line->name);
    add_member(out, "up", line->error ? "false" : "true");
    if (line->error || line->foreign) {
        add_words(out, "error", line->error ? line->error : FOREIGN);
    } else if (line->process) {
        add_number(out, "uptime_seconds", line->uptime);
        add_number(out, "cpu_share", line->cpu);
        add_number(out, "resident_bytes", line->resident);
        add_number(out, "connections", line->connections);
        add_number(out, "requests", line->requests);
        add_number(out, "failed", line->failed);
        add_times(out, "", line->times);
    }
}

static void add_services(http_text *out, const top_picture *picture) {
    add_member(out, "services", "[");
    for (size_t i = 0; i < picture->line_count; i++) {
        http_text_printf(out, "%s{", i ? "," : "");
        add_service(out, &picture->lines[i]);
        http_text_printf(out, "}");
    }
    http_text_printf(out, "]");
}

static void add_flows(http_text *out, const top_picture *picture) {
    http_text_printf(out, ",\"events\":{");
    add_number(out, "accepted", picture->accepted);
    add_number(out, "appended", picture->appended);
    add_number(out, "learned", picture->learned);
    add_number(out, "rejected", picture->rejected);
    add_number(out, "out_of_time", picture->out_of_time);
    add_number(out, "duplicates", picture->duplicates);
    add_times(out, "effect_", picture->effect);
    http_text_printf(out, "},\"answers\":{");
    add_number(out, "count", picture->answers);
    add_number(out, "degraded", picture->degraded);
    add_number(out, "failed", picture->failed);
    add_number(out, "fallback", picture->fallbacks);
    add_number(out, "empty", picture->empty);
    add_times(out, "", picture->times);
    http_text_printf(out, "}");
}

static void add_learning(http_text *out, const top_picture *picture) {
    http_text_printf(out, ",\"learning\":{");
    add_number(out, "lag", picture->lag);
    add_number(out, "lag_seconds", picture->lag_seconds);
    add_number(out, "items", picture->items);
    add_number(out, "users", picture->users);
    if (picture->closing_known)
        add_member(out, "closing", picture->closing ? "true" : "false");
    add_number(out, "closing_steps", picture->closing_steps);
    add_member(out, "partitions", "{");
    for (size_t i = 0; i < picture->partition_count; i++) {
        add_member(out, picture->partitions[i].name, "{");
        add_number(out, "lag", picture->partitions[i].lag);
        add_number(out, "lag_seconds", picture->partitions[i].seconds);
        http_text_printf(out, "}");
    }
    http_text_printf(out, "}}");
}

static void add_stores(http_text *out, const top_picture *picture) {
    http_text_printf(out, ",\"stores\":{");
    for (size_t i = 0; i < TOP_STORES; i++) {
        const top_store *store = &picture->stores[i];
        http_text_printf(out, "%s\"%s\":{\"up\":%u,\"down\":%u,\"bytes\":%.15g}", i ? "," : "", store->name, store->up, store->down, store->bytes);
    }
    http_text_printf(out, "}");
}

static void add_stage(http_text *out, const top_stage *stage) {
    add_words(out, "name", stage->name);
    add_number(out, "run_ms", stage->timed > 0 ? stage->seconds * 1000 : NAN);
    add_number(out, "timed", stage->timed);
    add_member(out, "since_start", stage->since_start ? "true" : "false");
    add_number(out, "items", stage->counted);
    add_number(out, "skipped", stage->skipped);
    add_number(out, "failed", stage->failures);
}

static void add_stages(http_text *out, const top_picture *picture) {
    add_member(out, "stages", "[");
    for (size_t i = 0; i < picture->stage_count; i++) {
        http_text_printf(out, "%s{", i ? "," : "");
        add_stage(out, &picture->stages[i]);
        http_text_printf(out, "}");
    }
    http_text_printf(out, "]");
}

void top_picture_json(http_text *out, const top_picture *picture, int64_t at_ms) {
    http_text_printf(out, "{\"at\":%lld,\"seconds\":%.6g", (long long)at_ms, picture->seconds);
    add_services(out, picture);
    add_flows(out, picture);
    add_learning(out, picture);
    add_stores(out, picture);
    add_stages(out, picture);
    add_named(out, "degraded", picture->reasons, picture->reason_count);
    add_named(out, "memory", picture->memory, picture->memory_count);
    http_text_printf(out, ",\"bad_lines\":%zu}\n", picture->bad);
}
