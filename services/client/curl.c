#include "client/curl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "http/options.h"

static void *open_library(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

reco_status client_curl_load(client_curl *out, reco_error *err) {
    void *library = open_library();
    if (!library)
        return options_fail(err, RECO_NOT_FOUND, "libcurl", "it cannot be loaded: install the Debian package libcurl4");
#define CLIENT_LOAD(name)                                                                                                                            \
    {                                                                                                                                                \
        void *found = dlsym(library, "curl_" #name);                                                                                                 \
        memcpy(&out->name, &found, sizeof found);                                                                                                    \
        if (!found)                                                                                                                                  \
            return options_fail(err, RECO_NOT_FOUND, "libcurl", "curl_%s is not in it: version 7.85 is needed at least", #name);                     \
    }
    CLIENT_CURL_FUNCTIONS(CLIENT_LOAD)
#undef CLIENT_LOAD
    return out->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? RECO_OK : options_fail(err, RECO_INTERNAL, "libcurl", "it does not start");
}

CURL *client_handle(const client_curl *curl, long timeout_ms) {
    CURL *easy = curl->easy_init();
    if (!easy)
        return NULL;
    bool fine = curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    fine = curl->easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK && fine;
    fine = curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK && fine;
    fine = curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK && fine;
    fine = curl->easy_setopt(easy, CURLOPT_USERAGENT, "reco") == CURLE_OK && fine;
    fine = curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK && fine;
    if (fine)
        return easy;
    curl->easy_cleanup(easy);
    return NULL;
}

/* A part of a URL, "" when it has none. */
static bool has_part(const client_curl *curl, CURLU *url, CURLUPart part) {
    char *text = NULL;
    bool has = curl->url_get(url, part, &text, 0) == CURLUE_OK && text && *text;
    curl->free(text);
    return has;
}

static bool is_http(const client_curl *curl, CURLU *url) {
    char *scheme = NULL;
    bool is = curl->url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl->free(scheme);
    return is;
}

static reco_status take_url(char out[CLIENT_URL_MAX], const client_curl *curl, CURLU *url, const char *field, reco_error *err) {
    char *whole = NULL;
    reco_status status = RECO_OK;
    if (!is_http(curl, url))
        return options_fail(err, RECO_INVALID, field, "only http and https are spoken");
    if (has_part(curl, url, CURLUPART_QUERY) || has_part(curl, url, CURLUPART_FRAGMENT))
        return options_fail(err, RECO_INVALID, field, "a base URL has no query and no fragment");
    if (curl->url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        return options_no_memory(err);
    if (snprintf(out, CLIENT_URL_MAX, "%s", whole) >= (int)CLIENT_URL_MAX)
        status = options_fail(err, RECO_TOO_LARGE, field, "a URL has at most %u bytes", CLIENT_URL_MAX - 1);
    curl->free(whole);
    for (size_t size = strlen(out); size > 0 && out[size - 1] == '/'; size--)
        out[size - 1] = 0;
    return status;
}

reco_status client_url(char out[CLIENT_URL_MAX], const client_curl *curl, const char *text, const char *field, reco_error *err) {
    CURLU *url = curl->url();
    if (!url)
        return options_no_memory(err);
    bool scheme = strstr(text, "://") != NULL;
    char with[CLIENT_URL_MAX + 8];
    reco_status status = RECO_OK;
    for (const char *at = text; *at && status == RECO_OK; at++)
        if (*at <= ' ' || *at >= 0x7f)
            status = options_fail(err, RECO_INVALID, field, "a URL is ASCII without spaces");
    const char *host = scheme ? strstr(text, "://") + 3 : text;
    if (status == RECO_OK && (!*host || *host == '/')) /* libcurl passes over a slash too many */
        status = options_fail(err, RECO_INVALID, field, "\"%.100s\" has no host", text);
    if (strlen(text) >= CLIENT_URL_MAX)
        status = options_fail(err, RECO_TOO_LARGE, field, "a URL has at most %u bytes", CLIENT_URL_MAX - 1);
    snprintf(with, sizeof with, "%s%.*s", scheme ? "" : "http://", (int)CLIENT_URL_MAX, text);
    if (status == RECO_OK && curl->url_set(url, CURLUPART_URL, with, 0) != CURLUE_OK)
        status = options_fail(err, RECO_INVALID, field, "\"%.100s\" is no URL such as http://127.0.0.1:8081", text);
    if (status == RECO_OK)
        status = take_url(out, curl, url, field, err);
    curl->url_cleanup(url);
    return status;
}
