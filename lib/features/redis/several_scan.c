/* several_scan.c - everything the primaries hold, as one; and loading a snapshot into them.
 *
 * A scan is true when all primaries stand at the same positions and did so all the while. Rows are read here, for they come in the order of our
 * numbers, under a WATCH of positions on every primary; cells and heads are scans of each primary, held against the same positions. Primaries that
 * do not agree, as between two writes of a batch, end it BUSY: the caller takes it again.
 *
 * A restore is one restore on each primary, side by side: all are emptied before a piece is put anywhere. Broken off it leaves some of them marked;
 * those are emptied when they are opened, which is a primary that lost everything: its cells are learned again, its boards healed. */
#include "features/redis/several.h"

#include <stdlib.h>

enum { ROWS_AT_ONCE = 256 };

struct scan {
    reco__several *several;
    reco__several_look look;
    const reco_features_visitor *visitor;
    const reco_call *call;
    reco_error *err;
    reco__redis_link *links[RECO__SEVERAL_MAX];
    uint32_t items[RECO__SEVERAL_MAX]; /* item count of each, as watched */
    reco__several_row row;
    uint32_t board, item;
    int64_t generation;
    bool stop;
};

static reco_status disagree(reco_error *err) {
    return reco__fail(err, RECO_BUSY, "features", "given up: the primaries do not stand at the same positions");
}

static bool same_positions(const struct scan *scan, const reco_position *positions) {
    return memcmp(positions, scan->look.at[0], scan->several->partitions * sizeof *positions) == 0;
}

/* --- watching -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status watch(struct scan *scan, uint32_t k) {
    reco_features_store *store = scan->several->primaries[k];
    reco_status status = reco__redis_take(&scan->links[k], store, scan->call, scan->err);
    if (status != RECO_OK) {
        scan->links[k] = NULL;
        return status;
    }
    reco__redis_link *link = scan->links[k];
    reco__redis_state state;
    reco__redis_command(link, "WATCH", 2 + store->partitions);
    reco__redis_key(link, store, "meta");
    for (uint32_t p = 0; p < store->partitions; p++) {
        reco__redis_key_number(link, store, "p", p);
    }
    status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_skip(link, 1, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_state_read(&state, link, store, 0, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_busy(&state, scan->err);
    }
    if (status == RECO_OK) {
        status = reco__redis_follow(store, link, &state, scan->err);
    }
    if (status == RECO_OK && (!same_positions(scan, state.positions) || !link->watching || !reco__several_holds(scan->several, scan->look.era, k))) {
        status = disagree(scan->err);
    }
    scan->items[k] = status == RECO_OK ? state.item_count : 0;
    return status;
}

/* Fails when something was learned since. */
static reco_status unwatch(struct scan *scan, uint32_t k) {
    const redisReply *reply;
    reco__redis_link *link = scan->links[k];
    bool watching = link->watching;
    reco__redis_command(link, "MULTI", 1);
    reco__redis_command(link, "PING", 1);
    reco__redis_command(link, "EXEC", 1);
    reco_status status = reco__redis_send(link, scan->err);
    if (status == RECO_OK) {
        status = reco__redis_exec(&reply, link, 1, scan->err);
    }
    return status == RECO_STALE || (status == RECO_OK && !watching)
               ? reco__fail(scan->err, RECO_BUSY, "features", "given up: something was learned during the scan")
               : status;
}

/* --- rows -------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status add_value(struct scan *scan, uint32_t k, const redisReply *value) {
    size_t count = 0;
    if (!reco__redis_is_bytes(value)) {
        return RECO_OK;
    }
    reco_status status = reco__redis_row_read(&count, scan->links[k], value->str, value->len, scan->err);
    return status == RECO_OK
               ? reco__several_row_add(&scan->row, scan->several, scan->look.era, k, scan->links[k]->row.data, count, scan->call, scan->err)
               : status;
}

static int hand_row(void *context, size_t index, const void *packed, size_t size) {
    struct scan *scan = context;
    (void)index;
    scan->stop = scan->visitor->row(scan->visitor->context, scan->board, scan->generation, scan->item, packed, size) != 0;
    return scan->stop;
}

/* Values of one primary: `many` replies in one array. */
static reco_status fetch(const redisReply **out, struct scan *scan, uint32_t k, size_t many) {
    reco_status status = reco__redis_send(scan->links[k], scan->err);
    if (status == RECO_OK) {
        status = reco__redis_reply(out, scan->links[k], scan->err);
    }
    if (status == RECO_OK && ((*out)->type != REDIS_REPLY_ARRAY || (*out)->elements != many)) {
        status = reco__redis_strange("rows", scan->err);
    }
    return status;
}

static reco_status scan_popularity(struct scan *scan) {
    reco_status status = RECO_OK;
    scan->item = 0;
    for (uint32_t k = 0; k < scan->several->count && status == RECO_OK; k++) {
        uint32_t shards = scan->items[k] / RECO__REDIS_SHARD + 1;
        for (uint32_t from = 0; from < shards && status == RECO_OK; from += ROWS_AT_ONCE) {
            uint32_t many = shards - from < ROWS_AT_ONCE ? shards - from : ROWS_AT_ONCE;
            const redisReply *reply;
            reco__redis_command(scan->links[k], "MGET", 1 + many);
            for (uint32_t shard = from; shard < from + many; shard++) {
                reco__redis_key_popular(scan->links[k], scan->several->primaries[k], scan->board, scan->generation, shard);
            }
            status = fetch(&reply, scan, k, many);
            for (uint32_t i = 0; i < many && status == RECO_OK; i++) {
                status = add_value(scan, k, reply->element[i]);
            }
        }
    }
    return status == RECO_OK ? reco__several_row_emit(&scan->row, hand_row, scan, scan->err) : status;
}

/* Rows of co-view of some items, in the order of our numbers: asked of every primary at once, taken as they come. */
static reco_status scan_items(struct scan *scan, uint32_t from, uint32_t many) {
    reco__several *several = scan->several;
    reco__several_era *era = scan->look.era;
    const redisReply *replies[RECO__SEVERAL_MAX] = {NULL};
    size_t counts[RECO__SEVERAL_MAX] = {0}, next[RECO__SEVERAL_MAX] = {0};
    uint32_t owners[ROWS_AT_ONCE], numbers[ROWS_AT_ONCE];
    reco_status status = RECO_OK;
    for (uint32_t i = 0; i < many; i++) {
        owners[i] = reco__several_owner(several, era, from + i);
        numbers[i] = reco__several_number(era, owners[i], from + i); /* all names of the primary are read: without number it has no row */
        counts[owners[i]] += numbers[i] != RECO_NO_ITEM;
    }
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        if (counts[k]) {
            reco__redis_command(scan->links[k], "MGET", 1 + counts[k]);
            for (uint32_t i = 0; i < many; i++) {
                if (owners[i] == k && numbers[i] != RECO_NO_ITEM) {
                    reco__redis_key_row(scan->links[k], several->primaries[k], numbers[i], scan->generation);
                }
            }
            status = fetch(&replies[k], scan, k, counts[k]);
        }
    }
    for (uint32_t i = 0; i < many && status == RECO_OK && !scan->stop; i++) {
        if (numbers[i] != RECO_NO_ITEM) {
            uint32_t k = owners[i];
            scan->item = from + i;
            status = add_value(scan, k, replies[k]->element[next[k]++]);
            if (status == RECO_OK) {
                status = reco__several_row_emit(&scan->row, hand_row, scan, scan->err);
            }
        }
    }
    return status;
}

static reco_status scan_coview(struct scan *scan) {
    uint32_t count = reco__names_count(scan->look.era->names);
    reco_status status = RECO_OK;
    for (uint32_t from = 0; from < count && status == RECO_OK && !scan->stop; from += ROWS_AT_ONCE) {
        status = scan_items(scan, from, count - from < ROWS_AT_ONCE ? count - from : ROWS_AT_ONCE);
        if (status == RECO_OK) {
            status = reco__call_check(scan->call, scan->err);
        }
    }
    return status;
}

static int by_generation(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The generations any primary lists, ascending, each once; to be released. */
static reco_status list_generations(int64_t **out, size_t *count, struct scan *scan) {
    reco_status status = RECO_OK;
    size_t found = 0;
    *out = NULL;
    *count = 0;
    for (uint32_t k = 0; k < scan->several->count && status == RECO_OK; k++) {
        size_t many = 0;
        reco__redis_generations_ask(scan->links[k], scan->several->primaries[k], scan->board);
        status = reco__redis_send(scan->links[k], scan->err);
        if (status == RECO_OK) {
            status = reco__redis_generations_take(&many, scan->links[k], scan->err);
        }
        int64_t *larger = status == RECO_OK ? reco__realloc_array(*out, found + many + 1, sizeof *larger) : NULL;
        if (status == RECO_OK && !larger) {
            status = reco__no_memory(scan->err);
        }
        if (status == RECO_OK) {
            *out = larger;
            memcpy(*out + found, scan->links[k]->list.data, many * sizeof **out);
            found += many;
        }
    }
    if (status == RECO_OK && found) {
        qsort(*out, found, sizeof **out, by_generation);
    }
    for (size_t i = 0; i < found && status == RECO_OK; i++) {
        if (*count == 0 || (*out)[*count - 1] != (*out)[i]) {
            (*out)[(*count)++] = (*out)[i];
        }
    }
    return status;
}

static reco_status scan_rows(struct scan *scan) {
    reco_status status = RECO_OK;
    for (scan->board = 0; scan->board < RECO_BOARD_COUNT && status == RECO_OK && !scan->stop; scan->board++) {
        int64_t *generations;
        size_t count;
        status = list_generations(&generations, &count, scan);
        for (size_t i = 0; i < count && status == RECO_OK && !scan->stop; i++) {
            scan->generation = generations[i];
            status = scan->board == RECO_BOARD_COVIEW ? scan_coview(scan) : scan_popularity(scan);
        }
        reco__release(generations);
    }
    return status;
}

static reco_status watched_rows(struct scan *scan) {
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < scan->several->count && status == RECO_OK; k++) {
        status = watch(scan, k);
    }
    if (status == RECO_OK) {
        status = scan_rows(scan);
    }
    for (uint32_t k = 0; k < scan->several->count && status == RECO_OK && !scan->stop; k++) {
        status = unwatch(scan, k);
    }
    for (uint32_t k = 0; k < scan->several->count && scan->links[k]; k++) {
        reco__redis_give(scan->several->primaries[k], scan->links[k]);
    }
    return status;
}

/* --- cells and heads --------------------------------------------------------------------------------------------------------------------------- */

/* One primary's part. */
struct part {
    struct scan *scan;
    uint32_t k;
    reco__buf bytes;
    reco_status status;
};

static int part_state(void *context, const reco_features_info *info, const reco_position *positions) {
    struct part *part = context;
    const reco__several_era *era = part->scan->look.era;
    bool same =
        same_positions(part->scan, positions) && info->epoch == era->epochs[part->k] && reco__several_holds(part->scan->several, era, part->k);
    part->status = same ? RECO_OK : disagree(part->scan->err);
    return !same;
}

static int part_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    struct part *part = context;
    struct scan *scan = part->scan;
    reco__buf_reset(&part->bytes);
    part->status = reco__several_cell_back(&part->bytes, scan->several, scan->look.era, part->k, data, size, scan->call, scan->err);
    if (part->status == RECO_OK) {
        scan->stop = scan->visitor->cell(scan->visitor->context, partition, user, part->bytes.data, part->bytes.size, expires_at) != 0;
    }
    return part->status != RECO_OK || scan->stop;
}

static int part_head(void *context, uint32_t item, const void *data, size_t size) {
    struct part *part = context;
    struct scan *scan = part->scan;
    uint32_t number = RECO_NO_ITEM;
    reco__buf_reset(&part->bytes);
    part->status = reco__several_back(&number, scan->several, scan->look.era, part->k, item, scan->call, scan->err);
    if (part->status == RECO_OK) {
        part->status = reco__several_head_back(&part->bytes, scan->several, scan->look.era, part->k, data, size, scan->call, scan->err);
    }
    if (part->status == RECO_OK) {
        scan->stop = scan->visitor->head(scan->visitor->context, number, part->bytes.data, part->bytes.size) != 0;
    }
    return part->status != RECO_OK || scan->stop;
}

static reco_status scan_parts(struct scan *scan, bool heads) {
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < scan->several->count && status == RECO_OK && !scan->stop; k++) {
        struct part part = {.scan = scan, .k = k};
        reco_features_visitor visitor = {.context = &part, .state = part_state};
        visitor.cell = heads ? NULL : part_cell;
        visitor.head = heads ? part_head : NULL;
        status = reco__redis_scan(scan->several->primaries[k], &visitor, scan->call, scan->err);
        status = part.status != RECO_OK ? part.status : status;
        reco__buf_dispose(&part.bytes);
    }
    return status;
}

static reco_status scan_all(struct scan *scan) {
    const reco_features_visitor *visitor = scan->visitor;
    reco_features_info info;
    reco_status status = reco__several_info(&info, scan->several, scan->call, scan->err);
    if (status == RECO_OK) {
        status = reco__several_look_at(&scan->look, scan->several, scan->call, scan->err);
    }
    if (status == RECO_OK && info.epoch != scan->look.era->epoch) {
        status = disagree(scan->err);
    }
    for (uint32_t k = 1; k < scan->several->count && status == RECO_OK; k++) {
        if (!same_positions(scan, scan->look.at[k])) {
            status = disagree(scan->err);
        }
    }
    if (status == RECO_OK && visitor->state) {
        scan->stop = visitor->state(visitor->context, &info, scan->look.at[0]) != 0;
    }
    if (status == RECO_OK && visitor->row && !scan->stop) {
        status = watched_rows(scan);
    }
    if (status == RECO_OK && visitor->cell && !scan->stop) {
        status = scan_parts(scan, false);
    }
    return status == RECO_OK && visitor->head && !scan->stop ? scan_parts(scan, true) : status;
}

reco_status reco__several_scan(reco__several *several, const reco_features_visitor *visitor, const reco_call *call, reco_error *err) {
    struct scan *scan = reco__zalloc(sizeof *scan);
    if (!scan) {
        return reco__no_memory(err);
    }
    scan->several = several;
    scan->visitor = visitor;
    scan->call = call;
    scan->err = err;
    reco_status status = scan_all(scan);
    reco__release(scan->row.entries);
    reco__release(scan);
    return status;
}

/* --- restore -------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status restore_flags(reco__several *several, uint32_t flags, const reco_position *positions, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        reco_restore_piece own = {.struct_size = sizeof own, .flags = flags, .positions = positions};
        status = reco__redis_restore(several->primaries[k], &own, call, err);
    }
    return status;
}

/* The limit holds over all primaries. */
static reco_status check_users(reco__several *several, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    uint64_t users[RECO__SEVERAL_MAX], total = piece->cell_count;
    reco_status status = piece->cell_count ? reco__several_count_users(users, several, call, err) : RECO_OK;
    for (uint32_t k = 0; piece->cell_count && k < several->count && status == RECO_OK; k++) {
        total += users[k];
    }
    if (status == RECO_OK && total > several->max_users) {
        status = reco__fail(err, RECO_FULL, "limits.users", "the table of users is full: %llu", (unsigned long long)several->max_users);
    }
    return status;
}

static reco_status restore_rest(reco__several *several, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    reco__several_split split = {0};
    reco__several_era *era = reco__several_now(several);
    reco_status status = check_users(several, piece, call, err);
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = reco__several_split_groups(&split, several, era, k, piece->groups, piece->group_count, call, err);
        if (status == RECO_OK) {
            status = reco__several_split_cells(&split, several, era, k, piece->cells, piece->cell_partitions, 0, piece->cell_count, call, err);
        }
        if (status == RECO_OK && (split.group_count || split.cell_count)) {
            reco_restore_piece own = {.struct_size = sizeof own,
                                      .groups = split.groups,
                                      .group_count = split.group_count,
                                      .cells = split.cells,
                                      .cell_partitions = split.cell_partitions,
                                      .cell_count = split.cell_count};
            status = reco__redis_restore(several->primaries[k], &own, call, err);
        }
    }
    reco__several_split_dispose(&split);
    return status;
}

reco_status reco__several_restore(reco__several *several, const reco_restore_piece *piece, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    pthread_mutex_lock(&several->restore_lock);
    for (size_t i = 0; i < piece->cell_count && status == RECO_OK; i++) {
        if (piece->cell_partitions[i] >= several->partitions) {
            status =
                reco__fail_at(err, RECO_INVALID, (int32_t)i, "cell_partitions", "partition %u of %u", piece->cell_partitions[i], several->partitions);
        }
    }
    if (status == RECO_OK && piece->flags & RECO_RESTORE_FIRST) {
        status = restore_flags(several, RECO_RESTORE_FIRST, NULL, call, err);
        if (status == RECO_OK) {
            status = reco__several_renew(several, reco__several_now(several), call, err);
        }
    }
    if (status == RECO_OK && (piece->group_count || piece->cell_count)) {
        status = restore_rest(several, piece, call, err);
    }
    if (status == RECO_OK && piece->flags & RECO_RESTORE_LAST) {
        status = restore_flags(several, RECO_RESTORE_LAST, piece->positions, call, err);
        if (status == RECO_OK) {
            status = reco__several_renew(several, reco__several_now(several), call, err);
        }
    }
    pthread_mutex_unlock(&several->restore_lock);
    return status;
}
