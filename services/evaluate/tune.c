#include "evaluate/tune.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "http/options.h"

#define TEXT_ROOM 64u
#define VALUES_MAX 12u

/* A setting, or two that belong together, and what they may be. */
typedef struct dimension {
    const char *name, *second;
    const char *values[VALUES_MAX][2];
    bool returns; /* only where going back to an item is legal */
} dimension;

static const dimension dimensions[] = {
    {"recommend.normalise", NULL, {{"sum"}, {"max"}}, false},
    {"recommend.row_power", NULL, {{"0"}, {"0.2"}, {"0.35"}, {"0.5"}, {"0.65"}, {"0.8"}, {"1"}}, false},
    {"recommend.popularity_power", NULL, {{"0"}, {"0.05"}, {"0.1"}, {"0.15"}, {"0.2"}, {"0.3"}, {"0.4"}, {"0.5"}, {"0.7"}}, false},
    {"recommend.recency",
     "recommend.recency_value",
     {{"exp", "2"},
      {"exp", "3"},
      {"exp", "5"},
      {"exp", "8"},
      {"exp", "12"},
      {"exp", "20"},
      {"power", "0.4"},
      {"power", "0.5"},
      {"power", "0.6"},
      {"power", "0.7"},
      {"power", "0.8"},
      {"power", "0.9"}},
     false},
    {"recommend.weight_popular", NULL, {{"0"}, {"0.003"}, {"0.01"}, {"0.03"}, {"0.1"}, {"0.3"}}, false},
    {"recommend.revisit", NULL, {{"0"}, {"0.5"}, {"1"}, {"2"}, {"3"}, {"4"}, {"6"}}, true},
};
#define DIMENSIONS (sizeof dimensions / sizeof *dimensions)

const char *tune_name(size_t i) {
    for (size_t d = 0; d < DIMENSIONS; d++) {
        if (i-- == 0)
            return dimensions[d].name;
        if (dimensions[d].second && i-- == 0)
            return dimensions[d].second;
    }
    return NULL;
}

typedef struct search {
    reco_settings *settings;
    const char *folder;
    evaluate_data *data;
    const tune_options *how;
    double best;
    uint32_t trials;
    bool better; /* this round found something */
} search;

static reco_status score(double *out, const search *s, reco_error *err) {
    evaluation_options quick = s->how->evaluation;
    evaluation done = {0};
    quick.resampling.resamples = 0;
    quick.depth = EVALUATE_RANKS;
    reco_status status = evaluation_ask(&done, s->folder, s->settings, s->data, &quick, err);
    *out = status == RECO_OK ? done.metrics.means[s->how->objective] : 0;
    evaluation_dispose(&done);
    return status;
}

static reco_status get(char *first, char *second, const search *s, const dimension *of, reco_error *err) {
    reco_status status = reco_settings_get(first, TEXT_ROOM, s->settings, of->name, err);
    *second = 0;
    return status == RECO_OK && of->second ? reco_settings_get(second, TEXT_ROOM, s->settings, of->second, err) : status;
}

static reco_status set(const search *s, const dimension *of, const char *first, const char *second, reco_error *err) {
    reco_status status = reco_settings_set(s->settings, of->name, first, err);
    return status == RECO_OK && of->second ? reco_settings_set(s->settings, of->second, second, err) : status;
}

static void tell(const search *s, const dimension *of, const char *first, const char *second, double reached) {
    char value[2 * TEXT_ROOM + 2];
    snprintf(value, sizeof value, "%s%s%s", first, of->second ? " " : "", second);
    if (s->how->tried)
        s->how->tried(s->how->context, s->trials, of->name, value, reached, s->best);
}

/* Tries one value; keeps it when it is better, else puts back what was there. */
static reco_status try_value(search *s, const dimension *of, const char *first, const char *second, reco_error *err) {
    char before[TEXT_ROOM], before_second[TEXT_ROOM];
    double reached = 0;
    reco_status status = get(before, before_second, s, of, err);
    if (status != RECO_OK || (strcmp(before, first) == 0 && strcmp(before_second, second) == 0))
        return status;
    status = set(s, of, first, second, err);
    if (status == RECO_OK)
        status = score(&reached, s, err);
    if (status != RECO_OK)
        return status;
    s->trials++;
    bool better = reached > s->best + 1e-9;
    s->best = better ? reached : s->best;
    s->better = s->better || better;
    tell(s, of, first, second, reached);
    return better ? RECO_OK : set(s, of, before, before_second, err);
}

static bool counts(const search *s, const dimension *of) {
    char normalise[TEXT_ROOM] = "";
    if (of->returns)
        return s->data->protocol == EVALUATE_P2;
    reco_settings_get(normalise, sizeof normalise, s->settings, "recommend.normalise", NULL);
    return strcmp(of->name, "recommend.row_power") != 0 || strcmp(normalise, "sum") == 0; /* else it is not looked at */
}

static reco_status try_dimension(search *s, const dimension *of, reco_error *err) {
    reco_status status = RECO_OK;
    for (size_t i = 0; i < VALUES_MAX && of->values[i][0] && status == RECO_OK && s->trials < s->how->trials && counts(s, of); i++)
        status = try_value(s, of, of->values[i][0], of->values[i][1] ? of->values[i][1] : "", err);
    return status;
}

static reco_status run(search *s, reco_error *err) {
    uint64_t stream = s->how->evaluation.resampling.seed;
    size_t order[DIMENSIONS];
    reco_status status = score(&s->best, s, err);
    for (s->better = true; s->better && status == RECO_OK && s->trials < s->how->trials;) {
        s->better = false;
        for (size_t i = 0; i < DIMENSIONS; i++) {
            size_t at = evaluate_random_below(&stream, i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        for (size_t i = 0; i < DIMENSIONS && status == RECO_OK; i++)
            status = try_dimension(s, &dimensions[order[i]], err);
    }
    return status;
}

/* Brings a random part of the questions to the front (Fisher and Yates, begun and not finished). */
static void shuffle(evaluate_data *data, size_t wanted, uint64_t seed) {
    for (size_t i = 0; i < wanted; i++) {
        size_t at = i + evaluate_random_below(&seed, data->question_count - i);
        evaluate_question moved = data->questions[i];
        data->questions[i] = data->questions[at];
        data->questions[at] = moved;
    }
}

reco_status tune(tuning *out, reco_settings *settings, const char *folder, evaluate_data *data, const tune_options *how, reco_error *err) {
    search s = {.settings = settings, .folder = folder, .data = data, .how = how};
    size_t all = data->question_count;
    *out = (tuning){0};
    reco_status status = score(&out->before, &s, err);
    if (status != RECO_OK)
        return status;
    if (how->questions && how->questions < all) {
        shuffle(data, how->questions, how->evaluation.resampling.seed);
        data->question_count = how->questions;
    }
    status = run(&s, err);
    data->question_count = all;
    out->trials = s.trials;
    return status == RECO_OK ? score(&out->after, &s, err) : status;
}
