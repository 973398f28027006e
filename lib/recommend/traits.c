/* recommend/traits.c - the attributes of an item, as conditions read them.
 *
 * A catalogue of millions of items has as many documents; what answers ask of them takes ten bytes a value here: two for the name and type, eight
 * for the value. Texts are only ever compared for equality, so their 64-bit hash is enough, and no table of texts has to be kept that grows with
 * every text there ever was. What the document says beyond that (deeper objects, null) nobody can ask. */
#include "recommend/traits.h"

#include <jansson.h>
#include <stdlib.h>

const reco__traits reco__traits_unknown = {.cut = true};

uint64_t reco__trait_number(double number) {
    uint64_t bits;
    double plain = number == 0 ? 0 : number; /* -0 is 0 */

    memcpy(&bits, &plain, sizeof(bits));
    return bits;
}

double reco__trait_double(uint64_t value) {
    double number;

    memcpy(&number, &value, sizeof(number));
    return number;
}

uint64_t reco__trait_text(reco_str text, uint64_t seed) { return reco__hash64(text.data, text.size, seed); }

typedef struct listing {
    reco__trait *list;
    size_t count, most;
    bool cut;
    uint64_t seed;
} listing;

static void put(listing *l, reco_str name, uint32_t type, uint64_t value) {
    if (l->count < l->most) {
        l->list[l->count++] = (reco__trait){.name = name, .type = type, .value = value};
    } else {
        l->cut = true;
    }
}

/* What cannot be compared says nothing. */
static void put_json(listing *l, reco_str name, const json_t *value) {
    if (json_is_string(value)) {
        put(l, name, RECO_VALUE_STRING, reco__trait_text((reco_str){json_string_value(value), json_string_length(value)}, l->seed));
    } else if (json_is_number(value)) {
        put(l, name, RECO_VALUE_NUMBER, reco__trait_number(json_number_value(value)));
    } else if (json_is_boolean(value)) {
        put(l, name, RECO_VALUE_BOOLEAN, json_is_true(value));
    }
}

static bool built_in(const char *name) {
    return strcmp(name, "categories") == 0 || strcmp(name, "category") == 0 || strcmp(name, "parent") == 0 || strcmp(name, "item_id") == 0;
}

static reco_status put_attribute(listing *l, reco__arena *arena, const char *name, const json_t *value, reco_error *err) {
    size_t size = strlen(name), count = json_array_size(value); /* 0 when it is no array */

    if (size == 0 || size > RECO__TRAIT_NAME_MAX || built_in(name)) {
        return RECO_OK;
    }
    reco_str copy = {reco__arena_copy(arena, name, size), size};
    if (!copy.data) {
        return reco__no_memory(err);
    }
    put_json(l, copy, value);
    for (size_t i = 0; i < count; i++) {
        put_json(l, copy, json_array_get(value, i));
    }
    return RECO_OK;
}

static size_t values_in(const json_t *bag) {
    size_t count = 0;
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)bag, name, value) { count += json_is_array(value) ? json_array_size(value) : 1; }
    return count;
}

/* The attributes as a tree; NULL when there are none. Some that cannot be read count as more than could be held. */
static reco_status read_bag(json_t **out, bool *cut, const reco_item *item, reco_error *err) {
    json_error_t error;

    *out = NULL;
    if (item->attributes.size == 0) {
        return RECO_OK;
    }
    *out = json_loadb(item->attributes.data, item->attributes.size, JSON_ALLOW_NUL, &error);
    if (!*out && json_error_code(&error) == json_error_out_of_memory) {
        return reco__no_memory(err);
    }
    if (!*out) {
        reco__log(RECO_LOG_WARN, "recommend", "the attributes of item %.*s cannot be read: %s", (int)item->item_id.size, item->item_id.data,
                  error.text);
        *cut = true;
    }
    return RECO_OK;
}

static reco_status put_all(listing *l, reco__arena *arena, const reco_item *item, json_t *bag, reco_error *err) {
    reco_status status = RECO_OK;
    const char *name;
    json_t *value;

    if (item->parent.size > 0) {
        put(l, reco__str_of("parent"), RECO_VALUE_STRING, reco__trait_text(item->parent, l->seed));
    }
    for (size_t i = 0; i < item->category_count; i++) {
        put(l, reco__str_of("categories"), RECO_VALUE_STRING, reco__trait_text(item->categories[i], l->seed));
    }
    json_object_foreach(bag, name, value) { status = status == RECO_OK ? put_attribute(l, arena, name, value, err) : status; }
    return status;
}

reco_status reco__traits_list(reco__trait **out, size_t *count, bool *cut, reco__arena *arena, const reco_item *item, uint32_t most, uint64_t seed,
                              reco_error *err) {
    listing l = {.seed = seed};
    json_t *bag;

    *out = NULL;
    *count = 0;
    *cut = false;
    reco_status status = read_bag(&bag, &l.cut, item, err);
    if (status != RECO_OK) {
        return status;
    }
    size_t room = values_in(bag) + item->category_count + (item->parent.size > 0);
    l.most = room < most ? room : most;
    l.list = reco__arena_alloc(arena, l.most * sizeof(*l.list));
    status = l.list ? put_all(&l, arena, item, bag, err) : reco__no_memory(err);
    json_decref(bag);
    if (status == RECO_OK) {
        *out = l.list;
        *count = l.count;
        *cut = l.cut;
    }
    return status;
}

/* In order of (name, type, value). */
static int by_key(const void *a, const void *b) {
    const reco__trait *left = a, *right = b;

    if (left->number != right->number) {
        return left->number < right->number ? -1 : 1;
    }
    if (left->type != right->type) {
        return left->type < right->type ? -1 : 1;
    }
    return left->value < right->value ? -1 : left->value > right->value;
}

reco__traits *reco__traits_pack(reco__trait *list, size_t count, bool cut, uint64_t product) {
    qsort(list, count, sizeof(*list), by_key);
    size_t kept = count;
    while (kept > 0 && list[kept - 1].number == RECO__TRAIT_NONE) { /* they are last */
        kept--;
    }
    size_t made = 0;
    for (size_t i = 0; i < kept; i++) {
        if (made == 0 || by_key(&list[made - 1], &list[i]) != 0) {
            list[made++] = list[i];
        }
    }
    reco__traits *traits = reco__alloc(reco__traits_size(made));
    if (!traits) {
        return NULL;
    }
    *traits = (reco__traits){.product = product, .count = (uint16_t)made, .cut = cut || kept < count};
    uint16_t *keys = (uint16_t *)(void *)(traits + 1);
    uint64_t *values = (uint64_t *)(void *)((char *)(traits + 1) + reco__traits_keys_size(made));
    for (size_t i = 0; i < made; i++) {
        keys[i] = (uint16_t)(list[i].number << 2 | list[i].type);
        values[i] = list[i].value;
    }
    return traits;
}

uint64_t reco__traits_sign(const reco__traits *traits) {
    uint64_t sign = 0;

    for (uint32_t i = 0; traits && i < traits->count; i++) {
        uint16_t key = reco__traits_keys(traits)[i];
        sign |= reco__trait_name_sign(key >> 2) | reco__trait_sign(key >> 2, key & 3, reco__traits_values(traits)[i]);
    }
    return sign;
}
