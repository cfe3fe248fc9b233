// Controls: each is bound to one value of a store, has a label, a text that explains it, and a place for what the server says against it.
import { el, freshId, svg } from "./dom.js";
import { equation, EQUATIONS } from "./equation.js";
import { EXPLAIN } from "./explain.js";

/** A button that opens a text about what one sees, and the text. @param {string} topic a key of EXPLAIN */
export function why(topic, name) {
  const { words, equation: key } = EXPLAIN[topic];
  const id = freshId("why");
  const text = el("div", { class: "why", id, hidden: true }, el("p", { text: words }), key ? equation(EQUATIONS[key]) : null);
  const button = el("button", {
    type: "button", class: "why-button", "aria-expanded": "false", "aria-controls": id, "aria-label": `What is ${name}?`, text: "?",
    onclick: () => {
      text.hidden = !text.hidden;
      button.setAttribute("aria-expanded", String(!text.hidden));
    },
  });
  return { button, text };
}

/** What all controls have around them. `inputs` are what an error makes invalid. */
function control(field, { label, topic, labelFor, side, group }, ...body) {
  const name = el(labelFor ? "label" : "span", { class: "name", for: labelFor, text: label, id: group });
  const about = topic ? why(topic, label) : null;
  const error = el("p", { class: "error", id: freshId("error"), hidden: true });
  return el("div", { class: "control", "data-field": field, role: group ? "group" : null, "aria-labelledby": group ?? null },
    el("div", { class: "head" }, name, about?.button ?? null, el("span", { class: "room" }), side ?? null), ...body, error, about?.text ?? null);
}

/**
 * Shows an error beside the control of its field, or in `otherwise` where the panel has none. Without an error takes all away.
 * @param {Element} panel @param {{message: string, field?: string}|null} error @param {Element} otherwise
 */
export function showError(panel, error, otherwise) {
  for (const old of panel.querySelectorAll(".control > .error:not([hidden])")) {
    old.hidden = true;
    for (const input of old.parentElement.querySelectorAll("[aria-invalid]")) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
  }
  otherwise.textContent = "";
  otherwise.hidden = true;
  if (!error) return;
  const at = error.field && [...panel.querySelectorAll(".control")].find((c) => c.dataset.field.split(" ").includes(error.field));
  const place = at ? at.querySelector(":scope > .error") : otherwise;
  place.textContent = error.message;
  place.hidden = false;
  for (const input of at?.querySelectorAll("input, select") ?? []) {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", place.id);
  }
}

const clamp = (x, min, max) => Math.min(max, Math.max(min, x));

/**
 * A slider and a number beside it.
 * @param {{label: string, topic?: string, min: number, max: number, step?: number, stops?: number[], testid: string}} options
 *   stops: where the slider may stand; the number takes whatever lies between; own: what is shown where there is no value
 */
export function slider(state, key, { label, topic, min, max, step = 1, stops, testid, field = key, own = () => min }) {
  const [id, rangeId] = [freshId("number"), freshId("range")];
  const number = el("input", { type: "number", id, min, max, step: stops ? 1 : step, "data-testid": `${testid}-number`, inputmode: "decimal" });
  const range = el("input", {
    type: "range", id: rangeId, min: stops ? 0 : min, max: stops ? stops.length - 1 : max, step: stops ? 1 : step, "aria-label": label, "data-testid": testid,
  });
  const nearest = (value) => stops.reduce((best, stop, i) => (Math.abs(Math.log(stop / value)) < Math.abs(Math.log(stops[best] / value)) ? i : best), 0);
  const update = (values) => {
    const value = values[key] ?? own(values);
    if (document.activeElement !== number || Number(number.value) !== value) number.value = value;
    range.value = stops ? nearest(Math.max(value, 1)) : value;
    range.setAttribute("aria-valuetext", String(value));
    const share = (Number(range.value) - Number(range.min)) / (Number(range.max) - Number(range.min));
    range.style.setProperty("--share", String(share));
  };
  range.addEventListener("input", () => state.set({ [key]: stops ? stops[Number(range.value)] : Number(range.value) }));
  number.addEventListener("input", () => {
    const value = Number(number.value);
    if (number.value !== "" && value >= min && value <= max) state.set({ [key]: stops || step === 1 ? Math.round(value) : value });
  });
  number.addEventListener("change", () => {
    if (number.value === "" && state.defaults[key] === null) state.set({ [key]: null });
    else if (number.value !== "") {
      const value = clamp(Number(number.value), min, max);
      state.set({ [key]: stops || step === 1 ? Math.round(value) : value });
    }
    number.value = state.values[key] ?? own(state.values);
  });
  state.watch(update);
  update(state.values);
  return control(field, { label, topic, labelFor: id, side: number }, range);
}

/** One of several; with it the settings in `besides` are set. @param {[string, string][]} options values and what they are called */
export function choice(state, key, { label, topic, options, testid, field = key, besides = {} }) {
  const id = freshId("select");
  const select = el("select", { id, "data-testid": testid, onchange: () => state.set({ [key]: select.value, ...besides }) });
  const fill = (list) => {
    select.replaceChildren(...list.map(([value, text]) => el("option", { value, text })));
    update(state.values);
  };
  const update = ({ [key]: value }) => {
    // A value from an address or a picture that is not listed, such as power:2.5, can be chosen all the same.
    if (![...select.options].some((option) => option.value === value)) select.append(el("option", { value, text: value }));
    select.value = value;
  };
  fill(options);
  state.watch(update);
  const element = control(field, { label, topic, labelFor: id, side: select });
  return Object.assign(element, { fill });
}

/** A few numbers or words side by side, one of which is chosen. */
export function segments(state, key, { label, topic, options, testid, field = key }) {
  const [group, name] = [freshId("group"), freshId("radio")];
  const inputs = options.map(([value, text]) => el("input", {
    type: "radio", name, value: String(value), "aria-label": `${label}: ${text}`, "data-testid": `${testid}-${value}`, onchange: () => state.set({ [key]: value }),
  }));
  const update = (values) => inputs.forEach((input, i) => (input.checked = options[i][0] === values[key]));
  state.watch(update);
  update(state.values);
  return control(field, { label, topic, group },
    el("div", { class: "segments" }, inputs.map((input, i) => el("label", {}, input, el("span", { text: options[i][1] })))));
}

/** On or off. */
export function toggle(state, key, { label, topic, testid, field = key }) {
  const id = freshId("switch");
  const input = el("input", { type: "checkbox", role: "switch", id, "data-testid": testid, onchange: () => state.set({ [key]: input.checked }) });
  const update = ({ [key]: value }) => (input.checked = value);
  state.watch(update);
  update(state.values);
  return control(field, { label, topic, labelFor: id, side: input });
}

const die = () => svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
  svg("rect", { x: 1.5, y: 1.5, width: 13, height: 13, rx: 3, fill: "none", stroke: "currentColor", "stroke-width": 1.4 }),
  ...[[5, 5], [11, 5], [8, 8], [5, 11], [11, 11]].map(([cx, cy]) => svg("circle", { cx, cy, r: 1.25, fill: "currentColor" })));

/** A whole number from 0, typed; with dice, thrown as well. */
export function whole(state, key, { label, topic, testid, dice = false, max = Number.MAX_SAFE_INTEGER, field = key }) {
  const id = freshId("number");
  const input = el("input", {
    type: "number", id, min: 0, max, step: 1, "data-testid": testid, inputmode: "numeric",
    oninput: () => {
      const value = Number(input.value);
      if (input.value !== "" && Number.isInteger(value) && value >= 0 && value <= max) state.set({ [key]: value });
    },
  });
  const update = ({ [key]: value }) => Number(input.value) !== value || input.value === "" ? (input.value = value) : null;
  input.addEventListener("change", () => (input.value = state.values[key]));
  state.watch(update);
  update(state.values);
  const button = dice && el("button", {
    type: "button", class: "icon", "aria-label": `Random value for ${label}`, "data-testid": `${testid}-dice`,
    onclick: () => state.set({ [key]: Math.floor(Math.random() * 10000) }),
  }, die());
  return control(field, { label, topic, labelFor: id, side: el("span", { class: "pair" }, input, button || null) });
}

/** Text, read by `parse`, which says null to what it cannot read. */
export function text(state, key, { label, topic, testid, parse = (t) => t, show = String, hint, field = key }) {
  const id = freshId("text");
  const input = el("input", { type: "text", id, autocomplete: "off", spellcheck: "false", placeholder: hint, "data-testid": testid });
  const update = ({ [key]: value }) => (input.value = show(value));
  const element = control(field, { label, topic, labelFor: id }, input);
  input.addEventListener("change", () => {
    const value = parse(input.value);
    const error = element.querySelector(".error");
    error.hidden = value !== null;
    error.textContent = value === null ? `${input.value}: expected ${hint}` : "";
    if (value !== null) state.set({ [key]: value });
  });
  state.watch(update);
  update(state.values);
  return element;
}

/** A button. */
export const button = (text, testid, onclick, properties = {}) => el("button", { type: "button", text, "data-testid": testid, onclick, ...properties });
