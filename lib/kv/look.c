/* kv/look.c - what can be seen of an environment from outside, for those who look for trouble: nothing here takes a lock, makes a file or changes
 * one.
 *
 * Locks are asked for with F_OFD_GETLK, which tells that somebody has one, but not who: processes are found by what /proc shows of their open files,
 * which is those of one's own user, or all of them for root. */
#include "kv/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the folder ---------------------------------------------------------------------------------------------------------------------------- */

static bool is_held(int lock_fd, int64_t byte) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(lock_fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

static bool is_foreign(int lock_fd) {
    struct stat st;
    uint8_t mine[8] = {0}, theirs[8];
    if (stat("/proc/self/ns/pid", &st) == 0) {
        reco__be64(mine, (uint64_t)st.st_ino);
    }
    return pread(lock_fd, theirs, sizeof theirs, 0) == (ssize_t)sizeof theirs && memcmp(mine, theirs, sizeof mine) != 0;
}

static int how_left(int folder_fd) {
    char line[6] = "";
    int fd = openat(folder_fd, "trust", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return RECO__KV_NEVER;
    }
    ssize_t got = read(fd, line, sizeof line);
    close(fd);
    if (got == (ssize_t)sizeof line && memcmp(line, "clean ", sizeof line) == 0) {
        return RECO__KV_CLEAN;
    }
    return reco__kv_trusted(folder_fd) ? RECO__KV_THIS_BOOT : RECO__KV_OTHER_BOOT;
}

static int64_t clock_jump(int folder_fd) {
    uint64_t boot = 0, ahead = 0, mine = reco__kv_boot();
    int fd = openat(folder_fd, "wake", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    bool known = pread(fd, &boot, sizeof boot, KV_BOOT * sizeof boot) == (ssize_t)sizeof boot &&
                 pread(fd, &ahead, sizeof ahead, KV_CLOCK * sizeof ahead) == (ssize_t)sizeof ahead && boot != 0 && boot == mine;
    close(fd);
    return known ? reco__now_ms() - reco__monotonic_ns() / 1000000 - (int64_t)ahead : 0;
}

void reco__kv_place_of(reco__kv_place *out, int folder_fd) {
    struct stat st;
    out->exists = true;
    out->made = reco__kv_made(folder_fd);
    out->has_data = fstatat(folder_fd, "data.mdb", &st, 0) == 0;
    out->file_bytes = out->has_data ? (uint64_t)st.st_size : 0;
    out->left = how_left(folder_fd);
    out->clock_jump = clock_jump(folder_fd);
    int fd = openat(folder_fd, "reco.lock", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        out->held = is_held(fd, KV_BYTE_PRESENCE);
        out->foreign = out->held && is_foreign(fd);
        close(fd);
    }
}

/* --- who --------------------------------------------------------------------------------------------------------------------------------- */

static bool has_open(int proc, const char *pid, const struct stat *file) {
    char path[64];
    struct stat st;
    bool found = false;
    snprintf(path, sizeof path, "%.20s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (const struct dirent *entry = readdir(folder); entry && !found; entry = readdir(folder)) {
        found = entry->d_name[0] != '.' && fstatat(fd, entry->d_name, &st, 0) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
    }
    closedir(folder);
    return found;
}

static void find_holders(reco__kv_place *out, int folder_fd) {
    struct stat file;
    DIR *proc = fstatat(folder_fd, "reco.lock", &file, 0) == 0 ? opendir("/proc") : NULL;
    if (!proc) {
        return;
    }
    for (const struct dirent *entry = readdir(proc); entry && out->holder_count < RECO__KV_HOLDERS; entry = readdir(proc)) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 0 && has_open(dirfd(proc), entry->d_name, &file)) {
            out->holders[out->holder_count++] = (int32_t)pid;
        }
    }
    closedir(proc);
}

/* *folder_fd < 0 with OK: there is none. */
static reco_status look_in(int *folder_fd, const char *directory, const char *name, reco_error *err) {
    char *path;
    const reco__kv_options options = {.directory = directory, .name = name, .flags = RECO__KV_READONLY};
    reco_status status = reco__kv_folder_open(folder_fd, &path, &options, err);
    if (status == RECO_OK) {
        reco__release(path);
    }
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

reco_status reco__kv_place_look(reco__kv_place *out, const char *directory, const char *name, reco_error *err) {
    int folder_fd = -1;
    *out = (reco__kv_place){.exists = false};
    reco_status status = look_in(&folder_fd, directory, name, err);
    if (status != RECO_OK || folder_fd < 0) {
        return status;
    }
    reco__kv_place_of(out, folder_fd);
    reco__kv_meta_look(&out->map_size, &out->used_bytes, folder_fd);
    if (out->held) {
        find_holders(out, folder_fd);
    }
    close(folder_fd);
    return RECO_OK;
}

reco_status reco__kv_place_check(const char *directory, const char *name, reco_error *err) {
    int folder_fd = -1;
    bool missing;
    reco__kv_place place = {.exists = false};
    reco_status status = look_in(&folder_fd, directory, name, err);
    if (status != RECO_OK || folder_fd < 0) {
        return status;
    }
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    reco__kv_place_of(&place, folder_fd);
    status = reco__kv_precheck(&missing, folder_fd, place.made, !place.held, path, err);
    close(folder_fd);
    return status;
}

/* --- readers ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct reading {
    reco__kv_readers *out;
    uint64_t newest;
} reading;

/* A line of LMDB's list: "pid thread transaction", the last a dash when none is held; or a line of words. */
static int take_reader(const char *line, void *context) {
    reading *to = context;
    char *rest;
    long pid = strtol(line, &rest, 10);
    if (rest == line || pid <= 0) {
        return 0;
    }
    (void)strtoull(rest, &rest, 16);
    char *end;
    uint64_t held = strtoull(rest, &end, 10);
    bool dead = kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    to->out->count++;
    to->out->stale += dead;
    if (end != rest && held < to->newest && to->newest - held > to->out->oldest_behind) {
        to->out->oldest_behind = to->newest - held;
        to->out->oldest_pid = (int32_t)pid;
    }
    return 0;
}

reco_status reco__kv_readers_look(reco__kv_readers *out, reco__kv *kv, reco_error *err) {
    reco__kv_txn *txn; /* so that nobody closes the environment meanwhile */
    *out = (reco__kv_readers){.count = 0};
    reco_status status = reco__kv_read_begin(&txn, kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    MDB_envinfo info;
    int rc = mdb_env_info(kv->env, &info);
    reading to = {out, rc == 0 ? info.me_last_txnid : 0};
    int told = rc == 0 ? mdb_reader_list(kv->env, take_reader, &to) : 0;
    reco__kv_read_end(txn);
    return rc == 0 && told >= 0 ? RECO_OK : reco__kv_fail(kv, rc ? rc : EIO, "readers", err);
}
