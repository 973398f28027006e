/* cli/serve.c - ingest, API and processor in one process on one engine, each on its own port, as they would be apart. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "cli/cli.h"
#include "http/log.h"
#include "ingest/ingest.h"
#include "processor/archiving.h"

typedef struct options {
    const char *ingest, *api, *processor, *port_file, *console;
} options;

static const option_spec table[] = {
    {"ingest-listen", 0, OPTION_TEXT, offsetof(options, ingest), "ADDRESS:PORT", "POST /events (default 127.0.0.1:8080)"},
    {"api-listen", 0, OPTION_TEXT, offsetof(options, api), "ADDRESS:PORT",
     "GET /recommendations, /popular; /items and /users (default 127.0.0.1:8081)"},
    {"processor-listen", 0, OPTION_TEXT, offsetof(options, processor), "ADDRESS:PORT", "health and metrics of learning (default 127.0.0.1:8082)"},
    {"port-file", 0, OPTION_TEXT, offsetof(options, port_file), "FILE",
     "write ingest=PORT, api=PORT and processor=PORT to this file once all answer"},
    {"console", 0, OPTION_TEXT, offsetof(options, console), "off|read|write", API_CONSOLE_HELP},
};

enum { INGEST, API, PROCESSOR, SERVERS };

static const char *port_of(const http_server *server) { return strrchr(http_server_address(server), ':') + 1; }

static reco_status write_ports(const char *path, http_server *const *servers, reco_error *err) {
    char temporary[1024];
    if (snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >= (int)sizeof temporary)
        return options_fail(err, RECO_INVALID, "port-file", "the path is too long");
    FILE *file = fopen(temporary, "we");
    bool fine =
        file && fprintf(file, "ingest=%s\napi=%s\nprocessor=%s\n", port_of(servers[INGEST]), port_of(servers[API]), port_of(servers[PROCESSOR])) > 0;
    fine = file && fclose(file) == 0 && fine;
    if (fine && rename(temporary, path) == 0)
        return RECO_OK;
    options_fail(err, RECO_IO, "port-file", "cannot write %.100s: %s", path, strerror(errno));
    unlink(temporary);
    return RECO_IO;
}

/* `standards`: one for each server. */
static reco_status open_servers(http_server **servers, const options *given, const reco_settings *settings, http_standard *standards,
                                api_service *api, http_route routes[][HTTP_ROUTES_MAX], reco_error *err) {
    const char *const of_ingest[] = {ingest_openapi, NULL};
    const program_server how[SERVERS] = {
        {.name = "ingest", .listen = given->ingest, .listen_setting = "services.ingest_listen", .openapi = of_ingest},
        {.name = "api", .listen = given->api, .listen_setting = "services.api_listen", .openapi = api->openapi},
        {.name = "processor", .listen = given->processor, .listen_setting = "services.processor_listen"}};
    size_t counts[SERVERS] = {0};
    ingest_routes(routes[INGEST], &counts[INGEST], standards[INGEST].engine);
    api_routes(routes[API], &counts[API], api, standards[API].engine);
    for (int i = 0; i < SERVERS; i++) {
        http_standard_routes(routes[i], &counts[i], &standards[i]);
        program_server one = how[i];
        one.routes = routes[i];
        one.route_count = counts[i];
        reco_status status = program_serve(&servers[i], &one, settings, err);
        if (status != RECO_OK)
            return status;
    }
    return given->port_file ? write_ports(given->port_file, servers, err) : RECO_OK;
}

static reco_status serve(const cli_call *call, reco_engine *engine, const reco_settings *settings, api_service *api, reco_error *err) {
    http_route routes[SERVERS][HTTP_ROUTES_MAX];
    http_server *servers[SERVERS] = {NULL};
    http_standard standards[SERVERS] = {[INGEST] = {.engine = engine, .takes_events = true},
                                        [API] = {.engine = engine, .takes_events = api_takes_events(api)},
                                        [PROCESSOR] = {.engine = engine}};
    archiving *archive = NULL;
    reco_status status = archiving_start(&archive, engine, err);
    if (status == RECO_OK)
        status = open_servers(servers, call->options, settings, standards, api, routes, err);
    if (status == RECO_OK)
        program_wait_signal();
    program_stop(servers, SERVERS);
    archiving_stop(archive);
    return status;
}

static int run(const cli_call *call) {
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    reco_engine *engine = NULL;
    api_service api = {.openapi = {NULL}};
    program_hold_signals();
    reco_status status = program_settings(&settings, call->globals, &err);
    if (status == RECO_OK)
        status = api_settle(&api, ((const options *)call->options)->console, settings, &err);
    if (status == RECO_OK) {
        reco_open_options open = {.struct_size = sizeof open, .flags = RECO_OPEN_BACKGROUND, .settings = settings};
        program_log_start(settings);
        status = reco_open(&engine, &open, NULL, &err);
    }
    if (status == RECO_OK)
        status = serve(call, engine, settings, &api, &err);
    reco_close(engine);
    reco_settings_free(settings);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_serve = {
    "serve",
    "",
    "ingest, API and processor in one process",
    "SIGTERM and SIGINT end it in order: running requests are finished, then the stores are closed. TLS is not spoken: put a proxy in front.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    0,
    run};
