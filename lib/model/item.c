/* model/item.c - items: what is accepted, how JSON becomes an item, and the document under which records keep it.
 *
 * The document is the same JSON that an application may send, reduced to what is set and written in one order without blanks:
 *
 *   {"title":"Alien","parent":"alien-series","categories":["Horror","Sci-Fi"],"available_from":1,"available_until":2,"hidden":true,
 *    "attributes":{...}}
 *
 * Each member is left out when it has its default; times are integer milliseconds. The id is not repeated: the key of the record has it. `attributes`
 * stands as it was given. Whatever else a document holds was put there by somebody who knows more than this release and is gathered into attributes,
 * not refused. */
#include "model/item.h"

#include "model/attributes.h"
#include "model/event.h"
#include "model/id_list.h"
#include "model/patch.h"

static const char *const FIELDS[] = {"item_id", "title", "parent", "categories", "available_from", "available_until", "hidden", "attributes", NULL};

/* --- checks ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status check_times(const reco_item *item, int32_t index, reco_error *err) {
    const struct {
        int64_t ms;
        const char *field;
    } times[] = {{item->available_from, "available_from"}, {item->available_until, "available_until"}};
    for (size_t i = 0; i < 2; i++)
        if (times[i].ms < 0 || times[i].ms > RECO__TIME_MAX)
            return reco__fail_at(err, RECO_INVALID, index, times[i].field, "milliseconds must be within 0 and %lld (years 1970 to 9999)",
                                 (long long)RECO__TIME_MAX);
    if (item->available_until != 0 && item->available_until <= item->available_from)
        return reco__fail_at(err, RECO_INVALID, index, "available_until", "must be later than available_from");
    return RECO_OK;
}

/* All but the syntax of attributes. */
static reco_status check(const reco_item *item, int32_t index, reco_error *err) {
    if (item->item_id.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "item_id", "is required");
    reco_status status = reco__check_id(item->item_id, index, "item_id", err);
    if (status != RECO_OK)
        return status;
    if (item->title.size > RECO__TITLE_MAX)
        return reco__fail_at(err, RECO_TOO_LARGE, index, "title", "%zu bytes, at most %u are allowed", item->title.size, RECO__TITLE_MAX);
    if (item->title.size > 0 && (!item->title.data || !reco__utf8_valid(item->title.data, item->title.size)))
        return reco__fail_at(err, RECO_INVALID, index, "title", "must be valid UTF-8 without U+0000");
    if (item->parent.size > 0)
        status = reco__check_id(item->parent, index, "parent", err);
    if (status == RECO_OK && item->parent.size > 0 && reco__str_equal(item->parent, item->item_id))
        status = reco__fail_at(err, RECO_INVALID, index, "parent", "an item is no variant of itself");
    if (status != RECO_OK)
        return status;
    if (item->reserved != 0)
        return reco__fail_at(err, RECO_INVALID, index, "reserved", "must be 0");
    if (item->flags & ~RECO_ITEM_HIDDEN)
        return reco__fail_at(err, RECO_INVALID, index, "flags", "unknown flags 0x%x", item->flags);
    status = check_times(item, index, err);
    return status == RECO_OK ? reco__id_list_check(item->categories, item->category_count, RECO__CATEGORIES_MAX, index, "categories", err) : status;
}

reco_status reco__item_check(const reco_item *item, int32_t index, reco_error *err) {
    reco_status status = check(item, index, err);
    return status == RECO_OK ? reco__attributes_check(item->attributes, index, err) : status;
}

/* --- JSON -------------------------------------------------------------------------------------------------------------------------------- */

/* 0 stands for no end in the struct, and would not be what is meant in JSON, where leaving it out says so. */
static reco_status set_end(reco_item *item, const json_t *value, int32_t index, const char *name, reco_error *err) {
    reco_status status = reco__json_time(&item->available_until, value, index, name, err);
    if (status == RECO_OK && item->available_until == 0)
        status = reco__fail_at(err, RECO_INVALID, index, name, "must not be the beginning of 1970");
    return status;
}

/* One member; null is the same as absent. */
static reco_status set_field(reco_item *item, json_t **attributes, reco__arena *arena, const char *name, json_t *value, int32_t index,
                             reco_error *err) {
    if (json_is_null(value))
        return RECO_OK;
    if (strcmp(name, "item_id") == 0)
        return reco__json_text(&item->item_id, arena, value, index, name, err);
    if (strcmp(name, "title") == 0)
        return reco__json_text(&item->title, arena, value, index, name, err);
    if (strcmp(name, "parent") == 0)
        return reco__json_text(&item->parent, arena, value, index, name, err);
    if (strcmp(name, "available_from") == 0)
        return reco__json_time(&item->available_from, value, index, name, err);
    if (strcmp(name, "available_until") == 0)
        return set_end(item, value, index, name, err);
    if (strcmp(name, "categories") == 0)
        return reco__id_list_of_json(&item->categories, &item->category_count, arena, value, RECO__CATEGORIES_MAX, index, name, err);
    if (strcmp(name, "hidden") == 0) {
        if (!json_is_boolean(value))
            return reco__fail_at(err, RECO_INVALID, index, name, "must be true or false");
        item->flags |= json_is_true(value) ? RECO_ITEM_HIDDEN : 0;
        return RECO_OK;
    }
    if (strcmp(name, "attributes") != 0)
        return RECO_OK;
    if (!json_is_object(value))
        return reco__fail_at(err, RECO_INVALID, index, name, "must be a JSON object");
    *attributes = value;
    return RECO_OK;
}

static reco_status item_of(reco_item *out, reco__arena *arena, const reco__element *element, reco_error *err) {
    reco__buf scratch = {0};
    json_t *attributes = NULL;
    const char *name;
    json_t *value;
    memset(out, 0, sizeof *out);
    json_object_foreach(element->object, name, value) {
        reco_status status = set_field(out, &attributes, arena, name, value, element->index, err);
        if (status != RECO_OK)
            return status;
    }
    reco_status status = reco__attributes_of_element(&out->attributes, arena, &scratch, element, attributes, FIELDS, err);
    reco__buf_dispose(&scratch);
    return status;
}

typedef struct parsing {
    reco__accepted accepted;
    reco_str id;
} parsing;

static reco_status accept(void *context, const reco__element *element, reco_error *err) {
    parsing *state = context;
    reco_item item;
    reco_status status = item_of(&item, state->accepted.arena, element, err);
    if (status == RECO_OK)
        status = reco__element_id(&item.item_id, state->id, element->index, "item_id", err);
    if (status == RECO_OK)
        status = check(&item, element->index, err);
    if (status == RECO_OK)
        status = reco__attributes_check_element(element, FIELDS, err);
    return status == RECO_OK ? reco__accepted_put(&state->accepted, &item, element->index, err) : status;
}

reco_status reco__items_parse(reco__item_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_items, reco_str id,
                              reco_error *err) {
    memset(out, 0, sizeof *out);
    parsing state = {.accepted = {.arena = arena, .size = sizeof *out->items}, .id = id};
    reco__rejects rejects = {.arena = arena};
    reco_status status = reco__elements_read(&out->total, &rejects, text, size, form, max_items, accept, &state, err);
    if (status != RECO_OK) {
        memset(out, 0, sizeof *out);
        return status;
    }
    out->items = state.accepted.items;
    out->index = state.accepted.index;
    out->count = state.accepted.count;
    out->errors = rejects.errors;
    out->error_count = rejects.count;
    return RECO_OK;
}

/* --- documents --------------------------------------------------------------------------------------------------------------------------- */

static void add_name(reco__buf *out, const char *name) {
    if (out->size > 0 && out->data[out->size - 1] != '{')
        reco__buf_byte(out, ',');
    reco__buf_byte(out, '"');
    reco__buf_text(out, name);
    reco__buf_text(out, "\":");
}

static void add_time(reco__buf *out, const char *name, int64_t ms) {
    if (ms == 0)
        return;
    add_name(out, name);
    reco__json_int(out, ms);
}

void reco__item_document(reco__buf *out, const reco_item *item) {
    reco__buf_byte(out, '{');
    if (item->title.size > 0) {
        add_name(out, "title");
        reco__json_string(out, item->title.data, item->title.size);
    }
    if (item->parent.size > 0) {
        add_name(out, "parent");
        reco__json_string(out, item->parent.data, item->parent.size);
    }
    for (size_t i = 0; i < item->category_count; i++) {
        if (i == 0) {
            add_name(out, "categories");
            reco__buf_byte(out, '[');
        } else {
            reco__buf_byte(out, ',');
        }
        reco__json_string(out, item->categories[i].data, item->categories[i].size);
    }
    if (item->category_count > 0)
        reco__buf_byte(out, ']');
    add_time(out, "available_from", item->available_from);
    add_time(out, "available_until", item->available_until);
    if (item->flags & RECO_ITEM_HIDDEN) {
        add_name(out, "hidden");
        reco__buf_text(out, "true");
    }
    if (item->attributes.size > 0) {
        add_name(out, "attributes");
        reco__buf_add(out, item->attributes.data, item->attributes.size);
    }
    reco__buf_byte(out, '}');
}

typedef struct reading {
    reco_item *item;
    reco__arena *arena;
    bool done;
} reading;

static reco_status read_one(void *context, const reco__element *element, reco_error *err) {
    reading *state = context;
    state->done = true;
    return item_of(state->item, state->arena, element, err);
}

reco_status reco__item_read(reco_item *out, reco__arena *arena, reco_str item_id, reco_str document, reco_error *err) {
    reading state = {out, arena, false};
    reco__rejects rejects = {.arena = arena};
    reco_error error = RECO_ERROR_INIT;
    size_t total;
    memset(out, 0, sizeof *out);
    reco_status status = reco__elements_read(&total, &rejects, document.data, document.size, RECO__JSON_AUTO, 1, read_one, &state, &error);
    if (status == RECO_NO_MEMORY)
        return reco__no_memory(err);
    if (status != RECO_OK || rejects.count > 0 || !state.done)
        return reco__fail(err, RECO_CORRUPT, rejects.count > 0 ? rejects.errors[0].field : NULL, "stored item \"%.*s\" cannot be read: %s",
                          reco__shown(item_id, 64), item_id.data, rejects.count > 0 ? rejects.errors[0].text : error.text);
    out->item_id.data = reco__arena_copy(arena, item_id.data, item_id.size);
    out->item_id.size = item_id.size;
    return out->item_id.data ? RECO_OK : reco__no_memory(err);
}

reco_status reco__item_patch(reco__buf *out, reco__rejects *rejects, reco_str document, reco_str patch, reco_error *err) {
    return reco__patch_apply(out, rejects, document, patch, FIELDS, err);
}
