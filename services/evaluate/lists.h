/* evaluate/lists.h - the answers to all questions: items by number, the best first. */
#ifndef EVALUATE_LISTS_H
#define EVALUATE_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "evaluate/data.h"

#define EVALUATE_DEPTH_MAX 100u

/* FROZEN once they are asked. */
typedef struct evaluate_lists {
    uint32_t *items;  /* `depth` places a question; those behind its count are not set */
    uint32_t *counts; /* by question */
    uint32_t depth;
    size_t count;
    double *micros; /* by question: what the answer took */
} evaluate_lists;

static inline const uint32_t *evaluate_list(const evaluate_lists *lists, size_t question) { return lists->items + question * lists->depth; }

/* Room for lists of all questions, empty. NO_MEMORY. */
reco_status evaluate_lists_make(evaluate_lists *out, size_t count, uint32_t depth, reco_error *err);
/* Lists of others: lines of a question and its items between commas, the best first, of which the first EVALUATE_DEPTH_MAX count. An item that is not
 * in the training part has a number behind its items: a place, and no hit. INVALID, naming the line, for one that repeats
 * an item, or holds one which may not be in it, and a file without a list of any question; questions without a line have an empty list, lines of
 * other questions are passed over. */
reco_status evaluate_lists_read(evaluate_lists *out, const evaluate_data *data, const char *path, const reco_call *call, reco_error *err);
/* Whether an item may not be in the list of a question: the user's own, or in what is to be new one of the history. */
bool evaluate_is_barred(const evaluate_data *data, const evaluate_question *question, uint32_t item);

static inline void evaluate_lists_dispose(evaluate_lists *lists) {
    free(lists->items);
    free(lists->counts);
    free(lists->micros);
    *lists = (evaluate_lists){0};
}

#endif
