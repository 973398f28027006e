/* model/event.c - events from outside: what is accepted, and how JSON becomes an event. The times of an event are held against the clock by ingest,
 * not here. */
#include "model/event.h"

#include <math.h>

#include "model/elements.h"

/* --- checks ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status check_text(reco_str text, size_t most, int32_t index, const char *field, reco_error *err) {
    if (text.size > most)
        return reco__fail_at(err, RECO_TOO_LARGE, index, field, "%zu bytes, at most %zu are allowed", text.size, most);
    if (text.size > 0 && (!text.data || !reco__utf8_valid(text.data, text.size)))
        return reco__fail_at(err, RECO_INVALID, index, field, "must be valid UTF-8 without U+0000");
    return RECO_OK;
}

static reco_status fail_type(reco_str type, int32_t index, const reco__event_type *types, size_t type_count, reco_error *err) {
    char known[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < type_count; i++) {
        size_t size = strlen(types[i].name);
        if (used + size + 8 > sizeof known) {
            memcpy(known + used, ", ...", 6);
            break;
        }
        if (i > 0) {
            memcpy(known + used, ", ", 2);
            used += 2;
        }
        memcpy(known + used, types[i].name, size + 1);
        used += size;
    }
    return reco__fail_at(err, RECO_INVALID, index, "event_type", "\"%.*s\" is not a known type; known are %s", reco__shown(type, 40), type.data,
                         known);
}

static reco_status check_type(reco_str type, int32_t index, const reco__event_type *types, size_t type_count, reco_error *err) {
    if (type.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "event_type", "is required");
    reco_status status = check_text(type, sizeof types->name - 1, index, "event_type", err);
    if (status != RECO_OK || !types)
        return status;
    for (size_t i = 0; i < type_count; i++)
        if (strlen(types[i].name) == type.size && memcmp(types[i].name, type.data, type.size) == 0)
            return RECO_OK;
    return fail_type(type, index, types, type_count, err);
}

static reco_status check_numbers(const reco_event *event, int32_t index, reco_error *err) {
    if (event->flags & ~RECO_EVENT_FLAGS)
        return reco__fail_at(err, RECO_INVALID, index, "flags", "unknown flags 0x%x", event->flags);
    if (event->timestamp < 0 || event->timestamp > RECO__TIME_MAX)
        return reco__fail_at(err, RECO_INVALID, index, "timestamp", "milliseconds must be within 0 and %lld (years 1970 to 9999)",
                             (long long)RECO__TIME_MAX);
    if ((event->flags & RECO_EVENT_HAS_VALUE) && !isfinite(event->value))
        return reco__fail_at(err, RECO_INVALID, index, "value", "must be a finite number");
    if ((event->flags & RECO_EVENT_UNDO) && event->event_id.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "event_id", "an undo needs the id of the event that it takes back");
    if ((event->flags & RECO_EVENT_HAS_POSITION) && (event->position < 1 || event->position > RECO__POSITION_MAX))
        return reco__fail_at(err, RECO_INVALID, index, "position", "must be an integer within 1 and %d", RECO__POSITION_MAX);
    return RECO_OK;
}

static reco_status check_strings(const reco_event *event, int32_t index, reco_error *err) {
    const struct {
        reco_str text;
        const char *field;
    } optional[] = {{event->session_id, "session_id"}, {event->event_id, "event_id"}, {event->recommendation_id, "recommendation_id"}};
    if (event->user_id.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "user_id", "is required");
    if (event->item_id.size == 0)
        return reco__fail_at(err, RECO_INVALID, index, "item_id", "is required");
    reco_status status = reco__check_id(event->user_id, index, "user_id", err);
    if (status == RECO_OK)
        status = reco__check_id(event->item_id, index, "item_id", err);
    for (size_t i = 0; i < sizeof optional / sizeof *optional && status == RECO_OK; i++)
        status = check_text(optional[i].text, RECO__ID_MAX, index, optional[i].field, err);
    return status;
}

/* All but the syntax of properties. */
static reco_status check(const reco_event *event, int32_t index, const reco__event_type *types, size_t type_count, reco_error *err) {
    reco_status status = check_strings(event, index, err);
    if (status == RECO_OK)
        status = check_type(event->event_type, index, types, type_count, err);
    if (status == RECO_OK)
        status = check_numbers(event, index, err);
    if (status == RECO_OK)
        status = check_text(event->properties, RECO__PROPERTIES_MAX, index, "properties", err);
    return status;
}

reco_status reco__event_check(const reco_event *event, int32_t index, const reco__event_type *types, size_t type_count, reco_error *err) {
    reco_status status = check(event, index, types, type_count, err);
    if (status == RECO_OK && event->properties.size > 0)
        status = reco__json_check_object(event->properties, RECO__PROPERTIES_MAX, index, "properties", err);
    return status;
}

/* --- JSON -------------------------------------------------------------------------------------------------------------------------------- */

static const char *const FIELDS[] = {"user_id",  "item_id",           "event_type", "timestamp",  "value", "session_id",
                                     "event_id", "recommendation_id", "position",   "properties", "undo",  NULL};

typedef struct parsing {
    reco__accepted accepted;
    reco__buf properties;
    const reco__event_type *types;
    size_t type_count;
} parsing;

/* Where a string field of the event is kept; NULL for other fields. */
static reco_str *string_field(reco_event *event, const char *name) {
    const struct {
        const char *name;
        reco_str *at;
    } fields[] = {{"user_id", &event->user_id},       {"item_id", &event->item_id},   {"event_type", &event->event_type},
                  {"session_id", &event->session_id}, {"event_id", &event->event_id}, {"recommendation_id", &event->recommendation_id}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].at;
    return NULL;
}

static reco_status set_value(reco_event *event, const json_t *value, int32_t index, reco_error *err) {
    if (!json_is_number(value))
        return reco__fail_at(err, RECO_INVALID, index, "value", "must be a number or null");
    event->value = json_number_value(value);
    event->flags |= RECO_EVENT_HAS_VALUE;
    return RECO_OK;
}

static reco_status set_position(reco_event *event, const json_t *value, int32_t index, reco_error *err) {
    json_int_t position = json_integer_value(value);
    if (!json_is_integer(value) || position < 1 || position > RECO__POSITION_MAX)
        return reco__fail_at(err, RECO_INVALID, index, "position", "must be an integer within 1 and %d", RECO__POSITION_MAX);
    event->position = (int32_t)position;
    event->flags |= RECO_EVENT_HAS_POSITION;
    return RECO_OK;
}

static reco_status set_undo(reco_event *event, const json_t *value, int32_t index, reco_error *err) {
    if (!json_is_boolean(value))
        return reco__fail_at(err, RECO_INVALID, index, "undo", "must be true or false");
    event->flags |= json_is_true(value) ? RECO_EVENT_UNDO : 0;
    return RECO_OK;
}

/* One member; null is the same as absent. */
static reco_status set_field(reco_event *event, json_t **properties, reco__arena *arena, const char *name, json_t *value, int32_t index,
                             reco_error *err) {
    if (json_is_null(value))
        return RECO_OK;
    reco_str *text = string_field(event, name);
    if (text)
        return reco__json_text(text, arena, value, index, name, err);
    if (strcmp(name, "timestamp") == 0)
        return reco__json_time(&event->timestamp, value, index, name, err);
    if (strcmp(name, "value") == 0)
        return set_value(event, value, index, err);
    if (strcmp(name, "position") == 0)
        return set_position(event, value, index, err);
    if (strcmp(name, "undo") == 0)
        return set_undo(event, value, index, err);
    if (strcmp(name, "properties") != 0)
        return RECO_OK;
    if (!json_is_object(value))
        return reco__fail_at(err, RECO_INVALID, index, "properties", "must be a JSON object");
    *properties = value;
    return RECO_OK;
}

static reco_status accept(void *context, const reco__element *element, reco_error *err) {
    parsing *state = context;
    reco_event event = {0};
    json_t *properties = NULL;
    const char *name;
    json_t *value;
    json_object_foreach(element->object, name, value) {
        reco_status status = set_field(&event, &properties, state->accepted.arena, name, value, element->index, err);
        if (status != RECO_OK)
            return status;
    }
    reco_status status = reco__element_bag(&event.properties, state->accepted.arena, &state->properties, element, "properties", properties, FIELDS,
                                           RECO__PROPERTIES_MAX, err);
    if (status == RECO_OK)
        status = check(&event, element->index, state->types, state->type_count, err);
    return status == RECO_OK ? reco__accepted_put(&state->accepted, &event, element->index, err) : status;
}

reco_status reco__events_parse(reco__event_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_events,
                               const reco__event_type *types, size_t type_count, reco_error *err) {
    memset(out, 0, sizeof *out);
    parsing state = {.accepted = {.arena = arena, .size = sizeof *out->events}, .types = types, .type_count = type_count};
    reco__rejects rejects = {.arena = arena};
    reco_status status = reco__elements_read(&out->total, &rejects, text, size, form, max_events, accept, &state, err);
    reco__buf_dispose(&state.properties);
    if (status != RECO_OK) {
        memset(out, 0, sizeof *out);
        return status;
    }
    out->events = state.accepted.items;
    out->index = state.accepted.index;
    out->count = state.accepted.count;
    out->errors = rejects.errors;
    out->error_count = rejects.count;
    return RECO_OK;
}
