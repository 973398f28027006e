#include "evaluate/report.h"

#include <errno.h>
#include <string.h>

#include "http/options.h"

const char *const report_protocols[] = {"p1", "p2", "p2-novel"};

/* --- for people ----------------------------------------------------------------------------------------------------------------------------- */

static void print_side(FILE *out, const report *what, const report_side *side) {
    const evaluation *done = side->done;
    fprintf(out, "\n%s\n  %-13s %8s   %s\n", side->label, "metric", "mean", what->resamples ? "95 % interval" : "");
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++) {
        fprintf(out, "  %-13s %8.4f", evaluate_metric_names[i], done->metrics.means[i]);
        if (what->resamples)
            fprintf(out, "   %.4f to %.4f", done->intervals[i].low, done->intervals[i].high);
        fputc('\n', out);
    }
    for (size_t i = 0; i < EVALUATE_TOGETHER_COUNT; i++)
        fprintf(out, "  %-13s %8.4f\n", evaluate_togethers[i].name, evaluate_together_of(&done->metrics, &evaluate_togethers[i]));
    if (done->unanswered > 0)
        fprintf(out, "  %zu of %zu questions have no list, and score 0\n", done->unanswered, what->data->question_count);
    if (side->settings)
        fprintf(out, "  learned in %.1f s, asked in %.1f s; an answer took p50 %.0f us, p99 %.0f us\n", done->learn_seconds, done->ask_seconds,
                done->median_micros, done->p99_micros);
}

static void print_differences(FILE *out, const report *what) {
    fprintf(out, "\n%s less %s\n  %-13s %9s   %-19s  %8s  %s\n", what->sides[1].label, what->sides[0].label, "metric", "mean", "95 % interval", "p",
            "questions better, worse");
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++) {
        const evaluate_difference *d = &what->differences[i];
        fprintf(out, "  %-13s %+9.4f   %+.4f to %+.4f  %8.4f  %zu, %zu\n", evaluate_metric_names[i], d->mean, d->interval.low, d->interval.high, d->p,
                d->better, d->worse);
    }
}

static void print_tuning(FILE *out, const report *what) {
    fprintf(out, "\ntuned in %u trials on data of its own: %s %.4f before, %.4f after; found:\n", what->tuned->trials,
            evaluate_metric_names[what->objective], what->tuned->before, what->tuned->after);
    for (size_t i = 0; tune_name(i); i++) {
        char value[64] = "";
        reco_settings_get(value, sizeof value, what->sides[0].settings, tune_name(i), NULL);
        fprintf(out, "  %s: %s\n", tune_name(i), value);
    }
}

void report_text(FILE *out, const report *what) {
    const evaluate_data *data = what->data;
    fprintf(out, "protocol %s: %zu questions; %zu events of %u users and %u items learned; %zu hidden items unknown to them\n",
            report_protocols[data->protocol], data->question_count, data->event_count, data->users.count, data->items.count, data->cold);
    if (what->tuned)
        print_tuning(out, what);
    for (size_t i = 0; i < what->side_count; i++)
        print_side(out, what, &what->sides[i]);
    if (what->side_count == 2)
        print_differences(out, what);
}

/* --- for programs --------------------------------------------------------------------------------------------------------------------------- */

static void add_text(http_text *out, const char *text) { http_text_json(out, text, strlen(text)); }

static void add_settings(http_text *out, const reco_settings *settings) {
    http_text_printf(out, ",\"settings\":{");
    for (size_t i = 0; tune_name(i); i++) {
        char value[64] = "";
        reco_settings_get(value, sizeof value, settings, tune_name(i), NULL);
        http_text_printf(out, "%s\"%s\":", i ? "," : "", tune_name(i));
        add_text(out, value);
    }
    http_text_printf(out, "}");
}

static void add_side(http_text *out, const report *what, const report_side *side) {
    const evaluation *done = side->done;
    http_text_printf(out, "{\"label\":");
    add_text(out, side->label);
    http_text_printf(out, ",\"metrics\":{");
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++) {
        http_text_printf(out, "%s\"%s\":{\"value\":%.9g", i ? "," : "", evaluate_metric_names[i], done->metrics.means[i]);
        if (what->resamples)
            http_text_printf(out, ",\"low\":%.9g,\"high\":%.9g", done->intervals[i].low, done->intervals[i].high);
        http_text_printf(out, "}");
    }
    for (size_t i = 0; i < EVALUATE_TOGETHER_COUNT; i++)
        http_text_printf(out, ",\"%s\":{\"value\":%.9g}", evaluate_togethers[i].name, evaluate_together_of(&done->metrics, &evaluate_togethers[i]));
    http_text_printf(out, "},\"unanswered\":%zu,\"first_hits\":[", done->unanswered);
    for (unsigned i = 0; i <= EVALUATE_RANKS; i++)
        http_text_printf(out, "%s%llu", i ? "," : "", (unsigned long long)done->metrics.first_hits[i]);
    http_text_printf(out, "],\"learn_seconds\":%.3f,\"ask_seconds\":%.3f,\"answer_p50_us\":%.1f,\"answer_p99_us\":%.1f", done->learn_seconds,
                     done->ask_seconds, done->median_micros, done->p99_micros);
    if (side->settings)
        add_settings(out, side->settings);
    http_text_printf(out, "}");
}

static void add_differences(http_text *out, const report *what) {
    http_text_printf(out, ",\"differences\":{");
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT; i++) {
        const evaluate_difference *d = &what->differences[i];
        http_text_printf(out, "%s\"%s\":{\"mean\":%.9g,\"low\":%.9g,\"high\":%.9g,\"p\":%.6g,\"better\":%zu,\"worse\":%zu}", i ? "," : "",
                         evaluate_metric_names[i], d->mean, d->interval.low, d->interval.high, d->p, d->better, d->worse);
    }
    http_text_printf(out, "}");
}

void report_json(http_text *out, const report *what) {
    const evaluate_data *data = what->data;
    http_text_printf(out, "{\"protocol\":\"%s\",\"train\":", report_protocols[data->protocol]);
    add_text(out, what->train);
    http_text_printf(out, ",\"test\":");
    add_text(out, what->test);
    http_text_printf(out, ",\"events\":%zu,\"users\":%u,\"items\":%u,\"questions\":%zu,\"cold_test_events\":%zu,\"depth\":%u,\"seed\":%llu,",
                     data->event_count, data->users.count, data->items.count, data->question_count, data->cold, what->depth,
                     (unsigned long long)what->seed);
    http_text_printf(out, "\"resamples\":%u,\"configurations\":[", what->resamples);
    for (size_t i = 0; i < what->side_count; i++) {
        http_text_printf(out, "%s", i ? "," : "");
        add_side(out, what, &what->sides[i]);
    }
    http_text_printf(out, "]");
    if (what->side_count == 2)
        add_differences(out, what);
    if (what->tuned)
        http_text_printf(out, ",\"tuning\":{\"objective\":\"%s\",\"trials\":%u,\"before\":%.9g,\"after\":%.9g}",
                         evaluate_metric_names[what->objective], what->tuned->trials, what->tuned->before, what->tuned->after);
    http_text_printf(out, "}\n");
}

/* --- files ---------------------------------------------------------------------------------------------------------------------------------- */

static reco_status end_file(FILE *file, const char *path, reco_error *err) {
    bool failed = !file;
    if (file) {
        failed = ferror(file) != 0;
        failed = fclose(file) != 0 || failed;
    }
    return failed ? options_fail(err, errno == ENOSPC ? RECO_FULL : RECO_IO, path, "cannot write: %s", strerror(errno)) : RECO_OK;
}

reco_status report_lists_check(const evaluate_data *data, const char *option, reco_error *err) {
    for (uint32_t i = 0; i < data->items.count; i++)
        if (memchr(data->items.names[i].data, ',', data->items.names[i].size))
            return options_fail(err, RECO_INVALID, option, "the item \"%.100s\" has a comma, which is what stands between items there",
                                data->items.names[i].data);
    return RECO_OK;
}

reco_status report_lists(const char *path, const evaluate_data *data, const evaluate_lists *lists, reco_error *err) {
    FILE *file = fopen(path, "we");
    for (size_t q = 0; file && q < lists->count; q++) {
        const uint32_t *list = evaluate_list(lists, q);
        fprintf(file, "%s\t", data->names.names[data->questions[q].name].data);
        for (uint32_t i = 0; i < lists->counts[q]; i++)
            fprintf(file, "%s%s", i ? "," : "", data->items.names[list[i]].data);
        putc('\n', file);
    }
    return end_file(file, path, err);
}

reco_status report_write(const char *path, const http_text *text, reco_error *err) {
    FILE *file = text->failed ? NULL : fopen(path, "we");
    if (text->failed)
        return options_fail(err, RECO_NO_MEMORY, path, "%s", reco_status_text(RECO_NO_MEMORY));
    if (file)
        fwrite(text->data, 1, text->size, file);
    return end_file(file, path, err);
}
