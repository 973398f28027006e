/* cli/ingest.c - live events from a file or a pipe: batches of lines go the way a POST would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <reco/admin.h>

#include "cli/cli.h"
#include "http/file.h"
#include "http/text.h"

#define BATCH_LINES 500u
#define BATCH_BYTES (1u << 20)

typedef struct options {
    bool no_process, json, progress;
} options;

static const option_spec ingest_table[] = {
    {"no-process", 0, OPTION_FLAG, offsetof(options, no_process), NULL, "do not wait until the events are learned"},
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};
/* One run: lines gathered, and what became of those before. */
typedef struct feed {
    cli_session *session;
    http_text batch;
    size_t lines, before; /* gathered; sent earlier */
    unsigned long long accepted, rejected;
} feed;

static void report(feed *self, const json_t *rejected) {
    size_t i;
    json_t *one;
    if (json_array_size(rejected))
        cli_progress_aside(&self->session->progress);
    json_array_foreach(rejected, i, one) {
        const char *field = json_string_value(json_object_get(one, "field")), *detail = json_string_value(json_object_get(one, "detail"));
        long long index = json_integer_value(json_object_get(one, "index"));
        fprintf(stderr, "reco: line %llu: ", (unsigned long long)self->before + (unsigned long long)index + 1);
        http_text_show(stderr, detail ? detail : "refused", strlen(detail ? detail : "refused"));
        fprintf(stderr, " (");
        http_text_show(stderr, field ? field : "", strlen(field ? field : ""));
        fprintf(stderr, ")\n");
    }
}

/* What a reply says: counts of a 202, or the errors of a problem. */
static reco_status digest(feed *self, const reco_reply *reply, reco_error *err) {
    json_t *root = json_loadb(reply->body, reply->size, 0, NULL);
    json_t *rejected = json_object_get(root, reply->http_status == 202 ? "rejected" : "errors");
    const char *detail = json_string_value(json_object_get(root, "detail"));
    reco_status status = RECO_OK;
    report(self, rejected);
    if (reply->http_status == 202)
        self->accepted += (unsigned long long)json_integer_value(json_object_get(root, "accepted"));
    if (reply->http_status == 202 || reply->http_status == 422)
        self->rejected += reply->http_status == 202 ? json_array_size(rejected) : self->lines;
    else
        status = options_fail(err, reply->status ? (reco_status)reply->status : RECO_INTERNAL, "", "line %zu and later: %s", self->before + 1,
                              detail ? detail : "not accepted");
    json_decref(root);
    return status;
}

static reco_status flush_batch(feed *self, reco_error *err) {
    reco_reply reply = {.struct_size = sizeof reply};
    if (self->lines == 0)
        return RECO_OK;
    reco_status status = reco_ingest_json(&reply, self->session->engine, self->batch.data, self->batch.size, RECO_JSON_NDJSON, 0, NULL, err);
    if (status == RECO_OK)
        status = digest(self, &reply, err);
    reco_reply_dispose(&reply);
    self->before += self->lines;
    self->lines = 0;
    self->batch.size = 0;
    cli_progress_tell(&self->session->progress,
                      &(reco_work){.struct_size = sizeof(reco_work), .what = "ingesting", .unit = "lines", .done = self->before});
    return status;
}

static reco_status feed_lines(feed *self, FILE *file, const char *path, reco_error *err) {
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    reco_status status = RECO_OK;
    while (status == RECO_OK && (size = getline(&line, &room, file)) >= 0) {
        http_text_add(&self->batch, line, (size_t)size);
        self->lines++;
        if (self->batch.failed)
            status = options_fail(err, RECO_NO_MEMORY, path, "%s", reco_status_text(RECO_NO_MEMORY));
        else if (self->lines == BATCH_LINES || self->batch.size >= BATCH_BYTES)
            status = flush_batch(self, err);
    }
    if (status == RECO_OK && ferror(file))
        status = options_fail(err, RECO_IO, path, "cannot read: %s", strerror(errno));
    free(line);
    return status == RECO_OK ? flush_batch(self, err) : status;
}

static reco_status ingest(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    const char *path = session->call->arguments[0];
    feed all = {.session = session};
    FILE *file;
    reco_status status = http_file_open(&file, path, err);
    if (status != RECO_OK)
        return status;
    cli_session_progress(session, given->progress);
    status = feed_lines(&all, file, path, err);
    http_file_close(file);
    http_text_dispose(&all.batch);
    if (status == RECO_OK && !given->no_process)
        status = reco_process(NULL, session->engine, &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK && all.accepted)
        fprintf(stderr, "reco: %llu events were accepted and are kept; what follows is why it ended\n", all.accepted);
    if (status != RECO_OK)
        return status;
    printf(given->json ? "{\"accepted\":%llu,\"rejected\":%llu}\n" : "%llu events accepted, %llu rejected\n", all.accepted, all.rejected);
    session->code = all.rejected ? PROGRAM_FAILED : PROGRAM_OK;
    return cli_finish(err);
}

static int run_ingest(const cli_call *call) { return cli_with_engine(call, ingest); }

const cli_command cli_ingest = {"ingest",
                                "FILE|-",
                                "events as they happen, one JSON object a line",
                                "Exit code 1 when an event was rejected; each is named on stderr.",
                                CLI_OPTIONS(ingest_table),
                                sizeof(options),
                                1,
                                1,
                                run_ingest};
