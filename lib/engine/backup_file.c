/* engine/backup_file.c - frames of a backup; see backup_file.h. */
#include "engine/backup_file.h"

#include <errno.h>

#include "engine/snapshot_file.h"

static const char magic[8] = {'R', 'E', 'C', 'O', 'B', 'A', 'C', 'K'};

/* The frames are those of snapshots, and speak of them. */
static reco_status renamed(reco_status status, reco_error *err) {
    if (status != RECO_OK && err && strcmp(err->field, "snapshot") == 0)
        memcpy(err->field, "backup", sizeof "backup");
    return status;
}

static reco_status damaged(reco_error *err) { return reco__fail(err, RECO_CORRUPT, "backup", "the content of the backup is damaged"); }

static uint64_t chain_on(uint64_t chain, uint8_t kind, const reco__buf *payload) {
    return reco__hash64(payload->data, payload->size, chain * 31 + kind);
}

/* --- writing ------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__backup_begin(reco__backup_file *to, reco_error *err) {
    uint8_t head[12];
    memcpy(head, magic, sizeof magic);
    for (int i = 0; i < 4; i++)
        head[8 + i] = (uint8_t)(RECO__BACKUP_VERSION >> (8 * i));
    to->bytes = sizeof head;
    return fwrite(head, 1, sizeof head, to->file) == sizeof head ? RECO_OK : reco__fail_errno(err, errno ? errno : EIO, "writing the backup");
}

reco_status reco__backup_put(reco__backup_file *to, uint8_t kind, reco_error *err) {
    if (to->payload.size == 0)
        return reco__buf_status(&to->payload, err);
    to->chain = chain_on(to->chain, kind, &to->payload);
    to->frames++;
    to->bytes += to->payload.size + 9;
    return renamed(reco__frame_write(to->file, kind, &to->payload, err), err);
}

reco_status reco__backup_end(reco__backup_file *to, reco__backup_manifest *manifest, reco_error *err) {
    reco__buf *out = &to->payload;
    manifest->frames = to->frames;
    reco__buf_reset(out);
    reco__buf_str(out, manifest->library, strlen(manifest->library));
    reco__buf_str(out, manifest->space, strlen(manifest->space));
    reco__buf_str(out, manifest->hash, strlen(manifest->hash));
    reco__buf_add(out, manifest->stream_id, sizeof manifest->stream_id);
    reco__buf_u64(out, (uint64_t)manifest->created_at);
    reco__buf_u32(out, manifest->spaces);
    reco__buf_u32(out, manifest->partitions);
    for (uint32_t p = 0; p < manifest->partitions; p++) {
        reco__buf_u64(out, (uint64_t)manifest->learned[p]);
        reco__buf_u64(out, (uint64_t)manifest->end[p]);
    }
    reco__buf_u64(out, manifest->records);
    reco__buf_u64(out, manifest->documents);
    reco__buf_u64(out, manifest->pair_bytes);
    reco__buf_u64(out, manifest->snapshot_bytes);
    reco__buf_u64(out, manifest->frames);
    reco__buf_u64(out, to->chain);
    to->bytes += out->size + 9;
    return renamed(reco__frame_write(to->file, RECO__BACKUP_MANIFEST, out, err), err);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__backup_rewind(reco__backup_file *from, reco_error *err) {
    uint8_t head[12];
    rewind(from->file);
    from->chain = from->frames = 0;
    from->bytes = sizeof head;
    if (fread(head, 1, sizeof head, from->file) != sizeof head || memcmp(head, magic, sizeof magic) != 0)
        return reco__fail(err, RECO_CORRUPT, "backup", "the file is not a backup");
    uint32_t version = (uint32_t)head[8] | (uint32_t)head[9] << 8 | (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
    if (version > RECO__BACKUP_VERSION)
        return reco__fail(err, RECO_NEWER, "backup", "the backup has version %u, this library reads up to %u", version, RECO__BACKUP_VERSION);
    return version == RECO__BACKUP_VERSION ? RECO_OK : reco__fail(err, RECO_CORRUPT, "backup", "backup version %u does not exist", version);
}

static bool read_text(char *out, size_t room, reco__reader *reader) {
    reco_str text = reco__read_str(reader);
    if (reader->bad || text.size >= room)
        return false;
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}

static bool read_manifest(reco__backup_manifest *out, uint64_t *chain, const reco__buf *payload) {
    reco__reader in = reco__reader_of(payload->data, payload->size);
    memset(out, 0, sizeof *out);
    if (!read_text(out->library, sizeof out->library, &in) || !read_text(out->space, sizeof out->space, &in) ||
        !read_text(out->hash, sizeof out->hash, &in))
        return false;
    const uint8_t *id = reco__read_bytes(&in, sizeof out->stream_id);
    if (!id)
        return false;
    memcpy(out->stream_id, id, sizeof out->stream_id);
    out->created_at = (int64_t)reco__read_u64(&in);
    out->spaces = reco__read_u32(&in);
    out->partitions = reco__read_u32(&in);
    if (in.bad || out->partitions == 0 || out->partitions > RECO_PARTITIONS_MAX)
        return false;
    for (uint32_t p = 0; p < out->partitions; p++) {
        out->learned[p] = (int64_t)reco__read_u64(&in);
        out->end[p] = (int64_t)reco__read_u64(&in);
    }
    out->records = reco__read_u64(&in);
    out->documents = reco__read_u64(&in);
    out->pair_bytes = reco__read_u64(&in);
    out->snapshot_bytes = reco__read_u64(&in);
    out->frames = reco__read_u64(&in);
    *chain = reco__read_u64(&in);
    return !in.bad && in.at == in.end;
}

reco_status reco__backup_get(uint8_t *kind, reco__backup_file *from, reco__backup_manifest *manifest, reco_error *err) {
    reco_status status = renamed(reco__frame_read(kind, from->file, &from->payload, err), err);
    if (status == RECO_NOT_FOUND)
        return reco__fail(err, RECO_CORRUPT, "backup", "the file is cut off: it has no manifest, so the backup never was finished or lost its end");
    if (status != RECO_OK)
        return status;
    from->bytes += from->payload.size + 9;
    if (*kind < RECO__BACKUP_TABLE || *kind > RECO__BACKUP_MANIFEST)
        return damaged(err);
    if (*kind != RECO__BACKUP_MANIFEST) {
        from->chain = chain_on(from->chain, *kind, &from->payload);
        from->frames++;
        return RECO_OK;
    }
    uint64_t chain = 0;
    if (!read_manifest(manifest, &chain, &from->payload))
        return damaged(err);
    if (chain != from->chain || manifest->frames != from->frames)
        return reco__fail(err, RECO_CORRUPT, "backup", "the parts of the file are not those its manifest speaks of");
    if (fgetc(from->file) != EOF)
        return reco__fail(err, RECO_CORRUPT, "backup", "the file goes on behind its manifest");
    return RECO_OK;
}

reco_status reco__backup_table(uint32_t *store, uint32_t *version, reco_str *format, reco_str *name, const reco__backup_file *from, reco_error *err) {
    reco__reader in = reco__reader_of(from->payload.data, from->payload.size);
    *store = reco__read_u8(&in);
    *version = reco__read_u32(&in);
    *format = reco__read_str(&in);
    *name = reco__read_str(&in);
    bool fine = !in.bad && in.at == in.end && *store >= RECO__BACKUP_STREAM && *store < RECO__BACKUP_STORES && name->size > 0 && name->size < 512;
    return fine ? RECO_OK : damaged(err);
}

void reco__backup_file_dispose(reco__backup_file *file) {
    if (file->file)
        fclose(file->file);
    file->file = NULL;
    reco__buf_dispose(&file->payload);
}
