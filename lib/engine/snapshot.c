/* engine/snapshot.c - writing the canonical form of what is learned.
 *
 * In two steps, so that the read transaction is short: the state is walked once into an unlinked scratch file, in the store's order and with its
 * numbers, while the numbers in use are marked; then, without the transaction, names are sorted and the scratch file is rewritten generation by
 * generation in canonical order. At most the rows of one generation are held in memory. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/hashing.h"
#include "engine/snapshot_file.h"

typedef struct row_place {
    uint32_t item; /* canonical index + 1 */
    uint32_t size;
    size_t at; /* in `rows` */
} row_place;

typedef struct writer {
    reco_engine *engine;
    FILE *raw, *file;
    reco_features_info info;
    reco_position positions[RECO_PARTITIONS_MAX];
    uint32_t *index;  /* by number: 1 when used, later canonical index + 1 */
    uint32_t *sorted; /* numbers in order of their names */
    uint32_t used, index_room;
    reco__state_hash hash;
    reco__buf scratch, canonical, frame, payload;
    reco__cell cell;
    reco__buf rows; /* of the generation being gathered, packed canonically */
    row_place *places;
    size_t place_count, place_room;
    uint32_t board;
    int64_t generation;
    reco_entry *entries;
    size_t entry_room;
    uint64_t bytes;
    bool cells_begun;
} writer;

/* --- step one: walk into the scratch file -------------------------------------------------------------------------------------------------- */

static bool mark(writer *to, uint32_t number) {
    if (number >= to->index_room)
        return false;
    to->index[number] = 1;
    return true;
}

static reco_status spill_begin(void *context, const reco_features_info *info, const reco_position *positions, reco_error *err) {
    writer *to = context;
    to->info = *info;
    memcpy(to->positions, positions, to->engine->partitions * sizeof *positions);
    to->index_room = info->item_count ? info->item_count : 1;
    to->index = reco__zalloc(to->index_room * sizeof *to->index);
    to->sorted = reco__alloc_array(to->index_room, sizeof *to->sorted);
    reco__state_hash_clocks(&to->hash, positions, to->engine->partitions);
    return to->index && to->sorted ? RECO_OK : reco__no_memory(err);
}

static reco_status spill_row(void *context, const reco__row *row, reco_error *err) {
    writer *to = context;
    reco_status status = reco__state_hash_row(&to->hash, &to->scratch, to->engine->features, row, err);
    bool known = row->board != RECO_BOARD_COVIEW || mark(to, row->item);
    for (size_t i = 0; i < row->count; i++)
        known = mark(to, row->entries[i].member) && known;
    if (status == RECO_OK && !known)
        status = reco__fail(err, RECO_CORRUPT, "item", "a row names an item number beyond the table of names");
    if (status != RECO_OK)
        return status;
    reco__buf_byte(&to->frame, (uint8_t)row->board);
    reco__buf_u64(&to->frame, (uint64_t)row->generation);
    reco__buf_u32(&to->frame, row->item);
    reco__buf_u32(&to->frame, (uint32_t)row->count);
    if (reco__buf_reserve(&to->frame, row->count * RECO_PACKED_ENTRY_MAX))
        to->frame.size += reco_board_pack((uint8_t *)to->frame.data + to->frame.size, row->entries, row->count);
    return to->frame.size < RECO__FRAME_SOFT ? reco__buf_status(&to->frame, err) : reco__frame_write(to->raw, RECO__FRAME_ROWS, &to->frame, err);
}

static reco_status spill_name(void *context, uint32_t number, reco_str *name) {
    writer *to = context;
    uint64_t unused;
    return mark(to, number) ? reco__features_item_name(name, &unused, to->engine->features, number) : RECO_CORRUPT;
}

static reco_status spill_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at, reco_error *err) {
    writer *to = context;
    reco_status status = RECO_OK;
    if (!to->cells_begun) { /* the last frame of rows */
        status = reco__frame_write(to->raw, RECO__FRAME_ROWS, &to->frame, err);
        to->cells_begun = true;
    }
    if (status == RECO_OK)
        status = reco__cell_decode(&to->cell, data, size, err);
    if (status == RECO_OK)
        status = reco__cell_check_expiry(&to->cell, &to->engine->rules, user, expires_at, err);
    reco__buf_reset(&to->canonical);
    if (status == RECO_OK)
        status = reco__cell_to_canonical(&to->canonical, &to->cell, spill_name, to, err);
    if (status == RECO_OK)
        status = reco__buf_status(&to->canonical, err);
    if (status != RECO_OK)
        return status;
    reco__state_hash_cell(&to->hash, &to->scratch, user, to->canonical.data, to->canonical.size);
    if (to->scratch.failed)
        return reco__buf_status(&to->scratch, err);
    reco__buf_varint(&to->frame, partition);
    reco__buf_str(&to->frame, user.data, user.size);
    reco__buf_str(&to->frame, to->canonical.data, to->canonical.size);
    return to->frame.size < RECO__FRAME_SOFT ? reco__buf_status(&to->frame, err) : reco__frame_write(to->raw, RECO__FRAME_CELLS, &to->frame, err);
}

static reco_status spill(writer *to, const reco_call *call, reco_error *err) {
    reco__state_walker walker = {to, spill_begin, spill_row, spill_cell, NULL};
    reco_status status = reco__state_walk(to->engine->features, &to->engine->rules, to->engine->partitions, &walker, call, err);
    if (status == RECO_OK)
        status = reco__frame_write(to->raw, to->cells_begun ? RECO__FRAME_CELLS : RECO__FRAME_ROWS, &to->frame, err);
    if (status == RECO_OK && (fflush(to->raw) != 0 || fseek(to->raw, 0, SEEK_SET) != 0))
        status = reco__fail_errno(err, errno, "writing the snapshot");
    return status;
}

/* --- step two: canonical order --------------------------------------------------------------------------------------------------------------- */

static int name_order(const void *a, const void *b, void *context) {
    reco__features *features = context;
    reco_str left = {NULL, 0}, right = {NULL, 0};
    uint64_t unused;
    (void)reco__features_item_name(&left, &unused, features, *(const uint32_t *)a);
    (void)reco__features_item_name(&right, &unused, features, *(const uint32_t *)b);
    return reco__str_compare(left, right);
}

static reco_status write_names(writer *to, reco_error *err) {
    reco_status status = RECO_OK;
    for (uint32_t number = 0; number < to->index_room; number++)
        if (to->index[number])
            to->sorted[to->used++] = number;
    qsort_r(to->sorted, to->used, sizeof *to->sorted, name_order, to->engine->features);
    for (uint32_t i = 0; status == RECO_OK && i < to->used; i++) {
        reco_str name;
        uint64_t unused;
        to->index[to->sorted[i]] = i + 1;
        status = reco__features_item_name(&name, &unused, to->engine->features, to->sorted[i]);
        reco__buf_str(&to->frame, name.data, name.size);
        if (status == RECO_OK && to->frame.size >= RECO__FRAME_SOFT)
            status = reco__frame_write(to->file, RECO__FRAME_NAMES, &to->frame, err);
    }
    return status == RECO_OK ? reco__frame_write(to->file, RECO__FRAME_NAMES, &to->frame, err) : status;
}

static int entry_order(const void *a, const void *b) {
    uint32_t left = ((const reco_entry *)a)->member, right = ((const reco_entry *)b)->member;
    return left < right ? -1 : left > right;
}

static int place_order(const void *a, const void *b) {
    uint32_t left = ((const row_place *)a)->item, right = ((const row_place *)b)->item;
    return left < right ? -1 : left > right;
}

/* Writes the gathered generation in order of items. */
static reco_status write_generation(writer *to, reco_error *err) {
    reco_status status = reco__buf_status(&to->rows, err);
    if (to->place_count)
        qsort(to->places, to->place_count, sizeof *to->places, place_order);
    for (size_t i = 0; status == RECO_OK && i < to->place_count; i++) {
        reco__buf_varint(&to->frame, to->board);
        reco__buf_zigzag(&to->frame, to->generation);
        reco__buf_varint(&to->frame, to->places[i].item);
        reco__buf_add(&to->frame, to->rows.data + to->places[i].at, to->places[i].size);
        if (to->frame.size >= RECO__FRAME_SOFT)
            status = reco__frame_write(to->file, RECO__FRAME_ROWS, &to->frame, err);
    }
    to->place_count = 0;
    reco__buf_reset(&to->rows);
    return status == RECO_OK ? reco__buf_status(&to->frame, err) : status;
}

static reco_status gather_room(writer *to, size_t entries, reco_error *err) {
    if (entries > to->entry_room) {
        reco_entry *grown = reco__realloc_array(to->entries, entries * 2, sizeof *grown);
        if (!grown)
            return reco__no_memory(err);
        to->entries = grown;
        to->entry_room = entries * 2;
    }
    if (to->place_count == to->place_room) {
        size_t room = to->place_room ? to->place_room * 2 : 1024;
        row_place *grown = reco__realloc_array(to->places, room, sizeof *grown);
        if (!grown)
            return reco__no_memory(err);
        to->places = grown;
        to->place_room = room;
    }
    return RECO_OK;
}

/* One row of the scratch file, renamed and packed into `rows`. */
static reco_status gather_row(writer *to, reco__reader *reader, reco_error *err) {
    uint32_t board = reco__read_u8(reader);
    int64_t generation = (int64_t)reco__read_u64(reader);
    uint32_t item = reco__read_u32(reader), count = reco__read_u32(reader);
    reco_status status = RECO_OK;
    if (to->place_count && (board != to->board || generation != to->generation))
        status = write_generation(to, err);
    if (status == RECO_OK)
        status = gather_room(to, count, err);
    if (status != RECO_OK)
        return status;
    to->board = board;
    to->generation = generation;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t member = reco__read_u32(reader);
        int64_t sum = reco__read_zigzag(reader);
        if (reader->bad || member >= to->index_room)
            return reco__fail(err, RECO_CORRUPT, "snapshot", "the scratch file is damaged");
        to->entries[i] = (reco_entry){.member = to->index[member] - 1, .sum = sum};
    }
    qsort(to->entries, count, sizeof *to->entries, entry_order);
    row_place place = {.item = board == RECO_BOARD_COVIEW ? to->index[item] : 0, .at = to->rows.size};
    reco__buf_varint(&to->rows, count);
    for (uint32_t i = 0, before = 0; i < count; i++) {
        reco__buf_varint(&to->rows, to->entries[i].member - before);
        reco__buf_zigzag(&to->rows, to->entries[i].sum);
        before = to->entries[i].member;
    }
    place.size = (uint32_t)(to->rows.size - place.at);
    to->places[to->place_count++] = place;
    return RECO_OK;
}

static reco_status write_raw_rows(writer *to, reco_error *err) {
    reco__reader reader = reco__reader_of(to->payload.data, to->payload.size);
    reco_status status = RECO_OK;
    while (status == RECO_OK && reader.at < reader.end)
        status = gather_row(to, &reader, err);
    return status;
}

static reco_status write_body(writer *to, reco_error *err) {
    uint8_t kind = 0;
    bool rows = true;
    for (;;) {
        reco_status status = reco__frame_read(&kind, to->raw, &to->payload, err);
        if (status != RECO_OK && status != RECO_NOT_FOUND)
            return status;
        bool end = status == RECO_NOT_FOUND;
        status = RECO_OK;
        if (rows && (end || kind == RECO__FRAME_CELLS)) {
            rows = false;
            status = write_generation(to, err);
            if (status == RECO_OK)
                status = reco__frame_write(to->file, RECO__FRAME_ROWS, &to->frame, err);
        }
        if (status != RECO_OK || end)
            return status;
        status = kind == RECO__FRAME_ROWS ? write_raw_rows(to, err) : reco__frame_write(to->file, RECO__FRAME_CELLS, &to->payload, err);
        if (status != RECO_OK)
            return status;
    }
}

static reco_status write_head(writer *to, reco_error *err) {
    reco_engine *engine = to->engine;
    reco__buf_add(&to->frame, reco__stream_id(engine->stream), 16);
    reco__buf_u64(&to->frame, to->info.epoch);
    reco__buf_varint(&to->frame, engine->partitions);
    for (uint32_t p = 0; p < engine->partitions; p++) {
        reco__buf_zigzag(&to->frame, to->positions[p].offset);
        reco__buf_zigzag(&to->frame, to->positions[p].clock);
    }
    reco__buf_str(&to->frame, engine->fingerprint.data, engine->fingerprint.size);
    return reco__frame_write(to->file, RECO__FRAME_HEAD, &to->frame, err);
}

static reco_status write_end(writer *to, reco_error *err) {
    reco__u128 total = reco__state_hash_total(&to->hash);
    reco__buf_u64(&to->frame, to->hash.rows);
    reco__buf_u64(&to->frame, to->hash.entries);
    reco__buf_u64(&to->frame, to->hash.cells);
    reco__buf_u64(&to->frame, total.high);
    reco__buf_u64(&to->frame, total.low);
    return reco__frame_write(to->file, RECO__FRAME_END, &to->frame, err);
}

static reco_status write_file(writer *to, reco_error *err) {
    reco_status status = reco__frames_begin(to->file, err);
    if (status == RECO_OK)
        status = write_head(to, err);
    if (status == RECO_OK)
        status = write_names(to, err);
    if (status == RECO_OK)
        status = write_body(to, err);
    if (status == RECO_OK)
        status = write_end(to, err);
    if (status == RECO_OK && fflush(to->file) != 0)
        status = reco__fail_errno(err, errno, "writing the snapshot");
    long size = status == RECO_OK ? ftell(to->file) : 0;
    to->bytes = size > 0 ? (uint64_t)size : 0;
    return status;
}

static void writer_dispose(writer *to) {
    if (to->raw)
        fclose(to->raw);
    if (to->file)
        fclose(to->file);
    reco__release(to->index);
    reco__release(to->sorted);
    reco__release(to->places);
    reco__release(to->entries);
    reco__buf_dispose(&to->scratch);
    reco__buf_dispose(&to->canonical);
    reco__buf_dispose(&to->frame);
    reco__buf_dispose(&to->payload);
    reco__buf_dispose(&to->rows);
    reco__cell_dispose(&to->cell);
}

/* Creates `path`.NNN.tmp for reading and writing; `unlinked` at once. */
static FILE *temporary(reco__buf *name, const char *path, bool unlinked, reco_error *err) {
    reco__buf_reset(name);
    reco__buf_printf(name, "%s.XXXXXX", path);
    if (!reco__buf_cstr(name)) {
        reco__no_memory(err);
        return NULL;
    }
    int fd = mkostemp(name->data, O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+b");
    if (!file) {
        reco__fail_errno(err, errno, path);
        if (fd >= 0) {
            close(fd);
            unlink(name->data);
        }
        return NULL;
    }
    if (unlinked)
        unlink(name->data);
    return file;
}

static reco_status snapshot_write(writer *to, reco__buf *name, const char *path, const reco_call *call, reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = RECO_OK;
    to->raw = temporary(name, path, true, &error);
    if (to->raw)
        status = spill(to, call, &error);
    if (to->raw && status == RECO_OK) {
        to->file = temporary(name, path, false, &error);
        if (to->file) {
            status = write_file(to, &error);
            if (status == RECO_OK && fsync(fileno(to->file)) != 0)
                status = reco__fail_errno(&error, errno, "writing the snapshot");
            if (status == RECO_OK && link(name->data, path) != 0) {
                int failed = errno;
                status = failed == EEXIST ? reco__fail(&error, RECO_CONFLICT, "path", "%s exists", path) : reco__fail_errno(&error, failed, path);
            }
            unlink(name->data);
        }
    }
    if (status == RECO_OK && (!to->raw || !to->file))
        status = (reco_status)error.status;
    if (status != RECO_OK && err)
        *err = error;
    return status;
}

static void result_fill(reco_snapshot_result *out, const writer *to) {
    *out = (reco_snapshot_result){out->struct_size, to->used, to->hash.rows, to->hash.entries, to->hash.cells, to->bytes, {0}};
    reco__state_hash_text(out->hash, &to->hash);
}

static reco_status spool(writer *to, FILE **out, reco__buf *name, const char *beside, const reco_call *call, reco_error *err) {
    to->raw = temporary(name, beside, true, err);
    if (!to->raw)
        return err->status ? (reco_status)err->status : RECO_IO;
    reco_status status = spill(to, call, err);
    if (status != RECO_OK)
        return status;
    to->file = temporary(name, beside, true, err);
    if (!to->file)
        return err->status ? (reco_status)err->status : RECO_IO;
    status = write_file(to, err);
    if (status == RECO_OK && fseek(to->file, 0, SEEK_SET) != 0)
        status = reco__fail_errno(err, errno, "writing the snapshot");
    if (status == RECO_OK) {
        *out = to->file;
        to->file = NULL;
    }
    return status;
}

reco_status reco__snapshot_spool(FILE **out, reco_snapshot_result *result, reco_position *positions, reco_engine *engine, const char *beside,
                                 const reco_call *call, reco_error *err) {
    writer to = {.engine = engine};
    reco__buf name = {.limit = 8192};
    reco_error error = RECO_ERROR_INIT;
    reco_status status;
    uint32_t tries = 0;
    do {
        writer_dispose(&to);
        to = (writer){.engine = engine};
        error = (reco_error)RECO_ERROR_INIT;
        status = spool(&to, out, &name, beside, call, &error);
    } while (reco__state_again(&tries, status, &error, call));
    if (status == RECO_OK) {
        result_fill(result, &to);
        memcpy(positions, to.positions, engine->partitions * sizeof *positions);
    } else if (err) {
        *err = error;
    }
    writer_dispose(&to);
    reco__buf_dispose(&name);
    return status;
}

reco_status reco_snapshot(reco_snapshot_result *out, reco_engine *engine, const char *path, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && (!path || !path[0]))
        status = reco__fail(err, RECO_INVALID, "path", "a file name is needed");
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && access(path, F_OK) == 0)
        status = reco__fail(err, RECO_CONFLICT, "path", "%s exists", path);
    if (status != RECO_OK)
        return status;
    writer to = {.engine = engine};
    reco__buf name = {.limit = 8192};
    reco_error error;
    uint32_t tries = 0;
    do {
        writer_dispose(&to);
        to = (writer){.engine = engine};
        reco__buf_reset(&name);
        error = (reco_error)RECO_ERROR_INIT;
        status = snapshot_write(&to, &name, path, call, &error);
    } while (reco__state_again(&tries, status, &error, call));
    if (status != RECO_OK && err)
        *err = error;
    if (status == RECO_OK && out)
        result_fill(out, &to);
    writer_dispose(&to);
    reco__buf_dispose(&name);
    return status;
}
