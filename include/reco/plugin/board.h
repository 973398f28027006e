/* reco/plugin/board.h - boards: sums of integers by member and generation, and the arithmetic of closing, cutting and heads that every features
 * backend shares.
 *
 * A board is one of three tables of rows. A row is a set of (member, sum); members whose sum is 0 do not exist. Nothing decays in place: a generation
 * is a span of time, and reading weighs generations by age. See docs/ARCHITECTURE.md, "Boards". */
#ifndef RECO_PLUGIN_BOARD_H
#define RECO_PLUGIN_BOARD_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_BOARD_HOURS 0u  /* popularity by hours: one row a generation (item 0 in keys); members are items; never cut */
#define RECO_BOARD_DAYS 1u   /* popularity by days: the same */
#define RECO_BOARD_COVIEW 2u /* one row per item and generation; members are other items; cut when the generation closes */
#define RECO_BOARD_COUNT 3u

#define RECO_HEAD_MAX 1024u       /* largest head that can be configured */
#define RECO_GENERATIONS_MAX 512u /* most generations kept that can be configured */

/* One addition. In batches sorted by (item, member), each pair once, delta != 0. */
typedef struct reco_add {
    uint32_t item; /* row; 0 for popularity boards */
    uint32_t member;
    int64_t delta;
} reco_add;

/* The additions of a batch to one generation of one board. */
typedef struct reco_add_group {
    uint32_t board;
    uint32_t flags; /* 0; debts will have a bit of their own when erasure comes */
    int64_t generation;
    const reco_add *adds;
    size_t count;
} reco_add_group;

/* The lengths and limits of boards: part of the fingerprint. FROZEN. Milliseconds. */
typedef struct reco_board_rules {
    uint32_t struct_size;
    uint32_t cut;   /* n: entries a co-view row keeps when it closes */
    uint32_t head;  /* entries of each of the two heads, <= RECO_HEAD_MAX */
    uint32_t flags; /* 0 */
    int64_t lateness, skew;
    int64_t length[RECO_BOARD_COUNT]; /* length of a generation */
    uint32_t kept[RECO_BOARD_COUNT];  /* G: a generation is absent once g <= newest closed - G; <= RECO_GENERATIONS_MAX */
    uint32_t reserved;
    int32_t weight[RECO_GENERATIONS_MAX]; /* co-view: weight by age, [0] is that of open generations and of the newest closed one; >= 0 */
} reco_board_rules;

/* Entries of a row or head, sorted by member unless said otherwise. */
typedef struct reco_entry {
    uint32_t member;
    uint32_t unused;
    int64_t sum;
} reco_entry;

/* Time begins at 0: no generation is below 0, and an earlier moment belongs to generation 0. */
#define RECO_BOARD_NONE_CLOSED ((int64_t)-1)

/* Generation of a moment: floor(t / length), 0 for t < 0. SHARED, like all below. */
RECO_API int64_t reco_board_generation(const reco_board_rules *rules, uint32_t board, int64_t t_ms);
/* Oldest generation that is still open at clock r: oldest g with end + lateness + skew > r. */
RECO_API int64_t reco_board_oldest_open(const reco_board_rules *rules, uint32_t board, int64_t r_ms);
/* Newest closed generation at the closing clock C = min over partitions of W: oldest_open - 1, so that g is closed exactly when end + lateness + skew
 * <= C; RECO_BOARD_NONE_CLOSED when not even generation 0 is. */
RECO_API int64_t reco_board_newest_closed(const reco_board_rules *rules, uint32_t board, int64_t c_ms);

/* Whether generation g is absent when `newest_closed` is the newest closed one. */
RECO_API int reco_board_expired(const reco_board_rules *rules, uint32_t board, int64_t generation, int64_t newest_closed);

/* Names decide ties: xxh64(id) with seed 0, then the bytes of the id. */
typedef struct reco_board_names {
    void *context;
    /* hash of a member's name */
    uint64_t (*hash)(void *context, uint32_t member);
    /* compares two members' names bytewise; called only when hashes are equal */
    int (*compare)(void *context, uint32_t a, uint32_t b);
} reco_board_names;

/* Keeps the top `n` of `entries` by (sum descending, hash ascending, id ascending), dropping sums <= 0 when `positive_only`; the result stands at the
 * beginning of the array, again sorted by member. Returns how many are left. Input need not be sorted. */
RECO_API size_t reco_board_cut(reco_entry *entries, size_t count, size_t n, int positive_only, const reco_board_names *names);
/* Sorts by (sum descending, hash, id): the order of answers. */
RECO_API void reco_board_rank(reco_entry *entries, size_t count, const reco_board_names *names);
/* Merges two arrays sorted by member, `b` multiplied by `weight`, into out (room for a_count + b_count); sums of 0 are dropped. Returns the count. */
RECO_API size_t reco_board_merge(reco_entry *out, const reco_entry *a, size_t a_count, const reco_entry *b, size_t b_count, int64_t weight);

/* Packed form of entries, for rows, heads and snapshots: per entry u32 little-endian member, zigzag varint sum. At most 14 bytes an entry. */
#define RECO_PACKED_ENTRY_MAX 14u
RECO_API size_t reco_board_pack(uint8_t *out, const reco_entry *entries, size_t count); /* bytes written */
/* Entries read into out (at most `room`); CORRUPT when the bytes are not a packed list or do not fit. */
RECO_API reco_status reco_board_unpack(size_t *count, reco_entry *out, size_t room, const void *data, size_t size);

/* The head of one item: one value. Format v1:
 *   u8 version, 1
 *   zigzag varints: closed_at, open_sum, closed_sum
 *   varints: generation_count, open_count, closed_count, generations_size, open_size, closed_size
 *   then generations_size, open_size and closed_size bytes, and nothing after them.
 * Varints are the shortest LEB128 form, so that equal heads are equal bytes. */
#define RECO_HEAD_VERSION 1u
/* Largest head: the frame, the list of generations, two packed lists. */
#define RECO_HEAD_BYTES_MAX(generations, entries) ((size_t)96 + (size_t)(generations)*10 + (size_t)(entries)*2 * RECO_PACKED_ENTRY_MAX)

typedef struct reco_head {
    int64_t closed_at;  /* newest-closed number it was made at */
    int64_t open_sum;   /* sum over the open rows, all members, times weight[0] */
    int64_t closed_sum; /* weighted sum over the closed rows after their cut */
    uint32_t open_count, closed_count;
    const uint8_t *open; /* packed entries, sorted by member; sums are raw, still to be multiplied by weight[0] */
    size_t open_size;
    const uint8_t *closed; /* packed entries, sorted by member; sums already weighted by age */
    size_t closed_size;
    const uint8_t *generations; /* the generations in which the item has rows: `generation_count` zigzag varints, ascending, as differences */
    size_t generations_size;
    uint32_t generation_count;
    uint32_t unused;
} reco_head;
/* Reads the frame of a stored head; pointers go into `data`. CORRUPT when damaged, NEWER when of a later version. The lists are checked when they are
 * unpacked. */
RECO_API reco_status reco_head_read(reco_head *out, const void *data, size_t size);
/* Writes one; returns the bytes written, at most `room`, or 0 when it does not fit. */
RECO_API size_t reco_head_write(uint8_t *out, size_t room, const reco_head *head);
/* The list of generations of a head: packs `count` ascending numbers (at most 10 bytes each), and reads them into `out` (at most `room`). */
RECO_API size_t reco_generations_pack(uint8_t *out, const int64_t *generations, size_t count);
RECO_API reco_status reco_generations_unpack(size_t *count, int64_t *out, size_t room, const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
