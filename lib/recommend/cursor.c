/* recommend/cursor.c - pages.
 *
 * Between two pages events arrive and items change, so that a place in an order means nothing. A cursor therefore says which items were shown, and
 * the next page is the best of all others: it never repeats one. Nothing is kept on the server. An item is 32 bits of the hash of its id: that one
 * item is taken for another of a thousand and left out happens once in four million items. With variants collapsed, the parent of a variant is noted
 * beside it, so that no other variant of the same thing comes on a later page.
 *
 *     u8 version, u64 check, u32 hash ...   hashes ascending; base64url; check: xxh64 of the hashes, seeded by the hash of the question
 *
 * The check tells a cursor of another question, or a damaged one, apart. It is no signature: who forges one leaves items out for himself. */
#include <stdlib.h>

#include "recommend/candidates.h"
#include "recommend/cursor.h"

#define VERSION 1u
#define HEAD 9u
#define TEXT_MOST ((HEAD + RECO_PAGED_MAX * 4u) * 4u / 3u + 4u)

static int by_hash(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t short_hash(uint64_t hash) { return (uint32_t)(hash >> 32); }

static uint64_t check_of(const reco__sieve *sieve, const void *hashes, size_t size) { return reco__hash64(hashes, size, sieve->question); }

static reco_status reserve_shown(reco__sieve *sieve, size_t count, reco_error *err) {
    void *shown = sieve->shown;
    bool grown = reco__candidates_grow(&shown, &sieve->shown_room, count, sizeof(*sieve->shown));

    sieve->shown = shown;
    return grown ? RECO_OK : reco__no_memory(err);
}

static reco_status take_hashes(reco__sieve *sieve, const reco__buf *bytes, reco_error *err) {
    reco__reader reader = reco__reader_of(bytes->data, bytes->size);
    size_t count = (bytes->size - HEAD) / 4;
    uint8_t version = reco__read_u8(&reader);
    uint64_t check = reco__read_u64(&reader);

    if (version != VERSION || check != check_of(sieve, bytes->data + HEAD, bytes->size - HEAD)) {
        return reco__fail(err, RECO_INVALID, "cursor", "it is not the next of an answer to this question");
    }
    reco_status status = reserve_shown(sieve, count, err);
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        sieve->shown[i] = reco__read_u32(&reader);
    }
    sieve->paged_count = status == RECO_OK ? count : 0;
    if (count > 1 && status == RECO_OK) { /* they are, unless somebody forged it */
        qsort(sieve->shown, count, sizeof(*sieve->shown), by_hash);
    }
    return status;
}

reco_status reco__cursor_read(reco__sieve *sieve, reco_str cursor, reco_error *err) {
    reco__buf bytes = {0};
    reco_status status;

    if (cursor.size == 0) {
        return RECO_OK;
    }
    if (cursor.size > TEXT_MOST || !cursor.data) {
        return reco__fail(err, RECO_INVALID, "cursor", "it is not the next of an answer");
    }
    bool decoded = reco__base64_decode(&bytes, cursor.data, cursor.size);
    if (bytes.failed != RECO_OK) {
        status = reco__no_memory(err);
    } else if (!decoded || bytes.size < HEAD || (bytes.size - HEAD) % 4 != 0) {
        status = reco__fail(err, RECO_INVALID, "cursor", "it is not the next of an answer");
    } else {
        status = take_hashes(sieve, &bytes, err);
    }
    reco__buf_dispose(&bytes);
    return status;
}

bool reco__cursor_has(const reco__sieve *sieve, uint64_t hash) {
    uint32_t key = short_hash(hash);
    return sieve->paged_count > 0 && bsearch(&key, sieve->shown, sieve->paged_count, sizeof(*sieve->shown), by_hash);
}

reco_status reco__cursor_add(reco__sieve *sieve, uint64_t hash, uint64_t product, reco_error *err) {
    reco_status status = reserve_shown(sieve, sieve->shown_count + 2, err);

    if (status == RECO_OK) {
        sieve->shown[sieve->shown_count++] = short_hash(hash);
        if (product != 0) {
            sieve->shown[sieve->shown_count++] = short_hash(product);
        }
    }
    return status;
}

/* Sorted, each once. */
static size_t sort_shown(reco__sieve *sieve) {
    size_t count = 0;

    if (sieve->shown_count > 1) {
        qsort(sieve->shown, sieve->shown_count, sizeof(*sieve->shown), by_hash);
    }
    for (size_t i = 0; i < sieve->shown_count; i++) {
        if (count == 0 || sieve->shown[count - 1] != sieve->shown[i]) {
            sieve->shown[count++] = sieve->shown[i];
        }
    }
    sieve->shown_count = count;
    return count;
}

void reco__cursor_write(reco__buf *out, reco__buf *scratch, reco__sieve *sieve) {
    size_t count = sort_shown(sieve);

    if (count >= RECO_PAGED_MAX) {
        return;
    }
    reco__buf_reset(scratch);
    reco__buf_byte(scratch, VERSION);
    reco__buf_u64(scratch, 0);
    for (size_t i = 0; i < count; i++) {
        reco__buf_u32(scratch, sieve->shown[i]);
    }
    if (scratch->failed != RECO_OK) {
        out->failed = scratch->failed;
        return;
    }
    uint64_t check = check_of(sieve, scratch->data + HEAD, scratch->size - HEAD);
    for (size_t i = 0; i < 8; i++) {
        scratch->data[1 + i] = (char)(check >> 8 * i);
    }
    reco__base64_encode(out, scratch->data, scratch->size);
}
