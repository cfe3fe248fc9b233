// A Web Worker that has the engine: it answers calls one after the other, and computes while it does.
//
// In come {module, stop}, once, then {model, bytes}, the weights of a model, and {id, call}. Out go {id, event: [name, data]}, {id, image}, {id, array} and, last,
// {id, answer}; {failed} where the engine does not start or go on.
// `stop` is an Int32Array in shared memory where the page has that: not 0 asks the job for an end. Else whoever waits ends the worker.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";

/** Instantiates the module: {put(name, bytes), call(json, given)}; given(what, bytes) is called with each thing that comes of a call. Throws what a panic said. */
export function engine(module, stopped = () => 0) {
  let exports, given, said = null;
  const memory = () => new Uint8Array(exports.memory.buffer);
  const imports = {
    ddim: {
      now: () => performance.now() / 1000,
      stopped,
      give(what, at, length) {
        const bytes = memory().slice(at >>> 0, (at >>> 0) + length);
        if (what === 4) said = decoder.decode(bytes);
        else given(["event", "image", "array", "answer"][what], bytes);
      },
    },
  };
  // A library that would ask for random numbers, and is not asked itself, brings what binds it to a page: nobody calls it.
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from.startsWith("__wbindgen")) (imports[from] ??= {})[name] = () => {
      throw new Error(`${from}.${name} is not there`);
    };
  }
  exports = new WebAssembly.Instance(module, imports).exports;
  // Bytes in the module's memory, which takes them.
  const lent = (bytes) => {
    const at = exports.ddim_alloc(bytes.length) >>> 0;
    memory().set(bytes, at);
    return [at, bytes.length];
  };
  const guarded = (f) => {
    try {
      return f();
    } catch (error) {
      throw said === null ? error : new Error(`the engine panicked, please report it: ${said.replaceAll("\n", " ")}`);
    }
  };
  return {
    put: (name, bytes) => guarded(() => exports.ddim_put(...lent(encoder.encode(name)), ...lent(bytes))),
    call(json, tell) {
      given = tell;
      guarded(() => exports.ddim_call(...lent(encoder.encode(JSON.stringify(json)))));
    },
    memory: () => exports.memory.buffer.byteLength,
  };
}

/** Puts a model's weights where the engine looks for them. */
export function putModel(running, name, bytes) {
  running.put(`${name}/${WEIGHTS}`, new Uint8Array(bytes));
}

let running = null;

function begin({ module, stop }) {
  running = engine(module, stop ? () => Atomics.load(stop, 0) : undefined);
}

function work({ id, call }) {
  running.call(call, (what, bytes) => {
    if (what === "event") self.postMessage({ id, event: JSON.parse(decoder.decode(bytes)) });
    else if (what === "answer") self.postMessage({ id, answer: JSON.parse(decoder.decode(bytes)) });
    else self.postMessage({ id, [what]: bytes.buffer }, [bytes.buffer]);
  });
}

// In a page's worker; Node imports the functions alone.
if (typeof self !== "undefined" && typeof self.postMessage === "function") {
  self.onmessage = ({ data }) => {
    try {
      if (data.module) begin(data);
      else if (data.model) putModel(running, data.model, data.bytes);
      else work(data);
    } catch (error) {
      self.postMessage({ id: data.id, failed: String(error.message ?? error) });
    }
  };
}
