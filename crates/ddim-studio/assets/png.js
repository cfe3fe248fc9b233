// The Description of a PNG: the caption in which our pictures carry their settings.

/** @param {ArrayBuffer} buffer @returns {string|null} */
export function description(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  const signature = [137, 80, 78, 71, 13, 10, 26, 10];
  if (!signature.every((byte, i) => bytes[i] === byte)) return null;
  const latin = (from, to) => new TextDecoder("latin1").decode(bytes.subarray(from, to));
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = latin(at + 4, at + 8);
    const [from, to] = [at + 8, at + 8 + length];
    if (to + 4 > bytes.length || kind === "IDAT") return null;
    const keyword = latin(from, Math.min(to, from + 12));
    if (keyword.startsWith("Description\0")) {
      if (kind === "tEXt") return latin(from + 12, to);
      // keyword NUL, compressed?, method, language NUL, translated keyword NUL, text. Ours are not compressed.
      if (kind === "iTXt" && bytes[from + 12] === 0) {
        const language = bytes.indexOf(0, from + 14);
        const translated = bytes.indexOf(0, language + 1);
        if (language > 0 && translated > 0 && translated < to) return new TextDecoder().decode(bytes.subarray(translated + 1, to));
      }
    }
    at = to + 4;
  }
  return null;
}
