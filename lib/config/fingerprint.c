/* config/fingerprint.c - all that decides what is learned, as sorted lines "name=value\n". It is kept with what was learned; other settings would
 * teach something else from the same records, so opening with another fingerprint is refused, naming the first difference. Lines, not a hash: a
 * difference must be told in words, and a release that knows one setting more can tell which. */
#include <stdlib.h>

#include "config/table.h"

enum { LINE_MAX_SIZE = 192, LINES_MAX = 64 + RECO__EVENT_TYPES_MAX };

typedef struct lines {
    char line[LINES_MAX][LINE_MAX_SIZE];
    size_t count;
    reco_status failed;
} lines;

/* Takes what was written to buf as one line. */
static void take_line(lines *to, reco__buf *buf) {
    if (buf->failed != RECO_OK || buf->size >= LINE_MAX_SIZE || to->count == LINES_MAX) {
        to->failed = buf->failed != RECO_OK ? buf->failed : RECO_TOO_LARGE;
    } else {
        memcpy(to->line[to->count], buf->data, buf->size);
        to->line[to->count++][buf->size] = '\0';
    }
    reco__buf_reset(buf);
}

static void type_line(reco__buf *buf, const reco__event_type *type) {
    reco__buf_printf(buf, RECO__CONFIG_TYPES_PREFIX "%s=weight %d", type->name, type->weight);
    if (type->flags & RECO__TYPE_HIDES)
        reco__buf_text(buf, ", hides");
    if (type->flags & RECO__TYPE_MIN_VALUE) {
        reco__buf_text(buf, ", min_value ");
        reco__json_double(buf, type->min_value);
    }
}

/* By name, as the difference is looked for. */
static int compare(const void *a, const void *b) {
    const char *first = a, *second = b;
    return reco__str_compare((reco_str){first, strcspn(first, "=")}, (reco_str){second, strcspn(second, "=")});
}

void reco__settings_fingerprint(reco__buf *out, const reco__settings *settings, uint32_t partitions) {
    lines *all = reco__alloc(sizeof *all);
    reco__buf buf = {0};
    if (!all) {
        out->failed = RECO_NO_MEMORY;
        return;
    }
    all->count = 0;
    all->failed = RECO_OK;
    reco__buf_printf(&buf, "derivation=%u", RECO__DERIVATION_VERSION);
    take_line(all, &buf);
    reco__buf_printf(&buf, "partitions=%u", partitions);
    take_line(all, &buf);
    for (size_t i = 0; i < reco__config_count; i++) {
        const setting *row = &reco__config_table[i];
        if (!(row->flags & LEARNS))
            continue;
        reco__buf_printf(&buf, "%s=", row->name);
        reco__config_write(&buf, row, reco__config_read(settings, row));
        take_line(all, &buf);
    }
    for (uint32_t i = 0; i < settings->type_count; i++) {
        type_line(&buf, &settings->types[i]);
        take_line(all, &buf);
    }
    qsort(all->line, all->count, sizeof *all->line, compare);
    for (size_t i = 0; i < all->count; i++) {
        reco__buf_text(out, all->line[i]);
        reco__buf_byte(out, '\n');
    }
    if (all->failed != RECO_OK && out->failed == RECO_OK)
        out->failed = all->failed;
    reco__buf_dispose(&buf);
    reco__release(all);
}

typedef struct line {
    reco_str name, value;
} line;

/* The next "name=value"; false at the end. */
static bool next_line(line *out, reco_str *rest) {
    if (rest->size == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    const char *equals = memchr(rest->data, '=', size);
    size_t name = equals ? (size_t)(equals - rest->data) : size;
    out->name = (reco_str){rest->data, name};
    out->value = equals ? (reco_str){equals + 1, size - name - 1} : (reco_str){NULL, 0};
    size_t used = size + (end ? 1 : 0);
    *rest = (reco_str){rest->data + used, rest->size - used};
    return true;
}

static void tell(char *out, size_t room, reco_str name, reco_str stored, reco_str given) {
    static const reco_str none = {"nothing", 7};
    reco__buf buf = {0};
    if (!stored.data)
        stored = none;
    if (!given.data)
        given = none;
    reco__buf_add(&buf, name.data, name.size);
    reco__buf_text(&buf, ": stored ");
    reco__buf_add(&buf, stored.data, stored.size);
    reco__buf_text(&buf, ", given ");
    reco__buf_add(&buf, given.data, given.size);
    size_t size = buf.failed != RECO_OK ? 0 : buf.size < room ? buf.size : room - 1;
    if (size > 0)
        memcpy(out, buf.data, size);
    out[size] = '\0';
    reco__buf_dispose(&buf);
}

bool reco__fingerprint_difference(reco_str stored, reco_str given, char *out, size_t room) {
    static const reco_str nothing = {NULL, 0};
    out[0] = '\0';
    line a = {nothing, nothing}, b = {nothing, nothing};
    for (;;) {
        bool has_a = next_line(&a, &stored), has_b = next_line(&b, &given);
        if (!has_a && !has_b)
            return false;
        int order = !has_a ? 1 : !has_b ? -1 : reco__str_compare(a.name, b.name);
        if (order == 0 && reco__str_equal(a.value, b.value))
            continue;
        if (order == 0)
            tell(out, room, a.name, a.value, b.value);
        else
            tell(out, room, order < 0 ? a.name : b.name, order < 0 ? a.value : nothing, order < 0 ? nothing : b.value);
        return true;
    }
}
