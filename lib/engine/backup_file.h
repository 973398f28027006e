/* engine/backup_file.h - the file of a backup, version 1.
 *
 * "RECOBACK", u32 version, then frames as in a snapshot (engine/snapshot_file.h): u8 kind, u32 size, payload, u32 checksum of all three. Kinds:
 *   TABLE     u8 store (1 stream, 2 records), u32 version of the store's format, string format, string name: the pairs that follow are of this table
 *   PAIRS     per pair string key, string value; keys ascend
 *   SNAPSHOT  the next bytes of a snapshot file
 *   MANIFEST  the last frame, once: what reco__backup_manifest holds, and a hash over all frames before it, so that one that is missing, doubled or
 *             of another backup is found out as well
 * A file without a manifest is no backup, however it came about. */
#ifndef RECO__ENGINE_BACKUP_FILE_H
#define RECO__ENGINE_BACKUP_FILE_H

#include <stdio.h>

#include "engine/engine.h"

#define RECO__BACKUP_VERSION 1u

enum { RECO__BACKUP_TABLE = 1, RECO__BACKUP_PAIRS, RECO__BACKUP_SNAPSHOT, RECO__BACKUP_MANIFEST };
enum { RECO__BACKUP_STREAM = 1, RECO__BACKUP_RECORDS, RECO__BACKUP_STORES };

typedef struct reco__backup_manifest {
    char library[32], space[65], hash[40]; /* who wrote it; the namespace whose features it holds, and their state hash */
    uint8_t stream_id[16];
    uint32_t partitions, spaces; /* spaces: namespaces whose streams it holds */
    int64_t created_at, learned[RECO_PARTITIONS_MAX], end[RECO_PARTITIONS_MAX];
    uint64_t records, documents, pair_bytes, snapshot_bytes, frames;
} reco__backup_manifest;

/* One backup being written or read. CONFINED. */
typedef struct reco__backup_file {
    FILE *file;
    uint64_t chain, frames, bytes;
    reco__buf payload;
} reco__backup_file;

reco_status reco__backup_begin(reco__backup_file *to, reco_error *err);
/* Writes `payload` as a frame, unless it is empty, and empties it. */
reco_status reco__backup_put(reco__backup_file *to, uint8_t kind, reco_error *err);
reco_status reco__backup_end(reco__backup_file *to, reco__backup_manifest *manifest, reco_error *err);

/* From the beginning of the file: CORRUPT or NEWER when it is no backup this library reads. */
reco_status reco__backup_rewind(reco__backup_file *from, reco_error *err);
/* The next frame into `payload`. The manifest is checked and read into *manifest; there is nothing behind it. CORRUPT. */
reco_status reco__backup_get(uint8_t *kind, reco__backup_file *from, reco__backup_manifest *manifest, reco_error *err);
/* Takes a TABLE frame apart; strings borrowed from it. */
reco_status reco__backup_table(uint32_t *store, uint32_t *version, reco_str *format, reco_str *name, const reco__backup_file *from, reco_error *err);

/* What is told of a backup; struct_size stays. */
void reco__backup_result(reco_backup_result *out, const reco__backup_manifest *manifest, uint64_t bytes);
/* The folder a name lies in, to be synced once something was renamed there. */
reco_status reco__backup_open_parent(int *fd, const char *path, reco_error *err);
void reco__backup_file_dispose(reco__backup_file *file); /* also closes it */

#endif
