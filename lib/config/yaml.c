/* config/yaml.c - settings from YAML: nested maps whose names, joined by dots, are the names of settings.
 *
 * The text is read twice over: first all pairs of name and value are collected, with their lines, then they are applied to a copy, a preset first;
 * only when all went well does the copy replace the settings. Lists, anchors, tags and several documents have no meaning here and are errors: a
 * setting that is silently not read is worse than a refused file. */
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "config/table.h"

enum { NAME_ROOM = 160, DEPTH_MAX = 4, PAIRS_MAX = 1000, FILE_MAX = 1 << 20 };

typedef struct pair {
    char name[NAME_ROOM];
    char *value; /* in the arena */
    size_t line;
    bool empty; /* nothing was given */
} pair;

typedef struct reading {
    yaml_parser_t parser;
    reco__arena arena;
    pair *pairs;
    size_t count, capacity;
} reading;

static reco_status fail_line(const yaml_mark_t *mark, reco_error *err, const char *what) {
    return reco__fail(err, RECO_INVALID, NULL, "line %zu: %s", mark->line + 1, what);
}

static reco_status next(yaml_event_t *event, reading *in, reco_error *err) {
    if (yaml_parser_parse(&in->parser, event))
        return RECO_OK;
    if (in->parser.error == YAML_MEMORY_ERROR)
        return reco__no_memory(err);
    return fail_line(&in->parser.problem_mark, err, in->parser.problem ? in->parser.problem : "is not YAML");
}

/* Appends a part to a dotted name; false when it does not fit. */
static bool join(char name[NAME_ROOM], size_t *size, const yaml_event_t *event) {
    size_t part = event->data.scalar.length;
    if (*size + part + 2 > NAME_ROOM || memchr(event->data.scalar.value, 0, part))
        return false;
    if (*size > 0)
        name[(*size)++] = '.';
    memcpy(name + *size, event->data.scalar.value, part);
    *size += part;
    name[*size] = '\0';
    return true;
}

static bool make_room(reading *in) {
    if (in->count < in->capacity)
        return true;
    size_t capacity = in->capacity ? in->capacity * 2 : 16;
    pair *pairs = reco__realloc_array(in->pairs, capacity, sizeof *pairs);
    if (!pairs)
        return false;
    in->pairs = pairs;
    in->capacity = capacity;
    return true;
}

static reco_status add_pair(reading *in, const char *name, const yaml_event_t *event, reco_error *err) {
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    const char *text = (const char *)event->data.scalar.value;
    if (in->count == PAIRS_MAX)
        return fail_line(&event->start_mark, err, "more settings than there can be");
    if (memchr(text, 0, event->data.scalar.length))
        return fail_line(&event->start_mark, err, "a value holds a zero byte");
    for (size_t i = 0; i < in->count; i++)
        if (strcmp(in->pairs[i].name, name) == 0)
            return reco__fail(err, RECO_INVALID, name, "line %zu: \"%.80s\" is set twice, first in line %zu", event->start_mark.line + 1, name,
                              in->pairs[i].line);
    if (!make_room(in))
        return reco__no_memory(err);
    pair *added = &in->pairs[in->count];
    memcpy(added->name, name, strlen(name) + 1);
    added->line = event->start_mark.line + 1;
    added->value = reco__arena_string(&in->arena, text, event->data.scalar.length);
    added->empty = false;
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(nothing[i], text) == 0)
            added->empty = true;
    if (!added->value)
        return reco__no_memory(err);
    in->count++;
    return RECO_OK;
}

static reco_status read_map(reading *in, const char *prefix, int depth, reco_error *err);

static reco_status read_value(reading *in, const char *name, int depth, reco_error *err) {
    yaml_event_t event;
    reco_status status = next(&event, in, err);
    if (status != RECO_OK)
        return status;
    if (event.type == YAML_SCALAR_EVENT)
        status = add_pair(in, name, &event, err);
    else if (event.type == YAML_MAPPING_START_EVENT && depth < DEPTH_MAX)
        status = read_map(in, name, depth + 1, err);
    else
        status =
            fail_line(&event.start_mark, err, event.type == YAML_SEQUENCE_START_EVENT ? "a list is not expected here" : "a value is expected here");
    yaml_event_delete(&event);
    return status;
}

/* After the beginning of a map: its pairs, up to its end. */
static reco_status read_map(reading *in, const char *prefix, int depth, reco_error *err) {
    for (;;) {
        yaml_event_t event;
        char name[NAME_ROOM] = "";
        size_t size = strlen(prefix);
        memcpy(name, prefix, size + 1);
        reco_status status = next(&event, in, err);
        if (status != RECO_OK)
            return status;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        if (!end && (event.type != YAML_SCALAR_EVENT || !join(name, &size, &event)))
            status = fail_line(&event.start_mark, err, "the name of a setting is expected here");
        yaml_event_delete(&event);
        if (status == RECO_OK && !end)
            status = read_value(in, name, depth, err);
        if (status != RECO_OK || end)
            return status;
    }
}

/* STREAM-START, then nothing or one document that is a map (or empty), then STREAM-END. */
static reco_status read_stream(reading *in, reco_error *err) {
    bool seen = false;
    for (;;) {
        yaml_event_t event;
        reco_status status = next(&event, in, err);
        if (status != RECO_OK)
            return status;
        yaml_event_type_t type = event.type;
        bool blank = type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
        if (type == YAML_DOCUMENT_START_EVENT && seen)
            status = fail_line(&event.start_mark, err, "a second document");
        else if (type == YAML_MAPPING_START_EVENT)
            status = read_map(in, "", 1, err);
        else if (type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT || (type == YAML_SCALAR_EVENT && !blank))
            status = fail_line(&event.start_mark, err, "a map of settings is expected");
        seen = seen || type == YAML_DOCUMENT_START_EVENT;
        yaml_event_delete(&event);
        if (status != RECO_OK || type == YAML_STREAM_END_EVENT)
            return status;
    }
}

/* The text of the setting's own error, after the line. */
static reco_status apply_pair(reco__settings *settings, const pair *given, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    const setting *row = reco__config_find(given->name);
    reco_status status;
    if (given->empty && row && row->kind != KIND_TEXT)
        status = reco__fail(&error, RECO_INVALID, given->name, "needs a value");
    else
        status = reco__settings_set(settings, given->name, given->empty ? "" : given->value, &error);
    if (status == RECO_OK)
        return RECO_OK;
    return reco__fail(err, status, error.field, "line %zu: %s: %s", given->line, given->name, error.text);
}

static reco_status apply(reco__settings *settings, const reading *in, reco_error *err) {
    for (int presets = 1; presets >= 0; presets--)
        for (size_t i = 0; i < in->count; i++) {
            if ((strcmp(in->pairs[i].name, "preset") == 0) != presets)
                continue;
            reco_status status = apply_pair(settings, &in->pairs[i], err);
            if (status != RECO_OK)
                return status;
        }
    return RECO_OK;
}

reco_status reco__settings_yaml(reco__settings *settings, const char *text, size_t size, reco_error *err) {
    if (size > FILE_MAX)
        return reco__fail(err, RECO_TOO_LARGE, NULL, "%zu bytes of settings, at most %d are allowed", size, FILE_MAX);
    reading in = {.count = 0};
    reco__settings *copy = reco__alloc(sizeof *copy);
    reco_status status = copy && yaml_parser_initialize(&in.parser) ? RECO_OK : reco__no_memory(err);
    if (status == RECO_OK) {
        yaml_parser_set_input_string(&in.parser, (const unsigned char *)text, size);
        yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
        status = read_stream(&in, err);
        yaml_parser_delete(&in.parser);
    }
    if (status == RECO_OK) {
        *copy = *settings;
        status = apply(copy, &in, err);
    }
    if (status == RECO_OK)
        *settings = *copy;
    reco__arena_dispose(&in.arena);
    reco__release(in.pairs);
    reco__release(copy);
    return status;
}

static reco_status read_file(reco__buf *out, FILE *file, const char *path, reco_error *err) {
    size_t got;
    do {
        if (!reco__buf_reserve(out, 4096))
            return reco__buf_status(out, err);
        got = fread(out->data + out->size, 1, 4096, file);
        out->size += got;
    } while (got > 0 && out->size <= FILE_MAX);
    return ferror(file) ? reco__fail_errno(err, errno, path) : RECO_OK;
}

reco_status reco__settings_file(reco__settings *settings, const char *path, reco_error *err) {
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return reco__fail(err, RECO_NOT_FOUND, "config", "there is no file %.200s", path);
    if (!file)
        return reco__fail_errno(err, errno, path);
    reco__buf buf = {0};
    reco_error error = RECO_ERROR_INIT;
    reco_status status = read_file(&buf, file, path, err);
    fclose(file);
    if (status == RECO_OK) {
        status = reco__settings_yaml(settings, buf.data, buf.size, &error);
        if (status != RECO_OK)
            reco__fail(err, status, error.field, "%.100s: %s", path, error.text);
    }
    reco__buf_dispose(&buf);
    return status;
}
