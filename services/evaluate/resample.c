#include "evaluate/resample.h"

#include <math.h>
#include <stdlib.h>

#include "evaluate/workers.h"
#include "http/options.h"

#define FLIPS_BIT 64u

/* The stream of one resample. */
static uint64_t stream_of(uint64_t seed, size_t number) {
    uint64_t state = seed ^ UINT64_C(0x6c62272e07bb0142);
    state = evaluate_random(&state) + number;
    return evaluate_random(&state);
}

static reco_status spread_out(evaluate_work work, void *context, size_t count, const evaluate_resampling *how, reco_error *err) {
    reco_call quiet = {.struct_size = sizeof quiet};
    if (how->call) {
        quiet.cancel = how->call->cancel;
        quiet.deadline_ns = how->call->deadline_ns;
    }
    evaluate_job job = {.work = work, .context = context, .count = count, .chunk = 8, .threads = how->threads, .call = &quiet, .what = "resampling"};
    return evaluate_workers_run(&job, err);
}

int evaluate_by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* The middle 95 % of what resamples gave, which is put in order. */
static evaluate_interval middle(double *means, size_t count) {
    qsort(means, count, sizeof *means, evaluate_by_value);
    size_t cut = (size_t)((double)count * .025);
    return (evaluate_interval){means[cut], means[count - 1 - cut]};
}

/* --- intervals ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct boot {
    const float *rows; /* the values of a question beside each other: a draw touches one place */
    double *means;     /* by column, then by resample */
    size_t columns, count, resamples;
    uint64_t seed;
} boot;

#define COLUMNS_MAX 32u

static reco_status draw(void *context, void *state, size_t number, reco_error *err) {
    boot *b = context;
    uint64_t stream = stream_of(b->seed, number);
    double sums[COLUMNS_MAX] = {0};
    (void)state, (void)err;
    for (size_t i = 0; i < b->count; i++) {
        const float *row = b->rows + evaluate_random_below(&stream, b->count) * b->columns;
        for (size_t c = 0; c < b->columns; c++)
            sums[c] += (double)row[c];
    }
    for (size_t c = 0; c < b->columns; c++)
        b->means[c * b->resamples + number] = sums[c] / (double)b->count;
    return RECO_OK;
}

reco_status evaluate_bootstrap(evaluate_interval *out, double *const *columns, size_t column_count, size_t count, const evaluate_resampling *how,
                               reco_error *err) {
    size_t resamples = how->resamples;
    float *rows = malloc(count * column_count * sizeof *rows);
    double *means = malloc(column_count * resamples * sizeof *means);
    reco_status status = rows && means && column_count <= COLUMNS_MAX ? RECO_OK : options_no_memory(err);
    for (size_t i = 0; status == RECO_OK && i < count; i++)
        for (size_t c = 0; c < column_count; c++)
            rows[i * column_count + c] = (float)columns[c][i];
    boot b = {rows, means, column_count, count, resamples, how->seed};
    if (status == RECO_OK)
        status = spread_out(draw, &b, resamples, how, err);
    for (size_t c = 0; status == RECO_OK && c < column_count; c++)
        out[c] = middle(means + c * resamples, resamples);
    free(rows);
    free(means);
    return status;
}

/* --- paired tests --------------------------------------------------------------------------------------------------------------------------- */

typedef struct flips {
    const double *differences; /* those that are not 0 */
    double *means;
    size_t count, all;
    uint64_t seed;
} flips;

static reco_status flip(void *context, void *state, size_t number, reco_error *err) {
    flips *f = context;
    uint64_t stream = stream_of(f->seed, number), bits = 0;
    double sum = 0;
    (void)state, (void)err;
    for (size_t i = 0; i < f->count; i++) {
        bits = i % FLIPS_BIT ? bits >> 1 : evaluate_random(&stream);
        sum += bits & 1 ? f->differences[i] : -f->differences[i];
    }
    f->means[number] = sum / (double)f->all;
    return RECO_OK;
}

static reco_status test(evaluate_difference *out, const double *differences, size_t count, size_t all, const evaluate_resampling *how,
                        reco_error *err) {
    size_t resamples = how->resamples, as_far = 0;
    double *means = malloc(resamples * sizeof *means);
    if (!means)
        return options_no_memory(err);
    flips f = {differences, means, count, all, how->seed ^ 1};
    reco_status status = spread_out(flip, &f, resamples, how, err);
    for (size_t i = 0; status == RECO_OK && i < resamples; i++)
        as_far += fabs(means[i]) >= fabs(out->mean) * (1 - 1e-12);
    out->p = ((double)as_far + 1) / ((double)resamples + 1); /* what was seen is one of them */
    free(means);
    return status;
}

reco_status evaluate_paired(evaluate_difference *out, const double *a, const double *b, size_t count, const evaluate_resampling *how,
                            reco_error *err) {
    *out = (evaluate_difference){.p = 1};
    double *differences = malloc(2 * count * sizeof *differences), *column = differences ? differences + count : NULL, sum = 0;
    size_t different = 0;
    if (!differences)
        return options_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        column[i] = b[i] - a[i];
        sum += column[i];
        out->better += column[i] > 0;
        out->worse += column[i] < 0;
        if (column[i] != 0)
            differences[different++] = column[i];
    }
    out->mean = sum / (double)count;
    reco_status status = evaluate_bootstrap(&out->interval, &column, 1, count, how, err);
    if (status == RECO_OK)
        status = test(out, differences, different, count, how, err);
    free(differences);
    return status;
}
