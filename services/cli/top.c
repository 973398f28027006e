/* cli/top.c - how a running system does, drawn anew every second. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "http/clock.h"
#include "top/look.h"
#include "top/terminal.h"

#define INTERVAL_MIN 100
#define INTERVAL_MAX 3600000
#define TIMEOUT_MS 8000 /* a service asks each of its three stores for two seconds */
#define TIMEOUT_MIN 100
#define TIMEOUT_MAX 3600000
#define SECOND_NS INT64_C(1000000000)
#define WIDE 400u /* columns where there is no terminal */

typedef struct options {
    int64_t interval, timeout;
    uint32_t count;
    bool once, json;
} options;

static const option_spec table[] = {
    {"interval", 'i', OPTION_SPAN, offsetof(options, interval), "DURATION", "between two looks (default 1s)"},
    {"count", 'n', OPTION_COUNT, offsetof(options, count), "N", "end after so many pictures (default: q, or a signal)"},
    {"timeout", 't', OPTION_SPAN, offsetof(options, timeout), "DURATION", "what a service has for its answer (default 8s)"},
    {"once", '1', OPTION_FLAG, offsetof(options, once), NULL, "one picture of the rates in one interval"},
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "an object a line for each picture"},
};

/* All that one run has. CONFINED. */
typedef struct run {
    const cli_call *call;
    const options *given;
    int64_t interval_ns;
    client_curl curl;
    char urls[TOP_SERVICES_MAX][CLIENT_URL_MAX];
    top_source sources[TOP_SERVICES_MAX];
    top_service services[TOP_SERVICES_MAX];
    size_t count;
    reco_engine *engine;
    reco_settings *settings;
    top_looker *looker;
    top_picture picture;
    http_text text;
    uint64_t shown;
} run;

/* --- whom to ask ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status add_engine(run *r, const char *data, reco_error *err) {
    program_globals globals = *r->call->globals;
    if (r->engine)
        return options_fail(err, RECO_INVALID, data, "only one data directory can be looked at");
    globals.data = data;
    reco_status status = program_open(&r->engine, &r->settings, &globals, RECO_OPEN_NO_ANSWERS, true, err);
    r->services[r->count].name = data;
    r->sources[r->count++].engine = r->engine;
    return status;
}

static reco_status add_url(run *r, const char *text, reco_error *err) {
    reco_status status = r->curl.global_init ? RECO_OK : client_curl_load(&r->curl, err);
    if (status == RECO_OK)
        status = client_url(r->urls[r->count], &r->curl, text, "URL", err);
    if (status != RECO_OK)
        return status;
    r->services[r->count].name = r->urls[r->count];
    r->sources[r->count].url = r->urls[r->count];
    r->count++;
    return RECO_OK;
}

static reco_status add_source(run *r, const char *text, reco_error *err) {
    struct stat about;
    if (stat(text, &about) == 0 && S_ISDIR(about.st_mode))
        return add_engine(r, text, err);
    return text[0] == '/' || text[0] == '.' ? options_fail(err, RECO_INVALID, text, "there is no such data directory") : add_url(r, text, err);
}

static reco_status find_sources(run *r, reco_error *err) {
    static const char *const usual[] = {"http://127.0.0.1:8080", "http://127.0.0.1:8081", "http://127.0.0.1:8082"};
    const char *data = r->call->globals->data;
    size_t given = r->call->argument_count;
    reco_status status = data ? add_engine(r, data, err) : RECO_OK;
    for (size_t i = 0; i < given && status == RECO_OK; i++)
        status = add_source(r, r->call->arguments[i], err);
    for (size_t i = 0; i < 3 && status == RECO_OK && !data && given == 0; i++)
        status = add_url(r, usual[i], err);
    return status;
}

/* --- pictures ------------------------------------------------------------------------------------------------------------------------------- */

static void make_picture(run *r, size_t count) { top_picture_make(&r->picture, r->services, count, (double)http_wall_ms() / 1e3); }

static reco_status look(run *r, reco_error *err) {
    reco_status status = top_look_at(r->looker, r->services, err);
    if (status == RECO_OK)
        make_picture(r, r->count);
    return status;
}

static void title(char *out, size_t room, const char *more) {
    time_t now = time(NULL);
    struct tm local;
    size_t size = localtime_r(&now, &local) ? strftime(out, room, "%H:%M:%S", &local) : 0;
    snprintf(out + size, room - size, "%s%s", *more ? "  " : "", more);
}

static reco_status print(run *r, reco_error *err) {
    char words[64];
    const top_screen screen = {.columns = WIDE, .title = words};
    title(words, sizeof words, "");
    r->text.size = 0;
    if (r->given->json)
        top_picture_json(&r->text, &r->picture, http_wall_ms());
    else
        top_picture_text(&r->text, &r->picture, &screen);
    if (r->text.failed)
        return options_no_memory(err);
    printf("%s%s", r->shown++ && !r->given->json ? "\n" : "", r->text.data);
    return cli_finish(err);
}

/* `waited`: seconds since a question that is not answered yet. */
static reco_status draw(run *r, bool paused, int64_t waited, reco_error *err) {
    const char *plain = getenv("NO_COLOR");
    char words[64], more[48] = "q quits, p pauses";
    top_screen screen = {.styled = !plain || !*plain, .title = words};
    top_terminal_size(&screen.columns, &screen.rows);
    if (paused)
        snprintf(more, sizeof more, "PAUSED   q quits, p goes on");
    else if (waited > 0)
        snprintf(more, sizeof more, "waiting for %lld s   q quits, p pauses", (long long)(waited < 10000 ? waited : 9999));
    else if (r->shown == 0)
        snprintf(more, sizeof more, "asking   q quits, p pauses");
    title(words, sizeof words, more);
    r->text.size = 0;
    top_picture_text(&r->text, &r->picture, &screen);
    if (r->text.failed)
        return options_no_memory(err);
    top_terminal_draw(r->text.data, r->text.size);
    return RECO_OK;
}

/* --- the two ways --------------------------------------------------------------------------------------------------------------------------- */

static bool any_up(const run *r) {
    bool up = false;
    for (size_t i = 0; i < r->count; i++)
        up = up || r->services[i].now.up;
    return up;
}

/* One after the other, on stdout; each is of the interval before it. */
static reco_status go_on_printing(run *r, reco_error *err) {
    uint64_t most = r->given->once ? 1 : r->given->count ? r->given->count : UINT64_MAX;
    program_hold_signals();
    reco_status status = look(r, err);
    while (status == RECO_OK && r->shown < most && !program_signal_within(r->interval_ns / 1000000)) {
        status = look(r, err);
        if (status == RECO_OK)
            status = print(r, err);
    }
    return status == RECO_OK && r->given->once && r->shown && !any_up(r) ? options_fail(err, RECO_UNAVAILABLE, "top", "nothing of it answers")
                                                                         : status;
}

/* What was asked for is there. A picture that is paused stays as it is. */
static reco_status take_look(run *r, bool paused, reco_error *err) {
    reco_status status = top_look_end(r->looker, false, err);
    if (status == RECO_OK && !paused) {
        make_picture(r, r->count);
        r->shown++;
    }
    return status;
}

static bool enough(const run *r) { return r->given->count && r->shown == r->given->count; }

/* A thread asks, so that no service keeps keys waiting. */
static reco_status go_on_drawing(run *r, reco_error *err) {
    reco_status status = RECO_OK;
    bool paused = false;
    int64_t next = http_monotonic_ns(), asked = next;
    make_picture(r, 0);
    for (int key = TOP_RESIZED; key != 'q' && key != 'Q' && key != TOP_ENDED;) {
        int64_t now = http_monotonic_ns();
        paused = (key == 'p' || key == 'P' || key == ' ') ? !paused : paused;
        if (key == TOP_READY)
            status = take_look(r, paused, err);
        else if (top_look_done(r->looker) < 0 && !paused && now >= next) {
            if (enough(r))
                break;
            status = top_look_begin(r->looker, r->services, err);
            asked = now;
            next = now + r->interval_ns;
        }
        int done = top_look_done(r->looker);
        int64_t waited = done >= 0 ? (now - asked) / SECOND_NS : 0;
        if (status == RECO_OK && (key != TOP_NOTHING || waited > 0))
            status = draw(r, paused, waited, err);
        if (status != RECO_OK)
            break;
        key = top_terminal_wait(done >= 0 ? now + SECOND_NS : paused ? INT64_MAX / 2 : next, done);
    }
    return status;
}

static bool is_terminal(const options *given) {
    const char *kind = getenv("TERM");
    return !given->once && !given->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

static reco_status run_looks(run *r, reco_error *err) {
    reco_status status = find_sources(r, err);
    if (status == RECO_OK)
        status = top_looker_create(&r->looker, &r->curl, r->sources, r->count, (long)(r->given->timeout ? r->given->timeout : TIMEOUT_MS), err);
    if (status == RECO_OK && !is_terminal(r->given))
        return go_on_printing(r, err);
    if (status == RECO_OK)
        status = top_terminal_take(err);
    if (status == RECO_OK)
        status = go_on_drawing(r, err);
    top_terminal_give_back();
    return status;
}

static reco_status check_line(const cli_call *call, reco_error *err) {
    const options *given = call->options;
    if (given->interval && (given->interval < INTERVAL_MIN || given->interval > INTERVAL_MAX))
        return options_fail(err, RECO_INVALID, "--interval", "must be within 100ms and 1h");
    if (given->timeout && (given->timeout < TIMEOUT_MIN || given->timeout > TIMEOUT_MAX))
        return options_fail(err, RECO_INVALID, "--timeout", "must be within 100ms and 1h");
    return given->once && given->count ? options_fail(err, RECO_INVALID, "--once", "does not go with --count") : RECO_OK;
}

static reco_status begin(void *context, const cli_call *call, reco_error *err) {
    run *r = context;
    r->call = call;
    r->given = call->options;
    r->interval_ns = (r->given->interval ? r->given->interval : 1000) * INT64_C(1000000);
    reco_status status = check_line(call, err);
    return status == RECO_OK ? run_looks(r, err) : status;
}

static void dispose(void *context) {
    run *r = context;
    top_looker_free(r->looker);
    for (size_t i = 0; i < r->count; i++) {
        top_samples_dispose(&r->services[i].now.samples);
        top_samples_dispose(&r->services[i].before.samples);
    }
    reco_close(r->engine);
    reco_settings_free(r->settings);
    http_text_dispose(&r->text);
}

static int run_command(const cli_call *call) { return cli_with_run(call, sizeof(run), begin, dispose); }

const cli_command cli_top = {
    "top",
    "[URL|DIR]...",
    "rates, lags, stores and slow stages, live",
    "Asks services for their metrics (http://127.0.0.1:8080, 8081 and 8082 when none is named) and draws what they tell: rates are of the\n"
    "interval before, latencies within the buckets of http_request_duration_seconds, times of stages of one question in 64: of the interval, or\n"
    "of all since the start where it had none. What nobody tells is a dash. A data directory (DIR, or --data) shows what is stored, what is\n"
    "appended, and how far learning is behind. Where there is no terminal, pictures follow each other as text.\n"
    "Keys: q quits, p pauses. NO_COLOR is honoured.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    TOP_SERVICES_MAX - 1,
    run_command};
