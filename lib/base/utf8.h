/* base/utf8.h - the one place that knows how UTF-8 is formed; for the files of this room. */
#ifndef RECO__BASE_UTF8_H
#define RECO__BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Size in bytes of the well-formed sequence that begins at `at`, 0 when there is none. Surrogates, over-long forms and values above U+10FFFF are not
 * well formed. NUL is one byte like any other. */
static inline size_t reco__utf8_sequence(const uint8_t *at, const uint8_t *end) {
    size_t left = (size_t)(end - at), size;
    uint8_t low = 0x80, high = 0xBF; /* what the second byte may be; the first byte narrows it */

    if (left == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] < 0xC2 || at[0] > 0xF4) {
        return 0;
    }
    if (at[0] < 0xE0) {
        size = 2;
    } else if (at[0] < 0xF0) {
        size = 3;
        low = at[0] == 0xE0 ? 0xA0 : 0x80;
        high = at[0] == 0xED ? 0x9F : 0xBF;
    } else {
        size = 4;
        low = at[0] == 0xF0 ? 0x90 : 0x80;
        high = at[0] == 0xF4 ? 0x8F : 0xBF;
    }
    if (left < size || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* The largest size <= `size` that does not cut the last sequence of `text` in two. Bytes that are no UTF-8 anyway are kept. */
static inline size_t reco__utf8_cut(const char *text, size_t size) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t lead = size;

    while (lead > 0 && size - lead < 3 && (bytes[lead - 1] & 0xC0) == 0x80) {
        lead--;
    }
    if (lead == 0 || bytes[lead - 1] < 0xC0) {
        return size;
    }
    lead--;
    size_t wants = bytes[lead] < 0xE0 ? 2 : bytes[lead] < 0xF0 ? 3 : 4;
    return size - lead < wants ? lead : size;
}

#endif
