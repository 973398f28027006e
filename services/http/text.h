/* http/text.h - a growing text for answers, metrics and log lines. CONFINED. The first failure sticks: callers look at `failed` once. */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct http_text {
    char *data; /* terminated when not NULL; freed by http_text_dispose */
    size_t size, room;
    bool failed; /* memory ran out */
} http_text;

void http_text_add(http_text *text, const char *data, size_t size);
void http_text_printf(http_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void http_text_vprintf(http_text *text, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
/* Quoted and escaped for JSON; bytes that are no UTF-8 become U+FFFD. */
void http_text_json(http_text *text, const char *data, size_t size);
/* Milliseconds since 1970 as RFC 3339, in UTC. */
void http_text_time(http_text *text, int64_t ms);
/* The same to the second, as strftime says in `form`, into `out`, which is answered; "" for a moment that has no date. */
#define HTTP_TEXT_SECONDS "%Y-%m-%dT%H:%M:%SZ"
const char *http_text_date(char out[32], int64_t ms, const char *form);
/* A field of CSV, quoted where it must be. */
void http_text_csv(http_text *text, const char *data, size_t size);
/* Whether all of it is UTF-8 (RFC 3629). */
bool http_text_is_utf8(const char *data, size_t size);
/* Bytes of the character at `data`, of which `left` are there. 0: it is none that may reach a terminal. Control characters may not (ESC, line ends,
 * those of C1), nor U+2028 and U+2029, nor what turns the direction of what follows it (U+202A to U+202E, U+2066 to U+2069), nor what is no UTF-8. */
size_t http_text_visible(const char *data, size_t left);
/* Ids, titles and whatever else comes from elsewhere, for people: what may not reach a terminal is a question mark, so that none of it forges a
 * line. The other one writes to `out`. */
void http_text_shown(http_text *text, const char *data, size_t size);
void http_text_show(FILE *out, const char *data, size_t size);
void http_text_dispose(http_text *text);

#endif
