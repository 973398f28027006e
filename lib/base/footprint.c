/* base/footprint.c - what this process takes of the machine's memory, file pages aside: as libreco, the C library and the kernel count it.
 *
 * Three counts by three parties. libreco knows what its own blocks take. The C library knows what is in use of all that went through malloc, by
 * libreco, the libraries under it and the program around it, and what it keeps for later. The kernel knows the pages. The gap between the last two
 * is stacks, relocated data of shared objects, and tables of malloc; or memory that was asked for and never touched, the other way round.
 *
 * The kernel's own figure is taken from /proc/self/status, which adds up counters. smaps_rollup is more exact by some pages a processor, and walks
 * the page tables of all mapped stores to be so. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"

/* Bytes of a line "NAME:  123 kB"; 0 when there is none. */
static uint64_t line_bytes(const char *text, const char *name) {
    unsigned long long kib = 0;
    const char *line = strstr(text, name);
    return line && sscanf(line + strlen(name), " %llu kB", &kib) == 1 ? (uint64_t)kib * 1024 : 0;
}

static uint64_t anonymous_now(void) {
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = 0;
    return line_bytes(text, "\nRssAnon:") + line_bytes(text, "\nVmSwap:");
}

void reco__footprint_look(reco__footprint *out) {
    *out = (reco__footprint){0};
    out->counted = reco__memory_held(&out->allocated);
#ifdef __GLIBC__
    struct mallinfo2 heap = mallinfo2();
    uint64_t used = (uint64_t)heap.uordblks + heap.hblkhd;
    if (used >= out->allocated) { /* else another malloc than the C library's serves, and these are not its numbers */
        out->heap = used;
        out->heap_free = heap.fordblks;
    }
#endif
    out->anonymous = anonymous_now();
}
