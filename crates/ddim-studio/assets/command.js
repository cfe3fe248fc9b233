// Settings as the command line that draws the same pictures, and back.
import { parseLevels } from "./settings.js";

/** A word as a shell reads it. */
const quoted = (word) => (/^[\w.,:+/@=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** What the command line does where a flag is not said, of the verbs that the page has. */
const USUAL = {
  sample: { model: "emoji", count: 64, first: 0, steps: 50, eta: 0, seed: 0 },
  consistency: { model: "emoji", count: 8, steps: "10,20,50,100,1000", seed: 0 },
  interpolate: { model: "emoji", seeds: "0,1", frames: 11, rows: 8, cols: 8, steps: 50 },
};
const FLAGS = ["model", "count", "first", "seeds", "frames", "rows", "cols", "steps", "eta", "trajectory", "solver", "seed", "classes", "guidance", "guidance-interval", "grid"];

/**
 * The command that draws the same pictures. What is as usual is left out.
 * @param {"sample"|"consistency"|"interpolate"} verb @param {Record<string, unknown>} v
 */
export function command(verb, v) {
  const usual = { trajectory: "", solver: "ddim", classes: "", grid: "", ...USUAL[verb] };
  const words = ["ddim", verb];
  for (const name of FLAGS) {
    if (name === "eta" && v.hat) words.push("--sigma-hat");
    else if (v[name] !== undefined && String(v[name]) !== String(usual[name])) words.push(`--${name}`, quoted(String(v[name])));
  }
  if (v.clip === "on") words.push("--clip");
  if (v.clip === "off") words.push("--no-clip");
  if (v.rederive) words.push("--rederive-epsilon");
  return words.join(" ");
}

/** The words of a command line, as a shell splits them. */
function split(text) {
  const words = [];
  // A word is of pieces that touch: 'it'\\''s'.
  for (const [word] of text.matchAll(/(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+/gs)) {
    words.push([...word.matchAll(/'([^']*)'|"([^"]*)"|\\(.)|([^'"\\]+)/gs)].map(([, single, double, escaped, plain]) => single ?? double ?? escaped ?? plain).join(""));
  }
  return words;
}

/**
 * The settings in a caption of ours, such as "ddim sample --steps 50 --seed 0, image 3 (model and latents 0a1b)".
 * @returns {{settings: object, unknown: string[]} | null} null if it is not a picture of `ddim sample`; `unknown` flags are those that the page has no control for
 */
export function parseCommand(caption) {
  const [, line, image] = /^(.*?)(?:, image (\d+).*)?$/s.exec(caption);
  const words = split(line);
  if (words[0] !== "ddim" || words[1] !== "sample") return null;
  // Everything that is not said is as usual.
  const settings = { model: "emoji", count: 64, first: 0, steps: 50, eta: 0, hat: false, trajectory: "", solver: "ddim", seed: 0, classes: "", guidance: null, levels: "", clip: "model", rederive: false };
  const unknown = [];
  for (let i = 2; i < words.length; i++) {
    const name = words[i].replace(/^--/, "");
    if (name === "sigma-hat") settings.hat = true;
    else if (name === "clip") settings.clip = "on";
    else if (name === "no-clip") settings.clip = "off";
    else if (name === "rederive-epsilon") settings.rederive = true;
    else if (["count", "first", "steps", "eta", "seed", "guidance"].includes(name)) {
      const value = Number(words[++i]);
      if (Number.isFinite(value)) settings[name] = value;
      else unknown.push(`--${name}`);
    }
    else if (["model", "trajectory", "solver", "classes"].includes(name)) settings[name] = words[++i];
    else if (name === "guidance-interval") {
      const levels = parseLevels(words[++i] ?? "");
      if (levels) settings.levels = levels.join(",");
      else unknown.push("--guidance-interval");
    }
    else {
      unknown.push(words[i]);
      if (i + 1 < words.length && !words[i + 1].startsWith("--")) i++;
    }
  }
  // Image k of a seed is the same whatever else is drawn.
  if (image !== undefined) Object.assign(settings, { first: Number(image), count: 1 });
  return { settings, unknown };
}
