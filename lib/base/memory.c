/* base/memory.c - the allocator of the process. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"

/* `active` is NULL while malloc serves, which is the common case and costs one load. */
static reco_allocator installed;
static const reco_allocator *_Atomic active;
static atomic_int pins;

reco_status reco_set_allocator(const reco_allocator *allocator, reco_error *err) {
    reco_allocator copy;

    if (atomic_load(&pins) > 0) {
        return reco__fail(err, RECO_BUSY, NULL, "the allocator cannot change while an engine is open");
    }
    if (!allocator) {
        atomic_store(&active, NULL);
        return RECO_OK;
    }
    reco_status status = reco__struct_copy(&copy, sizeof(copy), allocator, allocator->struct_size, "allocator", err);
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

void *reco__alloc(size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    return a ? a->allocate(a->context, size) : malloc(size);
}

void *reco__zalloc(size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    if (!a) {
        return calloc(1, size);
    }
    void *block = a->allocate(a->context, size);
    return block ? memset(block, 0, size) : NULL;
}

void *reco__realloc(void *block, size_t size) {
    const reco_allocator *a = allocator_now();
    size += size == 0;
    return a ? a->resize(a->context, block, size) : realloc(block, size);
}

void reco__release(void *block) {
    const reco_allocator *a = allocator_now();
    if (!block) {
        return;
    }
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
