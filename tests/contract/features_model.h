/* tests/contract/features_model.h - what features must hold, said a second time: small, slow, and nothing shared with the library but the structs of
 * the contract.
 *
 * The model keeps the raw sum of every (board, generation, item, member) and never closes anything. Closed, cut, expired and weighed is what it
 * answers when asked for a clock: the state is a function of the records, so no history of steps is needed to know it. */
#ifndef FEATURES_MODEL_H
#define FEATURES_MODEL_H

#include <reco/plugin/features.h>

#define MODEL_USERS 64

typedef struct model_row {
    uint32_t board, item;
    int64_t generation;
    int64_t *sums; /* by member */
} model_row;

typedef struct model_cell {
    int there;
    int64_t expires_at;
    uint8_t size;
    uint8_t data[32];
} model_cell;

typedef struct model {
    const reco_board_rules *rules;
    uint32_t partitions, item_count, item_room;
    char (*names)[24];
    reco_position positions[64];
    model_row *rows;
    size_t row_count, row_room;
    model_cell cells[MODEL_USERS]; /* user u is in partition u % partitions */
} model;

typedef struct model_head {
    int there;
    int64_t closed_at, open_sum, closed_sum;
    reco_entry *open, *closed; /* sorted by member; room for item_room */
    size_t open_count, closed_count, generation_count;
    int64_t generations[2048];
} model_head;

void model_init(model *m, const reco_board_rules *rules, uint32_t partitions, uint32_t item_room);
void model_free(model *m);
void model_name(model *m, const char *name); /* the next number */
int64_t model_clock(const model *m);         /* C */
int64_t model_newest_closed(const model *m, uint32_t board, int64_t clock);
void model_add(model *m, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta);
/* The row as it is at the newest-closed number `closed`: raw, cut, or absent. Returns the count; `out` has room for item_room. */
size_t model_row_at(const model *m, reco_entry *out, uint32_t board, int64_t generation, uint32_t item, int64_t closed);
void model_head_init(model_head *head, const model *m);
void model_head_free(model_head *head);
void model_head_at(const model *m, model_head *out, uint32_t item, int64_t closed);
/* Forgets raw sums of generations that are absent by now. Only when every head is settled. */
void model_forget(model *m);

#endif
