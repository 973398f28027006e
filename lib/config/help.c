/* config/help.c - the settings as they are told to people: a line each for --help, and the reference, from the same rows. */
#include "config/table.h"

/* What event_types.NAME takes is no row of the table: types are what the application calls them. */
static const struct {
    const char *name, *initial, *kind, *help;
} types[] = {{"event_types.NAME.weight", "0", "integer", "weight of events of this type, -1000 to 1000; 0 and less never pair"},
             {"event_types.NAME.hides", "no", "yes/no", "events of this type hide the item from the user"},
             {"event_types.NAME.min_value", "none", "number", "the weight holds only from this value on"}};
#define TYPE_COUNT (sizeof types / sizeof *types)

static const char *kind_text(const setting *row) {
    static const char *const texts[] = {"text", "name", "integer", "integer", "bytes", "duration", "number", "yes/no", "word", "word"};
    return texts[row->kind];
}

static const char *initial_text(const setting *row) { return row->initial[0] ? row->initial : "\"\""; }

static void lines(reco__buf *out) {
    static const char format[] = "%-30s %-16s %-9s %s\n";
    for (size_t i = 0; i < reco__config_count; i++) {
        const setting *row = &reco__config_table[i];
        reco__buf_printf(out, format, row->name, initial_text(row), kind_text(row), row->help);
    }
    for (size_t i = 0; i < TYPE_COUNT; i++)
        reco__buf_printf(out, format, types[i].name, types[i].initial, types[i].kind, types[i].help);
}

/* --- the reference -------------------------------------------------------------------------------------------------------------------------- */

static void allowed(reco__buf *out, const setting *row) {
    if (row->kind == KIND_CHOICE) {
        for (const choice *item = row->choices; item->name; item++)
            reco__buf_printf(out, "%s`%s`", item == row->choices ? "" : ", ", item->name);
    } else if (row->kind == KIND_PRESET) {
        for (size_t i = 0; i < reco__config_preset_count; i++)
            reco__buf_printf(out, "%s`%s`", i > 0 ? ", " : "", reco__config_presets[i].name);
    } else if (row->kind == KIND_TEXT || row->kind == KIND_NAME) {
        reco__buf_printf(out, "%s, up to %u bytes", row->kind == KIND_TEXT ? "text" : "`A-Z a-z 0-9 _ . -`", row->size - 1u);
    } else if (row->kind == KIND_SWITCH) {
        reco__buf_text(out, "`yes`, `no`");
    } else {
        reco__buf_printf(out, "%s, `", kind_text(row));
        reco__config_write_bound(out, row, row->least);
        reco__buf_text(out, "` to `");
        reco__config_write_bound(out, row, row->most);
        reco__buf_text(out, "`");
    }
}

static int group_size(const char *name) {
    const char *dot = strchr(name, '.');
    return dot ? (int)(dot - name) : 0;
}

static void heading(reco__buf *out, const char *name, int size) {
    reco__buf_printf(out, "\n## %.*s\n\n| setting | default | allowed | meaning |\n|---|---|---|---|\n", size ? size : 7, size ? name : "general");
}

static void tables(reco__buf *out) {
    const char *before = NULL;
    for (size_t i = 0; i < reco__config_count; i++) {
        const setting *row = &reco__config_table[i];
        int size = group_size(row->name);
        if (!before || size != group_size(before) || strncmp(before, row->name, (size_t)size) != 0)
            heading(out, row->name, size);
        before = row->name;
        reco__buf_printf(out, "| `%s`%s | `%s` | ", row->name, row->flags & LEARNS ? " †" : "", initial_text(row));
        allowed(out, row);
        reco__buf_printf(out, " | %s |\n", row->help);
    }
    heading(out, "event_types", 11);
    for (size_t i = 0; i < TYPE_COUNT; i++)
        reco__buf_printf(out, "| `%s` † | `%s` | %s | %s |\n", types[i].name, types[i].initial, types[i].kind, types[i].help);
}

static void presets(reco__buf *out) {
    reco__buf_text(out, "\n## Presets\n\n| preset | sets |\n|---|---|\n");
    for (size_t i = 0; i < reco__config_preset_count; i++) {
        const char *const *values = reco__config_presets[i].values;
        reco__buf_printf(out, "| `%s` | ", reco__config_presets[i].name);
        for (size_t v = 0; values[v]; v += 2)
            reco__buf_printf(out, "%s`%s: %s`", v > 0 ? ", " : "", values[v], values[v + 1]);
        reco__buf_printf(out, "%s |\n", values[0] ? "" : "nothing: the defaults");
    }
}

void reco__settings_help(reco__buf *out, bool markdown) {
    if (!markdown) {
        lines(out);
        return;
    }
    tables(out);
    presets(out);
}
