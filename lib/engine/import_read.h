/* engine/import_read.h - reading history from files: one event a line, in one of three formats. */
#ifndef RECO__ENGINE_IMPORT_READ_H
#define RECO__ENGINE_IMPORT_READ_H

#include "base/base.h"
#include "model/event.h"

enum { RECO__IMPORT_CSV, RECO__IMPORT_NDJSON, RECO__IMPORT_MOVIELENS, RECO__IMPORT_EXPORT };
enum {
    RECO__COLUMN_USER,
    RECO__COLUMN_ITEM,
    RECO__COLUMN_TYPE,
    RECO__COLUMN_TIME,
    RECO__COLUMN_VALUE,
    RECO__COLUMN_SESSION,
    RECO__COLUMN_ID,
    RECO__COLUMN_COUNT
};

/* One file, wholly in memory. CONFINED. */
typedef struct reco__import_file {
    const char *path; /* borrowed */
    char *text;
    size_t size;
    size_t first;    /* where the first event stands: after the header of a csv */
    int columns[64]; /* csv: what each column holds, RECO__COLUMN_... or -1 */
    uint32_t column_count;
    const reco__event_type *types;
    size_t type_count;
} reco__import_file;

/* Reads a file and, for csv, its header. NOT_FOUND, IO, INVALID naming the column, TOO_LARGE. */
reco_status reco__import_file_read(reco__import_file *file, const char *path, int format, reco_error *err);
void reco__import_file_dispose(reco__import_file *file);
/* The next line that is not empty, without its end; moves *at behind it and *number (NULL allowed) to its number. False at the end of the file. */
bool reco__import_line(reco_str *line, uint64_t *number, size_t *at, const reco__import_file *file);
/* One line as an event; strings point into the file or the arena. INVALID naming the column. The event is checked by reco__event_check and has a
 * timestamp. */
reco_status reco__import_parse(reco_event *event, const reco__import_file *file, int format, reco_str line, reco__arena *arena, reco_error *err);

#endif
