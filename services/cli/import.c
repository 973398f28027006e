/* cli/import.c - history from files. */
#include <stdlib.h>
#include <string.h>

#include <reco/admin.h>

#include "cli/cli.h"
#include "http/text.h"

typedef struct options {
    const char *format;
    bool shift_time, json, progress;
} options;

static const option_spec table[] = {
    {"format", 'f', OPTION_TEXT, offsetof(options, format), "csv|ndjson|movielens|reco", "what the files are; reco is what reco export wrote"},
    {"shift-time", 0, OPTION_FLAG, offsetof(options, shift_time), NULL, "move all times so that the newest event is now"},
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

static void print_json(const reco_import_result *result) {
    http_text warning = {0};
    http_text_json(&warning, result->warning, strlen(result->warning));
    printf("{\"events\":%llu,\"rejected\":%llu,\"items\":%llu,\"users\":%llu,\"others\":%llu,\"already\":%s,\"first\":%lld,\"last\":%lld,\"warning\":"
           "%s}\n",
           (unsigned long long)result->events, (unsigned long long)result->rejected, (unsigned long long)result->items,
           (unsigned long long)result->users, (unsigned long long)result->others, result->already ? "true" : "false", (long long)result->first,
           (long long)result->last, warning.failed ? "\"\"" : warning.data);
    http_text_dispose(&warning);
}

static void print_text(const reco_import_result *result) {
    if (result->already)
        printf("imported before: nothing was added\n");
    else
        printf("%llu events and %llu items imported and learned, %llu events rejected\n", (unsigned long long)result->events,
               (unsigned long long)result->items, (unsigned long long)result->rejected);
    if (!result->already && result->users + result->others)
        printf("%llu users and %llu models and experiments imported\n", (unsigned long long)result->users, (unsigned long long)result->others);
    if (result->warning[0]) {
        fprintf(stderr, "reco: warning: ");
        cli_print_line(stderr, result->warning);
    }
}

static reco_status import(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_import_result result = {.struct_size = sizeof result};
    char **paths = session->call->arguments;
    static char standard_input[] = "/dev/stdin";
    if (strcmp(given->format, "reco") == 0 && strcmp(paths[0], "-") == 0)
        paths[0] = standard_input;
    reco_import_options how = {.struct_size = sizeof how,
                               .flags = given->shift_time ? RECO_IMPORT_SHIFT_TIME : 0,
                               .format = given->format,
                               .paths = (const char *const *)paths,
                               .path_count = session->call->argument_count};
    cli_session_progress(session, given->progress);
    reco_status status = reco_import(&result, session->engine, &how, &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    if (given->json)
        print_json(&result);
    else
        print_text(&result);
    return cli_finish(err);
}

static int run(const cli_call *call) {
    const options *given = call->options;
    reco_error err = RECO_ERROR_INIT;
    if (!given->format) {
        options_fail(&err, RECO_INVALID, "format", "say --format csv, ndjson, movielens or reco");
        return program_fail(&err);
    }
    return cli_with_engine(call, import);
}

const cli_command cli_import = {
    "import",
    "PATH...",
    "history from files, learned when it returns",
    "csv has a header line with user_id,item_id,event_type,timestamp,value (timestamps in milliseconds); ndjson has one event a line;\n"
    "movielens is the folder of ml-100k, with titles and genres; reco is what reco export wrote (- reads it from a pipe), into an empty directory.\n"
    "Importing the same again adds nothing, and goes on where an import that was killed stood.",
    CLI_OPTIONS(table),
    sizeof(options),
    1,
    1000,
    run};
