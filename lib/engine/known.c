/* engine/known.c - what is known of items and users: checked here, kept by records, seen by the recommend room at the next answer.
 *
 * Both go the same way: an array of structs, or JSON, becomes documents under the ids of one kind of record, all in one transaction. */
#include "engine/engine.h"

#include "engine/params.h"
#include "engine/reply.h"
#include "model/elements.h"
#include "model/event.h"
#include "model/item.h"
#include "model/patch.h"
#include "model/user.h"

#define KNOWN_MAX 20000u /* what one transaction of records takes */
#define PATCH_TRIES 64   /* each that fails is one that another caller got through */

/* Structs of one kind, and what was wrong with others. */
typedef struct batch {
    const void *things;
    size_t count, size;
    const reco_error *errors;
    size_t error_count;
} batch;

/* Everything the two kinds differ in. A struct begins with its id. */
typedef struct kind {
    uint32_t record;
    const char *id_field, *list, *none; /* item_id; items; what is said of one that is not there */
    size_t size;
    reco_status (*check)(const void *thing, int32_t index, reco_error *err);
    void (*document)(reco__buf *out, const void *thing);
    reco_status (*parse)(batch *out, reco__arena *arena, const char *text, size_t size, int form, reco_str id, reco_error *err);
    reco_status (*patch)(reco__buf *out, reco__rejects *rejects, reco_str document, reco_str patch, reco_error *err);
} kind;

/* --- items -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status item_check(const void *thing, int32_t index, reco_error *err) { return reco__item_check(thing, index, err); }
static void item_document(reco__buf *out, const void *thing) { reco__item_document(out, thing); }

static reco_status item_parse(batch *out, reco__arena *arena, const char *text, size_t size, int form, reco_str id, reco_error *err) {
    reco__item_batch parsed = {0};
    reco_status status = reco__items_parse(&parsed, arena, text, size, form, KNOWN_MAX, id, err);
    *out = (batch){parsed.items, parsed.count, sizeof *parsed.items, parsed.errors, parsed.error_count};
    return status;
}

static const kind items = {RECO_RECORD_ITEM, "item_id",     "items",    "no such item",  sizeof(reco_item),
                           item_check,       item_document, item_parse, reco__item_patch};

/* --- users -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status user_check(const void *thing, int32_t index, reco_error *err) { return reco__user_check(thing, index, err); }
static void user_document(reco__buf *out, const void *thing) { reco__user_document(out, thing); }

static reco_status user_parse(batch *out, reco__arena *arena, const char *text, size_t size, int form, reco_str id, reco_error *err) {
    reco__user_batch parsed = {0};
    reco_status status = reco__users_parse(&parsed, arena, text, size, form, KNOWN_MAX, id, err);
    *out = (batch){parsed.users, parsed.count, sizeof *parsed.users, parsed.errors, parsed.error_count};
    return status;
}

static const kind users = {RECO_RECORD_USER, "user_id",  "users",         "nothing is known of this user", sizeof(reco_user), user_check,
                           user_document,    user_parse, reco__user_patch};

/* --- storing ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status change(reco_engine *engine, const kind *of, reco__arena *arena, const batch *what, const reco_call *call, reco_error *err) {
    size_t count = what->count;
    reco__buf documents = {0};
    reco_record_change *changes = reco__arena_zalloc(arena, (count ? count : 1) * sizeof *changes);
    size_t *starts = reco__arena_alloc(arena, (count + 1) * sizeof *starts);
    reco_status status = changes && starts ? RECO_OK : reco__no_memory(err);
    for (size_t i = 0; status == RECO_OK && i < count; i++) {
        union {
            reco_item item;
            reco_user user;
            reco_str id;
        } thing;
        status = reco__struct_copy(&thing, of->size, (const char *)what->things + i * what->size, what->size, of->list, err);
        if (status == RECO_OK)
            status = of->check(&thing, (int32_t)i, err);
        if (status != RECO_OK)
            break;
        starts[i] = documents.size;
        of->document(&documents, &thing);
        changes[i] = (reco_record_change){.kind = of->record, .id = thing.id, .document = {NULL, documents.size - starts[i]}};
    }
    if (status == RECO_OK)
        status = reco__buf_status(&documents, err);
    for (size_t i = 0; status == RECO_OK && i < count; i++)
        changes[i].document.data = documents.data + starts[i];
    if (status == RECO_OK && count)
        status = reco__records_change(NULL, engine->records, changes, count, call, err);
    reco__buf_dispose(&documents);
    return status;
}

static reco_status put(reco_engine *engine, const kind *of, const batch *what, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && what->count && !what->things)
        status = reco__fail(err, RECO_INVALID, of->list, "none are given");
    if (status == RECO_OK && what->count > KNOWN_MAX)
        status = reco__fail(err, RECO_TOO_LARGE, "count", "at most %u %s in one call", KNOWN_MAX, of->list);
    if (status == RECO_OK && what->count && (what->size < sizeof(reco_str) || what->size > 4096))
        status = reco__fail(err, RECO_INVALID, "size", "the size of one of the %s is expected", of->list);
    if (status != RECO_OK)
        return status;
    reco__arena arena = {0};
    status = change(engine, of, &arena, what, call, err);
    reco__arena_dispose(&arena);
    return status;
}

static bool is_array(const char *text, size_t size) {
    while (size > 0 && *text && strchr(" \t\r\n", *text))
        text++, size--;
    return size > 0 && *text == '[';
}

/* What was sent to one id is JSON, and something else than one object: wrong as 7 is, which the parser refuses by itself. */
static reco_status not_one(batch *out, reco__arena *arena, reco_error *err) {
    reco_error *error = reco__arena_zalloc(arena, sizeof *error);
    if (!error)
        return reco__no_memory(err);
    *error = (reco_error)RECO_ERROR_INIT;
    reco__fail_at(error, RECO_INVALID, 0, NULL, "one JSON object is expected");
    *out = (batch){.errors = error, .error_count = 1};
    return RECO_OK;
}

static reco_status parse(batch *out, const kind *of, reco__arena *arena, const char *text, size_t size, uint32_t form, reco_str id, reco_error *err) {
    if (!text && size)
        return reco__fail(err, RECO_INVALID, "text", "there is none");
    if (form > RECO_JSON_NDJSON)
        return reco__fail(err, RECO_INVALID, "form", "unknown form of JSON");
    reco_status status = of->parse(out, arena, text, size, form == RECO_JSON_NDJSON ? RECO__JSON_NDJSON : RECO__JSON_AUTO, id, err);
    bool whole = !id.size || (!is_array(text, size) && out->count + out->error_count == 1);
    return status == RECO_OK && !whole ? not_one(out, arena, err) : status;
}

static reco_status put_json(size_t *count, reco_engine *engine, const kind *of, const char *text, size_t size, uint32_t form, const reco_call *call,
                            reco_error *err) {
    reco__arena arena = {0};
    batch what = {0};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = parse(&what, of, &arena, text, size, form, (reco_str){NULL, 0}, err);
    if (status == RECO_OK && what.error_count)
        status = reco__fail_as(err, what.errors);
    if (status == RECO_OK)
        status = change(engine, of, &arena, &what, call, err);
    if (status == RECO_OK && count)
        *count = what.count;
    reco__arena_dispose(&arena);
    return status;
}

/* --- reading and removing ----------------------------------------------------------------------------------------------------------------- */

typedef struct found {
    const kind *of;
    reco__buf json;
} found;

/* The document with its id in front, as one object. */
static int take(void *context, uint64_t sequence, uint32_t record, reco_str id, reco_str document) {
    found *to = context;
    (void)sequence, (void)record;
    reco__buf_printf(&to->json, "{\"%s\":", to->of->id_field);
    reco__json_string(&to->json, id.data, id.size);
    if (document.size > 2)
        reco__buf_byte(&to->json, ',');
    reco__buf_add(&to->json, document.data + 1, document.size - 1);
    return 0;
}

static reco_status find(found *out, reco_engine *engine, const kind *of, reco_str id, const reco_call *call, reco_error *err) {
    *out = (found){.of = of};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__check_id(id, -1, of->id_field, err);
    if (status == RECO_OK) {
        status = reco__records_find(engine->records, of->record, id, take, out, call, err);
        if (status == RECO_NOT_FOUND)
            status = reco__fail(err, RECO_NOT_FOUND, of->id_field, "%s", of->none);
    }
    return status == RECO_OK ? reco__buf_status(&out->json, err) : status;
}

/* The first of the things as `find` would say it. */
static reco_status show(found *out, const kind *of, const batch *what, reco_error *err) {
    reco__buf document = {0};
    of->document(&document, what->things);
    reco_status status = reco__buf_status(&document, err);
    if (status == RECO_OK)
        take(out, 0, of->record, *(const reco_str *)what->things, (reco_str){document.data, document.size});
    reco__buf_dispose(&document);
    return status;
}

/* What was made with `status` goes to the caller, or nowhere. */
static reco_status hand_out(char **json, found *it, reco_status status, reco_error *err) {
    if (status == RECO_OK && !reco__buf_cstr(&it->json))
        status = reco__buf_status(&it->json, err);
    if (status == RECO_OK)
        *json = it->json.data;
    else
        reco__buf_dispose(&it->json);
    return status;
}

static reco_status get(char **json, reco_engine *engine, const kind *of, reco_str id, const reco_call *call, reco_error *err) {
    found it = {0};
    return json ? hand_out(json, &it, find(&it, engine, of, id, call, err), err) : reco__fail(err, RECO_INVALID, "json", "it is needed");
}

static reco_status delete (reco_engine *engine, const kind *of, reco_str id, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__check_id(id, -1, of->id_field, err);
    if (status != RECO_OK)
        return status;
    reco_record_change gone = {.kind = of->record, .id = id};
    return reco__records_change(NULL, engine->records, &gone, 1, call, err);
}

/* --- changing a part ---------------------------------------------------------------------------------------------------------------------- */

typedef struct stored {
    uint64_t sequence;
    reco__buf document;
} stored;

static int keep(void *context, uint64_t sequence, uint32_t record, reco_str id, reco_str document) {
    stored *to = context;
    (void)record, (void)id;
    to->sequence = sequence;
    reco__buf_reset(&to->document);
    reco__buf_add(&to->document, document.data, document.size);
    return 0;
}

/* What the patch makes of the document, as one thing or one error. */
static reco_status apply(batch *out, const kind *of, reco__arena *arena, reco_str id, reco_str document, reco_str patch, reco_error *err) {
    reco__rejects rejects = {.arena = arena};
    reco__buf text = {0};
    if (patch.size <= RECO__PATCH_MAX && is_array(patch.data, patch.size))
        return parse(out, of, arena, patch.data, patch.size, RECO_JSON_AUTO, id, err);
    reco_status status = of->patch(&text, &rejects, document, patch, err);
    *out = (batch){.errors = rejects.errors, .error_count = rejects.count};
    if (status == RECO_OK && rejects.count == 0)
        status = of->parse(out, arena, text.data, text.size, RECO__JSON_AUTO, id, err);
    reco__buf_dispose(&text);
    return status;
}

/* Puts it in the place of what was read, unless it is the same. CONFLICT: another was faster. */
static reco_status replace(reco_engine *engine, const kind *of, reco_str id, const stored *old, const void *thing, const reco_call *call,
                           reco_error *err) {
    reco__buf document = {0};
    of->document(&document, thing);
    reco_status status = reco__buf_status(&document, err);
    reco_record_change change = {of->record, RECO_RECORD_IF_SEQUENCE, id, {document.data, document.size}, old->sequence};
    if (status == RECO_OK && !reco__str_equal(change.document, (reco_str){old->document.data, old->document.size}))
        status = reco__records_change(NULL, engine->records, &change, 1, call, err);
    reco__buf_dispose(&document);
    return status;
}

/* One try. CONFLICT: another was faster. */
static reco_status patch_once(batch *out, stored *old, reco_engine *engine, const kind *of, reco__arena *arena, reco_str id, reco_str patch,
                              const reco_call *call, reco_error *err) {
    *out = (batch){0};
    reco_status status = reco__records_find(engine->records, of->record, id, keep, old, call, err);
    if (status == RECO_NOT_FOUND)
        return reco__fail(err, RECO_NOT_FOUND, of->id_field, "%s", of->none);
    if (status == RECO_OK)
        status = reco__buf_status(&old->document, err);
    if (status == RECO_OK)
        status = apply(out, of, arena, id, (reco_str){old->document.data, old->document.size}, patch, err);
    return status == RECO_OK && !out->error_count ? replace(engine, of, id, old, out->things, call, err) : status;
}

static reco_status overtaken(const kind *of, reco_error *err) {
    return reco__fail(err, RECO_BUSY, of->id_field, "others changed it each of %d times it was to be stored", PATCH_TRIES);
}

/* *out holds the one thing as it is stored now, or why it cannot be. */
static reco_status patch(batch *out, reco_engine *engine, const kind *of, reco__arena *arena, reco_str id, reco_str text, const reco_call *call,
                         reco_error *err) {
    stored old = {0};
    reco_status status = RECO_CONFLICT;
    if (!text.data && text.size)
        return reco__fail(err, RECO_INVALID, "patch", "there is none");
    for (int i = 0; i < PATCH_TRIES && status == RECO_CONFLICT; i++) {
        reco__arena_reset(arena);
        status = patch_once(out, &old, engine, of, arena, id, text, call, err);
    }
    reco__buf_dispose(&old.document);
    return status == RECO_CONFLICT ? overtaken(of, err) : status;
}

static reco_status patch_one(char **json, reco_engine *engine, const kind *of, reco_str id, const char *text, size_t size, const reco_call *call,
                             reco_error *err) {
    reco__arena arena = {0};
    batch what = {0};
    found it = {.of = of};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__check_id(id, -1, of->id_field, err);
    if (status == RECO_OK)
        status = patch(&what, engine, of, &arena, id, (reco_str){text, size}, call, err);
    if (status == RECO_OK && what.error_count)
        status = reco__fail_as(err, what.errors);
    if (status == RECO_OK && json)
        status = hand_out(json, &it, show(&it, of, &what, err), err);
    reco__arena_dispose(&arena);
    return status;
}

/* --- one alias more ----------------------------------------------------------------------------------------------------------------------- */

static reco_status append_alias(reco_user *user, reco__arena *arena, reco_str alias, reco_error *err) {
    reco_str *aliases = reco__arena_alloc(arena, (user->alias_count + 1) * sizeof *aliases);
    if (!aliases)
        return reco__no_memory(err);
    if (user->alias_count > 0)
        memcpy(aliases, user->aliases, user->alias_count * sizeof *aliases);
    aliases[user->alias_count++] = alias;
    user->aliases = aliases;
    return RECO_OK;
}

static bool has_alias(const reco_user *user, reco_str alias) {
    for (size_t i = 0; i < user->alias_count; i++)
        if (reco__str_equal(user->aliases[i], alias))
            return true;
    return false;
}

/* One try. CONFLICT: another was faster, or, with *full, there is no room for one more. */
static reco_status alias_once(reco_user *out, bool *full, stored *old, reco_engine *engine, reco__arena *arena, reco_str id, reco_str alias,
                              const reco_call *call, reco_error *err) {
    reco_status status = reco__records_find(engine->records, RECO_RECORD_USER, id, keep, old, call, err);
    if (status == RECO_NOT_FOUND) {
        status = RECO_OK;
        keep(old, 0, RECO_RECORD_USER, id, reco__str_of("{}"));
    }
    if (status == RECO_OK)
        status = reco__buf_status(&old->document, err);
    if (status == RECO_OK)
        status = reco__user_read(out, arena, id, (reco_str){old->document.data, old->document.size}, err);
    if (status != RECO_OK || has_alias(out, alias))
        return status;
    *full = out->alias_count == RECO_USER_ALIASES_MAX;
    if (*full)
        return reco__fail(err, RECO_CONFLICT, "aliases", "the user has %u aliases already, which is all there can be", RECO_USER_ALIASES_MAX);
    status = append_alias(out, arena, alias, err);
    return status == RECO_OK ? replace(engine, &users, id, old, out, call, err) : status;
}

/* *out: the user as stored now, in the arena. */
static reco_status add_alias(reco_user *out, reco_engine *engine, reco__arena *arena, reco_str id, reco_str alias, const reco_call *call,
                             reco_error *err) {
    stored old = {0};
    bool full = false;
    reco_status status = reco__check_id(id, -1, "user_id", err);
    if (status == RECO_OK)
        status = reco__check_id(alias, -1, "anonymous_id", err);
    if (status == RECO_OK && reco__str_equal(id, alias))
        status = reco__fail(err, RECO_INVALID, "anonymous_id", "a user is no alias of itself");
    if (status != RECO_OK)
        return status;
    status = RECO_CONFLICT;
    for (int i = 0; i < PATCH_TRIES && status == RECO_CONFLICT && !full; i++) {
        reco__arena_reset(arena);
        status = alias_once(out, &full, &old, engine, arena, id, alias, call, err);
    }
    reco__buf_dispose(&old.document);
    return status == RECO_CONFLICT && !full ? overtaken(&users, err) : status;
}

reco_status reco_user_alias(char **json, reco_engine *engine, reco_str user_id, reco_str anonymous_id, const reco_call *call, reco_error *err) {
    reco__arena arena = {0};
    reco_user user;
    found it = {.of = &users};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = add_alias(&user, engine, &arena, user_id, anonymous_id, call, err);
    if (status == RECO_OK && json)
        status = hand_out(json, &it, show(&it, &users, &(batch){.things = &user, .count = 1}, err), err);
    reco__arena_dispose(&arena);
    return status;
}

/* --- replies ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status reply_rejected(reco_reply *reply, const kind *of, const batch *what, reco_error *err) {
    reco__buf body = {.limit = 64u << 20};
    reply->status = RECO_INVALID;
    reply->http_status = 422;
    reply->content_type = "application/problem+json";
    reco__buf_printf(&body,
                     "{\"type\":\"about:blank\",\"title\":\"no %s were stored\",\"status\":422,\"detail\":\"%zu of %zu are not valid\",\"errors\":[",
                     of->list, what->error_count, what->count + what->error_count);
    for (size_t i = 0; i < what->error_count; i++)
        reco__reply_rejected(&body, &what->errors[i], what->errors[i].index, i == 0);
    reco__buf_text(&body, "]}");
    return reco__reply_body(reply, &body, err);
}

/* `one`: it was sent to an id, and is answered as `get` would say it. */
static reco_status reply_stored(reco_reply *reply, const kind *of, const batch *what, bool one, reco_error *err) {
    found it = {.of = of};
    reco_status status = RECO_OK;
    reply->http_status = 200;
    reply->content_type = "application/json";
    if (one)
        status = show(&it, of, what, err);
    else
        reco__buf_printf(&it.json, "{\"%s\":%zu}", of->list, what->count);
    return status == RECO_OK ? reco__reply_body(reply, &it.json, err) : status;
}

static reco_status store_json(reco_reply *reply, reco_engine *engine, const kind *of, reco_str id, const char *text, size_t size, uint32_t form,
                              const reco_call *call, reco_error *err) {
    reco__arena arena = {0};
    batch what = {0};
    reco_status status = parse(&what, of, &arena, text, size, form, id, err);
    if (status == RECO_OK && what.error_count) {
        status = reply_rejected(reply, of, &what, err);
    } else if (status == RECO_OK) {
        status = change(engine, of, &arena, &what, call, err);
        if (status == RECO_OK)
            status = reply_stored(reply, of, &what, id.size > 0, err);
    }
    reco__arena_dispose(&arena);
    return status;
}

static reco_status patch_json(reco_reply *reply, reco_engine *engine, const kind *of, reco_str id, reco_str text, const reco_call *call,
                              reco_error *err) {
    reco__arena arena = {0};
    batch what = {0};
    reco_status status = patch(&what, engine, of, &arena, id, text, call, err);
    if (status == RECO_OK)
        status = what.error_count ? reply_rejected(reply, of, &what, err) : reply_stored(reply, of, &what, true, err);
    reco__arena_dispose(&arena);
    return status;
}

/* What both kinds of bodies begin with. */
static reco_status begin(const kind **of, reco_engine *engine, uint32_t what, reco_str id, const reco_call *call, reco_error *err) {
    *of = what == RECO_KNOWN_USERS ? &users : &items;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && what != RECO_KNOWN_ITEMS && what != RECO_KNOWN_USERS)
        status = reco__fail(err, RECO_INVALID, "what", "items or users are expected");
    if (status == RECO_OK && id.size)
        status = reco__check_id(id, -1, (*of)->id_field, err);
    return status;
}

reco_status reco_known_json(reco_reply *reply, reco_engine *engine, uint32_t what, reco_str id, const char *text, size_t size, uint32_t form,
                            const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    const kind *of;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = begin(&of, engine, what, id, call, &error);
    if (status == RECO_OK)
        status = store_json(reply, engine, of, id, text, size, form, call, &error);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}

reco_status reco_known_patch_json(reco_reply *reply, reco_engine *engine, uint32_t what, reco_str id, const char *text, size_t size,
                                  const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    const kind *of;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = begin(&of, engine, what, id, call, &error);
    if (status == RECO_OK && id.size == 0)
        status = reco__fail(&error, RECO_INVALID, of->id_field, "is required");
    if (status == RECO_OK)
        status = patch_json(reply, engine, of, id, (reco_str){text, size}, call, &error);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}

/* A body that names one alias. */
typedef struct naming {
    reco__arena *arena;
    reco_str alias;
    bool named;
} naming;

static reco_status accept_alias(void *context, const reco__element *element, reco_error *err) {
    naming *n = context;
    reco__param given = {.name = "anonymous_id"};
    const reco__sent sent = {.object = element->object, .index = -1, .arena = n->arena};
    reco_str text;
    reco_status status = reco__params_read(&given, 1, &sent, err);
    if (status == RECO_OK && !given.given)
        status = reco__fail(err, RECO_INVALID, "anonymous_id", "is required");
    if (status == RECO_OK)
        status = reco__param_text(&text, &given, &sent, err);
    if (status == RECO_OK) {
        n->alias = (reco_str){reco__arena_copy(n->arena, text.data, text.size), text.size};
        n->named = n->alias.data != NULL;
        status = n->named ? RECO_OK : reco__no_memory(err);
    }
    return status;
}

static reco_status read_alias(reco_str *out, reco__arena *arena, const char *text, size_t size, reco_error *err) {
    naming n = {.arena = arena};
    reco__rejects rejects = {.arena = arena};
    size_t total;
    if (!text)
        return reco__fail(err, RECO_INVALID, "text", "there is none");
    reco_status status = reco__elements_read(&total, &rejects, text, size, RECO__JSON_AUTO, 1, accept_alias, &n, err);
    *out = n.alias;
    if (status != RECO_OK || n.named)
        return status;
    if (rejects.count == 0)
        return reco__fail(err, RECO_INVALID, NULL, "one object is expected");
    rejects.errors[0].index = -1;
    return reco__fail_as(err, rejects.errors);
}

static reco_status alias_json(reco_reply *reply, reco_engine *engine, reco_str id, const char *text, size_t size, const reco_call *call,
                              reco_error *err) {
    reco__arena names = {0}, arena = {0};
    reco_user user;
    reco_str alias;
    reco_status status = read_alias(&alias, &names, text, size, err);
    if (status == RECO_OK)
        status = add_alias(&user, engine, &arena, id, alias, call, err);
    if (status == RECO_OK)
        status = reply_stored(reply, &users, &(batch){.things = &user, .count = 1}, true, err);
    reco__arena_dispose(&names);
    reco__arena_dispose(&arena);
    return status;
}

reco_status reco_user_alias_json(reco_reply *reply, reco_engine *engine, reco_str user_id, const char *text, size_t size, const reco_call *call,
                                 reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__reply_begin(reply, err);
    if (status != RECO_OK)
        return status;
    status = reco__engine_enter(engine, call, &error);
    if (status == RECO_OK)
        status = alias_json(reply, engine, user_id, text, size, call, &error);
    return status == RECO_OK ? RECO_OK : reco__reply_problem(reply, &error, err);
}

/* --- what applications call --------------------------------------------------------------------------------------------------------------- */

reco_status reco_items_put(reco_engine *engine, const reco_item *given, size_t count, size_t item_size, const reco_call *call, reco_error *err) {
    return put(engine, &items, &(batch){.things = given, .count = count, .size = item_size}, call, err);
}

reco_status reco_items_put_json(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                                reco_error *err) {
    return put_json(count, engine, &items, text, size, form, call, err);
}

reco_status reco_item_get(char **json, reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err) {
    return get(json, engine, &items, item_id, call, err);
}

reco_status reco_item_delete(reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err) {
    return delete (engine, &items, item_id, call, err);
}

reco_status reco_item_patch(char **json, reco_engine *engine, reco_str item_id, const char *text, size_t size, const reco_call *call,
                            reco_error *err) {
    return patch_one(json, engine, &items, item_id, text, size, call, err);
}

reco_status reco_users_put(reco_engine *engine, const reco_user *given, size_t count, size_t user_size, const reco_call *call, reco_error *err) {
    return put(engine, &users, &(batch){.things = given, .count = count, .size = user_size}, call, err);
}

reco_status reco_users_put_json(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                                reco_error *err) {
    return put_json(count, engine, &users, text, size, form, call, err);
}

reco_status reco_user_get(char **json, reco_engine *engine, reco_str user_id, const reco_call *call, reco_error *err) {
    return get(json, engine, &users, user_id, call, err);
}

reco_status reco_user_delete(reco_engine *engine, reco_str user_id, const reco_call *call, reco_error *err) {
    return delete (engine, &users, user_id, call, err);
}

reco_status reco_user_patch(char **json, reco_engine *engine, reco_str user_id, const char *text, size_t size, const reco_call *call,
                            reco_error *err) {
    return patch_one(json, engine, &users, user_id, text, size, call, err);
}
