// Edit: an image drawn again from some of its noise, within a mask, or under another class.
import { slider } from "./controls.js";
import { duration, el, picture } from "./dom.js";
import { cropped, imageInput } from "./image-input.js";
import { keeper } from "./job.js";
import { maskPainter } from "./mask.js";
import { runner, tool } from "./runner.js";
import { classPicker, defaults, firstClass, modelOf, modelRequest, settingsControls } from "./settings.js";
import { store } from "./state.js";

export const title = "Edit";

export function create(panel, { backend, models, pictures }) {
  const names = ["model", "steps", "eta", "seed", "guidance", "solver", "trajectory"];
  const state = store({ ...defaults(names, models), hat: false, strength: 0.5, variations: 4, from: "", classes: "" });
  const jobs = runner(panel, backend, "edit");
  const { keep } = keeper(backend);
  let image = null;

  const painter = maskPainter({ onchange: () => {
    jobs.changed();
    again();
  } });
  const empty = el("p", { class: "placeholder", text: "Choose an image, drop one here, or take one that was drawn. Then move the strength, or paint the part to redraw." });
  const edits = el("ul", { class: "edits", "data-testid": "edit-results" });
  const result = el("div", { class: "editing", hidden: true }, el("div", {}, painter.field, painter.tools), edits);
  const source = imageInput({ panel, tab: "edit", pictures, onimage: async (url) => {
    image = url;
    jobs.changed();
    if (await prepare()) again();
  } });

  const [model, steps, eta, seed, guidance, solver, trajectory] = settingsControls(state, models, "edit", names);
  const strength = slider(state, "strength", { label: "Strength", topic: "strength", min: 0, max: 1, step: 0.01, testid: "edit-strength" });
  const variations = slider(state, "variations", { label: "Variations", topic: "variations", min: 1, max: 16, testid: "edit-variations" });
  const from = classPicker(state, models, { key: "from", label: "Class of the image", topic: "imageClass", testid: "edit-from", single: true, unset: "not given", field: "from_class" });
  const to = classPicker(state, models, { key: "classes", label: "Class to draw", topic: "targetClass", testid: "edit-to", single: true, unset: "the image's", field: "classes to_class" });

  /** Whether the image is encoded under one class and decoded under another. */
  const translates = (v) => Boolean(modelOf(models, v).classes && v.from && v.classes && v.from !== v.classes);

  /** Width and height of the model's images. */
  const sizeOf = () => [...(modelOf(models, state.values).size ?? [32, 32])].reverse();

  /** The image as the network will see it, to paint on. @returns {Promise<boolean>} whether it still is the image */
  async function prepare() {
    const [url, size] = [image, sizeOf()];
    const seen = await cropped(url, ...size);
    if (url !== image || String(size) !== String(sizeOf())) return false;
    painter.over(seen);
    empty.hidden = true;
    result.hidden = false;
    return true;
  }

  async function again(changed = new Set()) {
    if (!image) return;
    jobs.guard(async (mine) => {
      if (changed.has("model")) await prepare();
      if (!mine()) return;
      const v = { ...state.values };
      const mask = painter.dataUrl();
      const translated = translates(v);
      const request = {
        model: modelRequest({ ...v, classes: v.classes || v.from }, models), input: image, preparation: { fit: "crop" },
        // From the image's own latent there is no strength but the whole way.
        strength: translated ? 1 : v.strength, steps: v.steps, eta: v.eta, seed: v.seed, solver: v.solver, trajectory: v.trajectory || null,
        variations: translated && v.eta === 0 ? 1 : v.variations,
        ...(translated ? { from_class: v.from } : {}), ...(mask ? { mask } : {}),
      };
      const found = await jobs.run("edit", request);
      if (!found) return;
      keep(found);
      const originals = found.images.length - request.variations;
      // As the server has cut and resized it.
      const seen = await cropped(found.images[0], ...sizeOf());
      if (!mine()) return;
      painter.over(seen);
      edits.classList.toggle("single", request.variations === 1);
      edits.replaceChildren(...found.images.slice(originals).map((url, i) => el("li", {},
        el("a", { href: url, download: `edit-${v.seed}-${i}.png`, title: `Save edit ${i}` }, picture(`Edit ${i}`, { src: url })))));
      const words = mask ? "within the mask" : translated ? `from class ${v.from} to ${v.classes}` : `at strength ${v.strength}`;
      jobs.say(`${request.variations} ${request.variations === 1 ? "edit" : "edits"} ${words} in ${duration(found.report.seconds)}`, true);
    });
  }

  // What is drawn is of some class: the image's where that is said.
  firstClass(state, models, "classes", (v) => v.from);
  const update = (v) => {
    for (const input of strength.querySelectorAll("input")) input.disabled = translates(v);
  };
  state.watch(update);
  update(state.values);
  const made = tool(panel, {
    tab: "edit", topic: "edit", heading: "Draw it again", runner: jobs, state,
    controls: [source.element, model, strength, variations, from, to, steps, eta, seed, guidance, solver, trajectory], content: [empty, result], draw: again,
  });
  panel.classList.add("input");
  return { ...made, enter: () => (source.refresh(), made.enter()) };
}
