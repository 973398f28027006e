#include "http/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool grow(http_text *text, size_t more) {
    if (text->failed)
        return false;
    size_t need = text->size + more + 1;
    if (need <= text->room)
        return true;
    size_t room = text->room ? text->room * 2 : 512;
    if (room < need)
        room = need;
    char *data = realloc(text->data, room);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void http_text_add(http_text *text, const char *data, size_t size) {
    if (!grow(text, size))
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

void http_text_vprintf(http_text *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0 || !grow(text, (size_t)size))
        return;
    vsnprintf(text->data + text->size, (size_t)size + 1, format, arguments);
    text->size += (size_t)size;
}

void http_text_printf(http_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    http_text_vprintf(text, format, arguments);
    va_end(arguments);
}

/* Bytes of the UTF-8 sequence at `at`, 0 when it is none. */
static size_t sequence(const unsigned char *at, size_t left) {
    static const struct {
        unsigned char low, high;
        size_t size;
    } forms[] = {{0x00, 0x7f, 1}, {0xc2, 0xdf, 2}, {0xe0, 0xef, 3}, {0xf0, 0xf4, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].low || at[0] > forms[i].high)
            continue;
        if (forms[i].size > left)
            return 0;
        for (size_t k = 1; k < forms[i].size; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        bool bad =
            (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
        return bad ? 0 : forms[i].size;
    }
    return 0;
}

void http_text_json(http_text *text, const char *data, size_t size) {
    http_text_add(text, "\"", 1);
    for (size_t i = 0; i < size;) {
        unsigned char byte = (unsigned char)data[i];
        size_t length = sequence((const unsigned char *)data + i, size - i);
        if (byte == '"' || byte == '\\')
            http_text_printf(text, "\\%c", byte);
        else if (byte < 0x20)
            http_text_printf(text, "\\u%04x", byte);
        else if (length == 0)
            http_text_add(text, "\\ufffd", 6);
        else
            http_text_add(text, data + i, length);
        i += length ? length : 1;
    }
    http_text_add(text, "\"", 1);
}

void http_text_time(http_text *text, int64_t ms) {
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    http_text_printf(text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                     parts.tm_sec, (int)(ms % 1000));
}

const char *http_text_date(char out[32], int64_t ms, const char *form) {
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    if (!gmtime_r(&seconds, &parts) || strftime(out, 32, form, &parts) == 0)
        out[0] = 0;
    return out;
}

void http_text_csv(http_text *text, const char *data, size_t size) {
    bool quote = false;
    for (size_t i = 0; i < size; i++)
        quote = quote || strchr(",\"\r\n", data[i]);
    if (!quote) {
        http_text_add(text, data, size);
        return;
    }
    http_text_add(text, "\"", 1);
    for (size_t i = 0; i < size; i++)
        http_text_add(text, data[i] == '"' ? "\"\"" : data + i, data[i] == '"' ? 2 : 1);
    http_text_add(text, "\"", 1);
}

bool http_text_is_utf8(const char *data, size_t size) {
    size_t length = 1;
    for (size_t i = 0; i < size && length > 0; i += length)
        length = sequence((const unsigned char *)data + i, size - i);
    return length > 0;
}

size_t http_text_visible(const char *data, size_t left) {
    const unsigned char *at = (const unsigned char *)data;
    size_t size = left > 0 ? sequence(at, left) : 0;
    if (size == 1)
        return at[0] >= 0x20 && at[0] != 0x7f;
    if (size == 2)
        return at[0] == 0xc2 && at[1] < 0xa0 ? 0 : 2;
    bool turns =
        size == 3 && at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) || (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
    return turns ? 0 : size;
}

/* What stands at data[*at], which moves behind it, as it may be shown. */
static const char *next_shown(size_t *length, size_t *at, const char *data, size_t size) {
    const char *here = data + *at;
    size_t visible = http_text_visible(here, size - *at), whole = sequence((const unsigned char *)here, size - *at);
    *at += whole > 0 ? whole : 1;
    *length = visible > 0 ? visible : 1;
    return visible > 0 ? here : "?";
}

void http_text_shown(http_text *text, const char *data, size_t size) {
    for (size_t i = 0, length; i < size;) {
        const char *shown = next_shown(&length, &i, data, size);
        http_text_add(text, shown, length);
    }
}

void http_text_show(FILE *out, const char *data, size_t size) {
    http_text text = {0};
    http_text_shown(&text, data, size);
    if (text.size && !text.failed)
        fwrite(text.data, 1, text.size, out);
    else if (text.failed)
        fputs("(out of memory)", out);
    http_text_dispose(&text);
}

void http_text_dispose(http_text *text) {
    free(text->data);
    memset(text, 0, sizeof *text);
}
