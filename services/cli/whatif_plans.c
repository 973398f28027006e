/* cli/whatif_plans.c - the plans that are compared: the settings as they are, and over them what a preset or a file says of recommend.*. */
#include <stdio.h>
#include <string.h>

#include <reco/memory.h>

#include "cli/whatif.h"

/* Settings of answers from one to the other. */
static reco_status copy_answers(reco_settings *to, const reco_settings *from, reco_error *err) {
    char *help = NULL, name[128], value[1024];
    reco_status status = reco_settings_help(&help, 0, err);
    for (const char *line = help; line && *line && status == RECO_OK;) {
        reco_str found = options_setting_name(&line);
        if (strncmp(found.data, "recommend.", 10) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)found.size, found.data);
        status = reco_settings_get(value, sizeof value, from, name, err);
        if (status == RECO_OK)
            status = reco_settings_set(to, name, value, err);
    }
    reco_free(help);
    return status;
}

static reco_status make_plans(whatif_run *r, reco_error *err) {
    const char *against = r->given->against, *config = r->call->globals->config;
    reco_settings *other = NULL;
    bool file = false;
    reco_status status = against ? cli_against(&file, against, err) : RECO_OK;
    if (status == RECO_OK)
        status = program_settings(&r->plans[0].settings, r->call->globals, err);
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
    if (status == RECO_OK)
        status = copy_answers(r->plans[1].settings, other, err);
    reco_settings_free(other);
    return status;
}

static reco_status look_for_difference(const whatif_run *r, reco_error *err) {
    char words[300];
    snprintf(words, sizeof words, "the second plan is the first: %.200s says nothing else of recommend.*", r->given->against);
    return cli_warn_same(r->plans[0].settings, r->plans[1].settings, words, err);
}

reco_status whatif_plans_open(whatif_run *r, reco_error *err) {
    reco_status status = make_plans(r, err);
    if (status == RECO_OK && r->plan_count > 1)
        status = look_for_difference(r, err);
    for (size_t i = 0; i < r->plan_count && status == RECO_OK; i++) {
        reco_open_options how = {.struct_size = sizeof how, .settings = r->plans[i].settings};
        status = reco_open(&r->plans[i].engine, &how, NULL, err);
    }
    return status;
}

void whatif_plans_dispose(whatif_run *r) {
    for (size_t i = 0; i < 2; i++) {
        reco_close(r->plans[i].engine);
        reco_settings_free(r->plans[i].settings);
        evaluate_lists_dispose(&r->plans[i].lists);
        http_text_dispose(&r->plans[i].text);
    }
}
