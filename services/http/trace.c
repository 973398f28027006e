/* http/trace.c - W3C trace context: a valid traceparent is taken over, its trace id kept, with a span id of this server's own; a bad one is as none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

static bool hex(const char *text, size_t size, bool *zero) {
    *zero = true;
    for (size_t i = 0; i < size; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
        *zero = *zero && text[i] == '0';
    }
    return true;
}

/* version-trace-parent-flags; a version we do not know may go on after the flags, "ff" is forbidden. */
static bool valid(const char *text) {
    size_t size = strlen(text);
    bool zero;
    if (size < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!hex(text, 2, &zero) || memcmp(text, "ff", 2) == 0 || (zero && size != 55) || (size > 55 && text[55] != '-'))
        return false;
    if (!hex(text + 3, 32, &zero) || zero || !hex(text + 36, 16, &zero) || zero)
        return false;
    return hex(text + 53, 2, &zero);
}

/* Finaliser of splitmix64 over a counter: ids that do not repeat, without a lock. */
static uint64_t new_span(http_server *server) {
    uint64_t x = server->span_seed + atomic_fetch_add_explicit(&server->spans, 1, memory_order_relaxed) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x ? x : 1;
}

void http_trace_accept(http_request *request) {
    const char *given = http_header(request, "traceparent");
    if (!given || !valid(given))
        return;
    snprintf(request->traceparent, sizeof request->traceparent, "00-%.32s-%016" PRIx64 "-%.2s", given + 3, new_span(request->server), given + 53);
    request->call.traceparent = request->traceparent;
}
