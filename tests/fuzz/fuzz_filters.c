/* fuzz_filters.c - filters and caps from JSON. The first byte says which. What is accepted is within the limits of the structs, and written as JSON
 * again reads as the same. */
#include "fuzz.h"
#include "model/filter.h"

#include <math.h>

static int seed(int i, reco__buf *out) {
    static const char *const texts[] = {"\x01{\"brand\":\"acme\",\"color\":[\"red\",\"blue\"],\"in_stock\":true}",
                                        "\x01{\"price\":{\"gte\":10,\"lt\":50},\"weight\":{\"gt\":0.5,\"lte\":1e3,\"missing\":true}}",
                                        "\x01{\"size\":{\"not\":[\"XL\"],\"missing\":false},\"n\":{\"in\":[1,2],\"not\":{\"gt\":1}}}",
                                        "\x02{\"brand\":2,\"category\":1}", "\x01{\"r\\u00e9d\":{\"not\":\"\\ud83d\\ude00\"}}"};
    if (i >= (int)(sizeof texts / sizeof *texts))
        return 0;
    reco__buf_text(out, texts[i]);
    return 1;
}

static void write_values(reco__buf *out, const reco_filter *filter) {
    for (size_t i = 0; i < filter->value_count; i++) {
        const reco_value *value = &filter->values[i];
        reco__buf_byte(out, i ? ',' : '[');
        if (value->type == RECO_VALUE_STRING)
            reco__json_string(out, value->text.data, value->text.size);
        else if (value->type == RECO_VALUE_NUMBER)
            reco__json_double(out, value->number);
        else
            reco__buf_text(out, value->boolean ? "true" : "false");
    }
    reco__buf_byte(out, ']');
}

static void write_range(reco__buf *out, const reco_filter *filter) {
    if (filter->flags & RECO_FILTER_MIN) {
        reco__buf_text(out, filter->flags & RECO_FILTER_MIN_OUTSIDE ? "\"gt\":" : "\"gte\":");
        reco__json_double(out, filter->min);
    }
    if (filter->flags & RECO_FILTER_MAX) {
        reco__buf_text(out, filter->flags & RECO_FILTER_MIN ? "," : "");
        reco__buf_text(out, filter->flags & RECO_FILTER_MAX_OUTSIDE ? "\"lt\":" : "\"lte\":");
        reco__json_double(out, filter->max);
    }
}

/* One condition as an object of its own. */
static void write_filter(reco__buf *out, const reco_filter *filter) {
    reco__buf_byte(out, '{');
    reco__json_string(out, filter->attribute.data, filter->attribute.size);
    reco__buf_text(out, ":{");
    bool inverse = filter->flags & RECO_FILTER_NOT, range = filter->op == RECO_FILTER_RANGE;
    reco__buf_text(out, inverse ? "\"not\":" : range ? "" : "\"in\":");
    if (range) {
        reco__buf_text(out, inverse ? "{" : "");
        write_range(out, filter);
        reco__buf_text(out, inverse ? "}" : "");
    } else {
        write_values(out, filter);
    }
    reco__buf_text(out, filter->flags & RECO_FILTER_MISSING ? ",\"missing\":true}}" : "}}");
}

static void check_filter(const reco_filter *filter, reco__arena *arena) {
    reco__buf first = {0}, second = {0};
    const reco_filter *back;
    size_t count;
    reco_error err = RECO_ERROR_INIT;
    NEED(filter->attribute.size >= 1 && filter->attribute.size <= RECO__FILTER_NAME_MAX);
    NEED(reco__utf8_valid(filter->attribute.data, filter->attribute.size));
    NEED((filter->op == RECO_FILTER_ANY_OF) == (filter->value_count > 0) && filter->value_count <= RECO_FILTER_VALUES_MAX);
    NEED(isfinite(filter->min) && isfinite(filter->max));
    for (size_t i = 0; i < filter->value_count; i++)
        NEED(filter->values[i].text.size <= RECO__FILTER_TEXT_MAX && isfinite(filter->values[i].number));
    write_filter(&first, filter);
    NEED(first.failed == RECO_OK && reco__filters_parse(&back, &count, arena, (reco_str){first.data, first.size}, "filter", &err) == RECO_OK);
    NEED(count == 1);
    write_filter(&second, back);
    NEED(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    reco__buf_dispose(&first);
    reco__buf_dispose(&second);
    PLANT(filter->value_count > 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reco__arena arena = {0};
    reco_error err = RECO_ERROR_INIT;
    const reco_filter *filters;
    const reco_cap *caps;
    size_t count = 0;
    reco_status status;
    if (size < 1)
        return 0;
    char *copy = malloc(size); /* of the exact size, so that reading past the end is seen */
    NEED(copy);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1) {
        status = reco__filters_parse(&filters, &count, &arena, (reco_str){copy, size - 1}, "filter", &err);
        NEED(count <= RECO_FILTERS_MAX);
        for (size_t i = 0; i < count && status == RECO_OK; i++)
            check_filter(&filters[i], &arena);
    } else {
        status = reco__caps_parse(&caps, &count, &arena, (reco_str){copy, size - 1}, "caps", &err);
        NEED(count <= RECO_CAPS_MAX);
        for (size_t i = 0; i < count && status == RECO_OK; i++)
            NEED(caps[i].most > 0 && caps[i].attribute.size > 0);
    }
    NEED(status == RECO_OK || ((status == RECO_INVALID || status == RECO_TOO_LARGE) && err.text[0] && err.field[0]));
    reco__arena_dispose(&arena);
    free(copy);
    return 0;
}
