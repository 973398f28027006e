/* base/arena.c - bump allocation.
 *
 * An arena is a list of blocks. A request is served from the current block; when it does not fit there, from the next block that is large enough, and
 * when there is none, from a new one put behind the current. Reset goes back to the first block and keeps them all, so that an arena that serves the
 * same kind of request again and again stops allocating. Sizes of blocks are powers of two: an arena that is asked for slowly growing pieces then
 * holds at most twice what it needs, instead of a block for each size ever seen.
 *
 * Under AddressSanitizer memory that is not handed out is poisoned: a pointer used after reset is found.
 */
#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define RECO__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RECO__ASAN 1
#endif
#endif
#ifdef RECO__ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define ALIGN 16u
#define BLOCK_MIN 4096u /* with its header */

typedef struct reco__arena_block {
    struct reco__arena_block *next;
    size_t capacity, used; /* of what follows the header */
    size_t unused;         /* keeps the header a multiple of the alignment */
} arena_block;

_Static_assert(sizeof(arena_block) % ALIGN == 0, "what follows the header must be aligned");

static inline uint8_t *block_bytes(arena_block *block) { return (uint8_t *)(block + 1); }

/* Smallest power of two that holds a header and `size` bytes; less when that would pass the limit of the arena for no need. */
static size_t block_size(const reco__arena *arena, size_t size) {
    size_t needed = size + sizeof(arena_block), wanted = arena->reserved > BLOCK_MIN ? arena->reserved : BLOCK_MIN;

    wanted = wanted < needed ? needed : wanted;
    wanted = wanted > SIZE_MAX / 4 ? wanted : (size_t)1 << (64 - __builtin_clzll(wanted - 1));
    if (arena->limit > 0 && wanted > arena->limit) {
        wanted = arena->limit > needed ? arena->limit : needed;
    }
    return wanted;
}

static arena_block *add_block(reco__arena *arena, size_t size) {
    size_t bytes = block_size(arena, size);
    arena_block *block = reco__alloc(bytes);

    if (!block) {
        return NULL;
    }
    block->capacity = bytes - sizeof(*block);
    block->used = 0;
    block->unused = 0;
    block->next = arena->current ? arena->current->next : NULL;
    if (arena->current) {
        arena->current->next = block;
    } else {
        arena->first = block;
    }
    ASAN_POISON_MEMORY_REGION(block_bytes(block), block->capacity);
    arena->reserved += bytes;
    return block;
}

/* The block that serves `size` bytes when the current one does not. */
static arena_block *other_block(reco__arena *arena, size_t size) {
    arena_block *block = arena->current ? arena->current->next : NULL;

    while (block && block->capacity < size) {
        block = block->next;
    }
    if (!block) {
        block = add_block(arena, size);
    }
    if (block) {
        block->used = 0; /* it may be left from before a reset */
        arena->current = block;
    }
    return block;
}

void *reco__arena_alloc(reco__arena *arena, size_t size) {
    if (size > SIZE_MAX / 4) {
        return NULL;
    }
    size_t taken = size == 0 ? ALIGN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (arena->limit > 0 && (taken > arena->limit || arena->used > arena->limit - taken)) {
        return NULL;
    }
    arena_block *block = arena->current;
    if (!block || block->capacity - block->used < taken) {
        block = other_block(arena, taken);
        if (!block) {
            return NULL;
        }
    }
    void *at = block_bytes(block) + block->used;
    block->used += taken;
    arena->used += taken;
    ASAN_UNPOISON_MEMORY_REGION(at, size);
    return at;
}

void *reco__arena_zalloc(reco__arena *arena, size_t size) {
    void *at = reco__arena_alloc(arena, size);
    return at ? memset(at, 0, size) : NULL;
}

void *reco__arena_copy(reco__arena *arena, const void *data, size_t size) {
    void *at = reco__arena_alloc(arena, size);
    if (at && size > 0) {
        memcpy(at, data, size);
    }
    return at;
}

char *reco__arena_string(reco__arena *arena, const char *data, size_t size) {
    char *at = size < SIZE_MAX ? reco__arena_alloc(arena, size + 1) : NULL;
    if (!at) {
        return NULL;
    }
    if (size > 0) {
        memcpy(at, data, size);
    }
    at[size] = '\0';
    return at;
}

void reco__arena_reset(reco__arena *arena) {
#ifdef RECO__ASAN
    for (arena_block *block = arena->first; block; block = block->next) {
        ASAN_POISON_MEMORY_REGION(block_bytes(block), block->capacity);
    }
#endif
    arena->current = arena->first;
    arena->used = 0;
    if (arena->current) {
        arena->current->used = 0;
    }
}

void reco__arena_dispose(reco__arena *arena) {
    arena_block *block = arena->first;

    while (block) {
        arena_block *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block_bytes(block), block->capacity);
        reco__release(block);
        block = next;
    }
    arena->first = arena->current = NULL;
    arena->used = arena->reserved = 0;
}
