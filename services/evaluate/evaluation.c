#include "evaluate/evaluation.h"

#include <string.h>

#include <reco/memory.h>

#include "http/clock.h"
#include "http/options.h"

static double now(void) { return (double)http_monotonic_ns() / 1e9; }

reco_status evaluation_settings(reco_settings **out, const reco_settings *settings, reco_error *err) {
    static const char *const own[][2] = {
        {"stream", ""},           {"features", ""},       {"records", ""},          {"archive", ""},          {"background", "no"},
        {"snapshots.folder", ""}, {"retention.age", "0"}, {"retention.bytes", "0"}, {"snapshots.every", "0"}, {"recommend.limit_max", "10000"}};
    char *text = NULL;
    reco_status status = reco_settings_create(out, err);
    if (status == RECO_OK)
        status = reco_settings_print(&text, settings, err);
    if (status == RECO_OK)
        status = reco_settings_load_text(*out, text, strlen(text), err);
    for (size_t i = 0; status == RECO_OK && i < sizeof own / sizeof *own; i++)
        status = reco_settings_set(*out, own[i][0], own[i][1], err);
    reco_free(text);
    return status;
}

reco_status evaluation_learn(evaluation *out, const char *folder, const reco_settings *settings, const evaluate_data *data,
                             const evaluation_options *how, reco_error *err) {
    double begun = now();
    reco_status status = evaluate_learn(folder, settings, data, how->resampling.call, err);
    out->learn_seconds = now() - begun;
    return status;
}

/* Puts the times in order. */
static void judge_times(evaluation *out) {
    size_t count = out->lists.count;
    qsort(out->lists.micros, count, sizeof *out->lists.micros, evaluate_by_value);
    out->median_micros = out->lists.micros[(count - 1) / 2];
    out->p99_micros = out->lists.micros[(size_t)((double)(count - 1) * .99)];
}

static reco_status judge(evaluation *out, const evaluate_data *data, const evaluation_options *how, reco_error *err) {
    reco_status status = evaluate_metrics_make(&out->metrics, data, &out->lists, err);
    if (status == RECO_OK && how->resampling.resamples)
        status = evaluate_bootstrap(out->intervals, out->metrics.values, EVALUATE_METRIC_COUNT, out->metrics.count, &how->resampling, err);
    if (status == RECO_OK)
        judge_times(out);
    for (size_t q = 0; q < out->lists.count; q++)
        out->unanswered += out->lists.counts[q] == 0;
    return status;
}

reco_status evaluation_ask(evaluation *out, const char *folder, const reco_settings *settings, const evaluate_data *data,
                           const evaluation_options *how, reco_error *err) {
    evaluate_asking asking = {folder, settings, how->depth, how->resampling.threads, how->resampling.call};
    double begun = now();
    reco_status status = evaluate_ask(&out->lists, data, &asking, err);
    out->ask_seconds = now() - begun;
    return status == RECO_OK ? judge(out, data, how, err) : status;
}

reco_status evaluation_of_lists(evaluation *out, const char *path, const evaluate_data *data, const evaluation_options *how, reco_error *err) {
    reco_status status = evaluate_lists_read(&out->lists, data, path, how->resampling.call, err);
    return status == RECO_OK ? judge(out, data, how, err) : status;
}

void evaluation_dispose(evaluation *done) {
    evaluate_lists_dispose(&done->lists);
    evaluate_metrics_dispose(&done->metrics);
    *done = (evaluation){0};
}
