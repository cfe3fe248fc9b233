// The engine under node, with the built-in models: what the tests and the build have in common.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const text = new TextDecoder();

/** Starts what `folder` holds, with these models: call(json) gives {answer, events, images, array, seconds}. */
export async function started(folder, models, stopped) {
  // A module, whatever node takes files of its name for.
  const source = readFileSync(join(folder, "worker.js"), "utf8");
  const { engine, putModel } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const running = engine(new WebAssembly.Module(readFileSync(join(folder, "ddim_web.wasm"))), stopped);
  for (const name of models) putModel(running, name, readFileSync(join(folder, "models", name, "unet/diffusion_pytorch_model.safetensors")));
  const call = (json, tell = () => {}) => {
    const given = { events: [], images: [], array: null, answer: null };
    const begin = performance.now();
    running.call(json, (what, bytes) => {
      if (what === "event") {
        given.events.push(JSON.parse(text.decode(bytes)));
        tell(...given.events.at(-1));
      } else if (what === "answer") given.answer = JSON.parse(text.decode(bytes));
      else if (what === "image") given.images.push(bytes);
      else given.array = bytes;
    });
    return { ...given, seconds: (performance.now() - begin) / 1000 };
  };
  return { call, job: (kind, request, previews = 0, tell) => call({ call: "job", kind, request, previews }, tell), memory: running.memory };
}
