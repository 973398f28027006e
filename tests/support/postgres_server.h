/* tests/support/postgres_server.h - a private PostgreSQL for a test: on a free port of 127.0.0.1, in a folder of its own, gone with the test. */
#ifndef TEST_POSTGRES_SERVER_H
#define TEST_POSTGRES_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/* CONFINED. */
typedef struct postgres_server {
    char folder[256], programs[256];
    int port;
    pid_t process; /* 0: not running */
} postgres_server;

/* The folder of PostgreSQL's programs ($RECO_POSTGRES_BIN, Debian's place, or in the PATH); false: there is none. */
bool postgres_server_find(char programs[256]);
/* Makes a database cluster with superuser "reco" and starts the server; false, said on stderr, when that fails. Run as root, the server runs as user
 * "postgres". The kernel ends it when the calling thread ends. */
bool postgres_server_make(postgres_server *server);
bool postgres_server_start(postgres_server *server);
/* Ends it at once, as a crash would. It can be started again. */
void postgres_server_stop(postgres_server *server);
/* Sends a signal to the server and all its children (SIGSTOP, SIGCONT); 0, or -1 with errno. */
int postgres_server_signal(const postgres_server *server, int signal_number);
/* kill -9 of the server and its children. It can be started again, and then recovers from its log. */
void postgres_server_kill(postgres_server *server);
/* Ends it and removes its folder. */
void postgres_server_remove(postgres_server *server);

/* Makes a fresh database and answers its address; false when that fails. */
bool postgres_server_database(postgres_server *server, const char *name, char url[300]);

#endif
