/* model/filter.c - filters and caps from JSON: what people write in a query string or a body, as the structs that questions take. What the structs
 * could not say either is refused here, with the name of the attribute. */
#include "model/filter.h"

#include <math.h>
#include <stdio.h>

#include "model/elements.h"

/* Conditions in the making. */
typedef struct reading {
    reco__arena *arena;
    reco_filter *filters;
    size_t count;
    const char *field;
    reco_str name; /* of the attribute */
    int32_t index;
    reco_error *err;
} reading;

static reco_status fail(const reading *r, reco_status status, const char *text) {
    char field[64];
    snprintf(field, sizeof field, "%s%s%.*s", r->field, r->name.size ? "." : "", reco__shown(r->name, 40), r->name.data ? r->name.data : "");
    return reco__fail_at(r->err, status, r->index, field, "%s", text);
}

/* --- values -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_value(reco_value *out, const reading *r, const json_t *value) {
    *out = (reco_value){.type = RECO_VALUE_STRING};
    if (json_is_string(value)) {
        size_t size = json_string_length(value);
        if (size > RECO__FILTER_TEXT_MAX)
            return fail(r, RECO_TOO_LARGE, "a text of more than 1024 bytes");
        if (!reco__utf8_valid(json_string_value(value), size))
            return fail(r, RECO_INVALID, "a text with U+0000");
        out->text = (reco_str){reco__arena_copy(r->arena, json_string_value(value), size), size};
        return out->text.data ? RECO_OK : reco__no_memory(r->err);
    }
    if (json_is_boolean(value)) {
        out->type = RECO_VALUE_BOOLEAN;
        out->boolean = json_is_true(value);
        return RECO_OK;
    }
    if (!json_is_number(value))
        return fail(r, RECO_INVALID, "a text, a number, true, false, an array of them, or an object with gte, gt, lte, lt, in, not is expected");
    out->type = RECO_VALUE_NUMBER;
    out->number = json_number_value(value) + 0.0; /* -0 is 0 */
    return RECO_OK;
}

/* One value, or an array of them. */
static reco_status read_values(reading *r, const json_t *value, uint32_t flags) {
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count == 0)
        return fail(r, RECO_INVALID, "at least one value is needed");
    if (count > RECO_FILTER_VALUES_MAX)
        return fail(r, RECO_TOO_LARGE, "at most 256 values");
    reco_value *values = reco__arena_alloc(r->arena, count * sizeof *values);
    if (!values)
        return reco__no_memory(r->err);
    for (size_t i = 0; i < count; i++) {
        reco_status status = read_value(&values[i], r, json_is_array(value) ? json_array_get(value, i) : value);
        if (status != RECO_OK)
            return status;
    }
    r->filters[r->count++] = (reco_filter){.attribute = r->name, .op = RECO_FILTER_ANY_OF, .flags = flags, .values = values, .value_count = count};
    return RECO_OK;
}

/* --- ranges -------------------------------------------------------------------------------------------------------------------------------- */

/* Takes a member that is an end of a range; *taken: it is one. */
static reco_status read_end(bool *taken, reco_filter *range, const reading *r, const char *name, const json_t *value) {
    static const struct {
        const char *name;
        uint32_t end, outside;
    } ends[] = {{"gte", RECO_FILTER_MIN, 0},
                {"gt", RECO_FILTER_MIN, RECO_FILTER_MIN_OUTSIDE},
                {"lte", RECO_FILTER_MAX, 0},
                {"lt", RECO_FILTER_MAX, RECO_FILTER_MAX_OUTSIDE}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (strcmp(name, ends[i].name) != 0)
            continue;
        if (!json_is_number(value))
            return fail(r, RECO_INVALID, "gte, gt, lte and lt are numbers");
        if (range->flags & ends[i].end)
            return fail(r, RECO_INVALID, "one of gte and gt, and one of lte and lt");
        range->flags |= ends[i].end | ends[i].outside;
        *(ends[i].end == RECO_FILTER_MIN ? &range->min : &range->max) = json_number_value(value) + 0.0;
        *taken = true;
    }
    return RECO_OK;
}

static reco_status put_range(reading *r, const reco_filter *range, uint32_t flags) {
    const uint32_t both = RECO_FILTER_MIN | RECO_FILTER_MAX;
    if ((range->flags & both) == both && range->min > range->max)
        return fail(r, RECO_INVALID, "the end of the range is below its beginning");
    r->filters[r->count] = *range;
    r->filters[r->count].attribute = r->name;
    r->filters[r->count].op = RECO_FILTER_RANGE;
    r->filters[r->count++].flags |= flags;
    return RECO_OK;
}

/* --- conditions ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_not(reading *r, const json_t *value, uint32_t flags) {
    reco_filter range = {.flags = 0};
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return read_values(r, value, flags | RECO_FILTER_NOT);
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        bool taken = false;
        reco_status status = read_end(&taken, &range, r, name, member);
        if (status != RECO_OK || !taken)
            return status == RECO_OK ? fail(r, RECO_INVALID, "not takes a value, an array, or an object with gte, gt, lte, lt") : status;
    }
    if (range.flags == 0)
        return fail(r, RECO_INVALID, "not takes a value, an array, or an object with gte, gt, lte, lt");
    return put_range(r, &range, flags | RECO_FILTER_NOT);
}

static reco_status read_missing(uint32_t *flags, const reading *r, const json_t *object) {
    const json_t *value = json_object_get(object, "missing");
    if (value && !json_is_boolean(value))
        return fail(r, RECO_INVALID, "missing is true or false");
    *flags = json_is_true(value) ? RECO_FILTER_MISSING : 0;
    return RECO_OK;
}

/* Each of a range, `in` and `not` becomes a condition of its own. */
static reco_status read_members(reading *r, const json_t *object) {
    reco_filter range = {.flags = 0};
    size_t before = r->count;
    uint32_t flags = 0;
    const char *name;
    json_t *value;
    reco_status status = read_missing(&flags, r, object);
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool taken = true;
        if (status == RECO_OK && strcmp(name, "in") == 0) {
            status = read_values(r, value, flags);
        } else if (status == RECO_OK && strcmp(name, "not") == 0) {
            status = read_not(r, value, flags);
        } else if (status == RECO_OK && strcmp(name, "missing") != 0) {
            taken = false;
            status = read_end(&taken, &range, r, name, value);
        }
        if (status == RECO_OK && !taken)
            status = fail(r, RECO_INVALID, "gte, gt, lte, lt, in, not and missing are known");
    }
    if (status == RECO_OK && range.flags != 0)
        status = put_range(r, &range, flags);
    return status == RECO_OK && r->count == before ? fail(r, RECO_INVALID, "gte, gt, lte, lt, in or not is needed") : status;
}

/* The name of an attribute, in the arena. */
static reco_status read_name(reading *r, const char *name) {
    size_t size = strlen(name);
    r->name = (reco_str){name, size};
    if (size == 0)
        return fail(r, RECO_INVALID, "an attribute has a name");
    if (size > RECO__FILTER_NAME_MAX)
        return fail(r, RECO_TOO_LARGE, "the name of an attribute has up to 256 bytes");
    r->name.data = reco__arena_copy(r->arena, name, size);
    if (r->name.data)
        return RECO_OK;
    r->name.size = 0;
    return reco__no_memory(r->err);
}

#define MOST_OF_ONE 3u /* conditions that one attribute can make */

reco_status reco__filters_of(const reco_filter **out, size_t *count, reco__arena *arena, const json_t *object, const char *field, int32_t index,
                             reco_error *err) {
    reading r = {.arena = arena, .field = field, .index = index, .err = err};
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return fail(&r, RECO_INVALID, "an object of attributes is expected");
    if (json_object_size(object) > RECO_FILTERS_MAX)
        return fail(&r, RECO_TOO_LARGE, "at most 32 conditions");
    r.filters = reco__arena_zalloc(arena, (json_object_size(object) * MOST_OF_ONE + 1) * sizeof *r.filters);
    if (!r.filters)
        return reco__no_memory(err);
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        reco_status status = read_name(&r, name);
        if (status == RECO_OK)
            status = json_is_object(value) ? read_members(&r, value) : read_values(&r, value, 0);
        if (status != RECO_OK)
            return status;
    }
    r.name.size = 0;
    if (r.count > RECO_FILTERS_MAX)
        return fail(&r, RECO_TOO_LARGE, "at most 32 conditions");
    *out = r.filters;
    *count = r.count;
    return RECO_OK;
}

reco_status reco__caps_of(const reco_cap **out, size_t *count, reco__arena *arena, const json_t *object, const char *field, int32_t index,
                          reco_error *err) {
    reading r = {.arena = arena, .field = field, .index = index, .err = err};
    size_t made = 0;
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return fail(&r, RECO_INVALID, "an object of attributes is expected");
    if (json_object_size(object) > RECO_CAPS_MAX)
        return fail(&r, RECO_TOO_LARGE, "at most 8 caps");
    reco_cap *caps = reco__arena_zalloc(arena, (json_object_size(object) + 1) * sizeof *caps);
    if (!caps)
        return reco__no_memory(err);
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        reco_status status = read_name(&r, name);
        if (status == RECO_OK && (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > UINT32_MAX))
            status = fail(&r, RECO_INVALID, "a whole number from 1 on is expected");
        if (status != RECO_OK)
            return status;
        caps[made++] = (reco_cap){.attribute = r.name, .most = (uint32_t)json_integer_value(value)};
    }
    *out = caps;
    *count = made;
    return RECO_OK;
}

/* --- text ---------------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_text(json_t **out, reco_str text, const char *field, reco_error *err) {
    json_error_t error;
    *out = json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (*out)
        return RECO_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return reco__no_memory(err);
    return reco__fail(err, RECO_INVALID, field, "a JSON object is expected: %s", error.text);
}

reco_status reco__filters_parse(const reco_filter **out, size_t *count, reco__arena *arena, reco_str text, const char *field, reco_error *err) {
    json_t *object;
    reco_status status = read_text(&object, text, field, err);
    if (status == RECO_OK)
        status = reco__filters_of(out, count, arena, object, field, -1, err);
    json_decref(object);
    return status;
}

reco_status reco__caps_parse(const reco_cap **out, size_t *count, reco__arena *arena, reco_str text, const char *field, reco_error *err) {
    json_t *object;
    reco_status status = read_text(&object, text, field, err);
    if (status == RECO_OK)
        status = reco__caps_of(out, count, arena, object, field, -1, err);
    json_decref(object);
    return status;
}
