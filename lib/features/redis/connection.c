/* connection.c - connections to Redis: a pool, requests in one piece, replies in order.
 *
 * hiredis reads replies and keeps the socket; requests are put together here and sent with MSG_NOSIGNAL, so that a server that went away cannot end
 * the host by SIGPIPE. Everything is pipelined: commands are written, sent together, and their replies taken one by one. A link that still owes
 * replies when it is given back is closed. One that was silent makes all suspect that are idle: where a server is gone without a word each would be
 * silent in its turn. Waiting ends at the call's deadline, when it is cancelled, and when the server was silent for timeout_ms;
 * only the resolver of names keeps its own time. After a failure to connect nobody tries again until a pause is over, which doubles up to a second
 * and is not the same for everybody.
 *
 * The server says who it is: its run and the history of its data. When another one answers, what was read from the one before may be ahead of it, for
 * a replica that takes over has not seen everything: store->run is raised, connections of other runs are not used again, heads in memory are thrown
 * away and names are looked at again (items.c). */
#include "features/redis/redis.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SILENCE_NS INT64_C(500000000) /* waiting in vain for so long tells of the server, not of the deadline */

enum {
    PORT = 6379,
    IDLE_MAX = 32,
    PAUSE_MIN_MS = 10,
    PAUSE_MAX_MS = 1000,
    LOOK_MS = 100, /* how often a call is asked whether it was cancelled */
    QUEUED = 9,    /* bytes of "+QUEUED\r\n": an error says more */
    WANTED_MIN = 256,
    WANTED_MAX = 32768
};
#define READY_NS INT64_C(1000000000)
#define AHEAD_NS INT64_C(20000000)

reco_status reco__redis_room(reco__redis_array *array, size_t count, size_t size, reco_error *err) {
    if (array->room >= count) {
        return RECO_OK;
    }
    size_t room = array->room ? array->room : 64;
    while (room < count) {
        room *= 2;
    }
    void *data = reco__realloc_array(array->data, room, size);
    if (!data) {
        return reco__no_memory(err);
    }
    array->data = data;
    array->room = room;
    return RECO_OK;
}

reco_status reco__redis_strange(const char *what, reco_error *err) {
    return reco__fail(err, RECO_CORRUPT, "features", "redis: %s is not what it should be", what);
}

/* --- commands ------------------------------------------------------------------------------------------------------------------------- */

static void header(reco__buf *out, char kind, uint64_t number) {
    char text[24], *at = text + sizeof text;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    *--at = kind;
    reco__buf_add(out, at, (size_t)(text + sizeof text - at));
}

void reco__redis_bytes(reco__redis_link *link, const void *data, size_t size) {
    header(&link->out, '$', size);
    reco__buf_add(&link->out, data, size);
    reco__buf_add(&link->out, "\r\n", 2);
}

void reco__redis_text(reco__redis_link *link, const char *text) { reco__redis_bytes(link, text, strlen(text)); }

void reco__redis_number(reco__redis_link *link, int64_t number) {
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)number);
    reco__redis_bytes(link, text, (size_t)size);
}

void reco__redis_command(reco__redis_link *link, const char *name, size_t arguments) {
    header(&link->out, '*', arguments);
    reco__redis_text(link, name);
    link->pending++;
    link->watching = link->watching || strcmp(name, "WATCH") == 0;
}

/* --- sending and receiving ------------------------------------------------------------------------------------------------------------ */

static void drop_held(reco__redis_link *link) {
    if (link->held) {
        freeReplyObject(link->held);
        link->held = NULL;
    }
}

void reco__redis_hold(reco__redis_link *link) {
    drop_held(link);
    link->held = link->reply;
    link->held_at = 0;
    link->reply = NULL;
}

static void drop_reply(reco__redis_link *link) {
    if (link->reply) {
        freeReplyObject(link->reply);
        link->reply = NULL;
    }
}

static reco_status lost(reco__redis_link *link, reco_error *err) {
    bool late = errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT;
    const char *why = link->context && link->context->err == REDIS_ERR_EOF        ? "the server closed the connection"
                      : late                                                      ? "no answer in time"
                      : link->context && link->context->err == REDIS_ERR_PROTOCOL ? "an answer that makes no sense"
                                                                                  : strerror(errno);
    if (link->context) {
        redisFree(link->context);
        link->context = NULL;
    }
    return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: %s", why);
}

/* So many bytes will come at the least: nobody need be woken before, for each piece of a long request that the server has read. */
static void want(reco__redis_link *link, size_t bytes) {
    int least = bytes < WANTED_MAX ? (int)bytes : WANTED_MAX;
    link->patient = link->context && setsockopt(link->context->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0 && bytes > 1;
}

/* Waits until the socket is ready. */
static reco_status wait_for(reco__redis_link *link, short events, reco_error *err) {
    int64_t silent_ns = (int64_t)link->silent_ms * 1000000, began = reco__monotonic_ns();
    for (;;) {
        int64_t left = reco__call_left_ns(link->call), quiet = silent_ns - (reco__monotonic_ns() - began);
        left = left < quiet ? left : quiet;
        struct pollfd look = {link->context->fd, events, 0};
        int ready = poll(&look, 1, left > LOOK_MS * INT64_C(1000000) ? LOOK_MS : left > 0 ? (int)((left + 999999) / 1000000) : 0);
        if (ready > 0) {
            link->heard_ns = events == POLLIN ? reco__monotonic_ns() : link->heard_ns;
            return RECO_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return lost(link, err);
        }
        if (link->patient) { /* it comes slowly */
            want(link, 1);
        }
        reco_status status = reco__call_check(link->call, err);
        if (status != RECO_OK || quiet <= 0) {
            int64_t now = reco__monotonic_ns();
            if (now - began >= SILENCE_NS) {
                atomic_store(&link->store->silent_ns, now);
            }
            errno = ETIMEDOUT;
            return status == RECO_OK ? lost(link, err) : (lost(link, NULL), status);
        }
    }
}

reco_status reco__redis_send(reco__redis_link *link, reco_error *err) {
    reco_status status = reco__buf_status(&link->out, err);
    if (status != RECO_OK) {
        return status;
    }
    if (!link->context) {
        errno = ENOTCONN;
        return lost(link, err);
    }
    for (size_t sent = 0; sent < link->out.size;) {
        ssize_t done = send(link->context->fd, link->out.data + sent, link->out.size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done > 0) {
            sent += (size_t)done;
        } else if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            status = wait_for(link, POLLOUT, err);
            if (status != RECO_OK) {
                return status;
            }
        } else if (done == 0 || errno != EINTR) {
            return lost(link, err);
        }
    }
    if (link->out.size) {
        atomic_fetch_add_explicit(&link->store->trips, 1, memory_order_relaxed);
    }
    reco__buf_reset(&link->out);
    return RECO_OK;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* What an error reply means. Its text is the server's and holds no secret: credentials are never echoed. */
static reco_status refusal(const char *text, reco_error *err) {
    static const struct {
        const char *begins;
        reco_status status;
    } known[] = {{"LOADING", RECO_BUSY},
                 {"BUSY", RECO_BUSY},
                 {"MASTERDOWN", RECO_UNAVAILABLE},
                 {"READONLY", RECO_UNAVAILABLE},
                 {"MISCONF", RECO_UNAVAILABLE},
                 {"NOREPLICAS", RECO_UNAVAILABLE},
                 {"OOM", RECO_FULL},
                 {"NOAUTH", RECO_REFUSED},
                 {"WRONGPASS", RECO_REFUSED},
                 {"NOPERM", RECO_REFUSED},
                 {"MOVED", RECO_UNSUPPORTED},
                 {"ASK", RECO_UNSUPPORTED},
                 {"CLUSTERDOWN", RECO_UNSUPPORTED},
                 {"CROSSSLOT", RECO_UNSUPPORTED},
                 {"WRONGTYPE", RECO_CORRUPT},
                 {"ERR Function not found", RECO_NOT_FOUND},
                 {"ERR max number of clients", RECO_UNAVAILABLE}};
    reco_status status = strstr(text, "-OOM") || strstr(text, "OOM command") ? RECO_FULL : RECO_IO;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (begins(text, known[i].begins)) {
            status = known[i].status;
            break;
        }
    }
    return reco__fail(err, status, "features", "redis: %.180s", text);
}

static reco_status receive(reco__redis_link *link, reco_error *err) {
    void *reply = NULL;
    drop_reply(link);
    errno = link->context ? 0 : ENOTCONN;
    while (link->context && !reply) {
        errno = 0;
        if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK) {
            return lost(link, err);
        }
        if (!reply) {
            reco_status status = wait_for(link, POLLIN, err);
            if (status != RECO_OK) {
                return status;
            }
            if (link->patient) {
                want(link, 1);
            }
            if (redisBufferRead(link->context) != REDIS_OK) {
                return lost(link, err);
            }
        }
    }
    if (!link->context) {
        return lost(link, err);
    }
    link->pending--;
    link->reply = reply;
    return RECO_OK;
}

reco_status reco__redis_reply(const redisReply **out, reco__redis_link *link, reco_error *err) {
    if (link->held && link->held_at < link->held->elements) {
        *out = link->held->element[link->held_at++];
        return (*out)->type == REDIS_REPLY_ERROR ? refusal((*out)->str, err) : RECO_OK;
    }
    drop_held(link);
    for (; link->forget > 0; link->forget--) {
        reco_status status = receive(link, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    reco_status status = receive(link, err);
    if (status != RECO_OK) {
        return status;
    }
    *out = link->reply;
    if (link->reply->type != REDIS_REPLY_ERROR) {
        return RECO_OK;
    }
    status = refusal(link->reply->str, err);
    link->doomed = link->doomed || status == RECO_UNAVAILABLE;
    return status;
}

reco_status reco__redis_drain(reco__redis_link *link, reco_error *err) {
    reco_status status = RECO_OK;
    while (link->pending > 0 && status == RECO_OK) {
        status = receive(link, err);
    }
    link->forget = 0;
    return status;
}

reco_status reco__redis_skip(reco__redis_link *link, size_t count, reco_error *err) {
    reco_status status = RECO_OK;
    const redisReply *reply;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        status = reco__redis_reply(&reply, link, err);
    }
    return status;
}

reco_status reco__redis_exec(const redisReply **out, reco__redis_link *link, size_t queued, reco_error *err) {
    const redisReply *reply = NULL;
    if (queued * QUEUED >= WANTED_MIN) {
        want(link, queued * QUEUED);
    }
    reco_status status = reco__redis_skip(link, queued + 1, err);
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    link->watching = false;
    if (reply->type == REDIS_REPLY_NIL) {
        return reco__fail(err, RECO_STALE, "from", "somebody else has learned meanwhile");
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != queued) {
        return reco__redis_strange("the answer to EXEC", err);
    }
    for (size_t i = 0; i < queued; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            return refusal(reply->element[i]->str, err);
        }
    }
    *out = reply;
    return RECO_OK;
}

/* --- connecting ----------------------------------------------------------------------------------------------------------------------- */

void reco__redis_disconnect(reco__redis_link *link) {
    drop_reply(link);
    drop_held(link);
    if (link->context) {
        redisFree(link->context);
    }
    reco__buf_dispose(&link->out);
    reco__head_dispose(&link->maker);
    reco__redis_array *arrays[] = {&link->row, &link->tail, &link->list, &link->bytes, &link->places, &link->puts};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        reco__release(arrays[i]->data);
    }
    reco__release(link);
}

static struct timeval timeval_of(int64_t us) {
    struct timeval time = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
    return time;
}

static bool has_line(const char *info, const char *line) {
    const char *at = strstr(info, line);
    size_t size = strlen(line);
    return at && (at[size] == '\r' || at[size] == '\n' || at[size] == 0);
}

/* Refuses servers that would lose what was learned, or cannot hold it. */
static reco_status check_server(const char *info, reco_error *err) {
    const char *version = strstr(info, "redis_version:"), *policy = strstr(info, "maxmemory_policy:");
    if (has_line(info, "redis_mode:cluster") || has_line(info, "cluster_enabled:1")) {
        return reco__fail(err, RECO_UNSUPPORTED, "features", "redis: Redis Cluster is not supported: name a primary that is not part of one");
    }
    if (version && atoi(version + 14) < 7) {
        return reco__fail(err, RECO_UNSUPPORTED, "features", "redis: version 7 or later is needed, the server has %.*s",
                          (int)strcspn(version + 14, "\r\n"), version + 14);
    }
    if (policy && !begins(policy + 17, "noeviction")) {
        return reco__fail(err, RECO_REFUSED, "features", "redis: maxmemory-policy is %.*s, which forgets what was learned: set it to noeviction",
                          (int)strcspn(policy + 17, "\r\n"), policy + 17);
    }
    if (has_line(info, "role:slave")) {
        return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: the server is a replica: name the primary");
    }
    return RECO_OK;
}

/* The value of a line of INFO, added to a hash. */
static uint64_t hash_line(const char *info, const char *name, uint64_t seed) {
    const char *at = strstr(info, name);
    return at ? reco__hash64(at, strcspn(at, "\r\n"), seed) : seed;
}

/* Notes who answers. */
static void meet(reco__redis_link *link, reco_features_store *store, const char *info) {
    uint64_t server = hash_line(info, "\nmaster_replid:", hash_line(info, "\nrun_id:", 1)) | 1;
    pthread_mutex_lock(&store->pool_lock);
    bool other = store->server && store->server != server;
    store->server = server;
    link->run = atomic_load(&store->run) + other;
    atomic_store(&store->run, link->run);
    pthread_mutex_unlock(&store->pool_lock);
    if (other) {
        reco__log(RECO_LOG_WARN, "features", "redis: another server answers, or one that was started again");
        reco__redis_cache_empty(store);
    }
}

static reco_status greet(reco__redis_link *link, reco_features_store *store, reco_error *err) {
    const reco__redis_url *url = &store->url;
    size_t skipped = 0;
    if (url->password[0]) {
        reco__redis_command(link, "AUTH", url->user[0] ? 3 : 2);
        if (url->user[0]) {
            reco__redis_text(link, url->user);
        }
        reco__redis_text(link, url->password);
        skipped++;
    }
    if (url->db) {
        reco__redis_command(link, "SELECT", 2);
        reco__redis_number(link, url->db);
        skipped++;
    }
    reco__redis_command(link, "INFO", 1);
    const redisReply *reply;
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, skipped, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (!reco__redis_is_bytes(reply)) {
        return reco__redis_strange("the answer to INFO", err);
    }
    if (strstr(reply->str, "\nloading:1")) {
        return reco__fail(err, RECO_BUSY, "features", "redis: the server is loading its data");
    }
    status = check_server(reply->str, err);
    if (status == RECO_OK) {
        meet(link, store, reply->str);
    }
    return status;
}

reco_status reco__redis_connect(reco__redis_link **out, reco_features_store *store, const reco__redis_host *host, uint32_t silent_ms,
                                const reco_call *call, reco_error *err) {
    reco__redis_link *link = reco__zalloc(sizeof *link);
    if (!link) {
        return reco__no_memory(err);
    }
    link->store = store;
    link->call = call;
    link->silent_ms = silent_ms;
    int64_t left = reco__call_left_ns(call) / 1000, us = (int64_t)silent_ms * 1000;
    struct timeval timeout = timeval_of(left < us ? (left > 1000 ? left : 1000) : us);
    link->context = host ? redisConnectWithTimeout(host->name, host->port, timeout) : redisConnectUnixWithTimeout(store->url.path, timeout);
    reco_status status = RECO_OK;
    if (!link->context) {
        status = reco__no_memory(err);
    } else if (link->context->err) {
        status = reco__fail(err, RECO_UNAVAILABLE, "features", "redis: cannot connect: %.150s", link->context->errstr);
    } else {
        if (host) {
            redisEnableKeepAlive(link->context);
        }
        status = redisSetTimeout(link->context, timeval_of(us)) == REDIS_OK ? RECO_OK : lost(link, err);
    }
    if (status != RECO_OK) {
        reco__redis_disconnect(link);
        return status;
    }
    *out = link;
    return RECO_OK;
}

/* To the primary, wherever it is. */
static reco_status link_open(reco__redis_link **out, reco_features_store *store, const reco_call *call, reco_error *err) {
    const reco__redis_url *url = &store->url;
    reco__redis_host primary = url->hosts[0];
    primary.port = primary.port ? primary.port : PORT;
    reco_status status = url->sentinel[0] ? reco__redis_find_primary(&primary, store, call, err) : RECO_OK;
    if (status == RECO_OK) {
        status = reco__redis_connect(out, store, url->path[0] ? NULL : &primary, url->timeout_ms, call, err);
    }
    if (status == RECO_OK) {
        status = greet(*out, store, err);
        if (status != RECO_OK) {
            reco__redis_disconnect(*out);
        }
    }
    return status;
}

/* --- the pool ------------------------------------------------------------------------------------------------------------------------- */

static reco_status may_connect(reco_features_store *store, reco_error *err) {
    pthread_mutex_lock(&store->pool_lock);
    bool wait = store->failures && reco__monotonic_ns() < store->retry_at_ns;
    pthread_mutex_unlock(&store->pool_lock);
    return wait ? reco__fail(err, RECO_UNAVAILABLE, "features", "redis: the server could not be reached a moment ago") : RECO_OK;
}

static void note_connecting(reco_features_store *store, reco_status status) {
    pthread_mutex_lock(&store->pool_lock);
    if (status == RECO_OK) {
        store->failures = 0;
    } else {
        uint32_t doubled = store->failures < 7 ? store->failures : 7;
        int64_t pause_ms = (int64_t)PAUSE_MIN_MS << doubled;
        uint32_t chance = 0;
        pause_ms = pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
        (void)reco__random_bytes(&chance, sizeof chance, NULL); /* else everybody is early, and nobody late */
        store->failures++;
        store->retry_at_ns = reco__monotonic_ns() + pause_ms * 500000 + (int64_t)(chance % (uint32_t)(pause_ms * 500000));
    }
    pthread_mutex_unlock(&store->pool_lock);
}

/* An idle link on which the server has said something unasked was closed by it; or another was silent since this one was heard. */
static bool is_dead(const reco__redis_link *link) {
    char byte;
    if (link->heard_ns <= atomic_load(&link->store->silent_ns)) {
        return true;
    }
    ssize_t got = recv(link->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return !(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

static reco__redis_link *take_idle(reco_features_store *store) {
    for (;;) {
        pthread_mutex_lock(&store->pool_lock);
        reco__redis_link *link = store->idle;
        if (link) {
            store->idle = link->next;
            store->idle_count--;
        }
        pthread_mutex_unlock(&store->pool_lock);
        if (!link || (link->run == atomic_load(&store->run) && !is_dead(link))) {
            return link;
        }
        reco__redis_disconnect(link);
    }
}

reco_status reco__redis_take(reco__redis_link **out, reco_features_store *store, const reco_call *call, reco_error *err) {
    reco_status status = reco__call_check(call, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_link *link = take_idle(store);
    if (!link) {
        status = may_connect(store, err);
        if (status == RECO_OK) {
            status = link_open(&link, store, call, err);
            note_connecting(store, status);
        }
    }
    if (status == RECO_OK) {
        link->call = call;
        *out = link;
    }
    return status;
}

void reco__redis_unwatch(reco__redis_link *link) {
    if (link->watching) { /* goes with the next request, its answer unread */
        reco__redis_command(link, "UNWATCH", 1);
        link->watching = false;
        link->forget++;
    }
}

void reco__redis_give(reco_features_store *store, reco__redis_link *link) {
    drop_reply(link);
    drop_held(link);
    link->call = NULL;
    if (!link->context || link->doomed || link->pending > link->forget || link->out.size || link->out.failed != RECO_OK) {
        reco__redis_disconnect(link);
        return;
    }
    reco__redis_unwatch(link);
    pthread_mutex_lock(&store->pool_lock);
    bool keep = store->idle_count < IDLE_MAX;
    if (keep) {
        link->next = store->idle;
        store->idle = link;
        store->idle_count++;
    }
    pthread_mutex_unlock(&store->pool_lock);
    if (!keep) {
        reco__redis_disconnect(link);
    }
}

/* --- links kept for the next batch --------------------------------------------------------------------------------------------------- */

static void drop_ready(reco_features_store *store, reco__redis_ready *ready) {
    if (ready) {
        reco__redis_give(store, ready->link);
        reco__release(ready);
    }
}

reco__redis_ready *reco__redis_take_ready(reco_features_store *store, uint32_t partition, const reco_call *call) {
    pthread_mutex_lock(&store->pool_lock);
    reco__redis_ready *ready = store->ready[partition];
    store->ready[partition] = NULL;
    pthread_mutex_unlock(&store->pool_lock);
    if (!ready) {
        return NULL;
    }
    if (reco__monotonic_ns() - ready->asked_ns >= READY_NS) {
        drop_ready(store, ready);
        return NULL;
    }
    if (ready->link->run != atomic_load(&store->run) || is_dead(ready->link)) {
        reco__redis_disconnect(ready->link);
        reco__release(ready);
        return NULL;
    }
    ready->link->call = call;
    return ready;
}

void reco__redis_keep_ready(reco_features_store *store, uint32_t partition, reco__redis_ready *ready) {
    reco__redis_ready *old[RECO__REDIS_PARTITIONS];
    uint32_t count = 0;
    drop_reply(ready->link);
    drop_held(ready->link);
    ready->link->call = NULL;
    pthread_mutex_lock(&store->pool_lock);
    for (uint32_t p = 0; p < store->partitions; p++) { /* others learn those by now */
        if (store->ready[p] && (p == partition || ready->asked_ns - store->ready[p]->asked_ns >= READY_NS)) {
            old[count++] = store->ready[p];
            store->ready[p] = NULL;
        }
    }
    store->ready[partition] = ready;
    store->ahead = partition + 1;
    pthread_mutex_unlock(&store->pool_lock);
    for (uint32_t i = 0; i < count; i++) {
        drop_ready(store, old[i]);
    }
}

bool reco__redis_take_ahead(reco__redis_state *state, reco_features_store *store) {
    pthread_mutex_lock(&store->pool_lock);
    const reco__redis_ready *ready = store->ahead ? store->ready[store->ahead - 1] : NULL;
    store->ahead = 0;
    bool fresh = ready && reco__monotonic_ns() - ready->asked_ns < AHEAD_NS && ready->link->run == atomic_load(&store->run);
    if (fresh) {
        *state = ready->state;
    }
    pthread_mutex_unlock(&store->pool_lock);
    return fresh;
}

void reco__redis_pool_dispose(reco_features_store *store) {
    for (uint32_t p = 0; p < RECO__REDIS_PARTITIONS; p++) {
        drop_ready(store, store->ready[p]);
        store->ready[p] = NULL;
    }
    while (store->idle) {
        reco__redis_link *link = store->idle;
        store->idle = link->next;
        reco__redis_disconnect(link);
    }
    store->idle_count = 0;
}
