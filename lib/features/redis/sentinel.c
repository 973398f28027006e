/* sentinel.c - where the primary is, as Redis Sentinel says.
 *
 * Each time a connection is to be made (connection.c) the sentinels are asked, the one that answered last first; each has SILENT_MS, so that one that
 * is gone does not keep the others from being asked. What they say may be late: a server that says it is a replica is refused there, and asked for
 * again after a pause. A connection that is lost is how a failover shows; nobody listens for it. What a failover loses is positions and content
 * together (a prefix of what the old primary did), so that reading the stream on from the new positions heals it. */
#include "features/redis/redis.h"

#include <stdlib.h>

enum { PORT = 26379, SILENT_MS = 1000 };

static reco_status take_address(reco__redis_host *out, reco__redis_link *link, const char *name, reco_error *err) {
    const redisReply *reply;
    reco_status status = reco__redis_reply(&reply, link, err);
    if (status != RECO_OK) {
        return status;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: the sentinel knows no primary named %.100s", name);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reco__redis_is_bytes(reply->element[0]) ||
        !reco__redis_is_bytes(reply->element[1]) || reply->element[0]->len >= sizeof out->name) {
        return reco__redis_strange("the answer of the sentinel", err);
    }
    memcpy(out->name, reply->element[0]->str, reply->element[0]->len + 1);
    out->port = atoi(reply->element[1]->str);
    return RECO_OK;
}

static reco_status ask(reco__redis_host *out, reco_features_store *store, reco__redis_host sentinel, const reco_call *call, reco_error *err) {
    const reco__redis_url *url = &store->url;
    reco__redis_link *link;
    sentinel.port = sentinel.port ? sentinel.port : PORT;
    reco_status status = reco__redis_connect(&link, store, &sentinel, url->timeout_ms < SILENT_MS ? url->timeout_ms : SILENT_MS, call, err);
    if (status != RECO_OK) {
        return status;
    }
    if (url->sentinel_password[0]) {
        reco__redis_command(link, "AUTH", 2);
        reco__redis_text(link, url->sentinel_password);
    }
    reco__redis_command(link, "SENTINEL", 3);
    reco__redis_text(link, "get-master-addr-by-name");
    reco__redis_text(link, url->sentinel);
    status = reco__redis_send(link, err);
    if (status == RECO_OK && url->sentinel_password[0]) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = take_address(out, link, url->sentinel, err);
    }
    reco__redis_disconnect(link);
    return status;
}

/* Remembers who answered what, and says so when it is another primary than before. */
static void note(reco_features_store *store, uint32_t sentinel, const reco__redis_host *primary) {
    pthread_mutex_lock(&store->pool_lock);
    bool other = store->primary.port && (store->primary.port != primary->port || strcmp(store->primary.name, primary->name) != 0);
    store->sentinel = sentinel;
    store->primary = *primary;
    pthread_mutex_unlock(&store->pool_lock);
    if (other) {
        reco__log(RECO_LOG_WARN, "features", "redis: the primary of %s is now %s port %d", store->url.sentinel, primary->name, primary->port);
    }
}

reco_status reco__redis_find_primary(reco__redis_host *out, reco_features_store *store, const reco_call *call, reco_error *err) {
    uint32_t count = store->url.host_count;
    reco_status status = RECO_UNAVAILABLE;
    pthread_mutex_lock(&store->pool_lock);
    uint32_t first = store->sentinel;
    pthread_mutex_unlock(&store->pool_lock);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (first + i) % count;
        status = ask(out, store, store->url.hosts[at], call, err);
        if (status == RECO_OK) {
            note(store, at, out);
            break;
        }
        reco_status over = reco__call_check(call, err);
        if (over != RECO_OK) {
            return over;
        }
    }
    return status;
}
