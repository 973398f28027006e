/* The allocator, arenas, buffers and the map: what they hold, their limits, and every allocation failing. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "support/support.h"

static void *use_malloc(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void *use_realloc(void *context, void *block, size_t size) {
    (void)context;
    return realloc(block, size);
}

static void use_free(void *context, void *block) {
    (void)context;
    free(block);
}

START_TEST(the_allocator_is_checked) {
    reco_allocator allocator = {.struct_size = sizeof(allocator), .allocate = use_malloc, .resize = use_realloc};
    reco_error err = RECO_ERROR_INIT;

    test_status(RECO_INVALID, reco_set_allocator(&allocator, &err));
    ck_assert_str_eq(err.field, "release");
    allocator.release = use_free;
    allocator.flags = 1;
    test_status(RECO_INVALID, reco_set_allocator(&allocator, &err));
    allocator.flags = 0;
    reco__memory_pin(1);
    test_status(RECO_BUSY, reco_set_allocator(&allocator, &err));
    reco__memory_pin(-1);
    test_ok(reco_set_allocator(&allocator, &err), &err);
    reco_free(reco__alloc(0));
    test_ok(reco_set_allocator(NULL, &err), &err);
}
END_TEST

START_TEST(memory_comes_and_goes) {
    test_memory_install();
    uint8_t *zeroed = reco__zalloc(100);
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(zeroed[i], 0);
    }
    reco_free(zeroed);
    reco_free(NULL);
    ck_assert_ptr_null(reco__alloc_array(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(reco__realloc_array(NULL, SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_null(reco__strndup("", SIZE_MAX));
    char *copy = reco__strndup("abcdef", 3);
    ck_assert_str_eq(copy, "abc");
    reco_free(copy);
    copy = reco__strndup(NULL, 0);
    ck_assert_str_eq(copy, "");
    reco_free(copy);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

/* --- how much is held ---------------------------------------------------------------------------------------------------------------------- */

static uint64_t held(void) {
    uint64_t bytes;
    ck_assert(reco__memory_held(&bytes));
    return bytes;
}

START_TEST(what_is_held_is_counted) {
    enum { BLOCKS = 3000 };
    static void *blocks[BLOCKS];
    reco__rand rand;
    uint64_t before = held(), sum = 0;

    reco__rand_seed(&rand, 3);
    for (int i = 0; i < BLOCKS; i++) { /* small ones, and those that malloc maps by themselves */
        size_t size = (size_t)reco__rand_below(&rand, i % 50 ? 2000 : 500000);
        blocks[i] = i % 3 == 0 ? reco__alloc(size) : i % 3 == 1 ? reco__zalloc(size) : reco__realloc(NULL, size);
        ck_assert_ptr_nonnull(blocks[i]);
    }
    for (int i = 0; i < BLOCKS; i += 2) {
        blocks[i] = reco__realloc(blocks[i], (size_t)reco__rand_below(&rand, 300000));
        ck_assert_ptr_nonnull(blocks[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        sum += malloc_usable_size(blocks[i]);
    }
    ck_assert_uint_eq(held() - before, sum);
    for (int i = 0; i < BLOCKS; i++) {
        reco__release(blocks[i]);
    }
    ck_assert_uint_eq(held(), before);
    ck_assert_ptr_null(reco__realloc_array(NULL, SIZE_MAX, 2));
    reco__release(NULL);
    ck_assert_uint_eq(held(), before);
}
END_TEST

START_TEST(what_failed_is_not_held) {
    test_memory_install();
    uint64_t before = held();
    void *block = reco__alloc(1000);
    uint64_t with = held();
    ck_assert_uint_ge(with - before, 1000);
    test_memory_fail(1, true);
    ck_assert_ptr_null(reco__alloc(1000));
    ck_assert_ptr_null(reco__zalloc(1000));
    ck_assert_ptr_null(reco__realloc(block, 100000));
    ck_assert_uint_eq(held(), with);
    test_memory_fail(0, false);
    reco__release(block);
    ck_assert_uint_eq(held(), before);
    test_memory_restore();
}
END_TEST

START_TEST(an_allocator_need_not_tell) {
    reco_allocator allocator = {.struct_size = sizeof(allocator), .allocate = use_malloc, .resize = use_realloc, .release = use_free};
    reco_error err = RECO_ERROR_INIT;
    uint64_t bytes;

    test_ok(reco_set_allocator(&allocator, &err), &err);
    void *block = reco__realloc(reco__alloc(10), 100);
    ck_assert(!reco__memory_held(&bytes));
    reco__release(block);
    allocator.struct_size = offsetof(reco_allocator, usable); /* of a program that was built before there was such a function */
    allocator.usable = (size_t(*)(void *, void *))1;
    test_ok(reco_set_allocator(&allocator, &err), &err);
    reco__release(reco__alloc(10));
    ck_assert(!reco__memory_held(&bytes));
    test_ok(reco_set_allocator(NULL, &err), &err);
    ck_assert(reco__memory_held(&bytes));
}
END_TEST

enum { HANDS = 4, PASSED = 20000 };
static _Atomic(void *) passed[HANDS];

/* Blocks go from thread to thread: who frees one is seldom who asked for it. */
static void *pass_on(void *context) {
    reco__rand rand;
    reco__rand_seed(&rand, (uint64_t)(uintptr_t)context);
    for (int i = 0; i < PASSED; i++) {
        void *block = reco__alloc((size_t)reco__rand_below(&rand, 3000));
        reco__release(atomic_exchange(&passed[reco__rand_below(&rand, HANDS)], block));
    }
    return NULL;
}

START_TEST(threads_count_together) {
    pthread_t threads[HANDS];
    uint64_t before = held(), sum = 0;

    for (uintptr_t i = 0; i < HANDS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_on, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < HANDS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < HANDS; i++) {
        sum += passed[i] ? malloc_usable_size(passed[i]) : 0;
    }
    ck_assert_uint_eq(held() - before, sum);
    for (int i = 0; i < HANDS; i++) {
        reco__release(atomic_exchange(&passed[i], NULL));
    }
    ck_assert_uint_eq(held(), before);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature) /* clang's word for it */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

START_TEST(the_kernel_counts_it_too) {
    enum { SIZE = 32 << 20 };
    reco__footprint before, after;

    reco__footprint_look(&before);
    char *block = reco__alloc(SIZE);
    ck_assert_ptr_nonnull(block);
    memset(block, 1, SIZE);
    reco__footprint_look(&after);
    ck_assert(before.counted && after.counted && before.anonymous > 0);
    ck_assert_uint_ge(after.allocated - before.allocated, SIZE);
    ck_assert_uint_le(after.allocated - before.allocated, SIZE + SIZE / 20);
    ck_assert_uint_ge(after.anonymous - before.anonymous, SIZE - SIZE / 20);
#if !defined(SANITIZED) /* whose malloc tells no such numbers, and needs pages of its own */
    ck_assert_uint_le(after.anonymous - before.anonymous, SIZE + SIZE / 20);
    ck_assert_uint_ge(after.heap - before.heap, SIZE);
#endif
    reco__release(block);
}
END_TEST

static bool all_are(const uint8_t *bytes, size_t size, uint8_t value) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

START_TEST(an_arena_hands_out_and_keeps) {
    reco__arena arena = {0};
    uint8_t *pieces[500];
    reco__rand rand;

    test_memory_install();
    reco__rand_seed(&rand, 1);
    for (int round = 0; round < 5; round++) {
        int64_t blocks = test_memory_live();
        reco__rand_seed(&rand, 1);
        for (int i = 0; i < 500; i++) {
            size_t size = (size_t)reco__rand_below(&rand, 3000);
            pieces[i] = reco__arena_alloc(&arena, size);
            ck_assert_ptr_nonnull(pieces[i]);
            ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], i & 0xFF, size);
        }
        reco__rand_seed(&rand, 1);
        for (int i = 0; i < 500; i++) {
            size_t size = (size_t)reco__rand_below(&rand, 3000);
            ck_assert(all_are(pieces[i], size, (uint8_t)i));
        }
        ck_assert(round == 0 || test_memory_live() == blocks); /* a reset arena serves the same again without allocating */
        reco__arena_reset(&arena);
        ck_assert_uint_eq(arena.used, 0);
    }
    reco__arena_dispose(&arena);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

START_TEST(an_arena_does_not_pile_up_blocks) {
    reco__arena arena = {0};
    for (size_t size = 1000; size < 200000; size += 100) {
        ck_assert_ptr_nonnull(reco__arena_alloc(&arena, size));
        reco__arena_reset(&arena);
    }
    ck_assert_uint_lt(arena.reserved, 1200000);
    reco__arena_dispose(&arena);
}
END_TEST

START_TEST(an_arena_has_a_limit) {
    reco__arena arena = {.limit = 1000};
    ck_assert_ptr_nonnull(reco__arena_alloc(&arena, 512));
    ck_assert_ptr_null(reco__arena_alloc(&arena, 512));
    ck_assert_ptr_null(reco__arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_nonnull(reco__arena_alloc(&arena, 480));
    ck_assert_ptr_null(reco__arena_alloc(&arena, 1));
    ck_assert_uint_le(arena.reserved, 2200);
    reco__arena_dispose(&arena);
    ck_assert_ptr_nonnull(reco__arena_zalloc(&arena, 1));
    ck_assert_str_eq(reco__arena_string(&arena, "abc", 2), "ab");
    ck_assert_int_eq(memcmp(reco__arena_copy(&arena, "xyz", 3), "xyz", 3), 0);
    reco__arena_dispose(&arena);
}
END_TEST

START_TEST(a_buffer_grows) {
    reco__buf buf = {0};
    reco_error err = RECO_ERROR_INIT;

    for (int i = 0; i < 1000; i++) {
        reco__buf_printf(&buf, "%d,", i);
        reco__buf_byte(&buf, ';');
    }
    reco__buf_text(&buf, "end");
    reco__buf_add(&buf, NULL, 0);
    test_ok(reco__buf_status(&buf, &err), &err);
    ck_assert_uint_eq(buf.size, 1000 * 2 + 10 + 180 + 2700 + 3);
    ck_assert_ptr_nonnull(strstr(reco__buf_cstr(&buf), "998,;999,;end"));
    reco__buf_reset(&buf);
    ck_assert_str_eq(reco__buf_cstr(&buf), "");
    reco__buf_dispose(&buf);
    ck_assert_str_eq(reco__buf_cstr(&buf), "");
    reco__buf_dispose(&buf);
}
END_TEST

START_TEST(a_buffer_has_a_limit) {
    reco__buf buf = {.limit = 10};
    reco_error err = RECO_ERROR_INIT;

    reco__buf_text(&buf, "0123456");
    reco__buf_str(&buf, "abc", 3); /* four bytes: nothing of it is written */
    ck_assert_uint_eq(buf.size, 7);
    test_status(RECO_TOO_LARGE, reco__buf_status(&buf, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "10 bytes"));
    reco__buf_byte(&buf, '7'); /* the failure sticks */
    ck_assert_uint_eq(buf.size, 7);
    ck_assert_ptr_null(reco__buf_cstr(&buf));
    reco__buf_reset(&buf);
    reco__buf_printf(&buf, "%s", "0123456789");
    ck_assert_str_eq(reco__buf_cstr(&buf), "0123456789"); /* the terminator does not count */
    reco__buf_byte(&buf, 'x');
    test_status(RECO_TOO_LARGE, reco__buf_status(&buf, &err));
    reco__buf_reset(&buf);
    ck_assert(!reco__buf_reserve(&buf, SIZE_MAX));
    reco__buf_dispose(&buf);
}
END_TEST

START_TEST(a_map_numbers_its_keys) {
    enum { COUNT = 100000 };
    reco__map map = {0};
    char key[32];
    bool added;

    ck_assert_uint_eq(reco__map_find(&map, "x", 1), RECO__MAP_NONE);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            int size = snprintf(key, sizeof(key), "item-%u", i * 7);
            if (reco__map_put(&map, key, (size_t)size, &added) != i || !added) { /* an assertion each would take seconds */
                ck_abort_msg("put %s", key);
            }
        }
        ck_assert_uint_eq(reco__map_put(&map, "item-0", 6, &added), 0);
        ck_assert(!added);
        ck_assert_uint_eq(reco__map_put(&map, "", 0, NULL), COUNT);
        ck_assert_uint_eq(reco__map_put(&map, "\0", 1, NULL), COUNT + 1);
        ck_assert_uint_eq(map.count, COUNT + 2);
        for (uint32_t i = 0; i < COUNT; i++) {
            int size = snprintf(key, sizeof(key), "item-%u", i * 7);
            const struct reco__map_entry *entry = &map.entries[i];
            if (reco__map_find(&map, key, (size_t)size) != i || entry->size != (uint32_t)size || memcmp(entry->key, key, (size_t)size) != 0) {
                ck_abort_msg("find %s", key);
            }
        }
        ck_assert_uint_eq(reco__map_find(&map, "item-1", 6), RECO__MAP_NONE);
        ck_assert_uint_eq(reco__map_find(&map, "", 0), COUNT);
        reco__map_reset(&map);
        ck_assert_uint_eq(reco__map_find(&map, "item-0", 6), RECO__MAP_NONE);
    }
    reco__map_dispose(&map);
}
END_TEST

static reco_status fill_map(void *context, reco_error *err) {
    reco__map map = {0};
    reco_status status = RECO_OK;
    char key[600] = {0};

    for (uint32_t i = 0; i < 200 && status == RECO_OK; i++) {
        int size = snprintf(key, sizeof(key), "%u", i);
        uint32_t before = (uint32_t)map.count, index = reco__map_put(&map, key, (size_t)size + (i % 4) * 100, NULL);
        if (index == RECO__MAP_NONE) {
            ck_assert_uint_eq(map.count, before);
            ck_assert_uint_eq(reco__map_find(&map, key, (size_t)size + (i % 4) * 100), RECO__MAP_NONE);
            status = reco__no_memory(err);
        }
    }
    (void)context;
    reco__map_dispose(&map);
    return status;
}

static reco_status fill_buffer(void *context, reco_error *err) {
    reco__buf buf = {0};

    for (int i = 0; i < 300; i++) {
        reco__buf_u64(&buf, (uint64_t)i);
        reco__buf_varint(&buf, UINT64_MAX);
        reco__buf_printf(&buf, "%d", i);
        reco__buf_str(&buf, "abc", 3);
        reco__json_string(&buf, "\"\n\xFF", 3);
        reco__json_double(&buf, 0.1);
        reco__base64_encode(&buf, "abcd", 4);
    }
    (void)context;
    const char *text = reco__buf_cstr(&buf);
    reco_status status = reco__buf_status(&buf, err);
    ck_assert((text != NULL) == (status == RECO_OK));
    reco__buf_dispose(&buf);
    return status;
}

static reco_status fill_arena(void *context, reco_error *err) {
    reco__arena arena = {0};
    reco_status status = RECO_OK;

    (void)context;
    for (size_t size = 1; size < 50000 && status == RECO_OK; size += 777) {
        size_t used = arena.used;
        if (!reco__arena_alloc(&arena, size)) {
            ck_assert_uint_eq(arena.used, used);
            status = reco__no_memory(err);
        }
    }
    reco__arena_dispose(&arena);
    return status;
}

START_TEST(every_allocation_may_fail) {
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(fill_map, NULL, false), 10);
    ck_assert_uint_gt(test_every_allocation(fill_buffer, NULL, false), 10);
    ck_assert_uint_gt(test_every_allocation(fill_arena, NULL, false), 10);
    test_memory_restore();
}
END_TEST

START_TEST(a_failed_buffer_can_be_used_again) {
    reco__buf buf = {0};
    reco_error err = RECO_ERROR_INIT;

    test_memory_install();
    test_memory_fail(1, false);
    reco__buf_text(&buf, "x");
    test_status(RECO_NO_MEMORY, reco__buf_status(&buf, &err));
    reco__buf_reset(&buf);
    reco__buf_text(&buf, "y");
    ck_assert_str_eq(reco__buf_cstr(&buf), "y");
    reco__buf_dispose(&buf);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base memory");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, the_allocator_is_checked);
    tcase_add_test(tests, memory_comes_and_goes);
    tcase_add_test(tests, what_is_held_is_counted);
    tcase_add_test(tests, what_failed_is_not_held);
    tcase_add_test(tests, an_allocator_need_not_tell);
    tcase_add_test(tests, threads_count_together);
    tcase_add_test(tests, the_kernel_counts_it_too);
    tcase_add_test(tests, an_arena_hands_out_and_keeps);
    tcase_add_test(tests, an_arena_does_not_pile_up_blocks);
    tcase_add_test(tests, an_arena_has_a_limit);
    tcase_add_test(tests, a_buffer_grows);
    tcase_add_test(tests, a_buffer_has_a_limit);
    tcase_add_test(tests, a_map_numbers_its_keys);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, a_failed_buffer_can_be_used_again);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
