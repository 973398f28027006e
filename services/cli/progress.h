/* cli/progress.h - how far a long command has come, told in one line on stderr.
 *
 *     replaying [##########----------]  51 %  1,204,224 of 2,361,032 records  251,000/s  5 s left
 *
 * On a terminal the line is drawn over and over, ten times a second at most; with --progress also where stderr is none: then a line a second, and the
 * last one of each part. What was done before the first word of a part counts for the bar, not for the rate. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <reco/status.h>

/* CONFINED. Zeroed, it shows nothing. */
typedef struct cli_progress {
    bool shown, terminal, open; /* open: a line stands that is not ended */
    reco_work first, last;      /* of the part under way; first.what NULL: none yet */
    int64_t began_ns, drawn_ns;
    int width; /* of the line as drawn */
} cli_progress;

/* An option of a subcommand; `type` has a bool `progress`. */
#define CLI_PROGRESS(type)                                                                                                                           \
    { "progress", 0, OPTION_FLAG, offsetof(type, progress), NULL, "tell on stderr how far it is, also where that is no terminal" }

void cli_progress_begin(cli_progress *progress, bool wanted);
/* The same of a command that writes on the way: unless `wanted`, only where stdout is a file, for a terminal would have both in one line, and so may
 * whoever reads a pipe. */
void cli_progress_begin_writing(cli_progress *progress, bool wanted);
/* A call that tells it; alive as long as `progress`. */
reco_call cli_progress_call(cli_progress *progress);
/* A reco_work_sink; `context` is the cli_progress. */
void cli_progress_tell(void *context, const reco_work *work);
/* Ends the line as it stands: something else is about to be said on stderr. */
void cli_progress_aside(cli_progress *progress);
/* Ends the line. */
void cli_progress_end(cli_progress *progress);

#endif
