/* reco/settings.h - every setting by its name, as text: from YAML, from the environment, one by one.
 *
 *     reco_settings *settings = NULL;
 *     reco_settings_create(&settings, &err);
 *     reco_settings_load_file(settings, "reco.yaml", &err);
 *     reco_settings_set(settings, "coview.length", "30d", &err);
 *
 * Names are dotted ("coview.length"); in YAML the dots are nested maps. Durations are integers with a unit (ms, s, m, h, d), sizes integers with a
 * unit (B, KiB, MiB, GiB, TiB), switches yes or no. Unknown names are errors. Each function changes all it was asked to, or nothing.
 * reco_settings_help lists all names. */
#ifndef RECO_SETTINGS_H
#define RECO_SETTINGS_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reco_settings reco_settings; /* CONFINED; reading one that nobody changes is SHARED */

/* All defaults. Free with reco_settings_free. */
RECO_API reco_status reco_settings_create(reco_settings **out, reco_error *err);
/* NULL is allowed. */
RECO_API void reco_settings_free(reco_settings *settings);

/* Sets one. INVALID naming the setting when it is unknown or the value is not allowed. "preset" (default, sessions, long-history,
 * catalogue-small, shop) sets all that the preset says. */
RECO_API reco_status reco_settings_set(reco_settings *settings, const char *name, const char *value, reco_error *err);

/* YAML over what is there; a preset named in it comes first, wherever it stands. Errors tell the line. NOT_FOUND when there is no such file. */
RECO_API reco_status reco_settings_load_file(reco_settings *settings, const char *path, reco_error *err);
RECO_API reco_status reco_settings_load_text(reco_settings *settings, const char *text, size_t size, reco_error *err);
/* Variables RECO_<NAME> with dots as underscores: RECO_COVIEW_LENGTH=30d. `environment` is an array of "NAME=value" ended by NULL; NULL: that of the
 * process. Unknown RECO_ names are errors, except RECO_CONFIG, RECO_BUILD_DIR and RECO_SOURCE_DIR, which are left to programs and tests. */
RECO_API reco_status reco_settings_load_environment(reco_settings *settings, const char *const *environment, reco_error *err);

/* Checks that go across settings, such as a window longer than what is kept. Opening an engine does the same. */
RECO_API reco_status reco_settings_check(const reco_settings *settings, reco_error *err);

/* The value as text, terminated. INVALID for an unknown name, TOO_LARGE when `room` bytes do not hold it. */
RECO_API reco_status reco_settings_get(char *out, size_t room, const reco_settings *settings, const char *name, reco_error *err);

/* All settings with default, unit and meaning: one line each, or with `markdown` the reference, a table a group and the presets. *text is
 * terminated, to be freed with reco_free. */
RECO_API reco_status reco_settings_help(char **text, int markdown, reco_error *err);
/* The current values as YAML that reco_settings_load_text reads back. *text is terminated, to be freed with reco_free. */
RECO_API reco_status reco_settings_print(char **text, const reco_settings *settings, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
