// What every tab has around its jobs: progress, a word about it, a way to stop, and errors beside controls.
import { button, showError, why } from "./controls.js";
import { announce, copy, debounce, duration, el } from "./dom.js";
import { latest } from "./job.js";

/**
 * @param {HTMLElement} panel whose controls errors are shown beside
 * @param {object} backend @param {string} tab of the test ids
 * @returns {{element: HTMLElement, run: Function, cancel: () => void, say: (text: string, aloud?: boolean) => void, guard: (work: (mine: () => boolean) => Promise<void>) => Promise<void>, results: Function, changed: () => void, fresh: () => void}}
 *   run(kind, request, options, onEvent): the result, null where it was called off
 *   guard(work): runs what has jobs in it; shows that it is busy, and its error. `work` is given a function that says whether it is the latest, to be asked
 *     after each wait that is not for a job
 *   results(element, state): what is shown there is dimmed until it is of the settings, and of what else has `changed()`; `fresh()` where it is before the work ends
 */
export function runner(panel, backend, tab) {
  const jobs = latest(backend);
  const progress = el("progress", { max: 1, value: 0, "aria-label": "Progress", "data-testid": `${tab}-progress` });
  const status = el("p", { class: "status", "data-testid": `${tab}-status` });
  const general = el("p", { class: "error general", role: "alert", hidden: true, "data-testid": `${tab}-error` });
  const stop = button("Cancel", `${tab}-cancel`, () => cancel(true), { class: "quiet", disabled: true });
  const notes = el("p", { class: "note", hidden: true, "data-testid": `${tab}-note` });
  const element = el("div", {}, el("div", { class: "run" }, progress, status, stop), notes, general);
  let turn = 0;
  // Where results are, whether there are any, and how often settings have changed.
  const shown = { element: null, any: false, changes: 0 };
  // What was said last that stays true: what is left of a job does not.
  let told = "";

  const say = (text, aloud = false) => {
    status.textContent = told = text;
    if (aloud) announce(text);
  };
  const busy = (is) => {
    stop.disabled = !is;
    progress.classList.toggle("idle", !is);
    panel.setAttribute("aria-busy", String(is));
    if (!is) progress.value = 0;
  };
  busy(false);

  const run = (kind, request, options = {}, onEvent = () => {}) => jobs.run(kind, request, { previews: 0, ...options }, (name, data) => {
    if (name === "queued" && data.before > 0) status.textContent = `waiting for ${data.before} other ${data.before === 1 ? "job" : "jobs"}`;
    else if (status.textContent.startsWith("waiting")) status.textContent = told;
    if (name === "note") note(notes, data.text);
    if (name === "progress" && data.total) {
      progress.value = data.done / data.total;
      if (data.eta_seconds > 1) status.textContent = `${duration(data.eta_seconds)} left`;
    }
    onEvent(name, data);
  });

  function cancel(aloud = false) {
    turn++;
    if (jobs.cancel() && aloud) say("cancelled", true);
    busy(false);
  }

  async function guard(work) {
    jobs.cancel();
    const mine = ++turn;
    const since = shown.changes;
    showError(panel, null, general);
    note(notes, null);
    busy(true);
    try {
      await work(() => mine === turn);
      if (mine === turn && since === shown.changes) fresh();
    } catch (error) {
      if (mine === turn) {
        say("");
        showError(panel, error, general);
        if (general.hidden) announce(error.message);
      }
    } finally {
      if (mine === turn) {
        busy(false);
        status.textContent = told;
      }
    }
  }

  function fresh() {
    shown.any = true;
    shown.element?.classList.remove("stale");
  }
  function changed() {
    shown.changes++;
    shown.element?.classList.toggle("stale", shown.any);
  }
  function results(where, state) {
    shown.element = where;
    state.watch(changed);
  }
  return { element, run, cancel, say, guard, results, changed, fresh };
}

/** The command line of a tab, and a button that copies it. */
function commandLine(tab, state, command) {
  const shown = el("code", { class: "command", "data-testid": `${tab}-command`, tabindex: "0", role: "region", "aria-label": "The command that draws the same pictures" });
  const update = () => (shown.textContent = command());
  state.watch(update);
  update();
  return el("div", { class: "command-row" }, shown, button("Copy as command", `${tab}-copy-command`, (event) => copy(command(), event.target)));
}

/** What one may not have expected, below the progress; null takes all away. @param {HTMLElement} place @param {string|null} text */
export function note(place, text) {
  const known = text && place.textContent ? `${place.textContent} · ` : "";
  place.textContent = text ? known + text.replaceAll("`", "") : "";
  place.hidden = !text;
}

/**
 * A tab that draws again when its settings change: settings left, a text on top, what is drawn beside.
 * @param {{tab: string, topic: string, heading: string, runner: object, state: object, controls: Node[], content: Node[], draw: (changed: Set<string>) => void, command?: () => string}} options
 *   command: the command line that draws the same
 */
export function tool(panel, { tab, topic, heading, runner, state, controls, content, draw, command, pause = 200 }) {
  const about = why(topic, heading);
  about.text.hidden = false;
  about.button.setAttribute("aria-expanded", "true");
  const results = el("div", { class: "shown" }, content);
  runner.results(results, state);
  panel.classList.add("tool");
  panel.append(
    el("form", { class: "controls card", "aria-label": "Settings", onsubmit: (event) => event.preventDefault() }, controls),
    el("div", { class: "content" },
      el("section", { class: "card intro", "aria-label": heading }, el("div", { class: "row" }, el("h2", { text: heading }), about.button), about.text),
      el("section", { class: "card", "aria-label": "Result", "data-testid": `${tab}-result` }, runner.element, results, command ? commandLine(tab, state, command) : null)));
  let active = false;
  // What changed since it was last drawn: everything, at first.
  let changed = new Set(Object.keys(state.values));
  const start = () => {
    const since = changed;
    changed = new Set();
    draw(since);
  };
  const later = debounce(start, pause);
  state.watch((_, keys) => {
    keys.forEach((key) => changed.add(key));
    if (active) later();
  });
  return {
    state,
    enter() {
      active = true;
      if (changed.size) start();
    },
    leave() {
      active = false;
      later.cancel();
      if (panel.getAttribute("aria-busy") === "true") changed = new Set(Object.keys(state.values));
      runner.cancel();
    },
  };
}
