/* cli/completion.c - completion of command lines for bash and zsh, written from the tables that parse them: a new option or command is completed
 * without anybody thinking of it. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* --- what can stand where ------------------------------------------------------------------------------------------------------------------- */

/* Whether a value, by what the help calls it, is a file or folder. */
static bool is_path(const char *value) {
    static const char *const names[] = {"FILE", "DIR", "PATH", "SNAPSHOT", "FOLDER"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(value, names[i]))
            return true;
    return false;
}

/* Whether a value, by what the help calls it, is one of a few words: csv|ndjson. */
static bool is_choice(const char *value) { return strchr(value, '|') && *value >= 'a' && *value <= 'z'; }

static void print_choice(const char *value) {
    for (; *value; value++)
        putchar(*value == '|' ? ' ' : *value);
}

/* Names of settings, each followed by a blank; those of event types belong to the application. NULL when memory is out. */
static char *setting_names(void) {
    char *help = NULL, *names = NULL;
    if (reco_settings_help(&help, 0, NULL) != RECO_OK)
        return NULL;
    size_t size = 0;
    names = malloc(strlen(help) + 1);
    for (const char *line = help; names && *line;) {
        reco_str name = options_setting_name(&line);
        if (strncmp(name.data, "event_types.", 12) == 0)
            continue;
        memcpy(names + size, name.data, name.size);
        names[size + name.size] = ' ';
        size += name.size + 1;
    }
    if (names)
        names[size] = '\0';
    reco_free(help);
    return names;
}

/* --- bash ------------------------------------------------------------------------------------------------------------------------------------ */

typedef enum which { ALL, WITH_VALUE, WITH_PATH } which;

static void bash_words(const option_spec *options, size_t count, which wanted) {
    for (size_t i = 0; i < count; i++) {
        if ((wanted != ALL && !options[i].value) || (wanted == WITH_PATH && !is_path(options[i].value)))
            continue;
        if (options[i].letter)
            printf("-%c ", options[i].letter);
        printf("--%s ", options[i].name);
    }
}

/* Which words may follow which option. */
static void bash_choices(const cli_command *command) {
    for (size_t i = 0; i < command->option_count; i++) {
        const option_spec *option = &command->options[i];
        if (!option->value || !is_choice(option->value))
            continue;
        printf("        [[ $before == --%s", option->name);
        if (option->letter)
            printf(" || $before == -%c", option->letter);
        printf(" ]] && choice='");
        print_choice(option->value);
        printf("'\n");
    }
}

static void bash_command(const cli_command *command) {
    static const char *const names[] = {"options", "values", "paths"};
    printf("    %s)\n", command->name);
    for (int wanted = ALL; wanted <= WITH_PATH; wanted++) {
        printf("        %s+=\"", names[wanted]);
        bash_words(command->options, command->option_count, (which)wanted);
        printf("\"\n");
    }
    bash_choices(command);
    if (is_choice(command->arguments)) {
        printf("        words='");
        print_choice(command->arguments);
        printf("'\n");
    } else {
        printf("        words=\n%s", is_path(command->arguments) ? "        files=yes\n" : "");
    }
    printf("        ;;\n");
}

static void bash(const char *settings) {
    printf("# bash completion of reco, made by `reco completion bash`\n"
           "_reco() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' files='' choice='' i\n"
           "    local options=\"");
    bash_words(program_global_options, program_global_count, ALL);
    printf("\" values=\"");
    bash_words(program_global_options, program_global_count, WITH_VALUE);
    printf("\" paths=\"");
    bash_words(program_global_options, program_global_count, WITH_PATH);
    printf("\"\n    local words=\"");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s ", cli_commands[i]->name);
    printf("\"\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do # the command is the first word that is no option and no value of one\n"
           "        if [[ \" $values\" == *\" ${COMP_WORDS[i]} \"* ]]; then\n"
           "            [[ ${COMP_WORDS[i + 1]-} == '=' ]] && ((i++))\n"
           "            ((i++))\n"
           "            [[ ${COMP_WORDS[i + 1]-} == '=' ]] && ((i += 2)) # NAME=VALUE is three words\n"
           "        elif [[ ${COMP_WORDS[i]} != -* ]]; then\n"
           "            command=${COMP_WORDS[i]}\n"
           "            break\n"
           "        fi\n"
           "    done\n"
           "    if [[ $current == '=' ]]; then\n"
           "        current=''\n"
           "    elif [[ $before == '=' ]]; then\n"
           "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case $command in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        bash_command(cli_commands[i]);
    printf("    esac\n"
           "    if [[ $before == -s || $before == --set ]]; then\n"
           "        compopt -o nospace 2>/dev/null\n"
           "        mapfile -t COMPREPLY < <(compgen -S = -W \"%s\" -- \"$current\")\n"
           "    elif [[ \" $paths\" == *\" $before \"* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
           "    elif [[ $choice ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$choice\" -- \"$current\")\n"
           "    elif [[ \" $values\" == *\" $before \"* ]]; then\n"
           "        return 0\n"
           "    elif [[ $current == -* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
           "    elif [[ $files ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
           "    else\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
           "    fi\n"
           "}\n"
           "complete -o filenames -F _reco reco\n",
           settings);
}

/* --- zsh ------------------------------------------------------------------------------------------------------------------------------------- */

/* Text within single quotes in which `special` characters are escaped. */
static void zsh_text(const char *text, const char *special) {
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

static void zsh_option(const option_spec *option) {
    const char *again = option->kind == OPTION_LIST ? "*" : "";
    if (option->letter && *again)
        printf(" \\\n            '*'{-%c,--%s}'", option->letter, option->name);
    else if (option->letter)
        printf(" \\\n            '(-%c --%s)'{-%c,--%s}'", option->letter, option->name, option->letter, option->name);
    else
        printf(" \\\n            '%s--%s", again, option->name);
    printf("[");
    zsh_text(option->help, "[]:\\");
    printf("]");
    if (option->value) {
        printf(":");
        zsh_text(option->value, ":\\");
        if (is_choice(option->value)) {
            printf(":(");
            print_choice(option->value);
            printf(")");
        } else {
            printf(":%s", strcmp(option->name, "set") == 0 ? "_reco_settings" : is_path(option->value) ? "_files" : " ");
        }
    }
    printf("'");
}

static void zsh_options(const cli_command *command) {
    for (size_t i = 0; command && i < command->option_count; i++)
        zsh_option(&command->options[i]);
    for (size_t i = 0; i < program_global_count; i++)
        zsh_option(&program_global_options[i]);
}

static void zsh(const char *settings) {
    printf("#compdef reco\n"
           "# zsh completion of reco, made by `reco completion zsh`\n"
           "_reco_settings() {\n"
           "    compadd -S = -- %s\n"
           "}\n"
           "_reco_commands() {\n"
           "    local -a commands\n"
           "    commands=(\n",
           settings);
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("        '%s:", cli_commands[i]->name);
        zsh_text(cli_commands[i]->summary, ":\\");
        printf("'\n");
    }
    printf("    )\n"
           "    _describe command commands\n"
           "}\n"
           "_reco() {\n"
           "    local curcontext=$curcontext state state_descr line\n"
           "    typeset -A opt_args\n"
           "    _arguments -C");
    zsh_options(NULL);
    printf(" \\\n            '1:command:_reco_commands' '*::argument:->command'\n"
           "    [[ $state == command ]] || return\n"
           "    case $line[1] in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *command = cli_commands[i];
        printf("    %s)\n        _arguments", command->name);
        zsh_options(command);
        if (command == &cli_completion)
            printf(" \\\n            '1:shell:(bash zsh)'");
        else if (is_path(command->arguments))
            printf(" \\\n            '*:file:_files'");
        printf("\n        ;;\n");
    }
    printf("    esac\n"
           "}\n"
           "[[ $zsh_eval_context[-1] == loadautofunc ]] && _reco \"$@\" || compdef _reco reco\n");
}

/* --- the command ----------------------------------------------------------------------------------------------------------------------------- */

static int run(const cli_call *call) {
    reco_error err = RECO_ERROR_INIT;
    const bool for_bash = strcmp(call->arguments[0], "bash") == 0;
    reco_status status = RECO_OK;
    char *settings = setting_names();
    if (!for_bash && strcmp(call->arguments[0], "zsh") != 0)
        status = options_fail(&err, RECO_INVALID, "completion", "is made for bash and zsh, not for \"%.60s\"", call->arguments[0]);
    else if (!settings)
        status = options_fail(&err, RECO_NO_MEMORY, "", "out of memory");
    if (status == RECO_OK) {
        (for_bash ? bash : zsh)(settings);
        status = cli_finish(&err);
    }
    free(settings);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_completion = {
    "completion",
    "bash|zsh",
    "completion of command lines, for a shell",
    "With bash: eval \"$(reco completion bash)\". With zsh: reco completion zsh into a file _reco of a folder in fpath. An installed\n"
    "libreco has both where the shells look.",
    NULL,
    0,
    0,
    1,
    1,
    run};
