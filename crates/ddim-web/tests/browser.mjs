// `node browser.mjs FOLDER`: the backend in a headless Chromium, through chromedriver: jobs with their events, cancelling, and how long it takes. FOLDER is what `.ci/web` builds.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join, normalize } from "node:path";

const folder = process.argv[2];
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", json: "application/json", wasm: "application/wasm", svg: "image/svg+xml" };
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A host of files, and one page that has the backend alone. */
const host = createServer((request, response) => {
  const path = new URL(request.url, "http://host").pathname;
  response.setHeader("content-security-policy", POLICY);
  if (path === "/test.html") return response.setHeader("content-type", "text/html").end('<!doctype html><script type="module" src="test.js"></script>');
  if (path === "/test.js") {
    const source = 'import { backend } from "./assets/backend-wasm.js"; window.backend = backend; window.ready = true;';
    return response.setHeader("content-type", "text/javascript").end(source);
  }
  const file = join(folder, normalize(path));
  if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.setHeader("content-type", TYPES[file.split(".").pop()] ?? "application/octet-stream");
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
const at = `http://127.0.0.1:${host.address().port}`;

const driver = spawn("chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "ignore"] });
const port = await new Promise((resolve, reject) => {
  driver.on("error", reject);
  let said = "";
  driver.stdout.on("data", (text) => {
    const found = (said += text).match(/started successfully on port (\d+)/);
    if (found) resolve(found[1]);
  });
});

async function asked(method, path, body) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

const session = await asked("POST", "/session", {
  capabilities: { alwaysMatch: { browserName: "chrome", "goog:chromeOptions": { args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"] }, "goog:loggingPrefs": { browser: "ALL" } } },
});
const inPage = (script, ...args) =>
  asked("POST", `/session/${session.sessionId}/execute/async`, {
    script: `const [done, args] = [arguments[arguments.length - 1], [...arguments].slice(0, -1)]; (async () => { ${script} })().then(done, (error) => done({ threw: String(error), field: error.field, name: error.name }));`,
    args,
  });

let code = 0;
try {
  await asked("POST", `/session/${session.sessionId}/timeouts`, { script: 120_000 });
  await asked("POST", `/session/${session.sessionId}/url`, { url: `${at}/test.html` });
  await inPage("while (!window.ready) await new Promise((r) => setTimeout(r, 10));");

  const models = await inPage("return (await backend.models()).map(({ model }) => model);");
  assert.deepEqual(models, ["emoji", "fashion", "cifar10"]);

  const first = await inPage(`
    const begin = performance.now();
    const seen = {};
    let frame = null, early = null;
    const job = backend.start("sample", { count: 16, steps: 10 }, { previews: 10 }, (name, data) => {
      seen[name] = (seen[name] ?? 0) + 1;
      if (name === "preview") frame ??= performance.now() - begin;
    });
    const result = await job.done;
    const all = performance.now() - begin;
    const image = new Image();
    image.src = result.images[3];
    await image.decode();
    const array = await result.array();
    backend.release(result);
    return { seen, frame, all, images: result.images.length, width: image.naturalWidth, bytes: array.byteLength, report: result.report };`);
  assert.equal(first.threw, undefined, first.threw);
  assert.deepEqual([first.seen.step, first.seen.preview, first.images, first.width], [10, 10, 16, 32]);
  assert.ok(first.bytes > 16 * 3072 * 4);
  assert.ok(first.frame < first.all / 2, "previews come while it computes");
  console.log(`ok: a job with its events; files, compiling and the first frame ${first.frame.toFixed(0)} ms`);

  const live = await inPage(`
    const again = async (seed) => {
      const begin = performance.now();
      let frame;
      const first = new Promise((resolve) => (frame = resolve));
      const job = backend.start("sample", { count: 4, steps: 50, seed }, { previews: 50 }, (name) => name === "preview" && frame(performance.now() - begin));
      const time = await first;
      job.cancel();
      const name = await job.done.then(() => "finished", (error) => error.name);
      return { time, name };
    };
    const out = [];
    for (let seed = 0; seed < 6; seed++) out.push(await again(seed));
    return out;`);
  assert.ok(Array.isArray(live), JSON.stringify(live));
  assert.ok(live.every(({ name }) => name === "AbortError"));
  console.log(`ok: cancelled and started anew; the first frame of 4 images after ${live.map(({ time }) => time.toFixed(0)).join(", ")} ms`);

  const wrong = await inPage('return backend.start("sample", { steps: 0 }).done;');
  assert.equal(wrong.field, "steps", JSON.stringify(wrong));
  const unknown = await inPage('return backend.start("sample", { model: { model: "nothing" } }).done;');
  assert.equal(unknown.field, "model", JSON.stringify(unknown));
  const plan = await inPage('return (await backend.plan({ steps: 5 })).steps.length;');
  assert.equal(plan, 5);
  const other = await inPage('return (await backend.start("sample", { model: { model: "fashion" }, count: 1, steps: 2 }).done).report.model;');
  assert.equal(other, "fashion");
  console.log("ok: errors with their fields, plans, and the other model");

  const meanwhile = await inPage(`
    const job = backend.start("sample", { count: 16, steps: 20 }, { previews: 0 });
    const [plan, drawn] = [backend.plan({ steps: 7 }), job.done].map((done) => done.then(() => performance.now()));
    const early = (await plan) < (await drawn);
    // The worker that is called off may have been asked for a plan.
    const other = backend.start("sample", { count: 16, steps: 20 }, { previews: 0 });
    const plans = [3, 4].map((steps) => backend.plan({ steps }));
    other.cancel();
    const again = backend.start("sample", { count: 1, steps: 2 });
    return { early, plans: (await Promise.all(plans)).map((plan) => plan.steps.length), count: (await again.done).images.length };`);
  assert.deepEqual(meanwhile, { early: true, plans: [3, 4], count: 1 });
  console.log("ok: plans do not wait for jobs");

  const queued = await inPage(`
    const jobs = [0, 1, 2].map((seed) => backend.start("sample", { count: 1, steps: 5, seed }));
    jobs[1].cancel();
    return Promise.all(jobs.map(({ done }) => done.then(({ report }) => report.seed, (error) => error.name)));`);
  assert.deepEqual(queued, [0, "AbortError", 2]);
  console.log("ok: jobs wait for each other, and can be called off while they do");

  const timed = await inPage(`
    const times = [];
    for (let i = 0; i < 3; i++) times.push((await backend.start("sample", { count: 16, steps: 10 }, { previews: 0 }).done).report.ms_per_image_step);
    return { times, agent: navigator.userAgent };`);
  console.log(`emoji in ${timed.agent.match(/\S*Chrome\/\S+/)}, one thread: ${timed.times.map((ms) => ms.toFixed(2)).join(", ")} ms per image-step, 16 images`);

  const log = await asked("POST", `/session/${session.sessionId}/se/log`, { type: "browser" });
  const errors = log.filter(({ level, message }) => level === "SEVERE" && !message.includes("favicon"));
  assert.deepEqual(errors, []);
  console.log("ok: nothing in the console");
} catch (error) {
  console.error(error);
  code = 1;
} finally {
  await asked("DELETE", `/session/${session.sessionId}`).catch(() => {});
  driver.kill();
  host.close();
}
process.exit(code);
