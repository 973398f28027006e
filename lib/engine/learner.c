/* engine/learner.c - see learner.h. */
#include "engine/learner.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES (64u << 20)
#define LETTERS 64u     /* written at once */
#define ROWS_MAX 50000u /* distinct co-view rows of one apply; above it the batch is halved */

typedef struct learner_line {
    uint64_t at; /* where the record begins in `bytes` */
    uint32_t size;
    bool letter; /* passed over */
} learner_line;

typedef struct learner_entry {
    reco__record record;
    int64_t r;     /* effective time */
    uint32_t item; /* index of the batch's item, then its number */
    uint32_t next; /* next entry of the same user, or RECO__MAP_NONE */
    bool duplicate;
} learner_entry;

typedef struct learner_user {
    uint32_t first, last; /* entries */
    uint32_t cell_size;
    uint64_t cell_at; /* the stored cell in `loaded` */
} learner_user;

struct reco__learner {
    reco__stream *stream;
    reco__features *features;
    reco__features *target; /* NULL, or: cells are of `features`, numbers and what is added of this one */
    uint64_t target_epoch;
    bool gives; /* to the target */
    const reco__learn_rules *rules;
    reco__buf bytes;  /* records as read */
    reco__buf loaded; /* cells as loaded */
    reco__buf cells;  /* cells as derived */
    reco__map users, items;
    learner_line *lines;
    learner_entry *entries;
    learner_user *user_state;
    uint32_t *order; /* users sorted by id */
    reco_str *names; /* of users in order, then of items */
    uint32_t *numbers;
    reco_cell_put *puts;
    size_t line_count, line_room, user_room, name_room;
    reco__cell cell;
    reco__adds *adds;
    bool failed; /* memory ran out while reading */
    bool write_letters;
    reco_stream_letter letters[LETTERS];
    char reasons[LETTERS][100];
    int64_t letters_to[RECO_PARTITIONS_MAX]; /* those before it were written by this learner, which may have to repeat a batch */
};

reco_status reco__learner_create(reco__learner **out, reco__stream *stream, reco__features *features, const reco__learn_rules *rules,
                                 reco_error *err) {
    reco__learner *learner = reco__zalloc(sizeof *learner);
    if (!learner)
        return reco__no_memory(err);
    learner->stream = stream;
    learner->features = features;
    learner->rules = rules;
    learner->adds = reco__adds_create();
    if (!learner->adds) {
        reco__release(learner);
        return reco__no_memory(err);
    }
    *out = learner;
    return RECO_OK;
}

void reco__learner_write_letters(reco__learner *learner) { learner->write_letters = true; }

void reco__learner_free(reco__learner *learner) {
    if (!learner)
        return;
    reco__buf_dispose(&learner->bytes);
    reco__buf_dispose(&learner->loaded);
    reco__buf_dispose(&learner->cells);
    reco__map_dispose(&learner->users);
    reco__map_dispose(&learner->items);
    reco__release(learner->lines);
    reco__release(learner->entries);
    reco__release(learner->user_state);
    reco__release(learner->order);
    reco__release(learner->names);
    reco__release(learner->numbers);
    reco__release(learner->puts);
    reco__cell_dispose(&learner->cell);
    reco__adds_free(learner->adds);
    reco__release(learner);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct learner_reading {
    reco__learner *learner;
    int64_t upto, next;
    bool gap; /* an offset was left out */
} learner_reading;

static int learner_take(void *context, int64_t offset, const void *data, size_t size) {
    learner_reading *reading = context;
    reco__learner *learner = reading->learner;
    if (offset >= reading->upto)
        return 1;
    reading->gap = offset != reading->next;
    if (reading->gap)
        return 1;
    if (learner->line_count == learner->line_room) {
        size_t room = learner->line_room ? learner->line_room * 2 : 1024;
        learner_line *lines = reco__realloc_array(learner->lines, room, sizeof *lines);
        if (!lines) {
            learner->failed = true;
            return 1;
        }
        learner->lines = lines;
        learner->line_room = room;
    }
    learner->lines[learner->line_count].at = learner->bytes.size;
    learner->lines[learner->line_count].size = (uint32_t)size;
    learner->lines[learner->line_count].letter = false;
    reco__buf_add(&learner->bytes, data, size);
    if (learner->bytes.failed)
        return 1;
    learner->line_count++;
    reading->next = offset + 1;
    return 0;
}

/* --- records that cannot be read -------------------------------------------------------------------------------------------------------------
 *
 * The first byte of a record is the envelope's version. The next few are taken for a later release's, whatever else the record holds. */

#define VERSIONS_TO_COME 3u

static bool learner_may_pass(const reco__learner *learner, reco_status status, const uint8_t *data) {
    bool later = status == RECO_NEWER && data[0] >= RECO__ENVELOPE_VERSION && data[0] <= RECO__ENVELOPE_VERSION + VERSIONS_TO_COME;
    return reco__stream_takes_letters(learner->stream) && (status == RECO_CORRUPT || status == RECO_NEWER) && !later;
}

static reco_status learner_send_letters(reco__learner *learner, uint32_t partition, size_t *count, const reco_call *call, reco_error *err) {
    if (*count == 0)
        return RECO_OK;
    const reco_stream_letter *first = &learner->letters[0], *last = &learner->letters[*count - 1];
    reco_status status = reco__stream_dead_letters(learner->stream, partition, first, *count, call, err);
    if (status == RECO_OK) {
        reco__log(RECO_LOG_WARN, "learn", "partition %u: %zu records at %lld to %lld are passed over and put with the dead letters; the first: %s",
                  partition, *count, (long long)first->offset, (long long)last->offset, first->reason);
        learner->letters_to[partition] = last->offset + 1;
        *count = 0;
    }
    return status;
}

static reco_status learner_letter(reco__learner *learner, uint32_t partition, int64_t offset, size_t line, const char *reason, size_t *count,
                                  const reco_call *call, reco_error *err) {
    if (!learner->write_letters || offset < learner->letters_to[partition])
        return RECO_OK;
    snprintf(learner->reasons[*count], sizeof learner->reasons[0], "%.99s", reason);
    learner->letters[*count] =
        (reco_stream_letter){offset, learner->bytes.data + learner->lines[line].at, learner->lines[line].size, learner->reasons[*count]};
    ++*count;
    return *count == LETTERS ? learner_send_letters(learner, partition, count, call, err) : RECO_OK;
}

/* A user's cell is written by the user's partition alone; where others write, a record of another is theirs. */
static reco_status learner_decode(reco__learner *learner, reco__record *record, const uint8_t *data, size_t size, uint32_t partition,
                                  reco_error *err) {
    reco_status status = reco__envelope_decode(record, data, size, err);
    if (status == RECO_OK && record->type == RECO__RECORD_ERASE)
        return reco__fail(err, RECO_UNSUPPORTED, "type", "an erase record needs a newer libreco");
    if (status == RECO_OK && record->type == RECO__RECORD_EVENT && reco__stream_takes_letters(learner->stream)) {
        uint32_t own = reco__stream_partition(learner->stream, record->event.user_id.data, record->event.user_id.size);
        if (own != partition)
            return reco__fail(err, RECO_CORRUPT, "user_id", "an event of a user of partition %u, or of another namespace", own);
    }
    return status;
}

/* What is passed over stays as a record of no type and time 0, which moves nothing. */
static reco_status learner_decode_all(reco__learner *learner, uint32_t partition, int64_t from, const reco_call *call, reco_error *err) {
    size_t letters = 0;
    for (size_t i = 0; i < learner->line_count; i++) {
        reco_error why = RECO_ERROR_INIT;
        reco__record *record = &learner->entries[i].record;
        size_t size = learner->lines[i].size;
        const uint8_t *data = size ? (const uint8_t *)learner->bytes.data + learner->lines[i].at : NULL;
        bool nothing = size == 0 && reco__stream_takes_letters(learner->stream);
        reco_status status = nothing ? RECO_CORRUPT : learner_decode(learner, record, data, size, partition, &why);
        if (status == RECO_OK)
            continue;
        if (!nothing && !learner_may_pass(learner, status, data)) {
            if (err)
                *err = why;
            return status;
        }
        memset(record, 0, sizeof *record);
        learner->lines[i].letter = !nothing;
        status = nothing ? RECO_OK : learner_letter(learner, partition, from + (int64_t)i, i, why.text, &letters, call, err);
        if (status != RECO_OK)
            return status;
    }
    return learner_send_letters(learner, partition, &letters, call, err);
}

static reco_status learner_read(reco__learner *learner, uint32_t partition, int64_t from, uint32_t max_records, int64_t upto, const reco_call *call,
                                reco_error *err) {
    learner_reading reading = {learner, upto, from, false};
    reco__buf_reset(&learner->bytes);
    learner->line_count = 0;
    learner->failed = false;
    reco_status status = reco__stream_read(learner->stream, partition, from, max_records, BATCH_BYTES, learner_take, &reading, call, err);
    if (status != RECO_OK)
        return status;
    if (learner->failed || learner->bytes.failed)
        return reco__no_memory(err);
    if (reading.gap)
        return reco__fail(err, RECO_CORRUPT, "stream", "record %lld of partition %u is missing", (long long)reading.next, partition);
    learner_entry *entries = reco__realloc_array(learner->entries, learner->line_room ? learner->line_room : 1, sizeof *entries);
    if (!entries)
        return reco__no_memory(err);
    learner->entries = entries;
    return learner_decode_all(learner, partition, from, call, err);
}

/* --- grouping ----------------------------------------------------------------------------------------------------------------------------- */

static bool learner_room(reco__learner *learner, size_t count) {
    if (count > learner->user_room) {
        learner_user *state = reco__realloc_array(learner->user_state, count, sizeof *state);
        if (state)
            learner->user_state = state;
        uint32_t *order = reco__realloc_array(learner->order, count, sizeof *order);
        if (order)
            learner->order = order;
        reco_cell_put *puts = reco__realloc_array(learner->puts, count, sizeof *puts);
        if (puts)
            learner->puts = puts;
        if (!state || !order || !puts)
            return false;
        learner->user_room = count;
    }
    if (count > learner->name_room) {
        reco_str *names = reco__realloc_array(learner->names, count, sizeof *names);
        if (names)
            learner->names = names;
        uint32_t *numbers = reco__realloc_array(learner->numbers, count, sizeof *numbers);
        if (numbers)
            learner->numbers = numbers;
        if (!names || !numbers)
            return false;
        learner->name_room = count;
    }
    return true;
}

static int user_order(const void *a, const void *b, void *context) {
    const reco__map *users = context;
    const struct reco__map_entry *left = &users->entries[*(const uint32_t *)a], *right = &users->entries[*(const uint32_t *)b];
    return reco__str_compare((reco_str){left->key, left->size}, (reco_str){right->key, right->size});
}

/* Effective times, the chain of entries of each user, the distinct items. Returns the clock after the records. */
static reco_status learner_group(int64_t *clock, reco__learner *learner, size_t count, reco_error *err) {
    reco__map_reset(&learner->users);
    reco__map_reset(&learner->items);
    if (!learner_room(learner, count))
        return reco__no_memory(err);
    for (size_t i = 0; i < count; i++) {
        learner_entry *entry = &learner->entries[i];
        if (entry->record.received_at > *clock)
            *clock = entry->record.received_at;
        entry->r = *clock;
        if (entry->record.type != RECO__RECORD_EVENT)
            continue;
        const reco_event *event = &entry->record.event;
        bool added = false;
        uint32_t user = reco__map_put(&learner->users, event->user_id.data, event->user_id.size, &added);
        entry->item = reco__map_put(&learner->items, event->item_id.data, event->item_id.size, NULL);
        if (user == RECO__MAP_NONE || entry->item == RECO__MAP_NONE)
            return reco__no_memory(err);
        learner_user *state = &learner->user_state[user];
        if (added)
            *state = (learner_user){(uint32_t)i, (uint32_t)i, 0, 0};
        else
            learner->entries[state->last].next = (uint32_t)i;
        state->last = (uint32_t)i;
        entry->next = RECO__MAP_NONE;
    }
    for (uint32_t u = 0; u < learner->users.count; u++)
        learner->order[u] = u;
    qsort_r(learner->order, learner->users.count, sizeof *learner->order, user_order, &learner->users);
    return RECO_OK;
}

static reco_status learner_intern(reco__learner *learner, const reco_call *call, reco_error *err) {
    size_t count = learner->items.count;
    for (size_t i = 0; i < count; i++)
        learner->names[i] = (reco_str){learner->items.entries[i].key, learner->items.entries[i].size};
    reco__features *named = learner->target ? learner->target : learner->features;
    return count ? reco__features_intern(learner->numbers, named, learner->names, count, call, err) : RECO_OK;
}

/* --- deriving ----------------------------------------------------------------------------------------------------------------------------- */

static void learner_loaded(void *context, size_t index, const void *data, size_t size) {
    reco__learner *learner = context;
    learner_user *state = &learner->user_state[learner->order[index]];
    state->cell_at = learner->loaded.size;
    state->cell_size = (uint32_t)size;
    reco__buf_add(&learner->loaded, data, size);
}

static reco_status learner_load(reco_position *position, uint64_t *epoch, reco__learner *learner, uint32_t partition, const reco_call *call,
                                reco_error *err) {
    size_t count = learner->users.count;
    reco__buf_reset(&learner->loaded);
    for (size_t i = 0; i < count; i++) {
        const struct reco__map_entry *entry = &learner->users.entries[learner->order[i]];
        learner->user_state[learner->order[i]].cell_size = 0;
        learner->names[i] = (reco_str){entry->key, entry->size};
    }
    reco_status status =
        reco__features_load(position, epoch, learner->features, partition, learner->names, count, learner_loaded, learner, call, err);
    return status != RECO_OK ? status : reco__buf_status(&learner->loaded, err);
}

static reco_status learner_user_derive(reco__learned *done, reco__learner *learner, const learner_user *state, reco_error *err) {
    reco__cell_clear(&learner->cell);
    if (state->cell_size) {
        reco_status status = reco__cell_decode(&learner->cell, learner->loaded.data + state->cell_at, state->cell_size, err);
        if (status != RECO_OK)
            return status;
    }
    for (uint32_t i = state->first; i != RECO__MAP_NONE; i = learner->entries[i].next) {
        learner_entry *entry = &learner->entries[i];
        int outcome = 0;
        reco_status status =
            reco__learn_derive(&outcome, &learner->cell, learner->adds, learner->rules, &entry->record, learner->numbers[entry->item], entry->r, err);
        if (status != RECO_OK)
            return status;
        done->events++;
        entry->duplicate = (outcome & 0xff) == RECO__DERIVED_DUPLICATE;
        done->duplicates += entry->duplicate;
        done->clamped += (outcome & RECO__DERIVED_CLAMPED) != 0;
    }
    reco__cell_encode(&learner->cells, &learner->cell);
    return RECO_OK;
}

/* Cells and adds of all users; put addresses are set once the buffer no longer moves. */
static reco_status learner_derive(reco__learned *done, reco__learner *learner, reco_error *err) {
    reco__buf_reset(&learner->cells);
    reco__adds_reset(learner->adds);
    for (size_t i = 0; i < learner->users.count; i++) {
        uint32_t user = learner->order[i];
        const struct reco__map_entry *entry = &learner->users.entries[user];
        size_t before = learner->cells.size;
        reco_status status = learner_user_derive(done, learner, &learner->user_state[user], err);
        if (status != RECO_OK)
            return status;
        learner->puts[i] =
            (reco_cell_put){{entry->key, entry->size}, NULL, learner->cells.size - before, reco__cell_expires(&learner->cell, learner->rules)};
    }
    if (learner->cells.failed)
        return reco__buf_status(&learner->cells, err);
    size_t at = 0;
    for (size_t i = 0; i < learner->users.count; i++) {
        learner->puts[i].data = learner->cells.data + at;
        at += learner->puts[i].size;
    }
    return RECO_OK;
}

/* --- the batch ---------------------------------------------------------------------------------------------------------------------------- */

/* The batch of one that heals: what it adds to the target, its cells to the scratch store. */
static reco_status learner_apply_healing(reco__learner *learner, const reco_batch *batch, const reco_call *call, reco_error *err) {
    reco_batch adds = *batch, cells = *batch;
    adds.flags = RECO_BATCH_HEAL;
    adds.epoch = learner->target_epoch;
    adds.cells = NULL;
    adds.cell_count = 0;
    cells.groups = NULL;
    cells.group_count = 0;
    reco_status status = learner->gives ? reco__features_apply(learner->target, &adds, call, err) : RECO_OK;
    return status == RECO_OK ? reco__features_apply(learner->features, &cells, call, err) : status;
}

/* What was applied is seen by the next question. Both moments are wall clock, whose host may be another one: none is below 0. */
static void learner_effects(reco__learned *done, const reco__learner *learner, size_t count) {
    static const int64_t bounds[RECO__EFFECT_BUCKETS - 1] = RECO__EFFECT_BOUNDS;
    int64_t now = reco__now_ms();
    for (size_t i = 0; i < count; i++) {
        const learner_entry *entry = &learner->entries[i];
        int64_t ms = now > entry->record.received_at ? now - entry->record.received_at : 0;
        size_t bucket = 0;
        if (entry->record.type != RECO__RECORD_EVENT || entry->duplicate)
            continue;
        while (bucket < RECO__EFFECT_BUCKETS - 1 && ms > bounds[bucket])
            bucket++;
        done->effects[bucket]++;
        done->effect_ms += (uint64_t)ms;
    }
}

/* Learns the first `count` of the records read. *rows: more than ROWS_MAX when the batch was too wide and nothing was applied. */
static reco_status learner_apply(reco__learned *done, size_t *rows, reco__learner *learner, uint32_t partition, size_t count,
                                 const reco_position *start, const reco_call *call, reco_error *err) {
    reco_position position;
    reco_batch batch = {.struct_size = sizeof batch, .partition = partition};
    *done = (reco__learned){.from = start->offset, .to = start->offset + (int64_t)count, .clock = start->clock, .records = count};
    for (size_t i = 0; i < count; i++)
        done->letters += learner->lines[i].letter;
    reco_status status = learner_group(&done->clock, learner, count, err);
    if (status == RECO_OK)
        status = learner_load(&position, &batch.epoch, learner, partition, call, err);
    if (status == RECO_OK && (position.offset != start->offset || position.clock != start->clock))
        status = reco__fail(err, RECO_STALE, "position", "another processor learned this partition");
    if (status == RECO_OK)
        status = learner_intern(learner, call, err);
    if (status == RECO_OK)
        status = learner_derive(done, learner, err);
    if (status == RECO_OK)
        status = reco__adds_finish(&batch.groups, &batch.group_count, rows, learner->adds, err);
    if (status != RECO_OK || (*rows > ROWS_MAX && count > 1))
        return status;
    batch.from = done->from;
    batch.to = done->to;
    batch.clock = done->clock;
    batch.cells = learner->puts;
    batch.cell_count = learner->users.count;
    if (learner->target)
        return learner_apply_healing(learner, &batch, call, err);
    status = reco__features_apply(learner->features, &batch, call, err);
    if (status == RECO_OK)
        learner_effects(done, learner, count);
    return status;
}

/* Where to begin, and the fence. */
static reco_status learner_start(reco_position *start, int64_t *upto, reco__learner *learner, uint32_t partition, const reco_position *known,
                                 const reco_call *call, reco_error *err) {
    reco_spread spread[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    bool spreads = reco__features_spreads(learner->features);
    if (!spreads && known) {
        *start = *known;
        return RECO_OK;
    }
    if (!spreads)
        return reco__features_load(start, &epoch, learner->features, partition, NULL, 0, NULL, NULL, call, err);
    reco_status status = reco__features_spread(spread, &epoch, learner->features, call, err);
    if (status != RECO_OK)
        return status;
    *start = spread[partition].cells;
    *upto = spread[partition].fence < *upto ? spread[partition].fence : *upto;
    return spread[partition].low < start->offset
               ? reco__fail(err, RECO_STALE, "position", "a part of features stands at %lld in partition %u, behind the cells at %lld",
                            (long long)spread[partition].low, partition, (long long)start->offset)
               : RECO_OK;
}

reco_status reco__learner_batch(reco__learned *done, reco__learner *learner, uint32_t partition, const reco_position *known, uint32_t max_records,
                                int64_t upto, const reco_call *call, reco_error *err) {
    reco_position start = {0, 0};
    reco_status status = learner_start(&start, &upto, learner, partition, known, call, err);
    if (status != RECO_OK)
        return status;
    *done = (reco__learned){.from = start.offset, .to = start.offset, .clock = start.clock};
    if (start.offset >= upto)
        return RECO_OK;
    status = learner_read(learner, partition, start.offset, max_records, upto, call, err);
    if (status != RECO_OK || learner->line_count == 0)
        return status;
    for (size_t count = learner->line_count;; count = (count + 1) / 2) {
        size_t rows = 0;
        status = learner_apply(done, &rows, learner, partition, count, &start, call, err);
        if (count == 1 || (status != RECO_FULL && !(status == RECO_OK && rows > ROWS_MAX)))
            break;
    }
    if (status != RECO_OK)
        *done = (reco__learned){.from = start.offset, .to = start.offset, .clock = start.clock};
    return status;
}

reco_status reco__learner_heals(reco__learner *learner, reco__features *target, const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    learner->target = target;
    return reco__features_positions(positions, &learner->target_epoch, target, call, err);
}

reco_status reco__learner_heal_batch(reco__learned *done, reco__learner *learner, uint32_t partition, uint32_t max_records, int64_t upto, bool gives,
                                     const reco_call *call, reco_error *err) {
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__features_positions(positions, &epoch, learner->target, call, err);
    if (status == RECO_OK && epoch != learner->target_epoch)
        status = reco__fail(err, RECO_STALE, "epoch", "the store was emptied or restored meanwhile");
    learner->gives = gives;
    return status == RECO_OK ? reco__learner_batch(done, learner, partition, NULL, max_records, upto, call, err) : status;
}
