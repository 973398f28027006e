/* kv/cursor.c - keys, values and cursors: thin, because everything hot goes through here. Cursor objects live in the transaction; those of pooled
 * read transactions keep LMDB's cursor between uses and renew it. */
#include "kv/internal.h"

#include <errno.h>

static inline MDB_dbi dbi_of(const reco__kv_txn *txn, reco__kv_table table) { return txn->kv->tables[table].dbi; }

/* LMDB takes keys and values as void *, and does not write through them. */
static inline MDB_val val(const void *data, size_t size) {
    union {
        const void *in;
        void *out;
    } pointer = {.in = data};
    MDB_val value = {size, pointer.out};
    return value;
}

/* Outcomes that leave the transaction whole are NOT_FOUND and CONFLICT; all others spoil a write transaction. */
static reco_status failed(reco__kv_txn *txn, int rc, const char *what, reco_error *err) {
    reco_status status = reco__kv_fail(txn->kv, rc, what, err);
    if (rc == MDB_MAP_FULL) {
        reco__kv_map_full(txn->kv);
    }
    if (txn->write && txn->failed == RECO_OK && rc != MDB_KEYEXIST && rc != MDB_BAD_VALSIZE) {
        txn->failed = status;
    }
    return status;
}

/* Before each write: counts it, and lengthens the file when the transaction has grown beyond its slack. A leaf and half its parent may be copied. */
static inline reco_status about_to_write(reco__kv_txn *txn, size_t size, reco_error *err) {
    if (!txn->write) {
        return reco__fail(err, RECO_INTERNAL, NULL, "a write in a read transaction");
    }
    txn->writes++;
    txn->bytes += size + 2 * txn->kv->page_size;
    if (txn->bytes > txn->room) {
        reco_status status = reco__kv_extend(txn);
        if (status != RECO_OK) {
            txn->failed = status;
            return reco__fail(err, status, NULL, "the data file cannot grow");
        }
    }
    return RECO_OK;
}

reco_status reco__kv_get(reco__kv_value *out, reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, reco_error *err) {
    reco_status status = reco__fault("kv.get", err);
    if (status != RECO_OK) {
        return status;
    }
    MDB_val k = val(key, key_size), v;
    int rc = mdb_get(txn->mt, dbi_of(txn, table), &k, &v);
    if (rc == 0) {
        out->data = v.mv_data;
        out->size = v.mv_size;
        return RECO_OK;
    }
    return rc == MDB_NOTFOUND ? RECO_NOT_FOUND : failed(txn, rc, "get", err);
}

static reco_status put(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, MDB_val *value, unsigned flags, reco_error *err) {
    reco_status status = reco__fault("kv.put", err);
    if (status != RECO_OK || (status = about_to_write(txn, value->mv_size, err)) != RECO_OK) {
        return status;
    }
    MDB_val k = val(key, key_size);
    int rc = mdb_put(txn->mt, dbi_of(txn, table), &k, value, flags);
    return rc == 0 ? RECO_OK : failed(txn, rc, "put", err);
}

reco_status reco__kv_put(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, const void *value, size_t size, reco_error *err) {
    MDB_val v = val(value, size);
    return put(txn, table, key, key_size, &v, 0, err);
}

reco_status reco__kv_append(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, const void *value, size_t size,
                            reco_error *err) {
    MDB_val v = val(value, size);
    return put(txn, table, key, key_size, &v, MDB_APPEND, err);
}

reco_status reco__kv_reserve(void **out, reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, size_t size, reco_error *err) {
    MDB_val v = {size, NULL};
    reco_status status = put(txn, table, key, key_size, &v, MDB_RESERVE, err);
    *out = v.mv_data;
    return status;
}

reco_status reco__kv_delete(reco__kv_txn *txn, reco__kv_table table, const void *key, size_t key_size, reco_error *err) {
    reco_status status = reco__fault("kv.delete", err);
    if (status != RECO_OK || (status = about_to_write(txn, 0, err)) != RECO_OK) {
        return status;
    }
    MDB_val k = val(key, key_size);
    int rc = mdb_del(txn->mt, dbi_of(txn, table), &k, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? RECO_OK : failed(txn, rc, "delete", err);
}

/* --- cursors
 * ----------------------------------------------------------------------------------------------------------------------------------------- */

/* A free cursor of the transaction: best one that was on the same table, else an empty one, else any. NULL: all are in use. */
static reco__kv_cursor *pick(reco__kv_txn *txn, reco__kv_table table) {
    reco__kv_cursor *empty = NULL, *other = NULL;
    for (uint32_t i = 0; i < KV_CURSORS; i++) {
        reco__kv_cursor *cursor = &txn->cursors[i];
        if (cursor->used) {
            continue;
        }
        if (cursor->mc && cursor->table == table) {
            return cursor;
        }
        if (!cursor->mc) {
            empty = empty ? empty : cursor;
        } else {
            other = cursor;
        }
    }
    return empty ? empty : other;
}

static int aim(reco__kv_cursor *cursor, reco__kv_txn *txn, reco__kv_table table) {
    if (cursor->mc && cursor->table == table) {
        return txn->write ? 0 : mdb_cursor_renew(txn->mt, cursor->mc);
    }
    if (cursor->mc) {
        mdb_cursor_close(cursor->mc);
        cursor->mc = NULL;
    }
    return mdb_cursor_open(txn->mt, dbi_of(txn, table), &cursor->mc);
}

reco_status reco__kv_cursor_open(reco__kv_cursor **out, reco__kv_txn *txn, reco__kv_table table, reco_error *err) {
    reco_status status = reco__fault("kv.cursor", err);
    if (status != RECO_OK) {
        return status;
    }
    reco__kv_cursor *cursor = pick(txn, table);
    if (!cursor) {
        cursor = reco__zalloc(sizeof *cursor);
        if (!cursor) {
            return reco__no_memory(err);
        }
        cursor->heap = true;
    }
    int rc = aim(cursor, txn, table);
    if (rc != 0) {
        if (cursor->heap) {
            reco__release(cursor);
        }
        return failed(txn, rc, "cursor", err);
    }
    cursor->txn = txn;
    cursor->table = table;
    cursor->used = true;
    if (cursor->heap) {
        cursor->next = txn->extra;
        txn->extra = cursor;
    }
    *out = cursor;
    return RECO_OK;
}

void reco__kv_cursor_close(reco__kv_cursor *cursor) {
    if (!cursor) {
        return;
    }
    cursor->used = false;
    if (!cursor->heap) {
        return;
    }
    for (reco__kv_cursor **at = &cursor->txn->extra; *at; at = &(*at)->next) {
        if (*at == cursor) {
            *at = cursor->next;
            break;
        }
    }
    mdb_cursor_close(cursor->mc);
    reco__release(cursor);
}

reco_status reco__kv_seek(reco__kv_cursor *cursor, int how, reco__kv_value *key, reco__kv_value *value, reco_error *err) {
    static const MDB_cursor_op operations[] = {MDB_FIRST, MDB_LAST, MDB_NEXT, MDB_PREV, MDB_SET_KEY, MDB_SET_RANGE};
    reco_status status = reco__fault("kv.seek", err);
    if (status != RECO_OK) {
        return status;
    }
    MDB_val k = {0, NULL}, v;
    if (how == RECO__KV_EXACT || how == RECO__KV_FROM) {
        k = val(key->data, key->size);
    }
    int rc = mdb_cursor_get(cursor->mc, &k, &v, operations[how]);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? RECO_NOT_FOUND : failed(cursor->txn, rc, "seek", err);
    }
    if (key) {
        key->data = k.mv_data;
        key->size = k.mv_size;
    }
    if (value) {
        value->data = v.mv_data;
        value->size = v.mv_size;
    }
    return RECO_OK;
}

static reco_status cursor_put(reco__kv_cursor *cursor, const void *key, size_t key_size, MDB_val *value, unsigned flags, reco_error *err) {
    reco_status status = reco__fault("kv.put", err);
    if (status != RECO_OK || (status = about_to_write(cursor->txn, value->mv_size, err)) != RECO_OK) {
        return status;
    }
    MDB_val k = val(key, key_size);
    int rc = mdb_cursor_put(cursor->mc, &k, value, flags);
    return rc == 0 ? RECO_OK : failed(cursor->txn, rc, "put", err);
}

reco_status reco__kv_cursor_put(reco__kv_cursor *cursor, const void *key, size_t key_size, const void *value, size_t size, reco_error *err) {
    MDB_val v = val(value, size);
    return cursor_put(cursor, key, key_size, &v, 0, err);
}

reco_status reco__kv_cursor_replace(reco__kv_cursor *cursor, const void *key, size_t key_size, const void *value, size_t size, reco_error *err) {
    MDB_val v = val(value, size);
    return cursor_put(cursor, key, key_size, &v, MDB_CURRENT, err);
}

reco_status reco__kv_cursor_reserve(void **out, reco__kv_cursor *cursor, const void *key, size_t key_size, size_t size, reco_error *err) {
    MDB_val v = {size, NULL};
    reco_status status = cursor_put(cursor, key, key_size, &v, MDB_CURRENT | MDB_RESERVE, err);
    *out = v.mv_data;
    return status;
}

reco_status reco__kv_cursor_delete(reco__kv_cursor *cursor, reco_error *err) {
    reco_status status = reco__fault("kv.delete", err);
    if (status != RECO_OK || (status = about_to_write(cursor->txn, 0, err)) != RECO_OK) {
        return status;
    }
    int rc = mdb_cursor_del(cursor->mc, 0);
    return rc == 0 ? RECO_OK : failed(cursor->txn, rc, "delete", err);
}
