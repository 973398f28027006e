/* processor/workers.h - threads that learn. */
#ifndef PROCESSOR_WORKERS_H
#define PROCESSOR_WORKERS_H

#include "http/http.h"

typedef struct workers workers; /* SHARED */

#define WORKERS_MAX 64u

/* Starts `count` threads with a processor each; they share the partitions among themselves and with other processes. */
reco_status workers_start(workers **out, reco_engine *engine, uint32_t count, uint32_t batch_events, reco_error *err);
/* Lets each finish its batch, then ends them. NULL is allowed. */
void workers_stop(workers *workers);
/* For http_standard.metrics; the context is the workers. */
void workers_metrics(void *context, reco_metric_sink sink, void *sink_context);

#endif
