/* cli/generate.c - synthetic events for trying, testing and measuring; the same for the same seed. */
#include <string.h>

#include <reco/generate.h>

#include "cli/cli.h"
#include "http/text.h"

#define EVENTS 100000u
#define TOLD_EVERY 1000u

typedef struct options {
    const char *format;
    reco_generator_options generator;
    bool no_ids, progress;
} options;

#define AT(name) offsetof(options, generator.name)
static const option_spec table[] = {
    {"events", 'n', OPTION_COUNT64, AT(events), "N", "how many (default 100000)"},
    {"items", 0, OPTION_COUNT, AT(items), "N", "items (default 10000)"},
    {"users", 0, OPTION_COUNT, AT(users), "N", "users (default 10000)"},
    {"clusters", 0, OPTION_COUNT, AT(clusters), "N", "clusters of taste (default items / 500, at least 4)"},
    {"seed", 0, OPTION_U64, AT(seed), "N", "another seed, other events (default 0)"},
    {"start", 0, OPTION_TIME, AT(start), "TIME", "first moment (default 2026-01-01T00:00:00Z)"},
    {"duration", 0, OPTION_SPAN, AT(duration), "DURATION", "they are spread over this long (default 28d)"},
    {"zipf", 0, OPTION_REAL, AT(zipf), "X", "exponent of popularity within a cluster (default 1)"},
    {"session-events", 0, OPTION_REAL, AT(session_events), "X", "mean events of a session (default 8)"},
    {"drift", 0, OPTION_SHARE, AT(drift), "SHARE", "how far popularity moves to other items"},
    {"late", 0, OPTION_SHARE, AT(late), "SHARE", "events with a late timestamp, one in four too late"},
    {"early", 0, OPTION_SHARE, AT(early), "SHARE", "events with an early timestamp, one in four too early"},
    {"duplicate", 0, OPTION_SHARE, AT(duplicate), "SHARE", "events sent again with the same event_id"},
    {"reordered", 0, OPTION_SHARE, AT(reordered), "SHARE", "events out of order"},
    {"no-ids", 0, OPTION_FLAG, offsetof(options, no_ids), NULL, "without event_id"},
    {"format", 'f', OPTION_TEXT, offsetof(options, format), "ndjson|csv", "what is written (default ndjson)"},
    CLI_PROGRESS(options),
};

static void add_string(http_text *out, const char *name, reco_str value) {
    if (!value.size)
        return;
    http_text_printf(out, "%s\"%s\":", out->size > 1 ? "," : "", name);
    http_text_json(out, value.data, value.size);
}

static void write_json(http_text *line, const reco_event *event, int64_t timestamp) {
    http_text_add(line, "{", 1);
    add_string(line, "user_id", event->user_id);
    add_string(line, "item_id", event->item_id);
    add_string(line, "event_type", event->event_type);
    http_text_printf(line, ",\"timestamp\":%lld", (long long)timestamp);
    if (event->flags & RECO_EVENT_HAS_VALUE)
        http_text_printf(line, ",\"value\":%.17g", event->value);
    if (event->flags & RECO_EVENT_HAS_POSITION)
        http_text_printf(line, ",\"position\":%d", event->position);
    add_string(line, "session_id", event->session_id);
    add_string(line, "event_id", event->event_id);
    http_text_add(line, "}\n", 2);
}

static void write_csv(http_text *line, const reco_event *event, int64_t timestamp) {
    http_text_csv(line, event->user_id.data, event->user_id.size);
    http_text_add(line, ",", 1);
    http_text_csv(line, event->item_id.data, event->item_id.size);
    http_text_add(line, ",", 1);
    http_text_csv(line, event->event_type.data, event->event_type.size);
    http_text_printf(line, ",%lld,", (long long)timestamp);
    if (event->flags & RECO_EVENT_HAS_VALUE)
        http_text_printf(line, "%.17g", event->value);
    http_text_add(line, "\n", 1);
}

static reco_status write_events(reco_generator *generator, bool csv, uint64_t count, cli_progress *progress, reco_error *err) {
    http_text line = {0};
    reco_event event;
    int64_t received_at;
    reco_work work = {.struct_size = sizeof work, .what = "generating", .unit = "events", .total = count};
    reco_status status = RECO_OK;
    if (csv)
        printf("user_id,item_id,event_type,timestamp,value\n");
    while (status == RECO_OK && reco_generator_next(&event, &received_at, generator) == RECO_OK) {
        line.size = 0;
        (csv ? write_csv : write_json)(&line, &event, event.timestamp ? event.timestamp : received_at);
        if (line.failed)
            status = options_no_memory(err);
        else if (fwrite(line.data, 1, line.size, stdout) != line.size)
            status = cli_finish(err);
        if (++work.done % TOLD_EVERY == 0 || work.done == count)
            cli_progress_tell(progress, &work);
    }
    http_text_dispose(&line);
    return status == RECO_OK ? cli_finish(err) : status;
}

static int run(const cli_call *call) {
    const options *given = call->options;
    reco_generator_options how = given->generator;
    reco_generator *generator = NULL;
    reco_error err = RECO_ERROR_INIT;
    bool csv = given->format && strcmp(given->format, "csv") == 0;
    if (given->format && !csv && strcmp(given->format, "ndjson") != 0) {
        options_fail(&err, RECO_INVALID, "format", "must be ndjson or csv");
        return program_fail(&err);
    }
    cli_progress progress;
    how.struct_size = sizeof how;
    how.no_ids = given->no_ids;
    how.events = how.events ? how.events : EVENTS;
    reco_status status = reco_generator_create(&generator, &how, &err);
    cli_progress_begin_writing(&progress, given->progress);
    if (status == RECO_OK)
        status = write_events(generator, csv, how.events, &progress, &err);
    cli_progress_end(&progress);
    reco_generator_free(generator);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_generate = {
    "generate",
    "",
    "synthetic events on stdout",
    "Zipf items in clusters of taste, sessions, drift, and stated shares of trouble. What is written in order of receipt has the time of the\n"
    "event; the time of receipt is whenever it is ingested.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    0,
    run};
