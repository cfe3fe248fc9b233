// Train: run folders that the server was started with, as they go on.
import { chart, legend } from "./chart.js";
import { why } from "./controls.js";
import { el, picture, short } from "./dom.js";
import { store } from "./state.js";

export const title = "Train";

/** How often a run is looked at, in ms. */
const EVERY = 2000;

export function create(panel, { backend }) {
  const state = store({ run: "" });
  panel.classList.add("tool", "input");
  const about = why("train", "training");
  about.text.hidden = false;
  about.button.setAttribute("aria-expanded", "true");
  const list = el("div", { class: "runs", role: "group", "aria-label": "Runs", "data-testid": "train-runs" });
  const error = el("p", { class: "error general", role: "alert", hidden: true, "data-testid": "train-error" });
  const curve = chart({ title: "Loss by step", x: { label: "step" }, y: { log: true }, testid: "train-loss" });
  const facts = el("dl", { class: "facts", "data-testid": "train-facts" });
  const previews = el("div", { "data-testid": "train-previews" });
  const config = el("pre", { class: "config", tabindex: "0", role: "region", "aria-label": "config.toml", "data-testid": "train-config" });
  const range = el("input", { type: "range", min: 0, step: 1, value: 0, "aria-label": "Preview that is shown" });
  const shown = picture("", { class: "picture", "data-testid": "train-preview" });
  const caption = el("p", { class: "muted small" });
  const lossBox = el("div", {}, el("div", { class: "row" }, el("h3", { text: "Loss" }), el("span", { class: "room" }), legend([["series-0", "training"], ["series-1", "held out, averaged weights"]])), curve.element);
  const content = el("section", { class: "card", "aria-label": "The run", hidden: true },
    el("div", { class: "two" },
      el("div", {}, facts, lossBox,
        el("details", { class: "more" }, el("summary", { text: "config.toml" }), config)),
      el("figure", {}, el("h3", { text: "Previews" }), previews)));
  previews.append(shown, range, caption);
  const none = el("section", { class: "card", hidden: true, "aria-label": "No runs" }, el("p", { class: "placeholder" },
    backend.runs ? "This server was started without run folders: " : "There are no runs without a server: start one, ", el("code", { text: "ddim train --data DIR --out RUN" }), " and then ", el("code", { text: "ddim serve --runs DIR" }), "."));
  panel.append(
    el("div", { class: "controls card" }, el("h2", { text: "Runs" }), list),
    el("div", { class: "content" }, el("section", { class: "card intro", "aria-label": "Training" }, el("div", { class: "row" }, el("h2", { text: "A network as it learns" }), about.button), about.text), error, none, content));

  let timer = 0;
  // Who asked last is answered; what comes later of others is of another run.
  let turn = 0;
  let active = false;
  let urls = [];
  // The paths that `urls` were made of.
  let paths = "";

  function showRuns(runs) {
    none.hidden = runs.length > 0;
    list.parentElement.hidden = runs.length === 0;
    panel.classList.toggle("alone", runs.length === 0);
    // The buttons stay: one may have the focus.
    if (list.children.length !== runs.length || [...list.children].some((b, i) => b.dataset.run !== runs[i].name)) {
      list.replaceChildren(...runs.map(({ name }) => el("button", { type: "button", "data-run": name, "data-testid": `train-run-${name}`, onclick: () => state.set({ run: name }) },
        el("strong", { text: name }), el("span", { class: "muted small" }))));
    }
    runs.forEach(({ step, steps }, i) => (list.children[i].lastChild.textContent = `step ${step ?? 0} of ${steps ?? "–"}`));
    for (const b of list.children) b.setAttribute("aria-pressed", String(b.dataset.run === state.values.run));
  }

  async function showRun(run) {
    content.hidden = false;
    const metrics = run.metrics.filter((m) => Number.isFinite(m.loss));
    const last = metrics.at(-1);
    const entries = [["step", `${last?.step ?? 0} of ${run.steps ?? "–"}`], ["epoch", short(last?.epoch)], ["loss", short(last?.loss)], ["images a second", short(last?.images_per_second)], ["learning rate", short(last?.learning_rate)]];
    facts.replaceChildren(...entries.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
    if (config.textContent !== run.config) config.textContent = run.config;
    // Of two points there is a line; of fewer, none of another run's.
    lossBox.hidden = metrics.length < 2;
    if (metrics.length > 1) {
      const held = run.metrics.filter((m) => Number.isFinite(m.evaluation_loss)).map((m) => [m.step, m.evaluation_loss]);
      const loss = thinned(metrics.map((m) => [m.step, m.loss]), 300);
      const values = [...loss, ...held].map(([, y]) => y).filter((y) => y > 0);
      curve.draw({
        xDomain: [0, Math.max(last.step, 1)], yDomain: [Math.min(...values) * 0.9, Math.max(...values) * 1.1], describe: `${short(metrics[0].loss)} at first, ${short(last.loss)} at step ${last.step}`,
        lines: [{ name: "series-0", points: loss }, { name: "series-1", points: held, dots: true }],
      });
    }
    if (paths !== run.previews.join()) {
      const follows = Number(range.value) >= urls.length - 1;
      paths = run.previews.join();
      urls.filter((url) => url.startsWith("blob:")).forEach((url) => URL.revokeObjectURL(url));
      const mine = paths;
      const found = await backend.runs.pictures(run.previews);
      if (mine !== paths) {
        // Another run was chosen meanwhile.
        found.filter((url) => url.startsWith("blob:")).forEach((url) => URL.revokeObjectURL(url));
        return;
      }
      urls = found;
      range.max = Math.max(0, urls.length - 1);
      if (follows) range.value = range.max;
      showPreview(run.previews);
      range.oninput = () => showPreview(run.previews);
    }
    previews.parentElement.hidden = urls.length === 0;
  }

  function showPreview(names) {
    const i = Number(range.value);
    range.style.setProperty("--share", names.length > 1 ? i / (names.length - 1) : 1);
    if (!urls[i]) return;
    shown.src = urls[i];
    const step = Number(/step-(\d+)/.exec(names[i])?.[1] ?? 0);
    shown.alt = `Pictures that the network drew at step ${step}`;
    caption.textContent = `at step ${step}`;
    range.setAttribute("aria-valuetext", caption.textContent);
  }

  async function look() {
    clearTimeout(timer);
    if (!active) return;
    const mine = ++turn;
    try {
      const runs = backend.runs ? await backend.runs.list() : [];
      if (mine !== turn) return;
      // It is watched: this looks again.
      if (runs.length && !runs.some((run) => run.name === state.values.run)) return state.set({ run: runs[0].name });
      showRuns(runs);
      if (runs.length) {
        const run = await backend.runs.get(state.values.run);
        if (mine === turn) await showRun(run);
      }
      error.hidden = true;
    } catch (e) {
      // An older server has no runs.
      if (e.status === 404 && !state.values.run) showRuns([]);
      else {
        error.textContent = e.message;
        error.hidden = false;
      }
    }
    if (active && mine === turn && !document.hidden) timer = setTimeout(look, EVERY);
  }
  document.addEventListener("visibilitychange", () => active && look());
  state.watch(() => active && look());
  return {
    state,
    enter() {
      active = true;
      look();
    },
    leave() {
      active = false;
      clearTimeout(timer);
    },
  };
}

/** At most `n` points, each the mean of its neighbours. */
function thinned(points, n) {
  const every = Math.ceil(points.length / n);
  if (every <= 1) return points;
  const out = [];
  for (let i = 0; i < points.length; i += every) {
    const part = points.slice(i, i + every);
    out.push([part.at(-1)[0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return out;
}
