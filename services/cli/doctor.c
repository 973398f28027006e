/* cli/doctor.c - what is wrong, and what to do about it. */
#include <string.h>

#include "cli/cli.h"
#include "http/log.h"
#include "http/text.h"

#define EXIT_WARNING 3
#define EXIT_ERROR 4

typedef struct options {
    bool json;
} options;

static const option_spec table[] = {{"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "findings as JSON"}};

static const char *const severities[] = {"fine", "note", "warning", "error"};

typedef struct report {
    bool json, failed;
    unsigned count;
    http_text text;
} report;

static void add(report *to, const char *name, const char *value) {
    http_text_printf(&to->text, "%s\"%s\":", strcmp(name, "severity") == 0 ? "" : ",", name);
    http_text_json(&to->text, value, strlen(value));
}

static void take(void *context, const reco_finding *finding) {
    report *to = context;
    const char *severity = severities[finding->severity <= RECO_FINDING_ERROR ? finding->severity : RECO_FINDING_ERROR];
    if (to->json) {
        http_text_printf(&to->text, "%s{", to->count ? "," : "");
        add(to, "severity", severity);
        add(to, "id", finding->id);
        add(to, "text", finding->text);
        add(to, "advice", finding->advice);
        http_text_printf(&to->text, "}");
    } else {
        printf("%-8s ", severity);
        http_text_show(stdout, finding->text, strlen(finding->text));
        printf(" (%s)\n", finding->id);
        if (finding->advice[0])
            cli_print_row(8, 0, "", finding->advice);
    }
    to->count++;
}

static int run(const cli_call *call) {
    const options *given = call->options;
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    report to = {.json = given->json};
    uint32_t worst = 0;
    http_log_start(RECO_LOG_WARN);
    reco_status status = program_settings(&settings, call->globals, &err);
    if (status == RECO_OK)
        status = reco_doctor(&worst, settings, take, &to, NULL, &err);
    if (status == RECO_OK && given->json)
        printf("{\"worst\":\"%s\",\"findings\":[%s]}\n", severities[worst], to.text.failed || !to.count ? "" : to.text.data);
    else if (status == RECO_OK && worst < RECO_FINDING_WARNING)
        printf("nothing is wrong\n");
    if (status == RECO_OK)
        status = cli_finish(&err);
    http_text_dispose(&to.text);
    reco_settings_free(settings);
    if (status != RECO_OK)
        return program_fail(&err);
    return worst == RECO_FINDING_ERROR ? EXIT_ERROR : worst == RECO_FINDING_WARNING ? EXIT_WARNING : PROGRAM_OK;
}

const cli_command cli_doctor = {"doctor",
                                "",
                                "find and explain common trouble, changing nothing",
                                "Looks at the directory beside whoever has it open, also when nothing can open it.\n"
                                "Exit codes: 0 nothing or notes, 3 warnings, 4 errors; 1 it could not look, 2 a wrong option or setting.",
                                CLI_OPTIONS(table),
                                sizeof(options),
                                0,
                                0,
                                run};
