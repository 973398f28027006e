/* engine/selection.h - the parameters of a selection (reco/filter.h), which every kind of question has. */
#ifndef RECO__ENGINE_SELECTION_H
#define RECO__ENGINE_SELECTION_H

#include "engine/params.h"
#include <reco/filter.h>

#define RECO__SELECTION_PARAMS 5
#define RECO__SELECTION_TABLE                                                                                                                        \
    {.name = "exclude", .list = true}, {.name = "filter"}, {.name = "caps"}, {.name = "variants"}, { .name = "cursor" }

/* `given`: the five as they were read. *used: `out`, or NULL when none of them is there. What it points to is borrowed from what was sent, or lies in
 * its arena. */
reco_status reco__selection_read(const reco_selection **used, reco_selection *out, const reco__param *given, const reco__sent *sent, reco_error *err);

#endif
