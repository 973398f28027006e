/* reco/answer.h - recommendations out: what can be asked and how an answer looks. */
#ifndef RECO_ANSWER_H
#define RECO_ANSWER_H

#include <reco/event.h>
#include <reco/filter.h>
#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_SCORE_UNIT 1000000 /* scores and reasons are integers in micro-units */

#define RECO_QUERY_NO_REASONS 1u /* leave the reasons out */

#define RECO_SESSION_MAX 500u /* most events of a session that is given in a question */
#define RECO_SIMILAR_MAX 100u /* most items that something similar is looked for */

/* A question for one user, or for an anonymous visitor by what they did in this session. Zero is the default of every field; strings and arrays are
 * borrowed for the call. */
typedef struct reco_query {
    uint32_t struct_size;  /* sizeof(reco_query) */
    uint32_t flags;        /* RECO_QUERY_... */
    reco_str user_id;      /* 1 to 256 bytes of UTF-8, required unless a session is given; an unknown one gets the fallback */
    reco_str scenario;     /* place of use, [A-Za-z0-9_.-] up to 64 bytes; default "default" */
    reco_str min_position; /* a position answered by an ingest: the answer reflects it, waiting at most wait_ms, or says it is behind */
    int64_t as_of;         /* ms: recency, sessions, availability and popularity windows as of this moment, of the user as known now but for what
                            * they touched later (what they touched in that very millisecond counts): what they were is derived again by
                            * reco_rewind (reco/admin.h); 0: now */
    uint64_t seed;         /* of whatever is random in the plan; 0: drawn from the answer's id */
    uint32_t limit;        /* how many; 0: the configured default; above the configured maximum is INVALID */
    uint32_t wait_ms;      /* 0: do not wait; above the configured maximum is INVALID */
    /* What the visitor did that was not, or not yet, ingested, the oldest first: the answer is as if these events had just been learned, and nothing
     * of them is kept. With a user_id they come on top of what that user did. item_id is required, event_type is "view" when absent, timestamp now
     * when 0; value counts; other fields do not. Items of which nothing was learned are passed over. min_position needs a user_id. */
    const reco_event *session;
    size_t session_count;            /* at most RECO_SESSION_MAX */
    size_t event_size;               /* sizeof(reco_event), when there is a session */
    const reco_selection *selection; /* which items may be in the answer; NULL: all */
} reco_query;

/* A question for what goes with one item, or with several together: what people who looked at them looked at as well. The items themselves are not
 * among the answer, nor anything that was not learned together with one of them: it may be short or empty. */
typedef struct reco_similar_query {
    uint32_t struct_size;
    uint32_t flags; /* RECO_QUERY_... */
    const reco_str *items;
    size_t item_count; /* 1 to RECO_SIMILAR_MAX different ones; those of which nothing was learned are passed over */
    uint32_t limit;    /* as above */
    uint32_t reserved;
    int64_t as_of;                   /* ms: availability as of this moment; 0: now */
    const reco_selection *selection; /* NULL: all */
} reco_similar_query;

/* A question for what is popular. */
typedef struct reco_popular_query {
    uint32_t struct_size;
    uint32_t flags;
    uint32_t limit; /* as above */
    uint32_t reserved;
    int64_t window;                  /* ms; 0: the configured window by hours; up to the configured hours or days kept, whichever board covers it */
    int64_t as_of;                   /* ms: the window ends there, and holds what is kept of it; 0: the newest learned moment */
    reco_str category;               /* only items of this category; absent: all */
    const reco_selection *selection; /* NULL: all */
} reco_popular_query;

#define RECO_REASON_COVIEW 1u  /* people who looked at `because` also looked at this */
#define RECO_REASON_POPULAR 2u /* popular at the moment */
#define RECO_REASON_REVISIT 3u /* seen a moment ago in this session */
#define RECO_REASON_STAGE 4u   /* a stage of the application's own, named by `source` */
#define RECO_REASON_OTHER 5u   /* what the reasons not listed sum up to (an answer lists the 10 largest) */

typedef struct reco_reason {
    uint32_t kind; /* RECO_REASON_... */
    uint32_t unused;
    reco_str source;  /* name of the stage: "coview", "popular" ... */
    reco_str because; /* item that gave the reason, or absent */
    int64_t score;    /* micro-units; the reasons of an item sum exactly to its score */
} reco_reason;

typedef struct reco_answer_item {
    reco_str item_id;
    int64_t score; /* micro-units */
    uint32_t rank; /* 1 is first */
    uint32_t reason_count;
    const reco_reason *reasons; /* largest first */
} reco_answer_item;

#define RECO_ANSWER_FALLBACK 1u /* nothing personal was known, or left by filters and by the question: popular items */
#define RECO_ANSWER_BEHIND 2u   /* min_position was not reached in time */
#define RECO_ANSWER_DEGRADED 4u /* less than it should be: see reco_answer.degraded */

/* Why an answer is degraded; in JSON "degraded_reasons" has the words. It is correct for what could be known. */
#define RECO_DEGRADED_FEATURES 1u   /* features_unavailable: what was learned could not be read, or not all of it: popular items instead */
#define RECO_DEGRADED_RECORDS 2u    /* records_stale: records do not answer; items are as they were last known, new ones are left out */
#define RECO_DEGRADED_POPULAR 4u    /* popular_stale: popularity could not be brought up to date for more than ten seconds */
#define RECO_DEGRADED_RELEARNING 8u /* relearning: features lost what they had and learn it again: popular items, as they were before */
#define RECO_DEGRADED_DEADLINE 16u  /* deadline: it cut sources off */
#define RECO_DEGRADED_STAGE 32u     /* stage_failed: a stage of the application's failed and was left out */

/* An answer. CONFINED. Everything in it is valid until it is handed to another question or freed. */
typedef struct reco_answer {
    uint32_t struct_size;
    uint32_t flags; /* RECO_ANSWER_... */
    const reco_answer_item *items;
    size_t count;
    reco_str recommendation_id; /* send it back with clicks; empty for popular and similar */
    reco_str scenario, model;
    reco_str position;             /* what of the stream is reflected for this user */
    int64_t as_of;                 /* the moment the answer is for, ms */
    uint32_t candidates, filtered; /* how many were considered; how many filters dropped while the best were looked for: a figure of the work done,
                                    * which may differ from one backend or process to the other when the items do not */
    uint32_t degraded;             /* RECO_DEGRADED_... */
    uint32_t reserved;
    reco_str next; /* what `cursor` of the same question asks for the page after this one, which may turn out empty; "" when there is none */
} reco_answer;

/* --- why ----------------------------------------------------------------------------------------------------------------------------------- */

/* A recent item of the user that counts as a source. */
typedef struct reco_recent {
    reco_str item_id;
    int64_t timestamp; /* ms */
    int32_t weight;    /* > 0 */
    uint32_t session;  /* 1: of the running session */
} reco_recent;

#define RECO_EXPLAIN_MAX 100u /* most items that are asked about at once */

#define RECO_STEP_OK 0u
#define RECO_STEP_SKIPPED 1u /* the deadline left it out */
#define RECO_STEP_FAILED 2u  /* it failed, and was left out */

/* One step of answering, in the order they ran. What comes before the plan, between its stages and after it is a step of kind 0: state, user,
 * recents, popularity, selection, reasons; kept, when nothing else could be answered with. The times of all sum up to that of the answer. */
typedef struct reco_explained_stage {
    reco_str stage;
    uint32_t kind;   /* RECO_STAGE_SOURCE, _FILTER, _RANKER, _ARRANGER (reco/plugin/stage.h); 0: none of them */
    uint32_t status; /* RECO_STEP_OK ... */
    int64_t nanoseconds;
    uint64_t added, dropped; /* candidates it made, or left out. What the question itself says of items is asked of what could win, and counted at
                              * ranker and arranger; when little passes it, or the plan has stages of the application, of all candidates before
                              * that too, and counted at selection */
    uint64_t candidates;     /* that are left after it */
} reco_explained_stage;

#define RECO_VERDICT_LISTED 1u       /* it is in the answer */
#define RECO_VERDICT_DROPPED 2u      /* `stage` left it out */
#define RECO_VERDICT_BELOW_CUT 3u    /* it would be in a longer answer, at `rank` */
#define RECO_VERDICT_NO_CANDIDATE 4u /* no source proposed it */
#define RECO_VERDICT_UNKNOWN 5u      /* nothing was learned of it, and records do not know it */

#define RECO_EXPLAINED_SCORED 1u /* score is known; of what is BELOW_CUT, or LISTED */
#define RECO_EXPLAINED_CUT 2u    /* cut and distance are: something is listed */

/* Why an item is, or is not, in the answer. */
typedef struct reco_explained_item {
    reco_str item_id;
    uint32_t verdict; /* RECO_VERDICT_... */
    uint32_t flags;   /* RECO_EXPLAINED_... */
    reco_str stage;   /* DROPPED: a filter or arranger of the plan by its name, or what of the question: exclude, filters, caps, variants, cursor */
    reco_str reason;  /* in words, for people; absent when there is no more to say */
    uint32_t rank;    /* among all that were not dropped, 1 is first; 0: none, or the deadline came before it was known */
    uint32_t reason_count;
    const reco_reason *reasons; /* of its score, as in answers */
    int64_t score;              /* micro-units */
    int64_t cut;                /* score of the last one that is listed */
    int64_t distance;           /* cut - score */
} reco_explained_item;

#define RECO_EXPLANATION_KNOWN 1u        /* something was learned of the user, and has not expired */
#define RECO_EXPLANATION_SESSION_RUNS 2u /* the newest event, or the session that was given, is not longer ago than sessions last */

/* An answer and how it came about. CONFINED. Everything in it is valid until it is handed to another question or freed. */
typedef struct reco_explanation {
    uint32_t struct_size;
    uint32_t flags; /* RECO_EXPLANATION_... */
    const reco_answer *answer;
    reco_str user_id;           /* empty for a session alone */
    int64_t last;               /* ms: the user's last event that was learned; 0: none */
    const reco_recent *recents; /* what counted as sources, the newest first */
    size_t recent_count;
    const reco_str *hidden; /* items this user hides, RECO_EXPLAIN_MAX of them at most, those hidden last first */
    size_t hidden_count;
    const reco_explained_stage *stages;
    size_t stage_count;
    int64_t nanoseconds;              /* the answer took, without what only explains it */
    const reco_explained_item *items; /* those asked about, in their order */
    size_t item_count;
} reco_explanation;

#ifdef __cplusplus
}
#endif
#endif
