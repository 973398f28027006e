/* tests/support/redis_server.c - see redis_server.h. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/redis_server.h"
#include "support/support.h"

static struct sockaddr_in address_of(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static bool is_free(int port) {
    struct sockaddr_in address = address_of(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* Not among those the kernel gives to connections: the server is started on it again later. */
static int free_port(void) {
    static unsigned asked;
    for (unsigned i = 0; i < 1000; i++) {
        int port = 16384 + (int)(((unsigned)getpid() * 7919u + ++asked * 31u) % 16000u);
        if (is_free(port)) {
            return port;
        }
    }
    return 0;
}

static bool answers(void *context) {
    const test_redis *server = context;
    struct sockaddr_in address = address_of(server->port);
    char reply[16] = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
                recv(fd, reply, sizeof reply - 1, 0) > 0 && (strncmp(reply, "+PONG", 5) == 0 || strncmp(reply, "-NOAUTH", 7) == 0);
    close(fd);
    return good;
}

static void run(const test_redis *server, const char *const *more, pid_t parent) {
    char port[16], log[300], local[300];
    const char *arguments[64] = {"redis-server", "--port", port,    "--bind",       "127.0.0.1", "--save", "",
                                 "--appendonly", "no",     "--dir", server->folder, "--logfile", log,      "--unixsocket", local};
    size_t count = 15;
    snprintf(port, sizeof port, "%d", server->port);
    snprintf(log, sizeof log, "%s/redis.log", server->folder);
    snprintf(local, sizeof local, "%s/redis.sock", server->folder);
    while (more && *more && count < 63) {
        arguments[count++] = *more++;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        execvp("redis-server", (char **)(uintptr_t)arguments);
    }
    _exit(127);
}

static bool is_there(void) {
    const char *path = getenv("PATH");
    char file[512];
    for (size_t size; path && *path; path += size + (path[size] == ':')) {
        size = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/redis-server", (int)size, path);
        if (access(file, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

void test_redis_restart(test_redis *server, const char *const *arguments) {
    pid_t parent = getpid();
    server->pid = fork();
    if (server->pid == 0) {
        run(server, arguments, parent);
    }
    if (server->pid < 0 || !test_wait(answers, server, 20000)) {
        fprintf(stderr, "redis-server does not answer on port %d\n", server->port);
        test_redis_stop(server);
        abort();
    }
}

/* --- a sentinel ------------------------------------------------------------------------------------------------------------------------- */

static void write_sentinel(const char *path, const test_redis *sentinel, const test_redis *primary) {
    FILE *file = fopen(path, "w");
    if (!file) {
        abort();
    }
    fprintf(file, "port %d\nbind 127.0.0.1\ndir %s\nlogfile %s/sentinel.log\nsentinel monitor reco 127.0.0.1 %d 1\n", sentinel->port,
            sentinel->folder, sentinel->folder, primary->port);
    fprintf(file, "sentinel down-after-milliseconds reco 500\nsentinel failover-timeout reco 5000\n");
    fclose(file);
}

void test_redis_watch(test_redis *sentinel, const test_redis *primary) {
    char path[300];
    pid_t parent = getpid();
    memset(sentinel, 0, sizeof *sentinel);
    test_dir_make(sentinel->folder);
    sentinel->port = free_port();
    snprintf(path, sizeof path, "%s/sentinel.conf", sentinel->folder);
    write_sentinel(path, sentinel, primary);
    sentinel->pid = fork();
    if (sentinel->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            execlp("redis-server", "redis-server", path, "--sentinel", (char *)NULL);
        }
        _exit(127);
    }
    if (sentinel->pid < 0 || !test_wait(answers, sentinel, 20000)) {
        fprintf(stderr, "the sentinel does not answer on port %d\n", sentinel->port);
        test_redis_stop(sentinel);
        abort();
    }
}

/* --- the contract ----------------------------------------------------------------------------------------------------------------------- */

void test_redis_say(char reply[512], const test_redis *server, const char *command) {
    struct sockaddr_in address = address_of(server->port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char line[256];
    int size = snprintf(line, sizeof line, "%s\r\n", command);
    struct timeval patience = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    memset(reply, 0, 512);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, line, (size_t)size, MSG_NOSIGNAL) == size) {
        (void)!recv(fd, reply, 511, 0);
    }
    close(fd);
}

void test_redis_start(test_redis *server, const char *const *arguments) {
    if (!is_there()) {
        test_skip("redis-server is not installed");
    }
    memset(server, 0, sizeof *server);
    test_dir_make(server->folder);
    server->port = free_port();
    test_redis_restart(server, arguments);
}

void test_redis_stop(test_redis *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}
