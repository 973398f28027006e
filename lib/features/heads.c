/* heads.c - what a head is, as code: DESIGN's definition, once.
 *
 * The open part is the top of the sum of the open rows; the closed part the top of the sum of the closed rows, each multiplied by the weight of its
 * age counted from closed_at. The two sums beside them are over all members of those rows, whatever the tops leave out: open ones times the newest
 * weight, closed ones by age. The backend keeps heads up to date by shorter ways (lmdb_heads.c) and comes here when those do not serve; verify
 * compares with this. */
#include "features/heads.h"

#include "features/varint.h"

/* --- tally ---------------------------------------------------------------------------------------------------------------------------- */

/* While it is being filled, `unused` of an entry is its slot: emptying costs what was put in, not what was ever held. */
static void clear_slots(reco__tally *tally) {
    for (size_t i = 0; i < tally->count; i++) {
        tally->slots[tally->entries[i].unused] = 0;
        tally->entries[i].unused = 0;
    }
}

void reco__tally_reset(reco__tally *tally) {
    if (!tally->sealed) {
        clear_slots(tally);
    }
    tally->sealed = false;
    tally->count = 0;
}

/* The entries may be moved from here on; nothing can be added until the next reset. */
static void seal(reco__tally *tally) {
    clear_slots(tally);
    tally->sealed = true;
}

void reco__tally_dispose(reco__tally *tally) {
    reco__release(tally->entries);
    reco__release(tally->slots);
    memset(tally, 0, sizeof *tally);
}

static inline uint32_t slot_of(const reco__tally *tally, uint32_t member) {
    size_t mask = tally->slot_count - 1, at = (size_t)((member * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;
    while (tally->slots[at] && tally->entries[tally->slots[at] - 1].member != member) {
        at = (at + 1) & mask;
    }
    return (uint32_t)at;
}

static reco_status grow(reco__tally *tally, size_t more) {
    size_t room = tally->room ? tally->room : 256;
    while (room < tally->count + more) {
        room *= 2;
    }
    reco_entry *entries = reco__realloc_array(tally->entries, room, sizeof *entries);
    if (!entries) {
        return RECO_NO_MEMORY;
    }
    tally->entries = entries;
    uint32_t *slots = reco__alloc_array(room * 2, sizeof *slots);
    if (!slots) {
        return RECO_NO_MEMORY;
    }
    memset(slots, 0, room * 2 * sizeof *slots);
    reco__release(tally->slots);
    tally->slots = slots;
    tally->slot_count = room * 2;
    tally->room = room;
    for (size_t i = 0; i < tally->count; i++) {
        entries[i].unused = slot_of(tally, entries[i].member);
        slots[entries[i].unused] = (uint32_t)i + 1;
    }
    return RECO_OK;
}

reco_status reco__tally_add(reco__tally *tally, const reco_entry *entries, size_t count, int64_t weight) {
    reco_status status = tally->room - tally->count < count ? grow(tally, count) : RECO_OK;
    for (size_t i = 0; status == RECO_OK && i < count; i++) {
        int64_t sum = reco__sum_times(entries[i].sum, weight);
        uint32_t slot = slot_of(tally, entries[i].member);
        if (tally->slots[slot]) {
            reco_entry *entry = &tally->entries[tally->slots[slot] - 1];
            entry->sum = reco__sum_add(entry->sum, sum);
        } else {
            tally->entries[tally->count++] = (reco_entry){entries[i].member, slot, sum};
            tally->slots[slot] = (uint32_t)tally->count;
        }
    }
    return status;
}

/* --- maker ---------------------------------------------------------------------------------------------------------------------------- */

void reco__head_begin(reco__head_maker *maker, const reco_board_rules *rules, int64_t closed_at) {
    maker->rules = rules;
    maker->closed_at = closed_at;
    maker->open_sum = maker->closed_sum = 0;
    maker->generation_count = 0;
    reco__tally_reset(&maker->open);
    reco__tally_reset(&maker->closed);
}

void reco__head_dispose(reco__head_maker *maker) {
    reco__tally_dispose(&maker->open);
    reco__tally_dispose(&maker->closed);
    reco__release(maker->bytes);
    maker->bytes = NULL;
    maker->bytes_room = 0;
}

reco_status reco__head_add_row(reco__head_maker *maker, int64_t generation, const reco_entry *entries, size_t count, reco_error *err) {
    if (maker->generation_count == RECO_GENERATIONS_MAX * 2) {
        return reco__fail(err, RECO_BUSY, "boards", "an item has rows in more than %u generations: closing lags behind", RECO_GENERATIONS_MAX * 2);
    }
    maker->generations[maker->generation_count++] = generation;
    bool open = generation > maker->closed_at;
    int64_t weight = maker->rules->weight[open ? 0 : maker->closed_at - generation], sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum = reco__sum_add(sum, entries[i].sum);
    }
    sum = reco__sum_times(sum, weight);
    int64_t *total = open ? &maker->open_sum : &maker->closed_sum;
    *total = reco__sum_add(*total, sum);
    if (!open && weight == 0) {
        return RECO_OK;
    }
    return reco__tally_add(open ? &maker->open : &maker->closed, entries, count, open ? 1 : weight) == RECO_OK ? RECO_OK : reco__no_memory(err);
}

reco_status reco__head_finish(reco_head *out, reco__head_maker *maker, const reco_board_names *names, reco_error *err) {
    size_t limit = maker->rules->head;
    seal(&maker->open);
    seal(&maker->closed);
    size_t open = reco_board_cut(maker->open.entries, maker->open.count, limit, 1, names);
    size_t closed = reco_board_cut(maker->closed.entries, maker->closed.count, limit, 1, names);
    size_t room = RECO_HEAD_BYTES_MAX(maker->generation_count, limit);
    if (maker->bytes_room < room) {
        uint8_t *bytes = reco__realloc(maker->bytes, room);
        if (!bytes) {
            return reco__no_memory(err);
        }
        maker->bytes = bytes;
        maker->bytes_room = room;
    }
    memset(out, 0, sizeof *out);
    out->closed_at = maker->closed_at;
    out->open_sum = maker->open_sum;
    out->closed_sum = maker->closed_sum;
    out->open_count = (uint32_t)open;
    out->closed_count = (uint32_t)closed;
    out->generation_count = (uint32_t)maker->generation_count;
    uint8_t *at = maker->bytes;
    out->generations = at;
    out->generations_size = reco_generations_pack(at, maker->generations, maker->generation_count);
    out->open = at += out->generations_size;
    out->open_size = reco_board_pack(at, maker->open.entries, open);
    out->closed = at += out->open_size;
    out->closed_size = reco_board_pack(at, maker->closed.entries, closed);
    return RECO_OK;
}

/* --- for verify and tests ------------------------------------------------------------------------------------------------------------- */

/* Adds one row as it stands at closed_at. */
static reco_status add_as_due(reco__head_maker *maker, const reco__features_piece *row, reco_entry **copy, size_t *room,
                              const reco_board_names *names, reco_error *err) {
    if (row->generation > maker->closed_at) {
        return row->count ? reco__head_add_row(maker, row->generation, row->entries, row->count, err) : RECO_OK;
    }
    if (reco_board_expired(maker->rules, RECO_BOARD_COVIEW, row->generation, maker->closed_at)) {
        return RECO_OK;
    }
    if (*room < row->count) {
        reco_entry *larger = reco__realloc_array(*copy, row->count, sizeof *larger);
        if (!larger) {
            return reco__no_memory(err);
        }
        *copy = larger;
        *room = row->count;
    }
    if (row->count) {
        memcpy(*copy, row->entries, row->count * sizeof **copy);
    }
    size_t count = reco_board_cut(*copy, row->count, maker->rules->cut, 1, names);
    return count ? reco__head_add_row(maker, row->generation, *copy, count, err) : RECO_OK;
}

static void append_head(reco__buf *out, const reco_head *head) {
    size_t room = RECO_HEAD_BYTES_MAX(0, 0) + head->generations_size + head->open_size + head->closed_size;
    if (reco__buf_reserve(out, room)) {
        out->size += reco_head_write((uint8_t *)out->data + out->size, room, head);
    }
}

reco_status reco__features_recompute_head(reco__buf *out, const reco__features_piece *rows, size_t row_count, int64_t closed_at,
                                          const reco_board_rules *rules, const reco_board_names *names, reco_error *err) {
    reco__head_maker *maker = reco__zalloc(sizeof *maker);
    if (!maker) {
        return reco__no_memory(err);
    }
    reco_entry *copy = NULL;
    size_t room = 0;
    reco_status status = RECO_OK;
    reco__head_begin(maker, rules, closed_at);
    for (size_t i = 0; i < row_count && status == RECO_OK; i++) {
        status = add_as_due(maker, &rows[i], &copy, &room, names, err);
    }
    if (status == RECO_OK && maker->generation_count) {
        reco_head head;
        status = reco__head_finish(&head, maker, names, err);
        if (status == RECO_OK) {
            append_head(out, &head);
            status = reco__buf_status(out, err);
        }
    }
    reco__head_dispose(maker);
    reco__release(maker);
    reco__release(copy);
    return status;
}
