/* base/buf.c - growing buffer with a limit; the first failure sticks. */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

#define CAPACITY_MIN 64u

void reco__buf_reset(reco__buf *buf) {
    buf->size = 0;
    buf->failed = RECO_OK;
}

void reco__buf_dispose(reco__buf *buf) {
    reco__release(buf->data);
    buf->data = NULL;
    buf->size = buf->capacity = 0;
    buf->failed = RECO_OK;
}

/* Room for `needed` bytes in all, whatever the limit says: the terminator does not count. */
static bool grow(reco__buf *buf, size_t needed) {
    size_t capacity = buf->capacity > CAPACITY_MIN ? buf->capacity : CAPACITY_MIN;

    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    if (buf->limit > 0 && capacity > buf->limit) {
        capacity = buf->limit < needed ? needed : buf->limit;
    }
    char *data = reco__realloc(buf->data, capacity);
    if (!data) {
        buf->failed = RECO_NO_MEMORY;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

static bool reserve_slow(reco__buf *buf, size_t more) {
    if (more > SIZE_MAX / 2 - buf->size || (buf->limit > 0 && buf->size + more > buf->limit)) {
        buf->failed = RECO_TOO_LARGE;
        return false;
    }
    return buf->size + more <= buf->capacity || grow(buf, buf->size + more);
}

/* Capacity says nothing where there is a limit: room for a terminator may lie beyond it. */
static inline bool reserve(reco__buf *buf, size_t more) {
    if (buf->failed != RECO_OK) {
        return false;
    }
    return (buf->limit == 0 && buf->capacity - buf->size >= more) || reserve_slow(buf, more);
}

bool reco__buf_reserve(reco__buf *buf, size_t more) { return reserve(buf, more); }

void reco__buf_add(reco__buf *buf, const void *data, size_t size) {
    if (size > 0 && reserve(buf, size)) {
        memcpy(buf->data + buf->size, data, size);
        buf->size += size;
    }
}

void reco__buf_byte(reco__buf *buf, uint8_t byte) {
    if (reserve(buf, 1)) {
        buf->data[buf->size++] = (char)byte;
    }
}

void reco__buf_text(reco__buf *buf, const char *text) { reco__buf_add(buf, text, strlen(text)); }

void reco__buf_printf(reco__buf *buf, const char *format, ...) {
    va_list args, again;

    if (buf->failed != RECO_OK) {
        return;
    }
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        buf->failed = RECO_INTERNAL;
    } else if (reserve(buf, (size_t)size) && (buf->capacity - buf->size > (size_t)size || grow(buf, buf->size + (size_t)size + 1))) {
        vsnprintf(buf->data + buf->size, (size_t)size + 1, format, again); /* room for the terminator was made beyond the limit */
        buf->size += (size_t)size;
    }
    va_end(again);
}

static inline void put_little(char *out, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(uint8_t)(value >> (8 * i));
    }
}

static inline void add_little(reco__buf *buf, uint64_t value, size_t size) {
    if (reserve(buf, size)) {
        put_little(buf->data + buf->size, value, size);
        buf->size += size;
    }
}

void reco__buf_u16(reco__buf *buf, uint16_t value) { add_little(buf, value, 2); }
void reco__buf_u32(reco__buf *buf, uint32_t value) { add_little(buf, value, 4); }
void reco__buf_u64(reco__buf *buf, uint64_t value) { add_little(buf, value, 8); }

static inline size_t varint_size(uint64_t value) { return (size_t)(70 - __builtin_clzll(value | 1)) / 7; }

void reco__buf_varint(reco__buf *buf, uint64_t value) {
    size_t size = varint_size(value);

    if (!reserve(buf, size)) {
        return;
    }
    char *out = buf->data + buf->size;
    buf->size += size;
    while (value >= 0x80) {
        *out++ = (char)(uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out = (char)(uint8_t)value;
}

void reco__buf_zigzag(reco__buf *buf, int64_t value) { reco__buf_varint(buf, reco__zigzag_encode(value)); }

void reco__buf_str(reco__buf *buf, const char *data, size_t size) {
    size_t header = varint_size(size);

    if (size > SIZE_MAX / 4 || !reserve(buf, header + size)) { /* both or nothing */
        buf->failed = buf->failed != RECO_OK ? buf->failed : RECO_TOO_LARGE;
        return;
    }
    reco__buf_varint(buf, size);
    reco__buf_add(buf, data, size);
}

const char *reco__buf_cstr(reco__buf *buf) {
    if (buf->failed != RECO_OK || (buf->capacity == buf->size && !grow(buf, buf->size + 1))) {
        return NULL;
    }
    buf->data[buf->size] = '\0';
    return buf->data;
}

reco_status reco__buf_status(const reco__buf *buf, reco_error *err) {
    switch (buf->failed) {
    case RECO_OK:
        return RECO_OK;
    case RECO_NO_MEMORY:
        return reco__no_memory(err);
    case RECO_TOO_LARGE:
        return reco__fail(err, RECO_TOO_LARGE, NULL, "the result is larger than %zu bytes", buf->limit);
    default:
        return reco__fail(err, buf->failed, NULL, "a value could not be written");
    }
}
