// The frame: which view the address names, and the state of the service. Every view has an address (#/user/u1?limit=20), so that it can be kept,
// sent and loaded again. What is asked for one view is given up when another one is opened.
import {get} from "./api.js";
import {el, empty, failure, replace, say} from "./dom.js";
import {item} from "./item.js";
import {live} from "./live.js";
import {popular} from "./popular.js";
import {reports} from "./reports.js";
import {user} from "./user.js";

const VIEWS = {user, item, popular, live, reports, "": nowhere};
const TITLES = {user: "User", item: "Item", popular: "Popular", live: "Live", reports: "Reports"};
const READY_EVERY_MS = 2500;
const STATE_EVERY = 6; // of them
const PATIENCE_MS = 5000; // with a service that is there and does not answer

const main = document.getElementById("main");
const state = {mode: "read", reports: false, version: ""};
let current = null; // {name, ended}

const NAMED = ["user", "item", "reports"]; // views whose address may have an id
const NOWHERE = {name: "", id: "", query: new URLSearchParams()};

function parse(hash) {
    const whole = hash.replace(/^#\/?/, ""), mark = whole.indexOf("?");
    const [name, id, ...more] = (mark < 0 ? whole : whole.slice(0, mark)).split("/");
    if (name && !Object.hasOwn(TITLES, name) || more.length || id && !NAMED.includes(name))
        return NOWHERE;
    try {
        return {name: name || "user", id: decodeURIComponent(id || ""), query: new URLSearchParams(mark < 0 ? "" : whole.slice(mark + 1))};
    } catch {
        return NOWHERE; // not UTF-8, which every id is
    }
}

function nowhere({main}) {
    replace(main, el("h1", {tabindex: "-1"}, "No such page"), el("div", {id: "result"},
        empty("There is nothing at this address. A slash within an id is written %2F. ", el("a", {href: "#/user"}, "Look up a user"), ".")));
    say("No such page");
}

// The address of a view; what is empty is left out.
export function addressOf(name, id, query) {
    const kept = Object.entries(query || {}).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const text = new URLSearchParams(kept).toString();
    return `#/${name}${id ? "/" + encodeURIComponent(id) : ""}${text ? "?" + text : ""}`;
}

function drawNavigation(name) {
    replace(document.getElementById("views"), Object.keys(TITLES).map((one) =>
        el("a", {href: `#/${one}`, "aria-current": one === name ? "page" : null}, TITLES[one])));
}

// Opens what the address names. Within a view the focus stays where it is; a new view begins at its heading.
function open(moved) {
    const place = parse(location.hash);
    const same = current && current.name === place.name;
    if (current)
        current.ended.abort();
    const ended = new AbortController();
    current = {name: place.name, ended};
    if (!same)
        drawNavigation(place.name);
    document.title = `${place.id ? place.id + " \u2013 " : ""}${TITLES[place.name] || "No such page"} \u2013 libreco`;
    say("");
    const go = (id, query) => {
        const address = addressOf(place.name, id, query);
        if (address === location.hash)
            open(false);
        else
            location.hash = address;
    };
    const held = same ? document.activeElement && document.activeElement.getAttribute("name") : null;
    const form = held && document.activeElement.form ? document.activeElement.form.name : null;
    try {
        VIEWS[place.name]({main, place, state, readsOnly, go, signal: ended.signal});
    } catch (error) {
        replace(main, el("h1", {tabindex: "-1"}, TITLES[place.name]), failure(error));
    }
    if (same && form)
        document.querySelector(`form[name="${CSS.escape(form)}"] [name="${CSS.escape(held)}"]`)?.focus();
    else if (same && moved && (!document.activeElement || document.activeElement === document.body))
        main.querySelector("h1")?.focus();
    else if (!same && moved)
        main.querySelector("h1")?.focus();
    if (!same)
        window.scrollTo(0, 0);
}

function drawChips() {
    const mode = document.getElementById("mode");
    replace(mode, state.mode === "write" ? el("span", null, "may post", el("span", {class: "wordy"}, " events")) : "read only");
    mode.className = "chip" + (state.mode === "write" ? " warn" : "");
    mode.hidden = false;
    document.getElementById("version").textContent = `libreco ${state.version}`;
}

async function settle() {
    try {
        Object.assign(state, await get("/console/state", {}, AbortSignal.timeout(PATIENCE_MS)));
        drawChips();
    } catch {
        // the views say what they cannot get; it is asked again
    }
}

// Whether an event was refused because the service, started again, does not take any.
async function readsOnly(error) {
    if (error.status === 404)
        await settle();
    return state.mode !== "write";
}

let looks = 0, looking = false;

async function look() {
    if (document.hidden || looking)
        return;
    looking = true;
    if (!state.version || ++looks % STATE_EVERY === 0)
        await settle();
    await drawReady();
    looking = false;
}

async function drawReady() {
    const chip = document.getElementById("ready");
    try {
        const told = await get("/ready", {verbose: "true"}, AbortSignal.timeout(PATIENCE_MS));
        const lacking = told.degraded_reasons || [];
        const words = lacking.length ? "degraded: " + lacking.join(", ") : told.lag ? `ready, ${told.lag} behind` : "ready";
        replace(chip, el("span", {class: "dot " + (lacking.length ? "warn" : "good"), "aria-hidden": "true"}), words);
        chip.title = "";
    } catch (error) {
        looks = -1; // it may come back as another one
        replace(chip, el("span", {class: "dot bad", "aria-hidden": "true"}), el("span", {class: "clip"}, `not ready: ${error.message}`));
        chip.title = error.message; // whole
    }
    chip.hidden = false;
}

function skip(event) {
    event.preventDefault(); // the address is that of the view
    main.focus();
    main.scrollIntoView();
}

async function start() {
    document.getElementById("skip").addEventListener("click", skip);
    await settle();
    window.addEventListener("hashchange", () => open(true));
    open(false);
    look();
    setInterval(look, READY_EVERY_MS);
    document.addEventListener("visibilitychange", look);
    window.addEventListener("unreachable", look);
}

start();
