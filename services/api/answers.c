/* api/answers.c - recommendations out over HTTP. Parameters are the library's to check: the raw query string goes to it and a ready reply comes back.
 */
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

void api_routes(http_route *routes, size_t *count, reco_engine *engine) {
    routes[(*count)++] = (http_route){"GET", "/recommendations", get_recommendations, engine, 0};
    routes[(*count)++] = (http_route){"GET", "/popular", get_popular, engine, 0};
    api_known_routes(routes, count, engine);
}
