/* engine/reply.c - replies: what an HTTP service only has to send on. */
#include "engine/reply.h"

void reco_reply_dispose(reco_reply *reply) {
    if (!reply)
        return;
    reco__release(reply->body);
    reply->body = NULL;
    reply->size = 0;
}

reco_status reco__reply_begin(reco_reply *reply, reco_error *err) {
    if (!reply || reply->struct_size < sizeof *reply)
        return reco__fail(err, RECO_INVALID, "reply", "struct_size is not set");
    *reply = (reco_reply){.struct_size = reply->struct_size};
    return RECO_OK;
}

reco_status reco__reply_body(reco_reply *reply, reco__buf *body, reco_error *err) {
    reply->size = body->size;
    reply->body = reco__buf_cstr(body) ? body->data : NULL;
    if (reply->body)
        return RECO_OK;
    reco_status status = reco__buf_status(body, err);
    reco__buf_dispose(body);
    return status;
}

/* What is wrong with what was sent and with no field of it is wrong with the whole. */
#define WHOLE "body"

reco_status reco__reply_problem(reco_reply *reply, const reco_error *error, reco_error *err) {
    reco_error named = *error;
    if (!*named.field && (named.status == RECO_INVALID || named.status == RECO_TOO_LARGE))
        memcpy(named.field, WHOLE, sizeof WHOLE);
    reco_status status = reco_problem_json(reply, &named, NULL);
    return status == RECO_OK ? RECO_OK : reco__fail(err, status, "reply", "%s", error->text);
}

void reco__reply_rejected(reco__buf *body, const reco_error *error, int32_t index, bool first) {
    if (!first)
        reco__buf_byte(body, ',');
    reco__buf_text(body, "{\"index\":");
    reco__json_int(body, index);
    reco__buf_text(body, ",\"field\":");
    const char *field = *error->field ? error->field : WHOLE;
    reco__json_string(body, field, strlen(field));
    reco__buf_text(body, ",\"status\":");
    const char *name = reco_status_name(error->status);
    reco__json_string(body, name, strlen(name));
    reco__buf_text(body, ",\"detail\":");
    reco__json_string(body, error->text, strlen(error->text));
    reco__buf_byte(body, '}');
}

reco_status reco_problem_json(reco_reply *reply, const reco_error *error, const char *instance) {
    if (!reply || reply->struct_size < sizeof *reply || !error)
        return RECO_INVALID;
    reco__buf body = {.limit = 1u << 20};
    const char *title = reco_status_text(error->status);
    reco_reply_dispose(reply);
    reply->status = error->status;
    reply->http_status = reco_status_http(error->status);
    reply->content_type = "application/problem+json";
    reply->retry_after = reply->http_status == 503 ? 1 : reply->http_status == 507 ? 60 : 0;
    reco__buf_text(&body, "{\"type\":\"about:blank\",\"title\":");
    reco__json_string(&body, title, strlen(title));
    reco__buf_printf(&body, ",\"status\":%d,\"detail\":", (int)reply->http_status);
    reco__json_string(&body, error->text, strlen(error->text));
    if (instance) {
        reco__buf_text(&body, ",\"instance\":");
        reco__json_string(&body, instance, strlen(instance));
    }
    if (error->field[0]) {
        reco__buf_text(&body, ",\"errors\":[{");
        if (error->index >= 0)
            reco__buf_printf(&body, "\"index\":%d,", (int)error->index);
        reco__buf_text(&body, "\"field\":");
        reco__json_string(&body, error->field, strlen(error->field));
        reco__buf_text(&body, ",\"detail\":");
        reco__json_string(&body, error->text, strlen(error->text));
        reco__buf_text(&body, "}]");
    }
    reco__buf_byte(&body, '}');
    return reco__reply_body(reply, &body, NULL);
}
