/* evaluate/data.h - what an evaluation is made from: a training part, and questions with what is hidden behind each.
 *
 * Files are lines of columns separated by tabs, plain or compressed by gzip:
 *
 *     train      user  item  [time-or-order  [weight]]      what is learned; the weight is not looked at
 *     test       user  item  [...]                          P1: what is hidden, one line an item; P2: query and the one item hidden
 *     queries    query  item,item,...                       P2: what came before, the oldest first
 *
 * A question counts when at least one of its hidden items occurs in the training part. */
#ifndef EVALUATE_DATA_H
#define EVALUATE_DATA_H

#include <stdbool.h>

#include "evaluate/names.h"

/* What is asked. */
enum {
    EVALUATE_P1,      /* a user of the training part: every item but the user's own */
    EVALUATE_P2,      /* a history: every item, going back is legal */
    EVALUATE_P2_NOVEL /* the same of those whose hidden item is not in the history, which is taken out of the lists */
};

/* What the third column of the training part is. */
enum {
    EVALUATE_TIME_AUTO, /* by the largest: below 6e8 order, below 1e11 seconds, else milliseconds */
    EVALUATE_TIME_ORDER,
    EVALUATE_TIME_SECONDS,
    EVALUATE_TIME_MS
};

typedef struct evaluate_event {
    uint32_t user, item;
    int64_t t; /* ms; orders are milliseconds from 2020-01-01 on */
} evaluate_event;

/* A list of numbers among the many in one array. */
typedef struct evaluate_range {
    size_t begin, end;
} evaluate_range;

typedef struct evaluate_question {
    uint32_t name;          /* P1: user, P2: query, in the names of questions */
    uint32_t user;          /* P1: in the training part, EVALUATE_NONE when it is not there */
    evaluate_range targets; /* of `targets`: those that occur in the training part, each once */
    evaluate_range history; /* P2, of `history`, the oldest first; items beyond the training part are EVALUATE_NONE */
} evaluate_question;

/* FROZEN after evaluate_data_read. */
typedef struct evaluate_data {
    int protocol;
    evaluate_names users, items; /* of the training part */
    evaluate_names names;        /* of questions */
    evaluate_event *events;
    size_t event_count;
    int64_t newest;      /* ms */
    evaluate_range *own; /* by user, of own_items: what they have in the training part, ascending, each once */
    uint32_t *own_items;
    evaluate_range *fans; /* by item, of fan_users: who has it, ascending */
    uint32_t *fan_users;
    evaluate_question *questions;
    size_t question_count;
    uint32_t *targets, *history;
    size_t cold;    /* hidden items that are not in the training part */
    size_t skipped; /* questions without any other */
} evaluate_data;

typedef struct evaluate_files {
    const char *train, *test, *queries; /* queries: P2 */
    int protocol, time;
    const reco_call *call; /* ends the reading; NULL allowed */
} evaluate_files;

/* Reads all of it. INVALID naming file and line; NOT_FOUND, IO, NO_MEMORY. To be disposed of in any case. */
reco_status evaluate_data_read(evaluate_data *out, const evaluate_files *files, reco_error *err);
/* Whether all that is hidden in one is hidden behind the same questions of the other, whatever their files look like. NO_MEMORY. */
reco_status evaluate_data_is_part(bool *out, const evaluate_data *part, const evaluate_data *of, reco_error *err);
/* Which question a name is, by number of name; EVALUATE_NONE: none that counts. To be freed; NULL: no memory. */
uint32_t *evaluate_data_index(const evaluate_data *data);
void evaluate_data_dispose(evaluate_data *data);

/* Whether a number is among ascending ones. */
bool evaluate_among(const uint32_t *numbers, evaluate_range range, uint32_t number);
/* For qsort: uint32_t, ascending. */
int evaluate_by_number(const void *a, const void *b);

#endif
