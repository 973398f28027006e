/* cli/cli.h - the subcommands of `reco`. Each is a table entry with its own options; main.c finds it, reads the line and calls it. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "cli/progress.h"
#include "http/program.h"

/* What a subcommand was called with. */
typedef struct cli_call {
    const program_globals *globals;
    const void *options; /* the struct its option table fills, zeroed before */
    char **arguments;    /* what was no option */
    size_t argument_count;
} cli_call;

/* FROZEN. `run` answers the exit code and has said itself what went wrong. */
typedef struct cli_command {
    const char *name, *arguments, *summary, *details;
    const option_spec *options;
    size_t option_count, options_size;
    size_t least, most; /* arguments */
    int (*run)(const cli_call *call);
} cli_command;

extern const cli_command cli_serve;                            /* serve.c */
extern const cli_command cli_import, cli_ingest;               /* import.c, ingest.c */
extern const cli_command cli_items, cli_item;                  /* known.c */
extern const cli_command cli_users, cli_user;                  /* known.c */
extern const cli_command cli_recommend, cli_popular;           /* answers.c */
extern const cli_command cli_session_items, cli_rank;          /* answers.c */
extern const cli_command cli_similar, cli_batch;               /* answers.c */
extern const cli_command cli_explain, cli_why_not;             /* explain.c */
extern const cli_command cli_verify, cli_stats, cli_snapshot;  /* state.c */
extern const cli_command cli_generate;                         /* generate.c */
extern const cli_command cli_evaluate, cli_whatif;             /* evaluate.c, whatif.c */
extern const cli_command cli_bench;                            /* bench.c */
extern const cli_command cli_top;                              /* top.c */
extern const cli_command cli_archive, cli_migrate;             /* archive.c */
extern const cli_command cli_replay;                           /* replay.c */
extern const cli_command cli_trim;                             /* trim.c */
extern const cli_command cli_doctor;                           /* doctor.c */
extern const cli_command cli_backup, cli_restore;              /* backup.c */
extern const cli_command cli_export;                           /* export.c */
extern const cli_command cli_settings;                         /* settings.c */
extern const cli_command cli_completion;                       /* completion.c */

/* All of them, in the order of the help. main.c */
extern const cli_command *const cli_commands[];
extern const size_t cli_command_count;

#define CLI_OPTIONS(table) table, sizeof table / sizeof *table

/* Everything a subcommand on an open engine needs: opens it, calls `body`, closes it, says errors. */
typedef struct cli_session {
    reco_engine *engine;
    const cli_call *call;
    int code;       /* exit code when body answers OK */
    reco_call told; /* for what takes long: tells how far it is, once cli_session_progress was called */
    cli_progress progress;
} cli_session;
/* Shows how far it is: `wanted` also where stderr is no terminal. Ended with the session, or by cli_progress_end before results are printed. */
void cli_session_progress(cli_session *session, bool wanted);
int cli_with_engine(const cli_call *call, reco_status (*body)(cli_session *session, reco_error *err));
/* The same for what brings nothing: a data directory that is missing is an error, and is not made. */
int cli_with_data(const cli_call *call, reco_status (*body)(cli_session *session, reco_error *err));

/* For a command that has more than an engine: `size` bytes for its run, zeroed, are handed to `body`, and then, whatever came of it, to `dispose`,
 * which leaves the bytes themselves alone. Says errors; answers the exit code. */
int cli_with_run(const cli_call *call, size_t size, reco_status (*body)(void *run, const cli_call *call, reco_error *err),
                 void (*dispose)(void *run));

/* answers.c: title of an item, or its id. To be freed; NULL when memory is out. */
char *cli_title_of(reco_engine *engine, reco_str item_id);
/* answers.c: an answer as a table on stdout. */
void cli_print_answer(reco_engine *engine, const reco_answer *answer);

/* against.c: whether what --against names is a file, by a / in it or its end, .yaml or .yml; otherwise it is a preset, whatever stands in the working
 * directory. INVALID, NOT_FOUND naming --against. */
reco_status cli_against(bool *file, const char *against, reco_error *err);
/* against.c: warns with the words where both settings say the same: what differs in nothing is most often a mistake. */
reco_status cli_warn_same(const reco_settings *first, const reco_settings *second, const char *words, reco_error *err);

/* What comes from elsewhere, for people (http_text_show), and a line end. */
void cli_print_line(FILE *out, const char *text);
/* A name and a value, NULL allowed, of a table on stdout: `indent` blanks, the name in so many columns, a blank, the value. */
void cli_print_row(int indent, int width, const char *name, const char *value);

reco_str cli_str(const char *text); /* NULL: absent */
/* Ends what was written to stdout; a full disk or a closed pipe is a failure. */
reco_status cli_finish(reco_error *err);

#endif
