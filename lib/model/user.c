/* model/user.c - users: what is accepted, how JSON becomes a user, and the document under which records keep it.
 *
 * The document is the same JSON that an application may send, reduced to what is set, in one order and without blanks:
 *
 *   {"segment":"new","aliases":["a1","a2"],"attributes":{...}}
 *
 * Members that libreco does not know are gathered into attributes, as those of items are (item.c). */
#include "model/user.h"

#include "model/attributes.h"
#include "model/event.h"
#include "model/id_list.h"
#include "model/patch.h"

static const char *const FIELDS[] = {"user_id", "segment", "aliases", "attributes", NULL};

/* Different ids, none of them the user's own. */
static reco_status check_aliases(const reco_user *user, int32_t index, reco_error *err) {
    reco_status status = reco__id_list_check(user->aliases, user->alias_count, RECO_USER_ALIASES_MAX, index, "aliases", err);
    for (size_t i = 0; status == RECO_OK && i < user->alias_count; i++)
        if (reco__str_equal(user->aliases[i], user->user_id))
            status = reco__fail_at(err, RECO_INVALID, index, "aliases", "a user is no alias of itself");
    return status;
}

/* All but the syntax of attributes. */
static reco_status check(const reco_user *user, int32_t index, reco_error *err) {
    if (user->user_id.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "user_id", "is required");
    reco_status status = reco__check_id(user->user_id, index, "user_id", err);
    if (status == RECO_OK && user->segment.size > 0)
        status = reco__check_id(user->segment, index, "segment", err);
    if (status == RECO_OK && user->flags != 0)
        status = reco__fail_at(err, RECO_INVALID, index, "flags", "unknown flags 0x%x", user->flags);
    if (status == RECO_OK && user->reserved != 0)
        status = reco__fail_at(err, RECO_INVALID, index, "reserved", "must be 0");
    return status == RECO_OK ? check_aliases(user, index, err) : status;
}

reco_status reco__user_check(const reco_user *user, int32_t index, reco_error *err) {
    reco_status status = check(user, index, err);
    return status == RECO_OK ? reco__attributes_check(user->attributes, index, err) : status;
}

/* --- JSON -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct parsing {
    reco__accepted accepted;
    reco__buf attributes;
    reco_str id;
} parsing;

static json_t *member(const json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    return value ? value : json_null(); /* absent is the same as null */
}

static reco_status user_of(reco_user *out, parsing *state, const reco__element *element, reco_error *err) {
    json_t *object = element->object, *attributes = member(object, "attributes"), *aliases = member(object, "aliases");
    reco__arena *arena = state->accepted.arena;
    memset(out, 0, sizeof *out);
    reco_status status = reco__json_text(&out->user_id, arena, member(object, "user_id"), element->index, "user_id", err);
    if (status == RECO_OK)
        status = reco__element_id(&out->user_id, state->id, element->index, "user_id", err);
    if (status == RECO_OK)
        status = reco__json_text(&out->segment, arena, member(object, "segment"), element->index, "segment", err);
    if (status == RECO_OK && !json_is_null(aliases))
        status = reco__id_list_of_json(&out->aliases, &out->alias_count, arena, aliases, RECO_USER_ALIASES_MAX, element->index, "aliases", err);
    if (status == RECO_OK && !json_is_object(attributes) && !json_is_null(attributes))
        status = reco__fail_at(err, RECO_INVALID, element->index, "attributes", "must be a JSON object");
    return status == RECO_OK ? reco__attributes_of_element(&out->attributes, arena, &state->attributes, element,
                                                           json_is_object(attributes) ? attributes : NULL, FIELDS, err)
                             : status;
}

static reco_status accept(void *context, const reco__element *element, reco_error *err) {
    parsing *state = context;
    reco_user user;
    reco_status status = user_of(&user, state, element, err);
    if (status == RECO_OK)
        status = check(&user, element->index, err);
    if (status == RECO_OK)
        status = reco__attributes_check_element(element, FIELDS, err);
    return status == RECO_OK ? reco__accepted_put(&state->accepted, &user, element->index, err) : status;
}

reco_status reco__users_parse(reco__user_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_users, reco_str id,
                              reco_error *err) {
    memset(out, 0, sizeof *out);
    parsing state = {.accepted = {.arena = arena, .size = sizeof *out->users}, .id = id};
    reco__rejects rejects = {.arena = arena};
    reco_status status = reco__elements_read(&out->total, &rejects, text, size, form, max_users, accept, &state, err);
    reco__buf_dispose(&state.attributes);
    if (status != RECO_OK) {
        memset(out, 0, sizeof *out);
        return status;
    }
    out->users = state.accepted.items;
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

void reco__user_document(reco__buf *out, const reco_user *user) {
    reco__buf_byte(out, '{');
    if (user->segment.size > 0) {
        add_name(out, "segment");
        reco__json_string(out, user->segment.data, user->segment.size);
    }
    for (size_t i = 0; i < user->alias_count; i++) {
        if (i == 0) {
            add_name(out, "aliases");
            reco__buf_byte(out, '[');
        } else {
            reco__buf_byte(out, ',');
        }
        reco__json_string(out, user->aliases[i].data, user->aliases[i].size);
    }
    if (user->alias_count > 0)
        reco__buf_byte(out, ']');
    if (user->attributes.size > 0) {
        add_name(out, "attributes");
        reco__buf_add(out, user->attributes.data, user->attributes.size);
    }
    reco__buf_byte(out, '}');
}

reco_status reco__user_read(reco_user *out, reco__arena *arena, reco_str user_id, reco_str document, reco_error *err) {
    reco__user_batch read;
    reco_error error = RECO_ERROR_INIT;
    memset(out, 0, sizeof *out);
    reco_status status = reco__users_parse(&read, arena, document.data, document.size, RECO__JSON_AUTO, 1, user_id, &error);
    if (status == RECO_NO_MEMORY)
        return reco__no_memory(err);
    if (status != RECO_OK || read.count != 1)
        return reco__fail(err, RECO_CORRUPT, read.error_count > 0 ? read.errors[0].field : NULL, "stored user \"%.*s\" cannot be read: %s",
                          reco__shown(user_id, 64), user_id.data, read.error_count > 0 ? read.errors[0].text : error.text);
    *out = read.users[0];
    return RECO_OK;
}

reco_status reco__user_patch(reco__buf *out, reco__rejects *rejects, reco_str document, reco_str patch, reco_error *err) {
    return reco__patch_apply(out, rejects, document, patch, FIELDS, err);
}
