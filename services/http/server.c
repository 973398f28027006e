/* http/server.c - civetweb behind the kit: start and end, the way of one request, what civetweb itself refuses.
 *
 * civetweb keeps to itself the answer to a request it cannot parse; its http_error callback hands it to us, so that those too are problem+json and
 * counted. It knows no TRACE and refuses unknown methods as malformed: they are recognised here and answered 405.
 * A connection is ended by mg_close_connection from within the request; the socket is then closed at once, so a body still on its way is read and
 * thrown away first (up to a limit): otherwise the kernel answers it with a reset that may overtake our answer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "http/clock.h"
#include "http/internal.h"
#include "http/log.h"

#define DISCARD_MAX (4u << 20)
#define DISCARD_NS UINT64_C(2000000000)
/* A body this small that no handler has read is read away by civetweb, and the connection lives on. */
#define LEFT_TO_CIVETWEB 65536
/* Bytes of a request line with its headers. */
#define HEAD_MAX "16384"
/* Connections that were taken in and wait for a thread; files that are not theirs. */
#define QUEUE_MOST 1024u
#define QUEUE_LEAST 16u
#define FILES_KEPT 256u

uint64_t http_now_ns(void) {
    return (uint64_t)http_monotonic_ns();
}

static const char *route_path(void *context, uint32_t route) {
    const http_server *server = context;
    return route < server->route_count ? server->routes[route].path : "";
}

void http_server_metrics(http_text *out, http_server *server) { http_metrics_write(out, &server->metrics, route_path, server); }

/* --- one request ---------------------------------------------------------------------------------------------------------------------------- */

static bool check_head(http_request *request) {
    const struct mg_request_info *info = request->info;
    const char *field, *wrong;
    int status = http_head_check(info, &field, &wrong);
    request->unread =
        !status && (http_header(request, "Transfer-Encoding") || info->content_length > LEFT_TO_CIVETWEB || http_header(request, "Expect"));
    if (!status)
        return true;
    request->close = true;
    http_send_problem(request, status, field, "%s", wrong);
    return false;
}

bool http_server_is_waiting(http_request *request) {
    http_server *server = request->server;
    char text[sizeof server->waits_for];
    if (!atomic_load(&server->waiting))
        return false;
    pthread_mutex_lock(&server->waits_lock);
    memcpy(text, server->waits_for, sizeof text);
    pthread_mutex_unlock(&server->waits_lock);
    http_send_problem(request, 503, NULL, "%s", text);
    return true;
}

static void dispatch(http_request *request) {
    http_server *server = request->server;
    const char *method = request->info->request_method, *path = request->info->local_uri_raw;
    if (!check_head(request))
        return;
    int found = http_route_find(request, method, path);
    if (!(found == 200 && server->routes[request->route].flags & HTTP_ROUTE_ALWAYS) &&
        (!http_host_accept(request) || http_server_is_waiting(request)))
        return;
    if (found == 405 && http_cors_preflight(request))
        return;
    if (found == 404) {
        http_send_problem(request, 404, "path", "there is nothing at this path");
        return;
    }
    if (found == 405) {
        http_send_problem(request, 405, "method", "this path knows %s", request->allow);
        return;
    }
    const http_route *route = &server->routes[request->route];
    if (!(route->flags & HTTP_ROUTE_ALWAYS)) {
        if (http_server_draining(server)) {
            http_send_problem(request, 503, NULL, "the service is shutting down");
            return;
        }
        if (atomic_load_explicit(&server->metrics.in_flight, memory_order_relaxed) > (int64_t)server->threads) {
            http_send_problem(request, 503, NULL, "too many requests at once");
            return;
        }
    }
    if (route->flags & HTTP_ROUTE_OWN_PAGES && !http_origin_accept(request))
        return;
    route->handler(request, route->context);
    if (!request->status)
        http_send_problem(request, 500, NULL, "the request was not answered");
}

/* Reads away what is left of a body; a bounded amount of it. */
static void discard(http_request *request) {
    char waste[4096];
    size_t left = DISCARD_MAX;
    while (left > 0) {
        int got = mg_read(request->connection, waste, sizeof waste);
        if (got <= 0 || atomic_load_explicit(&request->overdue, memory_order_relaxed))
            break;
        left -= (size_t)got < left ? (size_t)got : left;
    }
}

static void finish(http_request *request) {
    free(request->body);
    free(request->decoded);
    free(request->segment);
    if (request->unread) {
        http_watch_reading(request, http_now_ns() + DISCARD_NS);
        discard(request);
    }
    http_watch_end(request);
    if (request->close)
        mg_close_connection(request->connection);
}

static void note_request(const http_request *request, uint64_t nanoseconds) {
    http_text fields = {0};
    const char *method = request->info->request_method ? request->info->request_method : "";
    http_text_printf(&fields, "\"service\":\"%s\",\"method\":", request->server->name);
    http_text_json(&fields, method, strlen(method));
    http_text_printf(&fields, ",\"route\":\"%s\",\"status\":%d,\"us\":%llu",
                     request->route == HTTP_NO_ROUTE ? "" : route_path(request->server, request->route), request->status,
                     (unsigned long long)(nanoseconds / 1000));
    http_log(RECO_LOG_DEBUG, "http", fields.data, "request");
    http_text_dispose(&fields);
}

static http_request new_request(struct mg_connection *connection) {
    return (http_request){.server = mg_get_user_data(mg_get_context(connection)),
                          .connection = connection,
                          .info = mg_get_request_info(connection),
                          .route = HTTP_NO_ROUTE};
}

static void account(http_request *request, uint64_t started) {
    uint64_t took = http_now_ns() - started;
    const char *method = request->info->request_method ? request->info->request_method : "other";
    http_metrics_count(&request->server->metrics, method, request->route, request->status, took);
    if (http_log_wants(RECO_LOG_DEBUG))
        note_request(request, took);
}

static int on_request(struct mg_connection *connection) {
    uint64_t started = http_now_ns();
    http_request request = new_request(connection);
    http_server *server = request.server;
    request.call.struct_size = sizeof request.call;
    request.call.deadline_ns = (int64_t)(started + (uint64_t)server->request_ms * 1000000u);
    atomic_fetch_add_explicit(&server->metrics.in_flight, 1, memory_order_seq_cst);
    http_watch_begin(&request);
    http_trace_accept(&request);
    dispatch(&request);
    int status = request.status;
    account(&request, started);
    atomic_fetch_sub_explicit(&server->metrics.in_flight, 1, memory_order_seq_cst);
    finish(&request);
    return status;
}

/* Whether civetweb choked on the method alone: the line is otherwise complete and the version ours. */
static bool foreign_method(const struct mg_request_info *info) {
    static const char *const known[] = {"GET",   "POST",     "PUT",   "DELETE", "HEAD",   "OPTIONS",   "CONNECT",
                                        "PATCH", "PROPFIND", "MKCOL", "LOCK",   "UNLOCK", "PROPPATCH", "REPORT"};
    if (!info->request_method || !info->request_uri || !info->http_version || strncmp(info->http_version, "1.", 2) != 0)
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], info->request_method) == 0)
            return false;
    return true;
}

/* Requests civetweb cannot make sense of. It closes the connection afterwards. */
static int on_error(struct mg_connection *connection, int status, const char *message) {
    uint64_t started = http_now_ns();
    http_request request = new_request(connection);
    char path[1024];
    request.close = true;
    if (status == 400 && foreign_method(request.info)) {
        snprintf(path, sizeof path, "%.*s", (int)strcspn(request.info->request_uri, "?"), request.info->request_uri);
        if (http_route_find(&request, request.info->request_method, path) == 405)
            http_send_problem(&request, 405, "method", "this path knows %s", request.allow);
        else
            http_send_problem(&request, 404, "path", "there is nothing at this path");
    } else {
        /* It says the same of a head that it has no room for. */
        bool vague = status == 400 && strcmp(message, "Malformed message") == 0;
        http_send_problem(&request, status, status < 500 ? "request" : NULL, "%s",
                          vague ? "it is malformed, or its head is larger than " HEAD_MAX " bytes" : message);
    }
    account(&request, started);
    return 0;
}

static int on_open(const struct mg_connection *connection, void **data) {
    http_server *server = mg_get_user_data(mg_get_context(connection));
    atomic_fetch_add_explicit(&server->metrics.connections, 1, memory_order_relaxed);
    *data = server;
    return 0;
}

/* Called twice when we closed the connection ourselves; its data are gone the second time. */
static void on_close(const struct mg_connection *connection) {
    http_server *server = mg_get_user_connection_data(connection);
    if (server)
        atomic_fetch_sub_explicit(&server->metrics.connections, 1, memory_order_relaxed);
}

static int on_log(const struct mg_connection *connection, const char *message) {
    (void)connection;
    http_log(RECO_LOG_WARN, "civetweb", NULL, "%s", message);
    return 1;
}

/* civetweb counts its users without a lock of its own. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static void library_use(bool begin) {
    pthread_mutex_lock(&library);
    if (begin)
        mg_init_library(MG_FEATURES_DEFAULT);
    else
        mg_exit_library();
    pthread_mutex_unlock(&library);
}

/* --- start and end -------------------------------------------------------------------------------------------------------------------------- */

static void fill(http_server *server, const http_options *options) {
    server->routes = options->routes;
    server->route_count = options->route_count;
    server->threads = options->threads ? options->threads : 64;
    server->body_max = options->body_max ? options->body_max : 2u << 20;
    server->request_ms = options->request_ms ? options->request_ms : 10000;
    snprintf(server->cors_origins, sizeof server->cors_origins, "%s", options->cors_origins ? options->cors_origins : "");
    snprintf(server->hosts, sizeof server->hosts, "%s", options->hosts ? options->hosts : "");
    snprintf(server->name, sizeof server->name, "%s", options->name);
    if (getrandom(&server->span_seed, sizeof server->span_seed, GRND_NONBLOCK) != (ssize_t)sizeof server->span_seed)
        server->span_seed = http_now_ns();
}

/* How many connections may be taken in and wait for a thread. They hold files, which stores and the watcher need too, and other servers of the
 * process: each takes a quarter at most. The others wait at the kernel's. */
static unsigned queue_room(unsigned threads) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_KEPT + 4 * (QUEUE_MOST + threads))
        return QUEUE_MOST;
    unsigned share = files.rlim_cur > FILES_KEPT ? ((unsigned)files.rlim_cur - FILES_KEPT) / 4 : 0;
    return share > threads + QUEUE_LEAST ? share - threads : QUEUE_LEAST;
}

static struct mg_context *start(http_server *server, const http_options *options, const char *address, unsigned port) {
    char listen[80], threads[16], keep[16], request[16], queue[16];
    snprintf(listen, sizeof listen, "%s:%u", address, port);
    snprintf(threads, sizeof threads, "%u", server->threads + HTTP_SPARE_THREADS);
    snprintf(queue, sizeof queue, "%u", queue_room(server->threads + HTTP_SPARE_THREADS));
    snprintf(keep, sizeof keep, "%u", options->keep_alive_ms ? options->keep_alive_ms : 60000);
    snprintf(request, sizeof request, "%u", server->request_ms);
    const char *settings[] = {"listening_ports",
                              listen,
                              "num_threads",
                              threads,
                              "connection_queue",
                              queue,
                              "listen_backlog",
                              "2048",
                              "tcp_nodelay",
                              "1",
                              "enable_keep_alive",
                              "yes",
                              "keep_alive_timeout_ms",
                              keep,
                              "request_timeout_ms",
                              request,
                              "decode_url",
                              "no",
                              "enable_auth_domain_check",
                              "no",
                              "max_request_size",
                              HEAD_MAX,
                              NULL};
    const struct mg_callbacks callbacks = {
        .begin_request = on_request, .http_error = on_error, .init_connection = on_open, .connection_close = on_close, .log_message = on_log};
    return mg_start(&callbacks, server, settings);
}

reco_status http_server_open(http_server **out, const http_options *options, reco_error *err) {
    char address[64];
    unsigned port = 0;
    struct mg_server_port bound = {0};
    if (options->route_count > HTTP_ROUTES_MAX)
        return http_fail(err, RECO_FULL, "routes", "too many routes");
    reco_status status = http_listen_parse(options->listen, address, &port, err);
    if (status == RECO_OK)
        status = http_cors_check(options->cors_origins, err);
    if (status == RECO_OK)
        status = http_hosts_check(options->hosts, err);
    if (status == RECO_OK)
        status = http_listen_try(address, port, err);
    if (status != RECO_OK)
        return status;
    http_server *server = calloc(1, sizeof *server);
    if (!server)
        return http_fail(err, RECO_NO_MEMORY, "", reco_status_text(RECO_NO_MEMORY));
    fill(server, options);
    server->loopback = http_listen_is_loopback(address);
    pthread_mutex_init(&server->waits_lock, NULL);
    http_watch_prepare(server);
    http_server_waits(server, options->waiting ? options->waiting : "");
    atomic_store(&server->waiting, options->waiting != NULL);
    library_use(true);
    if (!http_document_make(server, options->openapi)) {
        http_server_close(server);
        return http_fail(err, RECO_NO_MEMORY, "", reco_status_text(RECO_NO_MEMORY));
    }
    server->context = start(server, options, address, port);
    if (!server->context || mg_get_server_ports(server->context, 1, &bound) != 1) {
        http_server_close(server);
        return http_fail(err, RECO_IO, "listen", "the server did not start: see the log");
    }
    server->port = (uint16_t)bound.port;
    if (!http_watch_start(server)) {
        http_server_close(server);
        return http_fail(err, RECO_NO_MEMORY, "", "cannot start a thread");
    }
    snprintf(server->address, sizeof server->address, "%s:%d", address, bound.port);
    *out = server;
    return RECO_OK;
}

void http_server_waits(http_server *server, const char *waiting) {
    pthread_mutex_lock(&server->waits_lock);
    snprintf(server->waits_for, sizeof server->waits_for, "%s", waiting);
    pthread_mutex_unlock(&server->waits_lock);
}

void http_server_begin(http_server *server, size_t route_count) {
    atomic_store(&server->route_count, route_count);
    atomic_store(&server->waiting, 0);
}

const char *http_server_address(const http_server *server) { return server->address; }

bool http_server_draining(const http_server *server) { return atomic_load_explicit(&server->draining, memory_order_seq_cst) != 0; }

void http_server_drain(http_server *server, int64_t timeout_ms) {
    uint64_t end = http_now_ns() + (uint64_t)timeout_ms * 1000000u;
    atomic_store(&server->draining, 1);
    while (atomic_load(&server->metrics.in_flight) > 0 && http_now_ns() < end)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

void http_server_close(http_server *server) {
    if (!server)
        return;
    if (server->context)
        mg_stop(server->context);
    http_watch_stop(server);
    library_use(false);
    pthread_mutex_destroy(&server->waits_lock);
    free(server->document);
    free(server);
}
