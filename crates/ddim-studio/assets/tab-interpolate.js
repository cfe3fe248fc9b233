// Interpolate: pictures between four latents, or on the way between two.
import { command } from "./command.js";
import { segments, slider, whole } from "./controls.js";
import { duration, el, picture, show } from "./dom.js";
import { keeper } from "./job.js";
import { runner, tool } from "./runner.js";
import { commandSettings, defaults, modelRequest, settingsControls } from "./settings.js";
import { store } from "./state.js";

export const title = "Interpolate";

const CORNERS = ["a", "b", "c", "d"];

export function create(panel, { backend, models }) {
  const names = ["model", "steps", "solver", "trajectory", "classes"];
  const state = store({ ...defaults(names, models), steps: 20, between: "four", a: 0, b: 1, c: 2, d: 3, side: 7, frames: 17 });
  const jobs = runner(panel, backend, "interpolate");
  const { keep, get: kept } = keeper(backend);
  let [columns, rows] = [1, 1];

  const map = el("div", { class: "map", "data-testid": "interpolate-map" });
  const handle = el("div", { class: "handle", "aria-hidden": "true" });
  const field = el("div", { class: "field", "data-testid": "interpolate-field" }, map, handle);
  const large = [picture("", { class: "picture empty" }), picture("", { class: "picture empty", "data-testid": "interpolate-large" })];
  const caption = el("output", { class: "muted", "data-testid": "interpolate-caption" });
  const across = el("input", { type: "range", min: 0, max: 1, step: "any", value: 0.5, "aria-label": "Across", "data-testid": "interpolate-across" });
  const down = el("input", { type: "range", min: 0, max: 1, step: "any", value: 0.5, "aria-label": "Down", "data-testid": "interpolate-down" });
  const downRow = el("div", { class: "labelled" }, el("span", { text: "down" }), down);

  // Where one points, from 0 to 1. It stays while pictures are drawn anew.
  let at = [0.5, 0.5];
  function point(x, y) {
    at = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
    [across.value, down.value] = at;
    across.style.setProperty("--share", at[0]);
    down.style.setProperty("--share", at[1]);
    // Pictures have their latents in the middle; the outer ones are the corners themselves.
    const column = Math.round(at[0] * (columns - 1));
    const row = Math.round(at[1] * (rows - 1));
    handle.style.insetInlineStart = `${((at[0] * (columns - 1) + 0.5) / columns) * 100}%`;
    handle.style.insetBlockStart = `${((at[1] * (rows - 1) + 0.5) / rows) * 100}%`;
    const url = kept()?.images[row * columns + column];
    if (!url || large[1].getAttribute("src") === url) return;
    // The one before stays below while the new one fades in over it.
    show(large[0], large[1].getAttribute("src"));
    show(large[1], url);
    const share = (k, n) => (n > 1 ? (k / (n - 1)).toFixed(2) : "0");
    const place = rows > 1 ? `${share(column, columns)} across, ${share(row, rows)} down` : `α = ${share(column, columns)}`;
    large[1].alt = `The picture at ${place}`;
    caption.textContent = place;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still) large[1].animate([{ opacity: 0 }, { opacity: 1 }], { duration: 140 });
  }
  across.addEventListener("input", () => point(Number(across.value), at[1]));
  down.addEventListener("input", () => point(at[0], Number(down.value)));
  const follow = (event) => {
    if (!event.buttons) return;
    const box = field.getBoundingClientRect();
    const of = (share, n) => (n > 1 ? (share * n - 0.5) / (n - 1) : 0);
    point(of((event.clientX - box.left) / box.width, columns), of((event.clientY - box.top) / box.height, rows));
  };
  field.addEventListener("pointerdown", (event) => (field.setPointerCapture(event.pointerId), follow(event)));
  field.addEventListener("pointermove", follow);

  const [model, steps, solver, trajectory, classes] = settingsControls(state, models, "interpolate", names);
  const between = segments(state, "between", { label: "Between", topic: "interpolate", options: [["four", "four latents"], ["two", "two"]], testid: "interpolate-between" });
  const words = { a: ["top left", "from"], b: ["top right", "to"], c: ["bottom left"], d: ["bottom right"] };
  const seeds = CORNERS.map((key) => whole(state, key, { label: `Seed ${words[key][0]}`, topic: key === "a" ? "corner" : undefined, testid: `interpolate-seed-${key}`, dice: true, field: key === "a" ? "a seeds" : key }));
  const side = slider(state, "side", { label: "Pictures a side", topic: "side", min: 3, max: 10, testid: "interpolate-side", field: "side rows cols" });
  const frames = slider(state, "frames", { label: "Pictures on the way", topic: "walk", min: 3, max: 41, testid: "interpolate-frames", field: "frames" });
  const update = ({ between: is }) => {
    const four = is === "four";
    seeds[2].hidden = seeds[3].hidden = side.hidden = downRow.hidden = !four;
    frames.hidden = four;
    seeds[0].querySelector(".name").textContent = `Seed ${four ? words.a[0] : words.a[1]}`;
    seeds[1].querySelector(".name").textContent = `Seed ${four ? words.b[0] : words.b[1]}`;
  };
  state.watch(update);
  update(state.values);

  const layout = el("div", { class: "between" },
      el("div", { class: "between-map" }, field, el("div", { class: "labelled" }, el("span", { text: "across" }), across), downRow),
      el("figure", { class: "between-large" }, el("div", { class: "frame stacked" }, large), el("figcaption", {}, caption)));

  function draw() {
    jobs.guard(async () => {
      const v = { ...state.values };
      const four = v.between === "four";
      const request = {
        model: modelRequest(v, models), steps: v.steps, solver: v.solver, trajectory: v.trajectory || null,
        ...(four ? { seeds: CORNERS.map((key) => v[key]), rows: v.side, cols: v.side } : { seeds: [v.a, v.b], frames: v.frames }),
      };
      const result = await jobs.run("interpolate", request);
      if (!result) return;
      keep(result);
      columns = result.report.columns;
      rows = result.report.count / columns;
      if (!four) [columns, rows] = [result.report.count, 1];
      map.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
      layout.classList.toggle("walk", rows === 1);
      map.replaceChildren(...result.images.map((url) => picture("", { src: url })));
      field.style.setProperty("--columns", columns);
      point(...at);
      jobs.say(`${result.report.count} pictures in ${duration(result.report.seconds)}`, true);
    });
  }
  return tool(panel, {
    tab: "interpolate", topic: "interpolate", heading: "Between latents", runner: jobs, state,
    controls: [model, between, ...seeds, side, frames, steps, classes, solver, trajectory],
    content: [layout],
    draw,
    command: () => {
      const { between: is, a, b, c, d, side: n, frames: m, ...v } = state.values;
      const rest = is === "four" ? { seeds: [a, b, c, d], rows: n, cols: n } : { seeds: [a, b], frames: m };
      return command("interpolate", { ...commandSettings(v, models), ...rest, grid: "interpolation.png" });
    },
  });
}
