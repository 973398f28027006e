/* kv/lock.c - locks between threads and processes that the kernel drops when the holder dies.
 *
 * OFD locks belong to the open file description: each reco__kv_lock opens the lock file for itself, so two of them exclude each other even within one
 * process. A forked child would keep the description alive; the registry closes these descriptors in the child (env.c). */
#include "kv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int reco__kv_byte_lock(int fd, int64_t byte, short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLK, &range) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int reco__kv_byte_wait(int fd, int64_t byte) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLKW, &range) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int open_again(const reco__kv *kv) {
    if (kv->folder_fd >= 0) {
        return openat(kv->folder_fd, "reco.lock", O_RDWR | O_CLOEXEC);
    }
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", kv->lock_fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

reco_status reco__kv_lock_open(reco__kv_lock **out, reco__kv *kv, reco_error *err) {
    reco_status status = reco__kv_alive(kv, err);
    if (status != RECO_OK || (status = reco__fault("kv.lock_open", err)) != RECO_OK) {
        return status;
    }
    reco__kv_lock *lock = reco__zalloc(sizeof *lock);
    if (!lock) {
        return reco__no_memory(err);
    }
    lock->kv = kv;
    reco__kv_registry_lock();
    lock->fd = open_again(kv);
    if (lock->fd >= 0) {
        lock->next = kv->locks;
        kv->locks = lock;
    }
    int error = errno;
    reco__kv_registry_unlock();
    if (lock->fd < 0) {
        reco__release(lock);
        return reco__fail_errno(err, error, "lock file");
    }
    *out = lock;
    return RECO_OK;
}

void reco__kv_lock_close(reco__kv_lock *lock) {
    if (!lock) {
        return;
    }
    reco__kv_registry_lock();
    for (reco__kv_lock **at = &lock->kv->locks; *at; at = &(*at)->next) {
        if (*at == lock) {
            *at = lock->next;
            break;
        }
    }
    if (lock->fd >= 0) {
        close(lock->fd);
    }
    reco__kv_registry_unlock();
    reco__release(lock);
}

bool reco__kv_lock_try(reco__kv_lock *lock, uint32_t byte) { return lock->fd >= 0 && reco__kv_byte_lock(lock->fd, byte, F_WRLCK) == 0; }

void reco__kv_lock_release(reco__kv_lock *lock, uint32_t byte) {
    if (lock->fd >= 0) {
        reco__kv_byte_lock(lock->fd, byte, F_UNLCK);
    }
}

bool reco__kv_lock_any_elsewhere(reco__kv_lock *lock, uint32_t first, uint32_t count) {
    if (count == 0) {
        return false; /* a length of 0 would mean up to the end */
    }
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = count};
    return lock->fd >= 0 && fcntl(lock->fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

bool reco__kv_lock_held_elsewhere(reco__kv_lock *lock, uint32_t byte) { return reco__kv_lock_any_elsewhere(lock, byte, 1); }
