/* publish.c - heads.
 *
 * key: h, u32 item. value: 8 random bytes, another version with each switch; then reco_head_write. Learning appends to rows and puts the item on the
 * list d of those whose head is not current; nothing else. A head is made current in one of two ways. Who reads a head that is not current makes it
 * from the open rows and what is stored of the closed ones, and keeps it to itself. A processor publishes: it makes the head from the rows it has
 * read, compacts and cuts those that are due, and puts all of it by a call of `switch` (script.c), which takes place for an item only when nothing of
 * what was read was replaced meanwhile.
 *
 * The rows of an item are those in the generations listed in g2. A list that has grown when the rows are there means reading again. An item's stored
 * head says up to which generation its rows are cut; without one nothing is. An item that has lost all rows keeps a head without generations, for the
 * sake of the version; it is not handed out. */
#include "features/redis/redis.h"

#include "features/varint.h"

enum {
    ATTEMPTS = 8,
    CALL_ITEMS = 8, /* in one call of the function */
    WASTE = 256     /* bytes a row may be larger than its sums before it is compacted */
};

/* --- what is stored ------------------------------------------------------------------------------------------------------------------- */

reco_status reco__redis_item_read(reco__redis_item *out, uint32_t item, const redisReply *stored, int64_t closed, reco_error *err) {
    memset(out, 0, sizeof *out);
    out->item = item;
    out->head.closed_at = closed;
    if (!reco__redis_is_bytes(stored)) {
        return RECO_OK;
    }
    reco_status status = stored->len < RECO__REDIS_VERSION
                             ? RECO_CORRUPT
                             : reco_head_read(&out->head, stored->str + RECO__REDIS_VERSION, stored->len - RECO__REDIS_VERSION);
    if (status != RECO_OK) {
        return reco__fail(err, status, "features", "the head of item %u is damaged or of a newer version", item);
    }
    out->stored = true;
    memcpy(out->version, stored->str, RECO__REDIS_VERSION);
    return RECO_OK;
}

/* Heads and rows of items: for each its head, then its rows. */
static void ask_items(reco__redis_link *link, const reco_features_store *store, const uint32_t *items, size_t many, const int64_t *generations,
                      size_t count) {
    reco__redis_command(link, "MGET", 1 + many * (1 + count));
    for (size_t n = 0; n < many; n++) {
        reco__redis_key_head(link, store, items[n]);
        for (size_t i = 0; i < count; i++) {
            reco__redis_key_row(link, store, items[n], generations[i]);
        }
    }
}

/* --- making ---------------------------------------------------------------------------------------------------------------------------- */

/* Packs the made head with the closed part of the old one, when that is still good. */
static size_t put_frame(reco__buf *out, const reco_head *made, const reco__redis_item *old, bool closes, int64_t *generations, size_t count) {
    reco_head head = *made;
    uint8_t packed[RECO__REDIS_GENERATIONS * RECO__VARINT_MAX];
    if (!closes) {
        head.closed_at = old->head.closed_at;
        head.closed_sum = old->head.closed_sum;
        head.closed_count = old->head.closed_count;
        head.closed = old->head.closed;
        head.closed_size = old->head.closed_size;
    }
    head.generations = packed;
    head.generations_size = reco_generations_pack(packed, generations, count);
    head.generation_count = (uint32_t)count;
    size_t room = RECO_HEAD_BYTES_MAX(0, 0) + head.generations_size + head.open_size + head.closed_size;
    if (!reco__buf_reserve(out, room)) {
        return 0;
    }
    size_t size = reco_head_write((uint8_t *)out->data + out->size, room, &head);
    out->size += size;
    return size;
}

/* What a switch does with a row. */
struct row_put {
    bool replace;
    size_t seen, at, size; /* the new value: in the buffer */
};

/* Several switches in one call. */
struct call {
    reco__buf keys, arguments;
    size_t items, key_count, argument_count;
};

struct making {
    reco_features_store *store;
    reco__redis_link *link;
    const int64_t *generations; /* those of the rows that were read */
    size_t count;
    const int64_t *listed; /* those there are */
    size_t listed_count;
    int64_t closed_at, closed;
    uint64_t version;     /* of the next head */
    struct row_put *rows; /* NULL: nothing will be put */
    struct call call;
    reco__buf values;
    int64_t *kept; /* generations with rows */
    size_t kept_count;
    bool frozen; /* everything is being read: rows stay as they are */
};

/* One row on the way to closed_at; adds it to the maker. */
static reco_status make_row(struct making *making, size_t index, const redisReply *stored, int64_t closed_before, reco_error *err) {
    reco_features_store *store = making->store;
    int64_t generation = making->generations[index];
    size_t count = 0, seen = reco__redis_is_bytes(stored) ? stored->len : 0;
    reco_status status = seen ? reco__redis_row_read(&count, making->link, stored->str, seen, err) : RECO_OK;
    if (status != RECO_OK) {
        return status;
    }
    if (reco_board_expired(&store->rules, RECO_BOARD_COVIEW, generation, making->closed_at)) {
        count = 0;
    } else if (generation <= making->closed_at && generation > closed_before) {
        reco_board_names names = reco__redis_board_names(store);
        count = reco_board_cut(making->link->row.data, count, store->rules.cut, 1, &names);
    }
    const reco_entry *entries = making->link->row.data;
    if (making->rows) {
        size_t size = 0;
        for (size_t i = 0; i < count; i++) {
            size += reco__redis_delta_size(entries[i].sum);
        }
        bool cut = generation <= making->closed_at && size != seen;
        struct row_put *put = &making->rows[index];
        bool replace = seen && !making->frozen && (cut || count == 0 || seen > size * 2 + WASTE);
        *put = (struct row_put){replace, seen, making->values.size, size};
        for (size_t i = 0; put->replace && i < count; i++) {
            reco__redis_delta(&making->values, entries[i].member, entries[i].sum);
        }
    }
    if (count == 0) {
        return RECO_OK;
    }
    making->kept[making->kept_count++] = generation;
    return reco__head_add_row(&making->link->maker, generation, entries, count, err);
}

/* The head of an item at closed_at, appended to `frame`; what is to become of the rows in making->rows. */
static reco_status make_head(struct making *making, reco__buf *frame, const reco__redis_item *old, redisReply *const *rows, reco_error *err) {
    bool closes = making->closed_at > old->head.closed_at;
    int64_t kept[RECO__REDIS_GENERATIONS * 2];
    size_t stored = 0;
    reco_head made;
    making->kept = kept;
    making->kept_count = 0;
    reco__buf_reset(&making->values);
    if (making->count > RECO__REDIS_GENERATIONS || old->head.generation_count > RECO__REDIS_GENERATIONS) {
        return reco__fail(err, RECO_BUSY, "boards", "there are rows in more than %d generations: closing lags behind", RECO__REDIS_GENERATIONS);
    }
    if (!closes) { /* the closed ones are as the head has them */
        if (reco_generations_unpack(&stored, kept, RECO__REDIS_GENERATIONS, old->head.generations, old->head.generations_size) != RECO_OK) {
            return reco__redis_strange("a head", err);
        }
        for (; making->kept_count < stored && kept[making->kept_count] <= old->head.closed_at;) {
            making->kept_count++;
        }
    }
    reco__head_begin(&making->link->maker, &making->store->rules, making->closed_at);
    reco_status status = RECO_OK;
    for (size_t i = 0; i < making->count && status == RECO_OK; i++) {
        if (closes || making->generations[i] > old->head.closed_at) {
            status = make_row(making, i, rows[i], old->head.closed_at, err);
        } else if (making->rows) {
            making->rows[i] = (struct row_put){false, 0, 0, 0};
        }
    }
    reco_board_names names = reco__redis_board_names(making->store);
    if (status == RECO_OK) {
        status = reco__head_finish(&made, &making->link->maker, &names, err);
    }
    if (status == RECO_OK && put_frame(frame, &made, old, closes, kept, making->kept_count) == 0) {
        status = frame->failed != RECO_OK ? reco__no_memory(err) : reco__redis_strange("a head", err);
    }
    return status;
}

/* --- publishing ------------------------------------------------------------------------------------------------------------------------- */

/* Writes into another buffer from here on, or into the request again. */
static void swap_out(reco__redis_link *link, reco__buf *other) {
    reco__buf out = link->out;
    link->out = *other;
    *other = out;
}

/* Whether the function must look at a row. Nothing is added to one that was closed before, and who replaces it changes the version of the head. */
static bool is_told(const struct making *making, const reco__redis_item *old, size_t index) {
    return making->rows[index].replace || making->generations[index] > old->head.closed_at;
}

/* Adds what was made of one item to the call that puts several. */
static void add_to_call(struct making *making, const reco__redis_item *old, const reco__buf *head) {
    reco__redis_link *link = making->link;
    struct call *call = &making->call;
    size_t open = 0, told = 0;
    for (size_t i = 0; i < making->listed_count; i++) {
        open += making->listed[i] > making->closed_at;
    }
    swap_out(link, &call->keys);
    reco__redis_key_head(link, making->store, old->item);
    for (size_t i = 0; i < making->count; i++) {
        if (is_told(making, old, i)) {
            reco__redis_key_row(link, making->store, old->item, making->generations[i]);
            told++;
        }
    }
    swap_out(link, &call->keys);
    swap_out(link, &call->arguments);
    reco__redis_bytes(link, old->version, old->stored ? RECO__REDIS_VERSION : 0);
    reco__redis_bytes(link, head->data, head->size);
    reco__redis_number(link, old->item);
    reco__redis_number(link, making->closed_at);
    reco__redis_number(link, (int64_t)open);
    reco__redis_number(link, (int64_t)told);
    for (size_t i = 0; i < making->count; i++) {
        const struct row_put *put = &making->rows[i];
        if (!is_told(making, old, i)) {
            continue;
        }
        reco__redis_number(link, (int64_t)put->seen);
        if (put->replace) {
            reco__buf_printf(&link->out, "$%zu\r\n+", put->size + 1);
            reco__buf_add(&link->out, making->values.data + put->at, put->size);
            reco__buf_add(&link->out, "\r\n", 2);
        } else {
            reco__redis_text(link, "=");
        }
    }
    swap_out(link, &call->arguments);
    call->items++;
    call->key_count += 1 + told;
    call->argument_count += 6 + 2 * told;
}

/* Writes the call, and begins another. */
static reco_status write_call(struct making *making, uint64_t epoch, reco_error *err) {
    reco__redis_link *link = making->link;
    struct call *call = &making->call;
    uint8_t bytes[8];
    reco_status status = reco__buf_status(&call->keys, err);
    if (status == RECO_OK) {
        status = reco__buf_status(&call->arguments, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco__redis_command(link, "FCALL", 3 + 4 + call->key_count + 2 + call->argument_count);
    reco__redis_text(link, RECO__REDIS_SWITCH);
    reco__redis_number(link, (int64_t)(4 + call->key_count));
    reco__redis_key(link, making->store, "meta");
    reco__redis_key(link, making->store, "d");
    reco__redis_key_number(link, making->store, "g", RECO_BOARD_COVIEW);
    reco__redis_key(link, making->store, "scan");
    reco__buf_add(&link->out, call->keys.data, call->keys.size);
    reco__be64(bytes, epoch);
    reco__redis_bytes(link, bytes, sizeof bytes);
    reco__redis_number(link, (int64_t)call->items);
    reco__buf_add(&link->out, call->arguments.data, call->arguments.size);
    reco__buf_reset(&call->keys);
    reco__buf_reset(&call->arguments);
    call->items = call->key_count = call->argument_count = 0;
    return RECO_OK;
}

/* Takes one item, its head and its rows, and adds it to the call. */
static reco_status prepare(struct making *making, uint32_t item, redisReply *const *stored, int64_t closed_at, reco_error *err) {
    reco__redis_item old;
    reco__buf head = {0};
    reco_status status = reco__redis_item_read(&old, item, stored[0], making->closed, err);
    if (status != RECO_OK) {
        return status;
    }
    uint8_t version[RECO__REDIS_VERSION];
    reco__be64(version, making->version++);
    reco__buf_add(&head, version, sizeof version);
    making->closed_at = old.head.closed_at > closed_at ? old.head.closed_at : closed_at;
    status = make_head(making, &head, &old, stored + 1, err);
    if (status == RECO_OK) {
        add_to_call(making, &old, &head);
        status = reco__buf_status(&making->values, err);
    }
    reco__buf_dispose(&head);
    return status;
}

/* The answers to the calls: items that are still to be done, in order. */
static reco_status take_answers(size_t *left, bool *missing, reco__redis_link *link, uint32_t *items, size_t count, reco_error *err) {
    const redisReply *reply;
    reco_status status = RECO_OK;
    *left = 0;
    for (size_t from = 0; from < count && status == RECO_OK; from += CALL_ITEMS) {
        size_t many = count - from < CALL_ITEMS ? count - from : CALL_ITEMS;
        status = reco__redis_reply(&reply, link, err);
        bool unknown = status == RECO_NOT_FOUND;
        *missing = *missing || unknown;
        status = unknown ? RECO_OK : status;
        if (status == RECO_OK && reply->type == REDIS_REPLY_INTEGER) {
            status = reco__fail(err, RECO_STALE, "epoch", "the store was emptied or restored meanwhile");
        } else if (status == RECO_OK && !unknown && (reply->type != REDIS_REPLY_ARRAY || reply->elements != many)) {
            status = reco__redis_strange("the answer of a function", err);
        }
        for (size_t i = 0; i < many && status == RECO_OK; i++) {
            if (unknown || reply->element[i]->integer == 0) {
                items[(*left)++] = items[from + i];
            }
        }
    }
    return status;
}

/* The generations there are, and of them those whose rows have to be read: when nothing closes, not those that all heads have as closed. walk: they
 * came with the items; `switch` will find out when there are others by now. */
static reco_status find_generations(struct making *making, const reco__redis_walk *walk, int64_t closed_at, reco_error *err) {
    reco__redis_link *link = making->link;
    reco_status status = RECO_OK;
    if (walk) {
        making->listed = walk->generations.data;
        making->listed_count = walk->generation_count;
    } else {
        reco__redis_generations_ask(link, making->store, RECO_BOARD_COVIEW);
        status = reco__redis_send(link, err);
        if (status == RECO_OK) {
            status = reco__redis_generations_take(&making->listed_count, link, err);
        }
        making->listed = link->list.data;
    }
    if (status == RECO_OK) {
        status = reco__redis_room(&link->puts, making->listed_count + 1, sizeof(struct row_put), err);
    }
    making->generations = making->listed;
    making->count = making->listed_count;
    making->rows = link->puts.data;
    while (status == RECO_OK && closed_at <= making->closed && making->count && making->generations[0] <= making->closed) {
        making->generations++;
        making->count--;
    }
    return status;
}

static size_t in_call(size_t left) { return left < CALL_ITEMS ? left : CALL_ITEMS; }

static reco_status prepare_call(struct making *making, const uint32_t *items, size_t many, int64_t closed_at, uint64_t epoch, reco_error *err) {
    const redisReply *reply;
    size_t each = making->count + 1;
    reco_status status = reco__redis_reply(&reply, making->link, err);
    if (status == RECO_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != many * each)) {
        status = reco__redis_strange("an item", err);
    }
    for (size_t i = 0; i < many && status == RECO_OK; i++) {
        status = prepare(making, items[i], reply->element + i * each, closed_at, err);
    }
    return status == RECO_OK ? write_call(making, epoch, err) : status;
}

static reco_status publish_once(size_t *left, struct making *making, reco__redis_walk *walk, uint32_t *items, size_t count, int64_t closed_at,
                                uint64_t epoch, reco_error *err) {
    reco__redis_link *link = making->link;
    bool missing = false, onward = walk && reco__redis_walk_onward(walk);
    reco_status status = find_generations(making, walk, closed_at, err);
    for (size_t i = 0; i < count && status == RECO_OK; i += CALL_ITEMS) {
        ask_items(link, making->store, items + i, in_call(count - i), making->generations, making->count);
    }
    if (status == RECO_OK) {
        status = reco__redis_send(link, err);
    }
    for (size_t i = 0; i < count && status == RECO_OK; i += CALL_ITEMS) {
        status = prepare_call(making, items + i, in_call(count - i), closed_at, epoch, err);
    }
    if (status == RECO_OK && onward) {
        reco__redis_walk_ask(walk, link, making->store);
    }
    if (status == RECO_OK) {
        status = reco__redis_send(link, err);
    }
    if (status == RECO_OK) {
        status = take_answers(left, &missing, link, items, count, err);
    }
    if (status == RECO_OK && onward) {
        status = reco__redis_walk_take(walk, link, err);
    }
    return status == RECO_OK && missing ? reco__redis_script_load(link, err) : status;
}

reco_status reco__redis_publish(size_t *left, reco_features_store *store, reco__redis_link *link, reco__redis_walk *walk, const uint32_t *items,
                                size_t count, int64_t closed_at, const reco__redis_state *state, reco_error *err) {
    struct making making = {.store = store, .link = link, .closed = state->closed, .frozen = state->scanning};
    *left = count;
    closed_at = state->scanning ? RECO_BOARD_NONE_CLOSED : closed_at; /* nothing closes meanwhile: rows would be cut */
    if (count == 0) {
        return RECO_OK;
    }
    uint32_t *todo = reco__alloc_array(count, sizeof *todo);
    if (!todo) {
        return reco__no_memory(err);
    }
    memcpy(todo, items, count * sizeof *todo);
    reco_status status = reco__random_bytes(&making.version, sizeof making.version, err);
    for (int attempt = 0; attempt < ATTEMPTS && *left && status == RECO_OK; attempt++) {
        status = publish_once(left, &making, attempt == 0 ? walk : NULL, todo, *left, closed_at, state->epoch, err);
    }
    reco__buf_dispose(&making.values);
    reco__buf_dispose(&making.call.keys);
    reco__buf_dispose(&making.call.arguments);
    reco__release(todo);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__redis_head_make(reco__buf *frame, reco_features_store *store, reco__redis_link *link, uint32_t item, int64_t closed,
                                  const int64_t *generations, size_t count, const redisReply *reply, reco_error *err) {
    struct making making = {.store = store, .link = link, .generations = generations, .count = count};
    reco__redis_item old;
    size_t before = frame->size;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count + 1) {
        return reco__redis_strange("an item", err);
    }
    reco_status status = reco__redis_item_read(&old, item, reply->element[0], closed, err);
    if (status == RECO_OK) {
        making.closed_at = old.head.closed_at;
        status = make_head(&making, frame, &old, reply->element + 1, err);
        frame->size = making.kept_count ? frame->size : before;
    }
    reco__buf_dispose(&making.values);
    return status;
}

/* Makes the heads of those that are not current, places[] of the request, from their rows; false in *good when generations came in meanwhile. */
static reco_status read_dirty(bool *good, struct making *making, const uint32_t *items, const uint32_t *places, size_t count,
                              reco__redis_head_sink sink, void *context, reco_error *err) {
    reco__redis_link *link = making->link;
    reco_features_store *store = making->store;
    const redisReply *reply;
    reco__buf frames = {0};
    size_t *ends = reco__alloc_array(count, sizeof *ends), after = 0, first = 0;
    int64_t *generations = reco__alloc_array(making->count + 1, sizeof *generations);
    reco_status status = ends && generations ? RECO_OK : reco__no_memory(err);
    if (status == RECO_OK) {
        memcpy(generations, link->list.data, making->count * sizeof *generations);
        while (first < making->count && generations[first] <= making->closed) { /* heads have them */
            first++;
        }
        for (size_t i = 0; i < count; i++) {
            ask_items(link, store, &items[places[i]], 1, generations + first, making->count - first);
        }
        reco__redis_generations_ask(link, store, RECO_BOARD_COVIEW);
        status = reco__redis_send(link, err);
    }
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        status = reco__redis_reply(&reply, link, err);
        if (status == RECO_OK) {
            status =
                reco__redis_head_make(&frames, store, link, items[places[i]], making->closed, generations + first, making->count - first, reply, err);
            ends[i] = frames.size;
        }
    }
    if (status == RECO_OK) {
        status = reco__redis_generations_take(&after, link, err);
    }
    if (status == RECO_OK) {
        *good = after == making->count && memcmp(link->list.data, generations, after * sizeof *generations) == 0;
        for (size_t i = 0, at = 0; *good && i < count; at = ends[i++]) {
            sink(context, places[i], NULL, frames.data + at, ends[i] - at);
        }
        making->count = after;
    }
    reco__buf_dispose(&frames);
    reco__release(ends);
    reco__release(generations);
    return status;
}

static void ask_heads(reco__redis_link *link, const reco_features_store *store, const uint32_t *items, size_t count) {
    reco__redis_command(link, "SMISMEMBER", 2 + count);
    reco__redis_key(link, store, "d");
    for (size_t i = 0; i < count; i++) {
        reco__redis_number(link, items[i]);
    }
    reco__redis_command(link, "MGET", 1 + count); /* after: a head that was current when asked for is at least as new */
    for (size_t i = 0; i < count; i++) {
        reco__redis_key_head(link, store, items[i]);
    }
    reco__redis_generations_ask(link, store, RECO_BOARD_COVIEW);
}

/* Takes the replies to ask_heads: hands over those that are current, and fills places[] with the others. */
static reco_status take_heads(uint32_t *places, size_t *dirty, reco__redis_link *link, const reco__redis_state *state, const uint32_t *items,
                              size_t count, reco__redis_head_sink sink, void *context, reco_error *err) {
    const redisReply *reply;
    reco_status status = reco__redis_reply(&reply, link, err);
    *dirty = 0;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        if (reply->elements == count && reply->element[i]->integer) {
            places[(*dirty)++] = (uint32_t)i;
        }
    }
    if (status == RECO_OK) {
        status = reco__redis_reply(&reply, link, err);
    }
    for (size_t i = 0, d = 0; i < count && status == RECO_OK; i++) {
        reco__redis_item item;
        if (d < *dirty && places[d] == i) {
            d++;
            continue;
        }
        status = reply->elements == count ? reco__redis_item_read(&item, items[i], reply->element[i], state->closed, err)
                                          : reco__redis_strange("heads", err);
        if (status == RECO_OK) {
            bool there = item.stored && item.head.generation_count;
            sink(context, i, item.stored ? item.version : NULL, there ? reply->element[i]->str + RECO__REDIS_VERSION : NULL,
                 there ? reply->element[i]->len - RECO__REDIS_VERSION : 0);
        }
    }
    return status;
}

/* State and heads in one trip. The namespace must be there, and the names known be those of the server: else it is seen to, and asked again. */
static reco_status ask_state_and_heads(reco__redis_state *state, reco_features_store *store, reco__redis_link *link, const uint32_t *items,
                                       size_t count, reco_error *err) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        reco__redis_state_ask(link, store, 0);
        ask_heads(link, store, items, count);
        reco_status status = reco__redis_send(link, err), found = RECO_OK;
        if (status == RECO_OK) {
            found = reco__redis_state_take(state, link, store, 0, err);
        }
        if (status == RECO_OK && found == RECO_OK && !reco__redis_doubtful(store, link, state)) {
            return RECO_OK;
        }
        if (status == RECO_OK && (found == RECO_OK || found == RECO_NOT_FOUND)) {
            status = reco__redis_drain(link, err);
        } else if (status == RECO_OK) {
            status = found;
        }
        if (status == RECO_OK) {
            status = reco__redis_state_read(state, link, store, 0, err);
        }
        if (status == RECO_OK) {
            status = reco__redis_follow(store, link, state, err);
        }
        if (status != RECO_OK) {
            return status;
        }
    }
    return reco__fail(err, RECO_UNAVAILABLE, "features", "redis: what it holds comes and goes");
}

reco_status reco__redis_heads_read(reco__redis_state *state, reco_features_store *store, reco__redis_link *link, const uint32_t *items, size_t count,
                                   reco__redis_head_sink sink, void *context, reco_error *err) {
    struct making making = {.store = store, .link = link};
    size_t dirty = 0;
    if (count == 0) {
        return RECO_OK;
    }
    uint32_t *places = reco__alloc_array(count, sizeof *places);
    if (!places) {
        return reco__no_memory(err);
    }
    reco_status status = ask_state_and_heads(state, store, link, items, count, err);
    if (status == RECO_OK) {
        status = take_heads(places, &dirty, link, state, items, count, sink, context, err);
    }
    if (status == RECO_OK) {
        status = reco__redis_generations_take(&making.count, link, err);
    }
    bool good = dirty == 0;
    making.closed = state->closed;
    if (status == RECO_OK && !good) { /* names decide ties; the list of generations is read again with the rows */
        status = reco__redis_follow(store, link, state, err);
    }
    for (int attempt = 0; status == RECO_OK && !good && attempt < ATTEMPTS; attempt++) {
        status = read_dirty(&good, &making, items, places, dirty, sink, context, err);
    }
    reco__buf_dispose(&making.values);
    reco__release(places);
    return status == RECO_OK && !good ? reco__fail(err, RECO_BUSY, "features", "generations come and go too fast to read heads") : status;
}

/* --- the contract ------------------------------------------------------------------------------------------------------------------------- */

struct asked {
    reco_features_store *store;
    const uint32_t *items, *places; /* places: NULL when all were asked for */
    reco_features_sink sink;
    void *context;
    uint64_t turn;
    int64_t read_ns;
};

static void hand_over(void *context, size_t index, const uint8_t *version, const void *data, size_t size) {
    const struct asked *asked = context;
    if (asked->places) {
        reco__redis_cache_put(asked->store, asked->turn, asked->read_ns, asked->items[index], version, data, size);
        index = asked->places[index];
    }
    if (size) {
        asked->sink(asked->context, index, data, size);
    }
}

static reco_status heads_from_server(struct asked *asked, size_t count, const reco_call *call, reco_error *err) {
    reco__redis_link *link;
    reco__redis_state state;
    reco_status status = reco__redis_take(&link, asked->store, call, err);
    if (status == RECO_OK) {
        asked->read_ns = reco__monotonic_ns();
        status = reco__redis_heads_read(&state, asked->store, link, asked->items, count, hand_over, asked, err);
        reco__redis_give(asked->store, link);
    }
    return status;
}

reco_status reco__redis_heads(reco_features_store *store, const uint32_t *items, size_t count, reco_features_sink sink, void *context,
                              const reco_call *call, reco_error *err) {
    struct asked asked = {.store = store, .items = items, .sink = sink, .context = context};
    if (!store->cache) {
        return heads_from_server(&asked, count, call, err);
    }
    uint32_t *places = reco__alloc_array(count * 2 + 1, sizeof *places), *missing = places ? places + count : NULL;
    size_t misses = 0;
    if (!places) {
        return reco__no_memory(err);
    }
    reco__redis_cache_find(places, &misses, &asked.turn, store, items, count, sink, context);
    for (size_t i = 0; i < misses; i++) {
        missing[i] = items[places[i]];
    }
    asked.places = places;
    asked.items = missing;
    reco_status status = misses ? heads_from_server(&asked, misses, call, err) : RECO_OK;
    reco__release(places);
    return status;
}
