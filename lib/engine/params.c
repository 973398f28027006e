#include "engine/params.h"

#include "model/elements.h"
#include "model/event.h"

#define QUERY_STRING_MAX 8192u

/* --- query strings ------------------------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes in the manner of forms ('+' is a space). */
static reco_status decode(reco_str *out, reco__arena *arena, const char *text, size_t size, const char *field, reco_error *err) {
    char *to = reco__arena_alloc(arena, size + 1);
    if (!to)
        return reco__no_memory(err);
    *out = (reco_str){to, 0};
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1, low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return reco__fail(err, RECO_INVALID, field, "a percent escape is cut off or not hexadecimal");
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        to[out->size++] = c;
    }
    return RECO_OK;
}

static reco__param *find(reco__param *params, size_t count, reco_str name) {
    for (size_t i = 0; i < count; i++)
        if (reco__str_equal(name, reco__str_of(params[i].name)))
            return &params[i];
    return NULL;
}

/* `whole` stands for a name that cannot be shown. */
static reco_status unknown(reco_str name, const char *whole, int32_t index, reco_error *err) {
    char shown[64];
    size_t cut = (size_t)reco__shown(name, 40);
    memcpy(shown, name.data, cut);
    shown[cut] = 0;
    return reco__fail_at(err, RECO_INVALID, index, *shown && reco__utf8_valid(shown, cut) ? shown : whole, "unknown parameter");
}

static reco_status add_text(reco__param *param, reco__arena *arena, reco_str value, reco_error *err) {
    if (param->count == param->room) {
        size_t room = param->room ? param->room * 4 : 1;
        reco_str *texts = reco__arena_alloc(arena, room * sizeof *texts);
        if (!texts)
            return reco__no_memory(err);
        if (param->count > 0)
            memcpy(texts, param->texts, param->count * sizeof *texts);
        param->texts = texts;
        param->room = room;
    }
    param->texts[param->count++] = value;
    param->given = true;
    return RECO_OK;
}

static reco_status take_part(reco__param *params, size_t count, reco__arena *arena, const char *part, size_t size, reco_error *err) {
    const char *equals = memchr(part, '=', size);
    size_t name_size = equals ? (size_t)(equals - part) : size;
    reco_str name, value;
    reco_status status = decode(&name, arena, part, name_size, "query", err);
    if (status != RECO_OK)
        return status;
    reco__param *param = find(params, count, name);
    status = decode(&value, arena, part + name_size + (equals != NULL), size - name_size - (equals != NULL), param ? param->name : "query", err);
    if (status != RECO_OK)
        return status;
    if (!param)
        return unknown(name, "query", -1, err);
    if (param->given && !param->list)
        return reco__fail(err, RECO_INVALID, param->name, "given twice");
    if (!reco__utf8_valid(value.data, value.size))
        return reco__fail(err, RECO_INVALID, param->name, "not valid UTF-8");
    return add_text(param, arena, value, err);
}

static reco_status read_query(reco__param *params, size_t count, reco__arena *arena, const char *text, reco_error *err) {
    size_t size = text ? strnlen(text, QUERY_STRING_MAX + 1) : 0;
    if (size > QUERY_STRING_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "query", "a query string of more than %u bytes", QUERY_STRING_MAX);
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '&', size - at);
        size_t part = end ? (size_t)(end - text) - at : size - at;
        if (part) {
            reco_status status = take_part(params, count, arena, text + at, part, err);
            if (status != RECO_OK)
                return status;
        }
        at += part + 1;
    }
    return RECO_OK;
}

/* --- objects ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_object(reco__param *params, size_t count, const reco__sent *sent, reco_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)sent->object, name, value) {
        reco__param *param = find(params, count, reco__str_of(name));
        if (!param)
            return unknown(reco__str_of(name), "body", sent->index, err);
        param->given = !json_is_null(value);
        param->json = param->given ? value : NULL;
    }
    return RECO_OK;
}

reco_status reco__params_read(reco__param *params, size_t count, const reco__sent *sent, reco_error *err) {
    reco_status status = read_query(params, count, sent->arena, sent->query, err);
    if (status == RECO_OK && sent->object && sent->query && *sent->query)
        status = reco__fail(err, RECO_INVALID, "query", "with a body, parameters go into the body");
    return status == RECO_OK && sent->object ? read_object(params, count, sent, err) : status;
}

/* --- values -------------------------------------------------------------------------------------------------------------------------------- */

static bool digits(uint64_t *out, reco_str text) {
    bool good = text.size > 0 && text.size < 20;
    uint64_t value = 0;
    for (size_t i = 0; good && i < text.size; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return good;
}

static bool whole(uint64_t *out, const reco__param *from) {
    if (!from->json)
        return digits(out, from->texts[0]);
    *out = (uint64_t)json_integer_value(from->json);
    return json_is_integer(from->json) && json_integer_value(from->json) >= 0;
}

reco_status reco__param_number(uint64_t *out, const reco__param *from, uint64_t least, uint64_t most, const reco__sent *sent, reco_error *err) {
    uint64_t value;
    if (!from->given)
        return RECO_OK;
    if (!whole(&value, from) || value < least || value > most)
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "a whole number from %llu to %llu is expected", (unsigned long long)least,
                             (unsigned long long)most);
    *out = value;
    return RECO_OK;
}

static reco_str text_of(const json_t *value) { return (reco_str){json_string_value(value), json_string_length(value)}; }

reco_status reco__param_text(reco_str *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    if (!from->given)
        return RECO_OK;
    if (from->json && !json_is_string(from->json))
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "a string is expected");
    *out = from->json ? text_of(from->json) : from->texts[0];
    return RECO_OK;
}

reco_status reco__param_flag(bool *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    if (!from->given)
        return RECO_OK;
    bool yes = from->json ? json_is_true(from->json) : reco__str_equal(from->texts[0], reco__str_of("true"));
    bool no = from->json ? json_is_false(from->json) : reco__str_equal(from->texts[0], reco__str_of("false"));
    if (!yes && !no)
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "true or false is expected");
    *out = yes;
    return RECO_OK;
}

reco_status reco__param_moment(int64_t *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    uint64_t number;
    if (!from->given)
        return RECO_OK;
    reco_str text = !from->json ? from->texts[0] : json_is_string(from->json) ? text_of(from->json) : (reco_str){NULL, 0};
    if (text.size > 0 && reco__time_parse(text.data, text.size, out))
        return RECO_OK;
    if (!whole(&number, from) || number < 1 || number > (uint64_t)RECO__TIME_MAX)
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "RFC 3339 with offset or whole milliseconds since 1970 are expected");
    *out = (int64_t)number;
    return RECO_OK;
}

static bool span_of(int64_t *out, reco_str text) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1}};
    size_t size = 0;
    uint64_t value;
    while (size < text.size && text.data[size] >= '0' && text.data[size] <= '9')
        size++;
    if (!digits(&value, (reco_str){text.data, size}))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (reco__str_equal((reco_str){text.data + size, text.size - size}, reco__str_of(units[i].unit))) {
            *out = (int64_t)(value * (uint64_t)units[i].ms);
            return value >= 1 && value <= UINT64_C(4000000000000) / (uint64_t)units[i].ms;
        }
    }
    return false;
}

reco_status reco__param_span(int64_t *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    int64_t span = 0;
    uint64_t number;
    if (!from->given)
        return RECO_OK;
    bool good = from->json && json_is_integer(from->json);
    if (good) {
        good = whole(&number, from) && number >= 1 && number <= UINT64_C(4000000000000);
        span = (int64_t)number;
    } else if (!from->json || json_is_string(from->json)) {
        good = span_of(&span, from->json ? text_of(from->json) : from->texts[0]);
    }
    if (!good)
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "a span such as 90m, 24h or 7d (or milliseconds) is expected");
    *out = span;
    return RECO_OK;
}

static reco_status array_texts(reco_str *texts, const reco__param *from, const reco__sent *sent, reco_error *err) {
    for (size_t i = 0; i < json_array_size(from->json); i++) {
        const json_t *value = json_array_get(from->json, i);
        if (!json_is_string(value)) {
            char field[sizeof err->field];
            snprintf(field, sizeof field, "%s[%zu]", from->name, i);
            return reco__fail_at(err, RECO_INVALID, sent->index, field, "a string is expected");
        }
        texts[i] = text_of(value);
    }
    return RECO_OK;
}

reco_status reco__param_list(const reco_str **out, size_t *out_count, const reco__param *from, size_t most, const reco__sent *sent, reco_error *err) {
    if (!from->given)
        return RECO_OK;
    if (from->json && !json_is_array(from->json))
        return reco__fail_at(err, RECO_INVALID, sent->index, from->name, "an array of strings is expected");
    size_t count = from->json ? json_array_size(from->json) : from->count;
    if (count > most)
        return reco__fail_at(err, RECO_TOO_LARGE, sent->index, from->name, "%zu are given, at most %zu are allowed", count, most);
    reco_str *texts = from->texts;
    reco_status status = RECO_OK;
    if (from->json && count > 0) {
        texts = reco__arena_alloc(sent->arena, count * sizeof *texts);
        status = texts ? array_texts(texts, from, sent, err) : reco__no_memory(err);
    }
    if (status == RECO_OK) {
        *out = texts;
        *out_count = count;
    }
    return status;
}
