/* cli/archive.c - the archive by itself, and the schemas of databases. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "http/log.h"
#include "processor/archiving.h"

typedef struct options {
    bool once, check, dry_run, json, progress;
} options;

/* --- reco archive -------------------------------------------------------------------------------------------------------------------------- */

static const option_spec archive_table[] = {{"once", 0, OPTION_FLAG, offsetof(options, once), NULL, "end when all that is in the stream is archived"},
                                            {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "with --once: the result as JSON"},
                                            CLI_PROGRESS(options)};

static reco_status archive_once(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_archiver *archiver = NULL;
    reco_archived done = {.struct_size = sizeof done};
    cli_session_progress(session, given->progress);
    reco_status status = reco_archiver_open(&archiver, session->engine, NULL, NULL, err);
    do {
        if (status == RECO_OK && done.idle)
            status = reco_archiver_wait(archiver, 100, NULL, err);
        if (status == RECO_OK)
            status = reco_archiver_step(&done, archiver, NULL, err);
        if (status == RECO_OK && done.records)
            cli_progress_tell(&session->progress, &(reco_work){.struct_size = sizeof(reco_work),
                                                               .what = "archiving",
                                                               .unit = "records",
                                                               .done = done.records,
                                                               .total = done.records + (done.lag > 0 ? (uint64_t)done.lag : 0)});
    } while (status == RECO_OK && !(done.idle && done.lag == 0));
    reco_archiver_close(archiver);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    if (given->json)
        printf("{\"records\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"unreadable\":%" PRIu64 "}\n", done.records, done.batches,
               done.missed, done.unreadable);
    else
        printf("%" PRIu64 " records archived\n", done.records);
    if (done.missed)
        fprintf(stderr, "reco: %" PRIu64 " records are missing from the archive: the stream had dropped them\n", done.missed);
    return cli_finish(err);
}

static reco_status archive_on(cli_session *session, reco_error *err) {
    archiving *thread = NULL;
    reco_status status = archiving_start(&thread, session->engine, err);
    if (status == RECO_OK && !thread)
        status = options_fail(err, RECO_INVALID, "archive", "no archive is set: postgresql://user@host/database is the form");
    if (status == RECO_OK)
        program_wait_signal();
    archiving_stop(thread);
    return status;
}

static int run_archive(const cli_call *call) {
    const options *given = call->options;
    if (given->once)
        return cli_with_data(call, archive_once);
    program_hold_signals();
    return cli_with_data(call, archive_on);
}

const cli_command cli_archive = {"archive",
                                 "",
                                 "copy the stream's records to the archive",
                                 "The setting `archive` names the database. Any number of archivers may run, here and in processors: each record is\n"
                                 "there once all the same. Runs until SIGTERM or SIGINT, with --once until nothing is left.",
                                 CLI_OPTIONS(archive_table),
                                 sizeof(options),
                                 0,
                                 0,
                                 run_archive};

/* --- reco migrate -------------------------------------------------------------------------------------------------------------------------- */

static const option_spec migrate_table[] = {
    {"check", 0, OPTION_FLAG, offsetof(options, check), NULL, "change nothing; exit code 1 when something is missing"},
    {"dry-run", 0, OPTION_FLAG, offsetof(options, dry_run), NULL, "do what is missing, then undo it"}};

typedef struct telling {
    const options *given;
    bool any;
} telling;

static void tell(void *context, const char *setting, uint32_t version, const char *name, int32_t done) {
    telling *to = context;
    to->any = true;
    printf("%s: %s (version %u) %s\n", setting, name, version, !done ? "is missing" : to->given->dry_run ? "would be done" : "done");
}

/* Of a step of a deployment that was given the wrong file nobody should hear that all is well. */
static bool names_database(const reco_settings *settings) {
    static const char *const names[] = {"records", "archive"};
    char url[1100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (reco_settings_get(url, sizeof url, settings, names[i], NULL) == RECO_OK && strncmp(url, "postgres", 8) == 0)
            return true;
    return false;
}

static int run_migrate(const cli_call *call) {
    telling to = {call->options, false};
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    uint32_t missing = 0, flags = to.given->check ? RECO_MIGRATE_CHECK : to.given->dry_run ? RECO_MIGRATE_DRY_RUN : 0;
    http_log_start(RECO_LOG_WARN);
    reco_status status = program_settings(&settings, call->globals, &err);
    if (status == RECO_OK && to.given->check && to.given->dry_run)
        status = options_fail(&err, RECO_INVALID, "dry-run", "does not go with --check");
    if (status == RECO_OK)
        status = reco_migrate(&missing, settings, flags, tell, &to, NULL, &err);
    if (status == RECO_OK && !to.any)
        printf("%s\n", names_database(settings) ? "nothing is missing" : "neither records nor archive names a database: there is nothing to do");
    if (status == RECO_OK)
        status = cli_finish(&err);
    reco_settings_free(settings);
    if (status != RECO_OK)
        return program_fail(&err);
    return to.given->check && missing ? PROGRAM_FAILED : PROGRAM_OK;
}

const cli_command cli_migrate = {
    "migrate",
    "",
    "bring the databases' schemas up to date",
    "The databases that the settings `records` and `archive` name, each in one transaction; safe to run several times and at\n"
    "the same time. Make a backup, and stop what writes with the old version, first.",
    CLI_OPTIONS(migrate_table),
    sizeof(options),
    0,
    0,
    run_migrate};
