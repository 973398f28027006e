// Elements out of data. Everything is put in as text: ids, titles and messages are what strangers wrote, and none of them is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value === null || value === undefined || value === false)
            continue;
        if (typeof value === "function")
            node.addEventListener(name, value);
        else
            node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
}

// An element; functions among the attributes are listeners, and children are nodes or texts.
export function el(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function replace(node, ...children) {
    node.replaceChildren();
    return fill(node, null, children);
}

let unique = 0;
export const newId = (what) => `${what}-${++unique}`;

// An id or a category as it is: blanks at its ends are a part of it, and are marked.
export function exact(text) {
    const begin = text.length - text.trimStart().length, end = Math.max(begin, text.trimEnd().length);
    const blanks = (part) => [...part].map((one) => el("span", {class: "blank", role: "img", "aria-label": "blank"}, one));
    return [blanks(text.slice(0, begin)), text.slice(begin, end), blanks(text.slice(end))];
}

// --- numbers, times --------------------------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
export const count = (value) => whole.format(value);

// A score is an integer of micro-units; six places show all of it.
export function score(micro) {
    return (micro < 0 ? "\u2212" : "") + (Math.abs(micro) / 1e6).toFixed(6);
}

export function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    for (; value >= 1024 && at + 1 < units.length; at++)
        value /= 1024;
    return `${at && value < 100 ? value.toFixed(1) : value.toFixed(0)} ${units[at]}`;
}

export function seconds(value) {
    if (!Number.isFinite(value))
        return "\u2013";
    if (value === 0)
        return "0 s";
    if (value < 1e-3)
        return `${(value * 1e6).toFixed(0)} \u00b5s`;
    if (value < 1)
        return `${(value * 1e3).toFixed(value < 0.01 ? 2 : value < 0.1 ? 1 : 0)} ms`;
    return value < 120 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(0)} min`;
}

export function rate(value) {
    if (!Number.isFinite(value))
        return "\u2013";
    return value === 0 ? "0" : value < 10 ? value.toFixed(1) : count(value);
}

const AGES = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [Infinity, 86400, "d"]];

export function moment(text) {
    const at = Date.parse(text);
    if (Number.isNaN(at))
        return el("span", null, text);
    const ago = (Date.now() - at) / 1000;
    const [, unit, name] = AGES.find(([most]) => Math.abs(ago) < most);
    const words = Math.abs(ago) < 1 ? "now" : `${Math.round(Math.abs(ago) / unit)} ${name} ${ago < 0 ? "ahead" : "ago"}`;
    return el("time", {datetime: text, title: text}, words);
}

// --- pieces of pages -------------------------------------------------------------------------------------------------------------------------

export function section(title, ...children) {
    const id = newId("section");
    return el("section", {class: "card", "aria-labelledby": id}, el("h2", {id}, title), ...children);
}

// A section that folds: open on a desk, closed on a phone, and as the reader left it.
const folded = new Map();
export function fold(title, open, ...children) {
    const wide = matchMedia("(min-width: 60rem)").matches;
    const shown = folded.has(title) ? folded.get(title) : wide;
    const made = el("details", {class: "card fold", open: open || shown, toggle: () => folded.set(title, made.open)}, el("summary", null, el("h2", null, title)), ...children);
    return made;
}

export const note = (...children) => el("p", {class: "note"}, ...children);
export const badge = (text, kind) => el("span", {class: "badge" + (kind ? " " + kind : "")}, text);

// Names and values; a row whose value is null is left out.
export function facts(rows) {
    const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return el("dl", {class: "facts"}, shown.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
}

// A table in a box that scrolls by itself, by keyboard too. Columns: {title, cell(row), number, head}; options: {kind(row): the class of a row}.
export function table(caption, columns, rows, options = {}) {
    const cell = (column, row) => {
        const value = column.cell(row);
        const attributes = {class: column.number ? "number" : null};
        return column.head ? el("th", {...attributes, scope: "row"}, value) : el("td", attributes, value);
    };
    const head = columns.map((column) => el("th", {scope: "col", class: column.number ? "number" : null}, column.title));
    return el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption},
        el("table", null, el("caption", {class: "unseen"}, caption), el("thead", null, el("tr", null, head)),
            el("tbody", null, rows.map((row) => el("tr", {class: options.kind ? options.kind(row) : null}, columns.map((column) => cell(column, row)))))));
}

export const loading = (what) => el("p", {class: "loading"}, what);
export const empty = (...children) => el("p", {class: "empty"}, ...children);

// What went wrong, in the words of the service.
export function failure(error, again) {
    const named = (error.errors || []).find((one) => one.field && one.detail === error.message);
    const fields = (error.errors || []).filter((one) => one.detail && one.detail !== error.message);
    return el("div", {class: "failure", role: "alert"},
        el("p", null, el("strong", null, error.title || "It did not work."), " ", named ? [el("code", null, named.field), ": "] : null, error.message),
        fields.length ? el("ul", null, fields.map((one) => el("li", null, el("code", null, one.field), ": ", one.detail))) : null,
        again ? el("button", {type: "button", click: again}, "Try again") : null);
}

// --- forms -----------------------------------------------------------------------------------------------------------------------------------

// A labelled input; options: {kind (a class), hint, list, exact (blanks at the ends count), ...attributes of the input}.
export function field(name, label, options = {}) {
    const {hint, list, kind, exact, ...attributes} = options;
    const id = newId("field");
    const hintId = hint ? id + "-hint" : null;
    const listId = list ? id + "-list" : null;
    return el("div", {class: kind ? `field ${kind}` : "field"}, el("label", {for: id}, label),
        el("input", {id, name, type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": hintId, list: listId,
            "data-exact": exact, ...attributes}),
        list ? el("datalist", {id: listId}, list.map((one) => el("option", {value: one}))) : null,
        hint ? el("span", {class: "hint", id: hintId}, hint) : null);
}

export const idField = (name, label, options) => field(name, label, {required: true, maxlength: 256, kind: "wide", exact: true, ...options});

export function form(name, submit, label, ...fields) {
    return el("form", {class: "ask", name, "aria-label": name, submit: (event) => {
        event.preventDefault();
        const values = {};
        for (const [key, value] of new FormData(event.target))
            values[key] = "exact" in event.target.elements.namedItem(key).dataset ? value : value.trim();
        submit(values, event.target);
    }}, ...fields, el("button", {type: "submit", class: "main"}, label));
}

// On a phone: shows the fields of its form that are seldom needed.
export function moreButton(open) {
    return el("button", {type: "button", class: "more", "aria-expanded": String(open), click: (event) => {
        const shown = event.currentTarget.form.classList.toggle("open");
        event.currentTarget.setAttribute("aria-expanded", String(shown));
    }}, "More");
}

// Marks the inputs that an error names, and tells what is wrong with them.
export function markFields(of, error) {
    for (const input of of.querySelectorAll("[aria-invalid]"))
        input.removeAttribute("aria-invalid");
    const wrong = (error ? error.errors || [] : []).map((one) => of.elements.namedItem(one.field)).filter((one) => one instanceof HTMLElement);
    for (const input of wrong)
        input.setAttribute("aria-invalid", "true");
    of.classList.toggle("open", of.classList.contains("open") || wrong.length > 0);
    if (wrong.length)
        wrong[0].focus();
}

// For those who do not see what has changed.
export function say(text) {
    document.getElementById("said").textContent = text;
}
