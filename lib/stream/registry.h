/* stream/registry.h - which backends there are. */
#ifndef RECO__STREAM_REGISTRY_H
#define RECO__STREAM_REGISTRY_H

#include "base/base.h"
#include <reco/plugin/stream.h>

extern const reco_stream_backend reco__stream_lmdb, reco__stream_memory;

/* The backend of a URL's scheme; NOT_FOUND naming it. */
reco_status reco__stream_find_backend(const reco_stream_backend **out, const char *url, reco_error *err);

#endif
