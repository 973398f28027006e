/* processor/archiving.h - a thread that archives, beside those that learn. */
#ifndef PROCESSOR_ARCHIVING_H
#define PROCESSOR_ARCHIVING_H

#include <reco/admin.h>

typedef struct archiving archiving; /* SHARED */

/* Starts it when the setting `archive` is set; else *out is NULL. A database that cannot be reached is tried again; learning knows nothing of it. */
reco_status archiving_start(archiving **out, reco_engine *engine, reco_error *err);
/* Ends it between two batches. NULL is allowed. */
void archiving_stop(archiving *archiving);

#endif
