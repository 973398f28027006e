/* engine/items.c - items: checked here, kept by records, seen by the recommend room at the next answer. */
#include "engine/engine.h"

#include "model/item.h"

#define ITEMS_MAX 20000u /* what one transaction of records takes */

static reco_status items_change(reco_engine *engine, reco__arena *arena, const reco_item *items, size_t count, size_t item_size,
                                const reco_call *call, reco_error *err) {
    reco__buf documents = {0};
    reco_record_change *changes = reco__arena_zalloc(arena, (count ? count : 1) * sizeof *changes);
    size_t *starts = reco__arena_alloc(arena, (count + 1) * sizeof *starts);
    reco_status status = changes && starts ? RECO_OK : reco__no_memory(err);
    for (size_t i = 0; status == RECO_OK && i < count; i++) {
        reco_item item;
        status = reco__struct_copy(&item, sizeof item, (const char *)items + i * item_size, item_size, "item", err);
        if (status == RECO_OK)
            status = reco__item_check(&item, (int32_t)i, err);
        if (status != RECO_OK)
            break;
        starts[i] = documents.size;
        reco__item_document(&documents, &item);
        changes[i] = (reco_record_change){.kind = RECO_RECORD_ITEM, .id = item.item_id, .document = {NULL, documents.size - starts[i]}};
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

reco_status reco_items_put(reco_engine *engine, const reco_item *items, size_t count, size_t item_size, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && count && !items)
        status = reco__fail(err, RECO_INVALID, "items", "no items are given");
    if (status == RECO_OK && count > ITEMS_MAX)
        status = reco__fail(err, RECO_TOO_LARGE, "count", "at most %u items in one call", ITEMS_MAX);
    if (status == RECO_OK && count && (item_size < sizeof(reco_str) || item_size > 4096))
        status = reco__fail(err, RECO_INVALID, "item_size", "sizeof(reco_item) is expected");
    if (status != RECO_OK)
        return status;
    reco__arena arena = {0};
    status = items_change(engine, &arena, items, count, item_size, call, err);
    reco__arena_dispose(&arena);
    return status;
}

reco_status reco_items_put_json(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                                reco_error *err) {
    reco__arena arena = {0};
    reco__item_batch batch = {0};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !text && size)
        status = reco__fail(err, RECO_INVALID, "text", "there is none");
    if (status == RECO_OK && form > RECO_JSON_NDJSON)
        status = reco__fail(err, RECO_INVALID, "form", "unknown form of JSON");
    if (status == RECO_OK)
        status = reco__items_parse(&batch, &arena, text, size, form == RECO_JSON_NDJSON ? RECO__JSON_NDJSON : RECO__JSON_AUTO, ITEMS_MAX, err);
    if (status == RECO_OK && batch.error_count) {
        status = (reco_status)batch.errors[0].status;
        if (err)
            *err = batch.errors[0];
    }
    if (status == RECO_OK)
        status = items_change(engine, &arena, batch.items, batch.count, sizeof *batch.items, call, err);
    if (status == RECO_OK && count)
        *count = batch.count;
    reco__arena_dispose(&arena);
    return status;
}

typedef struct item_found {
    reco_str id;
    reco__buf json;
} item_found;

/* The document with its id in front, as one object. */
static int item_take(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    item_found *found = context;
    (void)sequence, (void)kind;
    reco__buf_text(&found->json, "{\"item_id\":");
    reco__json_string(&found->json, id.data, id.size);
    if (document.size > 2)
        reco__buf_byte(&found->json, ',');
    reco__buf_add(&found->json, document.data + 1, document.size - 1);
    return 0;
}

reco_status reco_item_get(char **json, reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !json)
        status = reco__fail(err, RECO_INVALID, "json", "it is needed");
    if (status == RECO_OK)
        status = reco__check_id(item_id, -1, "item_id", err);
    if (status != RECO_OK)
        return status;
    item_found found = {.id = item_id};
    status = reco__records_find(engine->records, RECO_RECORD_ITEM, item_id, item_take, &found, call, err);
    if (status == RECO_NOT_FOUND)
        status = reco__fail(err, RECO_NOT_FOUND, "item_id", "no such item");
    if (status == RECO_OK && !reco__buf_cstr(&found.json))
        status = reco__buf_status(&found.json, err);
    if (status == RECO_OK)
        *json = found.json.data;
    else
        reco__buf_dispose(&found.json);
    return status;
}

reco_status reco_item_delete(reco_engine *engine, reco_str item_id, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__check_id(item_id, -1, "item_id", err);
    if (status != RECO_OK)
        return status;
    reco_record_change change = {.kind = RECO_RECORD_ITEM, .id = item_id};
    return reco__records_change(NULL, engine->records, &change, 1, call, err);
}
