/* model/id_list.h - a short list of different ids, such as the categories of an item and the aliases of a user. */
#ifndef RECO__MODEL_ID_LIST_H
#define RECO__MODEL_ID_LIST_H

#include <jansson.h>

#include "base/base.h"

/* At most `most`, each an id, none twice. TOO_LARGE, or INVALID naming `field`. */
reco_status reco__id_list_check(const reco_str *ids, size_t count, size_t most, int32_t index, const char *field, reco_error *err);

/* Reads a JSON array of strings into the arena; the ids are checked as little as any other text. TOO_LARGE, or INVALID naming `field`. */
reco_status reco__id_list_of_json(const reco_str **ids, size_t *count, reco__arena *arena, const json_t *value, size_t most, int32_t index,
                              const char *field, reco_error *err);

#endif
