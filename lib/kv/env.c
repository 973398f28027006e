/* kv/env.c - opening, sharing and closing environments; tables.
 *
 * The registry lists every environment this process has open, by device and inode of its folder: LMDB may be opened once per process only. The
 * registry's mutex is held across fork, so that the child finds the list whole; the child closes the lock files it has inherited (they would keep the
 * locks of a dead parent alive) and leaves the rest alone: its handles answer FORKED, and it may open the same folder anew.
 *
 * Opening, under the guard byte of the lock file: take the presence, discard what cannot be trusted (NOSYNC), look at the meta pages (precheck.c),
 * let LMDB open the file, check or write the table that names format, version and identity, mark that it was made. The last process to close a NOSYNC
 * environment syncs it and marks it clean.
 *
 * MDB_NOMEMINIT is not used: pages are cleared, so that no heap content reaches the file. */
#include "kv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    pthread_mutex_t mutex;
    pthread_once_t once;
    reco__kv *first;
} registry = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_ONCE_INIT, NULL};

void reco__kv_registry_lock(void) { pthread_mutex_lock(&registry.mutex); }
void reco__kv_registry_unlock(void) { pthread_mutex_unlock(&registry.mutex); }

static void in_child(void) {
    for (reco__kv *kv = registry.first; kv; kv = kv->next) {
        for (reco__kv_lock *lock = kv->locks; lock; lock = lock->next) {
            if (lock->fd >= 0) {
                close(lock->fd);
                lock->fd = -1;
            }
        }
        if (kv->lock_fd >= 0) {
            close(kv->lock_fd);
            kv->lock_fd = -1;
        }
    }
    registry.first = NULL; /* the parent's: never to be used here */
    reco__kv_registry_unlock();
}

static void watch_forks(void) { pthread_atfork(reco__kv_registry_lock, reco__kv_registry_unlock, in_child); }

/* --- LMDB's environment ----------------------------------------------------------------------------------------------------------------------- */

static unsigned env_flags(const reco__kv *kv) {
    unsigned flags = MDB_NOTLS;
    if (kv->flags & (RECO__KV_NOSYNC | RECO__KV_MEMORY)) {
        flags |= MDB_NOSYNC;
    }
    if (kv->flags & RECO__KV_READONLY) {
        flags |= MDB_RDONLY;
    }
    if ((kv->flags & RECO__KV_LOOK) && faccessat(kv->folder_fd, "lock.mdb", F_OK, 0) != 0) {
        flags |= MDB_NOLOCK; /* nobody has it open, and none is to be made */
    }
    return flags;
}

reco_status reco__kv_env_open(reco__kv *kv, reco_error *err) {
    MDB_env *env;
    MDB_stat stat;
    const char *folder = kv->memory_folder ? kv->memory_folder : kv->path;
    int rc = mdb_env_create(&env);
    if (rc != 0) {
        return reco__no_memory(err);
    }
    /* one table more: ours */
    if ((rc = mdb_env_set_maxdbs(env, kv->options.max_tables + 1)) != 0 || (rc = mdb_env_set_maxreaders(env, KV_MAX_READERS)) != 0 ||
        (rc = mdb_env_set_mapsize(env, (size_t)kv->options.map_size)) != 0 || (rc = mdb_env_open(env, folder, env_flags(kv), 0600)) != 0 ||
        (rc = mdb_env_stat(env, &stat)) != 0) {
        mdb_env_close(env);
        if (rc == ENOMEM) {
            return reco__fail(err, RECO_NO_MEMORY, "map_size", "no room for a map of %llu bytes", (unsigned long long)kv->options.map_size);
        }
        return rc == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "directory", "%s holds nothing yet", folder) : reco__kv_fail(kv, rc, folder, err);
    }
    kv->page_size = stat.ms_psize;
    kv->env = env;
    return RECO_OK;
}

void reco__kv_env_close(reco__kv *kv) {
    reco__kv_pool_drop(kv);
    if (kv->env) {
        mdb_env_close(kv->env);
        kv->env = NULL;
    }
}

/* --- format ------------------------------------------------------------------------------------------------------------------------------------ */

struct format {
    bool found;
    uint32_t version;
    uint8_t id[16];
    char name[64];
};

/* The table KV_META_TABLE holds one value under "format": u32 version, 16 bytes of identity, name. */
static int read_format(struct format *out, reco__kv *kv) {
    MDB_txn *mt;
    MDB_dbi dbi;
    char name[] = "format";
    MDB_val key = {sizeof name - 1, name}, value;
    memset(out, 0, sizeof *out);
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &mt);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(mt, KV_META_TABLE, 0, &dbi);
    if (rc == MDB_NOTFOUND) {
        MDB_stat stat;
        rc = mdb_stat(mt, 1, &stat); /* LMDB's main table: names of tables */
        mdb_txn_abort(mt);
        return rc == 0 && stat.ms_entries != 0 ? MDB_INCOMPATIBLE : rc;
    }
    if (rc == 0) {
        rc = mdb_get(mt, dbi, &key, &value);
    }
    if (rc == 0 && (value.mv_size < 20 || value.mv_size - 20 >= sizeof out->name)) {
        rc = MDB_INCOMPATIBLE;
    }
    if (rc == 0) {
        reco__reader reader = reco__reader_of(value.mv_data, value.mv_size);
        out->found = true;
        out->version = reco__read_u32(&reader);
        memcpy(out->id, reco__read_bytes(&reader, 16), 16);
        memcpy(out->name, reader.at, value.mv_size - 20);
    }
    mdb_txn_abort(mt);
    return rc == MDB_NOTFOUND ? MDB_INCOMPATIBLE : rc;
}

static reco_status write_format(reco__kv *kv, reco_error *err) {
    reco_status status = reco__random_bytes(kv->id, sizeof kv->id, err);
    if (status != RECO_OK) {
        return status;
    }
    /* The first pages of the file, and room ahead, before LMDB writes anything. */
    reco__kv_txn *txn;
    status = reco__kv_write_start(kv, err);
    if (status != RECO_OK) {
        return status;
    }
    txn = &kv->writer;
    uint8_t bytes[20 + 64];
    size_t size = strlen(kv->format);
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(kv->options.format_version >> (8 * i));
    }
    memcpy(bytes + 4, kv->id, 16);
    memcpy(bytes + 20, kv->format, size);
    char name[] = "format";
    MDB_val key = {sizeof name - 1, name}, value = {20 + size, bytes};
    MDB_dbi dbi;
    int rc = mdb_dbi_open(txn->mt, KV_META_TABLE, MDB_CREATE, &dbi);
    if (rc == 0) {
        rc = mdb_put(txn->mt, dbi, &key, &value, 0);
    }
    if (rc != 0) {
        reco__kv_abort(txn);
        return reco__kv_fail(kv, rc, "format", err);
    }
    return reco__kv_commit(txn, err);
}

static reco_status check_format(reco__kv *kv, bool *fresh, reco_error *err) {
    struct format format;
    int rc = read_format(&format, kv);
    if (rc == MDB_INCOMPATIBLE) {
        return reco__fail(err, RECO_REFUSED, "directory", "%s is an LMDB store of another program", kv->path);
    }
    if (rc != 0) {
        return reco__kv_fail(kv, rc, "format", err);
    }
    if (!format.found) {
        *fresh = true;
        return kv->flags & RECO__KV_READONLY ? reco__fail(err, RECO_NOT_FOUND, "directory", "%s holds nothing yet", kv->path) : write_format(kv, err);
    }
    if (strcmp(format.name, kv->format) != 0) {
        return reco__fail(err, RECO_REFUSED, "directory", "%s holds '%s', not '%s'", kv->path, format.name, kv->format);
    }
    if (format.version > kv->options.format_version) {
        return reco__fail(err, RECO_NEWER, "directory", "%s has version %u of '%s', this library reads %u", kv->path, format.version, kv->format,
                          kv->options.format_version);
    }
    if (format.version < kv->options.format_version) {
        return reco__fail(err, RECO_REFUSED, "directory", "%s has the old version %u of '%s', this library reads %u", kv->path, format.version,
                          kv->format, kv->options.format_version);
    }
    memcpy(kv->id, format.id, sizeof kv->id);
    return RECO_OK;
}

/* --- making and freeing the object ---------------------------------------------------------------------------------------------------------------
 */

static void release(reco__kv *kv) {
    if (!kv) {
        return;
    }
    for (uint32_t i = 0; kv->tables && i < kv->table_count; i++) {
        reco__release(kv->tables[i].name);
    }
    while (kv->shared) {
        struct kv_shared *next = kv->shared->next;
        reco__release(kv->shared->block);
        reco__release(kv->shared->name);
        reco__release(kv->shared);
        kv->shared = next;
    }
    if (kv->signal) {
        munmap(kv->signal, 4096);
    }
    if (kv->alive) {
        munmap(kv->alive, 4096);
    }
    if (kv->lock_fd >= 0) {
        close(kv->lock_fd);
    }
    if (kv->folder_fd >= 0) {
        close(kv->folder_fd);
    }
    pthread_mutex_destroy(&kv->tables_mutex);
    pthread_mutex_destroy(&kv->gate_mutex);
    pthread_mutex_destroy(&kv->queue_mutex);
    pthread_mutex_destroy(&kv->writer_mutex);
    pthread_cond_destroy(&kv->gate_cond);
    pthread_cond_destroy(&kv->queue_cond);
    reco__release(kv->tables);
    reco__release(kv->pool);
    reco__release(kv->format);
    reco__release(kv->memory_folder);
    reco__release(kv->path);
    reco__release(kv);
}

static void set_defaults(reco__kv *kv, const reco__kv_options *options) {
    reco__kv_options *o = &kv->options;
    *o = *options;
    o->directory = o->name = o->format = NULL; /* the caller's */
    o->max_tables = o->max_tables ? o->max_tables : 64;
    o->slack = o->slack ? o->slack : 64u << 20;
    o->job_records = o->job_records ? o->job_records : 1000;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t readers = cores > 4 ? (uint32_t)cores * 4 : 16;
    o->max_readers = o->max_readers ? o->max_readers : readers < 256 ? readers : 256;
    if (o->map_size == 0) {
        o->map_size = 256ull << 30;
        uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
        if ((kv->flags & RECO__KV_MEMORY) && memory * 2 < o->map_size) {
            o->map_size = memory * 2;
        }
    }
    o->map_size = (o->map_size + 65535) / 65536 * 65536;
}

static bool init_sync(reco__kv *kv) {
    pthread_condattr_t clock;
    if (pthread_condattr_init(&clock) != 0) {
        return false;
    }
    bool ok = pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0 && pthread_mutex_init(&kv->tables_mutex, NULL) == 0 &&
              pthread_mutex_init(&kv->gate_mutex, NULL) == 0 && pthread_mutex_init(&kv->queue_mutex, NULL) == 0 &&
              pthread_mutex_init(&kv->writer_mutex, NULL) == 0 && pthread_cond_init(&kv->gate_cond, &clock) == 0 &&
              pthread_cond_init(&kv->queue_cond, &clock) == 0;
    pthread_condattr_destroy(&clock);
    return ok;
}

static void make_pool(reco__kv *kv) {
    for (uint32_t i = 0; i < kv->options.max_readers; i++) {
        kv->pool[i].kv = kv;
        kv->pool[i].next_free = kv->free;
        kv->free = &kv->pool[i];
    }
    kv->writer.kv = kv;
    kv->writer.write = true;
}

static reco_status create(reco__kv **out, const reco__kv_options *options, reco_error *err) {
    reco__kv *kv = reco__zalloc(sizeof *kv);
    if (!kv) {
        return reco__no_memory(err);
    }
    kv->folder_fd = kv->lock_fd = -1;
    kv->flags = options->flags;
    kv->count = 1;
    kv->pid = getpid();
    set_defaults(kv, options);
    if (!init_sync(kv)) { /* cannot fail with these attributes on Linux */
        reco__release(kv);
        return reco__no_memory(err);
    }
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, 4096, MADV_WIPEONFORK) == 0) {
        kv->alive = page;
        *kv->alive = 1;
    } else if (page != MAP_FAILED) {
        munmap(page, 4096);
    }
    kv->format = reco__strndup(options->format, strlen(options->format));
    kv->tables = reco__alloc_array(kv->options.max_tables, sizeof *kv->tables);
    kv->pool = reco__alloc_array(kv->options.max_readers, sizeof *kv->pool);
    if (!kv->format || !kv->tables || !kv->pool) {
        release(kv);
        return reco__no_memory(err);
    }
    memset(kv->pool, 0, kv->options.max_readers * sizeof *kv->pool);
    make_pool(kv);
    *out = kv;
    return RECO_OK;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status check_options(const reco__kv_options *options, reco_error *err) {
    if (!options->format || !*options->format || strlen(options->format) > 63) {
        return reco__fail(err, RECO_INVALID, "format", "a format name of 1 to 63 bytes is needed");
    }
    if (options->flags & RECO__KV_MEMORY) {
        if (options->flags & RECO__KV_READONLY) {
            return reco__fail(err, RECO_INVALID, "flags", "a store in memory cannot be open for reading only");
        }
        return RECO_OK;
    }
    if (!options->directory || !*options->directory) {
        return reco__fail(err, RECO_INVALID, "directory", "a directory is needed");
    }
    if (!options->name || !*options->name || strchr(options->name, '/')) {
        return reco__fail(err, RECO_INVALID, "name", "a name without slash is needed");
    }
    return RECO_OK;
}

/* NOSYNC content of another boot that was not closed cleanly may be torn anywhere. */
static reco_status settle_trust(reco__kv *kv, bool alone, bool *fresh, reco_error *err) {
    if (!(kv->flags & RECO__KV_NOSYNC) || !alone) {
        return RECO_OK;
    }
    struct stat st;
    bool exists = fstatat(kv->folder_fd, "data.mdb", &st, 0) == 0 || reco__kv_made(kv->folder_fd);
    if (exists && !reco__kv_trusted(kv->folder_fd)) {
        if (kv->flags & RECO__KV_READONLY) {
            return reco__fail(err, RECO_CORRUPT, NULL, "%s was not closed cleanly before the machine was restarted", kv->path);
        }
        static const char *const files[] = {"made", "data.mdb", "lock.mdb"};
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            if (unlinkat(kv->folder_fd, files[i], 0) != 0 && errno != ENOENT) {
                return reco__fail_errno(err, errno, kv->path);
            }
        }
        *fresh = true;
    }
    return kv->flags & RECO__KV_READONLY ? RECO_OK : reco__kv_mark_open(kv->folder_fd, err);
}

/* The mark follows the first transaction. A store without it, cut short in between, gets it when it is opened next: then failing would be no help. */
static reco_status settle_made(reco__kv *kv, bool fresh, reco_error *err) {
    if ((kv->flags & RECO__KV_READONLY) || reco__kv_made(kv->folder_fd)) {
        return RECO_OK;
    }
    reco_status status = reco__kv_mark_made(kv->folder_fd, fresh ? err : NULL);
    return fresh ? status : RECO_OK;
}

static reco_status start_guarded(reco__kv *kv, bool *fresh, reco_error *err) {
    bool alone, missing;
    reco_status status = reco__kv_presence_take(&alone, kv->lock_fd, err);
    if (status == RECO_OK) {
        status = settle_trust(kv, alone, fresh, err);
    }
    if (status == RECO_OK) {
        status = reco__kv_precheck(&missing, kv->folder_fd, reco__kv_made(kv->folder_fd), alone, kv->path, err);
    }
    if (status == RECO_OK && missing && alone && !(kv->flags & RECO__KV_READONLY)) {
        unlinkat(kv->folder_fd, "data.mdb", 0); /* one whose making was cut short */
    }
    if (status == RECO_OK) {
        status = reco__kv_signal_map(&kv->signal, kv->folder_fd, err);
        kv->boot = reco__kv_boot();
    }
    if (status == RECO_OK) {
        status = reco__kv_env_open(kv, err);
    }
    if (status == RECO_OK) {
        reco__kv_reader_check(kv);
        status = check_format(kv, fresh, err);
    }
    if (status == RECO_OK && *fresh && fsync(kv->folder_fd) != 0) {
        status = reco__fail_errno(err, errno, kv->path);
    }
    if (status == RECO_OK) {
        status = settle_made(kv, *fresh, err);
    }
    if (status != RECO_OK) {
        reco__kv_env_close(kv);
    }
    return status;
}

static reco_status start_looking(reco__kv *kv, reco_error *err) {
    reco__kv_place place = {0};
    bool missing, unused = false;
    reco__kv_place_of(&place, kv->folder_fd);
    if (place.foreign) {
        return reco__fail(err, RECO_REFUSED, "directory", "a live process of another PID namespace (container) has the store open");
    }
    if ((kv->flags & RECO__KV_NOSYNC) && !place.held && place.has_data && !reco__kv_trusted(kv->folder_fd)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s was not closed cleanly before the machine was restarted", kv->path);
    }
    reco_status status = reco__kv_precheck(&missing, kv->folder_fd, place.made, !place.held, kv->path, err);
    if (status == RECO_OK && missing) {
        status = reco__fail(err, RECO_NOT_FOUND, "directory", "%s holds nothing yet", kv->path);
    }
    if (status == RECO_OK) {
        status = reco__kv_signal_map(&kv->signal, -1, err);
    }
    if (status == RECO_OK) {
        status = reco__kv_env_open(kv, err);
    }
    if (status == RECO_OK && (status = check_format(kv, &unused, err)) != RECO_OK) {
        reco__kv_env_close(kv);
    }
    return status;
}

static reco_status start_on_disk(reco__kv *kv, bool *fresh, reco_error *err) {
    kv->lock_fd = openat(kv->folder_fd, "reco.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (kv->lock_fd < 0) {
        char file[300];
        int error = errno;
        snprintf(file, sizeof file, "%.280s/reco.lock", kv->path);
        return reco__fail_errno(err, error, file);
    }
    reco_status status = reco__kv_guard_take(kv->lock_fd, err);
    if (status != RECO_OK) {
        return status;
    }
    status = start_guarded(kv, fresh, err);
    reco__kv_guard_drop(kv->lock_fd);
    return status;
}

static reco_status start_in_memory(reco__kv *kv, bool *fresh, reco_error *err) {
    char *folder;
    reco_status status = reco__kv_memory_folder(&folder, &kv->lock_fd, err);
    if (status != RECO_OK) {
        return status;
    }
    *fresh = true;
    kv->memory_folder = folder;
    kv->path = reco__strndup("", 0);
    status = kv->path ? reco__kv_signal_map(&kv->signal, -1, err) : reco__no_memory(err);
    if (status == RECO_OK) {
        status = reco__kv_env_open(kv, err);
    }
    reco__kv_memory_unlink(folder);
    if (status == RECO_OK) {
        status = check_format(kv, fresh, err);
    }
    if (status != RECO_OK) {
        reco__kv_env_close(kv);
    }
    return status;
}

static reco__kv *find_open(dev_t device, ino_t inode) {
    for (reco__kv *kv = registry.first; kv; kv = kv->next) {
        if (!(kv->flags & RECO__KV_MEMORY) && kv->device == device && kv->inode == inode && reco__kv_alive(kv, NULL) == RECO_OK) {
            return kv;
        }
    }
    return NULL;
}

static reco_status share_open(reco__kv *kv, const reco__kv_options *options, reco_error *err) {
    if (kv->flags != options->flags && !(options->flags & RECO__KV_LOOK)) {
        return reco__fail(err, RECO_INVALID, "flags", "%s is open in this process with other flags", kv->path);
    }
    if (strcmp(kv->format, options->format) != 0 || kv->options.format_version != options->format_version) {
        return reco__fail(err, RECO_REFUSED, "format", "%s is open in this process as '%s' version %u", kv->path, kv->format,
                          kv->options.format_version);
    }
    kv->count++;
    return RECO_OK;
}

static reco_status start(reco__kv *kv, bool *fresh, reco_error *err) {
    reco_status status = kv->flags & RECO__KV_MEMORY ? start_in_memory(kv, fresh, err)
                         : kv->flags & RECO__KV_LOOK ? start_looking(kv, err)
                                                     : start_on_disk(kv, fresh, err);
    if (status == RECO_OK && (status = reco__kv_group_start(kv, err)) != RECO_OK) {
        reco__kv_env_close(kv);
    }
    return status;
}

/* Under the registry's mutex. */
static reco_status open_locked(reco__kv **out, const reco__kv_options *options, bool *fresh, reco_error *err) {
    int folder_fd = -1;
    char *path = NULL;
    struct stat st = {0};
    reco_status status = RECO_OK;
    if (!(options->flags & RECO__KV_MEMORY)) {
        status = reco__kv_folder_open(&folder_fd, &path, options, err);
        if (status != RECO_OK) {
            return status;
        }
        if (fstat(folder_fd, &st) != 0) {
            status = reco__fail_errno(err, errno, path);
        }
        reco__kv *known = status == RECO_OK ? find_open(st.st_dev, st.st_ino) : NULL;
        if (known || status != RECO_OK) {
            close(folder_fd);
            reco__release(path);
            *out = known;
            return known ? share_open(known, options, err) : status;
        }
    }
    reco__kv *kv = NULL;
    status = create(&kv, options, err);
    if (status != RECO_OK) {
        if (folder_fd >= 0) {
            close(folder_fd);
        }
        reco__release(path);
        return status;
    }
    kv->folder_fd = folder_fd;
    kv->path = path;
    kv->device = st.st_dev;
    kv->inode = st.st_ino;
    status = start(kv, fresh, err);
    if (status != RECO_OK) {
        release(kv);
        return status;
    }
    kv->next = registry.first;
    registry.first = kv;
    *out = kv;
    return RECO_OK;
}

reco_status reco__kv_open(reco__kv **out, const reco__kv_options *options, bool *fresh, reco_error *err) {
    bool made = false;
    reco__kv *kv = NULL;
    *out = NULL;
    reco_status status = check_options(options, err);
    if (status != RECO_OK || (status = reco__fault("kv.open", err)) != RECO_OK) {
        return status;
    }
    pthread_once(&registry.once, watch_forks);
    reco__kv_registry_lock();
    status = open_locked(&kv, options, &made, err);
    reco__kv_registry_unlock();
    if (status == RECO_OK) {
        *out = kv;
        if (fresh) {
            *fresh = made;
        }
    }
    return status;
}

/* --- closing -------------------------------------------------------------------------------------------------------------------------------------
 */

static void stop_on_disk(reco__kv *kv) {
    bool guarded = reco__kv_guard_take(kv->lock_fd, NULL) == RECO_OK;
    bool clean = guarded && (kv->flags & (RECO__KV_NOSYNC | RECO__KV_READONLY)) == RECO__KV_NOSYNC && kv->env &&
                 reco__kv_presence_alone(kv->lock_fd) && mdb_env_sync(kv->env, 1) == 0;
    reco__kv_env_close(kv);
    if (clean) {
        reco__kv_mark_clean(kv->folder_fd);
    }
    /* Presence and guard go with the descriptor. */
}

void reco__kv_close(reco__kv *kv) {
    if (!kv || reco__kv_alive(kv, NULL) != RECO_OK) {
        return;
    }
    reco__kv_registry_lock();
    if (--kv->count > 0) {
        reco__kv_registry_unlock();
        return;
    }
    for (reco__kv **at = &registry.first; *at; at = &(*at)->next) {
        if (*at == kv) {
            *at = kv->next;
            break;
        }
    }
    reco__kv_group_stop(kv);
    if (kv->flags & (RECO__KV_MEMORY | RECO__KV_LOOK)) {
        reco__kv_env_close(kv);
    } else {
        stop_on_disk(kv);
    }
    release(kv);
    reco__kv_registry_unlock();
}

/* --- what is known of it --------------------------------------------------------------------------------------------------------------------------
 */

void reco__kv_id(const reco__kv *kv, uint8_t out[16]) { memcpy(out, kv->id, 16); }

const char *reco__kv_path(const reco__kv *kv) { return kv->path; }

static reco_status make_shared(struct kv_shared **out, const char *name, size_t size, const void *initial, reco_error *err) {
    struct kv_shared *shared = reco__zalloc(sizeof *shared);
    if (!shared) {
        return reco__no_memory(err);
    }
    shared->name = reco__strndup(name, strlen(name));
    shared->block = reco__zalloc(size);
    shared->size = size;
    if (!shared->name || !shared->block) {
        reco__release(shared->name);
        reco__release(shared->block);
        reco__release(shared);
        return reco__no_memory(err);
    }
    if (initial) {
        memcpy(shared->block, initial, size);
    }
    *out = shared;
    return RECO_OK;
}

reco_status reco__kv_share(void **out, reco__kv *kv, const char *name, size_t size, const void *initial, reco_error *err) {
    reco_status status = RECO_OK;
    pthread_mutex_lock(&kv->tables_mutex);
    struct kv_shared *shared = kv->shared;
    while (shared && strcmp(shared->name, name) != 0) {
        shared = shared->next;
    }
    if (!shared) {
        status = make_shared(&shared, name, size, initial, err);
        if (status == RECO_OK) {
            shared->next = kv->shared;
            kv->shared = shared;
        }
    } else if (shared->size != size) {
        status = reco__fail(err, RECO_INTERNAL, NULL, "the shared block '%s' has %zu bytes, not %zu", name, shared->size, size);
    }
    pthread_mutex_unlock(&kv->tables_mutex);
    if (status == RECO_OK) {
        *out = shared->block;
    }
    return status;
}

/* --- tables
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

static uint32_t find_table(const reco__kv *kv, const char *name) {
    for (uint32_t i = 0; i < kv->table_count; i++) {
        if (strcmp(kv->tables[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* A table's number is made known to LMDB in a transaction of its own; under tables_mutex only one such is open. The list grows while the gate is held
 * open by a transaction of ours, so that whoever works behind the gate finds list and numbers in agreement. Takes `name` when OK. */
static reco_status add_existing(reco__kv_table *out, reco__kv *kv, char *name, reco_error *err) {
    MDB_txn *mt;
    MDB_dbi dbi;
    reco__kv_txn *hold;
    reco_status status = reco__kv_read_begin(&hold, kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &mt);
    if (rc == 0) {
        rc = mdb_dbi_open(mt, name, 0, &dbi);
        if (rc == 0) {
            rc = mdb_txn_commit(mt);
        } else {
            mdb_txn_abort(mt);
        }
    }
    if (rc == 0) {
        kv->tables[kv->table_count] = (struct kv_table){name, dbi};
        *out = kv->table_count++;
    }
    reco__kv_read_end(hold);
    return rc == 0 ? RECO_OK : rc == MDB_NOTFOUND ? RECO_NOT_FOUND : reco__kv_fail(kv, rc, name, err);
}

static reco_status create_table(reco__kv *kv, const char *name, reco_error *err) {
    reco__kv_txn *txn;
    MDB_dbi dbi;
    if (kv->flags & RECO__KV_READONLY) {
        return reco__fail(err, RECO_NOT_FOUND, NULL, "no table '%s'", name);
    }
    reco_status status = reco__kv_write_begin_freeing(&txn, kv, err);
    if (status != RECO_OK) {
        return status;
    }
    int rc = mdb_dbi_open(txn->mt, name, MDB_CREATE, &dbi);
    if (rc != 0) {
        reco__kv_abort(txn);
        return reco__kv_fail(kv, rc, name, err);
    }
    return reco__kv_commit(txn, err);
}

static reco_status open_table_locked(reco__kv_table *out, reco__kv *kv, const char *name, reco_error *err) {
    uint32_t at = find_table(kv, name);
    if (at != UINT32_MAX) {
        *out = at;
        return RECO_OK;
    }
    if (kv->table_count == kv->options.max_tables) {
        return reco__fail(err, RECO_FULL, "max_tables", "no room for table '%s'", name);
    }
    char *copy = reco__strndup(name, strlen(name));
    if (!copy) {
        return reco__no_memory(err);
    }
    reco_status status = add_existing(out, kv, copy, err);
    if (status == RECO_NOT_FOUND && (status = create_table(kv, name, err)) == RECO_OK) {
        status = add_existing(out, kv, copy, err);
    }
    if (status != RECO_OK) {
        reco__release(copy);
    }
    return status;
}

reco_status reco__kv_table_open(reco__kv_table *out, reco__kv *kv, const char *name, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK || (status = reco__fault("kv.table_open", err)) != RECO_OK) {
        return status;
    }
    if (!*name || strcmp(name, KV_META_TABLE) == 0) {
        return reco__fail(err, RECO_INVALID, "name", "not a name for a table");
    }
    pthread_mutex_lock(&kv->tables_mutex);
    status = open_table_locked(out, kv, name, err);
    pthread_mutex_unlock(&kv->tables_mutex);
    return status;
}

reco_status reco__kv_tables(reco__kv *kv, void (*sink)(void *context, const char *name), void *context, reco_error *err) {
    reco__kv_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    int rc = mdb_cursor_open(txn->mt, 1, &cursor); /* LMDB's main table: names of tables */
    if (rc == 0) {
        while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            char name[512];
            if (key.mv_size < sizeof name && !(key.mv_size == sizeof KV_META_TABLE - 1 && memcmp(key.mv_data, KV_META_TABLE, key.mv_size) == 0)) {
                memcpy(name, key.mv_data, key.mv_size);
                name[key.mv_size] = '\0';
                sink(context, name);
            }
        }
        mdb_cursor_close(cursor);
    }
    reco__kv_read_end(txn);
    return rc == MDB_NOTFOUND ? RECO_OK : reco__kv_fail(kv, rc, "tables", err);
}

/* --- accounting
 * ---------------------------------------------------------------------------------------------------------------------------------------- */

/* Pages in LMDB's list of free ones: each value is a count followed by page numbers. */
static int count_free(uint64_t *pages, MDB_txn *mt) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(mt, 0, &cursor);
    if (rc != 0) {
        return rc;
    }
    *pages = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count;
        memcpy(&count, value.mv_data, sizeof count);
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

reco_status reco__kv_stat(reco__kv_stats *out, reco__kv *kv, reco_error *err) {
    memset(out, 0, sizeof *out);
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    MDB_envinfo info;
    struct stat st;
    uint64_t unused = 0;
    int fd, rc = mdb_env_info(kv->env, &info);
    if (rc == 0) {
        rc = mdb_env_get_fd(kv->env, &fd);
    }
    if (rc == 0 && fstat(fd, &st) != 0) {
        rc = errno;
    }
    if (rc == 0) {
        rc = count_free(&unused, txn->mt);
    }
    if (rc == 0) {
        out->file_bytes = (uint64_t)st.st_size;
        out->disk_bytes = (uint64_t)st.st_blocks * 512;
        out->used_bytes = (txn->last_page + 1 > unused ? txn->last_page + 1 - unused : 0) * kv->page_size;
        out->readers = info.me_numreaders;
        out->commits = __atomic_load_n(&kv->commits, __ATOMIC_RELAXED);
        out->jobs = __atomic_load_n(&kv->jobs, __ATOMIC_RELAXED);
        out->records = __atomic_load_n(&kv->records, __ATOMIC_RELAXED);
    }
    reco__kv_read_end(txn);
    return rc == 0 ? RECO_OK : reco__kv_fail(kv, rc, "statistics", err);
}

reco_status reco__kv_table_stat(uint64_t *entries, uint64_t *bytes, reco__kv *kv, reco__kv_table table, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    MDB_stat stat;
    int rc = mdb_stat(txn->mt, kv->tables[table].dbi, &stat);
    reco__kv_read_end(txn);
    if (rc != 0) {
        return reco__kv_fail(kv, rc, "statistics", err);
    }
    *entries = stat.ms_entries;
    *bytes = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * (uint64_t)stat.ms_psize;
    return RECO_OK;
}
