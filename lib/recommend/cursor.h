/* recommend/cursor.h - the `next` of an answer: what was shown, carried by who asks. */
#ifndef RECO__CURSOR_H
#define RECO__CURSOR_H

#include "recommend/sieve.h"

/* Takes in what a cursor says was shown (empty: nothing). INVALID naming it when it is none of this question. */
reco_status reco__cursor_read(reco__sieve *sieve, reco_str cursor, reco_error *err);
bool reco__cursor_has(const reco__sieve *sieve, uint64_t hash);
/* Notes an item of the answer as shown; `product`: of a variant, that of its parent, else 0. */
reco_status reco__cursor_add(reco__sieve *sieve, uint64_t hash, uint64_t product, reco_error *err);
/* Appends the cursor for what was noted; nothing when that is more than a cursor holds. Failures stick in `out`; `scratch` is used. */
void reco__cursor_write(reco__buf *out, reco__buf *scratch, reco__sieve *sieve);

#endif
