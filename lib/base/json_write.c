/* base/json_write.c - JSON values written straight into a buffer: answers are hot, and a tree of values in between costs fifty times as much. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/utf8.h"

static void add_escaped(reco__buf *buf, uint8_t c) {
    static const char hex[] = "0123456789abcdef";
    char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *found = memchr("\"\"\\\\\bb\ff\nn\rr\tt", c, 14);

    if (found) {
        out[1] = found[1];
        reco__buf_add(buf, out, 2);
    } else {
        reco__buf_add(buf, out, 6);
    }
}

static inline bool is_plain(uint8_t c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

/* Nearly all strings are ids and names that need nothing but quotes. */
static bool add_plain(reco__buf *buf, const uint8_t *data, size_t size) {
    size_t at = 0;

    while (at < size && is_plain(data[at])) {
        at++;
    }
    if (at < size || !reco__buf_reserve(buf, size + 2)) {
        return at == size; /* without room: nothing more can be added */
    }
    char *out = buf->data + buf->size;
    out[0] = '"';
    if (size > 0) {
        memcpy(out + 1, data, size);
    }
    out[size + 1] = '"';
    buf->size += size + 2;
    return true;
}

void reco__json_string(reco__buf *buf, const char *data, size_t size) {
    const uint8_t *at = (const uint8_t *)data, *end = at + size, *plain = at; /* bytes from `plain` on go out as they are */

    if (add_plain(buf, at, size)) {
        return;
    }

    reco__buf_byte(buf, '"');
    while (at < end) {
        if (is_plain(*at)) {
            at++;
            continue;
        }
        size_t step = *at < 0x80 ? 0 : reco__utf8_sequence(at, end);
        if (step > 0) {
            at += step;
            continue;
        }
        reco__buf_add(buf, plain, (size_t)(at - plain));
        if (*at < 0x80) {
            add_escaped(buf, *at);
        } else {
            reco__buf_add(buf, "\xEF\xBF\xBD", 3);
        }
        plain = ++at;
    }
    reco__buf_add(buf, plain, (size_t)(at - plain));
    reco__buf_byte(buf, '"');
}

void reco__json_int(reco__buf *buf, int64_t value) {
    char out[20];
    size_t at = sizeof(out);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do {
        out[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        out[--at] = '-';
    }
    reco__buf_add(buf, out + at, sizeof(out) - at);
}

/* The host may have set a locale whose decimal point is something else, even several bytes; JSON knows only the point. */
static size_t plain_point(char *text) {
    size_t size = 0;
    bool in_point = false;

    for (const char *at = text; *at; at++) {
        bool part = (*at >= '0' && *at <= '9') || *at == '-' || *at == '+' || *at == 'e';
        if (part) {
            text[size++] = *at;
        } else if (!in_point) {
            text[size++] = '.';
        }
        in_point = !part;
    }
    return size;
}

void reco__json_double(reco__buf *buf, double value) {
    char text[40];

    if (!isfinite(value)) {
        reco__buf_add(buf, "null", 4);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, value);
        if (precision == 17 || strtod(text, NULL) == value) {
            break;
        }
    }
    reco__buf_add(buf, text, plain_point(text));
    if (strcmp(text, "-0") == 0) { /* without a point, readers take it for an integer, which has no such zero */
        reco__buf_add(buf, ".0", 2);
    }
}
