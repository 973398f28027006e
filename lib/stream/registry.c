/* stream/registry.c - backends by the scheme of their URLs: two are built in, others are registered. */
#include "stream/registry.h"

#include <pthread.h>

#include "base/module.h"

#define BACKENDS_MAX 16u
#define SCHEME_MAX 32u

static struct {
    pthread_mutex_t mutex;
    const reco_stream_backend *backends[BACKENDS_MAX];
    uint32_t count;
} registry = {PTHREAD_MUTEX_INITIALIZER, {&reco__stream_lmdb, &reco__stream_memory}, 2};

/* Name of the first required function that is missing, or NULL. */
static const char *missing_function(const reco_stream_backend *backend) {
#define REQUIRED(name)                                                                                                                               \
    if (!backend->name) {                                                                                                                            \
        return #name;                                                                                                                                \
    }
    REQUIRED(open)
    REQUIRED(close)
    REQUIRED(info)
    REQUIRED(append)
    REQUIRED(wait)
    REQUIRED(read)
    REQUIRED(spans)
    REQUIRED(wait_for)
    REQUIRED(trim)
    REQUIRED(member_open)
    REQUIRED(member_close)
    REQUIRED(member_assign)
    REQUIRED(member_owned)
    REQUIRED(stats)
    REQUIRED(note_get)
    REQUIRED(append_with_note)
#undef REQUIRED
    return NULL;
}

static bool scheme_valid(const char *scheme) {
    size_t size = scheme ? strlen(scheme) : 0;
    if (size == 0 || size > SCHEME_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = scheme[i];
        bool letter = c >= 'a' && c <= 'z', other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !other)) {
            return false;
        }
    }
    return true;
}

static const reco_stream_backend *find(const char *scheme, size_t size) {
    for (uint32_t i = 0; i < registry.count; i++) {
        const char *known = registry.backends[i]->scheme;
        if (strlen(known) == size && memcmp(known, scheme, size) == 0) {
            return registry.backends[i];
        }
    }
    return NULL;
}

static reco_status add(const reco_stream_backend *backend, reco_error *err) {
    if (find(backend->scheme, strlen(backend->scheme))) {
        return reco__fail(err, RECO_CONFLICT, "scheme", "a stream backend '%s' is registered", backend->scheme);
    }
    if (registry.count == BACKENDS_MAX) {
        return reco__fail(err, RECO_FULL, NULL, "%u stream backends are registered, there is no room for more", BACKENDS_MAX);
    }
    registry.backends[registry.count++] = backend;
    return RECO_OK;
}

reco_status reco_register_stream(const reco_stream_backend *backend, reco_error *err) {
    const size_t least = offsetof(reco_stream_backend, dead_letters); /* what came later is not required */
    if (!backend || backend->struct_size < least) {
        return reco__fail(err, RECO_INVALID, "struct_size", "the table of a stream backend has at least %zu bytes", least);
    }
    if (backend->contract != RECO_STREAM_CONTRACT) {
        return reco__fail(err, RECO_INVALID, "contract", "stream contract %u is wanted, the backend has %u", RECO_STREAM_CONTRACT, backend->contract);
    }
    if (!scheme_valid(backend->scheme)) {
        return reco__fail(err, RECO_INVALID, "scheme", "a scheme is 1 to %u of a-z 0-9 + - . and begins with a letter", SCHEME_MAX);
    }
    const char *missing = missing_function(backend);
    if (missing) {
        return reco__fail(err, RECO_INVALID, missing, "stream backend '%s' lacks the function '%s'", backend->scheme, missing);
    }
    pthread_mutex_lock(&registry.mutex);
    reco_status status = add(backend, err);
    pthread_mutex_unlock(&registry.mutex);
    return status;
}

static const reco_stream_backend *known(const char *scheme, size_t size) {
    pthread_mutex_lock(&registry.mutex);
    const reco_stream_backend *backend = find(scheme, size);
    pthread_mutex_unlock(&registry.mutex);
    return backend;
}

reco_status reco__stream_find_backend(const reco_stream_backend **out, const char *url, reco_error *err) {
    const char *colon = strchr(url, ':');
    if (!colon || colon == url) {
        return reco__fail(err, RECO_INVALID, "url", "a stream is named by a URL such as lmdb:DIR or memory:");
    }
    if (!(*out = known(url, (size_t)(colon - url)))) {
        const reco_module *module;
        reco_status status = reco__module_find(&module, url, (size_t)(colon - url), err);
        if (status == RECO_OK && module->stream) {
            status = reco_register_stream(module->stream, err);
        }
        *out = status == RECO_OK || status == RECO_CONFLICT ? known(url, (size_t)(colon - url)) : NULL; /* CONFLICT: another thread was faster */
        if (!*out && (status == RECO_OK || status == RECO_NOT_FOUND)) {
            return reco__fail(err, RECO_NOT_FOUND, "url",
                              "there is no stream backend '%.*s', and no module with one beside libreco or where modules says",
                              (int)(colon - url > 40 ? 40 : colon - url), url);
        }
        return *out ? RECO_OK : status;
    }
    return RECO_OK;
}
