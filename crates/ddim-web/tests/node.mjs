// `node node.mjs FOLDER [REFERENCE]`: what the module in FOLDER must do. REFERENCE holds images that the native engine drew (`.ci/web` says how): 00000.png, … and x.npy.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { started } from "./engine.mjs";

const [folder, reference] = process.argv.slice(2);
const { call, job, memory } = await started(folder, ["emoji"]);
const dataUrl = (bytes, type = "image/png") => `data:${type};base64,${Buffer.from(bytes).toString("base64")}`;

/** The numbers of a .npy file of f32. */
function numbers(npy) {
  const at = 10 + npy[8] + 256 * npy[9];
  return new Float32Array(npy.slice(at).buffer);
}

/** The texts and the levels of a PNG of 8 bits. */
function png(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [data, texts] = [[], []];
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const [kind, body] = [Buffer.from(bytes.slice(at + 4, at + 8)).toString(), bytes.slice(at + 8, at + 8 + length)];
    if (kind === "IDAT") data.push(body);
    if (["tEXt", "iTXt"].includes(kind)) texts.push(Buffer.from(body).toString());
    at += 12 + length;
  }
  const [width, height, channels] = [view.getUint32(16), view.getUint32(20), bytes[25] === 2 ? 3 : 1];
  const raw = inflateSync(Buffer.concat(data));
  const stride = width * channels;
  const levels = new Uint8Array(height * stride);
  const paeth = (a, b, c) => {
    const [p, q, r] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
    return p <= q && p <= r ? a : q <= r ? b : c;
  };
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const a = x >= channels ? levels[y * stride + x - channels] : 0;
      const b = y > 0 ? levels[(y - 1) * stride + x] : 0;
      const c = y > 0 && x >= channels ? levels[(y - 1) * stride + x - channels] : 0;
      levels[y * stride + x] = raw[y * (stride + 1) + 1 + x] + [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
    }
  }
  return { width, height, texts: texts.join("\n"), levels };
}

const tests = {
  "the same request gives the same bytes, and other seeds others"() {
    const request = { count: 3, steps: 4, eta: 1, seed: 7 };
    const [one, two] = [job("sample", request), job("sample", request, 4)];
    assert.equal(one.answer.error, undefined);
    assert.equal(one.images.length, 3);
    assert.deepEqual(one.images, two.images);
    assert.deepEqual(one.array, two.array);
    assert.notDeepEqual(one.array, job("sample", { ...request, seed: 8 }).array);
    const names = two.events.map(([name]) => name);
    assert.deepEqual([names[0], names.filter((name) => name === "step").length, names.filter((name) => name === "preview").length, names.at(-1)], ["began", 4, 4, "ended"]);
    const { x_t, x_0, step } = two.events.find(([name]) => name === "preview")[1];
    assert.ok(x_t.startsWith("data:image/png;base64,") && x_0.startsWith("data:image/png;base64,") && step === 1);
    assert.ok(one.answer.report.seconds > 0, "there is a clock");
    // What the command line would write: the settings are in the picture.
    assert.match(png(one.images[0]).texts, /ddim sample --model emoji --steps 4 .*--eta 1 --seed 7 --classes .* --guidance /);
  },
  "each kind of job gives its images"() {
    const drawn = job("sample", { count: 1, steps: 3 });
    const input = dataUrl(drawn.images[0]);
    const consistency = job("consistency", { count: 2, steps: [1, 2, 3] });
    assert.equal(consistency.images.length, 6);
    assert.deepEqual(png(consistency.images[2]).levels, png(job("sample", { count: 1, steps: 3 }).images[0]).levels);
    const square = job("interpolate", { seeds: [0, 1, 2, 3], rows: 2, cols: 3, steps: 1 });
    assert.deepEqual([square.images.length, square.answer.report.columns], [6, 3]);
    const encoded = job("encode", { input, steps: 3 });
    assert.equal(encoded.images.length, 2, JSON.stringify(encoded.answer));
    const seen = png(encoded.images[0]).levels;
    assert.deepEqual(seen, png(drawn.images[0]).levels);
    const decoded = job("sample", { latents: dataUrl(encoded.array, "application/octet-stream"), steps: 3 });
    assert.equal(decoded.images.length, 1, JSON.stringify(decoded.answer));
    const reconstructed = job("reconstruct", { input, steps: [2, 3] });
    assert.equal(reconstructed.images.length, 5, JSON.stringify(reconstructed.answer));
    const edited = job("edit", { input, steps: 4, strength: 0.5, variations: 2 });
    assert.equal(edited.images.length, 3, JSON.stringify(edited.answer));
    for (const result of [consistency, square, encoded, reconstructed, edited]) assert.equal(result.answer.report.files, undefined);
  },
  "pictures of other kinds are read"() {
    const jpeg = readFileSync(new URL("../../../conformance/jpeg/pillow_420.jpg", import.meta.url));
    const encoded = job("encode", { input: dataUrl(jpeg, "image/jpeg"), steps: 1, preparation: { fit: "crop" } });
    assert.equal(encoded.images.length, 2, JSON.stringify(encoded.answer));
  },
  "errors are one line with their field, and the engine goes on"() {
    for (const [kind, request, field] of [["sample", { steps: 0 }, "steps"], ["encode", { input: "/etc/passwd" }, "input"], ["sample", { files: { out: "a" } }, "files"]]) {
      const { answer } = job(kind, request);
      assert.equal(answer.field, field, JSON.stringify(answer));
      assert.ok(!answer.error.includes("\n"));
    }
    // The weights of the other model were not handed over.
    assert.match(job("sample", { model: { model: "fashion" } }).answer.error, /not loaded/);
    assert.equal(job("sample", { count: 1, steps: 1 }).images.length, 1);
  },
  async "a job stops when it is asked to"() {
    let stop = 0;
    const { job } = await started(folder, ["emoji"], () => stop);
    const { answer, events } = job("sample", { count: 1, steps: 50 }, 0, (name, { step }) => name === "step" && step === 3 && (stop = 1));
    assert.equal(answer.cancelled, true);
    assert.equal(events.filter(([name]) => name === "step").length, 4);
  },
  "memory does not grow from job to job"() {
    const jobs = (n) => { for (let i = 0; i < n; i++) job("sample", { count: 8, steps: 2 }); };
    // The first fill what is used again; what one job loses, twenty lose twenty times.
    jobs(5);
    const before = memory();
    jobs(20);
    assert.ok(memory() - before < 1 << 20, `${memory() - before} bytes more`);
  },
  "plans are those of jobs"() {
    const request = { steps: 10, trajectory: "quadratic", eta: "hat", count: 1 };
    const { answer } = call({ call: "plan", request });
    assert.deepEqual(answer.timesteps, job("sample", request).answer.report.timesteps);
    assert.equal(answer.alpha_bar.length, 1000);
  },
};
if (reference) {
  tests["images are the native engine's"] = () => {
    // Without guidance, which is a difference of two evaluations and makes those of their last bits larger.
    const { images, array } = job("sample", { model: { guidance: { scale: 1 } }, count: 4, steps: 10, seed: 3 });
    const [ours, theirs] = [numbers(array), numbers(new Uint8Array(readFileSync(join(reference, "x.npy"))))];
    assert.equal(ours.length, theirs.length);
    const most = ours.reduce((most, x, i) => Math.max(most, Math.abs(x - theirs[i])), 0);
    let levels = 0;
    images.forEach((image, i) => {
      const [a, b] = [png(image), png(new Uint8Array(readFileSync(join(reference, `${String(i).padStart(5, "0")}.png`))))];
      // The caption says the network's and the latents' checksums: the same weights.
      assert.equal(a.texts, b.texts);
      levels = a.levels.reduce((most, x, j) => Math.max(most, Math.abs(x - b.levels[j])), levels);
    });
    console.log(`  against the native engine: at most ${most.toExponential(1)} on [-1, 1], ${levels} levels`);
    assert.ok(most < 1e-4 && levels <= 1);
  };
}
assert.ok(existsSync(join(folder, "models/models.json")));
for (const [name, test] of Object.entries(tests)) {
  await test();
  console.log(`ok: ${name}`);
}
const timed = [8, 32].map((count) => job("sample", { count, steps: 10 })).at(-1);
console.log(`emoji under node, one thread: ${timed.answer.report.ms_per_image_step.toFixed(2)} ms per image-step, 32 images`);
