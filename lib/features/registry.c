/* registry.c - features backends by URL scheme. One of the library's few globals; entries are never removed. */
#include <pthread.h>

#include "features/registry.h"

enum { REGISTERED_MAX = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const reco_features_backend *registered[REGISTERED_MAX];
static size_t registered_count;

static const reco_features_backend *find(const char *scheme, size_t size) {
    const reco_features_backend *backend;
    for (size_t i = 0; (backend = reco__features_builtin(i)) != NULL; i++) {
        if (strlen(backend->scheme) == size && memcmp(backend->scheme, scheme, size) == 0) {
            return backend;
        }
    }
    for (size_t i = 0; i < registered_count; i++) {
        if (strlen(registered[i]->scheme) == size && memcmp(registered[i]->scheme, scheme, size) == 0) {
            return registered[i];
        }
    }
    return NULL;
}

const reco_features_backend *reco__features_registered(const char *scheme, size_t size) {
    pthread_mutex_lock(&lock);
    const reco_features_backend *backend = find(scheme, size);
    pthread_mutex_unlock(&lock);
    return backend;
}

static reco_status check(const reco_features_backend *backend, reco_error *err) {
    if (!backend) {
        return reco__fail(err, RECO_INVALID, "backend", "no table of functions is given");
    }
    if (backend->struct_size < offsetof(reco_features_backend, spread)) { /* what follows is optional */
        return reco__fail(err, RECO_INVALID, "struct_size", "a table of %u bytes; %zu are needed", backend->struct_size,
                          offsetof(reco_features_backend, spread));
    }
    if (backend->contract != RECO_FEATURES_CONTRACT) {
        return reco__fail(err, RECO_UNSUPPORTED, "contract", "contract %u; this library speaks %u", backend->contract, RECO_FEATURES_CONTRACT);
    }
    if (!backend->scheme || backend->scheme[0] == 0 || strlen(backend->scheme) > 32 || strchr(backend->scheme, ':')) {
        return reco__fail(err, RECO_INVALID, "scheme", "a scheme is 1 to 32 characters without a colon");
    }
    /* clang-format off */
#define FUNCTIONS(X) \
    X(open) X(close) X(info) X(intern) X(find_items) X(item_name) X(load) X(positions) X(apply) X(heads) X(row) X(generations) X(close_step) \
    X(settle) X(scan) X(restore) X(stats)
    /* clang-format on */
#define REQUIRE(name)                                                                                                                                \
    if (!backend->name) {                                                                                                                            \
        return reco__fail(err, RECO_INVALID, #name, "features backend %s lacks the function %s", backend->scheme, #name);                            \
    }
    FUNCTIONS(REQUIRE)
#undef REQUIRE
#undef FUNCTIONS
    return RECO_OK;
}

reco_status reco_register_features(const reco_features_backend *backend, reco_error *err) {
    reco_status status = check(backend, err);
    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&lock);
    bool taken = find(backend->scheme, strlen(backend->scheme)) != NULL, full = registered_count == REGISTERED_MAX;
    if (!taken && !full) {
        registered[registered_count++] = backend;
    }
    pthread_mutex_unlock(&lock);
    if (taken) {
        return reco__fail(err, RECO_CONFLICT, "scheme", "the scheme %s is taken", backend->scheme);
    }
    return full ? reco__fail(err, RECO_FULL, "backend", "%d features backends are registered already", REGISTERED_MAX) : RECO_OK;
}
