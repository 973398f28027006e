/* bench/http.c - requests of one thread over its connections: libcurl does HTTP, epoll and a timer tell when.
 *
 * The timer has the precision of the clock, where libcurl's own waiting has milliseconds: a schedule of 5,000 requests a second has one due every
 * 200 us. A connection is a handle of libcurl's; as many handles as connections are at work at once, and libcurl gives each a connection that is
 * open, so that no more than that are ever opened to a service but for those that broke. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench/load.h"

#define EVENTS 64
#define LOOK_NS INT64_C(100000000) /* how long a signal may take */
#define NEVER INT64_MAX
#define HEALTH_MS 5000L
#define ANSWER_MAX (64u << 20)

struct client;

typedef struct connection {
    struct client *client;
    CURL *easy;
    struct connection *next; /* of the idle ones */
    int64_t due_ns, sent_ns;
    uint64_t received;
    unsigned kind;
    bool counted, busy;
    http_text url, body;
} connection;

/* CONFINED to its thread once it runs. */
typedef struct client {
    bench_shared *shared;
    const bench_plan *plan;
    const client_curl *curl;
    bench_counts *counts;
    bench_questions *questions;
    unsigned thread;
    CURLM *multi;
    int epoll, timer;
    connection *connections, *idle;
    uint32_t connection_count, busy;
    struct curl_slist *get_headers, *post_headers;
    int64_t idle_since_ns; /* when a connection was last freed while none was free */
    int64_t curl_due_ns;   /* when libcurl wants to be called, or NEVER */
    uint64_t number;       /* next of the schedule */
    uint64_t most;         /* requests that may count; 0: no bound */
    bool broken;           /* what epoll or libcurl should never answer */
} client;

/* --- making ready --------------------------------------------------------------------------------------------------------------------------- */

static size_t receive(char *data, size_t size, size_t count, void *context) {
    connection *self = context;
    (void)data;
    self->received += size * count;
    return self->received > ANSWER_MAX ? 0 : size * count;
}

static bool add_header(client *self, struct curl_slist **list, const char *text) {
    struct curl_slist *longer = self->curl->slist_append(*list, text);
    *list = longer ? longer : *list;
    return longer != NULL;
}

static bool make_headers(client *self) {
    const option_list *own = self->plan->headers;
    bool fine = add_header(self, &self->post_headers, "Content-Type: application/json") && add_header(self, &self->post_headers, "Expect:");
    for (size_t i = 0; i < own->count; i++)
        fine = fine && add_header(self, &self->post_headers, own->items[i]) && add_header(self, &self->get_headers, own->items[i]);
    return fine;
}

static bool make_connection(client *self, connection *out) {
    const client_curl *curl = self->curl;
    out->client = self;
    out->easy = client_handle(curl, (long)(self->plan->timeout_ns / 1000000));
    if (!out->easy)
        return false;
    out->next = self->idle;
    self->idle = out;
    return curl->easy_setopt(out->easy, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
           curl->easy_setopt(out->easy, CURLOPT_WRITEDATA, out) == CURLE_OK && curl->easy_setopt(out->easy, CURLOPT_PRIVATE, out) == CURLE_OK;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket) {
    client *self = context;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    (void)of_socket;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) != 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        self->broken = true;
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
    client *self = context;
    (void)multi;
    self->curl_due_ns = ms < 0 ? NEVER : http_monotonic_ns() + ms * INT64_C(1000000);
    return 0;
}

static bool make_multi(client *self) {
    const client_curl *curl = self->curl;
    struct epoll_event event = {.events = EPOLLIN};
    self->multi = curl->multi_init();
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    event.data.fd = self->timer;
    return self->multi && self->epoll >= 0 && self->timer >= 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->timer, &event) == 0 &&
           curl->multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl->multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self) == CURLM_OK &&
           curl->multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl->multi_setopt(self->multi, CURLMOPT_TIMERDATA, self) == CURLM_OK &&
           curl->multi_setopt(self->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
           curl->multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, 2 * (long)self->connection_count) == CURLM_OK; /* kept, to two services */
}

static void close_client(void *worker) {
    client *self = worker;
    const client_curl *curl = self->curl;
    for (uint32_t i = 0; self->connections && i < self->connection_count; i++) {
        connection *one = &self->connections[i];
        if (one->busy)
            curl->multi_remove_handle(self->multi, one->easy);
        if (one->easy)
            curl->easy_cleanup(one->easy);
        http_text_dispose(&one->url);
        http_text_dispose(&one->body);
    }
    if (self->multi)
        curl->multi_cleanup(self->multi);
    curl->slist_free_all(self->get_headers);
    curl->slist_free_all(self->post_headers);
    bench_questions_free(self->questions);
    if (self->epoll >= 0)
        close(self->epoll);
    if (self->timer >= 0)
        close(self->timer);
    free(self->connections);
    free(self);
}

/* Whether a service is there at all, before a minute of refused connections. */
static reco_status check_service(client *self, const char *base, reco_error *err) {
    const client_curl *curl = self->curl;
    connection ignored = {0};
    char url[CLIENT_URL_MAX + 16];
    CURL *easy = client_handle(curl, HEALTH_MS);
    if (!easy)
        return options_no_memory(err);
    snprintf(url, sizeof url, "%s/health", base);
    CURLcode code = curl->easy_setopt(easy, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_HTTPHEADER, self->get_headers);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_WRITEDATA, &ignored);
    if (code == CURLE_OK)
        code = curl->easy_perform(easy);
    curl->easy_cleanup(easy);
    return code == CURLE_OK ? RECO_OK : options_fail(err, RECO_IO, base, "does not answer: %s", curl->easy_strerror(code));
}

static reco_status check_services(client *self, reco_error *err) {
    const bench_plan *plan = self->plan;
    bool events = plan->mix[BENCH_EVENTS] > 0, others = false;
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++)
        others = others || (i != BENCH_EVENTS && plan->mix[i] > 0);
    reco_status status = others ? check_service(self, plan->api, err) : RECO_OK;
    return status == RECO_OK && events ? check_service(self, plan->ingest, err) : status;
}

/* What a number of things makes for each of `threads`. */
static uint64_t share_of(uint64_t all, unsigned thread, unsigned threads) { return all / threads + (thread < all % threads); }

static void *open_client(bench_shared *shared, unsigned thread, bench_counts *counts, reco_error *err) {
    const bench_plan *plan = shared->plan;
    client *self = calloc(1, sizeof *self);
    if (!self) {
        options_no_memory(err);
        return NULL;
    }
    *self = (client){.shared = shared, .plan = plan, .curl = plan->curl, .counts = counts, .thread = thread, .epoll = -1, .timer = -1};
    self->connection_count = (uint32_t)share_of(plan->connections, thread, plan->threads);
    self->most = share_of(plan->requests, thread, plan->threads);
    self->number = thread;
    self->curl_due_ns = NEVER;
    self->connections = calloc(self->connection_count, sizeof *self->connections);
    reco_status status = bench_questions_create(&self->questions, plan, thread, plan->threads, err);
    bool fine = status == RECO_OK && self->connections && make_headers(self) && make_multi(self);
    for (uint32_t i = self->connection_count; i-- > 0 && fine;)
        fine = make_connection(self, &self->connections[i]);
    if (status == RECO_OK && !fine)
        status = options_fail(err, RECO_NO_MEMORY, "connections", "%u of them cannot be made ready", self->connection_count);
    if (status == RECO_OK && thread == 0)
        status = check_services(self, err);
    if (status == RECO_OK)
        return self;
    close_client(self);
    return NULL;
}

/* --- a request ------------------------------------------------------------------------------------------------------------------------------ */

static bool set_request(client *self, connection *one, const bench_question *question) {
    const client_curl *curl = self->curl;
    bool post = question->body.size > 0;
    one->url.size = one->body.size = 0;
    http_text_printf(&one->url, "%s%s%s%s", question->kind == BENCH_EVENTS ? self->plan->ingest : self->plan->api, question->path.data,
                     question->query.size ? "?" : "", question->query.size ? question->query.data : "");
    if (post)
        http_text_add(&one->body, question->body.data, question->body.size);
    if (one->url.failed || one->body.failed || curl->easy_setopt(one->easy, CURLOPT_URL, one->url.data) != CURLE_OK ||
        curl->easy_setopt(one->easy, CURLOPT_HTTPHEADER, post ? self->post_headers : self->get_headers) != CURLE_OK)
        return false;
    if (!post)
        return curl->easy_setopt(one->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl->easy_setopt(one->easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl->easy_setopt(one->easy, CURLOPT_POSTFIELDS, one->body.data) == CURLE_OK &&
           curl->easy_setopt(one->easy, CURLOPT_POSTFIELDSIZE, (long)one->body.size) == CURLE_OK;
}

/* By the first idle connection; due 0: now. */
static reco_status send_request(client *self, int64_t due, reco_error *err) {
    connection *one = self->idle;
    const bench_question *question = NULL;
    reco_status status = bench_questions_next(&question, self->questions, err);
    if (status != RECO_OK)
        return status;
    if (!set_request(self, one, question))
        return options_no_memory(err);
    self->idle = one->next;
    one->sent_ns = http_monotonic_ns();
    one->due_ns = due ? due : one->sent_ns;
    one->kind = question->kind;
    one->received = 0;
    one->counted = one->due_ns >= self->shared->measure_ns;
    if (one->counted)
        bench_count_sent(self->counts, one->due_ns, due ? self->idle_since_ns : one->due_ns, one->sent_ns);
    if (self->curl->multi_add_handle(self->multi, one->easy) != CURLM_OK)
        return options_fail(err, RECO_INTERNAL, "libcurl", "it takes no request");
    one->busy = true;
    self->busy++;
    return RECO_OK;
}

static void count_answer(client *self, connection *one, CURLcode code, int64_t now) {
    bench_counts *counts = self->counts;
    const client_curl *curl = self->curl;
    long http = 0, head = 0, request = 0, connects = 0;
    curl->easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &http);
    curl->easy_getinfo(one->easy, CURLINFO_HEADER_SIZE, &head);
    curl->easy_getinfo(one->easy, CURLINFO_REQUEST_SIZE, &request);
    curl->easy_getinfo(one->easy, CURLINFO_NUM_CONNECTS, &connects);
    counts->connects += (uint64_t)connects;
    counts->bytes_in += one->received + (uint64_t)head;
    counts->bytes_out += (uint64_t)request; /* with its body */
    bool answered = code == CURLE_OK && http >= 200 && http < 300;
    counts->answered += answered;
    if (code == CURLE_OK)
        counts->statuses[http > 0 && http < (long)BENCH_STATUSES ? http : 0]++;
    else
        counts->failures[(unsigned)code < BENCH_FAILURES ? (unsigned)code : 0]++;
    if (answered || code == CURLE_OPERATION_TIMEDOUT)
        bench_count_latency(counts, one->kind, one->due_ns, one->sent_ns, now);
    else
        bench_count_refused(counts, one->due_ns, now);
    counts->end_ns = now;
}

static void end_request(client *self, connection *one, CURLcode code) {
    int64_t now = http_monotonic_ns();
    if (one->counted)
        count_answer(self, one, code, now);
    self->curl->multi_remove_handle(self->multi, one->easy);
    one->busy = false;
    self->busy--;
    if (!self->idle)
        self->idle_since_ns = now;
    one->next = self->idle;
    self->idle = one;
    atomic_fetch_add_explicit(&self->shared->done, 1, memory_order_relaxed);
}

static void collect(client *self) {
    int left;
    for (CURLMsg *message; (message = self->curl->multi_info_read(self->multi, &left));) {
        char *one = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        if (self->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &one) == CURLE_OK && one)
            end_request(self, (connection *)(void *)one, code);
    }
}

/* --- the loop ------------------------------------------------------------------------------------------------------------------------------- */

static bool is_enough(const client *self) { return self->plan->requests > 0 && self->counts->requests >= self->most; }

/* When the next request is due: now in a closed loop, NEVER when there is none any more. */
static int64_t next_due(const client *self, int64_t now) {
    int64_t due = self->plan->rate > 0 ? bench_due(self->shared, self->number) : now > self->shared->begin_ns ? now : self->shared->begin_ns;
    return due >= self->shared->end_ns || is_enough(self) ? NEVER : due;
}

static reco_status send_due(client *self, reco_error *err) {
    reco_status status = RECO_OK;
    for (int64_t due; status == RECO_OK && self->idle && (due = next_due(self, http_monotonic_ns())) <= http_monotonic_ns();) {
        status = send_request(self, self->plan->rate > 0 ? due : 0, err);
        self->number += self->plan->threads;
    }
    return status;
}

static void wait_until(client *self, int64_t moment, int64_t now) {
    struct epoll_event events[EVENTS];
    int64_t until = moment < now + LOOK_NS ? moment : now + LOOK_NS;
    struct itimerspec when = {.it_value = {until / 1000000000, until % 1000000000}};
    if (until > now && timerfd_settime(self->timer, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        self->broken = true;
    int count = epoll_wait(self->epoll, events, EVENTS, until > now ? -1 : 0), running;
    for (int i = 0; i < count; i++) {
        uint64_t ticks;
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        if (events[i].data.fd == self->timer)
            self->broken = (read(self->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) || self->broken;
        else
            self->curl->multi_socket_action(self->multi, events[i].data.fd, what, &running);
    }
    self->broken = (count < 0 && errno != EINTR) || self->broken;
}

static void call_curl(client *self) {
    int running;
    if (self->curl_due_ns > http_monotonic_ns())
        return;
    self->curl_due_ns = NEVER;
    self->curl->multi_socket_action(self->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* Nothing under way, and nothing to come; or the end of patience. */
static bool is_over(const client *self) {
    int64_t now = http_monotonic_ns();
    if (atomic_load_explicit(&self->shared->stop, memory_order_relaxed) || now >= self->shared->cut_ns)
        return true;
    return self->busy == 0 && next_due(self, now) == NEVER;
}

/* What is still under way or was never sent when patience ended counts as waiting until now. Of what was stopped early, only what was due and not
 * sent: what was under way was not given its time. */
static void count_rest(client *self) {
    int64_t now = http_monotonic_ns(), end = self->shared->end_ns;
    bool stopped = atomic_load(&self->shared->stop);
    for (uint32_t i = 0; i < self->connection_count && !stopped; i++)
        if (self->connections[i].busy && self->connections[i].counted) {
            bench_count_latency(self->counts, self->connections[i].kind, self->connections[i].due_ns, self->connections[i].sent_ns, now);
            self->counts->failures[CURLE_OPERATION_TIMEDOUT]++;
        }
    for (int64_t due; self->plan->rate > 0 && !is_enough(self) && (due = bench_due(self->shared, self->number)) < (end < now ? end : now);) {
        bench_count_unsent(self->counts, self->shared, due, now);
        self->number += self->plan->threads;
    }
}

static reco_status run_client(void *worker, reco_error *err) {
    client *self = worker;
    reco_status status = RECO_OK;
    int64_t cpu = -1;
    prctl(PR_SET_TIMERSLACK, 1UL);
    self->idle_since_ns = self->shared->begin_ns;
    while (!is_over(self)) {
        int64_t now = http_monotonic_ns();
        if (cpu < 0 && now >= self->shared->measure_ns)
            cpu = bench_cpu();
        int64_t due = self->idle ? next_due(self, now) : NEVER, wake = due < self->curl_due_ns ? due : self->curl_due_ns;
        wait_until(self, wake < self->shared->cut_ns ? wake : self->shared->cut_ns, now);
        collect(self);
        status = send_due(self, err);
        if (status != RECO_OK)
            return status;
        call_curl(self);
        collect(self);
        if (self->broken)
            return options_fail(err, RECO_IO, "connections", "they cannot be waited for: %s", strerror(errno));
    }
    count_rest(self);
    self->counts->cpu_ns = cpu < 0 ? 0 : bench_cpu() - cpu;
    if (self->counts->end_ns == 0)
        self->counts->end_ns = http_monotonic_ns();
    return RECO_OK;
}

const bench_worker bench_by_http = {open_client, run_client, close_client};
