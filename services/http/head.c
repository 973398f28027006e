/* http/head.c - heads of requests that two readers might read in two ways, and which are refused for that: where a proxy and we see different headers
 * or different ends, requests can be smuggled.
 *
 * civetweb is lenient: it drops blanks before a colon, and at a line that does not begin with a name (a continued one, say) or behind the last header
 * it has room for it stops, as if the head ended there. It cuts the head up where it lies, so both can be seen: by the bytes between a name and its
 * value, and by what follows the last value, which is the blank line or something that was overlooked. */
#include <string.h>
#include <strings.h>

#include "http/internal.h"

static bool is_token(const char *text) {
    return *text && text[strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] == 0;
}

static bool has_controls(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 ? *text != '\t' : *text == 0x7f)
            return true;
    return false;
}

/* A name, then the zero that was the colon; a zero more is a blank that was dropped. */
static bool is_clean(const struct mg_header *header) {
    const char *colon = header->name + strlen(header->name);
    return is_token(header->name) && header->value > colon && (header->value == colon + 1 || colon[1] != 0) && !has_controls(header->value);
}

/* Whether the blank line follows the last header. The value ends with one zero, or with two where the line ended with CR LF. */
static bool is_whole(const struct mg_request_info *info) {
    const char *next;
    if (info->num_headers == 0)
        return true;
    next = info->http_headers[info->num_headers - 1].value;
    next += strlen(next) + 1;
    next += *next == 0;
    return *next == '\r' || *next == '\n';
}

int http_head_check(const struct mg_request_info *info, const char **field, const char **wrong) {
    int lengths = 0, hosts = 0, origins = 0;
    *field = "headers";
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *header = &info->http_headers[i];
        *wrong = "a header is malformed";
        if (!is_clean(header))
            return 400;
        hosts += strcasecmp(header->name, "Host") == 0;
        origins += strcasecmp(header->name, "Origin") == 0;
        if (strcasecmp(header->name, "Transfer-Encoding") == 0)
            lengths += strcasecmp(header->value, "chunked") == 0 ? 1 : 2;
        if (strcasecmp(header->name, "Content-Length") != 0)
            continue;
        size_t digits = strspn(header->value, "0123456789");
        lengths += digits == 0 || digits > 18 || header->value[digits] ? 2 : 1;
    }
    *wrong = "too many headers";
    if (info->num_headers == (int)(sizeof info->http_headers / sizeof *info->http_headers))
        return 431;
    *wrong = "a header is malformed or continued";
    if (!is_whole(info))
        return 400;
    *field = "Content-Length";
    *wrong = "the length of the body is not stated clearly, once";
    if (lengths > 1)
        return 400;
    *field = "Origin";
    *wrong = "there are several Origin headers";
    if (origins > 1)
        return 400;
    *field = "Host";
    *wrong = "there must be one Host header";
    return hosts > 1 || (hosts == 0 && strcmp(info->http_version, "1.1") == 0) ? 400 : 0;
}
