// The engine in this very browser, as the studio's page wants a backend: no server but one for files, which lie beside this one.
//
//   ddim_web.wasm, worker.js          the engine, and what runs it
//   models/models.json                what the models are: the answer to the engine's `models`; the first is the default
//   models/NAME/unet/…safetensors     their weights, fetched when a job first wants them
//
// Jobs are worked on one after the other. Cancelling ends the worker, which cannot listen while it computes, and a spare one takes its place; where the page is
// cross-origin isolated a flag in shared memory stops the job between two steps instead. Plans are made by the spare one, at once.

const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
const at = (path) => new URL(path, import.meta.url);

async function fetched(path) {
  const response = await fetch(at(path)).catch(() => null);
  if (!response?.ok) throw new Error(`${path}: ${response ? `${response.status} ${response.statusText}` : "not available"}: expected the file beside the page`);
  return response;
}

/** What a function gives, made once; made again where it failed. */
function once(make) {
  let made = null;
  return () => (made ??= make().catch((error) => {
    made = null;
    throw error;
  }));
}

const compiled = once(async () => {
  const response = await fetched("ddim_web.wasm");
  // A host that does not know the type must not be the end.
  if ((response.headers.get("content-type") ?? "").startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
});

const known = once(async () => (await (await fetched("models/models.json")).json()).models);

const loading = new Map();

function weights(name) {
  if (!loading.has(name)) {
    loading.set(name, once(async () => {
      const names = (await known()).map(({ model }) => model);
      if (!names.includes(name)) throw problem({ error: `${JSON.stringify(name)}: expected ${names.join(", ")}`, field: "model" });
      return (await fetched(`models/${name}/${WEIGHTS}`)).arrayBuffer();
    }));
  }
  return loading.get(name)();
}

/** What the engine says is wrong, as an error with its field. */
function problem({ error, field, cancelled }) {
  if (cancelled) return aborted();
  // Fields in backticks are for programmes; the page puts the message beside the control.
  return Object.assign(new Error(error.replace(/^`[\w.]+`:? /, "")), { field: field ?? null });
}

const aborted = () => new DOMException("cancelled", "AbortError");

/** The worker that works, and the one that would take its place. */
let worker = null;
let spare = null;

const queue = [];
let current = null;
let last = 0;

function hired(module) {
  const made = {
    worker: new Worker(at("worker.js"), { type: "module" }),
    stop: globalThis.crossOriginIsolated ? new Int32Array(new SharedArrayBuffer(4)) : null,
    models: new Set(),
    plans: new Map(),
  };
  made.worker.onmessage = ({ data }) => heard(made, data);
  made.worker.onerror = (event) => heard(made, { failed: event.message || "the worker did not start" });
  made.worker.postMessage({ module, stop: made.stop });
  return made;
}

/** Hands a model over, unless it was. Messages wait until the worker listens. */
function give(to, name, bytes) {
  if (to.models.has(name)) return;
  to.models.add(name);
  to.worker.postMessage({ model: name, bytes });
}

/** Ends a worker that may be in the middle of something; plans that it was asked for are made by another. */
function dismiss(other) {
  other.worker.onmessage = other.worker.onerror = null;
  other.worker.terminate();
  if (other === worker) worker = null;
  if (other === spare) spare = null;
  other.plans.forEach(plan);
}

const settle = (job, answer) => ("error" in answer ? job.reject(problem(answer)) : job.resolve(answer));

function heard(from, data) {
  const job = current?.posted && from === worker ? current : null;
  if (data.failed) {
    const failed = problem({ error: data.failed });
    from.plans.forEach((plan) => plan.reject(failed));
    from.plans.clear();
    // What is left of it is not to be trusted.
    dismiss(from);
    if (job) end(job, () => job.reject(failed));
  } else if (from.plans.has(data.id)) {
    settle(from.plans.get(data.id), data.answer);
    from.plans.delete(data.id);
  } else if (job && data.id === job.id) {
    if (data.event) job.tell(...data.event);
    else if (data.image) job.images.push(data.image);
    else if (data.array) job.array = data.array;
    else if (data.answer) end(job, () => settle(job, data.answer));
  }
}

function end(job, settle) {
  if (job !== current) return;
  current = null;
  settle();
  next();
}

async function next() {
  if (current || !queue.length) return;
  const job = (current = queue.shift());
  try {
    const [module, ...bytes] = await Promise.all([compiled(), ...job.models.map(weights)]);
    // Called off while the files came.
    if (job !== current) return;
    worker ??= spare ?? hired(module);
    if (worker === spare) spare = null;
    job.models.forEach((name, i) => give(worker, name, bytes[i]));
    if (worker.stop) Atomics.store(worker.stop, 0, 0);
    job.posted = true;
    worker.worker.postMessage({ id: job.id, call: job.call });
    spare ??= hired(module);
    job.models.forEach((name, i) => give(spare, name, bytes[i]));
  } catch (error) {
    end(job, () => job.reject(error));
  }
}

/** Has a plan made by whoever is idle. */
async function plan(job) {
  try {
    const [module, ...bytes] = await Promise.all([compiled(), ...job.models.map(weights)]);
    const by = spare ?? (worker ??= hired(module));
    job.models.forEach((name, i) => give(by, name, bytes[i]));
    by.plans.set(job.id, job);
    by.worker.postMessage({ id: job.id, call: job.call });
  } catch (error) {
    job.reject(error);
  }
}

function ask(job) {
  const names = [job.call.request.model.model, job.call.request.to_model];
  job.models = [...new Set(names.filter((name) => typeof name === "string"))];
  if (job.call.call === "plan") return plan(job);
  queue.push(job);
  return next();
}

/** A call of the engine with a request; the model is the first where the request names none. */
function called(call, request, tell) {
  const job = { id: ++last, call, tell, models: [], images: [], array: null, posted: false, off: false };
  job.done = new Promise((resolve, reject) => Object.assign(job, { resolve, reject }));
  // Whoever cancels does not wait for what comes of it.
  job.done.catch(() => {});
  known().then((models) => {
    if (job.off) return;
    call.request = { ...request, model: { model: models[0].model, ...request?.model } };
    ask(job);
  }, job.reject);
  return job;
}

function cancel(job) {
  job.off = true;
  const waiting = queue.indexOf(job);
  if (waiting >= 0) queue.splice(waiting, 1);
  if (job === current && job.posted) {
    if (worker.stop) return Atomics.store(worker.stop, 0, 1);
    dismiss(worker);
  }
  job.reject(aborted());
  end(job, () => {});
}

function start(kind, request, { previews = 16 } = {}, onEvent = () => {}) {
  const job = called({ call: "job", kind, previews }, request, (name, data) => job.off || onEvent(name, data));
  const before = queue.length + (current ? 1 : 0);
  queueMicrotask(() => job.tell("queued", { before }));
  const done = job.done.then(({ report }) => {
    const images = job.images.map((bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/png" })));
    const { array } = job;
    return { report, images, array: array && (async () => array) };
  });
  done.catch(() => {});
  return { done, cancel: () => cancel(job) };
}

export const backend = {
  models: known,
  plan: (request) => called({ call: "plan" }, request, () => {}).done,
  start,
  release(result) {
    for (const url of result?.images ?? []) URL.revokeObjectURL(url);
  },
};
