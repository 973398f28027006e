/* model/attributes.c - attributes of items and users.
 *
 * They are kept as they were written, whatever they are. No types are declared for them: an attribute is what its value is, and a condition that asks
 * for a number is not met by a text. What is refused here could not be asked for, or would make one document a burden for all. Documents that are
 * stored already are not held against it. */
#include "model/attributes.h"

#include <stdio.h>

#include "model/event.h"

#define NESTING_MAX (RECO__NESTING_MAX - 1) /* a level less than a document, of which they are a part */

static reco_status check_name(const char *name, bool inside, int32_t index, reco_error *err) {
    char field[sizeof err->field];
    reco_str text = reco__str_of(name);
    if (text.size > 0 && text.size <= RECO__ATTRIBUTE_NAME_MAX)
        return RECO_OK;
    const char *before = inside ? RECO__ATTRIBUTES_NAME "." : "";
    snprintf(field, sizeof field, "%s%.*s", before, reco__shown(text, sizeof field - 1 - strlen(before)), name);
    if (text.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, inside ? field : RECO__ATTRIBUTES_NAME, "an attribute without a name");
    return reco__fail_at(err, RECO_TOO_LARGE, index, field, "the name of an attribute has %zu bytes, at most %u are allowed", text.size,
                         RECO__ATTRIBUTE_NAME_MAX);
}

static reco_status check_count(size_t count, int32_t index, reco_error *err) {
    if (count <= RECO__ATTRIBUTES_COUNT_MAX)
        return RECO_OK;
    return reco__fail_at(err, RECO_TOO_LARGE, index, RECO__ATTRIBUTES_NAME, "%zu attributes, at most %u are allowed", count,
                         RECO__ATTRIBUTES_COUNT_MAX);
}

static reco_status check_members(json_t *bag, int32_t index, reco_error *err) {
    const char *name;
    json_t *ignored;
    json_object_foreach(bag, name, ignored) {
        reco_status status = check_name(name, true, index, err);
        if (status != RECO_OK)
            return status;
    }
    return RECO_OK;
}

reco_status reco__attributes_check(reco_str attributes, int32_t index, reco_error *err) {
    json_t *bag;
    if (attributes.size == 0)
        return RECO_OK;
    if (!attributes.data || !reco__utf8_valid(attributes.data, attributes.size))
        return reco__fail_at(err, RECO_INVALID, index, RECO__ATTRIBUTES_NAME, "must be valid UTF-8 without U+0000");
    reco_status status = reco__json_nested(&bag, attributes, RECO__ATTRIBUTES_MAX, NESTING_MAX, index, RECO__ATTRIBUTES_NAME, err);
    if (status != RECO_OK)
        return status;
    status = check_count(json_object_size(bag), index, err);
    if (status == RECO_OK)
        status = check_members(bag, index, err);
    json_decref(bag);
    return status;
}

reco_status reco__attributes_of_element(reco_str *out, reco__arena *arena, reco__buf *scratch, const reco__element *element, json_t *bag,
                                        const char *const *known, reco_error *err) {
    reco_status status = reco__element_bag(out, arena, scratch, element, RECO__ATTRIBUTES_NAME, bag, known, RECO__ATTRIBUTES_MAX, err);
    if (status != RECO_OK || out->size == 0 || reco__json_depth(*out) <= NESTING_MAX)
        return status;
    return reco__fail_at(err, RECO_INVALID, element->index, RECO__ATTRIBUTES_NAME, "nested deeper than %u", NESTING_MAX);
}

reco_status reco__attributes_check_element(const reco__element *element, const char *const *known, reco_error *err) {
    json_t *bag = json_object_get(element->object, RECO__ATTRIBUTES_NAME), *ignored;
    const char *name;
    size_t count = json_object_size(bag);
    json_object_foreach(element->object, name, ignored) {
        if (reco__json_among(name, known))
            continue;
        reco_status status = check_name(name, false, element->index, err);
        if (status != RECO_OK)
            return status;
        count++;
    }
    reco_status status = check_count(count, element->index, err);
    return status == RECO_OK ? check_members(bag, element->index, err) : status;
}
