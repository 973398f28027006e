/* several.c - features on several Redis primaries: redis://h1:p1,h2:p2,h3:p3[/db][?options], or redis://s1,s2,s3?sentinel=one,two,three, each of them
 * found by the same sentinels. What is written where, in which order, and why that is exact whatever breaks off in between.
 * tests/model/test_primaries.c is this argument as a simulation; the numbers of items are in several_names.c.
 *
 * Each primary is a whole store of its own (redis.c) with a share of what there is. The cells of partition p live on primary p mod N, their home. The
 * heads and rows of co-view of an item live on primary xxh64(name) mod N; of a row of popularity each primary has the members that hash to it. So
 * every primary is home to some cells, and for all other partitions it holds nothing but boards. Every primary keeps position and clock of every
 * partition, moves them with every batch, even one that adds nothing to it, and closes generations by its own clocks.
 *
 * A batch of records [from, to) begins where the cells stand and is written, one transaction a primary, to all others first and to the home last:
 *
 *   the home takes it when it stands at `from`, and is STALE otherwise;
 *   another primary that stands at `from` takes it; one at or beyond `to` has it and is passed by; any other refuses.
 *
 * What holds at all times: *a primary that stands at q holds what the records below q add to its share, no more and no less; the home holds besides
 * the cells after the records below its position.* It is true of an empty primary. Each transaction keeps it: cells and additions of [from, to) are a
 * function of the records and of the cells at `from`, which are, by what holds, a function of the records too; so whoever derived the batch, when,
 * and from whichever reading of the home, derived the same additions; and a primary that stands at `from` and takes [from, to) whole stands at `to`.
 * Going back to an older durable state, or to nothing, keeps it as well, for position and content go back together. It does not matter, then,
 *
 *   - where a processor dies: boards written before it died stand ahead of the cells, who reads the partition next begins at the cells again, and
 *     they let its batches pass until it gets to where they are. Batches need not have the same ends: the learner ends a batch at the *fence*, the
 *     smallest position beyond the cells' at which a primary stands, so that none is caught within a batch, where it could neither take nor pass it;
 *   - that a zombie (an owner of before that still has a batch in hand) writes boards: it writes what the new owner would have written, they pass it
 *     by, and the home, which has moved on, makes the zombie STALE. If a fence was read and a zombie moves a primary in between, that primary
 * refuses, and the next look shows another fence;
 *   - that a home goes back (failover, an AOF cut short): its cells are learned again from where it stands, boards let pass what they have;
 *   - in which order boards are written, and which of them were, for each goes by its own position.
 *
 * Additions never meet a generation that a primary has closed: a record at or beyond q has an effective time of at least the partition's clock at q,
 * which is one of the clocks of which the primary's closing clock is the least. This needs the primary's *own* clocks. And cuts are the same ones as
 * in a clean replay, for a generation is cut only when no addition to it can come any more.
 *
 * With the home last, dying processors never leave a primary *behind* the cells. Only the loss of a primary's content does (failover, AOF, FLUSHALL):
 * the records between it and the cells were read by nobody whom it heard. Its batches are refused, `spread` tells (low < offset), and the engine
 * heals it: cells are derived again in memory from a base at or below `low`, and what they add from there on is given as batches with
 * RECO_BATCH_HEAL, which go to whoever stands at their `from` and never to the home. What they add is exact by the same argument. A base above `low`
 * would not do, nor the cells as they are now: additions depend on the cells before the record.
 *
 * Without heals nothing else is lost but time: cells first would need one for every death between two writes.
 *
 * Reads. An answer takes cells from their home, heads from where the items are: heads may be of a batch whose cells are not there yet, as they may be
 * of other users' records at any time. Rows of one item are on one primary and closed by its clocks. Whole reads (scan, hence snapshot, hash, verify)
 * are true only when all primaries stand at the same positions, and are BUSY otherwise.
 *
 * The list of primaries is part of what is learned: each has, in its fingerprint, how many there are and which of them it is. Another number, or
 * another order, is REFUSED.
 *
 * What it does not do: move rows when primaries are added (`reco replay --into` learns into a new list), talk to them side by side, read while one of
 * them is away. */
#include "features/redis/several.h"

#include <stdlib.h>

/* --- the list of primaries ------------------------------------------------------------------------------------------------------------------- */

/* The part of a URL that lists what is one primary each: the names that sentinels are asked for, else the hosts. */
static reco_str list_of(const char *url, bool *hosts) {
    const char *begin = strstr(url, "://");
    reco_str list = {url, 0};
    *hosts = true;
    if (!begin) {
        return list;
    }
    list = (reco_str){begin + 3, strcspn(begin + 3, "/?")};
    const char *option = strchr(url, '?');
    for (; option; option = strchr(option, '&')) {
        if (strncmp(++option, "sentinel=", 9) == 0) {
            *hosts = false;
            list = (reco_str){option + 9, strcspn(option + 9, "&")};
        }
    }
    return list;
}

bool reco__several_named(const char *url) {
    bool hosts;
    reco_str list = list_of(url, &hosts);
    return strncmp(url, "redis://", 8) == 0 && memchr(list.data, ',', list.size) != NULL;
}

/* Where the login of a host ends. */
static const char *login_end(const char *at, const char *stop) {
    const char *end = at;
    for (const char *c = at; c < stop; c++) {
        end = *c == '@' ? c + 1 : end;
    }
    return end;
}

/* The URL of primary k alone, and how many there are. The login of the first host goes for those that have none of their own. */
static reco_status url_of(reco__buf *out, const char *url, uint32_t k, uint32_t *count, reco_error *err) {
    bool hosts;
    reco_str list = list_of(url, &hosts), login = {NULL, 0};
    const char *at = list.data, *end = list.data + list.size;
    *count = 0;
    for (; at <= end; (*count)++) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end, *name = hosts ? login_end(at, stop) : at;
        if (*count == 0) {
            login = (reco_str){at, (size_t)(name - at)};
        }
        if (name == stop) {
            return reco__fail(err, RECO_INVALID, "features", "the list of redis primaries has an empty name");
        }
        if (*count == k) {
            reco__buf_reset(out);
            reco__buf_add(out, url, (size_t)(list.data - url));
            reco__buf_add(out, login.data, name == at ? login.size : 0);
            reco__buf_add(out, at, (size_t)(stop - at));
            reco__buf_add(out, end, strlen(end) + 1);
        }
        at = stop + 1;
    }
    if (*count > RECO__SEVERAL_MAX) {
        return reco__fail(err, RECO_INVALID, "features", "%u redis primaries: at most %d", *count, RECO__SEVERAL_MAX);
    }
    return reco__buf_status(out, err);
}

/* --- open and close -------------------------------------------------------------------------------------------------------------------------- */

void reco__several_close(reco__several *several) {
    if (!several) {
        return;
    }
    for (uint32_t k = 0; k < several->count; k++) {
        reco__redis_close(several->primaries[k]);
    }
    reco__several_names_dispose(several);
    pthread_mutex_destroy(&several->era_lock);
    pthread_mutex_destroy(&several->users_lock);
    pthread_mutex_destroy(&several->restore_lock);
    reco__release(several);
}

/* All of the list is checked before any of it is opened. */
static reco_status check_urls(const char *url, uint32_t count, reco_error *err) {
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < count && status == RECO_OK; k++) {
        reco__buf own = {0};
        reco__redis_url parsed;
        uint32_t unused;
        status = url_of(&own, url, k, &unused, err);
        if (status == RECO_OK) {
            status = reco__redis_url_parse(&parsed, own.data, err);
            explicit_bzero(&parsed, sizeof parsed);
            explicit_bzero(own.data, own.size);
        }
        reco__buf_dispose(&own);
    }
    return status;
}

/* Opens primary k: its own part of the URL, its place in the list as part of the fingerprint. */
static reco_status open_primary(reco__several *several, const reco_features_options *options, uint32_t k, const reco_call *call, reco_error *err) {
    reco__buf url = {0}, fingerprint = {0};
    reco_features_options own = *options;
    uint32_t count;
    reco_status status = url_of(&url, options->url, k, &count, err);
    reco__buf_add(&fingerprint, options->fingerprint.data, options->fingerprint.size);
    reco__buf_printf(&fingerprint, "redis.primaries=%u\nredis.primary=%u\n", several->count, k);
    if (status == RECO_OK) {
        status = reco__buf_status(&fingerprint, err);
    }
    if (status == RECO_OK) {
        own.url = url.data;
        own.fingerprint = (reco_str){fingerprint.data, fingerprint.size};
        status = reco__redis_open(&several->primaries[k], &own, call, err);
    }
    if (url.data) {
        explicit_bzero(url.data, url.size);
    }
    reco__buf_dispose(&url);
    reco__buf_dispose(&fingerprint);
    return status;
}

reco_status reco__several_open(reco__several **out, const reco_features_options *options, const reco_call *call, reco_error *err) {
    reco__buf unused = {0};
    uint32_t count;
    reco_status status = url_of(&unused, options->url, UINT32_MAX, &count, err);
    reco__buf_dispose(&unused);
    if (status == RECO_OK) {
        status = check_urls(options->url, count, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco__several *several = reco__zalloc(sizeof *several);
    if (!several) {
        return reco__no_memory(err);
    }
    pthread_mutex_init(&several->era_lock, NULL);
    pthread_mutex_init(&several->users_lock, NULL);
    pthread_mutex_init(&several->restore_lock, NULL);
    several->partitions = options->partitions;
    several->rules = *options->rules;
    several->max_users = options->max_users;
    several->renumber = options->renumber;
    for (uint32_t k = 0; k < count && status == RECO_OK; k++) {
        several->count = count;
        status = open_primary(several, options, k, call, err);
        several->count = status == RECO_OK ? count : k;
    }
    if (status == RECO_OK) {
        status = reco__several_renew(several, NULL, call, err);
    }
    if (status != RECO_OK) {
        reco__several_close(several);
        return status;
    }
    *out = several;
    return RECO_OK;
}
