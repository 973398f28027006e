/* records/lmdb.h - the embedded records, for those who copy them. */
#ifndef RECO__RECORDS_LMDB_H
#define RECO__RECORDS_LMDB_H

#include "kv/kv.h"

/* How the environment at `directory` is opened, by whomever. */
reco__kv_options reco__records_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free);

#endif
