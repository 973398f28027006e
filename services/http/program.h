/* http/program.h - what all our programs do alike: settings from flags, environment and file, an engine, a server, an orderly end.
 *
 * Precedence: flags, then RECO_* of the environment, then the file (--config, or RECO_CONFIG). Exit codes: 0 all went well, 1 it failed, 2 the
 * command line or a setting is wrong. */
#ifndef HTTP_PROGRAM_H
#define HTTP_PROGRAM_H

#include "http/http.h"
#include "http/options.h"

#define PROGRAM_OK 0
#define PROGRAM_FAILED 1
#define PROGRAM_USAGE 2

/* Options of every program. */
typedef struct program_globals {
    const char *config, *data;
    option_list set;
    bool help, version;
} program_globals;
extern const option_spec program_global_options[];
extern const size_t program_global_count;

/* "reco: what (field)" on stderr; answers the exit code: 2 for a wrong line or setting, else 1. */
int program_fail(const reco_error *err);

/* The settings by their precedence. Free with reco_settings_free. */
reco_status program_settings(reco_settings **out, const program_globals *globals, reco_error *err);
/* Settings and the engine on them; `flags` as in reco_open_options, `there`: only where program_data_there is fine. *settings may stay NULL when it
 * fails. */
reco_status program_open(reco_engine **engine, reco_settings **settings, const program_globals *globals, uint32_t flags, bool there, reco_error *err);
/* For those who only read, or look after what is there: NOT_FOUND when a store is to be in the data directory and that is missing, or has no store
 * in it, which opening would make. A mistyped --data is not to look like success. */
reco_status program_data_there(const reco_settings *settings, reco_error *err);
/* Starts logging at the level the settings state. */
void program_log_start(const reco_settings *settings);
/* One setting, by its name. */
reco_status program_setting_u32(uint32_t *out, const reco_settings *settings, const char *name, reco_error *err);

/* A server with the limits the settings state; `listen` NULL: the setting `listen_setting`. Says {"listening":"ADDRESS:PORT"} in the log and, with
 * `port_file`, writes the port to that file, by rename. */
typedef struct program_server {
    const char *name, *listen, *listen_setting, *port_file;
    const http_route *routes;
    size_t route_count;
    const char *waiting; /* as in http_options */
    const char *const *openapi;
} program_server;
reco_status program_serve(http_server **out, const program_server *options, const reco_settings *settings, reco_error *err);

/* Blocks SIGTERM and SIGINT for all threads to come; to be called before any is started. */
void program_hold_signals(void);
/* Waits for one of them. */
void program_wait_signal(void);
/* The same for a time; false when none came. */
bool program_signal_within(int64_t ms);
#define PROGRAM_SERVERS_MAX 8u
/* Drains all servers, at most PROGRAM_SERVERS_MAX, then closes them. NULL ones are left out. */
void program_stop(http_server **servers, size_t count);

/* A service of its own: one server beside one engine. */
typedef struct program_service {
    const char *name;           /* "reco-ingest" */
    const char *summary;        /* for --help */
    const char *paths;          /* for --help */
    const char *listen_setting; /* "services.ingest_listen" */
    const char *listen_default; /* for --help */
    const char *const *openapi; /* as in http_options; read after `settle` */
    uint32_t open_flags;
    const option_spec *options; /* of its own; NULL: none */
    size_t option_count;
    void *option_target;
    /* Takes what the service needs of the settings, before anything is opened; NULL allowed. */
    reco_status (*settle)(void *context, const reco_settings *settings, reco_error *err);
    /* Appends the routes of the service, *count grows; may start what it runs beside. `stop`, NULL allowed, ends that once the server is closed. */
    reco_status (*start)(void *context, http_route *routes, size_t *count, http_standard *standard, reco_error *err);
    void (*stop)(void *context);
    void *context;
} program_service;
int program_main(const program_service *service, int argc, char **argv);

#endif
