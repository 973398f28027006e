/* bench/names.c - ids from a file, one a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"

#define FILE_MAX (256u << 20)
#define ID_MAX 256u

void bench_names_dispose(bench_names *names) {
    free(names->text);
    free(names->list);
    *names = (bench_names){0};
}

static reco_status read_all(bench_names *out, size_t *size, const char *path, reco_error *err) {
    FILE *file = fopen(path, "re");
    size_t room = 0, got = 1;
    *size = 0;
    if (!file)
        return options_fail(err, errno == ENOENT ? RECO_NOT_FOUND : RECO_IO, path, "cannot read: %s", strerror(errno));
    while (got > 0 && *size <= FILE_MAX) {
        if (room - *size < 65536) {
            room = room ? room * 2 : 131072;
            char *text = realloc(out->text, room);
            if (!text)
                break;
            out->text = text;
        }
        got = fread(out->text + *size, 1, 65535, file);
        *size += got;
    }
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed)
        return options_fail(err, RECO_IO, path, "cannot read: %s", strerror(failed));
    if (*size > FILE_MAX)
        return options_fail(err, RECO_TOO_LARGE, path, "larger than %u MiB", FILE_MAX >> 20);
    return got == 0 ? RECO_OK : options_no_memory(err);
}

/* Takes the next line off *at: without its end, and without the CR of other systems. */
static reco_str next_line(char **at, char *end) {
    char *begin = *at, *stop = memchr(begin, '\n', (size_t)(end - begin));
    *at = stop ? stop + 1 : end;
    stop = stop ? stop : end;
    if (stop > begin && stop[-1] == '\r')
        stop--;
    return (reco_str){begin, (size_t)(stop - begin)};
}

static reco_status split(bench_names *out, size_t size, const char *path, reco_error *err) {
    size_t lines = 1, number = 0;
    char *at = out->text, *end = out->text + size;
    for (size_t i = 0; i < size; i++)
        lines += out->text[i] == '\n';
    out->list = malloc(lines * sizeof *out->list);
    if (!out->list)
        return options_no_memory(err);
    while (at < end) {
        reco_str line = next_line(&at, end);
        number++;
        if (line.size == 0)
            continue;
        if (line.size > ID_MAX || memchr(line.data, 0, line.size) || !http_text_is_utf8(line.data, line.size))
            return options_fail(err, RECO_INVALID, path, "line %zu is no id: 1 to %u bytes of UTF-8", number, ID_MAX);
        out->list[out->count++] = line;
    }
    return out->count ? RECO_OK : options_fail(err, RECO_INVALID, path, "has no line");
}

reco_status bench_names_read(bench_names *out, const char *path, reco_error *err) {
    size_t size;
    reco_status status = read_all(out, &size, path, err);
    if (status == RECO_OK)
        status = split(out, size, path, err);
    if (status != RECO_OK)
        bench_names_dispose(out);
    return status;
}
