// Draw: a picture that follows its settings, the steps it took, and Eq. 12's weights at each.
import { command, parseCommand } from "./command.js";
import { button as plainButton, segments, showError, whole } from "./controls.js";
import { announce, copy, debounce, duration, el } from "./dom.js";
import { charts, frames, gallery, weights } from "./draw-parts.js";
import { keeper, latest } from "./job.js";
import { note } from "./runner.js";
import { commandSettings, defaults, samplingRequest, settingsControls, usualLevels } from "./settings.js";
import { store } from "./state.js";

/** How long after the last movement the drawing starts, in ms, and how long it waits while one goes on moving. */
const PAUSE = 60;
const MOST_PAUSE = 220;
/** So many pictures come first, where all of them would take longer than this many ms. */
const FIRST = 4;
const SOON = 600;
/** Previews of a job: as many as there are steps, up to this. */
const PREVIEWS = 50;

export const title = "Draw";

/** @param {{backend: object, models: object[], shareLink: () => string}} context */
export function create(panel, { backend, models, shareLink }) {
  const names = ["model", "steps", "eta", "hat", "solver", "trajectory", "seed", "classes", "guidance", "levels", "clip", "rederive"];
  const state = store({ ...defaults(names, models), count: 16, first: 0 });
  const jobs = latest(backend);
  const { keep, get: kept } = keeper(backend);
  let plan = null;
  // Milliseconds a picture and step of the last drawing: by them the next one's length is guessed.
  let pace = 3;

  const general = el("p", { class: "error general", role: "alert", hidden: true, "data-testid": "draw-error" });
  const status = el("p", { class: "status", "data-testid": "draw-status" });
  const progress = el("progress", { max: 1, value: 0, "aria-label": "Steps of this drawing", "data-testid": "draw-progress" });
  const cancelButton = plainButton("Cancel", "draw-cancel", () => cancel(), { class: "quiet" });
  const notes = el("p", { class: "note", hidden: true, "data-testid": "draw-note" });
  const stage = frames({ onframe: (frame) => mark(frame) });
  const plots = charts({ onpick: (timestep) => stage.goTo(timestep) });
  const terms = weights();
  const shelf = gallery();

  const links = {
    copy: plainButton("Copy as command", "draw-copy-command", (event) => copy(commandLine(), event.target)),
    share: plainButton("Copy link", "draw-share", (event) => copy(shareLink(), event.target), { class: "quiet" }),
    png: el("a", { class: "file-button", hidden: true, "data-testid": "draw-save-png", text: "Save .png" }),
    npy: plainButton("Save .npy", "draw-save-npy", () => saveArray(), { class: "quiet", disabled: true }),
  };
  const shownCommand = el("code", { class: "command", "data-testid": "draw-command", tabindex: "0", role: "region", "aria-label": "The command that draws the same pictures" });

  const [model, steps, eta, hat, solver, trajectory, seed, classes, guidance, levels, clip, rederive] = settingsControls(state, models, "draw", names);
  const count = segments(state, "count", { label: "Pictures", topic: "count", options: [1, 4, 16, 64].map((n) => [n, String(n)]), testid: "draw-count" });
  const first = whole(state, "first", { label: "First picture", topic: "first", testid: "draw-first" });
  panel.classList.add("draw");
  panel.append(
    el("div", { class: "stage card" }, stage.element, el("div", { class: "run" }, progress, status, cancelButton), notes, general),
    el("form", { class: "controls card", "aria-label": "Settings of the drawing", onsubmit: (event) => event.preventDefault() },
      model, steps, eta, hat, seed, count, classes, guidance, levels, solver, trajectory,
      el("details", { class: "more" }, el("summary", { text: "Clipping, first picture" }), clip, rederive, first)),
    plots.element,
    terms.element,
    el("section", { class: "card results", "aria-label": "Pictures" },
      el("div", { class: "row" }, el("h2", { text: "Pictures" }), el("span", { class: "room" }), links.png, links.npy, links.share, links.copy), shownCommand, shelf.element),
  );

  const request = () => ({ ...samplingRequest(state.values, models), count: state.values.count, first: state.values.first || null });
  const commandLine = () => command("sample", commandSettings(state.values, models, true));

  /** The frame that is shown, or the step that was just taken. */
  function mark(frame) {
    // Frames of the drawing before are still shown while the plan is new: the nearest step is theirs.
    const near = (best, s) => (Math.abs(s.timestep - frame.timestep) < Math.abs(best.timestep - frame.timestep) ? s : best);
    const step = plan && frame ? plan.steps.reduce(near) : null;
    plots.mark(step);
    terms.show(step, plan?.steps.indexOf(step) + 1, plan?.steps.length, plan?.steps.some((s) => s.sigma > 0));
  }

  // One at a time: what moves faster than plans are made is not planned.
  let [planning, again] = [false, false];
  async function replan() {
    again = true;
    if (planning) return;
    planning = true;
    while (again) {
      again = false;
      try {
        const { model, steps, eta, trajectory, solver } = request();
        plan = await backend.plan({ model, steps, eta, trajectory, solver });
      } catch (error) {
        plan = null;
        // What is wrong with the settings, the job says as well. A server that has no plans still draws.
        if (error.status === 404) terms.explain("This backend cannot show its steps in advance.");
      }
      plots.draw(plan);
      mark(stage.current() ?? (plan ? plan.steps[0] : null));
    }
    planning = false;
  }

  async function draw() {
    showError(panel, null, general);
    note(notes, null);
    const wanted = request();
    const since = changes;
    busy(true);
    try {
      stage.expect(wanted.steps);
      const slow = wanted.count * wanted.steps * pace > SOON;
      if (slow && wanted.count > FIRST && !(await once({ ...wanted, count: FIRST }, true))) return;
      const result = await once(wanted, false);
      if (!result) return;
      keep(result);
      shelf.show(result, wanted.first ?? 0);
      drawn = since;
      dim();
      links.npy.disabled = !result.array;
      const file = result.grid ?? (result.images.length === 1 ? result.images[0] : null);
      links.png.hidden = !file;
      if (file) links.png.href = file;
      links.png.download = `${state.values.model}-seed${wanted.seed}-steps${wanted.steps}.png`;
      const { seconds, ms_per_image_step: ms } = result.report;
      pace = ms ?? pace;
      say(`${wanted.count} ${wanted.count === 1 ? "picture" : "pictures"} in ${duration(seconds)}${ms ? ` · ${ms.toPrecision(2)} ms per image-step` : ""}`, true);
      busy(false);
    } catch (error) {
      busy(false);
      say("");
      showError(panel, error, general);
      if (!general.hidden) return;
      announce(error.message);
    }
  }

  /** One job. Its first preview takes the place of what was shown. */
  async function once(wanted, isPreview) {
    let fresh = true;
    const found = await jobs.run("sample", wanted, { previews: Math.min(PREVIEWS, wanted.steps) }, (name, data) => {
      if (name === "queued" && data.before > 0) say(`waiting for ${data.before} other ${data.before === 1 ? "job" : "jobs"}`);
      else if (status.textContent.startsWith("waiting")) say("");
      if (name === "note" && !isPreview) note(notes, data.text);
      if (name === "progress") {
        progress.value = data.total ? data.done / data.total : 0;
        if (data.eta_seconds > 1) say(`${isPreview ? "first " : ""}${wanted.count} · ${duration(data.eta_seconds)} left`);
      }
      if (name === "preview" && data.first === (wanted.first ?? 0)) {
        stage.add(data, fresh);
        fresh = false;
      }
    });
    if (found && isPreview) backend.release?.(found);
    return found;
  }

  function busy(is) {
    cancelButton.disabled = !is;
    progress.classList.toggle("idle", !is);
    panel.setAttribute("aria-busy", String(is));
    if (!is) progress.value = 0;
  }

  const say = (text, aloud = false) => {
    status.textContent = text;
    if (aloud) announce(text);
  };

  const later = debounce(draw, PAUSE, MOST_PAUSE);

  function cancel() {
    later.cancel();
    if (jobs.cancel()) say("cancelled", true);
    busy(false);
  }

  async function saveArray() {
    const result = kept();
    if (!result?.array) return;
    links.npy.disabled = true;
    try {
      const url = URL.createObjectURL(new Blob([await result.array()]));
      const { model, seed, steps } = result.report;
      el("a", { href: url, download: `${model}-seed${seed}-steps${steps}.npy` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      showError(panel, error, general);
    } finally {
      links.npy.disabled = !kept()?.array;
    }
  }

  let active = false;
  // How often settings have changed, and as of which change the pictures are.
  let [changes, drawn] = [0, -1];
  const dim = () => shelf.element.classList.toggle("stale", drawn >= 0 && drawn !== changes);
  state.watch(() => {
    shownCommand.textContent = commandLine();
    changes++;
    dim();
    if (active) {
      replan();
      // The drawing before goes on until the new one starts: a picture that moves says more than one that waits.
      busy(true);
      later();
    }
  });
  shownCommand.textContent = commandLine();
  busy(false);

  return {
    state,
    enter() {
      active = true;
      if (drawn === changes) return;
      replan();
      draw();
    },
    leave() {
      active = false;
      cancel();
    },
    /** Settings from a caption. @returns {string} what came of it, in words */
    restore(caption) {
      const found = parseCommand(caption);
      if (!found) return "This picture was not drawn by ddim sample.";
      const { settings, unknown } = found;
      const notes = [];
      const words = settings.model;
      const info = models.find(({ source }) => source === words) ?? models.find(({ source, model }) => !source && (model === words || model === words.split("/").at(-1)));
      if (info) settings.model = info.model;
      else {
        notes.push(`the model ${settings.model} is not available here`);
        settings.model = state.values.model;
      }
      if (![1, 4, 16, 64].includes(settings.count)) settings.count = [4, 16, 64].find((n) => n >= settings.count) ?? 64;
      // What the model says anyway is the same picture.
      const usual = models.find((info) => info.model === settings.model);
      if (settings.classes === usual.drawn_classes) settings.classes = "";
      if (settings.levels === usualLevels(usual).join(",")) settings.levels = "";
      if (unknown.length) notes.unshift(`${unknown.join(", ")} cannot be set here`);
      state.set(settings);
      return notes.length ? `Settings restored, but ${notes.join("; ")}.` : "Settings restored from the picture.";
    },
    /** The pictures that are shown, for other tabs. */
    pictures: () => kept()?.images ?? [],
  };
}
