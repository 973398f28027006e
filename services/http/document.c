/* http/document.c - the OpenAPI document of a server: what all services answer (openapi.json beside this file) and the piece of the service itself,
 * which has the same shape, put together once. Both are compiled in. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

extern const char http_openapi[];

static json_t *read_piece(const char *text) { return json_loads(text, JSON_REJECT_DUPLICATES, NULL); }

/* Members of objects are added to those that are there, at every depth. */
static json_t *put_together(const char *own) {
    json_t *document = read_piece(http_openapi), *piece = own ? read_piece(own) : json_object();
    json_t *info = json_object_get(document, "info");
    bool fine = document && piece && json_object_set_new(info, "version", json_string(reco_version())) == 0 &&
                json_object_update_recursive(document, piece) == 0;
    json_decref(piece);
    if (fine)
        return document;
    json_decref(document);
    return NULL;
}

bool http_document_make(http_server *server, const char *own) {
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
