/* bench/questions.c - what is asked next: kinds in their shares, users and items as `reco generate` draws them or from files. The same for the same
 * seed. */
#include <stdlib.h>
#include <string.h>

#include <reco/generate.h>

#include "bench/load.h"

#define SESSION_ITEMS 3u
#define DRAWN_MAX 10000000u /* of one generator; the next one has another seed */

#define BENCH_NAME(symbol, name) name,
const char *const bench_kind_names[BENCH_KIND_COUNT] = {BENCH_KINDS(BENCH_NAME)};

struct bench_questions {
    const bench_plan *plan;
    reco_generator *generator;
    reco_generator_options how;
    unsigned thread, threads;
    int64_t credits[BENCH_KIND_COUNT];
    size_t user_at, item_at; /* of the next line of the files */
    http_text recent[SESSION_ITEMS];
    size_t drawn;
    reco_event event;
    bench_question question;
};

static reco_status open_generator(bench_questions *questions, reco_error *err) {
    reco_generator_free(questions->generator);
    questions->generator = NULL;
    reco_status status = reco_generator_create(&questions->generator, &questions->how, err);
    questions->how.seed += questions->threads;
    return status;
}

reco_status bench_questions_create(bench_questions **out, const bench_plan *plan, unsigned thread, unsigned threads, reco_error *err) {
    bench_questions *questions = calloc(1, sizeof *questions);
    if (!questions)
        return options_no_memory(err);
    *questions = (bench_questions){.plan = plan, .how = plan->generator, .thread = thread, .threads = threads, .user_at = thread, .item_at = thread};
    questions->how.struct_size = sizeof questions->how;
    questions->how.events = DRAWN_MAX;
    questions->how.seed = plan->generator.seed * threads + thread;
    reco_status status = open_generator(questions, err);
    if (status != RECO_OK) {
        bench_questions_free(questions);
        return status;
    }
    *out = questions;
    return RECO_OK;
}

void bench_questions_free(bench_questions *questions) {
    if (!questions)
        return;
    reco_generator_free(questions->generator);
    for (size_t i = 0; i < SESSION_ITEMS; i++)
        http_text_dispose(&questions->recent[i]);
    http_text_dispose(&questions->question.path);
    http_text_dispose(&questions->question.query);
    http_text_dispose(&questions->question.body);
    free(questions);
}

/* --- drawing -------------------------------------------------------------------------------------------------------------------------------- */

/* Each kind gains its share at every question, and the richest pays all of it: over any stretch the shares are met to within one question. */
static unsigned next_kind(bench_questions *questions) {
    int64_t all = 0;
    unsigned best = 0;
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++) {
        all += questions->plan->mix[i];
        questions->credits[i] += questions->plan->mix[i];
        if (questions->credits[i] > questions->credits[best])
            best = i;
    }
    questions->credits[best] -= all;
    return best;
}

/* The next line of a file, in its order; threads take turns. */
static reco_str next_name(const bench_names *names, size_t *at, unsigned threads) {
    reco_str name = names->list[*at % names->count];
    *at += threads;
    return name;
}

static reco_status draw(bench_questions *questions, reco_error *err) {
    const bench_plan *plan = questions->plan;
    int64_t received_at;
    reco_status status = reco_generator_next(&questions->event, &received_at, questions->generator);
    if (status == RECO_NOT_FOUND) {
        status = open_generator(questions, err);
        if (status == RECO_OK)
            status = reco_generator_next(&questions->event, &received_at, questions->generator);
    }
    if (status != RECO_OK)
        return status;
    if (plan->users.count)
        questions->event.user_id = next_name(&plan->users, &questions->user_at, questions->threads);
    if (plan->items.count)
        questions->event.item_id = next_name(&plan->items, &questions->item_at, questions->threads);
    return RECO_OK;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------------- */

static void add_text(http_text *out, const char *text) { http_text_add(out, text, strlen(text)); }

static void add_encoded(http_text *out, reco_str text) {
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain)
            http_text_add(out, text.data + i, 1);
        else
            http_text_printf(out, "%%%02X", c);
    }
}

static void add_limit(http_text *query, const bench_plan *plan) {
    if (plan->limit)
        http_text_printf(query, "%slimit=%u", query->size ? "&" : "", plan->limit);
}

static void write_recommendations(bench_questions *questions, bench_question *out) {
    add_text(&out->path, "/recommendations");
    add_text(&out->query, "user_id=");
    add_encoded(&out->query, questions->event.user_id);
    add_limit(&out->query, questions->plan);
}

/* A visitor nobody knows, who looked at the last items drawn. */
static void write_session(bench_questions *questions, bench_question *out) {
    http_text *recent = &questions->recent[questions->drawn++ % SESSION_ITEMS];
    recent->size = 0;
    http_text_add(recent, questions->event.item_id.data, questions->event.item_id.size);
    out->body.failed = out->body.failed || recent->failed;
    add_text(&out->path, "/recommendations");
    add_text(&out->body, "{\"session\":[");
    size_t first = questions->drawn < SESSION_ITEMS ? 0 : questions->drawn - SESSION_ITEMS;
    for (size_t i = first; i < questions->drawn; i++) {
        const http_text *item = &questions->recent[i % SESSION_ITEMS];
        add_text(&out->body, i == first ? "" : ",");
        http_text_json(&out->body, item->data, item->size);
    }
    add_text(&out->body, "]");
    if (questions->plan->limit)
        http_text_printf(&out->body, ",\"limit\":%u", questions->plan->limit);
    add_text(&out->body, "}");
}

static void write_similar(bench_questions *questions, bench_question *out) {
    out->item = questions->event.item_id;
    add_text(&out->path, "/items/");
    add_encoded(&out->path, out->item);
    add_text(&out->path, "/similar");
    add_limit(&out->query, questions->plan);
}

/* Without time and id: it happens now, and a second run counts again. */
static void write_event(bench_questions *questions, bench_question *out) {
    const reco_event *event = &questions->event;
    add_text(&out->path, "/events");
    add_text(&out->body, "{\"user_id\":");
    http_text_json(&out->body, event->user_id.data, event->user_id.size);
    add_text(&out->body, ",\"item_id\":");
    http_text_json(&out->body, event->item_id.data, event->item_id.size);
    add_text(&out->body, ",\"event_type\":");
    http_text_json(&out->body, event->event_type.data, event->event_type.size);
    if (event->flags & RECO_EVENT_HAS_VALUE)
        http_text_printf(&out->body, ",\"value\":%.9g", event->value);
    add_text(&out->body, "}");
}

static void write_question(bench_questions *questions, bench_question *out) {
    switch (out->kind) {
    case BENCH_RECOMMENDATIONS:
        write_recommendations(questions, out);
        return;
    case BENCH_SESSION:
        write_session(questions, out);
        return;
    case BENCH_SIMILAR:
        write_similar(questions, out);
        return;
    case BENCH_EVENTS:
        write_event(questions, out);
        return;
    case BENCH_POPULAR:
        add_text(&out->path, "/popular");
        add_limit(&out->query, questions->plan);
        return;
    default:
        add_text(&out->path, "/health");
    }
}

reco_status bench_questions_next(const bench_question **out, bench_questions *questions, reco_error *err) {
    bench_question *question = &questions->question;
    reco_status status = draw(questions, err);
    if (status != RECO_OK)
        return status;
    question->kind = next_kind(questions);
    question->path.size = question->query.size = question->body.size = 0;
    write_question(questions, question);
    if (question->path.failed || question->query.failed || question->body.failed)
        return options_no_memory(err);
    *out = question;
    return RECO_OK;
}
