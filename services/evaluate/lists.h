/* evaluate/lists.h - the answers to all questions: items by number, the best first. */
#ifndef EVALUATE_LISTS_H
#define EVALUATE_LISTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

static inline void evaluate_lists_dispose(evaluate_lists *lists) {
    free(lists->items);
    free(lists->counts);
    free(lists->micros);
    *lists = (evaluate_lists){0};
}

#endif
