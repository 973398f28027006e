/* model/attributes.h - attributes of items and users: what an application says beyond what libreco knows. */
#ifndef RECO__MODEL_ATTRIBUTES_H
#define RECO__MODEL_ATTRIBUTES_H

#include "model/elements.h"

#define RECO__ATTRIBUTES_MAX 16384u     /* bytes */
#define RECO__ATTRIBUTES_COUNT_MAX 256u /* members */
#define RECO__ATTRIBUTE_NAME_MAX 64u    /* bytes */
#define RECO__ATTRIBUTES_NAME "attributes"

/* Absent, or one JSON object in UTF-8 within its size, its members within their number and names. */
reco_status reco__attributes_check(reco_str attributes, int32_t index, reco_error *err);

/* What becomes the attributes of an element, as reco__element_bag says it; INVALID when they nest too deep for a document. */
reco_status reco__attributes_of_element(reco_str *out, reco__arena *arena, reco__buf *scratch, const reco__element *element, json_t *bag,
                                        const char *const *known, reco_error *err);
/* The number and the names of what becomes the attributes of an element: the members of its bag, and those beside it that are not among `known`. */
reco_status reco__attributes_check_element(const reco__element *element, const char *const *known, reco_error *err);

#endif
