/* stream_model.h - a stream as arrays: what a backend must hold, one commit at a time. */
#ifndef STREAM_MODEL_H
#define STREAM_MODEL_H

#include <reco/plugin/stream.h>

/* Records are made from a serial number, so that the model need not keep their bytes. */
typedef struct model_record {
    uint64_t serial; /* ticks: 0 */
    int64_t received_at;
    uint32_t size;
} model_record;

typedef struct model_part {
    model_record *records; /* from offset 0 on, trimmed ones too */
    size_t capacity;
    int64_t begin, end, last, max;
} model_part;

typedef struct stream_model {
    uint32_t partitions;
    int64_t tick_ms;
    model_part parts[RECO_PARTITIONS_MAX];
} stream_model;

void stream_model_init(stream_model *model, uint32_t partitions, int64_t tick_ms);
void stream_model_dispose(stream_model *model);
void stream_model_add(stream_model *model, uint32_t partition, model_record record); /* ends the process when memory is out */
/* The ticks of a commit whose newest record is of that time. */
void stream_model_ticks(stream_model *model, int64_t newest);
int64_t stream_model_newest(const stream_model *model);
void stream_model_trim(stream_model *model, uint32_t partition, int64_t before);

/* The bytes of a record: 8 of serial, then a pattern. size >= 8. */
void record_fill(void *out, uint64_t serial, uint32_t size);

#endif
