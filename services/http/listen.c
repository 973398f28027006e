/* http/listen.c - the address a server listens on, and what is wrong with it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/internal.h"

reco_status http_fail(reco_error *err, reco_status status, const char *field, const char *text) {
    if (err) {
        memset(err, 0, sizeof *err);
        err->status = status;
        err->index = -1;
        snprintf(err->field, sizeof err->field, "%s", field);
        snprintf(err->text, sizeof err->text, "%s", text);
    }
    return status;
}

reco_status http_listen_parse(const char *listen, char address[64], unsigned *port, reco_error *err) {
    const char *colon = strrchr(listen, ':');
    struct in_addr parsed;
    char *end = NULL;
    if (!colon || colon == listen || (size_t)(colon - listen) >= 64)
        return http_fail(err, RECO_INVALID, "listen", "must be ADDRESS:PORT, such as 127.0.0.1:8080");
    snprintf(address, 64, "%.*s", (int)(colon - listen), listen);
    if (strcmp(address, "localhost") == 0)
        snprintf(address, 64, "127.0.0.1");
    if (inet_pton(AF_INET, address, &parsed) != 1)
        return http_fail(err, RECO_INVALID, "listen", "the address must be an IPv4 address");
    unsigned long value = strtoul(colon + 1, &end, 10);
    if (end != colon + 1 && (*end == 's' || *end == 'r') && end[1] == 0)
        return http_fail(err, RECO_INVALID, "listen", "TLS is not spoken here: listen without it and put a TLS proxy in front");
    if (end == colon + 1 || *end || value > 65535 || colon[1] < '0' || colon[1] > '9')
        return http_fail(err, RECO_INVALID, "listen", "the port must be a number from 0 (any free one) to 65535");
    *port = (unsigned)value;
    return RECO_OK;
}

bool http_listen_is_loopback(const char *address) {
    struct in_addr parsed;
    return inet_pton(AF_INET, address, &parsed) == 1 && ntohl(parsed.s_addr) >> 24 == 127;
}

/* Tries the address: civetweb only says that it did not start. */
reco_status http_listen_try(const char *address, unsigned port, reco_error *err) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, result = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[160];
    if (fd < 0)
        return http_fail(err, RECO_IO, "listen", strerror(errno));
    inet_pton(AF_INET, address, &name.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 1) != 0)
        result = errno;
    close(fd);
    if (result == 0)
        return RECO_OK;
    snprintf(text, sizeof text, "cannot listen on %s:%u: %s", address, port, strerror(result));
    return http_fail(err, result == EADDRINUSE ? RECO_BUSY : RECO_IO, "listen", text);
}
