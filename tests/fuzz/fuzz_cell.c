/* fuzz_cell.c - a user's cell, stored and canonical. The first byte of the input says which, and whether a stored one gets a right checksum. What is
 * decoded survives both forms: the stored form of it reads back as the same cell, and so does the canonical one, byte by byte. */
#include "fuzz.h"
#include "learn/learn.h"

enum { STORED = 1, SIGNED = 2, TOUCHES = 12 };

static void make_cell(reco__cell *cell, int i) {
    static reco__touch touches[TOUCHES] = {{0, 3, 1700000000000},
                                           {7, 1, 1700000001000},
                                           {300, 0, 1699999999000},
                                           {2, 1, 0},
                                           {3, 1, 0},
                                           {4, 1, 0},
                                           {5, 0, 0},
                                           {6, 1, 0},
                                           {8, 1, 0},
                                           {9, 0, 0},
                                           {10, 1, 0},
                                           {11, 1, 0}};
    static uint32_t hidden[2] = {5, 1};
    static struct reco__seen_id ids[2] = {{0x123456789abcdef, 1700000000000}, {1, 1700000001000}};
    *cell = (reco__cell){.last = 1700000002000,
                         .session_hash = i & 1 ? 77 : 0,
                         .session_count = (uint32_t)i % 3,
                         .touch_count = (uint32_t)i % 5 * 3,
                         .touches = touches,
                         .hidden_count = (uint32_t)i % 3,
                         .hidden = hidden,
                         .id_count = (uint32_t)i % 3,
                         .ids = ids};
    cell->session_count = cell->session_count < cell->touch_count ? cell->session_count : cell->touch_count;
}

/* Items are called by their numbers. */
static reco_status name_of(void *context, uint32_t number, reco_str *name) {
    char *text = context;
    *name = (reco_str){text, (size_t)snprintf(text, 16, "%u", number)};
    return RECO_OK;
}

static reco_status number_of(void *context, reco_str name, uint32_t *number) {
    char again[16];
    unsigned long value = 0;
    (void)context;
    for (size_t i = 0; i < name.size && i < 10; i++)
        value = value * 10 + (unsigned long)(name.data[i] - '0');
    *number = (uint32_t)value;
    int size = snprintf(again, sizeof again, "%u", *number);
    return (size_t)size == name.size && memcmp(again, name.data, name.size) == 0 ? RECO_OK : RECO_CORRUPT;
}

static int seed(int i, reco__buf *out) {
    reco__cell cell;
    char text[16];
    make_cell(&cell, i);
    reco__buf_byte(out, i < 8 ? STORED | SIGNED : 0);
    if (i < 8)
        reco__cell_encode(out, &cell);
    else
        reco__cell_to_canonical(out, &cell, name_of, text, NULL);
    return i < 16;
}

static void check(const reco__cell *cell) {
    reco__buf stored = {0}, again = {0}, canonical = {0}, canonical_again = {0};
    reco__cell back = {0};
    char text[16];
    reco__cell_encode(&stored, cell);
    NEED(stored.failed == RECO_OK && reco__cell_decode(&back, stored.data, stored.size, NULL) == RECO_OK);
    reco__cell_encode(&again, &back);
    NEED(again.size == stored.size && memcmp(again.data, stored.data, stored.size) == 0);
    NEED(reco__cell_to_canonical(&canonical, cell, name_of, text, NULL) == RECO_OK);
    NEED(reco__cell_from_canonical(&back, canonical.data, canonical.size, number_of, NULL, NULL) == RECO_OK);
    NEED(reco__cell_to_canonical(&canonical_again, &back, name_of, text, NULL) == RECO_OK);
    NEED(canonical.size == canonical_again.size && memcmp(canonical.data, canonical_again.data, canonical.size) == 0);
    reco__cell_dispose(&back);
    reco__buf_dispose(&stored);
    reco__buf_dispose(&again);
    reco__buf_dispose(&canonical);
    reco__buf_dispose(&canonical_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    uint8_t *copy = malloc(--size); /* of the exact size, so that reading past the end is seen */
    NEED(copy);
    memcpy(copy, data + 1, size);
    if ((data[0] & SIGNED) && size > 4) {
        uint32_t checksum = reco__checksum(copy, size - 4);
        memcpy(copy + size - 4, &checksum, 4);
    }
    reco__cell cell = {0};
    reco_error err = RECO_ERROR_INIT;
    reco_status status =
        data[0] & STORED ? reco__cell_decode(&cell, copy, size, &err) : reco__cell_from_canonical(&cell, copy, size, number_of, NULL, &err);
    if (status == RECO_OK) {
        check(&cell);
        PLANT(cell.touch_count > 3 && cell.session_count > 2);
    } else {
        NEED((status == RECO_CORRUPT || status == RECO_NEWER) && err.text[0]);
        NEED(cell.last == 0 && cell.touch_count == 0 && cell.hidden_count == 0 && cell.id_count == 0);
    }
    reco__cell_dispose(&cell);
    free(copy);
    return 0;
}
