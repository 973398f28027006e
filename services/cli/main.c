/* reco: everything libreco does, from the command line. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const cli_command *const cli_commands[] = {
    &cli_serve,     &cli_import,        &cli_ingest,                                                             /* events in */
    &cli_recommend, &cli_session_items, &cli_rank,     &cli_similar, &cli_batch,    &cli_popular,                /* answers out */
    &cli_items,     &cli_item,          &cli_users,    &cli_user,                                                /* what is known */
    &cli_verify,    &cli_stats,         &cli_snapshot, &cli_backup,  &cli_restore,  &cli_archive,  &cli_migrate, /* looking after it */
    &cli_doctor,    &cli_trim,          &cli_replay,   &cli_export,  &cli_generate, &cli_settings, &cli_completion,
    &cli_explain,   &cli_why_not,       &cli_evaluate, &cli_whatif,  &cli_bench,    &cli_top, /* seeing how good it is */
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

#define ARGUMENTS_MAX 1024u

static const cli_command *find_command(const char *name) {
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static int usage(FILE *out) {
    fprintf(out, "reco - a real-time recommender: events in, recommendations out\n\nusage: reco [options] COMMAND [options]\n\ncommands:\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", cli_commands[i]->name, cli_commands[i]->arguments);
        fprintf(out, "  %-28s %s\n", left, cli_commands[i]->summary);
    }
    fprintf(out, "\noptions, before or after the command:\n");
    options_print(out, program_global_options, program_global_count);
    fprintf(out, "\nreco COMMAND --help tells more. Flags go before RECO_* of the environment, which goes before the file.\n"
                 "Exit codes: 0 it went well, 1 it failed (verify: unequal), 2 a wrong option or setting.\n");
    return out == stdout ? PROGRAM_OK : PROGRAM_USAGE;
}

static int help(const cli_command *command) {
    printf("reco %s - %s\n\nusage: reco [options] %s %s\n\n", command->name, command->summary, command->name, command->arguments);
    if (command->details)
        printf("%s\n\n", command->details);
    options_print(stdout, command->options, command->option_count);
    options_print(stdout, program_global_options, program_global_count);
    return PROGRAM_OK;
}

static int print_version(void) {
    printf("reco %s\n", reco_build_info());
    return PROGRAM_OK;
}

/* Settings of the line that the command has no use for are not to be wrong unnoticed. */
static reco_status check_settings(const cli_command *command, const program_globals *globals, reco_error *err) {
    reco_settings *settings = NULL;
    bool unused = command == &cli_generate || command == &cli_settings || command == &cli_completion;
    if (!unused || (!globals->config && !globals->data && globals->set.count == 0))
        return RECO_OK;
    reco_status status = program_settings(&settings, globals, err);
    reco_settings_free(settings);
    return status;
}

static void wrong_count(reco_error *err, const cli_command *command, size_t count) {
    const char *last = strrchr(command->arguments, ' ');
    size_t before = last ? 1 : 0; /* USER ITEM...: at most two words */
    if (count > command->most && strstr(command->arguments, "..."))
        options_fail(err, RECO_INVALID, command->name, "at most %zu of %s, not %zu", command->most - before, last ? last + 1 : command->arguments,
                     count - before);
    else
        options_fail(err, RECO_INVALID, command->name, "usage: reco %s %s", command->name, command->arguments);
}

static int run_command(const cli_command *command, program_globals *globals, void *options, int argc, char **argv, char **arguments) {
    reco_error err = RECO_ERROR_INIT;
    size_t count = 0;
    const option_set sets[] = {{command->options, command->option_count, options}, {program_global_options, program_global_count, globals}};
    if (options_parse(sets, 2, argc, argv, arguments, ARGUMENTS_MAX, &count, false, &err) != RECO_OK)
        return program_fail(&err);
    if (globals->help)
        return help(command);
    if (globals->version)
        return print_version();
    if (count < command->least || count > command->most) {
        wrong_count(&err, command, count);
        return program_fail(&err);
    }
    if (check_settings(command, globals, &err) != RECO_OK)
        return program_fail(&err);
    cli_call call = {globals, options, arguments, count};
    return command->run(&call);
}

/* The command's name is the first word of rest[]; options_parse begins behind it. */
static int find_and_run(program_globals *globals, char **rest, size_t count) {
    reco_error err = RECO_ERROR_INIT;
    const cli_command *command = find_command(rest[0]);
    if (!command) {
        options_fail(&err, RECO_INVALID, rest[0], "unknown command; reco --help lists them");
        return program_fail(&err);
    }
    void *options = calloc(1, command->options_size + 1);
    char **arguments = calloc(ARGUMENTS_MAX, sizeof *arguments);
    int code = PROGRAM_FAILED;
    if (options && arguments)
        code = run_command(command, globals, options, (int)count, rest, arguments);
    else
        fprintf(stderr, "reco: out of memory\n");
    free(options);
    free(arguments);
    return code;
}

int main(int argc, char **argv) {
    program_globals globals = {0};
    reco_error err = RECO_ERROR_INIT;
    const option_set sets[] = {{program_global_options, program_global_count, &globals}};
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    size_t count = 0;
    int code;
    if (!rest)
        return PROGRAM_FAILED;
    if (options_parse(sets, 1, argc, argv, rest, (size_t)argc, &count, true, &err) != RECO_OK)
        code = program_fail(&err);
    else if (count > 0 && !globals.help && !globals.version)
        code = find_and_run(&globals, rest, count);
    else if (globals.version)
        code = print_version();
    else if (globals.help && count > 0 && find_command(rest[0]))
        code = help(find_command(rest[0]));
    else
        code = usage(globals.help ? stdout : stderr);
    free(rest);
    return code;
}
