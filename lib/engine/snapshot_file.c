/* engine/snapshot_file.c - frames of a snapshot; see snapshot_file.h. */
#include "engine/snapshot_file.h"

#include <errno.h>

static const char magic[8] = {'R', 'E', 'C', 'O', 'S', 'N', 'A', 'P'};

static reco_status write_all(FILE *file, const void *data, size_t size, reco_error *err) {
    return size == 0 || fwrite(data, 1, size, file) == size ? RECO_OK : reco__fail_errno(err, errno ? errno : EIO, "writing the snapshot");
}

static void put32(uint8_t out[4], uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get32(const uint8_t in[4]) { return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24; }

static uint32_t frame_checksum(const uint8_t head[5], const void *payload, size_t size) {
    uint8_t both[9];
    memcpy(both, head, 5);
    put32(both + 5, reco__checksum(payload, size));
    return reco__checksum(both, sizeof both);
}

reco_status reco__frames_begin(FILE *file, reco_error *err) {
    uint8_t version[4];
    put32(version, RECO__SNAPSHOT_VERSION);
    reco_status status = write_all(file, magic, sizeof magic, err);
    return status == RECO_OK ? write_all(file, version, sizeof version, err) : status;
}

reco_status reco__frame_write(FILE *file, uint8_t kind, reco__buf *payload, reco_error *err) {
    uint8_t head[5] = {kind}, tail[4];
    reco_status status = reco__buf_status(payload, err);
    if (status != RECO_OK || payload->size == 0)
        return status;
    if (payload->size > RECO__FRAME_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "snapshot", "a row is larger than a frame may be");
    put32(head + 1, (uint32_t)payload->size);
    put32(tail, frame_checksum(head, payload->data, payload->size));
    status = write_all(file, head, sizeof head, err);
    if (status == RECO_OK)
        status = write_all(file, payload->data, payload->size, err);
    if (status == RECO_OK)
        status = write_all(file, tail, sizeof tail, err);
    reco__buf_reset(payload);
    return status;
}

reco_status reco__frames_open(FILE *file, reco_error *err) {
    uint8_t raw[12];
    if (fread(raw, 1, sizeof raw, file) != sizeof raw || memcmp(raw, magic, sizeof magic) != 0)
        return reco__fail(err, RECO_CORRUPT, "snapshot", "the file is not a snapshot");
    uint32_t version = get32(raw + 8);
    if (version > RECO__SNAPSHOT_VERSION)
        return reco__fail(err, RECO_NEWER, "snapshot", "snapshot version %u, this library reads up to %u", version, RECO__SNAPSHOT_VERSION);
    return version == RECO__SNAPSHOT_VERSION ? RECO_OK : reco__fail(err, RECO_CORRUPT, "snapshot", "snapshot version %u does not exist", version);
}

/* Payload bytes are read in pieces, so that a damaged size does not make us reserve a gigabyte for nothing. */
static bool read_payload(FILE *file, reco__buf *payload, size_t size) {
    while (size > 0 && !payload->failed) {
        size_t piece = size < (1u << 20) ? size : 1u << 20;
        if (!reco__buf_reserve(payload, piece) || fread(payload->data + payload->size, 1, piece, file) != piece)
            return false;
        payload->size += piece;
        size -= piece;
    }
    return !payload->failed;
}

reco_status reco__frame_read(uint8_t *kind, FILE *file, reco__buf *payload, reco_error *err) {
    uint8_t head[5], tail[4];
    reco__buf_reset(payload);
    size_t got = fread(head, 1, sizeof head, file);
    if (got == 0 && feof(file))
        return RECO_NOT_FOUND;
    uint32_t size = got == sizeof head ? get32(head + 1) : 0;
    if (got != sizeof head || size == 0 || size > RECO__FRAME_MAX)
        return reco__fail(err, RECO_CORRUPT, "snapshot", "the file is cut off or damaged");
    bool whole = read_payload(file, payload, size) && fread(tail, 1, sizeof tail, file) == sizeof tail;
    if (payload->failed)
        return reco__buf_status(payload, err);
    if (!whole || get32(tail) != frame_checksum(head, payload->data, payload->size))
        return reco__fail(err, RECO_CORRUPT, "snapshot", "a part of the file is cut off or damaged");
    *kind = head[0];
    return RECO_OK;
}

reco_status reco__frames_check(const char *path, reco_error *err) {
    reco__buf payload = {0};
    uint8_t kind = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return reco__fail_errno(err, errno, path);
    reco_status status = reco__frames_open(file, err);
    while (status == RECO_OK)
        status = reco__frame_read(&kind, file, &payload, err);
    if (status == RECO_NOT_FOUND)
        status = kind == RECO__FRAME_END ? RECO_OK : reco__fail(err, RECO_CORRUPT, "snapshot", "the end of the file is missing");
    reco__buf_dispose(&payload);
    fclose(file);
    return status;
}
