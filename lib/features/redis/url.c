/* url.c - redis://[user[:password]@]host[:port][,host[:port]...][/db][?options] and redis:///path/of/a/socket[?options].
 *
 * Options: prefix (of all keys, default "reco:"), db, timeout_ms (5000: how long the server may say nothing), stale_ms (1000: how old a head may be
 * that is answered from memory, by stores with background threads; 0: none is), cache_mb (64: memory for those heads), sentinel (the name of the
 * primary: the hosts are sentinels that know where it is, port 26379 unless said), sentinel_password (login and db are those of the primary).
 *
 * User, password, path and values are percent-decoded. Errors name the part that is wrong and never show what it was: the password is in there. */
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
    if (name == 8 && memcmp(text, "sentinel", 8) == 0) {
        return value_size && decode(out->sentinel, sizeof out->sentinel, value, value_size) ? RECO_OK : bad("sentinel", err);
    }
    if (name == 17 && memcmp(text, "sentinel_password", 17) == 0) {
        return decode(out->sentinel_password, sizeof out->sentinel_password, value, value_size) ? RECO_OK : bad("sentinel_password", err);
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
    return bad("an option (prefix, db, timeout_ms, stale_ms, cache_mb, sentinel and sentinel_password are known)", err);
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

/* name[:port], or [address][:port]. */
static reco_status host(reco__redis_host *out, const char *text, size_t size, reco_error *err) {
    const char *end = size && text[0] == '[' ? memchr(text, ']', size) : NULL;
    const char *colon = end ? (end + 1 < text + size ? end + 1 : NULL) : memchr(text, ':', size);
    long n = 0;
    if ((size && text[0] == '[' && !end) || (end && colon && *colon != ':')) {
        return bad("the host", err);
    }
    if (colon && (!number(&n, colon + 1, (size_t)(text + size - colon) - 1, 65535) || n == 0)) {
        return bad("the port", err);
    }
    out->port = (int)n;
    const char *name = end ? text + 1 : text, *name_end = end ? end : colon ? colon : text + size;
    return decode(out->name, sizeof out->name, name, (size_t)(name_end - name)) ? RECO_OK : bad("the host", err);
}

static reco_status login(reco__redis_url *out, const char *text, size_t size, reco_error *err) {
    const char *colon = memchr(text, ':', size);
    if (!colon) {
        return bad("the login (it has no password)", err);
    }
    size_t user = (size_t)(colon - text);
    return decode(out->user, sizeof out->user, text, user) && decode(out->password, sizeof out->password, colon + 1, size - user - 1)
               ? RECO_OK
               : bad("the login", err);
}

static reco_status authority(reco__redis_url *out, const char *text, size_t size, reco_error *err) {
    const char *at = NULL, *end = text + size;
    reco_status status = RECO_OK;
    for (size_t i = 0; i < size; i++) {
        at = text[i] == '@' ? text + i : at;
    }
    if (at) {
        status = login(out, text, (size_t)(at - text), err);
        text = at + 1;
    }
    while (status == RECO_OK && text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text)), *stop = comma ? comma : end;
        if (out->host_count == RECO__REDIS_HOSTS) {
            return bad("the list of hosts (it is too long)", err);
        }
        status = host(&out->hosts[out->host_count], text, (size_t)(stop - text), err);
        if (status == RECO_OK && !out->hosts[out->host_count].name[0]) {
            status = bad("the host (it is missing)", err);
        }
        out->host_count++;
        text = comma ? comma + 1 : end;
    }
    return status;
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
        if (out->host_count == 0) {
            status = size > 1 && decode(out->path, sizeof out->path, slash, size) ? RECO_OK : bad("the path of the socket", err);
        } else if (size > 1 && !number(&db, slash + 1, size - 1, 1 << 20)) {
            status = bad("the number of the database", err);
        }
        out->db = (int)db;
    }
    if (status == RECO_OK && out->host_count == 0 && !out->path[0]) {
        status = bad("the host (it is missing)", err);
    }
    if (status == RECO_OK && question) {
        status = options(out, question + 1, err);
    }
    if (status == RECO_OK && out->sentinel[0] && out->path[0]) {
        status = bad("the host (sentinels are not asked by a socket)", err);
    }
    if (status == RECO_OK && out->host_count > 1 && !out->sentinel[0]) {
        status = reco__fail(err, RECO_UNSUPPORTED, "features", "several hosts, and no sentinel= that says which primary they watch");
    }
    return status;
}
