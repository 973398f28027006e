/* http/encoding.c - gzip both ways, and the lists of headers that go with it.
 *
 * A body that comes in is unpacked piece by piece up to the same limit that holds for a plain one, so that a small one that unpacks to gigabytes
 * costs no more than the limit. An answer is packed at the fastest level: most of the gain, little of the time. */
#define ZLIB_CONST 1 /* next_in does not write */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "http/internal.h"

#define GZIP (15 + 16) /* zlib: the largest window, gzip around it */
#define PACK_FROM 1024 /* smaller ones gain nothing */

/* --- lists in headers ----------------------------------------------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *at) { return at + strspn(at, " \t"); }

/* ";q=0.5" and the like, in thousandths; 1000 when there is none, 0 when it cannot be read. */
static int quality(const char *parameters, size_t size) {
    const char *end = parameters + size;
    for (const char *at = parameters; at < end; at++) {
        if (*at != ';')
            continue;
        const char *name = skip_blanks(at + 1);
        if (end - name < 3 || (*name != 'q' && *name != 'Q') || name[1] != '=')
            continue;
        int value = name[2] == '1' ? 1000 : 0, unit = 100;
        if (end - name > 3 && name[3] == '.' && !value)
            for (const char *digit = name + 4; digit < end && *digit >= '0' && *digit <= '9'; digit++, unit /= 10)
                value += (*digit - '0') * unit;
        return value;
    }
    return 1000;
}

/* What one element of Accept-Encoding says of gzip, of everything else, and of no encoding; -1: nothing was said. */
typedef struct accepted {
    int gzip, any, identity;
} accepted;

static void accept_element(accepted *out, const char *element, size_t size) {
    size_t name = 0;
    while (name < size && element[name] != ';' && element[name] != ' ' && element[name] != '\t')
        name++;
    int q = quality(element + name, size - name);
    if ((name == 4 && strncasecmp(element, "gzip", 4) == 0) || (name == 6 && strncasecmp(element, "x-gzip", 6) == 0))
        out->gzip = q;
    else if (name == 8 && strncasecmp(element, "identity", 8) == 0)
        out->identity = q;
    else if (name == 1 && *element == '*')
        out->any = q;
}

void http_header_list(const http_request *request, const char *name, void (*take)(void *context, const char *element, size_t size), void *context) {
    const struct mg_request_info *info = request->info;
    for (int i = 0; i < info->num_headers; i++) {
        if (strcasecmp(info->http_headers[i].name, name) != 0)
            continue;
        for (const char *at = skip_blanks(info->http_headers[i].value); *at; at = skip_blanks(at)) {
            size_t size = strcspn(at, ",");
            size_t used = size;
            while (used && (at[used - 1] == ' ' || at[used - 1] == '\t'))
                used--;
            if (used)
                take(context, at, used);
            at += size + (at[size] == ',');
        }
    }
}

static void accept_one(void *context, const char *element, size_t size) { accept_element(context, element, size); }

bool http_accepts_gzip(const http_request *request) {
    accepted said = {-1, -1, -1};
    http_header_list(request, "Accept-Encoding", accept_one, &said);
    int q = said.gzip >= 0 ? said.gzip : said.any;
    return q > 0 && q >= said.identity;
}

/* --- answers -------------------------------------------------------------------------------------------------------------------------------- */

bool http_gzip(const char *body, size_t size, char **packed, size_t *packed_size) {
    z_stream stream = {0};
    if (size < PACK_FROM || size > UINT32_MAX / 2 || deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t room = deflateBound(&stream, size);
    *packed = malloc(room);
    stream.next_in = (z_const Bytef *)body;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)*packed;
    stream.avail_out = (uInt)room;
    bool fine = *packed && deflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out < size;
    if (fine) {
        *packed_size = stream.total_out;
    } else {
        free(*packed);
        *packed = NULL;
    }
    deflateEnd(&stream);
    return fine;
}

/* --- bodies --------------------------------------------------------------------------------------------------------------------------------- */

int http_body_encoding(const http_request *request) {
    const char *encoding = NULL;
    int headers = 0;
    for (int i = 0; i < request->info->num_headers; i++)
        if (strcasecmp(request->info->http_headers[i].name, "Content-Encoding") == 0) {
            encoding = request->info->http_headers[i].value;
            headers++;
        }
    if (!encoding || (headers == 1 && strcasecmp(encoding, "identity") == 0))
        return HTTP_PLAIN;
    return headers == 1 && (strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "x-gzip") == 0) ? HTTP_GZIPPED : HTTP_FOREIGN;
}

/* What has been unpacked so far. */
typedef struct unpacked {
    char *data;
    size_t size, room, most;
} unpacked;

/* Makes room for more; 0, or the status to answer with. */
static int grow(unpacked *out) {
    size_t room = out->room ? out->room * 2 : 65536;
    if (room > out->most + 1)
        room = out->most + 1; /* one byte more tells that there are too many */
    if (out->size == room)
        return 413;
    char *data = realloc(out->data, room + 1);
    if (!data)
        return 503;
    out->data = data;
    out->room = room;
    return 0;
}

/* All members of a gzip file, one behind the other. 200, 400, 413 or 503. */
static int inflate_all(z_stream *stream, unpacked *out) {
    for (;;) {
        if (out->size == out->room) {
            int status = grow(out);
            if (status)
                return status;
        }
        stream->next_out = (Bytef *)out->data + out->size;
        stream->avail_out = (uInt)(out->room - out->size);
        int code = inflate(stream, Z_NO_FLUSH);
        out->size = out->room - stream->avail_out;
        if (code == Z_MEM_ERROR)
            return 503;
        if (code == Z_STREAM_END && stream->avail_in == 0)
            return out->size > out->most ? 413 : 200;
        if (code == Z_STREAM_END && inflateReset(stream) == Z_OK)
            continue;
        if (code == Z_BUF_ERROR && stream->avail_out == 0)
            continue;
        if (code != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0))
            return 400;
    }
}

int http_gunzip(char **body, size_t *size, uint64_t most) {
    z_stream stream = {.next_in = (z_const Bytef *)*body, .avail_in = (uInt)*size};
    unpacked out = {.most = (size_t)most};
    if (inflateInit2(&stream, GZIP) != Z_OK)
        return 503;
    int status = inflate_all(&stream, &out);
    inflateEnd(&stream);
    if (status != 200) {
        free(out.data);
        return status;
    }
    free(*body);
    *body = out.data;
    *size = out.size;
    return 200;
}
