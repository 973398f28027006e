#include "top/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http/options.h"

#define NUMBER_MAX 64u

void top_samples_dispose(top_samples *samples) {
    free(samples->text);
    free(samples->list);
    *samples = (top_samples){0};
}

/* --- a line --------------------------------------------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static const char *skip_spaces(const char *at, const char *end) {
    while (at < end && is_space(*at))
        at++;
    return at;
}

static bool is_name(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (!first && c >= '0' && c <= '9');
}

static const char *skip_name(const char *at, const char *end) {
    for (const char *begin = at; at < end && is_name(*at, at == begin);)
        at++;
    return at;
}

/* Behind the quote that ends a value which begins at `at`; NULL when none does. */
static const char *skip_value(const char *at, const char *end) {
    for (; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : NULL;
}

/* One label at `at`, spaces around it; what is behind it, or NULL when there is none. */
static const char *take_label(reco_str *name, reco_str *value, const char *at, const char *end) {
    const char *begin = skip_spaces(at, end);
    at = skip_name(begin, end);
    *name = (reco_str){begin, (size_t)(at - begin)};
    at = skip_spaces(at, end);
    if (name->size == 0 || at == end || *at != '=')
        return NULL;
    at = skip_spaces(at + 1, end);
    if (at == end || *at != '"')
        return NULL;
    begin = at + 1;
    at = skip_value(begin, end);
    if (!at)
        return NULL;
    *value = (reco_str){begin, (size_t)(at - 1 - begin)};
    return skip_spaces(at, end);
}

/* Behind the brace that ends the labels beginning at `at`; NULL when they are none. */
static const char *take_labels(reco_str *out, const char *at, const char *end) {
    reco_str name, value;
    const char *begin = at;
    for (at = skip_spaces(at, end); at < end && *at != '}';) {
        at = take_label(&name, &value, at, end);
        if (!at || at == end || (*at != ',' && *at != '}'))
            return NULL;
        at = skip_spaces(at + (*at == ','), end);
    }
    *out = (reco_str){begin, (size_t)(at - begin)};
    return at < end ? at + 1 : NULL;
}

/* The number, and nothing behind it but a timestamp. */
static bool take_value(double *out, const char *at, const char *end) {
    char text[NUMBER_MAX], *stop = NULL;
    at = skip_spaces(at, end);
    size_t size = 0;
    while (at + size < end && !is_space(at[size]))
        size++;
    if (size == 0 || size >= sizeof text)
        return false;
    memcpy(text, at, size);
    text[size] = 0;
    *out = strtod(text, &stop);
    for (at = skip_spaces(at + size, end); at < end; at++)
        if (*at != '-' && !is_space(*at) && (*at < '0' || *at > '9'))
            return false;
    return stop && !*stop;
}

static bool take_sample(top_sample *out, const char *at, const char *end) {
    *out = (top_sample){.name = {at, 0}};
    const char *next = skip_name(at, end);
    out->name.size = (size_t)(next - at);
    next = skip_spaces(next, end);
    if (out->name.size == 0)
        return false;
    if (next < end && *next == '{')
        next = take_labels(&out->labels, next + 1, end);
    else if (next == out->name.data + out->name.size)
        return false;
    return next && take_value(&out->value, next, end);
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------------------- */

static void take_line(top_samples *out, const char *begin, const char *end) {
    if (end > begin && end[-1] == '\r')
        end--;
    begin = skip_spaces(begin, end);
    if (begin == end || *begin == '#')
        return;
    top_sample sample;
    bool good = !memchr(begin, 0, (size_t)(end - begin)) && take_sample(&sample, begin, end);
    if (!good || out->count == TOP_SAMPLES_MAX)
        out->bad++;
    else if (isfinite(sample.value)) /* NaN is "not known" */
        out->list[out->count++] = sample;
}

reco_status top_samples_read(top_samples *out, char *text, size_t size, reco_error *err) {
    size_t lines = 1;
    *out = (top_samples){.text = text};
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    out->list = malloc((lines < TOP_SAMPLES_MAX ? lines : TOP_SAMPLES_MAX) * sizeof *out->list);
    if (!out->list) {
        top_samples_dispose(out);
        return options_no_memory(err);
    }
    for (const char *at = text, *end = size ? text + size : text; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        take_line(out, at, stop ? stop : end);
        at = stop ? stop + 1 : end;
    }
    return RECO_OK;
}

/* --- looking ------------------------------------------------------------------------------------------------------------------------------- */

static bool equals(reco_str text, const char *other) { return strlen(other) == text.size && memcmp(text.data, other, text.size) == 0; }

bool top_label(reco_str *out, const top_sample *sample, const char *name) {
    reco_str found;
    const char *at = sample->labels.data, *end = at ? at + sample->labels.size : at;
    while (at && at < end) {
        at = take_label(&found, out, at, end);
        if (at && equals(found, name))
            return true;
        at = at && at < end ? at + 1 : at; /* the comma */
    }
    return false;
}

bool top_is(const top_sample *sample, const char *name, const char *label, const char *value) {
    reco_str found;
    return equals(sample->name, name) && (!label || (top_label(&found, sample, label) && equals(found, value)));
}

double top_sum(bool *found, const top_samples *samples, const char *name, const char *label, const char *value) {
    double sum = 0;
    bool any = false;
    for (size_t i = 0; i < samples->count; i++)
        if (top_is(&samples->list[i], name, label, value)) {
            sum += samples->list[i].value;
            any = true;
        }
    if (found)
        *found = any;
    return sum;
}
