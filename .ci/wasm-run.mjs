// Runs one wasm binary under node, as cargo's runner: `node wasm-run.mjs FILE.wasm ARGUMENT...`; its exit code is ours.
//
// WASI gives it arguments, the environment, a clock and standard output, and no folders. Threads it may ask for and does not get: what else
// it imports fails when it is called. wasm32-unknown-unknown has no imports: its `main` returns or traps.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(file));
const ENOSYS = 52;
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = () => {
        if (name === "pthread_create") return ENOSYS;
        if (name.startsWith("pthread_attr_")) return 0;
        throw new Error(`${from}.${name}: not there`);
    };
}
const isWasi = "wasi_snapshot_preview1" in imports;
const wasi = new WASI({ version: "preview1", args: [file, ...args], env: process.env });
if (isWasi) imports.wasi_snapshot_preview1 = wasi.wasiImport;
const instance = new WebAssembly.Instance(module, imports);
if (isWasi) process.exit(wasi.start(instance));
const start = performance.now();
const status = instance.exports.main(0, 0);
console.log(`${file}: ${status === 0 ? "ok" : `failed with ${status}`} in ${((performance.now() - start) / 1000).toFixed(2)} s`);
process.exit(status);
