/* engine/backup.c - a copy of what an engine holds, taken while others write.
 *
 * In this order, so that the parts fit each other without holding anybody up:
 *   1. a snapshot of features, into an unlinked file: what is learned, at positions F
 *   2. one short look at the stream: its small values, and the first and last record of each partition. All that was learned at F, and all that was
 *      acknowledged before the backup began, lies before those ends
 *   3. the records up to there, in short read transactions: a record never changes, and an end is all that grows
 *   4. items and users, small beside the stream, under one read transaction
 * A read transaction that is held keeps the pages it sees from being used again, so the file under it grows while others write: the snapshot and step
 * 4 are given up with BUSY, field "growth", when that goes beyond 1 GiB and GROWTH. When the stream is trimmed in between all begins anew.
 *
 * The file is written as PATH.partial, synced, and renamed: a file at PATH is a whole backup. What a killed process left at PATH.partial is written
 * over by the next backup to PATH; two at once are told apart by a lock on it. Streams and records of all namespaces of the directory are in it, and
 * features of the one the engine is open on: others are learned again from their streams. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/backup_file.h"
#include "engine/snapshot_file.h"
#include "records/lmdb.h"
#include "stream/lmdb.h"

#define GROWTH ((uint64_t)256 << 20)
#define SYNC_BYTES (32u << 20) /* so that no sync of those who write has to wait for more of ours */
#define STEP_BYTES (1u << 20)  /* read in one transaction */
#define ATTEMPTS 3
#define NAME_MAX_SIZE 511u
#define KEY_MAX_SIZE 511u
#define NO_REPLACE 1u /* RENAME_NOREPLACE, which not every libc's headers have */

typedef struct table {
    char name[NAME_MAX_SIZE + 1];
    reco__kv_table number;
    bool grows; /* records of a partition: only ever added to at the end, dropped at the beginning */
    bool empty; /* when it was looked at */
    uint64_t first, last;
} table;

typedef struct backup {
    reco_engine *engine;
    const reco_call *call;
    reco__backup_file to;
    reco__backup_manifest manifest;
    reco_position learned[RECO_PARTITIONS_MAX];
    FILE *snapshot;
    table *tables;
    size_t table_count, table_room;
    reco_status listing;
    uint64_t synced, total;
    uint64_t min_free; /* of the disk both lie on; 0: they do not */
} backup;

/* --- the file ------------------------------------------------------------------------------------------------------------------------------ */

/* After each frame: the disk is not taken from those who write, and what was written does not pile up. */
static reco_status put(backup *b, uint8_t kind, reco_error *err) {
    struct statvfs vfs;
    reco_status status = reco__backup_put(&b->to, kind, err);
    if (status == RECO_OK && b->to.bytes - b->synced > SYNC_BYTES) {
        if (fflush(b->to.file) != 0 || fdatasync(fileno(b->to.file)) != 0)
            return reco__fail_errno(err, errno, "writing the backup");
        b->synced = b->to.bytes;
    }
    if (status == RECO_OK && b->min_free && fstatvfs(fileno(b->to.file), &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < b->min_free)
        return reco__fail(err, RECO_FULL, "min_free", "given up: the backup would take the free space that the stores on the same disk are to keep");
    reco__call_progress(b->call, "copying", "bytes", b->to.bytes, b->total > b->to.bytes ? b->total : b->to.bytes);
    return status == RECO_OK ? reco__call_check(b->call, err) : status;
}

static reco_status put_table(backup *b, uint8_t store, const reco__kv_options *options, const char *name, reco_error *err) {
    reco__buf_byte(&b->to.payload, store);
    reco__buf_u32(&b->to.payload, options->format_version);
    reco__buf_str(&b->to.payload, options->format, strlen(options->format));
    reco__buf_str(&b->to.payload, name, strlen(name));
    return put(b, RECO__BACKUP_TABLE, err);
}

static void put_pair(backup *b, reco__kv_value key, reco__kv_value value) {
    reco__buf_str(&b->to.payload, key.data, key.size);
    reco__buf_str(&b->to.payload, value.data, value.size);
    b->manifest.pair_bytes += key.size + value.size;
}

/* --- tables -------------------------------------------------------------------------------------------------------------------------------- */

static void list_table(void *context, const char *name) {
    backup *b = context;
    if (b->listing != RECO_OK)
        return;
    if (b->table_count == b->table_room) {
        size_t room = b->table_room ? b->table_room * 2 : 16;
        table *grown = reco__realloc_array(b->tables, room, sizeof *grown);
        if (!grown) {
            b->listing = RECO_NO_MEMORY;
            return;
        }
        b->tables = grown;
        b->table_room = room;
    }
    table *one = &b->tables[b->table_count++];
    *one = (table){.empty = true};
    memcpy(one->name, name, strlen(name));
}

static reco_status open_tables(backup *b, reco__kv *kv, reco_error *err) {
    b->table_count = 0;
    b->listing = RECO_OK;
    reco_status status = reco__kv_tables(kv, list_table, b, err);
    if (status == RECO_OK && b->listing != RECO_OK)
        status = reco__no_memory(err);
    for (size_t i = 0; status == RECO_OK && i < b->table_count; i++)
        status = reco__kv_table_open(&b->tables[i].number, kv, b->tables[i].name, err);
    return status;
}

/* All of a table, under the caller's transaction. */
static reco_status copy_held(backup *b, reco__kv_txn *txn, const table *from, reco_error *err) {
    reco__kv_cursor *cursor;
    reco__kv_value key, value;
    reco_status status = reco__kv_cursor_open(&cursor, txn, from->number, err);
    if (status != RECO_OK)
        return status;
    for (int how = RECO__KV_FIRST; status == RECO_OK; how = RECO__KV_NEXT) {
        status = reco__kv_seek(cursor, how, &key, &value, err);
        if (status != RECO_OK)
            break;
        put_pair(b, key, value);
        b->manifest.documents += strcmp(from->name, "documents") == 0;
        if (b->to.payload.size < RECO__FRAME_SOFT)
            continue;
        if (reco__kv_grown(txn) > GROWTH)
            status = reco__fail(err, RECO_BUSY, "growth", "given up: a store grew by more than %u MiB while it was copied", (unsigned)(GROWTH >> 20));
        else
            status = put(b, RECO__BACKUP_PAIRS, err);
    }
    reco__kv_cursor_close(cursor);
    return status == RECO_NOT_FOUND ? put(b, RECO__BACKUP_PAIRS, err) : status;
}

/* --- the stream ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status trimmed(reco_error *err) { return reco__fail(err, RECO_BUSY, "trimmed", "the stream was trimmed while it was copied; try again"); }

/* First and last record, in the transaction that shows everything else. */
static reco_status look(table *at, reco__kv_txn *txn, reco_error *err) {
    reco__kv_cursor *cursor;
    reco__kv_value key = {NULL, 0};
    reco_status status = reco__kv_cursor_open(&cursor, txn, at->number, err);
    if (status != RECO_OK)
        return status;
    for (int end = 0; status == RECO_OK && end < 2; end++) {
        status = reco__kv_seek(cursor, end ? RECO__KV_LAST : RECO__KV_FIRST, &key, NULL, err);
        if (status == RECO_OK && key.size != 8)
            status = reco__fail(err, RECO_CORRUPT, "stream", "table %.100s has a key of %zu bytes", at->name, key.size);
        if (status == RECO_OK)
            *(end ? &at->last : &at->first) = reco__from_be64(key.data);
    }
    at->empty = status == RECO_NOT_FOUND;
    reco__kv_cursor_close(cursor);
    return at->empty ? RECO_OK : status;
}

/* Records from *next on, as many as one transaction should read. */
static reco_status gather(backup *b, reco__kv *kv, const table *from, uint64_t *next, reco_error *err) {
    reco__kv_txn *txn;
    reco__kv_cursor *cursor;
    uint8_t wanted[8];
    reco__be64(wanted, *next);
    reco__kv_value key = {wanted, sizeof wanted}, value;
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK)
        return status;
    status = reco__kv_cursor_open(&cursor, txn, from->number, err);
    for (int how = RECO__KV_EXACT; status == RECO_OK && *next <= from->last && b->to.payload.size < STEP_BYTES; how = RECO__KV_NEXT) {
        status = reco__kv_seek(cursor, how, &key, &value, err);
        if (status == RECO_NOT_FOUND || (status == RECO_OK && (key.size != 8 || reco__from_be64(key.data) != *next)))
            status = trimmed(err);
        if (status != RECO_OK)
            break;
        put_pair(b, key, value);
        ++*next;
        b->manifest.records++;
    }
    reco__kv_read_end(txn); /* with its cursors */
    return status;
}

static reco_status copy_partition(backup *b, reco__kv *kv, const table *from, reco_error *err) {
    uint64_t next = from->first;
    reco_status status = RECO_OK;
    while (status == RECO_OK && !from->empty && next <= from->last) {
        status = gather(b, kv, from, &next, err);
        if (status == RECO_OK)
            status = put(b, RECO__BACKUP_PAIRS, err);
    }
    return status;
}

/* "r/<namespace>/<partition>" of the engine's namespace, or UINT32_MAX. */
static uint32_t partition_of(const backup *b, const char *name) {
    size_t space = strlen(b->engine->settings.space);
    uint32_t partition = 0;
    const char *at = name + 2 + space + 1;
    if (strncmp(name + 2, b->engine->settings.space, space) != 0 || name[2 + space] != '/')
        return UINT32_MAX;
    for (; *at >= '0' && *at <= '9'; at++)
        partition = partition * 10 + (uint32_t)(*at - '0');
    return *at == 0 && partition < b->engine->partitions ? partition : UINT32_MAX;
}

/* The small values and the ends, of one moment. */
static reco_status look_at_all(backup *b, reco__kv *kv, const reco__kv_options *options, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK)
        return status;
    for (size_t i = 0; status == RECO_OK && i < b->table_count; i++) {
        table *one = &b->tables[i];
        one->grows = strncmp(one->name, "r/", 2) == 0;
        if (one->grows) {
            status = look(one, txn, err);
        } else {
            status = put_table(b, RECO__BACKUP_STREAM, options, one->name, err);
            if (status == RECO_OK)
                status = copy_held(b, txn, one, err);
        }
    }
    reco__kv_read_end(txn);
    return status;
}

static reco_status note_end(backup *b, const table *one, reco_error *err) {
    uint32_t p = partition_of(b, one->name);
    size_t size = strlen(one->name);
    b->manifest.spaces += size > 2 && strcmp(one->name + size - 2, "/0") == 0;
    if (p == UINT32_MAX)
        return RECO_OK;
    int64_t learned = b->learned[p].offset, end = one->empty ? learned : (int64_t)one->last + 1;
    b->manifest.learned[p] = learned;
    b->manifest.end[p] = end;
    return learned <= end ? RECO_OK
                          : reco__fail(err, RECO_CORRUPT, "stream", "partition %u ends at %lld, and features have learned it up to %lld", p,
                                       (long long)end, (long long)learned);
}

static reco_status copy_stream(backup *b, reco__kv *kv, const reco__kv_options *options, reco_error *err) {
    reco_status status = open_tables(b, kv, err);
    if (status == RECO_OK)
        status = look_at_all(b, kv, options, err);
    for (size_t i = 0; status == RECO_OK && i < b->table_count; i++) {
        if (!b->tables[i].grows)
            continue;
        status = note_end(b, &b->tables[i], err);
        if (status == RECO_OK)
            status = put_table(b, RECO__BACKUP_STREAM, options, b->tables[i].name, err);
        if (status == RECO_OK)
            status = copy_partition(b, kv, &b->tables[i], err);
    }
    return status;
}

static reco_status copy_records(backup *b, reco__kv *kv, const reco__kv_options *options, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = open_tables(b, kv, err);
    if (status == RECO_OK)
        status = reco__kv_read_begin(&txn, kv, RECO__KV_LONG, err);
    if (status != RECO_OK)
        return status;
    for (size_t i = 0; status == RECO_OK && i < b->table_count; i++) {
        status = put_table(b, RECO__BACKUP_RECORDS, options, b->tables[i].name, err);
        if (status == RECO_OK)
            status = copy_held(b, txn, &b->tables[i], err);
    }
    reco__kv_read_end(txn);
    return status;
}

/* --- features ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status copy_snapshot(backup *b, reco_error *err) {
    reco_status status = RECO_OK;
    while (status == RECO_OK) {
        if (!reco__buf_reserve(&b->to.payload, RECO__FRAME_SOFT))
            return reco__buf_status(&b->to.payload, err);
        size_t got = fread(b->to.payload.data, 1, RECO__FRAME_SOFT, b->snapshot);
        if (got == 0)
            return ferror(b->snapshot) ? reco__fail_errno(err, errno ? errno : EIO, "reading the snapshot") : RECO_OK;
        b->to.payload.size = got;
        b->manifest.snapshot_bytes += got;
        status = put(b, RECO__BACKUP_SNAPSHOT, err);
    }
    return status;
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------------------- */

static reco__kv_options options_of(const reco_engine *engine, bool stream) {
    const reco__settings *settings = &engine->settings;
    const char *url = stream ? engine->stream_url : engine->records_url;
    uint32_t flags = engine->background ? RECO__KV_BACKGROUND : 0;
    const char *directory = strchr(url, ':') + 1;
    return stream ? reco__stream_lmdb_kv(directory, flags, settings->map_size, settings->min_free)
                  : reco__records_lmdb_kv(directory, flags, settings->map_size, settings->min_free);
}

/* The environment the engine has open, shared. */
static reco_status open_store(reco__kv **out, const reco__kv_options *options, uint64_t *bytes, reco_error *err) {
    reco__kv_stats stats;
    reco_status status = reco__kv_open(out, options, NULL, err);
    if (status == RECO_OK && (status = reco__kv_stat(&stats, *out, err)) == RECO_OK)
        *bytes += stats.used_bytes;
    return status;
}

static reco_status write_all(backup *b, const char *beside, reco_error *err) {
    reco_engine *engine = b->engine;
    reco__kv *stream = NULL, *records = NULL;
    reco__kv_options stream_options = options_of(engine, true), records_options = options_of(engine, false);
    reco_snapshot_result taken = {.struct_size = sizeof taken};
    reco_status status = reco__snapshot_spool(&b->snapshot, &taken, b->learned, engine, beside, b->call, err);
    b->total = taken.bytes;
    memcpy(b->manifest.hash, taken.hash, sizeof taken.hash);
    if (status == RECO_OK)
        status = open_store(&stream, &stream_options, &b->total, err);
    if (status == RECO_OK)
        status = open_store(&records, &records_options, &b->total, err);
    if (status == RECO_OK)
        status = reco__backup_begin(&b->to, err);
    if (status == RECO_OK)
        status = copy_stream(b, stream, &stream_options, err);
    if (status == RECO_OK)
        status = copy_records(b, records, &records_options, err);
    if (status == RECO_OK)
        status = copy_snapshot(b, err);
    if (status == RECO_OK)
        status = reco__backup_end(&b->to, &b->manifest, err);
    if (status == RECO_OK && (fflush(b->to.file) != 0 || fsync(fileno(b->to.file)) != 0))
        status = reco__fail_errno(err, errno, "writing the backup");
    reco__kv_close(stream);
    reco__kv_close(records);
    return status;
}

static void forget(backup *b) {
    if (b->snapshot)
        fclose(b->snapshot);
    b->snapshot = NULL;
    b->synced = b->total = 0;
    b->to.chain = b->to.frames = b->to.bytes = 0;
    reco__buf_reset(&b->to.payload);
}

static reco_status attempt(backup *b, const char *beside, reco_error *err) {
    const reco_engine *engine = b->engine;
    forget(b);
    b->manifest = (reco__backup_manifest){.created_at = reco__now_ms(), .partitions = engine->partitions};
    snprintf(b->manifest.library, sizeof b->manifest.library, "%s", reco_version());
    snprintf(b->manifest.space, sizeof b->manifest.space, "%s", engine->settings.space);
    memcpy(b->manifest.stream_id, reco__stream_id(engine->stream), sizeof b->manifest.stream_id);
    rewind(b->to.file);
    if (ftruncate(fileno(b->to.file), 0) != 0)
        return reco__fail_errno(err, errno, "writing the backup");
    return write_all(b, beside, err);
}

/* The partial file, locked, and still the one of that name. */
static reco_status open_partial(FILE **out, const char *path, reco_error *err) {
    for (;;) {
        struct stat mine, named;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return reco__fail_errno(err, errno, path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            return reco__fail(err, RECO_BUSY, "path", "another backup to that name is under way");
        }
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino) {
            *out = fdopen(fd, "r+b");
            if (*out)
                return RECO_OK;
            close(fd);
            return reco__no_memory(err);
        }
        close(fd); /* whoever held it has just finished */
    }
}

/* Opened before anything is renamed, so that what follows the renaming needs nothing that could be missing. */
reco_status reco__backup_open_parent(int *fd, const char *path, reco_error *err) {
    reco__buf parent = {0};
    const char *slash = strrchr(path, '/');
    reco__buf_add(&parent, slash ? path : ".", slash ? (size_t)(slash - path) + (slash == path) : 1);
    const char *name = reco__buf_cstr(&parent);
    *fd = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    reco_status status = !name ? reco__no_memory(err) : *fd < 0 ? reco__fail_errno(err, errno, name) : RECO_OK;
    reco__buf_dispose(&parent);
    return status;
}

static reco_status publish(const char *partial, const char *path, reco_error *err) {
    int parent;
    reco_status status = reco__backup_open_parent(&parent, path, err);
    if (status != RECO_OK)
        return status;
    long done = syscall(SYS_renameat2, AT_FDCWD, partial, AT_FDCWD, path, NO_REPLACE);
    if (done != 0 && (errno == EINVAL || errno == ENOSYS)) /* this file system cannot; it was looked at in the beginning */
        done = rename(partial, path);
    if (done != 0)
        status = errno == EEXIST ? reco__fail(err, RECO_CONFLICT, "path", "%s exists", path) : reco__fail_errno(err, errno, path);
    else if (fsync(parent) != 0)
        status = reco__fail_errno(err, errno, path);
    close(parent);
    return status;
}

static reco_status embedded_only(const reco_engine *engine, reco_error *err) {
    const struct {
        const char *name, *url;
    } stores[] = {{"stream", engine->stream_url}, {"features", engine->features_url}, {"records", engine->records_url}};
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        size_t scheme = strcspn(stores[i].url, ":");
        if (strncmp(stores[i].url, "memory:", 7) == 0)
            return reco__fail(err, RECO_UNSUPPORTED, stores[i].name, "a store in memory ends with its process: there is nothing a backup could keep");
        if (strncmp(stores[i].url, "lmdb:", 5) != 0)
            return reco__fail(err, RECO_UNSUPPORTED, stores[i].name,
                              "a backup covers the embedded stores only, and the %s is on %.*s: use what that server offers for it", stores[i].name,
                              (int)scheme, stores[i].url);
    }
    return RECO_OK;
}

void reco__backup_result(reco_backup_result *out, const reco__backup_manifest *manifest, uint64_t bytes) {
    uint32_t struct_size = out->struct_size;
    *out = (reco_backup_result){.struct_size = struct_size,
                                .partitions = manifest->partitions,
                                .namespaces = manifest->spaces,
                                .created_at = manifest->created_at,
                                .bytes = bytes,
                                .records = manifest->records,
                                .documents = manifest->documents};
    for (uint32_t p = 0; p < manifest->partitions; p++)
        out->unlearned += (uint64_t)(manifest->end[p] - manifest->learned[p]);
    memcpy(out->hash, manifest->hash, sizeof out->hash);
    memcpy(out->space, manifest->space, sizeof manifest->space);
    memcpy(out->library, manifest->library, sizeof out->library);
}

/* Space is to be left to the stores when the backup lies on their disk. */
static uint64_t guarded(const backup *b) {
    struct stat ours, theirs;
    bool same = fstat(fileno(b->to.file), &ours) == 0 && stat(strchr(b->engine->stream_url, ':') + 1, &theirs) == 0 && ours.st_dev == theirs.st_dev;
    return same ? b->engine->settings.min_free : 0;
}

reco_status reco_backup(reco_backup_result *out, reco_engine *engine, const char *path, const reco_call *call, reco_error *err) {
    struct stat st;
    reco__buf partial = {.limit = 8192};
    backup b = {.engine = engine, .call = call};
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && (!path || !path[0] || path[strlen(path) - 1] == '/'))
        status = reco__fail(err, RECO_INVALID, "path", "a file name is needed");
    if (status == RECO_OK)
        status = embedded_only(engine, err);
    if (status == RECO_OK && lstat(path, &st) == 0)
        status = reco__fail(err, RECO_CONFLICT, "path", "%s exists", path);
    if (status != RECO_OK)
        return status;
    reco__buf_printf(&partial, "%s.partial", path);
    const char *name = reco__buf_cstr(&partial);
    if (!name)
        return reco__buf_status(&partial, err);
    status = open_partial(&b.to.file, name, err);
    if (status == RECO_OK) {
        reco_error error = RECO_ERROR_INIT;
        b.min_free = guarded(&b);
        for (int tries = 0; tries == 0 || (tries < ATTEMPTS && status == RECO_BUSY && strcmp(error.field, "trimmed") == 0); tries++) {
            error = (reco_error)RECO_ERROR_INIT;
            status = attempt(&b, name, &error);
        }
        if (status == RECO_OK)
            status = publish(name, path, &error);
        if (status != RECO_OK)
            unlink(name); /* while it is locked: it is ours */
        if (status != RECO_OK && err)
            *err = error;
    }
    if (status == RECO_OK && out)
        reco__backup_result(out, &b.manifest, b.to.bytes);
    forget(&b);
    reco__backup_file_dispose(&b.to);
    reco__release(b.tables);
    reco__buf_dispose(&partial);
    return status;
}
