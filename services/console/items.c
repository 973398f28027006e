/* console/items.c - the documents of many items at once: an answer names ids, and people want titles. What is not stored is left out. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "console/console.h"
#include "http/text.h"

#define ITEMS_MAX 500u
#define ID_MAX 256u
#define NESTING_MAX 16u

/* jansson goes down one call for each bracket, and threads of the server have little stack: what is too deep, or has a zero byte, which jansson may
 * overlook, never reaches it. */
static bool is_plain(const char *text, size_t size) {
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == 0 || depth > NESTING_MAX)
            return false;
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{'))
            depth++;
        else if (!quoted && depth > 0 && (c == ']' || c == '}'))
            depth--;
    }
    return depth <= NESTING_MAX;
}

/* The array of ids in the body; NULL: answered 400 or 413. */
static json_t *ids_of(http_request *request, json_t *body) {
    json_t *ids = json_object_get(body, "items");
    if (!json_is_object(body)) {
        http_send_problem(request, 400, "body", "must be a JSON object");
        return NULL;
    }
    for (void *at = json_object_iter(body); at; at = json_object_iter_next(body, at))
        if (strcmp(json_object_iter_key(at), "items") != 0) {
            http_send_problem(request, 400, json_object_iter_key(at), "unknown field");
            return NULL;
        }
    if (!json_is_array(ids))
        http_send_problem(request, 400, "items", "must be an array of item ids");
    else if (json_array_size(ids) > ITEMS_MAX)
        http_send_problem(request, 413, "items", "more than %u items", ITEMS_MAX);
    else
        return ids;
    return NULL;
}

/* Appends the document of the id at `at`; false: answered. */
static bool add_item(http_request *request, reco_engine *engine, const json_t *ids, size_t at, http_text *out) {
    reco_error err = RECO_ERROR_INIT;
    const json_t *id = json_array_get(ids, at);
    char *document = NULL, field[32];
    size_t size = json_string_length(id);
    if (!json_is_string(id) || size == 0 || size > ID_MAX) {
        snprintf(field, sizeof field, "items[%zu]", at);
        http_send_problem(request, size > ID_MAX ? 413 : 400, field, "an item id is a text of 1 to %u bytes", ID_MAX);
        return false;
    }
    reco_status status = reco_item_get(&document, engine, (reco_str){json_string_value(id), size}, http_call(request), &err);
    if (status == RECO_OK)
        http_text_printf(out, "%s%s", out->size > 10 ? "," : "", document);
    reco_free(document);
    if (status == RECO_OK || status == RECO_NOT_FOUND)
        return true;
    http_send_error(request, &err);
    return false;
}

static void send_items(http_request *request, reco_engine *engine, const json_t *ids) {
    http_text out = {0};
    bool fine = true;
    http_text_printf(&out, "{\"items\":[");
    for (size_t i = 0; fine && i < json_array_size(ids); i++)
        fine = add_item(request, engine, ids, i, &out);
    http_text_printf(&out, "]}\n");
    if (fine && out.failed)
        http_send_problem(request, 503, NULL, "out of memory");
    else if (fine)
        http_send(request, 200, HTTP_JSON, out.data, out.size, HTTP_PAGE | HTTP_PERSONAL);
    http_text_dispose(&out);
}

void console_send_items(http_request *request, void *context) {
    const console *self = context;
    const char *text;
    size_t size;
    uint32_t form;
    json_error_t wrong;
    if (!http_params(request, NULL, 0) || !http_form(request, &form))
        return;
    if (form != RECO_JSON_AUTO) {
        http_send_problem(request, 415, "Content-Type", "application/json is expected");
        return;
    }
    if (!http_body(request, &text, &size))
        return;
    if (!is_plain(text, size)) {
        http_send_problem(request, 400, "body", "not valid JSON, or nested deeper than %u", NESTING_MAX);
        return;
    }
    json_t *body = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong), *ids = NULL;
    if (!body)
        http_send_problem(request, 400, "body", "not valid JSON: %s", wrong.text);
    else
        ids = ids_of(request, body);
    if (ids)
        send_items(request, self->engine, ids);
    json_decref(body);
}
