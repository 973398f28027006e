/* http/log.h - log lines of programs: one JSON object a line on stderr, each written by one write. SHARED. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include <stdbool.h>

/* Sends also libreco's lines here. `level` is RECO_LOG_...; lines above it are left out. */
void http_log_start(int level);
bool http_log_wants(int level);
/* {"time":"...","level":"info","room":"http","message":"...", FIELDS}; `fields` is JSON text such as "\"port\":8080", or NULL. */
void http_log(int level, const char *room, const char *fields, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
