#include "evaluate/names.h"

#include <stdlib.h>
#include <string.h>

#include "http/options.h"

/* FNV-1a, mixed once more for the low bits. The files are the caller's own: nobody sends names here that were made to collide. */
static uint64_t hash(reco_str name) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < name.size; i++)
        h = (h ^ (unsigned char)name.data[i]) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

static uint32_t *slot_of(const evaluate_names *names, reco_str name) {
    size_t mask = names->slot_count - 1, at = (size_t)hash(name) & mask;
    while (names->slots[at]) {
        reco_str there = names->names[names->slots[at] - 1];
        if (there.size == name.size && memcmp(there.data, name.data, name.size) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &names->slots[at];
}

/* Twice the room, and slots that stay at least half empty. */
static reco_status grow(evaluate_names *names, reco_error *err) {
    size_t room = names->room ? names->room * 2 : 512, slot_count = room * 2;
    reco_str *texts = realloc(names->names, room * sizeof *texts);
    if (!texts)
        return options_no_memory(err);
    names->names = texts;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return options_no_memory(err);
    free(names->slots);
    names->slots = slots;
    names->slot_count = slot_count;
    names->room = room;
    for (uint32_t i = 0; i < names->count; i++)
        *slot_of(names, names->names[i]) = i + 1;
    return RECO_OK;
}

reco_status evaluate_names_add(uint32_t *number, evaluate_names *names, reco_str name, reco_error *err) {
    if (names->count == EVALUATE_NONE - 1)
        return options_fail(err, RECO_TOO_LARGE, "", "more names than can be numbered");
    if (names->count == names->room) {
        reco_status status = grow(names, err);
        if (status != RECO_OK)
            return status;
    }
    uint32_t *slot = slot_of(names, name);
    if (*slot == 0) {
        char *copy = malloc(name.size + 1);
        if (!copy)
            return options_no_memory(err);
        memcpy(copy, name.data, name.size);
        copy[name.size] = 0;
        names->names[names->count++] = (reco_str){copy, name.size};
        *slot = names->count;
    }
    *number = *slot - 1;
    return RECO_OK;
}

uint32_t evaluate_names_find(const evaluate_names *names, reco_str name) {
    return names->slot_count ? *slot_of(names, name) - 1 : EVALUATE_NONE; /* an empty slot: 0 - 1 */
}

void evaluate_names_dispose(evaluate_names *names) {
    for (uint32_t i = 0; i < names->count; i++)
        free((char *)(uintptr_t)names->names[i].data);
    free(names->names);
    free(names->slots);
    *names = (evaluate_names){0};
}
