/* cli/state.c - looking after what is learned: verify, stats, snapshot. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/cli.h"
#include "http/text.h"

typedef struct options {
    const char *from;
    bool json, progress;
} options;

#define JSON                                                                                                                                         \
    { "json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON" }
static const option_spec verify_table[] = {
    {"from", 0, OPTION_TEXT, offsetof(options, from), "SNAPSHOT", "replay from this snapshot instead of the beginning"}, JSON, CLI_PROGRESS(options)};
static const option_spec snapshot_table[] = {JSON, CLI_PROGRESS(options)};
static const option_spec json_table[] = {JSON};

static reco_status verify(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_verification result = {.struct_size = sizeof result};
    reco_verify_options how = {.struct_size = sizeof how, .snapshot = given->from};
    cli_session_progress(session, given->progress);
    reco_status status = reco_verify(&result, session->engine, &how, &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    session->code = result.equal ? PROGRAM_OK : PROGRAM_FAILED;
    if (given->json) {
        http_text difference = {0};
        http_text_json(&difference, result.difference, strlen(result.difference));
        printf("{\"equal\":%s,\"hash\":\"%s\",\"replayed\":\"%s\",\"events\":%llu,\"records\":%llu,\"heads\":%llu,\"unlearned\":%llu,\"difference\":%"
               "s}\n",
               result.equal ? "true" : "false", result.hash, result.replayed, (unsigned long long)result.events, (unsigned long long)result.records,
               (unsigned long long)result.heads, (unsigned long long)result.unlearned, difference.failed ? "\"\"" : difference.data);
        http_text_dispose(&difference);
    } else {
        printf("%s: %llu events replayed, %llu heads recomputed\nlearned   %s\nreplayed  %s\n", result.equal ? "equal" : "UNEQUAL",
               (unsigned long long)result.events, (unsigned long long)result.heads, result.hash, result.replayed);
        if (result.unlearned)
            printf("%llu records of the stream are not learned yet\n", (unsigned long long)result.unlearned);
        if (result.difference[0])
            cli_print_line(stdout, result.difference);
    }
    return cli_finish(err);
}

static void print_tree(json_t *value, const char *name, int depth) {
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(value)) {
        printf("%*s%s\n", depth * 2, "", name);
        json_object_foreach(value, key, child) print_tree(child, key, depth + 1);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, child) {
            char label[96];
            snprintf(label, sizeof label, "%.60s %zu", name, i);
            print_tree(child, label, depth);
        }
    } else {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        cli_print_row(depth * 2, 32 - depth * 2, name, text);
        free(text);
    }
}

static reco_status stats(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    char *json = NULL;
    reco_status status = reco_stats(&json, session->engine, NULL, err);
    if (status != RECO_OK)
        return status;
    json_t *root = given->json ? NULL : json_loads(json, 0, NULL);
    const char *key;
    json_t *value;
    if (root)
        json_object_foreach(root, key, value) print_tree(value, key, 0);
    else
        printf("%s\n", json);
    json_decref(root);
    reco_free(json);
    return cli_finish(err);
}

static reco_status snapshot(cli_session *session, reco_error *err) {
    const options *given = session->call->options;
    reco_snapshot_result result = {.struct_size = sizeof result};
    cli_session_progress(session, given->progress);
    reco_status status = reco_snapshot(&result, session->engine, session->call->arguments[0], &session->told, err);
    cli_progress_end(&session->progress);
    if (status != RECO_OK)
        return status;
    printf(given->json ? "{\"hash\":\"%s\",\"bytes\":%llu,\"items\":%u,\"cells\":%llu,\"rows\":%llu,\"entries\":%llu}\n"
                       : "state %s\n%llu bytes: %u items, %llu cells, %llu rows with %llu entries\n",
           result.hash, (unsigned long long)result.bytes, result.items, (unsigned long long)result.cells, (unsigned long long)result.rows,
           (unsigned long long)result.entries);
    return cli_finish(err);
}

static int run_verify(const cli_call *call) { return cli_with_data(call, verify); }
static int run_stats(const cli_call *call) { return cli_with_data(call, stats); }
static int run_snapshot(const cli_call *call) { return cli_with_data(call, snapshot); }

const cli_command cli_verify = {"verify",
                                "",
                                "replay everything and compare",
                                "Exit code 1 when what is learned differs from a clean replay.",
                                CLI_OPTIONS(verify_table),
                                sizeof(options),
                                0,
                                0,
                                run_verify};
const cli_command cli_stats = {
    "stats", "", "counters, positions, lags and the bytes of every table", NULL, CLI_OPTIONS(json_table), sizeof(options), 0, 0, run_stats};
const cli_command cli_snapshot = {
    "snapshot", "PATH", "write what is learned to a new file", NULL, CLI_OPTIONS(snapshot_table), sizeof(options), 1, 1, run_snapshot};
