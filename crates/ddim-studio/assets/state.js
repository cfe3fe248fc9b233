// What is chosen, and the address of it: `#draw?steps=20&eta=0.5` is a tab and what differs there from its defaults.
import { CLIPS, SOLVERS, parseLevels } from "./settings.js";

/**
 * Values that can be watched.
 * @param {Record<string, number|string|boolean|number[]|null>} defaults types of values are those of defaults; null is a number that the model says
 */
export function store(defaults) {
  const values = { ...defaults };
  const watchers = new Set();
  return {
    defaults,
    values,
    /** Takes what differs, and tells all watchers once. @returns {boolean} whether anything did */
    set(patch) {
      const changed = Object.keys(patch).filter((key) => key in defaults && !same(values[key], patch[key]));
      for (const key of changed) values[key] = patch[key];
      if (changed.length) for (const watcher of watchers) watcher(values, changed);
      return changed.length > 0;
    },
    /** @param {(values: object, changed: string[]) => void} watcher */
    watch: (watcher) => watchers.add(watcher),
  };
}

const same = (a, b) => (Array.isArray(a) ? a.join() === String(b) : a === b);

/** The tab and its settings in a location's hash. Settings are texts still: {@link typed} needs the defaults. */
export function parseHash(hash) {
  const [tab, query = ""] = hash.replace(/^#/, "").split("?", 2);
  return { tab, settings: Object.fromEntries(new URLSearchParams(query)) };
}

/** What numbers in an address may be: beyond that they are nobody's choice. */
const LIMITS = { steps: [1, 1000], decode: [1, 1000], eta: [0, 1], seed: [0, Number.MAX_SAFE_INTEGER], first: [0, 1e9], count: [1, 64], guidance: [0, 100], strength: [0, 1], variations: [1, 16], side: [3, 10], frames: [3, 41] };

/** What words in an address may be, where not every word is somebody's choice. */
const oneOf = (words) => (text) => words.includes(text);
const WORDS = {
  clip: oneOf(CLIPS.map(([word]) => word)),
  solver: oneOf(SOLVERS.map(([word]) => word)),
  between: oneOf(["four", "two"]),
  levels: (text) => text === "" || parseLevels(text) !== null,
};

/** Texts as the types of `defaults`; what is not there, or is none of what belongs there, is the default. */
export function typed(texts, defaults) {
  const read = (text, standard, [low, high] = [-Infinity, Infinity], known = null) => {
    if (text === undefined) return standard;
    if (typeof standard === "boolean") return text === "1" || text === "true";
    // A number that is the model's own where nobody says one.
    if (typeof standard === "number" || standard === null) return text.trim() !== "" && Number(text) >= low && Number(text) <= high ? Number(text) : standard;
    if (Array.isArray(standard)) {
      const list = numbers(text)?.filter((x) => x >= low && x <= high).slice(0, 10) ?? [];
      return list.length ? list : standard;
    }
    return known && !known(text) ? standard : text;
  };
  return Object.fromEntries(Object.entries(defaults).map(([key, standard]) => [key, read(texts[key], standard, LIMITS[key], WORDS[key])]));
}

/** `10, 20` as numbers; null where that is not what it is. */
export function numbers(text) {
  const list = text.split(/[\s,]+/).filter(Boolean).map(Number);
  return list.length && list.every(Number.isFinite) ? list : null;
}

/** The hash of a tab and of its settings, without those that are as usual but with those of `always`: what is usual here may not be elsewhere. */
export function hashOf(tab, values, defaults, always = []) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (!(key in defaults) || (same(value, defaults[key]) && !always.includes(key))) continue;
    query.set(key, value === true ? "1" : value === false ? "0" : String(value));
  }
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return `#${tab}${text ? `?${text}` : ""}`;
}
