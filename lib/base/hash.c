/* base/hash.c - hashes of stored bytes and of names, all of xxHash. Their values are part of the formats. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/base.h"

uint64_t reco__hash64(const void *data, size_t size, uint64_t seed) { return XXH64(data, size, seed); }

uint32_t reco__checksum(const void *data, size_t size) { return (uint32_t)XXH3_64bits(data, size); }

reco__u128 reco__hash128(const void *data, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(data, size);
    reco__u128 value = {hash.low64, hash.high64};
    return value;
}
