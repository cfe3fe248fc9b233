// What Draw shows: the frames of a drawing, the curves of its plan, Eq. 12 with its weights, the pictures.
import { chart, legend } from "./chart.js";
import { why } from "./controls.js";
import { eachFrame, el, picture, show } from "./dom.js";
import { EQ12, equation } from "./equation.js";


/** x_t and x̂_0 side by side, and a slider over the frames that have come. @param {{onframe: (frame: object) => void}} options */
export function frames({ onframe }) {
  const images = {
    x_t: picture("The picture on its way, x_t", { "data-testid": "draw-xt", class: "picture empty" }),
    x_0: picture("The predicted picture, x̂₀", { "data-testid": "draw-x0", class: "picture empty" }),
  };
  const range = el("input", { type: "range", min: 0, max: 0, value: 0, step: 1, "aria-label": "Step that is shown", "data-testid": "draw-scrubber", disabled: true });
  // No live region: a drawing would be told step by step, and the slider says it.
  const caption = el("span", { class: "frame-caption", "data-testid": "draw-frame-caption" });
  const number = el("span", { class: "out-of-sight", "data-testid": "draw-frame-count", text: "0" });
  const about = why("frames", "this");
  const element = el("div", { class: "frames" },
    el("div", { class: "pair-of-frames" },
      el("figure", {}, el("div", { class: "frame" }, images.x_t), el("figcaption", {}, el("span", {}, el("var", { text: "x" }), el("sub", { text: "t" }), " on its way"))),
      el("figure", {}, el("div", { class: "frame" }, images.x_0), el("figcaption", {}, el("span", {}, el("var", { text: "x̂" }), el("sub", { text: "0" }), " predicted"), about.button))),
    el("div", { class: "scrub" }, range, caption, number), about.text);

  let list = [];
  let at = -1;
  // Whoever looks at a step of the past is not pulled away by the next.
  let follows = true;
  const showFrame = (i) => {
    at = i;
    const frame = list[i];
    show(images.x_t, frame?.x_t);
    show(images.x_0, frame?.x_0);
    range.value = i;
    range.style.setProperty("--share", list.length > 1 ? i / (list.length - 1) : 0);
    caption.textContent = frame ? `step ${frame.step} · t = ${frame.timestep}` : "";
    range.setAttribute("aria-valuetext", frame ? `step ${frame.step}, timestep ${frame.timestep}` : "none");
    onframe(frame ?? null);
  };
  const latestFrame = eachFrame(() => {
    range.max = Math.max(0, list.length - 1);
    range.disabled = list.length < 2;
    number.textContent = String(list.length);
    if (follows || at >= list.length) showFrame(list.length - 1);
  });
  range.addEventListener("input", () => {
    const i = Number(range.value);
    follows = i === list.length - 1;
    showFrame(i);
  });
  return {
    element,
    /** A drawing of so many steps begins; what is shown stays until its first frame. */
    expect: () => (follows = true),
    /** A frame that has come. @param {boolean} first of its drawing */
    add(frame, first) {
      // Pictures of frames are data URLs: what is dropped from the list is gone.
      if (first) list = [];
      list.push(frame);
      latestFrame();
    },
    current: () => list[at] ?? null,
    /** To the frame nearest to a timestep. */
    goTo(timestep) {
      if (!list.length) return;
      const i = list.reduce((best, frame, k) => (Math.abs(frame.timestep - timestep) < Math.abs(list[best].timestep - timestep) ? k : best), 0);
      follows = i === list.length - 1;
      showFrame(i);
    },
  };
}

/** The ᾱ curve with τ, and the three weights of each step. @param {{onpick: (timestep: number) => void}} options */
export function charts({ onpick }) {
  const x = { label: "noise ← timestep t → picture", reverse: true };
  const curve = chart({ title: "ᾱ over the timesteps, with those visited", x, y: {}, testid: "draw-curve", onpick });
  const terms = chart({ title: "The weights of Eq. 12 at each step", x, y: {}, testid: "draw-weights", onpick });
  const about = [why("curve", "the curve"), why("weights", "the weights")];
  const names = [el("strong", { text: "–" }), el("span", {})];
  const element = el("div", { class: "plots" },
    el("section", { class: "card", "aria-label": "Trajectory" }, el("div", { class: "row" }, el("h2", {}, "ᾱ and τ"), about[0].button, el("span", { class: "room" }), el("span", { class: "muted small" }, names)), curve.element, about[0].text),
    el("section", { class: "card", "aria-label": "Weights" },
      el("div", { class: "row" }, el("h2", { text: "Weights" }), about[1].button, el("span", { class: "room" }), legend([["term-x0", "picture"], ["term-direction", "direction"], ["term-sigma", "noise"]])), terms.element, about[1].text));
  return {
    element,
    draw(plan) {
      element.classList.toggle("empty", !plan);
      if (!plan) return;
      const T = plan.alpha_bar.length;
      names[0].textContent = plan.trajectory;
      names[1].textContent = ` · ${plan.steps.length} of ${T}`;
      const every = plan.alpha_bar.map((v, t) => [t, v]).filter(([t]) => t % 4 === 0 || t === T - 1);
      curve.draw({
        xDomain: [0, T], yDomain: [0, 1], describe: `${plan.steps.length} of ${T} timesteps are visited, by ${plan.trajectory}`,
        lines: [{ name: "alpha", points: every }, { name: "tau", points: plan.steps.map((s) => [s.timestep, s.alpha_bar]), dots: true, line: false }],
      });
      const of = (name, f) => ({ name, points: plan.steps.map((s) => [s.timestep, f(s)]), dots: true });
      const all = [of("term-x0", (s) => Math.sqrt(s.alpha_bar_next)), of("term-direction", (s) => s.direction), of("term-sigma", (s) => s.sigma)];
      terms.draw({ xDomain: [0, T], yDomain: [0, 1], lines: all });
    },
    mark(step) {
      curve.mark(step?.timestep ?? null, step ? [{ name: "tau", value: step.alpha_bar }] : []);
      terms.mark(step?.timestep ?? null, step ? [{ name: "term-x0", value: Math.sqrt(step.alpha_bar_next) }, { name: "term-direction", value: step.direction }, { name: "term-sigma", value: step.sigma }] : []);
    },
  };
}

/** Eq. 12, and what its terms weigh at the step that is shown. */
export function weights() {
  const term = (name, words) => {
    const value = el("span", { class: "weight", "data-testid": `draw-weight-${name}`, text: "–" });
    const bar = el("span", { class: "bar" });
    return { value, bar, element: el("li", { class: `term-${name}` }, el("span", { class: "what", text: words }), value, el("span", { class: "track" }, bar)) };
  };
  const terms = [term("x0", "√ᾱ, the predicted picture"), term("direction", "direction that points back"), term("sigma", "σ, fresh noise")];
  const which = el("span", { class: "muted", "data-testid": "draw-weight-step" });
  const element = el("section", { class: "card eq12", "aria-label": "Equation 12", "data-testid": "draw-equation" },
    el("div", { class: "row" }, el("h2", { text: "One step, Eq. 12" }), el("span", { class: "room" }), which),
    equation(EQ12, "equation wide"), el("ul", { class: "weights" }, terms.map((t) => t.element)));
  return {
    element,
    show(step, number, total, hasNoise) {
      const values = step ? [Math.sqrt(step.alpha_bar_next), step.direction, step.sigma] : [null, null, null];
      terms.forEach(({ value, bar }, i) => {
        value.textContent = values[i] === null ? "–" : values[i].toFixed(4);
        bar.style.inlineSize = `${Math.min(1, values[i] ?? 0) * 100}%`;
      });
      element.classList.toggle("no-noise", !hasNoise);
      which.textContent = step ? `step ${number} of ${total}: t = ${step.timestep} → ${step.next_timestep ?? "picture"}, ᾱ ${digits(step.alpha_bar)} → ${digits(step.alpha_bar_next)}` : "";
    },
    explain: (text) => (which.textContent = text),
  };
}

/** ᾱ near 1 is told from 1. */
const digits = (x) => (x < 0.001 ? x.toExponential(2) : String(Number(x.toPrecision(4))));

/** The pictures of a drawing, each a link to its file. */
export function gallery() {
  const element = el("ul", { class: "gallery", "data-testid": "draw-gallery" });
  return {
    element,
    show(result, first) {
      const { seed, model } = result.report;
      element.classList.toggle("single", result.images.length === 1);
      element.replaceChildren(...result.images.map((url, i) =>
        el("li", {}, el("a", { href: url, download: `${model}-${seed}-${first + i}.png`, title: `Save picture ${first + i}` }, picture(`Picture ${first + i} of seed ${seed}`, { src: url, loading: "lazy" })))));
    },
  };
}
