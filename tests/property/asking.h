/* tests/property/asking.h - what a question says of items: made by chance, and handed to the library as structs or as JSON. */
#ifndef PROPERTY_ASKING_H
#define PROPERTY_ASKING_H

#include <reco/filter.h>

#include "model.h"

typedef struct asking {
    reco_selection plain, *parsed;
    reco_str exclude[NAMES];
    reco_filter filters[CONDITIONS];
    reco_value values[CONDITIONS][WANTED];
    reco_cap caps[CAPS];
    char json[16384]; /* "": as structs */
} asking;

/* Mostly says little or nothing. */
void selection_random(selection *out);
/* Excludes one more. */
void selection_grow(selection *s);
/* What to point a question to, valid until the next call or asking_done; NULL with *status when it cannot be parsed. */
const reco_selection *asking_make(asking *a, const selection *s, const char *cursor, bool as_json, reco_status *status, reco_error *err);
void asking_done(asking *a);

#endif
