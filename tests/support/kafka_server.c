/* tests/support/kafka_server.c - see kafka_server.h. */
#include "support/kafka_server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/support.h"

enum { PORTS = 3 };

/* Ports that are free now, asked for at once so that they differ. */
static bool free_ports(uint16_t ports[PORTS]) {
    int sockets[PORTS];
    bool ok = true;
    for (int i = 0; i < PORTS; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof address;
        struct sockaddr *any = (void *)&address;
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        ok = ok && sockets[i] >= 0 && bind(sockets[i], any, size) == 0 && getsockname(sockets[i], any, &size) == 0;
        ports[i] = ntohs(address.sin_port);
    }
    for (int i = 0; i < PORTS; i++) {
        if (sockets[i] >= 0) {
            close(sockets[i]);
        }
    }
    return ok;
}

static pid_t run_script(const kafka_server *server, bool jars_only) {
    char script[1024], port[16], control[16], guarded[16];
    const char *source = getenv("RECO_SOURCE_DIR");
    snprintf(script, sizeof script, "%s/infra/scripts/up-kafka.sh", source ? source : ".");
    snprintf(port, sizeof port, "%u", server->port);
    snprintf(control, sizeof control, "%u", server->control);
    snprintf(guarded, sizeof guarded, "%u", server->guarded);
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        setenv("RECO_KAFKA_CONTROL_PORT", control, 1);
        if (jars_only && !freopen("/dev/null", "w", stdout)) {
            _exit(1);
        }
        setenv("RECO_KAFKA_SASL_PORT", guarded, 1);
        if (jars_only) {
            execl("/bin/bash", "bash", script, "--jars", (char *)NULL);
        } else if (server->login) {
            execl("/bin/bash", "bash", script, "--sasl", server->login, server->dir, port, "256m", (char *)NULL);
        } else {
            execl("/bin/bash", "bash", script, "--jit", server->lasting ? "full" : "fast", server->dir, port, "256m", (char *)NULL);
        }
        _exit(127);
    }
    return pid;
}

static bool log_has(const kafka_server *server, const char *text) {
    char path[300], line[2000];
    bool found = false;
    snprintf(path, sizeof path, "%s/broker.log", server->dir);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        found = strstr(line, text) != NULL;
    }
    if (file) {
        fclose(file);
    }
    return found;
}

static bool serves(const kafka_server *server) {
    struct timespec pause = {0, 100000000};
    for (int i = 0; i < 1200; i++) {
        int status;
        if (log_has(server, "Kafka Server started")) {
            return true;
        }
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static const char *start(kafka_server *out) {
    int status;
    if (system("command -v java >/dev/null 2>&1") != 0) {
        return "java is missing (Debian package default-jdk-headless)";
    }
    pid_t pid = run_script(out, true);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        return "the jars of Kafka are not in the cache and cannot be fetched";
    }
    test_dir_make(out->dir);
    for (int attempt = 0; attempt < 3; attempt++) { /* a port may be taken in between */
        uint16_t ports[PORTS];
        if (!free_ports(ports)) {
            break;
        }
        out->port = ports[0];
        out->control = ports[1];
        out->guarded = ports[2];
        out->pid = run_script(out, false);
        if (out->pid > 0 && serves(out)) {
            return NULL;
        }
        test_dir_remove(out->dir);
        test_dir_make(out->dir);
    }
    test_dir_remove(out->dir);
    return "the Kafka broker does not start";
}

const char *kafka_server_start(kafka_server *out) { return kafka_server_start_guarded(out, NULL); }

const char *kafka_server_start_guarded(kafka_server *out, const char *login) {
    *out = (kafka_server){.login = login};
    return start(out);
}

const char *kafka_server_start_lasting(kafka_server *out) {
    *out = (kafka_server){.lasting = true};
    return start(out);
}

void kafka_server_stop(kafka_server *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGCONT);
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
        test_dir_remove(server->dir);
    }
}

void kafka_server_kill(kafka_server *server) {
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0); /* when it is a child of ours */
    while (kill(server->pid, 0) == 0 && getpgid(server->pid) > 0) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        char path[64], state = 'Z';
        snprintf(path, sizeof path, "/proc/%d/stat", (int)server->pid);
        FILE *file = fopen(path, "r");
        if (!file || fscanf(file, "%*d %*s %c", &state) != 1 || state == 'Z') { /* another process is to reap it */
            if (file) {
                fclose(file);
            }
            break;
        }
        fclose(file);
    }
}

bool kafka_server_again(kafka_server *server) {
    char path[300];
    snprintf(path, sizeof path, "%s/broker.log", server->dir);
    unlink(path);
    server->pid = run_script(server, false);
    return server->pid > 0 && serves(server);
}

void kafka_server_pause(const kafka_server *server, bool paused) { kill(server->pid, paused ? SIGSTOP : SIGCONT); }
