/* cli/answers.c - recommendations and popular items, as a table for people or as the JSON the API answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <reco/admin.h>

#include "cli/answers.h"
#include "http/file.h"
#include "http/text.h"

#define REASONS_SHOWN 3u

typedef answer_options options;
typedef struct batch_options {
    bool progress;
} batch_options;

static const option_spec recommend_table[] = {ANSWER_QUESTION};
static const option_spec given_table[] = {
    ANSWER_LIMIT,
    ANSWER_AS_OF,
    ANSWER_SELECTION,
    {"scenario", 0, OPTION_TEXT, offsetof(options, scenario), "NAME", "place of use"},
    {"seed", 0, OPTION_U64, offsetof(options, seed), "N", "of whatever is random"},
    {"no-reasons", 0, OPTION_FLAG, offsetof(options, no_reasons), NULL, "leave the reasons out"},
    ANSWER_JSON,
};
static const option_spec similar_table[] = {
    ANSWER_LIMIT, ANSWER_AS_OF, ANSWER_SELECTION, {"no-reasons", 0, OPTION_FLAG, offsetof(options, no_reasons), NULL, "leave the reasons out"},
    ANSWER_JSON,
};
static const option_spec popular_table[] = {
    ANSWER_LIMIT,
    ANSWER_AS_OF,
    ANSWER_SELECTION,
    {"window", 'w', OPTION_SPAN, offsetof(options, window), "DURATION", "of the last 24h, 7d ... (default: as configured)"},
    {"category", 0, OPTION_TEXT, offsetof(options, category), "NAME", "only items of this category"},
    ANSWER_JSON,
};

static const option_spec batch_table[] = {CLI_PROGRESS(batch_options)};

/* --- tables --------------------------------------------------------------------------------------------------------------------------------- */

char *cli_title_of(reco_engine *engine, reco_str item_id) {
    char *json = NULL, *title = NULL;
    if (reco_item_get(&json, engine, item_id, NULL, NULL) == RECO_OK) {
        json_t *root = json_loads(json, 0, NULL);
        const char *text = json_string_value(json_object_get(root, "title"));
        title = text && *text ? strdup(text) : NULL;
        json_decref(root);
        reco_free(json);
    }
    http_text shown = {0};
    http_text_shown(&shown, title ? title : item_id.data, title ? strlen(title) : item_id.size);
    free(title);
    if (!shown.failed)
        return shown.data;
    http_text_dispose(&shown);
    return NULL;
}

/* Columns a text takes on a terminal: one for every UTF-8 character. */
static int columns(const char *text) {
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

void answer_print_cell(const char *text, int width) {
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

void answer_print_score(int64_t score) {
    bool small = score != 0 && score > -RECO_SCORE_UNIT / 1000 && score < RECO_SCORE_UNIT / 1000;
    printf("%.*f", small ? 6 : 3, (double)score / RECO_SCORE_UNIT);
}

/* So that the line adds up to the score. What is beyond those that are listed is one reason of its own, the last. */
static void print_rest(const reco_reason *reasons, uint32_t count) {
    bool others = reasons[count - 1].kind == RECO_REASON_OTHER;
    int64_t rest = 0;
    for (uint32_t i = REASONS_SHOWN; i < count; i++)
        rest += reasons[i].score;
    printf(", + %u more%s ", count - REASONS_SHOWN - others, others ? " and others" : "");
    answer_print_score(rest);
}

void answer_print_reasons(reco_engine *engine, const reco_reason *reasons, uint32_t count) {
    for (uint32_t i = 0; i < count && i < REASONS_SHOWN; i++) {
        printf("%s%s", i ? ", " : "", words(reasons[i].kind));
        if (reasons[i].because.size) {
            char *title = cli_title_of(engine, reasons[i].because);
            printf(" %s", title ? title : "");
            free(title);
        }
        printf(" ");
        answer_print_score(reasons[i].score);
    }
    if (count > REASONS_SHOWN)
        print_rest(reasons, count);
}

/* The flag says that nothing personal was left, which is another thing when there was some. */
static const char *why_fallback(size_t recents, bool degraded) {
    if (degraded)
        return "nothing personal was found";
    if (recents == 0)
        return "there is nothing personal to go by";
    return recents == ANSWER_RECENTS_UNKNOWN ? "there is nothing personal to go by, or none of it may be shown"
                                             : "nothing that goes with the recent items is left";
}

void cli_print_answer(reco_engine *engine, const reco_answer *answer) { answer_print(engine, answer, ANSWER_RECENTS_UNKNOWN); }

void answer_print(reco_engine *engine, const reco_answer *answer, size_t recents) {
    int width = 5;
    for (size_t i = 0; i < answer->count; i++) {
        char *title = cli_title_of(engine, answer->items[i].item_id);
        int have = title ? columns(title) : 0;
        width = have > width ? have : width;
        free(title);
    }
    if (answer->count == 0)
        printf("nothing to show\n");
    else
        printf("%4s  %-*s  %10s  %s\n", "rank", width, "item", "score", "reasons");
    for (size_t i = 0; i < answer->count; i++) {
        char *title = cli_title_of(engine, answer->items[i].item_id);
        printf("%4u  ", answer->items[i].rank);
        answer_print_cell(title ? title : "", width);
        printf("  %10.3f  ", (double)answer->items[i].score / RECO_SCORE_UNIT);
        answer_print_reasons(engine, answer->items[i].reasons, answer->items[i].reason_count);
        printf("\n");
        free(title);
    }
    if (answer->flags & RECO_ANSWER_FALLBACK)
        printf("%s%s\n", why_fallback(recents, answer->flags & RECO_ANSWER_DEGRADED), answer->count ? ": popular items" : "");
    if (answer->flags & RECO_ANSWER_BEHIND)
        printf("the position was not reached in time: the answer is behind\n");
    if (answer->flags & RECO_ANSWER_DEGRADED)
        printf("not all sources answered\n");
}

reco_status answer_print_json(const char *text, size_t size, reco_error *err) {
    fwrite(text, 1, size, stdout);
    putchar('\n');
    return cli_finish(err);
}

static reco_status print_answer(cli_session *session, reco_answer *answer, reco_error *err) {
    const options *given = session->call->options;
    const char *text = NULL;
    size_t size = 0;
    if (!given->json) {
        cli_print_answer(session->engine, answer);
        return cli_finish(err);
    }
    reco_status status = reco_answer_json(&text, &size, answer, err);
    return status == RECO_OK ? answer_print_json(text, size, err) : status;
}

/* --- selections ----------------------------------------------------------------------------------------------------------------------------- */

/* NAME=N as a member; the name may have equals signs. */
static reco_status add_cap(json_t *caps, const char *text, reco_error *err) {
    const char *equals = strrchr(text, '=');
    char *end = NULL;
    errno = 0;
    unsigned long long most = equals ? strtoull(equals + 1, &end, 10) : 0;
    if (!equals || equals == text || !equals[1] || equals[1] == '-' || *end || errno || most < 1 || most > UINT32_MAX)
        return options_fail(err, RECO_INVALID, "--cap", "%s is not NAME=N", text);
    char *name = strndup(text, (size_t)(equals - text));
    int failed = name ? json_object_set_new(caps, name, json_integer((json_int_t)most)) : -1;
    free(name);
    return failed ? options_fail(err, RECO_INVALID, "--cap", "%s is not NAME=N", text) : RECO_OK;
}

static reco_status add_filter(json_t *root, const char *text, reco_error *err) {
    json_error_t error;
    json_t *filter = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!filter)
        return options_fail(err, RECO_INVALID, "--filter", "a JSON object is expected: %s", error.text);
    json_object_set_new(root, "filter", filter);
    return RECO_OK;
}

/* The options as the object that reco_selection_parse reads. */
static reco_status describe(json_t *root, const options *given, reco_error *err) {
    reco_status status = given->filter ? add_filter(root, given->filter, err) : RECO_OK;
    json_t *exclude = json_array(), *caps = json_object();
    for (size_t i = 0; i < given->exclude.count && status == RECO_OK; i++)
        if (json_array_append_new(exclude, json_string(given->exclude.items[i])))
            status = options_fail(err, RECO_INVALID, "--exclude", "not valid UTF-8");
    for (size_t i = 0; i < given->caps.count && status == RECO_OK; i++)
        status = add_cap(caps, given->caps.items[i], err);
    json_object_set_new(root, "exclude", exclude);
    json_object_set_new(root, "caps", caps);
    json_object_set_new(root, "variants", json_boolean(given->variants));
    if (given->cursor && json_object_set_new(root, "cursor", json_string(given->cursor)) && status == RECO_OK)
        status = options_fail(err, RECO_INVALID, "--cursor", "not valid UTF-8");
    return status;
}

reco_status answer_select(reco_selection **out, const options *given, reco_error *err) {
    *out = NULL;
    if (!given->filter && !given->cursor && !given->variants && given->exclude.count + given->caps.count == 0)
        return RECO_OK;
    json_t *root = json_object();
    reco_status status = root ? describe(root, given, err) : RECO_NO_MEMORY;
    char *text = status == RECO_OK ? json_dumps(root, JSON_COMPACT) : NULL;
    if (status == RECO_OK && !text)
        status = RECO_NO_MEMORY;
    json_decref(root);
    if (text)
        status = reco_selection_parse(out, text, strlen(text), err);
    else if (status == RECO_NO_MEMORY)
        options_no_memory(err);
    free(text);
    return status;
}

/* --- subcommands ---------------------------------------------------------------------------------------------------------------------------- */

/* What one kind of question asks, of the items the options select. */
typedef reco_status (*ask_fn)(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err);

static reco_status answer(cli_session *session, ask_fn ask, reco_error *err) {
    reco_answer *given = NULL;
    reco_selection *selection;
    reco_status status = answer_select(&selection, session->call->options, err);
    if (status == RECO_OK)
        status = ask(&given, session, selection, err);
    if (status == RECO_OK)
        status = print_answer(session, given, err);
    reco_answer_free(given);
    reco_selection_free(selection);
    return status;
}

reco_query answer_query_of(const options *given, const reco_selection *selection) {
    return (reco_query){.struct_size = sizeof(reco_query),
                        .flags = given->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                        .scenario = cli_str(given->scenario),
                        .min_position = cli_str(given->min_position),
                        .as_of = given->as_of,
                        .seed = given->seed,
                        .limit = given->limit,
                        .wait_ms = given->wait > UINT32_MAX ? UINT32_MAX : (uint32_t)given->wait,
                        .selection = selection};
}

static reco_status ask_recommend(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err) {
    reco_query query = answer_query_of(session->call->options, selection);
    query.user_id = cli_str(session->call->arguments[0]);
    return reco_recommend(answer, session->engine, &query, NULL, err);
}

static reco_status ask_popular(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err) {
    const options *given = session->call->options;
    reco_popular_query query = {.struct_size = sizeof query,
                                .limit = given->limit,
                                .window = given->window,
                                .as_of = given->as_of,
                                .category = cli_str(given->category),
                                .selection = selection};
    return reco_popular(answer, session->engine, &query, NULL, err);
}

/* The arguments from `first` on as strings; to be freed. NULL: out of memory. */
static reco_str *arguments(const cli_session *session, size_t first) {
    size_t count = session->call->argument_count - first;
    reco_str *texts = calloc(count, sizeof *texts);
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = cli_str(session->call->arguments[first + i]);
    return texts;
}

static reco_status ask_visitor(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err) {
    size_t count = session->call->argument_count;
    reco_event *events = calloc(count, sizeof *events);
    reco_query query = answer_query_of(session->call->options, selection);
    if (!events)
        return options_no_memory(err);
    for (size_t i = 0; i < count; i++)
        events[i].item_id = cli_str(session->call->arguments[i]);
    query.session = events;
    query.session_count = count;
    query.event_size = sizeof *events;
    reco_status status = reco_recommend(answer, session->engine, &query, NULL, err);
    free(events);
    return status;
}

static reco_status ask_rank(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err) {
    reco_str *items = arguments(session, 1);
    reco_query query = answer_query_of(session->call->options, selection);
    if (!items)
        return options_no_memory(err);
    query.user_id = cli_str(session->call->arguments[0]);
    reco_status status = reco_rank(answer, session->engine, &query, items, session->call->argument_count - 1, NULL, err);
    free(items);
    return status;
}

static reco_status ask_similar(reco_answer **answer, cli_session *session, const reco_selection *selection, reco_error *err) {
    const options *given = session->call->options;
    reco_str *items = arguments(session, 0);
    reco_similar_query query = {.struct_size = sizeof query,
                                .flags = given->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                                .items = items,
                                .item_count = session->call->argument_count,
                                .limit = given->limit,
                                .as_of = given->as_of,
                                .selection = selection};
    if (!items)
        return options_no_memory(err);
    reco_status status = reco_similar(answer, session->engine, &query, NULL, err);
    free(items);
    return status;
}

/* One line in, one line out: the answer, or the problem. */
static reco_status answer_line(cli_session *session, char *line, size_t size, reco_error *err) {
    reco_reply reply = {.struct_size = sizeof reply};
    const reco_ask_input input = {.struct_size = sizeof input, .kind = RECO_ASK_RECOMMEND, .body = line, .body_size = size};
    reco_status status = reco_ask_json(&reply, session->engine, &input, NULL, err);
    if (status != RECO_OK)
        return status;
    session->code = reply.http_status == 200 ? session->code : PROGRAM_FAILED;
    fwrite(reply.body, 1, reply.size, stdout);
    putchar('\n');
    reco_reply_dispose(&reply);
    return RECO_OK;
}

static reco_status answer_lines(cli_session *session, FILE *in, const char *path, reco_error *err) {
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    reco_work work = {.struct_size = sizeof work, .what = "answering", .unit = "lines"};
    reco_status status = RECO_OK;
    while (status == RECO_OK && !ferror(stdout) && (size = getline(&line, &room, in)) > 0) {
        if (strspn(line, " \t\r\n") < (size_t)size) /* a NUL is no blank line */
            status = answer_line(session, line, (size_t)size, err);
        work.done++;
        cli_progress_tell(&session->progress, &work);
    }
    if (status == RECO_OK && ferror(in))
        status = options_fail(err, RECO_IO, path, "cannot read: %s", strerror(errno));
    free(line);
    return status == RECO_OK ? cli_finish(err) : status;
}

static reco_status batch(cli_session *session, reco_error *err) {
    const batch_options *given = session->call->options;
    const char *path = session->call->arguments[0];
    FILE *in;
    reco_status status = http_file_open(&in, path, err);
    if (status != RECO_OK)
        return status;
    cli_progress_begin_writing(&session->progress, given->progress);
    status = answer_lines(session, in, path, err);
    cli_progress_end(&session->progress);
    http_file_close(in);
    return status;
}

static reco_status recommend(cli_session *session, reco_error *err) { return answer(session, ask_recommend, err); }
static reco_status popular(cli_session *session, reco_error *err) { return answer(session, ask_popular, err); }
static reco_status visitor(cli_session *session, reco_error *err) { return answer(session, ask_visitor, err); }
static reco_status rank(cli_session *session, reco_error *err) { return answer(session, ask_rank, err); }
static reco_status similar(cli_session *session, reco_error *err) { return answer(session, ask_similar, err); }

static int run_session(const cli_call *call) { return cli_with_data(call, visitor); }
static int run_rank(const cli_call *call) { return cli_with_data(call, rank); }
static int run_similar(const cli_call *call) { return cli_with_data(call, similar); }
static int run_batch(const cli_call *call) { return cli_with_data(call, batch); }
static int run_recommend(const cli_call *call) { return cli_with_data(call, recommend); }
static int run_popular(const cli_call *call) { return cli_with_data(call, popular); }

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
const cli_command cli_session_items = {"session",
                                       "ITEM...",
                                       "what to show a visitor who has just looked at these",
                                       "The items are given as they were looked at, the oldest first. Nothing is learned from them.",
                                       CLI_OPTIONS(given_table),
                                       sizeof(options),
                                       1,
                                       RECO_SESSION_MAX,
                                       run_session};
const cli_command cli_rank = {"rank",
                              "USER ITEM...",
                              "put items in order for a user",
                              "Items of which nothing was learned come last; what must not be shown is left out.",
                              CLI_OPTIONS(given_table),
                              sizeof(options),
                              2,
                              1000,
                              run_rank};
const cli_command cli_similar = {
    "similar",        "ITEM...",  "what goes with an item, or with several together", NULL, CLI_OPTIONS(similar_table), sizeof(options), 1,
    RECO_SIMILAR_MAX, run_similar};
const cli_command cli_batch = {
    "batch",
    "FILE|-",
    "many questions, one JSON object a line",
    "A line is what POST /recommendations takes, such as {\"user_id\":\"u1\",\"limit\":5}. Each gets a line of its own: the "
    "answer, or the\nproblem, and then the exit code is 1.",
    CLI_OPTIONS(batch_table),
    sizeof(batch_options),
    1,
    1,
    run_batch};
