/* model/zipf.c - ranks drawn by Zipf's law, by the alias method (Walker 1974, in the order of Vose 1991).
 *
 * Each of n columns holds two ranks: its own, up to a threshold, and another above it. Heights are filled so that every column is full, so a draw is
 * one column chosen evenly and one comparison. 8 bytes a rank; a million ranks are made ready in well under a second. */
#include "model/zipf.h"

#include <math.h>

static uint32_t threshold_of(double share) {
    double scaled = share * 4294967296.0;
    return scaled >= 4294967295.0 ? UINT32_MAX : (uint32_t)scaled;
}

/* Weights become heights: their mean is 1. */
static void set_heights(double *heights, uint32_t count, double exponent) {
    double sum = 0;
    for (uint32_t i = count; i-- > 0;) {
        heights[i] = exponent == 1.0 ? 1.0 / ((double)i + 1) : pow((double)i + 1, -exponent);
        sum += heights[i];
    }
    for (uint32_t i = 0; i < count; i++)
        heights[i] *= (double)count / sum;
}

/* Weights fall with the rank, so the tall columns are the first ones: `tall` is the one that gives, from the front, and what has become low is filled
 * at once. */
static void fill(struct reco__zipf_column *columns, double *heights, uint32_t count) {
    uint32_t tall = 0, low = 0;
    for (uint32_t i = 0; i < count; i++)
        columns[i] = (struct reco__zipf_column){UINT32_MAX, i};
    while (low < count && heights[low] >= 1)
        low++;
    for (uint32_t next = low; next < count && tall < low; next++) {
        uint32_t filling = next;
        while (tall < low) {
            columns[filling] = (struct reco__zipf_column){threshold_of(heights[filling]), tall};
            heights[tall] -= 1 - heights[filling];
            if (heights[tall] >= 1)
                break;
            filling = tall++; /* the giver is low itself now */
        }
    }
}

reco_status reco__zipf_init(reco__zipf *zipf, uint32_t count, double exponent, reco_error *err) {
    double *heights = reco__alloc_array(count, sizeof *heights);
    zipf->count = count;
    zipf->columns = heights ? reco__alloc_array(count, sizeof *zipf->columns) : NULL;
    if (!zipf->columns) {
        reco__release(heights);
        return reco__no_memory(err);
    }
    set_heights(heights, count, exponent);
    fill(zipf->columns, heights, count);
    reco__release(heights);
    return RECO_OK;
}

void reco__zipf_dispose(reco__zipf *zipf) {
    reco__release(zipf->columns);
    zipf->columns = NULL;
    zipf->count = 0;
}
