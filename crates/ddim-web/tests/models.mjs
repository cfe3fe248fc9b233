// `node models.mjs FOLDER`: writes what the models in FOLDER/models are to FOLDER/models/models.json, so that a page knows it before it has their weights.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { started } from "./engine.mjs";

const folder = process.argv[2];
const names = readdirSync(join(folder, "models"), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
const { answer } = (await started(folder, names)).call({ call: "models" });
if (answer.models?.length !== names.length) throw new Error(`${JSON.stringify(answer).slice(0, 200)}: expected the models ${names.join(", ")}`);
writeFileSync(join(folder, "models", "models.json"), `${JSON.stringify(answer)}\n`);
