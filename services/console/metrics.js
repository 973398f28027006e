// Metrics of Prometheus as they stand in /metrics, and what two readings of them say: rates, and quantiles out of histograms.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = {n: "\n", "\\": "\\", '"': '"'};

function labelsOf(text) {
    const labels = {};
    for (const [, name, value] of (text || "").matchAll(LABEL))
        labels[name] = value.replace(/\\(.)/g, (_, letter) => ESCAPES[letter] ?? letter);
    return labels;
}

// A reading: name -> [{labels, value}].
export function parse(text) {
    const families = new Map();
    for (const line of text.split("\n")) {
        const found = line.startsWith("#") ? null : LINE.exec(line);
        if (!found)
            continue;
        const series = families.get(found[1]) || [];
        series.push({labels: labelsOf(found[2]), value: found[3] === "+Inf" ? Infinity : Number(found[3])});
        families.set(found[1], series);
    }
    return families;
}

const all = () => true;
export const series = (reading, name) => reading.get(name) || [];
export const sum = (reading, name, wanted = all) => series(reading, name).reduce((total, one) => total + (wanted(one.labels) ? one.value : 0), 0);
export const has = (reading, name) => reading.has(name);

// How much a counter grew; a counter that fell began anew.
export function grown(before, now, name, wanted = all) {
    const from = sum(before, name, wanted), to = sum(now, name, wanted);
    return to >= from ? to - from : to;
}

// Upper bounds with how many came between two readings at or below each.
function bucketsOf(before, now, name, wanted) {
    const totals = new Map();
    const add = (reading, sign) => {
        for (const one of series(reading, name + "_bucket"))
            if (wanted(one.labels)) {
                const bound = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
                totals.set(bound, (totals.get(bound) || 0) + sign * one.value);
            }
    };
    add(now, 1);
    add(before, -1);
    return [...totals].sort((a, b) => a[0] - b[0]);
}

// The quantile as a histogram can tell it: straight between the bounds of its bucket. NaN when nothing came; beyond the last bound it is that bound.
export function quantile(share, before, now, name, wanted = all) {
    const buckets = bucketsOf(before, now, name, wanted);
    const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
    if (total <= 0)
        return NaN;
    const rank = share * total;
    let below = 0, from = 0;
    for (const [bound, upTo] of buckets) {
        if (upTo >= rank) {
            if (bound === Infinity)
                return from;
            return upTo === below ? bound : from + (bound - from) * (rank - below) / (upTo - below);
        }
        [below, from] = [upTo, bound];
    }
    return from;
}
