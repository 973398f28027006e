/* Hashes against published values: they are part of the stored formats and of tokens, so they may never change. */
#include "base/base.h"
#include "support/support.h"

/* Key 00..0f, input 00, 01, 02 ... of `size` bytes; the values are those of the reference implementation. */
static const struct {
    size_t size;
    uint64_t value;
} sip_cases[] = {
    {0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)},  {7, UINT64_C(0xab0200f58b01d137)},
    {8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
};

START_TEST(siphash_is_siphash) {
    uint8_t key[16], input[64];

    for (uint8_t i = 0; i < 64; i++) {
        input[i] = i;
    }
    memcpy(key, input, 16);
    for (size_t i = 0; i < sizeof(sip_cases) / sizeof(sip_cases[0]); i++) {
        ck_assert_uint_eq(reco__siphash24(key, input, sip_cases[i].size), sip_cases[i].value);
    }
    ck_assert_uint_ne(reco__siphash24(input + 1, input, 8), sip_cases[3].value);
}
END_TEST

START_TEST(xxh64_is_xxh64) {
    ck_assert_uint_eq(reco__hash64("", 0, 0), UINT64_C(0xef46db3751d8e999));
    ck_assert_uint_eq(reco__hash64("a", 1, 0), UINT64_C(0xd24ec4f1a98c6e5b));
    ck_assert_uint_eq(reco__hash64("abc", 3, 0), UINT64_C(0x44bc2cf5ad770999));
    ck_assert_uint_eq(reco__hash64("", 0, UINT64_C(2654435761)), UINT64_C(0xac75fda2929b17ef));
}
END_TEST

START_TEST(xxh3_is_xxh3) {
    ck_assert_uint_eq(reco__checksum("", 0), 0x38d394c2); /* low half of 2d06800538d394c2 */
    reco__u128 empty = reco__hash128("", 0);
    ck_assert_uint_eq(empty.high, UINT64_C(0x99aa06d3014798d8));
    ck_assert_uint_eq(empty.low, UINT64_C(0x6001c324468d497f));
}
END_TEST

START_TEST(sums_of_128_bits_carry) {
    reco__u128 sum = {UINT64_MAX, 1}, one = {1, 0}, big = {0, UINT64_MAX};
    reco__u128_add(&sum, one);
    ck_assert(sum.low == 0 && sum.high == 2);
    reco__u128_add(&sum, big);
    ck_assert(sum.low == 0 && sum.high == 1); /* modulo 2^128 */
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base hash");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, siphash_is_siphash);
    tcase_add_test(tests, xxh64_is_xxh64);
    tcase_add_test(tests, xxh3_is_xxh3);
    tcase_add_test(tests, sums_of_128_bits_carry);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
