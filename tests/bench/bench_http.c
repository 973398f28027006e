/* bench_http.c - from an event to its visible effect, through HTTP: bench_http [events/s] [seconds] [connections].
 *
 * Imports a generated history, starts `reco serve` beside itself, and sends single events at a fixed rate, each at its planned moment whatever became
 * of those before (open loop): late answers count from when they should have been asked for. Every PROBE-th event is of a user never seen; behind its
 * POST goes a GET /recommendations with the position it answered, and the effect is there when that answer reflects it: not behind, not a fallback,
 * with the posted item as a reason. Floor, in the same run and under the same load: two GET /health one after the other.
 *
 * Then, with nothing else to do, the processor time of an answer while 64 requests are under way on as many connections: that of the process that
 * answers GET /recommendations, and of one with the same civetweb and a handler that sends 400 constant bytes, in turns. 0 seconds: only that. */
#include <civetweb.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/support.h"

#define PROBE 10
#define POPULAR_ITEMS 200 /* probes post one of these, which certainly have neighbours */

extern char **environ;

static void need(bool fine, const char *what) {
    if (!fine) {
        fprintf(stderr, "bench_http: %s\n", what);
        exit(1);
    }
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- HTTP ----------------------------------------------------------------------------------------------------------------------------------- */

static int dial(int port) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    need(fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof name) == 0, "cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Sends a request and reads its answer; the body is what is returned, terminated. */
static const char *ask(int fd, const char *request, size_t size, char *answer, size_t room, int expected) {
    size_t got = 0, want = 0;
    need(send(fd, request, size, MSG_NOSIGNAL) == (ssize_t)size, "cannot send");
    char *body = NULL;
    while (!body || got < want) {
        need(got + 1 < room, "an answer is too long");
        ssize_t part = recv(fd, answer + got, room - 1 - got, 0);
        need(part > 0, "the connection ended");
        got += (size_t)part;
        answer[got] = 0;
        if (body || !(body = strstr(answer, "\r\n\r\n")))
            continue;
        body += 4;
        const char *length = strstr(answer, "Content-Length: ");
        need(length, "an answer without length");
        want = (size_t)(body - answer) + strtoul(length + 16, NULL, 10);
    }
    if (atoi(answer + 9) != expected) {
        fprintf(stderr, "%s\n", answer);
        need(false, "an unexpected status");
    }
    return body;
}

/* --- the load ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct sender {
    pthread_t thread;
    int number, ingest_port, api_port;
    int64_t start, period; /* its first event, and the time between two, ns */
    long count;
    double *effect, *post, *floor; /* ms, of the probes */
    long probes, missed;
} sender;

static void wait_until(int64_t moment) {
    struct timespec when = {moment / 1000000000, moment % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        continue;
}

static size_t make_post(char *out, size_t room, const char *user, int item) {
    char body[256];
    int size = snprintf(body, sizeof body, "{\"user_id\":\"%s\",\"item_id\":\"common-%d\",\"event_type\":\"view\"}", user, item);
    return (size_t)snprintf(out, room, "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                            size, body);
}

static bool is_visible(const char *body, int item) {
    char because[64];
    snprintf(because, sizeof because, "\"because\":\"common-%d\"", item);
    return strstr(body, "\"behind\":false") && strstr(body, "\"fallback\":false") && strstr(body, because);
}

static void probe(sender *self, int ingest, int api, char *answer, size_t room, const char *user, int item, int64_t planned) {
    static const char health[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char request[2048], position[1200];
    const char *body = ask(ingest, request, make_post(request, sizeof request, user, item), answer, room, 202);
    double posted = (double)(now_ns() - planned) / 1e6;
    const char *at = strstr(body, "\"position\":\"");
    need(at && sscanf(at + 12, "%1199[^\"]", position) == 1, "an answer without a position");
    size_t size =
        (size_t)snprintf(request, sizeof request,
                         "GET /recommendations?user_id=%s&limit=20&wait_ms=1000&min_position=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", user, position);
    body = ask(api, request, size, answer, room, 200);
    self->effect[self->probes] = (double)(now_ns() - planned) / 1e6;
    self->post[self->probes] = posted;
    self->missed += !is_visible(body, item);
    int64_t begun = now_ns();
    ask(ingest, health, sizeof health - 1, answer, room, 200);
    ask(api, health, sizeof health - 1, answer, room, 200);
    self->floor[self->probes++] = (double)(now_ns() - begun) / 1e6;
}

static void *send_events(void *argument) {
    sender *self = argument;
    size_t room = 1u << 20;
    char *answer = malloc(room), request[1024], user[64];
    int ingest = dial(self->ingest_port), api = dial(self->api_port);
    need(answer, "out of memory");
    for (long i = 0; i < self->count; i++) {
        int64_t planned = self->start + i * self->period;
        int item = (int)((self->number * 7919L + i * 31) % POPULAR_ITEMS);
        wait_until(planned);
        if (i % PROBE == PROBE / 2) {
            snprintf(user, sizeof user, "probe-%d-%ld", self->number, i);
            probe(self, ingest, api, answer, room, user, item, planned);
        } else {
            snprintf(user, sizeof user, "load-%d-%ld", self->number, i % 50);
            ask(ingest, request, make_post(request, sizeof request, user, item), answer, room, 202);
        }
    }
    close(ingest);
    close(api);
    free(answer);
    return NULL;
}

/* --- the service ---------------------------------------------------------------------------------------------------------------------------- */

/* `reco` beside this program. */
static void find_reco(char *out, size_t room) {
    ssize_t size = readlink("/proc/self/exe", out, room - 8);
    need(size > 0, "cannot find this program");
    out[size] = 0;
    snprintf(strrchr(out, '/') + 1, 6, "reco");
    need(access(out, X_OK) == 0, "there is no reco beside this program");
}

static pid_t spawn(const char *reco, char *const *arguments) {
    pid_t pid;
    need(posix_spawn(&pid, reco, NULL, NULL, arguments, environ) == 0, "cannot start reco");
    return pid;
}

static void run_to_end(const char *reco, char *const *arguments) {
    int result;
    pid_t pid = spawn(reco, arguments);
    need(waitpid(pid, &result, 0) == pid && WIFEXITED(result) && WEXITSTATUS(result) == 0, "reco failed");
}

/* 5,000 users who looked at 10 of the common items each and at 10 others: the probes' items have full rows. */
static void write_history(const char *path) {
    FILE *file = fopen(path, "we");
    need(file, "cannot write the history");
    fprintf(file, "user_id,item_id,event_type,timestamp,value\n");
    for (int user = 0; user < 5000; user++)
        for (int step = 0; step < 20; step++) {
            int item = step % 2 ? (user * 13 + step * step * 7) % POPULAR_ITEMS : (user * 31 + step * 997) % 20000;
            fprintf(file, "user-%d,%s-%d,view,%lld,\n", user, step % 2 ? "common" : "other", item, 1767225600000LL + user * 60000LL + step * 1000LL);
        }
    need(fclose(file) == 0, "cannot write the history");
}

static bool file_exists(void *path) { return access(path, R_OK) == 0; }

static int port_of(const char *path, const char *name) {
    char line[64];
    int port = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            port = atoi(line + strlen(name));
    need(file && port > 0, "no port");
    fclose(file);
    return port;
}

static int by_value(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *values, long count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    printf("  %-44s p50 %6.3f  p90 %6.3f  p99 %6.3f  max %7.3f ms\n", what, values[count / 2], values[count * 9 / 10], values[count * 99 / 100],
           values[count - 1]);
}

/* The disk by itself: four pages and a sync, in place, as often as one looks at it. */
static void report_disk(const char *dir) {
    static char page[4096];
    double took[400];
    char path[300];
    snprintf(path, sizeof path, "%s/disk", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0, "cannot write beside the data");
    for (int i = 0; i < 1600; i++)
        need(pwrite(fd, page, sizeof page, i * 4096L) == 4096, "cannot write beside the data");
    fsync(fd);
    for (int i = 0; i < 400; i++) {
        int64_t begun = now_ns();
        for (int k = 0; k < 4; k++)
            need(pwrite(fd, page, sizeof page, (i * 4 + k) * 4096L) == 4096, "cannot write beside the data");
        fdatasync(fd);
        took[i] = (double)(now_ns() - begun) / 1e6;
        wait_until(now_ns() + 1000000);
    }
    close(fd);
    unlink(path);
    report("floor: 4 pages and one fdatasync, no load", took, 400);
}

static void run_load(sender *senders, int connections, int ingest_port, int api_port, long rate, long seconds) {
    int64_t begin = now_ns() + 200000000;
    for (int i = 0; i < connections; i++) {
        sender *one = &senders[i];
        *one = (sender){.number = i, .ingest_port = ingest_port, .api_port = api_port, .count = rate * seconds / connections};
        one->period = 1000000000LL * connections / rate;
        one->start = begin + one->period * i / connections;
        size_t probes = (size_t)(one->count / PROBE + 1);
        one->effect = calloc(probes * 3, sizeof *one->effect);
        need(one->effect, "out of memory");
        one->post = one->effect + probes;
        one->floor = one->post + probes;
        need(pthread_create(&one->thread, NULL, send_events, one) == 0, "cannot start a thread");
    }
    for (int i = 0; i < connections; i++)
        pthread_join(senders[i].thread, NULL);
}

static void print_results(sender *senders, int connections, long rate, long seconds) {
    long probes = 0, missed = 0, events = 0;
    double *all = calloc((size_t)(rate * seconds / PROBE + connections) * 3, sizeof *all);
    need(all, "out of memory");
    for (int i = 0; i < connections; i++)
        probes += senders[i].probes;
    for (int i = 0, at = 0; i < connections; i++) {
        memcpy(all + at, senders[i].effect, (size_t)senders[i].probes * sizeof *all);
        memcpy(all + probes + at, senders[i].post, (size_t)senders[i].probes * sizeof *all);
        memcpy(all + 2 * probes + at, senders[i].floor, (size_t)senders[i].probes * sizeof *all);
        at += (int)senders[i].probes;
        events += senders[i].count;
        missed += senders[i].missed;
    }
    printf("HTTP, %ld events/s for %ld s on %d connections, %ld events, %ld probes by new users, %ld without effect\n", rate, seconds, connections,
           events, probes, missed);
    report("event to visible effect (POST, then GET)", all, probes);
    report("of that until the POST is answered: durable", all + probes, probes);
    report("floor: two GET /health", all + 2 * probes, probes);
    free(all);
    need(missed == 0, "some events had no visible effect");
}

/* --- processor time of an answer ------------------------------------------------------------------------------------------------------------- */

static int constant_answer(struct mg_connection *connection) {
    static char answer[500];
    int size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n%400s", "");
    mg_write(connection, answer, (size_t)size);
    return 200;
}

/* A process with civetweb and nothing else, set up as the services set it up; it ends with this one. */
static pid_t start_constant(int *port) {
    static const char *options[] = {"listening_ports",       "127.0.0.1:0", "num_threads", "72", "tcp_nodelay", "1", "enable_keep_alive", "yes",
                                    "keep_alive_timeout_ms", "60000",       "decode_url",  "no", NULL};
    int ends[2];
    need(pipe(ends) == 0, "cannot make a pipe");
    pid_t pid = fork();
    need(pid >= 0, "cannot fork");
    if (pid == 0) {
        const struct mg_callbacks callbacks = {.begin_request = constant_answer};
        struct mg_server_port bound = {0};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        mg_init_library(0);
        struct mg_context *context = mg_start(&callbacks, NULL, options);
        need(context && mg_get_server_ports(context, 1, &bound) == 1, "civetweb did not start");
        need(write(ends[1], &bound.port, sizeof bound.port) == (ssize_t)sizeof bound.port, "cannot tell the port");
        for (;;)
            pause();
    }
    need(read(ends[0], port, sizeof *port) == (ssize_t)sizeof *port, "civetweb did not start");
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static double process_us(pid_t pid) {
    clockid_t of;
    struct timespec used;
    need(clock_getcpuclockid(pid, &of) == 0 && clock_gettime(of, &used) == 0, "cannot read the processor time of a process");
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

enum { IN_FLIGHT = 64, ANSWER_ROOM = 1 << 16 };

/* A connection with a request under way. */
typedef struct line {
    int fd;
    size_t got, want; /* want: 0 while the head is not complete */
    char answer[ANSWER_ROOM];
} line;

static void send_next(line *self, const char *target, int number) {
    char request[256];
    int size = snprintf(request, sizeof request, "GET %s%d HTTP/1.1\r\nHost: localhost\r\n\r\n", target, number % 5000);
    need(send(self->fd, request, (size_t)size, MSG_NOSIGNAL) == size, "cannot send");
    self->got = self->want = 0;
}

/* Takes what has come; true when the answer is complete. */
static bool take_part(line *self) {
    ssize_t part = recv(self->fd, self->answer + self->got, sizeof self->answer - 1 - self->got, 0);
    need(part > 0, "the connection ended, or an answer is too long");
    self->got += (size_t)part;
    self->answer[self->got] = 0;
    char *body = self->want == 0 ? strstr(self->answer, "\r\n\r\n") : NULL;
    if (body) {
        const char *length = strstr(self->answer, "Content-Length: ");
        need(length && atoi(self->answer + 9) == 200, "an unexpected answer");
        self->want = (size_t)(body + 4 - self->answer) + strtoul(length + 16, NULL, 10);
    }
    return self->want > 0 && self->got >= self->want;
}

/* us of the process for a request, of `count`. As many as there are connections are under way at any time: a process that waits for one request after
 * the other has its processor fall asleep in between, and waking up costs more than a constant answer does. */
static double answer_us(pid_t pid, int port, const char *target, int count) {
    enum { WARM = 10 * IN_FLIGHT };
    static line lines[IN_FLIGHT];
    struct epoll_event events[IN_FLIGHT];
    int poll = epoll_create1(EPOLL_CLOEXEC), sent = 0, done = 0;
    double begun = 0;
    need(poll >= 0, "cannot make an epoll");
    for (int i = 0; i < IN_FLIGHT; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        lines[i].fd = dial(port);
        need(epoll_ctl(poll, EPOLL_CTL_ADD, lines[i].fd, &event) == 0, "cannot watch a connection");
        send_next(&lines[i], target, sent++);
    }
    while (done < WARM + count) {
        int ready = epoll_wait(poll, events, IN_FLIGHT, 60000);
        need(ready > 0, "no answer within a minute");
        for (int i = 0; i < ready && done < WARM + count; i++) {
            line *one = &lines[events[i].data.u32];
            if (!take_part(one))
                continue;
            if (++done == WARM)
                begun = process_us(pid);
            send_next(one, target, sent++);
        }
    }
    double took = process_us(pid) - begun;
    for (int i = 0; i < IN_FLIGHT; i++)
        close(lines[i].fd);
    close(poll);
    return took / count;
}

/* Both processes take turns, and what is told is the median of the turns. */
static void report_processor(pid_t server, int api_port, pid_t constant, int constant_port) {
    enum { COUNT = 5000, TURNS = 5 };
    double floor[TURNS], full[TURNS], brief[TURNS], beside[TURNS], brief_beside[TURNS];
    for (int i = 0; i < TURNS; i++) {
        floor[i] = answer_us(constant, constant_port, "/", 4 * COUNT);
        full[i] = answer_us(server, api_port, "/recommendations?limit=20&user_id=user-", COUNT);
        brief[i] = answer_us(server, api_port, "/recommendations?limit=20&reasons=false&user_id=user-", COUNT);
        beside[i] = full[i] - floor[i];
        brief_beside[i] = brief[i] - floor[i];
    }
    double *all[] = {floor, full, brief, beside, brief_beside};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        qsort(all[i], TURNS, sizeof(double), by_value);
    printf("  CPU of an answer, %d requests under way, median of %d turns: GET /recommendations, 20 items %.1f us (%.1f to %.1f), without reasons "
           "%.1f us; "
           "400 constant bytes %.1f us (%.1f to %.1f); beside them %.1f us (goal 120) and %.1f us\n",
           IN_FLIGHT, TURNS, full[TURNS / 2], full[0], full[TURNS - 1], brief[TURNS / 2], floor[TURNS / 2], floor[0], floor[TURNS - 1],
           beside[TURNS / 2], brief_beside[TURNS / 2]);
}

int main(int argc, char **argv) {
    long rate = argc > 1 ? atol(argv[1]) : 2000, seconds = argc > 2 ? atol(argv[2]) : 10;
    int connections = argc > 3 ? atoi(argv[3]) : 16, result;
    char dir[256], reco[1024], data[300], history[300], ports[300], any[] = "127.0.0.1:0";
    need(rate > 0 && seconds >= 0 && connections > 0 && connections <= 64, "usage: bench_http [events/s] [seconds] [connections up to 64]");
    int constant_port;
    pid_t constant = start_constant(&constant_port);
    find_reco(reco, sizeof reco);
    test_dir_make(dir);
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(history, sizeof history, "%s/history.csv", dir);
    snprintf(ports, sizeof ports, "%s/ports", dir);
    write_history(history);
    char name[] = "reco", data_option[] = "--data", import[] = "import", format[] = "--format", csv[] = "csv", shift[] = "--shift-time",
         json[] = "--json";
    run_to_end(reco, (char *const[]){name, data_option, data, import, format, csv, shift, json, history, NULL});
    char serve[] = "serve", ingest[] = "--ingest-listen", api[] = "--api-listen", processor[] = "--processor-listen", port_file[] = "--port-file";
    pid_t server = spawn(reco, (char *const[]){name, data_option, data, serve, ingest, any, api, any, processor, any, port_file, ports, NULL});
    need(test_wait(file_exists, ports, 30000), "reco serve does not answer");
    sender *senders = calloc((size_t)connections, sizeof *senders);
    need(senders, "out of memory");
    int ingest_port = port_of(ports, "ingest="), api_port = port_of(ports, "api=");
    if (seconds > 0) {
        run_load(senders, connections, ingest_port, api_port, rate, 1); /* warm */
        for (int i = 0; i < connections; i++)
            free(senders[i].effect);
        run_load(senders, connections, ingest_port, api_port, rate, seconds);
    }
    double spent = process_us(server);
    report_processor(server, api_port, constant, constant_port);
    kill(constant, SIGKILL);
    waitpid(constant, &result, 0);
    kill(server, SIGTERM);
    need(waitpid(server, &result, 0) == server && WIFEXITED(result) && WEXITSTATUS(result) == 0, "reco serve did not end in order");
    if (seconds > 0) {
        print_results(senders, connections, rate, seconds);
        report_disk(dir);
        printf("  reco serve, all it did (start, commits, learning, warming included): %.0f us CPU an event\n",
               spent / (double)(rate * (seconds + 1)));
    }
    for (int i = 0; i < connections; i++)
        free(senders[i].effect);
    free(senders);
    test_dir_remove(dir);
    return 0;
}
