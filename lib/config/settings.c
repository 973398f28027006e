/* config/settings.c - the settings as a whole: defaults, one by name, presets, checks, help, printing. */
#include "config/table.h"

static const reco__event_type initial_types[] = {{"view", 1, 0, 0},
                                                 {"click", 1, 0, 0},
                                                 {"rating", 1, RECO__TYPE_MIN_VALUE, 4},
                                                 {"like", 2, 0, 0},
                                                 {"cart", 3, 0, 0},
                                                 {"purchase", 5, 0, 0},
                                                 {"impression", 0, 0, 0},
                                                 {"dislike", 0, RECO__TYPE_HIDES, 0},
                                                 {"hide", 0, RECO__TYPE_HIDES, 0}};

void reco__settings_init(reco__settings *settings) {
    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < reco__config_count; i++)
        reco__config_parse(reco__config_at(settings, &reco__config_table[i]), &reco__config_table[i], reco__config_table[i].initial, NULL);
    memcpy(settings->types, initial_types, sizeof initial_types);
    settings->type_count = sizeof initial_types / sizeof *initial_types;
}

/* --- one by name ------------------------------------------------------------------------------------------------------------------------- */

static bool is_type(const char *name) { return strncmp(name, RECO__CONFIG_TYPES_PREFIX, sizeof RECO__CONFIG_TYPES_PREFIX - 1) == 0; }

reco_status reco__settings_set(reco__settings *settings, const char *name, const char *value, reco_error *err) {
    if (is_type(name))
        return reco__config_set_type(settings, name + sizeof RECO__CONFIG_TYPES_PREFIX - 1, value, err);
    const setting *row = reco__config_find(name);
    if (!row)
        return reco__fail(err, RECO_INVALID, name, "there is no setting \"%.80s\"", name);
    if (row->kind == KIND_PRESET)
        return reco__config_apply_preset(settings, value, err);
    return reco__config_parse(reco__config_at(settings, row), row, value, err);
}

reco_status reco__settings_get(char *out, size_t room, const reco__settings *settings, const char *name, reco_error *err) {
    reco__buf buf = {0};
    reco_status status = RECO_OK;
    const setting *row = reco__config_find(name);
    if (is_type(name))
        status = reco__config_get_type(&buf, settings, name + sizeof RECO__CONFIG_TYPES_PREFIX - 1, err);
    else if (row)
        reco__config_write(&buf, row, reco__config_read(settings, row));
    else
        status = reco__fail(err, RECO_INVALID, name, "there is no setting \"%.80s\"", name);
    if (status == RECO_OK)
        status = reco__buf_status(&buf, err);
    if (status == RECO_OK && buf.size >= room)
        status = reco__fail(err, RECO_TOO_LARGE, name, "the value takes %zu bytes, there is room for %zu", buf.size + 1, room);
    if (status == RECO_OK) {
        if (buf.size > 0)
            memcpy(out, buf.data, buf.size);
        out[buf.size] = '\0';
    }
    reco__buf_dispose(&buf);
    return status;
}

/* First everything that any preset touches goes back to its default, so that the last of several presets alone decides. */
static void undo_presets(reco__settings *settings) {
    for (size_t i = 0; i < reco__config_preset_count; i++)
        for (const char *const *value = reco__config_presets[i].values; *value; value += 2) {
            const setting *row = reco__config_find(value[0]);
            reco__config_parse(reco__config_at(settings, row), row, row->initial, NULL);
        }
}

reco_status reco__config_apply_preset(reco__settings *settings, const char *name, reco_error *err) {
    for (size_t i = 0; i < reco__config_preset_count; i++) {
        const preset *found = &reco__config_presets[i];
        if (strcmp(found->name, name) != 0)
            continue;
        undo_presets(settings);
        for (const char *const *value = found->values; *value; value += 2) {
            const setting *row = reco__config_find(value[0]);
            reco__config_parse(reco__config_at(settings, row), row, value[1], NULL);
        }
        memset(settings->preset, 0, sizeof settings->preset);
        memcpy(settings->preset, name, strlen(name));
        return RECO_OK;
    }
    return reco__fail(err, RECO_INVALID, "preset", "there is no preset \"%.40s\"; there are default, sessions, long-history, "
                                               "catalogue-small and shop",
                      name);
}

/* --- the whole --------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_order(const reco__settings *settings, const char *less_name, double less, const char *more_name, double more,
                               reco_error *err) {
    if (less <= more)
        return RECO_OK;
    char less_text[64] = "", more_text[64] = "";
    reco__settings_get(less_text, sizeof less_text, settings, less_name, NULL);
    reco__settings_get(more_text, sizeof more_text, settings, more_name, NULL);
    return reco__fail(err, RECO_INVALID, less_name, "%s does not go with %s %s", less_text, more_name, more_text);
}

reco_status reco__settings_check(const reco__settings *settings, reco_error *err) {
    const struct {
        const char *less_name;
        double less;
        const char *more_name;
        double more;
    } orders[] = {{"coview.head", settings->coview_head, "coview.cut", settings->coview_cut},
                  {"cell.recents", settings->recents, "cell.history", settings->history},
                  {"pairs.window", settings->pair_window, "cell.history", settings->history},
                  {"cell.session_gap", (double)settings->session_gap, "cell.lifetime", (double)settings->cell_lifetime},
                  {"cell.ids_window", (double)settings->ids_window, "cell.lifetime", (double)settings->cell_lifetime},
                  {"recommend.window_hours", (double)settings->window_hours, "popularity.hours_kept", 3600e3 * settings->hours_kept},
                  {"recommend.window_days", (double)settings->window_days, "popularity.days_kept", 86400e3 * settings->days_kept},
                  {"recommend.limit_default", settings->limit_default, "recommend.limit_max", settings->limit_max}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        reco_status status = check_order(settings, orders[i].less_name, orders[i].less, orders[i].more_name, orders[i].more, err);
        if (status != RECO_OK)
            return status;
    }
    if (settings->recency == RECO__RECENCY_POWER && settings->recency_value > 1)
        return reco__fail(err, RECO_INVALID, "recommend.recency_value", "must be at most 1 with recommend.recency power");
    if (settings->data[0] == '\0' && (settings->stream[0] == '\0' || settings->features[0] == '\0' || settings->records[0] == '\0'))
        return reco__fail(err, RECO_INVALID, "data", "is empty, and not all of stream, features and records have an address");
    if ((settings->retention_age || settings->retention_bytes) && settings->snapshots_folder[0] == '\0')
        return reco__fail(err, RECO_INVALID, settings->retention_age ? "retention.age" : "retention.bytes",
                          "needs snapshots.folder: the stream is trimmed to verified snapshots only");
    if (settings->type_count == 0)
        return reco__fail(err, RECO_INVALID, "event_types", "there is no event type");
    return RECO_OK;
}

/* --- printing ----------------------------------------------------------------------------------------------------------------------------------- */

static void print_value(reco__buf *out, const setting *row, const reco__settings *settings) {
    const char *at = reco__config_read(settings, row);
    if (row->kind == KIND_TEXT || row->kind == KIND_NAME || row->kind == KIND_PRESET)
        reco__json_string(out, at, strlen(at));
    else
        reco__config_write(out, row, at);
    reco__buf_byte(out, '\n');
}

static void print_types(reco__buf *out, const reco__settings *settings) {
    reco__buf_text(out, "event_types:\n");
    for (uint32_t i = 0; i < settings->type_count; i++) {
        const reco__event_type *type = &settings->types[i];
        reco__buf_printf(out, "  \"%s\": {weight: %d, hides: %s, min_value: ", type->name, type->weight,
                         type->flags & RECO__TYPE_HIDES ? "yes" : "no");
        if (type->flags & RECO__TYPE_MIN_VALUE)
            reco__json_double(out, type->min_value);
        else
            reco__buf_text(out, "none");
        reco__buf_text(out, "}\n");
    }
}

/* Rows of one group stand together in the table, so a group is opened once. */
void reco__settings_print(reco__buf *out, const reco__settings *settings) {
    const char *group = "";
    size_t group_size = 0;
    for (size_t i = 0; i < reco__config_count; i++) {
        const setting *row = &reco__config_table[i];
        const char *dot = strchr(row->name, '.');
        size_t size = dot ? (size_t)(dot - row->name) : 0;
        if (size != group_size || memcmp(group, row->name, size) != 0) {
            group = row->name;
            group_size = size;
            if (size > 0)
                reco__buf_printf(out, "%.*s:\n", (int)size, row->name);
        }
        reco__buf_printf(out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : row->name);
        print_value(out, row, settings);
    }
    print_types(out, settings);
}
