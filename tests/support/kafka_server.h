/* tests/support/kafka_server.h - a Kafka broker of the test's own, by infra/scripts/up-kafka.sh. It dies with the process that started it. */
#ifndef TEST_KAFKA_SERVER_H
#define TEST_KAFKA_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct kafka_server {
    char dir[256];
    uint16_t port, control;
    pid_t pid;
} kafka_server;

/* NULL, or why there is none to be had here (to skip by). Waits until the broker serves. */
const char *kafka_server_start(kafka_server *out);
void kafka_server_stop(kafka_server *server);
/* SIGSTOP and SIGCONT: brokers that do not answer. */
void kafka_server_pause(const kafka_server *server, bool paused);

#endif
