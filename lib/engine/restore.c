/* engine/restore.c - a directory from a backup.
 *
 * The file is read twice: once to check every byte of it, then to make the stores under DIRECTORY.partial. Pairs come in the order of their keys and
 * are appended as they are, so stream id, offsets, change log and signing key are those of the source; features are loaded from the snapshot by an
 * engine opened there, which compares their hash. Then everything is synced and the folder renamed: a directory of the name that was asked for is a
 * whole one. The partial folder is locked while it is worked on; one that nobody holds was left by a killed restore and is emptied, as far as it
 * holds what a restore makes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/backup_file.h"
#include "records/lmdb.h"
#include "stream/lmdb.h"

#define TRANSACTION_BYTES ((size_t)16 << 20)
#define SNAPSHOT "snapshot"

static const char *const folders[] = {"stream", "records", "features"};
#define FOLDERS (sizeof folders / sizeof *folders)

typedef struct restoring {
    const reco_settings *settings;
    const reco_call *call;
    reco__backup_file from;
    reco__backup_manifest manifest;
    uint64_t size;
    char *data, *partial; /* without slashes at the end */
    int lock;
    reco__kv *kv[RECO__BACKUP_STORES];
    reco__kv *at; /* whose pairs come */
    reco__kv_table table;
    reco__kv_txn *txn;
    size_t pending;
    FILE *snapshot;
} restoring;

static reco_status damaged(reco_error *err) { return reco__fail(err, RECO_CORRUPT, "backup", "the content of the backup is damaged"); }

/* --- the file ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status open_file(restoring *r, const char *path, reco_error *err) {
    struct stat st;
    r->from.file = fopen(path, "rbe");
    if (!r->from.file)
        return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "backup", "there is no file %s", path) : reco__fail_errno(err, errno, path);
    if (fstat(fileno(r->from.file), &st) != 0)
        return reco__fail_errno(err, errno, path);
    if (!S_ISREG(st.st_mode))
        return reco__fail(err, RECO_INVALID, "backup", "%s is not a file", path);
    r->size = (uint64_t)st.st_size;
    return RECO_OK;
}

/* Formats that are newer are told before anything is made. */
static reco_status check_table(const restoring *r, reco_error *err) {
    uint32_t store, version;
    reco_str format, name;
    reco_status status = reco__backup_table(&store, &version, &format, &name, &r->from, err);
    if (status != RECO_OK)
        return status;
    reco__kv_options known = store == RECO__BACKUP_STREAM ? reco__stream_lmdb_kv("", 0, 0, 0) : reco__records_lmdb_kv("", 0, 0, 0);
    if (!reco__str_equal(format, reco__str_of(known.format)))
        return reco__fail(err, RECO_REFUSED, "backup", "it holds '%.*s' where '%s' is expected", (int)(format.size < 60 ? format.size : 60),
                          format.data, known.format);
    if (version > known.format_version)
        return reco__fail(err, RECO_NEWER, "backup", "it holds version %u of '%s', this library reads up to %u", version, known.format,
                          known.format_version);
    return version == known.format_version ? RECO_OK
                                           : reco__fail(err, RECO_REFUSED, "backup", "it holds the old version %u of '%s'", version, known.format);
}

static reco_status check_all(restoring *r, reco_error *err) {
    uint8_t kind = 0;
    bool table = false;
    reco_status status = reco__backup_rewind(&r->from, err);
    while (status == RECO_OK && kind != RECO__BACKUP_MANIFEST) {
        status = reco__backup_get(&kind, &r->from, &r->manifest, err);
        if (status == RECO_OK && kind == RECO__BACKUP_TABLE)
            status = check_table(r, err);
        table = table || kind == RECO__BACKUP_TABLE;
        if (status == RECO_OK && kind == RECO__BACKUP_PAIRS && !table)
            status = damaged(err);
        if (status == RECO_OK)
            status = reco__call_check(r->call, err);
        reco__call_progress(r->call, "checking", "bytes", r->from.bytes, r->size);
    }
    return status;
}

/* --- where to ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status names_make(restoring *r, reco_error *err) {
    const reco__settings *settings = &r->settings->values;
    size_t size = strlen(settings->data);
    if (!size || strcmp(settings->data, "memory:") == 0)
        return reco__fail(err, RECO_INVALID, "data", "a directory to restore into is needed");
    if (settings->stream[0] || settings->features[0] || settings->records[0])
        return reco__fail(err, RECO_UNSUPPORTED,
                          settings->stream[0]     ? "stream"
                          : settings->features[0] ? "features"
                                                  : "records",
                          "a backup is restored into the embedded stores of one directory: leave the addresses of stores empty");
    while (size > 1 && settings->data[size - 1] == '/')
        size--;
    r->data = reco__strndup(settings->data, size);
    r->partial = reco__alloc(size + sizeof ".partial");
    if (!r->data || !r->partial)
        return reco__no_memory(err);
    memcpy(r->partial, r->data, size);
    memcpy(r->partial + size, ".partial", sizeof ".partial");
    return RECO_OK;
}

static reco_status is_empty(bool *empty, const char *path, reco_error *err) {
    DIR *folder = opendir(path);
    if (!folder)
        return reco__fail_errno(err, errno, path);
    *empty = true;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        *empty = *empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    closedir(folder);
    return RECO_OK;
}

/* Missing, or an empty folder that can be replaced by renaming. */
static reco_status target_check(const restoring *r, reco_error *err) {
    struct stat st, above;
    bool empty = false;
    if (lstat(r->data, &st) != 0)
        return errno == ENOENT ? RECO_OK : reco__fail_errno(err, errno, r->data);
    if (!S_ISDIR(st.st_mode))
        return reco__fail(err, RECO_CONFLICT, "data", "%.200s exists and is not a directory", r->data);
    reco_status status = is_empty(&empty, r->data, err);
    if (status == RECO_OK && !empty)
        status = reco__fail(err, RECO_CONFLICT, "data", "%.140s is not empty: a backup is restored into an empty or missing directory", r->data);
    if (status != RECO_OK)
        return status;
    char *parent = reco__alloc(strlen(r->data) + sizeof "/..");
    if (!parent)
        return reco__no_memory(err);
    memcpy(parent, r->data, strlen(r->data));
    memcpy(parent + strlen(r->data), "/..", sizeof "/..");
    bool mount = stat(parent, &above) == 0 && (above.st_dev != st.st_dev || above.st_ino == st.st_ino);
    reco__release(parent);
    return mount ? reco__fail(err, RECO_CONFLICT, "data", "%.140s is where a disk is mounted: restore into a directory on it", r->data) : RECO_OK;
}

/* What a restore that was killed has left. */
static reco_status clear_partial(const restoring *r, reco_error *err) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "reco.lock", "wake", "trust", "made"};
    reco_status status = RECO_OK;
    for (size_t i = 0; i < FOLDERS; i++) {
        int folder = openat(r->lock, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        for (size_t k = 0; folder >= 0 && k < sizeof files / sizeof *files; k++)
            unlinkat(folder, files[k], 0);
        if (folder >= 0)
            close(folder);
        unlinkat(r->lock, folders[i], AT_REMOVEDIR);
    }
    unlinkat(r->lock, SNAPSHOT, 0); /* it has a name for a moment */
    bool empty = false;
    status = is_empty(&empty, r->partial, err);
    return status == RECO_OK && !empty
               ? reco__fail(err, RECO_CONFLICT, "data", "%.140s is in the way, and holds what no restore has made", r->partial)
               : status;
}

static reco_status open_partial(restoring *r, reco_error *err) {
    if (mkdir(r->partial, 0700) != 0 && errno != EEXIST)
        return reco__fail_errno(err, errno, r->partial);
    r->lock = open(r->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (r->lock < 0)
        return reco__fail_errno(err, errno, r->partial);
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0)
        return clear_partial(r, err);
    close(r->lock);
    r->lock = -1;
    return reco__fail(err, RECO_BUSY, "data", "another restore into %.160s is under way", r->data);
}

/* --- stores -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status commit(restoring *r, reco_error *err) {
    reco__kv_txn *txn = r->txn;
    r->txn = NULL;
    r->pending = 0;
    return txn ? reco__kv_commit(txn, err) : RECO_OK;
}

static reco_status begin_table(restoring *r, reco_error *err) {
    const reco__settings *settings = &r->settings->values;
    uint32_t store, version;
    reco_str format, name;
    char text[512];
    reco_status status = commit(r, err);
    if (status == RECO_OK)
        status = reco__backup_table(&store, &version, &format, &name, &r->from, err);
    if (status != RECO_OK)
        return status;
    if (!r->kv[store]) {
        reco__kv_options options = store == RECO__BACKUP_STREAM ? reco__stream_lmdb_kv(r->partial, 0, settings->map_size, settings->min_free)
                                                                : reco__records_lmdb_kv(r->partial, 0, settings->map_size, settings->min_free);
        status = reco__kv_open(&r->kv[store], &options, NULL, err);
    }
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    r->at = r->kv[store];
    return status == RECO_OK ? reco__kv_table_open(&r->table, r->at, text, err) : status;
}

static reco_status put_pairs(restoring *r, reco_error *err) {
    reco__reader in = reco__reader_of(r->from.payload.data, r->from.payload.size);
    reco_status status = r->at ? RECO_OK : damaged(err);
    while (status == RECO_OK && in.at < in.end) {
        reco_str key = reco__read_str(&in), value = reco__read_str(&in);
        if (in.bad)
            return damaged(err);
        if (!r->txn)
            status = reco__kv_write_begin(&r->txn, r->at, err);
        if (status == RECO_OK)
            status = reco__kv_append(r->txn, r->table, key.data, key.size, value.data, value.size, err);
        r->pending += key.size + value.size;
        if (status == RECO_OK && r->pending > TRANSACTION_BYTES)
            status = commit(r, err);
    }
    return status == RECO_CONFLICT ? damaged(err) : status;
}

/* Made in the partial folder and unlinked, so that it lies on the disk that is to hold the rest. */
static reco_status keep_snapshot(restoring *r, reco_error *err) {
    if (!r->snapshot) {
        int fd = openat(r->lock, SNAPSHOT, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlinkat(r->lock, SNAPSHOT, 0);
        r->snapshot = fd >= 0 ? fdopen(fd, "w+b") : NULL;
        if (!r->snapshot) {
            int error = errno;
            if (fd >= 0)
                close(fd);
            return reco__fail_errno(err, error, "restoring the snapshot");
        }
    }
    size_t size = r->from.payload.size;
    return fwrite(r->from.payload.data, 1, size, r->snapshot) == size ? RECO_OK
                                                                      : reco__fail_errno(err, errno ? errno : EIO, "restoring the snapshot");
}

static reco_status make_stores(restoring *r, reco_error *err) {
    uint8_t kind = 0;
    reco_status status = reco__backup_rewind(&r->from, err);
    while (status == RECO_OK && kind != RECO__BACKUP_MANIFEST) {
        status = reco__backup_get(&kind, &r->from, &r->manifest, err);
        if (status == RECO_OK && kind == RECO__BACKUP_TABLE)
            status = begin_table(r, err);
        else if (status == RECO_OK && kind == RECO__BACKUP_PAIRS)
            status = put_pairs(r, err);
        else if (status == RECO_OK && kind == RECO__BACKUP_SNAPSHOT)
            status = keep_snapshot(r, err);
        if (status == RECO_OK)
            status = reco__call_check(r->call, err);
        reco__call_progress(r->call, "restoring", "bytes", r->from.bytes, r->size);
    }
    if (status == RECO_OK)
        status = commit(r, err);
    reco__kv_abort(r->txn);
    r->txn = NULL;
    for (size_t i = 0; i < RECO__BACKUP_STORES; i++)
        reco__kv_close(r->kv[i]);
    memset(r->kv, 0, sizeof r->kv);
    if (status == RECO_OK && (!r->snapshot || fflush(r->snapshot) != 0 || fseek(r->snapshot, 0, SEEK_SET) != 0))
        status = r->snapshot ? reco__fail_errno(err, errno, "restoring the snapshot") : damaged(err);
    return status;
}

/* What was learned, by an engine on what is there by now. */
static reco_status make_features(restoring *r, reco_error *err) {
    reco_settings *settings = reco__alloc(sizeof *settings);
    reco_engine *engine = NULL;
    if (!settings)
        return reco__no_memory(err);
    *settings = *r->settings;
    settings->values.background = 0;
    settings->values.partitions = r->manifest.partitions;
    settings->values.snapshots_folder[0] = 0;
    settings->values.archive[0] = 0;
    reco_open_options options = {.struct_size = sizeof options, .flags = RECO_OPEN_NO_ANSWERS, .data = r->partial, .settings = settings};
    reco_status status = reco_open(&engine, &options, r->call, err);
    if (status == RECO_OK && memcmp(reco__stream_id(engine->stream), r->manifest.stream_id, sizeof r->manifest.stream_id) != 0)
        status = damaged(err);
    if (status == RECO_OK)
        status = reco__snapshot_load_stream(engine->features, engine, r->snapshot, r->call, err);
    reco_close(engine);
    reco__release(settings);
    return status;
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------------------- */

static reco_status publish(const restoring *r, reco_error *err) {
    for (size_t i = 0; i < FOLDERS; i++) {
        int folder = openat(r->lock, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int failed = folder < 0 || fsync(folder) != 0 ? errno : 0;
        if (folder >= 0)
            close(folder);
        if (failed)
            return reco__fail_errno(err, failed, folders[i]);
    }
    if (fsync(r->lock) != 0)
        return reco__fail_errno(err, errno, r->partial);
    int parent;
    reco_status status = reco__backup_open_parent(&parent, r->data, err);
    if (status != RECO_OK)
        return status;
    if (rename(r->partial, r->data) != 0)
        status = errno == ENOTEMPTY || errno == EEXIST
                     ? reco__fail(err, RECO_CONFLICT, "data", "%.140s is no longer empty: something else was put there meanwhile", r->data)
                     : reco__fail_errno(err, errno, r->data);
    else if (fsync(parent) != 0)
        status = reco__fail_errno(err, errno, r->data);
    close(parent);
    return status;
}

static reco_status restore(restoring *r, reco_error *err) {
    const reco__settings *settings = &r->settings->values;
    if (strcmp(settings->space, r->manifest.space) != 0)
        return reco__fail(err, RECO_REFUSED, "namespace", "the backup was taken of namespace %s, and the settings name %s", r->manifest.space,
                          settings->space);
    reco_status status = names_make(r, err);
    if (status == RECO_OK)
        status = target_check(r, err);
    if (status == RECO_OK)
        status = open_partial(r, err);
    if (status != RECO_OK)
        return status;
    status = make_stores(r, err);
    if (status == RECO_OK)
        status = make_features(r, err);
    if (status == RECO_OK)
        status = publish(r, err);
    if (status != RECO_OK && clear_partial(r, NULL) == RECO_OK)
        rmdir(r->partial);
    return status;
}

reco_status reco_restore(reco_backup_result *out, const char *path, const reco_settings *settings, uint32_t flags, const reco_call *call,
                         reco_error *err) {
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && (!path || !path[0]))
        status = reco__fail(err, RECO_INVALID, "backup", "a file name is needed");
    if (status == RECO_OK && (flags & ~RECO_RESTORE_CHECK))
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", flags);
    if (status == RECO_OK && !settings && !(flags & RECO_RESTORE_CHECK))
        status = reco__fail(err, RECO_INVALID, "settings", "they are needed");
    if (status != RECO_OK)
        return status;
    restoring *r = reco__zalloc(sizeof *r);
    if (!r)
        return reco__no_memory(err);
    r->settings = settings;
    r->call = call;
    r->lock = -1;
    status = open_file(r, path, err);
    if (status == RECO_OK)
        status = check_all(r, err);
    uint64_t bytes = r->from.bytes;
    if (status == RECO_OK && !(flags & RECO_RESTORE_CHECK))
        status = restore(r, err);
    if (status == RECO_OK && out)
        reco__backup_result(out, &r->manifest, bytes);
    if (r->lock >= 0)
        close(r->lock);
    if (r->snapshot)
        fclose(r->snapshot);
    reco__backup_file_dispose(&r->from);
    reco__release(r->data);
    reco__release(r->partial);
    reco__release(r);
    return status;
}
