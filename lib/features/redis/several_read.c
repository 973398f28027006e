/* several_read.c - rows, heads, counts and closing over several primaries.
 *
 * An item's heads and rows of co-view are on one primary; a row of popularity has its members on all. What a primary tells is in its numbers and is
 * told on in ours, so it is put together, sorted again by member, and handed over when it is known that the numbers were those of this era. */
#include "features/redis/several.h"

#include <stdlib.h>

enum { PIECE = 4096 /* entries handed over at once */ };

/* --- rows put together ---------------------------------------------------------------------------------------------------------------------- */

static reco_status row_room(reco__several_row *row, size_t more, reco_error *err) {
    if (row->room - row->count < more) {
        size_t room = row->room ? row->room : 256;
        while (room - row->count < more) {
            room *= 2;
        }
        reco_entry *entries = reco__realloc_array(row->entries, room, sizeof *entries);
        if (!entries) {
            return reco__no_memory(err);
        }
        row->entries = entries;
        row->room = room;
    }
    return RECO_OK;
}

reco_status reco__several_row_add(reco__several_row *row, reco__several *several, reco__several_era *era, uint32_t k, const reco_entry *entries,
                                  size_t count, const reco_call *call, reco_error *err) {
    reco_status status = row_room(row, count, err);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        reco_entry entry = {0, 0, entries[i].sum};
        status = reco__several_back(&entry.member, several, era, k, entries[i].member, call, err);
        row->entries[row->count++] = entry;
    }
    return status;
}

static int by_member(const void *a, const void *b) {
    const reco_entry *x = a, *y = b;
    return x->member < y->member ? -1 : x->member > y->member;
}

static void sort_row(reco__several_row *row) {
    if (row->count > 1) {
        qsort(row->entries, row->count, sizeof *row->entries, by_member);
    }
}

reco_status reco__several_row_emit(reco__several_row *row, reco__several_piece take, void *context, reco_error *err) {
    size_t most = row->count < PIECE ? row->count : PIECE, index = 0;
    if (row->count == 0) {
        return RECO_OK;
    }
    uint8_t *packed = reco__alloc(most * RECO_PACKED_ENTRY_MAX);
    if (!packed) {
        return reco__no_memory(err);
    }
    sort_row(row);
    int stop = 0;
    for (size_t at = 0; at < row->count && !stop; at += PIECE) {
        size_t many = row->count - at < PIECE ? row->count - at : PIECE;
        stop = take(context, index++, packed, reco_board_pack(packed, row->entries + at, many));
    }
    reco__release(packed);
    row->count = 0;
    return RECO_OK;
}

/* Pieces of a row as one primary tells it. */
struct told {
    reco__several_row row;
    reco_status status;
};

static void take_piece(void *context, size_t index, const void *data, size_t size) {
    struct told *told = context;
    size_t count = 0;
    (void)index;
    if (told->status == RECO_OK) {
        told->status = row_room(&told->row, size / 5 + 1, NULL);
    }
    if (told->status == RECO_OK) {
        told->status = reco_board_unpack(&count, told->row.entries + told->row.count, told->row.room - told->row.count, data, size);
        told->row.count += count;
    }
}

static reco_status row_of(reco__several_row *row, reco__several *several, reco__several_era *era, uint32_t k, uint32_t board, int64_t generation,
                          uint32_t item, const reco_call *call, reco_error *err) {
    struct told told = {.status = RECO_OK};
    reco_status status = reco__redis_row(several->primaries[k], board, generation, item, take_piece, &told, call, err);
    if (status == RECO_OK && told.status != RECO_OK) {
        status = reco__fail(err, told.status, "row", "a row of primary %u cannot be read", k);
    }
    if (status == RECO_OK && reco__several_holds(several, era, k)) {
        status = reco__several_row_add(row, several, era, k, told.row.entries, told.row.count, call, err);
    }
    reco__release(told.row.entries);
    return status;
}

static bool all_hold(const reco__several *several, const reco__several_era *era) {
    for (uint32_t k = 0; k < several->count; k++) {
        if (!reco__several_holds(several, era, k)) {
            return false;
        }
    }
    return true;
}

struct handing {
    reco_features_sink sink;
    void *context;
};

static int hand_piece(void *context, size_t index, const void *packed, size_t size) {
    const struct handing *handing = context;
    handing->sink(handing->context, index, packed, size);
    return 0;
}

static reco_status row_once(reco__several_row *row, reco__several *several, reco__several_era *era, uint32_t board, int64_t generation, uint32_t item,
                            const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    row->count = 0;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        uint32_t number = 0;
        if (board == RECO_BOARD_COVIEW) {
            if (item >= reco__names_count(era->names) || reco__several_owner(several, era, item) != k) {
                continue;
            }
            status = reco__several_seek(&number, several, era, k, item, call, err);
        }
        if (status == RECO_OK && number != RECO_NO_ITEM) {
            status = row_of(row, several, era, k, board, generation, number, call, err);
        }
    }
    return status;
}

reco_status reco__several_row_read(reco__several *several, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                                   const reco_call *call, reco_error *err) {
    reco__several_row row = {0};
    struct handing handing = {sink, context};
    reco_status status = RECO_OK;
    bool done = false;
    for (int tries = 0; tries < RECO__SEVERAL_TRIES && status == RECO_OK && !done; tries++) {
        reco__several_era *era = reco__several_now(several);
        status = row_once(&row, several, era, board, generation, item, call, err);
        done = status == RECO_OK && all_hold(several, era);
        if (status == RECO_OK && !done) {
            status = reco__several_renew(several, era, call, err);
        }
    }
    if (done) {
        status = reco__several_row_emit(&row, hand_piece, &handing, err);
    } else if (status == RECO_OK) {
        status = reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primaries are emptied or loaded again and again");
    }
    reco__release(row.entries);
    return status;
}

/* --- heads ------------------------------------------------------------------------------------------------------------------------------------ */

/* A packed list in our numbers, appended to `out`. */
static reco_status list_back(reco__buf *out, reco__several *several, reco__several_era *era, uint32_t k, const uint8_t *data, size_t size,
                             uint32_t entries, const reco_call *call, reco_error *err) {
    struct told told = {.status = RECO_OK};
    reco__several_row row = {0};
    reco_status status = RECO_OK;
    if (entries) {
        take_piece(&told, 0, data, size);
        status = told.status == RECO_OK ? RECO_OK : reco__fail(err, told.status, "features", "a head of primary %u cannot be read", k);
    }
    if (status == RECO_OK) {
        status = reco__several_row_add(&row, several, era, k, told.row.entries, told.row.count, call, err);
    }
    if (status == RECO_OK && row.count && reco__buf_reserve(out, row.count * RECO_PACKED_ENTRY_MAX)) {
        sort_row(&row);
        out->size += reco_board_pack((uint8_t *)out->data + out->size, row.entries, row.count);
    }
    reco__release(told.row.entries);
    reco__release(row.entries);
    return status;
}

reco_status reco__several_head_back(reco__buf *out, reco__several *several, reco__several_era *era, uint32_t k, const void *data, size_t size,
                                    const reco_call *call, reco_error *err) {
    reco_head head;
    reco__buf lists = {0};
    reco_status status = reco_head_read(&head, data, size);
    if (status != RECO_OK) {
        return reco__fail(err, status, "features", "a head of primary %u is damaged or of a newer version", k);
    }
    status = list_back(&lists, several, era, k, head.open, head.open_size, head.open_count, call, err);
    size_t open = lists.size;
    if (status == RECO_OK) {
        status = list_back(&lists, several, era, k, head.closed, head.closed_size, head.closed_count, call, err);
    }
    if (status == RECO_OK) {
        status = reco__buf_status(&lists, err);
    }
    size_t room = RECO_HEAD_BYTES_MAX(0, 0) + head.generations_size + lists.size;
    if (status == RECO_OK && reco__buf_reserve(out, room)) {
        head.open = (const uint8_t *)lists.data;
        head.open_size = open;
        head.closed = (const uint8_t *)lists.data + open;
        head.closed_size = lists.size - open;
        out->size += reco_head_write((uint8_t *)out->data + out->size, room, &head);
    }
    reco__buf_dispose(&lists);
    return status == RECO_OK ? reco__buf_status(out, err) : status;
}

/* What is asked of one primary: some of the request. */
struct asking {
    uint32_t *numbers;
    size_t *places; /* of the request */
    size_t count;
    reco__buf bytes;
    size_t *sizes, *order, told;
};

static void take_head(void *context, size_t index, const void *data, size_t size) {
    struct asking *asking = context;
    reco__buf_add(&asking->bytes, data, size);
    asking->sizes[asking->told] = size;
    asking->order[asking->told++] = index;
}

/* Heads told, in our numbers. */
struct answer {
    reco__buf bytes;
    size_t *places, *ends, count;
};

static reco_status heads_of(struct answer *answer, struct asking *asking, reco__several *several, reco__several_era *era, uint32_t k,
                            const uint32_t *items, size_t count, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    bool read_on = false;
    asking->count = asking->told = 0;
    reco__buf_reset(&asking->bytes);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        if (items[i] >= reco__names_count(era->names) || reco__several_owner(several, era, items[i]) != k) {
            continue;
        }
        uint32_t number = reco__several_number(era, k, items[i]);
        if (number == RECO_NO_ITEM && !read_on) { /* its names are read on once */
            read_on = true;
            status = reco__several_seek(&number, several, era, k, items[i], call, err);
        }
        if (number != RECO_NO_ITEM) {
            asking->numbers[asking->count] = number;
            asking->places[asking->count++] = i;
        }
    }
    if (status != RECO_OK || asking->count == 0) {
        return status;
    }
    status = reco__redis_heads(several->primaries[k], asking->numbers, asking->count, take_head, asking, call, err);
    if (status == RECO_OK) {
        status = reco__buf_status(&asking->bytes, err);
    }
    for (size_t i = 0, at = 0; i < asking->told && status == RECO_OK && reco__several_holds(several, era, k); at += asking->sizes[i++]) {
        status = reco__several_head_back(&answer->bytes, several, era, k, asking->bytes.data + at, asking->sizes[i], call, err);
        answer->places[answer->count] = asking->places[asking->order[i]];
        answer->ends[answer->count++] = answer->bytes.size;
    }
    return status;
}

static reco_status heads_once(bool *done, struct answer *answer, struct asking *asking, reco__several *several, const uint32_t *items, size_t count,
                              const reco_call *call, reco_error *err) {
    reco__several_era *era = reco__several_now(several);
    reco_status status = RECO_OK;
    reco__buf_reset(&answer->bytes);
    answer->count = 0;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = heads_of(answer, asking, several, era, k, items, count, call, err);
    }
    *done = status == RECO_OK && all_hold(several, era);
    return status == RECO_OK && !*done ? reco__several_renew(several, era, call, err) : status;
}

reco_status reco__several_heads(reco__several *several, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                                const reco_call *call, reco_error *err) {
    size_t *sizes = reco__alloc_array(count ? count : 1, 5 * sizeof *sizes);
    uint32_t *numbers = reco__alloc_array(count ? count : 1, sizeof *numbers);
    reco_status status = sizes && numbers ? RECO_OK : reco__no_memory(err);
    bool done = false;
    struct answer answer = {.count = 0};
    struct asking asking = {.numbers = numbers};
    if (status == RECO_OK) {
        asking.places = sizes;
        asking.sizes = sizes + count;
        asking.order = sizes + 2 * count;
        answer.places = sizes + 3 * count;
        answer.ends = sizes + 4 * count;
    }
    for (int tries = 0; tries < RECO__SEVERAL_TRIES && status == RECO_OK && !done; tries++) {
        status = heads_once(&done, &answer, &asking, several, items, count, call, err);
    }
    for (size_t i = 0, at = 0; done && i < answer.count; at = answer.ends[i++]) {
        sink(context, answer.places[i], answer.bytes.data + at, answer.ends[i] - at);
    }
    reco__buf_dispose(&answer.bytes);
    reco__buf_dispose(&asking.bytes);
    reco__release(sizes);
    reco__release(numbers);
    return status == RECO_OK && !done ? reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primaries are emptied or loaded again and again")
                                      : status;
}

/* --- generations ------------------------------------------------------------------------------------------------------------------------------ */

static int by_generation(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

reco_status reco__several_generations(int64_t *generations, size_t room, size_t *count, reco__several *several, uint32_t board, const reco_call *call,
                                      reco_error *err) {
    int64_t *all = reco__alloc_array((size_t)several->count * RECO__REDIS_GENERATIONS, sizeof *all);
    size_t found = 0;
    reco_status status = all ? RECO_OK : reco__no_memory(err);
    *count = 0;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        size_t many = 0;
        status = reco__redis_generations(all + found, RECO__REDIS_GENERATIONS, &many, several->primaries[k], board, call, err);
        found += many < RECO__REDIS_GENERATIONS ? many : RECO__REDIS_GENERATIONS;
    }
    if (status == RECO_OK && found) {
        qsort(all, found, sizeof *all, by_generation);
    }
    for (size_t i = 0; i < found && status == RECO_OK; i++) {
        if (i == 0 || all[i] != all[i - 1]) {
            if (*count < room) {
                generations[*count] = all[i];
            }
            ++*count;
        }
    }
    reco__release(all);
    return status;
}

/* --- the rest ------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status info_once(bool *done, reco_features_info *out, reco__redis_state *states, reco__several *several, const reco_call *call,
                             reco_error *err) {
    reco__several_era *era = reco__several_now(several);
    reco_features_info total = {.struct_size = sizeof total, .partitions = several->partitions, .epoch = era->epoch};
    reco_status status = reco__several_states(states, several, RECO__REDIS_USERS | RECO__REDIS_DUE, call, err);
    *done = status == RECO_OK && reco__several_same_epochs(several, era, states);
    if (status == RECO_OK && !*done) {
        return reco__several_renew(several, era, call, err);
    }
    if (status == RECO_OK && states[0].item_count > reco__names_count(era->names)) {
        status = reco__several_follow(several, era, call, err);
    }
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        reco_features_info info;
        reco__redis_info_fill(&info, several->primaries[k], &states[k]);
        total.user_count += info.user_count;
        total.closings_due |= info.closings_due;
    }
    total.item_count = reco__names_count(era->names);
    *out = total;
    return status;
}

reco_status reco__several_info(reco_features_info *out, reco__several *several, const reco_call *call, reco_error *err) {
    reco__redis_state *states = reco__alloc_array(several->count, sizeof *states);
    reco_status status = states ? RECO_OK : reco__no_memory(err);
    bool done = false;
    for (int tries = 0; tries < RECO__SEVERAL_TRIES && status == RECO_OK && !done; tries++) {
        status = info_once(&done, out, states, several, call, err);
    }
    reco__release(states);
    return status == RECO_OK && !done ? reco__fail(err, RECO_UNAVAILABLE, "features", "redis: primaries are emptied or loaded again and again")
                                      : status;
}

reco_status reco__several_close_step(int *more, reco__several *several, int64_t budget_ns, const reco_call *call, reco_error *err) {
    reco_status result = RECO_OK;
    *more = 0;
    for (uint32_t k = 0; k < several->count; k++) { /* one that is away holds up none of the others */
        int some = 0;
        reco_status status = reco__redis_close_step(&some, several->primaries[k], budget_ns / several->count, call, result == RECO_OK ? err : NULL);
        result = result == RECO_OK ? status : result;
        *more |= some;
    }
    return result;
}

reco_status reco__several_settle(reco__several *several, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = reco__redis_settle(several->primaries[k], call, err);
    }
    return status;
}

/* Values of the same name, summed up over the primaries. */
enum { VALUES = 64 };
struct sums {
    struct {
        char name[48];
        uint64_t value;
    } values[VALUES];
    size_t count;
};

static void sum_up(void *context, const char *name, uint64_t value) {
    struct sums *sums = context;
    size_t i = 0;
    while (i < sums->count && strcmp(sums->values[i].name, name) != 0) {
        i++;
    }
    if (i < VALUES && strlen(name) < sizeof sums->values[i].name) {
        if (i == sums->count) {
            memcpy(sums->values[sums->count++].name, name, strlen(name) + 1);
        }
        sums->values[i].value += value;
    }
}

reco_status reco__several_stats(reco__several *several, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                const reco_call *call, reco_error *err) {
    struct sums sums = {.count = 0};
    reco__several_look look;
    reco_status status = reco__several_look_at(&look, several, call, err);
    for (uint32_t k = 0; k < several->count && status == RECO_OK; k++) {
        status = reco__redis_stats(several->primaries[k], sum_up, &sums, call, err);
    }
    for (size_t i = 0; i < sums.count && status == RECO_OK; i++) {
        bool names = strcmp(sums.values[i].name, "names_entries") == 0; /* each primary holds those it needs */
        sink(context, sums.values[i].name, names ? reco__names_count(look.era->names) : sums.values[i].value);
    }
    if (status == RECO_OK) {
        sink(context, "primaries", several->count);
        sink(context, "primaries_behind", atomic_load(&several->behind));
        sink(context, "primaries_healed_batches", atomic_load(&several->healed));
    }
    return status;
}
