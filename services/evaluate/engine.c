#include "evaluate/engine.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <reco.h>
#include <reco/admin.h>

#include "evaluate/lines.h"
#include "evaluate/workers.h"
#include "http/clock.h"
#include "http/options.h"
#include "http/text.h"

#define PATH_ROOM 4096u
#define AFTER_MS 1000
#define LIMIT_MOST 10000u

/* --- folders -------------------------------------------------------------------------------------------------------------------------------- */

reco_status evaluate_folder_make(char *path, reco_error *err) {
    const char *parent = getenv("TMPDIR");
    int size = snprintf(path, PATH_ROOM, "%s/reco-evaluate-XXXXXX", parent && *parent ? parent : "/tmp");
    if (size < 0 || (size_t)size >= PATH_ROOM)
        return options_fail(err, RECO_INVALID, "TMPDIR", "is too long");
    return mkdtemp(path) ? RECO_OK : options_fail(err, errno == ENOSPC ? RECO_FULL : RECO_IO, path, "cannot make a folder: %s", strerror(errno));
}

void evaluate_folder_remove(const char *path) {
    char copy[PATH_ROOM];
    char *const roots[] = {copy, NULL};
    snprintf(copy, sizeof copy, "%s", path);
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info != FTS_D)
            remove(entry->fts_accpath);
    if (tree)
        fts_close(tree);
}

/* --- learning ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status write_events(const char *path, const evaluate_data *data, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    http_text line = {0};
    FILE *file = fopen(path, "wxe");
    bool failed = !file;
    if (file) {
        fputs("user_id,item_id,event_type,timestamp\n", file);
        for (size_t i = 0; i < data->event_count && !line.failed && status == RECO_OK; i++) {
            const evaluate_event *event = &data->events[i];
            reco_str user = data->users.names[event->user], item = data->items.names[event->item];
            line.size = 0;
            http_text_csv(&line, user.data, user.size);
            http_text_add(&line, ",", 1);
            http_text_csv(&line, item.data, item.size);
            http_text_printf(&line, ",view,%lld\n", (long long)event->t);
            fwrite(line.data, 1, line.failed ? 0 : line.size, file);
            status = i % EVALUATE_LINES_CHECK == 0 ? evaluate_call_check(call, err) : RECO_OK;
        }
        failed = ferror(file) != 0;
        failed = fclose(file) != 0 || failed;
    }
    bool no_memory = line.failed;
    http_text_dispose(&line);
    if (no_memory)
        return options_no_memory(err);
    return status != RECO_OK ? status
           : failed          ? options_fail(err, errno == ENOSPC ? RECO_FULL : RECO_IO, path, "cannot write: %s", strerror(errno))
                             : RECO_OK;
}

static reco_status open_engine(reco_engine **out, const char *folder, const reco_settings *settings, reco_error *err) {
    reco_open_options how = {.struct_size = sizeof how, .data = folder, .settings = settings};
    return reco_open(out, &how, NULL, err);
}

reco_status evaluate_learn(const char *folder, const reco_settings *settings, const evaluate_data *data, const reco_call *call, reco_error *err) {
    char path[PATH_ROOM + 16];
    const char *const paths[] = {path};
    reco_engine *engine = NULL;
    reco_import_result result = {.struct_size = sizeof result};
    snprintf(path, sizeof path, "%s.csv", folder);
    reco_status status = write_events(path, data, call, err);
    if (status == RECO_OK)
        status = open_engine(&engine, folder, settings, err);
    reco_import_options how = {.struct_size = sizeof how, .format = "csv", .paths = paths, .path_count = 1};
    if (status == RECO_OK)
        status = reco_import(&result, engine, &how, call, err);
    if (status == RECO_OK && (result.rejected || result.events != data->event_count))
        status =
            options_fail(err, RECO_INVALID, "train", "%llu of %zu events were not accepted", (unsigned long long)result.rejected, data->event_count);
    reco_close(engine);
    unlink(path);
    return status;
}

/* --- asking --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct asker {
    reco_answer *answer;
    reco_event session[RECO_SESSION_MAX];
} asker;

typedef struct asking {
    const evaluate_data *data;
    const evaluate_asking *how;
    evaluate_lists *lists;
    reco_engine *engine;
    uint32_t remembered; /* how many of a user's items an answer leaves out by itself */
} asking;

static size_t length(evaluate_range range) { return range.end - range.begin; }

/* How many places of an answer may have to be dropped. */
static uint32_t barred_most(const asking *a, const evaluate_question *question) {
    size_t own = question->user == EVALUATE_NONE ? 0 : length(a->data->own[question->user]);
    size_t most = a->data->protocol == EVALUATE_P1 ? (own > a->remembered ? own : 0) : 0;
    most = a->data->protocol == EVALUATE_P2_NOVEL ? length(question->history) : most;
    return most < LIMIT_MOST - EVALUATE_DEPTH_MAX ? (uint32_t)most : LIMIT_MOST - EVALUATE_DEPTH_MAX;
}

/* The newest of a history. */
static size_t fill_session(asker *self, const evaluate_data *data, const evaluate_question *question) {
    evaluate_range range = question->history;
    size_t count = 0;
    if (length(range) > RECO_SESSION_MAX)
        range.begin = range.end - RECO_SESSION_MAX;
    for (size_t i = range.begin; i < range.end; i++)
        if (data->history[i] != EVALUATE_NONE)
            self->session[count++] = (reco_event){.item_id = data->items.names[data->history[i]]};
    return count;
}

static reco_status keep(const asking *a, size_t number, const reco_answer *answer, reco_error *err) {
    const evaluate_question *question = &a->data->questions[number];
    evaluate_lists *lists = a->lists;
    uint32_t *list = lists->items + number * lists->depth, count = 0;
    if (answer->flags & RECO_ANSWER_DEGRADED)
        return options_fail(err, RECO_UNAVAILABLE, a->data->names.names[question->name].data, "the answer was degraded");
    for (size_t i = 0; i < answer->count && count < lists->depth; i++) {
        uint32_t item = evaluate_names_find(&a->data->items, answer->items[i].item_id);
        if (item != EVALUATE_NONE && !evaluate_is_barred(a->data, question, item))
            list[count++] = item;
    }
    lists->counts[number] = count;
    return RECO_OK;
}

static double now_us(void) { return (double)http_monotonic_ns() / 1e3; }

static reco_status ask(void *context, void *state, size_t number, reco_error *err) {
    const asking *a = context;
    asker *self = state;
    const evaluate_question *question = &a->data->questions[number];
    reco_query query = {.struct_size = sizeof query,
                        .flags = RECO_QUERY_NO_REASONS,
                        .as_of = a->data->newest + AFTER_MS,
                        .seed = number + 1,
                        .limit = a->how->depth + barred_most(a, question)};
    if (a->data->protocol == EVALUATE_P1)
        query.user_id = a->data->names.names[question->name];
    else {
        query.session = self->session;
        query.session_count = fill_session(self, a->data, question);
        query.event_size = sizeof *self->session;
    }
    if (query.user_id.size == 0 && query.session_count == 0) { /* nothing of the history is known: what is popular */
        query.user_id = a->data->names.names[question->name];
        query.session = NULL;
    }
    double begun = now_us();
    reco_status status = reco_recommend(&self->answer, a->engine, &query, NULL, err);
    a->lists->micros[number] = now_us() - begun;
    return status == RECO_OK ? keep(a, number, self->answer, err) : status;
}

static reco_status remembered_of(uint32_t *out, const reco_settings *settings, reco_error *err) {
    char history[32], seen[32];
    reco_status status = reco_settings_get(history, sizeof history, settings, "cell.history", err);
    if (status == RECO_OK)
        status = reco_settings_get(seen, sizeof seen, settings, "recommend.filter_seen", err);
    *out = status == RECO_OK && strcmp(seen, "yes") == 0 ? (uint32_t)strtoul(history, NULL, 10) : 0;
    return status;
}

static reco_status ask_all(asking *a, reco_error *err) {
    unsigned threads = a->how->threads < EVALUATE_THREADS_MAX ? a->how->threads : EVALUATE_THREADS_MAX;
    asker *askers = calloc(threads, sizeof *askers);
    if (!askers)
        return options_no_memory(err);
    evaluate_job job = {.work = ask,
                        .context = a,
                        .states = askers,
                        .state_size = sizeof *askers,
                        .count = a->data->question_count,
                        .threads = threads,
                        .call = a->how->call,
                        .what = "asking"};
    reco_status status = evaluate_workers_run(&job, err);
    for (unsigned i = 0; i < threads; i++)
        reco_answer_free(askers[i].answer);
    free(askers);
    return status;
}

reco_status evaluate_ask(evaluate_lists *out, const evaluate_data *data, const evaluate_asking *how, reco_error *err) {
    asking a = {data, how, out, NULL, 0};
    reco_status status = evaluate_lists_make(out, data->question_count, how->depth, err);
    if (status == RECO_OK)
        status = remembered_of(&a.remembered, how->settings, err);
    if (status == RECO_OK)
        status = open_engine(&a.engine, how->folder, how->settings, err);
    if (status == RECO_OK)
        status = ask_all(&a, err);
    reco_close(a.engine);
    return status;
}
