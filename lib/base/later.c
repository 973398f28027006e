#include "base/later.h"

#include <stdio.h>

#define PAUSE_NS INT64_C(200000000) /* between two tries */

bool reco__later_worth(reco_status status) { return status == RECO_UNAVAILABLE || status == RECO_TIMEOUT || status == RECO_BUSY; }

void reco__later_begin(reco__later *later, reco_status status, const reco_error *err) {
    atomic_flag_clear(&later->trying);
    atomic_store(&later->status, (int)status);
    snprintf(later->text, sizeof(later->text), "%s", err && status != RECO_OK ? err->text : "");
    atomic_store(&later->again_ns, reco__monotonic_ns() + (status == RECO_OK ? 0 : PAUSE_NS));
}

reco_status reco__later_turn(reco__later *later, reco_error *err) {
    if (atomic_flag_test_and_set(&later->trying)) {
        return reco__fail(err, RECO_UNAVAILABLE, NULL, "the store is being opened");
    }
    if (reco__monotonic_ns() >= atomic_load(&later->again_ns)) {
        return RECO_OK;
    }
    reco_status status = reco__fail(err, (reco_status)atomic_load(&later->status), NULL, "%s", later->text); /* its turn guards the text */
    atomic_flag_clear(&later->trying);
    return status;
}

void reco__later_done(reco__later *later, reco_status status, const reco_error *err) {
    if (status != RECO_OK) {
        snprintf(later->text, sizeof(later->text), "%s", err && err->text[0] ? err->text : reco_status_text(status));
        atomic_store(&later->status, (int)status);
        atomic_store(&later->again_ns, reco__monotonic_ns() + PAUSE_NS);
    }
    atomic_flag_clear(&later->trying);
}
