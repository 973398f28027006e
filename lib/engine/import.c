/* engine/import.c - history into the stream, as if it had been received when it happened: sorted by time, received_at = timestamp.
 *
 * All files are read and checked before anything is appended. Then batches of 1,000 go to the stream, each with a note in its own transaction: how
 * many events of these very files (known by their hash) are in, and by how much their time was shifted. Repeating the import, or resuming one that
 * was killed, goes on from there. At the end each partition gets a tick with the largest timestamp, so that every partition's clock stands where the
 * history ends. */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/export.h"
#include "engine/import_read.h"
#include "model/item.h"

#define BATCH 1000u

typedef struct import_line {
    int64_t t;
    uint64_t number; /* order of appearance: equal times keep it */
    size_t at;
    uint32_t file, size;
} import_line;

typedef struct importer {
    reco_engine *engine;
    reco_import_options options;
    const reco_call *call;
    int format;
    reco__import_file *files;
    size_t file_count;
    import_line *lines;
    size_t count, room;
    int64_t shift;
    uint64_t done;
    char key[64];
    reco__arena arena;
    reco__buf bytes;
    reco_stream_record records[BATCH + RECO_PARTITIONS_MAX];
    size_t starts[BATCH + RECO_PARTITIONS_MAX];
    reco_import_result result;
} importer;

/* --- reading ------------------------------------------------------------------------------------------------------------------------------ */

/* Puts file and line before the text of the error. */
static void name_line(const reco__import_file *file, uint64_t number, reco_error *err) {
    if (err) {
        char text[sizeof err->text];
        memcpy(text, err->text, sizeof text);
        snprintf(err->text, sizeof err->text, "%.100s line %llu: %.120s", file->path, (unsigned long long)number, text);
    }
}

static reco_status read_lines(importer *in, uint32_t index, reco_error *err) {
    reco__import_file *file = &in->files[index];
    size_t at = file->first;
    uint64_t number = in->format == RECO__IMPORT_CSV ? 1 : 0;
    reco_str line;
    while (reco__import_line(&line, &number, &at, file)) {
        reco_event event;
        reco__arena_reset(&in->arena);
        reco_status status = reco__import_parse(&event, file, in->format, line, &in->arena, err);
        if (status == RECO_NO_MEMORY)
            return status;
        if (status != RECO_OK) {
            name_line(file, number, err);
            return status;
        }
        if (in->count == in->room) {
            size_t room = in->room ? in->room * 2 : 65536;
            import_line *lines = reco__realloc_array(in->lines, room, sizeof *lines);
            if (!lines)
                return reco__no_memory(err);
            in->lines = lines;
            in->room = room;
        }
        in->lines[in->count] = (import_line){event.timestamp, in->count, (size_t)(line.data - file->text), index, (uint32_t)line.size};
        in->count++;
        if (in->count % 4096 == 0) {
            reco__call_progress(in->call, "reading", "events", in->count, 0);
            if ((status = reco__call_check(in->call, err)) != RECO_OK)
                return status;
        }
    }
    return RECO_OK;
}

static int line_order(const void *a, const void *b) {
    const import_line *left = a, *right = b;
    if (left->t != right->t)
        return left->t < right->t ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

static reco_status read_all(importer *in, const char *const *paths, size_t count, reco_error *err) {
    in->files = reco__zalloc(count * sizeof *in->files);
    if (!in->files)
        return reco__no_memory(err);
    reco__u128 hash = {(uint64_t)in->format, 0};
    for (size_t i = 0; i < count; i++) {
        reco_status status = reco__import_file_read(&in->files[i], paths[i], in->format, err);
        if (status != RECO_OK)
            return status;
        in->files[i].types = in->engine->settings.types;
        in->files[i].type_count = in->engine->settings.type_count;
        in->file_count++;
        reco__u128 content = reco__hash128(in->files[i].text, in->files[i].size);
        uint64_t chain[4] = {hash.low, hash.high, content.low, content.high};
        hash = reco__hash128(chain, sizeof chain);
        status = read_lines(in, (uint32_t)i, err);
        if (status != RECO_OK)
            return status;
    }
    snprintf(in->key, sizeof in->key, "import/%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
    if (in->count)
        qsort(in->lines, in->count, sizeof *in->lines, line_order);
    return RECO_OK;
}

/* --- the journal -------------------------------------------------------------------------------------------------------------------------- */

/* What an earlier run of this import left: how many events are in, and its shift of time. */
static reco_status journal_read(importer *in, int64_t now, reco_error *err) {
    reco__buf note = {0};
    in->shift = (in->options.flags & RECO_IMPORT_SHIFT_TIME) && in->count ? now - in->lines[in->count - 1].t : 0;
    reco_status status = reco__stream_note(in->engine->stream, in->key, &note, in->call, err);
    if (status == RECO_NOT_FOUND) {
        status = RECO_OK;
    } else if (status == RECO_OK) {
        reco__reader reader = reco__reader_of(note.data, note.size);
        in->done = reco__read_u64(&reader);
        in->shift = (int64_t)reco__read_u64(&reader);
        if (reader.bad || in->done > in->count + 1)
            status = reco__fail(err, RECO_CORRUPT, "import", "the journal of this import is damaged");
    }
    reco__buf_dispose(&note);
    return status;
}

static reco_status append_conflict(const importer *in, const reco_error *error, reco_error *err) {
    if (strcmp(error->field, "note") == 0)
        return reco__fail(err, RECO_CONFLICT, "path", "another import of the same files is under way");
    if (in->done)
        return reco__fail(
            err, RECO_CONFLICT, "timestamp",
            "%llu of %zu events are in; newer ones came meanwhile, and history must not lie before them: import all into a new directory",
            (unsigned long long)in->done, in->count);
    return reco__fail(err, RECO_CONFLICT, "timestamp", "history must not lie before what the stream holds; import it into a new directory");
}

static reco_status append(importer *in, size_t count, uint64_t done, uint32_t flags, reco_error *err) {
    uint8_t note[16];
    for (int i = 0; i < 8; i++) {
        note[i] = (uint8_t)(done >> (8 * i));
        note[8 + i] = (uint8_t)((uint64_t)in->shift >> (8 * i));
    }
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__buf_status(&in->bytes, &error);
    for (size_t i = 0; status == RECO_OK && i < count; i++)
        in->records[i].data = in->bytes.data + in->starts[i];
    if (status == RECO_OK)
        status = reco__stream_append(NULL, in->engine->stream, in->records, count, RECO_APPEND_FORWARD | RECO_APPEND_NOTE_GROWS | flags, in->key,
                                     note, sizeof note, in->call, &error);
    if (status == RECO_CONFLICT)
        return append_conflict(in, &error, err);
    if (status != RECO_OK && err)
        *err = error;
    if (status == RECO_OK)
        in->done = done;
    return status;
}

static void put_record(importer *in, size_t index, uint32_t partition, size_t start, int64_t received_at) {
    in->starts[index] = start;
    in->records[index] = (reco_stream_record){.partition = partition, .size = (uint32_t)(in->bytes.size - start), .received_at = received_at};
}

static reco_status append_batch(importer *in, reco_error *err) {
    size_t count = in->count - in->done < BATCH ? (size_t)(in->count - in->done) : BATCH;
    reco__buf_reset(&in->bytes);
    reco__arena_reset(&in->arena);
    for (size_t i = 0; i < count; i++) {
        const import_line *line = &in->lines[in->done + i];
        const reco__import_file *file = &in->files[line->file];
        reco_event event;
        size_t start = in->bytes.size;
        reco_status status = reco__import_parse(&event, file, in->format, (reco_str){file->text + line->at, line->size}, &in->arena, err);
        if (status != RECO_OK)
            return status;
        event.timestamp += in->shift;
        reco__envelope_event(&in->bytes, &event, (reco_str){NULL, 0}, event.timestamp);
        put_record(in, i, reco__stream_partition(in->engine->stream, event.user_id.data, event.user_id.size), start, event.timestamp);
    }
    return append(in, count, in->done + count, 0, err);
}

static reco_status append_ticks(importer *in, reco_error *err) {
    int64_t newest = in->lines[in->count - 1].t + in->shift;
    reco__buf_reset(&in->bytes);
    for (uint32_t p = 0; p < in->engine->partitions; p++) {
        size_t start = in->bytes.size;
        reco__envelope_tick(&in->bytes, newest);
        put_record(in, p, p, start, newest);
    }
    return append(in, in->engine->partitions, in->count + 1, RECO_APPEND_NO_TICKS, err);
}

static reco_status append_all(importer *in, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK && in->done < in->count) {
        status = append_batch(in, err);
        if (status == RECO_OK)
            reco__call_progress(in->call, "appending", "events", in->done, in->count);
    }
    return status == RECO_OK && in->done == in->count ? append_ticks(in, err) : status;
}

/* --- MovieLens ---------------------------------------------------------------------------------------------------------------------------- */

/* Latin-1 to UTF-8. */
static reco_str latin1(reco__arena *arena, const char *text, size_t size) {
    char *to = reco__arena_alloc(arena, size * 2 + 1);
    reco_str out = {to, 0};
    for (size_t i = 0; to && i < size; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c >= 0x80)
            to[out.size++] = (char)(0xc0 | c >> 6);
        to[out.size++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    return out;
}

/* u.genre: name|number, one a line. */
static size_t genres_read(reco_str *genres, size_t room, const reco__import_file *file) {
    size_t at = 0, count = 0;
    reco_str line;
    while (count < room && reco__import_line(&line, NULL, &at, file)) {
        const char *bar = memchr(line.data, '|', line.size);
        genres[count++] = (reco_str){line.data, bar ? (size_t)(bar - line.data) : line.size};
    }
    return count;
}

/* u.item: id|title|date|video date|address|19 flags of genres. */
static reco_status film_parse(reco_item *item, reco__arena *arena, reco_str line, const reco_str *genres, size_t genre_count, reco_error *err) {
    reco_str *categories = reco__arena_alloc(arena, (genre_count + 1) * sizeof *categories);
    const char *at = line.data, *end = at + line.size;
    memset(item, 0, sizeof *item);
    if (!categories)
        return reco__no_memory(err);
    item->categories = categories;
    for (size_t column = 0; at <= end; column++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        size_t size = (size_t)((bar ? bar : end) - at);
        if (column == 0)
            item->item_id = (reco_str){at, size};
        else if (column == 1)
            item->title = latin1(arena, at, size);
        else if (column >= 5 && column - 5 < genre_count && size == 1 && *at == '1')
            categories[item->category_count++] = genres[column - 5];
        at = bar ? bar + 1 : end + 1;
    }
    return item->title.data ? RECO_OK : reco__fail(err, RECO_INVALID, "u.item", "fields separated by | are expected");
}

static reco_status films_put(importer *in, const reco__import_file *films, const reco_str *genres, size_t genre_count, reco_error *err) {
    reco_item items[BATCH];
    size_t at = 0, count = 0;
    reco_str line;
    reco__arena_reset(&in->arena);
    for (bool more = true; more;) {
        more = reco__import_line(&line, NULL, &at, films);
        reco_status status = more ? film_parse(&items[count], &in->arena, line, genres, genre_count, err) : RECO_OK;
        if (status != RECO_OK)
            return status;
        count += more;
        if (count && (count == BATCH || !more)) {
            status = reco_items_put(in->engine, items, count, sizeof *items, in->call, err);
            if (status != RECO_OK)
                return status;
            in->result.items += count;
            count = 0;
            reco__arena_reset(&in->arena);
        }
    }
    return RECO_OK;
}

static reco_status films_import(importer *in, const char *folder, reco_error *err) {
    char path[4096];
    reco__import_file films, genres_file;
    reco_str genres[64];
    snprintf(path, sizeof path, "%s/u.genre", folder);
    reco_status status = reco__import_file_read(&genres_file, path, RECO__IMPORT_MOVIELENS, err);
    if (status != RECO_OK)
        return status;
    char films_path[4096];
    snprintf(films_path, sizeof films_path, "%s/u.item", folder);
    status = reco__import_file_read(&films, films_path, RECO__IMPORT_MOVIELENS, err);
    if (status == RECO_OK) {
        status = films_put(in, &films, genres, genres_read(genres, 64, &genres_file), err);
        reco__import_file_dispose(&films);
    }
    reco__import_file_dispose(&genres_file);
    return status;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status options_check(importer *in, const reco_import_options *options, reco_error *err) {
    static const char *const formats[] = {"csv", "ndjson", "movielens", "reco"};
    reco_status status = reco__struct_copy(&in->options, sizeof in->options, options, options ? options->struct_size : 0, "options", err);
    if (status != RECO_OK)
        return status;
    in->format = -1;
    for (int i = 0; in->options.format && i < 4; i++)
        if (strcmp(in->options.format, formats[i]) == 0)
            in->format = i;
    if (in->format < 0)
        return reco__fail(err, RECO_INVALID, "format", "csv, ndjson, movielens or reco is expected");
    if (in->options.flags & ~RECO_IMPORT_SHIFT_TIME)
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", in->options.flags);
    if (in->options.path_count == 0 || !in->options.paths || in->options.path_count > 10000)
        return reco__fail(err, RECO_INVALID, "path", "1 to 10000 files are expected");
    for (size_t i = 0; i < in->options.path_count; i++)
        if (!in->options.paths[i])
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "path", "the name of a file is expected, not NULL");
    if (in->format == RECO__IMPORT_MOVIELENS && in->options.path_count != 1)
        return reco__fail(err, RECO_INVALID, "path", "one folder with u.data, u.item and u.genre is expected");
    return RECO_OK;
}

/* Nothing may lie in the future: it would push the clocks of all partitions ahead. */
static reco_status times_check(importer *in, int64_t now, reco_error *err) {
    int64_t newest = in->lines[in->count - 1].t + in->shift;
    const reco_board_rules *rules = &in->engine->rules.boards;
    in->result.first = in->lines[0].t + in->shift;
    in->result.last = newest;
    if (in->result.first < 0)
        return reco__fail(err, RECO_INVALID, "timestamp", "shifted, the oldest event lies before 1970");
    if (newest > now + rules->skew)
        return reco__fail(err, RECO_TOO_EARLY, "timestamp", "the newest event lies %lld ms in the future; are its times of another unit?",
                          (long long)(newest - now));
    int64_t closed = reco_board_newest_closed(rules, RECO_BOARD_COVIEW, now);
    if (reco_board_expired(rules, RECO_BOARD_COVIEW, reco_board_generation(rules, RECO_BOARD_COVIEW, newest), closed))
        snprintf(in->result.warning, sizeof in->result.warning,
                 "all of this history is older than what is kept: it will expire with the first new event (move it to now with shift-time, or keep "
                 "more generations)");
    return RECO_OK;
}

static reco_status import_run(importer *in, reco_error *err) {
    int64_t now = reco__now_ms();
    char data_path[4096];
    const char *const *paths = in->options.paths, *data[1] = {data_path};
    if (in->format == RECO__IMPORT_MOVIELENS) {
        snprintf(data_path, sizeof data_path, "%s/u.data", in->options.paths[0]);
        paths = data;
    }
    reco_status status = read_all(in, paths, in->format == RECO__IMPORT_MOVIELENS ? 1 : in->options.path_count, err);
    if (status == RECO_OK && in->count == 0)
        status = reco__fail(err, RECO_INVALID, "path", "the files hold no events");
    if (status == RECO_OK)
        status = journal_read(in, now, err);
    if (status == RECO_OK)
        status = times_check(in, now, err);
    if (status == RECO_OK && in->format == RECO__IMPORT_MOVIELENS)
        status = films_import(in, in->options.paths[0], err);
    in->result.already = in->done == in->count + 1;
    uint64_t before = in->done < in->count ? in->done : in->count;
    if (status == RECO_OK)
        status = append_all(in, err);
    in->result.events = (in->done < in->count ? in->done : in->count) - before;
    return status == RECO_OK ? reco_process(NULL, in->engine, in->call, err) : status;
}

reco_status reco_import(reco_import_result *out, reco_engine *engine, const reco_import_options *options, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    importer *in = status == RECO_OK ? reco__zalloc(sizeof *in) : NULL;
    if (status == RECO_OK && !in)
        status = reco__no_memory(err);
    if (status != RECO_OK)
        return status;
    in->engine = engine;
    in->call = call;
    status = options_check(in, options, err);
    if (status == RECO_OK && in->format == RECO__IMPORT_EXPORT)
        status = reco__export_import(&in->result, engine, &in->options, call, err);
    else if (status == RECO_OK)
        status = import_run(in, err);
    if (status == RECO_OK && out) {
        in->result.struct_size = out->struct_size;
        *out = in->result;
    }
    for (size_t i = 0; i < in->file_count; i++)
        reco__import_file_dispose(&in->files[i]);
    reco__release(in->files);
    reco__release(in->lines);
    reco__arena_dispose(&in->arena);
    reco__buf_dispose(&in->bytes);
    reco__release(in);
    return status;
}
