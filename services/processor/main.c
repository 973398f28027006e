/* reco-processor: learns from the events that others take in, and archives them when an archive is set. Several may run; they share the partitions
 * and take over from one that is killed. */
#include <stddef.h>

#include "http/program.h"
#include "processor/archiving.h"
#include "processor/workers.h"

typedef struct state {
    uint32_t threads, batch_events;
    workers *workers;
    archiving *archive;
} state;

static const option_spec options[] = {
    {"threads", 0, OPTION_COUNT, offsetof(state, threads), "N", "processor threads (default 1)"},
    {"batch-events", 0, OPTION_COUNT, offsetof(state, batch_events), "N", "most records of a batch (default 20000, on Redis 100)"},
};

static reco_status start(void *context, http_route *routes, size_t *count, http_standard *standard, reco_error *err) {
    state *self = context;
    (void)routes;
    (void)count;
    reco_status status = workers_start(&self->workers, standard->engine, self->threads, self->batch_events, err);
    if (status == RECO_OK)
        status = archiving_start(&self->archive, standard->engine, err);
    standard->metrics = workers_metrics;
    standard->metrics_context = self->workers;
    return status;
}

static void stop(void *context) {
    state *self = context;
    archiving_stop(self->archive);
    workers_stop(self->workers);
}

int main(int argc, char **argv) {
    state self = {.threads = 1};
    const program_service service = {
        .name = "reco-processor",
        .summary = "learns from events",
        .paths = "nothing of its own",
        .listen_setting = "services.processor_listen",
        .listen_default = "127.0.0.1:8082",
        .open_flags = RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_PATIENT | RECO_OPEN_NO_ANSWERS,
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .option_target = &self,
        .start = start,
        .stop = stop,
        .context = &self,
    };
    return program_main(&service, argc, argv);
}
