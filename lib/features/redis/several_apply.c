/* several_apply.c - where the primaries stand, cells, and the batch: to the others first, to the home of its cells last. Why: several.c. */
#include "features/redis/several.h"

#define USERS_NS (INT64_C(1000) * 1000 * 1000)

/* --- looking ------------------------------------------------------------------------------------------------------------------------------- */

static void count_behind(reco__several *several, const reco__several_look *look) {
    uint64_t behind = 0;
    for (uint32_t p = 0; p < several->partitions; p++) {
        for (uint32_t k = 0; k < several->count; k++) {
            behind += look->at[k][p].offset < look->at[reco__several_home(several, p)][p].offset;
        }
    }
    atomic_store(&several->behind, behind);
}

/* The answer of one, for whom it was asked already. A namespace that is gone is founded anew. */
static reco_status take_state(reco__redis_state *state, reco_features_store *store, reco__redis_link *link, uint32_t what, reco_error *err) {
    reco_status status = reco__redis_state_take(state, link, store, what, err);
    if (status == RECO_NOT_FOUND) {
        status = reco__redis_state_read(state, link, store, what, err);
    }
    return status == RECO_OK && reco__redis_doubtful(store, link, state) ? reco__redis_follow(store, link, state, err) : status;
}

reco_status reco__several_states(reco__redis_state *states, reco__several *several, uint32_t what, const reco_call *call, reco_error *err) {
    reco__redis_link *links[RECO__SEVERAL_MAX];
    uint32_t taken = 0;
    reco_status status = RECO_OK;
    for (; taken < several->count && status == RECO_OK; taken += status == RECO_OK) {
        status = reco__redis_take(&links[taken], several->primaries[taken], call, err);
    }
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        reco__redis_state_ask(links[k], several->primaries[k], what);
        status = reco__redis_send(links[k], err);
    }
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = take_state(&states[k], several->primaries[k], links[k], what, err);
    }
    for (uint32_t k = 0; k < taken; k++) {
        reco__redis_give(several->primaries[k], links[k]);
    }
    return status;
}

bool reco__several_same_epochs(const reco__several *several, const reco__several_era *era, const reco__redis_state *states) {
    for (uint32_t k = 0; k < several->count; k++) {
        if (reco__redis_epoch(several->primaries[k], &states[k]) != era->epochs[k]) {
            return false;
        }
    }
    return true;
}

/* One attempt; *era NULL when it was over and another has begun. */
static reco_status look_once(reco__several_look *out, reco__redis_state *states, reco__several *several, const reco_call *call, reco_error *err) {
    reco__several_era *era = reco__several_now(several);
    reco_status status = reco__several_states(states, several, 0, call, err);
    out->era = NULL;
    if (status != RECO_OK) {
        return status;
    }
    if (!reco__several_same_epochs(several, era, states)) {
        return reco__several_renew(several, era, call, err);
    }
    for (uint32_t k = 0; k < several->count; k++) {
        memcpy(out->at[k], states[k].positions, several->partitions * sizeof *out->at[k]);
    }
    out->era = era;
    count_behind(several, out);
    return RECO_OK;
}

reco_status reco__several_look_at(reco__several_look *out, reco__several *several, const reco_call *call, reco_error *err) {
    reco__redis_state *states = reco__alloc_array(several->count, sizeof *states);
    if (!states) {
        return reco__no_memory(err);
    }
    reco_status status = RECO_OK;
    out->era = NULL;
    for (int tries = 0; tries < RECO__SEVERAL_TRIES && status == RECO_OK && !out->era; tries++) {
        status = look_once(out, states, several, call, err);
    }
    reco__release(states);
    return status == RECO_OK && !out->era ? reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primaries are emptied or loaded again and again")
                                          : status;
}

reco_status reco__several_positions(reco_position *positions, uint64_t *epoch, reco__several *several, const reco_call *call, reco_error *err) {
    reco__several_look look;
    reco_status status = reco__several_look_at(&look, several, call, err);
    for (uint32_t p = 0; p < several->partitions && status == RECO_OK; p++) {
        positions[p] = look.at[reco__several_home(several, p)][p];
        *epoch = look.era->epoch;
    }
    return status;
}

reco_status reco__several_spread(reco_spread *spread, uint64_t *epoch, reco__several *several, const reco_call *call, reco_error *err) {
    reco__several_look look;
    reco_status status = reco__several_look_at(&look, several, call, err);
    for (uint32_t p = 0; p < several->partitions && status == RECO_OK; p++) {
        reco_position cells = look.at[reco__several_home(several, p)][p];
        spread[p] = (reco_spread){cells, cells.offset, INT64_MAX, INT64_MAX};
        for (uint32_t k = 0; k < several->count; k++) {
            int64_t at = look.at[k][p].offset;
            spread[p].low = at < spread[p].low ? at : spread[p].low;
            spread[p].fence = at > cells.offset && at < spread[p].fence ? at : spread[p].fence;
        }
        for (uint32_t k = 0; k < several->count; k++) {
            int64_t at = look.at[k][p].offset;
            spread[p].low_fence = at > spread[p].low && at < spread[p].low_fence ? at : spread[p].low_fence;
        }
        *epoch = look.era->epoch;
    }
    return status;
}

/* --- cells --------------------------------------------------------------------------------------------------------------------------------- */

/* Cells as their home holds them, kept until it is known in whose numbers. */
struct loaded {
    reco__buf bytes, told;
    size_t *sizes; /* by index of the request; 0: none */
    size_t *order; /* indices in the order they came */
    size_t count;
};

static void take_cell(void *context, size_t index, const void *data, size_t size) {
    struct loaded *loaded = context;
    reco__buf_add(&loaded->bytes, data, size);
    loaded->sizes[index] = size;
    loaded->order[loaded->count++] = index;
}

static reco_status tell_cells(struct loaded *loaded, reco__several *several, reco__several_era *era, uint32_t k, reco_features_sink sink,
                              void *context, const reco_call *call, reco_error *err) {
    reco_status status = reco__buf_status(&loaded->bytes, err);
    reco__buf_reset(&loaded->told);
    for (size_t i = 0, at = 0; i < loaded->count && status == RECO_OK; i++) {
        size_t size = loaded->sizes[loaded->order[i]], before = loaded->told.size;
        status = reco__several_cell_back(&loaded->told, several, era, k, loaded->bytes.data + at, size, call, err);
        loaded->sizes[loaded->order[i]] = loaded->told.size - before;
        at += size;
    }
    for (size_t i = 0, at = 0; i < loaded->count && status == RECO_OK; i++) {
        sink(context, loaded->order[i], loaded->told.data + at, loaded->sizes[loaded->order[i]]);
        at += loaded->sizes[loaded->order[i]];
    }
    return status;
}

reco_status reco__several_load(reco_position *position, uint64_t *epoch, reco__several *several, uint32_t partition, const reco_str *users,
                               size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err) {
    uint32_t k = reco__several_home(several, partition);
    struct loaded loaded = {.sizes = reco__alloc_array(count + 1, sizeof(size_t)), .order = reco__alloc_array(count + 1, sizeof(size_t))};
    reco_status status = loaded.sizes && loaded.order ? RECO_OK : reco__no_memory(err);
    bool done = false;
    for (int tries = 0; tries < RECO__SEVERAL_TRIES && status == RECO_OK && !done; tries++) {
        reco__several_era *era = reco__several_now(several);
        uint64_t theirs;
        reco__buf_reset(&loaded.bytes);
        loaded.count = 0;
        status = reco__redis_load(position, &theirs, several->primaries[k], partition, users, count, take_cell, &loaded, call, err);
        if (status == RECO_OK && (theirs != era->epochs[k] || !reco__several_holds(several, era, k))) {
            status = reco__several_renew(several, era, call, err);
        } else if (status == RECO_OK) {
            status = tell_cells(&loaded, several, era, k, sink, context, call, err);
            *epoch = era->epoch;
            done = true;
        }
    }
    reco__buf_dispose(&loaded.bytes);
    reco__buf_dispose(&loaded.told);
    reco__release(loaded.sizes);
    reco__release(loaded.order);
    return status == RECO_OK && !done ? reco__fail(err, RECO_UNAVAILABLE, "features", "redis: a primary is emptied or loaded again and again")
                                      : status;
}

/* --- the batch: checks ----------------------------------------------------------------------------------------------------------------------- */

/* What of a batch a primary does. */
enum { TAKES, PASSES, REFUSES };

static int fate(const reco__several *several, const reco_batch *batch, const reco_position *at, uint32_t k) {
    if (k == reco__several_home(several, batch->partition)) {
        return batch->flags & RECO_BATCH_HEAL ? PASSES : at->offset == batch->from ? TAKES : REFUSES;
    }
    return at->offset == batch->from ? TAKES : at->offset >= batch->to ? PASSES : REFUSES;
}

static reco_status check_groups(const reco__several *several, const reco__several_era *era, const reco_batch *batch, const reco_position *positions,
                                uint32_t k, reco_error *err) {
    for (size_t g = 0; g < batch->group_count; g++) {
        const reco_add_group *group = &batch->groups[g];
        if (group->generation < 0 || group->generation <= reco__redis_newest_closed(several->primaries[k], positions, group->board)) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)g, "groups", "generation %lld of board %u is closed", (long long)group->generation,
                                 group->board);
        }
        for (size_t i = 0; i < group->count; i++) {
            uint32_t item = group->adds[i].item, member = group->adds[i].member, largest = item > member ? item : member;
            if (largest >= reco__names_count(era->names)) {
                return reco__fail_at(err, RECO_INVALID, (int32_t)g, "groups", "item number %u has no name", largest);
            }
        }
    }
    return RECO_OK;
}

/* Nothing is written of a batch of which some part would be refused by what is known now. */
static reco_status check_batch(const reco__several *several, const reco__several_look *look, const reco_batch *batch, reco_error *err) {
    if (look->era->epoch != batch->epoch) {
        return reco__fail(err, RECO_STALE, "epoch", "a primary was emptied or restored since the batch was begun");
    }
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        const reco_position *at = &look->at[k][batch->partition];
        int does = fate(several, batch, at, k);
        if (does == REFUSES) {
            return reco__fail(err, RECO_STALE, "from", "partition %u stands at %lld on primary %u, not at %lld", batch->partition,
                              (long long)at->offset, k, (long long)batch->from);
        }
        if (does == TAKES && batch->clock < at->clock) {
            return reco__fail(err, RECO_INVALID, "clock", "the clock of partition %u would go back from %lld to %lld", batch->partition,
                              (long long)at->clock, (long long)batch->clock);
        }
        if (does == TAKES) {
            status = check_groups(several, look->era, batch, look->at[k], k, err);
        }
    }
    return status;
}

/* --- the batch: users ------------------------------------------------------------------------------------------------------------------------ */

reco_status reco__several_count_users(uint64_t users[RECO__SEVERAL_MAX], reco__several *several, const reco_call *call, reco_error *err) {
    reco__redis_state *states = reco__alloc_array(several->count, sizeof *states);
    reco_status status = states ? reco__several_states(states, several, RECO__REDIS_USERS, call, err) : reco__no_memory(err);
    if (status == RECO_OK) {
        pthread_mutex_lock(&several->users_lock);
        for (uint32_t k = 0; k < several->count; k++) {
            users[k] = several->users[k] = states[k].user_count;
        }
        several->users_ns = reco__monotonic_ns();
        pthread_mutex_unlock(&several->users_lock);
    }
    reco__release(states);
    return status;
}

struct known {
    size_t seen;
};

static void see_cell(void *context, size_t index, const void *data, size_t size) {
    (void)index, (void)data, (void)size;
    ((struct known *)context)->seen++;
}

/* FULL when the cells that are new do not fit. Counts are a second old, until the limit is near: then they are counted now, and cells asked for. */
static reco_status check_users(reco__several *several, const reco_batch *batch, const reco_call *call, reco_error *err) {
    uint64_t users[RECO__SEVERAL_MAX], total = batch->cell_count, margin = several->max_users / 64 + batch->cell_count;
    if (batch->cell_count == 0) {
        return RECO_OK;
    }
    pthread_mutex_lock(&several->users_lock);
    bool recent = several->users_ns && reco__monotonic_ns() - several->users_ns < USERS_NS;
    memcpy(users, several->users, sizeof users);
    pthread_mutex_unlock(&several->users_lock);
    for (uint32_t k = 0; k < several->count; k++) {
        total += users[k];
    }
    if (recent && total + margin <= several->max_users) {
        return RECO_OK;
    }
    reco_status status = reco__several_count_users(users, several, call, err);
    total = 0;
    size_t puts = 0, put_count = 0;
    for (uint32_t k = 0; k < several->count; k++) {
        total += users[k];
    }
    for (size_t i = 0; i < batch->cell_count; i++) {
        puts += batch->cells[i].size > 0;
    }
    if (status != RECO_OK || total + puts <= several->max_users) {
        return status;
    }
    reco_str *names = reco__alloc_array(puts, sizeof *names);
    if (!names) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < batch->cell_count; i++) {
        if (batch->cells[i].size) {
            names[put_count++] = batch->cells[i].user;
        }
    }
    struct known known = {0};
    reco_position position;
    uint64_t epoch;
    status = reco__redis_load(&position, &epoch, several->primaries[reco__several_home(several, batch->partition)], batch->partition, names, puts,
                              see_cell, &known, call, err);
    reco__release(names);
    if (status == RECO_OK && puts > known.seen && total + puts - known.seen > several->max_users) {
        return reco__fail(err, RECO_FULL, "limits.users", "the table of users is full: %llu", (unsigned long long)several->max_users);
    }
    return status;
}

/* --- the batch: writing ---------------------------------------------------------------------------------------------------------------------- */

static reco_status apply_to(reco__several *several, reco__several_split *split, reco__several_era *era, uint32_t k, const reco_batch *batch,
                            const reco_call *call, reco_error *err) {
    bool home = k == reco__several_home(several, batch->partition);
    reco_status status = reco__several_split_groups(split, several, era, k, batch->groups, batch->group_count, call, err);
    split->cell_count = 0;
    if (status == RECO_OK && home) {
        status = reco__several_split_cells(split, several, era, k, batch->cells, NULL, batch->partition, batch->cell_count, call, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco_batch own = {.struct_size = sizeof own,
                      .partition = batch->partition,
                      .epoch = era->epochs[k],
                      .from = batch->from,
                      .to = batch->to,
                      .clock = batch->clock,
                      .cells = split->cells,
                      .cell_count = split->cell_count,
                      .groups = split->groups,
                      .group_count = split->group_count};
    return reco__redis_apply(several->primaries[k], &own, call, err);
}

/* STALE of one that has moved on is no refusal when it has the batch already. */
static reco_status settle_stale(reco__several *several, const reco__several_era *era, uint32_t k, const reco_batch *batch, const reco_call *call,
                                reco_error *err) {
    reco_position positions[RECO__REDIS_PARTITIONS];
    uint64_t epoch;
    reco_status status = reco__redis_positions(positions, &epoch, several->primaries[k], call, NULL);
    if (status == RECO_OK && epoch == era->epochs[k] && fate(several, batch, &positions[batch->partition], k) == PASSES) {
        return RECO_OK;
    }
    return reco__fail(err, RECO_STALE, "from", "primary %u was given other records of partition %u meanwhile", k, batch->partition);
}

reco_status reco__several_apply(reco__several *several, const reco_batch *batch, const reco_call *call, reco_error *err) {
    reco__several_look look;
    reco__several_split split = {0};
    uint32_t home = reco__several_home(several, batch->partition);
    reco_status status = reco__several_look_at(&look, several, call, err);
    if (status == RECO_OK) {
        status = check_batch(several, &look, batch, err);
    }
    if (status == RECO_OK) {
        status = check_users(several, batch, call, err);
    }
    for (uint32_t i = 1; i <= several->count && status == RECO_OK; i++) {
        uint32_t k = (home + i) % several->count; /* the home comes last */
        if (fate(several, batch, &look.at[k][batch->partition], k) == TAKES) {
            status = reco__fault("features.redis.primary", err);
            if (status == RECO_OK) {
                status = apply_to(several, &split, look.era, k, batch, call, err);
            }
            if (status == RECO_STALE && k != home) {
                status = settle_stale(several, look.era, k, batch, call, err);
            }
        }
    }
    if (status == RECO_OK) { /* too many rather than too few, until they are counted again */
        pthread_mutex_lock(&several->users_lock);
        several->users[home] += batch->cell_count;
        pthread_mutex_unlock(&several->users_lock);
    }
    if (status == RECO_OK && batch->flags & RECO_BATCH_HEAL) {
        atomic_fetch_add(&several->healed, 1);
    }
    reco__several_split_dispose(&split);
    return status;
}
