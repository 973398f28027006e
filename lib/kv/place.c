/* kv/place.c - the folder of an environment and the small files in it.
 *
 *   data.mdb, lock.mdb   LMDB's
 *   reco.lock            8 bytes: inode of the PID namespace of the processes that have it open; its bytes carry OFD locks (kv/lock.c)
 *   wake                 the futex word (kv/signal.c)
 *   trust                NOSYNC environments: "open <boot id>" or "clean", one line of fixed width
 *   made                 empty; there once the first transaction is durable: from then on an empty or missing data.mdb is a loss, not a beginning
 *
 * LMDB finds dead readers by their process ids and its locks by the kernel of this machine: so network file systems and processes of another PID
 * namespace are refused. FUSE is allowed unless the kernel names a network one (fuse.sshfs and the like). */
#include "kv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define GUARD_TRIES 10000 /* milliseconds */
#define TRUST_SIZE 48

/* --- where it lies ------------------------------------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t magic;
    const char *name;
} networks[] = {
    {0x6969u, "NFS"},      {0x517Bu, "SMB"},     {0xFF534D42u, "CIFS"},   {0xFE534D42u, "SMB2"},   {0x01021997u, "9p"},     {0x00C36400u, "Ceph"},
    {0x5346414Fu, "AFS"},  {0x6B414653u, "AFS"}, {0x73757245u, "Coda"},   {0x0BD00BD0u, "Lustre"}, {0x47504653u, "GPFS"},   {0x7461636Fu, "OCFS2"},
    {0x01161970u, "GFS2"}, {0x564Cu, "NCP"},     {0x19830326u, "BeeGFS"}, {0x786F4256u, "vboxsf"}, {0xBACBACBCu, "vmhgfs"}, {0x20030528u, "OrangeFS"},
};
#define FUSE_MAGIC 0x65735546u

static const char *const fuse_networks[] = {"fuse.sshfs",   "fuse.glusterfs", "fuse.s3fs",   "fuse.ceph-fuse", "fuse.rclone",    "fuse.juicefs",
                                            "fuse.gcsfuse", "fuse.davfs",     "fuse.goofys", "fuse.curlftpfs", "fuse.seaweedfs", "fuse.mount-s3"};

/* The type the kernel shows for the device in /proc/self/mountinfo: "36 35 98:0 /root /mount options - type source options". */
static bool fuse_is_network(int fd) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return false;
    }
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file) {
        return false;
    }
    char line[4096], wanted[32];
    snprintf(wanted, sizeof wanted, " %u:%u ", major(st.st_dev), minor(st.st_dev));
    bool network = false;
    while (!network && fgets(line, sizeof line, file)) {
        const char *type = strstr(line, wanted) ? strstr(line, " - ") : NULL;
        for (size_t i = 0; type && i < sizeof fuse_networks / sizeof fuse_networks[0]; i++) {
            size_t size = strlen(fuse_networks[i]);
            network = network || (strncmp(type + 3, fuse_networks[i], size) == 0 && type[3 + size] == ' ');
        }
    }
    fclose(file);
    return network;
}

static reco_status check_place(int fd, const char *path, reco_error *err) {
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return reco__fail_errno(err, errno, path);
    }
    uint32_t type = (uint32_t)fs.f_type;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        if (type == networks[i].magic) {
            return reco__fail(err, RECO_REFUSED, "directory", "%s lies on a network file system (%s); locks and maps do not hold there", path,
                              networks[i].name);
        }
    }
    if (type == FUSE_MAGIC && fuse_is_network(fd)) {
        return reco__fail(err, RECO_REFUSED, "directory", "%s lies on a network file system (FUSE); locks and maps do not hold there", path);
    }
    return RECO_OK;
}

/* Makes a folder when it is missing, and its entry durable. */
static reco_status make_folder(const char *path, reco_error *err) {
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? RECO_OK : reco__fail_errno(err, errno, path);
    }
    char *parent = reco__strndup(path, strlen(path));
    if (!parent) {
        return reco__no_memory(err);
    }
    char *slash = strrchr(parent, '/');
    if (slash) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    reco_status status = RECO_OK;
    if (fd < 0 || fsync(fd) != 0) {
        status = reco__fail_errno(err, errno, parent);
    }
    if (fd >= 0) {
        close(fd);
    }
    reco__release(parent);
    return status;
}

/* The directory without slashes at its end. */
static char *join(const char *directory, const char *name) {
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') {
        size--;
    }
    char *path = reco__alloc(size + strlen(name) + 2);
    if (path) {
        memcpy(path, directory, size);
        path[size] = '\0';
        if (*name) {
            path[size] = '/';
            memcpy(path + size + 1, name, strlen(name) + 1);
        }
    }
    return path;
}

static reco_status open_folder(int *folder_fd, const char *path, reco_error *err) {
    *folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*folder_fd < 0) {
        return errno == ENOENT ? reco__fail(err, RECO_NOT_FOUND, "directory", "%s does not exist", path) : reco__fail_errno(err, errno, path);
    }
    reco_status status = check_place(*folder_fd, path, err);
    if (status != RECO_OK) {
        close(*folder_fd);
        *folder_fd = -1;
    }
    return status;
}

reco_status reco__kv_folder_open(int *folder_fd, char **path, const reco__kv_options *options, reco_error *err) {
    *folder_fd = -1;
    char *parent = join(options->directory, ""), *folder = join(options->directory, options->name);
    reco_status status = parent && folder ? RECO_OK : reco__no_memory(err);
    if (status == RECO_OK && !(options->flags & RECO__KV_READONLY)) {
        status = make_folder(parent, err);
        if (status == RECO_OK) {
            status = make_folder(folder, err);
        }
    }
    if (status == RECO_OK) {
        status = open_folder(folder_fd, folder, err);
    }
    reco__release(parent);
    if (status != RECO_OK) {
        reco__release(folder);
        return status;
    }
    *path = folder;
    return RECO_OK;
}

/* --- who has it open ----------------------------------------------------------------------------------------------------------------------- */

reco_status reco__kv_guard_take(int lock_fd, reco_error *err) {
    for (int tries = 0;; tries++) {
        int error = reco__kv_byte_lock(lock_fd, KV_BYTE_GUARD, F_WRLCK);
        if (error == 0) {
            return RECO_OK;
        }
        if (error != EAGAIN && error != EACCES) {
            return reco__fail_errno(err, error, "reco.lock");
        }
        if (tries >= GUARD_TRIES) {
            return reco__fail(err, RECO_BUSY, NULL, "another process is opening or closing the store");
        }
        usleep(1000);
    }
}

void reco__kv_guard_drop(int lock_fd) { reco__kv_byte_lock(lock_fd, KV_BYTE_GUARD, F_UNLCK); }

bool reco__kv_presence_alone(int lock_fd) {
    bool alone = reco__kv_byte_lock(lock_fd, KV_BYTE_PRESENCE, F_WRLCK) == 0;
    reco__kv_byte_lock(lock_fd, KV_BYTE_PRESENCE, F_RDLCK);
    return alone;
}

reco_status reco__kv_presence_take(bool *alone, int lock_fd, reco_error *err) {
    struct stat st;
    uint8_t mine[8] = {0}, theirs[8];
    if (stat("/proc/self/ns/pid", &st) == 0) {
        reco__be64(mine, (uint64_t)st.st_ino);
    }
    *alone = reco__kv_byte_lock(lock_fd, KV_BYTE_PRESENCE, F_WRLCK) == 0;
    if (*alone) {
        if (pwrite(lock_fd, mine, sizeof mine, 0) != (ssize_t)sizeof mine) {
            return reco__fail_errno(err, errno ? errno : EIO, "reco.lock");
        }
    } else if (pread(lock_fd, theirs, sizeof theirs, 0) != (ssize_t)sizeof theirs || memcmp(mine, theirs, sizeof mine) != 0) {
        return reco__fail(err, RECO_REFUSED, "directory", "a live process of another PID namespace (container) has the store open");
    }
    int error = reco__kv_byte_lock(lock_fd, KV_BYTE_PRESENCE, F_RDLCK);
    return error == 0 ? RECO_OK : reco__fail_errno(err, error, "reco.lock");
}

/* --- whether unsynced content may be trusted ------------------------------------------------------------------------------------------------- */

static bool boot_line(char line[TRUST_SIZE + 1]) {
    char boot[37] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    size_t got = file ? fread(boot, 1, 36, file) : 0;
    if (file) {
        fclose(file);
    }
    snprintf(line, TRUST_SIZE + 1, "open %-42.36s\n", got == 36 ? boot : "unknown");
    return got == 36;
}

uint64_t reco__kv_boot(void) {
    char line[TRUST_SIZE + 1];
    return boot_line(line) ? reco__hash64(line, TRUST_SIZE, 0) : 0;
}

bool reco__kv_trusted(int folder_fd) {
    char line[TRUST_SIZE + 1], stored[TRUST_SIZE + 1] = "";
    int fd = openat(folder_fd, "trust", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = pread(fd, stored, TRUST_SIZE, 0);
    close(fd);
    if (got != TRUST_SIZE) {
        return false;
    }
    return strncmp(stored, "clean ", 6) == 0 || (boot_line(line) && memcmp(line, stored, TRUST_SIZE) == 0);
}

static int write_trust(int folder_fd, const char *line) {
    int fd = openat(folder_fd, "trust", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int error = 0;
    if (pwrite(fd, line, TRUST_SIZE, 0) != TRUST_SIZE || fsync(fd) != 0) {
        error = errno ? errno : EIO;
    }
    close(fd);
    return error;
}

reco_status reco__kv_mark_open(int folder_fd, reco_error *err) {
    char line[TRUST_SIZE + 1];
    boot_line(line);
    int error = write_trust(folder_fd, line);
    if (error == 0 && fsync(folder_fd) != 0) {
        error = errno;
    }
    return error == 0 ? RECO_OK : reco__fail_errno(err, error, "trust");
}

void reco__kv_mark_clean(int folder_fd) {
    char line[TRUST_SIZE + 1];
    snprintf(line, sizeof line, "%-47s\n", "clean");
    write_trust(folder_fd, line);
}

/* --- whether there was something -------------------------------------------------------------------------------------------------------------- */

bool reco__kv_made(int folder_fd) { return faccessat(folder_fd, "made", F_OK, 0) == 0; }

reco_status reco__kv_mark_made(int folder_fd, reco_error *err) {
    int fd = openat(folder_fd, "made", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 || fsync(fd) != 0 || fsync(folder_fd) != 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return error == 0 ? RECO_OK : reco__fail_errno(err, error, "made");
}

/* --- wake-up word ---------------------------------------------------------------------------------------------------------------------------- */

#define SIGNAL_SIZE 4096

reco_status reco__kv_signal_map(uint32_t **out, int folder_fd, reco_error *err) {
    void *page;
    if (folder_fd < 0) {
        page = mmap(NULL, SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    } else {
        int fd = openat(folder_fd, "wake", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        /* Written, not only extended: a hole filled later on a full disk would be a SIGBUS. */
        struct stat st;
        static const char zeros[SIGNAL_SIZE];
        if (fd < 0 || fstat(fd, &st) != 0 ||
            (st.st_size < SIGNAL_SIZE && pwrite(fd, zeros, SIGNAL_SIZE - (size_t)st.st_size, st.st_size) != SIGNAL_SIZE - st.st_size)) {
            int error = errno ? errno : EIO;
            if (fd >= 0) {
                close(fd);
            }
            return reco__fail_errno(err, error, "wake");
        }
        page = mmap(NULL, SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (page == MAP_FAILED) {
        return reco__fail_errno(err, errno, "wake");
    }
    *out = page;
    return RECO_OK;
}

/* --- memory: ----------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__kv_memory_folder(char **path, int *lock_fd, reco_error *err) {
    const char *temporary = getenv("TMPDIR");
    const char *places[] = {"/dev/shm", temporary && *temporary ? temporary : "/tmp", "/tmp"};
    int error = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *folder = join(places[i], "reco-XXXXXX");
        if (!folder) {
            return reco__no_memory(err);
        }
        if (!mkdtemp(folder)) {
            error = errno;
            reco__release(folder);
            continue;
        }
        char *file = join(folder, "reco.lock");
        *lock_fd = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        error = errno;
        if (*lock_fd >= 0) {
            unlink(file);
        }
        reco__release(file);
        if (*lock_fd >= 0) {
            *path = folder;
            return RECO_OK;
        }
        rmdir(folder);
        reco__release(folder);
        if (!file) {
            return reco__no_memory(err);
        }
    }
    return reco__fail_errno(err, error, "memory: no place for its files");
}

void reco__kv_memory_unlink(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        unlinkat(fd, "data.mdb", 0);
        unlinkat(fd, "lock.mdb", 0);
        close(fd);
    }
    rmdir(path);
}
