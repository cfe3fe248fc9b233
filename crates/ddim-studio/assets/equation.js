// The paper's equations in MathML. Text of ours alone comes here: it is parsed as HTML.

const math = (inside, display = true) => `<math${display ? ' display="block"' : ""}>${inside}</math>`;
const alpha = (index) => `<msub><mover><mi>α</mi><mo stretchy="false">¯</mo></mover>${index}</msub>`;
const sub = (base, index) => `<msub><mi>${base}</mi>${index}</msub>`;
const row = (...parts) => `<mrow>${parts.join("")}</mrow>`;
const op = (sign) => `<mo>${sign}</mo>`;
const root = (inside) => `<msqrt>${inside}</msqrt>`;
const one = "<mn>1</mn>";
const t = "<mi>t</mi>";
const before = "<mrow><mi>t</mi><mo>−</mo><mn>1</mn></mrow>";
const epsilon = row(sub("ε", "<mi>θ</mi>"), "<mo stretchy='false'>(</mo>", sub("x", t), "<mo>,</mo>", t, "<mo stretchy='false'>)</mo>");
const x0 = row(`<msub><mover><mi>x</mi><mo stretchy="false">^</mo></mover><mn>0</mn></msub>`);
const prediction = `<mfrac>${row(sub("x", t), op("−"), root(row(one, op("−"), alpha(t))), "<mspace width='0.15em'></mspace>", epsilon)}${root(alpha(t))}</mfrac>`;
const variance = `<msubsup><mi>σ</mi>${t}<mn>2</mn></msubsup>`;

/** A term of Eq. 12 in its colour, with what it is below. */
const term = (name, words, inside) =>
  `<munder class="term-${name}"><mrow class="underlined">${inside}</mrow><mtext>${words}</mtext></munder>`;

/** Eq. 12 with its three terms in the colours of their weights. */
export const EQ12 = math(
  row(
    sub("x", before), op("="),
    term("x0", "where the picture is thought to be", row(root(alpha(before)), "<mspace width='0.2em'></mspace>", prediction)),
    op("+"),
    term("direction", "the direction that points back", row(root(row(one, op("−"), alpha(before), op("−"), variance)), "<mspace width='0.2em'></mspace>", epsilon)),
    op("+"),
    term("sigma", "fresh noise", row(sub("σ", t), "<mspace width='0.2em'></mspace>", sub("ε", t))),
  ),
);

/** Others, by what they are about. */
export const EQUATIONS = {
  eq12: EQ12,
  // Eq. 9
  prediction: math(row(x0, op("="), prediction)),
  // Eq. 16
  sigma: math(row(
    sub("σ", t), op("="), "<mi>η</mi><mspace width='0.2em'></mspace>",
    root(`<mfrac>${row(one, op("−"), alpha(before))}${row(one, op("−"), alpha(t))}</mfrac>`),
    root(row(one, op("−"), `<mfrac>${alpha(t)}${alpha(before)}</mfrac>`)),
  )),
  sigmaHat: math(row(
    `<msub><mover><mi>σ</mi><mo stretchy="false">^</mo></mover>${t}</msub>`, op("="), root(row(one, op("−"), `<mfrac>${alpha(t)}${alpha(before)}</mfrac>`)),
  )),
  marginal: math(row(sub("x", t), op("="), root(alpha(t)), sub("x", "<mn>0</mn>"), op("+"), root(row(one, op("−"), alpha(t))), "<mspace width='0.15em'></mspace><mi>ε</mi>")),
  // Eq. 13
  ode: math(row(
    `<mfrac>${sub("x", "<mrow><mi>t</mi><mo>−</mo><mi>Δt</mi></mrow>")}${root(alpha("<mrow><mi>t</mi><mo>−</mo><mi>Δt</mi></mrow>"))}</mfrac>`, op("="),
    `<mfrac>${sub("x", t)}${root(alpha(t))}</mfrac>`, op("+"), "<mo>(</mo>",
    root(`<mfrac>${row(one, op("−"), alpha("<mrow><mi>t</mi><mo>−</mo><mi>Δt</mi></mrow>"))}${alpha("<mrow><mi>t</mi><mo>−</mo><mi>Δt</mi></mrow>")}</mfrac>`), op("−"),
    root(`<mfrac>${row(one, op("−"), alpha(t))}${alpha(t)}</mfrac>`), "<mo>)</mo>", epsilon,
  )),
  trajectory: math(row(
    "<mi>τ</mi>", op("⊂"), "<mo stretchy='false'>[</mo>", one, "<mo>,</mo><mo>…</mo><mo>,</mo><mi>T</mi><mo stretchy='false'>]</mo><mo>,</mo><mspace width='0.6em'></mspace>",
    sub("τ", "<mi>i</mi>"), op("="), "<mo>⌊</mo><mi>c</mi><mi>i</mi><mo>⌋</mo><mspace width='0.5em'></mspace><mtext>or</mtext><mspace width='0.5em'></mspace><mo>⌊</mo><mi>c</mi><msup><mi>i</mi><mn>2</mn></msup><mo>⌋</mo>",
  )),
  // Appendix D.5
  slerp: math(row(
    `<msubsup><mi>x</mi><mi>T</mi><mrow><mo stretchy="false">(</mo><mi>α</mi><mo stretchy="false">)</mo></mrow></msubsup>`, op("="),
    `<mfrac>${row("<mi>sin</mi><mo stretchy='false'>(</mo><mo stretchy='false'>(</mo>", one, op("−"), "<mi>α</mi><mo stretchy='false'>)</mo><mi>θ</mi><mo stretchy='false'>)</mo>")}${row("<mi>sin</mi><mi>θ</mi>")}</mfrac>`,
    `<msubsup><mi>x</mi><mi>T</mi><mrow><mo stretchy="false">(</mo><mn>0</mn><mo stretchy="false">)</mo></mrow></msubsup>`, op("+"),
    `<mfrac>${row("<mi>sin</mi><mo>(</mo><mi>α</mi><mi>θ</mi><mo>)</mo>")}${row("<mi>sin</mi><mi>θ</mi>")}</mfrac>`,
    `<msubsup><mi>x</mi><mi>T</mi><mrow><mo stretchy="false">(</mo><mn>1</mn><mo stretchy="false">)</mo></mrow></msubsup>`,
  )),
  guidance: math(row(
    sub("ε", "<mi>w</mi>"), op("="), sub("ε", "<mi>∅</mi>"), op("+"), "<mi>w</mi><mspace width='0.1em'></mspace><mo>(</mo>", sub("ε", "<mi>c</mi>"), op("−"), sub("ε", "<mi>∅</mi>"), "<mo>)</mo>",
  )),
};

/** What scrolls has to be reached by keys, and only what scrolls. */
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth + 1;
    for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "Equation"]]) scrolls ? target.setAttribute(name, value) : target.removeAttribute(name);
  }
});

/**
 * Whether the font at hand says how low an index hangs. Without a mathematical font engines hardly lower it at all, and the style sheet has to.
 * Call once, when there is a body.
 */
export function checkFont() {
  const probe = equation(math(sub("x", "<mi>t</mi>"), false), "out-of-sight");
  document.body.append(probe);
  const [base, index] = [...probe.querySelectorAll("mi")].map((element) => element.getBoundingClientRect());
  const hangs = (index.bottom - base.bottom) / base.height;
  document.documentElement.classList.toggle("flat-indices", hangs < 0.18 && base.height > 0);
  probe.remove();
}

/** An equation as an element. @param {string} markup one of those above */
export function equation(markup, className = "equation") {
  const holder = document.createElement("div");
  holder.className = className;
  holder.innerHTML = markup;
  widths.observe(holder);
  return holder;
}
