/* cli/bench.c - how quickly services answer, or an engine in this process: load, and how long each request took. */
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "cli/cli.h"

#define MS_NS INT64_C(1000000)
#define DAY_MS INT64_C(86400000)
#define RATE_MIN 0.001
#define RATE_MAX 1000000.0
#define WEIGHT_MAX 1000000u
#define THREADS_IN_PROCESS_MAX 256u

typedef struct options {
    const char *ingest_url, *mix, *user_file, *item_file, *warmup;
    option_list headers;
    double rate, zipf;
    int64_t duration, timeout;
    uint64_t requests, seed;
    uint32_t connections, threads, limit, users, items;
    bool open_loop, in_process, write, json, progress;
} options;

#define AT(name) offsetof(options, name)
static const option_spec table[] = {
    {"connections", 0, OPTION_COUNT, AT(connections), "N", "at most so many requests at once (default 16)"},
    {"duration", 0, OPTION_SPAN, AT(duration), "DURATION", "how long (default 10s)"},
    {"requests", 'n', OPTION_COUNT64, AT(requests), "N", "at most so many that count (default: no bound but the duration)"},
    {"open-loop", 0, OPTION_FLAG, AT(open_loop), NULL, "by a schedule that waits for no answer, --rate of them a second"},
    {"rate", 'r', OPTION_REAL, AT(rate), "X", "requests a second of the open loop, which it implies (default 1000)"},
    {"warmup", 0, OPTION_TEXT, AT(warmup), "DURATION", "asked before that, and not counted (default 1s)"},
    {"timeout", 0, OPTION_SPAN, AT(timeout), "DURATION", "an answer that takes longer is given up (default 10s)"},
    {"mix", 'm', OPTION_TEXT, AT(mix), "MIX",
     "what is asked, in which shares: recommendations, session, similar, popular, events, health (default recommendations=1)"},
    {"limit", 0, OPTION_COUNT, AT(limit), "N", "items of an answer (default: as the service has it)"},
    {"users", 0, OPTION_COUNT, AT(users), "N", "users, drawn as reco generate does (default 10000)"},
    {"items", 0, OPTION_COUNT, AT(items), "N", "items, drawn the same way (default 10000)"},
    {"zipf", 0, OPTION_REAL, AT(zipf), "X", "exponent of the items' popularity (default 1)"},
    {"user-file", 0, OPTION_TEXT, AT(user_file), "FILE", "users instead, one a line, asked for in this order, over and over"},
    {"item-file", 0, OPTION_TEXT, AT(item_file), "FILE", "items instead, in the same way"},
    {"seed", 0, OPTION_U64, AT(seed), "N", "another seed, other users and items (default 0)"},
    {"ingest-url", 0, OPTION_TEXT, AT(ingest_url), "URL", "where events go (default http://127.0.0.1:8080)"},
    {"header", 'H', OPTION_LIST, AT(headers), "NAME:TEXT", "sent with every request; may be given again"},
    {"threads", 0, OPTION_COUNT, AT(threads), "N", "of this program, which the connections are shared among (default 1)"},
    {"in-process", 0, OPTION_FLAG, AT(in_process), NULL, "ask the engine on --data here, each connection a thread, no HTTP"},
    {"write", 0, OPTION_FLAG, AT(write), NULL, "events of the mix may be written to --data, with --in-process"},
    {"json", 'j', OPTION_FLAG, AT(json), NULL, "the result as JSON"},
    CLI_PROGRESS(options),
};

/* All that one run has. CONFINED. */
typedef struct run {
    const cli_call *call;
    const options *given;
    client_curl curl;
    bench_plan plan;
    char api[CLIENT_URL_MAX], ingest[CLIENT_URL_MAX];
    reco_settings *settings;
    cli_progress progress;
    reco_call told;
    bench_counts *counts;
    bool stopped;
} run;

/* --- the line ------------------------------------------------------------------------------------------------------------------------------- */

/* "name=number" of `size` bytes. */
static bool take_share(uint32_t mix[BENCH_KIND_COUNT], const char *text, size_t size) {
    const char *equals = memchr(text, '=', size);
    size_t digits = equals ? size - (size_t)(equals - text) - 1 : 0;
    uint32_t weight = 0;
    if (!equals || digits == 0)
        return false;
    for (size_t i = 1; i <= digits; i++) {
        if (equals[i] < '0' || equals[i] > '9' || (weight = weight * 10 + (uint32_t)(equals[i] - '0')) > WEIGHT_MAX)
            return false;
    }
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        if (strlen(bench_kind_names[i]) == (size_t)(equals - text) && memcmp(bench_kind_names[i], text, (size_t)(equals - text)) == 0 && !mix[i]) {
            mix[i] = weight;
            return true;
        }
    return false;
}

static reco_status take_mix(uint32_t mix[BENCH_KIND_COUNT], const char *text, reco_error *err) {
    uint64_t all = 0;
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        if (!take_share(mix, at, size))
            return options_fail(err, RECO_INVALID, "--mix", "must be names and shares up to %u such as recommendations=90,events=10, not \"%.100s\"",
                                WEIGHT_MAX, text);
        at += size;
        if (!*at)
            break;
    }
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        all += mix[i];
    return all ? RECO_OK : options_fail(err, RECO_INVALID, "--mix", "a share must be above 0");
}

static reco_status take_times(bench_plan *plan, const options *given, reco_error *err) {
    int64_t warmup = 1000, duration = given->duration ? given->duration : 10000, timeout = given->timeout ? given->timeout : 10000;
    if (given->warmup && !options_duration(given->warmup, &warmup))
        return options_fail(err, RECO_INVALID, "--warmup", "must be a duration such as 500ms, 30s or 7d, not \"%.100s\"", given->warmup);
    if (warmup > DAY_MS || duration > DAY_MS || timeout > DAY_MS)
        return options_fail(err, RECO_INVALID, warmup > DAY_MS ? "--warmup" : duration > DAY_MS ? "--duration" : "--timeout", "at most 1d");
    plan->warmup_ns = warmup * MS_NS;
    plan->duration_ns = duration * MS_NS;
    plan->timeout_ns = timeout * MS_NS;
    plan->rate = given->rate > 0 ? given->rate : given->open_loop ? 1000 : 0;
    if (plan->rate > RATE_MAX || (plan->rate > 0 && plan->rate < RATE_MIN))
        return options_fail(err, RECO_INVALID, "--rate", "must be within %g and %.0f a second", RATE_MIN, RATE_MAX);
    if (plan->rate * (double)(warmup + duration) / 1000 > (double)BENCH_REQUESTS_MAX)
        return options_fail(err, RECO_INVALID, "--duration", "with this --rate, these are more than %llu requests",
                            (unsigned long long)BENCH_REQUESTS_MAX);
    return RECO_OK;
}

static reco_status take_counts(bench_plan *plan, const options *given, reco_error *err) {
    uint32_t most = given->in_process ? THREADS_IN_PROCESS_MAX : BENCH_CONNECTIONS_MAX;
    plan->connections = given->connections ? given->connections : 16;
    plan->threads = given->threads ? given->threads : 1;
    plan->requests = given->requests;
    plan->limit = given->limit;
    plan->headers = &given->headers;
    plan->generator = (reco_generator_options){.items = given->items, .users = given->users, .zipf = given->zipf, .seed = given->seed};
    if (plan->connections > most)
        return options_fail(err, RECO_INVALID, "--connections", "at most %u", most);
    if (plan->threads > BENCH_THREADS_MAX || plan->threads > plan->connections)
        return options_fail(err, RECO_INVALID, "--threads", "at most %u, and no more than connections", BENCH_THREADS_MAX);
    for (size_t i = 0; i < given->headers.count; i++)
        if (given->headers.items[i][0] == ':' || !strchr(given->headers.items[i], ':') || strpbrk(given->headers.items[i], "\r\n"))
            return options_fail(err, RECO_INVALID, "--header", "must be NAME:TEXT on one line");
    return RECO_OK;
}

static reco_status check_targets(const run *r, reco_error *err) {
    const options *given = r->given;
    bool url = r->call->argument_count > 0;
    if (given->in_process && (url || given->ingest_url || given->headers.count || given->threads))
        return options_fail(err, RECO_INVALID, "--in-process", "does not go with a URL, --ingest-url, --header and --threads: there is no HTTP");
    if (given->in_process && r->plan.mix[BENCH_HEALTH])
        return options_fail(err, RECO_INVALID, "--mix", "health is asked over HTTP only");
    if (given->in_process && r->plan.mix[BENCH_EVENTS] && !given->write)
        return options_fail(err, RECO_INVALID, "--write", "is needed for events with --in-process: they stay in the data directory");
    if (given->write && !given->in_process)
        return options_fail(err, RECO_INVALID, "--write", "goes with --in-process; over HTTP, --ingest-url says where events go");
    if (url && r->plan.mix[BENCH_EVENTS] && !given->ingest_url)
        return options_fail(err, RECO_INVALID, "--ingest-url", "is needed beside the URL of another API: events change what is there");
    return RECO_OK;
}

static reco_status take_line(run *r, reco_error *err) {
    const options *given = r->given;
    reco_status status = take_mix(r->plan.mix, given->mix ? given->mix : "recommendations=1", err);
    if (status == RECO_OK)
        status = take_times(&r->plan, given, err);
    if (status == RECO_OK)
        status = take_counts(&r->plan, given, err);
    if (status == RECO_OK)
        status = check_targets(r, err);
    if (status == RECO_OK && given->user_file)
        status = bench_names_read(&r->plan.users, given->user_file, err);
    if (status == RECO_OK && given->item_file)
        status = bench_names_read(&r->plan.items, given->item_file, err);
    return status;
}

/* --- the run -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status find_services(run *r, reco_error *err) {
    const char *api = r->call->argument_count ? r->call->arguments[0] : "http://127.0.0.1:8081";
    const char *ingest = r->given->ingest_url ? r->given->ingest_url : "http://127.0.0.1:8080";
    reco_status status = client_curl_load(&r->curl, err);
    if (status == RECO_OK)
        status = client_url(r->api, &r->curl, api, "URL", err);
    if (status == RECO_OK)
        status = client_url(r->ingest, &r->curl, ingest, "--ingest-url", err);
    r->plan.curl = &r->curl;
    r->plan.api = r->api;
    r->plan.ingest = r->ingest;
    return status;
}

static reco_status open_target(run *r, reco_error *err) {
    return r->given->in_process ? program_open(&r->plan.engine, &r->settings, r->call->globals, RECO_OPEN_BACKGROUND, true, err)
                                : find_services(r, err);
}

static reco_status tell(run *r, reco_error *err) {
    http_text text = {0};
    const bench_report report = {&r->plan, r->counts, r->stopped};
    reco_status status = RECO_OK;
    (r->given->json ? bench_report_json : bench_report_text)(&text, &report);
    if (text.failed)
        status = options_no_memory(err);
    else
        fputs(text.data, stdout);
    http_text_dispose(&text);
    if (status == RECO_OK)
        status = cli_finish(err);
    return status == RECO_OK && r->counts->answered == 0 ? options_fail(err, RECO_IO, "bench", "nothing was answered with 2xx") : status;
}

static reco_status run_plan(void *context, const cli_call *call, reco_error *err) {
    run *r = context;
    r->call = call;
    r->given = call->options;
    reco_status status = take_line(r, err);
    if (status == RECO_OK)
        status = open_target(r, err);
    if (status != RECO_OK)
        return status;
    program_hold_signals();
    cli_progress_begin(&r->progress, r->given->progress);
    r->told = cli_progress_call(&r->progress);
    r->plan.call = &r->told;
    status = bench_run(&r->counts, &r->stopped, &r->plan, err);
    cli_progress_end(&r->progress);
    return status == RECO_OK ? tell(r, err) : status;
}

static void dispose(void *context) {
    run *r = context;
    reco_close(r->plan.engine);
    reco_settings_free(r->settings);
    bench_names_dispose(&r->plan.users);
    bench_names_dispose(&r->plan.items);
    free(r->counts);
}

static int run_command(const cli_call *call) { return cli_with_run(call, sizeof(run), run_plan, dispose); }

const cli_command cli_bench = {
    "bench",
    "[URL]",
    "load on running services, and how long answers took",
    "Asks the API at URL (http://127.0.0.1:8081) and tells rates, percentiles and a histogram.\n"
    "  closed loop   each connection asks again once it was answered: how much the service can carry\n"
    "  open loop     requests are due by a schedule, as those of users are, and latency counts from when each was due: what users wait.\n"
    "                A stall shows in every request that was due meanwhile; in the closed loop it is one slow answer for each connection.\n"
    "Percentiles and histogram are of answers with 2xx, and of requests that timed out or were never sent, for as long as they waited. What was\n"
    "answered otherwise, or failed, is in none of them: its times are the row \"not 2xx\" (not_2xx_ms in JSON), its rate is in no rate.\n"
    "events=N in the mix writes events. It ends early, with what was measured, on SIGINT. The exit code is 1 when no request was answered with 2xx\n"
    "and 0 when any was: a script that wants all of them compares `answered` with `requests` in the JSON.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    1,
    run_command};
