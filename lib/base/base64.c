/* base/base64.c - base64url without padding (RFC 4648, section 5): tokens that go into URLs. */
#include "base/base.h"

void reco__base64_encode(reco__buf *buf, const void *data, size_t size) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *at = data;

    for (; size > 0; at += 3) {
        size_t group = size < 3 ? size : 3;
        uint32_t bits = (uint32_t)at[0] << 16 | (group > 1 ? (uint32_t)at[1] << 8 : 0) | (group > 2 ? at[2] : 0);
        char out[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63], alphabet[bits & 63]};
        reco__buf_add(buf, out, group + 1);
        size -= group;
    }
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* One group of 2 to 4 characters; the bits beyond its last byte must be 0, so that each value has one text. */
static bool decode_group(reco__buf *buf, const char *text, size_t group) {
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < group ? value_of(text[i]) : 0;
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    if (bits & (group == 2 ? 0xFFFFu : group == 3 ? 0xFFu : 0u)) {
        return false;
    }
    uint8_t out[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    reco__buf_add(buf, out, group - 1);
    return true;
}

bool reco__base64_decode(reco__buf *buf, const char *text, size_t size) {
    size_t before = buf->size;

    if (size % 4 == 1) {
        return false;
    }
    for (size_t at = 0; at < size; at += 4) {
        if (!decode_group(buf, text + at, size - at < 4 ? size - at : 4)) {
            buf->size = before;
            return false;
        }
    }
    return true;
}
