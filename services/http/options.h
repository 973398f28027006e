/* http/options.h - command lines of our programs: tables of options, taken apart without global state. */
#ifndef HTTP_OPTIONS_H
#define HTTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <reco/status.h>

typedef enum option_kind {
    OPTION_FLAG, /* bool, takes no value */
    OPTION_TEXT, /* const char *, borrowed from argv */
    OPTION_LIST, /* option_list: may be given again */
    OPTION_U32,
    OPTION_COUNT, /* uint32_t, from 1 */
    OPTION_U64,
    OPTION_COUNT64, /* uint64_t, from 1 */
    OPTION_SHARE,   /* double from 0 to 1 */
    OPTION_REAL,    /* double above 0 */
    OPTION_MS,      /* int64_t milliseconds: an integer with unit ms, s, m, h or d; without a unit milliseconds */
    OPTION_SPAN,    /* the same, above 0 */
    OPTION_TIME     /* int64_t: milliseconds since 1970, or RFC 3339 with offset */
} option_kind;

#define OPTION_LIST_MAX 128u
typedef struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
} option_list;

/* One option, "--name VALUE" or "--name=VALUE"; `letter` is its short form, 0: none. `offset` is where in the target struct the value goes. FROZEN.
 */
typedef struct option_spec {
    const char *name;
    char letter;
    option_kind kind;
    size_t offset;
    const char *value; /* what stands for the value in the help; NULL for flags */
    const char *help;
} option_spec;

/* A table with the struct it fills. */
typedef struct option_set {
    const option_spec *options;
    size_t count;
    void *target;
} option_set;

/* Takes argv apart, from argv[1]. What is no option goes to arguments[0..*argument_count), at most `room` of them; with `stop_at_first` the first one
 * and all behind it go there untouched. "--" ends the options, "-" is an argument. INVALID naming the option. */
reco_status options_parse(const option_set *sets, size_t set_count, int argc, char **argv, char **arguments, size_t room, size_t *argument_count,
                          bool stop_at_first, reco_error *err);
/* One line for every option of the table. */
void options_print(FILE *out, const option_spec *options, size_t count);

/* The values by themselves; false when the text is none. */
bool options_time(const char *text, int64_t *ms);
bool options_duration(const char *text, int64_t *ms);
bool options_bytes(const char *text, uint64_t *bytes);

/* The name of the setting that a line of reco_settings_help begins with; *at moves behind the line. Empty at the end; valid as long as the text. */
reco_str options_setting_name(const char **at);

/* Fills err and answers status. */
reco_status options_fail(reco_error *err, reco_status status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for memory that ran out. */
reco_status options_no_memory(reco_error *err);

#endif
