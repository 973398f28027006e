/* console/pages.c - the files of the console as they are compiled in. A browser asks each time whether they are still the same (ETag): there is no
 * build step that could put a version into their names. */
#include <string.h>

#include "console/console.h"

#define HTML "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

extern const char console_index_html[], console_style_css[], console_icon_svg[], console_theme_js[], console_main_js[], console_dom_js[],
    console_api_js[], console_answers_js[], console_user_js[], console_item_js[], console_popular_js[], console_live_js[], console_metrics_js[],
    console_reports_js[];

static const struct {
    const char *name, *content_type, *text;
} files[] = {
    {"style.css", "text/css; charset=utf-8", console_style_css},
    {"icon.svg", "image/svg+xml", console_icon_svg},
    {"theme.js", SCRIPT, console_theme_js},
    {"main.js", SCRIPT, console_main_js},
    {"dom.js", SCRIPT, console_dom_js},
    {"api.js", SCRIPT, console_api_js},
    {"answers.js", SCRIPT, console_answers_js},
    {"user.js", SCRIPT, console_user_js},
    {"item.js", SCRIPT, console_item_js},
    {"popular.js", SCRIPT, console_popular_js},
    {"live.js", SCRIPT, console_live_js},
    {"metrics.js", SCRIPT, console_metrics_js},
    {"reports.js", SCRIPT, console_reports_js},
};

static void send_text(http_request *request, const char *content_type, const char *text) {
    http_send(request, 200, content_type, text, strlen(text), HTTP_PAGE | HTTP_ETAG);
}

void console_send_index(http_request *request, void *context) {
    (void)context; /* parameters that a link has picked up do no harm to a page */
    send_text(request, HTML, console_index_html);
}

/* What people type for the console. Its page asks from its own address on, so that it is served at one place. */
void console_send_beside(http_request *request, void *context) {
    (void)context;
    http_send_redirect(request, "./");
}

void console_send_above(http_request *request, void *context) {
    (void)context;
    http_send_redirect(request, "../");
}

void console_send_file(http_request *request, void *context) {
    (void)context;
    reco_str name;
    if (!console_name(request, "file", &name))
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, name.data) == 0) {
            send_text(request, files[i].content_type, files[i].text);
            return;
        }
    http_send_problem(request, 404, "file", "the console has no such file");
}
