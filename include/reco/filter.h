/* reco/filter.h - which items may be in an answer: exclude lists, conditions on attributes, caps, variants, and pages.
 *
 * Every kind of question points to one reco_selection. It does not change how items are scored, only which of them may be in the answer: what is
 * excluded, or does not hold the conditions, is no candidate, and the answer is filled from what is left.
 *
 * Attributes are what the attributes of an item's document say at their first level: texts, numbers, true and false, and arrays of them, which are
 * several values of one attribute. Deeper objects and null say nothing. Beside them there are
 *
 *     categories, category    the item's categories
 *     parent                  the item it is a variant of
 *     item_id                 its id (conditions only)
 *
 * An item that records know nothing of has none of them, but its id. */
#ifndef RECO_FILTER_H
#define RECO_FILTER_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_EXCLUDE_MAX 1000u      /* items of one exclude list */
#define RECO_FILTERS_MAX 32u        /* conditions of one question */
#define RECO_FILTER_VALUES_MAX 256u /* values of one condition */
#define RECO_CAPS_MAX 8u            /* caps of one question */
#define RECO_PAGED_MAX 1000u        /* the page that reaches so many items is the last; a variant takes two places */

#define RECO_VALUE_STRING 1u
#define RECO_VALUE_NUMBER 2u
#define RECO_VALUE_BOOLEAN 3u

/* A value that an attribute is compared with. Texts equal texts only, numbers only numbers: the text "1" is not the number 1. */
typedef struct reco_value {
    uint32_t type;    /* RECO_VALUE_... */
    uint32_t boolean; /* 0 or 1 */
    double number;    /* finite */
    reco_str text;    /* UTF-8, up to 1,024 bytes */
} reco_value;

#define RECO_FILTER_ANY_OF 1u /* one of the values of the attribute is one of `values`; equality is any of one */
#define RECO_FILTER_RANGE 2u  /* one of the values of the attribute is a number between min and max */

#define RECO_FILTER_NOT 1u          /* holds where it else would not */
#define RECO_FILTER_MISSING 2u      /* items without the attribute hold it; else they do not, with NOT either */
#define RECO_FILTER_MIN 4u          /* RANGE: min is given */
#define RECO_FILTER_MAX 8u          /* RANGE: max is given; one of the two is needed */
#define RECO_FILTER_MIN_OUTSIDE 16u /* min itself is outside */
#define RECO_FILTER_MAX_OUTSIDE 32u

/* A condition. Zero is the default of every field. */
typedef struct reco_filter {
    reco_str attribute;       /* required: UTF-8, 1 to 256 bytes */
    uint32_t op;              /* required: RECO_FILTER_ANY_OF or RECO_FILTER_RANGE */
    uint32_t flags;           /* RECO_FILTER_NOT ... */
    const reco_value *values; /* ANY_OF: 1 to RECO_FILTER_VALUES_MAX */
    size_t value_count;
    double min, max; /* RANGE: finite */
} reco_filter;

/* At most so many items of one answer share a value of an attribute. Items that lack it are not capped. */
typedef struct reco_cap {
    reco_str attribute; /* required, as above */
    uint32_t most;      /* required: 1 or more */
    uint32_t reserved;  /* 0 */
} reco_cap;

#define RECO_SELECTION_VARIANTS                                                                                                                      \
    1u /* variants stand beside each other; else of an item and those that name it as parent only the best is answered                               \
        */

/* Zero is the default of every field; all it points to is borrowed for the call. */
typedef struct reco_selection {
    uint32_t struct_size;    /* sizeof(reco_selection) */
    uint32_t flags;          /* RECO_SELECTION_... */
    const reco_str *exclude; /* ids of items that are not to be in the answer; those nobody knows do no harm */
    size_t exclude_count;
    const reco_filter *filters; /* all of them hold */
    size_t filter_count;
    size_t filter_size; /* sizeof(reco_filter) */
    const reco_cap *caps;
    size_t cap_count;
    size_t cap_size; /* sizeof(reco_cap) */
    reco_str cursor; /* `next` of the page before: the same question goes on, without the items of the pages before, whatever has changed since.
                      * The limit may be another. INVALID naming `cursor` when it is of another question */
} reco_selection;

/* A selection from JSON, as HTTP has it: {"exclude":["a"],"filter":{"brand":["x","y"],"price":{"gte":1,"lt":5},"size":{"not":"XL","missing":true}},
 * "caps":{"brand":2},"variants":true,"cursor":"..."}; each member may be absent. Everything is copied. INVALID, or TOO_LARGE, naming the member. Free
 * with reco_selection_free. SHARED. */
RECO_API reco_status reco_selection_parse(reco_selection **out, const char *json, size_t size, reco_error *err);
/* NULL is allowed. SHARED. */
RECO_API void reco_selection_free(reco_selection *selection);

#ifdef __cplusplus
}
#endif
#endif
