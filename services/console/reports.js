// What `reco evaluate --json` wrote, drawn: a value with its interval, configurations beside each other, where the first hit stood.
import {get} from "./api.js";
import {badge, bytes, count, el, empty, facts, failure, loading, moment, note, replace, say, section, svg, table} from "./dom.js";

const number = (value, digits = 4) => Number.isFinite(value) ? value.toFixed(digits) : "\u2013";
const signed = (value) => Number.isFinite(value) ? (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(4) : "\u2013";
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// --- intervals -------------------------------------------------------------------------------------------------------------------------------

const WIDTH = 220, HEIGHT = 14;

// A point on a line from `least` to `most`, with its interval.
function interval(one, least, most, colour, zero) {
    const x = (value) => 4 + (WIDTH - 8) * (value - least) / (most - least || 1);
    const low = Number.isFinite(one.low) ? one.low : null;
    return svg("svg", {class: `interval stroke-${colour}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true", focusable: "false"},
        svg("line", {class: "base", x1: 4, x2: WIDTH - 4, y1: HEIGHT / 2, y2: HEIGHT / 2}),
        zero ? svg("line", {class: "zero", x1: x(0), x2: x(0), y1: 0, y2: HEIGHT}) : null,
        low !== null ? svg("line", {class: "range", x1: x(one.low), x2: x(one.high), y1: HEIGHT / 2, y2: HEIGHT / 2}) : null,
        svg("circle", {class: "point", cx: x(one.value), cy: HEIGHT / 2, r: 3.6}));
}

const within = (one) => Number.isFinite(one.low) ? `${number(one.low)} to ${number(one.high)}` : "\u2013";

function metricTable(report) {
    const sides = report.configurations;
    const names = [...new Set(sides.flatMap((side) => Object.keys(side.metrics)))];
    const rows = names.flatMap((name) => sides.map((side, at) => ({name, side, at, value: side.metrics[name] || {}})));
    const most = new Map(names.map((name) => [name, Math.max(...sides.map((side) => (side.metrics[name] || {}).high ?? (side.metrics[name] || {}).value ?? 0), 1e-9)]));
    return table("Metrics with their 95 % intervals", [
        {title: "Metric", head: true, cell: (row) => el("span", {class: row.at ? "unseen" : null}, row.name)},
        sides.length > 1 ? {title: "Configuration", cell: (row) => [el("span", {class: `dot colour-${row.at}`, "aria-hidden": "true"}), row.side.label]} : null,
        {title: "Value", number: true, cell: (row) => number(row.value.value)},
        {title: "95 % interval", number: true, cell: (row) => within(row.value)},
        {title: "From 0", cell: (row) => interval(row.value, 0, most.get(row.name), row.at)},
    ].filter(Boolean), rows, {kind: (row) => row.at ? "again" : null});
}

function differenceTable(report) {
    const rows = Object.entries(report.differences).filter(([, one]) => isObject(one)).map(([name, one]) => ({name, ...one, value: one.mean}));
    const most = Math.max(...rows.map((row) => Math.max(Math.abs(row.low), Math.abs(row.high))), 1e-9);
    const [first, second] = report.configurations;
    return section(`${second.label} less ${first.label}`, table("Differences, question by question", [
        {title: "Metric", head: true, cell: (row) => row.name},
        {title: "Difference", number: true, cell: (row) => signed(row.mean)},
        {title: "95 % interval", number: true, cell: (row) => `${signed(row.low)} to ${signed(row.high)}`},
        {title: "p", number: true, cell: (row) => number(row.p)},
        {title: "Better, worse", number: true, cell: (row) => `${count(row.better)}, ${count(row.worse)}`},
        {title: "Around 0", cell: (row) => interval(row, -most, most, row.low > 0 ? 2 : row.high < 0 ? 5 : 6, true)},
    ], rows));
}

// --- first hits ------------------------------------------------------------------------------------------------------------------------------

const COLUMN = 14, TALL = 90;

function firstHits(side, at) {
    const hits = side.first_hits;
    const [missed, ...ranks] = hits;
    const total = hits.reduce((sum, one) => sum + one, 0) || 1;
    const most = Math.max(...ranks, 1);
    const bars = ranks.map((value, rank) => svg("rect", {class: `fill-${at}`, x: rank * COLUMN + 1, width: COLUMN - 2, y: TALL - TALL * value / most, height: TALL * value / most},
        svg("title", null, `rank ${rank + 1}: ${count(value)}`)));
    const labels = ranks.map((_, rank) => rank === 0 || (rank + 1) % 5 === 0 ?
        svg("text", {x: rank * COLUMN + COLUMN / 2, y: TALL + 13, "text-anchor": "middle"}, String(rank + 1)) : null).filter(Boolean);
    const words = `First hit of a question by rank; ${count(missed)} of ${count(total)} had none`;
    return el("figure", null, svg("svg", {class: "hits", viewBox: `0 0 ${ranks.length * COLUMN} ${TALL + 18}`, role: "img", "aria-label":
        `${side.label}. ${words}: ${ranks.map((value, rank) => `${rank + 1}: ${value}`).join(", ")}`}, bars, labels), el("figcaption", null, `${side.label}: ${words.toLowerCase()}`));
}

// --- a report --------------------------------------------------------------------------------------------------------------------------------

const isAbsent = (value) => value === undefined || value === null;
const isScalar = (value) => ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
const isMapOf = (value, fits) => isObject(value) && Object.values(value).every(fits);
const areNumbers = (of, ...names) => names.every((name) => Number.isFinite(of[name]));
const areAbsentOrNumbers = (of, ...names) => names.every((name) => isAbsent(of[name]) || Number.isFinite(of[name]));

const isMetric = (one) => isObject(one) && areNumbers(one, "value") && (areNumbers(one, "low", "high") || isAbsent(one.low) && isAbsent(one.high));
const isDifference = (one) => isObject(one) && areNumbers(one, "mean", "low", "high", "p", "better", "worse");
const areHits = (hits) => Array.isArray(hits) && hits.every((one) => Number.isInteger(one) && one >= 0);
const isTuning = (one) => isObject(one) && typeof one.objective === "string" && areNumbers(one, "before", "after", "trials");

const isSide = (side) => isObject(side) && typeof side.label === "string" && side.label.trim() !== "" && isMapOf(side.metrics, isMetric) &&
    (isAbsent(side.first_hits) || areHits(side.first_hits)) && (isAbsent(side.settings) || isMapOf(side.settings, isScalar)) &&
    areAbsentOrNumbers(side, "learn_seconds", "ask_seconds", "answer_p50_us", "answer_p99_us");

// Whether all that is drawn is there and of its kind: any file may lie in the folder.
function isReport(report) {
    return isObject(report) && Array.isArray(report.configurations) && report.configurations.length > 0 && report.configurations.every(isSide) &&
        ["protocol", "train", "test", "depth", "seed", "resamples"].every((name) => isAbsent(report[name]) || isScalar(report[name])) &&
        areAbsentOrNumbers(report, "questions", "events", "users", "items") &&
        (isAbsent(report.differences) || isMapOf(report.differences, isDifference)) && (isAbsent(report.tuning) || isTuning(report.tuning));
}

function about(report) {
    const tuned = report.tuning;
    return section("Evaluation", facts([
        ["Protocol", report.protocol], ["Trained on", report.train], ["Tested on", report.test],
        ["Questions", Number.isFinite(report.questions) ? count(report.questions) : null],
        ["Events", Number.isFinite(report.events) ? count(report.events) : null],
        ["Users", Number.isFinite(report.users) ? count(report.users) : null],
        ["Items", Number.isFinite(report.items) ? count(report.items) : null],
        ["Depth", report.depth], ["Seed", report.seed], ["Resamples", report.resamples],
        ["Tuned", isObject(tuned) ? `${tuned.objective} from ${number(tuned.before)} to ${number(tuned.after)} in ${tuned.trials} trials` : null],
    ]));
}

function settings(report) {
    const sides = report.configurations.filter((side) => isObject(side.settings));
    const names = [...new Set(sides.flatMap((side) => Object.keys(side.settings)))];
    if (!names.length)
        return null;
    return section("Settings", table("Settings asked with", [
        {title: "Setting", head: true, cell: (row) => el("code", null, row)},
        ...sides.map((side) => ({title: side.label, number: true, cell: (row) => String(side.settings[row] ?? "\u2013")})),
    ], names));
}

function times(report) {
    return section("Times", table("Times of the run", [
        {title: "Configuration", head: true, cell: (row) => row.label},
        {title: "Learned in", number: true, cell: (row) => `${number(row.learn_seconds, 1)} s`},
        {title: "Asked in", number: true, cell: (row) => `${number(row.ask_seconds, 1)} s`},
        {title: "Median answer", number: true, cell: (row) => `${number(row.answer_p50_us, 0)} \u00b5s`},
        {title: "99 %", number: true, cell: (row) => `${number(row.answer_p99_us, 0)} \u00b5s`},
    ], report.configurations));
}

function draw(report) {
    if (!isReport(report))
        return section("Report", empty("This is no report as reco evaluate --json writes it."));
    const withHits = report.configurations.filter((side) => Array.isArray(side.first_hits) && side.first_hits.length > 1);
    return [about(report), section("Metrics", metricTable(report)),
        isObject(report.differences) && report.configurations.length === 2 ? differenceTable(report) : null,
        withHits.length ? section("First hits", el("div", {class: "halves"}, withHits.map((side) => firstHits(side, report.configurations.indexOf(side))))) : null,
        times(report), settings(report)];
}

// --- the list --------------------------------------------------------------------------------------------------------------------------------

const isPage = (name) => name.endsWith(".html");

const pageLink = (name) => el("a", {href: `console/reports/${encodeURIComponent(name)}`, target: "_blank", rel: "noopener"}, name, el("span", {class: "unseen"}, " (opens a new tab)"));

function listed(told, chosen) {
    const line = (one) => {
        const link = isPage(one.name) ? pageLink(one.name) :
            el("a", {href: `#/reports/${encodeURIComponent(one.name)}`, "aria-current": one.name === chosen ? "true" : null}, one.name);
        return el("li", null, link, el("span", {class: "aside"}, isPage(one.name) ? badge("page") : null, moment(one.modified), bytes(one.size)));
    };
    return section("Reports", told.reports.length ? el("ul", {class: "lines", id: "listed"}, told.reports.map(line)) :
        empty("The folder has no report yet: reco evaluate \u2026 --json > FOLDER/name.json writes one."), told.more ? note("Only the newest are listed.") : null);
}

export async function reports({main, place, state, signal}) {
    const into = el("div", {id: "result"}, loading("Asking\u2026"));
    replace(main, el("h1", {tabindex: "-1"}, "Reports"), into);
    if (!state.reports) {
        replace(into, empty("No folder of reports is set: services.reports names one, and what reco evaluate writes there is shown here."));
        return;
    }
    try {
        const told = await get("/console/reports", {}, signal);
        const chosen = place.id || (told.reports.find((one) => one.name.endsWith(".json")) || {}).name;
        const shown = el("div", {class: "wide"}, chosen ? loading("Reading\u2026") : null);
        replace(into, el("div", {class: "columns"}, el("div", {class: "side"}, listed(told, chosen)), shown));
        if (!chosen)
            return;
        if (!/^[A-Za-z0-9]/.test(chosen)) { // never of the folder; and `..` would be a step within the path
            replace(shown, failure({title: "Not found.", message: "there is no such report"}));
            return;
        }
        if (isPage(chosen)) {
            replace(shown, section("Report", el("p", null, "A page, which opens in a tab of its own: ", pageLink(chosen))));
            return;
        }
        try {
            replace(shown, draw(await get(`/console/reports/${encodeURIComponent(chosen)}`, {}, signal)));
            say(`Report ${chosen}`);
        } catch (error) {
            if (error.name === "AbortError")
                throw error;
            replace(shown, failure(error));
        }
    } catch (error) {
        if (error.name !== "AbortError")
            replace(into, failure(error));
    }
}
