/* tests/support/support.c - see support.h. */
#include <errno.h>
#include <ftw.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <reco/memory.h>

#include "support/support.h"

void test_dir_make(char path[256]) {
    const char *parent = getenv("TMPDIR");
    int size = snprintf(path, 256, "%s/reco-test-XXXXXX", parent && *parent ? parent : "/tmp");
    if (size <= 0 || size >= 256 || !mkdtemp(path)) { /* not by check's assertions: benches use this too */
        fprintf(stderr, "cannot make a temporary folder: %s\n", strerror(errno));
        abort();
    }
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void test_dir_remove(const char *path) { nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool test_wait(bool (*ready)(void *context), void *context, int timeout_ms) {
    const struct timespec pause = {0, 1000000};

    for (int64_t end = now_ms() + timeout_ms; !ready(context);) {
        if (now_ms() > end) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

static atomic_uint_fast64_t fail_at, calls, fired; /* fail_at 0: none */
static atomic_bool fail_for_ever;
static atomic_int_fast64_t live;

static bool refuse(void) {
    uint64_t nth = atomic_load(&fail_at), call = atomic_fetch_add(&calls, 1) + 1;

    if (nth == 0 || call < nth || (call > nth && !atomic_load(&fail_for_ever))) {
        return false;
    }
    atomic_fetch_add(&fired, 1);
    return true;
}

static void *counting_resize(void *context, void *block, size_t size) {
    (void)context;
    if (refuse()) {
        return NULL;
    }
    void *moved = realloc(block, size);
    if (moved && !block) {
        atomic_fetch_add(&live, 1);
    }
    return moved;
}

static void *counting_allocate(void *context, size_t size) {
    void *block = counting_resize(context, NULL, size);
    return block ? memset(block, 0xA5, size) : NULL; /* nothing may rely on fresh memory being zero */
}

static void counting_release(void *context, void *block) {
    (void)context;
    if (block) {
        atomic_fetch_sub(&live, 1);
        free(block);
    }
}

static size_t counting_usable(void *context, void *block) {
    (void)context;
    return malloc_usable_size(block);
}

void test_memory_install(void) {
    reco_allocator allocator = {.struct_size = sizeof(allocator),
                                .allocate = counting_allocate,
                                .resize = counting_resize,
                                .release = counting_release,
                                .usable = counting_usable};
    reco_error err = RECO_ERROR_INIT;

    atomic_store(&live, 0);
    test_memory_fail(0, false);
    test_ok(reco_set_allocator(&allocator, &err), &err);
}

void test_memory_restore(void) {
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_set_allocator(NULL, &err), &err);
}

void test_memory_fail(uint64_t nth, bool for_ever) {
    atomic_store(&fail_at, 0);
    atomic_store(&calls, 0);
    atomic_store(&fired, 0);
    atomic_store(&fail_for_ever, for_ever);
    atomic_store(&fail_at, nth);
}

uint64_t test_memory_fired(void) { return atomic_load(&fired); }
int64_t test_memory_live(void) { return atomic_load(&live); }

/* One run with the nth allocation failing; false when none failed. */
static bool run_once(test_body body, void *context, uint64_t nth, bool for_ever, bool tolerates) {
    reco_error err = RECO_ERROR_INIT;
    int64_t before = test_memory_live();

    test_memory_fail(nth, for_ever);
    reco_status status = body(context, &err);
    bool did_fire = test_memory_fired() > 0;
    test_memory_fail(0, false);
    ck_assert_msg(!did_fire || tolerates || status != RECO_OK, "allocation %lu failed and the call answered OK", (unsigned long)nth);
    ck_assert_msg(did_fire || status == RECO_OK, "no allocation failed and the call answered %s: %s", reco_status_name(status), err.text);
    ck_assert_msg(status == RECO_OK || err.text[0] != '\0', "allocation %lu: %s without a text", (unsigned long)nth, reco_status_name(status));
    ck_assert_msg(test_memory_live() == before, "allocation %lu%s: %ld blocks leaked", (unsigned long)nth, for_ever ? " and all later" : "",
                  (long)(test_memory_live() - before));
    return did_fire;
}

uint64_t test_every_allocation(test_body body, void *context, bool tolerates) {
    uint64_t runs = 0;

    for (int for_ever = 0; for_ever < 2; for_ever++) {
        uint64_t nth = 1;
        while (run_once(body, context, nth, for_ever != 0, tolerates)) {
            nth++;
        }
        runs += nth;
    }
    return runs;
}

int test_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void test_skip(const char *reason) {
    printf("skipped: %s\n", reason);
    fflush(stdout);
    _exit(77);
}
