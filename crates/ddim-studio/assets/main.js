// The page: which backend, which tab, which theme, and pictures that are dropped on it.
import { announce, debounce, el, kept } from "./dom.js";
import { checkFont } from "./equation.js";
import { description } from "./png.js";
import { hashOf, parseHash, typed } from "./state.js";
import * as consistency from "./tab-consistency.js";
import * as draw from "./tab-draw.js";
import * as edit from "./tab-edit.js";
import * as encode from "./tab-encode.js";
import * as grid from "./tab-grid.js";
import * as interpolate from "./tab-interpolate.js";
import * as train from "./tab-train.js";

const TABS = { draw, consistency, interpolate, encode, edit, grid, train };
const opened = {};
let context = null;
let current = null;

const byId = (id) => document.getElementById(id);

function theme() {
  const button = byId("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = (chosen) => {
    const is = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = is;
    button.textContent = is === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to ${is === "dark" ? "light" : "dark"} colours`);
  };
  let chosen = kept(() => localStorage.getItem("ddim-theme"));
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    kept(() => localStorage.setItem("ddim-theme", chosen));
    apply(chosen);
  });
  dark.addEventListener("change", () => apply(chosen));
  apply(chosen);
}

/** The address says what is shown. Not with every movement: browsers refuse more than a hundred a half minute. */
const writeHash = debounce(() => history.replaceState(null, "", hashOfTab(current)), 250);

/** The address of a tab as it is. Another server may have other models, or the same in another order. */
function hashOfTab(tab) {
  const state = opened[tab]?.state;
  return state ? hashOf(tab, state.values, state.defaults, context.models.length > 1 ? ["model"] : []) : `#${tab}`;
}

function open(name, settings) {
  const tab = Object.hasOwn(TABS, name) ? name : "draw";
  const isNew = !(tab in opened);
  if (isNew) {
    opened[tab] = TABS[tab].create(byId(`panel-${tab}`), context);
    opened[tab].state.watch(() => current === tab && writeHash());
  }
  if (current !== tab) {
    if (current) opened[current].leave();
    current = null;
  }
  const { state } = opened[tab];
  if (settings && (isNew || Object.keys(settings).length)) {
    const values = typed(settings, state.defaults);
    if (!context.models.some((info) => info.model === values.model) && "model" in state.defaults) {
      toast(`The model ${values.model} is not available here: showing ${state.defaults.model}.`);
      // What was chosen for the other says nothing of this one.
      for (const key of ["model", "classes", "from", "guidance", "levels"]) if (key in state.defaults) values[key] = state.defaults[key];
    }
    state.set(values);
  }
  for (const key of Object.keys(TABS)) {
    const selected = key === tab;
    const button = byId(`tab-${key}`);
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
    byId(`panel-${key}`).hidden = !selected;
  }
  document.title = `${TABS[tab].title} · ddim studio`;
  if (current === tab) return;
  current = tab;
  byId(`tab-${tab}`).scrollIntoView({ block: "nearest", inline: "nearest" });
  opened[tab].enter();
}

/** Opens a tab as a place that one can come back from. */
function goTo(tab) {
  if (tab === current) return;
  history.pushState(null, "", hashOfTab(tab));
  open(tab, null);
}

function tabs() {
  const names = Object.keys(TABS);
  for (const button of document.querySelectorAll("[role=tab]")) if (!Object.hasOwn(TABS, button.id.slice(4))) button.hidden = true;
  for (const name of names) byId(`tab-${name}`).addEventListener("click", () => goTo(name));
  byId("tab-draw").parentElement.addEventListener("keydown", (event) => {
    const at = names.indexOf(current);
    const to = { ArrowRight: (at + 1) % names.length, ArrowLeft: (at + names.length - 1) % names.length, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    goTo(names[to]);
    byId(`tab-${names[to]}`).focus();
  });
  // Of one change of the address there are two events.
  let followed = null;
  const follow = () => {
    if (location.hash === followed) return;
    followed = location.hash;
    setTimeout(() => (followed = null), 100);
    const { tab, settings } = parseHash(location.hash);
    open(tab, settings);
    // As it is understood.
    writeHash();
  };
  // The link past the tabs is no tab.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  addEventListener("pagehide", () => current && opened[current].leave());
  addEventListener("pageshow", (event) => event.persisted && current && opened[current].enter());
}

/** Files dropped outside of a tab's own places: a picture of ours restores its settings. */
function drops() {
  const target = byId("drop");
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const own = (event) => event.target.closest?.("[data-drop]");
  let leaving = 0;
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    clearTimeout(leaving);
    target.hidden = Boolean(own(event));
  });
  addEventListener("dragleave", () => (leaving = setTimeout(() => (target.hidden = true), 120)));
  addEventListener("drop", async (event) => {
    target.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (!own(event)) await restore(event.dataTransfer.files[0]);
  });
  // Programmes and keyboards have no drag and drop.
  const input = el("input", { type: "file", accept: "image/png", class: "out-of-sight", "data-testid": "restore-file", "aria-label": "Restore settings from a PNG", onchange: () => input.files[0] && restore(input.files[0]).then(() => (input.value = "")) });
  const label = el("label", { class: "file-button" }, "Restore from a PNG …", input);
  document.querySelector(".foot").append(" ", label);
}

async function restore(file) {
  const caption = description(await file.arrayBuffer());
  if (!opened.draw || current !== "draw") goTo("draw");
  toast(caption ? opened.draw.restore(caption) : `${file.name} has no settings: it is not a PNG drawn by ddim.`);
}

/** A line that goes again. */
function toast(text) {
  const line = el("p", { class: "toast", text, "data-testid": "toast" });
  document.body.append(line);
  announce(text);
  setTimeout(() => line.remove(), 6000);
}

async function main() {
  theme();
  checkFont();
  const starting = byId("starting");
  try {
    const name = document.querySelector("meta[name=ddim-backend]").content;
    const module = await import(name === "wasm" ? "./backend-wasm.js" : "./backend-server.js");
    const backend = module.backend ?? module.default ?? module;
    const models = await backend.models();
    if (!models.length) throw new Error("no model is served");
    context = { backend, models, toast, shareLink: () => new URL(hashOfTab(current), location.href).href, pictures: () => opened.draw?.pictures() ?? [] };
  } catch (error) {
    starting.textContent = error.status === 401 ? "This server asks for a token: open the address that it printed." : `The studio cannot start: ${error.message}`;
    starting.setAttribute("role", "alert");
    return;
  }
  starting.remove();
  tabs();
  drops();
  const { tab, settings } = parseHash(location.hash);
  open(tab, settings);
  if (Object.keys(settings).length) writeHash();
}

main();
