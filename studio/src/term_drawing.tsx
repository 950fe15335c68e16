/* One term of an additive model: a curve with its band, levels with intervals, or a surface as tiles. */

import type { ComponentChildren } from "preact";
import { bars } from "./network";
import { digits, path, ticks } from "./numbers";
import type { Term, Values } from "./types";

export interface Frame {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Props {
  term: Term;
  span: [number, number];
  frame: Frame;
  over?: Term | null;
  axes?: boolean;
  children?: ComponentChildren;
}

export function TermDrawing({ term, span, frame, over = null, axes = false, children }: Props) {
  const corners: [number, number, number, number] = [frame.left, frame.top, frame.right, frame.bottom];
  const v = (y: number) => frame.bottom - ((y - span[0]) / (span[1] - span[0])) * (frame.bottom - frame.top);
  if (term.kind === "surface") return <Surface term={over ?? term} frame={frame} axes={axes} />;
  return (
    <g>
      {axes && ticks(span[0], span[1]).map((y) => (
        <g key={`y${y}`}>
          <path class="grid" d={`M${frame.left} ${v(y)}H${frame.right}`} />
          <text x={frame.left - 5} y={v(y) + 3} text-anchor="end">{digits(y)}</text>
        </g>
      ))}
      <path class="zero" d={`M${frame.left} ${v(0)}H${frame.right}`} />
      {term.kind === "levels" ? <Levels term={term} over={over} frame={frame} v={v} axes={axes} /> : (
        <>
          {axes && ticks(...ends(term)).map((x) => <text key={`x${x}`} x={place(term, frame, x)} y={frame.bottom + 14} text-anchor="middle">{digits(x)}</text>)}
          <path class="density" d={bars(term.density ?? [], frame.left, frame.right, frame.bottom, 0.09 * (frame.bottom - frame.top))} />
          {term.low && term.high && <path class="band" d={band(term.low, term.high, span, corners)} />}
          <path class="line" d={path(term.y ?? [], span, corners, 1)} />
          {over?.y && <path class="over" d={path(over.y, span, corners, 1)} />}
        </>
      )}
      {children}
    </g>
  );
}

export function ends(term: Term): [number, number] {
  const [low, high] = term.x as number[];
  return [low ?? 0, high ?? 1];
}

/** The place of an argument of a curve. */
export function place(term: Term, frame: Frame, x: number): number {
  const [low, high] = ends(term);
  return frame.left + ((x - low) / (high - low || 1)) * (frame.right - frame.left);
}

/** The least and the greatest value of these terms, bands included. */
export function spanOf(terms: Term[]): [number, number] {
  let [low, high] = [0, 0];
  for (const term of terms)
    for (const line of [term.y, term.low, term.high, ...(term.z ?? [])])
      for (const value of line ?? []) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const pad = 0.05 * (high - low) || 0.5;
  return [low - pad, high + pad];
}

function band(low: Values, high: Values, span: [number, number], corners: [number, number, number, number]): string {
  const back = path([...high].reverse(), span, [corners[2], corners[1], corners[0], corners[3]], 1);
  return `${path(low, span, corners, 1)}L${back.slice(1)}z`;
}

interface LevelsProps {
  term: Term;
  over: Term | null;
  frame: Frame;
  v: (y: number) => number;
  axes: boolean;
}

function Levels({ term, over, frame, v, axes }: LevelsProps) {
  const names = term.x as string[];
  const step = (frame.right - frame.left) / Math.max(1, names.length);
  return (
    <>
      {names.map((name, n) => {
        const [y, low, high, other] = [term.y?.[n], term.low?.[n], term.high?.[n], over?.y?.[n]];
        if (y === null || y === undefined) return null;
        const x = frame.left + (n + 0.5) * step;
        return (
          <g key={name}>
            <title>{`${name}: ${digits(y)}`}</title>
            <rect class="level" x={x - 0.3 * step} width={0.6 * step} y={Math.min(v(0), v(y))} height={Math.abs(v(y) - v(0))} />
            {typeof low === "number" && typeof high === "number" && <path class="whisker" d={`M${x} ${v(low)}V${v(high)}`} />}
            {typeof other === "number" && <path class="over" d={`M${x - 0.4 * step} ${v(other)}h${0.8 * step}`} />}
            {axes && names.length <= 12 && <text x={x} y={frame.bottom + 14} text-anchor="middle">{name.length * 6 > step ? `${name.slice(0, Math.max(1, Math.floor(step / 7)))}…` : name}</text>}
          </g>
        );
      })}
    </>
  );
}

function Surface({ term, frame, axes }: { term: Term; frame: Frame; axes: boolean }) {
  const rows = term.z ?? [];
  const most = Math.max(1e-300, ...rows.flatMap((row) => row.map((z) => Math.abs(z ?? 0))));
  const [w, h] = [(frame.right - frame.left) / Math.max(1, rows.length), (frame.bottom - frame.top) / Math.max(1, rows[0]?.length ?? 1)];
  const sides = term.x as (number | string)[][];
  const label = (value: number | string | undefined) => typeof value === "number" ? digits(value) : String(value ?? "");
  return (
    <g>
      {rows.flatMap((row, i) => row.map((z, j) => (
        <rect
          key={`${i} ${j}`}
          class={(z ?? 0) < 0 ? "below" : "above"}
          fill-opacity={Math.abs(z ?? 0) / most}
          x={(frame.left + i * w).toFixed(2)}
          y={(frame.bottom - (j + 1) * h).toFixed(2)}
          width={(w + 0.3).toFixed(2)}
          height={(h + 0.3).toFixed(2)}
        />
      )))}
      <rect class="frame" x={frame.left} y={frame.top} width={frame.right - frame.left} height={frame.bottom - frame.top} />
      {axes && (
        <>
          <text x={frame.left} y={frame.bottom + 14}>{label(sides[0]?.[0])}</text>
          <text x={frame.right} y={frame.bottom + 14} text-anchor="end">{label(sides[0]?.[sides[0].length - 1])}</text>
          <text x={frame.left - 5} y={frame.bottom} text-anchor="end">{label(sides[1]?.[0])}</text>
          <text x={frame.left - 5} y={frame.top + 9} text-anchor="end">{label(sides[1]?.[sides[1].length - 1])}</text>
        </>
      )}
    </g>
  );
}
