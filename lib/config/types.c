/* config/types.c - event types: a map by name, each with a weight, hides, and min_value. */
#include "config/table.h"

static const setting hides_row = {"hides", KIND_SWITCH, 0, 0, 0, 0, 1, NULL, NULL, NULL};
static const setting min_value_row = {"min_value", KIND_REAL, 0, 0, 0, -1e300, 1e300, NULL, NULL, NULL};

enum { WEIGHT_MAX = 1000 };

typedef enum part { PART_WEIGHT, PART_HIDES, PART_MIN_VALUE, PART_UNKNOWN } part;

/* "view.weight" taken apart at its last dot. */
static part split(char type[64], const char *name) {
    const char *dot = strrchr(name, '.');
    size_t size = dot ? (size_t)(dot - name) : 0;
    if (size == 0 || size >= 64)
        return PART_UNKNOWN;
    memcpy(type, name, size);
    type[size] = '\0';
    if (type[strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
        return PART_UNKNOWN;
    static const char *const parts[] = {"weight", "hides", "min_value"};
    for (int i = 0; i < PART_UNKNOWN; i++)
        if (strcmp(parts[i], dot + 1) == 0)
            return (part)i;
    return PART_UNKNOWN;
}

static reco_status fail_name(const char *name, reco_error *err) {
    return reco__fail(err, RECO_INVALID, "event_types",
                      "\"%.80s\": expected a type of 1 to 63 characters A-Z a-z 0-9 _ - and its weight, hides or min_value", name);
}

static reco_status set_weight(reco__event_type *type, const char *name, const char *value, reco_error *err) {
    int32_t weight = 0;
    bool minus = *value == '-';
    const char *at = value + minus;
    for (; *at >= '0' && *at <= '9' && weight <= WEIGHT_MAX; at++)
        weight = weight * 10 + (*at - '0');
    if (at == value + minus || *at != '\0' || weight > WEIGHT_MAX)
        return reco__fail(err, RECO_INVALID, "event_types", "%.80s: \"%.40s\" is not a whole number within -%d and %d", name, value, WEIGHT_MAX,
                          WEIGHT_MAX);
    type->weight = minus ? -weight : weight;
    return RECO_OK;
}

static reco_status set_hides(reco__event_type *type, const char *name, const char *value, reco_error *err) {
    uint32_t hides;
    if (reco__config_parse(&hides, &hides_row, value, NULL) != RECO_OK)
        return reco__fail(err, RECO_INVALID, "event_types", "%.80s: \"%.40s\" is neither yes nor no", name, value);
    type->flags = hides ? type->flags | RECO__TYPE_HIDES : type->flags & ~RECO__TYPE_HIDES;
    return RECO_OK;
}

static reco_status set_min_value(reco__event_type *type, const char *name, const char *value, reco_error *err) {
    if (strcmp(value, "none") == 0) {
        type->flags &= ~RECO__TYPE_MIN_VALUE;
        type->min_value = 0;
        return RECO_OK;
    }
    if (reco__config_parse(&type->min_value, &min_value_row, value, NULL) != RECO_OK)
        return reco__fail(err, RECO_INVALID, "event_types", "%.80s: \"%.40s\" is neither a number nor none", name, value);
    type->flags |= RECO__TYPE_MIN_VALUE;
    return RECO_OK;
}

static const reco__event_type *find(const reco__settings *settings, const char *name) {
    for (uint32_t i = 0; i < settings->type_count; i++)
        if (strcmp(settings->types[i].name, name) == 0)
            return &settings->types[i];
    return NULL;
}

reco_status reco__config_set_type(reco__settings *settings, const char *name, const char *value, reco_error *err) {
    reco__event_type type = {0};
    part which = split(type.name, name);
    if (which == PART_UNKNOWN)
        return fail_name(name, err);
    const reco__event_type *known = find(settings, type.name);
    uint32_t index = known ? (uint32_t)(known - settings->types) : settings->type_count;
    if (known)
        type = *known;
    else if (index == RECO__EVENT_TYPES_MAX)
        return reco__fail(err, RECO_INVALID, "event_types", "%.80s: there are %u event types, more are not possible", name, RECO__EVENT_TYPES_MAX);
    reco_status status = which == PART_WEIGHT  ? set_weight(&type, name, value, err)
                         : which == PART_HIDES ? set_hides(&type, name, value, err)
                                               : set_min_value(&type, name, value, err);
    if (status != RECO_OK)
        return status;
    settings->types[index] = type;
    settings->type_count += known ? 0 : 1;
    return RECO_OK;
}

reco_status reco__config_get_type(reco__buf *out, const reco__settings *settings, const char *name, reco_error *err) {
    char type_name[64];
    part which = split(type_name, name);
    if (which == PART_UNKNOWN)
        return fail_name(name, err);
    const reco__event_type *type = find(settings, type_name);
    if (!type)
        return reco__fail(err, RECO_INVALID, "event_types", "there is no event type \"%s\"", type_name);
    if (which == PART_WEIGHT)
        reco__json_int(out, type->weight);
    else if (which == PART_HIDES)
        reco__buf_text(out, type->flags & RECO__TYPE_HIDES ? "yes" : "no");
    else if (type->flags & RECO__TYPE_MIN_VALUE)
        reco__json_double(out, type->min_value);
    else
        reco__buf_text(out, "none");
    return RECO_OK;
}
