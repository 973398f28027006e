/* features/features.h - the one door to features. */
#ifndef RECO__FEATURES_H
#define RECO__FEATURES_H

#include "base/base.h"
#include <reco/plugin/features.h>

typedef struct reco__features reco__features; /* SHARED */

/* The built-in backends, `lmdb` and `memory`; NULL past the last. */
const reco_features_backend *reco__features_builtin(size_t index);

/* Open, or opened by a later operation when the store cannot be reached now: until then operations are UNAVAILABLE, saying why. What options point to
 * is borrowed until close. */
reco_status reco__features_open_patient(reco__features **out, const reco_features_options *options, const reco_call *call, reco_error *err);
reco_status reco__features_open(reco__features **out, const reco_features_options *options, const reco_call *call, reco_error *err);
void reco__features_close(reco__features *features);
const reco_board_rules *reco__features_rules(const reco__features *features);
/* Most events of a batch, when the application does not say. */
uint32_t reco__features_batch_events(const reco__features *features);
reco_status reco__features_info(reco_features_info *out, reco__features *features, const reco_call *call, reco_error *err);
reco_status reco__features_intern(uint32_t *numbers, reco__features *features, const reco_str *names, size_t count, const reco_call *call,
                                  reco_error *err);
reco_status reco__features_find_items(uint32_t *numbers, reco__features *features, const reco_str *names, size_t count, const reco_call *call,
                                      reco_error *err);
reco_status reco__features_item_name(reco_str *name, uint64_t *hash, reco__features *features, uint32_t number);
/* For reco_board_cut and friends: names of this store. */
reco_board_names reco__features_names(reco__features *features);
reco_status reco__features_load(reco_position *position, uint64_t *epoch, reco__features *features, uint32_t partition, const reco_str *users,
                                size_t count, reco_features_sink sink, void *context, const reco_call *call, reco_error *err);
reco_status reco__features_positions(reco_position *positions, uint64_t *epoch, reco__features *features, const reco_call *call, reco_error *err);
/* Whether parts of the store may stand apart; when not, spread says what positions says. */
bool reco__features_spreads(const reco__features *features);
reco_status reco__features_spread(reco_spread *spread, uint64_t *epoch, reco__features *features, const reco_call *call, reco_error *err);
reco_status reco__features_apply(reco__features *features, const reco_batch *batch, const reco_call *call, reco_error *err);
reco_status reco__features_heads(reco__features *features, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                                 const reco_call *call, reco_error *err);
reco_status reco__features_row(reco__features *features, uint32_t board, int64_t generation, uint32_t item, reco_features_sink sink, void *context,
                               const reco_call *call, reco_error *err);
reco_status reco__features_generations(int64_t *generations, size_t room, size_t *count, reco__features *features, uint32_t board,
                                       const reco_call *call, reco_error *err);
reco_status reco__features_close_step(int *more, reco__features *features, int64_t budget_ns, const reco_call *call, reco_error *err);
reco_status reco__features_settle(reco__features *features, const reco_call *call, reco_error *err);
reco_status reco__features_scan(reco__features *features, const reco_features_visitor *visitor, const reco_call *call, reco_error *err);
reco_status reco__features_restore(reco__features *features, const reco_restore_piece *piece, const reco_call *call, reco_error *err);
reco_status reco__features_stats(reco__features *features, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                 const reco_call *call, reco_error *err);

#endif
