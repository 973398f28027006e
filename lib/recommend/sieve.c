/* recommend/sieve.c - which items may be in an answer, by what the question says (reco/filter.h).
 *
 * A selection is read once, when the question is: checked in full, copied with the sizes the caller knows. It is opened for a catalogue each time the
 * question is tried: then attributes have numbers, and texts the hashes of that catalogue. Asking about an item then takes no lock and no look-up but
 * that of its traits.
 *
 * Of most items the signs of their traits (traits.h) say that a condition cannot hold: one that asks for a value, and neither for its absence nor for
 * that of the attribute. Then nothing else of them is looked at.
 *
 * Nothing is held against what is not known: what conditions ask of an item and the catalogue could not hold (limits.item_values,
 * limits.attributes) does not hold, whatever the condition. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "recommend/candidates.h"
#include "recommend/cursor.h"
#include "recommend/sieve.h"

#define TEXT_MAX 1024u /* bytes of a text in a condition */
#define NEAR 8u        /* so many values are looked through one by one */
#define SIGNED 8u      /* so many signs of values rule out enough to be worth a look */

/* --- reading ------------------------------------------------------------------------------------------------------------------------------------ */

static reco_status fail_in(reco_error *err, reco_status status, const char *array, size_t index, const char *field, const char *text) {
    char name[64];

    snprintf(name, sizeof(name), field[0] ? "%s[%zu].%s" : "%s[%zu]", array, index, field);
    return reco__fail(err, status, name, "%s", text);
}

static reco_status check_attribute(reco_str name, const char *array, size_t index, reco_error *err) {
    if (name.size == 0 || !name.data) {
        return fail_in(err, RECO_INVALID, array, index, "attribute", "it is required");
    }
    if (name.size > RECO__TRAIT_NAME_MAX) {
        return fail_in(err, RECO_TOO_LARGE, array, index, "attribute", "up to 256 bytes");
    }
    return reco__utf8_valid(name.data, name.size) ? RECO_OK : fail_in(err, RECO_INVALID, array, index, "attribute", "not valid UTF-8");
}

static reco_status check_value(const reco_value *value, size_t filter, size_t index, reco_error *err) {
    char name[64];

    snprintf(name, sizeof(name), "filters[%zu].values[%zu]", filter, index);
    if (value->type < RECO_VALUE_STRING || value->type > RECO_VALUE_BOOLEAN) {
        return reco__fail(err, RECO_INVALID, name, "%u is no type of a value", value->type);
    }
    if (value->type == RECO_VALUE_NUMBER && !isfinite(value->number)) {
        return reco__fail(err, RECO_INVALID, name, "the number is not finite");
    }
    if (value->type == RECO_VALUE_BOOLEAN && value->boolean > 1) {
        return reco__fail(err, RECO_INVALID, name, "0 or 1 is expected");
    }
    if (value->type != RECO_VALUE_STRING) {
        return RECO_OK;
    }
    if (value->text.size > TEXT_MAX) {
        return reco__fail(err, RECO_TOO_LARGE, name, "%zu bytes, at most %u are allowed", value->text.size, TEXT_MAX);
    }
    if (value->text.size > 0 && (!value->text.data || !reco__utf8_valid(value->text.data, value->text.size))) {
        return reco__fail(err, RECO_INVALID, name, "not valid UTF-8");
    }
    return RECO_OK;
}

static reco_status check_any_of(const reco_filter *filter, size_t index, reco_error *err) {
    reco_status status = RECO_OK;

    if (filter->flags & (RECO_FILTER_MIN | RECO_FILTER_MAX | RECO_FILTER_MIN_OUTSIDE | RECO_FILTER_MAX_OUTSIDE)) {
        return fail_in(err, RECO_INVALID, "filters", index, "flags", "min and max belong to a range");
    }
    if (filter->value_count == 0 || !filter->values) {
        return fail_in(err, RECO_INVALID, "filters", index, "values", "at least one value is needed");
    }
    if (filter->value_count > RECO_FILTER_VALUES_MAX) {
        return fail_in(err, RECO_TOO_LARGE, "filters", index, "values", "at most 256 values");
    }
    for (size_t i = 0; i < filter->value_count && status == RECO_OK; i++) {
        status = check_value(&filter->values[i], index, i, err);
    }
    return status;
}

static reco_status check_range(const reco_filter *filter, size_t index, reco_error *err) {
    bool min = filter->flags & RECO_FILTER_MIN, max = filter->flags & RECO_FILTER_MAX;

    if (filter->value_count != 0) {
        return fail_in(err, RECO_INVALID, "filters", index, "values", "a range has none");
    }
    if (!min && !max) {
        return fail_in(err, RECO_INVALID, "filters", index, "min", "a range needs a minimum or a maximum");
    }
    if (min && !isfinite(filter->min)) {
        return fail_in(err, RECO_INVALID, "filters", index, "min", "the number is not finite");
    }
    if (max && !isfinite(filter->max)) {
        return fail_in(err, RECO_INVALID, "filters", index, "max", "the number is not finite");
    }
    if (min && max && filter->min > filter->max) {
        return fail_in(err, RECO_INVALID, "filters", index, "max", "it is below the minimum");
    }
    return RECO_OK;
}

static reco_status check_filter(const reco_filter *filter, size_t index, reco_error *err) {
    const uint32_t flags =
        RECO_FILTER_NOT | RECO_FILTER_MISSING | RECO_FILTER_MIN | RECO_FILTER_MAX | RECO_FILTER_MIN_OUTSIDE | RECO_FILTER_MAX_OUTSIDE;
    reco_status status = check_attribute(filter->attribute, "filters", index, err);

    if (status != RECO_OK) {
        return status;
    }
    if (filter->flags & ~flags) {
        return fail_in(err, RECO_INVALID, "filters", index, "flags", "unknown flags");
    }
    if (filter->op != RECO_FILTER_ANY_OF && filter->op != RECO_FILTER_RANGE) {
        return fail_in(err, RECO_INVALID, "filters", index, "op", "any-of or range is expected");
    }
    return filter->op == RECO_FILTER_ANY_OF ? check_any_of(filter, index, err) : check_range(filter, index, err);
}

static reco_status read_filters(reco__sieve *sieve, const reco_selection *given, reco_error *err) {
    void *conditions = sieve->conditions;
    reco_status status = RECO_OK;

    if (given->filter_count > RECO_FILTERS_MAX) {
        return reco__fail(err, RECO_TOO_LARGE, "filters", "%zu conditions, at most %u are allowed", given->filter_count, RECO_FILTERS_MAX);
    }
    if (given->filter_count > 0 && !given->filters) {
        return reco__fail(err, RECO_INVALID, "filters", "is NULL, but filter_count is %zu", given->filter_count);
    }
    bool grown = reco__candidates_grow(&conditions, &sieve->condition_room, given->filter_count, sizeof(*sieve->conditions));
    sieve->conditions = conditions;
    if (!grown) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < given->filter_count && status == RECO_OK; i++) {
        reco__condition *condition = &sieve->conditions[i];
        *condition = (reco__condition){.attribute = RECO__TRAIT_NONE};
        status = reco__struct_copy(&condition->given, sizeof(condition->given), (const char *)given->filters + i * given->filter_size,
                                   given->filter_size, "filter_size", err);
        status = status == RECO_OK ? check_filter(&condition->given, i, err) : status;
        condition->ids = reco__str_equal(condition->given.attribute, reco__str_of("item_id"));
        if (status == RECO_OK && condition->ids && condition->given.op == RECO_FILTER_RANGE) {
            status = fail_in(err, RECO_INVALID, "filters", i, "op", "ids have no ranges");
        }
    }
    sieve->condition_count = given->filter_count;
    return status;
}

static reco_status read_caps(reco__sieve *sieve, const reco_selection *given, reco_error *err) {
    reco_status status = RECO_OK;

    if (given->cap_count > RECO_CAPS_MAX) {
        return reco__fail(err, RECO_TOO_LARGE, "caps", "%zu caps, at most %u are allowed", given->cap_count, RECO_CAPS_MAX);
    }
    if (given->cap_count > 0 && !given->caps) {
        return reco__fail(err, RECO_INVALID, "caps", "is NULL, but cap_count is %zu", given->cap_count);
    }
    for (size_t i = 0; i < given->cap_count && status == RECO_OK; i++) {
        reco_cap cap;
        status = reco__struct_copy(&cap, sizeof(cap), (const char *)given->caps + i * given->cap_size, given->cap_size, "cap_size", err);
        status = status == RECO_OK ? check_attribute(cap.attribute, "caps", i, err) : status;
        if (status == RECO_OK && reco__str_equal(cap.attribute, reco__str_of("item_id"))) {
            status = fail_in(err, RECO_INVALID, "caps", i, "attribute", "no two items share an id");
        } else if (status == RECO_OK && cap.most == 0) {
            status = fail_in(err, RECO_INVALID, "caps", i, "most", "1 or more is expected");
        } else if (status == RECO_OK && cap.reserved != 0) {
            status = fail_in(err, RECO_INVALID, "caps", i, "reserved", "0 is expected");
        }
        sieve->caps[i] = (reco__cap_rule){.name = cap.attribute, .most = cap.most};
    }
    sieve->cap_count = given->cap_count;
    return status;
}

static reco_status read_exclude(reco__sieve *sieve, const reco_selection *given, reco_error *err) {
    char name[64];
    reco_status status = RECO_OK;

    if (given->exclude_count > RECO_EXCLUDE_MAX) {
        return reco__fail(err, RECO_TOO_LARGE, "exclude", "%zu items, at most %u are allowed", given->exclude_count, RECO_EXCLUDE_MAX);
    }
    if (given->exclude_count > 0 && !given->exclude) {
        return reco__fail(err, RECO_INVALID, "exclude", "is NULL, but exclude_count is %zu", given->exclude_count);
    }
    for (size_t i = 0; i < given->exclude_count && status == RECO_OK; i++) {
        snprintf(name, sizeof(name), "exclude[%zu]", i);
        status = reco__check_id(given->exclude[i], -1, name, err);
    }
    sieve->exclude = given->exclude;
    sieve->exclude_count = given->exclude_count;
    return status;
}

/* --- what makes a question ---------------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_number(uint64_t hash, uint64_t number) { return reco__hash64(&number, sizeof(number), hash); }
static uint64_t hash_text(uint64_t hash, reco_str text) { return hash_number(reco__hash64(text.data, text.size, hash), text.size); }

uint64_t reco__question_hash(uint64_t begun, const reco_str *texts, size_t text_count, int64_t moment) {
    uint64_t hash = hash_number(hash_number(begun, (uint64_t)moment), text_count);

    for (size_t i = 0; i < text_count; i++) {
        hash = hash_text(hash, texts[i]);
    }
    return hash;
}

static uint64_t hash_filter(uint64_t hash, const reco_filter *filter) {
    hash = hash_number(hash_number(hash_text(hash, filter->attribute), filter->op), filter->flags);
    hash = hash_number(hash_number(hash, reco__trait_number(filter->flags & RECO_FILTER_MIN ? filter->min : 0)),
                       reco__trait_number(filter->flags & RECO_FILTER_MAX ? filter->max : 0));
    for (size_t i = 0; i < filter->value_count; i++) {
        const reco_value *value = &filter->values[i];
        hash = hash_number(hash, value->type);
        hash = value->type == RECO_VALUE_STRING   ? hash_text(hash, value->text)
               : value->type == RECO_VALUE_NUMBER ? hash_number(hash, reco__trait_number(value->number))
                                                  : hash_number(hash, value->boolean);
    }
    return hash;
}

/* The exclude list may grow from page to page. */
static uint64_t hash_selection(uint64_t hash, const reco__sieve *sieve) {
    hash = hash_number(hash, sieve->flags);
    for (size_t i = 0; i < sieve->condition_count; i++) {
        hash = hash_filter(hash, &sieve->conditions[i].given);
    }
    for (size_t i = 0; i < sieve->cap_count; i++) {
        hash = hash_number(hash_text(hash, sieve->caps[i].name), sieve->caps[i].most);
    }
    return hash;
}

reco_status reco__sieve_read(reco__sieve *sieve, const reco_selection *selection, uint64_t question, reco_error *err) {
    reco_selection given;
    reco_status status = reco__struct_copy(&given, sizeof(given), selection, selection ? selection->struct_size : 0, "selection", err);

    sieve->flags = given.flags;
    sieve->condition_count = sieve->cap_count = sieve->exclude_count = sieve->paged_count = 0;
    sieve->asks = sieve->by_id = false;
    if (status == RECO_OK && given.flags & ~RECO_SELECTION_VARIANTS) {
        status = reco__fail(err, RECO_INVALID, "selection.flags", "unknown flags 0x%x", given.flags);
    }
    if (status == RECO_OK) {
        status = read_exclude(sieve, &given, err);
    }
    if (status == RECO_OK) {
        status = read_filters(sieve, &given, err);
    }
    if (status == RECO_OK) {
        status = read_caps(sieve, &given, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    sieve->question = hash_selection(question, sieve);
    sieve->asks = sieve->exclude_count + sieve->condition_count > 0;
    sieve->by_id = sieve->exclude_count > 0;
    for (size_t i = 0; i < sieve->condition_count; i++) {
        sieve->by_id = sieve->by_id || sieve->conditions[i].ids;
    }
    return reco__cursor_read(sieve, given.cursor, err);
}

/* --- opening ------------------------------------------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b) {
    const reco__sieve_value *left = a, *right = b;

    if (left->type != right->type) {
        return left->type < right->type ? -1 : 1;
    }
    return left->value < right->value ? -1 : left->value > right->value;
}

static int by_hash(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t number_of(reco__catalogue *catalogue, reco_str name) {
    if (!catalogue) {
        return RECO__TRAIT_NONE;
    }
    return reco__catalogue_attribute(catalogue, reco__str_equal(name, reco__str_of("category")) ? reco__str_of("categories") : name);
}

static uint64_t value_of(const reco_value *value, uint64_t seed) {
    switch (value->type) {
    case RECO_VALUE_NUMBER:
        return reco__trait_number(value->number);
    case RECO_VALUE_BOOLEAN:
        return value->boolean;
    default:
        return reco__trait_text(value->text, seed);
    }
}

static reco_status open_condition(reco__sieve *sieve, reco__condition *condition, reco_error *err) {
    void *values = sieve->values;
    size_t count = condition->given.value_count;
    bool grown = reco__candidates_grow(&values, &sieve->value_room, sieve->value_count + count, sizeof(*sieve->values));

    sieve->values = values;
    if (!grown) {
        return reco__no_memory(err);
    }
    uint64_t seed = condition->ids || !sieve->catalogue ? 0 : sieve->catalogue->seed; /* of ids features have the hash without one */
    condition->first = sieve->value_count;
    condition->count = count;
    for (size_t i = 0; i < count; i++) {
        const reco_value *value = &condition->given.values[i];
        sieve->values[sieve->value_count++] = (reco__sieve_value){.type = value->type, .value = value_of(value, seed)};
    }
    if (count > 1) {
        qsort(sieve->values + condition->first, count, sizeof(*sieve->values), by_value);
    }
    condition->attribute = condition->ids ? RECO__TRAIT_NONE : number_of(sieve->catalogue, condition->given.attribute);
    return RECO_OK;
}

static reco_status open_exclude(reco__sieve *sieve, reco_error *err) {
    void *excluded = sieve->excluded;
    bool grown = reco__candidates_grow(&excluded, &sieve->excluded_room, sieve->exclude_count, sizeof(*sieve->excluded));

    sieve->excluded = excluded;
    if (!grown) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < sieve->exclude_count; i++) {
        sieve->excluded[i] = reco__hash64(sieve->exclude[i].data, sieve->exclude[i].size, 0);
    }
    if (sieve->exclude_count > 1) {
        qsort(sieve->excluded, sieve->exclude_count, sizeof(*sieve->excluded), by_hash);
    }
    return RECO_OK;
}

/* Where there are none, nothing has to be collapsed. */
static bool has_variants(const reco__sieve *sieve) {
    return !(sieve->flags & RECO_SELECTION_VARIANTS) && atomic_load_explicit(&sieve->catalogue->variants, memory_order_relaxed) > 0;
}

/* What signs can say of a condition. An attribute without a number has no items, and may have some later. */
static void sign_condition(reco__sieve *sieve, reco__condition *condition) {
    const reco_filter *filter = &condition->given;
    uint32_t name = condition->attribute;
    reco__sieve_value *values = sieve->values ? sieve->values + condition->first : NULL; /* MISSING alone has none */

    condition->any = false;
    if (condition->ids || name == RECO__TRAIT_NONE || filter->flags & RECO_FILTER_MISSING) {
        return;
    }
    sieve->signs |= reco__trait_name_sign(name); /* without the attribute it does not hold */
    if (filter->op == RECO_FILTER_RANGE || filter->flags & RECO_FILTER_NOT) {
        return;
    }
    condition->any = condition->count > 1 && condition->count <= SIGNED;
    for (size_t i = 0; i < condition->count; i++) {
        values[i].sign = reco__trait_sign(name, values[i].type, values[i].value);
    }
    sieve->signs |= condition->count == 1 ? values[0].sign : 0;
}

static void sign_conditions(reco__sieve *sieve) {
    sieve->signs = 0;
    for (size_t i = 0; i < sieve->condition_count; i++) {
        sign_condition(sieve, &sieve->conditions[i]);
    }
    sieve->signed_ = sieve->signs != 0; /* `any` needs the attribute as well */
}

reco_status reco__sieve_open(reco__sieve *sieve, reco__catalogue *catalogue, reco_error *err) {
    reco_status status = RECO_OK;

    reco__sieve_close(sieve);
    sieve->value_count = 0;
    sieve->shown_count = sieve->paged_count;
    sieve->collapse = false;
    if (catalogue) {
        sieve->catalogue = catalogue;
        sieve->ticket = reco__catalogue_enter(catalogue);
        sieve->collapse = has_variants(sieve);
    }
    for (size_t i = 0; i < sieve->condition_count && status == RECO_OK; i++) {
        status = open_condition(sieve, &sieve->conditions[i], err);
    }
    if (status == RECO_OK) {
        sign_conditions(sieve);
    }
    for (size_t i = 0; i < sieve->cap_count; i++) {
        sieve->caps[i].attribute = number_of(catalogue, sieve->caps[i].name);
    }
    return status == RECO_OK ? open_exclude(sieve, err) : status;
}

void reco__sieve_renumber(reco__sieve *sieve) {
    sieve->collapse = sieve->collapse || (sieve->catalogue && has_variants(sieve));
    for (size_t i = 0; i < sieve->condition_count; i++) {
        reco__condition *condition = &sieve->conditions[i];
        if (condition->attribute == RECO__TRAIT_NONE && !condition->ids) {
            condition->attribute = number_of(sieve->catalogue, condition->given.attribute);
        }
    }
    sign_conditions(sieve);
    for (size_t i = 0; i < sieve->cap_count; i++) {
        if (sieve->caps[i].attribute == RECO__TRAIT_NONE) {
            sieve->caps[i].attribute = number_of(sieve->catalogue, sieve->caps[i].name);
        }
    }
}

void reco__sieve_close(reco__sieve *sieve) {
    if (sieve->catalogue) {
        reco__catalogue_leave(sieve->catalogue, sieve->ticket);
        sieve->catalogue = NULL;
    }
}

void reco__sieve_dispose(reco__sieve *sieve) {
    reco__release(sieve->conditions);
    reco__release(sieve->shown);
    reco__release(sieve->values);
    reco__release(sieve->excluded);
    reco__release(sieve->tallies);
}

uint64_t reco__sieve_bytes(const reco__sieve *sieve) {
    return sieve->condition_room * sizeof(*sieve->conditions) + sieve->shown_room * sizeof(*sieve->shown) +
           sieve->value_room * sizeof(*sieve->values) + sieve->excluded_room * sizeof(*sieve->excluded) + sieve->tally_room * sizeof(*sieve->tallies);
}

/* --- conditions --------------------------------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const reco__sieve *sieve, const reco__condition *condition, uint32_t type, uint64_t value) {
    const reco__sieve_value *values = sieve->values + condition->first, key = {.type = type, .value = value};

    if (condition->count > NEAR) {
        return bsearch(&key, values, condition->count, sizeof(*values), by_value) != NULL;
    }
    for (size_t i = 0; i < condition->count; i++) {
        if (values[i].value == value && values[i].type == type) {
            return true;
        }
    }
    return false;
}

static bool in_range(const reco_filter *range, uint32_t type, uint64_t value) {
    double number = reco__trait_double(value);

    if (type != RECO_VALUE_NUMBER) {
        return false;
    }
    if (range->flags & RECO_FILTER_MIN && (number < range->min || (number == range->min && range->flags & RECO_FILTER_MIN_OUTSIDE))) {
        return false;
    }
    return !(range->flags & RECO_FILTER_MAX) || number < range->max || (number == range->max && !(range->flags & RECO_FILTER_MAX_OUTSIDE));
}

static bool condition_holds(const reco__sieve *sieve, const reco__condition *condition, const reco__traits *traits, uint64_t hash) {
    const reco_filter *filter = &condition->given;
    uint32_t from = 0, to = 0;
    bool hit = false;

    if (condition->ids) {
        return is_wanted(sieve, condition, RECO_VALUE_STRING, hash) != ((filter->flags & RECO_FILTER_NOT) != 0);
    }
    if (traits && condition->attribute != RECO__TRAIT_NONE) {
        reco__traits_find(&from, &to, traits, condition->attribute);
    }
    for (uint32_t i = from; i < to && !hit; i++) {
        uint32_t type = reco__traits_keys(traits)[i] & 3;
        uint64_t value = reco__traits_values(traits)[i];
        hit = filter->op == RECO_FILTER_RANGE ? in_range(filter, type, value) : is_wanted(sieve, condition, type, value);
    }
    if (!hit && traits && traits->cut) { /* the value may be among those that could not be held */
        return false;
    }
    return hit ? !(filter->flags & RECO_FILTER_NOT) : (filter->flags & (from < to ? RECO_FILTER_NOT : RECO_FILTER_MISSING)) != 0;
}

size_t reco__sieve_failing(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash) {
    size_t i = 0;

    while (i < sieve->condition_count && condition_holds(sieve, &sieve->conditions[i], traits, hash)) {
        i++;
    }
    return i;
}

bool reco__sieve_holds(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash) {
    return reco__sieve_failing(sieve, traits, hash) == sieve->condition_count;
}

bool reco__sieve_excludes(const reco__sieve *sieve, uint64_t hash) {
    return sieve->exclude_count > 0 && bsearch(&hash, sieve->excluded, sieve->exclude_count, sizeof(*sieve->excluded), by_hash);
}

/* --- pages -------------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t product_of(const reco__traits *traits, uint64_t hash) { return traits && traits->product != 0 ? traits->product : hash; }

bool reco__sieve_shown(const reco__sieve *sieve, const reco__traits *traits, uint64_t hash) {
    if (sieve->paged_count == 0) {
        return false;
    }
    return reco__cursor_has(sieve, hash) || (sieve->collapse && reco__cursor_has(sieve, product_of(traits, hash)));
}

/* --- choosing ----------------------------------------------------------------------------------------------------------------------------------- */

void reco__sieve_begin(reco__sieve *sieve) {
    if (sieve->tally_count > 0) {
        memset(sieve->tallies, 0, sieve->tally_room * sizeof(*sieve->tallies));
        sieve->tally_count = 0;
    }
}

static reco__tally *tally_in(reco__tally *tallies, size_t room, uint64_t key) {
    size_t at = (key ^ key >> 32) & (room - 1);

    while (tallies[at].key != 0 && tallies[at].key != key) {
        at = (at + 1) & (room - 1);
    }
    return &tallies[at];
}

/* At most half full. */
static bool reserve_tallies(reco__sieve *sieve, size_t more) {
    size_t room = sieve->tally_room > 0 ? sieve->tally_room : 64;

    while ((sieve->tally_count + more) * 2 > room) {
        room *= 2;
    }
    if (room == sieve->tally_room) {
        return true;
    }
    reco__tally *tallies = reco__zalloc(room * sizeof(*tallies));
    if (!tallies) {
        return false;
    }
    for (size_t i = 0; i < sieve->tally_room; i++) {
        if (sieve->tallies[i].key != 0) {
            *tally_in(tallies, room, sieve->tallies[i].key) = sieve->tallies[i];
        }
    }
    reco__release(sieve->tallies);
    sieve->tallies = tallies;
    sieve->tally_room = room;
    return true;
}

/* One number for (rule, type, value); rule 0: a product. */
static uint64_t tally_key(size_t rule, uint32_t type, uint64_t value) {
    uint64_t key = hash_number(rule * 4 + type, value);
    return key != 0 ? key : 1;
}

/* Visits what an item has that a cap counts. 1 + the number of the first that is full, 0: none is; `by` is added to all. */
static size_t visit_caps(reco__sieve *sieve, const reco__traits *traits, uint32_t by) {
    size_t full = 0;

    for (size_t k = 0; k < sieve->cap_count && traits; k++) {
        uint32_t from = 0, to = 0;
        if (sieve->caps[k].attribute != RECO__TRAIT_NONE) { /* else nobody has it; the caps behind it count all the same */
            reco__traits_find(&from, &to, traits, sieve->caps[k].attribute);
        }
        for (uint32_t i = from; i < to; i++) {
            uint64_t key = tally_key(k + 1, reco__traits_keys(traits)[i] & 3, reco__traits_values(traits)[i]);
            reco__tally *tally = tally_in(sieve->tallies, sieve->tally_room, key);
            full = full == 0 && tally->count >= sieve->caps[k].most ? k + 1 : full;
            sieve->tally_count += by > 0 && tally->key == 0;
            tally->key = by > 0 ? key : tally->key;
            tally->count += by;
        }
    }
    return full;
}

static void occupy(reco__sieve *sieve, reco__tally *product, uint64_t key) {
    sieve->tally_count += product->key == 0;
    *product = (reco__tally){.key = key, .count = 1};
}

reco_status reco__sieve_occupy(reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err) {
    uint64_t key = tally_key(0, 0, product_of(traits, hash));

    if (!reserve_tallies(sieve, 1)) {
        return reco__no_memory(err);
    }
    occupy(sieve, tally_in(sieve->tallies, sieve->tally_room, key), key);
    return RECO_OK;
}

reco_status reco__sieve_take(uint32_t *kind, reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err) {
    *kind = RECO__SIEVED_KINDS;
    if (!sieve->collapse && sieve->cap_count == 0) {
        return RECO_OK;
    }
    if (!reserve_tallies(sieve, 1 + (traits ? traits->count * sieve->cap_count : 0))) {
        return reco__no_memory(err);
    }
    uint64_t key = tally_key(0, 0, product_of(traits, hash));
    reco__tally *product = tally_in(sieve->tallies, sieve->tally_room, key);
    if (sieve->collapse && product->count > 0) {
        *kind = RECO__SIEVED_VARIANTS;
    } else if (visit_caps(sieve, traits, 0) > 0) {
        *kind = RECO__SIEVED_CAPS;
    } else {
        if (sieve->collapse) {
            occupy(sieve, product, key);
        }
        visit_caps(sieve, traits, 1);
    }
    return RECO_OK;
}

reco_status reco__sieve_pass(uint32_t *kind, reco__sieve *sieve, const reco__traits *traits, uint64_t hash, reco_error *err) {
    if (reco__sieve_excludes(sieve, hash)) {
        *kind = RECO__SIEVED_EXCLUDE;
    } else if (!reco__sieve_holds(sieve, traits, hash)) {
        *kind = RECO__SIEVED_FILTERS;
    } else if (reco__sieve_shown(sieve, traits, hash)) {
        *kind = RECO__SIEVED_CURSOR;
    } else {
        return reco__sieve_take(kind, sieve, traits, hash, err);
    }
    return RECO_OK;
}

size_t reco__sieve_full_cap(reco__sieve *sieve, const reco__traits *traits) { return visit_caps(sieve, traits, 0); }
