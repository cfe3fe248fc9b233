// Grid: steps across, noise and solvers down, all from the same latents, as the figure behind Table 1.
import { button, segments, text } from "./controls.js";
import { duration, el, picture } from "./dom.js";
import { runner, tool } from "./runner.js";
import { defaults, modelRequest, settingsControls, SOLVERS as ALL } from "./settings.js";
import { numbers, store } from "./state.js";

export const title = "Grid";

const SOLVERS = ALL.map(([solver]) => solver);
/** The others are for the ordinary differential equation, which has no noise. */
const NOISY = ["ddim", "dpmpp-2m-sde"];

const words = (t) => t.split(/[\s,]+/).filter(Boolean);
const noiseOf = (word) => (word === "hat" || word === "σ̂" ? "hat" : Number(word));

export function create(panel, { backend, models }) {
  const names = ["model", "seed", "classes", "trajectory"];
  const state = store({ ...defaults(names, models), steps: [5, 10, 20, 50], etas: "0,0.2,0.5,1,hat", solvers: "ddim", count: 4 });
  const jobs = runner(panel, backend, "grid");
  const table = el("table", { class: "grid", "data-testid": "grid-table" });
  // Results of the cells that are shown.
  let kept = [];

  const [model, seed, classes, trajectory] = settingsControls(state, models, "grid", names);
  const steps = text(state, "steps", {
    label: "Steps S", topic: "steps", testid: "grid-steps", hint: "numbers from 1 to 1000, such as 10, 20, 50", show: (list) => list.join(", "),
    parse: (t) => {
      const list = numbers(t);
      return list?.every((s) => Number.isInteger(s) && s >= 1 && s <= 1000) && list.length <= 8 ? list : null;
    },
  });
  const etas = text(state, "etas", {
    label: "Noise η", topic: "eta", testid: "grid-etas", hint: "numbers from 0 to 1, and hat", show: (t) => words(t).join(", "), field: "etas eta",
    parse: (t) => {
      const list = words(t);
      return list.length && list.length <= 8 && list.every((w) => noiseOf(w) === "hat" || (noiseOf(w) >= 0 && noiseOf(w) <= 1)) ? list.join(",") : null;
    },
  });
  const solvers = text(state, "solvers", {
    label: "Solvers", topic: "solver", testid: "grid-solvers", hint: SOLVERS.join(", "), show: (t) => words(t).join(", "), field: "solvers solver",
    parse: (t) => (words(t).length && words(t).every((w) => SOLVERS.includes(w)) ? words(t).join(",") : null),
  });
  const count = segments(state, "count", { label: "Pictures a cell", topic: "cell", options: [[1, "1"], [4, "4"]], testid: "grid-count" });
  const again = button("Draw the table again", "grid-run", () => draw(), { class: "quiet" });

  function draw() {
    jobs.guard(async (mine) => {
      const v = { ...state.values };
      // What an address says is not checked by the controls.
      const usual = (list, key) => (list.length ? list : words(state.defaults[key]));
      const noises = usual(words(v.etas).filter((word) => noiseOf(word) === "hat" || (noiseOf(word) >= 0 && noiseOf(word) <= 1)), "etas").map(noiseOf);
      const chosen = usual(words(v.solvers).filter((word) => SOLVERS.includes(word)), "solvers");
      const rows = chosen.flatMap((solver) => noises.map((eta) => ({ solver, eta })));
      const several = chosen.length > 1;
      const cells = rows.map(() => v.steps.map(() => el("div", { class: v.count === 1 ? "cell one" : "cell" })));
      kept.forEach((result) => backend.release?.(result));
      kept = [];
      const label = ({ solver, eta }) => `${several ? `${solver}, ` : ""}${eta === "hat" ? "σ̂" : `η = ${eta}`}`;
      table.replaceChildren(
        el("caption", { class: "out-of-sight", text: "Pictures by noise and number of steps, from the same latents" }),
        el("thead", {}, el("tr", {}, el("td"), v.steps.map((s) => el("th", { scope: "col", text: `S = ${s}` })))),
        el("tbody", {}, rows.map((row, i) => el("tr", {}, el("th", { scope: "row", text: label(row) }), cells[i].map((cell) => el("td", {}, cell))))));
      jobs.fresh();
      let [seconds, done] = [0, 0];
      // What can be drawn at all, the fewest steps first: so that every row has something soon.
      const list = v.steps.flatMap((S, column) => rows.map((row, i) => ({ S, row, cell: cells[i][column] }))).filter(({ row, cell }) => {
        const can = row.eta === 0 || NOISY.includes(row.solver) && !(row.eta === "hat" && row.solver !== "ddim");
        if (!can) {
          cell.className = "cell none";
          cell.textContent = "cannot add this noise";
        }
        return can;
      });
      for (const { S, row, cell } of list) {
        cell.classList.add("running");
        const request = { model: modelRequest(v, models, true), count: v.count, steps: S, eta: row.eta, solver: row.solver, seed: v.seed, trajectory: v.trajectory || null };
        let found;
        try {
          found = await jobs.run("sample", request);
        } finally {
          cell.classList.remove("running");
        }
        if (!found || !mine()) return;
        kept.push(found);
        cell.replaceChildren(...found.images.map((url, i) => picture(`Picture ${i}, ${label(row)}, ${S} steps`, { src: url })));
        seconds += found.report.seconds;
        jobs.say(`${++done} of ${list.length} cells`);
      }
      jobs.say(`${list.length} cells in ${duration(seconds)}`, true);
    });
  }
  return tool(panel, {
    tab: "grid", topic: "grid", heading: "Steps and noise, as in Table 1", runner: jobs, state, pause: 400,
    controls: [model, seed, steps, etas, solvers, count, classes, trajectory, again],
    content: [el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of pictures" }, table)], draw,
  });
}
