// The backend that asks a server: jobs over HTTP, followed by server-sent events.
import { kept } from "./dom.js";

/** From the page's directory, so that a prefix of a reverse proxy stays. */
const BASE = new URL("./", document.baseURI);

/** Jobs that are under way, by their addresses: what is left behind is cancelled. */
const underWay = new Set();

const token = takeToken();

/** The token comes in the address once and goes from it, so that it is not shared with a link. */
function takeToken() {
  const url = new URL(location.href);
  const given = url.searchParams.get("token");
  if (given) {
    kept(() => sessionStorage.setItem("ddim-token", given));
    url.searchParams.delete("token");
    history.replaceState(null, "", url);
  }
  return given ?? kept(() => sessionStorage.getItem("ddim-token"));
}

const address = (path) => new URL(path.replace(/^\//, ""), BASE);

/** @param {string} path @param {RequestInit} [options] */
async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(address(path), { ...options, headers });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Error("the server does not answer: is it still running?");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw problem(body.error ?? `${answer.status} ${answer.statusText}`, body.field, answer.status);
}

const post = (path, body, signal) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });

function problem(message, field, status) {
  // Fields in backticks are for programmes; the page puts the message beside the control.
  const error = new Error(message.replace(/^`[\w.]+`:? /, ""));
  return Object.assign(error, { field: field ?? null, status });
}

const aborted = () => new DOMException("cancelled", "AbortError");

/** Events of a response, each once its empty line has come. */
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: null, name: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("id:")) event.id = line.slice(3).trim();
        else if (line.startsWith("event:")) event.name = line.slice(6).trim();
        else if (line.startsWith("data:")) event.data += line.slice(5).trimStart();
      }
      if (event.data) yield event;
    }
  }
}

/** Follows a job to its end, over connections that break. */
async function follow(job, onEvent, signal) {
  let seen = null;
  for (let attempt = 0; ; attempt++) {
    try {
      const headers = seen ? { "last-event-id": seen } : {};
      for await (const { id, name, data } of events(await ask(job.events, { headers, signal }))) {
        if (id) seen = id;
        attempt = 0;
        const body = JSON.parse(data);
        if (name === "done") return body;
        if (name === "failed") throw problem(body.error ?? "the job failed", body.field, 200);
        if (name === "cancelled") throw aborted();
        if (!signal.aborted) onEvent(name, body);
      }
      throw new Error("the connection ended before the job did");
    } catch (e) {
      if (e.name === "AbortError" || e.status || attempt >= 4) throw e;
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
    }
  }
}

/** URLs that an <img> can show. With a token they have to be fetched first, since an <img> says none. */
async function shown(urls, signal) {
  const local = urls.map((url) => address(url).href);
  if (!token) return local;
  const made = await Promise.allSettled(local.map(async (url) => URL.createObjectURL(await (await ask(url.slice(BASE.href.length), { signal })).blob())));
  const failed = made.find(({ status }) => status === "rejected");
  if (!failed) return made.map(({ value }) => value);
  made.forEach(({ value }) => value && URL.revokeObjectURL(value));
  throw failed.reason;
}

function start(kind, request, { previews = 16 } = {}, onEvent = () => {}) {
  const controller = new AbortController();
  const { signal } = controller;
  let path = null;
  const drop = (keepalive = false) => {
    if (path) ask(path, { method: "DELETE", keepalive }).catch(() => {});
    path = null;
  };
  const run = async () => {
    // Not aborted with the rest: a job whose answer is not waited for would go on.
    const job = await (await post("api/v1/jobs", { kind, request, previews })).json();
    path = `api/v1/jobs/${job.id}`;
    underWay.add(drop);
    try {
      if (signal.aborted) throw aborted();
      const { report, images = [], array, grid } = await follow(job, onEvent, signal);
      path = null;
      const all = await shown(grid ? [...images, grid] : images, signal);
      return { report, images: all.slice(0, images.length), grid: all[images.length], array: array ? async () => (await ask(array)).arrayBuffer() : null };
    } finally {
      underWay.delete(drop);
      if (signal.aborted) drop();
    }
  };
  const done = run();
  // Whoever cancels does not wait for what comes of it.
  done.catch(() => {});
  return { done, cancel: () => (controller.abort(), drop()) };
}

addEventListener("pagehide", () => underWay.forEach((drop) => drop(true)));

export const backend = {
  models: async () => (await (await ask("api/v1/models")).json()).models,
  plan: async (request) => (await post("api/v1/plan", request)).json(),
  start,
  release(result) {
    for (const url of [...(result?.images ?? []), result?.grid ?? ""]) if (url.startsWith("blob:")) URL.revokeObjectURL(url);
  },
  runs: {
    list: async () => (await (await ask("api/v1/runs")).json()).runs,
    get: async (name) => (await ask(`api/v1/runs/${encodeURIComponent(name)}`)).json(),
    pictures: (urls) => shown(urls),
  },
};
