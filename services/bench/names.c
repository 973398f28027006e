/* bench/names.c - ids from a file, one a line. */
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "http/file.h"

#define FILE_MAX (256u << 20)
#define ID_MAX 256u

void bench_names_dispose(bench_names *names) {
    free(names->text);
    free(names->list);
    *names = (bench_names){0};
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
    reco_status status = http_file_read(&out->text, &size, path, FILE_MAX, err);
    if (status == RECO_OK)
        status = split(out, size, path, err);
    if (status != RECO_OK)
        bench_names_dispose(out);
    return status;
}
