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

static reco_status put(evaluate_lists *lists, size_t number, const evaluate_data *data, const evaluate_lines *lines, reco_str name, reco_error *err) {
    uint32_t *list = lists->items + number * lists->depth, *count = &lists->counts[number], item = evaluate_names_find(&data->items, name);
    int size = name.size < 64 ? (int)name.size : 64;
    if (item == EVALUATE_NONE)
        return evaluate_lines_fail(lines, err, "the item \"%.*s\" is not in the training part", size, name.data);
    if (*count == lists->depth)
        return evaluate_lines_fail(lines, err, "more than %u items", lists->depth);
    if (among(list, (evaluate_range){0, *count}, item))
        return evaluate_lines_fail(lines, err, "the item \"%.*s\" is in the list twice", size, name.data);
    if (evaluate_is_barred(data, &data->questions[number], item))
        return evaluate_lines_fail(lines, err, "the item \"%.*s\" may not be in this list", size, name.data);
    list[(*count)++] = item;
    return RECO_OK;
}

static reco_status put_all(evaluate_lists *lists, size_t number, const evaluate_data *data, const evaluate_lines *lines, reco_error *err) {
    const char *at = lines->columns[1].data, *end = at + lines->columns[1].size;
    reco_status status = RECO_OK;
    if (lists->counts[number] > 0)
        return evaluate_lines_fail(lines, err, "the question has a list already");
    while (status == RECO_OK && at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        status = put(lists, number, data, lines, (reco_str){at, (size_t)((comma ? comma : end) - at)}, err);
        at = comma ? comma + 1 : end;
    }
    return status;
}

static reco_status take_line(evaluate_lists *lists, const uint32_t *index, const evaluate_data *data, const evaluate_lines *lines, reco_error *err) {
    uint32_t name = evaluate_names_find(&data->names, lines->columns[0]);
    bool counts = name != EVALUATE_NONE && index[name] != EVALUATE_NONE;
    return counts && lines->column_count > 1 ? put_all(lists, index[name], data, lines, err) : RECO_OK;
}

reco_status evaluate_lists_read(evaluate_lists *out, const evaluate_data *data, const char *path, reco_error *err) {
    evaluate_lines lines = {0};
    uint32_t *index = evaluate_data_index(data);
    bool end = false;
    reco_status status = index ? evaluate_lists_make(out, data->question_count, EVALUATE_DEPTH_MAX, err) : options_no_memory(err);
    if (status == RECO_OK)
        status = evaluate_lines_open(&lines, path, err);
    while (status == RECO_OK && (status = evaluate_lines_next(&end, &lines, 1, err)) == RECO_OK && !end)
        status = take_line(out, index, data, &lines, err);
    evaluate_lines_close(&lines);
    free(index);
    return status;
}
