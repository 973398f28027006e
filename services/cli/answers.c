/* cli/answers.c - recommendations and popular items, as a table for people or as the JSON the API answers. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <reco/admin.h>

#include "cli/cli.h"

typedef struct options {
    uint32_t limit;
    uint64_t seed;
    int64_t as_of, wait, window;
    const char *min_position, *scenario, *category;
    bool json, no_reasons;
} options;

#define LIMIT                                                                                                                                        \
    { "limit", 'n', OPTION_COUNT, offsetof(options, limit), "N", "how many items" }
#define AS_OF                                                                                                                                        \
    { "as-of", 0, OPTION_TIME, offsetof(options, as_of), "TIME", "as of this moment: RFC 3339 with offset, or milliseconds" }
#define JSON                                                                                                                                         \
    { "json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the answer as JSON" }

static const option_spec recommend_table[] = {
    LIMIT,
    AS_OF,
    {"min-position", 0, OPTION_TEXT, offsetof(options, min_position), "POSITION", "reflect at least what an ingest answered with this"},
    {"wait", 0, OPTION_MS, offsetof(options, wait), "DURATION", "how long to wait for that position"},
    {"scenario", 0, OPTION_TEXT, offsetof(options, scenario), "NAME", "place of use"},
    {"seed", 0, OPTION_U64, offsetof(options, seed), "N", "of whatever is random"},
    {"no-reasons", 0, OPTION_FLAG, offsetof(options, no_reasons), NULL, "leave the reasons out"},
    JSON,
};
static const option_spec popular_table[] = {
    LIMIT,
    AS_OF,
    {"window", 'w', OPTION_MS, offsetof(options, window), "DURATION", "of the last 24h, 7d ... (default: as configured)"},
    {"category", 0, OPTION_TEXT, offsetof(options, category), "NAME", "only items of this category"},
    JSON,
};

/* --- tables --------------------------------------------------------------------------------------------------------------------------------- */

/* Title of an item, or its id. To be freed; NULL when memory is out. */
static char *title_of(reco_engine *engine, reco_str item_id) {
    char *json = NULL, *title = NULL;
    if (reco_item_get(&json, engine, item_id, NULL, NULL) == RECO_OK) {
        json_t *root = json_loads(json, 0, NULL);
        const char *text = json_string_value(json_object_get(root, "title"));
        title = text && *text ? strdup(text) : NULL;
        json_decref(root);
        reco_free(json);
    }
    return title ? title : strndup(item_id.data, item_id.size);
}

/* Columns a text takes on a terminal: one for every UTF-8 character. */
static int columns(const char *text) {
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void print_cell(const char *text, int width) {
    int have = columns(text);
    printf("%s%*s", text, have < width ? width - have : 0, "");
}

static const char *words(uint32_t kind) {
    switch (kind) {
    case RECO_REASON_COVIEW:
        return "because of";
    case RECO_REASON_POPULAR:
        return "popular now";
    case RECO_REASON_REVISIT:
        return "seen a moment ago";
    case RECO_REASON_OTHER:
        return "other reasons";
    default:
        return "stage";
    }
}

/* The strongest reasons in one line. */
static void print_reasons(reco_engine *engine, const reco_answer_item *item) {
    for (uint32_t i = 0; i < item->reason_count && i < 3; i++) {
        const reco_reason *reason = &item->reasons[i];
        printf("%s%s", i ? ", " : "", words(reason->kind));
        if (reason->because.size) {
            char *title = title_of(engine, reason->because);
            printf(" %s", title ? title : "");
            free(title);
        }
        printf(" %.3f", (double)reason->score / RECO_SCORE_UNIT);
    }
}

static void print_table(reco_engine *engine, const reco_answer *answer) {
    int width = 5;
    for (size_t i = 0; i < answer->count; i++) {
        char *title = title_of(engine, answer->items[i].item_id);
        int have = title ? columns(title) : 0;
        width = have > width ? have : width;
        free(title);
    }
    printf("%4s  %-*s  %10s  %s\n", "rank", width, "item", "score", "reasons");
    for (size_t i = 0; i < answer->count; i++) {
        char *title = title_of(engine, answer->items[i].item_id);
        printf("%4u  ", answer->items[i].rank);
        print_cell(title ? title : "", width);
        printf("  %10.3f  ", (double)answer->items[i].score / RECO_SCORE_UNIT);
        print_reasons(engine, &answer->items[i]);
        printf("\n");
        free(title);
    }
    if (answer->flags & RECO_ANSWER_FALLBACK)
        printf("nothing is known of this user: popular items\n");
    if (answer->flags & RECO_ANSWER_BEHIND)
        printf("the position was not reached in time: the answer is behind\n");
    if (answer->flags & RECO_ANSWER_DEGRADED)
        printf("not all sources answered\n");
}

static reco_status print_answer(cli_session *session, reco_answer *answer, reco_error *err) {
    const options *given = session->call->options;
    const char *text = NULL;
    size_t size = 0;
    if (!given->json) {
        print_table(session->engine, answer);
        return cli_finish(err);
    }
    reco_status status = reco_answer_json(&text, &size, answer, err);
    if (status != RECO_OK)
        return status;
    fwrite(text, 1, size, stdout);
    putchar('\n');
    return cli_finish(err);
}

/* --- subcommands ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status recommend(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query,
                        .flags = given->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                        .user_id = cli_str(session->call->arguments[0]),
                        .scenario = cli_str(given->scenario),
                        .min_position = cli_str(given->min_position),
                        .as_of = given->as_of,
                        .seed = given->seed,
                        .limit = given->limit,
                        .wait_ms = given->wait > UINT32_MAX ? UINT32_MAX : (uint32_t)given->wait};
    reco_status status = reco_recommend(&answer, session->engine, &query, NULL, err);
    if (status == RECO_OK)
        status = print_answer(session, answer, err);
    reco_answer_free(answer);
    return status;
}

static reco_status popular(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_answer *answer = NULL;
    reco_popular_query query = {
        .struct_size = sizeof query, .limit = given->limit, .window = given->window, .as_of = given->as_of, .category = cli_str(given->category)};
    reco_status status = reco_popular(&answer, session->engine, &query, NULL, err);
    if (status == RECO_OK)
        status = print_answer(session, answer, err);
    reco_answer_free(answer);
    return status;
}

static int run_recommend(const cli_call *call) { return cli_with_engine(call, recommend); }
static int run_popular(const cli_call *call) { return cli_with_engine(call, popular); }

const cli_command cli_recommend = {"recommend",
                                   "USER",
                                   "what to show a user, and why",
                                   "Scores and reasons are in units; the reasons of an item sum to its score.",
                                   CLI_OPTIONS(recommend_table),
                                   sizeof(options),
                                   1,
                                   1,
                                   run_recommend};
const cli_command cli_popular = {"popular", "", "what is popular", NULL, CLI_OPTIONS(popular_table), sizeof(options), 0, 0, run_popular};
