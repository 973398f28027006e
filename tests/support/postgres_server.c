#include "support/postgres_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "support/support.h"

enum { START_MS = 60000, ATTEMPTS = 10, PATH_MAX_SIZE = 600 };

/* --- programs ----------------------------------------------------------------------------------------------------------------------------- */

static bool holds_postgres(const char *folder, size_t size) {
    char path[PATH_MAX_SIZE];
    snprintf(path, sizeof path, "%.*s/postgres", (int)size, folder);
    if (access(path, X_OK) != 0)
        return false;
    snprintf(path, sizeof path, "%.*s/initdb", (int)size, folder);
    return access(path, X_OK) == 0;
}

bool postgres_server_find(char programs[256]) {
    const char *places[] = {getenv("RECO_POSTGRES_BIN"), "/usr/lib/postgresql/17/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/15/bin",
                            getenv("PATH")};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (const char *at = places[i]; at && *at; at += strcspn(at, ":"), at += *at == ':') {
            size_t size = strcspn(at, ":");
            if (size > 0 && size < 256 && holds_postgres(at, size)) {
                snprintf(programs, 256, "%.*s", (int)size, at);
                return true;
            }
        }
    return false;
}

/* PostgreSQL refuses to run as root. */
static const struct passwd *other_user(void) { return geteuid() == 0 ? getpwnam("postgres") : NULL; }

static void become(const struct passwd *user) {
    if (user && (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
}

/* In the child: with the output in `log`, ended by the kernel together with its parent (after the change of user, which would forget that). */
static void run_program(const postgres_server *server, const char *program, char *const arguments[], pid_t parent) {
    char path[PATH_MAX_SIZE];
    snprintf(path, sizeof path, "%s/log", server->folder);
    become(other_user());
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600), nothing = open("/dev/null", O_RDONLY);
    if (log < 0 || nothing < 0 || chdir(server->folder) != 0)
        _exit(126);
    dup2(nothing, 0);
    dup2(log, 1);
    dup2(log, 2);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent)
        _exit(126);
    snprintf(path, sizeof path, "%s/%s", server->programs, program);
    execv(path, arguments);
    _exit(127);
}

static pid_t start_program(const postgres_server *server, const char *program, char *const arguments[]) {
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        setpgid(0, 0);
        run_program(server, program, arguments, parent);
    }
    return child;
}

static void show_log(const postgres_server *server) {
    char path[PATH_MAX_SIZE], line[500];
    snprintf(path, sizeof path, "%s/log", server->folder);
    FILE *log = fopen(path, "r");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stderr);
    if (log)
        fclose(log);
}

/* --- making and starting ------------------------------------------------------------------------------------------------------------------ */

static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int port = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static bool make_cluster(const postgres_server *server) {
    char data[PATH_MAX_SIZE];
    snprintf(data, sizeof data, "%s/data", server->folder);
    char *const arguments[] = {(char[]){"initdb"},
                               (char[]){"-D"},
                               data,
                               (char[]){"-A"},
                               (char[]){"trust"},
                               (char[]){"-U"},
                               (char[]){"reco"},
                               (char[]){"-E"},
                               (char[]){"UTF8"},
                               (char[]){"--locale=C.UTF-8"},
                               (char[]){"--no-sync"},
                               NULL};
    int result = 0;
    pid_t child = start_program(server, "initdb", arguments);
    return child > 0 && waitpid(child, &result, 0) == child && result == 0;
}

bool postgres_server_make(postgres_server *server) {
    memset(server, 0, sizeof *server);
    if (!postgres_server_find(server->programs))
        return false;
    const struct passwd *user = other_user();
    test_dir_make(server->folder);
    if (user && (chmod(server->folder, 0755) != 0 || chown(server->folder, user->pw_uid, user->pw_gid) != 0))
        return false;
    if (!make_cluster(server)) {
        show_log(server);
        return false;
    }
    for (int attempt = 0; attempt < 5; attempt++) { /* another process may take the port first */
        server->port = free_port();
        if (server->port > 0 && postgres_server_start(server))
            return true;
    }
    show_log(server);
    return false;
}

static bool is_decided(void *context) {
    postgres_server *server = context;
    char url[300];
    if (waitpid(server->process, NULL, WNOHANG) == server->process) {
        server->process = 0;
        return true;
    }
    snprintf(url, sizeof url, "postgresql://reco@127.0.0.1:%d/postgres?connect_timeout=5", server->port);
    return PQping(url) == PQPING_OK;
}

bool postgres_server_start(postgres_server *server) {
    char data[PATH_MAX_SIZE], port[16], socket_folder[PATH_MAX_SIZE];
    snprintf(data, sizeof data, "%s/data", server->folder);
    snprintf(port, sizeof port, "%d", server->port);
    snprintf(socket_folder, sizeof socket_folder, "unix_socket_directories=%s", server->folder);
    char *const arguments[] = {(char[]){"postgres"},
                               (char[]){"-D"},
                               data,
                               (char[]){"-p"},
                               port,
                               (char[]){"-c"},
                               (char[]){"listen_addresses=127.0.0.1"},
                               (char[]){"-c"},
                               socket_folder,
                               (char[]){"-c"},
                               (char[]){"fsync=off"},
                               (char[]){"-c"},
                               (char[]){"full_page_writes=off"},
                               (char[]){"-c"},
                               (char[]){"shared_buffers=64MB"},
                               (char[]){"-c"},
                               (char[]){"log_min_messages=fatal"},
                               NULL};
    /* One that was killed leaves children that are ending, and refuses to start while they have its memory. */
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        server->process = start_program(server, "postgres", arguments);
        if (server->process < 0)
            server->process = 0;
        if (server->process <= 0 || !test_wait(is_decided, server, START_MS))
            return false;
        if (server->process > 0)
            return true;
        nanosleep(&(struct timespec){0, 300000000}, NULL);
    }
    return false;
}

void postgres_server_stop(postgres_server *server) {
    if (server->process <= 0)
        return;
    kill(server->process, SIGQUIT); /* it takes its children with it */
    while (waitpid(server->process, NULL, 0) < 0 && errno == EINTR)
        continue;
    server->process = 0;
}

/* Children are sessions of their own: they are found by their parent. */
static int signal_children(pid_t parent, int signal_number) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = '\0';
    int result = 0;
    for (char *at = text, *end; (end = at, strtol(at, &end, 10)) > 0 && end != at; at = end)
        if (kill((pid_t)strtol(at, NULL, 10), signal_number) != 0 && errno != ESRCH)
            result = -1;
    return result;
}

int postgres_server_signal(const postgres_server *server, int signal_number) {
    if (kill(server->process, signal_number) != 0)
        return -1;
    return signal_children(server->process, signal_number);
}

void postgres_server_kill(postgres_server *server) {
    if (server->process <= 0)
        return;
    kill(server->process, SIGSTOP); /* it would start children anew */
    signal_children(server->process, SIGKILL);
    kill(server->process, SIGKILL);
    while (waitpid(server->process, NULL, 0) < 0 && errno == EINTR)
        continue;
    server->process = 0;
}

void postgres_server_remove(postgres_server *server) {
    postgres_server_stop(server);
    if (server->folder[0])
        test_dir_remove(server->folder);
}

bool postgres_server_database(postgres_server *server, const char *name, char url[300]) {
    char text[300];
    snprintf(text, sizeof text, "postgresql://reco@127.0.0.1:%d/postgres", server->port);
    PGconn *link = PQconnectdb(text);
    snprintf(text, sizeof text, "CREATE DATABASE %s", name);
    PGresult *result = PQexec(link, text);
    bool made = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!made)
        fprintf(stderr, "%s: %s\n", text, PQerrorMessage(link));
    PQclear(result);
    PQfinish(link);
    snprintf(url, 300, "postgresql://reco@127.0.0.1:%d/%s", server->port, name);
    return made;
}
