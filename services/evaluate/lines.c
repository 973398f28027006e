#include "evaluate/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "evaluate/workers.h"
#include "http/options.h"
#include "http/text.h"

#define ID_MAX 256u /* bytes, as reco.h has it */
#define LINE_MAX_BYTES ((size_t)16 << 20)

reco_status evaluate_lines_open(evaluate_lines *out, const char *path, const reco_call *call, reco_error *err) {
    *out = (evaluate_lines){.path = path, .call = call};
    errno = 0;
    out->file = gzopen(path, "rbe");
    if (!out->file)
        return options_fail(err, errno == ENOENT ? RECO_NOT_FOUND : RECO_IO, path, "cannot open: %s", errno ? strerror(errno) : "no memory");
    gzbuffer(out->file, 1 << 17);
    return RECO_OK;
}

reco_status evaluate_lines_fail(const evaluate_lines *lines, reco_error *err, const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return options_fail(err, RECO_INVALID, lines->path, "line %llu: %s", (unsigned long long)lines->number, text);
}

static reco_status unreadable(evaluate_lines *lines, reco_error *err) {
    int code;
    const char *text = gzerror(lines->file, &code);
    return options_fail(err, RECO_IO, lines->path, "cannot read after line %llu: %s", (unsigned long long)lines->number,
                        code == Z_ERRNO ? strerror(errno)
                        : text && *text ? text
                                        : "the file is cut off");
}

/* The line without its end; *size 0 and *end at the end of the file. */
static reco_status read_line(size_t *size, bool *end, evaluate_lines *lines, reco_error *err) {
    *size = 0;
    for (;;) {
        if (lines->room - *size < 4096) {
            size_t room = lines->room ? lines->room * 2 : 8192;
            char *grown = room <= LINE_MAX_BYTES ? realloc(lines->text, room) : NULL;
            if (!grown)
                return options_fail(err, room > LINE_MAX_BYTES ? RECO_TOO_LARGE : RECO_NO_MEMORY, lines->path, "line %llu is too long",
                                    (unsigned long long)lines->number + 1);
            lines->text = grown;
            lines->room = room;
        }
        size_t asked = lines->room - *size;
        if (!gzgets(lines->file, lines->text + *size, (int)asked)) {
            int code;
            gzerror(lines->file, &code);
            if (code != Z_OK && code != Z_STREAM_END)
                return unreadable(lines, err);
            *end = *size == 0;
            return RECO_OK;
        }
        size_t more = strlen(lines->text + *size);
        *size += more;
        if (more > 0 && lines->text[*size - 1] == '\n') {
            *size -= *size > 1 && lines->text[*size - 2] == '\r' ? 2 : 1;
            return RECO_OK;
        }
        if (more + 1 < asked && !gzeof(lines->file))
            return options_fail(err, RECO_INVALID, lines->path, "line %llu holds a NUL byte", (unsigned long long)lines->number + 1);
    }
}

static void split(evaluate_lines *lines, size_t size) {
    const char *at = lines->text, *end = at + size;
    for (lines->column_count = 0; lines->column_count < EVALUATE_COLUMNS; at++) {
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        lines->columns[lines->column_count++] = (reco_str){at, (size_t)((tab ? tab : end) - at)};
        if (!tab)
            break;
        at = tab;
    }
}

reco_status evaluate_lines_check_id(const evaluate_lines *lines, size_t column, reco_error *err) {
    reco_str id = lines->columns[column];
    if (id.size > ID_MAX)
        return evaluate_lines_fail(lines, err, "column %zu has %zu bytes, an id has at most %u", column + 1, id.size, ID_MAX);
    return http_text_is_utf8(id.data, id.size) ? RECO_OK : evaluate_lines_fail(lines, err, "column %zu is not UTF-8", column + 1);
}

reco_status evaluate_lines_next(bool *end, evaluate_lines *lines, size_t least, reco_error *err) {
    size_t size;
    *end = false;
    do {
        reco_status status = lines->number % EVALUATE_LINES_CHECK == 0 ? evaluate_call_check(lines->call, err) : RECO_OK;
        if (status == RECO_OK)
            status = read_line(&size, end, lines, err);
        if (status != RECO_OK || *end)
            return status;
        lines->number++;
    } while (size == 0);
    split(lines, size);
    if (lines->column_count < least)
        return evaluate_lines_fail(lines, err, "%zu columns between tabs are expected", least);
    for (size_t i = 0; i < least && i < 2; i++)
        if (lines->columns[i].size == 0)
            return evaluate_lines_fail(lines, err, "column %zu is empty", i + 1);
    return RECO_OK;
}

void evaluate_lines_close(evaluate_lines *lines) {
    if (lines->file)
        gzclose(lines->file);
    free(lines->text);
    *lines = (evaluate_lines){0};
}
