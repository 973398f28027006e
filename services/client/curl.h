/* client/curl.h - libcurl, loaded when a command asks for it.
 *
 * libcurl stands on thirty other libraries. Linked, they would be loaded by every `reco`, which takes four times as long to start then; two commands
 * of thirty are clients. So it is opened by name, and its functions are called by way of a table. */
#ifndef CLIENT_CURL_H
#define CLIENT_CURL_H

#define CURL_DISABLE_TYPECHECK /* it makes macros of the functions */
#include <curl/curl.h>

#include <stdbool.h>

#include <reco/status.h>

#define CLIENT_CURL_FUNCTIONS(X)                                                                                                                     \
    X(global_init)                                                                                                                                   \
    X(easy_init)                                                                                                                                     \
    X(easy_cleanup)                                                                                                                                  \
    X(easy_setopt)                                                                                                                                   \
    X(easy_getinfo)                                                                                                                                  \
    X(easy_perform)                                                                                                                                  \
    X(easy_strerror)                                                                                                                                 \
    X(multi_init)                                                                                                                                    \
    X(multi_cleanup)                                                                                                                                 \
    X(multi_setopt)                                                                                                                                  \
    X(multi_add_handle)                                                                                                                              \
    X(multi_remove_handle)                                                                                                                           \
    X(multi_socket_action)                                                                                                                           \
    X(multi_perform)                                                                                                                                 \
    X(multi_poll)                                                                                                                                    \
    X(multi_info_read)                                                                                                                               \
    X(slist_append)                                                                                                                                  \
    X(slist_free_all)                                                                                                                                \
    X(url)                                                                                                                                           \
    X(url_set)                                                                                                                                       \
    X(url_get)                                                                                                                                       \
    X(url_cleanup)                                                                                                                                   \
    X(free)

/* FROZEN. client->easy_init is curl_easy_init, and so on. */
typedef struct client_curl {
#define CLIENT_MEMBER(name) __typeof__(curl_##name) *name;
    CLIENT_CURL_FUNCTIONS(CLIENT_MEMBER)
#undef CLIENT_MEMBER
} client_curl;

/* Loads it, for good. To be called before threads are started. NOT_FOUND when it is not installed. */
reco_status client_curl_load(client_curl *out, reco_error *err);

/* What all our requests have in common: HTTP/1.1 on plain or TLS connections that are kept, straight to the server whatever the environment says of
 * proxies, no redirects, `timeout_ms` for all of a request. NULL when memory ran out. */
CURL *client_handle(const client_curl *curl, long timeout_ms);

#define CLIENT_URL_MAX 512u
/* A base URL, "http://127.0.0.1:8081" or "127.0.0.1:8081", checked and put in order: without a slash at its end. INVALID naming `field`. */
reco_status client_url(char out[CLIENT_URL_MAX], const client_curl *curl, const char *text, const char *field, reco_error *err);

#endif
