// An item: its document, how popular it is, and what goes with it.
import {documents, get, post, titles} from "./api.js";
import {answerList, idsOf, itemHash} from "./answers.js";
import {badge, el, empty, exact, facts, failure, field, form, idField, loading, markFields, moment, note, replace, say, score, section, table} from "./dom.js";

const WINDOWS = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["60d", "60 days"]];

const plain = (value) => typeof value === "string" ? el("bdi", null, value) : el("code", null, JSON.stringify(value));

function valueOf(value) {
    if (!Array.isArray(value))
        return plain(value);
    return el("span", {class: "badges"}, value.map((one) => typeof one === "string" ? badge(exact(one)) : plain(one)));
}

function document_(id, known) {
    if (!known)
        return section("Document", empty("No document is stored for this item."));
    const attributes = Object.entries(known.attributes || {});
    return section("Document", facts([
        ["Id", el("bdi", {class: "id"}, exact(id))],
        ["Title", known.title ? el("bdi", null, known.title) : null],
        ["Categories", known.categories && known.categories.length ? valueOf(known.categories) : null],
        ["Variant of", known.parent ? el("a", {href: itemHash(known.parent)}, el("bdi", {class: "id"}, exact(known.parent))) : null],
        ["From", known.available_from ? moment(known.available_from) : null],
        ["Until", known.available_until ? moment(known.available_until) : null],
        ["Hidden", known.hidden ? badge("hidden", "bad") : null],
    ]), attributes.length ? [el("h3", null, "Attributes"), facts(attributes.map(([name, value]) => [name, valueOf(value)]))] : null);
}

async function popularity(id, signal) {
    const filter = JSON.stringify({item_id: id});
    const answers = await Promise.all(WINDOWS.map(([window]) => get("/popular", {window, filter, limit: 1}, signal)));
    const rows = WINDOWS.map(([, words], at) => ({words, found: answers[at].items[0]}));
    return section("Popularity", table("Popularity of this item by window", [
        {title: "Of the last", head: true, cell: (row) => row.words},
        {title: "Score", number: true, cell: (row) => row.found ? score(row.found.score) : "none"},
    ], rows));
}

// A number as JSON has it; what is none goes as it stands, for the service to say what is wrong with it.
const numberOf = (text) => /^\d+$/.test(text) ? Number(text) : text;

async function neighbours(id, limit, signal) {
    let answer;
    try {
        answer = await post("/similar", {items: [id], ...(limit ? {limit: numberOf(limit)} : {})}, signal);
    } catch (error) {
        if (error.status !== 404)
            throw error;
        return section("Goes with it", empty("Nothing is known of this item: no event and no document names it."));
    }
    const names = await titles(idsOf(answer.items), signal);
    return section(`Goes with it: ${answer.items.length} ${answer.items.length === 1 ? "item" : "items"}`,
        answer.items.length ? answerList(answer.items, names) : empty("Nobody has looked at this item together with another one yet."));
}

// A part that fails leaves the others.
async function part(place, title, make) {
    try {
        place.replaceWith(await make());
    } catch (error) {
        if (error.name !== "AbortError")
            place.replaceWith(section(title, failure(error)));
    }
}

export async function item({main, place, go, signal}) {
    const asked = form("item", (values) => go(values.item_id, {limit: values.limit}), "Look up",
        idField("item_id", "Item id", {value: place.id}),
        field("limit", "Neighbours", {value: place.query.get("limit") || "", inputmode: "numeric", placeholder: "20"}));
    const title = el("h1", {tabindex: "-1"}, "Item", place.id ? [": ", el("bdi", null, exact(place.id))] : null);
    const into = el("div", {id: "result"});
    replace(main, title, asked, into);
    if (!place.id) {
        replace(into, empty("Look up an item by the id that events name: its document, how popular it is, and what goes with it. ",
            "No id at hand? See what is ", el("a", {href: "#/popular"}, "popular"), "."));
        return;
    }
    const first = loading("Asking\u2026"), second = loading("Asking\u2026"), third = loading("Asking\u2026");
    replace(into, el("div", {class: "columns"}, el("div", {class: "side"}, first, second), el("div", {class: "wide"}, third)));
    await Promise.all([
        part(first, "Document", async () => {
            const known = (await documents([place.id], signal)).get(place.id);
            if (known && known.title)
                replace(title, "Item: ", el("bdi", null, known.title));
            return document_(place.id, known);
        }),
        part(second, "Popularity", () => popularity(place.id, signal)),
        part(third, "Goes with it", async () => {
            try {
                return await neighbours(place.id, place.query.get("limit"), signal);
            } catch (error) {
                markFields(asked, error);
                throw error;
            }
        }),
    ]);
    if (!signal.aborted) {
        into.append(note("Popularity counts events of all users by their weights; neighbours are what people looked at as well."));
        say(`Item ${place.id}`);
    }
}
