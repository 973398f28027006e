/* cli/against.c - what --against names, of evaluate and whatif: a preset by its bare name, or a file of settings by its path. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <reco/memory.h>

#include "cli/cli.h"

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), tail = strlen(end);
    return size > tail && strcmp(text + size - tail, end) == 0;
}

static reco_status check_preset(const char *against, reco_error *err) {
    reco_settings *settings = NULL;
    reco_status status = reco_settings_create(&settings, err);
    if (status == RECO_OK && reco_settings_set(settings, "preset", against, NULL) != RECO_OK)
        status = options_fail(err, RECO_INVALID, "--against", "%.100s is no preset; a file has a / in its path, or ends with .yaml", against);
    reco_settings_free(settings);
    return status;
}

reco_status cli_against(bool *file, const char *against, reco_error *err) {
    *file = strchr(against, '/') || ends_with(against, ".yaml") || ends_with(against, ".yml");
    if (!*file)
        return check_preset(against, err);
    return access(against, R_OK) == 0 ? RECO_OK : options_fail(err, RECO_NOT_FOUND, "--against", "%.200s cannot be read", against);
}

reco_status cli_warn_same(const reco_settings *first, const reco_settings *second, const char *words, reco_error *err) {
    char *texts[2] = {NULL, NULL};
    reco_status status = reco_settings_print(&texts[0], first, err);
    if (status == RECO_OK)
        status = reco_settings_print(&texts[1], second, err);
    if (status == RECO_OK && strcmp(texts[0], texts[1]) == 0)
        fprintf(stderr, "reco: warning: %s\n", words);
    reco_free(texts[0]);
    reco_free(texts[1]);
    return status;
}
