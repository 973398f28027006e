/* fuzz_lists.c - packed lists of entries, the frames of heads, lists of generations. The first byte of the input says which. A list that unpacks
 * packs to the same bytes; adding to it, looking into it and cutting it give what the unpacked entries say; a head that is read is written to the
 * same bytes. */
#include "features/chunk.h"
#include "fuzz.h"

enum { CHUNK, HEAD, GENERATIONS, KINDS, ENTRIES = 2048, ADDS = 8 };

static int seed(int i, reco__buf *out) {
    const reco_entry entries[] = {{1, 0, 5}, {3, 0, -70}, {9, 0, 1000000}, {70000, 0, INT64_MAX}};
    const int64_t generations[] = {3, 4, 2000};
    uint8_t bytes[512], list[64], packed[64];
    size_t count = (size_t)i % 5;
    if (i >= 15)
        return 0;
    size_t size = reco_board_pack(list, entries, count), extra = reco_generations_pack(packed, generations, count < 3 ? count : 3);
    reco__buf_byte(out, (uint8_t)(i % KINDS));
    if (i % KINDS == CHUNK) {
        reco__buf_byte(out, (uint8_t)count);
        for (uint32_t k = 0; k < count; k++) {
            reco__buf_byte(out, (uint8_t)(2 * k + 1));
            reco__buf_byte(out, (uint8_t)(k + 250));
        }
        reco__buf_add(out, list, size);
    } else if (i % KINDS == HEAD) {
        reco_head head = {.closed_at = 7,
                          .open_sum = 9,
                          .closed_sum = -1,
                          .open_count = (uint32_t)count,
                          .closed_count = (uint32_t)count,
                          .open = list,
                          .open_size = size,
                          .closed = list,
                          .closed_size = size,
                          .generations = packed,
                          .generations_size = extra,
                          .generation_count = (uint32_t)(count < 3 ? count : 3)};
        reco__buf_add(out, bytes, reco_head_write(bytes, sizeof bytes, &head));
    } else {
        reco__buf_add(out, packed, extra);
    }
    return 1;
}

/* Whether entries stand in the order lists have to be in. */
static bool ascend(const reco_entry *entries, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (entries[i].member <= entries[i - 1].member)
            return false;
    return true;
}

/* The sum of a member in a list; 0: it is not there. */
static int64_t sum_of(const reco_entry *entries, size_t count, uint32_t member) {
    for (size_t i = 0; i < count; i++)
        if (entries[i].member == member)
            return entries[i].sum;
    return 0;
}

static void add_to_list(const uint8_t *list, size_t size, const reco_entry *before, size_t before_count, const reco_add *adds, size_t count) {
    static reco_entry after[ENTRIES + ADDS];
    int64_t totals[ADDS + 1], found[ADDS + 1] = {0};
    uint32_t members[ADDS + 1], last;
    size_t made, after_count, next = 0;
    uint8_t *out = malloc(size + count * RECO_PACKED_ENTRY_MAX + 1);
    NEED(out);
    NEED(reco__chunk_add(&made, out, totals, list, size, adds, count) == RECO_OK && made <= size + count * RECO_PACKED_ENTRY_MAX);
    NEED(reco_board_unpack(&after_count, after, ENTRIES + ADDS, out, made) == RECO_OK && ascend(after, after_count));
    for (size_t i = 0; i < count; i++) {
        int64_t total = (int64_t)((uint64_t)sum_of(before, before_count, adds[i].member) + (uint64_t)adds[i].delta);
        NEED(totals[i] == total && sum_of(after, after_count, adds[i].member) == total);
        members[i] = adds[i].member;
    }
    for (size_t i = 0; i < before_count; i++)
        if (sum_of(after, after_count, before[i].member) != before[i].sum) {
            bool added = false;
            for (size_t k = 0; k < count; k++)
                added |= adds[k].member == before[i].member;
            NEED(added);
        }
    NEED(reco__chunk_look_up(found, &next, members, count, list, size) == RECO_OK && next <= count);
    for (size_t i = 0; i < next; i++)
        NEED(found[i] == sum_of(before, before_count, members[i]));
    size_t piece = reco__chunk_piece(&last, list, size, size / 2);
    NEED(piece <= size && (size == 0 || piece > 0));
    PLANT(before_count > 1 && count > 0 && totals[0] == 0);
    free(out);
}

static void fuzz_chunk(const uint8_t *data, size_t size) {
    static reco_entry entries[ENTRIES];
    reco_add adds[ADDS];
    size_t count = size > 0 ? data[0] % ADDS : 0, entry_count;
    uint32_t member = 0;
    if (size < 1 + 2 * count)
        return;
    for (size_t i = 0; i < count; i++) {
        member += data[1 + 2 * i] + (i > 0);
        adds[i] = (reco_add){0, member, (int8_t)data[2 + 2 * i] ? (int8_t)data[2 + 2 * i] : 1};
    }
    const uint8_t *list = data + 1 + 2 * count;
    size_t list_size = size - 1 - 2 * count, made;
    reco_status status = reco_board_unpack(&entry_count, entries, ENTRIES, list, list_size);
    if (status == RECO_OK) {
        uint8_t *again = malloc(list_size + 1);
        NEED(again && reco_board_pack(again, entries, entry_count) == list_size && memcmp(again, list, list_size) == 0);
        free(again);
        bool zero = false;
        for (size_t i = 0; i < entry_count; i++)
            zero |= entries[i].sum == 0;
        if (ascend(entries, entry_count) && !zero)
            add_to_list(list, list_size, entries, entry_count, adds, count);
    } else { /* damaged: whatever comes of it, nothing is read or written beyond */
        int64_t totals[ADDS + 1];
        uint32_t last;
        uint8_t *out = malloc(list_size + count * RECO_PACKED_ENTRY_MAX + 1);
        NEED(status == RECO_CORRUPT && out);
        status = reco__chunk_add(&made, out, totals, list, list_size, adds, count);
        NEED(status == RECO_OK || status == RECO_CORRUPT);
        NEED(reco__chunk_piece(&last, list, list_size, list_size / 2) <= list_size);
        free(out);
    }
}

static void fuzz_head(const uint8_t *data, size_t size) {
    reco_head head;
    reco_status status = reco_head_read(&head, data, size);
    if (status != RECO_OK) {
        NEED(status == RECO_CORRUPT || status == RECO_NEWER);
        return;
    }
    uint8_t *again = malloc(size);
    NEED(again && reco_head_write(again, size, &head) == size && memcmp(again, data, size) == 0);
    NEED(reco_head_write(again, size - 1, &head) == 0);
    free(again);
}

static void fuzz_generations(const uint8_t *data, size_t size) {
    static int64_t generations[ENTRIES];
    size_t count;
    reco_status status = reco_generations_unpack(&count, generations, ENTRIES, data, size);
    if (status != RECO_OK) {
        NEED(status == RECO_CORRUPT);
        return;
    }
    uint8_t *again = malloc(count * 10 + 1);
    NEED(again && reco_generations_pack(again, generations, count) == size && memcmp(again, data, size) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    uint8_t *copy = malloc(size); /* of the exact size, so that reading past the end is seen */
    NEED(copy);
    memcpy(copy + 1, data + 1, size - 1);
    if (data[0] % KINDS == CHUNK)
        fuzz_chunk(copy + 1, size - 1);
    else if (data[0] % KINDS == HEAD)
        fuzz_head(copy + 1, size - 1);
    else
        fuzz_generations(copy + 1, size - 1);
    free(copy);
    return 0;
}
