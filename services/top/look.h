/* top/look.h - asking services for their metrics, all at once, and an engine on a data directory for its own. */
#ifndef TOP_LOOK_H
#define TOP_LOOK_H

#include <reco.h>

#include "client/curl.h"
#include "top/picture.h"

/* Whom to ask. One of `url` and `engine` is there. */
typedef struct top_source {
    const char *url;
    reco_engine *engine;
} top_source;

typedef struct top_looker top_looker; /* CONFINED */
/* `timeout_ms`: what a service has for its answer. The sources are borrowed. NO_MEMORY. */
reco_status top_looker_create(top_looker **out, const client_curl *curl, const top_source *sources, size_t count, long timeout_ms, reco_error *err);
/* Ends what runs. */
void top_looker_free(top_looker *looker);
/* Asks all of them; what was `now` becomes `before`. A source that fails is down, with its words; NO_MEMORY only. */
reco_status top_look_at(top_looker *looker, top_service *services, reco_error *err);

/* The same by a thread of its own, for who has a terminal to mind. One at a time: until it is ended, looker and services are the thread's. IO. */
reco_status top_look_begin(top_looker *looker, top_service *services, reco_error *err);
/* A descriptor that is readable as soon as the thread is done; -1 while none runs. */
int top_look_done(const top_looker *looker);
/* Waits for the thread, and is what top_look_at would have been; OK when none runs. `now`: whoever has not answered yet is not waited for. */
reco_status top_look_end(top_looker *looker, bool now, reco_error *err);

#endif
