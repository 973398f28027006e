#include "http/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/options.h"

#define FIRST_ROOM 65536u

reco_status http_file_open(FILE **out, const char *path, reco_error *err) {
    *out = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    return *out ? RECO_OK : options_fail(err, errno == ENOENT ? RECO_NOT_FOUND : RECO_IO, path, "cannot open: %s", strerror(errno));
}

void http_file_close(FILE *file) {
    if (file != stdin)
        fclose(file);
}

/* *data is to be freed whatever happens. */
static reco_status read_all(char **data, size_t *used, FILE *file, const char *path, size_t most, reco_error *err) {
    for (size_t room = FIRST_ROOM;; room *= 2) {
        char *grown = realloc(*data, room);
        if (!grown)
            return options_no_memory(err);
        *data = grown;
        *used += fread(*data + *used, 1, room - 1 - *used, file);
        if (ferror(file))
            return options_fail(err, RECO_IO, path, "cannot read: %s", strerror(errno));
        if (*used > most)
            return options_fail(err, RECO_TOO_LARGE, path, "larger than %zu bytes", most);
        if (*used < room - 1)
            return RECO_OK;
    }
}

reco_status http_file_read(char **text, size_t *size, const char *path, size_t most, reco_error *err) {
    FILE *file;
    char *data = NULL;
    size_t used = 0;
    reco_status status = http_file_open(&file, path, err);
    if (status != RECO_OK)
        return status;
    status = read_all(&data, &used, file, path, most, err);
    http_file_close(file);
    if (status != RECO_OK) {
        free(data);
        return status;
    }
    data[used] = 0;
    *text = data;
    *size = used;
    return RECO_OK;
}
