/* evaluate/likeness.h - how alike the answers of two plans are, question by question, and whose places they are.
 *
 *     overlap       items that are in both / places of the longer
 *     rbo           rank-biased overlap: what stands in front counts more (Webber, Moffat, Zobel: A Similarity Measure for Indefinite Rankings, ACM
 *                   TOIS 2010, eq. 32, p = .9)
 *     tau           Kendall's rank correlation of the items that are in both, where there are two at least: 1 the same order, -1 turned round
 *
 * Two answers without an item agree in nothing: such a question is in no figure but the number of them. */
#ifndef EVALUATE_LIKENESS_H
#define EVALUATE_LIKENESS_H

#include "evaluate/lists.h"
#include "evaluate/resample.h"

enum { EVALUATE_OVERLAP, EVALUATE_RBO, EVALUATE_TAU, EVALUATE_LIKENESSES };
extern const char *const evaluate_likeness_names[EVALUATE_LIKENESSES];

/* How many answers of each plan have an item. */
typedef struct evaluate_places {
    uint32_t item, places[2];
} evaluate_places;

enum { EVALUATE_BY_BOTH, EVALUATE_BY_FIRST, EVALUATE_BY_SECOND, EVALUATE_UNANSWERED };

typedef struct evaluate_likeness {
    double *values[EVALUATE_LIKENESSES]; /* of questions that any answered; tau: of those of them that have one */
    size_t *questions;                   /* whose values they are, but for those of tau */
    double means[EVALUATE_LIKENESSES];   /* NAN: there are no values */
    evaluate_interval intervals[EVALUATE_LIKENESSES];
    size_t count, ranked;                   /* questions that any answered; those of them that have a tau */
    size_t unanswered[EVALUATE_UNANSWERED]; /* questions that neither, or only one, left without an item */
    size_t identical, same_first;           /* of `count` */
    uint32_t items[2];                      /* different ones in the answers of each */
    evaluate_places *places;                /* of all items in any answer, who gains most first; alike ones by their numbers */
    size_t place_count;
} evaluate_likeness;

/* Of two lists a question; item_count: numbers are below it. NO_MEMORY, or what `how` says. To be disposed of in any case. */
reco_status evaluate_likeness_make(evaluate_likeness *out, const evaluate_lists *a, const evaluate_lists *b, uint32_t item_count,
                                   const evaluate_resampling *how, reco_error *err);
void evaluate_likeness_dispose(evaluate_likeness *likeness);

#endif
