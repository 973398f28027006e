/* stream_model.c - see stream_model.h. Knows of no backend, and of libreco only the contract. */
#include "contract/stream_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stream_model_init(stream_model *model, uint32_t partitions, int64_t tick_ms) {
    memset(model, 0, sizeof *model);
    model->partitions = partitions;
    model->tick_ms = tick_ms;
}

void stream_model_dispose(stream_model *model) {
    for (uint32_t p = 0; p < RECO_PARTITIONS_MAX; p++) {
        free(model->parts[p].records);
    }
    memset(model, 0, sizeof *model);
}

void stream_model_add(stream_model *model, uint32_t partition, model_record record) {
    model_part *part = &model->parts[partition];
    if ((size_t)part->end == part->capacity) {
        part->capacity = part->capacity ? part->capacity * 2 : 64;
        model_record *more = realloc(part->records, part->capacity * sizeof *more);
        if (!more) {
            fprintf(stderr, "stream_model: out of memory\n");
            exit(1);
        }
        part->records = more;
    }
    part->records[part->end++] = record;
    part->last = record.received_at;
    part->max = record.received_at > part->max ? record.received_at : part->max;
}

void stream_model_ticks(stream_model *model, int64_t newest) {
    for (uint32_t p = 0; p < model->partitions; p++) {
        if (newest - model->parts[p].last > model->tick_ms) {
            stream_model_add(model, p, (model_record){0, newest, 0});
        }
    }
}

int64_t stream_model_newest(const stream_model *model) {
    int64_t newest = 0;
    for (uint32_t p = 0; p < model->partitions; p++) {
        newest = model->parts[p].max > newest ? model->parts[p].max : newest;
    }
    return newest;
}

void stream_model_trim(stream_model *model, uint32_t partition, int64_t before) {
    model_part *part = &model->parts[partition];
    before = before > part->end ? part->end : before;
    part->begin = before > part->begin ? before : part->begin;
}

void record_fill(void *out, uint64_t serial, uint32_t size) {
    unsigned char *bytes = out;
    for (uint32_t i = 0; i < size; i++) {
        bytes[i] = i < 8 ? (unsigned char)(serial >> (8 * i)) : (unsigned char)(serial * 31 + i * 7);
    }
}
