/* base/memory.c - the allocator of the process, and how many bytes it holds.
 *
 * What is counted is what a block takes, as the allocator tells it (malloc_usable_size), not what was asked for: that is what memory is missing, and
 * what the kernel can confirm. The allocator is asked again when the block goes, where it reads the word that free() reads next. A header of our own
 * in front of each block would know as much, for 16 bytes a block, blocks of a page becoming blocks of two, and underruns that sanitizers no longer
 * see. An installed allocator that does not tell the size of a block is not counted.
 *
 * The count is kept in shards by the address of the block: a block comes from and goes to the same one whichever thread holds it, threads that have
 * arenas of their own meet in few of them, and the C library is asked for neither a thread nor a processor. */
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

/* `active` is NULL while malloc serves, which is the common case and costs one load. */
static reco_allocator installed;
static const reco_allocator *_Atomic active;
static atomic_int pins;

#define SHARDS 32u
#define SHARD_SHIFT 16 /* blocks of the same 64 KiB are counted in the same one */

static struct shard { _Alignas(64) atomic_int_fast64_t held; } shards[SHARDS];

static size_t size_of(const reco_allocator *a, void *block) {
    if (!a) {
        return malloc_usable_size(block);
    }
    return a->usable ? a->usable(a->context, block) : 0;
}

static void count(uintptr_t block, int64_t by) {
    uint64_t place = (block >> SHARD_SHIFT) * UINT64_C(0x9E3779B97F4A7C15);
    atomic_fetch_add_explicit(&shards[place >> 59].held, by, memory_order_relaxed);
}

static void *counted(const reco_allocator *a, void *block) {
    if (block) {
        count((uintptr_t)block, (int64_t)size_of(a, block));
    }
    return block;
}

reco_status reco_set_allocator(const reco_allocator *allocator, reco_error *err) {
    reco_allocator copy;

    if (atomic_load(&pins) > 0) {
        return reco__fail(err, RECO_BUSY, NULL, "the allocator cannot change while an engine is open");
    }
    if (!allocator) {
        atomic_store(&active, NULL);
        return RECO_OK;
    }
    reco_status status =
        reco__struct_copy_since(&copy, sizeof(copy), offsetof(reco_allocator, usable), allocator, allocator->struct_size, "allocator", err);
    if (status != RECO_OK) {
        return status;
    }
    if (!copy.allocate || !copy.resize || !copy.release) {
        return reco__fail(err, RECO_INVALID, !copy.allocate ? "allocate" : !copy.resize ? "resize" : "release", "the allocator lacks a function");
    }
    if (copy.flags != 0) {
        return reco__fail(err, RECO_INVALID, "flags", "flags of the allocator must be 0");
    }
    atomic_store(&active, NULL);
    installed = copy;
    atomic_store(&active, &installed);
    return RECO_OK;
}

void reco_free(void *block) { reco__release(block); }

void reco__memory_pin(int by) { atomic_fetch_add(&pins, by); }

static inline const reco_allocator *allocator_now(void) { return atomic_load_explicit(&active, memory_order_acquire); }

bool reco__memory_held(uint64_t *bytes) {
    const reco_allocator *a = allocator_now();
    int64_t sum = 0;

    for (uint32_t i = 0; i < SHARDS; i++) {
        sum += atomic_load_explicit(&shards[i].held, memory_order_relaxed);
    }
    *bytes = sum > 0 ? (uint64_t)sum : 0;
    return !a || a->usable;
}

void *reco__alloc(size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    return counted(a, a ? a->allocate(a->context, size) : malloc(size));
}

void *reco__zalloc(size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    if (!a) {
        return counted(a, calloc(1, size));
    }
    void *block = counted(a, a->allocate(a->context, size));
    return block ? memset(block, 0, size) : NULL;
}

void *reco__realloc(void *block, size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    size_t before = block ? size_of(a, block) : 0;
    uintptr_t place = (uintptr_t)block; /* the pointer itself means nothing once the block has moved */
    void *moved = a ? a->resize(a->context, block, size) : realloc(block, size);
    if (moved) {
        count(place, -(int64_t)before);
    }
    return counted(a, moved);
}

void reco__release(void *block) {
    const reco_allocator *a = allocator_now();
    if (!block) {
        return;
    }
    count((uintptr_t)block, -(int64_t)size_of(a, block));
    if (a) {
        a->release(a->context, block);
    } else {
        free(block);
    }
}

void *reco__alloc_array(size_t count, size_t size) { return reco__realloc_array(NULL, count, size); }

void *reco__realloc_array(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return block ? reco__realloc(block, bytes) : reco__alloc(bytes);
}

char *reco__strndup(const char *text, size_t size) {
    char *copy = size < SIZE_MAX ? reco__alloc(size + 1) : NULL;
    if (!copy) {
        return NULL;
    }
    if (size > 0) {
        memcpy(copy, text, size);
    }
    copy[size] = '\0';
    return copy;
}
