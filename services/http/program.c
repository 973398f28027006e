#include "http/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/clock.h"
#include "http/internal.h"
#include "http/log.h"
#include "http/text.h"

/* How long requests under way may take once the service is to end. */
#define DRAIN_MS 10000
/* For the first try to open the engine, after which the service answers that it waits; for a later one, and between two. */
#define OPEN_FIRST_MS INT64_C(1000)
#define OPEN_MS INT64_C(5000)
#define RETRY_MS 500
#define FILES_WANTED 16384u

const option_spec program_global_options[] = {
    {"config", 'c', OPTION_TEXT, offsetof(program_globals, config), "FILE", "YAML file of settings (default: $RECO_CONFIG, else none)"},
    {"data", 'd', OPTION_TEXT, offsetof(program_globals, data), "DIR", "directory of the data, or memory: for none"},
    {"set", 's', OPTION_LIST, offsetof(program_globals, set), "NAME=VALUE", "a setting; may be repeated"},
    {"help", 'h', OPTION_FLAG, offsetof(program_globals, help), NULL, "what can be said here"},
    {"version", 'V', OPTION_FLAG, offsetof(program_globals, version), NULL, "version and build"},
};
const size_t program_global_count = sizeof program_global_options / sizeof *program_global_options;

int program_fail(const reco_error *err) {
    http_text line = {0}; /* written at once: others may write there too */
    http_text_printf(&line, "reco: ");
    http_text_shown(&line, err->text, strlen(err->text));
    http_text_printf(&line, "%s", err->field[0] ? " (" : "");
    http_text_shown(&line, err->field, strlen(err->field));
    http_text_printf(&line, "%s\n", err->field[0] ? ")" : "");
    fputs(line.failed ? "reco: out of memory\n" : line.data, stderr);
    http_text_dispose(&line);
    return err->status == RECO_INVALID ? PROGRAM_USAGE : PROGRAM_FAILED;
}

/* --- settings and engine -------------------------------------------------------------------------------------------------------------------- */

static reco_status set_one(reco_settings *settings, const char *pair, reco_error *err) {
    char name[128];
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof name)
        return options_fail(err, RECO_INVALID, "set", "must be NAME=VALUE, not \"%.100s\"", pair);
    snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
    return reco_settings_set(settings, name, equals + 1, err);
}

static reco_status layer(reco_settings *settings, const program_globals *globals, reco_error *err) {
    const char *file = globals->config ? globals->config : getenv("RECO_CONFIG");
    reco_status status = file && *file ? reco_settings_load_file(settings, file, err) : RECO_OK;
    if (status == RECO_OK)
        status = reco_settings_load_environment(settings, NULL, err);
    for (size_t i = 0; status == RECO_OK && i < globals->set.count; i++)
        status = set_one(settings, globals->set.items[i], err);
    if (status == RECO_OK && globals->data)
        status = reco_settings_set(settings, "data", globals->data, err);
    return status == RECO_OK ? reco_settings_check(settings, err) : status;
}

reco_status program_settings(reco_settings **out, const program_globals *globals, reco_error *err) {
    reco_settings *settings = NULL;
    reco_status status = reco_settings_create(&settings, err);
    if (status == RECO_OK)
        status = layer(settings, globals, err);
    if (status != RECO_OK) {
        reco_settings_free(settings);
        return status;
    }
    *out = settings;
    return RECO_OK;
}

reco_status program_data_there(const reco_settings *settings, reco_error *err) {
    static const char *const stores[] = {"stream", "features", "records"};
    char data[1024], url[1024], path[1100];
    struct stat about;
    bool embedded = false, there = false;
    reco_status status = reco_settings_get(data, sizeof data, settings, "data", err);
    for (size_t i = 0; i < sizeof stores / sizeof *stores && status == RECO_OK; i++) {
        status = reco_settings_get(url, sizeof url, settings, stores[i], err);
        embedded = embedded || !url[0];
        snprintf(path, sizeof path, "%s/%s", data, stores[i]);
        there = there || (!url[0] && (stat(path, &about) == 0 || (errno != ENOENT && errno != ENOTDIR)));
    }
    if (status != RECO_OK || !embedded || !data[0] || strcmp(data, "memory:") == 0) /* none: opening says so */
        return status;
    if (stat(data, &about) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return options_fail(err, RECO_NOT_FOUND, "data", "there is no directory %.200s; --data names where the data is", data);
    if (!there)
        return options_fail(err, RECO_NOT_FOUND, "data", "there is no data in %.200s; --data names where it is", data);
    return RECO_OK;
}

reco_status program_open(reco_engine **engine, reco_settings **settings, const program_globals *globals, uint32_t flags, bool there,
                         reco_error *err) {
    reco_status status = program_settings(settings, globals, err);
    if (status == RECO_OK && there)
        status = program_data_there(*settings, err);
    if (status != RECO_OK)
        return status;
    reco_open_options options = {.struct_size = sizeof options, .flags = flags, .settings = *settings};
    return reco_open(engine, &options, NULL, err);
}

reco_status program_setting_u32(uint32_t *out, const reco_settings *settings, const char *name, reco_error *err) {
    char text[64];
    uint64_t value;
    reco_status status = reco_settings_get(text, sizeof text, settings, name, err);
    if (status != RECO_OK)
        return status;
    if (!options_bytes(text, &value) || value > UINT32_MAX)
        return options_fail(err, RECO_INVALID, name, "\"%s\" is no number this program can use", text);
    *out = (uint32_t)value;
    return RECO_OK;
}

/* --- server --------------------------------------------------------------------------------------------------------------------------------- */

static reco_status write_port(const char *path, const char *address, reco_error *err) {
    char temporary[1024];
    if (snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >= (int)sizeof temporary)
        return options_fail(err, RECO_INVALID, "port-file", "the path is too long");
    FILE *file = fopen(temporary, "we");
    bool fine = file && fprintf(file, "%s\n", strrchr(address, ':') + 1) > 0;
    fine = file && fclose(file) == 0 && fine;
    if (fine && rename(temporary, path) == 0)
        return RECO_OK;
    options_fail(err, RECO_IO, "port-file", "cannot write %.100s: %s", path, strerror(errno));
    unlink(temporary);
    return RECO_IO;
}

static reco_status setting_ms(uint32_t *out, const reco_settings *settings, const char *name, reco_error *err) {
    char text[64];
    int64_t value;
    reco_status status = reco_settings_get(text, sizeof text, settings, name, err);
    if (status == RECO_OK && (!options_duration(text, &value) || value > UINT32_MAX))
        status = options_fail(err, RECO_INVALID, name, "\"%s\" is no duration this program can use", text);
    if (status == RECO_OK)
        *out = (uint32_t)value;
    return status;
}

/* Connections are files; what a process may have at first (1,024, mostly) is for programs that use select. */
static void raise_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_WANTED)
        return;
    files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &files);
}

reco_status program_serve(http_server **out, const program_server *options, const reco_settings *settings, reco_error *err) {
    char listen[128], origins[HTTP_ORIGINS_MAX], hosts[HTTP_HOSTS_MAX], fields[160];
    uint32_t body_max = 0;
    http_options http = {.name = options->name,
                         .listen = options->listen,
                         .routes = options->routes,
                         .route_count = options->route_count,
                         .waiting = options->waiting,
                         .openapi = options->openapi};
    reco_status status = RECO_OK;
    if (!http.listen) {
        status = reco_settings_get(listen, sizeof listen, settings, options->listen_setting, err);
        http.listen = listen;
    }
    if (status == RECO_OK)
        status = program_setting_u32(&http.threads, settings, "services.http_threads", err);
    if (status == RECO_OK)
        status = program_setting_u32(&body_max, settings, "services.body_max", err);
    http.body_max = body_max;
    http.cors_origins = origins;
    http.hosts = hosts;
    if (status == RECO_OK)
        status = setting_ms(&http.request_ms, settings, "services.request_timeout", err);
    if (status == RECO_OK)
        status = reco_settings_get(origins, sizeof origins, settings, "services.cors_origins", err);
    if (status == RECO_OK)
        status = reco_settings_get(hosts, sizeof hosts, settings, "services.hosts", err);
    raise_files();
    if (status == RECO_OK)
        status = http_server_open(out, &http, err);
    if (status != RECO_OK)
        return status;
    snprintf(fields, sizeof fields, "\"service\":\"%s\",\"listening\":\"%s\"", options->name, http_server_address(*out));
    http_log(RECO_LOG_INFO, "http", fields, "listening");
    return options->port_file ? write_port(options->port_file, http_server_address(*out), err) : RECO_OK;
}

static void both_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void program_hold_signals(void) {
    sigset_t set;
    both_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void program_wait_signal(void) {
    sigset_t set;
    int got;
    both_signals(&set);
    sigwait(&set, &got);
}

bool program_signal_within(int64_t ms) {
    sigset_t set;
    const struct timespec timeout = {ms / 1000, ms % 1000 * 1000000};
    both_signals(&set);
    return sigtimedwait(&set, NULL, &timeout) > 0;
}

static void *close_one(void *server) {
    http_server_close(server);
    return NULL;
}

/* Each takes up to two seconds to end, so they end at the same time. */
void program_stop(http_server **servers, size_t count) {
    pthread_t threads[PROGRAM_SERVERS_MAX];
    bool started[PROGRAM_SERVERS_MAX] = {false};
    http_log(RECO_LOG_INFO, "http", NULL, "shutting down");
    for (size_t i = 0; i < count; i++)
        if (servers[i])
            http_server_drain(servers[i], DRAIN_MS);
    for (size_t i = 1; i < count; i++) {
        started[i] = pthread_create(&threads[i], NULL, close_one, servers[i]) == 0;
        if (!started[i])
            close_one(servers[i]);
    }
    if (count > 0)
        close_one(servers[0]);
    for (size_t i = 1; i < count; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}

void program_log_start(const reco_settings *settings) {
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"error", RECO_LOG_ERROR}, {"warn", RECO_LOG_WARN}, {"debug", RECO_LOG_DEBUG}};
    char text[32] = "";
    int level = RECO_LOG_INFO;
    reco_error err = RECO_ERROR_INIT;
    if (reco_settings_get(text, sizeof text, settings, "log.level", &err) == RECO_OK)
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            if (strcmp(levels[i].name, text) == 0)
                level = levels[i].level;
    http_log_start(level);
}

/* --- a service of its own ------------------------------------------------------------------------------------------------------------------- */

typedef struct service_options {
    program_globals globals;
    const char *listen, *port_file;
} service_options;

static const option_spec service_own[] = {
    {"listen", 'l', OPTION_TEXT, offsetof(service_options, listen), "ADDRESS:PORT", "where to listen; port 0 is any free one"},
    {"port-file", 0, OPTION_TEXT, offsetof(service_options, port_file), "FILE", "write the port to this file once it answers"},
};

static int help(const program_service *service) {
    char *settings = NULL;
    printf("%s - %s\n\nusage: %s [options]\n\n", service->name, service->summary, service->name);
    printf("answers %s,\nGET /health (the process is alive), GET /ready (its stores answer; ?verbose), GET /metrics (Prometheus),\nGET /openapi.json "
           "(all of "
           "this)\non %s unless told otherwise.\n\n",
           service->paths, service->listen_default);
    options_print(stdout, program_global_options, program_global_count);
    options_print(stdout, service_own, sizeof service_own / sizeof *service_own);
    options_print(stdout, service->options, service->option_count);
    printf("\nFlags go before RECO_* of the environment, which goes before the file. Unknown settings are errors.\n"
           "SIGTERM and SIGINT end it in order. TLS is not spoken: put a proxy in front.\nExit codes: 0 ended in order, 1 failed, 2 a wrong option "
           "or setting.\n");
    if (reco_settings_help(&settings, 0, NULL) == RECO_OK)
        printf("\nsettings:\n%s", settings);
    reco_free(settings);
    return PROGRAM_OK;
}

/* A service from its first request to its last. */
typedef struct service_run {
    const program_service *service;
    const service_options *options;
    reco_settings *settings;
    reco_engine *engine;
    http_route routes[HTTP_ROUTES_MAX];
    size_t route_count;
    http_standard standard;
    http_server *server;
    bool started;
} service_run;

/* Only what may be reached again later is waited for. */
static bool worth_waiting(reco_status status) { return status == RECO_UNAVAILABLE || status == RECO_TIMEOUT || status == RECO_BUSY; }

static reco_status open_engine(service_run *run, int64_t ms, reco_error *err) {
    const reco_open_options open = {.struct_size = sizeof open, .flags = run->service->open_flags, .settings = run->settings};
    const reco_call call = {.struct_size = sizeof call, .deadline_ns = http_monotonic_ns() + ms * 1000000};
    return reco_open(&run->engine, &open, &call, err);
}

static reco_status serve(service_run *run, const char *waiting, reco_error *err) {
    const program_server how = {
        run->service->name,   run->options->listen, run->service->listen_setting, run->options->port_file, run->routes, run->route_count, waiting,
        run->service->openapi};
    return program_serve(&run->server, &how, run->settings, err);
}

/* Answers that it waits until the engine opens; false when a signal ended that, or it failed. */
static bool wait_for_engine(service_run *run, reco_status *status, reco_error *err) {
    char before[240] = "";
    while (worth_waiting(*status)) {
        if (strcmp(before, err->text) != 0)
            http_log(RECO_LOG_WARN, "http", NULL, "waiting: %s", err->text);
        snprintf(before, sizeof before, "%s", err->text);
        if (!run->server) {
            char words[240];
            memcpy(words, err->text, sizeof words);
            *status = serve(run, words, err);
            if (*status != RECO_OK)
                return false;
        } else {
            http_server_waits(run->server, err->text);
        }
        if (program_signal_within(RETRY_MS))
            return false;
        *status = open_engine(run, OPEN_MS, err);
    }
    return *status == RECO_OK;
}

static reco_status start_service(service_run *run, reco_error *err) {
    run->standard.engine = run->engine;
    reco_status status = run->service->start(run->service->context, run->routes, &run->route_count, &run->standard, err);
    run->started = status == RECO_OK;
    if (status != RECO_OK)
        return status;
    if (!run->server)
        return serve(run, NULL, err);
    http_server_begin(run->server, run->route_count);
    http_log(RECO_LOG_INFO, "http", NULL, "waiting is over");
    return RECO_OK;
}

static reco_status run_service(service_run *run, reco_error *err) {
    http_standard_routes(run->routes, &run->route_count, &run->standard);
    reco_status status = open_engine(run, OPEN_FIRST_MS, err);
    if (!wait_for_engine(run, &status, err))
        return worth_waiting(status) && run->server ? RECO_OK : status; /* ended in order before it began */
    status = start_service(run, err);
    if (status == RECO_OK)
        program_wait_signal();
    return status;
}

static int run(const program_service *service, const service_options *options) {
    reco_error err = RECO_ERROR_INIT;
    service_run self = {.service = service, .options = options};
    program_hold_signals();
    reco_status status = program_settings(&self.settings, &options->globals, &err);
    if (status == RECO_OK && service->settle)
        status = service->settle(service->context, self.settings, &err);
    if (status == RECO_OK) {
        program_log_start(self.settings);
        status = run_service(&self, &err);
    }
    if (self.server)
        program_stop(&self.server, 1);
    if (self.started && service->stop)
        service->stop(service->context);
    reco_close(self.engine);
    reco_settings_free(self.settings);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

int program_main(const program_service *service, int argc, char **argv) {
    service_options options = {0};
    char *arguments[1];
    size_t argument_count = 0;
    reco_error err = RECO_ERROR_INIT;
    const option_set sets[] = {{program_global_options, program_global_count, &options.globals},
                               {service_own, sizeof service_own / sizeof *service_own, &options},
                               {service->options, service->option_count, service->option_target}};
    if (options_parse(sets, 3, argc, argv, arguments, 0, &argument_count, false, &err) != RECO_OK)
        return program_fail(&err);
    if (options.globals.help)
        return help(service);
    if (options.globals.version) {
        printf("%s %s\n", service->name, reco_build_info());
        return PROGRAM_OK;
    }
    return run(service, &options);
}
