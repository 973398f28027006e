/* cli/explain.c - how an answer came about, and why an item is not in it. */
#include <stdlib.h>
#include <string.h>

#include "cli/answers.h"
#include "http/text.h"

#define RECENTS_SHOWN 10u

static const option_spec explain_table[] = {
    {"item", 'i', OPTION_LIST, offsetof(answer_options, items), "ITEM", "why is this item in the answer, or not; may be given again"},
    ANSWER_QUESTION,
};
static const option_spec why_not_table[] = {ANSWER_QUESTION};

/* --- for people ----------------------------------------------------------------------------------------------------------------------------- */

static void print_title(reco_engine *engine, reco_str item_id) {
    char *title = cli_title_of(engine, item_id);
    printf("%s", title ? title : "");
    free(title);
}

static void print_user(reco_engine *engine, const reco_explanation *told) {
    char last[32];
    http_text_show(stdout, told->user_id.data, told->user_id.size);
    if (told->flags & RECO_EXPLANATION_KNOWN) {
        printf(": last seen %s%s\n", http_text_date(last, told->last, "%Y-%m-%d %H:%M:%S UTC"),
               told->flags & RECO_EXPLANATION_SESSION_RUNS ? ", the session runs" : "");
    } else {
        printf(": nothing is known\n");
    }
    for (size_t i = 0; i < told->recent_count && i < RECENTS_SHOWN; i++) {
        printf("%s", i ? ", " : "recent items, the newest first: ");
        print_title(engine, told->recents[i].item_id);
    }
    if (told->recent_count > RECENTS_SHOWN)
        printf(" and %zu more", told->recent_count - RECENTS_SHOWN);
    printf("%s", told->recent_count ? "\n" : "");
    for (size_t i = 0; i < told->hidden_count; i++) {
        printf("%s", i ? ", " : "hidden: ");
        print_title(engine, told->hidden[i]);
    }
    printf("%s\n", told->hidden_count ? "\n" : "");
}

/* Before there are candidates, a step has nothing to count. */
static bool counts(const reco_explained_stage *stage) { return stage->kind || stage->added || stage->dropped || stage->candidates; }

static void print_steps(const reco_explanation *told) {
    static const char *const kinds[] = {"", "source", "filter", "ranker", "arranger"}, *const statuses[] = {"", "  skipped", "  failed"};
    int width = 5;
    for (size_t i = 0; i < told->stage_count; i++)
        width = (int)told->stages[i].stage.size > width ? (int)told->stages[i].stage.size : width;
    printf("\n%-*s  %-8s  %12s  %8s  %8s  %8s\n", width, "stage", "", "microseconds", "added", "dropped", "left");
    for (size_t i = 0; i < told->stage_count; i++) {
        const reco_explained_stage *stage = &told->stages[i];
        printf("%-*.*s  %-8s  %12.1f", width, (int)stage->stage.size, stage->stage.data, kinds[stage->kind], (double)stage->nanoseconds / 1000);
        if (counts(stage))
            printf("  %8llu  %8llu  %8llu", (unsigned long long)stage->added, (unsigned long long)stage->dropped,
                   (unsigned long long)stage->candidates);
        printf("%s\n", statuses[stage->status]);
    }
    printf("%-*s  %-8s  %12.1f\n", width, "all", "", (double)told->nanoseconds / 1000);
}

static void print_place(const reco_explained_item *item) {
    bool listed = item->verdict == RECO_VERDICT_LISTED;
    printf("%s", listed ? "it is in the answer" : "below the cut");
    if (item->rank > 0)
        printf(", rank %u", item->rank);
    printf(", score ");
    answer_print_score(item->score);
    if (!listed && item->flags & RECO_EXPLAINED_CUT) {
        printf(", ");
        answer_print_score(item->distance);
        printf(" below the last one listed");
    }
}

static void print_item(reco_engine *engine, const reco_explained_item *item) {
    static const char *const verdicts[] = {"", "", "dropped by ", "", "no candidate", "unknown"};
    print_title(engine, item->item_id);
    printf(": ");
    if (item->flags & RECO_EXPLAINED_SCORED)
        print_place(item);
    else
        printf("%s%.*s", verdicts[item->verdict], (int)item->stage.size, item->stage.data ? item->stage.data : "");
    if (item->reason.size > 0) {
        printf(": ");
        http_text_show(stdout, item->reason.data, item->reason.size);
    }
    printf("\n");
    if (item->reason_count > 0) {
        printf("  ");
        answer_print_reasons(engine, item->reasons, item->reason_count);
        printf("\n");
    }
}

static void print_items(reco_engine *engine, const reco_explanation *told) {
    for (size_t i = 0; i < told->item_count; i++)
        print_item(engine, &told->items[i]);
}

/* Why items are not there, and what each stage took: those that had no part in it have their time too. */
static void print_why_not(reco_engine *engine, const reco_explanation *told) {
    print_items(engine, told);
    print_steps(told);
}

static void print_all(reco_engine *engine, const reco_explanation *told) {
    print_user(engine, told);
    answer_print(engine, told->answer, told->recent_count);
    print_steps(told);
    if (told->item_count > 0)
        printf("\n");
    print_items(engine, told);
}

/* --- subcommands ---------------------------------------------------------------------------------------------------------------------------- */

typedef void (*print_fn)(reco_engine *engine, const reco_explanation *told);

static reco_status print(cli_session *session, reco_explanation *told, print_fn as_text, reco_error *err) {
    const answer_options *given = session->call->options;
    const char *text;
    size_t size;
    if (!given->json) {
        as_text(session->engine, told);
        return cli_finish(err);
    }
    reco_status status = reco_explanation_json(&text, &size, told, err);
    return status == RECO_OK ? answer_print_json(text, size, err) : status;
}

static reco_status explain(cli_session *session, const char *const *ids, size_t count, print_fn as_text, reco_error *err) {
    reco_explanation *told = NULL;
    reco_selection *selection = NULL;
    reco_str *items = calloc(count + 1, sizeof *items);
    reco_status status = items ? answer_select(&selection, session->call->options, err) : options_no_memory(err);
    for (size_t i = 0; i < count && items; i++)
        items[i] = cli_str(ids[i]);
    if (status == RECO_OK) {
        reco_query query = answer_query_of(session->call->options, selection);
        query.user_id = cli_str(session->call->arguments[0]);
        status = reco_explain(&told, session->engine, &query, items, count, NULL, err);
        if (status == RECO_OK) /* the first question of a process finds nothing in memory; times are to be those of one that runs */
            status = reco_explain(&told, session->engine, &query, items, count, NULL, err);
    }
    if (status == RECO_OK)
        status = print(session, told, as_text, err);
    reco_explanation_free(told);
    reco_selection_free(selection);
    free(items);
    return status;
}

static reco_status explain_answer(cli_session *session, reco_error *err) {
    const answer_options *given = session->call->options;
    return explain(session, given->items.items, given->items.count, print_all, err);
}

static reco_status explain_items(cli_session *session, reco_error *err) {
    return explain(session, (const char *const *)session->call->arguments + 1, session->call->argument_count - 1, print_why_not, err);
}

static int run_explain(const cli_call *call) { return cli_with_data(call, explain_answer); }
static int run_why_not(const cli_call *call) { return cli_with_data(call, explain_items); }

const cli_command cli_explain = {
    "explain",
    "USER",
    "how an answer came about: the user, each stage, each item",
    "Takes what recommend takes. The answer is the one that recommend would give. What the question itself says of items is asked of what could\n"
    "win, and counted at ranker and arranger; when little passes it, or the plan has stages of the application, it is asked of all candidates\n"
    "before that too, and counted at `selection`.",
    CLI_OPTIONS(explain_table),
    sizeof(answer_options),
    1,
    1,
    run_explain};
const cli_command cli_why_not = {
    "why-not",
    "USER ITEM...",
    "why items are not shown to a user",
    "Which stage dropped an item, or how far below the cut it stayed, and the time of each stage. Takes what recommend takes; --json is that of\n"
    "explain.",
    CLI_OPTIONS(why_not_table),
    sizeof(answer_options),
    2,
    1 + RECO_EXPLAIN_MAX,
    run_why_not};
