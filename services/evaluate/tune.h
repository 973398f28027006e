/* evaluate/tune.h - a search for the settings of answers that do best on data made for tuning. Only what is asked is changed, never what is learned:
 * the training part is learned once.
 *
 * One setting after the other takes each of its values while the others stay, and the best stays (coordinate ascent); rounds go on until one finds
 * nothing better, or the number of trials is used up. The order of the settings in a round is drawn by the seed. A smaller sample of the questions,
 * drawn by the seed too, makes trials cheaper; the beginning and the end are judged on all of them. */
#ifndef EVALUATE_TUNE_H
#define EVALUATE_TUNE_H

#include "evaluate/evaluation.h"

typedef struct tune_options {
    unsigned objective; /* EVALUATE_NDCG10 ... */
    uint32_t trials;
    size_t questions; /* of the sample; 0: all */
    evaluation_options evaluation;
    /* Told after each trial, NULL allowed. */
    void (*tried)(void *context, uint32_t trial, const char *name, const char *value, double score, double best);
    void *context;
} tune_options;

typedef struct tuning {
    double before, after; /* the objective on all questions */
    uint32_t trials;
} tuning;

/* Changes `settings` to the best that was found. `data` loses questions while it is searched and has them again after. */
reco_status tune(tuning *out, reco_settings *settings, const char *folder, evaluate_data *data, const tune_options *how, reco_error *err);

/* The names of the settings that are searched, from 0; NULL behind the last one. */
const char *tune_name(size_t i);

#endif
