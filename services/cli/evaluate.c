/* cli/evaluate.c - how good answers are: protocols on files, through the engine as it is. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <reco/memory.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/outputs.h"
#include "evaluate/label.h"
#include "evaluate/report.h"

#define PATH_ROOM 4096u
#define LABEL_ROOM 256u

typedef struct options {
    const char *protocol, *train, *test, *queries, *valid, *preset, *against, *lists, *recs, *html, *objective, *time;
    uint32_t limit, threads, resamples, trials, tune_queries;
    uint64_t seed;
    bool json, tune, progress;
} options;

#define AT(name) offsetof(options, name)
static const option_spec table[] = {
    {"protocol", 0, OPTION_TEXT, AT(protocol), "p1|p2|p2-novel", "how it is measured, as above (needed)"},
    {"train", 0, OPTION_TEXT, AT(train), "FILE", "what is learned: user, item, time or order (needed)"},
    {"test", 0, OPTION_TEXT, AT(test), "FILE", "what is hidden: user (p2: query), item (needed)"},
    {"queries", 0, OPTION_TEXT, AT(queries), "FILE", "p2 (needed there): query, and the items before it with commas, the oldest first"},
    {"preset", 'p', OPTION_TEXT, AT(preset), "NAME", "settings to begin with, before those of --set"},
    {"against", 0, OPTION_TEXT, AT(against), "PRESET|FILE", "a second configuration, compared question by question (a file has a / or .yaml)"},
    {"lists", 0, OPTION_TEXT, AT(lists), "FILE", "score these instead of learning and asking: question, items with commas"},
    {"tune", 0, OPTION_FLAG, AT(tune), NULL, "first search the settings of answers on --valid, of the first configuration only"},
    {"valid", 0, OPTION_TEXT, AT(valid), "DIR", "folder with train, test and (p2) queries to tune on"},
    {"objective", 0, OPTION_TEXT, AT(objective), "METRIC", "what is tuned for (default ndcg@10, with p2 mrr@20)"},
    {"trials", 0, OPTION_COUNT, AT(trials), "N", "most trials (default 100)"},
    {"tune-queries", 0, OPTION_COUNT, AT(tune_queries), "N", "most questions a trial asks, drawn at random (default 10000)"},
    {"limit", 'n', OPTION_COUNT, AT(limit), "N", "length of the lists, 20 to 100 (default 20)"},
    {"time", 0, OPTION_TEXT, AT(time), "auto|order|s|ms", "what column 3 of train counts (default auto: by its size)"},
    {"seed", 0, OPTION_U64, AT(seed), "N", "of all that is drawn (default 0)"},
    {"resamples", 0, OPTION_COUNT, AT(resamples), "N", "for intervals and tests (default 1000)"},
    {"threads", 0, OPTION_COUNT, AT(threads), "N", "that ask (default: one a processor)"},
    {"recs", 0, OPTION_TEXT, AT(recs), "FILE", "write the lists of the first configuration: question, items with commas"},
    {"html", 0, OPTION_TEXT, AT(html), "FILE", "write a page with tables and plots"},
    {"json", 'j', OPTION_FLAG, AT(json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

/* One configuration under evaluation. */
typedef struct side {
    char label[LABEL_ROOM];
    reco_settings *settings;
    char folder[PATH_ROOM];
    evaluation done;
} side;

/* All that one run has. CONFINED. */
typedef struct run {
    const cli_call *call;
    const options *given;
    int protocol, time;
    unsigned objective;
    evaluation_options how;
    cli_progress progress;
    reco_call told;
    evaluate_data data;
    side sides[2];
    size_t side_count;
    tuning tuned;
    report report;
} run;

/* --- the line ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status choose(int *out, const char *const *names, size_t count, const char *given, const char *field, const char *words,
                          reco_error *err) {
    for (size_t i = 0; given && i < count; i++)
        if (strcmp(names[i], given) == 0) {
            *out = (int)i;
            return RECO_OK;
        }
    return options_fail(err, RECO_INVALID, field, "must be %s", words);
}

static reco_status check_files(const run *r, reco_error *err) {
    const options *given = r->given;
    if (!given->train)
        return options_fail(err, RECO_INVALID, "--train", "a file is needed");
    if (!given->test)
        return options_fail(err, RECO_INVALID, "--test", "a file is needed");
    if (r->protocol != EVALUATE_P1 && !given->queries)
        return options_fail(err, RECO_INVALID, "--queries", "a file is needed for this protocol");
    if (r->protocol == EVALUATE_P1 && given->queries)
        return options_fail(err, RECO_INVALID, "--queries", "protocol p1 has none: it asks for users");
    if (given->tune && !given->valid)
        return options_fail(err, RECO_INVALID, "--valid", "a folder is needed to tune on: never tune on what is tested");
    if (given->lists && (given->preset || given->against || given->tune || given->recs))
        return options_fail(err, RECO_INVALID, "--lists", "does not go with --preset, --against, --tune and --recs: nothing is asked");
    return given->valid && !given->tune ? options_fail(err, RECO_INVALID, "--valid", "is for --tune") : RECO_OK;
}

static reco_status check_line(run *r, reco_error *err) {
    static const char *const units[] = {"auto", "order", "s", "ms"};
    const options *given = r->given;
    reco_status status = choose(&r->protocol, report_protocols, 3, given->protocol, "--protocol", "p1, p2 or p2-novel", err);
    if (status == RECO_OK)
        status = check_files(r, err);
    if (status == RECO_OK)
        status = choose(&r->time, units, 4, given->time ? given->time : "auto", "--time", "auto, order, s or ms", err);
    if (status != RECO_OK)
        return status;
    r->objective = given->objective ? evaluate_metric_find(given->objective) : r->protocol == EVALUATE_P1 ? EVALUATE_NDCG10 : EVALUATE_MRR20;
    if (r->objective == EVALUATE_METRIC_COUNT)
        return options_fail(err, RECO_INVALID, "--objective", "no metric of a question is called so, such as ndcg@10, recall@20 or mrr@20");
    if (given->limit && (given->limit < EVALUATE_RANKS || given->limit > EVALUATE_DEPTH_MAX))
        return options_fail(err, RECO_INVALID, "--limit", "must be within %u and %u", EVALUATE_RANKS, EVALUATE_DEPTH_MAX);
    if (given->resamples && (given->resamples < 100 || given->resamples > 1000000))
        return options_fail(err, RECO_INVALID, "--resamples", "must be within 100 and 1000000");
    return given->threads > 256 ? options_fail(err, RECO_INVALID, "--threads", "at most 256") : RECO_OK;
}

/* DIR/NAME.tsv.gz or DIR/NAME.tsv. */
static void name_file(char *out, const char *folder, const char *name) {
    snprintf(out, PATH_ROOM, "%s/%s.tsv.gz", folder, name);
    if (access(out, R_OK) != 0)
        snprintf(out, PATH_ROOM, "%s/%s.tsv", folder, name);
}

/* What is written at the end is not what is read, and can be written. */
static reco_status check_output(const run *r, const char *path, const char *option, reco_error *err) {
    const options *given = r->given;
    char valid[3][PATH_ROOM] = {"", "", ""};
    static const char *const parts[] = {"train", "test", "queries"};
    for (size_t i = 0; i < 3 && given->valid; i++)
        name_file(valid[i], given->valid, parts[i]);
    const char *config = r->call->globals->config ? r->call->globals->config : getenv("RECO_CONFIG");
    const char *const inputs[] = {given->train, given->test, given->queries, given->lists, given->against, config, valid[0], valid[1], valid[2]};
    reco_status status = cli_output_check(path, option, err);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs && status == RECO_OK; i++)
        if (inputs[i] && access(inputs[i], F_OK) == 0 && cli_output_same(path, inputs[i]))
            status = options_fail(err, RECO_INVALID, option, "%.150s is read, and would be lost", path);
    return status;
}

static reco_status check_outputs(const run *r, reco_error *err) {
    const char *recs = r->given->recs, *html = r->given->html;
    reco_status status = recs ? check_output(r, recs, "--recs", err) : RECO_OK;
    if (status == RECO_OK && html)
        status = check_output(r, html, "--html", err);
    if (status == RECO_OK && recs && html && cli_output_same(recs, html))
        status = options_fail(err, RECO_INVALID, "--html", "is the file of --recs too");
    return status;
}

/* --- configurations ------------------------------------------------------------------------------------------------------------------------- */

/* By what the settings are; and by their file, where no preset of the line comes over it. */
static reco_status label_side(side *out, const char *file, reco_error *err) {
    char label[LABEL_ROOM / 2];
    reco_status status = evaluate_label(label, sizeof label, out->settings, err);
    bool named = file && *file;
    size_t size = named ? strlen(file) : 0, most = LABEL_ROOM / 2 - sizeof " (), tuned";
    snprintf(out->label, sizeof out->label, named ? "%s (%s)" : "%s%s", named ? file + (size > most ? size - most : 0) : "", label);
    return status;
}

/* Those of the line, over a preset or a file that comes before --set. */
static reco_status make_side(side *out, const run *r, const char *preset, const char *file, reco_error *err) {
    program_globals globals = *r->call->globals;
    reco_settings *settings = NULL;
    char text[80];
    if (preset) {
        if (globals.set.count == OPTION_LIST_MAX)
            return options_fail(err, RECO_TOO_LARGE, "--set", "at most %u", OPTION_LIST_MAX - 1);
        memmove(globals.set.items + 1, globals.set.items, globals.set.count++ * sizeof *globals.set.items);
        snprintf(text, sizeof text, "preset=%s", preset);
        globals.set.items[0] = text;
    }
    globals.config = file ? file : globals.config;
    reco_status status = program_settings(&settings, &globals, err);
    if (status == RECO_OK)
        status = evaluation_settings(&out->settings, settings, err);
    reco_settings_free(settings);
    if (status == RECO_OK)
        status = label_side(out, preset ? NULL : globals.config ? globals.config : getenv("RECO_CONFIG"), err);
    return status == RECO_OK ? evaluate_folder_make(out->folder, err) : status;
}

static reco_status make_sides(run *r, reco_error *err) {
    const char *against = r->given->against;
    char words[300];
    bool file = false;
    reco_status status = against ? cli_against(&file, against, err) : RECO_OK;
    if (status == RECO_OK)
        status = make_side(&r->sides[r->side_count++], r, r->given->preset, NULL, err);
    if (status == RECO_OK && against)
        status = make_side(&r->sides[r->side_count++], r, file ? NULL : against, file ? against : NULL, err);
    if (status != RECO_OK || !against || r->given->tune) /* tuning makes a difference */
        return status;
    snprintf(words, sizeof words, "the second configuration is the first: %.200s says nothing else", against);
    return cli_warn_same(r->sides[0].settings, r->sides[1].settings, words, err);
}

/* --- tuning --------------------------------------------------------------------------------------------------------------------------------- */

static void tell_trial(void *context, uint32_t trial, const char *name, const char *value, double score, double best) {
    run *r = context;
    cli_progress_end(&r->progress);
    if (r->given->progress || isatty(STDERR_FILENO))
        fprintf(stderr, "trial %u: %s %s: %.4f (best %.4f)\n", trial, name, value, score, best);
}

static reco_status tune_on(run *r, evaluate_data *data, const char *folder, reco_error *err) {
    const options *given = r->given;
    evaluation done = {0};
    char train[PATH_ROOM], test[PATH_ROOM], queries[PATH_ROOM];
    name_file(train, given->valid, "train");
    name_file(test, given->valid, "test");
    name_file(queries, given->valid, "queries");
    evaluate_files files = {train, test, queries, r->protocol, r->time, &r->told};
    bool tested = false;
    tune_options how = {.objective = r->objective,
                        .trials = given->trials ? given->trials : 100,
                        .questions = given->tune_queries ? given->tune_queries : 10000,
                        .evaluation = r->how,
                        .tried = tell_trial,
                        .context = r};
    reco_status status = evaluate_data_read(data, &files, err);
    if (status == RECO_OK)
        status = evaluate_data_is_part(&tested, data, &r->data, err);
    if (status == RECO_OK && tested)
        status = options_fail(err, RECO_INVALID, "--valid", "all that is hidden in it is hidden in --test too: never tune on what is tested");
    if (status == RECO_OK)
        status = evaluation_learn(&done, folder, r->sides[0].settings, data, &r->how, err);
    return status == RECO_OK ? tune(&r->tuned, r->sides[0].settings, folder, data, &how, err) : status;
}

static reco_status tune_first(run *r, reco_error *err) {
    evaluate_data data = {0};
    char folder[PATH_ROOM] = "";
    reco_status status = evaluate_folder_make(folder, err);
    if (status == RECO_OK) {
        status = tune_on(r, &data, folder, err);
        evaluate_folder_remove(folder);
    }
    evaluate_data_dispose(&data);
    snprintf(r->sides[0].label + strlen(r->sides[0].label), sizeof r->sides[0].label - strlen(r->sides[0].label), ", tuned");
    return status;
}

/* --- the run -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status evaluate_side(run *r, side *of, reco_error *err) {
    if (r->given->lists) {
        snprintf(of->label, sizeof of->label, "%s", r->given->lists);
        return evaluation_of_lists(&of->done, r->given->lists, &r->data, &r->how, err);
    }
    reco_status status = evaluation_learn(&of->done, of->folder, of->settings, &r->data, &r->how, err);
    return status == RECO_OK ? evaluation_ask(&of->done, of->folder, of->settings, &r->data, &r->how, err) : status;
}

static reco_status compare(run *r, reco_error *err) {
    reco_status status = RECO_OK;
    for (unsigned i = 0; i < EVALUATE_METRIC_COUNT && status == RECO_OK; i++)
        status = evaluate_paired(&r->report.differences[i], r->sides[0].done.metrics.values[i], r->sides[1].done.metrics.values[i],
                                 r->data.question_count, &r->how.resampling, err);
    return status;
}

static reco_status evaluate(run *r, reco_error *err) {
    evaluate_files files = {r->given->train, r->given->test, r->given->queries, r->protocol, r->time, &r->told};
    reco_status status = evaluate_data_read(&r->data, &files, err);
    if (status == RECO_OK && r->given->recs)
        status = report_lists_check(&r->data, "--recs", err);
    if (status == RECO_OK && r->given->tune)
        status = tune_first(r, err);
    for (size_t i = 0; i < r->side_count && status == RECO_OK; i++)
        status = evaluate_side(r, &r->sides[i], err);
    return status == RECO_OK && r->side_count == 2 ? compare(r, err) : status;
}

static void fill_report(run *r) {
    report *what = &r->report;
    what->data = &r->data;
    what->train = r->given->train;
    what->test = r->given->test;
    what->depth = r->how.depth;
    what->seed = r->how.resampling.seed;
    what->resamples = r->how.resampling.resamples;
    what->side_count = r->side_count;
    what->tuned = r->given->tune ? &r->tuned : NULL;
    what->objective = r->objective;
    for (size_t i = 0; i < r->side_count; i++)
        what->sides[i] = (report_side){r->sides[i].label, r->given->lists ? NULL : r->sides[i].settings, &r->sides[i].done};
}

static reco_status print(const run *r, reco_error *err) {
    http_text text = {0};
    if (r->given->json) {
        report_json(&text, &r->report);
        fputs(text.failed ? "" : text.data, stdout);
    } else
        report_text(stdout, &r->report);
    reco_status status = text.failed ? options_no_memory(err) : cli_finish(err);
    http_text_dispose(&text);
    return status;
}

static reco_status write_page(const run *r, reco_error *err) {
    http_text text = {0};
    report_html(&text, &r->report);
    reco_status status = report_write(r->given->html, &text, err);
    http_text_dispose(&text);
    return status;
}

/* Whatever of it fails, the rest is told: it may have taken hours. The first failure is answered. */
static reco_status tell(run *r, reco_error *err) {
    reco_error later = RECO_ERROR_INIT;
    fill_report(r);
    reco_status status = print(r, err);
    if (r->given->recs) {
        reco_status written = report_lists(r->given->recs, &r->data, &r->sides[0].done.lists, status == RECO_OK ? err : &later);
        status = status == RECO_OK ? written : status;
    }
    if (r->given->html) {
        reco_status written = write_page(r, status == RECO_OK ? err : &later);
        status = status == RECO_OK ? written : status;
    }
    return status;
}

static reco_status prepare(run *r, reco_error *err) {
    const options *given = r->given;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    reco_status status = check_line(r, err);
    cli_progress_begin(&r->progress, given->progress);
    r->told = cli_progress_call(&r->progress);
    r->told.cancel = cli_interrupt_begin();
    r->how = (evaluation_options){.depth = given->limit ? given->limit : EVALUATE_RANKS,
                                  .resampling = {.seed = given->seed,
                                                 .resamples = given->resamples ? given->resamples : 1000,
                                                 .threads = given->threads   ? given->threads
                                                            : processors > 0 ? (unsigned)processors
                                                                             : 1,
                                                 .call = &r->told}};
    if (status == RECO_OK)
        status = check_outputs(r, err);
    return status == RECO_OK ? make_sides(r, err) : status;
}

static void dispose(void *context) {
    run *r = context;
    for (size_t i = 0; i < r->side_count; i++) {
        reco_settings_free(r->sides[i].settings);
        evaluation_dispose(&r->sides[i].done);
        if (r->sides[i].folder[0])
            evaluate_folder_remove(r->sides[i].folder);
    }
    evaluate_data_dispose(&r->data);
}

static reco_status begin(void *context, const cli_call *call, reco_error *err) {
    run *r = context;
    r->call = call;
    r->given = call->options;
    reco_status status = prepare(r, err);
    if (status == RECO_OK)
        status = evaluate(r, err);
    cli_progress_end(&r->progress);
    if (status == RECO_CANCELLED)
        return options_fail(err, status, "", "stopped");
    return status == RECO_OK ? tell(r, err) : status;
}

static int run_command(const cli_call *call) { return cli_interrupt_end(cli_with_run(call, sizeof(run), begin, dispose)); }

const cli_command cli_evaluate = {
    "evaluate",
    "",
    "how good answers are, measured on files",
    "Learns the training part in a folder of its own, asks, and scores the lists; nothing is sampled. Files have columns between tabs, plain\n"
    "or compressed (gzip).\n"
    "  p1        a question a user: every item but those the user has in train; hidden are the user's items of test\n"
    "  p2        a question a query: what comes next after its items; going back to one of them counts\n"
    "  p2-novel  the same where the hidden item is new to the query, whose items are taken out of the lists\n"
    "A setting that is tuned is one of answers, recommend.*, never one of learning. --data is not looked at: nothing but these files is read, and\n"
    "the folder is removed at the end.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    0,
    run_command};
