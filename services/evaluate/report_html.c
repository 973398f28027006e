/* evaluate/report_html.c - the report as one page: tables, and plots drawn as SVG in it. It asks for nothing from anywhere, follows the light or dark
 * of the reader's system, and prints. Each plot has a table of its figures or says them in its title. */
#include <math.h>
#include <string.h>

#include "evaluate/report.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--dim:#5b6675;--line:#d5dbe3;--back:#fff;--a:#2563a8;--b:#b4540a}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--dim:#9fabbb;--line:#39424f;--back:#14181e;--a:#74b0f0;--b:#f0a060}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:right;padding:.2rem .6rem;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}"
    "th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}p.dim,figcaption{color:var(--dim)}"
    "svg{max-width:100%;height:auto}svg text{fill:var(--dim);font:11px system-ui,sans-serif}"
    ".a{fill:var(--a)}.b{fill:var(--b)}.la{stroke:var(--a)}.lb{stroke:var(--b)}.axis{stroke:var(--line)}figure{margin:1rem 0}";

static void add_escaped(http_text *out, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '<':
            http_text_add(out, "&lt;", 4);
            break;
        case '>':
            http_text_add(out, "&gt;", 4);
            break;
        case '&':
            http_text_add(out, "&amp;", 5);
            break;
        case '"':
            http_text_add(out, "&quot;", 6);
            break;
        default:
            http_text_add(out, text, 1);
        }
}

/* --- tables --------------------------------------------------------------------------------------------------------------------------------- */

static void add_header(http_text *out, const report *what) {
    http_text_printf(out, "<table><thead><tr><th scope=col>metric");
    for (size_t i = 0; i < what->side_count; i++) {
        http_text_printf(out, "<th scope=col>");
        add_escaped(out, what->sides[i].label);
        http_text_printf(out, "%s", what->resamples ? "<th scope=col>95 % interval" : "");
    }
    http_text_printf(out, "</thead><tbody>");
}

static void add_together(http_text *out, const report *what, const evaluate_together *which) {
    http_text_printf(out, "<tr><td>%s", which->name);
    for (size_t i = 0; i < what->side_count; i++)
        http_text_printf(out, "<td>%.4f%s", evaluate_together_of(&what->sides[i].done->metrics, which), what->resamples ? "<td>" : "");
}

static void add_metrics(http_text *out, const report *what) {
    http_text_printf(out, "<h2>Metrics</h2><div class=wide>");
    add_header(out, what);
    for (unsigned m = 0; m < EVALUATE_METRIC_COUNT; m++) {
        http_text_printf(out, "<tr><td>%s", evaluate_metric_names[m]);
        for (size_t i = 0; i < what->side_count; i++) {
            const evaluation *done = what->sides[i].done;
            http_text_printf(out, "<td>%.4f", done->metrics.means[m]);
            if (what->resamples)
                http_text_printf(out, "<td>%.4f – %.4f", done->intervals[m].low, done->intervals[m].high);
        }
    }
    for (size_t i = 0; i < EVALUATE_TOGETHER_COUNT; i++)
        add_together(out, what, &evaluate_togethers[i]);
    http_text_printf(out, "</table></div>");
}

static void add_settings(http_text *out, const report *what) {
    http_text_printf(out, "<h2>Settings of answers</h2><div class=wide><table><thead><tr><th scope=col>setting");
    for (size_t i = 0; i < what->side_count; i++) {
        http_text_printf(out, "<th scope=col>");
        add_escaped(out, what->sides[i].label);
    }
    http_text_printf(out, "</thead><tbody>");
    for (size_t n = 0; tune_name(n); n++) {
        http_text_printf(out, "<tr><td>%s", tune_name(n));
        for (size_t i = 0; i < what->side_count; i++) {
            char value[64] = "";
            reco_settings_get(value, sizeof value, what->sides[i].settings, tune_name(n), NULL);
            http_text_printf(out, "<td>");
            add_escaped(out, value);
        }
    }
    http_text_printf(out, "</table></div>");
}

/* --- plots ---------------------------------------------------------------------------------------------------------------------------------- */

#define WIDE 640.0
#define HIGH 220.0
#define LEFT 48.0
#define BOTTOM 28.0
#define TOP 12.0
#define BARS_MAX 24u

/* Groups of bars, one bar a side. */
typedef struct bars {
    const char *title;
    size_t count, sides;
    char labels[BARS_MAX][24];
    double values[2][BARS_MAX];
} bars;

static double most_of(const bars *plot) {
    double most = 0;
    for (size_t s = 0; s < plot->sides; s++)
        for (size_t i = 0; i < plot->count; i++)
            most = fmax(most, plot->values[s][i]);
    return most > 0 ? most : 1;
}

static void add_axis(http_text *out, double most) {
    for (int i = 0; i <= 4; i++) {
        double y = HIGH - BOTTOM - (HIGH - BOTTOM - TOP) * i / 4;
        http_text_printf(out, "<line class=axis x1=%.0f x2=%.0f y1=%.1f y2=%.1f /><text x=%.0f y=%.1f text-anchor=end>%.3g</text>", LEFT, WIDE, y, y,
                         LEFT - 6, y + 4, most * i / 4);
    }
}

static void add_bars(http_text *out, const bars *plot) {
    double most = most_of(plot), step = (WIDE - LEFT) / (double)plot->count, width = step * .8 / (double)plot->sides;
    http_text_printf(out, "<figure><figcaption>%s</figcaption><svg viewBox='0 0 %.0f %.0f' role=img aria-label='%s'>", plot->title, WIDE, HIGH,
                     plot->title);
    add_axis(out, most);
    for (size_t i = 0; i < plot->count; i++) {
        for (size_t s = 0; s < plot->sides; s++) {
            double high = (HIGH - BOTTOM - TOP) * plot->values[s][i] / most;
            http_text_printf(out, "<rect class=%s x=%.1f y=%.1f width=%.1f height=%.1f><title>%s: %.4g</title></rect>", s ? "b" : "a",
                             LEFT + step * ((double)i + .1) + width * (double)s, HIGH - BOTTOM - high, width, high, plot->labels[i],
                             plot->values[s][i]);
        }
        http_text_printf(out, "<text x=%.1f y=%.1f text-anchor=middle>%s</text>", LEFT + step * ((double)i + .5), HIGH - BOTTOM + 16,
                         plot->labels[i]);
    }
    http_text_printf(out, "</svg></figure>");
}

static void add_first_hits(http_text *out, const report *what) {
    bars plot = {.title = "Share of questions by the rank of their first hit", .count = EVALUATE_RANKS, .sides = what->side_count};
    for (size_t i = 0; i < plot.count; i++) {
        snprintf(plot.labels[i], sizeof plot.labels[i], "%zu", i + 1);
        for (size_t s = 0; s < plot.sides; s++)
            plot.values[s][i] = (double)what->sides[s].done->metrics.first_hits[i + 1] / (double)what->data->question_count;
    }
    add_bars(out, &plot);
}

static const struct {
    size_t most;
    const char *label;
} lengths[] = {{0, "0"}, {1, "1"}, {2, "2"}, {4, "3–4"}, {8, "5–8"}, {16, "9–16"}, {32, "17–32"}, {64, "33–64"}, {128, "65–128"}, {SIZE_MAX, "more"}};
#define LENGTHS (sizeof lengths / sizeof *lengths)

static size_t bucket_of(const evaluate_data *data, const evaluate_question *question) {
    evaluate_range range = question->history;
    size_t i = 0;
    if (data->protocol == EVALUATE_P1)
        range = question->user == EVALUATE_NONE ? (evaluate_range){0, 0} : data->own[question->user];
    while (range.end - range.begin > lengths[i].most)
        i++;
    return i;
}

/* Those buckets that have questions. */
static void add_by_length(http_text *out, const report *what) {
    bars plot = {.title = "Recall@20 by the length of the history", .sides = what->side_count};
    double sums[2][LENGTHS] = {{0}};
    size_t counts[LENGTHS] = {0};
    for (size_t q = 0; q < what->data->question_count; q++) {
        size_t bucket = bucket_of(what->data, &what->data->questions[q]);
        counts[bucket]++;
        for (size_t s = 0; s < what->side_count; s++)
            sums[s][bucket] += what->sides[s].done->metrics.values[EVALUATE_RECALL20][q];
    }
    for (size_t i = 0; i < LENGTHS; i++) {
        if (counts[i] == 0)
            continue;
        snprintf(plot.labels[plot.count], sizeof plot.labels[0], "%s", lengths[i].label);
        for (size_t s = 0; s < plot.sides; s++)
            plot.values[s][plot.count] = sums[s][i] / (double)counts[i];
        plot.count++;
    }
    add_bars(out, &plot);
}

typedef struct popular {
    uint32_t fans, item;
} popular;

static int by_fans(const void *a, const void *b) {
    const popular *left = a, *right = b;
    if (left->fans != right->fans)
        return left->fans < right->fans ? 1 : -1;
    return left->item < right->item ? -1 : left->item > right->item;
}

/* How the first ten places are shared among items, the most popular tenth first. */
static void add_by_popularity(http_text *out, const report *what) {
    const evaluate_data *data = what->data;
    bars plot = {.title = "Share of places by the popularity of items: the most popular tenth first", .count = 10, .sides = what->side_count};
    popular *items = malloc(data->items.count * sizeof *items);
    if (!items) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < data->items.count; i++)
        items[i] = (popular){(uint32_t)(data->fans[i].end - data->fans[i].begin), i};
    qsort(items, data->items.count, sizeof *items, by_fans);
    for (size_t s = 0; s < plot.sides; s++) {
        double all = 0;
        for (size_t i = 0; i < data->items.count; i++) {
            double shown = what->sides[s].done->metrics.shown[items[i].item];
            plot.values[s][i * 10 / data->items.count] += shown;
            all += shown;
        }
        for (size_t i = 0; i < 10; i++)
            plot.values[s][i] /= all > 0 ? all : 1;
    }
    for (size_t i = 0; i < 10; i++)
        snprintf(plot.labels[i], sizeof plot.labels[i], "%zu.", i + 1);
    free(items);
    add_bars(out, &plot);
}

/* --- two sides ------------------------------------------------------------------------------------------------------------------------------ */

static void add_difference_rows(http_text *out, const report *what) {
    http_text_printf(out, "<div class=wide><table><thead><tr><th scope=col>metric<th scope=col>mean<th scope=col>95 %% interval<th scope=col>p"
                          "<th scope=col>better<th scope=col>worse</thead><tbody>");
    for (unsigned m = 0; m < EVALUATE_METRIC_COUNT; m++) {
        const evaluate_difference *d = &what->differences[m];
        http_text_printf(out, "<tr><td>%s<td>%+.4f<td>%+.4f – %+.4f<td>%.4f<td>%zu<td>%zu", evaluate_metric_names[m], d->mean, d->interval.low,
                         d->interval.high, d->p, d->better, d->worse);
    }
    http_text_printf(out, "</table></div>");
}

static void add_difference_plot(http_text *out, const report *what) {
    double reach = 0, high = 24.0 * EVALUATE_METRIC_COUNT + 30;
    for (unsigned m = 0; m < EVALUATE_METRIC_COUNT; m++)
        reach = fmax(reach, fmax(fabs(what->differences[m].interval.low), fabs(what->differences[m].interval.high)));
    reach = reach > 0 ? reach : 1;
    double middle = 90 + (WIDE - 100) / 2, scale = (WIDE - 100) / 2 / reach;
    http_text_printf(out,
                     "<figure><figcaption>Differences with their intervals</figcaption><svg viewBox='0 0 %.0f %.0f' role=img "
                     "aria-label='Differences with their intervals'><line class=axis x1=%.1f x2=%.1f y1=0 y2=%.0f />",
                     WIDE, high, middle, middle, high - 24);
    for (unsigned m = 0; m < EVALUATE_METRIC_COUNT; m++) {
        const evaluate_difference *d = &what->differences[m];
        double y = 16 + 24.0 * m;
        http_text_printf(
            out, "<text x=0 y=%.1f>%s</text><line class=lb stroke-width=2 x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><circle class=b r=4 cx=%.1f cy=%.1f />",
            y + 4, evaluate_metric_names[m], middle + d->interval.low * scale, middle + d->interval.high * scale, y, y, middle + d->mean * scale, y);
    }
    http_text_printf(out, "<text x=%.1f y=%.1f text-anchor=middle>0</text><text x=%.1f y=%.1f text-anchor=end>%+.3g</text></svg></figure>", middle,
                     high - 8, WIDE, high - 8, reach);
}

static void add_differences(http_text *out, const report *what) {
    http_text_printf(out, "<h2>");
    add_escaped(out, what->sides[1].label);
    http_text_printf(out, " less ");
    add_escaped(out, what->sides[0].label);
    http_text_printf(out, "</h2>");
    add_difference_rows(out, what);
    add_difference_plot(out, what);
}

/* --- the page ------------------------------------------------------------------------------------------------------------------------------- */

static void add_head(http_text *out, const report *what) {
    const evaluate_data *data = what->data;
    http_text_printf(out,
                     "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
                     "<title>Evaluation, protocol %s</title><style>%s</style><body><main><h1>Evaluation, protocol %s</h1><p>",
                     report_protocols[data->protocol], style, report_protocols[data->protocol]);
    add_escaped(out, what->train);
    http_text_printf(out, ", ");
    add_escaped(out, what->test);
    http_text_printf(
        out, ": %zu questions; %zu events of %u users and %u items learned; %zu hidden items are not among them. Seed %llu, %u resamples.</p>",
        data->question_count, data->event_count, data->users.count, data->items.count, data->cold, (unsigned long long)what->seed, what->resamples);
}

static void add_sides(http_text *out, const report *what) {
    for (size_t i = 0; i < what->side_count; i++) {
        const report_side *side = &what->sides[i];
        http_text_printf(out, "<p><svg width=12 height=12 aria-hidden=true><rect class=%s width=12 height=12 /></svg> <strong>", i ? "b" : "a");
        add_escaped(out, side->label);
        http_text_printf(out, "</strong>: ");
        if (side->done->unanswered > 0)
            http_text_printf(out, "%zu of %zu questions have no list, and score 0; ", side->done->unanswered, what->data->question_count);
        if (side->settings)
            http_text_printf(out, "learned in %.1f s, asked in %.1f s; an answer took p50 %.0f µs, p99 %.0f µs.", side->done->learn_seconds,
                             side->done->ask_seconds, side->done->median_micros, side->done->p99_micros);
        else
            http_text_printf(out, "lists of others, nothing was learned or asked.");
        http_text_printf(out, "</p>");
    }
    if (what->tuned)
        http_text_printf(out, "<p>Tuned in %u trials on data of its own: %s %.4f before, %.4f after.</p>", what->tuned->trials,
                         evaluate_metric_names[what->objective], what->tuned->before, what->tuned->after);
}

void report_html(http_text *out, const report *what) {
    add_head(out, what);
    add_sides(out, what);
    add_metrics(out, what);
    if (what->side_count == 2)
        add_differences(out, what);
    http_text_printf(out, "<h2>Plots</h2>");
    add_first_hits(out, what);
    add_by_length(out, what);
    add_by_popularity(out, what);
    if (what->sides[0].settings)
        add_settings(out, what);
    http_text_printf(out, "<p class=dim>What the metrics mean is in the documentation of reco evaluate.</p></main></body></html>\n");
}
