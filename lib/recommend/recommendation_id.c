/* recommend/recommendation_id.c - what an answer is called, so that a click says by itself what it was a click on.
 *
 * Base64url without padding of: u8 version 1, varint key number, u64 hash of the plan, u64 nonce, varint milliseconds since 1970, then scenario,
 * model and variant, each a varint size and bytes; then, over all of that, the 8 bytes of its SipHash-2-4 under the namespace's key, little-endian.
 * It is signed, not secret: whoever has one can read it, nobody without the key can make one. It does not name the user. */
#include "recommend/recommend.h"

#define VERSION 1u
#define TAG_SIZE 8u
#define TEXT_MAX 1024u

void reco__recommendation_id_make(reco__buf *out, const reco__recommendation_id *id, const uint8_t key[16]) {
    char room[512];
    reco__buf bytes = {.data = room, .capacity = sizeof(room), .limit = sizeof(room)}; /* names are at most 64 bytes each: it does not grow */

    if (id->scenario.size + id->model.size + id->variant.size > 384) {
        out->failed = out->failed != RECO_OK ? out->failed : RECO_TOO_LARGE;
        return;
    }
    reco__buf_byte(&bytes, VERSION);
    reco__buf_varint(&bytes, id->key_number);
    reco__buf_u64(&bytes, id->plan);
    reco__buf_u64(&bytes, id->nonce);
    reco__buf_varint(&bytes, (uint64_t)id->time);
    reco__buf_str(&bytes, id->scenario.data, id->scenario.size);
    reco__buf_str(&bytes, id->model.data, id->model.size);
    reco__buf_str(&bytes, id->variant.data, id->variant.size);
    reco__buf_u64(&bytes, reco__siphash24(key, bytes.data, bytes.size));
    reco__base64_encode(out, bytes.data, bytes.size);
}

/* Equal in a time that does not depend on where they differ. */
static bool same_tag(uint64_t a, uint64_t b) {
    volatile uint64_t difference = a ^ b;
    return difference == 0;
}

static bool read_fields(reco__recommendation_id *id, reco__reader *reader) {
    bool version = reco__read_u8(reader) == VERSION;

    id->key_number = (uint32_t)reco__read_varint(reader);
    id->plan = reco__read_u64(reader);
    id->nonce = reco__read_u64(reader);
    id->time = (int64_t)reco__read_varint(reader);
    id->scenario = reco__read_str(reader);
    id->model = reco__read_str(reader);
    id->variant = reco__read_str(reader);
    return version && !reader->bad && reader->at == reader->end;
}

bool reco__recommendation_id_check(reco__recommendation_id *id, reco__buf *scratch, reco_str text, uint32_t key_number, const uint8_t key[16]) {
    reco__recommendation_id found;

    reco__buf_reset(scratch);
    if (text.size == 0 || text.size > TEXT_MAX || !reco__base64_decode(scratch, text.data, text.size) || scratch->failed != RECO_OK ||
        scratch->size <= TAG_SIZE) {
        return false;
    }
    size_t size = scratch->size - TAG_SIZE;
    reco__reader tag = reco__reader_of(scratch->data + size, TAG_SIZE), fields = reco__reader_of(scratch->data, size);
    if (!same_tag(reco__read_u64(&tag), reco__siphash24(key, scratch->data, size)) || !read_fields(&found, &fields) ||
        found.key_number != key_number) {
        return false;
    }
    if (id) {
        *id = found;
    }
    return true;
}
