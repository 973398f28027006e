/* engine/reply.h - replies: what an HTTP service only has to send on. */
#ifndef RECO__ENGINE_REPLY_H
#define RECO__ENGINE_REPLY_H

#include "engine/engine.h"

/* Empties it; INVALID when struct_size is not set. */
reco_status reco__reply_begin(reco_reply *reply, reco_error *err);
/* Moves the text into the reply; fails as the text did. */
reco_status reco__reply_body(reco_reply *reply, reco__buf *body, reco_error *err);
/* The failure as a reply; where there is no memory even for that, as an error. */
reco_status reco__reply_problem(reco_reply *reply, const reco_error *error, reco_error *err);
/* An element of a list of rejections: {"index":...,"field":...,"status":...,"detail":...}. */
void reco__reply_rejected(reco__buf *body, const reco_error *error, int32_t index, bool first);

#endif
