/* One curve, large: axes, band, where the data are, the slope, and a candidate laid over it. */

import { useState } from "preact/hooks";
import { bandPath, bars } from "./network";
import { digits, path, range, ticks, valueAt } from "./numbers";
import { Pen, type PenMode } from "./pen";
import type { Answer, Edge, Message, Values } from "./types";

const SIZE = { width: 320, height: 190, left: 44, right: 8, top: 8, bottom: 22 };

interface Props {
  edge: Edge;
  over: Values | null;
  slope: boolean;
  at: number | null;
  title: string;
  pen?: { mode: PenMode; ask: (message: Message) => Promise<Answer>; act: (message: Message) => Promise<Answer | null> } | undefined;
}

export function Chart({ edge, over: given, slope, at, title, pen }: Props) {
  const [pointer, setPointer] = useState<number | null>(null);
  const [drawn, setDrawn] = useState<Values | null>(null);
  const [told, setTold] = useState("");
  const over = drawn ?? given;
  const corners: [number, number, number, number] = [SIZE.left, SIZE.top, SIZE.width - SIZE.right, SIZE.height - SIZE.bottom];
  const editing = !!pen && pen.mode !== "look";
  const [low, high] = range([edge.y, ...(edge.band ?? []), ...(given ? [given] : [])]);
  const pad = (editing ? 0.3 : 0.05) * (high - low);
  const span: [number, number] = [low - pad, high + pad];
  const u = (x: number) => corners[0] + ((x - edge.x[0]) / (edge.x[1] - edge.x[0] || 1)) * (corners[2] - corners[0]);
  const v = (y: number) => corners[3] - ((y - span[0]) / (span[1] - span[0])) * (corners[3] - corners[1]);
  const x = (place: number) => edge.x[0] + ((place - corners[0]) / (corners[2] - corners[0])) * (edge.x[1] - edge.x[0]);
  const y = (place: number) => span[0] + ((corners[3] - place) / (corners[3] - corners[1])) * (span[1] - span[0]);
  const shown = editing ? null : pointer ?? at;
  const value = shown === null ? null : valueAt(edge, shown);
  const derivative = slope ? derived(edge) : null;

  return (
    <figure class={`chart${editing ? " editing" : ""}`}>
      <svg
        viewBox={`0 0 ${SIZE.width} ${SIZE.height}`}
        role={editing ? "group" : "img"}
        aria-label={title}
        onPointerMove={(event: PointerEvent) => {
          const box = (event.currentTarget as Element).getBoundingClientRect();
          const share = (((event.clientX - box.left) / box.width) * SIZE.width - corners[0]) / (corners[2] - corners[0]);
          setPointer(edge.x[0] + Math.max(0, Math.min(1, share)) * (edge.x[1] - edge.x[0]));
        }}
        onPointerLeave={() => setPointer(null)}
      >
        {ticks(edge.x[0], edge.x[1]).map((x) => (
          <g key={`x${x}`}>
            <path class="grid" d={`M${u(x)} ${corners[1]}V${corners[3]}`} />
            <text x={u(x)} y={SIZE.height - 7} text-anchor="middle">{digits(x)}</text>
          </g>
        ))}
        {ticks(span[0], span[1]).map((y) => (
          <g key={`y${y}`}>
            <path class="grid" d={`M${corners[0]} ${v(y)}H${corners[2]}`} />
            <text x={corners[0] - 5} y={v(y) + 3} text-anchor="end">{digits(y)}</text>
          </g>
        ))}
        <path class="density" d={bars(edge.density, corners[0], corners[2], corners[3], 16)} />
        {edge.band && <path class="band" d={bandPath(edge, span, corners, 1)} />}
        {derivative && <path class="slope" d={path(derivative, range([derivative]), corners, 1)} />}
        <path class={`line ${edge.kind}`} d={path(edge.y, span, corners, 1)} />
        {over && <path class="over" d={path(over, span, corners, 1)} />}
        {shown !== null && value !== null && <circle class="dot" r="4" cx={u(Math.max(edge.x[0], Math.min(edge.x[1], shown)))} cy={v(value)} />}
        {pen && editing && <Pen edge={edge} mode={pen.mode} scale={{ u, v, x, y, height: SIZE.height }} width={SIZE.width} ask={pen.ask} act={pen.act} tell={setTold} setOver={setDrawn} />}
      </svg>
      <figcaption>
        {editing ? told || (pen?.mode === "draw" ? "Draw from left to right; outside of what you draw the curve stays." : "Pull a point; or arrow keys on it, then Enter.") : shown !== null ? `${digits(shown)} ↦ ${digits(value)}` : "bars: where the data are"}
        {!editing && edge.band ? " · band: two standard deviations" : ""}
        {slope ? " · dotted: slope, on its own scale" : ""}
      </figcaption>
    </figure>
  );
}

/** Central differences of the samples. */
function derived(edge: Edge): Values {
  const step = (edge.x[1] - edge.x[0]) / (edge.y.length - 1);
  return edge.y.map((_, k) => {
    const [a, b] = [Math.max(0, k - 1), Math.min(edge.y.length - 1, k + 1)];
    const [before, after] = [edge.y[a], edge.y[b]];
    return before === null || after === null || before === undefined || after === undefined ? null : (after - before) / ((b - a) * step);
  });
}
