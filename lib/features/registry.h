/* features/registry.h - features backends by URL scheme. */
#ifndef RECO__FEATURES_REGISTRY_H
#define RECO__FEATURES_REGISTRY_H

#include "features/features.h"

/* NULL when nobody has registered the scheme. */
const reco_features_backend *reco__features_registered(const char *scheme, size_t size);

#endif
