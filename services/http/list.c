/* http/list.c - settings that list names, with commas or blanks between. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

#define SEPARATORS ", "

/* The element at or behind `at`; false: there is none. */
static bool next(const char **at, size_t *size) {
    *at += strspn(*at, SEPARATORS);
    *size = strcspn(*at, SEPARATORS);
    return *size > 0;
}

bool http_list_has(const char *list, const char *text, size_t size) {
    size_t length;
    for (const char *at = list; next(&at, &length); at += length)
        if (length == size && strncasecmp(at, text, size) == 0)
            return true;
    return false;
}

reco_status http_list_check(const char *setting, const char *list, size_t room, bool (*fits)(const char *text, size_t size), const char *form,
                            reco_error *err) {
    size_t size;
    char text[200];
    if (list && strlen(list) >= room)
        return http_fail(err, RECO_INVALID, setting, "the list is too long");
    for (const char *at = list ? list : ""; next(&at, &size); at += size)
        if (!fits(at, size)) {
            snprintf(text, sizeof text, "%s, not \"%.*s\"", form, (int)(size < 80 ? size : 80), at);
            return http_fail(err, RECO_INVALID, setting, text);
        }
    return RECO_OK;
}
