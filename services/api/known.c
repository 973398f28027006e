/* api/known.c - items and users over HTTP: one by one, or many in one body. Documents are the library's to read, check and word. */
#include <string.h>

#include "api/api.h"

/* Everything the two kinds differ in. */
typedef struct known {
    uint32_t what;
    const char *field;
    reco_status (*get)(char **json, reco_engine *engine, reco_str id, const reco_call *call, reco_error *err);
    reco_status (*delete)(reco_engine *engine, reco_str id, const reco_call *call, reco_error *err);
} known;

static const known items = {RECO_KNOWN_ITEMS, "item_id", reco_item_get, reco_item_delete};
static const known users = {RECO_KNOWN_USERS, "user_id", reco_user_get, reco_user_delete};

static void get(http_request *request, reco_engine *engine, const known *of) {
    reco_error err = RECO_ERROR_INIT;
    reco_str id;
    char *json = NULL;
    if (!http_params(request, NULL, 0) || !http_path_param(request, of->field, &id))
        return;
    if (of->get(&json, engine, id, http_call(request), &err) != RECO_OK)
        http_send_error(request, &err);
    else
        http_send(request, 200, HTTP_JSON, json, strlen(json), 0);
    reco_free(json);
}

/* `id` of size 0: all that the body holds. */
static void store(http_request *request, reco_engine *engine, const known *of, reco_str id) {
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    uint32_t form;
    const char *text;
    size_t size;
    if (!http_form(request, &form) || !http_body(request, &text, &size))
        return;
    reco_status status = reco_known_json(&reply, engine, of->what, id, text, size, form, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, 0);
}

static void put(http_request *request, reco_engine *engine, const known *of) {
    reco_str id;
    if (http_params(request, NULL, 0) && http_path_param(request, of->field, &id))
        store(request, engine, of, id);
}

static void patch(http_request *request, reco_engine *engine, const known *of) {
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    reco_str id;
    const char *text;
    size_t size;
    if (!http_params(request, NULL, 0) || !http_path_param(request, of->field, &id) || !http_patch_form(request) || !http_body(request, &text, &size))
        return;
    reco_status status = reco_known_patch_json(&reply, engine, of->what, id, text, size, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, 0);
}

static void post(http_request *request, reco_engine *engine, const known *of) {
    if (http_params(request, NULL, 0))
        store(request, engine, of, (reco_str){NULL, 0});
}

static void delete (http_request *request, reco_engine *engine, const known *of) {
    reco_error err = RECO_ERROR_INIT;
    reco_str id;
    if (!http_params(request, NULL, 0) || !http_path_param(request, of->field, &id))
        return;
    if (of->delete (engine, id, http_call(request), &err) != RECO_OK)
        http_send_error(request, &err);
    else
        http_send(request, 204, HTTP_JSON, "", 0, 0);
}

static void post_alias(http_request *request, void *context) {
    reco_engine *engine = context;
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    uint32_t form;
    reco_str id;
    const char *text;
    size_t size;
    if (!http_params(request, NULL, 0) || !http_path_param(request, users.field, &id) || !http_form(request, &form) ||
        !http_body(request, &text, &size))
        return;
    reco_status status = reco_user_alias_json(&reply, engine, id, text, size, http_call(request), &err);
    http_send_reply(request, status, &reply, &err, 0);
}

static void get_item(http_request *request, void *context) { get(request, context, &items); }
static void put_item(http_request *request, void *context) { put(request, context, &items); }
static void patch_item(http_request *request, void *context) { patch(request, context, &items); }
static void delete_item(http_request *request, void *context) { delete (request, context, &items); }
static void post_items(http_request *request, void *context) { post(request, context, &items); }
static void get_user(http_request *request, void *context) { get(request, context, &users); }
static void put_user(http_request *request, void *context) { put(request, context, &users); }
static void patch_user(http_request *request, void *context) { patch(request, context, &users); }
static void delete_user(http_request *request, void *context) { delete (request, context, &users); }
static void post_users(http_request *request, void *context) { post(request, context, &users); }

void api_known_routes(http_route *routes, size_t *count, reco_engine *engine) {
    const http_route own[] = {
        {"GET", "/items/{item_id}", get_item, engine, 0},
        {"PUT", "/items/{item_id}", put_item, engine, 0},
        {"PATCH", "/items/{item_id}", patch_item, engine, 0},
        {"PATCH", "/users/{user_id}", patch_user, engine, 0},
        {"DELETE", "/items/{item_id}", delete_item, engine, 0},
        {"POST", "/items", post_items, engine, 0},
        {"GET", "/users/{user_id}", get_user, engine, 0},
        {"PUT", "/users/{user_id}", put_user, engine, 0},
        {"DELETE", "/users/{user_id}", delete_user, engine, 0},
        {"POST", "/users", post_users, engine, 0},
        {"POST", "/users/{user_id}/aliases", post_alias, engine, 0},
    };
    memcpy(routes + *count, own, sizeof own);
    *count += sizeof own / sizeof *own;
}
