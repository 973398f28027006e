/* model/filter.h - filters and caps as JSON. */
#ifndef RECO__MODEL_FILTER_H
#define RECO__MODEL_FILTER_H

#include <jansson.h>

#include "base/base.h"
#include <reco/filter.h>

#define RECO__FILTER_TEXT_MAX 1024u /* bytes of a text in a condition */
#define RECO__FILTER_NAME_MAX 256u  /* bytes of the name of an attribute */

/* An object of conditions, all of which hold; everything is copied to the arena. INVALID or TOO_LARGE naming `field` and the attribute:
 *
 *     {"brand": "acme", "color": ["red", "blue"], "in_stock": true,      one of these values
 *      "price": {"gte": 10, "lt": 50},                                   gte, gt, lte, lt
 *      "size": {"not": ["XL"], "missing": true}, "kind": {"in": [1, 2]}} none of these; `missing`: also items without the attribute
 *
 * `not` takes a value, an array, or an object of gte, gt, lte, lt. */
reco_status reco__filters_of(const reco_filter **out, size_t *count, reco__arena *arena, const json_t *object, const char *field, int32_t index,
                             reco_error *err);
/* {"brand": 2}: at most so many of a value. */
reco_status reco__caps_of(const reco_cap **out, size_t *count, reco__arena *arena, const json_t *object, const char *field, int32_t index,
                          reco_error *err);
/* The same from text. */
reco_status reco__filters_parse(const reco_filter **out, size_t *count, reco__arena *arena, reco_str text, const char *field, reco_error *err);
reco_status reco__caps_parse(const reco_cap **out, size_t *count, reco__arena *arena, reco_str text, const char *field, reco_error *err);

#endif
