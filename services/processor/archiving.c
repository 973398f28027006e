/* processor/archiving.c - step while there is something to archive, else wait. A step that fails is tried again after a pause that doubles up to ten
 * seconds; what fails again with the same words is logged once. */
#include "processor/archiving.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/clock.h"
#include "http/log.h"
#include "http/options.h"

#define WAIT_MS 1000
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 10000
#define STEP_MS 60000

struct archiving {
    reco_engine *engine;
    reco_archiver *archiver;
    pthread_t thread;
    volatile int32_t cancel;
    int pause_ms;
    char said[240]; /* the last failure that was logged */
};

static bool is_ending(const archiving *self) { return __atomic_load_n(&self->cancel, __ATOMIC_SEQ_CST); }

static void failed(archiving *self, const reco_error *err) {
    if (strcmp(self->said, err->text) != 0)
        http_log(RECO_LOG_ERROR, "archive", NULL, "archiving waits: %s", err->text);
    snprintf(self->said, sizeof self->said, "%s", err->text);
    for (int waited = 0; waited < self->pause_ms && !is_ending(self); waited += 20)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    self->pause_ms = self->pause_ms * 2 < PAUSE_MAX_MS ? self->pause_ms * 2 : PAUSE_MAX_MS;
}

static void worked(archiving *self) {
    if (self->said[0])
        http_log(RECO_LOG_INFO, "archive", NULL, "archiving goes on");
    self->said[0] = 0;
    self->pause_ms = PAUSE_MIN_MS;
}

/* A server that answers no more must not keep the thread for ever: each step has a minute. */
static reco_status step(archiving *self, reco_archived *done, reco_error *err) {
    const reco_call call = {.struct_size = sizeof call,
                            .deadline_ns = http_monotonic_ns() + (int64_t)STEP_MS * 1000000,
                            .cancel = &self->cancel};
    return reco_archiver_step(done, self->archiver, &call, err);
}

static void *work(void *argument) {
    archiving *self = argument;
    const reco_call call = {.struct_size = sizeof call, .cancel = &self->cancel};
    while (!is_ending(self)) {
        reco_archived done = {.struct_size = sizeof done};
        reco_error err = RECO_ERROR_INIT;
        reco_status status = self->archiver ? RECO_OK : reco_archiver_open(&self->archiver, self->engine, NULL, &call, &err);
        if (status == RECO_OK)
            status = step(self, &done, &err);
        if (status == RECO_OK)
            worked(self);
        if (status == RECO_OK && done.idle)
            status = reco_archiver_wait(self->archiver, WAIT_MS, &call, &err);
        if (status != RECO_OK && status != RECO_CANCELLED)
            failed(self, &err);
    }
    return NULL;
}

reco_status archiving_start(archiving **out, reco_engine *engine, reco_error *err) {
    char url[1100];
    *out = NULL;
    reco_status status = reco_setting_get(url, sizeof url, engine, "archive", err);
    if (status != RECO_OK || !*url)
        return status;
    archiving *self = calloc(1, sizeof *self);
    if (!self)
        return options_no_memory(err);
    self->engine = engine;
    self->pause_ms = PAUSE_MIN_MS;
    if (pthread_create(&self->thread, NULL, work, self) != 0) {
        free(self);
        return options_fail(err, RECO_NO_MEMORY, "archive", "cannot start a thread");
    }
    *out = self;
    return RECO_OK;
}

void archiving_stop(archiving *self) {
    if (!self)
        return;
    __atomic_store_n(&self->cancel, 1, __ATOMIC_SEQ_CST);
    pthread_join(self->thread, NULL);
    reco_archiver_close(self->archiver);
    free(self);
}
