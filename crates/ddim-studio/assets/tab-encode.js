// Encode: an image to its latent and back, and what is lost.
import { chart } from "./chart.js";
import { choice, slider, text, why } from "./controls.js";
import { duration, el, picture, short, show } from "./dom.js";
import { dataUrlOf, difference, imageInput, pixels } from "./image-input.js";
import { keeper } from "./job.js";
import { runner, tool } from "./runner.js";
import { classPicker, defaults, firstClass, modelRequest, settingsControls, STOPS } from "./settings.js";
import { numbers, store } from "./state.js";

export const title = "Encode";

const PREPARATION = { fit: "crop" };
const MAGNIFY = 4;

export function create(panel, { backend, models, pictures }) {
  const names = ["model", "steps", "trajectory"];
  const state = store({ ...defaults(names, models), classes: "", inversion: "euler", decode: 50, several: [5, 10, 20, 50, 100] });
  const jobs = runner(panel, backend, "encode");
  const [encoded, decoded] = [keeper(backend), keeper(backend)];
  // What is shown: steps down of the decoded image, if it is of these latents.
  let [image, latents, seen, decodedIn, compared] = [null, null, null, null, false];

  const figure = (testid, alt, words) => {
    const shown = picture(alt, { class: "picture empty", "data-testid": testid });
    const caption = el("span", { text: words });
    return { shown, caption, element: el("figure", {}, el("div", { class: "frame" }, shown), el("figcaption", {}, caption)) };
  };
  const original = figure("encode-input", "The image as the network sees it", "image");
  const latent = figure("encode-latent", "Its latent, as a picture", "latent");
  const back = figure("encode-decoded", "The image decoded from the latent", "decoded");
  const map = el("canvas", { class: "picture", width: 1, height: 1, role: "img", "aria-label": "Difference between the image and the decoded one", "data-testid": "encode-error-map" });
  const mapCaption = el("span", { text: "difference" });
  const about = why("errorMap", "the difference");
  const latentNumbers = el("p", { class: "muted", "data-testid": "encode-latent-numbers" });
  const mse = el("strong", { class: "number", "data-testid": "encode-mse", text: "–" });
  const curve = chart({ title: "Mean squared error by the number of steps", x: { label: "steps S, up and down", log: true }, y: { log: true }, testid: "encode-chart" });
  const curveBox = el("section", { class: "half", hidden: true, "aria-label": "Error by steps" }, el("h3", { text: "Error after encoding and decoding, by S (Table 2)" }), curve.element);
  const empty = el("p", { class: "placeholder", text: "Choose an image, drop one here, or take one that was drawn: it is resized and cut to what the network sees." });
  const result = el("div", { hidden: true }, el("div", { class: "four" }, original.element, latent.element, back.element,
    el("figure", {}, el("div", { class: "frame" }, map), el("figcaption", {}, mapCaption, about.button))), about.text, latentNumbers, curveBox);

  const source = imageInput({ panel, tab: "encode", pictures, onimage: (url) => {
    image = url;
    jobs.changed();
    again(new Set(["model"]));
  } });
  const [model, trajectory] = settingsControls(state, models, "encode", ["model", "trajectory"]);
  const steps = slider(state, "steps", { label: "Steps up", topic: "up", min: 1, max: 1000, stops: STOPS, testid: "encode-steps" });
  const decode = slider(state, "decode", { label: "Steps down", topic: "down", min: 1, max: 1000, stops: STOPS, testid: "encode-decode" });
  const inversion = choice(state, "inversion", { label: "Inversion", topic: "inversion", options: [["euler", "Eq. 13"], ["fixed-point:5", "fixed point, 5"], ["anderson", "Anderson"]], testid: "encode-inversion" });
  const classes = classPicker(state, models, { key: "classes", label: "Class of the image", topic: "imageClass", testid: "encode-class", single: true });
  const several = text(state, "several", {
    label: "Compare S", topic: "compare", testid: "encode-several", hint: "numbers from 1 to 1000", show: (list) => list.join(", "),
    parse: (t) => {
      const list = numbers(t);
      return list?.every((s) => Number.isInteger(s) && s >= 1 && s <= 1000) && list.length <= 8 ? list : null;
    },
  });

  firstClass(state, models, "classes");

  function again(changed) {
    if (!image) return;
    empty.hidden = true;
    result.hidden = false;
    const encodes = !latents || ["model", "steps", "trajectory", "inversion", "classes"].some((key) => changed.has(key));
    if (encodes) latents = decodedIn = null;
    if (encodes || changed.has("several")) compared = false;
    const compares = !compared;
    jobs.guard(async (mine) => {
      const v = { ...state.values };
      const input = image;
      const shared = { model: modelRequest(v, models), trajectory: v.trajectory || null };
      if (encodes) {
        const found = await jobs.run("encode", { ...shared, input, preparation: PREPARATION, steps: v.steps, inversion: v.inversion });
        if (!found) return;
        encoded.keep(found);
        seen = found.images[0];
        show(original.shown, seen);
        show(latent.shown, found.images[1]);
        const { latent_mean: mean, latent_std: std, seconds } = found.report;
        latentNumbers.textContent = `Latent: mean ${short(mean)} (noise: 0), standard deviation ${short(std)} (noise: 1). Encoded in ${v.steps} steps, ${duration(seconds)}.`;
        const array = await dataUrlOf(await found.array());
        if (!mine()) return;
        latents = array;
      }
      if (decodedIn !== v.decode) {
        const found = await jobs.run("sample", { ...shared, latents, count: 1, steps: v.decode, eta: 0 });
        if (!found) return;
        const [before, after] = [await pixels(seen), await pixels(found.images[0])];
        if (!mine()) return backend.release?.(found);
        decoded.keep(found);
        show(back.shown, found.images[0]);
        back.caption.textContent = `decoded in ${v.decode}`;
        const error = difference(map, before, after, MAGNIFY);
        mse.textContent = short(error);
        mapCaption.replaceChildren(`difference × ${MAGNIFY}, MSE `, mse);
        decodedIn = v.decode;
      }
      jobs.say(`encoded in ${v.steps} steps, decoded in ${v.decode}: MSE ${mse.textContent}`, true);
      if (compares) {
        const found = await jobs.run("reconstruct", { ...shared, input, preparation: PREPARATION, steps: v.several, inversion: v.inversion });
        if (!found) return;
        backend.release?.(found);
        drawCurve(found.report.mse);
        compared = true;
      }
    });
  }

  function drawCurve(list) {
    const points = list.map(({ steps: s, mse: e }) => [s, Math.max(e, 1e-8)]).sort((a, b) => a[0] - b[0]);
    curveBox.hidden = false;
    const all = points.map(([, e]) => e);
    const [low, high] = [Math.min(...all) * 0.7, Math.max(...all) * 1.4];
    const [from, to] = [points[0][0], points.at(-1)[0]];
    curve.draw({
      xDomain: from === to ? [from * 0.5, to * 2] : [from, to], yDomain: [low, high], describe: points.map(([s, e]) => `S = ${s}: ${short(e)}`).join("; "),
      lines: [{ name: "series-0", points, dots: true }],
    });
  }

  const made = tool(panel, {
    tab: "encode", topic: "encode", heading: "A picture and its latent", runner: jobs, state,
    controls: [source.element, model, classes, steps, decode, inversion, trajectory, several], content: [empty, result], draw: again,
  });
  panel.classList.add("input");
  return { ...made, enter: () => (source.refresh(), made.enter()) };
}
