/* features_model.c - see features_model.h. Plain loops, on purpose. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "contract/features_model.h"

static void *must(void *block) {
    if (!block) {
        abort();
    }
    return block;
}

void model_init(model *m, const reco_board_rules *rules, uint32_t partitions, uint32_t item_room) {
    memset(m, 0, sizeof *m);
    m->rules = rules;
    m->partitions = partitions;
    m->item_room = item_room;
    m->names = must(calloc(item_room, sizeof *m->names));
}

void model_free(model *m) {
    for (size_t i = 0; i < m->row_count; i++) {
        free(m->rows[i].sums);
    }
    free(m->rows);
    free(m->names);
}

void model_name(model *m, const char *name) {
    if (m->item_count == m->item_room || strlen(name) >= sizeof m->names[0]) {
        abort();
    }
    strcpy(m->names[m->item_count++], name);
}

int64_t model_clock(const model *m) {
    int64_t c = m->positions[0].clock;
    for (uint32_t p = 0; p < m->partitions; p++) {
        if (m->positions[p].clock < c) {
            c = m->positions[p].clock;
        }
    }
    return c;
}

/* Counted up, generation by generation, as the rule is worded: closed when end + lateness + skew <= clock. */
int64_t model_newest_closed(const model *m, uint32_t board, int64_t clock) {
    int64_t g = (clock - m->rules->lateness - m->rules->skew) / m->rules->length[board] - 4; /* surely closed, or before time */
    g = g < -1 ? -1 : g;
    while ((g + 2) * m->rules->length[board] + m->rules->lateness + m->rules->skew <= clock) {
        g++;
    }
    return g;
}

static model_row *find_row(const model *m, uint32_t board, int64_t generation, uint32_t item) {
    for (size_t i = 0; i < m->row_count; i++) {
        if (m->rows[i].generation == generation && m->rows[i].item == item && m->rows[i].board == board) {
            return &m->rows[i];
        }
    }
    return NULL;
}

void model_add(model *m, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta) {
    model_row *row = find_row(m, board, generation, item);
    if (!row) {
        if (m->row_count == m->row_room) {
            m->row_room = m->row_room ? m->row_room * 2 : 64;
            m->rows = must(realloc(m->rows, m->row_room * sizeof *m->rows));
        }
        row = &m->rows[m->row_count++];
        row->board = board;
        row->item = item;
        row->generation = generation;
        row->sums = must(calloc(m->item_room, sizeof *row->sums));
    }
    row->sums[member] += delta;
}

/* Whether a comes before b: larger sum, smaller hash of the name, smaller name. */
static int better(const model *m, reco_entry a, reco_entry b) {
    if (a.sum != b.sum) {
        return a.sum > b.sum;
    }
    XXH64_hash_t ha = XXH64(m->names[a.member], strlen(m->names[a.member]), 0), hb = XXH64(m->names[b.member], strlen(m->names[b.member]), 0);
    return ha != hb ? ha < hb : strcmp(m->names[a.member], m->names[b.member]) < 0;
}

/* Keeps the n best, in order of member: an entry stays when fewer than n are better. */
static size_t keep_best(const model *m, reco_entry *entries, size_t count, size_t n) {
    reco_entry *all = must(malloc((count + 1) * sizeof *all));
    size_t kept = 0;
    memcpy(all, entries, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        size_t beaten_by = 0;
        for (size_t j = 0; j < count && all[i].sum > 0; j++) {
            beaten_by += j != i && better(m, all[j], all[i]);
        }
        if (all[i].sum > 0 && beaten_by < n) {
            entries[kept++] = all[i];
        }
    }
    free(all);
    return kept;
}

size_t model_row_at(const model *m, reco_entry *out, uint32_t board, int64_t generation, uint32_t item, int64_t closed) {
    const model_row *row = find_row(m, board, generation, item);
    size_t count = 0;
    if (!row || generation <= closed - (int64_t)m->rules->kept[board]) {
        return 0;
    }
    for (uint32_t member = 0; member < m->item_count; member++) {
        if (row->sums[member] != 0) {
            out[count++] = (reco_entry){member, 0, row->sums[member]};
        }
    }
    return board == RECO_BOARD_COVIEW && generation <= closed ? keep_best(m, out, count, m->rules->cut) : count;
}

void model_head_init(model_head *head, const model *m) {
    memset(head, 0, sizeof *head);
    head->open = must(calloc(m->item_room, sizeof *head->open));
    head->closed = must(calloc(m->item_room, sizeof *head->closed));
}

void model_head_free(model_head *head) {
    free(head->open);
    free(head->closed);
}

static int64_t lowest_after(const model *m, uint32_t item, int64_t after, int *any) {
    int64_t lowest = 0;
    *any = 0;
    for (size_t i = 0; i < m->row_count; i++) {
        if (m->rows[i].board == RECO_BOARD_COVIEW && m->rows[i].item == item && m->rows[i].generation > after &&
            (!*any || m->rows[i].generation < lowest)) {
            lowest = m->rows[i].generation;
            *any = 1;
        }
    }
    return lowest;
}

static size_t compact(reco_entry *out, const int64_t *sums, uint32_t count) {
    size_t n = 0;
    for (uint32_t member = 0; member < count; member++) {
        if (sums[member] != 0) {
            out[n++] = (reco_entry){member, 0, sums[member]};
        }
    }
    return n;
}

void model_head_at(const model *m, model_head *out, uint32_t item, int64_t closed) {
    int64_t *open = must(calloc(m->item_room, sizeof *open)), *old = must(calloc(m->item_room, sizeof *old));
    reco_entry *row = must(calloc(m->item_room, sizeof *row));
    int any;
    out->closed_at = closed;
    out->open_sum = out->closed_sum = 0;
    out->generation_count = 0;
    for (int64_t g = lowest_after(m, item, -1, &any); any; g = lowest_after(m, item, g, &any)) {
        size_t count = model_row_at(m, row, RECO_BOARD_COVIEW, g, item, closed);
        if (count) {
            out->generations[out->generation_count++] = g;
        }
        for (size_t i = 0; i < count; i++) {
            int64_t weight = m->rules->weight[g > closed ? 0 : closed - g];
            if (g > closed) {
                open[row[i].member] += row[i].sum;
                out->open_sum += weight * row[i].sum;
            } else {
                old[row[i].member] += weight * row[i].sum;
                out->closed_sum += weight * row[i].sum;
            }
        }
    }
    out->there = out->generation_count > 0;
    out->open_count = keep_best(m, out->open, compact(out->open, open, m->item_count), m->rules->head);
    out->closed_count = keep_best(m, out->closed, compact(out->closed, old, m->item_count), m->rules->head);
    free(open);
    free(old);
    free(row);
}

void model_forget(model *m) {
    size_t kept = 0;
    for (size_t i = 0; i < m->row_count; i++) {
        int64_t closed = model_newest_closed(m, m->rows[i].board, model_clock(m));
        if (m->rows[i].generation <= closed - (int64_t)m->rules->kept[m->rows[i].board]) {
            free(m->rows[i].sums);
        } else {
            m->rows[kept++] = m->rows[i];
        }
    }
    m->row_count = kept;
}
