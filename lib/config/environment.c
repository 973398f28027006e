/* config/environment.c - settings from variables. RECO_COVIEW_LENGTH is coview.length; a type's name is taken in lower case:
 * RECO_EVENT_TYPES_VIEW_WEIGHT is event_types.view.weight. */
#include <stdio.h>

#include "config/table.h"

#define PREFIX "RECO_"
#define TYPES "EVENT_TYPES_"

enum { NAME_MAX_SIZE = 128 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* "COVIEW_LENGTH" against "coview.length". */
static bool same_name(const char *variable, size_t size, const char *name) {
    if (strlen(name) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (lower(variable[i]) != (name[i] == '.' ? '_' : name[i]) || (variable[i] >= 'a' && variable[i] <= 'z'))
            return false;
    return true;
}

/* "VIEW_WEIGHT" to "event_types.view.weight"; false when it does not end in a part of a type. */
static bool type_name(char out[NAME_MAX_SIZE], const char *variable, size_t size) {
    static const char *const parts[] = {"_WEIGHT", "_HIDES", "_MIN_VALUE"};
    const size_t prefix = sizeof RECO__CONFIG_TYPES_PREFIX - 1;
    if (prefix + size >= NAME_MAX_SIZE)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t part = strlen(parts[i]);
        if (size <= part || memcmp(variable + size - part, parts[i], part) != 0)
            continue;
        memcpy(out, RECO__CONFIG_TYPES_PREFIX, prefix);
        for (size_t j = 0; j < size; j++)
            out[prefix + j] = j == size - part ? '.' : lower(variable[j]);
        out[prefix + size] = '\0';
        return true;
    }
    return false;
}

/* The setting behind a variable, NULL when there is none. */
static const char *setting_name(char room[NAME_MAX_SIZE], const char *variable, size_t size) {
    for (size_t i = 0; i < reco__config_count; i++)
        if (same_name(variable, size, reco__config_table[i].name))
            return reco__config_table[i].name;
    const size_t types = sizeof TYPES - 1;
    if (size > types && memcmp(variable, TYPES, types) == 0 && type_name(room, variable + types, size - types))
        return room;
    return NULL;
}

static bool is_for_others(const char *variable, size_t size) {
    static const char *const names[] = {"CONFIG", "BUILD_DIR", "SOURCE_DIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == size && memcmp(names[i], variable, size) == 0)
            return true;
    return false;
}

static reco_status fail_unknown(const char *variable, size_t size, reco_error *err) {
    char field[64];
    snprintf(field, sizeof field, "%.*s", (int)(size > 60 ? 60 : size), variable);
    return reco__fail(err, RECO_INVALID, field, "the environment variable %.*s names no setting", (int)(size > 105 ? 105 : size), variable);
}

static reco_status take(reco__settings *settings, const char *variable, bool presets, reco_error *err) {
    char room[NAME_MAX_SIZE];
    const char *equals = strchr(variable, '=');
    if (strncmp(variable, PREFIX, sizeof PREFIX - 1) != 0 || !equals)
        return RECO_OK;
    const char *rest = variable + sizeof PREFIX - 1;
    size_t size = (size_t)(equals - rest);
    const char *name = setting_name(room, rest, size);
    if (!name && is_for_others(rest, size))
        return RECO_OK;
    if (!name)
        return fail_unknown(variable, size + 5, err);
    if ((strcmp(name, "preset") == 0) != presets)
        return RECO_OK;
    return reco__settings_set(settings, name, equals + 1, err);
}

reco_status reco__settings_environment(reco__settings *settings, const char *const *environment, reco_error *err) {
    reco__settings *copy = reco__alloc(sizeof *copy);
    if (!copy)
        return reco__no_memory(err);
    *copy = *settings;
    reco_status status = RECO_OK;
    for (int presets = 1; presets >= 0; presets--) /* the preset comes first */
        for (const char *const *variable = environment; *variable && status == RECO_OK; variable++)
            status = take(copy, *variable, presets, err);
    if (status == RECO_OK)
        *settings = *copy;
    reco__release(copy);
    return status;
}
