#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "http/log.h"
#include "http/text.h"

static int with_engine(const cli_call *call, bool there, reco_status (*body)(cli_session *session, reco_error *err)) {
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    cli_session session = {.call = call, .told = {.struct_size = sizeof(reco_call)}};
    http_log_start(RECO_LOG_WARN);
    reco_status status = program_open(&session.engine, &settings, call->globals, 0, there, &err);
    if (status == RECO_OK)
        status = body(&session, &err);
    cli_progress_end(&session.progress);
    reco_close(session.engine);
    reco_settings_free(settings);
    return status == RECO_OK ? session.code : program_fail(&err);
}

int cli_with_engine(const cli_call *call, reco_status (*body)(cli_session *session, reco_error *err)) { return with_engine(call, false, body); }
int cli_with_data(const cli_call *call, reco_status (*body)(cli_session *session, reco_error *err)) { return with_engine(call, true, body); }

int cli_with_run(const cli_call *call, size_t size, reco_status (*body)(void *run, const cli_call *call, reco_error *err),
                 void (*dispose)(void *run)) {
    reco_error err = RECO_ERROR_INIT;
    void *run = calloc(1, size);
    reco_status status = run ? body(run, call, &err) : options_no_memory(&err);
    if (run)
        dispose(run);
    free(run);
    return status == RECO_OK ? PROGRAM_OK : program_fail(&err);
}

void cli_session_progress(cli_session *session, bool wanted) {
    cli_progress_begin(&session->progress, wanted);
    session->told = cli_progress_call(&session->progress);
}

reco_str cli_str(const char *text) { return text ? (reco_str){text, strlen(text)} : (reco_str){NULL, 0}; }

void cli_print_line(FILE *out, const char *text) {
    http_text_show(out, text, strlen(text));
    fputc('\n', out);
}

void cli_print_row(int indent, int width, const char *name, const char *value) {
    int size = (int)strlen(name);
    printf("%*s", indent, "");
    http_text_show(stdout, name, (size_t)size);
    printf("%*s ", size < width ? width - size : 0, "");
    cli_print_line(stdout, value ? value : "");
}

reco_status cli_finish(reco_error *err) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return RECO_OK;
    return options_fail(err, errno == ENOSPC ? RECO_FULL : RECO_IO, "stdout", "cannot write: %s", strerror(errno));
}
