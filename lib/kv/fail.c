/* kv/fail.c - LMDB's return codes in our words, and the checks every entry makes. */
#include "kv/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

reco_status reco__kv_alive(const reco__kv *kv, reco_error *err) {
    if (kv->alive ? *kv->alive == 1 : getpid() == kv->pid) {
        return RECO_OK;
    }
    return reco__fail(err, RECO_FORKED, NULL, "the store was opened before fork(); open it again in the child");
}

uint64_t reco__kv_free_bytes(const reco__kv *kv) {
    struct statvfs vfs;
    int fd = kv->lock_fd;
    if (fd < 0 || fstatvfs(fd, &vfs) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

reco_status reco__kv_check_space(const reco__kv *kv, reco_error *err) {
    if (kv->options.min_free == 0 || (kv->flags & RECO__KV_MEMORY)) { /* shared memory is no disk, and often smaller than what a disk is to keep */
        return RECO_OK;
    }
    uint64_t left = reco__kv_free_bytes(kv);
    if (left >= kv->options.min_free) {
        return RECO_OK;
    }
    return reco__fail(err, RECO_FULL, "min_free", "%llu bytes are left on the disk, %llu are to be kept free", (unsigned long long)left,
                      (unsigned long long)kv->options.min_free);
}

static reco_status fail_system(reco__kv *kv, int rc, const char *what, reco_error *err) {
    bool nearly_full = rc == EIO && reco__kv_free_bytes(kv) < KV_NEARLY_FULL;
    if ((kv->flags & RECO__KV_MEMORY) && (nearly_full || rc == ENOSPC)) {
        return reco__fail(err, RECO_FULL, NULL, "%s: shared memory is full (%s)", what, kv->memory_folder);
    }
    if (nearly_full) {
        return reco__fail(err, RECO_FULL, NULL, "%s: the disk is full", what);
    }
    if (rc == EACCES && (kv->flags & RECO__KV_READONLY)) {
        return reco__fail(err, RECO_UNSUPPORTED, NULL, "%s: the store is open for reading only", what);
    }
    char where[200];
    snprintf(where, sizeof where, "%s: %s", kv->path && *kv->path ? kv->path : "memory", what);
    return reco__fail_errno(err, rc, kv->path && strcmp(what, kv->path) == 0 ? what : where);
}

reco_status reco__kv_fail(reco__kv *kv, int rc, const char *what, reco_error *err) {
    switch (rc) {
    case MDB_NOTFOUND:
        return reco__fail(err, RECO_NOT_FOUND, NULL, "%s: not found", what);
    case MDB_KEYEXIST:
        return reco__fail(err, RECO_CONFLICT, NULL, "%s: the key is not beyond the last one", what);
    case MDB_MAP_FULL:
        return reco__fail(err, RECO_FULL, "map_size", "%s: the store has reached its map size", what);
    case MDB_DBS_FULL:
        return reco__fail(err, RECO_FULL, "max_tables", "%s: no room for another table", what);
    case MDB_READERS_FULL:
        return reco__fail(err, RECO_BUSY, NULL, "%s: all reader slots are taken", what);
    case MDB_TXN_FULL:
        return reco__fail(err, RECO_TOO_LARGE, NULL, "%s: the transaction is too large", what);
    case MDB_MAP_RESIZED:
        return reco__fail(err, RECO_BUSY, "map_size", "%s: the map is being resized", what);
    case MDB_PANIC:
        return reco__fail(err, RECO_UNAVAILABLE, NULL, "%s: the store failed and is to be opened again", what);
    case MDB_BAD_VALSIZE:
        return reco__fail(err, RECO_TOO_LARGE, NULL, "%s: key of 0 or more than 511 bytes, or value too large", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_INVALID:
        return reco__fail(err, RECO_CORRUPT, NULL, "%s: %s", what, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return reco__fail(err, RECO_NEWER, NULL, "%s: another version of LMDB's format", what);
    default:
        break;
    }
    if (rc > 0) {
        return fail_system(kv, rc, what, err);
    }
    return reco__fail(err, RECO_INTERNAL, NULL, "%s: %s", what, mdb_strerror(rc));
}
