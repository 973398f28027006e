/* kv/precheck.c - looks at a data file before LMDB does.
 *
 * LMDB opens a truncated file without complaint and dies of SIGBUS when it reaches the missing pages; on damaged roots its own assertions abort the
 * process. So both meta pages are read and checked here first: magic, version, page size, last page, transaction number, roots, and that the file is
 * as long as the newest meta page says. (The file is always extended ahead of what a transaction can allocate, see reco__kv_extend; so shorter means
 * truncated.) What it does not do: walk the trees. Damage deeper inside is found by checksums of what is stored, or by LMDB.
 *
 * A meta page of LMDB 0.9, little-endian 64-bit: page header of 16 bytes (u64 page, u16 pad, u16 flags, u16 lower, u16 upper), then
 * u32 magic, u32 version, u64 address, u64 map size, two trees of 48 bytes (free pages, main), u64 last page, u64 transaction.
 * A tree: u32 pad (of the first: page size), u16 flags, u16 depth, u64 branch, leaf and overflow pages, u64 entries, u64 root. */
#include "kv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_SIZE 152
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1u
#define PAGE_BRANCH 1u
#define PAGE_LEAF 2u
#define PAGE_META 8u
#define NO_PAGE UINT64_MAX
#define MAX_PAGE_SIZE 65536u
#define DEPTH_MAX 32u

struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch, leaf, overflow, entries, root;
};

struct meta {
    uint16_t page_flags;
    uint32_t magic, version;
    uint64_t map_size;
    struct tree free, main;
    uint64_t last_page, transaction;
};

static void read_tree(struct tree *out, reco__reader *reader) {
    out->pad = reco__read_u32(reader);
    out->flags = reco__read_u16(reader);
    out->depth = reco__read_u16(reader);
    out->branch = reco__read_u64(reader);
    out->leaf = reco__read_u64(reader);
    out->overflow = reco__read_u64(reader);
    out->entries = reco__read_u64(reader);
    out->root = reco__read_u64(reader);
}

static bool read_meta(struct meta *out, int fd, uint64_t offset) {
    uint8_t bytes[META_SIZE];
    if (pread(fd, bytes, sizeof bytes, (off_t)offset) != (ssize_t)sizeof bytes) {
        return false;
    }
    reco__reader reader = reco__reader_of(bytes, sizeof bytes);
    reco__read_bytes(&reader, 10);
    out->page_flags = reco__read_u16(&reader);
    reco__read_bytes(&reader, 4);
    out->magic = reco__read_u32(&reader);
    out->version = reco__read_u32(&reader);
    reco__read_bytes(&reader, 8);
    out->map_size = reco__read_u64(&reader);
    read_tree(&out->free, &reader);
    read_tree(&out->main, &reader);
    out->last_page = reco__read_u64(&reader);
    out->transaction = reco__read_u64(&reader);
    return !reader.bad;
}

static bool tree_sane(const struct tree *tree, uint64_t last_page) {
    if (tree->root == NO_PAGE) {
        return tree->depth == 0;
    }
    return tree->root >= 2 && tree->root <= last_page && tree->depth >= 1 && tree->depth <= DEPTH_MAX && tree->leaf >= 1 && tree->leaf <= last_page &&
           tree->branch <= last_page && tree->overflow <= last_page;
}

static reco_status check_meta(const struct meta *meta, unsigned which, const char *path, reco_error *err) {
    if (meta->magic != META_MAGIC || !(meta->page_flags & PAGE_META)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is damaged or not an LMDB file (meta page %u)", path, which);
    }
    if (meta->version != META_VERSION) {
        return reco__fail(err, RECO_NEWER, NULL, "%s/data.mdb has version %u of LMDB's format, this library reads %u", path, meta->version,
                          META_VERSION);
    }
    uint32_t page_size = meta->free.pad;
    bool size_sane = page_size >= 512 && page_size <= MAX_PAGE_SIZE && (page_size & (page_size - 1)) == 0;
    if (!size_sane || meta->last_page < 1 || meta->last_page >= (UINT64_MAX >> 1) / page_size ||
        (meta->transaction != 0 && (meta->transaction & 1) != which) || !tree_sane(&meta->free, meta->last_page) ||
        !tree_sane(&meta->main, meta->last_page)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is damaged (meta page %u)", path, which);
    }
    return RECO_OK;
}

static bool root_sane(int fd, const struct tree *tree, uint32_t page_size) {
    if (tree->root == NO_PAGE) {
        return true;
    }
    uint8_t bytes[16];
    if (pread(fd, bytes, sizeof bytes, (off_t)(tree->root * page_size)) != (ssize_t)sizeof bytes) {
        return false;
    }
    reco__reader reader = reco__reader_of(bytes, sizeof bytes);
    uint64_t page = reco__read_u64(&reader);
    reco__read_u16(&reader);
    unsigned flags = reco__read_u16(&reader), lower = reco__read_u16(&reader), upper = reco__read_u16(&reader);
    unsigned wanted = tree->depth == 1 ? PAGE_LEAF : PAGE_BRANCH;
    unsigned keys = lower >= 16 ? (lower - 16) / 2 : 0;
    return page == tree->root && (flags & (PAGE_LEAF | PAGE_BRANCH)) == wanted && lower <= upper && upper <= page_size &&
           keys >= (wanted == PAGE_BRANCH ? 2u : 1u);
}

/* A file whose making was cut short by a power failure: no longer than two meta pages, and nothing in it. */
static bool never_made(int fd, uint64_t size) {
    if (size > 2 * MAX_PAGE_SIZE || size % 512 != 0) {
        return false;
    }
    uint8_t bytes[4096];
    uint64_t at = 0;
    while (at < size) {
        ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)at);
        if (got <= 0) {
            return false;
        }
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] != 0) {
                return false;
            }
        }
        at += (uint64_t)got;
    }
    return true;
}

bool reco__kv_meta_look(uint64_t *map_size, uint64_t *used_bytes, int folder_fd) {
    struct meta metas[2];
    int fd = openat(folder_fd, "data.mdb", O_RDONLY | O_CLOEXEC);
    bool fine = fd >= 0 && read_meta(&metas[0], fd, 0) && check_meta(&metas[0], 0, "", NULL) == RECO_OK &&
                read_meta(&metas[1], fd, metas[0].free.pad) && check_meta(&metas[1], 1, "", NULL) == RECO_OK;
    if (fine) {
        const struct meta *newest = metas[0].transaction < metas[1].transaction ? &metas[1] : &metas[0];
        *map_size = newest->map_size;
        *used_bytes = (newest->last_page + 1) * metas[0].free.pad;
    }
    if (fd >= 0) {
        close(fd);
    }
    return fine;
}

static reco_status check_file(int fd, uint64_t size, bool alone, const char *path, reco_error *err) {
    struct meta metas[2];
    if (!read_meta(&metas[0], fd, 0)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is truncated: %llu bytes", path, (unsigned long long)size);
    }
    reco_status status = check_meta(&metas[0], 0, path, err);
    if (status != RECO_OK) {
        return status;
    }
    uint32_t page_size = metas[0].free.pad;
    if (!read_meta(&metas[1], fd, page_size)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is truncated: %llu bytes", path, (unsigned long long)size);
    }
    status = check_meta(&metas[1], 1, path, err);
    if (status == RECO_OK && metas[1].free.pad != page_size) {
        status = reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is damaged: its meta pages differ in page size", path);
    }
    if (status != RECO_OK) {
        return status;
    }
    const struct meta *newest = metas[0].transaction < metas[1].transaction ? &metas[1] : &metas[0];
    uint64_t wanted = (newest->last_page + 1) * page_size;
    struct stat st; /* after the meta pages: writers extend the file before they write them */
    if (fstat(fd, &st) != 0) {
        return reco__fail_errno(err, errno, path);
    }
    if ((uint64_t)st.st_size < wanted) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is truncated: %llu bytes where %llu are needed", path, (unsigned long long)st.st_size,
                          (unsigned long long)wanted);
    }
    /* While others write, the pages of these roots may be in use again. */
    if (alone && (!root_sane(fd, &newest->free, page_size) || !root_sane(fd, &newest->main, page_size))) {
        return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is damaged (root page)", path);
    }
    return RECO_OK;
}

reco_status reco__kv_precheck(bool *missing, int folder_fd, bool made, bool alone, const char *path, reco_error *err) {
    *missing = false;
    int fd = openat(folder_fd, "data.mdb", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *missing = errno == ENOENT && !made;
        if (errno == ENOENT && made) {
            return reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is missing, and was there before", path);
        }
        return *missing ? RECO_OK : reco__fail_errno(err, errno, path);
    }
    struct stat st;
    reco_status status = RECO_OK;
    if (fstat(fd, &st) != 0) {
        status = reco__fail_errno(err, errno, path);
    } else if (!S_ISREG(st.st_mode)) {
        status = reco__fail(err, RECO_CORRUPT, NULL, "%s/data.mdb is not a file", path);
    } else if (alone && !made && never_made(fd, (uint64_t)st.st_size)) {
        *missing = true;
    } else {
        /* A meta page may be caught while another process writes it: look again. */
        for (int round = 0; round < (alone ? 1 : 3); round++) {
            status = check_file(fd, (uint64_t)st.st_size, alone, path, err);
            if (status == RECO_OK) {
                break;
            }
            usleep(1000);
        }
    }
    close(fd);
    return status;
}
