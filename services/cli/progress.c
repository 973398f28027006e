/* cli/progress.c - see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/clock.h"

#define BAR 20
#define DRAW_NS INT64_C(100000000)
#define LINE_NS INT64_C(1000000000) /* where it is no terminal */
#define RATE_NS INT64_C(200000000)  /* before that, a rate says nothing */

/* 1234567 as 1,234,567. */
static const char *grouped(char out[32], uint64_t number) {
    char plain[24];
    int size = snprintf(plain, sizeof plain, "%llu", (unsigned long long)number), at = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = 0;
    return out;
}

static const char *amount(char out[32], uint64_t number, bool bytes) {
    if (!bytes || number < 10000)
        return grouped(out, number);
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)number / 1024;
    size_t unit = 0;
    for (; value >= 1000 && unit < 3; unit++)
        value /= 1024;
    snprintf(out, 32, "%.*f %s", value < 100, value, units[unit]);
    return out;
}

/* Three digits say enough of a rate. */
static uint64_t rounded(double rate) {
    uint64_t number = (uint64_t)rate, unit = 1;
    while (number / unit >= 1000)
        unit *= 10;
    return number / unit * unit;
}

static void rest(char *out, size_t room, double seconds) {
    unsigned long long s = (unsigned long long)(seconds + 0.5);
    if (s < 60)
        snprintf(out, room, "  %llu s left", s);
    else if (s < 3600)
        snprintf(out, room, "  %llu min %02llu s left", s / 60, s % 60);
    else if (s < 360000)
        snprintf(out, room, "  %llu h %02llu min left", s / 3600, s / 60 % 60);
}

static void draw(cli_progress *progress, int64_t now) {
    const reco_work *work = &progress->last;
    char line[240], bar[BAR + 1], a[32], b[32], left[48] = "", speed[48] = "";
    bool bytes = strcmp(work->unit, "bytes") == 0;
    double seconds = (double)(now - progress->began_ns) / 1e9;
    double rate = now - progress->began_ns >= RATE_NS ? (double)(work->done - progress->first.done) / seconds : 0;
    if (rate >= 1)
        snprintf(speed, sizeof speed, "  %s/s", amount(a, rounded(rate), bytes));
    if (rate > 0 && work->total > work->done)
        rest(left, sizeof left, (double)(work->total - work->done) / rate);
    if (work->total) {
        double share = work->done < work->total ? (double)work->done / (double)work->total : 1;
        memset(bar, '-', BAR);
        memset(bar, '#', (size_t)(share * BAR));
        bar[BAR] = 0;
        snprintf(line, sizeof line, "%s [%s] %3d %%  %s of %s%s%s%s%s", work->what, bar, (int)(share * 100), amount(a, work->done, bytes),
                 amount(b, work->total, bytes), bytes ? "" : " ", bytes ? "" : work->unit, speed, left);
    } else {
        snprintf(line, sizeof line, "%s  %s%s%s%s", work->what, amount(a, work->done, bytes), bytes ? "" : " ", bytes ? "" : work->unit, speed);
    }
    if (progress->terminal)
        fprintf(stderr, "\r%-*s", progress->width, line);
    else
        fprintf(stderr, "%s\n", line);
    progress->width = (int)strlen(line);
    progress->open = progress->terminal;
    progress->drawn_ns = now;
    progress->last.what = NULL; /* nothing is left to be drawn */
}

/* The part under way is over: its last word, and the end of its line. */
static void finish(cli_progress *progress, int64_t now) {
    if (progress->last.what)
        draw(progress, now);
    cli_progress_aside(progress);
}

void cli_progress_begin(cli_progress *progress, bool wanted) {
    *progress = (cli_progress){.terminal = isatty(STDERR_FILENO)};
    progress->shown = progress->terminal || wanted;
}

void cli_progress_begin_writing(cli_progress *progress, bool wanted) {
    struct stat out;
    cli_progress_begin(progress, wanted);
    if (!wanted && (isatty(STDOUT_FILENO) || (fstat(STDOUT_FILENO, &out) == 0 && S_ISFIFO(out.st_mode))))
        progress->shown = false;
}

reco_call cli_progress_call(cli_progress *progress) {
    return (reco_call){.struct_size = sizeof(reco_call), .progress = progress->shown ? cli_progress_tell : NULL, .progress_context = progress};
}

void cli_progress_tell(void *context, const reco_work *work) {
    cli_progress *progress = context;
    if (!progress->shown)
        return;
    int64_t now = http_monotonic_ns();
    bool other = !progress->first.what || strcmp(progress->first.what, work->what) != 0 || strcmp(progress->first.unit, work->unit) != 0 ||
                 work->done < progress->first.done;
    if (other) {
        finish(progress, now);
        progress->first = *work;
        progress->began_ns = progress->drawn_ns = now; /* what is over at once is not worth a line on the way */
    }
    progress->last = *work;
    if (now - progress->drawn_ns >= (progress->terminal ? DRAW_NS : LINE_NS))
        draw(progress, now);
}

void cli_progress_aside(cli_progress *progress) {
    if (progress->open)
        fputc('\n', stderr);
    progress->open = false;
    progress->width = 0;
}

void cli_progress_end(cli_progress *progress) {
    if (progress->shown)
        finish(progress, http_monotonic_ns());
    progress->shown = false;
}
