/* cli/known.c - what is known of items and users: stored from a file or a pipe, and shown. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "http/file.h"

#define FILE_MAX (1u << 30)

typedef struct options {
    bool json, delete;
    const char *patch, *alias;
} options;

static const option_spec many_table[] = {
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the result as JSON"},
};
static const option_spec one_table[] = {
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the document as JSON"},
    {"patch", 0, OPTION_TEXT, offsetof(options, patch), "FILE|-", "change a part of it by a JSON merge patch (RFC 7396): null removes a member"},
    {"delete", 0, OPTION_FLAG, offsetof(options, delete), NULL, "forget the document; what was learned from events stays"},
};

static const option_spec user_table[] = {
    {"json", 'j', OPTION_FLAG, offsetof(options, json), NULL, "the document as JSON"},
    {"alias", 0, OPTION_TEXT, offsetof(options, alias), "ID", "add an id the user had before they were known; answers know both from then on"},
    {"patch", 0, OPTION_TEXT, offsetof(options, patch), "FILE|-", "change a part of it by a JSON merge patch (RFC 7396): null removes a member"},
    {"delete", 0, OPTION_FLAG, offsetof(options, delete), NULL, "forget the document; what was learned from events stays"},
};

typedef reco_status (*put_fn)(size_t *count, reco_engine *engine, const char *text, size_t size, uint32_t form, const reco_call *call,
                              reco_error *err);
typedef reco_status (*get_fn)(char **json, reco_engine *engine, reco_str id, const reco_call *call, reco_error *err);
typedef reco_status (*patch_fn)(char **json, reco_engine *engine, reco_str id, const char *patch, size_t size, const reco_call *call,
                                reco_error *err);
typedef reco_status (*delete_fn)(reco_engine *engine, reco_str id, const reco_call *call, reco_error *err);

static reco_status put(cli_session *session, const char *what, put_fn store, reco_error *err) {
    const options *given = session->call->options;
    char *text = NULL;
    size_t size = 0, count = 0;
    reco_status status = http_file_read(&text, &size, session->call->arguments[0], FILE_MAX, err);
    if (status == RECO_OK)
        status =
            store(&count, session->engine, text, size, size && text[strspn(text, " \t\r\n")] == '[' ? RECO_JSON_AUTO : RECO_JSON_NDJSON, NULL, err);
    free(text);
    if (status != RECO_OK)
        return status;
    if (given->json)
        printf("{\"%s\":%zu}\n", what, count);
    else
        printf("%zu %s stored\n", count, what);
    return cli_finish(err);
}

static void print_members(const char *json) {
    json_t *root = json_loads(json, 0, NULL), *value;
    const char *key;
    json_object_foreach(root, key, value) {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        cli_print_row(0, 16, key, text);
        free(text);
    }
    json_decref(root);
}

static reco_status change(char **json, cli_session *session, reco_str id, patch_fn patch, reco_error *err) {
    const options *given = session->call->options;
    char *text = NULL;
    size_t size = 0;
    reco_status status = http_file_read(&text, &size, given->patch, FILE_MAX, err);
    if (status == RECO_OK)
        status = patch(json, session->engine, id, text, size, NULL, err);
    free(text);
    return status;
}

static reco_status show(cli_session *session, get_fn get, patch_fn patch, delete_fn delete, reco_error *err) {
    const options *given = session->call->options;
    reco_str id = cli_str(session->call->arguments[0]);
    char *json = NULL;
    if (given->patch && given->delete)
        return options_fail(err, RECO_INVALID, "delete", "does not go with --patch");
    if (given->alias && (given->patch || given->delete))
        return options_fail(err, RECO_INVALID, "alias", "goes with neither --patch nor --delete");
    reco_status status = given->alias   ? reco_user_alias(&json, session->engine, id, cli_str(given->alias), NULL, err)
                         : given->patch ? change(&json, session, id, patch, err)
                                        : get(&json, session->engine, id, NULL, err);
    if (status == RECO_OK && given->delete)
        status = delete (session->engine, id, NULL, err);
    if (status == RECO_OK && given->json)
        printf("%s\n", json);
    else if (status == RECO_OK)
        print_members(json);
    reco_free(json);
    return status == RECO_OK ? cli_finish(err) : status;
}

static reco_status put_items(cli_session *session, reco_error *err) { return put(session, "items", reco_items_put_json, err); }
static reco_status put_users(cli_session *session, reco_error *err) { return put(session, "users", reco_users_put_json, err); }
static reco_status show_item(cli_session *session, reco_error *err) { return show(session, reco_item_get, reco_item_patch, reco_item_delete, err); }
static reco_status show_user(cli_session *session, reco_error *err) { return show(session, reco_user_get, reco_user_patch, reco_user_delete, err); }

static int run_items(const cli_call *call) { return cli_with_engine(call, put_items); }
static int run_users(const cli_call *call) { return cli_with_engine(call, put_users); }
/* A patch and an alias can be the first that is known. */
static bool brings(const options *given) { return given->patch || given->alias; }

static int run_item(const cli_call *call) { return brings(call->options) ? cli_with_engine(call, show_item) : cli_with_data(call, show_item); }
static int run_user(const cli_call *call) { return brings(call->options) ? cli_with_engine(call, show_user) : cli_with_data(call, show_user); }

const cli_command cli_items = {"items",
                               "FILE|-",
                               "what is known of items: an array of objects, or one a line",
                               "All of them are stored, or none.",
                               CLI_OPTIONS(many_table),
                               sizeof(options),
                               1,
                               1,
                               run_items};
const cli_command cli_users = {"users",
                               "FILE|-",
                               "what is known of users: an array of objects, or one a line",
                               "All of them are stored, or none.",
                               CLI_OPTIONS(many_table),
                               sizeof(options),
                               1,
                               1,
                               run_users};
const cli_command cli_item = {"item", "ID", "what is known of an item", NULL, CLI_OPTIONS(one_table), sizeof(options), 1, 1, run_item};
const cli_command cli_user = {"user", "ID", "what is known of a user", NULL, CLI_OPTIONS(user_table), sizeof(options), 1, 1, run_user};
