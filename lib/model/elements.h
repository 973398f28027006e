/* model/elements.h - a JSON text from outside taken apart into elements: one object, an array, or lines (NDJSON). */
#ifndef RECO__MODEL_ELEMENTS_H
#define RECO__MODEL_ELEMENTS_H

#include <jansson.h>

#include "base/base.h"

/* Rejected elements, in the arena. CONFINED. */
typedef struct reco__rejects {
    reco__arena *arena;
    reco_error *errors;
    size_t count, capacity;
} reco__rejects;

/* One element that is a JSON object. Valid during the call of accept. */
typedef struct reco__element {
    json_t *object;
    reco_str text; /* the object as it was written */
    int32_t index; /* element number in an array, line number (from 0) in NDJSON */
} reco__element;

/* Takes one element. INVALID and TOO_LARGE reject it alone, anything else ends the reading. */
typedef reco_status (*reco__element_fn)(void *context, const reco__element *element, reco_error *err);

/* Hands every element to `accept` in order; those that cannot be read or are refused go to `rejects`. `form` is RECO__JSON_AUTO or RECO__JSON_NDJSON,
 * *total the number of elements met. INVALID with line and column when the text as a whole cannot be read, TOO_LARGE beyond max_elements (0: no
 * limit). */
reco_status reco__elements_read(size_t *total, reco__rejects *rejects, const char *text, size_t size, int form, size_t max_elements,
                                reco__element_fn accept, void *context, reco_error *err);

/* The text of the next member of an object that was parsed before: from its name to the end of its value, *value the latter. *at, in the beginning
 * behind the brace, moves behind the comma. The i-th member of the text is the i-th of the tree. */
reco_str reco__json_next_member(const char **at, const char *end, reco_str *value);
/* Copies valid JSON without the blanks between its tokens. */
void reco__json_compact(reco__buf *out, reco_str text);
/* How deep valid JSON nests: 1 for a list of numbers. */
size_t reco__json_depth(reco_str text);
bool reco__json_among(const char *name, const char *const *names);

/* Writes, as one compact object, what `bag` (the value of the member called bag_name, NULL: none) holds, followed by the members of the element that
 * are not among `known` (NULL-terminated). Writes nothing when there is neither. A name given both beside and inside the bag is INVALID. */
reco_status reco__element_gather(reco__buf *out, const reco__element *element, const char *bag_name, json_t *bag, const char *const *known,
                                 reco_error *err);

/* The same as a text of at most `most` bytes in the arena, {NULL, 0} when there is none; TOO_LARGE names the bag. `scratch` is reset and used. */
reco_status reco__element_bag(reco_str *out, reco__arena *arena, reco__buf *scratch, const reco__element *element, const char *bag_name, json_t *bag,
                              const char *const *known, size_t most, reco_error *err);

/* An element that is known by `id` (of size 0: it says itself who it is) may leave its own id out: *said becomes `id`. INVALID when it says
 * another. */
reco_status reco__element_id(reco_str *said, reco_str id, int32_t index, const char *field, reco_error *err);

/* What was accepted of a text: structs of `size` bytes each, and the place of each in the input, in the arena. CONFINED. */
typedef struct reco__accepted {
    reco__arena *arena;
    size_t size, count, capacity;
    void *items;
    int32_t *index;
} reco__accepted;
reco_status reco__accepted_put(reco__accepted *to, const void *item, int32_t index, reco_error *err);

/* The tree of `text`, one JSON object nested at most RECO__NESTING_MAX deep, to be given back. A number beyond every range names its member. */
reco_status reco__json_object(json_t **out, reco_str text, size_t most, int32_t index, const char *field, reco_error *err);
/* The same of text that may be nested otherwise deep. */
reco_status reco__json_nested(json_t **out, reco_str text, size_t most, size_t nesting, int32_t index, const char *field, reco_error *err);
/* Checks only. */
reco_status reco__json_check_object(reco_str text, size_t most, int32_t index, const char *field, reco_error *err);

/* A moment from JSON: integer milliseconds or RFC 3339 text with an offset, 1970 to 9999. */
reco_status reco__json_time(int64_t *ms, const json_t *value, int32_t index, const char *field, reco_error *err);

/* A copy of a JSON string in the arena; null gives {NULL, 0}. INVALID when it is something else. */
reco_status reco__json_text(reco_str *out, reco__arena *arena, const json_t *value, int32_t index, const char *field, reco_error *err);

/* How many of the first `most` bytes of a text can be shown without cutting a character. */
int reco__shown(reco_str text, size_t most);

#endif
