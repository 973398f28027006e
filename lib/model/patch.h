/* model/patch.h - a document changed by a JSON merge patch. */
#ifndef RECO__MODEL_PATCH_H
#define RECO__MODEL_PATCH_H

#include "model/elements.h"

#define RECO__PATCH_MAX 65536u

/* Writes the document as the patch (RFC 7396) leaves it. Members of the patch that are not among `known` (NULL-terminated) go into its attributes, as
 * those of a whole item do. What the patch is not to say goes to `rejects`, as with reco__elements_read; then nothing was written. INVALID with line
 * and column when it is not JSON, or not one object; TOO_LARGE; CORRUPT when the document cannot be read. Whether the result is valid is not looked
 * at. */
reco_status reco__patch_apply(reco__buf *out, reco__rejects *rejects, reco_str document, reco_str patch, const char *const *known, reco_error *err);

#endif
