/* api/answers.c - recommendations out over HTTP. Parameters are the library's to check: the raw query string goes to it and a ready reply comes back.
 */
#include <string.h>

#include "api/api.h"

static void get_recommendations(http_request *request, void *context) {
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco_recommend_json(&reply, context, http_query(request), http_call(request), &err);
    http_send_reply(request, status, &reply, &err, HTTP_PERSONAL);
}

static void get_popular(http_request *request, void *context) {
    reco_reply reply = {.struct_size = sizeof reply};
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco_popular_json(&reply, context, http_query(request), http_call(request), &err);
    http_send_reply(request, status, &reply, &err, HTTP_ETAG);
}

static void get_item(http_request *request, void *context) {
    reco_error err = RECO_ERROR_INIT;
    reco_str item_id;
    char *json = NULL;
    if (!http_params(request, NULL, 0) || !http_path_param(request, "item_id", &item_id))
        return;
    if (reco_item_get(&json, context, item_id, http_call(request), &err) != RECO_OK)
        http_send_error(request, &err);
    else
        http_send(request, 200, HTTP_JSON, json, strlen(json), 0);
    reco_free(json);
}

void api_routes(http_route *routes, size_t *count, reco_engine *engine) {
    routes[(*count)++] = (http_route){"GET", "/recommendations", get_recommendations, engine, 0};
    routes[(*count)++] = (http_route){"GET", "/popular", get_popular, engine, 0};
    routes[(*count)++] = (http_route){"GET", "/items/{item_id}", get_item, engine, 0};
}
