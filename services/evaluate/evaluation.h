/* evaluate/evaluation.h - one configuration on one set of data: learn, ask, judge. */
#ifndef EVALUATE_EVALUATION_H
#define EVALUATE_EVALUATION_H

#include "evaluate/engine.h"
#include "evaluate/metrics.h"
#include "evaluate/resample.h"

typedef struct evaluation_options {
    uint32_t depth;                 /* length of the lists, EVALUATE_RANKS to EVALUATE_DEPTH_MAX */
    evaluate_resampling resampling; /* its threads ask, and its call is told, too */
} evaluation_options;

typedef struct evaluation {
    evaluate_lists lists;
    evaluate_metrics metrics;
    size_t unanswered; /* questions whose list is empty */
    evaluate_interval intervals[EVALUATE_METRIC_COUNT];
    double learn_seconds, ask_seconds, median_micros, p99_micros;
} evaluation;

/* What an evaluation needs of settings, over a copy of them: stores in the folder it is given, no limit on lists. Free with reco_settings_free. */
reco_status evaluation_settings(reco_settings **out, const reco_settings *settings, reco_error *err);
/* Learns into a folder that does not exist yet, or is empty. */
reco_status evaluation_learn(evaluation *out, const char *folder, const reco_settings *settings, const evaluate_data *data,
                             const evaluation_options *how, reco_error *err);
/* Asks and judges what was learned there. To be disposed of in any case. */
reco_status evaluation_ask(evaluation *out, const char *folder, const reco_settings *settings, const evaluate_data *data,
                           const evaluation_options *how, reco_error *err);
/* Judges lists of others. To be disposed of in any case. */
reco_status evaluation_of_lists(evaluation *out, const char *path, const evaluate_data *data, const evaluation_options *how, reco_error *err);
void evaluation_dispose(evaluation *done);

#endif
