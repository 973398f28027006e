/* engine/import_read.c - reading history from files; see import_read.h. */
#include "engine/import_read.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COLUMN_MAX 64u
#define NUMBER_MAX 63u

static const char *const column_names[RECO__COLUMN_COUNT] = {"user_id", "item_id", "event_type", "timestamp", "value", "session_id", "event_id"};

/* --- files -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status file_slurp(reco__import_file *file, FILE *from, reco_error *err) {
    struct stat info;
    if (fstat(fileno(from), &info) != 0)
        return reco__fail_errno(err, errno, file->path);
    if (!S_ISREG(info.st_mode))
        return reco__fail(err, RECO_INVALID, "path", "%s is not a file", file->path);
    file->text = reco__alloc((size_t)info.st_size + 1);
    if (!file->text)
        return reco__no_memory(err);
    file->size = fread(file->text, 1, (size_t)info.st_size, from);
    file->text[file->size] = 0;
    return ferror(from) ? reco__fail_errno(err, EIO, file->path) : RECO_OK;
}

/* Takes the next field of a csv line; quoted ones are unescaped into the arena. *rest is what follows, data NULL after the last. */
static reco_status csv_field(reco_str *field, reco_str *rest, reco__arena *arena, reco_error *err) {
    const char *at = rest->data, *end = at + rest->size;
    if (at < end && *at == '"') {
        char *to = reco__arena_alloc(arena, rest->size);
        if (!to)
            return reco__no_memory(err);
        *field = (reco_str){to, 0};
        for (at++; at < end && (*at != '"' || (at + 1 < end && at[1] == '"')); at++) {
            if (*at == '"')
                at++;
            to[field->size++] = *at;
        }
        if (at == end || (++at < end && *at != ','))
            return reco__fail(err, RECO_INVALID, "csv", "a quoted field is not closed");
    } else {
        const char *comma = memchr(at, ',', rest->size);
        *field = (reco_str){at, (size_t)((comma ? comma : end) - at)};
        at = comma ? comma : end;
    }
    *rest = at < end ? (reco_str){at + 1, (size_t)(end - at - 1)} : (reco_str){NULL, 0};
    return RECO_OK;
}

static reco_status csv_header(reco__import_file *file, reco_error *err) {
    reco_str line, field;
    reco__arena arena = {0};
    bool have[RECO__COLUMN_COUNT] = {false};
    if (!reco__import_line(&line, NULL, &file->first, file))
        return reco__fail(err, RECO_INVALID, "csv", "%s has no header line", file->path);
    if (line.size >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0)
        line = (reco_str){line.data + 3, line.size - 3};
    reco_status status = RECO_OK;
    while (status == RECO_OK && line.data) {
        status = csv_field(&field, &line, &arena, err);
        if (status == RECO_OK && file->column_count == COLUMN_MAX)
            status = reco__fail(err, RECO_TOO_LARGE, "csv", "%s has more than %u columns", file->path, COLUMN_MAX);
        if (status != RECO_OK)
            break;
        int column = -1;
        for (int i = 0; i < RECO__COLUMN_COUNT; i++)
            if (reco__str_equal(field, reco__str_of(column_names[i])))
                column = i;
        if (column >= 0 && have[column])
            status = reco__fail(err, RECO_INVALID, column_names[column], "%s has this column twice", file->path);
        if (column >= 0)
            have[column] = true;
        file->columns[file->column_count++] = column;
    }
    reco__arena_dispose(&arena);
    for (int i = 0; status == RECO_OK && i <= RECO__COLUMN_TIME; i++)
        if (!have[i])
            status = reco__fail(err, RECO_INVALID, column_names[i],
                                "%s has no such column; the header must name user_id, item_id, event_type, timestamp", file->path);
    return status;
}

reco_status reco__import_file_read(reco__import_file *file, const char *path, int format, reco_error *err) {
    memset(file, 0, sizeof *file);
    file->path = path;
    FILE *from = fopen(path, "rbe");
    if (!from)
        return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "path", "there is no file %s", path) : reco__fail_errno(err, errno, path);
    reco_status status = file_slurp(file, from, err);
    fclose(from);
    if (status == RECO_OK && format == RECO__IMPORT_CSV)
        status = csv_header(file, err);
    if (status != RECO_OK)
        reco__import_file_dispose(file);
    return status;
}

void reco__import_file_dispose(reco__import_file *file) {
    reco__release(file->text);
    file->text = NULL;
}

bool reco__import_line(reco_str *line, uint64_t *number, size_t *at, const reco__import_file *file) {
    while (*at < file->size) {
        const char *begin = file->text + *at, *end = memchr(begin, '\n', file->size - *at);
        size_t size = end ? (size_t)(end - begin) : file->size - *at;
        *at += size + 1;
        if (number)
            ++*number;
        if (size && begin[size - 1] == '\r')
            size--;
        *line = (reco_str){begin, size};
        if (size)
            return true;
    }
    return false;
}

/* --- fields ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_number(double *out, reco_str text, const char *field, reco_error *err) {
    char copy[NUMBER_MAX + 1], *end;
    if (text.size == 0 || text.size > NUMBER_MAX)
        return reco__fail(err, RECO_INVALID, field, "a number is expected");
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    char *point = strchr(copy, '.'), local = *nl_langinfo(RADIXCHAR);
    if (point && local) /* strtod reads the point of the host's locale */
        *point = local;
    *out = strtod(copy, &end);
    if (point)
        *point = '.';
    return *end || !isfinite(*out) ? reco__fail(err, RECO_INVALID, field, "a number is expected, not \"%s\"", copy) : RECO_OK;
}

static reco_status read_whole(int64_t *out, reco_str text, const char *field, reco_error *err) {
    int64_t value = 0;
    bool good = text.size > 0 && text.size < 18;
    for (size_t i = 0; good && i < text.size; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return good ? RECO_OK : reco__fail(err, RECO_INVALID, field, "a whole number is expected");
}

static reco_status set_column(reco_event *event, int column, reco_str value, reco_error *err) {
    switch (column) {
    case RECO__COLUMN_USER:
        event->user_id = value;
        return RECO_OK;
    case RECO__COLUMN_ITEM:
        event->item_id = value;
        return RECO_OK;
    case RECO__COLUMN_TYPE:
        event->event_type = value;
        return RECO_OK;
    case RECO__COLUMN_SESSION:
        event->session_id = value;
        return RECO_OK;
    case RECO__COLUMN_ID:
        event->event_id = value;
        return RECO_OK;
    case RECO__COLUMN_TIME:
        if (reco__time_parse(value.data, value.size, &event->timestamp))
            return RECO_OK;
        return read_whole(&event->timestamp, value, "timestamp", err);
    case RECO__COLUMN_VALUE:
        if (value.size == 0)
            return RECO_OK;
        event->flags |= RECO_EVENT_HAS_VALUE;
        return read_number(&event->value, value, "value", err);
    default:
        return RECO_OK;
    }
}

static reco_status parse_csv(reco_event *event, const reco__import_file *file, reco_str line, reco__arena *arena, reco_error *err) {
    uint32_t column = 0;
    reco_status status = RECO_OK;
    while (status == RECO_OK && line.data) {
        reco_str field;
        status = csv_field(&field, &line, arena, err);
        if (status == RECO_OK && column == file->column_count)
            status = reco__fail(err, RECO_INVALID, "csv", "more fields than the header names");
        if (status == RECO_OK)
            status = set_column(event, file->columns[column++], field, err);
    }
    if (status == RECO_OK && column < file->column_count)
        status = reco__fail(err, RECO_INVALID, "csv", "%u fields where the header names %u", column, file->column_count);
    return status;
}

static reco_status parse_ndjson(reco_event *event, const reco__import_file *file, reco_str line, reco__arena *arena, reco_error *err) {
    reco__event_batch batch = {0};
    reco_status status = reco__events_parse(&batch, arena, line.data, line.size, RECO__JSON_AUTO, 1, file->types, file->type_count, err);
    if (status == RECO_OK && batch.error_count)
        return reco__fail_as(err, batch.errors);
    if (status == RECO_OK && batch.count != 1)
        return reco__fail(err, RECO_INVALID, "ndjson", "one object is expected");
    if (status == RECO_OK)
        *event = batch.events[0];
    return status;
}

/* u.data of MovieLens 100K: user, item, rating 1..5, seconds; separated by tabs. */
static reco_status parse_movielens(reco_event *event, reco_str line, reco_error *err) {
    reco_str fields[4];
    size_t count = 0;
    const char *at = line.data, *end = at + line.size;
    while (count < 4 && at <= end) {
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        fields[count++] = (reco_str){at, (size_t)((tab ? tab : end) - at)};
        at = tab ? tab + 1 : end + 1;
    }
    if (count < 4 || at <= end)
        return reco__fail(err, RECO_INVALID, "u.data", "four fields separated by tabs are expected");
    event->user_id = fields[0];
    event->item_id = fields[1];
    event->event_type = reco__str_of("rating");
    event->flags = RECO_EVENT_HAS_VALUE;
    reco_status status = read_number(&event->value, fields[2], "rating", err);
    if (status == RECO_OK)
        status = read_whole(&event->timestamp, fields[3], "timestamp", err);
    if (status == RECO_OK && event->timestamp > INT64_C(253402300799))
        return reco__fail(err, RECO_INVALID, "timestamp", "seconds are expected");
    event->timestamp *= 1000;
    return status;
}

reco_status reco__import_parse(reco_event *event, const reco__import_file *file, int format, reco_str line, reco__arena *arena, reco_error *err) {
    memset(event, 0, sizeof *event);
    reco_status status = format == RECO__IMPORT_CSV      ? parse_csv(event, file, line, arena, err)
                         : format == RECO__IMPORT_NDJSON ? parse_ndjson(event, file, line, arena, err)
                                                         : parse_movielens(event, line, err);
    if (status == RECO_OK && event->timestamp <= 0)
        status = reco__fail(err, RECO_INVALID, "timestamp", "it is required");
    return status == RECO_OK ? reco__event_check(event, -1, file->types, file->type_count, err) : status;
}
