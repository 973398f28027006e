/* engine/module.c - modules that are linked in: started and registered by a call. */
#include "base/module.h"

#include <reco/plugin/features.h>
#include <reco/plugin/records.h>
#include <reco/plugin/stream.h>

reco_status reco_module_start(const reco_module *module, reco_error *err) {
    reco_status status = reco__module_begin(module, err);
    if (status == RECO_OK && module->stream)
        status = reco_register_stream(module->stream, err);
    if (status == RECO_OK && module->features)
        status = reco_register_features(module->features, err);
    if (status == RECO_OK && module->records)
        status = reco_register_records(module->records, err);
    return status;
}
