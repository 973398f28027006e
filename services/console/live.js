// What this process does at the moment, out of its /metrics: two readings make a rate, a minute of them a quantile. Figures of other services are
// theirs to tell; where a figure may be zero for that reason, the page says so.
import {text} from "./api.js";
import {bytes, count, el, empty, failure, loading, note, rate, replace, say, seconds, section, svg, table} from "./dom.js";
import {grown, has, parse, quantile, series, sum} from "./metrics.js";

const EVERY_MS = 2000;
const KEPT = 61; // readings: two minutes
const RECENT = 31; // for quantiles: one minute
const SAY_EVERY_MS = 30000;
const EFFECT = "reco_event_to_effect_seconds";
const QUESTIONS = /^\/(recommendations|popular|rank|similar|explain|items\/\{item_id\}\/similar)/;
const isQuestion = (labels) => QUESTIONS.test(labels.route || "");
const isFailure = (labels) => Number(labels.status) >= 500;

// --- drawing ---------------------------------------------------------------------------------------------------------------------------------

const WIDTH = 160, HEIGHT = 34;

function sparkline(values) {
    const known = values.filter(Number.isFinite);
    const most = Math.max(...known, 1e-9);
    const x = (at) => WIDTH - (values.length - 1 - at) * WIDTH / (KEPT - 2);
    const y = (value) => HEIGHT - 2 - (HEIGHT - 5) * value / most;
    const points = values.map((value, at) => Number.isFinite(value) ? [x(at), y(value)] : null).filter(Boolean);
    const line = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
    return svg("svg", {class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false"},
        svg("line", {class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 1.5, y2: HEIGHT - 1.5}),
        points.length > 1 ? svg("polygon", {class: "area", points: `${points[0][0].toFixed(1)},${HEIGHT - 2} ${line} ${points[points.length - 1][0].toFixed(1)},${HEIGHT - 2}`}) : null,
        points.length > 1 ? svg("polyline", {class: "line", points: line}) : null);
}

function figure(name, value, hint, values) {
    return el("div", {class: "figure", "data-figure": name}, el("dt", null, name), el("dd", null, el("span", {class: "value"}, value), values ? sparkline(values) : null,
        hint ? el("span", {class: "hint"}, hint) : null));
}

// --- readings --------------------------------------------------------------------------------------------------------------------------------

// The rate between each reading and the one before.
function rates(readings, name, wanted) {
    return readings.slice(1).map((one, at) => grown(readings[at].found, one.found, name, wanted) / ((one.at - readings[at].at) / 1000));
}

// Over the last ten seconds or so, which is calmer than the last step.
function rateNow(readings, name, wanted) {
    const last = readings[readings.length - 1], first = readings[Math.max(0, readings.length - 6)];
    return last === first ? NaN : grown(first.found, last.found, name, wanted) / ((last.at - first.at) / 1000);
}

function minute(readings) {
    return [readings[Math.max(0, readings.length - RECENT)].found, readings[readings.length - 1].found];
}

const share = (part, whole) => whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "\u2013";

// Of questions, as of the newest reading; they are kept with it, for the lines.
function quantiles(readings) {
    const [before, now] = minute(readings);
    const of = (share) => quantile(share, before, now, "http_request_duration_seconds", isQuestion);
    return {p50: of(0.5), p99: of(0.99)};
}

function headline(readings) {
    const [before, now] = minute(readings);
    const asked = rateNow(readings, "http_request_duration_seconds_count", isQuestion);
    const {p50, p99} = readings[readings.length - 1];
    const taken = sum(now, "reco_events_accepted_total");
    const effect = (share) => seconds(quantile(share, before, now, EFFECT));
    return {asked, p99, shown: el("dl", {class: "figures"},
        figure("Answers per second", rate(asked), "questions answered here", rates(readings, "http_request_duration_seconds_count", isQuestion)),
        figure("Median answer", seconds(p50), "of the last minute", readings.slice(1).map((one) => one.p50)),
        figure("99th percentile", seconds(p99), "of the last minute", readings.slice(1).map((one) => one.p99)),
        figure("Failures per second", rate(rateNow(readings, "http_requests_total", isFailure)), "status 500 and above", rates(readings, "http_requests_total", isFailure)),
        figure("Events per second", rate(rateNow(readings, "reco_events_accepted_total")),
            taken ? `${count(taken)} taken since it started` : "none taken by this process; reco-ingest counts its own", rates(readings, "reco_events_accepted_total")),
        figure("Learning is behind", has(now, "reco_stream_lag") ? `${count(sum(now, "reco_stream_lag"))} records` : "\u2013",
            has(now, "reco_stream_lag_seconds") ? seconds(sum(now, "reco_stream_lag_seconds")) + " in time" : "told by reco-processor", readings.map((one) => sum(one.found, "reco_stream_lag"))),
        figure("Event to answers", effect(0.99), sum(now, EFFECT + "_count") ? `99 % of the last minute; half within ${effect(0.5)}` : "told by who learns: reco-processor"),
        figure("Nothing personal", share(grown(before, now, "reco_fallback_total"), grown(before, now, "reco_recommendations_total")), "fallback answers, of the last minute"),
        figure("Memory", bytes(sum(now, "process_resident_memory_bytes")), `${count(sum(now, "process_threads"))} threads`))};
}

function degraded(readings) {
    const last = readings[readings.length - 1].found;
    const rows = series(last, "reco_degraded_total").map((one) => ({reason: one.labels.reason, total: one.value,
        rate: rateNow(readings, "reco_degraded_total", (labels) => labels.reason === one.labels.reason)}));
    const met = rows.filter((row) => row.total > 0);
    return section("Degraded answers", met.length ? table("Degraded answers by reason", [
        {title: "Reason", head: true, cell: (row) => row.reason.replaceAll("_", " ")},
        {title: "Per second", number: true, cell: (row) => rate(row.rate)},
        {title: "Since start", number: true, cell: (row) => count(row.total)},
    ], met) : empty("No answer lacked anything since the process started."));
}

function routes(readings) {
    const [before, now] = minute(readings);
    const nameOf = (labels) => labels.route ? `${labels.method} ${labels.route}` : `${labels.method}: no such path`;
    const names = [...new Set(series(now, "http_requests_total").map((one) => nameOf(one.labels)))];
    const rows = names.map((name) => {
        const of = (labels) => nameOf(labels) === name;
        return {name, rate: rateNow(readings, "http_requests_total", of), total: sum(now, "http_requests_total", of),
            p50: quantile(0.5, before, now, "http_request_duration_seconds", of), p99: quantile(0.99, before, now, "http_request_duration_seconds", of),
            wrong: sum(now, "http_requests_total", (labels) => of(labels) && Number(labels.status) >= 400)};
    }).sort((a, b) => b.rate - a.rate || b.total - a.total);
    return section("Requests", table("Requests by route", [
        {title: "Route", head: true, cell: (row) => el("code", null, row.name)},
        {title: "Per second", number: true, cell: (row) => rate(row.rate)},
        {title: "Median", number: true, cell: (row) => seconds(row.p50)},
        {title: "99 %", number: true, cell: (row) => seconds(row.p99)},
        {title: "400 and above", number: true, cell: (row) => count(row.wrong)},
        {title: "Since start", number: true, cell: (row) => count(row.total)},
    ], rows));
}

const WHOLE = ["used", "disk", "file"];

function stores(readings) {
    const now = readings[readings.length - 1].found;
    const found = series(now, "reco_store_bytes");
    const names = [...new Set([...series(now, "reco_store_up"), ...found].map((one) => one.labels.store))]; // one that is away has no sizes
    const of = (store, name) => found.find((one) => one.labels.store === store && one.labels.table === name)?.value;
    const rows = names.map((store) => ({store, up: series(now, "reco_store_up").find((one) => one.labels.store === store)?.value,
        whole: WHOLE.map((name) => of(store, name)),
        tables: found.filter((one) => one.labels.store === store && !WHOLE.includes(one.labels.table) && !/^partition_|^appended$|^read$/.test(one.labels.table))}));
    const size = (value) => value === undefined ? "\u2013" : bytes(value);
    const known = [["items", "reco_items"], ["users", "reco_users"]].filter(([, name]) => has(now, name)).map(([word, name]) => `${count(sum(now, name))} ${word}`);
    return section("Stores", rows.length ? table("Stores and their sizes", [
        {title: "Store", head: true, cell: (row) => [row.store, row.up === 0 ? [" ", el("span", {class: "badge bad"}, "down")] : null]},
        {title: "Used", number: true, cell: (row) => size(row.whole[0])},
        {title: "On disk", number: true, cell: (row) => size(row.whole[1])},
        {title: "Tables", cell: (row) => row.tables.filter((one) => one.value > 0).sort((a, b) => b.value - a.value).map((one) => `${one.labels.table} ${bytes(one.value)}`).join(", ") || "\u2013"},
    ], rows) : empty("This process does not tell sizes of stores."), known.length ? note(`Known: ${known.join(", ")}.`) : null);
}

// --- together --------------------------------------------------------------------------------------------------------------------------------

export function live({main, signal}) {
    const into = el("div", {id: "result"}, loading("Reading metrics\u2026"));
    const readings = [];
    let paused = false, said = 0, timer = 0;
    const words = el("span", {class: "hint", id: "read"}, "");
    const button = el("button", {type: "button", id: "pause", click: () => {
        paused = !paused;
        button.textContent = paused ? "Go on" : "Pause";
        say(paused ? "Paused" : "Going on");
        if (!paused)
            step();
    }}, "Pause");
    replace(main, el("h1", {tabindex: "-1"}, "Live"), el("div", {class: "row"}, button, words), into);

    const drawn = () => {
        const {asked, p99, shown} = headline(readings);
        const held = [...into.querySelectorAll("[tabindex]")].indexOf(document.activeElement);
        replace(into, shown, el("div", {class: "halves"}, degraded(readings), stores(readings)), routes(readings),
            note("All of it is of this process alone, out of its /metrics."));
        if (held >= 0)
            into.querySelectorAll("[tabindex]")[held]?.focus();
        words.textContent = `read every ${EVERY_MS / 1000} s, ${readings.length} readings`;
        if (readings.length > 2 && Date.now() - said > SAY_EVERY_MS) {
            said = Date.now();
            say(`${rate(asked)} answers per second, 99th percentile ${seconds(p99)}`);
        }
    };
    const step = async () => {
        clearTimeout(timer);
        if (signal.aborted || paused)
            return;
        try {
            if (!document.hidden || readings.length === 0) {
                const found = parse(await text("/metrics", signal));
                readings.push({at: performance.now(), found});
                readings.splice(0, readings.length - KEPT);
                Object.assign(readings[readings.length - 1], quantiles(readings));
                if (!paused)
                    drawn();
            }
        } catch (error) {
            if (error.name === "AbortError")
                return;
            replace(into, failure(error));
        }
        if (!signal.aborted && !paused)
            timer = setTimeout(step, EVERY_MS);
    };
    signal.addEventListener("abort", () => clearTimeout(timer));
    step();
}
