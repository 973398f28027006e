/* evaluate/names.h - texts and their numbers, in the order of their first appearance. CONFINED while names are added, FROZEN after. */
#ifndef EVALUATE_NAMES_H
#define EVALUATE_NAMES_H

#include <reco/status.h>

#define EVALUATE_NONE UINT32_MAX

typedef struct evaluate_names {
    reco_str *names; /* copies, terminated */
    uint32_t count;
    uint32_t *slots; /* number + 1, 0: empty; a power of two of them */
    size_t room, slot_count;
} evaluate_names;

/* The number of a name, a new one when it has none. NO_MEMORY; TOO_LARGE beyond 4,294,967,294 names. */
reco_status evaluate_names_add(uint32_t *number, evaluate_names *names, reco_str name, reco_error *err);
/* EVALUATE_NONE when it has none. */
uint32_t evaluate_names_find(const evaluate_names *names, reco_str name);
void evaluate_names_dispose(evaluate_names *names);

#endif
