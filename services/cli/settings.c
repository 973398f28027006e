/* cli/settings.c - the settings: what there is, and what is in force here. */
#include "cli/cli.h"

typedef struct options {
    bool markdown, current;
} options;

static const option_spec table[] = {
    {"current", 0, OPTION_FLAG, offsetof(options, current), NULL, "the values in force, by file, environment and flags, as YAML"},
    {"markdown", 0, OPTION_FLAG, offsetof(options, markdown), NULL, "the reference, docs/reference/configuration.md but for its beginning"}};

static reco_status current(char **text, const program_globals *globals, reco_error *err) {
    reco_settings *settings = NULL;
    reco_status status = program_settings(&settings, globals, err);
    if (status == RECO_OK)
        status = reco_settings_print(text, settings, err);
    reco_settings_free(settings);
    return status;
}

static int run(const cli_call *call) {
    const options *given = call->options;
    reco_error err = RECO_ERROR_INIT;
    char *text = NULL;
    reco_status status = given->current ? current(&text, call->globals, &err) : reco_settings_help(&text, given->markdown, &err);
    if (status == RECO_OK) {
        fputs(text, stdout);
        status = cli_finish(&err);
    }
    reco_free(text);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_settings = {"settings", "", "every setting, with its default and meaning", NULL, CLI_OPTIONS(table), sizeof(options), 0,
                                  0,          run};
