/* records/postgres/array.c - arrays in the server's binary format: a head of five numbers, then each element with its size before it. */
#include "records/postgres/internal.h"

#include <limits.h>

static void put_be32(reco__buf *array, uint32_t value) {
    uint8_t bytes[4];
    reco__be32(bytes, value);
    reco__buf_add(array, bytes, sizeof bytes);
}

void reco__postgres_array(reco__buf *array, uint32_t type, size_t count, bool nulls) {
    put_be32(array, 1); /* dimension */
    put_be32(array, nulls);
    put_be32(array, type);
    put_be32(array, (uint32_t)count);
    put_be32(array, 1); /* first subscript */
}

void reco__postgres_put_null(reco__buf *array) { put_be32(array, UINT32_MAX); }

void reco__postgres_put_int2(reco__buf *array, uint32_t value) {
    uint8_t bytes[2];
    put_be32(array, sizeof bytes);
    reco__be16(bytes, (uint16_t)value);
    reco__buf_add(array, bytes, sizeof bytes);
}

void reco__postgres_put_int4(reco__buf *array, int32_t value) {
    put_be32(array, sizeof value);
    put_be32(array, (uint32_t)value);
}

void reco__postgres_put_int8(reco__buf *array, int64_t value) {
    uint8_t bytes[8];
    put_be32(array, sizeof bytes);
    reco__be64(bytes, (uint64_t)value);
    reco__buf_add(array, bytes, sizeof bytes);
}

void reco__postgres_put_float8(reco__buf *array, double value) {
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    reco__postgres_put_int8(array, bits);
}

void reco__postgres_put_text(reco__buf *array, reco_str text) {
    put_be32(array, text.data ? (uint32_t)text.size : UINT32_MAX);
    if (text.data)
        reco__buf_add(array, text.data, text.size);
}

reco_status reco__postgres_array_status(const reco__buf *array, const char *field, reco_error *err) {
    reco_status status = reco__buf_status(array, err);
    if (status == RECO_OK && array->size > INT_MAX)
        status = reco__fail(err, RECO_TOO_LARGE, field, "too many bytes for one call");
    return status;
}
