/* tests/support/redis_server.h - a Redis server of the test's own: on a free port of 127.0.0.1 and the
 * socket redis.sock in a folder that goes away, ended with the test. */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include <sys/types.h>

typedef struct test_redis {
    pid_t pid;
    int port;
    char folder[256];
} test_redis;

/* Starts one with further arguments (NULL-terminated, may be NULL) and waits until it answers. Skips the test when there is no redis-server. */
void test_redis_start(test_redis *server, const char *const *arguments);
/* Ends it; waits until it is gone. Called twice it does nothing more. */
void test_redis_stop(test_redis *server);
/* Starts it again on the same port, empty. */
void test_redis_restart(test_redis *server, const char *const *arguments);

/* A sentinel that watches `primary` by the name "reco" and is quick to act. Stopped like the others. */
void test_redis_watch(test_redis *sentinel, const test_redis *primary);
/* Sends one command, its words parted by blanks; the beginning of the reply, one read of it. */
void test_redis_say(char reply[512], const test_redis *server, const char *command);

#endif
