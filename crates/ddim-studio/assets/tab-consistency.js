// Consistency: the same latents by several numbers of steps.
import { command } from "./command.js";
import { slider, text } from "./controls.js";
import { duration, el, picture, short } from "./dom.js";
import { keeper } from "./job.js";
import { runner, tool } from "./runner.js";
import { commandSettings, defaults, modelRequest, settingsControls } from "./settings.js";
import { numbers, store } from "./state.js";

export const title = "Consistency";

export function create(panel, { backend, models }) {
  const names = ["model", "seed", "solver", "trajectory", "classes"];
  const state = store({ ...defaults(names, models), count: 4, steps: [5, 10, 20, 50, 100] });
  const jobs = runner(panel, backend, "consistency");
  const { keep } = keeper(backend);
  const table = el("table", { class: "pictures", "data-testid": "consistency-table" });
  const summary = el("p", { class: "muted", "data-testid": "consistency-summary" });
  const [model, seed, solver, trajectory, classes] = settingsControls(state, models, "consistency", names);
  const steps = text(state, "steps", {
    label: "Steps S, several", topic: "several", testid: "consistency-steps", hint: "numbers from 1 to 1000, such as 10, 20, 50",
    parse: (t) => whole1000(t), show: (list) => list.join(", "),
  });
  const count = slider(state, "count", { label: "Latents", topic: "latents", min: 1, max: 8, testid: "consistency-count" });

  function draw() {
    jobs.guard(async () => {
      const v = { ...state.values };
      const request = { model: modelRequest(v, models, true), seed: v.seed, count: v.count, steps: v.steps, solver: v.solver, trajectory: v.trajectory || null };
      const result = await jobs.run("consistency", request);
      if (!result) return;
      keep(result);
      const { rms_from_last: rms, rms_between_latents: between, seconds } = result.report;
      const worst = Math.max(...rms.map((r) => r.rms), 1e-9);
      table.replaceChildren(
        el("caption", { class: "out-of-sight", text: "Pictures of each latent by number of steps" }),
        el("thead", {}, el("tr", {}, el("td"), v.steps.map((s) => el("th", { scope: "col", text: `S = ${s}` })))),
        el("tbody", {}, Array.from({ length: v.count }, (_, row) => el("tr", {},
          el("th", { scope: "row" }, "latent ", String(row)),
          v.steps.map((s, column) => el("td", {}, picture(`Latent ${row} in ${s} steps`, { src: result.images[row * v.steps.length + column] })))))),
        el("tfoot", {}, el("tr", {}, el("th", { scope: "row", text: "RMS from the last" }), rms.map((r) => {
          const bar = el("span", { class: "bar" });
          bar.style.inlineSize = `${(r.rms / worst) * 100}%`;
          return el("td", {}, el("span", { class: "number", text: short(r.rms) }), el("span", { class: "track term-x0" }, bar));
        }))));
      summary.textContent = between === null ? "" : `For comparison: pictures of different latents are ${short(between)} from each other.`;
      jobs.say(`drawn in ${duration(seconds)}`, true);
    });
  }
  return tool(panel, {
    tab: "consistency", topic: "consistency", heading: "One latent, many trajectories", runner: jobs, state,
    controls: [model, seed, count, steps, classes, solver, trajectory], content: [el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of pictures" }, table), summary], draw,
    command: () => command("consistency", { ...commandSettings(state.values, models, true), grid: "consistency.png" }),
  });
}

/** Whole numbers of steps. */
function whole1000(t) {
  const list = numbers(t);
  return list?.every((s) => Number.isInteger(s) && s >= 1 && s <= 1000) && list.length <= 10 ? list : null;
}
