/* What the tests of lib/kv share. */
#ifndef TEST_KV_H
#define TEST_KV_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kv/internal.h"
#include "support/support.h"

static inline reco__kv_options kv_options(const char *directory, uint32_t flags) {
    reco__kv_options options = {.directory = directory, .name = "store", .flags = flags, .map_size = 1u << 30, .format = "test", .format_version = 1};
    return options;
}

static inline reco__kv *kv_open(const char *directory, uint32_t flags) {
    reco__kv_options options = kv_options(directory, flags);
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    return kv;
}

static inline reco__kv_table kv_table(reco__kv *kv, const char *name) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_table table;
    test_ok(reco__kv_table_open(&table, kv, name, &err), &err);
    return table;
}

static inline void kv_set(reco__kv *kv, reco__kv_table table, uint64_t number, const void *value, size_t size) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_txn *txn;
    uint8_t key[8];
    reco__be64(key, number);
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
    test_ok(reco__kv_put(txn, table, key, sizeof key, value, size, &err), &err);
    test_ok(reco__kv_commit(txn, &err), &err);
}

static inline bool kv_has(reco__kv *kv, reco__kv_table table, uint64_t number) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv_txn *txn;
    reco__kv_value value;
    uint8_t key[8];
    reco__be64(key, number);
    test_ok(reco__kv_read_begin(&txn, kv, 0, &err), &err);
    reco_status status = reco__kv_get(&value, txn, table, key, sizeof key, &err);
    reco__kv_read_end(txn);
    ck_assert(status == RECO_OK || status == RECO_NOT_FOUND);
    return status == RECO_OK;
}

#endif
