/* cli/export.c - a namespace as lines of JSON, to a file or a pipe. A file is written as FILE.partial and renamed when it is whole and on disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <reco/admin.h>

#include "cli/cli.h"

typedef struct options {
    bool json, progress;
} options;

static const option_spec table[] = {
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON, on stderr when the lines go to stdout"},
    CLI_PROGRESS(options),
};

typedef struct target {
    FILE *file;
    const char *path; /* NULL: stdout */
    char *partial;
    int error; /* errno of what failed */
} target;

static int write_lines(void *context, const char *text, size_t size) {
    target *to = context;
    if (fwrite(text, 1, size, to->file) == size)
        return 0;
    to->error = errno ? errno : EIO;
    return 1;
}

static reco_status fail(const target *to, reco_error *err) {
    return options_fail(err, to->error == ENOSPC || to->error == EDQUOT ? RECO_FULL : RECO_IO, to->path ? to->path : "stdout", "cannot write: %s",
                        strerror(to->error));
}

/* A file of ours alone, for its owner alone: not where a link leads to, no pipe, and not the one of another export. */
static reco_status open_partial(target *to, reco_error *err) {
    struct stat st, named;
    int fd = open(to->partial, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        return options_fail(err, RECO_CONFLICT, to->partial, "is in the way");
    }
    /* Whoever has just finished has renamed it: then it is no longer the one of that name. */
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) != 0 || stat(to->partial, &named) != 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)) {
        close(fd);
        return options_fail(err, RECO_BUSY, to->path, "another export to that name is under way");
    }
    to->file = fd >= 0 && ftruncate(fd, 0) == 0 ? fdopen(fd, "w") : NULL;
    if (to->file)
        return RECO_OK;
    to->error = errno;
    if (fd >= 0)
        close(fd);
    return fail(to, err);
}

static reco_status open_target(target *to, const char *path, reco_error *err) {
    *to = (target){.file = stdout};
    if (!path || strcmp(path, "-") == 0)
        return RECO_OK;
    to->path = path;
    size_t size = strlen(path) + sizeof ".partial";
    to->partial = malloc(size);
    if (!to->partial)
        return options_fail(err, RECO_NO_MEMORY, path, "%s", reco_status_text(RECO_NO_MEMORY));
    snprintf(to->partial, size, "%s.partial", path);
    to->file = NULL;
    if (access(path, F_OK) == 0)
        return options_fail(err, RECO_CONFLICT, path, "exists already");
    return open_partial(to, err);
}

/* On disk, then by its name, then the name on disk. */
static reco_status keep(target *to, reco_error *err) {
    if (fflush(to->file) != 0 || (to->path && fsync(fileno(to->file)) != 0) || (to->path && rename(to->partial, to->path) != 0)) {
        to->error = errno;
        return fail(to, err);
    }
    char *slash = to->path ? strrchr(to->partial, '/') : NULL;
    if (slash)
        slash[slash == to->partial] = '\0';
    int folder = to->path ? open(slash ? to->partial : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
    return RECO_OK;
}

static void print(FILE *out, const reco_export_result *result, bool json) {
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"events", result->events},        {"ticks", result->ticks},   {"erasures", result->erasures},       {"items", result->items},
                  {"users", result->users},          {"models", result->models}, {"experiments", result->experiments}, {"missing", result->missing},
                  {"unreadable", result->unreadable}};
    if (json) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            fprintf(out, "%s\"%s\":%llu", i ? "," : "{", counts[i].name, (unsigned long long)counts[i].count);
        fprintf(out, "}\n");
        return;
    }
    fprintf(out, "%llu events, %llu items, %llu users, %llu models and %llu experiments exported\n", (unsigned long long)result->events,
            (unsigned long long)result->items, (unsigned long long)result->users, (unsigned long long)result->models,
            (unsigned long long)result->experiments);
    if (result->missing)
        fprintf(stderr, "reco: warning: the stream had dropped %llu records already; what was learned from them is in a backup only\n",
                (unsigned long long)result->missing);
    if (result->unreadable)
        fprintf(stderr, "reco: warning: %llu records that others wrote cannot be read and are left out\n", (unsigned long long)result->unreadable);
}

static reco_status export(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_export_result result = {.struct_size = sizeof result};
    target to;
    reco_status status = open_target(&to, session->call->argument_count ? session->call->arguments[0] : NULL, err);
    if (status == RECO_OK) {
        cli_session_progress(session, given->progress);
        status = reco_export(&result, session->engine, write_lines, &to, &session->told, err);
        cli_progress_end(&session->progress);
        if (status == RECO_CANCELLED && to.error)
            status = fail(&to, err);
    }
    if (status == RECO_OK)
        status = keep(&to, err);
    if (to.path && to.file && status != RECO_OK)
        unlink(to.partial); /* while it is locked: it is ours */
    if (to.path && to.file)
        fclose(to.file);
    free(to.partial);
    if (status == RECO_OK)
        print(to.path ? stdout : stderr, &result, given->json);
    return status == RECO_OK ? cli_finish(err) : status;
}

static int run(const cli_call *call) { return cli_with_data(call, export); }

const cli_command cli_export = {
    "export",
    "[FILE|-]",
    "everything of the namespace as lines of JSON",
    "Events with the moment they were received, items, users, models and experiments; no secret keys. Read back into an empty\n"
    "directory by reco import --format reco, it teaches the same.",
    CLI_OPTIONS(table),
    sizeof(options),
    0,
    1,
    run};
