/* base/base.h - what every room stands on: errors, memory, strings, bytes. Knows nothing of recommenders. */
#ifndef RECO__BASE_H
#define RECO__BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <reco/memory.h>
#include <reco/status.h>

/* --- errors ------------------------------------------------------------------------------------------------------------------------------ */

/* Fills `err` (NULL allowed) and returns `status`, so that a failure is one line: `return reco__fail(err, RECO_INVALID, "limit", "...");`
 * `field` may be NULL. The text is cut to fit, at a UTF-8 boundary. */
reco_status reco__fail(reco_error *err, reco_status status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for element `index` of an array argument. */
reco_status reco__fail_at(reco_error *err, reco_status status, int32_t index, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* RECO_NO_MEMORY with its text. */
reco_status reco__no_memory(reco_error *err);
/* An error that was filled in elsewhere: answers its status. */
reco_status reco__fail_as(reco_error *err, const reco_error *error);
/* Status for an errno value: ENOSPC, EDQUOT -> FULL; ENOMEM -> NO_MEMORY; EACCES, EROFS, EPERM and others -> IO; text has `what` and strerror. */
reco_status reco__fail_errno(reco_error *err, int error_number, const char *what);

/* What a door makes of a backend's answer: a failure without words, or with those of another one, gets the name of the room ("stream") and the text
 * of its status; a number that is no status becomes INTERNAL. */
reco_status reco__backend_status(const char *room, reco_status status, reco_error *err);

/* OK while the call may go on; TIMEOUT past its deadline, CANCELLED when asked. `call` NULL is always OK. */
reco_status reco__call_check(const reco_call *call, reco_error *err);
/* Whether the caller asks the call to stop. False for NULL. */
bool reco__call_is_cancelled(const reco_call *call);
/* Nanoseconds that are left before the deadline, INT64_MAX without one, 0 when it has passed. */
int64_t reco__call_left_ns(const reco_call *call);
/* The call (NULL allowed), but for its progress, with at most `ns` from now. */
const reco_call *reco__call_within(reco_call *own, const reco_call *call, int64_t ns);
/* Tells how far a long piece of work has come, where the call wants to know; `total` 0: not known. */
void reco__call_progress(const reco_call *call, const char *what, const char *unit, uint64_t done, uint64_t total);

/* Growing structs: copies the caller's struct of `given` bytes into `out` (ours, `size` bytes, zeroed first). A longer one must have a zero tail; a
 * shorter one is refused, for none was ever valid: else INVALID naming `name`. Never writes through `in`. `in` NULL gives all zeros. */
reco_status reco__struct_copy(void *out, size_t size, const void *in, size_t given, const char *name, reco_error *err);
/* The same of a struct that has grown: it had `least` bytes at first, and what a shorter one lacks is zero. */
reco_status reco__struct_copy_since(void *out, size_t size, size_t least, const void *in, size_t given, const char *name, reco_error *err);

/* --- memory ------------------------------------------------------------------------------------------------------------------------------ */

/* All through the installed allocator. alloc and realloc do not clear; zalloc does; NULL when memory is out. size 0 is treated as 1. */
void *reco__alloc(size_t size);
void *reco__zalloc(size_t size);
void *reco__realloc(void *block, size_t size);
void reco__release(void *block);
/* Array forms that fail on overflow of count x size. */
void *reco__alloc_array(size_t count, size_t size);
void *reco__realloc_array(void *block, size_t count, size_t size);
char *reco__strndup(const char *text, size_t size);
/* Bytes that are held through the functions above, as the allocator counts them; false when an installed one does not tell. */
bool reco__memory_held(uint64_t *bytes);

/* Memory of this process, mapped files aside, in bytes. 0: not known. */
typedef struct reco__footprint {
    bool counted;        /* allocated is known */
    uint64_t allocated;  /* held by libreco */
    uint64_t heap;       /* in use of what went through malloc, by whoever asked */
    uint64_t heap_free;  /* kept by malloc for later */
    uint64_t anonymous;  /* pages of memory that are nobody's file, by the kernel, swapped ones among them */
} reco__footprint;
void reco__footprint_look(reco__footprint *out);

/* Counts open engines, so that reco_set_allocator can refuse. */
void reco__memory_pin(int by);

/* Arena: bump allocation, freed at once; keeps its blocks across resets. CONFINED. Zero-initialised is empty. */
typedef struct reco__arena {
    struct reco__arena_block *first, *current;
    size_t used;     /* bytes handed out since the last reset */
    size_t reserved; /* bytes held */
    size_t limit;    /* 0: none; beyond it alloc answers NULL */
} reco__arena;
void *reco__arena_alloc(reco__arena *arena, size_t size); /* 16-byte aligned, not cleared; NULL when out */
void *reco__arena_zalloc(reco__arena *arena, size_t size);
void *reco__arena_copy(reco__arena *arena, const void *data, size_t size);
char *reco__arena_string(reco__arena *arena, const char *data, size_t size); /* terminated copy */
void reco__arena_reset(reco__arena *arena);
void reco__arena_dispose(reco__arena *arena);

/* Growing buffer with a stated limit. CONFINED. The first failure sticks in `failed` (NO_MEMORY or TOO_LARGE) and later appends do nothing, so
 * that callers check once. `data` is not terminated unless reco__buf_cstr is called. */
typedef struct reco__buf {
    char *data;
    size_t size, capacity, limit; /* limit 0: none */
    reco_status failed;
} reco__buf;
void reco__buf_reset(reco__buf *buf); /* keeps the memory */
void reco__buf_dispose(reco__buf *buf);
bool reco__buf_reserve(reco__buf *buf, size_t more);
void reco__buf_add(reco__buf *buf, const void *data, size_t size);
void reco__buf_byte(reco__buf *buf, uint8_t byte);
void reco__buf_text(reco__buf *buf, const char *text);
void reco__buf_printf(reco__buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reco__buf_u16(reco__buf *buf, uint16_t value); /* little endian */
void reco__buf_u32(reco__buf *buf, uint32_t value);
void reco__buf_u64(reco__buf *buf, uint64_t value);
void reco__buf_varint(reco__buf *buf, uint64_t value);               /* LEB128 */
void reco__buf_zigzag(reco__buf *buf, int64_t value);                /* signed LEB128 by zigzag */
void reco__buf_str(reco__buf *buf, const char *data, size_t size);   /* varint size, bytes */
const char *reco__buf_cstr(reco__buf *buf);                          /* terminates; NULL when failed */
reco_status reco__buf_status(const reco__buf *buf, reco_error *err); /* OK, or the failure with its text */

/* JSON writing on a buffer: our own small writer (DESIGN 9). */
void reco__json_string(reco__buf *buf, const char *data, size_t size); /* quoted and escaped; invalid UTF-8 becomes U+FFFD */
void reco__json_int(reco__buf *buf, int64_t value);
void reco__json_double(reco__buf *buf, double value); /* shortest that reads back equal; NaN and infinities become null */

/* Bounded reader of bytes: every getter checks; the first overrun sticks in `bad` and getters then answer 0. */
typedef struct reco__reader {
    const uint8_t *at, *end;
    bool bad;
} reco__reader;
static inline reco__reader reco__reader_of(const void *data, size_t size) {
    const uint8_t *at = (const uint8_t *)data;
    reco__reader reader = {at, size > 0 ? at + size : at, false}; /* NULL is not added to */
    return reader;
}
uint8_t reco__read_u8(reco__reader *reader);
uint16_t reco__read_u16(reco__reader *reader);
uint32_t reco__read_u32(reco__reader *reader);
uint64_t reco__read_u64(reco__reader *reader);
uint64_t reco__read_varint(reco__reader *reader); /* refuses more than 64 bits and over-long forms */
int64_t reco__read_zigzag(reco__reader *reader);
reco_str reco__read_str(reco__reader *reader);                      /* varint size, bytes; borrowed from the input */
const uint8_t *reco__read_bytes(reco__reader *reader, size_t size); /* NULL on overrun */

static inline uint64_t reco__zigzag_encode(int64_t value) { return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63); }
static inline int64_t reco__zigzag_decode(uint64_t value) { return (int64_t)(value >> 1) ^ -(int64_t)(value & 1); }

/* Big-endian for keys, so that byte order is number order. */
static inline void reco__be16(uint8_t *out, uint16_t v) {
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
}
static inline void reco__be32(uint8_t *out, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(out, &v, 4);
}
static inline void reco__be64(uint8_t *out, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(out, &v, 8);
}
static inline uint16_t reco__from_be16(const uint8_t *in) { return (uint16_t)((unsigned)in[0] << 8 | in[1]); }
static inline uint32_t reco__from_be32(const uint8_t *in) {
    uint32_t v;
    memcpy(&v, in, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t reco__from_be64(const uint8_t *in) {
    uint64_t v;
    memcpy(&v, in, 8);
    return __builtin_bswap64(v);
}

static inline bool reco__str_equal(reco_str a, reco_str b) { return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0); }
/* Bytewise order, shorter first when one is the beginning of the other. */
int reco__str_compare(reco_str a, reco_str b);
static inline reco_str reco__str_of(const char *text) {
    reco_str s = {text, text ? strlen(text) : 0};
    return s;
}
/* Valid UTF-8 without NUL (surrogates, over-long forms and values above U+10FFFF refused). */
bool reco__utf8_valid(const char *data, size_t size);
/* Checks an id: 1..256 bytes, valid UTF-8, no NUL. INVALID (or TOO_LARGE) naming the field. index -1: none. */
reco_status reco__check_id(reco_str id, int32_t index, const char *field, reco_error *err);

/* --- hashes ------------------------------------------------------------------------------------------------------------------------------ */

uint64_t reco__hash64(const void *data, size_t size, uint64_t seed); /* XXH64, stable for ever: partitions, ties, names */
uint32_t reco__checksum(const void *data, size_t size);              /* low half of XXH3-64; guards stored bytes */
typedef struct reco__u128 {
    uint64_t low, high;
} reco__u128;
reco__u128 reco__hash128(const void *data, size_t size); /* XXH3-128 */
static inline void reco__u128_add(reco__u128 *sum, reco__u128 value) {
    sum->low += value.low;
    sum->high += value.high + (sum->low < value.low);
}
uint64_t reco__siphash24(const uint8_t key[16], const void *data, size_t size); /* SipHash-2-4, Aumasson and Bernstein 2012 */

/* Map from bytes to a dense index 0, 1, 2 ... in order of insertion. Open addressing; keys are copied into the map's arena, so key pointers stay
 * valid until reset/dispose. CONFINED. Zero-initialised is empty. */
typedef struct reco__map {
    struct reco__map_entry {
        uint64_t hash;
        const char *key;
        uint32_t size;
        uint32_t unused;
    } * entries;                             /* by index */
    uint32_t *slots;                         /* index + 1, 0: empty */
    size_t count, entry_capacity, slot_mask; /* slot_mask 0: none yet */
    reco__arena keys;
} reco__map;
#define RECO__MAP_NONE UINT32_MAX
/* Index of the key, inserted when missing (*added tells, may be NULL); RECO__MAP_NONE when memory is out. */
uint32_t reco__map_put(reco__map *map, const void *key, size_t size, bool *added);
uint32_t reco__map_find(const reco__map *map, const void *key, size_t size);
void reco__map_reset(reco__map *map); /* empties, keeps the memory */
void reco__map_dispose(reco__map *map);

/* --- time and chance --------------------------------------------------------------------------------------------------------------------- */

int64_t reco__now_ms(void);       /* wall clock, milliseconds since 1970 UTC */
int64_t reco__monotonic_ns(void); /* CLOCK_MONOTONIC */
/* RFC 3339 with offset ("2026-01-31T10:00:00.5+01:00", "...Z") to milliseconds; false when it is not one (no offset: false). Years 1970..9999. */
bool reco__time_parse(const char *text, size_t size, int64_t *ms);
/* "2026-01-31T09:00:00.500Z", 24 bytes and a terminator. */
void reco__time_format(int64_t ms, char out[32]);
/* Bytes from the kernel's generator. */
reco_status reco__random_bytes(void *out, size_t size, reco_error *err);
/* Small seeded generator (xoshiro256**, Blackman and Vigna 2018), seeded by splitmix64; the same numbers on every machine. CONFINED. */
typedef struct reco__rand {
    uint64_t s[4];
} reco__rand;
void reco__rand_seed(reco__rand *rand, uint64_t seed);
uint64_t reco__rand_next(reco__rand *rand);
uint64_t reco__rand_below(reco__rand *rand, uint64_t bound); /* 0..bound-1, unbiased; bound > 0 */
double reco__rand_unit(reco__rand *rand);                    /* [0, 1) */

/* Base64url without padding. encode appends to buf; decode answers false on any other character or a non-canonical end. */
void reco__base64_encode(reco__buf *buf, const void *data, size_t size);
bool reco__base64_decode(reco__buf *buf, const char *text, size_t size);

/* --- log --------------------------------------------------------------------------------------------------------------------------------- */

bool reco__log_wanted(int level);
void reco__log(int level, const char *room, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- fault injection (tests) -------------------------------------------------------------------------------------------------------------- */

/* Doors ask before each operation: answers OK, or the status a test has planted for `point` ("stream.append", "features.apply" ...). Compiled always,
 * one relaxed load when nothing is planted. */
reco_status reco__fault(const char *point, reco_error *err);
/* Plants: the nth (from 1) call of `point` fails with `status`; for_ever also every later one. point NULL clears all. Returns how often a planted
 * fault has fired since it was planted. Not exported: tests link the static library. */
uint64_t reco__fault_plant(const char *point, uint64_t nth, int for_ever, reco_status status);

#endif
