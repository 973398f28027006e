/* cli/whatif.h - what the parts of `reco whatif` share: one run of it. The plans are made in whatif_plans.c, asked and compared in whatif.c, and what
 * came out is told by whatif_tell.c. */
#ifndef CLI_WHATIF_H
#define CLI_WHATIF_H

#include "cli/cli.h"
#include "evaluate/likeness.h"
#include "evaluate/moments.h"
#include "http/text.h"

#include <reco/admin.h>

typedef struct whatif_options {
    const char *against, *scenario;
    int64_t as_of, from, to;
    uint32_t limit, moments;
    uint64_t seed;
    bool json, progress;
} whatif_options;

/* One plan: the settings, the engine that answers by them, and its answers. */
typedef struct whatif_plan {
    char label[128];
    reco_settings *settings;
    reco_engine *engine;
    reco_rewind_result rewound;
    evaluate_lists lists;
    http_text text; /* of USER: the answer as JSON */
} whatif_plan;

/* All that one run has. CONFINED. */
typedef struct whatif_run {
    const cli_call *call;
    const whatif_options *given;
    const char *user; /* NULL: of all, at moments of traffic */
    int64_t as_of;
    uint32_t depth;
    cli_progress progress;
    reco_call told;
    whatif_plan plans[2];
    size_t plan_count, turn; /* turn: whose answers come */
    evaluate_names items;
    evaluate_moments moments;
    reco_query *queries;
    size_t count; /* of queries */
    evaluate_likeness likeness;
    reco_status status; /* of what the sink did */
    reco_error *err;
} whatif_run;

/* Settings of the first plan, and of the second where one is asked for, and engines that answer by them. What differs in nothing is warned of. */
reco_status whatif_plans_open(whatif_run *r, reco_error *err);
void whatif_plans_dispose(whatif_run *r);

/* What came out, on stdout; what of the past could not be had again, on stderr. */
reco_status whatif_tell(const whatif_run *r, reco_error *err);

#endif
