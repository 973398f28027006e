/* config/public.c - include/reco/settings.h in terms of the room. */
#include <reco/settings.h>
#include <unistd.h>

#include "config/settings.h"

reco_status reco_settings_create(reco_settings **out, reco_error *err) {
    if (!out)
        return reco__fail(err, RECO_INVALID, "out", "is NULL");
    *out = reco__alloc(sizeof **out);
    if (!*out)
        return reco__no_memory(err);
    reco__settings_init(&(*out)->values);
    return RECO_OK;
}

void reco_settings_free(reco_settings *settings) { reco__release(settings); }

static reco_status check_given(const void *settings, const char *name, const void *value, reco_error *err) {
    if (!settings)
        return reco__fail(err, RECO_INVALID, "settings", "is NULL");
    return value ? RECO_OK : reco__fail(err, RECO_INVALID, name, "is NULL");
}

reco_status reco_settings_set(reco_settings *settings, const char *name, const char *value, reco_error *err) {
    reco_status status = check_given(settings, "name", name, err);
    if (status == RECO_OK)
        status = check_given(settings, "value", value, err);
    return status == RECO_OK ? reco__settings_set(&settings->values, name, value, err) : status;
}

reco_status reco_settings_load_file(reco_settings *settings, const char *path, reco_error *err) {
    reco_status status = check_given(settings, "path", path, err);
    return status == RECO_OK ? reco__settings_file(&settings->values, path, err) : status;
}

reco_status reco_settings_load_text(reco_settings *settings, const char *text, size_t size, reco_error *err) {
    reco_status status = check_given(settings, "text", size > 0 ? (const void *)text : settings, err);
    return status == RECO_OK ? reco__settings_yaml(&settings->values, size > 0 ? text : "", size, err) : status;
}

reco_status reco_settings_load_environment(reco_settings *settings, const char *const *environment, reco_error *err) {
    const char *const *variables = environment ? environment : (const char *const *)environ;
    reco_status status = check_given(settings, "environment", settings, err);
    return status == RECO_OK && variables ? reco__settings_environment(&settings->values, variables, err) : status;
}

reco_status reco_settings_check(const reco_settings *settings, reco_error *err) {
    reco_status status = check_given(settings, "settings", settings, err);
    return status == RECO_OK ? reco__settings_check(&settings->values, err) : status;
}

reco_status reco_settings_get(char *out, size_t room, const reco_settings *settings, const char *name, reco_error *err) {
    reco_status status = check_given(settings, "name", name, err);
    if (status == RECO_OK && (!out || room == 0))
        status = reco__fail(err, RECO_INVALID, "out", "is NULL or has no room");
    return status == RECO_OK ? reco__settings_get(out, room, &settings->values, name, err) : status;
}

/* Gives the buffer's memory to the caller. */
static reco_status hand_over(char **text, reco__buf *buf, reco_error *err) {
    reco__buf_byte(buf, '\0');
    reco_status status = reco__buf_status(buf, err);
    if (status == RECO_OK)
        *text = buf->data;
    else
        reco__buf_dispose(buf);
    return status;
}

reco_status reco_settings_help(char **text, int markdown, reco_error *err) {
    reco__buf buf = {0};
    if (!text)
        return reco__fail(err, RECO_INVALID, "text", "is NULL");
    reco__settings_help(&buf, markdown != 0);
    return hand_over(text, &buf, err);
}

reco_status reco_settings_print(char **text, const reco_settings *settings, reco_error *err) {
    reco__buf buf = {0};
    reco_status status = check_given(settings, "text", text, err);
    if (status != RECO_OK)
        return status;
    reco__settings_print(&buf, &settings->values);
    return hand_over(text, &buf, err);
}
