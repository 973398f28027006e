#include "console/console.h"

#include <string.h>

#include "http/options.h"
#include "http/text.h"

#define NAME_MAX_BYTES 256u

static const char *const modes[] = {[CONSOLE_OFF] = "off", [CONSOLE_READ] = "read", [CONSOLE_WRITE] = "write"};

reco_status console_settle(console *self, const char *mode, const reco_settings *settings, reco_error *err) {
    char text[32];
    reco_status status = reco_settings_get(self->reports, sizeof self->reports, settings, "services.reports", err);
    if (status == RECO_OK && !mode) {
        status = reco_settings_get(text, sizeof text, settings, "services.console", err);
        mode = text;
    }
    if (status != RECO_OK)
        return status;
    for (self->mode = 0; self->mode < sizeof modes / sizeof *modes; self->mode++)
        if (strcmp(modes[self->mode], mode) == 0)
            return RECO_OK;
    return options_fail(err, RECO_INVALID, "console", "must be off, read or write, not \"%.100s\"", mode);
}

bool console_name(http_request *request, const char *field, reco_str *name) {
    if (!http_params(request, NULL, 0) || !http_path_param(request, field, name))
        return false;
    if (!http_text_is_utf8(name->data, name->size)) {
        http_send_problem(request, 400, field, "not UTF-8");
        return false;
    }
    if (name->size <= NAME_MAX_BYTES)
        return true;
    http_send_problem(request, 413, field, "longer than %u bytes", NAME_MAX_BYTES);
    return false;
}

/* What the pages are to show and to leave out. */
static void send_state(http_request *request, void *context) {
    const console *self = context;
    http_text body = {0};
    if (!http_params(request, NULL, 0))
        return;
    http_text_printf(&body, "{\"mode\":\"%s\",\"reports\":%s,\"version\":\"%s\"}\n", modes[self->mode], *self->reports ? "true" : "false",
                     reco_version());
    if (body.failed)
        http_send_problem(request, 503, NULL, "out of memory");
    else
        http_send(request, 200, HTTP_JSON, body.data, body.size, HTTP_PAGE | HTTP_ETAG);
    http_text_dispose(&body);
}

void console_routes(http_route *routes, size_t *count, console *self, reco_engine *engine) {
    const http_route own[] = {
        {"GET", "/", console_send_index, self, 0},
        {"GET", "/console", console_send_beside, self, 0},
        {"GET", "/console/", console_send_above, self, 0},
        {"GET", "/console/state", send_state, self, 0},
        {"POST", "/console/items", console_send_items, self, 0},
        {"GET", "/console/reports", console_send_reports, self, 0},
        {"GET", "/console/reports/{report}", console_send_report, self, 0},
        {"GET", "/console/page/{file}", console_send_file, self, 0},
    };
    self->engine = engine;
    if (self->mode == CONSOLE_OFF)
        return;
    memcpy(routes + *count, own, sizeof own);
    *count += sizeof own / sizeof *own;
}
