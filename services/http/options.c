#include "http/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

reco_str options_setting_name(const char **at) {
    reco_str name = {*at, strcspn(*at, " \n")};
    *at += strcspn(*at, "\n");
    *at += **at == '\n';
    return name;
}

reco_status options_fail(reco_error *err, reco_status status, const char *field, const char *format, ...) {
    memset(err, 0, sizeof *err);
    err->status = status;
    err->index = -1;
    snprintf(err->field, sizeof err->field, "%s", field);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    return status;
}

/* --- values --------------------------------------------------------------------------------------------------------------------------------- */

static bool whole_number(const char *text, uint64_t most, uint64_t *out, const char **end) {
    char *stop = NULL;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0 && *out <= most;
}

static bool with_unit(const char *text, const char *const *units, const uint64_t *sizes, size_t count, uint64_t *out) {
    const char *end;
    if (!whole_number(text, INT64_MAX, out, &end))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(end, units[i]) == 0)
            return !__builtin_mul_overflow(*out, sizes[i], out) && *out <= INT64_MAX;
    return false;
}

bool options_duration(const char *text, int64_t *ms) {
    static const char *const units[] = {"", "ms", "s", "m", "h", "d"};
    static const uint64_t sizes[] = {1, 1, 1000, 60000, 3600000, 86400000};
    uint64_t value;
    if (!with_unit(text, units, sizes, 6, &value))
        return false;
    *ms = (int64_t)value;
    return true;
}

bool options_bytes(const char *text, uint64_t *bytes) {
    static const char *const units[] = {"", "B", "KiB", "MiB", "GiB", "TiB"};
    static const uint64_t sizes[] = {1, 1, 1u << 10, 1u << 20, 1u << 30, UINT64_C(1) << 40};
    return with_unit(text, units, sizes, 6, bytes);
}

/* "+01:00", "Z" and the like, in seconds. */
static bool parse_offset(const char *text, long *seconds) {
    int hours, minutes, used = 0;
    if ((*text == 'Z' || *text == 'z') && !text[1]) {
        *seconds = 0;
        return true;
    }
    if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 || text[6] || hours > 23 ||
        minutes > 59)
        return false;
    *seconds = (hours * 60L + minutes) * 60 * (*text == '-' ? -1 : 1);
    return true;
}

bool options_time(const char *text, int64_t *ms) {
    struct tm t = {0}, back;
    const char *end;
    uint64_t number;
    int used = 0;
    long offset;
    double fraction = 0;
    if (whole_number(text, INT64_MAX, &number, &end) && !*end) {
        *ms = (int64_t)number;
        return true;
    }
    if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec, &used) != 6 ||
        used != 19)
        return false;
    text += used;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");
        if (digits == 0 || digits > 9)
            return false;
        fraction = strtod(text, NULL);
        text += 1 + digits;
    }
    if (!parse_offset(text, &offset))
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    back = t;
    time_t seconds = timegm(&back);
    if (back.tm_mday != t.tm_mday || back.tm_mon != t.tm_mon || back.tm_hour != t.tm_hour || back.tm_min != t.tm_min || back.tm_sec != t.tm_sec)
        return false;
    *ms = ((int64_t)seconds - offset) * 1000 + (int64_t)(fraction * 1000);
    return true;
}

static bool real_number(const char *text, double least, double most, double *out) {
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out) && *out >= least && *out <= most;
}

/* --- the line ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status bad(reco_error *err, const option_spec *option, const char *expected, const char *got) {
    return options_fail(err, RECO_INVALID, option->name, "must be %s, not \"%.100s\"", expected, got);
}

static reco_status append(option_list *list, const option_spec *option, const char *value, reco_error *err) {
    if (list->count == OPTION_LIST_MAX)
        return options_fail(err, RECO_INVALID, option->name, "given more than %u times", OPTION_LIST_MAX);
    list->items[list->count++] = value;
    return RECO_OK;
}

static reco_status store(const option_spec *option, char *at, const char *value, reco_error *err) {
    uint64_t number;
    const char *end;
    double real;
    int64_t ms;
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)at = true;
        return RECO_OK;
    case OPTION_TEXT: /* empty is what a shell makes of a variable that is not set */
        if (!value[0])
            return options_fail(err, RECO_INVALID, option->name, "must not be empty");
        memcpy(at, &value, sizeof value);
        return RECO_OK;
    case OPTION_LIST:
        return append((option_list *)(void *)at, option, value, err);
    case OPTION_U32:
        if (!whole_number(value, UINT32_MAX, &number, &end) || *end)
            return bad(err, option, "an integer from 0 to 4294967295", value);
        *(uint32_t *)(void *)at = (uint32_t)number;
        return RECO_OK;
    case OPTION_COUNT:
        if (!whole_number(value, UINT32_MAX, &number, &end) || *end || number == 0)
            return bad(err, option, "an integer from 1 to 4294967295", value);
        *(uint32_t *)(void *)at = (uint32_t)number;
        return RECO_OK;
    case OPTION_U64:
        if (!whole_number(value, UINT64_MAX, &number, &end) || *end)
            return bad(err, option, "an integer from 0", value);
        memcpy(at, &number, sizeof number);
        return RECO_OK;
    case OPTION_COUNT64:
        if (!whole_number(value, UINT64_MAX, &number, &end) || *end || number == 0)
            return bad(err, option, "an integer from 1", value);
        memcpy(at, &number, sizeof number);
        return RECO_OK;
    case OPTION_SHARE:
        if (!real_number(value, 0, 1, &real))
            return bad(err, option, "a number from 0 to 1", value);
        memcpy(at, &real, sizeof real);
        return RECO_OK;
    case OPTION_REAL:
        if (!real_number(value, 0, 1e300, &real) || real <= 0)
            return bad(err, option, "a number above 0", value);
        memcpy(at, &real, sizeof real);
        return RECO_OK;
    case OPTION_MS:
    case OPTION_SPAN:
        if (!options_duration(value, &ms) || (option->kind == OPTION_SPAN && ms == 0))
            return bad(err, option,
                       option->kind == OPTION_SPAN ? "a duration above 0 such as 500ms, 30s or 7d" : "a duration such as 500ms, 30s or 7d", value);
        memcpy(at, &ms, sizeof ms);
        return RECO_OK;
    case OPTION_TIME:
        if (!options_time(value, &ms) || ms <= 0) /* 0 is none given */
            return bad(err, option, "milliseconds since 1970, 1 at least, or a time such as 2026-01-31T12:00:00Z", value);
        memcpy(at, &ms, sizeof ms);
        return RECO_OK;
    }
    return options_fail(err, RECO_INTERNAL, option->name, "an option of unknown kind");
}

static const option_spec *find(const option_set *sets, size_t set_count, const char *name, size_t size, char letter, char **target) {
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++) {
            const option_spec *option = &sets[s].options[i];
            bool same = letter ? option->letter == letter : strlen(option->name) == size && memcmp(option->name, name, size) == 0;
            if (!same)
                continue;
            *target = (char *)sets[s].target + option->offset;
            return option;
        }
    return NULL;
}

/* One option at argv[*at]; *at ends on the last word it used. */
static reco_status take(const option_set *sets, size_t set_count, int argc, char **argv, int *at, reco_error *err) {
    const char *word = argv[*at], *value = NULL;
    bool is_long = word[1] == '-';
    size_t size = is_long ? strcspn(word + 2, "=") : 0;
    char *target = NULL;
    const option_spec *option = is_long   ? find(sets, set_count, word + 2, size, 0, &target)
                                : word[2] ? NULL
                                          : find(sets, set_count, NULL, 0, word[1], &target);
    if (!option)
        return options_fail(err, RECO_INVALID, word, "unknown option; --help lists them");
    if (is_long && word[2 + size] == '=')
        value = word + 3 + size;
    if (option->kind == OPTION_FLAG)
        return value ? options_fail(err, RECO_INVALID, option->name, "takes no value") : store(option, target, NULL, err);
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return options_fail(err, RECO_INVALID, option->name, "needs a value");
    return store(option, target, value, err);
}

reco_status options_parse(const option_set *sets, size_t set_count, int argc, char **argv, char **arguments, size_t room, size_t *argument_count,
                          bool stop_at_first, reco_error *err) {
    bool only_arguments = false;
    *argument_count = 0;
    for (int i = 1; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (only_arguments || argv[i][0] != '-' || !argv[i][1]) {
            if (*argument_count == room)
                return options_fail(err, RECO_INVALID, argv[i], "too many arguments");
            arguments[(*argument_count)++] = argv[i];
            only_arguments = only_arguments || stop_at_first;
        } else {
            reco_status status = take(sets, set_count, argc, argv, &i, err);
            if (status != RECO_OK)
                return status;
        }
    }
    return RECO_OK;
}

void options_print(FILE *out, const option_spec *options, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char left[80];
        int used = options[i].letter ? snprintf(left, sizeof left, "-%c, --%s", options[i].letter, options[i].name)
                                     : snprintf(left, sizeof left, "    --%s", options[i].name);
        if (options[i].value)
            snprintf(left + used, sizeof left - (size_t)used, " %s", options[i].value);
        if (strlen(left) > 28) /* the meaning stands in its column: below */
            fprintf(out, "  %s\n  %-28s %s\n", left, "", options[i].help);
        else
            fprintf(out, "  %-28s %s\n", left, options[i].help);
    }
}

reco_status options_no_memory(reco_error *err) { return options_fail(err, RECO_NO_MEMORY, "", "%s", reco_status_text(RECO_NO_MEMORY)); }
