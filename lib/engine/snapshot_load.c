/* engine/snapshot_load.c - loading a snapshot into a features store. Every byte of the file is checked; a file that turns out damaged leaves the
 * store marked as being restored, which empties it at the next open. */
#include "engine/engine.h"

#include <errno.h>

#include "config/settings.h"
#include "engine/hashing.h"
#include "engine/snapshot_file.h"

#define PIECE_ENTRIES 200000u
#define PIECE_CELLS 5000u

typedef struct loader {
    reco__features *features;
    reco__features *names_of; /* gives items their numbers */
    const reco__learn_rules *rules;
    reco_str fingerprint;
    const uint8_t *stream_id;
    uint32_t partitions;
    const reco_call *call;
    FILE *file;
    reco__buf payload;
    reco_position positions[RECO_PARTITIONS_MAX];
    uint32_t *numbers; /* by canonical index */
    size_t number_count, number_room;
    reco__adds *adds;
    size_t add_count;
    /* cells of the piece under way */
    reco__buf cell_bytes, users;
    reco_cell_put *cells;
    uint32_t *cell_partitions;
    size_t *user_at;
    size_t cell_count;
    reco__cell cell;
    reco__map names; /* name -> canonical index */
    reco__u128 hash; /* as the file states it */
    bool begun;
    /* A part of it: names and rows of popularity, or names and cells. The hash is that of more and proves nothing then. */
    bool popular_only, cells_only;
} loader;

static reco_status damaged(reco_error *err) { return reco__fail(err, RECO_CORRUPT, "snapshot", "the content of the snapshot is damaged"); }

static reco_status restore(loader *from, uint32_t flags, reco_error *err) {
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = flags | (from->begun ? 0 : RECO_RESTORE_FIRST)};
    size_t rows;
    reco_status status = reco__adds_finish(&piece.groups, &piece.group_count, &rows, from->adds, err);
    if (status == RECO_OK)
        status = reco__buf_status(&from->cell_bytes, err);
    if (status == RECO_OK)
        status = reco__buf_status(&from->users, err);
    if (status != RECO_OK)
        return status;
    const char *bytes = from->cell_bytes.data;
    for (size_t i = 0; i < from->cell_count; i++) {
        from->cells[i].data = bytes;
        bytes += from->cells[i].size;
        from->cells[i].user.data = from->users.data + from->user_at[i];
    }
    piece.cells = from->cells;
    piece.cell_partitions = from->cell_partitions;
    piece.cell_count = from->cell_count;
    piece.positions = flags & RECO_RESTORE_LAST ? from->positions : NULL;
    status = reco__features_restore(from->features, &piece, from->call, err);
    from->begun = true;
    reco__adds_reset(from->adds);
    from->add_count = 0;
    reco__buf_reset(&from->cell_bytes);
    reco__buf_reset(&from->users);
    from->cell_count = 0;
    return status;
}

static reco_status load_head(loader *from, reco__reader reader, reco_error *err) {
    char difference[200];
    const uint8_t *id = reco__read_bytes(&reader, 16);
    reco__read_u64(&reader);
    uint64_t partitions = reco__read_varint(&reader);
    if (reader.bad || partitions == 0 || partitions > RECO_PARTITIONS_MAX)
        return damaged(err);
    if (memcmp(id, from->stream_id, 16) != 0)
        return reco__fail(err, RECO_REFUSED, "snapshot", "it was taken of another stream");
    if (partitions != from->partitions)
        return reco__fail(err, RECO_REFUSED, "partitions", "the snapshot has %llu, the stream %u", (unsigned long long)partitions, from->partitions);
    for (uint32_t p = 0; p < from->partitions; p++) {
        from->positions[p].offset = reco__read_zigzag(&reader);
        from->positions[p].clock = reco__read_zigzag(&reader);
        if (from->positions[p].offset < 0 || from->positions[p].clock < 0)
            return damaged(err);
    }
    reco_str fingerprint = reco__read_str(&reader);
    if (reader.bad || reader.at != reader.end)
        return damaged(err);
    if (reco__fingerprint_difference(fingerprint, from->fingerprint, difference, sizeof difference))
        return reco__fail(err, RECO_REFUSED, "snapshot", "settings of learning differ: %s", difference);
    return RECO_OK;
}

reco_status reco__snapshot_positions(reco_position *positions, const char *path, reco_str fingerprint, const uint8_t stream_id[16],
                                     uint32_t partitions, reco_error *err) {
    loader from = {.fingerprint = fingerprint, .stream_id = stream_id, .partitions = partitions};
    uint8_t kind = 0;
    from.file = fopen(path, "rbe");
    if (!from.file)
        return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "snapshot", "there is no file %s", path) : reco__fail_errno(err, errno, path);
    reco_status status = reco__frames_open(from.file, err);
    if (status == RECO_OK)
        status = reco__frame_read(&kind, from.file, &from.payload, err);
    if (status == RECO_NOT_FOUND || (status == RECO_OK && kind != RECO__FRAME_HEAD))
        status = damaged(err);
    if (status == RECO_OK)
        status = load_head(&from, reco__reader_of(from.payload.data, from.payload.size), err);
    if (status == RECO_OK)
        memcpy(positions, from.positions, partitions * sizeof *positions);
    fclose(from.file);
    reco__buf_dispose(&from.payload);
    return status;
}

static reco_status load_names(loader *from, reco__reader reader, reco_error *err) {
    while (reader.at < reader.end) {
        reco_str name = reco__read_str(&reader);
        bool added = false;
        if (reader.bad || reco__check_id(name, -1, "item", NULL) != RECO_OK)
            return damaged(err);
        uint32_t index = reco__map_put(&from->names, name.data, name.size, &added);
        if (index == RECO__MAP_NONE)
            return reco__no_memory(err);
        if (!added)
            return damaged(err);
        if (from->number_count == from->number_room) {
            size_t room = from->number_room ? from->number_room * 2 : 1024;
            uint32_t *numbers = reco__realloc_array(from->numbers, room, sizeof *numbers);
            if (!numbers)
                return reco__no_memory(err);
            from->numbers = numbers;
            from->number_room = room;
        }
        reco_status status = reco__features_intern(&from->numbers[from->number_count], from->names_of, &name, 1, from->call, err);
        if (status != RECO_OK)
            return status;
        from->number_count++;
    }
    return RECO_OK;
}

static reco_status load_row(loader *from, reco__reader *reader, reco_error *err) {
    uint64_t board = reco__read_varint(reader);
    int64_t generation = reco__read_zigzag(reader);
    uint64_t item = reco__read_varint(reader), count = reco__read_varint(reader), index = 0;
    if (reader->bad || board >= RECO_BOARD_COUNT || generation < 0 || (board == RECO_BOARD_COVIEW) != (item > 0) || item > from->number_count)
        return damaged(err);
    uint32_t number = item ? from->numbers[item - 1] : 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t step = reco__read_varint(reader);
        int64_t sum = reco__read_zigzag(reader);
        index += step;
        if (reader->bad || index >= from->number_count || (i > 0 && step == 0) || sum == 0)
            return damaged(err);
        if (board == RECO_BOARD_COVIEW && from->popular_only)
            continue;
        reco_status status = reco__adds_put(from->adds, (uint32_t)board, generation, number, from->numbers[index], sum);
        if (status != RECO_OK)
            return reco__no_memory(err);
        from->add_count++;
    }
    return from->add_count < PIECE_ENTRIES ? RECO_OK : restore(from, 0, err);
}

static reco_status load_rows(loader *from, reco__reader reader, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK && reader.at < reader.end)
        status = load_row(from, &reader, err);
    return status;
}

static reco_status cell_number(void *context, reco_str name, uint32_t *number) {
    loader *from = context;
    uint32_t index = reco__map_find(&from->names, name.data, name.size);
    if (index == RECO__MAP_NONE)
        return RECO_CORRUPT;
    *number = from->numbers[index];
    return RECO_OK;
}

static reco_status load_cells(loader *from, reco__reader reader, reco_error *err) {
    while (reader.at < reader.end) {
        uint64_t partition = reco__read_varint(&reader);
        reco_str user = reco__read_str(&reader), canonical = reco__read_str(&reader);
        if (reader.bad || partition >= from->partitions || reco__check_id(user, -1, "user", NULL) != RECO_OK)
            return damaged(err);
        reco_status status = reco__cell_from_canonical(&from->cell, canonical.data, canonical.size, cell_number, from, err);
        if (status != RECO_OK)
            return status;
        size_t before = from->cell_bytes.size;
        reco__cell_encode(&from->cell_bytes, &from->cell);
        from->user_at[from->cell_count] = from->users.size;
        reco__buf_add(&from->users, user.data, user.size);
        from->cell_partitions[from->cell_count] = (uint32_t)partition;
        from->cells[from->cell_count++] =
            (reco_cell_put){{NULL, user.size}, NULL, from->cell_bytes.size - before, reco__cell_expires(&from->cell, from->rules)};
        if (from->cell_count == PIECE_CELLS && (status = restore(from, 0, err)) != RECO_OK)
            return status;
    }
    return RECO_OK;
}

static reco_status load_end(loader *from, reco__reader reader, reco_error *err) {
    if (!reco__read_bytes(&reader, 24))
        return damaged(err);
    from->hash.high = reco__read_u64(&reader);
    from->hash.low = reco__read_u64(&reader);
    return reader.bad || reader.at != reader.end ? damaged(err) : RECO_OK;
}

/* What was loaded must have the hash that the file states. */
static reco_status load_finish(loader *from, reco_error *err) {
    reco_status status = restore(from, RECO_RESTORE_LAST, err);
    if (status != RECO_OK || from->popular_only || from->cells_only)
        return status;
    reco__hashing loaded = {0};
    status = reco__hashing_run(&loaded, from->features, NULL, from->rules, from->partitions, false, from->call, err);
    reco__u128 total = reco__state_hash_total(&loaded.hash);
    reco__hashing_dispose(&loaded);
    if (status == RECO_OK && (total.low != from->hash.low || total.high != from->hash.high))
        return reco__fail(err, RECO_CORRUPT, "snapshot", "what it holds does not have the state hash it states");
    return status;
}

static reco_status load_frames(loader *from, reco_error *err) {
    uint8_t kind, last = 0;
    for (;;) {
        reco_status status = reco__frame_read(&kind, from->file, &from->payload, err);
        if (status == RECO_NOT_FOUND)
            return last == RECO__FRAME_END ? load_finish(from, err) : reco__fail(err, RECO_CORRUPT, "snapshot", "the file is cut off");
        if (status != RECO_OK)
            return status;
        if (kind < last || (last == 0) != (kind == RECO__FRAME_HEAD) || last == RECO__FRAME_END || kind > RECO__FRAME_END)
            return damaged(err);
        reco__reader reader = reco__reader_of(from->payload.data, from->payload.size);
        if (kind == RECO__FRAME_HEAD) {
            status = load_head(from, reader, err);
            if (status == RECO_OK) /* empties the store, so that names get their numbers in the new one */
                status = restore(from, 0, err);
        } else if (kind == RECO__FRAME_NAMES) {
            status = load_names(from, reader, err);
        } else if (kind == RECO__FRAME_ROWS) {
            status = from->cells_only ? RECO_OK : load_rows(from, reader, err);
        } else if (kind == RECO__FRAME_DEBTS) {
            status = reco__fail(err, RECO_UNSUPPORTED, "snapshot", "it holds debts of erasures: a newer libreco is needed");
        } else if (kind == RECO__FRAME_CELLS) {
            status = from->popular_only ? RECO_OK : load_cells(from, reader, err);
        } else {
            status = load_end(from, reader, err);
        }
        if (status != RECO_OK)
            return status;
        last = kind;
    }
}

static reco_status load(loader *from, reco_error *err) {
    from->adds = reco__adds_create();
    from->cells = reco__alloc_array(PIECE_CELLS, sizeof *from->cells);
    from->cell_partitions = reco__alloc_array(PIECE_CELLS, sizeof *from->cell_partitions);
    from->user_at = reco__alloc_array(PIECE_CELLS, sizeof *from->user_at);
    if (!from->adds || !from->cells || !from->cell_partitions || !from->user_at)
        return reco__no_memory(err);
    reco_status status = reco__frames_open(from->file, err);
    return status == RECO_OK ? load_frames(from, err) : status;
}

static reco_status load_and_dispose(loader *from, reco_error *err) {
    reco_status status = load(from, err);
    reco__buf_dispose(&from->payload);
    reco__buf_dispose(&from->cell_bytes);
    reco__buf_dispose(&from->users);
    reco__release(from->numbers);
    reco__release(from->cells);
    reco__release(from->cell_partitions);
    reco__release(from->user_at);
    reco__adds_free(from->adds);
    reco__cell_dispose(&from->cell);
    reco__map_dispose(&from->names);
    return status;
}

static reco_status load_file(loader *from, const char *path, reco_error *err) {
    from->file = fopen(path, "rbe");
    if (!from->file)
        return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "snapshot", "there is no file %s", path) : reco__fail_errno(err, errno, path);
    FILE *file = from->file;
    reco_status status = load_and_dispose(from, err);
    fclose(file);
    return status;
}

static loader loader_of(reco__features *features, reco__features *names_of, reco_engine *engine, const reco_call *call) {
    return (loader){.features = features,
                    .names_of = names_of,
                    .rules = &engine->rules,
                    .fingerprint = {engine->fingerprint.data, engine->fingerprint.size},
                    .stream_id = reco__stream_id(engine->stream),
                    .partitions = engine->partitions,
                    .call = call};
}

reco_status reco__snapshot_load(reco__features *features, reco_engine *engine, const char *path, const reco_call *call, reco_error *err) {
    loader from = loader_of(features, features, engine, call);
    return load_file(&from, path, err);
}

reco_status reco__snapshot_load_stream(reco__features *features, reco_engine *engine, FILE *file, const reco_call *call, reco_error *err) {
    loader from = loader_of(features, features, engine, call);
    from.file = file;
    return load_and_dispose(&from, err);
}

reco_status reco__snapshot_load_popular(reco__features *scratch, reco_engine *engine, const char *path, const reco_call *call, reco_error *err) {
    loader from = loader_of(scratch, scratch, engine, call);
    from.popular_only = true;
    return load_file(&from, path, err);
}

reco_status reco__snapshot_load_cells(reco__features *scratch, reco_engine *engine, const char *path, const reco_call *call, reco_error *err) {
    loader from = loader_of(scratch, engine->features, engine, call);
    from.cells_only = true;
    return load_file(&from, path, err);
}
