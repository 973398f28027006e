/* items.c - item numbers.
 *
 * Names are a list: the place of a name is its number. Every process keeps all names in memory (names.c) and reads on what others have added. Names
 * are added by a function within Redis when the list is as long as this process knows it, in one trip; or else under WATCH of the list. So nobody
 * gives the same number twice. Another names_epoch means that all numbers were given up.
 *
 * A server that took over may lack the last names, and others may be in their places by now: for another run (connection.c) all names are compared,
 * and when one differs the table is made anew and the epoch that is told changes, so that numbers lent out before are refused. */
#include "features/redis/redis.h"

enum { READ_ON = 4096 };

static reco__redis_names *current(const reco_features_store *store) { return atomic_load_explicit(&store->names, memory_order_acquire); }

/* names_lock held. */
static reco_status change_epoch(reco_features_store *store, uint64_t epoch, uint64_t run, reco_error *err) {
    reco__redis_names *table = reco__zalloc(sizeof *table);
    if (!table) {
        return reco__no_memory(err);
    }
    table->names = reco__names_create();
    if (!table->names) {
        reco__release(table);
        return reco__no_memory(err);
    }
    table->epoch = epoch;
    atomic_store(&table->run, run);
    table->older = current(store);
    atomic_store_explicit(&store->names, table, memory_order_release);
    return RECO_OK;
}

/* names_lock held. */
static reco_status read_on(reco_features_store *store, reco__redis_link *link, reco__names *names, uint32_t count, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK && reco__names_count(names) < count) {
        uint32_t from = reco__names_count(names), to = count - from > READ_ON ? from + READ_ON : count;
        const redisReply *reply;
        reco__redis_command(link, "LRANGE", 4);
        reco__redis_key(link, store, "n");
        reco__redis_number(link, from);
        reco__redis_number(link, to - 1);
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, err);
        }
        if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != to - from)) {
            status = reco__fail(err, RECO_STALE, "epoch", "the names of items were given up meanwhile");
        }
        for (size_t i = 0; status == RECO_OK && i < reply->elements; i++) {
            status = reco__names_add(names, reply->element[i]->str, reply->element[i]->len, err);
        }
    }
    return status;
}

/* Are the names known still those of the server? names_lock held. */
static reco_status compare(bool *same, const reco_features_store *store, reco__redis_link *link, const reco__names *names, reco_error *err) {
    uint32_t count = reco__names_count(names);
    reco_status status = RECO_OK;
    *same = true;
    for (uint32_t from = 0; from < count && *same && status == RECO_OK; from += READ_ON) {
        uint32_t many = count - from < READ_ON ? count - from : READ_ON;
        const redisReply *reply;
        reco__redis_command(link, "LRANGE", 4);
        reco__redis_key(link, store, "n");
        reco__redis_number(link, from);
        reco__redis_number(link, (int64_t)from + many - 1);
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_reply(&reply, link, err);
        }
        *same = status == RECO_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements == many;
        for (uint32_t i = 0; i < many && *same; i++) {
            reco_str name = {NULL, 0}, stored = {reply->element[i]->str, reply->element[i]->len};
            *same = reco__names_get(&name, NULL, names, from + i) && reco__str_equal(name, stored);
        }
    }
    return status;
}

/* Brings the table in line with the run of this link. names_lock held. */
static reco_status look_again(reco_features_store *store, reco__redis_link *link, uint64_t names_epoch, reco_error *err) {
    reco__redis_names *table = current(store);
    if (atomic_load(&table->run) > link->run) {
        link->doomed = true;
        return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: the server was replaced meanwhile");
    }
    bool same;
    reco_status status = compare(&same, store, link, table->names, err);
    if (status != RECO_OK) {
        return status;
    }
    if (same) {
        atomic_store(&table->run, link->run);
        return RECO_OK;
    }
    reco__log(RECO_LOG_WARN, "features", "redis: numbers of items have changed their names");
    status = change_epoch(store, names_epoch, link->run, err);
    if (status == RECO_OK) {
        atomic_fetch_add(&store->renamed, 1);
        reco__redis_cache_empty(store);
    }
    return status;
}

static bool of_another_run(const reco__redis_names *table, const reco__redis_link *link) { return atomic_load(&table->run) != link->run; }

bool reco__redis_doubtful(const reco_features_store *store, const reco__redis_link *link, const reco__redis_state *state) {
    const reco__redis_names *table = current(store);
    return table && (of_another_run(table, link) || table->epoch != state->names_epoch);
}

reco_status reco__redis_follow(reco_features_store *store, reco__redis_link *link, const reco__redis_state *state, reco_error *err) {
    reco__redis_names *table = current(store);
    if (table && !reco__redis_doubtful(store, link, state) && reco__names_count(table->names) >= state->item_count) {
        return RECO_OK;
    }
    reco_status status = RECO_OK;
    pthread_mutex_lock(&store->names_lock);
    table = current(store);
    if (!table || table->epoch != state->names_epoch) {
        status = change_epoch(store, state->names_epoch, link->run, err);
    } else if (of_another_run(table, link)) {
        status = look_again(store, link, state->names_epoch, err);
    }
    if (status == RECO_OK) {
        status = read_on(store, link, current(store)->names, state->item_count, err);
    }
    pthread_mutex_unlock(&store->names_lock);
    return status;
}

uint32_t reco__redis_named(const reco_features_store *store) { return reco__names_count(current(store)->names); }

void reco__redis_names_dispose(reco_features_store *store) {
    reco__redis_names *table = current(store);
    while (table) {
        reco__redis_names *older = table->older;
        reco__names_free(table->names);
        reco__release(table);
        table = older;
    }
    atomic_store(&store->names, NULL);
}

reco_board_names reco__redis_board_names(const reco_features_store *store) { return reco__names_board(current(store)->names); }

/* --- the contract --------------------------------------------------------------------------------------------------------------------- */

/* Reads the state and the names it shows. */
static reco_status refresh(reco__redis_state *state, reco__redis_link *link, reco_features_store *store, reco_error *err) {
    reco_status status = reco__redis_state_read(state, link, store, 0, err);
    return status == RECO_OK ? reco__redis_follow(store, link, state, err) : status;
}

reco_status reco__redis_item_name(reco_str *name, uint64_t *hash, reco_features_store *store, uint32_t number) {
    if (reco__names_get(name, hash, current(store)->names, number)) {
        return RECO_OK;
    }
    reco__redis_link *link;
    reco__redis_state state;
    reco_status status = reco__redis_take(&link, store, NULL, NULL);
    if (status != RECO_OK) {
        return status;
    }
    status = refresh(&state, link, store, NULL);
    reco__redis_give(store, link);
    if (status != RECO_OK) {
        return status;
    }
    return reco__names_get(name, hash, current(store)->names, number) ? RECO_OK : RECO_NOT_FOUND;
}

reco_status reco__redis_find_items(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                                   reco_error *err) {
    reco__redis_link *link;
    reco__redis_state state;
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    status = refresh(&state, link, store, err);
    reco__redis_give(store, link);
    if (status == RECO_OK) {
        reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM);
    }
    return status;
}

/* The new names, each once. */
static void write_names(reco__redis_link *link, const reco__map *fresh) {
    for (size_t i = 0; i < fresh->count; i++) {
        reco__redis_bytes(link, fresh->entries[i].key, fresh->entries[i].size);
    }
}

/* Notes names that the server has taken behind the `base` first; somebody may have read them on meanwhile. */
static reco_status note_names(reco_features_store *store, reco__redis_names *table, const reco__map *fresh, uint32_t base, reco_error *err) {
    reco_status status = RECO_OK;
    pthread_mutex_lock(&store->names_lock);
    for (size_t i = 0; i < fresh->count && status == RECO_OK && reco__names_count(table->names) == base + i; i++) {
        status = reco__names_add(table->names, fresh->entries[i].key, fresh->entries[i].size, err);
    }
    pthread_mutex_unlock(&store->names_lock);
    return status;
}

/* In one trip, when nobody else has added names. False in *done: it is to be found out what else is the matter. */
static reco_status intern_at_once(bool *done, uint32_t *numbers, reco__redis_link *link, reco_features_store *store, const reco_str *names,
                                  size_t count, reco_error *err) {
    reco__redis_names *table = current(store);
    uint32_t base = reco__names_count(table->names);
    reco__map fresh = {0};
    const redisReply *reply;
    uint8_t epoch[8];
    *done = false;
    if (of_another_run(table, link) || reco__names_find(numbers, table->names, names, count, RECO_NO_ITEM) == 0) {
        return RECO_OK;
    }
    reco_status status = reco__names_number(numbers, &fresh, names, count, base, store->max_items, err);
    if (status == RECO_OK) {
        reco__redis_command(link, "FCALL", 3 + 2 + 2 + fresh.count);
        reco__redis_text(link, RECO__REDIS_INTERN);
        reco__redis_text(link, "2");
        reco__redis_key(link, store, "meta");
        reco__redis_key(link, store, "n");
        reco__be64(epoch, table->epoch);
        reco__redis_bytes(link, epoch, sizeof epoch);
        reco__redis_number(link, base);
        write_names(link, &fresh);
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
        *done = status == RECO_OK && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
        status = status == RECO_NOT_FOUND ? reco__redis_script_load(link, err) : status;
    }
    if (*done) {
        status = note_names(store, table, &fresh, base, err);
    }
    reco__map_dispose(&fresh);
    return status;
}

/* One attempt; STALE when somebody else has added names meanwhile. */
static reco_status intern_once(uint32_t *numbers, reco__redis_link *link, reco_features_store *store, const reco_str *names, size_t count,
                               reco_error *err) {
    reco__redis_state state;
    const redisReply *reply;
    reco__redis_command(link, "WATCH", 3);
    reco__redis_key(link, store, "meta");
    reco__redis_key(link, store, "n");
    reco_status status = reco__redis_send(link, err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, err);
    }
    if (status == RECO_OK) {
        status = refresh(&state, link, store, err);
    }
    if (status != RECO_OK || reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM) == 0) {
        return status;
    }
    if (!link->watching) {
        return RECO_STALE; /* the namespace was founded anew under it */
    }
    reco__map fresh = {0};
    status = reco__names_number(numbers, &fresh, names, count, state.item_count, store->max_items, err);
    if (status == RECO_OK) {
        reco__redis_command(link, "MULTI", 1);
        reco__redis_command(link, "RPUSH", 2 + fresh.count);
        reco__redis_key(link, store, "n");
        write_names(link, &fresh);
        reco__redis_command(link, "EXEC", 1);
        status = reco__redis_send(link, err);
    }
    reco__map_dispose(&fresh);
    return status == RECO_OK ? reco__redis_exec(&reply, link, 1, err) : status;
}

reco_status reco__redis_intern(uint32_t *numbers, reco_features_store *store, const reco_str *names, size_t count, const reco_call *call,
                               reco_error *err) {
    reco__redis_link *link;
    reco__redis_state state;
    if (reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM) == 0) {
        return RECO_OK; /* should they be of another epoch, so was the load before: the batch is STALE */
    }
    reco_status status = reco__redis_take(&link, store, call, err);
    if (status != RECO_OK) {
        return status;
    }
    bool done;
    status = intern_at_once(&done, numbers, link, store, names, count, err);
    if (status == RECO_OK && !done) {
        status = refresh(&state, link, store, err);
    }
    if (status == RECO_OK && !done && reco__names_find(numbers, current(store)->names, names, count, RECO_NO_ITEM) > 0) {
        do {
            status = reco__call_check(call, err);
            status = status == RECO_OK ? intern_once(numbers, link, store, names, count, err) : status;
        } while (status == RECO_STALE);
        if (status == RECO_OK) {
            status = refresh(&state, link, store, err);
        }
    }
    reco__redis_give(store, link);
    return status;
}
