/* http/document.c - the OpenAPI document of a server: what all services answer (openapi.json beside this file) and the pieces of the service itself,
 * which have the same shape, put together once. All are compiled in. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

extern const char http_openapi[];

static json_t *read_piece(const char *text) { return json_loads(text, JSON_REJECT_DUPLICATES, NULL); }

/* Members of objects are added to those that are there, at every depth. */
static bool add_piece(json_t *document, const char *text) {
    json_t *piece = read_piece(text);
    bool fine = piece && json_object_update_recursive(document, piece) == 0;
    json_decref(piece);
    return fine;
}

static json_t *put_together(const char *const *own) {
    json_t *document = read_piece(http_openapi);
    bool fine = document && json_object_set_new(json_object_get(document, "info"), "version", json_string(reco_version())) == 0;
    for (; fine && own && *own; own++)
        fine = add_piece(document, *own);
    if (fine)
        return document;
    json_decref(document);
    return NULL;
}

bool http_document_make(http_server *server, const char *const *own) {
    json_t *document = put_together(own);
    server->document = document ? json_dumps(document, JSON_COMPACT) : NULL;
    server->document_size = server->document ? strlen(server->document) : 0;
    json_decref(document);
    return server->document != NULL;
}

void http_document_send(http_request *request, void *context) {
    (void)context;
    if (http_params(request, NULL, 0))
        http_send(request, 200, HTTP_JSON, request->server->document, request->server->document_size, HTTP_ETAG);
}
