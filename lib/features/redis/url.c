/* url.c - redis://[user[:password]@]host[:port][/db][?options] and redis:///path/of/a/socket[?options].
 *
 * Options: prefix (of all keys, default "reco:"), db, timeout_ms (5000), stale_ms (1000: how old a head may be that is answered from memory, by
 * stores with background threads; 0: none is), cache_mb (64: memory for those heads).
 *
 * User, password, path and values are percent-decoded. Errors name the part that is
 * wrong and never show what it was: the password is in there. */
#include "features/redis/redis.h"

#include <stdlib.h>

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

static reco_status bad(const char *part, reco_error *err) {
    return reco__fail(err, RECO_INVALID, "features", "%s of the redis URL is not valid", part);
}

/* Percent-decodes; false when it does not fit or is not valid. */
static bool decode(char *out, size_t room, const char *in, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        int c = (unsigned char)in[i];
        if (c == '%') {
            int high = i + 2 < size ? hex(in[i + 1]) : -1;
            int low = i + 2 < size ? hex(in[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || at + 1 >= room) {
            return false;
        }
        out[at++] = (char)c;
    }
    out[at] = 0;
    return true;
}

static bool number(long *out, const char *text, size_t size, long most) {
    *out = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || *out > most) {
            return false;
        }
        *out = *out * 10 + (text[i] - '0');
    }
    return size > 0 && *out <= most;
}

static reco_status option(reco__redis_url *out, const char *text, size_t size, reco_error *err) {
    const char *equals = memchr(text, '=', size);
    if (!equals) {
        return bad("an option", err);
    }
    size_t name = (size_t)(equals - text), value_size = size - name - 1;
    const char *value = equals + 1;
    long n;
    if (name == 6 && memcmp(text, "prefix", 6) == 0) {
        return decode(out->prefix, sizeof out->prefix, value, value_size) ? RECO_OK : bad("prefix", err);
    }
    if (name == 2 && memcmp(text, "db", 2) == 0 && number(&n, value, value_size, 1 << 20)) {
        out->db = (int)n;
        return RECO_OK;
    }
    if (name == 10 && memcmp(text, "timeout_ms", 10) == 0 && number(&n, value, value_size, 3600000) && n > 0) {
        out->timeout_ms = (uint32_t)n;
        return RECO_OK;
    }
    if (name == 8 && memcmp(text, "stale_ms", 8) == 0 && number(&n, value, value_size, 3600000)) {
        out->stale_ms = (uint32_t)n;
        return RECO_OK;
    }
    if (name == 8 && memcmp(text, "cache_mb", 8) == 0 && number(&n, value, value_size, 1 << 20) && n > 0) {
        out->cache_mb = (uint32_t)n;
        return RECO_OK;
    }
    return bad("an option (prefix, db, timeout_ms, stale_ms and cache_mb are known)", err);
}

static reco_status options(reco__redis_url *out, const char *text, reco_error *err) {
    reco_status status = RECO_OK;
    while (*text && status == RECO_OK) {
        size_t size = strcspn(text, "&");
        status = option(out, text, size, err);
        text += size + (text[size] == '&');
    }
    return status;
}

static reco_status authority(reco__redis_url *out, const char *text, size_t size, reco_error *err) {
    const char *at = NULL;
    for (size_t i = 0; i < size; i++) {
        at = text[i] == '@' ? text + i : at;
    }
    if (at) {
        size_t login = (size_t)(at - text);
        const char *colon = memchr(text, ':', login);
        size_t user = colon ? (size_t)(colon - text) : login;
        if (!decode(out->user, sizeof out->user, text, user) ||
            (colon && !decode(out->password, sizeof out->password, colon + 1, login - user - 1))) {
            return bad("the login", err);
        }
        if (!colon) {
            return bad("the login (it has no password)", err);
        }
        size -= login + 1;
        text = at + 1;
    }
    if (memchr(text, ',', size)) {
        return reco__fail(err, RECO_UNSUPPORTED, "features", "several redis primaries are not supported yet: name one");
    }
    size_t host = size;
    const char *port = NULL;
    if (size && text[0] == '[') {
        const char *end = memchr(text, ']', size);
        if (!end || (end + 1 < text + size && end[1] != ':')) {
            return bad("the host", err);
        }
        port = end + 1 < text + size ? end + 2 : NULL;
        size_t whole = size;
        host = (size_t)(end - text) - 1;
        text++;
        size = whole - 1;
    } else {
        const char *colon = memchr(text, ':', size);
        host = colon ? (size_t)(colon - text) : size;
        port = colon ? colon + 1 : NULL;
    }
    long n = 6379;
    if (port && (!number(&n, port, (size_t)(text + size - port), 65535) || n == 0)) {
        return bad("the port", err);
    }
    out->port = (int)n;
    return decode(out->host, sizeof out->host, text, host) ? RECO_OK : bad("the host", err);
}

reco_status reco__redis_url_parse(reco__redis_url *out, const char *url, reco_error *err) {
    memset(out, 0, sizeof *out);
    memcpy(out->prefix, "reco:", 6);
    out->timeout_ms = 5000;
    out->stale_ms = 1000;
    out->cache_mb = 64;
    if (strncmp(url, "redis://", 8) != 0) {
        return bad("the beginning (redis://)", err);
    }
    url += 8;
    const char *question = strchr(url, '?'), *end = question ? question : url + strlen(url);
    const char *slash = memchr(url, '/', (size_t)(end - url));
    const char *host_end = slash ? slash : end;
    reco_status status = authority(out, url, (size_t)(host_end - url), err);
    if (status == RECO_OK && slash) {
        long db = 0;
        size_t size = (size_t)(end - slash);
        if (!out->host[0]) {
            status = size > 1 && decode(out->path, sizeof out->path, slash, size) ? RECO_OK : bad("the path of the socket", err);
        } else if (size > 1 && !number(&db, slash + 1, size - 1, 1 << 20)) {
            status = bad("the number of the database", err);
        }
        out->db = (int)db;
    }
    if (status == RECO_OK && !out->host[0] && !out->path[0]) {
        status = bad("the host (it is missing)", err);
    }
    return status == RECO_OK && question ? options(out, question + 1, err) : status;
}
