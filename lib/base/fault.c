/* base/fault.c - failures planted by tests. A door names its operation; nothing but one relaxed load happens while nothing is planted. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"

#define PLANTS_MAX 16

typedef struct plant {
    char point[64];
    uint64_t nth, calls, fired;
    int for_ever;
    reco_status status;
} plant;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static plant plants[PLANTS_MAX];
static atomic_uint planted; /* how many of `plants` are in use */

static plant *find_plant(const char *point) {
    for (unsigned i = 0; i < atomic_load(&planted); i++) {
        if (strcmp(plants[i].point, point) == 0) {
            return &plants[i];
        }
    }
    return NULL;
}

static reco_status ask(const char *point) {
    plant *p = find_plant(point);

    if (!p || (++p->calls < p->nth) || (p->calls > p->nth && !p->for_ever)) {
        return RECO_OK;
    }
    p->fired++;
    return p->status;
}

reco_status reco__fault(const char *point, reco_error *err) {
    if (atomic_load_explicit(&planted, memory_order_relaxed) == 0) {
        return RECO_OK;
    }
    pthread_mutex_lock(&lock);
    reco_status status = ask(point);
    pthread_mutex_unlock(&lock);
    return status == RECO_OK ? RECO_OK : reco__fail(err, status, NULL, "fault planted at %s", point);
}

static uint64_t clear_all(void) {
    uint64_t fired = 0;
    for (unsigned i = 0; i < atomic_load(&planted); i++) {
        fired += plants[i].fired;
    }
    atomic_store(&planted, 0);
    return fired;
}

/* What was planted at this point before gives way; how often it had fired is the answer. nth 0 only asks. */
static uint64_t plant_at(const char *point, uint64_t nth, int for_ever, reco_status status) {
    plant *p = find_plant(point);
    uint64_t fired = p ? p->fired : 0;
    unsigned count = atomic_load(&planted);

    if (nth == 0 || (!p && count == PLANTS_MAX)) {
        return fired;
    }
    if (!p) {
        p = &plants[count];
    }
    *p = (plant){.nth = nth, .for_ever = for_ever, .status = status};
    snprintf(p->point, sizeof(p->point), "%s", point);
    if (p == &plants[count]) {
        atomic_store(&planted, count + 1);
    }
    return fired;
}

uint64_t reco__fault_plant(const char *point, uint64_t nth, int for_ever, reco_status status) {
    pthread_mutex_lock(&lock);
    uint64_t fired = point ? plant_at(point, nth, for_ever, status) : clear_all();
    pthread_mutex_unlock(&lock);
    return fired;
}
