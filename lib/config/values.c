/* config/values.c - text to the value of a setting and back. Independent of the locale. Nothing is changed unless the whole text is understood. */
#include <jansson.h>

#include "config/table.h"

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* Largest first: writing takes the first that divides. */
static const unit times[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const unit sizes[] = {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}, {NULL, 0}};

/* Digits at the beginning; NULL when there are none or too many. */
static const char *parse_digits(uint64_t *out, const char *text) {
    const char *at = text;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return NULL;
    *out = value;
    return at == text ? NULL : at;
}

static bool parse_unit(uint64_t *value, const char *name, const unit *units) {
    if (*name == '\0')
        return *value == 0; /* nothing is nothing in every unit */
    for (; units->name; units++)
        if (strcmp(units->name, name) == 0)
            return !__builtin_mul_overflow(*value, units->factor, value);
    return false;
}

/* A bound as it would be written in a file. */
void reco__config_write_bound(reco__buf *out, const setting *row, double bound) {
    union {
        uint32_t count;
        uint64_t large;
        int64_t duration;
        double real;
    } value;
    if (row->kind == KIND_COUNT)
        value.count = (uint32_t)bound;
    else if (row->kind == KIND_DURATION)
        value.duration = (int64_t)bound;
    else if (row->kind == KIND_REAL)
        value.real = bound;
    else
        value.large = (uint64_t)bound;
    reco__config_write(out, row, &value);
}

static reco_status fail_range(const setting *row, const char *text, reco_error *err) {
    char least[64] = "", most[64] = "";
    reco__buf buf = {0};
    const double bounds[] = {row->least, row->most};
    char *const texts[] = {least, most};
    for (int i = 0; i < 2; i++) {
        reco__buf_reset(&buf);
        reco__config_write_bound(&buf, row, bounds[i]);
        const char *written = reco__buf_cstr(&buf);
        if (written && buf.size < sizeof least)
            memcpy(texts[i], written, buf.size + 1);
    }
    reco__buf_dispose(&buf);
    return reco__fail(err, RECO_INVALID, row->name, "\"%.40s\" is not within %s and %s", text, least, most);
}

static reco_status parse_integer(void *at, const setting *row, const char *text, reco_error *err) {
    const unit *units = row->kind == KIND_DURATION ? times : row->kind == KIND_BYTES ? sizes : NULL;
    uint64_t value;
    const char *rest = parse_digits(&value, text);
    if (!rest || (units ? !parse_unit(&value, rest, units) : *rest != '\0'))
        return reco__fail(err, RECO_INVALID, row->name,
                          row->kind == KIND_DURATION ? "\"%.40s\" is not an integer with a unit: ms, s, m, h or d"
                          : units                    ? "\"%.40s\" is not an integer with a unit: B, KiB, MiB, GiB or TiB"
                                                     : "\"%.40s\" is not a whole number",
                          text);
    if ((double)value < row->least || (double)value > row->most)
        return fail_range(row, text, err);
    if (row->kind == KIND_COUNT) {
        uint32_t count = (uint32_t)value;
        memcpy(at, &count, sizeof count);
    } else {
        memcpy(at, &value, sizeof value);
    }
    return RECO_OK;
}

/* jansson reads numbers the same in every locale; a leading dot is a courtesy. */
static reco_status parse_real(void *at, const setting *row, const char *text, reco_error *err) {
    char number[64];
    size_t size = strlen(text), dot = *text == '.';
    json_t *json = NULL;
    if (size > 0 && size < sizeof number - 1) {
        number[0] = '0';
        memcpy(number + dot, text, size);
        json = json_loadb(number, size + dot, JSON_DECODE_ANY, NULL);
    }
    bool good = json_is_number(json);
    double value = good ? json_number_value(json) : 0;
    json_decref(json);
    if (!good)
        return reco__fail(err, RECO_INVALID, row->name, "\"%.40s\" is not a number", text);
    if (!(value >= row->least && value <= row->most))
        return fail_range(row, text, err);
    memcpy(at, &value, sizeof value);
    return RECO_OK;
}

static reco_status parse_switch(void *at, const setting *row, const char *text, reco_error *err) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], text) == 0) {
            uint32_t value = i & 1;
            memcpy(at, &value, sizeof value);
            return RECO_OK;
        }
    return reco__fail(err, RECO_INVALID, row->name, "\"%.40s\" is neither yes nor no", text);
}

static reco_status parse_choice(void *at, const setting *row, const char *text, reco_error *err) {
    char names[100] = "";
    size_t used = 0;
    for (const choice *item = row->choices; item->name; item++) {
        if (strcmp(item->name, text) == 0) {
            memcpy(at, &item->value, sizeof item->value);
            return RECO_OK;
        }
        size_t size = strlen(item->name);
        if (used + size + 3 < sizeof names) {
            memcpy(names + used, used ? ", " : "", used ? 2 : 0);
            used += used ? 2 : 0;
            memcpy(names + used, item->name, size + 1);
            used += size;
        }
    }
    return reco__fail(err, RECO_INVALID, row->name, "\"%.40s\" is none of %s", text, names);
}

static bool name_valid(const char *text) {
    return *text != '\0' && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")] == '\0';
}

/* Controls, what ends a line or a paragraph, and what is no character: none of them could be printed as YAML and read back. */
static bool is_control(const char *at) {
    const unsigned char *c = (const unsigned char *)at;
    if (c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
        return true;
    return (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) || (c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe);
}

static reco_status parse_text(void *at, const setting *row, const char *text, reco_error *err) {
    size_t size = strlen(text);
    if (size >= row->size)
        return reco__fail(err, RECO_INVALID, row->name, "%zu bytes, at most %d are allowed", size, row->size - 1);
    for (const char *c = text; *c; c++)
        if (is_control(c))
            return reco__fail(err, RECO_INVALID, row->name, "must not hold control characters");
    if (!reco__utf8_valid(text, size))
        return reco__fail(err, RECO_INVALID, row->name, "must be valid UTF-8");
    if (row->kind == KIND_NAME && !name_valid(text))
        return reco__fail(err, RECO_INVALID, row->name, "must be 1 to %d of the characters A-Z a-z 0-9 _ . -", row->size - 1);
    memset(at, 0, row->size); /* equal settings are equal bytes */
    memcpy(at, text, size);
    return RECO_OK;
}

reco_status reco__config_parse(void *at, const setting *row, const char *text, reco_error *err) {
    switch (row->kind) {
    case KIND_COUNT:
    case KIND_LARGE:
    case KIND_BYTES:
    case KIND_DURATION:
        return parse_integer(at, row, text, err);
    case KIND_REAL:
        return parse_real(at, row, text, err);
    case KIND_SWITCH:
        return parse_switch(at, row, text, err);
    case KIND_CHOICE:
        return parse_choice(at, row, text, err);
    default:
        return parse_text(at, row, text, err);
    }
}

static void write_units(reco__buf *out, uint64_t value, const unit *units) {
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    reco__json_int(out, (int64_t)(value / units->factor));
    reco__buf_text(out, units->name);
}

void reco__config_write(reco__buf *out, const setting *row, const void *at) {
    uint32_t count = 0;
    uint64_t large = 0;
    double real;
    if (row->kind == KIND_COUNT || row->kind == KIND_SWITCH || row->kind == KIND_CHOICE)
        memcpy(&count, at, sizeof count);
    else if (row->kind == KIND_LARGE || row->kind == KIND_BYTES || row->kind == KIND_DURATION)
        memcpy(&large, at, sizeof large);
    switch (row->kind) {
    case KIND_COUNT:
        reco__json_int(out, count);
        break;
    case KIND_LARGE:
        reco__json_int(out, (int64_t)large);
        break;
    case KIND_BYTES:
        write_units(out, large, sizes);
        break;
    case KIND_DURATION:
        write_units(out, large, times);
        break;
    case KIND_REAL:
        memcpy(&real, at, sizeof real);
        reco__json_double(out, real);
        break;
    case KIND_SWITCH:
        reco__buf_text(out, count ? "yes" : "no");
        break;
    case KIND_CHOICE:
        for (const choice *item = row->choices; item->name; item++)
            if (item->value == count)
                reco__buf_text(out, item->name);
        break;
    default:
        reco__buf_text(out, at);
    }
}
