/* cli/answers.h - what the subcommands that ask something have in common: their options, and what they print. answers.c */
#ifndef CLI_ANSWERS_H
#define CLI_ANSWERS_H

#include "cli/cli.h"

typedef struct answer_options {
    uint32_t limit;
    uint64_t seed;
    int64_t as_of, wait, window;
    const char *min_position, *scenario, *category, *filter, *cursor;
    option_list exclude, caps, items;
    bool json, no_reasons, variants;
} answer_options;

#define ANSWER_LIMIT                                                                                                                                 \
    { "limit", 'n', OPTION_COUNT, offsetof(answer_options, limit), "N", "how many items" }
#define ANSWER_AS_OF                                                                                                                                 \
    {                                                                                                                                                \
        "as-of", 0, OPTION_TIME, offsetof(answer_options, as_of), "TIME",                                                                            \
            "as of this moment, RFC 3339 with offset or milliseconds, by what is known now (whatif goes back)"                                       \
    }
#define ANSWER_JSON                                                                                                                                  \
    { "json", 'j', OPTION_FLAG, offsetof(answer_options, json), NULL, "the answer as JSON" }

#define ANSWER_SELECTION                                                                                                                             \
    {"filter", 'f', OPTION_TEXT, offsetof(answer_options, filter), "JSON", "which items: {\"brand\":[\"a\",\"b\"],\"price\":{\"lt\":50}}"},          \
        {"exclude", 'x', OPTION_LIST, offsetof(answer_options, exclude), "ITEM", "not this item; may be given again"},                               \
        {"cap", 0, OPTION_LIST, offsetof(answer_options, caps), "NAME=N", "at most N items of one value of an attribute; may be given again"},       \
        {"variants", 0, OPTION_FLAG, offsetof(answer_options, variants), NULL, "variants of one item beside each other"}, {                          \
        "cursor", 0, OPTION_TEXT, offsetof(answer_options, cursor), "NEXT", "the page after an answer, by the next it had as JSON"                   \
    }

/* All that can be said of a question for somebody. */
#define ANSWER_QUESTION                                                                                                                              \
    ANSWER_LIMIT, ANSWER_AS_OF, ANSWER_SELECTION,                                                                                                    \
        {"min-position", 0, OPTION_TEXT, offsetof(answer_options, min_position), "POSITION", "reflect at least what an ingest answered with this"},  \
        {"wait", 0, OPTION_MS, offsetof(answer_options, wait), "DURATION", "how long to wait for that position"},                                    \
        {"scenario", 0, OPTION_TEXT, offsetof(answer_options, scenario), "NAME", "place of use"},                                                    \
        {"seed", 0, OPTION_U64, offsetof(answer_options, seed), "N", "of whatever is random"},                                                       \
        {"no-reasons", 0, OPTION_FLAG, offsetof(answer_options, no_reasons), NULL, "leave the reasons out"}, ANSWER_JSON

/* What the options say of items; NULL: nothing. To be freed. */
reco_status answer_select(reco_selection **out, const answer_options *given, reco_error *err);
/* The question, but for whom and about what. */
reco_query answer_query_of(const answer_options *given, const reco_selection *selection);
/* A score in units; one that is too small for three digits has more. */
void answer_print_score(int64_t score);
/* The strongest reasons in one line, and what the others sum to. */
void answer_print_reasons(reco_engine *engine, const reco_reason *reasons, uint32_t count);
/* A text and blanks up to so many columns of a terminal. */
void answer_print_cell(const char *text, int width);
/* An answer as a table to somebody of whom so many recent items count; or ANSWER_RECENTS_UNKNOWN. */
#define ANSWER_RECENTS_UNKNOWN SIZE_MAX
void answer_print(reco_engine *engine, const reco_answer *answer, size_t recents);
/* JSON as one line. */
reco_status answer_print_json(const char *text, size_t size, reco_error *err);

#endif
