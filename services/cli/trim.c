/* cli/trim.c - the oldest records of the stream, dropped by hand. */
#include <string.h>

#include "cli/cli.h"
#include "http/text.h"

typedef struct options {
    int64_t keep_for;
    const char *keep_bytes;
    bool dry_run, json, progress;
} options;

static const option_spec table[] = {
    {"keep-for", 0, OPTION_SPAN, offsetof(options, keep_for), "DURATION", "keep records this long, such as 90d (default: retention.age)"},
    {"keep-bytes", 0, OPTION_TEXT, offsetof(options, keep_bytes), "BYTES", "keep about so much, such as 20GiB (default: retention.bytes)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(options, dry_run), NULL, "drop nothing, tell what would be"},
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

static void print_json(const reco_trim_result *result) {
    http_text held = {0};
    http_text_json(&held, result->held_by, strlen(result->held_by));
    printf("{\"records\":%llu,\"bytes\":%llu,\"left\":%llu,\"oldest\":%lld,\"held_by\":%s}\n", (unsigned long long)result->records,
           (unsigned long long)result->bytes, (unsigned long long)result->left, (long long)result->oldest, held.failed ? "\"\"" : held.data);
    http_text_dispose(&held);
}

static void print_text(const reco_trim_result *result, bool dry_run) {
    char at[32] = "none";
    if (result->oldest)
        http_text_date(at, result->oldest, HTTP_TEXT_SECONDS);
    printf("%llu records %s, about %llu bytes; %llu stay, the oldest of %s\n", (unsigned long long)result->records,
           dry_run ? "would be dropped" : "dropped", (unsigned long long)result->bytes, (unsigned long long)result->left, at);
    if (result->held_by[0]) {
        printf("more should go, and is held back by: ");
        cli_print_line(stdout, result->held_by);
    }
}

static reco_status trim(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_trim_options how = {.struct_size = sizeof how, .flags = given->dry_run ? RECO_TRIM_DRY_RUN : 0, .age = given->keep_for};
    reco_trim_result result = {.struct_size = sizeof result};
    if (given->keep_bytes && (!options_bytes(given->keep_bytes, &how.bytes) || how.bytes == 0))
        return options_fail(err, RECO_INVALID, "keep-bytes", "\"%.60s\" is no number of bytes above 0", given->keep_bytes);
    cli_session_progress(session, given->progress);
    reco_status status = reco_trim(&result, session->engine, &how, &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    if (given->json)
        print_json(&result);
    else
        print_text(&result, given->dry_run);
    return cli_finish(err);
}

static int run(const cli_call *call) { return cli_with_data(call, trim); }

const cli_command cli_trim = {
    "trim",
    "",
    "drop the oldest records of the stream",
    "Never further than the oldest verified snapshot that is kept (snapshots.folder), what is learned, and what the archive has\n"
    "read; says what holds back more. With retention.age or retention.bytes processors do it by themselves.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    0,
    run};
