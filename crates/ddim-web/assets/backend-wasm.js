// The engine in this very browser, as the studio's page wants a backend: no server but one for files.
//
// backend = await open({ base, models }): `base` is the folder with ddim_web.wasm and models/, by default that of this file; `models` are names of built-in models, the first
// of which is the default. Weights come with the first call that wants them. Jobs are worked on one after the other.
//
// Cancelling ends the worker, which cannot listen while it computes, and lets a spare one take its place; where the page is cross-origin isolated a flag in shared memory does.

const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";

async function fetched(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}: expected the file`);
    return response;
}

async function compiled(url) {
    const response = await fetched(url);
    // A host that does not know the type must not be the end.
    if ((response.headers.get("content-type") ?? "").startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
    return WebAssembly.compile(await response.arrayBuffer());
}

/** What a call says is wrong, as an Error with .field. */
function problem({ error, field, cancelled }) {
    if (cancelled) return aborted();
    return Object.assign(new Error(error), { field: field ?? null });
}

function aborted() {
    return new DOMException("cancelled", "AbortError");
}

/** Opens the backend. Rejects where the module or a model is not there. */
export async function open({ base = new URL("./", import.meta.url), models = ["emoji"] } = {}) {
    const at = (path) => new URL(path, new URL(base, import.meta.url));
    const [module, ...loaded] = await Promise.all([
        compiled(at("ddim_web.wasm")),
        ...models.map(async (name) => ({ name, bytes: await (await fetched(at(`models/${name}/${WEIGHTS}`))).arrayBuffer() })),
    ]);
    return new Backend(module, loaded);
}

class Backend {
    #module;
    #models;
    #worker = null;
    #spare = null;
    #queue = [];
    #current = null;
    #last = 0;
    #known = null;

    constructor(module, models) {
        this.#module = module;
        this.#models = models;
        this.#worker = this.#hired();
    }

    /** A worker with the engine in it; what is posted to it waits until it is ready. */
    #hired() {
        const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
        const shared = globalThis.crossOriginIsolated ? new Int32Array(new SharedArrayBuffer(4)) : null;
        const hired = { worker, stop: shared };
        worker.onmessage = ({ data }) => this.#heard(hired, data);
        worker.onerror = (event) => this.#heard(hired, { failed: event.message || "the worker did not start" });
        worker.postMessage({ module: this.#module, stop: shared, models: this.#models });
        return hired;
    }

    #heard(hired, data) {
        // A spare one says that it is ready; one that was let go may have said something still.
        if (data.ready) {
            if (hired === this.#worker && hired.stop === null) this.#spare ??= this.#hired();
            return;
        }
        if (hired !== this.#worker) {
            if (hired === this.#spare && data.failed) this.#spare = null;
            return;
        }
        const job = this.#current;
        if (data.failed) {
            // What is left of it is not to be trusted.
            this.#replace();
            const failed = Object.assign(new Error(data.failed), { field: null });
            if (job) this.#end(() => job.reject(failed));
            return;
        }
        if (!job || data.id !== job.id) return;
        if (data.event) job.tell?.(...data.event);
        else if (data.image) job.images.push(data.image);
        else if (data.array) job.array = data.array;
        else if (data.answer) this.#end(() => ("error" in data.answer ? job.reject(problem(data.answer)) : job.resolve(data.answer)));
    }

    #replace() {
        this.#worker.worker.terminate();
        this.#worker = this.#spare ?? this.#hired();
        this.#spare = null;
        // The next spare one, when this one has begun to work.
        setTimeout(() => {
            if (this.#worker.stop === null) this.#spare ??= this.#hired();
        }, 0);
    }

    #end(settle) {
        this.#current = null;
        settle();
        this.#next();
    }

    #next() {
        if (this.#current || this.#queue.length === 0) return;
        this.#current = this.#queue.shift();
        if (this.#worker.stop) Atomics.store(this.#worker.stop, 0, 0);
        this.#worker.worker.postMessage({ id: this.#current.id, call: this.#current.call });
    }

    #asked(call, tell) {
        const job = { id: ++this.#last, call, tell, images: [], array: null };
        job.done = new Promise((resolve, reject) => Object.assign(job, { resolve, reject }));
        this.#queue.push(job);
        return job;
    }

    #cancel(job) {
        const waiting = this.#queue.indexOf(job);
        if (waiting >= 0) {
            this.#queue.splice(waiting, 1);
            job.reject(aborted());
        } else if (job === this.#current) {
            if (this.#worker.stop) {
                Atomics.store(this.#worker.stop, 0, 1);
            } else {
                this.#replace();
                this.#end(() => job.reject(aborted()));
            }
        }
    }

    /** A request with a model of ours where it names none. */
    #withModel(request) {
        return { ...request, model: { model: this.#models[0].name, ...request?.model } };
    }

    /** What the models are: the engine's reports, the first is the default. */
    models() {
        this.#known ??= (async () => {
            const job = this.#asked({ call: "models" });
            this.#next();
            const { models } = await job.done;
            const place = ({ model }) => this.#models.findIndex(({ name }) => name === model);
            return models.sort((a, b) => place(a) - place(b));
        })();
        return this.#known;
    }

    /** The steps of a request, and ᾱ. */
    async plan(request) {
        const job = this.#asked({ call: "plan", request: this.#withModel(request) });
        this.#next();
        return job.done;
    }

    /** Starts a job; onEvent(name, data) hears of it. {done, cancel()}. */
    start(kind, request, { previews } = {}, onEvent = () => {}) {
        const call = { call: "job", kind, request: this.#withModel(request), ...(previews === undefined ? {} : { previews }) };
        const job = this.#asked(call, onEvent);
        onEvent("queued", { before: this.#queue.length - 1 + (this.#current ? 1 : 0) });
        this.#next();
        const done = job.done.then(({ report }) => {
            const images = job.images.map((bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/png" })));
            const { array } = job;
            return { report, images, array: () => (array === null ? null : Promise.resolve(array)) };
        });
        return { done, cancel: () => this.#cancel(job) };
    }

    /** Frees the pictures of a result. */
    release(result) {
        for (const url of result.images) URL.revokeObjectURL(url);
    }
}
