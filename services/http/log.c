#include "http/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <reco/memory.h>

#include "http/clock.h"
#include "http/text.h"

/* The level wanted is the one thing of a program's own that every thread needs. */
static atomic_int wanted = RECO_LOG_INFO;

static const char *level_name(int level) {
    return level <= RECO_LOG_ERROR ? "error" : level <= RECO_LOG_WARN ? "warn" : level <= RECO_LOG_INFO ? "info" : "debug";
}

static void write_line(int level, const char *room, const char *fields, const char *message) {
    http_text line = {0};
    http_text_printf(&line, "{\"time\":\"");
    http_text_time(&line, http_wall_ms());
    http_text_printf(&line, "\",\"level\":\"%s\",\"room\":", level_name(level));
    http_text_json(&line, room, strlen(room));
    http_text_printf(&line, ",\"message\":");
    http_text_json(&line, message, strlen(message));
    if (fields && *fields)
        http_text_printf(&line, ",%s", fields);
    http_text_add(&line, "}\n", 2);
    if (!line.failed) {
        ssize_t written = write(STDERR_FILENO, line.data, line.size);
        (void)written; /* a log that cannot be written has nowhere to complain */
    }
    http_text_dispose(&line);
}

static void from_library(void *context, int level, const char *room, const char *message) {
    (void)context;
    if (http_log_wants(level))
        write_line(level, room, NULL, message);
}

void http_log_start(int level) {
    atomic_store(&wanted, level);
    reco_set_log(from_library, NULL, level);
}

bool http_log_wants(int level) { return level <= atomic_load_explicit(&wanted, memory_order_relaxed); }

void http_log(int level, const char *room, const char *fields, const char *format, ...) {
    if (!http_log_wants(level))
        return;
    http_text message = {0};
    va_list arguments;
    va_start(arguments, format);
    http_text_vprintf(&message, format, arguments);
    va_end(arguments);
    if (message.data)
        write_line(level, room, fields, message.data);
    http_text_dispose(&message);
}
