/* http/conditional.c - whether a client has an answer already: an ETag is a hash of the body, and If-None-Match lists those that the client has. They
 * are compared weakly, as RFC 9110 wants it: an encoded answer is the same answer. */
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

/* FNV-1a, 64 bits. Weak, because the same tag stands for the plain answer and the packed one. */
void http_etag(char out[HTTP_ETAG_SIZE], const char *body, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)body[i]) * UINT64_C(0x100000001b3);
    snprintf(out, HTTP_ETAG_SIZE, "W/\"%016llx\"", (unsigned long long)hash);
}

typedef struct wanted {
    const char *etag;
    bool found;
} wanted;

static void compare(void *context, const char *element, size_t size) {
    wanted *self = context;
    const char *opaque = self->etag + 2;
    if (size > 2 && memcmp(element, "W/", 2) == 0) {
        element += 2;
        size -= 2;
    }
    self->found |= (size == 1 && *element == '*') || (size == strlen(opaque) && memcmp(element, opaque, size) == 0);
}

bool http_client_has(const http_request *request, const char *etag) {
    wanted self = {etag, false};
    http_header_list(request, "If-None-Match", compare, &self);
    return self.found;
}
