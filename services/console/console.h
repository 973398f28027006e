/* console/console.h - a console at / of the API service: pages for a browser, compiled in, and what they need beside the API itself.
 *
 * The pages ask the API like any other client; nothing here answers what the API does not, except the documents of many items at once and the reports
 * of a folder. They take nothing from elsewhere and insert every id, title and text as text: all of them are what strangers wrote. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "http/http.h"

enum { CONSOLE_OFF, CONSOLE_READ, CONSOLE_WRITE };

/* What the settings say. Lives as long as the server. FROZEN once the server is open. */
typedef struct console {
    reco_engine *engine;
    uint32_t mode;
    char reports[1024]; /* folder; empty: none */
} console;

/* `mode` NULL: that of the setting services.console. INVALID naming `console` for another word. */
reco_status console_settle(console *self, const char *mode, const reco_settings *settings, reco_error *err);
/* Appends the routes, none when it is off. The mode CONSOLE_WRITE adds none here: whoever opens the server has POST /events then. */
void console_routes(http_route *routes, size_t *count, console *self, reco_engine *engine);
/* What /openapi.json says of them: openapi.json beside this file. */
extern const char console_openapi[];

/* --- between the files of this room: handlers, whose context is the console -------------------------------------------------------------------- */

void console_send_index(http_request *request, void *context);
void console_send_beside(http_request *request, void *context);
void console_send_above(http_request *request, void *context);
void console_send_file(http_request *request, void *context);
void console_send_items(http_request *request, void *context);
void console_send_reports(http_request *request, void *context);
void console_send_report(http_request *request, void *context);
/* The name in the path; false: answered 400 or 413. */
bool console_name(http_request *request, const char *field, reco_str *name);

#endif
