/* cli/whatif.c - what somebody would have seen at another moment, and how far two plans differ over real traffic. Users are put back to what they
 * were at each moment (reco_rewind); what is learned of items stays as it is, and is the same for both plans. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <reco/admin.h>
#include <reco/memory.h>

#include "cli/cli.h"
#include "evaluate/likeness.h"
#include "evaluate/moments.h"
#include "http/log.h"
#include "http/text.h"

#define LISTED 10u /* who gains, who loses */
#define RESAMPLES 1000u
#define MOMENTS 2000u

typedef struct options {
    const char *against, *scenario;
    int64_t as_of, from, to;
    uint32_t limit, moments;
    uint64_t seed;
    bool json, progress;
} options;

#define AT(name) offsetof(options, name)
static const option_spec table[] = {
    {"as-of", 0, OPTION_TIME, AT(as_of), "TIME", "of USER: the moment, RFC 3339 with offset, or milliseconds (default: now)"},
    {"against", 0, OPTION_TEXT, AT(against), "PRESET|FILE", "a second plan: what it says of recommend.*, over the settings as they are"},
    {"from", 0, OPTION_TIME, AT(from), "TIME", "of traffic: events received from then on (default: a day before --to)"},
    {"to", 0, OPTION_TIME, AT(to), "TIME", "and before then (default: a day after --from; without both the last day)"},
    {"moments", 0, OPTION_COUNT, AT(moments), "N", "most events of them, drawn at random (default 2000)"},
    {"limit", 'n', OPTION_COUNT, AT(limit), "N", "length of the answers, at most 100 (default 20)"},
    {"scenario", 0, OPTION_TEXT, AT(scenario), "NAME", "place of use"},
    {"seed", 0, OPTION_U64, AT(seed), "N", "of what is drawn, and of whatever is random in answers (default 0)"},
    {"json", 'j', OPTION_FLAG, AT(json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

/* One plan: the settings, the engine that answers by them, and its answers. */
typedef struct plan {
    char label[128];
    reco_settings *settings;
    reco_engine *engine;
    evaluate_lists lists;
    http_text text; /* of USER: the answer as JSON */
} plan;

/* All that one run has. CONFINED. */
typedef struct run {
    const cli_call *call;
    const options *given;
    const char *user; /* NULL: of all, at moments of traffic */
    int64_t as_of;
    uint32_t depth;
    cli_progress progress;
    reco_call told;
    plan plans[2];
    size_t plan_count, turn; /* turn: whose answers come */
    evaluate_names items;
    evaluate_moments moments;
    reco_query *queries;
    size_t count; /* of queries */
    reco_rewind_result rewound;
    evaluate_likeness likeness;
    reco_status status; /* of what the sink did */
    reco_error *err;
} run;

/* --- the line ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_line(const run *r, reco_error *err) {
    const options *given = r->given;
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

/* --- plans ---------------------------------------------------------------------------------------------------------------------------------- */

/* Settings of answers from one to the other. */
static reco_status copy_answers(reco_settings *to, const reco_settings *from, reco_error *err) {
    char *help = NULL, value[1024];
    reco_status status = reco_settings_help(&help, 0, err);
    for (char *line = help; line && *line && status == RECO_OK;) {
        char *next = line + strcspn(line, "\n");
        next += *next != 0;
        if (strncmp(line, "recommend.", 10) == 0) {
            line[strcspn(line, " ")] = 0;
            status = reco_settings_get(value, sizeof value, from, line, err);
            if (status == RECO_OK)
                status = reco_settings_set(to, line, value, err);
        }
        line = next;
    }
    reco_free(help);
    return status;
}

static reco_status make_plans(run *r, reco_error *err) {
    const char *against = r->given->against, *config = r->call->globals->config;
    reco_settings *other = NULL;
    bool file = against && access(against, R_OK) == 0;
    reco_status status = program_settings(&r->plans[0].settings, r->call->globals, err);
    r->plan_count = against ? 2 : 1;
    snprintf(r->plans[0].label, sizeof r->plans[0].label, "%s", config ? config : "the settings as they are");
    snprintf(r->plans[1].label, sizeof r->plans[1].label, "%s%s", file ? "" : "preset ", against ? against : "");
    if (status == RECO_OK)
        status = program_data_there(r->plans[0].settings, err);
    if (status != RECO_OK || !against)
        return status;
    status = program_settings(&r->plans[1].settings, r->call->globals, err);
    if (status == RECO_OK)
        status = program_settings(&other, r->call->globals, err);
    if (status == RECO_OK)
        status = file ? reco_settings_load_file(other, against, err) : reco_settings_set(other, "preset", against, err);
    if (status != RECO_OK && !file)
        options_fail(err, status, "--against", "%.100s is neither a preset nor a file that can be read", against);
    if (status == RECO_OK)
        status = copy_answers(r->plans[1].settings, other, err);
    reco_settings_free(other);
    return status;
}

/* What differs in nothing is most often a mistake. */
static reco_status look_for_difference(const run *r, reco_error *err) {
    char *texts[2] = {NULL, NULL};
    reco_status status = reco_settings_print(&texts[0], r->plans[0].settings, err);
    if (status == RECO_OK)
        status = reco_settings_print(&texts[1], r->plans[1].settings, err);
    if (status == RECO_OK && strcmp(texts[0], texts[1]) == 0)
        fprintf(stderr, "reco: warning: the second plan is the first: %s says nothing else of recommend.*\n", r->given->against);
    reco_free(texts[0]);
    reco_free(texts[1]);
    return status;
}

static reco_status open_plans(run *r, reco_error *err) {
    reco_status status = RECO_OK;
    for (size_t i = 0; i < r->plan_count && status == RECO_OK; i++) {
        reco_open_options how = {.struct_size = sizeof how, .settings = r->plans[i].settings};
        status = reco_open(&r->plans[i].engine, &how, NULL, err);
    }
    return status;
}

/* --- asking --------------------------------------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static reco_status make_queries(run *r, reco_error *err) {
    const options *given = r->given;
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

static reco_status keep(run *r, size_t index, reco_answer *answer) {
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

static reco_status show(run *r, reco_answer *answer) {
    const plan *of = &r->plans[r->turn];
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
    run *r = context;
    r->status = status;
    if (status != RECO_OK)
        *r->err = *error;
    if (r->status == RECO_OK)
        r->status = keep(r, index, answer);
    if (r->status == RECO_OK && r->user)
        r->status = show(r, answer);
    return r->status != RECO_OK;
}

static reco_status ask(run *r, reco_error *err) {
    reco_status status = RECO_OK;
    r->err = err;
    for (r->turn = 0; r->turn < r->plan_count && status == RECO_OK; r->turn++) {
        r->rewound = (reco_rewind_result){.struct_size = sizeof r->rewound};
        status = evaluate_lists_make(&r->plans[r->turn].lists, r->count, r->depth, err);
        if (status == RECO_OK)
            status = reco_rewind(&r->rewound, r->plans[r->turn].engine, r->queries, r->count, sizeof *r->queries, take, r, &r->told, err);
        status = status == RECO_OK ? r->status : status;
        cli_progress_end(&r->progress);
    }
    return status;
}

static reco_status compare(run *r, reco_error *err) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const evaluate_resampling how = {
        .seed = r->given->seed, .resamples = RESAMPLES, .threads = processors > 0 ? (unsigned)processors : 1, .call = &r->told};
    return evaluate_likeness_make(&r->likeness, &r->plans[0].lists, &r->plans[1].lists, r->items.count, &how, err);
}

/* --- telling -------------------------------------------------------------------------------------------------------------------------------- */

static void add_name(http_text *out, reco_str name) { http_text_json(out, name.data, name.size); }

static bool has(const evaluate_lists *lists, size_t index, uint32_t item) {
    for (uint32_t i = 0; i < lists->counts[index]; i++)
        if (evaluate_list(lists, index)[i] == item)
            return true;
    return false;
}

/* Items of one answer that the other does not have; to people by their titles. */
static void add_only(http_text *out, const run *r, size_t in, bool titles) {
    const evaluate_lists *lists = &r->plans[in].lists, *other = &r->plans[!in].lists;
    const char *between = "";
    for (uint32_t i = 0; i < lists->counts[0]; i++) {
        uint32_t item = lists->items[i];
        if (has(other, 0, item))
            continue;
        http_text_printf(out, "%s", between);
        between = titles ? ", " : ",";
        char *title = titles ? cli_title_of(r->plans[0].engine, r->items.names[item]) : NULL;
        if (titles)
            http_text_printf(out, "%s", title ? title : "");
        else
            add_name(out, r->items.names[item]);
        free(title);
    }
}

static void add_values(http_text *out, const evaluate_likeness *of) {
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++) {
        http_text_printf(out, "%s\"%s\":", i ? "," : "", evaluate_likeness_names[i]);
        if (isnan(of->means[i]))
            http_text_printf(out, "null");
        else if (of->count == 1)
            http_text_printf(out, "%.6g", of->means[i]);
        else
            http_text_printf(out, "{\"mean\":%.6g,\"low\":%.6g,\"high\":%.6g}", of->means[i], of->intervals[i].low, of->intervals[i].high);
    }
}

static void add_user(http_text *out, const run *r) {
    http_text_printf(out, "{\"user_id\":");
    add_name(out, cli_str(r->user));
    http_text_printf(out, ",\"as_of\":\"");
    http_text_time(out, r->as_of);
    http_text_printf(out, "\",\"events\":%llu,\"missing\":%llu,\"plans\":[", (unsigned long long)r->rewound.events,
                     (unsigned long long)r->rewound.missing);
    for (size_t i = 0; i < r->plan_count; i++) {
        http_text_printf(out, "%s{\"label\":", i ? "," : "");
        add_name(out, cli_str(r->plans[i].label));
        http_text_printf(out, ",\"answer\":");
        http_text_add(out, r->plans[i].text.data, r->plans[i].text.size);
        http_text_printf(out, "}");
    }
    http_text_printf(out, "]");
    if (r->plan_count > 1) {
        http_text_printf(out, ",\"difference\":{");
        add_values(out, &r->likeness);
        http_text_printf(out, ",\"new\":[");
        add_only(out, r, 1, false);
        http_text_printf(out, "],\"gone\":[");
        add_only(out, r, 0, false);
        http_text_printf(out, "]}");
    }
    http_text_printf(out, "}\n");
}

/* The i-th that gains most, or loses most; NULL when there are no more. */
static const evaluate_places *changed(const evaluate_likeness *of, size_t i, bool loses) {
    if (i >= of->place_count || i >= LISTED)
        return NULL;
    const evaluate_places *places = &of->places[loses ? of->place_count - 1 - i : i];
    return loses ? places->places[1] < places->places[0] ? places : NULL : places->places[1] > places->places[0] ? places : NULL;
}

static void add_changed(http_text *out, const run *r, bool loses) {
    const evaluate_places *of;
    http_text_printf(out, ",\"%s\":[", loses ? "losers" : "gainers");
    for (size_t i = 0; (of = changed(&r->likeness, i, loses)); i++) {
        http_text_printf(out, "%s{\"item_id\":", i ? "," : "");
        add_name(out, r->items.names[of->item]);
        http_text_printf(out, ",\"places\":[%u,%u]}", of->places[0], of->places[1]);
    }
    http_text_printf(out, "]");
}

/* Leaves out of the list the moment of a user that is in it with no smaller a value; false: with a smaller one. */
static bool make_way(size_t *list, size_t *count, const run *r, size_t moment) {
    const double *values = r->likeness.values[EVALUATE_RBO];
    for (size_t i = 0; i < *count; i++) {
        if (r->moments.list[list[i]].user != r->moments.list[moment].user)
            continue;
        if (values[list[i]] <= values[moment])
            return false;
        memmove(&list[i], &list[i + 1], (--*count - i) * sizeof *list);
        return true;
    }
    return *count < LISTED || values[list[LISTED - 1]] > values[moment];
}

/* Moments in which the plans agree least, one a user, the first of those that are equal. */
static size_t least_alike(size_t *out, const run *r) {
    const double *values = r->likeness.values[EVALUATE_RBO];
    size_t count = 0;
    for (size_t q = 0; q < r->count; q++) {
        if (values[q] >= 1 || !make_way(out, &count, r, q))
            continue;
        size_t at = count < LISTED ? count : LISTED - 1;
        for (; at > 0 && values[out[at - 1]] > values[q]; at--)
            out[at] = out[at - 1];
        out[at] = q;
        count += count < LISTED;
    }
    return count;
}

static void add_least_alike(http_text *out, const run *r) {
    size_t worst[LISTED + 1], count = least_alike(worst, r);
    http_text_printf(out, ",\"least_alike\":[");
    for (size_t i = 0; i < count; i++) {
        const evaluate_moment *moment = &r->moments.list[worst[i]];
        http_text_printf(out, "%s{\"user_id\":", i ? "," : "");
        add_name(out, r->moments.users.names[moment->user]);
        http_text_printf(out, ",\"as_of\":\"");
        http_text_time(out, moment->at);
        http_text_printf(out, "\",\"rbo\":%.6g}", r->likeness.values[EVALUATE_RBO][worst[i]]);
    }
    http_text_printf(out, "]");
}

static void add_traffic(http_text *out, const run *r) {
    const evaluate_likeness *of = &r->likeness;
    http_text_printf(out, "{\"from\":\"");
    http_text_time(out, r->moments.from);
    http_text_printf(out, "\",\"to\":\"");
    http_text_time(out, r->moments.to);
    http_text_printf(out, "\",\"events\":%llu,\"moments\":%zu,\"missing\":%llu,\"limit\":%u,\"plans\":[", (unsigned long long)r->moments.met,
                     r->count, (unsigned long long)r->rewound.missing, r->depth);
    for (size_t i = 0; i < r->plan_count; i++) {
        http_text_printf(out, "%s", i ? "," : "");
        add_name(out, cli_str(r->plans[i].label));
    }
    http_text_printf(out, "],");
    add_values(out, of);
    http_text_printf(out, ",\"identical\":%zu,\"same_first\":%zu,\"items\":[%u,%u]", of->identical, of->same_first, of->items[0], of->items[1]);
    add_changed(out, r, false);
    add_changed(out, r, true);
    add_least_alike(out, r);
    http_text_printf(out, "}\n");
}

/* --- for people ----------------------------------------------------------------------------------------------------------------------------- */

static void print_user(http_text *out, const run *r) {
    http_text_printf(out, "\nas of ");
    http_text_time(out, r->as_of);
    http_text_printf(out, ", from %llu events of the user\n", (unsigned long long)r->rewound.events);
    if (r->plan_count == 1)
        return;
    http_text_printf(out, "overlap %.2f, rank-biased overlap %.2f\nonly in the second: ", r->likeness.means[EVALUATE_OVERLAP],
                     r->likeness.means[EVALUATE_RBO]);
    add_only(out, r, 1, true);
    http_text_printf(out, "\nonly in the first: ");
    add_only(out, r, 0, true);
    http_text_printf(out, "\n");
}

static void print_changed(http_text *out, const run *r, bool loses) {
    const evaluate_places *of;
    for (size_t i = 0; (of = changed(&r->likeness, i, loses)); i++) {
        char *title = cli_title_of(r->plans[0].engine, r->items.names[of->item]);
        http_text_printf(out, "%s  %8u  %8u  %s\n",
                         i       ? ""
                         : loses ? "\nloses most\n"
                                 : "\ngains most\n",
                         of->places[0], of->places[1], title ? title : "");
        free(title);
    }
}

static void print_traffic(http_text *out, const run *r) {
    static const char *const words[] = {"overlap", "rank-biased overlap", "Kendall's tau of what is in both"};
    const evaluate_likeness *of = &r->likeness;
    http_text_printf(out, "first:  %s\nsecond: %s\n%zu moments of %llu, from ", r->plans[0].label, r->plans[1].label, r->count,
                     (unsigned long long)r->moments.met);
    http_text_time(out, r->moments.from);
    http_text_printf(out, " to ");
    http_text_time(out, r->moments.to);
    http_text_printf(out, ", %u items each\n\n", r->depth);
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++)
        if (!isnan(of->means[i]))
            http_text_printf(out, "%-34s %7.4f   %.4f to %.4f\n", words[i], of->means[i], of->intervals[i].low, of->intervals[i].high);
    http_text_printf(out, "%-34s %zu\n%-34s %zu\n%-34s %u, %u\n", "the same answer", of->identical, "the same first item", of->same_first,
                     "different items, first and second", of->items[0], of->items[1]);
    print_changed(out, r, false);
    print_changed(out, r, true);
    size_t worst[LISTED + 1], count = least_alike(worst, r);
    for (size_t i = 0; i < count; i++) {
        const evaluate_moment *moment = &r->moments.list[worst[i]];
        http_text_printf(out, "%s  %6.4f  ", i ? "" : "\nleast alike (reco whatif USER --as-of TIME --against ... shows one)\n",
                         of->values[EVALUATE_RBO][worst[i]]);
        http_text_time(out, moment->at);
        http_text_printf(out, "  %s\n", r->moments.users.names[moment->user].data);
    }
}

static reco_status tell(const run *r, reco_error *err) {
    http_text text = {0};
    void (*const ways[2][2])(http_text *, const run *) = {{print_traffic, print_user}, {add_traffic, add_user}};
    ways[r->given->json][r->user != NULL](&text, r);
    bool failed = text.failed || r->plans[0].text.failed || r->plans[1].text.failed;
    if (!failed)
        fwrite(text.data, 1, text.size, stdout);
    http_text_dispose(&text);
    if (r->rewound.missing)
        fprintf(stderr, "reco: warning: the stream had dropped %llu records already; what users did there is not counted\n",
                (unsigned long long)r->rewound.missing);
    return failed ? options_no_memory(err) : cli_finish(err);
}

/* --- the run -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status whatif(run *r, reco_error *err) {
    const options *given = r->given;
    reco_status status = check_line(r, err);
    if (status == RECO_OK)
        status = make_plans(r, err);
    if (status == RECO_OK && r->plan_count > 1)
        status = look_for_difference(r, err);
    if (status == RECO_OK)
        status = open_plans(r, err);
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
    return status == RECO_OK ? tell(r, err) : status;
}

static void dispose(run *r) {
    for (size_t i = 0; i < 2; i++) {
        reco_close(r->plans[i].engine);
        reco_settings_free(r->plans[i].settings);
        evaluate_lists_dispose(&r->plans[i].lists);
        http_text_dispose(&r->plans[i].text);
    }
    evaluate_names_dispose(&r->items);
    evaluate_moments_dispose(&r->moments);
    evaluate_likeness_dispose(&r->likeness);
    free(r->queries);
    free(r);
}

static int run_command(const cli_call *call) {
    reco_error err = RECO_ERROR_INIT;
    run *r = calloc(1, sizeof *r);
    if (!r) {
        options_no_memory(&err);
        return program_fail(&err);
    }
    r->call = call;
    r->given = call->options;
    r->user = call->argument_count ? call->arguments[0] : NULL;
    r->as_of = r->given->as_of ? r->given->as_of : now_ms();
    r->depth = r->given->limit ? r->given->limit : 20;
    http_log_start(RECO_LOG_WARN);
    cli_progress_begin(&r->progress, r->given->progress);
    r->told = cli_progress_call(&r->progress);
    reco_status status = whatif(r, &err);
    cli_progress_end(&r->progress);
    dispose(r);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_whatif = {
    "whatif",
    "[USER]",
    "what would have been shown at another moment, or under another plan",
    "With USER: the answer of that moment, and with --against that of another plan beside it. Without: how far the two plans differ at\n"
    "moments of real traffic, and which items gain and lose. Users are what they were at each moment; what is learned of items is as it\n"
    "is now, so that this tells what changes and not which is better: reco evaluate does.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    1,
    run_command};
