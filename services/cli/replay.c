/* cli/replay.c - the stream learned by other settings, beside what runs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "http/log.h"

typedef struct options {
    const char *into;
    bool dry_run, yes, follow, json, progress;
} options;

static const option_spec table[] = {
    {"into", 0, OPTION_TEXT, offsetof(options, into), "DIR", "where the new features are made, or their address (redis://...)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(options, dry_run), NULL, "only say what it will take"},
    {"yes", 'y', OPTION_FLAG, offsetof(options, yes), NULL, "do not ask before it begins"},
    {"follow", 0, OPTION_FLAG, offsetof(options, follow), NULL, "go on following the stream until SIGTERM or SIGINT"},
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

typedef struct running {
    const options *given;
    cli_progress progress;
    bool told;
} running;

static void amount(char out[32], uint64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(out, 32, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void print_estimate(const reco_replay_result *result, const options *given) {
    char bytes[32], left[32];
    amount(bytes, result->estimated_bytes);
    amount(left, result->free_bytes);
    if (given->json)
        printf("{\"records\":%llu,\"rate\":%llu,\"estimated_ms\":%lld,\"estimated_bytes\":%llu,\"free_bytes\":%llu}\n",
               (unsigned long long)result->records, (unsigned long long)result->rate, (long long)result->estimated_ms,
               (unsigned long long)result->estimated_bytes, (unsigned long long)result->free_bytes);
    else
        fprintf(given->dry_run ? stdout : stderr, "%llu records are to be learned: about %lld s, at %llu a second; about %s of disk%s%s%s\n",
                (unsigned long long)result->records, (long long)((result->estimated_ms + 999) / 1000), (unsigned long long)result->rate, bytes,
                result->free_bytes ? ", of " : "", result->free_bytes ? left : "", result->free_bytes ? " that are free" : "");
    if (result->free_bytes && result->free_bytes < result->estimated_bytes)
        fprintf(stderr, "reco: warning: that is more than there is\n");
}

/* Asked where somebody can answer; otherwise --yes is needed. */
static reco_status agreed(const options *given, reco_error *err) {
    char answer[16] = "";
    if (given->yes)
        return RECO_OK;
    if (!isatty(STDIN_FILENO))
        return options_fail(err, RECO_INVALID, "yes", "say --yes to begin, or --dry-run");
    fprintf(stderr, "Begin? [y/N] ");
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return RECO_OK;
    return options_fail(err, RECO_CANCELLED, "yes", "nothing was done");
}

static int32_t current(void *context, uint64_t learned) {
    running *self = context;
    cli_progress_end(&self->progress);
    if (!self->told)
        fprintf(stderr, "reco: current, %llu records learned; start processes with the new settings and features at %s\n",
                (unsigned long long)learned, self->given->into);
    self->told = true;
    return program_signal_within(0);
}

static reco_status replay(running *self, const reco_settings *settings, reco_error *err) {
    const options *given = self->given;
    reco_replay_options how = {.struct_size = sizeof how, .flags = RECO_REPLAY_ESTIMATE, .into = given->into};
    reco_replay_result result = {.struct_size = sizeof result};
    reco_status status = reco_replay(&result, settings, &how, NULL, err);
    if (status != RECO_OK)
        return status;
    if (given->dry_run || !given->json)
        print_estimate(&result, given);
    if (given->dry_run)
        return cli_finish(err);
    status = agreed(given, err);
    if (status != RECO_OK)
        return status;
    if (given->follow)
        how.current = current;
    how.context = self;
    how.flags = 0;
    if (nice(10) == -1) /* those who answer come first */
        fflush(stderr);
    cli_progress_begin(&self->progress, given->progress);
    reco_call told = cli_progress_call(&self->progress);
    status = reco_replay(&result, settings, &how, &told, err);
    cli_progress_end(&self->progress);
    if (status != RECO_OK)
        return status;
    if (given->json)
        printf("{\"records\":%llu,\"learned\":%llu,\"lag\":%llu,\"rate\":%llu}\n", (unsigned long long)result.records,
               (unsigned long long)result.learned, (unsigned long long)result.lag, (unsigned long long)result.rate);
    else
        printf("%llu records learned, %llu a second; %llu came since\nto use it: the new settings, and features: %s%s\n",
               (unsigned long long)result.learned, (unsigned long long)result.rate, (unsigned long long)result.lag,
               strchr(given->into, ':') ? "" : "lmdb:", given->into);
    return cli_finish(err);
}

static int run(const cli_call *call) {
    running self = {.given = call->options};
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    if (self.given->follow)
        program_hold_signals();
    http_log_start(RECO_LOG_WARN);
    reco_status status = self.given->into ? program_settings(&settings, call->globals, &err)
                                          : options_fail(&err, RECO_INVALID, "into", "say where the new features are to be made: --into DIR");
    if (status == RECO_OK)
        status = replay(&self, settings, &err);
    reco_settings_free(settings);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_replay = {
    "replay",
    "",
    "learn the stream by other settings, beside what runs",
    "With the new settings (--config, --set), while processes with the old ones go on: says how long it takes and how much disk,\n"
    "learns into DIR, and with --follow keeps it current while the processes are restarted with the new settings and\n"
    "features: lmdb:DIR. Positions given out before stay good. It may be ended and begun again.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    0,
    run};
