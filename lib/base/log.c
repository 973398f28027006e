/* base/log.c - log lines go to one function of the application. The lock guards only the three words that say where; it is not held during the call,
 * so the application's function may do as it likes, even set another one. A line begun before reco_set_log returns may still arrive at the old
 * function. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "base/utf8.h"

#define LINE_SIZE 1024

typedef struct log_target {
    reco_log_fn function;
    void *context;
} log_target;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_target target;
static atomic_int most_verbose; /* 0 while there is no function: no line has that level */

void reco_set_log(reco_log_fn function, void *context, int level) {
    pthread_mutex_lock(&lock);
    target.function = function;
    target.context = context;
    atomic_store_explicit(&most_verbose, function ? level : 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

bool reco__log_wanted(int level) { return level <= atomic_load_explicit(&most_verbose, memory_order_relaxed); }

/* One line stays one line, whatever came from outside into it. */
static void finish_line(char *line, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) {
            line[i] = ' ';
        }
    }
    line[size] = '\0';
}

void reco__log(int level, const char *room, const char *format, ...) {
    char line[LINE_SIZE];
    va_list args;

    if (!reco__log_wanted(level)) {
        return;
    }
    va_start(args, format);
    int size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (size < 0) {
        return;
    }
    finish_line(line, (size_t)size < sizeof(line) ? (size_t)size : reco__utf8_cut(line, sizeof(line) - 1));
    pthread_mutex_lock(&lock);
    log_target now = target;
    pthread_mutex_unlock(&lock);
    if (now.function) {
        now.function(now.context, level, room, line);
    }
}
