#include "evaluate/data.h"

#include <stdlib.h>
#include <string.h>

#include "evaluate/lines.h"
#include "http/options.h"

#define ORDER_BEGIN INT64_C(1577836800000) /* 2020-01-01 */
#define TIME_MOST 253402300799999.0        /* the end of the year 9999 */

/* Room for one more of `size` bytes each in an array of `count`, which has room for powers of two. */
static bool grow(void **array, size_t count, size_t size) {
    if (count != 0 && (count & (count - 1)) != 0)
        return true;
    void *grown = realloc(*array, (count ? count * 2 : 1) * size);
    if (grown)
        *array = grown;
    return grown != NULL;
}

/* --- the training part ---------------------------------------------------------------------------------------------------------------------- */

static reco_status read_time(double *out, const evaluate_lines *lines, reco_error *err) {
    const char *text = lines->columns[2].data;
    char *end;
    *out = 0;
    if (lines->column_count < 3)
        return RECO_OK;
    double value = strtod(text, &end);
    if (lines->columns[2].size == 0 || end != text + lines->columns[2].size || !(value >= 0 && value <= TIME_MOST))
        return evaluate_lines_fail(lines, err, "column 3 is no time and no number of order: \"%.*s\"", (int)lines->columns[2].size, text);
    *out = value;
    return RECO_OK;
}

/* An event of the line; the time as it stands there. */
static reco_status add_event(evaluate_data *data, double **times, const evaluate_lines *lines, reco_error *err) {
    evaluate_event event = {0};
    double t;
    reco_status status = evaluate_lines_check_id(lines, 0, err);
    if (status == RECO_OK)
        status = evaluate_lines_check_id(lines, 1, err);
    if (status == RECO_OK)
        status = evaluate_names_add(&event.user, &data->users, lines->columns[0], err);
    if (status == RECO_OK)
        status = evaluate_names_add(&event.item, &data->items, lines->columns[1], err);
    if (status == RECO_OK)
        status = read_time(&t, lines, err);
    if (status != RECO_OK)
        return status;
    if (!grow((void **)&data->events, data->event_count, sizeof event) || !grow((void **)times, data->event_count, sizeof t))
        return options_no_memory(err);
    (*times)[data->event_count] = t;
    data->events[data->event_count++] = event;
    return RECO_OK;
}

/* Times in milliseconds, by what they are. */
static void set_times(evaluate_data *data, const double *times, int unit) {
    double most = 0;
    for (size_t i = 0; i < data->event_count; i++)
        most = times[i] > most ? times[i] : most;
    if (unit == EVALUATE_TIME_AUTO)
        unit = most < 6e8 ? EVALUATE_TIME_ORDER : most < 1e11 ? EVALUATE_TIME_SECONDS : EVALUATE_TIME_MS;
    for (size_t i = 0; i < data->event_count; i++) {
        double ms = unit == EVALUATE_TIME_SECONDS ? times[i] * 1000 : times[i];
        int64_t t = (int64_t)(ms < TIME_MOST ? ms : TIME_MOST) + (unit == EVALUATE_TIME_ORDER ? ORDER_BEGIN : 0);
        data->events[i].t = t > 0 ? t : 1; /* 0 would say that there is none */
        data->newest = data->events[i].t > data->newest ? data->events[i].t : data->newest;
    }
}

static reco_status read_train(evaluate_data *data, const evaluate_files *files, reco_error *err) {
    evaluate_lines lines;
    double *times = NULL;
    bool end = false;
    reco_status status = evaluate_lines_open(&lines, files->train, files->call, err);
    if (status != RECO_OK)
        return status;
    while (status == RECO_OK && (status = evaluate_lines_next(&end, &lines, 2, err)) == RECO_OK && !end)
        status = add_event(data, &times, &lines, err);
    if (status == RECO_OK && data->event_count == 0)
        status = options_fail(err, RECO_INVALID, files->train, "there is no event in it");
    if (status == RECO_OK)
        set_times(data, times, files->time);
    free(times);
    evaluate_lines_close(&lines);
    return status;
}

/* --- who has what --------------------------------------------------------------------------------------------------------------------------- */

int evaluate_by_number(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

bool evaluate_among(const uint32_t *numbers, evaluate_range range, uint32_t number) {
    size_t end = range.end;
    while (range.begin < range.end) {
        size_t middle = range.begin + (range.end - range.begin) / 2;
        if (numbers[middle] < number)
            range.begin = middle + 1;
        else
            range.end = middle;
    }
    return range.begin < end && numbers[range.begin] == number;
}

/* Each range ascending, each number once. */
static void make_sets(evaluate_range *ranges, size_t count, uint32_t *numbers) {
    for (size_t i = 0; i < count; i++) {
        evaluate_range *range = &ranges[i];
        size_t kept = range->begin;
        if (range->end - range->begin > 1)
            qsort(numbers + range->begin, range->end - range->begin, sizeof *numbers, evaluate_by_number);
        for (size_t k = range->begin; k < range->end; k++)
            if (kept == range->begin || numbers[kept - 1] != numbers[k])
                numbers[kept++] = numbers[k];
        range->end = kept;
    }
}

/* The numbers of one side of the events, by the other. */
static reco_status gather(evaluate_range **ranges, uint32_t **numbers, const evaluate_data *data, bool by_item, reco_error *err) {
    size_t count = by_item ? data->items.count : data->users.count, at = 0;
    *ranges = calloc(count, sizeof **ranges);
    *numbers = malloc(data->event_count * sizeof **numbers);
    if (!*ranges || !*numbers)
        return options_no_memory(err);
    for (size_t i = 0; i < data->event_count; i++)
        (*ranges)[by_item ? data->events[i].item : data->events[i].user].end++;
    for (size_t i = 0; i < count; i++) {
        size_t length = (*ranges)[i].end;
        (*ranges)[i] = (evaluate_range){at, at};
        at += length;
    }
    for (size_t i = 0; i < data->event_count; i++) {
        const evaluate_event *event = &data->events[i];
        evaluate_range *range = &(*ranges)[by_item ? event->item : event->user];
        (*numbers)[range->end++] = by_item ? event->user : event->item;
    }
    make_sets(*ranges, count, *numbers);
    return RECO_OK;
}

/* --- questions ------------------------------------------------------------------------------------------------------------------------------ */

/* What test says, before it is put in the order of questions. */
typedef struct hidden {
    uint32_t question, item;
    size_t line;
} hidden;

static int by_question(const void *a, const void *b) {
    const hidden *left = a, *right = b;
    if (left->question != right->question)
        return left->question < right->question ? -1 : 1;
    if (left->item != right->item)
        return left->item < right->item ? -1 : 1;
    return left->line < right->line ? -1 : left->line > right->line;
}

/* Pairs of question and item, as they stand; items beyond the training part are EVALUATE_NONE, each of its own. */
static reco_status read_hidden(hidden **out, size_t *count, evaluate_data *data, const evaluate_files *files, reco_error *err) {
    evaluate_lines lines;
    evaluate_names beyond = {0};
    bool end = false;
    reco_status status = evaluate_lines_open(&lines, files->test, files->call, err);
    if (status != RECO_OK)
        return status;
    while (status == RECO_OK && (status = evaluate_lines_next(&end, &lines, 2, err)) == RECO_OK && !end) {
        hidden pair = {.item = evaluate_names_find(&data->items, lines.columns[1]), .line = *count};
        uint32_t other;
        status = evaluate_lines_check_id(&lines, 0, err);
        if (status == RECO_OK)
            status = evaluate_names_add(&pair.question, &data->names, lines.columns[0], err);
        if (status == RECO_OK && pair.item == EVALUATE_NONE) {
            status = evaluate_names_add(&other, &beyond, lines.columns[1], err);
            pair.item = EVALUATE_NONE - 1 - other; /* so that one hidden twice counts as cold once */
        }
        if (status == RECO_OK && !grow((void **)out, *count, sizeof pair))
            status = options_no_memory(err);
        if (status == RECO_OK)
            (*out)[(*count)++] = pair;
    }
    evaluate_lines_close(&lines);
    evaluate_names_dispose(&beyond);
    return status;
}

/* The pairs of one question, which begin at pairs[at]; *at moves behind them. */
static void add_question(evaluate_data *data, size_t *at, const hidden *pairs, size_t count, size_t *targets) {
    evaluate_question question = {.name = pairs[*at].question, .targets = {*targets, *targets}};
    uint32_t name = question.name, before = EVALUATE_NONE;
    for (; *at < count && pairs[*at].question == name; (*at)++) {
        uint32_t item = pairs[*at].item;
        if (item == before)
            continue;
        before = item;
        if (item < data->items.count)
            data->targets[question.targets.end++] = item;
        else
            data->cold++;
    }
    *targets = question.targets.end;
    if (question.targets.begin == question.targets.end) {
        data->skipped++;
        return;
    }
    question.user = data->protocol == EVALUATE_P1 ? evaluate_names_find(&data->users, data->names.names[name]) : EVALUATE_NONE;
    data->questions[data->question_count++] = question;
}

static reco_status read_test(evaluate_data *data, const evaluate_files *files, reco_error *err) {
    hidden *pairs = NULL;
    size_t count = 0, targets = 0;
    reco_status status = read_hidden(&pairs, &count, data, files, err);
    if (status == RECO_OK && count == 0)
        status = options_fail(err, RECO_INVALID, files->test, "nothing is hidden in it");
    if (status == RECO_OK) {
        qsort(pairs, count, sizeof *pairs, by_question);
        data->targets = malloc(count * sizeof *data->targets);
        data->questions = calloc(data->names.count, sizeof *data->questions);
        if (!data->targets || !data->questions)
            status = options_no_memory(err);
    }
    for (size_t at = 0; status == RECO_OK && at < count;)
        add_question(data, &at, pairs, count, &targets);
    free(pairs);
    return status;
}

/* --- histories ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status add_history(evaluate_data *data, size_t *count, reco_str text, reco_error *err) {
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (!grow((void **)&data->history, *count, sizeof *data->history))
            return options_no_memory(err);
        data->history[(*count)++] = evaluate_names_find(&data->items, (reco_str){at, (size_t)((comma ? comma : end) - at)});
        at = comma ? comma + 1 : end;
    }
    return RECO_OK;
}

uint32_t *evaluate_data_index(const evaluate_data *data) {
    uint32_t *index = malloc((data->names.count + 1) * sizeof *index);
    for (uint32_t i = 0; index && i < data->names.count; i++)
        index[i] = EVALUATE_NONE;
    for (size_t i = 0; index && i < data->question_count; i++)
        index[data->questions[i].name] = (uint32_t)i;
    return index;
}

static reco_status take_history(evaluate_data *data, size_t *count, const uint32_t *index, const evaluate_lines *lines, reco_error *err) {
    uint32_t name = evaluate_names_find(&data->names, lines->columns[0]);
    uint32_t at = name == EVALUATE_NONE ? EVALUATE_NONE : index[name];
    if (at == EVALUATE_NONE)
        return RECO_OK;
    evaluate_range *range = &data->questions[at].history;
    if (range->end > 0)
        return evaluate_lines_fail(lines, err, "the query \"%.*s\" is given twice", (int)lines->columns[0].size, lines->columns[0].data);
    range->begin = *count;
    reco_status status = add_history(data, count, lines->columns[1], err);
    range->end = *count;
    return status;
}

static reco_status check_histories(const evaluate_data *data, const char *path, reco_error *err) {
    for (size_t i = 0; i < data->question_count; i++) {
        const evaluate_question *question = &data->questions[i];
        if (question->history.end == 0)
            return options_fail(err, RECO_INVALID, path, "there is no query \"%s\", which has a hidden item", data->names.names[question->name].data);
        if (question->targets.end - question->targets.begin != 1)
            return options_fail(err, RECO_INVALID, path, "the query \"%s\" has more than one hidden item", data->names.names[question->name].data);
    }
    return RECO_OK;
}

static reco_status read_histories(evaluate_data *data, const evaluate_files *files, reco_error *err) {
    evaluate_lines lines;
    uint32_t *index = evaluate_data_index(data);
    size_t count = 0;
    bool end = false;
    if (!index)
        return options_no_memory(err);
    reco_status status = evaluate_lines_open(&lines, files->queries, files->call, err);
    while (status == RECO_OK && (status = evaluate_lines_next(&end, &lines, 2, err)) == RECO_OK && !end)
        status = take_history(data, &count, index, &lines, err);
    evaluate_lines_close(&lines);
    free(index);
    return status == RECO_OK ? check_histories(data, files->queries, err) : status;
}

static bool went_there(const evaluate_data *data, const evaluate_question *question) {
    uint32_t target = data->targets[question->targets.begin];
    for (size_t i = question->history.begin; i < question->history.end; i++)
        if (data->history[i] == target)
            return true;
    return false;
}

/* Leaves those whose hidden item is new to them. */
static void keep_novel(evaluate_data *data) {
    size_t kept = 0;
    for (size_t i = 0; i < data->question_count; i++)
        if (!went_there(data, &data->questions[i]))
            data->questions[kept++] = data->questions[i];
    data->question_count = kept;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------------------ */

reco_status evaluate_data_read(evaluate_data *out, const evaluate_files *files, reco_error *err) {
    *out = (evaluate_data){.protocol = files->protocol};
    reco_status status = read_train(out, files, err);
    if (status == RECO_OK)
        status = gather(&out->own, &out->own_items, out, false, err);
    if (status == RECO_OK)
        status = gather(&out->fans, &out->fan_users, out, true, err);
    if (status == RECO_OK)
        status = read_test(out, files, err);
    if (status == RECO_OK && files->protocol != EVALUATE_P1)
        status = read_histories(out, files, err);
    if (status == RECO_OK && files->protocol == EVALUATE_P2_NOVEL)
        keep_novel(out);
    if (status == RECO_OK && out->question_count == 0)
        status = options_fail(err, RECO_INVALID, files->test, "no question is left that counts");
    return status;
}

reco_status evaluate_data_is_part(bool *out, const evaluate_data *part, const evaluate_data *of, reco_error *err) {
    uint32_t *index = evaluate_data_index(of);
    if (!index)
        return options_no_memory(err);
    *out = true;
    for (size_t i = 0; i < part->question_count && *out; i++) {
        const evaluate_question *question = &part->questions[i];
        uint32_t name = evaluate_names_find(&of->names, part->names.names[question->name]);
        uint32_t at = name == EVALUATE_NONE ? EVALUATE_NONE : index[name];
        *out = at != EVALUATE_NONE;
        for (size_t k = question->targets.begin; k < question->targets.end && *out; k++) {
            uint32_t item = evaluate_names_find(&of->items, part->items.names[part->targets[k]]);
            *out = evaluate_among(of->targets, of->questions[at].targets, item);
        }
    }
    free(index);
    return RECO_OK;
}

void evaluate_data_dispose(evaluate_data *data) {
    void *blocks[] = {data->events, data->own, data->own_items, data->fans, data->fan_users, data->questions, data->targets, data->history};
    evaluate_names_dispose(&data->users);
    evaluate_names_dispose(&data->items);
    evaluate_names_dispose(&data->names);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    *data = (evaluate_data){0};
}
