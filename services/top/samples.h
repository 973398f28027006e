/* top/samples.h - what GET /metrics answers, as Prometheus has it in text (exposition format 0.0.4): name{label="value",...} value.
 *
 * Whoever answers may be anybody: what is no sample is passed over and counted, nothing is believed to be printable, and there are at most
 * TOP_SAMPLES_MAX of them. */
#ifndef TOP_SAMPLES_H
#define TOP_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

#include <reco/status.h>

#define TOP_TEXT_MAX (4u << 20)
#define TOP_SAMPLES_MAX 65536u

typedef struct top_sample {
    reco_str name, labels; /* labels: what is between the braces */
    double value;          /* finite */
} top_sample;

/* CONFINED. Zeroed, it is empty. */
typedef struct top_samples {
    char *text; /* which the samples point into; owned */
    top_sample *list;
    size_t count;
    size_t bad; /* lines that are no sample, and samples beyond the most */
} top_samples;

/* Takes `text` of `size` bytes over, from malloc, also when it fails. NO_MEMORY. */
reco_status top_samples_read(top_samples *out, char *text, size_t size, reco_error *err);
void top_samples_dispose(top_samples *samples);

/* The value of a label, as it stands in the text; false when the sample has no such label. */
bool top_label(reco_str *out, const top_sample *sample, const char *name);
/* Whether a sample is of this metric, and, unless `label` is NULL, has this label with this value. */
bool top_is(const top_sample *sample, const char *name, const char *label, const char *value);
/* The sum of all such samples; *found, NULL allowed, tells whether there was any. */
double top_sum(bool *found, const top_samples *samples, const char *name, const char *label, const char *value);

#endif
