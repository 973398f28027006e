/* learn/canonical.c - the cell with names instead of numbers: what is hashed and what a snapshot holds.
 *
 * Numbers are given by each store in its own order, so two stores that learned the same differ in every stored cell. The canonical form has the
 * names, and plain values in place of columns and differences: every field of the cell stands in it once, and two cells are equal exactly when these
 * bytes are. Version 1:
 *
 *   u8      version   1
 *   zigzag  last
 *   u64     session hash, little-endian; 0: none
 *   varint  session   touches of the running session
 *   varint  touches   then of each, newest first: string item, zigzag weight, zigzag time
 *   varint  hidden    then of each, oldest first: string item
 *   varint  ids       then of each, oldest first: u64 hash, zigzag effective time
 *
 * A string is a varint length and its bytes; varints are LEB128 in their shortest form, so that no cell has two forms. An empty cell is no bytes.
 * Order is that of the lists, which is learned, not that of names. Whoever stores these bytes guards them with a checksum of its own. */
#include "learn/cell.h"

enum { VERSION = 1, NAME_MAX_SIZE = 256 };

static reco_status add_name(reco__buf *out, uint32_t item, reco__cell_name name, void *context) {
    reco_str text = {NULL, 0};
    reco_status status = name(context, item, &text);
    if (status == RECO_OK)
        reco__buf_str(out, text.data, text.size);
    return status;
}

static reco_status add_lists(reco__buf *out, const reco__cell *cell, reco__cell_name name, void *context) {
    reco_status status = RECO_OK;
    reco__buf_varint(out, cell->touch_count);
    for (uint32_t i = 0; i < cell->touch_count && status == RECO_OK; i++) {
        status = add_name(out, cell->touches[i].item, name, context);
        reco__buf_zigzag(out, cell->touches[i].weight);
        reco__buf_zigzag(out, cell->touches[i].t);
    }
    reco__buf_varint(out, cell->hidden_count);
    for (uint32_t i = 0; i < cell->hidden_count && status == RECO_OK; i++)
        status = add_name(out, cell->hidden[i], name, context);
    reco__buf_varint(out, cell->id_count);
    for (uint32_t i = 0; i < cell->id_count; i++) {
        reco__buf_u64(out, cell->ids[i].hash);
        reco__buf_zigzag(out, cell->ids[i].r);
    }
    return status;
}

reco_status reco__cell_to_canonical(reco__buf *out, const reco__cell *cell, reco__cell_name name, void *context, reco_error *err) {
    size_t before = out->size;
    if (cell->last == 0)
        return reco__buf_status(out, err);
    reco__buf_byte(out, VERSION);
    reco__buf_zigzag(out, cell->last);
    reco__buf_u64(out, cell->session_hash);
    reco__buf_varint(out, cell->session_count);
    reco_status status = add_lists(out, cell, name, context);
    if (status != RECO_OK) {
        out->size = before;
        return reco__fail(err, status, "item", "an item of a cell has no name");
    }
    return reco__buf_status(out, err);
}

/* --- back -------------------------------------------------------------------------------------------------------------------------------- */

/* What reading goes on with: the first failure of the caller's function or of memory sticks in `status`, damage in the reader. */
typedef struct parse {
    reco__reader reader;
    reco__cell_number number;
    void *context;
    reco_status status;
} parse;

static bool going(const parse *in) { return in->status == RECO_OK && !in->reader.bad; }

static uint32_t take_item(parse *in) {
    uint32_t item = 0;
    reco_str name = reco__read_str(&in->reader);
    if (name.size < 1 || name.size > NAME_MAX_SIZE)
        in->reader.bad = true;
    if (going(in))
        in->status = in->number(in->context, name, &item);
    return item;
}

/* A count of things of `least` bytes or more each, not more than there can be. */
static uint32_t take_count(parse *in, size_t least) {
    uint64_t count = reco__read_varint(&in->reader);
    if (count > RECO__CELL_LIST_MAX || count * least > (size_t)(in->reader.end - in->reader.at))
        in->reader.bad = true;
    return going(in) ? (uint32_t)count : 0;
}

static void take_touches(reco__cell *cell, parse *in) {
    uint32_t count = take_count(in, 4);
    if (!reco__cell_room_touches(cell, count))
        in->status = RECO_NO_MEMORY;
    for (uint32_t i = 0; i < count && going(in); i++) {
        cell->touches[i].item = take_item(in);
        int64_t weight = reco__read_zigzag(&in->reader);
        cell->touches[i].weight = (int32_t)weight;
        cell->touches[i].t = reco__read_zigzag(&in->reader);
        if (weight < INT32_MIN || weight > INT32_MAX)
            in->reader.bad = true;
    }
    cell->touch_count = count;
}

static void take_rest(reco__cell *cell, parse *in) {
    uint32_t count = take_count(in, 2);
    if (!reco__cell_room_hidden(cell, count))
        in->status = RECO_NO_MEMORY;
    for (uint32_t i = 0; i < count && going(in); i++)
        cell->hidden[i] = take_item(in);
    cell->hidden_count = count;
    count = take_count(in, 9);
    if (!reco__cell_room_ids(cell, count))
        in->status = RECO_NO_MEMORY;
    for (uint32_t i = 0; i < count && going(in); i++) {
        cell->ids[i].hash = reco__read_u64(&in->reader);
        cell->ids[i].r = reco__read_zigzag(&in->reader);
    }
    cell->id_count = count;
}

static void take_cell(reco__cell *cell, parse *in) {
    reco__read_u8(&in->reader); /* the version */
    cell->last = reco__read_zigzag(&in->reader);
    cell->session_hash = reco__read_u64(&in->reader);
    uint64_t session = reco__read_varint(&in->reader);
    take_touches(cell, in);
    take_rest(cell, in);
    if (cell->last <= 0 || session > cell->touch_count || in->reader.at != in->reader.end)
        in->reader.bad = true;
    cell->session_count = (uint32_t)session;
}

static reco_status parse_failure(const parse *in, size_t size, reco_error *err) {
    if (in->status == RECO_NO_MEMORY)
        return reco__no_memory(err);
    if (in->status != RECO_OK)
        return reco__fail(err, in->status, "item", "an item of a canonical cell gets no number");
    return reco__fail(err, RECO_CORRUPT, "cell", "canonical cell of %zu bytes is truncated or damaged", size);
}

reco_status reco__cell_from_canonical(reco__cell *cell, const void *data, size_t size, reco__cell_number number, void *context, reco_error *err) {
    parse in = {reco__reader_of(data, size), number, context, RECO_OK};
    reco__cell_clear(cell);
    if (size == 0)
        return RECO_OK;
    uint8_t version = *in.reader.at;
    if (version > VERSION)
        return reco__fail(err, RECO_NEWER, "cell", "canonical cell has version %u, this library reads %u", version, VERSION);
    if (version == VERSION)
        take_cell(cell, &in);
    else
        in.reader.bad = true;
    if (going(&in))
        return RECO_OK;
    reco__cell_clear(cell);
    return parse_failure(&in, size, err);
}
