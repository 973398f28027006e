#include "top/look.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <reco/admin.h>

#include "http/clock.h"
#include "http/metrics.h"
#include "http/options.h"

#define POLL_MS 1000
#define CONNECT_MS 2000L /* of what a service has for its answer */

/* A request to one service. */
typedef struct asking {
    CURL *easy;
    http_text url, body;
    bool too_large, added;
    CURLcode code;
} asking;

struct top_looker {
    const client_curl *curl;
    const top_source *sources;
    size_t count;
    CURLM *multi;
    asking askings[TOP_SERVICES_MAX];

    /* The thread, while it runs. */
    bool runs;
    pthread_t thread;
    top_service *services;
    reco_status status;
    reco_error error;
    int done, stop; /* eventfds */
    volatile int32_t stopped;
};

/* --- making ready ------------------------------------------------------------------------------------------------------------------------------ */

static size_t receive(char *data, size_t size, size_t count, void *context) {
    asking *self = context;
    self->too_large = self->too_large || self->body.size + size * count > TOP_TEXT_MAX;
    if (self->too_large)
        return 0;
    http_text_add(&self->body, data, size * count);
    return self->body.failed ? 0 : size * count;
}

static bool make_asking(asking *out, const client_curl *curl, const char *url, long timeout_ms) {
    http_text_printf(&out->url, "%s/metrics", url);
    out->easy = out->url.failed ? NULL : client_handle(curl, timeout_ms);
    return out->easy && curl->easy_setopt(out->easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS) == CURLE_OK &&
           curl->easy_setopt(out->easy, CURLOPT_URL, out->url.data) == CURLE_OK &&
           curl->easy_setopt(out->easy, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
           curl->easy_setopt(out->easy, CURLOPT_WRITEDATA, out) == CURLE_OK;
}

void top_looker_free(top_looker *looker) {
    if (!looker)
        return;
    top_look_end(looker, true, NULL);
    for (size_t i = 0; i < looker->count; i++) {
        asking *one = &looker->askings[i];
        if (one->added)
            looker->curl->multi_remove_handle(looker->multi, one->easy);
        if (one->easy)
            looker->curl->easy_cleanup(one->easy);
        http_text_dispose(&one->url);
        http_text_dispose(&one->body);
    }
    if (looker->multi)
        looker->curl->multi_cleanup(looker->multi);
    if (looker->done >= 0)
        close(looker->done);
    if (looker->stop >= 0)
        close(looker->stop);
    free(looker);
}

reco_status top_looker_create(top_looker **out, const client_curl *curl, const top_source *sources, size_t count, long timeout_ms, reco_error *err) {
    top_looker *looker = calloc(1, sizeof *looker);
    if (!looker)
        return options_no_memory(err);
    *looker = (top_looker){.curl = curl, .sources = sources, .count = count, .done = -1, .stop = -1};
    bool asks = false, fine = true;
    for (size_t i = 0; i < count; i++)
        asks = asks || sources[i].url;
    looker->multi = asks ? curl->multi_init() : NULL;
    fine = !asks || looker->multi;
    for (size_t i = 0; i < count && fine; i++)
        fine = !sources[i].url || make_asking(&looker->askings[i], curl, sources[i].url, timeout_ms);
    if (!fine) {
        top_looker_free(looker);
        return options_no_memory(err);
    }
    *out = looker;
    return RECO_OK;
}

/* --- over HTTP ---------------------------------------------------------------------------------------------------------------------------------- */

static void begin_all(top_looker *looker) {
    for (size_t i = 0; i < looker->count; i++) {
        asking *one = &looker->askings[i];
        if (!one->easy)
            continue;
        one->body = (http_text){0};
        one->too_large = false;
        one->code = CURLE_FAILED_INIT;
        one->added = looker->curl->multi_add_handle(looker->multi, one->easy) == CURLM_OK;
    }
}

static void end_all(top_looker *looker) {
    int left;
    for (CURLMsg *message; looker->multi && (message = looker->curl->multi_info_read(looker->multi, &left));)
        for (size_t i = 0; i < looker->count; i++)
            if (message->msg == CURLMSG_DONE && looker->askings[i].easy == message->easy_handle)
                looker->askings[i].code = message->data.result;
    for (size_t i = 0; i < looker->count; i++) {
        if (looker->askings[i].added)
            looker->curl->multi_remove_handle(looker->multi, looker->askings[i].easy);
        looker->askings[i].added = false;
    }
}

static bool is_stopped(const top_looker *looker) { return __atomic_load_n(&looker->stopped, __ATOMIC_SEQ_CST) != 0; }

/* Every request has a time limit of its own, so this ends. */
static void run_all(top_looker *looker) {
    struct curl_waitfd stop = {.fd = looker->stop, .events = CURL_WAIT_POLLIN};
    int running = 0;
    begin_all(looker);
    while (looker->multi && looker->curl->multi_perform(looker->multi, &running) == CURLM_OK && running > 0)
        if (looker->curl->multi_poll(looker->multi, &stop, looker->stop >= 0, POLL_MS, NULL) != CURLM_OK || is_stopped(looker))
            break;
    end_all(looker);
}

static reco_status take_answer(top_look *out, top_looker *looker, asking *one, reco_error *err) {
    long status = 0;
    looker->curl->easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
    if (one->body.failed)
        return options_no_memory(err);
    if (one->too_large)
        snprintf(out->error, sizeof out->error, "its metrics are more than %u MiB", TOP_TEXT_MAX >> 20);
    else if (one->code != CURLE_OK)
        snprintf(out->error, sizeof out->error, "%s", looker->curl->easy_strerror(one->code));
    else if (status != 200)
        snprintf(out->error, sizeof out->error, "GET /metrics answers %ld", status);
    else
        out->up = true;
    if (!out->up)
        return RECO_OK;
    char *text = one->body.data;
    size_t size = one->body.size;
    one->body = (http_text){0};
    return top_samples_read(&out->samples, text, size, err);
}

/* --- in this process ---------------------------------------------------------------------------------------------------------------------------- */

/* Of what the engine tells, memory and what is counted are this program's, which takes and answers nothing. */
static void take_metric(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    if (strcmp(type, "gauge") == 0 && strcmp(name, "reco_memory_bytes") != 0)
        http_families_sink(context, name, labels, value, type, help);
}

static reco_status ask_engine(top_look *out, top_looker *looker, reco_engine *engine, reco_error *err) {
    reco_call call = {.struct_size = sizeof call, .cancel = &looker->stopped};
    http_families families = {0};
    http_text body = {0};
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco_metrics(engine, take_metric, &families, &call, &error);
    http_families_write(&body, &families);
    http_families_dispose(&families);
    if (status == RECO_OK && body.failed)
        status = options_no_memory(err);
    else if (status == RECO_OK) {
        out->up = true;
        return top_samples_read(&out->samples, body.data, body.size, err);
    } else {
        snprintf(out->error, sizeof out->error, "%s", error.text);
        status = RECO_OK;
    }
    http_text_dispose(&body);
    return status;
}

reco_status top_look_at(top_looker *looker, top_service *services, reco_error *err) {
    reco_status status = RECO_OK;
    run_all(looker);
    for (size_t i = 0; i < looker->count; i++) {
        top_service *service = &services[i];
        asking *one = &looker->askings[i];
        top_samples_dispose(&service->before.samples);
        service->before = service->now;
        service->now = (top_look){.at_ns = http_monotonic_ns()};
        if (status == RECO_OK)
            status = one->easy ? take_answer(&service->now, looker, one, err) : ask_engine(&service->now, looker, looker->sources[i].engine, err);
        http_text_dispose(&one->body);
    }
    return status;
}

/* --- by a thread -------------------------------------------------------------------------------------------------------------------------------- */

static void *look_in_a_thread(void *context) {
    top_looker *looker = context;
    looker->status = top_look_at(looker, looker->services, &looker->error);
    eventfd_write(looker->done, 1);
    return NULL;
}

static reco_status make_events(top_looker *looker, reco_error *err) {
    eventfd_t count;
    if (looker->done < 0)
        looker->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (looker->stop < 0)
        looker->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (looker->done < 0 || looker->stop < 0)
        return options_fail(err, RECO_IO, "top", "no descriptor to wait on: %s", strerror(errno));
    eventfd_read(looker->done, &count);
    eventfd_read(looker->stop, &count);
    return RECO_OK;
}

reco_status top_look_begin(top_looker *looker, top_service *services, reco_error *err) {
    reco_status status = make_events(looker, err);
    if (status != RECO_OK)
        return status;
    looker->services = services;
    __atomic_store_n(&looker->stopped, 0, __ATOMIC_SEQ_CST);
    looker->error = (reco_error)RECO_ERROR_INIT;
    int failed = pthread_create(&looker->thread, NULL, look_in_a_thread, looker);
    looker->runs = !failed;
    return failed ? options_fail(err, RECO_IO, "top", "no thread to ask with: %s", strerror(failed)) : RECO_OK;
}

int top_look_done(const top_looker *looker) { return looker->runs ? looker->done : -1; }

reco_status top_look_end(top_looker *looker, bool now, reco_error *err) {
    if (!looker->runs)
        return RECO_OK;
    if (now) {
        __atomic_store_n(&looker->stopped, 1, __ATOMIC_SEQ_CST);
        eventfd_write(looker->stop, 1);
    }
    pthread_join(looker->thread, NULL);
    looker->runs = false;
    if (looker->status != RECO_OK && err)
        *err = looker->error;
    return looker->status;
}
