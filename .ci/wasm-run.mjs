// Runs one wasm binary under node, as cargo's runner: `node wasm-run.mjs FILE.wasm ARGUMENT...`; its exit code is ours.
//
// Of WASI it gets arguments, the environment, clocks, random numbers and its output, and no files; not from node:wasi, which node 20 now and
// then frees while it runs. Threads it may ask for and does not get: whatever else it imports fails when it is called.
// wasm32-unknown-unknown needs nothing: its `main` returns or traps.
import { getRandomValues } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";

const [file, ...args] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(file));
const [SUCCESS, BADF, NOSYS] = [0, 8, 52];
let instance;
const view = () => new DataView(instance.exports.memory.buffer);
const bytes = (at, length) => new Uint8Array(instance.exports.memory.buffer, at, length);

// A list of strings as WASI hands them over: their number and size, and their places and bytes.
const strings = (list) => {
    const encoded = list.map((text) => new TextEncoder().encode(`${text}\0`));
    const sizes = (count, size) => {
        view().setUint32(count, encoded.length, true);
        view().setUint32(size, encoded.reduce((sum, text) => sum + text.length, 0), true);
        return SUCCESS;
    };
    const get = (places, at) => {
        for (const [i, text] of encoded.entries()) {
            view().setUint32(places + 4 * i, at, true);
            bytes(at, text.length).set(text);
            at += text.length;
        }
        return SUCCESS;
    };
    return [sizes, get];
};
const [args_sizes_get, args_get] = strings([file, ...args]);
const [environ_sizes_get, environ_get] = strings(Object.entries(process.env).map(([name, value]) => `${name}=${value}`));

const given = {
    args_sizes_get,
    args_get,
    environ_sizes_get,
    environ_get,
    clock_time_get(clock, _precision, at) {
        view().setBigUint64(at, clock === 0 ? BigInt(Date.now()) * 1_000_000n : process.hrtime.bigint(), true);
        return SUCCESS;
    },
    random_get(at, length) {
        for (let done = 0; done < length; done += 65536) getRandomValues(bytes(at + done, Math.min(65536, length - done)));
        return SUCCESS;
    },
    fd_write(fd, vectors, count, written) {
        if (fd !== 1 && fd !== 2) return BADF;
        let sum = 0;
        for (let i = 0; i < count; i++) {
            const [at, length] = [0, 4].map((field) => view().getUint32(vectors + 8 * i + field, true));
            for (let done = 0; done < length; ) done += writeSync(fd, bytes(at + done, length - done));
            sum += length;
        }
        view().setUint32(written, sum, true);
        return SUCCESS;
    },
    proc_exit: (code) => process.exit(code),
    // No folders: this ends their list.
    fd_prestat_get: () => BADF,
    pthread_create: () => NOSYS,
    pthread_attr_init: () => SUCCESS,
    pthread_attr_setstacksize: () => SUCCESS,
    pthread_attr_destroy: () => SUCCESS,
};
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const missing = from === "wasi_snapshot_preview1" ? () => NOSYS : () => {
        throw new Error(`${from}.${name} is not there`);
    };
    (imports[from] ??= {})[name] = given[name] ?? missing;
}
instance = new WebAssembly.Instance(module, imports);
if (instance.exports._start) {
    instance.exports._start();
    process.exit(0);
}
const start = performance.now();
const status = instance.exports.main(0, 0);
console.log(`main: ${status === 0 ? "ok" : `failed with ${status}`} in ${((performance.now() - start) / 1000).toFixed(2)} s`);
process.exit(status);
