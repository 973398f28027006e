#include "evaluate/label.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <reco/memory.h>

#include "evaluate/evaluation.h"
#include "http/options.h"

#define VALUE_ROOM 1024u

/* Settings of where things are, what is said and how it is served; those of stores an evaluation sets itself. */
static bool changes_answers(const char *name) {
    static const char *const aside[] = {"preset", "data", "namespace", "modules", "services.", "log.", "snapshots.", "recommend.limit_default"};
    for (size_t i = 0; i < sizeof aside / sizeof *aside; i++) {
        size_t size = strlen(aside[i]);
        if (strncmp(name, aside[i], size) == 0 && (aside[i][size - 1] == '.' || name[size] == 0))
            return false;
    }
    return true;
}

/* The settings of a preset alone, as an evaluation has them. */
static reco_status plain(reco_settings **out, const char *preset, reco_error *err) {
    reco_settings *settings = NULL;
    reco_status status = reco_settings_create(&settings, err);
    if (status == RECO_OK)
        status = reco_settings_set(settings, "preset", preset, err);
    if (status == RECO_OK)
        status = evaluation_settings(out, settings, err);
    reco_settings_free(settings);
    return status;
}

static reco_status compare(size_t *differing, const char *name, const reco_settings *a, const reco_settings *b, reco_error *err) {
    char left[VALUE_ROOM], right[VALUE_ROOM];
    reco_status status = reco_settings_get(left, sizeof left, a, name, err);
    if (status == RECO_OK)
        status = reco_settings_get(right, sizeof right, b, name, err);
    *differing += status == RECO_OK && strcmp(left, right) != 0;
    return status;
}

/* Each name the help lists; of types of events the one that is learned. */
static reco_status count(size_t *differing, const reco_settings *a, const reco_settings *b, reco_error *err) {
    char *help = NULL, name[128];
    reco_status status = reco_settings_help(&help, 0, err);
    for (const char *line = help; line && *line && status == RECO_OK;) {
        reco_str found = options_setting_name(&line);
        size_t any = sizeof "event_types.NAME" - 1;
        if (strncmp(found.data, "event_types.NAME", any) == 0)
            snprintf(name, sizeof name, "event_types.view%.*s", (int)(found.size - any), found.data + any);
        else
            snprintf(name, sizeof name, "%.*s", (int)found.size, found.data);
        if (changes_answers(name))
            status = compare(differing, name, a, b, err);
    }
    reco_free(help);
    return status;
}

reco_status evaluate_label(char *out, size_t room, const reco_settings *settings, reco_error *err) {
    char preset[64];
    size_t differing = 0;
    reco_settings *alone = NULL;
    reco_status status = reco_settings_get(preset, sizeof preset, settings, "preset", err);
    if (status == RECO_OK)
        status = plain(&alone, preset, err);
    if (status == RECO_OK)
        status = count(&differing, settings, alone, err);
    reco_settings_free(alone);
    bool none = strcmp(preset, "default") == 0;
    int size = snprintf(out, room, "%s%s", none ? "default settings" : "preset ", none ? "" : preset);
    if (differing > 0)
        snprintf(out + size, room - (size_t)size, " and %zu %sof its own", differing, none ? "" : differing == 1 ? "setting " : "settings ");
    return status;
}
