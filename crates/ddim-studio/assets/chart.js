// Charts in SVG: a frame with axes, lines, points and a marked place. Colours come from classes.
import { el, short, svg } from "./dom.js";

const [W, H] = [420, 190];
const FRAME = { left: 34, right: 10, top: 10, bottom: 30 };

/**
 * A chart.
 * @param {{title: string, x: {label: string, log?: boolean, reverse?: boolean, whole?: boolean}, y: {label?: string, log?: boolean}, testid?: string, onpick?: (x: number) => void}} options
 *   onpick: is told where one presses or drags
 * @returns {{element: HTMLElement, draw: (data: object) => void, mark: (x: number|null) => void}}
 *   draw: `{xDomain, yDomain, lines: [{name, points: [x, y][], dots?: boolean, step?: boolean}], describe?: string}`
 */
export function chart({ title, x, y, testid, onpick }) {
  const root = svg("svg", { class: `chart${onpick ? " pickable" : ""}`, viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title, "data-testid": testid ?? null });
  const marker = svg("line", { class: "marker", y1: FRAME.top, y2: H - FRAME.bottom, visibility: "hidden" });
  const dots = svg("g");
  let scaleX = null;
  let marked = { x: null, dots: [] };

  const draw = ({ xDomain, yDomain, lines, describe }) => {
    scaleX = scale(xDomain, x.reverse ? [W - FRAME.right, FRAME.left] : [FRAME.left, W - FRAME.right], x.log);
    const scaleY = scale(yDomain, [H - FRAME.bottom, FRAME.top], y.log);
    const parts = [];
    for (const value of ticks(yDomain, y.log, 4)) {
      const at = scaleY(value);
      parts.push(svg("line", { class: "gridline", x1: FRAME.left, x2: W - FRAME.right, y1: at, y2: at }), svg("text", { x: FRAME.left - 5, y: at + 3.5, "text-anchor": "end", text: short(value) }));
    }
    for (const value of ticks(xDomain, x.log, 6)) {
      parts.push(svg("text", { x: scaleX(value), y: H - FRAME.bottom + 13, "text-anchor": "middle", text: short(value) }));
    }
    parts.push(svg("line", { class: "axis", x1: FRAME.left, x2: W - FRAME.right, y1: H - FRAME.bottom, y2: H - FRAME.bottom }));
    parts.push(svg("text", { class: "axis-label", x: W - FRAME.right, y: H - 4, "text-anchor": "end", text: x.label }));
    for (const line of lines) {
      const at = line.points.map(([px, py]) => [scaleX(px), scaleY(py)]).filter(([px, py]) => Number.isFinite(px) && Number.isFinite(py));
      if (!at.length) continue;
      if (line.line !== false) parts.push(svg("path", { class: `line ${line.name}`, d: `M${at.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L")}` }));
      // More than a few hundred dots are a line anyway.
      if (line.dots && at.length <= 250) parts.push(...at.map(([cx, cy]) => svg("circle", { class: `dot ${line.name}`, cx: cx.toFixed(1), cy: cy.toFixed(1), r: at.length > 60 ? 1.6 : 2.6 })));
      else if (line.dots) parts.push(svg("path", { class: `line thick ${line.name}`, d: `M${at.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L")}` }));
    }
    root.replaceChildren(...parts, marker, dots);
    root.setAttribute("aria-label", describe ? `${title}. ${describe}` : title);
    mark(marked.x, marked.dots.map(([, name, value]) => ({ name, value })), scaleY);
    root.scaleY = scaleY;
  };

  /** Marks a place, and points at it on lines. @param {{name: string, value: number}[]} [at] */
  const mark = (place, at = [], scaleY = root.scaleY) => {
    marked = { x: place, dots: at.map(({ name, value }) => [place, name, value]) };
    if (place === null || !scaleX) return marker.setAttribute("visibility", "hidden"), dots.replaceChildren();
    const px = scaleX(place);
    marker.setAttribute("x1", px);
    marker.setAttribute("x2", px);
    marker.setAttribute("visibility", "visible");
    dots.replaceChildren(...at.map(({ name, value }) => svg("circle", { class: `mark ${name}`, cx: px, cy: scaleY(value), r: 4.5 })));
  };

  if (onpick) {
    const pick = (event) => {
      const box = root.getBoundingClientRect();
      if (scaleX && event.buttons) onpick(scaleX.back(((event.clientX - box.left) / box.width) * W));
    };
    root.addEventListener("pointerdown", (event) => (root.setPointerCapture(event.pointerId), pick(event)));
    root.addEventListener("pointermove", pick);
  }
  return { element: root, draw, mark };
}

function scale([from, to], [start, end], log) {
  const f = log ? Math.log : (v) => v;
  const [a, b] = [f(from), f(to)];
  const span = b - a || 1;
  const to_ = (value) => start + ((f(value) - a) / span) * (end - start);
  to_.back = (px) => (log ? Math.exp : (v) => v)(a + ((px - start) / (end - start)) * span);
  return to_;
}

/** Round numbers between two, about `n` of them. */
function ticks([from, to], log, n) {
  if (log) {
    const list = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) for (const m of [1, 2, 5]) list.push(m * 10 ** power);
    const inside = list.filter((v) => v >= from * 0.999 && v <= to * 1.001);
    const whole = inside.filter((v) => /^1/.test(v.toExponential()));
    const few = inside.length > 8 && whole.length > 1 ? whole : inside;
    return few.filter((_, i) => i % Math.ceil(few.length / 8) === 0);
  }
  const rough = (to - from) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const list = [];
  for (let v = Math.ceil(from / step) * step; v <= to + step * 1e-6; v += step) list.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return list;
}

/** What the lines of a chart are called, in their colours. @param {[string, string][]} names classes and words */
export const legend = (names) => el("ul", { class: "legend" }, names.map(([name, words]) => el("li", { class: name, text: words })));
