// Answers as lists: a line an item, its reasons as parts of a bar that add up to its score, and as a table for those who do not see the bar.
import {badge, el, exact, newId, note, score, table} from "./dom.js";

const sourceOf = (reason) => String(reason.source || reason.type || reason.kind || "other");

export const itemHash = (id) => `#/item/${encodeURIComponent(id)}`;

const LONG = 50; // from here on a name is cut to two lines, and whole as the pointer rests on it

// The name of an item as a link to its page: the title where there is one, and the id.
export function itemName(id, documents, options = {}) {
    const known = documents && documents.get(id);
    const title = known && known.title;
    const name = title ? el("bdi", {class: "title"}, title) : el("bdi", {class: "id"}, exact(id));
    const long = (title || id).length > LONG;
    return el("span", {class: "item-name"}, el("a", {href: itemHash(id), class: long ? "long" : null, title: long ? title || id : null}, name),
        title && !options.short ? [" ", el("bdi", {class: "id under", title: id.length > LONG ? id : null}, exact(id))] : null);
}

// --- colours ---------------------------------------------------------------------------------------------------------------------------------

// What a part of a bar is drawn for: the item it is because of, or its source where there is none.
const groupOf = (reason) => reason.because ? `because ${reason.because}` : `source ${sourceOf(reason)}`;

const SOURCES = [1, 5, 4]; // colours of sources, the largest first; popularity is alone with its colour in nearly all answers
const ITEMS = [0, 2, 3, 4, 5]; // of the items that matter most in a list
const OTHERS = 6;

// Which colour each group of a list has, the largest groups first, and what the legend says of it.
export function paletteOf(items) {
    const groups = new Map();
    for (const item of items)
        for (const reason of item.reasons || []) {
            const group = groups.get(groupOf(reason)) || {because: reason.because, source: sourceOf(reason), total: 0};
            group.total += Math.abs(reason.score);
            groups.set(groupOf(reason), group);
        }
    const sorted = [...groups].sort((a, b) => b[1].total - a[1].total);
    const sources = sorted.filter(([, group]) => !group.because), because = sorted.filter(([, group]) => group.because);
    const taken = sources.map((_, at) => SOURCES[at] ?? OTHERS);
    const free = ITEMS.filter((colour) => !taken.includes(colour));
    sources.forEach(([, group], at) => { group.colour = taken[at]; });
    because.forEach(([, group], at) => { group.colour = free[at] ?? OTHERS; });
    return new Map([...because, ...sources]);
}

const colourOf = (reason, palette) => palette.get(groupOf(reason))?.colour ?? OTHERS;
const placeOf = (reason, palette) => {
    const at = [...palette.keys()].indexOf(groupOf(reason));
    return at < 0 ? palette.size : at;
};

function legend(palette, documents) {
    const groups = [...palette.values()];
    const others = groups.filter((group) => group.because && group.colour === OTHERS).length;
    const line = (colour, ...words) => el("li", null, el("span", {class: `dot colour-${colour}`, "aria-hidden": "true"}), words);
    const lines = groups.filter((group) => !(group.because && group.colour === OTHERS))
        .map((group) => group.because ? line(group.colour, itemName(group.because, documents, {short: true})) : line(group.colour, group.source));
    if (others)
        lines.push(line(OTHERS, `${others} other ${others === 1 ? "item" : "items"}`));
    return lines.length ? el("ul", {class: "legend", "aria-label": "Because of"}, lines) : null;
}

// --- one item --------------------------------------------------------------------------------------------------------------------------------

// Its bar: `most` is the score that takes the whole width. Parts below zero are hatched.
export function bar(item, most, palette = new Map()) {
    const parts = (item.reasons || []).length ? [...item.reasons] : [{source: "score", score: item.score}];
    parts.sort((a, b) => placeOf(a, palette) - placeOf(b, palette) || b.score - a.score);
    const size = parts.reduce((sum, part) => sum + Math.abs(part.score), 0);
    const filled = el("span", {class: "parts"}, parts.map((part) => {
        const one = el("span", {class: `part colour-${colourOf(part, palette)}${part.score < 0 ? " less" : ""}`, "data-score": part.score,
            title: `${sourceOf(part)}${part.because ? " because of " + part.because : ""}: ${score(part.score)}`});
        one.style.flexGrow = String(Math.abs(part.score));
        return one;
    }));
    filled.style.width = `${most > 0 ? Math.min(100, Math.max(0.6, 100 * size / most)) : 0}%`;
    return el("span", {class: "bar", "aria-hidden": "true"}, filled);
}

export function reasonTable(item, documents, label, palette = new Map()) {
    const share = (reason) => item.score ? `${(100 * reason.score / item.score).toFixed(1)} %` : "\u2013";
    const rows = [...(item.reasons || [])].sort((a, b) => b.score - a.score);
    rows.push({sum: true, score: rows.reduce((sum, one) => sum + one.score, 0)});
    return table(label, [
        {title: "Source", head: true, cell: (row) => row.sum ? "Sum" : [el("span", {class: `dot colour-${colourOf(row, palette)}`, "aria-hidden": "true"}), sourceOf(row)]},
        {title: "Because of", cell: (row) => row.because ? itemName(row.because, documents) : row.sum ? "" : "\u2013"},
        {title: "Score", number: true, cell: (row) => score(row.score)},
        {title: "Share", number: true, cell: (row) => row.sum ? "" : share(row)},
    ], rows);
}

export function moveBadge(move) {
    if (!move || move.kind === "same")
        return null;
    if (move.kind === "new")
        return badge("new", "good");
    const up = move.by > 0;
    return badge(`${up ? "\u25b2" : "\u25bc"} ${Math.abs(move.by)}`, up ? "good" : "weak");
}

// The reasons behind a button: closed until somebody asks for them.
function reasonsOf(item, documents, palette) {
    const reasons = item.reasons || [];
    if (!reasons.length)
        return [null, null];
    const id = newId("reasons");
    const shown = el("div", {class: "reasons", id, hidden: true});
    const toggle = (event) => {
        shown.hidden = !shown.hidden;
        event.currentTarget.setAttribute("aria-expanded", String(!shown.hidden));
        if (!shown.hidden && !shown.childNodes.length)
            shown.append(reasonTable(item, documents, `Reasons of ${item.item_id}, which add up to its score`, palette));
    };
    return [el("button", {type: "button", class: "plain", "aria-expanded": "false", "aria-controls": id, click: toggle},
        `${reasons.length} ${reasons.length === 1 ? "reason" : "reasons"}`, el("span", {class: "unseen"}, ` of ${item.item_id}`)), shown];
}

// The list itself. `moves`: what changed of an item since the answer before.
export function answerList(items, documents, options = {}) {
    const most = Math.max(...items.map((item) => (item.reasons || []).reduce((sum, one) => sum + Math.abs(one.score), 0) || Math.abs(item.score)), 1);
    const palette = paletteOf(items);
    const line = (item) => {
        const [button, shown] = reasonsOf(item, documents, palette);
        return el("li", {class: "answer", "data-item": item.item_id, "data-score": item.score},
            el("span", {class: "rank"}, String(item.rank)),
            el("div", {class: "what"}, itemName(item.item_id, documents), options.moves ? moveBadge(options.moves.get(item.item_id)) : null),
            el("span", {class: "score"}, score(item.score)), bar(item, most, palette), button, shown);
    };
    return [legend(palette, documents), el("ol", {class: "answers"}, items.map(line)),
        documents.problem ? note("Titles cannot be read: ", documents.problem.message) : null,
        note("Scores are exact: the parts of a bar add up to the score beside it.")];
}

// Ids whose titles an answer needs.
export const idsOf = (items) => items.flatMap((item) => [item.item_id, ...(item.reasons || []).map((reason) => reason.because).filter(Boolean)]);
