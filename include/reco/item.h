/* reco/item.h - what is known of an item: titles, categories, when it may be recommended. */
#ifndef RECO_ITEM_H
#define RECO_ITEM_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_ITEM_HIDDEN 1u /* never recommended, whatever its times say */

/* Attributes are the application's own: a JSON object of up to 16 KiB and 256 members, named by 1 to 64 bytes, nested at most 31 deep, kept as
 * written. An answer can be filtered and capped by members that are a string, a finite number, a boolean, or an array of these, whose elements are
 * several values; what is nested deeper and null is kept and told, and meets no condition. No types are declared: an attribute is what its value is,
 * item by item, and a condition that asks for a number is not met by a string. Numbers are compared as doubles; integers have 64 bits. In JSON,
 * members that libreco does not know are taken for attributes. What can never be right (a name too long, a number beyond the range) is refused as
 * attributes.NAME. */

/* One item. All strings are borrowed for the call. Zero is the default of every field. Handed over as an array with the size of an element, so that
 * the struct can grow: an unknown non-zero tail is refused. */
typedef struct reco_item {
    reco_str item_id;           /* required: UTF-8, 1 to 256 bytes, no NUL */
    reco_str title;             /* optional: UTF-8, up to 1,024 bytes */
    const reco_str *categories; /* optional: `category_count` different ones, at most 64, each UTF-8 of 1 to 256 bytes */
    size_t category_count;
    int64_t available_from;  /* milliseconds since 1970-01-01 UTC, from when on it may be recommended; 0: always */
    int64_t available_until; /* until when, later than available_from; 0: without end */
    reco_str attributes;     /* optional: one JSON object, see above */
    uint32_t flags;          /* RECO_ITEM_... */
    uint32_t reserved;       /* 0 */
    reco_str parent;         /* optional: the item of which this one is a variant (a size, an edition), another item_id; it need not be known */
} reco_item;

#ifdef __cplusplus
}
#endif
#endif
