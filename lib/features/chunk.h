/* features/chunk.h - changes to packed lists of entries without unpacking them. */
#ifndef RECO__FEATURES_CHUNK_H
#define RECO__FEATURES_CHUNK_H

#include "features/varint.h"
#include <reco/plugin/board.h>

/* The packed list `in` with `count` adds (sorted by member, distinct) summed into it, written to out, which has room for in_size + count *
 * RECO_PACKED_ENTRY_MAX bytes. Members whose sum becomes 0 are left out. totals[i]: the member's sum afterwards. *size: bytes written. CORRUPT when
 * `in` is not a packed list. */
reco_status reco__chunk_add(size_t *size, uint8_t *out, int64_t *totals, const uint8_t *in, size_t in_size, const reco_add *adds, size_t count);

/* Adds to totals[i] what the packed list has for members[i] (ascending), from i = *next on, up to the last of them that is not beyond the list; *next
 * is moved on. */
reco_status reco__chunk_look_up(int64_t *totals, size_t *next, const uint32_t *members, size_t count, const uint8_t *in, size_t in_size);

/* The size of the longest beginning of the packed list that has at most `target` bytes, but at least one entry; *last is its last member. */
size_t reco__chunk_piece(uint32_t *last, const uint8_t *in, size_t in_size, size_t target);

#endif
