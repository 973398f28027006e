/* lmdb_heads.c - one head per item, kept ready.
 *
 * key: u16 namespace, u32 item (big-endian). value: reco_head_write. An item has a head exactly while it has a row; the head's list of generations is
 * what finds its rows again.
 *
 * When counts grow, the open part is brought up to date from itself and the members touched: the sum of a touched member over the open rows is known
 * or looked up, and nobody else can have come in. For let the head be full and no member of it have lost: whoever is outside and was not touched is
 * still beaten by all of them. A head that is not full holds every member with a positive sum, so it may lose as well. Only a full head of which a
 * member lost is made anew from the rows. The closed part and what belongs to it change at closing alone. An item is closed up to the number in its
 * own head; its rows above that are open to it, whatever the clocks say. */
#include "features/lmdb.h"

#include "features/varint.h"

#define SIDE_BY_SIDE 8u /* heads that are fetched at a time */
#define NOTED INT64_MIN /* closed_at of a head that has only its list of generations yet: it is being restored */

void reco__flmdb_head_key(uint8_t *key, const reco_features_store *store, uint32_t item) {
    reco__be16(key, store->space);
    reco__be32(key + 2, item);
}

/* A head being changed: the frame, with its lists in a copy of the store's, and the generations unpacked. */
struct draft {
    uint32_t item;
    bool found;
    reco_head head;
    int64_t generations[RECO__FLMDB_GENERATIONS];
    size_t generation_count;
};

static reco_status corrupt(uint32_t item, reco_status status, reco_error *err) {
    return reco__fail(err, status == RECO_NEWER ? RECO_NEWER : RECO_CORRUPT, "features", "the head of item %u is damaged or of a newer version",
                      item);
}

static reco_status draft_read(struct draft *draft, reco_features_store *store, uint32_t item, reco__kv_value value, reco_error *err) {
    draft->item = item;
    draft->found = true;
    reco_status status = reco__flmdb_room(&store->head_copy, value.size, 1, err);
    if (status != RECO_OK) {
        return status;
    }
    memcpy(store->head_copy.data, value.data, value.size);
    status = reco_head_read(&draft->head, store->head_copy.data, value.size);
    if (status == RECO_OK) {
        status = reco_generations_unpack(&draft->generation_count, draft->generations, RECO__FLMDB_GENERATIONS, draft->head.generations,
                                         draft->head.generations_size);
    }
    if (status == RECO_OK && draft->generation_count != draft->head.generation_count) {
        status = RECO_CORRUPT;
    }
    return status == RECO_OK ? RECO_OK : corrupt(item, status, err);
}

static void draft_new(struct draft *draft, uint32_t item, int64_t closed_at) {
    draft->item = item;
    draft->found = false;
    memset(&draft->head, 0, sizeof draft->head);
    draft->head.closed_at = closed_at;
    draft->generation_count = 0;
}

/* Place of the first generation >= the given one. */
static size_t generation_place(const struct draft *draft, int64_t generation) {
    size_t at = draft->generation_count;
    while (at > 0 && draft->generations[at - 1] >= generation) {
        at--;
    }
    return at;
}

static reco_status generation_put(struct draft *draft, int64_t generation, reco_error *err) {
    size_t at = generation_place(draft, generation);
    if (at < draft->generation_count && draft->generations[at] == generation) {
        return RECO_OK;
    }
    if (draft->generation_count == RECO__FLMDB_GENERATIONS) {
        return reco__fail(err, RECO_BUSY, "boards", "item %u has rows in %d generations: closing lags behind", draft->item, RECO__FLMDB_GENERATIONS);
    }
    memmove(&draft->generations[at + 1], &draft->generations[at], (draft->generation_count - at) * sizeof draft->generations[0]);
    draft->generations[at] = generation;
    draft->generation_count++;
    return RECO_OK;
}

static void generation_remove(struct draft *draft, int64_t generation) {
    size_t at = generation_place(draft, generation);
    if (at < draft->generation_count && draft->generations[at] == generation) {
        draft->generation_count--;
        memmove(&draft->generations[at], &draft->generations[at + 1], (draft->generation_count - at) * sizeof draft->generations[0]);
    }
}

static size_t first_open(const struct draft *draft) { return generation_place(draft, draft->head.closed_at + 1); }

/* Writes the draft, or deletes the head of an item that has no row left. The heads cursor stands on it when it was found. */
static reco_status draft_write(struct draft *draft, reco_features_store *store, reco__kv_cursor *heads, reco_error *err) {
    if (draft->generation_count == 0) {
        return draft->found ? reco__kv_cursor_delete(heads, err) : RECO_OK;
    }
    uint8_t generations[RECO__FLMDB_GENERATIONS * RECO__VARINT_MAX], key[RECO__FLMDB_HEAD_KEY];
    draft->head.generations = generations;
    draft->head.generations_size = reco_generations_pack(generations, draft->generations, draft->generation_count);
    draft->head.generation_count = (uint32_t)draft->generation_count;
    reco_status status = reco__flmdb_room(&store->head_bytes, RECO_HEAD_BYTES_MAX(draft->generation_count, store->rules.head), 1, err);
    if (status != RECO_OK) {
        return status;
    }
    size_t size = reco_head_write(store->head_bytes.data, store->head_bytes.room, &draft->head);
    if (size == 0) {
        return corrupt(draft->item, RECO_CORRUPT, err);
    }
    reco__flmdb_head_key(key, store, draft->item);
    return draft->found ? reco__kv_cursor_replace(heads, key, sizeof key, store->head_bytes.data, size, err)
                        : reco__kv_cursor_put(heads, key, sizeof key, store->head_bytes.data, size, err);
}

/* --- making parts anew ---------------------------------------------------------------------------------------------------------------- */

static reco_status load_into_maker(reco_features_store *store, reco__kv_cursor *rows, uint32_t item, int64_t generation, reco_error *err) {
    size_t count;
    reco_status status = reco__flmdb_row_load(&store->row, &count, store, rows, RECO_BOARD_COVIEW, generation, item, err);
    if (status == RECO_OK && count == 0) {
        status =
            reco__fail(err, RECO_CORRUPT, "features", "item %u has no row in generation %lld, which its head lists", item, (long long)generation);
    }
    return status == RECO_OK ? reco__head_add_row(&store->maker, generation, store->row.data, count, err) : status;
}

static void take_open(struct draft *draft, const reco_head *made) {
    draft->head.open_sum = made->open_sum;
    draft->head.open_count = made->open_count;
    draft->head.open = made->open;
    draft->head.open_size = made->open_size;
}

static void take_closed(struct draft *draft, const reco_head *made) {
    draft->head.closed_sum = made->closed_sum;
    draft->head.closed_count = made->closed_count;
    draft->head.closed = made->closed;
    draft->head.closed_size = made->closed_size;
}

static reco_status make_open(struct draft *draft, reco_features_store *store, reco__kv_cursor *rows, reco_error *err) {
    reco_status status = RECO_OK;
    reco__head_begin(&store->maker, &store->rules, draft->head.closed_at);
    for (size_t i = first_open(draft); i < draft->generation_count && status == RECO_OK; i++) {
        status = load_into_maker(store, rows, draft->item, draft->generations[i], err);
    }
    if (status == RECO_OK) {
        reco_head made;
        reco_board_names names = reco__flmdb_board_names(store);
        status = reco__head_finish(&made, &store->maker, &names, err);
        if (status == RECO_OK) {
            take_open(draft, &made);
        }
    }
    return status;
}

/* --- after an apply ------------------------------------------------------------------------------------------------------------------- */

/* The members touched, ascending, and their sums over all open rows of the item. */
struct touched {
    const uint32_t *members;
    int64_t *sums;
    size_t count;
};

static reco_status collect_members(struct touched *touched, reco_features_store *store, const reco__flmdb_span *spans, size_t span_count,
                                   reco_error *err) {
    size_t total = 0;
    for (size_t s = 0; s < span_count; s++) {
        total += spans[s].count;
    }
    reco_status status = reco__flmdb_room(&store->members, total, sizeof(uint32_t), err);
    if (status == RECO_OK) {
        status = reco__flmdb_room(&store->looked_up, total, sizeof(int64_t), err);
    }
    if (status != RECO_OK) {
        return status;
    }
    uint32_t *members = store->members.data;
    int64_t *sums = store->looked_up.data;
    touched->members = members;
    touched->sums = sums;
    touched->count = 0;
    for (size_t i = 0; i < spans[0].count; i++) {
        members[i] = spans[0].adds[i].member;
        sums[i] = spans[0].totals[i];
    }
    touched->count = spans[0].count;
    for (size_t s = 1; s < span_count; s++) { /* merged from behind, so that it needs no room of its own; equal members are put once */
        size_t a = touched->count, b = spans[s].count, both = 0;
        for (size_t i = 0, j = 0; i < a && j < b;) {
            uint32_t left = members[i], right = spans[s].adds[j].member;
            both += left == right;
            i += left <= right;
            j += right <= left;
        }
        touched->count = a + b - both;
        for (size_t at = touched->count; b > 0;) {
            uint32_t right = spans[s].adds[b - 1].member;
            if (a > 0 && members[a - 1] >= right) {
                b -= members[a - 1] == right;
                members[--at] = members[--a];
            } else {
                members[--at] = right;
                b--;
            }
        }
    }
    return RECO_OK;
}

static reco_status collect(struct touched *touched, const struct draft *draft, reco_features_store *store, reco__kv_cursor *rows,
                           const reco__flmdb_span *spans, size_t span_count, reco_error *err) {
    reco_status status = collect_members(touched, store, spans, span_count, err);
    size_t open = first_open(draft), open_count = draft->generation_count - open;
    if (span_count == 1 && (open_count == 0 || (open_count == 1 && draft->generations[open] == spans[0].generation))) {
        return status; /* the sums in the row are the sums over all open rows */
    }
    if (status == RECO_OK) {
        memset(touched->sums, 0, touched->count * sizeof *touched->sums);
    }
    for (size_t i = open; i < draft->generation_count && status == RECO_OK; i++) {
        status = reco__flmdb_row_look_up(touched->sums, store, rows, RECO_BOARD_COVIEW, draft->generations[i], draft->item, touched->members,
                                         touched->count, err);
    }
    return status;
}

/* Unpacks the open part; *least is its smallest sum. */
static reco_status unpack_open(reco_features_store *store, const struct draft *draft, int64_t *least, reco_error *err) {
    size_t count, expected = draft->head.open_count;
    *least = INT64_MAX;
    reco_status status = reco__flmdb_room(&store->head_entries, expected, sizeof(reco_entry), err);
    if (status != RECO_OK) {
        return status;
    }
    reco_entry *entries = store->head_entries.data;
    if (expected > store->rules.head || reco_board_unpack(&count, entries, expected, draft->head.open, draft->head.open_size) != RECO_OK ||
        count != expected) {
        return corrupt(draft->item, RECO_CORRUPT, err);
    }
    for (size_t i = 0; i < count; i++) {
        *least = entries[i].sum < *least ? entries[i].sum : *least;
    }
    return RECO_OK;
}

enum { FEW = 16 }; /* entries that are dropped one by one */

/* The `drop` largest of the hashes of entries with the sum `least`, ascending, in worst; the hashes of all of them are left in the store's array. */
static void worst_ties(uint64_t worst[FEW], size_t drop, uint64_t *hashes, const reco_entry *entries, size_t count, int64_t least,
                       const reco__names_hashes *names) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].sum != least) {
            continue;
        }
        uint64_t hash = hashes[i] = reco__names_hash(names, entries[i].member);
        if (found == drop && hash <= worst[0]) {
            continue;
        }
        size_t at = found < drop ? found++ : 0;
        if (found == drop && at == 0 && drop > 1) { /* the smallest goes; the others move down as far as the new one reaches */
            while (at + 1 < drop && worst[at + 1] < hash) {
                worst[at] = worst[at + 1];
                at++;
            }
        } else {
            for (; at > 0 && worst[at - 1] > hash; at--) {
                worst[at] = worst[at - 1];
            }
        }
        worst[at] = hash;
    }
}

/* Drops the `drop` worst entries of a list in which the smallest sum is `least` > 0 and at least `drop` have it: those of them that come last by
 * name. Keeps the order. The usual case of a full head: new pairs come in with the same small sum that the last places have. False, with nothing
 * done, when two names share the deciding hash. */
static bool drop_ties(reco_entry *entries, size_t count, size_t drop, int64_t least, uint64_t *hashes, const reco__names_hashes *names) {
    uint64_t worst[FEW];
    size_t doomed = 0;
    worst_ties(worst, drop, hashes, entries, count, least, names);
    for (size_t i = 0; i < count; i++) {
        doomed += entries[i].sum == least && hashes[i] >= worst[0];
    }
    for (size_t i = 0, kept = 0; doomed == drop && i < count; i++) {
        entries[kept] = entries[i];
        kept += entries[i].sum != least || hashes[i] < worst[0];
    }
    return doomed == drop;
}

/* Cuts a list to its limit. full: it was full before, and none of its sums is below `least`. */
static reco_status cut_open(reco_features_store *store, reco_entry *entries, size_t *count, bool full, int64_t least, reco_error *err) {
    size_t limit = store->rules.head, ties = 0;
    if (*count <= limit) {
        return RECO_OK;
    }
    for (size_t i = 0; i < *count; i++) {
        ties += entries[i].sum == least;
    }
    size_t drop = *count - limit;
    if (full && drop <= FEW && ties >= drop) {
        reco_status status = reco__flmdb_room(&store->hashes, *count, sizeof(uint64_t), err);
        if (status != RECO_OK) {
            return status;
        }
        if (drop_ties(entries, *count, drop, least, store->hashes.data, reco__names_hashes_of(reco__flmdb_names_now(store)))) {
            *count = limit;
            return RECO_OK;
        }
    }
    reco_board_names names = reco__flmdb_board_names(store);
    *count = reco_board_cut(entries, *count, limit, 1, &names);
    return RECO_OK;
}

/* The new open part from the old one and the members touched; *lost when a full head has lost by it and must be made anew. */
static reco_status merge_open(struct draft *draft, reco_features_store *store, const struct touched *touched, bool *lost, reco_error *err) {
    int64_t least;
    reco_status status = unpack_open(store, draft, &least, err);
    if (status == RECO_OK) {
        status = reco__flmdb_room(&store->head_merged, draft->head.open_count + touched->count, sizeof(reco_entry), err);
    }
    if (status != RECO_OK) {
        return status;
    }
    const reco_entry *old = store->head_entries.data;
    reco_entry *merged = store->head_merged.data;
    size_t old_count = draft->head.open_count, count = 0, i = 0;
    bool full = old_count >= store->rules.head;
    for (size_t t = 0; t < touched->count; t++) {
        uint32_t member = touched->members[t];
        int64_t sum = touched->sums[t];
        while (i < old_count && old[i].member < member) {
            merged[count++] = old[i++];
        }
        bool inside = i < old_count && old[i].member == member;
        if (inside) {
            *lost |= full && sum < old[i].sum;
            i++;
        }
        if (sum > 0 && (inside || !full || sum >= least)) {
            merged[count++] = (reco_entry){member, 0, sum};
        }
    }
    if (i < old_count) {
        memcpy(&merged[count], &old[i], (old_count - i) * sizeof *merged);
        count += old_count - i;
    }
    if (*lost) {
        return RECO_OK;
    }
    status = cut_open(store, merged, &count, full, least, err);
    if (status != RECO_OK) {
        return status;
    }
    status =
        reco__flmdb_room(&store->head_bytes, RECO_HEAD_BYTES_MAX(RECO__FLMDB_GENERATIONS, store->rules.head) + count * RECO_PACKED_ENTRY_MAX, 1, err);
    if (status == RECO_OK) { /* packed behind where draft_write puts the whole head */
        uint8_t *place = (uint8_t *)store->head_bytes.data + RECO_HEAD_BYTES_MAX(RECO__FLMDB_GENERATIONS, store->rules.head);
        draft->head.open = place;
        draft->head.open_count = (uint32_t)count;
        draft->head.open_size = reco_board_pack(place, merged, count);
    }
    return status;
}

/* Brings the list of generations up to date, and the sum of the open rows. */
static reco_status note_spans(struct draft *draft, reco_features_store *store, reco__kv_cursor *rows, const reco__flmdb_span *spans,
                              size_t span_count, reco_error *err) {
    int64_t sum = 0;
    for (size_t s = 0; s < span_count; s++) {
        if (spans[s].generation <= draft->head.closed_at) {
            return reco__fail(err, RECO_INVALID, "groups", "an add to generation %lld of item %u, which is closed", (long long)spans[s].generation,
                              draft->item);
        }
        bool exists = true;
        reco_status status = RECO_OK;
        if (spans[s].shrunk) {
            status = reco__flmdb_row_exists(&exists, store, rows, RECO_BOARD_COVIEW, spans[s].generation, draft->item, err);
        }
        if (status == RECO_OK && exists) {
            status = generation_put(draft, spans[s].generation, err);
        } else if (status == RECO_OK) {
            generation_remove(draft, spans[s].generation);
        }
        if (status != RECO_OK) {
            return status;
        }
        for (size_t i = 0; i < spans[s].count; i++) {
            sum = reco__sum_add(sum, spans[s].adds[i].delta);
        }
    }
    draft->head.open_sum = reco__sum_add(draft->head.open_sum, reco__sum_times(sum, store->rules.weight[0]));
    return RECO_OK;
}

reco_status reco__flmdb_head_update(reco__flmdb_work *work, reco__kv_cursor *heads, reco__kv_cursor *rows, uint32_t item,
                                    const reco__flmdb_span *spans, size_t span_count, int64_t closed_at, reco_error *err) {
    reco_features_store *store = work->store;
    struct draft draft;
    uint8_t bytes[RECO__FLMDB_HEAD_KEY];
    reco__flmdb_head_key(bytes, store, item);
    reco__kv_value key = {bytes, sizeof bytes}, value;
    reco_status status = reco__kv_seek(heads, RECO__KV_EXACT, &key, &value, err);
    if (status == RECO_OK) {
        status = draft_read(&draft, store, item, value, err);
    } else if (status == RECO_NOT_FOUND) {
        draft_new(&draft, item, closed_at);
        status = RECO_OK;
    }
    if (status == RECO_OK) {
        status = note_spans(&draft, store, rows, spans, span_count, err);
    }
    struct touched touched = {NULL, NULL, 0};
    bool lost = false;
    if (status == RECO_OK) {
        status = collect(&touched, &draft, store, rows, spans, span_count, err);
    }
    if (status == RECO_OK) {
        status = merge_open(&draft, store, &touched, &lost, err);
    }
    if (status == RECO_OK && lost) {
        status = make_open(&draft, store, rows, err);
    }
    return status == RECO_OK ? draft_write(&draft, store, heads, err) : status;
}

/* --- closing -------------------------------------------------------------------------------------------------------------------------- */

/* Cuts a row that closes now, adds what is left to the maker; *count is 0 when nothing is. */
static reco_status close_row(reco_features_store *store, reco__kv_cursor *rows, uint32_t item, int64_t generation, size_t *count, reco_error *err) {
    size_t before;
    reco_status status = reco__flmdb_row_load(&store->row, &before, store, rows, RECO_BOARD_COVIEW, generation, item, err);
    if (status != RECO_OK) {
        return status;
    }
    reco_board_names names = reco__flmdb_board_names(store);
    *count = reco_board_cut(store->row.data, before, store->rules.cut, 1, &names);
    if (*count < before) {
        status = reco__flmdb_row_delete(store, rows, RECO_BOARD_COVIEW, generation, item, err);
        if (status == RECO_OK && *count) {
            status = reco__flmdb_row_write(store, rows, RECO_BOARD_COVIEW, generation, item, store->row.data, *count, err);
        }
    }
    return status == RECO_OK && *count ? reco__head_add_row(&store->maker, generation, store->row.data, *count, err) : status;
}

/* What becomes of an item's generations on the way to closed_at. */
static reco_status close_generation(struct draft *draft, size_t *at, reco_features_store *store, reco__kv_cursor *rows, int64_t closed_before,
                                    bool remake_closed, bool remake_open, reco_error *err) {
    int64_t generation = draft->generations[*at], closed_at = draft->head.closed_at;
    reco_status status = RECO_OK;
    if (reco_board_expired(&store->rules, RECO_BOARD_COVIEW, generation, closed_at)) {
        status = reco__flmdb_row_delete(store, rows, RECO_BOARD_COVIEW, generation, draft->item, err);
        generation_remove(draft, generation);
        return status;
    }
    if (generation > closed_before && generation <= closed_at) {
        size_t count;
        status = close_row(store, rows, draft->item, generation, &count, err);
        if (status == RECO_OK && count == 0) {
            generation_remove(draft, generation);
            return RECO_OK;
        }
    } else if (generation <= closed_at ? remake_closed : remake_open) {
        status = load_into_maker(store, rows, draft->item, generation, err);
    }
    (*at)++;
    return status;
}

reco_status reco__flmdb_head_close(reco__flmdb_work *work, reco__kv_cursor *heads, reco__kv_cursor *rows, uint32_t item, reco__kv_value value,
                                   int64_t closed_at, reco_error *err) {
    reco_features_store *store = work->store;
    struct draft draft;
    reco_status status = draft_read(&draft, store, item, value, err);
    if (status != RECO_OK || draft.head.closed_at >= closed_at) {
        return status;
    }
    int64_t before = draft.head.closed_at;
    size_t closed = first_open(&draft);
    bool expires = draft.generation_count && reco_board_expired(&store->rules, RECO_BOARD_COVIEW, draft.generations[0], closed_at);
    bool closes = before == NOTED || (closed < draft.generation_count && draft.generations[closed] <= closed_at);
    bool remake_closed = expires || closes || (closed > 0 && !store->flat);
    draft.head.closed_at = closed_at;
    reco__head_begin(&store->maker, &store->rules, closed_at);
    for (size_t i = 0; (remake_closed || closes) && i < draft.generation_count && status == RECO_OK;) {
        status = close_generation(&draft, &i, store, rows, before, remake_closed, closes, err);
    }
    reco_head made;
    reco_board_names names = reco__flmdb_board_names(store);
    if (status == RECO_OK && remake_closed) {
        status = reco__head_finish(&made, &store->maker, &names, err);
        if (status == RECO_OK) {
            take_closed(&draft, &made);
        }
    }
    if (status == RECO_OK && closes) {
        take_open(&draft, &made);
    }
    return status == RECO_OK ? draft_write(&draft, store, heads, err) : status;
}

/* --- restoring, reading --------------------------------------------------------------------------------------------------------------- */

reco_status reco__flmdb_head_note(reco__flmdb_work *work, reco__kv_cursor *heads, uint32_t item, int64_t generation, reco_error *err) {
    reco_features_store *store = work->store;
    struct draft draft;
    uint8_t bytes[RECO__FLMDB_HEAD_KEY];
    reco__flmdb_head_key(bytes, store, item);
    reco__kv_value key = {bytes, sizeof bytes}, value;
    reco_status status = reco__kv_seek(heads, RECO__KV_EXACT, &key, &value, err);
    if (status == RECO_OK) {
        status = draft_read(&draft, store, item, value, err);
    } else if (status == RECO_NOT_FOUND) {
        draft_new(&draft, item, NOTED);
        status = RECO_OK;
    }
    if (status == RECO_OK) {
        status = generation_put(&draft, generation, err);
    }
    return status == RECO_OK ? draft_write(&draft, store, heads, err) : status;
}

/* Where a head lies, and that it is asked of memory; NULL: there is none. */
static reco_status find_head(reco__kv_value *out, reco__kv_txn *txn, const reco_features_store *store, uint32_t item, reco_error *err) {
    uint8_t key[RECO__FLMDB_HEAD_KEY];
    reco__flmdb_head_key(key, store, item);
    reco_status status = reco__kv_get(out, txn, store->heads, key, sizeof key, err);
    if (status == RECO_NOT_FOUND) {
        *out = (reco__kv_value){NULL, 0};
        return RECO_OK;
    }
    for (size_t at = 0; status == RECO_OK && at < out->size; at += 64) {
        __builtin_prefetch((const uint8_t *)out->data + at);
    }
    return status;
}

/* Heads lie anywhere in a file that is larger than any cache: while some are being fetched, the places of the next are looked for. */
reco_status reco__flmdb_heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                              const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    for (size_t i = 0; i < count && status == RECO_OK; i += SIDE_BY_SIDE) {
        reco__kv_value values[SIDE_BY_SIDE];
        size_t some = count - i < SIDE_BY_SIDE ? count - i : SIDE_BY_SIDE;
        for (size_t k = 0; k < some && status == RECO_OK; k++) {
            status = find_head(&values[k], txn, store, items[i + k], err);
        }
        for (size_t k = 0; k < some && status == RECO_OK; k++) {
            if (values[k].data) {
                sink(context, i + k, values[k].data, values[k].size);
            }
        }
    }
    reco__kv_read_end(txn);
    return status;
}
