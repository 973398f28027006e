/* recommend/aliases.h - which ids users had before they were known, as far as questions have asked. */
#ifndef RECO__ALIASES_H
#define RECO__ALIASES_H

#include "base/base.h"
#include "recommend/breaker.h"
#include "records/records.h"

#define RECO__ALIASES_BYTES (16u << 20) /* most memory of all that is kept */

typedef struct reco__aliases reco__aliases; /* SHARED */

reco_status reco__aliases_create(reco__aliases **out, reco__records *records, reco_error *err);
void reco__aliases_free(reco__aliases *aliases);
/* Whether records know any user at all. Once, before anyone else has it, and after who follows the change log has noted where to begin. */
reco_status reco__aliases_load(reco__aliases *aliases, const reco_call *call, reco_error *err);
/* A user was changed: what is kept of them holds no longer. By who follows the change log. */
void reco__aliases_forget(reco__aliases *aliases, reco_str user);
/* The aliases of a user, at most RECO_USER_ALIASES_MAX; their names are added to `names` one after the other, and sizes[i] is that of each. What is
 * kept is taken, otherwise records are asked; as stores fail when they cannot be. */
reco_status reco__aliases_find(size_t *count, uint16_t *sizes, reco__buf *names, reco__aliases *aliases, reco_str user, reco__breaker *breaker,
                               const reco_call *call, reco_error *err);
uint64_t reco__aliases_bytes(reco__aliases *aliases);

#endif
