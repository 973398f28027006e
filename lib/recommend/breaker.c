#include "recommend/breaker.h"

#define LATE_NS INT64_C(20000000)    /* a failure is late from here on */
#define PAUSE_NS INT64_C(1000000000) /* between two tries of a store that is left alone */
#define LATE_MOST 3u                 /* late failures in a row that are put up with */

bool reco__store_trouble(reco_status status) {
    return status == RECO_UNAVAILABLE || status == RECO_TIMEOUT || status == RECO_BUSY || status == RECO_IO || status == RECO_FULL ||
           status == RECO_STALE || status == RECO_REFUSED;
}

bool reco__breaker_allows(reco__breaker *breaker) {
    int_fast64_t until = atomic_load_explicit(&breaker->until_ns, memory_order_relaxed);

    if (until == 0) {
        return true;
    }
    int64_t now = reco__monotonic_ns();
    if (now >= until && atomic_compare_exchange_strong(&breaker->until_ns, &until, now + PAUSE_NS)) {
        return true;
    }
    atomic_fetch_add_explicit(&breaker->kept, 1, memory_order_relaxed);
    return false;
}

void reco__breaker_note(reco__breaker *breaker, reco_status status, int64_t began_ns) {
    int64_t now;

    if (!reco__store_trouble(status)) {
        if (status == RECO_OK && atomic_load_explicit(&breaker->late, memory_order_relaxed) != 0) {
            atomic_store(&breaker->late, 0);
            atomic_store(&breaker->until_ns, 0);
        }
        return;
    }
    now = reco__monotonic_ns();
    if (now - began_ns >= LATE_NS && atomic_fetch_add(&breaker->late, 1) + 1 >= LATE_MOST) {
        if (atomic_exchange(&breaker->until_ns, now + PAUSE_NS) == 0) {
            atomic_fetch_add_explicit(&breaker->opened, 1, memory_order_relaxed);
        }
    }
}
