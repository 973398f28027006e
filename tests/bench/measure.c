/* tests/bench/measure.c - see measure.h. */
#include "bench/measure.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <reco/generate.h>

void bench_need(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------- */

int64_t bench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bench_wait_until(int64_t moment_ns) {
    struct timespec when = {moment_ns / 1000000000, moment_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
        continue;
    }
}

double bench_cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

double bench_cpu_of_us(pid_t pid) {
    char path[64], line[1024];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    const char *rest = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file) {
        fclose(file);
    }
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2) {
        return 0;
    }
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static int by_value(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

double bench_percentile(double *values, size_t count, double part) {
    qsort(values, count, sizeof *values, by_value);
    return count ? values[(size_t)((double)(count - 1) * part)] : 0;
}

double bench_median(double *values, size_t count) { return bench_percentile(values, count, 0.5); }

/* --- engines ---------------------------------------------------------------------------------------------------------------------------- */

reco_engine *bench_open(const char *data, uint32_t flags, const char *const *settings) {
    reco_settings *given = NULL;
    reco_engine *engine = NULL;
    reco_error err = RECO_ERROR_INIT;
    bench_ok(reco_settings_create(&given, &err), &err);
    bench_ok(reco_settings_set(given, "limits.map_size", "16GiB", &err), &err);
    bench_ok(reco_settings_set(given, "log.level", "error", &err), &err);
    for (size_t i = 0; settings && settings[i]; i += 2) {
        bench_ok(reco_settings_set(given, settings[i], settings[i + 1], &err), &err);
    }
    reco_open_options options = {.struct_size = sizeof options, .flags = flags, .data = data, .settings = given};
    bench_ok(reco_open(&engine, &options, NULL, &err), &err);
    reco_settings_free(given);
    return engine;
}

reco_progress bench_learn(reco_engine *engine, uint32_t batch_events) {
    reco_processor *processor;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = batch_events};
    reco_progress progress = {.struct_size = sizeof progress};
    reco_error err = RECO_ERROR_INIT;
    bench_ok(reco_processor_open(&processor, engine, &options, NULL, &err), &err);
    do {
        bench_ok(reco_processor_step(&progress, processor, NULL, &err), &err);
    } while (!progress.idle);
    reco_processor_close(processor);
    return progress;
}

/* --- events ----------------------------------------------------------------------------------------------------------------------------- */

enum { BATCH_MAX = 1000, TEXT_MAX = 256 };

struct bench_feed {
    reco_generator *generator;
    reco_event events[BATCH_MAX];
    char text[BATCH_MAX][TEXT_MAX];
};

static reco_str keep(char **at, reco_str from) {
    reco_str kept = {from.size ? *at : NULL, from.size};
    if (from.size) {
        memcpy(*at, from.data, from.size);
    }
    *at += from.size;
    return kept;
}

bench_feed *bench_feed_open(uint32_t items, uint32_t users, uint64_t events, uint64_t seed) {
    struct timespec now;
    reco_error err = RECO_ERROR_INIT;
    bench_feed *feed = calloc(1, sizeof *feed);
    bench_need(feed, "out of memory");
    clock_gettime(CLOCK_REALTIME, &now);
    reco_generator_options options = {.struct_size = sizeof options,
                                      .items = items,
                                      .users = users,
                                      .seed = seed,
                                      .events = events,
                                      .duration = (int64_t)events * BENCH_SPACING,
                                      .start = (int64_t)now.tv_sec * 1000 - (int64_t)events * BENCH_SPACING - 60000};
    bench_ok(reco_generator_create(&feed->generator, &options, &err), &err);
    return feed;
}

void bench_feed_close(bench_feed *feed) {
    reco_generator_free(feed->generator);
    free(feed);
}

size_t bench_feed_next(const reco_event **events, int64_t *received_at, bench_feed *feed, size_t most) {
    size_t count = 0;
    for (; count < most && count < BATCH_MAX; count++) {
        reco_event *event = &feed->events[count];
        if (reco_generator_next(event, received_at, feed->generator) != RECO_OK) {
            break;
        }
        char *at = feed->text[count];
        bench_need(event->user_id.size + event->item_id.size + event->event_id.size + event->event_type.size + event->session_id.size < TEXT_MAX,
                   "an event is longer than expected");
        event->user_id = keep(&at, event->user_id);
        event->item_id = keep(&at, event->item_id);
        event->event_id = keep(&at, event->event_id);
        event->event_type = keep(&at, event->event_type);
        event->session_id = keep(&at, event->session_id);
        event->recommendation_id = event->properties = (reco_str){NULL, 0};
    }
    *events = feed->events;
    return count;
}

uint64_t bench_ingest(reco_engine *engine, bench_feed *feed, uint64_t events, size_t batch) {
    uint64_t done = 0;
    reco_error err = RECO_ERROR_INIT;
    while (done < events) {
        const reco_event *next;
        reco_ingest_options options = {.struct_size = sizeof options};
        size_t most = events - done < batch ? (size_t)(events - done) : batch, count = bench_feed_next(&next, &options.received_at, feed, most);
        if (count == 0) {
            break;
        }
        bench_ok(reco_ingest(NULL, engine, next, count, sizeof *next, &options, NULL, &err), &err);
        done += count;
    }
    return done;
}

/* --- options ---------------------------------------------------------------------------------------------------------------------------- */

bench_options bench_options_begin(int count, char **arguments) {
    bench_options options = {.count = count < 64 ? count : 64, .arguments = arguments, .used = {true}};
    return options;
}

static int find(bench_options *options, const char *name) {
    for (int i = 1; i < options->count; i++) {
        if (strcmp(options->arguments[i], name) == 0) {
            options->used[i] = true;
            return i;
        }
    }
    return 0;
}

const char *bench_text(bench_options *options, const char *name, const char *initial) {
    int at = find(options, name);
    if (!at || at + 1 >= options->count) {
        return initial;
    }
    options->used[at + 1] = true;
    return options->arguments[at + 1];
}

uint64_t bench_number(bench_options *options, const char *name, uint64_t initial) {
    const char *text = bench_text(options, name, NULL);
    return text ? strtoull(text, NULL, 10) : initial;
}

bool bench_flag(bench_options *options, const char *name) { return find(options, name) != 0; }

void bench_options_end(const bench_options *options, const char *usage) {
    for (int i = 1; i < options->count; i++) {
        if (!options->used[i]) {
            fprintf(stderr, "unknown argument %s\nusage: %s\n", options->arguments[i], usage);
            exit(2);
        }
    }
}
