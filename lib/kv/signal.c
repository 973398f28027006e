/* kv/signal.c - the futex word that tells other threads and processes of a commit; and how the clocks stood then, for those who look for trouble. */
#include "kv/internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 10000000ll

uint32_t reco__kv_signal_value(const reco__kv *kv) { return __atomic_load_n(kv->signal, __ATOMIC_ACQUIRE); }

/* The two are not written at once, but they change once a boot, and when the wall clock is set. */
static void note_clocks(reco__kv *kv) {
    uint64_t *shared = (uint64_t *)(void *)kv->signal;
    int64_t ahead = reco__now_ms() - reco__monotonic_ns() / 1000000;
    if (kv->boot) {
        __atomic_store_n(&shared[KV_CLOCK], (uint64_t)ahead, __ATOMIC_RELAXED);
        __atomic_store_n(&shared[KV_BOOT], kv->boot, __ATOMIC_RELEASE);
    }
}

void reco__kv_signal_bump(reco__kv *kv) {
    note_clocks(kv);
    __atomic_add_fetch(kv->signal, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, kv->signal, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The fallback covers writers that die between commit and bump, and file systems where shared mappings are not. */
void reco__kv_signal_wait(reco__kv *kv, uint32_t seen, int64_t timeout_ns) {
    if (timeout_ns <= 0) {
        return;
    }
    if (timeout_ns > POLL_NS) {
        timeout_ns = POLL_NS;
    }
    struct timespec timeout = {0, (long)timeout_ns};
    syscall(SYS_futex, kv->signal, FUTEX_WAIT, seen, &timeout, NULL, 0);
}
