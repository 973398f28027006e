/* config/table.h - one row a setting; everything that knows settings by name reads this table. Private to the room. */
#ifndef RECO__CONFIG_TABLE_H
#define RECO__CONFIG_TABLE_H

#include "config/settings.h"

enum {
    KIND_TEXT,     /* char[size] */
    KIND_NAME,     /* char[size]: 1 or more of [A-Za-z0-9_.-] */
    KIND_COUNT,    /* uint32_t */
    KIND_LARGE,    /* uint64_t */
    KIND_BYTES,    /* uint64_t with a unit */
    KIND_DURATION, /* int64_t milliseconds with a unit */
    KIND_REAL,     /* double */
    KIND_SWITCH,   /* uint32_t 0 or 1: yes, no */
    KIND_CHOICE,   /* uint32_t, by name */
    KIND_PRESET    /* char[size], and what the preset says */
};

#define LEARNS 1u /* decides what is learned: part of the fingerprint */

typedef struct choice {
    const char *name; /* NULL ends the list */
    uint32_t value;
} choice;

typedef struct setting {
    const char *name;
    uint8_t kind, flags;
    uint16_t size;         /* TEXT, NAME, PRESET: room */
    uint32_t offset;       /* in reco__settings */
    double least, most;    /* numbers */
    const char *initial;   /* the default, as text */
    const choice *choices; /* CHOICE */
    const char *help;
} setting;

typedef struct preset {
    const char *name;
    const char *const *values; /* name, value, name, value ... NULL */
} preset;

extern const setting reco__config_table[];
extern const size_t reco__config_count;
extern const preset reco__config_presets[];
extern const size_t reco__config_preset_count;

#define RECO__CONFIG_TYPES_PREFIX "event_types."

/* NULL when unknown. */
const setting *reco__config_find(const char *name);

/* Text to value and back. `at` is the setting's place in the struct. */
reco_status reco__config_parse(void *at, const setting *row, const char *text, reco_error *err);
void reco__config_write(reco__buf *out, const setting *row, const void *at);
/* least or most of a row, as a value of it would be written. */
void reco__config_write_bound(reco__buf *out, const setting *row, double bound);

/* Event types: "view.weight" is what follows the prefix. */
reco_status reco__config_set_type(reco__settings *settings, const char *name, const char *value, reco_error *err);
reco_status reco__config_get_type(reco__buf *out, const reco__settings *settings, const char *name, reco_error *err);

reco_status reco__config_apply_preset(reco__settings *settings, const char *name, reco_error *err);

static inline void *reco__config_at(reco__settings *settings, const setting *row) { return (char *)settings + row->offset; }
static inline const void *reco__config_read(const reco__settings *settings, const setting *row) { return (const char *)settings + row->offset; }

#endif
