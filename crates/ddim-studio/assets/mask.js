// A mask that one paints over an image: white is drawn anew, black stays.
import { button, why } from "./controls.js";
import { el, freshId } from "./dom.js";

/** @param {{onchange: () => void}} options is told when a stroke has ended */
export function maskPainter({ onchange }) {
  const image = el("canvas", { class: "picture", width: 1, height: 1, role: "img", "aria-label": "The image that is edited", "data-testid": "edit-input" });
  // The mask itself, of the model's size, in a colour that is seen over any picture.
  const layer = el("canvas", { class: "picture mask", width: 1, height: 1, role: "img", "aria-label": "The mask over it", "data-testid": "edit-mask" });
  const ring = el("div", { class: "brush-ring", "aria-hidden": "true", hidden: true });
  const field = el("div", { class: "frame stacked painter", "data-testid": "edit-painter" }, image, layer, ring);
  const INK = "#ff2f92";
  const context = layer.getContext("2d", { willReadFrequently: true });

  const sizeId = freshId("range");
  const size = el("input", { type: "range", id: sizeId, min: 1, max: 16, value: 6, "data-testid": "edit-brush-size" });
  const fill = () => size.style.setProperty("--share", (size.value - 1) / 15);
  size.addEventListener("input", fill);
  fill();
  const erase = el("input", { type: "checkbox", role: "switch", id: freshId("switch"), "data-testid": "edit-erase" });
  const described = el("output", { class: "muted small", "data-testid": "edit-mask-share" });

  let painted = false;
  const describe = () => {
    const { width, height } = layer;
    const { data } = context.getImageData(0, 0, width, height);
    let white = 0;
    for (let i = 3; i < data.length; i += 4) white += data[i] > 127 ? 1 : 0;
    painted = white > 0;
    described.textContent = painted ? `${Math.max(1, Math.round((white / (width * height)) * 100))} % is redrawn` : "No mask: all of it is redrawn.";
  };

  let last = null;
  const place = (event) => {
    const box = layer.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * layer.width, ((event.clientY - box.top) / box.height) * layer.height];
  };
  const dab = ([x, y]) => {
    // Pixels are white or not: what is half white would be drawn from half the levels on.
    const r = Number(size.value) / 2;
    for (let py = Math.floor(y - r); py <= y + r; py++) for (let px = Math.floor(x - r); px <= x + r; px++) {
      if (Math.hypot(px + 0.5 - x, py + 0.5 - y) > Math.max(r, 0.75)) continue;
      if (erase.checked) context.clearRect(px, py, 1, 1);
      else context.fillRect(px, py, 1, 1);
    }
  };
  const stroke = (from, to) => {
    context.fillStyle = INK;
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) * 2));
    for (let i = 0; i <= steps; i++) dab([from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps]);
  };
  const moveRing = (event) => {
    const box = field.getBoundingClientRect();
    const d = (Number(size.value) / layer.width) * box.width;
    Object.assign(ring.style, { inlineSize: `${d}px`, blockSize: `${d}px`, translate: `${event.clientX - box.left - d / 2}px ${event.clientY - box.top - d / 2}px` });
    ring.hidden = false;
  };
  layer.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    layer.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last, last);
  });
  layer.addEventListener("pointermove", (event) => {
    moveRing(event);
    if (!last) return;
    const to = place(event);
    stroke(last, to);
    last = to;
  });
  const end = () => {
    if (!last) return;
    last = null;
    describe();
    onchange();
  };
  layer.addEventListener("pointerup", end);
  layer.addEventListener("pointercancel", end);
  layer.addEventListener("pointerleave", () => (ring.hidden = true));

  const clear = () => {
    context.clearRect(0, 0, layer.width, layer.height);
    describe();
  };
  const number = (label, testid) => {
    const id = freshId("number");
    const input = el("input", { type: "number", id, min: 0, step: 1, value: 0, "data-testid": testid });
    return { input, element: el("label", { for: id }, el("span", { text: label }), input) };
  };
  const rectangle = [number("left", "edit-rect-left"), number("top", "edit-rect-top"), number("width", "edit-rect-width"), number("height", "edit-rect-height")];
  const addRectangle = () => {
    const [x, y, w, h] = rectangle.map(({ input }) => Math.max(0, Math.round(Number(input.value) || 0)));
    context.fillStyle = INK;
    context[erase.checked ? "clearRect" : "fillRect"](x, y, w, h);
    describe();
    onchange();
  };
  const [about, aboutBrush] = [why("mask", "the mask"), why("brush", "the brush")];
  const tools = el("div", { class: "mask-tools" },
    el("div", { class: "head" }, el("span", { class: "name", text: "Mask" }), about.button, el("span", { class: "room" }), described),
    about.text,
    el("div", { class: "labelled" }, el("label", { for: sizeId, text: "brush" }), size, aboutBrush.button),
    aboutBrush.text,
    el("div", { class: "row" }, el("label", { for: erase.id, class: "small", text: "Erase" }), erase, el("span", { class: "room" }),
      button("Clear", "edit-mask-clear", () => (clear(), onchange()), { class: "quiet" })),
    el("details", { class: "more" }, el("summary", { text: "A rectangle in numbers" }),
      el("div", { class: "rectangle" }, rectangle.map(({ element }) => element)), button("Add the rectangle", "edit-rect-add", addRectangle, { class: "quiet" })));

  return {
    field,
    tools,
    /** The image to paint over. The mask stays where it has the same size. @param {HTMLCanvasElement} source */
    over(source) {
      image.width = source.width;
      image.height = source.height;
      image.getContext("2d").drawImage(source, 0, 0);
      if (layer.width !== source.width || layer.height !== source.height) {
        layer.width = source.width;
        layer.height = source.height;
        const half = Math.round(source.width / 4);
        [half, half, half * 2, half * 2].forEach((value, i) => (rectangle[i].input.value = value));
        size.max = Math.round(source.width / 2);
        clear();
      }
      describe();
    },
    /** The mask as a PNG of white and black, or null where nothing is painted. */
    dataUrl() {
      if (!painted) return null;
      const canvas = el("canvas", { width: layer.width, height: layer.height });
      const flat = canvas.getContext("2d");
      flat.drawImage(layer, 0, 0);
      flat.globalCompositeOperation = "source-in";
      flat.fillStyle = "#fff";
      flat.fillRect(0, 0, canvas.width, canvas.height);
      flat.globalCompositeOperation = "destination-over";
      flat.fillStyle = "#000";
      flat.fillRect(0, 0, canvas.width, canvas.height);
      return canvas.toDataURL("image/png");
    },
  };
}
