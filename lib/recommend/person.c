/* recommend/person.c - what was learned of whom a question is about.
 *
 * Most have one id: its cell is read right to where answers look. Somebody with aliases has cells in several partitions; each partition is read once,
 * with its own position and clock, and the cells are merged (learn/merge.c). */
#include "recommend/person.h"

#include "recommend/internal.h"

void reco__person_dispose(reco__person *person) {
    for (size_t i = 0; i < RECO__IDS_MOST; i++) {
        reco__cell_dispose(&person->cells[i]);
    }
    reco__buf_dispose(&person->names);
    reco__buf_dispose(&person->scratch);
}

uint64_t reco__person_bytes(const reco__person *person) {
    uint64_t bytes = person->names.capacity + person->scratch.capacity;

    for (size_t i = 0; i < RECO__IDS_MOST; i++) {
        const reco__cell *cell = &person->cells[i];
        bytes += cell->touch_room * sizeof(*cell->touches) + cell->hidden_room * sizeof(*cell->hidden) + cell->id_room * sizeof(*cell->ids);
    }
    return bytes;
}

static void add_aliases(reco__person *person, const reco__recommend_options *options, const uint16_t *sizes, size_t count) {
    const char *at = person->names.data;

    for (size_t i = 0; i < count; i++) {
        reco_str id = {at, sizes[i]};
        at += sizes[i];
        person->ids[person->count] = id;
        person->partitions[person->count++] = options->partition_of(options->partition_context, id);
    }
}

reco_status reco__person_find(reco__person *person, uint32_t *degraded, reco__recommend *recommend, reco__aliases *aliases, reco_str user,
                              uint32_t partition, const reco_call *call, reco_error *err) {
    uint16_t sizes[RECO_USER_ALIASES_MAX];
    size_t count;
    reco_call own;
    reco_error error = RECO_ERROR_INIT;

    person->count = user.size > 0;
    person->ids[0] = user;
    person->partitions[0] = partition;
    reco__buf_reset(&person->names);
    if (user.size == 0 || !recommend->options.partition_of) {
        return RECO_OK;
    }
    reco_status status = reco__aliases_find(&count, sizes, &person->names, aliases, user, &recommend->records_breaker,
                                            reco__call_part(&own, call, RECO__RECORDS_PERCENT), &error);
    if (reco__store_trouble(status)) {
        *degraded |= RECO_DEGRADED_RECORDS;
        return RECO_OK;
    }
    if (status != RECO_OK && err) {
        *err = error;
    }
    if (status == RECO_OK) {
        add_aliases(person, &recommend->options, sizes, count);
    }
    return status;
}

static void expire(reco__cell *cell, const reco__learn_rules *rules, const reco_position *position) {
    if (cell->last != 0 && reco__cell_expires(cell, rules) < position->clock) {
        reco__cell_clear(cell); /* still stored, but gone */
    }
}

/* Cells on their way from features. */
typedef struct reading {
    reco__cell *cells[RECO__IDS_MOST];
    reco_status status;
    reco_error *err;
} reading;

static void take_cell(void *context, size_t index, const void *data, size_t size) {
    reading *in = context;

    if (in->status == RECO_OK) {
        in->status = reco__cell_decode(in->cells[index], data, size, in->err);
    }
}

/* The cells of `count` ids of one partition. */
static reco_status load(reco_candidates *c, reading *in, uint32_t partition, const reco_str *ids, size_t count, const reco_call *call,
                        reco_error *err) {
    reco__place *place = &c->person.places[c->person.place_count];
    uint64_t epoch = 0;

    place->partition = partition;
    const reco__past *past = c->past;
    reco_status status = past ? past->load(&place->position, &epoch, past->context, partition, ids, count, take_cell, in, call, err)
                              : reco__features_load(&place->position, &epoch, c->features, partition, ids, count, take_cell, in, call, err);
    if (status == RECO_OK) {
        status = in->status;
    }
    if (status == RECO_OK && c->person.place_count > 0 && epoch != c->epoch) {
        status = reco__fail(err, RECO_STALE, NULL, "what was learned was replaced meanwhile");
    }
    c->epoch = epoch;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        expire(in->cells[i], c->rules, &place->position);
    }
    c->person.place_count += status == RECO_OK;
    return status;
}

/* Those of the partition of id `first` that follow it, too. */
static reco_status load_partition(reco_candidates *c, size_t first, const reco_call *call, reco_error *err) {
    reco__person *person = &c->person;
    reading in = {.status = RECO_OK, .err = err};
    reco_str ids[RECO__IDS_MOST];
    size_t count = 0;

    for (size_t i = first; i < person->count; i++) {
        if (person->partitions[i] == person->partitions[first]) {
            ids[count] = person->ids[i];
            in.cells[count++] = &person->cells[i];
        }
    }
    return load(c, &in, person->partitions[first], ids, count, call, err);
}

static bool is_read(const reco__person *person, uint32_t partition) {
    for (size_t i = 0; i < person->place_count; i++) {
        if (person->places[i].partition == partition) {
            return true;
        }
    }
    return false;
}

static reco_status load_several(reco_candidates *c, const reco_call *call, reco_error *err) {
    reco__person *person = &c->person;
    const reco__cell *cells[RECO__IDS_MOST];
    reco_status status = RECO_OK;

    for (size_t i = 0; i < person->count; i++) {
        reco__cell_clear(&person->cells[i]); /* features hand out those that are there */
        cells[i] = &person->cells[i];
    }
    for (size_t i = 0; i < person->count && status == RECO_OK; i++) {
        if (!is_read(person, person->partitions[i])) {
            status = load_partition(c, i, call, err);
        }
    }
    return status == RECO_OK ? reco__cell_merge(&c->cell, &person->scratch, cells, person->count, c->rules, c->moment, c->as_of, err) : status;
}

reco_status reco__person_load(reco_candidates *c, const reco_call *call, reco_error *err) {
    reading in = {.cells = {&c->cell}, .status = RECO_OK, .err = err};

    c->person.place_count = 0;
    if (c->person.count > 1) {
        return load_several(c, call, err);
    }
    return load(c, &in, c->partition, &c->user, c->user.size > 0, call, err);
}
