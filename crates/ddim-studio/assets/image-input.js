// An image from the person: dropped, chosen, or one that Draw has drawn.
import { el, freshId, picture, show } from "./dom.js";

/** As a data URL. @param {Blob} blob */
export const dataUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(blob);
});

/** Bytes as a data URL. @param {ArrayBuffer} buffer */
export const dataUrlOf = (buffer) => dataUrl(new Blob([buffer], { type: "application/octet-stream" }));

/** What the server takes in one request, 8 MiB, less what base64 adds and the rest of the request. */
const MOST = 6 * 1024 * 1024 - 64 * 1024;

/**
 * @param {{panel: HTMLElement, tab: string, pictures: () => string[], onimage: (url: string) => void}} options
 *   panel: where images may be dropped; pictures: what Draw shows; onimage: is told the image as a data URL
 */
export function imageInput({ panel, tab, pictures, onimage }) {
  const error = el("p", { class: "error", role: "alert", id: freshId("error"), hidden: true });
  const preview = picture("The chosen image", { class: "picture empty" });
  const name = el("p", { class: "muted small", text: "PNG, JPEG, WebP or GIF" });
  const take = async (blob, label) => {
    error.hidden = true;
    try {
      if (!blob.type.startsWith("image/")) throw new Error(`${label}: expected an image`);
      if (blob.size > MOST) throw new Error(`${label}: ${(blob.size / 1e6).toFixed(1)} MB: expected at most 6 MB`);
      const url = await dataUrl(blob);
      show(preview, url);
      name.textContent = label;
      await onimage(url);
    } catch (e) {
      error.textContent = e.message;
      error.hidden = false;
    }
  };
  const file = el("input", {
    type: "file", accept: "image/png,image/jpeg,image/webp,image/gif", class: "out-of-sight", "data-testid": `${tab}-file`, "aria-label": "Image file",
    onchange: () => {
      const [chosen] = file.files;
      // Else the same file, chosen again, is no change.
      file.value = "";
      if (chosen) take(chosen, chosen.name);
    },
  });
  const drawn = el("div", { class: "drawn", role: "group", "aria-label": "Use one of the drawn pictures" });
  const drawnBox = el("div", { hidden: true }, el("p", { class: "muted small", text: "or one that was drawn:" }), drawn);
  const zone = el("div", { class: "dropzone", "data-testid": `${tab}-drop` }, el("div", { class: "thumb" }, preview), el("div", {}, el("label", { class: "file-button" }, "Choose …", file), name));
  panel.dataset.drop = tab;
  panel.addEventListener("dragover", (event) => (event.preventDefault(), zone.classList.add("over")));
  panel.addEventListener("dragleave", () => zone.classList.remove("over"));
  panel.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const dropped = event.dataTransfer.files[0];
    if (dropped) take(dropped, dropped.name);
  });
  const useUrl = async (url, label) => {
    try {
      // Not fetched: the page's policy lets blob: URLs be shown and nothing else.
      const image = await loaded(url);
      const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      canvas.getContext("2d").drawImage(image, 0, 0);
      await take(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), label);
    } catch {
      error.textContent = "this picture is no longer kept: draw it again";
      error.hidden = false;
    }
  };
  return {
    element: el("div", { class: "control", "data-field": "input" }, el("div", { class: "head" }, el("span", { class: "name", text: "Image" })), zone, error, drawnBox),
    take,
    /** Shows what has been drawn meanwhile. */
    refresh() {
      const urls = pictures().slice(0, 12);
      drawnBox.hidden = urls.length === 0;
      drawn.replaceChildren(...urls.map((url, i) => el("button", {
        type: "button", class: "thumb-button", "aria-label": `Use drawn picture ${i}`, "data-testid": `${tab}-drawn-${i}`, onclick: () => useUrl(url, `drawn picture ${i}`),
      }, picture("", { src: url }))));
    },
  };
}

async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** The middle of an image as large as it can be, w by h: what `fit: crop` makes of it, as far as a browser resizes alike. @returns {Promise<HTMLCanvasElement>} */
export async function cropped(url, w, h) {
  const image = await loaded(url);
  const scale = Math.max(w / image.naturalWidth, h / image.naturalHeight);
  const [cw, ch] = [w / scale, h / scale];
  const canvas = el("canvas", { width: w, height: h });
  const context = canvas.getContext("2d");
  // What is transparent becomes what is behind it.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, w, h);
  context.drawImage(image, (image.naturalWidth - cw) / 2, (image.naturalHeight - ch) / 2, cw, ch, 0, 0, w, h);
  return canvas;
}

/** Pixels of a picture from 0 to 255, RGBA. */
export async function pixels(url) {
  const image = await loaded(url);
  const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Draws the difference of two pictures on a canvas, magnified. @returns {number} mean squared error per number, of pictures from 0 to 1 */
export function difference(canvas, a, b, magnify = 4) {
  canvas.width = a.width;
  canvas.height = a.height;
  const context = canvas.getContext("2d");
  const out = context.createImageData(a.width, a.height);
  let sum = 0;
  for (let i = 0; i < a.data.length; i += 4) {
    let here = 0;
    for (let c = 0; c < 3; c++) {
      const d = (a.data[i + c] - b.data[i + c]) / 255;
      sum += d * d;
      here = Math.max(here, Math.abs(d));
    }
    const v = Math.min(255, here * magnify * 255);
    out.data.set([v, v * v / 255, v ** 3 / 65025, 255], i);
  }
  context.putImageData(out, 0, 0);
  return sum / (a.width * a.height * 3);
}
