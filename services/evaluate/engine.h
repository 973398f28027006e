/* evaluate/engine.h - the real engine on the training part, and its answers to the questions.
 *
 * The training part is imported as events of one type, into a folder of its own; questions are asked as of one second after the newest event. In P1 a
 * question is one for the user, in P2 one for a visitor whose session is the history. Answers leave out by themselves what the user has; whatever
 * they still hold that may not be in a list is dropped, and more is asked for in advance. */
#ifndef EVALUATE_ENGINE_H
#define EVALUATE_ENGINE_H

#include <reco/settings.h>

#include "evaluate/data.h"
#include "evaluate/lists.h"

/* Learns the training part by these settings, in an empty folder. */
reco_status evaluate_learn(const char *folder, const reco_settings *settings, const evaluate_data *data, const reco_call *call, reco_error *err);

typedef struct evaluate_asking {
    const char *folder; /* where it was learned, by settings that differ from these in what is asked only */
    const reco_settings *settings;
    uint32_t depth; /* length of the lists */
    unsigned threads;
    const reco_call *call;
} evaluate_asking;
/* Asks all questions. A degraded answer fails it. To be disposed of in any case. */
reco_status evaluate_ask(evaluate_lists *out, const evaluate_data *data, const evaluate_asking *how, reco_error *err);

/* A new folder below $TMPDIR or /tmp; `path` has room for 4096 bytes. */
reco_status evaluate_folder_make(char *path, reco_error *err);
/* With all that is in it. */
void evaluate_folder_remove(const char *path);

#endif
