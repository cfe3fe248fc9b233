// What the tabs that draw have in common: settings, their controls, and the engine's request that they make.
import { el, freshId } from "./dom.js";
import { choice, slider, text, toggle, whole, why } from "./controls.js";

/** Where the slider of S may stand: dense where a step more is seen. */
export const STOPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000];

export const SOLVERS = [
  ["ddim", "ddim (Eq. 12)"], ["ipndm", "ipndm"], ["dpmpp-2m", "dpm++ 2m"], ["unipc", "unipc"], ["heun", "heun (2 a step)"], ["dpmpp-2m-sde", "dpm++ 2m sde"],
];
const TRAJECTORIES = ["uniform", "quadratic", "quadratic-full", "leading", "trailing", "linspace", "power:1.5", "log-snr", "karras:7"];
export const CLIPS = [["model", "the model's way"], ["on", "to the range"], ["off", "never"]];

/** What the tabs share, as it is at first. No guidance, no levels of it and no classes are the model's own. */
const SETTINGS = { model: "", steps: 50, eta: 0, hat: false, solver: "ddim", trajectory: "", seed: 0, classes: "", guidance: null, levels: "", clip: "model", rederive: false };

/** Those of `names`, as they are at first. @param {string[]} names */
export const defaults = (names, models) => Object.fromEntries(names.map((name) => [name, name === "model" ? models[0].model : SETTINGS[name]]));

/** The report about a served model. */
export const modelOf = (models, v) => models.find((info) => info.model === v.model) ?? models[0];

/** Classes that can be drawn: a network trained with dropped labels has one more, which stands for none. */
const classCount = (info) => (info.classes ?? 0) - (hasNull(info) ? 1 : 0);

/** Where guidance acts when a model does not say. */
const EVERYWHERE = [0, 1];
export const usualLevels = (info) => info.guidance_interval ?? EVERYWHERE;

/** Two levels from 0 to 1 that rise, such as `0, 0.6`; null where the text is none. */
export function parseLevels(words) {
  const list = words.split(",").map((word) => (word.trim() ? Number(word) : NaN));
  return list.length === 2 && list[0] >= 0 && list[0] < list[1] && list[1] <= 1 ? list : null;
}

export const className = (info, k) => info.class_names?.[k] ?? String(k);

/** What a request calls a class: its name, unless that would read as several, a mixture, or a word of the requests. */
export function classValue(info, k) {
  const name = className(info, k);
  return /[,+*]|^\s|\s$/.test(name) || ["each", "random", "none", "data", "reference"].includes(name) || /^\d+$/.test(name) ? String(k) : name;
}

/** `model` of a request. Where no class is chosen it is left to the engine: classes that the model draws by itself (`own`), or else none, where it knows that. */
export function modelRequest(v, models, own = false) {
  const info = modelOf(models, v);
  const request = { model: info.model };
  const classes = v.classes || ((own ? info.drawn_classes : hasNull(info)) ? "" : "each");
  if (info.classes && classes) request.classes = classes;
  // Said, even where it is 1: a model may have another of its own.
  if (canGuide(info) && typeof v.guidance === "number") request.guidance = { scale: v.guidance };
  if (v.levels && guided(info, v)) request.guidance = { ...request.guidance, interval: parseLevels(v.levels) };
  return request;
}

/** A model that has no class for none is given its first, until another is chosen or `said` otherwise. */
export function firstClass(state, models, key, said = () => false) {
  const update = (v) => {
    const info = modelOf(models, v);
    if (info.classes && !hasNull(info) && !v[key] && !said(v)) state.set({ [key]: classValue(info, 0) });
  };
  state.watch(update);
  update(state.values);
}

export const hasNull = (info) => info.null_class !== null && info.null_class !== undefined;
const canGuide = (info) => Boolean(info.classes) && hasNull(info);

/** The scale that a model says for what is drawn from noise, unless for no class. */
const usualScale = (info, v) => (v.classes !== "none" ? info.guidance : null) ?? 1;

/** Whether Draw guides. */
const guided = (info, v) => canGuide(info) && (v.guidance ?? usualScale(info, v)) !== 1;

/** What requests that sample have in common. */
export function samplingRequest(v, models) {
  const request = { model: modelRequest(v, models, true), steps: v.steps, seed: v.seed, solver: v.solver, trajectory: v.trajectory || null };
  if (v.eta !== undefined) request.eta = v.hat ? "hat" : v.eta;
  if (v.clip !== undefined) request.clip = { clip: v.clip === "model" ? null : v.clip === "on", rederive_epsilon: v.rederive ?? false };
  return request;
}

/** Settings as flags of the command line: a request's, where models without classes have none. */
export function commandSettings(v, models, own = false) {
  const { classes, guidance, ...rest } = v;
  const model = modelRequest(v, models, own);
  return { ...rest, model: sourceOf(modelOf(models, v)), classes: model.classes, guidance: model.guidance?.scale, "guidance-interval": model.guidance?.interval?.join(",") };
}

/** What the command line calls a model. Of one that the server has in a folder nobody says where: a folder of that name, never the built-in model of it. */
export const sourceOf = (info) => info.source ?? `./${info.model}`;

/** Controls of settings by name. @param {string} tab of their test ids */
export function settingsControls(state, models, tab, names) {
  const make = {
    // Another model has other classes; a tab takes those of its settings that it has.
    model: () => choice(state, "model", {
      label: "Model", topic: "model", options: models.map((m) => [m.model, m.model]), testid: `${tab}-model`, field: "model", besides: { classes: "", from: "" },
    }),
    steps: () => slider(state, "steps", { label: "Steps S", topic: "steps", min: 1, max: 1000, stops: STOPS, testid: `${tab}-steps`, field: "steps timesteps" }),
    eta: () => {
      const element = slider(state, "eta", { label: "Noise η", topic: "eta", min: 0, max: 1, step: 0.01, testid: `${tab}-eta`, field: "eta sigma" });
      const update = (v) => {
        for (const input of element.querySelectorAll("input")) input.disabled = v.hat;
      };
      state.watch(update);
      update(state.values);
      return element;
    },
    hat: () => toggle(state, "hat", { label: "σ̂ instead of η", topic: "hat", testid: `${tab}-hat` }),
    solver: () => choice(state, "solver", { label: "Solver", topic: "solver", options: SOLVERS, testid: `${tab}-solver`, field: "solver" }),
    trajectory: () => choice(state, "trajectory", {
      label: "Trajectory τ", topic: "trajectory", options: [["", "the model's"], ...TRAJECTORIES.map((name) => [name, name])], testid: `${tab}-trajectory`,
    }),
    seed: () => whole(state, "seed", { label: "Seed", topic: "seed", testid: `${tab}-seed`, dice: true }),
    classes: () => classPicker(state, models, { key: "classes", label: "Class", topic: "classes", testid: `${tab}-classes`, own: tab !== "interpolate" }),
    guidance: () => {
      const own = (v) => (tab === "draw" ? usualScale(modelOf(models, v), v) : 1);
      const element = slider(state, "guidance", { label: "Guidance w", topic: "guidance", min: 0, max: 8, step: 0.1, testid: `${tab}-guidance`, own });
      const update = (v) => (element.hidden = !canGuide(modelOf(models, v)));
      state.watch(update);
      update(state.values);
      return element;
    },
    levels: () => {
      const element = text(state, "levels", {
        label: "Guided levels", topic: "levels", testid: `${tab}-levels`, field: "guidance_interval", hint: "two levels from 0 to 1, such as 0, 0.6",
        parse: (t) => (t.trim() ? parseLevels(t)?.join(",") ?? null : ""),
      });
      const update = (v) => {
        element.hidden = !guided(modelOf(models, v), v);
        element.querySelector("input").placeholder = usualLevels(modelOf(models, v)).join(",");
      };
      state.watch(update);
      update(state.values);
      return element;
    },
    clip: () => choice(state, "clip", { label: "Clip x̂₀", topic: "clip", options: CLIPS, testid: `${tab}-clip`, field: "clip" }),
    rederive: () => toggle(state, "rederive", { label: "Derive ε again", topic: "rederive", testid: `${tab}-rederive` }),
  };
  return names.map((name) => make[name]());
}

/** Classes as buttons: any of them, or those that the model draws by itself (`own`) or else none, or each in turn, or at random; `unset` is what it means, besides none, where
 * nothing is chosen. Hidden for models without. */
export function classPicker(state, models, { key, label, topic, testid, single = false, own = false, unset = null, field = key }) {
  const group = freshId("group");
  const chips = el("div", { class: "chips", role: "group", "aria-labelledby": group });
  const about = topic ? why(topic, label) : null;
  const element = el("div", { class: "control", "data-field": field },
    el("div", { class: "head" }, el("span", { class: "name", id: group, text: label }), about?.button ?? null), chips, el("p", { class: "error", id: freshId("error"), hidden: true }), about?.text ?? null);
  let drawn = null;
  const chosen = () => state.values[key].split(",").map((name) => name.trim()).filter(Boolean);
  const press = (value) => {
    if (single || ["", "each", "random"].includes(value)) return state.set({ [key]: value });
    const list = chosen().filter((c) => c !== "random" && c !== "each");
    const next = list.includes(value) ? list.filter((c) => c !== value) : [...list, value];
    state.set({ [key]: next.join(",") });
  };
  const update = (v) => {
    const info = modelOf(models, v);
    const usual = unset ? "unset" : own && info.drawn_classes ? "own" : !own && hasNull(info) ? "none" : "each";
    element.hidden = !info.classes;
    if (drawn !== info) {
      drawn = info;
      const none = hasNull(info) ? [["none", "none"]] : [];
      const first = { unset: [["", unset], ...none], own: [["", "the model's"]], none: [["", "none"]], each: [] }[usual];
      const special = single ? first : [...first, [usual === "each" ? "" : "each", "each in turn"], ["random", "random"]];
      const names = Array.from({ length: classCount(info) }, (_, k) => [classValue(info, k), className(info, k)]);
      chips.replaceChildren(...[...special, ...names].map(([value, text]) =>
        el("button", { type: "button", class: "chip", "data-value": value, "data-testid": `${testid}-${value || usual}`, text, onclick: () => press(value) })));
    }
    const list = v[key] === "each" && usual === "each" ? [] : chosen();
    for (const chip of chips.children) {
      const value = chip.dataset.value;
      chip.setAttribute("aria-pressed", String(value === "" ? list.length === 0 : list.includes(value)));
    }
  };
  state.watch(update);
  update(state.values);
  return element;
}
