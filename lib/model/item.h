/* model/item.h - items from outside, and the document under which records keep them. */
#ifndef RECO__MODEL_ITEM_H
#define RECO__MODEL_ITEM_H

#include "base/base.h"
#include <reco/item.h>

#define RECO__TITLE_MAX 1024u
#define RECO__CATEGORIES_MAX 64u

/* Required fields, ids, UTF-8, sizes, times, categories without doubles, attributes being one JSON object. index -1: none. */
reco_status reco__item_check(const reco_item *item, int32_t index, reco_error *err);

/* A parsed batch of items. CONFINED. Everything lives in the arena. */
typedef struct reco__item_batch {
    reco_item *items; /* `count` of them */
    int32_t *index;   /* position of each in the input */
    size_t count;
    reco_error *errors; /* `error_count` rejected ones: index, field, text */
    size_t error_count;
    size_t total; /* elements in the input */
} reco__item_batch;

/* One object, an array or NDJSON, by the rules of reco__events_parse; unknown fields are gathered into attributes. `id` (of size 0: none): what the
 * item is called by, which may then leave its own id out. */
reco_status reco__items_parse(reco__item_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_items, reco_str id,
                              reco_error *err);

/* The canonical document of a checked item, without its id (the key has it): equal items give equal bytes. Failures stick in `out`. */
void reco__item_document(reco__buf *out, const reco_item *item);
/* Reads a document back; everything is copied to the arena. CORRUPT when it is not one. */
reco_status reco__item_read(reco_item *out, reco__arena *arena, reco_str item_id, reco_str document, reco_error *err);

/* A document changed by a merge patch, see reco__patch_apply. Read it by reco__items_parse to see whether it is an item. */
struct reco__rejects;
reco_status reco__item_patch(reco__buf *out, struct reco__rejects *rejects, reco_str document, reco_str patch, reco_error *err);

/* Whether it may be recommended at a moment. */
static inline bool reco__item_available(const reco_item *item, int64_t now_ms) {
    return !(item->flags & RECO_ITEM_HIDDEN) && now_ms >= item->available_from && (item->available_until == 0 || now_ms < item->available_until);
}

#endif
