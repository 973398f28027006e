/* http/host.c - by which names a service is asked, and which pages may post.
 *
 * Any page may let its own name lead to our address once it is loaded (DNS rebinding). For a browser the page and we are one origin then: it may read
 * and write, and no rule about origins is broken. What gives it away is the name, which stands in Host. So a server that listens on a loopback
 * address, which nobody reaches by a name of the network, answers to localhost, to addresses (they are not looked up), to names without a dot and to
 * what the setting lists. Names without a dot are in no registry: this machine or its network gives them, as a proxy does to its backends (nginx puts
 * that of an upstream into Host) and a container's resolver to its neighbours. Elsewhere names are given by networks, clusters and proxies: there
 * they are checked once the setting lists some.
 *
 * Routes with HTTP_ROUTE_OWN_PAGES are for our own pages and for programs. Browsers send Origin with every POST, whatever the page; programs do not.
 * Behind a proxy that puts a Host of its own into requests, Origin is the only one of the two that has the name people use. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

#define DIGITS "0123456789"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_."

/* host or host:port or [address]:port without the port, and without the dot that a name may end with; absent: it is none of these, to the last
 * letter. A host may be empty, as HTTP has it. */
static reco_str name_of(const char *host) {
    bool six = host[0] == '[';
    size_t size = six ? 1 + strspn(host + 1, DIGITS "abcdefABCDEF:.") : strspn(host, NAME_LETTERS);
    if (six && host[size++] != ']')
        return (reco_str){NULL, 0};
    const char *rest = host + size;
    if (*rest == ':')
        rest += 1 + strspn(rest + 1, DIGITS);
    if (*rest)
        return (reco_str){NULL, 0};
    return (reco_str){host, size > 1 && host[size - 1] == '.' ? size - 1 : size};
}

static bool is_address(reco_str name) {
    char text[64];
    struct in6_addr parsed;
    bool six = name.size > 2 && name.data[0] == '[' && name.data[name.size - 1] == ']';
    snprintf(text, sizeof text, "%.*s", (int)(name.size < sizeof text ? name.size : sizeof text) - 2 * six, name.data + six);
    return inet_pton(six ? AF_INET6 : AF_INET, text, &parsed) == 1;
}

/* A name that browsers and resolvers take for this machine without asking anybody. */
static bool is_localhost(reco_str name) {
    static const char local[] = "localhost";
    size_t size = sizeof local - 1;
    return name.size >= size && strncasecmp(name.data + name.size - size, local, size) == 0 &&
           (name.size == size || name.data[name.size - size - 1] == '.');
}

static bool is_plain(reco_str name) { return !memchr(name.data, '.', name.size) && !memchr(name.data, '[', name.size); }

static bool is_listed(const http_server *server, reco_str name) { return http_list_has(server->hosts, name.data, name.size); }

static bool is_ours(const http_server *server, reco_str name) {
    return http_list_has(server->hosts, "*", 1) ||
           (name.data && (is_address(name) || is_localhost(name) || is_plain(name) || is_listed(server, name)));
}

static bool refuse_host(http_request *request, const char *host) {
    http_send_problem(request, 403, "Host",
                      "this service is not known as \"%.100s\": localhost, IP addresses, names without a dot and those in services.hosts are its own",
                      host);
    return false;
}

bool http_host_accept(http_request *request) {
    const http_server *server = request->server;
    const char *host = http_header(request, "Host"); /* NULL: HTTP/1.0, which no browser speaks */
    if (!host || !(server->loopback || *server->hosts) || is_ours(server, name_of(host)))
        return true;
    return refuse_host(request, host);
}

/* The host:port of a page that a browser got by HTTP; "": it is of another kind. */
static const char *page_of(const char *origin) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(origin, schemes[i], strlen(schemes[i])) == 0)
            return origin + strlen(schemes[i]);
    return "";
}

bool http_origin_accept(http_request *request) {
    const http_server *server = request->server;
    const char *origin = http_header(request, "Origin"), *host = http_header(request, "Host");
    if (!origin || http_cors_origin(request))
        return true;
    const char *page = page_of(origin);
    reco_str name = name_of(page);
    if (*page && name.data && is_listed(server, name))
        return true;
    if (!*page || !host || strcasecmp(page, host) != 0) {
        http_send_problem(request, 403, "Origin",
                          "pages of \"%.100s\" may not post here: this service is \"%.100s\"; services.hosts lists the names of a proxy before it, "
                          "services.cors_origins other origins",
                          origin, host ? host : "");
        return false;
    }
    return is_ours(server, name_of(host)) || refuse_host(request, host);
}

/* Letters of names and numbers, without a port. */
static bool is_name(const char *text, size_t size) {
    if (size == 1 && *text == '*')
        return true;
    for (size_t i = 0; i < size; i++)
        if (!strchr(NAME_LETTERS, text[i]))
            return false;
    return text[size - 1] != '.';
}

reco_status http_hosts_check(const char *list, reco_error *err) {
    return http_list_check("services.hosts", list, HTTP_HOSTS_MAX, is_name, "a name is that of a host, without a scheme and a port", err);
}
