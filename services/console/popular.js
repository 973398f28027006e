// What is popular, by window and category.
import {get, titles} from "./api.js";
import {answerList, idsOf} from "./answers.js";
import {el, empty, exact, failure, field, form, loading, markFields, replace, say, section} from "./dom.js";

const WINDOWS = ["1h", "6h", "24h", "7d", "30d", "60d"];
const LONGEST = WINDOWS[WINDOWS.length - 1];

function windows(view, chosen) {
    const {place} = view;
    const to = (window) => {
        const query = new URLSearchParams(place.query);
        query.set("window", window);
        return `#/popular?${query}`;
    };
    return el("ul", {class: "choices", "aria-label": "Window"}, WINDOWS.map((window) =>
        el("li", null, el("a", {href: to(window), "aria-current": window === chosen ? "true" : null}, window))));
}

// Categories of what was answered, to go on with.
function categories(names, items, view) {
    const found = [...new Set(items.flatMap((item) => (names.get(item.item_id) || {}).categories || []))].sort().slice(0, 24);
    if (!found.length || view.place.query.get("category"))
        return null;
    const to = (category) => {
        const query = new URLSearchParams(view.place.query);
        query.set("category", category);
        return `#/popular?${query}`;
    };
    return el("ul", {class: "choices", "aria-label": "Categories of these"}, found.map((one) => el("li", null, el("a", {href: to(one)}, el("bdi", null, exact(one))))));
}

export async function popular(view) {
    const {main, place, go, signal} = view;
    const chosen = place.query.get("window") || "24h";
    const category = place.query.get("category") || "";
    const asked = form("popular", (values) => go("", values), "Show",
        field("category", "Category", {value: category, kind: "wide", exact: true, placeholder: "all"}),
        field("window", "Window", {value: chosen, placeholder: "90m, 24h, 7d \u2026"}),
        field("limit", "Items", {value: place.query.get("limit") || "", inputmode: "numeric", placeholder: "20"}));
    const into = el("div", {id: "result"}, loading("Asking\u2026"));
    replace(main, el("h1", {tabindex: "-1"}, "Popular"), windows(view, chosen), asked, into);
    try {
        const answer = await get("/popular", {window: chosen, category, limit: place.query.get("limit")}, signal);
        const names = await titles(idsOf(answer.items), signal);
        const before = `The last ${chosen}`, after = `: ${answer.items.length} ${answer.items.length === 1 ? "item" : "items"}`;
        replace(into, categories(names, answer.items, view), section(category ? [before, " in ", el("bdi", null, exact(category)), after] : before + after, answer.items.length ? answerList(answer.items, names) :
            empty(category ? "Nothing of this category is popular in this window." : ["No event of this window counts.", chosen === LONGEST ? " Events come in by POST /events, reco ingest and reco import." :
                    [" See the last ", el("a", {href: `#/popular?window=${LONGEST}`}, LONGEST), "."]])));
        say(`${before}${category ? ` in ${category}` : ""}${after}`);
    } catch (error) {
        if (error.name === "AbortError")
            return;
        replace(into, failure(error, error.status === 0 || error.status === 503 ? () => popular(view) : null));
        markFields(asked, error);
    }
}
