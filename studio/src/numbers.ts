/* Numbers as people read them, and the geometry of curves. */

import type { Edge, Key, NodeKey, Values } from "./types";

/** Three digits, a true minus sign; "not finite" where there is no number. */
export function digits(value: number | null | undefined, count = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  return String(Number(value.toPrecision(count))).replace("-", "−");
}

/** A share of at most 1, such as R²: never rounded up to 1. */
export function share(value: number | null): string {
  if (value !== null && value < 1 && value > 0.99995) return `1 − ${digits(1 - value, 1)}`;
  return digits(value, 4);
}

export function sameKey(a: Key | null | undefined, b: Key | null | undefined): boolean {
  return !!a && !!b && a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}

export function keyText(key: Key): string {
  return key.join(",");
}

/** Unlike every key of an edge. */
export function nodeText(key: NodeKey): string {
  return `node ${key.join(" ")}`;
}

/** R² for a root mean square error, given the standard deviation of the targets. */
export function explained(error: number | null, scale: number): number | null {
  return error === null || scale <= 0 ? null : 1 - (error / scale) ** 2;
}

export function range(lines: Values[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const line of lines)
    for (const v of line) {
      if (v === null) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  if (low > high) return [-1, 1];
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high), 1e-300)) return [low - 0.5, high + 0.5];
  return [low, high];
}

/** The SVG path of evenly spaced values between two corners; gaps where there is no value. */
export function path(
  values: Values,
  [low, high]: [number, number],
  [left, top, right, bottom]: [number, number, number, number],
  round = 3,
): string {
  let text = "";
  let pen = "M";
  const last = values.length - 1 || 1;
  values.forEach((v, k) => {
    if (v === null) {
      pen = "M";
      return;
    }
    const x = left + (k / last) * (right - left);
    const y = bottom - ((v - low) / (high - low)) * (bottom - top);
    text += `${pen}${x.toFixed(round)} ${y.toFixed(round)}`;
    pen = "L";
  });
  return text;
}

/** The value of a curve at a point, linear between its samples; held at its ends. */
export function valueAt(edge: Pick<Edge, "x" | "y">, at: number): number | null {
  const share = (at - edge.x[0]) / (edge.x[1] - edge.x[0] || 1);
  const place = Math.max(0, Math.min(1, share)) * (edge.y.length - 1);
  const k = Math.min(Math.floor(place), edge.y.length - 2);
  const [a, b] = [edge.y[k], edge.y[k + 1]];
  if (a === null || b === null || a === undefined || b === undefined) return null;
  return a + (place - k) * (b - a);
}

/** Three to six round numbers between low and high. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 4;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  const found: number[] = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-12 * step; n++) found.push(n * step);
  return found;
}

/** A function's name as it is read: c·f(a x + b) + d with three digits. */
export function symbolText(edge: Edge, variable: string): string {
  if (!edge.symbol || !edge.affine) return "";
  const [a = 1, b = 0, c = 1, d = 0] = edge.affine;
  const inner = linear(a, variable, b);
  if (edge.symbol === "0") return digits(d);
  if (edge.symbol === "x") return linear(c * a, variable, c * b + d);
  const body = /[a-z]{2,}$/.test(edge.symbol)
    ? `${edge.symbol}(${inner})`
    : edge.symbol.replace("x", inner === variable ? inner : `(${inner})`);
  return linear(c, body, d);
}

function linear(factor: number, text: string, shift: number): string {
  const f = digits(factor);
  const product = f === "1" ? text : f === "−1" ? `−${text}` : `${f} ${text}`;
  const s = digits(Math.abs(shift));
  return s === "0" ? product : `${product} ${shift < 0 ? "−" : "+"} ${s}`;
}
