/* tests/property/asking.c - see asking.h. */
#include "asking.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dice.h"

/* --- by chance --------------------------------------------------------------------------------------------------------------------------------- */

/* A value that items may have of it, or may not. */
static trait random_value(int attribute) {
    if (attribute == CATEGORIES_OF || attribute == CATEGORY_OF)
        return (trait){RECO_VALUE_STRING, 0, category_names[below(CATEGORIES)]};
    if ((attribute == PARENT_OF || attribute == ID_OF) && !one_in(8))
        return (trait){RECO_VALUE_STRING, 0, item_names[below(NAMES)]};
    const literal *one = &literals[4 + below(LITERALS - 4)];
    return one->values[below(one->count)];
}

static void random_condition(condition *c) {
    *c = (condition){.attribute = below(one_in(3) ? ASKABLE : ATTRIBUTES), .not = one_in(4), .missing = one_in(3)};
    c->range = c->attribute < CATEGORIES_OF && one_in(2);
    if (c->range) {
        static const double borders[] = {-3, 0, 1, 2, 2.5, 1e300};
        int low = below(6), high = low + below(6 - low);
        c->has_min = one_in(2), c->has_max = !c->has_min || one_in(2);
        c->min = c->has_min ? borders[low] : 0, c->max = c->has_max ? borders[high] : 0;
        c->min_outside = c->has_min && one_in(2), c->max_outside = c->has_max && one_in(2);
        return;
    }
    c->count = 1 + below(WANTED);
    for (int i = 0; i < c->count; i++)
        c->values[i] = random_value(c->attribute);
}

void selection_random(selection *out) {
    *out = (selection){.variants = one_in(3)};
    if (one_in(4))
        for (int i = 0; i < NAMES; i++)
            out->excluded[i] = one_in(4);
    out->condition_count = one_in(3) ? 1 + below(CONDITIONS) : 0;
    for (int i = 0; i < out->condition_count; i++)
        random_condition(&out->conditions[i]);
    out->cap_count = one_in(4) ? 1 + below(CAPS) : 0;
    for (int i = 0; i < out->cap_count; i++)
        out->caps[i].attribute = below(ID_OF), out->caps[i].most = 1 + below(3);
}

void selection_grow(selection *s) { s->excluded[below(NAMES)] = true; }

/* --- as structs -------------------------------------------------------------------------------------------------------------------------------- */

static reco_str text(const char *of) { return (reco_str){of, strlen(of)}; }

static void put_condition(asking *a, int at, const condition *c) {
    reco_filter *f = &a->filters[at];
    *f = (reco_filter){
        .attribute = text(attribute_names[c->attribute]), .op = c->range ? RECO_FILTER_RANGE : RECO_FILTER_ANY_OF, .min = c->min, .max = c->max};
    f->flags = (c->not ? RECO_FILTER_NOT : 0) | (c->missing ? RECO_FILTER_MISSING : 0) | (c->has_min ? RECO_FILTER_MIN : 0) |
               (c->has_max ? RECO_FILTER_MAX : 0) | (c->min_outside ? RECO_FILTER_MIN_OUTSIDE : 0) | (c->max_outside ? RECO_FILTER_MAX_OUTSIDE : 0);
    for (int i = 0; i < c->count; i++) {
        const trait *v = &c->values[i];
        a->values[at][i] = (reco_value){.type = v->type};
        if (v->type == RECO_VALUE_STRING)
            a->values[at][i].text = text(v->text);
        else if (v->type == RECO_VALUE_NUMBER)
            a->values[at][i].number = v->number;
        else
            a->values[at][i].boolean = v->number != 0;
    }
    f->values = a->values[at];
    f->value_count = (size_t)c->count;
}

static void put_all(asking *a, const selection *s, const char *cursor) {
    reco_selection *p = &a->plain;
    *p = (reco_selection){.struct_size = sizeof *p, .flags = s->variants ? RECO_SELECTION_VARIANTS : 0, .cursor = text(cursor)};
    for (int i = 0; i < NAMES; i++)
        if (s->excluded[i])
            a->exclude[p->exclude_count++] = text(item_names[i]);
    for (int i = 0; i < s->condition_count; i++)
        put_condition(a, i, &s->conditions[i]);
    for (int i = 0; i < s->cap_count; i++)
        a->caps[i] = (reco_cap){.attribute = text(attribute_names[s->caps[i].attribute]), .most = (uint32_t)s->caps[i].most};
    p->exclude = a->exclude;
    p->filters = a->filters, p->filter_count = (size_t)s->condition_count, p->filter_size = sizeof *a->filters;
    p->caps = a->caps, p->cap_count = (size_t)s->cap_count, p->cap_size = sizeof *a->caps;
}

/* --- as JSON ----------------------------------------------------------------------------------------------------------------------------------- */

static void say(asking *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(asking *a, const char *format, ...) {
    size_t size = strlen(a->json);
    va_list args;
    va_start(args, format);
    vsnprintf(a->json + size, sizeof a->json - size, format, args);
    va_end(args);
}

static void say_any_of(asking *a, const condition *c) {
    for (int i = 0; i < c->count; i++) {
        const trait *v = &c->values[i];
        say(a, "%s", i == 0 ? "[" : ",");
        if (v->type == RECO_VALUE_STRING)
            say(a, "\"%s\"", v->text); /* none of them has anything to escape */
        else if (v->type == RECO_VALUE_NUMBER)
            say(a, "%.17g", v->number);
        else
            say(a, "%s", v->number != 0 ? "true" : "false");
    }
    say(a, "]");
}

static void say_range(asking *a, const condition *c) {
    if (c->has_min)
        say(a, "\"%s\":%.17g", c->min_outside ? "gt" : "gte", c->min);
    if (c->has_max)
        say(a, "%s\"%s\":%.17g", c->has_min ? "," : "", c->max_outside ? "lt" : "lte", c->max);
}

static void say_condition(asking *a, const condition *c) {
    say(a, "\"%s\":", attribute_names[c->attribute]);
    if (!c->range && !c->not &&!c->missing) {
        say_any_of(a, c);
        return;
    }
    say(a, "{");
    if (c->range && c->not )
        say(a, "\"not\":{");
    if (c->range)
        say_range(a, c);
    if (c->range && c->not )
        say(a, "}");
    if (!c->range) {
        say(a, "\"%s\":", c->not ? "not" : "in");
        say_any_of(a, c);
    }
    say(a, "%s}", c->missing ? ",\"missing\":true" : "");
}

static void say_all(asking *a, const selection *s, const char *cursor) {
    const char *between = "";
    a->json[0] = 0;
    say(a, "{\"variants\":%s,", s->variants ? "true" : "false");
    if (cursor[0])
        say(a, "\"cursor\":\"%s\",", cursor);
    say(a, "\"exclude\":[");
    for (int i = 0; i < NAMES; i++)
        if (s->excluded[i]) {
            say(a, "%s\"%s\"", between, item_names[i]);
            between = ",";
        }
    say(a, "],\"filter\":{");
    for (int i = 0; i < s->condition_count; i++) {
        say(a, "%s", i > 0 ? "," : "");
        say_condition(a, &s->conditions[i]);
    }
    say(a, "},\"caps\":{");
    for (int i = 0; i < s->cap_count; i++)
        say(a, "%s\"%s\":%d", i > 0 ? "," : "", attribute_names[s->caps[i].attribute], s->caps[i].most);
    say(a, "}}");
}

/* In an object an attribute stands once. */
static bool as_object(const selection *s) {
    bool twice = s->cap_count == 2 && s->caps[0].attribute == s->caps[1].attribute;
    for (int i = 0; i < s->condition_count; i++)
        for (int j = 0; j < i; j++)
            twice = twice || s->conditions[i].attribute == s->conditions[j].attribute;
    return !twice;
}

const reco_selection *asking_make(asking *a, const selection *s, const char *cursor, bool as_json, reco_status *status, reco_error *err) {
    asking_done(a);
    *status = RECO_OK;
    put_all(a, s, cursor);
    a->json[0] = 0;
    if (!as_json || !as_object(s))
        return &a->plain;
    say_all(a, s, cursor);
    *status = reco_selection_parse(&a->parsed, a->json, strlen(a->json), err);
    return a->parsed;
}

void asking_done(asking *a) {
    reco_selection_free(a->parsed);
    a->parsed = NULL;
}
