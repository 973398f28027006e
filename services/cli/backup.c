/* cli/backup.c - a copy of everything, and a directory made from one. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "http/log.h"
#include "http/text.h"

typedef struct options {
    bool check, json, progress;
} options;

#define JSON                                                                                                                                         \
    { "json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON" }

static void print(const reco_backup_result *result, const char *path, const char *did, bool json) {
    char at[32];
    http_text_date(at, result->created_at, HTTP_TEXT_SECONDS);
    if (json)
        printf("{\"created_at\":\"%s\",\"namespace\":\"%s\",\"namespaces\":%u,\"library\":\"%s\",\"bytes\":%llu,\"records\":%llu,\"documents\":%llu,"
               "\"unlearned\":%llu,\"hash\":\"%s\"}\n",
               at, result->space, result->namespaces, result->library, (unsigned long long)result->bytes, (unsigned long long)result->records,
               (unsigned long long)result->documents, (unsigned long long)result->unlearned, result->hash);
    else
        printf("%s %s\ntaken     %s by libreco %s\nholds     %llu records, %llu documents, %llu bytes\nnamespace %s\nlearned   %s\n", did, path, at,
               result->library, (unsigned long long)result->records, (unsigned long long)result->documents, (unsigned long long)result->bytes,
               result->space, result->hash);
    if (result->unlearned && !json)
        printf("%llu of the records were not learned yet; they are learned when the engine runs\n", (unsigned long long)result->unlearned);
    if (result->namespaces > 1)
        fprintf(stderr, "reco: it holds %u namespaces: what was learned in others than %s is learned again from their streams\n", result->namespaces,
                result->space);
}

/* --- reco backup --------------------------------------------------------------------------------------------------------------------------- */

static const option_spec backup_table[] = {JSON, CLI_PROGRESS(options)};

/* Whether `name` is what a backup of this name space is called in a directory while it is written; nothing else is. */
static bool is_unfinished(const char *name, const char *space) {
    static const char form[] = "-########T######Z.recobackup.partial";
    size_t size = strlen(space);
    if (strncmp(name, space, size) != 0 || strlen(name + size) != sizeof form - 1)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == '#' ? !isdigit((unsigned char)name[size + i]) : name[size + i] != form[i])
            return false;
    return true;
}

/* What a killed backup left has a name of its own, so that no other writes over it. The lock tells it from one that is under way. */
static void remove_unfinished(const char *path, const char *space) {
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int fd = is_unfinished(entry->d_name, space) ? openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(folder), entry->d_name, 0) == 0)
            fprintf(stderr, "reco: removed %s/%s, which a backup left that did not end\n", path, entry->d_name);
        if (fd >= 0)
            close(fd);
    }
    if (folder)
        closedir(folder);
}

/* In a directory the backup gets a name of its own. */
static reco_status target(char out[4096], const cli_session *session, reco_error *err) {
    const char *given = session->call->arguments[0];
    struct stat st;
    char space[80], at[32];
    int size = snprintf(out, 4096, "%s", given);
    if (stat(given, &st) == 0 && S_ISDIR(st.st_mode)) {
        reco_status status = reco_setting_get(space, sizeof space, session->engine, "namespace", err);
        if (status != RECO_OK)
            return status;
        remove_unfinished(given, space);
        http_text_date(at, (int64_t)time(NULL) * 1000, "%Y%m%dT%H%M%SZ");
        size = snprintf(out, 4096, "%s/%s-%s.recobackup", given, space, at);
    }
    return size >= 0 && size < 4096 ? RECO_OK : options_fail(err, RECO_INVALID, "path", "it is too long");
}

static reco_status backup(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    char path[4096];
    reco_backup_result result = {.struct_size = sizeof result};
    reco_status status = target(path, session, err);
    if (status != RECO_OK)
        return status;
    cli_session_progress(session, given->progress);
    if (nice(10) == -1) /* those who answer come first */
        errno = 0;
    status = reco_backup(&result, session->engine, path, &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    print(&result, path, "written  ", given->json);
    return cli_finish(err);
}

static int run_backup(const cli_call *call) { return cli_with_data(call, backup); }

const cli_command cli_backup = {"backup",
                                "FILE|DIR",
                                "a copy of everything, taken while others write",
                                "One file with the streams and records of the directory and what was learned. In a directory it is named after the\n"
                                "namespace and the time. It appears under its name when it is whole; reco restore --check looks at one.\n"
                                "What a backup left there that was killed (.recobackup.partial) is removed.",
                                CLI_OPTIONS(backup_table),
                                sizeof(options),
                                1,
                                1,
                                run_backup};

/* --- reco restore -------------------------------------------------------------------------------------------------------------------------- */

static const option_spec restore_table[] = {
    {"check", 0, OPTION_FLAG, offsetof(options, check), NULL, "make nothing, only look whether the file is whole"}, JSON, CLI_PROGRESS(options)};

static int run_restore(const cli_call *call) {
    const options *given = call->options;
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    reco_backup_result result = {.struct_size = sizeof result};
    cli_progress progress;
    http_log_start(RECO_LOG_WARN);
    reco_status status = program_settings(&settings, call->globals, &err);
    if (status == RECO_OK) {
        cli_progress_begin(&progress, given->progress);
        reco_call told = cli_progress_call(&progress);
        status = reco_restore(&result, call->arguments[0], settings, given->check ? RECO_RESTORE_CHECK : 0, &told, &err);
        cli_progress_end(&progress);
    }
    reco_settings_free(settings);
    if (status == RECO_OK) {
        print(&result, call->arguments[0], given->check ? "whole    " : "restored ", given->json);
        status = cli_finish(&err);
    }
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

const cli_command cli_restore = {
    "restore",
    "FILE",
    "make an empty or missing directory from a backup",
    "reco restore FILE --data NEW. The file is checked before anything is made, and the directory appears when it is whole.\n"
    "Settings of learning must be those the backup was taken with; the error names one that differs.",
    CLI_OPTIONS(restore_table),
    sizeof(options),
    1,
    1,
    run_restore};
