/* learn/cell.c - a user's cell: memory, and the form it is stored in.
 *
 * A cell is read and written once for every event of a live stream, so its stored form is made for that: small, and decoded without a branch per
 * value. All lists of one kind of number are columns of equal width in bits; the width is what the largest value of this very cell needs, above the
 * smallest. A user of a catalogue of 50,000 items with 50 recents takes about 330 bytes; the older part of the history costs two bytes an item.
 *
 * Stored form, version 1, little-endian. An empty cell (`last` 0) is no bytes at all.
 *
 *   u8      version         1
 *   u8      flags           bit 0: session hash present
 *  [u64     session hash]
 *   varint  touches         length of the recency list
 *   varint  detailed        the first so many have weight and time; not more than touches
 *   varint  session         the first so many belong to the running session; not more than touches
 *   varint  hidden
 *   varint  ids
 *   column  item            of every touch, newest first
 *   column  weight          of the detailed touches, zigzag
 *   column  time            of the detailed touches: zigzag of (time of the touch before - its own), for the first (last - its own)
 *   column  pairs           of the touches beyond: 1, or 0 for those only seen
 *   column  hidden item     oldest first
 *   column  id time         of the event ids seen, oldest first: zigzag of (last - its effective time)
 *   u64     id hash         each
 *   i64     last
 *   u32     checksum        of everything before it
 *
 * A column of no values is nothing; otherwise varint base, u8 width in bits (0 to 56, or 64), and the values less the base, packed from the lowest
 * bit up, the last byte filled with zeros. Twelve bytes always follow the last column: eight bytes can be read from any byte of a column without
 * passing the end.
 *
 * `last` stands at a fixed place from the end so that a sweep can look at it alone. Which touches are detailed follows from the cell: all up to the
 * last one that has a time, or a weight other than 0 and 1. Decoding what was encoded therefore gives the same cell whatever the settings.
 *
 * The decoder checks the version, then the checksum, then every count against the bytes that are there. What it does not do: know the settings, judge
 * whether a list is longer than they allow, or look for an item that stands twice. */
#include "learn/cell.h"

enum { VERSION = 1, FLAG_SESSION = 1, FOOTER = 12, CHECKSUM = 4, WIDTH_MAX = 56 };
enum { HEADER_MAX = 2 + 8 + 5 * 10, COLUMN_MAX = 10 + 1 + 8, COLUMNS = 6 };

/* --- memory ------------------------------------------------------------------------------------------------------------------------------ */

void reco__cell_dispose(reco__cell *cell) {
    reco__release(cell->touches);
    reco__release(cell->hidden);
    reco__release(cell->ids);
    memset(cell, 0, sizeof *cell);
}

void reco__cell_clear(reco__cell *cell) {
    cell->last = 0;
    cell->session_hash = 0;
    cell->session_count = cell->touch_count = cell->hidden_count = cell->id_count = 0;
}

int64_t reco__cell_expires(const reco__cell *cell, const reco__learn_rules *rules) {
    int64_t at;
    return __builtin_add_overflow(cell->last, rules->lifetime, &at) ? INT64_MAX : at;
}

/* The array grown to `need` elements of `size` bytes or more, NULL when memory is out. */
static void *grow(void *array, uint32_t *room, uint32_t need, size_t size) {
    uint32_t more = *room < 16 ? 16 : *room;
    while (more < need)
        more *= 2;
    void *grown = reco__realloc_array(array, more, size);
    if (grown)
        *room = more;
    return grown;
}

bool reco__cell_room_touches(reco__cell *cell, uint32_t need) {
    if (need <= cell->touch_room)
        return true;
    reco__touch *touches = grow(cell->touches, &cell->touch_room, need, sizeof *touches);
    if (touches)
        cell->touches = touches;
    return touches != NULL;
}

bool reco__cell_room_hidden(reco__cell *cell, uint32_t need) {
    if (need <= cell->hidden_room)
        return true;
    uint32_t *hidden = grow(cell->hidden, &cell->hidden_room, need, sizeof *hidden);
    if (hidden)
        cell->hidden = hidden;
    return hidden != NULL;
}

bool reco__cell_room_ids(reco__cell *cell, uint32_t need) {
    if (need <= cell->id_room)
        return true;
    struct reco__seen_id *ids = grow(cell->ids, &cell->id_room, need, sizeof *ids);
    if (ids)
        cell->ids = ids;
    return ids != NULL;
}

/* --- columns ----------------------------------------------------------------------------------------------------------------------------- */

/* A column that is being read. */
typedef struct column {
    const uint8_t *bits;
    uint64_t base, mask;
    unsigned width;
} column;

static void read_column(column *out, reco__reader *reader, uint32_t count) {
    memset(out, 0, sizeof *out);
    out->bits = reader->at;
    if (count == 0)
        return;
    out->base = reco__read_varint(reader);
    out->width = reco__read_u8(reader);
    if (out->width > WIDTH_MAX && out->width != 64)
        reader->bad = true;
    out->mask = out->width == 64 ? UINT64_MAX : (UINT64_C(1) << (out->width & 63)) - 1;
    const uint8_t *bits = reco__read_bytes(reader, ((size_t)count * out->width + 7) / 8);
    if (bits)
        out->bits = bits;
}

/* Value i of a column that was read well: the eight bytes loaded end before the footer does. */
static inline uint64_t column_at(const column *from, uint32_t i) {
    uint64_t bit = (uint64_t)i * from->width, word;
    memcpy(&word, from->bits + (bit >> 3), sizeof word);
    return from->base + (word >> (bit & 7) & from->mask);
}

/* The columns of a cell, in their order. */
enum { ITEM, WEIGHT, TIME, PAIRS, HIDDEN, ID_TIME };

/* Value i of one of the cell's columns. `which` is a constant wherever this is called. */
static inline __attribute__((always_inline)) uint64_t cell_value(const reco__cell *cell, int which, uint32_t i) {
    switch (which) {
    case ITEM: return cell->touches[i].item;
    case WEIGHT: return reco__zigzag_encode(cell->touches[i].weight);
    case TIME: return reco__zigzag_encode((int64_t)((uint64_t)(i == 0 ? cell->last : cell->touches[i - 1].t) - (uint64_t)cell->touches[i].t));
    case PAIRS: return (uint64_t)cell->touches[i].weight;
    case HIDDEN: return cell->hidden[i];
    default: return reco__zigzag_encode((int64_t)((uint64_t)cell->last - (uint64_t)cell->ids[i].r));
    }
}

static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Values from..end-1 as a column. Whole words are written; the caller has room for one beyond. */
static inline __attribute__((always_inline)) uint8_t *put_column(uint8_t *at, const reco__cell *cell, int which, uint32_t from, uint32_t end) {
    if (from >= end)
        return at;
    uint64_t least = cell_value(cell, which, from), most = least;
    for (uint32_t i = from + 1; i < end; i++) {
        uint64_t value = cell_value(cell, which, i);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    unsigned width = most == least ? 0 : 64 - (unsigned)__builtin_clzll(most - least);
    width = width > WIDTH_MAX ? 64 : width;
    at = put_varint(at, least);
    *at++ = (uint8_t)width;
    if (width == 0)
        return at;
    uint64_t word = 0;
    unsigned filled = 0; /* bits of `word` not yet passed: below 8 before each value, so that one of 56 bits has room */
    for (uint32_t i = from; i < end && width <= WIDTH_MAX; i++) {
        word |= (cell_value(cell, which, i) - least) << filled;
        filled += width;
        memcpy(at, &word, sizeof word);
        at += filled >> 3;
        word >>= filled & ~7u;
        filled &= 7;
    }
    for (uint32_t i = from; i < end && width > WIDTH_MAX; i++, at += sizeof word) {
        word = cell_value(cell, which, i) - least;
        memcpy(at, &word, sizeof word);
    }
    return at + (filled > 0);
}

/* --- encode ------------------------------------------------------------------------------------------------------------------------------ */

static uint32_t detailed_count(const reco__cell *cell) {
    uint32_t count = cell->touch_count;
    while (count > 0 && cell->touches[count - 1].t == 0 && (uint32_t)cell->touches[count - 1].weight <= 1)
        count--;
    return count;
}

static uint8_t *put_header(uint8_t *at, const reco__cell *cell, uint32_t detailed) {
    *at++ = VERSION;
    *at++ = cell->session_hash != 0 ? FLAG_SESSION : 0;
    if (cell->session_hash != 0) {
        memcpy(at, &cell->session_hash, sizeof cell->session_hash);
        at += sizeof cell->session_hash;
    }
    at = put_varint(at, cell->touch_count);
    at = put_varint(at, detailed);
    at = put_varint(at, cell->session_count);
    at = put_varint(at, cell->hidden_count);
    return put_varint(at, cell->id_count);
}

static uint8_t *put_footer(uint8_t *at, const reco__cell *cell, const uint8_t *start) {
    memcpy(at, &cell->last, sizeof cell->last);
    at += sizeof cell->last;
    uint32_t checksum = reco__checksum(start, (size_t)(at - start));
    memcpy(at, &checksum, sizeof checksum);
    return at + sizeof checksum;
}

void reco__cell_encode(reco__buf *out, const reco__cell *cell) {
    if (cell->last == 0)
        return;
    size_t values = (size_t)cell->touch_count * 3 + cell->hidden_count + (size_t)cell->id_count * 2;
    if (!reco__buf_reserve(out, HEADER_MAX + COLUMNS * COLUMN_MAX + values * sizeof(uint64_t) + FOOTER))
        return;
    uint8_t *start = (uint8_t *)out->data + out->size;
    uint32_t detailed = detailed_count(cell);
    uint8_t *at = put_header(start, cell, detailed);
    at = put_column(at, cell, ITEM, 0, cell->touch_count);
    at = put_column(at, cell, WEIGHT, 0, detailed);
    at = put_column(at, cell, TIME, 0, detailed);
    at = put_column(at, cell, PAIRS, detailed, cell->touch_count);
    at = put_column(at, cell, HIDDEN, 0, cell->hidden_count);
    at = put_column(at, cell, ID_TIME, 0, cell->id_count);
    for (uint32_t i = 0; i < cell->id_count; i++, at += sizeof cell->ids[i].hash)
        memcpy(at, &cell->ids[i].hash, sizeof cell->ids[i].hash);
    out->size += (size_t)(put_footer(at, cell, start) - start);
}

/* --- decode ------------------------------------------------------------------------------------------------------------------------------ */

/* A stored cell that is being read: its lengths and columns. */
typedef struct stored {
    uint64_t touches, detailed, session, hidden, ids;
    column item, weight, time, pairs, hidden_item, id_time;
    const uint8_t *id_hash;
} stored;

static void read_counts(stored *in, reco__cell *cell, reco__reader *reader) {
    reco__read_u8(reader); /* the version */
    uint8_t flags = reco__read_u8(reader);
    if (flags & FLAG_SESSION)
        cell->session_hash = reco__read_u64(reader);
    in->touches = reco__read_varint(reader);
    in->detailed = reco__read_varint(reader);
    in->session = reco__read_varint(reader);
    in->hidden = reco__read_varint(reader);
    in->ids = reco__read_varint(reader);
    if (flags > FLAG_SESSION || in->touches > RECO__CELL_LIST_MAX || in->hidden > RECO__CELL_LIST_MAX || in->ids > RECO__CELL_LIST_MAX ||
        in->detailed > in->touches || in->session > in->touches)
        reader->bad = true;
}

/* False when the bytes are not what the counts say. */
static bool read_columns(stored *in, reco__reader *reader) {
    read_column(&in->item, reader, (uint32_t)in->touches);
    read_column(&in->weight, reader, (uint32_t)in->detailed);
    read_column(&in->time, reader, (uint32_t)in->detailed);
    read_column(&in->pairs, reader, (uint32_t)(in->touches - in->detailed));
    read_column(&in->hidden_item, reader, (uint32_t)in->hidden);
    read_column(&in->id_time, reader, (uint32_t)in->ids);
    in->id_hash = reco__read_bytes(reader, (size_t)in->ids * sizeof(uint64_t));
    return !reader->bad && (size_t)(reader->end - reader->at) == FOOTER;
}

/* The values; false when one is out of its range. */
static bool take_touches(reco__cell *cell, const stored *in) {
    uint32_t touches = (uint32_t)in->touches, detailed = (uint32_t)in->detailed;
    uint64_t wide = 0, t = (uint64_t)cell->last;
    for (uint32_t i = 0; i < touches; i++) {
        uint64_t value = column_at(&in->item, i);
        cell->touches[i].item = (uint32_t)value;
        wide |= value >> 32;
    }
    for (uint32_t i = 0; i < detailed; i++) {
        uint64_t value = column_at(&in->weight, i);
        cell->touches[i].weight = (int32_t)reco__zigzag_decode(value);
        wide |= value >> 32;
    }
    for (uint32_t i = 0; i < detailed; i++) {
        t -= (uint64_t)reco__zigzag_decode(column_at(&in->time, i));
        cell->touches[i].t = (int64_t)t;
    }
    for (uint32_t i = detailed; i < touches; i++) {
        uint64_t value = column_at(&in->pairs, i - detailed);
        cell->touches[i].weight = (int32_t)(value & 1);
        cell->touches[i].t = 0;
        wide |= value >> 1;
    }
    return wide == 0;
}

static bool take_rest(reco__cell *cell, const stored *in) {
    uint64_t wide = 0;
    for (uint32_t i = 0; i < in->hidden; i++) {
        uint64_t value = column_at(&in->hidden_item, i);
        cell->hidden[i] = (uint32_t)value;
        wide |= value >> 32;
    }
    for (uint32_t i = 0; i < in->ids; i++) {
        memcpy(&cell->ids[i].hash, in->id_hash + (size_t)i * sizeof(uint64_t), sizeof(uint64_t));
        cell->ids[i].r = (int64_t)((uint64_t)cell->last - (uint64_t)reco__zigzag_decode(column_at(&in->id_time, i)));
    }
    return wide == 0;
}

static reco_status check_frame(const uint8_t *bytes, size_t size, reco_error *err) {
    if (bytes[0] > VERSION)
        return reco__fail(err, RECO_NEWER, "cell", "cell has version %u, this library reads %u", bytes[0], VERSION);
    if (bytes[0] < VERSION || size <= FOOTER)
        return reco__fail(err, RECO_CORRUPT, "cell", "cell of %zu bytes is truncated or damaged", size);
    uint32_t checksum;
    memcpy(&checksum, bytes + size - CHECKSUM, sizeof checksum);
    if (checksum != reco__checksum(bytes, size - CHECKSUM))
        return reco__fail(err, RECO_CORRUPT, "cell", "cell of %zu bytes has a wrong checksum", size);
    return RECO_OK;
}

static reco_status decode(reco__cell *cell, const uint8_t *bytes, size_t size, reco_error *err) {
    reco_status status = check_frame(bytes, size, err);
    if (status != RECO_OK)
        return status;
    stored in;
    reco__reader reader = reco__reader_of(bytes, size);
    memcpy(&cell->last, bytes + size - FOOTER, sizeof cell->last);
    read_counts(&in, cell, &reader);
    if (cell->last <= 0 || reader.bad || !read_columns(&in, &reader))
        return reco__fail(err, RECO_CORRUPT, "cell", "cell of %zu bytes is malformed", size);
    /* One more than there is: the next event adds one. */
    if (!reco__cell_room_touches(cell, (uint32_t)in.touches + 1) || !reco__cell_room_hidden(cell, (uint32_t)in.hidden) ||
        !reco__cell_room_ids(cell, (uint32_t)in.ids + 1))
        return reco__no_memory(err);
    if (!take_touches(cell, &in) || !take_rest(cell, &in))
        return reco__fail(err, RECO_CORRUPT, "cell", "cell of %zu bytes holds a number out of range", size);
    cell->touch_count = (uint32_t)in.touches;
    cell->session_count = (uint32_t)in.session;
    cell->hidden_count = (uint32_t)in.hidden;
    cell->id_count = (uint32_t)in.ids;
    return RECO_OK;
}

reco_status reco__cell_decode(reco__cell *cell, const void *data, size_t size, reco_error *err) {
    reco__cell_clear(cell);
    if (size == 0)
        return RECO_OK;
    reco_status status = decode(cell, data, size, err);
    if (status != RECO_OK)
        reco__cell_clear(cell);
    return status;
}
