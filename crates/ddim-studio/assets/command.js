// Settings as the command line that draws the same pictures, and back.

/** A word as a shell reads it. */
const quoted = (word) => (/^[\w.,:+*/@=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/**
 * The command of a tab's settings. What is as usual is left out.
 * @param {string} verb @param {Record<string, unknown>} v
 */
export function command(verb, v) {
  const words = ["ddim", verb];
  const flag = (name, value, usual) => value !== usual && value !== "" && value !== undefined && words.push(`--${name}`, quoted(String(value)));
  flag("model", v.model, "emoji");
  flag("count", v.count, verb === "consistency" ? 8 : 64);
  flag("first", v.first, 0);
  flag("seeds", v.seeds, undefined);
  flag("steps", v.steps, 50);
  if (v.hat) words.push("--sigma-hat");
  else flag("eta", v.eta, 0);
  flag("trajectory", v.trajectory, "");
  flag("solver", v.solver, "ddim");
  flag("seed", v.seed, 0);
  flag("classes", v.classes, "");
  flag("guidance", v.guidance, 1);
  if (v.clip === "on") words.push("--clip");
  if (v.clip === "off") words.push("--no-clip");
  if (v.rederive) words.push("--rederive-epsilon");
  return words.join(" ");
}

/** The words of a command line, as a shell splits them. */
function split(text) {
  const words = [];
  for (const [, single, double, plain] of text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)) words.push(single ?? double ?? plain);
  return words;
}

/**
 * The settings in a caption of ours, such as "ddim sample --steps 50 --seed 0, image 3 (model and latents 0a1b)".
 * @returns {{settings: object, unknown: string[]} | null} null where it is no picture of `ddim sample`; `unknown` flags are those that the page has no control for
 */
export function parseCommand(caption) {
  const [, line, image] = /^(.*?)(?:, image (\d+).*)?$/s.exec(caption);
  const words = split(line);
  if (words[0] !== "ddim" || words[1] !== "sample") return null;
  // Everything that is not said is as usual.
  const settings = { model: "emoji", count: 64, first: 0, steps: 50, eta: 0, hat: false, trajectory: "", solver: "ddim", seed: 0, classes: "", guidance: 1, clip: "model", rederive: false };
  const unknown = [];
  for (let i = 2; i < words.length; i++) {
    const name = words[i].replace(/^--/, "");
    if (name === "sigma-hat") settings.hat = true;
    else if (name === "clip") settings.clip = "on";
    else if (name === "no-clip") settings.clip = "off";
    else if (name === "rederive-epsilon") settings.rederive = true;
    else if (["count", "first", "steps", "eta", "seed", "guidance"].includes(name)) settings[name] = Number(words[++i]);
    else if (["model", "trajectory", "solver", "classes"].includes(name)) settings[name] = words[++i];
    else {
      unknown.push(words[i]);
      if (i + 1 < words.length && !words[i + 1].startsWith("--")) i++;
    }
  }
  // Image k of a seed is the same whatever else is drawn.
  if (image !== undefined) Object.assign(settings, { first: Number(image), count: 1 });
  return { settings, unknown };
}
