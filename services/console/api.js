// Questions to the service this page came from. An error is thrown as a Problem with the words of problem+json.

export class Problem extends Error {
    constructor(status, title, detail, errors) {
        super(detail);
        this.status = status;
        this.title = title ? title.charAt(0).toUpperCase() + title.slice(1) + "." : "";
        this.errors = Array.isArray(errors) ? errors : [];
    }
}

function queryOf(parameters) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters || {}))
        for (const one of Array.isArray(value) ? value : [value])
            if (one !== null && one !== undefined && one !== "")
                query.append(name, one);
    const text = query.toString();
    return text ? "?" + text : "";
}

async function problemOf(response) {
    try {
        const told = await response.json();
        return new Problem(response.status, told.title, told.detail, told.errors);
    } catch {
        return new Problem(response.status, `Status ${response.status}`, "The service did not say why.", []);
    }
}

// Paths are taken from the page on: behind a proxy it may lie below a path of its own.
async function send(path, options) {
    let response;
    try {
        response = await fetch(`.${path}`, {credentials: "same-origin", redirect: "error", ...options});
    } catch (error) {
        if (error.name === "AbortError")
            throw error;
        window.dispatchEvent(new Event("unreachable"));
        throw new Problem(0, "No answer", "The service cannot be reached.", []);
    }
    if (!response.ok)
        throw await problemOf(response);
    return response;
}

async function json(response) {
    try {
        return await response.json();
    } catch (error) {
        if (error.name === "AbortError")
            throw error;
        throw new Problem(0, "Unreadable", "The answer is not JSON.", []);
    }
}

export const get = async (path, parameters, signal) => json(await send(path + queryOf(parameters), {signal}));
export const text = async (path, signal) => (await send(path, {signal})).text();
export const post = async (path, body, signal) =>
    json(await send(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal}));

// Documents of items by their ids. Ids never stand in a path here: browsers take `.` and `..` for steps within it, even percent-encoded.
export async function documents(ids, signal) {
    const found = new Map();
    const wanted = [...new Set(ids)];
    for (let at = 0; at < wanted.length; at += 500)
        for (const one of (await post("/console/items", {items: wanted.slice(at, at + 500)}, signal)).items)
            found.set(one.item_id, one);
    return found;
}

// The same for their titles, which are an extra: where they cannot be had, ids are shown, and `problem` says why.
export async function titles(ids, signal) {
    try {
        return await documents(ids, signal);
    } catch (error) {
        if (error.name === "AbortError")
            throw error;
        return Object.assign(new Map(), {problem: error});
    }
}
