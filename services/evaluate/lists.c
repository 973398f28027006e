#include "evaluate/lists.h"

#include <string.h>

#include "evaluate/lines.h"
#include "http/options.h"

reco_status evaluate_lists_make(evaluate_lists *out, size_t count, uint32_t depth, reco_error *err) {
    *out = (evaluate_lists){.depth = depth, .count = count};
    out->items = malloc(count * depth * sizeof *out->items);
    out->counts = calloc(count, sizeof *out->counts);
    out->micros = calloc(count, sizeof *out->micros);
    return out->items && out->counts && out->micros ? RECO_OK : options_no_memory(err);
}

static bool among(const uint32_t *numbers, evaluate_range range, uint32_t number) {
    for (size_t i = range.begin; i < range.end; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

bool evaluate_is_barred(const evaluate_data *data, const evaluate_question *question, uint32_t item) {
    if (data->protocol == EVALUATE_P2_NOVEL)
        return among(data->history, question->history, item);
    return data->protocol == EVALUATE_P1 && question->user != EVALUATE_NONE && evaluate_among(data->own_items, data->own[question->user], item);
}

/* --- lists of others ------------------------------------------------------------------------------------------------------------------------ */

typedef struct reading {
    evaluate_lists *lists;
    const evaluate_data *data;
    uint32_t *index; /* of questions, by name */
    evaluate_lines lines;
    evaluate_names beyond; /* items that are not in the training part, numbered from the far end: a place each, and never a hit */
    size_t matched;        /* lines of questions */
} reading;

static reco_status put(reading *in, size_t number, reco_str name, reco_error *err) {
    evaluate_lists *lists = in->lists;
    uint32_t *list = lists->items + number * lists->depth, *count = &lists->counts[number], item = evaluate_names_find(&in->data->items, name), other;
    int size = name.size < 64 ? (int)name.size : 64;
    if (item == EVALUATE_NONE) {
        reco_status status = evaluate_names_add(&other, &in->beyond, name, err);
        if (status != RECO_OK)
            return status;
        item = EVALUATE_NONE - 1 - other;
    }
    if (among(list, (evaluate_range){0, *count}, item))
        return evaluate_lines_fail(&in->lines, err, "the item \"%.*s\" is in the list twice", size, name.data);
    if (evaluate_is_barred(in->data, &in->data->questions[number], item))
        return evaluate_lines_fail(&in->lines, err, "the item \"%.*s\" may not be in this list", size, name.data);
    list[(*count)++] = item;
    return RECO_OK;
}

static reco_status put_all(reading *in, size_t number, reco_error *err) {
    const char *at = in->lines.columns[1].data, *end = at + in->lines.columns[1].size;
    reco_status status = RECO_OK;
    if (in->lists->counts[number] > 0)
        return evaluate_lines_fail(&in->lines, err, "the question has a list already");
    while (status == RECO_OK && at < end && in->lists->counts[number] < in->lists->depth) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        status = put(in, number, (reco_str){at, (size_t)((comma ? comma : end) - at)}, err);
        at = comma ? comma + 1 : end;
    }
    return status;
}

static reco_status take_line(reading *in, reco_error *err) {
    uint32_t name = evaluate_names_find(&in->data->names, in->lines.columns[0]);
    if (name == EVALUATE_NONE || in->index[name] == EVALUATE_NONE)
        return RECO_OK;
    in->matched++;
    return in->lines.column_count > 1 ? put_all(in, in->index[name], err) : RECO_OK;
}

static reco_status take_lines(reading *in, const char *path, reco_error *err) {
    bool end = false;
    reco_status status = RECO_OK;
    while (status == RECO_OK && (status = evaluate_lines_next(&end, &in->lines, 1, err)) == RECO_OK && !end)
        status = take_line(in, err);
    if (status != RECO_OK || in->matched > 0)
        return status;
    return options_fail(err, RECO_INVALID, path, in->lines.number ? "no line of it begins with a question that counts" : "there is no list in it");
}

reco_status evaluate_lists_read(evaluate_lists *out, const evaluate_data *data, const char *path, const reco_call *call, reco_error *err) {
    reading in = {.lists = out, .data = data, .index = evaluate_data_index(data)};
    reco_status status = in.index ? evaluate_lists_make(out, data->question_count, EVALUATE_DEPTH_MAX, err) : options_no_memory(err);
    if (status == RECO_OK)
        status = evaluate_lines_open(&in.lines, path, call, err);
    if (status == RECO_OK)
        status = take_lines(&in, path, err);
    evaluate_lines_close(&in.lines);
    evaluate_names_dispose(&in.beyond);
    free(in.index);
    return status;
}
