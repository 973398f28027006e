/* model/elements.c - a JSON text from outside, taken apart.
 *
 * A body of a thousand events must not be lost because one of them is wrong, yet a body that is not JSON must be refused as a whole. So an array is
 * split here, by a scanner that only knows strings and brackets, and each element is then parsed by jansson on its own. What that parser refuses
 * falls into two kinds:
 *
 *   - the element is JSON but says something impossible: a key twice, a number beyond every range, U+0000 in a key, broken UTF-8, half a surrogate
 * pair, nesting without end: the element is rejected;
 *   - it is not JSON: in an array or a single object the whole text is refused with line and column; in NDJSON only the line, unless no line can be
 * read.
 *
 * An accepted array is valid JSON as a whole: each element was parsed, and the scanner saw exactly one comma between two of them. The extents also
 * serve to keep what the sender wrote: members that libreco does not know are copied as text, without the blanks, so that numbers do not lose digits
 * on the way through a tree.
 *
 * Only one element's tree exists at a time, so memory does not grow with the body. jansson allocates by malloc: its allocator is a global of the
 * host's process. */
#include "model/elements.h"

#include <stdio.h>

#include "model/event.h"

typedef struct input {
    const char *text, *at, *end;
    size_t max_elements, total, readable;
    reco__rejects *rejects;
    reco__element_fn accept;
    void *context;
    reco_error unreadable; /* the first line that is not JSON */
} input;

/* --- scanning ---------------------------------------------------------------------------------------------------------------------------- */

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && blank(*at))
        at++;
    return at;
}

/* After the string that begins at `at`; NULL when it does not end. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return NULL;
}

/* After the value that begins at `at`, NULL when it does not end; `deepest` is raised to its nesting. */
static const char *skip_value(const char *at, const char *end, size_t *deepest) {
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            if (!at || depth == 0)
                return at;
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
            if (depth > *deepest)
                *deepest = depth;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at;
            if (--depth == 0)
                return at + 1;
        } else if (depth == 0 && (c == ',' || c == ':' || blank(c))) {
            return at;
        }
        at++;
    }
    return depth == 0 ? at : NULL;
}

int reco__shown(reco_str text, size_t most) {
    if (text.size <= most)
        return (int)text.size;
    while (most > 0 && ((unsigned char)text.data[most] & 0xc0) == 0x80)
        most--;
    return (int)most;
}

/* --- errors ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status fail_place(const char *text, const char *at, int32_t index, reco_error *err, const char *what) {
    size_t line = 1;
    const char *start = text;
    for (const char *newline = text; newline < at && (newline = memchr(newline, '\n', (size_t)(at - newline))) != NULL; newline++) {
        line++;
        start = newline + 1;
    }
    return reco__fail_at(err, RECO_INVALID, index, NULL, "line %zu, column %zu: %s", line, (size_t)(at - start) + 1, what);
}

static reco_status reject(input *in, const reco_error *error) {
    reco__rejects *rejects = in->rejects;
    if (rejects->count == rejects->capacity) {
        size_t capacity = rejects->capacity ? rejects->capacity * 2 : 8;
        reco_error *errors = reco__arena_alloc(rejects->arena, capacity * sizeof *errors);
        if (!errors)
            return RECO_NO_MEMORY;
        if (rejects->count > 0)
            memcpy(errors, rejects->errors, rejects->count * sizeof *errors);
        rejects->errors = errors;
        rejects->capacity = capacity;
    }
    rejects->errors[rejects->count++] = *error;
    return RECO_OK;
}

/* Whether the parser understood the element as JSON and refused what it says. Half of a surrogate pair is JSON by its grammar; jansson gives it the
 * code of broken syntax, and tells it apart from an escape without four digits ("invalid Unicode escape") by its words only. */
static bool about_content(const json_error_t *error) {
    static const char surrogate[] = "invalid Unicode '";
    enum json_error_code code = json_error_code(error);
    if (code == json_error_invalid_syntax)
        return strncmp(error->text, surrogate, sizeof surrogate - 1) == 0;
    return code == json_error_duplicate_key || code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_null_character || code == json_error_invalid_utf8;
}

/* Adds to `field` which member of the object the offset lies in, and which of its members, if that is an object: ".attributes.price"; nothing when it
 * lies in none. The text need not be JSON. */
static void name_member(char *field, size_t room, reco_str object, size_t offset) {
    const char *end = object.data + object.size, *at = skip_blanks(object.data, end), *place = object.data + offset;
    for (int level = *field ? 1 : 0; level < 2 && at < end && *at == '{'; level++) {
        const char *value = at;
        for (at++;; at++) {
            const char *name = skip_blanks(at, end);
            const char *stop = name < end && *name == '"' ? skip_string(name, end) : NULL;
            size_t depth = 0, used = strlen(field);
            const char *colon = stop && stop <= place ? skip_blanks(stop, end) : end;
            if (colon == end || *colon != ':')
                return;
            value = skip_blanks(colon + 1, end);
            at = value < end ? skip_value(value, end, &depth) : NULL;
            if (at && place > at) {
                at = skip_blanks(at, end);
                if (at == end || *at != ',')
                    return;
                continue;
            }
            reco_str shown = {name + 1, (size_t)(stop - name) - 2};
            if (used + 2 < room)
                snprintf(field + used, room - used, "%s%.*s", used ? "." : "", reco__shown(shown, room - used - 2), shown.data);
            break;
        }
        at = value;
    }
}

/* Where brackets first stand deeper than `most`; the text has such a place. */
static size_t deeper(reco_str text, size_t most) {
    const char *at = text.data, *end = at + text.size;
    for (size_t depth = 0; at && at < end; at = *at == '"' ? skip_string(at, end) : at + 1) {
        if ((*at == '{' || *at == '[') && ++depth > most)
            break;
        depth -= (*at == '}' || *at == ']') && depth > 0;
    }
    return at ? (size_t)(at - text.data) : 0;
}

/* Like an error of the parser, which never sees what is too deep: it goes down one call for each bracket. */
static reco_status too_deep(reco_str text, size_t most, int32_t index, const char *field, reco_error *err) {
    reco__fail_at(err, RECO_INVALID, index, field, "nested deeper than %zu", most);
    if (err)
        name_member(err->field, sizeof err->field, text, deeper(text, most));
    return RECO_INVALID;
}

/* --- one element ------------------------------------------------------------------------------------------------------------------------- */

/* Parses the extent. *syntax tells that it is not JSON. */
static reco_status parse(json_t **out, bool *syntax, const input *in, reco_str text, int32_t index, size_t depth, reco_error *err) {
    json_error_t error;
    const char *zero = memchr(text.data, 0, text.size); /* jansson overlooks one behind a number */
    *syntax = zero != NULL;
    *out = NULL;
    if (zero)
        return fail_place(in->text, zero, index, err, "a zero byte");
    if (depth > RECO__NESTING_MAX)
        return too_deep(text, RECO__NESTING_MAX, index, NULL, err);
    *out = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (*out)
        return RECO_OK;
    enum json_error_code code = json_error_code(&error);
    if (code == json_error_out_of_memory)
        return reco__no_memory(err);
    *syntax = !about_content(&error);
    size_t offset = error.position > 0 && (size_t)error.position <= text.size ? (size_t)error.position : 0;
    fail_place(in->text, text.data + offset, index, err, error.text);
    if (err)
        name_member(err->field, sizeof err->field, text, offset);
    return RECO_INVALID;
}

static reco_status take(input *in, json_t *value, reco_str text, int32_t index, reco_error *err) {
    if (!json_is_object(value))
        return reco__fail_at(err, RECO_INVALID, index, NULL, "must be a JSON object");
    reco__element element = {value, text, index};
    return in->accept(in->context, &element, err);
}

/* One element: accepted, rejected alone, or (not JSON, in an array or single object) the end of all. */
static reco_status read_element(input *in, reco_str text, int32_t index, size_t depth, bool line, reco_error *err) {
    if (in->max_elements > 0 && in->total >= in->max_elements)
        return reco__fail(err, RECO_TOO_LARGE, NULL, "more than %zu elements in one body", in->max_elements);
    in->total++;
    json_t *value;
    bool syntax;
    reco_error error = RECO_ERROR_INIT;
    reco_status status = parse(&value, &syntax, in, text, index, depth, &error);
    if (status == RECO_OK) {
        status = take(in, value, text, index, &error);
        json_decref(value);
    }
    if (syntax && line && in->unreadable.status == RECO_OK)
        in->unreadable = error;
    if (!syntax)
        in->readable++;
    if (status == RECO_OK)
        return RECO_OK;
    if ((syntax && !line) || (status != RECO_INVALID && status != RECO_TOO_LARGE)) {
        if (syntax)
            error.index = -1;
        if (err)
            *err = error;
        return status;
    }
    return reject(in, &error) == RECO_OK ? RECO_OK : reco__no_memory(err);
}

/* --- the three shapes -------------------------------------------------------------------------------------------------------------------- */

static reco_status read_array(input *in, reco_error *err) {
    const char *at = skip_blanks(in->at + 1, in->end);
    bool first = true;
    while (at < in->end) {
        if (first && *at == ']')
            break;
        size_t depth = 0;
        const char *stop = skip_value(at, in->end, &depth);
        if (!stop)
            return fail_place(in->text, at, -1, err, "this element does not end");
        if (stop == at)
            return fail_place(in->text, at, -1, err, "an element is missing");
        reco_status status = read_element(in, (reco_str){at, (size_t)(stop - at)}, (int32_t)in->total, depth, false, err);
        if (status != RECO_OK)
            return status;
        at = skip_blanks(stop, in->end);
        if (at == in->end || *at == ']')
            break;
        if (*at != ',')
            return fail_place(in->text, at, -1, err, "expected ',' or ']'");
        at = skip_blanks(at + 1, in->end);
        first = false;
        if (at < in->end && *at == ']')
            return fail_place(in->text, at, -1, err, "an element is missing");
    }
    if (at >= in->end)
        return fail_place(in->text, in->end, -1, err, "the array does not end");
    at = skip_blanks(at + 1, in->end);
    return at == in->end ? RECO_OK : fail_place(in->text, at, -1, err, "text after the array");
}

static reco_status read_lines(input *in, reco_error *err) {
    const char *at = in->text;
    for (int32_t number = 0; at < in->end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(in->end - at));
        const char *end = newline ? newline : in->end;
        const char *next = newline ? newline + 1 : in->end;
        at = skip_blanks(at, end);
        while (end > at && blank(end[-1]))
            end--;
        if (at < end) {
            size_t depth = 0;
            skip_value(at, end, &depth);
            reco_status status = read_element(in, (reco_str){at, (size_t)(end - at)}, number, depth, true, err);
            if (status != RECO_OK)
                return status;
        }
        at = next;
    }
    if (in->total == 0 || in->readable > 0)
        return RECO_OK;
    if (err) {
        *err = in->unreadable;
        err->index = -1;
    }
    return RECO_INVALID;
}

static reco_status read_auto(input *in, reco_error *err) {
    if (*in->at == '[')
        return read_array(in, err);
    size_t depth = 0;
    const char *stop = skip_value(in->at, in->end, &depth);
    if (stop && stop > in->at && skip_blanks(stop, in->end) < in->end)
        return read_lines(in, err);
    reco_str text = {in->at, (size_t)(in->end - in->at)};
    return read_element(in, text, 0, depth, false, err);
}

reco_status reco__elements_read(size_t *total, reco__rejects *rejects, const char *text, size_t size, int form, size_t max_elements,
                                reco__element_fn accept, void *context, reco_error *err) {
    *total = 0;
    if (size > INT32_MAX)
        return reco__fail(err, RECO_TOO_LARGE, NULL, "a JSON text of %zu bytes is larger than %d", size, INT32_MAX);
    if (size == 0)
        return reco__fail(err, RECO_INVALID, NULL, "line 1, column 1: the text is empty");
    input in = {.text = text,
                .at = skip_blanks(text, text + size),
                .end = text + size,
                .max_elements = max_elements,
                .rejects = rejects,
                .accept = accept,
                .context = context};
    if (in.at == in.end)
        return fail_place(text, in.at, -1, err, "the text is blank");
    reco_status status = form == RECO__JSON_NDJSON ? read_lines(&in, err) : read_auto(&in, err);
    *total = in.total;
    return status;
}

/* --- members ----------------------------------------------------------------------------------------------------------------------------- */

void reco__json_compact(reco__buf *out, reco_str text) {
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        const char *from = at;
        while (at < end && !blank(*at))
            at = *at == '"' ? skip_string(at, end) : at + 1;
        reco__buf_add(out, from, (size_t)(at - from));
        at = skip_blanks(at, end);
    }
}

size_t reco__json_depth(reco_str text) {
    size_t depth = 0;
    skip_value(skip_blanks(text.data, text.data + text.size), text.data + text.size, &depth);
    return depth;
}

bool reco__json_among(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

reco_str reco__json_next_member(const char **at, const char *end, reco_str *value) {
    size_t depth = 0;
    const char *name = skip_blanks(*at, end);
    const char *from = skip_blanks(skip_string(name, end), end);
    from = skip_blanks(from + 1, end);
    const char *stop = skip_value(from, end, &depth);
    *value = (reco_str){from, (size_t)(stop - from)};
    *at = skip_blanks(stop, end) + 1;
    return (reco_str){name, (size_t)(stop - name)};
}

static bool has_unknown(json_t *object, const char *const *known) {
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (!reco__json_among(name, known))
            return true;
    }
    return false;
}

/* jansson walks an object in the order in which its members were written, and there are no doubles: the i-th member of the tree is the i-th of the
 * text. */
reco_status reco__element_gather(reco__buf *out, const reco__element *element, const char *bag_name, json_t *bag, const char *const *known,
                                 reco_error *err) {
    if (!bag && !has_unknown(element->object, known))
        return RECO_OK;
    const char *at = element->text.data + 1;
    const char *end = element->text.data + element->text.size;
    const char *name;
    json_t *ignored;
    size_t start = out->size, unknown = 0;
    reco__buf inside = {0};
    json_object_foreach(element->object, name, ignored) {
        reco_str value;
        reco_str member = reco__json_next_member(&at, end, &value);
        if (reco__json_among(name, known)) {
            if (bag && strcmp(name, bag_name) == 0)
                reco__json_compact(out, value);
            continue;
        }
        if (bag && json_object_get(bag, name)) {
            reco__buf_dispose(&inside);
            return reco__fail_at(err, RECO_INVALID, element->index, name, "given both beside and inside %s", bag_name);
        }
        reco__buf_text(&inside, unknown++ ? "," : "");
        reco__json_compact(&inside, member);
    }
    if (inside.size > 0) {
        if (bag)
            out->size--; /* its closing brace */
        reco__buf_text(out, !bag ? "{" : json_object_size(bag) > 0 ? "," : "");
        reco__buf_add(out, inside.data, inside.size);
        reco__buf_byte(out, '}');
    }
    bool failed = inside.failed != RECO_OK;
    reco__buf_dispose(&inside);
    if (failed || out->failed != RECO_OK) {
        out->size = start;
        return reco__no_memory(err);
    }
    return RECO_OK;
}

/* --- values ------------------------------------------------------------------------------------------------------------------------------ */

reco_status reco__element_bag(reco_str *out, reco__arena *arena, reco__buf *scratch, const reco__element *element, const char *bag_name, json_t *bag,
                              const char *const *known, size_t most, reco_error *err) {
    *out = (reco_str){NULL, 0};
    reco__buf_reset(scratch);
    reco_status status = reco__element_gather(scratch, element, bag_name, bag, known, err);
    if (status != RECO_OK || scratch->size == 0)
        return status;
    if (scratch->size > most)
        return reco__fail_at(err, RECO_TOO_LARGE, element->index, bag_name, "%zu bytes together with unknown fields, at most %zu are allowed",
                             scratch->size, most);
    *out = (reco_str){reco__arena_copy(arena, scratch->data, scratch->size), scratch->size};
    return out->data ? RECO_OK : reco__no_memory(err);
}

reco_status reco__element_id(reco_str *said, reco_str id, int32_t index, const char *field, reco_error *err) {
    if (id.size > 0 && said->data && !reco__str_equal(*said, id))
        return reco__fail_at(err, RECO_INVALID, index, field, "is another one than it is sent to");
    *said = id.size > 0 ? id : *said;
    return RECO_OK;
}

reco_status reco__accepted_put(reco__accepted *to, const void *item, int32_t index, reco_error *err) {
    if (to->count == to->capacity) {
        size_t capacity = to->capacity ? to->capacity * 2 : 16;
        void *items = reco__arena_alloc(to->arena, capacity * to->size);
        int32_t *places = reco__arena_alloc(to->arena, capacity * sizeof *places);
        if (!items || !places)
            return reco__no_memory(err);
        if (to->count > 0) {
            memcpy(items, to->items, to->count * to->size);
            memcpy(places, to->index, to->count * sizeof *places);
        }
        to->items = items;
        to->index = places;
        to->capacity = capacity;
    }
    memcpy((char *)to->items + to->count * to->size, item, to->size);
    to->index[to->count++] = index;
    return RECO_OK;
}

reco_status reco__json_object(json_t **out, reco_str text, size_t most, int32_t index, const char *field, reco_error *err) {
    return reco__json_nested(out, text, most, RECO__NESTING_MAX, index, field, err);
}

reco_status reco__json_nested(json_t **out, reco_str text, size_t most, size_t nesting, int32_t index, const char *field, reco_error *err) {
    *out = NULL;
    if (text.size > most)
        return reco__fail_at(err, RECO_TOO_LARGE, index, field, "%zu bytes, at most %zu are allowed", text.size, most);
    json_error_t error;
    if (reco__json_depth(text) > nesting)
        return too_deep(text, nesting, index, field, err);
    json_t *value = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!value && json_error_code(&error) == json_error_out_of_memory)
        return reco__no_memory(err);
    if (!value && err && json_error_code(&error) == json_error_numeric_overflow) {
        reco__fail_at(err, RECO_INVALID, index, field, "%s", error.text);
        name_member(err->field, sizeof err->field, text, (size_t)error.position);
        return RECO_INVALID;
    }
    if (!value)
        return reco__fail_at(err, RECO_INVALID, index, field, "is not valid JSON: %s", error.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return reco__fail_at(err, RECO_INVALID, index, field, "must be a JSON object");
    }
    *out = value;
    return RECO_OK;
}

reco_status reco__json_check_object(reco_str text, size_t most, int32_t index, const char *field, reco_error *err) {
    json_t *object;
    reco_status status = reco__json_object(&object, text, most, index, field, err);
    json_decref(object);
    return status;
}

reco_status reco__json_time(int64_t *ms, const json_t *value, int32_t index, const char *field, reco_error *err) {
    bool good = false;
    if (json_is_integer(value)) {
        *ms = (int64_t)json_integer_value(value);
        good = *ms >= 0 && *ms <= RECO__TIME_MAX;
    } else if (json_is_string(value)) {
        good = reco__time_parse(json_string_value(value), json_string_length(value), ms);
    } else {
        return reco__fail_at(err, RECO_INVALID, index, field, "must be RFC 3339 text with an offset, or integer milliseconds since 1970");
    }
    if (!good)
        return reco__fail_at(err, RECO_INVALID, index, field,
                             json_is_string(value) ? "is not RFC 3339 with an offset, such as 2026-01-31T10:00:00Z"
                                                   : "milliseconds must be within 0 and 253402300799999 (years 1970 to 9999)");
    return RECO_OK;
}

reco_status reco__json_text(reco_str *out, reco__arena *arena, const json_t *value, int32_t index, const char *field, reco_error *err) {
    *out = (reco_str){NULL, 0};
    if (json_is_null(value))
        return RECO_OK;
    if (!json_is_string(value))
        return reco__fail_at(err, RECO_INVALID, index, field, "must be a string");
    size_t size = json_string_length(value);
    char *copy = reco__arena_copy(arena, json_string_value(value), size);
    if (!copy)
        return reco__no_memory(err);
    *out = (reco_str){copy, size};
    return RECO_OK;
}
