/* reco/item.h - what is known of an item: titles, categories, when it may be recommended. */
#ifndef RECO_ITEM_H
#define RECO_ITEM_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_ITEM_HIDDEN 1u /* never recommended, whatever its times say */

/* One item. All strings are borrowed for the call. Zero is the default of every field. Handed over as an array with the size of an element, so that
 * the struct can grow: an unknown non-zero tail is refused. */
typedef struct reco_item {
    reco_str item_id;           /* required: UTF-8, 1 to 256 bytes, no NUL */
    reco_str title;             /* optional: UTF-8, up to 1,024 bytes */
    const reco_str *categories; /* optional: `category_count` different ones, at most 64, each UTF-8 of 1 to 256 bytes */
    size_t category_count;
    int64_t available_from;  /* milliseconds since 1970-01-01 UTC, from when on it may be recommended; 0: always */
    int64_t available_until; /* until when, later than available_from; 0: without end */
    reco_str attributes;     /* optional: one JSON object, up to 16 KiB */
    uint32_t flags;          /* RECO_ITEM_... */
    uint32_t reserved;       /* 0 */
    reco_str parent;         /* optional: the item of which this one is a variant (a size, an edition), another item_id; it need not be known */
} reco_item;

#ifdef __cplusplus
}
#endif
#endif
