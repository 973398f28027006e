/* cli/whatif.c - what somebody would have seen at another moment, and how far two plans differ over real traffic. Users are put back to what they
 * were at each moment (reco_rewind), and see no item that came later; pairs of items stay as they are, and are the same for both plans. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/whatif.h"
#include "http/clock.h"
#include "http/log.h"

#define RESAMPLES 1000u
#define MOMENTS 2000u

#define AT(name) offsetof(whatif_options, name)
static const option_spec table[] = {
    {"as-of", 0, OPTION_TIME, AT(as_of), "TIME",
     "of USER: the moment, with what happened in it, RFC 3339 with offset, or milliseconds (default: now)"},
    {"against", 0, OPTION_TEXT, AT(against), "PRESET|FILE",
     "a second plan: what it says of recommend.*, over the settings as they are (a file has a / or .yaml)"},
    {"from", 0, OPTION_TIME, AT(from), "TIME", "of traffic: events received from then on (default: a day before --to)"},
    {"to", 0, OPTION_TIME, AT(to), "TIME", "and before then (default: a day after --from; without both the last day)"},
    {"moments", 0, OPTION_COUNT, AT(moments), "N", "most events of them, drawn at random (default 2000)"},
    {"limit", 'n', OPTION_COUNT, AT(limit), "N", "length of the answers, at most 100 (default 20)"},
    {"scenario", 0, OPTION_TEXT, AT(scenario), "NAME", "place of use"},
    {"seed", 0, OPTION_U64, AT(seed), "N", "of what is drawn, and of whatever is random in answers (default 0)"},
    {"json", 'j', OPTION_FLAG, AT(json), NULL, "the result as JSON"},
    CLI_PROGRESS(whatif_options),
};

/* --- the line ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_line(const whatif_run *r, reco_error *err) {
    const whatif_options *given = r->given;
    if (given->limit > EVALUATE_DEPTH_MAX)
        return options_fail(err, RECO_INVALID, "--limit", "at most %u", EVALUATE_DEPTH_MAX);
    if (r->user && (given->from || given->to || given->moments))
        return options_fail(err, RECO_INVALID, given->from ? "--from" : given->to ? "--to" : "--moments", "is for traffic, not for one USER");
    if (!r->user && given->as_of)
        return options_fail(err, RECO_INVALID, "--as-of", "is for one USER; traffic has --from and --to");
    if (!r->user && !given->against)
        return options_fail(err, RECO_INVALID, "--against", "a second plan is needed, or a USER");
    return RECO_OK;
}

/* --- asking --------------------------------------------------------------------------------------------------------------------------------- */

static reco_status make_queries(whatif_run *r, reco_error *err) {
    const whatif_options *given = r->given;
    r->count = r->user ? 1 : r->moments.count;
    r->queries = calloc(r->count + 1, sizeof *r->queries);
    if (!r->queries)
        return options_no_memory(err);
    for (size_t i = 0; i < r->count; i++) {
        const evaluate_moment *moment = r->user ? NULL : &r->moments.list[i];
        r->queries[i] = (reco_query){.struct_size = sizeof *r->queries,
                                     .flags = r->user ? 0 : RECO_QUERY_NO_REASONS,
                                     .user_id = moment ? r->moments.users.names[moment->user] : cli_str(r->user),
                                     .scenario = cli_str(given->scenario),
                                     .as_of = moment ? moment->at : r->as_of,
                                     .seed = given->seed + i + 1,
                                     .limit = r->depth};
    }
    return RECO_OK;
}

static reco_status keep(whatif_run *r, size_t index, reco_answer *answer) {
    evaluate_lists *lists = &r->plans[r->turn].lists;
    uint32_t *list = lists->items + index * lists->depth;
    reco_status status = RECO_OK;
    if (answer->flags & RECO_ANSWER_DEGRADED)
        return options_fail(r->err, RECO_UNAVAILABLE, "answer", "a store did not answer: nothing is compared");
    for (size_t i = 0; i < answer->count && i < lists->depth && status == RECO_OK; i++) {
        status = evaluate_names_add(&list[i], &r->items, answer->items[i].item_id, r->err);
        lists->counts[index] = (uint32_t)i + 1;
    }
    return status;
}

static reco_status show(whatif_run *r, reco_answer *answer) {
    const whatif_plan *of = &r->plans[r->turn];
    const char *text;
    size_t size;
    if (!r->given->json) {
        if (r->plan_count > 1)
            printf("%s%s\n", r->turn ? "\n" : "", of->label);
        cli_print_answer(of->engine, answer);
        return RECO_OK;
    }
    reco_status status = reco_answer_json(&text, &size, answer, r->err);
    if (status == RECO_OK)
        http_text_add(&r->plans[r->turn].text, text, size);
    return status;
}

static int take(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    whatif_run *r = context;
    r->status = status;
    if (status != RECO_OK)
        *r->err = *error;
    if (r->status == RECO_OK)
        r->status = keep(r, index, answer);
    if (r->status == RECO_OK && r->user)
        r->status = show(r, answer);
    return r->status != RECO_OK;
}

static reco_status ask(whatif_run *r, reco_error *err) {
    reco_status status = RECO_OK;
    r->err = err;
    for (r->turn = 0; r->turn < r->plan_count && status == RECO_OK; r->turn++) {
        whatif_plan *of = &r->plans[r->turn];
        of->rewound = (reco_rewind_result){.struct_size = sizeof of->rewound};
        status = evaluate_lists_make(&of->lists, r->count, r->depth, err);
        if (status == RECO_OK)
            status = reco_rewind(&of->rewound, of->engine, r->queries, r->count, sizeof *r->queries, take, r, &r->told, err);
        status = status == RECO_OK ? r->status : status;
        cli_progress_end(&r->progress);
    }
    return status;
}

static reco_status compare(whatif_run *r, reco_error *err) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const evaluate_resampling how = {
        .seed = r->given->seed, .resamples = RESAMPLES, .threads = processors > 0 ? (unsigned)processors : 1, .call = &r->told};
    return evaluate_likeness_make(&r->likeness, &r->plans[0].lists, &r->plans[1].lists, r->items.count, &how, err);
}

/* --- the run -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status whatif(whatif_run *r, reco_error *err) {
    const whatif_options *given = r->given;
    reco_status status = check_line(r, err);
    if (status == RECO_OK)
        status = whatif_plans_open(r, err);
    if (status == RECO_OK && !r->user)
        status = evaluate_moments_draw(&r->moments, r->plans[0].engine, given->from, given->to, given->moments ? given->moments : MOMENTS,
                                       given->seed, &r->told, err);
    cli_progress_end(&r->progress);
    if (status == RECO_OK)
        status = make_queries(r, err);
    if (status == RECO_OK && r->count == 0)
        status = options_fail(err, RECO_NOT_FOUND, "--from", "nothing happened that counts as a moment");
    if (status == RECO_OK)
        status = ask(r, err);
    if (status == RECO_OK && r->plan_count > 1)
        status = compare(r, err);
    return status == RECO_OK ? whatif_tell(r, err) : status;
}

static void dispose(void *context) {
    whatif_run *r = context;
    whatif_plans_dispose(r);
    evaluate_names_dispose(&r->items);
    evaluate_moments_dispose(&r->moments);
    evaluate_likeness_dispose(&r->likeness);
    free(r->queries);
}

static reco_status begin(void *context, const cli_call *call, reco_error *err) {
    whatif_run *r = context;
    r->call = call;
    r->given = call->options;
    r->user = call->argument_count ? call->arguments[0] : NULL;
    r->as_of = r->given->as_of ? r->given->as_of : http_wall_ms();
    r->depth = r->given->limit ? r->given->limit : 20;
    http_log_start(RECO_LOG_WARN);
    cli_progress_begin(&r->progress, r->given->progress);
    r->told = cli_progress_call(&r->progress);
    reco_status status = whatif(r, err);
    cli_progress_end(&r->progress);
    return status;
}

static int run_command(const cli_call *call) { return cli_with_run(call, sizeof(whatif_run), begin, dispose); }

const cli_command cli_whatif = {
    "whatif",
    "[USER]",
    "what would have been shown at another moment, or under another plan",
    "With USER: the answer of that moment, and with --against that of another plan beside it. Without: how far the two plans differ at\n"
    "moments of real traffic, each a millisecond before an event, and which items gain and lose. Users are what they were at each moment,\n"
    "and no item is shown before its first event; what is learned of pairs of items is as it is now, so that this tells what changes and\n"
    "not which is better: reco evaluate does. Nothing is told or learned, and no answer is kept.",
    CLI_OPTIONS(table),
    sizeof(whatif_options),
    0,
    1,
    run_command};
