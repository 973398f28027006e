/* Bytes out and in: numbers, varints, strings, UTF-8, base64, JSON. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "support/support.h"

static const uint64_t edges[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, (uint64_t)1 << 32, (uint64_t)1 << 56, ((uint64_t)1 << 63) - 1,
                                 (uint64_t)1 << 63, UINT64_MAX};

START_TEST(numbers_come_back) {
    reco__buf buf = {0};

    reco__buf_byte(&buf, 0xAB);
    reco__buf_u16(&buf, 0x1234);
    reco__buf_u32(&buf, 0x12345678);
    reco__buf_u64(&buf, UINT64_C(0x123456789ABCDEF0));
    ck_assert_int_eq(memcmp(buf.data, "\xAB\x34\x12\x78\x56\x34\x12\xF0\xDE\xBC\x9A\x78\x56\x34\x12", 15), 0);
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        reco__buf_varint(&buf, edges[i]);
        reco__buf_zigzag(&buf, (int64_t)edges[i]);
        reco__buf_zigzag(&buf, -(int64_t)(edges[i] >> 1));
    }
    reco__buf_str(&buf, "hello", 5);
    reco__buf_str(&buf, NULL, 0);
    reco__reader reader = reco__reader_of(buf.data, buf.size);
    ck_assert_uint_eq(reco__read_u8(&reader), 0xAB);
    ck_assert_uint_eq(reco__read_u16(&reader), 0x1234);
    ck_assert_uint_eq(reco__read_u32(&reader), 0x12345678);
    ck_assert_uint_eq(reco__read_u64(&reader), UINT64_C(0x123456789ABCDEF0));
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        ck_assert_uint_eq(reco__read_varint(&reader), edges[i]);
        ck_assert_int_eq(reco__read_zigzag(&reader), (int64_t)edges[i]);
        ck_assert_int_eq(reco__read_zigzag(&reader), -(int64_t)(edges[i] >> 1));
    }
    ck_assert(reco__str_equal(reco__read_str(&reader), reco__str_of("hello")));
    ck_assert_uint_eq(reco__read_str(&reader).size, 0);
    ck_assert(reader.at == reader.end && !reader.bad);
    reco__buf_dispose(&buf);
}
END_TEST

/* Every record cut at every byte is refused, and nothing is read beyond the cut (AddressSanitizer sees it: each cut has memory of its own). */
START_TEST(a_cut_is_seen) {
    reco__buf buf = {0};

    reco__buf_u32(&buf, 7);
    reco__buf_varint(&buf, UINT64_MAX);
    reco__buf_str(&buf, "hello", 5);
    for (size_t cut = 0; cut < buf.size; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part + 1, buf.data, cut);
        reco__reader reader = reco__reader_of(part + 1, cut);
        reco__read_u32(&reader);
        reco__read_varint(&reader);
        reco_str str = reco__read_str(&reader);
        ck_assert(reader.bad && str.size == 0);
        ck_assert_uint_eq(reco__read_u8(&reader), 0);
        ck_assert_uint_eq(reco__read_varint(&reader), 0);
        ck_assert_ptr_null(reco__read_bytes(&reader, 0));
        free(part);
    }
    reco__buf_dispose(&buf);
}
END_TEST

static bool varint_refused(const char *bytes, size_t size) {
    reco__reader reader = reco__reader_of(bytes, size);
    return reco__read_varint(&reader) == 0 && reader.bad;
}

START_TEST(odd_varints_are_refused) {
    ck_assert(varint_refused("", 0));
    ck_assert(varint_refused("\x80", 1));
    ck_assert(varint_refused("\x80\x00", 2));                                         /* 0 in two bytes */
    ck_assert(varint_refused("\xFF\x80\x00", 3));                                     /* over-long */
    ck_assert(varint_refused("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10));        /* bit 65 */
    ck_assert(varint_refused("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x81\x01", 11));    /* eleven bytes */
    ck_assert(varint_refused("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10));        /* 0 in ten bytes */
    ck_assert(!varint_refused("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10));       /* the largest */
    reco__reader reader = reco__reader_of("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01z", 11); /* a size that would wrap around */
    ck_assert(reco__read_str(&reader).size == 0 && reader.bad);
}
END_TEST

START_TEST(big_endian_keeps_the_order) {
    uint8_t a[8], b[8];
    for (size_t i = 0; i + 1 < sizeof(edges) / sizeof(edges[0]); i++) {
        reco__be64(a, edges[i]);
        reco__be64(b, edges[i + 1]);
        ck_assert_int_lt(memcmp(a, b, 8), 0);
        ck_assert_uint_eq(reco__from_be64(a), edges[i]);
    }
    reco__be32(a, 0x01020304);
    ck_assert_int_eq(memcmp(a, "\1\2\3\4", 4), 0);
    ck_assert_uint_eq(reco__from_be32(a), 0x01020304);
    reco__be16(a, 0x0102);
    ck_assert_int_eq(memcmp(a, "\1\2", 2), 0);
    ck_assert_uint_eq(reco__from_be16(a), 0x0102);
}
END_TEST

START_TEST(strings_are_ordered_by_bytes) {
    ck_assert_int_lt(reco__str_compare(reco__str_of("a"), reco__str_of("ab")), 0);
    ck_assert_int_gt(reco__str_compare(reco__str_of("b"), reco__str_of("ab")), 0);
    ck_assert_int_gt(reco__str_compare(reco__str_of("\xC3\xA9"), reco__str_of("z")), 0);
    ck_assert_int_eq(reco__str_compare(reco__str_of("x"), reco__str_of("x")), 0);
    ck_assert_int_eq(reco__str_compare(reco__str_of(NULL), reco__str_of("")), 0);
    ck_assert_int_lt(reco__str_compare(reco__str_of(NULL), reco__str_of("a")), 0);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    bool valid;
} utf8_cases[] = {
    {"", 0, true},
    {"plain ascii of some length", 26, true},
    {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, true},
    {"\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 10, true},
    {"\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 14, true},
    {"a\0b", 3, false},
    {"12345678\0abcdefg", 16, false},
    {"1234567\0", 8, false},
    {"\0" "1234567", 8, false},
    {"1234567\x80", 8, false},
    {"\x80", 1, false},
    {"\xC0\x80", 2, false},         /* NUL, over-long */
    {"\xC1\xBF", 2, false},
    {"\xE0\x9F\xBF", 3, false},     /* over-long */
    {"\xF0\x8F\xBF\xBF", 4, false}, /* over-long */
    {"\xED\xA0\x80", 3, false},     /* surrogate */
    {"\xED\xBF\xBF", 3, false},     /* surrogate */
    {"\xF4\x90\x80\x80", 4, false}, /* above U+10FFFF */
    {"\xF5\x80\x80\x80", 4, false},
    {"\xFF", 1, false},
    {"\xE2\x82", 2, false},         /* cut */
    {"\xF0\x9F\x98", 3, false},
    {"\xE2\x28\xA1", 3, false},
    {"\xF0\x9F\x98\x28", 4, false},
};

START_TEST(utf8_is_checked) {
    for (size_t i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
        char *copy = malloc(utf8_cases[i].size + 1);
        memcpy(copy + 1, utf8_cases[i].bytes, utf8_cases[i].size);
        ck_assert_msg(reco__utf8_valid(copy + 1, utf8_cases[i].size) == utf8_cases[i].valid, "case %zu", i);
        free(copy);
    }
}
END_TEST

START_TEST(ids_are_checked) {
    char big[300];
    reco_error err = RECO_ERROR_INIT;
    reco_str id = {big, 256};

    memset(big, 'x', sizeof(big));
    test_ok(reco__check_id(id, -1, "item_id", &err), &err);
    id.size = 257;
    test_status(RECO_TOO_LARGE, reco__check_id(id, 3, "item_id", &err));
    ck_assert_int_eq(err.index, 3);
    ck_assert_str_eq(err.field, "item_id");
    test_status(RECO_INVALID, reco__check_id(reco__str_of(""), -1, "user_id", &err));
    test_status(RECO_INVALID, reco__check_id(reco__str_of(NULL), -1, "user_id", &err));
    test_status(RECO_INVALID, reco__check_id(reco__str_of("\xFF"), -1, "user_id", &err));
    ck_assert_str_eq(err.field, "user_id");
}
END_TEST

static bool decodes(reco__buf *buf, const char *text) {
    reco__buf_reset(buf);
    return reco__base64_decode(buf, text, strlen(text));
}

START_TEST(base64_has_one_form) {
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"},
                                           {"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xFE", "-__-"}};
    reco__buf buf = {0};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        reco__buf_reset(&buf);
        reco__base64_encode(&buf, pairs[i][0], strlen(pairs[i][0]));
        ck_assert_str_eq(reco__buf_cstr(&buf), pairs[i][1]);
        ck_assert(decodes(&buf, pairs[i][1]));
        ck_assert_str_eq(reco__buf_cstr(&buf), pairs[i][0]);
    }
    ck_assert(!decodes(&buf, "Z"));
    ck_assert(!decodes(&buf, "Zh"));      /* bits beyond the last byte */
    ck_assert(!decodes(&buf, "Zm9"));
    ck_assert(!decodes(&buf, "Zg=="));
    ck_assert(!decodes(&buf, "Zm9v+/8"));
    ck_assert(!decodes(&buf, "Zm 9"));
    ck_assert_uint_eq(buf.size, 0);
    ck_assert(!decodes(&buf, "Zm9vZm9vZh"));
    ck_assert_uint_eq(buf.size, 0);       /* nothing is left of a refused text */
    reco__buf_dispose(&buf);
}
END_TEST

static const char *json_of(reco__buf *buf, const char *data, size_t size) {
    reco__buf_reset(buf);
    reco__json_string(buf, data, size);
    return reco__buf_cstr(buf);
}

START_TEST(json_strings_are_escaped) {
    reco__buf buf = {0};
    ck_assert_str_eq(json_of(&buf, "", 0), "\"\"");
    ck_assert_str_eq(json_of(&buf, "a/b", 3), "\"a/b\"");
    ck_assert_str_eq(json_of(&buf, "\"\\\b\f\n\r\t", 7), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    ck_assert_str_eq(json_of(&buf, "\0\x1f\x7f", 3), "\"\\u0000\\u001f\x7f\"");
    ck_assert_str_eq(json_of(&buf, "\xC3\xA9\xF0\x9F\x98\x80", 6), "\"\xC3\xA9\xF0\x9F\x98\x80\"");
    ck_assert_str_eq(json_of(&buf, "a\xFF\xE2\x82z\xED\xA0\x80", 8),
                     "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    reco__buf_dispose(&buf);
}
END_TEST

static const char *json_double(reco__buf *buf, double value) {
    reco__buf_reset(buf);
    reco__json_double(buf, value);
    return reco__buf_cstr(buf);
}

START_TEST(json_numbers_come_back) {
    reco__buf buf = {0};
    reco__rand rand;

    reco__json_int(&buf, INT64_MIN);
    reco__buf_byte(&buf, ' ');
    reco__json_int(&buf, INT64_MAX);
    reco__buf_byte(&buf, ' ');
    reco__json_int(&buf, 0);
    ck_assert_str_eq(reco__buf_cstr(&buf), "-9223372036854775808 9223372036854775807 0");
    ck_assert_str_eq(json_double(&buf, 0.1), "0.1");
    ck_assert_str_eq(json_double(&buf, 5), "5");
    ck_assert_str_eq(json_double(&buf, 0), "0");
    ck_assert_str_eq(json_double(&buf, -0.0), "-0.0");
    ck_assert_str_eq(json_double(&buf, -2.5e-300), "-2.5e-300");
    ck_assert_str_eq(json_double(&buf, 1.0 / 3), "0.3333333333333333");
    ck_assert_str_eq(json_double(&buf, 0.1 + 0.2), "0.30000000000000004");
    ck_assert_str_eq(json_double(&buf, (double)NAN), "null");
    ck_assert_str_eq(json_double(&buf, (double)-INFINITY), "null");
    reco__rand_seed(&rand, 3);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = reco__rand_next(&rand);
        double value;
        memcpy(&value, &bits, 8);
        if (isfinite(value) && strtod(json_double(&buf, value), NULL) != value) {
            ck_abort_msg("%a became %s", value, buf.data);
        }
    }
    reco__buf_dispose(&buf);
}
END_TEST

START_TEST(json_numbers_do_not_follow_the_locale) {
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    reco__buf buf = {0};
    for (size_t i = 0; i < 3; i++) { /* a locale that is not installed leaves "C" */
        setlocale(LC_NUMERIC, commas[i]);
        ck_assert_str_eq(json_double(&buf, 0.5), "0.5");
    }
    setlocale(LC_NUMERIC, "C");
    reco__buf_dispose(&buf);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base bytes");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, numbers_come_back);
    tcase_add_test(tests, a_cut_is_seen);
    tcase_add_test(tests, odd_varints_are_refused);
    tcase_add_test(tests, big_endian_keeps_the_order);
    tcase_add_test(tests, strings_are_ordered_by_bytes);
    tcase_add_test(tests, utf8_is_checked);
    tcase_add_test(tests, ids_are_checked);
    tcase_add_test(tests, base64_has_one_form);
    tcase_add_test(tests, json_strings_are_escaped);
    tcase_add_test(tests, json_numbers_come_back);
    tcase_add_test(tests, json_numbers_do_not_follow_the_locale);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
