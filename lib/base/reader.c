/* base/reader.c - bounded reading of bytes. A failed read moves `at` to the end, so that the bounds check of the next one fails too. */
#include "base/base.h"

static inline const uint8_t *take(reco__reader *reader, size_t size) {
    const uint8_t *at = reader->at;

    if ((size_t)(reader->end - at) < size) {
        reader->bad = true;
        reader->at = reader->end;
        return NULL;
    }
    reader->at = at + size;
    return at;
}

static inline uint64_t read_little(reco__reader *reader, size_t size) {
    const uint8_t *at = take(reader, size);
    uint64_t value = 0;

    for (size_t i = 0; at && i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

uint8_t reco__read_u8(reco__reader *reader) { return (uint8_t)read_little(reader, 1); }
uint16_t reco__read_u16(reco__reader *reader) { return (uint16_t)read_little(reader, 2); }
uint32_t reco__read_u32(reco__reader *reader) { return (uint32_t)read_little(reader, 4); }
uint64_t reco__read_u64(reco__reader *reader) { return read_little(reader, 8); }

static uint64_t fail(reco__reader *reader) {
    reader->bad = true;
    reader->at = reader->end;
    return 0;
}

uint64_t reco__read_varint(reco__reader *reader) {
    const uint8_t *at = reader->at, *end = reader->end;
    uint64_t value = 0;

    if (at < end && *at < 0x80) {
        reader->at = at + 1;
        return *at;
    }
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            if (byte == 0 || (shift == 63 && byte > 1)) { /* a shorter form exists; bits beyond 64 */
                break;
            }
            reader->at = at;
            return value;
        }
    }
    return fail(reader);
}

int64_t reco__read_zigzag(reco__reader *reader) { return reco__zigzag_decode(reco__read_varint(reader)); }

const uint8_t *reco__read_bytes(reco__reader *reader, size_t size) { return reader->bad ? NULL : take(reader, size); }

reco_str reco__read_str(reco__reader *reader) {
    uint64_t size = reco__read_varint(reader);
    reco_str str = {NULL, 0};

    if (size > (size_t)(reader->end - reader->at)) {
        fail(reader);
    } else if (!reader->bad) {
        str.data = (const char *)take(reader, (size_t)size);
        str.size = (size_t)size;
    }
    return str;
}
