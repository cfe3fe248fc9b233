// Elements in a line, and the little that every tab needs of them.

/**
 * An element. Properties that start with "on" are listeners, `text` is its text, the rest attributes; null and false leave one out.
 * @param {string} tag @param {object} [properties] @param {...(Node|string|null)} children
 */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same of SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

let last = 0;
/** An id that no other element has. */
export const freshId = (stem) => `${stem}-${++last}`;

/** Says `text` to whoever listens to the page. The same text twice is said twice. */
export function announce(text) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  // Screen readers tell a change, and only if it comes after the region was seen empty.
  setTimeout(() => (region.textContent = text), 30);
}

/** `f` once, `ms` after the last call, and at most `most` after the first. `.cancel()` calls it off. */
export function debounce(f, ms, most = Infinity) {
  let timer = 0;
  let since = null;
  const cancel = () => {
    clearTimeout(timer);
    since = null;
  };
  const later = () => {
    const now = performance.now();
    since ??= now;
    clearTimeout(timer);
    timer = setTimeout(() => {
      since = null;
      f();
    }, Math.max(0, Math.min(ms, since + most - now)));
  };
  return Object.assign(later, { cancel });
}

/** `f` with the latest arguments, once a frame. */
export function eachFrame(f) {
  let args = null;
  return (...now) => {
    if (!args) requestAnimationFrame(() => {
      const latest = args;
      args = null;
      f(...latest);
    });
    args = now;
  };
}

/** A picture of few pixels, enlarged without smoothing. `alt` is required: each says what it shows. */
export const picture = (alt, properties = {}) => el("img", { class: "picture", alt, draggable: "false", ...properties });

/** An <img> that holds nothing yet keeps its place without asking for anything. */
export function show(image, url) {
  if (url) image.setAttribute("src", url);
  else image.removeAttribute("src");
  image.classList.toggle("empty", !url);
}

/** Number for people: 3 significant digits, no exponent where none is needed. */
export function short(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  return size < 1e-4 || size >= 1e6 ? x.toExponential(2) : String(Number(x.toPrecision(3)));
}

/** Seconds for people. */
export const duration = (s) => (s < 1 ? `${Math.round(s * 1000)} ms` : s < 90 ? `${s.toFixed(1)} s` : `${Math.round(s / 60)} min`);

/** Puts `text` on the clipboard, where the page may; says what came of it on the button. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context there is no clipboard: the text is shown to be copied by hand.
    window.prompt("Copy:", text);
    return;
  }
  announce("Copied");
  // Pressed again meanwhile, it says so already.
  if (copied.has(button)) clearTimeout(copied.get(button).timer);
  const words = copied.get(button)?.words ?? button.textContent;
  button.textContent = "Copied";
  const timer = setTimeout(() => {
    button.textContent = words;
    copied.delete(button);
  }, 1200);
  copied.set(button, { words, timer });
}

/** Buttons that say so, and what they say otherwise. */
const copied = new Map();

/** What a storage of the browser gives; null where the browser keeps nothing for this page, and asking throws. */
export function kept(work) {
  try {
    return work();
  } catch {
    return null;
  }
}
