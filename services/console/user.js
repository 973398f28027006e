// A user: what is known, what counts, what is answered and why; why an item is not; and, where that is allowed, an event and what it changes.
import {get, post, Problem, titles} from "./api.js";
import {answerList, bar, idsOf, itemName, moveBadge, paletteOf, reasonTable} from "./answers.js";
import {badge, count, el, empty, exact, facts, failure, field, fold, form, idField, loading, markFields, moment, moreButton, note, replace, say, score, seconds, section, table} from "./dom.js";

const WAIT_MS = 2000;
// Those of the settings as they come; others may be typed.
const EVENT_TYPES = ["view", "click", "cart", "purchase", "like", "rating", "dislike", "hide"];
const QUESTION = ["limit", "scenario", "as_of"];

function lookup(view) {
    const {place, go} = view;
    const extra = QUESTION.some((name) => place.query.get(name));
    const asked = form("user", (values) => go(values.user_id, {limit: values.limit, scenario: values.scenario, as_of: values.as_of, why: ""}), "Look up",
        idField("user_id", "User id", {value: place.id}),
        moreButton(extra),
        field("limit", "Items", {value: place.query.get("limit") || "", kind: "extra", inputmode: "numeric", placeholder: "20"}),
        field("scenario", "Scenario", {value: place.query.get("scenario") || "", kind: "extra", placeholder: "default"}),
        field("as_of", "As of", {value: place.query.get("as_of") || "", kind: "extra time", placeholder: "2026-01-31T12:00:00Z"}));
    asked.classList.toggle("open", extra);
    return asked;
}

const questionOf = (place) => Object.fromEntries(QUESTION.map((name) => [name, place.query.get(name)]));

// --- what changed ----------------------------------------------------------------------------------------------------------------------------

// Of each item of the answer now: new, moved by so many ranks (up is above 0), or the same; and those that are gone.
export function difference(before, now) {
    const ranks = new Map(before.map((item) => [item.item_id, item.rank]));
    const moves = new Map(now.map((item) => {
        const rank = ranks.get(item.item_id);
        if (rank === undefined)
            return [item.item_id, {kind: "new"}];
        return [item.item_id, rank === item.rank ? {kind: "same"} : {kind: "moved", by: rank - item.rank}];
    }));
    return {moves, gone: before.filter((item) => !moves.has(item.item_id))};
}

const NAMED = 6; // of each kind, by name

// A row of what changed: names, the largest moves first, and how many more there are.
function changed(word, rows, names) {
    const sorted = [...rows].sort((a, b) => Math.abs(b.by || 0) - Math.abs(a.by || 0));
    const line = (row) => el("li", null, itemName(row.id, names, {short: true}), row.by ? [" ", moveBadge({kind: "moved", by: row.by})] : null);
    return rows.length ? el("div", null, el("dt", null, word), el("dd", null, el("ul", null, sorted.slice(0, NAMED).map(line),
        rows.length > NAMED ? el("li", null, `and ${rows.length - NAMED} more`) : null))) : null;
}

function changes(change, names) {
    const {moves, gone} = difference(change.before, change.now);
    const rows = [...moves].map(([id, move]) => ({id, ...move}));
    const of = (kind) => [...moves.values()].filter((one) => one.kind === kind).length;
    const words = `${of("new")} new, ${of("moved")} moved, ${gone.length} gone, ${of("same")} as before`;
    say(`The answer now: ${words}`);
    return section("What the event changed", el("p", null, badge(change.event.event_type), " ", itemName(change.event.item_id, names)),
        el("p", null, el("strong", {id: "difference"}, words)),
        change.behind ? note("The event is kept, but was not learned in time: the answer does not reflect it yet.") : null,
        el("dl", {class: "changes"}, changed("New", rows.filter((row) => row.kind === "new"), names), changed("Rose", rows.filter((row) => row.by > 0), names),
            changed("Fell", rows.filter((row) => row.by < 0), names), changed("Gone", gone.map((item) => ({id: item.item_id})), names)));
}

// --- the parts of the page -------------------------------------------------------------------------------------------------------------------

const momentOf = (text) => /^\d+$/.test(text) ? Number(text) : Date.parse(text);

const reasonsOf = (answer) => (answer.degraded_reasons || []).map((one) => one.replaceAll("_", " "));

// Whether what users did cannot be read: then nothing is said of what this one did.
const isBlind = (answer) => (answer.degraded_reasons || []).includes("features_unavailable");

function lacking(answer) {
    return answer.degraded ? el("div", {class: "lacking", role: "status"}, el("strong", null, "This answer is less than it should be: "),
        reasonsOf(answer).join(", ") || "no reason is given", ".") : null;
}

function profile(told, asOf) {
    const {user, answer} = told;
    const marks = [user.known || isBlind(answer) ? null : badge("unknown", "weak"), answer.fallback ? badge("fallback: nothing personal", "weak") : null,
        answer.behind ? badge("behind", "warn") : null, answer.degraded ? badge("degraded", "warn") : null].filter(Boolean);
    const later = asOf && user.last && Date.parse(user.last) > momentOf(asOf);
    return section("User", facts([
        ["Last event", user.last ? [moment(user.last), later ? ", after the time asked" : null] : isBlind(answer) ? "cannot be read now" : "none"],
        ["Session", user.known && !later ? user.session_runs ? "runs" : "over" : null],
        ["Scenario", answer.scenario], ["Model", answer.model],
        ["Experiment", answer.experiment],
        ["Answered in", seconds(told.microseconds / 1e6)],
        ["Answer", marks.length ? el("span", {class: "badges"}, marks) : null],
    ]));
}

function recents(told, names) {
    const line = (one) => el("li", null, itemName(one.item_id, names),
        el("span", {class: "aside"}, one.weight > 1 ? el("span", {title: "weight of the event"}, `\u00d7${one.weight}`) : null, moment(one.timestamp)));
    const group = (title, found) => found.length ? [el("h3", null, title), el("ul", {class: "lines"}, found.map(line))] : null;
    const none = isBlind(told.answer) ? "What this user did cannot be read at the moment." : "Nothing of this user counts for the answer.";
    return section("Recent items", told.recents.length ? el("div", {id: "recents"}, group("This session", told.recents.filter((one) => one.session)),
        group("Before", told.recents.filter((one) => !one.session))) : empty(none));
}

const hidden = (told, names) => told.hidden.length ?
    section("Hidden by the user", el("ul", {class: "lines"}, told.hidden.map((id) => el("li", null, itemName(id, names))))) : null;

function stages(told) {
    const total = told.stages.reduce((sum, one) => sum + one.microseconds, 0);
    return el("details", {class: "card stages"}, el("summary", null, `Stages: ${told.stages.length} in ${seconds(total / 1e6)}`),
        table("Stages in the order they ran", [
            {title: "Stage", head: true, cell: (row) => row.stage},
            {title: "Kind", cell: (row) => row.kind},
            {title: "Time", number: true, cell: (row) => seconds(row.microseconds / 1e6)},
            {title: "Added", number: true, cell: (row) => count(row.added)},
            {title: "Dropped", number: true, cell: (row) => count(row.dropped)},
            {title: "Left", number: true, cell: (row) => count(row.candidates)},
            {title: "Status", cell: (row) => row.status === "ok" ? "ok" : badge(row.status, "warn")},
        ], told.stages));
}

// --- why not ---------------------------------------------------------------------------------------------------------------------------------

const VERDICTS = {
    listed: (one) => `It is in the answer, at rank ${one.rank}.`,
    below_cut: (one) => `It was ranked ${one.rank}, below the last item of the answer: ${score(one.distance)} short.`,
    dropped: (one) => `The stage \u201c${one.stage}\u201d dropped it: ${one.reason}.`,
    no_candidate: (one) => `No source brought it: ${one.reason || "nothing connects it with what this user did"}.`,
    unknown: (one) => `Nothing is known of this item: ${one.reason || "no event and no document names it"}.`,
};
const MARKS = {listed: "good", below_cut: "warn", dropped: "bad", no_candidate: "weak", unknown: "weak"};

function verdict(one, names) {
    const words = VERDICTS[one.verdict] ? VERDICTS[one.verdict](one) : one.verdict;
    const most = Math.max(one.score || 0, one.cut || 0, 1), palette = paletteOf([one]);
    const compared = one.verdict === "below_cut" ? el("div", {class: "compared"},
        el("span", null, "this item"), bar(one, most, palette), el("span", {class: "score"}, score(one.score)),
        el("span", null, "the last listed"), bar({score: one.cut}, most), el("span", {class: "score"}, score(one.cut))) : null;
    return el("div", {class: "verdict", id: "verdict"}, el("p", null, badge(one.verdict.replaceAll("_", " "), MARKS[one.verdict]), " ", itemName(one.item_id, names)),
        el("p", null, words), compared,
        (one.reasons || []).length ? el("details", null, el("summary", null, "Reasons it has"), reasonTable(one, names, `Reasons of ${one.item_id}`, palette)) : null);
}

function whyNot(view, told, names) {
    const {place, go} = view;
    const asked = place.query.get("why") || "";
    const one = asked ? (told.items || []).find((item) => item.item_id === asked) : null;
    return fold("Why not?", asked !== "", form("why", (values) => go(place.id, {...questionOf(place), why: values.why}), "Ask",
        idField("why", "Item id", {value: asked})),
    note("Which stage dropped it, or how far below the cut it stayed."), one ? verdict(one, names) : null);
}

// --- an event --------------------------------------------------------------------------------------------------------------------------------

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function valueOf(text) {
    const value = NUMBER.test(text) ? Number(text) : NaN;
    if (Number.isFinite(value))
        return value;
    const words = `\u201c${text}\u201d is not a number that an event can have; one and a half is 1.5`;
    throw new Problem(0, "Nothing was posted", words, [{field: "value", detail: words}]);
}

// Works on plain http, too, where there is no crypto.randomUUID.
const newEventId = () => "console-" + [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

function eventOf(place, values) {
    const event = {user_id: place.id, item_id: values.item_id, event_type: values.event_type};
    return values.value ? {...event, value: valueOf(values.value)} : event;
}

// What the form posts, one at a time. The same event sent again, because nobody knows whether it came, has the same event_id and counts once.
function sender(view, told) {
    const {place, signal} = view;
    let last = {};
    return async (values, of) => {
        const event = eventOf(place, values), text = JSON.stringify(event);
        if (last.text !== text)
            last = {text, event_id: newEventId()};
        markFields(of, null);
        const kept = await post("/events", {...event, event_id: last.event_id}, signal);
        say("The event is kept. Asking again.");
        try {
            await show(view, {min_position: kept.position, wait_ms: WAIT_MS}, {before: told.answer.items, event});
        } catch (error) {
            if (error.name === "AbortError")
                throw error;
            throw new Problem(error.status, "The event is kept, but the answer to it cannot be had", error.message, []);
        }
    };
}

function poster(view, told) {
    const {place, state} = view;
    if (state.mode !== "write")
        return null;
    if (place.query.get("as_of"))
        return fold("Post an event", false, note("An event is of now; the answer here is as of another time."));
    const trouble = el("div"), send = sender(view, told);
    let busy = false;
    const submit = async (values, of) => {
        if (busy)
            return;
        busy = true;
        of.setAttribute("aria-busy", "true");
        replace(trouble, loading("Posting\u2026"));
        try {
            await send(values, of);
        } catch (error) {
            if (error.name === "AbortError")
                return;
            replace(trouble, await view.readsOnly(error) ? failure(new Problem(error.status, "Nothing was posted", "The service only reads now: it was started again without --console write.")) :
                failure(error));
            markFields(of, error);
        } finally {
            busy = false;
            of.removeAttribute("aria-busy");
        }
    };
    return fold("Post an event", false, form("event", submit, "Post",
        idField("item_id", "Item id", {kind: "wide whole"}),
        field("event_type", "Type", {value: "view", required: true, list: EVENT_TYPES}),
        field("value", "Value", {inputmode: "decimal", placeholder: "none"})), trouble);
}

// --- together --------------------------------------------------------------------------------------------------------------------------------

function draw(view, told, names, change) {
    const {answer} = told, {place} = view;
    const moves = change ? difference(change.before, answer.items).moves : null;
    const list = answer.items.length ? answerList(answer.items, names, {moves}) :
        empty(place.query.get("as_of") ? "The answer is empty: nothing was popular then, or all of it was left out." :
            "The answer is empty: nothing is popular yet, or all of it was left out. Events come in by POST /events, reco ingest and reco import.");
    const news = change ? el("div", {class: "changed"}, changes({...change, now: answer.items, behind: answer.behind}, names)) : null;
    return el("div", {class: "columns"},
        el("div", {class: "side"}, profile(told, place.query.get("as_of")), recents(told, names), hidden(told, names), poster(view, told), whyNot(view, told, names)),
        el("div", {class: "wide"}, lacking(answer), news,
            section(`Answer: ${answer.items.length} ${answer.items.length === 1 ? "item" : "items"}`, list), stages(told)));
}

async function show(view, extra, change) {
    const {main, place, signal} = view;
    const into = main.querySelector("#result");
    const told = await get("/explain", {user_id: place.id, ...questionOf(place), item_id: place.query.get("why"), ...extra}, signal);
    const ids = [...idsOf(told.answer.items), ...told.recents.map((one) => one.item_id), ...told.hidden, ...idsOf(told.items || []),
        ...(change ? [change.event.item_id, ...change.before.map((item) => item.item_id)] : [])];
    const names = await titles(ids, signal);
    const held = document.activeElement;
    const holder = held && held.form && into.contains(held) ? [held.form.name, held.name || ""] : null;
    replace(into, draw(view, told, names, change));
    into.removeAttribute("aria-busy");
    (change ? into.querySelector(".changed") : into.querySelector("#verdict"))?.scrollIntoView({block: "nearest"});
    if (holder)
        into.querySelector(`form[name="${holder[0]}"] ${holder[1] ? `[name="${holder[1]}"]` : "button"}`)?.focus({preventScroll: true});
    if (!change)
        say(place.query.get("why") ? (into.querySelector("#verdict")?.textContent || "") : `${told.answer.items.length} items for ${place.id}`);
}

export async function user(view) {
    const {main, place} = view;
    const asked = lookup(view);
    const kept = main.querySelector("#result");
    const into = el("div", {id: "result"});
    if (place.id && kept && kept.dataset.user === place.id) {
        into.append(...kept.childNodes); // the old answer stands until the new one is there
        into.setAttribute("aria-busy", "true");
    }
    into.dataset.user = place.id;
    replace(main, el("h1", {tabindex: "-1"}, "User", place.id ? [": ", el("bdi", null, exact(place.id))] : null), asked, into);
    if (!place.id) {
        replace(into, empty("Look up a user by the id that events name: what counts, what is answered, and why. An id that nobody has used " +
            "gets the answer of a stranger. ", "No id at hand? See what is ", el("a", {href: "#/popular"}, "popular"), ", and how the service does ",
        el("a", {href: "#/live"}, "live"), "."));
        return;
    }
    if (!into.childNodes.length)
        replace(into, loading("Asking\u2026"));
    try {
        await show(view, {}, null);
    } catch (error) {
        if (error.name === "AbortError")
            return;
        into.removeAttribute("aria-busy");
        replace(into, failure(error, error instanceof Problem && (error.status === 0 || error.status === 503) ? () => user(view) : null));
        markFields(asked, error);
    }
}
