/* model/patch.c - JSON merge patch (RFC 7396) on the text of documents.
 *
 *   document  {"title":"Alien","attributes":{"year":1979,"length":1.50}}
 *   patch     {"title":null,"attributes":{"year":1980}}
 *   result    {"attributes":{"year":1980,"length":1.50}}
 *
 * null removes a member, an object is merged member by member, anything else takes the place of what was there. Trees tell what is to be done, texts
 * are what is copied: a number keeps the digits it was written with, and what the patch does not touch stays as it is. Members keep their order, new
 * ones follow. */
#include "model/patch.h"

#include "model/event.h"

#define BAG "attributes"

/* A value: its tree and its text. tree NULL: there is none, which is the same as an empty object. */
typedef struct value {
    json_t *tree;
    reco_str text;
} value;

/* --- merging ----------------------------------------------------------------------------------------------------------------------------- */

/* The members of an object by name. */
typedef struct members {
    reco__map names;
    reco_str *texts; /* of their values */
} members;

static void members_dispose(members *of) {
    reco__map_dispose(&of->names);
    reco__release(of->texts);
}

static bool members_read(members *out, value object) {
    size_t count = json_object_size(object.tree);
    const char *at = object.text.data + 1, *end = object.text.data + object.text.size, *name;
    json_t *ignored;
    *out = (members){.texts = reco__alloc_array(count ? count : 1, sizeof(reco_str))};
    if (!out->texts)
        return false;
    json_object_foreach(object.tree, name, ignored) {
        uint32_t place = reco__map_put(&out->names, name, strlen(name), NULL);
        if (place == RECO__MAP_NONE)
            return false;
        reco__json_next_member(&at, end, &out->texts[place]);
    }
    return true;
}

static reco_str text_of(const members *of, const char *name) { return of->texts[reco__map_find(&of->names, name, strlen(name))]; }

static void begin_member(reco__buf *out, const char *name) {
    if (out->size > 0 && out->data[out->size - 1] != '{')
        reco__buf_byte(out, ',');
    if (!name)
        return;
    reco__json_string(out, name, strlen(name));
    reco__buf_byte(out, ':');
}

static void merge(reco__buf *out, value target, value patch);

/* A member of which the patch says something. */
static void patch_member(reco__buf *out, const char *name, value target, value patch) {
    if (json_is_null(patch.tree))
        return;
    begin_member(out, name);
    if (!json_is_object(patch.tree))
        reco__json_compact(out, patch.text);
    else
        merge(out, json_is_object(target.tree) ? target : (value){NULL, {NULL, 0}}, patch);
}

static void merge_old(reco__buf *out, value target, value patch, const members *patched) {
    const char *at = target.text.data + 1, *end = target.text.data + target.text.size, *name;
    json_t *tree;
    json_object_foreach(target.tree, name, tree) {
        value old = {tree, {NULL, 0}};
        reco_str member = reco__json_next_member(&at, end, &old.text);
        json_t *says = json_object_get(patch.tree, name);
        if (says) {
            patch_member(out, name, old, (value){says, text_of(patched, name)});
        } else {
            begin_member(out, NULL);
            reco__json_compact(out, member);
        }
    }
}

/* Both nest at most RECO__NESTING_MAX deep: they were read by reco__elements_read. */
static void merge(reco__buf *out, value target, value patch) {
    members patched;
    const char *name;
    json_t *tree;
    if (!members_read(&patched, patch)) {
        out->failed = RECO_NO_MEMORY;
        members_dispose(&patched);
        return;
    }
    reco__buf_byte(out, '{');
    if (target.tree)
        merge_old(out, target, patch, &patched);
    json_object_foreach(patch.tree, name, tree) {
        if (!target.tree || !json_object_get(target.tree, name))
            patch_member(out, name, (value){NULL, {NULL, 0}}, (value){tree, text_of(&patched, name)});
    }
    reco__buf_byte(out, '}');
    members_dispose(&patched);
}

/* --- reading ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct patching {
    reco__buf *out;
    reco_str document;
    const char *const *known;
    const reco__element *patch;
    size_t count; /* objects in the patch */
    bool merged;  /* with a document */
} patching;

/* Reads a text that is ours. What is wrong with it is told in `err`, whether it is the text or what it says. */
static reco_status read_own(reco_str text, reco__element_fn accept, patching *p, reco_error *err) {
    reco__arena arena = {0};
    reco__rejects rejects = {.arena = &arena};
    size_t total;
    reco_status status = reco__elements_read(&total, &rejects, text.data, text.size, RECO__JSON_AUTO, 1, accept, p, err);
    if (status == RECO_OK && rejects.count > 0)
        status = reco__fail_as(err, rejects.errors);
    reco__arena_dispose(&arena);
    return status;
}

static reco_status take_document(void *context, const reco__element *element, reco_error *err) {
    patching *p = context;
    p->merged = true;
    merge(p->out, (value){element->object, element->text}, (value){p->patch->object, p->patch->text});
    return reco__buf_status(p->out, err);
}

static reco_status merge_into(patching *p, const reco__element *patch, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    p->patch = patch;
    reco_status status = read_own(p->document, take_document, p, &error);
    if (status == RECO_NO_MEMORY)
        return reco__no_memory(err);
    if (status != RECO_OK || !p->merged)
        return reco__fail(err, RECO_CORRUPT, NULL, "the stored document cannot be read: %s", status == RECO_OK ? "it is empty" : error.text);
    return RECO_OK;
}

static bool has_unknown(const patching *p, json_t *object) {
    const char *name;
    json_t *ignored;
    json_object_foreach(object, name, ignored) {
        if (!reco__json_among(name, p->known))
            return true;
    }
    return false;
}

/* The same patch with all its unknown members inside its attributes. */
static reco_status tidy(reco__buf *out, const patching *p, const reco__element *patch, reco_error *err) {
    json_t *bag = json_object_get(patch->object, BAG), *ignored;
    const char *at = patch->text.data + 1, *end = patch->text.data + patch->text.size, *name;
    if (bag && !json_is_object(bag))
        return reco__fail_at(err, RECO_INVALID, patch->index, BAG, "must be a JSON object: there are other members that belong into it");
    reco__buf_byte(out, '{');
    json_object_foreach(patch->object, name, ignored) {
        reco_str text, member = reco__json_next_member(&at, end, &text);
        if (!reco__json_among(name, p->known) || strcmp(name, BAG) == 0)
            continue;
        begin_member(out, NULL);
        reco__json_compact(out, member);
    }
    begin_member(out, BAG);
    reco_status status = reco__element_gather(out, patch, BAG, bag, p->known, err);
    reco__buf_byte(out, '}');
    return status == RECO_OK ? reco__buf_status(out, err) : status;
}

static reco_status take_tidied(void *context, const reco__element *element, reco_error *err) { return merge_into(context, element, err); }

static reco_status take_patch(void *context, const reco__element *element, reco_error *err) {
    patching *p = context;
    reco__buf tidied = {0};
    if (p->count++ > 0)
        return reco__fail_at(err, RECO_INVALID, element->index, NULL, "one object is expected, there are more");
    if (!has_unknown(p, element->object))
        return merge_into(p, element, err);
    reco_status status = tidy(&tidied, p, element, err);
    if (status == RECO_OK)
        status = read_own((reco_str){tidied.data, tidied.size}, take_tidied, p, err);
    reco__buf_dispose(&tidied);
    return status;
}

reco_status reco__patch_apply(reco__buf *out, reco__rejects *rejects, reco_str document, reco_str patch, const char *const *known, reco_error *err) {
    patching p = {.out = out, .document = document, .known = known};
    size_t total, start = out->size, blanks = 0;
    if (patch.size > RECO__PATCH_MAX)
        return reco__fail(err, RECO_TOO_LARGE, NULL, "a patch of %zu bytes, at most %u are allowed", patch.size, RECO__PATCH_MAX);
    while (blanks < patch.size && strchr(" \t\r\n", patch.data[blanks]) && patch.data[blanks])
        blanks++;
    if (blanks < patch.size && patch.data[blanks] == '[')
        return reco__fail(err, RECO_INVALID, NULL, "a merge patch of one JSON object is expected, not an array");
    reco_status status = reco__elements_read(&total, rejects, patch.data, patch.size, RECO__JSON_AUTO, 0, take_patch, &p, err);
    if (status != RECO_OK || rejects->count > 0)
        out->size = start;
    return status;
}
