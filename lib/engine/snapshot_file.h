/* engine/snapshot_file.h - the snapshot file, version 1: frames.
 *
 * "RECOSNAP", u32 version, then frames: u8 kind, u32 size, payload, u32 checksum of kind, size and payload. Kinds come in this order, each as often
 * as needed but HEAD and END once: HEAD  stream id (16 bytes), u64 epoch, varint P, per partition zigzag offset and zigzag clock, string fingerprint
 *   NAMES strings: the items named below, sorted bytewise; the n-th name of all frames has index n
 *   ROWS  varint board, zigzag generation, varint index of the item + 1 (0 for popularity), varint count, then per entry: varint difference of index
 * to the entry before (first: index), zigzag sum. Sorted by (board, generation, item, member). DEBTS like ROWS; empty until erasure CELLS varint
 * partition, string user, string canonical cell. Sorted by user. END   u64 rows, entries, cells, 16 bytes state hash (high, low), all little-endian
 * Equal states of one stream give equal bytes but for the epoch, whatever backend wrote them. */
#ifndef RECO__ENGINE_SNAPSHOT_FILE_H
#define RECO__ENGINE_SNAPSHOT_FILE_H

#include <stdio.h>

#include "base/base.h"

#define RECO__SNAPSHOT_VERSION 1u
#define RECO__FRAME_SOFT (256u << 10) /* a frame is written when it is larger */
#define RECO__FRAME_MAX (1u << 30)

enum { RECO__FRAME_HEAD = 1, RECO__FRAME_NAMES, RECO__FRAME_ROWS, RECO__FRAME_DEBTS, RECO__FRAME_CELLS, RECO__FRAME_END };

reco_status reco__frames_begin(FILE *file, reco_error *err);
/* Writes a frame unless it is empty, and empties `payload`. */
reco_status reco__frame_write(FILE *file, uint8_t kind, reco__buf *payload, reco_error *err);
reco_status reco__frames_open(FILE *file, reco_error *err); /* checks magic and version: CORRUPT, NEWER */
/* The next frame into `payload`; NOT_FOUND at the end of the file; CORRUPT when damaged. */
reco_status reco__frame_read(uint8_t *kind, FILE *file, reco__buf *payload, reco_error *err);
/* Whether every frame of the file is as it was written, down to the last. CORRUPT, NEWER, IO, NOT_FOUND. */
reco_status reco__frames_check(const char *path, reco_error *err);

#endif
