/* http/watch.c - a thread that frees other threads from clients that take their time.
 *
 * civetweb gives a connection a thread for as long as it lives, and bounds each read and write, but not how many of them there are: a client that
 * sends a byte now and then keeps a thread for hours. So every request is on a list here with the moment by which its body must have come in, or its
 * answer must have gone out. Past it, the socket is shut down, and the thread's read or write returns.
 *
 * And when every thread has a connection while others wait, those that have been idle longest, for a second at least, are given up for them; first
 * those that never said anything, as many as wait: they wait themselves, in front of whoever came later. A client of a kept connection must be
 * prepared for that.
 *
 * civetweb tells nobody its sockets. They are found among the files of the process by both of their addresses, which only happens when there is
 * something to do. A found one is duplicated before it is looked at: its number may be another file's by then, the duplicate stays what it is.
 * Duplicates are not kept, for files are scarce just then: one that is to be given up is found again by its number and its client. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/internal.h"

#define TICK_MS 200
#define IDLE_MS 1000
#define GIVEN_UP_KEPT 8 /* a tick, of those that said something once */

/* --- the list ------------------------------------------------------------------------------------------------------------------------------- */

void http_watch_begin(http_request *request) {
    http_server *server = request->server;
    pthread_mutex_lock(&server->watch_lock);
    request->watched_next = server->watched;
    request->watched_at = &server->watched;
    if (server->watched)
        server->watched->watched_at = &request->watched_next;
    server->watched = request;
    pthread_mutex_unlock(&server->watch_lock);
}

void http_watch_end(http_request *request) {
    http_server *server = request->server;
    pthread_mutex_lock(&server->watch_lock);
    *request->watched_at = request->watched_next;
    if (request->watched_next)
        request->watched_next->watched_at = request->watched_at;
    pthread_mutex_unlock(&server->watch_lock);
}

void http_watch_reading(http_request *request, uint64_t until_ns) {
    atomic_store_explicit(&request->writing, false, memory_order_relaxed);
    atomic_store_explicit(&request->watched_until, until_ns, memory_order_relaxed);
}

void http_watch_writing(http_request *request, uint64_t until_ns) {
    atomic_store_explicit(&request->writing, true, memory_order_relaxed);
    atomic_store_explicit(&request->watched_until, until_ns, memory_order_relaxed);
}

/* Whether somebody is overdue, or idle connections may stand in the way of others. */
static bool has_work(http_server *server, uint64_t now) {
    bool found = atomic_load_explicit(&server->metrics.connections, memory_order_relaxed) >= (int64_t)(server->threads + HTTP_SPARE_THREADS);
    for (const http_request *request = server->watched; request && !found; request = request->watched_next) {
        uint64_t until = atomic_load_explicit(&request->watched_until, memory_order_relaxed);
        found = until && until < now;
    }
    return found;
}

/* --- sockets -------------------------------------------------------------------------------------------------------------------------------- */

/* A socket of a client that is between two requests. */
typedef struct idle {
    int number;
    struct sockaddr_in peer;
    bool silent;
    uint32_t ms;
} idle;

/* What one look at all sockets finds. */
typedef struct look {
    http_server *server;
    uint64_t now;
    uint32_t sockets, waiting; /* accepted ones; those that are not yet accepted */
    idle *idle;                /* room for all sockets */
    uint32_t idle_count;
    bool soon; /* somebody silent is on the way to being idle */
} look;

/* The silent ones first, then who is idle longest. */
static int compare_idle(const void *one, const void *other) {
    const idle *a = one, *b = other;
    return a->silent != b->silent ? (a->silent ? -1 : 1) : (a->ms < b->ms) - (a->ms > b->ms);
}

static http_request *request_of(const look *self, const struct sockaddr_in *peer) {
    char address[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &peer->sin_addr, address, sizeof address);
    for (http_request *request = self->server->watched; request; request = request->watched_next)
        if (request->info->remote_port == ntohs(peer->sin_port) && strcmp(request->info->remote_addr, address) == 0)
            return request;
    return NULL;
}

/* Whether bytes came in that nobody has read yet, or nobody can tell. */
static bool has_unread(int fd) {
    int unread = 0;
    return ioctl(fd, FIONREAD, &unread) != 0 || unread > 0;
}

/* `fd`: a duplicate of `number`. */
static void look_at_client(look *self, int number, int fd, const struct sockaddr_in *peer) {
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    http_request *request = request_of(self, peer);
    self->sockets++;
    if (request) {
        uint64_t until = atomic_load_explicit(&request->watched_until, memory_order_relaxed);
        if (until && until < self->now) {
            atomic_store_explicit(&request->overdue, true, memory_order_relaxed);
            shutdown(fd,
                     atomic_load_explicit(&request->writing, memory_order_relaxed) ? SHUT_RDWR : SHUT_RD); /* who sends too slowly is still told */
        }
        return;
    }
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || has_unread(fd))
        return;
    uint32_t ms = info.tcpi_last_data_recv < info.tcpi_last_data_sent ? info.tcpi_last_data_recv : info.tcpi_last_data_sent;
    bool silent = size > offsetof(struct tcp_info, tcpi_bytes_received) && info.tcpi_bytes_received == 0;
    if ((silent ? info.tcpi_last_data_recv : ms) >= IDLE_MS)
        self->idle[self->idle_count++] = (idle){number, *peer, silent, ms};
    self->soon |= silent && info.tcpi_last_data_recv < IDLE_MS;
}

static void look_at(look *self, int number) {
    struct sockaddr_in own = {0}, peer = {0};
    socklen_t size = sizeof own, peer_size = sizeof peer, flag_size = sizeof(int);
    int fd = fcntl(number, F_DUPFD_CLOEXEC, 0), listening = 0;
    if (fd < 0)
        return;
    bool ours = getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.sin_family == AF_INET && ntohs(own.sin_port) == self->server->port;
    if (ours && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &flag_size) == 0 && listening) {
        struct tcp_info info = {0};
        socklen_t info_size = sizeof info;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_size) == 0)
            self->waiting += info.tcpi_unacked;
    } else if (ours && getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0) {
        look_at_client(self, number, fd, &peer);
    }
    close(fd);
}

/* Unless it is another's by now, or its client has something to say. */
static bool give_up(const idle *one) {
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof peer;
    int fd = fcntl(one->number, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool same = getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET && peer.sin_port == one->peer.sin_port &&
                peer.sin_addr.s_addr == one->peer.sin_addr.s_addr;
    bool given_up = same && !has_unread(fd) && shutdown(fd, SHUT_RDWR) == 0;
    close(fd);
    return given_up;
}

static int compare_numbers(const void *one, const void *other) { return *(const int *)one - *(const int *)other; }

/* The files that are open now; duplicates made on the way are not among them. */
static int *open_files(size_t *count) {
    DIR *folder = opendir("/proc/self/fd");
    int *numbers = NULL;
    size_t room = 0;
    *count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (*entry->d_name < '0' || *entry->d_name > '9' || atoi(entry->d_name) == dirfd(folder))
            continue;
        if (*count == room) {
            int *grown = realloc(numbers, (room = room ? room * 2 : 256) * sizeof *numbers);
            if (!grown)
                break;
            numbers = grown;
        }
        numbers[(*count)++] = atoi(entry->d_name);
    }
    if (folder)
        closedir(folder);
    if (*count)
        qsort(numbers, *count, sizeof *numbers, compare_numbers);
    return numbers;
}

/* Under the lock: no request ends while its socket is looked for. */
static void look_around(http_server *server, uint64_t now) {
    size_t count;
    int *numbers = open_files(&count);
    look self = {.server = server, .now = now, .idle = malloc((count ? count : 1) * sizeof(idle))};
    for (size_t i = 0; self.idle && i < count; i++)
        look_at(&self, numbers[i]);
    free(numbers);
    if (self.idle_count)
        qsort(self.idle, self.idle_count, sizeof *self.idle, compare_idle);
    int64_t threads = (int64_t)(server->threads + HTTP_SPARE_THREADS), held = atomic_load(&server->metrics.connections);
    int64_t waiting = held >= threads ? (int64_t)self.sockets - held + self.waiting : 0;
    for (uint32_t i = 0; i < self.idle_count && (int64_t)i < waiting; i++)
        if ((self.idle[i].silent || (i < GIVEN_UP_KEPT && !self.soon)) && give_up(&self.idle[i]))
            atomic_fetch_add_explicit(&server->metrics.given_up, 1, memory_order_relaxed);
    free(self.idle);
}

/* --- the thread ----------------------------------------------------------------------------------------------------------------------------- */

static void *watch(void *argument) {
    http_server *server = argument;
    pthread_mutex_lock(&server->watch_lock);
    while (!server->watch_ends) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&server->watch_wakes, &server->watch_lock, &until);
        uint64_t now = http_now_ns();
        if (!server->watch_ends && has_work(server, now))
            look_around(server, now);
    }
    pthread_mutex_unlock(&server->watch_lock);
    return NULL;
}

void http_watch_prepare(http_server *server) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&server->watch_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->watch_wakes, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool http_watch_start(http_server *server) {
    server->watching = pthread_create(&server->watcher, NULL, watch, server) == 0;
    return server->watching;
}

void http_watch_stop(http_server *server) {
    if (server->watching) {
        pthread_mutex_lock(&server->watch_lock);
        server->watch_ends = true;
        pthread_cond_signal(&server->watch_wakes);
        pthread_mutex_unlock(&server->watch_lock);
        pthread_join(server->watcher, NULL);
    }
    pthread_cond_destroy(&server->watch_wakes);
    pthread_mutex_destroy(&server->watch_lock);
}
