/* tests/support/kafka_server.h - a Kafka broker of the test's own, by infra/scripts/up-kafka.sh. It dies with the process that started it. */
#ifndef TEST_KAFKA_SERVER_H
#define TEST_KAFKA_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct kafka_server {
    char dir[256];
    uint16_t port, control, guarded;
    const char *login;
    bool lasting;
    pid_t pid;
} kafka_server;

/* NULL, or why there is none to be had here (to skip by). Waits until the broker serves. */
const char *kafka_server_start(kafka_server *out);
/* The same, with a listener (`guarded`) for those who say "user:password" by SASL/PLAIN. */
const char *kafka_server_start_guarded(kafka_server *out, const char *login);
/* The same, for measuring: a broker that compiles all it can, once it is warm. */
const char *kafka_server_start_lasting(kafka_server *out);
/* kill -9, and the same broker again: it dies with the process that calls this. */
void kafka_server_kill(kafka_server *server);
bool kafka_server_again(kafka_server *server);
void kafka_server_stop(kafka_server *server);
/* SIGSTOP and SIGCONT: brokers that do not answer. */
void kafka_server_pause(const kafka_server *server, bool paused);

#endif
