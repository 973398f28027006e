/* recommend/recommend.h - from what was learned to an answer. The engine's view of this room. */
#ifndef RECO__RECOMMEND_H
#define RECO__RECOMMEND_H

#include "base/base.h"
#include "config/settings.h"
#include "features/features.h"
#include "learn/learn.h"
#include "recommend/person.h"
#include "records/records.h"
#include <reco/answer.h>

typedef struct reco__recommend reco__recommend; /* SHARED */

typedef struct reco__recommend_options {
    const reco__settings *settings; /* borrowed until close, like all below */
    const reco__learn_rules *rules;
    reco__features *features;
    reco__records *records;
    uint32_t partitions;                                          /* of the stream */
    uint32_t (*partition_of)(const void *context, reco_str user); /* of the stream; NULL: nobody's aliases are looked for */
    const void *partition_context;
    bool records_far; /* the change log is on another machine: it is followed by refresh, not by each answer */
    /* What is popular by what was learned once and `now` (NULL: nobody knows) has yet to be learned again, in a store of its own that the caller
     * closes; NOT_FOUND: nothing. Asked for once, by who has nothing to answer from. NULL: there is never anything. */
    reco_status (*recall)(reco__features **out, reco_position *then, void *context, const reco_position *now, const reco_call *call, reco_error *err);
    void *recall_context;
} reco__recommend_options;

/* Checks the plan (INVALID naming the setting), makes the application's stages. Loads nothing yet. */
reco_status reco__recommend_open(reco__recommend **out, const reco__recommend_options *options, const reco_call *call, reco_error *err);
/* Takes in what has changed in records since, for a thread that calls it twice a second: a change is seen in time though no question asks for it, or
 * each has too little time to. A refresh does more. */
reco_status reco__recommend_follow(reco__recommend *recommend, const reco_call *call, reco_error *err);
/* The key of recommendation ids; without one, answers have none and are degraded. Once. */
void reco__recommend_sign(reco__recommend *recommend, uint32_t key_number, const uint8_t key[16]);
/* RECO_DEGRADED_... of answers that are given now. */
uint32_t reco__recommend_lacking(reco__recommend *recommend);
/* OK when there is something to answer with, else why there is not. */
reco_status reco__recommend_ready(reco__recommend *recommend, reco_error *err);
/* No other call may be under way. NULL is allowed. Answers handed out stay valid. */
void reco__recommend_close(reco__recommend *recommend);

/* `query`: already copied to its full size, the events of its session too; strings checked by nobody yet. `partition`: that of the user. `behind`:
 * min_position was not reached.
 * *answer as in reco_recommend. */
reco_status reco__recommend_ask(reco_answer **answer, reco__recommend *recommend, const reco_query *query, int64_t now_ms, uint32_t partition,
                                int behind, const reco_call *call, reco_error *err);
/* The same of the past: query->as_of is set, and the user's cell is what `past` says. */
reco_status reco__recommend_ask_past(reco_answer **answer, reco__recommend *recommend, const reco_query *query, const reco__past *past,
                                     int64_t now_ms, uint32_t partition, const reco_call *call, reco_error *err);
/* The same, explained; `items`: up to RECO_EXPLAIN_MAX different ids, borrowed for the call. *out as in reco_explain. */
reco_status reco__recommend_explain(reco_explanation **out, reco__recommend *recommend, const reco_query *query, const reco_str *items,
                                    size_t item_count, int64_t now_ms, uint32_t partition, int behind, const reco_call *call, reco_error *err);
/* The same of given items only; `items` are different ids. */
reco_status reco__recommend_rank(reco_answer **answer, reco__recommend *recommend, const reco_query *query, const reco_str *items, size_t item_count,
                                 int64_t now_ms, uint32_t partition, int behind, const reco_call *call, reco_error *err);
/* A user's id and the aliases of it, with their partitions; the user's id is borrowed, those of aliases lie in `person`, which is to be disposed of.
 * What records do not say now counts as no alias. */
reco_status reco__recommend_person(reco__person *person, reco__recommend *recommend, reco_str user, uint32_t partition, const reco_call *call,
                                   reco_error *err);
/* The partitions of these, as bits, for who waits for them. */
reco_status reco__recommend_partitions(uint64_t *out, reco__recommend *recommend, reco_str user, uint32_t partition, const reco_call *call,
                                       reco_error *err);
reco_status reco__recommend_similar(reco_answer **answer, reco__recommend *recommend, const reco_similar_query *query, int64_t now_ms,
                                    const reco_call *call, reco_error *err);
reco_status reco__recommend_popular(reco_answer **answer, reco__recommend *recommend, const reco_popular_query *query, int64_t now_ms,
                                    const reco_call *call, reco_error *err);

/* Follows the store: popularity sums, item documents of new numbers, the change log. Returns at once when another thread does it already (unless
 * there is nothing yet to answer from), or, without `force`, when it was done less than a second ago. By a background thread every second, or by
 * answers themselves. */
reco_status reco__recommend_refresh(reco__recommend *recommend, bool force, const reco_call *call, reco_error *err);

/* name{label="value"} and its value, for metrics and stats: candidates by source, filtered by reason, empty answers, fallbacks, failures, skips and
 * times of stages, answers. Times, of RECO__STAGE_NS, are in nanoseconds, and of the runs that reco_stage_timed_total counts: one question of 64. */
#define RECO__STAGE_NS "reco_stage_timed_seconds_total"
typedef void (*reco__metric_sink)(void *context, const char *name, const char *label, const char *value, uint64_t count);
void reco__recommend_metrics(const reco__recommend *recommend, reco__metric_sink sink, void *context);
/* Bytes held by the tables of this room. */
uint64_t reco__recommend_bytes(const reco__recommend *recommend);

/* --- answers ------------------------------------------------------------------------------------------------------------------------------------ */

void reco__answer_free(reco_answer *answer);
/* The partitions the answer reflects, and how far, for the engine, which makes the token of it; answers how many: none for popular. */
size_t reco__answer_where(const reco__place **places, const reco_answer *answer);
/* Copies the token into the answer. */
reco_status reco__answer_set_position(reco_answer *answer, reco_str token, reco_error *err);
/* The word for one bit of RECO_DEGRADED_..., as answers and metrics say it. Static. */
const char *reco__degraded_name(uint32_t bit);
/* As in reco_answer_json. */
reco_status reco__answer_json(const char **text, size_t *size, reco_answer *answer, reco_error *err);

void reco__explanation_free(reco_explanation *explanation);
/* The answer it explains. */
reco_answer *reco__explanation_answer(reco_explanation *explanation);
/* As in reco_explanation_json. */
reco_status reco__explanation_json(const char **text, size_t *size, reco_explanation *explanation, reco_error *err);

/* --- recommendation ids ------------------------------------------------------------------------------------------------------------------------- */

/* What an id says. Strings are borrowed. */
typedef struct reco__recommendation_id {
    uint32_t key_number;
    uint64_t plan; /* hash of the plan */
    uint64_t nonce;
    int64_t time; /* ms */
    reco_str scenario, model, variant;
} reco__recommendation_id;
/* Appends the text to `out`; failures stick there. */
void reco__recommendation_id_make(reco__buf *out, const reco__recommendation_id *id, const uint8_t key[16]);
/* Whether `text` was made with this key; fills `id` (NULL allowed), its strings in `scratch`, which is reset. */
bool reco__recommendation_id_check(reco__recommendation_id *id, reco__buf *scratch, reco_str text, uint32_t key_number, const uint8_t key[16]);

#endif
