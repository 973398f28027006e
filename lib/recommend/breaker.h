/* recommend/breaker.h - a store that makes questions wait is left alone for a while.
 *
 * A failure that comes at once costs nothing: the store is asked again by the next question, and is used again as soon as it answers. One that comes
 * late costs every question its deadline. After a few late ones in a row questions go without the store; once a second one of them tries it. */
#ifndef RECO__BREAKER_H
#define RECO__BREAKER_H

#include <stdatomic.h>

#include "base/base.h"

/* SHARED. All zero is one that lets everybody through. */
typedef struct reco__breaker {
    atomic_uint_fast32_t late;         /* late failures in a row */
    atomic_int_fast64_t until_ns;      /* nobody goes through before; 0: everybody may */
    atomic_uint_fast64_t opened, kept; /* how often it opened; how many went without the store */
} reco__breaker;

/* Whether the store is to be asked now. */
bool reco__breaker_allows(reco__breaker *breaker);
/* What came of asking, begun at `began_ns`. */
void reco__breaker_note(reco__breaker *breaker, reco_status status, int64_t began_ns);
/* Whether a status says that a store does not answer as it should for the moment, rather than that a question or its data are bad. */
bool reco__store_trouble(reco_status status);

#endif
