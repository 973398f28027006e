/* The stored form of a cell and its canonical form: what goes in comes back, and no damage is taken for a cell or read past its end. */
#include <stdio.h>
#include <stdlib.h>

#include "learn/learn.h"
#include "support/support.h"

static reco__rand chance;

static uint64_t below(uint64_t bound) { return reco__rand_below(&chance, bound); }

/* A number of a random number of bits. */
static uint64_t any_bits(unsigned most) { return reco__rand_next(&chance) >> (64 - 1 - below(most)); }

static int64_t any_time(int64_t near) {
    switch (below(8)) {
    case 0: return 0;
    case 1: return (int64_t)reco__rand_next(&chance);
    case 2: return -(int64_t)any_bits(63);
    default: return near - (int64_t)any_bits(40);
    }
}

/* An empty cell with arrays for so many, all of them counted. */
static void make_room(reco__cell *cell, uint32_t touches, uint32_t hidden, uint32_t ids) {
    reco__cell_dispose(cell);
    cell->touches = reco__alloc_array(touches + 1, sizeof *cell->touches);
    cell->hidden = reco__alloc_array(hidden + 1, sizeof *cell->hidden);
    cell->ids = reco__alloc_array(ids + 1, sizeof *cell->ids);
    ck_assert(cell->touches && cell->hidden && cell->ids);
    cell->touch_room = touches + 1;
    cell->hidden_room = hidden + 1;
    cell->id_room = ids + 1;
    cell->touch_count = touches;
    cell->hidden_count = hidden;
    cell->id_count = ids;
}

static void random_cell(reco__cell *cell, uint32_t most) {
    make_room(cell, (uint32_t)below(most), (uint32_t)below(most / 4 + 1), (uint32_t)below(most / 2 + 1));
    uint32_t detailed = (uint32_t)below(cell->touch_count + 1);
    unsigned item_bits = 1 + (unsigned)below(32), weight_bits = 1 + (unsigned)below(31);
    cell->last = 1 + (int64_t)any_bits(62);
    cell->session_hash = below(2) ? reco__rand_next(&chance) : 0;
    cell->session_count = (uint32_t)below(cell->touch_count + 1);
    for (uint32_t i = 0; i < cell->touch_count; i++) {
        reco__touch *touch = &cell->touches[i];
        touch->item = (uint32_t)any_bits(item_bits);
        touch->weight = (int32_t)(i < detailed ? any_bits(weight_bits) : below(2));
        touch->weight = i < detailed && below(4) == 0 ? -touch->weight : touch->weight;
        touch->t = i < detailed ? any_time(cell->last) : 0;
    }
    for (uint32_t i = 0; i < cell->hidden_count; i++)
        cell->hidden[i] = (uint32_t)any_bits(item_bits);
    for (uint32_t i = 0; i < cell->id_count; i++) {
        cell->ids[i].hash = reco__rand_next(&chance);
        cell->ids[i].r = any_time(cell->last);
    }
}

/* One assertion for all: each costs more than the comparison. */
static void assert_same(const reco__cell *a, const reco__cell *b) {
    bool same = a->last == b->last && a->session_hash == b->session_hash && a->session_count == b->session_count;
    same = same && a->touch_count == b->touch_count && a->hidden_count == b->hidden_count && a->id_count == b->id_count;
    for (uint32_t i = 0; same && i < a->touch_count; i++)
        same = a->touches[i].item == b->touches[i].item && a->touches[i].weight == b->touches[i].weight && a->touches[i].t == b->touches[i].t;
    for (uint32_t i = 0; same && i < a->hidden_count; i++)
        same = a->hidden[i] == b->hidden[i];
    for (uint32_t i = 0; same && i < a->id_count; i++)
        same = a->ids[i].hash == b->ids[i].hash && a->ids[i].r == b->ids[i].r;
    ck_assert_msg(same, "the cells differ");
}

/* Names "i<number>", and the way back. */
static reco_status name_of(void *context, uint32_t number, reco_str *name) {
    char *text = context;
    int size = snprintf(text, 16, "i%u", number);
    *name = (reco_str){text, (size_t)size};
    return RECO_OK;
}

static reco_status number_of(void *context, reco_str name, uint32_t *number) {
    char text[16] = {0};
    (void)context;
    if (name.size < 2 || name.size > 11 || name.data[0] != 'i')
        return RECO_NOT_FOUND;
    memcpy(text, name.data + 1, name.size - 1);
    *number = (uint32_t)strtoul(text, NULL, 10);
    char again[16];
    reco_str same;
    name_of(again, *number, &same);
    return reco__str_equal(name, same) ? RECO_OK : RECO_NOT_FOUND; /* "i07" is not a name of 7 */
}

/* The bytes in a block of just their size, so that a sanitizer sees a read beyond them. */
static uint8_t *exact(const void *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static reco_status decode_exact(reco__cell *cell, const void *data, size_t size) {
    reco_error err = RECO_ERROR_INIT;
    uint8_t *copy = exact(data, size);
    reco_status status = reco__cell_decode(cell, copy, size, &err);
    free(copy);
    ck_assert(status == RECO_OK || err.text[0]);
    return status;
}

static reco_status parse_exact(reco__cell *cell, const void *data, size_t size) {
    reco_error err = RECO_ERROR_INIT;
    uint8_t *copy = exact(data, size);
    reco_status status = reco__cell_from_canonical(cell, copy, size, number_of, NULL, &err);
    free(copy);
    ck_assert(status == RECO_OK || err.text[0]);
    return status;
}

static bool empty(const reco__cell *cell) {
    return cell->last == 0 && cell->session_hash == 0 && cell->session_count + cell->touch_count + cell->hidden_count + cell->id_count == 0;
}

START_TEST(random_cells_come_back) {
    reco__cell cell = {0}, back = {0};
    reco__buf buf = {0};
    reco__rand_seed(&chance, 1);
    for (int round = 0; round < 3000; round++) {
        random_cell(&cell, round % 50 == 0 ? 2000 : 1 + (uint32_t)below(90));
        reco__buf_reset(&buf);
        reco__buf_text(&buf, "before");
        reco__cell_encode(&buf, &cell);
        ck_assert_int_eq(buf.failed, RECO_OK);
        test_status(RECO_OK, decode_exact(&back, buf.data + 6, buf.size - 6));
        assert_same(&cell, &back);
    }
    reco__buf_dispose(&buf);
    reco__cell_dispose(&cell);
    reco__cell_dispose(&back);
}
END_TEST

START_TEST(random_cells_come_back_by_name) {
    char text[16];
    reco__cell cell = {0}, back = {0};
    reco__buf buf = {0};
    reco_error err = RECO_ERROR_INIT;
    reco__rand_seed(&chance, 2);
    for (int round = 0; round < 2000; round++) {
        random_cell(&cell, 1 + (uint32_t)below(60));
        reco__buf_reset(&buf);
        test_ok(reco__cell_to_canonical(&buf, &cell, name_of, text, &err), &err);
        test_status(RECO_OK, parse_exact(&back, buf.data, buf.size));
        assert_same(&cell, &back);
    }
    reco__buf_dispose(&buf);
    reco__cell_dispose(&cell);
    reco__cell_dispose(&back);
}
END_TEST

static void small_cell(reco__cell *cell) {
    make_room(cell, 3, 2, 1);
    cell->last = 1000;
    cell->session_hash = UINT64_C(0x1122334455667788);
    cell->session_count = 2;
    cell->touches[0] = (reco__touch){7, 5, 990};
    cell->touches[1] = (reco__touch){4, 0, 995};
    cell->touches[2] = (reco__touch){300, 1, 0};
    cell->hidden[0] = 9;
    cell->hidden[1] = 8;
    cell->ids[0] = (struct reco__seen_id){UINT64_C(0x0102030405060708), 998};
}

/* The formats are kept for ever: a cell made by hand. */
START_TEST(bytes_of_version_1) {
    static const uint8_t stored[] = {
        1, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 3, 2, 2, 2, 1, /* counts */
        4, 9, 0x03, 0x00, 0xA0, 0x04,                   /* items: 3, 0 and 296 above 4 */
        0, 4, 0x0A,                                     /* weights 5 and 0: zigzag 10, 0 */
        9, 4, 0x0B,                                     /* times: 10 and -5: zigzag 20 and 9 */
        1, 0,                                           /* pairs: 1 */
        8, 1, 0x01,                                     /* hidden: 9, 8 */
        4, 0,                                           /* id time: 2 before last */
        8, 7, 6, 5, 4, 3, 2, 1, 0xE8, 3, 0, 0, 0, 0, 0, 0,
    };
    static const uint8_t canonical[] = {
        1, 0xD0, 0x0F, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 2, 3, 2, 'i', '7', 10, 0xBC, 0x0F, 2, 'i', '4', 0, 0xC6, 0x0F,
        4, 'i', '3', '0', '0', 2, 0, 2, 2, 'i', '9', 2, 'i', '8', 1, 8, 7, 6, 5, 4, 3, 2, 1, 0xCC, 0x0F,
    };
    char text[16];
    reco__cell cell = {0};
    reco__buf buf = {0};
    small_cell(&cell);
    reco__cell_encode(&buf, &cell);
    ck_assert_uint_eq(buf.size, sizeof stored + 4);
    ck_assert_mem_eq(buf.data, stored, sizeof stored);
    reco__buf_reset(&buf);
    test_status(RECO_OK, reco__cell_to_canonical(&buf, &cell, name_of, text, NULL));
    ck_assert_uint_eq(buf.size, sizeof canonical);
    ck_assert_mem_eq(buf.data, canonical, sizeof canonical);
    reco__buf_dispose(&buf);
    reco__cell_dispose(&cell);
}
END_TEST

START_TEST(an_empty_cell_is_no_bytes) {
    char text[16];
    reco__cell cell = {0};
    reco__buf buf = {0};
    reco__cell_encode(&buf, &cell);
    test_status(RECO_OK, reco__cell_to_canonical(&buf, &cell, name_of, text, NULL));
    ck_assert_uint_eq(buf.size, 0);
    small_cell(&cell);
    test_status(RECO_OK, reco__cell_decode(&cell, NULL, 0, NULL));
    ck_assert(empty(&cell));
    small_cell(&cell);
    test_status(RECO_OK, reco__cell_from_canonical(&cell, NULL, 0, number_of, NULL, NULL));
    ck_assert(empty(&cell));
    reco__cell_dispose(&cell);
}
END_TEST

START_TEST(every_cut_and_every_flip_is_refused) {
    reco__cell cell = {0};
    reco__buf buf = {0};
    reco__rand_seed(&chance, 3);
    random_cell(&cell, 60);
    small_cell(&cell);
    reco__cell_encode(&buf, &cell);
    for (size_t size = 1; size < buf.size; size++) {
        ck_assert_int_ne(decode_exact(&cell, buf.data, size), RECO_OK);
        ck_assert(empty(&cell));
    }
    for (size_t bit = 0; bit < buf.size * 8; bit++) {
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << bit % 8));
        ck_assert_int_ne(decode_exact(&cell, buf.data, buf.size), RECO_OK);
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << bit % 8));
    }
    buf.data[0] = 2;
    test_status(RECO_NEWER, decode_exact(&cell, buf.data, buf.size));
    buf.data[0] = 0;
    test_status(RECO_CORRUPT, decode_exact(&cell, buf.data, buf.size));
    reco__buf_dispose(&buf);
    reco__cell_dispose(&cell);
}
END_TEST

static void seal(char *data, size_t size) {
    uint32_t checksum = reco__checksum(data, size - 4);
    memcpy(data + size - 4, &checksum, sizeof checksum);
}

/* Damage under a right checksum: refused, or a cell whose counts fit its arrays and that comes back. */
START_TEST(sealed_nonsense_is_read_within_bounds) {
    reco__cell cell = {0}, back = {0};
    reco__buf buf = {0}, again = {0};
    unsigned refused = 0, taken = 0;
    reco__rand_seed(&chance, 4);
    for (int round = 0; round < 30000; round++) {
        if (round % 20 == 0)
            random_cell(&cell, 1 + (uint32_t)below(40));
        reco__buf_reset(&buf);
        reco__cell_encode(&buf, &cell);
        size_t size = below(4) == 0 ? 14 + below(buf.size - 13) : buf.size;
        size = size < buf.size ? size : buf.size;
        for (uint64_t flips = 1 + below(4); flips-- > 0;)
            buf.data[1 + below(below(2) ? size - 1 : size < 30 ? size - 1 : 29)] = (char)reco__rand_next(&chance);
        seal(buf.data, size);
        if (decode_exact(&back, buf.data, size) != RECO_OK) {
            ck_assert(empty(&back));
            refused++;
            continue;
        }
        taken++;
        ck_assert(back.touch_count <= back.touch_room && back.hidden_count <= back.hidden_room && back.id_count <= back.id_room);
        ck_assert_uint_le(back.session_count, back.touch_count);
        reco__buf_reset(&again);
        reco__cell_encode(&again, &back);
        reco__cell_decode(&cell, again.data, again.size, NULL);
        assert_same(&cell, &back);
    }
    ck_assert_uint_gt(refused, 1000);
    ck_assert_uint_gt(taken, 1000);
    reco__buf_dispose(&buf);
    reco__buf_dispose(&again);
    reco__cell_dispose(&cell);
    reco__cell_dispose(&back);
}
END_TEST

START_TEST(a_canonical_cell_has_one_form_only) {
    char text[16];
    reco__cell cell = {0}, back = {0};
    reco__buf buf = {0}, again = {0};
    reco__rand_seed(&chance, 5);
    for (int round = 0; round < 20000; round++) {
        if (round % 20 == 0)
            random_cell(&cell, 1 + (uint32_t)below(20));
        reco__buf_reset(&buf);
        test_status(RECO_OK, reco__cell_to_canonical(&buf, &cell, name_of, text, NULL));
        size_t size = below(3) == 0 ? 1 + below(buf.size) : buf.size;
        if (below(2))
            buf.data[below(size)] = (char)reco__rand_next(&chance);
        if (parse_exact(&back, buf.data, size) != RECO_OK) {
            ck_assert(empty(&back));
            continue;
        }
        reco__buf_reset(&again);
        test_status(RECO_OK, reco__cell_to_canonical(&again, &back, name_of, text, NULL));
        ck_assert_uint_eq(again.size, size);
        ck_assert_mem_eq(again.data, buf.data, size);
    }
    small_cell(&cell);
    reco__buf_reset(&buf);
    test_status(RECO_OK, reco__cell_to_canonical(&buf, &cell, name_of, text, NULL));
    for (size_t size = 1; size < buf.size; size++)
        test_status(RECO_CORRUPT, parse_exact(&back, buf.data, size));
    reco__buf_byte(&buf, 0);
    test_status(RECO_CORRUPT, parse_exact(&back, buf.data, buf.size));
    buf.data[0] = 2;
    test_status(RECO_NEWER, parse_exact(&back, buf.data, buf.size));
    buf.data[0] = 0;
    test_status(RECO_CORRUPT, parse_exact(&back, buf.data, buf.size));
    reco__buf_dispose(&buf);
    reco__buf_dispose(&again);
    reco__cell_dispose(&cell);
    reco__cell_dispose(&back);
}
END_TEST

static reco_status no_name(void *context, uint32_t number, reco_str *name) {
    (void)context;
    (void)name;
    return number == 8 ? RECO_NOT_FOUND : name_of(context, number, name);
}

START_TEST(a_failing_name_leaves_nothing_behind) {
    char text[16];
    reco__cell cell = {0};
    reco__buf buf = {0};
    reco_error err = RECO_ERROR_INIT;
    small_cell(&cell);
    reco__buf_text(&buf, "before");
    test_status(RECO_NOT_FOUND, reco__cell_to_canonical(&buf, &cell, no_name, text, &err));
    ck_assert_uint_eq(buf.size, 6);
    ck_assert_str_ne(err.text, "");
    reco__buf_reset(&buf);
    test_status(RECO_OK, reco__cell_to_canonical(&buf, &cell, name_of, text, &err));
    buf.data[14] = 'j';
    test_status(RECO_NOT_FOUND, parse_exact(&cell, buf.data, buf.size));
    ck_assert(empty(&cell));
    reco__buf_dispose(&buf);
    reco__cell_dispose(&cell);
}
END_TEST

/* Through both forms, everything anew. */
static reco_status through_both(void *context, reco_error *err) {
    char text[16];
    const reco__cell *cell = context;
    reco__cell back = {0};
    reco__buf buf = {0};
    reco__cell_encode(&buf, cell);
    reco_status status = reco__buf_status(&buf, err);
    if (status == RECO_OK)
        status = reco__cell_decode(&back, buf.data, buf.size, err);
    reco__cell_dispose(&back);
    reco__buf_reset(&buf);
    if (status == RECO_OK)
        status = reco__cell_to_canonical(&buf, cell, name_of, text, err);
    if (status == RECO_OK)
        status = reco__cell_from_canonical(&back, buf.data, buf.size, number_of, NULL, err);
    reco__cell_dispose(&back);
    reco__buf_dispose(&buf);
    return status;
}

START_TEST(every_allocation_may_fail) {
    reco__cell cell = {0};
    test_memory_install();
    reco__rand_seed(&chance, 6);
    make_room(&cell, 0, 0, 0);
    do
        random_cell(&cell, 100);
    while (cell.touch_count < 20 || cell.hidden_count < 5 || cell.id_count < 5);
    ck_assert_uint_gt(test_every_allocation(through_both, &cell, false), 8);
    reco__cell_dispose(&cell);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn: cell");
    TCase *tests = tcase_create("cell");
    tcase_add_test(tests, random_cells_come_back);
    tcase_add_test(tests, random_cells_come_back_by_name);
    tcase_add_test(tests, bytes_of_version_1);
    tcase_add_test(tests, an_empty_cell_is_no_bytes);
    tcase_add_test(tests, every_cut_and_every_flip_is_refused);
    tcase_add_test(tests, sealed_nonsense_is_read_within_bounds);
    tcase_add_test(tests, a_canonical_cell_has_one_form_only);
    tcase_add_test(tests, a_failing_name_leaves_nothing_behind);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
