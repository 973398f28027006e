/* learn/popularity.c - an event's adds to the two boards of popularity: its weight, to the hour and to the day. A type of negative weight takes away.
 * */
#include "learn/steps.h"

reco_status reco__popularity_step(reco__adds *adds, reco__step *step, reco_error *err) {
    static const uint32_t boards[] = {RECO_BOARD_HOURS, RECO_BOARD_DAYS};
    if (step->weight == 0)
        return RECO_OK;
    for (size_t i = 0; i < sizeof boards / sizeof *boards; i++) {
        int64_t generation = reco__step_generation(step, boards[i]);
        if (reco__adds_put(adds, boards[i], generation, 0, step->item, step->weight) != RECO_OK)
            return reco__no_memory(err);
    }
    return RECO_OK;
}
