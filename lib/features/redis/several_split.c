/* several_split.c - what one primary gets of a batch, or of a piece of a snapshot: the rows that are its own, the cells it is home to, all of it in
 * its own numbers. Names it lacks it is given first. */
#include "features/redis/several.h"

#include <stdlib.h>

void reco__several_split_dispose(reco__several_split *split) {
    reco__release(split->adds);
    reco__release(split->groups);
    reco__release(split->missing);
    reco__release(split->cells);
    reco__release(split->cell_partitions);
    reco__buf_dispose(&split->cell_bytes);
    memset(split, 0, sizeof *split);
}

/* --- numbers that are missing -------------------------------------------------------------------------------------------------------------- */

static reco_status note_missing(reco__several_split *split, uint32_t number, reco_error *err) {
    if (split->missing_count == split->missing_room) {
        size_t room = split->missing_room ? split->missing_room * 2 : 256;
        uint32_t *missing = reco__realloc_array(split->missing, room, sizeof *missing);
        if (!missing) {
            return reco__no_memory(err);
        }
        split->missing = missing;
        split->missing_room = room;
    }
    split->missing[split->missing_count++] = number;
    return RECO_OK;
}

static reco_status give_missing(reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k, const reco_call *call,
                                reco_error *err) {
    reco_status status = reco__several_give(several, era, k, split->missing, split->missing_count, call, err);
    split->missing_count = 0;
    return status;
}

/* --- rows ---------------------------------------------------------------------------------------------------------------------------------- */

static reco_status is_own(bool *own, reco__several *several, const reco__several_era *era, uint32_t k, const reco_add_group *group,
                          const reco_add *add, reco_error *err) {
    uint32_t count = reco__names_count(era->names), largest = add->item > add->member ? add->item : add->member;
    if (largest >= count) {
        return reco__fail(err, RECO_INVALID, "groups", "item number %u has no name", largest);
    }
    *own = reco__several_owner(several, era, group->board == RECO_BOARD_COVIEW ? add->item : add->member) == k;
    return RECO_OK;
}

/* Goes over the adds of primary k: counts them, and notes the names it lacks. */
static reco_status survey(size_t *adds, reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k,
                          const reco_add_group *groups, size_t count, reco_error *err) {
    reco_status status = RECO_OK;
    *adds = 0;
    for (size_t g = 0; g < count; g++) {
        for (size_t i = 0; i < groups[g].count && status == RECO_OK; i++) {
            const reco_add *add = &groups[g].adds[i];
            bool own = false;
            status = is_own(&own, several, era, k, &groups[g], add, err);
            if (!own || status != RECO_OK) {
                continue;
            }
            (*adds)++;
            if (groups[g].board == RECO_BOARD_COVIEW && reco__several_number(era, k, add->item) == RECO_NO_ITEM) {
                status = note_missing(split, add->item, err);
            }
            if (status == RECO_OK && reco__several_number(era, k, add->member) == RECO_NO_ITEM) {
                status = note_missing(split, add->member, err);
            }
        }
    }
    return status;
}

static int by_row_and_member(const void *a, const void *b) {
    const reco_add *x = a, *y = b;
    if (x->item != y->item) {
        return x->item < y->item ? -1 : 1;
    }
    return x->member < y->member ? -1 : x->member > y->member;
}

reco_status reco__several_split_groups(reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k,
                                       const reco_add_group *groups, size_t count, const reco_call *call, reco_error *err) {
    size_t adds, next = 0;
    split->group_count = 0;
    reco_status status = survey(&adds, split, several, era, k, groups, count, err);
    if (status == RECO_OK) {
        status = give_missing(split, several, era, k, call, err);
    }
    if (status != RECO_OK || adds == 0) {
        return status;
    }
    reco__release(split->adds);
    reco__release(split->groups);
    split->adds = reco__alloc_array(adds, sizeof *split->adds);
    split->groups = reco__alloc_array(count, sizeof *split->groups);
    if (!split->adds || !split->groups) {
        return reco__no_memory(err);
    }
    for (size_t g = 0; g < count; g++) {
        const reco_add_group *group = &groups[g];
        size_t first = next;
        for (size_t i = 0; i < group->count; i++) {
            bool own = false;
            is_own(&own, several, era, k, group, &group->adds[i], NULL);
            if (own) {
                uint32_t item = group->board == RECO_BOARD_COVIEW ? reco__several_number(era, k, group->adds[i].item) : 0;
                split->adds[next++] = (reco_add){item, reco__several_number(era, k, group->adds[i].member), group->adds[i].delta};
            }
        }
        if (next > first) {
            qsort(split->adds + first, next - first, sizeof *split->adds, by_row_and_member);
            split->groups[split->group_count++] = (reco_add_group){group->board, group->flags, group->generation, split->adds + first, next - first};
        }
    }
    return RECO_OK;
}

/* --- cells --------------------------------------------------------------------------------------------------------------------------------- */

/* Numbers of a cell on their way to primary k. */
struct to_primary {
    reco__several_split *split;
    reco__several_era *era;
    uint32_t k;
    reco_status status;
    reco_error *err;
};

static uint32_t number_to(void *context, uint32_t number) {
    struct to_primary *to = context;
    uint32_t found = reco__several_number(to->era, to->k, number);
    if (found == RECO_NO_ITEM && to->status == RECO_OK) {
        to->status = note_missing(to->split, number, to->err);
    }
    return found;
}

static void take_bytes(void *context, size_t index, const void *data, size_t size) {
    (void)index;
    reco__buf_add(context, data, size);
}

static reco_status cells_once(struct to_primary *to, reco__several *several, const reco_cell_put *cells, const uint32_t *partitions,
                              uint32_t partition, size_t count, reco_error *err) {
    reco__several_split *split = to->split;
    reco_status status = RECO_OK;
    reco__buf_reset(&split->cell_bytes);
    split->cell_count = 0;
    for (size_t i = 0; i < count && status == RECO_OK && to->status == RECO_OK; i++) {
        uint32_t p = partitions ? partitions[i] : partition;
        if (reco__several_home(several, p) != to->k) {
            continue;
        }
        size_t before = split->cell_bytes.size;
        if (several->renumber && cells[i].size) {
            status = several->renumber(take_bytes, &split->cell_bytes, cells[i].data, cells[i].size, number_to, to, err);
        } else {
            reco__buf_add(&split->cell_bytes, cells[i].data, cells[i].size);
        }
        split->cells[split->cell_count] = (reco_cell_put){cells[i].user, NULL, split->cell_bytes.size - before, cells[i].expires_at};
        split->cell_partitions[split->cell_count++] = p;
    }
    return status == RECO_OK ? to->status : status;
}

reco_status reco__several_split_cells(reco__several_split *split, reco__several *several, reco__several_era *era, uint32_t k,
                                      const reco_cell_put *cells, const uint32_t *partitions, uint32_t partition, size_t count, const reco_call *call,
                                      reco_error *err) {
    split->cell_count = 0;
    if (count == 0) {
        return RECO_OK;
    }
    reco__release(split->cells);
    reco__release(split->cell_partitions);
    split->cells = reco__alloc_array(count, sizeof *split->cells);
    split->cell_partitions = reco__alloc_array(count, sizeof *split->cell_partitions);
    if (!split->cells || !split->cell_partitions) {
        return reco__no_memory(err);
    }
    struct to_primary to = {split, era, k, RECO_OK, err};
    reco_status status = cells_once(&to, several, cells, partitions, partition, count, err);
    if (status == RECO_OK && split->missing_count) {
        status = give_missing(split, several, era, k, call, err);
        if (status == RECO_OK) {
            status = cells_once(&to, several, cells, partitions, partition, count, err);
        }
    }
    if (status == RECO_OK) {
        status = reco__buf_status(&split->cell_bytes, err);
    }
    for (size_t i = 0, at = 0; i < split->cell_count && status == RECO_OK; at += split->cells[i++].size) {
        split->cells[i].data = split->cell_bytes.data + at;
    }
    return status;
}

struct from_primary {
    reco__several *several;
    reco__several_era *era;
    uint32_t k;
    const reco_call *call;
    reco_status status;
    reco_error *err;
};

static uint32_t number_from(void *context, uint32_t number) {
    struct from_primary *from = context;
    uint32_t found = RECO_NO_ITEM;
    if (from->status == RECO_OK) {
        from->status = reco__several_back(&found, from->several, from->era, from->k, number, from->call, from->err);
    }
    return found;
}

reco_status reco__several_cell_back(reco__buf *out, reco__several *several, reco__several_era *era, uint32_t k, const void *data, size_t size,
                                    const reco_call *call, reco_error *err) {
    if (!several->renumber || size == 0) {
        reco__buf_add(out, data, size);
        return reco__buf_status(out, err);
    }
    struct from_primary from = {several, era, k, call, RECO_OK, err};
    reco_status status = several->renumber(take_bytes, out, data, size, number_from, &from, from.status == RECO_OK ? err : NULL);
    if (from.status != RECO_OK) {
        return from.status;
    }
    return status == RECO_OK ? reco__buf_status(out, err) : status;
}
